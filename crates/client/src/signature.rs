//! Signatures of a controller's commands, such as `pulse(t: time in 100ms..60s)`, and how people's
//! arguments become the integers of the wire. Pure.
//!
//! Types: `bool` (0 or 1), `int`, `num` (thousandths), `time` (milliseconds).

use std::fmt;
use switchyard_protocol::{
    limits::{ARGUMENTS_MAX, INTEGER_MAX},
    message::{Name, ValueType},
};

/// What an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgumentType {
    /// `on`, `off`, `1`, `0`, `true`, `false`.
    Bool,
    /// A whole number.
    Int,
    /// A decimal with at most three places, in thousandths on the wire.
    Num,
    /// A duration such as `5s`, `100ms`, `2m`, `1h`; in milliseconds on the wire.
    Time,
}

impl From<ValueType> for ArgumentType {
    fn from(value_type: ValueType) -> Self {
        match value_type {
            ValueType::Bool => ArgumentType::Bool,
            ValueType::Int => ArgumentType::Int,
            ValueType::Num => ArgumentType::Num,
            ValueType::Time => ArgumentType::Time,
        }
    }
}

impl ArgumentType {
    /// The word in a signature.
    pub const fn name(self) -> &'static str {
        match self {
            ArgumentType::Bool => "bool",
            ArgumentType::Int => "int",
            ArgumentType::Num => "num",
            ArgumentType::Time => "time",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Bool, Self::Int, Self::Num, Self::Time]
            .into_iter()
            .find(|known| known.name() == name)
    }

    /// Reads a person's text into the integer of the wire.
    ///
    /// # Errors
    /// [`ArgumentError::Value`] says what was expected.
    pub fn read(self, text: &str) -> Result<i64, ArgumentError> {
        let value = match self {
            ArgumentType::Bool => switch(text),
            ArgumentType::Int => thousandths(text)
                .filter(|value| value % 1000 == 0)
                .map(|value| value / 1000),
            ArgumentType::Num => thousandths(text),
            ArgumentType::Time => duration_ms(text),
        };
        value.ok_or_else(|| ArgumentError::Value {
            expected: self.expected(),
            found: text.chars().take(40).collect(),
        })
    }

    const fn expected(self) -> &'static str {
        match self {
            ArgumentType::Bool => "on or off",
            ArgumentType::Int => "a whole number",
            ArgumentType::Num => "a number with at most three decimals",
            ArgumentType::Time => "a time such as 5s, 100ms, 2m or 1h",
        }
    }

    /// The wire's integer as a person writes it.
    pub fn show(self, value: i64) -> String {
        match self {
            ArgumentType::Bool => if value == 0 { "off" } else { "on" }.to_owned(),
            ArgumentType::Int => value.to_string(),
            ArgumentType::Num => show_thousandths(value),
            ArgumentType::Time => match value {
                _ if value != 0 && value % 3_600_000 == 0 => format!("{}h", value / 3_600_000),
                _ if value != 0 && value % 60_000 == 0 => format!("{}m", value / 60_000),
                _ if value % 1000 == 0 => format!("{}s", value / 1000),
                _ => format!("{value}ms"),
            },
        }
    }
}

/// One argument of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// What it is.
    pub argument_type: ArgumentType,
    /// The least and the greatest value, where the signature says so; as on the wire.
    pub range: Option<(i64, i64)>,
}

/// A command and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The command.
    pub name: Name,
    /// Its arguments, at most four.
    pub parameters: Vec<Parameter>,
}

/// Why arguments are not what a command takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArgumentError {
    /// Not a value of that type.
    #[error("expected {expected} and found {found:?}")]
    Value {
        /// What it should be.
        expected: &'static str,
        /// What it was.
        found: String,
    },
    /// Outside the signature's range.
    #[error("expected {name} from {min} to {max} and found {found}")]
    Range {
        /// The argument's name.
        name: String,
        /// The least.
        min: String,
        /// The greatest.
        max: String,
        /// What it was.
        found: String,
    },
    /// Too many or too few.
    #[error("expected {} and found {found}: {signature}", arguments(*expected))]
    Count {
        /// How many the command takes.
        expected: usize,
        /// How many there were.
        found: usize,
        /// The signature, for people.
        signature: String,
    },
}

fn arguments(count: usize) -> String {
    match count {
        0 => "no argument".into(),
        1 => "one argument".into(),
        more => format!("{more} arguments"),
    }
}

impl Signature {
    /// Reads a signature; `None` for one that this version does not understand.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (name, parameters) = match text.split_once('(') {
            Some((name, rest)) => (name, rest.strip_suffix(')')?),
            None => (text, ""),
        };
        let parameters = parameters
            .split(',')
            .map(str::trim)
            .filter(|parameter| !parameter.is_empty())
            .map(Parameter::parse)
            .collect::<Option<Vec<_>>>()?;
        (parameters.len() <= ARGUMENTS_MAX).then_some(())?;
        Some(Signature {
            name: Name::new(name.trim()).ok()?,
            parameters,
        })
    }

    /// Reads people's arguments into those of the wire.
    ///
    /// # Errors
    /// [`ArgumentError`] says what was expected.
    pub fn arguments<T: AsRef<str>>(&self, texts: &[T]) -> Result<Vec<i64>, ArgumentError> {
        if texts.len() != self.parameters.len() {
            return Err(ArgumentError::Count {
                expected: self.parameters.len(),
                found: texts.len(),
                signature: self.to_string(),
            });
        }
        let pairs = self.parameters.iter().zip(texts);
        pairs
            .map(|(parameter, text)| parameter.read(text.as_ref()))
            .collect()
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.name)?;
        for (at, parameter) in self.parameters.iter().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            write!(f, "{comma}{parameter}")?;
        }
        f.write_str(")")
    }
}

impl Parameter {
    fn parse(text: &str) -> Option<Self> {
        let (name, rest) = text.split_once(':')?;
        let mut words = rest.split_whitespace();
        let argument_type = ArgumentType::from_name(words.next()?)?;
        let range = match words.next() {
            None => None,
            Some("in") => {
                let (min, max) = words.next()?.split_once("..")?;
                Some((argument_type.read(min).ok()?, argument_type.read(max).ok()?))
            }
            Some(_) => return None,
        };
        words.next().is_none().then_some(())?;
        Some(Parameter {
            name: name.trim().to_owned(),
            argument_type,
            range,
        })
    }

    fn read(&self, text: &str) -> Result<i64, ArgumentError> {
        let value = self.argument_type.read(text)?;
        match self.range {
            Some((min, max)) if !(min..=max).contains(&value) => Err(ArgumentError::Range {
                name: self.name.clone(),
                min: self.argument_type.show(min),
                max: self.argument_type.show(max),
                found: self.argument_type.show(value),
            }),
            _ => Ok(value),
        }
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.argument_type.name())?;
        if let Some((min, max)) = self.range {
            let show = |value| self.argument_type.show(value);
            write!(f, " in {}..{}", show(min), show(max))?;
        }
        Ok(())
    }
}

/// `on`, `off` and their kin.
pub fn switch(text: &str) -> Option<i64> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "on" | "true" => Some(1),
        "0" | "off" | "false" => Some(0),
        _ => None,
    }
}

/// A plain decimal with at most three places, in thousandths.
pub fn thousandths(text: &str) -> Option<i64> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = match digits.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (digits, ""),
    };
    let is_plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || fraction.len() > 3 || !is_plain(whole) || !is_plain(fraction) {
        return None;
    }
    let whole: i64 = whole.parse().ok()?;
    let fraction: i64 = format!("{fraction:0<3}").parse().ok()?;
    let value = whole.checked_mul(1000)?.checked_add(fraction)?;
    (value <= INTEGER_MAX).then_some(if is_negative { -value } else { value })
}

/// Thousandths as a plain decimal, without trailing zeros.
pub fn show_thousandths(value: i64) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let (whole, fraction) = (value.unsigned_abs() / 1000, value.unsigned_abs() % 1000);
    let text = format!("{sign}{whole}.{fraction:03}");
    let text = text.trim_end_matches('0');
    text.trim_end_matches('.').to_owned()
}

/// A duration with its unit, in milliseconds. A bare `0` needs no unit.
fn duration_ms(text: &str) -> Option<i64> {
    if text == "0" {
        return Some(0);
    }
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit_at);
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let product = thousandths(number)?.checked_mul(unit_ms)?;
    let is_whole = product >= 0 && product % 1000 == 0 && product / 1000 <= INTEGER_MAX;
    is_whole.then_some(product / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ArgumentType::{Bool, Int, Num, Time};

    #[test]
    fn reads_arguments() {
        for (argument_type, text, value) in [
            (Bool, "on", Some(1)),
            (Bool, "OFF", Some(0)),
            (Bool, "1", Some(1)),
            (Bool, "2", None),
            (Int, "42", Some(42)),
            (Int, "-7", Some(-7)),
            (Int, "1.5", None),
            (Int, "", None),
            (Int, "+1", None),
            (Num, "72.4", Some(72_400)),
            (Num, "-0.005", Some(-5)),
            (Num, "3", Some(3000)),
            (Num, "3.", None),
            (Num, ".5", None),
            (Num, "1.2345", None),
            (Num, "1e3", None),
            (Num, "99999999999999999999", None),
            (Time, "5s", Some(5000)),
            (Time, "100ms", Some(100)),
            (Time, "1.5s", Some(1500)),
            (Time, "2m", Some(120_000)),
            (Time, "1h", Some(3_600_000)),
            (Time, "0", Some(0)),
            (Time, "5", None),
            (Time, "-5s", None),
            (Time, "0.5ms", None),
            (Time, "5 s", None),
            (Time, "s", None),
        ] {
            let read = argument_type.read(text).ok();
            assert_eq!(read, value, "{argument_type:?} {text:?}");
        }
    }

    #[test]
    fn signatures_round_trip_and_check_their_ranges() {
        let text = "boost(t: time in 1s..10m, level: num in 0..100)";
        let boost = Signature::parse(text).unwrap();
        assert_eq!(boost.to_string(), text);
        assert_eq!(boost.arguments(&["5s", "72.5"]), Ok(vec![5000, 72_500]));
        let error = boost.arguments(&["500ms", "1"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "expected t from 1s to 10m and found 500ms"
        );
        let error = boost.arguments(&["5s"]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "expected 2 arguments and found 1: boost(t: time in 1s..10m, level: num in 0..100)"
        );
        assert_eq!(Signature::parse("stop()").unwrap().parameters, []);
        assert_eq!(Signature::parse("stop").unwrap().name.as_str(), "stop");
        for odd in [
            "",
            "9lives()",
            "x(",
            "x(t)",
            "x(t: float)",
            "x(t: int of 5)",
            "x(a: int, b: int, c: int, d: int, e: int)",
        ] {
            assert_eq!(Signature::parse(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn shows_thousandths() {
        for (value, text) in [
            (72_400, "72.4"),
            (0, "0"),
            (-5, "-0.005"),
            (3000, "3"),
            (10, "0.01"),
        ] {
            assert_eq!(show_thousandths(value), text);
            assert_eq!(thousandths(text), Some(value));
        }
    }
}
