//! What is kept between runs, in the app's own configuration folder: who was logged in where, and what owns this
//! installation's address on each gateway. Secrets: the file is the owner's alone (mode 0600) and nothing of it goes to
//! the page or into a log.

use std::{
    fmt,
    fs::{File, TryLockError},
    io,
    io::Write,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use switchyard_client::{Installation, Token};

use crate::dto::{hex, sixteen_bytes};

/// The file's name in the configuration folder.
pub const FILE_NAME: &str = "desktop.json";
/// Locked by the window that may write the settings.
const LOCK_NAME: &str = "desktop.lock";
/// Gateways whose address is remembered: more than any technician serves, and a small file still.
const INSTALLATIONS_MAX: usize = 64;

/// Why the settings could not be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Reading failed.
    #[error("could not read the settings at {path}")]
    Read {
        /// Where.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Writing failed.
    #[error("could not write the settings at {path}")]
    Write {
        /// Where.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another window of this installation is open.
    #[error("another window keeps the settings")]
    InUse,
}

/// A log-in that outlives the program.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptLogIn {
    /// The gateway, as it was dialled.
    pub gateway: String,
    /// The account's name.
    pub account: String,
    /// Its role when it logged in; the gateway says the present one.
    pub role: u8,
    /// Secret.
    pub token: Token,
}

impl fmt::Debug for KeptLogIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "KeptLogIn({} at {}, token ***)",
            self.account, self.gateway
        )
    }
}

/// The settings, and where they are kept.
pub struct Settings {
    path: PathBuf,
    kept: Kept,
    lock: Lock,
}

/// One window at a time keeps the settings and goes by the installation's address: a second one that did would throw the
/// first off the gateway, and write over what it has kept.
enum Lock {
    Held { _file: Option<File> },
    Elsewhere,
}

impl Lock {
    fn take(folder: &Path) -> Self {
        let file =
            std::fs::create_dir_all(folder).and_then(|()| File::create(folder.join(LOCK_NAME)));
        match file.map(|file| (file.try_lock(), file)) {
            Ok((Ok(()), file)) => Lock::Held { _file: Some(file) },
            Ok((Err(TryLockError::WouldBlock), _)) => Lock::Elsewhere,
            // A folder that takes no lock takes no settings either, and says so when they are written: no reason to
            // keep anybody out.
            Ok((Err(TryLockError::Error(error)), _)) | Err(error) => {
                tracing::warn!(%error, "could not lock the settings");
                Lock::Held { _file: None }
            }
        }
    }
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Kept {
    log_in: Option<StoredLogIn>,
    /// The most recently used first.
    #[serde(default)]
    installations: Vec<StoredInstallation>,
}

#[derive(Clone, Serialize, Deserialize)]
struct StoredLogIn {
    gateway: String,
    account: String,
    role: u8,
    token: String,
}

#[derive(Clone, Serialize, Deserialize)]
struct StoredInstallation {
    gateway: String,
    secret: String,
}

impl Settings {
    /// Reads the settings out of a folder, which need not exist yet. A file that cannot be understood is put aside as
    /// `desktop.json.bad`, and everything starts anew: a technician whose disk filled up must still get in.
    ///
    /// # Errors
    /// [`Error::Read`] when a file is there and the system does not give it.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(FILE_NAME);
        let lock = Lock::take(folder);
        let kept = Self::read(&path)?;
        Ok(Self { path, kept, lock })
    }

    fn read(path: &Path) -> Result<Kept, Error> {
        let failed = |source| Error::Read {
            path: path.to_owned(),
            source,
        };
        Ok(match std::fs::read(path) {
            Ok(bytes) => {
                only_the_owner(path).map_err(failed)?;
                serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                    let aside = path.with_extension("json.bad");
                    tracing::warn!(path = %path.display(), line = error.line(), "settings not understood, put aside");
                    if let Err(error) = std::fs::rename(path, &aside) {
                        tracing::warn!(%error, "could not put the old settings aside");
                    }
                    Kept::default()
                })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Kept::default(),
            Err(error) => return Err(failed(error)),
        })
    }

    /// Who is to be logged in again.
    pub fn log_in(&self) -> Option<KeptLogIn> {
        self.kept.log_in.as_ref().map(|stored| KeptLogIn {
            gateway: stored.gateway.clone(),
            account: stored.account.clone(),
            role: stored.role,
            token: Token::new(stored.token.clone()),
        })
    }

    /// Keeps a log-in, or forgets it.
    ///
    /// # Errors
    /// [`Error::Write`] and [`Error::InUse`]; what was kept before stands then.
    pub fn keep_log_in(&mut self, log_in: Option<&KeptLogIn>) -> Result<(), Error> {
        if matches!(self.lock, Lock::Elsewhere) {
            return match log_in {
                None => self.forget_the_shared(),
                Some(_) => {
                    self.kept.log_in = None;
                    Err(Error::InUse)
                }
            };
        }
        let mut kept = self.kept.clone();
        kept.log_in = log_in.map(|log_in| StoredLogIn {
            gateway: log_in.gateway.clone(),
            account: log_in.account.clone(),
            role: log_in.role,
            token: log_in.token.reveal().to_owned(),
        });
        self.write(kept)
    }

    /// The log-in that this second window found at its start is revoked with its log-out: it goes from the disk too, and
    /// nothing else does.
    fn forget_the_shared(&mut self) -> Result<(), Error> {
        let Some(found) = self.kept.log_in.take() else {
            return Ok(());
        };
        let mut kept = Self::read(&self.path)?;
        match kept.log_in.take_if(|now| now.token == found.token) {
            Some(_) => self.write(kept),
            None => Ok(()),
        }
    }

    /// What owns this installation's address on that gateway: made at the first call and kept for life. One for each
    /// gateway, since who holds one could pose as this tool elsewhere.
    ///
    /// # Errors
    /// [`Error::Write`] when a new one could not be kept; [`Error::InUse`] while another window goes by it.
    pub fn installation(&mut self, gateway: &str) -> Result<Installation, Error> {
        if matches!(self.lock, Lock::Elsewhere) {
            return Err(Error::InUse);
        }
        let known = self
            .kept
            .installations
            .iter()
            .position(|one| one.gateway == gateway);
        let mut kept = self.kept.clone();
        let found = known
            .map(|at| kept.installations.remove(at))
            .and_then(|one| sixteen_bytes(&one.secret));
        if let (Some(0), Some(bytes)) = (known, found) {
            return Ok(Installation(bytes));
        }
        let installation = found.map_or_else(Installation::random, Installation);
        let secret = hex(&installation.0);
        kept.installations.insert(
            0,
            StoredInstallation {
                gateway: gateway.to_owned(),
                secret,
            },
        );
        kept.installations.truncate(INSTALLATIONS_MAX);
        self.write(kept)?;
        Ok(installation)
    }

    /// All or nothing: a new file beside the old one takes its name once it is whole.
    fn write(&mut self, kept: Kept) -> Result<(), Error> {
        let failed = |source| Error::Write {
            path: self.path.clone(),
            source,
        };
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let text = serde_json::to_vec_pretty(&kept).map_err(|error| failed(error.into()))?;
        let written = std::fs::create_dir_all(folder).and_then(|()| {
            // Made with mode 0600 from its first moment on.
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(&text)?;
            file.as_file().sync_all()?;
            file.persist(&self.path).map_err(|error| error.error)?;
            only_the_owner(&self.path)
        });
        written.map_err(failed)?;
        self.kept = kept;
        Ok(())
    }
}

#[cfg(unix)]
fn only_the_owner(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
}

/// Elsewhere the configuration folder is in the user's profile, which is the user's alone.
#[cfg(not(unix))]
fn only_the_owner(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn li() -> KeptLogIn {
        KeptLogIn {
            gateway: "yard.example:8080".to_owned(),
            account: "li".to_owned(),
            role: 2,
            token: Token::new("a-secret-token"),
        }
    }

    #[test]
    fn a_log_in_outlives_the_program_and_is_forgotten_on_request() {
        let folder = tempfile::tempdir().expect("a folder");
        let inside = folder.path().join("not/yet/there");
        let mut settings = Settings::open(&inside).expect("nothing yet");
        assert_eq!(settings.log_in(), None);
        settings.keep_log_in(Some(&li())).expect("kept");
        drop(settings);
        let mut again = Settings::open(&inside).expect("there now");
        assert_eq!(again.log_in(), Some(li()));
        again.keep_log_in(None).expect("forgotten");
        assert_eq!(Settings::open(&inside).expect("there").log_in(), None);
        let text = std::fs::read_to_string(inside.join(FILE_NAME)).expect("the file");
        assert!(!text.contains("a-secret-token"), "{text}");
    }

    #[test]
    fn each_gateway_has_its_own_installation_for_life() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut settings = Settings::open(folder.path()).expect("nothing yet");
        let north = settings.installation("north:80").expect("made");
        let south = settings.installation("south:80").expect("made");
        assert_ne!(north, south);
        settings.keep_log_in(None).expect("logged out");
        drop(settings);
        let mut again = Settings::open(folder.path()).expect("there now");
        assert_eq!(again.installation("north:80").expect("known"), north);
        assert_eq!(again.installation("south:80").expect("known"), south);
    }

    #[test]
    fn a_second_window_keeps_nothing_and_has_no_address_of_its_own() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = || Settings::open(folder.path()).expect("opened");
        let mut first = open();
        first.keep_log_in(Some(&li())).expect("kept");
        let mut second = open();
        assert_eq!(second.log_in(), Some(li()));
        assert!(matches!(second.installation("north:80"), Err(Error::InUse)));
        let north = first.installation("north:80").expect("made meanwhile");
        // Its own log-in goes with it; that of the first window stays.
        assert!(matches!(second.keep_log_in(Some(&li())), Err(Error::InUse)));
        second.keep_log_in(None).expect("nothing of its own");
        assert_eq!(open().log_in(), Some(li()));
        // A log-in that both have is revoked for both.
        open().keep_log_in(None).expect("forgotten");
        assert_eq!(open().log_in(), None);
        // Once the first is closed, the next one has the address.
        drop((first, second));
        assert_eq!(open().installation("north:80").expect("known"), north);
    }

    #[test]
    fn the_least_used_gateway_is_forgotten_first() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut settings = Settings::open(folder.path()).expect("nothing yet");
        let used = settings.installation("used:80").expect("made");
        let unused = settings.installation("unused:80").expect("made");
        for n in 0..INSTALLATIONS_MAX {
            assert_eq!(settings.installation("used:80").expect("known"), used);
            settings
                .installation(&format!("gateway{n}:80"))
                .expect("made");
        }
        assert_eq!(settings.kept.installations.len(), INSTALLATIONS_MAX);
        assert_ne!(
            settings.installation("unused:80").expect("made anew"),
            unused
        );
    }

    #[test]
    fn what_cannot_be_understood_is_put_aside() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join(FILE_NAME), "{\"log_in\": 7").expect("written");
        let settings = Settings::open(folder.path()).expect("starts anew");
        assert_eq!(settings.log_in(), None);
        assert!(folder.path().join("desktop.json.bad").is_file());
    }

    #[test]
    fn a_folder_that_takes_nothing_is_said_and_changes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let blocked = folder.path().join("a-file");
        std::fs::write(&blocked, "").expect("written");
        let mut settings = Settings {
            path: blocked.join(FILE_NAME),
            kept: Kept::default(),
            lock: Lock::take(&blocked),
        };
        let error = settings
            .keep_log_in(Some(&li()))
            .expect_err("no folder there");
        assert!(
            error
                .to_string()
                .starts_with("could not write the settings at "),
            "{error}"
        );
        assert_eq!(settings.log_in(), None);
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_the_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(FILE_NAME);
        let mode = || {
            std::fs::metadata(&path)
                .expect("the file")
                .permissions()
                .mode()
                & 0o777
        };
        let mut settings = Settings::open(folder.path()).expect("nothing yet");
        settings.keep_log_in(Some(&li())).expect("kept");
        assert_eq!(mode(), 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("loosened");
        Settings::open(folder.path()).expect("read");
        assert_eq!(mode(), 0o600, "a loosened file is closed again");
    }

    #[test]
    fn secrets_are_masked() {
        assert_eq!(
            format!("{:?}", li()),
            "KeptLogIn(li at yard.example:8080, token ***)"
        );
    }
}
