//! The library of firmwares: by board and version, each with its content.

use super::{
    Tx, library,
    value::{FromValue, Row, Value, params},
};
use crate::{
    digest::Digest,
    fleet::{firmware::FirmwareName, plan::Label},
    store::{AddedFirmware, Firmware, NOTE_BYTES_MAX, NewFirmware, StoreError},
};
use switchyard_protocol::{firmware::FirmwareVersion, message::Time};

const FIRMWARE: &str =
    "SELECT profile, version, lowest, content, bytes, added_ms, author, note FROM firmware";

fn firmware(row: &Row) -> Result<Firmware, StoreError> {
    Ok(Firmware {
        name: FirmwareName {
            profile: row.get(0)?,
            version: row.get(1)?,
        },
        lowest: row.get(2)?,
        digest: row.get(3)?,
        bytes: row.get(4)?,
        added: row.get(5)?,
        by: row.get(6)?,
        note: row.get(7)?,
    })
}

pub(super) async fn add(
    tx: &mut Tx<'_>,
    new: &NewFirmware,
    now: Time,
) -> Result<AddedFirmware, StoreError> {
    let NewFirmware {
        name,
        lowest,
        content,
        by,
        note,
    } = new;
    if note.len() > NOTE_BYTES_MAX {
        return Err(StoreError::TooLarge {
            what: "note",
            bytes: note.len(),
            max: NOTE_BYTES_MAX,
        });
    }
    // Of two who add the same one, the second sees what the first did.
    tx.count_up("library", 1).await?;
    let digest = content.digest();
    if let Some(known) = find(tx, name).await? {
        // A controller tells its version and nothing more: two images of one could not be told apart.
        return match known.digest == digest {
            true => Ok(AddedFirmware {
                digest,
                is_new: false,
            }),
            false => Err(StoreError::Exists(name.to_string())),
        };
    }
    library::put(tx, content, now).await?;
    let bytes: u64 = content.parts().iter().map(|part| part.len() as u64).sum();
    let sql =
        "INSERT INTO firmware (profile, version, lowest, content, bytes, added_ms, author, note)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    let (profile, version) = (&name.profile, name.version.0);
    let values = params![profile, version, lowest.0, digest, bytes, now, by, note];
    tx.execute(sql, values).await?;
    Ok(AddedFirmware {
        digest,
        is_new: true,
    })
}

/// All of them: they are few.
pub(super) async fn all(tx: &mut Tx<'_>) -> Result<Vec<Firmware>, StoreError> {
    let sql = format!("{FIRMWARE} ORDER BY profile, version DESC");
    let rows = tx.rows(&sql, &[]).await?;
    rows.iter().map(firmware).collect()
}

pub(super) async fn find(
    tx: &mut Tx<'_>,
    name: &FirmwareName,
) -> Result<Option<Firmware>, StoreError> {
    let sql = format!("{FIRMWARE} WHERE profile = ? AND version = ?");
    let values = params![&name.profile, name.version.0];
    let row = tx.row(&sql, values).await?;
    row.as_ref().map(firmware).transpose()
}

pub(super) async fn newest(
    tx: &mut Tx<'_>,
    profile: &Label,
) -> Result<Option<Firmware>, StoreError> {
    let sql = format!("{FIRMWARE} WHERE profile = ? ORDER BY version DESC LIMIT 1");
    let row = tx.row(&sql, params![profile]).await?;
    row.as_ref().map(firmware).transpose()
}

pub(super) async fn of_content(
    tx: &mut Tx<'_>,
    digest: Digest,
) -> Result<Option<Firmware>, StoreError> {
    let sql = format!("{FIRMWARE} WHERE content = ? LIMIT 1");
    let row = tx.row(&sql, params![digest]).await?;
    row.as_ref().map(firmware).transpose()
}

pub(super) async fn remove(
    tx: &mut Tx<'_>,
    name: &FirmwareName,
    now: Time,
) -> Result<bool, StoreError> {
    tx.count_up("library", 1).await?;
    let (profile, version) = (&name.profile, name.version.0);
    let sql = "SELECT r.rollout FROM firmware f
               JOIN rollout_content r ON r.content = f.content
               WHERE f.profile = ? AND f.version = ? LIMIT 1";
    if tx.row(sql, params![profile, version]).await?.is_some() {
        return Err(StoreError::InUse {
            what: "the firmware",
        });
    }
    let sql = "DELETE FROM firmware WHERE profile = ? AND version = ?";
    let removed = tx.execute(sql, params![profile, version]).await?;
    library::sweep(tx, now).await?;
    Ok(removed > 0)
}

impl FromValue for FirmwareVersion {
    const WHAT: &'static str = "version of a firmware";
    fn from_value(value: &Value) -> Option<Self> {
        u32::from_value(value).map(FirmwareVersion)
    }
}
