//! A text file that only grows by whole lines, each on the disk before anybody acts on it, for this person's eyes alone.

use super::BatchError;
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    /// Where the next line belongs.
    end: u64,
}

impl Journal {
    /// Opens a file or begins one, and gives its lines. A last one that power cut off is taken off. Other programs are
    /// kept out as long as this lives.
    pub(super) fn open(path: &Path, bytes_max: u64) -> Result<(Self, Vec<String>), BatchError> {
        let failed = |what| {
            move |source| BatchError::File {
                what,
                path: path.to_owned(),
                source,
            }
        };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(failed("opening"))?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => BatchError::InUse {
                path: path.to_owned(),
            },
            TryLockError::Error(source) => failed("locking")(source),
        })?;
        // A copy may have come with another mode.
        #[cfg(unix)]
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .map_err(failed("closing to others"))?;
        let mut bytes = Vec::new();
        let read = (&mut file).take(bytes_max + 1).read_to_end(&mut bytes);
        read.map_err(failed("reading"))?;
        if bytes.len() as u64 > bytes_max {
            return Err(BatchError::TooLarge {
                path: path.to_owned(),
            });
        }
        let end = bytes
            .iter()
            .rposition(|it| *it == b'\n')
            .map_or(0, |at| at + 1);
        bytes.truncate(end);
        let text = String::from_utf8(bytes).map_err(|error| {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            BatchError::Line {
                path: path.to_owned(),
                line: before.iter().filter(|it| **it == b'\n').count() + 1,
            }
        })?;
        let journal = Journal {
            path: path.to_owned(),
            file,
            end: end as u64,
        };
        // The name of a new file has to outlive a loss of power too; only Unix has a way to ask for that.
        #[cfg(unix)]
        if let Some(folder) = path.parent() {
            let is_here = folder.as_os_str().is_empty();
            let folder = if is_here { Path::new(".") } else { folder };
            let synced = File::open(folder).and_then(|it| it.sync_all());
            synced.map_err(failed("writing"))?;
        }
        Ok((journal, text.lines().map(str::to_owned).collect()))
    }

    /// Adds a line. When this returns it is on the disk; when it fails, the file is as before.
    pub(super) fn append(&mut self, line: &str) -> Result<(), BatchError> {
        let end = self.end;
        let mut write = || {
            // What a write that failed has left is cut off.
            self.file.set_len(end)?;
            self.file.seek(SeekFrom::Start(end))?;
            self.file.write_all(format!("{line}\n").as_bytes())?;
            self.file.sync_data()
        };
        let written = write();
        if written.is_err() {
            // A line that may not be on the disk must not be read as one that is.
            let _ = self.file.set_len(end);
        }
        written.map_err(|source| BatchError::File {
            what: "writing",
            path: self.path.clone(),
            source,
        })?;
        self.end = end + line.len() as u64 + 1;
        Ok(())
    }
}
