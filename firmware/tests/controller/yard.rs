//! A scripted gateway on a fake clock, at the other end of one controller's link.

use std::time::Duration;

use bytes::BytesMut;
use switchyard_firmware::{
    Action, Behaviour, Channel, Controller, ControllerKey, Flash, LinkState, Script, Settings,
};
use switchyard_protocol::{
    Address, Code, Flags, Frame, Kind,
    message::{
        self, Answer, Command, Delta, ErrorMessage, Full, HelloReply, Key, Name, PingReply,
        Receipt, Request, Stage, Time,
    },
};

pub(crate) const ADDRESS: Address = Address(100_042);
pub(crate) const TOOL: Address = Address(0xC000_0001);
pub(crate) const SECRET: [u8; 32] = [0x5A; 32];
/// Gateway time at the yard's zero.
pub(crate) const EPOCH_MS: u64 = 1_800_000_000_000;
pub(crate) const SCAN: Duration = Duration::from_millis(10);
pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(20);

pub(crate) fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

pub(crate) fn key(number: u32) -> Key {
    let mut bytes = [0xEE; 16];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    Key(bytes)
}

enum Cipher {
    Down,
    Clear,
    Noise(Box<snow::TransportState>),
}

pub(crate) struct Yard {
    pub(crate) controller: Controller,
    pub(crate) now: Duration,
    /// Everything the controller sent and no test has taken yet.
    pub(crate) frames: Vec<Frame>,
    /// Every action it asked for.
    pub(crate) actions: Vec<Action>,
    /// The link takes nothing more.
    pub(crate) blocked: bool,
    pub(crate) answers_pings: bool,
    pub(crate) record_bytes_max: u16,
    /// Sizes of the records that came.
    pub(crate) records: Vec<usize>,
    /// Bytes to the controller are split into pieces of this size.
    pub(crate) split: usize,
    pub(crate) secret: [u8; 32],
    /// Wiring: RL1's feedback and AO1's read-back.
    pub(crate) feedback: bool,
    clear: bool,
    cipher: Cipher,
    raw: BytesMut,
    correlation: u32,
}

pub(crate) fn settings(behaviour: Behaviour) -> Settings {
    settings_of(behaviour.into())
}

pub(crate) fn settings_of(script: Script) -> Settings {
    let mut settings = Settings::new(ADDRESS, ControllerKey::new(SECRET), script);
    settings.seed = Some(1);
    settings
}

impl Yard {
    /// A controller with a clear link, live, its first frames taken.
    pub(crate) fn live(behaviour: Behaviour) -> Self {
        let mut settings = settings(behaviour);
        settings.clear = true;
        Self::live_with(settings)
    }

    pub(crate) fn live_with(settings: Settings) -> Self {
        let mut yard = Self::new(settings, Duration::ZERO);
        yard.connect();
        yard.run(SCAN);
        assert_eq!(yard.controller.link_state(), LinkState::Live);
        yard.frames.clear();
        yard
    }

    pub(crate) fn new(settings: Settings, now: Duration) -> Self {
        let clear = settings.clear;
        let controller = Controller::new(settings, now).expect("valid settings");
        Self::around(controller, clear, now)
    }

    /// The same, with all that a board keeps in its flash.
    #[allow(dead_code, reason = "the fuzz targets ask")]
    pub(crate) fn with_flash(settings: Settings, now: Duration) -> Self {
        let clear = settings.clear;
        let controller =
            Controller::with_flash(settings, Flash::blank(), now).expect("valid settings");
        Self::around(controller, clear, now)
    }

    fn around(controller: Controller, clear: bool, now: Duration) -> Self {
        Self {
            clear,
            controller,
            now,
            frames: Vec::new(),
            actions: Vec::new(),
            blocked: false,
            answers_pings: true,
            record_bytes_max: 1056,
            records: Vec::new(),
            split: usize::MAX,
            secret: SECRET,
            feedback: true,
            cipher: Cipher::Down,
            raw: BytesMut::new(),
            correlation: 1000,
        }
    }

    /// Whether frames may be sent.
    #[allow(dead_code, reason = "the fuzz targets ask")]
    pub(crate) fn is_up(&self) -> bool {
        !matches!(self.cipher, Cipher::Down)
    }

    pub(crate) fn time(&self) -> u64 {
        EPOCH_MS + u64::try_from(self.now.as_millis()).expect("a short test")
    }

    /// Moves the clock in scans.
    pub(crate) fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            self.jump(SCAN.min(end - self.now));
        }
    }

    /// Moves the clock at once.
    pub(crate) fn jump(&mut self, span: Duration) {
        self.now += span;
        if self.feedback {
            let relay = self.controller.output(Channel::Rl1);
            self.controller.set_input(Channel::Di2, relay);
        }
        self.controller.poll(self.now);
        self.drain();
    }

    /// Takes what the controller sent.
    pub(crate) fn drain(&mut self) {
        if !self.blocked {
            while let Some(bytes) = self.controller.take_outbound(self.now) {
                self.raw.extend_from_slice(&bytes);
                self.absorb();
            }
        }
        while let Some(action) = self.controller.next_action() {
            self.actions.push(action);
            if action == Action::HangUp {
                self.cipher = Cipher::Down;
                self.raw.clear();
            }
        }
    }

    fn absorb(&mut self) {
        match &mut self.cipher {
            Cipher::Down => {}
            Cipher::Clear => {
                while let Some(frame) = Frame::decode(&mut self.raw, 1056).expect("a frame") {
                    self.frames.push(frame);
                }
            }
            Cipher::Noise(noise) => {
                while self.raw.len() >= 2 {
                    let length = usize::from(u16::from_be_bytes([self.raw[0], self.raw[1]]));
                    assert!((17..=usize::from(self.record_bytes_max)).contains(&length));
                    if self.raw.len() < 2 + length {
                        break;
                    }
                    let record = self.raw.split_to(2 + length);
                    let mut plain = vec![0; length];
                    let bytes = noise
                        .read_message(&record[2..], &mut plain)
                        .expect("a record");
                    self.records.push(length);
                    let mut plain = BytesMut::from(&plain[..bytes]);
                    while let Some(frame) = Frame::decode(&mut plain, 1056).expect("a frame") {
                        self.frames.push(frame);
                    }
                    assert!(plain.is_empty(), "a record ends at a frame's end");
                }
            }
        }
        if self.answers_pings {
            let pings: Vec<_> = self
                .frames
                .extract_if(.., |frame| {
                    frame.header().kind == Kind::Ping && frame.header().flags == Flags::NONE
                })
                .collect();
            for ping in pings {
                self.answer_ping(&ping);
            }
        }
    }

    pub(crate) fn answer_ping(&mut self, ping: &Frame) {
        let reply = PingReply {
            time: Some(Time(self.time())),
        };
        self.send(&Frame::with_flags(
            Kind::Ping,
            Flags::REPLY,
            ping.header().correlation,
            Address::GATEWAY,
            ADDRESS,
            &reply.encode(),
        ));
    }

    /// Waits for the dial. Returns the gateway dialled.
    pub(crate) fn await_dial(&mut self) -> u8 {
        self.actions.clear();
        for _ in 0..7000 {
            self.jump(SCAN);
            for action in self.actions.drain(..) {
                if let Action::Dial(gateway) = action {
                    return gateway;
                }
            }
        }
        panic!("no dial within 70 s");
    }

    /// Waits for the dial and answers hello and handshake.
    pub(crate) fn connect(&mut self) {
        self.await_dial();
        self.greet(|_| {});
    }

    /// Connects after the dial; `change` may spoil the hello reply.
    pub(crate) fn greet(&mut self, change: impl FnOnce(&mut HelloReply)) {
        let mut reply = HelloReply {
            version: 1,
            record_bytes_max: self.record_bytes_max,
            time: Time(self.time()),
            ping_interval: PING_INTERVAL,
            address: ADDRESS,
        };
        change(&mut reply);
        let bytes = self.hello();
        let mut rest = BytesMut::from(&bytes[..]);
        let hello = Frame::decode(&mut rest, 1056)
            .expect("a frame")
            .expect("a hello");
        assert_eq!(hello.header().kind, Kind::Hello);
        if self.clear {
            assert!(rest.is_empty());
            self.cipher = Cipher::Clear;
            self.send(&Frame::with_flags(
                Kind::Hello,
                Flags::REPLY,
                0,
                Address::GATEWAY,
                ADDRESS,
                &reply.encode(),
            ));
            return;
        }
        let mut responder = responder(&self.secret, hello.bytes());
        let message = Frame::decode(&mut rest, 1056)
            .expect("a frame")
            .expect("message 1");
        assert!(rest.is_empty());
        assert_eq!(message.header().kind, Kind::Handshake);
        assert_eq!(message.payload().len(), 48);
        let mut buffer = [0; 512];
        // A wrong key shows here, at the gateway; the wire of such a test goes its own way.
        let read = responder.read_message(message.payload(), &mut buffer);
        assert_eq!(read.expect("message 1 opens"), 0);
        let bytes = responder
            .write_message(&reply.encode(), &mut buffer)
            .expect("message 2");
        let frame = Frame::new(
            Kind::Handshake,
            0,
            Address::GATEWAY,
            ADDRESS,
            &buffer[..bytes],
        );
        let transport = responder.into_transport_mode().expect("both messages went");
        self.cipher = Cipher::Noise(Box::new(transport));
        self.receive(frame.bytes());
    }

    /// The connection stands: what the controller says first.
    pub(crate) fn hello(&mut self) -> Vec<u8> {
        self.raw.clear();
        self.controller.connected(self.now);
        self.controller.take_outbound(self.now).expect("a hello")
    }

    /// Raw bytes to the controller, split.
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(self.split) {
            self.controller.receive(piece, self.now);
        }
        self.drain();
    }

    /// The bytes of one record with these frames in it.
    pub(crate) fn seal(&mut self, frames: &[Frame]) -> Vec<u8> {
        let plain: Vec<u8> = frames
            .iter()
            .flat_map(|frame| frame.bytes().to_vec())
            .collect();
        match &mut self.cipher {
            Cipher::Down => panic!("the link is down"),
            Cipher::Clear => plain,
            Cipher::Noise(noise) => {
                let mut record = vec![0; 2 + plain.len() + 16];
                let bytes = noise
                    .write_message(&plain, &mut record[2..])
                    .expect("a record");
                let prefix = u16::try_from(bytes).expect("a short record").to_be_bytes();
                record[..2].copy_from_slice(&prefix);
                record
            }
        }
    }

    pub(crate) fn send(&mut self, frame: &Frame) {
        let bytes = self.seal(std::slice::from_ref(frame));
        self.receive(&bytes);
    }

    fn next_correlation(&mut self) -> u32 {
        self.correlation += 1;
        self.correlation
    }

    pub(crate) fn query(&mut self, request: &Request) -> Answer {
        self.request(Kind::Query, &request.encode())
    }

    /// Sends a request from the tool and takes its response.
    pub(crate) fn request(&mut self, kind: Kind, payload: &[u8]) -> Answer {
        let correlation = self.next_correlation();
        self.send(&Frame::new(kind, correlation, TOOL, ADDRESS, payload));
        let frame = self.take_frame(|frame| {
            frame.header().kind == Kind::Response && frame.header().correlation == correlation
        });
        assert_eq!(frame.header().destination, TOOL);
        Answer::decode(frame.payload()).expect("a response")
    }

    pub(crate) fn take_frame(&mut self, wanted: impl Fn(&Frame) -> bool) -> Frame {
        let index = self.frames.iter().position(wanted);
        self.frames
            .remove(index.unwrap_or_else(|| panic!("not among {:?}", self.frames)))
    }

    pub(crate) fn take_kind(&mut self, kind: Kind) -> Vec<Frame> {
        self.frames
            .extract_if(.., |frame| frame.header().kind == kind)
            .collect()
    }

    /// Sends a command that expires in 10 s. Returns its correlation id.
    pub(crate) fn command(&mut self, key: Key, action: message::Action) -> u32 {
        let expiry = Time(self.time() + 10_000);
        self.command_until(key, expiry, action)
    }

    pub(crate) fn command_until(&mut self, key: Key, expiry: Time, action: message::Action) -> u32 {
        let correlation = self.next_correlation();
        let payload = Command {
            key,
            expiry,
            wait: false,
            action,
        }
        .encode();
        self.send(&Frame::new(
            Kind::Command,
            correlation,
            TOOL,
            ADDRESS,
            &payload,
        ));
        correlation
    }

    pub(crate) fn receipts(&mut self) -> Vec<Receipt> {
        let frames = self.take_kind(Kind::Receipt);
        frames
            .iter()
            .map(|frame| Receipt::decode(frame.payload()).expect("a receipt"))
            .collect()
    }

    /// Stage, reason and final of each receipt that came.
    pub(crate) fn stages(&mut self) -> Vec<(Stage, Option<Code>, bool)> {
        self.receipts()
            .into_iter()
            .map(|r| (r.stage, r.reason, r.is_final))
            .collect()
    }

    pub(crate) fn deltas(&mut self) -> Vec<Delta> {
        let frames = self.take_kind(Kind::StatusDelta);
        frames
            .iter()
            .map(|frame| Delta::decode(frame.payload()).expect("a delta"))
            .collect()
    }

    pub(crate) fn fulls(&mut self) -> Vec<Full> {
        let frames = self.take_kind(Kind::StatusFull);
        frames
            .iter()
            .map(|frame| Full::decode(frame.payload()).expect("a full status"))
            .collect()
    }

    pub(crate) fn error(&mut self) -> Option<Code> {
        let frames = self.take_kind(Kind::Error);
        let frame = frames.first()?;
        Some(
            ErrorMessage::decode(frame.payload())
                .expect("an error frame")
                .code,
        )
    }

    pub(crate) fn hung_up(&mut self) -> bool {
        let hung_up = self.actions.contains(&Action::HangUp);
        self.actions.clear();
        hung_up
    }
}

/// The gateway's side of the handshake.
pub(crate) fn responder(secret: &[u8; 32], prologue: &[u8]) -> snow::HandshakeState {
    let pattern = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2b"
        .parse()
        .expect("a pattern");
    snow::Builder::new(pattern)
        .psk(0, secret)
        .and_then(|builder| builder.prologue(prologue))
        .and_then(|builder| builder.build_responder())
        .expect("a responder")
}

pub(crate) fn set(point: &str, value: i64) -> message::Action {
    message::Action::Set {
        point: Name::new(point).expect("a name"),
        value,
    }
}

pub(crate) fn call(command: &str, arguments: &[i64]) -> message::Action {
    message::Action::Call {
        command: Name::new(command).expect("a name"),
        arguments: arguments.to_vec(),
    }
}
