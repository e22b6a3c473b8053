//! Roll-outs: a head and one row for each controller, and what people want of them.
//!
//! The row of the head bears the newest token that has claimed it. Whoever writes does so through that row, which
//! is locked from then on: of two owners one sees the other's token.

use super::{
    Tx, library,
    value::{FromValue, Row, Value, params},
};
use crate::{
    digest::Digest,
    fleet::rollout::{Changes, Control, Entry, Head, Previous, ReleaseKind},
    store::{
        FencingToken, NewRollout, ROLLOUT_ENTRIES_MAX, ROLLOUTS_MAX, RolloutId, StoreError,
        StoredRollout, WISHES_MAX, Wish, WishId,
    },
};
use std::collections::BTreeSet;
use switchyard_protocol::{
    SiteId,
    message::{Time, Title},
};

/// Rows in one statement: a server answers as fast as for one, and each count is a statement that stays prepared.
const ROWS_PER_STATEMENT: usize = 128;

pub(super) async fn create(
    tx: &mut Tx<'_>,
    about: &NewRollout,
    first: &Changes,
) -> Result<RolloutId, StoreError> {
    super::check_name(&about.title)?;
    // Its row stays locked, as by `lock_beginnings`.
    let number = tx.count_up("rollout", 1).await?;
    let number = u32::try_from(number).map_err(|_| CORRUPT)?;
    let rollout = RolloutId(number);
    let (head, release) = (&first.head, first.head.terms().release);
    make_room(tx, head.controllers()).await?;
    let sql = "INSERT INTO rollout
                   (id, title, author, began_ms, kind, is_open, token, controllers, head, stages)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let values = params![
        rollout.0,
        &about.title,
        &about.by,
        about.began,
        release.kind,
        !head.phase().is_end(),
        head.token(),
        head.controllers(),
        &written(head)?,
        &written(&first.stages)?,
    ];
    tx.execute(sql, values).await?;
    refer(tx, rollout, release.digest).await?;
    put_entries(tx, rollout, &first.entries).await?;
    stand_alone(tx, rollout, release.kind, Others::OpenOrWished).await?;
    Ok(rollout)
}

/// Has whoever begins a roll-out, or opens one anew, wait for each other until the transaction ends: the
/// second then sees what the first did. Taken before any row of a roll-out.
async fn lock_beginnings(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    tx.count_up("rollout", 0).await.map(drop)
}

/// Which other roll-outs keep one from its controllers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Others {
    /// Those that have not ended.
    Open,
    /// Those as well that a person wants rolled back: they are about to go on.
    OpenOrWished,
}

/// Refuses a roll-out while another one of its kind is at one of its controllers, and beside one of firmware any: its
/// restarts would end others' trials. After [`lock_beginnings`].
async fn stand_alone(
    tx: &mut Tx<'_>,
    rollout: RolloutId,
    kind: ReleaseKind,
    others: Others,
) -> Result<(), StoreError> {
    let sql = "SELECT o.rollout, o.controller FROM rollout r
               JOIN rollout_entry o ON o.rollout = r.id
               JOIN rollout_entry n ON n.rollout = ? AND n.controller = o.controller
               WHERE (r.kind = ? OR r.kind = ? OR ? = ?) AND r.id <> ? AND (r.is_open = 1 OR ? = 1 AND EXISTS
                   (SELECT 1 FROM rollout_wish w WHERE w.rollout = r.id AND w.control = ?))
               LIMIT 1";
    let wished = others == Others::OpenOrWished;
    let firmware = ReleaseKind::Firmware;
    let values = params![
        rollout.0,
        kind,
        firmware,
        kind,
        firmware,
        rollout.0,
        wished,
        Control::RollBack
    ];
    match tx.row(sql, values).await? {
        None => Ok(()),
        Some(row) => Err(StoreError::Overlaps {
            rollout: RolloutId(row.get(0)?),
            controller: row.get(1)?,
        }),
    }
}

/// Forgets the oldest that have ended, until one more with so many controllers may come.
async fn make_room(tx: &mut Tx<'_>, controllers: u32) -> Result<(), StoreError> {
    loop {
        let sql = "SELECT count(*), CAST(coalesce(sum(controllers), 0) AS SIGNED) FROM rollout";
        let row = tx.row(sql, params![]).await?.ok_or(CORRUPT)?;
        let (count, entries): (u64, u64) = (row.get(0)?, row.get(1)?);
        let is_room = entries + u64::from(controllers) <= ROLLOUT_ENTRIES_MAX;
        if count < ROLLOUTS_MAX && is_room {
            return Ok(());
        }
        // One that waits for its roll-back has not ended for good.
        let sql = "SELECT id FROM rollout r WHERE is_open = 0 AND NOT EXISTS
                       (SELECT 1 FROM rollout_wish w WHERE w.rollout = r.id)
                   ORDER BY id LIMIT 1";
        let Some(oldest) = tx.row(sql, params![]).await? else {
            let (what, max) = match is_room {
                true => ("roll-outs that go on", ROLLOUTS_MAX),
                false => ("controllers in roll-outs that go on", ROLLOUT_ENTRIES_MAX),
            };
            return Err(StoreError::Full { what, max });
        };
        forget(tx, RolloutId(oldest.get(0)?)).await?;
    }
}

async fn forget(tx: &mut Tx<'_>, rollout: RolloutId) -> Result<(), StoreError> {
    for sql in [
        "DELETE FROM rollout_wish WHERE rollout = ?",
        "DELETE FROM rollout_content WHERE rollout = ?",
        "DELETE FROM rollout_entry WHERE rollout = ?",
        "DELETE FROM rollout WHERE id = ?",
    ] {
        tx.execute(sql, params![rollout.0]).await?;
    }
    Ok(())
}

/// Notes that a roll-out needs a content, which must be there.
async fn refer(tx: &mut Tx<'_>, rollout: RolloutId, digest: Digest) -> Result<(), StoreError> {
    if !library::lock(tx, digest).await? {
        return Err(StoreError::Missing {
            what: "content",
            name: digest.to_string(),
        });
    }
    let sql = "INSERT INTO rollout_content (rollout, content) VALUES (?, ?)";
    tx.insert(sql, params![rollout.0, digest]).await?;
    Ok(())
}

/// Keeps entries in place of those of the same positions, and refers to what they would be brought back to.
async fn put_entries(
    tx: &mut Tx<'_>,
    rollout: RolloutId,
    entries: &[Entry],
) -> Result<(), StoreError> {
    let saved = entries.iter().filter_map(|entry| match entry.previous() {
        Some(Previous::Saved(digest)) => Some(digest),
        _ => None,
    });
    for digest in saved.collect::<BTreeSet<_>>() {
        refer(tx, rollout, digest).await?;
    }
    for entries in entries.chunks(ROWS_PER_STATEMENT) {
        let mut values = Vec::with_capacity(4 * ROWS_PER_STATEMENT);
        for entry in entries {
            let (position, controller) = (entry.position(), entry.address());
            let entry = written(entry)?;
            values.extend_from_slice(params![rollout.0, position, controller, &entry]);
        }
        let rows = vec!["(?, ?, ?, ?)"; entries.len()].join(", ");
        let sql = format!(
            "REPLACE INTO rollout_entry (rollout, position, controller, entry) VALUES {rows}"
        );
        tx.execute(&sql, &values).await?;
    }
    Ok(())
}

const CORRUPT: StoreError = StoreError::Corrupt { what: "roll-out" };

fn written(what: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(what).map_err(|_| CORRUPT)
}

fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|_| CORRUPT)
}

fn missing(rollout: RolloutId) -> StoreError {
    StoreError::Missing {
        what: "roll-out",
        name: rollout.to_string(),
    }
}

/// Why a row was not there for a token: there is none, or a newer one has claimed it.
async fn refusal(tx: &mut Tx<'_>, rollout: RolloutId) -> Result<StoreError, StoreError> {
    let sql = "SELECT token FROM rollout WHERE id = ?";
    let row = tx.row(sql, params![rollout.0]).await?;
    Ok(match row {
        Some(_) => StoreError::Fenced(format!("roll-out {rollout}")),
        None => missing(rollout),
    })
}

pub(super) async fn claim(
    tx: &mut Tx<'_>,
    rollout: RolloutId,
    token: FencingToken,
) -> Result<Option<StoredRollout>, StoreError> {
    let sql = "UPDATE rollout SET token = ? WHERE id = ? AND token <= ?";
    if tx
        .execute(sql, params![token.0, rollout.0, token.0])
        .await?
        == 0
    {
        return match refusal(tx, rollout).await? {
            StoreError::Missing { .. } => Ok(None),
            fenced => Err(fenced),
        };
    }
    find(tx, rollout).await
}

pub(super) async fn save(
    tx: &mut Tx<'_>,
    rollout: RolloutId,
    changes: &Changes,
    granted: Option<WishId>,
) -> Result<(), StoreError> {
    let head = &changes.head;
    let (token, is_open) = (head.token(), !head.phase().is_end());
    if is_open && opened(tx, rollout).await? == Some(false) {
        lock_beginnings(tx).await?;
        stand_alone(tx, rollout, head.terms().release.kind, Others::Open).await?;
    }
    let sql = "UPDATE rollout SET token = ?, is_open = ?, head = ?, stages = ?
               WHERE id = ? AND token <= ?";
    let (written_head, stages) = (written(head)?, written(&changes.stages)?);
    let values = params![token, is_open, &written_head, &stages, rollout.0, token];
    if tx.execute(sql, values).await? == 0 {
        return Err(refusal(tx, rollout).await?);
    }
    put_entries(tx, rollout, &changes.entries).await?;
    if let Some(granted) = granted {
        let sql = "DELETE FROM rollout_wish WHERE rollout = ? AND id <= ?";
        tx.execute(sql, params![rollout.0, granted.0]).await?;
    }
    Ok(())
}

/// Whether a roll-out has not ended; `None` where there is no such roll-out.
async fn opened(tx: &mut Tx<'_>, rollout: RolloutId) -> Result<Option<bool>, StoreError> {
    let sql = "SELECT is_open FROM rollout WHERE id = ?";
    let row = tx.row(sql, params![rollout.0]).await?;
    row.map(|row| row.get(0)).transpose()
}

const ROLLOUT: &str = "SELECT id, title, author, began_ms, head, stages FROM rollout";

fn stored(row: &Row) -> Result<StoredRollout, StoreError> {
    Ok(StoredRollout {
        id: RolloutId(row.get(0)?),
        about: NewRollout {
            title: row.get(1)?,
            by: row.get(2)?,
            began: row.get(3)?,
        },
        head: read::<Head>(&row.get::<String>(4)?)?,
        stages: read(&row.get::<String>(5)?)?,
    })
}

pub(super) async fn find(
    tx: &mut Tx<'_>,
    rollout: RolloutId,
) -> Result<Option<StoredRollout>, StoreError> {
    let sql = format!("{ROLLOUT} WHERE id = ?");
    let row = tx.row(&sql, params![rollout.0]).await?;
    row.as_ref().map(stored).transpose()
}

pub(super) async fn page(
    tx: &mut Tx<'_>,
    open: bool,
    before: Option<RolloutId>,
    limit: u32,
) -> Result<Vec<StoredRollout>, StoreError> {
    let sql = format!("{ROLLOUT} WHERE id < ? AND is_open >= ? ORDER BY id DESC LIMIT ?");
    let before = before.map_or(i64::MAX, |RolloutId(id)| id.into());
    let rows = tx.rows(&sql, params![before, open, limit]).await?;
    rows.iter().map(stored).collect()
}

pub(super) async fn entries(
    tx: &mut Tx<'_>,
    rollout: RolloutId,
    after: Option<u32>,
    limit: u32,
) -> Result<Vec<Entry>, StoreError> {
    let sql = "SELECT entry FROM rollout_entry WHERE rollout = ? AND position > ?
               ORDER BY position LIMIT ?";
    let after = after.map_or(-1, i64::from);
    let rows = tx.rows(sql, params![rollout.0, after, limit]).await?;
    rows.iter()
        .map(|row| read(&row.get::<String>(0)?))
        .collect()
}

pub(super) async fn sites(
    tx: &mut Tx<'_>,
    rollout: RolloutId,
) -> Result<Vec<Option<SiteId>>, StoreError> {
    let sql = "SELECT DISTINCT c.site FROM rollout_entry e
               JOIN controller c ON c.address = e.controller
               WHERE e.rollout = ? AND c.revoked_ms IS NULL ORDER BY c.site";
    let rows = tx.rows(sql, params![rollout.0]).await?;
    rows.iter().map(|row| row.get(0)).collect()
}

pub(super) async fn remove(tx: &mut Tx<'_>, rollout: RolloutId) -> Result<bool, StoreError> {
    match opened(tx, rollout).await? {
        None => Ok(false),
        Some(true) => Err(StoreError::InUse {
            what: "the roll-out",
        }),
        Some(false) => {
            forget(tx, rollout).await?;
            Ok(true)
        }
    }
}

pub(super) async fn add_wish(
    tx: &mut Tx<'_>,
    rollout: RolloutId,
    control: Control,
    by: &Title,
    now: Time,
) -> Result<WishId, StoreError> {
    if control == Control::RollBack {
        // From now on it counts as one that goes on, so nobody begins another one before its owner has opened it.
        lock_beginnings(tx).await?;
    }
    // Whoever wishes at the same time waits here.
    let id = tx.count_up("rollout_wish", 1).await?.unsigned_abs();
    let sql = "SELECT kind, is_open FROM rollout WHERE id = ?";
    let row = tx.row(sql, params![rollout.0]).await?;
    let row = row.ok_or_else(|| missing(rollout))?;
    if control == Control::RollBack && !row.get::<bool>(1)? {
        stand_alone(tx, rollout, row.get(0)?, Others::OpenOrWished).await?;
    }
    let sql = "SELECT count(*) FROM rollout_wish WHERE rollout = ?";
    let row = tx.row(sql, params![rollout.0]).await?.ok_or(CORRUPT)?;
    if row.get::<u64>(0)? >= WISHES_MAX {
        return Err(StoreError::Full {
            what: "wishes that wait for a roll-out's owner",
            max: WISHES_MAX,
        });
    }
    let sql = "INSERT INTO rollout_wish (id, rollout, control, author, asked_ms)
               VALUES (?, ?, ?, ?, ?)";
    tx.execute(sql, params![id, rollout.0, control, by, now])
        .await?;
    Ok(WishId(id))
}

pub(super) async fn wishes(
    tx: &mut Tx<'_>,
    rollout: Option<RolloutId>,
) -> Result<Vec<Wish>, StoreError> {
    const WISH: &str = "SELECT id, rollout, control, author, asked_ms FROM rollout_wish";
    let rows = match rollout {
        None => tx.rows(&format!("{WISH} ORDER BY id"), params![]).await?,
        Some(rollout) => {
            let sql = format!("{WISH} WHERE rollout = ? ORDER BY id");
            tx.rows(&sql, params![rollout.0]).await?
        }
    };
    let wishes = rows.iter().map(|row| {
        Ok(Wish {
            id: WishId(row.get(0)?),
            rollout: RolloutId(row.get(1)?),
            control: row.get(2)?,
            by: row.get(3)?,
            asked: row.get(4)?,
        })
    });
    wishes.collect()
}

impl FromValue for Control {
    const WHAT: &'static str = "wish";
    fn from_value(value: &Value) -> Option<Self> {
        match u8::from_value(value)? {
            0 => Some(Control::Pause),
            1 => Some(Control::Resume),
            2 => Some(Control::Abort),
            3 => Some(Control::RollBack),
            _ => None,
        }
    }
}

impl From<Control> for Value {
    fn from(control: Control) -> Self {
        Value::Int(match control {
            Control::Pause => 0,
            Control::Resume => 1,
            Control::Abort => 2,
            Control::RollBack => 3,
        })
    }
}
