//! A board on a cable becomes a controller, on both sides or on neither, whatever goes wrong.

use std::{io, time::Duration};

use switchyard_firmware::Network;
use switchyard_flasher::{
    After, Enrolment, Error, Event, Expected, Heard, Installation, Installed, Line, Plan, Registry,
    RegistryError, Remains, Result, RunningBoard, Signals, Stage, Watch, start,
};
use switchyard_protocol::{
    Address,
    message::LinkKey,
    serial::{ImprovState, Password, Setting, SettingValue, WifiState},
};
use switchyard_testkit::board::{
    BoardOptions, ControllerOnBoard, Fault, FaultKind, FaultPoint, Surroundings,
};

use crate::{
    line::SimulatedLine,
    write::{approach, automatic, image, order},
};

const SCRIPT: &str = include_str!("../../../../firmware/scripts/pulse.script");
const ADDRESS: Address = Address(100_042);
const WIFI: (&str, &str) = ("yard", "behind the gate");

/// A gateway of one controller.
struct Yard {
    controller: ControllerOnBoard,
    enrolled: Option<Enrolment>,
    enrolments: u32,
    undone: u32,
    refuses_undo: bool,
    refuses_enrolment: bool,
    /// For so many questions nobody can be asked who is there.
    is_away_for: u32,
}

impl Yard {
    fn of(controller: &ControllerOnBoard) -> Self {
        Yard {
            controller: controller.clone(),
            enrolled: None,
            enrolments: 0,
            undone: 0,
            refuses_undo: false,
            refuses_enrolment: false,
            is_away_for: 0,
        }
    }
}

impl Registry for Yard {
    fn enrol(&mut self, _: &str) -> Result<Enrolment, RegistryError> {
        if self.refuses_enrolment {
            return Err("it is full".into());
        }
        let enrolment = Enrolment {
            address: Address(ADDRESS.0 + self.enrolments),
            key: LinkKey([self.enrolments as u8; 32]),
        };
        self.enrolments += 1;
        self.enrolled = Some(enrolment.clone());
        Ok(enrolment)
    }

    fn is_online(&mut self, address: Address) -> Result<bool, RegistryError> {
        if let Some(left) = self.is_away_for.checked_sub(1) {
            self.is_away_for = left;
            return Err("it is away".into());
        }
        let view = self.controller.view();
        let is_it = view.enrolled == Some(address);
        Ok(view.is_running && view.is_joined && is_it)
    }

    fn undo(&mut self, enrolment: &Enrolment) -> Result<(), RegistryError> {
        assert_eq!(self.enrolled.as_ref(), Some(enrolment));
        if self.refuses_undo {
            return Err("it is away".into());
        }
        self.enrolled = None;
        self.undone += 1;
        Ok(())
    }
}

/// A board that was written, with a network around it.
struct Bench {
    line: SimulatedLine,
    controller: ControllerOnBoard,
}

impl Bench {
    fn new(faults: Vec<Fault>) -> Self {
        let mut bench = Self::blank(faults);
        bench.line.board.flash_mut().place(0, &image(4_000));
        bench.line.power_cycle();
        bench
    }

    fn blank(faults: Vec<Fault>) -> Self {
        let networks = vec![Network {
            name: WIFI.0.into(),
            password: WIFI.1.into(),
        }];
        let controller = ControllerOnBoard::new(Surroundings {
            networks,
            seed: Some(7),
            ..Surroundings::default()
        });
        let options = BoardOptions {
            application: controller.application(),
            faults,
            ..automatic()
        };
        Bench {
            line: SimulatedLine::new(options, false),
            controller,
        }
    }

    fn provision(&mut self, plan: &Plan, yard: &mut Yard) -> Result<Installed> {
        install(&mut self.line, plan, yard, &mut |_: Event| {})
    }
}

fn install<L: Line>(
    line: &mut L,
    plan: &Plan,
    yard: &mut Yard,
    watch: &mut dyn Watch,
) -> Result<Installed> {
    let installation = Installation {
        approach: approach(true),
        order: None,
        after: After::Reset,
        plan: plan.clone(),
    };
    installation.run(line, None, Some(yard), watch)
}

fn plan() -> Plan {
    let value = |setting, text: &str| SettingValue {
        setting,
        text: text.into(),
    };
    Plan {
        title: "North pump".into(),
        settings: vec![
            value(Setting::Wifi, WIFI.0),
            value(Setting::WifiPassword, WIFI.1),
            value(Setting::Gateway1, "gateway.example:7481"),
            value(Setting::Zone, "CET-1CEST,M3.5.0,M10.5.0/3"),
        ],
        script: Some(SCRIPT.into()),
        ..Plan::default()
    }
}

/// Whether a board is what was planned.
fn assert_provisioned(bench: &Bench, yard: &Yard, what: &str) {
    let view = bench.controller.view();
    let enrolled = yard.enrolled.as_ref().map(|it| it.address);
    assert!(enrolled.is_some(), "{what}");
    assert_eq!(view.enrolled, enrolled, "{what}");
    assert!(view.is_joined, "{what}");
    for value in plan().settings {
        let found = view.setting(value.setting);
        assert_eq!(found, Some(&*value.text), "{what}");
    }
    assert_eq!(view.setting(Setting::Name), Some("North pump"), "{what}");
    assert_ne!(view.script_hash, 0, "{what}");
}

#[test]
fn a_blank_board_becomes_a_controller_in_one_go() {
    let mut bench = Bench::blank(Vec::new());
    let mut yard = Yard::of(&bench.controller);
    let image = image(4_000);
    let installation = Installation {
        approach: approach(true),
        order: Some(order(&[(0, &image)])),
        after: After::Reset,
        plan: Plan {
            expected: Expected {
                profile: Some("virtual".into()),
                version: Some(1),
                mac: None,
            },
            ..plan()
        },
    };
    let mut stages = Vec::new();
    let mut banner = None;
    let watch = &mut |event: Event| match event {
        Event::Stage(stage) => stages.push(stage),
        Event::Log { line } if line.starts_with("Switchyard ") => banner = Some(line),
        _ => {}
    };
    let installed = installation
        .run(&mut bench.line, None, Some(&mut yard), watch)
        .unwrap();
    assert!(installed.written.unwrap().bytes_written >= 4_000);
    let description = installed.provisioned.description;
    assert_eq!(description.address, Some(ADDRESS));
    assert_eq!(description.wifi, WifiState::Joined);
    assert_provisioned(&bench, &yard, "in one go");
    assert!(banner.unwrap().contains("virtual slot 1 reset"));
    let expected = [
        Stage::Starting,
        Stage::Setting,
        Stage::Joining,
        Stage::Script,
        Stage::Trial,
        Stage::Enrolling,
        Stage::Restarting,
        Stage::Reaching,
    ];
    assert_eq!(stages, expected);
    // It keeps all of it without power.
    bench.line.power_cycle();
    let mut board = start(&mut bench.line, &approach(true), true, &mut |_: Event| {}).unwrap();
    let found = board.describe(&mut |_: Event| {}).unwrap();
    assert_eq!(found.address, Some(ADDRESS));
    assert_eq!(found.name, "North pump");
}

/// A line that notes how many bytes went each way before each packet.
struct Noted<'a> {
    line: &'a mut SimulatedLine,
    written: u64,
    read: u64,
    writes: Vec<u64>,
    reads: Vec<u64>,
}

impl Line for Noted<'_> {
    fn read(&mut self, into: &mut [u8], patience: Duration) -> io::Result<usize> {
        let count = self.line.read(into, patience)?;
        if count > 0 {
            self.read += count as u64;
            self.reads.push(self.read);
        }
        Ok(count)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writes.push(self.written);
        self.written += bytes.len() as u64;
        self.line.write(bytes)
    }

    fn set_baud(&mut self, baud: u32) -> io::Result<()> {
        self.line.set_baud(baud)
    }

    fn set_signals(&mut self, signals: Signals) -> io::Result<()> {
        self.line.set_signals(signals)
    }

    fn discard(&mut self) -> io::Result<()> {
        self.line.discard()
    }

    fn wait(&mut self, time: Duration) {
        self.line.wait(time);
    }

    fn now(&self) -> Duration {
        self.line.now()
    }
}

/// The places of a faultless run at which something may go wrong: before each packet, and within it.
fn places() -> Vec<FaultPoint> {
    let mut bench = Bench::new(Vec::new());
    let mut yard = Yard::of(&bench.controller);
    let mut noted = Noted {
        line: &mut bench.line,
        written: 0,
        read: 0,
        writes: Vec::new(),
        reads: Vec::new(),
    };
    install(&mut noted, &plan(), &mut yard, &mut |_: Event| {}).expect("without faults");
    let (writes, reads) = (noted.writes, noted.reads);
    assert!(writes.len() > 15, "{writes:?}");
    // What came before the first was read before, and counts as well.
    let from_host = writes
        .iter()
        .enumerate()
        .map(|(number, at)| at + if number % 2 == 0 { 2 } else { 15 })
        .map(FaultPoint::ByteFromHost);
    let to_host = reads.iter().step_by(3).map(|at| at + 1);
    from_host
        .chain(to_host.map(FaultPoint::ByteToHost))
        .collect()
}

#[test]
fn every_fault_at_every_packet_leaves_a_controller_or_nothing() {
    let plan = plan();
    let mut ends = [0; 3];
    for at in places() {
        for kind in [
            FaultKind::Noise { bytes: 3, seed: 7 },
            FaultKind::Lose { bytes: 1 },
            FaultKind::Lose { bytes: 300 },
            FaultKind::Double { bytes: 2 },
            FaultKind::Silence,
            FaultKind::Unplug,
            FaultKind::Baud { baud: 57_600 },
            FaultKind::TornErase { seed: 5 },
            FaultKind::RefusedProgram,
        ] {
            let what = format!("{kind:?} at {at:?}");
            let mut bench = Bench::new(vec![Fault { at, kind }]);
            let mut yard = Yard::of(&bench.controller);
            match bench.provision(&plan, &mut yard) {
                Ok(installed) => {
                    ends[0] += 1;
                    assert_eq!(
                        installed.provisioned.description.address,
                        Some(ADDRESS),
                        "{what}"
                    );
                    assert_provisioned(&bench, &yard, &what);
                    continue;
                }
                Err(Error::RolledBack { left, cause, .. }) => {
                    ends[1] += 1;
                    assert!(!left.at_gateway && yard.enrolled.is_none(), "{what}");
                    bench.line.power_cycle();
                    let found = found(&mut bench);
                    // What is left on the board is named; what is not named is not there.
                    assert!(found.is_none() || left.on_board, "{what}: {cause}");
                }
                Err(error) => {
                    ends[2] += 1;
                    assert_eq!(yard.enrolments, 0, "{what}: {error}");
                    assert!(error.advice().is_some(), "{what}: {error:?}");
                    bench.line.power_cycle();
                    assert_eq!(found(&mut bench), None, "{what}: {error}");
                }
            }
            let again = Plan {
                replaces: true,
                ..plan.clone()
            };
            bench
                .provision(&again, &mut yard)
                .unwrap_or_else(|error| panic!("{what}, again: {error:?}"));
            assert_provisioned(&bench, &yard, &what);
        }
    }
    // It would prove little if nothing ever failed.
    assert!(ends.iter().all(|count| *count > 10), "{ends:?}");
}

/// Who the board says that it is after a start.
fn found(bench: &mut Bench) -> Option<Address> {
    let watch = &mut |_: Event| {};
    let mut board = start(&mut bench.line, &approach(true), true, watch).expect("a start");
    board.describe(watch).expect("an answer").address
}

/// Provisions a fresh board by a plan that fails, and tells why.
fn failure(change: impl FnOnce(&mut Plan)) -> (Error, Bench, Yard) {
    let mut bench = Bench::new(Vec::new());
    let mut yard = Yard::of(&bench.controller);
    let mut plan = plan();
    change(&mut plan);
    let error = bench.provision(&plan, &mut yard);
    let error = error.expect_err("a plan that fails");
    (error, bench, yard)
}

#[test]
fn what_can_be_wrong_is_found_before_anything_is_enrolled() {
    let set = |plan: &mut Plan, setting, text: &str| {
        let mut settings = plan.settings.iter_mut();
        settings.find(|it| it.setting == setting).unwrap().text = text.into();
    };
    let assert_untouched = |yard: &Yard| assert_eq!(yard.enrolments, 0);

    let (error, _, yard) = failure(|plan| plan.expected.profile = Some("sonoff-basic".into()));
    assert!(matches!(error, Error::OtherProfile { .. }), "{error:?}");
    assert_untouched(&yard);
    let (error, _, yard) = failure(|plan| plan.expected.version = Some(99));
    assert!(
        matches!(
            error,
            Error::OtherVersion {
                expected: 99,
                found: 1
            }
        ),
        "{error:?}"
    );
    assert_untouched(&yard);
    let (error, _, yard) = failure(|plan| set(plan, Setting::WifiPassword, "not this one"));
    let wrong = Some(WifiState::WrongPassword);
    assert!(
        matches!(error, Error::NotJoined { state } if state == wrong),
        "{error:?}"
    );
    assert!(error.to_string().contains("the password is wrong"));
    assert_untouched(&yard);
    let (error, _, yard) = failure(|plan| set(plan, Setting::Wifi, "elsewhere"));
    let missing = Some(WifiState::NotFound);
    assert!(
        matches!(error, Error::NotJoined { state } if state == missing),
        "{error:?}"
    );
    assert_untouched(&yard);
    let (error, _, yard) = failure(|plan| set(plan, Setting::Gateway1, "no port"));
    let Error::WrongSetting { setting } = error else {
        panic!("{error:?}")
    };
    assert_eq!(setting, Setting::Gateway1);
    assert_untouched(&yard);
    let (error, _, yard) = failure(|plan| plan.script = Some(b"every 5s do\n  nonsense\n".into()));
    let Error::Script(fault) = &error else {
        panic!("{error:?}")
    };
    assert!(
        fault.line >= 1 && error.to_string().contains("expected"),
        "{error}"
    );
    assert_untouched(&yard);
    let no_gateway = |plan: &mut Plan| {
        plan.settings.retain(|it| it.setting != Setting::Gateway1);
    };
    let (error, _, yard) = failure(no_gateway);
    assert!(matches!(error, Error::NoGateway), "{error:?}");
    assert_untouched(&yard);
}

#[test]
fn whoever_is_somebody_stays_it_unless_told_otherwise() {
    let mut bench = Bench::new(Vec::new());
    let mut yard = Yard::of(&bench.controller);
    bench.provision(&plan(), &mut yard).unwrap();
    let error = bench.provision(&plan(), &mut yard).unwrap_err();
    assert!(
        matches!(error, Error::Enrolled { address } if address == ADDRESS),
        "{error:?}"
    );
    let other = Plan {
        replaces: true,
        ..plan()
    };
    let installed = bench.provision(&other, &mut yard).unwrap();
    assert_eq!(installed.provisioned.before, Some(ADDRESS));
    let now = installed.provisioned.description.address;
    assert_eq!(now, Some(Address(ADDRESS.0 + 1)));
    // Settings alone leave it who it is.
    let mut board = start(&mut bench.line, &approach(true), true, &mut |_: Event| {}).unwrap();
    let settings = Plan {
        title: "South pump".into(),
        ..Plan::default()
    };
    let done = board
        .provision(&settings, None, &mut |_: Event| {})
        .unwrap();
    assert_eq!(done.description.address, now);
    assert_eq!(done.description.name, "South pump");
}

#[test]
fn a_protected_board_asks_for_its_password() {
    let mut bench = Bench::new(Vec::new());
    let mut yard = Yard::of(&bench.controller);
    let mut protecting = plan();
    protecting.settings.push(SettingValue {
        setting: Setting::PagePassword,
        text: "a page of its own".into(),
    });
    bench.provision(&protecting, &mut yard).unwrap();
    let mut again = |password: Option<&str>| {
        let plan = Plan {
            replaces: true,
            password: password.map(|it| Password(it.into())),
            ..plan()
        };
        bench.provision(&plan, &mut yard)
    };
    let error = again(None).unwrap_err();
    assert!(matches!(error, Error::Locked), "{error:?}");
    let error = again(Some("another page's")).unwrap_err();
    assert!(matches!(error, Error::WrongPassword), "{error:?}");
    again(Some("a page of its own")).unwrap();
}

/// Asks to stop once a stage is reached.
struct StopAt {
    stage: Stage,
    is_reached: bool,
}

impl StopAt {
    fn new(stage: Stage) -> Self {
        StopAt {
            stage,
            is_reached: false,
        }
    }
}

impl Watch for StopAt {
    fn event(&mut self, event: Event) {
        self.is_reached |= event == Event::Stage(self.stage);
    }

    fn is_stopped(&self) -> bool {
        self.is_reached
    }
}

#[test]
fn whoever_stops_it_finds_both_sides_as_before() {
    for stage in [Stage::Enrolling, Stage::Restarting, Stage::Reaching] {
        let mut bench = Bench::new(Vec::new());
        let mut yard = Yard::of(&bench.controller);
        let mut watch = StopAt::new(stage);
        let error = install(&mut bench.line, &plan(), &mut yard, &mut watch).unwrap_err();
        let Error::RolledBack { cause, left, .. } = &error else {
            panic!("{stage:?}: {error:?}")
        };
        assert!(matches!(**cause, Error::Stopped), "{stage:?}: {cause}");
        assert_eq!(*left, Remains::default(), "{stage:?}");
        assert_eq!(
            (yard.undone, bench.controller.view().enrolled),
            (1, None),
            "{stage:?}"
        );
    }
}

#[test]
fn a_board_that_was_somebody_stays_it_until_it_takes_another_address() {
    for (stage, lost) in [(Stage::Enrolling, None), (Stage::Reaching, Some(ADDRESS))] {
        let mut bench = Bench::new(Vec::new());
        let mut yard = Yard::of(&bench.controller);
        bench.provision(&plan(), &mut yard).unwrap();
        let other = Plan {
            replaces: true,
            ..plan()
        };
        let mut watch = StopAt::new(stage);
        let error = install(&mut bench.line, &other, &mut yard, &mut watch).unwrap_err();
        let Error::RolledBack { lost: found, .. } = &error else {
            panic!("{stage:?}: {error:?}")
        };
        assert_eq!(*found, lost, "{stage:?}");
        let is = bench.controller.view().enrolled;
        assert_eq!(
            is,
            if lost.is_some() { None } else { Some(ADDRESS) },
            "{stage:?}"
        );
        assert_eq!(
            error.to_string().contains("it was No. 100042"),
            lost.is_some()
        );
    }
}

#[test]
fn a_board_that_protects_itself_is_taken_back_as_well_and_may_be_tried_again() {
    let mut bench = Bench::new(Vec::new());
    let mut yard = Yard::of(&bench.controller);
    let mut protecting = plan();
    protecting.settings.push(SettingValue {
        setting: Setting::PagePassword,
        text: "a page of its own".into(),
    });
    let mut watch = StopAt::new(Stage::Reaching);
    let error = install(&mut bench.line, &protecting, &mut yard, &mut watch).unwrap_err();
    let Error::RolledBack { left, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(*left, Remains::default());
    assert_eq!(bench.controller.view().enrolled, None);
    bench.provision(&protecting, &mut yard).unwrap();
    assert_provisioned(&bench, &yard, "again");
}

#[test]
fn nothing_stays_on_trial() {
    let mut bench = Bench::new(Vec::new());
    let mut yard = Yard::of(&bench.controller);
    let mut board = start(&mut bench.line, &approach(true), true, &mut |_: Event| {}).unwrap();
    let before = board.describe(&mut |_: Event| {}).unwrap().script_hash;
    let mut watch = StopAt::new(Stage::Trial);
    let error = install(&mut bench.line, &plan(), &mut yard, &mut watch).unwrap_err();
    assert!(matches!(error, Error::Stopped), "{error:?}");
    let mut board = start(&mut bench.line, &approach(true), true, &mut |_: Event| {}).unwrap();
    let found = board.describe(&mut |_: Event| {}).unwrap();
    assert_ne!(found.script, 2, "it is not on trial");
    assert_eq!(found.script_hash, before);
    bench.provision(&plan(), &mut yard).unwrap();
    assert_provisioned(&bench, &yard, "again");
}

#[test]
fn another_board_than_the_written_one_is_noticed() {
    let (error, _, yard) = failure(|plan| plan.expected.mac = Some([1; 6]));
    assert!(matches!(error, Error::OtherBoard { .. }), "{error:?}");
    assert!(error.to_string().contains("01:01:01:01:01:01"), "{error}");
    assert_eq!(yard.enrolments, 0);
}

#[test]
fn a_gateway_that_fails_is_told_apart_from_a_board_that_does() {
    let mut bench = Bench::new(Vec::new());
    let mut yard = Yard::of(&bench.controller);
    yard.is_away_for = u32::MAX;
    let error = bench.provision(&plan(), &mut yard).unwrap_err();
    let Error::RolledBack { cause, .. } = &error else {
        panic!("{error:?}")
    };
    assert!(matches!(**cause, Error::Registry(_)), "{cause:?}");
    // Away for a moment, it is asked again.
    yard.is_away_for = 3;
    bench.provision(&plan(), &mut yard).unwrap();
    yard.refuses_enrolment = true;
    let again = Plan {
        replaces: true,
        ..plan()
    };
    let error = bench.provision(&again, &mut yard).unwrap_err();
    assert!(matches!(error, Error::Registry(_)), "{error:?}");
    assert_eq!(
        bench.controller.view().enrolled,
        Some(Address(ADDRESS.0 + 1))
    );
}

#[test]
fn what_cannot_be_taken_back_is_named() {
    let mut bench = Bench::new(Vec::new());
    let mut yard = Yard::of(&bench.controller);
    yard.refuses_undo = true;
    let mut watch = StopAt::new(Stage::Reaching);
    let error = install(&mut bench.line, &plan(), &mut yard, &mut watch).unwrap_err();
    let Error::RolledBack { left, .. } = &error else {
        panic!("{error:?}")
    };
    assert!(left.at_gateway && !left.on_board, "{left:?}");
    let advice = error.advice().unwrap();
    assert!(advice.contains("100042 stays at the gateway"), "{advice}");
}

#[test]
fn whoever_answers_nothing_is_told_apart() {
    let find = |line: &mut SimulatedLine| {
        let found = RunningBoard::find(line, Duration::from_secs(3), &mut |_: Event| {});
        found.map(drop).unwrap_err()
    };
    // The jumper left in.
    let mut bench = Bench::new(Vec::new());
    bench.line.board.jumper(bench.line.now(), true);
    bench.line.power_cycle();
    let mut bytes = [0; 512];
    while bench.line.read(&mut bytes, Duration::from_secs(1)).unwrap() > 0 {}
    let error = find(&mut bench.line);
    assert!(
        matches!(
            error,
            Error::NoFirmware {
                heard: Heard::Nothing
            }
        ),
        "{error:?}"
    );
    // Another program.
    let mut line = SimulatedLine::new(automatic(), false);
    line.board.flash_mut().place(0, &image(4_000));
    line.power_cycle();
    let error = find(&mut line);
    assert!(
        matches!(error, Error::NoFirmware { heard: Heard::Text }),
        "{error:?}"
    );
}

#[test]
fn a_board_tells_of_its_networks_and_joins_one_by_the_standard() {
    let mut bench = Bench::new(Vec::new());
    let watch = &mut |_: Event| {};
    let mut board = RunningBoard::find_any(&mut bench.line, Duration::from_secs(5), watch).unwrap();
    let networks = board.networks(watch).unwrap();
    let names: Vec<_> = networks
        .iter()
        .map(|it| (&*it.name, it.is_protected))
        .collect();
    assert_eq!(names, [(WIFI.0, true)]);
    assert_eq!(board.wifi(watch).unwrap(), (ImprovState::Ready, None));
    let wrong = board.join(WIFI.0, &Password("not this one".into()), watch);
    assert!(
        matches!(wrong, Err(Error::NotJoined { state: None })),
        "{wrong:?}"
    );
    let page = board.join(WIFI.0, &Password(WIFI.1.into()), watch).unwrap();
    assert!(page.unwrap().starts_with("http://"));
    let (state, page) = board.wifi(watch).unwrap();
    assert_eq!(state, ImprovState::Provisioned);
    assert!(page.is_some());
    let information = board.information(watch).unwrap();
    assert_eq!(
        (&*information.firmware, &*information.hardware),
        ("Switchyard", "virtual")
    );
}
