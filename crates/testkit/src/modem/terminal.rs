//! The scripted modem on a pseudo-terminal, for programs that open one.

use super::{machine::ScriptedModem, options::ModemOptions};
use crate::pseudo_terminal::{open_terminal, timeout};
use anyhow::{Context, Result};
use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, eventfd, poll},
    io::{Errno, read, write},
};
use std::{
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// How finely time passes, and how often it is looked for somebody who opens the terminal: the kernel tells nobody.
const STEP: Duration = Duration::from_millis(1);
const OPENED_CHECK: Duration = Duration::from_millis(5);

/// A scripted modem whose line is a pseudo-terminal. Dropping it takes the modem away.
pub struct ModemOnTerminal {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    _folder: TempDir,
}

struct Shared {
    line: Mutex<Line>,
    wake: OwnedFd,
    begin: Instant,
    path: PathBuf,
}

struct Line {
    modem: ScriptedModem,
    /// The modem's end of the terminal while it is plugged in.
    terminal: Option<Arc<OwnedFd>>,
    /// What the terminal has had no room for.
    unwritten: Vec<u8>,
    has_ended: bool,
}

impl ModemOnTerminal {
    /// A modem that is plugged in.
    ///
    /// # Errors
    /// When the system has no terminal to give.
    pub fn start(options: ModemOptions) -> Result<Self> {
        let folder = tempfile::tempdir().context("making a folder for the terminal's name")?;
        let path = folder.path().join("ttyMODEM");
        let shared = Arc::new(Shared {
            line: Mutex::new(Line {
                modem: ScriptedModem::new(options),
                terminal: Some(Arc::new(open_terminal(&path)?)),
                unwritten: Vec::new(),
                has_ended: false,
            }),
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
                .context("making an event")?,
            begin: Instant::now(),
            path,
        });
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("scripted modem".into())
            .spawn(move || of_thread.run())
            .context("starting the modem's thread")?;
        Ok(ModemOnTerminal {
            shared,
            thread: Some(thread),
            _folder: folder,
        })
    }

    /// What a program opens. It is gone while the modem is unplugged, and the same when it is plugged in again.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Pulls the modem out: whoever has the terminal open sees its end. It loses its power with that.
    pub fn unplug(&self) {
        let mut line = self.shared.lock();
        let now = self.shared.begin.elapsed();
        line.modem.restart(now);
        // The path goes first, since the system gives the terminal's name to the next who asks for one.
        let _ = std::fs::remove_file(&self.shared.path);
        line.terminal = None;
        line.unwritten.clear();
        drop(line);
        self.shared.wake();
    }

    /// Puts it in again.
    ///
    /// # Errors
    /// When the system has no terminal to give.
    pub fn plug(&self) -> Result<()> {
        let mut line = self.shared.lock();
        if line.terminal.is_none() {
            line.terminal = Some(Arc::new(open_terminal(&self.shared.path)?));
        }
        drop(line);
        self.shared.wake();
        Ok(())
    }

    /// Does something with the modem, at its time.
    pub fn with<T>(&self, act: impl FnOnce(&mut ScriptedModem, Duration) -> T) -> T {
        let mut line = self.shared.lock();
        let outcome = act(&mut line.modem, self.shared.begin.elapsed());
        drop(line);
        self.shared.wake();
        outcome
    }

    /// Waits until the modem is as it should be.
    ///
    /// # Errors
    /// When it never is.
    pub fn wait_for(&self, what: &str, is_so: impl Fn(&ScriptedModem) -> bool) -> Result<()> {
        crate::wait_until(what, || self.with(|modem, _| is_so(modem).then_some(())))
    }
}

impl Drop for ModemOnTerminal {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.shared.path);
        self.shared.lock().has_ended = true;
        self.shared.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        // It fails only when it has been written so often that the thread is sure to wake.
        let _ = write(&self.wake, &1_u64.to_ne_bytes());
    }

    /// What the thread does: as time passes, and as bytes come.
    fn run(&self) {
        loop {
            let mut line = self.lock();
            if line.has_ended {
                return;
            }
            let now = self.begin.elapsed();
            let is_open = line.serve(now);
            let due = line.modem.next_due();
            let terminal = line.terminal.clone();
            let wanted = line.wanted();
            drop(line);
            let mut wait = due.map(|due| due.saturating_sub(now).max(STEP));
            let mut asked = vec![PollFd::new(&self.wake, PollFlags::IN)];
            match &terminal {
                Some(terminal) if is_open => asked.push(PollFd::new(terminal, wanted)),
                // A terminal that nobody has open is ready at all times, and must not be asked.
                Some(_) => wait = Some(wait.unwrap_or(OPENED_CHECK).min(OPENED_CHECK)),
                None => {}
            }
            let _ = poll(&mut asked, wait.map(timeout).as_ref());
            let mut count = [0; 8];
            let _ = read(&self.wake, &mut count);
        }
    }
}

impl Line {
    fn wanted(&self) -> PollFlags {
        match self.unwritten.is_empty() {
            true => PollFlags::IN,
            false => PollFlags::IN | PollFlags::OUT,
        }
    }

    /// Carries bytes between the modem and the terminal. Says whether anybody has the terminal open.
    fn serve(&mut self, now: Duration) -> bool {
        let Some(terminal) = self.terminal.clone() else {
            return false;
        };
        let mut asked = [PollFd::new(&*terminal, self.wanted())];
        let _ = poll(&mut asked, Some(&timeout(Duration::ZERO)));
        let events = asked[0].revents();
        if events.contains(PollFlags::IN) {
            let mut bytes = [0; 4_096];
            if let Ok(count) = read(&*terminal, &mut bytes) {
                self.modem
                    .receive(now, bytes.get(..count).unwrap_or_default());
            }
        }
        let said = self.modem.transmit(now);
        self.unwritten.extend(said);
        if events.contains(PollFlags::HUP) {
            // Nobody listens: what is said is lost, as it is on a real line.
            self.unwritten.clear();
        }
        while !self.unwritten.is_empty() {
            match write(&*terminal, &self.unwritten) {
                Ok(count) => drop(self.unwritten.drain(..count)),
                Err(Errno::AGAIN) => break,
                Err(_) => self.unwritten.clear(),
            }
        }
        !events.contains(PollFlags::HUP)
    }
}
