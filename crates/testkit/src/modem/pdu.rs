//! Messages as the network makes and reads them (3GPP TS 23.040), for the scripted modem.

/// The default alphabet of 3GPP TS 23.038 in eight rows of sixteen; 0x1B is the escape.
const ROWS: [&str; 8] = [
    "@£$¥èéùìòÇ\nØø\rÅå",
    "Δ_ΦΓΛΩΠΨΣΘΞ\u{1b}ÆæßÉ",
    " !\"#¤%&'()*+,-./",
    "0123456789:;<=>?",
    "¡ABCDEFGHIJKLMNO",
    "PQRSTUVWXYZÄÖÑÜ§",
    "¿abcdefghijklmno",
    "pqrstuvwxyzäöñüà",
];
/// Letters by the code that follows an escape.
const ESCAPED: &str = "\u{c}\u{a}^\u{14}{\u{28}}\u{29}\\\u{2f}[\u{3c}~\u{3d}]\u{3e}|\u{40}€\u{65}";

/// Units of a message that is one of several.
const SEPTETS_OF_PART: usize = 153;
const UTF16_OF_PART: usize = 67;

/// A message that was to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Submitted {
    pub(super) to: String,
    pub(super) text: String,
    /// Reference, how many, the how manieth.
    pub(super) part: Option<(u8, u8, u8)>,
    /// Whether it went as sixteen bits a letter.
    pub(super) is_wide: bool,
}

fn code(letter: char) -> Option<Vec<u8>> {
    let letters: Vec<char> = ESCAPED.chars().collect();
    if let Some([_, code]) = letters.chunks(2).find(|pair| pair.first() == Some(&letter)) {
        return Some(vec![0x1B, *code as u8]);
    }
    let place = |row: &&str| row.chars().position(|it| it == letter);
    let row = ROWS.iter().position(|row| place(row).is_some())?;
    let code = row * 16 + place(&ROWS.get(row)?)?;
    (code != 0x1B).then(|| vec![code as u8])
}

fn letter(code: u8, is_escaped: bool) -> char {
    let letters: Vec<char> = ESCAPED.chars().collect();
    let escaped = letters
        .chunks(2)
        .find(|pair| pair.get(1) == Some(&char::from(code)));
    match escaped.filter(|_| is_escaped).and_then(|pair| pair.first()) {
        Some(letter) => *letter,
        None => {
            let row = ROWS
                .get(usize::from(code / 16))
                .copied()
                .unwrap_or_default();
            row.chars().nth(usize::from(code % 16)).unwrap_or('?')
        }
    }
}

/// Bits of septets one after the other, the lowest first, after so many empty ones.
fn packed(septets: &[u8], empty: usize) -> Vec<u8> {
    let bits = septets
        .iter()
        .flat_map(|septet| (0..7).map(move |bit| septet >> bit & 1));
    let bits: Vec<u8> = std::iter::repeat_n(0, empty).chain(bits).collect();
    let octet = |bits: &[u8]| bits.iter().rev().fold(0, |octet, bit| octet << 1 | bit);
    bits.chunks(8).map(octet).collect()
}

fn unpacked(octets: &[u8], empty: usize, count: usize) -> Vec<u8> {
    let bits = octets
        .iter()
        .flat_map(|octet| (0..8).map(move |bit| octet >> bit & 1));
    let bits: Vec<u8> = bits.skip(empty).collect();
    let septet = |bits: &[u8]| bits.iter().rev().fold(0, |septet, bit| septet << 1 | bit);
    bits.chunks_exact(7).take(count).map(septet).collect()
}

fn swapped(digits: &str) -> String {
    let mut digits: Vec<char> = digits
        .chars()
        .map(|it| match it {
            '*' => 'A',
            '#' => 'B',
            digit => digit,
        })
        .collect();
    if digits.len() % 2 == 1 {
        digits.push('F');
    }
    digits
        .chunks(2)
        .flat_map(|pair| pair.iter().rev().copied().collect::<Vec<_>>())
        .collect()
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02X}")).collect()
}

fn octets(hex: &str) -> Option<Vec<u8>> {
    if !hex.is_ascii() || hex.len() % 2 == 1 {
        return None;
    }
    let pairs =
        (0..hex.len() / 2).map(|at| u8::from_str_radix(hex.get(at * 2..at * 2 + 2)?, 16).ok());
    pairs.collect()
}

/// The messages by which a text comes, sent at noon of 27 November 2026 by the world's time.
pub(super) fn deliveries(from: &str, text: &str, reference: u8) -> Vec<String> {
    let septets: Option<Vec<Vec<u8>>> = text.chars().map(code).collect();
    let (coding, pieces): (u8, Vec<Vec<Vec<u8>>>) = match septets {
        Some(letters) => (0, cut(letters, 160, SEPTETS_OF_PART)),
        None => {
            let wide = |letter: char| {
                let units = letter.encode_utf16(&mut [0; 2]).to_vec();
                units.iter().flat_map(|unit| unit.to_be_bytes()).collect()
            };
            (
                8,
                cut(text.chars().map(wide).collect(), 140, UTF16_OF_PART * 2),
            )
        }
    };
    let total = pieces.len() as u8;
    let numbered = (1..=total).zip(pieces);
    numbered
        .map(|(number, letters)| {
            let header = match total {
                1 => Vec::new(),
                _ => vec![5, 0, 3, reference, total, number],
            };
            let units = letters.concat();
            let (length, body) = match coding {
                0 => {
                    let before = (header.len() * 8).div_ceil(7);
                    (
                        before + units.len(),
                        packed(&units, before * 7 - header.len() * 8),
                    )
                }
                _ => (header.len() + units.len(), units),
            };
            let first = if header.is_empty() { "04" } else { "44" };
            let digits = from.trim_start_matches('+');
            let kind = if from.starts_with('+') { "91" } else { "81" };
            format!(
                "07919471000000F0{first}{:02X}{kind}{}00{coding:02X}62117221000000{length:02X}{}{}",
                digits.len(),
                swapped(digits),
                hex(&header),
                hex(&body),
            )
        })
        .collect()
}

/// Letters, each of which is some units, in pieces: one where all fit, else of so many units.
fn cut(letters: Vec<Vec<u8>>, alone: usize, of_part: usize) -> Vec<Vec<Vec<u8>>> {
    if letters.iter().map(Vec::len).sum::<usize>() <= alone {
        return vec![letters];
    }
    let mut pieces: Vec<Vec<Vec<u8>>> = Vec::new();
    let mut room = 0;
    for letter in letters {
        if letter.len() > room {
            pieces.push(Vec::new());
            room = of_part;
        }
        room -= letter.len();
        if let Some(piece) = pieces.last_mut() {
            piece.push(letter);
        }
    }
    pieces
}

/// Reads a message that is to be sent. `told` is the length that was announced.
pub(super) fn submitted(digits: &str, told: usize) -> Option<Submitted> {
    let all = octets(digits)?;
    let centre = usize::from(*all.first()?);
    let octets = all.get(1 + centre..)?;
    if octets.len() != told || octets.first()? & 0x03 != 1 {
        return None;
    }
    let first = *octets.first()?;
    let count = usize::from(*octets.get(2)?);
    let after = 4 + count.div_ceil(2);
    let address = hex(octets.get(4..after)?);
    let swapped_back: String = swapped(&address)
        .chars()
        .take(count)
        .map(|it| match it {
            'A' => '*',
            'B' => '#',
            digit => digit,
        })
        .collect();
    let plus = if octets.get(3)? & 0x70 == 0x10 {
        "+"
    } else {
        ""
    };
    let coding = *octets.get(after + 1)?;
    // The validity takes one octet when it is told relatively, and none when it is not told.
    let length_at = after + 2 + usize::from(first & 0x18 == 0x10);
    let length = usize::from(*octets.get(length_at)?);
    let data = octets.get(length_at + 1..)?;
    let header = match first & 0x40 {
        0 => &[][..],
        _ => data.get(..usize::from(*data.first()?) + 1)?,
    };
    let part = match header {
        [5, 0, 3, reference, total, number] => Some((*reference, *total, *number)),
        [] => None,
        _ => return None,
    };
    let body = data.get(header.len()..)?;
    let text = match coding {
        0 => {
            let before = (header.len() * 8).div_ceil(7);
            let septets = unpacked(body, before * 7 - header.len() * 8, length - before);
            let mut text = String::new();
            let mut is_escaped = false;
            for septet in septets {
                if septet == 0x1B {
                    is_escaped = true;
                    continue;
                }
                text.push(letter(septet, std::mem::take(&mut is_escaped)));
            }
            text
        }
        8 => {
            let units = body.get(..length - header.len())?.chunks_exact(2);
            let units: Vec<u16> = units
                .map(|pair| {
                    pair.iter()
                        .fold(0, |unit, octet| unit << 8 | u16::from(*octet))
                })
                .collect();
            String::from_utf16(&units).ok()?
        }
        _ => return None,
    };
    Some(Submitted {
        to: format!("{plus}{swapped_back}"),
        text,
        part,
        is_wide: coding == 8,
    })
}

/// Text of hexadecimal digits, four of which are half a letter at least.
pub(super) fn wide_text(digits: &str) -> Option<String> {
    let octets = octets(digits).filter(|octets| octets.len() % 2 == 0)?;
    let units = octets.chunks_exact(2);
    let units: Vec<u16> = units
        .map(|pair| {
            pair.iter()
                .fold(0, |unit, octet| unit << 8 | u16::from(*octet))
        })
        .collect();
    String::from_utf16(&units).ok()
}
