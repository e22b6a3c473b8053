//! What a fleet's files are made of: names, and values whose type shows in how they are written.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::{fmt, str::FromStr};
use switchyard_protocol::{SiteId, message::ValueType};

/// In front of the number of a site that has no other name.
const SITE: &str = "site-";

/// The name of a site or a script: also a file's, so it has nothing that a file system minds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label(String);

impl Label {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What a site is called that nobody has given a name for files: by its number.
    pub fn of_site(number: SiteId) -> Self {
        Self(format!("{SITE}{}", number.0))
    }

    /// The number of the site that this stands for, where it is such a name.
    pub fn site_number(&self) -> Option<u32> {
        let number = self.0.strip_prefix(SITE)?;
        let parsed = number.parse().ok().filter(|number| *number > 0)?;
        (u32::to_string(&parsed) == number).then_some(parsed)
    }
}

impl FromStr for Label {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_fit =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        if (1..=64).contains(&text.len()) && text.bytes().all(is_fit) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "expected a name of 1 to 64 characters among a-z, 0-9, - and _, got {text:?}"
        ))
    }
}

impl TryFrom<String> for Label {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Label> for String {
    fn from(label: Label) -> Self {
        label.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// A parameter's value with its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// `bool`.
    Bool(bool),
    /// `int`.
    Int(i32),
    /// `num`, in thousandths.
    Num(i32),
    /// `time`, in milliseconds.
    Time(i32),
}

impl Value {
    /// Its type, and the value as the protocol has it.
    pub fn typed(self) -> (ValueType, i64) {
        match self {
            Self::Bool(value) => (ValueType::Bool, value.into()),
            Self::Int(value) => (ValueType::Int, value.into()),
            Self::Num(value) => (ValueType::Num, value.into()),
            Self::Time(value) => (ValueType::Time, value.into()),
        }
    }

    /// The value of a type that the protocol has so; `None` past 32 bits, which no script has.
    pub fn of_typed(value_type: ValueType, value: i64) -> Option<Self> {
        let value = i32::try_from(value).ok()?;
        Some(match value_type {
            ValueType::Bool => Self::Bool(value != 0),
            ValueType::Int => Self::Int(value),
            ValueType::Num => Self::Num(value),
            ValueType::Time => Self::Time(value),
        })
    }
}

/// The units of times, the longest first, as scripts have them.
const UNITS: [(&str, i64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Bool(value) => write!(out, "{value}"),
            Self::Int(value) => write!(out, "{value}"),
            Self::Num(value) => {
                let (whole, part) = (value.unsigned_abs() / 1000, value.unsigned_abs() % 1000);
                let sign = if value < 0 { "-" } else { "" };
                let part = format!("{part:03}");
                let part = part.trim_end_matches('0');
                write!(
                    out,
                    "{sign}{whole}.{}",
                    if part.is_empty() { "0" } else { part }
                )
            }
            Self::Time(0) => out.write_str("\"0s\""),
            Self::Time(value) => {
                let sign = if value < 0 { "-" } else { "" };
                write!(out, "\"{sign}")?;
                let mut rest = i64::from(value.unsigned_abs());
                for (unit, size) in UNITS {
                    if rest >= size {
                        write!(out, "{}{unit}", rest / size)?;
                        rest %= size;
                    }
                }
                out.write_str("\"")
            }
        }
    }
}

/// A time such as `1m30s`.
fn parse_time(text: &str) -> Option<i32> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let mut units = UNITS.iter();
    let mut sum: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, behind) = rest.split_at(digits);
        let letters = behind.bytes().take_while(u8::is_ascii_lowercase).count();
        let (unit, behind) = behind.split_at(letters);
        // Each unit once, the longer ones first.
        let (_, size) = units.find(|(known, _)| *known == unit)?;
        let number: i64 = number.parse().ok()?;
        sum = sum.checked_add(number.checked_mul(*size)?)?;
        rest = behind;
    }
    (!text.is_empty()).then(|| i32::try_from(sign * sum).ok())?
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Bool(value) => serializer.serialize_bool(value),
            Self::Int(value) => serializer.serialize_i32(value),
            // A double holds each of them, and prints it as it is written here.
            Self::Num(value) => serializer.serialize_f64(f64::from(value) / 1000.0),
            Self::Time(_) => serializer.serialize_str(self.to_string().trim_matches('"')),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong = |got: &dyn fmt::Display| {
            D::Error::custom(format!(
                "expected true or false, a whole number, one with up to three decimals such as 80.5, or a \
                 time such as \"1m30s\", all within 32 bits, got {got}"
            ))
        };
        match toml::Value::deserialize(deserializer)? {
            toml::Value::Boolean(value) => Ok(Self::Bool(value)),
            toml::Value::Integer(value) => i32::try_from(value)
                .map(Self::Int)
                .map_err(|_| wrong(&value)),
            toml::Value::Float(value) => {
                let thousandths = (value * 1000.0).round();
                let is_exact = (thousandths / 1000.0 - value).abs() < 1e-9;
                let is_within = thousandths.abs() <= f64::from(i32::MAX);
                if !is_exact || !is_within {
                    return Err(wrong(&value));
                }
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "a whole number within 32 bits"
                )]
                Ok(Self::Num(thousandths as i32))
            }
            toml::Value::String(text) => parse_time(&text)
                .map(Self::Time)
                .ok_or_else(|| wrong(&format!("{text:?}"))),
            other => Err(wrong(&other.type_str())),
        }
    }
}
