//! Behind a proxy that speaks the PROXY protocol: who it tells is who counts, and nobody else is heard.

use crate::support::{Controller, Gateway, Response, request_on, soon, until};
use switchyard_gateway::config::ProxiedListeners;
use switchyard_protocol::Code;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

async fn behind_proxy(listeners: ProxiedListeners, trusted: &str) -> Gateway {
    let trusted = trusted.parse().unwrap();
    Gateway::start_with(move |settings| {
        settings.proxy_protocol = listeners;
        settings.proxy_protocol_from = vec![trusted];
        settings.hellos_per_ip_per_minute_max = 1;
    })
    .await
}

/// `GET` through the proxy, which says this first.
async fn get(gateway: &Gateway, header: &[u8], path: &str) -> Response {
    let mut stream = TcpStream::connect(gateway.http).await.unwrap();
    stream.write_all(header).await.unwrap();
    request_on(stream, gateway.http, "GET", path, &[], "").await
}

/// Waits until so many connections have been refused for this reason.
async fn refused(gateway: &Gateway, header: &[u8], reason: &str, wanted: u64) {
    let line = format!("switchyard_proxy_headers_refused_total{{reason=\"{reason}\"}} {wanted}");
    until(&line, async || {
        let metrics = get(gateway, header, "/metrics").await;
        metrics.body.lines().any(|it| it == line).then_some(())
    })
    .await;
}

#[tokio::test]
async fn http_is_for_whom_the_proxy_tells() {
    let gateway = behind_proxy(ProxiedListeners::Http, "127.0.0.1").await;
    let own = b"PROXY UNKNOWN\r\n";
    assert_eq!(get(&gateway, own, "/healthz").await.status, 200);
    // The counters are for loopback: for the proxy itself, and not for those behind it.
    assert_eq!(get(&gateway, own, "/metrics").await.status, 200);
    let client = b"PROXY TCP4 192.0.2.1 127.0.0.1 51234 7480\r\n";
    assert_eq!(get(&gateway, client, "/metrics").await.status, 404);
    let mut binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0C".to_vec();
    binary.extend([192, 0, 2, 1, 127, 0, 0, 1, 1, 2, 3, 4]);
    assert_eq!(get(&gateway, &binary, "/metrics").await.status, 404);

    for (header, reason) in [
        (&b""[..], "missing"),
        (b"PROXY TCP4 nonsense\r\n", "malformed"),
        (&[b"PROXY UNKNOWN ", &[b'x'; 200][..]].concat(), "too_long"),
    ] {
        assert_eq!(
            get(&gateway, header, "/healthz").await.status,
            0,
            "{reason}"
        );
        refused(&gateway, own, reason, 1).await;
    }
    // The controllers' listener is not behind it.
    let who = gateway.enrol("Pump").await;
    Controller::online(&gateway, who).await.is_live().await;
    gateway.stop().await;
}

#[tokio::test]
async fn limits_count_for_whom_the_proxy_tells() {
    let gateway = behind_proxy(ProxiedListeners::Tcp, "127.0.0.0/8").await;
    let who = gateway.enrol("Pump").await;
    let through = async |client: &str| {
        let mut controller = Controller::connect(gateway.tcp, who.address).await;
        let line = format!("PROXY TCP4 {client} 127.0.0.1 51234 7400\r\n");
        controller.write(line.as_bytes()).await;
        let welcome = controller.handshake(who.key).await.map(|_| ());
        (welcome, controller)
    };
    let (welcome, mut first) = through("192.0.2.1").await;
    assert_eq!(welcome, Ok(()));
    first.say_who().await;
    first.is_live().await;
    // One hello a minute from an address: from this one it was that, from the next it was none.
    assert_eq!(through("192.0.2.1").await.0, Err(Code::RateLimited));
    assert_eq!(through("192.0.2.2").await.0, Ok(()));
    gateway.stop().await;
}

#[tokio::test]
async fn nobody_is_heard_who_is_no_trusted_proxy() {
    let gateway = behind_proxy(ProxiedListeners::Tcp, "10.0.0.0/8").await;
    let mut stream = TcpStream::connect(gateway.tcp).await.unwrap();
    let line = b"PROXY TCP4 192.0.2.1 127.0.0.1 51234 7400\r\n";
    // It may be closed before that is read.
    let _ = stream.write_all(line).await;
    let mut answer = Vec::new();
    let _ = soon("the end", stream.read_to_end(&mut answer)).await;
    assert!(answer.is_empty());
    refused(&gateway, b"", "untrusted", 1).await;
    gateway.stop().await;
}
