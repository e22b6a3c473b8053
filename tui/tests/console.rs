//! The real binary: its commands against a scripted gateway, and its screen on a pseudo-terminal.
#![allow(clippy::unwrap_used, reason = "a panic here is a test's report")]

#[path = "console/alarms.rs"]
mod alarms;
#[path = "../../crates/client/tests/scripted/mod.rs"]
mod scripted;
#[path = "../../crates/client/tests/scripted/yard.rs"]
mod yard;

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use scripted::{CODE as SHOWN, GUARDED, PASSWORD, PATIENCE, point};
use std::{
    io::{Read, Write},
    process::{Command, Output, Stdio},
    sync::{Arc, Mutex, atomic::Ordering},
    thread::JoinHandle,
    time::{Duration, Instant},
};
use switchyard_protocol::{
    Address, Code,
    message::{Action, Event, PointType, Stage, Text, ValueType},
};
use yard::{Board, EXECUTED, Yard};

const BINARY: &str = env!("CARGO_BIN_EXE_switchyard");

fn boards() -> Vec<(u32, Board)> {
    let points = vec![
        point(0, "DI1", PointType::DigitalInput, 0, 0),
        point(1, "RL1", PointType::DigitalOutput, 0, 1),
        point(2, "level", PointType::AnalogueOutput, 500, 1),
    ];
    let board = |title, online| Board {
        title,
        online,
        boot: 1,
        sequence: 1,
        points: points.clone(),
        commands: &["pulse(t: time in 100ms..60s)", "stop()"],
        fate: EXECUTED,
        source: Vec::new(),
    };
    vec![
        (100_042, board("Pump house 3", true)),
        (100_043, board("North gate", false)),
    ]
}

/// A gateway that runs beside the test, and a configuration folder with somebody logged in.
struct Bench {
    yard: Yard,
    folder: tempfile::TempDir,
    _runtime: tokio::runtime::Runtime,
}

impl Bench {
    fn open() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let yard = runtime.block_on(Yard::start(boards()));
        let bench = Bench {
            yard,
            folder: tempfile::tempdir().unwrap(),
            _runtime: runtime,
        };
        let url = bench.yard.url.clone();
        let login = bench.run_with(
            &["login", &url, "--account", "li", "--password-stdin"],
            PASSWORD,
        );
        assert_eq!(code(&login), 0, "{login:?}");
        bench
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command
            .env("SWITCHYARD_CONFIG", self.folder.path())
            .env("TZ", "UTC")
            .args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn run_with(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(child.stdin.take().unwrap(), "{input}").unwrap();
        child.wait_with_output().unwrap()
    }
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn exit_codes_are_what_the_help_says() {
    let bench = Bench::open();
    for (arguments, expected, says) in [
        (&["ls"][..], 0, ""),
        (&["send", "100042", "RL1", "on"], 0, ""),
        (&["send", "100042", "pulse", "5s"], 0, ""),
        (
            &["send", "100042", "RL1", "maybe"],
            2,
            "expected on, off, 1 or 0",
        ),
        (&["send", "100042", "pulse", "90s"], 2, "from 100ms to 1m"),
        (
            &["send", "100042", "DI1", "on"],
            2,
            "it has RL1, level, pulse(t: time",
        ),
        (
            &["send", "7", "RL1", "on"],
            3,
            "nobody was ever given No. 7",
        ),
        (&["watch", "7"], 3, "nobody was ever given No. 7"),
        (&["send", "100043", "RL1", "on"], 4, "--wait"),
        (&["describe", "100043"], 4, "off line"),
        (&["ping", "0"], 0, ""),
        (&["enrol", "A new board"], 0, "shown this once"),
    ] {
        let output = bench.run(arguments);
        let said = text(&output.stderr);
        assert_eq!(code(&output), expected, "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
    for (fate, expected) in [
        ((&[Stage::Refused][..], Some(Code::RefusedByScript)), 5),
        (
            (&[Stage::Delivered, Stage::Expired], Some(Code::StaleClock)),
            6,
        ),
        (
            (&[Stage::Executed, Stage::Failed], Some(Code::NotConfirmed)),
            9,
        ),
        ((&[Stage::Unknown], Some(Code::Rebooted)), 10),
        ((&[Stage::Refused], Some(Code::TimedOut)), 11),
    ] {
        bench.yard.set_fate(100_042, fate);
        let output = bench.run(&["send", "100042", "RL1", "on"]);
        assert_eq!(code(&output), expected, "{fate:?}: {output:?}");
    }
    // Neither a folder nor anything else that has a number: a file in the folder's place.
    let file = bench.folder.path().join("a-file");
    std::fs::write(&file, "").unwrap();
    let output = bench.run(&["--config", file.to_str().unwrap(), "ls"]);
    assert_eq!(code(&output), 1, "{output:?}");
    assert!(text(&output.stderr).contains("a-file"), "{output:?}");
    // Logged out, then no gateway at all.
    let url = bench.yard.url.clone();
    let wrong = bench.run_with(
        &["login", &url, "--account", "li", "--password-stdin"],
        "wrong",
    );
    assert_eq!(code(&wrong), 7);
    assert_eq!(code(&bench.run(&["logout"])), 0);
    assert_eq!(code(&bench.run(&["ls"])), 7);
    let nowhere = [
        "login",
        "127.0.0.1:1",
        "--account",
        "li",
        "--password-stdin",
    ];
    assert_eq!(code(&bench.run_with(&nowhere, PASSWORD)), 8);
}

#[test]
fn prints_json_lines_and_receipts_in_order() {
    let bench = Bench::open();
    let listed = text(&bench.run(&["ls", "--json"]).stdout);
    let lines: Vec<serde_json::Value> = listed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        (&lines[0]["state"], &lines[1]["state"]),
        (&"live".into(), &"offline".into())
    );
    assert_eq!(lines[0]["points"][1]["name"], "RL1");
    let sent = text(
        &bench
            .run(&["send", "100042", "level", "72.5", "--json"])
            .stdout,
    );
    let stages: Vec<(String, bool)> = sent
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|it| {
            (
                it["stage"].as_str().unwrap().to_owned(),
                it["final"].as_bool().unwrap(),
            )
        })
        .collect();
    let expected = [("sent", false), ("delivered", false), ("executed", true)];
    assert_eq!(
        stages,
        expected.map(|(stage, is_final)| (stage.to_owned(), is_final))
    );
    let commands = bench.yard.commands();
    let (header, command) = commands.last().unwrap();
    assert_eq!(header.destination, Address(100_042));
    assert!(matches!(&command.action, Action::Set { value: 72_500, .. }));
    let human = text(&bench.run(&["ls"]).stdout);
    assert!(
        human.contains("Pump house 3") && human.contains("level 72.5"),
        "{human}"
    );
    assert!(!format!("{listed}{sent}{human}").contains(scripted::TOKEN));
}

#[test]
fn watch_prints_changes_until_its_count() {
    let bench = Bench::open();
    let mut child = bench
        .command(&["watch", "100042", "--json", "--count", "2"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let mut next = || -> serde_json::Value {
        serde_json::from_str(&lines.next().expect("another line").unwrap()).unwrap()
    };
    assert_eq!(next()["event"], "controller");
    bench.yard.change(100_042, 0, 1);
    let change = next();
    assert_eq!(
        (&change["event"], &change["points"][0]["value"]),
        (&"points".into(), &1.into())
    );
    let (number, time) = (7, None);
    let values = vec![(ValueType::Int, 17)];
    let text = Text::cut("the pump ran");
    let ran = Event::Happened {
        number,
        time,
        text,
        values,
    };
    bench.yard.happened(100_043, &ran);
    bench.yard.happened(100_042, &ran);
    let event = next();
    assert_eq!(
        (
            &event["event"],
            &event["address"],
            &event["values"][0]["value"]
        ),
        (&"happened".into(), &100_042.into(), &17.into())
    );
    bench.yard.set_online(100_042, false);
    assert_eq!(next()["state"], "offline");
    assert!(child.wait().unwrap().success());
}

/// The output of a run that must go well.
fn printed(bench: &Bench, arguments: &[&str]) -> String {
    let output = bench.run(arguments);
    assert_eq!(code(&output), 0, "{arguments:?}: {output:?}");
    text(&output.stdout)
}

#[test]
fn shows_and_changes_what_is_inside_a_controller() {
    let bench = Bench::open();
    for (arguments, says) in [
        (&["params", "100042"][..], "in 1s..10m"),
        (&["params", "100042", "--json"], r#""max":600000"#),
        (&["values", "100042"], "-0.5"),
        (&["values", "100042", "--json"], r#""value":-500"#),
        (&["health", "100042"], "longest gap 98 ms (erase)"),
        (&["health", "100042"], "tank, on trial for 2 min more"),
        (
            &["health", "100042"],
            "image   nodemcu 0.3.1 in slot 2, on trial",
        ),
        (&["health", "100042", "--json"], r#""state":"on_trial""#),
        (
            &["force", "100042", "RL1", "on", "10m"],
            "RL1 is held at ON for 10m",
        ),
        (
            &["force", "100042", "level", "-0.5", "1s", "--json"],
            r#""value":-500"#,
        ),
        (&["release", "100042", "RL1"], "held no more"),
        (&["adjust", "100042", "delay", "45s"], "executed"),
    ] {
        let found = printed(&bench, arguments);
        assert!(found.contains(says), "{arguments:?}: {found}");
    }
    let commands = bench.yard.commands();
    let (_, command) = commands.last().unwrap();
    assert!(matches!(
        &command.action,
        Action::Adjust { value: 45_000, .. }
    ));
    for (arguments, expected, says) in [
        (
            &["adjust", "100042", "delay", "11m"][..],
            2,
            "within 1s..10m",
        ),
        (&["adjust", "100042", "delay", "soon"], 2, "expected"),
        (&["adjust", "100042", "speed", "1"], 2, "it has delay"),
        (
            &["force", "100042", "DI1", "on", "1m"],
            2,
            "expected an output",
        ),
        (&["health", "100043"], 4, "off line"),
        (&["values", "7"], 3, "nobody was ever given"),
    ] {
        let output = bench.run(arguments);
        let said = text(&output.stderr);
        assert_eq!(code(&output), expected, "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
}

#[test]
fn the_log_goes_back_as_far_as_is_wanted() {
    let bench = Bench::open();
    let numbers = |count: &str| -> Vec<i64> {
        let found = printed(&bench, &["log", "100042", "--json", "--count", count]);
        let lines = found.lines().map(serde_json::from_str::<serde_json::Value>);
        lines
            .map(|it| it.unwrap()["number"].as_i64().unwrap())
            .collect()
    };
    assert_eq!(numbers("3"), [5, 4, 3]);
    assert_eq!(numbers("50"), [5, 4, 3, 2, 1]);
    let shown = printed(&bench, &["log", "100042", "--count", "1"]);
    assert!(shown.contains("RL1                  ON  script"), "{shown}");
}

#[test]
fn a_script_is_put_and_got_and_its_faults_are_shown_in_place() {
    let bench = Bench::open();
    let file = bench.folder.path().join("tank.script");
    let path = file.to_str().unwrap();
    let revert = bench.run(&["script", "revert", "100042"]);
    assert_eq!(code(&revert), 5, "nothing is on trial");
    std::fs::write(&file, "door = DI1\n").unwrap();
    let refused = bench.run(&["script", "put", "100042", path]);
    assert_eq!(code(&refused), 5);
    let said = text(&refused.stderr);
    assert!(
        said.contains("tank.script:1:1: expected a statement"),
        "{said}"
    );
    assert!(said.contains("\n 1 | door = DI1\n   | ^"), "{said}");
    let refused = bench.run(&["script", "put", "100042", path, "--json"]);
    let fault: serde_json::Value = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!(fault["fault"]["column"], 1);

    let source = "in door = DI1\n";
    std::fs::write(&file, source).unwrap();
    let put = printed(&bench, &["script", "put", "100042", path]);
    assert!(
        put.contains("on trial; `switchyard script keep 100042`"),
        "{put}"
    );
    assert_eq!(printed(&bench, &["script", "get", "100042"]), source);
    let copy = bench.folder.path().join("copy.script");
    printed(&bench, &["script", "get", "100042", copy.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(copy).unwrap(), source);
    assert!(printed(&bench, &["script", "keep", "100042"]).contains("keeps the script"));
}

/// The screen of the real binary on a pseudo-terminal.
struct Screen {
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    parser: Arc<Mutex<vt100::Parser>>,
    raw: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Screen {
    fn open(bench: &Bench, arguments: &[&str]) -> Self {
        let size = PtySize {
            rows: 24,
            cols: 80,
            pixel_width: 0,
            pixel_height: 0,
        };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(BINARY);
        command.args(arguments);
        command.env("SWITCHYARD_CONFIG", bench.folder.path());
        command.env("TERM", "xterm-256color");
        let child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let parser = Arc::new(Mutex::new(vt100::Parser::new(24, 80, 0)));
        let raw = Arc::new(Mutex::new(Vec::new()));
        let (shown, kept) = (parser.clone(), raw.clone());
        let reader = std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                shown.lock().unwrap().process(&bytes[..count]);
                kept.lock().unwrap().extend_from_slice(&bytes[..count]);
            }
        });
        Screen {
            keys: pair.master.take_writer().unwrap(),
            master: pair.master,
            child,
            parser,
            raw,
            reader,
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    fn contents(&self) -> String {
        self.parser.lock().unwrap().screen().contents()
    }

    fn wait_for(&self, text: &str) {
        let start = Instant::now();
        while !self.contents().contains(text) {
            assert!(
                start.elapsed() < PATIENCE,
                "no {text:?} on\n{}",
                self.contents()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for its end, and until everything that it wrote has been taken in.
    fn end(mut self) -> u32 {
        let status = self.child.wait().unwrap();
        // All that it wrote has been read once nobody holds the other end.
        self.reader.join().unwrap();
        drop(self.keys);
        drop(self.master);
        status.exit_code()
    }
}

#[test]
fn a_person_sees_the_fleet_switches_and_survives_the_gateway() {
    let bench = Bench::open();
    let mut screen = Screen::open(&bench, &[]);
    screen.wait_for("Pump house 3");
    screen.wait_for("○ RL1");
    bench.yard.change(100_042, 0, 1);
    screen.wait_for("● DI1");
    screen.press("\r");
    screen.wait_for("Outputs");
    screen.press(" ");
    screen.wait_for("● ON  ◉ done");
    screen.wait_for("RL1 ON  — you, receipt ");
    bench.yard.note(0xC000_0009, "tea?");
    screen.wait_for("✉ 1");
    bench.yard.hang_up();
    screen.wait_for("retrying in");
    screen.wait_for("li (technician)");
    bench.yard.change(100_042, 1, 0);
    screen.wait_for("RL1       ○ off");
    screen.press("n");
    screen.wait_for("tea?");
    // A second console of this installation must not throw the first one out.
    assert_eq!(code(&bench.run(&["ls"])), 0);
    screen.press("\x1b");
    screen.wait_for("Outputs");
    screen.press("q");
    let (raw, parser) = (screen.raw.clone(), screen.parser.clone());
    assert_eq!(screen.end(), 0);
    let raw = raw.lock().unwrap();
    let begins = raw.windows(8).filter(|it| it == b"\x1b[?2026h").count();
    assert!(begins > 3, "every frame is a synchronized update");
    let parser = parser.lock().unwrap();
    assert!(
        !parser.screen().alternate_screen(),
        "the terminal is given back"
    );
    assert!(!parser.screen().hide_cursor());
}

#[test]
fn a_signal_gives_the_terminal_back() {
    let bench = Bench::open();
    let screen = Screen::open(&bench, &[]);
    screen.wait_for("Pump house 3");
    let id = screen.child.process_id().unwrap().to_string();
    let killed = Command::new("kill").args(["-TERM", &id]).status().unwrap();
    assert!(killed.success());
    let parser = screen.parser.clone();
    assert_eq!(screen.end(), 0);
    assert!(!parser.lock().unwrap().screen().alternate_screen());
}

#[test]
fn an_interrupt_ends_a_command_with_its_own_number() {
    let bench = Bench::open();
    let mut watch = bench
        .command(&["watch", "100042"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Once it has printed, it listens.
    let mut first = [0; 1];
    watch
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut first)
        .unwrap();
    let id = watch.id().to_string();
    let sent = Command::new("kill").args(["-INT", &id]).status().unwrap();
    assert!(sent.success());
    assert_eq!(watch.wait().unwrap().code(), Some(130));
}

#[test]
fn a_password_is_asked_for_without_showing_it() {
    let bench = Bench::open();
    let url = bench.yard.url.clone();
    let mut screen = Screen::open(&bench, &["login", &url, "--account", "li"]);
    screen.wait_for("Password:");
    screen.press(&format!("{PASSWORD}\r"));
    screen.wait_for("logged in to");
    let raw = screen.raw.clone();
    assert_eq!(screen.end(), 0);
    let raw = String::from_utf8_lossy(&raw.lock().unwrap()).into_owned();
    assert!(!raw.contains(PASSWORD) && !raw.contains(scripted::TOKEN));
}

#[test]
fn a_second_factor_is_asked_for_where_there_is_one() {
    let bench = Bench::open();
    let url = bench.yard.url.clone();
    let login = ["login", &url, "--account", GUARDED];
    for (typed, says, exit) in [
        (SHOWN, "logged in to", 0),
        ("000000", "try the next one", 7),
        ("12", "expected the six digits", 2),
        ("", "expected the six digits", 2),
    ] {
        let mut screen = Screen::open(&bench, &login);
        screen.wait_for("Password:");
        screen.press(&format!("{PASSWORD}\r"));
        screen.wait_for("Code from the account's app:");
        screen.press(&format!("{typed}\r"));
        screen.wait_for(says);
        assert_eq!(screen.end(), exit, "{typed:?}");
    }
    let silent = [&login[..], &["--password-stdin"]].concat();
    let told = bench.run_with(&silent, PASSWORD);
    assert_eq!(code(&told), 7);
    let said = text(&told.stderr);
    assert!(said.contains("add `--code DIGITS`"), "{said}");
    let told = bench.run_with(&[&silent[..], &["--code", SHOWN]].concat(), PASSWORD);
    assert_eq!(code(&told), 0, "{told:?}");
}

#[test]
fn a_gateway_without_an_account_says_where_to_make_the_first() {
    let bench = Bench::open();
    bench.yard.is_new.store(true, Ordering::Relaxed);
    let url = bench.yard.url.clone();
    let login = ["login", &url, "--account", "li", "--password-stdin"];
    let told = bench.run_with(&login, PASSWORD);
    assert_eq!(code(&told), 7);
    let said = text(&told.stderr);
    assert!(said.contains(&format!("open {url} in a browser")), "{said}");
}

#[test]
fn a_withdrawn_right_ends_on_the_screen_and_in_the_exit_code() {
    let bench = Bench::open();
    let mut screen = Screen::open(&bench, &[]);
    screen.wait_for("Pump house 3");
    bench.yard.refuse(Code::Revoked);
    screen.wait_for("▲ not connected");
    screen.wait_for("the right to be here was withdrawn");
    screen.press("q");
    assert_eq!(screen.end(), 7);
}
