//! What outlives a connection, behind two traits.
//!
//! [`ConfigStore`] holds what must survive a restart, [`StatusStore`] what is worth having while
//! the gateway runs. Both are async, fallible and, wrapped in [`Guarded`] with a [`TimeLimit`],
//! time-bounded: no caller waits longer than `store_timeout`, whatever lies underneath. SQL is
//! known only to `sqlite`. A controller's key is stored as it is; sealing it is a later step, and
//! `docs/operating.md` says so.

mod examine;
mod guard;
mod memory;
mod schema;
mod sqlite;

pub(crate) use examine::{Examined, examine_sqlite};
pub use guard::{Fault, Faults, Guard, Guarded, TimeLimit};
pub use memory::MemoryStatusStore;
pub use sqlite::SqliteConfigStore;

use bytes::Bytes;
use std::{fmt, future::Future, pin::Pin};
use switchyard_protocol::{
    Address, Role,
    message::{Time, Title},
};
use switchyard_relay::{StoreRequest, StoredCommand};

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
        limit: std::time::Duration,
    },
    /// Too many calls wait already.
    #[error("expected room in the store's queue")]
    Busy,
    /// The name is taken.
    #[error("expected a name that is free and found {0:?}")]
    Exists(String),
    /// A bound of what may be stored is reached.
    #[error("expected at most {max} {what}")]
    Full {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        max: u64,
    },
    /// The database was written by a later version of this program.
    #[error("expected a database of schema version {known} or older and found {found}")]
    TooNew {
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
    /// The store is gone, or was made to fail by a test.
    #[error("expected the store to be there: {0}")]
    Gone(&'static str),
    /// The database's own failure.
    #[error("the database failed")]
    Database(#[from] rusqlite::Error),
}

/// Somebody who may log in.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// The name; unique.
    pub name: Title,
    /// What the account may do.
    pub role: Role,
    /// The password's hash in PHC form. Secret.
    pub password_hash: String,
    /// When it was made.
    pub created: Time,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Account({:?}, {})", self.name.as_str(), self.role.name())
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

/// A log-in that holds: who it is, and what that account may do *now*.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The account's name.
    pub account: Title,
    /// The account's role at this moment.
    pub role: Role,
    /// When the token ends.
    pub expires: Time,
}

/// What the gateway knows of a controller before it ever came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerEntry {
    /// Its address.
    pub address: Address,
    /// What people call it.
    pub title: Title,
    /// When it was enrolled.
    pub enrolled: Time,
}

/// A controller's 32-byte key. Secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ControllerKey(pub [u8; 32]);

impl fmt::Debug for ControllerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ControllerKey(***)")
    }
}

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
    /// Accounts, tokens, controllers, addresses, waiting commands and numbers of events: committed
    /// when a call returns.
    ConfigStore {
        /// Adds an account; [`StoreError::Exists`] when the name is taken.
        fn add_account(&self, account: Account) -> ();
        /// The account of a name.
        fn account(&self, name: Title) -> Option<Account>;
        /// Every account, by name.
        fn accounts(&self) -> Vec<Account>;
        /// Changes an account's role; false when there is none. Open sockets follow.
        fn set_role(&self, name: Title, role: Role) -> bool;
        /// Changes an account's password hash and ends its log-ins; false when there is none.
        fn set_password(&self, name: Title, password_hash: String) -> bool;
        /// Removes an account and ends its log-ins; false when there was none.
        fn remove_account(&self, name: Title) -> bool;

        /// Keeps a log-in. Those that ended by `now` are swept away, and an account keeps only its
        /// 32 latest.
        fn add_token(&self, token: TokenHash, account: Title, expires: Time, now: Time) -> ();
        /// Who a token stands for, if it holds at `now`.
        fn login(&self, token: TokenHash, now: Time) -> Option<Login>;
        /// Ends a log-in; false when there was none.
        fn revoke_token(&self, token: TokenHash) -> bool;
        /// Moves with every change of an account or token that may take a right away, also by
        /// another process: whoever sees it move looks its log-ins up again.
        fn access_revision(&self) -> u64;

        /// Makes a controller for each title, with the key beside it; addresses ascend and are
        /// never given twice. [`StoreError::Full`] when there would be more than `max`. A controller
        /// that is there stays, and so does its key: the gateway holds both in memory.
        fn enrol(&self, controllers: Vec<(Title, ControllerKey)>, max: u32, now: Time) -> Vec<Address>;
        /// A controller and its key.
        fn controller(&self, address: Address) -> Option<(ControllerEntry, ControllerKey)>;
        /// At most `limit` controllers above `after`, by address, each with its key.
        fn controllers(&self, after: Address, limit: u32) -> Vec<(ControllerEntry, ControllerKey)>;

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
        /// before. Those that were called in some order are committed in that order.
        fn put_event_numbers(&self, numbers: Vec<(Address, u32)>) -> ();
        /// The number of the latest event of each controller that had one.
        fn event_numbers(&self) -> Vec<(Address, u32)>;
    }
}

store_trait! {
    /// The latest of every controller, for whoever comes later.
    StatusStore {
        /// Keeps what is known of a controller; only a later `order` replaces an earlier one.
        fn put_status(&self, controller: Address, status: StoredStatus) -> ();
        /// What is known of a controller.
        fn status(&self, controller: Address) -> Option<StoredStatus>;
        /// What is known of every controller above `after`, at most `limit`.
        fn statuses(&self, after: Address, limit: u32) -> Vec<(Address, StoredStatus)>;
        /// Forgets a controller.
        fn forget_status(&self, controller: Address) -> ();
    }
}

/// Presence and status of one controller as frames, so that a store need not understand them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredStatus {
    /// Moves with every change; the gateway's own count.
    pub order: u64,
    /// Whether it is there.
    pub online: bool,
    /// Since when.
    pub since: Time,
    /// The latest full status, one frame a page; empty before the first.
    pub pages: Vec<Bytes>,
}
