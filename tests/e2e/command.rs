//! A command crosses the yard: its receipts in order, and the delta that follows.

use crate::{key_of, yard};
use switchyard_e2e::{Device, LATCH_RL1, Tool, http::wait_until_known, value_in};
use switchyard_protocol::{
    Code, Frame, Kind,
    message::{Action, Answer, Command, Key, Name, Request, Stage, Time},
};
use switchyard_testkit::{Program, wait_until};

/// Subscribes to everything and waits for the snapshot's end.
fn subscribe(tool: &mut Tool) {
    let answer = tool.ask(
        switchyard_protocol::Address::GATEWAY,
        &Request::Subscribe { controllers: None },
    );
    assert!(matches!(answer.unwrap(), Answer::Ok(_)));
}

#[test]
fn a_command_is_sent_delivered_executed_and_seen() {
    let yard = yard(&[]);
    let controller = yard.enrol("Pump house 3", 1).unwrap().remove(0);
    let _running = yard
        .start_controller(&controller, &["--behaviour", "latch"])
        .unwrap();
    let mut tool = Tool::connect(&yard, "operator").unwrap();
    subscribe(&mut tool);

    for value in [1, 0] {
        let mut seen = None;
        let key = tool.set(controller.address, "RL1", value, 10_000).unwrap();
        let receipts = tool
            .receipts(key, |frame| {
                seen = value_in(frame, controller.address, LATCH_RL1).or(seen)
            })
            .unwrap();
        let stages: Vec<Stage> = receipts.iter().map(|receipt| receipt.stage).collect();
        assert_eq!(stages, [Stage::Sent, Stage::Delivered, Stage::Executed]);
        assert!(
            receipts.iter().all(|receipt| receipt.at.is_some()),
            "each has its time"
        );
        // Two clocks, the controller's being an estimate of the gateway's.
        let times: Vec<u64> = receipts
            .iter()
            .flat_map(|receipt| receipt.at)
            .map(|at| at.0)
            .collect();
        assert!(
            times.iter().all(|at| at.abs_diff(times[0]) < 10_000),
            "{times:?}"
        );
        if seen != Some(value) {
            tool.receive_until(|frame| {
                value_in(frame, controller.address, LATCH_RL1).filter(|&found| found == value)
            })
            .unwrap();
        }
    }
}

#[test]
fn a_feedback_confirms_or_fails() {
    let yard = yard(&[]);
    let controllers = yard.enrol("Gate", 2).unwrap();
    let flags = ["--behaviour", "follow", "--input", "on"];
    let _good = yard.start_controller(&controllers[0], &flags).unwrap();
    let _stuck = yard
        .start_controller(
            &controllers[1],
            &[&flags[..], &["--stuck-feedback"]].concat(),
        )
        .unwrap();
    let console = yard.console("operator").unwrap();
    let stages = |address: u32, value: &str| -> (i32, Vec<String>) {
        let (code, out, _) = console
            .run(&["send", &address.to_string(), "enable", value, "--json"])
            .unwrap();
        let stage = |line: &str| {
            let receipt: serde_json::Value = serde_json::from_str(line).unwrap();
            receipt["stage"].as_str().map(String::from)
        };
        (code, out.lines().filter_map(stage).collect())
    };
    for (controller, expected) in [
        (&controllers[0], (0, "confirmed")),
        (&controllers[1], (9, "failed")),
    ] {
        // The relay follows the input from the start; off and on again makes two changes.
        stages(controller.address, "off");
        let (code, stages) = stages(controller.address, "on");
        assert_eq!(
            (code, stages.last().map_or("", String::as_str)),
            expected,
            "{stages:?}"
        );
        assert_eq!(stages[..3], ["sent", "delivered", "executed"]);
    }
}

#[test]
fn what_became_of_a_command_may_be_unknown() {
    let yard = yard(&[]);
    let controller = yard.enrol("Pump", 1).unwrap().remove(0);
    let key = key_of(&controller);
    let mut device = Device::live(yard.tcp(), controller.address, &key, 1).unwrap();
    let console = yard.console("operator").unwrap();
    wait_until("its status", || {
        let fleet = console.json(&["ls"]).ok()?;
        let points = fleet.first()?["points"].as_array()?;
        (!points.is_empty()).then_some(())
    })
    .unwrap();
    let number = controller.address.to_string();
    let send = ["send", &number, "RL1", "on", "--timeout", "1m"];
    let mut send = Program::start("send", &mut console.command(&send)).unwrap();
    // It has the command, loses its power, and starts again without a memory of it.
    let has_command = |frames: Vec<Frame>| {
        let mut kinds = frames.iter().map(|frame| frame.header().kind);
        kinds.any(|kind| kind == Kind::Command)
    };
    while !has_command(device.receive().unwrap()) {}
    drop(device);
    let mut again = Device::live(yard.tcp(), controller.address, &key, 2).unwrap();
    assert_eq!(send.wait().unwrap().code(), Some(10));
    send.wait_for_line("its end", |line| line.contains("unknown").then_some(()))
        .unwrap();
    // And it is not sent once more: the next thing that arrives is the next command.
    let next = ["send", &number, "RL1", "off", "--timeout", "1s"];
    let mut next = Program::start("next", &mut console.command(&next)).unwrap();
    let values = loop {
        let frames = again.receive().unwrap();
        let commands = frames
            .iter()
            .filter(|frame| frame.header().kind == Kind::Command)
            .map(|frame| Command::decode(frame.payload()).unwrap().action);
        let commands: Vec<Action> = commands.collect();
        if !commands.is_empty() {
            break commands;
        }
    };
    assert!(
        matches!(&values[..], [Action::Set { value: 0, .. }]),
        "{values:?}"
    );
    next.kill().unwrap();
}

#[test]
fn each_refusal_has_its_reason() {
    let yard = yard(&[]);
    let controllers = yard.enrol("Pump", 2).unwrap();
    let _running = yard
        .start_controller(&controllers[0], &["--behaviour", "latch"])
        .unwrap();
    wait_until_known(&yard, 2).unwrap();
    let (here, away) = (controllers[0].address, controllers[1].address);
    let mut operator = Tool::connect(&yard, "operator").unwrap();
    let mut viewer = Tool::connect(&yard, "viewer").unwrap();

    let end = |tool: &mut Tool, address: u32, point: &str, value: i64, lifetime_ms: u64| {
        let key = tool.set(address, point, value, lifetime_ms).unwrap();
        let receipts = tool.receipts(key, |_| {}).unwrap();
        let last = receipts.last().unwrap();
        (last.stage, last.reason)
    };
    let refused = |code| (Stage::Refused, Some(code));
    assert_eq!(
        end(&mut operator, here, "RL9", 1, 10_000),
        refused(Code::UnknownPoint)
    );
    assert_eq!(
        end(&mut operator, here, "DI1", 1, 10_000),
        refused(Code::NotManual)
    );
    assert_eq!(
        end(&mut operator, here, "RL1", 7, 10_000),
        refused(Code::OutOfRange)
    );
    assert_eq!(
        end(&mut operator, away, "RL1", 1, 10_000),
        refused(Code::Offline)
    );
    assert_eq!(
        end(&mut operator, 0x7000_0000, "RL1", 1, 10_000),
        refused(Code::UnknownAddress)
    );
    assert_eq!(
        end(&mut viewer, here, "RL1", 1, 10_000),
        refused(Code::Forbidden)
    );
    assert_eq!(
        end(&mut operator, here, "RL1", 1, 48 * 3_600_000),
        refused(Code::OutOfRange)
    );

    let late = Command {
        key: Key([9; 16]),
        expiry: Time(1),
        wait: false,
        action: Action::Set {
            point: Name::new("RL1").unwrap(),
            value: 1,
        },
    };
    operator.command(here, &late).unwrap();
    let receipts = operator.receipts(late.key, |_| {}).unwrap();
    assert_eq!(receipts.last().unwrap().stage, Stage::Expired);
}

#[test]
fn a_command_waits_for_its_controller_and_is_executed_once() {
    let yard = yard(&[]);
    let controller = yard.enrol("Pump", 1).unwrap().remove(0);
    wait_until_known(&yard, 1).unwrap();
    let mut tool = Tool::connect(&yard, "operator").unwrap();
    let command = Command {
        key: Key([3; 16]),
        expiry: Time(tool.welcome.time.0 + 600_000),
        wait: true,
        action: Action::Set {
            point: Name::new("RL1").unwrap(),
            value: 1,
        },
    };
    // The same command twice, as an impatient person's console would.
    tool.command(controller.address, &command).unwrap();
    tool.command(controller.address, &command).unwrap();
    let first = tool
        .receive_until(|frame| switchyard_protocol::message::Receipt::decode(frame.payload()).ok())
        .unwrap();
    assert_eq!((first.stage, first.is_final), (Stage::Queued, false));

    let _running = yard
        .start_controller(&controller, &["--behaviour", "latch"])
        .unwrap();
    let receipts = tool.receipts(command.key, |_| {}).unwrap();
    let executed = receipts
        .iter()
        .filter(|receipt| receipt.stage == Stage::Executed)
        .count();
    assert_eq!(executed, 1, "{receipts:?}");
}
