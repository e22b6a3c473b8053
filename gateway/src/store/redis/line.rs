//! One connection to Redis: made when it is wanted, given up when it fails, made anew after a pause that grows.

use crate::store::StoreError;
use rand::Rng as _;
use redis::{
    AsyncConnectionConfig, Client, ErrorKind, FromRedisValue, Pipeline, RedisError,
    ServerErrorKind, aio::MultiplexedConnection,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Mutex, Semaphore},
    time::Instant,
};

/// From dialling to a connection that has said who it is. Less than a store's call may take by default, so that the
/// caller learns of it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The pauses after failures to connect: each twice the one before. The longest is what a server that is back waits
/// for at most.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// See [`PAUSE_MIN`].
const PAUSE_MAX: Duration = Duration::from_secs(3);

/// The scripts, in the order of [`Script`].
const SCRIPTS: [&str; 6] = [
    include_str!("put.lua"),
    include_str!("page.lua"),
    include_str!("hold.lua"),
    include_str!("release.lua"),
    include_str!("append.lua"),
    include_str!("forget.lua"),
];

/// One of the scripts that Redis runs as a whole, which is what makes it atomic.
#[derive(Clone, Copy, Debug)]
pub(super) enum Script {
    Put = 0,
    Page = 1,
    Hold = 2,
    Release = 3,
    Append = 4,
    Forget = 5,
}

/// A connection, with what was learned when it was made.
#[derive(Clone)]
pub(super) struct Link {
    connection: MultiplexedConnection,
    /// The hash of each script, which Redis has been given.
    scripts: Arc<Vec<String>>,
    /// Which run of the server it is.
    pub(super) run: u64,
    /// Counts the connections of this line.
    life: u64,
}

impl Link {
    /// Begins a script's call in a pipeline; keys and arguments follow.
    pub(super) fn script<'a>(
        &self,
        pipeline: &'a mut Pipeline,
        script: Script,
        keys: usize,
    ) -> &'a mut Pipeline {
        let hash = &self.scripts[script as usize];
        pipeline.cmd("EVALSHA").arg(hash).arg(keys)
    }
}

/// A connection that is made anew whenever it has to be.
pub(super) struct Line {
    client: Client,
    /// What it is for, in the log.
    purpose: &'static str,
    state: Mutex<State>,
    /// The highest life that has been given up.
    given_up: AtomicU64,
    /// Calls that may be under way.
    places: Semaphore,
}

#[derive(Default)]
struct State {
    link: Option<Link>,
    lives: u64,
    /// Failures to connect in a row.
    failures: u32,
    /// Not to be dialled before.
    not_before: Option<Instant>,
    /// The log says that it is gone.
    is_told: bool,
}

/// Gives a connection up unless told that all went well: also when the caller has lost patience.
struct Doubt<'a> {
    line: &'a Line,
    life: u64,
}

impl Doubt<'_> {
    fn dispel(mut self) {
        self.life = 0;
    }
}

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        self.line.given_up.fetch_max(self.life, Ordering::AcqRel);
    }
}

impl Line {
    pub(super) fn new(client: Client, purpose: &'static str, calls_max: usize) -> Self {
        Line {
            client,
            purpose,
            state: Mutex::default(),
            given_up: AtomicU64::new(0),
            places: Semaphore::new(calls_max),
        }
    }

    /// Sends what `build` makes for the connection there is, in one go, and waits for all answers. Any of them that
    /// is an error fails the whole.
    pub(super) async fn call<T: FromRedisValue>(
        &self,
        build: impl FnOnce(&Link, &mut Pipeline),
    ) -> Result<T, StoreError> {
        let _place = self.places.try_acquire().map_err(|_| StoreError::Busy)?;
        let mut link = self.link().await?;
        let mut pipeline = Pipeline::new();
        build(&link, &mut pipeline);
        let doubt = Doubt {
            line: self,
            life: link.life,
        };
        let answer = pipeline.query_async(&mut link.connection).await;
        if answer.as_ref().err().is_none_or(leaves_connection_whole) {
            doubt.dispel();
        }
        Ok(answer?)
    }

    /// Which run of the server the present connection is to.
    pub(super) async fn run(&self) -> Result<u64, StoreError> {
        Ok(self.link().await?.run)
    }

    /// The connection there is, or a new one. Others that want it wait; whoever waits too long leaves no mark but
    /// the pause that follows.
    async fn link(&self) -> Result<Link, StoreError> {
        let mut state = self.state.lock().await;
        if let Some(link) = &state.link {
            if link.life > self.given_up.load(Ordering::Acquire) {
                return Ok(link.clone());
            }
            state.link = None;
        }
        let now = Instant::now();
        if state.not_before.is_some_and(|moment| now < moment) {
            return Err(StoreError::Gone("Redis, which is tried again soon"));
        }
        // Before it is tried, since a caller that loses patience is a failure as well.
        state.not_before = Some(now + pause(state.failures));
        state.failures = state.failures.saturating_add(1);
        let life = state.lives + 1;
        match self.connect(life).await {
            Ok(link) => {
                if std::mem::take(&mut state.is_told) {
                    tracing::info!(purpose = self.purpose, "Redis is there again");
                }
                state.lives = life;
                state.link = Some(link.clone());
                (state.failures, state.not_before) = (0, None);
                Ok(link)
            }
            Err(error) => {
                if !std::mem::replace(&mut state.is_told, true) {
                    tracing::warn!(
                        purpose = self.purpose,
                        %error,
                        "Redis cannot be reached; it is tried again and again, without a further word"
                    );
                }
                Err(error.into())
            }
        }
    }

    async fn connect(&self, life: u64) -> Result<Link, RedisError> {
        // How long an answer may take is the caller's affair; how long all of this may, is ours.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(None);
        let connecting = async {
            let mut connection = self
                .client
                .get_multiplexed_async_connection_with_config(&config)
                .await?;
            let mut pipeline = Pipeline::new();
            for script in SCRIPTS {
                pipeline.cmd("SCRIPT").arg("LOAD").arg(script);
            }
            let scripts: Vec<String> = pipeline.query_async(&mut connection).await?;
            let mut ask = redis::cmd("INFO");
            let info: Result<String, _> = ask.arg("server").query_async(&mut connection).await;
            Ok(Link {
                connection,
                scripts: Arc::new(scripts),
                // Where that may not be asked, every connection counts as one to a new run: all is put again then,
                // which is never wrong.
                run: info
                    .ok()
                    .and_then(|info| run_of(&info))
                    .unwrap_or_else(rand::random),
                life,
            })
        };
        let late = || {
            let late = std::io::Error::from(std::io::ErrorKind::TimedOut);
            Err(RedisError::from(late))
        };
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
        connected.unwrap_or_else(|_| late())
    }
}

/// Whether an error is one answer's alone. After any other the connection is made anew; that includes the scripts,
/// should somebody have flushed them.
fn leaves_connection_whole(error: &RedisError) -> bool {
    use ServerErrorKind::{BusyLoading, MasterDown, NoScript, ReadOnly};
    match error.kind() {
        ErrorKind::Server(BusyLoading | MasterDown | NoScript | ReadOnly) => false,
        // Full memory is one of the extensions.
        ErrorKind::Server(_) | ErrorKind::Extension | ErrorKind::UnexpectedReturnType => true,
        _ => false,
    }
}

/// How long to wait after so many failures, and up to half as long again, so that gateways do not come back in step.
fn pause(failures: u32) -> Duration {
    let pause = PAUSE_MIN.saturating_mul(1 << failures.min(10));
    pause
        .min(PAUSE_MAX)
        .mul_f64(rand::rng().random_range(1.0..1.5))
}

/// The half of the server's `run_id`, which it draws when it starts.
fn run_of(info: &str) -> Option<u64> {
    let line = info.lines().find_map(|line| line.strip_prefix("run_id:"))?;
    u64::from_str_radix(line.get(..16)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound() {
        for (failures, least_ms, most_ms) in [
            (0, 100, 150),
            (1, 200, 300),
            (4, 1_600, 2_400),
            (5, 3_000, 4_500),
            (u32::MAX, 3_000, 4_500),
        ] {
            let pause = pause(failures).as_millis();
            assert!((least_ms..=most_ms).contains(&pause), "{failures}: {pause}");
        }
    }

    #[test]
    fn a_run_is_known_by_its_id() {
        let info = "# Server\r\nredis_version:7.0.15\r\nrun_id:00000000000000ff33\r\n";
        assert_eq!(run_of(info), Some(255));
        for other in ["", "run_id:", "run_id:xx", "run_id:00000000000000éé"] {
            assert_eq!(run_of(other), None);
        }
    }
}
