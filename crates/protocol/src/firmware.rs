//! Firmware for a controller: versions, and the signed manifest before an image (`docs/storage.md` §7).

use std::{fmt, str::FromStr};
use thiserror::Error;

/// What a manifest takes.
pub const MANIFEST_BYTES: usize = 72;
/// The Ed25519 signature of a manifest, which follows it.
pub const SIGNATURE_BYTES: usize = 64;
/// Manifest and signature: what stands before an image.
pub const HEAD_BYTES: usize = MANIFEST_BYTES + SIGNATURE_BYTES;
/// What a manifest has room for of a board's name.
pub const PROFILE_BYTES_MAX: usize = 20;

const MAGIC: &[u8] = b"SWF1";

/// A firmware's version as the one number that controllers compare: `0.3.1` is 0x0000_0301. Newer is larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FirmwareVersion(pub u32);

impl fmt::Display for FirmwareVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [high, major, minor, patch] = self.0.to_be_bytes();
        // Nobody makes such ones, and yet each has a text of its own.
        let major = u32::from(high) << 8 | u32::from(major);
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// A text is no version.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?}: expected a version such as 0.3.1, of three numbers, the last two at most 255")]
pub struct FirmwareVersionError(String);

impl FromStr for FirmwareVersion {
    type Err = FirmwareVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let mut parts = text.split('.');
            let major: u16 = number(parts.next()?)?;
            let minor: u8 = number(parts.next()?)?;
            let patch: u8 = number(parts.next()?)?;
            let number = u32::from(major) << 16 | u32::from(minor) << 8 | u32::from(patch);
            parts.next().is_none().then_some(FirmwareVersion(number))
        };
        read().ok_or_else(|| FirmwareVersionError(text.chars().take(40).collect()))
    }
}

/// Digits alone: the standard's own reading takes a sign as well.
fn number<T: FromStr>(digits: &str) -> Option<T> {
    let is_number = digits.bytes().all(|digit| digit.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

/// What is said of an image before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The slot that the image is linked for: 1 or 2.
    pub slot: u8,
    /// Its version.
    pub version: FirmwareVersion,
    /// The lowest version that may follow once this one was confirmed.
    pub lowest: FirmwareVersion,
    /// The image's bytes: some, in whole words.
    pub length: u32,
    /// The board that it is for: 1 to [`PROFILE_BYTES_MAX`] bytes of printable ASCII without spaces.
    pub profile: String,
    /// BLAKE2b-256 of the image.
    pub digest: [u8; 32],
}

/// Bytes are no manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// It does not begin as one, or is shorter.
    #[error(
        "expected signed firmware, which begins with SWF1 and has a head of {HEAD_BYTES} bytes"
    )]
    NotOne,
    /// There are only two slots.
    #[error("expected an image for slot 1 or 2, got one for {0}")]
    Slot(u8),
    /// An image is some whole words.
    #[error("expected an image of whole words, got one of {0} bytes")]
    Length(u32),
    /// It names no board.
    #[error("expected a board's name of 1 to {PROFILE_BYTES_MAX} printable characters")]
    Profile,
    /// It would shut itself out.
    #[error("expected {version} or below as the lowest version that may follow, got {lowest}")]
    Lowest {
        /// The image's own.
        version: FirmwareVersion,
        /// What is to follow at least.
        lowest: FirmwareVersion,
    },
}

impl Manifest {
    /// Reads the manifest at the beginning of `bytes`. Whether anybody trusts its signature the controller alone
    /// can tell.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(bytes: &[u8]) -> Result<Self, ManifestError> {
        let bytes: &[u8; MANIFEST_BYTES] = bytes.first_chunk().ok_or(ManifestError::NotOne)?;
        if &bytes[..4] != MAGIC || bytes[5..8] != [0; 3] {
            return Err(ManifestError::NotOne);
        }
        let number = |at: usize| {
            let word = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
            u32::from_be_bytes(word)
        };
        let slot = bytes[4];
        let (version, lowest) = (FirmwareVersion(number(8)), FirmwareVersion(number(12)));
        let length = number(16);
        if !matches!(slot, 1 | 2) {
            return Err(ManifestError::Slot(slot));
        }
        if length == 0 || length % 4 != 0 {
            return Err(ManifestError::Length(length));
        }
        if lowest > version {
            return Err(ManifestError::Lowest { version, lowest });
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(&bytes[40..]);
        Ok(Manifest {
            slot,
            version,
            lowest,
            length,
            profile: profile(&bytes[20..40]).ok_or(ManifestError::Profile)?,
            digest,
        })
    }
}

/// A name that is filled up with zeros.
fn profile(field: &[u8]) -> Option<String> {
    let end = field.iter().position(|byte| *byte == 0);
    let (name, rest) = field.split_at(end.unwrap_or(field.len()));
    let is_name = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    let is_filled = rest.iter().all(|byte| *byte == 0);
    let name = std::str::from_utf8(name).ok()?;
    (is_name && is_filled).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_as_it_is_shown() {
        for (text, number) in [
            ("0.0.0", 0),
            ("0.3.1", 0x0301),
            ("1.2.3", 0x0001_0203),
            ("255.255.255", 0x00FF_FFFF),
            ("65535.255.255", 0xFFFF_FFFF),
        ] {
            assert_eq!(text.parse(), Ok(FirmwareVersion(number)));
            assert_eq!(FirmwareVersion(number).to_string(), text);
        }
        for text in [
            "",
            "1",
            "1.2",
            "1.2.3.4",
            "1.2.",
            ".2.3",
            "1.256.0",
            "65536.0.0",
            "+1.2.3",
            "1.2.3-a",
        ] {
            assert!(text.parse::<FirmwareVersion>().is_err(), "{text}");
        }
        assert!(FirmwareVersion(0x0001_0000) > FirmwareVersion(0x0000_FFFF));
    }

    fn manifest() -> Vec<u8> {
        let mut bytes = b"SWF1\x02\0\0\0".to_vec();
        bytes.extend(0x0001_0203_u32.to_be_bytes());
        bytes.extend(0x0001_0000_u32.to_be_bytes());
        bytes.extend(64_u32.to_be_bytes());
        bytes.extend(b"nodemcu\0\0\0\0\0\0\0\0\0\0\0\0\0");
        bytes.extend([9; 32]);
        bytes
    }

    fn changed(at: usize, bytes: &[u8]) -> Result<Manifest, ManifestError> {
        let mut manifest = manifest();
        manifest[at..at + bytes.len()].copy_from_slice(bytes);
        Manifest::read(&manifest)
    }

    #[test]
    fn a_manifest_is_read() {
        let expected = Manifest {
            slot: 2,
            version: FirmwareVersion(0x0001_0203),
            lowest: FirmwareVersion(0x0001_0000),
            length: 64,
            profile: "nodemcu".into(),
            digest: [9; 32],
        };
        let mut longer = manifest();
        assert_eq!(Manifest::read(&longer), Ok(expected.clone()));
        longer.push(1);
        assert_eq!(Manifest::read(&longer), Ok(expected));
        let full = changed(20, b"a-board-of-20-bytes!").unwrap();
        assert_eq!(full.profile, "a-board-of-20-bytes!");
    }

    #[test]
    fn what_is_none_is_refused() {
        assert_eq!(Manifest::read(b""), Err(ManifestError::NotOne));
        assert_eq!(
            Manifest::read(&manifest()[..71]),
            Err(ManifestError::NotOne)
        );
        assert_eq!(changed(3, b"2"), Err(ManifestError::NotOne));
        assert_eq!(changed(6, b"2"), Err(ManifestError::NotOne));
        assert_eq!(changed(4, &[0]), Err(ManifestError::Slot(0)));
        assert_eq!(changed(4, &[3]), Err(ManifestError::Slot(3)));
        assert_eq!(changed(19, &[0]), Err(ManifestError::Length(0)));
        assert_eq!(changed(19, &[66]), Err(ManifestError::Length(66)));
        assert_eq!(changed(20, &[0]), Err(ManifestError::Profile));
        assert_eq!(changed(22, b" "), Err(ManifestError::Profile));
        assert_eq!(changed(30, b"x"), Err(ManifestError::Profile));
        let refused = changed(12, &[0, 1, 2, 4]).unwrap_err();
        assert!(refused.to_string().contains("1.2.3 or below"), "{refused}");
    }
}
