//! The clock on the wall, by `jiff`: when the windows of a `during` begin and end.

use crate::tree::{During, Window};
use jiff::{
    Timestamp,
    civil::{Date, Time},
    tz::{AmbiguousOffset, TimeZone},
};

pub(crate) struct Clock {
    zone: TimeZone,
}

impl Clock {
    pub(crate) fn new(zone: &str) -> Self {
        Self {
            zone: TimeZone::posix(zone).unwrap(),
        }
    }

    pub(crate) fn is_within(&self, during: &During, utc: i64) -> bool {
        let today = self.date(utc);
        // A window is shorter than two days, and no clock is changed by more than one.
        (-2..=2).any(|days| {
            let day = days_later(today, days);
            during.windows.iter().any(|window| {
                falls_on(window, day)
                    && (self.begin(window, day)..self.end(window, day)).contains(&utc)
            })
        })
    }

    fn date(&self, utc: i64) -> Date {
        let moment = Timestamp::from_second(utc).unwrap();
        self.zone.to_datetime(moment).date()
    }

    /// When the window of that day begins.
    pub(crate) fn begin(&self, window: &Window, day: Date) -> i64 {
        self.moment(day, window.from)
    }

    pub(crate) fn end(&self, window: &Window, day: Date) -> i64 {
        let is_next_day = window.to <= window.from;
        self.moment(days_later(day, is_next_day.into()), window.to)
    }

    /// The first time that the clock shows this, or the jump over it.
    fn moment(&self, day: Date, minutes: u32) -> i64 {
        let day = days_later(day, i64::from(minutes / 1440));
        let minutes = minutes % 1440;
        let time = Time::new((minutes / 60) as i8, (minutes % 60) as i8, 0, 0).unwrap();
        let shown = day.to_datetime(time);
        let at = |offset: jiff::tz::Offset| offset.to_timestamp(shown).unwrap().as_second();
        match self.zone.to_ambiguous_timestamp(shown).offset() {
            AmbiguousOffset::Unambiguous { offset } => at(offset),
            AmbiguousOffset::Fold { before, .. } => at(before),
            AmbiguousOffset::Gap { before, after } => self.change(at(after), at(before), after),
        }
    }

    /// Between two moments, the first that has an offset.
    fn change(&self, from: i64, to: i64, offset: jiff::tz::Offset) -> i64 {
        let has_it = |utc| {
            let moment = Timestamp::from_second(utc).unwrap();
            self.zone.to_offset(moment) == offset
        };
        let (mut low, mut high) = (from, to);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if has_it(middle) {
                high = middle;
            } else {
                low = middle;
            }
        }
        high
    }

    /// When the clock is next changed after a moment, if ever.
    pub(crate) fn next_change(&self, utc: i64) -> Option<i64> {
        let moment = Timestamp::from_second(utc).unwrap();
        let next = self.zone.following(moment).next()?;
        Some(next.timestamp().as_second())
    }
}

fn falls_on(window: &Window, day: Date) -> bool {
    let weekday = day.weekday().to_sunday_zero_offset() as u8;
    window.days.is_empty()
        || window.days.iter().any(|(first, last)| {
            let last = last.unwrap_or(*first);
            // A span may go round the week's end.
            (weekday + 7 - first) % 7 <= (last + 7 - first) % 7
        })
}

pub(crate) fn days_later(day: Date, days: i64) -> Date {
    day.checked_add(jiff::Span::new().days(days)).unwrap()
}
