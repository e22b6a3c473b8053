//! What a host's owner and the service manager ask of the gateway: readiness, the log, listeners that outlive a
//! restart, the doctor, the manual.

use crate::{
    process::{program, run},
    support::{Controller, Enrolled, Gateway, PASSWORD, request, soon, until},
};
use std::{
    net::{SocketAddr, TcpListener},
    os::fd::OwnedFd,
    path::Path,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use switchyard_gateway::store::{Fault, Faults, Guarded};
use tokio::{net::UnixDatagram, process::Command, sync::mpsc};

async fn status(gateway: &Gateway, path: &str) -> (u16, serde_json::Value) {
    let answer = request(gateway.http, "GET", path, &[], "").await;
    (answer.status, answer.json())
}

async fn signal(signal: &str, child: &tokio::process::Child) {
    let id = child.id().unwrap().to_string();
    let mut kill = Command::new("kill");
    assert!(kill.args([signal, &id]).status().await.unwrap().success());
}

#[tokio::test]
async fn readiness_ends_before_the_service_does() {
    let gateway =
        Gateway::start_with(|settings| settings.drain_delay = Duration::from_secs(3)).await;
    let (code, body) = status(&gateway, "/readyz").await;
    let ok = |name: &str| serde_json::json!({ "name": name, "ok": true });
    let checks = [ok("serving"), ok("store"), ok("yard")];
    assert_eq!((code, &body["ready"]), (200, &true.into()), "{body}");
    assert_eq!(body["checks"], serde_json::json!(checks));
    let who = gateway.enrol("Pump").await;
    gateway.shut_down();
    until("no", async || {
        let (code, body) = status(&gateway, "/readyz").await;
        let is_told = body["checks"][0]["detail"] == "the gateway is stopping";
        (code == 503 && is_told).then_some(())
    })
    .await;
    // It serves as before until that had the time to be heard.
    assert_eq!(
        request(gateway.http, "GET", "/healthz", &[], "").await.body,
        "ok"
    );
    let mut controller = Controller::online(&gateway, who).await;
    controller.is_live().await;
    assert!(controller.ending().await.is_some());
    gateway.stop().await;
}

#[tokio::test]
async fn readiness_follows_the_store() {
    let faults = Arc::new(Faults::default());
    let put = Arc::clone(&faults);
    let gateway = Gateway::start_on_stores(
        |_| {},
        |_, mut stores| {
            stores.config = Arc::new(Guarded::new(stores.config, put));
            stores
        },
    )
    .await;
    assert_eq!(status(&gateway, "/readyz").await.0, 200);
    faults.set(Some(Fault::Fail));
    until("no", async || {
        let (code, body) = status(&gateway, "/readyz").await;
        (code == 503 && body["checks"][1]["ok"] == false).then_some(())
    })
    .await;
    faults.set(None);
    until("yes again", async || {
        (status(&gateway, "/readyz").await.0 == 200).then_some(())
    })
    .await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_log_for_programs_is_one_object_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let flags = [
        "--log-format",
        "json",
        "--listen-tcp",
        "127.0.0.1:0",
        "--listen-http",
        "127.0.0.1:0",
    ];
    let mut gateway = program(&folder.path().join("data"))
        .args(flags)
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let lines = || -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(&log).unwrap();
        let whole = text.lines().take(text.matches('\n').count());
        whole
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let starting = until("the start's line", async || {
        lines()
            .into_iter()
            .find(|line| line["message"] == "starting")
    })
    .await;
    assert_eq!(starting["level"], "INFO");
    assert_eq!(starting["controllers"], 0);
    assert!(starting["timestamp"].is_string(), "{starting}");
    signal("-TERM", &gateway).await;
    assert!(soon("the end", gateway.wait()).await.unwrap().success());
    assert_eq!(lines().last().unwrap()["message"], "stopped");
}

#[tokio::test]
async fn a_service_manager_is_told_of_ready_alive_and_stopping() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    let mut gateway = program(&folder.path().join("data"))
        .args([
            "--listen-tcp",
            "127.0.0.1:0",
            "--listen-http",
            "127.0.0.1:0",
        ])
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "200000")
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let heard = async |wanted: &str| {
        soon(wanted, async {
            loop {
                let mut bytes = [0; 512];
                let length = manager.recv(&mut bytes).await.unwrap();
                let words = String::from_utf8_lossy(&bytes[..length]).into_owned();
                if words.lines().any(|word| word == wanted) {
                    return words;
                }
            }
        })
        .await
    };
    heard("READY=1").await;
    for _ in 0..3 {
        let words = heard("WATCHDOG=1").await;
        let status = "STATUS=serving 0 of 0 controllers, 0 tools";
        assert!(words.lines().any(|word| word == status), "{words}");
    }
    signal("-TERM", &gateway).await;
    let words = heard("STOPPING=1").await;
    assert!(words.contains("EXTEND_TIMEOUT_USEC=7000000"), "{words}");
    assert!(soon("the end", gateway.wait()).await.unwrap().success());
}

/// The program on listeners that somebody else holds open, as systemd's socket units do.
fn on_passed(data: &Path, tcp: &TcpListener, http: &TcpListener) -> tokio::process::Child {
    on_passed_with(data, tcp, http, &[])
}

fn on_passed_with(
    data: &Path,
    tcp: &TcpListener,
    http: &TcpListener,
    more: &[&str],
) -> tokio::process::Child {
    let pass = |listener: &TcpListener| OwnedFd::from(listener.try_clone().unwrap());
    // The shell's id is that of the program that takes its place.
    let script = "exec 3<&0 4<&1 0</dev/null 1>&2; export LISTEN_PID=$$; exec \"$0\" \"$@\"";
    Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_switchyard-gateway")])
        .arg("--data")
        .arg(data)
        .args(["--log", "warn"])
        .args(more)
        .env("SWITCHYARD_GATEWAY_CONFIG", "")
        .env("LISTEN_FDS", "2")
        .env("LISTEN_FDNAMES", "tcp:http")
        .stdin(Stdio::from(pass(tcp)))
        .stdout(Stdio::from(pass(http)))
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

async fn is_served(http: SocketAddr) {
    let answer = request(http, "GET", "/healthz", &[], "").await;
    assert_eq!((answer.status, &*answer.body), (200, "ok"));
}

/// Comes, lives, and is back at once whenever its session ends; tells each time how long it was away.
async fn faithful(tcp: SocketAddr, who: Enrolled, lives: mpsc::Sender<Duration>) {
    let mut lost = Instant::now();
    loop {
        let mut controller = Controller::connect(tcp, who.address).await;
        controller.go_online(who.key).await;
        controller.is_live().await;
        if lives.send(lost.elapsed()).await.is_err() {
            return;
        }
        controller.ending().await;
        lost = Instant::now();
    }
}

#[tokio::test]
async fn a_restart_on_passed_listeners_refuses_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (_, line, _) = run(&data, &["enrol", "Pump"], "").await;
    let who = crate::process::enrolled(line.trim_end());
    let bind = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (tcp_listener, http_listener) = (bind(), bind());
    let tcp = tcp_listener.local_addr().unwrap();
    let http = http_listener.local_addr().unwrap();
    let mut gateway = on_passed(&data, &tcp_listener, &http_listener);
    is_served(http).await;

    let (lives, mut controller) = mpsc::channel(1);
    tokio::spawn(faithful(tcp, who, lives));
    let mut lives = async || soon("the controller", controller.recv()).await.unwrap();
    lives().await;
    // Somebody dials all the time: each attempt connects, and is served.
    let enough = Arc::new(AtomicBool::new(false));
    let (dialling, visits) = (Arc::clone(&enough), Arc::new(AtomicUsize::new(0)));
    let served = Arc::clone(&visits);
    let visitor = tokio::spawn(async move {
        while !dialling.load(Ordering::Relaxed) {
            is_served(http).await;
            served.fetch_add(1, Ordering::Relaxed);
        }
    });
    // Every gateway has served it once before it is told to stop.
    let another_visit = async |before: usize| {
        until("another visit", async || {
            (visits.load(Ordering::Relaxed) > before).then_some(())
        })
        .await;
    };
    for _ in 0..3 {
        another_visit(visits.load(Ordering::Relaxed)).await;
        signal("-TERM", &gateway).await;
        assert!(soon("the end", gateway.wait()).await.unwrap().success());
        gateway = on_passed(&data, &tcp_listener, &http_listener);
        // It dials at once, waits in the queue, and is in as soon as there is a gateway.
        let away = lives().await;
        eprintln!("away for {away:?}");
        assert!(!visitor.is_finished(), "an attempt was refused");
    }
    another_visit(visits.load(Ordering::Relaxed)).await;
    enough.store(true, Ordering::Relaxed);
    soon("the visitor", visitor).await.unwrap();
    assert!(visits.load(Ordering::Relaxed) >= 4);
    gateway.kill().await.unwrap();
}

#[tokio::test]
async fn listeners_that_nobody_wants_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let script = "exec 3<&0 0</dev/null; export LISTEN_PID=$$; exec \"$0\" \"$@\"";
    let output = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_switchyard-gateway")])
        .args([
            "--listen-tcp",
            "127.0.0.1:0",
            "--listen-http",
            "127.0.0.1:0",
        ])
        .arg("--data")
        .arg(folder.path().join("data"))
        .env("LISTEN_FDS", "1")
        .env("LISTEN_FDNAMES", "switchyard-gateway.socket")
        .stdin(Stdio::from(OwnedFd::from(listener)))
        .kill_on_drop(true)
        .output();
    let output = soon("the refusal", output).await.unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        complaint.contains("named tcp, http or clear"),
        "{complaint}"
    );
}

#[tokio::test]
async fn the_doctor_tells_a_healthy_host_from_a_sick_one() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let listen = [
        "--listen-tcp",
        "127.0.0.1:0",
        "--listen-http",
        "127.0.0.1:0",
    ];
    let examine = async |more: &[&str]| {
        let words = [&["doctor", "--json"], more].concat();
        let (ok, report, complaint) = run(&data, &words, "").await;
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        assert_eq!(report["ok"], ok, "{report} {complaint}");
        report
    };
    let levels = |report: &serde_json::Value, check: &str| -> Vec<String> {
        let findings = report["findings"].as_array().unwrap().iter();
        let of_check = findings.filter(|it| it["check"] == check);
        of_check
            .map(|it| it["level"].as_str().unwrap().to_owned())
            .collect()
    };
    let well = examine(&listen).await;
    assert_eq!(well["ok"], true, "{well}");
    assert!(!data.exists(), "looking makes nothing");

    // With its gateway running: found, and found to be well.
    assert!(run(&data, &["enrol", "Pump"], "").await.0);
    let bind = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (tcp, http) = (bind(), bind());
    let addrs = [&tcp, &http].map(|it| it.local_addr().unwrap().to_string());
    let mut gateway = on_passed(&data, &tcp, &http);
    drop((tcp, http));
    is_served(addrs[1].parse().unwrap()).await;
    let at = ["--listen-tcp", &addrs[0], "--listen-http", &addrs[1]];
    let well = examine(&at).await;
    assert_eq!(well["ok"], true, "{well}");
    assert_eq!(levels(&well, "tcp ports"), ["ok", "ok"], "{well}");
    let trip = well["findings"].as_array().unwrap().last().unwrap();
    assert!(
        trip["found"]
            .as_str()
            .unwrap()
            .contains("the running gateway is ready"),
        "{trip}"
    );

    // A trunk that is not there: nobody could be called.
    let nobody = bind().local_addr().unwrap();
    let config = folder.path().join("trunk.toml");
    let trunk =
        format!("[alarms.sip]\nserver = \"{nobody}\"\ntransport = \"tcp\"\nuser = \"yard\"\n");
    std::fs::write(&config, trunk).unwrap();
    let with_trunk = [&at[..], &["--config", config.to_str().unwrap()]].concat();
    let sick = examine(&with_trunk).await;
    assert_eq!(levels(&sick, "telephones"), ["ok", "ok", "error"], "{sick}");

    // A database that is none; nobody knows its keys any more.
    gateway.kill().await.unwrap();
    std::fs::write(data.join("switchyard.db"), PASSWORD.repeat(1000)).unwrap();
    for name in ["switchyard.db-wal", "switchyard.db-shm"] {
        let _ = std::fs::remove_file(data.join(name));
    }
    let sick = examine(&listen).await;
    assert_eq!(levels(&sick, "store"), ["error"], "{sick}");
    for settings in [["--shards", "3"], ["--config", "no-such-file"]] {
        let sick = examine(&settings).await;
        assert_eq!(levels(&sick, "settings"), ["error"], "{sick}");
    }
    // For people, the same in lines.
    let words = [&["doctor"], &listen[..]].concat();
    let (ok, lines, complaint) = run(&data, &words, "").await;
    assert!(!ok && lines.contains("error    store"), "{lines}");
    assert!(
        complaint.contains("the doctor found 1 errors"),
        "{complaint}"
    );
}

#[tokio::test]
async fn the_doctor_speaks_tls_where_the_gateway_does() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let issued = crate::tls::issue(folder.path());
    let [certificate, key] = [&issued.files.certificate, &issued.files.key].map(|path| {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
        path.to_str().unwrap()
    });
    let tls = ["--tls-certificate", certificate, "--tls-key", key];
    let trip = async |listen: &[&str]| {
        let words = [&["doctor"], &tls[..], listen].concat();
        let (ok, lines, complaint) = run(&data, &words, "").await;
        assert!(ok, "{lines} {complaint}");
        assert!(lines.contains("ok       certificate"), "{lines}");
        lines.lines().last().unwrap().to_owned()
    };
    let own = trip(&[
        "--listen-tcp",
        "127.0.0.1:0",
        "--listen-http",
        "127.0.0.1:0",
    ])
    .await;
    assert!(own.contains("a controller proved itself"), "{own}");

    let bind = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (tcp, http) = (bind(), bind());
    let [at_tcp, at_http] = [&tcp, &http].map(|it| it.local_addr().unwrap().to_string());
    let mut gateway = on_passed_with(&data, &tcp, &http, &tls);
    drop((tcp, http));
    let running = trip(&["--listen-tcp", &at_tcp, "--listen-http", &at_http]).await;
    assert!(
        running.contains("the running gateway is ready"),
        "{running}"
    );
    gateway.kill().await.unwrap();
}

#[tokio::test]
async fn the_manual_and_the_completions_are_of_this_program() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let pages = folder.path().join("man");
    let (ok, _, complaint) = run(&data, &["man", pages.to_str().unwrap()], "").await;
    assert!(ok, "{complaint}");
    let read = |name: &str| std::fs::read_to_string(pages.join(name)).unwrap();
    let page = read("switchyard-gateway.8");
    for words in [
        "\\-\\-listen\\-tcp",
        "SWITCHYARD_LISTEN_TCP",
        "switchyard\\-gateway\\-doctor(8)",
    ] {
        assert!(page.contains(words), "{words} is missing in {page}");
    }
    assert!(read("switchyard-gateway-account-add.8").contains("switchyard\\-gateway account add"));
    for shell in ["bash", "zsh", "fish"] {
        let (ok, script, _) = run(&data, &["completions", shell], "").await;
        assert!(
            ok && script.contains("listen-tcp") && script.contains("doctor"),
            "{shell}"
        );
    }
}

/// Root is refused in a folder of somebody else's; only root can try.
#[tokio::test]
async fn root_makes_nothing_in_another_users_folder() {
    let folder = tempfile::tempdir().unwrap();
    if std::os::unix::fs::chown(folder.path(), Some(65_534), None).is_err() {
        return;
    }
    let (ok, _, complaint) = run(folder.path(), &["enrol", "Pump"], "").await;
    assert!(
        !ok && complaint.contains("belongs to user 65534"),
        "{complaint}"
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
