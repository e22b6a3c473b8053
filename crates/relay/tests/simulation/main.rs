//! The simulated yard: seeded worlds drive the pure relay through lost links, delays, duplicates,
//! restarts of controllers and gateway, and a failing store, and check what must always hold.
//!
//! A failure names its seed and the command that replays it; `SWITCHYARD_TRACE=1` prints every
//! event of a replay, and `SWITCHYARD_WORLDS=500` runs that many worlds instead of a few.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test: its panic and its output are the report"
)]

mod controller;
mod journal;
mod links;
mod operator;
mod rights;
mod store;
mod watcher;
mod world;

use std::{collections::BTreeMap, io::Write as _, sync::Mutex};
use switchyard_relay::Sabotage;
use world::{Invariant, Profile, Violation, World};

/// The seeds of the default run; one world each.
const SEEDS: std::ops::Range<u64> = 1..22;
/// Commands of one world.
const COMMANDS: usize = 5_000;

const ROUGH: Profile = Profile {
    controllers: 24,
    operators: 10,
    commands: COMMANDS,
    command_every_ms: 2_500,
    cut_every_ms: 1_500,
    reboot_every_ms: 9_000,
    kill_every_ms: 45_000,
    power_cuts_per_mille: 300,
    store_down_every_ms: 40_000,
    stall_every_ms: 12_000,
    regrant_every_ms: 6_000,
    move_every_ms: 8_000,
};

fn run(seed: u64, profile: Profile, sabotage: Option<Sabotage>) -> Result<World, Violation> {
    let trace = std::env::var_os("SWITCHYARD_TRACE").is_some();
    let mut world = World::new(seed, profile, sabotage, trace);
    world.run().map(|()| world)
}

/// Every fault and every end must have come up this often for the run to mean anything.
const LEAST: u64 = 100;
const MUST_COME_UP: &[&str] = &[
    "end: confirmed",
    "end: executed",
    "end: expired",
    "end: failed",
    "end: never arrived",
    "end: refused",
    "end: unknown",
    "end: unknown after a gateway restart",
    "fault: account withdrawn",
    "fault: burst of commands",
    "fault: command restored by a restart",
    "fault: command resumed in flight",
    "fault: command resumed that was never sent",
    "fault: receipt restored by a restart",
    "fault: command sent twice",
    "fault: controller away for minutes",
    "fault: controller restarted",
    "fault: controller's link cut",
    "fault: controller moved to another site",
    "fault: delta lost in the controller",
    "fault: frame delayed for seconds",
    "fault: frames lost on a link",
    "fault: gateway clock stepped",
    "fault: gateway killed",
    "fault: half-open link found silent",
    "fault: operator's link cut",
    "fault: outcome not answered",
    "fault: power cut",
    "fault: receipt sent twice",
    "fault: receipt told again on a new link",
    "fault: rights changed",
    "fault: session replaced",
    "fault: store down for seconds",
    "fault: store failed",
    "fault: store late",
    "fault: store left unclear",
    "fault: subscriber cut off as slow",
    "fault: subscriber stalled",
    "fault: subscriber's link cut",
    "refused: busy",
    "refused: by the controller",
    "refused: forbidden",
    "refused: forbidden after it was queued",
    "refused: offline",
    "refused: out of range",
    "refused: store unavailable",
    "refused: unknown address",
    "relay: commands resent",
    "relay: snapshots asked",
    "relay: status conflated",
    "relay: answers too late for their askers",
    "told: answer of a controller",
    "told: gone from view",
    "unknown: link lost",
    "unknown: rebooted",
];

#[test]
fn the_yard_holds() {
    let seed = std::env::var("SWITCHYARD_SEED").ok();
    let replayed = seed.map(|text| text.parse::<u64>().expect("SWITCHYARD_SEED is a number"));
    let worlds = std::env::var("SWITCHYARD_WORLDS").ok();
    let worlds = worlds.map(|text| text.parse::<u64>().expect("SWITCHYARD_WORLDS is a number"));
    let seeds = Mutex::new(match (replayed, worlds) {
        (Some(seed), _) => seed..seed + 1,
        (None, Some(worlds)) => SEEDS.start..SEEDS.start + worlds,
        (None, None) => SEEDS,
    });
    let total = Mutex::new((0, BTreeMap::<&str, u64>::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some(seed) = seeds.lock().unwrap().next() else {
                        return;
                    };
                    match run(seed, ROUGH, None) {
                        Err(violation) => panic!("{}", told(seed, &violation)),
                        Ok(world) => {
                            let mut total = total.lock().unwrap();
                            total.0 += world.issued;
                            for (what, count) in &world.tally {
                                *total.1.entry(what).or_default() += count;
                            }
                        }
                    }
                }
            });
        }
    });
    let (issued, tally) = total.into_inner().unwrap();
    let mut table = format!("\n{issued:>9}  commands\n");
    for (what, count) in &tally {
        table += &format!("{count:>9}  {what}\n");
    }
    // Not `println`, which a test that passes keeps to itself.
    std::io::stdout().write_all(table.as_bytes()).unwrap();
    if replayed.or(worlds).is_some() {
        return;
    }
    assert!(issued >= 100_000, "only {issued} commands");
    for what in MUST_COME_UP {
        let count = tally.get(what).copied().unwrap_or(0);
        assert!(count >= LEAST, "{what} came up only {count} times");
    }
}

fn told(seed: u64, violation: &Violation) -> String {
    let Violation { invariant, text } = violation;
    format!(
        "seed {seed} broke {invariant:?}: {text}\n\
         replay: SWITCHYARD_SEED={seed} cargo test -p switchyard-relay --test simulation the_yard \
         -- --nocapture"
    )
}

/// Plants a bug and expects one of `invariants` to catch it within some worlds.
fn is_caught(sabotage: Sabotage, profile: Profile, invariants: &[Invariant]) {
    for seed in 1_000..1_030 {
        if let Err(violation) = run(seed, profile, Some(sabotage)) {
            println!("{sabotage:?} was caught by seed {seed}: {violation:?}");
            assert!(
                invariants.contains(&violation.invariant),
                "{sabotage:?} was taken for something else in the world of seed {seed}: {violation:?}"
            );
            return;
        }
    }
    panic!("{sabotage:?} went unnoticed");
}

const SHORT: Profile = Profile {
    commands: 1_500,
    ..ROUGH
};

#[test]
fn a_command_sent_again_blindly_is_caught() {
    // It takes a controller that restarts right after it has executed what it had no time to tell of.
    let profile = Profile {
        reboot_every_ms: 700,
        ..SHORT
    };
    let expected = [Invariant::ExecutedOnce];
    is_caught(Sabotage::ResendBlindly, profile, &expected);
}

#[test]
fn a_stored_command_sent_before_its_mark_is_caught() {
    // It takes a gateway and a controller that both restart around one command.
    let profile = Profile {
        reboot_every_ms: 700,
        cut_every_ms: 4_000,
        kill_every_ms: 9_000,
        ..SHORT
    };
    // Whichever comes first: a second execution, or the first one after it was restored as one that
    // has yet to have its turn.
    let expected = [Invariant::ExecutedOnce, Invariant::OrderKept];
    is_caught(Sabotage::SendBeforeMark, profile, &expected);
}

#[test]
fn a_lost_command_is_caught() {
    // Without restarts, which would bring it back from the store.
    let profile = Profile {
        kill_every_ms: u64::from(u32::MAX),
        ..SHORT
    };
    let expected = [Invariant::EveryReceiptEnds];
    is_caught(Sabotage::LoseQueued, profile, &expected);
}

#[test]
fn a_promise_before_its_commit_is_caught() {
    // The journal would keep the promise, but for a power cut.
    let profile = Profile {
        kill_every_ms: 9_000,
        power_cuts_per_mille: 1_000,
        ..SHORT
    };
    let expected = [Invariant::NothingLost];
    is_caught(Sabotage::PromiseEarly, profile, &expected);
}

#[test]
fn a_command_without_an_end_is_caught() {
    let expected = [Invariant::EveryReceiptEnds];
    is_caught(Sabotage::WaitForever, SHORT, &expected);
}

#[test]
fn a_forgotten_receipt_is_caught() {
    // Whichever comes first: a denial, a second round of receipts, a second execution.
    let expected = [
        Invariant::ExecutedOnce,
        Invariant::NothingLost,
        Invariant::OneLastReceipt,
    ];
    is_caught(Sabotage::ForgetReceipts, SHORT, &expected);
}

#[test]
fn a_second_last_receipt_is_caught() {
    let expected = [Invariant::OneLastReceipt];
    is_caught(Sabotage::RepeatFinals, SHORT, &expected);
}

#[test]
fn a_command_sent_past_its_expiry_is_caught() {
    let expected = [Invariant::NotAfterExpiry];
    is_caught(Sabotage::SendLate, SHORT, &expected);
}

#[test]
fn an_overtaking_command_is_caught() {
    is_caught(Sabotage::Overtake, SHORT, &[Invariant::OrderKept]);
}

#[test]
fn a_forgotten_mark_is_caught() {
    is_caught(Sabotage::ForgetMarks, SHORT, &[Invariant::TruthMirrored]);
}

#[test]
fn a_delta_across_a_gap_is_caught() {
    let expected = [Invariant::TruthMirrored];
    is_caught(Sabotage::ForwardAcrossGaps, SHORT, &expected);
}

#[test]
fn a_controller_shown_without_a_right_is_caught() {
    is_caught(Sabotage::KeepShowing, SHORT, &[Invariant::RightsKept]);
}

#[test]
fn a_command_sent_without_a_right_is_caught() {
    is_caught(Sabotage::SendWithdrawn, SHORT, &[Invariant::RightsKept]);
}

#[test]
fn a_seed_replays_to_the_last_event() {
    let profile = Profile {
        commands: 400,
        ..ROUGH
    };
    let [first, second] = [(); 2].map(|()| run(77, profile, None));
    let (first, second) = (first.ok().unwrap(), second.ok().unwrap());
    assert_eq!(first.tally, second.tally);
    assert_eq!(first.events(), second.events());
    let other = run(78, profile, None).ok().unwrap();
    assert_ne!(first.events(), other.events());
}
