//! Firmware over the real programs: into a controller's other slot by hand, and to many by a roll-out, of which one
//! version does not run and goes back by itself.

use crate::yard;
use serde_json::Value;
use std::{fs, time::Duration};
use switchyard_e2e::Maker;
use switchyard_testkit::{Console, Controller, Program, Yard};

/// Every image is on trial for a minute at least.
const TRIALS: Duration = Duration::from_secs(300);

fn file(yard: &Yard, name: &str, bytes: &[u8]) -> String {
    let path = yard.folder().join(name);
    fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn firmware_goes_into_the_other_slot() {
    let yard = yard(&[]);
    let controller = yard.enrol("Tank", 1).unwrap().remove(0);
    let maker = Maker::default();
    let public_key = maker.public_key();
    let flash = yard.folder().join("flash");
    let flags = [
        "--flash",
        flash.to_str().unwrap(),
        "--update-key",
        &public_key,
    ];
    let mut running = yard.start_controller(&controller, &flags).unwrap();
    let console = yard.console("technician").unwrap();
    let number = controller.address.to_string();

    let image: Vec<u8> = (0..20_000u32).map(|at| ((at * 7) >> 3) as u8).collect();
    let first = file(&yard, "user1.update", &maker.update(1, 2, &image));
    let mut spoilt = maker.update(2, 2, &image);
    spoilt[10_000] ^= 1;
    let spoilt = file(&yard, "spoilt.update", &spoilt);
    let refused = |files: &[&str]| {
        let put = [&["firmware", "put", &number], files].concat();
        let (code, _, said) = console.run(&put).unwrap();
        assert_eq!(code, 5, "{said}");
        said
    };
    assert!(refused(&[&first]).contains("send the other image"));
    assert!(refused(&[&spoilt]).contains("the manifest tells of"));
    assert!(
        refused(&[file(&yard, "none", b"nothing").as_str()]).contains("expected a signed image")
    );

    // Of both files the one for the slot that does not run.
    let second = file(&yard, "user2.update", &maker.update(2, 2, &image));
    let put = ["firmware", "put", &number, &first, &second, "--no-restart"];
    let told = console.json(&put).unwrap();
    assert_eq!(told[0]["file"], second.as_str());
    let health = console.json(&["health", &number]).unwrap();
    let firmware = &health[0]["firmware"];
    assert_eq!(
        (&firmware["state"], &firmware["slot"]),
        (&"waiting".into(), &1.into())
    );
    running.stop().unwrap();
    let kept = fs::read(&flash).unwrap();
    assert_eq!(kept[0x8_1000..0x8_1000 + image.len()], image);
}

/// What stands for an image on the virtual board.
fn image(version: u32, crashes: bool) -> Vec<u8> {
    let mut image = b"VSWV".to_vec();
    image.extend(version.to_le_bytes());
    image.extend(u32::from(crashes).to_le_bytes());
    image.resize(6_000, 0x5A);
    image
}

/// A gateway, and controllers of which each has a board's flash.
struct Fleet {
    yard: Yard,
    console: Console,
    controllers: Vec<Controller>,
    running: Vec<Program>,
}

impl Fleet {
    fn start(count: usize, maker: &Maker) -> Self {
        let yard = yard(&[]);
        let controllers = yard.enrol("Pump", count).unwrap();
        let key = maker.public_key();
        let dial = |controller: &Controller| {
            let flash = yard.folder().join(format!("{}.flash", controller.address));
            let flags = ["--flash", flash.to_str().unwrap(), "--update-key", &key];
            let flags = [&flags[..], &["--redial-within", "0.2"]].concat();
            yard.dial_controller(controller, &flags).unwrap()
        };
        let mut running: Vec<Program> = controllers.iter().map(dial).collect();
        for (controller, program) in controllers.iter().zip(&mut running) {
            let live = format!("No. {} is on line", controller.address);
            let is_it = |line: &str| (line == live).then_some(());
            program.wait_for_line(&live, is_it).unwrap();
        }
        let console = yard.console("technician").unwrap();
        Fleet {
            yard,
            console,
            controllers,
            running,
        }
    }

    /// Adds a version to the library.
    fn add(&self, maker: &Maker, version: u32, crashes: bool) {
        let update = |slot| {
            let bytes = maker.update(slot, version, &image(version, crashes));
            file(&self.yard, &format!("{version}-{slot}.update"), &bytes)
        };
        let said = self
            .yard
            .manage(&["firmware", "add", &update(1), &update(2)]);
        assert!(said.unwrap().starts_with("added virtual@"), "{version}");
    }

    /// Rolls one out, and says how that ended: exit status, the roll-out, its controllers.
    fn roll_out(&self, firmware: &str, canary: &str) -> (Option<i32>, Value, Vec<Value>) {
        let addresses = self.controllers.iter().map(|it| it.address.to_string());
        let list = addresses.collect::<Vec<_>>().join(",");
        // What the board runs at first is in no library.
        let begun = self.yard.manage(&[
            "rollout",
            "start",
            "--firmware",
            firmware,
            "--controllers",
            &list,
            "--canary",
            canary,
            "--soak",
            "10s",
            "--without-previous",
        ]);
        let number = begun.unwrap().trim().to_owned();
        let mut command = self.yard.programs().command("switchyard-gateway").unwrap();
        command.arg("--data").arg(self.yard.folder().join("data"));
        command.env("SWITCHYARD_GATEWAY_CONFIG", "");
        command.args(["rollout", "follow", &number]);
        let mut follow = Program::start("follow", &mut command).unwrap();
        let status = follow.wait_for_end(TRIALS).unwrap().code();
        let show = ["rollout", "show", &number, "--controllers", "--json"];
        let told = self.yard.manage(&show).unwrap();
        let mut lines = told.lines().map(|line| serde_json::from_str(line).unwrap());
        (status, lines.next().unwrap(), lines.collect())
    }

    /// Version, slot and state of what each runs.
    fn firmware(&self) -> Vec<(String, u64, String)> {
        let all = self.controllers.iter().map(|controller| {
            let number = controller.address.to_string();
            let told = self.console.json(&["health", &number]).unwrap();
            let firmware = &told[0]["firmware"];
            let text = |field: &str| firmware[field].as_str().unwrap().to_owned();
            (
                text("version"),
                firmware["slot"].as_u64().unwrap(),
                text("state"),
            )
        });
        all.collect()
    }
}

#[test]
fn a_firmware_that_does_not_run_goes_back_and_a_good_one_comes_to_all() {
    let maker = Maker::default();
    let mut fleet = Fleet::start(3, &maker);
    let is = |version: &str, slot, state: &str| (version.to_owned(), slot, state.to_owned());
    fleet.add(&maker, 0x0200, true);
    fleet.add(&maker, 0x0300, false);

    let (code, rollout, entries) = fleet.roll_out("virtual@0.2.0", "1");
    assert_eq!(code, Some(2), "{rollout}");
    assert_eq!(rollout["phase"], "rolled_back", "{entries:?}");
    assert_eq!(rollout["halt"]["rule"], "failed_trials", "{entries:?}");
    assert_eq!(entries[0]["stage"], "reverted", "{entries:?}");
    assert_eq!(entries[0]["reason"], "trial_failed", "{entries:?}");
    for entry in &entries[1..] {
        assert_eq!(entry["touched"], false, "{entry}");
    }
    let settled = is("0.0.1", 1, "settled");
    let fell_back = is("0.0.1", 1, "fell_back");
    assert_eq!(fleet.firmware(), [fell_back, settled.clone(), settled]);

    // The newest, as nobody says which.
    let (code, rollout, entries) = fleet.roll_out("virtual", "3");
    assert_eq!(
        (code, &rollout["phase"]),
        (Some(0), &"done".into()),
        "{entries:?}"
    );
    for entry in &entries {
        assert_eq!(entry["stage"], "kept", "{entry}");
    }
    assert_eq!(fleet.firmware(), vec![is("0.3.0", 2, "settled"); 3]);
    // Those that have it are left alone.
    let (code, _, entries) = fleet.roll_out("virtual@0.3.0", "1");
    assert_eq!(code, Some(0));
    for entry in &entries {
        assert_eq!(
            (&entry["stage"], &entry["touched"]),
            (&"skipped".into(), &false.into())
        );
    }
    for program in &mut fleet.running {
        program.stop().unwrap();
    }
}
