//! The gateway's two clocks, read here and nowhere else.

use std::time::{Instant, SystemTime, UNIX_EPOCH};
use switchyard_protocol::message::Time;
use switchyard_relay::Now;

/// Counts from the gateway's start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts counting.
    pub(crate) fn start() -> Self {
        Clock {
            start: Instant::now(),
        }
    }

    /// Both clocks.
    pub(crate) fn now(&self) -> Now {
        Now {
            since_start: self.start.elapsed(),
            time: time(),
        }
    }
}

/// Gateway time: milliseconds since the Unix epoch.
pub(crate) fn time() -> Time {
    // A clock set before 1970 makes every expiry far ahead, and so every command is refused.
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Time(since.as_millis() as u64)
}
