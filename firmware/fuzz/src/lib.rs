//! What the targets share.

/// A fuzzer's bytes, taken one choice after the other; 0 once they are used up.
pub struct Choices<'a>(pub &'a [u8]);

impl Choices<'_> {
    /// Whether all are used up.
    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    /// The next four bytes as a number.
    pub fn number(&mut self) -> i32 {
        i32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }
}
