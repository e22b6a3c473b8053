//! The binary `switchyard-desktop`: logs to standard error, opens the window.

// A console window beside the app would only confuse on Windows.
#![cfg_attr(not(debug_assertions), windows_subsystem = "windows")]

use anyhow::Context;
use tracing_subscriber::EnvFilter;

fn main() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_env("SWITCHYARD_LOG").unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    calm_webkit();
    let app =
        switchyard_desktop::app(tauri::Builder::default(), None).context("opening the window")?;
    switchyard_desktop::show_tray(app.handle());
    app.run(|handle, event| {
        if let tauri::RunEvent::Exit = event {
            switchyard_desktop::finish(handle);
        }
    });
    Ok(())
}

/// WebKit's DMA-BUF renderer costs some 70 MB and leaves the window blank on machines without a proper graphics driver;
/// a control panel needs none of it. Whoever set the variable knows better.
#[cfg(target_os = "linux")]
fn calm_webkit() {
    const DMABUF: &str = "WEBKIT_DISABLE_DMABUF_RENDERER";
    if std::env::var_os(DMABUF).is_none() {
        #[expect(
            unsafe_code,
            reason = "the environment is how WebKit is told, before it starts"
        )]
        // SAFETY: nothing else runs yet: this is the main thread, and none has been started.
        unsafe {
            std::env::set_var(DMABUF, "1");
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn calm_webkit() {}
