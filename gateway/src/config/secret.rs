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

/// The secret in a file, without the end of its line. A file that is longer than any secret is refused: it is another
/// file, and what were left of it would be the wrong secret.
///
/// # Errors
/// Names the setting that named the file.
pub(crate) fn read_secret(key: &'static str, path: &Path) -> Result<Secret, ConfigError> {
    let mut text = String::new();
    let read =
        File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text));
    let found = match read {
        Ok(bytes) if bytes as u64 > FILE_BYTES_MAX => format!("more than {FILE_BYTES_MAX} bytes"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_taken_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        let longest = FILE_BYTES_MAX as usize;
        for (bytes, is_taken) in [(0, false), (1, true), (longest, true), (longest + 1, false)] {
            std::fs::write(&file, "x".repeat(bytes)).unwrap();
            match read_secret("mqtt_password_file", &file) {
                Ok(Secret(secret)) => assert!(is_taken && secret.len() == bytes, "{bytes}"),
                Err(error) => {
                    let words = error.to_string();
                    assert!(!is_taken && !words.contains("xx"), "{bytes}: {words}");
                    assert!(
                        bytes == 0 || words.contains("more than 4096 bytes"),
                        "{words}"
                    );
                }
            }
        }
        // An end of a line that is one too many is as good as anything else.
        std::fs::write(&file, "x".repeat(longest) + "\n").unwrap();
        assert!(read_secret("mqtt_password_file", &file).is_err());
    }
}
