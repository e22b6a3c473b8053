//! The flash chip through the SPI controller's registers: who made it and how large it is, and its content where no stub
//! runs. One transfer is a dozen of the loader's requests, so this is for a few bytes, or for patience.

use std::time::Duration;

use super::Loader;
use crate::{Error, Result, line::Line};

/// The controller that the flash hangs on.
const COMMAND: u32 = 0x6000_0200;
const ADDRESS: u32 = 0x6000_0204;
const USER: u32 = 0x6000_021C;
const USER_1: u32 = 0x6000_0220;
const USER_2: u32 = 0x6000_0224;
const WORDS: u32 = 0x6000_0240;

const COMMAND_USER: u32 = 1 << 18;
const USER_HAS_COMMAND: u32 = 1 << 31;
const USER_HAS_ADDRESS: u32 = 1 << 30;
const USER_HAS_INPUT: u32 = 1 << 28;
/// Bits less one of the address and of what is read.
const USER_1_ADDRESS_SHIFT: u32 = 26;
const USER_1_INPUT_SHIFT: u32 = 8;
/// Bits less one of the command, above its byte.
const USER_2_COMMAND_BITS: u32 = 7 << 28;

const READ_ID: u8 = 0x9F;
const READ: u8 = 0x03;
const READ_STATUS: u8 = 0x05;
const WRITE_ENABLE: u8 = 0x06;
const ERASE_SECTOR: u8 = 0x20;
/// Of the status: an erase or a program is going on.
const STATUS_BUSY: u32 = 1;
/// A sector's erase at worst, and the time to ask.
const ERASE_TIME_MAX: Duration = Duration::from_secs(2);
/// What one transfer brings at most.
pub(crate) const READ_BYTES_MAX: usize = 64;
/// How often a transfer is looked at before it counts as stuck. It takes less than one look.
const LOOKS_MAX: usize = 10;

impl<L: Line> Loader<L> {
    /// The flash chip's id: maker, sort, and as a power of two its size in bytes.
    ///
    /// # Errors
    /// [`Error::FlashSilent`], and those of the registers.
    pub fn flash_id(&mut self) -> Result<FlashId> {
        let [word] = self.twice(|it| it.transfer::<1>(READ_ID, None, 24))?;
        let [maker, sort, size, _] = word.to_le_bytes();
        if matches!((maker, sort, size), (0, 0, 0) | (0xFF, 0xFF, 0xFF)) {
            return Err(Error::FlashSilent);
        }
        Ok(FlashId { maker, sort, size })
    }

    /// Reads up to 64 bytes, whole words, from an address on a word's border.
    pub(crate) fn peek_flash(&mut self, offset: u32) -> Result<[u8; READ_BYTES_MAX]> {
        let words =
            self.transfer::<{ READ_BYTES_MAX / 4 }>(READ, Some(offset), READ_BYTES_MAX as u32 * 8)?;
        let mut bytes = [0; READ_BYTES_MAX];
        for (into, word) in bytes.chunks_exact_mut(4).zip(words) {
            into.copy_from_slice(&word.to_le_bytes());
        }
        Ok(bytes)
    }

    /// Erases one sector, for where the ROM's own erase would take its neighbour along.
    pub(crate) fn erase_sector(&mut self, offset: u32) -> Result<()> {
        self.transfer::<0>(WRITE_ENABLE, None, 0)?;
        self.transfer::<0>(ERASE_SECTOR, Some(offset), 0)?;
        let deadline = self.line.now() + ERASE_TIME_MAX;
        while self.line.now() < deadline {
            let [status] = self.transfer::<1>(READ_STATUS, None, 8)?;
            if status & STATUS_BUSY == 0 {
                return Ok(());
            }
        }
        Err(Error::FlashSilent)
    }

    /// Sends a command, with an address or without, and takes so many bits.
    fn transfer<const N: usize>(
        &mut self,
        command: u8,
        address: Option<u32>,
        bits: u32,
    ) -> Result<[u32; N]> {
        let (user, user_2) = (self.read_register(USER)?, self.read_register(USER_2)?);
        let address_bits = address.map_or(0, |_| USER_HAS_ADDRESS);
        let input_bits = if bits > 0 { USER_HAS_INPUT } else { 0 };
        let lengths = 23 << USER_1_ADDRESS_SHIFT | bits.saturating_sub(1) << USER_1_INPUT_SHIFT;
        self.set(USER_1, lengths)?;
        self.set(USER, USER_HAS_COMMAND | input_bits | address_bits)?;
        self.set(USER_2, USER_2_COMMAND_BITS | u32::from(command))?;
        if let Some(address) = address {
            // The controller sends the upper bits first.
            self.set(ADDRESS, address << 8)?;
        } else {
            self.set(WORDS, 0)?;
        }
        self.set(COMMAND, COMMAND_USER)?;
        let mut is_done = false;
        for _ in 0..LOOKS_MAX {
            is_done = self.read_register(COMMAND)? & COMMAND_USER == 0;
            if is_done {
                break;
            }
        }
        let mut words = [0; N];
        for (at, word) in (0..).zip(&mut words) {
            *word = self.read_register(WORDS + 4 * at)?;
        }
        self.set(USER, user)?;
        self.set(USER_2, user_2)?;
        if is_done {
            Ok(words)
        } else {
            Err(Error::FlashSilent)
        }
    }

    fn set(&mut self, register: u32, value: u32) -> Result<()> {
        self.write_register(register, value, u32::MAX)
    }
}

/// What a flash chip says of itself (JEDEC).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlashId {
    /// Its maker's number.
    pub maker: u8,
    /// Its sort, by its maker's count.
    pub sort: u8,
    /// Its size in bytes as a power of two, by most makers' habit.
    pub size: u8,
}

impl FlashId {
    /// Its size in bytes; `None` where the number is none of those that fit this chip: 256 KB to 16 MB.
    #[must_use]
    pub fn bytes(self) -> Option<u32> {
        (0x12..=0x18).contains(&self.size).then(|| 1 << self.size)
    }
}
