//! The console's screen on a pseudo-terminal, read as a person would.

use anyhow::{Context, Result, anyhow};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::{
    ffi::OsStr,
    io::{Read, Write},
    path::Path,
    sync::{Arc, Mutex},
};
use switchyard_testkit::{Console, wait_until};

const ROWS: u16 = 24;
const COLUMNS: u16 = 80;

/// A console somebody sits at.
pub(crate) struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    keyboard: Box<dyn Write + Send>,
    screen: Arc<Mutex<vt100::Parser>>,
    /// Closing it would hang the console up.
    _master: Box<dyn MasterPty + Send>,
}

impl Terminal {
    /// Opens the console's screen in 80×24.
    pub(crate) fn open(console: &Console) -> Result<Self> {
        Self::open_with(console, &[])
    }

    /// The same with something more in its environment.
    pub(crate) fn open_with(console: &Console, environment: &[(&str, &OsStr)]) -> Result<Self> {
        let size = PtySize {
            rows: ROWS,
            cols: COLUMNS,
            pixel_width: 0,
            pixel_height: 0,
        };
        let pair = native_pty_system()
            .openpty(size)
            .map_err(|error| anyhow!("{error:#}"))?;
        let plain = console.command(&[]);
        let mut command = CommandBuilder::new(plain.get_program());
        for (name, value) in plain.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        command.env("TERM", "xterm-256color");
        for (name, value) in environment {
            command.env(name, value);
        }
        let child = pair
            .slave
            .spawn_command(command)
            .map_err(|error| anyhow!("{error:#}"))?;
        let keyboard = pair
            .master
            .take_writer()
            .map_err(|error| anyhow!("{error:#}"))?;
        let mut output = pair
            .master
            .try_clone_reader()
            .map_err(|error| anyhow!("{error:#}"))?;
        let screen = Arc::new(Mutex::new(vt100::Parser::new(ROWS, COLUMNS, 0)));
        let seen = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut chunk) {
                seen.lock().unwrap().process(&chunk[..count]);
            }
        });
        Ok(Terminal {
            child,
            keyboard,
            screen,
            _master: pair.master,
        })
    }

    /// What the screen shows.
    pub(crate) fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    /// Waits until some line of the screen bears all of these words.
    pub(crate) fn shows(&self, words: &[&str]) -> Result<()> {
        let on_one_line = |text: &str| {
            text.lines()
                .any(|line| words.iter().all(|word| line.contains(word)))
        };
        wait_until(&format!("{words:?} on the console"), || {
            on_one_line(&self.text()).then_some(())
        })
        .with_context(|| format!("the screen is:\n{}", self.text()))
    }

    /// Whether the console has ended by itself, and well.
    pub(crate) fn has_ended(&mut self) -> Option<bool> {
        let status = self.child.try_wait().ok()??;
        Some(status.success())
    }

    /// Presses keys.
    pub(crate) fn press(&mut self, keys: &str) -> Result<()> {
        self.keyboard.write_all(keys.as_bytes())?;
        Ok(self.keyboard.flush()?)
    }

    /// Keeps what the screen shows, as text.
    pub(crate) fn shot(&self, file: &Path) -> Result<()> {
        Ok(std::fs::write(file, self.text())?)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
