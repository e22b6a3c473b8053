//! Times as people write them: spans, moments, times of the week. Pure.

use jiff::{Timestamp, ToSpan, civil, tz::TimeZone};
use switchyard_client::{
    alarms::{Quiet, Weekly},
    signature::ArgumentType,
};

/// The days, as they are written; the first is 1.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MINUTES_OF_A_DAY: u16 = 24 * 60;

/// A span in milliseconds: `30m`, `1h`, `2d`.
pub(crate) fn read_span_ms(text: &str) -> Result<u64, String> {
    let read = ArgumentType::Time.read(text.trim());
    read.map(i64::unsigned_abs)
        .map_err(|_| format!("expected a time such as 30s, 5m, 1h or 2d and found {text:?}"))
}

/// A span in whole seconds.
pub(crate) fn read_span_s(text: &str) -> Result<u32, String> {
    let milliseconds = read_span_ms(text)?;
    let seconds = u32::try_from(milliseconds / 1000).ok();
    seconds
        .filter(|_| milliseconds % 1000 == 0)
        .ok_or_else(|| format!("expected whole seconds and found {text:?}"))
}

/// The same as it is written.
pub(crate) fn write_span_s(seconds: u32) -> String {
    ArgumentType::Time.show(i64::from(seconds) * 1000)
}

/// The zone of a name; the machine's own where the name is not known here.
pub(crate) fn zone_or_own(name: &str) -> TimeZone {
    match name {
        "UTC" => TimeZone::UTC,
        name => TimeZone::get(name).unwrap_or_else(|_| TimeZone::system()),
    }
}

/// A moment: with its own offset, or a date and time in a zone, a date, or the next such time of day.
pub(crate) fn read_moment(text: &str, zone: &TimeZone, now_ms: u64) -> Result<u64, String> {
    let text = text.trim();
    let wrong =
        || format!("expected a moment such as 18:00 or \"2027-01-15 08:00\" and found {text:?}");
    let whole = text.replacen(' ', "T", 1);
    let at = if let Ok(at) = whole.parse::<Timestamp>() {
        at
    } else if let Some(minute) = read_minute(text) {
        let now = moment_of(now_ms).to_zoned(zone.clone());
        let today = at_minute(now.date(), minute).and_then(|it| it.to_zoned(zone.clone()).ok());
        let next = match today {
            Some(today) if today > now => Some(today),
            _ => now
                .date()
                .tomorrow()
                .ok()
                .and_then(|date| at_minute(date, minute))
                .and_then(|it| it.to_zoned(zone.clone()).ok()),
        };
        next.ok_or_else(wrong)?.timestamp()
    } else {
        let civil = whole
            .parse::<civil::DateTime>()
            .or_else(|_| whole.parse::<civil::Date>().map(civil::DateTime::from));
        let zoned = civil.and_then(|civil| civil.to_zoned(zone.clone()));
        zoned.map_err(|_| wrong())?.timestamp()
    };
    u64::try_from(at.as_millisecond()).map_err(|_| wrong())
}

fn at_minute(date: civil::Date, minute: u16) -> Option<civil::DateTime> {
    let minutes = i64::from(minute).minutes();
    civil::DateTime::from(date).checked_add(minutes).ok()
}

/// A moment in a zone: `2027-01-15 08:00`, with seconds where there are any.
pub(crate) fn write_moment(ms: u64, zone: &TimeZone) -> String {
    let form = match ms % 60_000 {
        0 => "%Y-%m-%d %H:%M",
        _ => "%Y-%m-%d %H:%M:%S",
    };
    shown(ms, zone, form)
}

/// The same with its day and without its seconds, for people: `Fri 2027-01-15 08:00`.
pub(crate) fn write_day(ms: u64, zone: &TimeZone) -> String {
    shown(ms, zone, "%a %Y-%m-%d %H:%M")
}

/// A moment, as short as it is clear at another one: `08:00`, `Fri 08:00`, or with the date.
pub(crate) fn write_near(ms: u64, zone: &TimeZone, now_ms: u64) -> String {
    let date = |ms| moment_of(ms).to_zoned(zone.clone()).date();
    let form = match ms.abs_diff(now_ms) / 1000 {
        _ if date(ms) == date(now_ms) => "%H:%M",
        0..518_400 => "%a %H:%M",
        _ => "%Y-%m-%d %H:%M",
    };
    shown(ms, zone, form)
}

/// The moment by which a line of a history goes: `01-15 08:00:05`.
pub(crate) fn write_line(ms: u64, zone: &TimeZone) -> String {
    shown(ms, zone, "%m-%d %H:%M:%S")
}

/// A time of day: `08:00:05`.
pub(crate) fn write_clock(ms: u64, zone: &TimeZone) -> String {
    shown(ms, zone, "%H:%M:%S")
}

fn shown(ms: u64, zone: &TimeZone, form: &str) -> String {
    moment_of(ms)
        .to_zoned(zone.clone())
        .strftime(form)
        .to_string()
}

/// What is beyond all calendars is their last moment.
fn moment_of(ms: u64) -> Timestamp {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX)
}

/// A time of day in minutes after midnight: `22:00`.
pub(crate) fn read_minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let part = |text: &str| match text.len() {
        1 | 2 if text.bytes().all(|it| it.is_ascii_digit()) => text.parse::<u16>().ok(),
        _ => None,
    };
    let minute = part(hours)? * 60 + part(minutes).filter(|it| *it < 60 && minutes.len() == 2)?;
    (minute < MINUTES_OF_A_DAY).then_some(minute)
}

pub(crate) fn write_minute(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

fn read_day(text: &str) -> Option<u8> {
    let text = text.trim().to_lowercase();
    let place = DAYS.iter().position(|day| {
        text.len() >= 3 && text.starts_with(day) && LONG_DAYS.iter().any(|it| it.starts_with(&text))
    })?;
    u8::try_from(place + 1).ok()
}

const LONG_DAYS: [&str; 7] = [
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
];

fn write_day_of_week(day: u8) -> String {
    let known = DAYS.get(usize::from(day).wrapping_sub(1));
    known.map_or_else(|| format!("day {day}"), |day| (*day).to_owned())
}

/// A time of the week: `mon 08:00`.
pub(crate) fn read_weekly(text: &str) -> Result<Weekly, String> {
    let read = text.trim().split_once(' ').and_then(|(day, minute)| {
        let (day, minute) = (read_day(day)?, read_minute(minute)?);
        Some(Weekly { day, minute })
    });
    read.ok_or_else(|| {
        format!("expected a time of the week such as \"mon 08:00\" and found {text:?}")
    })
}

pub(crate) fn write_weekly(weekly: Weekly) -> String {
    format!(
        "{} {}",
        write_day_of_week(weekly.day),
        write_minute(weekly.minute)
    )
}

/// Quiet times: `mon-fri 22:00-07:00`, `sat,sun 00:00-09:00`, or a span alone for every day.
pub(crate) fn read_quiet(text: &str) -> Result<Quiet, String> {
    let wrong =
        || format!("expected quiet times such as \"mon-fri 22:00-07:00\" and found {text:?}");
    let (days, span) = match text.trim().rsplit_once(' ') {
        Some((days, span)) => (days.trim(), span),
        None => ("mon-sun", text.trim()),
    };
    let (from, to) = span.split_once('-').ok_or_else(wrong)?;
    let (from_minute, to_minute) = read_minute(from).zip(read_minute(to)).ok_or_else(wrong)?;
    let mut on = [false; 7];
    for part in days.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = read_day(first).zip(read_day(last)).ok_or_else(wrong)?;
        let mut day = first;
        loop {
            on[usize::from(day) - 1] = true;
            if day == last {
                break;
            }
            day = day % 7 + 1;
        }
    }
    let days = (1..=7).filter(|day| on[usize::from(*day) - 1]).collect();
    Ok(Quiet {
        days,
        from_minute,
        to_minute,
    })
}

pub(crate) fn write_quiet(quiet: &Quiet) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut days: Vec<u8> = quiet.days.clone();
    days.sort_unstable();
    days.dedup();
    let mut at = 0;
    while let Some(&first) = days.get(at) {
        let mut end = at;
        while days.get(end + 1) == Some(&(days[end] + 1)) {
            end += 1;
        }
        let (first, last) = (write_day_of_week(first), write_day_of_week(days[end]));
        match end - at {
            0 => parts.push(first),
            1 => parts.extend([first, last]),
            _ => parts.push(format!("{first}-{last}")),
        }
        at = end + 1;
    }
    format!(
        "{} {}-{}",
        parts.join(","),
        write_minute(quiet.from_minute),
        write_minute(quiet.to_minute)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2027-01-15 08:00:00 UTC, a Friday.
    const NOW_MS: u64 = 1_800_000_000_000;
    const HOUR_MS: u64 = 3_600_000;

    #[test]
    fn spans() {
        assert_eq!(read_span_ms("1.5s"), Ok(1_500));
        assert_eq!(read_span_ms("2d"), Ok(48 * HOUR_MS));
        assert_eq!(read_span_s("5m"), Ok(300));
        for text in ["", "5", "-5m", "5 weeks", "1.5"] {
            assert!(read_span_s(text).is_err(), "{text}");
        }
        assert!(read_span_s("1500ms").unwrap_err().contains("whole seconds"));
        for seconds in [0, 1, 59, 60, 90, 3_600, 86_400] {
            assert_eq!(read_span_s(&write_span_s(seconds)), Ok(seconds));
        }
    }

    #[test]
    fn moments() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let utc = TimeZone::UTC;
        for (text, zone, expected) in [
            ("2027-01-15 08:00", &utc, NOW_MS),
            ("2027-01-15T08:00:00", &utc, NOW_MS),
            ("2027-01-15 09:00", &berlin, NOW_MS),
            ("2027-01-15T08:00:00Z", &berlin, NOW_MS),
            ("2027-01-15 10:00:00+02:00", &utc, NOW_MS),
            ("2027-01-15", &utc, NOW_MS - 8 * HOUR_MS),
            ("18:00", &utc, NOW_MS + 10 * HOUR_MS),
            // The next one: not this very moment.
            ("08:00", &utc, NOW_MS + 24 * HOUR_MS),
            ("7:30", &utc, NOW_MS + 23 * HOUR_MS + HOUR_MS / 2),
            ("09:30", &berlin, NOW_MS + HOUR_MS / 2),
        ] {
            assert_eq!(read_moment(text, zone, NOW_MS), Ok(expected), "{text}");
        }
        for text in [
            "",
            "soon",
            "25:00",
            "8:5",
            "2027-13-01",
            "2027-01-15 25:00",
            "1960-01-01",
        ] {
            assert!(read_moment(text, &utc, NOW_MS).is_err(), "{text}");
        }
        assert_eq!(write_moment(NOW_MS, &berlin), "2027-01-15 09:00");
        assert_eq!(write_moment(NOW_MS + 1000, &utc), "2027-01-15 08:00:01");
        assert_eq!(write_day(NOW_MS, &utc), "Fri 2027-01-15 08:00");
        assert_eq!(write_near(NOW_MS + HOUR_MS, &utc, NOW_MS), "09:00");
        assert_eq!(write_near(NOW_MS + 72 * HOUR_MS, &utc, NOW_MS), "Mon 08:00");
        assert_eq!(
            write_near(NOW_MS + 240 * HOUR_MS, &utc, NOW_MS),
            "2027-01-25 08:00"
        );
        assert_eq!(write_line(u64::MAX, &utc), "12-30 22:00:00");
    }

    #[test]
    fn times_of_the_week() {
        for (text, day, minute) in [("mon 08:00", 1, 480), ("Sunday 23:59", 7, 1439)] {
            assert_eq!(read_weekly(text), Ok(Weekly { day, minute }));
        }
        for text in ["", "mon", "mo 08:00", "08:00", "mon 24:00", "monkey 08:00"] {
            assert!(read_weekly(text).is_err(), "{text}");
        }
        assert_eq!(
            write_weekly(Weekly {
                day: 1,
                minute: 480
            }),
            "mon 08:00"
        );
    }

    #[test]
    fn quiet_times() {
        for (text, days, written) in [
            (
                "mon-fri 22:00-07:00",
                vec![1, 2, 3, 4, 5],
                "mon-fri 22:00-07:00",
            ),
            ("sat,sun 22:00-07:00", vec![6, 7], "sat,sun 22:00-07:00"),
            (
                "22:00-07:00",
                vec![1, 2, 3, 4, 5, 6, 7],
                "mon-sun 22:00-07:00",
            ),
            (
                "fri-mon 22:00-07:00",
                vec![1, 5, 6, 7],
                "mon,fri-sun 22:00-07:00",
            ),
        ] {
            let quiet = read_quiet(text).unwrap();
            assert_eq!(
                (&quiet.days, quiet.from_minute, quiet.to_minute),
                (&days, 1320, 420)
            );
            assert_eq!(write_quiet(&quiet), written);
            assert_eq!(read_quiet(written), Ok(quiet));
        }
        for text in [
            "",
            "mon",
            "mon 22:00",
            "mon- 22:00-07:00",
            "never 22:00-07:00",
        ] {
            assert!(read_quiet(text).is_err(), "{text}");
        }
    }
}
