//! The controller of the flash's bus: its registers, and the commands that a host may send to the chip
//! through them.

use super::flash::{BLOCK_BYTES, Flash, PAGE_BYTES, SECTOR_BYTES};
use std::time::Duration;

/// Where the registers begin.
pub(super) const BASE: u32 = 0x6000_0200;
/// Where they end.
pub(super) const END: u32 = 0x6000_0300;

const COMMAND: u32 = 0x00;
const ADDRESS: u32 = 0x04;
const READ_STATUS: u32 = 0x10;
const USER: u32 = 0x1c;
const USER_1: u32 = 0x20;
const USER_2: u32 = 0x24;
const BUFFER: u32 = 0x40;
const BUFFER_BYTES: usize = 64;

/// Bits of the command register: each starts one transaction, and is cleared by its end.
mod start {
    pub(super) const READ: u32 = 1 << 31;
    pub(super) const WRITE_ENABLE: u32 = 1 << 30;
    pub(super) const WRITE_DISABLE: u32 = 1 << 29;
    pub(super) const READ_ID: u32 = 1 << 28;
    pub(super) const READ_STATUS: u32 = 1 << 27;
    pub(super) const WRITE_STATUS: u32 = 1 << 26;
    pub(super) const PAGE_PROGRAM: u32 = 1 << 25;
    pub(super) const SECTOR_ERASE: u32 = 1 << 24;
    pub(super) const BLOCK_ERASE: u32 = 1 << 23;
    pub(super) const CHIP_ERASE: u32 = 1 << 22;
    pub(super) const USER: u32 = 1 << 18;
}

/// Bits of the user register: the phases of a transaction of one's own.
mod phase {
    pub(super) const COMMAND: u32 = 1 << 31;
    pub(super) const ADDRESS: u32 = 1 << 30;
    pub(super) const DUMMY: u32 = 1 << 29;
    pub(super) const INPUT: u32 = 1 << 28;
    pub(super) const OUTPUT: u32 = 1 << 27;
}

/// What the chip is asked, by the codes that all such chips share.
mod opcode {
    pub(super) const WRITE_STATUS: u8 = 0x01;
    pub(super) const PAGE_PROGRAM: u8 = 0x02;
    pub(super) const READ: u8 = 0x03;
    pub(super) const WRITE_DISABLE: u8 = 0x04;
    pub(super) const READ_STATUS: u8 = 0x05;
    pub(super) const WRITE_ENABLE: u8 = 0x06;
    pub(super) const FAST_READ: u8 = 0x0b;
    pub(super) const SECTOR_ERASE: u8 = 0x20;
    pub(super) const READ_STATUS_2: u8 = 0x35;
    pub(super) const READ_UNIQUE_ID: u8 = 0x4b;
    pub(super) const CHIP_ERASE: u8 = 0x60;
    pub(super) const READ_ID: u8 = 0x9f;
    pub(super) const CHIP_ERASE_TOO: u8 = 0xc7;
    pub(super) const BLOCK_ERASE: u8 = 0xd8;
}

/// The registers.
#[derive(Debug)]
pub(super) struct SpiController {
    registers: [u32; ((END - BASE) / 4) as usize],
    /// Whether the pins lead to the flash: the ROM sees to that when it is told to begin with flash.
    pub(super) is_attached: bool,
    id: [u8; 3],
    unique_id: [u8; 8],
}

impl SpiController {
    pub(super) fn new(id: [u8; 3], unique_id: [u8; 8]) -> Self {
        SpiController {
            registers: [0; ((END - BASE) / 4) as usize],
            is_attached: false,
            id,
            unique_id,
        }
    }

    pub(super) fn reset(&mut self) {
        self.registers.fill(0);
        self.is_attached = false;
    }

    pub(super) fn read(&self, address: u32) -> u32 {
        self.register(address - BASE)
    }

    /// Writes a register; the one for commands starts what is asked.
    pub(super) fn write(&mut self, now: Duration, flash: &mut Flash, address: u32, value: u32) {
        let offset = address - BASE;
        self.set(offset, value);
        if offset == COMMAND && value != 0 {
            if self.is_attached {
                self.execute(now, flash, value);
            } else {
                // A bus on which nobody answers rests high.
                self.fill(&[0xff; BUFFER_BYTES]);
                self.set(READ_STATUS, 0xffff);
            }
            self.set(COMMAND, 0);
        }
    }

    fn execute(&mut self, now: Duration, flash: &mut Flash, started: u32) {
        let address = self.register(ADDRESS);
        // Besides the address, the register holds the length of what is built in.
        let (place, length) = (address & 0xff_ffff, (address >> 24) as usize);
        let length = length.min(BUFFER_BYTES);
        match started {
            start::READ => self.fill(&flash.read(place, length as u32)),
            start::WRITE_ENABLE => flash.enable_write(true),
            start::WRITE_DISABLE => flash.enable_write(false),
            start::READ_ID => self.fill(&self.id.clone()),
            start::READ_STATUS => self.set(READ_STATUS, flash.status(now).into()),
            start::WRITE_STATUS => flash.set_status(self.register(READ_STATUS) as u8),
            start::PAGE_PROGRAM => self.program(now, flash, place, length),
            start::SECTOR_ERASE => erase(now, flash, Some((place, SECTOR_BYTES))),
            start::BLOCK_ERASE => erase(now, flash, Some((place, BLOCK_BYTES))),
            start::CHIP_ERASE => erase(now, flash, None),
            start::USER => self.execute_own(now, flash),
            _ => {}
        }
    }

    /// A transaction that is made of phases.
    fn execute_own(&mut self, now: Duration, flash: &mut Flash) {
        let (user, lengths) = (self.register(USER), self.register(USER_1));
        if user & phase::COMMAND == 0 {
            return;
        }
        let bits = |shift: u32, mask: u32| ((lengths >> shift & mask) + 1) as usize;
        let code = self.register(USER_2) as u8;
        let address_bits = bits(26, 0x3f).min(32) as u32;
        let place = match user & phase::ADDRESS {
            0 => 0,
            // The address goes out from the top of its register.
            _ => self.register(ADDRESS) >> (32 - address_bits),
        };
        let output = match user & phase::OUTPUT {
            0 => 0,
            _ => bits(17, 0x1ff) / 8,
        };
        let input = match user & phase::INPUT {
            0 => 0,
            _ => bits(8, 0x1ff).div_ceil(8),
        };
        let dummy = match user & phase::DUMMY {
            0 => 0,
            _ => bits(0, 0xff) / 8,
        };
        let answer = match code {
            opcode::WRITE_ENABLE => return flash.enable_write(true),
            opcode::WRITE_DISABLE => return flash.enable_write(false),
            opcode::WRITE_STATUS => return flash.set_status(self.buffer()[0]),
            opcode::PAGE_PROGRAM => return self.program(now, flash, place, output),
            opcode::SECTOR_ERASE => return erase(now, flash, Some((place, SECTOR_BYTES))),
            opcode::BLOCK_ERASE => return erase(now, flash, Some((place, BLOCK_BYTES))),
            opcode::CHIP_ERASE | opcode::CHIP_ERASE_TOO => return erase(now, flash, None),
            // A chip that is busy answers to nothing but this.
            opcode::READ_STATUS => vec![flash.status(now); input],
            _ if flash.status(now) & 1 != 0 => Vec::new(),
            opcode::READ_STATUS_2 => vec![0; input],
            opcode::READ_ID => self.id.to_vec(),
            opcode::READ => flash.read(place, input as u32),
            opcode::FAST_READ => flash.read(place, (input + dummy.saturating_sub(1)) as u32),
            // Four bytes pass before the answer, in whatever phase the host lets them pass.
            opcode::READ_UNIQUE_ID => {
                let sent = usize::from(user & phase::ADDRESS != 0) * address_bits as usize / 8;
                let waited = (sent + dummy + output).min(4);
                let gap = vec![0; 4 - waited];
                [gap, self.unique_id.to_vec()].concat()
            }
            _ => Vec::new(),
        };
        let mut buffer = [0xff; BUFFER_BYTES];
        for (place, byte) in buffer.iter_mut().zip(answer) {
            *place = byte;
        }
        self.fill(buffer.get(..input.min(BUFFER_BYTES)).unwrap_or_default());
    }

    /// Programs what lies in the buffer; addresses wrap inside of their page.
    fn program(&self, now: Duration, flash: &mut Flash, place: u32, length: usize) {
        if !may_change(now, flash) {
            return;
        }
        let buffer = self.buffer();
        let content = buffer.get(..length.min(BUFFER_BYTES)).unwrap_or_default();
        let room = (PAGE_BYTES - place % PAGE_BYTES) as usize;
        let (content, wrapped) = content.split_at(room.min(content.len()));
        let done = flash.program(now, place, content);
        flash.program(done, place / PAGE_BYTES * PAGE_BYTES, wrapped);
    }

    fn register(&self, offset: u32) -> u32 {
        let index = (offset / 4) as usize;
        self.registers.get(index).copied().unwrap_or_default()
    }

    fn set(&mut self, offset: u32, value: u32) {
        if let Some(register) = self.registers.get_mut((offset / 4) as usize) {
            *register = value;
        }
    }

    fn buffer(&self) -> [u8; BUFFER_BYTES] {
        std::array::from_fn(|at| {
            let word = self.register(BUFFER + at as u32 / 4 * 4);
            word.to_le_bytes()[at % 4]
        })
    }

    /// Puts what has been read into the buffer; the rest of it stays.
    fn fill(&mut self, bytes: &[u8]) {
        for (offset, bytes) in (BUFFER..).step_by(4).zip(bytes.chunks(4)) {
            let mut word = [0; 4];
            for (place, byte) in word.iter_mut().zip(bytes) {
                *place = *byte;
            }
            self.set(offset, u32::from_le_bytes(word));
        }
    }
}

/// Whether the chip takes a command that changes it, which it does once for each time it was enabled.
fn may_change(now: Duration, flash: &mut Flash) -> bool {
    let may = flash.is_write_enabled() && flash.status(now) & 1 == 0;
    if may {
        flash.enable_write(false);
    }
    may
}

/// Erases what is named, or all.
fn erase(now: Duration, flash: &mut Flash, part: Option<(u32, u32)>) {
    if !may_change(now, flash) {
        return;
    }
    match part {
        Some((place, BLOCK_BYTES)) => flash.erase_block(now, place),
        Some((place, _)) => flash.erase_sector(now, place),
        None => flash.erase_chip(now),
    };
}
