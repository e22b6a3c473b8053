//! The status store within the process: empty after a restart, when every controller that comes back sends its full
//! status anyway.

use super::{
    Generation, Keep, Lease, Moment, NodeId, Sample, StatusStore, StoreFuture, StoredStatus,
};
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    ops::Bound,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use switchyard_protocol::{
    Address,
    message::{PointFlags, Time},
};
use tokio::time::Instant;

/// Samples of all points together: some 40 MB. Past it the oldest go, whoever they are of.
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
    points: HashMap<(Address, u8), VecDeque<Value>>,
    /// Where each sample is, in the order in which they came; some are gone by now.
    came: VecDeque<(Address, u8, Moment)>,
}

/// A sample, less what its place says.
#[derive(Clone, Copy, Debug)]
struct Value {
    at: Moment,
    value: i64,
    flags: PointFlags,
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
        let (controller, point) = (sample.controller, sample.point);
        let values = self.points.entry((controller, point)).or_default();
        if values.back().is_some_and(|last| last.at >= sample.at) {
            return;
        }
        values.push_back(Value {
            at: sample.at,
            value: sample.value,
            flags: sample.flags,
        });
        let oldest = oldest_kept(sample.at.time, keep);
        while values.len() > keep.count_max as usize
            || values.front().is_some_and(|first| first.at.time < oldest)
        {
            values.pop_front();
        }
        self.came.push_back((controller, point, sample.at));
        while self.came.len() > samples_max {
            self.forget_first();
        }
    }

    /// Forgets the sample that came first of all, if it is still there.
    fn forget_first(&mut self) {
        let Some((controller, point, at)) = self.came.pop_front() else {
            return;
        };
        if let Some(values) = self.points.get_mut(&(controller, point)) {
            values.pop_front_if(|first| first.at <= at);
            if values.is_empty() {
                self.points.remove(&(controller, point));
            }
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
            for point in 0..=u8::MAX {
                kept.points.remove(&(controller, point));
            }
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
        point: u8,
        since: Time,
        limit: u32,
    ) -> StoreFuture<'_, Vec<Sample>> {
        let kept = self.lock();
        let Some(values) = kept.points.get(&(controller, point)) else {
            return ready(Vec::new());
        };
        let first = values.partition_point(|value| value.at.time < since);
        let found = values.range(first..).take(limit as usize);
        ready(
            found
                .map(|value| Sample {
                    controller,
                    point,
                    at: value.at,
                    value: value.value,
                    flags: value.flags,
                })
                .collect(),
        )
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

    #[test]
    fn of_all_points_together_only_so_many_samples_are_kept() {
        let mut kept = Kept::default();
        let keep = Keep {
            count_max: 4,
            age_max: Duration::from_secs(60),
        };
        let mut append = |point, time| {
            let at = Moment {
                time: Time(time),
                step: 0,
            };
            let (controller, value, flags) = (Address(7), 1, PointFlags(0));
            let sample = Sample {
                controller,
                point,
                at,
                value,
                flags,
            };
            kept.append(sample, keep, 10);
            let count = |point| {
                kept.points
                    .get(&(controller, point))
                    .map_or(0, VecDeque::len)
            };
            (count(0), count(1), count(2), kept.came.len())
        };
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
}
