//! As much of HTTP (RFC 9112) as forms and their answers need, one request for each connection.

use super::Answer;
use anyhow::{Context as _, Result, ensure};
use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Bytes of a head, or of a body.
const BYTES_MAX: usize = 1 << 20;
/// How long a service waits for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// How long whoever asks may say nothing.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request with a form.
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    headers: Vec<(String, String)>,
    form: Vec<(String, String)>,
}

/// What a request is answered, as JSON.
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) body: String,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    pub(super) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let pairs = self.form.iter().filter(move |(it, _)| it == name);
        pairs.map(|(_, value)| value.as_str())
    }

    pub(super) fn value<'a>(&'a self, name: &'a str) -> &'a str {
        self.values(name).next().unwrap_or_default()
    }

    pub(super) fn number(&self, name: &str) -> Option<u32> {
        self.value(name).parse().ok()
    }
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = headers.iter().find(|(it, _)| it.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

/// The first line, the headers, and the body.
type Message = (String, Vec<(String, String)>, Vec<u8>);

fn message(stream: &mut TcpStream) -> Result<Message> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        ensure!(head.len() < BYTES_MAX, "the head has no end");
        stream.read_exact(&mut byte).context("reading a head")?;
        head.extend(byte);
    }
    let head = String::from_utf8(head).context("expected text as a head")?;
    let mut lines = head.lines();
    let first = lines.next().unwrap_or_default().to_owned();
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    let length = header(&headers, "content-length").map_or(Ok(0), str::parse);
    let length: usize = length.context("expected a length")?;
    ensure!(length <= BYTES_MAX, "the body is too large");
    let mut body = vec![0; length];
    stream.read_exact(&mut body).context("reading a body")?;
    Ok((first, headers, body))
}

/// Answers the request of a connection; one that brings none is nobody's fault.
pub(super) fn serve(
    mut stream: TcpStream,
    answer: impl FnOnce(&Request) -> Answered,
) -> Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let Ok((first, headers, body)) = message(&mut stream) else {
        return Ok(());
    };
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = words
        .next()
        .zip(words.next())
        .context("expected a request")?;
    let form = form_urlencoded::parse(&body).into_owned().collect();
    let Answered { status, body } = answer(&Request {
        method,
        path,
        headers,
        form,
    });
    let answer = format!(
        "HTTP/1.1 {status} As it is\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    // Whoever has gone meanwhile has it not.
    let _ = stream.write_all(answer.as_bytes());
    Ok(())
}

/// Posts a form with its signature.
pub(super) fn post(addr: SocketAddr, path: &str, signature: &str, body: &str) -> Result<Answer> {
    let mut stream = TcpStream::connect(addr).context("reaching the gateway")?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: {addr}\r\ncontent-type: application/x-www-form-urlencoded; charset=UTF-8\r\n\
         x-twilio-signature: {signature}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream
        .write_all(request.as_bytes())
        .context("telling the gateway")?;
    let (first, headers, body) = message(&mut stream)?;
    let status = first.split(' ').nth(1).unwrap_or_default();
    Ok(Answer {
        status: status.parse().context("expected a status")?,
        content_type: header(&headers, "content-type")
            .unwrap_or_default()
            .to_owned(),
        body: String::from_utf8(body).context("expected text as a body")?,
    })
}
