//! Noise records (`docs/protocol.md` §4.1): `u16` length, ciphertext, tag.
//!
//! The handshake is `snow`'s. What is left of it here are two keys and two counters, 88 bytes: the
//! cipher itself is set up anew for each record, which costs less than fetching a ready one from
//! memory for each of ten thousand idle controllers.

use super::Step;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use switchyard_protocol::{Code, limits};

/// Records that one direction may carry; the next one closes the link.
const RECORDS_MAX: u64 = 1 << 32;
/// Bytes of a record's length.
const LENGTH_BYTES: usize = 2;

/// One direction's key, and how many records it has carried.
struct Direction {
    key: [u8; 32],
    records: u64,
}

impl Direction {
    /// The cipher, and the nonce of the next record: four zero bytes and the count, little-endian
    /// (the Noise framework, §12.3).
    fn next(&mut self) -> Option<(LessSafeKey, Nonce)> {
        if self.records >= RECORDS_MAX {
            return None;
        }
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&self.records.to_le_bytes());
        self.records += 1;
        let key = UnboundKey::new(&CHACHA20_POLY1305, &self.key).ok()?;
        Some((LessSafeKey::new(key), Nonce::assume_unique_for_key(nonce)))
    }
}

/// A proven controller's link.
pub(crate) struct NoiseWire {
    receive: Direction,
    send: Direction,
    record_bytes_max: u16,
}

impl std::fmt::Debug for NoiseWire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NoiseWire(***)")
    }
}

impl NoiseWire {
    /// The link after its handshake: the responder receives with the first key and sends with the
    /// second.
    pub(crate) fn new(receive: [u8; 32], send: [u8; 32], record_bytes_max: u16) -> Self {
        let direction = |key| Direction { key, records: 0 };
        NoiseWire {
            receive: direction(receive),
            send: direction(send),
            record_bytes_max,
        }
    }

    fn record_bytes_max(&self) -> usize {
        usize::from(self.record_bytes_max)
    }

    /// The largest payload of a frame.
    pub(crate) fn payload_bytes_max(&self) -> usize {
        self.frame_bytes_max() - limits::HEADER_BYTES
    }

    /// The largest frame.
    pub(crate) fn frame_bytes_max(&self) -> usize {
        self.record_bytes_max() - limits::RECORD_TAG_BYTES
    }

    /// The next record in `data` from `at` on, decrypted where it lies; see
    /// [`Wire::next`](super::Wire::next).
    ///
    /// # Errors
    /// [`Code::TooLarge`], [`Code::Malformed`], [`Code::BadRecord`].
    pub(crate) fn next(&mut self, data: &mut [u8], at: &mut usize) -> Result<Step, Code> {
        let Some(&head) = data[*at..].first_chunk() else {
            return Ok(Step::Incomplete);
        };
        let length = usize::from(u16::from_be_bytes(head));
        if length > self.record_bytes_max() {
            return Err(Code::TooLarge);
        }
        if length <= limits::RECORD_TAG_BYTES {
            return Err(Code::Malformed);
        }
        let start = *at + LENGTH_BYTES;
        let Some(record) = data.get_mut(start..start + length) else {
            return Ok(Step::Incomplete);
        };
        let (key, nonce) = self.receive.next().ok_or(Code::BadRecord)?;
        let plain = key.open_in_place(nonce, Aad::empty(), record);
        let plain_bytes = plain.map_err(|_| Code::BadRecord)?.len();
        *at = start + length;
        Ok(Step::Frames(start..start + plain_bytes))
    }

    /// Appends one record of any content to `wire`: what a controller could say that knows no rules.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn seal(&mut self, plain: &[u8], wire: &mut Vec<u8>) {
        let (key, nonce) = self.send.next().expect("few records");
        let length = plain.len() + limits::RECORD_TAG_BYTES;
        wire.extend_from_slice(&(length as u16).to_be_bytes());
        let start = wire.len();
        wire.extend_from_slice(plain);
        let tag = key.seal_in_place_separate_tag(nonce, Aad::empty(), &mut wire[start..]);
        wire.extend_from_slice(tag.expect("a short record").as_ref());
    }

    /// Appends `frames`, all whole, to `wire` as records, each as full as frames allow.
    ///
    /// # Errors
    /// [`Code::LinkLost`] when this direction has carried all that it may.
    pub(crate) fn wrap(&mut self, frames: &[u8], wire: &mut Vec<u8>) -> Result<(), Code> {
        let plain_bytes_max = self.frame_bytes_max();
        let mut rest = frames;
        while !rest.is_empty() {
            let plain_bytes = super::whole_frames_up_to(rest, plain_bytes_max);
            if plain_bytes == 0 {
                // The relay refuses what this controller cannot take; one that slips through is
                // better lost than half-sent.
                let bytes = super::frame_bytes(rest);
                tracing::warn!(bytes, "dropped a frame that exceeds the record");
                rest = &rest[bytes..];
                continue;
            }
            let (plain, after) = rest.split_at(plain_bytes);
            rest = after;
            let (key, nonce) = self.send.next().ok_or(Code::LinkLost)?;
            let length = plain_bytes + limits::RECORD_TAG_BYTES;
            wire.extend_from_slice(&(length as u16).to_be_bytes());
            let start = wire.len();
            wire.extend_from_slice(plain);
            let tag = key
                .seal_in_place_separate_tag(nonce, Aad::empty(), &mut wire[start..])
                .map_err(|_| Code::Internal)?;
            wire.extend_from_slice(tag.as_ref());
        }
        Ok(())
    }
}
