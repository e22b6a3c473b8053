//! The four built-in behaviours, each by a table of what goes in and what comes out.

use switchyard_firmware::{Behaviour, Channel};
use switchyard_protocol::{
    Code,
    message::{CauseKind, PointFlags, Stage},
};

use crate::yard::{SCAN, TOOL, Yard, call, key, ms, set};

const EXECUTED: [(Stage, Option<Code>, bool); 2] = [
    (Stage::Delivered, None, false),
    (Stage::Executed, None, true),
];

#[test]
fn latch_sets_absolutely_and_names_the_cause() {
    let mut yard = Yard::live(Behaviour::Latch);
    for (number, value, delta_expected) in
        [(1, 1, true), (2, 1, false), (3, 0, true), (4, 0, false)]
    {
        yard.command(key(number), set("RL1", value));
        yard.run(SCAN);
        assert_eq!(yard.stages(), EXECUTED);
        assert_eq!(i64::from(yard.controller.output(Channel::Rl1)), value);
        let deltas = yard.deltas();
        assert_eq!(
            deltas.len(),
            usize::from(delta_expected),
            "only a change is told"
        );
        if let Some(delta) = deltas.first() {
            let change = &delta.changes[0];
            assert_eq!((change.index, change.value), (1, value));
            assert_eq!(change.cause.kind, CauseKind::Command);
            assert_eq!(change.cause.by, Some(TOOL));
            assert_eq!(change.cause.reference, Some(number));
        }
    }
    yard.controller.set_input(Channel::Di1, 1);
    yard.run(SCAN);
    let change = yard.deltas()[0].changes[0].clone();
    assert_eq!(
        (change.index, change.value, change.cause.kind),
        (0, 1, CauseKind::Input)
    );
}

#[test]
fn pulse_lasts_its_time_and_ignores_retriggering() {
    let mut yard = Yard::live(Behaviour::Pulse);
    yard.command(key(1), call("pulse", &[500]));
    yard.run(SCAN);
    assert_eq!(yard.stages(), EXECUTED);
    assert_eq!(yard.deltas()[0].changes[0].cause.kind, CauseKind::Command);
    yard.run(ms(300));
    yard.command(key(2), call("pulse", &[60_000]));
    yard.run(ms(190));
    assert_eq!(
        yard.stages(),
        EXECUTED,
        "a retrigger is executed and changes nothing"
    );
    assert_eq!(yard.controller.output(Channel::Rl1), 1);
    yard.run(SCAN);
    assert_eq!(yard.controller.output(Channel::Rl1), 0, "off after 500 ms");
    let change = yard.deltas()[0].changes[0].clone();
    assert_eq!((change.value, change.cause.kind), (0, CauseKind::Script));
    assert_eq!(change.cause.reference, Some(10), "the line that gave it");
}

#[test]
fn a_late_scan_does_not_lengthen_a_pulse_twice() {
    let mut yard = Yard::live(Behaviour::Pulse);
    yard.command(key(1), call("pulse", &[500]));
    yard.run(SCAN);
    yard.jump(ms(5000));
    assert_eq!(
        yard.controller.output(Channel::Rl1),
        0,
        "elapsed time counts, not scans"
    );
}

#[test]
fn arguments_are_checked() {
    let out_of_range = (Stage::Refused, Some(Code::OutOfRange), true);
    let bad_field = (Stage::Refused, Some(Code::BadField), true);
    let unknown = (Stage::Refused, Some(Code::UnknownCommand), true);
    for (behaviour, action, expected) in [
        (Behaviour::Pulse, call("pulse", &[99]), out_of_range),
        (Behaviour::Pulse, call("pulse", &[60_001]), out_of_range),
        (Behaviour::Pulse, call("pulse", &[-1]), out_of_range),
        (Behaviour::Pulse, call("pulse", &[1 << 40]), out_of_range),
        (Behaviour::Pulse, call("pulse", &[]), bad_field),
        (Behaviour::Pulse, call("pulse", &[500, 1]), bad_field),
        (Behaviour::Pulse, call("puls", &[500]), unknown),
        (Behaviour::Pulse, call("pulsed", &[500]), unknown),
        (Behaviour::Latch, call("pulse", &[500]), unknown),
        (Behaviour::Follow, call("enable", &[2]), out_of_range),
        (
            Behaviour::Ramp,
            call("ramp", &[100_001, 1000]),
            out_of_range,
        ),
        (Behaviour::Ramp, call("ramp", &[50_000, 99]), out_of_range),
        (
            Behaviour::Ramp,
            call("ramp", &[50_000, 50_001]),
            out_of_range,
        ),
        (Behaviour::Latch, set("RL1", 2), out_of_range),
        (Behaviour::Latch, set("RL1", -1), out_of_range),
        (
            Behaviour::Latch,
            set("RL2", 1),
            (Stage::Refused, Some(Code::UnknownPoint), true),
        ),
        (
            Behaviour::Latch,
            set("DI1", 1),
            (Stage::Refused, Some(Code::NotManual), true),
        ),
        (
            Behaviour::Pulse,
            set("RL1", 1),
            (Stage::Refused, Some(Code::NotManual), true),
        ),
    ] {
        let mut yard = Yard::live(behaviour);
        yard.command(key(1), action.clone());
        yard.run(ms(50));
        assert_eq!(yard.stages(), [expected], "{behaviour:?} {action:?}");
        assert!(yard.deltas().is_empty());
        assert_eq!(yard.controller.executed(), 0);
    }
}

#[test]
fn follow_follows_while_enabled() {
    let mut yard = Yard::live(Behaviour::Follow);
    for (enable, input, expected) in [
        (None, 1, 1),
        (None, 0, 0),
        (Some(0), 1, 0),
        (Some(1), 1, 1),
        (Some(0), 1, 0),
    ] {
        if let Some(enable) = enable {
            yard.command(
                key(yard.controller.executed() + 10),
                call("enable", &[enable]),
            );
        }
        yard.controller.set_input(Channel::Di1, input);
        yard.run(ms(100));
        assert_eq!(
            yard.controller.output(Channel::Rl1),
            expected,
            "{enable:?} {input}"
        );
    }
}

#[test]
fn follow_confirms_by_its_feedback() {
    let mut yard = Yard::live(Behaviour::Follow);
    yard.command(key(1), call("enable", &[0]));
    yard.run(ms(30));
    assert_eq!(
        yard.stages(),
        EXECUTED,
        "nothing changed: executed is final"
    );
    yard.controller.set_input(Channel::Di1, 1);
    yard.run(ms(30));
    yard.feedback = false;
    yard.command(key(2), call("enable", &[1]));
    yard.run(ms(1500));
    assert_eq!(
        yard.stages(),
        [
            (Stage::Delivered, None, false),
            (Stage::Executed, None, false)
        ],
        "the feedback is awaited"
    );
    yard.feedback = true;
    yard.run(ms(30));
    assert_eq!(yard.stages(), [(Stage::Confirmed, None, true)]);
}

#[test]
fn follow_fails_on_a_stuck_feedback_and_clears_its_fault() {
    let mut yard = Yard::live(Behaviour::Follow);
    yard.command(key(1), call("enable", &[0]));
    yard.controller.set_input(Channel::Di1, 1);
    yard.run(ms(30));
    yard.stages();
    yard.feedback = false;
    yard.command(key(2), call("enable", &[1]));
    yard.run(ms(2000));
    assert_eq!(yard.stages().len(), 2, "not before its time");
    yard.run(ms(20));
    assert_eq!(
        yard.stages(),
        [(Stage::Failed, Some(Code::NotConfirmed), true)]
    );
    let fault = |yard: &mut Yard| {
        let deltas = yard.deltas();
        let change = deltas
            .last()
            .expect("a delta")
            .changes
            .last()
            .expect("RL1")
            .clone();
        assert_eq!(change.value, 1, "a fault never switches");
        change.flags.contains(PointFlags::FAULT)
    };
    assert!(fault(&mut yard));
    yard.feedback = true;
    yard.run(ms(30));
    assert!(!fault(&mut yard));
}

#[test]
fn a_change_before_the_feedback_ends_the_wait_in_failure() {
    let mut yard = Yard::live(Behaviour::Follow);
    yard.command(key(1), call("enable", &[0]));
    yard.controller.set_input(Channel::Di1, 1);
    yard.run(ms(30));
    yard.stages();
    yard.feedback = false;
    yard.command(key(2), call("enable", &[1]));
    yard.run(ms(500));
    yard.stages();
    yard.controller.set_input(Channel::Di1, 0);
    yard.run(ms(30));
    assert_eq!(
        yard.stages(),
        [(Stage::Failed, Some(Code::NotConfirmed), true)],
        "a stuck feedback must not confirm by the output's coming back to it"
    );
}

#[test]
fn ramp_moves_at_its_rate_and_is_taken_over() {
    let mut yard = Yard::live(Behaviour::Ramp);
    yard.command(key(1), call("ramp", &[50_000, 10_000]));
    yard.run(SCAN);
    assert_eq!(yard.stages(), EXECUTED);
    assert_eq!(
        yard.controller.output(Channel::Ao1),
        100,
        "the first step is in the first scan"
    );
    yard.run(ms(990));
    assert_eq!(yard.controller.output(Channel::Ao1), 10_000);
    let count = yard.deltas().len();
    assert!(
        (9..=12).contains(&count),
        "{count} deltas: ten a second for analogue points"
    );
    yard.command(key(2), call("ramp", &[9_000, 1_000]));
    yard.run(ms(500));
    let taken_over = yard.controller.output(Channel::Ao1);
    assert!(
        (9_400..=9_700).contains(&taken_over),
        "{taken_over}: down from where it was"
    );
    yard.run(ms(2000));
    assert_eq!(yard.controller.output(Channel::Ao1), 9_000);
    let last = yard.deltas().pop().expect("deltas");
    assert_eq!(
        last.changes.last().expect("AO1").value,
        9_000,
        "the last value is told"
    );
    yard.run(ms(500));
    assert!(yard.deltas().is_empty());
}

#[test]
fn a_slow_ramp_loses_no_fraction() {
    let mut yard = Yard::live(Behaviour::Ramp);
    // 0.1 a second is one thousandth in a scan; uneven scans must add up all the same.
    yard.command(key(1), call("ramp", &[100_000, 100]));
    yard.run(SCAN);
    for _ in 0..100 {
        yard.jump(ms(13));
        yard.jump(ms(17));
    }
    assert_eq!(yard.controller.output(Channel::Ao1), 1 + 300);
}

#[test]
fn ramp_refuses_while_its_sensor_is_bad() {
    let mut yard = Yard::live(Behaviour::Ramp);
    yard.controller.set_input(Channel::Ai0, 200_000);
    yard.run(ms(200));
    assert!(yard.deltas()[0].changes[0].flags.contains(PointFlags::BAD));
    yard.command(key(1), call("ramp", &[50_000, 10_000]));
    yard.run(ms(30));
    assert_eq!(
        yard.stages(),
        [
            (Stage::Delivered, None, false),
            (Stage::Refused, Some(Code::RefusedByScript), true)
        ]
    );
    assert_eq!(yard.controller.output(Channel::Ao1), 0);
}
