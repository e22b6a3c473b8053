//! HTTP (`docs/http.md`): log-in, the WebSocket's upgrade, counters, the page.

mod api;
mod callbacks;
mod changes;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod login;
mod metrics;
mod page;
mod problem;
mod ready;
mod socket;
mod stream;
mod tls;

use crate::{
    access::LoginLimits,
    alarm::AlarmDesk,
    bell::Bell,
    compiler::Compiler,
    config::Settings,
    door::{Pending, Permit},
    hello::Greeter,
    inside::Insides,
    setup::Setup,
    store::{ConfigStore, StatusStore},
    telemetry::Telemetry,
    throttle::{Network, Throttle},
    tls::Tls,
    yard::YardHandle,
};
use axum::{
    Router,
    extract::Request,
    http::{HeaderMap, HeaderValue, header},
    middleware::Next,
    response::Response,
    routing::get,
};
use hyper::{
    body::Incoming,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};

use ready::Readiness;
use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU32},
    time::Duration,
};
use stream::ImpatientStream;
use switchyard_protocol::message::Title;
use tls::{Socket, TlsStream};
use tokio::{
    net::TcpStream,
    sync::{Notify, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long a client may take over a request's head, or idle between two.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection that has asked nothing yet may still do so when the gateway stops.
const STOP_GRACE: Duration = Duration::from_millis(250);
/// The largest request head.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Passwords hashed at once: each takes 19 MiB and a core.
const HASHES_AT_ONCE: usize = 2;
/// Charts of history read at once: a long one takes the store some seconds, page by page.
const CHARTS_AT_ONCE: usize = 4;
/// Log-ins that may wait for their turn at that.
const LOGINS_WAITING_MAX: usize = 64;

/// What every handler may use.
pub(crate) struct Api {
    pub(crate) settings: Arc<Settings>,
    pub(crate) config: Arc<dyn ConfigStore>,
    /// Where recent values are, if any are kept.
    recent: Option<Arc<dyn StatusStore>>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) yard: YardHandle,
    pub(crate) greeter: Greeter,
    /// Opens peers for handlers that act in the yard.
    insides: Arc<Insides>,
    /// How alarms are handled from here.
    pub(crate) alarms: AlarmDesk,
    /// Rung when somebody wants something of a roll-out.
    rollouts: Bell,
    /// Compiles what is to come into the library.
    compiler: Compiler,
    pub(crate) tasks: TaskTracker,
    pub(crate) stopping: CancellationToken,
    /// Numbers what is changed over HTTP, for the record.
    changes: AtomicU32,
    setup: Setup,
    pub(crate) readiness: Readiness,
    logins: LoginLimits,
    requests_by_network: Throttle<Network>,
    requests_by_account: Throttle<Title>,
    callbacks: callbacks::Limits,
    hashing: Semaphore,
    /// Charts of history that are read at once.
    charts: Semaphore,
    waiting: Semaphore,
    nobodys_hash: String,
}

/// The client of a request: its address, and its connection's permit until an upgrade takes it.
#[derive(Clone)]
pub(crate) struct Client {
    ip: IpAddr,
    permit: Arc<Mutex<Option<(Permit, Pending)>>>,
}

impl Client {
    /// Takes the permit away from HTTP.
    fn take_permit(&self) -> Option<(Permit, Pending)> {
        self.permit
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

impl Api {
    pub(crate) fn new(
        telemetry: Arc<Telemetry>,
        (insides, rollouts, alarms): (Arc<Insides>, Bell, AlarmDesk),
        (greeter, recent): (Greeter, Option<Arc<dyn StatusStore>>),
        tasks: TaskTracker,
        stopping: CancellationToken,
        nobodys_hash: String,
        setup: Setup,
    ) -> Arc<Self> {
        Arc::new(Api {
            setup,
            logins: LoginLimits::new(&greeter.settings),
            requests_by_network: Throttle::new(greeter.settings.api_requests_per_ip_per_minute_max),
            requests_by_account: Throttle::new(
                greeter.settings.api_requests_per_account_per_minute_max,
            ),
            callbacks: callbacks::Limits::default(),
            hashing: Semaphore::new(HASHES_AT_ONCE),
            charts: Semaphore::new(CHARTS_AT_ONCE),
            waiting: Semaphore::new(LOGINS_WAITING_MAX),
            nobodys_hash,
            settings: Arc::clone(&greeter.settings),
            config: Arc::clone(&greeter.config),
            recent,
            telemetry,
            yard: greeter.yard.clone(),
            greeter,
            insides,
            alarms,
            compiler: Compiler::default(),
            rollouts,
            tasks,
            stopping,
            changes: AtomicU32::new(rand::random()),
            readiness: Readiness::default(),
        })
    }

    /// Whose request this is: the connection's other end, or what a trusted proxy says.
    fn client_ip(&self, client: &Client, headers: &HeaderMap) -> IpAddr {
        if !self.settings.behind_proxy {
            return client.ip;
        }
        forwarded_for(headers).unwrap_or(client.ip)
    }

    /// Whether the client came over TLS.
    fn is_secure(&self, headers: &HeaderMap) -> bool {
        self.settings.tls.is_some()
            || self.settings.behind_proxy
                && headers
                    .get("x-forwarded-proto")
                    .is_some_and(|scheme| scheme == "https")
    }
}

/// For whom a proxy asks. The last entry is its own; those before it are whatever the client made up.
fn forwarded_for(headers: &HeaderMap) -> Option<IpAddr> {
    let values = headers.get_all("x-forwarded-for");
    let last = values.iter().next_back()?.to_str().ok()?;
    last.rsplit(',').next()?.trim().parse().ok()
}

/// Every route.
pub(crate) fn router(api: Arc<Api>) -> Router {
    Router::new()
        .merge(api::router(&api))
        .merge(callbacks::router())
        .route("/ws", get(socket::upgrade))
        .route("/metrics", get(metrics::metrics))
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(ready::ready))
        .fallback(page::page)
        .method_not_allowed_fallback(page::method_not_allowed)
        .layer(axum::middleware::from_fn(add_headers))
        .with_state(api)
}

/// What every answer says to the browser.
async fn add_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self' ws: wss:; \
             frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Answers about log-ins are nobody else's; the page sets its own.
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// How connections are served.
#[derive(Clone)]
pub(crate) struct Serving {
    pub(crate) router: Router,
    /// What listens speaks TLS only.
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) stopping: CancellationToken,
}

impl Serving {
    /// A client's socket as HTTP reads and writes it; `None` when TLS came to nothing.
    async fn socket(&self, stream: TcpStream, peer: SocketAddr) -> Option<Socket> {
        let stream = ImpatientStream::new(stream, self.settings.slow_peer_timeout);
        let Some(tls) = &self.tls else {
            return Some(Socket::Plain(stream));
        };
        let accepting = TlsStream::accept(stream, tls);
        let accepted = tokio::select! {
            () = grace_ends(&self.stopping) => return None,
            accepted = tokio::time::timeout(self.settings.handshake_timeout, accepting) => accepted,
        };
        match accepted {
            Ok(Ok(stream)) => return Some(Socket::Tls(Box::new(stream))),
            Ok(Err(error)) => tracing::debug!(%peer, %error, "a TLS handshake failed"),
            Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
        }
        None
    }
}

/// When those that were accepted just before a stop have had their time to ask.
pub(crate) async fn grace_ends(stopping: &CancellationToken) {
    stopping.cancelled().await;
    tokio::time::sleep(STOP_GRACE).await;
}

/// Serves one connection until it closes, is upgraded, or the gateway stops.
pub(crate) async fn serve_connection(
    serving: Serving,
    stream: TcpStream,
    peer: SocketAddr,
    permit: (Permit, Pending),
) {
    let Some(stream) = serving.socket(stream, peer).await else {
        return;
    };
    let Serving {
        router, stopping, ..
    } = serving;
    let client = Client {
        ip: peer.ip(),
        permit: Arc::new(Mutex::new(Some(permit))),
    };
    let first_request = Arc::new(Notify::new());
    let came = Arc::clone(&first_request);
    // Not by a layer: that would wrap every route anew for each connection.
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        came.notify_one();
        request.extensions_mut().insert(client.clone());
        router.call(request)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = stopping.cancelled() => {
            // Whoever has just been accepted is about to ask, and gets an answer: closed at once, the
            // connection would look refused, and a restart on passed listeners refuses nobody.
            tokio::select! {
                outcome = connection.as_mut() => outcome,
                () = first_request.notified() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
                () = tokio::time::sleep(STOP_GRACE) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%peer, %error, "an HTTP connection ended badly");
    }
}
