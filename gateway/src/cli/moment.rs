//! Moments as people write and read them: by the calendar, in UTC, or so long ago.

use crate::config::Span;
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use std::{fmt, str::FromStr};
use switchyard_protocol::message::Time;

/// How long a date alone is.
const DATE_BYTES: usize = "2026-11-26".len();

/// A moment that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// So many milliseconds ago.
    Ago(u64),
    At(Time),
}

impl Moment {
    /// When that is, as seen from `now`.
    pub(super) fn time(self, now: Time) -> Time {
        match self {
            Moment::Ago(ms) => Time(now.0.saturating_sub(ms)),
            Moment::At(time) => time,
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "now" {
            return Ok(Moment::Ago(0));
        }
        if let Ok(Span(ago)) = text.parse() {
            return Ok(Moment::Ago(
                u64::try_from(ago.as_millis()).unwrap_or(u64::MAX),
            ));
        }
        let wanted = || {
            format!(
                "expected now, how long ago (24h, 30d), or a moment in UTC such as 2026-11-26 or \
                 2026-11-26T23:00Z, and found {text:?}"
            )
        };
        read(text).map(Moment::At).ok_or_else(wanted)
    }
}

/// `2026-11-26`, or a moment of that day with where it is that time: `2026-11-26T23:00Z`.
fn read(text: &str) -> Option<Time> {
    let moment = match text.len() {
        DATE_BYTES => {
            let date = text.parse::<Date>().ok()?;
            date.to_zoned(TimeZone::UTC).ok()?.timestamp()
        }
        _ => text.parse::<Timestamp>().ok()?,
    };
    u64::try_from(moment.as_millisecond()).ok().map(Time)
}

/// A time as `2026-11-26T23:00:00.000Z`.
pub(super) struct Utc(pub(super) Time);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = i64::try_from(self.0.0).unwrap_or(i64::MAX);
        match Timestamp::from_millisecond(millis) {
            Ok(moment) => write!(f, "{moment:.3}"),
            // Beyond the year 9999, which only a broken clock tells.
            Err(_) => write!(f, "{millis} ms"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn moments_are_read_and_others_refused() {
        let now = Time(1_764_200_000_000);
        for (text, expected) in [
            ("now", now.0),
            ("90s", now.0 - 90_000),
            ("30d", now.0 - 30 * 86_400_000),
            ("1970-01-01", 0),
            ("1970-01-01T00:01Z", 60_000),
            ("2000-02-29T23:59:59Z", 951_868_799_000),
            ("2026-11-26T23:00:00Z", 1_795_734_000_000),
            ("2026-11-27T00:00:00.5+01:00", 1_795_734_000_500),
        ] {
            let moment: Moment = text.parse().unwrap();
            assert_eq!(moment.time(now), Time(expected), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "2026-11-31",
            "2026-02-29",
            "2026-13-01",
            "2026-00-01",
            "1969-12-31",
            "2026-11-26T24:00Z",
            "2026-11-26T23:00",
            "2026-1-2",
            "+026-11-26",
        ] {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_it_was(millis in 0..200_000_000_000_000_u64) {
            let time = Time(millis);
            prop_assert_eq!(read(&Utc(time).to_string()), Some(time));
        }
    }
}
