//! The two wires of a serial line: what travels on them, at which rate, and when it arrives.

use super::slip;
use std::{collections::VecDeque, time::Duration};

/// Bits of a byte on the line: start, eight of data, stop.
const BITS: u32 = 10;

/// What may be on its way. A real line loses what nobody reads, and so does this one from here on.
const BYTES_PENDING_MAX: usize = 4 << 20;

/// How long a byte takes.
pub(super) fn byte_time(baud: u32) -> Duration {
    Duration::from_nanos(u64::from(BITS) * 1_000_000_000 / u64::from(baud.max(1)))
}

/// Whether two rates are near enough for every bit of a byte to be read as it was sent: the last is sampled
/// nine and a half bits after the start.
pub(super) fn are_near(one: u32, other: u32) -> bool {
    u64::from(one.abs_diff(other)) * 25 <= u64::from(one.max(other))
}

/// What a receiver at `to` baud makes of bytes that were sent back to back at `from` baud.
pub(super) fn resampled(bytes: &[u8], from: u32, to: u32) -> Vec<u8> {
    if are_near(from, to) {
        return bytes.to_vec();
    }
    let bits_in_all = bytes.len() as f64 * f64::from(BITS);
    let step = f64::from(from.max(1)) / f64::from(to.max(1));
    // The line's level at a time that is counted in the sender's bits. It rests high.
    let level = |time: f64| {
        let bit = time as usize;
        let byte = bytes.get(bit / BITS as usize);
        match (byte, bit % BITS as usize) {
            (None, _) | (_, 9) => true,
            (_, 0) => false,
            (Some(byte), bit) => byte >> (bit - 1) & 1 == 1,
        }
    };
    let mut read = Vec::new();
    let mut time = 0.0;
    while time < bits_in_all {
        // A byte begins where the level falls.
        if level(time) {
            time = time.floor() + 1.0;
            continue;
        }
        let byte = (0..8).fold(0, |byte, bit| {
            let sampled = level(time + step * (1.5 + f64::from(bit)));
            byte | u8::from(sampled) << bit
        });
        read.push(byte);
        time += step * 9.5;
        // A stop bit that is low ends no byte: the receiver waits until the line is high again.
        while !level(time) && time < bits_in_all {
            time = time.floor() + 1.0;
        }
    }
    read
}

/// Bytes that travel back to back.
#[derive(Debug)]
pub(super) struct Train {
    pub(super) baud: u32,
    bytes: Vec<u8>,
    /// How many have been taken off.
    taken: usize,
    start: Duration,
    byte_time: Duration,
}

impl Train {
    /// What has not been taken off yet.
    pub(super) fn rest(&self) -> &[u8] {
        self.bytes.get(self.taken..).unwrap_or_default()
    }

    /// When the byte with this number among the rest has arrived.
    pub(super) fn arrival(&self, index: usize) -> Duration {
        let bytes = u32::try_from(self.taken + index + 1).unwrap_or(u32::MAX);
        self.start + self.byte_time * bytes
    }

    /// How many of the rest have arrived by then.
    pub(super) fn arrived(&self, now: Duration) -> usize {
        let rest = self.rest().len();
        if rest == 0 || self.arrival(rest - 1) <= now {
            return rest;
        }
        let since = now.saturating_sub(self.start).as_nanos();
        let whole = since.checked_div(self.byte_time.as_nanos());
        let whole = whole.map_or(usize::MAX, |whole| {
            usize::try_from(whole).unwrap_or(usize::MAX)
        });
        whole.saturating_sub(self.taken).min(rest)
    }

    fn read_at(&mut self, baud: u32) {
        let all = self.rest().len();
        let time = self.byte_time * u32::try_from(all).unwrap_or(u32::MAX);
        let bytes = resampled(self.rest(), self.baud, baud);
        self.start = self.arrival(0).saturating_sub(self.byte_time);
        self.byte_time = time / u32::try_from(bytes.len().max(1)).unwrap_or(u32::MAX);
        self.bytes = bytes;
        self.taken = 0;
        self.baud = baud;
    }
}

/// One of the wires.
#[derive(Debug, Default)]
pub(super) struct Wire {
    trains: VecDeque<Train>,
    /// Bytes that have not been taken off.
    pending: usize,
    /// When the last byte has passed.
    free: Duration,
    is_immediate: bool,
}

impl Wire {
    pub(super) fn new(is_immediate: bool) -> Self {
        Wire {
            is_immediate,
            ..Wire::default()
        }
    }

    /// Sends bytes as soon as those before them have passed.
    pub(super) fn send(&mut self, now: Duration, baud: u32, bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let byte_time = match self.is_immediate {
            true => Duration::ZERO,
            false => byte_time(baud),
        };
        let train = Train {
            baud,
            bytes,
            taken: 0,
            start: self.free.max(now),
            byte_time,
        };
        self.free = train.arrival(train.bytes.len() - 1);
        self.pending += train.bytes.len();
        self.trains.push_back(train);
        while self.pending > BYTES_PENDING_MAX && self.trains.len() > 1 {
            self.drop_front();
        }
    }

    /// Bytes that have not been taken off.
    pub(super) fn pending(&self) -> usize {
        self.pending
    }

    fn drop_front(&mut self) {
        if let Some(train) = self.trains.pop_front() {
            self.pending -= train.rest().len();
        }
    }

    /// The foremost bytes are read at another rate than they were sent at.
    pub(super) fn misread_front(&mut self, baud: u32) {
        if let Some(train) = self.front() {
            let before = train.rest().len();
            train.read_at(baud);
            let after = train.rest().len();
            self.pending = self.pending - before + after;
        }
    }

    /// The foremost bytes.
    pub(super) fn front(&mut self) -> Option<&mut Train> {
        while self
            .trains
            .front()
            .is_some_and(|train| train.rest().is_empty())
        {
            self.trains.pop_front();
        }
        self.trains.front_mut()
    }

    /// When the next byte arrives.
    pub(super) fn next_arrival(&self) -> Option<Duration> {
        let mut trains = self.trains.iter();
        let train = trains.find(|train| !train.rest().is_empty())?;
        Some(train.arrival(0))
    }

    /// When the next byte arrives that may end a packet, or the last of those that travel together.
    pub(super) fn next_mark(&self) -> Option<Duration> {
        let mut trains = self.trains.iter();
        let train = trains.find(|train| !train.rest().is_empty())?;
        let rest = train.rest();
        let mark = rest.iter().position(|byte| *byte == slip::MARK);
        Some(train.arrival(mark.unwrap_or(rest.len() - 1)))
    }

    /// When a receiver at this rate may read on.
    pub(super) fn next_readable(&self, baud: u32) -> Option<Duration> {
        let mut trains = self.trains.iter();
        let train = trains.find(|train| !train.rest().is_empty())?;
        let last = train.rest().len() - 1;
        Some(train.arrival(if are_near(train.baud, baud) { 0 } else { last }))
    }

    /// When the last byte has passed.
    pub(super) fn free(&self) -> Duration {
        self.free
    }

    /// Takes off the next bytes of the foremost train.
    pub(super) fn take(&mut self, count: usize) -> Vec<u8> {
        let Some(train) = self.front() else {
            return Vec::new();
        };
        let bytes = train.rest().iter().take(count).copied().collect::<Vec<_>>();
        train.taken += bytes.len();
        self.pending -= bytes.len();
        bytes
    }

    /// What a receiver at this rate has read by now.
    pub(super) fn receive(&mut self, now: Duration, baud: u32) -> Vec<u8> {
        let mut read = Vec::new();
        while let Some(train) = self.front() {
            if are_near(train.baud, baud) {
                let arrived = train.arrived(now);
                if arrived == 0 {
                    break;
                }
                read.extend(self.take(arrived));
            } else {
                // What is misread is read as a whole, so that the same comes out however often one looks.
                let all = train.rest().len();
                if train.arrival(all - 1) > now {
                    break;
                }
                read.extend(resampled(train.rest(), train.baud, baud));
                self.drop_front();
            }
        }
        read
    }

    /// The sender stops: whatever has not passed never will.
    pub(super) fn cut(&mut self, now: Duration) {
        for train in &mut self.trains {
            let arrived = train.taken + train.arrived(now);
            train.bytes.truncate(arrived);
        }
        self.pending = self.trains.iter().map(|train| train.rest().len()).sum();
        self.free = self.free.min(now);
    }

    /// Nothing is on its way any more.
    pub(super) fn clear(&mut self) {
        self.trains.clear();
        self.pending = 0;
        self.free = Duration::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_rates_read_the_same_and_others_do_not() {
        let text = b"ets Jan  8 2013,rst cause:1, boot mode:(3,6)";
        for (from, to, is_same) in [
            (74_880, 74_880, true),
            (74_880, 76_800, true),
            (115_200, 112_500, true),
            (74_880, 115_200, false),
            (115_200, 74_880, false),
            (460_800, 115_200, false),
        ] {
            let read = resampled(text, from, to);
            assert_eq!(read == text, is_same, "{from} as {to}: {read:x?}");
            assert!(!read.is_empty(), "{from} as {to}");
        }
    }

    #[test]
    fn bytes_arrive_one_after_the_other() {
        let mut wire = Wire::new(false);
        let start = Duration::from_millis(5);
        wire.send(start, 1_000, b"abc".to_vec());
        wire.send(start, 1_000, b"d".to_vec());
        let mut read = Vec::new();
        for at_ms in [5, 14, 15, 24, 25, 34, 35, 44, 45] {
            read.push(wire.receive(Duration::from_millis(at_ms), 1_000));
        }
        let expected: [&[u8]; 9] = [b"", b"", b"a", b"", b"b", b"", b"c", b"", b"d"];
        assert_eq!(read, expected);
    }

    #[test]
    fn a_cut_keeps_what_has_passed() {
        let mut wire = Wire::new(false);
        wire.send(Duration::ZERO, 1_000, b"abc".to_vec());
        wire.cut(Duration::from_millis(25));
        wire.send(Duration::from_millis(25), 1_000, b"d".to_vec());
        assert_eq!(wire.receive(Duration::from_secs(1), 1_000), b"abd");
    }
}
