//! Who is told of events, of which, and by which secret.

use crate::{
    config::{ConfigError, Secret, secret::read_secret, url::tcp_port},
    endpoint,
    outward::Happening,
};
use axum::http::Uri;
use base64::Engine as _;
use serde::Deserialize;
use std::{collections::BTreeSet, fmt, path::PathBuf};
use switchyard_protocol::{Address, SiteId};

/// Targets: each costs a task, a queue, and for a choice of sites of its own a subscription.
const TARGETS_MAX: usize = 16;
/// Bytes of a URL.
const URL_BYTES_MAX: usize = 2_048;
/// Bytes of a secret: less can be guessed.
const SECRET_BYTES_MIN: usize = 16;
/// Sites and controllers that one target may name.
const NAMED_MAX: usize = 1_024;
/// What a secret begins with that is told in base64, as in the convention for webhooks that many follow.
const SECRET_MARK: &str = "whsec_";

/// A target as people write it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawWebhook {
    /// Where to; `https://` or `http://`.
    pub url: Option<Secret>,
    /// What requests are signed with.
    pub secret: Option<Secret>,
    /// The file that it is in, instead.
    pub secret_file: Option<PathBuf>,
    /// The variable of the environment that it is in, instead.
    pub secret_environment: Option<String>,
    /// What is told; all of it without.
    pub events: Option<Vec<Told>>,
    /// Of which sites; of all controllers without.
    pub sites: Option<Vec<u32>>,
    /// Of which controllers of those; of all without.
    pub controllers: Option<Vec<u32>>,
    /// Whether the target may be on this host or in a private network.
    pub allow_private: Option<bool>,
    /// The authorities that are believed, in place of those that the host trusts.
    pub ca_file: Option<PathBuf>,
}

/// What there is to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// What a script tells.
    Event,
    /// That it raises an alarm, and that it is over.
    Alarm,
    /// That a controller came or went.
    Presence,
}

impl Told {
    const ALL: [Told; 3] = [Told::Event, Told::Alarm, Told::Presence];

    /// What a script's word counts as.
    pub(crate) fn of(happening: &Happening) -> Self {
        match happening.is_alarm() {
            true => Told::Alarm,
            false => Told::Event,
        }
    }
}

/// Somebody who is told of events.
#[derive(Clone, PartialEq)]
pub struct WebhookSettings {
    /// Where to.
    pub url: Uri,
    /// What requests are signed with: the bytes themselves.
    pub secret: Vec<u8>,
    /// What is told.
    pub events: BTreeSet<Told>,
    /// Of which sites; of all controllers without any.
    pub sites: BTreeSet<SiteId>,
    /// Of which controllers of those; of all without any.
    pub controllers: BTreeSet<Address>,
    /// Whether the target may be on this host or in a private network.
    pub allow_private: bool,
    /// The authorities that are believed, in place of those that the host trusts.
    pub ca_file: Option<PathBuf>,
}

impl fmt::Debug for WebhookSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookSettings")
            .field("target", &self.target())
            .field("events", &self.events)
            .field("sites", &self.sites)
            .field("controllers", &self.controllers)
            .field("allow_private", &self.allow_private)
            .field("ca_file", &self.ca_file)
            .finish_non_exhaustive()
    }
}

impl WebhookSettings {
    /// All of them.
    ///
    /// # Errors
    /// Says what is expected, and of the how manieth. A URL may bear a secret and is never told.
    pub(crate) fn resolve(raw: &[RawWebhook]) -> Result<Vec<Self>, ConfigError> {
        if raw.len() > TARGETS_MAX {
            return refused(raw.len(), "at most 16 of them");
        }
        let targets = raw.iter().enumerate();
        targets
            .map(|(index, raw)| Self::resolve_one(index + 1, raw))
            .collect()
    }

    fn resolve_one(number: usize, raw: &RawWebhook) -> Result<Self, ConfigError> {
        let wanted = "url = \"https://HOST/PATH\", or http://, without user and password";
        let url = raw.url.as_ref().map_or("", |url| &*url.0);
        let uri: Option<Uri> = url.parse().ok();
        let is_good = |uri: &Uri| {
            let host = uri.host().unwrap_or_default();
            let is_http = matches!(uri.scheme_str(), Some("https" | "http"));
            is_http
                && !host.is_empty()
                && !uri.authority().is_some_and(|it| it.as_str().contains('@'))
        };
        let Some(url) = uri.filter(|uri| url.len() <= URL_BYTES_MAX && is_good(uri)) else {
            return refused(number, wanted);
        };
        if tcp_port(&url).is_err() {
            return refused(number, "a URL with a TCP port from 1 to 65535, or none");
        }
        let named = [&raw.sites, &raw.controllers];
        if named.into_iter().flatten().any(|it| it.len() > NAMED_MAX) {
            return refused(number, "at most 1024 sites, and as many controllers");
        }
        let sites = raw.sites.iter().flatten().map(|&number| SiteId(number));
        let controllers = raw.controllers.iter().flatten();
        let controllers = controllers.map(|&number| Address(number));
        let (sites, controllers): (BTreeSet<_>, BTreeSet<_>) =
            (sites.collect(), controllers.collect());
        if sites.contains(&SiteId(0)) || !controllers.iter().all(|it| it.is_controller()) {
            return refused(
                number,
                "sites from 1 on, and controllers from 1 to 2147483647",
            );
        }
        let events: BTreeSet<_> = match &raw.events {
            None => Told::ALL.into(),
            Some(events) => events.iter().copied().collect(),
        };
        if events.is_empty() {
            return refused(number, "events = some of event, alarm and presence");
        }
        Ok(WebhookSettings {
            url,
            secret: secret(number, raw)?,
            events,
            sites,
            controllers,
            allow_private: raw.allow_private == Some(true),
            ca_file: raw.ca_file.clone(),
        })
    }

    /// What is allowed and most likely a mistake.
    pub(crate) fn warning(&self) -> Option<String> {
        (!endpoint::is_tls(&self.url) && !self.allow_private).then(|| {
            let target = self.target();
            format!("webhooks: what is told to {target} can be read on the way; use https://")
        })
    }

    /// By what it is told apart in the log: a path may be as good as a password.
    pub(crate) fn target(&self) -> String {
        endpoint::target(&self.url)
    }
}

fn refused<T>(number: usize, expected: &'static str) -> Result<T, ConfigError> {
    Err(ConfigError::BadValue {
        key: "webhooks",
        expected,
        found: format!("number {number}"),
    })
}

fn secret(number: usize, raw: &RawWebhook) -> Result<Vec<u8>, ConfigError> {
    let variable = raw.secret_environment.as_ref();
    let given = [
        raw.secret.is_some(),
        raw.secret_file.is_some(),
        variable.is_some(),
    ];
    if given.into_iter().filter(|it| *it).count() != 1 {
        let wanted = "one of secret, secret_file and secret_environment";
        return refused(number, wanted);
    }
    let text = match (&raw.secret, &raw.secret_file, variable) {
        (Some(secret), ..) => secret.0.clone(),
        (_, Some(path), _) => read_secret("webhooks", path)?.0,
        (.., Some(variable)) => std::env::var(variable).unwrap_or_default(),
        _ => String::new(),
    };
    let bytes = match text.strip_prefix(SECRET_MARK) {
        None => Some(text.into_bytes()),
        Some(digits) => base64::engine::general_purpose::STANDARD
            .decode(digits)
            .ok(),
    };
    match bytes.filter(|bytes| bytes.len() >= SECRET_BYTES_MIN) {
        Some(bytes) => Ok(bytes),
        None => refused(
            number,
            "a secret of at least 16 bytes, or whsec_ and as many in base64",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw() -> RawWebhook {
        RawWebhook {
            url: Some(Secret(
                "https://hooks.example.org:8443/T000/hush?k=v".into(),
            )),
            secret: Some(Secret("sixteen bytes or more".into())),
            ..RawWebhook::default()
        }
    }

    fn one(raw: RawWebhook) -> Result<WebhookSettings, String> {
        let resolved = WebhookSettings::resolve(&[raw]);
        resolved
            .map(|mut all| all.remove(0))
            .map_err(|it| it.to_string())
    }

    #[test]
    fn a_target_is_read_and_its_path_kept_out_of_sight() {
        let hook = one(raw()).unwrap();
        assert_eq!(
            (endpoint::host(&hook.url), endpoint::tcp_port(&hook.url)),
            ("hooks.example.org", 8_443)
        );
        assert_eq!(hook.target(), "https://hooks.example.org:8443");
        assert_eq!(hook.events.len(), 3);
        assert!(!hook.allow_private && hook.warning().is_none());
        let shown = format!("{hook:?}{:?}", raw());
        assert!(
            !shown.contains("hush") && !shown.contains("sixteen"),
            "{shown}"
        );
        let plain = RawWebhook {
            url: Some(Secret("http://[2001:db8::1]/".into())),
            secret: Some(Secret("whsec_MDEyMzQ1Njc4OWFiY2RlZg==".into())),
            events: Some(vec![Told::Alarm]),
            ..raw()
        };
        let plain = one(plain).unwrap();
        assert_eq!(
            (endpoint::host(&plain.url), endpoint::tcp_port(&plain.url)),
            ("2001:db8::1", 80)
        );
        assert_eq!(plain.secret, b"0123456789abcdef");
        assert!(plain.warning().is_some());
    }

    #[test]
    fn what_could_not_work_is_refused() {
        let url = |text: &str| Some(Secret(text.into()));
        for raw in [
            RawWebhook { url: None, ..raw() },
            RawWebhook {
                url: url("ftp://a/"),
                ..raw()
            },
            RawWebhook {
                url: url("https:///"),
                ..raw()
            },
            RawWebhook {
                url: url("https://li:hush@a/"),
                ..raw()
            },
            RawWebhook {
                url: url("https://a:99999/"),
                ..raw()
            },
            RawWebhook {
                secret: None,
                ..raw()
            },
            RawWebhook {
                secret: Some(Secret("short hush".into())),
                ..raw()
            },
            RawWebhook {
                secret: Some(Secret("whsec_%".into())),
                ..raw()
            },
            RawWebhook {
                secret_file: Some("/nowhere".into()),
                ..raw()
            },
            RawWebhook {
                secret: None,
                secret_file: Some("/nowhere".into()),
                ..raw()
            },
            RawWebhook {
                secret: None,
                secret_environment: Some("NOT_SET".into()),
                ..raw()
            },
            RawWebhook {
                events: Some(Vec::new()),
                ..raw()
            },
            RawWebhook {
                sites: Some(vec![0]),
                ..raw()
            },
            RawWebhook {
                controllers: Some(vec![u32::MAX]),
                ..raw()
            },
        ] {
            let message = one(raw).unwrap_err();
            assert!(message.starts_with("webhooks: expected"), "{message}");
            assert!(!message.contains("hush"), "{message}");
        }
        let many = vec![raw(); TARGETS_MAX + 1];
        assert!(WebhookSettings::resolve(&many).is_err());
    }
}
