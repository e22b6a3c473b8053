//! What the real controller keeps in flash, through a real gateway and console: its script and the trial of
//! another one, its log, and alarms that are told once whatever happens to either side.

use crate::yard;
use serde_json::Value;
use std::{fs, path::Path};
use switchyard_testkit::{Controller, Program, Yard, wait_until};

const TANK: &str = r#"# The tank
in   level : num = AI0
out  speed : num = AO1 safe 0 manual
out  lamp  = RL1 safe off
lamp := level > 50
alarm HIGH "High water" when level > 80 clear level < 70
event "left alone at" level when not boot and not online
"#;

const TANK_TOO: &str = r#"# The tank, and a fan
in   level : num = AI0
out  speed : num = AO1 safe 0 manual
out  fan   = RL2 safe off
fan := level > 10
"#;

const WRONG: &str = "# Not a script\nin level = AI0\n\nout lamp = RL1 safe\n";

fn start(yard: &Yard, controller: &Controller, flash: &Path, script: &Path) -> Program {
    let flags = [
        "--flash",
        flash.to_str().unwrap(),
        "--script",
        script.to_str().unwrap(),
    ];
    yard.start_controller(controller, &flags).unwrap()
}

/// Waits for the next alarm behind that number: its own number, and whether it is raised.
fn next_alarm(watch: &mut Program, behind: u64) -> (u64, bool) {
    let alarm = |line: &str| {
        let event: Value = serde_json::from_str(line).ok()?;
        let number = event["number"].as_u64()?;
        (event["event"] == "alarm" && number > behind).then_some(())?;
        assert_eq!(event["text"], "High water", "{event}");
        Some((number, event["raised"].as_bool()?))
    };
    watch.wait_for_line("an alarm", alarm).unwrap()
}

#[test]
fn alarms_of_a_real_controller_are_told_once() {
    let mut yard = yard(&[]);
    let controller = yard.enrol("Tank", 1).unwrap().remove(0);
    let (script, flash) = (
        yard.folder().join("tank.script"),
        yard.folder().join("flash"),
    );
    fs::write(&script, TANK).unwrap();
    let mut running = start(&yard, &controller, &flash, &script);
    let console = yard.console("operator").unwrap();
    let number = controller.address.to_string();
    let mut watch =
        Program::start("watch", &mut console.command(&["watch", &number, "--json"])).unwrap();
    let is_there = |line: &str| line.contains("\"controller\"").then_some(());
    watch.wait_for_line("the controller", is_there).unwrap();

    console.json(&["send", &number, "speed", "90"]).unwrap();
    let (first, is_raised) = next_alarm(&mut watch, 0);
    assert!(is_raised);
    console.json(&["send", &number, "speed", "60"]).unwrap();
    let (second, is_raised) = next_alarm(&mut watch, first);
    assert!(!is_raised);
    console.json(&["send", &number, "speed", "95"]).unwrap();
    let (_, is_raised) = next_alarm(&mut watch, second);
    assert!(is_raised);

    // The controller dies, and is back with what its flash holds: the alarm stands, and is not told again.
    running.kill().unwrap();
    let mut running = start(&yard, &controller, &flash, &script);
    console.json(&["send", &number, "speed", "75"]).unwrap();
    // The gateway dies; what the controller has to say meanwhile it tells afterwards.
    yard.kill_gateway().unwrap();
    watch.forget_lines();
    yard.start_gateway().unwrap();
    let left_alone = |line: &str| {
        let event: Value = serde_json::from_str(line).ok()?;
        (event["event"] == "happened").then_some(())?;
        assert_eq!(event["text"], "left alone at", "{event}");
        let told = &event["values"][0];
        (told["type"] == "num" && told["value"] == 75_000).then_some(())
    };
    watch.wait_for_line("the event", left_alone).unwrap();
    let log = yard.gateway().unwrap().log();
    assert_eq!(
        log.matches("raised=").count(),
        0,
        "the first gateway heard them: {log}"
    );
    running.stop().unwrap();
}

#[test]
fn a_script_is_tried_kept_and_told_of_by_a_real_controller() {
    let yard = yard(&[]);
    let controller = yard.enrol("Tank", 1).unwrap().remove(0);
    let file = |name: &str, text: &str| {
        let path = yard.folder().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let tank = TANK;
    let first = file("first.script", tank);
    let flash = yard.folder().join("flash");
    let mut running = start(&yard, &controller, &flash, &first);
    let console = yard.console("technician").unwrap();
    let number = controller.address.to_string();
    let script_of = || {
        let told = console.json(&["script", "get", &number]).unwrap();
        told[0]["script"].as_str().unwrap().to_owned()
    };
    assert_eq!(script_of(), tank);

    // A script that is wrong is shown in its place, and changes nothing.
    let wrong = file("wrong.script", WRONG);
    let put = ["script", "put", &number, wrong.to_str().unwrap()];
    let (code, _, said) = console.run(&put).unwrap();
    assert_eq!(code, 5, "{said}");
    assert!(said.contains("wrong.script:4:20: expected"), "{said}");
    assert_eq!(script_of(), tank);

    // One that is right is tried, and goes when it is not kept.
    let second = file("second.script", TANK_TOO);
    let put = ["script", "put", &number, second.to_str().unwrap()];
    assert_eq!(console.json(&put).unwrap()[0]["kept"], false);
    let state = || console.json(&["health", &number]).unwrap().remove(0)["script"].clone();
    assert_eq!(state()["state"], "on_trial");
    assert_eq!(state()["title"], "The tank, and a fan");
    console.json(&["script", "revert", &number]).unwrap();
    assert_eq!(state()["title"], "The tank");
    console.json(&put).unwrap();
    console.json(&["script", "keep", &number]).unwrap();
    assert_eq!(state()["state"], "kept");
    let digest = wait_until("the digest is worked out", || {
        state()["digest"].as_str().map(str::to_owned)
    });
    assert_eq!(digest.unwrap().len(), 64);

    // What it did, and why, is there after it died.
    console.json(&["send", &number, "speed", "30"]).unwrap();
    let entries = || console.json(&["log", &number]).unwrap();
    wait_until("the fan's entry", || {
        let entries = entries();
        let fan = entries.iter().find(|entry| entry["about"] == "fan")?;
        (fan["value"] == 1 && fan["cause"]["kind"] == "script").then_some(())
    })
    .unwrap();
    let restarted = console.json(&["restart", &number]).unwrap();
    assert_eq!(restarted[0]["address"], controller.address);
    running
        .wait_for_line("it comes back", |line| {
            line.ends_with("is on line").then_some(())
        })
        .unwrap();
    assert_eq!(script_of(), TANK_TOO);
    let kept = entries();
    assert!(kept.iter().any(|entry| entry["about"] == "fan"), "{kept:?}");
    running.stop().unwrap();
}

const DIVIDES: &str = r#"# It divides by what comes in
in   level : num = AI0
out  speed : num = AO1 safe 0 manual
out  fan   = RL2 safe off
fan := 100.0 / (level - 50) > 3
"#;

#[test]
fn what_a_controller_recorded_before_a_fault_runs_again() {
    let yard = yard(&[]);
    let controller = yard.enrol("Tank", 1).unwrap().remove(0);
    let (script, flash) = (
        yard.folder().join("tank.script"),
        yard.folder().join("flash"),
    );
    fs::write(&script, DIVIDES).unwrap();
    let mut running = start(&yard, &controller, &flash, &script);
    let console = yard.console("technician").unwrap();
    let number = controller.address.to_string();
    let file = yard.folder().join("recording");
    let get = ["recording", &number, file.to_str().unwrap()];
    let (code, _, said) = console.run(&get).unwrap();
    assert_eq!(code, 5, "{said}");
    assert!(said.contains("no recording"), "{said}");

    console.json(&["send", &number, "speed", "50"]).unwrap();
    wait_until("the recording is in flash", || {
        (console.run(&get).ok()?.0 == 0).then_some(())
    })
    .unwrap();
    let replay = ["replay", file.to_str().unwrap(), script.to_str().unwrap()];
    let (code, told, said) = console.run(&replay).unwrap();
    assert_eq!(code, 0, "{said}");
    assert!(told.contains("division by zero, line 5"), "{told}");
    assert!(
        told.contains("5 | fan := 100.0 / (level - 50) > 3"),
        "{told}"
    );
    assert!(told.contains("is the recorded one"), "{told}");
    running.stop().unwrap();
}
