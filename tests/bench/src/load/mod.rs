//! The generator: plays controllers (TCP) and operators (WebSocket) on one thread.
//!
//! - `driver`: the same few things said in each server's own protocol.
//! - `envelope`: what messages are wrapped in: nothing, WebSocket messages, Noise records.
//! - `connection`, `stream`: one peer's socket.
//! - `work`: the workloads.

mod connection;
mod driver;
mod envelope;
mod http;
mod noise;
mod roster;
mod stream;
mod websocket;
mod work;

use crate::report::Report;
use anyhow::{Result, bail, ensure};
use clap::{Parser, ValueEnum};
use driver::{Bare, Driver, Mqtt, Nats, Switchyard};
use roster::Roster;
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

/// In which protocol the server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DriverName {
    /// Switchyard's own.
    Switchyard,
    /// That of the reference relays.
    Bare,
    /// MQTT 3.1.1.
    Mqtt,
    /// NATS.
    Nats,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WorkloadName {
    /// Operators command, controllers answer.
    Rtt,
    /// Each controller tells its status to the one operator that it belongs to.
    Push,
    /// Each controller tells its status to all operators.
    Fanout,
    /// Connections that do nothing.
    Idle,
    /// All controllers but the commanded ones are cut off, and come back at once.
    Storm,
}

/// How a controller's connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Link {
    /// Not at all.
    Clear,
    /// By the Noise session of `docs/protocol.md` §4.1.
    Noise,
}

/// The generator's settings.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "relay-load",
    about = "Plays controllers and operators",
    args_override_self = true
)]
pub struct Options {
    /// What to do.
    #[arg(value_enum)]
    pub workload: WorkloadName,
    /// In which protocol.
    #[arg(long, value_enum, default_value = "switchyard")]
    pub driver: DriverName,
    /// Where controllers connect.
    #[arg(long)]
    pub tcp: SocketAddr,
    /// Where operators connect.
    #[arg(long)]
    pub ws: SocketAddr,
    /// Controllers.
    #[arg(long, default_value_t = 200)]
    pub controllers: usize,
    /// Operators.
    #[arg(long, default_value_t = 20)]
    pub operators: usize,
    /// Messages in flight, for each operator (rtt) or controller (push, fanout).
    #[arg(long, default_value_t = 1)]
    pub window: usize,
    /// rtt: commands a second in all, in place of as fast as possible.
    #[arg(long)]
    pub rate: Option<f64>,
    /// storm: those of the controllers that stay, and are commanded.
    #[arg(long, default_value_t = 100)]
    pub live: usize,
    /// Seconds measured (idle: held).
    #[arg(long, default_value_t = 4.0)]
    pub secs: f64,
    /// Seconds before measuring.
    #[arg(long, default_value_t = 1.0)]
    pub warmup: f64,
    /// The server's process, whose CPU and memory are looked at.
    #[arg(long)]
    pub server_pid: Option<u32>,
    /// Connections being opened at the same time.
    #[arg(long, default_value_t = 64)]
    pub connecting: usize,
    /// Connect from this loopback address and those after it.
    #[arg(long)]
    pub source_base: Option<Ipv4Addr>,
    /// Connections from each source address.
    #[arg(long, default_value_t = 2_000)]
    pub per_source: usize,
    /// The core to stay on.
    #[arg(long)]
    pub core: Option<usize>,
    /// Switchyard: how controllers are linked.
    #[arg(long, value_enum, default_value = "clear")]
    pub link: Link,
    /// Switchyard: the enrolled controllers, a line `ADDRESS KEY` each.
    #[arg(long)]
    pub keys: Option<PathBuf>,
    /// Switchyard: the account of all operators, with the password of a test yard.
    #[arg(long, default_value = "operator")]
    pub account: String,
    /// Switchyard: TLS to operators, trusting the certificate in this PEM file.
    #[arg(long)]
    pub tls: Option<PathBuf>,
}

/// Bytes of a command's and of an answer's payload.
pub const COMMAND_BYTES: usize = 64;
/// Bytes of a status's payload.
pub const STATUS_BYTES: usize = 200;
/// How far a CBOR payload may be from that.
pub const BYTES_TOLERANCE: usize = 4;

/// How long a peer may take to come on line.
const OPENING_PATIENCE: Duration = Duration::from_secs(60);
/// How long all of them may take, and then all of them again after a storm.
const RUN_PATIENCE: Duration = Duration::from_secs(150);

/// Runs one measurement.
///
/// # Errors
/// When the server refuses, loses or invents something, or stalls.
pub fn run(options: Options) -> Result<Report> {
    ensure!(options.window > 0, "expected a window of at least 1");
    let only_one_sort = options.workload == WorkloadName::Idle;
    ensure!(
        only_one_sort || (options.controllers > 0 && options.operators > 0),
        "expected at least one controller and one operator"
    );
    if let Some(core) = options.core {
        crate::process::stay_on_core(core)?;
    }
    crate::process::raise_open_files()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let deadline = RUN_PATIENCE + options.quiet();
    let work = async {
        match options.driver {
            DriverName::Switchyard => run_with::<Switchyard>(options).await,
            DriverName::Bare => run_with::<Bare>(options).await,
            DriverName::Mqtt => run_with::<Mqtt>(options).await,
            DriverName::Nats => run_with::<Nats>(options).await,
        }
    };
    let report = runtime.block_on(async { tokio::time::timeout(deadline, work).await });
    runtime.shutdown_background();
    report.unwrap_or_else(|_| bail!("expected to be done within {} s", deadline.as_secs()))
}

async fn run_with<D: Driver>(options: Options) -> Result<Report> {
    let roster = Arc::new(Roster::of::<D>(&options).await?);
    match options.workload {
        WorkloadName::Rtt => work::rtt::run::<D>(&options, &roster).await,
        WorkloadName::Push => work::push::run::<D>(&options, &roster, false).await,
        WorkloadName::Fanout => work::push::run::<D>(&options, &roster, true).await,
        WorkloadName::Idle => work::idle::run::<D>(&options, &roster).await,
        WorkloadName::Storm => work::storm::run::<D>(&options, &roster).await,
    }
}

impl Options {
    /// Warm-up and measurement.
    fn quiet(&self) -> Duration {
        Duration::from_secs_f64(self.warmup + self.secs)
    }

    fn blank_report(&self, opening: Duration) -> Report {
        let name = |value: Option<clap::builder::PossibleValue>| {
            value.map_or_else(String::new, |value| value.get_name().into())
        };
        Report {
            driver: name(self.driver.to_possible_value()),
            workload: name(self.workload.to_possible_value()),
            controllers: self.controllers,
            operators: self.operators,
            window: self.window,
            opening_s: opening.as_secs_f64(),
            ..Report::default()
        }
    }
}
