//! The tables: a list of steps, of which the database knows how many it has taken.
//!
//! A step that was released is never changed; what has to change becomes a further step. A step is
//! written once for both databases, in types of its own:
//!
//! | here | SQLite | MySQL |
//! |---|---|---|
//! | `$int` | INTEGER | BIGINT |
//! | `$text(N)` | TEXT | VARCHAR(N) |
//! | `$blob(N)` | BLOB | VARBINARY(N) |
//! | `$long` | BLOB | LONGBLOB |
//! | `$words` | TEXT | LONGTEXT |
//! | `$table` | STRICT | InnoDB, text compared by its bytes |
//! | `$clustered` | STRICT, its rows in the order of its key | the same, as every table is |
//!
//! Statements end with a semicolon at the end of a line. SQLite takes all steps in one transaction.
//! MySQL cannot: it commits each statement that changes a table by itself. So it notes after each one
//! how far it got, goes on there after a crash, and takes it as done when the very statement that may
//! have been done finds its work there.

use super::{Tx, sqlite::at_once, value::params};
use crate::store::{StoreError, seal::Sealer};
use mysql_async::prelude::Queryable as _;
use rusqlite::Connection;

/// The steps, oldest first.
const STEPS: &[Step] = &[
    // 1: the foundation.
    Step::Statements(
        "
        CREATE TABLE account (
            name          $text(64) PRIMARY KEY NOT NULL,
            role          $int NOT NULL CHECK (role BETWEEN 1 AND 4),
            password_hash $text(512) NOT NULL,
            created_ms    $int NOT NULL
        ) $table;
        CREATE TABLE token (
            hash       $blob(32) PRIMARY KEY NOT NULL,
            account    $text(64) NOT NULL REFERENCES account (name) ON DELETE CASCADE,
            expires_ms $int NOT NULL,
            created_ms $int NOT NULL
        ) $table;
        CREATE INDEX token_account ON token (account, created_ms);
        CREATE TABLE controller (
            address     $int PRIMARY KEY NOT NULL CHECK (address BETWEEN 1 AND 0x7FFFFFFF),
            title       $text(64) NOT NULL,
            `key`       $blob(32) NOT NULL CHECK (length(`key`) = 32),
            enrolled_ms $int NOT NULL
        ) $table;
        CREATE TABLE installation (
            hash       $blob(32) PRIMARY KEY NOT NULL,
            address    $int NOT NULL UNIQUE CHECK (address BETWEEN 0x80000000 AND 0xBFFFFFFF),
            account    $text(64) NOT NULL,
            created_ms $int NOT NULL
        ) $table;
        CREATE INDEX installation_account ON installation (account);
        CREATE TABLE queued_command (
            `key`     $blob(16) PRIMARY KEY NOT NULL CHECK (length(`key`) = 16),
            ordinal   $int NOT NULL,
            account   $text(64) NOT NULL,
            expiry_ms $int NOT NULL,
            frame     $long NOT NULL,
            sent_boot $int
        ) $table;
        CREATE TABLE counter (
            name  $text(64) PRIMARY KEY NOT NULL,
            value $int NOT NULL
        ) $table;
        INSERT INTO counter (name, value) VALUES
            ('controller', 0), ('installation', 2147483647), ('leased', 0), ('access_revision', 0);
        ",
    ),
    // 2: the latest event that the gateway has of a controller.
    Step::Statements(
        "
        CREATE TABLE event_number (
            controller $int PRIMARY KEY NOT NULL,
            number     $int NOT NULL
        ) $table;
        ",
    ),
    // 3: sites, roles at each, tags; what a log-in is; keys that are sealed; owners of chores.
    Step::Statements(
        "
        CREATE TABLE site (
            id         $int PRIMARY KEY NOT NULL,
            name       $text(64) NOT NULL UNIQUE,
            created_ms $int NOT NULL
        ) $table;
        CREATE TABLE account_role (
            account $text(64) NOT NULL REFERENCES account (name) ON DELETE CASCADE,
            site    $int NOT NULL,
            role    $int NOT NULL CHECK (role BETWEEN 1 AND 4),
            PRIMARY KEY (account, site)
        ) $table;
        INSERT INTO account_role (account, site, role) SELECT name, 0, role FROM account;
        ALTER TABLE account DROP COLUMN role;
        ALTER TABLE account ADD COLUMN totp $blob(128);
        ALTER TABLE account ADD COLUMN totp_step $int NOT NULL DEFAULT 0;
        ALTER TABLE token ADD COLUMN kind $int NOT NULL DEFAULT 0;
        ALTER TABLE token ADD COLUMN title $text(64) NOT NULL DEFAULT '';
        ALTER TABLE token ADD COLUMN ordinal $int NOT NULL DEFAULT 0;
        CREATE TABLE ssh_key (
            fingerprint $blob(32) PRIMARY KEY NOT NULL,
            account     $text(64) NOT NULL REFERENCES account (name) ON DELETE CASCADE,
            title       $text(64) NOT NULL,
            public_key  $text(1024) NOT NULL,
            created_ms  $int NOT NULL
        ) $table;
        ALTER TABLE controller ADD COLUMN site $int;
        ALTER TABLE controller ADD COLUMN sealed_key $blob(128);
        ALTER TABLE controller ADD COLUMN next_key $blob(128);
        ALTER TABLE controller ADD COLUMN revoked_ms $int;
        ALTER TABLE controller ADD COLUMN revision $int NOT NULL DEFAULT 0;
        CREATE INDEX controller_revision ON controller (revision);
        CREATE TABLE controller_tag (
            controller $int NOT NULL REFERENCES controller (address) ON DELETE CASCADE,
            tag        $text(64) NOT NULL,
            PRIMARY KEY (controller, tag)
        ) $table;
        CREATE TABLE lease (
            name       $text(64) PRIMARY KEY NOT NULL,
            holder     $blob(16) NOT NULL,
            token      $int NOT NULL,
            expires_ms $int NOT NULL
        ) $table;
        CREATE TABLE fact (
            name  $text(64) PRIMARY KEY NOT NULL,
            value $blob(1024) NOT NULL
        ) $table;
        INSERT INTO counter (name, value) VALUES ('site', 0), ('token', 0), ('controller_revision', 0);
        ",
    ),
    // 4: no key of a controller lies there as it is.
    Step::SealKeys,
    Step::Statements("ALTER TABLE controller DROP COLUMN `key`;"),
    // 6: the audit log, and how far each command journal is in it.
    Step::Statements(
        "
        CREATE TABLE audit (
            number   $int PRIMARY KEY NOT NULL,
            journal  $blob(16) NOT NULL,
            position $int NOT NULL,
            time_ms  $int NOT NULL,
            account  $text(64),
            target   $int,
            record   $long NOT NULL,
            hash     $blob(32) NOT NULL
        ) $table;
        CREATE INDEX audit_time ON audit (time_ms);
        CREATE INDEX audit_account ON audit (account, number);
        CREATE INDEX audit_target ON audit (target, number);
        CREATE TABLE audit_journal (
            journal  $blob(16) PRIMARY KEY NOT NULL,
            position $int NOT NULL
        ) $table;
        INSERT INTO counter (name, value) VALUES ('audit', 0);
        ",
    ),
    // 7: history. A chart reads a point's minutes side by side, and so does what deletes them.
    Step::Statements(
        "
        CREATE TABLE history_series (
            id         $int PRIMARY KEY NOT NULL,
            controller $int NOT NULL,
            point      $text(24) NOT NULL,
            point_type $int NOT NULL,
            UNIQUE (controller, point, point_type)
        ) $table;
        CREATE TABLE history_minute (
            series   $int NOT NULL REFERENCES history_series (id),
            minute   $int NOT NULL,
            part     $int NOT NULL,
            least    $int NOT NULL,
            greatest $int NOT NULL,
            mean     $int NOT NULL,
            latest   $int NOT NULL,
            held_ms  $int NOT NULL,
            samples  $int NOT NULL,
            PRIMARY KEY (series, minute, part)
        ) $clustered;
        INSERT INTO counter (name, value) VALUES ('history_series', 0);
        ",
    ),
    // 8: the fleet. Kinds are numbers that never change; heads and entries are JSON of the roll-out's own
    // format, which bears its own version.
    Step::Statements(
        "
        ALTER TABLE site ADD COLUMN label $text(64);
        CREATE UNIQUE INDEX site_label ON site (label);
        CREATE TABLE content (
            digest  $blob(32) PRIMARY KEY NOT NULL,
            kind    $int NOT NULL,
            bytes   $int NOT NULL,
            kept_ms $int NOT NULL
        ) $table;
        CREATE INDEX content_kind ON content (kind, kept_ms);
        CREATE TABLE content_part (
            content $blob(32) NOT NULL REFERENCES content (digest) ON DELETE CASCADE,
            part    $int NOT NULL,
            bytes   $long NOT NULL,
            PRIMARY KEY (content, part)
        ) $table;
        CREATE TABLE script_version (
            label    $text(64) NOT NULL,
            number   $int NOT NULL,
            content  $blob(32) NOT NULL REFERENCES content (digest),
            bytes    $int NOT NULL,
            added_ms $int NOT NULL,
            author   $text(64) NOT NULL,
            note     $text(500) NOT NULL,
            PRIMARY KEY (label, number)
        ) $table;
        CREATE INDEX script_version_content ON script_version (content);
        CREATE TABLE controller_seen (
            kind       $int NOT NULL,
            controller $int NOT NULL,
            content    $blob(32),
            seen_ms    $int NOT NULL,
            PRIMARY KEY (kind, controller)
        ) $table;
        CREATE TABLE rollout (
            id          $int PRIMARY KEY NOT NULL,
            title       $text(64) NOT NULL,
            author      $text(64) NOT NULL,
            began_ms    $int NOT NULL,
            kind        $int NOT NULL,
            is_open     $int NOT NULL,
            token       $int NOT NULL,
            controllers $int NOT NULL,
            head        $words NOT NULL,
            stages      $words NOT NULL
        ) $table;
        CREATE INDEX rollout_open ON rollout (is_open, id);
        CREATE TABLE rollout_entry (
            rollout    $int NOT NULL REFERENCES rollout (id),
            position   $int NOT NULL,
            controller $int NOT NULL,
            entry      $words NOT NULL,
            PRIMARY KEY (rollout, position)
        ) $clustered;
        CREATE INDEX rollout_entry_controller ON rollout_entry (controller, rollout);
        CREATE TABLE rollout_content (
            rollout $int NOT NULL REFERENCES rollout (id),
            content $blob(32) NOT NULL REFERENCES content (digest),
            PRIMARY KEY (rollout, content)
        ) $table;
        CREATE INDEX rollout_content_content ON rollout_content (content);
        CREATE TABLE rollout_wish (
            id       $int PRIMARY KEY NOT NULL,
            rollout  $int NOT NULL REFERENCES rollout (id),
            control  $int NOT NULL,
            author   $text(64) NOT NULL,
            asked_ms $int NOT NULL
        ) $table;
        CREATE INDEX rollout_wish_rollout ON rollout_wish (rollout, id);
        INSERT INTO counter (name, value) VALUES ('library', 0), ('rollout', 0), ('rollout_wish', 0);
        ",
    ),
    // 9: the library of firmwares.
    Step::Statements(
        "
        CREATE TABLE firmware (
            profile  $text(64) NOT NULL,
            version  $int NOT NULL,
            lowest   $int NOT NULL,
            content  $blob(32) NOT NULL REFERENCES content (digest),
            bytes    $int NOT NULL,
            added_ms $int NOT NULL,
            author   $text(64) NOT NULL,
            note     $text(500) NOT NULL,
            PRIMARY KEY (profile, version)
        ) $table;
        CREATE INDEX firmware_content ON firmware (content);
        ",
    ),
    // 10: alarms. What is kept as JSON are the alarm's own types, which only grow. What a script says of alarms lies in
    // `script_alarm` from the moment that its number is kept until the alarm is.
    Step::Statements(
        "
        CREATE TABLE alarm_contact (
            id      $int PRIMARY KEY NOT NULL,
            name    $text(64) NOT NULL UNIQUE,
            contact $words NOT NULL,
            pin     $blob(128)
        ) $table;
        CREATE TABLE alarm_rule (
            id   $int PRIMARY KEY NOT NULL,
            rule $words NOT NULL
        ) $table;
        CREATE TABLE alarm_plan (
            site $int PRIMARY KEY NOT NULL,
            plan $words NOT NULL
        ) $table;
        CREATE TABLE script_alarm (
            place      $int PRIMARY KEY NOT NULL,
            controller $int NOT NULL,
            number     $int NOT NULL,
            told       $words NOT NULL,
            UNIQUE (controller, number)
        ) $table;
        CREATE TABLE alarm_wish (
            place  $int PRIMARY KEY NOT NULL,
            wished $words NOT NULL
        ) $table;
        CREATE TABLE alarm (
            id         $int PRIMARY KEY NOT NULL,
            is_open    $int NOT NULL,
            site       $int,
            controller $int,
            raised_ms  $int NOT NULL,
            cleared_ms $int,
            revision   $int NOT NULL,
            alarm      $words NOT NULL
        ) $table;
        CREATE INDEX alarm_open ON alarm (is_open, id);
        CREATE INDEX alarm_cleared ON alarm (is_open, cleared_ms);
        CREATE INDEX alarm_controller ON alarm (controller, id);
        CREATE INDEX alarm_revision ON alarm (revision);
        CREATE TABLE alarm_note (
            alarm $int NOT NULL,
            place $int NOT NULL,
            note  $words NOT NULL,
            PRIMARY KEY (alarm, place)
        ) $clustered;
        CREATE TABLE alarm_attempt (
            id       $int PRIMARY KEY NOT NULL,
            is_open  $int NOT NULL,
            contact  $int NOT NULL,
            begun_ms $int NOT NULL,
            attempt  $words NOT NULL
        ) $table;
        CREATE INDEX alarm_attempt_open ON alarm_attempt (is_open, begun_ms);
        CREATE INDEX alarm_attempt_contact ON alarm_attempt (contact, id);
        INSERT INTO counter (name, value) VALUES
            ('alarm_settings', 0), ('alarm_contact', 0), ('alarm_rule', 0), ('script_alarm', 0), ('alarm_wish', 0),
            ('alarm', 0), ('alarm_attempt', 0), ('alarm_note', 0), ('alarm_revision', 0);
        ",
    ),
    // 11: alarms are counted without reading each. In JSON a text has no quotation mark without a backslash before it, so
    // that these names are found where they are names.
    Step::Statements(
        r#"
        ALTER TABLE alarm ADD COLUMN severity $int NOT NULL DEFAULT 0;
        ALTER TABLE alarm ADD COLUMN is_heard $int NOT NULL DEFAULT 0;
        ALTER TABLE alarm ADD COLUMN is_part  $int NOT NULL DEFAULT 0;
        UPDATE alarm SET severity = 1 WHERE alarm LIKE '%"severity":"medium"%';
        UPDATE alarm SET severity = 2 WHERE alarm LIKE '%"severity":"high"%';
        UPDATE alarm SET is_heard = 1 WHERE alarm NOT LIKE '%"acknowledged":null%';
        UPDATE alarm SET is_part = 1 WHERE alarm NOT LIKE '%"part_of":null%';
        CREATE INDEX alarm_count ON alarm (is_open, is_part, site, severity, is_heard);
        "#,
    ),
];

/// One step.
enum Step {
    /// Statements, as told above.
    Statements(&'static str),
    /// Seals the controllers' keys. May be taken again.
    SealKeys,
}

/// How many steps this program knows.
pub(super) const VERSION: u32 = STEPS.len() as u32;

/// The databases, as far as their dialects differ.
#[derive(Clone, Copy)]
enum Dialect {
    Sqlite,
    MySql,
}

impl Dialect {
    /// A step's statements in this dialect.
    fn statements(self, text: &str) -> Vec<String> {
        let text = match self {
            Dialect::Sqlite => without_lengths(text)
                .replace("$table", "STRICT")
                .replace("$clustered", "STRICT, WITHOUT ROWID")
                .replace("$int", "INTEGER")
                .replace("$text", "TEXT")
                .replace("$blob", "BLOB")
                .replace("$long", "BLOB")
                .replace("$words", "TEXT"),
            Dialect::MySql => text
                .replace("$clustered", "$table")
                .replace(
                    "$table",
                    "ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
                )
                .replace("$int", "BIGINT")
                .replace("$text", "VARCHAR")
                .replace("$blob", "VARBINARY")
                .replace("$long", "LONGBLOB")
                .replace("$words", "LONGTEXT"),
        };
        let statements = text.split(";\n").map(str::trim);
        let statements = statements.map(|text| text.trim_end_matches(';').to_owned());
        statements.filter(|text| !text.is_empty()).collect()
    }
}

/// `$text(64)` without its length, which SQLite's strict types do not take.
fn without_lengths(text: &str) -> String {
    let mut pieces = text.split('$');
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        plain.push('$');
        let sized = piece.starts_with("text(") || piece.starts_with("blob(");
        match piece.split_once('(').filter(|_| sized) {
            Some((name, rest)) => {
                plain.push_str(name);
                plain.push_str(
                    rest.trim_start_matches(|c: char| c.is_ascii_digit())
                        .trim_start_matches(')'),
                );
            }
            None => plain.push_str(piece),
        }
    }
    plain
}

/// What a database's schema is, and what this program's is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchemaVersion {
    /// The database's.
    pub found: u32,
    /// This program's.
    pub known: u32,
}

impl SchemaVersion {
    pub(super) fn check(found: u32) -> Result<Self, StoreError> {
        let known = VERSION;
        if found > known {
            return Err(StoreError::TooNew { known, found });
        }
        Ok(SchemaVersion { found, known })
    }
}

/// The version of an SQLite database; 0 of an empty one.
pub(super) fn version_of_sqlite(connection: &Connection) -> Result<u32, StoreError> {
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

/// Brings an SQLite database up to a version; what it was before.
pub(super) fn migrate_sqlite(
    connection: &mut Connection,
    sealer: &Sealer,
    to: u32,
) -> Result<SchemaVersion, StoreError> {
    // What is dropped on the way, keys among it, is written over at once.
    connection.pragma_update(None, "secure_delete", true)?;
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let found = version_of_sqlite(&transaction)?;
    let version = SchemaVersion::check(found)?;
    for step in STEPS.iter().take(to as usize).skip(found as usize) {
        match step {
            Step::Statements(text) => {
                for statement in Dialect::Sqlite.statements(text) {
                    transaction.execute_batch(&statement)?;
                }
            }
            Step::SealKeys => at_once(seal_keys(&mut Tx::Sqlite(&transaction), sealer))?,
        }
    }
    transaction.pragma_update(None, "user_version", to.max(found))?;
    transaction.commit()?;
    connection.pragma_update(None, "secure_delete", false)?;
    if (1..to).contains(&found) {
        // What was dropped must not lie about in free pages: keys were among it.
        connection.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)")?;
    }
    Ok(version)
}

/// The tables of an SQLite database as they were at a version, for tests of migrations.
#[cfg(test)]
pub(super) fn build_sqlite(connection: &Connection, version: u32) {
    for step in &STEPS[..version as usize] {
        if let Step::Statements(text) = step {
            for statement in Dialect::Sqlite.statements(text) {
                connection.execute_batch(&statement).unwrap();
            }
        }
    }
    let pragma = connection.pragma_update(None, "user_version", version);
    pragma.unwrap();
}

/// What MySQL says when the work of a statement that may have been done is there already: a table, a
/// column, an index, a row; or a column that is gone.
const DONE_ALREADY: [u16; 5] = [1050, 1060, 1061, 1062, 1091];

/// The version of a MySQL database; 0 of one without our tables.
pub(super) async fn version_of_mysql(
    connection: &mut mysql_async::Conn,
) -> Result<u32, StoreError> {
    let sql = "SELECT count(*) FROM information_schema.tables
               WHERE table_schema = database() AND table_name = 'migration'";
    let tables: Option<u32> = connection.query_first(sql).await?;
    if tables.unwrap_or_default() == 0 {
        return Ok(0);
    }
    let sql = "SELECT steps FROM migration";
    let steps: Option<u32> = connection.query_first(sql).await?;
    Ok(steps.unwrap_or_default())
}

/// Brings a MySQL database up to a version; what it was before.
pub(super) async fn migrate_mysql(
    connection: &mut mysql_async::Conn,
    sealer: &Sealer,
    to: u32,
) -> Result<SchemaVersion, StoreError> {
    migrate_mysql_for(connection, sealer, to, usize::MAX).await
}

/// The same, as if it were cut short after so many statements.
async fn migrate_mysql_for(
    connection: &mut mysql_async::Conn,
    sealer: &Sealer,
    to: u32,
    mut statements_left: usize,
) -> Result<SchemaVersion, StoreError> {
    // Two gateways that start at once take turns. Ends with the connection, or below.
    let lock = "SELECT GET_LOCK('switchyard migration', 30)";
    let locked: Option<Option<i64>> = connection.query_first(lock).await?;
    if locked.flatten() != Some(1) {
        return Err(StoreError::Gone("another gateway is changing its tables"));
    }
    let sql = "CREATE TABLE IF NOT EXISTS migration (
                   id INT PRIMARY KEY, steps BIGINT NOT NULL, statements BIGINT NOT NULL
               ) ENGINE = InnoDB";
    connection.query_drop(sql).await?;
    let sql = "INSERT IGNORE INTO migration VALUES (1, 0, 0)";
    connection.query_drop(sql).await?;
    let sql = "SELECT steps, statements FROM migration";
    let taken: Option<(u32, usize)> = connection.query_first(sql).await?;
    let (found, mut skip) = taken.unwrap_or_default();
    let version = SchemaVersion::check(found)?;
    let steps = STEPS.iter().zip(0_u64..).take(to as usize);
    for (step, number) in steps.skip(found as usize) {
        match step {
            Step::Statements(text) => {
                let statements = Dialect::MySql.statements(text);
                for (at, statement) in statements.iter().enumerate().skip(skip) {
                    // Only the first may have been done before a crash.
                    let is_done = |error: &mysql_async::Error| {
                        at == skip
                            && matches!(error, mysql_async::Error::Server(error)
                                if DONE_ALREADY.contains(&error.code))
                    };
                    match connection.query_drop(statement).await {
                        Err(error) if !is_done(&error) => return Err(error.into()),
                        _ => {}
                    }
                    if statements_left == 0 {
                        return Ok(version);
                    }
                    statements_left -= 1;
                    note_taken(connection, number, at as u64 + 1).await?;
                }
            }
            Step::SealKeys => seal_keys(&mut Tx::MySql(connection), sealer).await?,
        }
        note_taken(connection, number + 1, 0).await?;
        skip = 0;
    }
    connection
        .query_drop("SELECT RELEASE_LOCK('switchyard migration')")
        .await?;
    Ok(version)
}

async fn note_taken(
    connection: &mut mysql_async::Conn,
    steps: u64,
    statements: u64,
) -> Result<(), StoreError> {
    let sql = "UPDATE migration SET steps = ?, statements = ?";
    connection.exec_drop(sql, (steps, statements)).await?;
    Ok(())
}

async fn seal_keys(tx: &mut Tx<'_>, sealer: &Sealer) -> Result<(), StoreError> {
    // What is sealed from here on opens under this master key alone: the database must know it by then.
    super::store::check_key(tx, sealer).await?;
    let sql = "SELECT address, `key` FROM controller WHERE sealed_key IS NULL";
    for row in tx.rows(sql, params![]).await? {
        let (address, key) = (row.get(0)?, row.get::<[u8; 32]>(1)?);
        let sealed = sealer.seal_controller_key(address, &key)?;
        let sql = "UPDATE controller SET sealed_key = ? WHERE address = ?";
        tx.execute(sql, params![&sealed, address]).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sql::mysql::Server;
    use switchyard_testkit::services::MariaDb;

    fn sealer() -> Sealer {
        Sealer::new(&[7; 32])
    }

    /// A database as it was at a version, with something of what that version kept.
    fn database_of(version: u32) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        build_sqlite(&connection, version.min(2));
        if version > 0 {
            connection
                .execute_batch(
                    "INSERT INTO account VALUES ('li', 2, 'hash', 5);
                     INSERT INTO token VALUES (x'01', 'li', 100, 10);
                     INSERT INTO controller VALUES (1, 'Pump', zeroblob(32), 7);
                     UPDATE counter SET value = 1 WHERE name = 'controller';",
                )
                .unwrap();
        }
        let mut connection = connection;
        if version > 2 {
            migrate_sqlite(&mut connection, &sealer(), version).unwrap();
        }
        connection
    }

    #[test]
    fn a_database_is_brought_up_from_every_version() {
        for version in 0..=VERSION {
            let mut connection = database_of(version);
            let before = migrate_sqlite(&mut connection, &sealer(), VERSION).unwrap();
            assert_eq!((before.found, before.known), (version, VERSION));
            let again = migrate_sqlite(&mut connection, &sealer(), VERSION).unwrap();
            assert_eq!(again.found, VERSION);
            let count = |table: &str| -> u32 {
                let sql = format!("SELECT count(*) FROM {table}");
                connection.query_row(&sql, [], |row| row.get(0)).unwrap()
            };
            let kept = u32::from(version > 0);
            for table in ["account", "token", "controller", "account_role"] {
                assert_eq!(count(table), kept, "{table} from version {version}");
            }
            assert_eq!((count("counter"), count("event_number")), (21, 0));
            if version == 0 {
                continue;
            }
            let sql = "SELECT account, site, role FROM account_role";
            let role = connection.query_row(sql, [], |row| {
                Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?))
            });
            assert_eq!(role.unwrap(), ("li".to_owned(), 0, 2));
            let sql = "SELECT sealed_key FROM controller";
            let sealed: Vec<u8> = connection.query_row(sql, [], |row| row.get(0)).unwrap();
            let key = sealer().open_controller_key(switchyard_protocol::Address(1), &sealed);
            assert_eq!(key.unwrap(), [0; 32]);
        }
    }

    #[test]
    fn alarms_of_before_are_counted() {
        let mut connection = database_of(10);
        let alarms = [
            r#"{"severity":"low","text":"\"acknowledged\":null","acknowledged":{"at_ms":1},"part_of":null}"#,
            r#"{"severity":"medium","acknowledged":null,"part_of":3}"#,
            r#"{"severity":"high","text":"\"severity\":\"medium\"","acknowledged":null,"part_of":null}"#,
        ];
        for (alarm, id) in alarms.iter().zip(0..) {
            let sql = "INSERT INTO alarm VALUES (?, 1, NULL, NULL, 0, NULL, 1, ?)";
            connection.execute(sql, (id, alarm)).unwrap();
        }
        migrate_sqlite(&mut connection, &sealer(), VERSION).unwrap();
        let counted = |id: u32| -> (u32, u32, u32) {
            let sql = "SELECT severity, is_heard, is_part FROM alarm WHERE id = ?";
            let row =
                connection.query_row(sql, [id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
            row.unwrap()
        };
        assert_eq!([0, 1, 2].map(counted), [(0, 1, 0), (1, 0, 1), (2, 0, 0)]);
    }

    #[test]
    fn a_later_database_is_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        let error = migrate_sqlite(&mut connection, &sealer(), VERSION).unwrap_err();
        assert!(
            matches!(error, StoreError::TooNew { found: 99, .. }),
            "{error}"
        );
    }

    #[test]
    fn keys_that_were_dropped_do_not_lie_about() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("old.db");
        let mut connection = crate::store::sql::sqlite::connect(&path).unwrap();
        build_sqlite(&connection, 2);
        let key = [0x5A; 32];
        for number in 1..=100 {
            let sql = "INSERT INTO controller VALUES (?, 'Pump', ?, 7)";
            connection.execute(sql, (number, key)).unwrap();
        }
        migrate_sqlite(&mut connection, &sealer(), VERSION).unwrap();
        drop(connection);
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            assert!(!bytes.windows(32).any(|part| part == key));
        }
    }

    /// However far it came, and whether or not it could note the last statement that it did.
    #[tokio::test]
    async fn mysql_is_brought_up_from_wherever_it_stopped() {
        let server = tokio::task::spawn_blocking(MariaDb::start);
        let server = server.await.unwrap().unwrap();
        let patience = std::time::Duration::from_secs(20);
        let server = Server::new(&server.url(0), patience).map(|it| (it, server));
        let (server, _running) = server.unwrap();
        let statements = STEPS.iter().filter_map(|step| match step {
            Step::Statements(text) => Some(Dialect::MySql.statements(text)),
            Step::SealKeys => None,
        });
        // One statement of each sort: to make a table anew takes a server a while.
        let mut sorts = std::collections::HashMap::new();
        for (at, statement) in statements.flatten().enumerate() {
            let mut words = statement.split_whitespace().map(str::to_owned);
            let (verb, object) = (words.next(), words.next());
            let change = words.nth(1).filter(|_| verb.as_deref() == Some("ALTER"));
            sorts.insert((verb, object, change), at);
        }
        assert!(sorts.len() >= 5, "{sorts:?}");
        let mut columns = None;
        for done in sorts.into_values() {
            let mut connection = server.connect().await.unwrap();
            let sql = "DROP DATABASE yard_0";
            connection.query_drop(sql).await.unwrap();
            let sql = "CREATE DATABASE yard_0";
            connection.query_drop(sql).await.unwrap();
            connection.query_drop("USE yard_0").await.unwrap();
            let cut = migrate_mysql_for(&mut connection, &sealer(), VERSION, done).await;
            assert_eq!(cut.unwrap().found, 0);
            drop(connection);
            let mut connection = server.connect().await.unwrap();
            let whole = migrate_mysql(&mut connection, &sealer(), VERSION).await;
            assert!(whole.unwrap().found < VERSION, "cut after {done}");
            let again = migrate_mysql(&mut connection, &sealer(), VERSION).await;
            assert_eq!(again.unwrap().found, VERSION);
            let sql = "SELECT count(*) FROM information_schema.columns
                       WHERE table_schema = database()";
            let found: Option<u32> = connection.query_first(sql).await.unwrap();
            assert_eq!(*columns.get_or_insert(found), found, "cut after {done}");
            let sql = "SELECT count(*) FROM counter";
            let counters: Option<u32> = connection.query_first(sql).await.unwrap();
            assert_eq!(counters, Some(21), "cut after {done}");
        }
    }

    #[test]
    fn a_step_is_told_in_both_dialects() {
        let step =
            "CREATE TABLE x (\n  a $int, b $text(9), c $blob(3), d $long, e $words\n) $table;\n
                    INSERT INTO x VALUES (1, ';', x'00', x'', '');";
        assert_eq!(
            Dialect::Sqlite.statements(step),
            [
                "CREATE TABLE x (\n  a INTEGER, b TEXT, c BLOB, d BLOB, e TEXT\n) STRICT",
                "INSERT INTO x VALUES (1, ';', x'00', x'', '')"
            ]
        );
        assert_eq!(
            Dialect::MySql.statements(step)[0],
            "CREATE TABLE x (\n  a BIGINT, b VARCHAR(9), c VARBINARY(3), d LONGBLOB, e LONGTEXT\n) \
             ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        );
    }
}
