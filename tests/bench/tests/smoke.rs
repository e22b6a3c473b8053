//! The bench works: every workload against the reference relays, and against our gateway where that
//! is built, for a fraction of a second each. Speed is not judged here.

#![expect(clippy::unwrap_used, reason = "a panic is a test's report")]
use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};
use switchyard_bench::report::Report;
use switchyard_testkit::{Program, Programs, Yard, YardOptions, wait_until};
use tokio::io::copy_bidirectional;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{PrivateKeyDer, pem::PemObject},
    },
};

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap()
}

/// Where a server listens for controllers and for operators, and its process.
struct Target {
    tcp: String,
    ws: String,
    id: u32,
    flags: Vec<String>,
}

fn start(program: &str, further: &[&str]) -> (Program, Target) {
    let (tcp, ws) = (free_address(), free_address());
    let mut command = Command::new(program);
    command
        .args([tcp.to_string(), ws.to_string()])
        .args(further);
    let process = Program::start(program, &mut command).unwrap();
    for address in [tcp, ws] {
        wait_until("the relay to listen", || TcpStream::connect(address).ok()).unwrap();
    }
    let target = Target {
        tcp: tcp.to_string(),
        ws: ws.to_string(),
        id: process.id(),
        flags: vec!["--driver=bare".into()],
    };
    (process, target)
}

/// Runs the generator, and gives its exit code, its report and its complaint.
fn load(target: &Target, arguments: &[&str]) -> (bool, Option<Report>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_relay-load"))
        .args(arguments)
        .args(["--secs=0.3", "--warmup=0.1"])
        .args(["--tcp", &target.tcp, "--ws", &target.ws])
        .args(["--server-pid", &target.id.to_string()])
        .args(&target.flags)
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    let report = serde_json::from_slice(&output.stdout).ok();
    (output.status.success(), report, complaint)
}

fn measure(target: &Target, arguments: &[&str]) -> Report {
    let (is_well, report, complaint) = load(target, arguments);
    assert!(is_well, "{arguments:?}: {complaint}");
    report.unwrap()
}

const WORKLOADS: &[&[&str]] = &[
    &["push", "--controllers=20", "--operators=3"],
    &["push", "--controllers=20", "--operators=3", "--window=8"],
    &["fanout", "--controllers=3", "--operators=4"],
    &["rtt", "--controllers=20", "--operators=3", "--window=8"],
    &[
        "rtt",
        "--controllers=20",
        "--operators=3",
        "--window=8",
        "--rate=500",
    ],
    &["idle", "--controllers=20", "--operators=0"],
    &["idle", "--controllers=0", "--operators=20"],
    &[
        "storm",
        "--controllers=20",
        "--operators=2",
        "--live=5",
        "--rate=200",
    ],
];

fn carries(target: &Target, workload: &[&str]) {
    let report = measure(target, workload);
    match workload[0] {
        "idle" => {
            let idle = report.idle.unwrap();
            assert_eq!((idle.connections, idle.gone), (20, 0));
        }
        "storm" => {
            let storm = report.storm.unwrap();
            assert_eq!((storm.controllers, storm.turned_away), (15, 0));
            assert!(storm.calm.p50_us > 0.0);
        }
        kind => {
            let flow = report.flow.unwrap();
            assert!(flow.messages > 0 && flow.server_cpu_s > 0.0, "{flow:?}");
            assert_eq!(report.latency.is_some(), kind == "rtt");
        }
    }
}

#[test]
fn the_floor_carries_every_workload() {
    for workload in WORKLOADS {
        // Afresh each time: it never forgets who wanted what.
        let (_floor, target) = start(env!("CARGO_BIN_EXE_floor"), &[]);
        carries(&target, workload);
    }
}

#[test]
fn the_tokio_relays_carry_every_workload() {
    for further in [&[][..], &["yield"]] {
        for workload in WORKLOADS {
            let (_relay, target) = start(env!("CARGO_BIN_EXE_tokio-relay"), further);
            carries(&target, workload);
        }
    }
}

#[test]
fn the_gateway_carries_every_workload() {
    let programs = Programs::find().unwrap();
    if programs.path("switchyard-gateway").is_err() {
        println!("passed over: the gateway has not been built");
        return;
    }
    let flags = [
        "--ping-interval=5min",
        "--hellos-per-address-per-minute-max=1000",
    ];
    let options = YardOptions {
        clear: true,
        flags: flags.map(String::from).into(),
        ..YardOptions::default()
    };
    let mut yard = Yard::start(&programs, options).unwrap();
    let lines: String = yard
        .enrol("Bench", 20)
        .unwrap()
        .iter()
        .map(|controller| format!("{} {}\n", controller.address, controller.key))
        .collect();
    let keys = yard.folder().join("bench.keys");
    std::fs::write(&keys, lines).unwrap();
    // Started again, it knows all of them at once.
    yard.gateway().unwrap().stop().unwrap();
    yard.start_gateway().unwrap();
    let id = yard.gateway().unwrap().id();
    for (link, tcp) in [("clear", yard.clear()), ("noise", yard.tcp())] {
        let target = Target {
            tcp: tcp.into(),
            ws: yard.http().into(),
            id,
            flags: vec![
                format!("--link={link}"),
                format!("--keys={}", keys.display()),
            ],
        };
        for workload in WORKLOADS {
            carries(&target, workload);
        }
    }
}

#[test]
fn a_server_that_stops_is_a_stall_and_not_a_figure() {
    let (mut floor, target) = start(env!("CARGO_BIN_EXE_floor"), &[]);
    let generator = std::thread::spawn(move || {
        load(
            &target,
            &["push", "--controllers=20", "--operators=3", "--secs=4"],
        )
    });
    // The CPU time of the floor shows that the run is on.
    let floor_processes = switchyard_bench::process::Processes::of(floor.id());
    let before = floor_processes.cpu();
    wait_until("messages", || {
        let used = floor_processes.cpu().since(&before);
        (used.as_millis() > 5).then_some(())
    })
    .unwrap();
    floor.signal("STOP").unwrap();
    let (is_well, report, complaint) = generator.join().unwrap();
    floor.kill().unwrap();
    assert!(!is_well && report.is_none());
    assert!(complaint.starts_with("stalled: "), "{complaint}");
}

#[test]
fn a_server_that_goes_is_a_failure() {
    let (mut floor, target) = start(env!("CARGO_BIN_EXE_floor"), &[]);
    floor.kill().unwrap();
    let (is_well, _, complaint) = load(&target, &["push"]);
    assert!(!is_well);
    assert!(complaint.contains("connecting to"), "{complaint}");
}

#[test]
fn operators_can_come_over_tls() {
    let (_floor, mut target) = start(env!("CARGO_BIN_EXE_floor"), &[]);
    let folder = tempfile::tempdir().unwrap();
    let signed = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::from_pem_slice(signed.signing_key.serialize_pem().as_bytes());
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key.unwrap())
        .unwrap();
    let door = tls_door(TlsAcceptor::from(Arc::new(config)), target.ws.clone());
    target.ws = door.to_string();
    let certificate = |name: &str, pem: String| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, pem).unwrap();
        path
    };
    let trusted = certificate("trusted.pem", signed.cert.pem());
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let strange = certificate("strange.pem", other.cert.pem());

    let arguments = ["rtt", "--controllers=20", "--operators=3", "--window=4"];
    let with = |certificate: &Path| format!("--tls={}", certificate.display());
    let report = measure(&target, &[&arguments[..], &[&with(&trusted)]].concat());
    assert!(report.flow.unwrap().messages > 0);
    let (is_well, _, complaint) = load(&target, &[&arguments[..], &[&with(&strange)]].concat());
    assert!(!is_well && complaint.contains("TLS"), "{complaint}");
}

/// Takes TLS off what comes, and passes it on.
fn tls_door(acceptor: TlsAcceptor, inside: String) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((outer, _)) = listener.accept().await {
                let (acceptor, inside) = (acceptor.clone(), inside.clone());
                tokio::spawn(async move {
                    if let Ok(mut outer) = acceptor.accept(outer).await {
                        let mut inner = tokio::net::TcpStream::connect(inside).await.unwrap();
                        // Ends when the generator does.
                        let _ = copy_bidirectional(&mut outer, &mut inner).await;
                    }
                });
            }
        });
    });
    address
}
