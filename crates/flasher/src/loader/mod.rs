//! The chip's loader: the one in its ROM, and the stub that the ROM can be given for a better one.
//!
//! - `wire`: requests and answers as bytes.
//! - [`Loader`]: one board, spoken to: found, synchronised with, asked.
//! - `memory`, `flash`, `spi`: what is asked.

mod flash;
mod memory;
mod spi;
mod wire;

pub(crate) use flash::{DEFLATED_BLOCK_BYTES, ROM_BLOCK_BYTES, SECTOR_BYTES};
pub use spi::FlashId;
pub(crate) use spi::READ_BYTES_MAX;

use std::{io, time::Duration};

use crate::{
    Error, Result, Watch,
    line::Line,
    reset::{After, Before, ENTRIES, Wiring},
    slip::{self, Decoded, Decoder},
};
use wire::{Answer, Operation, reason};

/// How long an answer to SYNC is waited for: the ROM finds out the rate by it, and answers at once or never.
const SYNC_PATIENCE: Duration = Duration::from_millis(100);
const SYNCS_A_RESET: usize = 5;
const RESETS: usize = 7;
/// How long a line must be quiet for the other answers to a SYNC to be over.
const QUIET: Duration = Duration::from_millis(10);
/// How long anything that takes the loader no time may take.
pub(crate) const PATIENCE: Duration = Duration::from_millis(500);
/// How often something that may be asked again is asked.
const TRIES: usize = 4;
/// Frames of something else that are read past while one answer is waited for.
const STRAY_FRAMES_MAX: usize = 64;
/// What SYNC carries: a mark, then a pattern by which the ROM measures the rate.
const SYNC: [u8; 36] = {
    let mut payload = [0x55; 36];
    payload[0] = 0x07;
    payload[1] = 0x07;
    payload[2] = 0x12;
    payload[3] = 0x20;
    payload
};
/// What tells the chip.
const MAGIC_REGISTER: u32 = 0x4000_1000;
const ESP8266_MAGIC: u32 = 0xFFF0_C101;
/// The fuses that hold the chip's address and some of its sort.
const FUSES: [u32; 4] = [0x3FF0_0050, 0x3FF0_0054, 0x3FF0_0058, 0x3FF0_005C];

/// How a board is come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connect {
    /// The way into the loader.
    pub before: Before,
    /// The rate at which the ROM is spoken to: it finds out by itself.
    pub baud: u32,
    /// How long to try in vain: for boards without a reset circuit, as long as a person takes to power one.
    pub patience: Option<Duration>,
    /// The adapter resets its board when DTR is let go.
    pub holds_dtr: bool,
}

/// Which loader answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The one in the chip.
    Rom,
    /// Espressif's stub, in the chip's memory.
    Stub,
}

/// What a chip says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chip {
    /// `ESP8266EX`, or `ESP8285` where its flash is in the same case.
    pub name: &'static str,
    /// Its own address on Wi-Fi.
    pub mac: [u8; 6],
}

/// One board whose loader answers.
#[derive(Debug)]
pub struct Loader<L> {
    line: L,
    decoder: Decoder,
    /// Frames that came before they were waited for: bytes are read in pieces as they come.
    pending: std::collections::VecDeque<Decoded>,
    level: Level,
    baud: u32,
    wiring: Wiring,
    has_signals: bool,
    line_errors: u32,
}

impl<L: Line> Loader<L> {
    /// Brings the board into its loader and synchronises with it. The line is to be open at `connect.baud`.
    ///
    /// # Errors
    /// [`Error::Silent`] where nothing answers, [`Error::NotInLoader`] where what answers is a running program,
    /// [`Error::Stopped`] where whoever watches wants no more of it, and [`Error::Line`].
    pub fn connect(line: L, connect: Connect, watch: &dyn Watch) -> Result<Self> {
        let mut loader = Loader {
            line,
            decoder: Decoder::default(),
            pending: std::collections::VecDeque::new(),
            level: Level::Rom,
            baud: connect.baud,
            wiring: Wiring {
                is_inverted: connect.before == Before::InvertedReset,
                holds_dtr: connect.holds_dtr,
            },
            has_signals: true,
            line_errors: 0,
        };
        loader.find(connect, watch)?;
        Ok(loader)
    }

    fn find(&mut self, connect: Connect, watch: &dyn Watch) -> Result<()> {
        let begun = self.line.now();
        let mut heard = Heard::default();
        for attempt in 0.. {
            if connect.before != Before::NoReset {
                match self
                    .wiring
                    .enter(&mut self.line, ENTRIES[attempt % ENTRIES.len()])
                {
                    Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                        self.has_signals = false;
                    }
                    other => other.map_err(Error::Line)?,
                }
            }
            for _ in 0..SYNCS_A_RESET {
                // A person may be waited for here, for minutes.
                if watch.is_stopped() {
                    return Err(Error::Stopped);
                }
                if self.sync(&mut heard)? {
                    return Ok(());
                }
            }
            let is_over = match connect.patience {
                Some(patience) => self.line.now().saturating_sub(begun) >= patience,
                None => attempt + 1 == RESETS,
            };
            if is_over {
                break;
            }
        }
        Err(heard.failure(self.has_signals))
    }

    /// Asks for a sign of life. Every SYNC is answered several times, and all of that is read.
    fn sync(&mut self, heard: &mut Heard) -> Result<bool> {
        self.forget()?;
        self.send(&wire::request(Operation::Sync, &SYNC, 0))?;
        let mut deadline = self.line.now() + SYNC_PATIENCE;
        let mut level = None;
        while let Some(decoded) = self.next_frame(deadline, Some(heard))? {
            let Decoded::Frame(frame) = decoded else {
                continue;
            };
            if let Some(answer) = Answer::read(&frame)
                && answer.operation == Operation::Sync as u8
                && answer.failure == 0
            {
                // The ROM leaves something of its own in the value, the stub nothing.
                let is_stub = answer.value == 0;
                level = Some(if is_stub { Level::Stub } else { Level::Rom });
                deadline = self.line.now() + QUIET;
            }
        }
        if let Some(level) = level {
            self.level = level;
            self.forget()?;
        }
        Ok(level.is_some())
    }

    /// Finds the loader again after something was lost, as it is: without a reset.
    ///
    /// # Errors
    /// [`Error::Lost`] where it does not answer any more.
    pub(crate) fn find_again(&mut self) -> Result<()> {
        let level = self.level;
        let mut heard = Heard::default();
        for _ in 0..4 * SYNCS_A_RESET {
            if self.sync(&mut heard)? {
                // Which of the two answers is known already, and a stub may have values left over, too.
                self.level = level;
                return Ok(());
            }
        }
        Err(Error::Lost)
    }

    /// Which loader answers.
    pub fn level(&self) -> Level {
        self.level
    }

    /// The present rate.
    pub fn baud(&self) -> u32 {
        self.baud
    }

    /// Answers that came broken or not at all, so far.
    pub fn line_errors(&self) -> u32 {
        self.line_errors
    }

    /// Whether the line has DTR and RTS.
    pub fn has_signals(&self) -> bool {
        self.has_signals
    }

    /// What the chip says of itself.
    ///
    /// # Errors
    /// [`Error::OtherChip`], and those of [`read_register`](Self::read_register).
    pub fn chip(&mut self) -> Result<Chip> {
        let magic = self.twice(|it| it.read_register(MAGIC_REGISTER))?;
        if magic != ESP8266_MAGIC {
            return Err(Error::OtherChip { magic });
        }
        let fuses = self.twice(|it| {
            let mut fuses = [0; FUSES.len()];
            for (value, address) in fuses.iter_mut().zip(FUSES) {
                *value = it.read_register(address)?;
            }
            Ok(fuses)
        })?;
        Ok(chip_of(fuses))
    }

    /// Reads something until it comes out the same twice in a row: answers carry no sum, and who a board is must not hang
    /// on a flipped bit.
    fn twice<T: PartialEq>(&mut self, mut read: impl FnMut(&mut Self) -> Result<T>) -> Result<T> {
        let mut before = read(self)?;
        for _ in 0..TRIES {
            let now = read(self)?;
            if now == before {
                return Ok(now);
            }
            self.line_errors += 1;
            before = now;
        }
        Err(Error::NoAnswer {
            what: "asking the board who it is",
        })
    }

    /// Reads a register or a word of memory.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Lost`], [`Error::Line`].
    pub fn read_register(&mut self, address: u32) -> Result<u32> {
        let payload = wire::words(&[address]);
        let answer = self.ask_again(Operation::ReadRegister, &payload, PATIENCE)?;
        Ok(answer.value)
    }

    /// Writes a register: what comes under `mask`, then waits.
    ///
    /// # Errors
    /// As [`read_register`](Self::read_register).
    pub fn write_register(&mut self, address: u32, value: u32, mask: u32) -> Result<()> {
        let payload = wire::words(&[address, value, mask, 0]);
        self.ask_again(Operation::WriteRegister, &payload, PATIENCE)?;
        Ok(())
    }

    /// Leaves the loader: what was written runs. Nothing happens where the line cannot reset the chip, and the answer
    /// says so.
    ///
    /// # Errors
    /// [`Error::Line`].
    pub fn leave(mut self, after: After) -> Result<Left<L>> {
        let mut was_reset = false;
        if after != After::NoReset && self.has_signals {
            self.wiring.is_inverted = after == After::InvertedReset;
            match self.wiring.leave(&mut self.line) {
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
                other => {
                    other.map_err(Error::Line)?;
                    was_reset = true;
                }
            }
        }
        Ok(Left {
            line: self.line,
            was_reset,
        })
    }

    /// Asks for something whose doing twice does no harm, and again where the answer is lost.
    fn ask_again(
        &mut self,
        operation: Operation,
        payload: &[u8],
        patience: Duration,
    ) -> Result<Answer> {
        for _ in 1..TRIES {
            match self.ask(operation, payload, 0, patience) {
                Err(Error::NoAnswer { .. }) => self.find_again()?,
                other => return other,
            }
        }
        self.ask(operation, payload, 0, patience)
    }

    /// Asks, and waits for the answer to that.
    fn ask(
        &mut self,
        operation: Operation,
        payload: &[u8],
        check: u8,
        patience: Duration,
    ) -> Result<Answer> {
        self.send(&wire::request(operation, payload, check))?;
        self.answer(operation, patience)
    }

    fn answer(&mut self, operation: Operation, patience: Duration) -> Result<Answer> {
        let deadline = self.line.now() + patience;
        for _ in 0..STRAY_FRAMES_MAX {
            let Some(decoded) = self.next_frame(deadline, None)? else {
                break;
            };
            let answer = match decoded {
                Decoded::Frame(frame) => Answer::read(&frame),
                Decoded::Broken => None,
            };
            match answer {
                Some(answer) if answer.operation != operation as u8 => {}
                Some(answer) if answer.failure != 0 => {
                    return Err(Self::refusal(operation, &answer));
                }
                Some(answer) => return Ok(answer),
                None => self.line_errors += 1,
            }
        }
        self.line_errors += 1;
        Err(Error::NoAnswer {
            what: operation_name(operation),
        })
    }

    fn refusal(operation: Operation, answer: &Answer) -> Error {
        Error::Refused {
            what: operation_name(operation),
            failure: answer.failure,
            reason: reason(answer.failure),
        }
    }

    fn send(&mut self, payload: &[u8]) -> Result<()> {
        let mut bytes = Vec::new();
        slip::encode(payload, &mut bytes);
        self.line.write(&bytes).map_err(Error::Line)
    }

    /// The next frame that comes before the deadline.
    fn next_frame(
        &mut self,
        deadline: Duration,
        mut heard: Option<&mut Heard>,
    ) -> Result<Option<Decoded>> {
        loop {
            if let Some(decoded) = self.pending.pop_front() {
                return Ok(Some(decoded));
            }
            let left = deadline.saturating_sub(self.line.now());
            if left.is_zero() {
                return Ok(None);
            }
            let mut piece = [0; 4096];
            let count = self.line.read(&mut piece, left).map_err(Error::Line)?;
            let bytes = &piece[..count];
            if let Some(heard) = heard.as_deref_mut() {
                heard.bytes(bytes);
            }
            let frames = bytes.iter().filter_map(|&byte| self.decoder.take(byte));
            self.pending.extend(frames);
        }
    }

    /// Drops everything that came.
    fn forget(&mut self) -> Result<()> {
        self.decoder.clear();
        self.pending.clear();
        self.line.discard().map_err(Error::Line)
    }
}

/// A line whose board has been left.
#[derive(Debug)]
pub struct Left<L> {
    /// The line, still open.
    pub line: L,
    /// Whether the chip was reset; else a person powers it anew.
    pub was_reset: bool,
}

/// What came while a loader was looked for: it tells what is there instead.
#[derive(Debug, Default)]
struct Heard {
    bytes: usize,
    printable: usize,
}

impl Heard {
    fn bytes(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
        let is_text = |byte: &&u8| matches!(byte, b' '..=b'~' | b'\r' | b'\n');
        self.printable += bytes.iter().filter(is_text).count();
    }

    fn failure(&self, has_signals: bool) -> Error {
        match self {
            Heard { bytes: 0, .. } => Error::Silent { has_signals },
            // A running program's log, or a boot log at a rate that is not the line's.
            it if it.printable * 10 >= it.bytes * 9 => Error::NotInLoader { is_text: true },
            _ => Error::NotInLoader { is_text: false },
        }
    }
}

fn operation_name(operation: Operation) -> &'static str {
    match operation {
        Operation::FlashBegin | Operation::DeflateBegin => "preparing the flash",
        Operation::FlashData | Operation::DeflateData => "writing to flash",
        Operation::MemoryBegin | Operation::MemoryData => "writing to memory",
        Operation::MemoryEnd => "starting what is in memory",
        Operation::Sync => "synchronising",
        Operation::WriteRegister => "writing a register",
        Operation::ReadRegister => "reading a register",
        Operation::SetFlash => "telling the flash's size",
        Operation::FlashDigest => "comparing the flash",
        Operation::EraseFlash => "erasing the flash",
        Operation::EraseRegion => "erasing a region",
        Operation::ReadFlash => "reading the flash",
    }
}

/// Reads the fuses: which chip, and its address on Wi-Fi, whose maker's part is one of three.
fn chip_of([low, middle, sort, high]: [u32; 4]) -> Chip {
    let maker = match middle >> 16 & 0xFF {
        _ if high != 0 => [(high >> 16) as u8, (high >> 8) as u8, high as u8],
        0 => [0x18, 0xFE, 0x34],
        _ => [0xAC, 0xD0, 0x74],
    };
    let is_8285 = low & 1 << 4 != 0 || sort & 1 << 16 != 0;
    Chip {
        name: if is_8285 { "ESP8285" } else { "ESP8266EX" },
        mac: [
            maker[0],
            maker[1],
            maker[2],
            (middle >> 8) as u8,
            middle as u8,
            (low >> 24) as u8,
        ],
    }
}
