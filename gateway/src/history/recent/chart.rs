//! A point's last minutes in as many buckets as there is room for.

use super::HOLD_MAX;
use crate::{
    history::{BUCKETS_MAX, Bucket, Chart, Summary, summary::Accumulator},
    store::{Sample, StatusStore, StoreError},
};
use std::time::Duration;
use switchyard_protocol::{
    Address,
    message::{Name, Time},
};

/// How long a time one such chart is of: as long as recent values are kept at most.
const RECENT_RANGE_MAX: Duration = Duration::from_secs(3_600);
/// The shortest bucket: what a sample puts together.
const SECOND_MS: u64 = 1_000;
/// Samples read for one chart: one a second, and one for each time that the controller went, over the longest time.
const SAMPLES_MAX: u32 = 8_192;

/// What a chart of recent values is to show.
#[derive(Clone, Debug)]
pub(crate) struct RecentQuestion {
    /// Whose point.
    pub(crate) controller: Address,
    /// The point's name.
    pub(crate) point: Name,
    /// From this second on.
    pub(crate) from: Time,
    /// Up to this time.
    pub(crate) to: Time,
    /// In how many buckets at most.
    pub(crate) buckets_max: u32,
    /// The present: nothing is known of what comes after it.
    pub(crate) now: Time,
}

/// Why there is no chart.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecentError {
    /// The time goes backwards, or is too long.
    #[error("expected a time of a second to {} minutes, its end after its beginning", RECENT_RANGE_MAX.as_secs() / 60)]
    BadRange,
    /// Too few or too many buckets.
    #[error("expected 1 to {BUCKETS_MAX} buckets and found {0}")]
    BadBuckets(u32),
    /// The store did not tell.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads a chart; `None` where nothing is kept of the point.
///
/// # Errors
/// [`RecentError`], also of the store.
pub(crate) async fn recent_chart(
    store: &dyn StatusStore,
    question: &RecentQuestion,
) -> Result<Option<Chart>, RecentError> {
    let mut buckets = Buckets::new(question)?;
    let read = |since, limit| {
        let point = question.point.clone();
        store.samples(question.controller, point, since, limit)
    };
    // What held at its beginning came before.
    let samples = read(question.from.minus(HOLD_MAX), SAMPLES_MAX).await?;
    let some = match samples.last() {
        Some(last) => Some(last.clone()),
        None => read(Time(0), 1).await?.pop(),
    };
    let Some(some) = some else {
        return Ok(None);
    };
    let point_type = some.series.point_type;
    // A name that was a point of another type before: the latest counts.
    let samples = samples.iter();
    for sample in samples.filter(|it| it.series.point_type == point_type) {
        buckets.add(sample);
    }
    let (from, bucket) = (Time(buckets.from), Duration::from_millis(buckets.bucket_ms));
    Ok(Some(Chart {
        point_type,
        from,
        bucket,
        buckets: buckets.done(),
    }))
}

/// Buckets that are filled with samples in the order of time.
#[derive(Debug)]
struct Buckets {
    /// The first millisecond, and the one after the last that anything can be known of.
    from: u64,
    end: u64,
    bucket_ms: u64,
    /// What the point is, since when.
    value: Option<(i64, u64)>,
    /// The bucket that is filled, and what it has come to.
    present: (u64, Accumulator),
    done: Vec<Bucket>,
}

impl Buckets {
    fn new(question: &RecentQuestion) -> Result<Self, RecentError> {
        let (from, to) = (question.from.0 / SECOND_MS * SECOND_MS, question.to.0);
        let range_ms = to.checked_sub(from).filter(|&ms| ms > 0);
        // The second that the beginning is in is part of it.
        let longest = RECENT_RANGE_MAX.as_millis() as u64 + SECOND_MS;
        let range_ms = range_ms.filter(|&ms| ms <= longest);
        let range_ms = range_ms.ok_or(RecentError::BadRange)?;
        let buckets_max = question.buckets_max;
        if !(1..=BUCKETS_MAX).contains(&buckets_max) {
            return Err(RecentError::BadBuckets(buckets_max));
        }
        let seconds = range_ms.div_ceil(SECOND_MS);
        Ok(Buckets {
            from,
            end: to.min(question.now.0),
            bucket_ms: seconds.div_ceil(u64::from(buckets_max)) * SECOND_MS,
            value: None,
            present: (0, Accumulator::default()),
            done: Vec::new(),
        })
    }

    fn add(&mut self, sample: &Sample) {
        let at = sample.at.0;
        self.hold_until(at);
        if (self.from..self.end).contains(&at) && sample.values > 0 {
            self.accumulator(at).add(&Summary {
                min: sample.min,
                max: sample.max,
                mean: sample.last.saturating_mul(1_000),
                last: sample.last,
                held: Duration::ZERO,
                samples: u64::from(sample.values),
            });
        }
        self.value = sample.is_known.then_some((sample.last, at));
    }

    /// What the point is has held until then, if so long is believed of it.
    fn hold_until(&mut self, until: u64) {
        let Some((value, since)) = self.value else {
            return;
        };
        let until = until
            .min(since.saturating_add(HOLD_MAX.as_millis() as u64))
            .min(self.end);
        let mut at = since.max(self.from);
        while at < until {
            let bucket_end = self.from + ((at - self.from) / self.bucket_ms + 1) * self.bucket_ms;
            let next = bucket_end.min(until);
            self.accumulator(at).held(value, next - at);
            at = next;
        }
    }

    /// That of the bucket that a time is in, which is the one that is filled or a later one.
    fn accumulator(&mut self, at: u64) -> &mut Accumulator {
        let bucket = (at - self.from) / self.bucket_ms;
        if bucket != self.present.0 {
            self.close();
            self.present.0 = bucket;
        }
        &mut self.present.1
    }

    fn close(&mut self) {
        let (bucket, accumulator) = (self.present.0, std::mem::take(&mut self.present.1));
        if let Some(summary) = accumulator.summary() {
            let from = Time(self.from + bucket * self.bucket_ms);
            self.done.push(Bucket { from, summary });
        }
    }

    fn done(mut self) -> Vec<Bucket> {
        self.hold_until(self.end);
        self.close();
        self.done
    }
}
