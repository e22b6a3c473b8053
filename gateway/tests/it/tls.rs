//! TLS to operators, by a client's library over real sockets.

use crate::{
    process::run,
    support::{
        Controller, Gateway, PASSWORD, Tool, request, request_on, soon, timed, tool_hello, until,
        web_socket_on,
    },
};
use futures_util::{SinkExt as _, StreamExt as _};
use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};
use switchyard_gateway::config::TlsFiles;
use switchyard_protocol::{
    Code, Frame, Kind,
    message::{Event, Stage, Text},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore, SupportedProtocolVersion,
        pki_types::CertificateDer,
        version::{TLS12, TLS13},
    },
};
use tokio_tungstenite::tungstenite::Message;

/// A certificate of the host's own, in two files.
pub(crate) struct Issued {
    pub(crate) files: TlsFiles,
    certificate: CertificateDer<'static>,
}

/// Writes a new certificate and its key into a folder, over those that are there.
pub(crate) fn issue(folder: &Path) -> Issued {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = TlsFiles {
        certificate: folder.join("cert.pem"),
        key: folder.join("key.pem"),
    };
    std::fs::write(&files.certificate, own.cert.pem()).unwrap();
    std::fs::write(&files.key, own.signing_key.serialize_pem()).unwrap();
    Issued {
        files,
        certificate: own.cert.der().clone(),
    }
}

/// A gateway that speaks TLS, its certificate, and the folder of that.
async fn start() -> (Gateway, Issued, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let issued = issue(folder.path());
    let files = issued.files.clone();
    let gateway = Gateway::start_with(|settings| settings.tls = Some(files)).await;
    (gateway, issued, folder)
}

/// Connects, trusting one certificate.
async fn connect(
    to: SocketAddr,
    issued: &Issued,
    version: &'static SupportedProtocolVersion,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(issued.certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = TcpStream::connect(to).await.unwrap();
    let name = "localhost".try_into().unwrap();
    soon(
        "a TLS handshake",
        TlsConnector::from(Arc::new(config)).connect(name, stream),
    )
    .await
}

async fn log_in(gateway: &Gateway, issued: &Issued, account: &str) -> String {
    let stream = connect(gateway.http, issued, &TLS13).await.unwrap();
    let body = format!(r#"{{"account":"{account}","password":"{PASSWORD}"}}"#);
    let response = request_on(stream, gateway.http, "POST", "/api/login", &[], &body).await;
    assert_eq!(response.status, 200, "{}", response.body);
    response.json()["token"].as_str().unwrap().to_owned()
}

async fn tool(
    gateway: &Gateway,
    issued: &Issued,
    version: &'static SupportedProtocolVersion,
) -> Tool<TlsStream<TcpStream>> {
    let token = log_in(gateway, issued, "operator").await;
    let stream = connect(gateway.http, issued, version).await.unwrap();
    let socket = web_socket_on(stream, gateway.http, &[]).await.unwrap();
    let hello = tool_hello(Some(&token), None);
    Tool::say_hello(socket, hello).await.unwrap()
}

#[tokio::test]
async fn a_page_logs_in_over_tls() {
    let (gateway, issued, _folder) = start().await;
    for version in [&TLS13, &TLS12] {
        let stream = connect(gateway.http, &issued, version).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        let body = format!(r#"{{"account":"operator","password":"{PASSWORD}"}}"#);
        let headers = [("x-switchyard", "page")];
        let page = request_on(stream, gateway.http, "POST", "/api/login", &headers, &body).await;
        assert_eq!(page.status, 200, "{}", page.body);
        let cookie = page.header("set-cookie").unwrap();
        assert!(cookie.ends_with("; Secure"), "{cookie}");
        let cookie = cookie.split(';').next().unwrap();
        for (scheme, is_own) in [("https", true), ("http", false)] {
            let origin = format!("{scheme}://{}", gateway.http);
            let headers = [("cookie", cookie), ("origin", &origin)];
            let stream = connect(gateway.http, &issued, version).await.unwrap();
            let socket = web_socket_on(stream, gateway.http, &headers).await;
            match socket {
                Ok(socket) => {
                    assert!(is_own, "{origin}");
                    Tool::say_hello(socket, tool_hello(None, None))
                        .await
                        .unwrap();
                }
                Err(status) => assert_eq!((status, is_own), (403, false), "{origin}"),
            }
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_command_goes_over_tls_and_comes_to_its_receipts() {
    let (gateway, issued, _folder) = start().await;
    for (version, title) in [(&TLS13, "Pump"), (&TLS12, "Lamps")] {
        let who = gateway.enrol(title).await;
        let mut controller = Controller::online(&gateway, who).await;
        controller.is_live().await;
        let mut tool = tool(&gateway, &issued, version).await;
        tool.subscribe().await;
        let key = tool.command(who.address, false).await;
        let command = controller.receive_kind(Kind::Command).await;
        let delivered = controller.receipt(&command, Stage::Delivered, false);
        let executed = controller.receipt(&command, Stage::Executed, true);
        controller.send(&[delivered, executed]).await;
        loop {
            let receipt = tool.receipt().await;
            assert_eq!(receipt.key, key);
            if receipt.is_final {
                assert_eq!(receipt.stage, Stage::Executed);
                break;
            }
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn what_is_longer_than_a_record_comes_whole_and_in_order() {
    let (gateway, issued, _folder) = start().await;
    for version in [&TLS13, &TLS12] {
        let mut one = tool(&gateway, &issued, version).await;
        let mut other = tool(&gateway, &issued, version).await;
        let (from, to) = (one.address, other.address);
        let note = |number: u32| {
            let text = Text::new(&format!("{number:0>200}")).unwrap();
            let note = Event::Note { text }.encode();
            Frame::new(Kind::Event, number, from, to, &note)
        };
        // Messages of 56 KB, which is more than three records each; all of them find room in a queue.
        for message in 0..4 {
            let frames = (0..250).map(|number| note(message * 250 + number).bytes().to_vec());
            let message = frames.collect::<Vec<_>>().concat();
            let sending = one.socket.send(Message::binary(message));
            soon("room", sending).await.unwrap();
        }
        for number in 0..1_000 {
            let event = other.receive_kind(Kind::Event).await;
            assert_eq!(event.bytes(), note(number).bytes());
        }
    }
    gateway.stop().await;
}

/// Waits until so many sessions have ended by this code.
async fn ended(gateway: &Gateway, issued: &Issued, code: Code, wanted: u64) {
    let line = format!(
        "switchyard_sessions_ended_total{{reason=\"{}\"}} {wanted}",
        code.name()
    );
    until(&line, async || {
        let stream = connect(gateway.http, issued, &TLS13).await.unwrap();
        let metrics = request_on(stream, gateway.http, "GET", "/metrics", &[], "").await;
        metrics.body.lines().any(|it| it == line).then_some(())
    })
    .await;
}

/// What comes until the connection ends, as TLS wants it to end.
async fn to_the_end(tool: &mut Tool<TlsStream<TcpStream>>) {
    while let Some(message) = soon("the end", tool.socket.next()).await {
        message.unwrap();
    }
    let mut rest = Vec::new();
    let end = tool.socket.get_mut().read_to_end(&mut rest);
    soon("the end of TLS", end).await.unwrap();
    assert!(rest.is_empty());
}

#[tokio::test]
async fn whoever_closes_it_is_told_in_the_words_of_tls() {
    let (gateway, issued, _folder) = start().await;
    let mut polite = tool(&gateway, &issued, &TLS13).await;
    polite.socket.close(None).await.unwrap();
    to_the_end(&mut polite).await;
    // TLS alone says that it is over.
    let mut short = tool(&gateway, &issued, &TLS13).await;
    short.socket.get_mut().get_mut().1.send_close_notify();
    short.socket.get_mut().flush().await.unwrap();
    let mut rest = Vec::new();
    let end = short.socket.get_mut().read_to_end(&mut rest);
    soon("the end of TLS", end).await.unwrap();
    ended(&gateway, &issued, Code::LinkLost, 2).await;
    // What is no TLS ends a live link.
    let mut broken = tool(&gateway, &issued, &TLS12).await;
    let bare = &mut broken.socket.get_mut().get_mut().0;
    bare.write_all(&[23, 3, 3, 0, 40]).await.unwrap();
    bare.write_all(&[7; 40]).await.unwrap();
    while let Some(Ok(_)) = soon("the end", broken.socket.next()).await {}
    ended(&gateway, &issued, Code::BadRecord, 1).await;
    let mut last = tool(&gateway, &issued, &TLS13).await;
    gateway.shut_down();
    assert_eq!(last.ending().await, Some(Code::ShuttingDown));
    to_the_end(&mut last).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_without_a_restart() {
    let (gateway, old, folder) = start().await;
    let mut tool = tool(&gateway, &old, &TLS13).await;
    // Half of a pair changes nothing.
    std::fs::write(&old.files.key, "no key at all").unwrap();
    connect(gateway.http, &old, &TLS13).await.unwrap();
    let new = issue(folder.path());
    until("the new certificate", async || {
        connect(gateway.http, &new, &TLS13).await.ok()
    })
    .await;
    assert!(connect(gateway.http, &old, &TLS13).await.is_err());
    // Who came by the old one stays.
    tool.subscribe().await;
    gateway.stop().await;
}

#[tokio::test]
async fn wrong_settings_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    issue(folder.path());
    let other = tempfile::tempdir().unwrap();
    let stranger = issue(other.path()).files.key;
    let stranger = stranger.to_str().unwrap().to_owned();
    std::fs::write(path("empty"), "").unwrap();
    let [certificate, key, empty] = ["cert.pem", "key.pem", "empty"].map(path);
    for (arguments, complaint) in [
        (
            vec!["--tls-certificate", &certificate],
            "tls_key: expected a file here too",
        ),
        (
            vec!["--tls-key", &key],
            "tls_certificate: expected a file here too",
        ),
        (
            vec!["--tls-certificate", "/nowhere", "--tls-key", &key],
            "tls_certificate: cannot read /nowhere",
        ),
        (
            vec!["--tls-certificate", &certificate, "--tls-key", "/nowhere"],
            "tls_key: cannot read /nowhere",
        ),
        (
            vec!["--tls-certificate", &empty, "--tls-key", &key],
            "tls_certificate: expected certificates in PEM",
        ),
        (
            vec!["--tls-certificate", &certificate, "--tls-key", &certificate],
            "tls_key: expected a private key in PEM",
        ),
        (
            vec!["--tls-certificate", &certificate, "--tls-key", &stranger],
            "tls_key: expected the key that belongs to the certificate",
        ),
    ] {
        for task in ["check-config", "serve"] {
            let mut words = arguments.clone();
            words.push(task);
            let (ok, _, said) = run(folder.path(), &words, "").await;
            assert!(!ok && said.contains(complaint), "{words:?}: {said}");
        }
    }
    let words = [
        "check-config",
        "--tls-certificate",
        &certificate,
        "--tls-key",
        &key,
    ];
    let (ok, said, complaint) = run(folder.path(), &words, "").await;
    assert!(ok, "{complaint}");
    assert!(said.contains("is open to others than its owner"), "{said}");
    let owners = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&key, owners).unwrap();
    let (ok, said, _) = run(folder.path(), &words, "").await;
    assert!(ok && !said.contains("warning:"), "{said}");
}

#[tokio::test]
async fn plain_http_is_told_where_it_has_come() {
    let (gateway, _issued, _folder) = start().await;
    let response = request(gateway.http, "GET", "/healthz", &[], "").await;
    assert_eq!(response.status, 400);
    assert_eq!(response.body, "This is an HTTPS port: say https or wss\n");
    let length = response.header("content-length").unwrap();
    assert_eq!(length.parse(), Ok(response.body.len()));
    gateway.stop().await;
}

#[tokio::test]
async fn a_slow_handshake_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let files = issue(folder.path()).files;
    let gateway = Gateway::start_with(|settings| {
        settings.tls = Some(files);
        settings.handshake_timeout = Duration::from_millis(300);
    })
    .await;
    for beginning in [&b""[..], &[22, 3, 1, 1, 0, 1, 0], b"GE"] {
        let mut stream = TcpStream::connect(gateway.http).await.unwrap();
        stream.write_all(beginning).await.unwrap();
        let (_, took) = timed(async {
            let mut rest = Vec::new();
            // It may be reset: there was something that nobody has read.
            let _ = soon("the end", stream.read_to_end(&mut rest)).await;
        })
        .await;
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
    gateway.stop().await;
}
