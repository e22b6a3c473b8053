//! The operator's story in a real browser: Playwright, Debian's Chromium, the page out of the
//! gateway's own binary.

use crate::yard;
use std::{path::PathBuf, process::Command};
use switchyard_testkit::{PASSWORD, Program};

#[test]
fn an_operator_logs_in_switches_and_reads_the_receipt() {
    let yard = yard(&[]);
    let pump = yard.enrol("Pump house 3", 1).unwrap().remove(0);
    let tank = yard.enrol("Tank 2", 1).unwrap().remove(0);
    let _pump = yard
        .start_controller(&pump, &["--behaviour", "latch"])
        .unwrap();
    let _tank = yard
        .start_controller(&tank, &["--behaviour", "ramp"])
        .unwrap();
    let pictures = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../browser-story");
    let mut command = Command::new("node");
    command
        .current_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../ui"))
        .args(["tests/run.mjs", "story"])
        // The browser's profile goes with the yard, also when the test fails and the browser is killed.
        .env("TMPDIR", yard.folder())
        .env("GATEWAY_URL", yard.url())
        .env("ACCOUNT", "operator")
        .env("PASSWORD", PASSWORD)
        .env("ADDRESS", pump.address.to_string())
        .env("SCREENSHOTS", pictures);
    let mut story = Program::start("story", &mut command).unwrap();
    let told = story
        .wait_for_line("the story's end", |line| {
            line.strip_prefix("story: ").map(String::from)
        })
        .unwrap();
    assert!(
        told.starts_with(&format!("ok, No. {} RL1 0 > 1", pump.address)),
        "{told}"
    );
    assert!(story.wait().unwrap().success());
}
