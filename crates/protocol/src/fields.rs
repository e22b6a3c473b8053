//! Reading and writing the one shape that payloads have: a map with small integer keys.

use crate::{
    Address, Code, SiteId,
    cbor::{self, Item},
    limits::INTEGER_MAX,
    message::{Key, MessageError, Name, Text, Time, Title},
};
use bytes::Bytes;
use std::time::Duration;

/// Writes items behind whatever there is.
pub(crate) type Encoder<'a> = minicbor::Encoder<&'a mut Vec<u8>>;

/// Writes a map behind whatever there is, keys ascending, absent options left out.
pub(crate) struct MapWriter<'a> {
    bytes: &'a mut Vec<u8>,
    head_at: usize,
    entries: u8,
    last_key: Option<u8>,
}

/// Anything that a field may hold.
pub(crate) trait Field {
    fn write(&self, encoder: &mut Encoder<'_>);
}

/// Writing into a `Vec` cannot fail; this is where that is said once.
fn written<T, E>(result: Result<T, E>) {
    assert!(result.is_ok(), "a Vec takes every byte");
}

/// The profile's largest integer stands for every larger one, so that what is written always passes
/// [`cbor::check`]. A panic would let a number typed by a person stop a gateway.
const fn saturated(number: u64) -> u64 {
    const MAX: u64 = INTEGER_MAX as u64;
    if number > MAX { MAX } else { number }
}

macro_rules! plain_fields {
    ($($type:ty => |$self:ident, $encoder:ident| $write:expr;)*) => {$(
        impl Field for $type {
            fn write(&self, $encoder: &mut Encoder<'_>) {
                let $self = self;
                written($write);
            }
        }
    )*};
}

plain_fields! {
    u8 => |it, encoder| encoder.u8(*it);
    u16 => |it, encoder| encoder.u16(*it);
    u32 => |it, encoder| encoder.u32(*it);
    u64 => |it, encoder| encoder.u64(saturated(*it));
    i64 => |it, encoder| encoder.i64((*it).clamp(-INTEGER_MAX, INTEGER_MAX));
    bool => |it, encoder| encoder.bool(*it);
    Address => |it, encoder| encoder.u32(it.0);
    SiteId => |it, encoder| encoder.u32(it.0);
    Code => |it, encoder| encoder.u8(it.number());
    Time => |it, encoder| encoder.u64(saturated(it.0));
    Key => |it, encoder| encoder.bytes(&it.0);
    Name => |it, encoder| encoder.str(it.as_str());
    Title => |it, encoder| encoder.str(it.as_str());
    Text => |it, encoder| encoder.str(it.as_str());
    String => |it, encoder| encoder.str(it);
    [u8; 32] => |it, encoder| encoder.bytes(it);
    [u8; 16] => |it, encoder| encoder.bytes(it);
    Bytes => |it, encoder| encoder.bytes(it);
    Duration => |it, encoder| encoder.u64(saturated(it.as_millis().try_into().unwrap_or(u64::MAX)));
}

impl<T: Field> Field for Vec<T> {
    fn write(&self, encoder: &mut Encoder<'_>) {
        written(encoder.array(self.len() as u64).map(|_| ()));
        for item in self {
            item.write(encoder);
        }
    }
}

impl<'a> MapWriter<'a> {
    pub(crate) fn new(bytes: &'a mut Vec<u8>) -> Self {
        let head_at = bytes.len();
        bytes.push(0xA0);
        MapWriter {
            bytes,
            head_at,
            entries: 0,
            last_key: None,
        }
    }

    pub(crate) fn put(mut self, key: u8, field: &impl Field) -> Self {
        debug_assert!(self.last_key < Some(key), "keys ascend");
        assert!(self.entries < 23, "the head stays one octet");
        self.last_key = Some(key);
        self.entries += 1;
        let mut encoder = Encoder::new(&mut *self.bytes);
        key.write(&mut encoder);
        field.write(&mut encoder);
        self
    }

    pub(crate) fn put_some(self, key: u8, field: &Option<impl Field>) -> Self {
        match field {
            Some(field) => self.put(key, field),
            None => self,
        }
    }

    pub(crate) fn end(self) {
        self.bytes[self.head_at] |= self.entries;
    }
}

/// The fields of a checked map, looked up by key; unknown ones are ignored.
///
/// Keys ascend, and mostly they are asked for in that order, so a look-up goes on from where the
/// last one ended; one that asks for an earlier key begins anew.
pub(crate) struct Fields<'a> {
    /// What follows the map's head.
    entries: &'a [u8],
    count: u64,
    /// The entries that were not passed yet.
    rest: &'a [u8],
    left: u64,
    /// The least key that can be among them.
    key_min: u64,
}

/// A value that can be read from a field.
pub(crate) trait FromField<'a>: Sized {
    /// `None` when the item is of another type or outside its range.
    fn read(item: Item<'a>) -> Option<Self>;
}

macro_rules! readers {
    ($($type:ty => |$item:ident| $read:expr;)*) => {$(
        impl<'a> FromField<'a> for $type {
            #[inline]
            fn read($item: Item<'a>) -> Option<Self> {
                $read
            }
        }
    )*};
}

readers! {
    u8 => |item| item.unsigned()?.try_into().ok();
    u16 => |item| item.unsigned()?.try_into().ok();
    u32 => |item| item.unsigned()?.try_into().ok();
    u64 => |item| item.unsigned();
    i64 => |item| item.signed();
    bool => |item| item.boolean();
    Address => |item| u32::read(item).map(Address);
    SiteId => |item| u32::read(item).filter(|&number| number > 0).map(SiteId);
    Code => |item| u8::read(item).map(Code::from_number);
    Time => |item| u64::read(item).map(Time);
    Key => |item| item.bytes()?.try_into().ok().map(Key);
    [u8; 32] => |item| item.bytes()?.try_into().ok();
    [u8; 16] => |item| item.bytes()?.try_into().ok();
    Name => |item| Name::new(item.text()?).ok();
    Title => |item| Title::new(item.text()?).ok();
    Text => |item| Text::new(item.text()?).ok();
    &'a str => |item| item.text();
    Bytes => |item| item.bytes().map(Bytes::copy_from_slice);
    Duration => |item| item.unsigned().map(Duration::from_millis);
}

impl<'a> Fields<'a> {
    /// Checks the payload and opens its map.
    pub(crate) fn open(payload: &'a [u8]) -> Result<Self, MessageError> {
        cbor::check(payload)?;
        let map = Item::first(payload).and_then(Self::of_checked);
        map.ok_or(MessageError::Cbor(cbor::Fault::NotAMap))
    }

    /// `None` when the item is no map.
    fn of_checked(item: Item<'a>) -> Option<Self> {
        let (count, entries) = item.map()?;
        Some(Fields {
            entries,
            count,
            rest: entries,
            left: count,
            key_min: 0,
        })
    }

    fn find(&mut self, wanted: u8) -> Option<Item<'a>> {
        let wanted = u64::from(wanted);
        if wanted < self.key_min {
            (self.rest, self.left, self.key_min) = (self.entries, self.count, 0);
        }
        while self.left > 0 {
            let key_item = Item::first(self.rest)?;
            let (key, value) = (key_item.unsigned()?, Item::first(key_item.rest())?);
            match key.cmp(&wanted) {
                std::cmp::Ordering::Less => {
                    self.rest = value.rest();
                    self.left -= 1;
                    self.key_min = key + 1;
                }
                std::cmp::Ordering::Equal => return Some(value),
                std::cmp::Ordering::Greater => return None,
            }
        }
        None
    }

    /// A field that may be absent, but is not of another type.
    pub(crate) fn optional<T: FromField<'a>>(
        &mut self,
        key: u8,
    ) -> Result<Option<T>, MessageError> {
        self.find(key)
            .map(|item| T::read(item).ok_or(MessageError::BadField { key }))
            .transpose()
    }

    /// A field that must be there.
    pub(crate) fn required<T: FromField<'a>>(&mut self, key: u8) -> Result<T, MessageError> {
        self.optional(key)?.ok_or(MessageError::BadField { key })
    }

    /// A field that must be there and be one that `is_valid`.
    pub(crate) fn required_where<T: FromField<'a>>(
        &mut self,
        key: u8,
        is_valid: impl FnOnce(&T) -> bool,
    ) -> Result<T, MessageError> {
        let value = self.required(key)?;
        if is_valid(&value) {
            Ok(value)
        } else {
            Err(MessageError::BadField { key })
        }
    }

    /// An array of at most `max` values.
    pub(crate) fn array<T: FromField<'a>>(
        &mut self,
        key: u8,
        max: usize,
    ) -> Result<Option<Vec<T>>, MessageError> {
        let bad = MessageError::BadField { key };
        let Some(item) = self.find(key) else {
            return Ok(None);
        };
        let mut values = Vec::new();
        for item in Items::of(item, max).ok_or(bad.clone())? {
            values.push(T::read(item).ok_or(bad.clone())?);
        }
        Ok(Some(values))
    }

    /// An array of at most `max` maps, each read by `read`.
    pub(crate) fn maps<T>(
        &mut self,
        key: u8,
        max: usize,
        mut read: impl FnMut(&mut Fields<'a>) -> Result<T, MessageError>,
    ) -> Result<Vec<T>, MessageError> {
        let bad = MessageError::BadField { key };
        let item = self.find(key).ok_or(bad.clone())?;
        let mut values = Vec::new();
        for item in Items::of(item, max).ok_or(bad.clone())? {
            let mut fields = Fields::of_checked(item).ok_or(bad.clone())?;
            values.push(read(&mut fields)?);
        }
        Ok(values)
    }

    /// A map inside this one, where there is one.
    pub(crate) fn optional_map(&mut self, key: u8) -> Result<Option<Fields<'a>>, MessageError> {
        self.find(key)
            .map(|item| Fields::of_checked(item).ok_or(MessageError::BadField { key }))
            .transpose()
    }

    /// All entries, in the order of their keys.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (u64, Item<'a>)> + use<'a> {
        let (mut rest, mut left) = (self.entries, self.count);
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let key = Item::first(rest)?;
            let value = Item::first(key.rest())?;
            rest = value.rest();
            Some((key.unsigned()?, value))
        })
    }

    /// A map inside this one.
    pub(crate) fn map(&mut self, key: u8) -> Result<Fields<'a>, MessageError> {
        self.find(key)
            .and_then(Fields::of_checked)
            .ok_or(MessageError::BadField { key })
    }
}

/// The items of a checked array.
struct Items<'a> {
    rest: &'a [u8],
    left: u64,
}

impl<'a> Items<'a> {
    fn of(array: Item<'a>, max: usize) -> Option<Self> {
        let (left, rest) = array.array()?;
        (left <= max as u64).then_some(Items { rest, left })
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        self.left = self.left.checked_sub(1)?;
        let item = Item::first(self.rest)?;
        self.rest = item.rest();
        Some(item)
    }
}
