//! What people are told, in their language: spoken, as a short message, as a mail.

use super::{
    model::{Alarm, Severity, Source},
    people::Language,
};
use std::fmt::Write as _;

/// Alarms of a storm that are named one by one; of the others the number is told.
const NAMED_SPOKEN_MAX: usize = 3;
/// The same in a short message.
const NAMED_SHORT_MAX: usize = 2;
/// The same in a mail.
const NAMED_LONG_MAX: usize = 50;
/// The longest short message, in characters: a person reads no more, and it is split into four at most.
const SHORT_CHARS_MAX: usize = 300;

/// What is told of some alarms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wording {
    /// What is spoken.
    pub(crate) spoken: String,
    /// A line that says what it is about.
    pub(crate) subject: String,
    /// A short message, with how to answer it.
    pub(crate) short: String,
    /// The same where nobody reads an answer.
    pub(crate) notice: String,
    /// All of it.
    pub(crate) long: String,
    /// The gravest of them.
    pub(crate) severity: Severity,
    /// It is a test, and nothing is wrong.
    pub(crate) is_test: bool,
    /// The alarms.
    pub(crate) alarms: Vec<Alarm>,
}

/// Words them, the gravest first. `site_name` tells what people call a site.
pub(crate) fn word(
    language: Language,
    alarms: Vec<Alarm>,
    code: u32,
    site_name: impl Fn(u32) -> Option<String>,
) -> Wording {
    let is_test = alarms
        .iter()
        .all(|it| matches!(it.source, Source::Test { .. }));
    let severity = alarms.iter().map(|it| it.severity).max();
    let lines: Vec<_> = alarms
        .iter()
        .map(|alarm| line(language, alarm, &site_name))
        .collect();
    let subject = match (language, is_test, lines.len()) {
        (Language::En, true, _) => "Switchyard: a test, nothing is wrong".to_owned(),
        (Language::Zh, true, _) => "Switchyard：测试，一切正常".to_owned(),
        (_, false, 1) => format!("{}: {}", alarm_word(language), lines[0]),
        (Language::En, false, count) => format!("{count} alarms, the worst: {}", lines[0]),
        (Language::Zh, false, count) => format!("{count} 个报警，最严重的：{}", lines[0]),
    };
    Wording {
        spoken: spoken(language, is_test, &alarms, &lines),
        short: short(language, is_test, &lines, Some(code)),
        notice: short(language, is_test, &lines, None),
        long: long(language, is_test, &lines, code),
        subject,
        severity: severity.unwrap_or_default(),
        is_test,
        alarms,
    }
}

const fn alarm_word(language: Language) -> &'static str {
    match language {
        Language::En => "Alarm",
        Language::Zh => "报警",
    }
}

/// One alarm: where, what, and the value.
fn line(language: Language, alarm: &Alarm, site_name: &impl Fn(u32) -> Option<String>) -> String {
    let mut line = String::new();
    if let Some(title) = &alarm.controller_title {
        let site = alarm.site.and_then(site_name);
        // Where its name says which site it is in, that is enough.
        match site.filter(|site| !title.contains(site.as_str())) {
            Some(site) => line.push_str(&format!("{site}, {title}: ")),
            None => line.push_str(&format!("{title}: ")),
        }
    }
    line.push_str(&alarm.text);
    if let Some(value) = &alarm.value {
        // Writing to a string does not fail.
        let _ = write!(line, " ({value})");
    }
    if !alarm.is_standing {
        line.push_str(match language {
            Language::En => " – over by now",
            Language::Zh => "（已恢复）",
        });
    }
    line
}

fn spoken(language: Language, is_test: bool, alarms: &[Alarm], lines: &[String]) -> String {
    let count = lines.len();
    let named = &lines[..count.min(NAMED_SPOKEN_MAX)];
    let rest = count - named.len();
    let sites = {
        let mut sites: Vec<_> = alarms.iter().map(|it| it.site).collect();
        sites.sort_unstable();
        sites.dedup();
        sites.len()
    };
    let named = named.join(". ");
    match (language, is_test) {
        (Language::En, true) => "This is a test call of Switchyard. Nothing is wrong.".into(),
        (Language::Zh, true) => "这是 Switchyard 的测试电话。一切正常。".into(),
        (Language::En, false) => {
            let mut text = match count {
                1 => format!("Alarm. {named}."),
                _ => format!("{count} alarms. The worst: {named}."),
            };
            if rest > 0 {
                text.push_str(&format!(" And {rest} more"));
                if sites > 1 {
                    text.push_str(&format!(" at {sites} sites"));
                }
                text.push('.');
            }
            text
        }
        (Language::Zh, false) => {
            let mut text = match count {
                1 => format!("报警。{named}。"),
                _ => format!("{count} 个报警。最严重的：{named}。"),
            };
            if rest > 0 {
                text.push_str(&format!("还有 {rest} 个。"));
            }
            text
        }
    }
}

/// A code is that of answers, where they are read.
fn short(language: Language, is_test: bool, lines: &[String], code: Option<u32>) -> String {
    let answer = code.map(|code| match language {
        Language::En => format!("\nReply {code} 1 = heard, 2 = next person, 3 = mute 1 h"),
        Language::Zh => format!("\n回复 {code} 1=已知晓 2=转下一人 3=静音1小时"),
    });
    let answer = answer.unwrap_or_default();
    let what = match (language, is_test) {
        (Language::En, true) => "Switchyard: a test, nothing is wrong".to_owned(),
        (Language::Zh, true) => "Switchyard：测试，一切正常".to_owned(),
        _ => {
            let mut what = match lines.len() {
                1 => format!("{}: ", alarm_word(language)),
                count => match language {
                    Language::En => format!("{count} alarms: "),
                    Language::Zh => format!("{count} 个报警："),
                },
            };
            let named = &lines[..lines.len().min(NAMED_SHORT_MAX)];
            what.push_str(&named.join("; "));
            if lines.len() > named.len() {
                what.push_str(" …");
            }
            what
        }
    };
    // The way to answer is never what is cut off.
    let room = SHORT_CHARS_MAX.saturating_sub(answer.chars().count() + 1);
    let what = match what.chars().count() > room {
        true => what
            .chars()
            .take(room.saturating_sub(1))
            .chain(['…'])
            .collect(),
        false => what,
    };
    what + &answer
}

fn long(language: Language, is_test: bool, lines: &[String], code: u32) -> String {
    let mut text = String::new();
    match (language, is_test) {
        (Language::En, true) => text.push_str("This is a test. Nothing is wrong.\n"),
        (Language::Zh, true) => text.push_str("这是测试。一切正常。\n"),
        _ => {
            for line in lines.iter().take(NAMED_LONG_MAX) {
                text.push_str(&format!("- {line}\n"));
            }
            if lines.len() > NAMED_LONG_MAX {
                let rest = lines.len() - NAMED_LONG_MAX;
                text.push_str(&match language {
                    Language::En => format!("… and {rest} more\n"),
                    Language::Zh => format!("……还有 {rest} 个\n"),
                });
            }
        }
    }
    text.push_str(&match language {
        Language::En => {
            format!("\nCode {code}. A mail does not say that you heard: do so on the page.\n")
        }
        Language::Zh => format!("\n编号 {code}。收到邮件不等于确认：请在网页上确认。\n"),
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alarm::model::AlarmId;

    fn alarm(number: u64, text: &str) -> Alarm {
        serde_json::from_value(serde_json::json!({
            "id": AlarmId(number),
            "source": { "kind": "script", "controller": 3, "alarm": 0 },
            "severity": "high", "text": text, "controller": 3, "controller_title": "Pump house",
            "site": 7, "value": "81.5", "raised_ms": 1, "since_ms": 1, "is_standing": true,
            "cleared_ms": null, "times": 1, "acknowledged": null, "shelved": null, "part_of": null,
            "pursuit": null,
        }))
        .unwrap()
    }

    fn of(language: Language, count: u64) -> Wording {
        let alarms = (0..count).map(|it| alarm(it, &format!("High water {it}")));
        word(language, alarms.collect(), 4_711, |_| Some("North".into()))
    }

    #[test]
    fn one_is_told_as_it_is() {
        let one = of(Language::En, 1);
        assert_eq!(one.spoken, "Alarm. North, Pump house: High water 0 (81.5).");
        assert_eq!(one.subject, "Alarm: North, Pump house: High water 0 (81.5)");
        assert_eq!(
            one.short,
            "Alarm: North, Pump house: High water 0 (81.5)\nReply 4711 1 = heard, 2 = next person, 3 = mute 1 h"
        );
        assert_eq!(
            one.notice, "Alarm: North, Pump house: High water 0 (81.5)",
            "no promise that an answer is read"
        );
        let chinese = of(Language::Zh, 1);
        assert_eq!(
            chinese.spoken,
            "报警。North, Pump house: High water 0 (81.5)。"
        );
    }

    #[test]
    fn of_many_the_worst_are_named() {
        let many = of(Language::En, 500);
        assert!(
            many.spoken
                .starts_with("500 alarms. The worst: North, Pump house: High water 0")
        );
        assert!(many.spoken.ends_with("And 497 more."), "{}", many.spoken);
        assert!(many.short.chars().count() <= SHORT_CHARS_MAX);
        assert!(many.long.contains("… and 450 more"));
    }

    #[test]
    fn a_short_message_keeps_its_way_to_answer() {
        let text = "x".repeat(200);
        let wording = word(
            Language::En,
            vec![alarm(1, &text), alarm(2, &text)],
            9_999,
            |_| None,
        );
        assert_eq!(wording.short.chars().count(), SHORT_CHARS_MAX - 1);
        assert!(wording.short.ends_with("3 = mute 1 h"));
    }

    #[test]
    fn what_is_over_is_said_so() {
        let mut alarm = alarm(1, "High water");
        alarm.is_standing = false;
        let wording = word(Language::En, vec![alarm], 1_000, |_| None);
        assert_eq!(
            wording.spoken,
            "Alarm. Pump house: High water (81.5) – over by now."
        );
    }

    #[test]
    fn a_test_says_that_it_is_one() {
        let mut test = alarm(1, "x");
        test.source = Source::Test {
            contact: crate::alarm::people::ContactId(1),
            medium: crate::alarm::model::Medium::Call,
        };
        let wording = word(Language::En, vec![test], 1_000, |_| None);
        assert!(wording.is_test);
        assert!(wording.spoken.contains("Nothing is wrong"));
    }
}
