//! C sources that come out of crates: declared so that the lock file pins them, never compiled by cargo.

use crate::run::{cargo, output};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// The folder of Monocypher's C sources.
///
/// # Errors
/// When cargo does not know the crate, or it does not hold them.
pub(crate) fn monocypher() -> Result<PathBuf> {
    folder_with("monocypher-sys", "monocypher.c")
}

/// The folder of Lua's C sources; the package holds several versions.
///
/// # Errors
/// As [`monocypher`].
pub(crate) fn lua() -> Result<PathBuf> {
    let other = folder_with("lua-src", "lapi.c")?;
    let versions = other.parent().context("expected a folder of versions")?;
    let mut found = std::fs::read_dir(versions)?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().contains("/lua-5.4."));
    found.next().context("expected Lua 5.4 in lua-src")
}

/// The folder with `file` inside the package.
fn folder_with(package: &str, file: &str) -> Result<PathBuf> {
    let json = output(cargo().args(["metadata", "--format-version", "1", "--locked"]))
        .context("asking cargo for its metadata")?;
    let metadata: serde_json::Value = serde_json::from_str(&json)?;
    let manifest = metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|found| found["name"] == package)
        .and_then(|found| found["manifest_path"].as_str())
        .with_context(|| format!("expected {package} among the dependencies"))?;
    let folder = Path::new(manifest)
        .parent()
        .context("expected a folder above the manifest")?;
    find(folder, file).with_context(|| format!("expected {file} below {}", folder.display()))
}

fn find(folder: &Path, file: &str) -> Option<PathBuf> {
    if folder.join(file).exists() {
        return Some(folder.into());
    }
    let entries = std::fs::read_dir(folder).ok()?;
    entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .find_map(|path| find(&path, file))
}
