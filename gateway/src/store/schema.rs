//! The database's schema: a list of steps, of which `user_version` counts those taken.
//!
//! A step that was released is never changed; what has to change becomes a further step.

use super::StoreError;
use rusqlite::Connection;

/// The steps, oldest first.
const STEPS: &[&str] = &[
    // 1: the foundation.
    "
    CREATE TABLE account (
        name          TEXT PRIMARY KEY NOT NULL,
        role          INTEGER NOT NULL CHECK (role BETWEEN 1 AND 4),
        password_hash TEXT NOT NULL,
        created_ms    INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE token (
        hash       BLOB PRIMARY KEY NOT NULL,
        account    TEXT NOT NULL REFERENCES account (name) ON DELETE CASCADE,
        expires_ms INTEGER NOT NULL,
        created_ms INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX token_account ON token (account, created_ms);
    CREATE TABLE controller (
        address     INTEGER PRIMARY KEY NOT NULL CHECK (address BETWEEN 1 AND 0x7FFFFFFF),
        title       TEXT NOT NULL,
        key         BLOB NOT NULL CHECK (length(key) = 32),
        enrolled_ms INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE installation (
        hash       BLOB PRIMARY KEY NOT NULL,
        address    INTEGER NOT NULL UNIQUE CHECK (address BETWEEN 0x80000000 AND 0xBFFFFFFF),
        account    TEXT NOT NULL,
        created_ms INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX installation_account ON installation (account);
    CREATE TABLE queued_command (
        key       BLOB PRIMARY KEY NOT NULL CHECK (length(key) = 16),
        ordinal   INTEGER NOT NULL,
        account   TEXT NOT NULL,
        expiry_ms INTEGER NOT NULL,
        frame     BLOB NOT NULL,
        sent_boot INTEGER
    ) STRICT;
    -- The numbers given last: they only rise, whatever is removed.
    CREATE TABLE counter (
        name  TEXT PRIMARY KEY NOT NULL,
        value INTEGER NOT NULL
    ) STRICT;
    INSERT INTO counter (name, value) VALUES
        ('controller', 0), ('installation', 0x7FFFFFFF), ('leased', 0), ('access_revision', 0);
    ",
    // 2: the latest event that the gateway has of a controller.
    "
    CREATE TABLE event_number (
        controller INTEGER PRIMARY KEY NOT NULL,
        number     INTEGER NOT NULL
    ) STRICT;
    ",
];

/// Brings the database up to this program.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let found = version(&transaction)?;
    let known = STEPS.len() as u32;
    for step in &STEPS[found as usize..] {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    transaction.commit()?;
    Ok(())
}

/// The version that a database has, if this program knows it.
pub(super) fn version(connection: &Connection) -> Result<u32, StoreError> {
    let found = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let known = STEPS.len() as u32;
    if found > known {
        return Err(StoreError::TooNew { known, found });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_brought_up_from_every_version() {
        for version in 0..=STEPS.len() {
            let mut connection = Connection::open_in_memory().unwrap();
            for step in &STEPS[..version] {
                connection.execute_batch(step).unwrap();
            }
            connection
                .pragma_update(None, "user_version", version as u32)
                .unwrap();
            migrate(&mut connection).unwrap();
            migrate(&mut connection).unwrap();
            let tables: u32 = connection
                .query_row("SELECT count(*) FROM counter", [], |row| row.get(0))
                .unwrap();
            assert_eq!(tables, 4, "from version {version}");
            let numbers: u32 = connection
                .query_row("SELECT count(*) FROM event_number", [], |row| row.get(0))
                .unwrap();
            assert_eq!(numbers, 0, "from version {version}");
        }
    }

    #[test]
    fn a_later_database_is_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        let error = migrate(&mut connection).unwrap_err();
        assert!(
            matches!(error, StoreError::TooNew { found: 99, .. }),
            "{error}"
        );
    }
}
