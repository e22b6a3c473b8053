//! Files that the settings name and that hold keys.

use super::{ConfigError, Secret};
use crate::store::Sealer;
use std::path::PathBuf;

/// The PEM files that TLS is spoken with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The host's certificate, and those that vouch for it.
    pub certificate: PathBuf,
    /// The private key of the first.
    pub key: PathBuf,
}

impl TlsFiles {
    /// Both files or neither; a name without a letter counts as none.
    pub(super) fn resolve(
        certificate: Option<PathBuf>,
        key: Option<PathBuf>,
    ) -> Result<Option<Self>, ConfigError> {
        let named = |path: Option<PathBuf>| path.filter(|path| !path.as_os_str().is_empty());
        let half = |given, missing| Err(ConfigError::HalfOfTls { given, missing });
        match (named(certificate), named(key)) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate, key })),
            (Some(_), None) => half("tls_certificate", "tls_key"),
            (None, Some(_)) => half("tls_key", "tls_certificate"),
        }
    }

    /// Whether others than its owner may do something with the key's file.
    pub(super) fn key_is_open(&self) -> bool {
        #[cfg(unix)]
        let is_open = std::fs::metadata(&self.key).is_ok_and(|metadata| {
            std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o077 != 0
        });
        #[cfg(not(unix))]
        let is_open = false;
        is_open
    }
}

/// Where the master key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MasterKey {
    /// From the settings.
    Given(Secret),
    /// From a file, which is made with a new key where there is none.
    File(PathBuf),
}

impl MasterKey {
    /// What seals under it.
    ///
    /// # Errors
    /// When the file cannot be read or made, is open to others, or it is no master key.
    pub fn sealer(&self) -> anyhow::Result<Sealer> {
        match self {
            MasterKey::Given(key) => Sealer::from_text(&key.0),
            MasterKey::File(path) => Sealer::from_file(path),
        }
    }
}
