//! What the chip is but for its program: memory, registers, flash.

use super::{
    flash::Flash,
    options::BoardOptions,
    spi::{self, SpiController},
};
use std::time::Duration;

/// Data RAM and instruction RAM.
const DATA_RAM: std::ops::Range<u32> = 0x3ffe_8000..0x4000_0000;
const CODE_RAM: std::ops::Range<u32> = 0x4010_0000..0x4011_0000;
/// Registers that hold what was burnt into the chip.
const FUSES: u32 = 0x3ff0_0050;
/// By what the clock is divided for the serial line.
const UART_DIVIDER: u32 = 0x6000_0014;
/// A word of the ROM by which tools know the chip.
const MAGIC: (u32, u32) = (0x4000_1000, 0xfff0_c101);
/// The clock of the serial line while the ROM runs: twice that of a crystal of 26 MHz.
const UART_CLOCK: u32 = 52_000_000;

/// The chip.
pub(super) struct Chip {
    pub(super) flash: Flash,
    pub(super) spi: SpiController,
    /// The board's rate on the line.
    pub(super) baud: u32,
    data_ram: Vec<u8>,
    code_ram: Vec<u8>,
    fuses: [u32; 4],
}

impl Chip {
    pub(super) fn new(options: &BoardOptions) -> Self {
        let [first, second, third, fourth, fifth, sixth] = options.mac;
        let size = options.flash_size;
        let unique_id = [0xd1, 0x66, first, second, third, fourth, fifth, sixth];
        let fuses = [
            // An ESP8285 says so in two places.
            u32::from(sixth) << 24 | u32::from(options.is_esp8285) << 4,
            u32::from(fourth) << 8 | u32::from(fifth),
            u32::from(options.is_esp8285) << 16,
            u32::from(first) << 16 | u32::from(second) << 8 | u32::from(third),
        ];
        Chip {
            flash: Flash::new(size, options.flash_timing(), options.second_program),
            spi: SpiController::new([options.flash_maker, 0x40, size.capacity()], unique_id),
            baud: super::boot::BAUD,
            data_ram: Vec::new(),
            code_ram: Vec::new(),
            fuses,
        }
    }

    /// Forgets what a reset makes it forget; flash and RAM stay.
    pub(super) fn reset(&mut self) {
        self.spi.reset();
        self.baud = super::boot::BAUD;
    }

    /// The power has been away: nothing is left in RAM.
    pub(super) fn clear_memory(&mut self) {
        self.data_ram.clear();
        self.code_ram.clear();
    }

    fn ram(&self, address: u32) -> Option<(&Vec<u8>, usize)> {
        if DATA_RAM.contains(&address) {
            return Some((&self.data_ram, (address - DATA_RAM.start) as usize));
        }
        let is_code = CODE_RAM.contains(&address);
        is_code.then(|| (&self.code_ram, (address - CODE_RAM.start) as usize))
    }

    /// Bytes of RAM, if all of them lie in one of its two parts.
    pub(super) fn memory(&self, address: u32, length: usize) -> Option<Vec<u8>> {
        let (ram, start) = self.ram(address)?;
        self.ram(address.checked_add(u32::try_from(length).ok()?.saturating_sub(1))?)?;
        let mut bytes = ram.get(start..).unwrap_or_default().to_vec();
        bytes.resize(length, 0);
        Some(bytes)
    }

    /// Writes RAM. Says whether it was RAM.
    pub(super) fn set_memory(&mut self, address: u32, bytes: &[u8]) -> bool {
        let (ram, range) = match address {
            address if DATA_RAM.contains(&address) => (&mut self.data_ram, DATA_RAM),
            address if CODE_RAM.contains(&address) => (&mut self.code_ram, CODE_RAM),
            _ => return false,
        };
        ram.resize(range.len(), 0);
        let start = (address - range.start) as usize;
        match ram.get_mut(start..start + bytes.len()) {
            Some(place) => place.copy_from_slice(bytes),
            None => return false,
        }
        true
    }

    /// Reads a word, if anything answers there.
    pub(super) fn read_word(&self, address: u32) -> Option<u32> {
        match address {
            _ if !address.is_multiple_of(4) => None,
            UART_DIVIDER => Some(UART_CLOCK / self.baud.max(1)),
            _ if address == MAGIC.0 => Some(MAGIC.1),
            spi::BASE..spi::END => Some(self.spi.read(address)),
            FUSES..0x3ff0_0060 => {
                let fuse = self.fuses.get(((address - FUSES) / 4) as usize);
                fuse.copied()
            }
            // Registers and ROM that hold nothing here.
            0x3ff0_0000..0x3ff2_0000 | 0x6000_0000..0x6001_0000 | 0x4000_0000..0x4001_0000 => {
                Some(0)
            }
            _ => {
                let bytes = self.memory(address, 4)?;
                Some(u32::from_le_bytes(bytes.try_into().ok()?))
            }
        }
    }

    /// Writes a word. Says whether anything takes it there.
    pub(super) fn write_word(&mut self, now: Duration, address: u32, value: u32) -> bool {
        match address {
            _ if !address.is_multiple_of(4) => false,
            spi::BASE..spi::END => {
                self.spi.write(now, &mut self.flash, address, value);
                true
            }
            0x3ff0_0000..0x3ff2_0000 | 0x6000_0000..0x6001_0000 => true,
            _ => self.set_memory(address, &value.to_le_bytes()),
        }
    }
}
