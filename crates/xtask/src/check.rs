//! `cargo xtask check`: everything that can be judged without running the programs.

use crate::{
    run::{cargo, run},
    setup::{self, BUILD, DESKTOP},
    tidy, units,
};
use anyhow::Result;
use clap::ValueEnum;

/// A check by its name.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Check {
    /// rustfmt.
    Fmt,
    /// Clippy over every room, warnings denied.
    Clippy,
    /// Which dependencies, licences and sources may enter.
    Deny,
    /// The rules of the house that no other tool knows.
    Tidy,
    /// How much the gateway's service may do on its host, by systemd's own count.
    Units,
}

/// Runs the named checks, or all.
pub(crate) fn check(checks: &[Check]) -> Result<()> {
    let wanted = |check| checks.is_empty() || checks.contains(&check);
    if wanted(Check::Tidy) {
        tidy::check()?;
    }
    if wanted(Check::Fmt) {
        run(cargo().args(["fmt", "--all", "--check"]))?;
    }
    if wanted(Check::Units) {
        units::check()?;
    }
    if wanted(Check::Deny) {
        let mut deny = std::process::Command::new(setup::cargo_deny()?);
        run(deny.args(["check", "bans", "licenses", "sources"]))?;
    }
    if wanted(Check::Clippy) {
        setup::ready(&[BUILD, DESKTOP])?;
        run(cargo().args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]))?;
    }
    Ok(())
}
