//! The first account, logging in and out, and whatever else is asked over HTTP (`docs/http.md`).

use crate::{Error, GatewayUrl, Token};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use std::{fmt, io, time::Duration};
use switchyard_protocol::{Address, Role};
use tokio::net::TcpStream;

/// How long a whole HTTP exchange may take; the gateway spends most of it on the password's hash.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(15);
/// How long the system may take to make a connection.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest answer that is read: a session or a problem is a few hundred bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The longest answer of the API that is read: a page of a list is some hundred KiB.
const API_ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The longest that the gateway may hold an answer of the API on purpose.
const API_WAIT_MAX: Duration = Duration::from_secs(60);

/// What somebody proves by who he is.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// The account's name.
    pub account: &'a str,
    /// Its password.
    pub password: &'a str,
    /// The code of its second factor, six digits; `None` until the gateway asks for it by
    /// `code_needed`. A code counts once.
    pub code: Option<&'a str>,
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

/// The first account of a new gateway, and by what right it is made.
#[derive(Clone, Copy)]
pub struct FirstAccount<'a> {
    /// What the gateway wrote into the file `setup-code` of its data folder.
    pub setup_code: &'a str,
    /// The account's name, 1 to 64 bytes.
    pub account: &'a str,
    /// Its password, 10 to 1,024 bytes.
    pub password: &'a str,
}

impl fmt::Debug for FirstAccount<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FirstAccount")
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

/// What is done with a thing of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiMethod {
    /// It is read.
    Get,
    /// Something is made, or done.
    Post,
    /// It is replaced.
    Put,
    /// It is removed.
    Delete,
}

/// A request to the gateway's API.
#[derive(Clone, Debug)]
pub struct ApiCall<'a> {
    /// What is done.
    pub method: ApiMethod,
    /// Of what, such as `/api/alarms?open=true`.
    pub path: &'a str,
    /// JSON, where there is something to be said.
    pub body: Option<String>,
    /// How long the gateway may hold its answer on purpose, beside what any answer may take; at most a minute.
    pub wait: Duration,
}

/// An answer of the API that is no refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiAnswer {
    /// The status, 200 to 299.
    pub status: u16,
    /// JSON, or nothing.
    pub body: Bytes,
}

/// Who is logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogIn {
    /// The account's name.
    pub account: String,
    /// What it may do; `None` for a role that is newer than this program.
    pub role: Option<Role>,
    /// To be kept, and given in [`Options`](crate::Options).
    pub token: Token,
}

#[derive(Deserialize)]
struct LogInAnswer {
    token: String,
    account: String,
    role: String,
}

#[derive(Deserialize)]
struct SetupAnswer {
    needed: bool,
}

#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    title: String,
    code: String,
    #[serde(default)]
    detail: String,
}

/// Logs in for a token.
///
/// # Errors
/// [`Error::Http`] with the code `code_needed` when the password is right and the account has a
/// second factor, `bad_credentials` for a wrong account, password or code, `rate_limited` after too
/// many of them; [`Error::Unreachable`] when nobody answers there.
pub async fn log_in(gateway: &GatewayUrl, credentials: &Credentials<'_>) -> Result<LogIn, Error> {
    let mut body = serde_json::json!({
        "account": credentials.account,
        "password": credentials.password,
    });
    if let Some(code) = credentials.code {
        body["code"] = code.into();
    }
    let path = "/api/login";
    let answer = exchange(gateway, Method::POST, path, None, body.to_string()).await?;
    read_log_in(gateway, &answer)
}

/// Whether the gateway has no account yet, so that the first one is to be made.
///
/// # Errors
/// As [`log_in`]; `not_found` from a gateway that is older than this.
pub async fn is_setup_needed(gateway: &GatewayUrl) -> Result<bool, Error> {
    let asked = exchange(gateway, Method::GET, "/api/setup", None, String::new());
    let answer: SetupAnswer = serde_json::from_slice(&asked.await?)
        .map_err(|error| not_a_gateway(gateway, format!("its answer about set-up: {error}")))?;
    Ok(answer.needed)
}

/// Makes the first account, an admin, and logs it in.
///
/// # Errors
/// [`Error::Http`] with the code `bad_setup_code`, `already_set_up` when there is an account by now,
/// `bad_request` for a name or password that no account can have, `rate_limited` after too many
/// guesses; [`Error::Unreachable`] when nobody answers there.
pub async fn set_up(gateway: &GatewayUrl, first: &FirstAccount<'_>) -> Result<LogIn, Error> {
    let body = serde_json::json!({
        "setup_code": first.setup_code,
        "account": first.account,
        "password": first.password,
    });
    let path = "/api/setup";
    let answer = exchange(gateway, Method::POST, path, None, body.to_string()).await?;
    read_log_in(gateway, &answer)
}

fn read_log_in(gateway: &GatewayUrl, answer: &[u8]) -> Result<LogIn, Error> {
    let answer: LogInAnswer = serde_json::from_slice(answer)
        .map_err(|error| not_a_gateway(gateway, format!("its log-in answer: {error}")))?;
    Ok(LogIn {
        account: answer.account,
        role: Role::from_name(&answer.role),
        token: Token::new(answer.token),
    })
}

/// Revokes a token and cuts off its sockets.
///
/// # Errors
/// As [`log_in`]; `not_logged_in` for a token that is already worthless.
pub async fn log_out(gateway: &GatewayUrl, token: &Token) -> Result<(), Error> {
    exchange(
        gateway,
        Method::POST,
        "/api/logout",
        Some(token),
        String::new(),
    )
    .await?;
    Ok(())
}

/// Takes back an enrolment that failed, by the key that it was given: the address is nobody's any more.
///
/// # Errors
/// As [`log_out`]; `forbidden` below technician, or by another key; `unknown_address` where it is nobody's already, or
/// at a site that the account cannot see.
pub async fn unenrol(
    gateway: &GatewayUrl,
    token: &Token,
    controller: Address,
    key: &[u8; 32],
) -> Result<(), Error> {
    let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let path = format!("/api/controllers/{controller}/unenrol");
    let body = serde_json::json!({ "key": key }).to_string();
    exchange(gateway, Method::POST, &path, Some(token), body).await?;
    Ok(())
}

/// Asks the gateway's API, as whoever has the token.
///
/// # Errors
/// As [`log_out`]; [`Error::Http`] with whatever code the API refuses by, and [`Error::BadPath`] for a path that is not
/// one of it.
pub async fn call_api(
    gateway: &GatewayUrl,
    token: &Token,
    call: ApiCall<'_>,
) -> Result<ApiAnswer, Error> {
    if !is_of_api(call.path) {
        return Err(Error::BadPath {
            found: call.path.to_owned(),
        });
    }
    let method = match call.method {
        ApiMethod::Get => Method::GET,
        ApiMethod::Post => Method::POST,
        ApiMethod::Put => Method::PUT,
        ApiMethod::Delete => Method::DELETE,
    };
    let within = EXCHANGE_TIMEOUT + call.wait.min(API_WAIT_MAX);
    let body = call.body.unwrap_or_default();
    let asked = talk(
        gateway,
        method,
        call.path,
        Some(token),
        body,
        API_ANSWER_BYTES_MAX,
    );
    let answered = tokio::time::timeout(within, asked).await;
    let (status, body) = answered.map_err(|_| Error::TimedOut { after: within })??;
    Ok(ApiAnswer {
        status: status.as_u16(),
        body,
    })
}

/// Whether a path is one of the API: the token goes nowhere else.
fn is_of_api(path: &str) -> bool {
    path.starts_with("/api/") && path.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Makes a TCP connection to the gateway.
pub(crate) async fn connect(gateway: &GatewayUrl) -> Result<TcpStream, Error> {
    let unreachable = |source| Error::Unreachable {
        gateway: gateway.authority(),
        source,
    };
    let dialled = TcpStream::connect((gateway.dial_host(), gateway.tcp_port()));
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, dialled)
        .await
        .map_err(|_| unreachable(io::ErrorKind::TimedOut.into()))?
        .map_err(unreachable)?;
    // A switch's frame is small and is waited for; without this it may wait for an acknowledgement.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

async fn exchange(
    gateway: &GatewayUrl,
    method: Method,
    path: &str,
    token: Option<&Token>,
    body: String,
) -> Result<Bytes, Error> {
    let talk = talk(gateway, method, path, token, body, ANSWER_BYTES_MAX);
    let answered = tokio::time::timeout(EXCHANGE_TIMEOUT, talk).await;
    let (_, body) = answered.map_err(|_| Error::TimedOut {
        after: EXCHANGE_TIMEOUT,
    })??;
    Ok(body)
}

async fn talk(
    gateway: &GatewayUrl,
    method: Method,
    path: &str,
    token: Option<&Token>,
    body: String,
    answer_bytes_max: usize,
) -> Result<(StatusCode, Bytes), Error> {
    let stream = connect(gateway).await?;
    let odd = |error: hyper::Error| not_a_gateway(gateway, error.to_string());
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(odd)?;
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, gateway.authority())
        .header(header::ACCEPT, "application/json");
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.reveal()));
    }
    if !body.is_empty() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    let request = request
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| not_a_gateway(gateway, error.to_string()))?;
    // The connection is driven right here, not by a task: dropping this future ends it all.
    let asked = async {
        let response = sender.send_request(request).await.map_err(odd)?;
        let status = response.status();
        let retry_after = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let body = Limited::new(response.into_body(), answer_bytes_max)
            .collect()
            .await
            .map_err(|error| not_a_gateway(gateway, error.to_string()))?;
        Ok((status, retry_after, body.to_bytes()))
    };
    tokio::pin!(asked);
    tokio::pin!(connection);
    let mut is_driven = true;
    let (status, retry_after, body) = loop {
        tokio::select! {
            answer = &mut asked => break answer?,
            _ = &mut connection, if is_driven => is_driven = false,
        }
    };
    if status.is_success() {
        return Ok((status, body));
    }
    Err(refusal(gateway, status, retry_after.as_deref(), &body))
}

fn refusal(
    gateway: &GatewayUrl,
    status: StatusCode,
    retry_after: Option<&str>,
    body: &[u8],
) -> Error {
    let Ok(problem) = serde_json::from_slice::<Problem>(body) else {
        return not_a_gateway(gateway, format!("it answered {status}"));
    };
    let mut detail = if problem.detail.is_empty() {
        problem.title
    } else {
        problem.detail
    };
    if let Some(seconds) = retry_after {
        detail.push_str(&format!("; try again in {seconds} s"));
    }
    Error::Http {
        status: status.as_u16(),
        code: problem.code,
        detail,
    }
}

fn not_a_gateway(gateway: &GatewayUrl, detail: String) -> Error {
    Error::NotAGateway {
        gateway: gateway.authority(),
        detail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_goes_to_the_api_alone() {
        for (path, is_of) in [
            ("/api/alarms?open=true&limit=100", true),
            ("/api/alarm-plans/0/overrides", true),
            ("/metrics", false),
            ("api/alarms", false),
            ("http://elsewhere.example/api/alarms", false),
            ("//elsewhere.example/api/", false),
            ("/api/alarms HTTP/1.1\r\nX: y", false),
            ("/api/ä", false),
        ] {
            assert_eq!(is_of_api(path), is_of, "{path}");
        }
    }
}
