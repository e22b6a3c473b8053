//! What is inside a controller that runs a script (`docs/protocol.md` §6.1).

use super::{
    Refused,
    caller::{ANSWER_TIMEOUT, Caller, Json, Parameters, Place, ask, read_json},
    controllers::{CauseView, ControllerPath},
    text,
};
use crate::{
    compiler,
    digest::Digest,
    fleet::{firmware, rollout::ReleaseKind},
    hex,
    http::{Api, problem::Problem},
    inside::{Refusal, Transfer},
    store::Seen,
};
use axum::{
    extract::{Request as HttpRequest, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use switchyard_protocol::{
    Address, Code,
    limits::{FORCE_MAX, NAMES_MAX},
    message::{
        Body, Content, FirmwareState, Health, LogEntry, NamedValue, Parameter, Request,
        ScriptFault, ScriptState,
    },
};
use utoipa::{IntoParams, ToSchema};

/// The longest script that is taken over HTTP; what a controller has room for is less, and it says so.
const SCRIPT_BYTES_MAX: usize = 128 * 1024;
/// The body around it: JSON may write a byte of it as six.
const SCRIPT_BODY_BYTES_MAX: usize = 6 * SCRIPT_BYTES_MAX + 1024;
/// How long a script may take to go over: a controller on a poor line takes a piece a second.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(120);

/// What a controller's script can do.
#[derive(Serialize, ToSchema)]
pub(super) struct Description {
    /// The script's or behaviour's name.
    behaviour: String,
    /// Its commands, such as `pulse(t: time in 100ms..60s)`.
    commands: Vec<String>,
}

/// What a controller's script can do, and by which commands.
#[utoipa::path(get, path = "/api/controllers/{address}/description", tag = "inside",
    operation_id = "describe_controller", params(ControllerPath),
    responses((status = 200, body = Description, description = "What it can do"), Refused))]
pub(super) async fn describe(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<ControllerPath>,
) -> Result<axum::Json<Description>, Problem> {
    let address = text::controller(path.address)?;
    match caller.ask(&api, address, Request::Describe).await? {
        Body::Describe {
            behaviour,
            commands,
        } => Ok(axum::Json(Description {
            behaviour: behaviour.to_string(),
            commands: commands.iter().map(|it| it.as_str().into()).collect(),
        })),
        _ => Err(Code::Internal.into()),
    }
}

/// What people may change of a script, by a command `adjust`.
#[derive(Serialize, ToSchema)]
#[schema(as = Parameter)]
pub(super) struct ParameterView {
    /// Its name.
    name: String,
    /// `bool`, `int`, `num` (thousandths) or `time` (milliseconds).
    #[serde(rename = "type")]
    kind: &'static str,
    /// What it is now.
    value: i64,
    /// The least that it may be.
    min: i64,
    /// The most that it may be.
    max: i64,
}

impl From<Parameter> for ParameterView {
    fn from(it: Parameter) -> Self {
        ParameterView {
            name: it.name.to_string(),
            kind: it.value_type.name(),
            value: it.value,
            min: it.min,
            max: it.max,
        }
    }
}

/// A script's parameters.
#[derive(Serialize, ToSchema)]
#[schema(as = Parameters)]
pub(super) struct AllParameters {
    /// In the script's order.
    items: Vec<ParameterView>,
}

/// What may be adjusted in a controller's script.
#[utoipa::path(get, path = "/api/controllers/{address}/parameters", tag = "inside",
    operation_id = "list_parameters", params(ControllerPath),
    responses((status = 200, body = AllParameters, description = "All of them"), Refused))]
pub(super) async fn parameters(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<ControllerPath>,
) -> Result<axum::Json<AllParameters>, Problem> {
    let address = text::controller(path.address)?;
    match caller.ask(&api, address, Request::Parameters).await? {
        Body::Parameters { parameters } => Ok(axum::Json(AllParameters {
            items: parameters.into_iter().map(ParameterView::from).collect(),
        })),
        _ => Err(Code::Internal.into()),
    }
}

/// What something in a script is worth.
#[derive(Serialize, ToSchema)]
#[schema(as = Value)]
pub(super) struct ValueView {
    /// Its name.
    name: String,
    /// `bool`, `int`, `num` (thousandths) or `time` (milliseconds).
    #[serde(rename = "type")]
    kind: &'static str,
    /// What it is now.
    value: i64,
}

impl From<NamedValue> for ValueView {
    fn from(it: NamedValue) -> Self {
        ValueView {
            name: it.name.to_string(),
            kind: it.value_type.name(),
            value: it.value,
        }
    }
}

/// What everything in a script is worth; not all of one scan.
#[derive(Serialize, ToSchema)]
pub(super) struct Values {
    /// In the script's order.
    items: Vec<ValueView>,
}

/// What everything in a controller's script is worth now.
#[utoipa::path(get, path = "/api/controllers/{address}/values", tag = "inside",
    operation_id = "list_values", params(ControllerPath),
    responses((status = 200, body = Values, description = "All of them"), Refused))]
pub(super) async fn values(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<ControllerPath>,
) -> Result<axum::Json<Values>, Problem> {
    let address = text::controller(path.address)?;
    let (peer, _) = caller.peer(&api).await?;
    let mut items: Vec<ValueView> = Vec::new();
    loop {
        let from = Some(items.len() as u32).filter(|&from| from > 0);
        let Body::Values { values, total } = ask(&peer, address, Request::Values { from }).await?
        else {
            return Err(Code::Internal.into());
        };
        let is_last = values.is_empty();
        items.extend(values.into_iter().map(ValueView::from));
        if items.len() > NAMES_MAX {
            return Err(Code::Internal.into());
        }
        if is_last || items.len() as u64 >= u64::from(total) {
            return Ok(axum::Json(Values { items }));
        }
    }
}

/// How a controller is.
#[derive(Serialize, ToSchema)]
#[schema(as = Health)]
pub(super) struct HealthView {
    /// Milliseconds since its start.
    uptime_ms: u64,
    /// Random for each of its starts.
    boot: u32,
    /// Why it last restarted: `power`, `watchdog`, `exception`, `commanded` or `other`.
    reset: &'static str,
    /// Bytes of memory that are free.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    free_bytes: Option<u32>,
    /// How it scans.
    scan: ScanView,
    /// How it stands with its script.
    script: ScriptStateView,
    /// Which firmware it runs, where it tells that.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    firmware: Option<FirmwareStateView>,
}

/// How a controller scans.
#[derive(Serialize, ToSchema)]
#[schema(as = Scan)]
pub(super) struct ScanView {
    /// Scans that came 10 ms late or later.
    late: u32,
    /// The longest time without one.
    longest_gap_ms: u32,
    /// What that was for: `unknown`, `erase`, `handshake` or `compile`.
    gap_cause: &'static str,
    /// What one costs at most.
    cost_us: u32,
}

/// How a controller stands with its script.
#[derive(Serialize, ToSchema)]
#[schema(as = ScriptState)]
pub(super) struct ScriptStateView {
    /// `none`, `kept`, `on_trial` or `safe_mode`.
    state: &'static str,
    /// When the trial ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    trial_left_ms: Option<u32>,
    /// Its title.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    title: Option<String>,
    /// BLAKE2b-256 of its source, as hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    digest: Option<String>,
    /// Divisions by zero and the like, since it runs.
    faults: u32,
}

/// Which firmware a controller runs.
#[derive(Serialize, ToSchema)]
#[schema(as = FirmwareState)]
pub(super) struct FirmwareStateView {
    /// `settled`, `waiting` (another one is tried at the next restart), `on_trial` or `fell_back`.
    state: &'static str,
    /// The slot that it runs from.
    slot: u8,
    /// Its version.
    version: String,
    /// The board that it is for.
    board: String,
}

impl From<Health> for HealthView {
    fn from(it: Health) -> Self {
        HealthView {
            uptime_ms: it.uptime_ms,
            boot: it.boot,
            reset: it.reset.name(),
            free_bytes: it.free_bytes,
            scan: ScanView {
                late: it.scan.late,
                longest_gap_ms: it.scan.longest_gap_ms,
                gap_cause: it.scan.gap_cause.name(),
                cost_us: it.scan.cost_us,
            },
            script: ScriptStateView {
                state: it.script.state.name(),
                trial_left_ms: it.script.trial_left_ms,
                title: it.script.title.map(|title| title.to_string()),
                digest: it.script.digest.map(|digest| hex::encode(&digest)),
                faults: it.script.faults,
            },
            firmware: it.firmware.map(|firmware| FirmwareStateView {
                state: firmware.state.name(),
                slot: firmware.slot,
                version: firmware.version.to_string(),
                board: firmware.profile.to_string(),
            }),
        }
    }
}

/// How a controller is.
#[utoipa::path(get, path = "/api/controllers/{address}/health", tag = "inside",
    operation_id = "show_health", params(ControllerPath),
    responses((status = 200, body = HealthView, description = "How it is"), Refused))]
pub(super) async fn health(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<ControllerPath>,
) -> Result<axum::Json<HealthView>, Problem> {
    let address = text::controller(path.address)?;
    match caller.ask(&api, address, Request::Health).await? {
        Body::Health(health) => {
            note_running(&api, address, &health).await;
            Ok(axum::Json((*health).into()))
        }
        _ => Err(Code::Internal.into()),
    }
}

/// Keeps what a controller has just said that it runs, which is what plans of the fleet know of it. What is on
/// trial may go back by itself, and says nothing.
async fn note_running(api: &Api, controller: Address, health: &Health) {
    let script = match (health.script.state, health.script.digest) {
        (ScriptState::None, _) => Some(None),
        (ScriptState::Kept, Some(digest)) => Some(Some(Digest(digest))),
        _ => None,
    };
    let settled = health.firmware.as_ref();
    let settled = settled.filter(|it| it.state != FirmwareState::OnTrial);
    let firmware = match settled.and_then(firmware::name_told) {
        Some(name) => firmware::running(&*api.config, name).await.ok(),
        None => None,
    };
    let firmware = firmware.map(|(digest, _)| Some(digest));
    let at = crate::clock::time();
    let seen: Vec<Seen> = [
        (ReleaseKind::Script, script),
        (ReleaseKind::Firmware, firmware),
    ]
    .into_iter()
    .filter_map(|(kind, running)| {
        let running = running?;
        Some(Seen {
            controller,
            kind,
            running,
            at,
        })
    })
    .collect();
    if seen.is_empty() {
        return;
    }
    if let Err(error) = api.config.put_seen(seen).await {
        tracing::debug!(%error, %controller, "cannot keep what a controller runs");
    }
}

/// Something that happened at a controller.
#[derive(Serialize, ToSchema)]
#[schema(as = LogEntry)]
pub(super) struct LogEntryView {
    /// Rises from entry to entry.
    number: u32,
    /// When, where the controller knew the time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    time: Option<u64>,
    /// When, since its start.
    uptime_ms: u64,
    /// The point's name, or what happened.
    about: String,
    /// What the point became.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    value: Option<i64>,
    /// Why.
    cause: CauseView,
}

impl From<LogEntry> for LogEntryView {
    fn from(it: LogEntry) -> Self {
        LogEntryView {
            number: it.number,
            time: it.time.map(|time| time.0),
            uptime_ms: it.uptime_ms,
            about: it.about.as_str().to_owned(),
            value: it.value,
            cause: it.cause.into(),
        }
    }
}

/// Entries of a controller's log.
#[derive(Serialize, ToSchema)]
#[schema(as = Log)]
pub(super) struct LogPage {
    /// Newest first.
    items: Vec<LogEntryView>,
    /// What to give as `before` for older ones; absent where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<u32>,
}

/// Which entries.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Before {
    /// Those before the entry of this number.
    #[param(required = false, nullable = false, maximum = 4_294_967_295u32)]
    before: Option<u32>,
}

/// What happened at a controller, and why: as many entries as fit one answer of it, newest first.
#[utoipa::path(get, path = "/api/controllers/{address}/log", tag = "inside",
    operation_id = "read_log", params(ControllerPath, Before),
    responses((status = 200, body = LogPage, description = "A page of entries"), Refused))]
pub(super) async fn log(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<ControllerPath>,
    Parameters(Before { before }): Parameters<Before>,
) -> Result<axum::Json<LogPage>, Problem> {
    let address = text::controller(path.address)?;
    match caller.ask(&api, address, Request::Log { before }).await? {
        Body::Log { entries } => Ok(axum::Json(LogPage {
            next: entries.last().map(|entry| entry.number),
            items: entries.into_iter().map(LogEntryView::from).collect(),
        })),
        _ => Err(Code::Internal.into()),
    }
}

/// One output of a controller.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct PointPath {
    /// The controller's address.
    #[param(minimum = 1, maximum = 2_147_483_647)]
    pub(super) address: u32,
    /// The point's name.
    #[param(pattern = "^[A-Za-z_][A-Za-z0-9_]{0,23}$")]
    pub(super) point: String,
}

/// At what an output is to be held, and for how long.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Force {
    /// 0 or 1 for a digital output, thousandths for an analogue one.
    #[schema(minimum = -9_007_199_254_740_991i64, maximum = 9_007_199_254_740_991i64)]
    value: i64,
    /// For so long, whatever is wanted of it.
    #[schema(minimum = 1, maximum = 86_400_000)]
    duration_ms: u64,
}

/// Holds an output at a value for a time. For technicians at the controller's site.
#[utoipa::path(put, path = "/api/controllers/{address}/forces/{point}", tag = "inside",
    operation_id = "force_point", params(PointPath), request_body = Force,
    responses((status = 204, description = "It is held"), Refused))]
pub(super) async fn force(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<PointPath>,
    Json(body): Json<Force>,
) -> Result<StatusCode, Problem> {
    let duration = Duration::from_millis(body.duration_ms);
    if duration.is_zero() || duration > FORCE_MAX {
        let expected = format!("duration_ms: expected 1 to {}", FORCE_MAX.as_millis());
        return Err(Problem::bad_request(&expected));
    }
    let question = Request::Force {
        point: text::name("point", &path.point)?,
        value: text::value("value", body.value)?,
        duration,
    };
    have_done(&api, &caller, path.address, question).await
}

/// Holds an output no more. For technicians at the controller's site.
#[utoipa::path(delete, path = "/api/controllers/{address}/forces/{point}", tag = "inside",
    operation_id = "release_point", params(PointPath),
    responses((status = 204, description = "It is held no more"), Refused))]
pub(super) async fn release(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<PointPath>,
) -> Result<StatusCode, Problem> {
    let point = text::name("point", &path.point)?;
    have_done(&api, &caller, path.address, Request::Release { point }).await
}

/// Has a controller start anew, half a second later. For technicians at its site.
#[utoipa::path(post, path = "/api/controllers/{address}/restart", tag = "inside",
    operation_id = "restart_controller", params(ControllerPath),
    responses((status = 204, description = "It restarts"), Refused))]
pub(super) async fn restart(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<ControllerPath>,
) -> Result<StatusCode, Problem> {
    have_done(&api, &caller, path.address, Request::Restart).await
}

async fn have_done(
    api: &Api,
    caller: &Caller,
    address: u32,
    question: Request,
) -> Result<StatusCode, Problem> {
    let address = text::controller(address)?;
    match caller.ask(api, address, question).await? {
        Body::Done(_) => Ok(StatusCode::NO_CONTENT),
        _ => Err(Code::Internal.into()),
    }
}

/// A controller's script.
#[derive(Serialize, ToSchema)]
#[schema(as = Script)]
pub(super) struct ScriptView {
    /// What it says.
    source: String,
    /// BLAKE2b-256 of that, as hexadecimal digits.
    digest: String,
}

/// A script for a controller.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewScript {
    /// What it says.
    #[schema(min_length = 1, max_length = 131_072)]
    source: String,
    /// Whether it is kept at once. Otherwise it runs on trial, and goes by itself unless it is kept.
    #[serde(default)]
    keep: bool,
}

/// Where a script does not compile, and why.
#[derive(Serialize, ToSchema)]
#[schema(as = Fault)]
pub(super) struct FaultView {
    /// From 1.
    line: u32,
    /// From 1, in bytes.
    column: u32,
    /// What was expected there.
    expected: String,
    /// What may mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    fix: Option<String>,
    /// Where the other one stands of two statements that exclude each other.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    other_line: Option<u32>,
}

impl From<ScriptFault> for FaultView {
    fn from(it: ScriptFault) -> Self {
        FaultView {
            line: it.line,
            column: it.column,
            expected: it.expected.as_str().to_owned(),
            fix: it.fix.map(|fix| fix.as_str().to_owned()),
            other_line: it.other_line,
        }
    }
}

impl From<compiler::Fault> for FaultView {
    fn from(it: compiler::Fault) -> Self {
        FaultView {
            line: it.line.into(),
            column: it.column.into(),
            expected: it.expected,
            fix: it.fix,
            other_line: it.other_line.map(u32::from),
        }
    }
}

impl FaultView {
    /// The refusal that bears it.
    pub(super) fn into_problem(self, detail: &str) -> Problem {
        let problem = Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "not_compiled",
            "the script does not compile",
            detail,
        );
        let fault = serde_json::to_value(self).unwrap_or_default();
        problem.with("fault", fault)
    }
}

/// How a trial is to end.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TrialEnd {
    /// Whether the script stays; otherwise the one before comes back.
    keep: bool,
}

/// The source of the script that a controller runs.
#[utoipa::path(get, path = "/api/controllers/{address}/script", tag = "inside",
    operation_id = "read_script", params(ControllerPath),
    responses((status = 200, body = ScriptView, description = "Its source"), Refused))]
pub(super) async fn read_script(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<ControllerPath>,
) -> Result<axum::Json<ScriptView>, Problem> {
    let address = text::controller(path.address)?;
    let (peer, _) = caller.peer(&api).await?;
    let transfer = Transfer::new(&peer, address, ANSWER_TIMEOUT);
    let bytes = in_time(transfer.read(Content::Script)).await?;
    if bytes.is_empty() {
        return Err(Problem::not_found("the controller runs no script"));
    }
    let digest = Digest::of(&bytes).to_string();
    let source = String::from_utf8_lossy(&bytes).into_owned();
    Ok(axum::Json(ScriptView { source, digest }))
}

/// Gives a controller another script, which runs at once. For technicians at its site.
#[utoipa::path(put, path = "/api/controllers/{address}/script", tag = "inside",
    operation_id = "write_script", params(ControllerPath),
    request_body(content = NewScript, content_type = "application/json"),
    responses((status = 204, description = "It runs"), Refused))]
pub(super) async fn write_script(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<ControllerPath>,
    request: HttpRequest,
) -> Result<StatusCode, Problem> {
    let body: NewScript = read_json(request, SCRIPT_BODY_BYTES_MAX).await?;
    let address = text::controller(path.address)?;
    if !(1..=SCRIPT_BYTES_MAX).contains(&body.source.len()) {
        let expected = format!("source: expected 1 to {SCRIPT_BYTES_MAX} bytes");
        return Err(Problem::bad_request(&expected));
    }
    let (peer, _) = caller.peer(&api).await?;
    let source = body.source.as_bytes();
    let transfer = Transfer::new(&peer, address, ANSWER_TIMEOUT);
    let running = async {
        transfer.write(Content::Script, source).await?;
        transfer.commit(Digest::of(source), body.keep).await
    };
    match in_time(running).await? {
        None => Ok(StatusCode::NO_CONTENT),
        Some(fault) => {
            let fault = FaultView::from(fault);
            let detail = format!("line {}: expected {}", fault.line, fault.expected);
            Err(fault.into_problem(&detail))
        }
    }
}

/// Ends the trial of a script: keeps it, or goes back to the one before. For technicians at the
/// controller's site.
#[utoipa::path(post, path = "/api/controllers/{address}/script/trial", tag = "inside",
    operation_id = "end_trial", params(ControllerPath), request_body = TrialEnd,
    responses((status = 204, description = "The trial is over"), Refused))]
pub(super) async fn end_trial(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<ControllerPath>,
    Json(body): Json<TrialEnd>,
) -> Result<StatusCode, Problem> {
    let question = Request::Trial { keep: body.keep };
    have_done(&api, &caller, path.address, question).await
}

async fn in_time<T>(transfer: impl Future<Output = Result<T, Refusal>>) -> Result<T, Problem> {
    let done = tokio::time::timeout(TRANSFER_TIMEOUT, transfer).await;
    let done = done.unwrap_or_else(|_| Err(Code::TimedOut.into()));
    done.map_err(Problem::from)
}
