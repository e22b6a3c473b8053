//! The ROM's first line, recognised in what a receiver at the application's rate made of it.
//!
//! A reset comes unasked, while the line is listened at for the application. Its first line says why, and is over before an
//! adapter has brought the first byte of it. But it is always the same line with a few digits in it: what each of them looks
//! like at the other rate can be worked out, and compared.

use super::{
    boot::Start,
    rate::{BAUD_APPLICATION, BAUD_BOOT_LOG},
};

/// Of so many bytes one may differ: samples are not taken at the same moments twice.
const BYTES_PER_DIFFERENCE: usize = 12;
/// Bytes of a line by which it is looked for where it begins.
const BYTES_OF_BEGINNING: usize = 8;
/// And how many of those may differ.
const DIFFERENCES_OF_BEGINNING: usize = 2;
/// What the last bytes look like depends on what comes behind the line.
const BYTES_OF_END: usize = 5;
/// The ROM's numbers for why it starts.
const CAUSES: std::ops::RangeInclusive<u8> = 1..=4;

/// What a receiver does when a byte does not end as it should.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Receiver {
    /// It waits until the line rests.
    Waits,
    /// It takes the low level for the next byte's beginning.
    GoesOn,
}

/// Looks for the line. Digits of which several would look the same are left open.
pub(super) fn recognise(bytes: &[u8]) -> Option<Start> {
    let mut best = usize::MAX;
    let mut starts: Vec<Start> = Vec::new();
    for receiver in [Receiver::Waits, Receiver::GoesOn] {
        let beginning = misread(first_line(1, 3, 6).as_bytes(), receiver);
        let beginning = beginning.get(..BYTES_OF_BEGINNING)?;
        let parts = bytes.windows(BYTES_OF_BEGINNING).enumerate();
        let alike =
            parts.filter(|(_, part)| differences(part, beginning) <= DIFFERENCES_OF_BEGINNING);
        let places: Vec<_> = alike.map(|(place, _)| place).collect();
        if places.is_empty() {
            continue;
        }
        for (cause, straps, other) in digits() {
            let mut looks = misread(first_line(cause, straps, other).as_bytes(), receiver);
            looks.truncate(looks.len().saturating_sub(BYTES_OF_END));
            let parts = places
                .iter()
                .filter_map(|&place| bytes.get(place..place + looks.len()));
            let Some(found) = parts.map(|part| differences(part, &looks)).min() else {
                continue;
            };
            if found > looks.len() / BYTES_PER_DIFFERENCE || found > best {
                continue;
            }
            if found < best {
                best = found;
                starts.clear();
            }
            starts.push(Start {
                cause: Some(cause),
                straps: Some(straps),
                is_reconstructed: true,
            });
        }
    }
    // Of two that look the same, the pins are taken for what boards are wired for.
    if starts.iter().any(|it| is_usual(*it)) {
        starts.retain(|it| is_usual(*it));
    }
    let first = *starts.first()?;
    Some(Start {
        cause: first
            .cause
            .filter(|_| starts.iter().all(|it| it.cause == first.cause)),
        straps: first
            .straps
            .filter(|_| starts.iter().all(|it| it.straps == first.straps)),
        is_reconstructed: true,
    })
}

/// From flash, or into the loader. Every other combination of the pins starts nothing that a relay board has.
fn is_usual(start: Start) -> bool {
    matches!(start.straps, Some(1 | 3))
}

fn first_line(cause: u8, straps: u8, other: u8) -> String {
    format!("\r\n ets Jan  8 2013,rst cause:{cause}, boot mode:({straps},{other})\r\n\r\n")
}

fn digits() -> impl Iterator<Item = (u8, u8, u8)> {
    let modes = (0..64).map(|it| (it / 8, it % 8));
    CAUSES.flat_map(move |cause| {
        modes
            .clone()
            .map(move |(straps, other)| (cause, straps, other))
    })
}

fn differences(part: &[u8], looks: &[u8]) -> usize {
    part.iter()
        .zip(looks)
        .filter(|(one, other)| one != other)
        .count()
}

/// What a receiver at the application's rate makes of bytes at the ROM's, each bit of which it looks at in its middle.
fn misread(bytes: &[u8], receiver: Receiver) -> Vec<u8> {
    // A start bit, eight bits from the lowest on, and a stop bit.
    let bits: Vec<bool> = bytes
        .iter()
        .flat_map(|byte| {
            let data = (0..8).map(move |bit| byte >> bit & 1 == 1);
            std::iter::once(false)
                .chain(data)
                .chain(std::iter::once(true))
        })
        .collect();
    // In bits of the receiver's, with the line at rest behind the end.
    let step = f64::from(BAUD_BOOT_LOG) / f64::from(BAUD_APPLICATION);
    let level = |time: f64| bits.get((time * step) as usize).copied().unwrap_or(true);
    let end = bits.len() as f64 / step;
    let edge_after = |time: f64| ((time * step).floor() + 1.0) / step;
    let mut read = Vec::new();
    let mut time = 0.0;
    while time < end {
        if level(time) {
            time = edge_after(time) + 1e-6;
            continue;
        }
        let byte = (0..8_u8).fold(0, |byte, bit| {
            byte | u8::from(level(time + 1.5 + f64::from(bit))) << bit
        });
        read.push(byte);
        time += 9.5;
        while receiver == Receiver::Waits && !level(time) && time < end {
            time = edge_after(time) + 1e-6;
        }
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_recognised_in_the_noise() {
        for receiver in [Receiver::Waits, Receiver::GoesOn] {
            for cause in CAUSES {
                for (straps, other) in [(3, 6), (3, 7), (1, 6), (1, 7)] {
                    let line = format!(
                        "\r\n ets Jan  8 2013,rst cause:{cause}, boot mode:({straps},{other})\r\n\r\nload 0x"
                    );
                    let mut noise = vec![0x80, 0x00, 0xFE];
                    noise.extend(misread(line.as_bytes(), receiver));
                    // The line changes a byte.
                    noise[20] ^= 4;
                    let start = recognise(&noise).unwrap();
                    assert!(start.is_reconstructed);
                    assert!(
                        start.cause.is_none_or(|it| it == cause),
                        "{line:?}: {start:?}"
                    );
                    assert!(
                        start.straps.is_none_or(|it| it == straps),
                        "{line:?}: {start:?}"
                    );
                    if (straps, other) == (3, 6) {
                        assert_eq!((start.cause, start.straps), (Some(cause), Some(3)));
                    }
                }
            }
        }
    }

    #[test]
    fn other_noise_is_no_start() {
        let noise: Vec<u8> = (0..256_u32)
            .map(|it| (it * it * 31 + it * 7) as u8)
            .collect();
        for bytes in [
            &noise[..],
            &misread(
                b"load 0x40100000, len 2592, room 16 \r\ntail 0\r\nchksum 0xe0\r\ncsum 0xe0\r\n",
                Receiver::Waits,
            ),
            &[0; 200],
            &[],
        ] {
            assert_eq!(recognise(bytes), None);
        }
    }
}
