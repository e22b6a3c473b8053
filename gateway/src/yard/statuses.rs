//! The fleet's status on its way to the status store.
//!
//! The yard's half, [`Statuses`], takes what has changed from the relay, a batch at a time, and never more than one is
//! under way: whatever happens meanwhile waits in the relay, where only the latest of each controller is. The other
//! half, [`Keeper`], is a task on the gateway's other threads. It brings batches to the store, holds the leases of the
//! controllers that are here, reads once what the store knew before this gateway started, and notices when the store
//! has lost what it had.

use super::{ToYard, YardHandle};
use crate::{
    store::{Generation, Lease, NodeId, StatusStore, StoreError, StoredStatus},
    telemetry::{Telemetry, count},
};
use bytes::Bytes;
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use switchyard_protocol::{Address, message::Time};
use switchyard_relay::{Live, Relay};
use tokio::{sync::mpsc, time::Instant};

/// Controllers in a batch: their frames take the yard a quarter of a millisecond, for which messages wait.
const BATCH_MAX: usize = 128;
/// A controller is not taken more often, however often it changes: this bounds what a busy fleet costs the yard and
/// the store. Whoever reads the store sees nothing older, while all is well.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// How long to wait after a failure. The way to the store has pauses of its own, which grow.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// How long a lease lasts after it was held: what a gateway that dies leaves its controllers marked as there for.
const LEASE_TERM: Duration = Duration::from_secs(30);
/// Two of these may fail before a lease ends.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(10);
/// How often the store is asked whether it still has what it had.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Controllers in one call about leases.
const LEASES_PER_CALL: usize = 1_024;
/// Statuses that are read at once, and that the yard takes at once.
const STATUSES_PER_PAGE: u32 = 128;

/// Controllers that have changed, each as it is; `None` for one that has been forgotten.
pub(super) type Batch = Vec<(Address, Option<Live>)>;

/// What the status store knew of a controller: since when it was away, and its last full status.
pub(super) type Known = (Address, Time, Bytes);

/// The yard's half.
pub(super) struct Statuses {
    batches: mpsc::Sender<Batch>,
    /// Controllers in the batch that is at the store; 0 while none is.
    under_way: usize,
    /// What is left of the present sweep, which takes each controller once.
    left: usize,
    /// When the next sweep may begin.
    next_sweep: Duration,
    /// Nothing is tried before, since the last try has failed.
    retry_at: Duration,
}

/// How a batch fared.
pub(super) struct Stored {
    /// What is to be put again.
    pub(super) failed: Vec<Address>,
    /// The store has failed, and is to be left alone for a moment.
    pub(super) is_failing: bool,
}

impl Statuses {
    /// With a channel for one batch.
    pub(super) fn new(batches: mpsc::Sender<Batch>) -> Self {
        Statuses {
            batches,
            under_way: 0,
            left: 0,
            next_sweep: Duration::ZERO,
            retry_at: Duration::ZERO,
        }
    }

    /// When there is something to do.
    pub(super) fn next_moment(&self, relay: &Relay) -> Option<Duration> {
        let waits = self.under_way == 0 && relay.changed() > 0;
        waits.then(|| self.next_batch_at())
    }

    /// How many are at the store, which has not answered.
    pub(super) fn under_way(&self) -> usize {
        self.under_way
    }

    fn next_batch_at(&self) -> Duration {
        match self.left {
            0 => self.next_sweep.max(self.retry_at),
            _ => self.retry_at,
        }
    }

    /// Has the next batch brought to the store, if it is time; whether there will be an answer. In a `hurry`, at the
    /// gateway's end, only a failure keeps it waiting.
    pub(super) fn store(&mut self, now: Duration, relay: &mut Relay, hurry: bool) -> bool {
        let due = if hurry {
            self.retry_at
        } else {
            self.next_batch_at()
        };
        if self.under_way > 0 || now < due || relay.changed() == 0 {
            return false;
        }
        if self.left == 0 {
            self.left = relay.changed();
            self.next_sweep = now + SWEEP_INTERVAL;
        }
        let batch = relay.take_changed(BATCH_MAX.min(self.left));
        self.left -= batch.len().min(self.left);
        // There is room, since the one before has been answered; a keeper that is gone has been told of.
        let count = batch.len();
        if self.batches.try_send(batch).is_ok() {
            self.under_way = count;
        }
        self.under_way > 0
    }

    /// A batch has been answered.
    pub(super) fn stored(&mut self, now: Duration, relay: &mut Relay, stored: Stored) {
        self.under_way = 0;
        if stored.is_failing {
            self.retry_at = now + RETRY_PAUSE;
        }
        for controller in stored.failed {
            relay.change_again(controller);
        }
    }
}

/// The task's half.
pub(super) struct Keeper {
    store: Arc<dyn StatusStore>,
    node: NodeId,
    telemetry: Arc<Telemetry>,
    yard: YardHandle,
    /// The controllers that are here, with their sessions: since when, which a later one has a higher number of.
    held: HashMap<Address, u64>,
    order: Order,
    /// The store's content when it was looked at last.
    generation: Option<Generation>,
    renew_at: Instant,
    /// Those that another gateway had a later session of.
    fenced: HashSet<Address>,
    /// How each duty fared when it was last done.
    fared: [Option<bool>; 2],
    /// What the store knew before this gateway started has been read up to here; `None` when to its end.
    restored_up_to: Option<Address>,
}

/// What the keeper does at the store.
#[derive(Clone, Copy)]
enum Duty {
    Put = 0,
    Look = 1,
}

/// Numbers that ascend over all gateways that share a store, as far as their clocks agree; a number that is higher
/// than ours is remembered, so that a clock that was set back hides nothing.
struct Order(u64);

impl Order {
    fn next(&mut self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = since.unwrap_or_default().as_micros() as u64;
        self.0 = now.max(self.0.saturating_add(1));
        self.0
    }

    fn observe(&mut self, order: u64) {
        // Beyond what a script of Redis's can compare, which no gateway has written.
        if order < 1 << 53 {
            self.0 = self.0.max(order);
        }
    }
}

impl Keeper {
    pub(super) fn new(
        store: Arc<dyn StatusStore>,
        node: NodeId,
        telemetry: Arc<Telemetry>,
        yard: YardHandle,
    ) -> Self {
        Keeper {
            store,
            node,
            telemetry,
            yard,
            held: HashMap::new(),
            order: Order(0),
            generation: None,
            renew_at: Instant::now(),
            fenced: HashSet::new(),
            fared: [None; 2],
            restored_up_to: Some(Address::GATEWAY),
        }
    }

    /// Works until the yard is gone.
    pub(super) async fn keep(mut self, mut batches: mpsc::Receiver<Batch>) {
        let mut look_at = Instant::now();
        loop {
            tokio::select! {
                biased;
                batch = batches.recv() => match batch {
                    Some(batch) => self.put(batch).await,
                    None => return,
                },
                () = tokio::time::sleep_until(look_at) => {
                    let looked = self.look().await;
                    self.judge(Duty::Look, &looked);
                    look_at = Instant::now() + LOOK_INTERVAL;
                }
            }
        }
    }

    /// Counts how a duty fared, and whether the store is up: that is so when both last fared well. The log has a line
    /// when that changes; a store that is full still answers what is asked, and is not told of twice a second.
    fn judge(&mut self, duty: Duty, outcome: &Result<(), StoreError>) {
        let before = self.is_up();
        self.fared[duty as usize] = Some(outcome.is_ok());
        let is_up = self.is_up();
        let gauge = &self.telemetry.status_store_up;
        gauge.store(u64::from(is_up == Some(true)), Ordering::Relaxed);
        if let Err(error) = outcome {
            count(&self.telemetry.store_failures);
            count(&self.telemetry.status_store_failures);
            let error = error as &dyn std::error::Error;
            if before == Some(false) {
                tracing::debug!(error, "the status store still fails");
            } else {
                tracing::warn!(
                    error,
                    "the status store fails; the latest of each controller waits for it"
                );
            }
        } else if is_up == Some(true) && before != is_up {
            tracing::info!("the status store answers");
        }
    }

    /// Whether the store was up when it was last called; `None` before that.
    fn is_up(&self) -> Option<bool> {
        let fared = self.fared.iter().flatten();
        fared.copied().reduce(|one, other| one && other)
    }

    /// Brings a batch to the store, and tells the yard how that went.
    async fn put(&mut self, batch: Batch) {
        let controllers: Vec<_> = batch.iter().map(|(controller, _)| *controller).collect();
        let count = controllers.len() as u64;
        let (outcome, failed) = match self.bring(batch).await {
            Ok(outranked) => (Ok(()), outranked),
            Err(error) => (Err(error), controllers),
        };
        self.judge(Duty::Put, &outcome);
        let stored = Stored {
            is_failing: outcome.is_err(),
            failed,
        };
        let done = count - stored.failed.len() as u64;
        let counter = &self.telemetry.statuses_stored;
        counter.fetch_add(done, Ordering::Relaxed);
        self.yard.tell(ToYard::StatusesStored(stored)).await;
    }

    /// Does so; gives those that are to be put again, with a higher order.
    async fn bring(&mut self, batch: Batch) -> Result<Vec<Address>, StoreError> {
        let (mut here, mut away, mut gone, mut statuses) = (vec![], vec![], vec![], vec![]);
        for (controller, live) in batch {
            let Some(live) = live else {
                gone.push(controller);
                continue;
            };
            match live.online {
                true => here.push((controller, live.since.0)),
                false => away.push(controller),
            }
            let status = StoredStatus {
                order: self.order.next(),
                online: live.online,
                since: live.since,
                frame: live.frame.map(Bytes::from_owner).unwrap_or_default(),
            };
            statuses.push((controller, status));
        }
        if !gone.is_empty() {
            for controller in &gone {
                self.held.remove(controller);
                self.fenced.remove(controller);
            }
            self.store.forget_controllers(gone).await?;
        }
        let mut elsewhere = Vec::new();
        here.retain(|(controller, session)| {
            self.held.get(controller) != Some(session) || self.fenced.contains(controller)
        });
        if !here.is_empty() {
            elsewhere = self.store.hold(self.node, here.clone(), LEASE_TERM).await?;
            for (controller, session) in here {
                self.held.insert(controller, session);
                self.fenced.remove(&controller);
            }
            // They are tried again with every renewal.
            let controllers = elsewhere.iter().map(|(controller, _)| *controller);
            self.fenced.extend(controllers);
        }
        if !away.is_empty() {
            for controller in &away {
                self.held.remove(controller);
                self.fenced.remove(controller);
            }
            elsewhere.extend(self.store.release(self.node, away).await?);
        }
        // What another gateway has, it knows better.
        self.count_fenced(&elsewhere);
        for (controller, _) in elsewhere {
            statuses.retain(|(it, _)| *it != controller);
        }
        let outranked = self.store.put_statuses(statuses).await?;
        let again = outranked.into_iter().map(|(controller, order)| {
            self.order.observe(order);
            controller
        });
        Ok(again.collect())
    }

    /// Another gateway has these controllers.
    fn count_fenced(&self, leases: &[(Address, Lease)]) {
        let counter = &self.telemetry.leases_fenced;
        counter.fetch_add(leases.len() as u64, Ordering::Relaxed);
        for (controller, lease) in leases {
            tracing::debug!(%controller, node = %lease.node, "another gateway has a controller");
        }
    }

    /// Sees to the store: whether it has what it had, what it knew, who is here.
    async fn look(&mut self) -> Result<(), StoreError> {
        let generation = self.store.generation().await?;
        let before = self.generation.replace(generation);
        if before.is_some_and(|before| before != generation) {
            tracing::warn!("the status store may have lost what it had: all of it is put again");
            count(&self.telemetry.status_store_losses);
            self.renew_at = Instant::now();
            self.yard.tell(ToYard::StatusesWanted(None)).await;
        }
        // First: who is here must not seem away because there is much to read.
        if self.renew_at <= Instant::now() {
            self.renew().await?;
            self.renew_at = Instant::now() + RENEWAL_INTERVAL;
        }
        while let Some(after) = self.restored_up_to {
            self.restored_up_to = self.restore(after).await?;
        }
        Ok(())
    }

    /// Holds all leases for another term.
    async fn renew(&mut self) -> Result<(), StoreError> {
        let mut still = HashSet::new();
        let held: Vec<_> = self
            .held
            .iter()
            .map(|(&it, &session)| (it, session))
            .collect();
        let mut failure = None;
        for held in held.chunks(LEASES_PER_CALL) {
            let sessions = held.to_vec();
            let elsewhere = match self.store.hold(self.node, sessions, LEASE_TERM).await {
                Ok(elsewhere) => elsewhere,
                // The others may go on all the same.
                Err(error) => {
                    failure.get_or_insert(error);
                    continue;
                }
            };
            self.count_fenced(&elsewhere);
            still.extend(elsewhere.into_iter().map(|(controller, _)| controller));
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        // Those whose other session has ended are ours alone now, and so is what there is to say of them.
        let fenced = std::mem::replace(&mut self.fenced, still);
        let ours: Vec<_> = fenced.difference(&self.fenced).copied().collect();
        if !ours.is_empty() {
            self.yard.tell(ToYard::StatusesWanted(Some(ours))).await;
        }
        Ok(())
    }

    /// Reads what the store knew of the controllers above one, and tells the yard; up to where it is known then.
    async fn restore(&mut self, after: Address) -> Result<Option<Address>, StoreError> {
        let page = self.store.statuses(after, STATUSES_PER_PAGE).await?;
        let last = page.last().map(|(last, _)| *last);
        let known = page.into_iter().map(|(controller, status)| {
            self.order.observe(status.order);
            // One that was there went when this gateway did, which it does not know.
            let since = if status.online { Time(0) } else { status.since };
            (controller, since, status.frame)
        });
        let known: Vec<Known> = known.collect();
        if last.is_some() {
            self.yard.tell(ToYard::Restored(known)).await;
        }
        Ok(last)
    }
}
