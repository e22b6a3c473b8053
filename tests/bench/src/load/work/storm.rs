//! Storm: all controllers are cut off and come back at once, while a few others go on being
//! commanded at a steady pace.
//!
//! Those who come back are played by a thread of the lowest priority, so that what the others wait
//! for is the server and not the generator.

use super::{Run, open, rtt, source};
use crate::{
    load::{
        Options,
        connection::Connection,
        driver::Driver,
        roster::{Peer, Role, Roster},
    },
    process::Processes,
    report::{Report, Storm},
};
use anyhow::{Context, Result, anyhow, ensure};
use std::{
    net::Ipv4Addr,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};
use tokio::{sync::Semaphore, task::JoinSet};

/// How many sources further those who come back come from: where they were, their ports are still
/// held, and a search for free ones would be what is measured.
const SOURCES_FURTHER: u32 = 256;
/// The lowest priority.
const NICENESS: i32 = 19;
/// Who is turned away tries again after half of this to all of it, as a controller would.
const BACKOFF: Duration = Duration::from_secs(1);
/// How long anybody may go on trying.
const RETURN_PATIENCE: Duration = Duration::from_secs(60);

/// Runs it.
///
/// # Errors
/// When somebody does not come back, or the others' round trips fail.
pub(crate) async fn run<D: Driver>(options: &Options, roster: &Arc<Roster>) -> Result<Report> {
    ensure!(
        options.controllers > options.live,
        "expected more than the {} controllers that stay",
        options.live
    );
    let server = Processes::of(options.server_pid.context("expected --server-pid")?);
    let start = Instant::now();
    let nothing = |_| Vec::new();
    let live: Vec<Connection<D>> =
        open(options, roster, Role::Controller, options.live, nothing).await?;
    let operators = open(options, roster, Role::Operator, options.operators, nothing).await?;

    let (mut told, crowd) = crowd::<D>(options, roster);
    told.recv().await.context("waiting for the crowd")??;
    let opening = start.elapsed();

    let (run, times) = (Run::new(options.operators), rtt::Times::new());
    let _tasks = rtt::start(options, &run, &times, live, operators);
    run.pass(Duration::from_secs_f64(options.warmup)).await?;
    run.measuring.store(true, Relaxed);
    run.pass(Duration::from_secs_f64(options.secs)).await?;
    let calm = times.take();

    let before = server.cpu();
    crowd.send(()).map_err(|()| anyhow!("the crowd has gone"))?;
    let all_back = loop {
        run.check()?;
        let patience = Duration::from_millis(100);
        match tokio::time::timeout(patience, told.recv()).await {
            Ok(back) => break back.context("waiting for the crowd to come back")??,
            Err(_) => continue,
        }
    };
    let meanwhile = times.take();
    let controllers = options.controllers - options.live;
    let used = server.cpu().since(&before).as_secs_f64();
    Ok(Report {
        storm: Some(Storm {
            controllers,
            all_back_s: all_back.took.as_secs_f64(),
            turned_away: all_back.turned_away,
            cpu_us_each: used * 1e6 / controllers.max(1) as f64,
            calm,
            meanwhile,
        }),
        ..options.blank_report(opening)
    })
}

fn further(base: Ipv4Addr) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(base) + SOURCES_FURTHER)
}

/// How the crowd came.
struct Arrival {
    took: Duration,
    /// Attempts that failed.
    turned_away: usize,
}

type Told = tokio::sync::mpsc::UnboundedReceiver<Result<Arrival>>;

/// Starts the thread of the others: they come on line, say so, wait for the word, are cut off, come
/// back, and say how long that took.
fn crowd<D: Driver>(
    options: &Options,
    roster: &Arc<Roster>,
) -> (Told, tokio::sync::oneshot::Sender<()>) {
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    let (word, wait) = tokio::sync::oneshot::channel();
    let (mut options, roster) = (options.clone(), Arc::clone(roster));
    std::thread::spawn(move || {
        let failed = tell.clone();
        let play = async {
            let (held, arrival) = all_come::<D>(&options, &roster, options.connecting).await?;
            options.source_base = options.source_base.map(further);
            // Whoever waits for it may have failed by then.
            let _ = tell.send(Ok(arrival));
            wait.await.context("waiting for the word")?;
            drop(held);
            let (_held, arrival) = all_come::<D>(&options, &roster, options.controllers).await?;
            let _ = tell.send(Ok(arrival));
            // Nobody leaves before the run's end.
            std::future::pending().await
        };
        let outcome: Result<()> = rustix::process::nice(NICENESS)
            .context("lowering the priority")
            .and_then(|_| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?;
                runtime.block_on(play)
            });
        if let Err(error) = outcome {
            let _ = failed.send(Err(error));
        }
    });
    (told, word)
}

/// All but the live controllers, so many at a time.
async fn all_come<D: Driver>(
    options: &Options,
    roster: &Arc<Roster>,
    at_once: usize,
) -> Result<(Vec<Connection<D>>, Arrival)> {
    let start = Instant::now();
    let turns = Arc::new(Semaphore::new(at_once));
    let mut tasks = JoinSet::new();
    for index in options.live..options.controllers {
        let (turns, roster) = (Arc::clone(&turns), Arc::clone(roster));
        let from = source(options, index);
        let role = Role::Controller;
        tasks.spawn(async move {
            let _turn = turns.acquire().await;
            come(&roster, Peer { role, index }, from).await
        });
    }
    let mut held = Vec::new();
    let mut turned_away = 0;
    while let Some(joined) = tasks.join_next().await {
        let (connection, failures) = joined.context("a task that comes back")??;
        held.push(connection);
        turned_away += failures;
    }
    let took = start.elapsed();
    Ok((held, Arrival { took, turned_away }))
}

/// One of them, who tries until it is in; and how often it was turned away.
async fn come<D: Driver>(
    roster: &Arc<Roster>,
    peer: Peer,
    from: Option<Ipv4Addr>,
) -> Result<(Connection<D>, usize)> {
    let start = Instant::now();
    let mut failures = 0;
    loop {
        match Connection::open(roster, peer, from, &[]).await {
            Ok(connection) => return Ok((connection, failures)),
            Err(error) if start.elapsed() > RETURN_PATIENCE => return Err(error),
            Err(_) => {
                failures += 1;
                tokio::time::sleep(BACKOFF.mul_f64(rand::random_range(0.5..=1.0))).await;
            }
        }
    }
}
