//! Texts that nobody can guess: tags, branches, Call-IDs, cnonces. The chance comes in once, so that a test can
//! have the same ones every time.

use std::fmt::Write as _;

/// A source of them: each is the digest of a secret and a count.
#[derive(Clone)]
pub(crate) struct Tokens {
    secret: [u8; 32],
    count: u64,
}

/// Letters of one token: 96 bits.
const TOKEN_BYTES: usize = 12;

impl Tokens {
    pub(crate) fn new(secret: [u8; 32]) -> Self {
        Tokens { secret, count: 0 }
    }

    /// The next one, of 24 hexadecimal digits.
    pub(crate) fn token(&mut self) -> String {
        hex(&self.next_digest()[..TOKEN_BYTES])
    }

    /// A branch of a Via, with the sign that it is unique (RFC 3261 section 8.1.1.7).
    pub(crate) fn branch(&mut self) -> String {
        format!("z9hG4bK{}", self.token())
    }

    /// A number drawn by chance.
    pub(crate) fn number(&mut self) -> u32 {
        let digest = self.next_digest();
        u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
    }

    fn next_digest(&mut self) -> [u8; 32] {
        self.count += 1;
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        context.update(&self.secret);
        context.update(&self.count.to_be_bytes());
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        digest
    }
}

/// Bytes in hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_differs_and_the_same_secret_gives_the_same() {
        let mut one = Tokens::new([1; 32]);
        let mut again = Tokens::new([1; 32]);
        let first = one.token();
        assert_eq!(first, again.token());
        assert_ne!(first, one.token());
        assert_ne!(first, Tokens::new([2; 32]).token());
        assert_eq!(first.len(), 2 * TOKEN_BYTES);
    }
}
