//! What the console keeps between runs: the log-in, and the installation's identity. The folder is
//! for its owner alone, and so is every file in it.

use crate::exit::{Exit, Failure};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};
use switchyard_client::{GatewayUrl, Installation, Token};

/// The console's folder.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    folder: PathBuf,
}

/// A log-in as it is stored.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) gateway: GatewayUrl,
    pub(crate) account: String,
    pub(crate) token: Token,
}

#[derive(Serialize, Deserialize)]
struct LogInFile {
    gateway: String,
    account: String,
    token: String,
}

/// The installation's identity, while this process is the one that uses it. Two processes under one
/// identity would throw each other out; the second gets a leased address instead.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) installation: Installation,
    _lock: File,
}

impl Config {
    /// The folder given, or `switchyard` in the place for configuration.
    pub(crate) fn find(given: Option<PathBuf>) -> Result<Self, Failure> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let folder = given
            .or_else(|| set("XDG_CONFIG_HOME").map(|base| PathBuf::from(base).join("switchyard")))
            .or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".config/switchyard")))
            .ok_or_else(|| Failure::usage("expected HOME or --config DIR to be set"))?;
        Ok(Config { folder })
    }

    /// The stored log-in.
    pub(crate) fn log_in(&self) -> Result<Stored, Failure> {
        let path = self.log_in_path();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(Failure::new(
                    Exit::LogIn,
                    "not logged in; run `switchyard login http://GATEWAY`",
                ));
            }
            Err(error) => {
                return Err(anyhow::Error::from(error)
                    .context(format!("reading {}", path.display()))
                    .into());
            }
        };
        let broken = || {
            Failure::new(
                Exit::LogIn,
                format!(
                    "{} is damaged; run `switchyard login` again",
                    path.display()
                ),
            )
        };
        let file: LogInFile = serde_json::from_str(&text).map_err(|_| broken())?;
        Ok(Stored {
            gateway: file.gateway.parse().map_err(|_| broken())?,
            account: file.account,
            token: Token::new(file.token),
        })
    }

    /// Remembers a log-in.
    pub(crate) fn store(&self, log_in: &Stored) -> Result<()> {
        let file = LogInFile {
            gateway: log_in.gateway.to_string(),
            account: log_in.account.clone(),
            token: log_in.token.reveal().to_owned(),
        };
        let text = serde_json::to_string_pretty(&file)?;
        self.write(&self.log_in_path(), text.as_bytes())
    }

    /// Forgets the log-in; the installation keeps its identity, and so its address.
    pub(crate) fn forget(&self) -> Result<()> {
        match fs::remove_file(self.log_in_path()) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).context("forgetting the log-in")
            }
            _ => Ok(()),
        }
    }

    /// The installation's identity, made at its first use; `None` while another process has it.
    pub(crate) fn hold(&self) -> Result<Option<Held>> {
        self.make_folder()?;
        let path = self.folder.join("installation");
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("opening {}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => {
                return Err(error).context("locking the installation's identity");
            }
        }
        let text = fs::read_to_string(&path)?;
        let installation = match from_hex(text.trim()) {
            Some(bytes) => Installation(bytes),
            None => {
                let made = Installation::random();
                let hex: String = made.0.iter().map(|byte| format!("{byte:02x}")).collect();
                // Written in place: the lock lies on this very file.
                fs::write(&path, hex + "\n")?;
                made
            }
        };
        Ok(Some(Held {
            installation,
            _lock: lock,
        }))
    }

    fn log_in_path(&self) -> PathBuf {
        self.folder.join("login.json")
    }

    fn make_folder(&self) -> Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)
            .and_then(|()| fs::set_permissions(&self.folder, PermissionsExt::from_mode(0o700)))
            .with_context(|| format!("making the folder {}", self.folder.display()))
    }

    /// Writes a file whole or not at all, readable by its owner alone from its first byte on.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        self.make_folder()?;
        let part = path.with_extension(format!("part-{:08x}", rand::random::<u32>()));
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&part)
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&part, path));
        if written.is_err() {
            let _ = fs::remove_file(&part);
        }
        written.with_context(|| format!("writing {}", path.display()))
    }
}

fn from_hex(text: &str) -> Option<[u8; 16]> {
    if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 16];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_secrets_to_its_owner() {
        let base = tempfile::tempdir().unwrap();
        let config = Config::find(Some(base.path().join("a/b"))).unwrap();
        assert_eq!(config.log_in().unwrap_err().exit(), Exit::LogIn as u8);
        let log_in = Stored {
            gateway: "http://yard:8080".parse().unwrap(),
            account: "li".into(),
            token: Token::new("secret"),
        };
        config.store(&log_in).unwrap();
        config.store(&log_in).unwrap();
        assert_eq!(config.log_in().unwrap().token, log_in.token);
        let held = config.hold().unwrap().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&config.folder), 0o700);
        for entry in fs::read_dir(&config.folder).unwrap() {
            assert_eq!(mode(&entry.unwrap().path()), 0o600);
        }
        assert!(config.hold().unwrap().is_none(), "one process at a time");
        let before = held.installation;
        drop(held);
        assert_eq!(config.hold().unwrap().unwrap().installation, before);
        config.forget().unwrap();
        config.forget().unwrap();
        assert!(config.log_in().is_err());
        fs::write(config.log_in_path(), "{}").unwrap();
        assert_eq!(config.log_in().unwrap_err().exit(), Exit::LogIn as u8);
    }
}
