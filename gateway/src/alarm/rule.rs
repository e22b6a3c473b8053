//! Rules: what raises an alarm without a script, and the judge that looks whether it is so.

use super::{
    model::Severity,
    people::{Invalid, check_name, invalid},
};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use switchyard_protocol::{limits, message::Name};

/// A rule's number; none is given twice.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
pub struct RuleId(pub u32);

/// Controllers that one rule names.
pub const CONTROLLERS_MAX: usize = 1_000;
/// The longest text of an alarm, in bytes: it is spoken.
pub const TEXT_BYTES_MAX: usize = 200;
/// The longest delay, in seconds: a day.
pub const DELAY_S_MAX: u32 = 24 * 60 * 60;
/// The longest time over which a change is looked at, in seconds.
pub const WINDOW_S_MAX: u32 = 60 * 60;
/// The shortest silence that is one, in seconds: a link that is lost and found takes a moment.
pub const SILENCE_S_MIN: u32 = 5;
/// Values that are kept of a window: a change is then seen a 32nd of the window late at most.
const SAMPLES_MAX: u64 = 32;

/// Which controllers a rule is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All of them.
    #[default]
    Everywhere,
    /// Those of a site.
    Site(u32),
    /// Those with a tag.
    Tag(String),
    /// These.
    Controllers(Vec<u32>),
}

/// When it is so. Values are as on the wire: 0 and 1 of digital points, thousandths of analogue ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum Condition {
    /// A point is above a limit, until it is below another one that is not higher.
    Above {
        /// The point.
        point: String,
        /// The limit.
        #[schema(minimum = -9_007_199_254_740_991i64, maximum = 9_007_199_254_740_991i64)]
        limit: i64,
        /// Below which it is over.
        #[schema(minimum = -9_007_199_254_740_991i64, maximum = 9_007_199_254_740_991i64)]
        clear: i64,
    },
    /// A point is below a limit, until it is above another one that is not lower.
    Below {
        /// The point.
        point: String,
        /// The limit.
        #[schema(minimum = -9_007_199_254_740_991i64, maximum = 9_007_199_254_740_991i64)]
        limit: i64,
        /// Above which it is over.
        #[schema(minimum = -9_007_199_254_740_991i64, maximum = 9_007_199_254_740_991i64)]
        clear: i64,
    },
    /// A point is just that.
    Is {
        /// The point.
        point: String,
        /// The value.
        #[schema(minimum = -9_007_199_254_740_991i64, maximum = 9_007_199_254_740_991i64)]
        value: i64,
    },
    /// A point rises by so much within a time.
    Rises {
        /// The point.
        point: String,
        /// How much.
        #[schema(minimum = 1, maximum = 9_007_199_254_740_991i64)]
        by: i64,
        /// The time, in seconds.
        #[schema(minimum = 1, maximum = 3600)]
        within_s: u32,
    },
    /// A point falls by so much within a time.
    Falls {
        /// The point.
        point: String,
        /// How much.
        #[schema(minimum = 1, maximum = 9_007_199_254_740_991i64)]
        by: i64,
        /// The time, in seconds.
        #[schema(minimum = 1, maximum = 3600)]
        within_s: u32,
    },
    /// The controller does not trust what it reads of a point.
    Bad {
        /// The point.
        point: String,
    },
    /// The controller is not connected. The rule's delay says for how long it may be that.
    Silent,
}

impl Condition {
    /// The point that it is about.
    #[must_use]
    pub fn point(&self) -> Option<&str> {
        match self {
            Condition::Above { point, .. }
            | Condition::Below { point, .. }
            | Condition::Is { point, .. }
            | Condition::Rises { point, .. }
            | Condition::Falls { point, .. }
            | Condition::Bad { point } => Some(point),
            Condition::Silent => None,
        }
    }
}

/// A rule, as people write it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What people call it.
    pub name: String,
    /// What is wrong when it is so: what people are told.
    pub text: String,
    /// How an alarm of it ranks.
    #[serde(default)]
    pub severity: Severity,
    /// Which controllers it is about.
    #[serde(default)]
    pub scope: Scope,
    /// When it is so.
    pub condition: Condition,
    /// How long it has to be so, in seconds.
    #[schema(maximum = 86400)]
    #[serde(default)]
    pub for_s: u32,
    /// How long it has to be over, in seconds.
    #[schema(maximum = 86400)]
    #[serde(default)]
    pub over_for_s: u32,
    /// Whether it is looked at.
    #[serde(default = "yes")]
    pub is_enabled: bool,
}

const fn yes() -> bool {
    true
}

impl Rule {
    /// Looks whether it can be one.
    ///
    /// # Errors
    /// Names the first field that cannot, and what it should be.
    pub fn check(&self) -> Result<(), Invalid> {
        check_name("name", &self.name)?;
        let text = &self.text;
        if text.trim().is_empty()
            || text.len() > TEXT_BYTES_MAX
            || text.chars().any(char::is_control)
        {
            return invalid("text", format!("1 to {TEXT_BYTES_MAX} bytes on one line"));
        }
        match &self.scope {
            Scope::Controllers(them) if !(1..=CONTROLLERS_MAX).contains(&them.len()) => {
                return invalid("scope", format!("1 to {CONTROLLERS_MAX} controllers"));
            }
            Scope::Tag(tag) => check_name("scope", tag)?,
            _ => {}
        }
        if let Some(point) = self.condition.point()
            && Name::new(point).is_err()
        {
            return invalid("condition.point", "a point's name");
        }
        let values = match self.condition {
            Condition::Above { limit, clear, .. } | Condition::Below { limit, clear, .. } => {
                [limit, clear]
            }
            Condition::Is { value, .. } => [value, value],
            Condition::Rises { by, .. } | Condition::Falls { by, .. } => [by, by],
            Condition::Bad { .. } | Condition::Silent => [0, 0],
        };
        let max = limits::INTEGER_MAX;
        if values.iter().any(|it| !(-max..=max).contains(it)) {
            return invalid("condition", format!("values within ±{max}"));
        }
        match self.condition {
            Condition::Above { limit, clear, .. } if clear > limit => {
                return invalid("condition.clear", "a value that is not above the limit");
            }
            Condition::Below { limit, clear, .. } if clear < limit => {
                return invalid("condition.clear", "a value that is not below the limit");
            }
            Condition::Rises { by, within_s, .. } | Condition::Falls { by, within_s, .. } => {
                if by <= 0 {
                    return invalid("condition.by", "a positive change");
                }
                if !(1..=WINDOW_S_MAX).contains(&within_s) {
                    return invalid("condition.within_s", format!("1 to {WINDOW_S_MAX} seconds"));
                }
            }
            Condition::Silent if self.for_s < SILENCE_S_MIN => {
                return invalid(
                    "for_s",
                    format!("at least {SILENCE_S_MIN} seconds for a silence"),
                );
            }
            _ => {}
        }
        for (field, delay_s) in [("for_s", self.for_s), ("over_for_s", self.over_for_s)] {
            if delay_s > DELAY_S_MAX {
                return invalid(field, format!("at most {DELAY_S_MAX} seconds"));
            }
        }
        Ok(())
    }
}

/// What a judge sees of a controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// The point is that, and its controller trusts it.
    Value(i64),
    /// The controller does not trust what it reads.
    Bad,
    /// The controller is there.
    There,
    /// The controller is not there.
    Away,
}

/// Looks at one controller for one rule. Times are milliseconds of a clock that only goes forward.
#[derive(Clone, Debug, Default)]
pub struct Judge {
    /// Whether it is so at this moment, by its limits; `None` before anything was seen.
    truth: Option<bool>,
    /// Since when.
    since_ms: u64,
    /// Whether the alarm stands by its delays.
    is_raised: bool,
    /// Values of the window, of rules on changes.
    samples: VecDeque<(u64, i64)>,
    /// The latest of them as it was.
    latest: Option<i64>,
}

impl Judge {
    /// One whose alarm stands already, or not.
    #[must_use]
    pub fn new(is_raised: bool) -> Self {
        Judge {
            is_raised,
            ..Judge::default()
        }
    }

    /// Whether the alarm stands.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.is_raised
    }

    /// Takes what is seen.
    pub fn see(&mut self, now_ms: u64, rule: &Rule, sight: Sight) {
        let Some(truth) = self.truth_of(now_ms, &rule.condition, sight) else {
            // While nothing is known nothing begins, and what stands stays.
            if self.truth != Some(self.is_raised) {
                self.truth = None;
            }
            return;
        };
        if self.truth != Some(truth) {
            (self.truth, self.since_ms) = (Some(truth), now_ms);
        }
    }

    fn truth_of(&mut self, now_ms: u64, condition: &Condition, sight: Sight) -> Option<bool> {
        let was_so = self.truth.unwrap_or(self.is_raised);
        match (condition, sight) {
            (Condition::Silent, Sight::Away) => Some(true),
            (Condition::Silent, Sight::There) => Some(false),
            (Condition::Bad { .. }, Sight::Bad) => Some(true),
            (Condition::Bad { .. }, Sight::Value(_)) => Some(false),
            (Condition::Above { limit, clear, .. }, Sight::Value(value)) => Some(match was_so {
                // With one limit for both ways it is over at the limit itself.
                true => value >= *clear && (clear != limit || value > *limit),
                false => value > *limit,
            }),
            (Condition::Below { limit, clear, .. }, Sight::Value(value)) => Some(match was_so {
                true => value <= *clear && (clear != limit || value < *limit),
                false => value < *limit,
            }),
            (Condition::Is { value, .. }, Sight::Value(seen)) => Some(seen == *value),
            (Condition::Rises { by, within_s, .. }, Sight::Value(value)) => {
                let least = self.window(now_ms, *within_s, value, i64::min);
                Some(value.saturating_sub(least) >= *by)
            }
            (Condition::Falls { by, within_s, .. }, Sight::Value(value)) => {
                let greatest = self.window(now_ms, *within_s, value, i64::max);
                Some(greatest.saturating_sub(value) >= *by)
            }
            _ => None,
        }
    }

    /// The least or greatest of a window that ends now.
    fn window(&mut self, now_ms: u64, within_s: u32, value: i64, pick: fn(i64, i64) -> i64) -> i64 {
        let window_ms = u64::from(within_s) * 1_000;
        // The value that held when the window began came before it, and counts.
        while self
            .samples
            .get(1)
            .is_some_and(|(at_ms, _)| at_ms + window_ms <= now_ms)
        {
            self.samples.pop_front();
        }
        self.latest = Some(value);
        match self.samples.back_mut() {
            // Those that come close together are one.
            Some((at_ms, kept)) if now_ms < *at_ms + window_ms / SAMPLES_MAX => {
                *kept = pick(*kept, value);
            }
            _ => self.samples.push_back((now_ms, value)),
        }
        let values = self.samples.iter().map(|(_, value)| *value);
        values.fold(value, pick)
    }

    /// What has become of it by now: `Some` when the alarm is raised or over.
    pub fn judge(&mut self, now_ms: u64, rule: &Rule) -> Option<bool> {
        // A change ends by time alone: the value may never be told again.
        if let Some(true) = self.truth
            && let Condition::Rises { .. } | Condition::Falls { .. } = rule.condition
            && let Some(value) = self.latest
        {
            self.see(now_ms, rule, Sight::Value(value));
        }
        let truth = self.truth?;
        if truth == self.is_raised || now_ms < self.due_of(rule, truth) {
            return None;
        }
        self.is_raised = truth;
        Some(truth)
    }

    /// When it is to be judged again, if nothing is seen before.
    #[must_use]
    pub fn due_ms(&self, rule: &Rule) -> Option<u64> {
        let truth = self.truth?;
        if truth != self.is_raised {
            return Some(self.due_of(rule, truth));
        }
        match (&rule.condition, truth) {
            (Condition::Rises { within_s, .. } | Condition::Falls { within_s, .. }, true) => {
                let (first_ms, _) = self.samples.get(1).or(self.samples.front())?;
                Some(first_ms + u64::from(*within_s) * 1_000)
            }
            _ => None,
        }
    }

    fn due_of(&self, rule: &Rule, truth: bool) -> u64 {
        let delay_s = match truth {
            true => rule.for_s,
            false => rule.over_for_s,
        };
        self.since_ms + u64::from(delay_s) * 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn rule(condition: Condition) -> Rule {
        Rule {
            name: "level".into(),
            text: "High water".into(),
            severity: Severity::High,
            scope: Scope::Everywhere,
            condition,
            for_s: 0,
            over_for_s: 0,
            is_enabled: true,
        }
    }

    fn above(limit: i64, clear: i64) -> Condition {
        Condition::Above {
            point: "level".into(),
            limit,
            clear,
        }
    }

    /// What comes of values at seconds.
    fn verdicts(rule: &Rule, seen: &[(u64, Sight)]) -> Vec<Option<bool>> {
        let mut judge = Judge::default();
        seen.iter()
            .map(|&(second, sight)| {
                judge.see(second * 1_000, rule, sight);
                judge.judge(second * 1_000, rule)
            })
            .collect()
    }

    #[test]
    fn a_limit_has_another_one_at_which_it_is_over() {
        use Sight::Value;
        let rule = rule(above(80, 70));
        let seen = [
            (0, Value(80)),
            (1, Value(81)),
            (2, Value(70)),
            (3, Value(69)),
            (4, Value(75)),
        ];
        let expected = [None, Some(true), None, Some(false), None];
        assert_eq!(verdicts(&rule, &seen), expected);
        let same = rule_with_same_limits();
        let seen = [(0, Value(81)), (1, Value(80)), (2, Value(81))];
        assert_eq!(
            verdicts(&same, &seen),
            [Some(true), Some(false), Some(true)]
        );
    }

    fn rule_with_same_limits() -> Rule {
        rule(above(80, 80))
    }

    #[test]
    fn below_is_the_same_the_other_way_round() {
        use Sight::Value;
        let below = rule(Condition::Below {
            point: "level".into(),
            limit: 10,
            clear: 20,
        });
        let seen = [
            (0, Value(10)),
            (1, Value(9)),
            (2, Value(20)),
            (3, Value(21)),
        ];
        assert_eq!(
            verdicts(&below, &seen),
            [None, Some(true), None, Some(false)]
        );
    }

    #[test]
    fn a_delay_begins_anew_when_it_is_not_so_meanwhile() {
        use Sight::Value;
        let mut rule = rule(above(80, 70));
        (rule.for_s, rule.over_for_s) = (10, 5);
        let mut judge = Judge::default();
        judge.see(0, &rule, Value(90));
        assert_eq!(
            (judge.judge(9_999, &rule), judge.due_ms(&rule)),
            (None, Some(10_000))
        );
        judge.see(9_999, &rule, Value(60));
        assert_eq!(judge.due_ms(&rule), None);
        judge.see(12_000, &rule, Value(90));
        assert_eq!(judge.judge(21_999, &rule), None);
        assert_eq!(judge.judge(22_000, &rule), Some(true));
        judge.see(23_000, &rule, Value(60));
        assert_eq!(judge.judge(27_999, &rule), None);
        assert_eq!(judge.judge(28_000, &rule), Some(false));
    }

    #[test]
    fn a_change_is_over_by_time_alone() {
        use Sight::Value;
        let rises = rule(Condition::Rises {
            point: "level".into(),
            by: 10,
            within_s: 60,
        });
        let mut judge = Judge::default();
        judge.see(0, &rises, Value(0));
        judge.see(59_000, &rises, Value(9));
        assert_eq!(judge.judge(59_000, &rises), None);
        judge.see(60_000, &rises, Value(10));
        assert_eq!(
            judge.judge(60_000, &rises),
            Some(true),
            "the 0 held until a moment ago"
        );
        let due = judge.due_ms(&rises).unwrap();
        assert_eq!(judge.judge(due, &rises), Some(false), "at {due}");
        // As much over a longer time is none.
        let slow: Vec<_> = (0..20).map(|it| (it * 30, Value(it as i64 * 4))).collect();
        assert!(verdicts(&rises, &slow).iter().all(Option::is_none));
    }

    #[test]
    fn values_of_a_window_are_bounded() {
        let falls = rule(Condition::Falls {
            point: "level".into(),
            by: 1_000_000,
            within_s: 60,
        });
        let mut judge = Judge::default();
        for ms in 0..200_000 {
            judge.see(ms, &falls, Sight::Value(1));
        }
        assert!(
            judge.samples.len() <= SAMPLES_MAX as usize + 2,
            "{}",
            judge.samples.len()
        );
    }

    #[test]
    fn while_nothing_is_known_nothing_begins_and_what_stands_stays() {
        use Sight::{Away, Bad, Value};
        let mut rule = rule(above(80, 70));
        rule.for_s = 10;
        let mut judge = Judge::default();
        judge.see(0, &rule, Value(90));
        judge.see(5_000, &rule, Away);
        assert_eq!(judge.judge(60_000, &rule), None);
        judge.see(60_000, &rule, Value(90));
        assert_eq!(judge.judge(70_000, &rule), Some(true));
        judge.see(71_000, &rule, Bad);
        assert_eq!(judge.judge(99_000, &rule), None);
    }

    #[test]
    fn one_that_stands_after_a_restart_is_over_by_its_own_limit() {
        let rule = rule(above(80, 70));
        let mut judge = Judge::new(true);
        judge.see(0, &rule, Sight::Value(75));
        assert_eq!(judge.judge(0, &rule), None, "it stands on");
        judge.see(1, &rule, Sight::Value(69));
        assert_eq!(judge.judge(1, &rule), Some(false));
    }

    #[test]
    fn silence_is_one_after_its_delay() {
        let mut rule = rule(Condition::Silent);
        assert_eq!(rule.check().unwrap_err().field, "for_s");
        rule.for_s = 60;
        rule.check().unwrap();
        let mut judge = Judge::default();
        judge.see(0, &rule, Sight::There);
        judge.see(1_000, &rule, Sight::Away);
        assert_eq!(judge.judge(60_999, &rule), None);
        assert_eq!(judge.judge(61_000, &rule), Some(true));
        judge.see(90_000, &rule, Sight::There);
        assert_eq!(judge.judge(90_000, &rule), Some(false));
    }

    #[test]
    fn each_field_is_looked_at() {
        type Spoil = fn(&mut Rule);
        let faults: [(&str, Spoil); 7] = [
            ("name", |it| it.name.clear()),
            ("text", |it| it.text = "a\nb".into()),
            ("scope", |it| it.scope = Scope::Controllers(Vec::new())),
            ("condition.point", |it| {
                it.condition = Condition::Bad {
                    point: "a b".into(),
                }
            }),
            ("condition.clear", |it| it.condition = above(1, 2)),
            ("condition.by", |it| {
                let point = "a".into();
                it.condition = Condition::Rises {
                    point,
                    by: 0,
                    within_s: 1,
                };
            }),
            ("for_s", |it| it.for_s = DELAY_S_MAX + 1),
        ];
        for (field, spoil) in faults {
            let mut rule = rule(above(80, 70));
            rule.check().unwrap();
            spoil(&mut rule);
            assert_eq!(rule.check().unwrap_err().field, field);
        }
    }
}
