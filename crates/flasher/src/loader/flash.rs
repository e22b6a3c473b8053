//! The flash through the loader: erased, written, read back, compared.

use std::time::Duration;

use super::{
    Level, Loader, PATIENCE,
    wire::{self, Operation},
};
use crate::{Error, Result, line::Line, slip::Decoded};

/// What the chip erases at least.
pub(crate) const SECTOR_BYTES: u32 = 0x1000;
/// Sectors in the block that the ROM erases at once where it can.
const SECTORS_A_BLOCK: u32 = 16;
/// What the ROM takes in one block, filled up to its length.
pub(crate) const ROM_BLOCK_BYTES: usize = 0x400;
/// What the stub takes in one, of packed bytes.
pub(crate) const DEFLATED_BLOCK_BYTES: usize = 0x4000;
/// What flash chips take at worst: a sector's erase, and a page's program as long as a block's of 16 KB.
const ERASE_TIME_MAX_A_SECTOR: Duration = Duration::from_millis(400);
const WRITE_TIME_MAX_A_BLOCK: Duration = Duration::from_secs(3);
/// Working out a digest of a megabyte.
const DIGEST_TIME_MAX_A_MEGABYTE: Duration = Duration::from_secs(8);
/// Sectors that the last packed block before it may still be erasing and writing: content that packs to a sixteenth.
const DIGEST_SECTORS_BEFORE: u32 = 64;
const ERASE_CHIP_TIME_MAX: Duration = Duration::from_secs(120);
const READ_BLOCK_BYTES: u32 = SECTOR_BYTES;
/// Blocks that the stub sends ahead of our acknowledgement.
const READ_BLOCKS_AHEAD: u32 = 64;

impl<L: Line> Loader<L> {
    /// Tells the stub how large the flash is; the ROM takes what the image's header says.
    pub(crate) fn set_flash_size(&mut self, bytes: u32) -> Result<()> {
        let payload = wire::words(&[0, bytes, 0x1_0000, SECTOR_BYTES, 0x100, 0xFFFF]);
        self.ask_again(Operation::SetFlash, &payload, PATIENCE)?;
        Ok(())
    }

    /// Begins a write through the ROM, which erases all of the region now.
    pub(crate) fn rom_begin(&mut self, offset: u32, length: u32) -> Result<()> {
        let blocks = length.div_ceil(ROM_BLOCK_BYTES as u32);
        let sectors = length.div_ceil(SECTOR_BYTES);
        let patience = PATIENCE + ERASE_TIME_MAX_A_SECTOR * (sectors + SECTORS_A_BLOCK);
        let (asked, erased) = rom_erase(offset, length);
        if erased < sectors * SECTOR_BYTES {
            self.erase_sector(offset + erased)?;
        }
        let payload = wire::words(&[asked, blocks, ROM_BLOCK_BYTES as u32, offset]);
        self.ask(Operation::FlashBegin, &payload, 0, patience)?;
        Ok(())
    }

    /// Writes a block through the ROM. It is never sent twice: a lost answer restarts the region.
    pub(crate) fn rom_write(&mut self, number: u32, data: &[u8]) -> Result<()> {
        let mut data = data.to_vec();
        data.resize(ROM_BLOCK_BYTES, 0xFF);
        let payload = wire::block(number, &data);
        let patience = WRITE_TIME_MAX_A_BLOCK + self.time_of(payload.len());
        let check = wire::checksum(&data);
        self.ask(Operation::FlashData, &payload, check, patience)?;
        Ok(())
    }

    /// Begins a packed write through the stub, which erases ahead of what it writes.
    pub(crate) fn deflate_begin(&mut self, offset: u32, length: u32, packed: usize) -> Result<()> {
        let blocks = packed.div_ceil(DEFLATED_BLOCK_BYTES);
        let payload = wire::words(&[length, blocks as u32, DEFLATED_BLOCK_BYTES as u32, offset]);
        self.ask(
            Operation::DeflateBegin,
            &payload,
            0,
            PATIENCE + ERASE_TIME_MAX_A_SECTOR,
        )?;
        Ok(())
    }

    /// Sends a packed block. The stub answers before it has written; what then fails is told by the next answer.
    /// `unpacked`: how many bytes it comes to, which says how long the one before may take.
    pub(crate) fn deflate_write(&mut self, number: u32, data: &[u8], unpacked: u32) -> Result<()> {
        let payload = wire::block(number, data);
        let sectors = unpacked.div_ceil(SECTOR_BYTES) + 1;
        let patience = WRITE_TIME_MAX_A_BLOCK
            + ERASE_TIME_MAX_A_SECTOR * sectors
            + self.time_of(payload.len());
        let check = wire::checksum(data);
        self.ask(Operation::DeflateData, &payload, check, patience)?;
        Ok(())
    }

    /// The MD5 of a region, which the stub alone works out; asked for at the end of a write, it also waits for that.
    pub(crate) fn digest(&mut self, offset: u32, length: u32) -> Result<[u8; 16]> {
        let payload = wire::words(&[offset, length, 0, 0]);
        let megabytes = f64::from(length) / f64::from(1 << 20);
        let sectors = length.div_ceil(SECTOR_BYTES).min(DIGEST_SECTORS_BEFORE);
        let patience = WRITE_TIME_MAX_A_BLOCK
            + DIGEST_TIME_MAX_A_MEGABYTE.mul_f64(megabytes)
            + ERASE_TIME_MAX_A_SECTOR * sectors;
        let answer = self.ask_again(Operation::FlashDigest, &payload, patience)?;
        answer.body.try_into().map_err(|_| Error::NoAnswer {
            what: "comparing the flash",
        })
    }

    /// Erases a region; both its ends lie on sectors' borders.
    pub(crate) fn erase_region(&mut self, offset: u32, length: u32) -> Result<()> {
        if self.level == Level::Rom {
            return self.rom_begin(offset, length);
        }
        let payload = wire::words(&[offset, length]);
        let patience = PATIENCE + ERASE_TIME_MAX_A_SECTOR * (length / SECTOR_BYTES);
        self.ask_again(Operation::EraseRegion, &payload, patience)?;
        Ok(())
    }

    /// Erases all of it through the stub.
    pub(crate) fn erase_chip(&mut self) -> Result<()> {
        self.ask(Operation::EraseFlash, &[], 0, ERASE_CHIP_TIME_MAX)?;
        Ok(())
    }

    /// Reads a region, telling how far it is: through the stub, or by patience.
    pub(crate) fn read(
        &mut self,
        offset: u32,
        length: u32,
        mut tell: impl FnMut(u32) -> Result<()>,
    ) -> Result<Vec<u8>> {
        if self.level == Level::Stub {
            return self.read_flash(offset, length, tell);
        }
        let mut content = Vec::with_capacity(length as usize);
        while content.len() < length as usize {
            let piece = self.peek_flash(offset + content.len() as u32)?;
            let left = length as usize - content.len();
            content.extend(&piece[..left.min(piece.len())]);
            tell(content.len() as u32)?;
        }
        Ok(content)
    }

    /// Reads a region through the stub, telling how far it is.
    pub(crate) fn read_flash(
        &mut self,
        offset: u32,
        length: u32,
        mut tell: impl FnMut(u32) -> Result<()>,
    ) -> Result<Vec<u8>> {
        let payload = wire::words(&[offset, length, READ_BLOCK_BYTES, READ_BLOCKS_AHEAD]);
        self.ask(Operation::ReadFlash, &payload, 0, PATIENCE)?;
        let broken = Error::NoAnswer {
            what: "reading the flash",
        };
        let mut content = Vec::with_capacity(length as usize);
        let patience = WRITE_TIME_MAX_A_BLOCK + self.time_of(READ_BLOCK_BYTES as usize);
        while content.len() < length as usize {
            let deadline = self.line.now() + patience;
            match self.next_frame(deadline, None)? {
                Some(Decoded::Frame(piece)) if content.len() + piece.len() <= length as usize => {
                    content.extend(piece);
                }
                _ => {
                    self.line_errors += 1;
                    return Err(broken);
                }
            }
            self.send(&(content.len() as u32).to_le_bytes())?;
            tell(content.len() as u32)?;
        }
        let deadline = self.line.now() + patience;
        match self.next_frame(deadline, None)? {
            Some(Decoded::Frame(digest)) if digest == crate::digest::md5(&content) => Ok(content),
            _ => {
                self.line_errors += 1;
                Err(broken)
            }
        }
    }
}

/// What the ROM must be asked to erase for a region, and what it erases then, in bytes: asked for n sectors it erases those up
/// to the next border of a 64 KB block twice over. So an odd number before the border would take the sector behind the region
/// along; there it is asked for one less, and the last sector is left to be erased by itself.
fn rom_erase(offset: u32, length: u32) -> (u32, u32) {
    let sectors = length.div_ceil(SECTOR_BYTES);
    let to_border = SECTORS_A_BLOCK - offset / SECTOR_BYTES % SECTORS_A_BLOCK;
    let head = to_border.min(sectors);
    let (asked, erased) = if sectors < 2 * head {
        (sectors / 2, sectors / 2 * 2)
    } else {
        (sectors - head, sectors)
    };
    (asked * SECTOR_BYTES, erased * SECTOR_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the ROM does when asked for so many sectors.
    fn rom_erases(start: u32, asked: u32) -> u32 {
        let to_border = SECTORS_A_BLOCK - start % SECTORS_A_BLOCK;
        if asked <= to_border {
            2 * asked
        } else {
            asked + to_border
        }
    }

    #[test]
    fn the_rom_erases_the_region_and_no_more() {
        for start in 0..40 {
            for sectors in 0..80 {
                let length = (sectors * SECTOR_BYTES).saturating_sub(1);
                let (asked, erased) = rom_erase(start * SECTOR_BYTES, length);
                let (asked, erased) = (asked / SECTOR_BYTES, erased / SECTOR_BYTES);
                assert_eq!(rom_erases(start, asked), erased, "{start} {sectors}");
                assert!(
                    erased == sectors || erased + 1 == sectors,
                    "{start} {sectors}"
                );
            }
        }
    }
}
