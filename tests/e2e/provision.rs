//! From a blank board to a controller that an operator switches: the real console on the virtual board, whose firmware
//! really dials the real gateway.

use crate::{board::image, yard};
use serde_json::Value;
use std::time::Duration;
use switchyard_firmware::{Channel, LinkState, Network};
use switchyard_testkit::{
    Console, Program, Yard,
    board::{
        BoardOnTerminal, BoardOptions, ControllerOnBoard, ControllerView, Fault, Surroundings,
    },
    wait_until,
};

pub(crate) const WIFI: (&str, &str) = ("yard", "behind the gate");
pub(crate) const SCRIPT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../firmware/scripts/latch.script"
);
/// How long a board may take from its start to its gateway.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A blank board without a reset circuit, its jumper in, and a network around it that leads to gateways.
pub(crate) struct Blank {
    pub(crate) board: BoardOnTerminal,
    pub(crate) controller: ControllerOnBoard,
    /// Its program, as `ADDRESS=FILE`.
    pub(crate) image: String,
}

impl Blank {
    pub(crate) fn new(number: u8) -> Self {
        Self::with(number, Vec::new())
    }

    /// With what goes wrong on it.
    pub(crate) fn with(number: u8, faults: Vec<Fault>) -> Self {
        let controller = ControllerOnBoard::new(Surroundings {
            networks: vec![Network {
                name: WIFI.0.into(),
                password: WIFI.1.into(),
            }],
            have_uplink: true,
            ..Surroundings::default()
        });
        let board = BoardOnTerminal::start(BoardOptions {
            application: controller.application(),
            mac: [0x5c, 0xcf, 0x7f, 0, 0, number],
            faults,
            ..BoardOptions::default()
        });
        let board = board.unwrap();
        board.enter_download().unwrap();
        let file = board.folder().join("image");
        std::fs::write(&file, image(30_000)).unwrap();
        Blank {
            image: format!("0={}", file.to_str().unwrap()),
            board,
            controller,
        }
    }

    /// Starts the console on it, with all that a technician says.
    fn provision(&self, console: &Console, title: &str, gateway: &str) -> Program {
        let path = self.board.path().to_str().unwrap();
        let arguments = [
            &["provision", "--json", "--port", path, title][..],
            &["--before", "no-reset", "--after", "no-reset"],
            &[
                "--write",
                &self.image,
                "--board",
                "virtual",
                "--wifi",
                WIFI.0,
            ],
            &["--gateway", gateway, "--script", SCRIPT],
        ]
        .concat();
        let mut command = console.command(&arguments);
        command
            .env("SWITCHYARD_WIFI_PASSWORD", WIFI.1)
            .env("XDG_STATE_HOME", self.board.folder());
        Program::start("switchyard", &mut command).unwrap()
    }

    /// What the technician does once he is asked to.
    fn take_jumper_out(&self, program: &mut Program) {
        event(program, "waiting_for_start");
        self.board.jumper(false);
        self.board.press_reset();
    }
}

fn event(program: &mut Program, wanted: &str) -> Value {
    let found = program.wait_for_line(wanted, |line| {
        let told: Value = serde_json::from_str(line).ok()?;
        (told["event"] == wanted || told["stage"] == wanted).then_some(told)
    });
    found.unwrap()
}

/// Sees it through, and gives what the console says at the end.
fn done(program: &mut Program) -> Value {
    let done = event(program, "done");
    let status = program.wait_for_end(PATIENCE).unwrap();
    assert!(status.success(), "{}", program.log());
    done
}

pub(crate) fn switch_on(yard: &Yard, address: &str, blank: &Blank) {
    let operator = yard.console("operator").unwrap();
    let (code, _, said) = operator.run(&["send", address, "RL1", "on"]).unwrap();
    assert_eq!(code, 0, "{said}");
    let is_on = |view: &ControllerView| view.value(Channel::Rl1) == 1;
    blank.controller.wait_for("RL1 on", is_on).unwrap();
}

#[test]
fn a_blank_board_becomes_a_controller_that_an_operator_switches() {
    let yard = yard(&[]);
    let blank = Blank::new(1);
    let technician = yard.console("technician").unwrap();
    let mut program = blank.provision(&technician, "North pump", yard.tcp());
    blank.take_jumper_out(&mut program);
    let done = done(&mut program);
    assert_eq!(done["title"], "North pump");
    assert_eq!(done["wifi"], "joined");
    assert_eq!(done["hardware"], "5c:cf:7f:00:00:01");
    assert!(done["bytes_written"].as_u64().unwrap() >= 30_000);
    let is_live = |view: &ControllerView| view.link == LinkState::Live;
    blank.controller.wait_for("its link", is_live).unwrap();
    let address = done["address"].to_string();
    switch_on(&yard, &address, &blank);
    // It comes back by itself, and is who it was.
    blank.board.press_reset();
    let is_back = |view: &ControllerView| view.sessions == 2 && view.link == LinkState::Live;
    blank.controller.wait_for("it to be back", is_back).unwrap();
    switch_on(&yard, &address, &blank);
}

#[test]
fn whoever_interrupts_it_leaves_nothing_behind() {
    let yard = yard(&[]);
    let blank = Blank::new(1);
    let technician = yard.console("technician").unwrap();
    // Nobody listens there, and nobody ever will.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gateway = nobody.local_addr().unwrap().to_string();
    let mut program = blank.provision(&technician, "North pump", &gateway);
    blank.take_jumper_out(&mut program);
    event(&mut program, "reaching");
    let list = || technician.json(&["ls"]).unwrap();
    assert_eq!(list().len(), 1, "it is enrolled meanwhile");
    program.signal("INT").unwrap();
    let status = program.wait_for_end(PATIENCE).unwrap();
    assert_eq!(status.code(), Some(130), "{}", program.log());
    assert!(
        program.log().contains("was taken back on both sides"),
        "{}",
        program.log()
    );
    // The gateway answers as soon as its store has it; those who look at the fleet hear of it after that.
    let is_nobody = || list().is_empty().then_some(());
    wait_until("the gateway to know nobody", is_nobody).unwrap();
    assert_eq!(blank.controller.view().enrolled, None);
    // What it has by then is no obstacle.
    blank.board.enter_download().unwrap();
    let mut program = blank.provision(&technician, "North pump", yard.tcp());
    blank.take_jumper_out(&mut program);
    let done = done(&mut program);
    assert_eq!(done["bytes_written"], 0, "the program is there already");
    switch_on(&yard, &done["address"].to_string(), &blank);
}

#[test]
fn eight_boards_at_once_each_become_one() {
    let yard = yard(&[]);
    let blanks: Vec<_> = (1..=8).map(Blank::new).collect();
    let technician = yard.console("technician").unwrap();
    let mut programs: Vec<_> = (1..)
        .zip(&blanks)
        .map(|(number, blank)| {
            let title = format!("Pump {number}");
            blank.provision(&technician, &title, yard.tcp())
        })
        .collect();
    for (blank, program) in blanks.iter().zip(&mut programs) {
        blank.take_jumper_out(program);
    }
    let told = programs.iter_mut().map(done);
    let mut addresses: Vec<_> = told.map(|done| done["address"].to_string()).collect();
    for (address, blank) in addresses.iter().zip(&blanks) {
        switch_on(&yard, address, blank);
    }
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), 8);
}
