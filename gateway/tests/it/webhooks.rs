//! Webhooks to a real HTTP server on loopback: what is told, in which order, how it is signed, and what a target does
//! that is not in order. Where targets may be is a table beside the code.

use crate::support::{Authority, Controller, Enrolled, Gateway, now, soon, until};
use base64::Engine as _;
use serde_json::Value;
use std::{
    collections::VecDeque,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};
use switchyard_gateway::{
    Settings,
    config::{RawSettings, RawWebhook, Secret, Told, WebhookSettings},
};
use switchyard_protocol::{
    Address, Frame, Kind,
    message::{Event, Text, ValueType},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
    sync::mpsc,
};
use tokio_rustls::{TlsAcceptor, rustls};

const SECRET: &str = "a secret that both ends know";

/// What a server does with a request.
#[derive(Clone, Debug)]
enum Answer {
    /// Answers with this status.
    Status(u16),
    /// Sends on to there.
    Redirect(String),
    /// Takes its time.
    Late(Duration),
    /// Never answers.
    Hang,
    /// Answers with a body without an end.
    Flood,
}

/// A request that came.
#[derive(Debug)]
struct Request {
    head: String,
    body: Vec<u8>,
}

impl Request {
    fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines();
        let found = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        found.unwrap_or_else(|| panic!("no {name} in {}", self.head))
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Checks the signature as docs/operating.md tells receivers to.
    fn is_signed(&self) {
        let (id, seconds) = (self.header("webhook-id"), self.header("webhook-timestamp"));
        let age = now().0 / 1_000 - seconds.parse::<u64>().unwrap();
        assert!(age < 300, "{age}");
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
        let mut signed = format!("{id}.{seconds}.").into_bytes();
        signed.extend_from_slice(&self.body);
        let (version, tag) = self.header("webhook-signature").split_once(',').unwrap();
        assert_eq!(version, "v1");
        let tag = base64::engine::general_purpose::STANDARD
            .decode(tag)
            .unwrap();
        ring::hmac::verify(&key, &signed, &tag).unwrap();
        assert_eq!(self.json()["id"], id);
    }
}

/// A server that is told things. It answers 200 once its script is over.
struct Server {
    addr: SocketAddr,
    requests: mpsc::UnboundedReceiver<Request>,
}

impl Server {
    async fn start(script: &[Answer]) -> Self {
        Self::start_with(script, None).await
    }

    async fn start_with(script: &[Answer], tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (sender, requests) = mpsc::unbounded_channel();
        let script = Arc::new(Mutex::new(VecDeque::from(script.to_vec())));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (sender, script, tls) = (sender.clone(), Arc::clone(&script), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, &sender, &script).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, &sender, &script).await;
                            }
                        }
                    }
                });
            }
        });
        Server { addr, requests }
    }

    fn url(&self) -> String {
        format!("http://{}/hook?for=yard", self.addr)
    }

    async fn next(&mut self) -> Request {
        soon("a request", self.requests.recv()).await.unwrap()
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    requests: &mpsc::UnboundedSender<Request>,
    script: &Mutex<VecDeque<Answer>>,
) {
    let mut bytes = Vec::new();
    let (head, length) = loop {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|it| it.strip_prefix("content-length: "));
            break (head.to_owned(), length.unwrap().parse::<usize>().unwrap());
        }
    };
    let begin = head.len() + 4;
    while bytes.len() < begin + length {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let body = bytes[begin..].to_vec();
    let answer = script
        .lock()
        .unwrap()
        .pop_front()
        .unwrap_or(Answer::Status(200));
    let _ = requests.send(Request { head, body });
    let status = |status: u16| format!("HTTP/1.1 {status} It\r\ncontent-length: 0\r\n\r\n");
    let text = match answer {
        Answer::Status(code) => status(code),
        Answer::Redirect(to) => {
            format!("HTTP/1.1 307 It\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n")
        }
        Answer::Late(by) => {
            tokio::time::sleep(by).await;
            status(200)
        }
        Answer::Hang => return std::future::pending().await,
        Answer::Flood => {
            let _ = stream.write_all(b"HTTP/1.1 200 It\r\n\r\n").await;
            while stream.write_all(&[b'x'; 64 * 1_024]).await.is_ok() {}
            return;
        }
    };
    let _ = stream.write_all(text.as_bytes()).await;
}

fn hook(url: &str, adjust: impl FnOnce(&mut RawWebhook)) -> WebhookSettings {
    let mut raw = RawWebhook {
        url: Some(Secret(url.into())),
        secret: Some(Secret(SECRET.into())),
        allow_private: Some(true),
        ..RawWebhook::default()
    };
    adjust(&mut raw);
    let raw = RawSettings {
        webhooks: Some(vec![raw]),
        ..RawSettings::default()
    };
    raw.resolve().unwrap().webhooks.remove(0)
}

async fn gateway_with(hooks: Vec<WebhookSettings>) -> Gateway {
    Gateway::start_with(|settings: &mut Settings| settings.webhooks = hooks).await
}

/// A pump that the hooks' watchers know: what they are told of it comes after this.
async fn pump(gateway: &Gateway) -> (Enrolled, Controller) {
    // They are there once they are subscribed, beside nobody else.
    until("the hooks to watch", async || {
        (gateway.metric("subscribers").await > 0).then_some(())
    })
    .await;
    let who = gateway.enrol("Pump").await;
    let mut pump = Controller::online(gateway, who).await;
    pump.is_live().await;
    (who, pump)
}

async fn happen(pump: &mut Controller, number: u32) {
    let event = Event::Happened {
        number,
        time: None,
        text: Text::new("door").unwrap(),
        values: vec![(ValueType::Num, 1_500)],
    };
    let (from, payload) = (pump.address, event.encode());
    let frame = Frame::new(Kind::Event, number, from, Address::GATEWAY, &payload);
    pump.send(&[frame]).await;
    pump.receive_kind(Kind::Response).await;
}

fn events(raw: &mut RawWebhook) {
    raw.events = Some(vec![Told::Event]);
}

#[tokio::test]
async fn events_are_told_signed_and_in_their_order() {
    let mut server = Server::start(&[]).await;
    let gateway = gateway_with(vec![hook(&server.url(), |_| {})]).await;
    let (who, mut pump) = pump(&gateway).await;
    // What was told before a restart is over: who does not come from now on is away.
    let started = server.next().await;
    started.is_signed();
    let started = started.json();
    assert_eq!(started["type"], "gateway_started");
    assert_eq!(started.get("controller"), None);
    let came = server.next().await;
    came.is_signed();
    assert!(
        came.head.starts_with("POST /hook?for=yard HTTP/1.1\r\n"),
        "{}",
        came.head
    );
    assert_eq!(came.header("host"), server.addr.to_string());
    assert_eq!(came.header("content-type"), "application/json");
    let told = came.json();
    assert_eq!(
        (&told["type"], &told["content"]["online"]),
        (&"presence".into(), &true.into())
    );
    assert_eq!(told["controller"]["address"], who.address.0);
    assert_eq!(told["controller"]["title"], "Pump");
    for number in 1..=5 {
        happen(&mut pump, number).await;
    }
    for number in 1..=5 {
        let came = server.next().await;
        came.is_signed();
        let told = came.json();
        assert_eq!(
            (&told["type"], &told["content"]["number"]),
            (&"event".into(), &number.into())
        );
        assert_eq!(told["content"]["values"][0], 1.5);
    }
    drop(pump);
    let told = server.next().await.json();
    assert_eq!(told["content"]["online"], false);
    assert_eq!(told["content"]["reason"], "link_lost");
    until("all to be counted", async || {
        (gateway
            .metric("webhooks_total{outcome=\"delivered\"}")
            .await
            == 8)
            .then_some(())
    })
    .await;
    assert_eq!(gateway.metric("webhooks_waiting").await, 0);
    gateway.stop().await;
}

#[tokio::test]
async fn a_target_that_fails_is_told_again_and_nothing_overtakes() {
    let elsewhere = Server::start(&[]).await;
    let script = [
        Answer::Status(500),
        Answer::Redirect(elsewhere.url()),
        Answer::Status(200),
        Answer::Status(422),
        Answer::Late(Duration::from_millis(500)),
        Answer::Flood,
    ];
    let mut server = Server::start(&script).await;
    let gateway = gateway_with(vec![hook(&server.url(), events)]).await;
    let (_, mut pump) = pump(&gateway).await;
    for number in 1..=5 {
        happen(&mut pump, number).await;
    }
    let mut came = Vec::new();
    for _ in 0..7 {
        let request = server.next().await;
        request.is_signed();
        came.push(request);
    }
    let numbers: Vec<_> = came
        .iter()
        .map(|it| it.json()["content"]["number"].as_u64())
        .collect();
    // The first one three times, the second one wanted by nobody, and all of them in their order.
    assert_eq!(numbers, [1, 1, 1, 2, 3, 4, 5].map(Some));
    let ids: Vec<_> = came.iter().map(|it| it.header("webhook-id")).collect();
    assert!(
        ids[0] == ids[1] && ids[1] == ids[2] && ids[2] != ids[3],
        "{ids:?}"
    );
    until("all to be counted", async || {
        (gateway.metric("webhooks_waiting").await == 0).then_some(())
    })
    .await;
    for (outcome, count) in [
        ("delivered", 4),
        ("unwanted", 1),
        ("dropped", 0),
        ("failed_attempt", 2),
    ] {
        let metric = format!("webhooks_total{{outcome=\"{outcome}\"}}");
        assert_eq!(gateway.metric(&metric).await, count, "{outcome}");
    }
    let mut elsewhere = elsewhere;
    assert!(
        elsewhere.requests.try_recv().is_err(),
        "a redirection was followed"
    );
    gateway.stop().await;
}

#[tokio::test]
async fn a_target_that_hangs_holds_up_no_other_and_is_told_again() {
    let (mut hanging, mut other) = (
        Server::start(&[Answer::Hang]).await,
        Server::start(&[]).await,
    );
    let hooks = vec![hook(&hanging.url(), events), hook(&other.url(), events)];
    let gateway = gateway_with(hooks).await;
    let (_, mut pump) = pump(&gateway).await;
    for number in 1..=3 {
        happen(&mut pump, number).await;
        assert_eq!(other.next().await.json()["content"]["number"], number);
    }
    for number in [1, 1, 2, 3] {
        assert_eq!(hanging.next().await.json()["content"]["number"], number);
    }
    // The gateway's end waits for none of them.
    gateway.stop().await;
}

#[tokio::test]
async fn no_target_is_where_it_may_not_be() {
    let mut server = Server::start(&[]).await;
    let tcp_port = server.addr.port();
    for host in [
        "127.0.0.1",
        "localhost",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "2130706433",
    ] {
        let url = format!("http://{host}:{tcp_port}/");
        let private = hook(&url, |raw| raw.allow_private = None);
        let gateway = gateway_with(vec![private]).await;
        let (_, mut pump) = pump(&gateway).await;
        happen(&mut pump, 1).await;
        until("a failed attempt", async || {
            let failed = "webhooks_total{outcome=\"failed_attempt\"}";
            (gateway.metric(failed).await > 0).then_some(())
        })
        .await;
        assert!(server.requests.try_recv().is_err(), "{host} was told");
        gateway.stop().await;
    }
}

#[tokio::test]
async fn tls_by_an_own_authority_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let own = Authority::new(folder.path(), "own");
    let other = Authority::new(folder.path(), "other");
    let mut server = Server::start_with(&[], Some(acceptor(&own))).await;
    let url = format!("https://localhost:{}/", server.addr.port());
    let by = |ca: &PathBuf| hook(&url, |raw| raw.ca_file = Some(ca.clone()));
    let gateway = gateway_with(vec![by(&other.ca)]).await;
    let (_, mut stranger) = pump(&gateway).await;
    happen(&mut stranger, 1).await;
    until("a failed attempt", async || {
        let failed = "webhooks_total{outcome=\"failed_attempt\"}";
        (gateway.metric(failed).await > 0).then_some(())
    })
    .await;
    assert!(server.requests.try_recv().is_err());
    gateway.stop().await;
    let gateway = gateway_with(vec![by(&own.ca)]).await;
    let _pump = pump(&gateway).await;
    server.next().await.is_signed();
    gateway.stop().await;
}

fn acceptor(authority: &Authority) -> TlsAcceptor {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
    let chain = CertificateDer::from_pem_file(&authority.certificate).unwrap();
    let key = PrivateKeyDer::from_pem_file(&authority.key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .unwrap();
    Arc::new(config).into()
}
