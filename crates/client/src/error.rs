//! What can go wrong between a tool and its gateway, each with a stable word to switch on.

use std::{io, sync::Arc, time::Duration};
use switchyard_protocol::{Code, message::ScriptFault};

/// A call that failed. [`code`](Error::code) is stable; the text is for people and logs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not an address of a gateway.
    #[error("expected a gateway such as http://gateway.example:8080 and found {found:?}")]
    BadUrl {
        /// What was given.
        found: String,
    },
    /// This build speaks no TLS.
    #[error("expected http:// or ws://: this build dials gateways without TLS only")]
    TlsUnsupported,
    /// Not a path of the gateway's API.
    #[error("expected a path of the API such as /api/alarms and found {found:?}")]
    BadPath {
        /// What was given.
        found: String,
    },
    /// Nobody could be reached there.
    #[error("could not reach the gateway at {gateway}")]
    Unreachable {
        /// The host and TCP port that were dialled.
        gateway: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Something answers there, but not as a gateway does.
    #[error("expected a gateway at {gateway} and found something else: {detail}")]
    NotAGateway {
        /// The host and TCP port that were dialled.
        gateway: String,
        /// What was wrong with its answer.
        detail: String,
    },
    /// The gateway's HTTP side refused, with the word of its problem details.
    #[error("the gateway refused: {detail} ({code})")]
    Http {
        /// The status.
        status: u16,
        /// The stable word (`docs/http.md`).
        code: String,
        /// The same for people.
        detail: String,
    },
    /// The other side answered with a code.
    #[error("{}", refusal(*code, detail.as_deref()))]
    Refused {
        /// Why.
        code: Code,
        /// The same for people, where the other side said it.
        detail: Option<String>,
    },
    /// The link broke before the answer came.
    #[error("lost the gateway before it answered")]
    LinkLost,
    /// There is no link at the moment.
    #[error("not connected to the gateway")]
    NotConnected,
    /// No answer in time.
    #[error("expected an answer within {} and got none", seconds(*after))]
    TimedOut {
        /// How long was waited.
        after: Duration,
    },
    /// Too much is open here already.
    #[error("expected fewer than {max} open {what}")]
    Busy {
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        max: usize,
    },
    /// An answer of another kind than was asked for.
    #[error("expected an answer to {asked} and found another")]
    UnexpectedAnswer {
        /// The verb asked.
        asked: &'static str,
    },
    /// The controller's compiler does not take the script.
    #[error("line {}, column {}: expected {}", fault.line, fault.column, fault.expected)]
    NotCompiled {
        /// What it says.
        fault: Box<ScriptFault>,
    },
    /// What was read from a controller changed while it was read, time and again.
    #[error("expected something to stay as it is while it is read")]
    KeepsChanging,
    /// A command whose expiry is out of range.
    #[error("expected an expiry from now to 24 hours ahead")]
    ExpiryOutOfRange,
    /// The client was closed.
    #[error("the client is closed")]
    Closed,
    /// One of the others, which several are told of.
    #[error(transparent)]
    Shared(Arc<Error>),
}

impl Error {
    /// The stable lowercase word: one of `docs/http.md`, of the protocol's codes, or
    /// `gateway_gone`, `bad_url`, `bad_path`, `tls_unsupported`, `not_a_gateway`, `unexpected_answer`,
    /// `not_compiled`, `keeps_changing`, `closed`.
    pub fn code(&self) -> &str {
        match self {
            Error::BadUrl { .. } => "bad_url",
            Error::BadPath { .. } => "bad_path",
            Error::TlsUnsupported => "tls_unsupported",
            Error::Unreachable { .. } | Error::LinkLost | Error::NotConnected => "gateway_gone",
            Error::NotAGateway { .. } => "not_a_gateway",
            Error::Http { code, .. } => code,
            Error::Refused { code, .. } => code.name(),
            Error::TimedOut { .. } => "timed_out",
            Error::Busy { .. } => "busy",
            Error::UnexpectedAnswer { .. } => "unexpected_answer",
            Error::NotCompiled { .. } => "not_compiled",
            Error::KeepsChanging => "keeps_changing",
            Error::ExpiryOutOfRange => "out_of_range",
            Error::Closed => "closed",
            Error::Shared(error) => error.code(),
        }
    }

    /// The protocol's code, where the other side gave one.
    pub fn protocol_code(&self) -> Option<Code> {
        match self {
            Error::Refused { code, .. } => Some(*code),
            Error::Shared(error) => error.protocol_code(),
            _ => None,
        }
    }

    /// Whether dialling again cannot help: somebody has to do something first. `replaced` is one of
    /// them, since two programs of one installation would otherwise throw each other out for ever.
    pub fn is_lasting(&self) -> bool {
        match self {
            Error::BadUrl { .. } | Error::TlsUnsupported | Error::Closed => true,
            Error::Refused { code, .. } => matches!(
                code,
                Code::BadToken | Code::UnsupportedVersion | Code::Replaced | Code::Revoked
            ),
            Error::Http { status, .. } => matches!(status, 401 | 403),
            Error::Shared(error) => error.is_lasting(),
            _ => false,
        }
    }
}

/// Why a code was given, as a person reads it; lowercase and without a full stop.
pub fn explain(code: Code) -> &'static str {
    match code {
        Code::Ok => "no fault",
        Code::Malformed => "the message breaks the protocol",
        Code::UnsupportedVersion => "the gateway speaks another link version",
        Code::HandshakeFailed => "unknown address or wrong key",
        Code::ReplayedHandshake => "a handshake that was seen before",
        Code::BadRecord => "a record that does not decrypt",
        Code::BadToken => "the log-in is unknown, expired or revoked",
        Code::ForgedSource => "the source was not the sender's own address",
        Code::TooLarge => "the message is above the limit",
        Code::HandshakeTimeout => "no session within the time allowed",
        Code::Silent => "nothing was heard for three ping intervals",
        Code::SlowPeer => "the other side does not read fast enough",
        Code::Replaced => "another program of this installation took the address",
        Code::ShuttingDown => "the gateway is going away",
        Code::Revoked => "the right to be here was withdrawn",
        Code::RateLimited => "too many of these at once",
        Code::UnknownAddress => "nobody was ever given this address",
        Code::Offline => "known, but not there now",
        Code::Forbidden => "the account's role does not allow it",
        Code::Unsupported => "the other side does not know this request",
        Code::WrongKind => "the request came under another kind",
        Code::BadField => "a field is missing or outside its range",
        Code::Busy => "too much is waiting there already",
        Code::NotGranted => "this destination is not open to the sender",
        Code::StoreUnavailable => "the gateway's store does not answer",
        Code::TimedOut => "no answer in time",
        Code::Internal => "a fault of the answering side",
        Code::Expired => "its time had passed",
        Code::StaleClock => "the controller does not know the time well enough",
        Code::UnknownPoint => "the controller has no such point",
        Code::UnknownCommand => "the controller has no such command",
        Code::NotManual => "the script drives this point, and it takes no direct switching",
        Code::OutOfRange => "a value is outside its range",
        Code::RefusedByScript => "the script's own condition refused it",
        Code::NotConfirmed => "the feedback did not follow in time",
        Code::LinkLost => "the controller's link broke at the wrong moment",
        Code::Rebooted => "the controller restarted in between",
        Code::WrongState => "there is nothing there to do it with",
        _ => "a reason newer than this program",
    }
}

fn refusal(code: Code, detail: Option<&str>) -> String {
    match detail.filter(|detail| !detail.is_empty()) {
        Some(detail) => format!("{} ({code}): {detail}", explain(code)),
        None => format!("{} ({code})", explain(code)),
    }
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_millis() as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_code_is_explained_in_its_own_words() {
        let mut seen = std::collections::HashSet::new();
        for &code in Code::ALL {
            let words = explain(code);
            assert_ne!(words, explain(Code::Other(255)), "{code} is not explained");
            assert!(seen.insert(words), "{words:?} stands twice");
            assert!(!words.ends_with('.') && !words.starts_with(char::is_uppercase));
        }
    }

    #[test]
    fn only_what_dialling_cannot_mend_is_lasting() {
        let refused = |code| Error::Refused { code, detail: None };
        for (error, lasting) in [
            (refused(Code::BadToken), true),
            (refused(Code::Replaced), true),
            (refused(Code::ShuttingDown), false),
            (refused(Code::SlowPeer), false),
            (Error::LinkLost, false),
            (Error::TlsUnsupported, true),
        ] {
            assert_eq!(error.is_lasting(), lasting, "{error}");
        }
    }
}
