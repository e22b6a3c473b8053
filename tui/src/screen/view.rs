//! Draws the screen's state; changes nothing.

mod controller;
mod fleet;
mod overlay;

use super::{
    alarms,
    app::{App, Link, Overlay, Page, Prompt},
    bench,
};
use crate::words;
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::Style,
    text::{Line, Span},
    widgets::{Block, Paragraph},
};
use switchyard_client::Controller;
use switchyard_protocol::message::{Point, PointFlags};

/// Draws everything.
pub(crate) fn draw(frame: &mut Frame<'_>, app: &App) {
    let [head, body, message, hints] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    draw_head(frame, app, head);
    match (&app.overlay, app.page) {
        (Some(Overlay::Help), _) => overlay::help(frame, app, body),
        (Some(Overlay::Notes), _) => overlay::notes(frame, app, body),
        (Some(Overlay::Leave), _) => bench::view::leave(frame, app, body),
        (Some(Overlay::Acknowledge(ids)), _) => alarms::view::question(frame, app, ids, body),
        (_, Page::Bench) => bench::view::draw(frame, app, body),
        (_, Page::Alarms) => alarms::view::list(frame, app, body),
        (_, Page::Alarm(id)) => alarms::view::alarm(frame, app, id, body),
        (_, Page::Fleet) => fleet::draw(frame, app, body),
        (_, Page::Controller(address)) => controller::draw(frame, app, address, body),
    }
    draw_message(frame, app, message);
    // What is wrong with the line that is being typed stands below it, where there is room.
    let hint = match (&app.prompt, &app.message) {
        (Some(_), Some(message)) => Span::styled(message.as_str(), app.theme.alarm()),
        _ => Span::styled(hints_of(app), app.theme.muted()),
    };
    frame.render_widget(Paragraph::new(hint), hints);
}

fn draw_head(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let theme = app.theme;
    let left = vec![
        Span::styled("Switchyard", theme.strong()),
        Span::raw(format!("  {}", app.gateway)),
    ];
    let mut right = match &app.link {
        Link::Live(session) => vec![Span::raw(format!(
            "{} ({})  No. {}",
            session.account,
            session.role.name(),
            session.address
        ))],
        Link::Dialling => vec![Span::styled("◐ connecting…", theme.info())],
        Link::Waiting { seconds, why } => vec![Span::styled(
            match why.as_str() {
                "gateway_gone" => format!("▲ gateway gone, retrying in {seconds} s"),
                why => format!("▲ link lost ({why}), retrying in {seconds} s"),
            },
            theme.alarm(),
        )],
        Link::Closed { .. } => vec![Span::styled("▲ not connected", theme.alarm())],
    };
    if app.unread > 0 {
        let unread = format!("✉ {} n  ", app.unread);
        right.insert(0, Span::styled(unread, theme.info()));
    }
    if app.page != Page::Bench
        && let Some(badge) = bench::view::badge(app)
    {
        right.insert(0, badge);
    }
    if let Some(badge) = alarms::view::badge(app) {
        right.insert(0, badge);
    }
    let right = Line::from(right).right_aligned();
    let right_width = u16::try_from(right.width()).unwrap_or(u16::MAX);
    let [left_area, right_area] =
        Layout::horizontal([Constraint::Min(0), Constraint::Length(right_width)])
            .spacing(2)
            .areas(area);
    frame.render_widget(Paragraph::new(Line::from(left)), left_area);
    frame.render_widget(Paragraph::new(right), right_area);
}

/// The line above the hints: what is being typed, or what was refused.
fn draw_message(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let theme = app.theme;
    let typed = match &app.prompt {
        Some(Prompt::Filter) => Some(("/".to_owned(), app.filter.as_str())),
        Some(Prompt::AlarmFilter) => Some(("/".to_owned(), app.alarms.filter.as_str())),
        Some(Prompt::Shelve { alarms, typed }) => {
            let what = match alarms.len() {
                1 => "it".to_owned(),
                count => format!("{count} alarms"),
            };
            Some((format!("shelve {what} for, or until > "), typed.as_str()))
        }
        Some(Prompt::Comment { typed, .. }) => Some(("comment > ".to_owned(), typed.as_str())),
        Some(Prompt::GoTo(typed)) => Some((":No. ".to_owned(), typed.as_str())),
        Some(Prompt::Arguments { signature, typed }) => {
            Some((format!("{signature} > "), typed.as_str()))
        }
        None => None,
    };
    let closed = match &app.link {
        Link::Closed { why } => Some(why.as_str()),
        _ => None,
    };
    let line = match (typed, app.message.as_deref().or(closed)) {
        (Some((before, text)), _) => {
            let at = Line::from(format!("{before}{text}")).width();
            let at = u16::try_from(at).unwrap_or(u16::MAX);
            frame.set_cursor_position((area.x + at.min(area.width.saturating_sub(1)), area.y));
            Line::from(vec![
                Span::styled(before, theme.info()),
                Span::raw(text.to_owned()),
            ])
        }
        (None, Some(message)) => Line::styled(message.to_owned(), theme.strong()),
        (None, None) => Line::default(),
    };
    frame.render_widget(Paragraph::new(line), area);
}

fn hints_of(app: &App) -> &'static str {
    match (&app.prompt, &app.overlay, app.page) {
        (Some(Prompt::Filter), ..) => {
            "number, name or point · !text leaves out · enter keep · esc clear"
        }
        (Some(Prompt::AlarmFilter), ..) => {
            "text, place, state or number · !text leaves out · enter keep · esc clear"
        }
        (Some(Prompt::Shelve { .. }), ..) => "30m, 2h, 1d, or 18:00 · enter take · esc leave",
        (Some(_), ..) => "enter take · esc leave",
        (None, Some(Overlay::Commands(_)), _) => {
            "↑↓ choose · enter call · esc back · ? help · q quit"
        }
        (None, Some(Overlay::Leave), _) => "y stop and quit · esc stay",
        (None, Some(Overlay::Acknowledge(_)), _) => "y acknowledge · esc leave it",
        (None, Some(_), _) => "esc back · q quit",
        (None, None, Page::Bench) => bench::view::hints(&app.bench),
        (None, None, page @ (Page::Alarms | Page::Alarm(_))) => alarms::view::hints(page),
        (None, None, Page::Fleet) => {
            "enter open · / filter · : go to · a alarms · n notes · b bench · ? help · q quit"
        }
        (None, None, Page::Controller(_)) => {
            "↑↓ choose · space switch · c commands · a alarms · : go to · esc back · ? help"
        }
    }
}

/// A thin border with a title.
pub(super) fn block(app: &App, title: impl Into<String>) -> Block<'static> {
    let title = Span::styled(format!(" {} ", title.into()), app.theme.strong());
    Block::bordered()
        .border_style(app.theme.border())
        .title(title)
}

/// How a controller stands: sign, word and how long.
fn standing(app: &App, controller: &Controller) -> Vec<Span<'static>> {
    let standing = words::Standing::of(controller);
    let style = match standing {
        words::Standing::Live => Style::new(),
        _ => app.theme.muted(),
    };
    vec![Span::styled(
        format!("{} {}", standing.sign(), standing.word()),
        style,
    )]
}

/// When a controller was last heard of, or went.
fn seen(app: &App, controller: &Controller) -> String {
    let then = match controller.online {
        true => controller.status.as_ref().map(|status| status.heard_at),
        // 0: not seen since the gateway started, and nobody knows since when.
        false => Some(controller.since).filter(|since| since.0 > 0),
    };
    then.map_or_else(String::new, |then| words::span(words::since(then, app.now)))
}

/// A value with its sign, in its colour; greyed while it is not certain.
fn value(app: &App, point: &Point, is_certain: bool) -> Span<'static> {
    let sign = words::sign(point);
    let space = if sign.is_empty() { "" } else { " " };
    let text = format!(
        "{sign}{space}{}",
        words::value(point.point_type, point.value)
    );
    let style = if !is_certain {
        app.theme.muted()
    } else if point.flags.contains(PointFlags::FAULT) || point.flags.contains(PointFlags::BAD) {
        app.theme.alarm()
    } else if point.point_type.is_digital() && point.value != 0 {
        app.theme.on()
    } else if point.point_type.is_digital() {
        app.theme.muted()
    } else {
        Style::new()
    };
    Span::styled(text, style)
}
