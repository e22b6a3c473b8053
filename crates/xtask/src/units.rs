//! `cargo xtask check units`: the gateway's service may do no more on its host than is written down.

use crate::{
    run::{output, root},
    setup::{self, UNITS},
};
use anyhow::{Context, Result, bail, ensure};
use std::process::Command;

/// The service, and where its score is written down.
const UNIT: &str = "gateway/packaging/switchyard-gateway.service";
const DOCUMENT: &str = "docs/operating.md";
/// What stands before the score there.
const WORDS: &str = "`systemd-analyze security` gives the unit ";
/// The worst that is taken, out of 10; systemd itself calls what is below 2 OK.
const SCORE_MAX: f64 = 2.0;

/// Asks systemd for the score, and compares it with the bound and with what the document says.
pub(crate) fn check() -> Result<()> {
    setup::ready(&[UNITS])?;
    let mut analyze = Command::new("systemd-analyze");
    analyze.current_dir(root());
    analyze.args(["security", "--offline=true", "--no-pager", UNIT]);
    let report = output(&mut analyze).with_context(|| format!("asking systemd about {UNIT}"))?;
    let Some(score) = score(&report) else {
        bail!("expected an overall exposure level in what systemd says:\n{report}");
    };
    ensure!(
        score <= SCORE_MAX,
        "{UNIT}: expected an exposure of {SCORE_MAX} at most and found {score}:\n{report}"
    );
    let document = std::fs::read_to_string(root().join(DOCUMENT))?;
    let written = document
        .split_once(WORDS)
        .and_then(|(_, rest)| rest.get(..3)?.parse::<f64>().ok());
    ensure!(
        written.is_some_and(|written| written >= score),
        "{DOCUMENT}: expected \"{WORDS}{score}\" and found {written:?}"
    );
    println!("units: exposure {score}, at most {SCORE_MAX}");
    Ok(())
}

/// The number in the report's last line.
fn score(report: &str) -> Option<f64> {
    let (_, rest) = report.rsplit_once("Overall exposure level for ")?;
    rest.split_once(": ")?.1.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_score() {
        let line = "→ Overall exposure level for a.service: 1.4 OK :-)";
        assert_eq!(score(line), Some(1.4));
        assert_eq!(score("nothing"), None);
    }
}
