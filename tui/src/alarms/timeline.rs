//! An alarm's history as one time line: what was written down, and who was called when, whether it rang, who answered, which
//! key was pressed, how it ended. Pure.

use super::{directory::Directory, when, words};
use crate::words::plain;
use jiff::tz::TimeZone;
use switchyard_client::alarms::{AlarmHistory, Attempt, Note, OutcomeKind, StepKind};

/// How a line is to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Something happened.
    Plain,
    /// Something is wrong.
    Wrong,
    /// Somebody heard.
    Heard,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// When, in milliseconds of gateway time.
    pub(crate) at_ms: u64,
    pub(crate) what: String,
    pub(crate) tone: Tone,
    /// Which comes first of what happened in the same millisecond: an attempt's end before the next one's begin.
    rank: Rank,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Raised,
    Ended,
    Noted,
    Attempted,
    Concluded,
}

/// All of it, in the order in which it happened.
pub(crate) fn timeline(history: &AlarmHistory, zone: &TimeZone) -> Vec<Entry> {
    let mut entries: Vec<Entry> = history
        .notes
        .iter()
        .filter_map(|note| note_entry(note, history, zone))
        .collect();
    for attempt in &history.attempts {
        entries.extend(attempt_entries(attempt));
    }
    // Stable: what is alike in the same millisecond stays as it was told.
    entries.sort_by_key(|entry| (entry.at_ms, entry.rank));
    entries
}

fn note_entry(note: &Note, history: &AlarmHistory, zone: &TimeZone) -> Option<Entry> {
    let by = note.by.as_deref().map(plain).unwrap_or_default();
    let how = note.how.as_ref().map(words::how).unwrap_or_default();
    let whose = match by.is_empty() {
        true => how.trim_start_matches(", ").to_owned(),
        false => format!("by {by}{how}"),
    };
    let text = note.text.as_deref().map(plain).unwrap_or_default();
    let mut tone = Tone::Plain;
    let what = match note.kind.as_str() {
        "raised" => {
            tone = Tone::Wrong;
            match &note.value {
                Some(value) => format!("raised: {}", plain(value)),
                None => "raised".to_owned(),
            }
        }
        "cleared" => "over".to_owned(),
        "flapping" => "comes and goes too often: nobody is told each time".to_owned(),
        "joined" => match note.alarm {
            Some(alarm) => format!("became a part of alarm {alarm}"),
            None => "became a part of another alarm".to_owned(),
        },
        "attempted" => {
            // Its own lines tell more.
            let attempt = note.attempt?;
            if history.attempts.iter().any(|it| it.id == attempt) {
                return None;
            }
            format!("attempt {attempt} at telling somebody")
        }
        "acknowledged" => {
            tone = Tone::Heard;
            format!("acknowledged {whose}")
        }
        "shelved" => match note.until_ms {
            Some(until_ms) => format!(
                "shelved until {} {whose}",
                when::write_near(until_ms, zone, note.at_ms)
            ),
            None => format!("shelved {whose}"),
        },
        "unshelved" => format!("taken from the shelf {whose}"),
        "commented" => format!("“{text}” {whose}"),
        "skipped" => {
            tone = Tone::Wrong;
            let rung = note
                .rung
                .map_or_else(String::new, |it| format!("rung {} ", it.saturating_add(1)));
            let reason = note.reason.as_deref().map(plain).unwrap_or_default();
            format!("{rung}passed over: {reason}")
        }
        "exhausted" => {
            tone = Tone::Wrong;
            match note.rounds {
                Some(rounds @ 2..) => {
                    format!("the whole chain was told {rounds} times, and nobody acknowledged")
                }
                _ => "the whole chain was told, and nobody acknowledged".to_owned(),
            }
        }
        other => format!("{} {text} {whose}", plain(other)),
    };
    Some(Entry {
        at_ms: note.at_ms,
        what: what.split_whitespace().collect::<Vec<_>>().join(" "),
        tone,
        rank: match note.kind.as_str() {
            "raised" => Rank::Raised,
            "acknowledged" | "cleared" | "exhausted" => Rank::Concluded,
            _ => Rank::Noted,
        },
    })
}

/// The lines of one attempt.
pub(crate) fn attempt_entries(attempt: &Attempt) -> Vec<Entry> {
    let who = plain(&attempt.contact_name);
    let entry = |at_ms, what: String, tone| Entry {
        at_ms,
        what,
        tone,
        rank: Rank::Attempted,
    };
    let destination = match attempt.destination.is_empty() {
        true => String::new(),
        false => format!(" at {}", plain(&attempt.destination)),
    };
    let channel = words::channel(&attempt.channel);
    let begun = format!("{who}: {channel}{destination}");
    let mut entries = vec![entry(attempt.begun_ms, begun, Tone::Plain)];
    for step in &attempt.steps {
        let what = match &step.step {
            // Its first line says so.
            StepKind::Begun => continue,
            StepKind::Ringing => "rings".to_owned(),
            StepKind::Answered => "answered".to_owned(),
            StepKind::Told => "told".to_owned(),
            StepKind::Delivered => "delivered".to_owned(),
            StepKind::Other(name) => plain(name),
        };
        entries.push(entry(step.at_ms, format!("{who}: {what}"), Tone::Plain));
    }
    let ended = attempt.outcome.as_ref().zip(attempt.ended_ms);
    let keys = plain(&attempt.keys);
    if let Some((outcome, at_ms)) = ended {
        let tone = match outcome.kind {
            OutcomeKind::Acknowledged => Tone::Heard,
            OutcomeKind::Busy
            | OutcomeKind::NoAnswer
            | OutcomeKind::Failed
            | OutcomeKind::Limited
            | OutcomeKind::Unanswered
            | OutcomeKind::Interrupted => Tone::Wrong,
            _ => Tone::Plain,
        };
        let words = words::outcome(outcome);
        let what = match keys.is_empty() {
            true => format!("{who}: {words}"),
            false => format!("{who}: pressed {keys}, {words}"),
        };
        let mut end = entry(at_ms, what, tone);
        // One that failed at once does not end before it begins.
        if entries.iter().all(|it| it.at_ms < at_ms) {
            end.rank = Rank::Ended;
        }
        entries.push(end);
    } else if !keys.is_empty() {
        let last_ms = entries.iter().map(|entry| entry.at_ms).max();
        let at_ms = last_ms.unwrap_or(attempt.begun_ms);
        entries.push(entry(at_ms, format!("{who}: pressed {keys}"), Tone::Plain));
    }
    entries
}

/// What stands above the time line: how the alarm is, a line each.
pub(crate) fn heading(
    history: &AlarmHistory,
    directory: &Directory,
    zone: &TimeZone,
    now_ms: u64,
) -> Vec<String> {
    let alarm = &history.alarm;
    let mut lines = vec![words::what(alarm)];
    let place = words::place(alarm, directory);
    let site = alarm.site.filter(|_| alarm.controller.is_some());
    let site = site.map(|site| format!("  at {}", directory.site_name(site)));
    if !place.is_empty() {
        lines.push(format!("{place}{}", site.unwrap_or_default()));
    }
    let near = |ms| when::write_near(ms, zone, now_ms);
    let mut state = format!(
        "{} {}, {}, since {}",
        words::sign(&alarm.state),
        words::state(&alarm.state),
        plain(alarm.severity.name()),
        near(alarm.since_ms)
    );
    if let Some(cleared_ms) = alarm.cleared_ms {
        state.push_str(&format!(", over since {}", near(cleared_ms)));
    }
    lines.push(state);
    if let Some(it) = &alarm.acknowledged {
        let how = words::how(&it.how);
        lines.push(format!(
            "acknowledged by {}{how}, {}",
            plain(&it.by),
            near(it.at_ms)
        ));
    }
    if let Some(it) = &alarm.shelved {
        lines.push(format!(
            "shelved by {} until {}",
            plain(&it.by),
            near(it.until_ms)
        ));
    }
    if let Some(part_of) = alarm.part_of {
        lines.push(format!(
            "a part of alarm {part_of}, of which people are told"
        ));
    }
    if let Some(next) = &alarm.next {
        lines.push(format!("next: {}", words::next(next, zone, now_ms)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A night's alarm, as a gateway tells it.
    pub(crate) fn night() -> AlarmHistory {
        let at = |seconds: u64| 1_800_000_000_000 + seconds * 1_000;
        serde_json::from_value(json!({
            "alarm": {
                "id": 12, "state": "acknowledged", "severity": "high", "text": "High water",
                "source": { "kind": "rule", "rule": 1, "controller": 100_042 },
                "controller": 100_042, "controller_title": "Pump house 3", "site": 7, "value": "82.1",
                "raised_ms": at(0), "since_ms": at(0), "is_standing": true, "times": 2,
                "acknowledged": { "by": "Wang", "how": "call", "at_ms": at(95) },
            },
            "notes": [
                { "at_ms": at(0), "kind": "raised", "value": "82.1" },
                { "at_ms": at(1), "kind": "attempted", "attempt": 1 },
                { "at_ms": at(40), "kind": "commented", "text": "on my\u{1b}[2J way", "by": "li", "how": "api" },
                { "at_ms": at(61), "kind": "skipped", "rung": 1, "reason": "nobody is on call" },
                { "at_ms": at(95), "kind": "acknowledged", "by": "Wang", "how": "call" },
                { "at_ms": at(99), "kind": "shelved", "by": "li", "until_ms": at(3_699), "how": "api" },
                { "at_ms": at(100), "kind": "sung", "text": "a song", "by": "li" },
            ],
            "attempts": [
                {
                    "id": 1, "contact": 1, "contact_name": "Li", "channel": "sip", "destination": "+49301",
                    "alarms": [12], "begun_ms": at(1), "ended_ms": at(31), "keys": "",
                    "steps": [{ "step": "begun", "at_ms": at(1) }, { "step": "ringing", "at_ms": at(2) }],
                    "outcome": { "kind": "no_answer" },
                },
                {
                    "id": 2, "contact": 2, "contact_name": "Wang", "channel": "modem_call", "destination": "+49302",
                    "alarms": [12], "begun_ms": at(62), "ended_ms": at(96), "keys": "1",
                    "steps": [
                        { "step": "begun", "at_ms": at(62) }, { "step": "ringing", "at_ms": at(64) },
                        { "step": "answered", "at_ms": at(70) }, { "step": "told", "at_ms": at(90) },
                    ],
                    "outcome": { "kind": "acknowledged" },
                },
            ],
        }))
        .unwrap()
    }

    fn lines(history: &AlarmHistory) -> String {
        let entries = timeline(history, &TimeZone::UTC);
        let lines = entries.iter().map(|entry| {
            let sign = match entry.tone {
                Tone::Plain => ' ',
                Tone::Wrong => '!',
                Tone::Heard => '+',
            };
            format!(
                "{} {sign} {}",
                when::write_line(entry.at_ms, &TimeZone::UTC),
                entry.what
            )
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_night_is_one_time_line() {
        insta::assert_snapshot!(lines(&night()));
    }

    #[test]
    fn what_happens_at_once_stays_in_its_order() {
        let mut history = night();
        let at_ms = history.attempts[0].begun_ms;
        history.notes = serde_json::from_value(json!([
            { "at_ms": at_ms, "kind": "exhausted", "rounds": 2 },
            { "at_ms": at_ms, "kind": "raised" },
        ]))
        .unwrap();
        history.attempts.truncate(1);
        history.attempts[0].steps.clear();
        history.attempts[0].ended_ms = Some(at_ms);
        let expected = "\
01-15 08:00:01 ! raised
01-15 08:00:01   Li: call by SIP at +49301
01-15 08:00:01 ! Li: no answer
01-15 08:00:01 ! the whole chain was told 2 times, and nobody acknowledged";
        assert_eq!(lines(&history), expected);
    }

    #[test]
    fn what_is_under_way_shows_its_keys() {
        let mut history = night();
        history.notes.clear();
        history.attempts.remove(0);
        history.attempts[0].outcome = None;
        history.attempts[0].ended_ms = None;
        let lines = lines(&history);
        assert!(lines.ends_with("08:01:30   Wang: pressed 1"), "{lines}");
    }

    #[test]
    fn an_attempt_that_is_not_told_of_still_has_its_line() {
        let mut history = night();
        history.attempts.clear();
        assert!(lines(&history).contains("attempt 1 at telling somebody"));
    }
}
