//! Settings: raw ones as people write them, then one resolved struct that the program uses.
//!
//! Defaults < TOML < environment < flags. A key has the same name everywhere: `listen_tcp` in the
//! file, `SWITCHYARD_LISTEN_TCP` in the environment, `--listen-tcp` on the command line. Every key
//! is described in `gateway/switchyard.sample.toml`, and a test holds that file to this one.

mod files;
mod recent;
pub(crate) mod secret;
mod span;
pub(crate) mod url;

pub use crate::{
    alarm::settings::{
        AlarmSettings, RawAlarms, RawEmail, RawLimits, RawNtfy, RawProgram, RawProvider, RawSip,
    },
    bridge::MqttSettings,
    proxy::TrustedNetwork,
    webhook::{RawWebhook, Told, WebhookSettings},
};
pub use files::{MasterKey, TlsFiles};
pub use recent::{RecentPlace, RecentSettings};
pub use secret::Secret;
pub use span::Span;

use crate::{
    history::Choice,
    store::{Database, RedisSettings},
};
use serde::Deserialize;
use std::{
    net::{SocketAddr, ToSocketAddrs as _},
    path::{Path, PathBuf},
    time::Duration,
};
use switchyard_protocol::limits;

/// Why a setting is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the settings in {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("cannot understand the settings in {path}{}", at_line(.line))]
    Unparsable {
        /// The file.
        path: PathBuf,
        /// Which line, from 1, where that is known. It is not shown: it may hold a secret.
        line: Option<usize>,
        /// Where and why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A value makes no sense.
    #[error("{key}: expected {expected} and found {found:?}")]
    BadValue {
        /// The setting.
        key: &'static str,
        /// What it wants.
        expected: &'static str,
        /// What it got.
        found: String,
    },
    /// One of the two files that TLS needs is named, and the other is not.
    #[error("{missing}: expected a file here too, since {given} names one; set both or neither")]
    HalfOfTls {
        /// What is set.
        given: &'static str,
        /// What is not.
        missing: &'static str,
    },
    /// Clear text would leave this machine.
    #[error(
        "listen_clear: refused to offer the unencrypted link on {0}, which is not a loopback address; \
         set `insecure = true` (`--insecure`) if this network is a laboratory"
    )]
    ClearInTheOpen(SocketAddr),
}

fn at_line(line: &Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!(", line {line}"))
}

/// By which of the system's interfaces sockets are read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum IoInterface {
    /// io_uring where the kernel has it and allows it, else epoll.
    Auto,
    /// io_uring, with a warning where it is not to be had.
    #[value(name = "io_uring")]
    IoUring,
    /// epoll.
    Epoll,
}

/// What the lines of the log look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people: one line an event.
    Text,
    /// For programs: one JSON object a line.
    Json,
}

/// Before which listeners a proxy stands that tells the client's address by the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum ProxiedListeners {
    /// Before none.
    Off,
    /// Before `listen_tcp`.
    Tcp,
    /// Before `listen_http`.
    Http,
    /// Before both.
    All,
}

impl ProxiedListeners {
    /// Whether connections to `listen_tcp` begin with a header.
    pub(crate) const fn tcp(self) -> bool {
        matches!(self, ProxiedListeners::Tcp | ProxiedListeners::All)
    }

    /// Whether connections to `listen_http` begin with a header.
    pub(crate) const fn http(self) -> bool {
        matches!(self, ProxiedListeners::Http | ProxiedListeners::All)
    }
}

macro_rules! settings {
    ($($(#[doc = $doc:literal])* $key:ident : $type:ty, $env:literal, $default:expr
        $(, alone means $alone:literal)?;)*) => {
        /// The settings as written; every one may be absent.
        #[derive(Clone, Debug, Default, PartialEq, Deserialize, clap::Args)]
        #[serde(deny_unknown_fields)]
        pub struct RawSettings {
            $($(#[doc = $doc])*
            #[arg(long, env = $env, global = true, value_name = "VALUE", hide_env_values = true)]
            $(#[arg(num_args = 0..=1, default_missing_value = $alone)])?
            pub $key: Option<$type>,)*
            /// Who is told of events. Of the file alone: one line cannot hold them
            #[arg(skip)]
            pub webhooks: Option<Vec<RawWebhook>>,
            /// By what people are told of alarms. Of the file alone
            #[arg(skip)]
            pub alarms: Option<RawAlarms>,
        }

        impl RawSettings {
            /// Every key, in the sample's order.
            pub const KEYS: &'static [&'static str] = &[$(stringify!($key)),*];
            /// The environment variable of each key, in the same order.
            pub const ENVIRONMENT: &'static [&'static str] = &[$($env),*];

            /// What holds where nothing is said; `None` for what is off by itself.
            pub fn defaults() -> Self {
                RawSettings { $($key: $default,)* webhooks: None, alarms: None }
            }

            /// These settings, and where they are silent, those of `weaker`.
            #[must_use]
            pub fn or(self, weaker: Self) -> Self {
                RawSettings {
                    $($key: self.$key.or(weaker.$key),)*
                    webhooks: self.webhooks.or(weaker.webhooks),
                    alarms: self.alarms.or(weaker.alarms),
                }
            }
        }
    };
}

fn text(text: &str) -> Option<String> {
    Some(text.into())
}

const fn span(duration: Duration) -> Option<Span> {
    Some(Span(duration))
}

settings! {
    /// Where controllers dial in (Noise over TCP)
    listen_tcp: String, "SWITCHYARD_LISTEN_TCP", text("0.0.0.0:7400");
    /// Where the page, log-in and the tools' WebSocket are served
    listen_http: String, "SWITCHYARD_LISTEN_HTTP", text("127.0.0.1:7480");
    /// The host's certificate and its chain (PEM): with it and tls_key, listen_http speaks TLS only
    tls_certificate: PathBuf, "SWITCHYARD_TLS_CERTIFICATE", None;
    /// The private key of tls_certificate (PEM)
    tls_key: PathBuf, "SWITCHYARD_TLS_KEY", None;
    /// Where the unencrypted controller link is offered; off unless set
    listen_clear: String, "SWITCHYARD_LISTEN_CLEAR", None;
    /// Allows listen_clear on other than a loopback address
    insecure: bool, "SWITCHYARD_INSECURE", Some(false), alone means "true";
    /// The folder that holds everything the gateway keeps
    data: PathBuf, "SWITCHYARD_DATA", Some("switchyard-data".into());
    /// The database; by default switchyard.db in data
    sqlite_path: PathBuf, "SWITCHYARD_SQLITE_PATH", None;
    /// The MySQL or MariaDB database that is used in place of sqlite_path
    mysql_url: Secret, "SWITCHYARD_MYSQL_URL", None;
    /// The file with the master key that seals secrets; by default master.key in data
    master_key_file: PathBuf, "SWITCHYARD_MASTER_KEY_FILE", None;
    /// The master key itself, 64 hexadecimal digits, in place of its file
    master_key: Secret, "SWITCHYARD_MASTER_KEY", None;
    /// What the journal of commands may take on the disk, in bytes
    journal_bytes_max: u64, "SWITCHYARD_JOURNAL_BYTES_MAX", Some(256 << 20);
    /// How often what was written to the journal is synced: what a power cut may take of it
    journal_sync_interval: Span, "SWITCHYARD_JOURNAL_SYNC_INTERVAL", span(Duration::from_millis(100));
    /// Whether commands and changes are refused while the journal cannot be written
    audit_required: bool, "SWITCHYARD_AUDIT_REQUIRED", Some(false), alone means "true";
    /// Days that the audit log keeps a record; 0 keeps all of them for good
    audit_days: u32, "SWITCHYARD_AUDIT_DAYS", Some(400);
    /// Which points have a history: analogue, digital_outputs, digital_inputs, CONTROLLER/POINT
    history_points: String, "SWITCHYARD_HISTORY_POINTS", text("analogue digital_outputs");
    /// How many days history is kept; 0 keeps none
    history_days: u32, "SWITCHYARD_HISTORY_DAYS", Some(30);
    /// How many points may have a history
    history_points_max: usize, "SWITCHYARD_HISTORY_POINTS_MAX", Some(4_096);
    /// Where recent values of points are kept, second by second: off, memory or redis
    recent_values: RecentPlace, "SWITCHYARD_RECENT_VALUES", Some(RecentPlace::Memory);
    /// How old recent values may be; 1min to 1h
    recent_age: Span, "SWITCHYARD_RECENT_AGE", span(Duration::from_secs(15 * 60));
    /// How many points may have recent values
    recent_points_max: usize, "SWITCHYARD_RECENT_POINTS_MAX", Some(16_384);
    /// How long one call of a store may take
    store_timeout: Span, "SWITCHYARD_STORE_TIMEOUT", span(Duration::from_secs(5));
    /// Calls that may wait for a store
    store_queue_calls_max: usize, "SWITCHYARD_STORE_QUEUE_CALLS_MAX", Some(1024);
    /// Redis, where the fleet's status is kept too; off unless set. May hold a password
    redis_url: Secret, "SWITCHYARD_REDIS_URL", None;
    /// What all keys in Redis begin with
    redis_prefix: String, "SWITCHYARD_REDIS_PREFIX", text("switchyard:");
    /// The MQTT broker that is told of controllers, mqtt:// or mqtts://; off unless set
    mqtt_url: String, "SWITCHYARD_MQTT_URL", None;
    /// As whom to log in to the broker
    mqtt_user: String, "SWITCHYARD_MQTT_USER", None;
    /// By which password
    mqtt_password: Secret, "SWITCHYARD_MQTT_PASSWORD", None;
    /// The file with that password, in its place
    mqtt_password_file: PathBuf, "SWITCHYARD_MQTT_PASSWORD_FILE", None;
    /// The authorities (PEM) that a broker's certificate is checked by; those of the host unless set
    mqtt_ca_file: PathBuf, "SWITCHYARD_MQTT_CA_FILE", None;
    /// What the broker knows this gateway by; made from the data folder's own number unless set
    mqtt_client_id: String, "SWITCHYARD_MQTT_CLIENT_ID", None;
    /// What all topics begin with
    mqtt_prefix: String, "SWITCHYARD_MQTT_PREFIX", text("switchyard");
    /// Whether controllers are described to Home Assistant
    mqtt_discovery: bool, "SWITCHYARD_MQTT_DISCOVERY", Some(true), alone means "true";
    /// What the topics of Home Assistant's discovery begin with
    mqtt_discovery_prefix: String, "SWITCHYARD_MQTT_DISCOVERY_PREFIX", text("homeassistant");
    /// Whether commands are taken from the broker: whoever may publish there may then switch
    mqtt_commands: bool, "SWITCHYARD_MQTT_COMMANDS", Some(false), alone means "true";
    /// The sites whose controllers the broker is told of, by their numbers; all controllers unless set
    mqtt_sites: String, "SWITCHYARD_MQTT_SITES", text("");
    /// Of those, the controllers that it is told of, by their addresses; all of them unless set
    mqtt_controllers: String, "SWITCHYARD_MQTT_CONTROLLERS", text("");
    /// How often the broker is asked whether it is there
    mqtt_keep_alive: Span, "SWITCHYARD_MQTT_KEEP_ALIVE", span(Duration::from_secs(20));
    /// Other origins whose page may use its cookie here, separated by spaces
    page_origins: String, "SWITCHYARD_PAGE_ORIGINS", text("");
    /// Whether a reverse proxy stands before listen_http, whose X-Forwarded-For and -Proto count
    behind_proxy: bool, "SWITCHYARD_BEHIND_PROXY", Some(false), alone means "true";
    /// Which listeners have a proxy before them that speaks the PROXY protocol: off, tcp, http or all
    proxy_protocol: ProxiedListeners, "SWITCHYARD_PROXY_PROTOCOL", Some(ProxiedListeners::Off);
    /// Whose PROXY headers are believed: addresses and networks, separated by spaces
    proxy_protocol_from: String, "SWITCHYARD_PROXY_PROTOCOL_FROM", text("127.0.0.0/8 ::1");
    /// Whether /metrics answers to other than loopback
    metrics_public: bool, "SWITCHYARD_METRICS_PUBLIC", Some(false), alone means "true";
    /// Connections of every sort, in all
    connections_max: usize, "SWITCHYARD_CONNECTIONS_MAX", Some(16_384);
    /// Connections from one IP address that have not yet said who they are
    pending_per_ip_max: usize, "SWITCHYARD_PENDING_PER_IP_MAX", Some(4_096);
    /// Hellos from one IP address in a minute
    hellos_per_ip_per_minute_max: u32, "SWITCHYARD_HELLOS_PER_IP_PER_MINUTE_MAX", Some(6_000);
    /// Hellos for one controller address in a minute
    hellos_per_address_per_minute_max: u32, "SWITCHYARD_HELLOS_PER_ADDRESS_PER_MINUTE_MAX", Some(30);
    /// Requests to the HTTP API from one IP address in a minute
    api_requests_per_ip_per_minute_max: u32, "SWITCHYARD_API_REQUESTS_PER_IP_PER_MINUTE_MAX", Some(1_200);
    /// Requests to the HTTP API by one account in a minute
    api_requests_per_account_per_minute_max: u32, "SWITCHYARD_API_REQUESTS_PER_ACCOUNT_PER_MINUTE_MAX", Some(600);
    /// Controllers that may be enrolled
    controllers_max: u32, "SWITCHYARD_CONTROLLERS_MAX", Some(65_536);
    /// From connecting to the first valid record or hello
    handshake_timeout: Span, "SWITCHYARD_HANDSHAKE_TIMEOUT", span(limits::HANDSHAKE_TIMEOUT);
    /// How often peers are told to ping; three of these without a word end a link
    ping_interval: Span, "SWITCHYARD_PING_INTERVAL", span(limits::PING_INTERVAL_DEFAULT);
    /// How long a peer may take nothing of what waits for it; at most 30s
    slow_peer_timeout: Span, "SWITCHYARD_SLOW_PEER_TIMEOUT", span(limits::SLOW_PEER_TIMEOUT);
    /// The largest record that this gateway takes from a controller, in bytes
    record_bytes_max: u16, "SWITCHYARD_RECORD_BYTES_MAX", Some(16_384);
    /// Bytes that may wait for one controller
    controller_queue_bytes_max: usize, "SWITCHYARD_CONTROLLER_QUEUE_BYTES_MAX", Some(64 * 1024);
    /// Bytes that may wait for one tool; past half of it status is conflated
    tool_queue_bytes_max: usize, "SWITCHYARD_TOOL_QUEUE_BYTES_MAX", Some(512 * 1024);
    /// How long a log-in lasts
    token_lifetime: Span, "SWITCHYARD_TOKEN_LIFETIME", span(Duration::from_secs(30 * 24 * 3600));
    /// Failed log-ins for one account or IP address before waiting begins
    login_failures_max: u32, "SWITCHYARD_LOGIN_FAILURES_MAX", Some(5);
    /// The first wait after too many failures; each further one doubles it
    login_delay_min: Span, "SWITCHYARD_LOGIN_DELAY_MIN", span(Duration::from_secs(1));
    /// The longest wait after failures
    login_delay_max: Span, "SWITCHYARD_LOGIN_DELAY_MAX", span(Duration::from_secs(15 * 60));
    /// Installed tools (each with an address of its own) that one account may have
    installations_per_account_max: u32, "SWITCHYARD_INSTALLATIONS_PER_ACCOUNT_MAX", Some(64);
    /// Threads that live connections are dealt to: 1, 2, 4 or 8
    shards: u32, "SWITCHYARD_SHARDS", Some(1);
    /// How sockets are read and written: auto, io_uring or epoll
    io: IoInterface, "SWITCHYARD_IO", Some(IoInterface::Auto);
    /// From the order to stop, at which /readyz says no, to the stop itself; at most 5min
    drain_delay: Span, "SWITCHYARD_DRAIN_DELAY", span(Duration::ZERO);
    /// How long peers may take to go when the gateway stops
    shutdown_timeout: Span, "SWITCHYARD_SHUTDOWN_TIMEOUT", span(Duration::from_secs(5));
    /// What is logged, such as `info` or `info,switchyard_gateway::yard=debug`
    log: String, "SWITCHYARD_LOG", text("info");
    /// What the log's lines look like: text or json
    log_format: LogFormat, "SWITCHYARD_LOG_FORMAT", Some(LogFormat::Text);
}

/// The settings that the program runs on: complete and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where controllers dial in.
    pub listen_tcp: SocketAddr,
    /// Where page and tools are served.
    pub listen_http: SocketAddr,
    /// What TLS on `listen_http` is spoken with; plain HTTP without.
    pub tls: Option<TlsFiles>,
    /// Where the unencrypted link is offered.
    pub listen_clear: Option<SocketAddr>,
    /// Whether that may be elsewhere than on a loopback address.
    pub insecure: bool,
    /// The folder of everything kept.
    pub data: PathBuf,
    /// Where accounts, controllers and all that must last are kept.
    pub database: Database,
    /// What seals secrets at rest.
    pub master_key: MasterKey,
    /// What the journal may take on the disk.
    pub journal_bytes_max: u64,
    /// How often the journal is synced.
    pub journal_sync_interval: Duration,
    /// Whether nothing is done that cannot be written down.
    pub audit_required: bool,
    /// How long the audit log keeps a record; for good without.
    pub audit_kept_for: Option<Duration>,
    /// Which points have a history.
    pub history_points: Choice,
    /// How many days it is kept.
    pub history_days: u32,
    /// How many points may have one.
    pub history_points_max: usize,
    /// What is kept of recent values.
    pub recent: Option<RecentSettings>,
    /// How long a store's call may take.
    pub store_timeout: Duration,
    /// Calls that may wait for a store.
    pub store_queue_calls_max: usize,
    /// Where the fleet's status is kept too.
    pub redis: Option<RedisSettings>,
    /// The broker that is told of controllers.
    pub mqtt: Option<MqttSettings>,
    /// Who is told of events.
    pub webhooks: Vec<WebhookSettings>,
    /// By what people are told of alarms.
    pub alarms: AlarmSettings,
    /// Origins, besides this host's own, whose page may use its cookie.
    pub page_origins: Vec<String>,
    /// Whether forwarded headers count.
    pub behind_proxy: bool,
    /// Before which listeners a proxy stands.
    pub proxy_protocol: ProxiedListeners,
    /// Whose PROXY headers are believed.
    pub proxy_protocol_from: Vec<TrustedNetwork>,
    /// Whether the counters are for everybody.
    pub metrics_public: bool,
    /// Connections of every sort, in all.
    pub connections_max: usize,
    /// Connections from one IP address before their hello.
    pub pending_per_ip_max: usize,
    /// Hellos from one IP address in a minute.
    pub hellos_per_ip_per_minute_max: u32,
    /// Hellos for one controller address in a minute.
    pub hellos_per_address_per_minute_max: u32,
    /// Requests to the HTTP API from one IP address in a minute.
    pub api_requests_per_ip_per_minute_max: u32,
    /// Requests to the HTTP API by one account in a minute.
    pub api_requests_per_account_per_minute_max: u32,
    /// Controllers that may be enrolled.
    pub controllers_max: u32,
    /// From connecting to the first valid record or hello.
    pub handshake_timeout: Duration,
    /// How often peers are told to ping.
    pub ping_interval: Duration,
    /// How long a peer may make no progress.
    pub slow_peer_timeout: Duration,
    /// The largest record from or to a controller.
    pub record_bytes_max: u16,
    /// Bytes that may wait for one controller.
    pub controller_queue_bytes_max: usize,
    /// Bytes that may wait for one tool.
    pub tool_queue_bytes_max: usize,
    /// How long a log-in lasts.
    pub token_lifetime: Duration,
    /// Failed log-ins before waiting begins.
    pub login_failures_max: u32,
    /// The first wait.
    pub login_delay_min: Duration,
    /// The longest wait.
    pub login_delay_max: Duration,
    /// Installed tools of one account.
    pub installations_per_account_max: u32,
    /// Threads that live connections are dealt to: 1, 2, 4 or 8.
    pub shards: u32,
    /// How sockets are read and written.
    pub io: IoInterface,
    /// How long it is said that the gateway will stop, before it does.
    pub drain_delay: Duration,
    /// How long peers may take to go.
    pub shutdown_timeout: Duration,
    /// What is logged.
    pub log: String,
    /// What the log's lines look like.
    pub log_format: LogFormat,
}

impl RawSettings {
    /// Reads a TOML file.
    ///
    /// # Errors
    /// [`ConfigError`] when it cannot be read, or says something unknown.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.into(),
            source,
        })?;
        toml::from_str(&text).map_err(|mut source: toml::de::Error| {
            // It would show the line that it stumbles over, which may hold a password or a key.
            let line = source.span().map(|span| {
                let before = text.get(..span.start).unwrap_or(&text);
                1 + before.matches('\n').count()
            });
            source.set_input(None);
            let (path, source) = (path.into(), Box::new(source));
            ConfigError::Unparsable { path, line, source }
        })
    }

    /// Fills in the defaults and checks everything.
    ///
    /// # Errors
    /// [`ConfigError`] names the key, what it wants and what it got.
    pub fn resolve(self) -> Result<Settings, ConfigError> {
        let raw = self.or(Self::defaults());
        let mqtt = MqttSettings::resolve(&raw)?;
        let alarms = AlarmSettings::resolve(raw.alarms.as_ref())?;
        let webhooks = WebhookSettings::resolve(raw.webhooks.as_deref().unwrap_or_default())?;
        let listen_clear = raw.listen_clear.filter(|text| !text.is_empty());
        let listen_clear = listen_clear
            .map(|text| socket_addr("listen_clear", &text))
            .transpose()?;
        if let Some(clear) = listen_clear
            && !clear.ip().is_loopback()
            && raw.insecure != Some(true)
        {
            return Err(ConfigError::ClearInTheOpen(clear));
        }
        let data = taken(raw.data);
        let redis = RedisSettings::resolve(raw.redis_url, taken(raw.redis_prefix))?;
        let (place, points_max) = (raw.recent_values, raw.recent_points_max);
        let settings = Settings {
            listen_tcp: socket_addr("listen_tcp", &taken(raw.listen_tcp))?,
            listen_http: socket_addr("listen_http", &taken(raw.listen_http))?,
            tls: TlsFiles::resolve(raw.tls_certificate, raw.tls_key)?,
            listen_clear,
            insecure: taken(raw.insecure),
            database: database(raw.mysql_url, raw.sqlite_path, &data)?,
            master_key: match raw.master_key.filter(|key| !key.0.is_empty()) {
                Some(key) => MasterKey::Given(key),
                None => MasterKey::File(
                    raw.master_key_file
                        .unwrap_or_else(|| data.join("master.key")),
                ),
            },
            data,
            journal_bytes_max: taken(raw.journal_bytes_max),
            journal_sync_interval: positive("journal_sync_interval", raw.journal_sync_interval)?,
            audit_required: taken(raw.audit_required),
            audit_kept_for: match taken(raw.audit_days) {
                0 => None,
                days => Some(Duration::from_secs(u64::from(days) * 86_400)),
            },
            history_points: history_points(&taken(raw.history_points))?,
            history_days: taken(raw.history_days),
            history_points_max: taken(raw.history_points_max),
            store_timeout: positive("store_timeout", raw.store_timeout)?,
            store_queue_calls_max: taken(raw.store_queue_calls_max),
            recent: RecentSettings::resolve(place, raw.recent_age, points_max, redis.as_ref())?,
            redis,
            mqtt,
            webhooks,
            alarms,
            page_origins: origins(&taken(raw.page_origins))?,
            behind_proxy: taken(raw.behind_proxy),
            proxy_protocol: taken(raw.proxy_protocol),
            proxy_protocol_from: trusted_networks(&taken(raw.proxy_protocol_from))?,
            metrics_public: taken(raw.metrics_public),
            connections_max: taken(raw.connections_max),
            pending_per_ip_max: taken(raw.pending_per_ip_max),
            hellos_per_ip_per_minute_max: taken(raw.hellos_per_ip_per_minute_max),
            hellos_per_address_per_minute_max: taken(raw.hellos_per_address_per_minute_max),
            api_requests_per_ip_per_minute_max: taken(raw.api_requests_per_ip_per_minute_max),
            api_requests_per_account_per_minute_max: taken(
                raw.api_requests_per_account_per_minute_max,
            ),
            controllers_max: taken(raw.controllers_max),
            handshake_timeout: positive("handshake_timeout", raw.handshake_timeout)?,
            ping_interval: positive("ping_interval", raw.ping_interval)?,
            slow_peer_timeout: positive("slow_peer_timeout", raw.slow_peer_timeout)?,
            record_bytes_max: taken(raw.record_bytes_max),
            controller_queue_bytes_max: taken(raw.controller_queue_bytes_max),
            tool_queue_bytes_max: taken(raw.tool_queue_bytes_max),
            token_lifetime: positive("token_lifetime", raw.token_lifetime)?,
            login_failures_max: taken(raw.login_failures_max),
            login_delay_min: positive("login_delay_min", raw.login_delay_min)?,
            login_delay_max: positive("login_delay_max", raw.login_delay_max)?,
            installations_per_account_max: taken(raw.installations_per_account_max),
            shards: taken(raw.shards),
            io: taken(raw.io),
            drain_delay: taken(raw.drain_delay).0,
            shutdown_timeout: positive("shutdown_timeout", raw.shutdown_timeout)?,
            log: taken(raw.log),
            log_format: taken(raw.log_format),
        };
        settings.check()
    }
}

impl Settings {
    /// The defaults, resolved.
    ///
    /// # Panics
    /// Never: a test resolves them.
    pub fn defaults() -> Self {
        match RawSettings::default().resolve() {
            Ok(settings) => settings,
            Err(error) => unreachable!("the defaults hold: {error}"),
        }
    }

    /// What is allowed and most likely a mistake: said at the start and by `check-config`.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let http = self.listen_http;
        if !http.ip().is_loopback() && !self.behind_proxy && self.tls.is_none() {
            warnings.push(format!(
                "listen_http: {http} is not a loopback address, and HTTP is plain here: passwords \
                 and log-ins can be read on the way; set tls_certificate and tls_key, or put a TLS \
                 proxy before it and set behind_proxy"
            ));
        }
        if let Some(files) = self.tls.as_ref().filter(|files| files.key_is_open()) {
            warnings.push(format!(
                "tls_key: {} is open to others than its owner; chmod 600 it",
                files.key.display()
            ));
        }
        if self.history_days == 0 {
            warnings.push(
                "history_days: 0 records no history and deletes all that there is, from a minute after the \
                 start on; to record none and keep that until its days are over, set history_points to \"\" \
                 and history_days back"
                    .into(),
            );
        }
        warnings.extend(self.mqtt.iter().filter_map(MqttSettings::warning));
        warnings.extend(self.webhooks.iter().filter_map(WebhookSettings::warning));
        warnings.extend(self.alarms.warnings());
        warnings
    }

    fn check(self) -> Result<Self, ConfigError> {
        let refused = |key, expected, found: String| {
            Err(ConfigError::BadValue {
                key,
                expected,
                found,
            })
        };
        for (key, count) in [
            ("connections_max", self.connections_max),
            ("pending_per_ip_max", self.pending_per_ip_max),
            (
                "hellos_per_ip_per_minute_max",
                self.hellos_per_ip_per_minute_max as usize,
            ),
            (
                "hellos_per_address_per_minute_max",
                self.hellos_per_address_per_minute_max as usize,
            ),
            (
                "api_requests_per_ip_per_minute_max",
                self.api_requests_per_ip_per_minute_max as usize,
            ),
            (
                "api_requests_per_account_per_minute_max",
                self.api_requests_per_account_per_minute_max as usize,
            ),
        ] {
            // With none of these, nobody could ever come in.
            if count == 0 {
                return refused(key, "at least 1", count.to_string());
            }
        }
        if !matches!(self.shards, 1 | 2 | 4 | 8) {
            return refused("shards", "1, 2, 4 or 8", self.shards.to_string());
        }
        // Further back a chart cannot reach in one piece, and the disk is a matter for somebody's thought.
        if self.history_days > 3_660 {
            let found = self.history_days.to_string();
            return refused("history_days", "at most 3660, which are ten years", found);
        }
        // What a gateway's store can take in a minute beside its other work, with room to spare.
        if !(1..=65_536).contains(&self.history_points_max) {
            let found = self.history_points_max.to_string();
            return refused("history_points_max", "1 to 65536", found);
        }
        // The queue's room is taken at the start.
        if !(1..=65_536).contains(&self.store_queue_calls_max) {
            let found = self.store_queue_calls_max.to_string();
            return refused("store_queue_calls_max", "1 to 65536", found);
        }
        // Four segments: one that is written, one made ahead, and two to keep something in.
        if self.journal_bytes_max < 32 << 20 {
            let found = self.journal_bytes_max.to_string();
            return refused("journal_bytes_max", "at least 33554432 bytes", found);
        }
        if usize::from(self.record_bytes_max) < limits::RECORD_BYTES_MIN {
            let found = self.record_bytes_max.to_string();
            return refused("record_bytes_max", "264 to 65535 bytes", found);
        }
        // One frame of the largest size, and as much again before conflation begins.
        if self.tool_queue_bytes_max < 2 * limits::TOOL_MESSAGE_BYTES_MAX {
            let found = self.tool_queue_bytes_max.to_string();
            return refused("tool_queue_bytes_max", "at least 131102 bytes", found);
        }
        if self.controller_queue_bytes_max < 16 * 1024 {
            let found = self.controller_queue_bytes_max.to_string();
            return refused("controller_queue_bytes_max", "at least 16384 bytes", found);
        }
        if self.slow_peer_timeout > limits::SLOW_PEER_TIMEOUT {
            let found = format!("{:?}", self.slow_peer_timeout);
            let expected = "at most 30s, which the protocol promises";
            return refused("slow_peer_timeout", expected, found);
        }
        // Tools ping once a second at most, and controllers every five minutes at least: outside of
        // that this gateway would cut off peers that keep to its word.
        if !(Duration::from_secs(1)..=Duration::from_secs(300)).contains(&self.ping_interval) {
            let found = format!("{:?}", self.ping_interval);
            return refused("ping_interval", "1s to 5m", found);
        }
        // A service manager loses its patience, too: systemd's is 90 s unless the unit says more.
        if self.drain_delay > Duration::from_secs(300) {
            let found = format!("{:?}", self.drain_delay);
            return refused("drain_delay", "at most 5min", found);
        }
        if self.proxy_protocol != ProxiedListeners::Off && self.proxy_protocol_from.is_empty() {
            let expected = "a proxy's address or network, since proxy_protocol is on";
            return refused("proxy_protocol_from", expected, String::new());
        }
        Ok(self)
    }
}

/// A value that the defaults always give.
fn taken<T>(value: Option<T>) -> T {
    match value {
        Some(value) => value,
        None => unreachable!("whatever is asked for here has a default"),
    }
}

fn database(
    mysql_url: Option<Secret>,
    sqlite_path: Option<PathBuf>,
    data: &Path,
) -> Result<Database, ConfigError> {
    let Some(url) = mysql_url.filter(|url| !url.0.is_empty()) else {
        let path = sqlite_path.unwrap_or_else(|| data.join("switchyard.db"));
        return Ok(Database::Sqlite(path));
    };
    // What was found may bear a password.
    if !url.0.starts_with("mysql://") {
        return Err(ConfigError::BadValue {
            key: "mysql_url",
            expected: "mysql://USER:PASSWORD@HOST:3306/DATABASE",
            found: "something else".into(),
        });
    }
    Ok(Database::MySql(url))
}

fn positive(key: &'static str, value: Option<Span>) -> Result<Duration, ConfigError> {
    let Span(duration) = taken(value);
    if duration.is_zero() {
        let found = "0".into();
        return Err(ConfigError::BadValue {
            key,
            expected: "a duration above zero",
            found,
        });
    }
    Ok(duration)
}

fn socket_addr(key: &'static str, text: &str) -> Result<SocketAddr, ConfigError> {
    text.to_socket_addrs()
        .ok()
        .and_then(|mut found| found.next())
        .ok_or_else(|| ConfigError::BadValue {
            key,
            expected: "HOST:NUMBER, such as 0.0.0.0:7400",
            found: text.into(),
        })
}

fn history_points(text: &str) -> Result<Choice, ConfigError> {
    text.parse()
        .map_err(|crate::history::NotAChoice(word)| ConfigError::BadValue {
            key: "history_points",
            expected: "analogue, digital_outputs, digital_inputs or CONTROLLER/POINT, separated by spaces",
            found: word,
        })
}

fn trusted_networks(text: &str) -> Result<Vec<TrustedNetwork>, ConfigError> {
    text.split_whitespace()
        .map(|network| {
            network.parse().map_err(|_| ConfigError::BadValue {
                key: "proxy_protocol_from",
                expected: "addresses and networks such as 10.0.0.7 or 10.0.0.0/8",
                found: network.into(),
            })
        })
        .collect()
}

fn origins(text: &str) -> Result<Vec<String>, ConfigError> {
    text.split_whitespace()
        .map(|origin| {
            let host = origin
                .strip_prefix("https://")
                .or_else(|| origin.strip_prefix("http://"));
            match host {
                Some(host) if !host.is_empty() && !host.contains('/') => Ok(origin.to_lowercase()),
                _ => Err(ConfigError::BadValue {
                    key: "page_origins",
                    expected: "origins such as https://yard.example.org",
                    found: origin.into(),
                }),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
