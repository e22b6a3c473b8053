//! Owners of chores that only one gateway may do at a time, by fenced leases.

use super::{Tx, value::params};
use crate::store::{FencingToken, StoreError};
use std::time::Duration;
use switchyard_protocol::message::{Time, Title};

pub(super) async fn acquire(
    tx: &mut Tx<'_>,
    name: &Title,
    holder: [u8; 16],
    ttl: Duration,
    now: Time,
) -> Result<Option<FencingToken>, StoreError> {
    let expires = now.plus(ttl);
    let sql = "INSERT INTO lease (name, holder, token, expires_ms) VALUES (?, ?, 1, ?)";
    if tx.insert(sql, params![name, holder, expires]).await? {
        return Ok(Some(FencingToken(1)));
    }
    // Locks the row, so that of two who come at once one sees what the other did.
    let sql = "UPDATE lease SET token = token + 1, holder = ?
               WHERE name = ? AND holder <> ? AND expires_ms <= ?";
    tx.execute(sql, params![holder, name, holder, now]).await?;
    let sql = "UPDATE lease SET expires_ms = ? WHERE name = ? AND holder = ?";
    if tx.execute(sql, params![expires, name, holder]).await? == 0 {
        return Ok(None);
    }
    let sql = "SELECT token FROM lease WHERE name = ?";
    let row = tx.row(sql, params![name]).await?;
    let token = row.ok_or(StoreError::Corrupt { what: "lease" })?.get(0)?;
    Ok(Some(FencingToken(token)))
}

pub(super) async fn release(
    tx: &mut Tx<'_>,
    name: &Title,
    holder: [u8; 16],
) -> Result<bool, StoreError> {
    // Not deleted: its token must go on rising.
    let sql = "UPDATE lease SET expires_ms = 0 WHERE name = ? AND holder = ?";
    Ok(tx.execute(sql, params![name, holder]).await? > 0)
}
