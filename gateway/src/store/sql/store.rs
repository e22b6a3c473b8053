//! The config store itself: its calls, and opening, dumping and filling a database.

use super::{
    Tx, accounts, alarms, audit,
    calls::{Call, submit},
    commands, controllers,
    dump::{self, DumpError, DumpSummary, Lines, Scope},
    firmwares, history, leases, library, mysql, rollouts,
    schema::{self, SchemaVersion},
    sqlite,
    value::params,
};
use crate::{
    alarm::{
        model::{Alarm, AlarmId, Attempt, AttemptId, Note},
        people::ContactId,
        plan::{Override, Plan},
        rule::{Rule, RuleId},
    },
    audit::{
        AuditFilter, AuditRecord,
        chain::{Chained, Hash},
    },
    config::Secret,
    digest::Digest,
    fleet::{
        firmware::FirmwareName,
        plan::Label,
        rollout::{Changes, Control, Entry, ReleaseKind},
    },
    history::{Minute, Part, Recorded, SeriesId, StoredMinute, Swept},
    keys::{Keys, NextKey},
    store::{
        Account, AddedFirmware, AddedScript, AlarmChanges, AlarmCounts, AlarmFilter, AlarmNumbers,
        AlarmPulse, AttemptFilter, ConfigStore, Content, ControllerChange, ControllerEdit,
        ControllerEntry, ControllerKey, FencingToken, Firmware, Login, NewContact, NewController,
        NewFirmware, NewRollout, NewScript, NewToken, Revision, RolloutId, ScriptAlarm,
        ScriptVersion, Sealer, Seen, Selection, Site, SshKey, StoreError, StoreFuture,
        StoredContact, StoredPlan, StoredRollout, StoredRule, TokenEntry, TokenHash, TokenId, Wish,
        WishId, WishedAlarms,
    },
};
use std::{
    collections::BTreeSet,
    io::{BufRead, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, mpsc as sync},
    time::Duration,
};
use switchyard_protocol::{
    Address, SiteId,
    message::{Time, Title},
};
use switchyard_relay::{Rights, StoreRequest, StoredCommand};
use tokio::sync::mpsc;

/// How long dropping a store waits for the database to close: what was answered is on disk in any
/// case, and a disk that hangs must not keep the program from ending.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// What is sealed in every database, to know the master key by.
const KEY_CHECK: (&str, &[u8]) = ("key check", b"switchyard");

/// Where a config store lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Database {
    /// In a file of its own.
    Sqlite(PathBuf),
    /// In a MySQL or MariaDB database, by a URL such as `mysql://user:password@host:3306/name`.
    MySql(Secret),
}

impl std::fmt::Display for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Database::Sqlite(path) => path.display().fmt(f),
            // Its URL bears a password.
            Database::MySql(_) => f.write_str("of mysql_url"),
        }
    }
}

/// The config store in an SQL database. Dropping it ends its thread; SQLite then puts everything into
/// the one file, so that a copy of a stopped gateway's database is whole without the files beside it.
#[derive(Debug)]
pub struct SqlConfigStore {
    /// `None` only while it is dropped.
    queues: Option<Queues>,
    /// Disconnected when the thread has closed the database.
    closed: Mutex<sync::Receiver<()>>,
    sealer: Sealer,
}

/// Calls on their way; the same queue twice where one thread does both.
#[derive(Debug)]
struct Queues {
    writes: mpsc::Sender<Box<dyn Call>>,
    reads: mpsc::Sender<Box<dyn Call>>,
}

impl std::fmt::Debug for dyn Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Call")
    }
}

impl Drop for SqlConfigStore {
    fn drop(&mut self) {
        self.queues = None;
        let closed = self.closed.get_mut();
        let closed = closed.unwrap_or_else(PoisonError::into_inner);
        // Nothing is ever sent: it is gone, or it takes too long.
        let _ = closed.recv_timeout(CLOSE_TIMEOUT);
    }
}

impl SqlConfigStore {
    /// Opens or makes the database, brings its schema up, looks whether it is this master key's, and
    /// starts the thread. Of its two kinds of calls, `queue_calls_max` each may wait. Where a server
    /// is asked, one transaction takes `time_limit` at most.
    ///
    /// # Errors
    /// [`StoreError`], also for a database of a later version or of another master key.
    pub async fn open(
        database: &Database,
        sealer: Sealer,
        queue_calls_max: usize,
        time_limit: Duration,
    ) -> Result<Self, StoreError> {
        let (writes, write_queue) = mpsc::channel(queue_calls_max);
        let (closing, closed) = sync::channel::<()>();
        let named = std::thread::Builder::new().name("config store".into());
        let (reads, started) = match database {
            Database::Sqlite(path) => {
                let mut connection = sqlite::connect(path)?;
                schema::migrate_sqlite(&mut connection, &sealer, schema::VERSION)?;
                let behavior = rusqlite::TransactionBehavior::Immediate;
                let transaction = connection.transaction_with_behavior(behavior)?;
                sqlite::at_once(check_key(&mut Tx::Sqlite(&transaction), &sealer))?;
                transaction.commit()?;
                let started = named.spawn(move || {
                    let _closing = closing;
                    sqlite::run(connection, write_queue);
                });
                (writes.clone(), started)
            }
            Database::MySql(url) => {
                let server = mysql::Server::new(&url.0, time_limit)?;
                let (to_prepare, its_sealer) = (server.clone(), sealer.clone());
                mysql::aside(async move || {
                    let mut connection = to_prepare.connect().await?;
                    let to = schema::VERSION;
                    schema::migrate_mysql(&mut connection, &its_sealer, to).await?;
                    check_key(&mut Tx::MySql(&mut connection), &its_sealer).await?;
                    mysql::say_goodbye(connection).await;
                    Ok(())
                })
                .await?;
                let (reads, read_queue) = mpsc::channel(queue_calls_max);
                let started = named.spawn(move || {
                    let _closing = closing;
                    mysql::run(server, write_queue, read_queue);
                });
                (reads, started)
            }
        };
        started.map_err(|_| StoreError::Gone("its thread does not start"))?;
        Ok(SqlConfigStore {
            queues: Some(Queues { writes, reads }),
            closed: Mutex::new(closed),
            sealer,
        })
    }

    /// Writes all that a database holds, as of one moment, while it may be in use.
    ///
    /// # Errors
    /// [`DumpError`], also where the database is of another schema than this program.
    pub async fn export(
        database: &Database,
        time_limit: Duration,
        out: &mut dyn Write,
    ) -> Result<DumpSummary, DumpError> {
        Self::export_scope(database, time_limit, Scope::All, out).await
    }

    /// The same but for history, which is most of what there is, and the least missed of it.
    ///
    /// # Errors
    /// As [`export`](Self::export).
    pub async fn export_without_history(
        database: &Database,
        time_limit: Duration,
        out: &mut dyn Write,
    ) -> Result<DumpSummary, DumpError> {
        Self::export_scope(database, time_limit, Scope::WithoutHistory, out).await
    }

    async fn export_scope(
        database: &Database,
        time_limit: Duration,
        scope: Scope,
        out: &mut dyn Write,
    ) -> Result<DumpSummary, DumpError> {
        let (made, schema) = (crate::clock::time(), schema::VERSION);
        match database {
            Database::Sqlite(path) => {
                let mut connection = open_existing(path)?;
                let found = schema::version_of_sqlite(&connection)?;
                ensure_current(found)?;
                // Deferred: it reads as of its first look, and nobody waits for it.
                let transaction = connection.transaction().map_err(StoreError::from)?;
                let tx = &mut Tx::Sqlite(&transaction);
                sqlite::at_once(dump::export(tx, (schema, made), scope, out))
            }
            Database::MySql(url) => {
                let server = mysql::Server::new(&url.0, time_limit)?;
                let mut connection = server.connect().await?;
                ensure_current(schema::version_of_mysql(&mut connection).await?)?;
                mysql::begin_snapshot(&mut connection).await?;
                let tx = &mut Tx::MySql(&mut connection);
                let summary = dump::export(tx, (schema, made), scope, out).await?;
                mysql::say_goodbye(connection).await;
                Ok(summary)
            }
        }
    }

    /// Looks whether a dump is whole.
    ///
    /// # Errors
    /// [`DumpError`] says what is wrong with it.
    pub async fn check_dump(input: &mut dyn BufRead) -> Result<DumpSummary, DumpError> {
        let mut lines = Lines::new(input);
        let header = lines.header()?;
        lines.read(header, None).await
    }

    /// Fills a database that holds nothing from a dump of this or an earlier schema; all of it, or
    /// nothing.
    ///
    /// # Errors
    /// [`DumpError`], also for a dump that was sealed under another master key.
    pub async fn import(
        database: &Database,
        sealer: &Sealer,
        time_limit: Duration,
        input: &mut dyn BufRead,
    ) -> Result<DumpSummary, DumpError> {
        let mut lines = Lines::new(input);
        let header = lines.header()?;
        let (schema, known) = (header.0, schema::VERSION);
        if schema == 0 || schema > known {
            let found = schema;
            return Err(StoreError::TooNew { known, found }.into());
        }
        match database {
            Database::Sqlite(path) => {
                let mut connection = sqlite::connect(path)?;
                schema::migrate_sqlite(&mut connection, sealer, schema)?;
                let transaction = connection.transaction().map_err(StoreError::from)?;
                let tx = &mut Tx::Sqlite(&transaction);
                let summary = sqlite::at_once(fill(tx, sealer, &mut lines, header))?;
                transaction.commit().map_err(StoreError::from)?;
                schema::migrate_sqlite(&mut connection, sealer, known)?;
                Ok(summary)
            }
            Database::MySql(url) => {
                let server = mysql::Server::new(&url.0, time_limit)?;
                let mut connection = server.connect().await?;
                schema::migrate_mysql(&mut connection, sealer, schema).await?;
                mysql::begin(&mut connection).await?;
                let tx = &mut Tx::MySql(&mut connection);
                let summary = fill(tx, sealer, &mut lines, header).await?;
                mysql::commit(&mut connection).await?;
                schema::migrate_mysql(&mut connection, sealer, known).await?;
                mysql::say_goodbye(connection).await;
                Ok(summary)
            }
        }
    }

    /// Brings a database's schema up, as opening it does.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn migrate(
        database: &Database,
        sealer: &Sealer,
        time_limit: Duration,
    ) -> Result<SchemaVersion, StoreError> {
        match database {
            Database::Sqlite(path) => {
                let mut connection = sqlite::connect(path)?;
                schema::migrate_sqlite(&mut connection, sealer, schema::VERSION)
            }
            Database::MySql(url) => {
                let server = mysql::Server::new(&url.0, time_limit)?;
                let mut connection = server.connect().await?;
                let version =
                    schema::migrate_mysql(&mut connection, sealer, schema::VERSION).await?;
                mysql::say_goodbye(connection).await;
                Ok(version)
            }
        }
    }

    fn write<T: Send + 'static>(
        &self,
        work: impl AsyncFn(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'_, T> {
        submit(self.queues.as_ref().map(|queues| &queues.writes), work)
    }

    fn read<T: Send + 'static>(
        &self,
        work: impl AsyncFn(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> StoreFuture<'_, T> {
        submit(self.queues.as_ref().map(|queues| &queues.reads), work)
    }
}

fn open_existing(path: &Path) -> Result<rusqlite::Connection, StoreError> {
    if !path.exists() {
        return Err(StoreError::Missing {
            what: "database",
            name: path.display().to_string(),
        });
    }
    sqlite::connect(path)
}

fn ensure_current(found: u32) -> Result<(), StoreError> {
    let known = schema::VERSION;
    if found > known {
        return Err(StoreError::TooNew { known, found });
    }
    if found < known {
        return Err(StoreError::TooOld { known, found });
    }
    Ok(())
}

async fn fill(
    tx: &mut Tx<'_>,
    sealer: &Sealer,
    lines: &mut Lines<'_>,
    header: (u32, Time),
) -> Result<DumpSummary, DumpError> {
    dump::clear(tx).await?;
    let summary = lines.read(header, Some(tx)).await?;
    check_key(tx, sealer).await?;
    Ok(summary)
}

/// Looks whether the database's secrets are sealed under this key; one without any becomes its.
pub(super) async fn check_key(tx: &mut Tx<'_>, sealer: &Sealer) -> Result<(), StoreError> {
    let (name, secret) = KEY_CHECK;
    let sealed = sealer.seal(name, secret)?;
    let sql = "INSERT INTO fact (name, value) VALUES (?, ?)";
    if tx.insert(sql, params![name, &sealed]).await? {
        return Ok(());
    }
    let sql = "SELECT value FROM fact WHERE name = ?";
    let row = tx.row(sql, params![name]).await?;
    let row = row.ok_or(StoreError::Corrupt { what: "fact" })?;
    sealer.open(name, &row.get::<Vec<u8>>(0)?).map(drop)
}

/// Calls that do nothing but one function of a module, in a transaction of their sort.
macro_rules! calls {
    ($($sort:ident fn $method:ident($($argument:ident : $type:ty),*) -> $output:ty
        = $call:path [$($given:expr),*] $($sealer:ident)?;)*) => {
        $(fn $method(&self $(, $argument: $type)*) -> StoreFuture<'_, $output> {
            $(let $sealer = self.sealer.clone();)?
            self.$sort(async move |tx: &mut Tx<'_>| {
                $call(tx, $($given,)* $(&$sealer)?).await
            })
        })*
    };
}

impl ConfigStore for SqlConfigStore {
    calls! {
        write fn add_account(account: Account) -> () = accounts::add[&account] sealer;
        write fn add_first_account(account: Account) -> bool = accounts::add_first[&account] sealer;
        read fn account(name: Title) -> Option<Account> = accounts::find[&name] sealer;
        read fn accounts() -> Vec<Account> = accounts::all[] sealer;
        write fn set_rights(name: Title, rights: Rights) -> bool = accounts::set_rights[&name, &rights];
        write fn set_rights_but_of_last_admin(name: Title, rights: Rights) -> bool
            = accounts::set_rights_but_of_last_admin[&name, &rights];
        write fn set_password(name: Title, password_hash: String) -> bool
            = accounts::set_password[&name, &password_hash];
        write fn set_totp(name: Title, secret: Option<Vec<u8>>) -> bool
            = accounts::set_totp[&name, secret.as_ref()] sealer;
        write fn use_totp_step(name: Title, step: u64) -> bool = accounts::use_totp_step[&name, step];
        write fn remove_account(name: Title) -> bool = accounts::remove[&name];
        write fn remove_account_but_last_admin(name: Title) -> bool
            = accounts::remove_but_last_admin[&name];

        write fn add_token(token: NewToken, now: Time) -> () = accounts::add_token[&token, now];
        read fn login(token: TokenHash, now: Time) -> Option<Login> = accounts::login[token, now];
        read fn tokens(account: Title) -> Vec<TokenEntry> = accounts::tokens[&account];
        write fn revoke_token(token: TokenHash) -> bool = accounts::revoke_token[token];
        write fn revoke_token_by_id(account: Title, id: TokenId) -> bool
            = accounts::revoke_token_by_id[&account, id];
        read fn access_revision() -> u64 = accounts::access_revision[];

        write fn add_ssh_key(key: SshKey) -> () = accounts::add_ssh_key[&key];
        read fn ssh_keys(account: Title) -> Vec<SshKey> = accounts::ssh_keys[&account];
        write fn remove_ssh_key(account: Title, fingerprint: [u8; 32]) -> bool
            = accounts::remove_ssh_key[&account, fingerprint];
        read fn ssh_login(fingerprint: [u8; 32]) -> Option<(Title, Rights)>
            = accounts::ssh_login[fingerprint];

        write fn add_site(name: Title, max: u32, now: Time) -> SiteId
            = controllers::add_site[&name, max, now];
        read fn sites() -> Vec<Site> = controllers::sites[];
        write fn rename_site(site: SiteId, name: Title) -> bool = controllers::rename_site[site, &name];
        write fn put_site(label: Label, name: Title, max: u32, now: Time) -> SiteId
            = controllers::put_site[&label, &name, max, now];
        write fn remove_site(site: SiteId) -> bool = controllers::remove_site[site];

        write fn enrol(controllers: Vec<NewController>, max: u32, now: Time) -> Vec<Address>
            = controllers::enrol[&controllers, max, now] sealer;
        read fn controller(address: Address) -> Option<(ControllerEntry, Keys)>
            = controllers::find[address] sealer;
        read fn controllers(after: Address, limit: u32) -> Vec<(ControllerEntry, Keys)>
            = controllers::page[after, limit] sealer;
        write fn edit_controller(address: Address, edit: ControllerEdit) -> bool
            = controllers::edit[address, &edit];
        write fn set_controller_key(address: Address, key: ControllerKey) -> bool
            = controllers::set_key[address, key] sealer;
        write fn replace_controller_key(address: Address, next: NextKey) -> Option<NextKey>
            = controllers::replace_key[address, next] sealer;
        write fn settle_controller_key(address: Address, key: ControllerKey) -> bool
            = controllers::settle_key[address, key] sealer;
        write fn revoke_controller(address: Address, now: Time) -> bool
            = controllers::revoke[address, now];
        read fn controller_changes(after: Revision, limit: u32) -> Vec<ControllerChange>
            = controllers::changes[after, limit] sealer;
        read fn controller_revision() -> Revision = controllers::revision[];

        write fn installation(installation: TokenHash, account: Title, max: u32, now: Time) -> Address
            = controllers::installation[installation, &account, max, now];
        write fn lease_block(count: u32) -> Address = controllers::lease_block[count];

        write fn write_command(request: StoreRequest) -> () = commands::write[&request];
        read fn stored_commands() -> Vec<StoredCommand> = commands::stored[];
        write fn put_event_numbers(numbers: Vec<(Address, u32)>, told: Vec<ScriptAlarm>) -> ()
            = commands::put_event_numbers[&numbers, &told];
        read fn event_numbers() -> Vec<(Address, u32)> = commands::event_numbers[];

        write fn append_audit(journal: [u8; 16], first_position: u64, records: Vec<AuditRecord>) -> ()
            = audit::append[journal, first_position, &records];
        read fn audit(filter: AuditFilter, after: u64, limit: u32) -> Vec<(u64, Chained)>
            = audit::page[&filter, after, limit];
        read fn audit_start() -> (u64, Hash) = audit::start[];
        write fn trim_audit(before: Time, limit: u32) -> u32 = audit::trim[before, limit];

        write fn append_history(minutes: Arc<Vec<Minute>>) -> () = history::append[&minutes];
        read fn recorded_points(controller: Address) -> Vec<Recorded> = history::points[controller];
        read fn history(series: SeriesId, minutes: (u32, u32), after: Option<(u32, Part)>, limit: u32)
            -> Vec<StoredMinute> = history::page[series, minutes, after, limit];
        write fn sweep_history(token: FencingToken, before: u32, after: Option<SeriesId>, limit: u32) -> Swept
            = history::sweep[token, before, after, limit];

        write fn add_script(script: NewScript, now: Time) -> AddedScript = library::add[&script, now];
        read fn scripts(after: Option<Label>, limit: u32) -> Vec<ScriptVersion>
            = library::scripts[after.as_ref(), limit];
        read fn script_versions(label: Label, before: Option<u32>, limit: u32) -> Vec<ScriptVersion>
            = library::versions[&label, before, limit];
        read fn script(label: Label, number: Option<u32>) -> Option<(ScriptVersion, String)>
            = library::find[&label, number];
        read fn scripts_of(digests: Vec<Digest>) -> Vec<ScriptVersion> = library::of_contents[&digests];
        write fn remove_script(label: Label, now: Time) -> bool = library::remove[&label, now];

        write fn add_firmware(new: NewFirmware, now: Time) -> AddedFirmware = firmwares::add[&new, now];
        read fn firmwares() -> Vec<Firmware> = firmwares::all[];
        read fn firmware(name: FirmwareName) -> Option<Firmware> = firmwares::find[&name];
        read fn newest_firmware(profile: Label) -> Option<Firmware> = firmwares::newest[&profile];
        read fn firmware_of(digest: Digest) -> Option<Firmware> = firmwares::of_content[digest];
        write fn remove_firmware(name: FirmwareName, now: Time) -> bool = firmwares::remove[&name, now];

        write fn put_content(content: Content, now: Time) -> Digest = library::put[&content, now];
        read fn content(digest: Digest) -> Option<Content> = library::content[digest];

        write fn put_seen(seen: Vec<Seen>) -> () = controllers::put_seen[&seen];
        read fn seen(kind: ReleaseKind, after: Address, limit: u32) -> Vec<Seen>
            = controllers::seen[kind, after, limit];
        read fn selected(selection: Arc<Selection>, after: Address, limit: u32)
            -> Vec<(Address, Option<SiteId>)> = controllers::selected[&selection, after, limit];

        write fn create_rollout(about: NewRollout, first: Arc<Changes>) -> RolloutId
            = rollouts::create[&about, &first];
        write fn claim_rollout(rollout: RolloutId, token: FencingToken) -> Option<StoredRollout>
            = rollouts::claim[rollout, token];
        write fn save_rollout(rollout: RolloutId, changes: Arc<Changes>, granted: Option<WishId>) -> ()
            = rollouts::save[rollout, &changes, granted];
        read fn rollout(rollout: RolloutId) -> Option<StoredRollout> = rollouts::find[rollout];
        read fn rollouts(open: bool, before: Option<RolloutId>, limit: u32) -> Vec<StoredRollout>
            = rollouts::page[open, before, limit];
        read fn rollout_entries(rollout: RolloutId, after: Option<u32>, limit: u32) -> Vec<Entry>
            = rollouts::entries[rollout, after, limit];
        read fn rollout_sites(rollout: RolloutId) -> Vec<Option<SiteId>> = rollouts::sites[rollout];
        write fn remove_rollout(rollout: RolloutId) -> bool = rollouts::remove[rollout];

        write fn add_wish(rollout: RolloutId, control: Control, by: Title, now: Time) -> WishId
            = rollouts::add_wish[rollout, control, &by, now];
        read fn wishes(rollout: Option<RolloutId>) -> Vec<Wish> = rollouts::wishes[rollout];

        read fn alarm_pulse() -> AlarmPulse = alarms::pulse[];
        read fn script_alarms(limit: u32) -> Vec<(u64, ScriptAlarm)> = alarms::script_alarms[limit];
        write fn add_alarm_wish(wished: WishedAlarms) -> u64 = alarms::add_wish[&wished];
        read fn alarm_wishes(limit: u32) -> Vec<(u64, WishedAlarms)> = alarms::wishes[limit];
        read fn alarm_wish_waits(place: u64) -> bool = alarms::wish_waits[place];
        write fn save_alarms(token: FencingToken, changes: Arc<AlarmChanges>) -> u64
            = alarms::save[token, &changes];
        read fn alarm_numbers() -> AlarmNumbers = alarms::numbers[];
        read fn alarms(filter: AlarmFilter, before: Option<AlarmId>, limit: u32) -> Vec<Alarm>
            = alarms::page[&filter, before, limit];
        read fn alarm_counts(sites: Option<BTreeSet<u32>>) -> AlarmCounts = alarms::counts[sites.as_ref()];
        read fn alarm(id: AlarmId) -> Option<Alarm> = alarms::find[id];
        read fn alarm_notes(alarm: AlarmId, limit: u32) -> Vec<Note> = alarms::notes[alarm, limit];
        read fn alarm_attempts(filter: AttemptFilter, before: Option<AttemptId>, limit: u32) -> Vec<Attempt>
            = alarms::attempts[filter, before, limit];
        write fn trim_alarms(token: FencingToken, before_ms: u64, limit: u32) -> u32
            = alarms::trim[token, before_ms, limit];
        read fn contacts() -> Vec<StoredContact> = alarms::contacts[] sealer;
        write fn put_contact(new: NewContact) -> ContactId = alarms::put_contact[&new] sealer;
        write fn remove_contact(id: ContactId) -> bool = alarms::remove_contact[id];
        read fn alarm_rules() -> Vec<StoredRule> = alarms::rules[];
        write fn put_alarm_rule(id: Option<RuleId>, rule: Rule) -> RuleId = alarms::put_rule[id, &rule];
        write fn remove_alarm_rule(id: RuleId) -> bool = alarms::remove_rule[id];
        read fn alarm_plans() -> Vec<StoredPlan> = alarms::plans[];
        write fn put_alarm_plan(site: u32, plan: Plan) -> () = alarms::put_plan[site, &plan];
        write fn add_alarm_override(site: u32, exception: Override, now_ms: u64) -> Option<Plan>
            = alarms::add_override[site, &exception, now_ms];
        write fn remove_alarm_plan(site: u32) -> bool = alarms::remove_plan[site];

        write fn acquire_lease(name: Title, holder: [u8; 16], ttl: Duration, now: Time) -> Option<FencingToken>
            = leases::acquire[&name, holder, ttl, now];
        write fn release_lease(name: Title, holder: [u8; 16]) -> bool = leases::release[&name, holder];
    }
}
