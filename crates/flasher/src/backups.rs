//! Copies of what is overwritten, where every tool on this machine keeps them.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use crate::Chip;

/// Keeps what was on a board before it is written. Its [`keep`](Self::keep) is a [`Backup`](crate::Backup).
#[derive(Debug)]
pub struct Backups {
    folder: PathBuf,
    begun: String,
    files: Vec<PathBuf>,
}

impl Backups {
    /// In that folder, or else in `switchyard/backups` of the place where this person's programs keep their state.
    #[must_use]
    pub fn new(folder: Option<PathBuf>) -> Self {
        // What is empty or relative counts as not set, as the XDG Base Directory Specification has it.
        let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
        let state = state.filter(|it| it.is_absolute());
        let local = || std::env::var_os("LOCALAPPDATA").map(PathBuf::from);
        let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".local/state"));
        let state = state.or_else(local).or_else(home).unwrap_or_default();
        let now = jiff::Timestamp::now();
        Backups {
            folder: folder.unwrap_or_else(|| state.join("switchyard/backups")),
            begun: now.strftime("%Y%m%dT%H%M%SZ").to_string(),
            files: Vec::new(),
        }
    }

    /// Keeps one copy. Never over another: where a write is begun anew, the first copy is the one that counts.
    ///
    /// # Errors
    /// What the system says of the folder or the file; nothing is left of the copy then.
    pub fn keep(&mut self, chip: &Chip, offset: u32, bytes: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let board: String = chip.mac.iter().map(|byte| format!("{byte:02x}")).collect();
        let name = format!("{board}-{}-{offset:#08x}", self.begun);
        // Whole under its name, or not at all.
        let mut part = tempfile::NamedTempFile::new_in(&self.folder)?;
        part.write_all(bytes)?;
        part.as_file().sync_all()?;
        let mut part = part.into_temp_path();
        for copy in 1.. {
            let again = if copy > 1 {
                format!("-{copy}")
            } else {
                String::new()
            };
            let file = self.folder.join(format!("{name}{again}.bin"));
            match part.persist_noclobber(&file) {
                Ok(()) => {
                    // Its name has to outlive a loss of power as well; only Unix has a way to ask for that.
                    #[cfg(unix)]
                    fs::File::open(&self.folder)?.sync_all()?;
                    self.files.push(file);
                    break;
                }
                Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => {
                    part = failed.path;
                }
                Err(failed) => return Err(failed.error),
            }
        }
        Ok(())
    }

    /// The copies by now.
    #[must_use]
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }
}
