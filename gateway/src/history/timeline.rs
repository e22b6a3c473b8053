//! Gateway time as the recorder is told it: the wall clock, as long as it goes with the monotonic one.

use std::time::Duration;
use switchyard_relay::Now;

/// How far the wall clock may stray from the monotonic one between two looks and still count as corrected rather
/// than set: what a time service slews in half an hour.
const SLEW_MAX: Duration = Duration::from_secs(2);
/// How long it may be from look to look. Whoever was stopped for longer, as by a debugger or with its host, does not
/// know what was meanwhile.
const UNSEEN_MAX: Duration = Duration::from_secs(60);

/// Watches both clocks.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    last: Option<Now>,
}

impl Timeline {
    /// Takes a look. Whether time went on as it should since the last; where not, nothing is known of what was in
    /// between.
    pub(super) fn goes_on(&mut self, now: Now) -> bool {
        let Some(last) = self.last.replace(now) else {
            return true;
        };
        let passed = now.since_start.saturating_sub(last.since_start);
        let expected = last.time.0.saturating_add(passed.as_millis() as u64);
        let astray = Duration::from_millis(expected.abs_diff(now.time.0));
        passed <= UNSEEN_MAX && astray <= SLEW_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchyard_protocol::message::Time;

    #[test]
    fn a_clock_that_is_set_is_told_from_one_that_is_corrected() {
        let now = |since_ms, time| Now {
            since_start: Duration::from_millis(since_ms),
            time: Time(time),
        };
        let mut timeline = Timeline::default();
        for (since_ms, time, expected) in [
            (0, 1_000_000, true),
            (1_000, 1_001_000, true),
            (2_000, 1_003_999, true),
            (3_000, 1_003_001, true),
            (4_000, 1_006_002, false),
            (5_000, 1_007_000, true),
            (6_000, 900_000, false),
            (7_000, 901_000, true),
            (67_000, 961_000, true),
            // It was stopped for longer than that.
            (127_001, 1_021_001, false),
        ] {
            assert_eq!(
                timeline.goes_on(now(since_ms, time)),
                expected,
                "{since_ms}"
            );
        }
    }
}
