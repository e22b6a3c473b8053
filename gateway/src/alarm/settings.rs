//! By what people are told, as the host sets it up: the table `[alarms]` of the settings.

mod network;

pub use network::{RawEmail, RawNtfy, RawProgram, RawProvider};

use super::{channel::messages::NetworkSettings, desk::ChannelLimits};
use crate::config::{ConfigError, Secret, Span, secret::read_secret};
use serde::Deserialize;
use std::{fmt, path::PathBuf, time::Duration};
use switchyard_telephone::{Password, Transport, TrunkSettings, modem};

/// How long alarms are kept that are over, unless another number of days is set.
const DAYS_DEFAULT: u32 = 400;
/// Prefixes of numbers.
const PREFIXES_MAX: usize = 64;
/// The most attempts of a channel at the same time.
const AT_ONCE_MAX: usize = 64;

/// The table as people write it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawAlarms {
    /// How long alarms are kept that are over, in days.
    pub days: Option<u32>,
    /// A URL of somebody outside who is asked for as long as all is well.
    pub heartbeat_url: Option<Secret>,
    /// How often.
    pub heartbeat_interval: Option<Span>,
    /// How texts are spoken.
    #[serde(default)]
    pub speech: RawSpeech,
    /// A telephone trunk.
    pub sip: Option<RawSip>,
    /// A GSM modem.
    pub modem: Option<RawModem>,
    /// A mail server.
    pub email: Option<RawEmail>,
    /// A push service in the form of ntfy.
    pub ntfy: Option<RawNtfy>,
    /// A provider of calls and short messages in the form of Twilio.
    pub provider: Option<RawProvider>,
    /// How programs of people's own are told.
    pub webhook: Option<RawProgram>,
    /// Where people find the page: what opens when a push message is touched.
    pub page_url: Option<String>,
}

/// How texts are spoken, as people write it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawSpeech {
    /// The program that speaks.
    pub program: Option<PathBuf>,
    /// Its voice for English.
    pub english_voice: Option<String>,
    /// Its voice for Chinese.
    pub chinese_voice: Option<String>,
    /// How fast it speaks.
    pub words_each_minute: Option<u16>,
    /// Recordings of what every call says.
    pub clip_folder: Option<PathBuf>,
}

/// What each channel may cost, as people write it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawLimits {
    /// At the same time.
    pub at_once_max: Option<usize>,
    /// In an hour.
    pub per_hour_max: Option<usize>,
    /// In a day.
    pub per_day_max: Option<usize>,
    /// What numbers have to begin with.
    pub prefixes: Option<Vec<String>>,
}

/// A trunk, as people write it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawSip {
    /// Where it is.
    pub server: Option<String>,
    /// `udp`, `tcp` or `tls`.
    pub transport: Option<String>,
    /// The account.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<Secret>,
    /// The file that it is in, instead.
    pub password_file: Option<PathBuf>,
    /// The number that is said to call.
    pub caller: Option<String>,
    /// The name that is said to call.
    pub display_name: Option<String>,
    /// A proxy.
    pub proxy: Option<String>,
    /// Whether it wants to be told where we are.
    pub registers: Option<bool>,
    /// The authorities that may vouch for it.
    pub ca_file: Option<PathBuf>,
    /// The address that it sees us by.
    pub public_ip: Option<std::net::IpAddr>,
    /// The first and the last UDP number for sound.
    pub sound_udp_ports: Option<(u16, u16)>,
    /// How long a telephone rings.
    pub ring_limit: Option<Span>,
    /// How long a call lasts.
    pub talk_limit: Option<Span>,
    /// What it may cost.
    #[serde(default)]
    pub limits: RawLimits,
}

/// A modem, as people write it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawModem {
    /// Its serial port.
    pub serial_port: Option<PathBuf>,
    /// Its rate.
    pub baud: Option<u32>,
    /// The PIN of its SIM.
    pub pin: Option<Secret>,
    /// The file that it is in, instead.
    pub pin_file: Option<PathBuf>,
    /// Whether it calls.
    pub calls: Option<bool>,
    /// Whether it sends short messages.
    pub sms: Option<bool>,
    /// How long a telephone rings.
    pub ring_limit: Option<Span>,
    /// What it may cost.
    #[serde(default)]
    pub limits: RawLimits,
}

/// The table, resolved.
#[derive(Clone, Default, PartialEq)]
pub struct AlarmSettings {
    pub(crate) days: u32,
    pub(crate) heartbeat: Option<(Secret, Duration)>,
    pub(crate) speech: RawSpeech,
    pub(crate) sip: Option<SipSettings>,
    pub(crate) modem: Option<ModemSettings>,
    pub(crate) network: NetworkSettings,
}

/// A trunk and how it is used.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SipSettings {
    pub(crate) trunk: TrunkSettings,
    pub(crate) ring_limit: Duration,
    pub(crate) limits: ChannelLimits,
    pub(crate) ca_file: Option<PathBuf>,
}

/// A modem and how it is used.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ModemSettings {
    pub(crate) modem: modem::ModemSettings,
    pub(crate) calls: bool,
    pub(crate) sms: bool,
    pub(crate) ring_limit: Duration,
    pub(crate) limits: ChannelLimits,
}

impl fmt::Debug for AlarmSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlarmSettings")
            .field("days", &self.days)
            .field("sip", &self.sip.is_some())
            .field("modem", &self.modem.is_some())
            .finish_non_exhaustive()
    }
}

fn refused<T>(
    key: &'static str,
    expected: &'static str,
    found: impl Into<String>,
) -> Result<T, ConfigError> {
    Err(ConfigError::BadValue {
        key,
        expected,
        found: found.into(),
    })
}

impl AlarmSettings {
    /// Reads the table; without one nobody is told of anything.
    ///
    /// # Errors
    /// Names the key, what it wants and what it got.
    pub(crate) fn resolve(raw: Option<&RawAlarms>) -> Result<Self, ConfigError> {
        let empty = RawAlarms::default();
        let raw = raw.unwrap_or(&empty);
        let days = raw.days.unwrap_or(DAYS_DEFAULT);
        if !(1..=3_660).contains(&days) {
            return refused("alarms.days", "1 to 3660", days.to_string());
        }
        let interval = raw
            .heartbeat_interval
            .map_or(Duration::from_secs(60), |it| it.0);
        if interval < Duration::from_secs(10) {
            return refused(
                "alarms.heartbeat_interval",
                "at least 10s",
                format!("{interval:?}"),
            );
        }
        if let Some(url) = &raw.heartbeat_url
            && !(url.0.starts_with("https://") || url.0.starts_with("http://"))
        {
            return refused(
                "alarms.heartbeat_url",
                "an http or https URL",
                "another one",
            );
        }
        Ok(AlarmSettings {
            days,
            heartbeat: raw.heartbeat_url.clone().map(|url| (url, interval)),
            speech: raw.speech.clone(),
            sip: raw.sip.as_ref().map(RawSip::resolve).transpose()?,
            modem: raw.modem.as_ref().map(RawModem::resolve).transpose()?,
            network: network::resolve(
                raw.email.as_ref(),
                raw.ntfy.as_ref(),
                raw.provider.as_ref(),
                raw.webhook.as_ref(),
                raw.page_url.clone(),
            )?,
        })
    }

    /// What is allowed and most likely a mistake.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let provider = self.network.provider.as_ref();
        let calls = provider.is_some_and(|it| it.calls);
        let tells = self.sip.is_some() || self.modem.is_some() || calls;
        let mut warnings = Vec::new();
        if tells && self.heartbeat.is_none() {
            warnings.push(
                "alarms: nobody learns of it when this gateway itself is dead; set alarms.heartbeat_url"
                    .into(),
            );
        }
        let callback_url = provider.and_then(|it| it.callback_url.as_deref());
        if callback_url.is_some_and(|url| url.starts_with("http://")) {
            warnings.push(
                "alarms.provider.callback_url: http shows alarms, keys and PINs to whoever is on the way; use https"
                    .into(),
            );
        }
        warnings
    }
}

impl RawLimits {
    fn resolve(&self, key: &'static str, at_once: usize) -> Result<ChannelLimits, ConfigError> {
        let limits = ChannelLimits {
            at_once_max: self.at_once_max.unwrap_or(at_once),
            per_hour_max: self.per_hour_max.unwrap_or(60),
            per_day_max: self.per_day_max.unwrap_or(200),
            prefixes: self.prefixes.clone().unwrap_or_default(),
        };
        if !(1..=AT_ONCE_MAX).contains(&limits.at_once_max)
            || limits.per_hour_max == 0
            || limits.per_day_max == 0
        {
            return refused(
                key,
                "at_once_max from 1 to 64, the others from 1",
                "something else",
            );
        }
        let is_prefix = |it: &String| {
            let digits = it.trim_start_matches('+');
            !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit())
        };
        if limits.prefixes.len() > PREFIXES_MAX || !limits.prefixes.iter().all(is_prefix) {
            return refused(
                key,
                "prefixes such as \"+49\", 64 at most",
                format!("{:?}", limits.prefixes),
            );
        }
        Ok(limits)
    }
}

fn secret(
    key: &'static str,
    given: Option<&Secret>,
    file: Option<&PathBuf>,
) -> Result<Option<String>, ConfigError> {
    match (given, file) {
        (Some(_), Some(_)) => refused(key, "the secret, or the file that it is in", "both"),
        (Some(secret), None) if secret.0.is_empty() => refused(key, "a secret", "nothing"),
        (Some(secret), None) => Ok(Some(secret.0.clone())),
        (None, Some(path)) => read_secret(key, path).map(|it| Some(it.0)),
        (None, None) => Ok(None),
    }
}

impl RawSip {
    fn resolve(&self) -> Result<SipSettings, ConfigError> {
        let Some(server) = self.server.as_deref().filter(|it| !it.is_empty()) else {
            return refused("alarms.sip.server", "a server such as pbx.example", "none");
        };
        let user = self.user.clone().unwrap_or_default();
        let key = "alarms.sip.password";
        let password = secret(key, self.password.as_ref(), self.password_file.as_ref())?;
        let password: Password = password.unwrap_or_default().into();
        let limits = self.limits.resolve("alarms.sip.limits", 4)?;
        let transport = match self.transport.as_deref().unwrap_or("udp") {
            "udp" => Transport::Udp,
            "tcp" => Transport::Tcp,
            "tls" => Transport::Tls,
            other => return refused("alarms.sip.transport", "udp, tcp or tls", other),
        };
        let trunk = TrunkSettings {
            transport,
            caller: self.caller.clone(),
            display_name: self
                .display_name
                .clone()
                .or_else(|| Some("Switchyard".into())),
            proxy: self.proxy.clone(),
            registers: self.registers.unwrap_or(false),
            public_ip: self.public_ip,
            sound_udp_ports: self.sound_udp_ports.map(|(first, last)| first..=last),
            talk_limit: span("alarms.sip.talk_limit", self.talk_limit, 300, (30, 900))?,
            calls_max: limits.at_once_max,
            redirect_prefixes: limits.prefixes.clone(),
            ..TrunkSettings::new(server, &user, password)
        };
        Ok(SipSettings {
            trunk,
            ring_limit: span("alarms.sip.ring_limit", self.ring_limit, 40, (5, 180))?,
            limits,
            ca_file: self.ca_file.clone(),
        })
    }
}

fn span(
    key: &'static str,
    given: Option<Span>,
    usual_s: u64,
    (least_s, most_s): (u64, u64),
) -> Result<Duration, ConfigError> {
    let span = given.map_or(Duration::from_secs(usual_s), |it| it.0);
    match (least_s..=most_s).contains(&span.as_secs()) {
        true => Ok(span),
        false => refused(
            key,
            "a time that a telephone call takes: seconds to minutes",
            format!("{span:?}"),
        ),
    }
}

impl RawModem {
    fn resolve(&self) -> Result<ModemSettings, ConfigError> {
        let Some(serial_port) = self.serial_port.clone() else {
            return refused(
                "alarms.modem.serial_port",
                "a device such as /dev/ttyUSB2",
                "none",
            );
        };
        let key = "alarms.modem.pin";
        let pin = secret(key, self.pin.as_ref(), self.pin_file.as_ref())?;
        let pin = pin.map(|pin| pin.parse()).transpose();
        let Ok(pin) = pin else {
            return refused(key, "a PIN of 4 to 8 digits", "something else");
        };
        Ok(ModemSettings {
            modem: modem::ModemSettings {
                serial_port,
                baud: self.baud.unwrap_or(115_200),
                pin,
            },
            calls: self.calls.unwrap_or(true),
            sms: self.sms.unwrap_or(true),
            ring_limit: span("alarms.modem.ring_limit", self.ring_limit, 40, (5, 180))?,
            limits: self.limits.resolve("alarms.modem.limits", 1)?,
        })
    }
}
