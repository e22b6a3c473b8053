//! Measures our gateway beside its peers: alternating, each started afresh, server and generator on
//! a core each.
//!
//! Run through `cargo xtask bench relay`, which builds the programs and installs the peers first.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "its output is its purpose"
)]

mod growth;
mod plan;
mod servers;
mod storm;
mod table;

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};
use plan::{Server, Workload};
use serde::Serialize;
use servers::{Interrupted, Places, Servers};
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};
use switchyard_bench::{process, report::Report};

#[derive(Parser)]
#[command(about = "Measures our gateway beside its peers")]
struct Cli {
    /// What to find out.
    #[arg(long, value_enum, default_value = "relay")]
    mode: Mode,
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

/// What to find out.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// The table: every workload, every server.
    Relay,
    /// What a message costs with ten connections and with 19,000.
    Growth,
    /// What the others feel when 19,000 controllers come back at once.
    Storm,
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

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("relay-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
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
    match cli.mode {
        Mode::Relay => relay(&cli, places, &json),
        Mode::Growth => growth::run(&cli, places, &json),
        Mode::Storm => storm::run(&cli, places, &json),
    }
}

impl Cli {
    /// The generator's flags for how long to measure.
    fn timing(&self) -> Vec<String> {
        let (secs, warmup) = (self.secs.to_string(), self.warmup.to_string());
        ["--secs", &secs, "--warmup", &warmup]
            .map(String::from)
            .into()
    }

    /// Those of the servers that are here; the others are told of.
    fn present(&self, servers: &Servers, default: &[Server]) -> Result<Vec<Server>> {
        let wanted = if self.server.is_empty() {
            default
        } else {
            &self.server
        };
        let mut present = Vec::new();
        for &server in wanted {
            match servers.lacks(server) {
                None => present.push(server),
                Some(why) if server.must_work() => bail!("{}: {why}", server.name()),
                Some(why) => println!("without {}: {why}", server.name()),
            }
        }
        Ok(present)
    }
}

/// Keeps everything that was found.
fn write_json(file: &Path, found: &impl Serialize) -> Result<()> {
    std::fs::write(file, serde_json::to_string_pretty(found)?)
        .with_context(|| format!("writing {}", file.display()))?;
    println!("All reports: {}", file.display());
    Ok(())
}

fn relay(cli: &Cli, places: Places, json: &Path) -> Result<()> {
    let workloads = if cli.workload.is_empty() {
        Workload::value_variants()
    } else {
        &cli.workload
    };
    let load = |workload: Workload| workload.load(cli.connections);
    let controllers = workloads.iter().map(|&workload| load(workload).controllers);
    // Nobody can be enrolled nought times, and where only operators come nobody is.
    let mut servers = Servers::new(places, controllers.max().unwrap_or(0).max(1))?;
    let present = cli.present(&servers, &Server::DEFAULT)?;
    let timing = cli.timing();
    let mut all = Vec::new();
    for round in 1..=cli.rounds {
        for &workload in workloads {
            for &server in &present {
                let outcome = servers.measure(server, &load(workload), &timing);
                let failure = match &outcome {
                    Err(error) if error.is::<Interrupted>() => return outcome.map(|_| ()),
                    Err(error) => Some(format!("{error:#}")),
                    Ok(_) => None,
                };
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
    println!("{}", table::render(&all));
    write_json(json, &all)?;
    println!("{}", table::last_line(&all));
    let failed = all
        .iter()
        .filter(|measured| measured.failure.is_some() && measured.server.must_work());
    match failed.count() {
        0 => Ok(()),
        failed => bail!("{failed} measurements of our own programs failed"),
    }
}
