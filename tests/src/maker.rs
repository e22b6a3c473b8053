//! Somebody who makes updates for the virtual board.

use crate::Keeper;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use std::fmt::Write as _;

/// See the module.
pub struct Maker(Ed25519KeyPair);

impl Default for Maker {
    fn default() -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]);
        Maker(pair.unwrap_or_else(|error| unreachable!("32 bytes are a seed: {error}")))
    }
}

impl Maker {
    /// What controllers know it by, in hexadecimal digits.
    pub fn public_key(&self) -> String {
        let mut digits = String::new();
        for byte in self.0.public_key().as_ref() {
            let _ = write!(digits, "{byte:02x}");
        }
        digits
    }

    /// An image for a slot with its signed manifest before it.
    pub fn update(&self, slot: u8, version: u32, image: &[u8]) -> Vec<u8> {
        let mut update = b"SWF1".to_vec();
        update.extend([slot, 0, 0, 0]);
        update.extend(version.to_be_bytes());
        update.extend([0; 4]);
        update.extend((image.len() as u32).to_be_bytes());
        update.extend(b"virtual\0\0\0\0\0\0\0\0\0\0\0\0\0");
        update.extend(Keeper::digest_of(image));
        let signature = self.0.sign(&update);
        update.extend_from_slice(signature.as_ref());
        update.extend_from_slice(image);
        update
    }
}
