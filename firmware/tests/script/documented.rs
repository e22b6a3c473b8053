//! `docs/script.md` against this crate and the compiler: its grammar and its tables say what random
//! scripts have to reach, and its list of reserved words is the compiler's.

use crate::{
    agreement::{board, choices},
    generate::{self, Choices},
    print::print,
};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use std::collections::{BTreeMap, BTreeSet};
use switchyard_firmware::script::compile;

const PAGE: &str = include_str!("../../../docs/script.md");

/// `filter` is told by what it comes to, not digit by digit: `wrapper` tests it. What goes by the sun is
/// held to a table and to other properties by `tests/c/test_sun.c`.
const NOT_GENERATED: [&str; 4] = ["filter", "place", "sunrise", "sunset"];

/// What the grammar says literally.
fn terminals() -> BTreeSet<&'static str> {
    let grammar = PAGE
        .split("```")
        .find(|part| part.contains("script      ="))
        .unwrap();
    grammar.split('"').skip(1).step_by(2).collect()
}

/// What the page calls, in its tables and elsewhere.
fn functions() -> BTreeSet<&'static str> {
    let prose = PAGE.split("```").step_by(2);
    let code = prose.flat_map(|text| text.split('`').skip(1).step_by(2));
    code.filter_map(|code| code.split_once('('))
        .map(|(name, _)| name)
        .filter(|name| !name.is_empty() && name.chars().all(char::is_alphabetic))
        .collect()
}

/// The words and signs of a script, texts and comments aside.
fn count(text: &str, into: &mut BTreeMap<String, usize>) {
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut rest = line;
        while let Some(first) = rest.chars().next() {
            let is_word = first.is_alphanumeric() || first == '_';
            let same = |c: char| (c.is_alphanumeric() || c == '_') == is_word;
            let length = if is_word {
                rest.find(|c| !same(c)).unwrap_or(rest.len())
            } else {
                let twos = [":=", "+=", "<>", "<=", ">=", ".."];
                if twos.iter().any(|two| rest.starts_with(two)) {
                    2
                } else {
                    first.len_utf8()
                }
            };
            *into.entry(rest[..length].into()).or_default() += 1;
            rest = &rest[length..];
        }
    }
}

#[test]
fn random_scripts_reach_all_of_the_grammar() {
    let mut runner = TestRunner::deterministic();
    let mut counts = BTreeMap::new();
    for seed in 0..1000 {
        let choices = choices().new_tree(&mut runner).unwrap().current();
        let script = generate::script(&mut Choices::new(&choices));
        let text = print(&script, seed, true)
            .text
            .replace("\"not # now\"", "\"\"");
        if compile(&text, &board()).is_ok() {
            count(&text, &mut counts);
        }
    }
    let units = ["ms", "s", "m", "h", "d"].map(|unit| {
        let times = counts.iter().filter(|(word, _)| {
            word.starts_with(|c: char| c.is_ascii_digit())
                && word.trim_start_matches(|c: char| c.is_ascii_digit()) == unit
        });
        (unit, times.map(|(_, times)| times).sum::<usize>())
    });
    let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let (terminals, functions) = (terminals(), functions());
    assert!(
        terminals.len() > 60 && functions.len() > 20,
        "read off {terminals:?} {functions:?}"
    );
    let wanted = terminals.iter().chain(&functions).chain(&days).copied();
    let wanted = wanted.filter(|word| !NOT_GENERATED.contains(word));
    let reached = wanted.map(|word| (word, counts.get(word).copied().unwrap_or(0)));
    for (word, times) in reached.chain(units) {
        assert!(
            times >= 20,
            "{word:?} in random scripts: {times} times only"
        );
    }
}

/// The words that the page says no name may be are those; all others of the language may be names.
#[test]
fn reserved_words_are_those_of_the_page() {
    let list = PAGE.split("Reserved: ").nth(1).unwrap();
    let list = list.split(". ").next().unwrap();
    let reserved: BTreeSet<_> = list.split('`').nth(1).unwrap().split_whitespace().collect();
    let is_word = |word: &&str| word.chars().all(char::is_alphabetic);
    let others = ["mon", "sun", "ms", "s", "anything"];
    let all = terminals().into_iter().chain(functions()).chain(others);
    let all: BTreeSet<_> = all
        .filter(is_word)
        .chain(reserved.iter().copied())
        .collect();
    for word in all {
        let error = compile(&format!("var {word} : bool\n"), &board()).err();
        let is_refused = error
            .is_some_and(|error| error.fix.as_deref() == Some("this word is the language's own"));
        assert_eq!(is_refused, reserved.contains(word), "{word}");
    }
}
