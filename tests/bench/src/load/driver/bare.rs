//! The protocol of the reference relays: see [`crate::bare`].

use super::{Driver, Event};
use crate::{
    bare::{self, CORRELATION_AT, SOURCE_AT, STATUS, frame_bytes, u32_at},
    load::{
        COMMAND_BYTES, STATUS_BYTES,
        envelope::Envelope,
        roster::{Peer, Role, Roster},
    },
};
use anyhow::{Result, bail, ensure};
use bytes::{Buf, BytesMut};
use std::sync::Arc;
use switchyard_protocol::{Kind, limits::HEADER_BYTES, message::HelloReply};

const COMMAND: u8 = Kind::Command as u8;
const ANSWER: u8 = Kind::Receipt as u8;
const PING: u8 = Kind::Ping as u8;

/// One connection.
pub(crate) struct Bare {
    roster: Arc<Roster>,
    address: u32,
}

impl Driver for Bare {
    fn new(roster: &Arc<Roster>, peer: Peer) -> Self {
        Bare {
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
        let me = self.address;
        envelope.put(|out| bare::put(Kind::Hello, 0, me, 0, &[], out))?;
        for &index in watched {
            let role = Role::Controller;
            let address = self.roster.address(Peer { role, index }).to_be_bytes();
            envelope.put(|out| bare::put(Kind::Query, 0, me, 0, &address, out))?;
        }
        envelope.put(|out| bare::put(Kind::Ping, 0, me, me, &[], out))
    }

    fn status(&mut self, sequence: u32, envelope: &mut Envelope) -> Result<()> {
        let (me, payload) = (self.address, [b's'; STATUS_BYTES]);
        envelope.put(|out| bare::put(Kind::StatusDelta, sequence, me, 0, &payload, out))
    }

    fn command(&mut self, index: usize, slot: u32, envelope: &mut Envelope) -> Result<()> {
        let role = Role::Controller;
        let target = self.roster.address(Peer { role, index });
        let (me, payload) = (self.address, [b'c'; COMMAND_BYTES]);
        envelope.put(|out| bare::put(Kind::Command, slot, me, target, &payload, out))
    }

    fn read(&mut self, received: &mut BytesMut, envelope: &mut Envelope) -> Result<Option<Event>> {
        loop {
            let Some(length) = frame_bytes(received).filter(|&length| received.len() >= length)
            else {
                return Ok(None);
            };
            let kind = received[0];
            let number = u32_at(received, CORRELATION_AT);
            let source = u32_at(received, SOURCE_AT);
            received.advance(length);
            let payload_bytes = match kind {
                STATUS => STATUS_BYTES,
                COMMAND | ANSWER => COMMAND_BYTES,
                _ => 0,
            };
            ensure!(
                length == HEADER_BYTES + payload_bytes,
                "expected {payload_bytes} bytes in a frame of kind {kind:#04x}, found {length} in all"
            );
            match kind {
                PING => return Ok(Some(Event::Ready)),
                STATUS => {
                    return Ok(Some(Event::Status {
                        controller: self.roster.controller(source)?,
                        sequence: number,
                    }));
                }
                ANSWER => return Ok(Some(Event::Answer { slot: number })),
                COMMAND => {
                    let (me, payload) = (self.address, [b'a'; COMMAND_BYTES]);
                    envelope.put(|out| {
                        bare::put(Kind::Receipt, number, me, source, &payload, out);
                    })?;
                }
                other => bail!("expected no frame of kind {other:#04x}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::envelope::Wrapping;

    #[test]
    fn a_controller_answers_a_command() {
        let roster = Arc::new(Roster::for_tests());
        let [controller, operator] =
            [Role::Controller, Role::Operator].map(|role| Peer { role, index: 0 });
        let mut sent = Envelope::new(Wrapping::None);
        Bare::new(&roster, operator)
            .command(0, 5, &mut sent)
            .unwrap();
        let mut received = BytesMut::from(&sent.sealed().unwrap()[..]);
        let mut answered = Envelope::new(Wrapping::None);
        let mut device = Bare::new(&roster, controller);
        assert_eq!(device.read(&mut received, &mut answered).unwrap(), None);
        let mut received = BytesMut::from(&answered.sealed().unwrap()[..]);
        let event = Bare::new(&roster, operator).read(&mut received, &mut sent);
        assert_eq!(event.unwrap(), Some(Event::Answer { slot: 5 }));
    }
}
