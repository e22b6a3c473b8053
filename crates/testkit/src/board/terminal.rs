//! The board on a pseudo-terminal, for programs that open one.

use super::{
    flash::Flash,
    machine::{Board, BoardState, Counts},
    options::BoardOptions,
};
use crate::pseudo_terminal::{open_terminal, timeout};
use anyhow::{Context, Result};
use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, eventfd, poll},
    io::{Errno, read, write},
    termios::tcgetattr,
};
use std::{
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// What is read at a time.
const BYTES_AT_A_TIME: usize = 4_096;
/// How much is read ahead of what has passed on the line: more than is read at a time, so that the line does
/// not rest while there is more.
const BYTES_AHEAD_MAX: usize = 2 * BYTES_AT_A_TIME;
/// What is kept for a program that does not read; a real line keeps less.
const BYTES_UNWRITTEN_MAX: usize = 1 << 20;
/// How finely time passes: a frame of USB.
const STEP: Duration = Duration::from_millis(1);
/// How often it is looked for somebody who opens the terminal; the kernel tells nobody.
const OPENED_CHECK: Duration = Duration::from_millis(5);
/// How long a button is held.
const PRESS: Duration = Duration::from_millis(2);

/// A board whose line is a pseudo-terminal. Such a line has a rate, which is followed, but no modem lines: the
/// wiring is by hand. Dropping it takes the board away.
pub struct BoardOnTerminal {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    folder: TempDir,
}

struct Shared {
    line: Mutex<Line>,
    wake: OwnedFd,
    begin: Instant,
    path: PathBuf,
}

struct Line {
    board: Board,
    /// The board's end of the terminal while the cable is in.
    terminal: Option<Arc<OwnedFd>>,
    /// What the terminal has had no room for.
    unwritten: Vec<u8>,
    has_ended: bool,
}

impl BoardOnTerminal {
    /// A board with power, its flash blank.
    ///
    /// # Errors
    /// When the system has no terminal to give.
    pub fn start(options: BoardOptions) -> Result<Self> {
        let folder = tempfile::tempdir().context("making a folder for the terminal's name")?;
        let shared = Arc::new(Shared {
            line: Mutex::new(Line {
                board: Board::new(options),
                terminal: None,
                unwritten: Vec::new(),
                has_ended: false,
            }),
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
                .context("making an event")?,
            begin: Instant::now(),
            path: folder.path().join("ttyBOARD"),
        });
        let mut line = shared.lock();
        line.terminal = Some(Arc::new(open_terminal(&shared.path)?));
        line.board.power(Duration::ZERO, true);
        drop(line);
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("board".into())
            .spawn(move || of_thread.run())
            .context("starting the board's thread")?;
        Ok(BoardOnTerminal {
            shared,
            thread: Some(thread),
            folder,
        })
    }

    /// What a program opens. It is gone while the cable is out, and the same when it is put in again.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// The folder in which the path lies: it may hold more that goes with the board.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Switches the power.
    pub fn power(&self, is_on: bool) {
        self.with(|board, now| board.power(now, is_on));
    }

    /// Connects GPIO0 to ground, or takes the jumper out.
    pub fn jumper(&self, is_in: bool) {
        self.with(|board, now| board.jumper(now, is_in));
    }

    /// Presses the reset button and lets it go.
    pub fn press_reset(&self) {
        self.with(|board, now| board.reset(now, true));
        std::thread::sleep(PRESS);
        self.with(|board, now| board.reset(now, false));
    }

    /// Sets the jumper and presses reset: the board is in download mode after that.
    ///
    /// # Errors
    /// When it does not get there.
    pub fn enter_download(&self) -> Result<()> {
        self.jumper(true);
        self.press_reset();
        self.wait_for("download mode", |board| {
            board.state() == BoardState::Download
        })
    }

    /// Pulls the cable: whoever has the terminal open sees its end.
    pub fn unplug(&self) {
        self.with(|board, now| board.unplug(now));
    }

    /// Puts the cable in again.
    ///
    /// # Errors
    /// When the system has no terminal to give.
    pub fn plug(&self) -> Result<()> {
        let mut line = self.shared.lock();
        if !line.board.is_plugged() || line.terminal.is_none() {
            line.unwritten.clear();
            line.terminal = Some(Arc::new(open_terminal(&self.shared.path)?));
            line.board.plug(self.shared.begin.elapsed());
        }
        drop(line);
        self.shared.wake();
        Ok(())
    }

    /// What the board is doing.
    pub fn state(&self) -> BoardState {
        self.with(|board, _| board.state())
    }

    /// What has been counted.
    pub fn counts(&self) -> Counts {
        self.with(|board, _| board.counts())
    }

    /// What the flash holds.
    pub fn flash(&self) -> Vec<u8> {
        self.with(|board, _| board.flash().bytes().to_vec())
    }

    /// The flash, to be changed from outside.
    pub fn change_flash(&self, change: impl FnOnce(&mut Flash)) {
        self.with(|board, _| change(board.flash_mut()));
    }

    /// Does something with the board, at its time.
    pub fn with<T>(&self, act: impl FnOnce(&mut Board, Duration) -> T) -> T {
        let mut line = self.shared.lock();
        let now = self.shared.begin.elapsed();
        line.board.advance(now);
        let outcome = act(&mut line.board, now);
        drop(line);
        self.shared.wake();
        outcome
    }

    /// Waits until the board is as it should be.
    ///
    /// # Errors
    /// When it never is.
    pub fn wait_for(&self, what: &str, is_so: impl Fn(&Board) -> bool) -> Result<()> {
        crate::wait_until(what, || self.with(|board, _| is_so(board).then_some(())))
    }
}

impl Drop for BoardOnTerminal {
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
            let is_open = line.serve(now, &self.path);
            let terminal = line.terminal.clone();
            let wanted = line.wanted();
            let due = line.board.next_due();
            drop(line);
            let wait = due.map(|due| due.saturating_sub(now).max(STEP));
            self.wait(terminal.as_deref(), is_open, wanted, wait);
        }
    }

    /// Waits for the terminal, for a call, or for the time to pass.
    fn wait(
        &self,
        terminal: Option<&OwnedFd>,
        is_open: bool,
        wanted: PollFlags,
        wait: Option<Duration>,
    ) {
        let mut asked = vec![PollFd::new(&self.wake, PollFlags::IN)];
        let mut wait = wait;
        match terminal {
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

impl Line {
    /// What the terminal is to be waited for.
    fn wanted(&self) -> PollFlags {
        let mut wanted = PollFlags::empty();
        if self.board.backlog() < BYTES_AHEAD_MAX {
            wanted |= PollFlags::IN;
        }
        if !self.unwritten.is_empty() {
            wanted |= PollFlags::OUT;
        }
        wanted
    }

    /// Lets the board go on to this time, and carries bytes between it and the terminal. Says whether anybody
    /// has the terminal open.
    fn serve(&mut self, now: Duration, path: &Path) -> bool {
        self.board.advance(now);
        let Some(terminal) = self.terminal.clone() else {
            return false;
        };
        let mut asked = [PollFd::new(&*terminal, self.wanted())];
        let _ = poll(&mut asked, Some(&timeout(Duration::ZERO)));
        let events = asked[0].revents();
        // The rate is looked at before the bytes that were written after it was set.
        if let Ok(settings) = tcgetattr(&*terminal) {
            self.board.host_baud(settings.output_speed());
        }
        if events.contains(PollFlags::IN) {
            let mut bytes = [0; BYTES_AT_A_TIME];
            if let Ok(count) = read(&*terminal, &mut bytes) {
                let bytes = bytes.get(..count).unwrap_or_default();
                self.board.receive(now, bytes);
            }
        }
        let said = self.board.transmit(now);
        self.unwritten.extend(said);
        self.unwritten.truncate(BYTES_UNWRITTEN_MAX);
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
        if !self.board.is_plugged() {
            // Nobody else holds it but this call: with it, the peer sees the end. The path goes first, since
            // the system gives the terminal's name to the next who asks for one.
            let _ = std::fs::remove_file(path);
            self.terminal = None;
            self.unwritten.clear();
        }
        self.terminal.is_some() && !events.contains(PollFlags::HUP)
    }
}
