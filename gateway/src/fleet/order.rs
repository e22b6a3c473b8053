//! A roll-out as a person orders it: by page, program or command line.
//!
//! Whoever orders one only writes it into the store; the gateway whose chore roll-outs are takes it up
//! (`fleet::executor`). So an order needs no running gateway, and what it says is judged here, once.

use super::{
    firmware::FirmwareName,
    plan::Label,
    rollout::{Release, ReleaseKind, Rollout, Terms, TermsError},
    values::{KeptValues, Values},
};
use crate::{
    digest::Digest,
    store::{ConfigStore, Content, Firmware, NewRollout, RolloutId, Seen, StoreError},
};
use std::{collections::BTreeSet, sync::Arc};
use switchyard_protocol::{
    Address,
    firmware::FirmwareVersion,
    limits::{NAMES_MAX, TITLE_BYTES_MAX},
    message::{TextError, Time, Title},
};
use thiserror::Error;

/// Controllers of which it is read at once what they were last seen to run.
const SEEN_PER_PAGE: u32 = 2_000;
/// Digits of a digest by which people know a script that has no name.
const DIGITS: usize = 12;

/// What is to be rolled out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Chosen {
    /// A script of the library, by default its newest version.
    Script(Label, Option<u32>),
    /// Values of parameters.
    Values(Values),
    /// A firmware of the library for a board, by default the newest.
    Firmware(Label, Option<FirmwareVersion>),
    /// Any content that is kept, by what it is known by.
    Digest(Digest),
}

impl Chosen {
    /// A firmware as people write it: a board, with `@` and a version where it is not the newest.
    ///
    /// # Errors
    /// What was expected.
    pub(crate) fn firmware(text: &str) -> Result<Self, String> {
        match text.contains('@') {
            false => Ok(Chosen::Firmware(text.parse()?, None)),
            true => {
                let name: Result<FirmwareName, _> = text.parse();
                let FirmwareName { profile, version } = name.map_err(|error| error.to_string())?;
                Ok(Chosen::Firmware(profile, Some(version)))
            }
        }
    }
}

/// Why a roll-out cannot be had.
#[derive(Debug, Error)]
pub(crate) enum OrderError {
    /// There is no such script.
    #[error("expected a script in the library and found no {0}")]
    NoScript(String),
    /// There is no such firmware.
    #[error("expected a firmware in the library and found no {0}")]
    NoFirmware(String),
    /// There are no values, or too many.
    #[error("expected 1 to {NAMES_MAX} values of parameters, got {0}")]
    Values(usize),
    /// The terms or the list are none.
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is rolled out, and what people call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Goods {
    /// It.
    pub(crate) release: Release,
    /// `tank 3`, `most and 2 more`, or the first digits of its digest.
    pub(crate) name: String,
    /// What is to be kept first, where that may not be kept yet.
    content: Option<Content>,
}

impl Goods {
    /// The values, where it is such that is rolled out and they are kept.
    async fn values(&self, store: &dyn ConfigStore) -> Result<Option<Values>, StoreError> {
        if self.release.kind != ReleaseKind::Parameters {
            return Ok(None);
        }
        let content = match &self.content {
            Some(content) => Some(content.clone()),
            None => store.content(self.release.digest).await?,
        };
        Ok(content.and_then(|content| Values::decode(content.parts().first()?)))
    }

    /// What a roll-out of it is called where nobody says: its name, as far as there is room.
    ///
    /// # Errors
    /// None, but for a name that is no title.
    pub(crate) fn title(&self) -> Result<Title, TextError> {
        let end = self.name.floor_char_boundary(TITLE_BYTES_MAX);
        Title::new(&self.name[..end])
    }
}

/// Finds what was chosen.
///
/// # Errors
/// What is wrong with it, or the store's failure.
pub(crate) async fn find(store: &dyn ConfigStore, chosen: &Chosen) -> Result<Goods, OrderError> {
    let (mut kind, mut kept) = (ReleaseKind::Script, None);
    let (digest, name) = match chosen {
        Chosen::Values(values) => {
            if values.is_empty() || values.len() > NAMES_MAX {
                return Err(OrderError::Values(values.len()));
            }
            let content = Content::parameters(values.encode().into())?;
            (kind, kept) = (ReleaseKind::Parameters, Some(content));
            let first = values.iter().next().map(|(name, ..)| name.to_string());
            let first = first.unwrap_or_default();
            let name = match values.len() - 1 {
                0 => first,
                others => format!("{first} and {others} more"),
            };
            (values.digest(), name)
        }
        Chosen::Script(label, number) => {
            let found = store.script(label.clone(), *number).await?;
            let Some((version, _)) = found else {
                let name = match number {
                    Some(number) => format!("{label} {number}"),
                    None => label.to_string(),
                };
                return Err(OrderError::NoScript(name));
            };
            (version.digest, format!("{label} {}", version.number))
        }
        Chosen::Firmware(profile, version) => {
            let profile = profile.clone();
            let (wanted, found) = match *version {
                None => (profile.to_string(), store.newest_firmware(profile).await?),
                Some(version) => {
                    let name = FirmwareName { profile, version };
                    (name.to_string(), store.firmware(name).await?)
                }
            };
            let firmware = found.ok_or(OrderError::NoFirmware(wanted))?;
            return Ok(firmware_goods(&firmware));
        }
        Chosen::Digest(digest) => {
            let Some(content) = store.content(*digest).await? else {
                return Err(OrderError::NoScript(digest.to_string()));
            };
            kind = content.kind();
            if kind == ReleaseKind::Firmware {
                let firmware = store.firmware_of(*digest).await?;
                let firmware = firmware.ok_or(OrderError::NoFirmware(digest.to_string()))?;
                return Ok(firmware_goods(&firmware));
            }
            let versions = store.scripts_of(vec![*digest]).await?;
            let name = match versions.first() {
                Some(version) => format!("{} {}", version.label, version.number),
                None => digest.to_string()[..DIGITS].to_owned(),
            };
            (*digest, name)
        }
    };
    let release = Release { kind, digest };
    Ok(Goods {
        release,
        name,
        content: kept,
    })
}

fn firmware_goods(firmware: &Firmware) -> Goods {
    let release = Release {
        kind: ReleaseKind::Firmware,
        digest: firmware.digest,
    };
    Goods {
        release,
        name: firmware.name.to_string(),
        content: None,
    }
}

/// What a roll-out would come to, as far as is known: what controllers were last seen to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Forecast {
    /// All of them.
    pub(crate) controllers: u32,
    /// They ran something else.
    pub(crate) outdated: u32,
    /// They ran it.
    pub(crate) current: u32,
    /// Nobody has seen what they run.
    pub(crate) unknown: u32,
}

/// Counts what is known of these controllers, which ascend.
///
/// # Errors
/// The store's failure.
pub(crate) async fn forecast(
    store: &dyn ConfigStore,
    goods: &Goods,
    controllers: &[Address],
) -> Result<Forecast, StoreError> {
    let release = goods.release;
    let controllers: BTreeSet<Address> = controllers.iter().copied().collect();
    let mut forecast = Forecast {
        controllers: u32::try_from(controllers.len()).unwrap_or(u32::MAX),
        ..Forecast::default()
    };
    let (Some(first), Some(last)) = (controllers.first(), controllers.last()) else {
        return Ok(forecast);
    };
    let mut after = Address(first.0 - 1);
    let mut seen: Vec<Seen> = Vec::new();
    while after < *last {
        let page = store.seen(release.kind, after, SEEN_PER_PAGE).await?;
        let is_last = page.len() < SEEN_PER_PAGE as usize;
        after = page.last().map_or(*last, |it| it.controller);
        seen.extend(page);
        if is_last {
            break;
        }
    }
    let mut kept = KeptValues::default();
    let wanted = goods.values(store).await?;
    for controller in &controllers {
        let known = seen.binary_search_by_key(controller, |it| it.controller);
        let is_current = match known.map(|at| seen[at].running) {
            Ok(Some(digest)) if digest == release.digest => Some(true),
            // Values of parameters may be of other names, and say nothing of these then.
            Ok(Some(digest)) if release.kind == ReleaseKind::Parameters => {
                let found = kept.find(store, digest).await?;
                let both = wanted.as_ref().zip(found);
                both.and_then(|(wanted, found)| wanted.are_as(found))
            }
            Ok(_) => Some(false),
            Err(_) => None,
        };
        *match is_current {
            Some(true) => &mut forecast.current,
            Some(false) => &mut forecast.outdated,
            None => &mut forecast.unknown,
        } += 1;
    }
    Ok(forecast)
}

/// Writes a roll-out into the store, for its owner to take up.
///
/// # Errors
/// What is wrong with its terms or its list, or why the store does not take it.
pub(crate) async fn place(
    store: &dyn ConfigStore,
    goods: Goods,
    (title, by): (Title, Title),
    (terms, controllers): (Terms, &[Address]),
    now: Time,
) -> Result<RolloutId, OrderError> {
    // Below every owner's token, so that the first that claims it has it.
    let nobodys = 0;
    let first = Rollout::new(terms, controllers, nobodys, now.0)?.take_changes();
    if let Some(content) = goods.content {
        store.put_content(content, now).await?;
    }
    let about = NewRollout {
        title,
        by,
        began: now,
    };
    Ok(store.create_rollout(about, Arc::new(first)).await?)
}
