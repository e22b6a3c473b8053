//! `cargo xtask fuzz`: the controller's C core and what the gateway reads under libFuzzer, for so many minutes
//! of CPU in all.
//!
//! The targets are those of `firmware/fuzz` and `gateway/fuzz`, each a workspace of its own. What a run finds to be
//! worth keeping, and what it finds at all, stays outside the repository.

use crate::{
    run::{cache_folder, output, root, run, target_folder},
    setup,
};
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// What to fuzz, and for how long.
#[derive(Args)]
pub(crate) struct Fuzz {
    /// The targets, by the names of their files; all of them when none is named.
    targets: Vec<String>,
    /// CPU-minutes in all, shared alike by the targets.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    minutes: u64,
    /// Where corpora, logs and findings lie between runs; in the cache folder when none is named.
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// Where there are targets. Their names differ.
const ROOMS: [&str; 2] = ["firmware/fuzz", "gateway/fuzz"];

/// How the C core is compiled, by clang: instrumented as the Rust is, and undefined behaviour ends it.
const C_FLAGS: &str = "-fsanitize=fuzzer-no-link,address,undefined -fsanitize-trap=undefined -g";

/// A script's text and what is done to it need more than libFuzzer's 4,096 bytes.
const INPUT_BYTES_MAX: &str = "9000";

/// One input that takes this long is a finding. The longest need a few tenths of a second.
const INPUT_SECONDS_MAX: &str = "60";

/// A rest of a target's time that is not worth another start: reading its corpus takes as long.
const ROUND_SECONDS_MIN: u64 = 5;

/// What became of one target.
struct Outcome {
    target: String,
    runs: u64,
    seconds: u64,
    /// The inputs that did harm.
    findings: Vec<PathBuf>,
}

/// Builds the targets, runs each for its share, and prints a table.
///
/// # Errors
/// When clang or cargo-fuzz is missing, something cannot be built, or an input does harm.
pub(crate) fn fuzz(options: &Fuzz) -> Result<()> {
    setup::ready(&[setup::BUILD, setup::FUZZ])?;
    setup::cargo_fuzz()?;
    let known = targets()?;
    for name in &options.targets {
        let names: Vec<_> = known.keys().map(String::as_str).collect();
        ensure!(
            known.contains_key(name),
            "expected one of {} and found {name}",
            names.join(", ")
        );
    }
    let is_chosen = |name: &String| options.targets.is_empty() || options.targets.contains(name);
    let chosen: Vec<_> = known.iter().filter(|(name, _)| is_chosen(name)).collect();
    let folder = match &options.folder {
        Some(folder) => folder.clone(),
        None => cache_folder()?.join("fuzz"),
    };
    let mut programs = BTreeMap::new();
    for room in ROOMS {
        if chosen.iter().any(|(_, it)| **it == room) {
            programs.insert(room, build(room)?);
        }
    }
    let each_seconds = options.minutes * 60 / chosen.len() as u64;
    let mut outcomes = Vec::new();
    for (target, room) in &chosen {
        let program = programs[**room].join(target);
        outcomes.push(run_target((target, room), &program, &folder, each_seconds)?);
    }
    println!(
        "{:10} {:>10} {:>8} {:>9}",
        "target", "runs", "seconds", "findings"
    );
    for outcome in &outcomes {
        println!(
            "{:10} {:>10} {:>8} {:>9}",
            outcome.target,
            outcome.runs,
            outcome.seconds,
            outcome.findings.len()
        );
    }
    let mut found = 0;
    for outcome in &outcomes {
        for input in &outcome.findings {
            let program = programs[known[&outcome.target]].join(&outcome.target);
            println!("once more: {} {}", program.display(), input.display());
            found += 1;
        }
    }
    ensure!(found == 0, "{found} inputs did harm");
    Ok(())
}

/// The targets by their names, each with its room.
fn targets() -> Result<BTreeMap<String, &'static str>> {
    let mut targets = BTreeMap::new();
    for room in ROOMS {
        for entry in fs::read_dir(root().join(room).join("targets"))? {
            let path = entry?.path();
            let name = path.file_stem().unwrap_or_default();
            let other = targets.insert(name.to_string_lossy().into_owned(), room);
            ensure!(other.is_none(), "expected {name:?} in one room alone");
        }
    }
    Ok(targets)
}

/// Builds all targets of a room, and gives the folder that they lie in.
fn build(room: &str) -> Result<PathBuf> {
    let versions = output(Command::new("rustc").arg("-vV")).context("asking rustc what it is")?;
    let host = versions
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("expected rustc to name its host")?;
    let folder = target_folder().join("fuzz");
    let mut command = Command::new("cargo-fuzz");
    command
        .args(["fuzz", "build", "--fuzz-dir", ".", "--target", host])
        .arg("--target-dir")
        .arg(&folder)
        .current_dir(root().join(room))
        // Sanitizers are no part of a stable compiler, though it has them.
        .env("RUSTC_BOOTSTRAP", "1");
    // The gateway's C is other people's: cryptography and the database.
    if room == ROOMS[0] {
        command.env("CC", "clang").env("CFLAGS", C_FLAGS);
    }
    run(&mut command)?;
    Ok(folder.join(host).join("release"))
}

/// Runs one target until it has had its share of CPU time, or has found something. Its seeds are always
/// tried first, then what earlier runs left.
fn run_target(
    (target, room): (&str, &str),
    program: &Path,
    folder: &Path,
    seconds: u64,
) -> Result<Outcome> {
    let corpus = folder.join("corpus").join(target);
    let findings = folder.join("findings").join(target);
    for place in [&corpus, &findings] {
        fs::create_dir_all(place).with_context(|| format!("making {}", place.display()))?;
    }
    let log = folder.join(format!("{target}.log"));
    let mut outcome = Outcome {
        target: target.into(),
        runs: 0,
        seconds: 0,
        findings: Vec::new(),
    };
    let begun = children_seconds()?;
    println!("{target}: {seconds} s, log in {}", log.display());
    // libFuzzer knows only time on the wall, of which a busy machine gives a part.
    while outcome.seconds + ROUND_SECONDS_MIN <= seconds {
        let left_seconds = seconds - outcome.seconds;
        let status = Command::new(program)
            .arg(format!("-artifact_prefix={}/", findings.display()))
            .arg(format!("-max_total_time={left_seconds}"))
            .arg(format!("-max_len={INPUT_BYTES_MAX}"))
            .arg(format!("-timeout={INPUT_SECONDS_MAX}"))
            .arg("-print_final_stats=1")
            .arg(&corpus)
            .arg(root().join(room).join("seeds").join(target))
            // Rust and C bring the same symbols twice, and that is well.
            .env("ASAN_OPTIONS", "detect_odr_violation=0")
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .status()
            .with_context(|| format!("starting {}", program.display()))?;
        outcome.seconds = children_seconds()? - begun;
        let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        outcome.runs += runs_told(&text);
        if !status.success() {
            outcome.findings = inputs_told(&text);
            let tail: Vec<_> = text.lines().rev().take(40).collect();
            for line in tail.iter().rev() {
                println!("{line}");
            }
            if outcome.findings.is_empty() {
                bail!("{target} ended with {status} and left no input");
            }
            break;
        }
    }
    Ok(outcome)
}

/// The files in which libFuzzer says that it left what did harm. One may be there since an earlier run.
fn inputs_told(log: &str) -> Vec<PathBuf> {
    log.lines()
        .filter_map(|line| line.split_once("Test unit written to "))
        .map(|(_, path)| PathBuf::from(path.trim()))
        .collect()
}

/// How many inputs libFuzzer says that it tried.
fn runs_told(log: &str) -> u64 {
    log.lines()
        .find_map(|line| line.strip_prefix("stat::number_of_executed_units:"))
        .and_then(|number| number.trim().parse().ok())
        .unwrap_or(0)
}

/// CPU time of all the programs that we ran to their ends, in whole seconds.
fn children_seconds() -> Result<u64> {
    let stat = fs::read_to_string("/proc/self/stat").context("asking the kernel for CPU times")?;
    ticks_of_children(&stat)
        .map(|ticks| ticks / TICKS_EACH_SECOND)
        .context("expected two CPU times of children in /proc/self/stat")
}

/// What Linux counts in, towards programs.
const TICKS_EACH_SECOND: u64 = 100;

/// The name in parentheses may hold anything; 13 fields behind it are those of children.
fn ticks_of_children(stat: &str) -> Option<u64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_whitespace().skip(13);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_how_many_runs_there_were() {
        let log = "#9 DONE cov: 3\nstat::number_of_executed_units: 1234\nstat::peak_rss_mb: 40\n";
        assert_eq!(runs_told(log), 1234);
        assert_eq!(runs_told("ERROR: libFuzzer: deadly signal"), 0);
    }

    #[test]
    fn reads_which_inputs_did_harm() {
        let log =
            "#9 NEW cov: 3\nartifact_prefix='a/'; Test unit written to a/crash-1f\nBase64: AA==\n";
        assert_eq!(inputs_told(log), [PathBuf::from("a/crash-1f")]);
        assert!(inputs_told("#9 DONE cov: 3\n").is_empty());
    }

    #[test]
    fn reads_the_children_s_time_behind_any_name() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194304 100 200 0 0 11 12 1300 45 20 0 1 0 99";
        assert_eq!(ticks_of_children(stat), Some(1345));
        assert_eq!(ticks_of_children("7 (a) S 1"), None);
    }

    #[test]
    fn every_target_has_seeds_and_a_binary() {
        let known = targets().unwrap();
        for room in ROOMS {
            assert!(known.values().any(|it| *it == room), "{room}");
        }
        for (target, room) in known {
            let manifest = fs::read_to_string(root().join(room).join("Cargo.toml")).unwrap();
            let seeds = root().join(room).join("seeds").join(&target);
            assert!(fs::read_dir(seeds).unwrap().count() > 0, "{target}");
            assert!(
                manifest.contains(&format!("path = \"targets/{target}.rs\"")),
                "{target}"
            );
        }
    }
}
