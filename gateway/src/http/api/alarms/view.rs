//! Alarms as the API shows them: with names for people in place of numbers.

use super::super::caller::failed;
use crate::{
    alarm::{
        model::{
            Alarm, AlarmId, Attempt, Channel, Deed, Happened, How, Medium, Note, Outcome, Severity,
            Source, State, Step, Who,
        },
        people::{Contact, ContactId},
        plan::Plan,
    },
    http::{Api, problem::Problem},
};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Who there is to be told, and in which order.
pub(super) struct People {
    pub(super) contacts: BTreeMap<ContactId, Contact>,
    pub(super) plans: BTreeMap<u32, Plan>,
}

impl People {
    pub(super) async fn read(api: &Api) -> Result<Self, Problem> {
        let contacts = api.config.contacts().await;
        let contacts = contacts.map_err(|error| failed(api, &error))?;
        let plans = api.config.alarm_plans().await;
        let plans = plans.map_err(|error| failed(api, &error))?;
        Ok(People {
            contacts: contacts.into_iter().map(|it| (it.id, it.contact)).collect(),
            plans: plans.into_iter().map(|it| (it.site, it.plan)).collect(),
        })
    }

    pub(super) fn name(&self, contact: ContactId) -> String {
        let contact = self.contacts.get(&contact).map(|it| it.name.clone());
        contact.unwrap_or_else(|| "somebody who is gone".into())
    }

    fn who(&self, who: &Who) -> String {
        match who {
            Who::Account(account) => account.clone(),
            Who::Contact(contact) => self.name(*contact),
            Who::Gateway => "the gateway".into(),
        }
    }
}

/// By what somebody did something.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AlarmHow)]
pub(super) enum HowView {
    /// Over the API.
    Api,
    /// A key in a call.
    Call,
    /// An answer to a message.
    Message,
    /// By itself.
    Itself,
}

/// Whoever did something.
#[derive(Serialize, ToSchema)]
#[schema(as = AlarmDeed)]
pub(super) struct DeedView {
    /// Who, for people.
    by: String,
    /// By what.
    how: HowView,
    /// When.
    at_ms: u64,
}

fn deed(it: &Deed, people: &People) -> DeedView {
    DeedView {
        by: people.who(&it.who),
        how: how(it.how),
        at_ms: it.at_ms,
    }
}

const fn how(how: How) -> HowView {
    match how {
        How::Api => HowView::Api,
        How::Call(_) => HowView::Call,
        How::Message(_) => HowView::Message,
        How::Itself => HowView::Itself,
    }
}

/// A shelf.
#[derive(Serialize, ToSchema)]
#[schema(as = AlarmShelf)]
pub(super) struct ShelfView {
    /// Until when.
    until_ms: u64,
    /// Who wanted it.
    by: String,
    /// When.
    at_ms: u64,
}

/// Who is told next.
#[derive(Serialize, ToSchema)]
#[schema(as = AlarmNext)]
pub(super) struct NextView {
    /// Their number, where anybody is.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    contact: Option<u32>,
    /// What people call them; or that nobody is.
    contact_name: String,
    /// By what.
    medium: Medium,
    /// When.
    at_ms: u64,
    /// It is under way.
    is_under_way: bool,
}

/// An alarm.
#[derive(Serialize, ToSchema)]
#[schema(as = Alarm)]
pub(super) struct AlarmView {
    /// Its number.
    id: u64,
    /// How it stands.
    state: State,
    /// How it ranks.
    severity: Severity,
    /// What raised it.
    source: Source,
    /// What is wrong.
    text: String,
    /// The controller.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    controller: Option<u32>,
    /// What people called it when it was raised.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    controller_title: Option<String>,
    /// The site whose people are told.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    site: Option<u32>,
    /// What the point was.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    /// When it was first raised.
    raised_ms: u64,
    /// When it was last raised.
    since_ms: u64,
    /// Whether it is so now.
    is_standing: bool,
    /// When it was over.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    cleared_ms: Option<u64>,
    /// How often it was raised.
    times: u32,
    /// It comes and goes.
    is_flapping: bool,
    /// Who has heard.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    acknowledged: Option<DeedView>,
    /// Until when nobody is told.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    shelved: Option<ShelfView>,
    /// Of which alarm it is a part.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    part_of: Option<u64>,
    /// How many of this page's alarms are a part of it.
    parts: usize,
    /// Who is told next.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<NextView>,
}

pub(super) fn alarm(it: &Alarm, people: &People, parts: &BTreeMap<AlarmId, usize>) -> AlarmView {
    AlarmView {
        id: it.id.0,
        state: it.state(),
        severity: it.severity,
        source: it.source.clone(),
        text: it.text.clone(),
        controller: it.controller,
        controller_title: it.controller_title.clone(),
        site: it.site,
        value: it.value.clone(),
        raised_ms: it.raised_ms,
        since_ms: it.since_ms,
        is_standing: it.is_standing,
        cleared_ms: it.cleared_ms,
        times: it.times,
        is_flapping: it.is_flapping,
        acknowledged: it.acknowledged.as_ref().map(|it| deed(it, people)),
        shelved: it.shelved.as_ref().map(|it| ShelfView {
            until_ms: it.until_ms,
            by: people.who(&it.by.who),
            at_ms: it.by.at_ms,
        }),
        part_of: it.part_of.map(|it| it.0),
        parts: parts.get(&it.id).copied().unwrap_or(0),
        next: next(it, people),
    }
}

fn next(alarm: &Alarm, people: &People) -> Option<NextView> {
    let pursuit = alarm.pursuit.as_ref().filter(|_| alarm.shelved.is_none())?;
    let (whom, medium) = match alarm.source {
        Source::Test { contact, medium } => (Some(contact), medium),
        _ => {
            let own = alarm.site.and_then(|site| people.plans.get(&site));
            let plan = own.or_else(|| people.plans.get(&0))?;
            let rung = plan.chain.get(usize::from(pursuit.rung));
            // Past the last one the chain begins anew.
            let rung = rung.or_else(|| plan.chain.first())?;
            let at_ms = pursuit.due_ms.max(crate::clock::time().0);
            (plan.whom(rung, at_ms), rung.medium)
        }
    };
    Some(NextView {
        contact: whom.map(|it| it.0),
        contact_name: whom.map_or_else(|| "nobody".into(), |it| people.name(it)),
        medium,
        at_ms: pursuit.due_ms,
        is_under_way: pursuit.attempt.is_some(),
    })
}

/// Something that is written down about an alarm.
#[derive(Serialize, ToSchema)]
#[schema(as = AlarmNote)]
pub(super) struct NoteView {
    /// When.
    at_ms: u64,
    /// What: `raised`, `cleared`, `flapping`, `joined`, `attempted`, `acknowledged`, `shelved`, `unshelved`,
    /// `commented`, `skipped`, `exhausted`.
    kind: &'static str,
    /// Who, for people.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    /// By what.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    how: Option<HowView>,
    /// The point's value, of `raised`.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    /// What was written, of `commented`.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// Until when, of `shelved`.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    until_ms: Option<u64>,
    /// Of which it is a part now, of `joined`.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    alarm: Option<u64>,
    /// Which, of `attempted`.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u64>,
    /// Which of the chain, from 0, of `skipped`.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    rung: Option<u16>,
    /// Why, of `skipped`.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// How often the chain was gone through by now, of `exhausted`.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    rounds: Option<u16>,
}

pub(super) fn note(it: &Note, people: &People) -> NoteView {
    let mut view = NoteView {
        at_ms: it.at_ms,
        kind: "",
        by: None,
        how: None,
        value: None,
        text: None,
        until_ms: None,
        alarm: None,
        attempt: None,
        rung: None,
        reason: None,
        rounds: None,
    };
    let mut by = None;
    view.kind = match &it.what {
        Happened::Raised { value } => {
            view.value.clone_from(value);
            "raised"
        }
        Happened::Cleared => "cleared",
        Happened::Flapping => "flapping",
        Happened::Joined { alarm } => {
            view.alarm = Some(alarm.0);
            "joined"
        }
        Happened::Attempted { attempt } => {
            view.attempt = Some(attempt.0);
            "attempted"
        }
        Happened::Acknowledged { by: deed } => {
            by = Some(deed);
            "acknowledged"
        }
        Happened::Shelved { until_ms, by: deed } => {
            (by, view.until_ms) = (Some(deed), Some(*until_ms));
            "shelved"
        }
        Happened::Unshelved { by: deed } => {
            by = Some(deed);
            "unshelved"
        }
        Happened::Commented { text, by: deed } => {
            (by, view.text) = (Some(deed), Some(text.clone()));
            "commented"
        }
        Happened::Skipped { rung, reason } => {
            (view.rung, view.reason) = (Some(*rung), Some(reason.clone()));
            "skipped"
        }
        Happened::Exhausted { rounds } => {
            view.rounds = Some(*rounds);
            "exhausted"
        }
    };
    if let Some(deed) = by {
        view.by = Some(people.who(&deed.who));
        view.how = Some(how(deed.how));
    }
    view
}

/// How far an attempt came.
#[derive(Serialize, ToSchema)]
#[schema(as = AttemptStep)]
pub(super) struct StepView {
    /// What.
    step: Step,
    /// When.
    at_ms: u64,
}

/// An attempt at telling somebody.
#[derive(Serialize, ToSchema)]
#[schema(as = Attempt)]
pub(super) struct AttemptView {
    /// Its number.
    id: u64,
    /// Who.
    contact: u32,
    /// What they were called.
    contact_name: String,
    /// By what.
    channel: Channel,
    /// Under which number or address; empty for who may not see contacts.
    destination: String,
    /// Of which alarms.
    alarms: Vec<u64>,
    /// When it was begun.
    begun_ms: u64,
    /// How far it came.
    steps: Vec<StepView>,
    /// The keys that were pressed; of a PIN only that there was one, as stars.
    keys: String,
    /// When it ended.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_ms: Option<u64>,
    /// How it ended.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
}

/// With numbers and addresses, for who may see those.
pub(super) fn attempt(it: &Attempt, sees_contacts: bool) -> AttemptView {
    let steps = it.steps.iter();
    // Services repeat numbers in their words.
    let hidden = || match &it.outcome {
        Some(Outcome::Failed { .. }) => Some(Outcome::Failed {
            reason: String::new(),
        }),
        outcome => outcome.clone(),
    };
    AttemptView {
        id: it.id.0,
        contact: it.contact.0,
        contact_name: it.contact_name.clone(),
        channel: it.channel,
        destination: match sees_contacts {
            true => it.destination.clone(),
            false => String::new(),
        },
        alarms: it.alarms.iter().map(|it| it.0).collect(),
        begun_ms: it.begun_ms,
        steps: steps
            .map(|(step, at_ms)| StepView {
                step: *step,
                at_ms: *at_ms,
            })
            .collect(),
        keys: it.keys.clone(),
        ended_ms: it.ended_ms,
        outcome: match sees_contacts {
            true => it.outcome.clone(),
            false => hidden(),
        },
    }
}
