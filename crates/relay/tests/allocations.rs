//! What happens all the time allocates nothing, once every buffer has found its size; and what
//! there may be ten thousand of is small.

#![allow(clippy::unwrap_used, reason = "a test: its panic is the report")]
#![allow(
    unsafe_code,
    reason = "an allocator that counts can be written in no other way"
)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    time::Duration,
};
use switchyard_protocol::{
    Address, Flags, Frame, Kind, Role, SiteId,
    message::{
        Action, Answer, Body, Cause, CauseKind, Change, Command, Delta, Event, Full, Key, Name,
        Ping, Point, PointFlags, PointType, Receipt, Request, Stage, StatusHead, Text, Time, Title,
    },
};
use switchyard_relay::{
    ConnectionId, Haste, Input, Now, Output, Peer, Relay, Rights, Settings, Sink,
};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    /// Bytes in use, as they were asked for.
    static BYTES: Cell<isize> = const { Cell::new(0) };
}

fn count(allocations: usize, bytes: isize) {
    // A thread that is ending has nothing left to count with.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + allocations));
    let _ = BYTES.try_with(|count| count.set(count.get() + bytes));
}

// SAFETY: everything is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as isize);
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        count(0, -(layout.size() as isize));
        // SAFETY: the caller keeps `dealloc`'s contract.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count(1, bytes as isize - layout.size() as isize);
        // SAFETY: the caller keeps `realloc`'s contract.
        unsafe { System.realloc(place, layout, bytes) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const GATEWAY: Address = Address::GATEWAY;
const PUMP: Address = Address(100_042);
const PAGE: Address = Address(0xC000_0001);
const DESK: Address = Address(0x8000_0001);
const TIME: Time = Time(1_800_000_000_000);
const PUMP_LINK: ConnectionId = ConnectionId::new(0, 1);
const PAGE_LINK: ConnectionId = ConnectionId::new(1, 1);
const DESK_LINK: ConnectionId = ConnectionId::new(2, 1);

/// Notes how much went to whom.
struct Sent {
    bytes: Vec<(ConnectionId, usize)>,
    frames: usize,
}

impl Sink for Sent {
    fn send(&mut self, connection: ConnectionId, frame: &[u8], _: Haste) {
        self.bytes.push((connection, frame.len()));
        self.frames += 1;
    }

    fn output(&mut self, output: Output) {
        panic!("{output:?}");
    }
}

struct Yard {
    relay: Relay,
    now: Now,
    sent: Sent,
}

fn title(text: &str) -> Title {
    Title::new(text).unwrap()
}

impl Yard {
    /// With a pump, a page and a desk, both of which subscribed.
    fn new() -> Self {
        let mut settings = Settings::new(title("yard"), title("test 1"), 42);
        settings.receipts_kept_max = 100;
        let mut yard = Yard {
            relay: Relay::new(settings),
            now: Now {
                since_start: Duration::from_secs(5),
                time: TIME,
            },
            sent: Sent {
                bytes: Vec::with_capacity(64),
                frames: 0,
            },
        };
        yard.connect(
            PUMP_LINK,
            Peer::Controller {
                address: PUMP,
                frame_bytes_max: 1_040,
            },
        );
        yard.introduce(PUMP_LINK, PUMP, 1);
        for (connection, address) in [(PAGE_LINK, PAGE), (DESK_LINK, DESK)] {
            let peer = Peer::Tool {
                address,
                account: title("li"),
                rights: Rights::everywhere(Role::Operator),
            };
            yard.connect(connection, peer);
            let subscribe = Request::Subscribe { controllers: None }.encode();
            let frame = Frame::new(Kind::Query, 1, address, GATEWAY, &subscribe);
            yard.frame(connection, &frame);
        }
        yard
    }

    fn connect(&mut self, connection: ConnectionId, peer: Peer) {
        let input = Input::Connected { connection, peer };
        self.relay.handle(self.now, input, &mut self.sent);
    }

    /// A controller announces itself and tells its points.
    fn introduce(&mut self, connection: ConnectionId, address: Address, points: u8) {
        let announce = Event::Announce {
            boot: 7,
            features: 1,
            software: title("virtual"),
            board: title("none"),
            layout: 1,
        };
        let point = |index| Point {
            index,
            name: Name::new(&format!("RL{index}")).unwrap(),
            point_type: PointType::AnalogueOutput,
            value: 0,
            flags: PointFlags::MANUAL,
            cause: Cause::plain(CauseKind::Boot),
        };
        let full = Full {
            head: StatusHead {
                boot: 7,
                sequence: 0,
            },
            page: 0,
            pages: 1,
            uptime_ms: 0,
            time: None,
            points: (0..points).map(point).collect(),
            layout: 1,
        };
        for (kind, payload) in [
            (Kind::Event, announce.encode()),
            (Kind::StatusFull, full.encode()),
        ] {
            self.frame(connection, &Frame::new(kind, 0, address, GATEWAY, &payload));
        }
    }

    /// A frame comes, and what it causes leaves.
    fn frame(&mut self, connection: ConnectionId, frame: &Frame) {
        let frame = frame.as_frame_ref();
        self.relay
            .frame(self.now, connection, frame, &mut self.sent);
        while let Some((connection, bytes)) = self.sent.bytes.pop() {
            self.relay
                .written(self.now, connection, bytes, &mut self.sent);
        }
    }
}

/// Runs what `round` makes of a number, again and again, and counts what the later rounds allocate.
fn assert_steady(name: &str, frames_out: usize, round: impl Fn(u32) -> Vec<(ConnectionId, Frame)>) {
    let mut yard = Yard::new();
    let mut allocations = 0;
    let rounds: Vec<_> = (1..=2_000).map(round).collect();
    for (number, frames) in rounds.iter().enumerate() {
        yard.now.since_start += Duration::from_millis(10);
        let before = (ALLOCATIONS.get(), yard.sent.frames);
        for (connection, frame) in frames {
            yard.frame(*connection, frame);
        }
        assert_eq!(yard.sent.frames - before.1, frames_out, "{name} {number}");
        if number >= 1_000 {
            allocations += ALLOCATIONS.get() - before.0;
        }
    }
    assert_eq!(allocations, 0, "{name}, a thousand times");
}

#[test]
fn a_delta_is_fanned_out() {
    assert_steady("delta", 2, |number| {
        let delta = Delta {
            head: StatusHead {
                boot: 7,
                sequence: number,
            },
            uptime_ms: 1_000 * u64::from(number),
            time: Some(TIME),
            changes: vec![Change {
                index: 0,
                value: number.into(),
                flags: PointFlags::MANUAL,
                cause: Cause::plain(CauseKind::Input),
            }],
        };
        let frame = Frame::new(Kind::StatusDelta, 0, PUMP, GATEWAY, &delta.encode());
        vec![(PUMP_LINK, frame)]
    });
}

#[test]
fn a_command_lives() {
    assert_steady("command", 4, |number| {
        let mut key = [7; 16];
        key[..4].copy_from_slice(&number.to_be_bytes());
        let key = Key(key);
        let command = Command {
            key,
            expiry: Time(TIME.0 + 60_000),
            wait: false,
            action: Action::Set {
                point: Name::new("RL1").unwrap(),
                value: 1,
            },
        };
        let receipt = |stage, is_final| {
            let receipt = Receipt {
                key,
                stage,
                at: Some(TIME),
                reason: None,
                detail: None,
                is_final,
            };
            let frame = Frame::new(Kind::Receipt, number, PUMP, PAGE, &receipt.encode());
            (PUMP_LINK, frame)
        };
        let command = Frame::new(Kind::Command, number, PAGE, PUMP, &command.encode());
        vec![
            (PAGE_LINK, command),
            receipt(Stage::Delivered, false),
            receipt(Stage::Executed, true),
        ]
    });
}

#[test]
fn a_query_is_answered() {
    assert_steady("query", 2, |number| {
        let query = Request::Describe.encode();
        let answer = Answer::Ok(Body::Describe {
            behaviour: title("pump"),
            commands: vec![],
        });
        vec![
            (
                PAGE_LINK,
                Frame::new(Kind::Query, number, PAGE, PUMP, &query),
            ),
            (
                PUMP_LINK,
                Frame::new(Kind::Response, number, PUMP, PAGE, &answer.encode()),
            ),
        ]
    });
}

#[test]
fn a_ping_is_replied_to() {
    assert_steady("ping", 1, |number| {
        let ping = Ping.encode();
        let frame = Frame::with_flags(Kind::Ping, Flags::NONE, number, PUMP, GATEWAY, &ping);
        vec![(PUMP_LINK, frame)]
    });
}

#[test]
fn a_note_passes() {
    assert_steady("note", 1, |number| {
        let text = Text::new("the pump runs dry").unwrap();
        let note = Event::Note { text }.encode();
        vec![(
            PAGE_LINK,
            Frame::new(Kind::Event, number, PAGE, DESK, &note),
        )]
    });
}

/// Just below a power of two, where tables that double are at their fullest.
const MANY: u32 = 14_000;

#[test]
fn an_idle_peer_is_small() {
    let settings = Settings::new(title("yard"), title("test 1"), 42);
    let mut yard = Yard {
        relay: Relay::new(settings),
        now: Now {
            since_start: Duration::from_secs(5),
            time: TIME,
        },
        sent: Sent {
            bytes: Vec::with_capacity(64),
            frames: 0,
        },
    };
    let bytes_each = |yard: &mut Yard, join: &dyn Fn(&mut Yard, u32)| {
        let before = BYTES.get();
        for number in 0..MANY {
            join(yard, number);
        }
        (BYTES.get() - before) / MANY as isize
    };
    let controller = |number| Address(100_000 + number);
    let enrolled = bytes_each(&mut yard, &|yard, number| {
        let input = Input::ControllerKnown {
            address: controller(number),
            title: title(&format!("pump {number}")),
            site: SiteId(number % 100 + 1).into(),
        };
        yard.relay.handle(yard.now, input, &mut yard.sent);
    });
    // So that growth is a decision. Tables and timers are counted in.
    assert!(enrolled <= 200, "an enrolled controller: {enrolled} bytes");
    let connected = bytes_each(&mut yard, &|yard, number| {
        let (link, address) = (ConnectionId::new(number, 1), controller(number));
        let peer = Peer::Controller {
            address,
            frame_bytes_max: 1_040,
        };
        yard.connect(link, peer);
        yard.introduce(link, address, 4);
    });
    assert!(
        connected <= 360,
        "a controller that is there: {connected} bytes"
    );
    let tool = bytes_each(&mut yard, &|yard, number| {
        let (link, address) = (
            ConnectionId::new(MANY + number, 1),
            Address(PAGE.0 + number),
        );
        let peer = Peer::Tool {
            address,
            account: title("li"),
            rights: Rights::everywhere(Role::Viewer),
        };
        yard.connect(link, peer);
        let subscribe = Request::Subscribe {
            controllers: Some(vec![controller(number)]),
        };
        let payload = subscribe.encode();
        yard.frame(
            link,
            &Frame::new(Kind::Query, 1, address, GATEWAY, &payload),
        );
    });
    assert!(tool <= 512, "a tool that subscribed to one: {tool} bytes");
}
