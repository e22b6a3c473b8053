//! The worked examples: each says what it does, and compiles for a board of common size.

use std::{fs, path::Path};
use switchyard_firmware::script::{Answer, Board, Machine, Pin, PinKind, compile};

/// What most relay boards have, and one analogue input.
fn board() -> Board {
    let digital = (1..=4).flat_map(|number| {
        [
            Pin::new(&format!("DI{number}"), PinKind::DigitalInput, number),
            Pin::new(&format!("RL{number}"), PinKind::DigitalOutput, 10 + number),
        ]
    });
    let analogue = Pin::new("AI0", PinKind::AnalogueInput, 20);
    Board::new(digital.chain([analogue]))
}

#[test]
fn every_example_says_what_it_does_and_compiles() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with("# "),
            "{name}: expected what it does first"
        );
        let page = include_str!("../../../docs/script.md");
        assert!(
            page.contains(&format!("\n```\n{}\n```\n", text.trim_end())),
            "{name}: docs/script.md shows another text"
        );
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(120), "{name}: a line is too long to show");
        let program = compile(&text, &board()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut machine = Machine::start(program);
        for scan in 0..3_000 {
            assert_eq!(machine.scan(10 * scan, None), Answer::NoCall, "{name}");
        }
        assert_eq!(machine.divisions_by_zero(), 0, "{name}");
        names.push(name);
    }
    assert_eq!(names.len(), 10, "{names:?}");
}
