//! What an event does to the screen's state, and what it asks of the world. Pure.

use super::{
    alarms::{self, COMMENT_CHARS_MAX},
    app::{Action, App, Asked, Commands, Event, Link, Overlay, Page, Prompt, TYPED_MAX},
    bench,
    keymap::{self, Intent, Typing},
};
use crossterm::event::{KeyCode, KeyEvent};
use switchyard_protocol::{
    Address,
    message::{self, PointFlags},
};

/// Rows that a page key goes.
const PAGE_ROWS: isize = 10;

/// Takes one event.
pub(crate) fn update(app: &mut App, event: Event) -> Action {
    match event {
        Event::Key(key) => pressed(app, &key),
        Event::Alarms(news) => alarms::heard(app, news),
        tick @ Event::Tick { .. } => {
            app.hear(tick);
            alarms::asked(app)
        }
        other => {
            app.hear(other);
            Action::Nothing
        }
    }
}

fn pressed(app: &mut App, key: &KeyEvent) -> Action {
    if app.prompt.is_some() {
        return match keymap::typing(key) {
            Some(typing) => typed(app, typing),
            None => Action::Nothing,
        };
    }
    if app.overlay == Some(Overlay::Leave) {
        return leaving(app, key);
    }
    if matches!(app.overlay, Some(Overlay::Acknowledge(_))) {
        return match keymap::intent(key) {
            Some(Intent::Quit) if key.code != KeyCode::Char('q') => quit(app),
            _ => alarms::answered(app, key),
        };
    }
    if app.page == Page::Bench && app.overlay.is_none() && app.bench.takes_text() {
        return bench::typed(app, key);
    }
    let Some(intent) = keymap::intent(key) else {
        return Action::Nothing;
    };
    app.message = None;
    match intent {
        Intent::Quit => return quit(app),
        Intent::Help => app.overlay = toggled(app.overlay.take(), Overlay::Help),
        Intent::Notes => {
            app.overlay = toggled(app.overlay.take(), Overlay::Notes);
            app.unread = 0;
        }
        Intent::Filter if is_alarms(app) => {
            app.overlay = None;
            app.page = Page::Alarms;
            app.prompt = Some(Prompt::AlarmFilter);
        }
        Intent::Filter => {
            app.overlay = None;
            app.page = Page::Fleet;
            app.prompt = Some(Prompt::Filter);
        }
        Intent::GoTo => {
            app.overlay = None;
            app.prompt = Some(Prompt::GoTo(String::new()));
        }
        Intent::Bench => return bench::take(app),
        Intent::Alarms if is_alarms(app) && app.overlay.is_none() => alarms::acknowledge(app),
        Intent::Alarms => alarms::open(app),
        Intent::Shelve if is_alarms(app) => alarms::shelve(app),
        Intent::Unshelve if is_alarms(app) => return alarms::unshelve(app),
        Intent::Shelve | Intent::Unshelve => {}
        Intent::Refresh if app.page == Page::Bench => return bench::refresh(app),
        Intent::Refresh => {}
        Intent::Back => return back(app),
        Intent::Up => step(app, -1),
        Intent::Down => step(app, 1),
        Intent::PageUp => step(app, -PAGE_ROWS),
        Intent::PageDown => step(app, PAGE_ROWS),
        Intent::First => step(app, isize::MIN),
        Intent::Last => step(app, isize::MAX),
        Intent::Open => return open(app),
        Intent::Toggle if is_alarms(app) => alarms::mark(app),
        Intent::Toggle => return toggle(app),
        Intent::Commands if is_alarms(app) => alarms::comment(app),
        Intent::Commands => return commands(app),
    }
    Action::Nothing
}

fn is_alarms(app: &App) -> bool {
    matches!(app.page, Page::Alarms | Page::Alarm(_))
}

fn toggled(now: Option<Overlay>, wanted: Overlay) -> Option<Overlay> {
    (now.as_ref() != Some(&wanted)).then_some(wanted)
}

/// A board in the midst of it is not left without a question.
pub(super) fn quit(app: &mut App) -> Action {
    if !app.bench.is_working() {
        return Action::Quit;
    }
    app.prompt = None;
    app.overlay = Some(Overlay::Leave);
    Action::Nothing
}

fn leaving(app: &mut App, key: &KeyEvent) -> Action {
    let is_yes = matches!(key.code, KeyCode::Char('y' | 'Y'));
    match keymap::intent(key) {
        // Whoever insists is believed.
        Some(Intent::Quit) if key.code != KeyCode::Char('q') => return Action::Quit,
        Some(Intent::Back) => app.overlay = None,
        _ if is_yes => return Action::Quit,
        _ => {}
    }
    Action::Nothing
}

fn back(app: &mut App) -> Action {
    if app.overlay.take().is_some() {
        return Action::Nothing;
    }
    match app.page {
        Page::Bench => return bench::back(app),
        Page::Alarms | Page::Alarm(_) => alarms::back(app),
        Page::Controller(_) => app.page = Page::Fleet,
        Page::Fleet => {
            app.filter.clear();
        }
    }
    Action::Nothing
}

/// Where a step from `at` ends in a list of `count`.
fn stepped(at: Option<usize>, by: isize, count: usize) -> usize {
    let last = count.saturating_sub(1);
    match at {
        None => 0,
        Some(at) => at.saturating_add_signed(by).min(last),
    }
}

fn step(app: &mut App, by: isize) {
    match &mut app.overlay {
        Some(Overlay::Commands(Commands::Ready {
            signatures,
            selected,
            ..
        })) => *selected = stepped(Some(*selected), by, signatures.len()),
        Some(_) => {}
        None => match app.page {
            Page::Bench => bench::step(&mut app.bench, by),
            Page::Alarms | Page::Alarm(_) => alarms::step(app, by),
            Page::Fleet => {
                let visible = app.visible();
                let at = visible
                    .iter()
                    .position(|it| Some(it.address) == app.selected);
                let next = stepped(at, by, visible.len());
                app.selected = visible.get(next).map(|controller| controller.address);
            }
            Page::Controller(_) => {
                let outputs = app.outputs();
                let current = app.current_output().map(|point| &point.name);
                let at = outputs.iter().position(|it| Some(&it.name) == current);
                let next = stepped(at, by, outputs.len());
                app.output = outputs.get(next).map(|point| point.name.clone());
            }
        },
    }
}

fn open(app: &mut App) -> Action {
    if let Some(Overlay::Commands(Commands::Ready {
        signatures,
        selected,
        ..
    })) = &app.overlay
    {
        let Some(signature) = signatures.get(*selected).cloned() else {
            return Action::Nothing;
        };
        if signature.parameters.is_empty() {
            return call(app, &signature, "");
        }
        app.prompt = Some(Prompt::Arguments {
            signature,
            typed: String::new(),
        });
        return Action::Nothing;
    }
    if app.overlay.is_some() {
        app.overlay = None;
        return Action::Nothing;
    }
    match (app.page, app.selected) {
        (Page::Bench, _) => return bench::open(app),
        (Page::Alarms, _) => return alarms::open_alarm(app),
        (Page::Alarm(_), _) => {}
        (Page::Controller(_), _) => return toggle(app),
        (Page::Fleet, Some(address)) => go_to(app, address),
        (Page::Fleet, None) => {}
    }
    Action::Nothing
}

fn go_to(app: &mut App, address: Address) {
    if app.fleet.controller(address).is_none() {
        app.message = Some(format!("no controller No. {address} in this fleet"));
        return;
    }
    app.selected = Some(address);
    app.output = None;
    app.page = Page::Controller(address);
}

/// Asks for the opposite of what the output is now. "Now" must be certain: a stale value would turn
/// a second person's switch back.
fn toggle(app: &mut App) -> Action {
    let Page::Controller(address) = app.page else {
        return Action::Nothing;
    };
    if app.overlay.is_some() {
        return Action::Nothing;
    }
    let refusal = why_not_switch(app);
    if let Some(why) = refusal {
        app.message = Some(why);
        return Action::Nothing;
    }
    let Some(point) = app.current_output() else {
        return Action::Nothing;
    };
    let (name, value) = (point.name.clone(), i64::from(point.value == 0));
    app.output = Some(name.clone());
    app.asked
        .insert((address, name.clone()), (None, Asked::Asking));
    Action::Send {
        address,
        name: name.clone(),
        action: message::Action::Set { point: name, value },
    }
}

fn why_not_switch(app: &App) -> Option<String> {
    let controller = app.open()?;
    let Some(point) = app.current_output() else {
        return Some("this controller has no outputs".into());
    };
    let name = &point.name;
    if !matches!(app.link, Link::Live(_)) {
        Some("not connected to the gateway: nothing was sent".into())
    } else if !controller.online {
        Some(format!(
            "No. {} is off line: nothing was sent",
            controller.address
        ))
    } else if !controller.is_live() {
        Some(format!(
            "{name} is not certain at the moment; wait for fresh status"
        ))
    } else if !point.flags.contains(PointFlags::MANUAL) {
        Some(format!(
            "{name} is driven by the script; c shows its commands"
        ))
    } else if !point.point_type.is_digital() {
        Some(format!("{name} takes a value: use `switchyard send`"))
    } else if is_open(app, controller.address, name) {
        Some(format!(
            "{name} has been asked already; wait for its receipt"
        ))
    } else {
        None
    }
}

fn is_open(app: &App, address: Address, name: &message::Name) -> bool {
    let asked = app.asked.get(&(address, name.clone()));
    asked.is_some_and(|(_, asked)| asked.is_open())
}

fn commands(app: &mut App) -> Action {
    let Page::Controller(address) = app.page else {
        return Action::Nothing;
    };
    if matches!(app.overlay, Some(Overlay::Commands(_))) {
        app.overlay = None;
        return Action::Nothing;
    }
    if !matches!(app.link, Link::Live(_)) {
        app.message = Some("not connected to the gateway".into());
        return Action::Nothing;
    }
    app.overlay = Some(Overlay::Commands(Commands::Asking));
    Action::Describe(address)
}

fn call(app: &mut App, signature: &switchyard_client::signature::Signature, typed: &str) -> Action {
    let Page::Controller(address) = app.page else {
        return Action::Nothing;
    };
    let words: Vec<&str> = typed
        .split(|c: char| c.is_whitespace() || c == ',')
        .filter(|word| !word.is_empty())
        .collect();
    let arguments = match signature.arguments(&words) {
        Ok(arguments) => arguments,
        Err(error) => {
            app.message = Some(error.to_string());
            return Action::Nothing;
        }
    };
    let name = signature.name.clone();
    if is_open(app, address, &name) {
        app.message = Some(format!(
            "{name} has been asked already; wait for its receipt"
        ));
        return Action::Nothing;
    }
    app.prompt = None;
    app.message = Some(format!("{name} of No. {address}: asked…"));
    app.asked
        .insert((address, name.clone()), (None, Asked::Asking));
    Action::Send {
        address,
        name: name.clone(),
        action: message::Action::Call {
            command: name,
            arguments,
        },
    }
}

fn typed(app: &mut App, typing: Typing) -> Action {
    let chars_max = match &app.prompt {
        Some(Prompt::Comment { .. }) => COMMENT_CHARS_MAX,
        _ => TYPED_MAX,
    };
    match typing {
        Typing::Quit => return quit(app),
        Typing::Leave => {
            if app.prompt == Some(Prompt::Filter) {
                app.filter.clear();
                keep_selection(app);
            }
            if app.prompt == Some(Prompt::AlarmFilter) {
                alarms::leave_filter(app, true);
            }
            app.prompt = None;
            app.message = None;
        }
        Typing::Take => return taken(app),
        Typing::Put(c) => edit(app, |text| {
            if text.chars().count() < chars_max {
                text.push(c);
            }
        }),
        Typing::Rub => edit(app, |text| _ = text.pop()),
        Typing::Clear => edit(app, String::clear),
    }
    Action::Nothing
}

fn edit(app: &mut App, change: impl FnOnce(&mut String)) {
    app.message = None;
    match &mut app.prompt {
        Some(Prompt::Filter) => {
            change(&mut app.filter);
            keep_selection(app);
        }
        Some(Prompt::AlarmFilter) => {
            change(&mut app.alarms.filter);
            alarms::leave_filter(app, false);
        }
        Some(
            Prompt::GoTo(typed)
            | Prompt::Arguments { typed, .. }
            | Prompt::Shelve { typed, .. }
            | Prompt::Comment { typed, .. },
        ) => change(typed),
        None => {}
    }
}

/// The cursor stays on its controller while that passes the filter.
fn keep_selection(app: &mut App) {
    let visible = app.visible();
    if !visible.iter().any(|it| Some(it.address) == app.selected) {
        app.selected = visible.first().map(|controller| controller.address);
    }
}

fn taken(app: &mut App) -> Action {
    match app.prompt.clone() {
        None => {}
        Some(Prompt::Filter | Prompt::AlarmFilter) => app.prompt = None,
        Some(Prompt::GoTo(typed)) => {
            app.prompt = None;
            match typed.parse::<Address>() {
                Ok(address) => go_to(app, address),
                Err(_) => app.message = Some("expected a controller's number".into()),
            }
        }
        Some(Prompt::Arguments { signature, typed }) => return call(app, &signature, &typed),
        Some(prompt @ (Prompt::Shelve { .. } | Prompt::Comment { .. })) => {
            return alarms::taken(app, prompt);
        }
    }
    Action::Nothing
}
