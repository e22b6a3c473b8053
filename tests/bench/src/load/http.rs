//! Just enough of HTTP/1.1: one log-in, and the upgrade to a WebSocket.

use super::{roster::Roster, stream::Stream};
use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, BytesMut};
use switchyard_testkit::PASSWORD;
use tokio_tungstenite::tungstenite::handshake::{client::generate_key, derive_accept_key};

/// More of a head than any server here sends.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Logs an account in and gives its token.
///
/// # Errors
/// When the gateway refuses.
pub(crate) async fn log_in(roster: &Roster, account: &str) -> Result<String> {
    let body = serde_json::json!({ "account": account, "password": PASSWORD }).to_string();
    let request = format!(
        "POST /api/login HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        roster.authority,
        body.len()
    );
    let mut stream = roster.to_operators.dial(None).await?;
    stream.write(request.as_bytes()).await?;
    let mut answer = BytesMut::new();
    let head = read_head(&mut stream, &mut answer).await?;
    ensure!(
        head.starts_with("HTTP/1.1 200"),
        "expected a log-in and was answered {:?}",
        head.lines().next()
    );
    // The answer is one line of JSON; a token in it is all there is to wait for.
    loop {
        if let Ok(answer) = serde_json::from_slice::<serde_json::Value>(&answer) {
            let token = answer["token"].as_str();
            return Ok(token.context("expected a token in the answer")?.into());
        }
        stream.read(&mut answer).await?;
    }
}

/// Turns a connection into a WebSocket; what the server sent after its answer is left in
/// `received`.
///
/// # Errors
/// When the server does not agree.
pub(crate) async fn upgrade(
    stream: &mut Stream,
    authority: &str,
    path: &str,
    subprotocol: Option<&str>,
    received: &mut BytesMut,
) -> Result<()> {
    let key = generate_key();
    let subprotocol = subprotocol
        .map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n"))
        .unwrap_or_default();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\
         {subprotocol}\r\n"
    );
    stream.write(request.as_bytes()).await?;
    let head = read_head(stream, received).await?;
    ensure!(
        head.starts_with("HTTP/1.1 101"),
        "expected an upgrade and was answered {:?}",
        head.lines().next()
    );
    let accept = derive_accept_key(key.as_bytes());
    let is_accepted = head.lines().any(|line| {
        line.split_once(':').is_some_and(|(name, value)| {
            name.eq_ignore_ascii_case("sec-websocket-accept") && value.trim() == accept
        })
    });
    ensure!(is_accepted, "expected Sec-WebSocket-Accept: {accept}");
    Ok(())
}

/// Reads an answer's head, and takes it off what was received.
async fn read_head(stream: &mut Stream, received: &mut BytesMut) -> Result<String> {
    loop {
        let end = received.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&received[..end]).into_owned();
            received.advance(end + 4);
            return Ok(head);
        }
        if received.len() > HEAD_BYTES_MAX {
            bail!("expected a head of at most {HEAD_BYTES_MAX} bytes");
        }
        stream.read(received).await?;
    }
}
