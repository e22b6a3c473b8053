//! The config store in one SQLite file: WAL, every write synced, one thread of its own.
//!
//! Calls are closures in a bounded queue, put there the moment a method is called, so they are done
//! in the order of the calls. The thread drains what waits into one transaction: under load many
//! commits share one sync, and nobody is answered before that sync is done.

use super::{
    Account, ConfigStore, ControllerEntry, ControllerKey, Login, StoreError, StoreFuture,
    TokenHash, schema,
};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use std::{
    path::Path,
    sync::{Mutex, PoisonError, mpsc},
    time::Duration,
};
use switchyard_protocol::{
    Address, Role,
    message::{Key, Time, Title},
};
use switchyard_relay::{StoreRequest, StoredCommand};
use tokio::sync::oneshot;

/// Log-ins that one account may have at once: the oldest go first.
const TOKENS_PER_ACCOUNT_MAX: u32 = 32;
/// Calls that share one transaction at most, so that none waits long for its neighbours.
const BATCH_CALLS_MAX: usize = 64;

/// Answers once the batch is committed; told whether it was.
type Answer = Box<dyn FnOnce(bool) + Send>;
/// One call: works in the batch's transaction and says how to answer.
type Job = Box<dyn FnOnce(&Transaction<'_>) -> Answer + Send>;

/// How long dropping a store waits for the database to close: what was answered is on disk in any
/// case, and a disk that hangs must not keep the program from ending.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The config store in SQLite. Dropping it ends its thread, which then puts everything into the one
/// file, so that a copy of a stopped gateway's database is whole without the files beside it.
#[derive(Debug)]
pub struct SqliteConfigStore {
    /// `None` only while it is dropped.
    jobs: Option<mpsc::SyncSender<Job>>,
    /// Disconnected when the thread has closed the database.
    closed: Mutex<mpsc::Receiver<()>>,
}

impl Drop for SqliteConfigStore {
    fn drop(&mut self) {
        self.jobs = None;
        let closed = self
            .closed
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        // Nothing is ever sent: it is gone, or it takes too long.
        let _ = closed.recv_timeout(CLOSE_TIMEOUT);
    }
}

impl SqliteConfigStore {
    /// Opens or makes the database, brings its schema up, and starts the thread.
    ///
    /// # Errors
    /// [`StoreError`], also for a database of a later version.
    pub fn open(path: &Path, queue_calls_max: usize) -> Result<Self, StoreError> {
        keep_private(path);
        let mut connection = connect(path)?;
        schema::migrate(&mut connection)?;
        let (jobs, queue) = mpsc::sync_channel(queue_calls_max);
        let (closing, closed) = mpsc::channel();
        std::thread::Builder::new()
            .name("config store".into())
            .spawn(move || {
                let _closing: mpsc::Sender<()> = closing;
                run(connection, &queue);
            })
            .map_err(|_| StoreError::Gone("its thread does not start"))?;
        Ok(SqliteConfigStore {
            jobs: Some(jobs),
            closed: Mutex::new(closed),
        })
    }

    fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'_, T> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |transaction| {
            let result = in_savepoint(transaction, work);
            Box::new(move |committed| {
                let lost = Err(StoreError::Gone("the commit failed"));
                // Nobody waits any more when the time limit has struck.
                let _ = answer.send(if committed { result } else { lost });
            })
        });
        let submitted = match &self.jobs {
            Some(jobs) => jobs.try_send(job),
            None => Err(mpsc::TrySendError::Disconnected(job)),
        };
        Box::pin(async move {
            submitted.map_err(|error| match error {
                mpsc::TrySendError::Full(_) => StoreError::Busy,
                mpsc::TrySendError::Disconnected(_) => StoreError::Gone("its thread ended"),
            })?;
            answered
                .await
                .unwrap_or(Err(StoreError::Gone("the call was dropped")))
        })
    }
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A waiting command must survive a power cut, not only a crash of ours: every commit is synced.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok(connection)
}

/// Keys lie in the database: makes the file for its owner alone before SQLite, which gives what it
/// puts beside it the same mode. One that is there stays as it is, since somebody may want it so.
fn keep_private(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
        let mut options = std::fs::OpenOptions::new();
        // What fails here fails again in SQLite, which says why.
        let _ = options.write(true).create_new(true).mode(0o600).open(path);
        if let Ok(file) = std::fs::metadata(path)
            && file.permissions().mode() & 0o077 != 0
        {
            let path = path.display();
            tracing::warn!(%path, "the database holds keys and is open to others than its owner");
        }
    }
}

/// One call fails alone: what it did is rolled back, and the rest of the batch goes on.
fn in_savepoint<T>(
    transaction: &Transaction<'_>,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    transaction.execute_batch("SAVEPOINT one_call")?;
    let result = work(transaction);
    let end = match result {
        Ok(_) => "RELEASE one_call",
        Err(_) => "ROLLBACK TO one_call; RELEASE one_call",
    };
    transaction.execute_batch(end)?;
    result
}

fn run(mut connection: Connection, queue: &mpsc::Receiver<Job>) {
    while let Ok(first) = queue.recv() {
        let mut answers = Vec::new();
        let committed = run_batch(&mut connection, first, queue, &mut answers);
        if let Err(error) = &committed {
            tracing::error!(%error, "config store: a commit failed");
        }
        for answer in answers {
            answer(committed.is_ok());
        }
    }
}

fn run_batch(
    connection: &mut Connection,
    first: Job,
    queue: &mpsc::Receiver<Job>,
    answers: &mut Vec<Answer>,
) -> rusqlite::Result<()> {
    // Immediate: another process (the command line) may write too, and a lock that is asked for
    // late can fail where one asked for early waits.
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    answers.push(first(&transaction));
    while answers.len() < BATCH_CALLS_MAX
        && let Ok(job) = queue.try_recv()
    {
        answers.push(job(&transaction));
    }
    transaction.commit()
}

/// SQLite's integers are signed; every number kept here fits.
fn ms(time: Time) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

fn time(ms: i64) -> Time {
    Time(u64::try_from(ms).unwrap_or(0))
}

fn title(text: &str) -> Result<Title, StoreError> {
    Title::new(text).map_err(|_| StoreError::Corrupt { what: "title" })
}

fn role(number: u8) -> Result<Role, StoreError> {
    Role::from_number(number).ok_or(StoreError::Corrupt { what: "role" })
}

/// An account as its row has it.
type AccountRow = (String, u8, String, i64);

fn account_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<AccountRow> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
}

fn account((name, number, password_hash, created): AccountRow) -> Result<Account, StoreError> {
    let (name, role) = (title(&name)?, role(number)?);
    Ok(Account {
        name,
        role,
        password_hash,
        created: time(created),
    })
}

/// Address, title, enrolled, key.
type ControllerRow = (u32, String, i64, [u8; 32]);

fn controller_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<ControllerRow> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
}

fn controller(
    (address, name, enrolled, key): ControllerRow,
) -> Result<(ControllerEntry, ControllerKey), StoreError> {
    let entry = ControllerEntry {
        address: Address(address),
        title: title(&name)?,
        enrolled: time(enrolled),
    };
    Ok((entry, ControllerKey(key)))
}

/// A log-in by its token's hash, if it holds after a moment. Not a join: SQLite, as built here, plans
/// one anew each time for the values that it is asked with, which costs many times the look itself.
const LOGIN: &str = "SELECT account, (SELECT role FROM account WHERE name = token.account),
                            expires_ms
                     FROM token WHERE hash = ?1 AND expires_ms > ?2";

fn bump_access(transaction: &Transaction<'_>) -> Result<(), StoreError> {
    let sql = "UPDATE counter SET value = value + 1 WHERE name = 'access_revision'";
    transaction.prepare_cached(sql)?.execute([])?;
    Ok(())
}

fn counter(transaction: &Transaction<'_>, name: &str) -> Result<i64, StoreError> {
    let sql = "SELECT value FROM counter WHERE name = ?1";
    Ok(transaction
        .prepare_cached(sql)?
        .query_row([name], |row| row.get(0))?)
}

fn set_counter(transaction: &Transaction<'_>, name: &str, value: i64) -> Result<(), StoreError> {
    let sql = "UPDATE counter SET value = ?2 WHERE name = ?1";
    transaction
        .prepare_cached(sql)?
        .execute(params![name, value])?;
    Ok(())
}

impl ConfigStore for SqliteConfigStore {
    fn add_account(&self, account: Account) -> StoreFuture<'_, ()> {
        self.call(move |transaction| {
            let sql = "INSERT OR IGNORE INTO account VALUES (?1, ?2, ?3, ?4)";
            let (name, role) = (account.name.as_str(), account.role as u8);
            let added = transaction.execute(
                sql,
                params![name, role, account.password_hash, ms(account.created)],
            )?;
            if added == 0 {
                return Err(StoreError::Exists(name.into()));
            }
            Ok(())
        })
    }

    fn account(&self, name: Title) -> StoreFuture<'_, Option<Account>> {
        self.call(move |transaction| {
            let sql = "SELECT name, role, password_hash, created_ms FROM account WHERE name = ?1";
            let mut statement = transaction.prepare_cached(sql)?;
            statement
                .query_row([name.as_str()], account_row)
                .optional()?
                .map(account)
                .transpose()
        })
    }

    fn accounts(&self) -> StoreFuture<'_, Vec<Account>> {
        self.call(|transaction| {
            let sql = "SELECT name, role, password_hash, created_ms FROM account ORDER BY name";
            let mut statement = transaction.prepare_cached(sql)?;
            let rows = statement.query_map([], account_row)?;
            rows.map(|row| account(row?)).collect()
        })
    }

    fn set_role(&self, name: Title, role: Role) -> StoreFuture<'_, bool> {
        self.call(move |transaction| {
            let sql = "UPDATE account SET role = ?2 WHERE name = ?1";
            let changed = transaction.execute(sql, params![name.as_str(), role as u8])?;
            bump_access(transaction)?;
            Ok(changed > 0)
        })
    }

    fn set_password(&self, name: Title, password_hash: String) -> StoreFuture<'_, bool> {
        self.call(move |transaction| {
            let sql = "UPDATE account SET password_hash = ?2 WHERE name = ?1";
            let changed = transaction.execute(sql, params![name.as_str(), password_hash])?;
            transaction.execute("DELETE FROM token WHERE account = ?1", [name.as_str()])?;
            bump_access(transaction)?;
            Ok(changed > 0)
        })
    }

    fn remove_account(&self, name: Title) -> StoreFuture<'_, bool> {
        self.call(move |transaction| {
            let sql = "DELETE FROM account WHERE name = ?1";
            let removed = transaction.execute(sql, [name.as_str()])?;
            bump_access(transaction)?;
            Ok(removed > 0)
        })
    }

    fn add_token(
        &self,
        token: TokenHash,
        account: Title,
        expires: Time,
        now: Time,
    ) -> StoreFuture<'_, ()> {
        self.call(move |transaction| {
            let name = account.as_str();
            transaction.execute("DELETE FROM token WHERE expires_ms <= ?1", [ms(now)])?;
            let sql = "INSERT OR REPLACE INTO token VALUES (?1, ?2, ?3, ?4)";
            transaction.execute(sql, params![token.0, name, ms(expires), ms(now)])?;
            let sql = "DELETE FROM token WHERE account = ?1 AND hash NOT IN (SELECT hash FROM token
                       WHERE account = ?1 ORDER BY created_ms DESC, rowid DESC LIMIT ?2)";
            if transaction.execute(sql, params![name, TOKENS_PER_ACCOUNT_MAX])? > 0 {
                bump_access(transaction)?;
            }
            Ok(())
        })
    }

    fn login(&self, token: TokenHash, now: Time) -> StoreFuture<'_, Option<Login>> {
        self.call(move |transaction| {
            let row = transaction
                .prepare_cached(LOGIN)?
                .query_row(params![token.0, ms(now)], |row| {
                    Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?))
                })
                .optional()?;
            row.map(|(name, number, expires)| {
                let (account, role) = (title(&name)?, role(number)?);
                Ok(Login {
                    account,
                    role,
                    expires: time(expires),
                })
            })
            .transpose()
        })
    }

    fn revoke_token(&self, token: TokenHash) -> StoreFuture<'_, bool> {
        self.call(move |transaction| {
            let removed = transaction.execute("DELETE FROM token WHERE hash = ?1", [token.0])?;
            bump_access(transaction)?;
            Ok(removed > 0)
        })
    }

    fn access_revision(&self) -> StoreFuture<'_, u64> {
        self.call(|transaction| Ok(counter(transaction, "access_revision")?.unsigned_abs()))
    }

    fn enrol(
        &self,
        controllers: Vec<(Title, ControllerKey)>,
        max: u32,
        now: Time,
    ) -> StoreFuture<'_, Vec<Address>> {
        self.call(move |transaction| {
            let mut last = counter(transaction, "controller")?;
            let sql = "SELECT count(*) FROM controller";
            let count: i64 = transaction.query_row(sql, [], |row| row.get(0))?;
            let more = controllers.len() as i64;
            let addresses_left = i64::from(Address::CONTROLLER_MAX.0) - last;
            if count + more > i64::from(max) || more > addresses_left {
                return Err(StoreError::Full {
                    what: "controllers",
                    max: max.into(),
                });
            }
            let mut addresses = Vec::with_capacity(controllers.len());
            for (title, key) in controllers {
                last += 1;
                let sql = "INSERT INTO controller VALUES (?1, ?2, ?3, ?4)";
                let mut statement = transaction.prepare_cached(sql)?;
                statement.execute(params![last, title.as_str(), key.0, ms(now)])?;
                addresses.push(Address(last as u32));
            }
            set_counter(transaction, "controller", last)?;
            Ok(addresses)
        })
    }

    fn controller(
        &self,
        address: Address,
    ) -> StoreFuture<'_, Option<(ControllerEntry, ControllerKey)>> {
        self.call(move |transaction| {
            let sql = "SELECT address, title, enrolled_ms, key FROM controller WHERE address = ?1";
            let mut statement = transaction.prepare_cached(sql)?;
            let row = statement
                .query_row([address.0], controller_row)
                .optional()?;
            row.map(controller).transpose()
        })
    }

    fn controllers(
        &self,
        after: Address,
        limit: u32,
    ) -> StoreFuture<'_, Vec<(ControllerEntry, ControllerKey)>> {
        self.call(move |transaction| {
            let sql = "SELECT address, title, enrolled_ms, key FROM controller
                       WHERE address > ?1 ORDER BY address LIMIT ?2";
            let mut statement = transaction.prepare_cached(sql)?;
            let rows = statement.query_map([after.0, limit], controller_row)?;
            rows.map(|row| controller(row?)).collect()
        })
    }

    fn installation(
        &self,
        installation: TokenHash,
        account: Title,
        max: u32,
        now: Time,
    ) -> StoreFuture<'_, Address> {
        self.call(move |transaction| {
            let sql = "SELECT address FROM installation WHERE hash = ?1";
            let known = transaction
                .prepare_cached(sql)?
                .query_row([installation.0], |row| row.get(0).map(Address))
                .optional()?;
            if let Some(address) = known {
                return Ok(address);
            }
            let name = account.as_str();
            let sql = "SELECT count(*) FROM installation WHERE account = ?1";
            let count: u32 = transaction.query_row(sql, [name], |row| row.get(0))?;
            let address = counter(transaction, "installation")? + 1;
            if count >= max || address > i64::from(Address::INSTALLED_MAX.0) {
                return Err(StoreError::Full {
                    what: "tool installations",
                    max: max.into(),
                });
            }
            let sql = "INSERT INTO installation VALUES (?1, ?2, ?3, ?4)";
            transaction.execute(sql, params![installation.0, address, name, ms(now)])?;
            set_counter(transaction, "installation", address)?;
            Ok(Address(address as u32))
        })
    }

    fn lease_block(&self, count: u32) -> StoreFuture<'_, Address> {
        self.call(move |transaction| {
            let range = i64::from(Address::LEASED_MAX.0 - Address::LEASED_MIN.0) + 1;
            let mut first = counter(transaction, "leased")?;
            // The range holds a billion; at its end it begins again rather than split a block.
            if first + i64::from(count) > range {
                first = 0;
            }
            set_counter(transaction, "leased", first + i64::from(count))?;
            Ok(Address(Address::LEASED_MIN.0 + first as u32))
        })
    }

    fn write_command(&self, request: StoreRequest) -> StoreFuture<'_, ()> {
        self.call(move |transaction| {
            match request {
                StoreRequest::Queue(command) => {
                    let sql =
                        "INSERT OR IGNORE INTO queued_command VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
                    transaction.prepare_cached(sql)?.execute(params![
                        command.key.0,
                        command.order as i64,
                        command.account.as_str(),
                        ms(command.expiry),
                        &command.frame[..],
                        command.sent,
                    ])?;
                }
                StoreRequest::MarkSent { key, boot } => {
                    let sql = "UPDATE queued_command SET sent_boot = ?2 WHERE key = ?1";
                    transaction
                        .prepare_cached(sql)?
                        .execute(params![key.0, boot])?;
                }
                StoreRequest::Forget { key } => {
                    let sql = "DELETE FROM queued_command WHERE key = ?1";
                    transaction.prepare_cached(sql)?.execute([key.0])?;
                }
            }
            Ok(())
        })
    }

    fn stored_commands(&self) -> StoreFuture<'_, Vec<StoredCommand>> {
        self.call(|transaction| {
            let sql = "SELECT key, ordinal, account, expiry_ms, frame, sent_boot
                       FROM queued_command ORDER BY ordinal";
            let mut statement = transaction.prepare_cached(sql)?;
            let mut rows = statement.query([])?;
            let mut commands = Vec::new();
            while let Some(row) = rows.next()? {
                commands.push(StoredCommand {
                    key: Key(row.get(0)?),
                    order: row.get::<_, i64>(1)?.unsigned_abs(),
                    account: title(&row.get::<_, String>(2)?)?,
                    expiry: time(row.get(3)?),
                    frame: Bytes::from(row.get::<_, Vec<u8>>(4)?),
                    sent: row.get(5)?,
                });
            }
            Ok(commands)
        })
    }

    fn put_event_numbers(&self, numbers: Vec<(Address, u32)>) -> StoreFuture<'_, ()> {
        self.call(move |transaction| {
            let sql = "INSERT OR REPLACE INTO event_number VALUES (?1, ?2)";
            let mut statement = transaction.prepare_cached(sql)?;
            for (controller, number) in numbers {
                statement.execute([controller.0, number])?;
            }
            Ok(())
        })
    }

    fn event_numbers(&self) -> StoreFuture<'_, Vec<(Address, u32)>> {
        self.call(|transaction| {
            let sql = "SELECT controller, number FROM event_number ORDER BY controller";
            let mut statement = transaction.prepare_cached(sql)?;
            let rows = statement.query_map([], |row| Ok((Address(row.get(0)?), row.get(1)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let mut connection = Connection::open_in_memory().unwrap();
        schema::migrate(&mut connection).unwrap();
        for moment in 0..3_i64 {
            let mut statement = connection.prepare_cached(LOGIN).unwrap();
            let row = statement.query_row(params![[0_u8; 32], moment], |_| Ok(()));
            assert_eq!(row.optional().unwrap(), None);
            let planned_again = statement.get_status(rusqlite::StatementStatus::RePrepare);
            assert_eq!(planned_again, 0);
        }
    }
}
