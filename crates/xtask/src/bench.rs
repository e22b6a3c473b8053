//! `cargo xtask bench`: the figures of `docs/performance.md`.

use crate::{
    run::{cargo, run, target_folder},
    setup::{self, BUILD, PAGE, PROGRAMS},
    test,
};
use anyhow::Result;
use clap::Subcommand;
use std::process::Command;

/// What to measure.
#[derive(Subcommand)]
pub(crate) enum Bench {
    /// From an operator's command to its receipt and to the delta; p50 and p99.
    RoundTrip {
        /// Controllers on line.
        #[arg(long, default_value = "100")]
        controllers: String,
        /// Commands to send.
        #[arg(long, default_value = "5000")]
        commands: String,
    },
    /// The gateway's memory for each idle controller.
    IdleMemory {
        /// Controllers on line.
        #[arg(long, default_value = "2000")]
        controllers: String,
    },
}

/// Builds the programs with optimisation and runs one benchmark.
pub(crate) fn bench(bench: &Bench) -> Result<()> {
    setup::ready(&[BUILD, PAGE, PROGRAMS])?;
    setup::page()?;
    test::build_programs(&["--release"])?;
    run(cargo().args([
        "build",
        "--release",
        "--package",
        "switchyard-e2e",
        "--bin",
        "yard-bench",
    ]))?;
    let programs = target_folder().join("release");
    let mut command = Command::new(programs.join("yard-bench"));
    match bench {
        Bench::RoundTrip {
            controllers,
            commands,
        } => command.args([
            "round-trip",
            "--controllers",
            controllers,
            "--commands",
            commands,
        ]),
        Bench::IdleMemory { controllers } => {
            command.args(["idle-memory", "--controllers", controllers])
        }
    };
    run(&mut command)
}
