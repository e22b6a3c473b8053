//! What is due when, in order, so that passing time costs only what is really due.

use crate::session::Slot;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use switchyard_protocol::{Address, message::Key};

/// What a timer is for. Whoever arms one keeps the moment, to disarm it again or to see that it is
/// armed early enough: so the set is as large as what is alive, not as what has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
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

/// A whole second since the gateway's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Second(u32);

impl Second {
    /// The first that is not before a moment.
    fn from_moment(since_start: Duration) -> Self {
        let is_past = since_start.subsec_nanos() > 0;
        let seconds = since_start.as_secs() + u64::from(is_past);
        Second(u32::try_from(seconds).unwrap_or(u32::MAX))
    }

    const fn since_start(self) -> Duration {
        Duration::from_secs(self.0 as u64)
    }
}

/// Every timer that is armed.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    exact: BTreeSet<(Moment, Timer)>,
    /// When connections are to be looked at. Every one has such a timer at all times, so it is kept
    /// small: whole seconds are exact enough, and nothing is disarmed.
    looks: BTreeMap<Second, Vec<Slot>>,
}

impl Timers {
    pub(crate) fn arm(&mut self, at: Duration, timer: Timer) {
        self.exact.insert((at.into(), timer));
    }

    pub(crate) fn disarm(&mut self, at: Duration, timer: Timer) {
        self.exact.remove(&(at.into(), timer));
    }

    /// Has a connection looked at, up to a second later than asked for: the second that is returned.
    /// Whoever lies in its place by then is looked at for which no other second was returned since.
    pub(crate) fn arm_look(&mut self, at: Duration, slot: Slot) -> Second {
        let second = Second::from_moment(at);
        self.looks.entry(second).or_default().push(slot);
        second
    }

    pub(crate) fn next(&self) -> Option<Duration> {
        let exact = self.exact.first().map(|(at, _)| at.since_start());
        let look = self.looks.first_key_value();
        let look = look.map(|(second, _)| second.since_start());
        [exact, look].into_iter().flatten().min()
    }

    /// Takes the first timer that is due.
    pub(crate) fn due(&mut self, now: Duration) -> Option<Timer> {
        let now = Moment::from(now);
        let &(at, timer) = self.exact.first().filter(|&&(at, _)| at <= now)?;
        self.exact.remove(&(at, timer));
        Some(timer)
    }

    /// Takes the connections that were to be looked at in the first second that has come.
    pub(crate) fn looks_due(&mut self, now: Duration) -> Option<(Second, Vec<Slot>)> {
        let first = self.looks.first_entry()?;
        (first.key().since_start() <= now).then(|| first.remove_entry())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_come_by_the_second_and_never_early() {
        let ms = Duration::from_millis;
        let mut timers = Timers::default();
        assert_eq!(timers.arm_look(ms(1_000), 1), Second(1));
        assert_eq!(timers.arm_look(ms(1_001), 2), Second(2));
        assert_eq!(timers.arm_look(ms(2_000), 3), Second(2));
        // A place that is given again within a second stands there twice.
        assert_eq!(timers.arm_look(ms(1_500), 3), Second(2));
        timers.arm(ms(1_500), Timer::Lane(Address(7)));
        assert_eq!(timers.next(), Some(ms(1_000)));
        assert_eq!(timers.looks_due(ms(999)), None);
        assert_eq!(timers.looks_due(ms(1_999)), Some((Second(1), vec![1])));
        assert_eq!(timers.looks_due(ms(1_999)), None);
        assert_eq!(timers.next(), Some(ms(1_500)));
        assert_eq!(timers.due(ms(1_999)), Some(Timer::Lane(Address(7))));
        assert_eq!(timers.next(), Some(ms(2_000)));
        assert_eq!(
            timers.looks_due(ms(9_000)),
            Some((Second(2), vec![2, 3, 3]))
        );
        assert_eq!(timers.next(), None);
    }
}
