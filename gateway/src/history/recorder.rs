//! From values to minutes. Everything that happens is told with the time at which it did; time never goes back here,
//! so what comes late counts from when it came.

use super::{Choice, MINUTE_MS, Minute, Part, Series, minute_of, start_of, summary::Accumulator};
use foldhash::fast::RandomState;
use std::{collections::HashMap, sync::Arc};
use switchyard_protocol::{
    Address,
    limits::POINTS_MAX,
    message::{Full, Name, PointType, Time},
};

/// Points of one controller in one minute, those of its last script among them: so a controller that is given one
/// script after the other takes no more than two.
const TRACKS_PER_CONTROLLER_MAX: usize = 2 * POINTS_MAX;
/// The place of a point that is not recorded.
const NOWHERE: u8 = u8::MAX;

/// Makes minutes of values.
#[derive(Debug)]
pub(super) struct Recorder {
    choice: Choice,
    /// How many points there may be of all controllers.
    points_max: usize,
    /// Tells this run's parts of minutes from those of others.
    run: u32,
    /// How far time has come, in milliseconds since 1970.
    now: u64,
    /// When the minute ends that this is in.
    end: u64,
    controllers: HashMap<Address, Controller, RandomState>,
    points: usize,
    /// Points for which there was no room, counted when they came.
    refused: u64,
    done: Vec<Minute>,
}

#[derive(Debug)]
struct Controller {
    /// The points of this minute; those that there are no more stay until it is over.
    tracks: Vec<Track>,
    /// Where each index of the present layout is recorded.
    places: [u8; POINTS_MAX],
    /// It has gone.
    is_away: bool,
}

#[derive(Debug)]
struct Track {
    series: Arc<Series>,
    /// What the point is; `None` while nobody knows.
    value: Option<i64>,
    /// Up to when that is in the accumulator.
    counted_to: u64,
    /// When the first of what is in there began.
    begins: u64,
    accumulator: Accumulator,
}

impl Track {
    /// Counts what held until now.
    #[inline]
    fn settle(&mut self, now: u64) {
        if let Some(value) = self.value {
            self.accumulator.held(value, now - self.counted_to);
        }
        self.counted_to = now;
    }

    /// From now on the point is this.
    #[inline]
    fn becomes(&mut self, now: u64, value: Option<i64>) {
        self.settle(now);
        self.value = value;
        if let Some(value) = value {
            if self.accumulator.is_empty() {
                self.begins = now;
            }
            self.accumulator.came(value);
        }
    }
}

impl Controller {
    /// Nobody knows what its points are.
    fn forget_values(&mut self, now: u64) {
        for track in &mut self.tracks {
            track.becomes(now, None);
        }
    }

    /// Whether the present layout has the point that is recorded there.
    fn has(&self, place: usize) -> bool {
        self.places.iter().any(|&it| usize::from(it) == place)
    }

    fn find(&self, name: &Name, point_type: PointType) -> Option<usize> {
        self.tracks
            .iter()
            .position(|it| it.series.point == *name && it.series.point_type == point_type)
    }
}

impl Recorder {
    /// Begins at a time. At most `points_max` points are recorded at once.
    pub(super) fn new(choice: Choice, points_max: usize, run: u32, now: Time) -> Self {
        Recorder {
            choice,
            points_max,
            run,
            now: now.0,
            end: end_of_minute(now.0),
            controllers: HashMap::default(),
            points: 0,
            refused: 0,
            done: Vec::new(),
        }
    }

    /// Time has come so far.
    #[inline]
    pub(super) fn advance(&mut self, to: Time) {
        while to.0 >= self.end {
            self.end_minute(self.end);
        }
        self.now = self.now.max(to.0);
    }

    /// A controller tells what its points are called: a page of its full status. The values follow by
    /// [`values`](Self::values), once all pages are there.
    pub(super) fn page(&mut self, at: Time, address: Address, page: &Full) {
        self.advance(at);
        let is_known = self.controllers.contains_key(&address);
        let points = page.points.iter();
        let chosen = points.filter(|it| self.choice.has(address, &it.name, it.point_type));
        let chosen: Vec<_> = chosen.collect();
        if chosen.is_empty() && !is_known {
            return;
        }
        let controller = self
            .controllers
            .entry(address)
            .or_insert_with(|| Controller {
                tracks: Vec::new(),
                places: [NOWHERE; POINTS_MAX],
                is_away: false,
            });
        controller.is_away = false;
        if page.page == 0 {
            controller.places = [NOWHERE; POINTS_MAX];
        }
        for point in chosen {
            let place = match controller.find(&point.name, point.point_type) {
                Some(place) => place,
                None if self.points >= self.points_max
                    || controller.tracks.len() >= TRACKS_PER_CONTROLLER_MAX =>
                {
                    self.refused += 1;
                    continue;
                }
                None => {
                    controller.tracks.push(Track {
                        series: Arc::new(Series {
                            controller: address,
                            point: point.name.clone(),
                            point_type: point.point_type,
                        }),
                        value: None,
                        counted_to: self.now,
                        begins: self.now,
                        accumulator: Accumulator::default(),
                    });
                    self.points += 1;
                    controller.tracks.len() - 1
                }
            };
            if let Some(at) = controller.places.get_mut(usize::from(point.index)) {
                *at = place as u8;
            }
        }
        if page.page + 1 == page.pages {
            // What the layout has no more is nothing any more.
            for place in 0..controller.tracks.len() {
                if !controller.has(place) {
                    controller.tracks[place].becomes(self.now, None);
                }
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
            let place = controller.places.get(usize::from(index));
            let track = place.and_then(|&place| controller.tracks.get_mut(usize::from(place)));
            if let Some(track) = track {
                track.becomes(self.now, value);
            }
        }
    }

    /// A controller has gone: from now on nobody knows what its points are.
    pub(super) fn away(&mut self, at: Time, address: Address) {
        self.advance(at);
        if let Some(controller) = self.controllers.get_mut(&address) {
            controller.forget_values(self.now);
            controller.places = [NOWHERE; POINTS_MAX];
            controller.is_away = true;
        }
    }

    /// Something that a controller told was lost on its way here: each of its points is unknown until its next value.
    pub(super) fn missed(&mut self, at: Time, address: Address) {
        self.advance(at);
        if let Some(controller) = self.controllers.get_mut(&address) {
            controller.forget_values(self.now);
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

    /// Goes on at another time, before or after: of what was between nothing is known, and what was recorded so far
    /// is told. Points are what they were.
    pub(super) fn resume(&mut self, at: Time, run: u32) {
        for controller in self.controllers.values_mut() {
            for track in &mut controller.tracks {
                track.settle(self.now);
                close(&mut self.done, self.run, self.now, track);
                (track.counted_to, track.begins) = (at.0, at.0);
            }
        }
        (self.now, self.end, self.run) = (at.0, end_of_minute(at.0), run);
    }

    /// Tells what there is of the present minute too: nothing comes any more.
    pub(super) fn finish(&mut self, at: Time) {
        self.advance(at);
        self.resume(Time(self.now), self.run);
    }

    /// What is done since this was asked last.
    pub(super) fn take_done(&mut self) -> Vec<Minute> {
        std::mem::take(&mut self.done)
    }

    /// How many points are recorded.
    pub(super) fn points(&self) -> usize {
        self.points
    }

    /// How many points were refused for want of room since this was asked last; one that comes again counts again.
    pub(super) fn take_refused(&mut self) -> u64 {
        std::mem::take(&mut self.refused)
    }

    fn end_minute(&mut self, end: u64) {
        let mut kept = 0;
        for controller in self.controllers.values_mut() {
            for track in &mut controller.tracks {
                track.settle(end);
                close(&mut self.done, self.run, self.now, track);
                track.begins = end;
            }
            // What the minute was kept for goes.
            let mut place = 0;
            let mut moved = [NOWHERE; TRACKS_PER_CONTROLLER_MAX];
            let places = controller.places;
            let mut next = 0;
            controller.tracks.retain(|_| {
                let is_there = places.iter().any(|&it| usize::from(it) == place);
                if is_there {
                    moved[place] = next;
                    next += 1;
                }
                place += 1;
                is_there
            });
            for it in &mut controller.places {
                *it = moved.get(usize::from(*it)).copied().unwrap_or(NOWHERE);
            }
            kept += controller.tracks.len();
        }
        self.controllers
            .retain(|_, controller| !controller.is_away && !controller.tracks.is_empty());
        self.points = kept;
        (self.now, self.end) = (end, end_of_minute(end));
    }
}

/// When the minute ends that a time is in.
const fn end_of_minute(time: u64) -> u64 {
    (time / MINUTE_MS + 1) * MINUTE_MS
}

/// Tells what a track has come to in the minute that `within` is in, and begins anew.
fn close(done: &mut Vec<Minute>, run: u32, within: u64, track: &mut Track) {
    if let Some(summary) = std::mem::take(&mut track.accumulator).summary() {
        let number = minute_of(Time(within));
        done.push(Minute {
            series: Arc::clone(&track.series),
            number,
            part: Part::new(track.begins.saturating_sub(start_of(number).0), run),
            summary,
        });
    }
}
