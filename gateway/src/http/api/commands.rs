//! Commands and their receipts (`docs/protocol.md` §8).

use super::{
    Refused,
    caller::{Caller, Json, Parameters, Place},
    controllers::ControllerPath,
    text,
};
use crate::{
    hex,
    http::{Api, problem::Problem},
};
use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use switchyard_protocol::{
    Address, Code, limits,
    message::{Action, Body, Command, Key, Receipt, Request, Stage, Time},
};
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};

/// How long a request waits for the last receipt unless it says otherwise.
const WAIT_MS_DEFAULT: u64 = 5_000;
/// The longest that it may: proxies take a silence of a minute for a dead server.
const WAIT_MS_MAX: u64 = 30_000;
/// How long the first receipt may take, which is the gateway's own: a store's time limit lies within.
const FIRST_RECEIPT_TIMEOUT: Duration = Duration::from_secs(10);

/// A command to be given.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewCommand {
    /// 32 hexadecimal digits, random and new for each command. The same command with the same key is
    /// executed once, however often it is sent.
    #[schema(pattern = "^[0-9a-fA-F]{32}$")]
    key: String,
    /// The moment after which it must not be executed any more, in gateway time; at most 24 hours ahead. A
    /// moment and not a span, so that the command sent once more is the same command.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991i64)]
    expires: u64,
    /// Whether it may wait until then for a controller that is away.
    #[serde(default)]
    queue: bool,
    /// What to do.
    action: ActionView,
}

/// What a command does. Values are absolute: nothing toggles.
#[derive(Deserialize, ToSchema)]
#[serde(tag = "verb", rename_all = "snake_case", deny_unknown_fields)]
#[schema(as = Action)]
pub(super) enum ActionView {
    /// Switches a manual output.
    Set {
        /// The output.
        #[schema(pattern = "^[A-Za-z_][A-Za-z0-9_]{0,23}$")]
        point: String,
        /// 0 or 1 for a digital output, thousandths for an analogue one.
        #[schema(minimum = -9_007_199_254_740_991i64, maximum = 9_007_199_254_740_991i64)]
        value: i64,
    },
    /// Calls a command of the script.
    Call {
        /// The command.
        #[schema(pattern = "^[A-Za-z_][A-Za-z0-9_]{0,23}$")]
        command: String,
        /// Its arguments; fractional ones in thousandths.
        #[serde(default)]
        #[schema(max_items = 4)]
        arguments: Vec<i64>,
    },
    /// Changes a parameter of the script.
    Adjust {
        /// The parameter.
        #[schema(pattern = "^[A-Za-z_][A-Za-z0-9_]{0,23}$")]
        parameter: String,
        /// 0 or 1, a whole number, thousandths or milliseconds, by its type.
        #[schema(minimum = -9_007_199_254_740_991i64, maximum = 9_007_199_254_740_991i64)]
        value: i64,
    },
}

impl ActionView {
    fn read(self) -> Result<Action, Problem> {
        Ok(match self {
            ActionView::Set { point, value } => Action::Set {
                point: text::name("point", &point)?,
                value: text::value("value", value)?,
            },
            ActionView::Call { command, arguments } => {
                if arguments.len() > limits::ARGUMENTS_MAX {
                    return Err(Problem::bad_request("arguments: expected at most 4"));
                }
                let arguments = arguments.into_iter();
                let arguments = arguments.map(|it| text::value("arguments", it));
                Action::Call {
                    command: text::name("command", &command)?,
                    arguments: arguments.collect::<Result<_, _>>()?,
                }
            }
            ActionView::Adjust { parameter, value } => Action::Adjust {
                parameter: text::name("parameter", &parameter)?,
                value: text::value("value", value)?,
            },
        })
    }
}

#[cfg(any(test, feature = "fuzzing"))]
impl NewCommand {
    /// Reads what stands in it, for fuzzers: what is taken is a command that goes over the wire as it is.
    pub(super) fn fuzz(self) {
        let is_in_time = self.expires <= limits::INTEGER_MAX as u64;
        let (Ok(key), Ok(action), true) = (text::key(&self.key), self.action.read(), is_in_time)
        else {
            return;
        };
        let command = Command {
            key,
            expiry: Time(self.expires),
            wait: self.queue,
            action,
        };
        assert_eq!(Command::decode(&command.encode()), Ok(command));
    }
}

/// How long to wait for the last receipt.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Wait {
    /// Milliseconds, 5,000 unless given. The command goes on when they are over.
    #[param(required = false, nullable = false, minimum = 0, maximum = 30_000)]
    wait_ms: Option<u64>,
}

/// One step of a command.
#[derive(Serialize, ToSchema)]
#[schema(as = Receipt)]
pub(super) struct ReceiptView {
    /// `queued`, `sent`, `delivered`, `executed`, `confirmed`, `expired`, `refused`, `failed` or `unknown`.
    stage: &'static str,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    at: Option<u64>,
    /// A code: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<&'static str>,
    /// The same for people, in the script's own words where it has some.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    detail: Option<String>,
    /// Whether it is the last.
    #[serde(rename = "final")]
    is_final: bool,
}

impl From<Receipt> for ReceiptView {
    fn from(receipt: Receipt) -> Self {
        ReceiptView {
            detail: receipt.detail.map(|detail| detail.as_str().to_owned()),
            ..step(receipt.stage, receipt.at, receipt.reason, receipt.is_final)
        }
    }
}

fn step(stage: Stage, at: Option<Time>, reason: Option<Code>, is_final: bool) -> ReceiptView {
    ReceiptView {
        stage: stage.name(),
        at: at.map(|at| at.0),
        reason: reason.map(Code::name),
        detail: None,
        is_final,
    }
}

/// What became of a command.
#[derive(Serialize, ToSchema)]
pub(super) struct CommandReceipts {
    /// The command's key.
    key: String,
    /// As far as they have come, in their order. Asked for by key, the latest one alone.
    receipts: Vec<ReceiptView>,
    /// Whether the last one of these is the command's last.
    #[serde(rename = "final")]
    is_final: bool,
}

/// Gives a controller a command, and tells its receipts as they have come by the time waited. For
/// operators at its site.
#[utoipa::path(post, path = "/api/controllers/{address}/commands", tag = "commands",
    operation_id = "give_command", params(ControllerPath, Wait), request_body = NewCommand,
    responses(
        (status = 200, body = CommandReceipts, description = "The command is over: the last receipt tells how"),
        (status = 202, body = CommandReceipts, description = "It goes on: ask for its receipt by its key"),
        Refused))]
pub(super) async fn give(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<ControllerPath>,
    Parameters(wait): Parameters<Wait>,
    Json(body): Json<NewCommand>,
) -> Result<(StatusCode, axum::Json<CommandReceipts>), Problem> {
    let address = text::controller(path.address)?;
    let wait_ms = wait.wait_ms.unwrap_or(WAIT_MS_DEFAULT);
    if wait_ms > WAIT_MS_MAX {
        let expected = format!("wait_ms: expected 0 to {WAIT_MS_MAX}");
        return Err(Problem::bad_request(&expected));
    }
    if body.expires > limits::INTEGER_MAX as u64 {
        let expected = "expires: expected milliseconds since 1970-01-01 UTC";
        return Err(Problem::bad_request(expected));
    }
    let key = text::key(&body.key)?;
    let command = Command {
        key,
        expiry: Time(body.expires),
        wait: body.queue,
        action: body.action.read()?,
    };
    let (peer, frames) = caller.peer(&api).await?;
    drop(frames);
    let deadline = Instant::now() + Duration::from_millis(wait_ms);
    let mut receipts = peer.command(address, command).await?;
    let first_deadline = deadline.max(Instant::now() + FIRST_RECEIPT_TIMEOUT);
    let mut told: Vec<ReceiptView> = Vec::new();
    loop {
        // Without any receipt nobody knows whether it was taken, so the first one is worth waiting for.
        let until = if told.is_empty() {
            first_deadline
        } else {
            deadline
        };
        let receipt = match tokio::time::timeout_at(until, receipts.next()).await {
            Ok(Ok(receipt)) => receipt,
            Ok(Err(refusal)) if told.is_empty() => return Err(refusal.into()),
            Err(_) if told.is_empty() => return Err(Code::TimedOut.into()),
            Ok(Err(_)) | Err(_) => break,
        };
        if let Some(problem) = not_for_them(&receipt) {
            return Err(problem);
        }
        let is_final = receipt.is_final;
        told.push(receipt.into());
        if is_final {
            break;
        }
    }
    Ok(answer(key, told))
}

/// A refusal that says nothing of the command, but of whoever gave it.
fn not_for_them(receipt: &Receipt) -> Option<Problem> {
    let reason = receipt.reason.filter(|_| receipt.stage == Stage::Refused)?;
    matches!(
        reason,
        Code::Forbidden | Code::UnknownAddress | Code::NotGranted
    )
    .then(|| reason.into())
}

fn answer(key: Key, receipts: Vec<ReceiptView>) -> (StatusCode, axum::Json<CommandReceipts>) {
    let is_final = receipts.last().is_some_and(|receipt| receipt.is_final);
    let status = match is_final {
        true => StatusCode::OK,
        false => StatusCode::ACCEPTED,
    };
    let body = CommandReceipts {
        key: hex::encode(&key.0),
        receipts,
        is_final,
    };
    (status, axum::Json(body))
}

/// One command.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct KeyPath {
    /// The command's key.
    #[param(pattern = "^[0-9a-fA-F]{32}$")]
    key: String,
}

/// The latest receipt of a command that your account gave.
#[utoipa::path(get, path = "/api/commands/{key}", tag = "commands", operation_id = "command_receipt",
    params(KeyPath),
    responses(
        (status = 200, body = CommandReceipts, description = "The command is over"),
        (status = 202, body = CommandReceipts, description = "It goes on"),
        Refused))]
pub(super) async fn receipt(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<KeyPath>,
) -> Result<(StatusCode, axum::Json<CommandReceipts>), Problem> {
    let key = text::key(&path.key)?;
    let question = Request::Receipt { key };
    match caller.ask(&api, Address::GATEWAY, question).await? {
        Body::Receipt {
            stage,
            at,
            reason,
            is_final,
        } => Ok(answer(key, vec![step(stage, at, reason, is_final)])),
        _ => Err(Code::Internal.into()),
    }
}
