//! Alarms as a gateway tells of them. Read leniently: fields that are newer than this program are passed over, and words
//! that it does not know are kept as they are. Times are milliseconds of gateway time.

use super::words::{Channel, How, Medium, OutcomeKind, Severity, State, StepKind};
use serde::{Deserialize, Serialize};

/// What raised an alarm: the fields that its kind has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Source {
    /// `script`, `rule`, `site_silent`, `rollout`, `status_store`, `channel`, `test` and others.
    pub kind: String,
    /// The controller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller: Option<u32>,
    /// Which of its script's alarms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alarm: Option<u32>,
    /// The rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<u32>,
    /// The site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<u32>,
    /// The roll-out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<u32>,
    /// The way of telling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
    /// The contact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<u32>,
    /// By what they are told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub medium: Option<Medium>,
}

/// Who said that they heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// Their name, for people.
    pub by: String,
    /// By what.
    pub how: How,
    /// When.
    pub at_ms: u64,
}

/// Who wants nobody to be told for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shelved {
    /// Until when.
    pub until_ms: u64,
    /// Their name, for people.
    pub by: String,
    /// When they said so.
    pub at_ms: u64,
}

/// Who is told next, or is being told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextTold {
    /// Their number.
    #[serde(default)]
    pub contact: Option<u32>,
    /// Their name.
    #[serde(default)]
    pub contact_name: String,
    /// By what.
    pub medium: Medium,
    /// When.
    pub at_ms: u64,
    /// They are being told now.
    #[serde(default)]
    pub is_under_way: bool,
}

/// An alarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// Its number.
    pub id: u64,
    /// How it stands.
    pub state: State,
    /// How it ranks.
    pub severity: Severity,
    /// What raised it.
    #[serde(default)]
    pub source: Source,
    /// What is wrong, in the words of whoever wrote the script or the rule.
    pub text: String,
    /// The controller, where it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controller: Option<u32>,
    /// What people called that controller when it was raised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controller_title: Option<String>,
    /// The site that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<u32>,
    /// What the point was, as people write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// When it was first raised.
    pub raised_ms: u64,
    /// When it was last raised.
    pub since_ms: u64,
    /// Whether it is so now.
    #[serde(default)]
    pub is_standing: bool,
    /// When it ceased to be so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleared_ms: Option<u64>,
    /// How often it was raised.
    #[serde(default)]
    pub times: u32,
    /// It comes and goes so often that nobody is told each time.
    #[serde(default)]
    pub is_flapping: bool,
    /// Somebody said that they heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Acknowledged>,
    /// Nobody is told until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shelved: Option<Shelved>,
    /// It is a part of that one, of which people are told in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part_of: Option<u64>,
    /// How many are parts of it.
    #[serde(default)]
    pub parts: u64,
    /// Who is told next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<NextTold>,
}

/// A page of alarms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmPage {
    /// In the order of the gateway.
    pub alarms: Vec<Alarm>,
    /// Rises with every change of any alarm.
    #[serde(default)]
    pub revision: u64,
    /// Where the next page begins, if there is one.
    #[serde(default)]
    pub next: Option<u64>,
}

/// Something that was written down about an alarm: the fields that its kind has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Note {
    /// When.
    pub at_ms: u64,
    /// `raised`, `cleared`, `flapping`, `joined`, `attempted`, `acknowledged`, `shelved`, `unshelved`, `commented`,
    /// `skipped`, `exhausted` and others.
    pub kind: String,
    /// The value, of what was raised.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The alarm that it joined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alarm: Option<u64>,
    /// The attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u64>,
    /// Who did it, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// By what they did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub how: Option<How>,
    /// Until when it is shelved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    /// What was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The rung that was passed over, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rung: Option<u32>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How often the whole chain was gone through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rounds: Option<u32>,
}

/// How far an attempt came, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// How far.
    pub step: StepKind,
    /// When.
    pub at_ms: u64,
}

/// How an attempt ended, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// How.
    pub kind: OutcomeKind,
    /// Why, of what failed or was limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// An attempt at telling somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its number.
    pub id: u64,
    /// Who is told.
    pub contact: u32,
    /// What they were called then.
    #[serde(default)]
    pub contact_name: String,
    /// By what.
    pub channel: Channel,
    /// Under which number or address.
    #[serde(default)]
    pub destination: String,
    /// Of which alarms.
    #[serde(default)]
    pub alarms: Vec<u64>,
    /// When it was begun.
    pub begun_ms: u64,
    /// How far it came.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// The keys that were pressed.
    #[serde(default)]
    pub keys: String,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<u64>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// An alarm with its history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmHistory {
    /// The alarm.
    pub alarm: Alarm,
    /// What was written down about it.
    #[serde(default)]
    pub notes: Vec<Note>,
    /// The attempts at telling somebody of it.
    #[serde(default)]
    pub attempts: Vec<Attempt>,
}

/// How a way of telling people is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelHealth {
    /// Which.
    pub channel: Channel,
    /// Whether it can be used.
    pub is_in_order: bool,
    /// Why it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Who has a turn now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnCall {
    /// The site; 0 for all those that have no plan of their own.
    pub site: u32,
    /// The turn.
    pub turn: String,
    /// Who has it.
    pub contact: u32,
    /// Their name.
    #[serde(default)]
    pub contact_name: String,
    /// Until when.
    pub until_ms: u64,
    /// It is an exception.
    #[serde(default)]
    pub is_override: bool,
}

/// So many alarms of each severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Low.
    pub low: u64,
    /// Medium.
    pub medium: u64,
    /// High.
    pub high: u64,
}

impl Counts {
    /// All of them.
    pub fn all(&self) -> u64 {
        self.low
            .saturating_add(self.medium)
            .saturating_add(self.high)
    }
}

/// How things stand, as far as the account may see them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Overview {
    /// Whether a gateway is in charge of the alarms.
    pub is_watched: bool,
    /// The ways of telling people that are set up.
    pub channels: Vec<ChannelHealth>,
    /// Who is on call.
    pub on_call: Vec<OnCall>,
    /// Alarms that are open.
    pub open: Counts,
    /// Those of them of which nobody has said that they heard.
    pub unacknowledged: Counts,
    /// What somebody should see to, in words.
    pub warnings: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_newer_is_read_as_text_or_passed_over() {
        let alarm: Alarm = serde_json::from_value(json!({
            "id": 7, "state": "dreamt", "severity": "grave", "text": "High water", "raised_ms": 1, "since_ms": 2,
            "source": { "kind": "oracle", "controller": 3, "omen": [1, 2] }, "weather": "fine",
        }))
        .unwrap();
        assert_eq!(alarm.state, State::Other("dreamt".into()));
        assert_eq!(alarm.state.name(), "dreamt");
        assert!(alarm.state.is_unacknowledged());
        assert!(alarm.severity > Severity::High, "{:?}", alarm.severity);
        assert_eq!(
            (alarm.source.kind.as_str(), alarm.source.controller),
            ("oracle", Some(3))
        );
        let attempt: Attempt = serde_json::from_value(json!({
            "id": 1, "contact": 2, "channel": "pigeon", "begun_ms": 1,
            "steps": [{ "step": "fluttering", "at_ms": 5 }], "outcome": { "kind": "eaten", "reason": "a cat" },
        }))
        .unwrap();
        assert_eq!(attempt.channel.name(), "pigeon");
        assert_eq!(attempt.steps[0].step.name(), "fluttering");
        assert_eq!(attempt.outcome.unwrap().kind.name(), "eaten");
    }

    #[test]
    fn words_are_written_as_they_are_read() {
        for state in State::ALL {
            let written = serde_json::to_value(state).unwrap();
            assert_eq!(written, json!(state.name()));
            assert_eq!(serde_json::from_value::<State>(written).unwrap(), *state);
            assert_eq!(State::from_name(state.name()).as_ref(), Some(state));
        }
        let other = Medium::Other("smoke".into());
        assert_eq!(serde_json::to_value(&other).unwrap(), json!("smoke"));
        assert_eq!(Medium::from_name("smoke"), None);
        assert!(Severity::Low < Severity::Medium && Severity::Medium < Severity::High);
    }
}
