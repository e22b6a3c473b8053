//! What a batch of boards is to become: a job file, signed by whoever prepared it. The file's format stands in
//! `docs/batch.md`.
//!
//! [`Job::open`] looks at everything a job says and brings, signature first, before anybody touches a board: whoever holds
//! a [`Job`] holds its images and its script in memory, as they were signed.

mod naming;
mod raw;
mod seal;
#[cfg(test)]
mod tests;

pub use naming::{Naming, NamingError};
pub use seal::{JobKey, TrustedKey};
pub(crate) use seal::{hex, unhex};

use crate::{Density, LabelError, LabelForm, LabelSize, Region};
use std::{
    fmt, fs,
    io::{self, Read as _, Write as _},
    path::{Component, Path, PathBuf},
};
use switchyard_protocol::{
    Address,
    firmware::{FirmwareVersion, FirmwareVersionError},
    message::{TextError, Title},
    serial::SettingValue,
};

/// The largest job file: with every setting and sixteen images it has some kilobytes.
const JOB_BYTES_MAX: u64 = 64 << 10;
/// The largest image, and where the largest flash ends.
const FLASH_BYTES_MAX: u64 = 16 << 20;
/// Images of one job; the firmware's own has four.
const IMAGES_MAX: usize = 16;
/// Labels of one board.
const LABELS_MAX: usize = 4;

/// What each board of a batch is to become.
#[derive(Clone, PartialEq)]
pub struct Job {
    /// What people call the batch.
    pub name: Title,
    /// The boards' profile, as firmware names it.
    pub profile: String,
    /// The firmware that is to run in the end.
    pub software: FirmwareVersion,
    /// What is written, by place. No two of them touch the same sector.
    pub images: Vec<Region>,
    /// What is set, by number.
    pub settings: Vec<SettingValue>,
    /// What boards are called.
    pub naming: Naming,
    /// The number of the first board.
    pub first_number: u32,
    /// The script that they run.
    pub script: Option<String>,
    /// What is looked at in the end, in this order.
    pub checks: Vec<Check>,
    /// When they are enrolled.
    pub enrolment: EnrolmentTime,
    /// What is printed for each.
    pub labels: Vec<LabelWish>,
}

/// Something that a board has to show before it passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Check {
    /// Its first line has the right software and profile.
    Banner,
    /// *describe* answers, with the right profile and version.
    Describe,
    /// It has joined the Wi-Fi.
    Wifi,
    /// It has reached its gateway.
    Gateway,
    /// Its script takes no longer for a scan, in microseconds.
    ScanMax(u32),
}

/// When boards are enrolled at the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnrolmentTime {
    /// Each at once.
    Now,
    /// Each at once, as somebody that the gateway has made before: the batch needs no gateway.
    Stock,
    /// By somebody else, or never.
    None,
}

impl EnrolmentTime {
    const ALL: [(EnrolmentTime, &'static str); 3] = [
        (EnrolmentTime::Now, "now"),
        (EnrolmentTime::Stock, "stock"),
        (EnrolmentTime::None, "none"),
    ];

    /// As a job file says it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            EnrolmentTime::Now => "now",
            EnrolmentTime::Stock => "stock",
            EnrolmentTime::None => "none",
        }
    }
}

/// A label that is printed for each board.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelWish {
    /// As what.
    pub form: LabelForm,
    /// How large.
    pub size: LabelSize,
    /// How fine its printer prints.
    pub density: Density,
    page: String,
}

/// Where the board's number stands in the address of its page.
const ADDRESS_PLACE: &str = "{address}";

impl LabelWish {
    /// The page that its code leads to.
    #[must_use]
    pub fn url(&self, address: Address) -> String {
        self.page.replace(ADDRESS_PLACE, &address.to_string())
    }
}

/// Why a job is not begun.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// A file cannot be read, or not be written.
    #[error("{what} {}", path.display())]
    File {
        /// What was attempted.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file is larger than anything of its kind.
    #[error("expected {} to have at most {bytes_max} bytes", path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// What it may have.
        bytes_max: u64,
    },
    /// A key that is none.
    #[error("expected a key of 64 hexadecimal digits")]
    Key,
    /// Nobody has signed it.
    #[error("expected a job whose last line is its signature")]
    Unsigned,
    /// Somebody has, whom nobody trusts.
    #[error("the job is signed by {key}, which is not trusted here")]
    Stranger {
        /// By whom it says that it is signed; nobody has looked whether that is so.
        key: TrustedKey,
    },
    /// It is another one than was signed.
    #[error("the job was changed after it was signed")]
    Changed,
    /// It is no TOML, or something in it has another name or another sort than is expected.
    #[error("reading the job{}", line.map(|it| format!(", line {it}")).unwrap_or_default())]
    Unparsable {
        /// Where.
        line: Option<usize>,
        /// What is wrong there.
        source: Box<toml::de::Error>,
    },
    /// A value that cannot be.
    #[error("{what}: expected {expected}")]
    Value {
        /// Where it stands.
        what: String,
        /// What it should be.
        expected: &'static str,
    },
    /// The batch has no good name.
    #[error("name")]
    Name(#[source] TextError),
    /// A version that is none.
    #[error("software")]
    Software(#[source] FirmwareVersionError),
    /// A pattern that is none.
    #[error("naming")]
    Naming(#[source] NamingError),
    /// A label that cannot be.
    #[error("label")]
    Label(#[source] LabelError),
    /// An image or a script is another one than was signed.
    #[error("{} is not the file that the job was made with: its SHA-256 is another", path.display())]
    OtherFile {
        /// Which.
        path: PathBuf,
    },
}

impl JobError {
    /// What a person can do about it, in plain words; `None` where the error says all there is.
    #[must_use]
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            Self::Unsigned => Some("`switchyard job sign` signs it. Nothing was done."),
            Self::Stranger { .. } => Some(
                "If you know whose key that is, name it as one to trust: --trust KEY. Nothing was done.",
            ),
            Self::Changed => {
                Some("Ask whoever made it for a whole one, or sign it again. Nothing was done.")
            }
            Self::OtherFile { .. } => Some(
                "Bring the right file, or have the job made anew with this one. Nothing was done.",
            ),
            _ => None,
        }
    }
}

impl fmt::Debug for Job {
    /// Without secrets, and without a megabyte of images.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let images: Vec<_> = self
            .images
            .iter()
            .map(|it| (it.offset, it.bytes.len()))
            .collect();
        f.debug_struct("Job")
            .field("name", &self.name)
            .field("profile", &self.profile)
            .field("software", &self.software)
            .field("images", &images)
            .field("settings", &self.settings)
            .field("naming", &self.naming.as_str())
            .field("script_bytes", &self.script.as_ref().map(String::len))
            .field("checks", &self.checks)
            .field("enrolment", &self.enrolment)
            .field("labels", &self.labels)
            .finish_non_exhaustive()
    }
}

impl Job {
    /// Reads a job and all that belongs to it, and refuses it whole if anything is wrong.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn open(path: &Path, trusted: &[TrustedKey]) -> Result<Self, JobError> {
        let file = read_bounded(path, JOB_BYTES_MAX)?;
        let body = seal::unseal(&file, trusted)?;
        raw::read(body, folder(path))
    }

    /// Signs a job file in its place, once everything about it is right. A signature that it had is replaced.
    ///
    /// # Errors
    /// What is wrong with it; then the file is as it was.
    pub fn sign(path: &Path, key: &JobKey) -> Result<Self, JobError> {
        let file = read_bounded(path, JOB_BYTES_MAX)?;
        let sealed = seal::seal(&file, key)?;
        let body = seal::unseal(&sealed, &[key.trusted()?])?;
        let job = raw::read(body, folder(path))?;
        if sealed.len() as u64 > JOB_BYTES_MAX {
            let path = path.to_owned();
            let bytes_max = JOB_BYTES_MAX;
            return Err(JobError::TooLarge { path, bytes_max });
        }
        replace(path, &sealed).map_err(|source| JobError::File {
            what: "writing",
            path: path.to_owned(),
            source,
        })?;
        Ok(job)
    }
}

/// Where what a job names lies.
fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// A file beside the job, as it was when the job was made.
fn read_beside(
    folder: &Path,
    name: &str,
    sha256: &str,
    bytes_max: u64,
) -> Result<Vec<u8>, JobError> {
    let value = |what: &str, expected| JobError::Value {
        what: format!("{what} of {name:?}"),
        expected,
    };
    // A job brings what lies beside it, and reads nothing else of whoever runs it.
    let is_beside = Path::new(name)
        .components()
        .all(|it| matches!(it, Component::Normal(_)));
    if !is_beside || name.is_empty() || name.contains('\\') {
        return Err(value(
            "file",
            "a name of a file beside the job, or in a folder there",
        ));
    }
    let expected: [u8; 32] =
        unhex(sha256).ok_or_else(|| value("sha256", "64 hexadecimal digits"))?;
    let path = folder.join(name);
    let bytes = read_bounded(&path, bytes_max)?;
    let found = ring::digest::digest(&ring::digest::SHA256, &bytes);
    if found.as_ref() == expected {
        Ok(bytes)
    } else {
        Err(JobError::OtherFile { path })
    }
}

fn read_bounded(path: &Path, bytes_max: u64) -> Result<Vec<u8>, JobError> {
    let mut bytes = Vec::new();
    let read =
        fs::File::open(path).and_then(|file| file.take(bytes_max + 1).read_to_end(&mut bytes));
    read.map_err(|source| JobError::File {
        what: "reading",
        path: path.to_owned(),
        source,
    })?;
    if bytes.len() as u64 > bytes_max {
        let path = path.to_owned();
        return Err(JobError::TooLarge { path, bytes_max });
    }
    Ok(bytes)
}

/// A file is the old one or the new one, whatever happens meanwhile.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".signing");
    let beside = path.with_file_name(name);
    let write = || {
        let mut file = fs::File::create(&beside)?;
        // What may hold a Wi-Fi's password is readable for whom it was before.
        file.set_permissions(fs::metadata(path)?.permissions())?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    let written = write();
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}
