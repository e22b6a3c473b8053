//! A controller by script: hello and Noise over TCP.

use super::{Enrolled, Gateway, soon, title};
use std::{collections::VecDeque, net::SocketAddr};
use switchyard_protocol::{
    Address, Code, Frame, Kind,
    message::{
        Cause, CauseKind, Change, Command, ControllerHello, Delta, ErrorMessage, Event, Full,
        HelloReply, Name, Point, PointFlags, PointType, Receipt, Stage, StatusHead,
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

/// A controller by script: hello and Noise over TCP.
pub(crate) struct Controller {
    pub(crate) address: Address,
    stream: TcpStream,
    transport: Option<snow::TransportState>,
    inbox: VecDeque<Frame>,
    buffer: bytes::BytesMut,
    /// Records that came.
    pub(crate) records: usize,
    pub(crate) boot: u32,
    pub(crate) sequence: u32,
    /// Every byte that was sent, for a replay.
    pub(crate) transcript: Vec<u8>,
}

impl Controller {
    /// Connects and says nothing yet.
    pub(crate) async fn connect(to: SocketAddr, address: Address) -> Self {
        let stream = soon("a connection", TcpStream::connect(to)).await.unwrap();
        Self::on(stream, address)
    }

    /// The same with the smallest receive buffer, for one that will stop reading.
    pub(crate) async fn connect_narrow(to: SocketAddr, address: Address) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(2048).unwrap();
        Self::on(
            soon("a connection", socket.connect(to)).await.unwrap(),
            address,
        )
    }

    fn on(stream: TcpStream, address: Address) -> Self {
        Controller {
            address,
            stream,
            transport: None,
            inbox: VecDeque::new(),
            buffer: bytes::BytesMut::new(),
            records: 0,
            boot: 7,
            sequence: 0,
            transcript: Vec::new(),
        }
    }

    /// A live session: handshake, announce, full status.
    pub(crate) async fn online(gateway: &Gateway, who: Enrolled) -> Self {
        let mut controller = Self::connect(gateway.tcp, who.address).await;
        controller.go_online(who.key).await;
        controller
    }

    pub(crate) async fn go_online(&mut self, key: [u8; 32]) {
        self.handshake(key).await.unwrap();
        self.say_who().await;
    }

    /// The first record: announce and full status together.
    pub(crate) async fn say_who(&mut self) {
        let frames = [self.announce(), self.full()];
        self.send(&frames).await;
    }

    pub(crate) fn hello(&self) -> Frame {
        let hello = ControllerHello {
            version: 1,
            record_bytes_max: 1_056,
        };
        Frame::new(
            Kind::Hello,
            1,
            self.address,
            Address::GATEWAY,
            &hello.encode(),
        )
    }

    /// Hello and Noise; the error frame's code when refused.
    pub(crate) async fn handshake(&mut self, key: [u8; 32]) -> Result<HelloReply, Code> {
        let hello = self.hello();
        let mut noise = initiator(hello.bytes(), &key);
        let mut message_1 = [0; 48];
        assert_eq!(noise.write_message(&[], &mut message_1).unwrap(), 48);
        let message_1 = Frame::new(
            Kind::Handshake,
            2,
            self.address,
            Address::GATEWAY,
            &message_1,
        );
        self.write(hello.bytes()).await;
        self.write(message_1.bytes()).await;
        let answer = self.clear_frame().await.expect("an answer");
        if answer.header().kind == Kind::Error {
            return Err(ErrorMessage::decode(answer.payload()).unwrap().code);
        }
        assert_eq!(answer.header().kind, Kind::Handshake);
        assert_eq!(answer.header().destination, self.address);
        let mut payload = [0; 256];
        let length = noise.read_message(answer.payload(), &mut payload).unwrap();
        self.transport = Some(noise.into_transport_mode().unwrap());
        Ok(HelloReply::decode(&payload[..length]).unwrap())
    }

    /// Raw bytes.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.transcript.extend_from_slice(bytes);
        // The gateway may have closed already; what it said about that is read elsewhere.
        let _ = soon("the gateway to read", self.stream.write_all(bytes)).await;
    }

    /// One record with all these frames; plain frames on a clear link.
    pub(crate) async fn send(&mut self, frames: &[Frame]) {
        let plain: Vec<u8> = frames
            .iter()
            .flat_map(|frame| frame.bytes().to_vec())
            .collect();
        self.send_plain(&plain).await;
    }

    /// One record of any bytes.
    pub(crate) async fn send_plain(&mut self, plain: &[u8]) {
        match self.transport.as_mut() {
            None => self.write(plain).await,
            Some(transport) => {
                let mut record = vec![0; 2 + plain.len() + 16];
                let length = transport.write_message(plain, &mut record[2..]).unwrap();
                record[..2].copy_from_slice(&(length as u16).to_be_bytes());
                self.write(&record).await;
            }
        }
    }

    async fn fill(&mut self, bytes: usize) -> Option<()> {
        while self.buffer.len() < bytes {
            let read = soon("bytes", self.stream.read_buf(&mut self.buffer)).await;
            if read.unwrap_or(0) == 0 {
                return None;
            }
        }
        Some(())
    }

    /// The next plain frame; `None` at the end.
    pub(crate) async fn clear_frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = Frame::decode(&mut self.buffer, 65_535).unwrap() {
                return Some(frame);
            }
            self.fill(self.buffer.len() + 1).await?;
        }
    }

    /// The next frame of the session; `None` at the end.
    pub(crate) async fn receive(&mut self) -> Option<Frame> {
        if self.transport.is_none() {
            return self.clear_frame().await;
        }
        while self.inbox.is_empty() {
            self.fill(2).await?;
            let length = usize::from(u16::from_be_bytes([self.buffer[0], self.buffer[1]]));
            self.fill(2 + length).await?;
            let record = self.buffer.split_to(2 + length);
            self.records += 1;
            let mut plain = vec![0; length - 16];
            let transport = self.transport.as_mut().unwrap();
            transport.read_message(&record[2..], &mut plain).unwrap();
            let mut plain = bytes::Bytes::from(plain);
            while let Some(frame) = Frame::decode_shared(&mut plain, 65_535).unwrap() {
                self.inbox.push_back(frame);
            }
            assert!(plain.is_empty(), "a record ends at a frame's end");
        }
        self.inbox.pop_front()
    }

    /// The next frame of a kind, past others.
    pub(crate) async fn receive_kind(&mut self, kind: Kind) -> Frame {
        loop {
            let frame = self
                .receive()
                .await
                .unwrap_or_else(|| panic!("no {} came", kind.name()));
            if frame.header().kind == kind {
                return frame;
            }
        }
    }

    /// The code with which the session ends, if it is told.
    pub(crate) async fn ending(&mut self) -> Option<Code> {
        let mut code = None;
        while let Some(frame) = self.receive().await {
            if frame.header().kind == Kind::Error {
                code = Some(ErrorMessage::decode(frame.payload()).unwrap().code);
            }
        }
        code
    }

    /// Sends a ping and waits for its reply: the session lives.
    pub(crate) async fn is_live(&mut self) {
        let ping = switchyard_protocol::message::Ping.encode();
        let ping = Frame::new(Kind::Ping, 77, self.address, Address::GATEWAY, &ping);
        self.send(&[ping]).await;
        let reply = self.receive_kind(Kind::Ping).await;
        assert_eq!(reply.header().correlation, 77);
    }

    pub(crate) fn announce(&self) -> Frame {
        let event = Event::Announce {
            boot: self.boot,
            features: 1,
            software: title("script 1"),
            board: title("bench"),
            layout: 1,
        };
        Frame::new(
            Kind::Event,
            0,
            self.address,
            Address::GATEWAY,
            &event.encode(),
        )
    }

    fn head(&self) -> StatusHead {
        StatusHead {
            boot: self.boot,
            sequence: self.sequence,
        }
    }

    pub(crate) fn full(&self) -> Frame {
        let point = Point {
            index: 0,
            name: Name::new("RL1").unwrap(),
            point_type: PointType::DigitalOutput,
            value: 0,
            flags: PointFlags::MANUAL,
            cause: Cause::plain(CauseKind::Boot),
        };
        let full = Full {
            head: self.head(),
            page: 0,
            pages: 1,
            uptime_ms: 1_000,
            time: None,
            points: vec![point],
            layout: 1,
        };
        Frame::new(
            Kind::StatusFull,
            0,
            self.address,
            Address::GATEWAY,
            &full.encode(),
        )
    }

    /// The next delta: RL1 took this value.
    pub(crate) fn delta(&mut self, value: i64) -> Frame {
        self.sequence = self.sequence.wrapping_add(1);
        let change = Change {
            index: 0,
            value,
            flags: PointFlags::MANUAL,
            cause: Cause::plain(CauseKind::Input),
        };
        let delta = Delta {
            head: self.head(),
            uptime_ms: 2_000,
            time: None,
            changes: vec![change],
        };
        Frame::new(
            Kind::StatusDelta,
            0,
            self.address,
            Address::GATEWAY,
            &delta.encode(),
        )
    }

    /// A receipt for a command frame.
    pub(crate) fn receipt(&self, command: &Frame, stage: Stage, is_final: bool) -> Frame {
        let key = Command::decode(command.payload()).unwrap().key;
        let receipt = Receipt {
            key,
            stage,
            at: None,
            reason: None,
            detail: None,
            is_final,
        };
        let header = command.header();
        let (correlation, source) = (header.correlation, header.source);
        Frame::new(
            Kind::Receipt,
            correlation,
            self.address,
            source,
            &receipt.encode(),
        )
    }
}

/// The controller's half of the handshake.
pub(crate) fn initiator(prologue: &[u8], key: &[u8; 32]) -> snow::HandshakeState {
    snow::Builder::new("Noise_NNpsk0_25519_ChaChaPoly_BLAKE2b".parse().unwrap())
        .prologue(prologue)
        .unwrap()
        .psk(0, key)
        .unwrap()
        .build_initiator()
        .unwrap()
}
