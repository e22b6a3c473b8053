//! What the config store keeps of the fleet: the library of scripts, contents by their digest, what
//! controllers were last seen to run, and roll-outs.
//!
//! A roll-out is a head and one entry for each controller ([`rollout`](crate::fleet::rollout)). Its owner is the
//! newest that has claimed it: from then on whatever an older one writes is refused. What people want of it waits
//! beside it, since its owner may be another process, and is taken in the very transaction that stores what came
//! of it.

use super::{ConfigStore, StoreError};
use crate::{
    compiler::SOURCE_BYTES_MAX,
    digest::Digest,
    fleet::{
        firmware::FirmwareName,
        plan::Label,
        rollout::{CONTROLLERS_MAX, Control, Head, ReleaseKind, Stage},
    },
};
use blake2::{Blake2b, Digest as _, digest::consts::U32};
use bytes::Bytes;
use std::{fmt, num::ParseIntError, str::FromStr, sync::Arc};
use switchyard_protocol::{
    Address, SiteId,
    firmware::FirmwareVersion,
    message::{Time, Title},
};

/// Scripts of the library: as many as a fleet's files have.
pub const SCRIPTS_MAX: u64 = crate::fleet::plan::GROUPS_MAX as u64;
/// Versions of one script. One a day for a year is less.
pub const VERSIONS_MAX: u64 = 500;
/// What is noted beside a version: a commit's first line or two.
pub const NOTE_BYTES_MAX: usize = 500;
/// Contents of all kinds together. Versions of scripts are most of them.
pub const CONTENTS_MAX: u64 = 100_000;
/// Firmware among them: 2 MB each.
pub const FIRMWARES_MAX: u64 = 64;
/// Values of 128 parameters, as the protocol has them, are a tenth of that.
pub const PARAMETERS_BYTES_MAX: usize = 64 * 1024;
/// Manifest, signature and image, which the protocol bounds (`docs/protocol.md` §6).
pub const UPDATE_BYTES_MAX: usize = 136 + 1_048_576;
/// One for each slot of a controller's flash.
pub const UPDATES_MAX: usize = 2;
/// Roll-outs that are kept. When there are more, the oldest that have ended go.
pub const ROLLOUTS_MAX: u64 = 1_000;
/// Controllers in all of them together, likewise: half a gigabyte.
pub const ROLLOUT_ENTRIES_MAX: u64 = 1_000_000;
/// What people may want of one roll-out before its owner has taken it.
pub const WISHES_MAX: u64 = 16;
/// Controllers that [`select_all`] reads at once.
const SELECTED_AT_ONCE: u32 = 1_000;

/// A content, known by its digest: what can be brought to a controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    kind: ReleaseKind,
    parts: Vec<Bytes>,
}

impl Content {
    /// A script's source.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`].
    pub fn script(source: &str) -> Result<Self, StoreError> {
        let bytes = Bytes::copy_from_slice(source.as_bytes());
        Self::of_parts(ReleaseKind::Script, vec![bytes])
    }

    /// Values of parameters, in whatever form their writer gives them.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`].
    pub fn parameters(values: Bytes) -> Result<Self, StoreError> {
        Self::of_parts(ReleaseKind::Parameters, vec![values])
    }

    /// A firmware: one update for each slot, each a manifest (72 bytes), its signature (64) and the image.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`].
    pub fn firmware(updates: Vec<Bytes>) -> Result<Self, StoreError> {
        Self::of_parts(ReleaseKind::Firmware, updates)
    }

    pub(super) fn of_parts(kind: ReleaseKind, parts: Vec<Bytes>) -> Result<Self, StoreError> {
        let (what, parts_max, bytes_max) = match kind {
            ReleaseKind::Script => ("script", 1, SOURCE_BYTES_MAX),
            ReleaseKind::Parameters => ("set of parameters", 1, PARAMETERS_BYTES_MAX),
            ReleaseKind::Firmware => ("firmware", UPDATES_MAX, UPDATE_BYTES_MAX),
        };
        let longest = parts.iter().map(Bytes::len).max().unwrap_or_default();
        if longest > bytes_max || parts.len() > parts_max {
            return Err(StoreError::TooLarge {
                what,
                bytes: parts.iter().map(Bytes::len).sum(),
                max: bytes_max * parts_max,
            });
        }
        Ok(Self { kind, parts })
    }

    /// What kind of thing it is.
    pub fn kind(&self) -> ReleaseKind {
        self.kind
    }

    /// Its parts: a firmware's updates, or the one that there is.
    pub fn parts(&self) -> &[Bytes] {
        &self.parts
    }

    /// Of all its parts, one after the other: of a script the one that controllers tell.
    pub fn digest(&self) -> Digest {
        let mut digest = Blake2b::<U32>::new();
        self.parts.iter().for_each(|part| digest.update(part));
        Digest(digest.finalize().into())
    }

    /// A script's source; `None` of anything else.
    pub fn source(&self) -> Option<&str> {
        match (self.kind, self.parts.as_slice()) {
            (ReleaseKind::Script, [source]) => std::str::from_utf8(source).ok(),
            _ => None,
        }
    }
}

/// A script to be added to the library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewScript {
    /// What it is called.
    pub label: Label,
    /// Its source.
    pub source: String,
    /// Who adds it.
    pub by: Title,
    /// Why, in their words; may be empty.
    pub note: String,
}

/// What adding a script came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddedScript {
    /// The version's number, from 1.
    pub number: u32,
    /// Of its source.
    pub digest: Digest,
    /// False where it was the newest version already, and nothing was added.
    pub is_new: bool,
}

/// A version of a script in the library. None is ever changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptVersion {
    /// What the script is called.
    pub label: Label,
    /// The version's number, from 1.
    pub number: u32,
    /// Of its source.
    pub digest: Digest,
    /// The source's length.
    pub bytes: u32,
    /// When it was added.
    pub added: Time,
    /// Who added it.
    pub by: Title,
    /// Why, in their words; may be empty.
    pub note: String,
}

/// A firmware to be added to the library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFirmware {
    /// Its board and version.
    pub name: FirmwareName,
    /// The lowest version that may follow once a controller has confirmed it.
    pub lowest: FirmwareVersion,
    /// Its updates.
    pub content: Content,
    /// Who adds it.
    pub by: Title,
    /// Why, in their words; may be empty.
    pub note: String,
}

/// What adding a firmware came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddedFirmware {
    /// Of its updates.
    pub digest: Digest,
    /// False where it was there already, and nothing was added.
    pub is_new: bool,
}

/// A firmware of the library, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firmware {
    /// Its board and version.
    pub name: FirmwareName,
    /// The lowest version that may follow once a controller has confirmed it.
    pub lowest: FirmwareVersion,
    /// Of its updates.
    pub digest: Digest,
    /// Their length.
    pub bytes: u32,
    /// When it was added.
    pub added: Time,
    /// Who added it.
    pub by: Title,
    /// Why, in their words; may be empty.
    pub note: String,
}

/// What a controller itself said that it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Which.
    pub controller: Address,
    /// Of this kind …
    pub kind: ReleaseKind,
    /// … this content, or none.
    pub running: Option<Digest>,
    /// When it said so.
    pub at: Time,
}

/// Which controllers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Those of a site.
    Site(SiteId),
    /// Those with a tag.
    Tag(Title),
    /// These, as far as they are enrolled.
    List(Vec<Address>),
}

/// A roll-out's number, from 1; never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RolloutId(pub u32);

impl fmt::Display for RolloutId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RolloutId {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        text.parse().map(RolloutId)
    }
}

/// What is kept of a roll-out beside what it does itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRollout {
    /// What people call it.
    pub title: Title,
    /// Who began it: an account, or the command line.
    pub by: Title,
    /// When.
    pub began: Time,
}

/// A roll-out, without its controllers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRollout {
    /// Its number.
    pub id: RolloutId,
    /// What is kept of it beside what it does itself.
    pub about: NewRollout,
    /// What was stored last.
    pub head: Head,
    /// How many controllers are at each stage, in the order of [`Stage`]; stages without any are left out.
    pub stages: Vec<(Stage, u32)>,
}

/// A wish's number; later ones are higher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WishId(pub u64);

/// What a person wants of a roll-out, waiting for its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Its number.
    pub id: WishId,
    /// Of which.
    pub rollout: RolloutId,
    /// What.
    pub control: Control,
    /// Who.
    pub by: Title,
    /// When.
    pub asked: Time,
}

/// All controllers of a selection, by address, each with its site.
///
/// # Errors
/// [`StoreError`]; [`StoreError::Full`] where they are more than one roll-out takes.
pub async fn select_all(
    store: &dyn ConfigStore,
    selection: Selection,
) -> Result<Vec<(Address, Option<SiteId>)>, StoreError> {
    let selection = Arc::new(selection);
    let mut all = Vec::new();
    loop {
        let after = all.last().map_or(Address::GATEWAY, |(address, _)| *address);
        let page = store.selected(Arc::clone(&selection), after, SELECTED_AT_ONCE);
        let page = page.await?;
        let is_last = page.len() < SELECTED_AT_ONCE as usize;
        all.extend(page);
        if all.len() > CONTROLLERS_MAX {
            return Err(StoreError::Full {
                what: "controllers of a roll-out",
                max: CONTROLLERS_MAX as u64,
            });
        }
        if is_last {
            return Ok(all);
        }
    }
}
