//! What brings roll-outs about: the driver of the pure machine in [`rollout`](crate::fleet::rollout).
//!
//! One gateway at a time is the *owner* of all roll-outs: they are its [`Chore`], which it has while there is
//! anything to do. Whoever has it next claims each roll-out under a higher token, and goes on from what was
//! stored (`docs/adr/0026`).
//!
//! - `runner`: one roll-out under way: told, asked, stored, and only then acted upon.
//! - `hands`: what is done at controllers.
//! - `observer`: which of them are there.
//!
//! People's wishes come by the store, for whoever wants something may be at another process; those of this
//! one ring a bell beside ([`Bell`]).

mod hands;
mod observer;
mod runner;

use crate::{
    bell::Bell,
    chore::{Chore, Renewal},
    fleet::rollout::Phase,
    inside::Insides,
    store::{ConfigStore, RolloutId, StoreError, Wish, WishId},
    telemetry::{Telemetry, count},
};
use hands::Hands;
use runner::{End, Shared};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{
    sync::mpsc,
    task::{Id, JoinSet},
    time::{Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;

/// The chore whose owner brings roll-outs about.
pub const CHORE: &str = "roll-outs";
/// How often it is looked what people want.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long a look may take: renewals wait behind it.
const LOOK_TIMEOUT: Duration = Duration::from_secs(3);
/// Of those looks, each so many-th is for roll-outs that another process began, too.
const LOOKS_PER_LIST: u32 = 3;
/// Roll-outs under way at once; others wait, the oldest first. Each holds its controllers in memory, a few
/// hundred bytes for each of 100,000 at most.
pub(crate) const UNDER_WAY_MAX: usize = 8;
/// Further ones, of which somebody wants something: one that waits, or has ended.
const WISHED_MAX: usize = 8;
/// Wishes that wait for one roll-out: as many as the store keeps.
const WISHES_MAX: usize = crate::store::WISHES_MAX as usize;
/// Roll-outs read from the store at once when looking for those that have not ended.
const ROLLOUTS_PER_PAGE: u32 = 100;
/// How long one is left alone that somebody else has claimed.
const LOST_PAUSE: Duration = Duration::from_secs(5);
/// How long one is left alone that cannot be gone on with: less than a trial takes, which ends by itself as if all
/// was well.
const BROKEN_PAUSE: Duration = Duration::from_secs(60);

/// See the module.
pub(crate) struct Executor {
    shared: Arc<Shared>,
    bell: Bell,
}

impl Executor {
    /// Does nothing until it runs.
    pub(crate) fn new(
        store: Arc<dyn ConfigStore>,
        insides: Arc<Insides>,
        telemetry: Arc<Telemetry>,
        bell: Bell,
        stopping: CancellationToken,
    ) -> Self {
        let hands = Hands::new(
            Arc::clone(&store),
            Arc::clone(&insides),
            Arc::clone(&telemetry),
        );
        Executor {
            shared: Arc::new(Shared {
                store,
                insides,
                telemetry,
                hands,
                stopping,
            }),
            bell,
        }
    }

    /// Brings roll-outs about whenever that is this gateway's chore, until it stops.
    pub(crate) async fn run(self) {
        let shared = &self.shared;
        let mut complained = false;
        loop {
            let acquired = tokio::select! {
                () = shared.stopping.cancelled() => return,
                acquired = self.acquire_if_needed() => acquired,
            };
            match acquired {
                Ok(Some(chore)) => {
                    complained = false;
                    Owner::new(&self, chore).run().await;
                }
                Ok(None) => complained = false,
                Err(error) => {
                    count(&shared.telemetry.store_failures);
                    let error = &error as &dyn std::error::Error;
                    if std::mem::replace(&mut complained, true) {
                        tracing::debug!(error, "the store still does not tell of roll-outs");
                    } else {
                        tracing::warn!(error, "the store does not tell of roll-outs");
                    }
                }
            }
            tokio::select! {
                () = shared.stopping.cancelled() => return,
                () = self.bell.rung() => {}
                () = tokio::time::sleep(LOOK_INTERVAL * LOOKS_PER_LIST) => {}
            }
        }
    }

    /// Becomes the owner, if there is anything to own and nobody is.
    async fn acquire_if_needed(&self) -> Result<Option<Chore>, StoreError> {
        let store = &self.shared.store;
        let is_needed = !store.rollouts(true, None, 1).await?.is_empty()
            || !store.wishes(None).await?.is_empty();
        if !is_needed {
            return Ok(None);
        }
        // A holder of its own each time: what an earlier one of this very process had begun is then
        // refused as anybody's.
        Chore::acquire(store, CHORE, rand::random()).await
    }
}

/// A roll-out in this process's hands.
struct InHand {
    wishes: mpsc::Sender<Wish>,
    /// The last one that it was given.
    told: Option<WishId>,
}

/// The owner, for as long as it is that.
struct Owner<'a> {
    executor: &'a Executor,
    chore: Chore,
    running: JoinSet<(RolloutId, End)>,
    names: HashMap<Id, RolloutId>,
    in_hand: BTreeMap<RolloutId, InHand>,
    /// Not to be taken up before that moment of gateway time, but for a wish; never with `None`.
    resting: BTreeMap<RolloutId, Option<u64>>,
    /// Left alone until then.
    broken: BTreeMap<RolloutId, Instant>,
    /// Those that have not ended, as far as is known, with their phases.
    open: BTreeMap<RolloutId, Phase>,
}

impl<'a> Owner<'a> {
    fn new(executor: &'a Executor, chore: Chore) -> Self {
        Owner {
            executor,
            chore,
            running: JoinSet::new(),
            names: HashMap::new(),
            in_hand: BTreeMap::new(),
            resting: BTreeMap::new(),
            broken: BTreeMap::new(),
            open: BTreeMap::new(),
        }
    }

    fn shared(&self) -> &'a Arc<Shared> {
        &self.executor.shared
    }

    /// Goes on until there is nothing left to do, or this is not the owner any more.
    async fn run(mut self) {
        tracing::info!(
            token = self.chore.token().0,
            "roll-outs are this gateway's chore now"
        );
        let telemetry = &self.shared().telemetry;
        telemetry.rollouts_owned.store(1, Ordering::Relaxed);
        let is_over = self.own().await;
        // Whatever is under way stops at once, and only then somebody else may begin.
        self.chore.end();
        while self.running.join_next().await.is_some() {}
        telemetry.rollouts_owned.store(0, Ordering::Relaxed);
        self.in_hand.clear();
        // They are somebody else's to tell of.
        self.open.clear();
        self.tell_counts();
        if is_over {
            tracing::warn!(
                token = self.chore.token().0,
                "roll-outs are not this gateway's chore any more: the lease was not renewed"
            );
            return;
        }
        self.chore.release().await;
    }

    /// Whether the lease was lost.
    async fn own(&mut self) -> bool {
        let (shared, bell) = (self.shared(), &self.executor.bell);
        let mut renewals = Chore::renewals();
        let mut looks = tokio::time::interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let tenure = self.chore.tenure();
        let mut number = 0_u32;
        loop {
            tokio::select! {
                biased;
                () = shared.stopping.cancelled() => return false,
                () = tenure.over() => return true,
                _ = renewals.tick() => if !self.renew().await {
                    return true;
                },
                Some(ended) = self.running.join_next_with_id() => self.ended(ended),
                () = bell.rung() => {
                    if self.look(true).await {
                        return false;
                    }
                }
                _ = looks.tick() => {
                    let lists = number.is_multiple_of(LOOKS_PER_LIST);
                    number = number.wrapping_add(1);
                    if self.look(lists).await {
                        return false;
                    }
                }
            }
        }
    }

    /// Whether this is still the owner, as far as is known.
    async fn renew(&self) -> bool {
        match self.chore.renew().await {
            Renewal::Renewed => true,
            Renewal::Lost => false,
            Renewal::Unanswered => {
                let telemetry = &self.shared().telemetry;
                count(&telemetry.store_failures);
                count(&telemetry.rollout_store_failures);
                true
            }
        }
    }

    /// Looks what people want, and with `lists` for roll-outs to take up. Whether there is nothing to do.
    async fn look(&mut self, lists: bool) -> bool {
        let telemetry = &self.shared().telemetry;
        match tokio::time::timeout(LOOK_TIMEOUT, self.try_look(lists)).await {
            Ok(Ok(is_done)) => return is_done,
            Ok(Err(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(error, "the store does not tell of roll-outs");
            }
            Err(_) => tracing::debug!("the store does not tell of roll-outs in time"),
        }
        count(&telemetry.store_failures);
        false
    }

    async fn try_look(&mut self, lists: bool) -> Result<bool, StoreError> {
        let store = &self.shared().store;
        let wishes = store.wishes(None).await?;
        if lists {
            let mut open = BTreeMap::new();
            let mut before = None;
            loop {
                let page = store.rollouts(true, before, ROLLOUTS_PER_PAGE).await?;
                before = page.last().map(|rollout| rollout.id);
                let is_last = page.len() < ROLLOUTS_PER_PAGE as usize;
                let page = page.into_iter();
                open.extend(page.map(|it| (it.id, it.head.phase())));
                if is_last {
                    break;
                }
            }
            self.open = open;
        }
        let has_wishes = !wishes.is_empty();
        for wish in wishes {
            self.pass_on(wish);
        }
        self.take_up_open();
        self.tell_counts();
        Ok(lists && !has_wishes && self.open.is_empty() && self.in_hand.is_empty())
    }

    /// Gives a wish to its roll-out, which is taken up for that.
    fn pass_on(&mut self, wish: Wish) {
        let id = wish.rollout;
        if !self.in_hand.contains_key(&id) {
            if self.is_broken(id) || self.in_hand.len() >= UNDER_WAY_MAX + WISHED_MAX {
                return;
            }
            self.take_up(id);
        }
        if let Some(in_hand) = self.in_hand.get_mut(&id)
            && in_hand.told < Some(wish.id)
        {
            let told = wish.id;
            // What finds no room comes again with the next look.
            if in_hand.wishes.try_send(wish).is_ok() {
                in_hand.told = Some(told);
            }
        }
    }

    /// Takes up those that have not ended, the oldest first, as long as there is room.
    fn take_up_open(&mut self) {
        let now = crate::clock::time().0;
        let open: Vec<_> = self.open.keys().copied().collect();
        for id in open {
            if self.in_hand.len() >= UNDER_WAY_MAX {
                return;
            }
            let rests = match self.resting.get(&id) {
                None => false,
                Some(until) => until.is_none_or(|until| now < until),
            };
            if !rests && !self.in_hand.contains_key(&id) && !self.is_broken(id) {
                self.take_up(id);
            }
        }
    }

    fn is_broken(&self, id: RolloutId) -> bool {
        let until = self.broken.get(&id);
        until.is_some_and(|until| Instant::now() < *until)
    }

    fn take_up(&mut self, id: RolloutId) {
        self.resting.remove(&id);
        self.broken.remove(&id);
        let (wishes, wanted) = mpsc::channel(WISHES_MAX);
        let (shared, tenure) = (Arc::clone(self.shared()), self.chore.tenure());
        let token = self.chore.token();
        let task = self
            .running
            .spawn(async move { (id, runner::run(shared, id, token, tenure, wanted).await) });
        self.names.insert(task.id(), id);
        self.in_hand.insert(id, InHand { wishes, told: None });
    }

    /// A roll-out has left this process's hands.
    fn ended(&mut self, ended: Result<(Id, (RolloutId, End)), tokio::task::JoinError>) {
        let (task, end) = match ended {
            Ok((task, (_, end))) => (task, end),
            Err(error) => (error.id(), End::Broken("its task panicked".into())),
        };
        let Some(id) = self.names.remove(&task) else {
            return;
        };
        self.in_hand.remove(&id);
        match end {
            End::Ended => {
                self.open.remove(&id);
            }
            End::Resting(until) => {
                self.resting.insert(id, until);
            }
            // The owner notices by itself that it is none any more. If it is one, it tries again.
            End::Lost | End::Stopping => {
                self.broken.insert(id, Instant::now() + LOST_PAUSE);
            }
            End::Broken(why) => {
                tracing::error!(rollout = %id, why, "a roll-out cannot be gone on with");
                count(&self.shared().telemetry.rollout_store_failures);
                self.broken.insert(id, Instant::now() + BROKEN_PAUSE);
            }
        }
        self.take_up_open();
        self.tell_counts();
    }

    fn tell_counts(&self) {
        let telemetry = &self.shared().telemetry;
        let under_way = self.in_hand.len() as u64;
        let halted = self.open.values().filter(|it| **it == Phase::Halted);
        let waiting = self
            .open
            .keys()
            .filter(|id| !self.in_hand.contains_key(id) && !self.resting.contains_key(id));
        let set = |gauge: &std::sync::atomic::AtomicU64, value| {
            gauge.store(value, Ordering::Relaxed);
        };
        set(&telemetry.rollouts_under_way, under_way);
        set(&telemetry.rollouts_halted, halted.count() as u64);
        set(&telemetry.rollouts_waiting, waiting.count() as u64);
    }
}
