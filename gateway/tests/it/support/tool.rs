//! A tool by script: frames in WebSocket messages.

use super::{now, soon, title};
use futures_util::{SinkExt as _, StreamExt as _};
use std::{collections::VecDeque, net::SocketAddr, time::Duration};
use switchyard_protocol::{
    Address, Code, Frame, Kind, limits,
    message::{
        Action, Answer, Command, ErrorMessage, Key, Name, Receipt, Request, ToolHello, ToolWelcome,
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpSocket, TcpStream},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest as _, http::HeaderValue},
};

/// A tool by script.
pub(crate) struct Tool<S = TcpStream> {
    pub(crate) socket: WebSocketStream<S>,
    pub(crate) welcome: ToolWelcome,
    pub(crate) address: Address,
    inbox: VecDeque<Frame>,
    correlation: u32,
}

/// Opens a WebSocket; the HTTP status when refused.
pub(crate) async fn web_socket(
    http: SocketAddr,
    headers: &[(&str, &str)],
) -> Result<WebSocketStream<TcpStream>, u16> {
    let stream = TcpStream::connect(http).await.unwrap();
    web_socket_on(stream, http, headers).await
}

/// The same on a connection that is there.
pub(crate) async fn web_socket_on<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    http: SocketAddr,
    headers: &[(&str, &str)],
) -> Result<WebSocketStream<S>, u16> {
    let mut request = format!("ws://{http}/ws").into_client_request().unwrap();
    let protocol = HeaderValue::from_static("switchyard.1");
    request
        .headers_mut()
        .insert("sec-websocket-protocol", protocol);
    for (name, value) in headers {
        let name: tokio_tungstenite::tungstenite::http::HeaderName = name.parse().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let upgrade = tokio_tungstenite::client_async(request, stream);
    match soon("an upgrade", upgrade).await {
        Ok((socket, _)) => Ok(socket),
        Err(tokio_tungstenite::tungstenite::Error::Http(response)) => {
            Err(response.status().as_u16())
        }
        Err(error) => panic!("{error}"),
    }
}

/// A tool's hello.
pub(crate) fn tool_hello(token: Option<&str>, installation: Option<[u8; 16]>) -> Frame {
    let hello = ToolHello {
        version: limits::LINK_VERSION,
        token: token.map(String::from),
        installation,
        software: title("test 1"),
    };
    Frame::new(
        Kind::Hello,
        5,
        Address::GATEWAY,
        Address::GATEWAY,
        &hello.encode(),
    )
}

impl Tool {
    /// A live session with a token.
    pub(crate) async fn enter(http: SocketAddr, token: &str) -> Self {
        let socket = web_socket(http, &[]).await.unwrap();
        Self::say_hello(socket, tool_hello(Some(token), None))
            .await
            .unwrap()
    }

    /// The same with the smallest receive buffer, for one that will stop reading.
    pub(crate) async fn enter_narrow(http: SocketAddr, token: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(2048).unwrap();
        let stream = socket.connect(http).await.unwrap();
        let socket = web_socket_on(stream, http, &[]).await.unwrap();
        Self::say_hello(socket, tool_hello(Some(token), None))
            .await
            .unwrap()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Tool<S> {
    /// Says hello; the code when refused.
    pub(crate) async fn say_hello(
        mut socket: WebSocketStream<S>,
        hello: Frame,
    ) -> Result<Self, Code> {
        socket
            .send(Message::Binary(hello.into_bytes()))
            .await
            .unwrap();
        let mut inbox = VecDeque::new();
        let answer = next_frame(&mut socket, &mut inbox)
            .await
            .expect("an answer to hello");
        if answer.header().kind == Kind::Error {
            return Err(ErrorMessage::decode(answer.payload()).unwrap().code);
        }
        assert_eq!(
            (answer.header().kind, answer.header().correlation),
            (Kind::Hello, 5)
        );
        let welcome = ToolWelcome::decode(answer.payload()).unwrap();
        let address = welcome.address;
        assert_eq!(answer.header().destination, address);
        Ok(Tool {
            socket,
            welcome,
            address,
            inbox,
            correlation: 100,
        })
    }

    pub(crate) async fn send(&mut self, frame: Frame) {
        // The gateway may have closed already; what it said about that is read elsewhere.
        let _ = soon(
            "room",
            self.socket.send(Message::Binary(frame.into_bytes())),
        )
        .await;
    }

    pub(crate) async fn receive(&mut self) -> Option<Frame> {
        next_frame(&mut self.socket, &mut self.inbox).await
    }

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

    /// The code with which the session ends.
    pub(crate) async fn ending(&mut self) -> Option<Code> {
        let mut code = None;
        while let Some(frame) = self.receive().await {
            if frame.header().kind == Kind::Error {
                code = Some(ErrorMessage::decode(frame.payload()).unwrap().code);
            }
        }
        code
    }

    pub(crate) fn next_correlation(&mut self) -> u32 {
        self.correlation += 1;
        self.correlation
    }

    /// Asks and waits for the response, past status and events, which are given too.
    pub(crate) async fn ask(&mut self, to: Address, request: &Request) -> (Answer, Vec<Frame>) {
        let correlation = self.next_correlation();
        let kind = request.verb().kind();
        self.send(Frame::new(
            kind,
            correlation,
            self.address,
            to,
            &request.encode(),
        ))
        .await;
        let mut before = Vec::new();
        loop {
            let frame = self.receive().await.expect("a response");
            let header = frame.header();
            if header.kind == Kind::Response && header.correlation == correlation {
                return (Answer::decode(frame.payload()).unwrap(), before);
            }
            before.push(frame);
        }
    }

    /// Subscribes to everything; gives what came before the end marker.
    pub(crate) async fn subscribe(&mut self) -> Vec<Frame> {
        let (answer, frames) = self
            .ask(Address::GATEWAY, &Request::Subscribe { controllers: None })
            .await;
        assert!(matches!(answer, Answer::Ok(_)), "{answer:?}");
        frames
    }

    /// Sends `set RL1 1`; gives its key.
    pub(crate) async fn command(&mut self, to: Address, wait: bool) -> Key {
        let correlation = self.next_correlation();
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&self.address.0.to_be_bytes());
        bytes[4..8].copy_from_slice(&correlation.to_be_bytes());
        let key = Key(bytes);
        let expiry = now().plus(Duration::from_secs(60));
        let action = Action::Set {
            point: Name::new("RL1").unwrap(),
            value: 1,
        };
        let command = Command {
            key,
            expiry,
            wait,
            action,
        };
        self.send(Frame::new(
            Kind::Command,
            correlation,
            self.address,
            to,
            &command.encode(),
        ))
        .await;
        key
    }

    /// The next receipt.
    pub(crate) async fn receipt(&mut self) -> Receipt {
        Receipt::decode(self.receive_kind(Kind::Receipt).await.payload()).unwrap()
    }
}

pub(crate) async fn next_frame<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
    inbox: &mut VecDeque<Frame>,
) -> Option<Frame> {
    while inbox.is_empty() {
        match soon("a message", socket.next()).await? {
            Ok(Message::Binary(mut bytes)) => {
                while let Some(frame) = Frame::decode_shared(&mut bytes, 65_535).unwrap() {
                    inbox.push_back(frame);
                }
                assert!(bytes.is_empty(), "a message ends at a frame's end");
            }
            Ok(Message::Close(_)) | Err(_) => return None,
            Ok(_) => {}
        }
    }
    inbox.pop_front()
}
