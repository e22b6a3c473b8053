//! How each protocol says the same few things.

mod bare;
mod mqtt;
mod nats;
mod switchyard;

pub(crate) use bare::Bare;
pub(crate) use mqtt::Mqtt;
pub(crate) use nats::Nats;
pub(crate) use switchyard::Switchyard;

use super::{
    envelope::Envelope,
    roster::{Peer, Roster},
};
use anyhow::{Result, ensure};
use bytes::BytesMut;
use std::sync::Arc;
use switchyard_protocol::message::HelloReply;

/// What a server's bytes come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// From now on this peer can be addressed.
    Ready,
    /// The status of a controller that is watched.
    Status {
        /// Which.
        controller: usize,
        /// As the controller was told to send it.
        sequence: u32,
    },
    /// The answer to a command.
    Answer {
        /// As the operator was told to send it.
        slot: u32,
    },
}

/// One protocol, seen from one connection.
pub(crate) trait Driver: Send + Sized + 'static {
    /// The path of the upgrade to a WebSocket.
    const WEBSOCKET_PATH: &'static str = "/";
    /// The subprotocol of that upgrade.
    const SUBPROTOCOL: Option<&'static str> = None;
    /// Whether controllers have keys and operators a log-in.
    const IS_ENROLLED: bool = false;

    /// Of a peer that is about to be registered.
    fn new(roster: &Arc<Roster>, peer: Peer) -> Self;

    /// Writes what registers the peer and makes it watch `watched`; [`Event::Ready`] must follow.
    /// There is a reply where hello has been said already.
    fn greet(
        &mut self,
        reply: Option<&HelloReply>,
        watched: &[usize],
        envelope: &mut Envelope,
    ) -> Result<()>;

    /// Writes a controller's status of [`super::STATUS_BYTES`].
    fn status(&mut self, sequence: u32, envelope: &mut Envelope) -> Result<()>;

    /// Writes a command of [`super::COMMAND_BYTES`] to a controller.
    fn command(&mut self, controller: usize, slot: u32, envelope: &mut Envelope) -> Result<()>;

    /// Takes the next event off what was received. Controllers answer commands by themselves, with
    /// [`super::COMMAND_BYTES`].
    fn read(&mut self, received: &mut BytesMut, envelope: &mut Envelope) -> Result<Option<Event>>;
}

/// Source and number before the payload, where the protocol itself has no place for them.
const BODY_HEAD_BYTES: usize = 8;

fn put_body(source: u32, number: u32, payload: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&source.to_be_bytes());
    out.extend_from_slice(&number.to_be_bytes());
    out.extend_from_slice(payload);
}

/// Source and number of a body whose payload is as long as expected.
fn read_body(body: &[u8], payload_bytes: usize) -> Result<(u32, u32)> {
    ensure!(
        body.len() == BODY_HEAD_BYTES + payload_bytes,
        "expected a body of {} bytes and found {}",
        BODY_HEAD_BYTES + payload_bytes,
        body.len()
    );
    Ok((crate::bare::u32_at(body, 0), crate::bare::u32_at(body, 4)))
}

/// Appends a number in decimal.
fn put_decimal(mut number: u32, out: &mut Vec<u8>) {
    let mut digits = [0; 10];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return out.extend_from_slice(&digits[at..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_decimals() {
        for number in [0, 9, 10, 4_294_967_295] {
            let mut out = Vec::new();
            put_decimal(number, &mut out);
            assert_eq!(out, number.to_string().into_bytes());
        }
    }
}
