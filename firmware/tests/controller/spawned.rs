//! Virtual controllers on real sockets, and the binary.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Command, Stdio},
    time::Duration,
};

use bytes::BytesMut;
use switchyard_firmware::{
    Behaviour, Channel, ControllerKey, LinkState, Options, PlantSettings, Script, Settings, View,
    VirtualController,
};
use switchyard_protocol::{
    Address, Flags, Frame, Kind,
    message::{Delta, HelloReply, Time},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::yard::{ADDRESS, EPOCH_MS, SECRET, call, key, responder};

/// Above anything that a loaded machine needs; no test waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(60);

/// A gateway's end of one link.
struct Link {
    stream: TcpStream,
    noise: Option<snow::TransportState>,
    raw: BytesMut,
    frames: BytesMut,
}

impl Link {
    async fn accept(listener: &TcpListener, clear: bool) -> Self {
        let (stream, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
        let mut link = Link {
            stream,
            noise: None,
            raw: BytesMut::new(),
            frames: BytesMut::new(),
        };
        let hello = link.clear_frame().await;
        assert_eq!(hello.header().kind, Kind::Hello);
        let address = hello.header().source;
        let reply = HelloReply {
            version: 1,
            record_bytes_max: 1056,
            time: Time(EPOCH_MS),
            ping_interval: Duration::from_secs(20),
            address,
        }
        .encode();
        let answer = if clear {
            Frame::with_flags(
                Kind::Hello,
                Flags::REPLY,
                0,
                Address::GATEWAY,
                address,
                &reply,
            )
        } else {
            let message = link.clear_frame().await;
            let mut noise = responder(&SECRET, hello.bytes());
            let mut buffer = [0; 512];
            noise.read_message(message.payload(), &mut buffer).unwrap();
            let bytes = noise.write_message(&reply, &mut buffer).unwrap();
            link.noise = Some(noise.into_transport_mode().unwrap());
            Frame::new(
                Kind::Handshake,
                0,
                Address::GATEWAY,
                address,
                &buffer[..bytes],
            )
        };
        link.stream.write_all(answer.bytes()).await.unwrap();
        link
    }

    async fn clear_frame(&mut self) -> Frame {
        loop {
            if let Some(frame) = Frame::decode(&mut self.raw, 1056).unwrap() {
                return frame;
            }
            assert_ne!(self.fill().await, 0, "the link ended");
        }
    }

    async fn fill(&mut self) -> usize {
        timeout(PATIENCE, self.stream.read_buf(&mut self.raw))
            .await
            .unwrap()
            .unwrap_or(0)
    }

    /// The next frame; `None` at the end of the link.
    async fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = Frame::decode(&mut self.frames, 1056).unwrap() {
                return Some(frame);
            }
            let prefix: Option<usize> = self
                .raw
                .first_chunk()
                .map(|bytes| usize::from(u16::from_be_bytes(*bytes)));
            match (&mut self.noise, prefix) {
                (None, _) if !self.raw.is_empty() => self.frames.extend(self.raw.split()),
                (Some(noise), Some(length)) if self.raw.len() >= 2 + length => {
                    let record = self.raw.split_to(2 + length);
                    let mut plain = vec![0; length];
                    let bytes = noise.read_message(&record[2..], &mut plain).unwrap();
                    self.frames.extend_from_slice(&plain[..bytes]);
                }
                _ => {
                    if self.fill().await == 0 {
                        return None;
                    }
                }
            }
        }
    }

    async fn frame_of(&mut self, kind: Kind) -> Frame {
        loop {
            let frame = self.frame().await.expect("the link goes on");
            if frame.header().kind == kind {
                return frame;
            }
        }
    }

    async fn send(&mut self, frame: &Frame) {
        let mut record = vec![0; 2 + frame.bytes().len() + 16];
        let noise = self.noise.as_mut().unwrap();
        let bytes = noise
            .write_message(frame.bytes(), &mut record[2..])
            .unwrap();
        record[..2].copy_from_slice(&u16::try_from(bytes).unwrap().to_be_bytes());
        self.stream.write_all(&record).await.unwrap();
    }
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn options(behaviour: Behaviour, gateways: &[SocketAddr]) -> Options {
    Options {
        settings: Settings::new(ADDRESS, ControllerKey::new(SECRET), behaviour),
        gateways: gateways.iter().map(ToString::to_string).collect(),
        plant: PlantSettings::default(),
        flash: None,
        http: None,
        live: None,
        executions: None,
        serial: None,
        redial_within: None,
    }
}

#[tokio::test]
async fn it_comes_live_tells_changes_and_comes_back() {
    let (listener, address) = listener().await;
    let controller = VirtualController::spawn(options(Behaviour::Latch, &[address])).unwrap();
    let mut link = Link::accept(&listener, false).await;
    link.frame_of(Kind::StatusFull).await;
    assert_eq!(controller.wait_live().await.unwrap().sessions, 1);
    controller.set_input(Channel::Di1, 1).await;
    let delta = Delta::decode(link.frame_of(Kind::StatusDelta).await.payload()).unwrap();
    assert_eq!((delta.head.sequence, delta.changes[0].value), (1, 1));

    drop(link);
    let mut link = Link::accept(&listener, false).await;
    link.frame_of(Kind::StatusFull).await;
    let view = controller
        .wait_for(|view| view.sessions == 2)
        .await
        .unwrap();
    assert_eq!((view.link, view.value(Channel::Di1)), (LinkState::Live, 1));

    controller.stop().await;
    while link.frame().await.is_some() {}
}

/// One that nobody tells the time goes by the clock of its host.
#[tokio::test]
async fn without_a_gateway_it_knows_the_time() {
    let script = Script::new("clock", "out lamp = RL1 safe off\nlamp := synced\n").unwrap();
    let settings = Settings::new(ADDRESS, ControllerKey::new(SECRET), script);
    let alone = VirtualController::spawn(Options {
        settings,
        ..options(Behaviour::Latch, &[])
    });
    let lamp = alone.unwrap();
    let is_lit = |view: &View| view.value(Channel::Rl1) == 1;
    timeout(PATIENCE, lamp.wait_for(is_lit)).await.unwrap();
}

#[tokio::test]
async fn its_plant_confirms_and_can_be_stuck() {
    let (listener, address) = listener().await;
    let controller = VirtualController::spawn(options(Behaviour::Follow, &[address])).unwrap();
    let mut link = Link::accept(&listener, false).await;
    controller.wait_live().await.unwrap();
    controller.set_input(Channel::Di1, 1).await;
    controller
        .wait_for(|view| view.value(Channel::Di2) == 1)
        .await
        .unwrap();
    let command = switchyard_protocol::message::Command {
        key: key(1),
        expiry: Time(EPOCH_MS + 3_600_000),
        wait: false,
        action: call("enable", &[0]),
    };
    link.send(&Frame::new(
        Kind::Command,
        4,
        Address(0xC000_0000),
        ADDRESS,
        &command.encode(),
    ))
    .await;
    let mut stages = Vec::new();
    while stages.len() < 3 {
        let frame = link.frame_of(Kind::Receipt).await;
        let receipt = switchyard_protocol::message::Receipt::decode(frame.payload()).unwrap();
        stages.push(receipt.stage.name());
    }
    assert_eq!(stages, ["delivered", "executed", "confirmed"]);
    assert_eq!(controller.view().executed, 1);
    controller.stop().await;
}

#[tokio::test]
async fn it_takes_the_other_gateway_and_forges_when_told() {
    let (dead, dead_address) = listener().await;
    drop(dead);
    let (listener, address) = listener().await;
    let controller =
        VirtualController::spawn(options(Behaviour::Latch, &[dead_address, address])).unwrap();
    let mut link = Link::accept(&listener, false).await;
    controller.wait_live().await.unwrap();
    link.frame_of(Kind::StatusFull).await;
    controller.forge_source(Address(7)).await;
    controller.set_input(Channel::Di1, 1).await;
    assert_eq!(
        link.frame_of(Kind::StatusDelta).await.header().source,
        Address(7)
    );
    controller.stop().await;
}

#[tokio::test]
async fn a_controller_that_stops_reading_still_stands() {
    let (listener, address) = listener().await;
    let controller = VirtualController::spawn(options(Behaviour::Latch, &[address])).unwrap();
    let mut link = Link::accept(&listener, false).await;
    link.frame_of(Kind::StatusFull).await;
    controller.set_reading(false).await;
    let ping = Frame::new(Kind::Ping, 5, Address::GATEWAY, ADDRESS, &[0xA0]);
    link.send(&ping).await;
    controller.set_input(Channel::Di1, 1).await;
    assert_eq!(
        link.frame().await.unwrap().header().kind,
        Kind::StatusDelta,
        "it still sends"
    );
    controller.set_reading(true).await;
    assert_eq!(link.frame().await.unwrap().header().flags, Flags::REPLY);
    controller.cut().await;
    assert!(link.frame().await.is_none());
}

#[tokio::test]
async fn an_input_that_flips_by_itself() {
    let (listener, address) = listener().await;
    let mut options = options(Behaviour::Latch, &[address]);
    options.plant.input_period = Some(Duration::from_millis(100));
    options.settings.clear = true;
    let controller = VirtualController::spawn(options).unwrap();
    let mut link = Link::accept(&listener, true).await;
    for sequence in 1..=5 {
        let delta = Delta::decode(link.frame_of(Kind::StatusDelta).await.payload()).unwrap();
        assert_eq!(delta.head.sequence, sequence);
    }
    drop(controller);
    while link.frame().await.is_some() {}
}

#[tokio::test]
async fn the_binary_says_who_is_on_line_and_ends_when_asked() {
    let hex = "5a".repeat(32);
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    std::fs::write(&keys, format!("100042 {hex}\n100043 {hex}\n100044 {hex}\n")).unwrap();
    let keys = keys.to_str().unwrap();
    let one = folder.path().join("key");
    std::fs::write(&one, format!("{hex}\n")).unwrap();
    let one = one.to_str().unwrap();
    for (arguments, expected) in [
        (
            vec!["--address", "100042", "--count", "3", "--clear"],
            100_042..100_045,
        ),
        (vec!["--keys", keys], 100_042..100_045),
        (vec!["--keys", keys, "--count", "2"], 100_042..100_044),
        (
            vec!["--keys", keys, "--address", "100043", "--count", "2"],
            100_043..100_045,
        ),
        (
            vec!["--address", "100042", "--key-file", one],
            100_042..100_043,
        ),
    ] {
        let lines = lines_of_binary(&arguments, expected.len()).await;
        let expected: Vec<_> = expected.map(|n| format!("No. {n} is on line")).collect();
        assert_eq!(lines, expected, "{arguments:?}");
    }
}

/// Starts the binary, takes so many lines of its standard output, sorted, and ends it.
async fn lines_of_binary(arguments: &[&str], count: usize) -> Vec<String> {
    let (listener, address) = listener().await;
    let mut child = Command::new(env!("CARGO_BIN_EXE_virtual-controller"))
        .args(["--gateway", &address.to_string()])
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut links = Vec::new();
    for _ in 0..count {
        links.push(Link::accept(&listener, arguments.contains(&"--clear")).await);
    }
    let out = BufReader::new(child.stdout.take().unwrap());
    let lines = tokio::task::spawn_blocking(move || {
        let mut lines: Vec<_> = out.lines().take(count).map(Result::unwrap).collect();
        lines.sort();
        lines
    });
    let lines = lines.await.unwrap();
    let killed = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    let status = tokio::task::spawn_blocking(move || child.wait())
        .await
        .unwrap()
        .unwrap();
    assert!(status.success(), "{status}");
    lines
}

#[test]
fn the_binary_refuses_what_it_cannot_start() {
    let hex = "5a".repeat(32);
    for (arguments, expected) in [
        (vec!["--address", "100042"], "expected a key"),
        (
            vec!["--address", "0", "--key", &hex],
            "expected controllers' numbers",
        ),
        (
            vec!["--address", "5", "--count", "2", "--key", &hex],
            "a key of its own",
        ),
        (
            vec!["--address", "5", "--key", "5a"],
            "64 hexadecimal digits",
        ),
        (
            vec!["--address", "5", "--keys", "/nonexistent"],
            "could not read /nonexistent",
        ),
        (
            vec!["--address", "5", "--key", &hex, "--input-period", "0"],
            "--input-period",
        ),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_virtual-controller"))
            .args(["--gateway", "127.0.0.1:1"])
            .args(&arguments)
            .env_remove("SWITCHYARD_KEY")
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && stderr.contains(expected),
            "{arguments:?}: {stderr}"
        );
    }
}

#[test]
fn the_binary_does_not_repeat_a_mistyped_key() {
    let short = "5a".repeat(31);
    for (arguments, environment) in [(vec!["--key", &short], ""), (vec![], short.as_str())] {
        let mut binary = Command::new(env!("CARGO_BIN_EXE_virtual-controller"));
        binary
            .args(["--gateway", "127.0.0.1:1", "--address", "5"])
            .args(&arguments)
            .env_remove("SWITCHYARD_KEY");
        if !environment.is_empty() {
            binary.env("SWITCHYARD_KEY", environment);
        }
        let output = binary.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && stderr.contains("64 hexadecimal digits"));
        assert!(!stderr.contains("5a5a"), "{stderr}");
    }
}
