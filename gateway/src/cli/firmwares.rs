//! The commands about the library of firmwares.

use super::{command_line, moment::Utc};
use crate::{
    fleet::firmware::{self, FirmwareName, UPDATES_BYTES_MAX},
    store::{ConfigStore, Firmware, NewFirmware},
};
use anyhow::{Context as _, bail};
use clap::Subcommand;
use std::{
    io::{Read as _, Write},
    path::PathBuf,
};

#[derive(Debug, Subcommand)]
pub(super) enum FirmwareTask {
    /// Add a firmware: the two signed updates of one version for one board, one for each slot
    Add {
        /// The files, as `cargo xtask firmware --sign` makes them
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Why, in a line
        #[arg(long, default_value = "")]
        note: String,
    },
    /// List the firmwares: board and version, digest, length, when they were added and by whom
    List,
    /// Remove a firmware, unless a roll-out that is kept needs it
    Remove {
        /// Its board, @ and its version
        firmware: FirmwareName,
    },
}

/// Does something about the library, and says what came of it.
pub(super) async fn run(
    task: FirmwareTask,
    config: &dyn ConfigStore,
    stdout: &mut impl Write,
) -> anyhow::Result<()> {
    match task {
        FirmwareTask::Add { files, note } => {
            if note.chars().any(char::is_control) {
                bail!("expected a note of one line");
            }
            let updates = firmware::read(read_files(&files)?.into())?;
            let new = NewFirmware {
                name: updates.name.clone(),
                lowest: updates.lowest,
                content: updates.content,
                by: command_line(),
                note,
            };
            let added = config.add_firmware(new, crate::clock::time()).await?;
            let (name, digest) = (updates.name, added.digest);
            match added.is_new {
                true => writeln!(stdout, "added {name}, digest {digest}")?,
                false => writeln!(stdout, "nothing to add: {name} is there, digest {digest}")?,
            }
        }
        FirmwareTask::List => {
            for firmware in config.firmwares().await? {
                writeln!(stdout, "{}", Line(&firmware))?;
            }
        }
        FirmwareTask::Remove { firmware } => {
            let removed = config.remove_firmware(firmware.clone(), crate::clock::time());
            if !removed.await? {
                bail!("there is no firmware {firmware}");
            }
            writeln!(stdout, "removed {firmware}")?;
        }
    }
    Ok(())
}

/// One behind the other.
fn read_files(files: &[PathBuf]) -> anyhow::Result<Vec<u8>> {
    let mut all = Vec::new();
    for path in files {
        let place = path.display();
        let file = std::fs::File::open(path).with_context(|| format!("cannot read {place}"))?;
        let most = (UPDATES_BYTES_MAX + 1 - all.len()) as u64;
        let read = file.take(most).read_to_end(&mut all);
        read.with_context(|| format!("cannot read {place}"))?;
        if all.len() > UPDATES_BYTES_MAX {
            bail!("expected two updates of at most {UPDATES_BYTES_MAX} bytes together");
        }
    }
    Ok(all)
}

/// A firmware on a line.
struct Line<'a>(&'a Firmware);

impl std::fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Firmware {
            name,
            digest,
            bytes,
            added,
            by,
            note,
            ..
        } = self.0;
        let (name, digest) = (name.to_string(), digest.to_string());
        let (digest, added) = (&digest[..12], Utc(*added));
        let by = by.as_str().trim_start();
        write!(f, "{name:<28} {digest} {bytes:>8} bytes {added} {by}")?;
        match note.as_str() {
            "" => Ok(()),
            note => write!(f, ": {note}"),
        }
    }
}
