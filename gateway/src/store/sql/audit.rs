//! The audit log: what the command journal tells, chained by hashes, never changed.

use super::{
    Tx,
    value::{Value, params},
};
use crate::{
    audit::{
        AuditFilter, AuditRecord,
        chain::{self, Chained, Hash},
    },
    store::StoreError,
};
use switchyard_protocol::message::Time;

const CORRUPT_RECORD: StoreError = StoreError::Corrupt {
    what: "audit record",
};

pub(super) async fn append(
    tx: &mut Tx<'_>,
    journal: [u8; 16],
    first_position: u64,
    records: &[AuditRecord],
) -> Result<(), StoreError> {
    // Locks the row that every writer of the log must have, so that the last record stays the last.
    let last = tx.count_up("audit", 0).await?;
    let sql = "SELECT position FROM audit_journal WHERE journal = ?";
    let taken = tx.row(sql, params![journal]).await?;
    let taken = taken.map(|row| row.get::<u64>(0)).transpose()?;
    let mut before = match last {
        0 => chain::FIRST,
        last => {
            let sql = "SELECT hash FROM audit WHERE number = ?";
            let row = tx.row(sql, params![last]).await?;
            row.ok_or(StoreError::Corrupt { what: "audit log" })?
                .get(0)?
        }
    };
    let mut number = last;
    let mut last_position = None;
    for (record, position) in records.iter().zip(first_position..) {
        if taken.is_some_and(|taken| position <= taken) {
            continue;
        }
        number += 1;
        before = chain::link(&before, (journal, position), record);
        let sql = "INSERT INTO audit
                       (number, journal, position, time_ms, account, target, record, hash)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
        let encoded = record.encode();
        let values = params![
            number,
            journal,
            position,
            record.time,
            record.account.as_ref(),
            record.target,
            &encoded,
            before
        ];
        tx.execute(sql, values).await?;
        last_position = Some(position);
    }
    if let Some(position) = last_position {
        tx.count_up("audit", number - last).await?;
        let sql = "REPLACE INTO audit_journal (journal, position) VALUES (?, ?)";
        tx.execute(sql, params![journal, position]).await?;
    }
    Ok(())
}

/// The fact that says what the oldest record follows: number and hash of the last that was removed.
const START: &str = "audit_start";

/// At most `limit` records after a number that a filter lets through, in their order; with each its
/// number.
pub(super) async fn page(
    tx: &mut Tx<'_>,
    filter: &AuditFilter,
    after: u64,
    limit: u32,
) -> Result<Vec<(u64, Chained)>, StoreError> {
    // Only what is asked for stands in the statement, so that an index can serve it.
    let account = filter.account.as_ref().map(Value::from);
    let wanted = [
        (" AND account = ?", account),
        (" AND target = ?", filter.target.map(Value::from)),
        (" AND time_ms >= ?", filter.from.map(Value::from)),
        (" AND time_ms < ?", filter.until.map(Value::from)),
    ];
    let mut sql =
        "SELECT number, journal, position, record, hash FROM audit WHERE number > ?".to_owned();
    let mut values = vec![Value::from(after)];
    for (condition, value) in wanted {
        if let Some(value) = value {
            sql.push_str(condition);
            values.push(value);
        }
    }
    sql.push_str(" ORDER BY number LIMIT ?");
    values.push(limit.into());
    let rows = tx.rows(&sql, &values).await?;
    let rows = rows.iter().map(|row| {
        let record = AuditRecord::decode(&row.get::<Vec<u8>>(3)?);
        let chained = Chained {
            at: (row.get(1)?, row.get(2)?),
            record: record.map_err(|_| CORRUPT_RECORD)?,
            hash: row.get(4)?,
        };
        Ok((row.get(0)?, chained))
    });
    rows.collect()
}

/// What the oldest record follows.
pub(super) async fn start(tx: &mut Tx<'_>) -> Result<(u64, Hash), StoreError> {
    let sql = "SELECT value FROM fact WHERE name = ?";
    let Some(row) = tx.row(sql, params![START]).await? else {
        return Ok((0, chain::FIRST));
    };
    let bytes: [u8; 40] = row.get(0)?;
    let (number, hash) = bytes.split_first_chunk().ok_or(CORRUPT_RECORD)?;
    let hash = hash.try_into().map_err(|_| CORRUPT_RECORD)?;
    Ok((u64::from_be_bytes(*number), hash))
}

/// Removes the oldest records written before a time, and notes what the rest follows.
pub(super) async fn trim(tx: &mut Tx<'_>, before: Time, limit: u32) -> Result<u32, StoreError> {
    // The writers' row, locked; and the last record stays for the next to be bound to.
    let last = tx.count_up("audit", 0).await?;
    let sql = "SELECT number, time_ms, hash FROM audit WHERE number < ? ORDER BY number LIMIT ?";
    let rows = tx.rows(sql, params![last, limit]).await?;
    let mut newest: Option<(u64, Hash)> = None;
    for row in &rows {
        if row.get::<Time>(1)? >= before {
            break;
        }
        newest = Some((row.get(0)?, row.get(2)?));
    }
    let Some((number, hash)) = newest else {
        return Ok(0);
    };
    let start = [&number.to_be_bytes()[..], &hash].concat();
    let sql = "REPLACE INTO fact (name, value) VALUES (?, ?)";
    tx.execute(sql, params![START, &start]).await?;
    let sql = "DELETE FROM audit WHERE number <= ?";
    let removed = tx.execute(sql, params![number]).await?;
    Ok(u32::try_from(removed).unwrap_or(limit))
}
