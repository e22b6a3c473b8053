//! What the compiler refuses: a script with one planted error, at its line; and any text at all,
//! without harm.

use crate::{
    agreement::{board, cases, choices},
    generate::{self, Choices},
    print::print,
    tree::{Block, Expression, Line, Node, Script, Type, What},
};
use proptest::{collection::vec, prelude::*, sample::Index, sample::select};
use switchyard_firmware::script::{Machine, compile};

/// Replaces the one of the fitting expressions that `which` picks; the id of its line.
fn plant(
    script: &mut Script,
    which: Index,
    fits: fn(&Expression, bool) -> bool,
    replace: fn(&mut Expression),
) -> Option<usize> {
    let mut fitting = 0;
    script.visit(&mut |place| fitting += usize::from(fits(place.expression, place.is_in_branch)));
    if fitting == 0 {
        return None;
    }
    let (picked, mut at, mut line) = (which.index(fitting), 0, None);
    script.visit(&mut |place| {
        // A replaced expression is shown no more: its parts are new.
        if line.is_none() && fits(place.expression, place.is_in_branch) {
            if at == picked {
                replace(place.expression);
                line = Some(place.id);
            }
            at += 1;
        }
    });
    line
}

fn undeclared(expression: &mut Expression) {
    expression.node = Node::Name("nobody".into());
}

/// A number where a condition stands, and the other way round: no place takes both.
fn mistyped(expression: &mut Expression) {
    expression.value_type = match expression.value_type {
        Type::Bool => Type::Int,
        _ => Type::Bool,
    };
    expression.node = Node::Literal(1);
}

fn into_block(expression: &mut Expression) {
    let inner = expression.clone();
    expression.node = Node::Block(Block::Rise, 0, vec![inner]);
}

/// Names that are assigned, with the lines that do it.
fn assigned<'a>(lines: &'a [Line], into: &mut Vec<(&'a str, usize)>) {
    for line in lines {
        match &line.what {
            What::Assign(name, _) | What::Increase(name, ..) => into.push((name, line.id)),
            What::If(branches, otherwise) => {
                for (_, _, body) in branches {
                    assigned(body, into);
                }
                assigned(otherwise.as_deref().unwrap_or_default(), into);
            }
            _ => (),
        }
    }
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn a_planted_error_is_found_in_its_line(
        choices in choices(),
        seed in any::<u64>(),
        which in any::<Index>(),
        kind in 0..3_usize,
    ) {
        let mut script = generate::script(&mut Choices::new(&choices));
        prop_assume!(compile(&print(&script, seed, false).text, &board()).is_ok());
        let planted = match kind {
            0 => plant(&mut script, which, |_, _| true, undeclared),
            1 => plant(&mut script, which, |_, _| true, mistyped),
            _ => {
                let fits = |it: &Expression, is_in_branch| is_in_branch && it.value_type == Type::Bool;
                plant(&mut script, which, fits, into_block)
            }
        };
        let Some(id) = planted else { return Ok(()) };
        let printed = print(&script, seed, false);
        let error = compile(&printed.text, &board()).unwrap_err();
        prop_assert_eq!(error.line, printed.lines[&id], "{}\n{}", error, printed.text);
        match kind {
            0 => prop_assert!(error.found.as_deref() == Some("nobody"), "{}", error),
            1 => (),
            _ => prop_assert!(error.expected.starts_with("no block inside"), "{}", error),
        }
    }

    #[test]
    fn a_second_assignment_names_both_lines(
        choices in choices(),
        seed in any::<u64>(),
        which in any::<Index>(),
        place in any::<Index>(),
    ) {
        let mut script = generate::script(&mut Choices::new(&choices));
        prop_assume!(compile(&print(&script, seed, false).text, &board()).is_ok());
        let mut all = Vec::new();
        assigned(&script.lines, &mut all);
        if all.is_empty() {
            return Ok(());
        }
        let name = all[which.index(all.len())].0.to_string();
        let firsts: Vec<_> = all.iter().filter(|it| it.0 == name).map(|it| it.1).collect();
        // Anywhere behind the statement that assigns it, which is the one that ends before its id.
        let behind = script.lines.iter().position(|line| line.id >= firsts[firsts.len() - 1]);
        let behind = behind.unwrap() + 1;
        let at = behind + place.index(script.lines.len() + 1 - behind);
        let value_type = declared(&script, &name);
        let id = script.ids + 1;
        let value = Expression { value_type, node: Node::Literal(0) };
        script.lines.insert(at, Line { id, what: What::Assign(name, value) });
        let printed = print(&script, seed, false);
        let error = compile(&printed.text, &board()).unwrap_err();
        prop_assert_eq!(error.line, printed.lines[&id], "{}\n{}", error, printed.text);
        let other = error.other_line.unwrap();
        prop_assert!(
            firsts.iter().any(|first| printed.lines[first] == other),
            "{}\n{}", error, printed.text
        );
    }

    #[test]
    fn any_text_is_compiled_or_refused(text in any::<String>()) {
        try_out(&text);
    }

    #[test]
    fn pieces_of_the_language_are_compiled_or_refused(
        pieces in vec(select(PIECES), 1..60),
        cut in any::<Index>(),
    ) {
        let text = format!("in a = DI1\nvar x : bool\nvar n = 1\n{}", pieces.concat());
        try_out(&text);
        let end = text.floor_char_boundary(cut.index(text.len()));
        try_out(&text[..end]);
    }

    #[test]
    fn a_script_with_a_changed_byte_is_compiled_or_refused(
        choices in choices(),
        seed in any::<u64>(),
        place in any::<Index>(),
        by in select(&b" \n\"#().,:=+-<>*/019azon_\0\x7f"[..]),
    ) {
        let script = generate::script(&mut Choices::new(&choices));
        let mut bytes = print(&script, seed, true).text.into_bytes();
        let at = place.index(bytes.len());
        bytes[at] = by;
        try_out(&String::from_utf8(bytes).unwrap());
    }
}

const PIECES: &[&str] = &[
    "\n",
    "\n",
    "\n",
    "x := ",
    "n := ",
    "n += ",
    "x",
    "n",
    "a",
    "(",
    ")",
    "rise(",
    "ton(a, ",
    "1s",
    "if ",
    "else ",
    "else if ",
    "end",
    "1",
    "1.5",
    "true",
    " and ",
    " not ",
    ", ",
    " + ",
    " / ",
    "-",
    "out r = RL1 safe off",
    "r := ",
    "#",
    "..",
    ":",
    "command c(t: time)",
    "c.t",
    "c",
    ".",
    "event \"e\" ",
    "alarm LOW \"l\" ",
    " clear ",
    " when ",
    " refuse \"no\"",
    "a.bad",
    "boot",
    "param p : num = 1 in 0..2",
    "retain k : time",
    "07:00",
    "limit(",
    "\"",
    "é",
    "\0",
    "9999999999",
];

fn declared(script: &Script, wanted: &str) -> Type {
    script
        .lines
        .iter()
        .find_map(|line| match &line.what {
            What::Variable {
                name, value_type, ..
            }
            | What::Output {
                name, value_type, ..
            } if name == wanted => Some(*value_type),
            _ => None,
        })
        .unwrap()
}

/// Compiles a text; runs it if it is a script, and tells the error if not.
fn try_out(text: &str) {
    match compile(text, &board()) {
        Ok(program) => {
            let mut machine = Machine::start(program);
            machine.scan(10, None);
            machine.scan(u32::MAX, None);
        }
        Err(error) => {
            assert!(error.line > 0 && !error.expected.is_empty(), "{error}");
            assert!(error.to_string().contains("expected"));
        }
    }
}
