//! The yard's end: what controllers tell, noted in a list and handed over a few times a second.
//!
//! A value costs the yard as much as a place in that list. What finds no room is dropped and counted, and its
//! controller's points count as unknown from then on: a value that was missed must not seem to have gone on.

use crate::telemetry::{Telemetry, count};
use std::{collections::HashSet, sync::Arc, time::Duration};
use switchyard_protocol::{Address, FrameRef, Kind, message::PointFlags};
use switchyard_relay::Now;
use tokio::sync::mpsc;

/// Values that may wait, in 1.5 MB: several batches of the most that one yard takes in.
const VALUES_MAX: usize = 65_536;
/// What may wait besides: layouts, departures, and what was missed. A fleet that comes back brings one of each a
/// controller, and no gateway lets in thousands of them in a quarter of a second.
const OTHERS_MAX: usize = 16_384;
/// What those layouts may take: as many, each of 32 points with names of a usual length.
const PAGE_BYTES_MAX: usize = 16 << 20;
/// How long anything may wait for others to go along with.
const GATHERING: Duration = Duration::from_millis(250);
/// How many are worth no more waiting.
const GATHERED: usize = 8_192;

/// Something that a controller told, or that happened to it. Most of them are values, for which it is laid out: three
/// words each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Noted {
    /// On the monotonic clock, in milliseconds.
    pub(super) since_start_ms: u64,
    /// The value; the place among the batch's pages of one of those.
    pub(super) value: i64,
    pub(super) controller: Address,
    pub(super) what: What,
    /// The point that a value is of.
    pub(super) point: u8,
}

impl Noted {
    /// The point that a value is of, and the value, where its controller trusts it.
    pub(super) fn value(&self) -> (u8, Option<i64>) {
        (self.point, (self.what == What::Value).then_some(self.value))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A point is this.
    Value,
    /// A point is something that its controller does not trust.
    BadValue,
    /// A page of its full status has come.
    Page,
    /// It has gone.
    Away,
    /// Something that it told found no room.
    Missed,
}

impl What {
    pub(super) const fn is_value(self) -> bool {
        matches!(self, What::Value | What::BadValue)
    }
}

/// What was noted, with both clocks of one moment at or after the last.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(super) now: Now,
    pub(super) noted: Vec<Noted>,
    /// Pages of full statuses, as they came.
    pub(super) pages: Vec<Box<[u8]>>,
    /// Anything may be missing, at the end of these.
    pub(super) has_missed_any: bool,
}

/// The yard's half.
pub(crate) struct Tap {
    waiting: Vec<Noted>,
    /// Of those, the ones that are no values.
    others: usize,
    pages: Vec<Box<[u8]>>,
    /// What those take.
    page_bytes: usize,
    /// Controllers of which something was dropped since the last batch.
    missed: HashSet<Address>,
    has_missed_any: bool,
    batches: mpsc::Sender<Batch>,
    /// Lists that were handed over and are empty again.
    empty: mpsc::Receiver<Vec<Noted>>,
    telemetry: Arc<Telemetry>,
    /// The present moment, and the same in milliseconds: a division that only its first value pays for.
    moment: (Duration, u64),
    /// When those that wait are to go.
    due: Duration,
}

impl Tap {
    /// With a channel for one batch, and one by which its list comes back.
    pub(super) fn new(
        batches: mpsc::Sender<Batch>,
        empty: mpsc::Receiver<Vec<Noted>>,
        telemetry: Arc<Telemetry>,
    ) -> Self {
        Tap {
            waiting: Vec::with_capacity(GATHERED),
            others: 0,
            pages: Vec::new(),
            page_bytes: 0,
            missed: HashSet::new(),
            has_missed_any: false,
            batches,
            empty,
            telemetry,
            moment: (Duration::ZERO, 0),
            due: Duration::ZERO,
        }
    }

    /// Notes what a point is.
    #[inline]
    pub(crate) fn value(
        &mut self,
        now: Duration,
        (controller, point): (Address, u8),
        value: i64,
        flags: PointFlags,
    ) {
        // Of a layout that was missed nobody would know which points its values are of.
        if self.waiting.len() - self.others >= VALUES_MAX || self.has_missed_any {
            return self.miss(now, controller);
        }
        let what = match flags.contains(PointFlags::BAD) {
            false => What::Value,
            true => What::BadValue,
        };
        self.push(now, controller, (what, point, value));
    }

    /// Notes what a controller's points are called, if this frame of its tells that.
    pub(crate) fn frame(&mut self, now: Duration, controller: Address, frame: &FrameRef<'_>) {
        let header = frame.header();
        // The relay refuses all others.
        let is_its_own = controller.is_controller() && header.source == controller;
        if header.kind != Kind::StatusFull || !is_its_own {
            return;
        }
        let page = frame.payload();
        self.page_bytes += page.len();
        if self.page_bytes > PAGE_BYTES_MAX {
            self.has_missed_any = true;
        } else if self.other(now, controller, What::Page) {
            self.pages.push(page.into());
        }
    }

    /// Notes that a controller has gone.
    pub(crate) fn away(&mut self, now: Duration, controller: Address) {
        self.other(now, controller, What::Away);
    }

    /// Whether there was room for it.
    fn other(&mut self, now: Duration, controller: Address, what: What) -> bool {
        if self.others >= OTHERS_MAX {
            self.has_missed_any = true;
            return false;
        }
        self.others += 1;
        let place = self.pages.len() as i64;
        self.push(now, controller, (what, 0, place));
        true
    }

    #[cold]
    fn miss(&mut self, now: Duration, controller: Address) {
        count(&self.telemetry.history_values_dropped);
        if self.missed.insert(controller) {
            self.other(now, controller, What::Missed);
        }
    }

    #[inline]
    fn push(&mut self, now: Duration, controller: Address, what: (What, u8, i64)) {
        if self.waiting.is_empty() {
            self.due = self.due.max(now + GATHERING);
        }
        if self.moment.0 != now {
            self.moment = (now, now.as_millis() as u64);
        }
        let (what, point, value) = what;
        self.waiting.push(Noted {
            since_start_ms: self.moment.1,
            value,
            controller,
            what,
            point,
        });
    }

    /// When there is something to do.
    pub(crate) fn next_moment(&self) -> Option<Duration> {
        (!self.waiting.is_empty()).then_some(self.due)
    }

    /// Hands over what waits, if it is time.
    pub(crate) fn hand_over(&mut self, now: Now) {
        let is_due = now.since_start >= self.due || self.waiting.len() >= GATHERED;
        if self.waiting.is_empty() || !is_due {
            return;
        }
        match self.batches.try_reserve() {
            Ok(place) => {
                // Making them anew would cost more than filling them.
                let empty = self.empty.try_recv();
                let empty = empty.unwrap_or_else(|_| Vec::with_capacity(GATHERED));
                place.send(Batch {
                    now,
                    noted: std::mem::replace(&mut self.waiting, empty),
                    pages: std::mem::take(&mut self.pages),
                    has_missed_any: std::mem::take(&mut self.has_missed_any),
                });
                (self.others, self.page_bytes) = (0, 0);
                self.missed.clear();
            }
            // The one before is under way.
            Err(_) => self.due = now.since_start + GATHERING,
        }
    }

    /// Hands over what waits at the yard's end, as far as there is room: nothing comes after it.
    pub(crate) fn end(&mut self, now: Now) {
        self.due = Duration::ZERO;
        self.hand_over(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;
    use switchyard_protocol::message::Time;

    const HERE: Address = Address(7);

    fn now(ms: u64) -> Now {
        Now {
            since_start: Duration::from_millis(ms),
            time: Time(1_000_000 + ms),
        }
    }

    fn values(batch: &Batch) -> usize {
        let is_value = |it: &&Noted| it.what.is_value();
        batch.noted.iter().filter(is_value).count()
    }

    #[test]
    fn what_finds_no_room_makes_its_controller_unknown() {
        let (batches, mut taken) = mpsc::channel(1);
        let telemetry = Telemetry::new();
        let empty = mpsc::channel(1).1;
        let mut tap = Tap::new(batches, empty, Arc::clone(&telemetry));
        let value = |tap: &mut Tap, ms, controller, flags| {
            tap.value(now(ms).since_start, (controller, 3), 5, flags);
        };
        value(&mut tap, 10, HERE, PointFlags(0));
        assert_eq!(tap.next_moment(), Some(Duration::from_millis(260)));
        tap.hand_over(now(259));
        assert!(taken.try_recv().is_err());
        tap.hand_over(now(260));
        assert_eq!(tap.next_moment(), None);
        // The first batch is not taken yet: those behind it wait.
        for _ in 0..VALUES_MAX + 5 {
            value(&mut tap, 300, Address(8), PointFlags::BAD);
        }
        value(&mut tap, 301, HERE, PointFlags(0));
        tap.away(now(302).since_start, Address(8));
        assert_eq!(telemetry.history_values_dropped.load(Ordering::Relaxed), 6);
        tap.hand_over(now(600));
        assert_eq!(values(&taken.try_recv().unwrap()), 1);
        tap.hand_over(now(850));
        let batch = taken.try_recv().unwrap();
        assert_eq!(values(&batch), VALUES_MAX);
        assert!(!batch.has_missed_any);
        let rest = batch.noted[VALUES_MAX..].iter();
        let rest: Vec<_> = rest.map(|it| (it.controller.0, it.what)).collect();
        let expected = [(8, What::Missed), (7, What::Missed), (8, What::Away)];
        assert_eq!(rest, expected);
        // From then on there is room again.
        value(&mut tap, 900, HERE, PointFlags(0));
        tap.end(now(900));
        assert_eq!(values(&taken.try_recv().unwrap()), 1);
    }

    #[test]
    fn a_layout_that_finds_no_room_makes_all_unknown() {
        let (batches, mut taken) = mpsc::channel(1);
        let mut tap = Tap::new(batches, mpsc::channel(1).1, Telemetry::new());
        for _ in 0..=OTHERS_MAX {
            tap.away(Duration::ZERO, HERE);
        }
        tap.value(Duration::ZERO, (HERE, 0), 1, PointFlags(0));
        tap.end(now(1));
        let batch = taken.try_recv().unwrap();
        assert!(batch.has_missed_any);
        assert_eq!((batch.noted.len(), values(&batch)), (OTHERS_MAX, 0));
    }
}
