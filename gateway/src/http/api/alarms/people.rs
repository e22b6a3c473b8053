//! Who may be told of alarms, who is told after whom, and what raises them without a script.

use super::{
    super::{
        Refused,
        caller::{Caller, Json, Parameters, Place, failed},
        rights::Deed,
        text,
    },
    wish_for,
};
use crate::{
    alarm::{
        model::{Medium, Source},
        people::{Contact, ContactId, Invalid},
        plan::{Override, Plan},
        rule::{Rule, RuleId, Scope},
        shape::TIME_MS_MAX,
    },
    http::{Api, problem::Problem},
    store::{AlarmFilter, AlarmWish, NewContact, StoredContact},
};
use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use switchyard_protocol::{Address, SiteId};
use utoipa::{IntoParams, ToSchema};

/// Digits of a PIN.
const PIN_DIGITS: std::ops::RangeInclusive<usize> = 4..=12;
/// The longest time that a calendar is of: a quarter of a year.
const CALENDAR_MS_MAX: u64 = 93 * 24 * 60 * 60 * 1_000;
/// Shifts of one calendar.
const SHIFTS_MAX: usize = 1_000;

fn invalid(fault: Invalid) -> Problem {
    text::bad_field(&format!("{}: expected {}", fault.field, fault.expected))
}

/// A contact.
#[derive(Serialize, ToSchema)]
#[schema(as = StoredContact)]
pub(in crate::http::api) struct ContactView {
    /// Its number.
    id: u32,
    /// Whether they are asked for a PIN on the telephone.
    has_pin: bool,
    /// What is known of them.
    contact: Contact,
}

impl From<StoredContact> for ContactView {
    fn from(it: StoredContact) -> Self {
        ContactView {
            id: it.id.0,
            has_pin: it.pin.is_some(),
            contact: it.contact,
        }
    }
}

/// Contacts.
#[derive(Serialize, ToSchema)]
pub(in crate::http::api) struct Contacts {
    /// By number.
    contacts: Vec<ContactView>,
}

/// A contact to be kept.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http::api) struct ContactBody {
    /// What is known of them.
    contact: Contact,
    /// 4 to 12 digits that they type on the telephone to be believed; as it was without, none where it is empty.
    #[schema(nullable = false, pattern = "^([0-9]{4,12})?$")]
    pin: Option<String>,
}

/// One contact.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(in crate::http::api) struct ContactPath {
    /// Its number.
    #[param(minimum = 1, maximum = 4_294_967_295u32)]
    contact: u32,
}

/// A way to be told.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http::api) struct TestBody {
    /// By what.
    medium: Medium,
}

/// The alarm that stands for a test.
#[derive(Serialize, ToSchema)]
pub(in crate::http::api) struct Tested {
    /// Its number: what becomes of the test is written there.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    alarm: Option<u64>,
}

async fn all_contacts(api: &Api) -> Result<Vec<StoredContact>, Problem> {
    let contacts = api.config.contacts().await;
    contacts.map_err(|error| failed(api, &error))
}

fn is_own(caller: &Caller, contact: &Contact) -> bool {
    contact.account.as_deref() == Some(caller.login.account.as_str())
}

/// Who may be told of alarms. Technicians see all of them, others themselves.
#[utoipa::path(get, path = "/api/contacts", tag = "alarms", operation_id = "list_contacts",
    responses((status = 200, body = Contacts, description = "Contacts"), Refused))]
pub(in crate::http::api) async fn contacts(
    State(api): State<Arc<Api>>,
    caller: Caller,
) -> Result<axum::Json<Contacts>, Problem> {
    let sees_all = caller.judged(&Deed::SeeContacts).is_ok();
    let contacts = all_contacts(&api).await?;
    let contacts = contacts
        .into_iter()
        .filter(|it| sees_all || is_own(&caller, &it.contact));
    Ok(axum::Json(Contacts {
        contacts: contacts.map(ContactView::from).collect(),
    }))
}

async fn one_contact(
    api: &Api,
    caller: &Caller,
    path: &ContactPath,
) -> Result<StoredContact, Problem> {
    let sees_all = caller.judged(&Deed::SeeContacts).is_ok();
    let contacts = all_contacts(api).await?;
    let mut contacts = contacts.into_iter();
    let found = contacts.find(|it| it.id.0 == path.contact);
    found
        .filter(|it| sees_all || is_own(caller, &it.contact))
        .ok_or_else(|| Problem::not_found("there is no contact of this number"))
}

/// A contact.
#[utoipa::path(get, path = "/api/contacts/{contact}", tag = "alarms", operation_id = "show_contact",
    params(ContactPath),
    responses((status = 200, body = ContactView, description = "The contact"), Refused))]
pub(in crate::http::api) async fn show_contact(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<ContactPath>,
) -> Result<axum::Json<ContactView>, Problem> {
    let found = one_contact(&api, &caller, &path).await?;
    Ok(axum::Json(found.into()))
}

async fn keep_contact(
    api: &Arc<Api>,
    caller: &Caller,
    id: Option<ContactId>,
    body: ContactBody,
) -> Result<ContactView, Problem> {
    caller.may(&Deed::EditContacts)?;
    body.contact.check().map_err(invalid)?;
    let pin = match body.pin {
        None => None,
        Some(pin) if pin.is_empty() => Some(None),
        Some(pin) => {
            let is_good =
                PIN_DIGITS.contains(&pin.len()) && pin.bytes().all(|it| it.is_ascii_digit());
            if !is_good {
                return Err(text::bad_field("pin: expected 4 to 12 digits"));
            }
            Some(Some(pin))
        }
    };
    let verb = if id.is_some() { "change" } else { "add" };
    let what = format!("{verb} contact {}", body.contact.name);
    let new = NewContact {
        id,
        contact: body.contact,
        pin,
    };
    let by = Arc::clone(api);
    let keeping = async move {
        let kept = by.config.put_contact(new).await;
        kept.map_err(|error| failed(&by, &error))
    };
    let id = caller
        .change(api, (Address::GATEWAY, what), keeping)
        .await?;
    api.alarms.bell.ring();
    let contacts = all_contacts(api).await?;
    let kept = contacts.into_iter().find(|it| it.id == id);
    let kept = kept.ok_or_else(|| Problem::not_found("somebody has removed it meanwhile"))?;
    Ok(kept.into())
}

/// Adds a contact. For technicians everywhere.
#[utoipa::path(post, path = "/api/contacts", tag = "alarms", operation_id = "add_contact",
    request_body = ContactBody,
    responses((status = 201, body = ContactView, description = "It is added"), Refused))]
pub(in crate::http::api) async fn add_contact(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(body): Json<ContactBody>,
) -> Result<(StatusCode, axum::Json<ContactView>), Problem> {
    let kept = keep_contact(&api, &caller, None, body).await?;
    Ok((StatusCode::CREATED, axum::Json(kept)))
}

/// Changes a contact. For technicians everywhere.
#[utoipa::path(put, path = "/api/contacts/{contact}", tag = "alarms", operation_id = "set_contact",
    params(ContactPath), request_body = ContactBody,
    responses((status = 200, body = ContactView, description = "It is changed"), Refused))]
pub(in crate::http::api) async fn put_contact(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<ContactPath>,
    Json(body): Json<ContactBody>,
) -> Result<axum::Json<ContactView>, Problem> {
    caller.may(&Deed::EditContacts)?;
    one_contact(&api, &caller, &path).await?;
    let kept = keep_contact(&api, &caller, Some(ContactId(path.contact)), body).await?;
    Ok(axum::Json(kept))
}

/// Removes a contact whom no plan names. For technicians everywhere.
#[utoipa::path(delete, path = "/api/contacts/{contact}", tag = "alarms", operation_id = "remove_contact",
    params(ContactPath),
    responses((status = 204, description = "It is removed"), Refused))]
pub(in crate::http::api) async fn remove_contact(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<ContactPath>,
) -> Result<StatusCode, Problem> {
    caller.may(&Deed::EditContacts)?;
    let found = one_contact(&api, &caller, &path).await?;
    let what = format!("remove contact {}", found.contact.name);
    let by = Arc::clone(&api);
    let removing = async move {
        let removed = by.config.remove_contact(found.id).await;
        let none = || Problem::not_found("there is no contact of this number");
        let removed = removed.map_err(|error| failed(&by, &error))?;
        removed.then_some(StatusCode::NO_CONTENT).ok_or_else(none)
    };
    let status = caller
        .change(&api, (Address::GATEWAY, what), removing)
        .await?;
    api.alarms.bell.ring();
    Ok(status)
}

/// Tells a contact that all is well, to see whether that works. For technicians everywhere, and for oneself.
#[utoipa::path(post, path = "/api/contacts/{contact}/test", tag = "alarms", operation_id = "test_contact",
    params(ContactPath), request_body = TestBody,
    responses((status = 202, body = Tested, description = "It is under way"), Refused))]
pub(in crate::http::api) async fn test_contact(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<ContactPath>,
    Json(body): Json<TestBody>,
) -> Result<(StatusCode, axum::Json<Tested>), Problem> {
    let contacts = all_contacts(&api).await?;
    let found = contacts.into_iter().find(|it| it.id.0 == path.contact);
    if !found
        .as_ref()
        .is_some_and(|it| is_own(&caller, &it.contact))
    {
        caller.may(&Deed::EditContacts)?;
    }
    let none = || Problem::not_found("there is no contact of this number");
    let found = found.ok_or_else(none)?;
    if found.contact.destination(body.medium).is_none() {
        let name = body.medium.name();
        return Err(text::bad_field(&format!(
            "medium: expected one that they have, and not {name}"
        )));
    }
    let contact = found.id;
    let source = Source::Test {
        contact,
        medium: body.medium,
    };
    let wish = AlarmWish::Test {
        contact,
        medium: body.medium,
    };
    let what = format!("test call to {}", found.contact.name);
    wish_for(&api, &caller, what, wish, None).await?;
    let alarms = api.config.alarms(AlarmFilter::default(), None, 100).await;
    let alarms = alarms.map_err(|error| failed(&api, &error))?;
    let alarm = alarms.iter().find(|it| it.source == source);
    let tested = Tested {
        alarm: alarm.map(|it| it.id.0),
    };
    Ok((StatusCode::ACCEPTED, axum::Json(tested)))
}

/// A rule.
#[derive(Serialize, ToSchema)]
#[schema(as = StoredAlarmRule)]
pub(in crate::http::api) struct RuleView {
    /// Its number.
    id: u32,
    /// The rule.
    rule: Rule,
}

/// Rules.
#[derive(Serialize, ToSchema)]
#[schema(as = AlarmRules)]
pub(in crate::http::api) struct Rules {
    /// By number.
    rules: Vec<RuleView>,
}

/// One rule.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(in crate::http::api) struct RulePath {
    /// Its number.
    #[param(minimum = 1, maximum = 4_294_967_295u32)]
    rule: u32,
}

/// Whose rule it is: a site's where it is about one, else everybody's.
fn site_of(rule: &Rule) -> Option<SiteId> {
    match rule.scope {
        Scope::Site(site) => Some(SiteId(site)),
        _ => None,
    }
}

/// What raises alarms without a script: rules of sites where you have a role, and those for all.
#[utoipa::path(get, path = "/api/alarm-rules", tag = "alarms", operation_id = "list_alarm_rules",
    responses((status = 200, body = Rules, description = "Rules"), Refused))]
pub(in crate::http::api) async fn rules(
    State(api): State<Arc<Api>>,
    caller: Caller,
) -> Result<axum::Json<Rules>, Problem> {
    let rules = api.config.alarm_rules().await;
    let rules = rules.map_err(|error| failed(&api, &error))?;
    let is_anybody = caller.login.rights.highest().is_some();
    let rules = rules.into_iter().filter(|it| match site_of(&it.rule) {
        Some(site) => caller.judged(&Deed::SeeAlarms(Some(site))).is_ok(),
        None => is_anybody,
    });
    Ok(axum::Json(Rules {
        rules: rules
            .map(|it| RuleView {
                id: it.id.0,
                rule: it.rule,
            })
            .collect(),
    }))
}

async fn keep_rule(
    api: &Arc<Api>,
    caller: &Caller,
    id: Option<RuleId>,
    rule: Rule,
) -> Result<RuleView, Problem> {
    caller.may(&Deed::PlanAlarms(site_of(&rule)))?;
    rule.check().map_err(invalid)?;
    let verb = if id.is_some() { "change" } else { "add" };
    let what = format!("{verb} alarm rule {}", rule.name);
    let (by, kept) = (Arc::clone(api), rule.clone());
    let keeping = async move {
        let id = by.config.put_alarm_rule(id, kept).await;
        id.map_err(|error| failed(&by, &error))
    };
    let id = caller
        .change(api, (Address::GATEWAY, what), keeping)
        .await?;
    api.alarms.bell.ring();
    Ok(RuleView { id: id.0, rule })
}

/// Adds a rule. For technicians: of a site there, else everywhere.
#[utoipa::path(post, path = "/api/alarm-rules", tag = "alarms", operation_id = "add_alarm_rule",
    request_body = Rule,
    responses((status = 201, body = RuleView, description = "It is added"), Refused))]
pub(in crate::http::api) async fn add_rule(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(rule): Json<Rule>,
) -> Result<(StatusCode, axum::Json<RuleView>), Problem> {
    let kept = keep_rule(&api, &caller, None, rule).await?;
    Ok((StatusCode::CREATED, axum::Json(kept)))
}

async fn one_rule(api: &Api, caller: &Caller, path: &RulePath) -> Result<Rule, Problem> {
    let rules = api.config.alarm_rules().await;
    let rules = rules.map_err(|error| failed(api, &error))?;
    let none = || Problem::not_found("there is no rule of this number");
    let found = rules.into_iter().find(|it| it.id.0 == path.rule);
    let rule = found.ok_or_else(none)?.rule;
    caller.may(&Deed::PlanAlarms(site_of(&rule)))?;
    Ok(rule)
}

/// Changes a rule. For technicians where it is and where it is to be.
#[utoipa::path(put, path = "/api/alarm-rules/{rule}", tag = "alarms", operation_id = "set_alarm_rule",
    params(RulePath), request_body = Rule,
    responses((status = 200, body = RuleView, description = "It is changed"), Refused))]
pub(in crate::http::api) async fn put_rule(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<RulePath>,
    Json(rule): Json<Rule>,
) -> Result<axum::Json<RuleView>, Problem> {
    one_rule(&api, &caller, &path).await?;
    let kept = keep_rule(&api, &caller, Some(RuleId(path.rule)), rule).await?;
    Ok(axum::Json(kept))
}

/// Removes a rule; what it raised is over.
#[utoipa::path(delete, path = "/api/alarm-rules/{rule}", tag = "alarms", operation_id = "remove_alarm_rule",
    params(RulePath),
    responses((status = 204, description = "It is removed"), Refused))]
pub(in crate::http::api) async fn remove_rule(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<RulePath>,
) -> Result<StatusCode, Problem> {
    let rule = one_rule(&api, &caller, &path).await?;
    let what = format!("remove alarm rule {}", rule.name);
    let by = Arc::clone(&api);
    let removing = async move {
        let removed = by.config.remove_alarm_rule(RuleId(path.rule)).await;
        let none = || Problem::not_found("there is no rule of this number");
        let removed = removed.map_err(|error| failed(&by, &error))?;
        removed.then_some(StatusCode::NO_CONTENT).ok_or_else(none)
    };
    let status = caller
        .change(&api, (Address::GATEWAY, what), removing)
        .await?;
    api.alarms.bell.ring();
    Ok(status)
}

/// What a site has agreed on.
#[derive(Serialize, ToSchema)]
#[schema(as = StoredAlarmPlan)]
pub(in crate::http::api) struct PlanView {
    /// The site; 0 for all that have none of their own.
    site: u32,
    /// The plan.
    plan: Plan,
}

/// Plans.
#[derive(Serialize, ToSchema)]
#[schema(as = AlarmPlans)]
pub(in crate::http::api) struct Plans {
    /// By site.
    plans: Vec<PlanView>,
}

/// A site's plan.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(in crate::http::api) struct PlanPath {
    /// The site's number; 0 for all sites that have no plan of their own.
    #[param(minimum = 0, maximum = 4_294_967_295u32)]
    site: u32,
}

impl PlanPath {
    fn site(&self) -> Option<SiteId> {
        (self.site != 0).then_some(SiteId(self.site))
    }
}

async fn all_plans(api: &Api) -> Result<Vec<PlanView>, Problem> {
    let plans = api.config.alarm_plans().await;
    let plans = plans.map_err(|error| failed(api, &error))?.into_iter();
    let view = plans.map(|it| PlanView {
        site: it.site,
        plan: it.plan,
    });
    Ok(view.collect())
}

fn sees_plan(caller: &Caller, site: u32) -> bool {
    match site {
        0 => caller.login.rights.highest().is_some(),
        site => caller.judged(&Deed::SeeAlarms(Some(SiteId(site)))).is_ok(),
    }
}

/// Who is told after whom, and who is on call: at sites where you have a role, and for all without a plan.
#[utoipa::path(get, path = "/api/alarm-plans", tag = "alarms", operation_id = "list_alarm_plans",
    responses((status = 200, body = Plans, description = "Plans"), Refused))]
pub(in crate::http::api) async fn plans(
    State(api): State<Arc<Api>>,
    caller: Caller,
) -> Result<axum::Json<Plans>, Problem> {
    let mut plans = all_plans(&api).await?;
    plans.retain(|it| sees_plan(&caller, it.site));
    Ok(axum::Json(Plans { plans }))
}

async fn keep_plan(
    api: &Arc<Api>,
    caller: &Caller,
    path: &PlanPath,
    plan: Plan,
    what: String,
) -> Result<axum::Json<PlanView>, Problem> {
    caller.may(&Deed::PlanAlarms(path.site()))?;
    let contacts = all_contacts(api).await?;
    let is_known = |id| contacts.iter().any(|it| it.id == id);
    plan.check(is_known).map_err(invalid)?;
    let (by, site, kept) = (Arc::clone(api), path.site, plan.clone());
    let keeping = async move {
        let kept = by.config.put_alarm_plan(site, kept).await;
        kept.map_err(|error| failed(&by, &error))
    };
    caller
        .change(api, (Address::GATEWAY, what), keeping)
        .await?;
    api.alarms.bell.ring();
    Ok(axum::Json(PlanView { site, plan }))
}

/// Sets a site's plan. For technicians there; the one for all, for technicians everywhere.
#[utoipa::path(put, path = "/api/alarm-plans/{site}", tag = "alarms", operation_id = "set_alarm_plan",
    params(PlanPath), request_body = Plan,
    responses((status = 200, body = PlanView, description = "It is set"), Refused))]
pub(in crate::http::api) async fn put_plan(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<PlanPath>,
    Json(plan): Json<Plan>,
) -> Result<axum::Json<PlanView>, Problem> {
    let what = format!("set the alarm plan of site {}", path.site);
    keep_plan(&api, &caller, &path, plan, what).await
}

/// Removes a site's plan: it follows the one for all from then on.
#[utoipa::path(delete, path = "/api/alarm-plans/{site}", tag = "alarms", operation_id = "remove_alarm_plan",
    params(PlanPath),
    responses((status = 204, description = "It is removed"), Refused))]
pub(in crate::http::api) async fn remove_plan(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<PlanPath>,
) -> Result<StatusCode, Problem> {
    caller.may(&Deed::PlanAlarms(path.site()))?;
    let what = format!("remove the alarm plan of site {}", path.site);
    let by = Arc::clone(&api);
    let removing = async move {
        let removed = by.config.remove_alarm_plan(path.site).await;
        let none = || Problem::not_found("this site has no plan of its own");
        let removed = removed.map_err(|error| failed(&by, &error))?;
        removed.then_some(StatusCode::NO_CONTENT).ok_or_else(none)
    };
    let status = caller
        .change(&api, (Address::GATEWAY, what), removing)
        .await?;
    api.alarms.bell.ring();
    Ok(status)
}

/// Gives somebody else a turn for a while. Exceptions that are over are removed with it.
#[utoipa::path(post, path = "/api/alarm-plans/{site}/overrides", tag = "alarms", operation_id = "override_turn",
    params(PlanPath), request_body = Override,
    responses((status = 200, body = PlanView, description = "They have it"), Refused))]
pub(in crate::http::api) async fn add_override(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<PlanPath>,
    Json(exception): Json<Override>,
) -> Result<axum::Json<PlanView>, Problem> {
    caller.may(&Deed::PlanAlarms(path.site()))?;
    let plans = all_plans(&api).await?;
    let found = plans.into_iter().find(|it| it.site == path.site);
    let none = || Problem::not_found("this site has no plan of its own");
    let mut plan = found.ok_or_else(none)?.plan;
    let contacts = all_contacts(&api).await?;
    let is_known = |id| contacts.iter().any(|it| it.id == id);
    plan.overrides = vec![exception.clone()];
    plan.check(is_known).map_err(invalid)?;
    let what = format!("override turn {} of site {}", exception.turn, path.site);
    let (by, site, now_ms) = (Arc::clone(&api), path.site, crate::clock::time().0);
    let adding = async move {
        let added = by.config.add_alarm_override(site, exception, now_ms).await;
        let none = || Problem::not_found("this site has no plan of its own");
        added.map_err(|error| failed(&by, &error))?.ok_or_else(none)
    };
    let plan = caller
        .change(&api, (Address::GATEWAY, what), adding)
        .await?;
    api.alarms.bell.ring();
    Ok(axum::Json(PlanView { site, plan }))
}

/// From when until when.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct CalendarSpan {
    /// From when.
    #[param(maximum = 9_007_199_254_740_991u64)]
    from_ms: u64,
    /// Until when: a quarter of a year later at most.
    #[param(maximum = 9_007_199_254_740_991u64)]
    until_ms: u64,
}

/// Somebody's shift.
#[derive(Serialize, ToSchema)]
pub(in crate::http::api) struct Shift {
    /// The turn.
    turn: String,
    /// Who.
    contact: u32,
    /// What people call them.
    contact_name: String,
    /// From when.
    from_ms: u64,
    /// Until when.
    until_ms: u64,
    /// It is an exception.
    is_override: bool,
}

/// Who has which turn when.
#[derive(Serialize, ToSchema)]
pub(in crate::http::api) struct Calendar {
    /// Turn by turn, each in the order of time.
    shifts: Vec<Shift>,
}

/// Who is on call when.
#[utoipa::path(get, path = "/api/alarm-plans/{site}/calendar", tag = "alarms", operation_id = "show_calendar",
    params(PlanPath, CalendarSpan),
    responses((status = 200, body = Calendar, description = "Shifts"), Refused))]
pub(in crate::http::api) async fn calendar(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<PlanPath>,
    Parameters(span): Parameters<CalendarSpan>,
) -> Result<axum::Json<Calendar>, Problem> {
    let plans = all_plans(&api).await?;
    let found = plans.into_iter().find(|it| it.site == path.site);
    let none = || Problem::not_found("this site has no plan of its own");
    let seen = found.filter(|it| sees_plan(&caller, it.site));
    let plan = seen.ok_or_else(none)?.plan;
    let length = span.until_ms.checked_sub(span.from_ms);
    let is_good = length.is_some_and(|it| it <= CALENDAR_MS_MAX) && span.until_ms <= TIME_MS_MAX;
    if !is_good {
        let expected = "until_ms: expected a time from from_ms to a quarter of a year later";
        return Err(text::bad_field(expected));
    }
    let contacts = all_contacts(&api).await?;
    let name_of = |id: ContactId| {
        let contact = contacts.iter().find(|it| it.id == id);
        contact
            .map(|it| it.contact.name.clone())
            .unwrap_or_default()
    };
    let mut shifts: Vec<Shift> = Vec::new();
    for turn in &plan.rota {
        let mut from_ms = span.from_ms;
        while from_ms < span.until_ms && shifts.len() < SHIFTS_MAX {
            let Some(on_call) = plan.on_call(&turn.name, from_ms) else {
                break;
            };
            // It ends after it began, or nothing would.
            let until_ms = on_call.until_ms.max(from_ms + 1);
            shifts.push(Shift {
                turn: turn.name.clone(),
                contact: on_call.contact.0,
                contact_name: name_of(on_call.contact),
                from_ms,
                until_ms: until_ms.min(span.until_ms),
                is_override: on_call.is_override,
            });
            from_ms = until_ms;
        }
    }
    Ok(axum::Json(Calendar { shifts }))
}
