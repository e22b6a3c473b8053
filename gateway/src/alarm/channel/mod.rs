//! The ways by which people are told of alarms.
//!
//! - `tellers`: those that are set up, opened once with the gateway. `sip`: calls over a trunk. `modem`: calls and short
//!   messages by a GSM modem. `messages`: what goes over the network.
//!
//! Behind those are plain clients, with no idea of what an alarm is:
//!
//! - [`email`]: SMTP. [`ntfy`]: push messages. [`provider`]: short messages and calls by an HTTP service.
//!   [`webhook`]: programs.
//!
//! Each of them makes one attempt, in bounded time, and says whether another one could help ([`Fault`]). When to try again, and
//! whom to tell next, is decided elsewhere.

pub(crate) mod email;
pub(crate) mod messages;
mod modem;
pub(crate) mod ntfy;
pub(crate) mod provider;
mod sip;
mod tellers;
pub(crate) mod webhook;

pub(crate) use provider::ProviderCheck;
pub(crate) use sip::probe_trunk;
pub(crate) use tellers::{open, probe_speech};

use crate::endpoint;
use axum::http::{StatusCode, Uri};

/// The longest URL that is taken.
const URL_BYTES_MAX: usize = 2_048;
/// What is repeated of the words with which a service refuses.
const WORDS_MAX: usize = 200;

/// Why somebody was not told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// What it was told with cannot be right: a setting, an address, a text.
    #[error("{0}")]
    Unfit(String),
    /// The service cannot be spoken to.
    #[error(transparent)]
    Endpoint(#[from] endpoint::Fault),
    /// The mail server cannot be spoken to.
    #[error("the mail server cannot be reached: {0}")]
    Unreachable(String),
    /// The service refused, and would do so again.
    #[error("it was refused: {0}")]
    Refused(String),
    /// The service did not do it, and may do it later.
    #[error("it was put off: {0}")]
    PutOff(String),
    /// The service, or what stands before it, broke while it did it.
    #[error("it broke: {0}")]
    Unsure(String),
    /// It took too long.
    #[error("it took too long")]
    Late,
}

impl Fault {
    /// Whether another attempt with the same content would come to the same.
    pub(crate) fn is_permanent(&self) -> bool {
        match self {
            Fault::Unfit(_) | Fault::Refused(_) => true,
            Fault::Endpoint(fault) => {
                matches!(fault, endpoint::Fault::Private(_) | endpoint::Fault::Own(_))
            }
            Fault::Unreachable(_) | Fault::PutOff(_) | Fault::Unsure(_) | Fault::Late => false,
        }
    }

    /// Whether it may have been done all the same: nobody has said that it was not.
    pub(crate) fn may_be_done(&self) -> bool {
        matches!(
            self,
            Fault::Late
                | Fault::Unsure(_)
                | Fault::Endpoint(
                    endpoint::Fault::Late | endpoint::Fault::Http(_) | endpoint::Fault::Unreadable
                )
        )
    }

    /// What an HTTP service's answer means that is none of success, with its own words.
    fn of_status(status: StatusCode, said: &str) -> Self {
        let told = match words(said) {
            said if said.is_empty() => status.to_string(),
            said => format!("{status}: {said}"),
        };
        match status {
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
                Fault::PutOff(told)
            }
            StatusCode::INTERNAL_SERVER_ERROR
            | StatusCode::BAD_GATEWAY
            | StatusCode::GATEWAY_TIMEOUT => Fault::Unsure(told),
            status if status.is_server_error() => Fault::PutOff(told),
            // Redirections are among them: they would lead anywhere.
            _ => Fault::Refused(told),
        }
    }
}

/// Somebody else's words, as much of them as can be told in a line.
fn words(said: &str) -> String {
    let line = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let letters = line.chars().filter(|letter| !letter.is_control());
    letters.take(WORDS_MAX).collect()
}

/// As much of a text as fits into so many bytes, with dots where some is left out.
fn cut(text: &str, bytes_max: usize) -> String {
    const DOTS: &str = "…";
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(bytes_max.saturating_sub(DOTS.len()));
    format!("{}{DOTS}", text.get(..end).unwrap_or_default())
}

/// A URL of a server that can be told things, without user and password.
///
/// # Errors
/// Says what is expected. The URL may bear a secret and is never told.
fn http_url(text: &str) -> Result<Uri, Fault> {
    let url: Option<Uri> = text.parse().ok().filter(|_| text.len() <= URL_BYTES_MAX);
    let is_good = |url: &Uri| {
        let authority = url.authority().map_or("", |it| it.as_str());
        matches!(url.scheme_str(), Some("https" | "http"))
            && !url.host().unwrap_or_default().is_empty()
            && !authority.contains('@')
            && crate::config::url::tcp_port(url).is_ok()
    };
    url.filter(is_good).ok_or_else(|| {
        Fault::Unfit("expected https://HOST/PATH, or http://, without user and password".into())
    })
}

#[cfg(test)]
mod tests;
