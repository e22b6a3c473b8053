//! SQLite: one file in WAL mode, every commit synced, one thread of its own.
//!
//! The thread drains what waits into one transaction: under load many commits share one sync, and
//! nobody is answered before that sync is done.

use super::{
    Tx,
    calls::{Call, Queue, TransactionEnd, batch},
    value::{Row, Value},
};
use crate::store::StoreError;
use futures_util::FutureExt as _;
use rusqlite::{
    Connection, Statement, TransactionBehavior,
    types::{ToSql, ToSqlOutput, ValueRef},
};
use std::{path::Path, time::Duration};

/// Statements that stay prepared: as many as the store has, and some.
const STATEMENTS_PREPARED: usize = 128;

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Int(number) => ValueRef::Integer(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// Opens or makes the database.
pub(super) fn connect(path: &Path) -> Result<Connection, StoreError> {
    keep_private(path);
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A waiting command must survive a power cut, not only a crash of ours: every commit is synced.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_PREPARED);
    Ok(connection)
}

/// Keys lie in the database: makes the file for its owner alone before SQLite, which gives what it
/// puts beside it the same mode. One that is there stays as it is, since somebody may want it so.
fn keep_private(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // What fails here fails again in SQLite, which says why.
        let _ = crate::private::create_file(path);
        if let Ok(file) = std::fs::metadata(path)
            && file.permissions().mode() & 0o077 != 0
        {
            let path = path.display();
            tracing::warn!(%path, "the database holds keys and is open to others than its owner");
        }
    }
}

/// Does what never waits.
pub(super) fn at_once<T>(future: impl Future<Output = T>) -> T {
    match future.now_or_never() {
        Some(value) => value,
        None => unreachable!("SQLite answers at once"),
    }
}

/// Does calls until nobody can make any.
pub(super) fn run(mut connection: Connection, mut queue: Queue) {
    while let Some(first) = queue.blocking_recv() {
        let mut calls = batch(first, &mut queue);
        let committed = run_batch(&mut connection, &mut calls);
        if let Err(error) = &committed {
            tracing::error!(%error, "config store: a commit failed");
        }
        for call in calls {
            call.answer(match committed {
                Ok(()) => TransactionEnd::Committed,
                Err(_) => TransactionEnd::Unclear,
            });
        }
    }
}

fn run_batch(connection: &mut Connection, calls: &mut [Box<dyn Call>]) -> rusqlite::Result<()> {
    // Immediate: another process (the command line) may write too, and a lock that is asked for
    // late can fail where one asked for early waits.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for call in calls {
        // One call fails alone: what it did is rolled back, and the rest of the batch goes on.
        transaction.execute_batch("SAVEPOINT one_call")?;
        let went_well = at_once(call.run(&mut Tx::Sqlite(&transaction)));
        transaction.execute_batch(match went_well {
            true => "RELEASE one_call",
            false => "ROLLBACK TO one_call; RELEASE one_call",
        })?;
    }
    transaction.commit()
}

pub(super) fn execute(
    connection: &Connection,
    sql: &str,
    params: &[Value],
) -> Result<u64, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    bind(&mut statement, params)?;
    Ok(statement.raw_execute()? as u64)
}

pub(super) fn rows(
    connection: &Connection,
    sql: &str,
    params: &[Value],
) -> Result<Vec<Row>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let columns = statement.column_count();
    bind(&mut statement, params)?;
    let mut found = statement.raw_query();
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        let values = (0..columns).map(|at| row.get_ref(at).map_err(StoreError::from));
        let values = values
            .map(|value| from_sqlite(value?))
            .collect::<Result<_, _>>()?;
        rows.push(Row(values));
    }
    Ok(rows)
}

fn bind(statement: &mut Statement<'_>, params: &[Value]) -> rusqlite::Result<()> {
    for (at, value) in params.iter().enumerate() {
        statement.raw_bind_parameter(at + 1, value)?;
    }
    Ok(())
}

fn from_sqlite(value: ValueRef<'_>) -> Result<Value, StoreError> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Int(number),
        ValueRef::Real(_) => return Err(StoreError::Corrupt { what: "number" }),
        ValueRef::Text(text) => {
            let text = str::from_utf8(text).map_err(|_| StoreError::Corrupt { what: "text" })?;
            Value::Text(text.to_owned())
        }
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sql::{accounts::LOGIN, value::params};

    #[test]
    fn every_commit_is_synced() {
        let folder = tempfile::tempdir().unwrap();
        let connection = connect(&folder.path().join("x.db")).unwrap();
        let pragma = |name: &str| {
            connection
                .pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0))
                .unwrap()
        };
        assert_eq!(pragma("journal_mode"), "wal".to_owned().into());
        // FULL. With the usual NORMAL a power cut takes the latest commits, `queued` ones too.
        assert_eq!(pragma("synchronous"), 2.into());
    }

    #[test]
    fn a_log_in_is_planned_once() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(
            "CREATE TABLE account (name TEXT PRIMARY KEY NOT NULL) STRICT;
             CREATE TABLE token (hash BLOB PRIMARY KEY NOT NULL, account TEXT, expires_ms INTEGER, kind INTEGER) STRICT;",
        ).unwrap();
        for moment in 0..3_i64 {
            let mut statement = connection.prepare_cached(LOGIN).unwrap();
            bind(&mut statement, params![[0_u8; 32], moment]).unwrap();
            assert!(statement.raw_query().next().unwrap().is_none());
            let planned_again = statement.get_status(rusqlite::StatementStatus::RePrepare);
            assert_eq!(planned_again, 0);
        }
    }
}
