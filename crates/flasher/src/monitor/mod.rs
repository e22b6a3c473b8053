//! A board's serial line as a person wants to read it: bytes and time go in, and lines come out, with what they mean.
//!
//! - [`Monitor`] is all of it without I/O; [`Listener`] drives it over a [`Line`](crate::Line).
//! - [`Heard`] is what comes out: lines, packets, and [`Finding`]s in plain words.
//! - [`Symbols`] brings addresses of code back to functions and lines.
//!
//! The rate follows the board. Its ROM speaks at [`BAUD_BOOT_LOG`], applications speak at [`BAUD_APPLICATION`], and which of
//! them does is told by what arrives. What was read at the wrong rate is given as such, not as lines.

mod boot;
mod crash;
mod garbled;
mod lines;
mod listener;
mod packets;
mod rate;
mod symbols;
#[cfg(test)]
mod tests;

use std::time::Duration;

use switchyard_protocol::serial::{Parser, QUIET_MAX, Received};

pub use boot::{Banner, Start};
pub use crash::{CodeAddress, CodeRegion, Exception, Registers, Stack};
pub use lines::{LINE_BYTES_MAX, LineEnd};
pub use listener::Listener;
pub use rate::{BAUD_APPLICATION, BAUD_BOOT_LOG, RateReason};
pub use symbols::{ELF_BYTES_MAX, Place, Symbols};

use crash::{Crash, Crashes};
use lines::{Lines, Piece, plain};
use rate::Follower;

/// Bytes of a row of a dump.
pub const ROW_BYTES: usize = 16;
/// A row that is not full is shown after so long.
const ROW_PAUSE: Duration = Duration::from_millis(100);
/// Of what is unreadable so much is kept: the ROM's first line is somewhere in it.
const UNREADABLE_BYTES_MAX: usize = 512;

/// How to listen.
#[derive(Debug, Default)]
pub struct MonitorOptions {
    /// Listen at this rate and no other.
    pub baud: Option<u32>,
    /// Give rows of bytes instead of lines and packets.
    pub gives_rows: bool,
    /// What the addresses in crashes mean.
    pub symbols: Option<Symbols>,
}

/// Something that was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// When: of a line, when its first byte came.
    pub at: Duration,
    /// What.
    pub what: What,
}

/// What was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// A line, safe to be shown: what is no text in it is written as `\xNN`.
    Line {
        /// Without its end.
        text: String,
        /// How it ended.
        end: LineEnd,
    },
    /// A packet between lines, in words, without what is secret in it.
    Packet {
        /// The words.
        text: String,
    },
    /// Bytes, where those were asked for.
    Row {
        /// How many came before it.
        offset: u64,
        /// [`ROW_BYTES`] of them, or fewer before a pause.
        bytes: Vec<u8>,
    },
    /// Bytes that are nothing at the rate at which they were read.
    Unreadable {
        /// How many.
        bytes: u64,
        /// The rate.
        baud: u32,
    },
    /// The rate is another one from here on.
    Rate {
        /// Which.
        baud: u32,
        /// Why.
        reason: RateReason,
    },
    /// What a line means.
    Finding(Finding),
}

/// What lines mean.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// The chip starts.
    Start(Start),
    /// The ROM says that it was the hardware's watchdog.
    HardwareWatchdog,
    /// The software's own watchdog ended a program that hung.
    SoftwareWatchdog,
    /// There is no image that boots.
    NoImage,
    /// The image is damaged.
    ChecksumWrong,
    /// Our firmware runs.
    Banner(Banner),
    /// A crash.
    Exception(Exception),
    /// A stack, as it was at a crash.
    Stack(Stack),
}

impl Finding {
    /// A stable word for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Finding::Start(_) => "start",
            Finding::HardwareWatchdog => "hardware_watchdog",
            Finding::SoftwareWatchdog => "software_watchdog",
            Finding::NoImage => "no_image",
            Finding::ChecksumWrong => "checksum_wrong",
            Finding::Banner(_) => "banner",
            Finding::Exception(_) => "exception",
            Finding::Stack(_) => "stack",
        }
    }

    /// It in plain words: one line, of a stack several.
    pub fn words(&self) -> Vec<String> {
        let words = match self {
            Finding::Start(start) => start.words(),
            Finding::HardwareWatchdog => {
                "the hardware's watchdog had bitten: the software hung, or nothing that boots was found".to_owned()
            }
            Finding::SoftwareWatchdog => "the software's own watchdog bit: one piece of work took too long".to_owned(),
            Finding::NoImage => {
                "there is no image that boots: the flash is blank or damaged at its beginning, or its mode is one that this \
                 board's wiring cannot do (DOUT is the one that every board can). Write the firmware again"
                    .to_owned()
            }
            Finding::ChecksumWrong => {
                "the image in flash is damaged: its sum is wrong. Write the firmware again".to_owned()
            }
            Finding::Banner(banner) => banner.words(),
            Finding::Exception(exception) => exception.words(),
            Finding::Stack(stack) => return stack_words(stack),
        };
        vec![words]
    }
}

fn stack_words(stack: &Stack) -> Vec<String> {
    let (count, cut) = (
        stack.addresses.len(),
        if stack.is_cut { " and more" } else { "" },
    );
    let broken = if stack.is_broken {
        " (its end did not come)"
    } else {
        ""
    };
    let mut words = vec![format!(
        "addresses of code on the stack{broken}: {count}{cut}"
    )];
    words.extend(stack.addresses.iter().map(|it| format!("  {}", it.words())));
    words
}

/// What was read at a rate that is being left.
#[derive(Debug)]
struct Stale {
    at: Duration,
    baud: u32,
    kept: Vec<u8>,
    bytes: u64,
}

/// Hears a board out. Time may be since any beginning, and never runs backwards. What it holds is bounded, whatever comes.
#[derive(Debug)]
pub struct Monitor {
    follower: Follower,
    parser: Parser,
    lines: Lines,
    crashes: Crashes,
    symbols: Option<Symbols>,
    /// Since when a packet may be waiting for its rest.
    last: Duration,
    /// The rate is to change, and what comes until it does is unreadable.
    stale: Option<Stale>,
    /// The rate that the line has.
    baud: u32,
    reason: RateReason,
    row: Option<Row>,
}

#[derive(Debug, Default)]
struct Row {
    offset: u64,
    begun: Duration,
    last: Duration,
    held: Vec<u8>,
}

impl Monitor {
    /// One that has heard nothing yet.
    pub fn new(options: MonitorOptions) -> Self {
        let follower = Follower::new(options.baud);
        Monitor {
            baud: follower.baud(),
            follower,
            parser: Parser::default(),
            lines: Lines::default(),
            crashes: Crashes::default(),
            symbols: options.symbols,
            last: Duration::ZERO,
            stale: None,
            reason: RateReason::LogOver,
            row: options.gives_rows.then(Row::default),
        }
    }

    /// The rate at which the line is to be read from now on. Once it is: [`switched`](Self::switched).
    pub fn baud_wanted(&self) -> u32 {
        self.follower.baud()
    }

    /// Whether what is still to be read at the old rate is worth nothing.
    pub fn is_unreadable(&self) -> bool {
        self.stale.is_some()
    }

    /// The board is about to be reset: the ROM speaks next.
    pub fn restarting(&mut self, now: Duration) {
        self.follower.restart(now);
        self.reason = RateReason::Reset;
    }

    /// When [`pass`](Self::pass) has something to do even if nothing comes.
    pub fn next_due(&self) -> Option<Duration> {
        let packet = self.parser.is_waiting().then(|| self.last + QUIET_MAX);
        let row = self.row.as_ref().and_then(Row::due);
        let times = [packet, row, self.lines.due(), self.follower.due()];
        times.into_iter().flatten().min()
    }

    /// Takes bytes that have come.
    pub fn receive(&mut self, now: Duration, bytes: &[u8]) -> Vec<Heard> {
        if bytes.is_empty() {
            return self.pass(now);
        }
        // Not the rate: these bytes were read at the one that the line has had up to now.
        let mut heard = self.pause(now);
        if let Some(row) = &mut self.row {
            row.receive(now, bytes, &mut heard);
        }
        // Before it is fed: what waits for its rest has waited up to now.
        self.last = now;
        let received = self.parser.receive(bytes);
        self.received(now, received, &mut heard);
        heard
    }

    /// Time has passed, and nothing has come.
    pub fn pass(&mut self, now: Duration) -> Vec<Heard> {
        let heard = self.pause(now);
        if self.follower.pass(now) {
            self.reason = RateReason::LogOver;
        }
        heard
    }

    /// What has waited for more goes on without.
    fn pause(&mut self, now: Duration) -> Vec<Heard> {
        let mut heard = Vec::new();
        if let Some(row) = self
            .row
            .as_mut()
            .filter(|it| it.due().is_some_and(|due| due <= now))
        {
            row.end(&mut heard);
        }
        if self.parser.is_waiting() && self.last + QUIET_MAX <= now {
            let received = self.parser.give_up();
            self.received(self.last, received, &mut heard);
        }
        if let Some(piece) = self.lines.pass(now) {
            self.piece(piece, &mut heard);
        }
        heard
    }

    /// The line has the wanted rate.
    pub fn switched(&mut self, now: Duration) -> Vec<Heard> {
        let mut heard = self.end_of_rate();
        let baud = self.follower.baud();
        if baud != self.baud {
            self.baud = baud;
            let reason = self.reason;
            heard.push(Heard {
                at: now,
                what: What::Rate { baud, reason },
            });
        }
        heard
    }

    /// The line cannot do the wanted rate, and keeps the one that it has. Another one is not asked for again.
    pub fn refused(&mut self, now: Duration) -> Vec<Heard> {
        let mut heard = self.end_of_rate();
        self.follower.pin(self.baud);
        let (baud, reason) = (self.baud, RateReason::Refused);
        heard.push(Heard {
            at: now,
            what: What::Rate { baud, reason },
        });
        heard
    }

    /// What was read before the rate changes is all that comes of it.
    fn end_of_rate(&mut self) -> Vec<Heard> {
        let mut heard = Vec::new();
        let waiting = self.parser.give_up();
        self.received(self.last, waiting, &mut heard);
        if let Some(stale) = self.stale.take() {
            heard.push(Heard {
                at: stale.at,
                what: What::Unreadable {
                    bytes: stale.bytes,
                    baud: stale.baud,
                },
            });
            let start = (stale.baud == BAUD_APPLICATION).then(|| garbled::recognise(&stale.kept));
            if let Some(start) = start.flatten() {
                self.found(stale.at, Finding::Start(start), &mut heard);
            }
        } else if let Some(piece) = self.lines.end() {
            self.piece(piece, &mut heard);
        }
        heard
    }

    /// The line is gone.
    pub fn gone(&mut self, now: Duration) -> Vec<Heard> {
        let mut heard = Vec::new();
        self.flush(&mut heard);
        if let Some(row) = &mut self.row {
            row.end(&mut heard);
        }
        self.end_crashes(now, &mut heard);
        heard
    }

    /// It is back, opened at the rate that is wanted now.
    pub fn back(&mut self, now: Duration) {
        self.follower.reopened(now);
        self.stale = None;
        self.baud = self.follower.baud();
        self.last = now;
    }

    /// What is held is all that comes of it.
    fn flush(&mut self, heard: &mut Vec<Heard>) {
        let received = self.parser.give_up();
        self.received(self.last, received, heard);
        if let Some(piece) = self.lines.end() {
            self.piece(piece, heard);
        }
    }

    fn received(&mut self, now: Duration, received: Vec<Received>, heard: &mut Vec<Heard>) {
        for received in received {
            match received {
                Received::Text(bytes) => bytes.iter().for_each(|byte| self.byte(now, *byte, heard)),
                Received::Packet(packet) => {
                    self.follower.packet(now);
                    if self.row.is_none() {
                        let text = packets::words(&packet);
                        let what = What::Packet { text };
                        heard.push(Heard { at: now, what });
                    }
                }
            }
        }
    }

    fn byte(&mut self, now: Duration, byte: u8, heard: &mut Vec<Heard>) {
        if let Some(stale) = &mut self.stale {
            return stale.byte(byte);
        }
        let is_wrong_rate = self.follower.byte(now, byte);
        if !is_wrong_rate {
            if let Some(piece) = self.lines.byte(now, byte) {
                self.piece(piece, heard);
            }
            return;
        }
        // What has come of this line so far is as unreadable as the byte by which that shows.
        let begun = self.lines.end();
        let mut stale = Stale {
            at: begun.as_ref().map_or(now, |it| it.at),
            baud: self.baud,
            kept: Vec::new(),
            bytes: 0,
        };
        let begun = begun.map(|it| it.bytes).unwrap_or_default();
        begun
            .into_iter()
            .chain([byte])
            .for_each(|it| stale.byte(it));
        self.stale = Some(stale);
        self.reason = RateReason::Unreadable;
    }

    fn piece(&mut self, piece: Piece, heard: &mut Vec<Heard>) {
        let text = plain(&piece.bytes);
        self.follower.line(&text);
        if self.row.is_none() {
            let (text, end) = (text.clone(), piece.end);
            heard.push(Heard {
                at: piece.at,
                what: What::Line { text, end },
            });
        }
        let at = piece.at;
        let line = text.trim();
        let finding = match line {
            "wdt reset" => Some(Finding::HardwareWatchdog),
            "Soft WDT reset" => Some(Finding::SoftwareWatchdog),
            "csum err" => Some(Finding::ChecksumWrong),
            "ets_main.c" => Some(Finding::NoImage),
            _ => {
                let start = Start::read(line).map(Finding::Start);
                start.or_else(|| Banner::read(line).map(Finding::Banner))
            }
        };
        if let Some(finding) = finding {
            self.found(at, finding, heard);
        }
        let crashes = self.crashes.line(&text, self.symbols.as_ref());
        heard.extend(crashes.into_iter().map(|crash| crashed(at, crash)));
    }

    fn found(&mut self, at: Duration, finding: Finding, heard: &mut Vec<Heard>) {
        if matches!(finding, Finding::Start(_)) {
            self.end_crashes(at, heard);
        }
        let what = What::Finding(finding);
        heard.push(Heard { at, what });
    }

    fn end_crashes(&mut self, at: Duration, heard: &mut Vec<Heard>) {
        let crashes = self.crashes.end(self.symbols.as_ref());
        heard.extend(crashes.into_iter().map(|crash| crashed(at, crash)));
    }
}

impl Stale {
    fn byte(&mut self, byte: u8) {
        self.bytes += 1;
        if self.kept.len() < UNREADABLE_BYTES_MAX {
            self.kept.push(byte);
        }
    }
}

impl Row {
    fn receive(&mut self, now: Duration, bytes: &[u8], heard: &mut Vec<Heard>) {
        self.last = now;
        for byte in bytes {
            if self.held.is_empty() {
                self.begun = now;
            }
            self.held.push(*byte);
            if self.held.len() == ROW_BYTES {
                self.end(heard);
            }
        }
    }

    fn due(&self) -> Option<Duration> {
        (!self.held.is_empty()).then(|| self.last + ROW_PAUSE)
    }

    fn end(&mut self, heard: &mut Vec<Heard>) {
        if self.held.is_empty() {
            return;
        }
        let bytes = std::mem::take(&mut self.held);
        let offset = self.offset;
        self.offset += bytes.len() as u64;
        heard.push(Heard {
            at: self.begun,
            what: What::Row { offset, bytes },
        });
    }
}

fn crashed(at: Duration, crash: Crash) -> Heard {
    let finding = match crash {
        Crash::Exception(exception) => Finding::Exception(exception),
        Crash::Stack(stack) => Finding::Stack(stack),
    };
    Heard {
        at,
        what: What::Finding(finding),
    }
}
