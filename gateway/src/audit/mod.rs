//! The audit log: who asked for what, from where, when, and what became of it; each record bound to
//! the one before by a hash.
//!
//! Records come from the command journal, each with its position there, and are handed to an
//! [`AuditLog`] that keeps each of them once. [`chain`] makes and checks the hashes.

pub mod chain;
mod memory;
mod record;

pub use memory::MemoryAuditLog;
pub use record::{AuditRecord, AuditWhat, MalformedRecord};

use crate::store::StoreFuture;

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
}

impl<L: AuditLog + ?Sized> AuditLog for std::sync::Arc<L> {
    fn append_audit(
        &self,
        journal: [u8; 16],
        first_position: u64,
        records: Vec<AuditRecord>,
    ) -> StoreFuture<'_, ()> {
        (**self).append_audit(journal, first_position, records)
    }
}
