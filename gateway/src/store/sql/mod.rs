//! The config store in an SQL database: what it does is written once, over [`Tx`], for SQLite and
//! for MySQL or MariaDB (`docs/adr/0015-one-sql-for-two-databases.md`).
//!
//! - `value`: values and rows.
//! - `schema`: the tables, in steps that only ever grow.
//! - `calls`: queued calls, and how they are answered.
//! - `sqlite`, `mysql`: the two drivers: a thread each, on which calls are done in transactions.
//! - `accounts`, `controllers`, `commands`, …: the calls, by what they are about.

mod accounts;
mod alarms;
mod audit;
mod calls;
mod commands;
mod controllers;
mod dump;
mod examine;
mod firmwares;
mod history;
mod leases;
mod library;
mod mysql;
mod rollouts;
mod schema;
mod sqlite;
mod store;
pub(crate) mod value;

pub use dump::{DumpError, DumpSummary};
pub(crate) use examine::{Examined, examine_mysql, examine_sqlite};
pub use schema::SchemaVersion;
pub use store::{Database, SqlConfigStore};

use super::StoreError;
use switchyard_protocol::message::Title;
use value::{Row, Value};

/// A transaction of either database. What is done through it is committed by whoever made it, or
/// undone.
///
/// Statements are written in what both understand: question marks for values, back quotes where a
/// name is a keyword, `REPLACE INTO`, no `INSERT OR …`.
pub(crate) enum Tx<'a> {
    /// Answers at once: its futures never wait.
    Sqlite(&'a rusqlite::Connection),
    /// Waits for the network.
    MySql(&'a mut mysql_async::Conn),
}

impl Tx<'_> {
    /// Runs a statement; how many rows it found to change.
    pub(crate) async fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64, StoreError> {
        match self {
            Tx::Sqlite(connection) => sqlite::execute(connection, sql, params),
            Tx::MySql(connection) => mysql::execute(connection, sql, params).await,
        }
    }

    /// Inserts rows; false, and none is, when one has a key that is taken.
    pub(crate) async fn insert(&mut self, sql: &str, params: &[Value]) -> Result<bool, StoreError> {
        match self.execute(sql, params).await {
            Ok(_) => Ok(true),
            Err(error) if is_duplicate(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The rows of a query.
    pub(crate) async fn rows(
        &mut self,
        sql: &str,
        params: &[Value],
    ) -> Result<Vec<Row>, StoreError> {
        match self {
            Tx::Sqlite(connection) => sqlite::rows(connection, sql, params),
            Tx::MySql(connection) => mysql::rows(connection, sql, params).await,
        }
    }

    /// The first row of a query.
    pub(crate) async fn row(
        &mut self,
        sql: &str,
        params: &[Value],
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(sql, params).await?.into_iter().next())
    }

    /// Adds to a counter; what it is then. The counter's row stays locked until the transaction
    /// ends, so nobody else gets the same number.
    pub(crate) async fn count_up(&mut self, name: &str, by: i64) -> Result<i64, StoreError> {
        let sql = "UPDATE counter SET value = value + ? WHERE name = ?";
        self.execute(sql, value::params![by, name]).await?;
        self.counter(name).await
    }

    /// Where a counter stands.
    pub(crate) async fn counter(&mut self, name: &str) -> Result<i64, StoreError> {
        let sql = "SELECT value FROM counter WHERE name = ?";
        let row = self.row(sql, value::params![name]).await?;
        row.ok_or(StoreError::Corrupt { what: "counter" })?.get(0)
    }
}

/// Refuses a name with white space around it: people do not see it, and MySQL compares without what
/// stands behind.
fn check_name(name: &Title) -> Result<(), StoreError> {
    let name = name.as_str();
    match name.trim() == name {
        true => Ok(()),
        false => Err(StoreError::Padded(name.to_owned())),
    }
}

/// Whether an error says that a unique key is taken.
fn is_duplicate(error: &StoreError) -> bool {
    match error {
        StoreError::Database(rusqlite::Error::SqliteFailure(failure, _)) => matches!(
            failure.extended_code,
            rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY | rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE
        ),
        StoreError::MySql(mysql_async::Error::Server(error)) => error.code == mysql::ER_DUP_ENTRY,
        _ => false,
    }
}
