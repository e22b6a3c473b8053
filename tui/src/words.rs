//! The words and signs for what a yard is: the same on the screen and in print, and the same as on
//! the page. No state is told by colour alone.

use std::time::Duration;
use switchyard_client::{Controller, signature::show_thousandths};
use switchyard_protocol::{
    Address,
    message::{Cause, CauseKind, Point, PointFlags, PointType, Time},
};

/// How a controller stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Connected, and what is shown is what is.
    Live,
    /// What is shown may have been overtaken.
    Stale,
    /// Connected, but not heard of yet.
    NoStatus,
    /// Away.
    Offline,
    /// Not seen since the gateway started: nobody knows since when it is away.
    Unseen,
}

impl Standing {
    pub(crate) fn of(controller: &Controller) -> Self {
        if !controller.online && controller.since.0 == 0 {
            Standing::Unseen
        } else if !controller.online {
            Standing::Offline
        } else if controller.status.is_none() {
            Standing::NoStatus
        } else if controller.stale {
            Standing::Stale
        } else {
            Standing::Live
        }
    }

    pub(crate) const fn sign(self) -> &'static str {
        match self {
            Standing::Live => "●",
            Standing::Stale => "▒",
            Standing::NoStatus => "…",
            Standing::Offline | Standing::Unseen => "○",
        }
    }

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Standing::Live => "on line",
            Standing::Stale => "stale",
            Standing::NoStatus => "no status",
            Standing::Offline => "last seen",
            Standing::Unseen => "not seen",
        }
    }

    /// The stable word of `--json`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Standing::Live => "live",
            Standing::Stale => "stale",
            Standing::NoStatus => "no_status",
            Standing::Offline | Standing::Unseen => "offline",
        }
    }
}

/// A point's value as people read it: `ON`, `off`, `72.4`.
pub(crate) fn value(point_type: PointType, value: i64) -> String {
    match (point_type.is_digital(), value) {
        (true, 0) => "off".to_owned(),
        (true, _) => "ON".to_owned(),
        (false, value) => show_thousandths(value),
    }
}

/// The sign before a digital value.
pub(crate) fn sign(point: &Point) -> &'static str {
    match (point.point_type.is_digital(), point.value) {
        (true, 0) => "○",
        (true, _) => "●",
        (false, _) => "",
    }
}

/// What qualifies a value, in words.
pub(crate) fn qualities(flags: PointFlags) -> Vec<&'static str> {
    [
        (PointFlags::MANUAL, "manual"),
        (PointFlags::BAD, "bad"),
        (PointFlags::FAULT, "fault"),
        (PointFlags::FORCED, "forced"),
        (PointFlags::CONFIRM, "confirm"),
    ]
    .into_iter()
    .filter(|(flag, _)| flags.contains(*flag))
    .map(|(_, word)| word)
    .collect()
}

/// Why a point is what it is; `who` names the tool that a command came from.
pub(crate) fn cause(cause: &Cause, who: impl FnOnce(Address) -> String) -> String {
    match cause.kind {
        CauseKind::Boot => "at boot".to_owned(),
        CauseKind::Script => match cause.reference {
            Some(line) => format!("script line {line}"),
            None => "script".to_owned(),
        },
        CauseKind::Command => {
            let mut text = match cause.by {
                Some(by) => who(by),
                None => "a command".to_owned(),
            };
            if let Some(reference) = cause.reference {
                // As much of it as the page shows, and as people compare.
                text.push_str(&format!(", receipt {:04x}", reference >> 16));
            }
            text
        }
        CauseKind::Schedule => match cause.reference {
            Some(line) => format!("schedule, line {line}"),
            None => "schedule".to_owned(),
        },
        CauseKind::LinkLoss => "link loss".to_owned(),
        CauseKind::Input => "input".to_owned(),
        CauseKind::Timer => "timer".to_owned(),
        CauseKind::Force => "forced".to_owned(),
        CauseKind::Safe => "safe state".to_owned(),
    }
}

/// A span, short: `14 s`, `3 min`, `5 h`, `2 d`.
pub(crate) fn span(span: Duration) -> String {
    match span.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min", seconds / 60),
        seconds @ 3600..86_400 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// From then to now, never negative.
pub(crate) fn since(then: Time, now: Time) -> Duration {
    Duration::from_millis(now.0.saturating_sub(then.0))
}

/// The time of day here: `14:02:11`.
pub(crate) fn clock(time: Time) -> String {
    let at = jiff::Timestamp::from_millisecond(i64::try_from(time.0).unwrap_or(i64::MAX));
    match at {
        Ok(at) => at
            .to_zoned(jiff::tz::TimeZone::system())
            .strftime("%H:%M:%S")
            .to_string(),
        Err(_) => "--:--:--".to_owned(),
    }
}

/// The same of a time that may not be known.
pub(crate) fn clock_of(time: Option<Time>) -> String {
    time.map_or_else(|| "--:--:--".to_owned(), clock)
}

/// A text without what a terminal would take for orders.
pub(crate) fn plain(text: &str) -> String {
    let plain = |it: char| if it.is_control() { '\u{fffd}' } else { it };
    text.chars().map(plain).collect()
}

/// The whole moment with its zone: `2027-01-15 08:00:00 +00:00`.
pub(crate) fn moment(time: Time) -> String {
    let at = jiff::Timestamp::from_millisecond(i64::try_from(time.0).unwrap_or(i64::MAX));
    match at {
        Ok(at) => at
            .to_zoned(jiff::tz::TimeZone::system())
            .strftime("%Y-%m-%d %H:%M:%S %:z")
            .to_string(),
        Err(_) => time.0.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_short() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (7199, "1 h"),
            (200_000, "2 d"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
        assert_eq!(since(Time(5), Time(2)), Duration::ZERO);
    }

    #[test]
    fn a_text_gives_a_terminal_no_orders() {
        assert_eq!(plain("a\u{1b}[2Jb\nc 水"), "a\u{fffd}[2Jb\u{fffd}c 水");
    }

    #[test]
    fn causes_say_who() {
        let by_command = Cause {
            kind: CauseKind::Command,
            by: Some(Address(7)),
            reference: Some(0x8f2c_0001),
        };
        let who = |address| format!("li, at {address}");
        assert_eq!(cause(&by_command, who), "li, at 7, receipt 8f2c");
        assert_eq!(cause(&Cause::plain(CauseKind::Timer), who), "timer");
    }
}
