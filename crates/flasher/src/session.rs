//! A board's visit to the bench: found, looked at, written, left.

use std::time::Duration;

use crate::{
    After, Before, Chip, Connect, Error, Event, FlashId, HeadPatch, Image, Level, Loader, Region,
    Result, Stub, Watch,
    line::Line,
    loader::SECTOR_BYTES,
    write::{Backup, Writing},
};

/// The rate at which every board and every cable works.
pub const BAUD_SAFE: u32 = 115_200;
/// Rates that are gone down by, when a line drops bytes.
const BAUDS: [u32; 4] = [921_600, 460_800, 230_400, BAUD_SAFE];

/// How a board is spoken to.
#[derive(Debug, Clone)]
pub struct Approach {
    /// The way into the loader.
    pub before: Before,
    /// The rate that is wanted; lower ones are gone down to where it does not work.
    pub baud: u32,
    /// How long to wait for a board that a person brings into its loader.
    pub patience: Duration,
    /// The better loader; `None`: the ROM does it all.
    pub stub: Option<Stub>,
    /// The adapter resets its board when DTR is let go.
    pub holds_dtr: bool,
}

/// What is to be written.
#[derive(Debug, Clone)]
pub struct Order {
    /// Regions, each from a sector's border on; no two share a sector.
    pub regions: Vec<Region>,
    /// What of the first image's head is to be changed.
    pub patch: HeadPatch,
    /// Sets the size in the head to that of the board's own flash.
    pub detects_size: bool,
    /// Whether the ROM, where no stub runs, is asked for every byte at the end: minutes.
    pub reads_back: bool,
}

/// What was found and done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The chip.
    pub chip: Chip,
    /// Its flash.
    pub flash: FlashId,
    /// Bytes that were wanted.
    pub bytes: u32,
    /// Bytes that had to be written for that.
    pub bytes_written: u32,
    /// Answers that came broken or not at all.
    pub line_errors: u32,
    /// Which loader did it.
    pub level: Level,
    /// The rate at the end.
    pub baud: u32,
}

/// A board with its loader ready.
#[derive(Debug)]
pub struct Board<L> {
    /// Its loader.
    pub loader: Loader<L>,
    /// The chip.
    pub chip: Chip,
    /// Its flash.
    pub flash: FlashId,
}

impl<L: Line> Board<L> {
    /// Finds the board, and gets the better loader going at the rate that is wanted, or the best there is.
    ///
    /// # Errors
    /// [`Error`], when there is none, or another one.
    pub fn approach(line: L, approach: &Approach, watch: &mut dyn Watch) -> Result<Self> {
        Self::approach_at(line, approach, approach.baud, watch)
    }

    fn approach_at(
        mut line: L,
        approach: &Approach,
        baud: u32,
        watch: &mut dyn Watch,
    ) -> Result<Self> {
        if approach.before == Before::NoReset {
            watch.event(Event::WaitingForBoard);
        }
        line.set_baud(baud).map_err(Error::Line)?;
        let connect = Connect {
            before: approach.before,
            baud,
            patience: (approach.before == Before::NoReset).then_some(approach.patience),
            holds_dtr: approach.holds_dtr,
        };
        let mut loader = Loader::connect(line, connect, &*watch)?;
        if !loader.has_signals() {
            watch.event(Event::NoSignals);
        }
        let chip = loader.chip()?;
        watch.event(Event::Found { chip: chip.clone() });
        if let (Some(stub), Level::Rom) = (&approach.stub, loader.level()) {
            loader.start_stub(stub)?;
        } else if approach.stub.is_none() {
            watch.event(Event::WithoutStub);
        }
        if loader.level() == Level::Rom {
            // By which it gets the flash's controller going.
            loader.rom_begin(0, 0)?;
        }
        let flash = loader.flash_id()?;
        let bytes = flash.bytes();
        watch.event(Event::Flash { id: flash, bytes });
        if let (Level::Stub, Some(bytes)) = (loader.level(), bytes) {
            loader.set_flash_size(bytes)?;
        }
        watch.event(Event::Speaking {
            level: loader.level(),
            baud: loader.baud(),
        });
        Ok(Board {
            loader,
            chip,
            flash,
        })
    }

    /// Reads a part of the flash.
    ///
    /// # Errors
    /// [`Error`], also where the ROM alone is there and the part is large.
    pub fn read(&mut self, offset: u32, bytes: u32, watch: &mut dyn Watch) -> Result<Vec<u8>> {
        let tell = |done| {
            watch.event(Event::BackingUp {
                offset,
                bytes,
                done,
            });
            if watch.is_stopped() {
                Err(Error::Stopped)
            } else {
                Ok(())
            }
        };
        self.loader.read(offset, bytes, tell)
    }

    /// Erases from one sector's border to another, or everything.
    ///
    /// # Errors
    /// [`Error::Unaligned`] where it is none, and the loader's.
    pub fn erase(&mut self, part: Option<(u32, u32)>) -> Result<()> {
        match part {
            Some((offset, bytes)) => {
                // A chip takes no notice of address bits that it has none of: behind its end its beginning follows.
                let end = u64::from(offset) + u64::from(bytes);
                let flash_bytes = self.flash.bytes().ok_or(Error::FlashSilent)?;
                if end > u64::from(flash_bytes) {
                    return Err(Error::FlashTooSmall { flash_bytes, end });
                }
                for border in [offset, bytes] {
                    if border % SECTOR_BYTES != 0 {
                        return Err(Error::Unaligned { offset: border });
                    }
                }
                self.loader.erase_region(offset, bytes)
            }
            None if self.loader.level() == Level::Stub => self.loader.erase_chip(),
            None => {
                let bytes = self.flash.bytes().ok_or(Error::FlashSilent)?;
                self.loader.erase_region(0, bytes)
            }
        }
    }

    /// Writes an order's regions, and sees that they are there. Nothing is written before all of them have been
    /// looked at.
    ///
    /// # Errors
    /// [`Error`]; what was written by then is whole sectors, and a next time goes on from there.
    pub fn write(
        &mut self,
        order: &Order,
        mut backup: Option<Backup<'_>>,
        watch: &mut dyn Watch,
    ) -> Result<Written> {
        let regions = order.prepared(self.flash)?;
        let mut bytes_written = 0;
        for region in &regions {
            let mut writing = Writing {
                loader: &mut self.loader,
                chip: &self.chip,
                watch: &mut *watch,
                backup: backup.as_mut().map(|it| &mut **it as Backup<'_>),
                reads_back: order.reads_back,
            };
            bytes_written += writing.make_equal(region)?;
        }
        Ok(Written {
            chip: self.chip.clone(),
            flash: self.flash,
            bytes: regions.iter().map(|it| it.bytes.len() as u32).sum(),
            bytes_written,
            line_errors: self.loader.line_errors(),
            level: self.loader.level(),
            baud: self.loader.baud(),
        })
    }

    /// Leaves the loader.
    ///
    /// # Errors
    /// [`Error::Line`].
    pub fn leave(self, after: After) -> Result<bool> {
        Ok(self.loader.leave(after)?.was_reset)
    }
}

impl Order {
    /// The regions as they are to lie in this flash: heads changed, filled up to whole words, in the order of their
    /// places.
    fn prepared(&self, flash: FlashId) -> Result<Vec<Region>> {
        let mut patch = self.patch;
        if self.detects_size {
            let size = flash.bytes().and_then(crate::FlashSize::of_bytes);
            patch.size = Some(size.ok_or(Error::FlashSilent)?);
        }
        let mut regions = self.regions.clone();
        regions.retain(|region| !region.bytes.is_empty());
        regions.sort_by_key(|region| region.offset);
        for region in &mut regions {
            if region.offset % SECTOR_BYTES != 0 {
                return Err(Error::Unaligned {
                    offset: region.offset,
                });
            }
            patch.apply(region.offset, &mut region.bytes);
            let mut head_size = None;
            if Image::is_one(&region.bytes) {
                head_size = Image::read(&region.bytes)?.flash_size;
            }
            let whole = region.bytes.len().next_multiple_of(4);
            region.bytes.resize(whole, 0xFF);
            let flash_bytes = flash.bytes().ok_or(Error::FlashSilent)?;
            let mut end = u64::from(region.offset) + whole as u64;
            if region.offset == 0
                && let Some(size) = head_size
            {
                // Where its head says more than there is, the SDK looks for its settings behind the end.
                end = end.max(size.bytes().into());
            }
            if end > u64::from(flash_bytes) {
                return Err(Error::FlashTooSmall { flash_bytes, end });
            }
        }
        for pair in regions.windows(2) {
            let end = u64::from(pair[0].offset) + pair[0].bytes.len() as u64;
            if end.next_multiple_of(SECTOR_BYTES.into()) > u64::from(pair[1].offset) {
                return Err(Error::Overlap {
                    first: pair[0].offset,
                    second: pair[1].offset,
                });
            }
        }
        Ok(regions)
    }
}

/// Finds a board, writes an order, and leaves the board as `after` says; where the line drops bytes, it is found again
/// and spoken to at a lower rate.
///
/// # Errors
/// [`Error`]: the last one, once nothing is left to be tried.
pub fn flash<L: Line>(
    line: &mut L,
    approach: &Approach,
    order: &Order,
    after: After,
    mut backup: Option<Backup<'_>>,
    watch: &mut dyn Watch,
) -> Result<(Written, bool)> {
    let mut stub = approach.stub.clone();
    let mut lower = BAUDS.into_iter().filter(|&it| it < approach.baud);
    let mut baud = approach.baud;
    loop {
        let mut attempt = || {
            let approach = Approach {
                stub: stub.clone(),
                ..approach.clone()
            };
            let mut board = Board::approach_at(&mut *line, &approach, baud, watch)?;
            let backup = backup.as_mut().map(|it| &mut **it as Backup<'_>);
            let written = board.write(order, backup, watch)?;
            Ok((written, board.leave(after)?))
        };
        let error = match attempt() {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        match &error {
            Error::StubSilent if stub.take().is_some() => watch.event(Event::WithoutStub),
            Error::Lost
            | Error::NoAnswer { .. }
            | Error::Refused { .. }
            | Error::Silent { .. }
            | Error::NotInLoader { .. } => match lower.next() {
                Some(next) => baud = next,
                None => return Err(error),
            },
            _ => return Err(error),
        }
        watch.event(Event::Again {
            why: error.to_string(),
            baud,
        });
    }
}
