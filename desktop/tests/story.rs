//! The story of a technician in front of the real window: the built app under Xvfb, driven by WebKitWebDriver, with a real
//! gateway and a virtual controller behind it. Run by `cargo xtask test desktop`, which builds what it needs.

mod blank;
mod window;

use anyhow::{Context, Result, ensure};
use blank::{Blank, SCRIPT, WIFI};
use switchyard_firmware::Channel;
use switchyard_testkit::{PASSWORD, Programs, Yard, YardOptions};
use window::Window;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_technician_logs_in_switches_and_comes_back() -> Result<()> {
    let programs = Programs::find()?;
    let mut yard = Yard::start(&programs, YardOptions::default())?;
    let pump = yard.enrol("Pump house 3", 1)?.remove(0);
    let gate = yard.enrol("North gate", 1)?.remove(0);
    let _pump = yard.start_controller(&pump, &["--behaviour", "latch"])?;
    let _gate = yard.start_controller(&gate, &["--behaviour", "follow", "--input-period", "2"])?;
    let home = tempfile::tempdir()?;
    let window = Window::open(&programs, home.path()).await?;

    // A wrong password is said on the spot, and nobody gets in.
    window.shows("login-gateway").await?;
    window.shot("1-log-in").await?;
    log_in(&window, &yard.url(), "technician", "a wrong one").await?;
    window
        .until("a fault", "login-fault", |text| !text.is_empty())
        .await?;

    log_in(&window, &yard.url(), "technician", PASSWORD).await?;
    window
        .attribute_is("link-state", "data-state", "live")
        .await?;
    window.shows(&format!("row-{}", gate.address)).await?;
    let row = format!("row-{}", pump.address);
    window
        .until("the row", &row, |text| text.contains("Pump house 3"))
        .await?;
    window.shot("2-fleet").await?;

    // The list is live: the gate's input changes by itself.
    let gate_row = format!("row-{}", gate.address);
    let before = window.text(&gate_row).await?;
    window
        .until("a change by itself", &gate_row, |text| text != before)
        .await?;

    // A relay is switched; its receipt is shown where it was asked, and the point follows.
    window.click(&row).await?;
    let switched = switchable(&window).await?;
    let (state, receipt) = (format!("state-{switched}"), format!("receipt-{switched}"));
    let before = window.text(&state).await?;
    window.click(&format!("toggle-{switched}")).await?;
    window.attribute_is(&receipt, "data-final", "true").await?;
    let stage = window.attribute(&receipt, "data-stage").await?;
    ensure!(
        matches!(stage.as_deref(), Some("4" | "5")),
        "expected executed, found {stage:?}"
    );
    window
        .until("the switched point", &state, |text| text != before)
        .await?;
    window.shot("3-switched").await?;

    // The serial ports of this machine, as many as there are.
    window.click("to-bench").await?;
    let listed = switchyard_flasher::serial_ports()?.len();
    window.shows("bench-refresh").await?;
    window.count_is("serial-port", listed).await?;
    window.shot("4-bench").await?;

    // The gateway dies as in a power cut; the window says so, and mends the link by itself.
    yard.kill_gateway()?;
    window
        .attribute_is("link-state", "data-state", "waiting")
        .await?;
    window.shot("5-gateway-gone").await?;
    yard.start_gateway()?;
    window
        .attribute_is("link-state", "data-state", "live")
        .await?;

    // The page holds no secret, and the log names none.
    let token = kept_token(home.path())?;
    let known = window.everything_the_page_keeps().await?;
    ensure!(!known.contains(&token), "the page holds the token: {known}");
    ensure!(
        known.contains(yard.http()),
        "expected the gateway to be remembered: {known}"
    );

    // The next start wants no password, and finds the same fleet.
    let log = window.close().await?;
    ensure!(log.contains("switchyard"), "expected the app's log: {log}");
    ensure!(!log.contains(&token), "the token is in the log");
    let window = Window::open(&programs, home.path()).await?;
    window
        .attribute_is("link-state", "data-state", "live")
        .await?;
    window.shows(&row).await?;

    window.click("log-out").await?;
    window.shows("login-account").await?;
    ensure!(
        kept_token(home.path()).is_err(),
        "the token is still on the disk"
    );
    window.close().await?;
    yard.gateway()?.stop()?;
    Ok(())
}

/// The same window with a blank board on a terminal; the test is the person with the jumper, and does what is asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blank_board_becomes_a_controller_by_clicks() -> Result<()> {
    let programs = Programs::find()?;
    let mut yard = Yard::start(&programs, YardOptions::default())?;
    let blank = Blank::new()?;
    let home = tempfile::tempdir()?;
    let window = Window::open(&programs, home.path()).await?;
    log_in(&window, &yard.url(), "technician", PASSWORD).await?;
    window
        .attribute_is("link-state", "data-state", "live")
        .await?;
    window.click("to-bench").await?;

    // Where mains could kill, nothing begins before somebody says that they are off.
    let image = blank.image()?;
    for (field, text) in [
        ("board-port", &*blank.serial_port()?),
        ("board-profile", "sonoff-basic"),
        ("board-image-0", "/nowhere/user1.bin"),
        ("board-wifi", WIFI.0),
        ("board-wifi-password", WIFI.1),
        ("board-gateway", yard.tcp()),
        ("board-title", "North pump"),
        ("board-script", SCRIPT),
    ] {
        window.write(field, text).await?;
    }
    window.click("board-reset-person").await?;
    window.shot("6-board-form").await?;
    window.click("board-submit").await?;
    window.shows("mains-off").await?;
    window.shot("7-mains").await?;
    window.click("mains-cancel").await?;

    // What fails says why, and the form is there to be mended.
    window.write("board-profile", "virtual").await?;
    window.click("board-submit").await?;
    window.attribute_is("board", "data-end", "failed").await?;
    window
        .until("the reason", "board-message", |text| {
            text.contains("/nowhere/user1.bin")
        })
        .await?;
    window.shot("8-board-failed").await?;
    window.click("board-next").await?;
    window.write("board-image-0", &image).await?;
    window.click("board-submit").await?;

    // The person at the jumper does as he is told.
    window
        .attribute_is("board", "data-prompt", "enterLoader")
        .await?;
    window.shot("9-hold-gpio0").await?;
    blank.board.enter_download()?;
    window
        .attribute_is("board", "data-prompt", "startProgram")
        .await?;
    window.shot("10-start-program").await?;
    blank.start_program();
    window
        .attribute_is("phase-setUp", "data-standing", "now")
        .await?;
    window.shot("11-set-up").await?;
    window.attribute_is("board", "data-end", "done").await?;
    window
        .until("a pass", "board-verdict", |text| text.contains("PASS"))
        .await?;
    window.shot("12-pass").await?;
    let known = window.everything_the_page_keeps().await?;
    ensure!(!known.contains(WIFI.1), "the page keeps the password");

    // It is there, and is switched.
    window.click("board-link").await?;
    let switched = switchable(&window).await?;
    window.click(&format!("toggle-{switched}")).await?;
    window
        .attribute_is(&format!("receipt-{switched}"), "data-final", "true")
        .await?;
    blank.controller.wait_for("RL1 on", |view| {
        view.value(Channel::Rl1) == 1 && switched == "RL1"
    })?;
    window.shot("13-switched").await?;

    let log = window.close().await?;
    ensure!(!log.contains(WIFI.1), "the password is in the log");
    yard.gateway()?.stop()?;
    Ok(())
}

async fn log_in(window: &Window, gateway: &str, account: &str, password: &str) -> Result<()> {
    window.write("login-gateway", gateway).await?;
    window.write("login-account", account).await?;
    window.write("login-password", password).await?;
    window.click("login-submit").await
}

/// The first point that may be switched, by its name.
async fn switchable(window: &Window) -> Result<String> {
    let script = "return document.querySelector('button[data-testid^=toggle-]')?.dataset.testid";
    window
        .until_script("a switch", script, |found| {
            found
                .as_str()
                .and_then(|testid| testid.strip_prefix("toggle-"))
                .map(str::to_owned)
        })
        .await
}

/// The token out of the app's settings.
fn kept_token(home: &std::path::Path) -> Result<String> {
    let path = home.join("config/org.switchyard.desktop/desktop.json");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let kept: serde_json::Value = serde_json::from_str(&text)?;
    let token = kept["log_in"]["token"]
        .as_str()
        .context("no token is kept")?;
    Ok(token.to_owned())
}
