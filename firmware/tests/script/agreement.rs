//! The C core against the reference, scan by scan: a script's names, its points and why they changed,
//! its reports, and what became of commands.

use crate::{
    clock::{Clock, days_later},
    generate::{self, Choices},
    print::print,
    scan::{Reference, World},
    tree::{Argument, Script, Type, What},
};
use jiff::civil::date;
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{TestError, TestRunner},
};
use std::cell::Cell;
use switchyard_firmware::{
    runner::{Command, Outcome, Request, Runner, Scan, Zone},
    script::{Board, NameKind, Pin, PinKind, compile},
};
use switchyard_protocol::message::CauseKind;

pub(crate) fn board() -> Board {
    Board::new([
        Pin::new("DI1", PinKind::DigitalInput, 0),
        Pin::new("RL1", PinKind::DigitalOutput, 2),
        Pin::new("AI0", PinKind::AnalogueInput, 3),
        Pin::new("AO1", PinKind::AnalogueOutput, 4),
    ])
}

/// With the clock put forward in spring and back in autumn, and the other way round; by half an hour;
/// at and shortly after midnight, so that a day comes twice; and by days of the year.
const ZONES: [&str; 9] = [
    "UTC0",
    "CET-1CEST,M3.5.0,M10.5.0/3",
    "EST5EDT,M3.2.0,M11.1.0",
    "AEST-10AEDT,M10.1.0,M4.1.0/3",
    "IST-1GMT0,M10.5.0,M3.5.0/1",
    "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
    "<-03>3<-02>,M10.3.0/0,M2.3.0/0",
    "NST3:30NDT,M3.2.0/0:01,M11.1.0/0:01",
    "AAA-1BBB-3,J60,300/4",
];

/// A name that the world gives values to.
struct Outside {
    name: String,
    value_type: Type,
    range: Option<(i32, i32)>,
}

fn outside(script: &Script, is_input: bool) -> Vec<Outside> {
    let fits = |what: &What| match what {
        What::Input {
            name, value_type, ..
        } if is_input => Some((name.clone(), *value_type, None)),
        What::Parameter {
            name,
            value_type,
            range,
            ..
        } if !is_input => Some((name.clone(), *value_type, *range)),
        _ => None,
    };
    let found = script.lines.iter().filter_map(|line| fits(&line.what));
    found
        .map(|(name, value_type, range)| Outside {
            name,
            value_type,
            range,
        })
        .collect()
}

fn commands(script: &Script) -> Vec<&[Argument]> {
    let mut commands = Vec::new();
    for line in &script.lines {
        if let What::Command { arguments, .. } = &line.what {
            commands.push(arguments.as_slice());
        }
    }
    commands
}

/// How long after the scan before this one comes: a day at most, which is as much as `runtime` counts
/// for one scan, and little enough for the chip's 32 bits of milliseconds to hold a timer of 24 days
/// and the scan that ends it.
pub(crate) fn lateness(choices: &mut Choices<'_>) -> u32 {
    match choices.below(12) {
        0..=7 => 10,
        8 => choices.below(30) as u32,
        9 => choices.below(500) as u32,
        10 => choices.below(5000) as u32,
        _ => choices.below(86_400_000) as u32,
    }
}

/// A moment near to where a schedule may begin or end, or the clock is changed.
fn moment(choices: &mut Choices<'_>, script: &Script, clock: &Clock) -> i64 {
    let day = days_later(date(2026, 1, 1), choices.below(1500) as i64);
    let midnight = day.in_tz("UTC").unwrap().timestamp().as_second();
    let change = clock.next_change(midnight).unwrap_or(midnight);
    let during = choices.below(script.durings.len().max(1));
    let windows = script.durings.get(during).map(|it| it.windows.as_slice());
    let windows = windows.unwrap_or_default();
    let near = match windows.get(choices.below(windows.len().max(1))) {
        Some(window) => {
            let changed = jiff::Timestamp::from_second(change).unwrap();
            let changed = changed.to_zoned(jiff::tz::TimeZone::UTC).date();
            let day = [day, changed, days_later(changed, -1)][choices.below(3)];
            [clock.begin(window, day), clock.end(window, day)][choices.below(2)]
        }
        None => change,
    };
    [near, near, change][choices.below(3)] + [0, -1, 1, -1800, 3600, -10][choices.below(6)]
}

pub(crate) fn equal<T: PartialEq + std::fmt::Debug>(
    what: &str,
    runner: T,
    reference: T,
) -> Result<(), TestCaseError> {
    prop_assert_eq!(
        runner,
        reference,
        "{}: the runner's is left, the reference's right",
        what
    );
    Ok(())
}

/// What timelines did, so that a test can tell that it tests something.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) compiled: Cell<usize>,
    over_limits: Cell<usize>,
    executed: Cell<usize>,
    refused: Cell<usize>,
    confirmed: Cell<usize>,
    failed: Cell<usize>,
    events: Cell<usize>,
    alarms: Cell<usize>,
    divisions: Cell<usize>,
    faults: Cell<usize>,
    forced: Cell<usize>,
    stopped: Cell<usize>,
    left_out: Cell<usize>,
    pub(crate) replayed: Cell<usize>,
    pub(crate) whole_replays: Cell<usize>,
    causes: [Cell<usize>; 9],
}

pub(crate) fn add(counter: &Cell<usize>, by: usize) {
    counter.set(counter.get() + by);
}

/// A script that runs in both.
pub(crate) struct Pair<'a> {
    script: &'a Script,
    pub(crate) source: &'a str,
    pub(crate) runner: Runner,
    reference: Reference<'a>,
    pub(crate) world: World,
    pub(crate) now_ms: u32,
    tag: u8,
    pub(crate) seen: &'a Seen,
}

impl<'a> Pair<'a> {
    /// Something happens, or not.
    pub(crate) fn turn(
        &mut self,
        choices: &mut Choices<'_>,
        clock: &Clock,
    ) -> Result<(), TestCaseError> {
        for input in outside(self.script, true) {
            let value = generate::value(choices, input.value_type);
            if choices.once_in(2) {
                self.runner.put_input(&input.name, value);
                self.world.raw.insert(input.name, value);
            }
        }
        for output in &self.reference.outputs {
            if let Some((feedback, _)) = output.confirm
                && choices.once_in(2)
            {
                let follows = i32::from(output.level != 0);
                self.runner.put_input(feedback, follows);
                self.world.raw.insert(feedback.into(), follows);
            }
        }
        for parameter in outside(self.script, false) {
            if choices.once_in(4) {
                let (min, max) = parameter.range.unwrap_or((i32::MIN, i32::MAX));
                let value = generate::value(choices, parameter.value_type).clamp(min, max);
                prop_assert!(self.runner.put_parameter(&parameter.name, value));
                let values = &mut self.reference.evaluator.values;
                values.insert(parameter.name, value);
            }
        }
        if choices.once_in(5) {
            self.world.online = !self.world.online;
        }
        if choices.once_in(3) {
            let is_known = !choices.once_in(4);
            self.world.utc = is_known.then(|| moment(choices, self.script, clock));
        }
        self.by_hand(choices)?;
        self.world.command = choices.once_in(2).then(|| self.command(choices)).flatten();
        if let Some(command) = &self.world.command
            && let Request::Adjust(cell, value) = command.request
            && !self.reference.is_stopped
        {
            let mut names = self.runner.program().names();
            let parameter = names.find(|name| name.cell == cell).unwrap();
            let values = &mut self.reference.evaluator.values;
            values.insert(parameter.name.clone(), value);
        }
        Ok(())
    }

    /// Forces, releases, or stops the script.
    fn by_hand(&mut self, choices: &mut Choices<'_>) -> Result<(), TestCaseError> {
        if choices.once_in(250) {
            self.runner.stop();
            self.reference.stop();
            add(&self.seen.stopped, 1);
        }
        let count = self.reference.outputs.len();
        if count == 0 || !choices.once_in(4) {
            return Ok(());
        }
        let output = &self.reference.outputs[choices.below(count)];
        let (name, value_type) = (output.name, output.value_type);
        let (theirs, ours) = if choices.once_in(4) {
            (self.runner.release(name), self.reference.release(name))
        } else {
            let value = generate::value(choices, value_type);
            let length_ms = [50, 10, 1, 200, 100, 20, 30, 86_400_000][choices.below(8)];
            (
                self.runner.force(name, value, length_ms, self.now_ms),
                self.reference.force(name, value, length_ms),
            )
        };
        equal("forced or released", theirs, ours)
    }

    /// A call, or a value for a manual output or a parameter.
    fn command(&self, choices: &mut Choices<'_>) -> Option<Command> {
        let commands = commands(self.script);
        let outputs = self.reference.outputs.iter().filter(|it| it.is_manual);
        let outputs: Vec<_> = outputs.collect();
        let parameters = self.runner.program().names();
        let parameters: Vec<_> = parameters
            .filter(|name| name.kind == NameKind::Parameter)
            .collect();
        let at = choices.below(commands.len() + outputs.len() + parameters.len());
        let request = if let Some(takes) = commands.get(at) {
            let mut arguments = [0; 4];
            for (at, argument) in takes.iter().enumerate() {
                let (min, max) = argument.range.unwrap_or((i32::MIN, i32::MAX));
                let value = generate::value(choices, argument.value_type);
                arguments[at] = value.clamp(min, max);
            }
            Request::Call(at as u8, arguments)
        } else if let Some(parameter) = at
            .checked_sub(commands.len() + outputs.len())
            .and_then(|at| parameters.get(at))
        {
            let value = generate::value(choices, Type::Int);
            let value = value.clamp(parameter.value_min, parameter.value_max);
            Request::Adjust(parameter.cell, value)
        } else {
            let output = outputs.get(at - commands.len())?;
            let (number, _) = self.runner.point_number(output.name)?;
            Request::Set(number, generate::value(choices, output.value_type))
        };
        Some(Command {
            request,
            by: 7 + choices.below(3) as u32,
            reference: choices.below(1000) as u32,
        })
    }

    /// A scan of the reference, and one of the runner unless that may be left out.
    pub(crate) fn scan(&mut self, passed_ms: u32, is_left_out: bool) -> Result<(), TestCaseError> {
        self.now_ms = self.now_ms.wrapping_add(passed_ms);
        let expected = self.reference.scan(passed_ms, &self.world);
        let settled = self.reference.settled();
        if is_left_out {
            add(&self.seen.left_out, 1);
            equal("events", 0, self.reference.evaluator.events)?;
            prop_assert!(settled.is_empty() && expected == Outcome::Executed);
            return self.compare();
        }
        let outcome = self.runner.scan(&Scan {
            now_ms: self.now_ms,
            online: self.world.online,
            utc: self.world.utc,
            command: self.world.command,
        });
        equal("what became of the command", outcome, expected)?;
        let mut found: Vec<_> = std::iter::from_fn(|| self.runner.settled()).collect();
        found.sort_unstable();
        equal("settled", &found, &settled)?;
        if outcome == Outcome::Confirming {
            self.tag = (self.tag + 1) % 200;
            self.runner.await_feedback(self.tag);
            self.reference.await_feedback(self.tag);
        }
        equal(
            "events",
            self.runner.events(),
            self.reference.evaluator.events,
        )?;
        self.compare()?;
        self.note(outcome, &settled);
        Ok(())
    }

    /// What stands after every scan, and may not change in one that is left out.
    fn compare(&self) -> Result<(), TestCaseError> {
        let evaluator = &self.reference.evaluator;
        for name in self.runner.program().names() {
            // Statements alone know it; it is over when the scan is.
            if name.name != "boot" {
                let value = self.runner.value(&name.name).unwrap();
                equal(&name.name, value, evaluator.values[&name.name])?;
            }
        }
        equal("alarms", self.runner.alarms(), evaluator.alarms)?;
        for (number, expected) in (0..).zip(self.reference.shown()) {
            let point = self.runner.point(number).unwrap();
            let what = format!("point {number}");
            equal(&what, point.value, expected.value)?;
            equal(&format!("{what}'s flags"), point.flags.0, expected.flags)?;
            if let Some(cause) = expected.cause {
                let found = (point.cause, point.by, point.reference);
                let expected = (cause.kind, cause.by, cause.reference);
                equal(&format!("{what}'s cause"), found, expected)?;
            }
        }
        Ok(())
    }

    fn note(&self, outcome: Outcome, settled: &[(u8, bool)]) {
        let seen = self.seen;
        let has_command = self.world.command.is_some();
        add(&seen.refused, (outcome == Outcome::Refused).into());
        add(
            &seen.executed,
            (has_command && outcome != Outcome::Refused).into(),
        );
        for (_, confirmed) in settled {
            add(
                if *confirmed {
                    &seen.confirmed
                } else {
                    &seen.failed
                },
                1,
            );
        }
        let evaluator = &self.reference.evaluator;
        add(&seen.events, (evaluator.events != 0).into());
        add(&seen.alarms, (evaluator.alarms != 0).into());
        for output in &self.reference.outputs {
            add(&seen.faults, output.is_faulty.into());
            add(&seen.forced, output.is_forced.into());
            add(&seen.causes[output.cause.kind as usize], 1);
        }
    }
}

/// Makes a script and starts it in both; `None` if it passes a limit.
fn run(
    choices: &[u32],
    seed: u64,
    timeline: &[u32],
    seen: &Seen,
    live: impl Fn(&mut Pair<'_>, &mut Choices<'_>, &Clock) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    let script = generate::script(&mut Choices::new(choices));
    let printed = print(&script, seed, true);
    let program = match compile(&printed.text, &board()) {
        Ok(program) => program,
        Err(error) => {
            // What is long may pass a limit: different numbers, or cells.
            prop_assert!(
                error.expected.starts_with("no further ") || error.expected.starts_with("the end:"),
                "{}\n{}",
                error,
                printed.text
            );
            add(&seen.over_limits, 1);
            return Ok(());
        }
    };
    add(&seen.compiled, 1);
    let mut choices = Choices::new(timeline);
    let zone = ZONES[choices.below(ZONES.len())];
    let clock = Clock::new(zone);
    let now_ms = (choices.below(1000) as u32).wrapping_sub(500);
    let zone = Zone::parse(zone).unwrap();
    let inputs = outside(&script, true).into_iter();
    let mut pair = Pair {
        script: &script,
        source: &printed.text,
        runner: Runner::start(program, zone, now_ms),
        reference: Reference::start(&script, &printed.lines, &clock),
        world: World {
            raw: inputs.map(|input| (input.name, 0)).collect(),
            ..World::default()
        },
        now_ms,
        tag: 0,
        seen,
    };
    live(&mut pair, &mut choices, &clock)
        .map_err(|error| TestCaseError::fail(format!("{error}\n{}", printed.text)))
}

/// Scans that come when they come, as on a chip.
fn late(
    pair: &mut Pair<'_>,
    choices: &mut Choices<'_>,
    clock: &Clock,
) -> Result<(), TestCaseError> {
    pair.runner.scan_every_time();
    for step in 0..32 {
        if step > 2 && choices.is_over() {
            break;
        }
        let passed_ms = lateness(choices);
        pair.turn(choices, clock)?;
        pair.scan(passed_ms, false)
            .map_err(|error| TestCaseError::fail(format!("scan {step}: {error}")))?;
        let divisions = pair.reference.evaluator.divisions_by_zero;
        equal(
            "divisions by zero",
            pair.runner.divisions_by_zero(),
            divisions,
        )?;
        add(&pair.seen.divisions, (divisions > 0).into());
        if let Some(utc) = &mut pair.world.utc {
            *utc += i64::from(passed_ms / 1000);
        }
    }
    Ok(())
}

/// The reference scans every 10 ms, the runner only when it must: as on a host.
fn left_out(
    pair: &mut Pair<'_>,
    choices: &mut Choices<'_>,
    clock: &Clock,
) -> Result<(), TestCaseError> {
    for step in 0..8 {
        if step > 2 && choices.is_over() {
            break;
        }
        pair.turn(choices, clock)?;
        pair.scan(10, false)?;
        pair.world.command = None;
        let (mut quiet_ms, mut due_ms) = (0, pair.runner.due_ms());
        for _ in 0..[3, 8, 25, 1][choices.below(4)] {
            quiet_ms += 10;
            let is_left_out = quiet_ms < due_ms;
            pair.scan(10, is_left_out)
                .map_err(|error| TestCaseError::fail(format!("step {step}: {error}")))?;
            if !is_left_out {
                (quiet_ms, due_ms) = (0, pair.runner.due_ms());
            }
        }
    }
    Ok(())
}

pub(crate) fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// The numbers that a script is made of.
pub(crate) fn choices() -> impl Strategy<Value = Vec<u32>> {
    vec(any::<u32>(), 20..500)
}

pub(crate) fn try_all(
    count: u32,
    seen: &Seen,
    live: impl Fn(&mut Pair<'_>, &mut Choices<'_>, &Clock) -> Result<(), TestCaseError>,
) {
    let timelines = vec(any::<u32>(), 20..900);
    TestRunner::new(cases(count))
        .run(
            &(choices(), timelines, any::<u64>()),
            |(choices, timeline, seed)| run(&choices, seed, &timeline, seen, &live),
        )
        .unwrap_or_else(|error| match error {
            // The choices would tell nobody anything: the script that they make is in the reason.
            TestError::Fail(reason, _) => panic!("{reason}"),
            TestError::Abort(reason) => panic!("{reason}"),
        });
}

#[test]
fn the_runner_does_what_the_reference_does() {
    let seen = Seen::default();
    try_all(3000, &seen, late);
    let few = seen.over_limits.get() * 20 < seen.compiled.get();
    assert!(few, "{} scripts pass a limit", seen.over_limits.get());
    let causes = [
        CauseKind::Boot,
        CauseKind::Script,
        CauseKind::Command,
        CauseKind::Schedule,
        CauseKind::LinkLoss,
        CauseKind::Force,
        CauseKind::Safe,
    ];
    let causes = causes.map(|kind| (kind.name(), &seen.causes[kind as usize]));
    for (what, times) in [
        ("executed", &seen.executed),
        ("refused", &seen.refused),
        ("confirmed", &seen.confirmed),
        ("failed", &seen.failed),
        ("events", &seen.events),
        ("alarms", &seen.alarms),
        ("divisions by zero", &seen.divisions),
        ("faults", &seen.faults),
        ("forced", &seen.forced),
        ("stopped", &seen.stopped),
    ]
    .into_iter()
    .chain(causes)
    {
        assert!(times.get() > 50, "{what}: {} times only", times.get());
    }
}

#[test]
fn scans_that_are_left_out_would_have_changed_nothing() {
    let seen = Seen::default();
    try_all(1000, &seen, left_out);
    let left_out = seen.left_out.get();
    assert!(left_out > 2000, "{left_out} scans only");
}
