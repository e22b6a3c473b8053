//! A point's history in as many buckets as there is room for.

use super::{MINUTE_MS, Part, Recorded, Summary, minute_of, start_of, summary::Accumulator};
use crate::store::{ConfigStore, StoreError};
use std::time::Duration;
use switchyard_protocol::{
    Address,
    message::{Name, PointType, Time},
};

/// Buckets in one chart: more than a screen has columns.
pub const BUCKETS_MAX: u32 = 4_096;
/// How long a time one chart is of: a year and some. Each of its minutes is read.
pub const RANGE_MAX: Duration = Duration::from_secs(400 * 24 * 3_600);
/// Minutes that are read from the store at once, so that others have their turn in between: a few milliseconds.
pub const STORED_MINUTES_PER_PAGE: u32 = 2_000;

/// What a chart is to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Whose point.
    pub controller: Address,
    /// The point's name.
    pub point: Name,
    /// From this minute on.
    pub from: Time,
    /// Up to this time, the minute that it is in included.
    pub to: Time,
    /// In how many buckets at most.
    pub buckets_max: u32,
}

/// A point over a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chart {
    /// What the point is, and so what its numbers mean.
    pub point_type: PointType,
    /// Where the first bucket begins, whether or not there is anything in it.
    pub from: Time,
    /// How long each bucket is; whole minutes.
    pub bucket: Duration,
    /// Those in which the point was known, in the order of time. One that is missing is a gap.
    pub buckets: Vec<Bucket>,
}

/// A part of a chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Where it begins.
    pub from: Time,
    /// What the point was. No extreme is lost in it: the least of a bucket is the least of all its values.
    pub summary: Summary,
}

/// Why there is no chart.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChartError {
    /// The time goes backwards, or is too long.
    #[error("expected a time of a minute to {} days, its end after its beginning", RANGE_MAX.as_secs() / 86_400)]
    BadRange,
    /// Too few or too many buckets.
    #[error("expected 1 to {BUCKETS_MAX} buckets and found {0}")]
    BadBuckets(u32),
    /// The store did not tell.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads a chart; `None` where nothing was ever recorded of the point, or all of it is past its days.
///
/// # Errors
/// [`ChartError`], also of the store.
pub async fn chart(
    store: &dyn ConfigStore,
    question: &Question,
) -> Result<Option<Chart>, ChartError> {
    let mut buckets = Buckets::new(question)?;
    let recorded = store.recorded_points(question.controller).await?;
    let of_name = recorded.into_iter();
    let of_name = of_name.filter(|it| it.series.point == question.point);
    // A name that was a point of another type before: the latest counts.
    let Some(Recorded { id, series, .. }) = of_name.max_by_key(|it| it.last) else {
        return Ok(None);
    };
    let range = (buckets.first, buckets.end);
    let mut after = None;
    loop {
        let limit = STORED_MINUTES_PER_PAGE;
        let page = store.history(id, range, after, limit).await?;
        for (number, _, summary) in &page {
            buckets.add(*number, summary);
        }
        match page.last() {
            Some((number, part, _)) if page.len() == limit as usize => {
                after = Some((*number, *part));
            }
            _ => break,
        }
    }
    Ok(Some(Chart {
        point_type: series.point_type,
        from: start_of(buckets.first),
        bucket: Duration::from_millis(u64::from(buckets.minutes) * MINUTE_MS),
        buckets: buckets.done(),
    }))
}

/// Buckets that are filled with minutes in the order of time.
#[derive(Debug)]
pub(super) struct Buckets {
    /// The first minute, and the one after the last.
    pub(super) first: u32,
    pub(super) end: u32,
    /// How many a bucket has.
    pub(super) minutes: u32,
    /// The bucket that is filled, and what it has come to.
    present: (u32, Accumulator),
    done: Vec<Bucket>,
}

impl Buckets {
    pub(super) fn new(question: &Question) -> Result<Self, ChartError> {
        let (first, end) = (minute_of(question.from), minute_of(question.to));
        let end = end.saturating_add(1);
        let minutes = end.checked_sub(first).filter(|&it| it > 0);
        let minutes = minutes.filter(|&it| u64::from(it - 1) * 60 <= RANGE_MAX.as_secs());
        let minutes = minutes.ok_or(ChartError::BadRange)?;
        let buckets_max = question.buckets_max;
        if !(1..=BUCKETS_MAX).contains(&buckets_max) {
            return Err(ChartError::BadBuckets(buckets_max));
        }
        Ok(Buckets {
            first,
            end,
            minutes: minutes.div_ceil(buckets_max),
            present: (0, Accumulator::default()),
            done: Vec::new(),
        })
    }

    pub(super) fn add(&mut self, minute: u32, summary: &Summary) {
        let bucket = minute.saturating_sub(self.first) / self.minutes;
        if bucket != self.present.0 {
            self.close();
            self.present.0 = bucket;
        }
        self.present.1.add(summary);
    }

    fn close(&mut self) {
        let (bucket, accumulator) = (self.present.0, std::mem::take(&mut self.present.1));
        if let Some(mut summary) = accumulator.summary() {
            // Two gateways that both had the controller for a moment have counted it twice.
            let whole = Duration::from_millis(u64::from(self.minutes) * MINUTE_MS);
            summary.held = summary.held.min(whole);
            self.done.push(Bucket {
                from: start_of(self.first + bucket * self.minutes),
                summary,
            });
        }
    }

    pub(super) fn done(mut self) -> Vec<Bucket> {
        self.close();
        self.done
    }
}

/// A minute as a store gives it back, its parts in their order.
pub type StoredMinute = (u32, Part, Summary);
