//! Controllers: what the store keeps of them, and what the yard knows of them now.

use super::{
    Refused,
    caller::{ANSWER_TIMEOUT, Caller, Json, Parameters, Place, failed},
    rights::Deed,
    text,
};
use crate::{
    fleet::plan::TAGS_MAX,
    hex,
    http::{Api, problem::Problem},
    inside::{Frames, Peer, Refusal},
    keys::{KEEP_OLD_MAX, NextKey},
    store::{ControllerEdit, ControllerEntry, ControllerKey},
};
use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Deserializer, Serialize};
use std::{collections::HashMap, sync::Arc, time::Duration};
use switchyard_protocol::{
    Address, Code, Frame, Kind, SiteId, limits,
    message::{Body, Cause, Change, Delta, Event, Full, Point, PointFlags, Request, Title},
};
use utoipa::{IntoParams, ToSchema};

/// Controllers on a page unless another number is asked for.
const PAGE_DEFAULT: u32 = 50;
/// The most on a page: their live status is one subscription.
const PAGE_MAX: u32 = 200;
const _: () = assert!(PAGE_MAX as usize <= limits::SUBSCRIBE_ADDRESSES_MAX);
/// Controllers read from the store at once.
const READ_AT_ONCE: u32 = 500;
/// Controllers looked at for one page: a filter that few pass must not read a whole fleet in one request.
const LOOKED_AT_MAX: u32 = 10_000;
/// Times that the yard is asked for one page: where few are as they are wanted, the page is short.
const ROUNDS_MAX: usize = 16;

/// A controller.
#[derive(Serialize, ToSchema)]
#[schema(as = Controller)]
pub(super) struct ControllerView {
    /// Its number, for life.
    #[schema(minimum = 1, maximum = 2_147_483_647)]
    address: u32,
    /// What people call it.
    title: String,
    /// The site that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1, maximum = 4_294_967_295u32)]
    site: Option<u32>,
    /// Words by which people find it.
    tags: Vec<String>,
    /// When it was enrolled.
    enrolled: u64,
    /// What the yard knows of it now.
    live: Live,
}

/// What is live of a controller.
#[derive(Default, Serialize, ToSchema)]
pub(super) struct Live {
    /// Whether it is connected.
    online: bool,
    /// Since when it is there or away; 0 while it has not been seen since the gateway started.
    since: u64,
    /// Why it went.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<&'static str>,
    /// Its firmware and version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    software: Option<String>,
    /// Its board.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    board: Option<String>,
    /// Random for each of its starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    boot: Option<u32>,
    /// Bits: 1 encrypted link, 2 built-in behaviours, 4 it runs scripts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    features: Option<u32>,
    /// Its points as they are, or were when it was last there. Only where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    points: Option<Vec<PointView>>,
}

/// An input or output of a controller.
#[derive(Serialize, ToSchema)]
#[schema(as = Point)]
pub(super) struct PointView {
    /// Its place, from 0.
    index: u8,
    /// Its name.
    name: String,
    /// `digital_input`, `digital_output`, `analogue_input` or `analogue_output`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// 0 and 1 for digital points, thousandths for analogue ones.
    value: i64,
    /// It may be switched by a command `set`.
    manual: bool,
    /// Its value is not to be trusted.
    bad: bool,
    /// It is at fault.
    fault: bool,
    /// It is held at its value.
    forced: bool,
    /// It has a feedback.
    confirm: bool,
    /// Why it has this value.
    cause: CauseView,
}

/// Why something is as it is.
#[derive(Serialize, ToSchema)]
#[schema(as = Cause)]
pub(super) struct CauseView {
    /// `boot`, `script`, `command`, `schedule`, `link_loss`, `input`, `timer`, `force` or `safe`.
    kind: &'static str,
    /// The address of whoever gave the command.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    by: Option<u32>,
    /// The script's line, or the first 4 bytes of the command's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reference: Option<u32>,
}

impl From<Cause> for CauseView {
    fn from(cause: Cause) -> Self {
        CauseView {
            kind: cause.kind.name(),
            by: cause.by.map(|by| by.0),
            reference: cause.reference,
        }
    }
}

impl From<Point> for PointView {
    fn from(point: Point) -> Self {
        let has = |flag| point.flags.contains(flag);
        PointView {
            index: point.index,
            name: point.name.to_string(),
            kind: point.point_type.name(),
            value: point.value,
            manual: has(PointFlags::MANUAL),
            bad: has(PointFlags::BAD),
            fault: has(PointFlags::FAULT),
            forced: has(PointFlags::FORCED),
            confirm: has(PointFlags::CONFIRM),
            cause: point.cause.into(),
        }
    }
}

/// Some controllers.
#[derive(Serialize, ToSchema)]
#[schema(as = Controllers)]
pub(super) struct Page {
    /// By address.
    items: Vec<ControllerView>,
    /// What to give as `after` for those that follow; absent on the last page. A page may hold fewer than
    /// asked for, or none, though others follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// Which controllers.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// `next` of the page before.
    #[param(required = false, nullable = false, pattern = "^[0-9]{1,10}$")]
    after: Option<String>,
    /// How many at most.
    #[param(required = false, nullable = false, minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// Those of this site.
    #[param(
        required = false,
        nullable = false,
        minimum = 1,
        maximum = 4_294_967_295u32
    )]
    site: Option<u32>,
    /// Those with this tag.
    #[param(required = false, nullable = false)]
    tag: Option<String>,
    /// Those whose title holds this, in large letters or small ones.
    #[param(required = false, nullable = false)]
    title: Option<String>,
    /// Those that are, or are not, connected now.
    #[param(required = false, nullable = false)]
    online: Option<bool>,
    /// Whether to tell of their points, too.
    #[param(required = false, nullable = false)]
    points: Option<bool>,
}

impl Wanted {
    /// Reads what stands in it, for fuzzers.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn fuzz(&self) {
        if let Some(Ok(after)) = self.after.as_deref().map(cursor) {
            let text = after.to_string();
            assert!(
                matches!(cursor(&text), Ok(again) if again == after),
                "{text}"
            );
        }
    }

    /// Whether what the store keeps of a controller is what is wanted.
    fn takes(&self, entry: &ControllerEntry) -> bool {
        let tag = |wanted: &String| entry.tags.iter().any(|tag| tag.as_str() == wanted);
        let title = |wanted: &String| {
            let title = entry.title.as_str().to_lowercase();
            title.contains(&wanted.to_lowercase())
        };
        let site = |wanted: u32| entry.site == Some(SiteId(wanted));
        self.site.is_none_or(site)
            && self.tag.as_ref().is_none_or(tag)
            && self.title.as_ref().is_none_or(title)
    }
}

/// One controller.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct ControllerPath {
    /// The controller's address.
    #[param(minimum = 1, maximum = 2_147_483_647)]
    pub(super) address: u32,
}

/// The controllers that you may see, by address, page by page.
#[utoipa::path(get, path = "/api/controllers", tag = "controllers", operation_id = "list_controllers",
    params(Wanted),
    responses((status = 200, body = Page, description = "A page of them"), Refused))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<axum::Json<Page>, Problem> {
    let limit = text::limit(wanted.limit, (PAGE_DEFAULT, PAGE_MAX))?;
    if let Some(site) = wanted.site {
        text::site(site)?;
    }
    let after = match &wanted.after {
        None => Address::GATEWAY,
        Some(after) => cursor(after)?,
    };
    let (peer, mut frames) = caller.peer(&api).await?;
    let mut reader = Reader::new(&api, &caller, after);
    let mut items = Vec::new();
    // Whether they are there is asked for in batches, and those that are not wanted make room for others.
    for _ in 0..ROUNDS_MAX {
        let Some(batch) = reader.batch(limit as usize - items.len(), &wanted).await? else {
            break;
        };
        let addresses: Vec<_> = batch.iter().map(|entry| entry.address).collect();
        let mut live = live(&peer, &mut frames, &addresses).await?;
        for entry in batch {
            let mut live = live.remove(&entry.address).unwrap_or_default();
            if wanted.online.is_some_and(|online| online != live.online) {
                continue;
            }
            live.points = live.points.filter(|_| wanted.points == Some(true));
            items.push(view(entry, live));
        }
        if items.len() >= limit as usize {
            break;
        }
    }
    Ok(axum::Json(Page {
        items,
        next: reader.next(),
    }))
}

/// One controller, with its points as they are now.
#[utoipa::path(get, path = "/api/controllers/{address}", tag = "controllers",
    operation_id = "show_controller", params(ControllerPath),
    responses((status = 200, body = ControllerView, description = "The controller"), Refused))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<ControllerPath>,
) -> Result<axum::Json<ControllerView>, Problem> {
    let address = text::controller(path.address)?;
    let entry = entry(&api, &caller, address).await?;
    let (peer, mut frames) = caller.peer(&api).await?;
    let mut live = live(&peer, &mut frames, &[address]).await?;
    let live = live.remove(&address).unwrap_or_default();
    Ok(axum::Json(view(entry, live)))
}

/// A controller to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewController {
    /// What people will call it: 1 to 64 bytes without control characters.
    #[schema(min_length = 1, max_length = 64)]
    title: String,
    /// Where it belongs.
    #[schema(minimum = 1, maximum = 4_294_967_295u32)]
    site: Option<u32>,
}

/// A controller that was made.
#[derive(Serialize, ToSchema)]
pub(super) struct Enrolled {
    /// Its address.
    #[schema(minimum = 1, maximum = 2_147_483_647)]
    address: u32,
    /// Its key, 64 hexadecimal digits. Told this once.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    key: String,
}

/// Makes an address and a key for a new controller. For technicians at its site.
#[utoipa::path(post, path = "/api/controllers", tag = "controllers", operation_id = "enrol_controller",
    request_body = NewController,
    responses((status = 201, body = Enrolled, description = "It is enrolled"), Refused))]
pub(super) async fn enrol(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Json(body): Json<NewController>,
) -> Result<(StatusCode, axum::Json<Enrolled>), Problem> {
    let title = text::title("title", &body.title)?;
    let site = body.site.map(text::site).transpose()?;
    // The relay judges it, and says so in its own words.
    let question = Request::Enrol { title, site };
    match caller.ask(&api, Address::GATEWAY, question).await? {
        Body::Enrol { controller, key } => {
            let enrolled = Enrolled {
                address: controller.0,
                key: hex::encode(&key),
            };
            Ok((StatusCode::CREATED, axum::Json(enrolled)))
        }
        _ => Err(Code::Internal.into()),
    }
}

/// What is to be changed; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Edit {
    /// What people will call it.
    #[schema(min_length = 1, max_length = 64)]
    title: Option<String>,
    /// The site that it belongs to; null takes it out of its site.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 4_294_967_295u32)]
    site: Option<Option<u32>>,
    /// All its tags.
    #[schema(max_items = 32)]
    tags: Option<Vec<String>>,
}

/// Tells what is null from what is left out.
fn given<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<u32>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// Changes what a controller is called, where it belongs, or its tags. For technicians at its site, and at
/// the one that it goes to.
#[utoipa::path(patch, path = "/api/controllers/{address}", tag = "controllers",
    operation_id = "edit_controller", params(ControllerPath), request_body = Edit,
    responses((status = 204, description = "It is changed"), Refused))]
pub(super) async fn edit(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<ControllerPath>,
    Json(body): Json<Edit>,
) -> Result<StatusCode, Problem> {
    let address = text::controller(path.address)?;
    let site = body.site.map(|site| site.map(text::site).transpose());
    let site = site.transpose()?;
    let entry = entry(&api, &caller, address).await?;
    caller.may(&Deed::EditController {
        at: entry.site,
        to: site.filter(|site| *site != entry.site),
    })?;
    let edit = ControllerEdit {
        title: body
            .title
            .map(|title| text::title("title", &title))
            .transpose()?,
        site,
        tags: body.tags.map(tags).transpose()?,
    };
    let (what, by) = ((address, told(&edit)), Arc::clone(&api));
    let editing = async move {
        // The yard follows by itself, within a second.
        let edited = by.config.edit_controller(address, edit).await;
        known(edited.map_err(|error| failed(&by, &error))?)
    };
    caller.change(&api, what, editing).await
}

fn known(found: bool) -> Result<StatusCode, Problem> {
    let none = || Code::UnknownAddress.into();
    found.then_some(StatusCode::NO_CONTENT).ok_or_else(none)
}

/// An edit in words.
fn told(edit: &ControllerEdit) -> String {
    let title = edit.title.as_ref().map(|title| format!("title {title}"));
    let site = edit.site.map(|site| match site {
        Some(site) => format!("site {site}"),
        None => "no site".into(),
    });
    let tags = edit.tags.as_ref().map(|tags| {
        let tags: Vec<_> = tags.iter().map(Title::as_str).collect();
        format!("tags {}", tags.join(", "))
    });
    let parts: Vec<_> = [title, site, tags].into_iter().flatten().collect();
    format!("edit: {}", parts.join("; "))
}

fn tags(tags: Vec<String>) -> Result<Vec<Title>, Problem> {
    if tags.len() > TAGS_MAX {
        let expected = format!("tags: expected at most {TAGS_MAX}");
        return Err(Problem::bad_request(&expected));
    }
    tags.iter().map(|tag| text::title("tags", tag)).collect()
}

/// Withdraws a controller for ever: its link ends within a second, its address is never given again. For
/// admins at its site.
#[utoipa::path(delete, path = "/api/controllers/{address}", tag = "controllers",
    operation_id = "remove_controller", params(ControllerPath),
    responses((status = 204, description = "It is withdrawn"), Refused))]
pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<ControllerPath>,
) -> Result<StatusCode, Problem> {
    let address = text::controller(path.address)?;
    let entry = entry(&api, &caller, address).await?;
    caller.may(&Deed::AdministerController(entry.site))?;
    let by = Arc::clone(&api);
    let removing = async move {
        let removed = by.config.revoke_controller(address, crate::clock::time());
        known(removed.await.map_err(|error| failed(&by, &error))?)
    };
    caller
        .change(&api, (address, "withdraw".into()), removing)
        .await
}

/// By what right an enrolment is taken back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Unenrol {
    /// The controller's key, as it was told when it was enrolled.
    #[schema(pattern = "^[0-9a-fA-F]{64}$")]
    key: String,
}

/// Takes an enrolment back: the controller is withdrawn as by an admin. For technicians at its site who show the key
/// that it has: those who are just enrolling it, with whom it failed.
#[utoipa::path(post, path = "/api/controllers/{address}/unenrol", tag = "controllers",
    operation_id = "unenrol_controller", params(ControllerPath), request_body = Unenrol,
    responses((status = 204, description = "It is withdrawn"), Refused))]
pub(super) async fn unenrol(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<ControllerPath>,
    Json(body): Json<Unenrol>,
) -> Result<StatusCode, Problem> {
    let address = text::controller(path.address)?;
    let key = hex::decode(&body.key).and_then(|key| key.try_into().ok());
    let key = key.ok_or_else(|| Problem::bad_request("key: expected 64 hexadecimal digits"))?;
    let entry = entry(&api, &caller, address).await?;
    caller.may(&Deed::Unenrol(entry.site))?;
    let by = Arc::clone(&api);
    let removing = async move {
        let stored = by.config.controller(address).await;
        let stored = stored.map_err(|error| failed(&by, &error))?;
        let (_, keys) = stored.ok_or_else(|| Problem::from(Code::UnknownAddress))?;
        if !keys.has(&ControllerKey(key)) {
            return Err(Code::Forbidden.into());
        }
        let removed = by.config.revoke_controller(address, crate::clock::time());
        known(removed.await.map_err(|error| failed(&by, &error))?)
    };
    caller
        .change(&api, (address, "unenrol".into()), removing)
        .await
}

/// How long an old key is good for as well.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rekey {
    /// For so many seconds; 0 is for a key in wrong hands. Until then a backup of before still serves.
    #[schema(minimum = 0, maximum = 31_622_400)]
    keep_old_s: u32,
}

/// A controller's key that is being replaced.
#[derive(Serialize, ToSchema)]
pub(super) struct Rekeyed {
    /// Until when the old key is good as well; it goes when the controller next dials in after that.
    old_until: u64,
    /// Whether the key that it gets is a new one: one that was on its way already is not replaced once more, so
    /// where that may be known too, this is to be done again when it is over.
    is_new: bool,
}

/// Replaces a controller's key over its link, which is ended within seconds for it. Where that is under way
/// already, the old key may go sooner, and not later. For admins at its site.
#[utoipa::path(post, path = "/api/controllers/{address}/rekey", tag = "controllers",
    operation_id = "rekey_controller", params(ControllerPath), request_body = Rekey,
    responses((status = 202, body = Rekeyed, description = "It takes another key when it dials in"), Refused))]
pub(super) async fn rekey(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<ControllerPath>,
    Json(body): Json<Rekey>,
) -> Result<(StatusCode, axum::Json<Rekeyed>), Problem> {
    let address = text::controller(path.address)?;
    let keep_old = Duration::from_secs(body.keep_old_s.into());
    if keep_old > KEEP_OLD_MAX {
        let expected = format!("keep_old_s: expected at most {}", KEEP_OLD_MAX.as_secs());
        return Err(Problem::bad_request(&expected));
    }
    let entry = entry(&api, &caller, address).await?;
    caller.may(&Deed::AdministerController(entry.site))?;
    let wanted = NextKey {
        key: ControllerKey(rand::random()),
        forget_from: crate::clock::time().plus(keep_old),
    };
    let text = format!("rekey, the old one good for {} s", body.keep_old_s);
    let by = Arc::clone(&api);
    let replacing = async move {
        let replaced = by.config.replace_controller_key(address, wanted).await;
        let replaced = replaced.map_err(|error| failed(&by, &error))?;
        replaced.ok_or_else(|| Code::UnknownAddress.into())
    };
    let next = caller.change(&api, (address, text), replacing).await?;
    let rekeyed = Rekeyed {
        old_until: next.forget_from.0,
        is_new: next.key == wanted.key,
    };
    Ok((StatusCode::ACCEPTED, axum::Json(rekeyed)))
}

/// What the store keeps of a controller that the caller may see.
///
/// # Errors
/// As for one that nobody has, where they may not.
pub(super) async fn entry(
    api: &Api,
    caller: &Caller,
    address: Address,
) -> Result<ControllerEntry, Problem> {
    let known = api.config.controller(address).await;
    let known = known.map_err(|error| failed(api, &error))?;
    let (entry, _) = known.ok_or_else(|| Problem::from(Code::UnknownAddress))?;
    caller.may(&Deed::SeeController(entry.site))?;
    Ok(entry)
}

fn cursor(text: &str) -> Result<Address, Problem> {
    let is_plain = (1..=10).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_digit());
    let number: Option<u64> = text.parse().ok().filter(|_| is_plain);
    // Beyond all that there may be nothing follows.
    let number = number.map(|number| u32::try_from(number).unwrap_or(u32::MAX));
    number
        .map(Address)
        .ok_or_else(|| Problem::bad_request("after: expected what the page before told as `next`"))
}

fn view(entry: ControllerEntry, live: Live) -> ControllerView {
    ControllerView {
        address: entry.address.0,
        title: entry.title.to_string(),
        site: entry.site.map(|site| site.0),
        tags: entry.tags.iter().map(Title::to_string).collect(),
        enrolled: entry.enrolled.0,
        live,
    }
}

/// Reads controllers from the store in their order, those that are wanted and may be seen.
struct Reader<'a> {
    api: &'a Api,
    caller: &'a Caller,
    /// The last one that was looked at.
    after: Address,
    /// Read and not looked at, the next one last.
    read: Vec<ControllerEntry>,
    looked_at: u32,
    is_at_end: bool,
}

impl<'a> Reader<'a> {
    fn new(api: &'a Api, caller: &'a Caller, after: Address) -> Self {
        Reader {
            api,
            caller,
            after,
            read: Vec::new(),
            looked_at: 0,
            is_at_end: false,
        }
    }

    /// The next ones, at most so many; `None` when there are no more, or enough were looked at.
    async fn batch(
        &mut self,
        count: usize,
        wanted: &Wanted,
    ) -> Result<Option<Vec<ControllerEntry>>, Problem> {
        let mut batch = Vec::new();
        while batch.len() < count && self.looked_at < LOOKED_AT_MAX {
            let Some(entry) = self.next_entry().await? else {
                break;
            };
            let may_see = self.caller.may(&Deed::SeeController(entry.site)).is_ok();
            if may_see && wanted.takes(&entry) {
                batch.push(entry);
            }
        }
        Ok((!batch.is_empty()).then_some(batch))
    }

    async fn next_entry(&mut self) -> Result<Option<ControllerEntry>, Problem> {
        if self.read.is_empty() && !self.is_at_end {
            let page = self.api.config.controllers(self.after, READ_AT_ONCE).await;
            let page = page.map_err(|error| failed(self.api, &error))?;
            self.is_at_end = page.len() < READ_AT_ONCE as usize;
            self.read = page.into_iter().rev().map(|(entry, _)| entry).collect();
        }
        let entry = self.read.pop();
        if let Some(entry) = &entry {
            self.after = entry.address;
            self.looked_at += 1;
        }
        Ok(entry)
    }

    /// The cursor of what follows; `None` when nothing does.
    fn next(&self) -> Option<String> {
        let is_over = self.is_at_end && self.read.is_empty();
        (!is_over).then(|| self.after.to_string())
    }
}

/// What the yard knows of these controllers at this moment. One that it has not heard of yet, as another
/// process has enrolled it a moment ago, is not among them.
async fn live(
    peer: &Peer,
    frames: &mut Frames,
    addresses: &[Address],
) -> Result<HashMap<Address, Live>, Problem> {
    let mut known = HashMap::new();
    let is_unknown = |told: &Result<(), Refusal>| {
        let refusal = told.as_ref().err();
        refusal.is_some_and(|refusal| refusal.code == Code::UnknownAddress)
    };
    let told = subscribe(peer, frames, &mut known, addresses).await;
    if !is_unknown(&told) {
        return told.map(|()| known).map_err(Problem::from);
    }
    // One of them is unknown, and with it all are refused.
    for address in addresses {
        let told = subscribe(peer, frames, &mut known, &[*address]).await;
        if !is_unknown(&told) {
            told.map_err(Problem::from)?;
        }
    }
    Ok(known)
}

/// Has the yard tell of controllers, and notes what it tells.
async fn subscribe(
    peer: &Peer,
    frames: &mut Frames,
    known: &mut HashMap<Address, Live>,
    addresses: &[Address],
) -> Result<(), Refusal> {
    let controllers = Some(addresses.to_vec());
    let question = Request::Subscribe { controllers };
    let asking = peer.ask(Address::GATEWAY, question, ANSWER_TIMEOUT);
    tokio::pin!(asking);
    // The snapshot comes first, and has to be read for the answer to come.
    loop {
        tokio::select! {
            frame = frames.next() => note(known, &frame?),
            answer = &mut asking => {
                answer?;
                break;
            }
        }
    }
    for frame in frames.here() {
        note(known, &frame);
    }
    Ok(())
}

/// Takes presence and status into account.
fn note(known: &mut HashMap<Address, Live>, frame: &Frame) {
    let header = frame.header();
    match header.kind {
        Kind::Event => {
            if let Ok(Event::Presence {
                controller,
                online,
                since,
                boot,
                features,
                software,
                board,
                reason,
                ..
            }) = Event::decode(frame.payload())
            {
                let live = known.entry(controller).or_default();
                *live = Live {
                    online,
                    since: since.0,
                    reason: reason.map(Code::name),
                    software: software.map(|it| it.to_string()),
                    board: board.map(|it| it.to_string()),
                    boot,
                    features,
                    points: live.points.take(),
                };
            }
        }
        Kind::StatusFull => {
            if let Ok(full) = Full::decode(frame.payload()) {
                let live = known.entry(header.source).or_default();
                let points = live.points.get_or_insert_default();
                if full.page == 0 {
                    points.clear();
                }
                points.extend(full.points.into_iter().map(PointView::from));
            }
        }
        Kind::StatusDelta => {
            if let Ok(delta) = Delta::decode(frame.payload())
                && let Some(live) = known.get_mut(&header.source)
                && let Some(points) = &mut live.points
            {
                for change in delta.changes {
                    apply(points, change);
                }
            }
        }
        _ => {}
    }
}

fn apply(points: &mut [PointView], change: Change) {
    let point = points.iter_mut().find(|point| point.index == change.index);
    if let Some(point) = point {
        let has = |flag| change.flags.contains(flag);
        point.value = change.value;
        point.manual = has(PointFlags::MANUAL);
        point.bad = has(PointFlags::BAD);
        point.fault = has(PointFlags::FAULT);
        point.forced = has(PointFlags::FORCED);
        point.confirm = has(PointFlags::CONFIRM);
        point.cause = change.cause.into();
    }
}
