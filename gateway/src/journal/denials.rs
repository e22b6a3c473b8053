//! What accounts are not allowed: so many of an account in a minute go on record, and of the rest how many they were,
//! once the minute is over. Whoever asks on and on must not drive out the other records.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use switchyard_protocol::message::Title;

/// Records in a minute of what one account was not allowed.
const RECORDS_PER_MINUTE_MAX: u32 = 60;
/// What is counted for so long.
const MINUTE: Duration = Duration::from_secs(60);
/// Accounts that are told apart: more than any yard has. What others are not allowed is counted in the metrics alone.
const ACCOUNTS_MAX: usize = 10_000;

/// Counts by account. Frames and requests over HTTP are counted together.
#[derive(Debug, Default)]
pub(crate) struct Denials {
    accounts: Mutex<HashMap<Title, Minute>>,
}

/// An account's minute. It is over when it is told of, which is a moment after.
#[derive(Debug)]
struct Minute {
    began: Instant,
    records: u32,
    left_out: u64,
}

impl Minute {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.began) >= MINUTE
    }
}

impl Denials {
    fn lock(&self) -> MutexGuard<'_, HashMap<Title, Minute>> {
        // Whoever panics in here leaves a count that is one off at most.
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one; whether it goes on record.
    pub(crate) fn pass(&self, account: &Title, now: Instant) -> bool {
        let mut accounts = self.lock();
        let fresh = Minute {
            began: now,
            records: 0,
            left_out: 0,
        };
        if accounts.len() >= ACCOUNTS_MAX && !accounts.contains_key(account) {
            return false;
        }
        let minute = accounts.entry(account.clone()).or_insert(fresh);
        // One of which something was left out goes on until that is told.
        if minute.is_over(now) && minute.left_out == 0 {
            (minute.began, minute.records) = (now, 0);
        }
        let passes = minute.records < RECORDS_PER_MINUTE_MAX;
        match passes {
            true => minute.records += 1,
            false => minute.left_out += 1,
        }
        passes
    }

    /// How many were left out of the minutes that are over, by account; those are forgotten.
    pub(super) fn take_over(&self, now: Instant) -> Vec<(Title, u64)> {
        self.take(|minute| minute.is_over(now))
    }

    /// The same of all minutes.
    pub(super) fn take_all(&self) -> Vec<(Title, u64)> {
        self.take(|_| true)
    }

    fn take(&self, is_taken: impl Fn(&Minute) -> bool) -> Vec<(Title, u64)> {
        let mut accounts = self.lock();
        let taken = accounts.extract_if(|_, minute| is_taken(minute));
        let taken = taken.map(|(account, minute)| (account, minute.left_out));
        let mut told: Vec<_> = taken.filter(|(_, left_out)| *left_out > 0).collect();
        told.sort();
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_of_a_minute_is_told_when_it_is_over() {
        let (denials, start) = (Denials::default(), Instant::now());
        let title = |text| Title::new(text).unwrap();
        let (eve, li) = (title("eve"), title("li"));
        let at = |seconds| start + Duration::from_secs(seconds);
        let passed = |account, seconds, count| {
            let passes = (0..count).filter(|_| denials.pass(account, at(seconds)));
            passes.count()
        };
        assert_eq!(passed(&eve, 0, 50), 50);
        assert_eq!(passed(&eve, 59, 15), 10);
        assert_eq!(passed(&li, 30, 60), 60);
        assert_eq!(denials.take_over(at(59)), []);
        // Nobody has told of it yet.
        assert_eq!(passed(&eve, 60, 2), 0);
        assert_eq!(denials.take_over(at(61)), [(eve.clone(), 7)]);
        assert_eq!(denials.take_over(at(61)), []);
        assert_eq!(passed(&eve, 61, 61), 60);
        // A minute of which nothing was left out needs nobody to end it.
        assert_eq!(passed(&li, 90, 62), 60);
        assert_eq!(denials.take_all(), [(eve, 1), (li, 2)]);
        assert_eq!(denials.take_all(), []);
    }

    #[test]
    fn accounts_are_bounded() {
        let (denials, now) = (Denials::default(), Instant::now());
        let pass = |number: usize| denials.pass(&Title::new(&format!("{number}")).unwrap(), now);
        assert!((0..ACCOUNTS_MAX).all(pass));
        assert!(!pass(ACCOUNTS_MAX) && pass(0));
        assert_eq!(denials.take_over(now + MINUTE), []);
        assert!(pass(ACCOUNTS_MAX));
    }
}
