//! The status store within the process: empty after a restart, when every controller that comes back sends its full
//! status anyway.

use super::{Generation, Keep, Lease, NodeId, Sample, StatusStore, StoreFuture, StoredStatus};
use crate::history::Series;
use bytes::Bytes;
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use switchyard_protocol::{
    Address,
    message::{Name, Time},
};
use tokio::time::Instant;

/// Samples of all points together: 32 MB, and up to twice that with the room that lists grow by. Past it the oldest go,
/// whoever they are of.
const SAMPLES_MAX: usize = 500_000;

/// Maps; statuses and leases are bounded by the number of enrolled controllers, samples by a number of their own.
#[derive(Debug, Default)]
pub struct MemoryStatusStore {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    statuses: BTreeMap<Address, StoredStatus>,
    /// With their ends.
    leases: HashMap<Address, (Lease, Instant)>,
    /// By controller and name.
    points: HashMap<Address, HashMap<Name, VecDeque<Sample>>>,
    /// Where each sample is, in the order in which they came; some are gone by now.
    came: VecDeque<(Arc<Series>, Time)>,
    /// With its end.
    alarm_standing: Option<(Bytes, Instant)>,
}

impl Kept {
    fn holder(&self, controller: Address) -> Option<Lease> {
        let (lease, ends) = self.leases.get(&controller)?;
        (*ends > Instant::now()).then_some(*lease)
    }

    fn read(&self, controller: Address, status: &StoredStatus) -> StoredStatus {
        let mut status = status.clone();
        status.lapse_unless(self.holder(controller).is_some());
        status
    }

    fn append(&mut self, sample: Sample, keep: Keep, samples_max: usize) {
        let (series, at) = (Arc::clone(&sample.series), sample.at);
        let points = self.points.entry(series.controller).or_default();
        let samples = match points.get_mut(&series.point) {
            Some(samples) => samples,
            None => points.entry(series.point.clone()).or_default(),
        };
        if samples.back().is_some_and(|last| last.at >= at) {
            return;
        }
        samples.push_back(sample);
        let oldest = oldest_kept(at, keep);
        while samples.len() > keep.count_max as usize
            || samples.front().is_some_and(|first| first.at < oldest)
        {
            samples.pop_front();
        }
        self.came.push_back((series, at));
        // A point that falls silent is not told of again: what is past its age goes with what came then.
        while self.came.len() > samples_max || self.came.front().is_some_and(|(_, at)| *at < oldest)
        {
            self.forget_first();
        }
    }

    /// Forgets the sample that came first of all, if it is still there.
    fn forget_first(&mut self) {
        let Some((series, at)) = self.came.pop_front() else {
            return;
        };
        let Some(points) = self.points.get_mut(&series.controller) else {
            return;
        };
        if let Some(samples) = points.get_mut(&series.point) {
            samples.pop_front_if(|first| first.at <= at);
            if samples.is_empty() {
                points.remove(&series.point);
            }
        }
        if points.is_empty() {
            self.points.remove(&series.controller);
        }
    }
}

/// The earliest time that is kept beside a sample of this one.
pub(super) fn oldest_kept(latest: Time, keep: Keep) -> Time {
    let age_ms = u64::try_from(keep.age_max.as_millis()).unwrap_or(u64::MAX);
    Time(latest.0.saturating_sub(age_ms))
}

impl MemoryStatusStore {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        // A panic half-way leaves a sample too many at most.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ready<'a, T: Send + 'a>(value: T) -> StoreFuture<'a, T> {
    Box::pin(std::future::ready(Ok(value)))
}

impl StatusStore for MemoryStatusStore {
    fn put_statuses(
        &self,
        statuses: Vec<(Address, StoredStatus)>,
    ) -> StoreFuture<'_, Vec<(Address, u64)>> {
        let mut kept = self.lock();
        let mut outranked = Vec::new();
        for (controller, mut status) in statuses {
            let known = kept.statuses.entry(controller).or_default();
            if known.order < status.order {
                if status.frame.is_empty() {
                    status.frame = std::mem::take(&mut known.frame);
                }
                *known = status;
            } else if known.order > status.order {
                outranked.push((controller, known.order));
            }
        }
        ready(outranked)
    }

    fn status(&self, controller: Address) -> StoreFuture<'_, Option<StoredStatus>> {
        let kept = self.lock();
        let status = kept.statuses.get(&controller);
        ready(status.map(|status| kept.read(controller, status)))
    }

    fn statuses(
        &self,
        after: Address,
        limit: u32,
    ) -> StoreFuture<'_, Vec<(Address, StoredStatus)>> {
        let kept = self.lock();
        let above = (Bound::Excluded(after), Bound::Unbounded);
        let found = kept.statuses.range(above).take(limit as usize);
        ready(
            found
                .map(|(&controller, status)| (controller, kept.read(controller, status)))
                .collect(),
        )
    }

    fn forget_controllers(&self, controllers: Vec<Address>) -> StoreFuture<'_, ()> {
        let mut kept = self.lock();
        for controller in controllers {
            kept.statuses.remove(&controller);
            kept.leases.remove(&controller);
            kept.points.remove(&controller);
        }
        ready(())
    }

    fn hold(
        &self,
        node: NodeId,
        sessions: Vec<(Address, u64)>,
        term: Duration,
    ) -> StoreFuture<'_, Vec<(Address, Lease)>> {
        let mut kept = self.lock();
        let ends = Instant::now() + term;
        let mut refused = Vec::new();
        for (controller, session) in sessions {
            match kept.holder(controller) {
                Some(lease) if is_fenced((node, session), lease) => {
                    refused.push((controller, lease));
                }
                _ => {
                    kept.leases
                        .insert(controller, (Lease { node, session }, ends));
                }
            }
        }
        ready(refused)
    }

    fn release(
        &self,
        node: NodeId,
        controllers: Vec<Address>,
    ) -> StoreFuture<'_, Vec<(Address, Lease)>> {
        let mut kept = self.lock();
        let mut others = Vec::new();
        for controller in controllers {
            match kept.holder(controller) {
                Some(lease) if lease.node != node => others.push((controller, lease)),
                _ => {
                    kept.leases.remove(&controller);
                }
            }
        }
        ready(others)
    }

    fn holders(&self, controllers: Vec<Address>) -> StoreFuture<'_, Vec<Option<Lease>>> {
        let kept = self.lock();
        let held = controllers.into_iter();
        ready(held.map(|controller| kept.holder(controller)).collect())
    }

    fn append_samples(&self, samples: Vec<Sample>, keep: Keep) -> StoreFuture<'_, ()> {
        let mut kept = self.lock();
        for sample in samples {
            kept.append(sample, keep, SAMPLES_MAX);
        }
        ready(())
    }

    fn samples(
        &self,
        controller: Address,
        point: Name,
        since: Time,
        limit: u32,
    ) -> StoreFuture<'_, Vec<Sample>> {
        let kept = self.lock();
        let points = kept.points.get(&controller);
        let Some(samples) = points.and_then(|points| points.get(&point)) else {
            return ready(Vec::new());
        };
        let first = samples.partition_point(|sample| sample.at < since);
        let found = samples.range(first..).take(limit as usize);
        ready(found.cloned().collect())
    }

    fn put_alarm_standing(&self, standing: Bytes, term: Duration) -> StoreFuture<'_, ()> {
        self.lock().alarm_standing = Some((standing, Instant::now() + term));
        ready(())
    }

    fn alarm_standing(&self) -> StoreFuture<'_, Option<Bytes>> {
        let kept = self.lock();
        let told = kept.alarm_standing.as_ref();
        let told = told.filter(|(_, ends)| *ends > Instant::now());
        ready(told.map(|(standing, _)| standing.clone()))
    }

    fn generation(&self) -> StoreFuture<'_, Generation> {
        // It is lost with the gateway alone.
        ready(Generation(0))
    }
}

/// Whether a session may not have what is held by this lease.
fn is_fenced((node, session): (NodeId, u64), lease: Lease) -> bool {
    lease.session > session || lease.session == session && lease.node != node
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchyard_protocol::message::PointType;

    /// As many samples as there are of each of three points, and of all of them together, after one of a point.
    fn append(
        kept: &mut Kept,
        point: usize,
        time: u64,
        age_s: u64,
    ) -> (usize, usize, usize, usize) {
        let name = |point: usize| Name::new(&format!("p{point}")).unwrap();
        let series = Series {
            controller: Address(7),
            point: name(point),
            point_type: PointType::DigitalOutput,
        };
        let sample = Sample {
            series: Arc::new(series),
            at: Time(time),
            min: 1,
            max: 1,
            last: 1,
            values: 1,
            is_known: true,
        };
        let keep = Keep {
            count_max: 4,
            age_max: Duration::from_secs(age_s),
        };
        kept.append(sample, keep, 10);
        let count = |point| {
            let points = kept.points.get(&Address(7));
            let samples = points.and_then(|points| points.get(&name(point)));
            samples.map_or(0, VecDeque::len)
        };
        (count(0), count(1), count(2), kept.came.len())
    }

    #[test]
    fn of_all_points_together_only_so_many_samples_are_kept() {
        let mut kept = Kept::default();
        let mut append = |point, time| append(&mut kept, point, time, 60);
        for time in 1..=3 {
            append(0, time);
        }
        for time in 4..=9 {
            append(1, time);
        }
        assert_eq!(append(2, 10), (3, 4, 1, 10));
        // The first that came go first, and a point that has none left is gone.
        assert_eq!(append(2, 11), (2, 4, 2, 10));
        append(2, 12);
        assert_eq!(append(2, 13), (0, 4, 4, 10));
        // What its own point had forgotten before is not forgotten twice.
        assert_eq!(append(0, 14), (1, 4, 4, 10));
        assert_eq!(append(0, 15), (2, 4, 4, 10));
        assert_eq!(append(0, 16), (3, 3, 4, 10));
    }

    #[test]
    fn what_is_past_its_age_goes_though_its_point_is_silent() {
        let mut kept = Kept::default();
        append(&mut kept, 0, 1_000, 1);
        append(&mut kept, 1, 1_500, 1);
        assert_eq!(append(&mut kept, 2, 2_000, 1), (1, 1, 1, 3));
        assert_eq!(append(&mut kept, 2, 2_100, 1), (0, 1, 2, 3));
        assert_eq!(append(&mut kept, 2, 9_000, 1), (0, 0, 1, 1));
    }
}
