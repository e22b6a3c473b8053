//! A relay with its surroundings played by hand: time moves when told, frames wait to be looked
//! at, and the store answers what the test says.

use std::{collections::HashMap, time::Duration};
use switchyard_protocol::{
    Address, Code, Frame, Kind, Role, limits,
    message::{
        Action, Answer, Cause, CauseKind, Change, Command, Delta, ErrorMessage, Event, Full, Key,
        Name, Point, PointFlags, PointType, Receipt, Request, Stage, StatusHead, Time, Title,
    },
};
use switchyard_relay::{
    ConnectionId, Haste, Input, Notice, Now, Output, Peer, Question, Relay, Rights, Settings, Sink,
    StoreRequest, StoreResult, Ticket,
};

pub(crate) const GATEWAY: Address = Address::GATEWAY;
pub(crate) const PUMP: Address = Address(100_042);
pub(crate) const FAN: Address = Address(100_043);
pub(crate) const DESK: Address = Address(0x8000_0001);
pub(crate) const PAGE: Address = Address(0xC000_0001);
pub(crate) const BOOT: u32 = 7;
pub(crate) const TIME: u64 = 1_800_000_000_000;

pub(crate) struct Yard {
    pub(crate) relay: Relay,
    pub(crate) since_start: Duration,
    pub(crate) time: Time,
    /// Whether what is sent is reported as written at once.
    pub(crate) writes: bool,
    last_connection: u64,
    inboxes: HashMap<ConnectionId, Vec<Frame>>,
    closed: HashMap<ConnectionId, Code>,
    pub(crate) stores: Vec<(Ticket, StoreRequest)>,
    pub(crate) questions: Vec<(Ticket, Question)>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) logged: Vec<(Address, Event)>,
    pub(crate) numbers: Vec<(Address, u32)>,
    pub(crate) sequence: u32,
}

struct Places(Vec<(ConnectionId, *const u8)>);

impl Sink for Places {
    fn send(&mut self, connection: ConnectionId, frame: &[u8], _: Haste) {
        self.0.push((connection, frame.as_ptr()));
    }

    fn output(&mut self, output: Output) {
        panic!("{output:?}");
    }
}

pub(crate) fn title(text: &str) -> Title {
    Title::new(text).unwrap()
}

pub(crate) fn settings() -> Settings {
    Settings::new(title("yard"), title("test 1"), 42)
}

impl Yard {
    pub(crate) fn new() -> Self {
        Self::with(settings())
    }

    /// With a pump and a fan enrolled, neither of them there.
    pub(crate) fn with(settings: Settings) -> Self {
        let mut yard = Yard {
            relay: Relay::new(settings),
            since_start: Duration::from_secs(5),
            time: Time(TIME),
            writes: true,
            last_connection: 0,
            inboxes: HashMap::new(),
            closed: HashMap::new(),
            stores: Vec::new(),
            questions: Vec::new(),
            notices: Vec::new(),
            logged: Vec::new(),
            numbers: Vec::new(),
            sequence: 0,
        };
        for (address, name) in [(PUMP, "pump"), (FAN, "fan")] {
            yard.feed(Input::ControllerKnown {
                address,
                title: title(name),
                site: None,
            });
        }
        yard
    }

    pub(crate) fn now(&self) -> Now {
        Now {
            since_start: self.since_start,
            time: self.time,
        }
    }

    pub(crate) fn feed(&mut self, input: Input) {
        let mut outputs = Vec::new();
        self.relay.handle(self.now(), input, &mut outputs);
        self.perform(outputs);
    }

    pub(crate) fn frame(&mut self, connection: ConnectionId, frame: &Frame) {
        let mut outputs = Vec::new();
        let now = self.now();
        self.relay
            .frame(now, connection, frame.as_frame_ref(), &mut outputs);
        self.perform(outputs);
    }

    /// Has a frame forwarded, and tells where the bytes lie that its receivers get.
    pub(crate) fn places_of_bytes(
        &mut self,
        connection: ConnectionId,
        frame: &Frame,
    ) -> Vec<(ConnectionId, *const u8)> {
        let mut sent = Places(Vec::new());
        let now = self.now();
        self.relay
            .frame(now, connection, frame.as_frame_ref(), &mut sent);
        sent.0
    }

    pub(crate) fn written(&mut self, connection: ConnectionId, bytes: usize) {
        let mut outputs = Vec::new();
        self.relay
            .written(self.now(), connection, bytes, &mut outputs);
        self.perform(outputs);
    }

    fn perform(&mut self, outputs: Vec<Output>) {
        let mut written = Vec::new();
        for output in outputs {
            match output {
                Output::Send { connection, frame } => {
                    assert!(
                        !self.closed.contains_key(&connection),
                        "sent after its close"
                    );
                    written.push((connection, frame.len()));
                    let mut rest = frame;
                    let frame = Frame::decode_shared(&mut rest, limits::PAYLOAD_BYTES_MAX);
                    let inbox = self.inboxes.entry(connection).or_default();
                    inbox.push(frame.unwrap().unwrap());
                }
                Output::Close {
                    connection, code, ..
                } => {
                    let before = self.closed.insert(connection, code);
                    assert_eq!(before, None, "closed twice");
                }
                Output::Store { ticket, request } => self.stores.push((ticket, request)),
                Output::Ask {
                    ticket, question, ..
                } => self.questions.push((ticket, question)),
                Output::Notice(notice) => self.notices.push(notice),
                Output::Happened { address, event } => self.logged.push((address, *event)),
                Output::StoreNumber { address, number } => self.numbers.push((address, number)),
            }
        }
        if self.writes {
            for (connection, bytes) in written {
                self.written(connection, bytes);
            }
        }
    }

    /// Lets time pass, both clocks alike, with a tick whenever one is due.
    pub(crate) fn pass(&mut self, duration: Duration) {
        let until = self.since_start + duration;
        while let Some(at) = self.relay.next_timer().filter(|&at| at <= until) {
            self.move_to(at.max(self.since_start));
            self.feed(Input::Tick);
        }
        self.move_to(until);
    }

    fn move_to(&mut self, at: Duration) {
        self.time = self.time.plus(at - self.since_start);
        self.since_start = at;
    }

    // --- peers -----------------------------------------------------------------------------------

    pub(crate) fn connect(&mut self, peer: Peer) -> ConnectionId {
        self.last_connection += 1;
        let connection = ConnectionId(self.last_connection);
        self.feed(Input::Connected { connection, peer });
        connection
    }

    pub(crate) fn tool(&mut self, address: Address, account: &str, role: Role) -> ConnectionId {
        self.tool_with(address, account, Rights::everywhere(role))
    }

    pub(crate) fn tool_with(
        &mut self,
        address: Address,
        account: &str,
        rights: Rights,
    ) -> ConnectionId {
        self.connect(Peer::Tool {
            address,
            account: title(account),
            rights,
        })
    }

    /// A controller that has announced itself and sent its status.
    pub(crate) fn controller(&mut self, address: Address, boot: u32) -> ConnectionId {
        let connection = self.dial(address);
        self.announce(connection, address, boot);
        self.send_full(connection, address, boot);
        connection
    }

    pub(crate) fn dial(&mut self, address: Address) -> ConnectionId {
        self.connect(Peer::Controller {
            address,
            frame_bytes_max: 1_040,
        })
    }

    pub(crate) fn announce(&mut self, connection: ConnectionId, address: Address, boot: u32) {
        let announce = Event::Announce {
            boot,
            features: 1,
            software: title("virtual"),
            board: title("none"),
            layout: 1,
        };
        let payload = announce.encode();
        self.send(connection, Kind::Event, 0, address, GATEWAY, &payload);
    }

    pub(crate) fn send_full(&mut self, connection: ConnectionId, address: Address, boot: u32) {
        let full = Full {
            head: StatusHead {
                boot,
                sequence: self.sequence,
            },
            page: 0,
            pages: 1,
            uptime_ms: 0,
            time: None,
            points: vec![Point {
                index: 0,
                name: Name::new("RL1").unwrap(),
                point_type: PointType::AnalogueOutput,
                value: i64::from(self.sequence),
                flags: PointFlags::MANUAL,
                cause: Cause::plain(CauseKind::Boot),
            }],
            layout: 1,
        };
        let payload = full.encode();
        self.send(connection, Kind::StatusFull, 0, address, GATEWAY, &payload);
    }

    /// The next delta, whose value is its sequence.
    pub(crate) fn send_delta(&mut self, connection: ConnectionId, address: Address) -> Frame {
        let frame = self.next_delta(address);
        self.frame(connection, &frame);
        frame
    }

    pub(crate) fn next_delta(&mut self, address: Address) -> Frame {
        self.sequence += 1;
        let delta = Delta {
            head: StatusHead {
                boot: BOOT,
                sequence: self.sequence,
            },
            uptime_ms: 0,
            time: None,
            changes: vec![Change {
                index: 0,
                value: i64::from(self.sequence),
                flags: PointFlags::MANUAL,
                cause: Cause::plain(CauseKind::Input),
            }],
        };
        Frame::new(Kind::StatusDelta, 0, address, GATEWAY, &delta.encode())
    }

    pub(crate) fn send(
        &mut self,
        connection: ConnectionId,
        kind: Kind,
        correlation: u32,
        from: Address,
        to: Address,
        payload: &[u8],
    ) {
        let frame = Frame::new(kind, correlation, from, to, payload);
        self.frame(connection, &frame);
    }

    pub(crate) fn cut(&mut self, connection: ConnectionId) {
        self.feed(Input::Disconnected {
            connection,
            reason: Code::LinkLost,
        });
    }

    // --- what came out ---------------------------------------------------------------------------

    /// Takes everything that was sent to a connection.
    pub(crate) fn inbox(&mut self, connection: ConnectionId) -> Vec<Frame> {
        self.inboxes.remove(&connection).unwrap_or_default()
    }

    pub(crate) fn closed(&self, connection: ConnectionId) -> Option<Code> {
        self.closed.get(&connection).copied()
    }

    /// Asserts that a connection was ended with an error frame that says why.
    pub(crate) fn assert_ended(&mut self, connection: ConnectionId, code: Code) {
        assert_eq!(self.closed(connection), Some(code));
        let last = self.inbox(connection).pop().expect("a last word");
        assert_eq!(last.header().kind, Kind::Error);
        assert_eq!(ErrorMessage::decode(last.payload()).unwrap().code, code);
        assert!(self.relay.counters().ended.of(code) > 0);
    }

    /// The one answer in a tool's inbox.
    pub(crate) fn answer(&mut self, connection: ConnectionId) -> Answer {
        let frames = self.inbox(connection);
        let [frame] = &frames[..] else {
            panic!("expected one answer and found {frames:?}");
        };
        assert_eq!(frame.header().kind, Kind::Response);
        Answer::decode(frame.payload()).unwrap()
    }

    pub(crate) fn ask(
        &mut self,
        connection: ConnectionId,
        from: Address,
        request: &Request,
    ) -> Answer {
        let kind = request.verb().kind();
        self.send(connection, kind, 9, from, GATEWAY, &request.encode());
        self.answer(connection)
    }

    // --- commands --------------------------------------------------------------------------------

    pub(crate) fn command(&mut self, connection: ConnectionId, from: Address, command: &Command) {
        let (kind, payload) = (Kind::Command, command.encode());
        self.send(connection, kind, 5, from, PUMP, &payload);
    }

    /// The receipts in a tool's inbox, by stage and reason.
    pub(crate) fn receipts(&mut self, connection: ConnectionId) -> Vec<(Stage, Option<Code>)> {
        let frames = self.inbox(connection);
        let receipts = frames
            .iter()
            .filter(|frame| frame.header().kind == Kind::Receipt);
        receipts
            .map(|frame| Receipt::decode(frame.payload()).unwrap())
            .map(|receipt| (receipt.stage, receipt.reason))
            .collect()
    }

    /// The keys of the commands in a controller's inbox.
    pub(crate) fn commands(&mut self, connection: ConnectionId) -> Vec<Key> {
        let frames = self.inbox(connection);
        let commands = frames
            .iter()
            .filter(|frame| frame.header().kind == Kind::Command);
        commands
            .map(|frame| Command::decode(frame.payload()).unwrap().key)
            .collect()
    }

    /// A controller's receipt for the tool that gave the command.
    pub(crate) fn receipt(
        &mut self,
        connection: ConnectionId,
        to: Address,
        key: Key,
        stage: Stage,
        is_final: bool,
    ) {
        let receipt = Receipt {
            key,
            stage,
            at: None,
            reason: None,
            detail: None,
            is_final,
        };
        self.send(connection, Kind::Receipt, 5, PUMP, to, &receipt.encode());
    }

    /// The store answers its oldest open request.
    pub(crate) fn store(&mut self, result: StoreResult) -> StoreRequest {
        let (ticket, request) = self.stores.remove(0);
        self.feed(Input::Stored { ticket, result });
        request
    }

    /// The store has, or has not, the oldest number that it was told.
    pub(crate) fn store_number(&mut self, is_committed: bool) -> (Address, u32) {
        let (address, number) = self.numbers.remove(0);
        self.feed(Input::NumberStored {
            address,
            number,
            is_committed,
        });
        (address, number)
    }
}

/// A command to the pump that expires in ten seconds.
pub(crate) fn command(number: u8) -> Command {
    Command {
        key: Key([number; 16]),
        expiry: Time(TIME + 10_000),
        wait: false,
        action: Action::Set {
            point: Name::new("RL1").unwrap(),
            value: 1,
        },
    }
}

pub(crate) fn waiting(number: u8) -> Command {
    Command {
        wait: true,
        ..command(number)
    }
}
