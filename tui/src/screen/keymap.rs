//! Which key means what, and the help that says so: one table for both.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// What a key means on a screen that is not taking text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intent {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Open,
    Toggle,
    Commands,
    Filter,
    GoTo,
    Notes,
    Bench,
    Alarms,
    Shelve,
    Unshelve,
    Refresh,
    Help,
    Back,
    Quit,
}

/// What a key means while text is being typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Typing {
    Put(char),
    Rub,
    Clear,
    Take,
    Leave,
    Quit,
}

/// The keys as the help shows them.
pub(crate) const HELP: &[(&str, &str)] = &[
    ("↑ ↓  j k", "move; PgUp PgDn, Home g, End G go further"),
    ("enter", "open a controller; on an output: switch it"),
    ("space", "switch the output, from its fresh status"),
    ("c", "commands of the controller's script"),
    ("/", "filter by number, name or point; esc clears it"),
    (":", "go to a controller's number"),
    ("n", "notes from other tools"),
    ("a", "alarms: what is wrong, and who is told"),
    ("b", "the bench: make a controller of a board; again: back"),
    ("esc", "back"),
    ("?", "this help"),
    ("q  ctrl-c", "quit"),
];

/// The keys of the alarms as the help shows them.
pub(crate) const ALARMS_HELP: &[(&str, &str)] = &[
    ("↑ ↓  j k", "move; in a time line: scroll"),
    ("enter", "open an alarm's time line"),
    (
        "space",
        "mark; the keys below then mean all that are marked",
    ),
    ("a", "acknowledge: you heard, and nobody else is told"),
    ("s", "shelve: nobody is told for a while"),
    ("u", "unshelve"),
    ("c", "comment"),
    (
        "/",
        "filter by text, place, state, severity or number; !text leaves out",
    ),
    ("esc", "back; clears the filter and the marks first"),
    ("?", "this help"),
    ("q  ctrl-c", "quit"),
];

/// The keys of the bench as the help shows them.
pub(crate) const BENCH_HELP: &[(&str, &str)] = &[
    ("↑ ↓  j k", "choose a serial port"),
    ("enter", "take it; once a board is done: the next one"),
    ("r", "look for serial ports again"),
    ("b", "to the fleet and back; work on a board goes on"),
    ("esc", "back; while a board is worked on: stop, take back"),
    ("?  F1", "this help; F1 also while text is typed"),
    (
        "q  ctrl-c",
        "quit; while a board is worked on it is asked first",
    ),
    ("", ""),
    ("↑ ↓  tab", "in the form: from line to line"),
    ("space  ← →", "in the form: another choice"),
    ("ctrl-u", "in the form: clear the line"),
    ("enter", "in the form: start"),
];

/// What a key means in a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filling {
    Text(Typing),
    Move(isize),
    Turn(isize),
    Help,
}

/// The meaning of a key in a form.
pub(crate) fn filling(key: &KeyEvent) -> Option<Filling> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    Some(match key.code {
        KeyCode::Up | KeyCode::BackTab => Filling::Move(-1),
        KeyCode::Down | KeyCode::Tab => Filling::Move(1),
        KeyCode::Left => Filling::Turn(-1),
        KeyCode::Right => Filling::Turn(1),
        KeyCode::F(1) => Filling::Help,
        _ => Filling::Text(typing(key)?),
    })
}

/// The meaning of a key, if it has one.
pub(crate) fn intent(key: &KeyEvent) -> Option<Intent> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c') => Some(Intent::Quit),
            KeyCode::Char('b' | 'u') => Some(Intent::PageUp),
            KeyCode::Char('f' | 'd') => Some(Intent::PageDown),
            _ => None,
        };
    }
    Some(match key.code {
        KeyCode::Up | KeyCode::Char('k') => Intent::Up,
        KeyCode::Down | KeyCode::Char('j') => Intent::Down,
        KeyCode::PageUp => Intent::PageUp,
        KeyCode::PageDown => Intent::PageDown,
        KeyCode::Home | KeyCode::Char('g') => Intent::First,
        KeyCode::End | KeyCode::Char('G') => Intent::Last,
        KeyCode::Enter => Intent::Open,
        KeyCode::Char(' ') => Intent::Toggle,
        KeyCode::Char('c') => Intent::Commands,
        KeyCode::Char('/') => Intent::Filter,
        KeyCode::Char(':') => Intent::GoTo,
        KeyCode::Char('n') => Intent::Notes,
        KeyCode::Char('b') => Intent::Bench,
        KeyCode::Char('a') => Intent::Alarms,
        KeyCode::Char('s') => Intent::Shelve,
        KeyCode::Char('u') => Intent::Unshelve,
        KeyCode::Char('r') => Intent::Refresh,
        KeyCode::Char('?') | KeyCode::F(1) => Intent::Help,
        KeyCode::Esc => Intent::Back,
        KeyCode::Char('q') => Intent::Quit,
        _ => return None,
    })
}

/// The meaning of a key while text is being typed.
pub(crate) fn typing(key: &KeyEvent) -> Option<Typing> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c') => Some(Typing::Quit),
            KeyCode::Char('u') => Some(Typing::Clear),
            _ => None,
        };
    }
    match key.code {
        // Esc and a letter in one go arrive as one key with Alt: the Esc is what was meant.
        KeyCode::Char(_) if key.modifiers.contains(KeyModifiers::ALT) => Some(Typing::Leave),
        KeyCode::Char(c) => Some(Typing::Put(c)),
        KeyCode::Backspace => Some(Typing::Rub),
        KeyCode::Enter => Some(Typing::Take),
        KeyCode::Esc => Some(Typing::Leave),
        _ => None,
    }
}
