//! A fleet's files on disk: `fleet.toml`, and beside it the folder `scripts`.

use super::plan::{FILE_BYTES_MAX, FilesError, Fleet, GROUPS_MAX, Label};
use crate::compiler::SOURCE_BYTES_MAX;
use anyhow::{Context as _, bail};
use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};

/// The fleet's file.
const FILE: &str = "fleet.toml";
/// The folder of scripts beside it.
const SCRIPTS: &str = "scripts";
/// What a script's file ends with.
const EXTENSION: &str = "script";

/// A folder of a fleet's files.
#[derive(Clone, Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(path: &Path) -> Self {
        Self(path.into())
    }

    fn file(&self) -> PathBuf {
        self.0.join(FILE)
    }

    /// Where a script lies.
    pub(crate) fn script(&self, label: &Label) -> PathBuf {
        let name = format!("{label}.{EXTENSION}");
        self.0.join(SCRIPTS).join(name)
    }

    /// Reads all of it.
    ///
    /// # Errors
    /// Names the file, and where it can the line.
    pub(crate) fn read(&self) -> anyhow::Result<Fleet> {
        let file = self.file();
        let text = read_text(&file, FILE_BYTES_MAX)?;
        Fleet::parse(&text, self.read_scripts()?).map_err(|error| match error {
            FilesError::At { line, message } => {
                anyhow::anyhow!("{}:{line}: {}", file.display(), message.trim_end())
            }
            other => anyhow::anyhow!("{}: {other}", file.display()),
        })
    }

    fn read_scripts(&self) -> anyhow::Result<BTreeMap<Label, String>> {
        let mut scripts = BTreeMap::new();
        for path in self.script_files()? {
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            let label = stem.unwrap_or_default().parse::<Label>();
            let label = label.map_err(|expected| {
                anyhow::anyhow!("{}: {expected} before .{EXTENSION}", path.display())
            })?;
            scripts.insert(label, read_text(&path, SOURCE_BYTES_MAX)?);
            if scripts.len() > GROUPS_MAX {
                bail!(
                    "{}: expected at most {GROUPS_MAX} scripts",
                    self.0.display()
                );
            }
        }
        Ok(scripts)
    }

    /// The scripts' files; none where there is no folder of them.
    fn script_files(&self) -> anyhow::Result<Vec<PathBuf>> {
        let folder = self.0.join(SCRIPTS);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", folder.display()));
            }
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|it| it == EXTENSION) {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }

    /// Writes all of it, in place of what is there if it may be replaced. Scripts that are there and not in the
    /// fleet are left alone, and told.
    ///
    /// # Errors
    /// Names the file.
    pub(crate) fn write(&self, fleet: &Fleet, replace: bool) -> anyhow::Result<Vec<PathBuf>> {
        let file = self.file();
        if file.exists() && !replace {
            bail!(
                "expected a folder without a {FILE} and found {}; --replace writes over it",
                file.display()
            );
        }
        let folder = self.0.join(SCRIPTS);
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        for (label, source) in &fleet.scripts {
            write_text(&self.script(label), source)?;
        }
        write_text(&file, &fleet.to_toml())?;
        let is_ours = |path: &PathBuf| fleet.scripts.keys().any(|it| self.script(it) == *path);
        let mut others = self.script_files()?;
        others.retain(|path| !is_ours(path));
        Ok(others)
    }
}

fn read_text(path: &Path, bytes_max: usize) -> anyhow::Result<String> {
    let cannot = || format!("cannot read {}", path.display());
    let file = fs::File::open(path).with_context(cannot)?;
    let mut bytes = Vec::new();
    let most = bytes_max as u64 + 1;
    file.take(most)
        .read_to_end(&mut bytes)
        .with_context(cannot)?;
    if bytes.len() > bytes_max {
        bail!("{}: expected at most {bytes_max} bytes", path.display());
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = error.utf8_error().valid_up_to();
        let bytes = &error.as_bytes()[..before];
        let line = bytes.iter().filter(|byte| **byte == b'\n').count() + 1;
        anyhow::anyhow!("{}:{line}: expected UTF-8", path.display())
    })
}

/// Writes a file beside its place first: whoever reads it meanwhile, or after a crash, finds the whole old one or
/// the whole new one.
fn write_text(path: &Path, text: &str) -> anyhow::Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    let mut unfinished = path.to_owned().into_os_string();
    unfinished.push(format!(".unfinished-{:08x}", rand::random::<u32>()));
    let written = fs::File::create_new(&unfinished).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    });
    if written.is_err() {
        // What is of no use does not stay; whether it goes changes nothing.
        let _ = fs::remove_file(&unfinished);
    }
    written.with_context(cannot)
}
