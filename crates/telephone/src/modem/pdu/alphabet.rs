//! The letters of short messages: the 7-bit default alphabet with its extension table (3GPP TS 23.038, 6.2.1), and
//! how seven bits are packed into eight (6.1.2.1.1).

/// The default alphabet by code. The place of the escape, 0x1B, is never looked up.
const DEFAULT: [char; 128] = [
    '@', '£', '$', '¥', 'è', 'é', 'ù', 'ì', 'ò', 'Ç', '\n', 'Ø', 'ø', '\r', 'Å', 'å', //
    'Δ', '_', 'Φ', 'Γ', 'Λ', 'Ω', 'Π', 'Ψ', 'Σ', 'Θ', 'Ξ', ' ', 'Æ', 'æ', 'ß', 'É', //
    ' ', '!', '"', '#', '¤', '%', '&', '\'', '(', ')', '*', '+', ',', '-', '.', '/', //
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', ':', ';', '<', '=', '>', '?', //
    '¡', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', //
    'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', 'Ä', 'Ö', 'Ñ', 'Ü', '§', //
    '¿', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', //
    'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z', 'ä', 'ö', 'ñ', 'ü', 'à',
];

/// What follows an escape.
const EXTENSION: [(u8, char); 10] = [
    (0x0A, '\u{c}'),
    (0x14, '^'),
    (0x28, '{'),
    (0x29, '}'),
    (0x2F, '\\'),
    (0x3C, '['),
    (0x3D, '~'),
    (0x3E, ']'),
    (0x40, '|'),
    (0x65, '€'),
];

/// Goes before a code of the extension table.
pub(super) const ESCAPE: u8 = 0x1B;

/// The septets of a letter: one, or an escape and one. `None` when the alphabet lacks it.
pub(super) fn septets(letter: char) -> Option<(Option<u8>, u8)> {
    if let Some((code, _)) = EXTENSION.iter().find(|(_, it)| *it == letter) {
        return Some((Some(ESCAPE), *code));
    }
    let mut codes = (0..128_u8).filter(|code| *code != ESCAPE);
    let code = codes.find(|code| DEFAULT.get(usize::from(*code)) == Some(&letter));
    code.map(|code| (None, code))
}

/// The text of septets. A code that the extension table lacks is read by the default alphabet, as the standard asks
/// for.
pub(super) fn text(septets: &[u8]) -> String {
    let mut text = String::with_capacity(septets.len());
    let mut is_escaped = false;
    for code in septets {
        let code = code & 0x7F;
        if code == ESCAPE {
            // A second one stands for a further table that nobody has defined: a space is shown.
            if std::mem::replace(&mut is_escaped, true) {
                text.push(' ');
                is_escaped = false;
            }
            continue;
        }
        let extended = EXTENSION.iter().find(|(it, _)| *it == code && is_escaped);
        let usual = DEFAULT.get(usize::from(code)).copied().unwrap_or(' ');
        text.push(extended.map_or(usual, |(_, letter)| *letter));
        is_escaped = false;
    }
    text
}

/// Packs septets, the first of them beginning at bit `fill` of the first octet.
pub(super) fn pack(septets: &[u8], fill: usize) -> Vec<u8> {
    let mut octets = vec![0; (fill + septets.len() * 7).div_ceil(8)];
    for (index, septet) in septets.iter().enumerate() {
        let bit = fill + index * 7;
        let wide = u16::from(septet & 0x7F) << (bit % 8);
        for (octet, part) in octets.iter_mut().skip(bit / 8).zip(wide.to_le_bytes()) {
            *octet |= part;
        }
    }
    octets
}

/// The septets that are packed in octets, the first of them beginning at bit `fill`: at most `count`, and no more than
/// there are.
pub(super) fn unpack(octets: &[u8], fill: usize, count: usize) -> Vec<u8> {
    let there = (octets.len() * 8).saturating_sub(fill) / 7;
    let septet = |index: usize| {
        let bit = fill + index * 7;
        let octet = |place: usize| octets.get(place).copied().map_or(0, u16::from);
        let wide = octet(bit / 8) | octet(bit / 8 + 1) << 8;
        (wide >> (bit % 8)) as u8 & 0x7F
    };
    (0..count.min(there)).map(septet).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn letters_have_the_codes_of_the_standard() {
        for (letter, expected) in [
            ('@', Some((None, 0))),
            ('Δ', Some((None, 0x10))),
            ('É', Some((None, 0x1F))),
            (' ', Some((None, 0x20))),
            ('¤', Some((None, 0x24))),
            ('A', Some((None, 0x41))),
            ('§', Some((None, 0x5F))),
            ('à', Some((None, 0x7F))),
            ('€', Some((Some(ESCAPE), 0x65))),
            ('[', Some((Some(ESCAPE), 0x3C))),
            ('|', Some((Some(ESCAPE), 0x40))),
            ('`', None),
            ('ç', None),
            ('水', None),
            ('…', None),
        ] {
            assert_eq!(septets(letter), expected, "{letter}");
        }
    }

    #[test]
    fn what_no_table_has_is_read_by_the_default_one() {
        assert_eq!(text(&[ESCAPE, 0x65]), "€");
        assert_eq!(text(&[ESCAPE, 0x41]), "A");
        assert_eq!(text(&[ESCAPE, ESCAPE, 0x41]), " A");
        assert_eq!(text(&[0x41, ESCAPE]), "A");
    }

    #[test]
    fn seven_bits_are_packed_into_eight() {
        // By hand: 'a' 1100001, 'b' 1100010, 'c' 1100011 from the lowest bit on.
        assert_eq!(pack(&[0x61, 0x62, 0x63], 0), [0x61, 0xF1, 0x18]);
        // One bit later, as after a header of six octets.
        assert_eq!(pack(&[0x61, 0x62], 1), [0xC2, 0x62]);
        // Eight septets lie in seven octets.
        assert_eq!(pack(&[0x7F; 8], 0), [0xFF; 7]);
        assert_eq!(unpack(&[0xFF; 7], 0, 100).len(), 8);
        assert_eq!(unpack(&[], 3, 4), Vec::<u8>::new());
    }

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(
            septets in prop::collection::vec(0_u8..128, 0..200), fill in 0_usize..7,
        ) {
            prop_assert_eq!(unpack(&pack(&septets, fill), fill, septets.len()), septets);
        }

        #[test]
        fn every_letter_comes_back(letters in "[ -_a-~äöüß€£ΔΩ\n]{0,80}") {
            let coded: Option<Vec<_>> = letters.chars().map(septets).collect();
            let coded: Vec<u8> = coded.unwrap().into_iter()
                .flat_map(|(escape, code)| escape.into_iter().chain([code])).collect();
            prop_assert_eq!(text(&coded), letters);
        }
    }
}
