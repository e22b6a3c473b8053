//! One change, seen on a console, a page and a desktop window of one gateway; each of them makes one, and each is reached
//! by its number.
//!
//! Run by `cargo xtask test desktop`. Pictures of what was seen lie in `target/screens/` afterwards.
#![expect(clippy::unwrap_used, reason = "a panic is a test's report")]

#[expect(dead_code, reason = "the bench's story uses more of it")]
mod terminal;
#[path = "../../desktop/tests/window/mod.rs"]
#[expect(dead_code, reason = "the desktop's own story uses more of it")]
mod window;

use anyhow::{Context, Result, ensure};
use std::{path::PathBuf, process::Command};
use switchyard_testkit::{Console, PASSWORD, Program, Programs, Yard, YardOptions};
use terminal::Terminal;
use window::Window;

/// A browser with the page open at one controller.
fn page(yard: &Yard, address: u32) -> Result<Program> {
    let ui = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../ui");
    let mut command = Command::new("node");
    command
        .current_dir(ui)
        .args(["tests/run.mjs", "follow"])
        // The browser's profile goes with the yard, also when the test fails and the browser is killed.
        .env("TMPDIR", yard.folder())
        .env("GATEWAY_URL", yard.url())
        .env("ACCOUNT", "operator")
        .env("PASSWORD", PASSWORD)
        .env("ADDRESS", address.to_string())
        .env("POINT", "RL1");
    Program::start("page", &mut command)
}

/// Waits until the page shows this value.
fn page_shows(page: &mut Program, value: i64) -> Result<()> {
    let expected = format!("RL1 {value}");
    page.wait_for_line(&expected, |line| (line == expected).then_some(()))?;
    page.forget_lines();
    Ok(())
}

/// Has the page do something and waits until it is done.
fn page_does(page: &mut Program, what: &str) -> Result<()> {
    page.say(what)?;
    let expected = format!("done {what}");
    page.wait_for_line(&expected, |line| (line == expected).then_some(()))
}

/// Which tool's command the relay obeyed last.
fn switched_by(console: &Console) -> Result<u64> {
    let fleet = console.json(&["ls"])?;
    let points = fleet[0]["points"].as_array().unwrap();
    let relay = points.iter().find(|point| point["name"] == "RL1").unwrap();
    let by = relay["cause"]["by"].as_u64();
    by.with_context(|| format!("expected a command's cause: {relay}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_change_on_every_screen() -> Result<()> {
    let programs = Programs::find()?;
    let mut yard = Yard::start(&programs, YardOptions::default())?;
    let pump = yard.enrol("Pump house 3", 1)?.remove(0);
    let _running = yard.start_controller(&pump, &["--behaviour", "latch"])?;
    let number = pump.address.to_string();
    let pictures = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../screens");
    std::fs::create_dir_all(&pictures)?;

    // Three people sit down, each at a screen of another kind.
    let mut page = page(&yard, pump.address)?;
    let mut console = Terminal::open(&yard.console("operator")?)?;
    console.shows(&[&number, "Pump house 3"])?;
    console.shot(&pictures.join("console-fleet.txt"))?;
    console.press("\r")?;
    console.shows(&["RL1", "off"])?;
    let home = tempfile::tempdir()?;
    let window = Window::open(&programs, home.path()).await?;
    window.write("login-gateway", &yard.url()).await?;
    window.write("login-account", "technician").await?;
    window.write("login-password", PASSWORD).await?;
    window.click("login-submit").await?;
    window.click(&format!("row-{number}")).await?;
    window.attribute_is("state-RL1", "data-value", "0").await?;
    page_shows(&mut page, 0)?;

    let viewer = yard.console("viewer")?;

    // The page switches on; all see it.
    page_does(&mut page, "toggle RL1")?;
    page_shows(&mut page, 1)?;
    console.shows(&["RL1", "ON"])?;
    window.attribute_is("state-RL1", "data-value", "1").await?;
    console.shows(&["RL1 ON", "operator, receipt"])?;
    let page_number = switched_by(&viewer)?;

    // The console switches off; all see it.
    console.press(" ")?;
    console.shows(&["RL1", "off"])?;
    page_shows(&mut page, 0)?;
    window.attribute_is("state-RL1", "data-value", "0").await?;
    console.shows(&["RL1 off", "you, receipt"])?;
    let console_number = switched_by(&viewer)?;

    // The window switches on; all see it.
    window.click("toggle-RL1").await?;
    window.attribute_is("state-RL1", "data-value", "1").await?;
    page_shows(&mut page, 1)?;
    console.shows(&["RL1", "ON"])?;
    let window_number = switched_by(&viewer)?;

    // Each of them has a number, says by it who it is, and takes a line for its person.
    for (number, kind) in [
        (page_number, "page"),
        (console_number, "console"),
        (window_number, "desktop"),
    ] {
        let number = number.to_string();
        let who = viewer.json(&["ping", &number])?.remove(0);
        ensure!(who["kind"] == kind, "{who}");
        let (code, _, said) = viewer.run(&["note", &number, &format!("tea, {kind}?")])?;
        ensure!(code == 0, "{said}");
    }
    page_does(&mut page, "note")?;
    page.wait_for_line("the note on the page", |line| {
        (line.starts_with("note ") && line.contains("tea, page?")).then_some(())
    })?;
    window
        .until("the note in the window", "note-banner", |text| {
            text.contains("tea, desktop?")
        })
        .await?;
    console.press("n")?;
    console.shows(&["No. ", "tea, console?"])?;
    console.press("\x1b")?;

    // And the page writes to the other two.
    page_does(&mut page, &format!("write {console_number} from the page"))?;
    page_does(&mut page, &format!("write {window_number} from the page"))?;
    window
        .until("the page's note in the window", "note-banner", |text| {
            text.contains("operator") && text.contains("from the page")
        })
        .await?;
    console.press("n")?;
    console.shows(&["No. ", "from the page"])?;
    console.press("\x1b")?;

    let shot = pictures.join("page.png");
    page_does(&mut page, &format!("shot {}", shot.display()))?;
    console.shot(&pictures.join("console-controller.txt"))?;
    window.shot("6-same-change").await?;

    // And a plain command agrees with what they see.
    let fleet = viewer.json(&["ls"])?;
    let points = fleet[0]["points"].as_array().unwrap();
    let relay = points.iter().find(|point| point["name"] == "RL1").unwrap();
    ensure!(relay["value"] == 1, "{relay}");

    console.press("q")?;
    page.end_input();
    ensure!(page.wait()?.success(), page.failure("did not end cleanly"));
    window.close().await?;
    yard.gateway()?.stop()?;
    Ok(())
}
