//! What a span of time came to.

use std::time::Duration;

/// What a point was over a span of time. Two of them that follow each other are one of the longer span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The least value. Values are as on the wire: 0 or 1, or thousandths.
    pub min: i64,
    /// The greatest value.
    pub max: i64,
    /// The mean by time, in thousandths of what the others are in: the share of time that a relay was on is a
    /// mean too, and would be nothing without them.
    pub mean: i64,
    /// The last value.
    pub last: i64,
    /// How much of the span the point was known for; the rest is a gap.
    pub held: Duration,
    /// How many values came. A point that holds still has none.
    pub samples: u64,
}

/// A summary that grows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Accumulator {
    /// The least value and the greatest: the wrong way round before the first.
    min: i64,
    max: i64,
    last: i64,
    /// Of a mean in thousandths and the milliseconds it held for. Of 2^53 thousandfold over a thousand years there
    /// is room.
    sum: i128,
    held_ms: u64,
    samples: u64,
}

impl Default for Accumulator {
    fn default() -> Self {
        Accumulator {
            min: i64::MAX,
            max: i64::MIN,
            last: 0,
            sum: 0,
            held_ms: 0,
            samples: 0,
        }
    }
}

impl Accumulator {
    #[inline]
    fn saw(&mut self, min: i64, max: i64, last: i64) {
        self.min = self.min.min(min);
        self.max = self.max.max(max);
        self.last = last;
    }

    /// Whether there is nothing in it.
    pub(super) const fn is_empty(&self) -> bool {
        self.min > self.max
    }

    /// A value came.
    #[inline]
    pub(super) fn came(&mut self, value: i64) {
        self.saw(value, value, value);
        self.samples += 1;
    }

    /// A value held so long; it is below 2^53, as all on the wire are.
    #[inline]
    pub(super) fn held(&mut self, value: i64, ms: u64) {
        if ms > 0 {
            self.saw(value, value, value);
            self.sum += i128::from(value.saturating_mul(1_000)) * i128::from(ms);
            self.held_ms += ms;
        }
    }

    /// A later span came to this.
    pub(super) fn add(&mut self, later: &Summary) {
        let ms = u64::try_from(later.held.as_millis()).unwrap_or(u64::MAX);
        self.saw(later.min, later.max, later.last);
        self.sum += i128::from(later.mean) * i128::from(ms);
        self.held_ms = self.held_ms.saturating_add(ms);
        self.samples = self.samples.saturating_add(later.samples);
    }

    /// What it has come to; `None` where there was nothing.
    pub(super) fn summary(&self) -> Option<Summary> {
        if self.is_empty() {
            return None;
        }
        let (min, max, last) = (self.min, self.max, self.last);
        let mean = match self.held_ms {
            // A value that came and was gone in the same millisecond.
            0 => i128::from(last) * 1_000,
            held_ms => rounded(self.sum, held_ms.into()),
        };
        Some(Summary {
            min,
            max,
            mean: i64::try_from(mean).unwrap_or(if mean < 0 { i64::MIN } else { i64::MAX }),
            last,
            held: Duration::from_millis(self.held_ms),
            samples: self.samples,
        })
    }
}

/// A quotient, rounded to the nearest; the divisor is above zero.
fn rounded(dividend: i128, divisor: i128) -> i128 {
    let half = divisor / 2;
    match dividend < 0 {
        true => (dividend - half) / divisor,
        false => (dividend + half) / divisor,
    }
}
