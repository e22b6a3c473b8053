//! One controller: inputs, outputs with what was asked of them, and why.

use super::{App, block, overlay, seen, standing, value};
use crate::{
    screen::app::{Asked, Overlay, Reason},
    words,
};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    text::{Line, Span},
    widgets::Paragraph,
};
use switchyard_client::Controller;
use switchyard_protocol::{
    Address,
    message::{Point, PointFlags, Stage},
};

pub(super) fn draw(frame: &mut Frame<'_>, app: &App, address: Address, area: Rect) {
    let Some(controller) = app.fleet.controller(address) else {
        let text = format!("No. {address} is not in the fleet any more.");
        let block = block(app, format!("No. {address}"));
        frame.render_widget(Paragraph::new(text).block(block), area);
        return;
    };
    let (outputs, inputs): (Vec<&Point>, Vec<&Point>) = controller
        .points()
        .iter()
        .partition(|point| point.point_type.is_output());
    let rows = outputs.len().max(inputs.len()).max(1) + 2;
    let most = usize::from(area.height.saturating_sub(1)) * 2 / 3;
    let rows = u16::try_from(rows.min(most.max(3))).unwrap_or(u16::MAX);
    let [head, points, rest] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(rows),
        Constraint::Min(3),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(heading(app, controller)), head);
    let [left, right] =
        Layout::horizontal([Constraint::Percentage(42), Constraint::Percentage(58)]).areas(points);
    draw_inputs(frame, app, controller, &inputs, left);
    draw_outputs(frame, app, controller, &outputs, right);
    match &app.overlay {
        Some(Overlay::Commands(commands)) => overlay::commands(frame, app, commands, rest),
        _ => draw_why(frame, app, address, rest),
    }
}

fn heading(app: &App, controller: &Controller) -> Line<'static> {
    let theme = app.theme;
    let mut spans = vec![
        Span::styled(format!("No. {}", controller.address), theme.strong()),
        Span::raw(format!("  {}  ", controller.title)),
    ];
    spans.extend(standing(app, controller));
    spans.push(Span::raw(format!(" {}", seen(app, controller))));
    if let Some(software) = &controller.software {
        spans.push(Span::styled(format!("  {software}"), theme.muted()));
    }
    Line::from(spans)
}

fn draw_inputs(
    frame: &mut Frame<'_>,
    app: &App,
    controller: &Controller,
    inputs: &[&Point],
    area: Rect,
) {
    let lines: Vec<Line<'static>> = inputs
        .iter()
        .map(|point| point_line(app, controller, point, false))
        .collect();
    let lines = or_none(app, controller, lines, "no inputs");
    frame.render_widget(Paragraph::new(lines).block(block(app, "Inputs")), area);
}

fn draw_outputs(
    frame: &mut Frame<'_>,
    app: &App,
    controller: &Controller,
    outputs: &[&Point],
    area: Rect,
) {
    let current = app.current_output().map(|point| &point.name);
    let at = outputs
        .iter()
        .position(|it| Some(&it.name) == current)
        .unwrap_or(0);
    let lines: Vec<Line<'static>> = outputs
        .iter()
        .map(|point| {
            let is_current = Some(&point.name) == current;
            let asked = app.asked.get(&(controller.address, point.name.clone()));
            let mut line = point_line(app, controller, point, asked.is_some());
            let cursor = if is_current { "▸" } else { " " };
            line.spans.insert(0, Span::raw(cursor));
            if let Some((_, asked)) = asked {
                line.push_span(Span::raw("  "));
                line.push_span(asked_span(app, asked));
            }
            if is_current {
                line = line.patch_style(app.theme.strong());
            }
            line
        })
        .collect();
    let lines = or_none(app, controller, lines, "no outputs");
    // Many outputs scroll with the cursor.
    let shown = usize::from(area.height.saturating_sub(2)).max(1);
    let scroll = u16::try_from((at + 1).saturating_sub(shown)).unwrap_or(0);
    let outputs = Paragraph::new(lines)
        .block(block(app, "Outputs"))
        .scroll((scroll, 0));
    frame.render_widget(outputs, area);
}

fn or_none(
    app: &App,
    controller: &Controller,
    lines: Vec<Line<'static>>,
    none: &'static str,
) -> Vec<Line<'static>> {
    match (lines.is_empty(), &controller.status) {
        (false, _) => lines,
        (true, None) => vec![Line::styled("not heard of yet", app.theme.muted())],
        (true, Some(_)) => vec![Line::styled(none, app.theme.muted())],
    }
}

fn point_line(app: &App, controller: &Controller, point: &Point, is_asked: bool) -> Line<'static> {
    let mut spans = vec![
        Span::raw(format!("{:<9} ", point.name)),
        value(app, point, controller.is_live()),
    ];
    let mut told = PointFlags(point.flags.0 & !PointFlags::CONFIRM.0);
    if is_asked {
        // That it can be switched goes without saying, and in 80 columns the answer needs the room.
        told.0 &= !PointFlags::MANUAL.0;
    }
    let words = words::qualities(told).join(" ");
    if !words.is_empty() {
        spans.push(Span::styled(format!("  {words}"), app.theme.muted()));
    }
    if controller.online && controller.stale {
        spans.push(Span::styled("  ▒ stale", app.theme.muted()));
    }
    Line::from(spans)
}

/// What was asked and what came back, in the switch's own place.
fn asked_span(app: &App, asked: &Asked) -> Span<'static> {
    let theme = app.theme;
    match asked {
        Asked::Asking => Span::styled("◐ asked…", theme.info()),
        Asked::Under(Stage::Executed) => Span::styled("◉ done, awaiting feedback…", theme.info()),
        Asked::Under(stage) => Span::styled(format!("◐ asked… {}", stage.name()), theme.info()),
        Asked::Done(Stage::Confirmed) => Span::styled("✓ confirmed", theme.confirmed()),
        Asked::Done(_) => Span::styled("◉ done", theme.on()),
        Asked::Failed(why) => Span::styled(format!("▲ {why}"), theme.alarm()),
    }
}

fn draw_why(frame: &mut Frame<'_>, app: &App, address: Address, area: Rect) {
    let rows = usize::from(area.height.saturating_sub(2));
    let lines: Vec<Line<'static>> = app
        .why
        .iter()
        .filter(|why| why.address == address)
        .take(rows)
        .map(|why| {
            let at = why.at.map_or_else(|| "before  ".to_owned(), words::clock);
            let reason = match &why.reason {
                Reason::Cause(cause) => words::cause(cause, |by| app.who(by)),
                Reason::Left(why) => (*why).to_owned(),
            };
            let reason = match reason.as_str() {
                "" => String::new(),
                reason => format!("  — {reason}"),
            };
            Line::from(vec![
                Span::styled(format!("{at}  "), app.theme.muted()),
                Span::raw(why.what.clone()),
                Span::raw(reason),
            ])
        })
        .collect();
    frame.render_widget(Paragraph::new(lines).block(block(app, "Why")), area);
}
