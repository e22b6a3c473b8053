//! What the config store keeps of alarms, and what people want of them.

use crate::alarm::{
    model::{Alarm, AlarmId, Attempt, AttemptId, Medium, Note, Severity},
    people::{Contact, ContactId},
    plan::Plan,
    rule::{Rule, RuleId},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Contacts that there may be.
pub const CONTACTS_MAX: u64 = 1_000;
/// Rules that there may be.
pub const RULES_MAX: u64 = 1_000;
/// Wishes that may wait to be taken by the gateway in charge.
pub const ALARM_WISHES_MAX: u64 = 4_096;
/// What a script says of alarms, that may wait to be taken by the gateway in charge; the oldest stay.
pub const SCRIPT_ALARMS_MAX: u64 = 100_000;
/// Alarms in one wish.
pub const WISHED_ALARMS_MAX: usize = 1_000;
/// The longest comment, in bytes.
pub const COMMENT_BYTES_MAX: usize = 500;

/// A controller's script has raised an alarm, or says that it is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptAlarm {
    /// The controller.
    pub controller: u32,
    /// The number of the event that told it.
    pub number: u32,
    /// Which of the script's.
    pub alarm: u8,
    /// 0 low, 1 medium, 2 high.
    pub level: u8,
    /// What the script says.
    pub text: String,
    /// Raised, or over.
    pub is_raised: bool,
    /// When this gateway took it, in milliseconds of gateway time.
    pub taken_ms: u64,
}

/// What somebody wants of alarms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum AlarmWish {
    /// They have heard of these.
    Acknowledge {
        /// Which.
        alarms: Vec<AlarmId>,
    },
    /// Nobody is to be told of these until then.
    Shelve {
        /// Which.
        alarms: Vec<AlarmId>,
        /// Until when, in milliseconds of gateway time.
        until_ms: u64,
    },
    /// These are taken from the shelf.
    Unshelve {
        /// Which.
        alarms: Vec<AlarmId>,
    },
    /// Something is written about these.
    Comment {
        /// Which.
        alarms: Vec<AlarmId>,
    },
    /// Somebody is to be told that all is well, to see whether that works.
    Test {
        /// Who.
        contact: ContactId,
        /// By what.
        medium: Medium,
    },
}

/// A wish, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WishedAlarms {
    /// What they want.
    pub wish: AlarmWish,
    /// What they write about it.
    #[serde(default)]
    pub comment: Option<String>,
    /// Their account.
    pub account: String,
    /// When, in milliseconds of gateway time.
    pub at_ms: u64,
}

/// What has changed of alarms, kept all together or not at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlarmChanges {
    /// Alarms as they are now.
    pub alarms: Vec<Alarm>,
    /// Attempts as they are now.
    pub attempts: Vec<Attempt>,
    /// What is written down about them, each with its place, which rises.
    pub notes: Vec<(u64, Note)>,
    /// What scripts said at these places is done with; it is gone.
    pub script_alarms_taken: Vec<u64>,
    /// What people want is done with up to this one; these are gone.
    pub wishes_until: Option<u64>,
}

impl AlarmChanges {
    /// The same in parts of at most so many alarms, to be kept one after the other: each is short, also at a store that is
    /// slow. Attempts come first, so that no alarm ever waits for one that nobody knows of; what was taken is done with
    /// last, so that whoever is stopped between two parts takes it again.
    #[must_use]
    pub fn in_parts(mut self, alarms_max: usize) -> Vec<Self> {
        if self.alarms.len() <= alarms_max {
            return vec![self];
        }
        let mut parts = vec![AlarmChanges {
            attempts: std::mem::take(&mut self.attempts),
            ..AlarmChanges::default()
        }];
        let mut alarms = std::mem::take(&mut self.alarms);
        while !alarms.is_empty() {
            let rest = alarms.split_off(alarms.len().min(alarms_max));
            let ids: BTreeSet<_> = alarms.iter().map(|it| it.id).collect();
            let (notes, others) = std::mem::take(&mut self.notes)
                .into_iter()
                .partition(|(_, note)| ids.contains(&note.alarm));
            self.notes = others;
            parts.push(AlarmChanges {
                alarms,
                notes,
                ..AlarmChanges::default()
            });
            alarms = rest;
        }
        // What is left: notes of others, and what was taken.
        parts.push(self);
        parts
    }
}

/// Where everything stands that the gateway in charge of alarms looks at. A higher number says that there is more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlarmPulse {
    /// Contacts, plans and rules.
    pub settings: u64,
    /// What scripts said.
    pub script_alarms: u64,
    /// What people want.
    pub wishes: u64,
    /// Alarms themselves.
    pub alarms: u64,
}

/// Numbers of alarms, by severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct BySeverity {
    /// How many rank low.
    pub low: u64,
    /// How many rank in between.
    pub medium: u64,
    /// How many rank high.
    pub high: u64,
}

impl BySeverity {
    /// The number of one severity.
    pub fn of(&mut self, severity: Severity) -> &mut u64 {
        match severity {
            Severity::Low => &mut self.low,
            Severity::Medium => &mut self.medium,
            Severity::High => &mut self.high,
        }
    }
}

/// How many alarms are open, but for those that are part of another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlarmCounts {
    /// All of them.
    pub open: BySeverity,
    /// Those that nobody has said that they heard.
    pub unheard: BySeverity,
}

/// Which alarms are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlarmFilter {
    /// Only those that are open, or only those that are not.
    pub is_open: Option<bool>,
    /// Only those of these sites; `None` for all, also those of none.
    pub sites: Option<BTreeSet<u32>>,
    /// Only those of this controller.
    pub controller: Option<u32>,
    /// Only those that have changed since this state of [`AlarmPulse::alarms`].
    pub after_revision: Option<u64>,
    /// Only those that were over at this moment or after, besides those that are open.
    pub cleared_since_ms: Option<u64>,
}

/// Which attempts are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttemptFilter {
    /// Only those at telling of this alarm.
    pub alarm: Option<AlarmId>,
    /// Only those at this contact.
    pub contact: Option<ContactId>,
    /// Only those that were begun at this moment or after, and those that go on.
    pub since_ms: Option<u64>,
}

/// A contact, as it is kept. Its PIN is sealed at rest.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredContact {
    /// Its number.
    pub id: ContactId,
    /// What people wrote.
    pub contact: Contact,
    /// What they say on the telephone to be believed. Secret.
    pub pin: Option<String>,
}

impl std::fmt::Debug for StoredContact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StoredContact({}, {:?})", self.id, self.contact.name)
    }
}

/// A contact to be kept.
#[derive(Clone, PartialEq, Eq)]
pub struct NewContact {
    /// Which; a new one without.
    pub id: Option<ContactId>,
    /// What people wrote.
    pub contact: Contact,
    /// The PIN: as it is with `None`, none with `Some(None)`. Secret.
    pub pin: Option<Option<String>>,
}

impl std::fmt::Debug for NewContact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewContact({:?}, {:?})", self.id, self.contact.name)
    }
}

/// A rule, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRule {
    /// Its number.
    pub id: RuleId,
    /// What people wrote.
    pub rule: Rule,
}

/// What a site has agreed on, as it is kept; 0 is for all that have none of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPlan {
    /// The site.
    pub site: u32,
    /// What people wrote.
    pub plan: Plan,
}

/// The highest numbers that were given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlarmNumbers {
    /// Of alarms.
    pub alarm: AlarmId,
    /// Of attempts.
    pub attempt: AttemptId,
    /// Of what is written down.
    pub note: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alarm::model::Happened;

    fn alarm(id: u64) -> Alarm {
        serde_json::from_value(serde_json::json!({
            "id": id, "source": { "kind": "status_store" }, "severity": "low", "text": "x", "controller": null,
            "controller_title": null, "site": null, "value": null, "raised_ms": 1, "since_ms": 1,
            "is_standing": true, "cleared_ms": null, "times": 1, "acknowledged": null, "shelved": null,
            "part_of": null, "pursuit": null,
        }))
        .unwrap()
    }

    #[test]
    fn a_storm_is_kept_in_parts() {
        let note = |place: u64, id| {
            let alarm = AlarmId(id);
            (
                place,
                Note {
                    alarm,
                    at_ms: 1,
                    what: Happened::Cleared,
                },
            )
        };
        let changes = AlarmChanges {
            alarms: (1..=5).map(alarm).collect(),
            notes: vec![note(1, 3), note(2, 1), note(3, 9), note(4, 3)],
            script_alarms_taken: vec![7],
            wishes_until: Some(8),
            ..AlarmChanges::default()
        };
        assert_eq!(changes.clone().in_parts(5).len(), 1, "no storm");
        let parts = changes.in_parts(2);
        let shape: Vec<_> = parts
            .iter()
            .map(|it| {
                let alarms: Vec<_> = it.alarms.iter().map(|it| it.id.0).collect();
                let notes: Vec<_> = it.notes.iter().map(|(place, _)| *place).collect();
                (alarms, notes, it.wishes_until, it.script_alarms_taken.len())
            })
            .collect();
        assert_eq!(
            shape,
            [
                (vec![], vec![], None, 0),
                (vec![1, 2], vec![2], None, 0),
                (vec![3, 4], vec![1, 4], None, 0),
                (vec![5], vec![], None, 0),
                (vec![], vec![3], Some(8), 1),
            ]
        );
    }
}
