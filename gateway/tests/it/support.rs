//! A gateway on free ports and what speaks to it: plain HTTP here, a controller by `snow` and a tool
//! by `tokio-tungstenite` in the files below.

pub(crate) mod api;
mod authority;
mod controller;
mod ear;
mod tool;

pub(crate) use authority::Authority;
pub(crate) use controller::{Controller, initiator};
pub(crate) use ear::Ear;
pub(crate) use tool::{Tool, next_frame, tool_hello, web_socket, web_socket_on};

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use switchyard_gateway::{
    Listeners, Settings, Stores,
    config::{IoInterface, RawSettings},
    hash_password, serve,
    store::{Account, ControllerKey, Database, NewController, Sealer, SqlConfigStore},
};
use switchyard_protocol::{
    Address, Code, Role,
    message::{Time, Title},
};
use switchyard_relay::Rights;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// How long anything may take before a test says that it never happened.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// The password of every account in here.
pub(crate) const PASSWORD: &str = "ten bytes or more";

/// Waits for a future, at most [`PATIENCE`].
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited in vain for {what}"),
    }
}

/// Polls until a condition gives a value.
pub(crate) async fn until<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    soon(what, async {
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
}

pub(crate) fn title(text: &str) -> Title {
    Title::new(text).unwrap()
}

pub(crate) fn now() -> Time {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    Time(since.as_millis() as u64)
}

/// The config store in a file, under the tests' master key.
pub(crate) async fn open_sqlite(path: &std::path::Path) -> SqlConfigStore {
    let (database, sealer) = (Database::Sqlite(path.into()), Sealer::new(&[7; 32]));
    let opened = SqlConfigStore::open(&database, sealer, 1_024, Duration::from_secs(20)).await;
    opened.unwrap()
}

/// On how many shards the gateways of this run work, and by which interface: `cargo xtask test` goes
/// through all tests on one and on two by the system's best, and on four by epoll.
fn shards() -> u32 {
    std::env::var("SWITCHYARD_SHARDS").map_or(1, |shards| shards.parse().unwrap())
}

/// See [`shards`].
fn io_interface() -> IoInterface {
    let wanted = std::env::var("SWITCHYARD_IO").unwrap_or_else(|_| "auto".into());
    match &*wanted {
        "auto" => IoInterface::Auto,
        "io_uring" => IoInterface::IoUring,
        "epoll" => IoInterface::Epoll,
        other => panic!("expected SWITCHYARD_IO to be auto, io_uring or epoll and found {other:?}"),
    }
}

/// A gateway in this process, with an account for every role.
pub(crate) struct Gateway {
    pub(crate) tcp: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) clear: SocketAddr,
    pub(crate) stores: Stores,
    pub(crate) settings: Settings,
    _folder: Arc<tempfile::TempDir>,
    shutdown: CancellationToken,
    running: JoinHandle<anyhow::Result<()>>,
}

impl Gateway {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(adjust: impl FnOnce(&mut Settings)) -> Self {
        Self::start_on_stores(adjust, |_, stores| stores).await
    }

    /// On stores that a test has put something around.
    pub(crate) async fn start_on_stores(
        adjust: impl FnOnce(&mut Settings),
        wrap: impl FnOnce(&Settings, Stores) -> Stores,
    ) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let raw = RawSettings {
            data: Some(folder.path().join("data")),
            ..RawSettings::default()
        };
        let mut settings = raw.resolve().unwrap();
        settings.metrics_public = false;
        settings.io = io_interface();
        settings.shards = shards();
        adjust(&mut settings);
        let stores = wrap(&settings, Stores::open(&settings).await.unwrap());
        let hash = hash_password(PASSWORD).unwrap();
        for role in Role::ALL {
            let name = title(role.name());
            let account = Account {
                name,
                rights: Rights::everywhere(role),
                password_hash: hash.clone(),
                totp: None,
                created: now(),
            };
            stores.config.add_account(account).await.unwrap();
        }
        Self::start_on(folder, settings, stores).await
    }

    /// On a folder that another process has left.
    pub(crate) async fn on_folder(data: &std::path::Path) -> Self {
        let raw = RawSettings {
            data: Some(data.into()),
            ..RawSettings::default()
        };
        let settings = raw.resolve().unwrap();
        let stores = Stores::open(&settings).await.unwrap();
        Self::start_on(Arc::new(tempfile::tempdir().unwrap()), settings, stores).await
    }

    async fn start_on(folder: Arc<tempfile::TempDir>, settings: Settings, stores: Stores) -> Self {
        let bind = async || TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listeners = Listeners {
            tcp: bind().await,
            http: bind().await,
            clear: Some(bind().await),
        };
        let addr = |listener: &TcpListener| listener.local_addr().unwrap();
        let (tcp, http) = (addr(&listeners.tcp), addr(&listeners.http));
        let clear = addr(listeners.clear.as_ref().unwrap());
        let shutdown = CancellationToken::new();
        let serving = serve(
            settings.clone(),
            stores.clone(),
            listeners,
            shutdown.clone(),
        );
        let running = tokio::spawn(serving);
        Gateway {
            tcp,
            http,
            clear,
            stores,
            settings,
            _folder: folder,
            shutdown,
            running,
        }
    }

    /// Stops, and starts anew on the same stores.
    pub(crate) async fn restart(self) -> Self {
        let (folder, settings, stores) = (
            Arc::clone(&self._folder),
            self.settings.clone(),
            self.stores.clone(),
        );
        self.stop().await;
        Self::start_on(folder, settings, stores).await
    }

    /// Stops and demands that it ends well.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        soon("the gateway to stop", self.running)
            .await
            .unwrap()
            .unwrap();
    }

    /// Waits until it ends by itself; why it did.
    pub(crate) async fn failure(self) -> String {
        let ended = soon("the gateway's failure", self.running).await;
        ended.unwrap().unwrap_err().to_string()
    }

    /// Begins to stop.
    pub(crate) fn shut_down(&self) {
        self.shutdown.cancel();
    }

    pub(crate) async fn enrol(&self, name: &str) -> Enrolled {
        let key: [u8; 32] = std::array::from_fn(|index| name.len() as u8 ^ index as u8 ^ 0x5A);
        let wanted = vec![NewController {
            title: title(name),
            key: ControllerKey(key),
            site: None,
        }];
        let address = self
            .stores
            .config
            .enrol(wanted, 65_536, now())
            .await
            .unwrap()[0];
        Enrolled { address, key }
    }

    /// Logs in over HTTP; gives the token.
    pub(crate) async fn log_in(&self, account: &str) -> String {
        let body = format!(r#"{{"account":"{account}","password":"{PASSWORD}"}}"#);
        let response = request(self.http, "POST", "/api/login", &[], &body).await;
        assert_eq!(response.status, 200, "{}", response.body);
        response.json()["token"].as_str().unwrap().to_owned()
    }

    /// A tool with a fresh log-in.
    pub(crate) async fn tool(&self, account: &str) -> Tool {
        let token = self.log_in(account).await;
        Tool::enter(self.http, &token).await
    }

    /// The value of one metric, as `name` or `name{label="value"}` without the prefix.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let response = request(self.http, "GET", "/metrics", &[], "").await;
        assert_eq!(response.status, 200, "{}", response.body);
        let prefix = format!("switchyard_{name} ");
        let line = response
            .body
            .lines()
            .find_map(|line| line.strip_prefix(&prefix));
        match line {
            Some(value) => value.parse().unwrap(),
            None => panic!("no metric {name} in {}", response.body),
        }
    }

    /// Waits until a reason was counted, here or there.
    pub(crate) async fn counted(&self, name: &str, reason: Code, wanted: u64) {
        let metric = format!("{name}{{reason=\"{}\"}}", reason.name());
        until(&format!("{wanted} in {metric}"), async || {
            (self.metric(&metric).await >= wanted).then_some(())
        })
        .await;
        assert_eq!(self.metric(&metric).await, wanted, "{metric}");
    }
}

/// A controller that the gateway knows.
#[derive(Clone, Copy)]
pub(crate) struct Enrolled {
    pub(crate) address: Address,
    pub(crate) key: [u8; 32],
}

/// An answer over HTTP.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// A header's value, by its lowercase name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// One request on a connection of its own.
pub(crate) async fn request(
    http: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &(impl AsRef<[u8]> + ?Sized),
) -> Response {
    let stream = soon("a connection", TcpStream::connect(http)).await;
    request_on(stream.unwrap(), http, method, path, headers, body).await
}

/// The same on a connection that is there.
pub(crate) async fn request_on(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    http: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &(impl AsRef<[u8]> + ?Sized),
) -> Response {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {http}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    let body = body.as_ref();
    head += &format!("content-length: {}\r\n\r\n", body.len());
    let sent = [head.as_bytes(), body].concat();
    let mut text = Vec::new();
    soon("an HTTP answer", async {
        stream.write_all(&sent).await.unwrap();
        // A server that refuses early may reset what was still on its way.
        let _ = stream.read_to_end(&mut text).await;
    })
    .await;
    let text = String::from_utf8_lossy(&text);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0);
    Response {
        status,
        head: head.replace("\r\n", "\n"),
        body: body.to_owned(),
    }
}

/// How long something took.
pub(crate) async fn timed<T>(future: impl Future<Output = T>) -> (T, Duration) {
    let start = Instant::now();
    let value = future.await;
    (value, start.elapsed())
}

/// The code that an app shows now (RFC 6238).
pub(crate) fn totp_code(secret: &str) -> String {
    let digits: Vec<_> = secret.as_bytes().chunks(2).collect();
    let secret = digits.iter().map(|pair| {
        let pair = str::from_utf8(pair).unwrap();
        u8::from_str_radix(pair, 16).unwrap()
    });
    let secret: Vec<u8> = secret.collect();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &secret);
    let tag = ring::hmac::sign(&key, &(now().0 / 30_000).to_be_bytes());
    let tag = tag.as_ref();
    let at = usize::from(tag[tag.len() - 1] & 0x0F);
    let part = u32::from_be_bytes(tag[at..at + 4].try_into().unwrap());
    format!("{:06}", (part & 0x7FFF_FFFF) % 1_000_000)
}
