//! What keys and news do to alarms, and what they ask of the gateway. Pure.

use super::{AlarmDesk, News, Sight, Wish};
use crate::{
    alarms::{timeline, when},
    screen::app::{Action, App, Overlay, Page, Prompt},
};
use crossterm::event::{KeyCode, KeyEvent};
use std::collections::BTreeMap;
use switchyard_client::alarms::{Alarm, AlarmPage, Overview, Severity, State};

/// What stands in the question for how long: most are shelved while somebody is at it.
const SHELF_DEFAULT: &str = "1h";

/// Takes what the gateway tells.
pub(crate) fn heard(app: &mut App, news: News) -> Action {
    match news {
        News::Told {
            page,
            overview,
            directory,
        } => {
            app.alarms.directory = directory;
            told(&mut app.alarms, *page, *overview);
            return refresh(app);
        }
        News::Shut(Sight::Lost(why)) => {
            // Where nothing was ever seen it is still being asked for.
            if matches!(app.alarms.sight, Sight::Clear | Sight::Lost(_)) {
                app.alarms.sight = Sight::Lost(why);
            }
        }
        News::Shut(sight) => {
            app.alarms = AlarmDesk {
                sight,
                ..AlarmDesk::default()
            };
        }
        News::History(id, history) => {
            app.alarms.is_reading = false;
            if app.page == Page::Alarm(id) {
                app.alarms.history = Some((id, history));
            }
        }
        News::Done(text) => {
            app.message = Some(text);
            return refresh(app);
        }
    }
    Action::Nothing
}

/// The time line that is open is read anew when something has changed.
fn refresh(app: &App) -> Action {
    match app.page {
        Page::Alarm(id) => Action::Alarms(Wish::Show(id)),
        _ => Action::Nothing,
    }
}

/// The same each second while somebody is being told: each ring is a line.
pub(crate) fn asked(app: &mut App) -> Action {
    let is_under_way = match &app.alarms.history {
        Some((_, Ok(history))) => history.attempts.iter().any(|it| it.outcome.is_none()),
        _ => false,
    };
    if !is_under_way || app.alarms.is_reading {
        return Action::Nothing;
    }
    let action = refresh(app);
    app.alarms.is_reading = action != Action::Nothing;
    action
}

fn told(desk: &mut AlarmDesk, page: AlarmPage, overview: Overview) {
    let now: BTreeMap<u64, u64> = page.alarms.iter().map(|it| (it.id, it.since_ms)).collect();
    if let Some(known) = &desk.known {
        let is_new = |alarm: &Alarm| {
            let rings = alarm.severity >= Severity::High
                && matches!(alarm.state, State::Raised | State::Notified)
                && alarm.part_of.is_none()
                && !alarm.is_flapping
                && alarm.source.kind != "test";
            rings
                && known
                    .get(&alarm.id)
                    .is_none_or(|since| *since < alarm.since_ms)
        };
        desk.is_ringing |= page.alarms.iter().any(is_new);
    }
    let visible = desk.visible();
    let row = visible.iter().position(|it| Some(it.id) == desk.selected);
    desk.sight = Sight::Clear;
    desk.is_cut = page.next.is_some();
    desk.list = page.alarms;
    desk.overview = overview;
    desk.marked.retain(|id| now.contains_key(id));
    desk.known = Some(now);
    keep_selection(desk, row.unwrap_or(0));
}

/// The cursor stays on its alarm while that is there; otherwise it stays in its row.
fn keep_selection(desk: &mut AlarmDesk, row: usize) {
    let visible = desk.visible();
    if !visible.iter().any(|it| Some(it.id) == desk.selected) {
        let nearest = visible.get(row).or(visible.last());
        desk.selected = nearest.map(|it| it.id);
    }
}

/// Goes to the alarms.
pub(crate) fn open(app: &mut App) {
    app.overlay = None;
    app.page = Page::Alarms;
}

/// Enter on the list.
pub(crate) fn open_alarm(app: &mut App) -> Action {
    let Some(id) = app.alarms.selected else {
        return Action::Nothing;
    };
    app.page = Page::Alarm(id);
    app.alarms.history = None;
    app.alarms.scroll = 0;
    Action::Alarms(Wish::Show(id))
}

/// Esc, where nothing lies over it.
pub(crate) fn back(app: &mut App) {
    match app.page {
        Page::Alarm(_) => app.page = Page::Alarms,
        _ if !app.alarms.filter.is_empty() => leave_filter(app, true),
        _ if !app.alarms.marked.is_empty() => app.alarms.marked.clear(),
        _ => app.page = Page::Fleet,
    }
}

/// The filter has changed, or is to go.
pub(crate) fn leave_filter(app: &mut App, is_cleared: bool) {
    if is_cleared {
        app.alarms.filter.clear();
    }
    keep_selection(&mut app.alarms, 0);
}

/// Moves in the list, or in the time line.
pub(crate) fn step(app: &mut App, by: isize) {
    if let Page::Alarm(_) = app.page {
        let lines = lines_least(app);
        let scroll = app.alarms.scroll.saturating_add_signed(by);
        app.alarms.scroll = scroll.min(lines.saturating_sub(1));
        return;
    }
    let visible = app.alarms.visible();
    let at = visible
        .iter()
        .position(|it| Some(it.id) == app.alarms.selected);
    let next = at.map_or(0, |at| at.saturating_add_signed(by));
    let next = visible.get(next).or(visible.last()).map(|it| it.id);
    app.alarms.selected = next;
}

/// Lines that a time line has at least.
fn lines_least(app: &App) -> usize {
    match &app.alarms.history {
        Some((_, Ok(history))) => timeline::timeline(history, &app.zone).len(),
        _ => 0,
    }
}

/// Space on the list.
pub(crate) fn mark(app: &mut App) {
    if let (Page::Alarms, Some(id)) = (app.page, app.alarms.selected) {
        if !app.alarms.marked.remove(&id) {
            app.alarms.marked.insert(id);
        }
        step(app, 1);
    }
}

/// Those that a key means: the one that is open, those that are marked, or the one under the cursor.
fn meant(app: &App) -> Vec<u64> {
    match app.page {
        Page::Alarm(id) => vec![id],
        _ if app.alarms.marked.is_empty() => app.alarms.selected.into_iter().collect(),
        _ => app.alarms.marked.iter().copied().collect(),
    }
}

/// Those of them of which that is so; an alarm that is over already is not among those that are open.
fn meant_where(app: &App, is_so: impl Fn(&Alarm) -> bool) -> Vec<u64> {
    let history = match &app.alarms.history {
        Some((_, Ok(history))) => Some(&history.alarm),
        _ => None,
    };
    let found = |id: &u64| {
        let open = app.alarms.find(*id);
        open.or(history.filter(|it| it.id == *id))
            .is_some_and(&is_so)
    };
    meant(app).into_iter().filter(found).collect()
}

/// Asks whether to acknowledge.
pub(crate) fn acknowledge(app: &mut App) {
    let alarms = meant_where(app, |it| {
        it.acknowledged.is_none() && it.state != State::Cleared
    });
    if alarms.is_empty() {
        app.message = Some("there is nothing to acknowledge here".into());
        return;
    }
    app.overlay = Some(Overlay::Acknowledge(alarms));
}

/// A key, while that is asked.
pub(crate) fn answered(app: &mut App, key: &KeyEvent) -> Action {
    let Some(Overlay::Acknowledge(alarms)) = app.overlay.take() else {
        return Action::Nothing;
    };
    match key.code {
        KeyCode::Char('y' | 'Y') | KeyCode::Enter => {
            app.message = Some("acknowledging…".into());
            app.alarms.marked.clear();
            Action::Alarms(Wish::Acknowledge(alarms))
        }
        KeyCode::Char('n' | 'N' | 'q') | KeyCode::Esc => Action::Nothing,
        _ => {
            app.overlay = Some(Overlay::Acknowledge(alarms));
            Action::Nothing
        }
    }
}

/// Asks for how long to shelve.
pub(crate) fn shelve(app: &mut App) {
    let alarms = meant_where(app, |it| it.is_standing);
    if alarms.is_empty() {
        app.message = Some("there is nothing to shelve here".into());
        return;
    }
    app.prompt = Some(Prompt::Shelve {
        alarms,
        typed: SHELF_DEFAULT.to_owned(),
    });
}

/// Takes from the shelf.
pub(crate) fn unshelve(app: &mut App) -> Action {
    let alarms = meant_where(app, |it| it.shelved.is_some());
    if alarms.is_empty() {
        app.message = Some("nothing of this is shelved".into());
        return Action::Nothing;
    }
    app.message = Some("taking from the shelf…".into());
    app.alarms.marked.clear();
    Action::Alarms(Wish::Unshelve(alarms))
}

/// Asks for a comment.
pub(crate) fn comment(app: &mut App) {
    let alarms = meant_where(app, |_| true);
    if !alarms.is_empty() {
        app.prompt = Some(Prompt::Comment {
            alarms,
            typed: String::new(),
        });
    }
}

/// Enter on what is typed.
pub(crate) fn taken(app: &mut App, prompt: Prompt) -> Action {
    let wish = match prompt {
        Prompt::Shelve { alarms, typed } => {
            let now_ms = app.now.0;
            let until_ms = when::read_span_ms(&typed)
                .map(|span_ms| now_ms.saturating_add(span_ms))
                .or_else(|_| when::read_moment(&typed, &app.zone, now_ms));
            match until_ms {
                Ok(until_ms) if until_ms > now_ms => Wish::Shelve { alarms, until_ms },
                _ => {
                    app.message = Some(
                        "expected a time to come, such as 1h, 18:00 or 2027-01-15 08:00".into(),
                    );
                    return Action::Nothing;
                }
            }
        }
        Prompt::Comment { alarms, typed } if !typed.trim().is_empty() => Wish::Comment {
            alarms,
            text: typed.trim().to_owned(),
        },
        _ => {
            app.prompt = None;
            return Action::Nothing;
        }
    };
    app.prompt = None;
    app.message = None;
    app.alarms.marked.clear();
    Action::Alarms(wish)
}
