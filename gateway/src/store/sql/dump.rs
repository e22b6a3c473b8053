//! All that a config store holds, as lines of JSON: for backups, and for moving from one database to
//! the other.
//!
//! ```text
//! {"switchyard":"config","format":1,"schema":5,"made_ms":1795000000000}
//! {"table":"account","columns":["name","password_hash",…]}
//! ["li","$argon2id$…",…]
//! {"end":true,"rows":417,"digest":"…"}
//! ```
//!
//! A row's blobs are `{"hex":"…"}`. The digest is BLAKE2b-256 over the lines between the first and
//! the last, each with its line feed, so two stores of the same content have the same digest. Secrets
//! are in it as they are stored, sealed: it is of use only together with the master key.

use super::{
    Tx,
    value::{Value, params},
};
use crate::{hex, store::StoreError};
use blake2::{Blake2b, Digest as _, digest::consts::U32};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Write};
use switchyard_protocol::message::Time;

/// Every table, those that others refer to first.
const TABLES: [&str; 34] = [
    "account",
    "account_role",
    "token",
    "ssh_key",
    "site",
    "controller",
    "controller_tag",
    "installation",
    "queued_command",
    "event_number",
    "audit",
    "audit_journal",
    "history_series",
    "history_minute",
    "content",
    "content_part",
    "script_version",
    "firmware",
    "controller_seen",
    "rollout",
    "rollout_entry",
    "rollout_content",
    "rollout_wish",
    "alarm_contact",
    "alarm_rule",
    "alarm_plan",
    "script_alarm",
    "alarm_wish",
    "alarm",
    "alarm_note",
    "alarm_attempt",
    "lease",
    "fact",
    "counter",
];
/// Of those, the ones of history. Without them a dump is one of a store that has none.
const HISTORY: [&str; 2] = ["history_series", "history_minute"];
/// Tables that are not empty in a store that holds nothing.
const SEEDED: [&str; 2] = ["fact", "counter"];
/// Rows that are read at once …
const ROWS_PER_PAGE: usize = 500;
/// … but of those that may be a megabyte each.
const LARGE_ROWS_PER_PAGE: usize = 8;
/// Tables of such rows.
const LARGE: [&str; 1] = ["content_part"];
/// The longest line that is read: a row of the largest blob, several times over.
const LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// This format.
const FORMAT: u32 = 1;

/// What a dump is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    All,
    WithoutHistory,
}

/// Why a dump was not written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DumpError {
    /// The file failed.
    #[error("the dump cannot be written or read")]
    Io(#[from] std::io::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is not what it should be.
    #[error("line {line} of the dump: expected {expected}")]
    Malformed {
        /// Counted from 1.
        line: u64,
        /// What should be there.
        expected: String,
    },
    /// What it says of itself at its end is not what it holds.
    #[error("expected a whole dump and found one that was cut or changed")]
    Damaged,
    /// It would be mixed with what is there.
    #[error("expected a store that holds nothing and found rows in {0}")]
    NotEmpty(String),
}

/// What a dump holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DumpSummary {
    /// The schema's version.
    pub schema: u32,
    /// When it was made.
    pub made: Time,
    /// How many rows.
    pub rows: u64,
    /// Of all of them.
    pub digest: [u8; 32],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    switchyard: String,
    format: u32,
    schema: u32,
    made_ms: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    table: String,
    columns: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    end: bool,
    rows: u64,
    digest: String,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Cell {
    Null(()),
    Int(i64),
    Text(String),
    Blob { hex: String },
}

impl From<Value> for Cell {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Cell::Null(()),
            Value::Int(number) => Cell::Int(number),
            Value::Text(text) => Cell::Text(text),
            Value::Blob(bytes) => Cell::Blob {
                hex: hex::encode(&bytes),
            },
        }
    }
}

impl Cell {
    fn into_value(self) -> Option<Value> {
        Some(match self {
            Cell::Null(()) => Value::Null,
            Cell::Int(number) => Value::Int(number),
            Cell::Text(text) => Value::Text(text),
            Cell::Blob { hex } => Value::Blob(hex::decode(&hex)?),
        })
    }
}

type Blake2b256 = Blake2b<U32>;

/// A table as the database has it.
struct Shape {
    columns: Vec<String>,
    /// Of those, the primary key, in the key's own order, in which the database reads them fast.
    key: Vec<String>,
}

/// The shape of a table; `None` when there is none.
async fn shape(tx: &mut Tx<'_>, table: &str) -> Result<Option<Shape>, StoreError> {
    let sql = match tx {
        Tx::Sqlite(_) => "SELECT name, pk FROM pragma_table_info(?) ORDER BY name",
        Tx::MySql(_) => {
            "SELECT c.column_name, coalesce(s.seq_in_index, 0)
             FROM information_schema.columns c LEFT JOIN information_schema.statistics s
                 ON s.table_schema = c.table_schema AND s.table_name = c.table_name
                     AND s.column_name = c.column_name AND s.index_name = 'PRIMARY'
             WHERE c.table_schema = database() AND c.table_name = ? ORDER BY c.column_name"
        }
    };
    let mut shape = Shape {
        columns: Vec::new(),
        key: Vec::new(),
    };
    let mut key = Vec::new();
    for row in tx.rows(sql, params![table]).await? {
        let column: String = row.get(0)?;
        let place: i64 = row.get(1)?;
        if place > 0 {
            key.push((place, column.clone()));
        }
        shape.columns.push(column);
    }
    key.sort();
    shape.key = key.into_iter().map(|(_, column)| column).collect();
    Ok((!shape.columns.is_empty()).then_some(shape))
}

fn list(columns: &[String]) -> String {
    let quoted: Vec<_> = columns.iter().map(|column| format!("`{column}`")).collect();
    quoted.join(", ")
}

/// Writes all that there is. The transaction must see one moment.
pub(super) async fn export(
    tx: &mut Tx<'_>,
    (schema, made): (u32, Time),
    scope: Scope,
    out: &mut dyn Write,
) -> Result<DumpSummary, DumpError> {
    let header = Header {
        switchyard: "config".into(),
        format: FORMAT,
        schema,
        made_ms: made.0,
    };
    write_line(out, &header)?;
    let mut digest = Blake2b256::new();
    let mut rows = 0;
    let is_left_out = |name: &&str| scope == Scope::WithoutHistory && HISTORY.contains(name);
    for name in TABLES.iter().filter(|name| !is_left_out(name)) {
        let Some(shape) = shape(tx, name).await? else {
            continue;
        };
        let line = Table {
            table: (*name).into(),
            columns: shape.columns.clone(),
        };
        digest.update(write_line(out, &line)?);
        let mut after: Option<Vec<Value>> = None;
        loop {
            let page = page(tx, name, &shape, after.as_deref()).await?;
            for row in &page {
                let cells: Vec<Cell> = row.iter().cloned().map(Cell::from).collect();
                digest.update(write_line(out, &cells)?);
                rows += 1;
            }
            if page.len() < rows_per_page(name) {
                break;
            }
            after = page.last().map(|row| {
                let key = shape.key.iter().filter_map(|column| {
                    let at = shape.columns.iter().position(|it| it == column)?;
                    Some(row[at].clone())
                });
                key.collect()
            });
        }
    }
    let digest: [u8; 32] = digest.finalize().into();
    let end = End {
        end: true,
        rows,
        digest: hex::encode(&digest),
    };
    write_line(out, &end)?;
    out.flush()?;
    Ok(DumpSummary {
        schema,
        made,
        rows,
        digest,
    })
}

fn rows_per_page(table: &str) -> usize {
    match LARGE.contains(&table) {
        true => LARGE_ROWS_PER_PAGE,
        false => ROWS_PER_PAGE,
    }
}

async fn page(
    tx: &mut Tx<'_>,
    table: &str,
    shape: &Shape,
    after: Option<&[Value]>,
) -> Result<Vec<Vec<Value>>, StoreError> {
    let (columns, key) = (list(&shape.columns), list(&shape.key));
    let (beyond, values) = after.map_or_else(Default::default, |after| beyond(&shape.key, after));
    let limit = rows_per_page(table);
    let sql = format!("SELECT {columns} FROM {table} {beyond} ORDER BY {key} LIMIT {limit}");
    let rows = tx.rows(&sql, &values).await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// What holds of the rows behind a key, and its values. Column by column: MySQL would go through the whole table for
/// a comparison of rows.
fn beyond(key: &[String], after: &[Value]) -> (String, Vec<Value>) {
    let (Some((column, rest)), Some((value, values_left))) =
        (key.split_first(), after.split_first())
    else {
        return Default::default();
    };
    if rest.is_empty() {
        return (format!("WHERE `{column}` > ?"), vec![value.clone()]);
    }
    let (behind, mut values) = beyond(rest, values_left);
    let behind = behind.trim_start_matches("WHERE ");
    let clause = format!("WHERE `{column}` >= ? AND (`{column}` > ? OR {behind})");
    values.splice(0..0, [value.clone(), value.clone()]);
    (clause, values)
}

fn write_line(out: &mut dyn Write, line: &impl Serialize) -> Result<Vec<u8>, DumpError> {
    let mut bytes = serde_json::to_vec(line).map_err(std::io::Error::from)?;
    bytes.push(b'\n');
    out.write_all(&bytes)?;
    Ok(bytes)
}

/// Reads a dump line by line.
pub(super) struct Lines<'a> {
    input: &'a mut dyn BufRead,
    number: u64,
}

impl<'a> Lines<'a> {
    /// Reads up to the first row.
    pub(super) fn new(input: &'a mut dyn BufRead) -> Self {
        Lines { input, number: 0 }
    }

    fn next(&mut self) -> Result<Vec<u8>, DumpError> {
        self.number += 1;
        let mut line = Vec::new();
        let mut bounded = std::io::Read::take(&mut *self.input, LINE_BYTES_MAX);
        bounded.read_until(b'\n', &mut line)?;
        if line.is_empty() || !line.ends_with(b"\n") {
            return Err(DumpError::Damaged);
        }
        Ok(line)
    }

    fn malformed(&self, expected: impl Into<String>) -> DumpError {
        DumpError::Malformed {
            line: self.number,
            expected: expected.into(),
        }
    }

    /// The schema that the dump is of, and when it was made.
    pub(super) fn header(&mut self) -> Result<(u32, Time), DumpError> {
        let wanted = "the head of a dump by switchyard-gateway";
        let line = self.next()?;
        let header: Header = serde_json::from_slice(&line).map_err(|_| self.malformed(wanted))?;
        if header.switchyard != "config" || header.format != FORMAT {
            return Err(self.malformed(format!("{wanted}, of format {FORMAT}")));
        }
        Ok((header.schema, Time(header.made_ms)))
    }

    /// Everything after the head, put into a store that holds nothing, or only looked at.
    pub(super) async fn read(
        &mut self,
        (schema, made): (u32, Time),
        mut store: Option<&mut Tx<'_>>,
    ) -> Result<DumpSummary, DumpError> {
        let (mut digest, mut rows, mut columns) = (Blake2b256::new(), 0, 0);
        let mut insert = String::new();
        loop {
            let line = self.next()?;
            if line.starts_with(b"[") {
                let values = self.row(&line, columns)?;
                if let Some(tx) = &mut store {
                    tx.execute(&insert, &values).await?;
                }
                rows += 1;
            } else if let Ok(table) = serde_json::from_slice::<Table>(&line) {
                insert = self.insert(&table)?;
                columns = table.columns.len();
            } else if let Ok(end) = serde_json::from_slice::<End>(&line) {
                let digest: [u8; 32] = digest.finalize().into();
                if end.rows != rows || end.digest != hex::encode(&digest) {
                    return Err(DumpError::Damaged);
                }
                return Ok(DumpSummary {
                    schema,
                    made,
                    rows,
                    digest,
                });
            } else {
                return Err(self.malformed("a table, a row or the end"));
            }
            digest.update(&line);
        }
    }

    fn row(&self, line: &[u8], columns: usize) -> Result<Vec<Value>, DumpError> {
        let wanted = || self.malformed(format!("a row of {columns} values"));
        let cells: Vec<Cell> = serde_json::from_slice(line).map_err(|_| wanted())?;
        let values = cells.into_iter().map(Cell::into_value);
        let values = values.collect::<Option<Vec<_>>>();
        let values = values.filter(|values| columns > 0 && values.len() == columns);
        values.ok_or_else(wanted)
    }

    /// What puts a row into a table.
    fn insert(&self, table: &Table) -> Result<String, DumpError> {
        let is_known = TABLES.contains(&table.table.as_str());
        if !is_known || !table.columns.iter().all(|name| is_plain(name)) {
            return Err(self.malformed("one of the store's tables"));
        }
        let (name, columns) = (&table.table, list(&table.columns));
        let marks = vec!["?"; table.columns.len()].join(", ");
        Ok(format!("INSERT INTO {name} ({columns}) VALUES ({marks})"))
    }
}

/// Makes room for a dump in a store that holds nothing: takes out what every new store has.
pub(super) async fn clear(tx: &mut Tx<'_>) -> Result<(), DumpError> {
    for table in TABLES {
        if shape(tx, table).await?.is_none() {
            continue;
        }
        if SEEDED.contains(&table) {
            tx.execute(&format!("DELETE FROM {table}"), params![])
                .await?;
        } else {
            let sql = format!("SELECT 1 FROM {table} LIMIT 1");
            if tx.row(&sql, params![]).await?.is_some() {
                return Err(DumpError::NotEmpty(table.into()));
            }
        }
    }
    Ok(())
}

/// A column's name goes into SQL as it is.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte == b'_' || byte.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sql::{schema, sqlite::at_once};
    use rusqlite::Connection;

    #[test]
    fn every_table_is_dumped_after_those_that_it_refers_to() {
        let connection = Connection::open_in_memory().unwrap();
        schema::build_sqlite(&connection, schema::VERSION);
        let tx = &mut Tx::Sqlite(&connection);
        let sql = "SELECT name FROM sqlite_master WHERE type = 'table'";
        let found = at_once(tx.rows(sql, params![])).unwrap();
        let mut found: Vec<String> = found.iter().map(|row| row.get(0).unwrap()).collect();
        found.sort();
        let mut listed = TABLES.to_vec();
        listed.sort_unstable();
        assert_eq!(found, listed);
        for (at, table) in TABLES.iter().enumerate() {
            let sql = "SELECT `table` FROM pragma_foreign_key_list(?)";
            for row in at_once(tx.rows(sql, params![*table])).unwrap() {
                let other: String = row.get(0).unwrap();
                let before = TABLES.iter().position(|table| *table == other);
                assert!(before < Some(at), "{table} refers to {other}");
            }
        }
    }

    fn dump(rows: u8) -> Vec<u8> {
        let connection = Connection::open_in_memory().unwrap();
        schema::build_sqlite(&connection, schema::VERSION);
        let tx = &mut Tx::Sqlite(&connection);
        for number in 0..rows {
            let sql = "INSERT INTO event_number VALUES (?, ?)";
            at_once(tx.execute(sql, params![number, number])).unwrap();
        }
        let mut out = Vec::new();
        at_once(export(tx, (schema::VERSION, Time(1)), Scope::All, &mut out)).unwrap();
        out
    }

    fn look_at(mut dump: &[u8]) -> Result<DumpSummary, DumpError> {
        let mut lines = Lines::new(&mut dump);
        let header = lines.header()?;
        at_once(lines.read(header, None))
    }

    #[test]
    fn a_dump_that_was_cut_or_changed_is_refused() {
        let whole = dump(3);
        let summary = look_at(&whole).unwrap();
        assert_eq!((summary.made, summary.schema), (Time(1), schema::VERSION));
        for length in 0..whole.len() {
            assert!(look_at(&whole[..length]).is_err(), "{length} bytes");
        }
        let head = whole.iter().position(|&byte| byte == b'\n').unwrap();
        for at in head + 1..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert!(look_at(&changed).is_err(), "byte {at}");
        }
    }

    #[test]
    fn more_than_one_page_of_rows_is_whole() {
        let connection = Connection::open_in_memory().unwrap();
        schema::build_sqlite(&connection, schema::VERSION);
        let tx = &mut Tx::Sqlite(&connection);
        let count = 2 * ROWS_PER_PAGE as u64 + 1;
        for number in 0..count {
            let sql = "INSERT INTO event_number VALUES (?, 0)";
            at_once(tx.execute(sql, params![number])).unwrap();
        }
        let mut out = Vec::new();
        let summary =
            at_once(export(tx, (schema::VERSION, Time(1)), Scope::All, &mut out)).unwrap();
        let counters = 21;
        assert_eq!(summary.rows, count + counters);
    }
}
