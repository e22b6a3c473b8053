//! What a service tells by requests of its own, and how it proves that they are its own.

use base64::Engine as _;
use ring::hmac;

/// Pairs of a form that are read: a service tells some thirty.
const PAIRS_MAX: usize = 200;
/// The longest text that is taken: ten messages.
const TEXT_LETTERS_MAX: usize = 1_600;
/// Keys of one answer.
const DIGITS_MAX: usize = 32;

/// A form: names and values as they came.
pub(super) type Form = Vec<(String, String)>;

/// Reads the body of a form.
pub(super) fn form(body: &[u8]) -> Form {
    let pairs = form_urlencoded::parse(body).take(PAIRS_MAX);
    pairs
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}

/// A URL as a service may have written it when it signed: as it is, without its TCP port, with the usual one.
pub(super) fn spellings(url: &str) -> Vec<String> {
    let mut spellings = vec![url.to_owned()];
    let Some((scheme, rest)) = url.split_once("://") else {
        return spellings;
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    // Behind the brackets of an IPv6 address.
    let host_end = authority.rfind(']').map_or(0, |at| at + 1);
    match authority.get(host_end..).and_then(|it| it.rfind(':')) {
        Some(at) => {
            let host = authority.get(..host_end + at).unwrap_or_default();
            spellings.push(format!("{scheme}://{host}{path}"));
        }
        None => {
            let usual = if scheme == "https" { 443 } else { 80 };
            spellings.push(format!("{scheme}://{authority}:{usual}{path}"));
        }
    }
    spellings
}

/// Whether a form that came to a URL was signed with this token: the signature is HMAC-SHA1 of the URL, followed by
/// every name and its value in the order of the names, in base64.
pub(super) fn is_signed(token: &str, url: &str, form: &Form, signature: &str) -> bool {
    let Ok(tag) = base64::engine::general_purpose::STANDARD.decode(signature.trim()) else {
        return false;
    };
    let mut pairs: Vec<_> = form.iter().collect();
    pairs.sort();
    // The same pair twice counts once.
    pairs.dedup();
    let mut signed = url.to_owned();
    for (name, value) in pairs {
        signed.push_str(name);
        signed.push_str(value);
    }
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, token.as_bytes());
    // In constant time.
    hmac::verify(&key, signed.as_bytes(), &tag).is_ok()
}

/// How a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallStatus {
    /// It is to be made.
    Queued,
    /// It rings.
    Ringing,
    /// Somebody has answered, or something.
    Answered,
    /// It was answered and is over.
    Completed,
    Busy,
    NoAnswer,
    /// The service could not make it.
    Failed,
    /// It was ended before anybody answered.
    Cancelled,
}

impl CallStatus {
    fn of(word: &str) -> Option<Self> {
        Some(match word {
            "queued" | "initiated" => CallStatus::Queued,
            "ringing" => CallStatus::Ringing,
            "in-progress" | "answered" => CallStatus::Answered,
            "completed" => CallStatus::Completed,
            "busy" => CallStatus::Busy,
            "no-answer" => CallStatus::NoAnswer,
            "failed" => CallStatus::Failed,
            "canceled" => CallStatus::Cancelled,
            _ => return None,
        })
    }
}

/// How a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextStatus {
    /// It is on its way.
    Underway,
    /// The telephone has it.
    Delivered,
    /// It is lost.
    Failed,
}

impl TextStatus {
    fn of(word: &str) -> Option<Self> {
        Some(match word {
            "accepted" | "scheduled" | "queued" | "sending" | "sent" => TextStatus::Underway,
            "delivered" | "read" => TextStatus::Delivered,
            "undelivered" | "failed" | "canceled" => TextStatus::Failed,
            _ => return None,
        })
    }
}

/// What a service tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Callback {
    /// How a call stands, and what was pressed where that was asked for.
    Call {
        /// As what the service knows it.
        call: String,
        status: CallStatus,
        /// Keys, when it answers a question; none were pressed when it is empty.
        digits: Option<String>,
        /// Who called.
        from: String,
    },
    /// How a text stands that was sent.
    TextSent {
        /// As what the service knows it.
        text: String,
        status: TextStatus,
        /// Why it is lost, by the service's number.
        error: Option<u32>,
    },
    /// A text has come.
    Text {
        /// As what the service knows it: the same may come twice.
        text: String,
        from: String,
        body: String,
    },
}

impl Callback {
    pub(super) fn of(form: &Form) -> Option<Self> {
        let value = |wanted: &str| {
            let found = form.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.as_str())
        };
        if let Some(call) = value("CallSid") {
            let digits = value("Digits").map(|digits| {
                let keys = digits
                    .chars()
                    .filter(|key| key.is_ascii_digit() || "*#".contains(*key));
                keys.take(DIGITS_MAX).collect()
            });
            return Some(Callback::Call {
                call: call.to_owned(),
                status: CallStatus::of(value("CallStatus")?)?,
                digits,
                from: value("From").unwrap_or_default().to_owned(),
            });
        }
        let text = value("MessageSid").or_else(|| value("SmsSid"))?.to_owned();
        let status = value("MessageStatus").or_else(|| value("SmsStatus"));
        if let Some(body) = value("Body").filter(|_| matches!(status, None | Some("received"))) {
            return Some(Callback::Text {
                text,
                from: value("From")?.to_owned(),
                body: body.chars().take(TEXT_LETTERS_MAX).collect(),
            });
        }
        Some(Callback::TextSent {
            text,
            status: TextStatus::of(status?)?,
            error: value("ErrorCode").and_then(|code| code.parse().ok()),
        })
    }
}
