//! Switchyard's own protocol (`docs/protocol.md`).
//!
//! The frames of the hot path are made once by the protocol's own encoders; then only the numbers
//! that differ are written over, so that the generator does not set the pace. A test reads each of
//! them back.

use super::{Driver, Event};
use crate::{
    bare::{CORRELATION_AT, DESTINATION_AT, SOURCE_AT},
    load::{
        BYTES_TOLERANCE, COMMAND_BYTES, Link, STATUS_BYTES,
        envelope::Envelope,
        noise,
        roster::{Peer, Role, Roster},
    },
};
use anyhow::{Context, Result, bail, ensure};
use bytes::BytesMut;
use std::{
    ops::Range,
    sync::{Arc, LazyLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use switchyard_protocol::{
    Address, Code, Flags, Frame, Kind,
    limits::{self, HEADER_BYTES},
    message::{
        Action, Answer, Body, Cause, CauseKind, Change, Command, Delta, ErrorMessage,
        Event as Told, Full, HelloReply, Key, Name, Ping, PingReply, Point, PointFlags, PointType,
        Receipt, Request, Stage, StatusHead, Text, Time, Title, ToolHello, ToolWelcome, Verb,
    },
};

/// The boot of every controller here; numbers of this size always take five bytes.
const BOOT: u32 = 0x00C0_FFEE;
/// The sequence of the full status; the first delta has the next one.
const FIRST_SEQUENCE: u32 = 0x0010_0000;
const UPTIME_MS: u64 = 0x0100_0000;
const LAYOUT: u32 = 1;
/// Points that a delta changes.
const CHANGES: u8 = 10;
/// How long a command may take.
const EXPIRY: Duration = Duration::from_secs(30);
/// The filler of a receipt that makes it as long as the others' answers.
const DETAIL: &str = "pump on, by the bench itself";

/// Where the numbers stand that are written over.
const SEQUENCE_AT: Range<usize> = HEADER_BYTES + 9..HEADER_BYTES + 13;
const KEY_AT: Range<usize> = HEADER_BYTES + 3..HEADER_BYTES + 19;
const EXPIRY_AT: Range<usize> = HEADER_BYTES + 21..HEADER_BYTES + 29;
/// Key 1 and its value: the stage of a receipt.
const STAGE_AT: Range<usize> = 19..21;
const SENT: [u8; 2] = [1, Stage::Sent as u8];
const EXECUTED: [u8; 2] = [1, Stage::Executed as u8];
/// Key 5, `true`: the receipt is final.
const FINAL_ENDING: [u8; 2] = [5, 0xF5];

struct Templates {
    delta: Vec<u8>,
    command: Vec<u8>,
    receipt: Vec<u8>,
}

static TEMPLATES: LazyLock<Templates> = LazyLock::new(|| {
    let delta = Delta {
        head: StatusHead {
            boot: BOOT,
            sequence: FIRST_SEQUENCE,
        },
        uptime_ms: UPTIME_MS,
        time: None,
        changes: (0..CHANGES).map(change).collect(),
    };
    let command = Command {
        key: Key([0; 16]),
        expiry: now(),
        wait: false,
        action: Action::Call {
            command: name("bench"),
            arguments: vec![1 << 40, 1 << 41, 1 << 20],
        },
    };
    let receipt = Receipt {
        key: Key([0; 16]),
        stage: Stage::Executed,
        at: Some(now()),
        reason: None,
        detail: Some(Text::cut(DETAIL)),
        is_final: true,
    };
    let frame = |kind, payload: &[u8], expected: usize| {
        assert!(
            payload.len().abs_diff(expected) <= BYTES_TOLERANCE,
            "expected a payload of about {expected} bytes and made one of {}",
            payload.len()
        );
        Frame::new(kind, 0, Address(0), Address(0), payload)
            .bytes()
            .to_vec()
    };
    Templates {
        delta: frame(Kind::StatusDelta, &delta.encode(), STATUS_BYTES),
        command: frame(Kind::Command, &command.encode(), COMMAND_BYTES),
        receipt: frame(Kind::Receipt, &receipt.encode(), COMMAND_BYTES),
    }
});

fn change(index: u8) -> Change {
    Change {
        index,
        value: 70_000 + i64::from(index),
        flags: PointFlags::MANUAL,
        cause: Cause {
            reference: Some(30),
            ..Cause::plain(CauseKind::Script)
        },
    }
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap_or_else(|error| unreachable!("{text:?} is a name: {error}"))
}

fn title(text: &str) -> Title {
    Title::new(text).unwrap_or_else(|error| unreachable!("{text:?} is a title: {error}"))
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Time(since.unwrap_or_default().as_millis() as u64)
}

/// One connection.
pub(crate) struct Switchyard {
    roster: Arc<Roster>,
    role: Role,
    /// The controller's, or what the gateway gave the operator.
    address: u32,
    /// The last delta's.
    sequence: u32,
    /// The next command's.
    key: u128,
    watched: Vec<Address>,
    /// Subscriptions that are still to be answered.
    awaited: usize,
    ready: bool,
}

impl Switchyard {
    /// What a controller says as soon as it may: who it is, how it is, and is anybody there?
    fn introduce(&self, envelope: &mut Envelope) -> Result<()> {
        let features = if self.roster.link == Link::Noise {
            switchyard_protocol::message::features::NOISE
        } else {
            0
        };
        let announce = Told::Announce {
            boot: BOOT,
            features,
            software: title("relay-load 1"),
            board: title("none"),
            layout: LAYOUT,
        };
        self.to_gateway(Kind::Event, &announce.encode(), envelope)?;
        self.to_gateway(Kind::StatusFull, &self.full().encode(), envelope)?;
        let address = Address(self.address);
        let ping = Frame::new(Kind::Ping, 1, address, Address::GATEWAY, &Ping.encode());
        put(&ping, envelope)
    }

    fn full(&self) -> Full {
        let point = |index| {
            let change = change(index);
            Point {
                index,
                name: name(&format!("AI{index}")),
                point_type: PointType::AnalogueInput,
                value: change.value,
                flags: change.flags,
                cause: change.cause,
            }
        };
        Full {
            head: StatusHead {
                boot: BOOT,
                sequence: self.sequence,
            },
            page: 0,
            pages: 1,
            uptime_ms: UPTIME_MS,
            time: None,
            points: (0..self.roster.points).map(point).collect(),
            layout: LAYOUT,
        }
    }

    fn to_gateway(&self, kind: Kind, payload: &[u8], envelope: &mut Envelope) -> Result<()> {
        let address = Address(self.address);
        let frame = Frame::new(kind, 0, address, Address::GATEWAY, payload);
        put(&frame, envelope)
    }

    fn hello_came(&mut self, frame: &Frame, envelope: &mut Envelope) -> Result<()> {
        if self.role == Role::Controller {
            let reply = HelloReply::decode(frame.payload())?;
            return self.linked(&reply, envelope);
        }
        let welcome = ToolWelcome::decode(frame.payload())?;
        self.check_ping_interval(welcome.ping_interval)?;
        self.address = welcome.address.0;
        for controllers in self.watched.chunks(limits::SUBSCRIBE_ADDRESSES_MAX) {
            let request = Request::Subscribe {
                controllers: Some(controllers.to_vec()),
            };
            self.awaited += 1;
            let (me, gateway) = (Address(self.address), Address::GATEWAY);
            let frame = Frame::new(Kind::Query, 1, me, gateway, &request.encode());
            put(&frame, envelope)?;
        }
        self.ready = self.awaited == 0;
        Ok(())
    }

    fn linked(&mut self, reply: &HelloReply, envelope: &mut Envelope) -> Result<()> {
        self.check_ping_interval(reply.ping_interval)?;
        ensure!(
            reply.address.0 == self.address,
            "expected to be greeted as {} and was as {}",
            self.address,
            reply.address
        );
        self.introduce(envelope)
    }

    /// Nothing here pings by a clock: the run has to be over before that would be missed.
    fn check_ping_interval(&self, interval: Duration) -> Result<()> {
        ensure!(
            interval * limits::SILENT_INTERVALS > self.roster.quiet,
            "expected a ping interval beyond a third of the run's {:?} and was told {interval:?}",
            self.roster.quiet
        );
        Ok(())
    }

    fn query_came(&mut self, frame: &Frame, envelope: &mut Envelope) -> Result<()> {
        let header = frame.header();
        let answer = match Request::decode(header.kind, frame.payload())? {
            Request::Snapshot { .. } => {
                self.to_gateway(Kind::StatusFull, &self.full().encode(), envelope)?;
                Answer::Ok(Body::Done(Verb::Snapshot))
            }
            Request::Outcome { .. } => Answer::Ok(Body::Outcome {
                boot: BOOT,
                stage: None,
                reason: None,
                is_final: None,
            }),
            other => Answer::refused(Code::Unsupported, other.verb().number()),
        };
        let (me, asker) = (Address(self.address), header.source);
        let (correlation, payload) = (header.correlation, answer.encode());
        put(
            &Frame::new(Kind::Response, correlation, me, asker, &payload),
            envelope,
        )
    }

    fn command_came(&self, frame: &Frame, envelope: &mut Envelope) -> Result<()> {
        let payload = frame.payload();
        let template = &TEMPLATES.receipt;
        let key = frame.bytes().get(KEY_AT);
        let key = key.context("expected a command's key")?;
        ensure!(
            payload.len().abs_diff(COMMAND_BYTES) <= BYTES_TOLERANCE,
            "expected a command of {COMMAND_BYTES} bytes and found {}",
            payload.len()
        );
        let header = frame.header();
        envelope.put(|out| {
            let receipt = append(template, out);
            set_u32(receipt, CORRELATION_AT, header.correlation);
            set_u32(receipt, SOURCE_AT, self.address);
            set_u32(receipt, DESTINATION_AT, header.source.0);
            receipt[KEY_AT].copy_from_slice(key);
        })
    }

    /// A command's end, if this is one.
    fn receipt_came(&self, frame: &Frame) -> Result<Option<Event>> {
        let payload = frame.payload();
        let stage = payload.get(STAGE_AT).unwrap_or_default();
        if frame.header().source == Address::GATEWAY && stage == SENT {
            return Ok(None);
        }
        if stage == EXECUTED && payload.ends_with(&FINAL_ENDING) {
            let slot = frame.header().correlation.wrapping_sub(1);
            return Ok(Some(Event::Answer { slot }));
        }
        bail!("unexpected receipt: {:?}", Receipt::decode(payload)?)
    }

    fn response_came(&mut self, frame: &Frame) -> Result<()> {
        match Answer::decode(frame.payload())? {
            Answer::Ok(Body::Subscribe { .. }) => {
                self.awaited = self.awaited.saturating_sub(1);
                self.ready = self.awaited == 0;
                Ok(())
            }
            other => bail!("unexpected response: {other:?}"),
        }
    }
}

impl Driver for Switchyard {
    const WEBSOCKET_PATH: &'static str = "/ws";
    const SUBPROTOCOL: Option<&'static str> = Some("switchyard.1");
    const IS_ENROLLED: bool = true;

    fn new(roster: &Arc<Roster>, peer: Peer) -> Self {
        Switchyard {
            role: peer.role,
            address: match peer.role {
                Role::Controller => roster.address(peer),
                Role::Operator => 0,
            },
            roster: Arc::clone(roster),
            sequence: FIRST_SEQUENCE,
            key: rand::random(),
            watched: Vec::new(),
            awaited: 0,
            ready: false,
        }
    }

    fn greet(
        &mut self,
        reply: Option<&HelloReply>,
        watched: &[usize],
        envelope: &mut Envelope,
    ) -> Result<()> {
        if let Some(reply) = reply {
            return self.linked(reply, envelope);
        }
        if self.role == Role::Controller {
            return put(&noise::hello(self.address), envelope);
        }
        let role = Role::Controller;
        let address = |&index: &usize| Address(self.roster.address(Peer { role, index }));
        self.watched = watched.iter().map(address).collect();
        let hello = ToolHello {
            version: limits::LINK_VERSION,
            token: self.roster.token.clone(),
            installation: None,
            software: title("relay-load 1"),
        };
        self.to_gateway(Kind::Hello, &hello.encode(), envelope)
    }

    fn status(&mut self, sequence: u32, envelope: &mut Envelope) -> Result<()> {
        self.sequence = FIRST_SEQUENCE + 1 + sequence;
        envelope.put(|out| {
            let delta = append(&TEMPLATES.delta, out);
            set_u32(delta, SOURCE_AT, self.address);
            delta[SEQUENCE_AT].copy_from_slice(&self.sequence.to_be_bytes());
        })
    }

    fn command(&mut self, index: usize, slot: u32, envelope: &mut Envelope) -> Result<()> {
        let role = Role::Controller;
        let target = self.roster.address(Peer { role, index });
        self.key = self.key.wrapping_add(1);
        let expiry = now().plus(EXPIRY);
        envelope.put(|out| {
            let command = append(&TEMPLATES.command, out);
            // Correlation 0 wants no answer.
            set_u32(command, CORRELATION_AT, slot + 1);
            set_u32(command, SOURCE_AT, self.address);
            set_u32(command, DESTINATION_AT, target);
            command[KEY_AT].copy_from_slice(&self.key.to_be_bytes());
            command[EXPIRY_AT].copy_from_slice(&expiry.0.to_be_bytes());
        })
    }

    fn read(&mut self, received: &mut BytesMut, envelope: &mut Envelope) -> Result<Option<Event>> {
        while let Some(frame) = Frame::decode(received, limits::PAYLOAD_BYTES_MAX)? {
            let header = frame.header();
            let was_ready = self.ready;
            let event = match header.kind {
                Kind::StatusDelta => {
                    let sequence = frame.bytes().get(SEQUENCE_AT);
                    let sequence = sequence.and_then(|bytes| bytes.try_into().ok());
                    let sequence = sequence.context("expected a delta's sequence")?;
                    Some(Event::Status {
                        controller: self.roster.controller(header.source.0)?,
                        sequence: u32::from_be_bytes(sequence).wrapping_sub(FIRST_SEQUENCE + 1),
                    })
                }
                Kind::Receipt => self.receipt_came(&frame)?,
                Kind::Command => {
                    self.command_came(&frame, envelope)?;
                    None
                }
                Kind::Query => {
                    self.query_came(&frame, envelope)?;
                    None
                }
                Kind::Hello => {
                    self.hello_came(&frame, envelope)?;
                    None
                }
                Kind::Ping if header.flags.contains(Flags::REPLY) => {
                    self.ready = true;
                    None
                }
                Kind::Ping => {
                    let payload = PingReply { time: None }.encode();
                    let (me, asker) = (Address(self.address), header.source);
                    let (kind, flags) = (Kind::Ping, Flags::REPLY);
                    let number = header.correlation;
                    put(
                        &Frame::with_flags(kind, flags, number, me, asker, &payload),
                        envelope,
                    )?;
                    None
                }
                Kind::Response => {
                    self.response_came(&frame)?;
                    None
                }
                Kind::Error => bail!("ended: {}", ErrorMessage::decode(frame.payload())?.code),
                // Who is there, and the snapshot that comes before a subscription's answer.
                Kind::Event => None,
                Kind::StatusFull if !self.ready => None,
                Kind::StatusFull => bail!("deltas of {} were dropped", header.source),
                other => bail!("expected no {} frame", other.name()),
            };
            if event.is_some() {
                return Ok(event);
            }
            if self.ready && !was_ready {
                return Ok(Some(Event::Ready));
            }
        }
        Ok(None)
    }
}

fn put(frame: &Frame, envelope: &mut Envelope) -> Result<()> {
    envelope.put(|out| out.extend_from_slice(frame.bytes()))
}

/// Appends a copy of a frame, and gives it to be written over.
fn append<'a>(template: &[u8], out: &'a mut Vec<u8>) -> &'a mut [u8] {
    let start = out.len();
    out.extend_from_slice(template);
    &mut out[start..]
}

fn set_u32(frame: &mut [u8], at: usize, number: u32) {
    frame[at..at + 4].copy_from_slice(&number.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::envelope::Wrapping;

    fn sent(envelope: &mut Envelope) -> Frame {
        let mut bytes = BytesMut::from(&envelope.sealed().unwrap()[..]);
        envelope.sealed().unwrap().clear();
        let frame = Frame::decode(&mut bytes, 1024).unwrap().unwrap();
        assert!(bytes.is_empty());
        frame
    }

    #[test]
    fn what_is_written_over_still_reads() {
        let roster = Arc::new(Roster::for_tests());
        let [controller, operator] =
            [Role::Controller, Role::Operator].map(|role| Peer { role, index: 4 });
        let (mut device, mut tool) = (
            Switchyard::new(&roster, controller),
            Switchyard::new(&roster, operator),
        );
        tool.address = 0xC000_0009;
        let mut envelope = Envelope::new(Wrapping::None);

        device.status(6, &mut envelope).unwrap();
        let frame = sent(&mut envelope);
        let delta = Delta::decode(frame.payload()).unwrap();
        assert_eq!(delta.head.sequence, FIRST_SEQUENCE + 7);
        assert_eq!(delta.changes.len(), usize::from(CHANGES));
        assert_eq!(frame.header().source, Address(5));
        let event = tool.read(&mut BytesMut::from(&frame.bytes()[..]), &mut envelope);
        let status = Event::Status {
            controller: 4,
            sequence: 6,
        };
        assert_eq!(event.unwrap(), Some(status));

        tool.command(4, 2, &mut envelope).unwrap();
        let frame = sent(&mut envelope);
        let command = Command::decode(frame.payload()).unwrap();
        assert_eq!(command.key, Key(tool.key.to_be_bytes()));
        assert!(command.expiry > now() && command.expiry <= now().plus(EXPIRY));
        assert_eq!(frame.header().destination, Address(5));

        let mut received = BytesMut::from(&frame.bytes()[..]);
        assert_eq!(device.read(&mut received, &mut envelope).unwrap(), None);
        let frame = sent(&mut envelope);
        let receipt = Receipt::decode(frame.payload()).unwrap();
        assert_eq!((receipt.key, receipt.stage), (command.key, Stage::Executed));
        assert_eq!(frame.header().destination, Address(tool.address));
        let event = tool.read(&mut BytesMut::from(&frame.bytes()[..]), &mut envelope);
        assert_eq!(event.unwrap(), Some(Event::Answer { slot: 2 }));
    }

    #[test]
    fn a_refusal_and_a_gap_are_errors() {
        let roster = Arc::new(Roster::for_tests());
        let role = Role::Operator;
        let mut tool = Switchyard::new(&roster, Peer { role, index: 0 });
        tool.ready = true;
        let refused = Receipt {
            key: Key([1; 16]),
            stage: Stage::Refused,
            at: None,
            reason: Some(Code::Busy),
            detail: None,
            is_final: true,
        };
        for (kind, payload) in [
            (Kind::Receipt, refused.encode()),
            (Kind::StatusFull, tool.full().encode()),
        ] {
            let frame = Frame::new(kind, 1, Address(0), Address(0), &payload);
            let mut received = BytesMut::from(&frame.bytes()[..]);
            let mut envelope = Envelope::new(Wrapping::None);
            assert!(tool.read(&mut received, &mut envelope).is_err());
        }
    }
}
