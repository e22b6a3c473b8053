//! What outlives a connection, behind two traits.
//!
//! [`ConfigStore`] holds what must survive a restart, [`StatusStore`] what is worth having while
//! the gateway runs. Both are async, fallible and, wrapped in [`Guarded`] with a [`TimeLimit`],
//! time-bounded: no caller waits longer than `store_timeout`, whatever lies underneath. SQL is
//! known only to `sql`, Redis only to `redis`. Secrets lie there sealed under the master key ([`Sealer`]).

mod alarms;
mod fleet;
mod guard;
mod memory;
mod redis;
mod seal;
mod sql;

pub use alarms::{
    ALARM_WISHES_MAX, AlarmChanges, AlarmCounts, AlarmFilter, AlarmNumbers, AlarmPulse, AlarmWish,
    AttemptFilter, BySeverity, COMMENT_BYTES_MAX, CONTACTS_MAX, NewContact, RULES_MAX,
    SCRIPT_ALARMS_MAX, ScriptAlarm, StoredContact, StoredPlan, StoredRule, WISHED_ALARMS_MAX,
    WishedAlarms,
};
pub use fleet::{
    AddedFirmware, AddedScript, CONTENTS_MAX, Content, FIRMWARES_MAX, Firmware, NOTE_BYTES_MAX,
    NewFirmware, NewRollout, NewScript, PARAMETERS_BYTES_MAX, ROLLOUT_ENTRIES_MAX, ROLLOUTS_MAX,
    RolloutId, SCRIPTS_MAX, ScriptVersion, Seen, Selection, StoredRollout, UPDATE_BYTES_MAX,
    UPDATES_MAX, VERSIONS_MAX, WISHES_MAX, Wish, WishId, select_all,
};
pub use guard::{Fault, Faults, Guard, Guarded, TimeLimit};
pub use memory::MemoryStatusStore;
pub use redis::{RedisSettings, RedisStatusStore};
pub use seal::{MASTER_KEY_BYTES, Sealer};
pub use sql::{Database, DumpError, DumpSummary, SchemaVersion, SqlConfigStore};
pub(crate) use sql::{Examined, examine_mysql, examine_sqlite};

use crate::{
    alarm::{
        model::{Alarm, AlarmId, Attempt, AttemptId, Note},
        people::ContactId,
        plan::{Override, Plan},
        rule::{Rule, RuleId},
    },
    audit::{
        AuditFilter, AuditLog, AuditRecord,
        chain::{Chained, Hash},
    },
    digest::Digest,
    fleet::{
        firmware::FirmwareName,
        plan::Label,
        rollout::{Changes, Control, Entry, ReleaseKind},
    },
    history::{Minute, Part, Recorded, SeriesId, StoredMinute, Swept},
    keys::{Keys, NextKey},
};
use std::{collections::BTreeSet, fmt, future::Future, pin::Pin, sync::Arc, time::Duration};
use switchyard_protocol::{
    Address, SiteId,
    message::{Time, Title},
};
use switchyard_relay::{Rights, StoreRequest, StoredCommand};

/// What every call of a store returns.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It took longer than it may.
    #[error("expected the store to answer within {limit:?} at {call}")]
    TimedOut {
        /// Which call.
        call: &'static str,
        /// How long it may take.
        limit: Duration,
    },
    /// Too many calls wait already.
    #[error("expected room in the store's queue")]
    Busy,
    /// The name is taken.
    #[error("expected a name that is free and found {0:?}")]
    Exists(String),
    /// The name has white space around it.
    #[error("expected a name without white space around it and found {0:?}")]
    Padded(String),
    /// What it is about is not there.
    #[error("expected a {what} that there is and found {name:?}")]
    Missing {
        /// What sort of thing.
        what: &'static str,
        /// Which.
        name: String,
    },
    /// Nobody would be left who may keep accounts: only the command line could mend that.
    #[error("expected another admin everywhere besides {0:?}: make one first")]
    LastAdmin(String),
    /// Something else needs it.
    #[error("expected {what} to be in use by nobody")]
    InUse {
        /// What is.
        what: &'static str,
    },
    /// A bound of what may be stored is reached.
    #[error("expected at most {max} {what}")]
    Full {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        max: u64,
    },
    /// It is longer than such a thing may be, or of more parts.
    #[error("expected a {what} of at most {max} bytes, got {bytes}")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// Its length.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// Two roll-outs of one kind would be at the same controller.
    #[error(
        "expected controllers that are in no other roll-out that goes on: {controller} is in roll-out {rollout}"
    )]
    Overlaps {
        /// The other one.
        rollout: RolloutId,
        /// One of the controllers that are in both.
        controller: Address,
    },
    /// The database was written by a later version of this program.
    #[error("expected a database of schema version {known} or older and found {found}")]
    TooNew {
        /// What this program knows.
        known: u32,
        /// What the database is.
        found: u32,
    },
    /// The database was written by an earlier version of this program, and is only to be read.
    #[error(
        "expected a database of schema version {known} and found {found}: `migrate` brings it up"
    )]
    TooOld {
        /// What this program knows.
        known: u32,
        /// What the database is.
        found: u32,
    },
    /// A stored value that this program cannot have written.
    #[error("expected a valid {what} in the store")]
    Corrupt {
        /// Which value.
        what: &'static str,
    },
    /// A secret that this master key did not seal.
    #[error("expected the master key under which the store's secrets were sealed")]
    Sealed,
    /// Whoever writes has lost the chore to somebody else.
    #[error("expected to be the owner of {0:?}, which somebody else is by now")]
    Fenced(String),
    /// The server undid the transaction for another's sake, again and again.
    #[error("expected the database to let the transaction through")]
    Undone,
    /// The store was not there, or went before it had done anything.
    #[error("expected the database to be there, and nothing was done")]
    NotDone,
    /// The store is gone, or was made to fail by a test.
    #[error("expected the store to be there: {0}")]
    Gone(&'static str),
    /// SQLite's own failure.
    #[error("the database failed")]
    Database(#[from] rusqlite::Error),
    /// MySQL's own failure, or that of the way there.
    #[error("the database failed")]
    MySql(#[from] mysql_async::Error),
    /// Redis's own failure, or that of the way there.
    #[error("Redis failed")]
    Redis(#[from] ::redis::RedisError),
}

/// Somebody who may log in.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// The name; unique.
    pub name: Title,
    /// What the account may do, and where.
    pub rights: Rights,
    /// The password's hash in PHC form. Secret.
    pub password_hash: String,
    /// What its second factor is computed from, where it has one. Secret; sealed at rest.
    pub totp: Option<Vec<u8>>,
    /// When it was made.
    pub created: Time,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Account({:?}, {:?})", self.name.as_str(), self.rights)
    }
}

/// The hash by which a token is stored and looked up; the token itself is never kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenHash(pub [u8; 32]);

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(***)")
    }
}

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// One log-in with a password, of a page or a tool. An account keeps only its 32 latest.
    Session = 0,
    /// Made by a person for a program, with a title. An account has 64 at most.
    Access = 1,
}

/// A token's number, by which people name it: nobody can log in with that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenId(pub u64);

/// A token to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// Its hash.
    pub hash: TokenHash,
    /// Whom it stands for.
    pub account: Title,
    /// What it is for.
    pub kind: TokenKind,
    /// What it was called by whoever made it; of a session: who logged in, such as a browser.
    pub title: String,
    /// When it ends.
    pub expires: Time,
}

/// A token as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenEntry {
    /// Its number.
    pub id: TokenId,
    /// What it is for.
    pub kind: TokenKind,
    /// What it is called.
    pub title: String,
    /// When it was made.
    pub created: Time,
    /// When it ends.
    pub expires: Time,
}

/// A log-in that holds: who it is, and what that account may do *now*.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The account's name.
    pub account: Title,
    /// The account's rights at this moment.
    pub rights: Rights,
    /// When the token ends.
    pub expires: Time,
}

/// A key by which an account comes in over SSH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshKey {
    /// SHA-256 of the key's blob (RFC 4253 §6.6), as OpenSSH shows it in base64.
    pub fingerprint: [u8; 32],
    /// Whose it is.
    pub account: Title,
    /// The comment behind the key.
    pub title: Title,
    /// The key as OpenSSH writes it: type, a space, base64.
    pub public_key: String,
    /// When it was added.
    pub created: Time,
}

/// A group of controllers, at which accounts have roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its number.
    pub id: SiteId,
    /// What people call it; unique.
    pub name: Title,
    /// What a fleet's files call it, where it was given such a name; unique.
    pub label: Option<Label>,
    /// When it was made.
    pub created: Time,
}

/// A controller to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewController {
    /// What people will call it.
    pub title: Title,
    /// Its key.
    pub key: ControllerKey,
    /// Where it belongs.
    pub site: Option<SiteId>,
}

/// What the gateway knows of a controller before it ever came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerEntry {
    /// Its address.
    pub address: Address,
    /// What people call it.
    pub title: Title,
    /// Where it belongs.
    pub site: Option<SiteId>,
    /// Words by which people find it, ascending.
    pub tags: Vec<Title>,
    /// When it was enrolled.
    pub enrolled: Time,
}

/// What is to be changed about a controller; `None` leaves it as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControllerEdit {
    /// What people call it.
    pub title: Option<Title>,
    /// Where it belongs; `Some(None)` takes it out of its site.
    pub site: Option<Option<SiteId>>,
    /// All its tags, 32 at most.
    pub tags: Option<Vec<Title>>,
}

/// Where a reader of changes stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision {
    /// Of the latest change that it has seen.
    pub number: u64,
    /// Several controllers may have changed at once: up to this one.
    pub address: u32,
}

/// A controller that was made, changed or withdrawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerChange {
    /// Where its reader stands after it.
    pub revision: Revision,
    /// Which.
    pub address: Address,
    /// What it is now; `None` when it is withdrawn.
    pub now: Option<(ControllerEntry, Keys)>,
}

/// A controller's 32-byte key. Secret; sealed at rest.
#[derive(Clone, Copy, Eq)]
pub struct ControllerKey(pub [u8; 32]);

/// In the same time wherever they differ.
impl PartialEq for ControllerKey {
    fn eq(&self, other: &Self) -> bool {
        let pairs = self.0.iter().zip(&other.0);
        std::hint::black_box(pairs.fold(0, |differing, (a, b)| differing | (a ^ b))) == 0
    }
}

impl fmt::Debug for ControllerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ControllerKey(***)")
    }
}

/// A number that rises with each new owner of a chore: a write that bears an old one is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FencingToken(pub u64);

macro_rules! store_trait {
    (
        $(#[$doc:meta])* $trait:ident {
            $($(#[$method_doc:meta])*
            fn $method:ident(&self $(, $argument:ident : $type:ty)*) -> $output:ty;)*
        }
    ) => {
        $(#[$doc])*
        pub trait $trait: Send + Sync + 'static {
            $($(#[$method_doc])*
            fn $method(&self $(, $argument: $type)*) -> StoreFuture<'_, $output>;)*
        }

        impl<S: $trait, G: Guard> $trait for Guarded<S, G> {
            $(fn $method(&self $(, $argument: $type)*) -> StoreFuture<'_, $output> {
                self.guard.around(stringify!($method), self.inner.$method($($argument),*))
            })*
        }

        impl<S: $trait + ?Sized> $trait for std::sync::Arc<S> {
            $(fn $method(&self $(, $argument: $type)*) -> StoreFuture<'_, $output> {
                (**self).$method($($argument),*)
            })*
        }
    };
}

store_trait! {
    /// Accounts, tokens, sites, controllers, addresses, waiting commands, numbers of events, and the
    /// fleet: committed when a call returns.
    ConfigStore {
        /// Adds an account; [`StoreError::Exists`] when the name is taken.
        fn add_account(&self, account: Account) -> ();
        /// Adds an account if there is none at all; whether it did.
        fn add_first_account(&self, account: Account) -> bool;
        /// The account of a name.
        fn account(&self, name: Title) -> Option<Account>;
        /// Every account, by name.
        fn accounts(&self) -> Vec<Account>;
        /// Changes what an account may do; false when there is none. Open sockets follow.
        fn set_rights(&self, name: Title, rights: Rights) -> bool;
        /// The same, unless it would leave nobody who is admin everywhere: [`StoreError::LastAdmin`].
        fn set_rights_but_of_last_admin(&self, name: Title, rights: Rights) -> bool;
        /// Changes an account's password hash and ends its log-ins; false when there is none.
        fn set_password(&self, name: Title, password_hash: String) -> bool;
        /// Gives an account a second factor, or takes it away; false when there is none.
        fn set_totp(&self, name: Title, secret: Option<Vec<u8>>) -> bool;
        /// Notes that a code of this step was used; false when it, or a later one, was before: a code
        /// that somebody looked over the shoulder at is of no use.
        fn use_totp_step(&self, name: Title, step: u64) -> bool;
        /// Removes an account and ends its log-ins; false when there was none.
        fn remove_account(&self, name: Title) -> bool;
        /// The same, unless it would leave nobody who is admin everywhere: [`StoreError::LastAdmin`].
        fn remove_account_but_last_admin(&self, name: Title) -> bool;

        /// Keeps a token. Those that ended by `now` are swept away, and an account keeps only its
        /// latest sessions.
        fn add_token(&self, token: NewToken, now: Time) -> ();
        /// Who a token stands for, if it holds at `now`.
        fn login(&self, token: TokenHash, now: Time) -> Option<Login>;
        /// The tokens of an account, the latest first.
        fn tokens(&self, account: Title) -> Vec<TokenEntry>;
        /// Ends a token; false when there was none.
        fn revoke_token(&self, token: TokenHash) -> bool;
        /// Ends an account's token by its number; false when it has none of that.
        fn revoke_token_by_id(&self, account: Title, id: TokenId) -> bool;
        /// Moves with every change of an account or token that may take a right away, also by
        /// another process: whoever sees it move looks its log-ins up again.
        fn access_revision(&self) -> u64;

        /// Adds a key for SSH; [`StoreError::Exists`] when somebody has it,
        /// [`StoreError::Missing`] without its account, [`StoreError::Full`] past 32.
        fn add_ssh_key(&self, key: SshKey) -> ();
        /// An account's keys for SSH, by their age.
        fn ssh_keys(&self, account: Title) -> Vec<SshKey>;
        /// Removes one; false when the account has none of this fingerprint.
        fn remove_ssh_key(&self, account: Title, fingerprint: [u8; 32]) -> bool;
        /// Who comes in by a key.
        fn ssh_login(&self, fingerprint: [u8; 32]) -> Option<(Title, Rights)>;

        /// Makes a site; [`StoreError::Exists`] when the name is taken, [`StoreError::Full`] when
        /// there would be more than `max`. A number is never given twice.
        fn add_site(&self, name: Title, max: u32, now: Time) -> SiteId;
        /// Every site, by number.
        fn sites(&self) -> Vec<Site>;
        /// Gives a site another name; false when there is none.
        fn rename_site(&self, site: SiteId, name: Title) -> bool;
        /// Sees to it that there is a site of this label and name, and tells its number: the one of that
        /// label gets that name; else the one of that name gets that label, if it has none; else one is made.
        /// [`StoreError::Exists`] when a site of another label has the name, [`StoreError::Full`] as above.
        fn put_site(&self, label: Label, name: Title, max: u32, now: Time) -> SiteId;
        /// Removes a site and all roles there; false when there was none, [`StoreError::InUse`]
        /// while controllers belong to it.
        fn remove_site(&self, site: SiteId) -> bool;

        /// Makes controllers; addresses ascend and are never given twice. [`StoreError::Full`] when
        /// there would be more than `max`, [`StoreError::Missing`] without their site.
        fn enrol(&self, controllers: Vec<NewController>, max: u32, now: Time) -> Vec<Address>;
        /// A controller and its keys; none when it is withdrawn.
        fn controller(&self, address: Address) -> Option<(ControllerEntry, Keys)>;
        /// At most `limit` controllers above `after`, by address, each with its keys.
        fn controllers(&self, after: Address, limit: u32) -> Vec<(ControllerEntry, Keys)>;
        /// Changes a controller; false when there is none. [`StoreError::Missing`] without its site.
        fn edit_controller(&self, address: Address, edit: ControllerEdit) -> bool;
        /// Gives a controller another key at once, in place of all that it has; false when there is none.
        fn set_controller_key(&self, address: Address, key: ControllerKey) -> bool;
        /// Begins to replace a controller's key: it has this one besides. Where that was begun before, the next key stays,
        /// since the controller may have it already, and the earlier time of the two counts. What is next from now
        /// on; none without such a controller.
        fn replace_controller_key(&self, address: Address, next: NextKey) -> Option<NextKey>;
        /// Ends that: a controller's next key, if it is this one, is now its only one. Whether it is.
        fn settle_controller_key(&self, address: Address, key: ControllerKey) -> bool;
        /// Withdraws a controller; false when there was none. Its address is never given again.
        fn revoke_controller(&self, address: Address, now: Time) -> bool;
        /// At most `limit` controllers that were made, changed or withdrawn after `after`, by their
        /// revision: how another process's changes become known.
        fn controller_changes(&self, after: Revision, limit: u32) -> Vec<ControllerChange>;
        /// Where a reader stands that knows all there is.
        fn controller_revision(&self) -> Revision;

        /// The lasting address of the tool installation with this hash, given at its first call.
        /// [`StoreError::Full`] when the account has `max` already.
        fn installation(&self, installation: TokenHash, account: Title, max: u32, now: Time) -> Address;
        /// Takes the next `count` leased addresses; returns the first. A block is never taken twice
        /// but after all 2^30 went round.
        fn lease_block(&self, count: u32) -> Address;

        /// Does one of the relay's writes. Those that were called in some order are committed in
        /// that order; each may be repeated without harm.
        fn write_command(&self, request: StoreRequest) -> ();
        /// Every kept command, by its order.
        fn stored_commands(&self) -> Vec<StoredCommand>;

        /// Keeps the number of the latest event of each of these controllers, in place of the one
        /// before, and with them what scripts said of alarms, each once: whoever has the number has the alarm, too.
        /// Those that were called in some order are committed in that order. [`StoreError::Full`] when too much of it
        /// waits for the owner of alarms.
        fn put_event_numbers(&self, numbers: Vec<(Address, u32)>, told: Vec<ScriptAlarm>) -> ();
        /// The number of the latest event of each controller that had one.
        fn event_numbers(&self) -> Vec<(Address, u32)>;

        /// Appends a journal's records to the audit log, as [`AuditLog`] has it.
        fn append_audit(&self, journal: [u8; 16], first_position: u64, records: Vec<AuditRecord>) -> ();
        /// At most `limit` audit records after a number, the oldest first, with the number of each.
        fn audit(&self, filter: AuditFilter, after: u64, limit: u32) -> Vec<(u64, Chained)>;
        /// What the oldest audit record follows: the number and hash of the last that was removed, or 0
        /// and [`FIRST`](crate::audit::chain::FIRST).
        fn audit_start(&self) -> (u64, Hash);
        /// Removes the oldest audit records, as [`AuditLog`] has it.
        fn trim_audit(&self, before: Time, limit: u32) -> u32;

        /// Keeps minutes of history; a part of one that is there already is replaced. Each may be repeated without
        /// harm.
        fn append_history(&self, minutes: Arc<Vec<Minute>>) -> ();
        /// The points of a controller of which there is history, by name; also of one that is withdrawn.
        fn recorded_points(&self, controller: Address) -> Vec<Recorded>;
        /// At most `limit` of a point's minutes from the first of `minutes` to before the second, in their order; only
        /// those behind `after`, where a page before ended there.
        fn history(&self, series: SeriesId, minutes: (u32, u32), after: Option<(u32, Part)>, limit: u32)
            -> Vec<StoredMinute>;
        /// Deletes at most about `limit` minutes that lie before one, of the points behind `after`, and points that
        /// have none left. [`StoreError::Fenced`] unless `token` is that of the owner of the chore
        /// [`CHORE`](crate::history::CHORE).
        fn sweep_history(&self, token: FencingToken, before: u32, after: Option<SeriesId>, limit: u32) -> Swept;

        /// Adds a version of a script, unless its newest one is the same. [`StoreError::TooLarge`] past the
        /// language's bound or that of notes, [`StoreError::Full`] past those of the library.
        fn add_script(&self, script: NewScript, now: Time) -> AddedScript;
        /// The newest version of at most `limit` scripts behind `after`, by label.
        fn scripts(&self, after: Option<Label>, limit: u32) -> Vec<ScriptVersion>;
        /// At most `limit` versions of a script below `before`, the newest first.
        fn script_versions(&self, label: Label, before: Option<u32>, limit: u32) -> Vec<ScriptVersion>;
        /// One version of a script, by default the newest, with its source.
        fn script(&self, label: Label, number: Option<u32>) -> Option<(ScriptVersion, String)>;
        /// The newest version there is of each of these contents, of whichever script.
        fn scripts_of(&self, digests: Vec<Digest>) -> Vec<ScriptVersion>;
        /// Removes a script with all its versions; false when there was none, [`StoreError::InUse`] while a
        /// roll-out that is kept is of one of them, or may have to bring one back.
        fn remove_script(&self, label: Label, now: Time) -> bool;

        /// Adds a firmware, unless it is there. [`StoreError::Exists`] when another one has its board and
        /// version, [`StoreError::TooLarge`] past the bound of notes, [`StoreError::Full`] past those of the library.
        fn add_firmware(&self, new: NewFirmware, now: Time) -> AddedFirmware;
        /// Every firmware, by board, the newest first: [`FIRMWARES_MAX`] at most.
        fn firmwares(&self) -> Vec<Firmware>;
        /// The firmware of a board and a version.
        fn firmware(&self, name: FirmwareName) -> Option<Firmware>;
        /// The newest firmware for a board.
        fn newest_firmware(&self, profile: Label) -> Option<Firmware>;
        /// The firmware of this content.
        fn firmware_of(&self, digest: Digest) -> Option<Firmware>;
        /// Removes a firmware; false when there was none, [`StoreError::InUse`] while a roll-out that is kept is of
        /// it, or may have to bring it back.
        fn remove_firmware(&self, name: FirmwareName, now: Time) -> bool;

        /// Keeps a content for a day at least, and for as long as the library or a roll-out refers to it.
        /// [`StoreError::Full`] past the library's bounds. May be repeated.
        fn put_content(&self, content: Content, now: Time) -> Digest;
        /// The content of a digest.
        fn content(&self, digest: Digest) -> Option<Content>;

        /// Keeps what these controllers said that they run, where nothing later is kept; of one that runs another
        /// script than it did, which parameters it had is forgotten. May be repeated.
        fn put_seen(&self, seen: Vec<Seen>) -> ();
        /// What at most `limit` controllers above `after` last said that they run of a kind, by address. Of
        /// those that are not there nothing is known.
        fn seen(&self, kind: ReleaseKind, after: Address, limit: u32) -> Vec<Seen>;

        /// At most `limit` enrolled controllers of a selection above `after`, by address, with their sites.
        fn selected(&self, selection: Arc<Selection>, after: Address, limit: u32)
            -> Vec<(Address, Option<SiteId>)>;

        /// Keeps a new roll-out whole. [`StoreError::Missing`] without its content, [`StoreError::Overlaps`]
        /// where one of its kind, or where either is of firmware, that has not ended or waits for its roll-back has one
        /// of its controllers,
        /// [`StoreError::Full`] when too many have not ended.
        fn create_rollout(&self, about: NewRollout, first: Arc<Changes>) -> RolloutId;
        /// Makes whoever bears `token` the owner of a roll-out: what an older one writes is refused from now
        /// on. [`StoreError::Fenced`] when there is a newer one already; `None` without such a roll-out.
        fn claim_rollout(&self, rollout: RolloutId, token: FencingToken) -> Option<StoredRollout>;
        /// Keeps what has changed of a roll-out, and has its wishes up to `granted` done with: all of it or
        /// nothing. [`StoreError::Fenced`] when the head's token is not the newest that has claimed it,
        /// [`StoreError::Missing`] without such a roll-out, or without a content to which an entry refers as
        /// saved, [`StoreError::Overlaps`] where one that had ended goes on again and another one of its kind
        /// has one of its controllers. May be repeated.
        fn save_rollout(&self, rollout: RolloutId, changes: Arc<Changes>, granted: Option<WishId>) -> ();
        /// A roll-out.
        fn rollout(&self, rollout: RolloutId) -> Option<StoredRollout>;
        /// At most `limit` roll-outs below `before`, the newest first; only those that have not ended, if
        /// `open` says so.
        fn rollouts(&self, open: bool, before: Option<RolloutId>, limit: u32) -> Vec<StoredRollout>;
        /// At most `limit` controllers of a roll-out behind the one of this position, in the list's order.
        fn rollout_entries(&self, rollout: RolloutId, after: Option<u32>, limit: u32) -> Vec<Entry>;
        /// Where those of a roll-out's controllers belong that are still enrolled, each site once; nothing where none
        /// is. One statement, over at most as many rows as it has controllers.
        fn rollout_sites(&self, rollout: RolloutId) -> Vec<Option<SiteId>>;
        /// Forgets a roll-out and what people want of it; false when there was none, [`StoreError::InUse`]
        /// before it has ended.
        fn remove_rollout(&self, rollout: RolloutId) -> bool;

        /// Notes what a person wants of a roll-out, for its owner to take. [`StoreError::Missing`] without
        /// such a roll-out, [`StoreError::Full`] past 16 that wait, [`StoreError::Overlaps`] of a roll-back of one
        /// that has ended where another one of its kind, that goes on or waits for that, has one of its controllers.
        fn add_wish(&self, rollout: RolloutId, control: Control, by: Title, now: Time) -> WishId;
        /// What people want, of one roll-out or of all, in the order in which it was asked for.
        fn wishes(&self, rollout: Option<RolloutId>) -> Vec<Wish>;

        /// Where everything stands that concerns alarms: one statement.
        fn alarm_pulse(&self) -> AlarmPulse;
        /// At most `limit` of what scripts said of alarms and no alarm is kept of yet, each with its place, in their
        /// order.
        fn script_alarms(&self, limit: u32) -> Vec<(u64, ScriptAlarm)>;
        /// Notes what a person wants of alarms, for their owner to take; its place. [`StoreError::Full`] when too
        /// many wait.
        fn add_alarm_wish(&self, wished: WishedAlarms) -> u64;
        /// At most `limit` wishes that wait, each with its place, in their order.
        fn alarm_wishes(&self, limit: u32) -> Vec<(u64, WishedAlarms)>;
        /// Whether a wish still waits.
        fn alarm_wish_waits(&self, place: u64) -> bool;
        /// Keeps what has changed of alarms, all of it or nothing; the revision that it has from now on.
        /// [`StoreError::Fenced`] unless `token` is that of the owner of the chore [`CHORE`](crate::alarm::CHORE).
        /// May be repeated.
        fn save_alarms(&self, token: FencingToken, changes: Arc<AlarmChanges>) -> u64;
        /// The highest numbers of alarms and attempts that were given.
        fn alarm_numbers(&self) -> AlarmNumbers;
        /// At most `limit` alarms of a choice below `before`, the newest first. One that cannot be read is passed over, as
        /// are attempts, wishes, what scripts said, rules and plans: it must not keep people from being told of the others.
        fn alarms(&self, filter: AlarmFilter, before: Option<AlarmId>, limit: u32) -> Vec<Alarm>;
        /// How many alarms are open at these sites; `None` for all, also those of none. One statement.
        fn alarm_counts(&self, sites: Option<BTreeSet<u32>>) -> AlarmCounts;
        /// An alarm.
        fn alarm(&self, id: AlarmId) -> Option<Alarm>;
        /// The latest of what is written about an alarm, at most `limit`, in its order.
        fn alarm_notes(&self, alarm: AlarmId, limit: u32) -> Vec<Note>;
        /// At most `limit` attempts of a choice below `before`, the newest first.
        fn alarm_attempts(&self, filter: AttemptFilter, before: Option<AttemptId>, limit: u32) -> Vec<Attempt>;
        /// Removes at most `limit` alarms that were over before a moment, with what is written about them, and attempts
        /// begun before it; how many alarms. [`StoreError::Fenced`] as above.
        fn trim_alarms(&self, token: FencingToken, before_ms: u64, limit: u32) -> u32;
        /// Every contact, by number.
        fn contacts(&self) -> Vec<StoredContact>;
        /// Keeps a contact. [`StoreError::Exists`] when another one has the name, [`StoreError::Missing`] without the one
        /// that is to be changed, [`StoreError::Full`] past 1,000.
        fn put_contact(&self, new: NewContact) -> ContactId;
        /// Removes a contact; false when there was none, [`StoreError::InUse`] while a plan names it.
        fn remove_contact(&self, id: ContactId) -> bool;
        /// Every rule, by number.
        fn alarm_rules(&self) -> Vec<StoredRule>;
        /// Keeps a rule. [`StoreError::Missing`] without the one that is to be changed, [`StoreError::Full`] past 1,000.
        fn put_alarm_rule(&self, id: Option<RuleId>, rule: Rule) -> RuleId;
        /// Removes a rule; false when there was none.
        fn remove_alarm_rule(&self, id: RuleId) -> bool;
        /// Every plan, by site.
        fn alarm_plans(&self) -> Vec<StoredPlan>;
        /// Keeps a site's plan, or with 0 that of all without one. [`StoreError::Missing`] without the site, or a
        /// contact that it names.
        fn put_alarm_plan(&self, site: u32, plan: Plan) -> ();
        /// Adds an exception to a site's plan, in place of those that are over; the plan then, `None` without one.
        /// [`StoreError::Full`] past 256, [`StoreError::Missing`] without its contact.
        fn add_alarm_override(&self, site: u32, exception: Override, now_ms: u64) -> Option<Plan>;
        /// Removes a plan; false when there was none.
        fn remove_alarm_plan(&self, site: u32) -> bool;

        /// Makes `holder` the owner of a chore for `ttl` from `now`, or keeps it that; `None` while
        /// somebody else is. The token rises with each new owner.
        fn acquire_lease(&self, name: Title, holder: [u8; 16], ttl: Duration, now: Time) -> Option<FencingToken>;
        /// Gives a chore up; false when its holder was not the owner.
        fn release_lease(&self, name: Title, holder: [u8; 16]) -> bool;
    }
}

// After the macro, which it uses.
mod status;
pub use status::{Generation, Keep, Lease, NodeId, Sample, StatusStore, StoredStatus};

/// A config store as the audit log that it holds.
pub(crate) struct AuditIn(pub(crate) Arc<dyn ConfigStore>);

impl AuditLog for AuditIn {
    fn append_audit(
        &self,
        journal: [u8; 16],
        first_position: u64,
        records: Vec<AuditRecord>,
    ) -> StoreFuture<'_, ()> {
        self.0.append_audit(journal, first_position, records)
    }

    fn trim_audit(&self, before: Time, limit: u32) -> StoreFuture<'_, u32> {
        self.0.trim_audit(before, limit)
    }
}
