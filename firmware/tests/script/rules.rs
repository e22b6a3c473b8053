//! Rules that the page states, each by itself: chance may reach them seldom, and a failing one should
//! be named.

use switchyard_firmware::{
    runner::{Command, Outcome, Request, Runner, Scan, Zone},
    script::{Board, Pin, PinKind, compile},
};
use switchyard_protocol::message::{CauseKind, PointFlags};

/// A runner, and the clock of its scans.
struct Rig {
    runner: Runner,
    scan: Scan,
}

impl Rig {
    fn new(source: &str) -> Self {
        let board = Board::new([
            Pin::new("DI1", PinKind::DigitalInput, 0),
            Pin::new("DI2", PinKind::DigitalInput, 1),
            Pin::new("RL1", PinKind::DigitalOutput, 2),
            Pin::new("RL2", PinKind::DigitalOutput, 3),
            Pin::new("RL3", PinKind::DigitalOutput, 4),
            Pin::new("AI0", PinKind::AnalogueInput, 5),
        ]);
        let zone = Zone::parse("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        // The count goes round in every test.
        let now_ms = u32::MAX - 25;
        let mut runner = Runner::start(compile(source, &board).unwrap(), zone, now_ms);
        runner.scan_every_time();
        let scan = Scan {
            now_ms,
            online: true,
            ..Scan::default()
        };
        Self { runner, scan }
    }

    fn pass(&mut self, after_ms: u32) -> Outcome {
        self.scan.now_ms = self.scan.now_ms.wrapping_add(after_ms);
        self.runner.scan(&self.scan)
    }

    fn command(&mut self, request: Request) -> Outcome {
        self.scan.command = Some(Command {
            request,
            by: 7,
            reference: 9,
        });
        let outcome = self.pass(10);
        self.scan.command = None;
        outcome
    }

    /// What an output is driven to, and why.
    fn out(&self, name: &str) -> (i32, CauseKind) {
        let (number, _) = self.runner.point_number(name).unwrap();
        let point = self.runner.point(number).unwrap();
        (point.value, point.cause)
    }

    fn has(&self, name: &str, flag: PointFlags) -> bool {
        let (number, _) = self.runner.point_number(name).unwrap();
        self.runner.point(number).unwrap().flags.contains(flag)
    }

    fn value(&self, name: &str) -> i32 {
        self.runner.value(name).unwrap()
    }
}

#[test]
fn the_first_scan_has_no_edges_and_timers_begin_with_it() {
    let mut rig = Rig::new(
        "in a = DI1 debounce 1s\nvar up : bool\nvar down : bool\nvar flip : bool\nvar late : bool\n\
         var pulse : bool\nvar many : bool\nvar first = 0\nvar ran : int\nstate s : one, two\n\
         from one to two when after(30ms)\nend\n\
         up := rise(a)\ndown := fall(not a)\nflip := toggle(a)\nlate := ton(a, 30ms)\n\
         pulse := tp(a, 30ms)\nmany := ctu(a, off, 1)\nfirst += 1 when boot\n\
         ran := runtime(a, ran)\n",
    );
    assert!(rig.runner.put_input("a", 1));
    rig.pass(5000);
    for name in ["up", "down", "flip", "late", "pulse", "many", "s", "ran"] {
        assert_eq!(rig.value(name), 0, "{name} in the first scan");
    }
    assert_eq!((rig.value("a"), rig.value("first")), (1, 1));
    rig.pass(29);
    assert_eq!((rig.value("late"), rig.value("s")), (0, 0));
    rig.pass(1);
    assert_eq!((rig.value("late"), rig.value("s")), (1, 1));
    assert_eq!((rig.value("first"), rig.value("many")), (1, 0));
}

#[test]
fn a_command_is_true_for_one_scan_and_leaves_its_arguments() {
    let mut rig = Rig::new(
        "in level : num = AI0\nvar was : int\nvar taken = 0\n\
         command go(n: int in 2..9, t: time in -5s..-1s) refuse \"low\" when level < go.n\n\
         was := go.n\ntaken += 1 when go\n",
    );
    rig.pass(10);
    assert_eq!((rig.value("go.n"), rig.value("go.t")), (2, -1000));
    rig.runner.put_input("level", 5000);
    let go = |n| Request::Call(0, [n, -2000, 77, 77]);
    assert_eq!(rig.command(go(5)), Outcome::Executed);
    assert_eq!(
        (rig.value("go"), rig.value("taken"), rig.value("was")),
        (1, 1, 5)
    );
    rig.pass(10);
    assert_eq!(
        (rig.value("go"), rig.value("go.n"), rig.value("go.t")),
        (0, 5, -2000)
    );
    assert_eq!(rig.command(go(6)), Outcome::Refused);
    assert_eq!(
        (rig.value("go"), rig.value("go.n"), rig.value("taken")),
        (0, 5, 1)
    );
    assert_eq!(rig.command(Request::Call(1, [0; 4])), Outcome::Refused);
    assert_eq!(rig.command(Request::Set(0, 1)), Outcome::Refused);
}

#[test]
fn a_feedback_confirms_both_ways_and_never_switches() {
    let mut rig = Rig::new(
        "in run = DI1\nout pump = RL1 safe off confirm run within 50ms\nvar wrong : bool\n\
         command go(on: bool)\npump := rs(go and go.on, go and not go.on)\nwrong := pump.fault\n",
    );
    rig.pass(10);
    let go = |on| Request::Call(0, [on, 0, 0, 0]);
    assert_eq!(rig.command(go(0)), Outcome::Executed, "it changes nothing");
    assert_eq!(rig.command(go(1)), Outcome::Confirming);
    rig.runner.await_feedback(1);
    rig.pass(49);
    assert_eq!(rig.runner.settled(), None);
    rig.runner.put_input("run", 1);
    rig.pass(10);
    assert_eq!(
        rig.runner.settled(),
        Some((1, true)),
        "late, and yet before it was looked at"
    );
    // Later it is not as it should be: a fault once that has lasted for as long.
    rig.runner.put_input("run", 0);
    rig.pass(10);
    rig.pass(49);
    assert!(!rig.has("pump", PointFlags::FAULT));
    rig.pass(1);
    assert!(rig.has("pump", PointFlags::FAULT));
    assert_eq!((rig.out("pump").0, rig.value("wrong")), (1, 0));
    rig.pass(10);
    assert_eq!(
        (rig.out("pump").0, rig.value("wrong")),
        (1, 1),
        "as of the scan before"
    );
    assert_eq!(rig.command(go(0)), Outcome::Confirming);
    rig.runner.await_feedback(2);
    assert!(rig.has("pump", PointFlags::FAULT), "until they agree again");
    rig.pass(10);
    assert_eq!(rig.runner.settled(), Some((2, true)));
    assert!(!rig.has("pump", PointFlags::FAULT));
    // A change before it has followed: the command has failed, whatever comes.
    assert_eq!(rig.command(go(1)), Outcome::Confirming);
    rig.runner.await_feedback(3);
    assert_eq!(rig.command(go(0)), Outcome::Confirming);
    assert_eq!(rig.runner.settled(), Some((3, false)));
}

#[test]
fn a_window_belongs_to_the_day_on_which_it_begins() {
    let mut rig = Rig::new(
        "out night = RL1 safe off\nout shop = RL2 safe off\nout gap = RL3 safe off\n\
         night := during(sat 22:00-06:00, unsynced on)\n\
         shop := during(fri-mon 08:00-12:00, unsynced off)\n\
         gap := during(02:30-02:45, unsynced off)\n",
    );
    rig.pass(10);
    assert_eq!(
        rig.out("night"),
        (1, CauseKind::Script),
        "nothing began, the clock is not known"
    );
    // Berlin's time, by UTC.
    for (utc, levels) in [
        ("2026-10-23T21:00:00Z", [0, 0, 0]), // Fri 23:00
        ("2026-10-24T05:59:59Z", [0, 0, 0]), // Sat 07:59:59
        ("2026-10-24T06:00:00Z", [0, 1, 0]), // Sat 08:00
        ("2026-10-24T09:59:59Z", [0, 1, 0]), // Sat 11:59:59
        ("2026-10-24T10:00:00Z", [0, 0, 0]), // Sat 12:00
        ("2026-10-24T20:00:00Z", [1, 0, 0]), // Sat 22:00
        ("2026-10-25T00:29:59Z", [1, 0, 0]), // Sun 02:29:59, the first time
        ("2026-10-25T00:30:00Z", [1, 0, 1]), // Sun 02:30, the first time
        ("2026-10-25T00:45:00Z", [1, 0, 0]), // Sun 02:45
        ("2026-10-25T01:30:00Z", [1, 0, 0]), // Sun 02:30, the second time: it counts once
        ("2026-10-25T04:59:59Z", [1, 0, 0]), // Sun 05:59:59
        ("2026-10-25T05:00:00Z", [0, 0, 0]), // Sun 06:00
        ("2026-10-25T23:00:00Z", [0, 0, 0]), // Mon 00:00
        ("2026-10-26T07:00:00Z", [0, 1, 0]), // Mon 08:00: fri-mon goes round the week's end
        ("2026-10-27T07:00:00Z", [0, 0, 0]), // Tue 08:00
        ("2027-03-28T00:59:59Z", [1, 0, 0]), // Sun 01:59:59, before the jump to 03:00
        ("2027-03-28T01:00:00Z", [1, 0, 0]), // all of 02:30-02:45 is jumped over
    ] {
        let moment: jiff::Timestamp = utc.parse().unwrap();
        rig.scan.utc = Some(moment.as_second());
        rig.pass(10);
        let found = ["night", "shop", "gap"].map(|name| rig.out(name).0);
        assert_eq!(found, levels, "{utc}");
    }
    assert_eq!(rig.out("night").1, CauseKind::Schedule);
}

#[test]
fn safe_is_for_a_lost_link_and_for_no_script() {
    let mut rig = Rig::new(
        "in a = DI1\nout lamp = RL1 safe off linkloss safe after 1s\n\
         out keep = RL2 safe hold linkloss safe after 1s\nout stay = RL3 safe on\n\
         lamp := a\nkeep := a\nstay := not a\n",
    );
    let names = ["lamp", "keep", "stay"];
    assert_eq!(
        names.map(|name| rig.out(name)),
        [
            (0, CauseKind::Boot),
            (0, CauseKind::Boot),
            (1, CauseKind::Boot)
        ]
    );
    rig.runner.put_input("a", 1);
    rig.pass(10);
    rig.scan.online = false;
    rig.pass(999);
    assert_eq!(names.map(|name| rig.out(name).0), [1, 1, 0]);
    rig.pass(1);
    assert_eq!(
        names.map(|name| rig.out(name).0),
        [0, 1, 0],
        "the others carry on, or hold"
    );
    assert_eq!(rig.out("lamp").1, CauseKind::LinkLoss);
    rig.runner.put_input("a", 0);
    rig.pass(10);
    assert_eq!(names.map(|name| rig.out(name).0), [0, 1, 1]);
    rig.scan.online = true;
    rig.pass(10);
    assert_eq!(names.map(|name| rig.out(name).0), [0, 0, 1]);
    rig.runner.put_input("a", 1);
    rig.pass(10);
    rig.runner.stop();
    rig.pass(10);
    assert_eq!(names.map(|name| rig.out(name).0), [0, 1, 1]);
    assert_eq!(rig.out("stay").1, CauseKind::Safe);
    rig.runner.put_input("a", 0);
    rig.pass(10);
    assert_eq!(rig.out("keep").0, 1, "nothing runs");
}

#[test]
fn force_stands_above_the_script_and_below_interlocks() {
    let mut rig = Rig::new(
        "in a = DI1\nout up = RL1 safe off\nout down = RL2 safe off linkloss safe after 10ms\n\
         out hand = RL3 safe off manual\ninterlock up, down, hand gap 30ms\nup := a\ndown := off\n",
    );
    rig.pass(30);
    let now_ms = rig.scan.now_ms;
    assert!(rig.runner.force("down", 1, 100, now_ms));
    rig.scan.online = false;
    rig.pass(20);
    assert_eq!(
        rig.out("down"),
        (1, CauseKind::Force),
        "above link loss, too"
    );
    assert!(rig.has("down", PointFlags::FORCED));
    rig.runner.put_input("a", 1);
    assert_eq!(rig.command(Request::Set(3, 1)), Outcome::Executed);
    assert_eq!(
        [rig.out("up").0, rig.out("hand").0],
        [0, 0],
        "nobody comes on beside it"
    );
    rig.pass(70);
    assert_eq!(rig.out("down"), (0, CauseKind::LinkLoss), "it is over");
    rig.pass(29);
    assert_eq!(rig.out("up").0, 0);
    rig.pass(1);
    assert_eq!(
        [rig.out("up"), rig.out("down")],
        [(1, CauseKind::Script), (0, CauseKind::LinkLoss)]
    );
    assert!(rig.runner.force("up", 0, 86_400_000, rig.scan.now_ms));
    rig.pass(10);
    rig.pass(30);
    assert_eq!(
        rig.out("hand"),
        (1, CauseKind::Command),
        "held up, and still the command's doing"
    );
    assert!(rig.runner.release("up") && !rig.runner.release("up"));
    rig.pass(10);
    assert_eq!(rig.out("up"), (0, CauseKind::Force), "the other is on");
    rig.runner.stop();
    rig.pass(10);
    assert!(
        !rig.runner.force("down", 1, 100, rig.scan.now_ms),
        "no script runs"
    );
}

#[test]
fn at_most_eight_outputs_are_forced() {
    use std::fmt::Write as _;
    let mut source = String::new();
    for number in 0..9 {
        writeln!(source, "out n{number} = RL1 safe off").unwrap();
    }
    let mut rig = Rig::new(&source);
    let now_ms = rig.scan.now_ms;
    for number in 0..9 {
        let name = format!("n{number}");
        assert_eq!(rig.runner.force(&name, 1, 10, now_ms), number < 8, "{name}");
    }
    assert!(rig.runner.force("n0", 1, 1000, now_ms), "again");
    assert!(
        !rig.runner.force("n0", 1, 86_400_001, now_ms) && !rig.runner.force("n0", 1, 0, now_ms)
    );
    rig.pass(10);
    assert_eq!([rig.out("n0").0, rig.out("n1").0], [1, 0]);
    assert!(
        rig.runner.force("n8", 1, 10, rig.scan.now_ms),
        "the others are over"
    );
}
