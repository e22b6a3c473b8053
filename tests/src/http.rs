//! Just enough of HTTP/1.1 for one request on a connection of its own.

use crate::SOCKET_TIMEOUT;
use anyhow::{Context, Result, ensure};
use std::{
    io::{Read, Write},
    net::TcpStream,
};
use switchyard_protocol::Code;
use switchyard_testkit::{PASSWORD, Yard, wait_until};

/// Sends a request and gives the status and the body.
///
/// # Errors
/// When the connection breaks or the answer is not HTTP.
pub fn request(authority: &str, head: &str, body: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(authority)?;
    stream.set_read_timeout(Some(SOCKET_TIMEOUT))?;
    write!(
        stream,
        "{head} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    read_answer(stream)
}

fn read_answer(mut stream: TcpStream) -> Result<(u16, String)> {
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("expected a head and a body")?;
    let status = head
        .split(' ')
        .nth(1)
        .context("expected a status")?
        .parse()?;
    Ok((status, body.into()))
}

/// Asks the API with a token, or as nobody, and gives the status and what the answer says.
///
/// # Errors
/// When the connection breaks or the answer is neither empty nor JSON.
pub fn call(
    authority: &str,
    token: Option<&str>,
    (method, path): (&str, &str),
    body: Option<&serde_json::Value>,
) -> Result<(u16, serde_json::Value)> {
    let body = body.map_or_else(String::new, ToString::to_string);
    send(
        authority,
        token,
        (method, path),
        ("application/json", body.as_bytes()),
    )
}

/// The same with a body of any type.
///
/// # Errors
/// As [`call`].
pub fn send(
    authority: &str,
    token: Option<&str>,
    (method, path): (&str, &str),
    (content_type, body): (&str, &[u8]),
) -> Result<(u16, serde_json::Value)> {
    let bearer = token.map_or_else(String::new, |it| format!("\r\nAuthorization: Bearer {it}"));
    let mut stream = TcpStream::connect(authority)?;
    stream.set_read_timeout(Some(SOCKET_TIMEOUT))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close{bearer}\r\n\
         Content-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )?;
    stream.write_all(body)?;
    let (status, text) = read_answer(stream)?;
    let said = match text.as_str() {
        "" => serde_json::Value::Null,
        text => serde_json::from_str(text).with_context(|| format!("reading {text:?}"))?,
    };
    Ok((status, said))
}

/// Logs an account of the yard in and gives its token.
///
/// # Errors
/// When the gateway refuses.
pub fn log_in(authority: &str, account: &str) -> Result<String> {
    let body = serde_json::json!({ "account": account, "password": PASSWORD }).to_string();
    let (status, body) = request(authority, "POST /api/login", &body)?;
    ensure!(status == 200, "log-in was answered {status}: {body}");
    let answer: serde_json::Value = serde_json::from_str(&body)?;
    Ok(answer["token"].as_str().context("expected a token")?.into())
}

/// The value of a counter or gauge, labels and all, such as `switchyard_connections_open`.
///
/// # Errors
/// When the counters are not to be had, or this one is not among them.
pub fn metric(yard: &Yard, name: &str) -> Result<u64> {
    let (status, body) = request(yard.http(), "GET /metrics", "")?;
    ensure!(status == 200, "the counters were answered {status}");
    let value = body
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .with_context(|| format!("expected {name} among the counters"))?;
    value
        .trim()
        .parse()
        .with_context(|| format!("reading {value:?}"))
}

/// How many connections and sessions have ended for this reason.
///
/// # Errors
/// As [`metric`].
pub fn ends(yard: &Yard, code: Code) -> Result<u64> {
    let of = |family: &str| {
        metric(
            yard,
            &format!("switchyard_{family}{{reason=\"{}\"}}", code.name()),
        )
    };
    Ok(of("connections_refused_total")? + of("sessions_ended_total")?)
}

/// Waits until this many connections and sessions have ended for this reason.
///
/// # Errors
/// When that does not happen.
pub fn wait_for_ends(yard: &Yard, code: Code, count: u64) -> Result<()> {
    wait_until(&format!("{count} ends counted as {code}"), || {
        ends(yard, code)
            .ok()
            .filter(|&found| found >= count)
            .map(|_| ())
    })
}

/// Waits until the running gateway knows of this many controllers: one enrolled by the gateway's own
/// command reaches it within a second.
///
/// # Errors
/// When that does not happen.
pub fn wait_until_known(yard: &Yard, count: u64) -> Result<()> {
    wait_until(&format!("{count} known controllers"), || {
        let known = metric(yard, "switchyard_controllers_known").ok()?;
        (known >= count).then_some(())
    })
}
