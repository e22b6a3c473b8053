//! What is recorded of random scripts in random worlds is replayed, and every scan shows the same again.

use crate::{
    agreement::{Pair, Seen, add, equal, lateness, try_all},
    clock::Clock,
    generate::Choices,
};
use proptest::{prelude::*, test_runner::TestCaseError};
use std::collections::VecDeque;
use switchyard_firmware::{
    replay::{Recording, RecordingError, Replay},
    runner::{PointView, Runner, Scan, Zone},
    script::{Board, Program, compile},
};

/// A recording has no more scans.
const SCANS_MAX: usize = 127;

/// All that is to be seen behind a scan.
#[derive(Clone, Debug, PartialEq)]
struct Shown {
    now_ms: u32,
    values: Vec<(String, i32)>,
    points: Vec<PointView>,
    alarms: u32,
    divisions: u32,
}

fn of_runner(runner: &Runner, now_ms: u32) -> Shown {
    let names = runner.program().names().map(|name| {
        let value = runner.value(&name.name).unwrap();
        (name.name.clone(), value)
    });
    Shown {
        now_ms,
        values: names.collect(),
        points: (0..).map_while(|number| runner.point(number)).collect(),
        alarms: runner.alarms(),
        divisions: runner.divisions_by_zero(),
    }
}

fn of_replay(replay: &Replay, now_ms: u32) -> Shown {
    let names = replay.program().names();
    Shown {
        now_ms,
        values: names
            .map(|name| (name.name.clone(), replay.value(name)))
            .collect(),
        points: (0..).map_while(|number| replay.point(number)).collect(),
        alarms: replay.alarms(),
        divisions: replay.divisions_by_zero(),
    }
}

/// The inputs' causes are not recorded: that they were boot's is of no use to anybody.
fn without_causes_of_inputs(mut shown: Shown, program: &Program) -> Shown {
    use switchyard_firmware::script::NameKind::{Input, Output};
    let points = program
        .names()
        .filter(|it| matches!(it.kind, Input | Output));
    for (point, name) in shown.points.iter_mut().zip(points) {
        if name.kind == Input {
            point.cause = switchyard_protocol::message::CauseKind::Input;
        }
    }
    shown
}

/// The last scans, as somebody saw them who looked each time.
struct Log {
    shown: VecDeque<Shown>,
}

impl Log {
    fn note(&mut self, pair: &Pair<'_>) {
        // One more than scans: what was before the first.
        if self.shown.len() > SCANS_MAX {
            self.shown.pop_front();
        }
        self.shown.push_back(of_runner(&pair.runner, pair.now_ms));
    }

    fn compare(&self, pair: &Pair<'_>) -> Result<(), TestCaseError> {
        let Some(bytes) = pair.runner.recording(pair.source) else {
            return Ok(());
        };
        let program = pair.runner.program();
        let recording = Recording::read(bytes).unwrap();
        let scans = recording.scans as usize;
        let from = self.shown.len() - scans - 1;
        add(&pair.seen.replayed, scans);
        add(&pair.seen.whole_replays, (scans >= 64).into());
        let started = Replay::start(recording, program.clone(), pair.source);
        let mut replay = started.map_err(|error| TestCaseError::fail(error.to_string()))?;
        let mut expected = self.shown.iter().skip(from);
        let before = expected.next().unwrap().now_ms;
        for (at, expected) in expected.enumerate() {
            let scan = replay.next_scan();
            let scan = scan.map_err(|error| TestCaseError::fail(format!("scan {at}: {error}")))?;
            let now_ms = scan.unwrap().now_ms;
            let [replayed, expected] = [of_replay(&replay, now_ms), expected.clone()]
                .map(|shown| without_causes_of_inputs(shown, program));
            equal(
                &format!("scan {at} of {scans}, from {before}"),
                replayed,
                expected,
            )?;
        }
        // That nothing is left and the end agrees.
        match replay.next_scan() {
            Ok(None) => Ok(()),
            other => Err(TestCaseError::fail(format!("at the end: {other:?}"))),
        }
    }
}

/// Now and then something happens; in between, time passes.
fn recorded(
    pair: &mut Pair<'_>,
    choices: &mut Choices<'_>,
    clock: &Clock,
) -> Result<(), TestCaseError> {
    let comes_late = choices.once_in(2);
    if comes_late {
        pair.runner.scan_every_time();
    }
    pair.runner.start_recording();
    let mut log = Log {
        shown: VecDeque::new(),
    };
    for step in 0..40 {
        pair.turn(choices, clock)?;
        if choices.once_in(6) {
            log.compare(pair)?;
        }
        let first_ms = if comes_late { lateness(choices) } else { 10 };
        pair.scan(first_ms, false)
            .map_err(|error| TestCaseError::fail(format!("step {step}: {error}")))?;
        log.note(pair);
        pair.world.command = None;
        let (mut quiet_ms, mut due_ms) = (0, pair.runner.due_ms());
        for _ in 0..[2, 7, 19, 0][choices.below(4)] {
            quiet_ms += 10;
            let is_left_out = !comes_late && quiet_ms < due_ms;
            pair.scan(10, is_left_out)
                .map_err(|error| TestCaseError::fail(format!("behind step {step}: {error}")))?;
            if !is_left_out {
                (quiet_ms, due_ms) = (0, pair.runner.due_ms());
                log.note(pair);
            }
        }
    }
    log.compare(pair)
}

#[test]
fn every_scan_is_the_same_when_it_is_replayed() {
    let seen = Seen::default();
    try_all(500, &seen, recorded);
    let (scans, whole) = (seen.replayed.get(), seen.whole_replays.get());
    assert!(
        scans > 30_000 && whole > 250,
        "{scans} scans, {whole} whole recordings only"
    );
}

const PUMP: &str = "\
in low = DI1
in level : num = AI0
out pump = RL1 safe off
var share : num
pump := ton(low, 50ms)
share := 100 / level
";

fn pump() -> (Board, Program, Vec<u8>) {
    let board = Board::of_virtual_controllers();
    let program = compile(PUMP, &board).unwrap();
    let mut runner = Runner::start(program.clone(), Zone::parse("UTC0").unwrap(), 0);
    runner.start_recording();
    for scan in 1..=100 {
        runner.put_input("low", i32::from(scan / 8 % 2 == 0));
        runner.put_input("level", (scan - 50) * 20);
        let now_ms = scan.cast_unsigned() * 10;
        runner.scan(&Scan {
            now_ms,
            ..Scan::default()
        });
    }
    (board, program, runner.recording(PUMP).unwrap())
}

fn replay(bytes: &[u8], program: &Program, source: &str) -> Result<u32, RecordingError> {
    let mut replay = Replay::start(Recording::read(bytes.to_vec())?, program.clone(), source)?;
    let mut scans = 0;
    while replay.next_scan()?.is_some() {
        scans += 1;
    }
    Ok(scans)
}

#[test]
fn another_script_is_refused() {
    let (board, program, bytes) = pump();
    assert_eq!(replay(&bytes, &program, PUMP), Ok(99));
    let other = PUMP.replace("50ms", "60ms");
    let program = compile(&other, &board).unwrap();
    let refused = replay(&bytes, &program, &other).unwrap_err();
    assert!(
        matches!(refused, RecordingError::OtherScript { .. }),
        "{refused}"
    );
}

#[test]
fn no_byte_can_be_changed_in_silence() {
    let (_, program, bytes) = pump();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            assert!(
                replay(&changed, &program, PUMP).is_err(),
                "bit {bit} of byte {at}"
            );
        }
    }
    for length in 0..bytes.len() {
        assert!(
            replay(&bytes[..length], &program, PUMP).is_err(),
            "{length} bytes"
        );
    }
}

/// FNV-1a of all but the place where it stands.
fn sum_up(bytes: &mut [u8]) {
    let summed = bytes[..52].iter().chain(&bytes[56..]);
    let sum = summed.fold(2_166_136_261_u32, |sum, byte| {
        (sum ^ u32::from(*byte)).wrapping_mul(16_777_619)
    });
    bytes[52..56].copy_from_slice(&sum.to_le_bytes());
}

proptest! {
    #[test]
    fn no_bytes_do_harm(noise in proptest::collection::vec(any::<(u16, u8)>(), 1..40)) {
        let (_, program, mut bytes) = pump();
        for (at, byte) in noise {
            let at = 36 + usize::from(at) % (bytes.len() - 36);
            bytes[at] = byte;
        }
        sum_up(&mut bytes);
        let _ = replay(&bytes, &program, PUMP);
    }
}
