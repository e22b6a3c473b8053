//! The Tauri app: the one file that puts [`Desk`] behind a window.

use std::path::PathBuf;

use anyhow::Context as _;
use tauri::{
    App, AppHandle, Builder, Context, Emitter, Manager, Runtime, Url, WebviewWindowBuilder,
};
use tokio::sync::watch;

use crate::{
    Desk, commands,
    events::{News, Window},
    settings::Settings,
    tray::AlarmCount,
};

/// The window's label, in `tauri.conf.json` and in the capability.
const MAIN: &str = "main";

/// Builds the app and its window, its settings in `folder` or else in the system's place for them. Generic over the
/// runtime, so that tests build it without a display.
///
/// # Errors
/// What Tauri or the settings complained of.
pub fn app<R: Runtime>(builder: Builder<R>, folder: Option<PathBuf>) -> anyhow::Result<App<R>> {
    let app = builder
        .invoke_handler(tauri::generate_handler![
            commands::session,
            commands::log_in,
            commands::is_setup_needed,
            commands::set_up,
            commands::log_out,
            commands::link,
            commands::fleet,
            commands::send_command,
            commands::describe,
            commands::identify,
            commands::holder,
            commands::send_note,
            commands::api,
            commands::count_alarms,
            commands::serial_ports,
            commands::board,
            commands::install_board,
            commands::stop_board,
        ])
        .build(context())?;
    let folder = folder.map_or_else(|| app.path().app_config_dir(), Ok)?;
    let settings = Settings::open(&folder)?;
    let (alarms, counted) = watch::channel(AlarmCount::default());
    app.manage(Counted(counted));
    let window = TauriWindow {
        app: app.handle().clone(),
        alarms,
    };
    app.manage(Desk::new(settings, Box::new(window)));
    // Only now, and not by Tauri itself: a page that asks before there is a desk would find nobody.
    let window = app
        .config()
        .app
        .windows
        .first()
        .context("expected a window in tauri.conf.json")?;
    WebviewWindowBuilder::from_config(&app, window)?
        .on_navigation(is_ours)
        .build()?;
    Ok(app)
}

/// Puts an icon into the tray, where the desktop has one. Not done by [`app`]: tests have no tray.
pub fn show_tray<R: Runtime>(app: &AppHandle<R>) {
    #[cfg(target_os = "linux")]
    if let Some(counted) = app.try_state::<Counted>() {
        let tray = crate::tray::status_notifier::run(app.clone(), counted.0.clone());
        tauri::async_runtime::spawn(tray);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = app;
}

/// Shows the window to whoever asked for it, and in it the page's place of that fragment.
#[cfg(target_os = "linux")]
pub(crate) fn bring_forward<R: Runtime>(app: &AppHandle<R>, fragment: Option<&str>) {
    // Gone while the app ends.
    let Some(window) = app.get_webview_window(MAIN) else {
        return;
    };
    let show = || {
        if fragment.is_some() {
            let mut url = window.url()?;
            url.set_fragment(fragment);
            window.navigate(url)?;
        }
        window.unminimize()?;
        window.show()?;
        window.set_focus()
    };
    if let Err(error) = show() {
        tracing::warn!(%error, "the window could not be brought forward");
    }
}

/// Ends what must not be cut off: a board that is worked on is stopped, and what was enrolled for it taken back. Blocks
/// until then.
pub fn finish<R: Runtime>(app: &AppHandle<R>) {
    if let Some(desk) = app.try_state::<Desk>() {
        tauri::async_runtime::block_on(desk.finish_board());
    }
}

/// Whether an address is of the page that is built in (Linux and macOS, then Windows): nothing else is ever shown in
/// this window, whatever is clicked or dropped on it.
fn is_ours(url: &Url) -> bool {
    matches!((url.scheme(), url.host_str()), ("tauri", Some("localhost")))
        || matches!(
            (url.scheme(), url.host_str()),
            ("http" | "https", Some("tauri.localhost"))
        )
}

fn context<R: Runtime>() -> Context<R> {
    tauri::generate_context!()
}

/// What the tray follows.
struct Counted(
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "there is a tray on Linux alone")
    )]
    watch::Receiver<AlarmCount>,
);

struct TauriWindow<R: Runtime> {
    app: AppHandle<R>,
    alarms: watch::Sender<AlarmCount>,
}

impl<R: Runtime> Window for TauriWindow<R> {
    fn tell(&self, news: News) {
        let handle = &self.app;
        let told = match news {
            News::Fleet(changes) => handle.emit_to(MAIN, "fleet-changed", changes),
            News::Receipt(receipt) => handle.emit_to(MAIN, "receipt", receipt),
            News::Note(note) => handle.emit_to(MAIN, "note", note),
            News::Board(board) => handle.emit_to(MAIN, "board", board),
            News::Link(link) => handle.emit_to(MAIN, "link", link),
            News::Session(session) => handle.emit_to(MAIN, "session", session),
        };
        if let Err(error) = told {
            tracing::warn!(%error, "the window could not be told");
        }
    }

    fn entitle(&self, title: &str) {
        // Gone while the app ends.
        let Some(window) = self.app.get_webview_window(MAIN) else {
            return;
        };
        if let Err(error) = window.set_title(title) {
            tracing::warn!(%error, "the window's title could not be changed");
        }
    }

    fn badge(&self, alarms: AlarmCount) {
        self.alarms.send_replace(alarms);
        let Some(window) = self.app.get_webview_window(MAIN) else {
            return;
        };
        let count = (alarms.count > 0).then_some(i64::from(alarms.count));
        // Not every desktop has a place for it; the title says it in any case.
        if let Err(error) = window.set_badge_count(count) {
            tracing::debug!(%error, "the icon could not be given a number");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_shows_the_built_in_page_alone() {
        for (url, ours) in [
            ("tauri://localhost", true),
            ("tauri://localhost/index.html#/100042", true),
            ("http://tauri.localhost/", true),
            ("https://tauri.localhost/", true),
            ("tauri://elsewhere/", false),
            ("https://yard.example/", false),
            ("http://tauri.localhost.yard.example/", false),
            ("file:///etc/passwd", false),
            ("data:text/html,hello", false),
            ("about:blank", false),
        ] {
            assert_eq!(is_ours(&url.parse().expect("an address")), ours, "{url}");
        }
    }
}
