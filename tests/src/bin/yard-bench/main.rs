//! Measures a whole yard of real programs: round trips and the memory of idle controllers.
//!
//! Run through `cargo xtask bench`, which builds the programs with optimisation first.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

mod memory;
mod round_trip;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::fmt::Write as _;
use switchyard_testkit::{Controller, Program, Programs, Yard, YardOptions, wait_until};

#[derive(Parser)]
#[command(about = "Measures a whole yard of real programs")]
struct Cli {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Subcommand)]
enum Bench {
    /// One operator commands controllers, one command after the other; until the executed receipt,
    /// and until the delta that follows it.
    RoundTrip {
        /// Controllers on line, commanded in turn.
        #[arg(long, default_value_t = 100)]
        controllers: usize,
        /// Commands to send.
        #[arg(long, default_value_t = 5_000)]
        commands: usize,
    },
    /// The gateway's resident memory for each idle controller.
    IdleMemory {
        /// Controllers on line.
        #[arg(long, default_value_t = 2_000)]
        controllers: usize,
    },
}

fn main() -> Result<()> {
    match Cli::parse().bench {
        Bench::RoundTrip {
            controllers,
            commands,
        } => round_trip::bench(controllers, commands),
        Bench::IdleMemory { controllers } => memory::bench(controllers),
    }
}

/// Controllers of one process, all of them on line.
struct Fleet {
    controllers: Vec<Controller>,
    process: Program,
}

fn yard(clear: bool) -> Result<Yard> {
    Yard::start(
        &Programs::find()?,
        YardOptions {
            clear,
            ..YardOptions::default()
        },
    )
}

/// Enrols `count` controllers, starts them in one process and waits until all are on line.
fn fleet(yard: &Yard, count: usize, clear: bool) -> Result<Fleet> {
    let controllers = yard.enrol("Bench", count)?;
    let mut keys = String::new();
    for controller in &controllers {
        writeln!(keys, "{} {}", controller.address, controller.key)?;
    }
    let file = yard.folder().join("bench.keys");
    std::fs::write(&file, keys)?;
    let mut command = yard.programs().command("virtual-controller")?;
    command
        .arg("--keys")
        .arg(&file)
        .args(["--behaviour", "latch"]);
    if clear {
        command.args(["--gateway", yard.clear(), "--clear"]);
    } else {
        command.args(["--gateway", yard.tcp()]);
    }
    let process = Program::start("controllers", &mut command)?;
    wait_until(&format!("{count} controllers on line"), || {
        let online = switchyard_e2e::http::metric(yard, "switchyard_controllers_online").ok()?;
        (online == count as u64).then_some(())
    })?;
    Ok(Fleet {
        controllers,
        process,
    })
}
