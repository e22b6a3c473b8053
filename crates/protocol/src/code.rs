//! The one registry of reasons (`docs/protocol.md` §9).

use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal;)*) => {
        /// Why something was refused, ended or cut off. Unknown numbers are kept, so that an older
        /// peer can still show them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[$doc])* $variant,)*
            /// A code of a later version, by its number.
            Other(u8),
        }

        impl Code {
            /// Every code known here.
            pub const ALL: &'static [Code] = &[$(Code::$variant),*];

            /// The number on the wire.
            pub const fn number(self) -> u8 {
                match self {
                    $(Code::$variant => $number,)*
                    Code::Other(number) => number,
                }
            }

            /// The code of a number on the wire.
            pub const fn from_number(number: u8) -> Self {
                match number {
                    $($number => Code::$variant,)*
                    other => Code::Other(other),
                }
            }

            /// The stable lowercase name, as in counters, logs and `--json`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Code::$variant => $name,)*
                    Code::Other(_) => "other",
                }
            }
        }
    };
}

codes! {
    /// No fault.
    Ok = 0, "ok";
    /// A frame or payload that breaks the protocol.
    Malformed = 1, "malformed";
    /// A link version not spoken here.
    UnsupportedVersion = 2, "unsupported_version";
    /// Unknown address or wrong key; the two look the same on purpose.
    HandshakeFailed = 3, "handshake_failed";
    /// A handshake message that was seen before.
    ReplayedHandshake = 4, "replayed_handshake";
    /// A record that does not decrypt.
    BadRecord = 5, "bad_record";
    /// The token is unknown, expired or revoked: log in again.
    BadToken = 6, "bad_token";
    /// The frame's source is not the sender's address.
    ForgedSource = 7, "forged_source";
    /// A frame, record or message above its limit.
    TooLarge = 8, "too_large";
    /// No session within the time allowed.
    HandshakeTimeout = 9, "handshake_timeout";
    /// Nothing heard for three ping intervals.
    Silent = 10, "silent";
    /// No progress in reading what was sent.
    SlowPeer = 11, "slow_peer";
    /// A newer session took this address.
    Replaced = 12, "replaced";
    /// The gateway is going away.
    ShuttingDown = 13, "shutting_down";
    /// The right to be here was withdrawn.
    Revoked = 14, "revoked";
    /// Too many of these.
    RateLimited = 15, "rate_limited";
    /// Nobody was ever given this address.
    UnknownAddress = 32, "unknown_address";
    /// Known, but not there now.
    Offline = 33, "offline";
    /// The account's role does not allow it.
    Forbidden = 34, "forbidden";
    /// An unknown verb.
    Unsupported = 35, "unsupported";
    /// A known verb under another kind.
    WrongKind = 36, "wrong_kind";
    /// A field is missing, mistyped or out of its range.
    BadField = 37, "bad_field";
    /// A bounded queue is full.
    Busy = 38, "busy";
    /// This destination is not open to the sender.
    NotGranted = 39, "not_granted";
    /// The gateway's store does not answer.
    StoreUnavailable = 40, "store_unavailable";
    /// No answer in time.
    TimedOut = 41, "timed_out";
    /// A fault of the answering side.
    Internal = 42, "internal";
    /// Past its expiry.
    Expired = 64, "expired";
    /// The controller does not know the time well enough.
    StaleClock = 65, "stale_clock";
    /// No such point.
    UnknownPoint = 66, "unknown_point";
    /// No such command.
    UnknownCommand = 67, "unknown_command";
    /// The point is driven by the script.
    NotManual = 68, "not_manual";
    /// A value or argument outside its range.
    OutOfRange = 69, "out_of_range";
    /// The script's own condition refused it.
    RefusedByScript = 70, "refused_by_script";
    /// The feedback did not follow in time.
    NotConfirmed = 71, "not_confirmed";
    /// The controller's link broke at the wrong moment.
    LinkLost = 72, "link_lost";
    /// The controller restarted in between.
    Rebooted = 73, "rebooted";
    /// What it is about is not there: no transfer, no script on trial.
    WrongState = 74, "wrong_state";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Code::Other(number) => write!(f, "code {number}"),
            known => f.write_str(known.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_unique_and_round_trip() {
        let mut names = std::collections::HashSet::new();
        for &code in Code::ALL {
            assert_eq!(Code::from_number(code.number()), code);
            assert!(names.insert(code.name()), "{} stands twice", code.name());
        }
        assert_eq!(Code::from_number(200), Code::Other(200));
    }
}
