//! Compiler and machine against the reference, scan by scan.

use crate::{
    evaluate::{Offered, Reference},
    generate::{self, Choices},
    print::print,
    tree::{Argument, Script, Type, What},
};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{TestError, TestRunner},
};
use std::cell::Cell;
use switchyard_firmware::script::{Answer, Board, Call, Machine, Pin, PinKind, compile};

pub(crate) fn board() -> Board {
    Board::new([
        Pin::new("DI1", PinKind::DigitalInput, 0),
        Pin::new("RL1", PinKind::DigitalOutput, 2),
        Pin::new("AI0", PinKind::AnalogueInput, 3),
        Pin::new("AO1", PinKind::AnalogueOutput, 4),
    ])
}

/// A name that the world gives values to, and their range.
struct Outside {
    name: String,
    value_type: Type,
    range: Option<(i32, i32)>,
}

fn outside(script: &Script) -> Vec<Outside> {
    let flag = |name: String| Outside {
        name,
        value_type: Type::Bool,
        range: None,
    };
    let mut all = vec![flag("online".into()), flag("synced".into())];
    for line in &script.lines {
        let (name, value_type, range) = match &line.what {
            What::Input { name, value_type } => {
                all.push(flag(format!("{name}.bad")));
                (name, value_type, None)
            }
            What::Output {
                name,
                value_type,
                is_manual: true,
                ..
            } => (name, value_type, None),
            What::Parameter {
                name,
                value_type,
                range,
                ..
            } => (name, value_type, *range),
            _ => continue,
        };
        all.push(Outside {
            name: name.clone(),
            value_type: *value_type,
            range,
        });
    }
    all
}

fn commands(script: &Script) -> Vec<(&str, &[Argument])> {
    let mut commands = Vec::new();
    for line in &script.lines {
        if let What::Command {
            name, arguments, ..
        } = &line.what
        {
            commands.push((name.as_str(), arguments.as_slice()));
        }
    }
    commands
}

/// How long after the scan before this one comes: a day at most, which is as much as `runtime` counts
/// for one scan, and little enough for the chip's 32 bits of milliseconds to hold a timer of 24 days
/// and the scan that ends it.
fn lateness(choices: &mut Choices<'_>) -> u32 {
    match choices.below(12) {
        0..=7 => 10,
        8 => choices.below(30) as u32,
        9 => choices.below(500) as u32,
        10 => choices.below(5000) as u32,
        _ => choices.below(86_400_000) as u32,
    }
}

fn differs(what: &str, step: usize, machine: i64, reference: i64) -> Result<(), TestCaseError> {
    prop_assert_eq!(
        machine,
        reference,
        "{} after scan {}: the machine's is left, the reference's right",
        what,
        step
    );
    Ok(())
}

/// What a timeline did, so that a test can tell that it tests something.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) compiled: Cell<usize>,
    pub(crate) over_limits: Cell<usize>,
    pub(crate) taken: Cell<usize>,
    pub(crate) refused: Cell<usize>,
    pub(crate) events: Cell<usize>,
    pub(crate) alarms: Cell<usize>,
    pub(crate) divisions: Cell<usize>,
}

fn add(counter: &Cell<usize>, by: usize) {
    counter.set(counter.get() + by);
}

fn agree(choices: &[u32], timeline: &[u32], seed: u64, seen: &Seen) -> Result<(), TestCaseError> {
    let script = generate::script(&mut Choices::new(choices));
    let text = print(&script, seed, true).text;
    let program = match compile(&text, &board()) {
        Ok(program) => program,
        Err(error) => {
            // What is long may pass a limit: different numbers, or cells.
            prop_assert!(
                error.expected.starts_with("no further ") || error.expected.starts_with("the end:"),
                "{}\n{}",
                error,
                text
            );
            add(&seen.over_limits, 1);
            return Ok(());
        }
    };
    add(&seen.compiled, 1);
    let mut machine = Machine::start(program);
    let mut reference = Reference::start(&script);
    let outside = outside(&script);
    let commands = commands(&script);
    let mut choices = Choices::new(timeline);
    let mut now_ms = (choices.below(1000) as u32).wrapping_sub(500);
    for step in 0..32 {
        if step > 2 && choices.is_over() {
            break;
        }
        let passed_ms = if step == 0 { 0 } else { lateness(&mut choices) };
        now_ms = now_ms.wrapping_add(passed_ms);
        for point in &outside {
            if !choices.once_in(3) {
                continue;
            }
            let mut value = generate::value(&mut choices, point.value_type);
            if let Some((min, max)) = point.range {
                value = value.clamp(min, max);
            }
            machine.set(&point.name, value);
            reference.values.insert(point.name.clone(), value);
        }
        let called = if choices.once_in(2) {
            choices.below(commands.len() + 1)
        } else {
            commands.len()
        };
        let mut arguments = [0; 4];
        let offered = commands.get(called).map(|(command, takes)| {
            for (at, argument) in takes.iter().enumerate() {
                let (min, max) = argument.range.unwrap_or((i32::MIN, i32::MAX));
                let value = generate::value(&mut choices, argument.value_type);
                arguments[at] = value.clamp(min, max);
            }
            Offered {
                command,
                arguments: &arguments,
            }
        });
        let answer = reference.scan(passed_ms, offered.as_ref());
        let call = choices.once_in(8).then_some(200);
        let call = offered.is_some().then_some(called as u8).or(call);
        let call = call.map(|command| Call { command, arguments });
        let given = machine.scan(now_ms, call);
        prop_assert_eq!(given, answer, "the answer in scan {}\n{}", step, text);
        compare(&machine, &reference, step)
            .map_err(|error| TestCaseError::fail(format!("{error}\n{text}\ncall {call:?}")))?;
        add(&seen.taken, (answer == Answer::Taken).into());
        add(&seen.refused, (answer == Answer::Refused).into());
        add(&seen.events, (reference.events != 0).into());
        add(&seen.alarms, (reference.alarms != 0).into());
    }
    add(&seen.divisions, (reference.divisions_by_zero > 0).into());
    Ok(())
}

fn compare(machine: &Machine, reference: &Reference<'_>, step: usize) -> Result<(), TestCaseError> {
    for name in machine.program().names() {
        // Statements alone know it; it is over when the scan is.
        if name.name == "boot" {
            continue;
        }
        let value = machine.value(&name.name).unwrap();
        differs(
            &name.name,
            step,
            value.into(),
            reference.values[&name.name].into(),
        )?;
    }
    let pairs = [
        ("events", machine.events(), reference.events),
        ("alarms", machine.alarms(), reference.alarms),
        (
            "divisions by zero",
            machine.divisions_by_zero(),
            reference.divisions_by_zero,
        ),
    ];
    for (what, machine, reference) in pairs {
        differs(what, step, machine.into(), reference.into())?;
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

#[test]
fn the_machine_does_what_the_reference_does() {
    let seen = Seen::default();
    let timelines = vec(any::<u32>(), 20..600);
    TestRunner::new(cases(4000))
        .run(
            &(choices(), timelines, any::<u64>()),
            |(choices, timeline, seed)| agree(&choices, &timeline, seed, &seen),
        )
        .unwrap_or_else(|error| match error {
            // The choices would tell nobody anything: the script that they make is in the reason.
            TestError::Fail(reason, _) => panic!("{reason}"),
            TestError::Abort(reason) => panic!("{reason}"),
        });
    let few = seen.over_limits.get() * 20 < seen.compiled.get();
    assert!(few, "{} scripts pass a limit", seen.over_limits.get());
    for (what, times) in [
        ("taken", &seen.taken),
        ("refused", &seen.refused),
        ("events", &seen.events),
        ("alarms", &seen.alarms),
        ("divisions by zero", &seen.divisions),
    ] {
        assert!(times.get() > 500, "{what}: {} times only", times.get());
    }
}
