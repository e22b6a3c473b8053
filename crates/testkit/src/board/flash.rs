//! NOR flash: erasing sets whole sectors to ones, programming can only clear bits, and both take time in
//! which the power may go.

use crate::seeded::Seeded;
use std::{collections::VecDeque, time::Duration};

/// The least that can be erased.
pub const SECTOR_BYTES: u32 = 0x1000;
/// The most that one command erases, but for the whole chip.
pub const BLOCK_BYTES: u32 = 0x1_0000;
/// The most that one command programs; addresses wrap inside of it.
pub const PAGE_BYTES: u32 = 0x100;

const WORD_BYTES: u32 = 4;
/// Write in progress, write enabled: the low bits of the status register.
const STATUS_BUSY: u8 = 1;
const STATUS_WRITE_ENABLED: u8 = 2;
/// The bits that protect blocks from being changed.
const STATUS_PROTECTED: u8 = 0x1c;

/// How large a chip is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlashSize {
    /// 512 KiB.
    Kib512,
    /// 1 MiB, as in most relay boards.
    Mib1,
    /// 2 MiB.
    Mib2,
    /// 4 MiB, as on most development boards.
    Mib4,
    /// 8 MiB.
    Mib8,
    /// 16 MiB.
    Mib16,
}

impl FlashSize {
    /// In bytes.
    pub const fn bytes(self) -> u32 {
        1 << self.capacity()
    }

    /// The last byte of the chip's identification: the power of two.
    pub const fn capacity(self) -> u8 {
        match self {
            FlashSize::Kib512 => 0x13,
            FlashSize::Mib1 => 0x14,
            FlashSize::Mib2 => 0x15,
            FlashSize::Mib4 => 0x16,
            FlashSize::Mib8 => 0x17,
            FlashSize::Mib16 => 0x18,
        }
    }
}

/// How long the chip takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlashTiming {
    /// To erase a sector of 4 KiB.
    pub sector_erase: Duration,
    /// To erase a block of 64 KiB.
    pub block_erase: Duration,
    /// To program a page of 256 bytes.
    pub page_program: Duration,
    /// To program 32 bytes, as the ROM does it: its own time included.
    pub piece_program: Duration,
    /// To read a KiB, as the loaders do when they sum it up.
    pub kib_read: Duration,
}

impl FlashTiming {
    /// What data sheets call typical.
    pub const TYPICAL: FlashTiming = FlashTiming {
        sector_erase: Duration::from_millis(45),
        block_erase: Duration::from_millis(150),
        page_program: Duration::from_micros(400),
        piece_program: Duration::from_micros(110),
        kib_read: Duration::from_micros(500),
    };

    /// A worn or a cold chip, still within what data sheets allow.
    pub const SLOW: FlashTiming = FlashTiming {
        sector_erase: Duration::from_millis(100),
        block_erase: Duration::from_millis(1_200),
        page_program: Duration::from_micros(2_000),
        piece_program: Duration::from_micros(400),
        kib_read: Duration::from_micros(800),
    };

    pub(super) const NONE: FlashTiming = FlashTiming {
        sector_erase: Duration::ZERO,
        block_erase: Duration::ZERO,
        page_program: Duration::ZERO,
        piece_program: Duration::ZERO,
        kib_read: Duration::ZERO,
    };
}

/// What the chip does when a word is programmed again that was programmed since its last erase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecondProgram {
    /// Further bits are cleared, and it is counted.
    Counted,
    /// The word stays as it is, and it is counted: as chips do that do not keep to the rule.
    Refused,
}

/// What is to go wrong with the next operation of its kind.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FlashFaults {
    /// An erase stops halfway, with this seed.
    pub(super) torn_erase: Option<u64>,
    /// A program changes nothing.
    pub(super) refused_program: bool,
}

/// An operation that may still be undone or torn.
#[derive(Debug)]
struct Operation {
    start: Duration,
    end: Duration,
    offset: usize,
    before: Vec<u8>,
    is_erase: bool,
}

/// The chip.
#[derive(Debug)]
pub struct Flash {
    bytes: Vec<u8>,
    /// One bit for each word that was programmed since its last erase.
    programmed: Vec<u64>,
    timing: FlashTiming,
    second_program: SecondProgram,
    status: u8,
    unfinished: VecDeque<Operation>,
    busy_until: Duration,
    erases: u64,
    programs: u64,
    second_programs: u64,
    pub(super) faults: FlashFaults,
}

impl Flash {
    /// A blank chip.
    pub(super) fn new(size: FlashSize, timing: FlashTiming, second_program: SecondProgram) -> Self {
        let bytes = size.bytes();
        let words = bytes / WORD_BYTES;
        Flash {
            bytes: vec![0xff; bytes as usize],
            programmed: vec![0; words.div_ceil(u64::BITS) as usize],
            timing,
            second_program,
            status: 0,
            unfinished: VecDeque::new(),
            busy_until: Duration::ZERO,
            erases: 0,
            programs: 0,
            second_programs: 0,
            faults: FlashFaults::default(),
        }
    }

    /// What stands in a chip's place while that is lent to somebody.
    #[cfg(feature = "controller")]
    pub(super) fn away() -> Self {
        Flash {
            bytes: Vec::new(),
            programmed: Vec::new(),
            timing: FlashTiming::NONE,
            second_program: SecondProgram::Counted,
            status: 0,
            unfinished: VecDeque::new(),
            busy_until: Duration::ZERO,
            erases: 0,
            programs: 0,
            second_programs: 0,
            faults: FlashFaults::default(),
        }
    }

    /// All of it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its size in bytes.
    pub fn size(&self) -> u32 {
        self.bytes.len() as u32
    }

    /// How many times something was erased: sectors and blocks alike.
    pub fn erases(&self) -> u64 {
        self.erases
    }

    /// How many times something was programmed.
    pub fn programs(&self) -> u64 {
        self.programs
    }

    /// How many words were programmed twice between two erases.
    pub fn second_programs(&self) -> u64 {
        self.second_programs
    }

    pub(super) fn timing(&self) -> FlashTiming {
        self.timing
    }

    /// Its content is changed from outside, as a programmer would: words that are not blank count as
    /// programmed.
    pub fn place(&mut self, offset: u32, content: &[u8]) {
        let start = self.place_of(offset);
        for (byte, new) in self.bytes.iter_mut().skip(start).zip(content) {
            *byte = *new;
        }
        self.mark(start, content.len(), |word, bit| *word &= !bit);
        self.mark_programmed(start, content);
    }

    /// A bit changes by itself.
    pub fn rot(&mut self, offset: u32, bit: u8) {
        let at = self.place_of(offset);
        if let Some(byte) = self.bytes.get_mut(at) {
            *byte ^= 1 << (bit % 8);
        }
    }

    /// Reads; addresses wrap at the end, as the chip ignores the bits above.
    pub fn read(&self, offset: u32, length: u32) -> Vec<u8> {
        let start = self.place_of(offset);
        let length = length as usize;
        match self.bytes.get(start..start + length) {
            Some(bytes) => bytes.to_vec(),
            None => (self.bytes.iter().cycle().skip(start).take(length))
                .copied()
                .collect(),
        }
    }

    /// Erases the sector in which the address lies. Gives when that is done.
    pub fn erase_sector(&mut self, now: Duration, offset: u32) -> Duration {
        self.erase(now, offset, SECTOR_BYTES, self.timing.sector_erase)
    }

    /// Erases the block of 64 KiB in which the address lies. Gives when that is done.
    pub fn erase_block(&mut self, now: Duration, offset: u32) -> Duration {
        self.erase(now, offset, BLOCK_BYTES, self.timing.block_erase)
    }

    /// Erases everything. Gives when that is done.
    pub fn erase_chip(&mut self, now: Duration) -> Duration {
        let blocks = self.size() / BLOCK_BYTES;
        (0..blocks).fold(now, |now, block| self.erase_block(now, block * BLOCK_BYTES))
    }

    /// Programs bytes of any number, page by page. Gives when that is done.
    pub fn program(&mut self, now: Duration, offset: u32, content: &[u8]) -> Duration {
        let mut done = now;
        let (mut offset, mut content) = (offset, content);
        while !content.is_empty() {
            let room = (PAGE_BYTES - offset % PAGE_BYTES) as usize;
            let (page, rest) = content.split_at(room.min(content.len()));
            done = self.program_for(done, offset, page, self.timing.page_program);
            offset = offset.wrapping_add(page.len() as u32);
            content = rest;
        }
        done
    }

    /// Programs bytes that lie within a page, in this time.
    pub(super) fn program_for(
        &mut self,
        now: Duration,
        offset: u32,
        content: &[u8],
        time: Duration,
    ) -> Duration {
        let end = now + time;
        let start = self.place_of(offset);
        self.programs += 1;
        if std::mem::take(&mut self.faults.refused_program) || self.is_protected() {
            return end;
        }
        self.begin(now, end, start, content.len(), false);
        for (index, new) in content.iter().enumerate() {
            let at = start + index;
            // Erased bits that stay as they are program nothing.
            if *new == 0xff {
                continue;
            }
            let is_refused =
                self.is_programmed(at) && self.second_program == SecondProgram::Refused;
            if let Some(byte) = self.bytes.get_mut(at)
                && !is_refused
            {
                *byte &= new;
            }
        }
        self.second_programs += self.mark_programmed(start, content);
        end
    }

    fn erase(&mut self, now: Duration, offset: u32, length: u32, time: Duration) -> Duration {
        let end = now + time;
        let start = self.place_of(offset) / length as usize * length as usize;
        let length = length as usize;
        self.erases += 1;
        if self.is_protected() {
            return end;
        }
        self.begin(now, end, start, length, true);
        let torn = self.faults.torn_erase.take();
        if let Some(bytes) = self.bytes.get_mut(start..start + length) {
            match torn {
                Some(seed) => tear_erase(bytes, seed),
                None => bytes.fill(0xff),
            }
        }
        self.mark(start, length, |word, bit| *word &= !bit);
        end
    }

    fn place_of(&self, offset: u32) -> usize {
        (offset % self.size()) as usize
    }

    fn is_protected(&self) -> bool {
        self.status & STATUS_PROTECTED != 0
    }

    fn is_programmed(&self, at: usize) -> bool {
        let word = at / WORD_BYTES as usize;
        let bits = self.programmed.get(word / 64);
        bits.is_some_and(|bits| bits >> (word % 64) & 1 == 1)
    }

    /// Takes note of each word that has been programmed. Gives how many of them had been before.
    fn mark_programmed(&mut self, start: usize, content: &[u8]) -> u64 {
        let mut again = 0;
        let word_bytes = WORD_BYTES as usize;
        let mut at = start;
        let mut rest = content;
        while !rest.is_empty() {
            let (word, after) = rest.split_at((word_bytes - at % word_bytes).min(rest.len()));
            if word.iter().any(|byte| *byte != 0xff) {
                again += u64::from(self.is_programmed(at));
                self.mark(at, 1, |word, bit| *word |= bit);
            }
            at += word.len();
            rest = after;
        }
        again
    }

    fn mark(&mut self, start: usize, length: usize, change: fn(&mut u64, u64)) {
        let word_bytes = WORD_BYTES as usize;
        if length == 0 {
            return;
        }
        for word in start / word_bytes..=(start + length - 1) / word_bytes {
            if let Some(bits) = self.programmed.get_mut(word / 64) {
                change(bits, 1 << (word % 64));
            }
        }
    }

    /// Keeps what was there before, as long as the operation may be cut short.
    fn begin(&mut self, now: Duration, end: Duration, start: usize, length: usize, is_erase: bool) {
        if end == now {
            return;
        }
        let before = self.bytes.get(start..).unwrap_or_default();
        let before = before.iter().take(length).copied().collect();
        self.busy_until = self.busy_until.max(end);
        self.unfinished.push_back(Operation {
            start: now,
            end,
            offset: start,
            before,
            is_erase,
        });
    }

    /// Time has passed: what was done by now can be cut short no more. Operations are begun ahead of time, so
    /// that the next one's beginning does not say this.
    pub(super) fn elapse(&mut self, now: Duration) {
        while self
            .unfinished
            .front()
            .is_some_and(|first| first.end <= now)
        {
            self.unfinished.pop_front();
        }
    }

    /// The processor stops giving commands: what it would have begun later is not done.
    pub(super) fn abandon(&mut self, now: Duration) {
        while let Some(last) = self.unfinished.pop_back() {
            if last.start < now {
                self.unfinished.push_back(last);
                break;
            }
            self.restore(&last, 0);
        }
        let last = self.unfinished.back().map(|last| last.end);
        self.busy_until = last.unwrap_or(now);
    }

    /// The power goes: what is under way stops halfway.
    pub(super) fn cut_power(&mut self, now: Duration) {
        self.abandon(now);
        while let Some(operation) = self.unfinished.pop_back() {
            if operation.end <= now {
                continue;
            }
            let share = now - operation.start;
            let whole = operation.end - operation.start;
            if operation.is_erase {
                self.restore(&operation, 0);
                let range = operation.offset..operation.offset + operation.before.len();
                let seed = now.as_nanos() as u64;
                if let Some(bytes) = self.bytes.get_mut(range) {
                    tear_erase(bytes, seed);
                }
            } else {
                let done = operation.before.len() as u128 * share.as_nanos() / whole.as_nanos();
                self.restore(&operation, done as usize);
            }
        }
        self.unfinished.clear();
        self.busy_until = Duration::ZERO;
        self.status &= STATUS_PROTECTED;
    }

    /// Puts back what was there, from this byte on. What counts as programmed stays so: a word may have been
    /// touched.
    fn restore(&mut self, operation: &Operation, from: usize) {
        let place = self.bytes.iter_mut().skip(operation.offset + from);
        for (byte, before) in place.zip(operation.before.iter().skip(from)) {
            *byte = *before;
        }
        if operation.is_erase {
            self.mark(operation.offset, operation.before.len(), |word, bit| {
                *word |= bit;
            });
        }
    }

    /// The status register.
    pub(super) fn status(&self, now: Duration) -> u8 {
        let is_busy = now < self.busy_until;
        self.status | if is_busy { STATUS_BUSY } else { 0 }
    }

    pub(super) fn set_status(&mut self, status: u8) {
        if self.is_write_enabled() {
            self.status = status & STATUS_PROTECTED;
        }
    }

    pub(super) fn is_write_enabled(&self) -> bool {
        self.status & STATUS_WRITE_ENABLED != 0
    }

    pub(super) fn enable_write(&mut self, is_enabled: bool) {
        self.status &= !STATUS_WRITE_ENABLED;
        if is_enabled {
            self.status |= STATUS_WRITE_ENABLED;
        }
    }

    /// Lifts the protection of all blocks, as the loaders do before they write.
    pub(super) fn unlock(&mut self) {
        self.status &= !STATUS_PROTECTED;
    }

    /// Protects everything, as some boards leave the factory.
    pub fn protect(&mut self) {
        self.status |= STATUS_PROTECTED;
    }
}

/// Leaves the first part erased, the last part as it was, and between them a stretch in which some bits have
/// gone over and some have not.
fn tear_erase(bytes: &mut [u8], seed: u64) {
    let mut drawn = Seeded::new(seed);
    let length = bytes.len() as u64;
    let mixed = length / 8;
    let first = 1 + drawn.below(length - mixed - 1);
    let last = first + drawn.below(mixed);
    for (at, byte) in (0..).zip(bytes) {
        if at < first {
            *byte = 0xff;
        } else if at < last {
            *byte |= drawn.next() as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1);

    fn flash(second_program: SecondProgram) -> Flash {
        Flash::new(FlashSize::Kib512, FlashTiming::TYPICAL, second_program)
    }

    #[test]
    fn programming_clears_bits_and_erasing_sets_them() {
        for (second_program, expected) in [
            (SecondProgram::Counted, [0x01, 0xff, 0xff, 0x30]),
            (SecondProgram::Refused, [0x0f, 0xff, 0xff, 0xff]),
        ] {
            let mut flash = flash(second_program);
            flash.program(NOW, 0x1000, &[0x0f, 0xff, 0xff, 0xff]);
            flash.program(NOW, 0x1000, &[0xf1, 0xff, 0xff, 0x30]);
            assert_eq!(flash.read(0x1000, 4), expected, "{second_program:?}");
            assert_eq!(flash.second_programs(), 1);
            flash.erase_sector(NOW, 0x1fff);
            assert_eq!(flash.read(0x1000, 4), [0xff; 4]);
            flash.program(NOW, 0x1000, &[0; 4]);
            assert_eq!(flash.second_programs(), 1);
        }
    }

    #[test]
    fn addresses_wrap_at_the_end() {
        let mut flash = flash(SecondProgram::Counted);
        flash.program(NOW, 0x8_0000, &[1, 2]);
        assert_eq!(flash.read(0x7_ffff, 3), [0xff, 1, 2]);
    }

    #[test]
    fn what_the_power_cuts_off_is_torn() {
        let mut flash = flash(SecondProgram::Counted);
        flash.place(0, &[0; 0x3000]);
        let mut done = NOW;
        for sector in 0..3 {
            done = flash.erase_sector(done, sector * SECTOR_BYTES);
        }
        assert_eq!(done, NOW + 3 * FlashTiming::TYPICAL.sector_erase);
        assert_eq!(
            flash.status(done - Duration::from_millis(1)) & STATUS_BUSY,
            1
        );
        flash.cut_power(NOW + Duration::from_millis(60));
        assert_eq!(flash.read(0, 0x1000), [0xff; 0x1000]);
        let torn = flash.read(0x1000, 0x1000);
        assert!(torn.contains(&0) && torn.contains(&0xff));
        assert_eq!(flash.read(0x2000, 0x1000), [0; 0x1000]);
    }

    #[test]
    fn a_torn_program_ends_between_two_bytes() {
        let mut flash = flash(SecondProgram::Counted);
        flash.program(NOW, 0, &[0; 256]);
        flash.cut_power(NOW + FlashTiming::TYPICAL.page_program / 4);
        let mut expected = [0xff; 256];
        expected[..64].fill(0);
        assert_eq!(flash.read(0, 256), expected);
    }

    #[test]
    fn a_reset_lets_the_chip_finish_what_it_has_begun() {
        let mut flash = flash(SecondProgram::Counted);
        flash.place(0, &[0; 0x2000]);
        let done = flash.erase_sector(NOW, 0);
        flash.erase_sector(done, SECTOR_BYTES);
        flash.abandon(NOW + Duration::from_millis(10));
        assert_eq!(flash.read(0, 0x1000), [0xff; 0x1000]);
        assert_eq!(flash.read(0x1000, 0x1000), [0; 0x1000]);
    }

    #[test]
    fn protected_blocks_do_not_change() {
        let mut flash = flash(SecondProgram::Counted);
        flash.place(0, &[0x55]);
        flash.protect();
        flash.erase_sector(NOW, 0);
        flash.program(NOW, 0, &[0]);
        assert_eq!(flash.read(0, 1), [0x55]);
        flash.unlock();
        flash.erase_sector(NOW, 0);
        assert_eq!(flash.read(0, 1), [0xff]);
    }

    #[test]
    fn faults_strike_once() {
        let mut flash = flash(SecondProgram::Counted);
        flash.place(0, &[0; 0x1000]);
        flash.faults.torn_erase = Some(7);
        flash.erase_sector(NOW, 0);
        let torn = flash.read(0, 0x1000);
        assert!(torn.contains(&0) && torn.contains(&0xff));
        flash.erase_sector(NOW, 0);
        flash.faults.refused_program = true;
        flash.program(NOW, 0, &[1]);
        assert_eq!(flash.read(0, 1), [0xff]);
        flash.program(NOW, 0, &[1]);
        assert_eq!(flash.read(0, 1), [1]);
    }
}
