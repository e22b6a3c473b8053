//! What a call tells while it lives, and what became of it.

use std::{fmt, time::Duration};

/// How far a call has come. Each is told once at most, and in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Progress {
    /// The trunk has taken the call.
    Trying,
    /// The telephone rings.
    Ringing,
    /// Somebody sends sound before the call is answered: a ringing tone, or an announcement.
    EarlyMedia,
    /// Somebody, or something, has taken it.
    Answered,
}

/// What a call tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It has come further.
    Progress(Progress),
    /// A key was pressed: `0` to `9`, `*`, `#`, or `A` to `D`. Each press is told once, whatever ways it came by.
    Key(char),
    /// All that was to be played has been.
    Played,
    /// It is over. Nothing follows.
    Ended(End),
}

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// The other side hung up after it had answered.
    HungUpByThem,
    /// We hung up after it was answered.
    HungUpByUs,
    /// We withdrew it before anybody answered.
    Withdrawn,
    /// It was answered and lasted as long as a call may.
    TooLong,
    /// It rang, or was not reachable, and nobody answered.
    NoAnswer,
    /// The telephone is in use.
    Busy,
    /// Somebody refused it by hand.
    Declined,
    /// There is no such number, or not all of it was dialled.
    UnknownNumber {
        /// What the trunk answered, such as 404.
        code: u16,
    },
    /// The trunk would not have it: a number that may not be called, say.
    Refused {
        /// What the trunk answered, such as 403.
        code: u16,
        /// The same in the trunk's words.
        reason: String,
    },
    /// The trunk does not accept the account or its password.
    Unauthorised,
    /// Both sides know no common way to carry sound.
    NoCommonSound,
    /// The trunk is of no use at the moment; another way should be taken.
    Trouble {
        /// What is wrong with it.
        trouble: Trouble,
        /// After how long it may be tried again, if it has said so.
        retry_after: Option<Duration>,
    },
    /// It was answered, and the other side went away without a word.
    Lost,
}

/// What is wrong with a trunk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// Nothing came back.
    #[error("the trunk does not answer")]
    Silent,
    /// It cannot be connected to, or the connection broke.
    #[error("the trunk cannot be reached: {0}")]
    Unreachable(String),
    /// It says that it cannot, by a code from 500 on.
    #[error("the trunk answered {code} {reason}")]
    Failed {
        /// Its code, such as 503.
        code: u16,
        /// Its words.
        reason: String,
    },
    /// It does not accept the account or its password.
    #[error("the trunk does not accept the account or its password")]
    Unauthorised,
    /// It will not have us register or ask, by a code from 400 to 499.
    #[error("the trunk refused with {code} {reason}")]
    Refused {
        /// Its code, such as 403.
        code: u16,
        /// Its words.
        reason: String,
    },
}

impl End {
    /// Whether it says something about the trunk rather than about whoever was called: then another trunk or
    /// another channel should be tried, and the trunk be looked at.
    #[must_use]
    pub fn is_trouble_of_trunk(&self) -> bool {
        matches!(self, End::Trouble { .. } | End::Unauthorised)
    }

    /// Whether somebody had answered.
    #[must_use]
    pub fn was_answered(&self) -> bool {
        matches!(
            self,
            End::HungUpByThem | End::HungUpByUs | End::TooLong | End::Lost
        )
    }

    /// What a refusal before the answer means (RFC 3261 section 21).
    pub(crate) fn of_refusal(code: u16, reason: &str, retry_after: Option<Duration>) -> Self {
        match code {
            486 | 600 => End::Busy,
            603 | 607 | 608 => End::Declined,
            408 | 480 | 487 => End::NoAnswer,
            404 | 410 | 484 | 485 | 604 => End::UnknownNumber { code },
            401 | 407 => End::Unauthorised,
            406 | 415 | 488 | 606 => End::NoCommonSound,
            500..=599 => End::Trouble {
                trouble: Trouble::Failed {
                    code,
                    reason: reason.into(),
                },
                retry_after,
            },
            _ => End::Refused {
                code,
                reason: reason.into(),
            },
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::HungUpByThem => f.write_str("the other side hung up"),
            End::HungUpByUs => f.write_str("we hung up"),
            End::Withdrawn => f.write_str("withdrawn before it was answered"),
            End::TooLong => f.write_str("ended, as it lasted as long as a call may"),
            End::NoAnswer => f.write_str("nobody answered"),
            End::Busy => f.write_str("busy"),
            End::Declined => f.write_str("declined by hand"),
            End::UnknownNumber { code } => write!(f, "no such number ({code})"),
            End::Refused { code, reason } => write!(f, "refused by the trunk: {code} {reason}"),
            End::Unauthorised => Trouble::Unauthorised.fmt(f),
            End::NoCommonSound => f.write_str("no common way to carry sound"),
            End::Trouble { trouble, .. } => trouble.fmt(f),
            End::Lost => f.write_str("the other side went away"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_in_the_words_of_the_field() {
        for (code, expected, of_trunk) in [
            (486, "busy", false),
            (600, "busy", false),
            (480, "nobody answered", false),
            (603, "declined by hand", false),
            (404, "no such number (404)", false),
            (403, "refused by the trunk: 403 No", false),
            (
                407,
                "the trunk does not accept the account or its password",
                true,
            ),
            (488, "no common way to carry sound", false),
            (503, "the trunk answered 503 No", true),
        ] {
            let end = End::of_refusal(code, "No", None);
            assert_eq!(end.to_string(), expected);
            assert_eq!(end.is_trouble_of_trunk(), of_trunk, "{code}");
            assert!(!end.was_answered());
        }
    }
}
