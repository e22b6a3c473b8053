//! Bytes as hexadecimal digits.

use std::fmt::Write as _;

/// Two lowercase digits for each byte.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The bytes of such digits, large or small; `None` for anything else.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    // What reads numbers takes a sign, too.
    if digits.len() % 2 == 1 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let pairs = digits.chunks_exact(2);
    let bytes = pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok());
    bytes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_is_itself_again() {
        assert_eq!(
            decode(&encode(&[0, 1, 0xab, 255])),
            Some(vec![0, 1, 0xab, 255])
        );
        assert_eq!(decode("AbcD"), Some(vec![0xab, 0xcd]));
        for text in ["1", "zz", "0g", "ä0", "+1"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
