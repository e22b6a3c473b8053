//! What was: a point's history, its recent values, and the audit log.

use super::{
    Refused,
    caller::{Caller, Parameters, Place, failed},
    controllers::{ControllerPath, entry},
    inner::PointPath,
    rights::Deed,
    text,
};
use crate::{
    audit::{AuditFilter, chain::Chained},
    hex, history,
    http::{Api, problem::Problem},
};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use switchyard_protocol::{
    Address, Code,
    message::{Name, Time},
};
use tokio::sync::SemaphorePermit;
use utoipa::{IntoParams, ToSchema};

/// Buckets of a chart unless another number is asked for.
const BUCKETS_DEFAULT: u32 = 240;
/// What a chart is of unless it is said.
const RANGE_DEFAULT: Duration = Duration::from_secs(24 * 3_600);
/// How long somebody waits for a chart's turn.
const CHART_PATIENCE: Duration = Duration::from_secs(5);
/// Records on a page unless another number is asked for.
const RECORDS_DEFAULT: u32 = 100;
/// The most on a page.
const RECORDS_MAX: u32 = 1_000;

/// A point of which there is history.
#[derive(Serialize, ToSchema)]
pub(super) struct RecordedPoint {
    /// Its name.
    point: String,
    /// `digital_input`, `digital_output`, `analogue_input` or `analogue_output`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The first minute that there is.
    first: u64,
    /// The last one.
    last: u64,
}

/// The points of a controller of which there is history.
#[derive(Serialize, ToSchema)]
pub(super) struct RecordedPoints {
    /// By name.
    items: Vec<RecordedPoint>,
}

/// The points of a controller of which there is history.
#[utoipa::path(get, path = "/api/controllers/{address}/history", tag = "records",
    operation_id = "list_recorded_points", params(ControllerPath),
    responses((status = 200, body = RecordedPoints, description = "All of them"), Refused))]
pub(super) async fn points(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<ControllerPath>,
) -> Result<axum::Json<RecordedPoints>, Problem> {
    let address = text::controller(path.address)?;
    entry(&api, &caller, address).await?;
    let recorded = api.config.recorded_points(address).await;
    let recorded = recorded.map_err(|error| failed(&api, &error))?;
    let items = recorded.into_iter().map(|it| RecordedPoint {
        point: it.series.point.to_string(),
        kind: it.series.point_type.name(),
        first: history::start_of(it.first).0,
        last: history::start_of(it.last).0,
    });
    Ok(axum::Json(RecordedPoints {
        items: items.collect(),
    }))
}

/// Of which time, and how finely.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Span {
    /// From the minute of this time on; a day before the end unless it is said.
    #[param(required = false, nullable = false)]
    from: Option<u64>,
    /// Up to the minute of this time; now unless it is said. 400 days after `from` at most.
    #[param(required = false, nullable = false)]
    to: Option<u64>,
    /// In how many pieces of one length, at most; a minute is the shortest. 240 unless it is said.
    #[param(required = false, nullable = false, minimum = 1, maximum = 4_096)]
    buckets: Option<u32>,
}

/// What a point was over a time.
#[derive(Serialize, ToSchema)]
pub(super) struct Chart {
    /// The point.
    point: String,
    /// What it is: values of analogue points are thousandths.
    #[serde(rename = "type")]
    kind: &'static str,
    /// Where the first piece begins.
    from: u64,
    /// How long each is.
    bucket_ms: u64,
    /// Those in which the point was known, in the order of time; what is missing is a gap.
    buckets: Vec<Bucket>,
}

/// What a point was in a piece of that time.
#[derive(Serialize, ToSchema)]
pub(super) struct Bucket {
    /// Where it begins.
    from: u64,
    /// The least value.
    min: i64,
    /// The greatest value.
    max: i64,
    /// The mean by time, in thousandths of what the others are in.
    mean_thousandths: i64,
    /// The last value.
    last: i64,
    /// For how long the point was known.
    known_ms: u64,
    /// How many values came; a point that holds still has none.
    samples: u64,
}

impl Chart {
    fn of(point: &Name, chart: &history::Chart) -> Self {
        let buckets = chart.buckets.iter().map(|bucket| Bucket {
            from: bucket.from.0,
            min: bucket.summary.min,
            max: bucket.summary.max,
            mean_thousandths: bucket.summary.mean,
            last: bucket.summary.last,
            known_ms: bucket.summary.held.as_millis() as u64,
            samples: bucket.summary.samples,
        });
        Chart {
            point: point.to_string(),
            kind: chart.point_type.name(),
            from: chart.from.0,
            bucket_ms: chart.bucket.as_millis() as u64,
            buckets: buckets.collect(),
        }
    }
}

/// What a point was, in pieces of one length.
#[utoipa::path(get, path = "/api/controllers/{address}/history/{point}", tag = "records",
    operation_id = "read_history", params(PointPath, Span),
    responses((status = 200, body = Chart, description = "What it was"), Refused))]
pub(super) async fn chart(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<PointPath>,
    Parameters(span): Parameters<Span>,
) -> Result<axum::Json<Chart>, Problem> {
    let address = text::controller(path.address)?;
    let point = text::name("point", &path.point)?;
    entry(&api, &caller, address).await?;
    let to = span.to.map_or_else(crate::clock::time, Time);
    let question = history::Question {
        controller: address,
        point,
        from: span.from.map_or_else(|| to.minus(RANGE_DEFAULT), Time),
        to,
        buckets_max: span.buckets.unwrap_or(BUCKETS_DEFAULT),
    };
    let _turn = chart_turn(&api).await?;
    let chart = history::chart(&*api.config, &question).await;
    let chart = chart.map_err(|error| match error {
        history::ChartError::Store(error) => failed(&api, &error),
        error => text::bad_field(&error.to_string()),
    })?;
    let none = || Problem::not_found("there is no history of this point");
    let chart = chart.ok_or_else(none)?;
    Ok(axum::Json(Chart::of(&question.point, &chart)))
}

/// A long chart reads half a million rows: a few at once, so that others have the stores too.
async fn chart_turn(api: &Api) -> Result<SemaphorePermit<'_>, Problem> {
    let turn = tokio::time::timeout(CHART_PATIENCE, api.charts.acquire()).await;
    turn.ok().and_then(Result::ok).ok_or(Code::Busy.into())
}

/// Of which of the last minutes, and how finely.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct RecentSpan {
    /// From the second of this time on; as long before the end as recent values are kept unless it is said.
    #[param(required = false, nullable = false)]
    from: Option<u64>,
    /// Up to this time; now unless it is said. An hour after `from` at most.
    #[param(required = false, nullable = false)]
    to: Option<u64>,
    /// In how many pieces of one length, at most; a second is the shortest. 240 unless it is said.
    #[param(required = false, nullable = false, minimum = 1, maximum = 4_096)]
    buckets: Option<u32>,
}

/// What a point was in the last minutes, in pieces of one length: whole seconds. `409` `unsupported` where the gateway
/// keeps no recent values.
#[utoipa::path(get, path = "/api/controllers/{address}/history/{point}/recent", tag = "records",
    operation_id = "read_recent_values", params(PointPath, RecentSpan),
    responses((status = 200, body = Chart, description = "What it was"), Refused))]
pub(super) async fn recent(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<PointPath>,
    Parameters(span): Parameters<RecentSpan>,
) -> Result<axum::Json<Chart>, Problem> {
    let address = text::controller(path.address)?;
    let point = text::name("point", &path.point)?;
    entry(&api, &caller, address).await?;
    let Some((settings, store)) = api.settings.recent.zip(api.recent.as_ref()) else {
        let detail = "this gateway keeps no recent values: recent_values is off";
        return Err(Problem::of(Code::Unsupported, detail));
    };
    let now = crate::clock::time();
    let to = span.to.map_or(now, Time);
    let question = history::RecentQuestion {
        controller: address,
        point,
        from: span.from.map_or_else(|| to.minus(settings.age), Time),
        to,
        buckets_max: span.buckets.unwrap_or(BUCKETS_DEFAULT),
        now,
    };
    let _turn = chart_turn(&api).await?;
    let chart = history::recent_chart(&**store, &question).await;
    let chart = chart.map_err(|error| match error {
        history::RecentError::Store(error) => failed(&api, &error),
        error => text::bad_field(&error.to_string()),
    })?;
    let none = || Problem::not_found("there are no recent values of this point");
    let chart = chart.ok_or_else(none)?;
    Ok(axum::Json(Chart::of(&question.point, &chart)))
}

/// Which records.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Of this account.
    #[param(required = false, nullable = false)]
    account: Option<String>,
    /// For this controller; 0 is the gateway, which accounts and sites are kept by.
    #[param(
        required = false,
        nullable = false,
        minimum = 0,
        maximum = 2_147_483_647
    )]
    controller: Option<u32>,
    /// Written then or later.
    #[param(required = false, nullable = false)]
    from: Option<u64>,
    /// Written before then.
    #[param(required = false, nullable = false)]
    until: Option<u64>,
    /// Behind the record of this number: `next` of the page before.
    #[param(required = false, nullable = false)]
    after: Option<u64>,
    /// At most so many; 100 unless it is said.
    #[param(required = false, nullable = false, minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
}

/// Who did what, from where, and what became of it.
#[derive(Serialize, ToSchema)]
pub(super) struct AuditEntry {
    /// Rises by one from record to record.
    number: u64,
    /// When the gateway wrote it down.
    time: u64,
    /// `accepted`, `refused`, `reached`, `asked`, `answered`, `lost` or `started`.
    what: &'static str,
    /// Which account.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    account: Option<String>,
    /// By which tool's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    tool: Option<u32>,
    /// From which IP address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    ip: Option<String>,
    /// For which controller; 0 is the gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    target: Option<u32>,
    /// A command's key, as hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    key: Option<String>,
    /// By which what was asked and its answer are found.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    correlation: Option<u32>,
    /// How far a command came.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    stage: Option<&'static str>,
    /// Whether that was its end.
    is_final: bool,
    /// How it was answered, or why it was refused or ended so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    code: Option<&'static str>,
    /// So many records are missing here.
    #[serde(skip_serializing_if = "is_zero")]
    missing: u64,
    /// What was asked for, in words.
    text: String,
    /// Over this record and the hash before it, as hexadecimal digits.
    hash: String,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl AuditEntry {
    fn of(number: u64, chained: Chained) -> Self {
        let record = chained.record;
        AuditEntry {
            number,
            time: record.time.0,
            what: record.what.name(),
            account: record.account.map(|it| it.to_string()),
            tool: record.tool.map(|it| it.0),
            ip: record.ip.map(|it| it.to_string()),
            target: record.target.map(|it| it.0),
            key: record.key.map(|it| it.to_string()),
            correlation: record.correlation,
            stage: record.stage.map(|it| it.name()),
            is_final: record.is_final,
            code: record.code.map(|it| it.name()),
            missing: record.count,
            text: record.text,
            hash: hex::encode(&chained.hash),
        }
    }
}

/// Records of the audit log.
#[derive(Serialize, ToSchema)]
pub(super) struct AuditPage {
    /// The oldest first.
    items: Vec<AuditEntry>,
    /// What to give as `after` for the page behind; absent where this was the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<u64>,
}

fn target(number: u32) -> Result<Address, Problem> {
    let target = Address(number);
    let is_one = target == Address::GATEWAY || target.is_controller();
    let expected = "controller: expected an address, or 0 for the gateway";
    is_one
        .then_some(target)
        .ok_or_else(|| text::bad_field(expected))
}

/// Who did what, from where, and what became of it. For admins everywhere.
#[utoipa::path(get, path = "/api/audit", tag = "records", operation_id = "read_audit", params(Wanted),
    responses((status = 200, body = AuditPage, description = "A page of records"), Refused))]
pub(super) async fn audit(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Parameters(wanted): Parameters<Wanted>,
) -> Result<axum::Json<AuditPage>, Problem> {
    caller.may(&Deed::ReadAudit)?;
    let limit = text::limit(wanted.limit, (RECORDS_DEFAULT, RECORDS_MAX))?;
    let account = wanted.account.map(|name| text::title("account", &name));
    let filter = AuditFilter {
        account: account.transpose()?,
        target: wanted.controller.map(target).transpose()?,
        from: wanted.from.map(Time),
        until: wanted.until.map(Time),
    };
    let after = wanted.after.unwrap_or(0);
    let page = api.config.audit(filter, after, limit).await;
    let page = page.map_err(|error| failed(&api, &error))?;
    let is_last = page.len() < limit as usize;
    let next = page.last().map(|(number, _)| *number).filter(|_| !is_last);
    let items = page.into_iter();
    let items = items.map(|(number, chained)| AuditEntry::of(number, chained));
    Ok(axum::Json(AuditPage {
        items: items.collect(),
        next,
    }))
}
