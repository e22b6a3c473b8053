//! The library of firmwares: by board and version, each with a signed update for either slot of a controller's flash. What
//! is here runs nowhere until a roll-out brings it to controllers.

use super::{
    Refused,
    caller::{Caller, Parameters, Place, failed, read_octets},
    rights::Deed,
    text,
};
use crate::{
    fleet::firmware::{self, FirmwareName},
    http::{Api, problem::Problem},
    store::{Firmware, NewFirmware},
};
use axum::{
    extract::{Request, State},
    http::StatusCode,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use switchyard_protocol::Address;
use utoipa::{IntoParams, ToSchema};

/// A firmware.
#[derive(Serialize, ToSchema)]
#[schema(as = Firmware)]
pub(super) struct FirmwareView {
    /// The board that it is for.
    #[schema(pattern = "^[a-z0-9_-]{1,64}$")]
    board: String,
    /// Its version.
    #[schema(pattern = "^[0-9]{1,5}[.][0-9]{1,3}[.][0-9]{1,3}$")]
    version: String,
    /// The lowest version that may follow at a controller which has confirmed this one.
    #[schema(pattern = "^[0-9]{1,5}[.][0-9]{1,3}[.][0-9]{1,3}$")]
    lowest: String,
    /// BLAKE2b-256 of its updates, by which roll-outs know it.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    digest: String,
    /// The length of both updates together.
    bytes: u32,
    /// When it was added.
    added: u64,
    /// Who added it.
    by: String,
    /// Why, in their words.
    note: String,
}

impl From<Firmware> for FirmwareView {
    fn from(firmware: Firmware) -> Self {
        FirmwareView {
            board: firmware.name.profile.to_string(),
            version: firmware.name.version.to_string(),
            lowest: firmware.lowest.to_string(),
            digest: firmware.digest.to_string(),
            bytes: firmware.bytes,
            added: firmware.added.0,
            by: text::by(&firmware.by),
            note: firmware.note,
        }
    }
}

/// All firmwares.
#[derive(Serialize, ToSchema)]
pub(super) struct Firmwares {
    /// By board, the newest first.
    items: Vec<FirmwareView>,
}

/// What is noted beside a firmware.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Noted {
    /// Why it is added, in a line of at most 500 bytes.
    #[serde(default)]
    #[param(required = false, nullable = false, max_length = 500)]
    note: String,
}

/// One firmware.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct FirmwarePath {
    /// The board that it is for.
    #[param(pattern = "^[a-z0-9_-]{1,64}$")]
    board: String,
    /// Its version, such as 0.3.1.
    #[param(pattern = "^[0-9]{1,5}[.][0-9]{1,3}[.][0-9]{1,3}$")]
    version: String,
}

/// What adding a firmware came to.
#[derive(Serialize, ToSchema)]
pub(super) struct AddedFirmware {
    /// The board that it is for.
    board: String,
    /// Its version.
    version: String,
    /// BLAKE2b-256 of its updates.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    digest: String,
}

/// The firmwares of the library, by board, the newest first: 64 at most. For whoever has any role.
#[utoipa::path(get, path = "/api/firmwares", tag = "firmwares", operation_id = "list_firmwares",
    responses((status = 200, body = Firmwares, description = "All of them"), Refused))]
pub(super) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
) -> Result<axum::Json<Firmwares>, Problem> {
    caller.may(&Deed::SeeLibrary)?;
    let all = api.config.firmwares().await;
    let all = all.map_err(|error| failed(&api, &error))?;
    let items = all.into_iter().map(FirmwareView::from).collect();
    Ok(axum::Json(Firmwares { items }))
}

/// Adds a firmware: the two signed updates of one version for one board, one behind the other, as
/// `cargo xtask firmware --sign` makes them. For technicians everywhere: boards of all sites know it by its version.
#[utoipa::path(post, path = "/api/firmwares", tag = "firmwares", operation_id = "add_firmware", params(Noted),
    request_body(content = Vec<u8>, content_type = "application/octet-stream",
        description = "The update for slot 1 and the one for slot 2, in any order"),
    responses(
        (status = 200, body = AddedFirmware, description = "It was there already"),
        (status = 201, body = AddedFirmware, description = "It is added"),
        Refused
    ))]
pub(super) async fn add(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Parameters(noted): Parameters<Noted>,
    request: Request,
) -> Result<(StatusCode, axum::Json<AddedFirmware>), Problem> {
    // Before so much is read.
    caller.may(&Deed::AddFirmware)?;
    let note = text::note(noted.note)?;
    let bytes = read_octets(request, firmware::UPDATES_BYTES_MAX).await?;
    let updates = firmware::read(bytes);
    let updates = updates.map_err(|error| text::bad_field(&error.to_string()))?;
    let name = updates.name.clone();
    let text = format!("add firmware {name} to the library");
    let new = NewFirmware {
        name: updates.name,
        lowest: updates.lowest,
        content: updates.content,
        by: caller.login.account.clone(),
        note,
    };
    let by = Arc::clone(&api);
    let adding = async move {
        let added = by.config.add_firmware(new, crate::clock::time()).await;
        added.map_err(|error| failed(&by, &error))
    };
    let what = (Address::GATEWAY, text);
    let added = caller.change(&api, what, adding).await?;
    let status = match added.is_new {
        false => StatusCode::OK,
        true => StatusCode::CREATED,
    };
    let added = AddedFirmware {
        board: name.profile.to_string(),
        version: name.version.to_string(),
        digest: added.digest.to_string(),
    };
    Ok((status, axum::Json(added)))
}

/// Removes a firmware, unless a roll-out that is kept needs it. For admins everywhere.
#[utoipa::path(delete, path = "/api/firmwares/{board}/{version}", tag = "firmwares",
    operation_id = "remove_firmware", params(FirmwarePath),
    responses((status = 204, description = "It is removed"), Refused))]
pub(super) async fn remove(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Place(path): Place<FirmwarePath>,
) -> Result<StatusCode, Problem> {
    caller.may(&Deed::RemoveFromLibrary)?;
    let name: Result<FirmwareName, _> = format!("{}@{}", path.board, path.version).parse();
    let name = name.map_err(|error| text::bad_field(&error.to_string()))?;
    let text = format!("remove firmware {name} from the library");
    let by = Arc::clone(&api);
    let removing = async move {
        let removed = by.config.remove_firmware(name, crate::clock::time());
        let removed = removed.await.map_err(|error| failed(&by, &error))?;
        let none = || Problem::not_found("there is no firmware of this board and version");
        removed.then_some(StatusCode::NO_CONTENT).ok_or_else(none)
    };
    caller
        .change(&api, (Address::GATEWAY, text), removing)
        .await
}
