//! The binary `virtual-controller`: many controllers in one process, for demos, tests and load.
//!
//! Standard output is for programs: one line, `No. 100042 is on line`, each time a controller's
//! session goes live. Everything else goes to standard error.

use std::{collections::BTreeMap, fs, io::Write, path::PathBuf, time::Duration};

use anyhow::{Context, bail, ensure};
use clap::{Parser, ValueEnum};
use switchyard_firmware::{
    Behaviour, ControllerKey, Options, PlantSettings, Settings, VirtualController,
};
use switchyard_protocol::Address;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    task::JoinSet,
};

/// Controllers without hardware: the real firmware core, a simulated plant and a real socket each.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// The gateway, HOST:PORT; give it twice for a second one, which is tried in turn.
    #[arg(long, required = true, value_name = "HOST:PORT")]
    gateway: Vec<String>,

    /// The first controller's number.
    #[arg(long)]
    address: Address,

    /// How many controllers, numbered upwards from `--address`.
    #[arg(long, default_value_t = 1)]
    count: u32,

    /// The key of the one controller, 64 hexadecimal digits. Others can see it in the process
    /// list: prefer the environment or a file.
    #[arg(
        long,
        env = "SWITCHYARD_KEY",
        hide_env_values = true,
        group = "keys_from"
    )]
    key: Option<ControllerKey>,

    /// A file that holds the key of the one controller.
    #[arg(long, group = "keys_from")]
    key_file: Option<PathBuf>,

    /// A file with a line `ADDRESS KEY` for each controller; it may hold more than are started.
    #[arg(long, group = "keys_from")]
    keys: Option<PathBuf>,

    /// What the controllers do.
    #[arg(long, value_enum, default_value_t = BehaviourName::Latch)]
    behaviour: BehaviourName,

    /// Speak the clear link, which a gateway offers only to laboratories.
    #[arg(long)]
    clear: bool,

    /// DI1 flips by itself this often, in seconds.
    #[arg(long, value_name = "SECONDS")]
    input_period: Option<f64>,

    /// The feedback DI2 does not follow RL1.
    #[arg(long)]
    stuck_feedback: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum BehaviourName {
    Latch,
    Pulse,
    Follow,
    Ramp,
}

impl From<BehaviourName> for Behaviour {
    fn from(name: BehaviourName) -> Self {
        match name {
            BehaviourName::Latch => Behaviour::Latch,
            BehaviourName::Pulse => Behaviour::Pulse,
            BehaviourName::Follow => Behaviour::Follow,
            BehaviourName::Ramp => Behaviour::Ramp,
        }
    }
}

impl Arguments {
    /// The controllers to start, each with its key.
    fn controllers(&self) -> anyhow::Result<Vec<(Address, ControllerKey)>> {
        ensure!(
            (1..=2).contains(&self.gateway.len()),
            "expected one or two gateways"
        );
        ensure!(self.count >= 1, "expected a count of at least 1");
        let last = self.address.0.checked_add(self.count - 1).map(Address);
        ensure!(
            self.address.is_controller() && last.is_some_and(Address::is_controller),
            "expected controllers' numbers, 1 to 2147483647"
        );
        let one = match (&self.key, &self.key_file) {
            (Some(key), _) => Some(key.clone()),
            (None, Some(path)) => Some(read(path)?.parse().context(path.display().to_string())?),
            (None, None) => None,
        };
        let addresses = (0..self.count).map(|index| Address(self.address.0 + index));
        match (one, &self.keys) {
            (Some(key), _) if self.count == 1 => Ok(vec![(self.address, key)]),
            (Some(_), _) => bail!(
                "expected --keys FILE with {} keys: every controller has a key of its own",
                self.count
            ),
            (None, Some(path)) => {
                let keys = switchyard_firmware::parse_keys(&read(path)?)
                    .with_context(|| path.display().to_string())?;
                addresses.map(|address| key_of(&keys, address)).collect()
            }
            // The clear link knows no keys.
            (None, None) if self.clear => Ok(addresses
                .map(|address| (address, ControllerKey::new([0; 32])))
                .collect()),
            (None, None) => bail!("expected a key: --key, --key-file, --keys or SWITCHYARD_KEY"),
        }
    }

    fn plant(&self) -> anyhow::Result<PlantSettings> {
        let input_period = match self.input_period {
            None => None,
            Some(seconds) if seconds >= 0.01 => Some(
                Duration::try_from_secs_f64(seconds)
                    .context("expected a shorter --input-period")?,
            ),
            Some(_) => bail!("expected an --input-period of at least 0.01 seconds"),
        };
        Ok(PlantSettings {
            input_period,
            stuck_feedback: self.stuck_feedback,
        })
    }
}

fn read(path: &PathBuf) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))
}

fn key_of(
    keys: &BTreeMap<Address, ControllerKey>,
    address: Address,
) -> anyhow::Result<(Address, ControllerKey)> {
    let key = keys
        .get(&address)
        .with_context(|| format!("no key for No. {address}"))?;
    Ok((address, key.clone()))
}

fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .init();
    let arguments = Arguments::parse();
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(run(&arguments))
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let listed = arguments.controllers()?;
    let plant = arguments.plant()?;
    // Room for every controller to come live twice while standard output is stuck.
    let (live, mut went_live) = mpsc::channel(listed.len() * 2);
    let mut controllers = Vec::with_capacity(listed.len());
    for (address, key) in listed {
        let mut settings = Settings::new(address, key, arguments.behaviour.into());
        settings.clear = arguments.clear;
        controllers.push(VirtualController::spawn(Options {
            settings,
            gateways: arguments.gateway.clone(),
            plant: plant.clone(),
            live: Some(live.clone()),
        })?);
    }
    drop(live);
    tracing::info!(count = controllers.len(), "started");
    loop {
        tokio::select! {
            _ = terminated.recv() => break,
            _ = interrupted.recv() => break,
            address = went_live.recv() => match address {
                Some(address) => tell(address)?,
                None => bail!("every controller has stopped by itself"),
            },
        }
    }
    let mut stopping = JoinSet::new();
    for controller in controllers {
        stopping.spawn(controller.stop());
    }
    stopping.join_all().await;
    tracing::info!("stopped");
    Ok(())
}

fn tell(address: Address) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "No. {address} is on line")?;
    out.flush().context("could not write to standard output")
}
