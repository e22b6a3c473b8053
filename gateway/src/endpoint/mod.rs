//! HTTP servers elsewhere that this gateway has something to tell: looked up, looked at, dialled just there, told, and
//! read no further than is wanted.
//!
//! Webhooks' targets are such, and the services by which people are told of alarms. `reach`: where they may be.

mod reach;

use crate::tls;
use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header},
};
use bytes::Bytes;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

/// From looking the name up to the end of the answer. A server that does its work before it answers has the time for
/// that, and one that hangs does not hold up the next one for long.
pub(crate) const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(15);
/// Of that, for dialling one address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Addresses of a name that are tried.
const ADDRESSES_MAX: usize = 8;
/// The largest head of an answer.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Why a server has not been told.
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
    /// Its answer has no end, or breaks off.
    #[error("its answer cannot be read")]
    Unreadable,
    /// It took too long.
    #[error("it took longer than {} s", ATTEMPT_TIMEOUT.as_secs())]
    Late,
}

/// A server's answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// Empty where it was not asked for.
    pub(crate) body: Bytes,
}

/// A server, and how it is spoken to.
#[derive(Clone)]
pub(crate) struct Endpoint {
    url: Uri,
    /// Whether it may be on this host or in a private network.
    allow_private: bool,
    tls: Option<Arc<ClientConfig>>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("target", &target(&self.url))
            .field("allow_private", &self.allow_private)
            .finish_non_exhaustive()
    }
}

impl Endpoint {
    /// Of a URL that was found to be one of `http` or `https`. Blocks for a moment, as it reads files: believed are
    /// the authorities in `ca_file` and no others, or those that the host trusts.
    ///
    /// # Errors
    /// When the file is not what it should be.
    pub(crate) fn open(
        url: &Uri,
        allow_private: bool,
        ca_file: Option<&Path>,
    ) -> anyhow::Result<Self> {
        let tls = is_tls(url).then(|| tls::client_config(ca_file));
        Ok(Endpoint {
            tls: tls.transpose()?,
            ..Self::unread(url, allow_private)
        })
    }

    /// As [`Endpoint::open`], with authorities that were read before.
    pub(crate) fn new(url: &Uri, allow_private: bool, tls: &Arc<ClientConfig>) -> Self {
        Endpoint {
            tls: is_tls(url).then(|| Arc::clone(tls)),
            ..Self::unread(url, allow_private)
        }
    }

    /// One to be looked up and not to be spoken to.
    pub(crate) fn unread(url: &Uri, allow_private: bool) -> Self {
        Endpoint {
            url: url.clone(),
            allow_private,
            tls: None,
        }
    }

    /// Its URL's path with what follows it, as it stands in a request.
    pub(crate) fn path(&self) -> String {
        let path = self.url.path_and_query();
        let path = path.map_or("/", |path| path.as_str());
        match path.starts_with('/') {
            true => path.to_owned(),
            false => format!("/{path}"),
        }
    }

    /// Where its name leads now. If any of that is not to be gone to, none is: a name that points here and there
    /// is up to something.
    ///
    /// # Errors
    /// When it leads nowhere, or where nothing is to go.
    pub(crate) async fn addresses(&self) -> Result<Vec<SocketAddr>, Fault> {
        let found = tokio::net::lookup_host((host(&self.url), tcp_port(&self.url))).await;
        let found: Vec<SocketAddr> = found.map_err(Fault::Unknown)?.collect();
        if !self.allow_private {
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

    /// A request to a path of it, with the headers that each has. Those that are no header's value are left out.
    pub(crate) fn request(
        &self,
        path: &str,
        body: Bytes,
        headers: &[(&'static str, &str)],
    ) -> Request<Body> {
        let mut request = Request::new(Body::from(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = path.parse().unwrap_or_default();
        let host = self
            .url
            .authority()
            .map_or("", |authority| authority.as_str());
        let agent = concat!("switchyard-gateway/", env!("CARGO_PKG_VERSION"));
        let own = [("host", host), ("user-agent", agent)];
        for (name, value) in own.iter().chain(headers) {
            if let Ok(mut value) = HeaderValue::from_str(value) {
                let name = HeaderName::from_static(name);
                value.set_sensitive(name == header::AUTHORIZATION);
                request.headers_mut().insert(name, value);
            }
        }
        request
    }

    /// One attempt: sends a request, and gives the answer with at most so many bytes of its body.
    ///
    /// # Errors
    /// Why it came to nothing. What was late or broke off may have been heard.
    pub(crate) async fn exchange(
        &self,
        request: Request<Body>,
        body_bytes_max: usize,
    ) -> Result<Answer, Fault> {
        let is_connected = AtomicBool::new(false);
        let attempt = async {
            let stream = self.connect(&self.addresses().await?).await?;
            match &self.tls {
                None => {
                    is_connected.store(true, Ordering::Relaxed);
                    exchange(stream, request, body_bytes_max).await
                }
                Some(config) => {
                    let name = ServerName::try_from(host(&self.url).to_owned());
                    let name = name.map_err(|error| Fault::Tls(io::Error::other(error)))?;
                    let connector = TlsConnector::from(Arc::clone(config));
                    let stream = connector.connect(name, stream).await.map_err(Fault::Tls)?;
                    is_connected.store(true, Ordering::Relaxed);
                    exchange(stream, request, body_bytes_max).await
                }
            }
        };
        let attempt = tokio::time::timeout(ATTEMPT_TIMEOUT, attempt).await;
        attempt.unwrap_or_else(|_| match is_connected.load(Ordering::Relaxed) {
            true => Err(Fault::Late),
            // Nothing was asked yet, so nothing was done.
            false => Err(Fault::Unreachable(io::ErrorKind::TimedOut.into())),
        })
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
}

/// Whether a URL's server is spoken to by TLS.
pub(crate) fn is_tls(url: &Uri) -> bool {
    url.scheme_str() == Some("https")
}

/// A URL's host without the brackets of an IPv6 address.
pub(crate) fn host(url: &Uri) -> &str {
    let host = url.host().unwrap_or_default();
    host.trim_start_matches('[').trim_end_matches(']')
}

/// A URL's TCP port, or the usual one.
pub(crate) fn tcp_port(url: &Uri) -> u16 {
    let usual = if is_tls(url) { 443 } else { 80 };
    url.port_u16().unwrap_or(usual)
}

/// By what a URL is told apart in the log: a path may be as good as a password.
pub(crate) fn target(url: &Uri) -> String {
    let scheme = url.scheme_str().unwrap_or_default();
    let authority = url.authority().map_or("", |it| it.as_str());
    format!("{scheme}://{authority}")
}

/// Refuses an address to which nothing is to go unless it is meant. `is_own` knows this host's own ones.
fn look_at(ip: IpAddr, is_own: impl Fn(IpAddr) -> bool) -> Result<(), Fault> {
    match ip {
        ip if !reach::is_public(ip) => Err(Fault::Private(ip)),
        ip if is_own(ip) => Err(Fault::Own(ip)),
        _ => Ok(()),
    }
}

/// Sends a request and waits for as much of the answer as is wanted.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Body>,
    body_bytes_max: usize,
) -> Result<Answer, Fault> {
    let mut builder = hyper::client::conn::http1::Builder::new();
    builder.max_buf_size(HEAD_BYTES_MAX);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    tokio::pin!(connection);
    let answering = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = match body_bytes_max {
            0 => Bytes::new(),
            _ => axum::body::to_bytes(Body::new(answer.into_body()), body_bytes_max)
                .await
                .map_err(|_| Fault::Unreadable)?,
        };
        Ok(Answer { status, body })
    };
    tokio::pin!(answering);
    let mut is_over = false;
    loop {
        tokio::select! {
            biased;
            answer = &mut answering => return answer,
            // What it has to say of that comes by the answer.
            _ = &mut connection, if !is_over => is_over = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
