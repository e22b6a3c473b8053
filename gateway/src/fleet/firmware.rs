//! Firmware as it comes into the library: the signed updates of one version for one board, one for each slot of its
//! flash.

use super::plan::Label;
use crate::{
    digest::Digest,
    store::{ConfigStore, Content, StoreError, UPDATE_BYTES_MAX, UPDATES_MAX},
};
use bytes::Bytes;
use std::{fmt, str::FromStr};
use switchyard_protocol::{
    firmware::{FirmwareVersion, FirmwareVersionError, HEAD_BYTES, Manifest, ManifestError},
    message::FirmwareHealth,
};
use thiserror::Error;

/// What the updates of one version have together at most.
pub(crate) const UPDATES_BYTES_MAX: usize = UPDATES_MAX * UPDATE_BYTES_MAX;

/// By which a firmware is known: a board and a version, as in `nodemcu@0.3.1`. Controllers know theirs by nothing
/// else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FirmwareName {
    /// The board, as the firmware's profiles call it.
    pub profile: Label,
    /// The version.
    pub version: FirmwareVersion,
}

impl FirmwareName {
    /// Stands for the bytes where nobody has them: what is known of them is their name.
    pub(crate) fn digest(&self) -> Digest {
        Digest::of(format!("firmware {self}").as_bytes())
    }
}

impl fmt::Display for FirmwareName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.profile, self.version)
    }
}

/// A text is no firmware's name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FirmwareNameError {
    /// There is no board in it.
    #[error("expected a board, @ and a version, such as nodemcu@0.3.1")]
    Profile,
    /// Behind the @ there is no version.
    #[error(transparent)]
    Version(#[from] FirmwareVersionError),
}

impl FromStr for FirmwareName {
    type Err = FirmwareNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split_once('@').ok_or(FirmwareNameError::Profile)?;
        Ok(FirmwareName {
            profile: parts.0.parse().map_err(|_| FirmwareNameError::Profile)?,
            version: parts.1.parse()?,
        })
    }
}

/// By which content it is known that a controller runs a firmware, and whether the library has it.
///
/// # Errors
/// The store's failure.
pub(crate) async fn running(
    store: &dyn ConfigStore,
    name: FirmwareName,
) -> Result<(Digest, bool), StoreError> {
    let unknown = name.digest();
    let found = store.firmware(name).await?;
    Ok(found.map_or((unknown, false), |it| (it.digest, true)))
}

/// The name of what a controller says that it runs; none of ours where there is none.
pub(crate) fn name_told(health: &FirmwareHealth) -> Option<FirmwareName> {
    Some(FirmwareName {
        profile: health.profile.as_str().parse().ok()?,
        version: health.version,
    })
}

/// All the updates of one version for one board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Updates {
    pub(crate) name: FirmwareName,
    /// The lowest version that may follow once it has been confirmed somewhere.
    pub(crate) lowest: FirmwareVersion,
    pub(crate) content: Content,
}

/// Why bytes are not the updates of one version.
#[derive(Debug, Error)]
pub(crate) enum UpdatesError {
    /// There is not one of each.
    #[error("expected two updates, one for each slot, and found {0}")]
    Count(usize),
    /// Both are for the same slot.
    #[error("expected an update for slot 1 and one for slot 2, and found two for slot {0}")]
    Slots(u8),
    /// They do not belong together.
    #[error("expected updates that belong together, and found {0} beside {1}")]
    Names(FirmwareName, FirmwareName),
    /// One of them allows other versions to follow than the other.
    #[error(
        "expected updates that belong together, and found {0} and {1} as the lowest that may follow"
    )]
    Lowest(FirmwareVersion, FirmwareVersion),
    /// One is no update.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A board's name that no firmware of ours has.
    #[error("expected a board's name of a-z, 0-9, - and _, and found {0:?}")]
    Profile(String),
    /// Bytes are missing at the end, or there are too many.
    #[error("expected an image of {wanted} bytes, and found {found}")]
    Length {
        /// What the manifest says.
        wanted: u32,
        /// What is there.
        found: usize,
    },
    /// The image is not the one that was signed.
    #[error(
        "expected the image that the manifest for slot {0} tells of, and found another one: it is damaged"
    )]
    Damaged(u8),
    /// It is larger than any.
    #[error(transparent)]
    TooLarge(#[from] StoreError),
}

/// Reads updates that stand one behind the other, in any order. Whether anybody trusts their signatures the
/// controllers alone can tell.
///
/// # Errors
/// What is wrong with them.
pub(crate) fn read(mut bytes: Bytes) -> Result<Updates, UpdatesError> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let manifest = Manifest::read(&bytes)?;
        let length = manifest.length as usize;
        let image = bytes.get(HEAD_BYTES..).unwrap_or_default();
        let image = image.get(..length).ok_or(UpdatesError::Length {
            wanted: manifest.length,
            found: image.len(),
        })?;
        if Digest::of(image).0 != manifest.digest {
            return Err(UpdatesError::Damaged(manifest.slot));
        }
        found.push((manifest, bytes.split_to(HEAD_BYTES + length)));
    }
    found.sort_by_key(|(manifest, _)| manifest.slot);
    let [(one, first), (two, second)] = found.as_slice() else {
        return Err(UpdatesError::Count(found.len()));
    };
    if one.slot == two.slot {
        return Err(UpdatesError::Slots(one.slot));
    }
    let (name, other) = (name_of(one)?, name_of(two)?);
    if name != other {
        return Err(UpdatesError::Names(name, other));
    }
    if one.lowest != two.lowest {
        return Err(UpdatesError::Lowest(one.lowest, two.lowest));
    }
    Ok(Updates {
        name,
        lowest: one.lowest,
        content: Content::firmware(vec![first.clone(), second.clone()])?,
    })
}

fn name_of(manifest: &Manifest) -> Result<FirmwareName, UpdatesError> {
    let profile = manifest.profile.parse();
    Ok(FirmwareName {
        profile: profile.map_err(|_| UpdatesError::Profile(manifest.profile.clone()))?,
        version: manifest.version,
    })
}

/// Of the updates of a firmware the one for a slot.
pub(crate) fn for_slot(content: &Content, slot: u8) -> Option<&Bytes> {
    let is_it = |part: &&Bytes| Manifest::read(part).is_ok_and(|it| it.slot == slot);
    content.parts().iter().find(is_it)
}

#[cfg(any(feature = "fuzzing", test))]
pub(crate) mod fuzz {
    //! The library's parser for fuzzers: see `crate::fuzzing`.

    use super::*;

    /// Updates as somebody sends them; and with their digests put right, for nobody finds one by chance.
    pub fn firmware(data: &[u8]) {
        let mut mended = data.to_vec();
        let mut at = 0;
        while let Ok(manifest) = Manifest::read(&mended[at..])
            && let Some(image) = mended.get(at + HEAD_BYTES..)
            && let Some(image) = image.get(..manifest.length as usize)
        {
            let digest = Digest::of(image).0;
            mended[at + 40..at + 72].copy_from_slice(&digest);
            at += HEAD_BYTES + manifest.length as usize;
        }
        for bytes in [data, &mended] {
            match read(Bytes::copy_from_slice(bytes)) {
                Ok(updates) => {
                    let parts = [1, 2].map(|slot| for_slot(&updates.content, slot));
                    let lengths = parts.map(|part| part.expect("one for each slot").len());
                    assert_eq!(lengths[0] + lengths[1], bytes.len());
                    let name = updates.name.to_string();
                    assert_eq!(name.parse(), Ok(updates.name));
                }
                Err(error) => assert!(error.to_string().len() < 300),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An update that nobody has signed.
    fn update(slot: u8, version: u32, profile: &str, image: &[u8]) -> Vec<u8> {
        let mut update = b"SWF1".to_vec();
        update.extend([slot, 0, 0, 0]);
        update.extend(version.to_be_bytes());
        update.extend([0; 4]);
        update.extend((image.len() as u32).to_be_bytes());
        let mut field = [0; 20];
        field[..profile.len()].copy_from_slice(profile.as_bytes());
        update.extend(field);
        update.extend(Digest::of(image).0);
        update.extend([5; 64]);
        update.extend(image);
        update
    }

    fn refused(updates: &[Vec<u8>]) -> String {
        read(updates.concat().into()).unwrap_err().to_string()
    }

    #[test]
    fn updates_for_both_slots_are_a_firmware() {
        let one = update(1, 0x0301, "nodemcu", b"one.");
        let two = update(2, 0x0301, "nodemcu", b"two.....");
        let both = read([two.clone(), one.clone()].concat().into()).unwrap();
        assert_eq!(both.name.to_string(), "nodemcu@0.3.1");
        assert_eq!(both.name, "nodemcu@0.3.1".parse().unwrap());
        assert_eq!(
            both,
            read([one.clone(), two.clone()].concat().into()).unwrap()
        );
        assert_eq!(both.content.parts(), [one.clone(), two.clone()]);
        assert_eq!(for_slot(&both.content, 2).unwrap(), &two);
        assert_eq!(for_slot(&both.content, 1).unwrap(), &one);
        assert_eq!(for_slot(&both.content, 3), None);
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let one = update(1, 1, "nodemcu", b"one.");
        let two = update(2, 1, "nodemcu", b"two.");
        assert!(refused(&[]).contains("found 0"));
        assert!(refused(std::slice::from_ref(&one)).contains("found 1"));
        assert!(refused(&[one.clone(), two.clone(), two.clone()]).contains("found 3"));
        assert!(refused(&[one.clone(), one.clone()]).contains("two for slot 1"));
        let other = update(2, 2, "nodemcu", b"two.");
        assert!(refused(&[one.clone(), other]).contains("nodemcu@0.0.1 beside nodemcu@0.0.2"));
        let other = update(2, 1, "wemos-d1", b"two.");
        assert!(refused(&[one.clone(), other]).contains("beside wemos-d1@0.0.1"));
        let mut other = two.clone();
        other[15] = 1;
        assert!(refused(&[one.clone(), other]).contains("0.0.0 and 0.0.1 as the lowest"));
        let mut damaged = two.clone();
        damaged[137] ^= 1;
        assert!(refused(&[one.clone(), damaged]).contains("for slot 2 tells of"));
        assert!(refused(&[one.clone(), two[..139].to_vec()]).contains("of 4 bytes, and found 3"));
        assert!(refused(&[one.clone(), two[..100].to_vec()]).contains("and found 0"));
        assert!(refused(&[one.clone(), two, b"x".to_vec()]).contains("SWF1"));
        let board = update(2, 1, "Node/MCU", b"two.");
        assert!(refused(&[one, board]).contains("Node/MCU"));
        for text in [
            "nodemcu",
            "nodemcu@",
            "@0.3.1",
            "nodemcu@3",
            "node mcu@0.3.1",
        ] {
            assert!(text.parse::<FirmwareName>().is_err(), "{text}");
        }
    }
}
