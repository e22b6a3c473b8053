//! The library: scripts by label and version, and contents by digest.
//!
//! A content goes when nothing refers to it any more and nobody has put it there for a day: what a roll-out has
//! just saved is not referred to yet.

use super::{
    Tx,
    value::{FromValue, Row, Value, params},
};
use crate::{
    digest::Digest,
    fleet::{plan::Label, rollout::ReleaseKind},
    store::{
        AddedScript, CONTENTS_MAX, Content, FIRMWARES_MAX, NOTE_BYTES_MAX, NewScript, SCRIPTS_MAX,
        ScriptVersion, StoreError, VERSIONS_MAX,
    },
};
use bytes::Bytes;
use std::collections::HashMap;
use switchyard_protocol::message::Time;

/// How long a content stays that nothing refers to.
const SPARED_MS: u64 = 24 * 3_600_000;
/// Contents that go in one transaction at most.
const SWEPT_AT_ONCE: u32 = 500;
/// Digests in one statement; each count is a statement that stays prepared.
const DIGESTS_PER_STATEMENT: usize = 64;

pub(super) async fn add(
    tx: &mut Tx<'_>,
    script: &NewScript,
    now: Time,
) -> Result<AddedScript, StoreError> {
    if script.note.len() > NOTE_BYTES_MAX {
        return Err(StoreError::TooLarge {
            what: "note",
            bytes: script.note.len(),
            max: NOTE_BYTES_MAX,
        });
    }
    let content = Content::script(&script.source)?;
    // Its row stays locked: of two who add the same one, the second sees what the first did.
    tx.count_up("library", 1).await?;
    let label = &script.label;
    let newest = newest(tx, label).await?;
    let digest = content.digest();
    if let Some(newest) = newest.as_ref().filter(|it| it.digest == digest) {
        return Ok(AddedScript {
            number: newest.number,
            digest,
            is_new: false,
        });
    }
    let sql = "SELECT count(DISTINCT label) FROM script_version";
    if newest.is_none() && count(tx, sql, &[]).await? >= SCRIPTS_MAX {
        return Err(StoreError::Full {
            what: "scripts in the library",
            max: SCRIPTS_MAX,
        });
    }
    let number = newest.map_or(1, |it| it.number + 1);
    if u64::from(number) > VERSIONS_MAX {
        return Err(StoreError::Full {
            what: "versions of one script",
            max: VERSIONS_MAX,
        });
    }
    put(tx, &content, now).await?;
    let sql = "INSERT INTO script_version (label, number, content, bytes, added_ms, author, note)
               VALUES (?, ?, ?, ?, ?, ?, ?)";
    let bytes = script.source.len() as u64;
    let values = params![label, number, digest, bytes, now, &script.by, &script.note];
    tx.execute(sql, values).await?;
    Ok(AddedScript {
        number,
        digest,
        is_new: true,
    })
}

const VERSION: &str =
    "SELECT label, number, content, bytes, added_ms, author, note FROM script_version";

fn version(row: &Row) -> Result<ScriptVersion, StoreError> {
    Ok(ScriptVersion {
        label: row.get(0)?,
        number: row.get(1)?,
        digest: row.get(2)?,
        bytes: row.get(3)?,
        added: row.get(4)?,
        by: row.get(5)?,
        note: row.get(6)?,
    })
}

async fn newest(tx: &mut Tx<'_>, label: &Label) -> Result<Option<ScriptVersion>, StoreError> {
    let sql = format!("{VERSION} WHERE label = ? ORDER BY number DESC LIMIT 1");
    let row = tx.row(&sql, params![label]).await?;
    row.as_ref().map(version).transpose()
}

/// The newest version of each script behind one.
pub(super) async fn scripts(
    tx: &mut Tx<'_>,
    after: Option<&Label>,
    limit: u32,
) -> Result<Vec<ScriptVersion>, StoreError> {
    let sql = format!(
        "{VERSION} newest WHERE label > ? AND number =
             (SELECT max(number) FROM script_version one WHERE one.label = newest.label)
         ORDER BY label LIMIT ?"
    );
    let after = after.map_or("", Label::as_str);
    let rows = tx.rows(&sql, params![after, limit]).await?;
    rows.iter().map(version).collect()
}

pub(super) async fn versions(
    tx: &mut Tx<'_>,
    label: &Label,
    before: Option<u32>,
    limit: u32,
) -> Result<Vec<ScriptVersion>, StoreError> {
    let sql = format!("{VERSION} WHERE label = ? AND number < ? ORDER BY number DESC LIMIT ?");
    let before = before.unwrap_or(u32::MAX);
    let rows = tx.rows(&sql, params![label, before, limit]).await?;
    rows.iter().map(version).collect()
}

pub(super) async fn find(
    tx: &mut Tx<'_>,
    label: &Label,
    number: Option<u32>,
) -> Result<Option<(ScriptVersion, String)>, StoreError> {
    let found = match number {
        None => newest(tx, label).await?,
        Some(number) => {
            let sql = format!("{VERSION} WHERE label = ? AND number = ?");
            let row = tx.row(&sql, params![label, number]).await?;
            row.as_ref().map(version).transpose()?
        }
    };
    let Some(version) = found else {
        return Ok(None);
    };
    let content = content(tx, version.digest).await?;
    let source = content.as_ref().and_then(Content::source);
    let source = source.ok_or(StoreError::Corrupt { what: "script" })?;
    Ok(Some((version, source.to_owned())))
}

/// The newest version there is of each of these contents.
pub(super) async fn of_contents(
    tx: &mut Tx<'_>,
    digests: &[Digest],
) -> Result<Vec<ScriptVersion>, StoreError> {
    let mut newest: HashMap<Digest, ScriptVersion> = HashMap::new();
    for digests in digests.chunks(DIGESTS_PER_STATEMENT) {
        let marks = vec!["?"; digests.len()].join(", ");
        let sql = format!("{VERSION} WHERE content IN ({marks}) ORDER BY added_ms, label, number");
        let values: Vec<Value> = digests.iter().map(|digest| (*digest).into()).collect();
        for row in tx.rows(&sql, &values).await? {
            let version = version(&row)?;
            newest.insert(version.digest, version);
        }
    }
    let mut newest: Vec<_> = newest.into_values().collect();
    newest.sort_by(|one, other| (&one.label, one.number).cmp(&(&other.label, other.number)));
    Ok(newest)
}

pub(super) async fn remove(tx: &mut Tx<'_>, label: &Label, now: Time) -> Result<bool, StoreError> {
    tx.count_up("library", 1).await?;
    let sql = "SELECT r.rollout FROM script_version v
               JOIN rollout_content r ON r.content = v.content WHERE v.label = ? LIMIT 1";
    if tx.row(sql, params![label]).await?.is_some() {
        return Err(StoreError::InUse { what: "the script" });
    }
    let sql = "DELETE FROM script_version WHERE label = ?";
    let removed = tx.execute(sql, params![label]).await?;
    sweep(tx, now).await?;
    Ok(removed > 0)
}

/// Keeps a content, or notes that it was put once more.
pub(super) async fn put(
    tx: &mut Tx<'_>,
    content: &Content,
    now: Time,
) -> Result<Digest, StoreError> {
    let (digest, kind) = (content.digest(), content.kind());
    let sql = "UPDATE content SET kept_ms = CASE WHEN kept_ms < ? THEN ? ELSE kept_ms END
               WHERE digest = ? AND kind = ?";
    if tx.execute(sql, params![now, now, digest, kind]).await? > 0 {
        return Ok(digest);
    }
    make_room(tx, kind, now).await?;
    let bytes: u64 = content.parts().iter().map(|part| part.len() as u64).sum();
    let sql = "INSERT INTO content (digest, kind, bytes, kept_ms) VALUES (?, ?, ?, ?)";
    if !tx.insert(sql, params![digest, kind, bytes, now]).await? {
        // The same bytes are there as something else.
        return Err(StoreError::Exists(digest.to_string()));
    }
    for (number, part) in (0_u32..).zip(content.parts()) {
        let sql = "INSERT INTO content_part (content, part, bytes) VALUES (?, ?, ?)";
        tx.execute(sql, params![digest, number, part]).await?;
    }
    Ok(digest)
}

/// Sees to it that one more content of a kind may come.
async fn make_room(tx: &mut Tx<'_>, kind: ReleaseKind, now: Time) -> Result<(), StoreError> {
    let firmware = params![ReleaseKind::Firmware];
    let all = (
        "SELECT count(*) FROM content",
        &[][..],
        "contents",
        CONTENTS_MAX,
    );
    let of_kind = (
        "SELECT count(*) FROM content WHERE kind = ?",
        &firmware[..],
        "firmwares in the library",
        FIRMWARES_MAX,
    );
    for (sql, values, what, max) in [all, of_kind] {
        let is_concerned = values.is_empty() || kind == ReleaseKind::Firmware;
        if !is_concerned || count(tx, sql, values).await? < max {
            continue;
        }
        sweep(tx, now).await?;
        if count(tx, sql, values).await? >= max {
            return Err(StoreError::Full { what, max });
        }
    }
    Ok(())
}

async fn count(tx: &mut Tx<'_>, sql: &str, values: &[Value]) -> Result<u64, StoreError> {
    let row = tx.row(sql, values).await?;
    row.ok_or(StoreError::Corrupt { what: "count" })?.get(0)
}

/// Deletes contents that nothing refers to.
pub(super) async fn sweep(tx: &mut Tx<'_>, now: Time) -> Result<(), StoreError> {
    const IS_UNUSED: &str = "NOT EXISTS (SELECT 1 FROM script_version v WHERE v.content = digest)
               AND NOT EXISTS (SELECT 1 FROM firmware f WHERE f.content = digest)
               AND NOT EXISTS (SELECT 1 FROM rollout_content r WHERE r.content = digest)";
    let before = Time(now.0.saturating_sub(SPARED_MS));
    let sql = format!("SELECT digest FROM content WHERE kept_ms < ? AND {IS_UNUSED} LIMIT ?");
    for row in tx.rows(&sql, params![before, SWEPT_AT_ONCE]).await? {
        let digest: Digest = row.get(0)?;
        // Looked at once more under its lock: another process may have come to need it.
        if !lock(tx, digest).await? {
            continue;
        }
        let sql = format!("SELECT digest FROM content WHERE digest = ? AND {IS_UNUSED}");
        if tx.row(&sql, params![digest]).await?.is_none() {
            continue;
        }
        let sql = "DELETE FROM content_part WHERE content = ?";
        tx.execute(sql, params![digest]).await?;
        let sql = "DELETE FROM content WHERE digest = ?";
        tx.execute(sql, params![digest]).await?;
    }
    Ok(())
}

/// Keeps a content from going until the transaction ends; whether it is there.
pub(super) async fn lock(tx: &mut Tx<'_>, digest: Digest) -> Result<bool, StoreError> {
    let sql = "UPDATE content SET kept_ms = kept_ms WHERE digest = ?";
    Ok(tx.execute(sql, params![digest]).await? > 0)
}

pub(super) async fn content(
    tx: &mut Tx<'_>,
    digest: Digest,
) -> Result<Option<Content>, StoreError> {
    let sql = "SELECT kind FROM content WHERE digest = ?";
    let Some(row) = tx.row(sql, params![digest]).await? else {
        return Ok(None);
    };
    let sql = "SELECT bytes FROM content_part WHERE content = ? ORDER BY part";
    let parts = tx.rows(sql, params![digest]).await?;
    let parts = parts.iter().map(|row| row.get::<Bytes>(0));
    let content = Content::of_parts(row.get(0)?, parts.collect::<Result<_, _>>()?)?;
    // It is sent to machines: what is not what it says it is goes nowhere.
    if content.digest() != digest {
        return Err(StoreError::Corrupt { what: "content" });
    }
    Ok(Some(content))
}

impl FromValue for Digest {
    const WHAT: &'static str = "digest";
    fn from_value(value: &Value) -> Option<Self> {
        <[u8; 32]>::from_value(value).map(Digest)
    }
}

impl From<Digest> for Value {
    fn from(digest: Digest) -> Self {
        digest.0.into()
    }
}

impl FromValue for Label {
    const WHAT: &'static str = "label";
    fn from_value(value: &Value) -> Option<Self> {
        String::from_value(value)?.parse().ok()
    }
}

impl From<&Label> for Value {
    fn from(label: &Label) -> Self {
        Value::Text(label.as_str().to_owned())
    }
}

impl FromValue for ReleaseKind {
    const WHAT: &'static str = "kind of release";
    fn from_value(value: &Value) -> Option<Self> {
        match u8::from_value(value)? {
            0 => Some(ReleaseKind::Script),
            1 => Some(ReleaseKind::Parameters),
            2 => Some(ReleaseKind::Firmware),
            _ => None,
        }
    }
}

impl From<ReleaseKind> for Value {
    fn from(kind: ReleaseKind) -> Self {
        Value::Int(match kind {
            ReleaseKind::Script => 0,
            ReleaseKind::Parameters => 1,
            ReleaseKind::Firmware => 2,
        })
    }
}
