//! A gateway that does what a test tells it to: real sockets, real frames, no brain. The console's
//! tests include this file too.
#![allow(dead_code, reason = "each test program uses a part of this")]
#![allow(clippy::unwrap_used, reason = "a panic here is a test's report")]

mod desk;

pub(crate) use desk::Desk;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use switchyard_protocol::{
    Address, Code, Flags, Frame, Header, Kind, Role,
    limits::PAYLOAD_BYTES_MAX,
    message::{
        Answer, Cause, CauseKind, Change, Command, Delta, ErrorMessage, Event, Full, Name, Ping,
        PingReply, Point, PointFlags, PointType, Receipt, Request, Stage, StatusHead, Time, Title,
        ToolHello, ToolWelcome,
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{Request as Upgrade, Response as Upgraded},
        http::HeaderValue,
    },
};

/// The account and password that the scripted gateway takes.
pub(crate) const ACCOUNT: &str = "li";
/// See [`ACCOUNT`].
pub(crate) const PASSWORD: &str = "correct horse";
/// An account with the same password and a second factor, whose code is always [`CODE`].
pub(crate) const GUARDED: &str = "wang";
/// See [`GUARDED`].
pub(crate) const CODE: &str = "123456";
/// The code by which the first account is made.
pub(crate) const SETUP_CODE: &str = "ABCDE-FGHJK-LMNPQ-RSTUV";
/// The token that it gives for them.
pub(crate) const TOKEN: &str = "scripted-token";
/// How long a test waits before it says that something never happened.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// The time that it tells.
pub(crate) const TIME: Time = Time(1_800_000_000_000);

/// Fails a test that would otherwise hang.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

pub(crate) fn title(text: &str) -> Title {
    Title::new(text).unwrap()
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// A listener on a free port of loopback.
pub(crate) struct Gateway {
    pub(crate) listener: TcpListener,
    /// Whether it has no account yet; the first log-in by [`SETUP_CODE`] ends that.
    pub(crate) is_new: Arc<AtomicBool>,
    /// What it says over HTTP otherwise.
    pub(crate) desk: Desk,
}

impl Gateway {
    pub(crate) async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Gateway {
            listener,
            is_new: Arc::default(),
            desk: Desk::default(),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.listener.local_addr().unwrap())
    }

    /// The next tool that says hello; log-ins are answered meanwhile.
    pub(crate) async fn accept(&self) -> Peer {
        soon("a tool to dial", async {
            loop {
                let (stream, _) = self.listener.accept().await.unwrap();
                if let Some(peer) = serve(stream, &self.is_new, &self.desk).await {
                    return peer;
                }
            }
        })
        .await
    }
}

/// Answers an HTTP request, or makes a peer of an upgrade.
pub(crate) async fn serve(mut stream: TcpStream, is_new: &AtomicBool, desk: &Desk) -> Option<Peer> {
    let mut head = vec![0; 8192];
    let head_bytes = loop {
        let seen = stream.peek(&mut head).await.ok()?;
        if let Some(end) = head[..seen].windows(4).position(|it| it == b"\r\n\r\n") {
            break end + 4;
        }
        if seen == 0 {
            return None;
        }
        tokio::task::yield_now().await;
    };
    let text = String::from_utf8(head[..head_bytes].to_vec()).ok()?;
    if text.starts_with("GET /ws ") {
        return Peer::open(stream).await;
    }
    let length = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok())
        .unwrap_or(0);
    let mut request = vec![0; head_bytes + length];
    stream.read_exact(&mut request).await.ok()?;
    let body = String::from_utf8(request[head_bytes..].to_vec()).ok()?;
    let knows_token = text.contains(&format!("Bearer {TOKEN}\r\n"));
    let asked = text.split(" HTTP/").next()?;
    let (status, body) = match desk.answer(asked, &body, knows_token).await {
        Some((status, body)) => (format!("{status} Scripted"), body),
        None => {
            let (status, body) = answer(asked, &body, knows_token, is_new);
            (status.to_owned(), body)
        }
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await.ok()?;
    None
}

/// What it says to a request.
fn answer(
    asked: &str,
    body: &str,
    knows_token: bool,
    is_new: &AtomicBool,
) -> (&'static str, String) {
    let has = |name: &str, value: &str| body.contains(&format!(r#""{name}":"{value}""#));
    let problem = |status: u16, code: &str, detail: &str| {
        format!(
            r#"{{"type":"about:blank","title":"no","status":{status},"code":"{code}","detail":"{detail}"}}"#
        )
    };
    let logged_in = |account: &str, role: &str| {
        let answer = format!(r#"{{"token":"{TOKEN}","account":"{account}","role":"{role}"}}"#);
        ("200 OK", answer)
    };
    let unauthorized = |code, detail| ("401 Unauthorized", problem(401, code, detail));
    let known = [ACCOUNT, GUARDED]
        .into_iter()
        .find(|name| has("account", name));
    match asked {
        "POST /api/logout" => ("204 No Content", String::new()),
        "GET /api/setup" => {
            let needed = is_new.load(Relaxed);
            ("200 OK", format!(r#"{{"needed":{needed}}}"#))
        }
        "POST /api/setup" if !is_new.load(Relaxed) => (
            "409 Conflict",
            problem(409, "already_set_up", "there is an account already"),
        ),
        "POST /api/setup" if has("setup_code", SETUP_CODE) && has("account", ACCOUNT) => {
            is_new.store(false, Relaxed);
            logged_in(ACCOUNT, "admin")
        }
        "POST /api/setup" => (
            "403 Forbidden",
            problem(403, "bad_setup_code", "expected the code in the file"),
        ),
        "POST /api/login" if is_new.load(Relaxed) || !has("password", PASSWORD) => {
            unauthorized("bad_credentials", "wrong account or password")
        }
        "POST /api/login" => match known {
            Some(GUARDED) if !body.contains(r#""code""#) => {
                unauthorized("code_needed", "this account has a second factor")
            }
            Some(GUARDED) if !has("code", CODE) => unauthorized("bad_credentials", "wrong code"),
            Some(account) => logged_in(account, "technician"),
            None => unauthorized("bad_credentials", "wrong account or password"),
        },
        "POST /api/alarms/acknowledge" if knows_token => ("202 Accepted", body.to_owned()),
        "GET /api/alarms?open=true" if knows_token => (
            "200 OK",
            format!(r#"{{"alarms":[],"text":"{}"}}"#, "x".repeat(200_000)),
        ),
        "DELETE /api/alarm-rules/7" if knows_token => ("204 No Content", String::new()),
        "PUT /api/contacts/1" if knows_token => (
            "422 Unprocessable Content",
            problem(422, "bad_field", "expected a telephone number as telephone"),
        ),
        _ => ("404 Not Found", problem(404, "not_found", "no such thing")),
    }
}

/// A tool that has said hello.
pub(crate) struct Peer {
    pub(crate) socket: WebSocketStream<TcpStream>,
    pub(crate) hello: ToolHello,
    pub(crate) address: Address,
    rest: Bytes,
}

impl Peer {
    async fn open(stream: TcpStream) -> Option<Self> {
        #[expect(clippy::result_large_err, reason = "the library's own signature")]
        let answer = |request: &Upgrade, mut response: Upgraded| {
            let wanted = request.headers().get("sec-websocket-protocol");
            assert_eq!(wanted.unwrap(), "switchyard.1");
            response.headers_mut().insert(
                "sec-websocket-protocol",
                HeaderValue::from_static("switchyard.1"),
            );
            Ok(response)
        };
        let mut socket = accept_hdr_async(stream, answer).await.ok()?;
        let message = socket.next().await?.ok()?;
        let mut bytes = message.into_data();
        let frame = Frame::decode_shared(&mut bytes, PAYLOAD_BYTES_MAX).ok()??;
        assert_eq!(frame.header().kind, Kind::Hello);
        Some(Peer {
            socket,
            hello: ToolHello::decode(frame.payload()).unwrap(),
            address: Address(0),
            rest: bytes,
        })
    }

    /// Welcomes the tool under an address; `start` tells starts of the gateway apart.
    pub(crate) async fn welcome(&mut self, address: u32, start: u8) {
        self.welcome_with(address, start, Duration::from_secs(20))
            .await;
    }

    pub(crate) async fn welcome_with(&mut self, address: u32, start: u8, ping: Duration) {
        self.address = Address(address);
        let welcome = ToolWelcome {
            version: 1,
            time: TIME,
            ping_interval: ping,
            address: self.address,
            account: title(ACCOUNT),
            role: Role::Technician,
            gateway: [start; 16],
        };
        let frame = Frame::with_flags(
            Kind::Hello,
            Flags::REPLY,
            0,
            Address::GATEWAY,
            self.address,
            &welcome.encode(),
        );
        self.send([frame]).await;
    }

    /// Says why, and hangs up.
    pub(crate) async fn refuse(mut self, code: Code) {
        let last_word = ErrorMessage { code, detail: None };
        let frame = Frame::new(
            Kind::Error,
            0,
            Address::GATEWAY,
            self.address,
            &last_word.encode(),
        );
        self.send([frame]).await;
        let _ = self.socket.close(None).await;
    }

    /// Sends frames as one message.
    pub(crate) async fn send(&mut self, frames: impl IntoIterator<Item = Frame>) {
        let bytes: Vec<u8> = frames.into_iter().flat_map(|it| it.into_bytes()).collect();
        let _ = self.socket.send(Message::Binary(bytes.into())).await;
    }

    /// The next frame of any kind; `None` once the tool is gone. Cancel safe.
    pub(crate) async fn any_frame(&mut self) -> Option<Frame> {
        loop {
            if let Ok(Some(frame)) = Frame::decode_shared(&mut self.rest, PAYLOAD_BYTES_MAX) {
                assert_eq!(frame.header().source, self.address, "a forged source");
                return Some(frame);
            }
            match self.socket.next().await? {
                Ok(Message::Binary(bytes)) => self.rest = bytes,
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The next frame that is no ping; pings are answered.
    pub(crate) async fn frame(&mut self) -> Frame {
        soon("a frame", async {
            loop {
                let frame = self.any_frame().await.expect("the tool hung up");
                if frame.header().kind != Kind::Ping {
                    return frame;
                }
                self.pong(frame.header(), TIME).await;
            }
        })
        .await
    }

    pub(crate) async fn pong(&mut self, asked: &Header, time: Time) {
        let payload = PingReply { time: Some(time) }.encode();
        let pong = Frame::with_flags(
            Kind::Ping,
            Flags::REPLY,
            asked.correlation,
            Address::GATEWAY,
            asked.source,
            &payload,
        );
        self.send([pong]).await;
    }

    /// The next request; anything else fails the test.
    pub(crate) async fn request(&mut self) -> (Header, Request) {
        let frame = self.frame().await;
        let header = *frame.header();
        let request = Request::decode(header.kind, frame.payload())
            .unwrap_or_else(|error| panic!("{error}: {header:?}"));
        (header, request)
    }

    /// The next command; anything else fails the test.
    pub(crate) async fn command(&mut self) -> (Header, Command) {
        let frame = self.frame().await;
        assert_eq!(frame.header().kind, Kind::Command);
        (*frame.header(), Command::decode(frame.payload()).unwrap())
    }

    /// Answers in the name of whoever was asked.
    pub(crate) async fn answer(&mut self, asked: &Header, answer: Answer) {
        self.send([response(asked, &answer)]).await;
    }

    /// A stage of a command, from the gateway or the controller.
    pub(crate) async fn receipt(
        &mut self,
        asked: &Header,
        command: &Command,
        stage: Stage,
        reason: Option<Code>,
        is_final: bool,
    ) {
        self.send([receipt(asked, command, stage, reason, is_final)])
            .await;
    }
}

pub(crate) fn response(asked: &Header, answer: &Answer) -> Frame {
    let (from, to) = (asked.destination, asked.source);
    Frame::new(
        Kind::Response,
        asked.correlation,
        from,
        to,
        &answer.encode(),
    )
}

pub(crate) fn receipt(
    asked: &Header,
    command: &Command,
    stage: Stage,
    reason: Option<Code>,
    is_final: bool,
) -> Frame {
    let source = match stage {
        Stage::Queued | Stage::Sent | Stage::Expired | Stage::Unknown => Address::GATEWAY,
        Stage::Refused if reason.is_some_and(|reason| reason.number() < 64) => Address::GATEWAY,
        _ => asked.destination,
    };
    let receipt = Receipt {
        key: command.key,
        stage,
        at: Some(TIME),
        reason,
        detail: None,
        is_final,
    };
    let payload = receipt.encode();
    Frame::new(
        Kind::Receipt,
        asked.correlation,
        source,
        asked.source,
        &payload,
    )
}

pub(crate) fn presence(to: Address, controller: u32, online: bool, called: &str) -> Frame {
    let event = Event::Presence {
        controller: Address(controller),
        online,
        since: TIME,
        title: title(called),
        boot: None,
        features: Some(3),
        software: Some(title("switchyard-firmware 0.1.0")),
        board: Some(title("virtual")),
        reason: (!online).then_some(Code::Silent),
    };
    Frame::new(Kind::Event, 0, Address::GATEWAY, to, &event.encode())
}

pub(crate) fn point(
    index: u8,
    called: &str,
    point_type: PointType,
    value: i64,
    flags: u32,
) -> Point {
    Point {
        index,
        name: name(called),
        point_type,
        value,
        flags: PointFlags(flags),
        cause: Cause::plain(CauseKind::Boot),
    }
}

/// A full status on one page.
pub(crate) fn full(controller: u32, boot: u32, sequence: u32, points: &[Point]) -> Frame {
    page(controller, boot, sequence, (0, 1), points)
}

pub(crate) fn page(
    controller: u32,
    boot: u32,
    sequence: u32,
    (page, pages): (u8, u8),
    points: &[Point],
) -> Frame {
    let full = Full {
        head: StatusHead { boot, sequence },
        page,
        pages,
        uptime_ms: 61_000,
        time: Some(TIME),
        points: points.to_vec(),
        layout: 1,
    };
    let flags = if page + 1 < pages {
        Flags::MORE
    } else {
        Flags::NONE
    };
    let payload = full.encode();
    let source = Address(controller);
    Frame::with_flags(
        Kind::StatusFull,
        flags,
        0,
        source,
        Address::GATEWAY,
        &payload,
    )
}

pub(crate) fn delta(controller: u32, boot: u32, sequence: u32, index: u8, value: i64) -> Frame {
    delta_of(
        controller,
        boot,
        sequence,
        vec![Change {
            index,
            value,
            flags: PointFlags::MANUAL,
            cause: Cause::plain(CauseKind::Input),
        }],
    )
}

pub(crate) fn delta_of(controller: u32, boot: u32, sequence: u32, changes: Vec<Change>) -> Frame {
    let delta = Delta {
        head: StatusHead { boot, sequence },
        uptime_ms: 62_000,
        time: Some(TIME),
        changes,
    };
    let source = Address(controller);
    let payload = delta.encode();
    Frame::new(Kind::StatusDelta, 0, source, Address::GATEWAY, &payload)
}

/// A ping of the gateway's own.
pub(crate) fn ping(to: Address, correlation: u32) -> Frame {
    Frame::new(
        Kind::Ping,
        correlation,
        Address::GATEWAY,
        to,
        &Ping.encode(),
    )
}
