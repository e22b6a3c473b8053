//! One attempt to tell a target something: look up, look at where that leads, dial just there, send, and read
//! no more than the answer's head.

use super::{WebhookSettings, reach};
use axum::{
    body::Body,
    http::{HeaderValue, Request, StatusCode, header},
};
use base64::Engine as _;
use bytes::Bytes;
use hyper_util::rt::TokioIo;
use ring::hmac;
use rustls::{ClientConfig, pki_types::ServerName};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use switchyard_protocol::message::Time;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

/// From looking the name up to the answer's head. A target that does its work before it answers has the time for
/// that, and one that hangs does not hold up the next one for long.
pub(super) const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(15);
/// Of that, for dialling one address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Addresses of a name that are tried.
const ADDRESSES_MAX: usize = 8;
/// The largest head of an answer. Its body is not read.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// What is told.
#[derive(Clone, Debug)]
pub(super) struct Parcel {
    /// By which a target knows it when it comes again.
    pub(super) id: String,
    /// JSON.
    pub(super) body: Bytes,
    /// What makes room for others first: whether a controller is there is told again when that changes.
    pub(super) is_presence: bool,
}

/// Why a target has not been told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// Its name leads nowhere.
    #[error("its name cannot be looked up: {0}")]
    Unknown(io::Error),
    /// Its name leads where nothing is to go.
    #[error("{0} is not an address of the Internet; set allow_private if it is meant")]
    Private(IpAddr),
    /// Its name leads to this host.
    #[error("{0} is this host's own address; set allow_private if it is meant")]
    Own(IpAddr),
    /// Nobody there, or the line broke.
    #[error("it cannot be reached: {0}")]
    Unreachable(io::Error),
    /// Whom it shows itself to be is not believed.
    #[error("TLS failed: {0}")]
    Tls(io::Error),
    /// What it says is no HTTP.
    #[error("it does not speak HTTP: {0}")]
    Http(#[from] hyper::Error),
    /// It said no, and may say yes later. Redirections are not followed: they would lead anywhere.
    #[error("it answered {0}")]
    Refused(StatusCode),
    /// It said that this is nothing for it, and would say so again.
    #[error("it answered {0}, and has no use for this one")]
    Unwanted(StatusCode),
    /// It took too long.
    #[error("it took longer than {} s", ATTEMPT_TIMEOUT.as_secs())]
    Late,
}

/// Somebody to be told.
pub(super) struct Target {
    pub(super) settings: WebhookSettings,
    /// With TLS.
    pub(super) tls: Option<Arc<ClientConfig>>,
}

impl Target {
    /// One attempt, at a moment of gateway time.
    ///
    /// # Errors
    /// Why it came to nothing.
    pub(super) async fn deliver(&self, parcel: &Parcel, now: Time) -> Result<(), Fault> {
        let attempt = async {
            let stream = self.connect(&self.addresses().await?).await?;
            let request = self.request(parcel, now);
            let status = match &self.tls {
                None => exchange(stream, request).await?,
                Some(config) => {
                    let host = self.settings.host().to_owned();
                    let name = ServerName::try_from(host);
                    let name = name.map_err(|error| Fault::Tls(io::Error::other(error)))?;
                    let connector = TlsConnector::from(Arc::clone(config));
                    let stream = connector.connect(name, stream).await.map_err(Fault::Tls)?;
                    exchange(stream, request).await?
                }
            };
            judge(status)
        };
        let attempt = tokio::time::timeout(ATTEMPT_TIMEOUT, attempt).await;
        attempt.unwrap_or(Err(Fault::Late))
    }

    /// Where its name leads now. If any of that is not to be gone to, none is: a name that points here and there
    /// is up to something.
    ///
    /// # Errors
    /// When it leads nowhere, or where nothing is to go.
    pub(super) async fn addresses(&self) -> Result<Vec<SocketAddr>, Fault> {
        let settings = &self.settings;
        let found = tokio::net::lookup_host((settings.host(), settings.tcp_port())).await;
        let found: Vec<SocketAddr> = found.map_err(Fault::Unknown)?.collect();
        if !settings.allow_private {
            let addresses = found.iter().map(SocketAddr::ip);
            addresses
                .into_iter()
                .try_for_each(|ip| look_at(ip, reach::is_own))?;
        }
        if found.is_empty() {
            return Err(Fault::Unknown(io::Error::other("it has no address")));
        }
        Ok(found)
    }

    async fn connect(&self, addresses: &[SocketAddr]) -> Result<TcpStream, Fault> {
        let mut latest = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in addresses.iter().take(ADDRESSES_MAX) {
            let dialled = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await;
            match dialled.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(stream) => return Ok(stream),
                Err(error) => latest = error,
            }
        }
        Err(Fault::Unreachable(latest))
    }

    fn request(&self, parcel: &Parcel, now: Time) -> Request<Body> {
        let url = &self.settings.url;
        let seconds = (now.0 / 1_000).to_string();
        let signature = sign(&self.settings.secret, &parcel.id, &seconds, &parcel.body);
        let mut request = Request::new(Body::from(parcel.body.clone()));
        *request.method_mut() = axum::http::Method::POST;
        let path = url.path_and_query().map_or("/", |path| path.as_str());
        let path = match path.starts_with('/') {
            true => path.to_owned(),
            false => format!("/{path}"),
        };
        // It was part of a URL that was understood.
        *request.uri_mut() = path.parse().unwrap_or_default();
        let host = url.authority().map_or("", |authority| authority.as_str());
        let headers = request.headers_mut();
        for (name, value) in [
            ("host", host),
            ("content-type", "application/json"),
            (
                "user-agent",
                concat!("switchyard-gateway/", env!("CARGO_PKG_VERSION")),
            ),
            ("webhook-id", &parcel.id),
            ("webhook-timestamp", &seconds),
            ("webhook-signature", &signature),
        ] {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(header::HeaderName::from_static(name), value);
            }
        }
        request
    }
}

/// Refuses an address to which nothing is to go unless it is meant. `is_own` knows this host's own ones.
fn look_at(ip: IpAddr, is_own: impl Fn(IpAddr) -> bool) -> Result<(), Fault> {
    match ip {
        ip if !reach::is_public(ip) => Err(Fault::Private(ip)),
        ip if is_own(ip) => Err(Fault::Own(ip)),
        _ => Ok(()),
    }
}

/// The signature: of id, moment and body, so that none of them can be another's.
pub(super) fn sign(secret: &[u8], id: &str, seconds: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let mut context = hmac::Context::with_key(&key);
    for part in [id.as_bytes(), b".", seconds.as_bytes(), b".", body] {
        context.update(part);
    }
    let tag = base64::engine::general_purpose::STANDARD.encode(context.sign());
    format!("v1,{tag}")
}

/// Sends a request and waits for the answer's head.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Body>,
) -> Result<StatusCode, Fault> {
    let mut builder = hyper::client::conn::http1::Builder::new();
    builder.max_buf_size(HEAD_BYTES_MAX);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    tokio::pin!(connection);
    let answering = sender.send_request(request);
    tokio::pin!(answering);
    let mut is_over = false;
    loop {
        tokio::select! {
            biased;
            answer = &mut answering => return Ok(answer?.status()),
            // What it has to say of that comes by the answer.
            _ = &mut connection, if !is_over => is_over = true,
        }
    }
}

fn judge(status: StatusCode) -> Result<(), Fault> {
    match status {
        status if status.is_success() => Ok(()),
        StatusCode::BAD_REQUEST
        | StatusCode::GONE
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::UNSUPPORTED_MEDIA_TYPE
        | StatusCode::UNPROCESSABLE_ENTITY => Err(Fault::Unwanted(status)),
        status => Err(Fault::Refused(status)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_of_all_three() {
        // By `openssl dgst -sha256 -hmac "0123456789abcdef" -binary | base64` of `id.1700000000.{}`.
        let signature = sign(b"0123456789abcdef", "id", "1700000000", b"{}");
        assert_eq!(signature, "v1,fLI62rljyaBYPPtwvQ1d42+e6CI0W1i/3Gy3IUFQo+k=");
        for (id, seconds, body) in [
            ("ie", "1700000000", &b"{}"[..]),
            ("id", "1700000001", b"{}"),
            ("id", "1700000000", b"{ }"),
        ] {
            assert_ne!(sign(b"0123456789abcdef", id, seconds, body), signature);
        }
    }

    #[test]
    fn this_hosts_own_addresses_are_not_elsewhere() {
        let own: IpAddr = "8.8.4.4".parse().unwrap();
        for (text, expected) in [
            ("8.8.8.8", "ok"),
            ("8.8.4.4", "own"),
            ("127.0.0.1", "private"),
        ] {
            let found = match look_at(text.parse().unwrap(), |ip| ip == own) {
                Ok(()) => "ok",
                Err(Fault::Own(_)) => "own",
                Err(Fault::Private(_)) => "private",
                Err(fault) => panic!("{fault}"),
            };
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn what_is_tried_again_and_what_is_not() {
        for (code, expected) in [
            (200, "ok"),
            (204, "ok"),
            (301, "again"),
            (307, "again"),
            (400, "never"),
            (401, "again"),
            (404, "again"),
            (408, "again"),
            (410, "never"),
            (413, "never"),
            (422, "never"),
            (429, "again"),
            (500, "again"),
            (503, "again"),
        ] {
            let found = match judge(StatusCode::from_u16(code).unwrap()) {
                Ok(()) => "ok",
                Err(Fault::Unwanted(_)) => "never",
                Err(_) => "again",
            };
            assert_eq!(found, expected, "{code}");
        }
    }
}
