//! What people do with the pages, in a real browser: Playwright, Debian's Chromium, the pages out of the
//! gateway's and the controller's own binaries.

use crate::yard;
use std::{path::PathBuf, process::Command};
use switchyard_testkit::{PASSWORD, Program, Programs, Yard};

/// Starts a story of `ui/tests`, told by `settings`, and gives what it ends with behind `story: `.
fn tell(yard: &Yard, story: &str, settings: &[(&str, &str)]) -> String {
    let pictures = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join("../browser")
        .join(story);
    let mut command = Command::new("node");
    command
        .current_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../ui"))
        .args(["tests/run.mjs", story])
        // The browser's profile goes with the yard, also when the test fails and the browser is killed.
        .env("TMPDIR", yard.folder())
        .env("SCREENSHOTS", pictures)
        .envs(settings.iter().copied());
    let mut program = Program::start(story, &mut command).unwrap();
    let told = program
        .wait_for_line("the story's end", |line| {
            line.strip_prefix("story: ").map(String::from)
        })
        .unwrap();
    assert!(program.wait().unwrap().success());
    told
}

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
    let (url, address) = (yard.url(), pump.address.to_string());
    let settings = [
        ("GATEWAY_URL", url.as_str()),
        ("ACCOUNT", "operator"),
        ("PASSWORD", PASSWORD),
        ("ADDRESS", &address),
    ];
    let told = tell(&yard, "story", &settings);
    assert!(
        told.starts_with(&format!("ok, No. {} RL1 0 > 1", pump.address)),
        "{told}"
    );
}

#[test]
fn whoever_installed_the_gateway_makes_the_first_account_and_guards_it() {
    let yard = Yard::start_new(&Programs::find().unwrap()).unwrap();
    let (url, setup_code) = (yard.url(), yard.setup_code().unwrap());
    let person = [
        ("GATEWAY_URL", url.as_str()),
        ("ACCOUNT", "li"),
        ("PASSWORD", PASSWORD),
    ];
    let settings = [&person[..], &[("SETUP_CODE", &setup_code)]].concat();
    assert_eq!(tell(&yard, "setUpStory", &settings), "ok, li is in");
    let file = yard.folder().join("data/setup-code");
    assert!(!file.exists(), "the code is good once");
    let secret = yard.give_second_factor("li").unwrap();
    let settings = [&person[..], &[("SECRET", &secret)]].concat();
    assert_eq!(tell(&yard, "secondFactorStory", &settings), "ok, li is in");
}

#[test]
fn an_owner_writes_a_script_on_the_controllers_own_page() {
    let yard = yard(&[]);
    let pump = yard.enrol("Pump house 3", 1).unwrap().remove(0);
    let flash = yard.folder().join("pump.flash");
    let flags = [
        "--http",
        "127.0.0.1:0",
        "--flash",
        flash.to_str().unwrap(),
        "--input-period",
        "3",
    ];
    let mut controller = yard.start_controller(&pump, &flags).unwrap();
    let url = page_of(&mut controller);
    let told = tell(&yard, "controllerStory", &[("CONTROLLER_URL", &url)]);
    assert!(told.starts_with("ok, "), "{told}");
}

/// Where a controller serves its page.
pub(crate) fn page_of(controller: &mut Program) -> String {
    controller
        .wait_for_line("its page", |line| {
            line.strip_prefix("its page is at ").map(String::from)
        })
        .unwrap()
}
