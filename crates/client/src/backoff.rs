//! How long to wait before dialling again (`docs/protocol.md` §4.4). Pure: the caller brings the
//! dice and the clock.

use std::time::Duration;
use switchyard_protocol::limits::{BACKOFF_MAX, BACKOFF_MIN};

/// A session that lasted this long was a good one: the next attempt starts from the shortest wait.
pub const GOOD_SESSION: Duration = Duration::from_secs(60);

/// Counts attempts and says how long to wait before each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    attempt: u32,
}

impl Backoff {
    /// The wait before the next attempt, from [d/2, d] with d = min(1 s · 2^(n−1), 60 s).
    /// `dice` is uniformly random: it spreads a whole fleet that lost its gateway at one moment.
    pub fn next_wait(&mut self, dice: u32) -> Duration {
        self.attempt = self.attempt.saturating_add(1);
        let doublings = (self.attempt - 1).min(16);
        let whole = BACKOFF_MIN.saturating_mul(1 << doublings).min(BACKOFF_MAX);
        whole / 2 + (whole / 2).mul_f64(f64::from(dice) / f64::from(u32::MAX))
    }

    /// A session has ended after being live for `lasted`.
    pub fn session_ended(&mut self, lasted: Duration) {
        if lasted >= GOOD_SESSION {
            self.attempt = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_a_minute_and_stays_within_its_half() {
        for dice in [0, u32::MAX / 2, u32::MAX] {
            let mut backoff = Backoff::default();
            for whole in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
                let wait = backoff.next_wait(dice);
                let whole = Duration::from_secs(whole);
                assert!(wait >= whole / 2 && wait <= whole, "{wait:?} of {whole:?}");
            }
        }
        let mut backoff = Backoff::default();
        assert_eq!(backoff.next_wait(0), Duration::from_millis(500));
        assert_eq!(backoff.next_wait(u32::MAX), Duration::from_secs(2));
    }

    #[test]
    fn only_a_good_session_starts_afresh() {
        let mut backoff = Backoff::default();
        (0..5).for_each(|_| _ = backoff.next_wait(0));
        backoff.session_ended(Duration::from_secs(59));
        assert_eq!(backoff.next_wait(u32::MAX), Duration::from_secs(32));
        backoff.session_ended(Duration::from_secs(60));
        assert_eq!(backoff.next_wait(u32::MAX), Duration::from_secs(1));
    }

    #[test]
    fn never_overflows() {
        let mut backoff = Backoff { attempt: u32::MAX };
        assert_eq!(backoff.next_wait(u32::MAX), Duration::from_secs(60));
    }
}
