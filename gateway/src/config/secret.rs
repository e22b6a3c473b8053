//! Secrets in settings, and in files that settings name.

use super::ConfigError;
use serde::Deserialize;
use std::{fmt, fs::File, io::Read as _, path::Path};

/// The largest file that is taken for a secret.
const FILE_BYTES_MAX: u64 = 4 * 1024;

/// A secret that must never reach a log: its `Debug` prints a mask.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct Secret(pub String);

impl From<String> for Secret {
    fn from(secret: String) -> Self {
        Secret(secret)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The secret in a file, without the end of its line.
///
/// # Errors
/// Names the setting that named the file.
pub(crate) fn read_secret(key: &'static str, path: &Path) -> Result<Secret, ConfigError> {
    let mut text = String::new();
    let read =
        File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text));
    let found = match read {
        Ok(_) if text.trim_end_matches(['\r', '\n']).is_empty() => "nothing in it".into(),
        Ok(_) => return Ok(Secret(text.trim_end_matches(['\r', '\n']).to_owned())),
        Err(error) => error.to_string(),
    };
    Err(ConfigError::BadValue {
        key,
        expected: "a file that can be read, with the secret in it",
        found: format!("{}: {found}", path.display()),
    })
}
