//! The gateway dies without a word, comes back, and everybody finds it again by themselves.

use crate::yard;
use switchyard_testkit::{Program, wait_until};

#[test]
fn after_a_sigkill_controllers_and_operators_come_back_with_the_truth() {
    let mut yard = yard(&[]);
    let controllers = yard.enrol("Pump", 3).unwrap();
    let _running: Vec<Program> = controllers
        .iter()
        .map(|controller| {
            yard.start_controller(controller, &["--behaviour", "latch"])
                .unwrap()
        })
        .collect();
    let console = yard.console("operator").unwrap();
    let number = controllers[1].address.to_string();
    let mut watch =
        Program::start("watch", &mut console.command(&["watch", &number, "--json"])).unwrap();
    let value_is = |wanted: i64| {
        move |line: &str| {
            let event: serde_json::Value = serde_json::from_str(line).ok()?;
            let points = event["points"].as_array()?;
            let point = points.iter().find(|point| point["name"] == "RL1")?;
            (point["value"].as_i64() == Some(wanted)).then_some(())
        }
    };
    watch.wait_for_line("RL1 off", value_is(0)).unwrap();

    yard.kill_gateway().unwrap();
    yard.start_gateway().unwrap();

    // Controllers come back by themselves, and the log-in made before the kill still holds.
    wait_until("three controllers on line", || {
        let fleet = console.json(&["ls"]).ok()?;
        let online = fleet
            .iter()
            .filter(|controller| controller["online"] == true)
            .count();
        (online == 3).then_some(())
    })
    .unwrap();
    // The operator that was watching all along comes back too, and sees what changes now.
    console.json(&["send", &number, "RL1", "on"]).unwrap();
    watch
        .wait_for_line("RL1 on, after the restart", value_is(1))
        .unwrap();
    // A newcomer's snapshot is the truth.
    let fleet = console.json(&["ls"]).unwrap();
    for controller in &fleet {
        let expected = i64::from(controller["address"] == controllers[1].address);
        let points = controller["points"].as_array().unwrap();
        let relay = points.iter().find(|point| point["name"] == "RL1").unwrap();
        assert_eq!(relay["value"].as_i64(), Some(expected), "{controller}");
    }
}

#[test]
fn a_waiting_command_survives_the_gateway() {
    let mut yard = yard(&[]);
    let controller = yard.enrol("Pump", 1).unwrap().remove(0);
    switchyard_e2e::http::wait_until_known(&yard, 1).unwrap();
    let console = yard.console("operator").unwrap();
    let number = controller.address.to_string();
    let arguments = [
        "send",
        &number,
        "RL1",
        "on",
        "--wait",
        "--timeout",
        "5m",
        "--json",
    ];
    let mut waiting = Program::start("send", &mut console.command(&arguments)).unwrap();
    waiting
        .wait_for_line("queued", |line| line.contains("\"queued\"").then_some(()))
        .unwrap();

    yard.kill_gateway().unwrap();
    yard.start_gateway().unwrap();
    let _running = yard
        .start_controller(&controller, &["--behaviour", "latch"])
        .unwrap();

    waiting
        .wait_for_line("executed", |line| {
            line.contains("\"executed\"").then_some(())
        })
        .unwrap();
    assert_eq!(waiting.wait().unwrap().code(), Some(0));
}

#[test]
fn the_gateway_ends_cleanly_when_asked() {
    let mut yard = yard(&[]);
    let controller = yard.enrol("Pump", 1).unwrap().remove(0);
    let _running = yard.start_controller(&controller, &[]).unwrap();
    let mut tool = switchyard_e2e::Tool::connect(&yard, "viewer").unwrap();
    let status = yard.gateway().unwrap().stop().unwrap();
    assert!(status.success(), "{status}");
    assert_eq!(
        tool.receive_end().unwrap(),
        switchyard_protocol::Code::ShuttingDown
    );
}
