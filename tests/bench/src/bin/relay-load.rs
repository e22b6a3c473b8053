//! The generator: one measurement, reported as a line of JSON on standard output.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "its output is its purpose"
)]

use anyhow::Result;
use clap::Parser;
use std::process::ExitCode;
use switchyard_bench::load::{self, Options};

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<()> {
    let report = load::run(Options::parse())?;
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}
