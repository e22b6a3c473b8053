//! The monitor on a line: reads, follows the rate, resets.

use std::{
    io::{self, ErrorKind},
    time::Duration,
};

use super::{Heard, Monitor};
use crate::{
    line::{Line, Signals},
    reset::Wiring,
};

/// What is read at a time.
const BYTES_AT_A_TIME: usize = 4_096;
/// So often what came at the old rate is taken off before the rate changes; a line that never rests is not waited for.
const DRAINED_MAX: usize = 8;

/// A [`Monitor`] and the time of its line.
#[derive(Debug)]
pub struct Listener {
    monitor: Monitor,
    /// What the line's own time is to be added to: a line that was opened anew begins anew.
    offset: Duration,
    last: Duration,
}

impl Listener {
    /// One whose line has just been opened, at the rate of [`baud`](Self::baud).
    pub fn new(monitor: Monitor) -> Self {
        Listener {
            monitor,
            offset: Duration::ZERO,
            last: Duration::ZERO,
        }
    }

    /// The rate at which a line is to be opened.
    pub fn baud(&self) -> u32 {
        self.monitor.baud_wanted()
    }

    /// Waits at most that long, and gives what was heard.
    ///
    /// # Errors
    /// When the line is gone; then [`gone`](Self::gone) has the rest.
    pub fn listen(&mut self, line: &mut impl Line, patience: Duration) -> io::Result<Vec<Heard>> {
        let now = self.now(line);
        let due = self.monitor.next_due().map(|due| due.saturating_sub(now));
        let mut bytes = [0; BYTES_AT_A_TIME];
        let count = line.read(&mut bytes, due.map_or(patience, |due| due.min(patience)))?;
        let now = self.now(line);
        let bytes = bytes.get(..count).unwrap_or_default();
        let mut heard = self.monitor.receive(now, bytes);
        self.follow(line, &mut heard)?;
        Ok(heard)
    }

    /// Resets the board by RTS, and listens for its ROM.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where the line has no such output; anything else: it is gone.
    pub fn reset(&mut self, line: &mut impl Line) -> io::Result<Vec<Heard>> {
        // A line without outputs says so before the rate changes.
        line.set_signals(Signals::default())?;
        let now = self.now(line);
        self.monitor.restarting(now);
        let mut heard = Vec::new();
        self.follow(line, &mut heard)?;
        Wiring::default().leave(line)?;
        Ok(heard)
    }

    /// The line is gone: what was begun ends here.
    pub fn gone(&mut self) -> Vec<Heard> {
        self.monitor.gone(self.last)
    }

    /// The line is another one, opened at the rate of [`baud`](Self::baud), after so much time without one.
    pub fn back(&mut self, line: &impl Line, away: Duration) {
        self.offset = (self.last + away).saturating_sub(line.now());
        let now = self.now(line);
        self.monitor.back(now);
    }

    fn now(&mut self, line: &impl Line) -> Duration {
        self.last = self.last.max(self.offset + line.now());
        self.last
    }

    /// Changes the rate, if another one is wanted.
    fn follow(&mut self, line: &mut impl Line, heard: &mut Vec<Heard>) -> io::Result<()> {
        if self.monitor.baud_wanted() == self.monitor.baud {
            return Ok(());
        }
        if self.monitor.is_unreadable() {
            // What was sampled at the old rate is no text at the new one.
            let mut bytes = [0; BYTES_AT_A_TIME];
            for _ in 0..DRAINED_MAX {
                let count = line.read(&mut bytes, Duration::ZERO)?;
                if count == 0 {
                    break;
                }
                let now = self.now(line);
                heard.extend(
                    self.monitor
                        .receive(now, bytes.get(..count).unwrap_or_default()),
                );
            }
        }
        let set = line.set_baud(self.monitor.baud_wanted());
        let now = self.now(line);
        match set {
            Ok(()) => heard.extend(self.monitor.switched(now)),
            // Not every adapter can do every rate.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::InvalidInput | ErrorKind::Unsupported
                ) =>
            {
                heard.extend(self.monitor.refused(now));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
