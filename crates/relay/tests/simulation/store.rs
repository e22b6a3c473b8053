//! The simulated config store: late, failing, and surviving the gateway with exactly what was
//! committed.

use std::collections::{BTreeMap, VecDeque};
use switchyard_protocol::message::Key;
use switchyard_relay::{StoreRequest, StoredCommand};

/// What is committed, and what is on its way to be.
#[derive(Default)]
pub(crate) struct Store {
    rows: BTreeMap<Key, StoredCommand>,
    /// In the order given; `false` is a write that will fail.
    pending: VecDeque<(StoreRequest, bool)>,
    /// When the last of them is applied.
    pub(crate) busy_until: u64,
    /// Until when every write fails.
    pub(crate) down_until: u64,
}

impl Store {
    pub(crate) fn begin(&mut self, request: StoreRequest, succeeds: bool) {
        self.pending.push_back((request, succeeds));
    }

    /// Applies the oldest write.
    pub(crate) fn apply(&mut self) {
        let Some((request, true)) = self.pending.pop_front() else {
            return;
        };
        match request {
            StoreRequest::Queue(command) => {
                self.rows.entry(command.key).or_insert(command);
            }
            StoreRequest::MarkSent { key, boot } => {
                if let Some(row) = self.rows.get_mut(&key) {
                    row.sent = Some(boot);
                }
            }
            StoreRequest::Forget { key } => {
                self.rows.remove(&key);
            }
        }
    }

    /// The gateway dies: some of the writes on their way, always the older ones, still arrive.
    pub(crate) fn gateway_died(&mut self, mut arrives: impl FnMut() -> bool) {
        while !self.pending.is_empty() && arrives() {
            self.apply();
        }
        self.pending.clear();
        self.busy_until = 0;
    }

    /// What a starting gateway reads.
    pub(crate) fn commands(&self) -> Vec<StoredCommand> {
        let mut commands: Vec<_> = self.rows.values().cloned().collect();
        commands.sort_by_key(|command| command.order);
        commands
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }
}
