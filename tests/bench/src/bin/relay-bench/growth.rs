//! What a message costs as connections grow in number: ours and the floor.

use crate::{
    Cli,
    plan::{Load, Server},
    servers::{Places, Servers},
    write_json,
};
use anyhow::{Context, Result, bail};
use serde::Serialize;
use std::path::Path;
use switchyard_bench::report::Report;

const SERVERS: [Server; 2] = [Server::Switchyard, Server::Floor];
/// Up to what fits under 20,000 open files.
const CONTROLLERS: [usize; 5] = [10, 100, 1_000, 10_000, 19_000];
const QUICK_CONTROLLERS: [usize; 3] = [10, 100, 1_000];
const OPERATORS_MAX: usize = 20;

#[derive(Serialize)]
struct Grown {
    round: usize,
    server: String,
    report: Report,
}

/// Measures and prints.
pub(crate) fn run(cli: &Cli, places: Places, json: &Path) -> Result<()> {
    let counts = if cli.quick {
        &QUICK_CONTROLLERS[..]
    } else {
        &CONTROLLERS
    };
    let most = counts.iter().copied().max().unwrap_or(1);
    let mut servers = Servers::new(places, most)?;
    let present = cli.present(&servers, &SERVERS)?;
    let timing = cli.timing();
    let mut all = Vec::new();
    for round in 1..=cli.rounds {
        for kind in ["push", "rtt"] {
            for &controllers in counts {
                for &server in &present {
                    let load = Load {
                        kind,
                        controllers,
                        operators: OPERATORS_MAX.min(controllers),
                        window: 1,
                        rate: None,
                        live: None,
                    };
                    let report = servers
                        .measure(server, &load, &timing)
                        .with_context(|| format!("{kind} {controllers}, {}", server.name()))?;
                    let server = server.name();
                    all.push(Grown {
                        round,
                        server,
                        report,
                    });
                }
            }
        }
    }
    println!("\nµs of the server's CPU for each message, one in flight for each source");
    print!("{:<24}", "controllers");
    for count in counts {
        print!("{count:>12}");
    }
    println!();
    for kind in ["push", "rtt"] {
        for &server in &present {
            print!("{:<24}", format!("{kind} {}", server.name()));
            for &count in counts {
                print!("{:>12.1}", cost(&all, &server.name(), kind, count)?);
            }
            println!();
        }
    }
    write_json(json, &all)
}

/// The median over the rounds.
fn cost(all: &[Grown], server: &str, kind: &str, controllers: usize) -> Result<f64> {
    let costs = all
        .iter()
        .filter(|grown| grown.server == server && grown.report.workload == kind)
        .filter(|grown| grown.report.controllers == controllers)
        .filter_map(|grown| grown.report.flow.as_ref())
        .map(|flow| 1e6 / flow.messages_per_cpu_s);
    match crate::table::median(costs.collect()) {
        Some(cost) => Ok(cost),
        None => bail!("expected {server} {kind} to have been measured with {controllers}"),
    }
}
