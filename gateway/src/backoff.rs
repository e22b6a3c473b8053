//! How long to wait before something is tried again: twice as long each time, and never quite the same. Pure:
//! the caller brings the dice.

use std::time::Duration;

/// Counts tries and says how long to wait before each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
    tries: u32,
}

impl Backoff {
    /// From `min` on, up to `max`.
    pub(crate) const fn new(min: Duration, max: Duration) -> Self {
        Backoff { min, max, tries: 0 }
    }

    /// The wait before the next try: from [d/2, d], where d doubles each time. `dice` is uniformly random, so
    /// that many that failed at one moment do not come back at one moment.
    pub(crate) fn next_wait(&mut self, dice: u32) -> Duration {
        let doublings = self.tries.min(31);
        self.tries = self.tries.saturating_add(1);
        let whole = self.min.saturating_mul(1 << doublings).min(self.max);
        whole / 2 + (whole / 2).mul_f64(f64::from(dice) / f64::from(u32::MAX))
    }

    /// It went well: the next wait is a short one.
    pub(crate) fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_its_bound_and_stays_within_its_half() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(10));
        for round in 0..2 {
            for (whole, dice) in [
                (1, 0),
                (2, u32::MAX),
                (4, 7),
                (8, 0),
                (10, u32::MAX),
                (10, 0),
            ] {
                let (wait, whole) = (backoff.next_wait(dice), Duration::from_secs(whole));
                assert!(
                    wait >= whole / 2 && wait <= whole,
                    "{round}: {wait:?} of {whole:?}"
                );
            }
            backoff.reset();
        }
        (0..100).for_each(|_| _ = backoff.next_wait(0));
        assert_eq!(backoff.next_wait(u32::MAX), Duration::from_secs(10));
    }
}
