//! What is kept of commands: the last receipts of those that ended, and the frames of those that
//! have not.

use crate::receipts::Known;
use bytes::Bytes;
use foldhash::fast::FixedState;
use std::{collections::VecDeque, hash::BuildHasher, ops::Deref, time::Duration};
use switchyard_protocol::message::Key;

/// An ended command.
#[derive(Debug)]
struct Ended {
    key: Key,
    /// Kept until then at least, while there is room.
    until: Duration,
    /// The number of the one before it in its bucket.
    before: u32,
    known: Known,
}

/// Ended commands in the order of their ends, found by key.
///
/// Each has a number, one up from the last (wrapping). A bucket knows the number of its newest, and
/// each its predecessor's, so a chain goes from new to old, and ends at the first number that has
/// been forgotten: to forget the oldest touches nothing but itself, and there are mostly as many
/// as there is room for.
#[derive(Debug)]
pub(crate) struct Kept {
    /// Oldest first.
    ring: VecDeque<Ended>,
    /// The oldest's number.
    first: u32,
    /// By bucket: the newest's number. One that nobody bears, or somebody of another bucket, is as
    /// good as none. There are at least twice as many buckets as ended commands.
    newest: Vec<u32>,
    /// By bucket: a bit for each key in its chain, and for some that have been forgotten. Nearly every
    /// command's key is a new one, and this small table says so without a look at the large ones.
    marks: Vec<u8>,
    hash: FixedState,
}

impl Kept {
    pub(crate) fn new(hash: &FixedState) -> Self {
        Kept {
            ring: VecDeque::new(),
            first: 0,
            newest: Vec::new(),
            marks: Vec::new(),
            hash: hash.clone(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.ring.len()
    }

    /// Its bucket, and its bit there.
    fn bucket(&self, key: Key) -> (usize, u8) {
        let hash = self.hash.hash_one(u128::from_ne_bytes(key.0));
        (hash as usize & (self.newest.len() - 1), 1 << (hash >> 61))
    }

    /// Where in the ring the one of this number lies.
    fn place(&self, number: u32) -> Option<usize> {
        let at = number.wrapping_sub(self.first) as usize;
        (at < self.ring.len()).then_some(at)
    }

    fn find(&self, key: Key) -> Option<usize> {
        if self.ring.is_empty() {
            return None;
        }
        let (bucket, mark) = self.bucket(key);
        if self.marks[bucket] & mark == 0 {
            return None;
        }
        let mut at = self.place(self.newest[bucket])?;
        while self.ring[at].key != key {
            // A number that came round again must not lead in a circle.
            at = self
                .place(self.ring[at].before)
                .filter(|&before| before < at)?;
        }
        Some(at)
    }

    pub(crate) fn get(&self, key: Key) -> Option<&Known> {
        self.find(key).map(|at| &self.ring[at].known)
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut Known> {
        self.find(key).map(|at| &mut self.ring[at].known)
    }

    /// Keeps one more, whose key is not among them, and of them all at most `max`.
    pub(crate) fn keep(&mut self, key: Key, known: Known, until: Duration, max: usize) {
        if max == 0 {
            return;
        }
        while self.ring.len() >= max {
            self.forget_oldest();
        }
        if 2 * self.ring.len() >= self.newest.len() {
            self.widen();
        }
        let number = self.first.wrapping_add(self.ring.len() as u32);
        let before = self.link(key, number);
        self.ring.push_back(Ended {
            key,
            until,
            before,
            known,
        });
    }

    /// Forgets those whose time is over, as far as nobody older is still kept.
    pub(crate) fn trim(&mut self, now: Duration) {
        while self.ring.front().is_some_and(|ended| ended.until <= now) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        self.ring.pop_front();
        self.first = self.first.wrapping_add(1);
    }

    /// Makes a number the newest of its key's bucket; the one that was is returned.
    fn link(&mut self, key: Key, number: u32) -> u32 {
        let (bucket, mark) = self.bucket(key);
        let before = std::mem::replace(&mut self.newest[bucket], number);
        let is_alone = number.wrapping_sub(before) > number.wrapping_sub(self.first);
        let marks = &mut self.marks[bucket];
        *marks = if is_alone { mark } else { *marks | mark };
        before
    }

    /// Doubles the buckets.
    fn widen(&mut self) {
        let buckets = (2 * self.newest.len()).max(64);
        self.newest = vec![self.first.wrapping_sub(1); buckets];
        self.marks = vec![0; buckets];
        for at in 0..self.ring.len() {
            let number = self.first.wrapping_add(at as u32);
            self.ring[at].before = self.link(self.ring[at].key, number);
        }
    }
}

/// A command's frame, header and payload.
#[derive(Debug)]
pub(crate) enum KeptFrame {
    /// In memory that is used again: the command was sent at once and mostly ends soon.
    Lent(Vec<u8>),
    /// In memory of its own and just its size, for it may wait for long.
    Own(Bytes),
}

impl Deref for KeptFrame {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            KeptFrame::Lent(bytes) => bytes,
            KeptFrame::Own(bytes) => bytes,
        }
    }
}

impl KeptFrame {
    /// The frame in memory of its own.
    pub(crate) fn to_own(&self) -> Bytes {
        match self {
            KeptFrame::Lent(bytes) => Bytes::copy_from_slice(bytes),
            KeptFrame::Own(bytes) => bytes.clone(),
        }
    }
}

/// Memory for the frames of commands that are on their way.
#[derive(Debug, Default)]
pub(crate) struct FramePool(Vec<Vec<u8>>);

/// The largest frame that is lent memory: a call with four arguments fits.
const LENT_BYTES: usize = 128;
/// What lies ready: 32 KiB.
const SPARE_MAX: usize = 256;

impl FramePool {
    pub(crate) fn keep(&mut self, frame: &[u8]) -> KeptFrame {
        if frame.len() > LENT_BYTES {
            return KeptFrame::Own(Bytes::copy_from_slice(frame));
        }
        let spare = self.0.pop();
        let mut bytes = spare.unwrap_or_else(|| Vec::with_capacity(LENT_BYTES));
        bytes.extend_from_slice(frame);
        KeptFrame::Lent(bytes)
    }

    pub(crate) fn take_back(&mut self, frame: Option<KeptFrame>) {
        if let Some(KeptFrame::Lent(mut bytes)) = frame
            && self.0.len() < SPARE_MAX
        {
            bytes.clear();
            self.0.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchyard_protocol::Address;

    fn known(number: u32) -> Known {
        Known::new(
            Address(number),
            crate::session::AccountId::default(),
            (Address(1), 1),
            0,
        )
    }

    fn key(number: u32) -> Key {
        let mut key = [0; 16];
        key[3..7].copy_from_slice(&number.to_be_bytes());
        Key(key)
    }

    #[test]
    fn the_newest_are_found_and_no_other() {
        for max in [1, 2, 63, 64, 65, 1_000] {
            let mut kept = Kept::new(&FixedState::with_seed(7));
            // Numbers come round in between.
            kept.first = u32::MAX - 700;
            for number in 0..3_000 {
                assert!(kept.get(key(number)).is_none());
                kept.keep(key(number), known(number), Duration::ZERO, max);
                assert!(kept.len() <= max);
                let oldest = (number + 1).saturating_sub(max as u32);
                for asked in [number, oldest, oldest + (number - oldest) / 2] {
                    let found = kept.get_mut(key(asked)).map(|known| known.controller);
                    assert_eq!(found, Some(Address(asked)), "{number} of {max}");
                }
                if let Some(forgotten) = oldest.checked_sub(1) {
                    assert!(kept.get(key(forgotten)).is_none());
                }
            }
        }
    }

    #[test]
    fn those_whose_time_is_over_are_forgotten_from_the_oldest_on() {
        let mut kept = Kept::new(&FixedState::with_seed(7));
        for (number, seconds) in [(1, 10), (2, 30), (3, 20)] {
            kept.keep(key(number), known(number), Duration::from_secs(seconds), 10);
        }
        for (seconds, left) in [(9, 3), (10, 2), (25, 2), (30, 0)] {
            kept.trim(Duration::from_secs(seconds));
            assert_eq!(kept.len(), left, "after {seconds} s");
        }
        assert!(kept.get(key(3)).is_none());
    }

    #[test]
    fn small_frames_use_their_memory_again() {
        let mut pool = FramePool::default();
        let frame = pool.keep(&[1; 100]);
        let here = frame.as_ptr();
        pool.take_back(Some(frame));
        let frame = pool.keep(&[2; LENT_BYTES]);
        assert_eq!((frame.as_ptr(), &frame[..]), (here, &[2; LENT_BYTES][..]));
        assert!(matches!(pool.keep(&[3; LENT_BYTES + 1]), KeptFrame::Own(_)));
    }
}
