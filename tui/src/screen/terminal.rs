//! The terminal itself: raw mode and the other screen, given back whatever happens.

use crate::exit::Failure;
use crossterm::{
    cursor::Show,
    event::{self, Event, KeyCode, KeyEventKind, KeyModifiers},
    execute, queue,
    terminal::{
        BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
        disable_raw_mode, enable_raw_mode,
    },
};
use ratatui::{Frame, backend::CrosstermBackend};
use std::{
    io::{self, Stdout, Write},
    sync::Once,
};

/// The longest password that is taken from the keyboard.
const PASSWORD_CHARS_MAX: usize = 256;

/// The screen while it is ours; its drop gives it back.
pub(super) struct Terminal {
    inner: ratatui::Terminal<CrosstermBackend<Stdout>>,
}

impl Terminal {
    pub(super) fn open() -> Result<Self, Failure> {
        restore_on_panic();
        enable_raw_mode()?;
        let inner = execute!(io::stdout(), EnterAlternateScreen)
            .and_then(|()| ratatui::Terminal::new(CrosstermBackend::new(io::stdout())));
        match inner {
            Ok(inner) => Ok(Terminal { inner }),
            Err(error) => {
                restore();
                Err(error.into())
            }
        }
    }

    /// Draws one frame, inside a synchronized update (DEC mode 2026): a terminal that knows it
    /// shows the frame whole, others ignore the mode.
    pub(super) fn draw(&mut self, render: impl FnOnce(&mut Frame<'_>)) -> Result<(), Failure> {
        queue!(io::stdout(), BeginSynchronizedUpdate)?;
        let drawn = self.inner.draw(render).map(|_| ());
        execute!(io::stdout(), EndSynchronizedUpdate)?;
        Ok(drawn?)
    }

    /// Rings its bell.
    pub(super) fn ring(&mut self) -> Result<(), Failure> {
        let mut out = io::stdout();
        out.write_all(b"\x07")?;
        Ok(out.flush()?)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back; what fails here has nobody left to be told.
fn restore() {
    let _ = execute!(
        io::stdout(),
        EndSynchronizedUpdate,
        LeaveAlternateScreen,
        Show
    );
    let _ = disable_raw_mode();
}

/// A panic's message must land on a terminal that shows it.
fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            restore();
            before(info);
        }));
    });
}

/// Leaves raw mode with its drop.
struct Raw;

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = disable_raw_mode();
    }
}

/// Asks for a password without showing it; `None` when the person interrupts.
pub(crate) fn password(prompt: &str) -> Result<Option<String>, Failure> {
    restore_on_panic();
    // Before the prompt: whoever types at once must not see his password either.
    enable_raw_mode()?;
    let raw = Raw;
    let mut out = io::stderr().lock();
    write!(out, "{prompt}")?;
    out.flush()?;
    let mut password = String::new();
    let taken = loop {
        let Event::Key(key) = event::read()? else {
            continue;
        };
        if key.kind == KeyEventKind::Release {
            continue;
        }
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Enter => break Some(password),
            KeyCode::Char('c' | 'd') if is_control => break None,
            KeyCode::Char('u') if is_control => password.clear(),
            KeyCode::Backspace => _ = password.pop(),
            KeyCode::Char(c) if !is_control && password.chars().count() < PASSWORD_CHARS_MAX => {
                password.push(c);
            }
            _ => {}
        }
    };
    drop(raw);
    writeln!(out)?;
    Ok(taken)
}
