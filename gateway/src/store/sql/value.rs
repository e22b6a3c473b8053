//! Values and rows as both databases give and take them.

use crate::store::StoreError;
use bytes::Bytes;
use switchyard_protocol::{
    Address, Role, SiteId,
    message::{Time, Title},
};

/// What a column holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// Nothing.
    Null,
    /// A whole number; both databases' are signed.
    Int(i64),
    /// Text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// What a statement is given, in the order of its question marks.
macro_rules! params {
    ($($value:expr),* $(,)?) => { &[$($crate::store::sql::value::Value::from($value)),*] };
}
pub(crate) use params;

/// One row, its columns by their place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row(pub(crate) Vec<Value>);

impl Row {
    /// The column at a place, as what it must be.
    pub(crate) fn get<T: FromValue>(&self, at: usize) -> Result<T, StoreError> {
        let value = self.0.get(at).and_then(T::from_value);
        value.ok_or(StoreError::Corrupt { what: T::WHAT })
    }
}

/// What can be read from a column.
pub(crate) trait FromValue: Sized {
    /// What is missed where a column holds something else.
    const WHAT: &'static str;
    /// `None` where the value is none of these.
    fn from_value(value: &Value) -> Option<Self>;
}

macro_rules! from_integers {
    ($($integer:ty),*) => {$(
        impl FromValue for $integer {
            const WHAT: &'static str = "number";
            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::Int(number) => (*number).try_into().ok(),
                    _ => None,
                }
            }
        }
    )*};
}

from_integers!(i64, u64, u32, u16, u8);

impl FromValue for bool {
    const WHAT: &'static str = "truth value";
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Int(0) => Some(false),
            Value::Int(1) => Some(true),
            _ => None,
        }
    }
}

impl FromValue for String {
    const WHAT: &'static str = "text";
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        }
    }
}

impl FromValue for Vec<u8> {
    const WHAT: &'static str = "blob";
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Blob(bytes) => Some(bytes.clone()),
            _ => None,
        }
    }
}

impl FromValue for Bytes {
    const WHAT: &'static str = "blob";
    fn from_value(value: &Value) -> Option<Self> {
        Vec::from_value(value).map(Bytes::from)
    }
}

impl<const N: usize> FromValue for [u8; N] {
    const WHAT: &'static str = "blob of a fixed length";
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Blob(bytes) => bytes.as_slice().try_into().ok(),
            _ => None,
        }
    }
}

impl<T: FromValue> FromValue for Option<T> {
    const WHAT: &'static str = T::WHAT;
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}

impl FromValue for Time {
    const WHAT: &'static str = "time";
    fn from_value(value: &Value) -> Option<Self> {
        u64::from_value(value).map(Time)
    }
}

impl FromValue for Address {
    const WHAT: &'static str = "address";
    fn from_value(value: &Value) -> Option<Self> {
        u32::from_value(value).map(Address)
    }
}

impl FromValue for SiteId {
    const WHAT: &'static str = "site";
    fn from_value(value: &Value) -> Option<Self> {
        u32::from_value(value).map(SiteId)
    }
}

impl FromValue for Title {
    const WHAT: &'static str = "title";
    fn from_value(value: &Value) -> Option<Self> {
        Title::new(&String::from_value(value)?).ok()
    }
}

impl FromValue for Role {
    const WHAT: &'static str = "role";
    fn from_value(value: &Value) -> Option<Self> {
        Role::from_number(u8::from_value(value)?)
    }
}

macro_rules! into_values {
    ($($from:ty => |$value:ident| $into:expr;)*) => {$(
        impl From<$from> for Value {
            fn from($value: $from) -> Self {
                $into
            }
        }
    )*};
}

into_values! {
    i64 => |number| Value::Int(number);
    u32 => |number| Value::Int(number.into());
    u16 => |number| Value::Int(number.into());
    u8 => |number| Value::Int(number.into());
    bool => |truth| Value::Int(truth.into());
    &str => |text| Value::Text(text.to_owned());
    &String => |text| Value::Text(text.clone());
    &Title => |title| Value::Text(title.as_str().to_owned());
    &[u8] => |bytes| Value::Blob(bytes.to_vec());
    &Vec<u8> => |bytes| Value::Blob(bytes.clone());
    &Bytes => |bytes| Value::Blob(bytes.to_vec());
    Address => |address| Value::Int(address.0.into());
    SiteId => |site| Value::Int(site.0.into());
    Role => |role| Value::Int((role as u8).into());
    // Past the year 292 million it stands still.
    Time => |time| Value::Int(i64::try_from(time.0).unwrap_or(i64::MAX));
    // Orders and counts: none gets that far.
    u64 => |number| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
}

impl<const N: usize> From<[u8; N]> for Value {
    fn from(bytes: [u8; N]) -> Self {
        Value::Blob(bytes.to_vec())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_what_it_must_be_or_corrupt() {
        let row = Row(vec![
            Value::Int(-1),
            Value::Text("pump".into()),
            Value::Blob(vec![1, 2]),
            Value::Null,
        ]);
        assert_eq!(row.get::<i64>(0).unwrap(), -1);
        assert!(row.get::<u32>(0).is_err(), "a number below its range");
        assert!(row.get::<bool>(0).is_err());
        assert_eq!(row.get::<String>(1).unwrap(), "pump");
        assert!(row.get::<Vec<u8>>(1).is_err(), "text is no blob");
        assert_eq!(row.get::<[u8; 2]>(2).unwrap(), [1, 2]);
        assert!(row.get::<[u8; 3]>(2).is_err());
        assert_eq!(row.get::<Option<u32>>(3).unwrap(), None);
        assert!(row.get::<u32>(3).is_err());
        assert!(row.get::<u32>(4).is_err(), "no such column");
        let error = row.get::<Role>(0).unwrap_err();
        assert_eq!(error.to_string(), "expected a valid role in the store");
    }
}
