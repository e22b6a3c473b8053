//! Batches: one console makes controllers of many virtual boards at once, whose firmware really dials the real gateway.

use crate::{
    board::image,
    provision::{Blank, PATIENCE, SCRIPT, WIFI, switch_on},
    yard,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    process::Command,
};
use switchyard_firmware::LinkState;
use switchyard_testkit::{
    Console, Program, Programs, Yard,
    board::{Fault, FaultKind, FaultPoint},
    wait_until,
};
use tempfile::TempDir;

/// Who signs the jobs here.
const SECRET: &str = "7777777777777777777777777777777777777777777777777777777777777777";

/// A folder with a signed job, and what a run of it leaves.
struct Hall {
    folder: TempDir,
    trusted: String,
}

impl Hall {
    /// `enrolment` as a job says it.
    fn new(console: &Console, gateway: &str, enrolment: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let (image, script) = (image(30_000), fs::read(SCRIPT).unwrap());
        fs::write(at("image.bin"), &image).unwrap();
        fs::write(at("pump.script"), &script).unwrap();
        fs::write(at("key"), SECRET).unwrap();
        let sha256 = |bytes: &[u8]| {
            let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
            let digits = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
            digits.collect::<String>()
        };
        let (image, script) = (sha256(&image), sha256(&script));
        let (wifi, password) = WIFI;
        let checks = match enrolment {
            "now" => "wifi = true\ngateway = true\nscan_us_max = 5000",
            _ => "scan_us_max = 5000",
        };
        let job = format!(
            r#"
name = "Hall 3"
profile = "virtual"
software = "0.1.0"
naming = "Pump {{n:03}}"
enrolment = "{enrolment}"

[[image]]
offset = 0
file = "image.bin"
sha256 = "{image}"

[settings]
wifi = "{wifi}"
wifi_password = "{password}"
gateway_1 = "{gateway}"

[script]
file = "pump.script"
sha256 = "{script}"

[tests]
{checks}

[[label]]
format = "png"
size = "40x30mm"
page = "https://gateway.example/#/{{address}}"

[[label]]
format = "zpl"
size = "40x30mm"
page = "https://gateway.example/#/{{address}}"
"#
        );
        fs::write(at("hall.toml"), job).unwrap();
        let (job, key) = (at("hall.toml"), at("key"));
        let sign = ["job", "sign", job.to_str().unwrap(), "--key"];
        let signed = console
            .json(&[&sign[..], &[key.to_str().unwrap()]].concat())
            .unwrap();
        let trusted = signed[0]["signed_by"].as_str().unwrap().to_owned();
        Hall { folder, trusted }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a run on these boards.
    fn run(&self, mut command: Command, blanks: &[Blank], extra: &[&str]) -> Running {
        command
            .args(["batch", "run", "--json", "--trust", &self.trusted])
            .args(["--before", "no-reset", "--after", "no-reset"])
            .arg("--report")
            .arg(self.at("report.jsonl"))
            .arg("--labels")
            .arg(self.at("labels"))
            .args(extra)
            .arg(self.at("hall.toml"))
            .env("XDG_STATE_HOME", self.folder.path());
        for blank in blanks {
            command.arg("--port").arg(blank.board.path());
        }
        Running {
            program: Program::start("switchyard", &mut command).unwrap(),
            lines_read: 0,
            paths: BTreeMap::new(),
        }
    }

    /// What became of each try.
    fn report(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.at("report.jsonl")).unwrap();
        let lines = text.lines().map(|it| serde_json::from_str(it).unwrap());
        lines.collect()
    }
}

/// A run of the console, and what it has told so far.
struct Running {
    program: Program,
    lines_read: usize,
    /// Which serial port has which slot.
    paths: BTreeMap<u64, String>,
}

impl Running {
    /// The next thing that it tells.
    fn next(&mut self, wanted: &str) -> Value {
        let mut line_number = 0;
        let told = self.program.wait_for_line(wanted, |line| {
            line_number += 1;
            (line_number > self.lines_read).then(|| serde_json::from_str::<Value>(line).unwrap())
        });
        self.lines_read += 1;
        told.unwrap()
    }

    /// Does what a technician does at the boards, until so many events of a kind have come; gives those.
    fn attend(&mut self, blanks: &[Blank], wanted: &str, count: usize) -> Vec<Value> {
        let mut found = Vec::new();
        while found.len() < count {
            let told = self.next(wanted);
            let slot = told["slot"].as_u64().unwrap();
            if told["event"] == "plugged" {
                let path = told["path"].as_str().unwrap().to_owned();
                self.paths.insert(slot, path);
            }
            if told["event"] == "waiting_for_start" && wanted != "waiting_for_start" {
                let path = Some(self.paths[&slot].as_str());
                let mut boards = blanks.iter().map(|it| &it.board);
                let board = boards.find(|it| it.path().to_str() == path).unwrap();
                board.jumper(false);
                board.press_reset();
            }
            if told["event"] == wanted {
                found.push(told);
            }
        }
        found
    }

    /// It is ended by an interrupt.
    fn interrupt(mut self) {
        self.program.signal("INT").unwrap();
        let status = self.program.wait_for_end(PATIENCE).unwrap();
        assert_eq!(status.code(), Some(130), "{}", self.program.log());
    }

    /// It ends by itself.
    fn end(mut self) {
        let status = self.program.wait_for_end(PATIENCE).unwrap();
        assert!(status.success(), "{}", self.program.log());
    }
}

/// A board is plugged in again, its jumper in.
fn plug_again(blank: &Blank) {
    blank.board.plug().unwrap();
    blank.board.enter_download().unwrap();
}

fn is_live(blank: &Blank) {
    let is_live = |view: &switchyard_testkit::board::ControllerView| view.link == LinkState::Live;
    blank.controller.wait_for("it to be live", is_live).unwrap();
}

fn titles(yard: &Yard) -> BTreeSet<String> {
    let listed = yard.console("operator").unwrap().json(&["ls"]).unwrap();
    let titles = listed
        .iter()
        .map(|it| it["title"].as_str().unwrap().to_owned());
    titles.collect()
}

#[test]
fn eight_boards_at_once_each_become_one_and_a_failure_is_its_boards_own() {
    let yard = yard(&[]);
    let technician = yard.console("technician").unwrap();
    let hall = Hall::new(&technician, yard.tcp(), "now");
    let mut blanks: Vec<_> = (1..8).map(Blank::new).collect();
    // The cable comes out in the midst of writing.
    let unplug = Fault {
        at: FaultPoint::ByteFromHost(25_000),
        kind: FaultKind::Unplug,
    };
    blanks.push(Blank::with(8, vec![unplug]));
    let mut program = hall.run(technician.command(&[]), &blanks, &[]);
    let passed = program.attend(&blanks, "passed", 7);
    wait_until("the eighth to have failed", || {
        (hall.report().len() == 8).then_some(())
    })
    .unwrap();
    let report = hall.report();
    let failed: Vec<_> = report.iter().filter(|it| it["result"] == "fail").collect();
    assert_eq!(failed.len(), 1, "{report:?}");
    assert_eq!(failed[0]["mac"], "5c:cf:7f:00:00:08");
    assert_eq!(failed[0]["stage"], "flash");
    assert!(
        failed[0]["error"]
            .as_str()
            .unwrap()
            .contains("the serial line is gone")
    );
    // In again it goes on, under its own number.
    plug_again(&blanks[7]);
    let again = program.attend(&blanks, "passed", 1);
    assert_eq!(again[0]["number"], failed[0]["number"]);
    // One that is done is known when it comes again.
    blanks[0].board.unplug();
    program.attend(&blanks, "freed", 1);
    plug_again(&blanks[0]);
    let known = program.attend(&blanks, "done_before", 1);
    assert_eq!(known[0]["mac"], "5c:cf:7f:00:00:01");
    program.interrupt();
    assert_eq!(hall.report().len(), 9, "{:?}", hall.report());
    let expected: BTreeSet<_> = (1..=8).map(|number| format!("Pump {number:03}")).collect();
    let named = |told: &Value| told["title"].as_str().unwrap().to_owned();
    let all: Vec<_> = passed.iter().chain(&again).collect();
    assert_eq!(
        all.iter().map(|it| named(it)).collect::<BTreeSet<_>>(),
        expected
    );
    assert_eq!(titles(&yard), expected);
    for told in all {
        let address = &told["address"].to_string();
        for ending in ["png", "zpl"] {
            let label = hall.at("labels").join(format!("{address}.{ending}"));
            assert!(label.exists(), "{}", label.display());
        }
    }
    let shown = technician
        .json(&["batch", "yield", hall.at("report.jsonl").to_str().unwrap()])
        .unwrap();
    assert_eq!(
        (&shown[0]["done"], &shown[0]["passed"]),
        (&8.into(), &8.into())
    );
    is_live(&blanks[7]);
    switch_on(&yard, &again[0]["address"].to_string(), &blanks[7]);
}

#[test]
fn a_stock_serves_boards_where_no_gateway_is_and_the_rest_goes_back() {
    let yard = yard(&[]);
    let technician = yard.console("technician").unwrap();
    let hall = Hall::new(&technician, yard.tcp(), "stock");
    let stock = hall.at("stock");
    let stock = stock.to_str().unwrap();
    let reserve = ["batch", "reserve", "--count", "4", "--into", stock];
    let reserved = technician.json(&reserve).unwrap();
    assert_eq!(reserved[0]["free"], 4);
    assert_eq!(titles(&yard).len(), 4);
    let blanks: Vec<_> = (1..=2).map(Blank::new).collect();
    // A console that has never heard of a gateway.
    let mut command = Programs::find().unwrap().command("switchyard").unwrap();
    command.env("SWITCHYARD_CONFIG", hall.at("nobody"));
    let mut program = hall.run(command, &blanks, &["--stock", stock, "--count", "2"]);
    let passed = program.attend(&blanks, "passed", 2);
    program.end();
    assert_ne!(passed[0]["address"], passed[1]["address"]);
    for blank in &blanks {
        is_live(blank);
    }
    // Once more it is who it was.
    blanks[0].board.enter_download().unwrap();
    let mut command = Programs::find().unwrap().command("switchyard").unwrap();
    command.env("SWITCHYARD_CONFIG", hall.at("nobody"));
    let extra = ["--stock", stock, "--count", "1", "--again"];
    let mut program = hall.run(command, &blanks[..1], &extra);
    let again = program.attend(&blanks, "passed", 1);
    program.end();
    let is_same = |it: &&Value| it["mac"] == again[0]["mac"];
    let before = passed.iter().find(is_same).unwrap();
    for what in ["address", "number", "title"] {
        assert_eq!(again[0][what], before[what]);
    }
    let back = technician.json(&["batch", "return", stock]).unwrap();
    assert_eq!(
        (&back[0]["returned"], &back[0]["handed_out"]),
        (&2.into(), &2.into())
    );
    let made: BTreeSet<_> = passed.iter().map(|it| it["address"].to_string()).collect();
    wait_until("those of boards alone", || {
        let listed = technician.json(&["ls"]).ok()?;
        let listed: BTreeSet<_> = listed.iter().map(|it| it["address"].to_string()).collect();
        (listed == made).then_some(())
    })
    .unwrap();
}

#[test]
fn whoever_interrupts_a_batch_finds_numbers_and_report_as_they_should_be() {
    let yard = yard(&[]);
    let technician = yard.console("technician").unwrap();
    let hall = Hall::new(&technician, yard.tcp(), "now");
    let blanks = [Blank::new(1)];
    let mut program = hall.run(technician.command(&[]), &blanks, &[]);
    // Its program is written, and it waits for its jumper to be taken out.
    program.attend(&blanks, "waiting_for_start", 1);
    program.interrupt();
    let report = hall.report();
    assert_eq!(report.len(), 1);
    assert_eq!(
        (&report[0]["result"], &report[0]["stage"]),
        (&"fail".into(), &"boot".into())
    );
    assert_eq!(titles(&yard).len(), 0);
    blanks[0].board.enter_download().unwrap();
    let mut program = hall.run(technician.command(&[]), &blanks, &["--count", "1"]);
    let passed = program.attend(&blanks, "passed", 1);
    assert_eq!(passed[0]["title"], "Pump 001");
    assert_eq!(
        passed[0]["bytes_written"], 0,
        "its program is there already"
    );
    program.end();
    assert_eq!(titles(&yard), BTreeSet::from(["Pump 001".to_owned()]));
}
