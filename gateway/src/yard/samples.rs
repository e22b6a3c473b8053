//! What controllers' points were, on its way to where recent values are kept.
//!
//! The yard's half, [`Tap`], notes every value that the relay tells of, while anybody wants them; it costs a few
//! nanoseconds each, and nothing at all while nobody does. The other half, [`keep_samples`], is a task on the gateway's
//! other threads, which brings them to the store a batch at a time. While the store fails, the batch under way is tried
//! again and again, and what finds no room behind it is dropped and counted.

use crate::{
    store::{Keep, Moment, Sample, StatusStore},
    telemetry::{Telemetry, count},
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use switchyard_protocol::{
    Address,
    message::{PointFlags, Time},
};
use switchyard_relay::Now;
use tokio::sync::mpsc;

/// Values that may wait on the yard: half a megabyte, and a second of what one gateway can take in.
const WAITING_MAX: usize = 16_384;
/// How long a value may wait for others to go along with.
const GATHERING: Duration = Duration::from_millis(250);
/// How many values are worth no more waiting.
const GATHERED: usize = 4_096;
/// What is kept of each point: a quarter of an hour, or less of one that changes more than once a second.
const KEEP: Keep = Keep {
    count_max: 1_024,
    age_max: Duration::from_secs(15 * 60),
};
/// How long to wait before a batch is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// A value as the yard notes it.
struct Value {
    controller: Address,
    point: u8,
    flags: PointFlags,
    value: i64,
    /// On the monotonic clock, which jumps for nobody.
    since_start: Duration,
}

/// Values, with both clocks of one moment at or after the last.
pub(super) struct Batch {
    now: Now,
    values: Vec<Value>,
}

impl Batch {
    /// The values as samples, each of a moment of its own after `latest`, which moves along.
    fn samples(self, latest: &mut Moment) -> Vec<Sample> {
        let now = self.now;
        let values = self.values.into_iter();
        let samples = values.map(|value| {
            let ago = now.since_start.saturating_sub(value.since_start);
            let time = now.time.minus(ago).max(Time(1));
            *latest = match time > latest.time {
                true => Moment { time, step: 0 },
                false => Moment {
                    time: latest.time,
                    step: latest.step.saturating_add(1),
                },
            };
            Sample {
                controller: value.controller,
                point: value.point,
                at: *latest,
                value: value.value,
                flags: value.flags,
            }
        });
        samples.collect()
    }
}

/// The yard's half.
pub(super) struct Tap {
    waiting: Vec<Value>,
    batches: mpsc::Sender<Batch>,
    telemetry: Arc<Telemetry>,
    /// When those that wait are to go.
    due: Duration,
}

impl Tap {
    /// With a channel for one batch.
    pub(super) fn new(batches: mpsc::Sender<Batch>, telemetry: Arc<Telemetry>) -> Self {
        Tap {
            waiting: Vec::with_capacity(GATHERED),
            batches,
            telemetry,
            due: Duration::ZERO,
        }
    }

    /// Notes what a point is.
    pub(super) fn note(
        &mut self,
        since_start: Duration,
        (controller, point): (Address, u8),
        value: i64,
        flags: PointFlags,
    ) {
        match self.waiting.len() {
            0 => self.due = self.due.max(since_start + GATHERING),
            WAITING_MAX => return count(&self.telemetry.samples_dropped),
            _ => {}
        }
        self.waiting.push(Value {
            controller,
            point,
            flags,
            value,
            since_start,
        });
    }

    /// When there is something to do.
    pub(super) fn next_moment(&self) -> Option<Duration> {
        (!self.waiting.is_empty()).then_some(self.due)
    }

    /// Hands over what waits, if it is time.
    pub(super) fn store(&mut self, now: Now) {
        let is_due = now.since_start >= self.due || self.waiting.len() >= GATHERED;
        if self.waiting.is_empty() || !is_due {
            return;
        }
        match self.batches.try_reserve() {
            Ok(place) => {
                let values = std::mem::replace(&mut self.waiting, Vec::with_capacity(GATHERED));
                place.send(Batch { now, values });
            }
            // The one before is under way.
            Err(_) => self.due = now.since_start + GATHERING,
        }
    }
}

/// Brings batches to the store until the yard is gone.
pub(super) async fn keep_samples(
    store: Arc<dyn StatusStore>,
    telemetry: Arc<Telemetry>,
    mut batches: mpsc::Receiver<Batch>,
) {
    let mut latest = Moment::default();
    while let Some(batch) = batches.recv().await {
        let samples = batch.samples(&mut latest);
        while let Err(error) = store.append_samples(samples.clone(), KEEP).await {
            count(&telemetry.store_failures);
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "recent values were not stored"
            );
            if batches.is_closed() {
                return;
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        let stored = &telemetry.samples_stored;
        stored.fetch_add(samples.len() as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(ms: u64) -> Now {
        Now {
            since_start: Duration::from_millis(ms),
            time: Time(1_000_000 + ms),
        }
    }

    fn note(tap: &mut Tap, ms: u64, value: i64) {
        let point = (Address(7), 3);
        tap.note(Duration::from_millis(ms), point, value, PointFlags(0));
    }

    #[test]
    fn every_value_gets_a_moment_of_its_own() {
        let (batches, mut kept) = mpsc::channel(1);
        let mut tap = Tap::new(batches, Telemetry::new());
        for (ms, value) in [(10, 1), (10, 2), (12, 3)] {
            note(&mut tap, ms, value);
        }
        assert_eq!(tap.next_moment(), Some(Duration::from_millis(260)));
        tap.store(now(259));
        assert!(kept.try_recv().is_err());
        tap.store(now(260));
        assert_eq!(tap.next_moment(), None);
        let mut latest = Moment::default();
        let moments = |batch: Batch, latest: &mut Moment| -> Vec<_> {
            let samples = batch.samples(latest).into_iter();
            samples
                .map(|it| (it.at.time.0, it.at.step, it.value))
                .collect()
        };
        let batch = kept.try_recv().unwrap();
        let expected = [(1_000_010, 0, 1), (1_000_010, 1, 2), (1_000_012, 0, 3)];
        assert_eq!(moments(batch, &mut latest), expected);
        // A clock that was set back: time stands until it is there again.
        note(&mut tap, 300, 4);
        let back = Now {
            time: Time(5),
            ..now(600)
        };
        tap.store(back);
        let batch = kept.try_recv().unwrap();
        assert_eq!(moments(batch, &mut latest), [(1_000_012, 1, 4)]);
    }

    #[test]
    fn what_finds_no_room_is_counted() {
        let (batches, mut kept) = mpsc::channel(1);
        let telemetry = Telemetry::new();
        let mut tap = Tap::new(batches, Arc::clone(&telemetry));
        let dropped = || telemetry.samples_dropped.load(Ordering::Relaxed);
        note(&mut tap, 0, 0);
        tap.store(now(250));
        // The first batch is still under way: those behind it wait, and the newest are lost.
        for value in 0..WAITING_MAX as i64 + 3 {
            note(&mut tap, 300, value);
        }
        assert_eq!(dropped(), 3);
        tap.store(now(600));
        assert_eq!(tap.next_moment(), Some(Duration::from_millis(850)));
        assert_eq!(kept.try_recv().unwrap().values.len(), 1);
        tap.store(now(850));
        let values = kept.try_recv().unwrap().values;
        assert_eq!((values[0].value, values.len()), (0, WAITING_MAX));
        assert_eq!(dropped(), 3);
    }
}
