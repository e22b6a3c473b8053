//! MQTT 3.1.1 at QoS 0. A peer subscribes to its own topic (`dev/ADDRESS`, `op/ADDRESS`) and to
//! `st/ADDRESS` of each controller that it watches.

use super::{BODY_HEAD_BYTES, Driver, Event, put_body, put_decimal, read_body};
use crate::load::{
    COMMAND_BYTES, STATUS_BYTES,
    envelope::Envelope,
    roster::{Peer, Role, Roster},
};
use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, BytesMut};
use std::sync::Arc;
use switchyard_protocol::message::HelloReply;

const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
const PUBLISH: u8 = 0x30;
const SUBSCRIBE: u8 = 0x82;
const SUBACK: u8 = 0x90;
const VERSION_3_1_1: u8 = 4;
const CLEAN_SESSION: u8 = 2;
/// Longer than any run, so that no PINGREQ is needed.
const KEEP_ALIVE_S: u16 = 3600;
/// The largest return code of a SUBACK that grants something.
const QOS_MAX: u8 = 2;

const TO_CONTROLLER: &[u8] = b"dev/";
const TO_OPERATOR: &[u8] = b"op/";
const STATUS: &[u8] = b"st/";

/// One connection.
pub(crate) struct Mqtt {
    roster: Arc<Roster>,
    role: Role,
    address: u32,
    topic: Vec<u8>,
}

fn put_length(mut length: usize, out: &mut Vec<u8>) {
    loop {
        let low = (length & 0x7F) as u8;
        length >>= 7;
        if length == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

fn put_string(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text);
}

fn put_packet(kind: u8, body: &[u8], out: &mut Vec<u8>) {
    out.push(kind);
    put_length(body.len(), out);
    out.extend_from_slice(body);
}

/// Kind, and where the body begins and ends, once all of the first packet is there.
fn first_packet(received: &[u8]) -> Result<Option<(u8, usize, usize)>> {
    let (mut length, mut at) = (0, 1);
    loop {
        let Some(&byte) = received.get(at) else {
            return Ok(None);
        };
        length |= usize::from(byte & 0x7F) << (7 * (at - 1));
        at += 1;
        if byte & 0x80 == 0 {
            break;
        }
        ensure!(at <= 4, "expected a length of at most 4 bytes");
    }
    let is_whole = received.len() >= at + length;
    Ok(is_whole.then(|| (received[0], at, at + length)))
}

impl Mqtt {
    fn set_topic(&mut self, prefix: &[u8], address: u32) {
        self.topic.clear();
        self.topic.extend_from_slice(prefix);
        put_decimal(address, &mut self.topic);
    }

    fn publish(&self, number: u32, payload: &[u8], envelope: &mut Envelope) -> Result<()> {
        envelope.put(|out| {
            out.push(PUBLISH);
            let body = BODY_HEAD_BYTES + payload.len();
            put_length(2 + self.topic.len() + body, out);
            put_string(&self.topic, out);
            put_body(self.address, number, payload, out);
        })
    }

    fn controller(&self, index: usize) -> u32 {
        let role = Role::Controller;
        self.roster.address(Peer { role, index })
    }
}

impl Driver for Mqtt {
    const WEBSOCKET_PATH: &'static str = "/mqtt";
    const SUBPROTOCOL: Option<&'static str> = Some("mqtt");

    fn new(roster: &Arc<Roster>, peer: Peer) -> Self {
        Mqtt {
            role: peer.role,
            address: roster.address(peer),
            roster: Arc::clone(roster),
            topic: Vec::new(),
        }
    }

    fn greet(
        &mut self,
        _: Option<&HelloReply>,
        watched: &[usize],
        envelope: &mut Envelope,
    ) -> Result<()> {
        let mut connect = Vec::new();
        put_string(b"MQTT", &mut connect);
        connect.extend_from_slice(&[VERSION_3_1_1, CLEAN_SESSION]);
        connect.extend_from_slice(&KEEP_ALIVE_S.to_be_bytes());
        put_string(format!("bench{}", self.address).as_bytes(), &mut connect);
        envelope.put(|out| put_packet(CONNECT, &connect, out))?;

        let packet_id = 1u16.to_be_bytes();
        let mut subscribe = packet_id.to_vec();
        let own = match self.role {
            Role::Controller => TO_CONTROLLER,
            Role::Operator => TO_OPERATOR,
        };
        let watched = watched
            .iter()
            .map(|&index| (STATUS, self.controller(index)));
        let topics: Vec<_> = std::iter::once((own, self.address))
            .chain(watched)
            .collect();
        for (prefix, address) in topics {
            self.set_topic(prefix, address);
            put_string(&self.topic, &mut subscribe);
            let quality = 0;
            subscribe.push(quality);
        }
        envelope.put(|out| put_packet(SUBSCRIBE, &subscribe, out))
    }

    fn status(&mut self, sequence: u32, envelope: &mut Envelope) -> Result<()> {
        self.set_topic(STATUS, self.address);
        self.publish(sequence, &[b's'; STATUS_BYTES], envelope)
    }

    fn command(&mut self, index: usize, slot: u32, envelope: &mut Envelope) -> Result<()> {
        self.set_topic(TO_CONTROLLER, self.controller(index));
        self.publish(slot, &[b'c'; COMMAND_BYTES], envelope)
    }

    fn read(&mut self, received: &mut BytesMut, envelope: &mut Envelope) -> Result<Option<Event>> {
        while let Some((kind, start, end)) = first_packet(received)? {
            let body = &received[start..end];
            let event = match kind & 0xF0 {
                PUBLISH => {
                    let (topic, body) = split_topic(body)?;
                    if topic.starts_with(STATUS) {
                        let (source, sequence) = read_body(body, STATUS_BYTES)?;
                        let controller = self.roster.controller(source)?;
                        Some(Event::Status {
                            controller,
                            sequence,
                        })
                    } else {
                        let (source, number) = read_body(body, COMMAND_BYTES)?;
                        if self.role == Role::Operator {
                            Some(Event::Answer { slot: number })
                        } else {
                            self.set_topic(TO_OPERATOR, source);
                            self.publish(number, &[b'a'; COMMAND_BYTES], envelope)?;
                            None
                        }
                    }
                }
                CONNACK => {
                    ensure!(
                        body.get(1) == Some(&0),
                        "expected CONNACK 0, found {body:?}"
                    );
                    None
                }
                SUBACK => match body {
                    [_, _, granted @ ..] if granted.iter().all(|&code| code <= QOS_MAX) => {
                        Some(Event::Ready)
                    }
                    _ => bail!("expected granted subscriptions and found {body:?}"),
                },
                other => bail!("expected no packet of kind {other:#04x}"),
            };
            received.advance(end);
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }
}

fn split_topic(body: &[u8]) -> Result<(&[u8], &[u8])> {
    let (length, rest) = body
        .split_first_chunk()
        .context("expected a topic's length")?;
    rest.split_at_checked(u16::from_be_bytes(*length).into())
        .context("expected a topic")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::envelope::Wrapping;

    #[test]
    fn reads_what_it_writes() {
        let roster = Arc::new(Roster::for_tests());
        let [controller, operator] =
            [Role::Controller, Role::Operator].map(|role| Peer { role, index: 2 });
        let (mut device, mut tool) = (Mqtt::new(&roster, controller), Mqtt::new(&roster, operator));
        let mut envelope = Envelope::new(Wrapping::None);
        tool.command(2, 9, &mut envelope).unwrap();
        let mut received = BytesMut::from(&envelope.sealed().unwrap()[..]);
        envelope.sealed().unwrap().clear();
        assert_eq!(device.read(&mut received, &mut envelope).unwrap(), None);
        assert!(received.is_empty());
        device.status(70_000, &mut envelope).unwrap();
        let all = envelope.sealed().unwrap().clone();
        let mut received = BytesMut::new();
        let mut events = Vec::new();
        for byte in all {
            received.extend_from_slice(&[byte]);
            events.extend(tool.read(&mut received, &mut envelope).unwrap());
        }
        let status = Event::Status {
            controller: 2,
            sequence: 70_000,
        };
        assert_eq!(events, [Event::Answer { slot: 9 }, status]);
        let mut refused = BytesMut::from(&[SUBACK, 3, 0, 1, 0x80][..]);
        assert!(tool.read(&mut refused, &mut envelope).is_err());
    }
}
