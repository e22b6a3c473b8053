//! The binary `virtual-controller`: many controllers in one process, for demos, tests and load.
//!
//! Standard output is for programs: one line, `No. 100042 is on line`, each time a controller's
//! session goes live. Everything else goes to standard error. With `--serial` standard output and input are a
//! board's serial line, and that one line goes to standard error too.

use std::{
    collections::BTreeMap,
    fs,
    io::{IsTerminal, Write},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use clap::{Parser, ValueEnum};
use switchyard_firmware::{
    Behaviour, Channel, ControllerKey, Executions, Flash, Network, Options, PlantSettings, Script,
    Serial, SerialPort, Settings, VirtualController,
};
use switchyard_protocol::Address;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    task::JoinSet,
};

/// Controllers without hardware: the real firmware core, a simulated plant and a real socket each.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// The gateway, HOST:PORT; give it twice for a second one, which is tried in turn. With `--http` a
    /// controller does without, and without a key.
    #[arg(long, required_unless_present_any = ["http", "serial"], value_name = "HOST:PORT")]
    gateway: Vec<String>,

    /// The first controller's number. `--keys` can do without: all of its controllers then start. And a
    /// controller without a gateway, which is No. 1 then.
    #[arg(long, required_unless_present_any = ["keys", "http", "serial"])]
    address: Option<Address>,

    /// How many controllers: numbered upwards from `--address`, or the first ones of `--keys`.
    #[arg(long)]
    count: Option<u32>,

    /// The key of the one controller, 64 hexadecimal digits. Others can see it in the process
    /// list: prefer the environment or a file.
    #[arg(
        long,
        env = "SWITCHYARD_KEY",
        hide_env_values = true,
        group = "keys_from"
    )]
    // A plain text: the argument parser repeats what it cannot parse, and a key with one digit too
    // few is most of a secret.
    key: Option<String>,

    /// A file that holds the key of the one controller.
    #[arg(long, group = "keys_from")]
    key_file: Option<PathBuf>,

    /// A file with a line `ADDRESS KEY` for each controller; it may hold more than are started.
    #[arg(long, group = "keys_from")]
    keys: Option<PathBuf>,

    /// What the controllers do: a script that comes with the firmware.
    #[arg(long, value_enum, default_value_t = BehaviourName::Latch)]
    behaviour: BehaviourName,

    /// What the controllers do: a script of your own.
    #[arg(long, value_name = "FILE", conflicts_with = "behaviour")]
    script: Option<PathBuf>,

    /// Local time, by which schedules go: a POSIX TZ string such as CET-1CEST,M3.5.0,M10.5.0/3.
    #[arg(long, value_name = "TZ")]
    zone: Option<String>,

    /// Serve the controller's own page here, ADDRESS:PORT. For one controller.
    #[arg(long, value_name = "ADDRESS:PORT")]
    http: Option<std::net::SocketAddr>,

    /// Keep what a board has in its flash in this file: script, settings, retained values, log, events that the
    /// gateway does not have yet. For one controller; `--script` is only for a blank one. Without it `--http`
    /// forgets everything; and without both a controller keeps nothing, so it tells no events and no alarms,
    /// and takes no script and no firmware.
    #[arg(long, value_name = "FILE")]
    flash: Option<PathBuf>,

    /// Speak a board's serial line on standard input and output, as raw bytes (docs/serial.md): the board can be
    /// provisioned over it. The end of the input ends the process; SIGUSR1 holds its button for ten
    /// seconds. For one controller; it restarts within the process, and dials no gateway before it is on a network.
    #[arg(long)]
    serial: bool,

    /// A network that is around the board on the serial line; as often as wanted. Without a password it is open.
    #[arg(long, value_name = "NAME:PASSWORD", value_parser = network, requires = "serial")]
    wifi: Vec<Network>,

    /// Take updates that the owner of this public key has signed, 64 hexadecimal digits. With `--http` or
    /// `--flash`; they go into the flash, and what runs stays the same.
    #[arg(long, value_name = "HEX", value_parser = public_key)]
    update_key: Option<PublicKey>,

    /// Speak the clear link, which a gateway offers only to laboratories.
    #[arg(long)]
    clear: bool,

    /// DI1 flips by itself this often, in seconds.
    #[arg(long, value_name = "SECONDS")]
    input_period: Option<f64>,

    /// DI1's level at the start.
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = Level::Off)]
    input: Level,

    /// The feedback DI2 does not follow RL1.
    #[arg(long)]
    stuck_feedback: bool,

    /// Append a line `ADDRESS KEY TIME` to this file for every command that is executed.
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,

    /// Dial again after so long at most, in seconds, however often the link was lost: for tests that end
    /// the gateway again and again.
    #[arg(long, value_name = "SECONDS")]
    redial_within: Option<f64>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Level {
    Off,
    On,
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
        ensure!(self.gateway.len() <= 2, "expected one or two gateways");
        ensure!(self.count != Some(0), "expected a count of at least 1");
        if let Some(path) = &self.keys {
            let keys = switchyard_firmware::parse_keys(&read(path)?)
                .with_context(|| path.display().to_string())?;
            return self
                .listed(&keys)
                .with_context(|| path.display().to_string());
        }
        let addresses = self.numbered()?;
        let key = match (&self.key, &self.key_file) {
            (Some(key), _) => key
                .parse::<ControllerKey>()
                .context("--key or SWITCHYARD_KEY")?,
            (None, Some(path)) => read(path)?.parse().context(path.display().to_string())?,
            // The clear link knows no keys, and where there is no gateway there is no link.
            (None, None) if self.clear || self.gateway.is_empty() => {
                let keyless = |address| (address, ControllerKey::new([0; 32]));
                return Ok(addresses.into_iter().map(keyless).collect());
            }
            (None, None) => bail!("expected a key: --key, --key-file, --keys or SWITCHYARD_KEY"),
        };
        ensure!(
            addresses.len() == 1,
            "expected --keys FILE with {} keys: every controller has a key of its own",
            addresses.len()
        );
        Ok(addresses
            .into_iter()
            .map(|address| (address, key.clone()))
            .collect())
    }

    /// Those of the key file that are asked for.
    fn listed(
        &self,
        keys: &BTreeMap<Address, ControllerKey>,
    ) -> anyhow::Result<Vec<(Address, ControllerKey)>> {
        let addresses = match (self.address, self.count) {
            (Some(_), _) => self.numbered()?,
            (None, None) => keys.keys().copied().collect(),
            (None, Some(count)) => {
                let count = usize::try_from(count)?;
                ensure!(
                    keys.len() >= count,
                    "expected {count} keys and found {}",
                    keys.len()
                );
                keys.keys().copied().take(count).collect()
            }
        };
        ensure!(!addresses.is_empty(), "expected at least one key");
        addresses
            .into_iter()
            .map(|address| {
                let key = keys
                    .get(&address)
                    .with_context(|| format!("no key for No. {address}"))?;
                Ok((address, key.clone()))
            })
            .collect()
    }

    /// The numbers from `--address` upwards.
    fn numbered(&self) -> anyhow::Result<Vec<Address>> {
        let first = match self.address {
            None if self.gateway.is_empty() => Address(1),
            address => address.context("expected --address")?,
        };
        let last = first
            .0
            .checked_add(self.count.unwrap_or(1) - 1)
            .map(Address);
        ensure!(
            first.is_controller() && last.is_some_and(Address::is_controller),
            "expected controllers' numbers, 1 to 2147483647"
        );
        Ok((0..self.count.unwrap_or(1))
            .map(|index| Address(first.0 + index))
            .collect())
    }

    /// What the controllers run.
    fn script(&self) -> anyhow::Result<Script> {
        let Some(path) = &self.script else {
            return Ok(Behaviour::from(self.behaviour).into());
        };
        let title = path.file_stem().unwrap_or_default().to_string_lossy();
        Script::new(&title, &read(path)?).with_context(|| path.display().to_string())
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

/// An Ed25519 public key.
#[derive(Clone, Copy)]
struct PublicKey([u8; 32]);

fn public_key(digits: &str) -> Result<PublicKey, String> {
    let key = digits
        .parse::<ControllerKey>()
        .map_err(|_| "expected 64 hexadecimal digits".to_owned())?;
    Ok(PublicKey(*key.bytes()))
}

fn network(text: &str) -> Result<Network, String> {
    let (name, password) = text.split_once(':').unwrap_or((text, ""));
    if name.is_empty() {
        return Err("expected NAME or NAME:PASSWORD".to_owned());
    }
    Ok(Network {
        name: name.to_owned(),
        password: password.to_owned(),
    })
}

fn read(path: &PathBuf) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))
}

fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .init();
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let ended = runtime.block_on(run(&arguments));
    // A read of standard input cannot be called off, and nobody waits for it.
    runtime.shutdown_background();
    ended
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut pressed = signal(SignalKind::user_defined1())?;
    let mut button = None;
    let listed = arguments.controllers()?;
    let plant = arguments.plant()?;
    let script = arguments.script()?;
    if arguments.script.is_some() {
        let micros = script.program().scan_micros();
        tracing::info!("a scan of the script takes at most {micros} µs of 10,000 on the chip");
    }
    let has_board = arguments.http.is_some() || arguments.flash.is_some() || arguments.serial;
    ensure!(
        !has_board || listed.len() == 1,
        "expected one controller with --http, --flash or --serial"
    );
    let executions = match &arguments.journal {
        Some(path) => {
            let executions = Executions::append_to(path);
            Some(executions.with_context(|| path.display().to_string())?)
        }
        None => None,
    };
    let redial_within = match arguments.redial_within {
        Some(seconds) => Some(
            Duration::try_from_secs_f64(seconds)
                .context("expected a --redial-within of 0 or more")?,
        ),
        None => None,
    };
    // Room for every controller to come live twice while standard output is stuck.
    let (live, mut went_live) = mpsc::channel(listed.len() * 2);
    let mut controllers = Vec::with_capacity(listed.len());
    for (address, key) in listed {
        let mut settings = Settings::new(address, key, script.clone());
        settings.zone.clone_from(&arguments.zone);
        settings.clear = arguments.clear;
        let flash = match (&arguments.flash, has_board) {
            (Some(path), _) => {
                Some(Flash::in_file(path).with_context(|| path.display().to_string())?)
            }
            (None, true) => Some(Flash::blank()),
            (None, false) => None,
        };
        let flash = match arguments.update_key {
            Some(PublicKey(key)) => flash.map(|flash| flash.with_update_key(key)),
            None => flash,
        };
        let http = match arguments.http {
            Some(at) => Some(listen(at, arguments.serial).await?),
            None => None,
        };
        let controller = VirtualController::spawn(Options {
            flash,
            http,
            serial: arguments.serial.then(|| Serial {
                serial_port: SerialPort {
                    input: Box::new(tokio::io::stdin()),
                    output: Box::new(tokio::io::stdout()),
                },
                networks: arguments.wifi.clone(),
            }),
            settings,
            gateways: arguments.gateway.clone(),
            plant: plant.clone(),
            live: Some(live.clone()),
            executions: executions.clone(),
            redial_within,
        })?;
        if arguments.input == Level::On {
            controller.set_input(Channel::Di1, 1).await;
        }
        controllers.push(controller);
    }
    drop(live);
    tracing::info!(count = controllers.len(), "started");
    loop {
        tokio::select! {
            _ = terminated.recv() => break,
            _ = interrupted.recv() => break,
            _ = pressed.recv() => {
                button = Some(tokio::time::Instant::now() + BUTTON_HELD);
                press(&controllers, true).await;
            }
            () = released(button) => {
                button = None;
                press(&controllers, false).await;
            }
            address = went_live.recv() => match address {
                Some(address) => tell(&format!("No. {address} is on line"), arguments.serial)?,
                // The cable was pulled.
                None if arguments.serial => break,
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

/// Listens for the page, and says where.
async fn listen(at: std::net::SocketAddr, is_serial: bool) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(at)
        .await
        .with_context(|| format!("could not listen on {at}"))?;
    tell(
        &format!("its page is at http://{}/", listener.local_addr()?),
        is_serial,
    )?;
    Ok(listener)
}

/// A line for programs, on standard output where that is not the serial line.
fn tell(line: &str, is_serial: bool) -> anyhow::Result<()> {
    if is_serial {
        return writeln!(std::io::stderr().lock(), "{line}")
            .context("could not write to standard error");
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush().context("could not write to standard output")
}

/// How long SIGUSR1 holds the button: a little more than what unlocks a board.
const BUTTON_HELD: Duration = Duration::from_millis(10_500);

async fn press(controllers: &[VirtualController], is_pressed: bool) {
    for controller in controllers {
        controller.press_button(is_pressed).await;
    }
}

/// When the button is let go; never, while it is not held.
async fn released(button: Option<tokio::time::Instant>) {
    match button {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
