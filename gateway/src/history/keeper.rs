//! From what the yard notes to minutes in the config store, and what is old out of it again.
//!
//! Values become minutes whether or not the store is there; minutes that wait for it are bounded, and the oldest go
//! first. One call is under way at a time, and one that failed is made again with the same minutes.

use super::{
    CHORE, Choice, Minute, Recent, minute_of,
    recorder::Recorder,
    tap::{Batch, Noted, Tap, What},
    timeline::Timeline,
};
use crate::{
    config::Settings,
    store::{ConfigStore, FencingToken, StoreError},
    telemetry::{Telemetry, count},
};
use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use switchyard_protocol::message::{Full, Time, Title};
use switchyard_relay::Now;
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;

/// Minutes that wait for the store: half an hour of 4,096 points, in 12 MB.
const MINUTES_WAITING_MAX: usize = 131_072;
/// Minutes in one call: a few milliseconds of the store's thread, for which a waiting command waits.
const MINUTES_PER_CALL: usize = 512;
/// How long to wait after a call that failed.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// How often it is looked whether a minute is over.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long after its end a minute is taken for over, if nothing has come that is later: what was told in it may
/// still be on its way from the yard.
const LAG: Duration = Duration::from_secs(2);

/// How often what is old is deleted, and how long after the start for the first time.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10 * 60);
const FIRST_SWEEP: Duration = Duration::from_secs(60);
/// How long the chore is another gateway's after a gateway with it has died.
const CHORE_TERM: Duration = Duration::from_secs(60);
/// Minutes deleted in one transaction, of any number of points.
const MINUTES_PER_SLICE: u32 = 1_000;
/// Between two slices others have their turn.
const SLICE_PAUSE: Duration = Duration::from_millis(20);

type Append = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>;

/// The task's half.
pub(crate) struct Keeper {
    store: Arc<dyn ConfigStore>,
    telemetry: Arc<Telemetry>,
    now: Box<dyn Fn() -> Now + Send>,
    batches: mpsc::Receiver<Batch>,
    empty: mpsc::Sender<Vec<Noted>>,
    recorder: Recorder,
    /// Who makes recent values of the same, if any are kept.
    recent: Option<Recent>,
    timeline: Timeline,
    waiting: VecDeque<Minute>,
    /// The minutes of the call that is under way, or is to be made again.
    under_way: Arc<Vec<Minute>>,
    /// Nothing is tried before.
    retry_at: Option<Instant>,
    is_store_failing: bool,
    has_said_full: bool,
}

impl Keeper {
    /// Both halves, where the settings choose any point or recent values are kept. `now` reads both clocks.
    pub(crate) fn new(
        settings: &Settings,
        store: Arc<dyn ConfigStore>,
        telemetry: Arc<Telemetry>,
        recent: Option<Recent>,
        now: impl Fn() -> Now + Send + 'static,
    ) -> Option<(Tap, Self)> {
        let choice = match settings.history_days {
            0 => Choice::default(),
            _ => settings.history_points.clone(),
        };
        if choice.is_none() && recent.is_none() {
            return None;
        }
        let (sender, batches) = mpsc::channel(1);
        let (empty, come_back) = mpsc::channel(2);
        let tap = Tap::new(sender, come_back, Arc::clone(&telemetry));
        let (points_max, run) = (settings.history_points_max, rand::random());
        let recorder = Recorder::new(choice, points_max, run, now().time);
        let keeper = Keeper {
            store,
            telemetry,
            now: Box::new(now),
            batches,
            empty,
            recorder,
            recent,
            timeline: Timeline::default(),
            waiting: VecDeque::new(),
            under_way: Arc::default(),
            retry_at: None,
            is_store_failing: false,
            has_said_full: false,
        };
        Some((tap, keeper))
    }

    /// Works until the yard is gone; then what there is of the present minute is stored too, if the store takes it.
    pub(crate) async fn keep(mut self) {
        let mut looks = tokio::time::interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut call: Option<Append> = None;
        loop {
            if call.is_none() && self.retry_at.is_none() {
                call = self.next_call();
            }
            let retry_at = self.retry_at;
            // What is seldom comes first: a yard that is never quiet must not keep it waiting. Each of these may be
            // dropped for another's sake: the call is kept, the moments are absolute, and a batch is taken or not.
            tokio::select! {
                biased;
                outcome = answer(&mut call) => {
                    call = None;
                    self.stored(outcome);
                }
                () = until(retry_at) => self.retry_at = None,
                _ = looks.tick() => self.look(),
                batch = self.batches.recv() => match batch {
                    Some(batch) => self.take(batch),
                    None => break,
                },
            }
        }
        self.look();
        let now = (self.now)().time;
        self.recorder.finish(now);
        if let Some(recent) = &mut self.recent {
            recent.finish(now);
        }
        self.collect();
        // Whoever waits for this bounds how long it may take. A call that was under way may fail for what is over.
        let mut failures = 0;
        loop {
            let outcome = match call.take().or_else(|| self.next_call()) {
                Some(call) => call.await,
                None => return,
            };
            failures += u32::from(outcome.is_err());
            self.stored(outcome);
            if failures > 1 {
                let lost = self.waiting.len() + self.under_way.len();
                tracing::warn!(lost, "the last minutes of history were not stored");
                return;
            }
        }
    }

    /// Notices when the clock was set, or nobody looked at it for long.
    fn observe(&mut self) -> Now {
        let now = (self.now)();
        if !self.timeline.goes_on(now) {
            tracing::warn!("the clock was set, or this host stood still: history has a gap");
            self.recorder.resume(now.time, rand::random());
        }
        now
    }

    fn look(&mut self) {
        let now = self.observe();
        self.recorder.advance(now.time.minus(LAG));
        if let Some(recent) = &mut self.recent {
            recent.advance(now.time.minus(LAG));
        }
        self.collect();
    }

    fn take(&mut self, batch: Batch) {
        // It may have been handed over before the clock was set: nothing happened later than now.
        let base = self.observe().time.min(batch.now.time);
        let now_ms = batch.now.since_start.as_millis() as u64;
        let recorder = &mut self.recorder;
        let mut noted = batch.noted;
        // What one status has told comes in one piece: its controller is looked for once.
        let goes_along = |one: &Noted, other: &Noted| {
            one.controller == other.controller
                && one.since_start_ms == other.since_start_ms
                && one.what.is_value()
                && other.what.is_value()
        };
        for together in noted.chunk_by(goes_along) {
            let Some(first) = together.first() else {
                continue;
            };
            let ago = now_ms.saturating_sub(first.since_start_ms);
            let at = Time(base.0.saturating_sub(ago));
            let controller = first.controller;
            match first.what {
                What::Value | What::BadValue => {
                    let values = together.iter().map(Noted::value);
                    recorder.values(at, controller, values);
                    if let Some(recent) = &mut self.recent {
                        recent.values(at, controller, together);
                    }
                }
                What::Page => {
                    let page = usize::try_from(first.value).ok();
                    let page = page.and_then(|page| batch.pages.get(page));
                    // The relay has told the controller what is wrong with one that cannot be read.
                    if let Some(Ok(page)) = page.map(|page| Full::decode(page)) {
                        recorder.page(at, controller, &page);
                        if let Some(recent) = &mut self.recent {
                            recent.page(at, controller, &page);
                        }
                    }
                }
                What::Away => {
                    recorder.away(at, controller);
                    if let Some(recent) = &mut self.recent {
                        recent.away(at, controller);
                    }
                }
                What::Missed => {
                    recorder.missed(at, controller);
                    if let Some(recent) = &mut self.recent {
                        recent.missed(at, controller);
                    }
                }
            }
        }
        noted.clear();
        // If nobody takes it, it is not needed.
        let _ = self.empty.try_send(noted);
        if batch.has_missed_any {
            recorder.missed_all(base);
            if let Some(recent) = &mut self.recent {
                recent.missed_all(base);
            }
        }
        self.collect();
    }

    /// Puts what is done with what waits.
    fn collect(&mut self) {
        if let Some(recent) = &mut self.recent {
            recent.hand_over();
        }
        self.waiting.extend(self.recorder.take_done());
        let dropped = self.waiting.len().saturating_sub(MINUTES_WAITING_MAX);
        self.waiting.drain(..dropped);
        let telemetry = &self.telemetry;
        let add = |counter: &std::sync::atomic::AtomicU64, by| {
            counter.fetch_add(by, Ordering::Relaxed);
        };
        add(&telemetry.history_minutes_dropped, dropped as u64);
        let refused = self.recorder.take_refused();
        add(&telemetry.history_points_refused, refused);
        if refused > 0 && !std::mem::replace(&mut self.has_said_full, true) {
            tracing::warn!("more points are chosen than history_points_max: some have no history");
        }
        let points = self.recorder.points() as u64;
        telemetry.history_points.store(points, Ordering::Relaxed);
        self.tell_waiting();
    }

    fn tell_waiting(&self) {
        let waiting = (self.waiting.len() + self.under_way.len()) as u64;
        let gauge = &self.telemetry.history_minutes_waiting;
        gauge.store(waiting, Ordering::Relaxed);
    }

    /// Begins the next call, if there is anything to store.
    fn next_call(&mut self) -> Option<Append> {
        if self.under_way.is_empty() {
            let count = self.waiting.len().min(MINUTES_PER_CALL);
            self.under_way = Arc::new(self.waiting.drain(..count).collect());
        }
        if self.under_way.is_empty() {
            return None;
        }
        let (store, minutes) = (Arc::clone(&self.store), Arc::clone(&self.under_way));
        Some(Box::pin(async move { store.append_history(minutes).await }))
    }

    fn stored(&mut self, outcome: Result<(), StoreError>) {
        match outcome {
            Ok(()) => {
                let stored = std::mem::take(&mut self.under_way).len() as u64;
                let counter = &self.telemetry.history_minutes_stored;
                counter.fetch_add(stored, Ordering::Relaxed);
                if std::mem::take(&mut self.is_store_failing) {
                    tracing::info!("the config store takes history again");
                }
            }
            Err(error) => {
                count(&self.telemetry.store_failures);
                self.retry_at = Some(Instant::now() + RETRY_PAUSE);
                let error = &error as &dyn std::error::Error;
                if std::mem::replace(&mut self.is_store_failing, true) {
                    tracing::debug!(error, "the config store still takes no history");
                } else {
                    tracing::warn!(
                        error,
                        "the config store takes no history, which waits for it"
                    );
                }
            }
        }
        self.tell_waiting();
    }
}

/// The answer of the call that is under way; of none there is none. Dropping it drops nothing of the call.
async fn answer(call: &mut Option<Append>) -> Result<(), StoreError> {
    match call {
        Some(call) => call.await,
        None => std::future::pending().await,
    }
}

/// Waits for a moment; for ever where there is none.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Deletes what is older than it may be, whenever the chore is this gateway's, until told to stop.
pub(crate) async fn sweep(
    store: Arc<dyn ConfigStore>,
    telemetry: Arc<Telemetry>,
    (holder, days): ([u8; 16], u32),
    stopping: CancellationToken,
) {
    let mut pause = FIRST_SWEEP;
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(pause) => pause = SWEEP_INTERVAL,
        }
        let swept = tokio::select! {
            () = stopping.cancelled() => return,
            swept = sweep_once(&*store, &telemetry, (holder, days)) => swept,
        };
        if let Err(error) = swept {
            count(&telemetry.store_failures);
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "old history was not deleted");
        }
    }
}

async fn sweep_once(
    store: &dyn ConfigStore,
    telemetry: &Telemetry,
    (holder, days): ([u8; 16], u32),
) -> Result<(), StoreError> {
    let age = Duration::from_secs(u64::from(days) * 24 * 3_600);
    let before = minute_of(crate::clock::time().minus(age));
    let mut after = None;
    // Held for each slice anew: another gateway may have it as soon as this one stands still.
    while let Some(token) = acquire(store, holder).await? {
        let swept = store
            .sweep_history(token, before, after, MINUTES_PER_SLICE)
            .await?;
        let counter = &telemetry.history_minutes_swept;
        counter.fetch_add(swept.minutes, Ordering::Relaxed);
        match swept.next {
            Some(next) => after = Some(next),
            None => return Ok(()),
        }
        tokio::time::sleep(SLICE_PAUSE).await;
    }
    Ok(())
}

async fn acquire(
    store: &dyn ConfigStore,
    holder: [u8; 16],
) -> Result<Option<FencingToken>, StoreError> {
    let Ok(chore) = Title::new(CHORE) else {
        unreachable!("the chore's name is a title");
    };
    let now = crate::clock::time();
    store.acquire_lease(chore, holder, CHORE_TERM, now).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::RawSettings,
        history::{Part, Series, SeriesId, Summary},
        store::{Database, Fault, Faults, Guard, Guarded, Sealer, SqlConfigStore, StoreFuture},
    };
    use switchyard_protocol::{
        Address,
        message::{Cause, CauseKind, Name, Point, PointFlags, PointType, StatusHead},
    };

    /// Ten seconds before a minute ends.
    const START: u64 = 28_000_000 * 60_000 + 50_000;
    const POINTS: u8 = 32;

    /// Has the test's time stand still while the store works, which it does by a thread of its own: time that is
    /// paused goes on whenever the runtime is idle, but not while something blocks.
    struct Still;

    impl Guard for Still {
        fn around<'a, T: Send + 'a>(
            &'a self,
            _: &'static str,
            future: StoreFuture<'a, T>,
        ) -> StoreFuture<'a, T> {
            Box::pin(async move {
                let (done, is_done) = std::sync::mpsc::channel::<()>();
                let standing = tokio::task::spawn_blocking(move || is_done.recv());
                let outcome = future.await;
                drop(done);
                // It ends because nothing is sent any more.
                let _ = standing.await;
                outcome
            })
        }
    }

    /// A keeper whose clocks are the test's, which stand still but for waits; and a store that can be made to fail.
    struct Bench {
        tap: Tap,
        start: Instant,
        faults: Arc<Faults>,
        store: Arc<dyn ConfigStore>,
        telemetry: Arc<Telemetry>,
        keeping: tokio::task::JoinHandle<()>,
        _folder: tempfile::TempDir,
    }

    impl Bench {
        async fn new(astray: Arc<std::sync::atomic::AtomicU64>) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let raw = RawSettings {
                data: Some(folder.path().into()),
                history_points: Some("*/*".into()),
                ..RawSettings::default()
            };
            let settings = raw.resolve().unwrap();
            let database = Database::Sqlite(folder.path().join("test.db"));
            let opened =
                SqlConfigStore::open(&database, Sealer::new(&[7; 32]), 65_536, Duration::MAX).await;
            let faults = Arc::new(Faults::default());
            let store: Arc<dyn ConfigStore> = Arc::new(Guarded::new(
                Guarded::new(opened.unwrap(), Still),
                Arc::clone(&faults),
            ));
            let (telemetry, start) = (Telemetry::new(), Instant::now());
            let clocks = move || {
                let since_start = start.elapsed();
                let astray = astray.load(Ordering::Relaxed);
                Now {
                    since_start,
                    time: Time(START + since_start.as_millis() as u64 + astray),
                }
            };
            let (its_store, its_telemetry) = (Arc::clone(&store), Arc::clone(&telemetry));
            let both = Keeper::new(&settings, its_store, its_telemetry, None, clocks);
            let (tap, keeper) = both.unwrap();
            Bench {
                tap,
                start,
                faults,
                store,
                telemetry,
                keeping: tokio::spawn(keeper.keep()),
                _folder: folder,
            }
        }

        fn now(&self) -> Duration {
            self.start.elapsed()
        }

        fn online(&mut self, controller: Address) {
            let points = (0..POINTS).map(|index| Point {
                index,
                name: Name::new(&format!("p{index}")).unwrap(),
                point_type: PointType::AnalogueInput,
                value: 0,
                flags: PointFlags(0),
                cause: Cause::plain(CauseKind::Boot),
            });
            let full = Full {
                head: StatusHead::default(),
                page: 0,
                pages: 1,
                uptime_ms: 0,
                time: None,
                points: points.collect(),
                layout: 1,
            };
            let gateway = Address::GATEWAY;
            let kind = switchyard_protocol::Kind::StatusFull;
            let frame =
                switchyard_protocol::Frame::new(kind, 0, controller, gateway, &full.encode());
            let split = switchyard_protocol::FrameRef::split(frame.bytes(), 65_535);
            let now = self.now();
            self.tap.frame(now, controller, &split.unwrap().unwrap().0);
            for index in 0..POINTS {
                self.value(controller, index, 5);
            }
        }

        fn value(&mut self, controller: Address, index: u8, value: i64) {
            let now = self.now();
            self.tap
                .value(now, (controller, index), value, PointFlags(0));
        }

        fn hand_over(&mut self) {
            let (since_start, ms) = (self.now(), self.now().as_millis() as u64);
            let time = Time(START + ms);
            self.tap.end(Now { since_start, time });
        }

        /// Ends the yard, and waits for the keeper's end.
        async fn end(self) -> (Arc<dyn ConfigStore>, tempfile::TempDir) {
            let Bench {
                tap,
                store,
                keeping,
                _folder,
                ..
            } = self;
            drop(tap);
            keeping.await.unwrap();
            (store, _folder)
        }

        fn read(&self, counter: impl Fn(&Telemetry) -> &std::sync::atomic::AtomicU64) -> u64 {
            counter(&self.telemetry).load(Ordering::Relaxed)
        }
    }

    /// What is stored of the first point of a controller: the minute, counted from the first, and how much is known.
    async fn stored(store: &dyn ConfigStore) -> Vec<(u32, u128)> {
        stored_since(store, minute_of(Time(START))).await
    }

    async fn stored_since(store: &dyn ConfigStore, base: u32) -> Vec<(u32, u128)> {
        let recorded = store.recorded_points(Address(1)).await.unwrap();
        let of_first = |series: &Series| series.point.as_str() == "p0";
        let first = recorded.iter().find(|it| of_first(&it.series)).unwrap();
        let minutes = store.history(SeriesId(first.id.0), (0, u32::MAX), None, 100_000);
        let minutes = minutes.await.unwrap().into_iter();
        minutes
            .map(|(number, _, it)| (number - base, it.held.as_millis()))
            .collect()
    }

    async fn wait(time: Duration) {
        tokio::time::sleep(time).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_fails_is_given_all_of_it_later() {
        let mut bench = Bench::new(Arc::default()).await;
        bench.online(Address(1));
        bench.hand_over();
        wait(Duration::from_secs(70)).await;
        for fault in [Fault::Fail, Fault::FailAfter, Fault::Fail] {
            bench.faults.set(Some(fault));
            wait(Duration::from_secs(120)).await;
            assert!(bench.read(|it| &it.history_minutes_waiting) > 0);
            bench.faults.set(None);
            wait(Duration::from_secs(60)).await;
        }
        assert_eq!(bench.read(|it| &it.history_minutes_dropped), 0);
        let (store, _folder) = bench.end().await;
        let stored = stored(&*store).await;
        let (last, whole) = stored.split_last().unwrap();
        let expected: Vec<_> = (0..u32::try_from(whole.len()).unwrap())
            .map(|minute| (minute, if minute == 0 { 10_000 } else { 60_000 }))
            .collect();
        assert_eq!((whole, last.0), (&expected[..], whole.len() as u32));
        assert!(whole.len() >= 9, "{}", whole.len());
        assert_eq!(store.recorded_points(Address(1)).await.unwrap().len(), 32);
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_is_bounded_and_the_oldest_goes() {
        let mut bench = Bench::new(Arc::default()).await;
        for controller in 1..=128 {
            bench.online(Address(controller));
        }
        bench.hand_over();
        bench.faults.set(Some(Fault::Fail));
        wait(Duration::from_secs(40 * 60)).await;
        let waiting = bench.read(|it| &it.history_minutes_waiting) as usize;
        let most = MINUTES_WAITING_MAX + MINUTES_PER_CALL;
        assert!((MINUTES_WAITING_MAX..=most).contains(&waiting), "{waiting}");
        let dropped = bench.read(|it| &it.history_minutes_dropped) as usize;
        assert_eq!(dropped + waiting, 40 * 4_096);
        bench.faults.set(None);
        let (store, _folder) = bench.end().await;
        let stored = stored(&*store).await;
        let minutes: Vec<_> = stored.iter().map(|(minute, _)| *minute).collect();
        // But for what was under way when it began.
        let last: Vec<_> = (9..=40).collect();
        assert!(minutes.ends_with(&last), "{minutes:?}");
        assert!(minutes.len() <= last.len() + 1, "{minutes:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_makes_a_gap() {
        let astray = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let mut bench = Bench::new(Arc::clone(&astray)).await;
        bench.online(Address(1));
        bench.hand_over();
        wait(Duration::from_millis(20_500)).await;
        astray.store(3_600_000, Ordering::Relaxed);
        wait(Duration::from_secs(30)).await;
        let (store, _folder) = bench.end().await;
        let stored = stored(&*store).await;
        let minutes: Vec<_> = stored.iter().map(|(minute, _)| *minute).collect();
        assert_eq!(minutes, [0, 1, 61], "{stored:?}");
        let known: u128 = stored.iter().map(|(_, held)| held).sum();
        // Up to three seconds may be lost with the clock: those that were not yet counted.
        assert!((46_000..=50_500).contains(&known), "{stored:?}");
    }

    fn old(number: u32) -> Minute {
        Minute {
            series: Arc::new(Series {
                controller: Address(1),
                point: Name::new("p0").unwrap(),
                point_type: PointType::AnalogueInput,
            }),
            number,
            part: Part::FIRST,
            summary: Summary {
                min: 1,
                max: 1,
                mean: 1_000,
                last: 1,
                held: Duration::from_secs(60),
                samples: 0,
            },
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_old_goes_once_the_chore_is_ours() {
        let bench = Bench::new(Arc::default()).await;
        let today = minute_of(crate::clock::time());
        let minutes: Vec<_> = (today - 5_000..today).map(old).collect();
        for minutes in minutes.chunks(500) {
            let minutes = Arc::new(minutes.to_vec());
            bench.store.append_history(minutes).await.unwrap();
        }
        let chore = Title::new(CHORE).unwrap();
        let others = (chore.clone(), [2; 16], Duration::from_secs(3_600));
        let owned = bench
            .store
            .acquire_lease(others.0, others.1, others.2, crate::clock::time());
        assert!(owned.await.unwrap().is_some());
        let stopping = CancellationToken::new();
        let (store, telemetry) = (Arc::clone(&bench.store), Arc::clone(&bench.telemetry));
        let sweeping = tokio::spawn(sweep(store, telemetry, ([1; 16], 2), stopping.clone()));
        wait(Duration::from_secs(30 * 60)).await;
        assert_eq!(bench.read(|it| &it.history_minutes_swept), 0);
        assert!(bench.store.release_lease(chore, [2; 16]).await.unwrap());
        // The calendar's clock is this host's, and a minute may pass while this runs.
        while bench.read(|it| &it.history_minutes_swept) < 5_000 - 2 * 1_440 {
            wait(Duration::from_secs(60)).await;
        }
        stopping.cancel();
        sweeping.await.unwrap();
        let left = stored_since(&*bench.store, 0).await.len();
        assert!((2 * 1_440 - 5..=2 * 1_440).contains(&left), "{left}");
        bench.end().await;
    }
}
