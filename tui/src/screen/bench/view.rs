//! Draws the bench; changes nothing.

use super::{Act, Bench, Outcome, Pane, SerialPorts, Step, Work, update::OFF, work::Progress};
use crate::{
    boards,
    screen::{app::App, theme::Theme, view::block},
};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Position, Rect},
    style::{Modifier, Style},
    text::{Line, Span},
    widgets::{Paragraph, Wrap},
};

/// The room for the name of a field.
const NAME_WIDTH: usize = 12;
/// Where the fields of the form begin: behind a sign, a space and the name.
const LABEL_WIDTH: usize = 2 + NAME_WIDTH;
/// Where the progress of a step begins.
const STEP_WIDTH: usize = 26;
/// Cells of a bar.
const BAR_WIDTH: u64 = 20;

/// Draws the pane that is open.
pub(crate) fn draw(frame: &mut Frame<'_>, app: &App, area: Rect) {
    match (&app.bench.pane, &app.bench.work) {
        (Pane::SerialPorts | Pane::Path, _) => draw_serial_ports(frame, app, area),
        (Pane::Form, _) => draw_form(frame, app, area),
        (Pane::Mains(typed), _) => draw_mains(frame, app, typed, area),
        (Pane::Work, Some(work)) => draw_work(frame, app, work, area),
        (Pane::Work, None) => {}
    }
}

/// The keys that matter now.
pub(crate) fn hints(bench: &Bench) -> &'static str {
    match &bench.pane {
        Pane::SerialPorts => {
            "↑↓ choose · enter take · r look again · b fleet · esc back · ? help · q quit"
        }
        Pane::Path => "enter take · esc back · F1 help",
        Pane::Form => "↑↓ tab move · space choose · enter start · esc back · F1 help",
        Pane::Mains(_) => "enter go on · esc back",
        Pane::Work if bench.is_working() => "esc stop · b fleet · ? help · q quit",
        Pane::Work => "enter next board · esc serial ports · b fleet · ? help · q quit",
    }
}

/// How the bench does, for whoever looks at something else.
pub(crate) fn badge(app: &App) -> Option<Span<'static>> {
    let theme = app.theme;
    let work = app.bench.work.as_ref()?;
    Some(match (&work.end, work.act) {
        (None, Some(_)) => Span::styled("◐ bench: your turn  ", theme.info()),
        (None, None) => Span::styled("◐ bench  ", theme.info()),
        (Some(Outcome::Pass { .. }), _) => Span::styled("✓ bench: pass  ", theme.confirmed()),
        (Some(Outcome::Stopped { .. }), _) => Span::styled("○ bench: stopped  ", theme.muted()),
        (Some(Outcome::Fail { .. }), _) => Span::styled("▲ bench: fail  ", theme.alarm()),
    })
}

/// What a person is asked before a board is left alone in the midst of it.
pub(crate) fn leave(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let Some(work) = &app.bench.work else {
        return;
    };
    let block = block(app, "Quit?");
    let inner = block.inner(area);
    let text = format!(
        "{} on {} is being worked on. Whoever quits now has it stopped, and what was begun taken back, which can take \
         a minute.",
        work.title, work.serial_port
    );
    let mut lines: Vec<Line<'static>> = wrapped(&text, inner.width);
    lines.push(Line::default());
    lines.push(Line::styled(
        "y  stop it and quit        esc  stay",
        app.theme.strong(),
    ));
    frame.render_widget(block, area);
    frame.render_widget(Paragraph::new(lines), inner);
}

fn draw_serial_ports(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let (theme, bench) = (app.theme, &app.bench);
    let block = block(app, "Bench: which serial port is the board behind?");
    let inner = block.inner(area);
    let found = bench.serial_ports.list();
    let mut rows: Vec<Line<'static>> = found
        .iter()
        .map(|it| Line::from(format!(" {:<20} {}", it.path, boards::what_is_at(it))))
        .collect();
    let is_typing = bench.pane == Pane::Path;
    let width = usize::from(inner.width).saturating_sub(LABEL_WIDTH);
    let path = tail(&bench.path, width);
    let before = " by its path: ";
    rows.push(Line::from(vec![
        Span::raw(before),
        match bench.path.is_empty() && !is_typing {
            true => Span::styled("one that is not listed", theme.muted()),
            false => Span::raw(path.clone()),
        },
    ]));
    let rows_shown = usize::from(inner.height.saturating_sub(3)).max(1);
    let offset = bench.row / rows_shown * rows_shown;
    let at = bench.row - offset;
    let mut lines: Vec<Line<'static>> = rows.drain(..).skip(offset).take(rows_shown).collect();
    if let Some(line) = lines.get_mut(at) {
        line.spans.insert(0, Span::raw("▸"));
        if !is_typing {
            *line = std::mem::take(line).patch_style(theme.selected());
        }
    }
    for (_, line) in lines.iter_mut().enumerate().filter(|(it, _)| *it != at) {
        line.spans.insert(0, Span::raw(" "));
    }
    let said = match &bench.serial_ports {
        SerialPorts::Asking => Some("looking for serial ports…".to_owned()),
        SerialPorts::Failed(why) => Some(format!("▲ {why}")),
        SerialPorts::Found(list) if list.is_empty() => {
            Some("No serial ports. Plug in a board or its adapter, then press r.".to_owned())
        }
        SerialPorts::Found(_) => None,
    };
    if let Some(said) = said {
        lines.push(Line::default());
        lines.push(Line::styled(format!("  {said}"), theme.muted()));
    }
    frame.render_widget(block, area);
    frame.render_widget(Paragraph::new(lines), inner);
    if is_typing {
        let column = 1 + before.len() + Span::raw(path).width();
        place_cursor(frame, inner, column, at);
    }
}

fn draw_form(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let (theme, form) = (app.theme, &app.bench.form);
    let block = block(app, format!("Bench  {}", form.serial_port));
    let inner = block.inner(area);
    let fields = form.fields();
    let focused = form.focused();
    let width = usize::from(inner.width).saturating_sub(LABEL_WIDTH + 1);
    let mut lines: Vec<Line<'static>> = Vec::new();
    for field in &fields {
        let is_focused = *field == focused;
        let value = match field.is_text() {
            true => tail(&form.shown(*field), width),
            false if is_focused => format!("‹ {} ›", form.shown(*field)),
            false => form.shown(*field),
        };
        let (sign, style) = match is_focused {
            true => ("▸", theme.strong()),
            false => (" ", theme.muted()),
        };
        let name = field.name();
        lines.push(Line::from(vec![
            Span::styled(format!("{sign} {name:<NAME_WIDTH$}"), style),
            match field.is_text() || !is_focused {
                true => Span::raw(value),
                false => Span::styled(value, theme.info()),
            },
        ]));
    }
    lines.push(Line::default());
    lines.push(Line::styled(
        format!("  {}: {}", focused.name(), focused.meaning()),
        theme.muted(),
    ));
    // On a low terminal the line that keys go to is what must be seen.
    let height = usize::from(inner.height).max(1);
    let skipped = (form.focus + 1).saturating_sub(height);
    let lines: Vec<_> = lines.drain(..).skip(skipped).collect();
    frame.render_widget(block, area);
    frame.render_widget(Paragraph::new(lines), inner);
    if focused.is_text() {
        let text = tail(&form.shown(focused), width);
        let column = LABEL_WIDTH + Span::raw(text).width();
        place_cursor(frame, inner, column, form.focus - skipped);
    }
}

fn draw_mains(frame: &mut Frame<'_>, app: &App, typed: &str, area: Rect) {
    let theme = app.theme;
    let block = block(app, "Bench: is it off mains?");
    let inner = block.inner(area);
    let warning = format!(
        "{}: its supply is not isolated. While it is on mains, its pins, the cable and this machine are live, and \
         touching them can kill.",
        app.bench.form.board()
    );
    let mut lines = vec![Line::styled(" ▲ DANGER ", shout(theme.alarm()))];
    lines.extend(wrapped(&warning, inner.width));
    lines.push(Line::default());
    let what =
        format!("Unplug it from mains, supply it by the adapter's 3.3 V, and type {OFF} to go on.");
    lines.extend(wrapped(&what, inner.width));
    lines.push(Line::default());
    let text = tail(typed, usize::from(inner.width).saturating_sub(3));
    let column = 2 + Span::raw(text.as_str()).width();
    lines.push(Line::from(vec![
        Span::styled("> ", theme.info()),
        Span::raw(text),
    ]));
    let row = lines.len() - 1;
    frame.render_widget(block, area);
    frame.render_widget(Paragraph::new(lines), inner);
    place_cursor(frame, inner, column, row);
}

fn draw_work(frame: &mut Frame<'_>, app: &App, work: &Work, area: Rect) {
    let theme = app.theme;
    let title = format!("Bench  {}  {}", work.title, work.serial_port);
    let block = block(app, title);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let said = said(theme, work, inner.width);
    let height = |lines: usize| Constraint::Length(u16::try_from(lines).unwrap_or(u16::MAX));
    // What is asked of a person, or how it ended, must be seen before anything else.
    let [steps, gap, message, log] = Layout::vertical([
        Constraint::Max(u16::try_from(work.steps.len()).unwrap_or(u16::MAX)),
        Constraint::Max(1),
        height(said.len()),
        Constraint::Min(0),
    ])
    .areas(inner);
    let lines: Vec<Line<'static>> = work
        .steps
        .iter()
        .enumerate()
        .map(|(place, step)| step_line(theme, work, place, *step))
        .collect();
    frame.render_widget(Paragraph::new(lines), steps);
    frame.render_widget(Paragraph::new(""), gap);
    frame.render_widget(Paragraph::new(said).wrap(Wrap { trim: false }), message);
    draw_lines(frame, theme, work, log);
}

fn step_line(theme: Theme, work: &Work, place: usize, step: Step) -> Line<'static> {
    let words = step.words();
    let (sign, style) = match (place.cmp(&work.at), &work.end) {
        (std::cmp::Ordering::Less, _) => ("✓", Style::new()),
        (std::cmp::Ordering::Greater, _) => ("○", theme.muted()),
        (_, Some(Outcome::Stopped { .. })) => ("○", theme.strong()),
        (_, Some(_)) => ("▲", theme.alarm()),
        (_, None) => ("◐", theme.info().add_modifier(Modifier::BOLD)),
    };
    let mut spans = vec![Span::styled(format!(" {sign} {words:<STEP_WIDTH$}"), style)];
    if let (true, Some(progress)) = (place == work.at, work.progress) {
        spans.push(Span::raw(bar(progress)));
    }
    Line::from(spans)
}

fn bar(progress: Progress) -> String {
    let Progress { what, bytes, done } = progress;
    let parts = |whole: u64| u64::from(done.min(bytes)) * whole / u64::from(bytes.max(1));
    let (filled, percent) = (parts(BAR_WIDTH), parts(100));
    let bar: String = (0..BAR_WIDTH)
        .map(|cell| if cell < filled { '▓' } else { '░' })
        .collect();
    format!("{bar} {what} {percent} % of {} KiB", bytes.div_ceil(1024))
}

/// What a person must know now: what to do, or how it ended.
fn said(theme: Theme, work: &Work, width: u16) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let mut say = |shouted: String, style: Style, texts: &[&str]| {
        lines.push(Line::styled(format!(" {shouted} "), shout(style)));
        for (place, text) in texts.iter().enumerate() {
            let style = if place == 0 {
                theme.strong()
            } else {
                Style::new()
            };
            lines.extend(wrapped(text, width).into_iter().map(|it| it.style(style)));
        }
        lines.push(Line::default());
    };
    match &work.end {
        Some(Outcome::Pass {
            address,
            page,
            before,
        }) => {
            let number = address.map_or(String::new(), |it| format!("  No. {it}"));
            let on_line = match page {
                Some(page) => format!("It is on line. Its page: {page}"),
                None => "It is on line.".to_owned(),
            };
            let before = before.map(|it| {
                format!(
                    "It was No. {it}, which the gateway still knows: an admin withdraws that one."
                )
            });
            let texts = [Some(on_line.as_str()), before.as_deref()];
            let texts: Vec<&str> = texts.into_iter().flatten().collect();
            let shouted = format!("✓ PASS{number}  {}", work.title);
            say(shouted, theme.confirmed(), &texts);
        }
        Some(Outcome::Stopped { message, advice }) => {
            let texts = [Some(message.as_str()), advice.as_deref()];
            let texts: Vec<&str> = texts.into_iter().flatten().collect();
            say("○ STOPPED".into(), theme.strong(), &texts);
        }
        Some(Outcome::Fail { message, advice }) => {
            let texts = [Some(message.as_str()), advice.as_deref()];
            let texts: Vec<&str> = texts.into_iter().flatten().collect();
            say("▲ FAIL".into(), theme.alarm(), &texts);
        }
        None if work.is_rolling_back => say(
            "◐ ROLLING BACK".into(),
            theme.info(),
            &["The enrolment is taken back, on the board and at the gateway."],
        ),
        None if work.is_stopping => say(
            "◐ STOPPING".into(),
            theme.info(),
            &["It ends at the next place where that does no harm."],
        ),
        None => match work.act {
            Some(Act::IntoLoader) => say(
                "YOUR TURN: GPIO0 TO GROUND, THEN POWER".into(),
                theme.info(),
                &[
                    "Hold GPIO0 to ground and power the board anew; never while it is on mains. A relay on GPIO0 may click.",
                ],
            ),
            Some(Act::OutOfLoader) => say(
                "YOUR TURN: GPIO0 OFF GROUND, THEN POWER ANEW".into(),
                theme.info(),
                &[
                    "Take GPIO0 off ground and power the board anew; never while it is on mains. Its program is waited for.",
                ],
            ),
            None => {}
        },
    }
    lines
}

/// The last lines that there is room for.
fn draw_lines(frame: &mut Frame<'_>, theme: Theme, work: &Work, area: Rect) {
    let room = usize::from(area.height.saturating_sub(1));
    if room == 0 || work.lines.is_empty() {
        return;
    }
    let rule = "─ what the board and its loader say ";
    let rest = usize::from(area.width).saturating_sub(Span::raw(rule).width());
    let mut lines = vec![Line::styled(
        format!("{rule}{}", "─".repeat(rest)),
        theme.border(),
    )];
    let skipped = work.lines.len().saturating_sub(room);
    let last = work.lines.iter().skip(skipped);
    lines.extend(last.map(|line| Line::raw(format!(" {line}"))));
    frame.render_widget(Paragraph::new(lines), area);
}

/// Large, as far as a terminal has it; also where it has no colour.
fn shout(style: Style) -> Style {
    style.add_modifier(Modifier::BOLD | Modifier::REVERSED)
}

/// A text in lines of that width, a space before each; what has no space to break at is cut where it must be.
fn wrapped(text: &str, width: u16) -> Vec<Line<'static>> {
    let width = usize::from(width).saturating_sub(2).max(1);
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines
            .last()
            .map_or(0, |line| Span::raw(line.as_str()).width());
        if last > 0 && last + 1 + Span::raw(word).width() > width {
            lines.push(String::new());
        }
        for sign in (lines.last().is_some_and(|line| !line.is_empty()))
            .then_some(' ')
            .into_iter()
            .chain(word.chars())
        {
            let is_full = lines
                .last()
                .is_some_and(|line| Span::raw(line.as_str()).width() >= width);
            if is_full {
                lines.push(String::new());
            }
            if let Some(line) = lines.last_mut() {
                line.push(sign);
            }
        }
    }
    lines
        .into_iter()
        .map(|line| Line::from(format!(" {line}")))
        .collect()
}

/// The end of a text that is being typed, as much of it as there is room for.
fn tail(text: &str, width: usize) -> String {
    let mut start = text.len();
    for (at, _) in text.char_indices().rev() {
        if Span::raw(&text[at..]).width() > width {
            break;
        }
        start = at;
    }
    text[start..].to_owned()
}

fn place_cursor(frame: &mut Frame<'_>, inner: Rect, column: usize, row: usize) {
    let column = u16::try_from(column).unwrap_or(u16::MAX);
    let row = u16::try_from(row).unwrap_or(u16::MAX);
    if row < inner.height && inner.width > 0 {
        let x = inner.x + column.min(inner.width - 1);
        frame.set_cursor_position(Position::new(x, inner.y + row));
    }
}
