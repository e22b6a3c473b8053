//! A look at the database from outside: whole, of a known schema, and writable.

use super::{mysql, schema};
use crate::store::StoreError;
use rusqlite::{Connection, OpenFlags};
use std::{
    path::Path,
    sync::mpsc,
    time::{Duration, Instant},
};

/// Faults that are told; one is enough to act.
const FAULTS_MAX: u32 = 3;
/// How long the database may be looked through: one of a hundred megabytes takes a second.
const LOOK_TIMEOUT: Duration = Duration::from_secs(30);

/// What was found.
#[derive(Debug)]
pub(crate) struct Examined {
    /// The schema's version.
    pub(crate) schema: u32,
    /// What is wrong inside; empty when all is well.
    pub(crate) faults: Vec<String>,
    /// How long a write took, the sync not included since it was taken back.
    pub(crate) took: Duration,
}

/// Opens a database that is there, beside a gateway that may be using it, and leaves it as it was.
///
/// # Errors
/// [`StoreError`] when it cannot be opened, read or written, or is of a later version.
pub(crate) fn examine_sqlite(path: &Path) -> Result<Examined, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    let _watch = watch(&connection);
    let schema = schema::SchemaVersion::check(schema::version_of_sqlite(&connection)?)?.found;
    let mut faults = Vec::new();
    connection.pragma(None, "quick_check", FAULTS_MAX, |row| {
        let fault: String = row.get(0)?;
        if fault != "ok" {
            faults.push(fault);
        }
        Ok(())
    })?;
    let start = Instant::now();
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    transaction.execute_batch(
        "CREATE TABLE examination (number INTEGER NOT NULL) STRICT; INSERT INTO examination VALUES (7)",
    )?;
    let number: u32 =
        transaction.query_row("SELECT number FROM examination", [], |row| row.get(0))?;
    transaction.rollback()?;
    if number != 7 {
        return Err(StoreError::Corrupt { what: "write" });
    }
    Ok(Examined {
        schema,
        faults,
        took: start.elapsed(),
    })
}

/// Asks a MySQL server for the same, and whether it keeps what it has committed.
///
/// # Errors
/// [`StoreError`] when it cannot be reached, read or written, or is of a later version.
pub(crate) async fn examine_mysql(url: &str, time_limit: Duration) -> Result<Examined, StoreError> {
    use mysql_async::prelude::Queryable as _;
    let server = mysql::Server::new(url, time_limit)?;
    let mut connection = server.connect().await?;
    let found = schema::version_of_mysql(&mut connection).await?;
    let schema = schema::SchemaVersion::check(found)?.found;
    let mut faults = Vec::new();
    let sql = "SELECT @@innodb_flush_log_at_trx_commit";
    let flushes: Option<u32> = connection.query_first(sql).await?;
    if flushes != Some(1) {
        let fault = "innodb_flush_log_at_trx_commit is not 1: a crash loses what was promised";
        faults.push(fault.to_owned());
    }
    let start = Instant::now();
    if schema > 0 {
        mysql::begin(&mut connection).await?;
        let sql = "INSERT INTO counter (name, value) VALUES ('examination', 7)";
        connection.query_drop(sql).await?;
        connection.query_drop("ROLLBACK").await?;
    }
    let took = start.elapsed();
    mysql::say_goodbye(connection).await;
    Ok(Examined {
        schema,
        faults,
        took,
    })
}

/// Interrupts whatever the connection does when it takes too long; dropping the result ends that.
fn watch(connection: &Connection) -> mpsc::Sender<()> {
    let interrupt = connection.get_interrupt_handle();
    let (watched, ends) = mpsc::channel();
    std::thread::spawn(move || {
        if ends.recv_timeout(LOOK_TIMEOUT) == Err(mpsc::RecvTimeoutError::Timeout) {
            interrupt.interrupt();
        }
    });
    watched
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_a_database_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("switchyard.db");
        assert!(examine_sqlite(&path).is_err());
        assert!(!path.exists(), "looking makes nothing");
        let connection = Connection::open(&path).unwrap();
        schema::build_sqlite(&connection, schema::VERSION);
        let tables = |connection: &Connection| -> u32 {
            let query = "SELECT count(*) FROM sqlite_schema";
            connection.query_row(query, [], |row| row.get(0)).unwrap()
        };
        let before = tables(&connection);
        let examined = examine_sqlite(&path).unwrap();
        assert!(examined.faults.is_empty(), "{examined:?}");
        assert_eq!(tables(&connection), before);
        connection
            .pragma_update(None, "user_version", 10_000)
            .unwrap();
        let error = examine_sqlite(&path).unwrap_err();
        assert!(matches!(error, StoreError::TooNew { .. }), "{error}");
    }
}
