//! What keys and news do to the bench, and what it asks of the world. Pure.

use super::{Bench, News, Pane, SerialPorts, TEXT_CHARS_MAX, Wish, Work};
use crate::screen::{
    app::{Action, App, Link, Overlay, Page},
    keymap::{self, Filling, Typing},
    update::quit,
};
use crossterm::event::KeyEvent;
use switchyard_flasher::is_live_on_mains;
use switchyard_protocol::Role;

/// What whoever has such a board types.
pub(crate) const OFF: &str = "OFF";

/// Goes to the bench, and from it back to the fleet. Work goes on meanwhile.
pub(crate) fn take(app: &mut App) -> Action {
    app.overlay = None;
    if app.page == Page::Bench {
        app.page = Page::Fleet;
        return Action::Nothing;
    }
    app.page = Page::Bench;
    match app.bench.pane {
        Pane::SerialPorts => refresh(app),
        _ => Action::Nothing,
    }
}

/// Looks for serial ports anew, where they are what is shown.
pub(crate) fn refresh(app: &mut App) -> Action {
    match app.bench.pane {
        Pane::SerialPorts => Action::Bench(Wish::List),
        _ => Action::Nothing,
    }
}

/// Moves among the serial ports.
pub(crate) fn step(bench: &mut Bench, by: isize) {
    if bench.pane == Pane::SerialPorts {
        let last = bench.serial_ports.list().len();
        bench.row = bench.row.saturating_add_signed(by).min(last);
    }
}

/// Enter, where keys are commands.
pub(crate) fn open(app: &mut App) -> Action {
    let bench = &mut app.bench;
    match bench.pane {
        Pane::SerialPorts => match bench.serial_ports.list().get(bench.row) {
            Some(chosen) => {
                let path = chosen.path.clone();
                fill_in(bench, path);
            }
            None => bench.pane = Pane::Path,
        },
        Pane::Work if !bench.is_working() => {
            let path = bench.form.serial_port.clone();
            fill_in(bench, path);
        }
        _ => {}
    }
    Action::Nothing
}

fn fill_in(bench: &mut Bench, serial_port: String) {
    bench.form.serial_port = serial_port;
    bench.form.focus = 0;
    bench.pane = Pane::Form;
}

/// Esc, where keys are commands.
pub(crate) fn back(app: &mut App) -> Action {
    let bench = &mut app.bench;
    match (&bench.pane, &mut bench.work) {
        (Pane::Work, Some(work)) if work.end.is_none() => {
            if work.is_stopping {
                return Action::Nothing;
            }
            work.is_stopping = true;
            Action::Bench(Wish::Stop)
        }
        (Pane::Work, _) => {
            bench.pane = Pane::SerialPorts;
            Action::Bench(Wish::List)
        }
        _ => {
            app.page = Page::Fleet;
            Action::Nothing
        }
    }
}

/// A key, where keys are text.
pub(crate) fn typed(app: &mut App, key: &KeyEvent) -> Action {
    let Some(filling) = keymap::filling(key) else {
        return Action::Nothing;
    };
    app.message = None;
    let typing = match filling {
        Filling::Help => {
            app.overlay = Some(Overlay::Help);
            return Action::Nothing;
        }
        Filling::Move(by) => {
            if app.bench.pane == Pane::Form {
                app.bench.form.step(by);
            }
            return Action::Nothing;
        }
        Filling::Turn(by) => {
            if app.bench.pane == Pane::Form {
                app.bench.form.turn(by);
            }
            return Action::Nothing;
        }
        Filling::Text(typing) => typing,
    };
    match typing {
        Typing::Quit => return quit(app),
        Typing::Leave => return leave(app),
        Typing::Take => return enter(app),
        Typing::Put(sign) => match &mut app.bench {
            Bench {
                pane: Pane::Form,
                form,
                ..
            } => form.put(sign),
            bench => {
                if let Some(text) = text(bench)
                    && text.chars().count() < TEXT_CHARS_MAX
                {
                    text.push(sign);
                }
            }
        },
        Typing::Rub => cut(&mut app.bench, |text| _ = text.pop()),
        Typing::Clear => cut(&mut app.bench, String::clear),
    }
    Action::Nothing
}

/// The single line that is typed, where it is one.
fn text(bench: &mut Bench) -> Option<&mut String> {
    match &mut bench.pane {
        Pane::Path => Some(&mut bench.path),
        Pane::Mains(typed) => Some(typed),
        _ => None,
    }
}

fn cut(bench: &mut Bench, change: impl FnOnce(&mut String)) {
    match text(bench) {
        Some(text) => change(text),
        None => bench.form.cut(change),
    }
}

fn leave(app: &mut App) -> Action {
    match app.bench.pane {
        Pane::Mains(_) => app.bench.pane = Pane::Form,
        _ => {
            app.bench.pane = Pane::SerialPorts;
            return Action::Bench(Wish::List);
        }
    }
    Action::Nothing
}

fn enter(app: &mut App) -> Action {
    match &app.bench.pane {
        Pane::Path => {
            let path = app.bench.path.trim().to_owned();
            if path.is_empty() {
                app.message = Some("expected a path, such as /dev/ttyUSB0".into());
            } else {
                fill_in(&mut app.bench, path);
            }
            Action::Nothing
        }
        Pane::Form => start(app, false),
        Pane::Mains(typed) if typed.trim().eq_ignore_ascii_case(OFF) => start(app, true),
        Pane::Mains(_) => {
            app.message = Some(format!("expected {OFF}; esc goes back"));
            Action::Nothing
        }
        Pane::SerialPorts | Pane::Work => Action::Nothing,
    }
}

/// Begins, unless something is missing, or the board may kill.
fn start(app: &mut App, is_off_mains: bool) -> Action {
    if let Some(why) = why_not(app) {
        app.message = Some(why);
        return Action::Nothing;
    }
    let order = match app.bench.form.order() {
        Ok(order) => order,
        Err((field, why)) => {
            app.bench.form.go_to(field);
            app.message = Some(why);
            return Action::Nothing;
        }
    };
    if !is_off_mains && is_live_on_mains(app.bench.form.board()) {
        app.bench.pane = Pane::Mains(String::new());
        return Action::Nothing;
    }
    app.bench.form.forget_secrets();
    app.bench.work = Some(Work::new(&order));
    app.bench.pane = Pane::Work;
    Action::Bench(Wish::Start(Box::new(order)))
}

/// What would only be found out once the board is written.
fn why_not(app: &App) -> Option<String> {
    match &app.link {
        Link::Live(session) if session.role < Role::Technician => Some(format!(
            "making controllers wants a log-in as technician; {} is {}",
            session.account,
            session.role.name()
        )),
        Link::Live(_) => None,
        _ => Some("not connected to the gateway, where it is to be enrolled".into()),
    }
}

/// Takes what the world has.
pub(crate) fn heard(bench: &mut Bench, news: News) {
    match (news, &mut bench.work) {
        (News::Listed(listed), _) => list(bench, listed),
        (News::Worked(event), Some(work)) => work.hear(&event),
        (News::Ended(outcome), Some(work)) => work.end(outcome),
        (News::Worked(_) | News::Ended(_), None) => {}
    }
}

/// The cursor stays on its serial port while others come and go.
fn list(bench: &mut Bench, listed: Result<Vec<switchyard_flasher::SerialPort>, String>) {
    let before = bench.serial_ports.list();
    let path = before.get(bench.row).map(|it| it.path.clone());
    let was_last = bench.row > 0 && path.is_none();
    bench.serial_ports = match listed {
        Ok(list) => SerialPorts::Found(list),
        Err(why) => SerialPorts::Failed(why),
    };
    let list = bench.serial_ports.list();
    let place = list.iter().position(|it| Some(&it.path) == path.as_ref());
    bench.row = match place {
        Some(place) => place,
        None if was_last => list.len(),
        None => bench.row.min(list.len()),
    };
}
