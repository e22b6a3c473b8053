//! What a refusal means to a roll-out: that a controller will never take what it was sent, or that it
//! is to be tried another time.
//!
//! The difference matters: the first counts against the release and may halt it, the second is tried again
//! eight times. In doubt it is the second.

use crate::{fleet::rollout::Answer, inside::Refusal};
use switchyard_protocol::Code;

/// Whether another attempt with the same content at the same controller would come to the same.
pub(super) const fn is_for_good(code: Code) -> bool {
    match code {
        // What was sent is not right for it: too long, of another board, unsigned, too old; a parameter that
        // it does not have, or a value that its script does not allow.
        Code::OutOfRange
        | Code::UnknownPoint
        | Code::UnknownCommand
        | Code::NotManual
        | Code::BadField
        // Even the smallest piece does not fit its link.
        | Code::TooLarge
        // It keeps nothing, or is of a version that does not know of this.
        | Code::Unsupported
        | Code::WrongKind
        | Code::Malformed
        | Code::UnsupportedVersion => true,
        // It is not there, or the gateway is about to go.
        Code::Offline
        | Code::LinkLost
        | Code::TimedOut
        | Code::Rebooted
        | Code::Silent
        | Code::SlowPeer
        | Code::Replaced
        | Code::ShuttingDown
        | Code::HandshakeTimeout
        | Code::HandshakeFailed
        | Code::ReplayedHandshake
        | Code::BadRecord
        // Withdrawn, or enrolled a moment ago and not known to the yard yet: no fault of the release.
        | Code::UnknownAddress
        // Busy with something else: another tool's transfer, a trial, an erase of its flash.
        | Code::Busy
        | Code::RateLimited
        | Code::WrongState
        | Code::StoreUnavailable
        // Something is broken: in its flash, or here. Eight attempts tell which.
        | Code::Internal
        | Code::ForgedSource
        // The gateway's own peer may do this everywhere; if it may not, something else is wrong.
        | Code::Forbidden
        | Code::NotGranted
        | Code::Revoked
        | Code::BadToken
        // A command's, that may go better a moment later.
        | Code::Expired
        | Code::StaleClock
        | Code::RefusedByScript
        | Code::NotConfirmed
        // No refusal at all, where one was expected; or one of a later version.
        | Code::Ok
        | Code::Other(_) => false,
        // A code of this version that nobody has judged here: the table in the tests finds it.
        _ => false,
    }
}

/// The same as the machine's answer.
pub(super) fn answer(refusal: &Refusal) -> Answer {
    let words = refusal.to_string();
    if is_for_good(refusal.code) {
        Answer::Refused(words)
    } else {
        Answer::Unreached(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_judged() {
        let never = [
            "malformed",
            "unsupported_version",
            "too_large",
            "unsupported",
            "wrong_kind",
            "bad_field",
            "unknown_point",
            "unknown_command",
            "not_manual",
            "out_of_range",
        ];
        let later = [
            "ok",
            "handshake_failed",
            "replayed_handshake",
            "bad_record",
            "bad_token",
            "forged_source",
            "handshake_timeout",
            "silent",
            "slow_peer",
            "replaced",
            "shutting_down",
            "revoked",
            "rate_limited",
            "unknown_address",
            "offline",
            "forbidden",
            "busy",
            "not_granted",
            "store_unavailable",
            "timed_out",
            "internal",
            "expired",
            "stale_clock",
            "refused_by_script",
            "not_confirmed",
            "link_lost",
            "rebooted",
            "wrong_state",
        ];
        for &code in Code::ALL {
            let name = code.name();
            let places = [never.contains(&name), later.contains(&name)];
            assert_ne!(places[0], places[1], "{name} stands in one of the two");
            let detail = Some("why".to_owned());
            let answer = answer(&Refusal { code, detail });
            let words = format!("{name}: why");
            let expected = match places[0] {
                true => Answer::Refused(words),
                false => Answer::Unreached(words),
            };
            assert_eq!(answer, expected);
        }
        assert_eq!(never.len() + later.len(), Code::ALL.len());
        assert!(!is_for_good(Code::Other(200)));
    }
}
