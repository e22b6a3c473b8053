//! Draws alarms.

use super::Sight;
use crate::{
    alarms::{
        timeline::{self, Tone},
        when, words,
    },
    screen::{
        app::{App, Page},
        view::block,
    },
    words::{plain, since, span},
};
use ratatui::{
    Frame,
    layout::{Alignment, Constraint, Layout, Rect},
    style::Style,
    text::{Line, Span, Text},
    widgets::{Cell, Paragraph, Row, Table, TableState, Wrap},
};
use switchyard_client::alarms::{Alarm, AlarmHistory, Severity};
use switchyard_protocol::message::Time;

/// Sites whose people on call are shown; of more only the number.
const SITES_MAX: usize = 2;
/// Warnings that are shown; of more only the number.
const WARNINGS_MAX: usize = 3;
/// Alarms that a question names; of more only the number.
const NAMED_MAX: usize = 12;
/// From this width on it is told who is told next.
const WIDTH_WIDE: u16 = 110;

/// The badge of every screen: so many of which nobody has said that they heard.
pub(crate) fn badge(app: &App) -> Option<Span<'static>> {
    let count = app.alarms.unacknowledged();
    (count > 0).then(|| Span::styled(format!("▲ {count} a  "), app.theme.alarm()))
}

/// The keys of the line at the bottom.
pub(crate) fn hints(page: Page) -> &'static str {
    match page {
        Page::Alarm(_) => {
            "↑↓ scroll · a ack · s shelve · u unshelve · c comment · esc back · ? help"
        }
        _ => "enter open · space mark · a ack · s shelve · u unshelve · c comment · / · ? help",
    }
}

/// The list, under how things stand.
pub(crate) fn list(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let desk = &app.alarms;
    let theme = app.theme;
    let mut title = match desk.filter.is_empty() {
        true => "Alarms".to_owned(),
        false => format!("Alarms / {}", desk.filter),
    };
    if let Sight::Lost(_) = desk.sight {
        title.push_str(" (as last seen)");
    }
    let visible = desk.visible();
    let total = match desk.is_cut {
        true => format!("{}+", desk.list.len()),
        false if desk.filter.is_empty() => visible.len().to_string(),
        false => desk.list.len().to_string(),
    };
    let mut count = match desk.filter.is_empty() {
        true => format!(" {total} "),
        false => format!(" {} of {total} ", visible.len()),
    };
    if !desk.marked.is_empty() {
        count = format!(" {} marked ·{count}", desk.marked.len());
    }
    let count = Line::styled(count, theme.muted()).right_aligned();
    let block = block(app, title).title(count);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let above = overview(app);
    let above_height = u16::try_from(above.len()).unwrap_or(u16::MAX);
    let [above_area, below] =
        Layout::vertical([Constraint::Length(above_height), Constraint::Min(2)]).areas(inner);
    frame.render_widget(Paragraph::new(above), above_area);
    if visible.is_empty() {
        let text = Text::from(vec![Line::default(), Line::from(empty(app))]);
        frame.render_widget(
            Paragraph::new(text)
                .alignment(Alignment::Center)
                .wrap(Wrap { trim: true }),
            below,
        );
        return;
    }
    let at = visible.iter().position(|it| Some(it.id) == desk.selected);
    // Whole pages, as in the fleet: rows stay where they are while the cursor moves among them.
    let rows_shown = usize::from(below.height.saturating_sub(1)).max(1);
    let offset = at.unwrap_or(0) / rows_shown * rows_shown;
    let is_wide = area.width >= WIDTH_WIDE;
    let shown = visible.iter().skip(offset).take(rows_shown);
    let rows = shown.map(|alarm| row(app, alarm, is_wide));
    let mut widths = vec![
        Constraint::Length(1),
        Constraint::Length(8),
        Constraint::Length(13),
        Constraint::Length(6),
        Constraint::Length(if is_wide { 30 } else { 18 }),
        Constraint::Min(10),
    ];
    let mut heading = vec!["", "Severity", "State", "Since", "Where", "What"];
    if is_wide {
        widths.push(Constraint::Length(24));
        heading.push("Next");
    }
    let header = Row::new(heading.iter().map(|text| {
        let alignment = match *text {
            "Since" => Alignment::Right,
            _ => Alignment::Left,
        };
        Cell::from(Text::styled(*text, theme.muted()).alignment(alignment))
    }));
    let table = Table::new(rows, widths)
        .header(header)
        .row_highlight_style(theme.selected())
        .highlight_symbol("▸")
        .column_spacing(1);
    let mut state = TableState::new().with_selected(at.map(|at| at - offset));
    frame.render_stateful_widget(table, below, &mut state);
}

fn row(app: &App, alarm: &Alarm, is_wide: bool) -> Row<'static> {
    let desk = &app.alarms;
    let style = style(app, alarm);
    let mark = if desk.marked.contains(&alarm.id) {
        "*"
    } else {
        ""
    };
    let severity = format!(
        "{} {}",
        words::sign(&alarm.state),
        plain(alarm.severity.name())
    );
    let age = span(since(Time(alarm.since_ms), app.now));
    let mut cells = vec![
        Cell::from(Span::styled(mark, app.theme.info())),
        Cell::from(Span::styled(severity, style)),
        Cell::from(Span::styled(words::state(&alarm.state), style)),
        Cell::from(Text::from(age).alignment(Alignment::Right)),
        Cell::from(words::place(alarm, &desk.directory)),
        Cell::from(words::what(alarm)),
    ];
    if is_wide {
        cells.push(Cell::from(Span::styled(
            next(app, alarm),
            app.theme.muted(),
        )));
    }
    Row::new(cells)
}

/// What comes next: until when it is shelved, who acknowledged it, who is told.
fn next(app: &App, alarm: &Alarm) -> String {
    let zone = &app.zone;
    let now_ms = app.now.0;
    if let Some(it) = &alarm.shelved {
        format!("until {}", when::write_near(it.until_ms, zone, now_ms))
    } else if let Some(it) = &alarm.acknowledged {
        format!("by {}", plain(&it.by))
    } else {
        alarm
            .next
            .as_ref()
            .map_or_else(String::new, |it| words::next(it, zone, now_ms))
    }
}

/// Red is for what somebody has to see to; sign and word say the same.
fn style(app: &App, alarm: &Alarm) -> Style {
    match (alarm.state.is_unacknowledged(), &alarm.severity) {
        (true, Severity::Low) => Style::new(),
        (true, _) => app.theme.alarm(),
        (false, _) => app.theme.muted(),
    }
}

/// How things stand: who is on call, what is out of order, what somebody should see to.
fn overview(app: &App) -> Vec<Line<'static>> {
    let desk = &app.alarms;
    let theme = app.theme;
    if !matches!(desk.sight, Sight::Clear | Sight::Lost(_)) {
        return Vec::new();
    }
    let zone = &app.zone;
    let told = &desk.overview;
    let mut sites: Vec<u32> = told.on_call.iter().map(|it| it.site).collect();
    sites.sort_by_key(|site| (*site == 0, *site));
    sites.dedup();
    let of_site = |site: &u32| {
        let on_call = told.on_call.iter().filter(|it| it.site == *site);
        let people = on_call.map(|it| {
            let until = when::write_near(it.until_ms, zone, app.now.0);
            format!(
                "{} ({}, until {until})",
                plain(&it.contact_name),
                plain(&it.turn)
            )
        });
        let people = people.collect::<Vec<_>>().join(", ");
        // With a single plan for everything its name says nothing.
        let place = match sites[..] == [0] {
            true => String::new(),
            false => format!(" at {}", desk.directory.site_name(*site)),
        };
        Line::from(vec![
            Span::styled(format!("On call{place}: "), theme.muted()),
            Span::raw(people),
        ])
    };
    let mut lines: Vec<Line<'static>> = sites.iter().take(SITES_MAX).map(of_site).collect();
    match sites.len().saturating_sub(SITES_MAX) {
        0 if sites.is_empty() => {
            lines.push(Line::styled("On call: nobody takes turns", theme.muted()));
        }
        0 => {}
        more => {
            let text = format!("and at {more} more sites: `switchyard on-call` shows all of them");
            lines.push(Line::styled(text, theme.muted()));
        }
    }
    let wrong = |text: String| Line::styled(format!("▲ {text}"), theme.alarm());
    if !told.is_watched {
        let text = "Another gateway is in charge of alarms, or none: this one is not";
        lines.push(Line::styled(text, theme.muted()));
    }
    let out_of_order = told.channels.iter().filter(|it| !it.is_in_order);
    let out_of_order = out_of_order.map(|it| match &it.reason {
        Some(reason) => format!("{} ({})", words::channel(&it.channel), plain(reason)),
        None => words::channel(&it.channel),
    });
    let out_of_order = out_of_order.collect::<Vec<_>>();
    if !out_of_order.is_empty() {
        lines.push(wrong(format!("out of order: {}", out_of_order.join(", "))));
    }
    let warnings = told.warnings.iter().map(|text| wrong(plain(text)));
    match told.warnings.len() {
        0..=WARNINGS_MAX => lines.extend(warnings),
        count => {
            lines.extend(warnings.take(WARNINGS_MAX - 1));
            let more = count - (WARNINGS_MAX - 1);
            lines.push(wrong(format!("and {more} more warnings")));
        }
    }
    lines
}

fn empty(app: &App) -> String {
    let desk = &app.alarms;
    match &desk.sight {
        Sight::Asking => "Reading the alarms…".into(),
        Sight::Forbidden => {
            "This account may not see alarms. An admin gives it a role at a site.".into()
        }
        Sight::Unknown => "This gateway knows no alarms: it is older than this console.".into(),
        Sight::Lost(why) => format!("▲ {}", plain(why)),
        Sight::Clear if !desk.filter.is_empty() => {
            format!("Nothing matches “{}”. Esc clears it.", desk.filter)
        }
        Sight::Clear => "Nothing is wrong.".into(),
    }
}

/// One alarm and its time line.
pub(crate) fn alarm(frame: &mut Frame<'_>, app: &App, id: u64, area: Rect) {
    let block = block(app, format!("Alarm {id}"));
    let history = match &app.alarms.history {
        Some((whose, history)) if *whose == id => history,
        _ => {
            frame.render_widget(Paragraph::new("Reading the alarm…").block(block), area);
            return;
        }
    };
    match history {
        Err(why) => {
            let text = Line::styled(format!("▲ {}", plain(why)), app.theme.alarm());
            frame.render_widget(
                Paragraph::new(text).wrap(Wrap { trim: true }).block(block),
                area,
            );
        }
        Ok(history) => {
            let lines = timeline_lines(app, history, area.width.saturating_sub(2));
            let scroll = u16::try_from(app.alarms.scroll).unwrap_or(u16::MAX);
            let text = Paragraph::new(lines).scroll((scroll, 0));
            frame.render_widget(text.block(block), area);
        }
    }
}

/// What stands of an alarm, and what became of it; folded to a width.
fn timeline_lines(app: &App, history: &AlarmHistory, width: u16) -> Vec<Line<'static>> {
    let theme = app.theme;
    let zone = &app.zone;
    let heading = timeline::heading(history, &app.alarms.directory, zone, app.now.0);
    let mut lines = Vec::new();
    for (place, text) in heading.into_iter().enumerate() {
        let look = match place {
            0 => theme.strong(),
            _ if text.starts_with(words::sign(&history.alarm.state)) => style(app, &history.alarm),
            _ => Style::new(),
        };
        lines.extend(folded(Span::raw(""), &text, look, width));
    }
    lines.push(Line::default());
    for entry in timeline::timeline(history, zone) {
        let (sign, look) = match entry.tone {
            Tone::Plain => (" ", Style::new()),
            Tone::Wrong => ("▲", theme.alarm()),
            Tone::Heard => ("✓", theme.strong()),
        };
        let at = format!("{}  ", when::write_line(entry.at_ms, zone));
        let at = Span::styled(at, theme.muted());
        let text = format!("{sign} {}", entry.what);
        lines.extend(folded(at, &text, look, width));
    }
    lines
}

/// A text behind a head, on as many lines as it takes; those after the first begin where it began.
fn folded(head: Span<'static>, text: &str, style: Style, width: u16) -> Vec<Line<'static>> {
    let indent = head.width();
    let room = usize::from(width).saturating_sub(indent);
    let mut rows = vec![String::new()];
    let mut used = 0;
    for (place, word) in text.split(' ').enumerate() {
        let word_width = Span::raw(word).width();
        // A word that no line takes whole begins where it stands.
        let is_next = (room - used.min(room)) < 1 + word_width && word_width <= room;
        if place > 0 && used > 0 && is_next {
            rows.push(String::new());
            used = 0;
        } else if place > 0 {
            rows.last_mut().into_iter().for_each(|row| row.push(' '));
            used += 1;
        }
        // What is longer than a line, or is written without spaces, is cut where the line ends.
        for letter in word.chars() {
            let letter_width = Span::raw(letter.to_string()).width();
            if used + letter_width > room && used > 0 {
                rows.push(String::new());
                used = 0;
            }
            rows.last_mut().into_iter().for_each(|row| row.push(letter));
            used += letter_width;
        }
    }
    let blank = Span::raw(" ".repeat(indent));
    let heads = std::iter::once(head).chain(std::iter::repeat(blank));
    heads
        .zip(rows)
        .map(|(head, row)| Line::from(vec![head, Span::styled(row, style)]))
        .collect()
}

/// The question before it is said that somebody heard: it names what is meant.
pub(crate) fn question(frame: &mut Frame<'_>, app: &App, alarms: &[u64], area: Rect) {
    let desk = &app.alarms;
    let open = match &desk.history {
        Some((_, Ok(history))) => Some(&history.alarm),
        _ => None,
    };
    let named = |id: &u64| {
        let found = desk.find(*id).or(open.filter(|it| it.id == *id));
        found.map_or_else(
            || format!("alarm {id}"),
            |it| {
                format!(
                    "{} {}  {}",
                    words::sign(&it.state),
                    it.severity,
                    words::named(it, &desk.directory)
                )
            },
        )
    };
    let mut lines = vec![
        Line::styled(
            match alarms.len() {
                1 => "Say that you heard, so that nobody else is told?".to_owned(),
                count => format!("Say that you heard all {count}, so that nobody else is told?"),
            },
            app.theme.strong(),
        ),
        Line::default(),
    ];
    lines.extend(
        alarms
            .iter()
            .take(NAMED_MAX)
            .map(|id| Line::from(named(id))),
    );
    if alarms.len() > NAMED_MAX {
        let more = alarms.len() - NAMED_MAX;
        lines.push(Line::from(format!("and {more} more")));
    }
    lines.extend([Line::default(), Line::from("y acknowledge · esc leave it")]);
    let text = Paragraph::new(lines).wrap(Wrap { trim: false });
    frame.render_widget(text.block(block(app, "Acknowledge")), area);
}
