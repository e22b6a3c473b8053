//! The generator: one measurement, reported as a line of JSON on standard output.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use anyhow::Result;
use clap::Parser;
use switchyard_bench::load::{self, Options};

fn main() -> Result<()> {
    let report = load::run(Options::parse())?;
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}
