//! Roll-outs over the real programs: a canary that halts and rolls back by itself while the gateway dies,
//! and a good script that comes to everybody.

use crate::yard;
use serde_json::Value;
use std::{fs, time::Duration};
use switchyard_e2e::http;
use switchyard_testkit::{Console, Controller, Program, Yard, wait_until};

const CONTROLLERS: usize = 12;
const GOOD: &str = "# As it is to be\nout lamp = RL1 safe off manual\n";
/// It divides by zero, once, three seconds after it began.
const FAULTY: &str =
    "out fan = RL2 safe off\nvar n : int\nn += 1 when n < 400\nfan := 100 / (300 - n) > 1000\n";

/// A gateway and controllers in processes of their own, with what they run when it begins.
struct Fleet {
    yard: Yard,
    console: Console,
    controllers: Vec<Controller>,
    running: Vec<Program>,
    before: Vec<Value>,
}

impl Fleet {
    fn start() -> Self {
        let yard = yard(&[]);
        let controllers = yard.enrol("Pump", CONTROLLERS).unwrap();
        let dial = |controller: &Controller| {
            let flash = yard.folder().join(format!("{}.flash", controller.address));
            let flags = ["--flash", flash.to_str().unwrap(), "--redial-within", "0.2"];
            yard.dial_controller(controller, &flags).unwrap()
        };
        let mut running: Vec<Program> = controllers.iter().map(dial).collect();
        for (controller, program) in controllers.iter().zip(&mut running) {
            let live = format!("No. {} is on line", controller.address);
            let is_it = |line: &str| (line == live).then_some(());
            program.wait_for_line(&live, is_it).unwrap();
        }
        for (name, source) in [("good", GOOD), ("faulty", FAULTY)] {
            let file = yard.folder().join(format!("{name}.script"));
            fs::write(&file, source).unwrap();
            let add = ["script", "add", name, file.to_str().unwrap()];
            yard.manage(&add).unwrap();
        }
        let console = yard.console("technician").unwrap();
        let mut fleet = Fleet {
            yard,
            console,
            controllers,
            running,
            before: Vec::new(),
        };
        fleet.before = fleet.scripts();
        fleet
    }

    /// What each controller says itself that it runs.
    fn scripts(&self) -> Vec<Value> {
        let all = self.controllers.iter().map(|controller| {
            let number = controller.address.to_string();
            let told = self.console.json(&["script", "get", &number]).unwrap();
            told[0]["script"].clone()
        });
        all.collect()
    }

    fn begin(&self, script: &str, flags: &[&str]) -> String {
        let addresses = self.controllers.iter();
        let addresses: Vec<_> = addresses.map(|it| it.address.to_string()).collect();
        let list = addresses.join(",");
        let start = [
            "rollout",
            "start",
            "--script",
            script,
            "--controllers",
            &list,
        ];
        let usual = ["--canary", "2", "--soak", "10s", "--in-flight-max", "16"];
        let told = self.yard.manage(&[&start, &usual, flags].concat()).unwrap();
        told.trim().to_owned()
    }

    /// A roll-out, and its controllers.
    fn rollout(&self, number: &str) -> (Value, Vec<Value>) {
        let show = ["rollout", "show", number, "--controllers", "--json"];
        let told = self.yard.manage(&show).unwrap();
        let mut lines = told.lines().map(|line| serde_json::from_str(line).unwrap());
        (lines.next().unwrap(), lines.collect())
    }

    fn count(&self, number: &str, stage: &str) -> usize {
        let (_, entries) = self.rollout(number);
        entries.iter().filter(|it| it["stage"] == stage).count()
    }

    fn follow(&self, number: &str) -> Program {
        let mut command = self.yard.programs().command("switchyard-gateway").unwrap();
        command.arg("--data").arg(self.yard.folder().join("data"));
        command.env("SWITCHYARD_GATEWAY_CONFIG", "");
        command.args(["rollout", "follow", number]);
        Program::start("follow", &mut command).unwrap()
    }
}

#[test]
fn a_canary_halts_and_rolls_back_by_itself_though_the_gateway_dies() {
    let mut fleet = Fleet::start();
    let number = fleet.begin("faulty", &["--steps", "50,100"]);
    wait_until("both canaries to try it", || {
        (fleet.count(&number, "on_trial") == 2).then_some(())
    })
    .unwrap();
    fleet.yard.kill_gateway().unwrap();
    fleet.yard.start_gateway().unwrap();
    let mut follow = fleet.follow(&number);
    let status = follow.wait().unwrap();
    assert_eq!(status.code(), Some(2), "{}", follow.log());
    let (rollout, entries) = fleet.rollout(&number);
    assert_eq!(rollout["phase"], "rolled_back");
    assert_eq!(rollout["halt"]["rule"], "failed_trials");
    assert_eq!(rollout["halt"]["in_canary"], true);
    for (at, entry) in entries.iter().enumerate() {
        let (stage, touched) = if at < 2 {
            ("reverted", true)
        } else {
            ("pending", false)
        };
        assert_eq!(
            (&entry["stage"], &entry["touched"]),
            (&stage.into(), &touched.into())
        );
    }
    assert_eq!(fleet.scripts(), fleet.before, "each has again what it had");
    let halts = http::metric(&fleet.yard, "switchyard_rollout_halts_total");
    assert_eq!(halts.unwrap(), 1);
    let log = fleet.yard.gateway().unwrap().log();
    assert!(log.contains("a rule has halted a roll-out"), "{log}");
    for program in &mut fleet.running {
        program.stop().unwrap();
    }
}

#[test]
fn a_good_script_comes_to_all_by_steps() {
    let mut fleet = Fleet::start();
    let number = fleet.begin("good", &["--steps", "50,100"]);
    let mut follow = fleet.follow(&number);
    // No more than the step allows at any moment.
    let mut most = 0;
    while follow.try_wait().unwrap().is_none() {
        let (rollout, entries) = fleet.rollout(&number);
        let touched = entries.iter().filter(|it| it["touched"] == true).count();
        let allowed = match rollout["step"].as_u64().unwrap() {
            0 => 2,
            1 => 6,
            _ => CONTROLLERS,
        };
        assert!(touched <= allowed, "{touched} of {allowed}: {rollout}");
        most = most.max(touched);
        std::thread::sleep(Duration::from_millis(200));
    }
    let status = follow.wait().unwrap();
    assert_eq!(status.code(), Some(0), "{}", follow.log());
    assert_eq!(most, CONTROLLERS);
    assert_eq!(fleet.count(&number, "kept"), CONTROLLERS);
    for script in fleet.scripts() {
        assert_eq!(script, GOOD);
    }
    for program in &mut fleet.running {
        program.stop().unwrap();
    }
}
