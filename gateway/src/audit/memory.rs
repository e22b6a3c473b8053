//! An audit log in memory: what the contract of [`AuditLog`] means, for tests.

use super::{
    AuditLog, AuditRecord,
    chain::{self, Chained},
};
use crate::store::StoreFuture;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};
use switchyard_protocol::message::Time;

/// Keeps all records in memory, without a bound.
#[derive(Debug, Default)]
pub(crate) struct MemoryAuditLog {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    chain: Vec<Chained>,
    /// By journal, the position after the last that was taken.
    expected: HashMap<[u8; 16], u64>,
}

impl MemoryAuditLog {
    /// All records, in their order.
    pub(crate) fn records(&self) -> Vec<Chained> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.chain.clone()
    }
}

impl AuditLog for MemoryAuditLog {
    fn append_audit(
        &self,
        journal: [u8; 16],
        first_position: u64,
        records: Vec<AuditRecord>,
    ) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            let expected = kept.expected.get(&journal).copied().unwrap_or(0);
            for (record, position) in records.into_iter().zip(first_position..) {
                if position < expected {
                    continue;
                }
                let at = (journal, position);
                let before = kept.chain.last().map_or(chain::FIRST, |last| last.hash);
                let hash = chain::link(&before, at, &record);
                kept.chain.push(Chained { at, record, hash });
                kept.expected.insert(journal, position + 1);
            }
            Ok(())
        })
    }

    fn trim_audit(&self, before: Time, limit: u32) -> StoreFuture<'_, u32> {
        Box::pin(async move {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            let all_but_last = kept.chain.len().saturating_sub(1);
            let oldest = kept.chain.iter().take(all_but_last.min(limit as usize));
            let count = oldest.take_while(|it| it.record.time < before).count();
            kept.chain.drain(..count);
            Ok(count as u32)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{AuditWhat, record::tests::plain};

    #[tokio::test]
    async fn each_record_is_kept_once() {
        let log = MemoryAuditLog::default();
        let some = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| plain(AuditWhat::Asked, text))
                .collect()
        };
        let (one, two) = ([1; 16], [2; 16]);
        log.append_audit(one, 0, some(&["a", "b"])).await.unwrap();
        log.append_audit(one, 1, some(&["b", "c"])).await.unwrap();
        log.append_audit(two, 0, some(&["d"])).await.unwrap();
        log.append_audit(one, 0, some(&["a", "b", "c"]))
            .await
            .unwrap();
        log.append_audit(one, 9, some(&["e"])).await.unwrap();
        let records = log.records();
        let texts: Vec<_> = records.iter().map(|it| &*it.record.text).collect();
        assert_eq!(texts, ["a", "b", "c", "d", "e"]);
        assert_eq!(records[4].at, (one, 9));
        assert!(chain::verify(chain::FIRST, &records).is_ok());
    }
}
