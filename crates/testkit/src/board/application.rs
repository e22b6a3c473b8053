//! What runs on the chip once a good image has been loaded.

use super::{boot::StartCause, flash::Flash};
use std::time::Duration;

/// Why an application starts the chip anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// It wants to. The pins are not looked at again: after a download with the jumper in, the chip ends in
    /// download mode once more, as real ones do until somebody presses reset.
    Commanded,
    /// It hung until the watchdog bit.
    Watchdog,
    /// It failed: the chip says nothing more until the watchdog bites.
    Hang,
}

/// The serial side of a firmware, without I/O of its own.
pub trait Application: Send {
    /// Runs: once when it is started, then whenever bytes have arrived or [`next_due`](Self::next_due) has
    /// come. It must take all of what it is given.
    fn run(&mut self, chip: &mut ChipAccess<'_>, received: &[u8]);

    /// When it wants to run again even if nothing arrives.
    fn next_due(&self) -> Option<Duration>;
}

/// What an application has to do with.
pub struct ChipAccess<'a> {
    pub(super) now: Duration,
    pub(super) cause: StartCause,
    pub(super) mac: [u8; 6],
    pub(super) flash: &'a mut Flash,
    pub(super) output: Vec<u8>,
    pub(super) baud: &'a mut u32,
    pub(super) restart: Option<Restart>,
}

impl ChipAccess<'_> {
    /// The time; it moves on with whatever is done to the flash. Meanwhile nobody empties the receiver, which
    /// holds 128 bytes.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// Why the chip has started.
    pub fn cause(&self) -> StartCause {
        self.cause
    }

    /// The station's hardware address, as the chip's fuses have it.
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// Sends bytes to the host.
    pub fn send(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
    }

    /// The flash, to be read.
    pub fn flash(&self) -> &Flash {
        self.flash
    }

    /// Erases the sector in which the address lies.
    pub fn erase_sector(&mut self, offset: u32) {
        self.now = self.flash.erase_sector(self.now, offset);
    }

    /// Programs bytes.
    pub fn program(&mut self, offset: u32, bytes: &[u8]) {
        self.now = self.flash.program(self.now, offset, bytes);
    }

    /// Sets its rate on the line. It is 115,200 at first.
    pub fn set_baud(&mut self, baud: u32) {
        *self.baud = baud;
    }

    /// Starts the chip anew, after this run.
    pub fn restart(&mut self, why: Restart) {
        self.restart = Some(why);
    }
}

/// An application for tests of everything else: it says that it is there, and says every line again.
#[derive(Debug, Default)]
pub struct BannerApplication {
    has_started: bool,
    line: Vec<u8>,
}

impl BannerApplication {
    /// What it says first.
    pub const BANNER: &str = "switchyard board: ready\r\n";
    /// Longer lines are said again in parts.
    const LINE_BYTES_MAX: usize = 200;
}

impl Application for BannerApplication {
    fn run(&mut self, chip: &mut ChipAccess<'_>, received: &[u8]) {
        if !std::mem::replace(&mut self.has_started, true) {
            chip.send(Self::BANNER.as_bytes());
        }
        for byte in received {
            self.line.push(*byte);
            if *byte == b'\n' || self.line.len() == Self::LINE_BYTES_MAX {
                chip.send(&std::mem::take(&mut self.line));
            }
        }
    }

    fn next_due(&self) -> Option<Duration> {
        None
    }
}
