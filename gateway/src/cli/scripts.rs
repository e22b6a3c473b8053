//! The commands about the library of scripts.

use super::{command_line, moment::Utc};
use crate::{
    compiler::{Compiler, SOURCE_BYTES_MAX},
    fleet::{
        library::{self, CheckError, Taken, Told},
        plan::{Label, script_diff},
    },
    store::{ConfigStore, NewScript, ScriptVersion},
};
use anyhow::{Context as _, bail};
use clap::Subcommand;
use std::{
    io::{Read as _, Write},
    path::{Path, PathBuf},
};

/// Rows that are read from the store at once.
const PER_PAGE: u32 = 500;

#[derive(Debug, Subcommand)]
pub(super) enum ScriptTask {
    /// Add a script, or another version of one, once the compiler has taken it
    Add {
        /// What it is called: 1 to 64 characters among a-z, 0-9, - and _
        label: Label,
        /// The file with its source; standard input without it
        file: Option<PathBuf>,
        /// Why, in a line
        #[arg(long, default_value = "")]
        note: String,
        /// A board that has to take it; may be given several times. Without it one of all boards has to
        #[arg(long = "board", value_name = "NAME")]
        boards: Vec<String>,
    },
    /// List the scripts with their newest versions, or the versions of one
    List {
        /// Which one
        label: Option<Label>,
    },
    /// Print a script's source
    Show {
        /// Which
        label: Label,
        /// Which version; the newest without it
        version: Option<u32>,
    },
    /// Print what changed between two versions of a script, as a unified diff
    Diff {
        /// Which script
        label: Label,
        /// From which version; the one before without it
        from: Option<u32>,
        /// To which version; the newest without it
        to: Option<u32>,
    },
    /// Remove a script with all its versions, unless a roll-out that is kept needs one
    Remove {
        /// Which
        label: Label,
    },
}

/// Does something about the library, and says what came of it.
pub(super) async fn run(
    task: ScriptTask,
    config: &dyn ConfigStore,
    stdout: &mut impl Write,
) -> anyhow::Result<()> {
    match task {
        ScriptTask::Add {
            label,
            file,
            note,
            boards,
        } => {
            if note.chars().any(char::is_control) {
                bail!("expected a note of one line");
            }
            let (source, place) = read_source(file.as_deref())?;
            let taken = check(&Compiler::default(), &boards, &source, &place).await?;
            let script = NewScript {
                label: label.clone(),
                source,
                by: command_line(),
                note,
            };
            let added = config.add_script(script, crate::clock::time()).await?;
            for it in &taken {
                writeln!(stdout, "{}", Cost(it))?;
            }
            let (number, digest) = (added.number, added.digest);
            match added.is_new {
                true => writeln!(stdout, "added {label} version {number}, digest {digest}")?,
                false => writeln!(
                    stdout,
                    "nothing to add: {label} version {number} is the same, digest {digest}"
                )?,
            }
        }
        ScriptTask::List { label } => list(label, config, stdout).await?,
        ScriptTask::Show { label, version } => {
            let (_, source) = find(config, &label, version).await?;
            stdout.write_all(source.as_bytes())?;
        }
        ScriptTask::Diff { label, from, to } => {
            let (new, new_source) = find(config, &label, to).await?;
            let before = new.number.saturating_sub(1);
            let from = from.unwrap_or(before);
            // In front of the first there is nothing.
            let old_source = match from {
                0 => String::new(),
                from => find(config, &label, Some(from)).await?.1,
            };
            let (old, new) = (format!("{label} {from}"), format!("{label} {}", new.number));
            let diff = script_diff((&old, &old_source), (&new, &new_source));
            stdout.write_all(diff.as_bytes())?;
        }
        ScriptTask::Remove { label } => {
            let removed = config.remove_script(label.clone(), crate::clock::time());
            if !removed.await? {
                bail!("there is no script {label}");
            }
            writeln!(stdout, "removed {label}")?;
        }
    }
    Ok(())
}

/// A script's source, and what to call its place.
fn read_source(file: Option<&Path>) -> anyhow::Result<(String, String)> {
    let (reader, place): (Box<dyn std::io::Read>, _) = match file {
        None => (
            Box::new(std::io::stdin().lock()),
            "standard input".to_owned(),
        ),
        Some(path) => {
            let place = path.display().to_string();
            let file = std::fs::File::open(path).with_context(|| format!("cannot read {place}"))?;
            (Box::new(file), place)
        }
    };
    let mut source = String::new();
    let most = SOURCE_BYTES_MAX as u64 + 1;
    reader
        .take(most)
        .read_to_string(&mut source)
        .with_context(|| format!("cannot read {place}"))?;
    if source.len() > SOURCE_BYTES_MAX {
        bail!("{place}: expected a script of at most {SOURCE_BYTES_MAX} bytes");
    }
    Ok((source, place))
}

/// Compiles a script; what is wrong is told by its place.
pub(super) async fn check(
    compiler: &Compiler,
    boards: &[String],
    source: &str,
    place: &str,
) -> anyhow::Result<Vec<Taken>> {
    let checked = library::check(compiler, boards, source).await;
    checked.map_err(|error| match error {
        CheckError::Refused { board, fault } => anyhow::anyhow!(
            "{place}:{}:{}: {} (board {board})",
            fault.line,
            fault.column,
            Told(&fault)
        ),
        CheckError::Compiler(error) => anyhow::Error::new(error).context(place.to_owned()),
    })
}

/// What a script costs at a board.
struct Cost<'a>(&'a Taken);

impl std::fmt::Display for Cost<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Taken { board, summary } = self.0;
        write!(
            f,
            "{board}: {} bytes, {} operations, {} µs a scan at most",
            summary.program_bytes, summary.operations, summary.scan_micros
        )
    }
}

async fn find(
    config: &dyn ConfigStore,
    label: &Label,
    number: Option<u32>,
) -> anyhow::Result<(ScriptVersion, String)> {
    let found = config.script(label.clone(), number).await?;
    found.with_context(|| match number {
        None => format!("there is no script {label}"),
        Some(number) => format!("there is no version {number} of a script {label}"),
    })
}

async fn list(
    label: Option<Label>,
    config: &dyn ConfigStore,
    stdout: &mut impl Write,
) -> anyhow::Result<()> {
    let Some(label) = label else {
        let mut after = None;
        loop {
            let page = config.scripts(after, PER_PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.label.clone());
            for version in &page {
                writeln!(stdout, "{:<24} {}", version.label.as_str(), Line(version))?;
            }
        }
    };
    let mut before = None;
    loop {
        let page = config.script_versions(label.clone(), before, PER_PAGE);
        let page = page.await?;
        let Some(last) = page.last() else {
            break;
        };
        before = Some(last.number);
        for version in &page {
            writeln!(stdout, "{}", Line(version))?;
        }
    }
    if before.is_none() {
        bail!("there is no script {label}");
    }
    Ok(())
}

/// A version on a line, without its label.
struct Line<'a>(&'a ScriptVersion);

impl std::fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ScriptVersion {
            number,
            digest,
            bytes,
            added,
            by,
            note,
            ..
        } = self.0;
        let digest = digest.to_string();
        let (digest, added) = (&digest[..12], Utc(*added));
        let by = by.as_str().trim_start();
        write!(f, "{number:>4} {digest} {bytes:>5} bytes {added} {by}")?;
        match note.as_str() {
            "" => Ok(()),
            note => write!(f, ": {note}"),
        }
    }
}
