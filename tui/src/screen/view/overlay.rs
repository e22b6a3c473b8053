//! What lies over a screen: help, notes, a controller's commands.

use super::{App, block};
use crate::{
    screen::{
        app::{Commands, Page},
        keymap,
    },
    words,
};
use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
    widgets::{Paragraph, Wrap},
};

pub(super) fn help(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let theme = app.theme;
    let keys = match app.page {
        Page::Bench => keymap::BENCH_HELP,
        Page::Alarms | Page::Alarm(_) => keymap::ALARMS_HELP,
        _ => keymap::HELP,
    };
    let mut lines: Vec<Line<'static>> = keys
        .iter()
        .map(|(keys, meaning)| {
            Line::from(vec![
                Span::styled(format!("{keys:<12}"), theme.strong()),
                Span::raw(*meaning),
            ])
        })
        .collect();
    lines.push(Line::default());
    if app.page == Page::Bench {
        let text = "Boards without a reset circuit: choose “none” for Reset, and do what it says.";
        lines.push(Line::from(text));
        frame.render_widget(Paragraph::new(lines).block(block(app, "Help")), area);
        return;
    }
    if matches!(app.page, Page::Alarms | Page::Alarm(_)) {
        for (sign, style, meaning) in [
            (
                "▲ ALARM",
                theme.alarm(),
                "nobody has said that they heard; told: somebody was told",
            ),
            ("△", theme.muted(), "acknowledged, and still so"),
            ("‖", theme.muted(), "shelved: nobody is told until a time"),
            (
                "▽",
                theme.alarm(),
                "over, and somebody still has to say that they heard",
            ),
        ] {
            lines.push(Line::from(vec![
                Span::styled(format!("{sign:<12}"), style),
                Span::raw(meaning),
            ]));
        }
        frame.render_widget(Paragraph::new(lines).block(block(app, "Help")), area);
        return;
    }
    for (sign, style, meaning) in [
        ("● ON", theme.on(), "energised"),
        ("○ off", theme.muted(), "not energised"),
        ("◐ asked…", theme.info(), "sent, not executed yet"),
        ("◉ done", theme.on(), "executed"),
        ("✓ confirmed", theme.confirmed(), "the feedback followed"),
        (
            "▲",
            theme.alarm(),
            "a fault, a refusal, or the gateway gone",
        ),
    ] {
        lines.push(Line::from(vec![
            Span::styled(format!("{sign:<12}"), style),
            Span::raw(meaning),
        ]));
    }
    frame.render_widget(Paragraph::new(lines).block(block(app, "Help")), area);
}

pub(super) fn notes(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let mut lines: Vec<Line<'static>> = app
        .notes
        .iter()
        .map(|note| {
            // Whatever another tool sent, it must not move this terminal's cursor.
            let text = note.text.as_str().replace(char::is_control, " ");
            let from = match app.name_of(note.from) {
                Some(name) => format!("{name} (No. {})  ", note.from),
                None => format!("No. {}  ", note.from),
            };
            Line::from(vec![
                Span::styled(format!("{}  ", words::clock(note.at)), app.theme.muted()),
                Span::styled(from, app.theme.strong()),
                Span::raw(text),
            ])
        })
        .collect();
    if lines.is_empty() {
        let text = "No notes yet. `switchyard note NUMBER TEXT` sends one to another tool.";
        lines.push(Line::from(text));
    }
    let notes = Paragraph::new(lines).wrap(Wrap { trim: false });
    frame.render_widget(notes.block(block(app, "Notes")), area);
}

pub(super) fn commands(frame: &mut Frame<'_>, app: &App, commands: &Commands, area: Rect) {
    let (title, lines) = match commands {
        Commands::Asking => (
            "Commands".to_owned(),
            vec![Line::from("asking the controller…")],
        ),
        Commands::Failed(why) => (
            "Commands".to_owned(),
            vec![Line::styled(format!("▲ {why}"), app.theme.alarm())],
        ),
        Commands::Ready {
            behaviour,
            signatures,
            ..
        } if signatures.is_empty() => (
            format!("Commands of {behaviour}"),
            vec![Line::from("It takes no commands.")],
        ),
        Commands::Ready {
            behaviour,
            signatures,
            selected,
        } => {
            let lines = signatures.iter().enumerate().map(|(at, signature)| {
                let is_current = at == *selected;
                let cursor = if is_current { "▸" } else { " " };
                let line = Line::from(format!("{cursor}{signature}"));
                match is_current {
                    true => line.patch_style(app.theme.selected()),
                    false => line,
                }
            });
            (format!("Commands of {behaviour}"), lines.collect())
        }
    };
    frame.render_widget(Paragraph::new(lines).block(block(app, title)), area);
}
