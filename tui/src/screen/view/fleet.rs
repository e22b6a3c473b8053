//! The fleet: one row a controller.

use super::{App, block, seen, standing, value};
use crate::screen::app::Link;
use ratatui::{
    Frame,
    layout::{Alignment, Constraint, Rect},
    text::{Line, Span, Text},
    widgets::{Cell, Paragraph, Row, Table, TableState},
};
use switchyard_client::Controller;

pub(super) fn draw(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let theme = app.theme;
    let visible = app.visible();
    let total = app.fleet.len();
    let mut title = if app.filter.is_empty() {
        "Fleet".to_owned()
    } else {
        format!("Fleet / {}", app.filter)
    };
    if !matches!(app.link, Link::Live(_)) && total > 0 {
        title.push_str(" (as last seen)");
    }
    let count = match app.filter.is_empty() {
        true => format!(" {total} "),
        false => format!(" {} of {total} ", visible.len()),
    };
    let count = Line::styled(count, theme.muted()).right_aligned();
    let block = block(app, title).title(count);
    if visible.is_empty() {
        let text = empty(app);
        let inner = block.inner(area);
        frame.render_widget(block, area);
        frame.render_widget(
            Paragraph::new(Text::from(text)).alignment(Alignment::Center),
            inner,
        );
        return;
    }
    let heading = ["No.", "Name", "State", "Seen", "Points"];
    let header = Row::new(heading.map(|text| {
        let alignment = match text {
            "No." | "Seen" => Alignment::Right,
            _ => Alignment::Left,
        };
        Cell::from(Text::styled(text, theme.muted()).alignment(alignment))
    }));
    let is_wide = area.width >= 100;
    let at = visible
        .iter()
        .position(|it| Some(it.address) == app.selected);
    // Whole pages, so that rows stay where they are while the cursor moves among them; and of ten
    // thousand controllers only those that are seen become rows.
    let rows_shown = usize::from(area.height.saturating_sub(3)).max(1);
    let offset = at.unwrap_or(0) / rows_shown * rows_shown;
    let rows = visible
        .iter()
        .skip(offset)
        .take(rows_shown)
        .map(|controller| row(app, controller, is_wide));
    let name_width = if is_wide { 28 } else { 18 };
    let widths = [
        Constraint::Length(10),
        Constraint::Length(name_width),
        Constraint::Length(11),
        Constraint::Length(6),
        Constraint::Min(10),
    ];
    let table = Table::new(rows, widths)
        .header(header)
        .block(block)
        .row_highlight_style(theme.selected())
        .highlight_symbol("▸")
        .column_spacing(1);
    let mut state = TableState::new().with_selected(at.map(|at| at - offset));
    frame.render_stateful_widget(table, area, &mut state);
}

fn empty(app: &App) -> Vec<Line<'static>> {
    if !app.filter.is_empty() {
        let text = format!("Nothing matches “{}”. Esc clears it.", app.filter);
        return vec![Line::default(), Line::from(text)];
    }
    let text = if app.fleet.is_synced() {
        "No controllers yet. Plug in a board, or run `switchyard enrol`."
    } else if matches!(app.link, Link::Live(_)) {
        "Reading the fleet…"
    } else {
        "Not connected yet."
    };
    vec![Line::default(), Line::from(text)]
}

/// With little room the sign alone tells a digital point's value: `● RL1` in place of `RL1 ● ON`.
fn row(app: &App, controller: &Controller, is_wide: bool) -> Row<'static> {
    let number = Text::from(controller.address.to_string()).alignment(Alignment::Right);
    let mut points: Vec<Span<'static>> = Vec::new();
    let (outputs, inputs): (Vec<_>, Vec<_>) = controller
        .points()
        .iter()
        .partition(|point| point.point_type.is_output());
    for point in outputs.into_iter().chain(inputs) {
        if !points.is_empty() {
            points.push(Span::raw("  "));
        }
        let shown = value(app, point, controller.is_live());
        if is_wide || !point.point_type.is_digital() {
            points.push(Span::raw(format!("{} ", point.name)));
            points.push(shown);
        } else {
            let sign = crate::words::sign(point);
            points.push(Span::styled(format!("{sign} {}", point.name), shown.style));
        }
    }
    Row::new([
        Cell::from(number),
        Cell::from(controller.title.to_string()),
        Cell::from(Line::from(standing(app, controller))),
        Cell::from(Text::from(seen(app, controller)).alignment(Alignment::Right)),
        Cell::from(Line::from(points)),
    ])
}
