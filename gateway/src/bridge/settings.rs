//! The broker, what is told to it, and whether it may command.

use crate::config::{
    ConfigError, RawSettings, Secret,
    secret::read_secret,
    url::{self, NotATcpPort},
};
use axum::http::Uri;
use std::{path::PathBuf, time::Duration};
use switchyard_protocol::{Address, SiteId};

/// Bytes of a prefix: it is part of every topic.
const PREFIX_BYTES_MAX: usize = 64;
/// Bytes of a client's name that every broker takes; most take more.
const CLIENT_ID_BYTES_MAX: usize = 64;
/// Bytes of a user's name: what the protocol's length can say is far more than anybody types.
const USER_BYTES_MAX: usize = 256;
/// Sites and controllers that may be named: a setting is a line that people read.
const NAMED_MAX: usize = 1_024;

/// What the MQTT bridge works by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MqttSettings {
    /// The broker's name or IP address.
    pub host: String,
    /// Its TCP port.
    pub tcp_port: u16,
    /// Whether it is spoken to by TLS.
    pub tls: bool,
    /// The authorities that are believed, in place of those that the host trusts.
    pub ca_file: Option<PathBuf>,
    /// As whom to log in there.
    pub user: Option<String>,
    /// And by what.
    pub password: Option<Secret>,
    /// What the broker knows this gateway by; made from the data folder's own number without.
    pub client_id: Option<String>,
    /// What all topics begin with.
    pub prefix: String,
    /// What topics of Home Assistant's discovery begin with, if there is to be any.
    pub discovery: Option<String>,
    /// Whether commands are taken from the broker.
    pub commands: bool,
    /// The sites whose controllers are told of; all controllers without any.
    pub sites: Vec<SiteId>,
    /// Of those, the controllers that are told of; all of them without any.
    pub controllers: Vec<Address>,
    /// How often the broker is asked whether it is there.
    pub keep_alive: Duration,
}

impl MqttSettings {
    /// None without a URL, or with an empty one.
    ///
    /// # Errors
    /// Names the setting and what it wants. A password is never told.
    pub(crate) fn resolve(raw: &RawSettings) -> Result<Option<Self>, ConfigError> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let Some(url) = given(&raw.mqtt_url) else {
            return Ok(None);
        };
        let (host, tcp_port, tls) = broker(&url)?;
        let user = given(&raw.mqtt_user);
        let password = password(raw)?;
        if user.as_ref().is_some_and(|it| it.len() > USER_BYTES_MAX) {
            return refused("mqtt_user", "at most 256 bytes", "more");
        }
        if user.is_none() && password.is_some() {
            return refused("mqtt_user", "a name, since there is a password", "none");
        }
        let client_id = given(&raw.mqtt_client_id);
        if let Some(client_id) = &client_id
            && (client_id.len() > CLIENT_ID_BYTES_MAX || !is_visible(client_id))
        {
            let wanted = "1 to 64 visible ASCII characters";
            return refused("mqtt_client_id", wanted, client_id);
        }
        let discovery = prefix("mqtt_discovery_prefix", &raw.mqtt_discovery_prefix)?;
        let keep_alive = raw.mqtt_keep_alive.map(|span| span.0).unwrap_or_default();
        // The protocol counts seconds; a broker that is gone should be noticed within minutes.
        if !(Duration::from_secs(1)..=Duration::from_secs(300)).contains(&keep_alive) {
            let found = format!("{keep_alive:?}");
            return refused("mqtt_keep_alive", "1s to 5min", &found);
        }
        Ok(Some(MqttSettings {
            host,
            tcp_port,
            tls,
            ca_file: raw
                .mqtt_ca_file
                .clone()
                .filter(|it| !it.as_os_str().is_empty()),
            user,
            password,
            client_id,
            prefix: prefix("mqtt_prefix", &raw.mqtt_prefix)?,
            discovery: Some(discovery).filter(|_| raw.mqtt_discovery == Some(true)),
            commands: raw.mqtt_commands == Some(true),
            sites: numbers("mqtt_sites", &raw.mqtt_sites, |text| text.parse().ok())?,
            controllers: numbers("mqtt_controllers", &raw.mqtt_controllers, |text| {
                let address: Option<Address> = text.parse().ok();
                address.filter(|it| it.is_controller())
            })?,
            keep_alive,
        }))
    }

    /// What is allowed and most likely a mistake.
    pub(crate) fn warning(&self) -> Option<String> {
        let is_here = self.host == "localhost"
            || self
                .bare_host()
                .parse()
                .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        (!self.tls && !is_here && self.password.is_some()).then(|| {
            let host = &self.host;
            format!(
                "mqtt_url: the password for {host} can be read on the way; use mqtts:// where the broker \
                 speaks TLS"
            )
        })
    }

    /// The host without the brackets of an IPv6 address.
    pub(crate) fn bare_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }
}

fn refused<T>(key: &'static str, expected: &'static str, found: &str) -> Result<T, ConfigError> {
    Err(ConfigError::BadValue {
        key,
        expected,
        found: found.into(),
    })
}

fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Host, TCP port, and whether by TLS.
fn broker(url: &str) -> Result<(String, u16, bool), ConfigError> {
    let wanted = "mqtt://HOST:1883 or mqtts://HOST:8883";
    if url.contains('@') {
        // What was found may bear a password.
        let wanted = "a URL without user and password, which have settings of their own";
        return refused("mqtt_url", wanted, "***");
    }
    let parsed: Option<Uri> = url.parse().ok();
    let Some((uri, host)) = parsed.as_ref().and_then(|uri| Some((uri, uri.host()?))) else {
        return refused("mqtt_url", wanted, url);
    };
    let (tls, tcp_port) = match uri.scheme_str() {
        Some("mqtt") => (false, 1_883),
        Some("mqtts") => (true, 8_883),
        _ => return refused("mqtt_url", wanted, url),
    };
    match url::tcp_port(uri) {
        Ok(named)
            if !host.is_empty() && matches!(uri.path(), "" | "/") && uri.query().is_none() =>
        {
            Ok((host.into(), named.unwrap_or(tcp_port), tls))
        }
        Err(NotATcpPort) => refused("mqtt_url", "a TCP port from 1 to 65535", url),
        Ok(_) => refused("mqtt_url", wanted, url),
    }
}

fn password(raw: &RawSettings) -> Result<Option<Secret>, ConfigError> {
    let given = raw.mqtt_password.clone().filter(|it| !it.0.is_empty());
    let file = raw.mqtt_password_file.as_ref();
    match (given, file.filter(|it| !it.as_os_str().is_empty())) {
        (Some(_), Some(_)) => {
            let wanted = "either this or mqtt_password_file";
            refused("mqtt_password", wanted, "both")
        }
        (given, None) => Ok(given),
        (None, Some(path)) => read_secret("mqtt_password_file", path).map(Some),
    }
}

/// Levels of a topic without wildcards, that other things can be put behind.
fn prefix(key: &'static str, text: &Option<String>) -> Result<String, ConfigError> {
    let text = text.as_deref().unwrap_or_default();
    let is_plain = text.split('/').all(|level| !level.is_empty())
        && !text.contains(['+', '#'])
        && !text.starts_with('$')
        && is_visible(text);
    if !is_plain || text.len() > PREFIX_BYTES_MAX {
        let wanted =
            "levels such as home/yard: at most 64 visible ASCII characters without + and #";
        return refused(key, wanted, text);
    }
    Ok(text.into())
}

/// Numbers separated by spaces.
fn numbers<T>(
    key: &'static str,
    text: &Option<String>,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, ConfigError> {
    let mut numbers = Vec::new();
    for word in text.as_deref().unwrap_or_default().split_whitespace() {
        let number = parse(word);
        match number.filter(|_| numbers.len() < NAMED_MAX) {
            Some(number) => numbers.push(number),
            None => return refused(key, "at most 1024 numbers separated by spaces", word),
        }
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Span;

    fn raw(url: &str) -> RawSettings {
        RawSettings {
            mqtt_url: Some(url.into()),
            ..RawSettings::default()
        }
        .or(RawSettings::defaults())
    }

    #[test]
    fn a_broker_is_a_host_and_nothing_else() {
        for (url, host, tcp_port, tls) in [
            ("mqtt://broker", "broker", 1_883, false),
            ("mqtts://broker/", "broker", 8_883, true),
            ("mqtt://10.0.0.7:1884", "10.0.0.7", 1_884, false),
            ("mqtts://[::1]:7", "::1", 7, true),
        ] {
            let settings = MqttSettings::resolve(&raw(url)).unwrap().unwrap();
            let found = (settings.bare_host(), settings.tcp_port, settings.tls);
            assert_eq!(found, (host, tcp_port, tls), "{url}");
            assert!(!settings.commands, "commands are off by themselves");
            assert_eq!(settings.discovery.as_deref(), Some("homeassistant"));
        }
        assert_eq!(MqttSettings::resolve(&raw("")).unwrap(), None);
        for url in [
            "broker",
            "http://broker",
            "mqtt://",
            "mqtt://broker:0",
            "mqtt://broker:99999",
            "mqtt://broker/topic",
            "mqtt://li:secret@broker",
        ] {
            let message = MqttSettings::resolve(&raw(url)).unwrap_err().to_string();
            assert!(message.starts_with("mqtt_url: expected "), "{message}");
            assert!(!message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn what_could_not_work_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let base = || raw("mqtt://broker");
        let text = |text: &str| Some(text.to_owned());
        let secret = || Some(Secret("hush".into()));
        for (raw, key) in [
            (
                RawSettings {
                    mqtt_password: secret(),
                    ..base()
                },
                "mqtt_user",
            ),
            (
                RawSettings {
                    mqtt_user: text("li"),
                    mqtt_password: secret(),
                    mqtt_password_file: Some(folder.path().join("none")),
                    ..base()
                },
                "mqtt_password",
            ),
            (
                RawSettings {
                    mqtt_user: text("li"),
                    mqtt_password_file: Some(folder.path().join("none")),
                    ..base()
                },
                "mqtt_password_file",
            ),
            (
                RawSettings {
                    mqtt_prefix: text("a/+"),
                    ..base()
                },
                "mqtt_prefix",
            ),
            (
                RawSettings {
                    mqtt_prefix: text("/a"),
                    ..base()
                },
                "mqtt_prefix",
            ),
            (
                RawSettings {
                    mqtt_prefix: text("$SYS"),
                    ..base()
                },
                "mqtt_prefix",
            ),
            (
                RawSettings {
                    mqtt_discovery_prefix: text(""),
                    ..base()
                },
                "mqtt_discovery_prefix",
            ),
            (
                RawSettings {
                    mqtt_client_id: text("a b"),
                    ..base()
                },
                "mqtt_client_id",
            ),
            (
                RawSettings {
                    mqtt_sites: text("0"),
                    ..base()
                },
                "mqtt_sites",
            ),
            (
                RawSettings {
                    mqtt_controllers: text("0"),
                    ..base()
                },
                "mqtt_controllers",
            ),
            (
                RawSettings {
                    mqtt_keep_alive: Some(Span(Duration::from_millis(1))),
                    ..base()
                },
                "mqtt_keep_alive",
            ),
        ] {
            let message = MqttSettings::resolve(&raw).unwrap_err().to_string();
            assert!(
                message.starts_with(&format!("{key}: expected")),
                "{message}"
            );
            assert!(!message.contains("hush"), "{message}");
        }
    }

    #[test]
    fn a_password_comes_from_a_file_and_is_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "hush hush\n").unwrap();
        let raw = RawSettings {
            mqtt_user: Some("li".into()),
            mqtt_password_file: Some(file),
            mqtt_sites: Some("1 2".into()),
            mqtt_controllers: Some("100042".into()),
            mqtt_discovery: Some(false),
            ..raw("mqtt://broker")
        };
        let settings = MqttSettings::resolve(&raw).unwrap().unwrap();
        assert_eq!(settings.password, Some(Secret("hush hush".into())));
        assert_eq!(settings.sites, [SiteId(1), SiteId(2)]);
        assert_eq!(settings.controllers, [Address(100_042)]);
        assert_eq!(settings.discovery, None);
        let shown = format!("{settings:?}");
        assert!(!shown.contains("hush"), "{shown}");
        assert!(
            settings
                .warning()
                .unwrap()
                .starts_with("mqtt_url: the password")
        );
    }
}
