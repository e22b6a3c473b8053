//! Telephone numbers as they are dialled.

use std::{fmt, str::FromStr};

/// Digits of the longest number that there is: 15 by ITU-T E.164, and room for a prefix that a telephone
/// system asks for.
const DIGITS_MAX: usize = 20;

/// A telephone number: a plus sign at most, then 1 to 20 of the digits, `*` and `#`. What people write
/// between them (spaces, hyphens, dots, brackets, slashes) is left out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number(String);

/// A text that is no telephone number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NumberError {
    /// It has something in it that no telephone can dial.
    #[error("expected a telephone number of digits and found {0:?}")]
    Sign(char),
    /// It has none, or too many.
    #[error("expected a telephone number of 1 to {max} digits and found {0}", max = DIGITS_MAX)]
    Length(usize),
}

impl Number {
    /// The number as it is dialled, such as `+4930123456`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number without its plus sign.
    #[must_use]
    pub fn digits(&self) -> &str {
        self.0.trim_start_matches('+')
    }
}

impl FromStr for Number {
    type Err = NumberError;

    fn from_str(text: &str) -> Result<Self, NumberError> {
        let mut dialled = String::with_capacity(text.len().min(DIGITS_MAX + 1));
        let mut digits = 0;
        for sign in text.trim().chars() {
            match sign {
                '+' if dialled.is_empty() => dialled.push('+'),
                '0'..='9' | '*' | '#' => {
                    digits += 1;
                    if digits <= DIGITS_MAX {
                        dialled.push(sign);
                    }
                }
                ' ' | '-' | '.' | '(' | ')' | '/' | '\u{a0}' => {}
                other => return Err(NumberError::Sign(other)),
            }
        }
        match (1..=DIGITS_MAX).contains(&digits) {
            true => Ok(Number(dialled)),
            false => Err(NumberError::Length(digits)),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_people_write_them() {
        for (written, dialled) in [
            ("+49 (30) 123-456", "+4930123456"),
            (" 030/12.34 ", "0301234"),
            ("*21#", "*21#"),
            ("7", "7"),
        ] {
            let number: Number = written.parse().unwrap();
            assert_eq!(number.as_str(), dialled);
        }
        assert_eq!("+1 2".parse::<Number>().unwrap().digits(), "12");
    }

    #[test]
    fn what_cannot_be_dialled_is_told() {
        for (written, error) in [
            ("", NumberError::Length(0)),
            ("+", NumberError::Length(0)),
            ("1+2", NumberError::Sign('+')),
            ("12a", NumberError::Sign('a')),
            ("1;2", NumberError::Sign(';')),
            ("123456789012345678901", NumberError::Length(21)),
        ] {
            assert_eq!(written.parse::<Number>(), Err(error), "{written}");
        }
    }
}
