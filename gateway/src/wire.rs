//! Frames on a socket: Noise records, the clear link, WebSocket messages.
//!
//! Nothing here waits: every call does what the socket takes or gives at this moment, and says
//! whether it is blocked. Nothing is held while idle but a half-read record.

use bytes::{Bytes, BytesMut};
use snow::TransportState;
use std::{
    collections::VecDeque,
    io::{self, ErrorKind},
    rc::Rc,
};
use switchyard_protocol::{Code, Frame, limits};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{
    self, Message,
    error::{CapacityError, ProtocolError},
    protocol::{Role, WebSocket, WebSocketConfig},
};

/// Bytes gathered for one write: a poll round's worth, and no more than a socket takes at once.
const WRITE_BYTES: usize = 64 * 1024;
/// Reads of one connection before its neighbours have their turn.
const READS_PER_TURN: usize = 8;
/// Records that one direction may carry; the next one closes the link.
const RECORDS_MAX: u64 = 1 << 32;

/// How a controller link's frames are wrapped.
pub(crate) enum Cipher {
    /// Noise records.
    Noise {
        transport: Box<TransportState>,
        record_bytes_max: u16,
        sent: u64,
    },
    /// One plain frame after the other.
    Clear { record_bytes_max: u16 },
}

impl Cipher {
    pub(crate) fn noise(transport: Box<TransportState>, record_bytes_max: u16) -> Self {
        Cipher::Noise {
            transport,
            record_bytes_max,
            sent: 0,
        }
    }

    pub(crate) fn clear(record_bytes_max: u16) -> Self {
        Cipher::Clear { record_bytes_max }
    }

    fn record_bytes_max(&self) -> usize {
        match self {
            Cipher::Noise {
                record_bytes_max, ..
            }
            | Cipher::Clear { record_bytes_max } => usize::from(*record_bytes_max),
        }
    }

    /// The bytes of frames that fit one record; the clear link keeps to the same.
    pub(crate) fn plain_bytes_max(&self) -> usize {
        self.record_bytes_max() - limits::RECORD_TAG_BYTES
    }

    /// The largest payload of a frame on this link.
    pub(crate) fn payload_bytes_max(&self) -> usize {
        self.plain_bytes_max() - limits::HEADER_BYTES
    }
}

/// The frames of one record or message: one or more, all whole.
pub(crate) fn whole_frames(mut bytes: Bytes, payload_bytes_max: usize) -> Result<Vec<Frame>, Code> {
    let mut frames = Vec::new();
    loop {
        match Frame::decode_shared(&mut bytes, payload_bytes_max) {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => return Err(Code::Malformed),
            Err(error) => return Err(error.code()),
        }
        if bytes.is_empty() {
            return Ok(frames);
        }
    }
}

/// What is left to do on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Wait until it is ready.
    Blocked,
    /// There may be more, after the neighbours' turn.
    More,
    /// Written: nothing is left.
    Done,
}

/// A socket with its framing.
pub(crate) enum Wire {
    /// A controller's.
    Link(LinkWire),
    /// A tool's.
    Web(Box<WebWire>),
}

impl Wire {
    /// Reads what is there and appends its frames, the good ones before a fault included.
    pub(crate) fn read(
        &mut self,
        scratch: &mut [u8],
        frames: &mut Vec<Frame>,
    ) -> Result<Turn, Code> {
        match self {
            Wire::Link(wire) => wire.read(scratch, frames),
            Wire::Web(wire) => wire.read(frames),
        }
    }

    /// Writes what the socket takes of `queue`; adds the bytes of frames that have wholly left to
    /// `written`.
    pub(crate) fn write(
        &mut self,
        queue: &mut VecDeque<Bytes>,
        written: &mut usize,
    ) -> Result<Turn, Code> {
        match self {
            Wire::Link(wire) => wire.write(queue, written),
            Wire::Web(wire) => wire.write(queue, written),
        }
    }

    /// Says good-bye where the framing has a word for it.
    pub(crate) fn say_goodbye(&mut self) {
        if let Wire::Web(wire) = self {
            // The peer may be gone already; the socket is closed next in any case.
            let _ = wire.socket.close(None);
            let _ = wire.socket.flush();
        }
    }
}

/// The controller link over TCP.
pub(crate) struct LinkWire {
    stream: Rc<TcpStream>,
    cipher: Cipher,
    /// What was read and is not yet a whole record or frame.
    rest: BytesMut,
    /// Wrapped frames on their way out, and how much of them has gone.
    outbound: Vec<u8>,
    gone: usize,
    /// The bytes of the frames in `outbound`.
    frame_bytes: usize,
}

impl LinkWire {
    pub(crate) fn new(stream: Rc<TcpStream>, cipher: Cipher, rest: BytesMut) -> Self {
        LinkWire {
            stream,
            cipher,
            rest,
            outbound: Vec::new(),
            gone: 0,
            frame_bytes: 0,
        }
    }

    fn read(&mut self, scratch: &mut [u8], frames: &mut Vec<Frame>) -> Result<Turn, Code> {
        // What came with the handshake is judged first.
        self.unwrap(frames)?;
        for _ in 0..READS_PER_TURN {
            match self.stream.try_read(scratch) {
                Ok(0) => return Err(Code::LinkLost),
                Ok(count) => {
                    self.rest.extend_from_slice(&scratch[..count]);
                    self.unwrap(frames)?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Turn::Blocked),
                Err(_) => return Err(Code::LinkLost),
            }
        }
        Ok(Turn::More)
    }

    fn unwrap(&mut self, frames: &mut Vec<Frame>) -> Result<(), Code> {
        let record_bytes_max = self.cipher.record_bytes_max();
        let payload_bytes_max = self.cipher.payload_bytes_max();
        match &mut self.cipher {
            Cipher::Clear { .. } => {
                while let Some(frame) = Frame::decode(&mut self.rest, payload_bytes_max)
                    .map_err(|error| error.code())?
                {
                    frames.push(frame);
                }
            }
            Cipher::Noise { transport, .. } => {
                while let Some(head) = self.rest.first_chunk::<2>() {
                    let length = usize::from(u16::from_be_bytes(*head));
                    if length > record_bytes_max {
                        return Err(Code::TooLarge);
                    }
                    if length <= limits::RECORD_TAG_BYTES {
                        return Err(Code::Malformed);
                    }
                    if self.rest.len() < 2 + length {
                        break;
                    }
                    let record = self.rest.split_to(2 + length);
                    let mut plain = vec![0; length - limits::RECORD_TAG_BYTES];
                    transport
                        .read_message(&record[2..], &mut plain)
                        .map_err(|_| Code::BadRecord)?;
                    frames.extend(whole_frames(Bytes::from(plain), payload_bytes_max)?);
                }
            }
        }
        if self.rest.is_empty() {
            self.rest = BytesMut::new();
        }
        Ok(())
    }

    fn write(&mut self, queue: &mut VecDeque<Bytes>, written: &mut usize) -> Result<Turn, Code> {
        loop {
            if self.gone == self.outbound.len() {
                *written += std::mem::take(&mut self.frame_bytes);
                self.gone = 0;
                self.outbound.clear();
                if queue.is_empty() {
                    self.outbound = Vec::new();
                    return Ok(Turn::Done);
                }
                self.wrap(queue)?;
                continue;
            }
            match self.stream.try_write(&self.outbound[self.gone..]) {
                Ok(count) => self.gone += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Turn::Blocked),
                Err(_) => return Err(Code::LinkLost),
            }
        }
    }

    /// Takes frames off the queue and makes records of them, each as full as frames allow.
    fn wrap(&mut self, queue: &mut VecDeque<Bytes>) -> Result<(), Code> {
        let plain_bytes_max = self.cipher.plain_bytes_max();
        let mut plain = Vec::new();
        while self.outbound.len() < WRITE_BYTES
            && let Some(frame) = queue.pop_front()
        {
            self.frame_bytes += frame.len();
            if frame.len() > plain_bytes_max {
                // The relay refuses what this controller cannot take; one that slips through is
                // better lost than half-sent.
                tracing::warn!(
                    bytes = frame.len(),
                    "dropped a frame that exceeds the record"
                );
                continue;
            }
            match &mut self.cipher {
                Cipher::Clear { .. } => self.outbound.extend_from_slice(&frame),
                Cipher::Noise {
                    transport, sent, ..
                } => {
                    plain.extend_from_slice(&frame);
                    let more = queue
                        .front()
                        .is_some_and(|next| plain.len() + next.len() <= plain_bytes_max);
                    if more {
                        continue;
                    }
                    *sent += 1;
                    if *sent > RECORDS_MAX {
                        return Err(Code::LinkLost);
                    }
                    let start = self.outbound.len();
                    let length = plain.len() + limits::RECORD_TAG_BYTES;
                    self.outbound
                        .extend_from_slice(&(length as u16).to_be_bytes());
                    self.outbound.resize(start + 2 + length, 0);
                    transport
                        .write_message(&plain, &mut self.outbound[start + 2..])
                        .map_err(|_| Code::Internal)?;
                    plain.clear();
                }
            }
        }
        Ok(())
    }
}

/// A tool's WebSocket.
pub(crate) struct WebWire {
    socket: WebSocket<NonBlocking>,
    /// The bytes of the frames in the message that is being written.
    frame_bytes: usize,
    flushing: bool,
}

/// The stream as tungstenite wants it: reads and writes that say `WouldBlock`.
pub(crate) struct NonBlocking(Rc<TcpStream>);

impl io::Read for NonBlocking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl io::Write for NonBlocking {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.try_write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl WebWire {
    /// Takes over an upgraded socket, with what the HTTP side had read too much.
    pub(crate) fn new(stream: Rc<TcpStream>, rest: Vec<u8>) -> Self {
        // tungstenite's own default reads into 128 KiB a socket.
        let config = WebSocketConfig::default()
            .read_buffer_size(4 * 1024)
            .write_buffer_size(0)
            .max_write_buffer_size(limits::GATEWAY_MESSAGE_BYTES_MAX + 1024)
            .max_message_size(Some(limits::TOOL_MESSAGE_BYTES_MAX))
            .max_frame_size(Some(limits::TOOL_MESSAGE_BYTES_MAX));
        let socket =
            WebSocket::from_partially_read(NonBlocking(stream), rest, Role::Server, Some(config));
        WebWire {
            socket,
            frame_bytes: 0,
            flushing: false,
        }
    }

    fn read(&mut self, frames: &mut Vec<Frame>) -> Result<Turn, Code> {
        for _ in 0..READS_PER_TURN {
            match self.socket.read() {
                Ok(Message::Binary(bytes)) => {
                    frames.extend(whole_frames(bytes, limits::PAYLOAD_BYTES_MAX)?);
                }
                Ok(Message::Text(_)) => return Err(Code::Malformed),
                Ok(Message::Close(_)) => {
                    // The reply waits in there; a peer that does not take it has gone anyway.
                    let _ = self.socket.flush();
                    return Err(Code::LinkLost);
                }
                Ok(_) => {}
                Err(error) if would_block(&error) => return Ok(Turn::Blocked),
                Err(error) => return Err(code_of(&error)),
            }
        }
        Ok(Turn::More)
    }

    fn write(&mut self, queue: &mut VecDeque<Bytes>, written: &mut usize) -> Result<Turn, Code> {
        loop {
            if !self.flushing {
                let Some(message) = self.gather(queue) else {
                    return Ok(Turn::Done);
                };
                self.flushing = true;
                match self.socket.write(Message::Binary(message)) {
                    Ok(()) => {}
                    Err(error) if would_block(&error) => {}
                    Err(error) => return Err(code_of(&error)),
                }
            }
            match self.socket.flush() {
                Ok(()) => {
                    self.flushing = false;
                    *written += std::mem::take(&mut self.frame_bytes);
                }
                Err(error) if would_block(&error) => return Ok(Turn::Blocked),
                Err(error) => return Err(code_of(&error)),
            }
        }
    }

    /// The next message: as many frames as go into one write, at least one.
    fn gather(&mut self, queue: &mut VecDeque<Bytes>) -> Option<Bytes> {
        let first = queue.pop_front()?;
        self.frame_bytes = first.len();
        if queue
            .front()
            .is_none_or(|next| first.len() + next.len() > WRITE_BYTES)
        {
            return Some(first);
        }
        let mut message = BytesMut::from(&first[..]);
        while let Some(next) = queue.front()
            && message.len() + next.len() <= WRITE_BYTES
        {
            message.extend_from_slice(next);
            queue.pop_front();
        }
        self.frame_bytes = message.len();
        Some(message.freeze())
    }
}

fn would_block(error: &tungstenite::Error) -> bool {
    matches!(error, tungstenite::Error::Io(error) if error.kind() == ErrorKind::WouldBlock)
}

fn code_of(error: &tungstenite::Error) -> Code {
    match error {
        tungstenite::Error::Capacity(CapacityError::MessageTooLong { .. }) => Code::TooLarge,
        tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)
        | tungstenite::Error::Io(_)
        | tungstenite::Error::ConnectionClosed
        | tungstenite::Error::AlreadyClosed => Code::LinkLost,
        _ => Code::Malformed,
    }
}
