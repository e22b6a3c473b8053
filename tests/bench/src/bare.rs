//! The bare protocol of the reference relays: Switchyard's 16-byte header and nothing else of it.
//!
//! - *hello* to 0: registers the source.
//! - *query* to 0, payload `u32` address: the source wants that controller's status.
//! - *status delta* to 0: goes to all who want the source's status.
//! - anything to another address goes there; a peer that gets its own ping back is registered.

use switchyard_protocol::{Address, Header, Kind, limits::HEADER_BYTES};

/// Where the payload's length stands in a header.
const LENGTH_AT: usize = 2;
/// Where the correlation id stands in a header.
pub const CORRELATION_AT: usize = 4;
/// Where the source stands in a header.
pub const SOURCE_AT: usize = 8;
/// Where the destination stands in a header.
pub const DESTINATION_AT: usize = 12;

/// The kind of a frame that registers.
pub const HELLO: u8 = Kind::Hello as u8;
/// The kind of a frame that asks for a controller's status.
pub const WATCH: u8 = Kind::Query as u8;
/// The kind of a frame that goes to all who asked for it.
pub const STATUS: u8 = Kind::StatusDelta as u8;

/// The big-endian number at a place.
///
/// # Panics
/// When there are fewer than four bytes.
pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// How long the frame is that `bytes` begin with, once its header is there.
pub fn frame_bytes(bytes: &[u8]) -> Option<usize> {
    (bytes.len() >= HEADER_BYTES).then(|| {
        let payload = u16::from_be_bytes([bytes[LENGTH_AT], bytes[LENGTH_AT + 1]]);
        HEADER_BYTES + usize::from(payload)
    })
}

/// Appends a frame.
///
/// # Panics
/// When the payload is above 65,535 bytes.
pub fn put(
    kind: Kind,
    correlation: u32,
    source: u32,
    destination: u32,
    payload: &[u8],
    out: &mut Vec<u8>,
) {
    let payload_bytes =
        u16::try_from(payload.len()).unwrap_or_else(|_| panic!("payload of {}", payload.len()));
    let header = Header {
        kind,
        flags: switchyard_protocol::Flags::NONE,
        payload_bytes,
        correlation,
        source: Address(source),
        destination: Address(destination),
    };
    out.extend_from_slice(&header.encode());
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let mut bytes = Vec::new();
        put(Kind::StatusDelta, 7, 1, 0x8000_0002, b"abc", &mut bytes);
        assert_eq!(frame_bytes(&bytes), Some(HEADER_BYTES + 3));
        assert_eq!(frame_bytes(&bytes[..HEADER_BYTES - 1]), None);
        assert_eq!(bytes[0], STATUS);
        assert_eq!(u32_at(&bytes, CORRELATION_AT), 7);
        assert_eq!(u32_at(&bytes, SOURCE_AT), 1);
        assert_eq!(u32_at(&bytes, DESTINATION_AT), 0x8000_0002);
    }
}
