//! Alarms from the command line: what is wrong and what to do about it, who is told, who is on call, and the rules. All of
//! it goes over the gateway's HTTP API; `words`, `when` and `timeline` are the screen's too.

mod contacts;
pub(crate) mod directory;
mod file;
mod on_call;
mod orders;
mod plan;
mod rules;
pub(crate) mod timeline;
pub(crate) mod when;
pub(crate) mod words;

use crate::{cli::Verb, commands::Link, config::Config, exit::Failure};
use jiff::Timestamp;
use switchyard_client::{Interest, alarms::Alarms};

pub(crate) use orders::{PAGE_ALARMS, pages};

/// The alarms of the gateway that somebody is logged in to, and its clock.
struct Desk {
    alarms: Alarms,
    /// By how much the gateway's clock is ahead of this machine's.
    ahead_ms: i64,
}

impl Desk {
    fn open(config: &Config) -> Result<Self, Failure> {
        let stored = config.log_in()?;
        Ok(Desk {
            alarms: Alarms::new(stored.gateway, stored.token),
            ahead_ms: 0,
        })
    }

    /// The same with the gateway's clock: what is said of now is meant by that.
    async fn open_with_clock(config: &Config) -> Result<Self, Failure> {
        let mut desk = Desk::open(config)?;
        let link = Link::open(config, Interest::Nothing).await?;
        if let Some(now) = link.client.gateway_time() {
            desk.ahead_ms = i64::try_from(now.0)
                .unwrap_or(i64::MAX)
                .saturating_sub(local_ms());
        }
        link.client.clone().close().await;
        Ok(desk)
    }

    /// Gateway time, as far as it is known here.
    fn now_ms(&self) -> u64 {
        u64::try_from(local_ms().saturating_add(self.ahead_ms)).unwrap_or(0)
    }
}

fn local_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// Does what the command line says of alarms.
pub(crate) async fn run(config: &Config, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Alarms { line } => orders::run(config, line).await,
        Verb::Contacts { verb } => contacts::run(&Desk::open(config)?, verb).await,
        Verb::OnCall { line } => on_call::run(&Desk::open_with_clock(config).await?, line).await,
        Verb::AlarmPlan { verb } => plan::run(&Desk::open(config)?, verb).await,
        Verb::AlarmRule { verb } => rules::run(&Desk::open(config)?, verb).await,
        _ => unreachable!("these alone are about alarms"),
    }
}
