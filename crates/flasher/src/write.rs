//! Regions of the flash made equal to what is wanted: compared, written where they differ, compared again. So what is
//! there already is skipped, what was interrupted goes on where it was, and what was lost on the way is done again, all
//! by the same few lines.

use std::{io::Write as _, ops::Range};

use flate2::{Compression, write::ZlibEncoder};

use crate::{
    Chip, Error, Event, Level, Loader, Region, Result, Watch,
    digest::md5,
    line::Line,
    loader::{DEFLATED_BLOCK_BYTES, READ_BYTES_MAX, ROM_BLOCK_BYTES, SECTOR_BYTES},
};

/// Sectors that are looked at to learn whether a region is worth comparing: on a fresh board nothing is equal, and a
/// digest of all would be time lost.
const PROBES: u32 = 8;
/// What is compared at once, and into how many pieces it is divided where it differs.
const COMPARED_BYTES: u32 = 16 * SECTOR_BYTES;
const DIVIDED_BY: u32 = 4;
/// Rounds of writing and comparing that may end without a single sector more being right.
const ROUNDS_IN_VAIN_MAX: u32 = 4;

/// What becomes of what is overwritten: of which board it is, where it was, and what. It must be safe when this returns.
pub type Backup<'a> = &'a mut dyn FnMut(&Chip, u32, &[u8]) -> std::io::Result<()>;

/// How a region is written.
pub(crate) struct Writing<'a, 'b, L> {
    pub(crate) loader: &'a mut Loader<L>,
    pub(crate) chip: &'a Chip,
    pub(crate) watch: &'a mut dyn Watch,
    /// Takes what is about to be overwritten, unless it is blank.
    pub(crate) backup: Option<Backup<'b>>,
    /// Whether the ROM, which cannot compare, is asked for every byte at the end.
    pub(crate) reads_back: bool,
}

impl<L: Line> Writing<'_, '_, L> {
    /// Makes the flash equal to a region; how many bytes had to be written.
    pub(crate) fn make_equal(&mut self, region: &Region) -> Result<u32> {
        match self.loader.level() {
            Level::Stub => self.make_equal_by_stub(region),
            Level::Rom => self.make_equal_by_rom(region),
        }
    }

    fn make_equal_by_stub(&mut self, region: &Region) -> Result<u32> {
        let (offset, bytes) = (region.offset, region.bytes.len() as u32);
        self.watch.event(Event::Comparing { offset, bytes });
        let mut differing = if self.is_all_different(region)? {
            std::iter::once(0..bytes).collect()
        } else {
            self.differing(region)?
        };
        self.watch.event(Event::Unchanged {
            bytes: bytes - length_of(&differing),
        });
        let mut written = 0;
        let mut in_vain = 0;
        let mut is_backed_up = false;
        while !differing.is_empty() {
            if !std::mem::replace(&mut is_backed_up, true) {
                for run in &differing {
                    self.back_up(region, run)?;
                }
            }
            let before = length_of(&differing);
            for run in differing {
                match self.write_by_stub(region, &run) {
                    Ok(()) => written += run.end - run.start,
                    // What became of the run is seen below.
                    Err(error @ (Error::NoAnswer { .. } | Error::Refused { .. })) => {
                        self.go_on_after(&error)?;
                        break;
                    }
                    Err(error) => return Err(error),
                }
            }
            self.watch.event(Event::Verifying {
                offset,
                bytes,
                done: 0,
            });
            differing = self.differing(region)?;
            in_vain = if length_of(&differing) < before {
                0
            } else {
                in_vain + 1
            };
            if in_vain == ROUNDS_IN_VAIN_MAX {
                return Err(Error::Differs {
                    offset: offset + differing.first().map_or(0, |run| run.start),
                    bytes: length_of(&differing),
                });
            }
        }
        self.watch.event(Event::Verified { offset, bytes });
        Ok(written)
    }

    fn go_on_after(&mut self, error: &Error) -> Result<()> {
        self.loader.find_again()?;
        self.watch.event(Event::Again {
            why: error.to_string(),
            baud: self.loader.baud(),
        });
        Ok(())
    }

    fn stop_if_asked(&self) -> Result<()> {
        if self.watch.is_stopped() {
            return Err(Error::Stopped);
        }
        Ok(())
    }

    /// Whether a few sectors from all over a region are all different.
    fn is_all_different(&mut self, region: &Region) -> Result<bool> {
        let sectors = (region.bytes.len() as u32).div_ceil(SECTOR_BYTES);
        let probes = PROBES.min(sectors);
        for probe in 0..probes {
            let sector = (u64::from(sectors) * u64::from(probe) / u64::from(probes)) as u32;
            let run = region.sector(sector);
            if !self.differs(region, &run)?.is_empty() {
                continue;
            }
            return Ok(false);
        }
        Ok(true)
    }

    /// The runs of sectors that are not as wanted.
    fn differing(&mut self, region: &Region) -> Result<Vec<Range<u32>>> {
        let whole = 0..region.bytes.len() as u32;
        self.differs(region, &whole)
    }

    /// The same within a part. A digest takes the board as long as it is to be read, so each byte is looked at as seldom
    /// as can be: in pieces first, and again only in those that differ.
    fn differs(&mut self, region: &Region, part: &Range<u32>) -> Result<Vec<Range<u32>>> {
        let mut found: Vec<Range<u32>> = Vec::new();
        // The first one lies on top.
        let mut left: Vec<_> = pieces(part, COMPARED_BYTES).collect();
        left.reverse();
        while let Some(part) = left.pop() {
            self.stop_if_asked()?;
            let bytes = part.end - part.start;
            if self.loader.digest(region.offset + part.start, bytes)? == md5(region.part(&part)) {
                continue;
            }
            if bytes > SECTOR_BYTES {
                let step = (bytes / DIVIDED_BY).next_multiple_of(SECTOR_BYTES);
                let below = left.len();
                left.extend(pieces(&part, step));
                left[below..].reverse();
                continue;
            }
            match found.last_mut() {
                Some(before) if before.end == part.start => before.end = part.end,
                _ => found.push(part),
            }
        }
        Ok(found)
    }

    fn back_up(&mut self, region: &Region, run: &Range<u32>) -> Result<()> {
        if self.backup.is_none() {
            return Ok(());
        }
        let (offset, bytes) = (region.offset + run.start, run.end - run.start);
        let bytes = bytes.next_multiple_of(SECTOR_BYTES);
        let is_blank = |digest| digest == md5(&vec![0xFF; bytes as usize]);
        if self.loader.level() == Level::Stub && is_blank(self.loader.digest(offset, bytes)?) {
            return Ok(());
        }
        let watch = &mut *self.watch;
        let mut read = || {
            self.loader.read(offset, bytes, |done| {
                watch.event(Event::BackingUp {
                    offset,
                    bytes,
                    done,
                });
                if watch.is_stopped() {
                    return Err(Error::Stopped);
                }
                Ok(())
            })
        };
        let content = match read() {
            Err(Error::NoAnswer { .. }) => {
                self.loader.find_again()?;
                self.loader.read(offset, bytes, |_| Ok(()))?
            }
            other => other?,
        };
        match &mut self.backup {
            Some(backup) if !is_blank(md5(&content)) => {
                backup(self.chip, offset, &content).map_err(Error::Backup)
            }
            _ => Ok(()),
        }
    }

    fn write_by_stub(&mut self, region: &Region, run: &Range<u32>) -> Result<()> {
        let (offset, bytes) = (region.offset + run.start, run.end - run.start);
        let packed = pack(region.part(run));
        let blocks = packed.chunks(DEFLATED_BLOCK_BYTES);
        let unpacked_a_block = bytes / blocks.len().max(1) as u32;
        self.loader.deflate_begin(offset, bytes, packed.len())?;
        let mut sent = 0;
        for (number, block) in (0..).zip(blocks) {
            self.stop_if_asked()?;
            self.loader.deflate_write(number, block, unpacked_a_block)?;
            sent += block.len();
            let done = u64::from(bytes) * sent as u64 / packed.len() as u64;
            self.watch.event(Event::Writing {
                offset,
                bytes,
                done: done as u32,
            });
        }
        Ok(())
    }

    fn make_equal_by_rom(&mut self, region: &Region) -> Result<u32> {
        let (offset, bytes) = (region.offset, region.bytes.len() as u32);
        self.back_up(region, &(0..bytes))?;
        let mut in_vain = 0;
        loop {
            let outcome = self
                .write_by_rom(region)
                .and_then(|()| self.read_back(region));
            match outcome {
                Ok(None) => break,
                Ok(Some(at)) if in_vain + 1 == ROUNDS_IN_VAIN_MAX => {
                    return Err(Error::Differs {
                        offset: at,
                        bytes: SECTOR_BYTES,
                    });
                }
                Err(error) if in_vain + 1 == ROUNDS_IN_VAIN_MAX => return Err(error),
                Ok(Some(_)) => {}
                Err(error @ (Error::NoAnswer { .. } | Error::Refused { .. })) => {
                    self.go_on_after(&error)?;
                }
                Err(error) => return Err(error),
            }
            in_vain += 1;
        }
        if self.reads_back {
            self.watch.event(Event::Verified { offset, bytes });
        }
        Ok(bytes)
    }

    fn write_by_rom(&mut self, region: &Region) -> Result<()> {
        let (offset, bytes) = (region.offset, region.bytes.len() as u32);
        self.loader.rom_begin(offset, bytes)?;
        let mut done = 0;
        for (number, block) in (0..).zip(region.bytes.chunks(ROM_BLOCK_BYTES)) {
            self.stop_if_asked()?;
            self.loader.rom_write(number, block)?;
            done += block.len() as u32;
            self.watch.event(Event::Writing {
                offset,
                bytes,
                done,
            });
        }
        Ok(())
    }

    /// Where the flash differs from a region, looked at byte by byte: slow. Without reading back, its first and its last
    /// bytes alone.
    fn read_back(&mut self, region: &Region) -> Result<Option<u32>> {
        let (offset, bytes) = (region.offset, region.bytes.len() as u32);
        let step = READ_BYTES_MAX as u32;
        let last = (bytes - 1) / step * step;
        let mut at = 0;
        while at < bytes {
            self.stop_if_asked()?;
            let wanted = region.part(&(at..bytes.min(at + step)));
            let found = self.loader.peek_flash(offset + at)?;
            if found[..wanted.len()] != *wanted {
                return Ok(Some(offset + at));
            }
            self.watch.event(Event::Verifying {
                offset,
                bytes,
                done: at,
            });
            at = if self.reads_back || at >= last {
                at + step
            } else {
                last
            };
        }
        Ok(None)
    }
}

/// A part in pieces of so many bytes, the last one perhaps of fewer.
fn pieces(part: &Range<u32>, bytes: u32) -> impl Iterator<Item = Range<u32>> + use<> {
    let end = part.end;
    let starts = (part.start..end).step_by(bytes as usize);
    starts.map(move |start| start..end.min(start + bytes))
}

fn length_of(runs: &[Range<u32>]) -> u32 {
    runs.iter().map(|run| run.end - run.start).sum()
}

/// Packs as tightly as can be: the line is the slowest part.
fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    // A vector takes everything.
    let packed = encoder.write_all(bytes).and_then(|()| encoder.finish());
    packed.unwrap_or_default()
}
