//! Frames from peers that have come in: every payload's decoder, and the relay that judges and forwards them.

use super::Choices;
use std::{collections::HashMap, time::Duration};
use switchyard_protocol::{
    Address, Code, Flags, Frame, Kind, Role, SiteId, limits,
    message::{
        Answer, Body, Command, CommandHead, ControllerHello, Delta, ErrorMessage, Event, Full,
        HelloReply, Key, Receipt, Request, Time, Title, ToolHello, ToolWelcome, Verb,
    },
};
use switchyard_relay::{
    ConnectionId, Input, Now, Output, Peer, Relay, Rights, Settings, StoreResult,
};

const PUMP: Address = Address(7);
const FAN: Address = Address(8);
const DESK: Address = Address(0x8000_0001);
const PAGE: Address = Address(0xC000_0001);
const PEERS: [Address; 4] = [PUMP, FAN, DESK, PAGE];
/// A controller's link takes this much.
const FRAME_BYTES_MAX: usize = 1_040;
/// Frames of one run: what comes of them has come by then, and inputs stay quick.
const FRAMES_MAX: usize = 200;

/// What is decoded says the same when it is written and read once more.
fn payload(kind: Kind, bytes: &[u8]) {
    macro_rules! same {
        ($($message:ident)*) => {{$(
            if let Ok(message) = $message::decode(bytes) {
                assert_eq!($message::decode(&message.encode()), Ok(message));
            }
        )*}};
    }
    match kind {
        Kind::Hello => same!(ControllerHello HelloReply ToolHello ToolWelcome),
        Kind::Error => same!(ErrorMessage),
        Kind::Query | Kind::Configure | Kind::Admin => {
            if let Ok(request) = Request::decode(kind, bytes) {
                assert_eq!(Request::decode(kind, &request.encode()), Ok(request));
            }
        }
        Kind::Command => {
            same!(Command);
            if let Ok(command) = Command::decode(bytes) {
                let head = CommandHead::decode(bytes).expect("a part of it");
                assert_eq!((head.key, head.expiry), (command.key, command.expiry));
            }
        }
        Kind::Response => same!(Answer),
        Kind::Event => same!(Event),
        Kind::StatusFull => same!(Full),
        Kind::StatusDelta => same!(Delta),
        Kind::Receipt => same!(Receipt),
        Kind::Ping | Kind::Handshake => {}
    }
}

/// A yard of two controllers and two tools.
struct Yard {
    relay: Relay,
    now: Now,
    lives: u32,
    connections: [ConnectionId; 4],
    /// Bytes that each connection was sent and has not reported as written.
    queued: HashMap<ConnectionId, usize>,
}

impl Yard {
    fn new() -> Self {
        let title = |text| Title::new(text).expect("a title");
        let mut settings = Settings::new(title("yard"), title("fuzzed"), 42);
        settings.tool_queue_bytes_max = 16_384;
        settings.receipts_kept_max = 64;
        let now = Now {
            since_start: Duration::from_secs(1),
            time: Time(1_800_000_000_000),
        };
        let mut yard = Yard {
            relay: Relay::new(settings),
            now,
            lives: 0,
            connections: [ConnectionId(0); 4],
            queued: HashMap::new(),
        };
        for (address, site) in [(PUMP, Some(SiteId(1))), (FAN, None)] {
            let title = title("one");
            yard.feed(
                Input::ControllerKnown {
                    address,
                    title,
                    site,
                },
                0,
            );
        }
        for at in 0..PEERS.len() {
            yard.connect(at);
        }
        yard
    }

    fn connect(&mut self, at: usize) {
        self.lives += 1;
        let connection = ConnectionId::new(at as u32, self.lives);
        let address = PEERS[at];
        let account = Title::new("li").expect("a title");
        let peer = match address {
            DESK => Peer::Tool {
                address,
                account,
                rights: Rights::everywhere(Role::Admin),
            },
            PAGE => Peer::Tool {
                address,
                account,
                rights: Rights::new(None, [(SiteId(1), Role::Operator)]),
            },
            _ => Peer::Controller {
                address,
                frame_bytes_max: FRAME_BYTES_MAX,
            },
        };
        self.connections[at] = connection;
        self.feed(Input::Connected { connection, peer }, 0);
    }

    /// What comes of an input is looked at; `how` chooses what stores answer.
    fn feed(&mut self, input: Input, how: u8) {
        let mut outputs = Vec::new();
        self.relay.handle(self.now, input, &mut outputs);
        self.perform(outputs, how);
    }

    fn perform(&mut self, outputs: Vec<Output>, how: u8) {
        for output in outputs {
            match output {
                Output::Send { connection, frame } => {
                    let mut rest = frame.clone();
                    let sent = Frame::decode_shared(&mut rest, limits::PAYLOAD_BYTES_MAX);
                    let sent = sent.expect("a good header").expect("a whole frame");
                    assert!(rest.is_empty(), "one frame at a time");
                    let to = self.connections.iter().position(|it| *it == connection);
                    let to = PEERS[to.expect("nobody else is there")];
                    let header = sent.header();
                    // Status is sent to all who want it as it came.
                    assert!(header.destination == to || header.destination == Address::GATEWAY);
                    if to.is_controller() {
                        assert!(frame.len() <= FRAME_BYTES_MAX, "it takes no such frame");
                        assert!(
                            !matches!(header.kind, Kind::StatusFull | Kind::StatusDelta),
                            "a controller is told of another"
                        );
                    }
                    *self.queued.entry(connection).or_default() += frame.len();
                }
                Output::Close { connection, .. } => {
                    self.queued.remove(&connection);
                }
                Output::Store { ticket, .. } => {
                    let results = [
                        StoreResult::Committed,
                        StoreResult::Failed,
                        StoreResult::Unclear,
                    ];
                    let result = results[usize::from(how) % results.len()];
                    self.feed(Input::Stored { ticket, result }, how);
                }
                Output::Ask { ticket, .. } => {
                    let answer = match how & 4 == 0 {
                        true => Err(Code::StoreUnavailable),
                        false => Ok(Body::Enrol {
                            controller: Address(9),
                            key: [3; 32],
                        }),
                    };
                    self.feed(Input::Answered { ticket, answer }, how);
                }
                Output::StoreNumber { address, number } => {
                    let is_committed = how & 8 == 0;
                    self.feed(
                        Input::NumberStored {
                            address,
                            number,
                            is_committed,
                        },
                        how,
                    );
                }
                Output::Notice(_) | Output::Happened { .. } => {}
            }
        }
    }

    fn frame(&mut self, at: usize, frame: &Frame, how: u8) {
        let mut outputs = Vec::new();
        let connection = self.connections[at];
        self.relay
            .frame(self.now, connection, frame.as_frame_ref(), &mut outputs);
        self.perform(outputs, how);
    }

    /// The peers read what waits for them.
    fn drain(&mut self) {
        for (connection, bytes) in std::mem::take(&mut self.queued) {
            let mut outputs = Vec::new();
            self.relay
                .written(self.now, connection, bytes, &mut outputs);
            self.perform(outputs, 0);
        }
    }

    fn pass(&mut self, ms: u64) {
        let passed = Duration::from_millis(ms);
        self.now.since_start += passed;
        self.now.time = self.now.time.plus(passed);
        self.feed(Input::Tick, 0);
    }

    fn check(&self) {
        let gauges = self.relay.gauges();
        assert!(gauges.receipts_kept <= 64 + 16, "{gauges:?}");
        assert!(
            gauges.requests_open <= 2 * limits::OPEN_REQUESTS_MAX,
            "{gauges:?}"
        );
        let commands = gauges.commands_in_flight + gauges.commands_waiting;
        let bound = 2 * (limits::IN_FLIGHT_MAX + limits::WAITING_MAX);
        assert!(commands <= bound, "{gauges:?}");
        assert!(gauges.controllers_known == 2, "{gauges:?}");
    }
}

/// A payload that is right as far as it goes; what a fuzzer changes in it gets deepest.
fn right(which: u8) -> Vec<u8> {
    let key = Key([which >> 3; 16]);
    let verb = Verb::ALL[usize::from(which) % Verb::ALL.len()];
    match which % 8 {
        0 => Request::Subscribe { controllers: None }.encode(),
        1 => Request::Receipt { key }.encode(),
        2 => Receipt {
            key,
            stage: switchyard_protocol::message::Stage::Executed,
            at: None,
            reason: None,
            detail: None,
            is_final: true,
        }
        .encode(),
        3 => Event::Announce {
            boot: u32::from(which),
            features: 0,
            software: Title::new("fuzzed").expect("a title"),
            board: Title::new("none").expect("a title"),
            layout: 1,
        }
        .encode(),
        4 => command(key, which & 0x80 != 0),
        5 => Answer::Ok(Body::Done(verb)).encode(),
        6 => full(u32::from(which >> 4)),
        _ => vec![0xA1, 2, 0x18, verb.number() as u8],
    }
}

fn command(key: Key, wait: bool) -> Vec<u8> {
    use switchyard_protocol::message::{Action, Name};
    let command = Command {
        key,
        expiry: Time(1_800_000_030_000),
        wait,
        action: Action::Set {
            point: Name::new("RL1").expect("a name"),
            value: 1,
        },
    };
    command.encode()
}

fn full(boot: u32) -> Vec<u8> {
    use switchyard_protocol::message::{
        Cause, CauseKind, Name, Point, PointFlags, PointType, StatusHead,
    };
    let full = Full {
        head: StatusHead { boot, sequence: 0 },
        page: 0,
        pages: 1,
        uptime_ms: 0,
        time: None,
        points: vec![Point {
            index: 0,
            name: Name::new("RL1").expect("a name"),
            point_type: PointType::DigitalOutput,
            value: 0,
            flags: PointFlags::MANUAL,
            cause: Cause::plain(CauseKind::Boot),
        }],
        layout: 1,
    };
    full.encode()
}

/// Frames of any content from all peers, whose time passes and who leave and come back; and each payload's
/// decoder.
pub fn frames(data: &[u8]) {
    let mut choices = Choices(data);
    let mut yard = Yard::new();
    for _ in 0..FRAMES_MAX {
        if choices.is_over() {
            break;
        }
        let (at, how) = (choices.below(PEERS.len()), choices.byte());
        match how {
            0xFF => {
                let connection = yard.connections[at];
                let reason = Code::LinkLost;
                yard.feed(Input::Disconnected { connection, reason }, how);
                yard.queued.remove(&connection);
                yard.connect(at);
                continue;
            }
            0xFE => {
                yard.pass(u64::from(choices.byte()) * 500);
                continue;
            }
            0xFD => {
                yard.drain();
                continue;
            }
            _ => {}
        }
        if yard.relay.peer(yard.connections[at]).is_none() {
            yard.connect(at);
        }
        let kind = Kind::ALL[choices.below(Kind::ALL.len())];
        let flags = match (kind, how & 0x40) {
            (Kind::Response | Kind::StatusFull, 0x40) => Flags::MORE,
            (Kind::Ping, 0x40) => Flags::REPLY,
            _ => Flags::NONE,
        };
        let destinations = [PUMP, FAN, DESK, PAGE, Address::GATEWAY, Address(99)];
        let destination = destinations[choices.below(destinations.len())];
        let correlation = choices.byte().into();
        let which = choices.byte();
        let length = usize::from(choices.byte());
        let bytes = match which & 1 {
            0 => choices.bytes(length * 2).to_vec(),
            _ => {
                let mut bytes = right(which >> 1);
                if let Some(place) = length.checked_rem(bytes.len())
                    && how & 0x20 != 0
                {
                    bytes[place] = choices.byte();
                }
                bytes
            }
        };
        payload(kind, &bytes);
        // A wire takes no other source of a peer than its own but to end it for that.
        let source = match how & 0x1F {
            0x1F => Address(99),
            _ => PEERS[at],
        };
        let frame = Frame::with_flags(kind, flags, correlation, source, destination, &bytes);
        yard.frame(at, &frame, how);
        yard.check();
    }
    yard.drain();
    yard.pass(60_000);
    yard.check();
}
