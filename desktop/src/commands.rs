//! The page's commands: adapters over [`Desk`] of three lines each. What they may be called by is in
//! `capabilities/main.json`, what they mean in `ui/src/lib/host/README.md`.

use switchyard_client::{Credentials, FirstAccount};
use tauri::State;

use crate::{
    AlarmCount, Desk, Fault,
    dto::{
        ApiAnswer, ApiCall, BoardOrder, BoardState, Command, Description, FleetSnapshot, Identity,
        Language, LinkStatus, SerialPort, Session,
    },
};

type Result<T> = std::result::Result<T, Fault>;

#[tauri::command]
pub(crate) async fn session(desk: State<'_, Desk>) -> Result<Option<Session>> {
    Ok(desk.session().await)
}

#[tauri::command]
pub(crate) async fn log_in(
    desk: State<'_, Desk>,
    gateway: String,
    account: String,
    password: String,
    code: Option<String>,
) -> Result<Session> {
    let (account, password, code) = (&account, &password, code.as_deref());
    let credentials = Credentials {
        account,
        password,
        code,
    };
    desk.log_in(&gateway, &credentials).await
}

#[tauri::command]
pub(crate) async fn is_setup_needed(desk: State<'_, Desk>, gateway: String) -> Result<bool> {
    desk.is_setup_needed(&gateway).await
}

#[tauri::command]
pub(crate) async fn set_up(
    desk: State<'_, Desk>,
    gateway: String,
    setup_code: String,
    account: String,
    password: String,
) -> Result<Session> {
    let (setup_code, account, password) = (&setup_code, &account, &password);
    let first = FirstAccount {
        setup_code,
        account,
        password,
    };
    desk.set_up(&gateway, &first).await
}

#[tauri::command]
pub(crate) async fn log_out(desk: State<'_, Desk>) -> Result<()> {
    desk.log_out().await
}

#[tauri::command]
pub(crate) async fn link(desk: State<'_, Desk>) -> Result<LinkStatus> {
    Ok(desk.link())
}

#[tauri::command]
pub(crate) async fn fleet(desk: State<'_, Desk>) -> Result<FleetSnapshot> {
    Ok(desk.fleet())
}

#[tauri::command]
pub(crate) async fn send_command(desk: State<'_, Desk>, command: Command) -> Result<()> {
    desk.send_command(command).await
}

#[tauri::command]
pub(crate) async fn describe(desk: State<'_, Desk>, address: u32) -> Result<Description> {
    desk.describe(address).await
}

#[tauri::command]
pub(crate) async fn identify(desk: State<'_, Desk>, address: u32) -> Result<Identity> {
    desk.identify(address).await
}

#[tauri::command]
pub(crate) async fn holder(desk: State<'_, Desk>, address: u32) -> Result<String> {
    desk.holder(address).await
}

#[tauri::command]
pub(crate) async fn send_note(desk: State<'_, Desk>, address: u32, text: String) -> Result<()> {
    desk.send_note(address, &text).await
}

#[tauri::command]
pub(crate) async fn api(desk: State<'_, Desk>, request: ApiCall) -> Result<ApiAnswer> {
    desk.api(request).await
}

#[tauri::command]
pub(crate) async fn count_alarms(
    desk: State<'_, Desk>,
    count: u32,
    language: Language,
) -> Result<()> {
    desk.count_alarms(AlarmCount { count, language });
    Ok(())
}

#[tauri::command]
pub(crate) async fn serial_ports() -> Result<Vec<SerialPort>> {
    // The system may take its time over this: not on a thread that moves frames.
    let listed = tauri::async_runtime::spawn_blocking(switchyard_flasher::serial_ports).await;
    let listed = listed.map_err(|error| Fault::new("internal", error.to_string()))??;
    Ok(listed.into_iter().map(SerialPort::from).collect())
}

#[tauri::command]
pub(crate) async fn board(desk: State<'_, Desk>) -> Result<Option<BoardState>> {
    Ok(desk.board())
}

#[tauri::command]
pub(crate) async fn install_board(desk: State<'_, Desk>, order: BoardOrder) -> Result<()> {
    desk.install_board(order).await
}

#[tauri::command]
pub(crate) async fn stop_board(desk: State<'_, Desk>) -> Result<()> {
    desk.stop_board();
    Ok(())
}
