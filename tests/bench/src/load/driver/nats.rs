//! NATS, a text protocol. A peer subscribes to its own subject (`dev.ADDRESS`, `op.ADDRESS`) and to
//! `st.ADDRESS` of each controller that it watches.

use super::{BODY_HEAD_BYTES, Driver, Event, put_body, put_decimal, read_body};
use crate::load::{
    COMMAND_BYTES, STATUS_BYTES,
    envelope::Envelope,
    roster::{Peer, Role, Roster},
};
use anyhow::{Context, Result, bail};
use bytes::{Buf, BytesMut};
use std::sync::Arc;
use switchyard_protocol::message::HelloReply;

const TO_CONTROLLER: &str = "dev.";
const TO_OPERATOR: &str = "op.";
const STATUS: &str = "st.";

/// One connection.
pub(crate) struct Nats {
    roster: Arc<Roster>,
    role: Role,
    address: u32,
}

impl Nats {
    fn publish(
        &self,
        (prefix, to): (&str, u32),
        number: u32,
        payload: &[u8],
        envelope: &mut Envelope,
    ) -> Result<()> {
        envelope.put(|out| {
            out.extend_from_slice(b"PUB ");
            out.extend_from_slice(prefix.as_bytes());
            put_decimal(to, out);
            out.push(b' ');
            put_decimal((BODY_HEAD_BYTES + payload.len()) as u32, out);
            out.extend_from_slice(b"\r\n");
            put_body(self.address, number, payload, out);
            out.extend_from_slice(b"\r\n");
        })
    }

    fn controller(&self, index: usize) -> u32 {
        let role = Role::Controller;
        self.roster.address(Peer { role, index })
    }
}

impl Driver for Nats {
    fn new(roster: &Arc<Roster>, peer: Peer) -> Self {
        Nats {
            role: peer.role,
            address: roster.address(peer),
            roster: Arc::clone(roster),
        }
    }

    fn greet(
        &mut self,
        _: Option<&HelloReply>,
        watched: &[usize],
        envelope: &mut Envelope,
    ) -> Result<()> {
        let connect = serde_json::json!({
            "verbose": false, "pedantic": false, "lang": "rust", "version": "0", "protocol": 1,
        });
        let own = match self.role {
            Role::Controller => TO_CONTROLLER,
            Role::Operator => TO_OPERATOR,
        };
        let mut text = format!("CONNECT {connect}\r\nSUB {own}{} 1\r\n", self.address);
        for (number, &index) in watched.iter().enumerate() {
            let (address, number) = (self.controller(index), number + 2);
            text += &format!("SUB {STATUS}{address} {number}\r\n");
        }
        text += "PING\r\n";
        envelope.put(|out| out.extend_from_slice(text.as_bytes()))
    }

    fn status(&mut self, sequence: u32, envelope: &mut Envelope) -> Result<()> {
        let subject = (STATUS, self.address);
        self.publish(subject, sequence, &[b's'; STATUS_BYTES], envelope)
    }

    fn command(&mut self, index: usize, slot: u32, envelope: &mut Envelope) -> Result<()> {
        let subject = (TO_CONTROLLER, self.controller(index));
        self.publish(subject, slot, &[b'c'; COMMAND_BYTES], envelope)
    }

    fn read(&mut self, received: &mut BytesMut, envelope: &mut Envelope) -> Result<Option<Event>> {
        while let Some(end) = received.iter().position(|&byte| byte == b'\n') {
            let line = &received[..end];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let mut used = end + 1;
            let mut event = None;
            if let Some(words) = line.strip_prefix(b"MSG ") {
                let (body_bytes, is_status) = message_head(words)?;
                let body = used..used + body_bytes;
                used = body.end + 2;
                if received.len() < used {
                    return Ok(None);
                }
                let body = &received[body];
                if is_status {
                    let (source, sequence) = read_body(body, STATUS_BYTES)?;
                    let controller = self.roster.controller(source)?;
                    event = Some(Event::Status {
                        controller,
                        sequence,
                    });
                } else {
                    let (source, number) = read_body(body, COMMAND_BYTES)?;
                    if self.role == Role::Operator {
                        event = Some(Event::Answer { slot: number });
                    } else {
                        let subject = (TO_OPERATOR, source);
                        self.publish(subject, number, &[b'a'; COMMAND_BYTES], envelope)?;
                    }
                }
            } else {
                match line {
                    b"PING" => envelope.put(|out| out.extend_from_slice(b"PONG\r\n"))?,
                    b"PONG" => event = Some(Event::Ready),
                    line if line.starts_with(b"INFO ") => {}
                    line => bail!("unexpected line: {}", String::from_utf8_lossy(line)),
                }
            }
            received.advance(used);
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }
}

/// The length of a message's body, and whether it is a status.
fn message_head(words: &[u8]) -> Result<(usize, bool)> {
    let length = words.rsplit(|&byte| byte == b' ').next();
    let length = length
        .and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok())
        .context("expected a message's length")?;
    Ok((length, words.starts_with(STATUS.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::envelope::Wrapping;

    #[test]
    fn reads_what_a_server_writes() {
        let roster = Arc::new(Roster::for_tests());
        let role = Role::Operator;
        let mut tool = Nats::new(&roster, Peer { role, index: 7 });
        let mut answers = Envelope::new(Wrapping::None);
        let mut text = b"INFO {}\r\nPING\r\nPONG\r\n".to_vec();
        for (head, payload) in [
            ("MSG op.2147483655 1 72\r\n", &[b'\n'; COMMAND_BYTES][..]),
            ("MSG st.3 4 208\r\n", &[b'\r'; STATUS_BYTES][..]),
        ] {
            text.extend_from_slice(head.as_bytes());
            put_body(3, 5, payload, &mut text);
            text.extend_from_slice(b"\r\n");
        }
        let mut received = BytesMut::new();
        let mut events = Vec::new();
        for byte in text {
            received.extend_from_slice(&[byte]);
            events.extend(tool.read(&mut received, &mut answers).unwrap());
        }
        let status = Event::Status {
            controller: 2,
            sequence: 5,
        };
        assert_eq!(events, [Event::Ready, Event::Answer { slot: 5 }, status]);
        assert_eq!(answers.sealed().unwrap(), b"PONG\r\n");
        let mut refused = BytesMut::from(&b"-ERR 'no'\r\n"[..]);
        assert!(tool.read(&mut refused, &mut answers).is_err());
    }
}
