//! The controller's own 32-byte key, which must not be seen in logs.

use std::{collections::BTreeMap, fmt, str::FromStr};

use switchyard_protocol::Address;

/// A controller's pre-shared key. Its `Debug` is a mask.
#[derive(Clone, PartialEq, Eq)]
pub struct ControllerKey([u8; 32]);

impl ControllerKey {
    /// Takes the bytes as they are.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The secret itself.
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for ControllerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ControllerKey(…)")
    }
}

/// Why a text holds no key. Never repeats what was found: it may be most of a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not 64 hexadecimal digits.
    #[error("expected a key of 64 hexadecimal digits")]
    NotHex,
    /// A line of a key file is not an address and a key.
    #[error(
        "line {line} of the key file: expected `ADDRESS KEY`, a controller's address and 64 hexadecimal digits"
    )]
    Line {
        /// Counted from 1.
        line: usize,
    },
    /// An address stands in a key file twice.
    #[error("line {line} of the key file: No. {address} has a key already")]
    Twice {
        /// Counted from 1.
        line: usize,
        /// The address.
        address: Address,
    },
}

impl FromStr for ControllerKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let digits = text.trim().as_bytes();
        if digits.len() != 64 {
            return Err(KeyError::NotHex);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |at: u8| char::from(at).to_digit(16).ok_or(KeyError::NotHex);
            *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?)
                .map_err(|_| KeyError::NotHex)?;
        }
        Ok(Self(bytes))
    }
}

/// Reads a key file: a line for each controller, its address and its key, separated by spaces or
/// a comma. Empty lines and lines that begin with `#` are passed over.
pub fn parse_keys(text: &str) -> Result<BTreeMap<Address, ControllerKey>, KeyError> {
    let mut keys = BTreeMap::new();
    for (index, content) in text.lines().enumerate() {
        let line = index + 1;
        let content = content.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let (address, key) = content
            .split_once([' ', '\t', ','])
            .and_then(|(address, key)| {
                let address: Address = address.trim().parse().ok()?;
                Some((address, key.parse::<ControllerKey>().ok()?))
            })
            .filter(|(address, _)| address.is_controller())
            .ok_or(KeyError::Line { line })?;
        if keys.insert(address, key).is_some() {
            return Err(KeyError::Twice { line, address });
        }
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F";

    #[test]
    fn reads_hex_and_masks_it() {
        let key: ControllerKey = HEX.parse().unwrap();
        assert_eq!(key.bytes()[31], 0x1f);
        assert_eq!(format!("{key:?}"), "ControllerKey(…)");
        for bad in [
            "",
            "00",
            &HEX[1..],
            &HEX.replace('1', "g"),
            &format!("{HEX}00"),
        ] {
            assert_eq!(bad.parse::<ControllerKey>(), Err(KeyError::NotHex));
        }
    }

    #[test]
    fn reads_a_key_file() {
        let keys = parse_keys(&format!("# two\n100042 {HEX}\n\n100043, {HEX}\n")).unwrap();
        assert_eq!(
            keys.keys().copied().collect::<Vec<_>>(),
            [Address(100_042), Address(100_043)]
        );
        for (text, line) in [
            (format!("0 {HEX}"), 1),
            (format!("\n3000000000 {HEX}"), 2),
            ("100042".to_owned(), 1),
            ("100042 00".to_owned(), 1),
        ] {
            assert_eq!(parse_keys(&text), Err(KeyError::Line { line }));
        }
        assert_eq!(
            parse_keys(&format!("5 {HEX}\n5 {HEX}")),
            Err(KeyError::Twice {
                line: 2,
                address: Address(5)
            })
        );
    }
}
