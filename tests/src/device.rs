//! A controller made of a socket and `snow`, for whatever the real core would never do.

use crate::SOCKET_TIMEOUT;
use anyhow::{Context, Result, bail, ensure};
use bytes::BytesMut;
use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};
use switchyard_protocol::{
    Address, Code, Frame, Kind, limits,
    message::{
        Answer, Cause, CauseKind, Change, ControllerHello, Delta, ErrorMessage, Event, Full, Name,
        Ping, Point, PointFlags, PointType, StatusHead, Title,
    },
};

/// How long a write may wait for room before the device gives up talking.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

/// The correlation of the ping by which a device knows that it is live.
const PING: u32 = 3;

const PATTERN: &str = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2b";

/// The clear hello of a controller.
pub fn hello(address: Address) -> Frame {
    let hello = ControllerHello {
        version: limits::LINK_VERSION,
        record_bytes_max: limits::RECORD_BYTES_MAX_DEFAULT as u16,
    };
    Frame::new(Kind::Hello, 1, address, Address::GATEWAY, &hello.encode())
}

/// A controller's connection.
pub struct Device {
    stream: TcpStream,
    noise: Option<snow::TransportState>,
    received: BytesMut,
    /// What came before it was known to be live.
    early: Vec<Frame>,
    address: Address,
    /// Every byte that was sent, for replays.
    pub sent: Vec<u8>,
}

impl Device {
    /// Connects, and says nothing yet.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn connect(tcp: &str, address: u32) -> Result<Self> {
        let stream = TcpStream::connect(tcp)?;
        stream.set_read_timeout(Some(SOCKET_TIMEOUT))?;
        stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
        stream.set_nodelay(true)?;
        let address = Address(address);
        Ok(Device {
            stream,
            noise: None,
            received: BytesMut::new(),
            early: Vec::new(),
            address,
            sent: Vec::new(),
        })
    }

    /// Connects and goes through the handshake; the session is not live yet.
    ///
    /// # Errors
    /// When the gateway refuses; its code is in the text.
    pub fn handshake(tcp: &str, address: u32, key: &[u8; 32]) -> Result<Self> {
        let mut device = Self::connect(tcp, address)?;
        let hello = hello(device.address);
        let mut noise = snow::Builder::new(PATTERN.parse()?)
            .prologue(hello.bytes())?
            .psk(0, key)?
            .build_initiator()?;
        let mut message = [0; 1024];
        let length = noise.write_message(&[], &mut message)?;
        device.write(hello.bytes())?;
        let first = Frame::new(
            Kind::Handshake,
            2,
            device.address,
            Address::GATEWAY,
            &message[..length],
        );
        device.write(first.bytes())?;
        let answer = device.read_frame()?;
        match answer.header().kind {
            Kind::Handshake => {
                noise.read_message(answer.payload(), &mut message)?;
                device.noise = Some(noise.into_transport_mode()?);
                Ok(device)
            }
            Kind::Error => bail!("refused: {}", ErrorMessage::decode(answer.payload())?.code),
            other => bail!("expected a handshake and found {}", other.name()),
        }
    }

    /// A live session, known to the gateway: handshake, announce, a full status with one output `RL1`,
    /// off, and a ping that was replied to.
    ///
    /// # Errors
    /// As [`handshake`](Self::handshake).
    pub fn live(tcp: &str, address: u32, key: &[u8; 32], boot: u32) -> Result<Self> {
        let mut device = Self::handshake(tcp, address, key)?;
        let announce = Event::Announce {
            boot,
            features: 0,
            software: Title::new("hand-made 1")?,
            board: Title::new("none")?,
            layout: 1,
        };
        let full = Full {
            head: StatusHead { boot, sequence: 0 },
            page: 0,
            pages: 1,
            uptime_ms: 0,
            time: None,
            points: vec![Point {
                index: 0,
                name: Name::new("RL1")?,
                point_type: PointType::DigitalOutput,
                value: 0,
                flags: PointFlags::MANUAL,
                cause: Cause::plain(CauseKind::Boot),
            }],
            layout: 1,
        };
        let announce = device.frame(Kind::Event, Address::GATEWAY, &announce.encode());
        let full = device.frame(Kind::StatusFull, Address::GATEWAY, &full.encode());
        let ping = Frame::new(
            Kind::Ping,
            PING,
            device.address,
            Address::GATEWAY,
            &Ping.encode(),
        );
        device.send(&[announce, full, ping])?;
        let is_reply = |frame: &Frame| {
            let header = frame.header();
            header.kind == Kind::Ping && header.correlation == PING
        };
        let mut early = Vec::new();
        while !early.iter().any(is_reply) {
            early.extend(device.receive()?);
        }
        early.retain(|frame| !is_reply(frame));
        device.early = early;
        Ok(device)
    }

    /// Its address.
    pub fn address(&self) -> Address {
        self.address
    }

    /// Sends an event or alarm to the gateway, and waits for what it says.
    ///
    /// # Errors
    /// When the connection ends first.
    pub fn tell(&mut self, correlation: u32, event: &Event) -> Result<Answer> {
        let (from, gateway, payload) = (self.address, Address::GATEWAY, event.encode());
        self.send(&[Frame::new(
            Kind::Event,
            correlation,
            from,
            gateway,
            &payload,
        )])?;
        loop {
            for frame in self.receive()? {
                let header = frame.header();
                if header.kind == Kind::Response && header.correlation == correlation {
                    return Ok(Answer::decode(frame.payload())?);
                }
            }
        }
    }

    /// A frame from this controller.
    pub fn frame(&self, kind: Kind, destination: Address, payload: &[u8]) -> Frame {
        Frame::new(kind, 0, self.address, destination, payload)
    }

    /// A delta that sets `RL1`.
    pub fn delta(&self, boot: u32, sequence: u32, value: i64) -> Frame {
        let delta = Delta {
            head: StatusHead { boot, sequence },
            uptime_ms: 0,
            time: None,
            changes: vec![Change {
                index: 0,
                value,
                flags: PointFlags::MANUAL,
                cause: Cause::plain(CauseKind::Script),
            }],
        };
        self.frame(Kind::StatusDelta, Address::GATEWAY, &delta.encode())
    }

    /// Sends frames as one record.
    ///
    /// # Errors
    /// When there is no session or the connection is gone.
    pub fn send(&mut self, frames: &[Frame]) -> Result<()> {
        let clear: Vec<u8> = frames
            .iter()
            .flat_map(|frame| frame.bytes().iter().copied())
            .collect();
        let mut record = vec![0; clear.len() + limits::RECORD_TAG_BYTES];
        let noise = self.noise.as_mut().context("expected a handshake first")?;
        let length = noise.write_message(&clear, &mut record)?;
        self.write(&[&(length as u16).to_be_bytes(), &record[..length]].concat())
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.sent.extend_from_slice(bytes);
        Ok(self.stream.write_all(bytes)?)
    }

    /// The frames of the next record, or those that came while the session was being set up.
    ///
    /// # Errors
    /// When the connection ends first.
    pub fn receive(&mut self) -> Result<Vec<Frame>> {
        if !self.early.is_empty() {
            return Ok(std::mem::take(&mut self.early));
        }
        let length = self.take(2)?;
        let record = self.take(usize::from(u16::from_be_bytes([length[0], length[1]])))?;
        let noise = self.noise.as_mut().context("expected a handshake first")?;
        let mut clear = BytesMut::zeroed(record.len());
        let length = noise.read_message(&record, &mut clear)?;
        clear.truncate(length);
        let mut frames = Vec::new();
        while let Some(frame) = Frame::decode(&mut clear, limits::PAYLOAD_BYTES_MAX)? {
            frames.push(frame);
        }
        ensure!(clear.is_empty(), "expected a record of whole frames");
        Ok(frames)
    }

    /// Waits for the error with which the gateway ends a session, and for the end itself.
    ///
    /// # Errors
    /// When the connection ends without one.
    pub fn receive_end(&mut self) -> Result<Code> {
        loop {
            let frames = if self.noise.is_some() {
                self.receive()?
            } else {
                vec![self.read_frame()?]
            };
            for frame in frames {
                if frame.header().kind == Kind::Error {
                    self.wait_for_end()?;
                    return Ok(ErrorMessage::decode(frame.payload())?.code);
                }
            }
        }
    }

    /// Waits until the gateway has closed the connection, whatever else it still sends.
    ///
    /// # Errors
    /// When it does not.
    pub fn wait_for_end(&mut self) -> Result<()> {
        let mut rest = [0; 4096];
        loop {
            match self.stream.read(&mut rest) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Ok(()),
                Err(error) => return Err(error).context("waiting for the end of the connection"),
            }
        }
    }

    fn read_frame(&mut self) -> Result<Frame> {
        loop {
            if let Some(frame) = Frame::decode(&mut self.received, limits::PAYLOAD_BYTES_MAX)? {
                return Ok(frame);
            }
            self.fill()?;
        }
    }

    fn take(&mut self, count: usize) -> Result<BytesMut> {
        while self.received.len() < count {
            self.fill()?;
        }
        Ok(self.received.split_to(count))
    }

    fn fill(&mut self) -> Result<()> {
        let mut chunk = [0; 4096];
        let count = self
            .stream
            .read(&mut chunk)
            .context("reading from the gateway")?;
        ensure!(count > 0, "the gateway closed the connection");
        self.received.extend_from_slice(&chunk[..count]);
        Ok(())
    }
}
