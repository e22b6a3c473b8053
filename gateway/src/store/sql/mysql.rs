//! MySQL and MariaDB: one thread of its own with one connection that writes, in the order of the
//! calls, and a few that read.
//!
//! Whatever waits is written in one transaction, as with SQLite. A server that hangs is given up
//! after a while, with its connection; the next call tries a new one.

use super::{
    Tx,
    calls::{Call, Queue, TransactionEnd, batch},
    value::{Row, Value},
};
use crate::store::StoreError;
use mysql_async::{
    Conn, Opts, OptsBuilder, Params, Pool, PoolConstraints, PoolOpts, consts::ColumnType,
    prelude::Queryable as _,
};
use std::{
    cell::Cell,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::Semaphore, task::LocalSet};

/// Connections that read at once.
const READERS: usize = 4;
/// Statements that a connection keeps prepared.
const STATEMENTS_PREPARED: usize = 128;
/// Times that a transaction is done again because the server undid it for another's sake.
const TRIES: usize = 4;
/// The character set number of columns that hold bytes.
const BINARY: u16 = 63;

/// A unique key is taken.
pub(super) const ER_DUP_ENTRY: u16 = 1062;
const ER_LOCK_WAIT_TIMEOUT: u16 = 1205;
const ER_LOCK_DEADLOCK: u16 = 1213;

/// What every connection is set to: names in back quotes only, nothing cut off or made up in
/// silence, transactions that see what others have committed. Locks are waited for less than a
/// transaction may take, so that it can be tried again.
const SETUP: [&str; 3] = [
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO'",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SET SESSION innodb_lock_wait_timeout = 2",
];
/// A connection that was not written by for so long is looked at first: the server, or something on the
/// way, may have closed it without a word.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// How long that look may take.
const PING_TIMEOUT: Duration = Duration::from_secs(1);

/// Where the server is, and as whom we come.
#[derive(Clone)]
pub(super) struct Server {
    opts: Opts,
    /// How long one transaction may take.
    time_limit: Duration,
}

impl Server {
    /// Understands a URL such as `mysql://user:password@host:3306/database`.
    pub(super) fn new(url: &str, time_limit: Duration) -> Result<Self, StoreError> {
        let opts = Opts::from_url(url).map_err(mysql_async::Error::from)?;
        if opts.db_name().is_none_or(str::is_empty) {
            return Err(StoreError::Gone("the URL names no database"));
        }
        let pool = PoolOpts::default()
            .with_constraints(PoolConstraints::new(0, READERS).unwrap_or_default())
            // What reads leaves nothing behind, and keeps its prepared statements.
            .with_reset_connection(false)
            .with_inactive_connection_ttl(Duration::from_secs(60));
        let opts = OptsBuilder::from_opts(opts)
            // An UPDATE that changes nothing has found its row all the same, as with SQLite.
            .client_found_rows(true)
            .stmt_cache_size(STATEMENTS_PREPARED)
            .tcp_nodelay(true)
            .tcp_keepalive(Some(Duration::from_secs(30)))
            .setup(SETUP.to_vec())
            .prefer_socket(false)
            .pool_opts(pool);
        Ok(Server {
            opts: opts.into(),
            time_limit,
        })
    }

    /// A connection of its own.
    pub(super) async fn connect(&self) -> Result<Conn, StoreError> {
        let connecting = Conn::new(self.opts.clone());
        match tokio::time::timeout(self.time_limit, connecting).await {
            Ok(connected) => Ok(connected?),
            Err(_) => Err(StoreError::Gone("the server does not answer")),
        }
    }
}

/// Does calls until nobody can make any. Runs on a thread of its own.
pub(super) fn run(server: Server, writes: Queue, reads: Queue) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => LocalSet::new().block_on(&runtime, async {
            tokio::join!(write(&server, writes), read(&server, reads));
        }),
        // Its callers learn that nobody answers.
        Err(error) => tracing::error!(%error, "config store: cannot start"),
    }
}

/// Writes, one transaction after the other.
async fn write(server: &Server, mut queue: Queue) {
    let mut connection = None;
    let mut used = Instant::now();
    while let Some(first) = queue.recv().await {
        let mut calls = batch(first, &mut queue);
        if calls.is_empty() {
            continue;
        }
        if used.elapsed() > IDLE_MAX
            && let Some(idle) = connection.as_mut()
            && !is_alive(idle).await
        {
            connection = None;
        }
        // Whoever is told that nothing was done must be able to rely on that: from the word "commit" on the server
        // may have done it, whatever comes back.
        let is_committing = Cell::new(false);
        let committed = match writer(server, &mut connection).await {
            Ok(writer) => {
                let work = run_batch(writer, &mut calls, &is_committing);
                let in_time = tokio::time::timeout(server.time_limit, work).await;
                in_time.unwrap_or(Err(StoreError::Gone("the server does not answer")))
            }
            Err(error) => Err(error),
        };
        if let Err(error) = &committed {
            let error = error as &dyn std::error::Error;
            tracing::error!(error, "config store: a transaction failed");
            // Whatever is left of it ends with its connection.
            connection = None;
        }
        used = Instant::now();
        let end = match committed {
            Ok(()) => TransactionEnd::Committed,
            Err(_) if is_committing.get() => TransactionEnd::Unclear,
            Err(_) => TransactionEnd::NotDone,
        };
        for call in calls {
            call.answer(end);
        }
    }
    if let Some(connection) = connection {
        say_goodbye(connection).await;
    }
}

async fn is_alive(connection: &mut Conn) -> bool {
    let answer = tokio::time::timeout(PING_TIMEOUT, connection.ping()).await;
    matches!(answer, Ok(Ok(())))
}

/// Ends a connection in good manners, as far as that takes no time: the server notices anyway.
pub(super) async fn say_goodbye(connection: Conn) {
    let _ = tokio::time::timeout(Duration::from_secs(1), connection.disconnect()).await;
}

/// Does something on a thread that waits for it: what works on [`Tx`] cannot change threads, since it
/// might be SQLite's.
pub(super) async fn aside<T: Send + 'static>(
    work: impl AsyncFnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let blocking = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|_| StoreError::Gone("no thread for it starts"))?;
        runtime.block_on(work())
    };
    let done = tokio::task::spawn_blocking(blocking).await;
    done.unwrap_or(Err(StoreError::Gone("its thread panicked")))
}

/// Begins a transaction.
pub(super) async fn begin(connection: &mut Conn) -> Result<(), StoreError> {
    Ok(connection.query_drop("START TRANSACTION").await?)
}

/// Begins a transaction that sees one moment.
pub(super) async fn begin_snapshot(connection: &mut Conn) -> Result<(), StoreError> {
    let isolation = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ";
    connection.query_drop(isolation).await?;
    let begin = "START TRANSACTION WITH CONSISTENT SNAPSHOT";
    Ok(connection.query_drop(begin).await?)
}

/// Commits what was done since.
pub(super) async fn commit(connection: &mut Conn) -> Result<(), StoreError> {
    Ok(connection.query_drop("COMMIT").await?)
}

/// The connection that writes, a new one where there is none.
async fn writer<'a>(
    server: &Server,
    connection: &'a mut Option<Conn>,
) -> Result<&'a mut Conn, StoreError> {
    if connection.is_none() {
        *connection = Some(server.connect().await?);
    }
    connection.as_mut().ok_or(StoreError::Gone("no connection"))
}

async fn run_batch(
    connection: &mut Conn,
    calls: &mut [Box<dyn Call>],
    is_committing: &Cell<bool>,
) -> Result<(), StoreError> {
    for tries_left in (0..TRIES).rev() {
        match try_batch(connection, calls, is_committing).await {
            Err(error) if tries_left > 0 && was_undone(&error) => {
                is_committing.set(false);
                connection.query_drop("ROLLBACK").await?;
            }
            outcome => return outcome,
        }
    }
    unreachable!("the last try returns")
}

async fn try_batch(
    connection: &mut Conn,
    calls: &mut [Box<dyn Call>],
    is_committing: &Cell<bool>,
) -> Result<(), StoreError> {
    begin(connection).await?;
    let is_alone = calls.len() == 1;
    for call in calls.iter_mut() {
        if !is_alone {
            connection.query_drop("SAVEPOINT one_call").await?;
        }
        if call.run(&mut Tx::MySql(connection)).await {
            continue;
        }
        if let Some(error) = call.failure()
            && (was_undone(error) || is_connection_lost(error))
        {
            return Err(StoreError::Undone);
        }
        connection
            .query_drop(if is_alone {
                "ROLLBACK"
            } else {
                "ROLLBACK TO SAVEPOINT one_call"
            })
            .await?;
    }
    is_committing.set(true);
    commit(connection).await
}

/// Whether the server undid the whole transaction for another's sake, so that it may be tried again.
fn was_undone(error: &StoreError) -> bool {
    match error {
        StoreError::Undone => true,
        StoreError::MySql(mysql_async::Error::Server(error)) => {
            matches!(error.code, ER_LOCK_DEADLOCK | ER_LOCK_WAIT_TIMEOUT)
        }
        _ => false,
    }
}

fn is_connection_lost(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::MySql(mysql_async::Error::Io(_) | mysql_async::Error::Driver(_))
    )
}

/// Reads, several at once.
async fn read(server: &Server, mut queue: Queue) {
    let pool = Rc::new(Pool::new(server.opts.clone()));
    let turns = Arc::new(Semaphore::new(READERS));
    while let Some(mut call) = queue.recv().await {
        let Ok(turn) = Arc::clone(&turns).acquire_owned().await else {
            return;
        };
        if call.is_given_up() {
            continue;
        }
        let (pool, time_limit) = (Rc::clone(&pool), server.time_limit);
        tokio::task::spawn_local(async move {
            let _turn = turn;
            let reading = read_one(&pool, &mut *call);
            let in_time = tokio::time::timeout(time_limit, reading).await;
            let outcome = in_time.unwrap_or(Err(StoreError::Gone("the server does not answer")));
            if let Err(error) = &outcome {
                let error = error as &dyn std::error::Error;
                tracing::warn!(error, "config store: cannot read");
            }
            // What only reads leaves nothing that could be unclear.
            call.answer(match outcome {
                Ok(()) => TransactionEnd::Committed,
                Err(_) => TransactionEnd::NotDone,
            });
        });
    }
}

async fn read_one(pool: &Pool, call: &mut dyn Call) -> Result<(), StoreError> {
    let mut connection = pool.get_conn().await?;
    call.run(&mut Tx::MySql(&mut connection)).await;
    Ok(())
}

pub(super) async fn execute(
    connection: &mut Conn,
    sql: &str,
    params: &[Value],
) -> Result<u64, StoreError> {
    connection.exec_drop(sql, to_mysql(params)).await?;
    Ok(connection.affected_rows())
}

pub(super) async fn rows(
    connection: &mut Conn,
    sql: &str,
    params: &[Value],
) -> Result<Vec<Row>, StoreError> {
    let found: Vec<mysql_async::Row> = connection.exec(sql, to_mysql(params)).await?;
    found.into_iter().map(from_mysql).collect()
}

fn to_mysql(params: &[Value]) -> Params {
    if params.is_empty() {
        return Params::Empty;
    }
    let values = params.iter().map(|value| match value {
        Value::Null => mysql_async::Value::NULL,
        Value::Int(number) => mysql_async::Value::Int(*number),
        Value::Text(text) => mysql_async::Value::Bytes(text.clone().into_bytes()),
        Value::Blob(bytes) => mysql_async::Value::Bytes(bytes.clone()),
    });
    Params::Positional(values.collect())
}

fn from_mysql(row: mysql_async::Row) -> Result<Row, StoreError> {
    let columns = row.columns();
    let values = row.unwrap().into_iter().zip(columns.iter());
    let values = values.map(|(value, column)| {
        let corrupt = |what| StoreError::Corrupt { what };
        Ok(match value {
            mysql_async::Value::NULL => Value::Null,
            mysql_async::Value::Int(number) => Value::Int(number),
            mysql_async::Value::UInt(number) => {
                Value::Int(number.try_into().map_err(|_| corrupt("number"))?)
            }
            mysql_async::Value::Bytes(bytes) => match column.column_type() {
                // Sums and the like.
                ColumnType::MYSQL_TYPE_NEWDECIMAL => {
                    let number = str::from_utf8(&bytes)
                        .ok()
                        .and_then(|text| text.parse().ok());
                    Value::Int(number.ok_or(corrupt("number"))?)
                }
                _ if column.character_set() == BINARY => Value::Blob(bytes),
                _ => Value::Text(String::from_utf8(bytes).map_err(|_| corrupt("text"))?),
            },
            _ => return Err(corrupt("value")),
        })
    });
    Ok(Row(values.collect::<Result<_, StoreError>>()?))
}
