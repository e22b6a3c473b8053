//! A controller just large enough to prove itself and to ask whether its session lives. It blocks, as all
//! of the doctor's probes do.

use crate::{
    keys::NOISE,
    wire::{NoiseWire, Step},
};
use bytes::{Buf as _, Bytes, BytesMut};
use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};
use switchyard_protocol::{
    Address, Code, Frame, Kind, limits,
    message::{ControllerHello, ErrorMessage, Event, HelloReply, Ping},
};

/// How long a gateway may take over an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// What it takes in a record, as the chip does.
const RECORD_BYTES_MAX: u16 = 1_056;
/// The largest frame in the clear: the gateway's answers to a handshake are far below.
const CLEAR_PAYLOAD_BYTES_MAX: usize = 1_024;
/// What a proxy says of its own connections.
const OWN_CONNECTION: &[u8] = b"PROXY UNKNOWN\r\n";

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// The gateway said so.
    #[error("the gateway answered {}", .0.name())]
    Told(Code),
    /// What came is not this protocol.
    #[error("what answered does not speak the controllers' protocol")]
    Stranger,
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Lost(#[from] io::Error),
}

/// One connection as a controller.
pub(super) struct Controller {
    stream: TcpStream,
    address: Address,
    buffer: BytesMut,
}

/// A session that lives.
pub(super) struct Session {
    controller: Controller,
    wire: Box<NoiseWire>,
}

/// A connection whose reads and writes end in time; with the word of a proxy where one is wanted.
pub(super) fn connect(to: SocketAddr, proxied: bool) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&to, ANSWER_TIMEOUT)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
    if proxied {
        stream.write_all(OWN_CONNECTION)?;
    }
    Ok(stream)
}

impl Controller {
    /// On a fresh connection.
    pub(super) fn new(stream: TcpStream, address: Address) -> Self {
        Controller {
            stream,
            address,
            buffer: BytesMut::new(),
        }
    }

    /// Hello and Noise. A session lives only with the first record, which is [`Session::ping`]'s.
    pub(super) fn prove(mut self, key: &[u8; 32]) -> Result<Session, Refused> {
        let hello = ControllerHello {
            version: limits::LINK_VERSION,
            record_bytes_max: RECORD_BYTES_MAX,
        };
        let hello = self.frame(Kind::Hello, &hello.encode());
        let noise_failed = |_: snow::Error| Refused::Stranger;
        let mut noise = NOISE
            .parse()
            .map(snow::Builder::new)
            .and_then(|builder| builder.prologue(hello.bytes()))
            .and_then(|builder| builder.psk(0, key))
            .and_then(snow::Builder::build_initiator)
            .map_err(noise_failed)?;
        let mut message_1 = [0; 256];
        let length = noise
            .write_message(&[], &mut message_1)
            .map_err(noise_failed)?;
        let message_1 = self.frame(Kind::Handshake, &message_1[..length]);
        self.stream.write_all(hello.bytes())?;
        self.stream.write_all(message_1.bytes())?;
        let answer = self.clear_frame()?;
        if answer.header().kind != Kind::Handshake {
            return Err(told(&answer));
        }
        let mut payload = [0; 256];
        let length = noise
            .read_message(answer.payload(), &mut payload)
            .map_err(noise_failed)?;
        let reply = HelloReply::decode(&payload[..length]).map_err(|_| Refused::Stranger)?;
        let (send, receive) = noise.dangerously_get_raw_split();
        let wire = NoiseWire::new(receive, send, reply.record_bytes_max);
        Ok(Session {
            controller: self,
            wire: Box::new(wire),
        })
    }

    fn frame(&self, kind: Kind, payload: &[u8]) -> Frame {
        Frame::new(kind, 1, self.address, Address::GATEWAY, payload)
    }

    fn clear_frame(&mut self) -> Result<Frame, Refused> {
        loop {
            let decoded = Frame::decode(&mut self.buffer, CLEAR_PAYLOAD_BYTES_MAX);
            if let Some(frame) = decoded.map_err(|_| Refused::Stranger)? {
                return Ok(frame);
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut bytes = [0; 2048];
        let length = self.stream.read(&mut bytes)?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.buffer.extend_from_slice(&bytes[..length]);
        Ok(())
    }
}

impl Session {
    /// Says who it is, as the first frame of a session must, asks whether the session lives, and waits for
    /// the answer.
    pub(super) fn ping(&mut self) -> Result<(), Refused> {
        let announce = Event::Announce {
            boot: 1,
            features: 1,
            software: crate::own_software(),
            board: crate::fixed_title("doctor"),
            layout: 1,
        };
        let announce = self.controller.frame(Kind::Event, &announce.encode());
        let ping = self.controller.frame(Kind::Ping, &Ping.encode());
        let frames = [&announce.bytes()[..], ping.bytes()].concat();
        let mut record = Vec::new();
        self.wire
            .wrap(&frames, &mut record)
            .map_err(Refused::Told)?;
        self.controller.stream.write_all(&record)?;
        loop {
            for frame in self.frames()? {
                match frame.header().kind {
                    Kind::Ping => return Ok(()),
                    Kind::Error => return Err(told(&frame)),
                    // Such as the question for all that it knows.
                    _ => {}
                }
            }
        }
    }

    /// The frames of the next record.
    fn frames(&mut self) -> Result<Vec<Frame>, Refused> {
        let buffer = &mut self.controller.buffer;
        let mut at = 0;
        if let Step::Frames(range) = self.wire.next(buffer, &mut at).map_err(Refused::Told)? {
            let mut plain = Bytes::copy_from_slice(&buffer[range]);
            buffer.advance(at);
            let mut frames = Vec::new();
            while let Some(frame) = Frame::decode_shared(&mut plain, usize::from(u16::MAX))
                .map_err(|_| Refused::Stranger)?
            {
                frames.push(frame);
            }
            return Ok(frames);
        }
        self.controller.fill()?;
        Ok(Vec::new())
    }
}

fn told(frame: &Frame) -> Refused {
    match ErrorMessage::decode(frame.payload()) {
        Ok(message) if frame.header().kind == Kind::Error => Refused::Told(message.code),
        _ => Refused::Stranger,
    }
}
