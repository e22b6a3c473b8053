//! The controller's side of the Noise link (`docs/protocol.md` §4.1).

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, BytesMut};
use snow::{HandshakeState, TransportState};
use switchyard_protocol::{
    Address, Frame, Kind, limits,
    message::{ControllerHello, ErrorMessage, HelloReply},
};

const PATTERN: &str = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2b";
/// Room for message 2: a key, a tag, and a hello reply.
const MESSAGE_BYTES_MAX: usize = 512;

/// The clear hello of a controller.
pub(crate) fn hello(address: u32) -> Frame {
    let hello = ControllerHello {
        version: limits::LINK_VERSION,
        record_bytes_max: limits::RECORD_BYTES_MAX_DEFAULT as u16,
    };
    let address = Address(address);
    Frame::new(Kind::Hello, 1, address, Address::GATEWAY, &hello.encode())
}

/// Hello and message 1, made before the controller dials.
pub(crate) struct Opening {
    /// Both frames.
    pub(crate) bytes: Vec<u8>,
    handshake: Box<HandshakeState>,
}

impl Opening {
    /// Of a controller with this address and key.
    ///
    /// # Errors
    /// When `snow` refuses, which it has no reason to.
    pub(crate) fn new(address: u32, key: &[u8; 32]) -> Result<Self> {
        let hello = hello(address);
        let mut handshake = snow::Builder::new(PATTERN.parse()?)
            .prologue(hello.bytes())?
            .psk(0, key)?
            .build_initiator()?;
        let mut message = [0; MESSAGE_BYTES_MAX];
        let length = handshake.write_message(&[], &mut message)?;
        let (source, message) = (Address(address), &message[..length]);
        let first = Frame::new(Kind::Handshake, 2, source, Address::GATEWAY, message);
        Ok(Opening {
            bytes: [&hello.bytes()[..], first.bytes()].concat(),
            handshake: Box::new(handshake),
        })
    }

    /// Takes the gateway's answer.
    ///
    /// # Errors
    /// When it refuses, or does not know the key.
    pub(crate) fn finish(mut self, answer: &Frame) -> Result<(Records, HelloReply)> {
        match answer.header().kind {
            Kind::Handshake => {}
            Kind::Error => bail!("refused: {}", ErrorMessage::decode(answer.payload())?.code),
            other => bail!("expected a handshake and found {}", other.name()),
        }
        let mut reply = [0; MESSAGE_BYTES_MAX];
        let length = self
            .handshake
            .read_message(answer.payload(), &mut reply)
            .context("reading handshake message 2")?;
        let reply = HelloReply::decode(&reply[..length])?;
        let records = Records {
            noise: Box::new((*self.handshake).into_transport_mode()?),
            clear_bytes_max: usize::from(reply.record_bytes_max) - limits::RECORD_TAG_BYTES,
        };
        Ok((records, reply))
    }
}

/// Whole frames in records, both ways.
pub(crate) struct Records {
    noise: Box<TransportState>,
    /// The most that one record may hold.
    pub(crate) clear_bytes_max: usize,
}

impl Records {
    /// Appends one record.
    ///
    /// # Errors
    /// When it would be too long.
    pub(crate) fn seal(&mut self, clear: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let length = clear.len() + limits::RECORD_TAG_BYTES;
        let announced = u16::try_from(length).context("expected a record below 64 KiB")?;
        out.extend_from_slice(&announced.to_be_bytes());
        let start = out.len();
        out.resize(start + length, 0);
        self.noise.write_message(clear, &mut out[start..])?;
        Ok(())
    }

    /// Moves the frames of all whole records from `raw` to `plain`.
    ///
    /// # Errors
    /// When one does not decrypt.
    pub(crate) fn open(&mut self, raw: &mut BytesMut, plain: &mut BytesMut) -> Result<()> {
        while let &[high, low, ..] = &raw[..] {
            let length = usize::from(u16::from_be_bytes([high, low]));
            ensure!(
                length > limits::RECORD_TAG_BYTES,
                "expected a record with something in it and found {length} bytes"
            );
            if raw.len() < 2 + length {
                break;
            }
            let start = plain.len();
            plain.resize(start + length, 0);
            let clear = self
                .noise
                .read_message(&raw[2..2 + length], &mut plain[start..])
                .context("opening a record")?;
            plain.truncate(start + clear);
            raw.advance(2 + length);
        }
        Ok(())
    }
}
