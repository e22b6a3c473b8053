//! A tool made of a WebSocket, for whatever the real ones would never do.

use crate::{SOCKET_TIMEOUT, http};
use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use std::{collections::VecDeque, net::TcpStream};
use switchyard_protocol::{
    Address, Frame, Header, Kind, limits,
    message::{
        Action, Answer, Body, Command, Delta, ErrorMessage, Full, Key, Name, PeerKind, Receipt,
        Request, Time, Title, ToolHello, ToolWelcome,
    },
};
use switchyard_testkit::Yard;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket, client::IntoClientRequest};

/// A tool's connection, welcomed.
pub struct Tool {
    socket: WebSocket<TcpStream>,
    waiting: VecDeque<Frame>,
    /// What the gateway said.
    pub welcome: ToolWelcome,
    correlation: u32,
}

impl Tool {
    /// Logs an account in, connects, and is welcomed.
    ///
    /// # Errors
    /// When the gateway refuses.
    pub fn connect(yard: &Yard, account: &str) -> Result<Self> {
        let token = http::log_in(yard.http(), account)?;
        Self::connect_as(
            yard,
            &ToolHello {
                version: limits::LINK_VERSION,
                token: Some(token),
                installation: None,
                software: Title::new("hand-made 1")?,
            },
        )
    }

    /// Connects with a hello of one's own.
    ///
    /// # Errors
    /// When the gateway refuses; its code is in the text.
    pub fn connect_as(yard: &Yard, hello: &ToolHello) -> Result<Self> {
        Self::connect_to(yard.http(), hello)
    }

    /// The same of a gateway at `HOST:PORT`.
    ///
    /// # Errors
    /// When nobody listens, or the gateway refuses.
    pub fn connect_to(http: &str, hello: &ToolHello) -> Result<Self> {
        let stream = TcpStream::connect(http)?;
        stream.set_read_timeout(Some(SOCKET_TIMEOUT))?;
        stream.set_nodelay(true)?;
        let mut request = format!("ws://{http}/ws").into_client_request()?;
        request
            .headers_mut()
            .insert("sec-websocket-protocol", "switchyard.1".parse()?);
        let (mut socket, _) =
            tungstenite::client(request, stream).map_err(|error| anyhow::anyhow!("{error}"))?;
        let frame = Frame::new(
            Kind::Hello,
            1,
            Address(0),
            Address::GATEWAY,
            &hello.encode(),
        );
        socket.send(Message::Binary(frame.into_bytes()))?;
        let mut waiting = VecDeque::new();
        let first = next_frame(&mut socket, &mut waiting)?;
        if first.header().kind == Kind::Error {
            bail!("refused: {}", ErrorMessage::decode(first.payload())?.code);
        }
        let welcome = ToolWelcome::decode(first.payload())?;
        ensure!(
            welcome.address == first.header().destination,
            "expected one's own address"
        );
        Ok(Tool {
            socket,
            waiting,
            welcome,
            correlation: rand::random(),
        })
    }

    /// The tool's own address.
    pub fn address(&self) -> Address {
        self.welcome.address
    }

    /// Sends a frame as it is.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn send(&mut self, frame: &Frame) -> Result<()> {
        Ok(self.socket.send(Message::Binary(frame.bytes().clone()))?)
    }

    /// The next frame.
    ///
    /// # Errors
    /// When the connection ends first.
    pub fn receive(&mut self) -> Result<Frame> {
        next_frame(&mut self.socket, &mut self.waiting)
    }

    /// The next frame of which `pick` makes something; others are passed over.
    ///
    /// # Errors
    /// When the connection ends first.
    pub fn receive_until<T>(&mut self, mut pick: impl FnMut(&Frame) -> Option<T>) -> Result<T> {
        loop {
            if let Some(found) = pick(&self.receive()?) {
                return Ok(found);
            }
        }
    }

    /// Waits for the error with which the gateway ends the connection.
    ///
    /// # Errors
    /// When it ends without one.
    pub fn receive_end(&mut self) -> Result<switchyard_protocol::Code> {
        self.receive_until(|frame| {
            (frame.header().kind == Kind::Error)
                .then(|| {
                    ErrorMessage::decode(frame.payload())
                        .ok()
                        .map(|error| error.code)
                })
                .flatten()
        })
    }

    /// Sends a request and gives the answer; status frames that come before it are passed over.
    ///
    /// # Errors
    /// When the connection ends first.
    pub fn ask(&mut self, destination: Address, request: &Request) -> Result<Answer> {
        let correlation = self.next_correlation();
        let kind = request.verb().kind();
        self.send(&Frame::new(
            kind,
            correlation,
            self.address(),
            destination,
            &request.encode(),
        ))?;
        let frame = self.receive_until(|frame| {
            let header = frame.header();
            (header.kind == Kind::Response && header.correlation == correlation)
                .then(|| frame.clone())
        })?;
        Ok(Answer::decode(frame.payload())?)
    }

    /// A command that sets a point, to expire ten seconds from the welcome's time or later.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn set(
        &mut self,
        controller: u32,
        point: &str,
        value: i64,
        lifetime_ms: u64,
    ) -> Result<Key> {
        let key = Key(rand::random());
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
        let command = Command {
            key,
            expiry: Time(now.as_millis() as u64 + lifetime_ms),
            wait: false,
            action: Action::Set {
                point: Name::new(point)?,
                value,
            },
        };
        self.command(controller, &command)?;
        Ok(key)
    }

    /// Sends a command as it is.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn command(&mut self, controller: u32, command: &Command) -> Result<()> {
        let correlation = self.next_correlation();
        let payload = command.encode();
        self.send(&Frame::new(
            Kind::Command,
            correlation,
            self.address(),
            Address(controller),
            &payload,
        ))
    }

    /// The receipts of a command, up to its last; whatever else comes in between is given to
    /// `other`.
    ///
    /// # Errors
    /// When the connection ends first.
    pub fn receipts(&mut self, key: Key, mut other: impl FnMut(&Frame)) -> Result<Vec<Receipt>> {
        let mut receipts = Vec::new();
        loop {
            let frame = self.receive()?;
            match frame.header().kind {
                Kind::Receipt => {
                    let receipt = Receipt::decode(frame.payload())?;
                    if receipt.key == key {
                        let is_final = receipt.is_final;
                        receipts.push(receipt);
                        if is_final {
                            return Ok(receipts);
                        }
                    }
                }
                _ => other(&frame),
            }
        }
    }

    /// Answers another tool that asked who this is.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn identify_to(&mut self, query: &Header) -> Result<()> {
        let title = Title::new("hand-made 1")?;
        let answer = Answer::Ok(Body::Identify {
            title: title.clone(),
            software: title,
            peer_kind: PeerKind::Program,
        });
        let (from, to) = (self.address(), query.source);
        self.send(&Frame::new(
            Kind::Response,
            query.correlation,
            from,
            to,
            &answer.encode(),
        ))
    }

    fn next_correlation(&mut self) -> u32 {
        self.correlation = self.correlation.wrapping_add(1).max(1);
        self.correlation
    }
}

/// The value of a point that a status frame of `controller` bears.
pub fn value_in(frame: &Frame, controller: u32, index: u8) -> Option<i64> {
    if frame.header().source != Address(controller) {
        return None;
    }
    match frame.header().kind {
        Kind::StatusFull => {
            let full = Full::decode(frame.payload()).ok()?;
            full.points
                .iter()
                .find(|point| point.index == index)
                .map(|point| point.value)
        }
        Kind::StatusDelta => {
            let delta = Delta::decode(frame.payload()).ok()?;
            delta
                .changes
                .iter()
                .find(|change| change.index == index)
                .map(|change| change.value)
        }
        _ => None,
    }
}

fn next_frame(socket: &mut WebSocket<TcpStream>, waiting: &mut VecDeque<Frame>) -> Result<Frame> {
    loop {
        if let Some(frame) = waiting.pop_front() {
            return Ok(frame);
        }
        match socket.read().context("reading from the gateway")? {
            Message::Binary(message) => {
                let mut rest: Bytes = message;
                while let Some(frame) = Frame::decode_shared(&mut rest, limits::PAYLOAD_BYTES_MAX)?
                {
                    waiting.push_back(frame);
                }
                ensure!(rest.is_empty(), "expected a message of whole frames");
            }
            Message::Close(_) => bail!("the gateway closed the connection"),
            _ => {}
        }
    }
}
