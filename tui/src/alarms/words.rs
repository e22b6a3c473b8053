//! The words and signs for alarms: the same in print and on the screen. None tells by colour alone.

use super::{directory::Directory, when};
use crate::words::plain;
use jiff::tz::TimeZone;
use switchyard_client::alarms::{
    Alarm, Channel, Condition, How, Medium, NextTold, Outcome, OutcomeKind, Rung, Scope, Severity,
    State, Whom,
};
use switchyard_client::signature::show_thousandths;

/// The sign of a state: a full triangle while somebody has to say that they heard.
pub(crate) fn sign(state: &State) -> &'static str {
    match state {
        State::Acknowledged => "△",
        State::Shelved => "‖",
        State::Cleared => "○",
        State::Returned => "▽",
        State::Raised | State::Notified | State::Other(_) => "▲",
    }
}

/// The word of a state, as people say it.
pub(crate) fn state(state: &State) -> String {
    match state {
        State::Raised => "ALARM".to_owned(),
        State::Notified => "ALARM, told".to_owned(),
        State::Returned => "over, not acknowledged".to_owned(),
        State::Cleared => "over".to_owned(),
        other => plain(other.name()),
    }
}

/// Where it is: its controller, or its site.
pub(crate) fn place(alarm: &Alarm, directory: &Directory) -> String {
    match (alarm.controller, &alarm.controller_title, alarm.site) {
        (Some(controller), Some(title), _) => format!("No. {controller} {}", plain(title)),
        (Some(controller), None, _) => format!("No. {controller}"),
        (None, _, Some(site)) => directory.site_name(site),
        (None, _, None) => match alarm.source.kind.as_str() {
            "channel" | "status_store" | "rollout" => "the gateway".to_owned(),
            "test" | "test_unanswered" => test_place(alarm, directory),
            _ => String::new(),
        },
    }
}

/// Who is tested: whoever may not see contacts still sees who is told.
fn test_place(alarm: &Alarm, directory: &Directory) -> String {
    let contact = alarm.source.contact;
    let known = contact.filter(|id| directory.contacts.iter().any(|it| it.id == *id));
    match (known, &alarm.next, contact) {
        (None, Some(next), _) => plain(&next.contact_name),
        (None, None, None) => String::new(),
        (Some(contact), ..) | (None, None, Some(contact)) => directory.contact_name(contact),
    }
}

/// What is wrong, with what qualifies it.
pub(crate) fn what(alarm: &Alarm) -> String {
    let mut text = plain(&alarm.text);
    if let Some(value) = &alarm.value {
        text.push_str(&format!(" ({})", plain(value)));
    }
    if alarm.is_flapping {
        text.push_str(", comes and goes");
    } else if alarm.times > 1 {
        text.push_str(&format!(", {} times", alarm.times));
    }
    if let Some(whole) = alarm.part_of {
        text.push_str(&format!(", a part of {whole}"));
    }
    match alarm.parts {
        0 => {}
        1 => text.push_str(", 1 part"),
        parts => text.push_str(&format!(", {parts} parts")),
    }
    text
}

/// How an alarm goes by in a question: what and where.
pub(crate) fn named(alarm: &Alarm, directory: &Directory) -> String {
    let place = place(alarm, directory);
    match place.is_empty() {
        true => format!("“{}”", plain(&alarm.text)),
        false => format!("“{}” of {place}", plain(&alarm.text)),
    }
}

/// Who is told next, and when.
pub(crate) fn next(next: &NextTold, zone: &TimeZone, now_ms: u64) -> String {
    let name = plain(&next.contact_name);
    let medium = medium(&next.medium);
    match next.is_under_way {
        true => format!("{name}, {medium} now"),
        false => format!(
            "{name}, {medium} {}",
            when::write_near(next.at_ms, zone, now_ms)
        ),
    }
}

/// A medium in a word.
pub(crate) fn medium(medium: &Medium) -> String {
    match medium {
        Medium::Call => "call".to_owned(),
        Medium::Sms => "SMS".to_owned(),
        Medium::Email => "e-mail".to_owned(),
        Medium::Push => "push message".to_owned(),
        Medium::Webhook => "webhook".to_owned(),
        Medium::Other(name) => plain(name),
    }
}

/// A channel in words.
pub(crate) fn channel(channel: &Channel) -> String {
    match channel {
        Channel::Sip => "call by SIP".to_owned(),
        Channel::ModemCall => "call by modem".to_owned(),
        Channel::ModemSms => "SMS by modem".to_owned(),
        Channel::ProviderCall => "call by provider".to_owned(),
        Channel::ProviderSms => "SMS by provider".to_owned(),
        Channel::Email => "e-mail".to_owned(),
        Channel::Ntfy => "push message".to_owned(),
        Channel::Webhook => "webhook".to_owned(),
        Channel::Other(name) => plain(name),
    }
}

/// By what somebody did something, behind their name.
pub(crate) fn how(how: &How) -> String {
    match how {
        How::Api => String::new(),
        How::Call => ", by telephone".to_owned(),
        How::Message => ", by an answer".to_owned(),
        How::Itself => ", by itself".to_owned(),
        How::Other(name) => format!(", by {}", plain(name)),
    }
}

/// How an attempt ended, in words.
pub(crate) fn outcome(outcome: &Outcome) -> String {
    let text = match &outcome.kind {
        OutcomeKind::Acknowledged => "acknowledged",
        OutcomeKind::Passed => "wants the next one told",
        OutcomeKind::Muted => "wants to hear nothing for an hour",
        OutcomeKind::Unanswered => "heard out, and no key said so",
        OutcomeKind::Sent => "sent",
        OutcomeKind::Busy => "busy",
        OutcomeKind::NoAnswer => "no answer",
        OutcomeKind::Failed => "failed",
        OutcomeKind::Limited => "not tried, by a limit",
        OutcomeKind::Withdrawn => "not needed any more",
        OutcomeKind::Interrupted => "broken off: the gateway was stopped",
        OutcomeKind::Other(name) => name,
    };
    // It is empty for who may not see numbers, which it may repeat.
    match outcome.reason.as_deref().filter(|it| !it.is_empty()) {
        Some(reason) => format!("{}: {}", plain(text), plain(reason)),
        None => plain(text),
    }
}

/// A condition, as people write it and as it is read again.
pub(crate) fn condition(condition: &Condition) -> String {
    let point = condition.point.as_deref().map(plain).unwrap_or_default();
    let number = |value: Option<i64>| value.map(show_thousandths).unwrap_or_default();
    match condition.kind.as_str() {
        limit @ ("above" | "below") => {
            let mut text = format!("{point} {limit} {}", number(condition.limit));
            if condition.clear != condition.limit {
                text.push_str(&format!(" clear {}", number(condition.clear)));
            }
            text
        }
        "is" => match condition.value {
            Some(0) => format!("{point} is off"),
            Some(1) => format!("{point} is on"),
            value => format!("{point} is {}", number(value)),
        },
        change @ ("rises" | "falls") => format!(
            "{point} {change} {} within {}",
            number(condition.by),
            when::write_span_s(condition.within_s.unwrap_or(0))
        ),
        "bad" => format!("{point} bad"),
        "silent" => "silent".to_owned(),
        other => format!("{} {point}", plain(other)).trim_end().to_owned(),
    }
}

/// Which controllers a rule is about.
pub(crate) fn scope(scope: &Scope, directory: &Directory) -> String {
    match scope {
        Scope::Everywhere => "everywhere".to_owned(),
        Scope::Site(site) => directory.site_name(*site),
        Scope::Tag(tag) => format!("tag {}", plain(tag)),
        Scope::Controllers(controllers) => {
            let numbers: Vec<_> = controllers.iter().map(ToString::to_string).collect();
            format!("No. {}", numbers.join(", "))
        }
    }
}

/// A rung of a chain in words.
pub(crate) fn rung(rung: &Rung, directory: &Directory) -> String {
    let who = match &rung.whom {
        Whom::OnCall(turn) => format!("Whoever is on call as {}", plain(turn)),
        Whom::Contact(contact) => directory.contact_name(*contact),
    };
    let mut text = match &rung.medium {
        Medium::Call => format!("{who} is called"),
        Medium::Sms | Medium::Email => format!("{who} is sent an {}", medium(&rung.medium)),
        Medium::Push => format!("{who} is sent a {}", medium(&rung.medium)),
        Medium::Webhook | Medium::Other(_) => format!("{who} is told by {}", medium(&rung.medium)),
    };
    if rung.attempts > 1 {
        text.push_str(&format!(
            ", up to {} times, {} apart",
            rung.attempts,
            when::write_span_s(rung.pause_s)
        ));
    }
    match rung.from {
        Severity::Low => {}
        Severity::High => text.push_str(", of high alarms alone"),
        ref other => text.push_str(&format!(", of {} alarms and graver", plain(other.name()))),
    }
    match rung.wait_s {
        0 => text.push_str("; the next at once"),
        wait_s => text.push_str(&format!("; the next after {}", when::write_span_s(wait_s))),
    }
    text
}
