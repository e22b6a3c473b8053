//! Gateway time, estimated from what the gateway says of it. Pure: the caller brings the instants.

use std::time::Duration;
use switchyard_protocol::message::Time;
use tokio::time::Instant;

/// An estimate of the gateway's clock that never runs backwards.
#[derive(Clone, Copy, Debug)]
pub struct GatewayClock {
    known: Time,
    at: Instant,
}

impl GatewayClock {
    /// From the welcome, which came at `received`.
    pub fn new(time: Time, received: Instant) -> Self {
        GatewayClock {
            known: time,
            at: received,
        }
    }

    /// From a ping's reply. Half the round trip is taken for the way back; an estimate that would
    /// step back is ignored, since an expiry made a moment ago must not move into the past.
    pub fn learn(&mut self, time: Time, sent: Instant, received: Instant) {
        let way = received.saturating_duration_since(sent) / 2;
        let heard = time.plus(way);
        if heard > self.now(received) {
            *self = GatewayClock {
                known: heard,
                at: received,
            };
        }
    }

    /// The estimate at `instant`.
    pub fn now(&self, instant: Instant) -> Time {
        let passed: Duration = instant.saturating_duration_since(self.at);
        self.known.plus(passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advances_and_never_steps_back() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let mut clock = GatewayClock::new(Time(10_000), start);
        assert_eq!(clock.now(start + second), Time(11_000));
        clock.learn(Time(11_400), start + second, start + second + second);
        // Half the round trip of a second is added: 11,900, behind the 12,000 already shown.
        assert_eq!(clock.now(start + second * 2), Time(12_000));
        clock.learn(Time(20_000), start + second * 2, start + second * 4);
        assert_eq!(clock.now(start + second * 4), Time(21_000));
        assert_eq!(
            clock.now(start),
            Time(21_000),
            "an older instant is not the past"
        );
    }
}
