//! The audit log: who asked for what, from where, when, and what became of it; each record bound to
//! the one before by a hash.
//!
//! Records come from the command journal, each with its position there, and are handed to an
//! [`AuditLog`] that keeps each of them once. [`chain`] makes and checks the hashes.

pub mod chain;
#[cfg(test)]
mod memory;
mod record;

#[cfg(test)]
pub(crate) use memory::MemoryAuditLog;
pub use record::{AuditRecord, AuditWhat, MalformedRecord};

use crate::store::StoreFuture;
use switchyard_protocol::{
    Address,
    message::{Time, Title},
};

/// Where audit records are kept for good.
pub trait AuditLog: Send + Sync + 'static {
    /// Appends records of a journal, the first of which has the position `first_position` there and the
    /// others those that follow it; all of them, or none. What it has of them already it skips: records
    /// at positions below the one after the last that it took of this journal. Positions may be left
    /// out, which a record [`AuditWhat::Lost`] tells of.
    fn append_audit(
        &self,
        journal: [u8; 16],
        first_position: u64,
        records: Vec<AuditRecord>,
    ) -> StoreFuture<'_, ()>;

    /// Removes the oldest records that were written before `before`, at most `limit` of them, and says
    /// how many; never the last one, which the next is bound to. The chain goes on from the hash of the
    /// last that was removed.
    fn trim_audit(&self, before: Time, limit: u32) -> StoreFuture<'_, u32>;
}

/// Which records somebody wants to see: those that all of these hold for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Of this account.
    pub account: Option<Title>,
    /// For this controller.
    pub target: Option<Address>,
    /// Written then or later.
    pub from: Option<Time>,
    /// Written before then.
    pub until: Option<Time>,
}
