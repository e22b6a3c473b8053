//! Recent values: what points were in the last minutes, second by second, in the status store.
//!
//! They come from the same list as minutes do, so that the yard notes a value once, whoever wants it. Of each point
//! what came in a second is one sample, however much it was: the least and the greatest value, the last, and how many.
//! So a store has to take in a sample a second and point at most, and no peak is lost. A point that holds still is told
//! of again once a minute; what nobody knows ends with a sample that says so
//! (`docs/adr/0030-recent-values-are-seconds.md`).
//!
//! - `thinner`: values in, samples out; it reads no clock.
//! - [`Recent`]: from there to [`keep_samples`], a task that brings samples to the store.
//! - [`recent_chart`]: a point's last minutes in as many buckets as a screen has room for.

mod chart;
#[cfg(test)]
mod tests;
mod thinner;

pub(crate) use chart::{RecentError, RecentQuestion, recent_chart};

use super::tap::Noted;
use crate::{
    config::RecentSettings,
    store::{Keep, Sample, StatusStore},
    telemetry::{Telemetry, count},
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use switchyard_protocol::{
    Address,
    message::{Full, Time},
};
use thinner::Thinner;
use tokio::sync::mpsc;

/// How often a point that holds still is told of again.
const REPEAT_INTERVAL: Duration = Duration::from_secs(60);
/// How long a value is taken to have held without a word: after that its gateway has died, or did not get it stored.
const HOLD_MAX: Duration = Duration::from_secs(90);
/// Samples that may wait for the store, in 4 MB: four seconds of 16,384 points that all change.
const WAITING_MAX: usize = 65_536;
/// Samples in one call: Redis does little else meanwhile, and this takes it some ten milliseconds.
const SAMPLES_PER_CALL: usize = 512;
/// How long to wait before a call is made again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Makes samples of what is told, and hands them over.
pub(crate) struct Recent {
    thinner: Thinner,
    waiting: Vec<Sample>,
    batches: mpsc::Sender<Vec<Sample>>,
    telemetry: Arc<Telemetry>,
    has_said_full: bool,
}

impl Recent {
    /// With what [`keep_samples`] takes.
    pub(crate) fn new(
        settings: RecentSettings,
        telemetry: Arc<Telemetry>,
        now: Time,
    ) -> (Self, mpsc::Receiver<Vec<Sample>>) {
        let (batches, taken) = mpsc::channel(1);
        let recent = Recent {
            thinner: Thinner::new(settings.points_max, now),
            waiting: Vec::new(),
            batches,
            telemetry,
            has_said_full: false,
        };
        (recent, taken)
    }

    /// Values of one controller that came at one moment.
    pub(super) fn values(&mut self, at: Time, controller: Address, noted: &[Noted]) {
        let values = noted.iter().map(Noted::value);
        self.thinner.values(at, controller, values);
    }

    /// A page of a full status.
    pub(super) fn page(&mut self, at: Time, controller: Address, page: &Full) {
        self.thinner.page(at, controller, page);
    }

    /// A controller has gone.
    pub(super) fn away(&mut self, at: Time, controller: Address) {
        self.thinner.away(at, controller);
    }

    /// Something that a controller told was lost.
    pub(super) fn missed(&mut self, at: Time, controller: Address) {
        self.thinner.missed(at, controller);
    }

    /// Anything may have been lost.
    pub(super) fn missed_all(&mut self, at: Time) {
        self.thinner.missed_all(at);
    }

    /// Time has come so far.
    pub(super) fn advance(&mut self, to: Time) {
        self.thinner.advance(to);
    }

    /// Nothing comes any more: nobody knows what points are from now on.
    pub(super) fn finish(&mut self, at: Time) {
        self.thinner.missed_all(at);
        self.hand_over();
    }

    /// Hands over what is done, unless the samples before are still under way.
    pub(super) fn hand_over(&mut self) {
        self.waiting.extend(self.thinner.take_done());
        let dropped = self.waiting.len().saturating_sub(WAITING_MAX);
        self.waiting.drain(..dropped);
        let telemetry = &self.telemetry;
        let add = |counter: &std::sync::atomic::AtomicU64, by| {
            counter.fetch_add(by, Ordering::Relaxed);
        };
        add(&telemetry.samples_dropped, dropped as u64);
        let refused = self.thinner.take_refused();
        add(&telemetry.recent_points_refused, refused);
        if refused > 0 && !std::mem::replace(&mut self.has_said_full, true) {
            tracing::warn!(
                "there are more points than recent_points_max: some have no recent values"
            );
        }
        let points = self.thinner.points() as u64;
        telemetry.recent_points.store(points, Ordering::Relaxed);
        if !self.waiting.is_empty()
            && let Ok(place) = self.batches.try_reserve()
        {
            place.send(std::mem::take(&mut self.waiting));
        }
    }
}

/// Brings samples to the store until no more can come. While the store fails, the call under way is made again and
/// again; what finds no room behind it goes, the oldest first.
pub(crate) async fn keep_samples(
    store: Arc<dyn StatusStore>,
    settings: RecentSettings,
    telemetry: Arc<Telemetry>,
    mut batches: mpsc::Receiver<Vec<Sample>>,
) {
    // A value that was told of before the first moment may have held in it.
    let age_max = settings.age + HOLD_MAX;
    let keep = Keep {
        // One a second, and some for the times that its controller went.
        count_max: age_max.as_secs() as u32 + 128,
        age_max,
    };
    while let Some(batch) = batches.recv().await {
        for samples in batch.chunks(SAMPLES_PER_CALL) {
            while let Err(error) = store.append_samples(samples.to_vec(), keep).await {
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
}
