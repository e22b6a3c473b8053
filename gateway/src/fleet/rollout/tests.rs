//! The machine in worlds of its own: what a person would tell of it, one by one, and what holds in every
//! world, by properties.

use super::{
    world::{Nature, Weather, World, target, terms},
    *,
};
use proptest::prelude::*;

const CALM: Weather = Weather {
    loses_one_in: 0,
    dies_one_in: 0,
    meddles_one_in: 0,
};

fn world(terms: Terms, natures: &[Nature]) -> World {
    World::new(terms, natures, CALM, 7)
}

fn lenient() -> Halts {
    Halts {
        faulty: Bound::default(),
        lost: Bound::default(),
        failed_trials: Bound::default(),
        refused: Bound::default(),
    }
}

#[test]
fn all_that_are_outdated_get_it_and_the_others_are_counted() {
    use Nature::{Away, Good, Has};
    for kind in [
        ReleaseKind::Script,
        ReleaseKind::Parameters,
        ReleaseKind::Firmware,
    ] {
        let mut world = world(terms(kind), &[Has, Good, Away, Good, Has, Good]);
        world.run();
        let summary = world.machine.summary();
        assert_eq!((summary.phase, summary.halt), (Phase::Done, None));
        let expected = [(Stage::Kept, 3), (Stage::Skipped, 2), (Stage::Absent, 1)];
        assert_eq!(summary.stages, expected);
        assert_eq!(summary.touched, 3);
        assert_eq!(world.reason(1), Some(Reason::Matches));
        assert_eq!(world.reason(3), Some(Reason::Deadline));
    }
}

#[test]
fn those_with_another_board_are_passed_over() {
    use Nature::{Good, OtherBoard};
    let natures = [OtherBoard, Good, OtherBoard, Good, Good];
    let mut world = world(terms(ReleaseKind::Firmware), &natures);
    world.run();
    let summary = world.machine.summary();
    assert_eq!((summary.phase, summary.halt), (Phase::Done, None));
    let expected = [(Stage::Kept, 3), (Stage::Skipped, 2)];
    assert_eq!(summary.stages, expected);
    assert_eq!(world.reason(1), Some(Reason::OtherBoard));
}

#[test]
fn a_firmware_that_falls_back_halts_it_and_the_others_get_what_they_had() {
    use Nature::{FailsTrial, Good};
    let terms = Terms {
        canary: 3,
        ..terms(ReleaseKind::Firmware)
    };
    let mut world = world(terms, &[Good, FailsTrial, Good, Good, Good]);
    world.run();
    let summary = world.machine.summary();
    assert_eq!(summary.phase, Phase::RolledBack);
    assert_eq!(summary.halt.unwrap().rule, Rule::FailedTrials);
    assert!(summary.touched <= 3);
    for device in &world.devices {
        assert_eq!(device.running, device.before_all);
    }
}

#[test]
fn a_firmware_is_looked_at_with_pauses_while_its_trial_lasts() {
    let terms = Terms {
        soak_ms: 10_000,
        ..terms(ReleaseKind::Firmware)
    };
    let mut machine = Rollout::new(terms, &[Address(1)], 1, 0).unwrap();
    let (controller, mut now) = (Address(1), 0);
    let online = true;
    machine.observe(Observation::Presence { controller, online }, now);
    let (mut looks, mut running) = (0, Digest([7; 32]));
    while looks < 200 {
        assert!(now < 3_600_000, "{looks}");
        for action in machine.poll(now) {
            let answer = match action.ask {
                Ask::Send { digest, .. } => {
                    running = digest;
                    Answer::Sent { on_trial: true }
                }
                Ask::Inspect { .. } => {
                    looks += u32::from(running == target());
                    Answer::Inspected(Inspected {
                        running: Some(running),
                        on_trial: running == target(),
                        waiting: false,
                        fell_back: false,
                        faults: 0,
                        saved: true,
                    })
                }
                // It has lasted for too long.
                Ask::Keep | Ask::Revert => {
                    assert!(now >= 40 * 60_000, "{now}");
                    assert!(looks <= 162, "{looks}");
                    return;
                }
            };
            let action = action.number;
            machine.observe(Observation::Answer { action, answer }, now);
        }
        now += 1_000;
    }
    panic!("{looks} looks by {now}");
}

#[test]
fn a_canary_that_fails_halts_it_and_rolls_it_back() {
    use Nature::{FailsTrial, Faulty, Good, LosesLink, Refuses};
    for (nature, rule, stage) in [
        (FailsTrial, Rule::FailedTrials, Stage::Reverted),
        (Faulty, Rule::Faulty, Stage::Reverted),
        (LosesLink, Rule::Lost, Stage::Reverted),
        (Refuses, Rule::Refused, Stage::Failed),
    ] {
        let terms = Terms {
            canary: 2,
            ..terms(ReleaseKind::Script)
        };
        let mut world = world(terms, &[nature, Good, Good, Good, Good]);
        world.run();
        let summary = world.machine.summary();
        assert_eq!(summary.phase, Phase::RolledBack, "{nature:?}");
        let halt = summary.halt.unwrap();
        assert_eq!((halt.rule, halt.in_canary), (rule, true), "{nature:?}");
        assert_eq!(world.stage(1), stage, "{nature:?}: {:?}", world.reason(1));
        // The other canary has gone back as well, and nobody else was touched.
        assert!(summary.touched <= 2);
        for device in &world.devices {
            assert_eq!(device.running, device.before_all, "{nature:?}");
        }
    }
}

#[test]
fn behind_the_canary_the_bounds_halt_it_and_trials_go_back_until_a_person_decides() {
    use Nature::{FailsTrial, Good};
    let natures = [Good, Good, FailsTrial, Good, Good, Good, Good, Good];
    let terms = Terms {
        steps: vec![100],
        in_flight_max: 8,
        ..terms(ReleaseKind::Script)
    };
    let mut halted = world(terms.clone(), &natures);
    halted.run_to(Phase::Halted);
    let halt = halted.machine.summary().halt.unwrap();
    assert_eq!((halt.rule, halt.in_canary), (Rule::FailedTrials, false));
    assert_eq!(
        (halted.stage(1), halted.stage(3)),
        (Stage::Kept, Stage::Reverted)
    );
    // Those that were on trial go back, and wait.
    for _ in 0..40 {
        halted.tick();
        if halted.machine.phase() != Phase::Halted {
            return;
        }
    }
    for number in [2, 4, 5, 6, 7, 8] {
        let device = &halted.devices[number - 1];
        assert_eq!(device.running, device.before_all);
        assert_eq!(halted.stage(number), Stage::Pending);
    }
    halted.control(Control::Resume);
    halted.run();
    assert_eq!(halted.machine.phase(), Phase::Done);
    assert_eq!(halted.stage(8), Stage::Kept);

    let bounded = Terms {
        halts: Halts {
            failed_trials: Bound {
                count: Some(1),
                percent: None,
            },
            ..Halts::default()
        },
        ..terms
    };
    let mut world = world(bounded, &natures);
    world.run();
    assert_eq!(world.machine.summary().halt, None);
    assert_eq!(world.stage(3), Stage::Reverted);
    assert_eq!(world.reason(3), Some(Reason::TrialFailed));
}

#[test]
fn who_has_nothing_to_go_back_to_is_left_alone_unless_asked_for() {
    use Nature::{Empty, Good, Unsaved};
    let natures = [Good, Empty, Unsaved];
    let mut careful = world(terms(ReleaseKind::Script), &natures);
    careful.run();
    for number in [2, 3] {
        assert_eq!(careful.stage(number), Stage::Failed);
        assert_eq!(careful.reason(number), Some(Reason::NothingToGoBackTo));
        assert_ne!(careful.devices[number - 1].running, Some(target()));
    }
    let bold = Terms {
        without_previous: true,
        ..terms(ReleaseKind::Script)
    };
    let mut bold = world(bold, &natures);
    bold.run();
    assert_eq!(bold.machine.summary().stages, [(Stage::Kept, 3)]);
    bold.control(Control::RollBack);
    bold.run();
    assert_eq!(bold.stage(1), Stage::Reverted);
    assert_eq!((bold.stage(2), bold.stage(3)), (Stage::Left, Stage::Left));
}

#[test]
fn what_others_do_is_not_undone() {
    use Nature::{Good, OthersTrial};
    let mut world = world(terms(ReleaseKind::Script), &[Good, Good, OthersTrial]);
    world.run();
    // Their trial ended before the attempts did.
    assert_eq!(world.stage(3), Stage::Kept);
    let theirs = Digest([8; 32]);
    world.devices[1].running = Some(theirs);
    world.control(Control::RollBack);
    world.run();
    assert_eq!(world.devices[1].running, Some(theirs));
    assert_eq!(world.stage(2), Stage::Left);
    assert_eq!(world.reason(2), Some(Reason::ChangedElsewhere));
    assert_eq!(world.stage(1), Stage::Reverted);
}

#[test]
fn a_pause_takes_nobody_new_and_an_abort_keeps_what_is_kept() {
    let mut world = world(terms(ReleaseKind::Script), &[Nature::Good; 20]);
    while world.machine.summary().step < 2 {
        world.tick();
    }
    world.control(Control::Pause);
    let touched = world.machine.summary().touched;
    assert!(touched >= 2);
    for _ in 0..20 {
        world.tick();
        if world.machine.phase() != Phase::Paused {
            return;
        }
        assert_eq!(world.machine.summary().touched, touched);
    }
    world.control(Control::Abort);
    world.run();
    let summary = world.machine.summary();
    assert_eq!(summary.phase, Phase::Aborted);
    assert_eq!(summary.touched, touched);
    let refused = world
        .machine
        .control(Control::Resume, world.now)
        .unwrap_err();
    let expected = "the roll-out is aborted: expected one that is paused or halted";
    assert_eq!(refused.to_string(), expected);
}

#[test]
fn terms_and_lists_are_judged() {
    let good = terms(ReleaseKind::Script);
    let bad = |change: &dyn Fn(&mut Terms)| {
        let mut terms = good.clone();
        change(&mut terms);
        terms.check().unwrap_err().to_string()
    };
    for (complaint, expected) in [
        (
            bad(&|terms| terms.canary = 0),
            "expected canary within 1 and 100, got 0",
        ),
        (
            bad(&|terms| terms.steps = vec![10, 50]),
            "expected 1 to 10 steps",
        ),
        (bad(&|terms| terms.steps = vec![]), "expected 1 to 10 steps"),
        (
            bad(&|terms| terms.steps = vec![50, 50, 100]),
            "expected 1 to 10 steps",
        ),
        (
            bad(&|terms| terms.soak_ms = 1),
            "expected soak_ms within 10000",
        ),
        (
            bad(&|terms| terms.in_flight_max = 65),
            "expected in_flight_max within 1 and 64",
        ),
        (
            bad(&|terms| terms.per_minute_max = 0),
            "expected per_minute_max within 1 and 600",
        ),
        (
            bad(&|terms| terms.deadline_ms = 5),
            "expected deadline_ms within",
        ),
        (
            bad(&|terms| terms.halts.lost.percent = Some(101)),
            "expected percent within 0 and 100, got 101",
        ),
    ] {
        assert!(complaint.starts_with(expected), "{complaint}");
    }
    let made = |list: &[u32]| {
        let list: Vec<_> = list.iter().copied().map(Address).collect();
        Rollout::new(good.clone(), &list, 1, 0).map(drop)
    };
    assert_eq!(made(&[]), Err(TermsError::Controllers(0)));
    assert_eq!(made(&[1, 2, 1]), Err(TermsError::Address(1)));
    assert_eq!(made(&[0]), Err(TermsError::Address(0)));
    assert_eq!(made(&[0x8000_0000]), Err(TermsError::Address(0x8000_0000)));
}

#[test]
fn what_was_stored_is_judged_before_it_goes_on() {
    let list = [Address(1), Address(2)];
    let mut machine = Rollout::new(terms(ReleaseKind::Script), &list, 5, 0).unwrap();
    let Changes { head, entries, .. } = machine.take_changes();
    let resume = |head: &Head, entries: &[Entry], token| {
        Rollout::resume(head.clone(), entries.to_vec(), token, 9).map(drop)
    };
    assert_eq!(resume(&head, &entries, 6), Ok(()));
    assert_eq!(resume(&head, &entries, 5), Ok(()), "its owner once more");
    let old = ResumeError::Token {
        stored: 5,
        token: 4,
    };
    assert_eq!(resume(&head, &entries, 4), Err(old));
    assert_eq!(
        resume(&head, &entries[..1], 6),
        Err(ResumeError::Entries(1))
    );
    let twice = [entries[0].clone(), entries[0].clone()];
    assert_eq!(resume(&head, &twice, 6), Err(ResumeError::Entries(1)));
    let mut later = head.clone();
    later.format = 2;
    let format = ResumeError::Format {
        expected: 1,
        got: 2,
    };
    assert_eq!(resume(&later, &entries, 6), Err(format));
}

#[test]
fn a_hundred_thousand_controllers_are_no_burden() {
    let list: Vec<_> = (1..=100_000).map(Address).collect();
    let mut machine = Rollout::new(terms(ReleaseKind::Script), &list, 1, 0).unwrap();
    machine.take_changes();
    for controller in list {
        let online = true;
        machine.observe(Observation::Presence { controller, online }, 1);
    }
    let actions = machine.poll(1);
    assert_eq!(actions.len(), 1, "the canary");
    machine.take_changes();
    let answer = Answer::Unreached("x".repeat(1_000));
    let action = actions[0].number;
    machine.observe(Observation::Answer { action, answer }, 2);
    // What is stored is what has changed, and somebody's words are bounded.
    let Changes { entries, .. } = machine.take_changes();
    let [entry] = &*entries else {
        panic!("{}", entries.len());
    };
    assert!(serde_json::to_string(entry).unwrap().len() < 700);
}

fn natures(of: &'static [Nature]) -> impl Strategy<Value = Vec<Nature>> {
    proptest::collection::vec(proptest::sample::select(of), 1..24)
}

fn kinds() -> impl Strategy<Value = ReleaseKind> {
    proptest::sample::select(
        &[
            ReleaseKind::Script,
            ReleaseKind::Parameters,
            ReleaseKind::Firmware,
        ][..],
    )
}

const ALL: &[Nature] = &[
    Nature::Good,
    Nature::Good,
    Nature::Good,
    Nature::Has,
    Nature::Empty,
    Nature::Unsaved,
    Nature::Refuses,
    Nature::FailsTrial,
    Nature::Faulty,
    Nature::LosesLink,
    Nature::Away,
    Nature::Flaps,
    Nature::OthersTrial,
    Nature::OtherBoard,
    Nature::NeverConfirms,
];

/// Those whose end hangs on nobody's timing.
const STEADY: &[Nature] = &[
    Nature::Good,
    Nature::Good,
    Nature::Has,
    Nature::Empty,
    Nature::Refuses,
    Nature::FailsTrial,
    Nature::Faulty,
    Nature::Away,
];

const STEPS: &[&[u8]] = &[&[100], &[10, 100], &[25, 50, 75, 100]];

prop_compose! {
    fn any_terms()(
        kind in kinds(),
        canary in 1_u32..4,
        steps in proptest::sample::select(STEPS),
        soak_ms in 10_000_u64..900_000,
        in_flight_max in 1_u32..6,
        per_minute_max in 1_u32..8,
        halts in any::<bool>(),
        roll_back_on in proptest::sample::select(
            &[RollBackOn::Never, RollBackOn::Canary, RollBackOn::Always][..]
        ),
        without_previous in any::<bool>(),
    ) -> Terms {
        Terms {
            canary,
            steps: steps.to_vec(),
            soak_ms,
            in_flight_max,
            per_minute_max,
            halts: if halts { Halts::default() } else { lenient() },
            roll_back_on,
            without_previous,
            ..terms(kind)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// In every world: the bounds hold at every moment, what is stored is all that there is, it ends, and
    /// at the end each controller is what the roll-out says of it (see `World`).
    #[test]
    fn it_keeps_its_bounds_and_ends_whatever_happens(
        terms in any_terms(),
        natures in natures(ALL),
        loses_one_in in 0_u32..8,
        dies_one_in in proptest::sample::select(&[0_u32, 1, 5, 20, 200][..]),
        meddles_one_in in proptest::sample::select(&[0_u32, 50, 500][..]),
        seed in any::<u64>(),
    ) {
        let weather = Weather { loses_one_in, dies_one_in, meddles_one_in };
        let mut world = World::new(terms, &natures, weather, seed);
        world.run();
        if world.machine.phase() != Phase::RolledBack {
            world.control(Control::RollBack);
            world.run();
        }
    }

    /// A process that dies changes when things happen, and not what becomes of whom.
    #[test]
    fn restarts_in_between_end_the_same(
        terms in any_terms(),
        mut natures in natures(STEADY),
        dies_one_in in 4_u32..200,
        seed in any::<u64>(),
    ) {
        // Nothing halts it: which of those that wait come first is a matter of timing.
        // And a soak that is shorter than their faults take may see them or not, a deadline come in between.
        let terms = Terms {
            halts: lenient(),
            soak_ms: terms.soak_ms.clamp(60_000, 240_000),
            deadline_ms: 4 * 3_600_000,
            ..terms
        };
        for _ in 0..terms.canary {
            natures.insert(0, Nature::Good);
        }
        let mut calm = World::new(terms.clone(), &natures, CALM, seed);
        calm.run();
        let weather = Weather { dies_one_in, ..CALM };
        let mut rough = World::new(terms, &natures, weather, seed);
        rough.run();
        prop_assert_eq!(calm.ends(), rough.ends());
    }
}
