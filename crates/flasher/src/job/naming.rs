//! How the boards of a batch are named: a pattern with places for a running number and for the chip's own.

use std::str::FromStr;
use switchyard_protocol::{limits::TITLE_BYTES_MAX, message::Title};

/// Digits of the largest number.
const NUMBER_DIGITS: usize = 10;
/// Digits of a MAC address.
const MAC_DIGITS: usize = 12;

/// A pattern such as `Pump {n:03}`: `{n}` is the board's number in its batch, with a width filled up with zeros; `{mac}` the
/// twelve digits of its MAC address, `{mac:6}` the last six; `{{` and `}}` are braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naming {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Number { width: usize },
    Mac { digits: usize },
}

/// Why a text is no pattern for names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NamingError {
    /// A brace alone.
    #[error("expected every {{ to have its }}; a brace itself is written twice")]
    Brace,
    /// A place for something else.
    #[error("expected {{n}}, {{n:03}}, {{mac}} or {{mac:6}} and found {{{found}}}")]
    Place {
        /// What stands in it.
        found: String,
    },
    /// Two boards would be called the same.
    #[error(
        "expected {{n}} or all of {{mac}} or at least {{mac:6}}, so that each board has a name of its own"
    )]
    Same,
    /// Names would be too long, or none.
    #[error("expected names of 1 to {TITLE_BYTES_MAX} bytes without control characters")]
    Name,
}

impl FromStr for Naming {
    type Err = NamingError;

    fn from_str(text: &str) -> Result<Self, NamingError> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            rest = &rest[first.len_utf8()..];
            match first {
                '{' | '}' if rest.starts_with(first) => {
                    plain.push(first);
                    rest = &rest[1..];
                }
                '{' => {
                    let (place, behind) = rest.split_once('}').ok_or(NamingError::Brace)?;
                    if !plain.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut plain)));
                    }
                    parts.push(part(place).ok_or_else(|| NamingError::Place {
                        found: place.chars().take(20).collect(),
                    })?);
                    rest = behind;
                }
                '}' => return Err(NamingError::Brace),
                _ => plain.push(first),
            }
        }
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        let naming = Self {
            text: text.to_owned(),
            parts,
        };
        // Fewer digits of a MAC address are the same for too many boards.
        let tells = |part: &Part| match part {
            Part::Text(_) => false,
            Part::Number { .. } => true,
            Part::Mac { digits } => *digits >= 6,
        };
        if !naming.parts.iter().any(tells) {
            return Err(NamingError::Same);
        }
        // The longest name that there can be.
        let longest = naming.write(u32::MAX, [0xFF; 6]);
        Title::new(&longest).map_err(|_| NamingError::Name)?;
        Ok(naming)
    }
}

/// What stands between braces.
fn part(place: &str) -> Option<Part> {
    let (what, form) = match place.split_once(':') {
        Some((what, form)) => (what, Some(form)),
        None => (place, None),
    };
    let number = |digits: &str| {
        let is_number = !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit());
        is_number.then(|| digits.parse::<usize>().ok()).flatten()
    };
    match (what, form) {
        ("n", None) => Some(Part::Number { width: 0 }),
        ("n", Some(form)) => number(form)
            .filter(|width| form.starts_with('0') && (1..=NUMBER_DIGITS).contains(width))
            .map(|width| Part::Number { width }),
        ("mac", None) => Some(Part::Mac { digits: MAC_DIGITS }),
        ("mac", Some(form)) => number(form)
            .filter(|digits| (1..=MAC_DIGITS).contains(digits))
            .map(|digits| Part::Mac { digits }),
        _ => None,
    }
}

impl Naming {
    /// The name of a board.
    ///
    /// # Errors
    /// [`NamingError::Name`]: never for a pattern that was read.
    pub fn title(&self, number: u32, mac: [u8; 6]) -> Result<Title, NamingError> {
        Title::new(&self.write(number, mac)).map_err(|_| NamingError::Name)
    }

    /// Whether boards are counted.
    #[must_use]
    pub fn has_number(&self) -> bool {
        let is_number = |part: &Part| matches!(part, Part::Number { .. });
        self.parts.iter().any(is_number)
    }

    /// The pattern.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn write(&self, number: u32, mac: [u8; 6]) -> String {
        let mac = mac.map(|byte| format!("{byte:02x}")).concat();
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Number { width } => format!("{number:0width$}"),
            Part::Mac { digits } => mac[MAC_DIGITS - digits..].to_owned(),
        };
        self.parts.iter().map(part).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boards_are_named_by_their_number_or_their_mac() {
        let mac = [0x5C, 0xCF, 0x7F, 1, 2, 0xF3];
        for (pattern, title) in [
            ("Pump {n:03}", "Pump 007"),
            ("Pump {n}", "Pump 7"),
            ("{n:01}/{n:010}", "7/0000000007"),
            ("Board {mac}", "Board 5ccf7f0102f3"),
            ("Kühlhaus {mac:6}", "Kühlhaus 0102f3"),
            ("{{{n}}} {mac:1}", "{7} 3"),
        ] {
            let naming: Naming = pattern.parse().expect(pattern);
            assert_eq!(naming.title(7, mac).unwrap().as_str(), title);
            assert_eq!(naming.as_str(), pattern);
            assert_eq!(naming.has_number(), pattern.contains("{n"));
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        let refused = |text: &str| text.parse::<Naming>().expect_err(text);
        for text in ["Pump {n", "Pump n}", "{n}{", "}{n}"] {
            assert_eq!(refused(text), NamingError::Brace, "{text}");
        }
        for place in [
            "", "m", "n:", "n:3", "n:011", "n:00", "n:+1", "mac:0", "mac:13", "n ",
        ] {
            let found = place.to_owned();
            assert_eq!(
                refused(&format!("a {{{place}}}")),
                NamingError::Place { found }
            );
        }
        for text in ["Pump", "", "Pump {mac:5}", "{{n}}"] {
            assert_eq!(refused(text), NamingError::Same, "{text}");
        }
        for text in [format!("{}{{n}}", "a".repeat(55)), "a\n{n}".to_owned()] {
            assert_eq!(refused(&text), NamingError::Name);
        }
        assert!(format!("{}{{n}}", "a".repeat(54)).parse::<Naming>().is_ok());
    }
}
