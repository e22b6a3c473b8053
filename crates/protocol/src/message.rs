//! Typed payloads (`docs/protocol.md` §4–§8), each with `encode` (or `encode_into`, which appends to
//! memory that is there) and `decode`.
//!
//! `decode` passes [`crate::cbor::check`] first, then reads fields by key, ignores unknown ones and
//! refuses missing, mistyped or out-of-range ones by their key.
//!
//! What `encode` writes always passes that check: integers beyond ±(2^53 − 1) are written as that
//! bound. Texts hold their bounds by type. The other ranges (how many points or arguments, which
//! page) are the caller's to keep; a receiver answers [`Code::BadField`] to what breaks them.

mod answer;
mod command;
mod event;
mod link;
mod request;
mod script;
mod status;
mod text;

pub use answer::{Answer, Body};
pub use command::{Action, Command, CommandHead, Receipt, ReceiptHead, Stage};
pub use event::Event;
pub use link::{
    ControllerHello, ErrorMessage, HelloReply, Ping, PingReply, ToolHello, ToolWelcome,
};
pub use request::{PeerKind, Request, Verb, features, verb_of};
pub use script::{
    AlarmLevel, Content, FirmwareHealth, FirmwareState, GapCause, Health, LogEntry, NamedValue,
    Parameter, ResetReason, ScanHealth, ScriptFault, ScriptHealth, ScriptState, ValueType,
};
pub use status::{Cause, CauseKind, Change, Delta, Full, Point, PointFlags, PointType, StatusHead};
pub use text::{Name, Text, TextError, Title};

use crate::{Code, cbor::Fault};
use std::fmt;

/// Why a payload is not the message that it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The payload is not in the narrow CBOR profile.
    #[error(transparent)]
    Cbor(#[from] Fault),
    /// A field is missing, of another type or outside its range.
    #[error("expected a valid field at key {key}")]
    BadField {
        /// The field's key.
        key: u8,
    },
    /// No such verb.
    #[error("expected a known verb and found {0}")]
    UnknownVerb(u16),
    /// The verb goes with another kind.
    #[error("expected the verb {} under its own kind", .0.name())]
    WrongKind(Verb),
}

impl MessageError {
    /// The code by which a request with this fault is answered.
    pub const fn code(&self) -> Code {
        match self {
            MessageError::Cbor(_) => Code::Malformed,
            MessageError::BadField { .. } => Code::BadField,
            MessageError::UnknownVerb(_) => Code::Unsupported,
            MessageError::WrongKind(_) => Code::WrongKind,
        }
    }
}

/// A payload in memory of its own.
fn encoded(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&mut bytes);
    bytes
}

/// Gateway time: milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u64);

impl Time {
    /// This much later, at most at the last time that the wire can tell.
    pub const fn plus(self, duration: std::time::Duration) -> Self {
        let later = self.0 as u128 + duration.as_millis();
        let end = crate::limits::INTEGER_MAX as u128;
        Time(if later > end { end } else { later } as u64)
    }

    /// This much earlier, at least 0.
    pub const fn minus(self, duration: std::time::Duration) -> Self {
        let earlier = (self.0 as u128).saturating_sub(duration.as_millis());
        Time(earlier as u64)
    }
}

/// The idempotency key of a command: 16 random bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub [u8; 16]);

impl Key {
    /// The first four bytes as a number: the reference that a cause carries.
    pub const fn reference(self) -> u32 {
        let [a, b, c, d, ..] = self.0;
        u32::from_be_bytes([a, b, c, d])
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

/// The key by which a controller and its gateway know each other: 32 random bytes. Its `Debug` is a mask.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LinkKey(pub [u8; 32]);

impl fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkKey(***)")
    }
}
