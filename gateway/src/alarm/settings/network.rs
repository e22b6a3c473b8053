//! What tells people over the network, as the host sets it up.

use super::{RawLimits, refused, secret, span};
use crate::{
    alarm::channel::{
        email::{EmailSettings, Encryption},
        messages::{NetworkSettings, ProviderUse},
        ntfy::NtfySettings,
        provider::{ProviderSettings, callback_base},
        webhook::WebhookSettings,
    },
    config::{ConfigError, Secret, Span},
};
use serde::Deserialize;
use std::path::PathBuf;

/// Bytes of a secret: less can be guessed.
const SECRET_BYTES_MIN: usize = 16;

/// A mail server, as people write it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawEmail {
    /// The server's name.
    pub host: Option<String>,
    /// Its TCP port; the usual one of its encryption unless set.
    pub tcp_port: Option<u16>,
    /// `starttls`, `tls` or, to this host alone, `none`.
    pub encryption: Option<String>,
    /// Whom e-mails are from.
    pub from: Option<String>,
    /// Who logs in.
    pub user: Option<String>,
    /// With what.
    pub password: Option<Secret>,
    /// The file that it is in, instead.
    pub password_file: Option<PathBuf>,
    /// The authorities that are believed, in place of those that the host trusts.
    pub ca_file: Option<PathBuf>,
    /// What it may cost.
    #[serde(default)]
    pub limits: RawLimits,
}

/// A push service, as people write it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawNtfy {
    /// Where it is.
    pub base_url: Option<Secret>,
    /// An access token.
    pub token: Option<Secret>,
    /// The file that it is in, instead.
    pub token_file: Option<PathBuf>,
    /// Whether it may be on this host or in a private network.
    pub allow_private: Option<bool>,
    /// The authorities that are believed.
    pub ca_file: Option<PathBuf>,
    /// What it may cost.
    #[serde(default)]
    pub limits: RawLimits,
}

/// A provider of calls and short messages, as people write it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawProvider {
    /// Where it is.
    pub base_url: Option<Secret>,
    /// The account.
    pub account: Option<String>,
    /// What proves it.
    pub token: Option<Secret>,
    /// The file that it is in, instead.
    pub token_file: Option<PathBuf>,
    /// Whom calls and messages are from.
    pub from: Option<String>,
    /// Whether it calls.
    pub calls: Option<bool>,
    /// Whether it sends short messages.
    pub sms: Option<bool>,
    /// How long a telephone rings.
    pub ring_limit: Option<Span>,
    /// Where it reaches this gateway; it does not unless set.
    pub callback_url: Option<String>,
    /// Whether it may be on this host or in a private network.
    pub allow_private: Option<bool>,
    /// The authorities that are believed.
    pub ca_file: Option<PathBuf>,
    /// What it may cost.
    #[serde(default)]
    pub limits: RawLimits,
}

/// How programs of people's own are told, as people write it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawProgram {
    /// What requests are signed with.
    pub secret: Option<Secret>,
    /// The file that it is in, instead.
    pub secret_file: Option<PathBuf>,
    /// Whether programs may be on this host or in a private network.
    pub allow_private: Option<bool>,
    /// The authorities that are believed.
    pub ca_file: Option<PathBuf>,
    /// What it may cost.
    #[serde(default)]
    pub limits: RawLimits,
}

/// All of them.
pub(super) fn resolve(
    email: Option<&RawEmail>,
    ntfy: Option<&RawNtfy>,
    provider: Option<&RawProvider>,
    webhook: Option<&RawProgram>,
    page_url: Option<String>,
) -> Result<NetworkSettings, ConfigError> {
    Ok(NetworkSettings {
        email: match email {
            None => None,
            Some(raw) => Some((
                raw.resolve()?,
                raw.limits.resolve("alarms.email.limits", 4)?,
            )),
        },
        ntfy: match ntfy {
            None => None,
            Some(raw) => Some((raw.resolve()?, raw.limits.resolve("alarms.ntfy.limits", 4)?)),
        },
        provider: match provider {
            None => None,
            Some(raw) => Some(raw.resolve()?),
        },
        webhook: match webhook {
            None => None,
            Some(raw) => Some((
                raw.resolve()?,
                raw.limits.resolve("alarms.webhook.limits", 4)?,
            )),
        },
        page_url,
    })
}

impl RawEmail {
    fn resolve(&self) -> Result<EmailSettings, ConfigError> {
        let Some(host) = self.host.clone().filter(|it| !it.is_empty()) else {
            return refused("alarms.email.host", "a mail server's name", "none");
        };
        let (encryption, usual) = match self.encryption.as_deref().unwrap_or("starttls") {
            "starttls" => (Encryption::StartTls, 587),
            "tls" => (Encryption::Implicit, 465),
            "none" => (Encryption::Clear, 25),
            other => return refused("alarms.email.encryption", "starttls, tls or none", other),
        };
        let Some(from) = self.from.clone() else {
            return refused(
                "alarms.email.from",
                "a sender such as alarms@example.org",
                "none",
            );
        };
        let key = "alarms.email.password";
        let password = secret(key, self.password.as_ref(), self.password_file.as_ref())?;
        let login = match (&self.user, password) {
            (Some(user), Some(password)) => Some((user.clone(), Secret(password))),
            (None, None) => None,
            _ => return refused(key, "user and password, or neither", "one of them"),
        };
        Ok(EmailSettings {
            host,
            tcp_port: self.tcp_port.unwrap_or(usual),
            encryption,
            from,
            login,
            ca_file: self.ca_file.clone(),
        })
    }
}

impl RawNtfy {
    fn resolve(&self) -> Result<NtfySettings, ConfigError> {
        let key = "alarms.ntfy.token";
        let token = secret(key, self.token.as_ref(), self.token_file.as_ref())?;
        Ok(NtfySettings {
            base_url: self
                .base_url
                .clone()
                .unwrap_or(Secret("https://ntfy.sh".into())),
            token: token.map(Secret),
            allow_private: self.allow_private.unwrap_or(false),
            ca_file: self.ca_file.clone(),
        })
    }
}

impl RawProvider {
    fn resolve(&self) -> Result<ProviderUse, ConfigError> {
        let key = "alarms.provider.token";
        let token = secret(key, self.token.as_ref(), self.token_file.as_ref())?;
        let (Some(account), Some(token)) = (self.account.clone(), token) else {
            return refused(key, "account and token", "only one of them, or none");
        };
        let from = self.from.as_deref().unwrap_or_default();
        let Ok(from) = from.parse() else {
            return refused("alarms.provider.from", "a telephone number", from);
        };
        let usual = Secret("https://api.twilio.com".into());
        let client = ProviderSettings {
            base_url: self.base_url.clone().unwrap_or(usual),
            account,
            token: Secret(token),
            from,
            allow_private: self.allow_private.unwrap_or(false),
            ca_file: self.ca_file.clone(),
        };
        let (calls, sms) = (self.calls.unwrap_or(false), self.sms.unwrap_or(true));
        if !calls && !sms {
            let expected = "calls or sms, or no table [alarms.provider]";
            return refused("alarms.provider.sms", expected, "neither");
        }
        // Not the page's: that is for people, and often no provider reaches it.
        let callback_url = match self.callback_url.as_deref() {
            None => None,
            Some(url) => Some(
                callback_base(url)
                    .or_else(|expected| refused("alarms.provider.callback_url", expected, url))?,
            ),
        };
        if calls && callback_url.is_none() {
            return refused(
                "alarms.provider.callback_url",
                "the public URL of this gateway, since the provider asks it what to say in a call; \
                 or calls = false",
                "none",
            );
        }
        Ok(ProviderUse {
            client,
            limits: self.limits.resolve("alarms.provider.limits", 4)?,
            calls,
            sms,
            ring_limit: span("alarms.provider.ring_limit", self.ring_limit, 40, (5, 180))?,
            callback_url,
        })
    }
}

impl RawProgram {
    fn resolve(&self) -> Result<WebhookSettings, ConfigError> {
        let key = "alarms.webhook.secret";
        let secret = secret(key, self.secret.as_ref(), self.secret_file.as_ref())?;
        let secret = secret.unwrap_or_default();
        if secret.len() < SECRET_BYTES_MIN {
            return refused(key, "at least 16 bytes, or a file that they are in", "less");
        }
        Ok(WebhookSettings {
            secret: secret.into_bytes(),
            allow_private: self.allow_private.unwrap_or(false),
            ca_file: self.ca_file.clone(),
        })
    }
}
