//! Who is on call at a site, and who is told after whom.

use super::{
    model::{Medium, Severity},
    people::{ContactId, Invalid, Weekly, at, check_name, check_weekly, invalid, zone},
    shape::TIME_MS_MAX,
};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// Rungs of a chain.
pub const RUNGS_MAX: usize = 32;
/// Turns of a rota: the first, who stands in for the first, and so on.
pub const TURNS_MAX: usize = 8;
/// People who take a turn by and by.
pub const PEOPLE_MAX: usize = 32;
/// Exceptions of a rota that are kept.
pub const OVERRIDES_MAX: usize = 256;
/// The longest wait at a rung, in seconds: a day.
pub const WAIT_S_MAX: u32 = 24 * 60 * 60;
/// The longest shift, in days.
pub const SHIFT_DAYS_MAX: u16 = 366;
/// The most attempts at a rung.
pub const ATTEMPTS_MAX: u8 = 10;

/// Whom a rung means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whom {
    /// Whoever has this turn of the rota, by its name.
    OnCall(String),
    /// Always the same one.
    Contact(ContactId),
}

/// One rung of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rung {
    /// Whom it means.
    pub whom: Whom,
    /// By what they are told.
    pub medium: Medium,
    /// The lowest severity that comes here; what is less passes over it.
    #[serde(default = "low")]
    pub from: Severity,
    /// How long to wait after they were told for one of them to say that they heard, in seconds.
    #[schema(maximum = 86400)]
    pub wait_s: u32,
    /// How often they are tried when they are not reached.
    #[schema(minimum = 1, maximum = 10)]
    #[serde(default = "one")]
    pub attempts: u8,
    /// How long to wait between those attempts, in seconds.
    #[schema(maximum = 86400)]
    #[serde(default = "pause")]
    pub pause_s: u32,
}

const fn low() -> Severity {
    Severity::Low
}

const fn one() -> u8 {
    1
}

const fn pause() -> u32 {
    60
}

/// A turn that people take by and by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Turn {
    /// Its name, such as `first` or `deputy`.
    pub name: String,
    /// Who takes it, one after the other.
    pub people: Vec<ContactId>,
    /// How many days each has it.
    #[schema(minimum = 1, maximum = 366)]
    pub shift_days: u16,
    /// When it is handed over: the day matters for shifts of whole weeks only, and tells the first one of all.
    pub hand_over: Weekly,
    /// The first of the people had it from the hand-over on or before this moment; milliseconds of gateway time.
    #[schema(maximum = 9_007_199_254_740_991u64)]
    pub starts_ms: u64,
}

/// Somebody else has a turn for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// The name of the turn.
    pub turn: String,
    /// Who has it.
    pub contact: ContactId,
    /// From when, in milliseconds of gateway time.
    #[schema(maximum = 9_007_199_254_740_991u64)]
    pub from_ms: u64,
    /// Until when, in milliseconds of gateway time.
    #[schema(maximum = 9_007_199_254_740_991u64)]
    pub until_ms: u64,
}

/// What a site has agreed on. A site without one follows that of all sites.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Who is told after whom.
    pub chain: Vec<Rung>,
    /// How long to wait before the chain begins anew when nobody has said that they heard, in seconds.
    #[schema(minimum = 60, maximum = 86400)]
    #[serde(default = "again")]
    pub again_s: u32,
    /// The lowest severity of which somebody has to hear even when it is over.
    #[serde(default)]
    pub heard_from: HeardFrom,
    /// The zone of hand-overs.
    #[serde(default = "utc")]
    pub zone: String,
    /// Turns that people take.
    #[serde(default)]
    pub rota: Vec<Turn>,
    /// When somebody else has a turn.
    #[serde(default)]
    pub overrides: Vec<Override>,
}

const fn again() -> u32 {
    15 * 60
}

fn utc() -> String {
    "UTC".into()
}

/// Of what somebody has to hear even when it is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HeardFrom {
    /// Of everything.
    Low,
    /// Of what is at least medium.
    Medium,
    /// Of what is high.
    #[default]
    High,
    /// Of nothing: what is over is over.
    Never,
}

impl HeardFrom {
    /// Whether somebody has to hear of one of that severity.
    #[must_use]
    pub const fn covers(self, severity: Severity) -> bool {
        match self {
            HeardFrom::Low => true,
            HeardFrom::Medium => !matches!(severity, Severity::Low),
            HeardFrom::High => matches!(severity, Severity::High),
            HeardFrom::Never => false,
        }
    }
}

/// Who has a turn, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnCall {
    /// Who.
    pub contact: ContactId,
    /// Until when, in milliseconds of gateway time.
    pub until_ms: u64,
    /// It is an exception.
    pub is_override: bool,
}

impl Plan {
    /// Looks whether it can be one; `is_known` tells which contacts there are.
    ///
    /// # Errors
    /// Names the first field that cannot, and what it should be.
    pub fn check(&self, is_known: impl Fn(ContactId) -> bool) -> Result<(), Invalid> {
        zone(&self.zone)?;
        if self.chain.len() > RUNGS_MAX {
            return invalid("chain", format!("at most {RUNGS_MAX} rungs"));
        }
        if !(60..=WAIT_S_MAX).contains(&self.again_s) {
            return invalid("again_s", format!("60 to {WAIT_S_MAX} seconds"));
        }
        let known = |field, contact| match is_known(contact) {
            true => Ok(()),
            false => invalid(field, format!("contacts that there are (not {contact})")),
        };
        if self.rota.len() > TURNS_MAX {
            return invalid("rota", format!("at most {TURNS_MAX} turns"));
        }
        for (place, turn) in self.rota.iter().enumerate() {
            check_name("rota.name", &turn.name)?;
            if self.rota[..place].iter().any(|it| it.name == turn.name) {
                return invalid("rota.name", "each name once");
            }
            if !(1..=PEOPLE_MAX).contains(&turn.people.len()) {
                return invalid("rota.people", format!("1 to {PEOPLE_MAX} contacts"));
            }
            for contact in &turn.people {
                known("rota.people", *contact)?;
            }
            if !(1..=SHIFT_DAYS_MAX).contains(&turn.shift_days) {
                return invalid("rota.shift_days", format!("1 to {SHIFT_DAYS_MAX}"));
            }
            check_weekly("rota.hand_over", &turn.hand_over)?;
            if turn.starts_ms > TIME_MS_MAX {
                return invalid("rota.starts_ms", "milliseconds since 1970");
            }
        }
        let is_turn = |name: &str| self.rota.iter().any(|turn| turn.name == name);
        for rung in &self.chain {
            match &rung.whom {
                Whom::OnCall(turn) if !is_turn(turn) => {
                    return invalid("chain.whom", "a turn of the rota, by its name");
                }
                Whom::OnCall(_) => {}
                Whom::Contact(contact) => known("chain.whom", *contact)?,
            }
            if rung.wait_s > WAIT_S_MAX || rung.pause_s > WAIT_S_MAX {
                return invalid("chain.wait_s", format!("at most {WAIT_S_MAX} seconds"));
            }
            if !(1..=ATTEMPTS_MAX).contains(&rung.attempts) {
                return invalid("chain.attempts", format!("1 to {ATTEMPTS_MAX}"));
            }
        }
        if self.overrides.len() > OVERRIDES_MAX {
            return invalid("overrides", format!("at most {OVERRIDES_MAX}"));
        }
        for exception in &self.overrides {
            if !is_turn(&exception.turn) {
                return invalid("overrides.turn", "a turn of the rota, by its name");
            }
            known("overrides.contact", exception.contact)?;
            if exception.from_ms >= exception.until_ms || exception.until_ms > TIME_MS_MAX {
                return invalid(
                    "overrides.until_ms",
                    "milliseconds since 1970, after from_ms",
                );
            }
        }
        Ok(())
    }

    /// Every contact that it names.
    pub fn contacts(&self) -> impl Iterator<Item = ContactId> + '_ {
        let rungs = self.chain.iter().filter_map(|rung| match rung.whom {
            Whom::Contact(contact) => Some(contact),
            Whom::OnCall(_) => None,
        });
        let turns = self
            .rota
            .iter()
            .flat_map(|turn| turn.people.iter().copied());
        rungs
            .chain(turns)
            .chain(self.overrides.iter().map(|it| it.contact))
    }

    /// Who has a turn at a moment, and until when.
    #[must_use]
    pub fn on_call(&self, turn: &str, now_ms: u64) -> Option<OnCall> {
        let turn = self.rota.iter().find(|it| it.name == turn)?;
        // The one that was written last counts.
        let exceptions = || {
            self.overrides
                .iter()
                .rev()
                .filter(|it| it.turn == turn.name)
        };
        if let Some(exception) = exceptions().find(|it| (it.from_ms..it.until_ms).contains(&now_ms))
        {
            return Some(OnCall {
                contact: exception.contact,
                until_ms: exception.until_ms,
                is_override: true,
            });
        }
        let zone = zone(&self.zone).unwrap_or(TimeZone::UTC);
        let (contact, until_ms) = turn.of_shift(now_ms, &zone)?;
        let next = exceptions().map(|it| it.from_ms).filter(|&it| it > now_ms);
        Some(OnCall {
            contact,
            until_ms: next.fold(until_ms, u64::min),
            is_override: false,
        })
    }

    /// Whom a rung means at a moment.
    #[must_use]
    pub fn whom(&self, rung: &Rung, now_ms: u64) -> Option<ContactId> {
        match &rung.whom {
            Whom::Contact(contact) => Some(*contact),
            Whom::OnCall(turn) => self.on_call(turn, now_ms).map(|it| it.contact),
        }
    }
}

impl Turn {
    /// Whose shift a moment is in, and when that ends. Days are those of the calendar, so a shift is an hour longer or
    /// shorter when the clock is changed, and is handed over at the same time of day.
    fn of_shift(&self, now_ms: u64, zone: &TimeZone) -> Option<(ContactId, u64)> {
        let week_ms = 7 * 24 * 60 * 60 * 1_000;
        // The hand-over at or before its start: the last one that is not after it.
        let first_ms = {
            let mut after = self.starts_ms.saturating_sub(week_ms + 1);
            loop {
                let next = self.hand_over.next(after, zone);
                if next > self.starts_ms {
                    break after;
                }
                after = next;
            }
        };
        let first = at(first_ms, zone)?;
        let now = at(now_ms, zone)?;
        let minute = self.hand_over.minute;
        let days = first.date().until(now.date()).ok()?.get_days();
        let shift_days = i32::from(self.shift_days);
        let mut shift = days.div_euclid(shift_days);
        // Before the hand-over's time of day it is still the shift of the day before.
        let begin = |shift: i32| {
            let span = jiff::Span::new().days(i64::from(shift) * i64::from(shift_days));
            let date = first.date().checked_add(span).ok()?;
            super::people::moment(date, minute, zone)
        };
        if now_ms < begin(shift)? {
            shift -= 1;
        }
        let people = i32::try_from(self.people.len()).ok()?;
        let place = usize::try_from(shift.rem_euclid(people)).ok()?;
        Some((*self.people.get(place)?, begin(shift + 1)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> u64 {
        let timestamp: jiff::Timestamp = text.parse().unwrap();
        u64::try_from(timestamp.as_millisecond()).unwrap()
    }

    fn weekly() -> Plan {
        Plan {
            zone: "Europe/Berlin".into(),
            again_s: 900,
            rota: vec![Turn {
                name: "first".into(),
                people: vec![ContactId(1), ContactId(2), ContactId(3)],
                shift_days: 7,
                hand_over: Weekly {
                    day: 1,
                    minute: 540,
                },
                starts_ms: ms("2026-10-20T12:00:00Z"),
            }],
            ..Plan::default()
        }
    }

    fn who(plan: &Plan, at: &str) -> (u32, u64) {
        let on_call = plan.on_call("first", ms(at)).unwrap();
        (on_call.contact.0, on_call.until_ms)
    }

    #[test]
    fn people_take_their_turns_at_the_same_time_of_day() {
        let plan = weekly();
        plan.check(|_| true).unwrap();
        // Monday 19 October 9:00 summer time to Monday 26 October 9:00 winter time.
        let first_end = ms("2026-10-26T08:00:00Z");
        assert_eq!(who(&plan, "2026-10-20T12:00:00Z"), (1, first_end));
        assert_eq!(who(&plan, "2026-10-26T07:59:59Z"), (1, first_end));
        let second_end = ms("2026-11-02T08:00:00Z");
        assert_eq!(who(&plan, "2026-10-26T08:00:00Z"), (2, second_end));
        assert_eq!(who(&plan, "2026-11-02T08:00:00Z").0, 3);
        assert_eq!(who(&plan, "2026-11-09T08:00:00Z").0, 1);
        // Before it all began it was somebody's turn, too.
        assert_eq!(who(&plan, "2026-10-19T06:59:59Z").0, 3);
        assert_eq!(plan.on_call("second", 0), None);
    }

    #[test]
    fn days_are_shifts_too() {
        let mut plan = weekly();
        plan.rota[0].shift_days = 1;
        let end = ms("2026-10-21T07:00:00Z");
        // The hand-over before its start was that of Monday.
        assert_eq!(who(&plan, "2026-10-20T12:00:00Z"), (2, end));
        assert_eq!(who(&plan, "2026-10-21T07:00:00Z").0, 3);
        assert_eq!(who(&plan, "2026-10-22T06:59:59Z").0, 3);
    }

    #[test]
    fn an_exception_counts_and_the_last_one_most() {
        let mut plan = weekly();
        let exception = |contact, from: &str, until: &str| Override {
            turn: "first".into(),
            contact: ContactId(contact),
            from_ms: ms(from),
            until_ms: ms(until),
        };
        plan.overrides = vec![
            exception(3, "2026-10-22T00:00:00Z", "2026-10-24T00:00:00Z"),
            exception(9, "2026-10-23T00:00:00Z", "2026-10-23T12:00:00Z"),
        ];
        assert_eq!(
            who(&plan, "2026-10-21T00:00:00Z"),
            (1, ms("2026-10-22T00:00:00Z")),
            "until the exception"
        );
        assert_eq!(who(&plan, "2026-10-22T00:00:00Z").0, 3);
        assert_eq!(who(&plan, "2026-10-23T00:00:00Z").0, 9);
        assert_eq!(who(&plan, "2026-10-23T12:00:00Z").0, 3);
        assert_eq!(who(&plan, "2026-10-24T00:00:00Z").0, 1);
    }

    #[test]
    fn each_field_is_looked_at() {
        let rung = || Rung {
            whom: Whom::OnCall("first".into()),
            medium: Medium::Call,
            from: Severity::Low,
            wait_s: 300,
            attempts: 1,
            pause_s: 60,
        };
        type Spoil = fn(&mut Plan);
        let faults: [(&str, Spoil); 9] = [
            ("zone", |it| it.zone = "nowhere".into()),
            ("again_s", |it| it.again_s = 1),
            ("chain.whom", |it| {
                it.chain[0].whom = Whom::OnCall("x".into());
            }),
            ("chain.whom", |it| {
                it.chain[0].whom = Whom::Contact(ContactId(99));
            }),
            ("chain.attempts", |it| it.chain[0].attempts = 0),
            ("chain.wait_s", |it| it.chain[0].wait_s = u32::MAX),
            ("rota.people", |it| it.rota[0].people.clear()),
            ("rota.name", |it| it.rota.push(it.rota[0].clone())),
            ("rota.shift_days", |it| it.rota[0].shift_days = 0),
        ];
        for (field, spoil) in faults {
            let mut plan = weekly();
            plan.chain = vec![rung()];
            plan.check(|it| it.0 < 99).unwrap();
            spoil(&mut plan);
            let fault = plan.check(|it| it.0 < 99).unwrap_err();
            assert_eq!(fault.field, field);
        }
    }
}
