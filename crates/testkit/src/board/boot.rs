//! What the ROM says and does after a reset.

use super::{application::Restart, flash::Flash};
use std::fmt::Write;

/// The rate at which the ROM speaks until it is told otherwise: what its divider gives with a crystal of
/// 26 MHz instead of 40.
pub(super) const BAUD: u32 = 74_880;
/// The rate of everything that is loaded.
pub(super) const APPLICATION_BAUD: u32 = 115_200;

const IMAGE_MAGIC: u8 = 0xe9;
const SEGMENTS_MAX: u8 = 16;
const HEADER_BYTES: u32 = 8;
/// The header and the head of the first segment.
const FIRST_BYTES: u32 = 16;
/// The mode in the header that every wiring can do.
const MODE_DOUT: u8 = 3;
pub(super) const CHECKSUM_SEED: u8 = 0xef;

/// Why the chip starts, by the ROM's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartCause {
    /// The power came.
    PowerOn = 1,
    /// The reset pin rose.
    ResetPin = 2,
    /// What ran wanted it.
    Software = 3,
    /// The watchdog bit.
    Watchdog = 4,
}

impl From<Restart> for StartCause {
    fn from(restart: Restart) -> Self {
        match restart {
            Restart::Commanded => StartCause::Software,
            Restart::Watchdog | Restart::Hang => StartCause::Watchdog,
        }
    }
}

/// The first line.
pub(super) fn greeting(cause: StartCause, is_download: bool) -> String {
    let strap = if is_download { 1 } else { 3 };
    let number = cause as u8;
    let mut log = format!("\r\n ets Jan  8 2013,rst cause:{number}, boot mode:({strap},6)\r\n\r\n");
    if cause == StartCause::Watchdog {
        log.push_str("wdt reset\r\n");
    }
    log
}

/// An image as the ROM reads it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Loaded {
    /// What the ROM says about it.
    pub(super) log: String,
    /// Whether it is run.
    pub(super) is_good: bool,
    /// Bytes that were read.
    pub(super) bytes: u32,
}

/// Reads the image at the flash's beginning as the ROM does: the first lines in a mode that any flash knows, the
/// rest in the one that the image's header names. Where that does not work, all of it reads as zeros.
pub(super) fn load(flash: &Flash, is_dout_only: bool) -> Loaded {
    let mut log = String::new();
    let header = flash.read(0, HEADER_BYTES);
    let (magic, segments) = (header.first(), header.get(1).copied().unwrap_or_default());
    if magic != Some(&IMAGE_MAGIC) || segments > SEGMENTS_MAX {
        log.push_str("ets_main.c \r\n");
        return Loaded {
            log,
            is_good: false,
            bytes: HEADER_BYTES,
        };
    }
    let is_readable = !is_dout_only || header.get(2) == Some(&MODE_DOUT);
    let read = |place: u32, length: u32| match is_readable || place + length <= FIRST_BYTES {
        true => flash.read(place, length),
        false => vec![0; length as usize],
    };
    let mut checksum = CHECKSUM_SEED;
    let mut place = HEADER_BYTES;
    let mut is_whole = true;
    for _ in 0..segments {
        let head = read(place, 8);
        let (address, length) = (word(&head, 0), word(&head, 4));
        place += 8;
        let room = 16 - place % 16;
        let tail = length.saturating_sub(room) % 16;
        is_whole &= length < flash.size() - place.min(flash.size());
        if !is_whole {
            let _ = write!(
                log,
                "load 0x{address:08x}, len {}, room {room} \r\n",
                length as i32
            );
            break;
        }
        checksum = read(place, length)
            .iter()
            .fold(checksum, |sum, byte| sum ^ byte);
        place += length;
        let _ = write!(
            log,
            "load 0x{address:08x}, len {length}, room {room} \r\ntail {tail}\r\nchksum 0x{checksum:02x}\r\n"
        );
    }
    // The image's own sum is the last byte of a line of sixteen.
    let stored = read(place | 15, 1);
    let is_good = is_whole && stored.first() == Some(&checksum);
    let _ = write!(log, "csum 0x{checksum:02x}\r\n");
    if !is_good {
        log.push_str("csum err\r\nets_main.c \r\n");
    }
    Loaded {
        log,
        is_good,
        bytes: place,
    }
}

/// A little-endian word.
pub(super) fn word(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes
        .get(at..at + 4)
        .and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::super::flash::{FlashSize, FlashTiming, SecondProgram};
    use super::*;

    fn loaded(image: &[u8]) -> Loaded {
        let mut flash = Flash::new(FlashSize::Kib512, FlashTiming::NONE, SecondProgram::Counted);
        flash.place(0, image);
        load(&flash, false)
    }

    #[test]
    fn takes_an_image_that_is_whole_and_nothing_else() {
        let mut image = vec![0xe9, 1, 3, 0x20, 0, 0, 0x10, 0x40];
        image.extend([0, 0, 0x10, 0x40, 4, 0, 0, 0, 1, 2, 4, 8]);
        image.resize(31, 0);
        image.push(0xef ^ 15);
        let good = loaded(&image);
        assert!(good.is_good);
        assert_eq!(
            good.log,
            "load 0x40100000, len 4, room 16 \r\ntail 0\r\nchksum 0xe0\r\ncsum 0xe0\r\n"
        );
        let mut flash = Flash::new(FlashSize::Kib512, FlashTiming::NONE, SecondProgram::Counted);
        flash.place(0, &image);
        assert!(load(&flash, true).is_good);
        image[2] = 0;
        flash.place(0, &image);
        let misread = load(&flash, true);
        assert!(!misread.is_good);
        assert_eq!(
            misread.log,
            "load 0x40100000, len 4, room 16 \r\ntail 0\r\nchksum 0xef\r\ncsum 0xef\r\ncsum err\r\nets_main.c \r\n"
        );
        let table: [(&str, usize, u8); 4] = [
            ("magic", 0, 0xff),
            ("a byte of the content", 17, 3),
            ("checksum", 31, 0),
            ("a length beyond the flash", 15, 0x7f),
        ];
        for (what, at, byte) in table {
            let mut bad = image.clone();
            bad[at] = byte;
            let bad = loaded(&bad);
            assert!(!bad.is_good, "{what}");
            assert!(bad.log.ends_with("ets_main.c \r\n"), "{what}: {}", bad.log);
        }
    }
}
