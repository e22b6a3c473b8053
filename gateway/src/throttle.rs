//! How often somebody may knock: a bounded table of counts per minute.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, Hash, RandomState},
    marker::PhantomData,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Keys that one table remembers.
const KEYS_MAX: usize = 100_000;
const WINDOW_MS: u32 = 60_000;

/// What counts as one origin: an IPv4 address, or the /64 that one subscriber usually has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Network(IpAddr);

/// The network of an IP address.
pub(crate) fn network_of(ip: IpAddr) -> Network {
    match ip.to_canonical() {
        IpAddr::V4(ip) => Network(IpAddr::V4(ip)),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            Network(IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)))
        }
    }
}

impl Default for Network {
    fn default() -> Self {
        Network(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }
}

/// Counts per key and minute.
#[derive(Debug)]
pub(crate) struct Throttle<K> {
    per_minute_max: u32,
    started: Instant,
    /// Keys are kept as hashes under a secret of this process: every controller that ever came has
    /// an entry here for a while, and a key itself is five times as large.
    hash: RandomState,
    counts: Mutex<HashMap<u64, Count>>,
    keys: PhantomData<fn(K)>,
}

/// Knocks since a moment, which is in milliseconds since the throttle was made.
#[derive(Clone, Copy, Debug)]
struct Count {
    since_ms: u32,
    knocks: u32,
}

impl<K: Eq + Hash> Throttle<K> {
    /// Lets each key pass this often in a minute.
    pub(crate) fn new(per_minute_max: u32) -> Self {
        Throttle {
            per_minute_max,
            started: Instant::now(),
            hash: RandomState::new(),
            counts: Mutex::default(),
            keys: PhantomData,
        }
    }

    /// Counts one knock; whether it may pass.
    pub(crate) fn pass(&self, key: K, now: Instant) -> bool {
        self.wait(key, now).is_none()
    }

    /// Counts one knock; how long to wait before one passes again, `None` when this one does.
    pub(crate) fn wait(&self, key: K, now: Instant) -> Option<Duration> {
        // Wraps after seven weeks; what is compared lies within a minute or is forgotten anyway.
        let now_ms = now.saturating_duration_since(self.started).as_millis() as u32;
        let key = self.hash.hash_one(key);
        let is_over = |count: &Count| now_ms.wrapping_sub(count.since_ms) >= WINDOW_MS;
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= KEYS_MAX {
            counts.retain(|_, count| !is_over(count));
        }
        if counts.len() >= KEYS_MAX && !counts.contains_key(&key) {
            // More origins in a minute than can be told apart: shutting out everybody new would do
            // the attacker's work, and the number of connections stays bounded in any case.
            return None;
        }
        let first = Count {
            since_ms: now_ms,
            knocks: 0,
        };
        let count = counts.entry(key).or_insert(first);
        if is_over(count) {
            *count = first;
        }
        count.knocks = count.knocks.saturating_add(1);
        let left_ms = WINDOW_MS.saturating_sub(now_ms.wrapping_sub(count.since_ms));
        (count.knocks > self.per_minute_max).then(|| Duration::from_millis(left_ms.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_so_often_a_minute_for_each() {
        let throttle = Throttle::new(2);
        let now = Instant::now();
        assert!(throttle.pass(1, now) && throttle.pass(1, now) && !throttle.pass(1, now));
        assert!(throttle.pass(2, now));
        let later = now + Duration::from_millis(20_000);
        let wait = throttle.wait(1, later).unwrap();
        assert!((39_000..=40_000).contains(&wait.as_millis()), "{wait:?}");
        assert!(throttle.pass(1, now + Duration::from_millis(60_000)));
    }

    #[test]
    fn one_subscriber_is_one_network() {
        let network = |text: &str| network_of(text.parse().unwrap());
        assert_eq!(network("2001:db8:1:2::3"), network("2001:db8:1:2:ffff::9"));
        assert_ne!(network("2001:db8:1:2::3"), network("2001:db8:1:3::3"));
        assert_eq!(network("::ffff:10.0.0.1"), network("10.0.0.1"));
        assert_ne!(network("10.0.0.2"), network("10.0.0.1"));
    }
}
