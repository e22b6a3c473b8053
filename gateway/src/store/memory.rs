//! The status store within the process: the embedded default, empty after a restart, when every
//! controller that comes back sends its full status anyway.

use super::{StatusStore, StoreFuture, StoredStatus};
use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Mutex, MutexGuard, PoisonError},
};
use switchyard_protocol::Address;

/// Statuses in a map; bounded by the number of enrolled controllers.
#[derive(Debug, Default)]
pub struct MemoryStatusStore {
    statuses: Mutex<BTreeMap<Address, StoredStatus>>,
}

impl MemoryStatusStore {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Address, StoredStatus>> {
        // Every change is one insertion or removal: a panic elsewhere leaves the map whole.
        self.statuses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ready<'a, T: Send + 'a>(value: T) -> StoreFuture<'a, T> {
    Box::pin(std::future::ready(Ok(value)))
}

impl StatusStore for MemoryStatusStore {
    fn put_status(&self, controller: Address, status: StoredStatus) -> StoreFuture<'_, ()> {
        let mut statuses = self.lock();
        let known = statuses.get(&controller);
        if known.is_none_or(|known| known.order < status.order) {
            statuses.insert(controller, status);
        }
        ready(())
    }

    fn status(&self, controller: Address) -> StoreFuture<'_, Option<StoredStatus>> {
        ready(self.lock().get(&controller).cloned())
    }

    fn statuses(
        &self,
        after: Address,
        limit: u32,
    ) -> StoreFuture<'_, Vec<(Address, StoredStatus)>> {
        let statuses = self.lock();
        let above = statuses.range((Bound::Excluded(after), Bound::Unbounded));
        let found = above.take(limit as usize);
        ready(
            found
                .map(|(&address, status)| (address, status.clone()))
                .collect(),
        )
    }

    fn forget_status(&self, controller: Address) -> StoreFuture<'_, ()> {
        self.lock().remove(&controller);
        ready(())
    }
}
