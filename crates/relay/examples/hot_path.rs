//! What a message costs in the relay alone: `cargo run --release -p switchyard-relay --example
//! hot_path [scenario]`. The figures stand in `crates/relay/README.md`.
//!
//! Under `valgrind --tool=callgrind --toggle-collect='*measured*'` it counts instructions.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a bench: its panic and its output are the report"
)]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};
use switchyard_protocol::{
    Address, Frame, FrameRef, Kind, Role, SiteId, limits,
    message::{
        Action, Answer, Body, Cause, CauseKind, Change, Command, Delta, Event, Full, Key, Name,
        Ping, Point, PointFlags, PointType, Receipt, Request, Stage, StatusHead, Text, Time, Title,
    },
};
use switchyard_relay::{
    ConnectionId, Haste, Input, Now, Output, Peer, Relay, Rights, Settings, Sink,
};

const GATEWAY: Address = Address::GATEWAY;
const TIME: u64 = 1_800_000_000_000;
/// Controllers that are there; the measured ones take turns, so that a cache holds not only one.
const CONTROLLERS: u32 = 1_000;
const TOOLS: u32 = 64;
/// That the controllers are spread over.
const SITES: u32 = 64;

/// Counts what comes out, and copies it as a transport does.
struct Counting {
    frames: usize,
    buffer: Vec<u8>,
    /// Bytes for each place, which the transport reports as written.
    written: Vec<(ConnectionId, usize)>,
    /// Values, where they are wanted.
    values: Option<Vec<(Address, u8, i64, PointFlags)>>,
}

impl Sink for Counting {
    fn send(&mut self, connection: ConnectionId, frame: &[u8], _: Haste) {
        self.frames += 1;
        self.buffer.clear();
        self.buffer.extend_from_slice(frame);
        self.written.push((connection, frame.len()));
    }

    fn wants_values(&self) -> bool {
        self.values.is_some()
    }

    fn value(&mut self, controller: Address, point: u8, value: i64, flags: PointFlags) {
        if let Some(values) = &mut self.values {
            // As a gateway does that hands them over now and then.
            if values.len() == 4_096 {
                values.clear();
            }
            values.push((controller, point, value, flags));
        }
    }

    fn output(&mut self, output: Output) {
        black_box(output);
    }
}

struct Yard {
    relay: Relay,
    now: Now,
    sink: Counting,
    sequences: Vec<u32>,
    keys: u64,
}

/// A role everywhere, or with `SWITCHYARD_SITES=1` at every site by name: what nearly every account
/// has, and the dearest to judge.
fn rights() -> Rights {
    match std::env::var_os("SWITCHYARD_SITES") {
        None => Rights::everywhere(Role::Operator),
        Some(_) => Rights::new(
            None,
            (1..=limits::SITES_PER_ACCOUNT_MAX as u32).map(|site| (SiteId(site), Role::Operator)),
        ),
    }
}

fn title(text: &str) -> Title {
    Title::new(text).unwrap()
}

fn controller(index: u32) -> (ConnectionId, Address) {
    (ConnectionId::new(index, 1), Address(100_000 + index))
}

fn tool(index: u32) -> (ConnectionId, Address) {
    (
        ConnectionId::new(CONTROLLERS + index, 1),
        Address(0xC000_0000 + index),
    )
}

impl Yard {
    fn new(subscribers: u32) -> Self {
        let mut yard = Yard {
            relay: Relay::new(Settings::new(title("yard"), title("bench 1"), 42)),
            now: Now {
                since_start: Duration::from_secs(1),
                time: Time(TIME),
            },
            sink: Counting {
                frames: 0,
                buffer: Vec::with_capacity(70_000),
                written: Vec::with_capacity(1_024),
                values: None,
            },
            sequences: vec![0; CONTROLLERS as usize],
            keys: 0,
        };
        for index in 0..CONTROLLERS {
            let (connection, address) = controller(index);
            let peer = Peer::Controller {
                address,
                frame_bytes_max: 1_040,
            };
            yard.input(Input::ControllerKnown {
                address,
                title: title(&format!("pump {index}")),
                site: Some(SiteId(index % SITES + 1)),
            });
            yard.input(Input::Connected { connection, peer });
            let announce = Event::Announce {
                boot: 7,
                features: 1,
                software: title("virtual 1.0"),
                board: title("none"),
                layout: 1,
            };
            let payload = announce.encode();
            yard.send(connection, Kind::Event, 0, address, GATEWAY, &payload);
            let full = Full {
                head: StatusHead {
                    boot: 7,
                    sequence: 0,
                },
                page: 0,
                pages: 1,
                uptime_ms: 0,
                time: None,
                points: (0..10).map(point).collect(),
                layout: 1,
            };
            let payload = full.encode();
            yard.send(connection, Kind::StatusFull, 0, address, GATEWAY, &payload);
        }
        for index in 0..TOOLS {
            let (connection, address) = tool(index);
            let peer = Peer::Tool {
                address,
                account: title("li"),
                rights: rights(),
            };
            yard.input(Input::Connected { connection, peer });
            if index < subscribers {
                let payload = Request::Subscribe { controllers: None }.encode();
                yard.send(connection, Kind::Query, 1, address, GATEWAY, &payload);
                yard.write_out();
            }
        }
        yard
    }

    fn input(&mut self, input: Input) {
        self.relay.handle(self.now, input, &mut self.sink);
        self.write_out();
    }

    /// Says that everything has left, until nothing more comes.
    fn write_out(&mut self) {
        while let Some((connection, bytes)) = self.sink.written.pop() {
            self.relay
                .written(self.now, connection, bytes, &mut self.sink);
        }
    }

    fn send(
        &mut self,
        connection: ConnectionId,
        kind: Kind,
        correlation: u32,
        from: Address,
        to: Address,
        payload: &[u8],
    ) {
        let frame = Frame::new(kind, correlation, from, to, payload);
        self.relay
            .frame(self.now, connection, frame.as_frame_ref(), &mut self.sink);
        self.write_out();
    }

    fn delta(&mut self, index: u32) -> (ConnectionId, Vec<u8>) {
        let (connection, address) = controller(index);
        let sequence = &mut self.sequences[index as usize];
        *sequence += 1;
        let delta = Delta {
            head: StatusHead {
                boot: 7,
                sequence: *sequence,
            },
            uptime_ms: 86_400_000 + u64::from(*sequence),
            time: Some(Time(TIME)),
            changes: (0..10)
                .map(|at| Change {
                    index: at,
                    value: i64::from(*sequence + u32::from(at)) * 37,
                    flags: PointFlags(0),
                    cause: Cause::plain(CauseKind::Input),
                })
                .collect(),
        };
        let payload = delta.encode();
        let frame = Frame::new(Kind::StatusDelta, 0, address, GATEWAY, &payload);
        (connection, frame.bytes().to_vec())
    }

    fn command(&mut self, index: u32) -> [(ConnectionId, Vec<u8>); 2] {
        self.keys += 1;
        let mut key = [0; 16];
        // Spread as random ones are.
        key[..8].copy_from_slice(&self.keys.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
        let key = Key(key);
        let (to, address) = controller(index);
        let (from, asker) = tool(index % TOOLS);
        let command = Command {
            key,
            expiry: Time(TIME + 60_000),
            wait: false,
            action: Action::Set {
                point: Name::new("P1").unwrap(),
                value: 1,
            },
        };
        let receipt = Receipt {
            key,
            stage: Stage::Executed,
            at: Some(Time(TIME)),
            reason: None,
            detail: None,
            is_final: true,
        };
        let correlation = self.keys as u32 | 1;
        let command = Frame::new(
            Kind::Command,
            correlation,
            asker,
            address,
            &command.encode(),
        );
        let receipt = Frame::new(
            Kind::Receipt,
            correlation,
            address,
            asker,
            &receipt.encode(),
        );
        [
            (from, command.bytes().to_vec()),
            (to, receipt.bytes().to_vec()),
        ]
    }

    fn query(&mut self, index: u32) -> [(ConnectionId, Vec<u8>); 2] {
        self.keys += 1;
        let correlation = self.keys as u32 | 1;
        let (to, address) = controller(index);
        let (from, asker) = tool(index % TOOLS);
        let payload = Request::Describe.encode();
        let query = Frame::new(Kind::Query, correlation, asker, address, &payload);
        let answer = Answer::Ok(Body::Describe {
            behaviour: title("pump"),
            commands: vec![Text::cut("pulse(t: time in 100ms..60s)")],
        });
        let answer = Frame::new(
            Kind::Response,
            correlation,
            address,
            asker,
            &answer.encode(),
        );
        [
            (from, query.bytes().to_vec()),
            (to, answer.bytes().to_vec()),
        ]
    }

    fn ping(&mut self, index: u32) -> (ConnectionId, Vec<u8>) {
        let (from, address) = controller(index);
        let ping = Frame::new(Kind::Ping, 9, address, GATEWAY, &Ping.encode());
        (from, ping.bytes().to_vec())
    }

    fn note(&mut self, index: u32) -> (ConnectionId, Vec<u8>) {
        let (from, address) = tool(index % TOOLS);
        let (_, to) = tool((index + 1) % TOOLS);
        let text = Text::cut(&"x".repeat(180));
        let note = Frame::new(Kind::Event, 0, address, to, &Event::Note { text }.encode());
        (from, note.bytes().to_vec())
    }
}

fn point(index: u8) -> Point {
    Point {
        index,
        name: Name::new(&format!("P{index}")).unwrap(),
        point_type: PointType::AnalogueInput,
        value: 0,
        flags: PointFlags(0),
        cause: Cause::plain(CauseKind::Boot),
    }
}

/// Everything that is timed or counted happens in here.
#[inline(never)]
fn measured(yard: &mut Yard, frames: &[(ConnectionId, Vec<u8>)]) {
    for (connection, bytes) in frames {
        let split = FrameRef::split(bytes, limits::PAYLOAD_BYTES_MAX);
        let (frame, _) = split.unwrap().unwrap();
        yard.relay
            .frame(yard.now, *connection, frame, &mut yard.sink);
        while let Some((connection, bytes)) = yard.sink.written.pop() {
            yard.relay
                .written(yard.now, connection, bytes, &mut yard.sink);
        }
    }
}

fn run(
    name: &str,
    subscribers: u32,
    warm: u32,
    rounds: u32,
    mut make: impl FnMut(&mut Yard, u32) -> Vec<(ConnectionId, Vec<u8>)>,
) {
    let mut yard = Yard::new(subscribers);
    let mut best = Duration::MAX;
    let batch = 1_000;
    let mut sent = 0;
    for round in 0..warm + rounds {
        let frames: Vec<_> = (0..batch)
            .flat_map(|at| make(&mut yard, (at * 7) % CONTROLLERS))
            .collect();
        yard.now.since_start += Duration::from_millis(100);
        if round < warm {
            for (connection, bytes) in &frames {
                let (frame, _) = FrameRef::split(bytes, limits::PAYLOAD_BYTES_MAX)
                    .unwrap()
                    .unwrap();
                yard.relay
                    .frame(yard.now, *connection, frame, &mut yard.sink);
                yard.write_out();
            }
            continue;
        }
        let before = yard.sink.frames;
        let start = Instant::now();
        measured(&mut yard, &frames);
        best = best.min(start.elapsed());
        sent = yard.sink.frames - before;
    }
    println!(
        "{name}: {} ns, {} frames out of 1,000 rounds",
        best.as_nanos() / u128::from(batch),
        sent
    );
}

/// Every controller's status is taken, as for a status store.
fn taken(rounds: u32) {
    let mut yard = Yard::new(0);
    let mut best = Duration::MAX;
    for _ in 0..rounds {
        let frames: Vec<_> = (0..CONTROLLERS).map(|at| yard.delta(at)).collect();
        measured(&mut yard, &frames);
        let start = Instant::now();
        while yard.relay.changed() > 0 {
            black_box(yard.relay.take_changed(128));
        }
        best = best.min(start.elapsed());
    }
    println!(
        "taken: {} ns for each controller of 10 points",
        best.as_nanos() / u128::from(CONTROLLERS)
    );
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let only = arguments.next();
    let rounds = arguments
        .next()
        .and_then(|it| it.parse().ok())
        .unwrap_or(200);
    let wanted = |name: &str| {
        only.as_deref()
            .is_none_or(|only| only == "all" || only == name)
    };
    if wanted("delta0") {
        run("delta0", 0, 5, rounds, |yard, at| vec![yard.delta(at)]);
    }
    if wanted("delta1") {
        run("delta1", 1, 5, rounds, |yard, at| vec![yard.delta(at)]);
    }
    if wanted("delta0values") {
        run("delta0values", 0, 5, rounds, |yard, at| {
            yard.sink.values.get_or_insert_default();
            vec![yard.delta(at)]
        });
    }
    if wanted("taken") {
        taken(rounds);
    }
    if wanted("delta64") {
        run("delta64", 64, 5, rounds, |yard, at| vec![yard.delta(at)]);
    }
    if wanted("command") {
        run("command", 0, 70, rounds, |yard, at| yard.command(at).into());
    }
    if wanted("query") {
        run("query", 0, 5, rounds, |yard, at| yard.query(at).into());
    }
    if wanted("ping") {
        run("ping", 0, 5, rounds, |yard, at| vec![yard.ping(at)]);
    }
    if wanted("note") {
        run("note", 0, 5, rounds, |yard, at| vec![yard.note(at)]);
    }
}
