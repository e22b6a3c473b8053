//! Short messages as modems take and give them in PDU mode: hexadecimal digits of the messages that 3GPP TS 23.040
//! defines. Pure.
//!
//! - [`segments`]: a text cut into messages. [`submit`]: one of them as it is sent.
//! - [`received`]: one as it is read.

mod alphabet;
mod segment;

pub use segment::PARTS_MAX;
pub(super) use segment::{Part, Segment, segments};

use crate::Number;
use segment::Alphabet;
use std::{
    fmt,
    time::{Duration, SystemTime},
};

/// Octets of a message without the service centre's number: 12 of its head, 12 of an address, and 140 of text are the
/// most that the standard allows. More than that is no message.
const OCTETS_MAX: usize = 256;
/// How long the network tries: 24 hours (23.040, 9.2.3.12.1). An alarm is news to nobody after that.
const VALIDITY: u8 = 0xA7;
/// Digits of an address (23.040, 9.1.2.5).
const DIGITS_MAX: usize = 20;
const SECONDS_A_DAY: i64 = 86_400;

/// A message ready for `AT+CMGS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Submit {
    /// What goes after the prompt.
    pub(super) hex: String,
    /// What `AT+CMGS` is told: octets without the service centre's number.
    pub(super) octets: usize,
}

/// A message that has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Deliver {
    pub(super) from: Sender,
    pub(super) sent_at: Option<SystemTime>,
    pub(super) text: String,
    /// When it is one of several.
    pub(super) part: Option<Part>,
}

/// Who sent a text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Sender {
    /// A telephone, as it can be called back.
    Number(Number),
    /// A name, as companies use them; nobody can answer it.
    Name(String),
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sender::Number(number) => number.fmt(f),
            Sender::Name(name) => f.write_str(name),
        }
    }
}

/// Why digits are no text from somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PduError {
    #[error("it is not in hexadecimal digits")]
    NotHex,
    #[error("it ends too early")]
    Short,
    #[error("it is longer than a message can be")]
    Long,
    #[error("it is not a message that has come, but a report or one of our own")]
    OtherKind,
    #[error("it holds data and no text")]
    NoText,
    #[error("its sender's number cannot be read")]
    BadSender,
}

/// A segment as a message to a number: SMS-SUBMIT (23.040, 9.2.2.2), by the service centre that the SIM knows.
pub(super) fn submit(to: &Number, segment: &Segment) -> Submit {
    // SMS-SUBMIT, its validity told relatively; whether there is a header in the text.
    let first = 0x11 | if segment.part.is_some() { 0x40 } else { 0 };
    // The modem counts its messages by itself.
    let mut octets = vec![first, 0];
    octets.push(to.digits().len() as u8);
    octets.push(if to.as_str().starts_with('+') {
        0x91
    } else {
        0x81
    });
    octets.extend(semi_octets(to.digits()));
    let coding = match segment.alphabet {
        Alphabet::Gsm => 0x00,
        Alphabet::Ucs2 => 0x08,
    };
    octets.extend([0, coding, VALIDITY]);
    let header = segment.part.map(|part| {
        // Length of the header, then of its one element: an eight-bit reference (9.2.3.24.1).
        [5, 0, 3, part.reference as u8, part.total, part.number]
    });
    let header = header.as_ref().map_or(&[][..], |header| header);
    match segment.alphabet {
        Alphabet::Gsm => {
            let septets: Vec<u8> = segment.units.iter().map(|it| *it as u8).collect();
            let before = (header.len() * 8).div_ceil(7);
            octets.push((before + septets.len()) as u8);
            octets.extend(header);
            octets.extend(alphabet::pack(&septets, fill_bits(header.len())));
        }
        Alphabet::Ucs2 => {
            octets.push((header.len() + segment.units.len() * 2) as u8);
            octets.extend(header);
            octets.extend(segment.units.iter().flat_map(|unit| unit.to_be_bytes()));
        }
    }
    let digits = octets.iter().map(|octet| format!("{octet:02X}"));
    Submit {
        // No service centre told: the SIM's.
        hex: std::iter::once("00".to_owned()).chain(digits).collect(),
        octets: octets.len(),
    }
}

/// Reads a message that has come: SMS-DELIVER (23.040, 9.2.2.1) after the service centre's number.
///
/// # Errors
/// When it is none, or no text.
pub(super) fn received(hex: &str) -> Result<Deliver, PduError> {
    let octets = octets(hex)?;
    let mut rest = Octets(&octets);
    let centre = rest.one()?;
    rest.take(usize::from(centre))?;
    let first = rest.one()?;
    if first & 0x03 != 0 {
        return Err(PduError::OtherKind);
    }
    let from = sender(&mut rest)?;
    let _protocol = rest.one()?;
    let coding = Coding::of(rest.one()?);
    let sent_at = moment(rest.take(7)?);
    let length = usize::from(rest.one()?);
    let (header, text) = body(first & 0x40 != 0, coding, length, rest.0)?;
    Ok(Deliver {
        from,
        sent_at,
        text,
        part: part_of(header),
    })
}

/// What a text's octets are (3GPP TS 23.038, 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gsm,
    Data,
    Ucs2,
}

impl Coding {
    fn of(octet: u8) -> Self {
        match (octet >> 4, octet >> 2 & 0x03) {
            // General, with or without a class, deleted by itself or not. What is compressed nobody sends.
            (0x0..=0x7, 0) if octet & 0x20 == 0 => Coding::Gsm,
            (0x0..=0x7, 2) if octet & 0x20 == 0 => Coding::Ucs2,
            // That something waits: a text with it in one alphabet or the other.
            (0xC | 0xD, _) => Coding::Gsm,
            (0xE, _) => Coding::Ucs2,
            (0xF, part) if part & 1 == 0 => Coding::Gsm,
            _ => Coding::Data,
        }
    }
}

/// Header and text of a message. `length` counts septets, or octets, the header's among them.
fn body(
    has_header: bool,
    coding: Coding,
    length: usize,
    octets: &[u8],
) -> Result<(&[u8], String), PduError> {
    let header = match has_header {
        false => &[][..],
        true => {
            let header = usize::from(*octets.first().ok_or(PduError::Short)?) + 1;
            octets.get(..header).ok_or(PduError::Short)?
        }
    };
    let after = octets.get(header.len()..).ok_or(PduError::Short)?;
    let text = match coding {
        Coding::Data => return Err(PduError::NoText),
        Coding::Gsm => {
            let before = (header.len() * 8).div_ceil(7);
            let count = length.saturating_sub(before);
            let septets = alphabet::unpack(after, fill_bits(header.len()), count);
            if septets.len() < count {
                return Err(PduError::Short);
            }
            alphabet::text(&septets)
        }
        Coding::Ucs2 => {
            let count = length.saturating_sub(header.len());
            let bytes = after.get(..count).ok_or(PduError::Short)?;
            let units = bytes.chunks_exact(2).map(|pair| match pair {
                [high, low] => u16::from_be_bytes([*high, *low]),
                _ => 0,
            });
            let units: Vec<u16> = units.collect();
            String::from_utf16_lossy(&units)
        }
    };
    Ok((header, text))
}

/// The bits between a header and the first septet, which begins where a septet would without one.
const fn fill_bits(header_octets: usize) -> usize {
    (7 - header_octets * 8 % 7) % 7
}

/// Which part a message is, by its header: its length, then elements of kind, length, content (9.2.3.24).
fn part_of(header: &[u8]) -> Option<Part> {
    let mut rest = Octets(header.get(1..)?);
    while let (Ok(kind), Ok(length)) = (rest.one(), rest.one()) {
        let content = rest.take(usize::from(length)).ok()?;
        let (reference, total, number) = match (kind, content) {
            (0x00, &[reference, total, number]) => (u16::from(reference), total, number),
            (0x08, &[high, low, total, number]) => (u16::from_be_bytes([high, low]), total, number),
            _ => continue,
        };
        // Others are to be taken as if they were not there (9.2.3.24.1).
        if (1..=total).contains(&number) {
            return (total > 1).then_some(Part {
                reference,
                total,
                number,
            });
        }
    }
    None
}

/// The sender's address: its length in digits, its type, its digits (9.1.2.5).
fn sender(rest: &mut Octets<'_>) -> Result<Sender, PduError> {
    let digits = usize::from(rest.one()?);
    if digits > DIGITS_MAX {
        return Err(PduError::BadSender);
    }
    let kind = rest.one()?;
    let octets = rest.take(digits.div_ceil(2))?;
    if kind >> 4 & 0x07 == 5 {
        let septets = alphabet::unpack(octets, 0, digits * 4 / 7);
        return Ok(Sender::Name(alphabet::text(&septets).trim().to_owned()));
    }
    let halves = octets.iter().flat_map(|octet| [octet & 0x0F, octet >> 4]);
    let mut number = String::from(if kind >> 4 & 0x07 == 1 { "+" } else { "" });
    for half in halves.take(digits) {
        number.push(match half {
            0..=9 => char::from(b'0' + half),
            0xA => '*',
            0xB => '#',
            _ => return Err(PduError::BadSender),
        });
    }
    number
        .parse()
        .map(Sender::Number)
        .map_err(|_| PduError::BadSender)
}

/// Digits, two in an octet, the first in its lower half; the last half is filled up.
fn semi_octets(digits: &str) -> Vec<u8> {
    let halves: Vec<u8> = digits
        .bytes()
        .map(|digit| match digit {
            b'*' => 0xA,
            b'#' => 0xB,
            digit => digit & 0x0F,
        })
        .collect();
    let pairs = halves.chunks(2);
    pairs
        .map(|pair| match *pair {
            [low, high] => high << 4 | low,
            [low] => 0xF0 | low,
            _ => 0xFF,
        })
        .collect()
}

/// The service centre's time stamp (9.2.3.11): year, month, day, hour, minute, second, and quarters of an hour between
/// its local time and the world's. `None` when it is no moment.
fn moment(octets: &[u8]) -> Option<SystemTime> {
    let two_digits = |octet: u8| {
        let (tens, ones) = (octet & 0x0F, octet >> 4);
        (tens <= 9 && ones <= 9).then(|| i64::from(tens * 10 + ones))
    };
    let &[year, month, day, hour, minute, second, zone] = octets else {
        return None;
    };
    let quarters = two_digits(zone & !0x08)?;
    let quarters = if zone & 0x08 != 0 {
        -quarters
    } else {
        quarters
    };
    let (year, month, day) = (
        2_000 + two_digits(year)?,
        two_digits(month)?,
        two_digits(day)?,
    );
    let (hour, minute, second) = (two_digits(hour)?, two_digits(minute)?, two_digits(second)?);
    let is_time = hour < 24 && minute < 60 && second < 60 && (1..=31).contains(&day);
    if !is_time || !(1..=12).contains(&month) {
        return None;
    }
    let seconds =
        days_since_1970(year, month, day) * SECONDS_A_DAY + hour * 3_600 + minute * 60 + second
            - quarters * 900;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).ok()?))
}

/// Days of the Gregorian calendar; a year is taken to begin in March, so that the odd day is its last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let leap_days = year / 4 - year / 100 + year / 400;
    // Months from March on have 31, 30, 31, 30, 31 days, over and over.
    let days = year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1;
    // The days from 1 March of the year 0 to 1 January 1970.
    days - 719_468
}

/// Octets that are yet to be read.
struct Octets<'a>(&'a [u8]);

impl<'a> Octets<'a> {
    fn one(&mut self) -> Result<u8, PduError> {
        let (first, rest) = self.0.split_first().ok_or(PduError::Short)?;
        self.0 = rest;
        Ok(*first)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], PduError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(PduError::Short)?;
        self.0 = rest;
        Ok(taken)
    }
}

fn octets(hex: &str) -> Result<Vec<u8>, PduError> {
    let hex = hex.trim().as_bytes();
    if hex.len() > OCTETS_MAX * 2 {
        return Err(PduError::Long);
    }
    if !hex.len().is_multiple_of(2) {
        return Err(PduError::Short);
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = hex.chunks_exact(2).map(|pair| match *pair {
        [high, low] => Some((digit(high)? << 4 | digit(low)?) as u8),
        _ => None,
    });
    pairs.collect::<Option<_>>().ok_or(PduError::NotHex)
}

#[cfg(test)]
mod tests;
