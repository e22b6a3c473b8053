//! The servers: each started afresh for a measurement, on free loopback ports, on a core of its
//! own, and ended by its process id.

use crate::plan::{Load, Server};
use anyhow::{Context, Result, bail, ensure};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::{
    ffi::OsStr,
    fmt::Write as _,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use switchyard_bench::report::Report;
use switchyard_testkit::{Program, Programs, Yard, YardOptions, wait_until};
use tempfile::TempDir;

/// Where servers run.
pub(crate) const SERVER_CORE: usize = 0;
/// Where the generator runs.
const GENERATOR_CORE: usize = 1;

/// Connections beyond which one source address does not do.
const ONE_SOURCE_MAX: usize = 5_000;

/// How often it is looked whether the generator is done.
const WATCH_INTERVAL: Duration = Duration::from_millis(50);

/// Settings that lift what bounds a crowd from one machine.
const GATEWAY_FLAGS: &[&str] = &[
    "--connections-max=65536",
    "--pending-per-ip-max=65536",
    "--hellos-per-ip-per-minute-max=100000000",
    "--hellos-per-address-per-minute-max=1000000",
    "--controllers-max=1000000",
    // Longer than any measurement: see the generator's `switchyard` driver.
    "--ping-interval=5min",
    "--log=warn",
    // None of the others keeps any; docs/performance.md says what it costs.
    "--history-points=",
    "--recent-values=off",
];

/// The gateway's flags for TLS on its HTTP listener.
const TLS_CERTIFICATE: &str = "--tls-certificate";
const TLS_KEY: &str = "--tls-key";

const MOSQUITTO_SETTINGS: &str = "\
per_listener_settings false
allow_anonymous true
persistence false
log_type error
max_connections -1
max_queued_messages 0
max_inflight_messages 0
set_tcp_nodelay true
";

const NATS_SETTINGS: &str = "\
max_connections: 200000
write_deadline: \"10s\"
";

const RUMQTTD_SETTINGS: &str = r#"
id = 0
[router]
id = 0
max_connections = 30000
max_outgoing_packet_count = 200
max_segment_size = 102400
max_segment_count = 2
[v4.1]
name = "v4-1"
listen = "TCP"
next_connection_delay_ms = 0
    [v4.1.connections]
    connection_timeout_ms = 60000
    max_payload_size = 20480
    max_inflight_count = 100
    dynamic_filters = true
[ws.1]
name = "ws-1"
listen = "WS"
next_connection_delay_ms = 0
    [ws.1.connections]
    connection_timeout_ms = 60000
    max_client_id_len = 256
    throttle_delay_ms = 0
    max_payload_size = 20480
    max_inflight_count = 100
    max_inflight_size = 1024
    dynamic_filters = true
"#;

/// Where the programs are.
pub(crate) struct Places {
    /// The gateway.
    pub(crate) gateway: PathBuf,
    /// The bench's own programs.
    pub(crate) programs: PathBuf,
    /// rumqttd, if it was to be had.
    pub(crate) rumqttd: PathBuf,
}

/// All servers, ready to be started.
pub(crate) struct Servers {
    places: Places,
    folder: TempDir,
    controllers: usize,
    interrupted: Arc<AtomicBool>,
    plain: Option<Ours>,
    real: Option<Ours>,
}

/// The first of the loopback addresses that many connections come from. Another one for each run:
/// where an earlier run's ports are still held (`TIME_WAIT`, a minute), the kernel's search for a
/// free one costs the generator more than all the rest.
fn a_source_base() -> Ipv4Addr {
    Ipv4Addr::new(127, rand::random_range(1..=254), 0, 1)
}

/// A signal has asked for the end.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// A yard of our gateway with enrolled controllers.
struct Ours {
    yard: Yard,
    keys: PathBuf,
    certificate: Option<PathBuf>,
    link: &'static str,
}

/// A server that listens.
struct Running {
    id: u32,
    tcp: String,
    ws: String,
    /// What the generator must know besides.
    flags: Vec<String>,
    /// Ended when this goes.
    _program: Option<Program>,
}

impl Servers {
    /// For measurements of at most so many controllers.
    pub(crate) fn new(places: Places, controllers: usize) -> Result<Self> {
        // Whoever ends us must not leave servers behind: what runs is ended on the way out.
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
        }
        Ok(Servers {
            places,
            folder: tempfile::Builder::new().prefix("relay-bench-").tempdir()?,
            controllers,
            interrupted,
            plain: None,
            real: None,
        })
    }

    /// Why a server cannot be measured on this machine.
    pub(crate) fn lacks(&self, server: Server) -> Option<String> {
        let program = match server {
            Server::Switchyard | Server::SwitchyardReal => self.places.gateway.clone(),
            Server::Floor => self.places.programs.join("floor"),
            Server::TokioRelay | Server::TokioYield => self.places.programs.join("tokio-relay"),
            Server::Mosquitto => installed("mosquitto"),
            Server::Nats => installed("nats-server"),
            Server::Rumqttd => self.places.rumqttd.clone(),
        };
        (!program.exists()).then(|| format!("{} is not there", program.display()))
    }

    /// Starts a server, measures it once, and ends it.
    ///
    /// # Errors
    /// When either of them fails; what the generator complained of.
    pub(crate) fn measure(
        &mut self,
        server: Server,
        load: &Load,
        timing: &[String],
    ) -> Result<Report> {
        let running = self.start(server)?;
        let mut command = Command::new(self.places.programs.join("relay-load"));
        command
            .args([load.kind, "--driver", server.driver()])
            .args(["--tcp", &running.tcp, "--ws", &running.ws])
            .args(["--controllers", &load.controllers.to_string()])
            .args(["--operators", &load.operators.to_string()])
            .args(["--window", &load.window.to_string()])
            .args(["--server-pid", &running.id.to_string()])
            .args(["--core", &GENERATOR_CORE.to_string()])
            .args(&running.flags)
            .args(timing);
        if let Some(rate) = load.rate {
            command.args(["--rate", &rate.to_string()]);
        }
        if load.controllers.max(load.operators) > ONE_SOURCE_MAX {
            command.args(["--source-base", &a_source_base().to_string()]);
        }
        if let Some(live) = load.live {
            command.args(["--live", &live.to_string()]);
        }
        let mut generator = Program::start("relay-load", &mut command)?;
        self.wait_for(&mut generator)?;
        let report = generator.wait_for_line("its report", |line| {
            line.starts_with('{').then(|| line.to_owned())
        })?;
        drop(running);
        serde_json::from_str(&report).with_context(|| format!("reading the report {report:?}"))
    }

    /// Waits for the generator, which bounds its own time, to end well.
    fn wait_for(&self, generator: &mut Program) -> Result<()> {
        loop {
            if self.interrupted.load(Ordering::Relaxed) {
                return Err(Interrupted.into());
            }
            match generator.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => {
                    // Its last words may still be on their way.
                    let complaint = wait_until("the generator's complaint", || {
                        Some(generator.log()).filter(|log| !log.is_empty())
                    });
                    bail!(
                        "{}",
                        complaint.unwrap_or_else(|_| status.to_string()).trim()
                    );
                }
                None => std::thread::sleep(WATCH_INTERVAL),
            }
        }
    }

    fn start(&mut self, server: Server) -> Result<Running> {
        if server.is_ours() {
            return self.start_ours(server);
        }
        let (tcp, ws) = (free_address()?, free_address()?);
        let mut command = match server {
            Server::Floor => Command::new(self.places.programs.join("floor")),
            Server::TokioRelay | Server::TokioYield => {
                Command::new(self.places.programs.join("tokio-relay"))
            }
            Server::Mosquitto => {
                let listeners = format!(
                    "listener {} {}\nprotocol mqtt\nlistener {} {}\nprotocol websockets\n",
                    tcp.port(),
                    tcp.ip(),
                    ws.port(),
                    ws.ip()
                );
                let file = self.settings("mosquitto.conf", MOSQUITTO_SETTINGS, &listeners)?;
                let mut command = Command::new(installed("mosquitto"));
                command.arg("-c").arg(file);
                command
            }
            Server::Nats => {
                let listeners = format!(
                    "listen: \"{tcp}\"\nwebsocket {{ listen: \"{ws}\", no_tls: true, compression: false }}\n"
                );
                let file = self.settings("nats.conf", NATS_SETTINGS, &listeners)?;
                let mut command = Command::new(installed("nats-server"));
                command.arg("-c").arg(file);
                command
            }
            Server::Rumqttd => {
                let settings = RUMQTTD_SETTINGS
                    .replace("TCP", &tcp.to_string())
                    .replace("WS", &ws.to_string());
                let file = self.settings("rumqttd.toml", &settings, "")?;
                let mut command = Command::new(&self.places.rumqttd);
                command.args(["--quiet", "-c"]).arg(file);
                command
            }
            Server::Switchyard | Server::SwitchyardReal => unreachable!("started above"),
        };
        if server.driver() == "bare" {
            command.args([tcp.to_string(), ws.to_string()]);
        }
        if server == Server::TokioYield {
            command.arg("yield");
        }
        let program = Program::start(&server.name(), &mut command)?;
        for address in [tcp, ws] {
            wait_until(&format!("{} to listen on {address}", server.name()), || {
                TcpStream::connect(address).ok()
            })
            .map_err(|error| program.failure(&error.to_string()))?;
        }
        Ok(Running {
            id: program.id(),
            tcp: tcp.to_string(),
            ws: ws.to_string(),
            flags: Vec::new(),
            _program: Some(program),
        })
    }

    fn start_ours(&mut self, server: Server) -> Result<Running> {
        let controllers = self.controllers;
        let is_real = server == Server::SwitchyardReal;
        let slot = if is_real {
            &mut self.real
        } else {
            &mut self.plain
        };
        let ours = match slot {
            Some(ours) => ours,
            None => slot.insert(Ours::new(
                &self.places.gateway,
                &self.folder.path().join(server.name()),
                controllers,
                is_real,
            )?),
        };
        ours.yard.gateway()?.stop()?;
        ours.yard.start_gateway()?;
        let id = ours.yard.gateway()?.id();
        let tcp = if is_real {
            ours.yard.tcp()
        } else {
            ours.yard.clear()
        };
        let mut flags = vec!["--link".into(), ours.link.into()];
        flags.extend(["--keys".into(), shown(&ours.keys)]);
        if let Some(certificate) = &ours.certificate {
            flags.extend(["--tls".into(), shown(certificate)]);
        }
        Ok(Running {
            id,
            tcp: tcp.into(),
            ws: ours.yard.http().into(),
            flags,
            _program: None,
        })
    }

    fn settings(&self, name: &str, fixed: &str, listeners: &str) -> Result<PathBuf> {
        let file = self.folder.path().join(name);
        std::fs::write(&file, format!("{fixed}{listeners}"))?;
        Ok(file)
    }
}

impl Ours {
    fn new(gateway: &Path, folder: &Path, controllers: usize, is_real: bool) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        // The testkit looks programs up by their names in a folder.
        let gateway = std::fs::canonicalize(gateway)?;
        std::os::unix::fs::symlink(gateway, folder.join("switchyard-gateway"))?;
        let mut flags: Vec<String> = GATEWAY_FLAGS.iter().map(|&flag| flag.into()).collect();
        let certificate = is_real.then(|| certificate(folder)).transpose()?;
        if let Some((certificate, key)) = &certificate {
            flags.extend([TLS_CERTIFICATE.into(), shown(certificate)]);
            flags.extend([TLS_KEY.into(), shown(key)]);
        }
        let options = YardOptions {
            clear: !is_real,
            flags,
            ..YardOptions::default()
        };
        let yard = Yard::start(&Programs::in_folder(folder), options)?;
        let mut lines = String::new();
        for controller in yard.enrol("Bench", controllers)? {
            writeln!(lines, "{} {}", controller.address, controller.key)?;
        }
        let keys = folder.join("keys");
        std::fs::write(&keys, lines)?;
        Ok(Ours {
            yard,
            keys,
            certificate: certificate.map(|(certificate, _)| certificate),
            link: if is_real { "noise" } else { "clear" },
        })
    }
}

/// A self-signed certificate of this machine's loopback address, and its key.
fn certificate(folder: &Path) -> Result<(PathBuf, PathBuf)> {
    let signed = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    std::fs::write(&certificate, signed.cert.pem())?;
    std::fs::write(&key, signed.signing_key.serialize_pem())?;
    Ok((certificate, key))
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}

/// Where a package put its program; daemons are not on everybody's path.
fn installed(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join(name))
        .find(|program| program.exists())
        .unwrap_or_else(|| name.into())
}

fn shown(path: impl AsRef<OsStr>) -> String {
    path.as_ref().to_string_lossy().into_owned()
}

/// Fails where server and generator would share a core.
pub(crate) fn check_cores() -> Result<()> {
    let cores = std::thread::available_parallelism()?.get();
    ensure!(
        cores > GENERATOR_CORE,
        "expected a core for the server and one for the generator, and found {cores}"
    );
    Ok(())
}
