//! Measures our gateway beside its peers: alternating, each started afresh, server and generator on
//! a core each.
//!
//! Run through `cargo xtask bench relay`, which builds the programs and installs the peers first.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "its output is its purpose"
)]

mod plan;
mod servers;
mod table;

use anyhow::{Context, Result, bail};
use clap::Parser;
use plan::{Server, Workload};
use serde::Serialize;
use servers::{Places, Servers};
use std::path::PathBuf;
use switchyard_bench::{process, report::Report};

#[derive(Parser)]
#[command(about = "Measures our gateway beside its peers")]
struct Cli {
    /// The gateway's program [default: switchyard-gateway among the programs].
    #[arg(long)]
    gateway: Option<PathBuf>,
    /// The folder with the bench's programs [default: this one's own].
    #[arg(long)]
    programs: Option<PathBuf>,
    /// rumqttd's program [default: ../peers/bin/rumqttd beside the programs].
    #[arg(long)]
    rumqttd: Option<PathBuf>,
    /// The servers to measure [default: all but the tokio relays].
    #[arg(long, value_enum, value_delimiter = ',')]
    server: Vec<Server>,
    /// The workloads [default: all].
    #[arg(long, value_enum, value_delimiter = ',')]
    workload: Vec<Workload>,
    /// How often everything is measured.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 4.0)]
    secs: f64,
    /// Seconds before each measurement.
    #[arg(long, default_value_t = 1.0)]
    warmup: f64,
    /// One short round.
    #[arg(long, conflicts_with_all = ["rounds", "secs", "warmup"])]
    quick: bool,
    /// Connections held to see what an idle one costs.
    #[arg(long, default_value_t = 5_000)]
    connections: usize,
    /// Where all reports go [default: ../relay-bench.json beside the programs].
    #[arg(long)]
    json: Option<PathBuf>,
}

/// One measurement, or why there is none.
#[derive(Serialize)]
struct Measured {
    round: usize,
    #[serde(serialize_with = "as_name")]
    workload: Workload,
    #[serde(serialize_with = "as_server_name")]
    server: Server,
    report: Option<Report>,
    failure: Option<String>,
}

fn as_name<S: serde::Serializer>(workload: &Workload, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&workload.name())
}

fn as_server_name<S: serde::Serializer>(server: &Server, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&server.name())
}

fn main() -> Result<()> {
    let mut cli = Cli::parse();
    if cli.quick {
        (cli.rounds, cli.secs, cli.warmup) = (1, 1.0, 0.5);
        cli.connections = cli.connections.min(1_000);
    }
    let own = std::env::current_exe()?;
    let own = own.parent().context("expected a folder of this program")?;
    let programs = cli.programs.clone().unwrap_or_else(|| own.into());
    let beside = |file: &str| programs.parent().unwrap_or(&programs).join(file);
    let places = Places {
        gateway: cli
            .gateway
            .clone()
            .unwrap_or_else(|| programs.join("switchyard-gateway")),
        rumqttd: cli
            .rumqttd
            .clone()
            .unwrap_or_else(|| beside("peers/bin/rumqttd")),
        programs: programs.clone(),
    };
    let json = cli
        .json
        .clone()
        .unwrap_or_else(|| beside("relay-bench.json"));

    servers::check_cores()?;
    process::raise_open_files()?;
    // What is started from here on inherits it: a server sizes its thread pool by the cores it has.
    process::stay_on_core(servers::SERVER_CORE)?;
    let measured = measure(&cli, places)?;
    std::fs::write(&json, serde_json::to_string_pretty(&measured)?)
        .with_context(|| format!("writing {}", json.display()))?;
    println!("{}", table::render(&measured));
    println!("All reports: {}", json.display());
    println!("{}", table::last_line(&measured));
    let failed = measured
        .iter()
        .filter(|measured| measured.failure.is_some() && measured.server.must_work())
        .count();
    if failed > 0 {
        bail!("{failed} measurements of our own servers failed");
    }
    Ok(())
}

fn measure(cli: &Cli, places: Places) -> Result<Vec<Measured>> {
    let workloads = if cli.workload.is_empty() {
        <Workload as clap::ValueEnum>::value_variants().to_vec()
    } else {
        cli.workload.clone()
    };
    let wanted = if cli.server.is_empty() {
        Server::DEFAULT.to_vec()
    } else {
        cli.server.clone()
    };
    let controllers = workloads
        .iter()
        .map(|workload| workload.load(cli.connections).controllers)
        .max()
        .unwrap_or(1)
        .max(1);
    let mut servers = Servers::new(places, controllers)?;
    let mut present = Vec::new();
    for server in wanted {
        match servers.lacks(server) {
            None => present.push(server),
            Some(why) if server.must_work() => bail!("{}: {why}", server.name()),
            Some(why) => println!("without {}: {why}", server.name()),
        }
    }
    if present.contains(&Server::SwitchyardReal) && !servers.has_tls()? {
        println!(
            "this gateway has no TLS of its own: switchyard-real is Noise and plain WebSocket"
        );
    }
    let timing = [
        "--secs",
        &cli.secs.to_string(),
        "--warmup",
        &cli.warmup.to_string(),
    ]
    .map(String::from);
    let mut all = Vec::new();
    for round in 1..=cli.rounds {
        for &workload in &workloads {
            let load = workload.load(cli.connections);
            for &server in &present {
                let outcome = servers.measure(server, &load, &timing);
                let failure = outcome.as_ref().err().map(|error| format!("{error:#}"));
                let measured = Measured {
                    round,
                    workload,
                    server,
                    report: outcome.ok(),
                    failure,
                };
                eprintln!("{}", table::progress(&measured));
                all.push(measured);
            }
        }
    }
    Ok(all)
}
