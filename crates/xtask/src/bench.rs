//! `cargo xtask bench`: the figures of `docs/performance.md`.

use anyhow::Result;
use clap::Subcommand;

/// What to measure.
#[derive(Subcommand)]
pub(crate) enum Bench {}

/// Runs one benchmark.
pub(crate) fn bench(bench: &Bench) -> Result<()> {
    match *bench {}
}
