//! The loader that a host puts into RAM: faster, and with more to it than the ROM's.

use super::{
    chip::Chip,
    flash::{BLOCK_BYTES, PAGE_BYTES, SECTOR_BYTES},
    loader::{
        Block, BlockFault, Download, Reaction, Request, SYNC_REPLIES, Then, command, read_register,
        reply, write_registers,
    },
};
use flate2::{Decompress, FlushDecompress, Status};
use md5::{Digest, Md5};
use std::time::Duration;

/// The longest packet: a block with its heads, and room.
pub(super) const PACKET_BYTES_MAX: usize = BLOCK_BYTES_MAX as usize + 64;
/// What it takes in while it is busy: its interrupt handler fills two buffers of this kind.
pub(super) const BUFFER_BYTES: usize = 2 * PACKET_BYTES_MAX;
/// The greatest block that it takes.
const BLOCK_BYTES_MAX: u32 = 0x4000;
/// How long the words are that begin a write: a fifth one, of encryption, may follow, as newer chips have it.
const BEGIN_BYTES: [usize; 2] = [16, 20];
/// What it says when it begins.
pub(super) const GREETING: &[u8] = b"OHAI";

/// What it says is wrong.
mod code {
    pub(super) const LENGTH: u8 = 0xc0;
    pub(super) const CHECKSUM: u8 = 0xc1;
    pub(super) const BLOCK_SIZE: u8 = 0xc2;
    pub(super) const INVALID: u8 = 0xc3;
    pub(super) const SPI: u8 = 0xc4;
    pub(super) const NOT_IN_FLASH_MODE: u8 = 0xc6;
    pub(super) const INFLATE: u8 = 0xc7;
    pub(super) const TOO_LITTLE: u8 = 0xc8;
    pub(super) const TOO_MUCH: u8 = 0xc9;
    pub(super) const UNKNOWN: u8 = 0xff;
}

/// A stub as a host loads it, known by its content.
struct KnownStub {
    entry: u32,
    parts: [Part; 2],
}

struct Part {
    address: u32,
    length: usize,
    crc: u32,
}

/// Espressif's second stub: esptool 5.3 and newer load it, and esptool-js 0.7 bears it.
const KNOWN: [KnownStub; 1] = [KnownStub {
    entry: 0x4010_c504,
    parts: [
        Part {
            address: 0x4010_c500,
            length: 11_456,
            crc: 0x5465_20cf,
        },
        Part {
            address: 0x3fff_ae6c,
            length: 920,
            crc: 0x1b25_1564,
        },
    ],
}];
/// How far around its entry a stub of another making is looked for.
const REACH: usize = 0x4000;

/// Whether what lies at an entry is a stub that runs. A known one must be whole; of others nothing is known
/// but that they have to say the greeting.
pub(super) fn runs_at(chip: &Chip, entry: u32) -> bool {
    let known = KNOWN.iter().find(|known| {
        let text = &known.parts[0];
        (text.address..text.address + text.length as u32).contains(&entry)
    });
    let Some(known) = known else {
        let from = entry.saturating_sub(REACH as u32 / 2);
        let around = chip.memory(from.max(0x4010_0000), REACH);
        return around.is_some_and(|around| {
            (around.windows(GREETING.len())).any(|window| window == GREETING)
        });
    };
    entry == known.entry
        && known.parts.iter().all(|part| {
            let content = chip.memory(part.address, part.length);
            content.is_some_and(|content| crc32fast::hash(&content) == part.crc)
        })
}

/// What the stub remembers.
#[derive(Default)]
pub(super) struct Stub {
    memory: Option<Download>,
    writing: Option<Writing>,
    reading: Option<Reading>,
}

impl Stub {
    /// Executes what came in a packet.
    pub(super) fn packet(&mut self, chip: &mut Chip, now: Duration, packet: &[u8]) -> Reaction {
        if let Some(reading) = self.reading.take() {
            let (reading, packets) = reading.acknowledged(chip, packet);
            self.reading = reading;
            return Reaction::packets(packets);
        }
        let Some(request) = Request::parse(packet) else {
            return Reaction::none();
        };
        if !request.is_whole {
            return answer(&request, Err(code::LENGTH));
        }
        let length = request.data.len();
        match request.command {
            command::SYNC => {
                Reaction::packets(vec![reply(command::SYNC, 0, &[], Ok(())); SYNC_REPLIES])
            }
            command::READ_REGISTER if length == 4 => match read_register(chip, &request) {
                Some(value) => Reaction::packets(vec![reply(request.command, value, &[], Ok(()))]),
                None => Reaction::none().then(Then::Hang),
            },
            command::WRITE_REGISTER if length > 0 && length % 16 == 0 => {
                match write_registers(chip, now, &request) {
                    Some(time) => answer(&request, Ok(())).after(time),
                    None => Reaction::none().then(Then::Hang),
                }
            }
            command::MEMORY_BEGIN if length == 16 => {
                self.memory = Some(Download::begun_by(&request));
                answer(&request, Ok(()))
            }
            command::MEMORY_DATA => answer(&request, self.load(chip, &request)),
            command::MEMORY_END if length == 8 => {
                self.memory = None;
                let then = match request.word(0) {
                    0 => Then::Run(request.word(1)),
                    _ => Then::Stay,
                };
                answer(&request, Ok(())).then(then)
            }
            command::FLASH_BEGIN if BEGIN_BYTES.contains(&length) => {
                self.begin(chip, &request, false)
            }
            command::DEFLATE_BEGIN if BEGIN_BYTES.contains(&length) => {
                self.begin(chip, &request, true)
            }
            command::FLASH_DATA => self.write(chip, now, &request, false),
            command::DEFLATE_DATA => self.write(chip, now, &request, true),
            // It stays, whatever it is told: only a reset ends it.
            command::FLASH_END | command::DEFLATE_END if length == 4 => {
                let ended = self.writing.take().ok_or(code::NOT_IN_FLASH_MODE);
                answer(&request, ended.and_then(Writing::end))
            }
            command::FLASH_MD5 if length == 16 => {
                let (offset, size) = (request.word(0), request.word(1));
                let content = chip.flash.read(offset, size.min(chip.flash.size()));
                let time = chip.flash.timing().kib_read * (size / 1024);
                let packet = reply(request.command, 0, &Md5::digest(content), Ok(()));
                Reaction::packets(vec![packet]).after(time)
            }
            command::ERASE_FLASH if length == 0 => {
                chip.flash.unlock();
                let done = chip.flash.erase_chip(now);
                answer(&request, Ok(())).after(done - now)
            }
            command::ERASE_REGION if length == 8 => {
                let (offset, size) = (request.word(0), request.word(1));
                if offset % SECTOR_BYTES != 0 || size % SECTOR_BYTES != 0 {
                    return answer(&request, Err(code::SPI));
                }
                chip.flash.unlock();
                let mut area = Erasure::new(offset, size.min(chip.flash.size()));
                let done = area.reach(chip, now, area.end);
                answer(&request, Ok(())).after(done - now)
            }
            command::READ_FLASH if length == 16 => match Reading::begun_by(&request) {
                Some(reading) => {
                    let (reading, packets) = reading.on(chip);
                    self.reading = reading;
                    let first = reply(request.command, 0, &[], Ok(()));
                    Reaction::packets([vec![first], packets].concat())
                }
                None => answer(&request, Err(code::INVALID)),
            },
            command::SPI_ATTACH | command::SPI_SET_PARAMETERS => answer(&request, Ok(())),
            command::CHANGE_BAUD_RATE if length == 8 && request.word(0) > 0 => {
                answer(&request, Ok(())).then(Then::Baud(request.word(0)))
            }
            command::RUN_USER_CODE => Reaction::none(),
            command::SYNC..=command::READ_REGISTER
            | command::FLASH_BEGIN..=command::MEMORY_DATA
            | command::CHANGE_BAUD_RATE..=command::FLASH_MD5
            | command::ERASE_FLASH..=command::READ_FLASH => answer(&request, Err(code::LENGTH)),
            _ => answer(&request, Err(code::UNKNOWN)),
        }
    }

    /// Takes a block for RAM.
    fn load(&mut self, chip: &mut Chip, request: &Request<'_>) -> Result<(), u8> {
        let block = block(request)?;
        let download = self.memory.as_mut().ok_or(code::NOT_IN_FLASH_MODE)?;
        let place = download.next(block.content.len()).ok_or(code::BLOCK_SIZE)?;
        match chip.set_memory(place, block.content) {
            true => Ok(()),
            false => Err(code::INVALID),
        }
    }

    /// Begins to write flash. Nothing is erased ahead.
    fn begin(&mut self, chip: &mut Chip, request: &Request<'_>, is_deflated: bool) -> Reaction {
        let (size, block_bytes, offset) = (request.word(0), request.word(2), request.word(3));
        if block_bytes > BLOCK_BYTES_MAX {
            return answer(request, Err(code::BLOCK_SIZE));
        }
        chip.flash.unlock();
        self.writing = Some(Writing {
            inflate: is_deflated.then(|| Box::new(Decompress::new(true))),
            offset,
            left: size,
            erasure: Erasure::new(offset, size.min(chip.flash.size())),
            waiting: Vec::new(),
            fault: None,
        });
        answer(request, Ok(()))
    }

    /// Takes a block for flash: says so first and writes after, so that what fails is told with the next.
    /// The block's number is not looked at.
    fn write(
        &mut self,
        chip: &mut Chip,
        now: Duration,
        request: &Request<'_>,
        is_deflated: bool,
    ) -> Reaction {
        let block = match block(request) {
            Ok(block) => block,
            Err(code) => return answer(request, Err(code)),
        };
        let writing = (self.writing.as_mut()).filter(|it| it.inflate.is_some() == is_deflated);
        let Some(writing) = writing else {
            return answer(request, Err(code::NOT_IN_FLASH_MODE));
        };
        if let Some(fault) = writing.fault {
            return answer(request, Err(fault));
        }
        let mut reaction = answer(request, Ok(()));
        let done = writing.take(chip, now, block.content);
        reaction.after = done - now;
        reaction
    }
}

fn answer(request: &Request<'_>, status: Result<(), u8>) -> Reaction {
    Reaction::packets(vec![reply(request.command, 0, &[], status)])
}

fn block<'a>(request: &Request<'a>) -> Result<Block<'a>, u8> {
    request.block().map_err(|fault| match fault {
        BlockFault::Length => code::LENGTH,
        BlockFault::Checksum => code::CHECKSUM,
    })
}

/// What is to be erased as it is needed, in the greatest steps that fit.
struct Erasure {
    next: u32,
    end: u32,
}

impl Erasure {
    fn new(offset: u32, size: u32) -> Self {
        let end = offset.saturating_add(size);
        Erasure {
            next: offset / SECTOR_BYTES * SECTOR_BYTES,
            end: end.checked_next_multiple_of(SECTOR_BYTES).unwrap_or(end),
        }
    }

    /// Erases until everything below this address is.
    fn reach(&mut self, chip: &mut Chip, now: Duration, below: u32) -> Duration {
        let mut done = now;
        while self.next < below.min(self.end) {
            let is_block =
                self.next.is_multiple_of(BLOCK_BYTES) && self.end - self.next >= BLOCK_BYTES;
            let (erased, step) = match is_block {
                true => (chip.flash.erase_block(done, self.next), BLOCK_BYTES),
                false => (chip.flash.erase_sector(done, self.next), SECTOR_BYTES),
            };
            done = erased;
            self.next += step;
        }
        done
    }
}

/// A region that is being written.
struct Writing {
    inflate: Option<Box<Decompress>>,
    /// Where the next byte that waits goes.
    offset: u32,
    /// Bytes that have not come yet.
    left: u32,
    erasure: Erasure,
    /// What waits for its page to be full.
    waiting: Vec<u8>,
    fault: Option<u8>,
}

impl Writing {
    fn take(&mut self, chip: &mut Chip, now: Duration, content: &[u8]) -> Duration {
        match self.inflate.take() {
            Some(mut inflate) => {
                let inflated = self.inflated(&mut inflate, content);
                self.inflate = Some(inflate);
                match inflated {
                    Ok(plain) => self.put(chip, now, &plain),
                    Err(code) => {
                        self.fault = Some(code);
                        now
                    }
                }
            }
            None => {
                // The last block is filled up to its full length.
                let wanted = content.len().min(self.left as usize);
                self.put(chip, now, content.get(..wanted).unwrap_or_default())
            }
        }
    }

    fn inflated(&self, inflate: &mut Decompress, content: &[u8]) -> Result<Vec<u8>, u8> {
        let left = self.left as usize;
        let mut plain = Vec::with_capacity(left.min(0x1_0000) + 1);
        let mut rest = content;
        loop {
            let (before, written) = (inflate.total_in(), plain.len());
            let status = inflate
                .decompress_vec(rest, &mut plain, FlushDecompress::None)
                .map_err(|_| code::INFLATE)?;
            let taken = (inflate.total_in() - before) as usize;
            rest = rest.get(taken..).unwrap_or_default();
            if plain.len() > left {
                return Err(code::TOO_MUCH);
            }
            if status == Status::StreamEnd {
                return match (rest.is_empty(), plain.len() < left) {
                    (_, true) => Err(code::TOO_LITTLE),
                    (false, _) => Err(code::TOO_MUCH),
                    _ => Ok(plain),
                };
            }
            if plain.len() == plain.capacity() {
                plain.reserve(0x1_0000);
            } else if taken == 0 && plain.len() == written {
                return Ok(plain);
            }
        }
    }

    /// Writes what fills pages; the rest waits, unless it is the last.
    fn put(&mut self, chip: &mut Chip, now: Duration, plain: &[u8]) -> Duration {
        self.waiting.extend_from_slice(plain);
        self.left -= plain.len() as u32;
        let end = self.offset.wrapping_add(self.waiting.len() as u32);
        let below = match self.left {
            0 => end,
            _ => (end / PAGE_BYTES * PAGE_BYTES).max(self.offset),
        };
        let ready = (below.wrapping_sub(self.offset)) as usize;
        let page: Vec<u8> = self.waiting.drain(..ready).collect();
        let erased = self.erasure.reach(chip, now, below);
        let done = chip.flash.program(erased, self.offset, &page);
        self.offset = below;
        done
    }

    fn end(self) -> Result<(), u8> {
        match (self.fault, self.left) {
            (Some(fault), _) => Err(fault),
            (None, 0) => Ok(()),
            (None, _) => Err(code::TOO_LITTLE),
        }
    }
}

/// A region that is being read: packets are sent ahead of their acknowledgement, up to a number.
struct Reading {
    start: u32,
    length: u32,
    packet_bytes: u32,
    packets_ahead: u32,
    sent: u32,
    acknowledged: u32,
    sum: Md5,
}

impl Reading {
    fn begun_by(request: &Request<'_>) -> Option<Self> {
        let (packet_bytes, packets_ahead) = (request.word(2), request.word(3));
        let is_sound = (1..=BLOCK_BYTES_MAX).contains(&packet_bytes) && packets_ahead > 0;
        is_sound.then(|| Reading {
            start: request.word(0),
            length: request.word(1),
            packet_bytes,
            packets_ahead,
            sent: 0,
            acknowledged: 0,
            sum: Md5::new(),
        })
    }

    /// Sends on: what is left to be done, and the packets.
    fn on(mut self, chip: &Chip) -> (Option<Self>, Vec<Vec<u8>>) {
        let mut packets = Vec::new();
        let ahead_max = self.packet_bytes.saturating_mul(self.packets_ahead);
        while self.sent < self.length && self.sent - self.acknowledged < ahead_max {
            let length = self.packet_bytes.min(self.length - self.sent);
            let content = chip.flash.read(self.start.wrapping_add(self.sent), length);
            self.sum.update(&content);
            self.sent += length;
            packets.push(content);
        }
        if self.acknowledged < self.length {
            return (Some(self), packets);
        }
        packets.push(self.sum.finalize().to_vec());
        (None, packets)
    }

    /// The host says how much it has; what is no such saying ends the reading.
    fn acknowledged(mut self, chip: &Chip, packet: &[u8]) -> (Option<Self>, Vec<Vec<u8>>) {
        let Ok(bytes) = packet.try_into() else {
            return (None, Vec::new());
        };
        self.acknowledged = u32::from_le_bytes(bytes).min(self.sent);
        self.on(chip)
    }
}
