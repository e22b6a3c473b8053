//! From values to samples: of each point what came in a second, as one. Everything is told with the time at which it
//! happened; time never goes back here. While the clock is behind what it was, it stands still.

use super::REPEAT_INTERVAL;
use crate::{
    history::{MINUTE_MS, Series},
    store::Sample,
};
use foldhash::fast::RandomState;
use std::{collections::HashMap, sync::Arc};
use switchyard_protocol::{
    Address,
    limits::POINTS_MAX,
    message::{Full, Name, PointType, Time},
};

/// What is put together.
const SECOND_MS: u64 = 1_000;
/// Points that one controller may have anew in a minute: those of two scripts. One that called its points something else
/// again and again would fill the store with them.
const FRESH_PER_MINUTE_MAX: usize = 2 * POINTS_MAX;

/// Makes samples of values.
#[derive(Debug)]
pub(super) struct Thinner {
    /// How many points there may be of all controllers.
    points_max: usize,
    /// How far time has come, in milliseconds since 1970.
    now: u64,
    controllers: HashMap<Address, Controller, RandomState>,
    points: usize,
    /// Points for which there was no room, counted when they came.
    refused: u64,
    done: Vec<Sample>,
}

#[derive(Debug, Default)]
struct Controller {
    /// By their index in the present layout.
    tracks: Vec<Option<Track>>,
    /// Those of the layout before, while a full status comes page by page.
    former: Vec<Track>,
    /// The page that comes next, while a full status comes.
    page_due: Option<u8>,
    /// The minute in which it had points anew, and how many. It outlives the controller's session: to dial again gives no
    /// more.
    fresh: (u64, usize),
}

#[derive(Debug)]
struct Track {
    series: Arc<Series>,
    /// What the point is; `None` while nobody knows.
    value: Option<i64>,
    /// What came in this second, if anything did.
    open: Option<Open>,
    /// When the last sample was.
    told_at: u64,
}

/// A sample that grows.
#[derive(Clone, Copy, Debug)]
struct Open {
    at: u64,
    min: i64,
    max: i64,
    last: i64,
    values: u32,
}

impl Track {
    fn new(controller: Address, point: &Name, point_type: PointType) -> Self {
        let series = Series {
            controller,
            point: point.clone(),
            point_type,
        };
        Track {
            series: Arc::new(series),
            value: None,
            open: None,
            told_at: 0,
        }
    }

    /// From now on the point is this.
    #[inline]
    fn becomes(&mut self, now: u64, value: Option<i64>) {
        if value.is_none() && self.value.is_none() {
            return;
        }
        let nothing = Open {
            at: now,
            min: i64::MAX,
            max: i64::MIN,
            last: 0,
            values: 0,
        };
        let open = self.open.get_or_insert(nothing);
        open.at = now;
        if let Some(value) = value {
            open.min = open.min.min(value);
            open.max = open.max.max(value);
            open.last = value;
            open.values = open.values.saturating_add(1);
        }
        self.value = value;
    }

    /// Tells what came in the second that is over, or again what the point is, if nothing did for long.
    fn end_second(&mut self, end: u64, done: &mut Vec<Sample>) {
        let is_silent = end - self.told_at.min(end) >= REPEAT_INTERVAL.as_millis() as u64;
        let open = match (self.open.take(), self.value) {
            (Some(open), _) => open,
            (None, Some(value)) if is_silent => Open {
                // Within the second: what comes in the next one is later.
                at: end - 1,
                min: value,
                max: value,
                last: value,
                values: 0,
            },
            _ => return,
        };
        self.told_at = open.at;
        let is_empty = open.min > open.max;
        done.push(Sample {
            series: Arc::clone(&self.series),
            at: Time(open.at),
            min: if is_empty { 0 } else { open.min },
            max: if is_empty { 0 } else { open.max },
            last: open.last,
            values: open.values,
            is_known: self.value.is_some(),
        });
    }

    /// From now on nobody knows what the point is, and nothing more is told of it.
    fn end(mut self, now: u64, done: &mut Vec<Sample>) {
        self.becomes(now, None);
        self.end_second(now, done);
    }
}

impl Controller {
    fn all(&mut self) -> impl Iterator<Item = &mut Track> {
        self.tracks.iter_mut().flatten().chain(&mut self.former)
    }

    /// Nobody knows any more what its points are; how many those were.
    fn forget(&mut self, now: u64, done: &mut Vec<Sample>) -> usize {
        self.page_due = None;
        let tracks = self.tracks.drain(..).flatten();
        let all: Vec<Track> = tracks.chain(self.former.drain(..)).collect();
        let count = all.len();
        all.into_iter().for_each(|track| track.end(now, done));
        count
    }

    /// Whether nothing is to be remembered of it.
    fn is_over(&self, now: u64) -> bool {
        self.tracks.is_empty() && self.former.is_empty() && self.fresh.0 < now / MINUTE_MS
    }

    /// The point as it was in the layout before.
    fn find(&mut self, name: &Name, point_type: PointType) -> Option<Track> {
        let is_it = |it: &Track| it.series.point == *name && it.series.point_type == point_type;
        let at = self.former.iter().position(is_it)?;
        Some(self.former.swap_remove(at))
    }

    /// Whether it may have a point that it did not have.
    fn may_have_fresh(&mut self, now: u64) -> bool {
        let minute = now / MINUTE_MS;
        if self.fresh.0 != minute {
            self.fresh = (minute, 0);
        }
        self.fresh.1 += 1;
        self.fresh.1 <= FRESH_PER_MINUTE_MAX
    }
}

impl Thinner {
    /// Begins at a time. At most `points_max` points are followed at once.
    pub(super) fn new(points_max: usize, now: Time) -> Self {
        Thinner {
            points_max,
            now: now.0,
            controllers: HashMap::default(),
            points: 0,
            refused: 0,
            done: Vec::new(),
        }
    }

    /// Time has come so far. Every second all points are looked at: half a millisecond for 16,384 of them.
    #[inline]
    pub(super) fn advance(&mut self, to: Time) {
        if to.0 / SECOND_MS > self.now / SECOND_MS {
            self.end_second(to.0 / SECOND_MS * SECOND_MS);
        }
        self.now = self.now.max(to.0);
    }

    #[cold]
    fn end_second(&mut self, end: u64) {
        for controller in self.controllers.values_mut() {
            for track in controller.tracks.iter_mut().flatten() {
                track.end_second(end, &mut self.done);
            }
            for track in &mut controller.former {
                track.end_second(end, &mut self.done);
            }
        }
        if end / MINUTE_MS > self.now / MINUTE_MS {
            self.controllers.retain(|_, it| !it.is_over(end));
        }
    }

    /// A controller tells what its points are called: a page of its full status. The values follow by
    /// [`values`](Self::values), once all pages are there.
    pub(super) fn page(&mut self, at: Time, address: Address, page: &Full) {
        self.advance(at);
        let controller = self.controllers.entry(address).or_default();
        if page.page != 0 && controller.page_due != Some(page.page) {
            // The relay does not take it either, and nobody knows what the indices mean until one is whole.
            self.points -= controller.forget(self.now, &mut self.done);
            return;
        }
        let next = page.page + 1;
        controller.page_due = (next < page.pages).then_some(next);
        if page.page == 0 {
            // A status that broke off before its end leaves no more behind than one layout.
            self.points -= controller.former.len();
            for track in controller.former.drain(..) {
                track.end(self.now, &mut self.done);
            }
            let before = controller.tracks.drain(..).flatten();
            controller.former.extend(before);
        }
        for point in &page.points {
            let index = usize::from(point.index);
            if index >= POINTS_MAX {
                continue;
            }
            let track = match controller.find(&point.name, point.point_type) {
                Some(track) => track,
                None if self.points >= self.points_max || !controller.may_have_fresh(self.now) => {
                    self.refused += 1;
                    continue;
                }
                None => {
                    self.points += 1;
                    Track::new(address, &point.name, point.point_type)
                }
            };
            if controller.tracks.len() <= index {
                controller.tracks.resize_with(index + 1, || None);
            }
            if let Some(twice) = controller.tracks[index].replace(track) {
                controller.former.push(twice);
            }
        }
        if page.page + 1 == page.pages {
            // What the layout has no more is nothing any more.
            self.points -= controller.former.len();
            for track in controller.former.drain(..) {
                track.end(self.now, &mut self.done);
            }
        }
    }

    /// Points of a controller, by index, are this from now on; `None` where it says that the value is not to be
    /// trusted.
    pub(super) fn values(
        &mut self,
        at: Time,
        address: Address,
        values: impl Iterator<Item = (u8, Option<i64>)>,
    ) {
        self.advance(at);
        let Some(controller) = self.controllers.get_mut(&address) else {
            return;
        };
        for (index, value) in values {
            if let Some(Some(track)) = controller.tracks.get_mut(usize::from(index)) {
                track.becomes(self.now, value);
            }
        }
    }

    /// A controller has gone: from now on nobody knows what its points are.
    pub(super) fn away(&mut self, at: Time, address: Address) {
        self.advance(at);
        if let Some(controller) = self.controllers.get_mut(&address) {
            self.points -= controller.forget(self.now, &mut self.done);
        }
    }

    /// Something that a controller told was lost on its way here: each of its points is unknown until its next value.
    pub(super) fn missed(&mut self, at: Time, address: Address) {
        self.advance(at);
        if let Some(controller) = self.controllers.get_mut(&address) {
            let now = self.now;
            controller.all().for_each(|track| track.becomes(now, None));
        }
    }

    /// Anything may have been lost: nothing is known of a controller until it tells of itself as a whole.
    pub(super) fn missed_all(&mut self, at: Time) {
        self.advance(at);
        let all: Vec<_> = self.controllers.keys().copied().collect();
        for address in all {
            self.away(at, address);
        }
    }

    /// What is done since this was asked last.
    pub(super) fn take_done(&mut self) -> Vec<Sample> {
        std::mem::take(&mut self.done)
    }

    /// How many points are followed.
    pub(super) fn points(&self) -> usize {
        self.points
    }

    /// How many points were refused for want of room since this was asked last; one that comes again counts again.
    pub(super) fn take_refused(&mut self) -> u64 {
        std::mem::take(&mut self.refused)
    }
}
