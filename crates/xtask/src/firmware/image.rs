//! From a linked ELF file to what the loader reads, in the second version of Espressif's format.
//!
//! ```text
//! EA 04 00 slot   entry, u32                         8 bytes
//! 0, u32          length, u32, in 16s                8 bytes: what is read in place, and so comes first
//! ...
//! E9 03 mode size entry, u32                         8 bytes
//! address, u32    length, u32, in 4s  ...            three times: what is copied to RAM
//! zeroes, and as the last of 16 the checksum: EF and all copied bytes, by exclusive or
//! CRC-32 of all before it, u32: plus 1 if that is positive as a signed number, else its complement
//! ```
//!
//! Integers are little-endian. The slot, 1 or 2, has no meaning to the loader.

use anyhow::{Context, Result, bail, ensure};
use object::{Object, ObjectSection};

/// What the linker script calls what is read in place, and what is copied.
const IN_PLACE: &str = ".irom0.text";
const COPIED: [&str; 3] = [".text", ".data", ".rodata"];

/// Flash at 40 MHz.
const SPEED: u8 = 0;

/// What the headers say besides.
pub(super) struct Headers {
    /// 1 or 2.
    pub(super) slot: u8,
    /// How the flash chip is wired: 0 QIO, 1 QOUT, 2 DIO, 3 DOUT.
    pub(super) mode: u8,
    /// Names the SDK's map: 2 = 512+512 of 1 MB, 4 = the same of 4 MB.
    pub(super) size: u8,
}

struct Segment<'a> {
    address: u32,
    bytes: &'a [u8],
}

/// Makes the image.
///
/// # Errors
/// When a section is missing, or does not lie where the loader would look.
pub(super) fn of_elf(elf: &[u8], headers: &Headers) -> Result<Vec<u8>> {
    let file = object::File::parse(elf)?;
    let section = |name: &str| {
        let found = file
            .section_by_name(name)
            .with_context(|| format!("expected {name} in the image"))?;
        let address = u32::try_from(found.address())?;
        ensure!(address % 4 == 0, "{name}: not on words, at {address:#x}");
        anyhow::Ok(Segment {
            address,
            bytes: found.data()?,
        })
    };
    let in_place = section(IN_PLACE)?;
    ensure!(
        in_place.address % 0x1000 == 0x10,
        "{IN_PLACE}: expected behind the two headers of a sector and found at {:#x}",
        in_place.address
    );
    let [text, data, rodata] = COPIED.map(section);
    Ok(assemble(
        u32::try_from(file.entry())?,
        headers,
        in_place.bytes,
        &[text?, data?, rodata?],
    ))
}

fn assemble(entry: u32, headers: &Headers, in_place: &[u8], copied: &[Segment; 3]) -> Vec<u8> {
    let mut image = vec![0xEA, 4, 0, headers.slot];
    image.extend(entry.to_le_bytes());
    put_segment(&mut image, 0, in_place, 16);
    image.extend([0xE9, 3, headers.mode, headers.size << 4 | SPEED]);
    image.extend(entry.to_le_bytes());
    let mut checksum = 0xEF;
    for segment in copied {
        put_segment(&mut image, segment.address, segment.bytes, 4);
        checksum = segment.bytes.iter().fold(checksum, |sum, byte| sum ^ byte);
    }
    pad(&mut image, 16, 15);
    image.push(checksum);
    let stored = stored(crc32(&image));
    image.extend(stored.to_le_bytes());
    image
}

/// A segment behind its header, with zeroes up to a whole number of so many bytes.
fn put_segment(image: &mut Vec<u8>, address: u32, bytes: &[u8], whole: usize) {
    let length = bytes.len().next_multiple_of(whole);
    image.extend(address.to_le_bytes());
    // No section is longer than the chip's memory.
    image.extend((length as u32).to_le_bytes());
    image.extend(bytes);
    image.resize(image.len() + length - bytes.len(), 0);
}

/// Zeroes until so many bytes are over the last whole.
fn pad(image: &mut Vec<u8>, whole: usize, rest: usize) {
    while image.len() % whole != rest {
        image.push(0);
    }
}

/// What is stored of a CRC.
fn stored(crc: u32) -> u32 {
    if crc >> 31 == 0 { crc + 1 } else { !crc }
}

/// As of IEEE 802.3.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & 0u32.wrapping_sub(crc & 1))
        })
    })
}

/// Reads an image back as the loader does: its lengths lead from part to part, and its sums are right.
///
/// # Errors
/// When they do not, or are not.
pub(super) fn judge(image: &[u8]) -> Result<()> {
    let word = |at: usize| {
        let bytes = image.get(at..at + 4).context("the image ends early")?;
        anyhow::Ok(u32::from_le_bytes(bytes.try_into()?) as usize)
    };
    ensure!(image.first() == Some(&0xEA), "no image");
    let mut at = 16 + word(12)?;
    ensure!(image.get(at) == Some(&0xE9), "no second header at {at:#x}");
    let segments = image[at + 1];
    at += 8;
    let mut checksum = 0xEF;
    for _ in 0..segments {
        let length = word(at + 4)?;
        let bytes = image.get(at + 8..at + 8 + length);
        let bytes = bytes.context("a segment ends behind the image")?;
        checksum = bytes.iter().fold(checksum, |sum, byte| sum ^ byte);
        at += 8 + length;
    }
    let sum_at = at / 16 * 16 + 15;
    if image.get(sum_at) != Some(&checksum) || image.len() != sum_at + 5 {
        bail!("the checksum is not {checksum:#x}, at {sum_at:#x}");
    }
    let crc = crc32(&image[..=sum_at]);
    ensure!(
        word(sum_at + 1)? == stored(crc) as usize,
        "the CRC is not {crc:#x}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Vec<u8> {
        let headers = Headers {
            slot: 2,
            mode: 3,
            size: 4,
        };
        let segment = |address, bytes| Segment { address, bytes };
        assemble(
            0x4010_0004,
            &headers,
            &[0xAA; 17],
            &[
                segment(0x4010_0000, &[1, 2, 3, 4, 5]),
                segment(0x3FFE_8000, &[6]),
                segment(0x3FFE_8004, &[]),
            ],
        )
    }

    #[test]
    fn puts_each_part_where_the_loader_looks() {
        let image = small();
        assert_eq!(image[..8], [0xEA, 4, 0, 2, 4, 0, 0x10, 0x40]);
        assert_eq!(image[8..16], [0, 0, 0, 0, 32, 0, 0, 0]);
        assert_eq!(image[16..33], [0xAA; 17]);
        assert_eq!(image[33..48], [0; 15]);
        assert_eq!(image[48..56], [0xE9, 3, 3, 0x40, 4, 0, 0x10, 0x40]);
        assert_eq!(image[56..64], [0, 0, 0x10, 0x40, 8, 0, 0, 0]);
        assert_eq!(image[64..72], [1, 2, 3, 4, 5, 0, 0, 0]);
        assert_eq!(image[72..84], [0, 0x80, 0xFE, 0x3F, 4, 0, 0, 0, 6, 0, 0, 0]);
        assert_eq!(image[84..92], [4, 0x80, 0xFE, 0x3F, 0, 0, 0, 0]);
        assert_eq!(image[95], 0xEF ^ 1 ^ 2 ^ 3 ^ 4 ^ 5 ^ 6);
        assert_eq!(image.len(), 100);
        judge(&image).unwrap();
    }

    #[test]
    fn finds_every_byte_that_is_wrong() {
        let image = small();
        for at in 0..image.len() {
            let mut wrong = image.clone();
            wrong[at] ^= 0x11;
            assert!(judge(&wrong).is_err(), "byte {at}");
        }
        assert!(judge(&image[..image.len() - 1]).is_err());
    }

    #[test]
    fn counts_as_everybody_does() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }
}
