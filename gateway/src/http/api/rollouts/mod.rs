//! Roll-outs: begun, watched, and told what people want of them. All of that goes by the store, to the
//! gateway whose chore they are.

mod terms;

use super::{
    Refused,
    caller::{Caller, Json, Parameters, Place, failed},
    rights::Deed,
    text,
};
use crate::{
    fleet::{
        order::{self, Chosen, Forecast, Goods, OrderError},
        rollout::{
            CONTROLLERS_MAX, Control, Entry, Halt, Phase, Previous, ReleaseKind, TermsError,
        },
        values::Values,
    },
    http::{Api, problem::Problem},
    store::{RolloutId, Selection, StoreError, StoredRollout, select_all},
};
use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};
use switchyard_protocol::{Address, Code, SiteId, message::ValueType};
use terms::TermsView;
use utoipa::{
    IntoParams, ToSchema,
    openapi::schema::{Array, ArrayBuilder, ObjectBuilder, Type},
};

/// Roll-outs on a page unless another number is asked for.
const PAGE_DEFAULT: u32 = 20;
/// The most on a page.
const PAGE_MAX: u32 = 100;
/// Controllers of a roll-out on a page unless another number is asked for.
const ENTRIES_DEFAULT: u32 = 100;
/// The most on a page.
const ENTRIES_MAX: u32 = 1_000;
/// Addresses in one body: more are a tag or a site. They fit 64 KiB.
const LISTED_MAX: usize = 5_000;
/// Controllers of all roll-outs on a page of the list, the first one's aside: it is looked up where they belong. As many
/// as one roll-out may have take a fifth of a second.
const JUDGED_MAX: u32 = CONTROLLERS_MAX as u32;

/// What people may want.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Wanted {
    /// Begin with no further controllers; those that have begun go on.
    Pause,
    /// Go on, also after a halt: what has gone wrong so far is then forgiven.
    Resume,
    /// Break it off: trials are ended, what is kept stays.
    Abort,
    /// Bring every controller back to what it had.
    RollBack,
}

impl From<Wanted> for Control {
    fn from(wanted: Wanted) -> Self {
        match wanted {
            Wanted::Pause => Control::Pause,
            Wanted::Resume => Control::Resume,
            Wanted::Abort => Control::Abort,
            Wanted::RollBack => Control::RollBack,
        }
    }
}

/// What a parameter is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewValue {
    /// Its name.
    #[schema(pattern = "^[A-Za-z_][A-Za-z0-9_]{0,23}$")]
    name: String,
    /// Its type in the script.
    r#type: TypeName,
    /// A whole number; thousandths of a `num`, milliseconds of a `time`, 0 or 1 of a `bool`.
    #[schema(minimum = -2_147_483_648i64, maximum = 2_147_483_647)]
    value: i32,
}

/// A type of a script's values.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ValueType)]
pub(super) enum TypeName {
    /// 0 or 1.
    Bool,
    /// A whole number.
    Int,
    /// Thousandths.
    Num,
    /// Milliseconds.
    Time,
}

impl From<TypeName> for ValueType {
    fn from(it: TypeName) -> Self {
        match it {
            TypeName::Bool => ValueType::Bool,
            TypeName::Int => ValueType::Int,
            TypeName::Num => ValueType::Num,
            TypeName::Time => ValueType::Time,
        }
    }
}

/// What goes where: exactly one of `script`, `parameters`, `firmware` and `digest`, and exactly one of `site`, `tag` and `controllers`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Order {
    /// A script of the library, by its name.
    #[schema(nullable = false, pattern = "^[a-z0-9_-]{1,64}$")]
    script: Option<String>,
    /// Its version; the newest unless given.
    #[schema(nullable = false, minimum = 1, maximum = 4_294_967_295u32)]
    version: Option<u32>,
    /// Values of parameters, each once; set by commands, without a trial.
    #[schema(nullable = false, min_items = 1, max_items = 128)]
    parameters: Option<Vec<NewValue>>,
    /// A firmware of the library: a board, with `@` and a version where it is not the newest. Controllers with another
    /// board are passed over.
    #[schema(nullable = false, pattern = "^[a-z0-9_-]{1,64}(@[0-9.]{5,13})?$")]
    firmware: Option<String>,
    /// Anything that is kept, by its digest.
    #[schema(nullable = false, pattern = "^[0-9a-f]{64}$")]
    digest: Option<String>,
    /// The controllers of this site.
    #[schema(nullable = false, minimum = 1, maximum = 4_294_967_295u32)]
    site: Option<u32>,
    /// The controllers with this tag that you may see.
    #[schema(nullable = false, min_length = 1, max_length = 64)]
    tag: Option<String>,
    /// These controllers; the first of them come first.
    #[schema(schema_with = listed, required = false)]
    controllers: Option<Vec<u32>>,
    /// What people will call it; what is rolled out unless given.
    #[schema(nullable = false, min_length = 1, max_length = 64)]
    title: Option<String>,
    /// Its terms.
    #[serde(default)]
    terms: TermsView,
}

/// What the macros cannot say: how large the items of a list are.
fn listed() -> Array {
    let address = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(1))
        .maximum(Some(Address::CONTROLLER_MAX.0));
    ArrayBuilder::new()
        .items(address)
        .min_items(Some(1))
        .max_items(Some(LISTED_MAX))
        .description(Some("These controllers; the first of them come first."))
        .build()
}

/// Where a roll-out stands.
#[derive(Serialize, ToSchema)]
#[schema(as = Rollout)]
pub(super) struct RolloutView {
    /// Its number, 1 and up; never given twice.
    #[schema(minimum = 1, maximum = 4_294_967_295u32)]
    rollout: u32,
    /// What people call it.
    title: String,
    /// Who began it: an account, or `command line`.
    by: String,
    /// When.
    began: u64,
    /// `script`, `parameters` or `firmware`.
    kind: &'static str,
    /// What is rolled out, by its digest.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    digest: String,
    /// `running`, `paused`, `halted`, `aborting`, `rolling_back`, `done`, `aborted` or `rolled_back`.
    phase: String,
    /// Why it was halted last, if ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    halt: Option<HaltView>,
    /// 0 is the canary, then come the steps of the terms.
    step: u32,
    /// When absent controllers are waited for no longer.
    deadline: u64,
    /// How many controllers it is about.
    controllers: u32,
    /// How many of them are at each stage; stages without any are left out.
    stages: BTreeMap<&'static str, u32>,
    /// Its terms.
    terms: TermsView,
}

/// Why a roll-out was halted.
#[derive(Serialize, ToSchema)]
#[schema(as = Halt)]
pub(super) struct HaltView {
    /// `faulty`, `lost`, `failed_trials` or `refused`.
    rule: &'static str,
    /// While the canary was on.
    in_canary: bool,
    /// So many controllers.
    bad: u32,
    /// Of so many that it was sent to.
    of: u32,
}

impl From<Halt> for HaltView {
    fn from(it: Halt) -> Self {
        HaltView {
            rule: it.rule.name(),
            in_canary: it.in_canary,
            bad: it.bad,
            of: it.of,
        }
    }
}

fn phase_name(phase: Phase) -> String {
    phase.name().replace(' ', "_")
}

impl From<StoredRollout> for RolloutView {
    fn from(it: StoredRollout) -> Self {
        let head = &it.head;
        let stages = it.stages.iter();
        RolloutView {
            rollout: it.id.0,
            title: it.about.title.to_string(),
            by: text::by(&it.about.by),
            began: it.about.began.0,
            kind: match head.terms().release.kind {
                ReleaseKind::Script => "script",
                ReleaseKind::Parameters => "parameters",
                ReleaseKind::Firmware => "firmware",
            },
            digest: head.terms().release.digest.to_string(),
            phase: phase_name(head.phase()),
            halt: head.halt().map(HaltView::from),
            step: head.step(),
            deadline: head.deadline().0,
            controllers: head.controllers(),
            stages: stages
                .map(|(stage, count)| (stage.name(), *count))
                .collect(),
            terms: head.terms().into(),
        }
    }
}

/// Some roll-outs.
#[derive(Serialize, ToSchema)]
#[schema(as = Rollouts)]
pub(super) struct Page {
    /// The newest first.
    items: Vec<RolloutView>,
    /// What to give as `before` for those that follow; absent on the last page. A page may hold fewer than
    /// asked for, or none, though others follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<u32>,
}

/// A controller of a roll-out.
#[derive(Serialize, ToSchema)]
#[schema(as = RolloutController)]
pub(super) struct EntryView {
    /// Its place in the list, from 0.
    position: u32,
    /// Its address.
    #[schema(minimum = 1, maximum = 2_147_483_647)]
    controller: u32,
    /// `pending`, `inspecting`, `sending`, `on_trial`, `keeping`, `soaking`, `returning`; or where it ended:
    /// `kept`, `skipped`, `reverted`, `left`, `failed` or `absent`.
    stage: &'static str,
    /// Why it is there, where there is something to say: `matches`, `other_board`, `nothing_to_go_back_to`,
    /// `changed_elsewhere`, `other_trial`, `refused`, `unreached`, `trial_failed`, `faulty`, `link_lost`,
    /// `deadline`, `trial_broken_off` or `rolled_back`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<&'static str>,
    /// The same in somebody's words, such as where the script does not compile.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    words: Option<String>,
    /// What it had before, by its digest, once that is known and if there was any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, pattern = "^[0-9a-f]{64}$")]
    previous: Option<String>,
    /// Whether it was sent anything.
    touched: bool,
}

impl From<Entry> for EntryView {
    fn from(it: Entry) -> Self {
        let previous = it.previous().and_then(Previous::digest);
        EntryView {
            position: it.position(),
            controller: it.address(),
            stage: it.stage().name(),
            reason: it.reason().map(|reason| reason.name()),
            words: it.reason().and_then(|it| it.words()).map(str::to_owned),
            previous: previous.map(|digest| digest.to_string()),
            touched: it.was_touched(),
        }
    }
}

/// Some controllers of a roll-out.
#[derive(Serialize, ToSchema)]
#[schema(as = RolloutControllers)]
pub(super) struct EntryPage {
    /// In the order of the list.
    items: Vec<EntryView>,
    /// What to give as `after` for those that follow; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<u32>,
}

/// What a roll-out would come to, as far as is known.
#[derive(Serialize, ToSchema)]
#[schema(as = Forecast)]
pub(super) struct ForecastView {
    /// What would be rolled out, by its digest.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    digest: String,
    /// How many controllers it is about.
    controllers: u32,
    /// Those that were last seen to run something else.
    outdated: u32,
    /// Those that were last seen to run it.
    current: u32,
    /// Those of which it is not known what they run.
    unknown: u32,
}

/// A roll-out that was begun.
#[derive(Serialize, ToSchema)]
pub(super) struct Begun {
    /// Its number.
    #[schema(minimum = 1, maximum = 4_294_967_295u32)]
    rollout: u32,
}

/// One roll-out.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct RolloutPath {
    /// Its number.
    #[param(minimum = 1, maximum = 4_294_967_295u32)]
    rollout: u32,
}

/// Which roll-outs.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct WhichRollouts {
    /// `next` of the page before.
    #[param(
        required = false,
        nullable = false,
        minimum = 1,
        maximum = 4_294_967_295u32
    )]
    before: Option<u32>,
    /// How many at most.
    #[param(required = false, nullable = false, minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// Whether only those that have not ended.
    #[param(required = false, nullable = false)]
    open: Option<bool>,
}

/// Which controllers of a roll-out.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct WhichEntries {
    /// `next` of the page before.
    #[param(
        required = false,
        nullable = false,
        minimum = 0,
        maximum = 4_294_967_295u32
    )]
    after: Option<u32>,
    /// How many at most.
    #[param(required = false, nullable = false, minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
}

/// What is wanted of a roll-out.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wish {
    /// What.
    want: Wanted,
}

/// The roll-outs that you may see, page by page: those all of whose controllers you may see.
#[utoipa::path(get, path = "/api/rollouts", tag = "rollouts", operation_id = "list_rollouts",
    params(WhichRollouts),
    responses((status = 200, body = Page, description = "A page of them"), Refused))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Parameters(which): Parameters<WhichRollouts>,
) -> Result<axum::Json<Page>, Problem> {
    let limit = text::limit(which.limit, (PAGE_DEFAULT, PAGE_MAX))?;
    if which.before == Some(0) {
        return Err(Problem::bad_request(
            "before: expected a roll-out's number, 1 and up",
        ));
    }
    let (open, before) = (which.open == Some(true), which.before.map(RolloutId));
    let found = api.config.rollouts(open, before, limit).await;
    let found = found.map_err(|error| failed(&api, &error))?;
    let mut next = None;
    if found.len() == limit as usize {
        next = found.last().map(|rollout| rollout.id.0);
    }
    let mut items = Vec::new();
    let (mut judged, mut last) = (0, None);
    for rollout in found {
        judged += rollout.head.controllers();
        // Not of the first, so that each page comes further than the one before.
        if judged > JUDGED_MAX && last.is_some() {
            next = last;
            break;
        }
        last = Some(rollout.id.0);
        if judge(&api, &caller, &rollout, Deed::SeeController)
            .await?
            .is_ok()
        {
            items.push(rollout.into());
        }
    }
    Ok(axum::Json(Page { items, next }))
}

/// Begins a roll-out. For technicians at each site that it touches.
#[utoipa::path(post, path = "/api/rollouts", tag = "rollouts", operation_id = "begin_rollout",
    request_body = Order,
    responses((status = 201, body = Begun, description = "It is begun within seconds"), Refused))]
pub(super) async fn begin(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(mut body): Json<Order>,
) -> Result<(StatusCode, axum::Json<Begun>), Problem> {
    let terms = std::mem::take(&mut body.terms);
    let title = body.title.as_deref();
    let title = title.map(|title| text::title("title", title)).transpose()?;
    let (goods, controllers) = understood(&api, &caller, &body).await?;
    let title = match title {
        Some(title) => title,
        None => goods.title().map_err(|_| Problem::from(Code::Internal))?,
    };
    let (account, now) = (caller.login.account.clone(), crate::clock::time());
    let (terms, about) = (terms.terms(goods.release), (title, account.clone()));
    let count = controllers.len();
    let text = format!("begin a roll-out of {} to {count} controllers", goods.name);
    let by = Arc::clone(&api);
    let beginning = async move {
        let placed = order::place(&*by.config, goods, about, (terms, &controllers), now).await;
        let id = placed.map_err(|error| refused(&by, &error))?;
        by.rollouts.ring();
        tracing::info!(%account, rollout = %id, controllers = count, "began a roll-out");
        Ok(id)
    };
    let id = caller
        .change(&api, (Address::GATEWAY, text), beginning)
        .await?;
    Ok((StatusCode::CREATED, axum::Json(Begun { rollout: id.0 })))
}

/// What a roll-out would come to, as far as is known; nothing is begun. For technicians at each site that it
/// would touch.
#[utoipa::path(post, path = "/api/rollouts/forecast", tag = "rollouts", operation_id = "forecast_rollout",
    request_body = Order,
    responses((status = 200, body = ForecastView, description = "What is known"), Refused))]
pub(super) async fn forecast(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(body): Json<Order>,
) -> Result<axum::Json<ForecastView>, Problem> {
    let (goods, mut controllers) = understood(&api, &caller, &body).await?;
    let release = goods.release;
    body.terms
        .terms(release)
        .check()
        .map_err(|error| refused(&api, &error.into()))?;
    controllers.sort_unstable();
    controllers.dedup();
    let forecast = order::forecast(&*api.config, &goods, &controllers).await;
    let Forecast {
        controllers,
        outdated,
        current,
        unknown,
    } = forecast.map_err(|error| failed(&api, &error))?;
    Ok(axum::Json(ForecastView {
        digest: release.digest.to_string(),
        controllers,
        outdated,
        current,
        unknown,
    }))
}

/// One roll-out.
#[utoipa::path(get, path = "/api/rollouts/{rollout}", tag = "rollouts", operation_id = "show_rollout",
    params(RolloutPath),
    responses((status = 200, body = RolloutView, description = "Where it stands"), Refused))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<RolloutPath>,
) -> Result<axum::Json<RolloutView>, Problem> {
    let rollout = visible(&api, &caller, path.rollout).await?;
    Ok(axum::Json(rollout.into()))
}

/// The controllers of a roll-out, page by page, each with where it stands and why.
#[utoipa::path(get, path = "/api/rollouts/{rollout}/controllers", tag = "rollouts",
    operation_id = "list_rollout_controllers", params(RolloutPath, WhichEntries),
    responses((status = 200, body = EntryPage, description = "A page of them"), Refused))]
pub(super) async fn controllers(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<RolloutPath>,
    Parameters(which): Parameters<WhichEntries>,
) -> Result<axum::Json<EntryPage>, Problem> {
    let limit = text::limit(which.limit, (ENTRIES_DEFAULT, ENTRIES_MAX))?;
    let rollout = visible(&api, &caller, path.rollout).await?;
    let page = api
        .config
        .rollout_entries(rollout.id, which.after, limit)
        .await;
    let page = page.map_err(|error| failed(&api, &error))?;
    let next = page.last().map(Entry::position);
    let next = next.filter(|_| page.len() == limit as usize);
    Ok(axum::Json(EntryPage {
        items: page.into_iter().map(EntryView::from).collect(),
        next,
    }))
}

/// Says what you want of a roll-out; it is done within seconds. For technicians at each site that it touches.
#[utoipa::path(post, path = "/api/rollouts/{rollout}/wishes", tag = "rollouts",
    operation_id = "wish_of_rollout", params(RolloutPath), request_body = Wish,
    responses((status = 202, description = "It is noted, and done within seconds"), Refused))]
pub(super) async fn wish(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<RolloutPath>,
    Json(body): Json<Wish>,
) -> Result<StatusCode, Problem> {
    let rollout = visible(&api, &caller, path.rollout).await?;
    let (id, control) = (rollout.id, Control::from(body.want));
    let judged = judge(&api, &caller, &rollout, Deed::RollOut).await?;
    judged.map_err(|code| Problem::from(code).denied())?;
    // Its owner judges it again: by then it may have come further.
    let allowed = rollout.head.phase().allows(control);
    allowed.map_err(|error| Problem::conflict("wrong_state", &error.to_string()))?;
    let (account, now) = (caller.login.account.clone(), crate::clock::time());
    let text = format!("roll-out {id}: {}", control.name());
    let by = Arc::clone(&api);
    let noting = async move {
        let noted = by.config.add_wish(id, control, account, now).await;
        noted.map_err(|error| failed(&by, &error))?;
        by.rollouts.ring();
        Ok(StatusCode::ACCEPTED)
    };
    caller.change(&api, (Address::GATEWAY, text), noting).await
}

fn refused(api: &Api, error: &OrderError) -> Problem {
    match error {
        OrderError::NoScript(_) | OrderError::NoFirmware(_) => {
            Problem::not_found(&error.to_string())
        }
        OrderError::Values(_) => text::bad_field(&error.to_string()),
        OrderError::Terms(TermsError::Controllers(0)) => {
            Problem::not_found("there is no such controller")
        }
        OrderError::Terms(error) => text::bad_field(&error.to_string()),
        OrderError::Store(error @ StoreError::Overlaps { .. }) => {
            Problem::conflict("overlaps", &error.to_string())
        }
        OrderError::Store(error) => failed(api, error),
    }
}

/// What is ordered, and for which controllers, at each of which the caller may do that.
async fn understood(
    api: &Api,
    caller: &Caller,
    body: &Order,
) -> Result<(Goods, Vec<Address>), Problem> {
    let chosen = match (&body.script, &body.parameters, &body.firmware, &body.digest) {
        (Some(label), None, None, None) => {
            let label = label.parse();
            let label = label
                .map_err(|expected: String| text::bad_field(&format!("script: {expected}")))?;
            Chosen::Script(label, body.version)
        }
        (None, Some(values), None, None) if body.version.is_none() => {
            Chosen::Values(new_values(values)?)
        }
        (None, None, Some(firmware), None) if body.version.is_none() => {
            let chosen = Chosen::firmware(firmware);
            chosen.map_err(|expected| text::bad_field(&format!("firmware: {expected}")))?
        }
        (None, None, None, Some(digest)) if body.version.is_none() => {
            let digest = digest.parse();
            Chosen::Digest(digest.map_err(|error| text::bad_field(&format!("digest: {error}")))?)
        }
        _ => {
            let expected = "expected one of `script` (with or without `version`), `parameters`, \
                            `firmware` and `digest`";
            return Err(text::bad_field(expected));
        }
    };
    let listed = body.controllers.as_deref();
    let selection = match (body.site, &body.tag, listed) {
        (Some(site), None, None) => Selection::Site(text::site(site)?),
        (None, Some(tag), None) => Selection::Tag(text::title("tag", tag)?),
        (None, None, Some(listed)) => Selection::List(addresses(listed)?),
        _ => {
            let expected = "expected one of `site`, `tag` and `controllers`";
            return Err(text::bad_field(expected));
        }
    };
    // Before anything is told of what there is.
    if let Selection::Site(site) = selection {
        caller.may(&Deed::RollOut(Some(site)))?;
    }
    let is_tag = matches!(selection, Selection::Tag(_));
    let found = select_all(&*api.config, selection).await;
    let mut found = found.map_err(|error| failed(api, &error))?;
    if is_tag {
        found.retain(|(_, site)| caller.may(&Deed::SeeController(*site)).is_ok());
    }
    for (_, site) in &found {
        caller.may(&Deed::RollOut(*site))?;
    }
    let found: Vec<Address> = found.into_iter().map(|(address, _)| address).collect();
    let controllers = match listed {
        None => found,
        Some(listed) => {
            let is_there = |it: &Address| found.binary_search(it).is_ok();
            let listed: Vec<Address> = listed.iter().copied().map(Address).collect();
            if !listed.iter().all(is_there) {
                return Err(Code::UnknownAddress.into());
            }
            listed
        }
    };
    let goods = order::find(&*api.config, &chosen).await;
    let goods = goods.map_err(|error| refused(api, &error))?;
    Ok((goods, controllers))
}

fn new_values(given: &[NewValue]) -> Result<Values, Problem> {
    let mut values = Vec::new();
    for NewValue {
        name,
        r#type,
        value,
    } in given
    {
        let name = text::name("parameters", name)?;
        values.push((name, ValueType::from(*r#type), i64::from(*value)));
    }
    let count = values.len();
    let values = Values::new(values);
    if values.len() != count {
        return Err(text::bad_field("parameters: expected each of them once"));
    }
    Ok(values)
}

fn addresses(listed: &[u32]) -> Result<Vec<Address>, Problem> {
    if !(1..=LISTED_MAX).contains(&listed.len()) {
        let expected = format!("controllers: expected 1 to {LISTED_MAX}");
        return Err(text::bad_field(&expected));
    }
    listed.iter().map(|it| text::controller(*it)).collect()
}

/// A roll-out that the caller may see.
///
/// # Errors
/// As for one that there is not, where they may not.
async fn visible(api: &Api, caller: &Caller, number: u32) -> Result<StoredRollout, Problem> {
    let id = RolloutId(number);
    let none = || Problem::not_found("there is no roll-out of this number");
    let found = api.config.rollout(id).await;
    let found = found.map_err(|error| failed(api, &error))?;
    let rollout = found.ok_or_else(none)?;
    match judge(api, caller, &rollout, Deed::SeeController).await? {
        Ok(()) => Ok(rollout),
        Err(_) => Err(none()),
    }
}

/// Judges what somebody may do of a roll-out: what they may do at each of its controllers, as those belong now.
/// What was rolled out to controllers that have all been withdrawn since concerns whoever may see all, and is still
/// to be seen by who began it.
///
/// # Errors
/// The outer one when that cannot be told, the inner one when they may not.
async fn judge(
    api: &Api,
    caller: &Caller,
    rollout: &StoredRollout,
    deed: impl Fn(Option<SiteId>) -> Deed<'static>,
) -> Result<Result<(), Code>, Problem> {
    // Everywhere is each site that there is, so there is nothing to look up.
    let everywhere = caller.judged(&deed(None));
    if everywhere.is_ok() {
        return Ok(everywhere);
    }
    let sites = api.config.rollout_sites(rollout.id).await;
    let sites = sites.map_err(|error| failed(api, &error))?;
    if sites.is_empty() {
        let is_own = rollout.about.by == caller.login.account;
        return Ok(match deed(None) {
            Deed::SeeController(_) if is_own => Ok(()),
            // They know that it exists.
            _ if is_own => Err(Code::Forbidden),
            _ => everywhere,
        });
    }
    Ok(sites
        .into_iter()
        .try_for_each(|site| caller.judged(&deed(site))))
}
