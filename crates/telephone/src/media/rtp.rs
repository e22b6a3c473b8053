//! Packets of sound (RFC 3550 section 5.1).

/// The longest packet that is read: what fits into a frame of a local network.
pub const PACKET_BYTES_MAX: usize = 1_500;
/// What every packet has before its payload.
const HEADER_BYTES: usize = 12;
/// The protocol's version, in the first two bits.
const VERSION: u8 = 2;

/// A packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Says that something begins: sound after a silence, a key.
    pub marker: bool,
    /// What the payload is.
    pub payload_type: u8,
    /// Counts packets, and wraps.
    pub sequence: u16,
    /// Counts samples, and wraps.
    pub timestamp: u32,
    /// Who sends.
    pub source: u32,
    /// What it is all about.
    pub payload: Vec<u8>,
}

/// Bytes that are no packet of sound. RTCP's are neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an RTP packet")]
pub struct PacketError;

impl Packet {
    /// Reads one.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, PacketError> {
        let (header, rest) = bytes
            .split_first_chunk::<HEADER_BYTES>()
            .ok_or(PacketError)?;
        if header[0] >> 6 != VERSION || bytes.len() > PACKET_BYTES_MAX {
            return Err(PacketError);
        }
        // 64 to 95 are RTCP's where both come to one place (RFC 5761 section 4).
        let payload_type = header[1] & 0x7f;
        if (64..=95).contains(&payload_type) {
            return Err(PacketError);
        }
        let contributors = usize::from(header[0] & 0x0f) * 4;
        let mut rest = rest.get(contributors..).ok_or(PacketError)?;
        if header[0] & 0x10 != 0 {
            let (extension, behind) = rest.split_first_chunk::<4>().ok_or(PacketError)?;
            let words = usize::from(u16::from_be_bytes([extension[2], extension[3]]));
            rest = behind.get(words * 4..).ok_or(PacketError)?;
        }
        if header[0] & 0x20 != 0 {
            let padding = usize::from(*rest.last().ok_or(PacketError)?);
            if padding == 0 || padding > rest.len() {
                return Err(PacketError);
            }
            rest = &rest[..rest.len() - padding];
        }
        Ok(Packet {
            marker: header[1] & 0x80 != 0,
            payload_type,
            sequence: u16::from_be_bytes([header[2], header[3]]),
            timestamp: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
            source: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
            payload: rest.to_vec(),
        })
    }

    /// The packet as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.payload.len());
        bytes.push(VERSION << 6);
        bytes.push(u8::from(self.marker) << 7 | self.payload_type & 0x7f);
        bytes.extend_from_slice(&self.sequence.to_be_bytes());
        bytes.extend_from_slice(&self.timestamp.to_be_bytes());
        bytes.extend_from_slice(&self.source.to_be_bytes());
        bytes.extend_from_slice(&self.payload);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn contributors_extensions_and_padding_are_left_out() {
        let bytes = [
            0xb1, 0x80, 0, 1, 0, 0, 0, 2, 0, 0, 0,
            3, // header: padding, extension, one contributor
            9, 9, 9, 9, // contributor
            0, 0, 0, 1, 8, 8, 8, 8, // extension of one word
            0xaa, 0xbb, 0, 2, // payload, padding
        ];
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet.payload, [0xaa, 0xbb]);
        assert!(packet.marker);
        assert_eq!(
            (packet.sequence, packet.timestamp, packet.source),
            (1, 2, 3)
        );
        for cut in 0..bytes.len() - 4 {
            let _ = Packet::parse(&bytes[..cut]);
        }
        for (place, value) in [(0, 0x40), (1, 72), (27, 0), (27, 9), (0, 0xbf)] {
            let mut broken = bytes;
            broken[place] = value;
            assert_eq!(Packet::parse(&broken), Err(PacketError), "{place} {value}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(packet) = Packet::parse(&bytes) {
                prop_assert_eq!(Packet::parse(&packet.to_bytes()), Ok(packet));
            }
        }
    }
}
