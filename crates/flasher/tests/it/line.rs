//! A line whose board is simulated, and its time with it.

use std::{io, time::Duration};

use switchyard_flasher::{Line, Signals};
use switchyard_testkit::board::{Board, BoardOptions, Lines};

/// A board on a line. Time passes as the line is waited on.
pub(crate) struct SimulatedLine {
    pub(crate) board: Board,
    now: Duration,
    baud: u32,
    received: Vec<u8>,
}

impl SimulatedLine {
    /// With the board powered, its jumper in or not.
    pub(crate) fn new(options: BoardOptions, is_jumper_in: bool) -> Self {
        let mut line = SimulatedLine {
            board: Board::new(options),
            now: Duration::ZERO,
            baud: 115_200,
            received: Vec::new(),
        };
        line.board.jumper(line.now, is_jumper_in);
        line.board.power(line.now, true);
        line
    }

    /// As a person who powers it anew.
    pub(crate) fn power_cycle(&mut self) {
        self.board.plug(self.now);
        self.board.power(self.now, false);
        self.pass(Duration::from_secs(1));
        self.board.power(self.now, true);
        self.received.clear();
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let due = self.board.next_due().filter(|&due| due < end);
            self.now = self.now.max(due.unwrap_or(end));
            self.take();
            if due.is_none() {
                return;
            }
        }
    }

    fn take(&mut self) {
        self.board.advance(self.now);
        let bytes = self.board.transmit(self.now);
        self.received.extend(bytes);
    }

    fn plugged(&self) -> io::Result<()> {
        if self.board.is_plugged() {
            Ok(())
        } else {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }
}

impl Line for SimulatedLine {
    fn read(&mut self, into: &mut [u8], patience: Duration) -> io::Result<usize> {
        let deadline = self.now + patience;
        loop {
            self.take();
            if !self.received.is_empty() {
                let count = self.received.len().min(into.len());
                into[..count].copy_from_slice(&self.received[..count]);
                self.received.drain(..count);
                return Ok(count);
            }
            self.plugged()?;
            if self.now >= deadline {
                return Ok(0);
            }
            // At least a little, should something be due now that brings nothing.
            let due = self.board.next_due().unwrap_or(deadline);
            self.now = due.max(self.now + Duration::from_micros(10)).min(deadline);
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.plugged()?;
        self.board.host_baud(self.baud);
        self.board.receive(self.now, bytes);
        Ok(())
    }

    fn set_baud(&mut self, baud: u32) -> io::Result<()> {
        self.plugged()?;
        // What was written has left by then.
        while self.board.backlog() > 0 {
            let Some(due) = self.board.next_due() else {
                break;
            };
            self.now = self.now.max(due);
            self.take();
        }
        self.baud = baud;
        self.board.host_baud(baud);
        Ok(())
    }

    fn set_signals(&mut self, signals: Signals) -> io::Result<()> {
        self.plugged()?;
        let (dtr, rts) = (signals.dtr, signals.rts);
        self.board.lines(self.now, Lines { dtr, rts });
        Ok(())
    }

    fn discard(&mut self) -> io::Result<()> {
        self.plugged()?;
        self.take();
        self.received.clear();
        Ok(())
    }

    fn wait(&mut self, time: Duration) {
        self.pass(time);
    }

    fn now(&self) -> Duration {
        self.now
    }
}
