//! A text cut into short messages (3GPP TS 23.040, 9.2.3.24.1).

use super::alphabet;

/// Messages that one text may take: a long alarm is read at a screen, and each costs money.
pub const PARTS_MAX: usize = 4;

/// Octets of the text in one message.
const OCTETS_MAX: usize = 140;
/// Octets of the header that says which part of which text a message is, its length among them.
const HEADER_OCTETS: usize = 6;

/// By which table letters are coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alphabet {
    /// Seven bits a letter, or twice as many for a few.
    Gsm,
    /// Sixteen bits a letter, or twice as many for what is beyond Unicode's first plane.
    Ucs2,
}

impl Alphabet {
    /// The narrower one, if it has every letter.
    fn of(text: &str) -> Self {
        match text.chars().all(|it| alphabet::septets(it).is_some()) {
            true => Alphabet::Gsm,
            false => Alphabet::Ucs2,
        }
    }

    /// Code units in a message of its own.
    const fn units_alone(self) -> usize {
        match self {
            Alphabet::Gsm => OCTETS_MAX * 8 / 7,
            Alphabet::Ucs2 => OCTETS_MAX / 2,
        }
    }

    /// Code units in a message that is one of several.
    const fn units_of_part(self) -> usize {
        match self {
            Alphabet::Gsm => (OCTETS_MAX - HEADER_OCTETS) * 8 / 7,
            Alphabet::Ucs2 => (OCTETS_MAX - HEADER_OCTETS) / 2,
        }
    }

    /// What says that there was more.
    const fn ellipsis(self) -> &'static str {
        match self {
            Alphabet::Gsm => "...",
            Alphabet::Ucs2 => "…",
        }
    }

    /// The code units of a letter; none for what the alphabet lacks.
    fn units(self, letter: char) -> Vec<u16> {
        match self {
            Alphabet::Gsm => {
                let coded = alphabet::septets(letter).into_iter();
                let septets = coded.flat_map(|(escape, code)| escape.into_iter().chain([code]));
                septets.map(u16::from).collect()
            }
            Alphabet::Ucs2 => letter.encode_utf16(&mut [0; 2]).to_vec(),
        }
    }
}

/// Which part of a text a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::modem) struct Part {
    /// Tells the texts of one sender apart; mostly eight bits.
    pub(in crate::modem) reference: u16,
    /// How many there are.
    pub(in crate::modem) total: u8,
    /// The how manieth it is, from 1 on.
    pub(in crate::modem) number: u8,
}

/// What one message carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::modem) struct Segment {
    pub(super) alphabet: Alphabet,
    /// Septets, or halves of UTF-16.
    pub(super) units: Vec<u16>,
    pub(super) part: Option<Part>,
}

/// Cuts a text: one message where it fits into one, else parts, at most [`PARTS_MAX`]. What does not fit even then is
/// left out, and dots say so. No letter is torn in two.
pub(in crate::modem) fn segments(text: &str, reference: u8) -> Vec<Segment> {
    let alphabet = Alphabet::of(text);
    let alone = alphabet.units_alone();
    let of_alone: Vec<u16> = text
        .chars()
        .flat_map(|it| alphabet.units(it))
        .take(alone + 1)
        .collect();
    if of_alone.len() <= alone {
        return vec![Segment {
            alphabet,
            units: of_alone,
            part: None,
        }];
    }
    let mut parts: Vec<Vec<Vec<u16>>> = vec![Vec::new()];
    let mut is_cut = false;
    let (mut used, room) = (0, alphabet.units_of_part());
    for letter in text.chars() {
        let units = alphabet.units(letter);
        if used + units.len() > room {
            if parts.len() == PARTS_MAX {
                is_cut = true;
                break;
            }
            parts.push(Vec::new());
            used = 0;
        }
        used += units.len();
        if let Some(part) = parts.last_mut() {
            part.push(units);
        }
    }
    if let Some(last) = parts.last_mut().filter(|_| is_cut) {
        let dots: Vec<_> = alphabet
            .ellipsis()
            .chars()
            .map(|it| alphabet.units(it))
            .collect();
        while used + dots.len() > room {
            used -= last.pop().map_or(used, |units| units.len());
        }
        last.extend(dots);
    }
    let total = parts.len() as u8;
    let numbered = (1..=total).zip(parts);
    numbered
        .map(|(number, letters)| Segment {
            alphabet,
            units: letters.concat(),
            part: Some(Part {
                reference: u16::from(reference),
                total,
                number,
            }),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lengths(text: &str) -> (Alphabet, Vec<usize>) {
        let segments = segments(text, 7);
        let alphabet = segments[0].alphabet;
        (alphabet, segments.iter().map(|it| it.units.len()).collect())
    }

    #[test]
    fn a_text_takes_as_few_messages_as_it_needs() {
        use Alphabet::{Gsm, Ucs2};
        for (text, expected) in [
            (String::new(), (Gsm, vec![0])),
            ("a".repeat(160), (Gsm, vec![160])),
            ("a".repeat(161), (Gsm, vec![153, 8])),
            ("€".repeat(80), (Gsm, vec![160])),
            // A letter of two septets is not torn: of 153, one stays empty.
            ("€".repeat(81), (Gsm, vec![152, 10])),
            ("水".repeat(70), (Ucs2, vec![70])),
            ("水".repeat(71), (Ucs2, vec![67, 4])),
            ("🔥".repeat(35), (Ucs2, vec![70])),
            ("🔥".repeat(36), (Ucs2, vec![66, 6])),
            ("a".repeat(612), (Gsm, vec![153; 4])),
            ("a".repeat(100_000), (Gsm, vec![153; 4])),
            ("水".repeat(1_000), (Ucs2, vec![67; 4])),
        ] {
            assert_eq!(lengths(&text), expected, "{}", text.chars().count());
        }
    }

    #[test]
    fn what_is_left_out_is_told_by_dots() {
        let last = |text: &str| segments(text, 0).pop().unwrap().units;
        let dot = u16::from(b'.');
        assert!(last(&"a".repeat(613)).ends_with(&[u16::from(b'a'), dot, dot, dot]));
        assert!(!last(&"a".repeat(612)).contains(&dot));
        assert_eq!(*last(&"水".repeat(269)).last().unwrap(), 0x2026);
        // Of two halves that have to go for one dot, both go.
        let emoji = last(&"🔥".repeat(500));
        assert_eq!((emoji.len(), *emoji.last().unwrap()), (67, 0x2026));
    }

    proptest! {
        #[test]
        fn no_part_is_too_long_and_none_lacks_a_half(text in "[a-z€水🔥 ]{0,700}") {
            let segments = segments(&text, 1);
            prop_assert!(segments.len() <= PARTS_MAX);
            let mut whole = String::new();
            for segment in &segments {
                let room = match segment.part {
                    None => segment.alphabet.units_alone(),
                    Some(_) => segment.alphabet.units_of_part(),
                };
                prop_assert!(segment.units.len() <= room);
                whole += &match segment.alphabet {
                    Alphabet::Ucs2 => String::from_utf16(&segment.units).unwrap(),
                    Alphabet::Gsm => {
                        let septets: Vec<u8> = segment.units.iter().map(|it| *it as u8).collect();
                        prop_assert!(septets.last() != Some(&alphabet::ESCAPE));
                        alphabet::text(&septets)
                    }
                };
            }
            let kept = whole.trim_end_matches(['.', '…']);
            prop_assert!(text.starts_with(kept));
            prop_assert!(kept.len() == text.len() || segments.len() == PARTS_MAX);
        }
    }
}
