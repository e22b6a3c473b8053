//! Alarms: seen, acknowledged, shelved, commented; attempts at telling people; how alarms stand as a whole.
//!
//! What people want of them goes by the store to the gateway whose chore they are, so that it is not lost with a
//! process; the answer waits a moment for what came of it.

pub(super) mod people;
mod view;

use super::{
    Refused,
    caller::{Caller, Json, Parameters, Place, failed},
    rights::Deed,
    text,
};
use crate::{
    alarm::model::{Alarm, AlarmId, AttemptId},
    http::{Api, problem::Problem},
    store::{
        AlarmFilter, AlarmWish, AttemptFilter, BySeverity, COMMENT_BYTES_MAX, StoreError,
        WISHED_ALARMS_MAX, WishedAlarms,
    },
};
use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use switchyard_protocol::{Address, Code, SiteId};
use tokio::time::Instant;
use utoipa::{
    IntoParams, ToSchema,
    openapi::{
        ObjectBuilder,
        schema::{Array, ArrayBuilder, SchemaType, Type},
    },
};
use view::{AlarmView, AttemptView, NoteView, People};

/// Alarms on a page unless another number is asked for, and the most.
const PAGE: (u32, u32) = (100, 1_000);
/// The longest that an answer waits for something new, in seconds.
const WAIT_S_MAX: u32 = 25;
/// How often the store is asked meanwhile where this process is not in charge.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long an answer waits for what people want to be taken.
const TAKEN_PATIENCE: Duration = Duration::from_secs(3);
/// Notes and attempts of one alarm that are shown.
const HISTORY_MAX: u32 = 500;
/// The highest number of anything: the largest whole number that every JSON reader has.
const NUMBER_MAX: u64 = crate::alarm::shape::TIME_MS_MAX;
/// The longest shelf: a month.
const SHELF_MS_MAX: u64 = 31 * 24 * 60 * 60 * 1_000;

/// Which alarms are asked for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Choice {
    /// Those that are open, or those that are over; both without.
    open: Option<bool>,
    /// Those of a site.
    #[param(minimum = 1, maximum = 4_294_967_295u32)]
    site: Option<u32>,
    /// Those of a controller.
    #[param(minimum = 1, maximum = 2_147_483_647)]
    controller: Option<u32>,
    /// Only alarms of lower numbers: `next` of the page before.
    #[param(minimum = 1, maximum = 9_007_199_254_740_991u64)]
    before: Option<u64>,
    /// How many at most.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// What was seen last: the answer waits until there is more than that, or `wait_s` is over.
    #[param(maximum = 9_007_199_254_740_991u64)]
    revision: Option<u64>,
    /// How long to wait, in seconds.
    #[param(maximum = 25)]
    wait_s: Option<u32>,
}

/// Some alarms.
#[derive(Serialize, ToSchema)]
pub(super) struct Alarms {
    /// Of open ones the gravest first, then the latest; of others the latest first.
    alarms: Vec<AlarmView>,
    /// Rises whenever anything changes.
    revision: u64,
    /// `before` of the next page, where there is one.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

/// Alarms at the sites where you have a role. With `revision` and `wait_s` the answer waits for something new.
#[utoipa::path(get, path = "/api/alarms", tag = "alarms", operation_id = "list_alarms",
    params(Choice),
    responses((status = 200, body = Alarms, description = "Alarms"), Refused))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Parameters(choice): Parameters<Choice>,
) -> Result<axum::Json<Alarms>, Problem> {
    let limit = text::limit(choice.limit, PAGE)?;
    in_range("site", choice.site.map(u64::from), (1, u64::from(u32::MAX)))?;
    in_range(
        "controller",
        choice.controller.map(u64::from),
        (1, 0x7FFF_FFFF),
    )?;
    in_range("before", choice.before, (1, NUMBER_MAX))?;
    in_range("revision", choice.revision, (0, NUMBER_MAX))?;
    let wait_s = choice.wait_s.unwrap_or(0);
    if wait_s > WAIT_S_MAX {
        let expected = format!("wait_s: expected at most {WAIT_S_MAX}");
        return Err(Problem::bad_request(&expected));
    }
    let filter = AlarmFilter {
        is_open: choice.open,
        sites: seen_sites(&caller, choice.site),
        controller: choice.controller,
        ..AlarmFilter::default()
    };
    let wait = Duration::from_secs(wait_s.into());
    let revision = match choice.revision {
        Some(revision) => wait_for_news(&api, revision, wait).await?,
        None => current(&api).await?,
    };
    let before = choice.before.map(AlarmId);
    let page = api.config.alarms(filter, before, limit).await;
    let mut page = page.map_err(|error| failed(&api, &error))?;
    let next = (page.len() == limit as usize)
        .then(|| page.last().map(|it| it.id.0))
        .flatten();
    if choice.open == Some(true) {
        page.sort_by_key(|it| std::cmp::Reverse((it.severity, it.since_ms, it.id)));
    }
    let people = People::read(&api).await?;
    let parts = parts_of(&page);
    let alarms = page
        .iter()
        .map(|it| view::alarm(it, &people, &parts))
        .collect();
    Ok(axum::Json(Alarms {
        alarms,
        revision,
        next,
    }))
}

/// Numbers of alarms.
fn alarm_ids() -> Array {
    let id = ObjectBuilder::new()
        .schema_type(SchemaType::Type(Type::Integer))
        .minimum(Some(1))
        .maximum(Some(NUMBER_MAX));
    ArrayBuilder::new()
        .items(id)
        .min_items(Some(1))
        .max_items(Some(WISHED_ALARMS_MAX))
        .build()
}

/// Whether a number may be one, where there is any.
fn in_range(field: &str, given: Option<u64>, (least, most): (u64, u64)) -> Result<(), Problem> {
    match given.is_none_or(|it| (least..=most).contains(&it)) {
        true => Ok(()),
        false => Err(Problem::bad_request(&format!(
            "{field}: expected {least} to {most}"
        ))),
    }
}

/// At which sites a caller sees alarms: everywhere with `None`.
fn seen_sites(caller: &Caller, wanted: Option<u32>) -> Option<BTreeSet<u32>> {
    let rights = &caller.login.rights;
    if let Some(site) = wanted {
        let is_seen = rights.role_at(Some(SiteId(site))).is_some();
        return Some(is_seen.then_some(site).into_iter().collect());
    }
    match rights.role_at(None) {
        Some(_) => None,
        None => Some(rights.roles().map(|(site, _)| site.0).collect()),
    }
}

fn parts_of(alarms: &[Alarm]) -> BTreeMap<AlarmId, usize> {
    let mut parts = BTreeMap::new();
    for whole in alarms.iter().filter_map(|it| it.part_of) {
        *parts.entry(whole).or_default() += 1;
    }
    parts
}

async fn current(api: &Api) -> Result<u64, Problem> {
    let pulse = api.config.alarm_pulse().await;
    Ok(pulse.map_err(|error| failed(api, &error))?.alarms)
}

/// Waits until there is more than that.
async fn wait_for_news(api: &Api, seen: u64, wait: Duration) -> Result<u64, Problem> {
    let until = Instant::now() + wait;
    let mut standing = api.alarms.standing.clone();
    loop {
        standing.borrow_and_update();
        let revision = current(api).await?;
        // Lower than what was seen: it is another store by now.
        if revision != seen || Instant::now() >= until {
            return Ok(revision);
        }
        tokio::select! {
            () = api.stopping.cancelled() => return Ok(revision),
            () = tokio::time::sleep_until(until.min(Instant::now() + LOOK_INTERVAL)) => {}
            // Without a sender there is no news of this process's own.
            changed = standing.changed() => if changed.is_err() {
                tokio::time::sleep(LOOK_INTERVAL).await;
            },
        }
    }
}

/// One alarm.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct AlarmPath {
    /// Its number.
    #[param(minimum = 1, maximum = 9_007_199_254_740_991u64)]
    alarm: u64,
}

/// An alarm and what became of it.
#[derive(Serialize, ToSchema)]
pub(super) struct AlarmHistory {
    /// The alarm.
    alarm: AlarmView,
    /// What is written down about it, in its order; the latest 500.
    notes: Vec<NoteView>,
    /// Attempts at telling people, the latest first.
    attempts: Vec<AttemptView>,
}

/// An alarm, with all that became of it.
#[utoipa::path(get, path = "/api/alarms/{alarm}", tag = "alarms", operation_id = "show_alarm",
    params(AlarmPath),
    responses((status = 200, body = AlarmHistory, description = "The alarm"), Refused))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<AlarmPath>,
) -> Result<axum::Json<AlarmHistory>, Problem> {
    let alarm = visible(&api, &caller, AlarmId(path.alarm)).await?;
    let id = alarm.id;
    let notes = api.config.alarm_notes(id, HISTORY_MAX).await;
    let notes = notes.map_err(|error| failed(&api, &error))?;
    let filter = AttemptFilter {
        alarm: Some(id),
        ..AttemptFilter::default()
    };
    let attempts = api.config.alarm_attempts(filter, None, HISTORY_MAX).await;
    let attempts = attempts.map_err(|error| failed(&api, &error))?;
    let people = People::read(&api).await?;
    let sees_contacts = caller.judged(&Deed::SeeContacts).is_ok();
    Ok(axum::Json(AlarmHistory {
        alarm: view::alarm(&alarm, &people, &BTreeMap::new()),
        notes: notes.iter().map(|it| view::note(it, &people)).collect(),
        attempts: attempts
            .iter()
            .map(|it| view::attempt(it, sees_contacts))
            .collect(),
    }))
}

/// An alarm that a caller may see.
async fn visible(api: &Api, caller: &Caller, id: AlarmId) -> Result<Alarm, Problem> {
    let none = || Problem::not_found("there is no alarm of this number");
    let alarm = api.config.alarm(id).await;
    let alarm = alarm
        .map_err(|error| failed(api, &error))?
        .ok_or_else(none)?;
    let site = alarm.site.map(SiteId);
    match caller.judged(&Deed::SeeAlarms(site)) {
        Ok(()) => Ok(alarm),
        Err(Code::UnknownAddress) => Err(none()),
        Err(code) => Err(Problem::from(code).denied()),
    }
}

/// Alarms that somebody has heard of.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Acknowledging {
    /// Which.
    #[schema(schema_with = alarm_ids)]
    alarms: Vec<u64>,
    /// A word about it, 1 to 500 bytes.
    #[schema(nullable = false, min_length = 1, max_length = 500)]
    comment: Option<String>,
}

/// Alarms that nobody is to be told of for a while.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Shelving {
    /// Which.
    #[schema(schema_with = alarm_ids)]
    alarms: Vec<u64>,
    /// Until when; a month from now at most.
    #[schema(maximum = 9_007_199_254_740_991u64)]
    until_ms: u64,
    /// A word about it, 1 to 500 bytes.
    #[schema(nullable = false, min_length = 1, max_length = 500)]
    comment: Option<String>,
}

/// Alarms that people are to be told of again.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Unshelving {
    /// Which.
    #[schema(schema_with = alarm_ids)]
    alarms: Vec<u64>,
}

/// A word about alarms.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Commenting {
    /// Which.
    #[schema(schema_with = alarm_ids)]
    alarms: Vec<u64>,
    /// What, 1 to 500 bytes.
    #[schema(min_length = 1, max_length = 500)]
    text: String,
}

/// Alarms after something was wanted of them.
#[derive(Serialize, ToSchema)]
pub(super) struct Handled {
    /// As they are now.
    alarms: Vec<AlarmView>,
}

type HandledAnswer = Result<(StatusCode, axum::Json<Handled>), Problem>;

/// Says that somebody has heard of alarms and looks after them: nobody else is told any more. For operators.
#[utoipa::path(post, path = "/api/alarms/acknowledge", tag = "alarms", operation_id = "acknowledge_alarms",
    request_body = Acknowledging,
    responses(
        (status = 200, body = Handled, description = "They are acknowledged"),
        (status = 202, body = Handled, description = "It is kept, and will be as soon as a gateway is in charge"),
        Refused))]
pub(super) async fn acknowledge(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(body): Json<Acknowledging>,
) -> HandledAnswer {
    let alarms = ids(body.alarms)?;
    let wish = AlarmWish::Acknowledge {
        alarms: alarms.clone(),
    };
    handle(&api, &caller, alarms, wish, body.comment, "acknowledge").await
}

/// Has nobody told of alarms until a time; then people are, where it is still so. For operators.
#[utoipa::path(post, path = "/api/alarms/shelve", tag = "alarms", operation_id = "shelve_alarms",
    request_body = Shelving,
    responses(
        (status = 200, body = Handled, description = "They are shelved"),
        (status = 202, body = Handled, description = "It is kept, and will be as soon as a gateway is in charge"),
        Refused))]
pub(super) async fn shelve(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(body): Json<Shelving>,
) -> HandledAnswer {
    let now_ms = crate::clock::time().0;
    if !(now_ms..=now_ms + SHELF_MS_MAX).contains(&body.until_ms) {
        let expected = "until_ms: expected a time from now on, a month ahead at most";
        return Err(text::bad_field(expected));
    }
    let alarms = ids(body.alarms)?;
    let wish = AlarmWish::Shelve {
        alarms: alarms.clone(),
        until_ms: body.until_ms,
    };
    handle(&api, &caller, alarms, wish, body.comment, "shelve").await
}

/// Takes alarms from the shelf. For operators.
#[utoipa::path(post, path = "/api/alarms/unshelve", tag = "alarms", operation_id = "unshelve_alarms",
    request_body = Unshelving,
    responses(
        (status = 200, body = Handled, description = "People are told of them again"),
        (status = 202, body = Handled, description = "It is kept, and will be as soon as a gateway is in charge"),
        Refused))]
pub(super) async fn unshelve(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(body): Json<Unshelving>,
) -> HandledAnswer {
    let alarms = ids(body.alarms)?;
    let wish = AlarmWish::Unshelve {
        alarms: alarms.clone(),
    };
    handle(&api, &caller, alarms, wish, None, "unshelve").await
}

/// Writes a word about alarms. For operators.
#[utoipa::path(post, path = "/api/alarms/comment", tag = "alarms", operation_id = "comment_alarms",
    request_body = Commenting,
    responses(
        (status = 200, body = Handled, description = "It is written down"),
        (status = 202, body = Handled, description = "It is kept, and will be as soon as a gateway is in charge"),
        Refused))]
pub(super) async fn comment(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(body): Json<Commenting>,
) -> HandledAnswer {
    let alarms = ids(body.alarms)?;
    let wish = AlarmWish::Comment {
        alarms: alarms.clone(),
    };
    handle(&api, &caller, alarms, wish, Some(body.text), "comment on").await
}

fn ids(given: Vec<u64>) -> Result<Vec<AlarmId>, Problem> {
    let is_good = |id: &u64| (1..=NUMBER_MAX).contains(id);
    match (1..=WISHED_ALARMS_MAX).contains(&given.len()) && given.iter().all(is_good) {
        true => Ok(given.into_iter().map(AlarmId).collect()),
        false => Err(text::bad_field(&format!(
            "alarms: expected 1 to {WISHED_ALARMS_MAX} numbers"
        ))),
    }
}

/// Has something done to alarms: all of them must be the caller's to handle.
async fn handle(
    api: &Arc<Api>,
    caller: &Caller,
    alarms: Vec<AlarmId>,
    wish: AlarmWish,
    comment: Option<String>,
    verb: &str,
) -> HandledAnswer {
    let comment = comment.map(comment_text).transpose()?;
    for id in &alarms {
        let alarm = visible(api, caller, *id).await?;
        caller.may(&Deed::HandleAlarms(alarm.site.map(SiteId)))?;
    }
    let what = match &alarms[..] {
        [one] => format!("{verb} alarm {one}"),
        many => format!("{verb} {} alarms", many.len()),
    };
    let is_taken = wish_for(api, caller, what, wish, comment).await?;
    let people = People::read(api).await?;
    let mut now = Vec::with_capacity(alarms.len());
    for id in alarms {
        let alarm = api.config.alarm(id).await;
        now.extend(alarm.map_err(|error| failed(api, &error))?);
    }
    let parts = parts_of(&now);
    let status = match is_taken {
        true => StatusCode::OK,
        false => StatusCode::ACCEPTED,
    };
    let alarms = now
        .iter()
        .map(|it| view::alarm(it, &people, &parts))
        .collect();
    Ok((status, axum::Json(Handled { alarms })))
}

fn comment_text(text: String) -> Result<String, Problem> {
    let is_good = !text.trim().is_empty()
        && text.len() <= COMMENT_BYTES_MAX
        && !text.chars().any(char::is_control);
    is_good.then_some(text).ok_or_else(|| {
        text::bad_field(&format!(
            "comment: expected 1 to {COMMENT_BYTES_MAX} bytes without control characters"
        ))
    })
}

/// Keeps what somebody wants, and waits a moment for it to be taken; whether it is.
async fn wish_for(
    api: &Arc<Api>,
    caller: &Caller,
    what: String,
    wish: AlarmWish,
    comment: Option<String>,
) -> Result<bool, Problem> {
    let wished = WishedAlarms {
        wish,
        comment,
        account: text::by(&caller.login.account),
        at_ms: crate::clock::time().0,
    };
    let mut standing = api.alarms.standing.clone();
    let by = Arc::clone(api);
    let adding = async move {
        let added = by.config.add_alarm_wish(wished).await;
        added.map_err(|error| match error {
            // Too many wait: nobody is in charge.
            StoreError::Full { .. } => Problem::from(Code::Busy),
            error => failed(&by, &error),
        })
    };
    let place = caller.change(api, (Address::GATEWAY, what), adding).await?;
    api.alarms.bell.ring();
    let until = Instant::now() + TAKEN_PATIENCE;
    loop {
        standing.borrow_and_update();
        let waits = api.config.alarm_wish_waits(place).await;
        if !waits.map_err(|error| failed(api, &error))? {
            return Ok(true);
        }
        if Instant::now() >= until {
            return Ok(false);
        }
        let soon = until.min(Instant::now() + Duration::from_millis(200));
        tokio::select! {
            () = tokio::time::sleep_until(soon) => {}
            changed = standing.changed() => if changed.is_err() {
                tokio::time::sleep_until(soon).await;
            },
        }
    }
}

/// Which attempts are asked for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct AttemptChoice {
    /// Those at a contact.
    #[param(minimum = 1, maximum = 4_294_967_295u32)]
    contact: Option<u32>,
    /// Only attempts of lower numbers.
    #[param(minimum = 1, maximum = 9_007_199_254_740_991u64)]
    before: Option<u64>,
    /// How many at most.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// Some attempts.
#[derive(Serialize, ToSchema)]
pub(super) struct Attempts {
    /// The latest first.
    attempts: Vec<AttemptView>,
}

/// Who was told when, by what, and what they pressed. For technicians.
#[utoipa::path(get, path = "/api/attempts", tag = "alarms", operation_id = "list_attempts",
    params(AttemptChoice),
    responses((status = 200, body = Attempts, description = "Attempts"), Refused))]
pub(super) async fn attempts(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Parameters(choice): Parameters<AttemptChoice>,
) -> Result<axum::Json<Attempts>, Problem> {
    caller.may(&Deed::SeeContacts)?;
    let limit = text::limit(choice.limit, PAGE)?;
    in_range(
        "contact",
        choice.contact.map(u64::from),
        (1, u64::from(u32::MAX)),
    )?;
    in_range("before", choice.before, (1, NUMBER_MAX))?;
    let filter = AttemptFilter {
        contact: choice.contact.map(crate::alarm::people::ContactId),
        ..AttemptFilter::default()
    };
    let page = api
        .config
        .alarm_attempts(filter, choice.before.map(AttemptId), limit)
        .await;
    let page = page.map_err(|error| failed(&api, &error))?;
    Ok(axum::Json(Attempts {
        attempts: page.iter().map(|it| view::attempt(it, true)).collect(),
    }))
}

/// A way of telling people.
#[derive(Serialize, ToSchema)]
pub(super) struct ChannelView {
    /// Which.
    channel: crate::alarm::model::Channel,
    /// Whether it worked when it was looked at last.
    is_in_order: bool,
    /// Why not.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Somebody who is on call now.
#[derive(Serialize, ToSchema)]
pub(super) struct OnCallView {
    /// At which site; 0 for all that have no plan of their own.
    site: u32,
    /// The turn.
    turn: String,
    /// Who.
    contact: u32,
    /// What people call them.
    contact_name: String,
    /// Until when.
    until_ms: u64,
    /// It is an exception.
    is_override: bool,
}

/// How alarms stand as a whole.
#[derive(Serialize, ToSchema)]
pub(super) struct Overview {
    /// Whether a gateway is in charge of alarms at this moment: this one, or another one of the same status store.
    is_watched: bool,
    /// Ways of telling people that are set up here, or at the gateway in charge.
    channels: Vec<ChannelView>,
    /// Who is on call.
    on_call: Vec<OnCallView>,
    /// Open alarms.
    open: BySeverity,
    /// Of those, the ones that nobody has heard of.
    unacknowledged: BySeverity,
    /// What should be set up and is not.
    warnings: Vec<String>,
}

/// Who is on call, what is open, and whether anybody can be told at all.
#[utoipa::path(get, path = "/api/alarm-overview", tag = "alarms", operation_id = "show_alarm_overview",
    responses((status = 200, body = Overview, description = "How alarms stand"), Refused))]
pub(super) async fn overview(
    State(api): State<Arc<Api>>,
    caller: Caller,
) -> Result<axum::Json<Overview>, Problem> {
    let counts = api.config.alarm_counts(seen_sites(&caller, None)).await;
    let counts = counts.map_err(|error| failed(&api, &error))?;
    let people = People::read(&api).await?;
    let now_ms = crate::clock::time().0;
    let mut on_call = Vec::new();
    for (site, plan) in &people.plans {
        let is_seen = match site {
            0 => caller.login.rights.highest().is_some(),
            site => caller.judged(&Deed::SeeAlarms(Some(SiteId(*site)))).is_ok(),
        };
        for turn in plan.rota.iter().filter(|_| is_seen) {
            if let Some(it) = plan.on_call(&turn.name, now_ms) {
                on_call.push(OnCallView {
                    site: *site,
                    turn: turn.name.clone(),
                    contact: it.contact.0,
                    contact_name: people.name(it.contact),
                    until_ms: it.until_ms,
                    is_override: it.is_override,
                });
            }
        }
    }
    let standing = api.alarms.stand().await;
    let sees_contacts = caller.judged(&Deed::SeeContacts).is_ok();
    // What the gateway in charge has looked at, and what is set up here: usually the same.
    let mut channels: BTreeMap<_, _> = api.alarms.channels.iter().map(|it| (*it, None)).collect();
    channels.extend(standing.faults);
    let channels: Vec<_> = channels
        .into_iter()
        .map(|(channel, reason)| ChannelView {
            channel,
            is_in_order: reason.is_none(),
            // Servers repeat numbers, and name themselves, in their words.
            reason: reason.filter(|_| sees_contacts),
        })
        .collect();
    let mut warnings = Vec::new();
    let everywhere = people
        .plans
        .get(&0)
        .is_some_and(|plan| !plan.chain.is_empty());
    if !everywhere {
        warnings.push("no plan says who is told at sites without one of their own".to_owned());
    }
    if channels.is_empty() {
        warnings.push("no way of telling people is set up at this gateway".to_owned());
    }
    Ok(axum::Json(Overview {
        is_watched: standing.is_owner,
        channels,
        on_call,
        open: counts.open,
        unacknowledged: counts.unheard,
        warnings,
    }))
}
