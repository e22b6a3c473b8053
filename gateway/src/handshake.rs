//! A controller proves itself (`docs/protocol.md` §4.1): hello, Noise, first valid record.
//!
//! This runs on the door's thread. Only a proven link is handed to the yard, so what strangers do
//! here costs its sessions nothing.

mod rekey;

use crate::{
    clock,
    config::Settings,
    door::Door,
    keyring::{Held, Keyring},
    keys::{Keys, WhichKey},
    store::{ConfigStore, ControllerEntry, ControllerKey},
    telemetry::Telemetry,
    wire::{NoiseWire, Step, Wire, check_whole},
};
use bytes::{Buf as _, Bytes, BytesMut};
use std::{
    collections::{HashMap, VecDeque, hash_map::RandomState},
    hash::BuildHasher as _,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use switchyard_protocol::{
    Address, Code, Flags, Frame, Header, Kind, limits,
    message::{ControllerHello, ErrorMessage, HelloReply},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Message 1: an X25519 key and the tag of an empty payload.
const MESSAGE_1_BYTES: usize = 48;
/// A hello has two small fields; this leaves room for later ones.
pub(crate) const HELLO_BYTES_MAX: usize = 256;
/// First messages remembered for each address. One that was forgotten again still opens nothing:
/// only a valid record does, and a replayer cannot make one.
const REPLAYS_REMEMBERED: usize = 16;
/// How long a refused peer has to read why.
const FAREWELL: Duration = Duration::from_secs(1);

/// Message-1 keys that were seen, by a hash each, for each controller that has a right key. Bounded by
/// the number of enrolled controllers, since messages that fail are not remembered.
#[derive(Debug, Default)]
pub(crate) struct Replays {
    seen: Mutex<HashMap<Address, VecDeque<u64>>>,
    /// Seeded at random: nobody can choose keys that collide, and by chance none do.
    hash: RandomState,
}

impl Replays {
    /// Remembers a message; false when it was there already.
    fn is_new(&self, address: Address, message_1: &[u8]) -> bool {
        let Some(ephemeral) = message_1.first_chunk::<32>() else {
            return false;
        };
        let ephemeral = self.hash.hash_one(ephemeral);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = seen.entry(address).or_default();
        if seen.contains(&ephemeral) {
            return false;
        }
        if seen.len() == REPLAYS_REMEMBERED {
            seen.pop_front();
        }
        seen.push_back(ephemeral);
        true
    }
}

/// What proving needs.
pub(crate) struct Prover {
    pub(crate) settings: Arc<Settings>,
    pub(crate) config: Arc<dyn ConfigStore>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) door: Arc<Door>,
    pub(crate) replays: Replays,
    /// Controllers that were sent back to dial by a next key, and those keys.
    pub(crate) sent_back: Replays,
    pub(crate) telemetry: Arc<Telemetry>,
}

/// A controller that has proven itself.
pub(crate) struct Proven {
    pub(crate) address: Address,
    /// Where the yard may not have been told of it yet.
    pub(crate) entry: Option<Box<ControllerEntry>>,
    /// By which of its keys; `None` over the clear link, where nothing is proven.
    pub(crate) by_key: Option<WhichKey>,
    /// That key.
    pub(crate) key: Option<ControllerKey>,
    /// All its keys, as they were when it was looked what is to be done about them.
    pub(crate) keys: Option<Keys>,
    pub(crate) wire: Wire,
    /// The frames of the first record, all whole.
    pub(crate) frames: Vec<u8>,
    /// What came after it.
    pub(crate) rest: Vec<u8>,
}

/// Why there is no session; [`Code::LinkLost`] when the peer just went.
pub(crate) struct Refusal {
    pub(crate) code: Code,
    pub(crate) address: Address,
}

/// A controller that there is.
struct Known {
    keys: Keys,
    /// See [`Proven::entry`].
    entry: Option<Box<ControllerEntry>>,
}

/// One connection on its way in.
struct Attempt<'a> {
    prover: &'a Prover,
    ip: IpAddr,
    stream: &'a mut TcpStream,
    buffer: BytesMut,
    /// The gateway's own address until the hello said another.
    address: Address,
    /// See [`Proven::by_key`].
    by_key: Option<WhichKey>,
    /// See [`Proven::key`].
    key: Option<ControllerKey>,
    /// See [`Proven::keys`].
    keys: Option<Keys>,
    /// The largest record that both sides take.
    record_bytes_max: u16,
    /// Once there is one, errors go out as records; there is none over the clear link.
    wire: Option<Box<NoiseWire>>,
}

impl Prover {
    /// Takes a fresh connection to its first valid record, or tells it why not.
    pub(crate) async fn prove(
        &self,
        stream: &mut TcpStream,
        ip: IpAddr,
        clear: bool,
    ) -> Result<Proven, Refusal> {
        let mut attempt = Attempt {
            prover: self,
            ip,
            stream,
            buffer: BytesMut::new(),
            address: Address::GATEWAY,
            by_key: None,
            key: None,
            keys: None,
            record_bytes_max: 0,
            wire: None,
        };
        let time_limit = self.settings.handshake_timeout;
        let outcome = tokio::time::timeout(time_limit, attempt.run(clear)).await;
        let mut outcome = outcome.unwrap_or(Err(Code::HandshakeTimeout));
        if let Ok((_, frames)) = &mut outcome
            && let Err(code) = attempt.take_key_step(frames).await
        {
            outcome = Err(code);
        }
        match outcome {
            Ok((entry, frames)) => Ok(Proven {
                address: attempt.address,
                entry,
                by_key: attempt.by_key,
                key: attempt.key,
                keys: attempt.keys,
                wire: match attempt.wire {
                    Some(wire) => Wire::Noise(wire),
                    None => Wire::Clear {
                        record_bytes_max: attempt.record_bytes_max,
                    },
                },
                frames,
                rest: attempt.buffer.into(),
            }),
            Err(code) => {
                let address = attempt.address;
                if code != Code::LinkLost {
                    // A peer that does not even read this is simply dropped.
                    let _ = tokio::time::timeout(FAREWELL, attempt.say_why(code)).await;
                }
                Err(Refusal { code, address })
            }
        }
    }
}

/// Who says hello. Pure, as the two that follow.
///
/// # Errors
/// The code of the refusal.
pub(crate) fn hello_source(hello: &Header) -> Result<Address, Code> {
    if hello.kind != Kind::Hello || hello.flags != Flags::NONE {
        return Err(Code::Malformed);
    }
    if !hello.source.is_controller() || hello.destination != Address::GATEWAY {
        return Err(Code::ForgedSource);
    }
    Ok(hello.source)
}

/// What its hello wishes.
///
/// # Errors
/// The code of the refusal.
pub(crate) fn wishes_of(payload: &[u8]) -> Result<ControllerHello, Code> {
    let wishes = ControllerHello::decode(payload).map_err(|_| Code::Malformed)?;
    if wishes.version != limits::LINK_VERSION {
        return Err(Code::UnsupportedVersion);
    }
    Ok(wishes)
}

/// Whether a frame is message 1 of whoever said hello.
///
/// # Errors
/// The code of the refusal.
pub(crate) fn check_message_1(frame: &Frame, address: Address) -> Result<(), Code> {
    let header = frame.header();
    if header.kind != Kind::Handshake || frame.payload().len() != MESSAGE_1_BYTES {
        return Err(Code::Malformed);
    }
    if header.source != address || header.destination != Address::GATEWAY {
        return Err(Code::ForgedSource);
    }
    Ok(())
}

impl Attempt<'_> {
    /// To the frames of the first record; with them, see [`Proven::entry`].
    async fn run(&mut self, clear: bool) -> Result<(Option<Box<ControllerEntry>>, Vec<u8>), Code> {
        let hello = self.frame(HELLO_BYTES_MAX).await?;
        let header = *hello.header();
        self.address = hello_source(&header)?;
        self.prover.door.hello(self.ip, Some(self.address))?;
        let wishes = wishes_of(hello.payload())?;
        let settings = &self.prover.settings;
        self.record_bytes_max = wishes.record_bytes_max.min(settings.record_bytes_max);
        let reply = HelloReply {
            version: limits::LINK_VERSION,
            record_bytes_max: self.record_bytes_max,
            time: clock::time(),
            ping_interval: settings.ping_interval,
            address: self.address,
        };
        if clear {
            self.run_clear(&header, &reply).await
        } else {
            self.run_noise(hello.bytes(), &reply).await
        }
    }

    async fn run_clear(
        &mut self,
        hello: &Header,
        reply: &HelloReply,
    ) -> Result<(Option<Box<ControllerEntry>>, Vec<u8>), Code> {
        let Some(known) = self.known().await? else {
            return Err(Code::HandshakeFailed);
        };
        let (gateway, correlation) = (Address::GATEWAY, hello.correlation);
        let payload = reply.encode();
        let frame = Frame::with_flags(
            Kind::Hello,
            Flags::REPLY,
            correlation,
            gateway,
            self.address,
            &payload,
        );
        self.write(frame.bytes()).await?;
        let record_bytes_max = self.record_bytes_max;
        let wire = Wire::Clear { record_bytes_max };
        let first = self.frame(wire.payload_bytes_max()).await?;
        Ok((known.entry, first.bytes().to_vec()))
    }

    async fn run_noise(
        &mut self,
        prologue: &Bytes,
        reply: &HelloReply,
    ) -> Result<(Option<Box<ControllerEntry>>, Vec<u8>), Code> {
        let frame = self.frame(HELLO_BYTES_MAX).await?;
        let header = *frame.header();
        check_message_1(&frame, self.address)?;
        // An address that nobody has gets keys that nobody has, and then goes the same way.
        let known = self.known().await?;
        let keys = known.as_ref().map(|it| &it.keys);
        let (which, mut noise) = Keys::read_message_1(keys, prologue, frame.payload())?;
        let internal = |_: snow::Error| Code::Internal;
        // Reached with the right key only.
        let Known { keys, entry } = known.ok_or(Code::HandshakeFailed)?;
        if !self.prover.replays.is_new(self.address, frame.payload()) {
            return Err(Code::ReplayedHandshake);
        }
        let mut message_2 = [0; 256];
        let length = noise
            .write_message(&reply.encode(), &mut message_2)
            .map_err(internal)?;
        // The initiator's first: it is what this side receives with.
        let (receive, send) = noise.dangerously_get_raw_split();
        let message_2 = &message_2[..length];
        let (gateway, correlation) = (Address::GATEWAY, header.correlation);
        let answer = Frame::new(
            Kind::Handshake,
            correlation,
            gateway,
            self.address,
            message_2,
        );
        self.write(answer.bytes()).await?;
        // From here on errors go out as records, also the one that it took too long.
        let wire = NoiseWire::new(receive, send, self.record_bytes_max);
        self.wire = Some(Box::new(wire));
        let frames = self.first_record().await?;
        self.by_key = Some(which);
        self.key = keys.get(which);
        self.keys = Some(keys);
        Ok((entry, frames))
    }

    /// The frames of the first record, checked to be whole.
    async fn first_record(&mut self) -> Result<Vec<u8>, Code> {
        loop {
            let wire = self.wire.as_mut().ok_or(Code::Internal)?;
            let mut at = 0;
            if let Step::Frames(range) = wire.next(&mut self.buffer, &mut at)? {
                let frames = self.buffer[range].to_vec();
                check_whole(&frames, wire.payload_bytes_max())?;
                self.buffer.advance(at);
                return Ok(frames);
            }
            self.fill(self.buffer.len() + 1).await?;
        }
    }

    async fn known(&self) -> Result<Option<Known>, Code> {
        match self.prover.keyring.held(self.address) {
            Held::Keys(keys) => return Ok(Some(Known { keys, entry: None })),
            Held::Nobody => return Ok(None),
            Held::Perhaps => {}
        }
        let found = self.prover.config.controller(self.address).await;
        let found = found.map_err(|error| {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the store did not tell a controller's key"
            );
            Code::StoreUnavailable
        })?;
        Ok(found.map(|(entry, keys)| Known {
            keys,
            entry: Some(Box::new(entry)),
        }))
    }

    /// The next frame of the handshake.
    async fn frame(&mut self, payload_bytes_max: usize) -> Result<Frame, Code> {
        loop {
            let decoded = Frame::decode(&mut self.buffer, payload_bytes_max);
            if let Some(frame) = decoded.map_err(|error| error.code())? {
                return Ok(frame);
            }
            self.fill(self.buffer.len() + 1).await?;
        }
    }

    /// Reads until the buffer holds this much; it never holds much more, since little is asked for.
    async fn fill(&mut self, bytes: usize) -> Result<(), Code> {
        while self.buffer.len() < bytes {
            self.buffer.reserve(512);
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return Err(Code::LinkLost),
                Ok(_) => {}
            }
        }
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Code> {
        self.stream
            .write_all(bytes)
            .await
            .map_err(|_| Code::LinkLost)
    }

    /// Sends the error frame, then lets the peer read it before the connection goes: closing with
    /// unread bytes in hand would reset it, and the reason would be lost.
    async fn say_why(&mut self, code: Code) -> std::io::Result<()> {
        let message = ErrorMessage { code, detail: None }.encode();
        let frame = Frame::new(Kind::Error, 0, Address::GATEWAY, self.address, &message);
        match self.wire.as_mut() {
            None => self.stream.write_all(frame.bytes()).await?,
            Some(wire) => {
                let mut record = Vec::new();
                let wrapped = wire.wrap(frame.bytes(), &mut record);
                wrapped.map_err(|code| std::io::Error::other(code.name()))?;
                self.stream.write_all(&record).await?;
            }
        }
        self.stream.shutdown().await?;
        let mut rest = [0; 1024];
        while self.stream.read(&mut rest).await? > 0 {}
        Ok(())
    }
}

#[cfg(test)]
mod tests;
