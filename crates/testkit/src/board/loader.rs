//! What the ROM's loader and the stub have in common: requests, replies, downloads into RAM.

use super::{boot::CHECKSUM_SEED, boot::word, chip::Chip};
use std::time::Duration;

/// Commands, by their numbers on the line.
pub(super) mod command {
    pub(crate) const FLASH_BEGIN: u8 = 0x02;
    pub(crate) const FLASH_DATA: u8 = 0x03;
    pub(crate) const FLASH_END: u8 = 0x04;
    pub(crate) const MEMORY_BEGIN: u8 = 0x05;
    pub(crate) const MEMORY_END: u8 = 0x06;
    pub(crate) const MEMORY_DATA: u8 = 0x07;
    pub(crate) const SYNC: u8 = 0x08;
    pub(crate) const WRITE_REGISTER: u8 = 0x09;
    pub(crate) const READ_REGISTER: u8 = 0x0a;
    pub(crate) const SPI_SET_PARAMETERS: u8 = 0x0b;
    pub(crate) const SPI_ATTACH: u8 = 0x0d;
    pub(crate) const CHANGE_BAUD_RATE: u8 = 0x0f;
    pub(crate) const DEFLATE_BEGIN: u8 = 0x10;
    pub(crate) const DEFLATE_DATA: u8 = 0x11;
    pub(crate) const DEFLATE_END: u8 = 0x12;
    pub(crate) const FLASH_MD5: u8 = 0x13;
    pub(crate) const ERASE_FLASH: u8 = 0xd0;
    pub(crate) const ERASE_REGION: u8 = 0xd1;
    pub(crate) const READ_FLASH: u8 = 0xd2;
    pub(crate) const RUN_USER_CODE: u8 = 0xd3;
}

/// Replies to one SYNC.
pub(super) const SYNC_REPLIES: usize = 8;
/// Bytes of a block's own head.
const BLOCK_HEAD_BYTES: usize = 16;

/// What a loader does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// It waits for the next command.
    Stay,
    /// It runs what lies at this address.
    Run(u32),
    /// It starts the chip anew.
    Restart,
    /// It leaves, and flash is booted.
    BootFlash,
    /// It goes on at another rate.
    Baud(u32),
    /// It fails.
    Hang,
}

/// What comes of a packet.
#[derive(Debug)]
pub(super) struct Reaction {
    /// The time that passes before the replies leave.
    pub(super) before: Duration,
    /// Packets to the host.
    pub(super) replies: Vec<Vec<u8>>,
    /// The time that passes after they have.
    pub(super) after: Duration,
    pub(super) then: Then,
}

impl Reaction {
    pub(super) fn none() -> Self {
        Reaction::packets(Vec::new())
    }

    pub(super) fn packets(replies: Vec<Vec<u8>>) -> Self {
        Reaction {
            before: Duration::ZERO,
            replies,
            after: Duration::ZERO,
            then: Then::Stay,
        }
    }

    pub(super) fn after(mut self, time: Duration) -> Self {
        self.before = time;
        self
    }

    pub(super) fn then(mut self, then: Then) -> Self {
        self.then = then;
        self
    }
}

/// A reply. `value` stands in its head, `data` before the two bytes of status.
pub(super) fn reply(command: u8, value: u32, data: &[u8], status: Result<(), u8>) -> Vec<u8> {
    let mut packet = vec![1, command];
    packet.extend(((data.len() + 2) as u16).to_le_bytes());
    packet.extend(value.to_le_bytes());
    packet.extend_from_slice(data);
    packet.extend(match status {
        Ok(()) => [0, 0],
        Err(code) => [1, code],
    });
    packet
}

/// A command as it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) command: u8,
    checksum: u32,
    pub(super) data: &'a [u8],
    /// Whether there is as much data as the head says.
    pub(super) is_whole: bool,
}

impl<'a> Request<'a> {
    /// Reads a packet; what is no request at all gets no reply.
    pub(super) fn parse(packet: &'a [u8]) -> Option<Self> {
        let (head, data) = packet.split_at_checked(8)?;
        let [0, command, low, high, ..] = *head else {
            return None;
        };
        Some(Request {
            command,
            checksum: word(head, 4),
            data,
            is_whole: usize::from(u16::from_le_bytes([low, high])) == data.len(),
        })
    }

    /// A word of the data.
    pub(super) fn word(&self, index: usize) -> u32 {
        word(self.data, index * 4)
    }

    /// The block that a `_DATA` command bears.
    pub(super) fn block(&self) -> Result<Block<'a>, BlockFault> {
        let (head, content) = (self.data)
            .split_at_checked(BLOCK_HEAD_BYTES)
            .ok_or(BlockFault::Length)?;
        if word(head, 0) as usize != content.len() {
            return Err(BlockFault::Length);
        }
        let sum = content.iter().fold(CHECKSUM_SEED, |sum, byte| sum ^ byte);
        if u32::from(sum) != self.checksum {
            return Err(BlockFault::Checksum);
        }
        Ok(Block {
            sequence: word(head, 4),
            content,
        })
    }
}

/// What is wrong with a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockFault {
    Length,
    Checksum,
}

/// A block of a download.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block<'a> {
    pub(super) sequence: u32,
    pub(super) content: &'a [u8],
}

/// A download that is under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Download {
    pub(super) block_bytes: u32,
    blocks: u32,
    start: u32,
    pub(super) sequence: u32,
}

impl Download {
    /// The four words that begin a download: size, blocks, bytes of a block, address.
    pub(super) fn begun_by(request: &Request<'_>) -> Self {
        Download {
            blocks: request.word(1),
            block_bytes: request.word(2),
            start: request.word(3),
            sequence: 0,
        }
    }

    /// Where the next block goes, and on to the one after it; none when there is no more to come, or the
    /// block is too large.
    pub(super) fn next(&mut self, length: usize) -> Option<u32> {
        if self.sequence >= self.blocks || length > self.block_bytes as usize {
            return None;
        }
        let place = self.sequence.checked_mul(self.block_bytes)?;
        self.sequence += 1;
        self.start.checked_add(place)
    }
}

/// Reads a register: its value, or nothing when the chip fails over it.
pub(super) fn read_register(chip: &Chip, request: &Request<'_>) -> Option<u32> {
    chip.read_word(request.word(0))
}

/// Writes registers, each under a mask and followed by a pause. Gives the time that it takes, or nothing when
/// the chip fails over it.
pub(super) fn write_registers(
    chip: &mut Chip,
    now: Duration,
    request: &Request<'_>,
) -> Option<Duration> {
    let mut time = Duration::ZERO;
    for entry in request.data.chunks(16) {
        let (address, value, mask) = (word(entry, 0), word(entry, 4), word(entry, 8));
        let old = match mask {
            u32::MAX => 0,
            _ => chip.read_word(address)?,
        };
        if !chip.write_word(now + time, address, old & !mask | value & mask) {
            return None;
        }
        time += Duration::from_micros(word(entry, 12).into());
    }
    Some(time)
}
