//! What the wrapper adds to the core: names, errors as text, and the bounds of what it takes.

use crate::agreement::board;
use switchyard_firmware::script::{
    AlarmLevel, Answer, Board, Call, Machine, NameKind, Pin, PinKind, ValueType, compile,
};

const SCRIPT: &str = "\
place 52.5, 13.4
in  level : num = AI0
out pump = RL1 safe off
param limit_at : num = 5 in 1..10
command fill(t: time in 1s..1m, fast: bool) refuse \"bad\" when level.bad
retain runs = 3
pump := tp(fill, fill.t) and level < limit_at and not boot
";

#[test]
fn names_are_told_with_what_they_are() {
    let program = compile(SCRIPT, &board()).unwrap();
    let told: Vec<_> = program
        .names()
        .map(|name| (name.name.as_str(), name.kind, name.value_type))
        .collect();
    assert_eq!(
        told,
        [
            ("level", NameKind::Input, ValueType::Num),
            ("pump", NameKind::Output, ValueType::Bool),
            ("limit_at", NameKind::Parameter, ValueType::Num),
            ("fill", NameKind::Command, ValueType::Bool),
            ("fill.t", NameKind::Argument, ValueType::Time),
            ("fill.fast", NameKind::Argument, ValueType::Bool),
            ("level.bad", NameKind::Flag, ValueType::Bool),
            ("runs", NameKind::Retained, ValueType::Int),
            ("boot", NameKind::Flag, ValueType::Bool),
        ]
    );
    let range = |wanted: &str| {
        let name = program.names().find(|name| name.name == wanted).unwrap();
        (name.value_min, name.value_max)
    };
    assert_eq!(range("limit_at"), (1000, 10_000));
    assert_eq!(range("fill.t"), (1000, 60_000));
    assert_eq!(range("fill.fast"), (0, 1));
    assert!(program.operations() > 5 && !program.code().is_empty());
}

#[test]
fn a_machine_takes_calls_and_values_by_name() {
    let mut machine = Machine::start(compile(SCRIPT, &board()).unwrap());
    assert_eq!(machine.value("runs"), Some(3));
    assert_eq!(machine.value("fill.t"), Some(1000));
    assert_eq!(machine.value("nobody"), None);
    assert!(!machine.set("nobody", 1));
    assert_eq!(machine.scan(10, None), Answer::NoCall);
    let call = |command| {
        Some(Call {
            command,
            arguments: [2000, 1, 7, 7],
        })
    };
    assert_eq!(machine.scan(20, call(1)), Answer::NoCall);
    assert_eq!(machine.scan(30, call(u8::MAX)), Answer::NoCall);
    assert!(machine.set("level.bad", 1));
    assert_eq!(machine.scan(40, call(0)), Answer::Refused);
    assert_eq!(machine.value("fill.t"), Some(1000));
    assert!(machine.set("level.bad", 0));
    assert_eq!(machine.scan(50, call(0)), Answer::Taken);
    assert_eq!(machine.value("fill.t"), Some(2000));
    assert_eq!(machine.value("pump"), Some(1));
}

#[test]
fn an_error_reads_as_a_sentence() {
    let error = |text: &str| compile(text, &board()).unwrap_err().to_string();
    assert_eq!(
        error("var x : int\n\nx := 2 * y\n"),
        "line 3, column 10: expected a declared name, found \"y\"; declare it above with `var`, \
         `in` or `out`"
    );
    assert_eq!(
        error("var x : int\nx := 1\nx := 2"),
        "line 3, column 1: expected a name that no other statement assigns, found \"x\" (the other \
         is in line 2); join the two with `or`, or put both into one `if`"
    );
    assert_eq!(
        error("var x : int\nx := 1 +\n"),
        "line 2, column 9: expected a value: a name, a number or a call, found the end of the line"
    );
}

#[test]
fn sources_and_boards_have_bounds() {
    let longest = "#".repeat(8192);
    assert!(compile(&longest, &board()).is_ok());
    let error = compile(&(longest + "#"), &board()).unwrap_err();
    assert_eq!(error.expected, "a script of at most 8,192 bytes");
    let pins = (0..300).map(|at| Pin::new(&format!("P{at}"), PinKind::DigitalInput, 0));
    let crowded = Board::new(pins);
    assert!(compile("in a = P254", &crowded).is_ok());
    assert!(compile("in a = P255", &crowded).is_err());
    assert!(compile("in a = P1", &Board::default()).is_err());
    assert!(
        compile(
            "in a = P1",
            &Board::new([Pin::new("P1\0x", PinKind::DigitalInput, 0)])
        )
        .is_ok()
    );
}

/// `filter` is told by what it comes to, not digit by digit, so the reference leaves it out.
#[test]
fn a_filter_has_gone_63_percent_of_the_way_after_its_time() {
    let source = "in x = AI0\nvar y : num\ny := filter(x, 1s)\n";
    for (from, to) in [
        (0, 100_000),
        (100_000, 0),
        (-50_000, 50_000),
        (i32::MIN, i32::MAX),
    ] {
        let mut machine = Machine::start(compile(source, &board()).unwrap());
        let mut now_ms = u32::MAX - 500;
        machine.set("x", from);
        machine.scan(now_ms, None);
        assert_eq!(machine.value("y"), Some(from), "it begins at x");
        machine.set("x", to);
        let way = f64::from(to) - f64::from(from);
        let (mut last, mut passed_ms) = (0.0, 0);
        while passed_ms < 20_000 {
            now_ms = now_ms.wrapping_add(10);
            passed_ms += 10;
            machine.scan(now_ms, None);
            let gone = (f64::from(machine.value("y").unwrap()) - f64::from(from)) / way;
            assert!((last..=1.0).contains(&gone), "{gone} after {last}");
            if passed_ms == 1000 {
                assert!((0.62..0.64).contains(&gone), "{gone}");
            }
            last = gone;
        }
        assert!(last > 0.999_99, "{last}");
    }
}

/// What tools show of a script before it runs anywhere.
#[test]
fn alarms_are_told_with_their_level_and_line() {
    let source = "\
in level = AI0
alarm HIGH \"high water\" when level > 80
alarm LOW \"pump due\" when level < 5 clear level > 6
";
    let program = compile(source, &Board::of_virtual_controllers()).unwrap();
    let told = program.alarms();
    let told: Vec<_> = told
        .iter()
        .map(|alarm| (alarm.level, &*alarm.text, alarm.line))
        .collect();
    let expected = [
        (AlarmLevel::High, "high water", 2),
        (AlarmLevel::Low, "pump due", 3),
    ];
    assert_eq!(told, expected);
}
