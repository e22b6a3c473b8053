//! MD5, by which the loader's stub compares: against accidents, not against people.

use md5::{Digest as _, Md5};

/// The digest of some bytes.
pub(crate) fn md5(bytes: &[u8]) -> [u8; 16] {
    Md5::digest(bytes).into()
}
