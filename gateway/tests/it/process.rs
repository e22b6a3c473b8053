//! The program itself: its commands, its lines, its signals, its memory.

use crate::support::{Controller, Enrolled, Gateway, PATIENCE, Tool, request, soon};
use std::{net::SocketAddr, path::Path, process::Stdio};
use switchyard_protocol::{
    Address, Kind,
    message::{Answer, Body, Event, Full, Request, Stage, Time},
};
use switchyard_testkit::services::Redis;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, Command},
};

const PASSWORD: &str = crate::support::PASSWORD;

pub(crate) fn program(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchyard-gateway"));
    command
        .arg("--data")
        .arg(data)
        .env_remove("SWITCHYARD_PASSWORD")
        // Whatever this host has under /etc.
        .env("SWITCHYARD_GATEWAY_CONFIG", "")
        .kill_on_drop(true);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs a command to its end: whether it succeeded, what it printed, what it complained of.
pub(crate) async fn run(data: &Path, arguments: &[&str], input: &str) -> (bool, String, String) {
    let mut child = program(data).args(arguments).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // It may have refused before it read anything.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = soon("a command's end", child.wait_with_output())
        .await
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.success(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// Makes the account that the tests here log in with.
pub(crate) async fn add_li(data: &Path, role: &str) {
    let words = ["account", "add", "li", "--password-stdin", "--role", role];
    let (ok, _, complaint) = run(data, &words, PASSWORD).await;
    assert!(ok, "{complaint}");
}

pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) tcp: SocketAddr,
    pub(crate) http: SocketAddr,
}

impl Running {
    pub(crate) async fn start(data: &Path) -> Self {
        Self::start_with(data, &["--log", "warn"], Stdio::inherit()).await
    }

    pub(crate) async fn start_with(data: &Path, more: &[&str], stderr: Stdio) -> Self {
        let flags = [
            "--listen-tcp",
            "127.0.0.1:0",
            "--listen-http",
            "127.0.0.1:0",
        ];
        let mut child = program(data)
            .args(flags)
            .args(more)
            .stderr(stderr)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut listening = async |what: &str| {
            let line = soon("a line", lines.next_line()).await.unwrap().unwrap();
            let addr = line
                .strip_prefix(&format!("listening {what} "))
                .map(str::parse);
            addr.unwrap_or_else(|| panic!("{line}")).unwrap()
        };
        let (tcp, http) = (listening("tcp").await, listening("http").await);
        Running { child, tcp, http }
    }

    pub(crate) async fn log_in(&self) -> String {
        let body = format!(r#"{{"account":"li","password":"{PASSWORD}"}}"#);
        let response = request(self.http, "POST", "/api/login", &[], &body).await;
        assert_eq!(response.status, 200, "{}", response.body);
        response.json()["token"].as_str().unwrap().to_owned()
    }
}

pub(crate) fn enrolled(line: &str) -> Enrolled {
    let (address, key) = line.split_once(' ').unwrap();
    let bytes: Vec<u8> = (0..64)
        .step_by(2)
        .map(|index| u8::from_str_radix(&key[index..index + 2], 16).unwrap())
        .collect();
    Enrolled {
        address: address.parse().unwrap(),
        key: bytes.try_into().unwrap(),
    }
}

#[tokio::test]
async fn accounts_and_controllers_by_command() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("deep/data");
    let add = [
        "account",
        "add",
        "li",
        "--role",
        "operator",
        "--password-stdin",
    ];
    let (ok, _, complaint) = run(&data, &add, "too short\n").await;
    assert!(!ok && complaint.contains("10 to 1024 bytes"), "{complaint}");
    assert!(run(&data, &add, PASSWORD).await.0);
    let (ok, _, complaint) = run(&data, &add, PASSWORD).await;
    assert!(
        !ok && complaint.contains("expected a name that is free"),
        "{complaint}"
    );
    assert!(!run(&data, &["account", "role", "bo", "admin"], "").await.0);
    assert!(run(&data, &["account", "role", "li", "admin"], "").await.0);
    assert_eq!(
        run(&data, &["account", "list"], "").await.1,
        "admin      li\n"
    );

    let (_, lines, _) = run(&data, &["enrol", "Pump", "--count", "2"], "").await;
    let addresses: Vec<_> = lines.lines().map(|line| enrolled(line).address.0).collect();
    assert_eq!(addresses, [1, 2]);
    let (_, lines, _) = run(&data, &["enrol", "Lamp"], "").await;
    assert_eq!(enrolled(lines.trim_end()).address, Address(3));
    assert_eq!(
        run(&data, &["controllers"], "").await.1,
        "1 Pump 1\n2 Pump 2\n3 Lamp\n"
    );

    // Whoever copies the one file copies everything.
    assert!(!data.join("switchyard.db-wal").exists());

    assert!(run(&data, &["account", "remove", "li"], "").await.0);
    assert!(!run(&data, &["account", "remove", "li"], "").await.0);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&data).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "keys lie in there");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn the_database_is_its_owners_alone_in_whatever_folder() {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt as _};
    let folder = tempfile::tempdir().unwrap();
    // As an administrator makes one.
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::set_permissions(&data, Permissions::from_mode(0o755)).unwrap();
    assert!(run(&data, &["enrol", "Pump"], "").await.0);
    let mut gateway = Running::start(&data).await;
    for name in ["switchyard.db", "switchyard.db-wal", "switchyard.db-shm"] {
        let mode = std::fs::metadata(data.join(name)).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600, "{name}");
    }
    gateway.child.kill().await.unwrap();
    // One that was opened to others by hand, or by an earlier version, is told of.
    let open = Permissions::from_mode(0o644);
    std::fs::set_permissions(data.join("switchyard.db"), open).unwrap();
    let (ok, _, complaint) = run(&data, &["controllers"], "").await;
    assert!(
        ok && complaint.contains("others than its owner"),
        "{complaint}"
    );
}

#[tokio::test]
async fn settings_are_checked_before_anything_happens() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (ok, report, _) = run(&data, &["check-config"], "").await;
    assert!(
        ok && report.ends_with("the settings are in order\n"),
        "{report}"
    );
    assert!(!data.exists(), "looking makes nothing");
    let (ok, report, _) = run(&data, &["--listen-http", "0.0.0.0:0", "check-config"], "").await;
    assert!(ok && report.contains("warning: listen_http"), "{report}");
    let (ok, _, complaint) = run(&data, &["--listen-clear", "0.0.0.0:0"], "").await;
    assert!(!ok && complaint.contains("insecure = true"), "{complaint}");
    let file = folder.path().join("gateway.toml");
    std::fs::write(&file, "listen_tpc = \"127.0.0.1:0\"\n").unwrap();
    let flags = ["--config", file.to_str().unwrap(), "check-config"];
    let (ok, _, complaint) = run(&data, &flags, "").await;
    assert!(!ok && complaint.contains("listen_tpc"), "{complaint}");
}

#[tokio::test]
async fn a_kill_loses_nothing_that_was_promised() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    add_li(&data, "operator").await;
    let (_, line, _) = run(&data, &["enrol", "Pump"], "").await;
    let who = enrolled(line.trim_end());

    let mut gateway = Running::start(&data).await;
    let token = gateway.log_in().await;
    let mut tool = Tool::enter(gateway.http, &token).await;
    let key = tool.command(who.address, true).await;
    assert_eq!(tool.receipt().await.stage, Stage::Queued);
    // Enrolled while it runs, by another process: known within a moment.
    let (_, line, _) = run(&data, &["enrol", "Lamp"], "").await;
    let lamp = enrolled(line.trim_end());
    let mut controller = Controller::connect(gateway.tcp, lamp.address).await;
    controller.go_online(lamp.key).await;
    controller.is_live().await;
    gateway.child.kill().await.unwrap();

    let mut gateway = Running::start(&data).await;
    // The log-in outlived it, and the command that was promised goes out.
    let mut tool = Tool::enter(gateway.http, &token).await;
    let mut controller = Controller::connect(gateway.tcp, who.address).await;
    controller.go_online(who.key).await;
    let command = controller.receive_kind(Kind::Command).await;
    let executed = controller.receipt(&command, Stage::Executed, true);
    controller.send(&[executed]).await;
    crate::support::until("the final receipt", async || {
        let (answer, _) = tool.ask(Address::GATEWAY, &Request::Receipt { key }).await;
        matches!(
            answer,
            Answer::Ok(Body::Receipt {
                stage: Stage::Executed,
                is_final: true,
                ..
            })
        )
        .then_some(())
    })
    .await;
    let snapshot = tool.subscribe().await;
    let fulls = snapshot
        .iter()
        .filter(|frame| frame.header().kind == Kind::StatusFull);
    assert_eq!(fulls.count(), 1);

    // And an orderly end: told, prompt, exit code 0.
    let id = gateway.child.id().unwrap().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .await
            .unwrap()
            .success()
    );
    assert!(controller.ending().await.is_some());
    assert!(tool.ending().await.is_some());
    let status = tokio::time::timeout(PATIENCE, gateway.child.wait())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(!data.join("switchyard.db-wal").exists());
    // What was executed is not stored any more.
    let gateway = Gateway::on_folder(&data).await;
    assert!(
        gateway
            .stores
            .config
            .stored_commands()
            .await
            .unwrap()
            .is_empty()
    );
    gateway.stop().await;
}

#[cfg(unix)]
#[tokio::test]
async fn files_that_have_run_out_do_not_flood_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let program = env!("CARGO_BIN_EXE_switchyard-gateway");
    let data = folder.path().join("data");
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -n 40; exec \"$0\" \"$@\"", program, "--data"])
        .arg(&data)
        .args([
            "--listen-tcp",
            "127.0.0.1:0",
            "--listen-http",
            "127.0.0.1:0",
        ])
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(&log).unwrap())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = soon("a line", lines.next_line()).await.unwrap().unwrap();
    let addr = line.strip_prefix("listening tcp ").unwrap();
    let mut connections = Vec::new();
    for _ in 0..60 {
        connections.push(tokio::net::TcpStream::connect(addr).await.unwrap());
    }
    let complaints = || {
        let log = std::fs::read_to_string(&log).unwrap();
        log.matches("cannot accept a connection").count()
    };
    crate::support::until("a complaint", async || (complaints() > 0).then_some(())).await;
    // Time enough for twenty of them, were they not bounded.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert!(complaints() <= 3, "{} lines", complaints());
}

#[tokio::test]
async fn a_failure_of_the_database_is_logged_with_its_cause() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    add_li(&data, "viewer").await;
    rusqlite::Connection::open(data.join("switchyard.db"))
        .unwrap()
        .execute_batch("DROP TABLE token")
        .unwrap();
    let log = folder.path().join("log");
    let stderr = Stdio::from(std::fs::File::create(&log).unwrap());
    let mut gateway = Running::start_with(&data, &["--log", "warn"], stderr).await;
    let body = format!(r#"{{"account":"li","password":"{PASSWORD}"}}"#);
    let response = request(gateway.http, "POST", "/api/login", &[], &body).await;
    assert_eq!(response.status, 503);
    gateway.child.kill().await.unwrap();
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(log.contains("no such table: token"), "{log}");
}

#[tokio::test]
async fn the_wordiest_log_tells_no_secret_and_no_payload() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    add_li(&data, "technician").await;
    let (_, line, _) = run(&data, &["enrol", "Pump"], "").await;
    let who = enrolled(line.trim_end());
    let log = folder.path().join("log");
    let stderr = Stdio::from(std::fs::File::create(&log).unwrap());
    let mut gateway = Running::start_with(&data, &["--log", "trace"], stderr).await;
    let token = gateway.log_in().await;
    let mut tool = Tool::enter(gateway.http, &token).await;
    let mut controller = Controller::connect(gateway.tcp, who.address).await;
    controller.go_online(who.key).await;
    controller.is_live().await;
    tool.command(who.address, false).await;
    let command = controller.receive_kind(Kind::Command).await;
    controller
        .send(&[controller.receipt(&command, Stage::Executed, true)])
        .await;
    while !tool.receipt().await.is_final {}
    tool.subscribe().await;
    gateway.child.kill().await.unwrap();

    let log = std::fs::read_to_string(&log).unwrap();
    assert!(log.contains("tool connected"), "{log}");
    let key = line.trim_end().split(' ').nth(1).unwrap();
    for secret in [PASSWORD, &token, key] {
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert!(!log.contains(secret) && !log.contains(&hex), "{log}");
    }
    // Whatever a library would tell is told of bytes, of which it does not know what they mean.
    for line in log.lines() {
        assert!(line.contains(" switchyard_gateway"), "{line}");
    }
}

/// The value of one metric.
async fn metric(http: SocketAddr, name: &str) -> u64 {
    let text = request(http, "GET", "/metrics", &[], "").await.body;
    let prefix = format!("switchyard_{name} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&prefix));
    value
        .unwrap_or_else(|| panic!("no {name}"))
        .parse()
        .unwrap()
}

#[tokio::test]
async fn a_kill_leaves_in_redis_what_absent_controllers_were() {
    let mut redis = Redis::start().unwrap();
    let password = "a password of Redis";
    redis
        .say(&["CONFIG", "SET", "requirepass", password])
        .unwrap();
    let url = redis
        .url()
        .replace("redis://", "redis://:a%20password%20of%20Redis@");
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let config = folder.path().join("switchyard.toml");
    std::fs::write(&config, format!("redis_url = \"{url}\"\n")).unwrap();
    let flags = ["--config", config.to_str().unwrap(), "--log", "trace"];
    add_li(&data, "viewer").await;
    let (_, line, _) = run(&data, &["enrol", "Pump"], "").await;
    let who = enrolled(line.trim_end());
    let log_file = folder.path().join("log");
    let log_to = || {
        let log = std::fs::File::options();
        Stdio::from(
            log.clone()
                .append(true)
                .create(true)
                .open(&log_file)
                .unwrap(),
        )
    };
    let mut gateway = Running::start_with(&data, &flags, log_to()).await;
    let mut controller = Controller::connect(gateway.tcp, who.address).await;
    controller.go_online(who.key).await;
    let delta = controller.delta(1);
    controller.send(&[delta]).await;
    controller.is_live().await;
    drop(controller);
    let http = gateway.http;
    crate::support::until("the status to be stored", async || {
        let is_away = metric(http, "controllers_online").await == 0;
        let is_stored = metric(http, "statuses_waiting").await == 0;
        (is_away && is_stored && metric(http, "gateway_statuses_stored_total").await > 0)
            .then_some(())
    })
    .await;
    gateway.child.kill().await.unwrap();

    let mut gateway = Running::start_with(&data, &flags, log_to()).await;
    let token = gateway.log_in().await;
    crate::support::until("what was known", async || {
        let mut tool = Tool::enter(gateway.http, &token).await;
        let (mut value, mut went) = (None, None);
        for frame in tool.subscribe().await {
            if let Ok(Event::Presence { online, since, .. }) = Event::decode(frame.payload()) {
                went = (!online).then_some(since);
            } else if frame.header().kind == Kind::StatusFull {
                value = Some(Full::decode(frame.payload()).unwrap().points[0].value);
            }
        }
        (value == Some(1) && went.is_some_and(|went| went > Time(0))).then_some(())
    })
    .await;

    // However long Redis is away, the log says it once.
    redis.stop().unwrap();
    let http = gateway.http;
    crate::support::until("some failures", async || {
        let failures = metric(http, "gateway_status_store_failures_total").await;
        (failures >= 4).then_some(())
    })
    .await;
    gateway.child.kill().await.unwrap();
    let log = std::fs::read_to_string(&log_file).unwrap();
    let warnings = log.lines().filter(|line| line.contains(" WARN "));
    let told: Vec<_> = warnings.filter(|line| line.contains("Redis")).collect();
    assert!((1..=3).contains(&told.len()), "{told:?}");
    for secret in [password, "a%20password"] {
        assert!(!log.contains(secret), "{log}");
    }
    for line in log.lines() {
        assert!(line.contains(" switchyard_gateway"), "{line}");
    }
}
