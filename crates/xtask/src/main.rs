//! The workspace's automation: `cargo xtask demo | test | check | firmware | fuzz | bench | dist`.
//!
//! Everything that a README, a person or CI asks for goes through here, so that all of them run the
//! same commands.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this program reports to a person at a terminal"
)]

mod api;
mod bench;
mod check;
mod deb;
mod demo;
mod firmware;
mod fuzz;
mod package;
mod run;
mod setup;
mod sources;
mod test;
mod tidy;
mod units;
mod vectors;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "Switchyard's workspace automation",
    version
)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what is missing, build, and run a gateway with three virtual controllers.
    Demo {
        /// Without a person: send one command, see it executed and the status follow, stop all.
        #[arg(long)]
        check: bool,
    },
    /// Install what is missing and run every test, or the named parts.
    Test {
        /// The parts to run; all of them when none is named.
        parts: Vec<test::Part>,
    },
    /// Formatting, lints, dependency rules and tidiness.
    Check {
        /// The checks to run; all of them when none is named.
        checks: Vec<check::Check>,
    },
    /// Build the controller's firmware, hold it to its budgets, and check what lies in flash.
    Firmware(firmware::Firmware),
    /// Fuzz the controller's C core for so many minutes of CPU, and fail on any finding.
    Fuzz(fuzz::Fuzz),
    /// Build the Debian packages: the gateway's, and the console's.
    Dist,
    /// Measure; the figures in `docs/performance.md` come from here.
    Bench {
        #[command(subcommand)]
        bench: bench::Bench,
    },
}

fn main() -> ExitCode {
    match run_task() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The chain of causes, and no backtrace: what failed has already said where.
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run_task() -> Result<()> {
    std::env::set_current_dir(run::root())
        .with_context(|| format!("entering {}", run::root().display()))?;
    match Cli::parse().task {
        Task::Demo { check } => demo::demo(check),
        Task::Test { parts } => test::test(&parts),
        Task::Check { checks } => check::check(&checks),
        Task::Firmware(options) => firmware::firmware(&options),
        Task::Fuzz(options) => fuzz::fuzz(&options),
        Task::Dist => package::dist(),
        Task::Bench { bench } => bench::bench(&bench),
    }
}
