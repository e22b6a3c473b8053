//! Contacts, plans and rules, as a gateway keeps them. Read as leniently as alarms are.

use super::words::{HeardFrom, Language, Medium, Severity};
use serde::{Deserialize, Serialize};

/// A time of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weekly {
    /// 1 Monday to 7 Sunday.
    pub day: u8,
    /// Minutes after midnight.
    pub minute: u16,
}

/// When somebody is not to be woken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quiet {
    /// The days on which it begins: 1 Monday to 7 Sunday.
    pub days: Vec<u8>,
    /// When it begins, in minutes after midnight.
    pub from_minute: u16,
    /// When it ends, in minutes after midnight; on the next day where it is not later.
    pub to_minute: u16,
}

/// A contact, as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// What people call them.
    pub name: String,
    /// The language that they are told in.
    #[serde(default = "english")]
    pub language: Language,
    /// The zone of their times.
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
    /// The topic of their push messages.
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
    #[serde(default = "calls_per_hour")]
    pub calls_per_hour_max: u8,
    /// When they are told that all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weekly_test: Option<Weekly>,
    /// The account that they log in with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
}

impl Contact {
    /// One of which nothing is known but a name.
    pub fn new(name: impl Into<String>) -> Self {
        Contact {
            name: name.into(),
            language: english(),
            zone: utc(),
            telephone: None,
            sms: None,
            email: None,
            push_topic: None,
            webhook_url: None,
            quiet: Vec::new(),
            wakes_from: high(),
            calls_per_hour_max: calls_per_hour(),
            weekly_test: None,
            account: None,
        }
    }
}

const fn english() -> Language {
    Language::En
}

fn utc() -> String {
    "UTC".into()
}

const fn high() -> Severity {
    Severity::High
}

/// What a gateway takes where nothing is said.
const fn calls_per_hour() -> u8 {
    12
}

/// A contact that the gateway keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptContact {
    /// Its number.
    pub id: u32,
    /// Whether it has a PIN.
    #[serde(default)]
    pub has_pin: bool,
    /// What it says.
    pub contact: Contact,
}

/// Whom a rung means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whom {
    /// Whoever has this turn.
    OnCall(String),
    /// Always the same one.
    Contact(u32),
}

/// One rung of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rung {
    /// Whom it means.
    pub whom: Whom,
    /// By what they are told.
    pub medium: Medium,
    /// The lowest severity that comes here.
    #[serde(default = "low")]
    pub from: Severity,
    /// How long to wait for one to say that they heard, in seconds.
    pub wait_s: u32,
    /// How often they are tried when they are not reached.
    #[serde(default = "one")]
    pub attempts: u8,
    /// How long to wait between those, in seconds.
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// Its name.
    pub name: String,
    /// Who takes it, one after the other.
    pub people: Vec<u32>,
    /// How many days each has it.
    pub shift_days: u16,
    /// When it is handed over.
    pub hand_over: Weekly,
    /// The first of the people had it from the hand-over on or before this moment.
    pub starts_ms: u64,
}

/// Somebody else has a turn for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// The turn.
    pub turn: String,
    /// Who has it.
    pub contact: u32,
    /// From when.
    pub from_ms: u64,
    /// Until when.
    pub until_ms: u64,
}

/// Who is told after whom, and who is on call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Who is told after whom.
    pub chain: Vec<Rung>,
    /// How long to wait before the chain begins anew, in seconds.
    #[serde(default = "again")]
    pub again_s: u32,
    /// The lowest severity of which somebody has to hear even when it is over.
    #[serde(default = "heard_from")]
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

/// What a gateway takes where nothing is said.
const fn again() -> u32 {
    15 * 60
}

const fn heard_from() -> HeardFrom {
    HeardFrom::High
}

/// A plan that the gateway keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptPlan {
    /// Its site; 0 for all those that have none of their own.
    pub site: u32,
    /// What it says.
    pub plan: Plan,
}

/// Somebody's time on call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shift {
    /// The turn.
    pub turn: String,
    /// Who has it.
    pub contact: u32,
    /// Their name.
    #[serde(default)]
    pub contact_name: String,
    /// From when.
    pub from_ms: u64,
    /// Until when.
    pub until_ms: u64,
    /// It is an exception.
    #[serde(default)]
    pub is_override: bool,
}

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

/// When it is so: the fields that its kind has. Values are 0 and 1 of digital points, thousandths of analogue ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Condition {
    /// `above`, `below`, `is`, `rises`, `falls`, `bad`, `silent` and others.
    pub kind: String,
    /// The point.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub point: Option<String>,
    /// The limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
    /// Where it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clear: Option<i64>,
    /// The value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<i64>,
    /// How much it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<i64>,
    /// Within which time, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within_s: Option<u32>,
}

/// What raises an alarm without a script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// What people call it.
    pub name: String,
    /// What people are told.
    pub text: String,
    /// How an alarm of it ranks.
    #[serde(default = "medium")]
    pub severity: Severity,
    /// Which controllers it is about.
    #[serde(default)]
    pub scope: Scope,
    /// When it is so.
    pub condition: Condition,
    /// How long it has to be so, in seconds.
    #[serde(default)]
    pub for_s: u32,
    /// How long it has to be over, in seconds.
    #[serde(default)]
    pub over_for_s: u32,
    /// Whether it is looked at.
    #[serde(default = "yes")]
    pub is_enabled: bool,
}

const fn medium() -> Severity {
    Severity::Medium
}

const fn yes() -> bool {
    true
}

/// A rule that the gateway keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptRule {
    /// Its number.
    pub id: u32,
    /// What it says.
    pub rule: Rule,
}

/// A site: a group of controllers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// Its number.
    pub site: u32,
    /// What people call it.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn plans_and_rules_keep_the_shape_of_the_wire() {
        let plan = json!({
            "chain": [
                { "whom": { "on_call": "first" }, "medium": "call", "from": "low", "wait_s": 300, "attempts": 2, "pause_s": 60 },
                { "whom": { "contact": 3 }, "medium": "sms", "from": "high", "wait_s": 0, "attempts": 1, "pause_s": 60 },
            ],
            "again_s": 900, "heard_from": "never", "zone": "Europe/Berlin",
            "rota": [{ "name": "first", "people": [1, 2], "shift_days": 7, "hand_over": { "day": 1, "minute": 480 }, "starts_ms": 5 }],
            "overrides": [{ "turn": "first", "contact": 3, "from_ms": 1, "until_ms": 2 }],
        });
        let read: Plan = serde_json::from_value(plan.clone()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), plan);
        let rule = json!({
            "name": "level", "text": "High water", "severity": "high", "scope": { "site": 7 }, "for_s": 5, "over_for_s": 0,
            "condition": { "kind": "above", "point": "level", "limit": 80_000, "clear": 70_000 }, "is_enabled": true,
        });
        let read: Rule = serde_json::from_value(rule.clone()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), rule);
        let everywhere: Scope = serde_json::from_value(json!("everywhere")).unwrap();
        assert_eq!(everywhere, Scope::Everywhere);
    }
}
