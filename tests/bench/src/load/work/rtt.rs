//! Round trips: operators command their controllers and wait for the answers. `--window` commands
//! are in flight for each operator; or, with `--rate`, that many commands a second are sent over
//! all operators, and `--window` is only the upper bound.

use super::{Run, open_all};
use crate::{
    load::{
        Options,
        connection::Connection,
        driver::{Driver, Event},
        roster::Roster,
    },
    report::{Latency, Report, histogram},
};
use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// A command and its answer.
const MESSAGES_EACH: u64 = 2;

/// Times of round trips, in nanoseconds, that all operators add to.
pub(crate) struct Times(Mutex<Histogram<u64>>);

impl Times {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Times(Mutex::new(histogram())))
    }

    fn lock(&self) -> MutexGuard<'_, Histogram<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The quantiles so far; begins anew.
    pub(crate) fn take(&self) -> Latency {
        let mut histogram = self.lock();
        let latency = Latency::of(&histogram);
        histogram.reset();
        latency
    }
}

/// A controller that answers whatever it is commanded.
pub(crate) async fn answer<D: Driver>(mut connection: Connection<D>) -> Result<()> {
    loop {
        connection.fill().await?;
        while connection.next()?.is_some() {}
        connection.flush().await?;
    }
}

/// The commands of one operator.
struct Commands {
    targets: Vec<usize>,
    /// When the command in each place of the window was sent; `None`: the place is free.
    sent_at: Vec<Option<Instant>>,
    free: Vec<u32>,
    turn: usize,
}

impl Commands {
    fn new(options: &Options, targets: usize, operator: usize) -> Self {
        let own: Vec<usize> = (operator..targets).step_by(options.operators).collect();
        Commands {
            targets: if own.is_empty() {
                vec![operator % targets]
            } else {
                own
            },
            sent_at: vec![None; options.window],
            free: (0..options.window as u32).collect(),
            turn: 0,
        }
    }

    /// Writes a command in each of up to `count` free places; gives how many found none.
    fn send<D: Driver>(
        &mut self,
        connection: &mut Connection<D>,
        count: usize,
        now: Instant,
    ) -> Result<usize> {
        for left in (1..=count).rev() {
            let Some(slot) = self.free.pop() else {
                return Ok(left);
            };
            self.sent_at[slot as usize] = Some(now);
            let target = self.targets[self.turn % self.targets.len()];
            connection.command(target, slot)?;
            self.turn += 1;
        }
        Ok(0)
    }

    /// Takes the answers that have been read; gives their number.
    fn take_answers<D: Driver>(
        &mut self,
        connection: &mut Connection<D>,
        now: Instant,
        mut times: Option<&mut Histogram<u64>>,
    ) -> Result<usize> {
        let mut count = 0;
        while let Some(event) = connection.next()? {
            let Event::Answer { slot } = event else {
                continue;
            };
            let sent_at = self
                .sent_at
                .get_mut(slot as usize)
                .and_then(Option::take)
                .context("expected an answer to a command in flight")?;
            self.free.push(slot);
            count += 1;
            if let Some(times) = times.as_deref_mut() {
                times.saturating_record((now - sent_at).as_nanos() as u64);
            }
        }
        Ok(count)
    }
}

async fn operate<D: Driver>(
    mut connection: Connection<D>,
    mut commands: Commands,
    every: Option<Duration>,
    run: Arc<Run>,
    times: Arc<Times>,
) -> Result<()> {
    let done = &run.done[connection.peer().index];
    let window = commands.sent_at.len();
    let mut due = tokio::time::Instant::now();
    if every.is_none() {
        commands.send(&mut connection, window, Instant::now())?;
    }
    loop {
        connection.flush().await?;
        if let Some(every) = every {
            tokio::select! {
                filled = connection.fill() => filled?,
                () = tokio::time::sleep_until(due) => {
                    // Timers tick once a millisecond: catch up with all that is due.
                    let count = due.elapsed().as_nanos() / every.as_nanos() + 1;
                    due += every * count as u32;
                    let missed = commands.send(&mut connection, count as usize, Instant::now())?;
                    if run.measuring.load(Relaxed) {
                        run.missed.fetch_add(missed as u64, Relaxed);
                    }
                    continue;
                }
            }
        } else {
            connection.fill().await?;
        }
        let now = Instant::now();
        let is_measuring = run.measuring.load(Relaxed);
        let count = if is_measuring {
            commands.take_answers(&mut connection, now, Some(&mut times.lock()))?
        } else {
            commands.take_answers(&mut connection, now, None)?
        };
        done.fetch_add(count as u64, Relaxed);
        if every.is_none() {
            commands.send(&mut connection, count, now)?;
        }
    }
}

/// Starts the tasks of controllers that answer and of operators that command them.
pub(crate) fn start<D: Driver>(
    options: &Options,
    run: &Arc<Run>,
    times: &Arc<Times>,
    controllers: Vec<Connection<D>>,
    operators: Vec<Connection<D>>,
) -> JoinSet<()> {
    let targets = controllers.len();
    let mut tasks = JoinSet::new();
    for connection in controllers {
        run.spawn(&mut tasks, connection.peer(), answer(connection));
    }
    let every = options
        .rate
        .map(|rate| Duration::from_secs_f64(options.operators as f64 / rate));
    for connection in operators {
        let peer = connection.peer();
        let commands = Commands::new(options, targets, peer.index);
        let (shared_run, times) = (Arc::clone(run), Arc::clone(times));
        let work = operate(connection, commands, every, shared_run, times);
        run.spawn(&mut tasks, peer, work);
    }
    tasks
}

/// Runs it.
///
/// # Errors
/// When an answer is lost or invented, or the server fails.
pub(crate) async fn run<D: Driver>(options: &Options, roster: &Arc<Roster>) -> Result<Report> {
    let nothing = |_| Vec::new();
    let (controllers, operators, opening) = open_all::<D>(options, roster, nothing).await?;
    let (run, times) = (Run::new(options.operators), Times::new());
    let _tasks = start(options, &run, &times, controllers, operators);
    let report = run.measure(options, opening, MESSAGES_EACH).await?;
    Ok(Report {
        latency: Some(times.take()),
        ..report
    })
}
