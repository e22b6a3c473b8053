//! The owner of alarms: the one gateway that keeps them, looks what raises them, and tells people.
//!
//! It owns the chore by a fenced lease in the config store. All that is to be told is kept before it is told; whatever
//! cannot be kept is tried again, and nothing is told meanwhile. Whoever owns it next, or this gateway after a restart, goes
//! on from what was kept: an attempt that was under way has come to nothing, and is made once more where nobody has heard.
//!
//! - `settings`: contacts, plans, rules, and where controllers belong. `inputs`: what raises alarms, and what people want.
//! - `attempts`: telling people, and what they say.
//! - `shown`: how alarms stand, for other gateways to see.
//! - `health`: whether channels and stores are in order, and the sign of life for somebody outside.

mod attempts;
mod health;
mod inputs;
mod settings;
mod shown;

use super::{
    CHORE,
    book::{ANSWER_MS, Book, REOPEN_MS},
    desk::{ChannelLimits, ChannelState, Desk},
    model::{Attempt, AttemptId, Channel, Outcome},
    people::ContactId,
    rule::{Rule, RuleId},
    telling::{Report, Teller},
    watching::{Eye, Home},
};
use crate::{
    bell::Bell,
    chore::{Chore, Renewal},
    inside::{Insides, Watch},
    store::{
        AlarmChanges, AlarmFilter, AlarmPulse, AttemptFilter, ConfigStore, Revision, StatusStore,
        StoreError,
    },
    telemetry::{Telemetry, count},
    tenure::Tenure,
};
pub(crate) use health::Heartbeat;
use serde::{Deserialize, Serialize};
pub(crate) use shown::{show, shown};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use switchyard_protocol::{Role, message::Time};
use switchyard_relay::Rights;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{Id, JoinSet},
    time::{Instant, MissedTickBehavior},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// How often it is looked what another process has put into the store.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long to wait before something is kept that could not be.
const AGAIN_PAUSE: Duration = Duration::from_millis(500);
/// How long to wait before the chore is asked for again.
const ACQUIRE_PAUSE: Duration = Duration::from_secs(2);
/// Reports of attempts that may wait for the owner.
const REPORTS_MAX: usize = 256;
/// Alarms kept at once: even a store that takes a hundred times as long as usual has kept them before its time is up.
const KEPT_AT_ONCE: usize = 1_000;
/// Rows read at once.
const PAGE: u32 = 1_000;
/// Its name among the parts of the gateway.
const PART: &str = "alarms";

/// What is counted of alarms.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// 1 while this gateway owns the chore.
    pub(crate) is_owner: AtomicU64,
    /// Alarms that are open.
    pub(crate) open: AtomicU64,
    /// Of those, the ones that nobody has heard of.
    pub(crate) unheard: AtomicU64,
    /// Attempts under way.
    pub(crate) under_way: AtomicU64,
    /// Attempts that were begun.
    pub(crate) attempts: AtomicU64,
    /// Those that came to nothing.
    pub(crate) attempts_failed: AtomicU64,
    /// Times that something could not be kept.
    pub(crate) store_failures: AtomicU64,
    /// What rules found and was lost for want of room.
    pub(crate) found_missed: AtomicU64,
    /// Alarms that were not raised since there were too many.
    pub(crate) refused: AtomicU64,
    /// Signs of life that were taken.
    pub(crate) heartbeats: AtomicU64,
    /// Those that were not.
    pub(crate) heartbeats_failed: AtomicU64,
}

/// What tells people, as far as it is set up.
#[derive(Clone, Default)]
pub(crate) struct Tellers(pub(crate) BTreeMap<Channel, (Arc<dyn Teller>, ChannelLimits)>);

/// What everybody may know of the owner: in this process by a channel, at other gateways by the status store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Standing {
    /// Whoever tells this is the owner.
    pub(crate) is_owner: bool,
    /// What has been kept last.
    #[serde(skip)]
    pub(crate) revision: u64,
    /// Alarms that are open.
    pub(crate) open: u64,
    /// Of those, the ones that nobody has heard of.
    pub(crate) unheard: u64,
    /// Attempts under way.
    pub(crate) under_way: u64,
    /// What is out of order, and why.
    pub(crate) faults: BTreeMap<Channel, Option<String>>,
}

/// What the owner needs.
pub(crate) struct Context {
    pub(crate) store: Arc<dyn ConfigStore>,
    pub(crate) status: Option<Arc<dyn StatusStore>>,
    pub(crate) insides: Arc<Insides>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) bell: Bell,
    pub(crate) tellers: Tellers,
    /// This installation, by which a restart has the chore back at once.
    pub(crate) identity: [u8; 16],
    /// How long alarms are kept that are over, in days.
    pub(crate) days: u32,
    /// Where a sign of life goes.
    pub(crate) heartbeat: Option<Heartbeat>,
    pub(crate) stopping: CancellationToken,
    /// Told to whoever asks in this process.
    pub(crate) standing: watch::Sender<Standing>,
    /// What attempts report.
    pub(crate) reports: (mpsc::Sender<Report>, mpsc::Receiver<Report>),
}

/// A way for reports to the owner, for [`Context`].
pub(crate) fn reports() -> (mpsc::Sender<Report>, mpsc::Receiver<Report>) {
    mpsc::channel(REPORTS_MAX)
}

/// Attempts by one channel that failed, in a row.
#[derive(Default)]
struct Failures {
    count: u32,
    /// Whom they were to tell.
    contacts: BTreeSet<ContactId>,
    /// Why the last one did.
    reason: String,
}

/// Why somebody is not the owner any more.
enum Lost {
    /// The gateway stops.
    Stopping,
    /// The lease was not renewed, or is somebody else's.
    Lease,
}

/// Owns the chore whenever it can, until the gateway stops.
pub(crate) async fn own(mut context: Context) {
    let mut complained = false;
    loop {
        let stopping = context.stopping.clone();
        let acquired = tokio::select! {
            () = stopping.cancelled() => return,
            acquired = Chore::take_over(&context.store, CHORE, context.identity) => acquired,
        };
        match acquired {
            Ok(Some(chore)) => {
                complained = false;
                match Owner::open(&mut context, &chore).await {
                    Ok(owner) => owner.run().await,
                    Err(error) => {
                        complain(&context, &error, &mut complained);
                        // Another gateway may do better.
                        chore.release().await;
                    }
                }
            }
            Ok(None) => complained = false,
            Err(error) => complain(&context, &error, &mut complained),
        }
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(ACQUIRE_PAUSE) => {}
        }
    }
}

fn complain(context: &Context, error: &StoreError, complained: &mut bool) {
    count(&context.telemetry.store_failures);
    count(&context.telemetry.alarms.store_failures);
    let error = error as &dyn std::error::Error;
    if std::mem::replace(complained, true) {
        tracing::debug!(error, "the store still does not tell of alarms");
    } else {
        tracing::error!(
            error,
            "the store does not tell of alarms: nobody is told of any"
        );
    }
}

/// The owner, for as long as it is that.
struct Owner<'a> {
    context: &'a mut Context,
    chore: &'a Chore,
    tenure: Tenure,
    book: Book,
    eye: Eye,
    /// Watches the yard, while rules want it.
    watch: Option<AbortOnDropHandle<()>>,
    watch_ends: CancellationToken,
    rules: BTreeMap<RuleId, Rule>,
    homes: HashMap<u32, Home>,
    sites: BTreeMap<u32, String>,
    pins: BTreeMap<ContactId, String>,
    controllers_at: Revision,
    pulse: AlarmPulse,
    /// Done with, and to be kept so.
    script_alarms_taken: Vec<u64>,
    /// Looks at the store that failed, in a row.
    looks_failed: u32,
    /// There is no room for what scripts say.
    is_blocked: bool,
    wishes_until: Option<u64>,
    /// Answered once what was decided is kept.
    decided: Vec<(oneshot::Sender<bool>, bool)>,
    running: JoinSet<Outcome>,
    attempts: HashMap<Id, AttemptId>,
    withdrawals: HashMap<AttemptId, CancellationToken>,
    probes: JoinSet<(Channel, Result<(), String>)>,
    /// How often a channel was out of order in a row.
    faults: BTreeMap<Channel, u32>,
    /// How often in a row telling by a channel failed, and why the last time.
    failed: BTreeMap<Channel, Failures>,
    /// Weekly tests up to then were made.
    tested_until_ms: u64,
    status_down_since: Option<Instant>,
}

impl<'a> Owner<'a> {
    /// Reads all there is.
    async fn open(context: &'a mut Context, chore: &'a Chore) -> Result<Self, StoreError> {
        let store = Arc::clone(&context.store);
        let now_ms = crate::clock::time().0;
        // Before what they are about: what changes in between is read twice rather than never.
        let pulse = store.alarm_pulse().await?;
        let controllers_at = store.controller_revision().await?;
        let channels = context.tellers.0.iter().map(|(channel, (_, limits))| {
            let limits = limits.clone();
            (*channel, ChannelState { limits })
        });
        let desk = Desk {
            channels: channels.collect(),
            ..Desk::default()
        };
        let last = store.alarm_numbers().await?;
        let filter = AlarmFilter {
            cleared_since_ms: Some(now_ms.saturating_sub(REOPEN_MS)),
            ..AlarmFilter::default()
        };
        let mut alarms = Vec::new();
        loop {
            let before = alarms.last().map(|it: &super::model::Alarm| it.id);
            let page = store.alarms(filter.clone(), before, PAGE).await?;
            let is_last = page.len() < PAGE as usize;
            alarms.extend(page);
            if is_last {
                break;
            }
        }
        let filter = AttemptFilter {
            since_ms: Some(now_ms.saturating_sub(ANSWER_MS)),
            ..AttemptFilter::default()
        };
        let mut attempts: Vec<Attempt> = Vec::new();
        loop {
            let before = attempts.last().map(|it| it.id);
            let page = store.alarm_attempts(filter, before, PAGE).await?;
            let is_last = page.len() < PAGE as usize;
            attempts.extend(page);
            if is_last {
                break;
            }
        }
        let mut owner = Owner {
            chore,
            tenure: chore.tenure(),
            book: Book::open(desk, alarms, attempts, last, now_ms),
            eye: Eye::new(),
            watch: None,
            watch_ends: CancellationToken::new(),
            rules: BTreeMap::new(),
            homes: HashMap::new(),
            sites: BTreeMap::new(),
            pins: BTreeMap::new(),
            controllers_at,
            pulse,
            script_alarms_taken: Vec::new(),
            looks_failed: 0,
            is_blocked: false,
            wishes_until: None,
            decided: Vec::new(),
            running: JoinSet::new(),
            attempts: HashMap::new(),
            withdrawals: HashMap::new(),
            probes: JoinSet::new(),
            faults: BTreeMap::new(),
            failed: BTreeMap::new(),
            // What fell due while nobody was in charge is made up for.
            tested_until_ms: now_ms.saturating_sub(REOPEN_MS),
            status_down_since: None,
            context,
        };
        owner.read_homes().await?;
        owner.read_settings().await?;
        Ok(owner)
    }

    async fn run(mut self) {
        tracing::info!(
            token = self.chore.token().0,
            "alarms are this gateway's chore now"
        );
        let counters = &self.context.telemetry.alarms;
        counters.is_owner.store(1, Ordering::Relaxed);
        self.context.standing.send_modify(|it| it.is_owner = true);
        let Err(lost) = self.go_on().await;
        // Whatever is under way stops at once, and only then somebody else may begin.
        self.chore.end();
        self.watch_ends.cancel();
        self.running.shutdown().await;
        // The rest is somebody else's to tell.
        self.context.standing.send_modify(|it| {
            *it = Standing {
                revision: it.revision,
                ..Standing::default()
            };
        });
        let counters = &self.context.telemetry.alarms;
        for gauge in [
            &counters.is_owner,
            &counters.open,
            &counters.unheard,
            &counters.under_way,
        ] {
            gauge.store(0, Ordering::Relaxed);
        }
        match lost {
            Lost::Lease => tracing::error!(
                token = self.chore.token().0,
                "alarms are not this gateway's chore any more: the lease was not renewed"
            ),
            Lost::Stopping => self.chore.release().await,
        }
    }

    /// Does what comes, in small steps: each is kept before anything is done about it.
    async fn go_on(&mut self) -> Result<std::convert::Infallible, Lost> {
        let ticking = |interval: Duration| {
            let mut ticks = tokio::time::interval(interval);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        };
        let mut renewals = Chore::renewals();
        let mut looks = ticking(LOOK_INTERVAL);
        let mut checks = ticking(health::CHECK_INTERVAL);
        let mut beats = ticking(
            self.context
                .heartbeat
                .as_ref()
                .map_or(health::CHECK_INTERVAL, |it| it.interval),
        );
        let mut trims = ticking(health::TRIM_INTERVAL);
        let (stopping, bell) = (self.context.stopping.clone(), self.context.bell.clone());
        let (tenure, eye) = (self.tenure.clone(), self.eye.clone());
        loop {
            let due = self.next_due();
            tokio::select! {
                biased;
                () = stopping.cancelled() => return Err(Lost::Stopping),
                () = tenure.over() => return Err(Lost::Lease),
                _ = renewals.tick() => self.renew().await?,
                Some(report) = self.context.reports.1.recv() => self.reported(report),
                Some(ended) = self.running.join_next_with_id() => self.ended(ended),
                () = bell.rung() => self.look().await,
                _ = looks.tick() => self.look().await,
                Some(probed) = self.probes.join_next() => self.probed(probed),
                _ = checks.tick() => self.check().await,
                _ = beats.tick() => self.beat(),
                _ = trims.tick() => if self.trim().await {
                    trims.reset_after(health::TRIM_PAUSE);
                },
                () = eye.news() => {}
                () = tokio::time::sleep_until(due) => {}
            }
            self.take_found();
            self.book.tick(crate::clock::time().0);
            self.keep().await?;
            self.act();
        }
    }

    /// When something is due of itself.
    fn next_due(&self) -> Instant {
        let (now, now_ms) = (Instant::now(), crate::clock::time().0);
        let book = self.book.next_ms().map(|at_ms| {
            // Seldom enough that one that is due again and again does not keep a core busy.
            now + Duration::from_millis(at_ms.saturating_sub(now_ms).max(20))
        });
        let eye = self
            .eye
            .lock()
            .next_ms()
            .map(|at_ms| self.eye.moment(at_ms));
        let soon = now + Duration::from_secs(60);
        book.into_iter().chain(eye).fold(soon, Instant::min)
    }

    /// Whether this is still the owner, as far as is known.
    async fn renew(&mut self) -> Result<(), Lost> {
        match self.chore.renew().await {
            Renewal::Renewed => Ok(()),
            Renewal::Lost => Err(Lost::Lease),
            Renewal::Unanswered => {
                count(&self.context.telemetry.store_failures);
                count(&self.context.telemetry.alarms.store_failures);
                Ok(())
            }
        }
    }

    /// Keeps what has changed, however long that takes, as long as this is the owner.
    async fn keep(&mut self) -> Result<(), Lost> {
        let changes = AlarmChanges {
            script_alarms_taken: std::mem::take(&mut self.script_alarms_taken),
            wishes_until: self.wishes_until.take(),
            ..self.book.take_changes()
        };
        if changes != AlarmChanges::default() {
            for part in changes.in_parts(KEPT_AT_ONCE) {
                let revision = self.keep_part(Arc::new(part)).await?;
                self.show(revision);
            }
        }
        for (answer, is_kept) in self.decided.drain(..) {
            // Whoever asked may have hung up.
            let _ = answer.send(is_kept);
        }
        Ok(())
    }

    /// Keeps a part of it; which revision that is.
    async fn keep_part(&mut self, changes: Arc<AlarmChanges>) -> Result<u64, Lost> {
        let mut failures = 0_u32;
        loop {
            let store = Arc::clone(&self.context.store);
            let saving = store.save_alarms(self.chore.token(), Arc::clone(&changes));
            let saved = tokio::select! {
                saved = self.tenure.within(saving) => saved,
                () = self.context.stopping.cancelled() => return Err(Lost::Stopping),
            };
            match saved {
                None => return Err(Lost::Lease),
                Some(Ok(revision)) => {
                    if failures > 0 {
                        tracing::info!(failures, "alarms are kept again");
                    }
                    return Ok(revision);
                }
                Some(Err(StoreError::Fenced(_))) => return Err(Lost::Lease),
                Some(Err(error)) => {
                    count(&self.context.telemetry.store_failures);
                    count(&self.context.telemetry.alarms.store_failures);
                    failures += 1;
                    if failures == 1 {
                        let error = &error as &dyn std::error::Error;
                        tracing::error!(
                            error,
                            "alarms cannot be kept: nobody is told until they are"
                        );
                    }
                    self.renew_if_needed().await?;
                    tokio::time::sleep(AGAIN_PAUSE).await;
                }
            }
        }
    }

    /// The lease goes on while something waits to be kept.
    async fn renew_if_needed(&mut self) -> Result<(), Lost> {
        match self.tenure.is_over() {
            true => Err(Lost::Lease),
            false => self.renew().await,
        }
    }

    fn show(&self, revision: u64) {
        let counters = &self.context.telemetry.alarms;
        let (mut open, mut unheard) = (0, 0);
        for alarm in self.book.alarms().filter(|it| it.is_open()) {
            open += 1;
            unheard += u64::from(alarm.acknowledged.is_none() && alarm.part_of.is_none());
        }
        counters.open.store(open, Ordering::Relaxed);
        counters.unheard.store(unheard, Ordering::Relaxed);
        let under_way = self.book.under_way().count() as u64;
        counters.under_way.store(under_way, Ordering::Relaxed);
        self.context.standing.send_modify(|it| {
            (it.revision, it.open) = (revision, open);
            (it.unheard, it.under_way) = (unheard, under_way);
        });
    }

    /// Watches the yard as long as there are rules, and not otherwise: every status of every controller comes with it.
    fn watch_if_needed(&mut self) {
        let is_needed = self.eye.lock().is_needed();
        match (is_needed, &self.watch) {
            (true, None) => {
                let rights = Rights::everywhere(Role::Viewer);
                let watch = Watch::new(Arc::clone(&self.context.insides), PART, rights);
                let (mut eye, ends) = (self.eye.clone(), self.watch_ends.child_token());
                let watching = tokio::spawn(async move { watch.run(&mut eye, ends).await });
                self.watch = Some(AbortOnDropHandle::new(watching));
            }
            (false, Some(_)) => {
                self.watch = None;
                self.eye.lock().forget_all();
            }
            _ => {}
        }
    }

    fn now_ms(&self) -> u64 {
        let Time(now_ms) = crate::clock::time();
        now_ms
    }
}
