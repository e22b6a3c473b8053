//! History: what chosen points were, minute by minute, for charts of days and months.
//!
//! The relay tells of values as they come; the yard's thread notes them and does nothing else with them. Here they
//! become one row for each point and minute: the least and the greatest value, the mean by the time that each value
//! held, the last, and how many came. A value holds until the next one, for a controller tells only what changes.
//! While a controller is away nobody knows what its points are, so that time counts for nothing: it is a gap, and
//! never a line that goes on (`docs/adr/0024-history-by-the-minute.md`).
//!
//! - [`Choice`]: which points.
//! - [`Summary`]: what a span of time came to, and how two of them are one.
//! - `recorder`: values in, minutes out; it reads no clock. `timeline`: gateway time as the recorder is told it.
//! - `tap`: the yard's end. `keeper`: from there to the config store, and what is old out of it.
//! - `recent`: of the same, what points were second by second, for the last minutes, to the status store.
//! - [`chart`]: a point's history in as many buckets as a screen has room for.

mod chart;
mod choice;
mod keeper;
mod recent;
mod recorder;
mod summary;
mod tap;
#[cfg(test)]
mod tests;
mod timeline;

pub use chart::{
    BUCKETS_MAX, Bucket, Chart, ChartError, Question, RANGE_MAX, STORED_MINUTES_PER_PAGE,
    StoredMinute, chart,
};
pub use choice::{Choice, NotAChoice};
pub use summary::Summary;

pub(crate) use keeper::{Keeper, sweep};
pub(crate) use recent::{Recent, RecentError, RecentQuestion, keep_samples, recent_chart};
pub(crate) use tap::Tap;

use std::sync::Arc;
use switchyard_protocol::{
    Address,
    message::{Name, PointType, Time},
};

/// A minute, in which everything here is counted.
pub(crate) const MINUTE_MS: u64 = 60_000;

/// The chore of deleting what is old, which one gateway has at a time among those that share a store.
pub const CHORE: &str = "history";

/// What has a history: a point of one name and type. Another type under the same name is another series, since its
/// numbers mean something else.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Series {
    /// Whose point.
    pub controller: Address,
    /// Its name in the script: its index is another one in the next script.
    pub point: Name,
    /// What it is.
    pub point_type: PointType,
}

/// A part of a minute that one gateway has recorded in one go. Most minutes have one; one in which a gateway was
/// started anew, or its clock was set, or a controller went to another gateway, has more. Written twice, a part is
/// one: so a write that may have been done can be done again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Part(u32);

impl Part {
    /// Bits that tell the runs of recorders apart: as many as leave the number below 2^31.
    const RUN_BITS: u32 = 15;
    /// The part before all others.
    pub const FIRST: Part = Part(0);

    /// That which begins so many milliseconds into its minute, of one run of a recorder, of which the lowest 15 bits
    /// count. Parts are in the order of their beginnings.
    pub fn new(begins_ms: u64, run: u32) -> Self {
        let begins = begins_ms.min(MINUTE_MS - 1) as u32;
        Part(begins << Self::RUN_BITS | run & ((1 << Self::RUN_BITS) - 1))
    }

    /// As a store keeps it.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// As a store has kept it.
    pub const fn from_number(number: u32) -> Self {
        Part(number)
    }
}

/// What a point was in one minute, or a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minute {
    /// Which point.
    pub series: Arc<Series>,
    /// When: minutes since 1970, by gateway time.
    pub number: u32,
    /// Which part of it.
    pub part: Part,
    /// What it was.
    pub summary: Summary,
}

/// Names a series in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesId(pub u64);

/// A point of which there is history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// By what its minutes are found.
    pub id: SeriesId,
    /// The point.
    pub series: Series,
    /// Its first minute that there is.
    pub first: u32,
    /// Its last one.
    pub last: u32,
}

/// What came of deleting a slice of what is old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swept {
    /// How many minutes went.
    pub minutes: u64,
    /// Where to go on; `None` at the end.
    pub next: Option<SeriesId>,
}

/// The minute that a time is in.
pub fn minute_of(time: Time) -> u32 {
    u32::try_from(time.0 / MINUTE_MS).unwrap_or(u32::MAX)
}

/// When a minute begins.
pub const fn start_of(minute: u32) -> Time {
    Time(minute as u64 * MINUTE_MS)
}
