//! Push: each controller tells its status to the operator that it belongs to. Fan-out: to all of
//! them. Each controller keeps `--window` statuses undelivered, no more.

use super::{Run, open_all};
use crate::{
    load::{
        Options,
        connection::Connection,
        driver::{Driver, Event},
        roster::Roster,
    },
    report::Report,
};
use anyhow::{Context, Result, ensure};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};
use tokio::{sync::Notify, task::JoinSet};

/// What a controller's task and the operators' tasks share about one controller.
struct Credit {
    back: Notify,
    /// Deliveries below which its task need not be woken.
    wake_at: AtomicU64,
}

struct Shared {
    run: Arc<Run>,
    credits: Vec<Credit>,
    /// Operators that each status goes to.
    watchers: u64,
    window: u64,
}

async fn tell<D: Driver>(mut connection: Connection<D>, shared: Arc<Shared>) -> Result<()> {
    let index = connection.peer().index;
    let (done, credit) = (&shared.run.done[index], &shared.credits[index]);
    let (watchers, window) = (shared.watchers, shared.window);
    let mut sent = 0;
    loop {
        let delivered = done.load(Relaxed) / watchers;
        while sent < delivered + window {
            connection.status(sent as u32)?;
            sent += 1;
        }
        // Go on when half the window, but at least one, is back.
        let wake_at = (sent - window + window.div_ceil(2)) * watchers;
        credit.wake_at.store(wake_at, Relaxed);
        connection.flush().await?;
        if done.load(Relaxed) >= wake_at {
            continue;
        }
        tokio::select! {
            () = credit.back.notified() => {}
            filled = connection.fill() => {
                filled?;
                while connection.next()?.is_some() {}
            }
        }
    }
}

async fn watch<D: Driver>(mut connection: Connection<D>, shared: Arc<Shared>) -> Result<()> {
    let mut expected = vec![0; shared.credits.len()];
    loop {
        connection.fill().await?;
        while let Some(event) = connection.next()? {
            let Event::Status {
                controller,
                sequence,
            } = event
            else {
                continue;
            };
            let next: &mut u32 = expected
                .get_mut(controller)
                .context("expected the status of a controller of this run")?;
            ensure!(
                sequence == *next,
                "lost: expected status {next} of controller {controller} and got {sequence}"
            );
            *next += 1;
            let delivered = shared.run.done[controller].fetch_add(1, Relaxed) + 1;
            let credit = &shared.credits[controller];
            if delivered >= credit.wake_at.load(Relaxed) {
                credit.back.notify_one();
            }
        }
        connection.flush().await?;
    }
}

/// Runs push, or fan-out.
///
/// # Errors
/// When a status is lost, or the server fails.
pub(crate) async fn run<D: Driver>(
    options: &Options,
    roster: &Arc<Roster>,
    to_all: bool,
) -> Result<Report> {
    let share = |operator: usize| -> Vec<usize> {
        let (first, step) = if to_all {
            (0, 1)
        } else {
            (operator, options.operators)
        };
        (first..options.controllers).step_by(step).collect()
    };
    let (controllers, operators, opening) = open_all::<D>(options, roster, share).await?;
    let credit = |_| Credit {
        back: Notify::new(),
        wake_at: AtomicU64::new(u64::MAX),
    };
    let shared = Arc::new(Shared {
        run: Run::new(options.controllers),
        credits: (0..options.controllers).map(credit).collect(),
        watchers: if to_all { options.operators as u64 } else { 1 },
        window: options.window as u64,
    });
    let (run, mut tasks) = (&shared.run, JoinSet::new());
    for connection in operators {
        let peer = connection.peer();
        run.spawn(&mut tasks, peer, watch(connection, Arc::clone(&shared)));
    }
    for connection in controllers {
        let peer = connection.peer();
        run.spawn(&mut tasks, peer, tell(connection, Arc::clone(&shared)));
    }
    run.measure(options, opening, 1).await
}
