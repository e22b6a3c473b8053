//! What goes over a board's serial line (`docs/serial.md`): packets of the Improv Serial standard, the
//! standard's own commands, and requests and answers of ours beside them.
//!
//! Pure, as the rest of the crate: a [`Parser`] takes bytes and gives packets and what lies between them; the
//! rest makes data of packets and reads it.
//!
//! ```
//! use switchyard_protocol::serial::{Answer, Packet, Parser, Received, Request, Verb};
//!
//! let line = Packet::request(7, &Request::Describe).encode();
//! let received = Parser::default().receive(&line);
//! let [Received::Packet(packet)] = received.as_slice() else { panic!("a packet") };
//! assert_eq!(Request::decode(&packet.data).unwrap(), (7, Request::Describe));
//! ```

mod answer;
mod improv;
mod packet;
mod request;

pub use answer::{Answer, Body, Compiled, Description, WifiState};
pub use improv::{Command, CommandError, ImprovError, ImprovState, improv_result, read_result};
pub use packet::{DATA_BYTES_MAX, Packet, PacketType, Parser, QUIET_MAX, Received};
pub use request::{Password, Request, Setting, SettingValue, TrialStep, Verb};

use crate::message::MessageError;

/// Why the data of a request or an answer is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SerialError {
    /// The checksum at its end is another one: it was changed on its way, and nothing in it may be believed.
    #[error("expected data that its checksum fits")]
    Damaged,
    /// It arrived as it was sent, and is none of ours.
    #[error(transparent)]
    Message(#[from] MessageError),
}

/// Bytes of the checksum behind the map.
const CHECKSUM_BYTES: usize = 4;

/// CRC-32 of IEEE 802.3.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & 0u32.wrapping_sub(crc & 1))
        })
    })
}

/// A map with its checksum behind it.
fn sealed(mut map: Vec<u8>) -> Vec<u8> {
    let crc = crc32(&map);
    map.extend_from_slice(&crc.to_be_bytes());
    map
}

/// The map in data whose checksum is right.
fn unsealed(data: &[u8]) -> Result<&[u8], SerialError> {
    match data.split_last_chunk::<CHECKSUM_BYTES>() {
        Some((map, crc)) if crc32(map).to_be_bytes() == *crc => Ok(map),
        _ => Err(SerialError::Damaged),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_well_known_one() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(unsealed(&sealed(vec![0xA0])), Ok(&[0xA0][..]));
        assert_eq!(unsealed(b"123"), Err(SerialError::Damaged));
        assert_eq!(unsealed(b"12345"), Err(SerialError::Damaged));
    }
}
