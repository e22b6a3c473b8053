//! A script of one's own behind a real gateway: its points, its commands, and why its outputs change.

use crate::yard;
use std::fs;
use switchyard_e2e::Tool;
use switchyard_protocol::{
    Address, Code, Frame, Kind,
    message::{
        Action, Answer, Body, Cause, CauseKind, Command, Delta, Key, Name, Request, Stage, Time,
    },
};

const TANK: &str = r#"
in   door  = DI1 debounce 30ms
in   seen  = DI2
in   level : num = AI0 bad above 90
out  pump  = RL1 safe off confirm seen within 2s
out  lamp  = RL2 safe off manual
out  speed : num = AO1 safe 0
command boost(t: time in 100ms..10m) refuse "no water" when level.bad
command pace(to: num in 0..100)

pump  := tp(boost, boost.t) and not door
speed := pace.to
"#;

const PUMP: u8 = 3;
const SPEED: u8 = 5;

/// Why that point has that value, if this frame tells that it changed.
fn cause_in(frame: &Frame, index: u8, value: i64) -> Option<Cause> {
    if frame.header().kind != Kind::StatusDelta {
        return None;
    }
    let delta = Delta::decode(frame.payload()).ok()?;
    let mut changes = delta.changes.into_iter();
    let found = changes.find(|change| change.index == index && change.value == value)?;
    Some(found.cause)
}

fn wait_for_cause(tool: &mut Tool, index: u8, value: i64) -> Cause {
    tool.receive_until(|frame| cause_in(frame, index, value))
        .unwrap()
}

/// How a command ended, and why the point that it moves has its value then.
fn end_and_cause(tool: &mut Tool, key: Key, index: u8, value: i64) -> (Stage, Cause) {
    let mut cause = None;
    let receipts = tool
        .receipts(key, |frame| cause = cause_in(frame, index, value).or(cause))
        .unwrap();
    let cause = cause.unwrap_or_else(|| wait_for_cause(tool, index, value));
    (receipts.last().unwrap().stage, cause)
}

fn call(tool: &mut Tool, controller: u32, name: &str, argument: i64) -> Key {
    let key = Key(rand::random());
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let command = Command {
        key,
        expiry: Time(u64::try_from(now.as_millis()).unwrap() + 10_000),
        wait: false,
        action: Action::Call {
            command: Name::new(name).unwrap(),
            arguments: vec![argument],
        },
    };
    tool.command(controller, &command).unwrap();
    key
}

fn last(tool: &mut Tool, key: Key) -> (Stage, Option<Code>, Option<String>) {
    let receipts = tool.receipts(key, |_| {}).unwrap();
    let last = receipts.last().unwrap();
    let detail = last.detail.as_ref().map(|text| text.as_str().to_owned());
    (last.stage, last.reason, detail)
}

#[test]
fn a_script_of_ones_own_runs_behind_the_gateway() {
    let yard = yard(&[]);
    let controller = yard.enrol("Tank", 1).unwrap().remove(0);
    let file = yard.folder().join("tank.script");
    fs::write(&file, TANK).unwrap();
    let _running = yard
        .start_controller(&controller, &["--script", file.to_str().unwrap()])
        .unwrap();
    let mut tool = Tool::connect(&yard, "operator").unwrap();
    let me = tool.address().0;
    let to = Address(controller.address);

    let answer = tool.ask(to, &Request::Describe).unwrap();
    let Answer::Ok(Body::Describe {
        behaviour,
        commands,
    }) = answer
    else {
        panic!("{answer:?}")
    };
    assert_eq!(behaviour.as_str(), "tank");
    let commands: Vec<&str> = commands
        .iter()
        .map(|signature| signature.as_str())
        .collect();
    assert_eq!(
        commands,
        ["boost(t: time in 100ms..10m)", "pace(to: num in 0..100)"]
    );

    let subscribe = Request::Subscribe { controllers: None };
    assert!(matches!(
        tool.ask(Address::GATEWAY, &subscribe).unwrap(),
        Answer::Ok(_)
    ));

    let key = call(&mut tool, controller.address, "boost", 200);
    let (stage, cause) = end_and_cause(&mut tool, key, PUMP, 1);
    assert_eq!(stage, Stage::Confirmed);
    assert_eq!(
        (cause.kind, cause.by),
        (CauseKind::Command, Some(Address(me)))
    );
    let cause = wait_for_cause(&mut tool, PUMP, 0);
    assert_eq!((cause.kind, cause.reference), (CauseKind::Script, Some(11)));

    // AI0 reads AO1 back: too fast a pace, and the level cannot be believed.
    let key = call(&mut tool, controller.address, "pace", 95_000);
    let (stage, cause) = end_and_cause(&mut tool, key, SPEED, 95_000);
    assert_eq!((stage, cause.kind), (Stage::Executed, CauseKind::Command));
    let key = call(&mut tool, controller.address, "boost", 200);
    assert_eq!(
        last(&mut tool, key),
        (
            Stage::Refused,
            Some(Code::RefusedByScript),
            Some("no water".into())
        ),
        "in the script's own words"
    );
    let key = tool.set(controller.address, "pump", 1, 10_000).unwrap();
    assert_eq!(
        last(&mut tool, key),
        (Stage::Refused, Some(Code::NotManual), None)
    );
    let key = tool.set(controller.address, "lamp", 1, 10_000).unwrap();
    assert_eq!(last(&mut tool, key).0, Stage::Executed);
}

#[test]
fn a_wrong_script_is_told_by_line_and_column() {
    let yard = yard(&[]);
    let controller = yard.enrol("Tank", 1).unwrap().remove(0);
    let file = yard.folder().join("wrong.script");
    fs::write(&file, "out pump = RL1 safe off\npump := lvel > 3\n").unwrap();
    let mut running = yard
        .dial_controller(&controller, &["--script", file.to_str().unwrap()])
        .unwrap();
    assert!(!running.wait().unwrap().success());
    let log = running.log();
    assert!(
        log.contains("wrong.script") && log.contains("line 2, column 9: expected a declared name"),
        "{log}"
    );
}

#[test]
fn a_controllers_inside_is_seen_and_changed_from_the_console() {
    let yard = yard(&[]);
    let controller = yard.enrol("Tank", 1).unwrap().remove(0);
    let file = yard.folder().join("inside.script");
    let script = "in a = DI1\nout r = RL1 safe off\nparam delay : time = 30s in 1s..10m\n\
                  retain n : int\nr := ton(a, delay)\nn += 1 when rise(r)\n";
    fs::write(&file, script).unwrap();
    let _running = yard
        .start_controller(&controller, &["--script", file.to_str().unwrap()])
        .unwrap();
    let number = controller.address.to_string();
    let console = yard.console("technician").unwrap();
    let run = |arguments: &[&str]| {
        let (code, out, error) = console.run(arguments).unwrap();
        assert_eq!(code, 0, "{arguments:?}: {out}{error}");
        out
    };

    assert!(run(&["params", &number]).contains("delay"));
    let told = console.json(&["adjust", &number, "delay", "45s"]).unwrap();
    let stages: Vec<_> = told
        .iter()
        .filter_map(|receipt| receipt["stage"].as_str())
        .collect();
    assert_eq!(stages.last(), Some(&"executed"), "{told:?}");
    let told = console.json(&["params", &number]).unwrap();
    assert!(
        told.iter().any(|one| one.to_string().contains("45000")),
        "{told:?}"
    );
    let (code, _, error) = console.run(&["adjust", &number, "delay", "1h"]).unwrap();
    assert_ne!(code, 0, "{error}");

    // Forced, RL1 is on though DI1 is not.
    let mut tool = Tool::connect(&yard, "operator").unwrap();
    let subscribe = Request::Subscribe { controllers: None };
    tool.ask(Address::GATEWAY, &subscribe).unwrap();
    run(&["force", &number, "r", "on", "1m"]);
    assert_eq!(wait_for_cause(&mut tool, 1, 1).kind, CauseKind::Force);
    run(&["release", &number, "r"]);
    assert_eq!(wait_for_cause(&mut tool, 1, 0).kind, CauseKind::Force);
    let told = console.json(&["values", &number]).unwrap();
    assert!(
        told.iter()
            .any(|one| one["name"] == "delay" && one["value"] == 45_000),
        "{told:?}"
    );
    assert!(run(&["health", &number]).contains("inside"));
}
