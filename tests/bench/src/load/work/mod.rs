//! The workloads, and what they share: opening the peers, the run's phases, its counters.

pub(crate) mod idle;
pub(crate) mod push;
pub(crate) mod rtt;
pub(crate) mod storm;

use super::{
    Options,
    connection::Connection,
    driver::Driver,
    roster::{Peer, Role, Roster},
};
use crate::{
    process::{self, Processes},
    report::{Flow, Report},
};
use anyhow::{Context, Result, bail, ensure};
use std::{
    future::Future,
    net::Ipv4Addr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::{sync::Semaphore, task::JoinSet};

/// How long after the run a source may still show that it goes on: with 19,000 of them the turn of
/// each comes round about once a second.
const STALL_PATIENCE: Duration = Duration::from_secs(5);

/// How often a run looks whether something has gone wrong.
const WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// What the tasks of one run share.
pub(crate) struct Run {
    /// What each source (an operator that commands, a controller that tells its status) has got
    /// through the server.
    pub(crate) done: Vec<AtomicU64>,
    /// Whether what happens now counts.
    pub(crate) measuring: AtomicBool,
    /// Paced commands that found no free place.
    pub(crate) missed: AtomicU64,
    stopped: AtomicBool,
    failure: Mutex<Option<anyhow::Error>>,
}

impl Run {
    pub(crate) fn new(sources: usize) -> Arc<Run> {
        Arc::new(Run {
            done: (0..sources).map(|_| AtomicU64::new(0)).collect(),
            measuring: AtomicBool::new(false),
            missed: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            failure: Mutex::new(None),
        })
    }

    fn counts(&self) -> Vec<u64> {
        self.done.iter().map(|done| done.load(Relaxed)).collect()
    }

    /// Starts a peer's task; the first that fails before the run's end fails the run.
    pub(crate) fn spawn(
        self: &Arc<Self>,
        tasks: &mut JoinSet<()>,
        peer: Peer,
        work: impl Future<Output = Result<()>> + Send + 'static,
    ) {
        let run = Arc::clone(self);
        tasks.spawn(async move {
            if let Err(error) = work.await
                && !run.stopped.load(Relaxed)
            {
                let error = error.context(format!("{peer:?}"));
                let mut failure = run.failure.lock().unwrap_or_else(PoisonError::into_inner);
                failure.get_or_insert(error);
            }
        });
    }

    fn check(&self) -> Result<()> {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.take().map_or(Ok(()), Err)
    }

    /// Lets time pass, and fails as soon as a task has.
    pub(crate) async fn pass(&self, duration: Duration) -> Result<()> {
        let end = Instant::now() + duration;
        loop {
            self.check()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            tokio::time::sleep(left.min(WATCH_INTERVAL)).await;
        }
    }

    /// Fails when a source has got nothing through since its count was taken, and does not now.
    async fn check_stall(&self, since: &[u64], passed: Duration) -> Result<()> {
        let end = Instant::now() + STALL_PATIENCE;
        loop {
            let now = self.counts();
            let stalled = since.iter().zip(&now).filter(|(then, now)| then == now);
            match stalled.count() {
                0 => return Ok(()),
                stalled if Instant::now() > end => bail!(
                    "stalled: {stalled} of {} sources got nothing through in {:?}",
                    since.len(),
                    passed + STALL_PATIENCE
                ),
                _ => self.pass(WATCH_INTERVAL).await?,
            }
        }
    }

    /// Waits through warm-up and measurement. Each thing done took `messages_each`.
    ///
    /// # Errors
    /// When a task has failed, or a source got nothing through in the second half.
    pub(crate) async fn measure(
        &self,
        options: &Options,
        opening: Duration,
        messages_each: u64,
    ) -> Result<Report> {
        let server = options.server_pid.map(Processes::of);
        self.pass(Duration::from_secs_f64(options.warmup)).await?;

        self.measuring.store(true, Relaxed);
        let before = Sample::take(server.as_ref(), self)?;
        let half = Duration::from_secs_f64(options.secs / 2.0);
        self.pass(half).await?;
        let halfway = self.counts();
        self.pass(half).await?;
        let after = Sample::take(server.as_ref(), self)?;
        self.measuring.store(false, Relaxed);
        self.check_stall(&halfway, half).await?;
        self.stopped.store(true, Relaxed);
        let mut flow = after.since(&before, messages_each);
        flow.missed = self.missed.load(Relaxed);
        if let Some(server) = &server {
            flow.server_threads = server.threads();
            flow.server_memory = server.memory();
        }
        Ok(Report {
            flow: Some(flow),
            ..options.blank_report(opening)
        })
    }
}

/// All counters at one moment.
struct Sample {
    at: Instant,
    counts: Vec<u64>,
    server: process::CpuMark,
    switches: u64,
    own: process::CpuMark,
}

impl Sample {
    fn take(server: Option<&Processes>, run: &Run) -> Result<Self> {
        Ok(Sample {
            at: Instant::now(),
            counts: run.counts(),
            server: server.map(Processes::cpu).unwrap_or_default(),
            switches: server.map_or(0, |server| server.switches().total),
            own: process::own_cpu()?,
        })
    }

    fn since(&self, before: &Sample, messages_each: u64) -> Flow {
        let secs = (self.at - before.at).as_secs_f64();
        let done = |sample: &Sample| sample.counts.iter().sum::<u64>();
        let messages = (done(self) - done(before)) * messages_each;
        let server_cpu_s = self.server.since(&before.server).as_secs_f64();
        let switches = self.switches.saturating_sub(before.switches);
        Flow {
            secs,
            messages,
            messages_per_cpu_s: messages as f64 / server_cpu_s.max(f64::MIN_POSITIVE),
            server_cpu_s,
            server_load: server_cpu_s / secs,
            generator_load: self.own.since(&before.own).as_secs_f64() / secs,
            switches_per_message: switches as f64 / messages.max(1) as f64,
            ..Flow::default()
        }
    }
}

/// Opens peers, a bounded number at a time, in their order.
///
/// # Errors
/// When any of them cannot be.
pub(crate) async fn open<D: Driver>(
    options: &Options,
    roster: &Arc<Roster>,
    role: Role,
    count: usize,
    watched: impl Fn(usize) -> Vec<usize>,
) -> Result<Vec<Connection<D>>> {
    ensure!(
        options.connecting > 0,
        "expected --connecting of at least 1"
    );
    let turns = Arc::new(Semaphore::new(options.connecting));
    let mut tasks = JoinSet::new();
    for index in 0..count {
        let (turns, roster, watched) = (Arc::clone(&turns), Arc::clone(roster), watched(index));
        let from = source(options, index);
        tasks.spawn(async move {
            let _turn = turns.acquire().await;
            let peer = Peer { role, index };
            Connection::open(&roster, peer, from, &watched)
                .await
                .map(|connection| (index, connection))
        });
    }
    let mut connections: Vec<Option<_>> = (0..count).map(|_| None).collect();
    while let Some(joined) = tasks.join_next().await {
        let (index, connection) = joined.context("a task that opens a connection")??;
        connections[index] = Some(connection);
    }
    Ok(connections.into_iter().flatten().collect())
}

fn source(options: &Options, index: usize) -> Option<Ipv4Addr> {
    let base = options.source_base?;
    let further = index / options.per_source.max(1);
    Some(Ipv4Addr::from(u32::from(base) + further as u32))
}

/// Controllers and operators, and how long it took.
type Opened<D> = (Vec<Connection<D>>, Vec<Connection<D>>, Duration);

/// Opens all controllers, then all operators.
///
/// # Errors
/// As [`open`].
pub(crate) async fn open_all<D: Driver>(
    options: &Options,
    roster: &Arc<Roster>,
    watched: impl Fn(usize) -> Vec<usize>,
) -> Result<Opened<D>> {
    let start = Instant::now();
    let nothing = |_| Vec::new();
    let (controllers, operators) = (options.controllers, options.operators);
    let controllers = open(options, roster, Role::Controller, controllers, nothing).await?;
    let operators = open(options, roster, Role::Operator, operators, watched).await?;
    Ok((controllers, operators, start.elapsed()))
}
