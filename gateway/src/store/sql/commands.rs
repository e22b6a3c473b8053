//! Commands that wait, and the numbers of events.

use super::{Tx, alarms, value::params};
use crate::store::{ScriptAlarm, StoreError};
use switchyard_protocol::{Address, message::Key};
use switchyard_relay::{StoreRequest, StoredCommand};

pub(super) async fn write(tx: &mut Tx<'_>, request: &StoreRequest) -> Result<(), StoreError> {
    match request {
        StoreRequest::Queue(command) => {
            let sql = "INSERT INTO queued_command
                           (`key`, ordinal, account, expiry_ms, frame, sent_boot)
                       VALUES (?, ?, ?, ?, ?, ?)";
            let values = params![
                command.key.0,
                command.order,
                &command.account,
                command.expiry,
                &command.frame,
                command.sent,
            ];
            // One that is there already is there.
            tx.insert(sql, values).await?;
        }
        StoreRequest::MarkSent { key, boot } => {
            let sql = "UPDATE queued_command SET sent_boot = ? WHERE `key` = ?";
            tx.execute(sql, params![*boot, key.0]).await?;
        }
        StoreRequest::Forget { key } => {
            let sql = "DELETE FROM queued_command WHERE `key` = ?";
            tx.execute(sql, params![key.0]).await?;
        }
    }
    Ok(())
}

pub(super) async fn stored(tx: &mut Tx<'_>) -> Result<Vec<StoredCommand>, StoreError> {
    let sql = "SELECT `key`, ordinal, account, expiry_ms, frame, sent_boot
               FROM queued_command ORDER BY ordinal";
    let rows = tx.rows(sql, params![]).await?;
    let rows = rows.iter().map(|row| {
        Ok(StoredCommand {
            key: Key(row.get(0)?),
            order: row.get(1)?,
            account: row.get(2)?,
            expiry: row.get(3)?,
            frame: row.get(4)?,
            sent: row.get(5)?,
        })
    });
    rows.collect()
}

pub(super) async fn put_event_numbers(
    tx: &mut Tx<'_>,
    numbers: &[(Address, u32)],
    told: &[ScriptAlarm],
) -> Result<(), StoreError> {
    // In the same transaction: a number that is kept is never told again.
    alarms::put_script_alarms(tx, told).await?;
    for &(controller, number) in numbers {
        let sql = "REPLACE INTO event_number (controller, number) VALUES (?, ?)";
        tx.execute(sql, params![controller, number]).await?;
    }
    Ok(())
}

pub(super) async fn event_numbers(tx: &mut Tx<'_>) -> Result<Vec<(Address, u32)>, StoreError> {
    let sql = "SELECT controller, number FROM event_number ORDER BY controller";
    let rows = tx.rows(sql, params![]).await?;
    rows.iter()
        .map(|row| Ok((row.get(0)?, row.get(1)?)))
        .collect()
}
