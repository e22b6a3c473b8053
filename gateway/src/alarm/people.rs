//! Contacts: who may be told of alarms, how, and when not.

use super::model::{Medium, Severity};
use jiff::{Timestamp, civil::Weekday, tz::TimeZone};
use serde::{Deserialize, Serialize};
use std::fmt;
use switchyard_telephone::Number;

/// A contact's number; none is given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ContactId(pub u32);

impl fmt::Display for ContactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The longest name of a contact, rule or zone, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// The longest address of any medium, in bytes.
pub const ADDRESS_BYTES_MAX: usize = 254;
/// Minutes of a day.
const DAY_MINUTES: u16 = 24 * 60;
/// Calls to one contact in an hour, unless another number is set.
pub const CALLS_PER_HOUR_DEFAULT: u8 = 12;
/// The most that may be set: more is no help to anybody.
pub const CALLS_PER_HOUR_MAX: u8 = 60;
/// Quiet times of one contact.
pub const QUIET_MAX: usize = 14;

/// The language that a contact is told in.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Chinese.
    Zh,
}

/// A span of the week in which a contact is not to be woken: from a time of some days to a time of day, which is on the
/// next day where it is not later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Quiet {
    /// The days on which it begins: 1 Monday to 7 Sunday.
    #[schema(schema_with = super::shape::days)]
    pub days: Vec<u8>,
    /// When it begins, in minutes after midnight.
    #[schema(maximum = 1439)]
    pub from_minute: u16,
    /// When it ends, in minutes after midnight.
    #[schema(maximum = 1439)]
    pub to_minute: u16,
}

/// When a contact is told that all is well, to see whether they can be told: once a week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Weekly {
    /// 1 Monday to 7 Sunday.
    #[schema(minimum = 1, maximum = 7)]
    pub day: u8,
    /// Minutes after midnight.
    #[schema(maximum = 1439)]
    pub minute: u16,
}

/// A contact, as people write it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    /// What people call them.
    pub name: String,
    /// The language that they are told in.
    #[serde(default)]
    pub language: Language,
    /// The zone of their times, such as `Europe/Berlin`.
    #[serde(default = "utc")]
    pub zone: String,
    /// Their telephone, for calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub telephone: Option<String>,
    /// Their telephone for short messages, where it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sms: Option<String>,
    /// Their e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The topic that their telephone listens to, for push messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push_topic: Option<String>,
    /// A URL of a program of theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_url: Option<String>,
    /// When they are not to be woken.
    #[serde(default)]
    pub quiet: Vec<Quiet>,
    /// The lowest severity that wakes them all the same.
    #[serde(default = "high")]
    pub wakes_from: Severity,
    /// Calls to them in an hour at most.
    #[schema(minimum = 1, maximum = 60)]
    #[serde(default = "calls_per_hour")]
    pub calls_per_hour_max: u8,
    /// When they are told that all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weekly_test: Option<Weekly>,
    /// The account that they log in with, where they have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
}

fn utc() -> String {
    "UTC".into()
}

const fn high() -> Severity {
    Severity::High
}

const fn calls_per_hour() -> u8 {
    CALLS_PER_HOUR_DEFAULT
}

/// What is wrong with what somebody wrote of contacts, plans or rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} as {field}")]
pub struct Invalid {
    /// Which field.
    pub field: &'static str,
    /// What it should be.
    pub expected: String,
}

/// Refuses a field.
pub(crate) fn invalid<T>(field: &'static str, expected: impl Into<String>) -> Result<T, Invalid> {
    Err(Invalid {
        field,
        expected: expected.into(),
    })
}

/// Whether a name may be one: not empty, not long, one line, no white space around it.
pub(crate) fn check_name(field: &'static str, name: &str) -> Result<(), Invalid> {
    let is_good = !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && name.trim() == name
        && !name.chars().any(char::is_control);
    match is_good {
        true => Ok(()),
        false => invalid(
            field,
            format!("1 to {NAME_BYTES_MAX} bytes on one line, without white space around them"),
        ),
    }
}

/// The zone of a name.
pub(crate) fn zone(name: &str) -> Result<TimeZone, Invalid> {
    let known = match name {
        "UTC" => Some(TimeZone::UTC),
        name if name.len() > NAME_BYTES_MAX => None,
        name => TimeZone::get(name).ok(),
    };
    known.ok_or(Invalid {
        field: "zone",
        expected: "a time zone such as Europe/Berlin, which this machine knows".into(),
    })
}

/// Whether a time of the week may be one.
pub(crate) fn check_weekly(field: &'static str, weekly: &Weekly) -> Result<(), Invalid> {
    match (1..=7).contains(&weekly.day) && weekly.minute < DAY_MINUTES {
        true => Ok(()),
        false => invalid(field, "day 1 to 7 and minute 0 to 1439"),
    }
}

impl Contact {
    /// Looks whether it can be one.
    ///
    /// # Errors
    /// Names the first field that cannot, and what it should be.
    pub fn check(&self) -> Result<(), Invalid> {
        check_name("name", &self.name)?;
        zone(&self.zone)?;
        for (field, number) in [("telephone", &self.telephone), ("sms", &self.sms)] {
            if let Some(number) = number
                && let Err(error) = number.parse::<Number>()
            {
                return invalid(field, format!("a telephone number ({error})"));
            }
        }
        if let Some(email) = &self.email {
            let is_good = email.len() <= ADDRESS_BYTES_MAX
                && email
                    .split_once('@')
                    .is_some_and(|(who, whose)| !who.is_empty() && !whose.is_empty())
                && !email
                    .chars()
                    .any(|it| it.is_whitespace() || it.is_control());
            if !is_good {
                return invalid("email", "an e-mail address, such as li@example.org");
            }
        }
        if let Some(topic) = &self.push_topic {
            let is_good = (1..=64).contains(&topic.len())
                && topic
                    .bytes()
                    .all(|it| it.is_ascii_alphanumeric() || it == b'_' || it == b'-');
            if !is_good {
                return invalid("push_topic", "1 to 64 letters, digits, _ and -");
            }
        }
        if let Some(url) = &self.webhook_url {
            let is_good = (url.starts_with("https://") || url.starts_with("http://"))
                && url.len() <= 1_024
                && !url.chars().any(|it| it.is_whitespace() || it.is_control());
            if !is_good {
                return invalid("webhook_url", "an http or https URL of at most 1,024 bytes");
            }
        }
        if self.quiet.len() > QUIET_MAX {
            return invalid("quiet", format!("at most {QUIET_MAX} spans"));
        }
        for quiet in &self.quiet {
            let is_good = !quiet.days.is_empty()
                && quiet.days.len() <= 7
                && quiet.days.iter().all(|day| (1..=7).contains(day))
                && quiet.from_minute < DAY_MINUTES
                && quiet.to_minute < DAY_MINUTES;
            if !is_good {
                return invalid("quiet", "days 1 to 7 and minutes 0 to 1439");
            }
        }
        if !(1..=CALLS_PER_HOUR_MAX).contains(&self.calls_per_hour_max) {
            return invalid("calls_per_hour_max", format!("1 to {CALLS_PER_HOUR_MAX}"));
        }
        if let Some(weekly) = &self.weekly_test {
            check_weekly("weekly_test", weekly)?;
        }
        if let Some(account) = &self.account {
            check_name("account", account)?;
        }
        Ok(())
    }

    /// Where they are told by a medium, if they can be.
    #[must_use]
    pub fn destination(&self, medium: Medium) -> Option<&str> {
        match medium {
            Medium::Call => self.telephone.as_deref(),
            Medium::Sms => self.sms.as_deref().or(self.telephone.as_deref()),
            Medium::Email => self.email.as_deref(),
            Medium::Push => self.push_topic.as_deref(),
            Medium::Webhook => self.webhook_url.as_deref(),
        }
    }

    /// When a medium may reach them again for an alarm of that severity: `None` when it may now. In milliseconds.
    #[must_use]
    pub fn quiet_until(&self, now_ms: u64, medium: Medium, severity: Severity) -> Option<u64> {
        if !medium.rings() || severity >= self.wakes_from {
            return None;
        }
        let zone = zone(&self.zone).unwrap_or(TimeZone::UTC);
        self.quiet
            .iter()
            .filter_map(|quiet| quiet.end_if_within(now_ms, &zone))
            .max()
    }

    /// When they are next told that all is well, after a moment.
    #[must_use]
    pub fn next_test(&self, after_ms: u64) -> Option<u64> {
        let zone = zone(&self.zone).unwrap_or(TimeZone::UTC);
        self.weekly_test.map(|weekly| weekly.next(after_ms, &zone))
    }
}

impl Quiet {
    /// When it ends, where it is so at a moment.
    fn end_if_within(&self, now_ms: u64, zone: &TimeZone) -> Option<u64> {
        let now = at(now_ms, zone)?;
        // One that began yesterday may go on today.
        for days_ago in [0, 1] {
            let date = now
                .date()
                .checked_sub(jiff::Span::new().days(days_ago))
                .ok()?;
            if !self.days.contains(&number_of(date.weekday())) {
                continue;
            }
            let begin = moment(date, self.from_minute, zone)?;
            let end_date = match self.to_minute > self.from_minute {
                true => date,
                false => date.tomorrow().ok()?,
            };
            let end = moment(end_date, self.to_minute, zone)?;
            if (begin..end).contains(&now_ms) {
                return Some(end);
            }
        }
        None
    }
}

impl Weekly {
    /// The first such moment after another one, in milliseconds.
    pub(crate) fn next(self, after_ms: u64, zone: &TimeZone) -> u64 {
        let next = at(after_ms, zone).and_then(|now| {
            (0..=7).find_map(|days| {
                let date = now.date().checked_add(jiff::Span::new().days(days)).ok()?;
                let is_day = number_of(date.weekday()) == self.day;
                let moment = moment(date, self.minute, zone)?;
                (is_day && moment > after_ms).then_some(moment)
            })
        });
        next.unwrap_or(u64::MAX)
    }
}

/// A moment as it is in a zone.
pub(crate) fn at(time_ms: u64, zone: &TimeZone) -> Option<jiff::Zoned> {
    let timestamp = Timestamp::from_millisecond(i64::try_from(time_ms).ok()?).ok()?;
    Some(timestamp.to_zoned(zone.clone()))
}

/// The moment of a date and a minute of its day, in milliseconds; where the clock is put forward over it, the moment
/// after.
pub(crate) fn moment(date: jiff::civil::Date, minute: u16, zone: &TimeZone) -> Option<u64> {
    let (hour, minute) = (
        i8::try_from(minute / 60).ok()?,
        i8::try_from(minute % 60).ok()?,
    );
    let zoned = date.at(hour, minute, 0, 0).to_zoned(zone.clone()).ok()?;
    u64::try_from(zoned.timestamp().as_millisecond()).ok()
}

/// 1 Monday to 7 Sunday.
pub(crate) fn number_of(day: Weekday) -> u8 {
    u8::try_from(day.to_monday_one_offset()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> u64 {
        let zoned: Timestamp = text.parse().unwrap();
        u64::try_from(zoned.as_millisecond()).unwrap()
    }

    pub(crate) fn contact() -> Contact {
        serde_json::from_str(r#"{"name": "Li"}"#).unwrap()
    }

    #[test]
    fn what_is_left_out_is_sensible() {
        let li = contact();
        li.check().unwrap();
        assert_eq!((li.wakes_from, li.language), (Severity::High, Language::En));
        assert_eq!(li.destination(Medium::Call), None);
    }

    #[test]
    fn each_field_is_looked_at() {
        for (field, value, expected) in [
            ("name", r#"" Li""#, "name"),
            ("name", r#""""#, "name"),
            ("zone", r#""Berlin""#, "zone"),
            ("telephone", r#""call me""#, "telephone"),
            ("sms", r#""""#, "sms"),
            ("email", r#""li""#, "email"),
            ("email", r#""li@ho me""#, "email"),
            ("push_topic", r#""a/b""#, "push_topic"),
            ("webhook_url", r#""ftp://x""#, "webhook_url"),
            ("calls_per_hour_max", "0", "calls_per_hour_max"),
            ("weekly_test", r#"{"day": 8, "minute": 0}"#, "weekly_test"),
            (
                "quiet",
                r#"[{"days": [], "from_minute": 0, "to_minute": 1}]"#,
                "quiet",
            ),
        ] {
            let mut json = serde_json::to_value(contact()).unwrap();
            json[field] = serde_json::from_str(value).unwrap();
            let contact: Contact = serde_json::from_value(json).unwrap();
            assert_eq!(contact.check().unwrap_err().field, expected, "{value}");
        }
    }

    #[test]
    fn a_message_goes_to_the_telephone_unless_another_is_given() {
        let mut li = contact();
        li.telephone = Some("+4930 1".into());
        assert_eq!(li.destination(Medium::Sms), Some("+4930 1"));
        li.sms = Some("+4917 2".into());
        assert_eq!(li.destination(Medium::Sms), Some("+4917 2"));
        assert_eq!(li.destination(Medium::Call), Some("+4930 1"));
    }

    #[test]
    fn nights_are_quiet_also_past_midnight_and_not_for_what_is_grave() {
        let mut li = contact();
        li.zone = "Europe/Berlin".into();
        // On Friday evening until Saturday morning.
        li.quiet = vec![Quiet {
            days: vec![5],
            from_minute: 22 * 60,
            to_minute: 7 * 60,
        }];
        let until = |at, severity| li.quiet_until(ms(at), Medium::Call, severity);
        let end = Some(ms("2026-11-28T06:00:00Z"));
        assert_eq!(until("2026-11-27T20:59:59Z", Severity::Medium), None);
        assert_eq!(until("2026-11-27T21:00:00Z", Severity::Medium), end);
        assert_eq!(until("2026-11-28T05:59:59Z", Severity::Medium), end);
        assert_eq!(until("2026-11-28T06:00:00Z", Severity::Medium), None);
        assert_eq!(until("2026-11-28T01:00:00Z", Severity::High), None);
        // The night after is another day's.
        assert_eq!(until("2026-11-28T22:00:00Z", Severity::Low), None);
        let mail = li.quiet_until(ms("2026-11-28T01:00:00Z"), Medium::Email, Severity::Low);
        assert_eq!(mail, None, "mail wakes nobody");
    }

    #[test]
    fn a_weekly_test_comes_each_week_also_over_a_change_of_the_clock() {
        let mut li = contact();
        li.zone = "Europe/Berlin".into();
        li.weekly_test = Some(Weekly {
            day: 1,
            minute: 600,
        });
        let first = li.next_test(ms("2026-10-20T00:00:00Z")).unwrap();
        assert_eq!(
            first,
            ms("2026-10-26T09:00:00Z"),
            "the clock was put back on the 25th"
        );
        let second = li.next_test(first).unwrap();
        assert_eq!(second, ms("2026-11-02T09:00:00Z"));
        assert_eq!(li.next_test(first - 1), Some(first));
        assert_eq!(contact().next_test(0), None);
    }
}
