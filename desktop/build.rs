//! Builds the desktop's side tables (capabilities, configuration). The page is embedded from `ui/dist`; where it has not
//! been built yet an empty folder stands in, so that everything but the window itself can be compiled and tested.

use std::path::Path;

/// Every command of `src/commands.rs`: named here, each has a permission of its own, and `capabilities/main.json` says
/// who has it. A command that is missing here or there is refused, which a test notices.
const COMMANDS: &[&str] = &[
    "session",
    "log_in",
    "is_setup_needed",
    "set_up",
    "log_out",
    "link",
    "fleet",
    "send_command",
    "describe",
    "identify",
    "holder",
    "send_note",
    "api",
    "count_alarms",
    "serial_ports",
    "board",
    "install_board",
    "stop_board",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let page = Path::new("../ui/dist");
    println!("cargo::rerun-if-changed={}", page.display());
    if !page.join("index.html").is_file() {
        if std::env::var("PROFILE").as_deref() == Ok("release") {
            return Err("expected ui/dist/index.html: run `npm ci && npm run build` in ui/".into());
        }
        std::fs::create_dir_all(page)?;
        println!("cargo::warning=ui/dist is empty: the window stays blank until `npm run build`");
    }
    let commands = tauri_build::AppManifest::new().commands(COMMANDS);
    tauri_build::try_build(tauri_build::Attributes::new().app_manifest(commands))?;
    Ok(())
}
