//! The loader in the chip's ROM.

use super::{
    boot::word,
    chip::Chip,
    flash::{BLOCK_BYTES, SECTOR_BYTES},
    loader::{
        BlockFault, Download, Reaction, Request, SYNC_REPLIES, Then, command, read_register, reply,
        write_registers,
    },
};
use std::time::Duration;

/// The longest packet: a block for RAM with its heads, and room.
pub(super) const PACKET_BYTES_MAX: usize = 0x1800 + 64;
/// What the receiver holds while nobody empties it.
pub(super) const FIFO_BYTES: usize = 128;
/// Bytes that the ROM programs at a time.
const PIECE_BYTES: usize = 32;
const SECTORS_OF_BLOCK: u32 = BLOCK_BYTES / SECTOR_BYTES;

/// What the ROM says is wrong.
mod code {
    pub(super) const FORMAT: u8 = 5;
    pub(super) const FAILED: u8 = 6;
    pub(super) const CHECKSUM: u8 = 7;
    pub(super) const FLASH_WRITE: u8 = 8;
}

const SYNC_HEAD: [u8; 4] = [0x07, 0x07, 0x12, 0x20];
const SYNC_FILL: u8 = 0x55;
const SYNC_BYTES: usize = 36;

/// What the loader remembers.
#[derive(Debug, Default)]
pub(super) struct Rom {
    /// The rate is settled by the first SYNC, and not looked at again.
    pub(super) is_synced: bool,
    /// The reply's value: what was last put there, by whichever command.
    value: u32,
    memory: Option<Download>,
    flash: Option<Download>,
}

impl Rom {
    /// Executes what came in a packet.
    pub(super) fn packet(&mut self, chip: &mut Chip, now: Duration, packet: &[u8]) -> Reaction {
        let Some(request) = Request::parse(packet) else {
            return Reaction::none();
        };
        if !request.is_whole {
            return self.answer(&request, Err(code::FORMAT));
        }
        let length = request.data.len();
        match request.command {
            command::SYNC => self.sync(&request),
            command::READ_REGISTER if length == 4 => match read_register(chip, &request) {
                Some(value) => {
                    self.value = value;
                    self.answer(&request, Ok(()))
                }
                None => Reaction::none().then(Then::Hang),
            },
            command::WRITE_REGISTER if length > 0 && length % 16 == 0 => {
                match write_registers(chip, now, &request) {
                    Some(time) => self.answer(&request, Ok(())).after(time),
                    None => Reaction::none().then(Then::Hang),
                }
            }
            command::MEMORY_BEGIN if length == 16 => {
                self.memory = Some(Download::begun_by(&request));
                self.answer(&request, Ok(()))
            }
            command::MEMORY_DATA => {
                let written = block(&request, &mut self.memory).and_then(|(place, content)| {
                    match chip.set_memory(place, content) {
                        true => Ok(()),
                        false => Err(code::FAILED),
                    }
                });
                self.answer(&request, written)
            }
            command::MEMORY_END if length == 8 => {
                self.memory = None;
                let then = match request.word(0) {
                    0 => Then::Run(request.word(1)),
                    _ => Then::Stay,
                };
                self.answer(&request, Ok(())).then(then)
            }
            command::FLASH_BEGIN if length == 16 => {
                chip.spi.is_attached = true;
                chip.flash.unlock();
                let done = erase(chip, now, request.word(3), request.word(0));
                self.flash = Some(Download::begun_by(&request));
                self.answer(&request, Ok(())).after(done - now)
            }
            command::FLASH_DATA => match block(&request, &mut self.flash) {
                Ok((place, content)) => {
                    let (done, written) = program(chip, now, place, content);
                    self.answer(&request, written).after(done - now)
                }
                Err(code) => self.answer(&request, Err(code)),
            },
            command::FLASH_END if length == 4 => {
                self.flash = None;
                let then = match request.word(0) {
                    0 => Then::Restart,
                    _ => Then::BootFlash,
                };
                self.answer(&request, Ok(())).then(then)
            }
            _ => self.answer(&request, Err(code::FORMAT)),
        }
    }

    fn sync(&mut self, request: &Request<'_>) -> Reaction {
        let fill = request.data.strip_prefix(&SYNC_HEAD);
        let is_sync = fill.is_some_and(|fill| fill.iter().all(|byte| *byte == SYNC_FILL));
        if !is_sync || request.data.len() != SYNC_BYTES {
            return self.answer(request, Err(code::FORMAT));
        }
        self.is_synced = true;
        self.value = word(&SYNC_HEAD, 0);
        let reply = reply(request.command, self.value, &[], Ok(()));
        Reaction::packets(vec![reply; SYNC_REPLIES])
    }

    fn answer(&self, request: &Request<'_>, status: Result<(), u8>) -> Reaction {
        Reaction::packets(vec![reply(request.command, self.value, &[], status)])
    }
}

/// The block of a request, and where it goes: the next of the download that is under way.
fn block<'a>(
    request: &Request<'a>,
    download: &mut Option<Download>,
) -> Result<(u32, &'a [u8]), u8> {
    let block = request.block().map_err(|fault| match fault {
        BlockFault::Length => code::FORMAT,
        BlockFault::Checksum => code::CHECKSUM,
    })?;
    let download = download.as_mut().ok_or(code::FAILED)?;
    if block.sequence != download.sequence {
        return Err(code::FAILED);
    }
    let place = download.next(block.content.len());
    Ok((place.ok_or(code::FORMAT)?, block.content))
}

/// Erases as the ROM does, which is more than it is asked for: the sectors up to the next block's beginning
/// are erased one by one, and then as many as were asked for in all, instead of as many as are left.
fn erase(chip: &mut Chip, now: Duration, offset: u32, size: u32) -> Duration {
    let flash = &mut chip.flash;
    let most = flash.size() / SECTOR_BYTES;
    let asked = size.div_ceil(SECTOR_BYTES).min(most);
    let mut sector = offset / SECTOR_BYTES;
    let mut done = now;
    let head = (SECTORS_OF_BLOCK - sector % SECTORS_OF_BLOCK).min(asked);
    for _ in 0..head {
        done = flash.erase_sector(done, sector * SECTOR_BYTES);
        sector += 1;
    }
    let mut left = asked;
    while left > 0 {
        if sector.is_multiple_of(SECTORS_OF_BLOCK) && left >= SECTORS_OF_BLOCK {
            done = flash.erase_block(done, sector * SECTOR_BYTES);
            sector += SECTORS_OF_BLOCK;
            left -= SECTORS_OF_BLOCK;
        } else {
            done = flash.erase_sector(done, sector * SECTOR_BYTES);
            sector += 1;
            left -= 1;
        }
    }
    done
}

/// Programs a block and reads it back.
fn program(
    chip: &mut Chip,
    now: Duration,
    place: u32,
    content: &[u8],
) -> (Duration, Result<(), u8>) {
    let flash = &mut chip.flash;
    let time = flash.timing().piece_program;
    let mut done = now;
    for (offset, piece) in (place..)
        .step_by(PIECE_BYTES)
        .zip(content.chunks(PIECE_BYTES))
    {
        done = flash.program_for(done, offset, piece, time);
    }
    let is_same = flash.read(place, content.len() as u32) == content;
    (
        done,
        if is_same {
            Ok(())
        } else {
            Err(code::FLASH_WRITE)
        },
    )
}
