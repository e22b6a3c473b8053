//! One roll-out in this process's hands: the pure machine, what is stored of it, and what is being done.
//!
//! The order is always the same: what has happened is told to the machine, it is asked what is to be done,
//! what has changed is stored, and only then is anything begun. While the store does not take it nothing
//! is begun; what is under way ends by itself.

use super::{
    hands::{Going, Hands},
    observer::{self, News},
};
use crate::{
    fleet::rollout::{
        Action, Answer, Ask, Changes, Entry, Head, Inspected, Observation, Phase, ReleaseKind,
        Rollout, Stage,
    },
    inside::Insides,
    store::{
        ConfigStore, FencingToken, RolloutId, Seen, StoreError, StoreFuture, StoredRollout, Wish,
        WishId,
    },
    telemetry::{Telemetry, count},
    tenure::Tenure,
};
use std::{collections::HashMap, sync::Arc, time::Duration};
use switchyard_protocol::Address;
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// Entries read from the store at once: a few milliseconds of its thread.
const ENTRIES_PER_PAGE: u32 = 2_000;
/// Between two savings: what happens meanwhile goes along with the next one.
const SAVE_PAUSE: Duration = Duration::from_millis(50);
/// How much of what has happened is told before the machine is asked what to do.
const EVENTS_AT_ONCE: usize = 1_024;
/// How long to wait after the store has failed, doubled each time …
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// … to this at most.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(30);
/// How long what controllers were seen to run may wait for others to go along with.
const SEEN_PAUSE: Duration = Duration::from_secs(5);
/// How many of those are worth no more waiting.
const SEEN_AT_ONCE: usize = 256;
/// The longest sleep: gateway time may be set meanwhile.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// How a roll-out left this process's hands.
#[derive(Debug)]
pub(super) enum End {
    /// It has come to its end, or has gone from the store.
    Ended,
    /// Nothing happens before a person wants something, or until that moment of gateway time.
    Resting(Option<u64>),
    /// Another gateway is the owner by now, or nobody is.
    Lost,
    /// This gateway stops.
    Stopping,
    /// It cannot be gone on with: what is stored makes no sense.
    Broken(String),
}

/// What runners share.
pub(super) struct Shared {
    pub(super) store: Arc<dyn ConfigStore>,
    pub(super) insides: Arc<Insides>,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) hands: Hands,
    pub(super) stopping: CancellationToken,
}

/// A roll-out under way. See the module.
pub(super) struct Runner {
    id: RolloutId,
    shared: Arc<Shared>,
    tenure: Tenure,
    machine: Rollout,
    /// As it was stored last.
    stored: Head,
    /// The last wish that the machine was told of, if that is not stored yet.
    granted: Option<WishId>,
    acting: JoinSet<(u64, Address, Option<Answer>)>,
    /// The action at each controller: the machine has one at a time.
    under_way: HashMap<Address, UnderWay>,
    /// What controllers said that they run, on its way to the store.
    seen: Vec<Seen>,
    seen_due: Instant,
    /// Whether the machine knows who is there.
    is_told: bool,
    /// Something has happened since the machine was last asked what is to be done.
    has_news: bool,
    /// Nothing is stored before.
    save_after: Instant,
}

/// An action that somebody carries out.
struct UnderWay {
    number: u64,
    acting: AbortHandle,
    /// It has the controller restart, and waits for what comes back.
    outlives_link: bool,
    /// Of a release that is on its way there for minutes: it may be stopped until it is committed.
    going: Option<Arc<Going>>,
}

/// Goes on with a roll-out until it leaves this process's hands.
pub(super) async fn run(
    shared: Arc<Shared>,
    id: RolloutId,
    token: FencingToken,
    tenure: Tenure,
    wishes: mpsc::Receiver<Wish>,
) -> End {
    match Runner::take_up(shared, id, token, tenure).await {
        Ok(runner) => runner.go_on(wishes).await,
        Err(end) => end,
    }
}

/// Makes a call of the store again until it is answered, with longer and longer pauses.
///
/// # Errors
/// How the roll-out ends: another owner has it, this one has it no more, or the gateway stops.
async fn insist<'a, T>(
    (shared, tenure, id): (&Shared, &Tenure, RolloutId),
    what: &'static str,
    call: impl Fn() -> StoreFuture<'a, T>,
) -> Result<T, End> {
    let mut pause = RETRY_PAUSE;
    loop {
        let answered = tokio::select! {
            biased;
            () = shared.stopping.cancelled() => return Err(End::Stopping),
            answered = tenure.within(call()) => answered.ok_or(End::Lost)?,
        };
        let error = match answered {
            Ok(value) => return Ok(value),
            Err(StoreError::Fenced(_)) => return Err(End::Lost),
            // Nothing that is done here makes these go away. One that is to be rolled back where another one goes
            // on by now has its turn when that has ended.
            Err(
                error @ (StoreError::Missing { .. }
                | StoreError::Corrupt { .. }
                | StoreError::Overlaps { .. }),
            ) => {
                return Err(End::Broken(error.to_string()));
            }
            Err(error) => error,
        };
        count(&shared.telemetry.store_failures);
        count(&shared.telemetry.rollout_store_failures);
        complain(id, what, &error, pause == RETRY_PAUSE);
        tokio::select! {
            biased;
            () = shared.stopping.cancelled() => return Err(End::Stopping),
            () = tenure.over() => return Err(End::Lost),
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(RETRY_PAUSE_MAX);
    }
}

/// Says that the store did not do something: loudly the first time.
fn complain(id: RolloutId, what: &str, error: &StoreError, is_first: bool) {
    let error = error as &dyn std::error::Error;
    if is_first {
        tracing::warn!(rollout = %id, error, "the store did not {what}: the roll-out waits for it");
    } else {
        tracing::debug!(rollout = %id, error, "the store still did not {what}");
    }
}

impl Runner {
    /// Reads it from the store, claimed before so that nobody else goes on with it.
    async fn take_up(
        shared: Arc<Shared>,
        id: RolloutId,
        token: FencingToken,
        tenure: Tenure,
    ) -> Result<Self, End> {
        let with = (&*shared, &tenure, id);
        let store = &shared.store;
        let claim = || store.claim_rollout(id, token);
        let claimed = insist(with, "hand it over", claim).await?;
        let Some(StoredRollout { head, .. }) = claimed else {
            return Err(End::Ended);
        };
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let after = entries.last().map(Entry::position);
            let read = || store.rollout_entries(id, after, ENTRIES_PER_PAGE);
            let page = insist(with, "tell its controllers", read).await?;
            let is_last = page.len() < ENTRIES_PER_PAGE as usize;
            entries.extend(page);
            if is_last {
                break;
            }
        }
        let now = crate::clock::time().0;
        let machine = Rollout::resume(head.clone(), entries, token.0, now);
        let machine = machine.map_err(|error| End::Broken(error.to_string()))?;
        let phase = machine.phase();
        tracing::info!(rollout = %id, %phase, token = token.0, "a roll-out is taken up");
        Ok(Runner {
            id,
            tenure,
            machine,
            stored: head,
            granted: None,
            acting: JoinSet::new(),
            under_way: HashMap::new(),
            seen: Vec::new(),
            seen_due: Instant::now(),
            is_told: false,
            has_news: false,
            save_after: Instant::now(),
            shared,
        })
    }

    async fn go_on(mut self, mut wishes: mpsc::Receiver<Wish>) -> End {
        let controllers = self.machine.entries();
        let controllers = controllers.map(|entry| Address(entry.address())).collect();
        let insides = Arc::clone(&self.shared.insides);
        let telemetry = Arc::clone(&self.shared.telemetry);
        let (mut news, observing) = observer::watch(insides, telemetry, self.id, controllers);
        let mut observing = JoinSet::from_iter([observing]);
        let end = loop {
            if let Err(end) = self.wait(&mut news, &mut wishes).await {
                break end;
            }
            self.take_what_is_there(&mut news, &mut wishes);
            if Instant::now() < self.save_after {
                continue;
            }
            if let Err(end) = self.step().await {
                break end;
            }
        };
        observing.abort_all();
        self.acting.shutdown().await;
        if !matches!(end, End::Lost | End::Stopping) {
            self.tell_seen(true).await;
        }
        end
    }

    /// Waits until something happens, and takes it in.
    async fn wait(
        &mut self,
        news: &mut mpsc::Receiver<News>,
        wishes: &mut mpsc::Receiver<Wish>,
    ) -> Result<(), End> {
        let sleep = tokio::time::sleep_until(self.wake());
        // Each of these may be dropped for another's sake.
        tokio::select! {
            biased;
            () = self.shared.stopping.cancelled() => return Err(End::Stopping),
            () = self.tenure.over() => return Err(End::Lost),
            Some(done) = self.acting.join_next() => {
                if let Ok(done) = done {
                    self.done(done);
                }
            }
            wish = wishes.recv() => match wish {
                Some(wish) => self.grant(wish),
                // The owner has let go of it.
                None => return Err(End::Lost),
            },
            Some(told) = news.recv() => self.note(told),
            () = sleep => {}
        }
        self.has_news = true;
        Ok(())
    }

    /// Takes in what else has happened by now.
    fn take_what_is_there(
        &mut self,
        news: &mut mpsc::Receiver<News>,
        wishes: &mut mpsc::Receiver<Wish>,
    ) {
        for _ in 0..EVENTS_AT_ONCE {
            if let Some(Ok(done)) = self.acting.try_join_next() {
                self.done(done);
            } else if let Ok(wish) = wishes.try_recv() {
                self.grant(wish);
            } else if let Ok(told) = news.try_recv() {
                self.note(told);
            } else {
                return;
            }
        }
    }

    /// When it wants to be looked at although nothing happens.
    fn wake(&self) -> Instant {
        let now = Instant::now();
        let latest = now + SLEEP_MAX;
        if self.has_news {
            return self.save_after;
        }
        if !self.is_told {
            return latest;
        }
        let wake = self.machine.next_wake().map_or(latest, |at| {
            let ahead = at.saturating_sub(crate::clock::time().0);
            now + Duration::from_millis(ahead).min(SLEEP_MAX)
        });
        wake.max(self.save_after).min(latest)
    }

    fn note(&mut self, news: News) {
        match news {
            News::Presence(controller, online) => {
                let now = crate::clock::time().0;
                let observation = Observation::Presence { controller, online };
                self.machine.observe(observation, now);
                let is_moot = |it: &UnderWay| !online && !it.outlives_link;
                if self.under_way.get(&controller).is_some_and(is_moot)
                    && let Some(under_way) = self.under_way.remove(&controller)
                {
                    // Nobody answers what was asked over a link that is gone.
                    under_way.acting.abort();
                    let action = under_way.number;
                    let answer = Answer::Unreached("its link was lost".into());
                    self.machine
                        .observe(Observation::Answer { action, answer }, now);
                }
            }
            News::AllTold => self.is_told = true,
        }
    }

    fn done(&mut self, (action, controller, answer): (u64, Address, Option<Answer>)) {
        if self
            .under_way
            .get(&controller)
            .is_some_and(|it| it.number == action)
        {
            self.under_way.remove(&controller);
        }
        // One that came to nothing in its time the machine counts as unanswered by itself.
        let Some(answer) = answer else {
            return;
        };
        let now = crate::clock::time();
        if let Answer::Inspected(inspected) = &answer {
            self.have_seen(controller, inspected);
        }
        if let Answer::Refused(words) | Answer::Unreached(words) = &answer {
            tracing::debug!(rollout = %self.id, %controller, words, "an action came to nothing");
        }
        self.machine
            .observe(Observation::Answer { action, answer }, now.0);
    }

    /// Notes what a controller says that it runs. What is on trial may go back by itself, and does not count; of
    /// parameters a look tells those alone that the release is about, and on the way back one that is half-way there
    /// tells that it has the release.
    fn have_seen(&mut self, controller: Address, inspected: &Inspected) {
        let release = self.machine.terms().release;
        let kind = release.kind;
        let is_half_way = kind == ReleaseKind::Parameters
            && self.machine.phase() == Phase::RollingBack
            && inspected.running == Some(release.digest);
        if inspected.on_trial || is_half_way {
            return;
        }
        if self.seen.is_empty() {
            self.seen_due = Instant::now() + SEEN_PAUSE;
        }
        self.seen.push(Seen {
            controller,
            kind,
            running: inspected.running,
            at: crate::clock::time(),
        });
    }

    fn grant(&mut self, wish: Wish) {
        let Wish {
            id, control, by, ..
        } = wish;
        let outcome = self.machine.control(control, crate::clock::time().0);
        let (rollout, control) = (self.id, control.name());
        match outcome {
            Ok(()) => tracing::info!(%rollout, control, account = %by, "a person wants it so"),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::info!(%rollout, control, account = %by, error, "a wish cannot be granted");
            }
        }
        self.granted = self.granted.max(Some(id));
    }

    /// Asks the machine what is to be done, stores what has changed, and begins it.
    async fn step(&mut self) -> Result<(), End> {
        self.has_news = false;
        if !self.is_told && self.granted.is_none() {
            return Ok(());
        }
        self.stop_releases();
        let actions = match self.is_told {
            true => self.machine.poll(crate::clock::time().0),
            // Who is there is not known yet: what a person wants is noted, and nothing is begun.
            false => Vec::new(),
        };
        // A halt may have come out of that.
        self.stop_releases();
        let changes = self.machine.take_changes();
        let is_news = !changes.entries.is_empty()
            || self.granted.is_some()
            || changes.head.is_news_after(&self.stored);
        if is_news {
            self.save(changes).await?;
        }
        for action in actions {
            self.begin(action);
        }
        self.tell_seen(false).await;
        if self.machine.phase().is_end() && self.acting.is_empty() {
            return Err(End::Ended);
        }
        if self.machine.is_resting() && self.acting.is_empty() {
            return Err(End::Resting(self.machine.next_wake()));
        }
        Ok(())
    }

    /// Where nobody is to be sent anything more, what has only begun to be sent stops.
    fn stop_releases(&mut self) {
        if matches!(self.machine.phase(), Phase::Running | Phase::Paused) {
            return;
        }
        let now = crate::clock::time().0;
        let machine = &mut self.machine;
        self.under_way.retain(|_, under_way| {
            if !under_way.going.as_ref().is_some_and(|it| it.stop()) {
                return true;
            }
            under_way.acting.abort();
            let action = under_way.number;
            let answer = Answer::Unreached("the roll-out was stopped".into());
            machine.observe(Observation::Answer { action, answer }, now);
            false
        });
    }

    async fn save(&mut self, changes: Changes) -> Result<(), End> {
        let changes = Arc::new(changes);
        let (store, granted) = (&self.shared.store, self.granted);
        let save = || store.save_rollout(self.id, Arc::clone(&changes), granted);
        insist(
            (&self.shared, &self.tenure, self.id),
            "take its state",
            save,
        )
        .await?;
        self.granted = None;
        self.save_after = Instant::now() + SAVE_PAUSE;
        let before = std::mem::replace(&mut self.stored, changes.head.clone());
        self.tell_of(&before);
        Ok(())
    }

    /// Says what has come of it, where that is worth a line: a halt is for people to look at.
    fn tell_of(&self, before: &Head) {
        let (id, phase, halt) = (self.id, self.stored.phase(), self.stored.halt());
        let has_halted = phase == Phase::Halted && before.phase() != Phase::Halted;
        if has_halted || halt != before.halt() {
            count(&self.shared.telemetry.rollout_halts);
            if let Some(halt) = halt {
                let (rule, bad, of) = (halt.rule.name(), halt.bad, halt.of);
                tracing::warn!(
                    rollout = %id, %phase, rule, in_canary = halt.in_canary, bad, of,
                    "a rule has halted a roll-out"
                );
            }
        }
        if phase != before.phase() && !has_halted {
            let summary = self.machine.summary();
            let count = |wanted| {
                let found = summary.stages.iter().find(|(stage, _)| *stage == wanted);
                found.map_or(0, |(_, count)| *count)
            };
            let (kept, failed) = (count(Stage::Kept), count(Stage::Failed));
            let (reverted, absent) = (count(Stage::Reverted), count(Stage::Absent));
            tracing::info!(rollout = %id, %phase, kept, reverted, failed, absent, "a roll-out goes on");
        } else if self.stored.step() != before.step() {
            tracing::info!(rollout = %id, step = self.stored.step(), "a roll-out comes to its next step");
        }
    }

    fn begin(&mut self, action: Action) {
        let ahead = action.until.saturating_sub(crate::clock::time().0);
        let until = Instant::now() + Duration::from_millis(ahead);
        let release = self.machine.terms().release;
        let (shared, tenure) = (Arc::clone(&self.shared), self.tenure.clone());
        if !matches!(action.ask, Ask::Inspect { .. }) {
            let (controller, ask) = (action.controller, action.ask);
            tracing::debug!(rollout = %self.id, %controller, ?ask, "an action begins");
        }
        let (controller, number) = (action.controller, action.number);
        let is_send = matches!(action.ask, Ask::Send { .. });
        let outlives_link = is_send && release.kind == ReleaseKind::Firmware;
        let going = Arc::new(Going::default());
        let is_release = matches!(action.ask, Ask::Send { digest, .. } if digest == release.digest);
        let acted = Arc::clone(&going);
        let acting = self.acting.spawn(async move {
            let hands = &shared.hands;
            let answer = hands
                .perform(release, &action, (until, &acted), &tenure)
                .await;
            (number, controller, answer)
        });
        let under_way = UnderWay {
            number,
            acting,
            outlives_link,
            going: Some(going).filter(|_| outlives_link && is_release),
        };
        self.under_way.insert(controller, under_way);
    }

    /// Keeps what controllers said that they run, now and then. It is for people's eyes: what the store does
    /// not take is told anew by the next look.
    async fn tell_seen(&mut self, at_once: bool) {
        let is_due = at_once || self.seen.len() >= SEEN_AT_ONCE || Instant::now() >= self.seen_due;
        if self.seen.is_empty() || !is_due {
            return;
        }
        let seen = std::mem::take(&mut self.seen);
        if let Err(error) = self.shared.store.put_seen(seen).await {
            count(&self.shared.telemetry.store_failures);
            let error = &error as &dyn std::error::Error;
            tracing::debug!(rollout = %self.id, error, "what controllers run was not stored");
        }
    }
}
