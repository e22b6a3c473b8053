//! What is due when: one ordered set, so that passing time costs only what is really due.

use crate::session::Slot;
use std::{collections::BTreeSet, time::Duration};
use switchyard_protocol::{Address, message::Key};

/// What a timer is for. Whoever arms one keeps the moment, to disarm it again or to see that it is
/// armed early enough: so the set is as large as what is alive, not as what has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// Look whether this connection is silent or slow.
    Connection(Slot),
    /// Forget the requests to this controller that nobody answered.
    Requests(Address),
    /// Look whether the moment of one of this controller's commands has come: never late, mostly
    /// early, for a command that ends disarms nothing.
    Lane(Address),
    /// The expiry of this command, which is in no lane.
    Command(Key),
    /// Ask the store once more to forget this command.
    Forget(Key),
    /// Try once more to mark this controller's next command as sent.
    Mark(Address),
    /// Ask this controller once more for outcomes.
    Outcomes(Address),
}

/// A moment on the monotonic clock in nanoseconds since the gateway's start, half as large as a
/// `Duration`; one later than 584 years is as good as that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl From<Duration> for Moment {
    fn from(since_start: Duration) -> Self {
        Moment(u64::try_from(since_start.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl Moment {
    pub(crate) const fn since_start(self) -> Duration {
        Duration::from_nanos(self.0)
    }
}

/// Every timer that is armed.
#[derive(Debug, Default)]
pub(crate) struct Timers(BTreeSet<(Moment, Timer)>);

impl Timers {
    pub(crate) fn arm(&mut self, at: Duration, timer: Timer) {
        self.0.insert((at.into(), timer));
    }

    pub(crate) fn disarm(&mut self, at: Duration, timer: Timer) {
        self.0.remove(&(at.into(), timer));
    }

    pub(crate) fn next(&self) -> Option<Duration> {
        self.0.first().map(|(at, _)| at.since_start())
    }

    /// Takes the first timer that is due.
    pub(crate) fn due(&mut self, now: Duration) -> Option<Timer> {
        let now = Moment::from(now);
        let &(at, timer) = self.0.first().filter(|&&(at, _)| at <= now)?;
        self.0.remove(&(at, timer));
        Some(timer)
    }
}
