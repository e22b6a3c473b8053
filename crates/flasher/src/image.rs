//! Images as the chip's ROM and Espressif's second loader take them: looked at before a byte is written, and given the
//! flash's mode, size and rate in their head.
//!
//! An image begins with its magic byte, a count of segments, two bytes about the flash, and the address at which it
//! begins to run; segments of address, length and content follow, and at the end of the last 16 bytes a sum. Images for
//! the second loader (magic EA) have what runs from flash in front of all that.

use crate::{Error, Result};

const MAGIC: u8 = 0xE9;
const MAGIC_SECOND: u8 = 0xEA;
/// What the count of segments is in an image for the second loader.
const SECOND_MARK: u8 = 4;
const HEAD_BYTES: usize = 8;
const SEGMENT_HEAD_BYTES: usize = 8;
const CHECKSUM_SEED: u8 = 0xEF;
const ALIGNMENT: usize = 16;
/// The ROM takes no more.
const SEGMENTS_MAX: u8 = 16;
const MODE_AT: usize = 2;
const SIZE_AND_RATE_AT: usize = 3;

/// How the flash is wired to the chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlashMode {
    /// Four lines for data and address.
    Qio,
    /// Four lines for data.
    Qout,
    /// Two lines for data and address.
    Dio,
    /// Two lines for data: what works on every board.
    Dout,
}

/// How large the flash is, and how Espressif's SDK divides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum FlashSize {
    Kb512,
    Kb256,
    Mb1,
    Mb2,
    Mb4,
    /// 2 MB in halves of a megabyte.
    Mb2Halves,
    /// 4 MB of which the SDK divides two megabytes in halves.
    Mb4Halves,
    Mb8,
    Mb16,
}

/// How fast the flash is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it, in MHz")]
pub enum FlashRate {
    Mhz40,
    Mhz26,
    Mhz20,
    Mhz80,
}

impl FlashMode {
    /// All, with the names that people use.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Qio, "qio"),
        (Self::Qout, "qout"),
        (Self::Dio, "dio"),
        (Self::Dout, "dout"),
    ];
}

impl FlashSize {
    /// All, by their number in an image's head, with the names that people use.
    pub const ALL: [(Self, &'static str); 9] = [
        (Self::Kb512, "512KB"),
        (Self::Kb256, "256KB"),
        (Self::Mb1, "1MB"),
        (Self::Mb2, "2MB"),
        (Self::Mb4, "4MB"),
        (Self::Mb2Halves, "2MB-c1"),
        (Self::Mb4Halves, "4MB-c1"),
        (Self::Mb8, "8MB"),
        (Self::Mb16, "16MB"),
    ];

    /// In bytes.
    #[must_use]
    pub fn bytes(self) -> u32 {
        let kilobytes = match self {
            Self::Kb256 => 256,
            Self::Kb512 => 512,
            Self::Mb1 => 1 << 10,
            Self::Mb2 | Self::Mb2Halves => 2 << 10,
            Self::Mb4 | Self::Mb4Halves => 4 << 10,
            Self::Mb8 => 8 << 10,
            Self::Mb16 => 16 << 10,
        };
        kilobytes << 10
    }

    /// The plain one of so many bytes.
    #[must_use]
    pub fn of_bytes(bytes: u32) -> Option<Self> {
        let mut all = Self::ALL.iter();
        all.find(|(it, _)| it.bytes() == bytes).map(|(it, _)| *it)
    }

    fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).map(|(it, _)| *it)
    }
}

impl FlashRate {
    /// All, with the names that people use.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Mhz40, "40m"),
        (Self::Mhz26, "26m"),
        (Self::Mhz20, "20m"),
        (Self::Mhz80, "80m"),
    ];

    fn number(self) -> u8 {
        match self {
            Self::Mhz40 => 0,
            Self::Mhz26 => 1,
            Self::Mhz20 => 2,
            Self::Mhz80 => 0xF,
        }
    }
}

/// What of an image's head is to be changed; `None`: it stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HeadPatch {
    /// How the flash is wired.
    pub mode: Option<FlashMode>,
    /// How large it is.
    pub size: Option<FlashSize>,
    /// How fast it is read.
    pub rate: Option<FlashRate>,
}

impl HeadPatch {
    /// Changes the head of what is to be written at the beginning of the flash, if that is an image of the ROM's: only
    /// there the ROM reads a head.
    pub fn apply(&self, offset: u32, bytes: &mut [u8]) {
        if offset != 0 || bytes.len() < HEAD_BYTES || bytes[0] != MAGIC {
            return;
        }
        if let Some(mode) = self.mode {
            bytes[MODE_AT] = mode as u8;
        }
        if let Some(size) = self.size {
            bytes[SIZE_AND_RATE_AT] = bytes[SIZE_AND_RATE_AT] & 0x0F | (size as u8) << 4;
        }
        if let Some(rate) = self.rate {
            bytes[SIZE_AND_RATE_AT] = bytes[SIZE_AND_RATE_AT] & 0xF0 | rate.number();
        }
    }
}

/// What a good image says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// It is for the second loader, and does not run from the beginning of the flash.
    pub is_for_second_loader: bool,
    /// How large a flash it is for; `None`: a number that is none.
    pub flash_size: Option<FlashSize>,
    /// Address and length of each segment.
    pub segments: Vec<(u32, u32)>,
    /// Where it begins to run.
    pub entry: u32,
}

impl Image {
    /// Whether bytes are meant to be an image at all; anything else is written as it stands.
    #[must_use]
    pub fn is_one(bytes: &[u8]) -> bool {
        matches!(bytes, [MAGIC, ..] | [MAGIC_SECOND, SECOND_MARK, ..])
    }

    /// Looks at an image: whether its segments are all there, and their sum is right.
    ///
    /// # Errors
    /// [`Error::BadImage`], with what was expected.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        Self::parse(bytes).map_err(|expected| Error::BadImage { expected })
    }

    fn parse(bytes: &[u8]) -> std::result::Result<Self, &'static str> {
        let mut rest = bytes;
        let mut segments = Vec::new();
        let is_for_second_loader = bytes.first() == Some(&MAGIC_SECOND);
        let flash = bytes.get(SIZE_AND_RATE_AT).copied().unwrap_or_default();
        if is_for_second_loader {
            let (head, after) = head(rest)?;
            if head[1] != SECOND_MARK {
                return Err("the mark 04 after the magic byte EA");
            }
            // Its content runs from flash and is not in the sum.
            let (segment, _, after) = segment(after)?;
            segments.push(segment);
            rest = after;
        }
        let (head, mut rest) = head(rest)?;
        if head[0] != MAGIC {
            return Err("the magic byte E9 of an image's head");
        }
        if head[1] == 0 || head[1] > SEGMENTS_MAX {
            return Err("1 to 16 segments");
        }
        let mut sum = CHECKSUM_SEED;
        for _ in 0..head[1] {
            let (found, content, after) = segment(rest)?;
            sum = content.iter().fold(sum, |sum, byte| sum ^ byte);
            segments.push(found);
            rest = after;
        }
        // The sum is the last byte of a line of sixteen.
        let before = bytes.len() - rest.len();
        let at = ALIGNMENT - 1 - before % ALIGNMENT;
        match rest.get(at) {
            None => Err("the sum behind the last segment"),
            Some(&found) if found != sum => Err("another sum of its segments: it is damaged"),
            Some(_) => Ok(Image {
                is_for_second_loader,
                flash_size: FlashSize::from_number(flash >> 4),
                segments,
                entry: u32::from_le_bytes([head[4], head[5], head[6], head[7]]),
            }),
        }
    }
}

fn head(bytes: &[u8]) -> std::result::Result<(&[u8], &[u8]), &'static str> {
    bytes
        .split_at_checked(HEAD_BYTES)
        .ok_or("a head of 8 bytes")
}

type Segment<'a> = ((u32, u32), &'a [u8], &'a [u8]);

fn segment(bytes: &[u8]) -> std::result::Result<Segment<'_>, &'static str> {
    let head = bytes.split_at_checked(SEGMENT_HEAD_BYTES);
    let (head, rest) = head.ok_or("the head of the next segment")?;
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let (address, length) = (word(0), word(4));
    let content = rest.split_at_checked(length as usize);
    let (content, rest) = content.ok_or("a segment of the length that it says: it is cut short")?;
    Ok(((address, length), content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(segments: &[(u32, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![MAGIC, segments.len() as u8, 3, 0x20, 0x04, 0x10, 0x10, 0x40];
        let mut sum = CHECKSUM_SEED;
        for (address, content) in segments {
            bytes.extend(address.to_le_bytes());
            bytes.extend((content.len() as u32).to_le_bytes());
            bytes.extend(*content);
            sum = content.iter().fold(sum, |sum, byte| sum ^ byte);
        }
        while bytes.len() % ALIGNMENT != ALIGNMENT - 1 {
            bytes.push(0);
        }
        bytes.push(sum);
        bytes
    }

    fn second(irom: &[u8], segments: &[(u32, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![MAGIC_SECOND, SECOND_MARK, 0, 0x40, 4, 0x10, 0x10, 0x40];
        bytes.extend(0_u32.to_le_bytes());
        bytes.extend((irom.len() as u32).to_le_bytes());
        bytes.extend(irom);
        bytes.extend(image(segments));
        bytes
    }

    const SEGMENTS: [(u32, &[u8]); 2] = [(0x4010_0000, b"abcdefgh"), (0x3FFE_8000, b"0123")];

    #[test]
    fn a_good_image_says_what_it_is() {
        let read = Image::read(&image(&SEGMENTS)).unwrap();
        assert_eq!(read.segments, [(0x4010_0000, 8), (0x3FFE_8000, 4)]);
        assert_eq!(read.flash_size, Some(FlashSize::Mb1));
        assert_eq!(read.entry, 0x4010_1004);
        let read = Image::read(&second(b"it runs in flash", &SEGMENTS)).unwrap();
        assert_eq!(read.segments[0], (0, 16));
        assert_eq!(read.flash_size, Some(FlashSize::Mb4));
        assert!(read.is_for_second_loader);
    }

    #[test]
    fn a_bad_one_is_refused_wherever_it_is_bad() {
        for good in [image(&SEGMENTS), second(b"it runs in flash", &SEGMENTS)] {
            for length in 0..good.len() {
                assert!(Image::read(&good[..length]).is_err(), "cut to {length}");
            }
            let last = good.len() - 1;
            let mut bad = good.clone();
            bad[last] ^= 1;
            let why = Image::read(&bad).unwrap_err().to_string();
            assert!(why.contains("damaged"), "{why}");
        }
        let mut many = image(&SEGMENTS);
        many[1] = 17;
        assert!(Image::read(&many).is_err());
    }

    #[test]
    fn a_head_is_changed_at_the_beginning_alone() {
        let patch = HeadPatch {
            mode: Some(FlashMode::Qio),
            size: Some(FlashSize::Mb4Halves),
            rate: Some(FlashRate::Mhz80),
        };
        let mut bytes = image(&SEGMENTS);
        patch.apply(0, &mut bytes);
        assert_eq!(bytes[..4], [MAGIC, 2, 0, 0x6F]);
        assert!(Image::read(&bytes).is_ok());
        let before = image(&SEGMENTS);
        for (offset, mut bytes) in [
            (0x1000, before.clone()),
            (0, second(b"it runs in flash", &SEGMENTS)),
        ] {
            let unchanged = bytes.clone();
            patch.apply(offset, &mut bytes);
            assert_eq!(bytes, unchanged);
        }
        let mut kept = before.clone();
        HeadPatch::default().apply(0, &mut kept);
        assert_eq!(kept, before);
    }

    #[test]
    fn sizes_are_in_the_order_of_their_numbers() {
        for (number, (size, name)) in (0..).zip(FlashSize::ALL) {
            assert_eq!(size as u8, number);
            let amount: u32 = name
                .trim_end_matches("-c1")
                .trim_end_matches(['K', 'M', 'B'])
                .parse()
                .unwrap();
            let unit = if name.contains('K') { 1 << 10 } else { 1 << 20 };
            assert_eq!(size.bytes(), amount * unit);
        }
    }
}
