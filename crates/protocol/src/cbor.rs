//! The gate that every payload passes before a field of it is read (`docs/protocol.md` §3).
//!
//! One pass from left to right over untrusted bytes: no recursion, no allocation, and a fault with
//! a name that the C core and the page give to the same bytes.

use crate::limits::{CBOR_DEPTH_MAX, INTEGER_MAX};

/// The first fault found in a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("expected deterministic CBOR of the narrow profile and found the fault {}", self.name())]
pub enum Fault {
    /// An item promises more bytes than there are.
    Truncated,
    /// Bytes follow the one item.
    Trailing,
    /// The payload does not open a map.
    NotAMap,
    /// An indefinite length, or a break.
    Indefinite,
    /// A head longer than it need be.
    NotShortest,
    /// A float, tag, simple value or reserved head.
    ForbiddenType,
    /// An integer that a JavaScript number would not hold exactly.
    IntegerRange,
    /// A map key that is not an unsigned integer.
    BadKey,
    /// Keys not strictly ascending.
    KeyOrder,
    /// More nesting than a controller's fixed stack holds.
    TooDeep,
    /// Text that is not UTF-8.
    BadText,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Fault; 11] = [
        Fault::Truncated,
        Fault::Trailing,
        Fault::NotAMap,
        Fault::Indefinite,
        Fault::NotShortest,
        Fault::ForbiddenType,
        Fault::IntegerRange,
        Fault::BadKey,
        Fault::KeyOrder,
        Fault::TooDeep,
        Fault::BadText,
    ];

    /// The name in the normative text and in the golden vectors.
    pub const fn name(self) -> &'static str {
        match self {
            Fault::Truncated => "truncated",
            Fault::Trailing => "trailing",
            Fault::NotAMap => "not_a_map",
            Fault::Indefinite => "indefinite",
            Fault::NotShortest => "not_shortest",
            Fault::ForbiddenType => "forbidden_type",
            Fault::IntegerRange => "integer_range",
            Fault::BadKey => "bad_key",
            Fault::KeyOrder => "key_order",
            Fault::TooDeep => "too_deep",
            Fault::BadText => "bad_text",
        }
    }
}

/// Checks that `payload` is exactly one map of the profile.
///
/// # Errors
/// The first [`Fault`] from the left.
pub fn check(payload: &[u8]) -> Result<(), Fault> {
    let first = *payload.first().ok_or(Fault::Truncated)?;
    if first >> 5 != MAP {
        return Err(Fault::NotAMap);
    }
    let rest = check_item(payload)?;
    if rest.is_empty() {
        Ok(())
    } else {
        Err(Fault::Trailing)
    }
}

const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;
const SIMPLE: u8 = 7;

/// An array or map that is open: what it still wants, and how its keys have gone.
#[derive(Clone, Copy)]
struct Open {
    /// Entries, a key and its value being one.
    entries_left: u64,
    is_map: bool,
    /// The least key that may come next.
    key_min: u64,
}

/// Checks one item and gives what follows it.
fn check_item(bytes: &[u8]) -> Result<&[u8], Fault> {
    let mut rest = bytes;
    // Around the item lies something that holds it alone and is no container.
    let mut open = Open {
        entries_left: 1,
        is_map: false,
        key_min: 0,
    };
    let mut around = [open; CBOR_DEPTH_MAX];
    let mut depth = 0;
    loop {
        if open.is_map {
            open.key_min = check_key(&mut rest, open.key_min)? + 1;
        }
        let head = Head::read(&mut rest)?;
        match head.major {
            ARRAY | MAP => {
                if depth == CBOR_DEPTH_MAX {
                    return Err(Fault::TooDeep);
                }
                if head.argument > 0 {
                    around[depth] = open;
                    depth += 1;
                    open = Open {
                        entries_left: head.argument,
                        is_map: head.major == MAP,
                        key_min: 0,
                    };
                    continue;
                }
            }
            BYTES | TEXT => {
                let length = usize::try_from(head.argument).map_err(|_| Fault::Truncated)?;
                let (body, after) = rest.split_at_checked(length).ok_or(Fault::Truncated)?;
                if head.major == TEXT && std::str::from_utf8(body).is_err() {
                    return Err(Fault::BadText);
                }
                rest = after;
            }
            _ => {}
        }
        // One entry is complete, and with it perhaps what it lies in; the outermost closing ends
        // the item.
        loop {
            open.entries_left -= 1;
            if open.entries_left > 0 {
                break;
            }
            let Some(outer) = depth.checked_sub(1) else {
                return Ok(rest);
            };
            depth = outer;
            open = around[outer];
        }
    }
}

/// Checks a map's next key, which must be `min` at least.
#[inline]
fn check_key(rest: &mut &[u8], min: u64) -> Result<u64, Fault> {
    let first = *rest.first().ok_or(Fault::Truncated)?;
    if first >> 5 != UNSIGNED {
        return Err(Fault::BadKey);
    }
    let key = Head::read(rest)?.argument;
    if key < min {
        return Err(Fault::KeyOrder);
    }
    Ok(key)
}

struct Head {
    major: u8,
    argument: u64,
}

impl Head {
    #[inline]
    fn read(rest: &mut &[u8]) -> Result<Self, Fault> {
        let (&first, after) = rest.split_first().ok_or(Fault::Truncated)?;
        let (major, information) = (first >> 5, first & 0x1F);
        // Nearly every head of a payload is one byte.
        if information <= 23 && major < TAG {
            *rest = after;
            let argument = u64::from(information);
            return Ok(Head { major, argument });
        }
        Self::read_longer(rest, major, information, after)
    }

    fn read_longer<'a>(
        rest: &mut &'a [u8],
        major: u8,
        information: u8,
        after: &'a [u8],
    ) -> Result<Self, Fault> {
        let (argument, least, after) = match information {
            0..=23 => (u64::from(information), 0, after),
            24 => argument(after, |[byte]: [u8; 1]| byte.into(), 24)?,
            25 => argument(after, |bytes| u16::from_be_bytes(bytes).into(), 1 << 8)?,
            26 => argument(after, |bytes| u32::from_be_bytes(bytes).into(), 1 << 16)?,
            27 => argument(after, u64::from_be_bytes, 1 << 32)?,
            31 => return Err(Fault::Indefinite),
            _ => return Err(Fault::ForbiddenType),
        };
        *rest = after;
        match major {
            SIMPLE if matches!(information, 20..=22) => return Ok(Head { major, argument }),
            TAG | SIMPLE => return Err(Fault::ForbiddenType),
            _ if argument < least => return Err(Fault::NotShortest),
            _ => {}
        }
        let max = INTEGER_MAX as u64;
        if major == UNSIGNED && argument > max || major == NEGATIVE && argument > max - 1 {
            return Err(Fault::IntegerRange);
        }
        Ok(Head { major, argument })
    }
}

/// The argument behind a head's first byte, the least that is worth this many bytes, and the rest.
#[inline]
fn argument<const BYTES: usize>(
    after: &[u8],
    number: impl FnOnce([u8; BYTES]) -> u64,
    least: u64,
) -> Result<(u64, u64, &[u8]), Fault> {
    let (bytes, after) = after.split_first_chunk().ok_or(Fault::Truncated)?;
    Ok((number(*bytes), least, after))
}

/// An unsigned integer at the front of bytes that have *not* been checked, and what follows it.
/// `None` for everything else and for whatever [`check`] would refuse, which is then to name it.
#[inline]
pub(crate) fn plain_unsigned(bytes: &[u8]) -> Option<(u64, &[u8])> {
    match *bytes {
        [number @ 0..=23, ref rest @ ..] => Some((number.into(), rest)),
        _ => longer_unsigned(bytes),
    }
}

#[inline]
fn longer_unsigned(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, least, rest) = match *bytes {
        [0x18, a, ref rest @ ..] => (u64::from(a), 24, rest),
        [0x19, a, b, ref rest @ ..] => (u16::from_be_bytes([a, b]).into(), 1 << 8, rest),
        [0x1A, a, b, c, d, ref rest @ ..] => {
            (u32::from_be_bytes([a, b, c, d]).into(), 1 << 16, rest)
        }
        [0x1B, a, b, c, d, e, f, g, h, ref rest @ ..] => {
            let number = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
            (number, 1 << 32, rest)
        }
        _ => return None,
    };
    (least..=INTEGER_MAX as u64)
        .contains(&number)
        .then_some((number, rest))
}

/// The same of an integer that may be negative.
#[inline]
pub(crate) fn plain_integer(bytes: &[u8]) -> Option<(i64, &[u8])> {
    if let [0x00..=0x1F, ..] = bytes {
        let (number, rest) = plain_unsigned(bytes)?;
        return Some((number as i64, rest));
    }
    let item = Item::first(bytes).filter(|item| item.major == NEGATIVE)?;
    Some((item.signed()?, item.after))
}

/// The same of a text.
#[inline]
pub(crate) fn plain_text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = match *bytes {
        [head @ 0x60..=0x77, ref rest @ ..] => (usize::from(head & 0x1F), rest),
        [0x78, length @ 24..=255, ref rest @ ..] => (usize::from(length), rest),
        _ => return None,
    };
    let (body, rest) = rest.split_at_checked(length)?;
    Some((std::str::from_utf8(body).ok()?, rest))
}

/// The same of a boolean.
#[inline]
pub(crate) fn plain_boolean(bytes: &[u8]) -> Option<(bool, &[u8])> {
    match *bytes {
        [head @ 0xF4..=0xF5, ref rest @ ..] => Some((head == 0xF5, rest)),
        _ => None,
    }
}

/// What follows a key of one byte, where that is the next one.
#[inline]
pub(crate) fn after_key(key: u8, bytes: &[u8]) -> Option<&[u8]> {
    match *bytes {
        [found, ref rest @ ..] if found == key => Some(rest),
        _ => None,
    }
}

/// An item of a payload that has passed [`check`].
#[derive(Clone, Copy)]
pub(crate) struct Item<'a> {
    major: u8,
    argument: u64,
    /// What follows the head: the item's own body, and then what follows the item.
    after: &'a [u8],
}

impl<'a> Item<'a> {
    /// The item at the front of `bytes`; `None` at their end.
    #[inline]
    pub(crate) fn first(bytes: &'a [u8]) -> Option<Self> {
        let mut after = bytes;
        let Head { major, argument } = Head::read(&mut after).ok()?;
        Some(Item {
            major,
            argument,
            after,
        })
    }

    /// What follows the whole item.
    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        match self.major {
            BYTES | TEXT => self.after.get(self.argument as usize..).unwrap_or_default(),
            ARRAY | MAP => self.rest_of_nested(),
            _ => self.after,
        }
    }

    fn rest_of_nested(&self) -> &'a [u8] {
        let mut rest = self.after;
        let mut left = self.inner();
        while left > 0 {
            let Some(item) = Item::first(rest) else {
                return &[];
            };
            left = left - 1 + item.inner();
            rest = match item.major {
                ARRAY | MAP => item.after,
                _ => item.rest(),
            };
        }
        rest
    }

    /// How many items lie right in this one. Each of them was seen, so they are few.
    fn inner(&self) -> u64 {
        match self.major {
            ARRAY => self.argument,
            MAP => 2 * self.argument,
            _ => 0,
        }
    }

    pub(crate) fn unsigned(&self) -> Option<u64> {
        (self.major == UNSIGNED).then_some(self.argument)
    }

    pub(crate) fn signed(&self) -> Option<i64> {
        match self.major {
            UNSIGNED => i64::try_from(self.argument).ok(),
            NEGATIVE => Some(-1 - i64::try_from(self.argument).ok()?),
            _ => None,
        }
    }

    pub(crate) fn boolean(&self) -> Option<bool> {
        match (self.major, self.argument) {
            (SIMPLE, 20) => Some(false),
            (SIMPLE, 21) => Some(true),
            _ => None,
        }
    }

    pub(crate) fn bytes(&self) -> Option<&'a [u8]> {
        self.body(BYTES)
    }

    pub(crate) fn text(&self) -> Option<&'a str> {
        std::str::from_utf8(self.body(TEXT)?).ok()
    }

    fn body(&self, major: u8) -> Option<&'a [u8]> {
        let is_one = self.major == major;
        self.after.get(..self.argument as usize).filter(|_| is_one)
    }

    /// The number of entries, and what follows the head.
    pub(crate) fn map(&self) -> Option<(u64, &'a [u8])> {
        (self.major == MAP).then_some((self.argument, self.after))
    }

    /// The same of an array.
    pub(crate) fn array(&self) -> Option<(u64, &'a [u8])> {
        (self.major == ARRAY).then_some((self.argument, self.after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hex(text: &str) -> Vec<u8> {
        let text: String = text.split_whitespace().collect();
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    }

    #[test]
    fn names_the_first_fault() {
        for (text, expected) in [
            ("a0", Ok(())),
            ("a1 00 01", Ok(())),
            ("a3 00 f4 01 f5 02 f6", Ok(())),
            ("a1 00 81 a1 00 a1 00 01", Ok(())),
            ("", Err(Fault::Truncated)),
            ("80", Err(Fault::NotAMap)),
            ("bf", Err(Fault::Indefinite)),
            ("a1", Err(Fault::Truncated)),
            ("a1 00", Err(Fault::Truncated)),
            ("a0 00", Err(Fault::Trailing)),
            ("a1 00 18 17", Err(Fault::NotShortest)),
            ("a1 00 fa 00000000", Err(Fault::ForbiddenType)),
            ("a1 00 fa 0000", Err(Fault::Truncated)),
            ("a1 00 c0 00", Err(Fault::ForbiddenType)),
            ("a1 00 f7", Err(Fault::ForbiddenType)),
            ("a1 00 1c", Err(Fault::ForbiddenType)),
            ("a1 00 1b 0020000000000000", Err(Fault::IntegerRange)),
            ("a1 00 1b 001fffffffffffff", Ok(())),
            ("a1 00 3b 001ffffffffffffe", Ok(())),
            ("a1 00 3b 001fffffffffffff", Err(Fault::IntegerRange)),
            ("a1 60 00", Err(Fault::BadKey)),
            ("a2 01 00 00 00", Err(Fault::KeyOrder)),
            ("a2 01 00 01 00", Err(Fault::KeyOrder)),
            ("a1 00 81 81 81 00", Ok(())),
            ("a1 00 81 81 81 80", Err(Fault::TooDeep)),
            ("a1 00 61 ff", Err(Fault::BadText)),
            ("a1 00 62 61", Err(Fault::Truncated)),
            ("bb ffffffffffffffff", Err(Fault::Truncated)),
            ("a1 00 9b ffffffffffffffff 00", Err(Fault::Truncated)),
            ("a1 00 5b ffffffffffffffff", Err(Fault::Truncated)),
        ] {
            assert_eq!(check(&hex(text)), expected, "{text}");
        }
    }

    /// The same check, written down as the text has it, one rule after the other.
    mod straightforward {
        use super::super::*;

        pub(super) fn check(payload: &[u8]) -> Result<(), Fault> {
            let first = *payload.first().ok_or(Fault::Truncated)?;
            if first >> 5 != MAP {
                return Err(Fault::NotAMap);
            }
            match check_item(payload)? {
                [] => Ok(()),
                _ => Err(Fault::Trailing),
            }
        }

        /// An array or map that is open: what it still wants, and how its keys have gone.
        #[derive(Clone, Copy)]
        struct Open {
            entries_left: u64,
            is_map: bool,
            /// The next item is a value: its key has been read.
            value_next: bool,
            last_key: Option<u64>,
        }

        /// Checks one item and gives what follows it.
        fn check_item(bytes: &[u8]) -> Result<&[u8], Fault> {
            let mut rest = bytes;
            let mut stack = [Open {
                entries_left: 0,
                is_map: false,
                value_next: false,
                last_key: None,
            }; CBOR_DEPTH_MAX];
            let mut depth = 0;
            loop {
                if depth > 0 && stack[depth - 1].is_map && !stack[depth - 1].value_next {
                    rest = check_key(rest, &mut stack[depth - 1])?;
                }
                let head = Head::read(&mut rest)?;
                match head.major {
                    ARRAY | MAP => {
                        if depth == CBOR_DEPTH_MAX {
                            return Err(Fault::TooDeep);
                        }
                        stack[depth] = Open {
                            entries_left: head.argument,
                            is_map: head.major == MAP,
                            value_next: false,
                            last_key: None,
                        };
                        depth += 1;
                    }
                    BYTES | TEXT => {
                        let length =
                            usize::try_from(head.argument).map_err(|_| Fault::Truncated)?;
                        let body = rest.get(..length).ok_or(Fault::Truncated)?;
                        if head.major == TEXT && std::str::from_utf8(body).is_err() {
                            return Err(Fault::BadText);
                        }
                        rest = &rest[length..];
                        end_of_entry(&mut stack, depth);
                    }
                    _ => end_of_entry(&mut stack, depth),
                }
                // Close whatever is complete; the outermost closing ends the item.
                while depth > 0 && stack[depth - 1].entries_left == 0 {
                    depth -= 1;
                    end_of_entry(&mut stack, depth);
                }
                if depth == 0 {
                    return Ok(rest);
                }
            }
        }

        fn check_key<'a>(bytes: &'a [u8], open: &mut Open) -> Result<&'a [u8], Fault> {
            let first = *bytes.first().ok_or(Fault::Truncated)?;
            if first >> 5 != UNSIGNED {
                return Err(Fault::BadKey);
            }
            let mut rest = bytes;
            let key = Head::read(&mut rest)?.argument;
            if open.last_key.is_some_and(|last| key <= last) {
                return Err(Fault::KeyOrder);
            }
            open.last_key = Some(key);
            open.value_next = true;
            Ok(rest)
        }

        /// Notes in the innermost open container that one entry is complete.
        fn end_of_entry(stack: &mut [Open; CBOR_DEPTH_MAX], depth: usize) {
            if let Some(open) = depth.checked_sub(1).map(|top| &mut stack[top]) {
                open.entries_left -= 1;
                open.value_next = false;
            }
        }

        struct Head {
            major: u8,
            argument: u64,
        }

        impl Head {
            fn read(rest: &mut &[u8]) -> Result<Self, Fault> {
                let first = *rest.first().ok_or(Fault::Truncated)?;
                let (major, information) = (first >> 5, first & 0x1F);
                let argument_bytes = match information {
                    0..=23 => 0,
                    24..=27 => 1 << (information - 24),
                    31 => return Err(Fault::Indefinite),
                    _ => return Err(Fault::ForbiddenType),
                };
                let argument = rest.get(1..1 + argument_bytes).ok_or(Fault::Truncated)?;
                let argument = match argument_bytes {
                    0 => u64::from(information),
                    _ => argument
                        .iter()
                        .fold(0, |sum, &byte| sum << 8 | u64::from(byte)),
                };
                *rest = &rest[1 + argument_bytes..];
                match major {
                    SIMPLE if matches!(information, 20..=22) => {
                        return Ok(Head { major, argument });
                    }
                    TAG | SIMPLE => return Err(Fault::ForbiddenType),
                    _ => {}
                }
                let shortest = match argument_bytes {
                    0 => true,
                    1 => argument > 23,
                    2 => argument > 0xFF,
                    4 => argument > 0xFFFF,
                    _ => argument > 0xFFFF_FFFF,
                };
                if !shortest {
                    return Err(Fault::NotShortest);
                }
                let max = INTEGER_MAX as u64;
                if major == UNSIGNED && argument > max || major == NEGATIVE && argument > max - 1 {
                    return Err(Fault::IntegerRange);
                }
                Ok(Head { major, argument })
            }
        }
    }

    /// Bytes that go deep: heads of every kind, and bodies that are mostly as long as they say.
    fn nearly_cbor() -> impl Strategy<Value = Vec<u8>> {
        let item = prop_oneof![
            4 => (0..24_u8).prop_map(|byte| vec![byte]),
            2 => (0..8_u8, 0..4_u8).prop_map(|(major, small)| vec![major << 5 | small]),
            1 => (0..8_u8, any::<u8>()).prop_map(|(major, byte)| vec![major << 5 | 24, byte]),
            1 => (0..8_u8, any::<u16>()).prop_map(|(major, number)| {
                let [a, b] = number.to_be_bytes();
                vec![major << 5 | 25, a, b]
            }),
            1 => (0..2_u8, any::<u64>(), 0..64_u32).prop_map(|(major, number, shift)| {
                [&[major << 5 | 27][..], &(number >> shift).to_be_bytes()].concat()
            }),
            1 => "[ -~é]{0,30}".prop_map(|text| [&[0x78, text.len() as u8], text.as_bytes()].concat()),
            1 => Just(vec![0xF5]),
            1 => any::<u8>().prop_map(|byte| vec![byte]),
        ];
        let maps = (1..6_u8, proptest::collection::vec(item, 0..24));
        maps.prop_map(|(count, items)| [vec![0xA0 | count], items.concat()].concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_096))]

        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = check(&bytes);
        }

        #[test]
        fn any_bytes_are_judged_as_the_text_has_it(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            prop_assert_eq!(check(&bytes), straightforward::check(&bytes));
        }

        #[test]
        fn near_payloads_are_judged_as_the_text_has_it(bytes in nearly_cbor()) {
            prop_assert_eq!(check(&bytes), straightforward::check(&bytes));
        }
    }
}
