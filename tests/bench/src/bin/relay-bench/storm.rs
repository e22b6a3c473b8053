//! What the others feel when everybody comes back at once.

use crate::{
    Cli,
    plan::{Load, Server},
    servers::{Places, Servers},
    write_json,
};
use anyhow::{Context, Result};
use std::path::Path;
use switchyard_bench::report::Latency;

const CONTROLLERS: usize = 19_000;
const QUICK_CONTROLLERS: usize = 2_000;
/// Controllers that stay, and are commanded meanwhile.
const LIVE: usize = 100;
const OPERATORS: usize = 20;
const COMMANDS_PER_S: f64 = 1_000.0;
const WINDOW: usize = 64;

/// Measures and prints.
pub(crate) fn run(cli: &Cli, places: Places, json: &Path) -> Result<()> {
    let controllers = if cli.quick {
        QUICK_CONTROLLERS
    } else {
        CONTROLLERS
    };
    let load = Load {
        kind: "storm",
        controllers,
        operators: OPERATORS,
        window: WINDOW,
        rate: Some(COMMANDS_PER_S),
        live: Some(LIVE),
    };
    let mut servers = Servers::new(places, controllers)?;
    let mut all = Vec::new();
    for _ in 0..cli.rounds {
        for server in cli.present(&servers, &[Server::SwitchyardReal])? {
            let report = servers.measure(server, &load, &cli.timing())?;
            let storm = report.storm.context("expected the report of a storm")?;
            println!(
                "{}: {} controllers back in {:.1} s, {:.0} µs of CPU each, {} turned away at first",
                server.name(),
                storm.controllers,
                storm.all_back_s,
                storm.cpu_us_each,
                storm.turned_away
            );
            println!(
                "  {LIVE} others at {COMMANDS_PER_S} commands a second: {} before, {} meanwhile",
                shown(&storm.calm),
                shown(&storm.meanwhile)
            );
            all.push(report);
        }
    }
    write_json(json, &all)
}

fn shown(latency: &Latency) -> String {
    let ms = |us: f64| us / 1e3;
    format!(
        "p50 {:.2} p99 {:.2} max {:.1} ms",
        ms(latency.p50_us),
        ms(latency.p99_us),
        ms(latency.max_us)
    )
}
