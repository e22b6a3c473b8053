//! The library: scripts by name, in versions of which none ever changes. What is here runs nowhere until a roll-out
//! brings it to controllers.

use super::{
    Refused,
    caller::{Caller, Json, Parameters, Place, failed},
    inner::FaultView,
    rights::Deed,
    text,
};
use crate::{
    compiler::{CompilerError, SOURCE_BYTES_MAX},
    fleet::{
        library::{self, CheckError, Taken, Told},
        plan::{Label, script_diff},
    },
    http::{Api, problem::Problem},
    store::{NewScript, ScriptVersion},
};
use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use switchyard_protocol::{Address, Code};
use utoipa::{IntoParams, ToSchema};

/// Scripts or versions on a page unless another number is asked for.
const PAGE_DEFAULT: u32 = 50;
/// The most on a page.
const PAGE_MAX: u32 = 200;
/// Boards that one script is compiled for: each is a child process.
const BOARDS_MAX: usize = 16;

/// A version of a script.
#[derive(Serialize, ToSchema)]
#[schema(as = ScriptVersion)]
pub(super) struct VersionView {
    /// What the script is called.
    #[schema(pattern = "^[a-z0-9_-]{1,64}$")]
    script: String,
    /// The version's number, from 1.
    #[schema(minimum = 1)]
    version: u32,
    /// BLAKE2b-256 of its source, as controllers tell it.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    digest: String,
    /// The source's length.
    bytes: u32,
    /// When it was added.
    added: u64,
    /// Who added it: an account, or `command line`.
    by: String,
    /// Why, in their words.
    note: String,
    /// Its source. Only where one version was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    source: Option<String>,
}

impl From<ScriptVersion> for VersionView {
    fn from(version: ScriptVersion) -> Self {
        VersionView {
            script: version.label.to_string(),
            version: version.number,
            digest: version.digest.to_string(),
            bytes: version.bytes,
            added: version.added.0,
            by: text::by(&version.by),
            note: version.note,
            source: None,
        }
    }
}

/// Some scripts, each by its newest version.
#[derive(Serialize, ToSchema)]
pub(super) struct Scripts {
    /// By name.
    items: Vec<VersionView>,
    /// What to give as `after` for those that follow; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// Some versions of a script.
#[derive(Serialize, ToSchema)]
pub(super) struct ScriptVersions {
    /// The newest first.
    items: Vec<VersionView>,
    /// What to give as `before` for those that follow; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<u32>,
}

/// Which scripts.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ScriptsWanted {
    /// `next` of the page before.
    #[param(required = false, nullable = false, pattern = "^[a-z0-9_-]{1,64}$")]
    after: Option<String>,
    /// How many at most.
    #[param(required = false, nullable = false, minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// Which versions.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct VersionsWanted {
    /// `next` of the page before.
    #[param(
        required = false,
        nullable = false,
        minimum = 1,
        maximum = 4_294_967_295u32
    )]
    before: Option<u32>,
    /// How many at most.
    #[param(required = false, nullable = false, minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// Between which versions.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Between {
    /// The older one; the one before `to` without it. Before the first there is nothing.
    #[param(
        required = false,
        nullable = false,
        minimum = 0,
        maximum = 4_294_967_295u32
    )]
    from: Option<u32>,
    /// The newer one; the newest without it.
    #[param(
        required = false,
        nullable = false,
        minimum = 1,
        maximum = 4_294_967_295u32
    )]
    to: Option<u32>,
}

/// One script.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct ScriptPath {
    /// What it is called.
    #[param(pattern = "^[a-z0-9_-]{1,64}$")]
    script: String,
}

/// One version of a script.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct VersionPath {
    /// What the script is called.
    #[param(pattern = "^[a-z0-9_-]{1,64}$")]
    script: String,
    /// The version's number.
    #[param(minimum = 1, maximum = 4_294_967_295u32)]
    version: u32,
}

/// A script to be added.
#[derive(Deserialize, ToSchema)]
#[serde(rename = "NewVersion", deny_unknown_fields)]
#[schema(as = NewVersion)]
pub(super) struct WantedVersion {
    /// Its source: at most 8,192 bytes.
    #[schema(max_length = 8192)]
    source: String,
    /// Why, in a line of at most 500 bytes.
    #[serde(default)]
    #[schema(max_length = 500)]
    note: String,
    /// The boards that have to take it, by the names of the firmware's profiles. Without any one of all boards has to.
    #[serde(default)]
    #[schema(max_items = 16)]
    boards: Vec<String>,
}

/// What adding a script came to.
#[derive(Serialize, ToSchema)]
pub(super) struct AddedVersion {
    /// The version's number.
    #[schema(minimum = 1)]
    version: u32,
    /// Of its source.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    digest: String,
    /// Those boards that take it.
    boards: Vec<BoardCost>,
}

/// What a script costs at a board.
#[derive(Serialize, ToSchema)]
pub(super) struct BoardCost {
    /// The board's name.
    board: String,
    /// Bytes of code and table in its flash.
    program_bytes: u32,
    /// Operations of a scan.
    operations: u32,
    /// What a scan takes at most on the chip, in microseconds.
    scan_micros: u32,
}

impl From<Taken> for BoardCost {
    fn from(taken: Taken) -> Self {
        BoardCost {
            board: taken.board,
            program_bytes: taken.summary.program_bytes,
            operations: taken.summary.operations.into(),
            scan_micros: taken.summary.scan_micros,
        }
    }
}

/// What changed between two versions.
#[derive(Serialize, ToSchema)]
pub(super) struct ScriptDiff {
    /// The older one; 0 is nothing at all.
    from: u32,
    /// The newer one.
    to: u32,
    /// A unified diff; empty where they are the same.
    diff: String,
}

/// The scripts of the library, by name, page by page. For whoever has any role.
#[utoipa::path(get, path = "/api/scripts", tag = "scripts", operation_id = "list_scripts",
    params(ScriptsWanted),
    responses((status = 200, body = Scripts, description = "A page of them"), Refused))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Parameters(wanted): Parameters<ScriptsWanted>,
) -> Result<axum::Json<Scripts>, Problem> {
    caller.may(&Deed::SeeLibrary)?;
    let limit = text::limit(wanted.limit, (PAGE_DEFAULT, PAGE_MAX))?;
    let after = wanted
        .after
        .map(|after| label("after", &after))
        .transpose()?;
    let page = api.config.scripts(after, limit).await;
    let page = page.map_err(|error| failed(&api, &error))?;
    let is_full = page.len() == limit as usize;
    let next = page.last().map(|last| last.label.to_string());
    Ok(axum::Json(Scripts {
        items: page.into_iter().map(VersionView::from).collect(),
        next: next.filter(|_| is_full),
    }))
}

/// The versions of a script, the newest first, page by page. For whoever has any role.
#[utoipa::path(get, path = "/api/scripts/{script}", tag = "scripts", operation_id = "list_script_versions",
    params(ScriptPath, VersionsWanted),
    responses((status = 200, body = ScriptVersions, description = "A page of them"), Refused))]
pub(super) async fn versions(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<ScriptPath>,
    Parameters(wanted): Parameters<VersionsWanted>,
) -> Result<axum::Json<ScriptVersions>, Problem> {
    caller.may(&Deed::SeeLibrary)?;
    let (limit, label) = (
        text::limit(wanted.limit, (PAGE_DEFAULT, PAGE_MAX))?,
        label("script", &path.script)?,
    );
    if wanted.before == Some(0) {
        return Err(Problem::bad_request(
            "before: expected a version's number, 1 and up",
        ));
    }
    let page = api
        .config
        .script_versions(label, wanted.before, limit)
        .await;
    let page = page.map_err(|error| failed(&api, &error))?;
    if page.is_empty() && wanted.before.is_none() {
        return Err(no_script());
    }
    let is_full = page.len() == limit as usize;
    let next = page.last().map(|last| last.number);
    Ok(axum::Json(ScriptVersions {
        items: page.into_iter().map(VersionView::from).collect(),
        // In front of the first there is none.
        next: next.filter(|number| is_full && *number > 1),
    }))
}

/// One version of a script, with its source. For whoever has any role.
#[utoipa::path(get, path = "/api/scripts/{script}/versions/{version}", tag = "scripts",
    operation_id = "show_script_version", params(VersionPath),
    responses((status = 200, body = VersionView, description = "The version"), Refused))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<VersionPath>,
) -> Result<axum::Json<VersionView>, Problem> {
    caller.may(&Deed::SeeLibrary)?;
    let label = label("script", &path.script)?;
    let (version, source) = find(&api, label, Some(path.version)).await?;
    let view = VersionView::from(version);
    let source = Some(source);
    Ok(axum::Json(VersionView { source, ..view }))
}

/// Adds a version of a script, once the compiler has taken it. For technicians at any site, since it runs nowhere
/// until somebody rolls it out.
#[utoipa::path(post, path = "/api/scripts/{script}", tag = "scripts", operation_id = "add_script_version",
    params(ScriptPath), request_body = WantedVersion,
    responses(
        (status = 200, body = AddedVersion, description = "It was the newest version already"),
        (status = 201, body = AddedVersion, description = "It is added"),
        Refused
    ))]
pub(super) async fn add(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<ScriptPath>,
    Json(body): Json<WantedVersion>,
) -> Result<(StatusCode, axum::Json<AddedVersion>), Problem> {
    caller.may(&Deed::AddToLibrary)?;
    let label = label("script", &path.script)?;
    let note = text::note(body.note)?;
    if body.boards.len() > BOARDS_MAX {
        let expected = format!("boards: expected at most {BOARDS_MAX}");
        return Err(Problem::bad_request(&expected));
    }
    let taken = library::check(&api.compiler, &body.boards, &body.source).await;
    let taken = taken.map_err(not_taken)?;
    let text = format!("add a version of script {label} to the library");
    let script = NewScript {
        label,
        source: body.source,
        by: caller.login.account.clone(),
        note,
    };
    let by = Arc::clone(&api);
    let adding = async move {
        let added = by.config.add_script(script, crate::clock::time()).await;
        added.map_err(|error| failed(&by, &error))
    };
    let what = (Address::GATEWAY, text);
    let added = caller.change(&api, what, adding).await?;
    let (version, digest) = (added.number, added.digest);
    let status = match added.is_new {
        false => StatusCode::OK,
        true => StatusCode::CREATED,
    };
    let added = AddedVersion {
        version,
        digest: digest.to_string(),
        boards: taken.into_iter().map(BoardCost::from).collect(),
    };
    Ok((status, axum::Json(added)))
}

/// What changed between two versions of a script. For whoever has any role.
#[utoipa::path(get, path = "/api/scripts/{script}/diff", tag = "scripts", operation_id = "diff_script_versions",
    params(ScriptPath, Between),
    responses((status = 200, body = ScriptDiff, description = "What changed"), Refused))]
pub(super) async fn diff(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<ScriptPath>,
    Parameters(between): Parameters<Between>,
) -> Result<axum::Json<ScriptDiff>, Problem> {
    caller.may(&Deed::SeeLibrary)?;
    let label = label("script", &path.script)?;
    let (new, new_source) = find(&api, label.clone(), between.to).await?;
    let from = between.from.unwrap_or(new.number - 1);
    let old_source = match from {
        0 => String::new(),
        from => find(&api, label.clone(), Some(from)).await?.1,
    };
    let to = new.number;
    let (old, new) = (format!("{label} {from}"), format!("{label} {to}"));
    let diff = script_diff((&old, &old_source), (&new, &new_source));
    Ok(axum::Json(ScriptDiff { from, to, diff }))
}

/// Removes a script with all its versions, unless a roll-out that is kept needs one. For admins everywhere.
#[utoipa::path(delete, path = "/api/scripts/{script}", tag = "scripts", operation_id = "remove_script",
    params(ScriptPath),
    responses((status = 204, description = "It is removed"), Refused))]
pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<ScriptPath>,
) -> Result<StatusCode, Problem> {
    caller.may(&Deed::RemoveFromLibrary)?;
    let label = label("script", &path.script)?;
    let text = format!("remove script {label} from the library");
    let by = Arc::clone(&api);
    let removing = async move {
        let removed = by.config.remove_script(label, crate::clock::time());
        let removed = removed.await.map_err(|error| failed(&by, &error))?;
        removed
            .then_some(StatusCode::NO_CONTENT)
            .ok_or_else(no_script)
    };
    caller
        .change(&api, (Address::GATEWAY, text), removing)
        .await
}

async fn find(
    api: &Api,
    label: Label,
    number: Option<u32>,
) -> Result<(ScriptVersion, String), Problem> {
    let found = api.config.script(label, number).await;
    let found = found.map_err(|error| failed(api, &error))?;
    found.ok_or_else(no_script)
}

fn no_script() -> Problem {
    Problem::not_found("there is no script of this name, or no such version of it")
}

/// What the compiler's refusals are to whoever sent the script.
fn not_taken(error: CheckError) -> Problem {
    match error {
        CheckError::Refused { fault, .. } => {
            let detail = format!("line {}: {}", fault.line, Told(&fault));
            FaultView::from(fault).into_problem(&detail)
        }
        CheckError::Compiler(error) => match &error {
            CompilerError::TooLong { .. } => text::bad_field(&format!(
                "source: expected at most {SOURCE_BYTES_MAX} bytes"
            )),
            CompilerError::UnknownBoard { .. } => text::bad_field(&format!("boards: {error}")),
            CompilerError::Busy => Code::Busy.into(),
            error => {
                tracing::error!(
                    error = error as &dyn std::error::Error,
                    "cannot compile a script"
                );
                Problem::of(
                    Code::Internal,
                    "the compiler failed; the gateway's log says how",
                )
            }
        },
    }
}

fn label(field: &str, text: &str) -> Result<Label, Problem> {
    text.parse().map_err(|_| {
        text::bad_field(&format!(
            "{field}: expected a name of 1 to 64 characters among a-z, 0-9, - and _"
        ))
    })
}
