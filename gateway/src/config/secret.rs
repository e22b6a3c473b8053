//! Secrets in settings.

use serde::Deserialize;
use std::fmt;

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
