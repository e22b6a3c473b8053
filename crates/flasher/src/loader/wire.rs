//! Requests to the loader and its answers, as bytes (Espressif's serial protocol).

/// What a loader is asked here. The stub knows all of them, the ROM those of the first group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Operation {
    FlashBegin = 0x02,
    FlashData = 0x03,
    MemoryBegin = 0x05,
    MemoryEnd = 0x06,
    MemoryData = 0x07,
    Sync = 0x08,
    WriteRegister = 0x09,
    ReadRegister = 0x0A,
    // The stub's alone:
    SetFlash = 0x0B,
    DeflateBegin = 0x10,
    DeflateData = 0x11,
    FlashDigest = 0x13,
    EraseFlash = 0xD0,
    EraseRegion = 0xD1,
    ReadFlash = 0xD2,
}

/// What every block's checksum begins with.
const CHECKSUM_SEED: u8 = 0xEF;
const HEAD_BYTES: usize = 8;
/// Both loaders of this chip end an answer with two bytes: whether it failed, and why.
const STATUS_BYTES: usize = 2;

/// The sum that goes with a block of data.
pub(crate) fn checksum(data: &[u8]) -> u8 {
    data.iter().fold(CHECKSUM_SEED, |sum, byte| sum ^ byte)
}

/// A request, to be framed. `check` counts only where there is data.
pub(crate) fn request(operation: Operation, payload: &[u8], check: u8) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD_BYTES + payload.len());
    bytes.extend([0, operation as u8]);
    bytes.extend((payload.len() as u16).to_le_bytes());
    bytes.extend(u32::from(check).to_le_bytes());
    bytes.extend(payload);
    bytes
}

/// The payload that is made of words.
pub(crate) fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// The payload of a block: its length, its number, two words of nothing, and the data.
pub(crate) fn block(number: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = words(&[data.len() as u32, number, 0, 0]);
    bytes.extend(data);
    bytes
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) operation: u8,
    /// Of a register, where one was read; else left over from before.
    pub(crate) value: u32,
    /// What stands before the status.
    pub(crate) body: Vec<u8>,
    /// 0: it was done. Else the loader's reason.
    pub(crate) failure: u8,
}

impl Answer {
    /// Reads a frame; `None`: it is no answer.
    pub(crate) fn read(frame: &[u8]) -> Option<Self> {
        let (head, rest) = frame.split_at_checked(HEAD_BYTES)?;
        let length = usize::from(u16::from_le_bytes([head[2], head[3]]));
        if head[0] != 1 || rest.len() != length {
            return None;
        }
        let (body, status) = rest.split_at_checked(length.checked_sub(STATUS_BYTES)?)?;
        Some(Answer {
            operation: head[1],
            value: u32::from_le_bytes([head[4], head[5], head[6], head[7]]),
            body: body.to_vec(),
            failure: match status {
                [0, _] => 0,
                // A reason of none is still a failure.
                [_, reason] => (*reason).max(1),
                _ => return None,
            },
        })
    }
}

/// A loader's reason in words.
pub(crate) fn reason(failure: u8) -> &'static str {
    match failure {
        0x05 => "it says that the request is malformed",
        0x06 => "it failed to act on the request",
        0x07 => "the data's checksum is wrong",
        0x08 => "writing to flash failed",
        0x09 => "what was read back differs",
        0x0A => "reading from flash failed",
        0x0B => "what was to be unpacked is broken",
        0xC0 => "the length is wrong",
        0xC1 => "the data's checksum is wrong",
        0xC2 => "the block's size is wrong",
        0xC3 => "the stub does not know the request",
        0xC4 => "the stub failed to act on the request",
        0xC5..=0xC9 => "the stub failed to use the flash",
        0xFF => "the stub does not know the request",
        _ => "it gives no reason that is known",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_head_and_payload() {
        let bytes = request(Operation::ReadRegister, &words(&[0x4000_1000]), 0);
        assert_eq!(bytes, [0, 0x0A, 4, 0, 0, 0, 0, 0, 0, 0x10, 0, 0x40]);
        let data = [1, 2, 4];
        let bytes = request(Operation::FlashData, &block(9, &data), checksum(&data));
        assert_eq!(bytes[..8], [0, 3, 19, 0, 0xEF ^ 7, 0, 0, 0]);
        assert_eq!(bytes[8..16], [3, 0, 0, 0, 9, 0, 0, 0]);
        assert_eq!(bytes[24..], data);
    }

    #[test]
    fn an_answer_is_read_or_refused() {
        let answer = |frame: &[u8]| Answer::read(frame);
        let good = answer(&[1, 0x0A, 2, 0, 1, 0xC1, 0xF0, 0xFF, 0, 0]).unwrap();
        assert_eq!(good.value, 0xFFF0_C101);
        assert_eq!((good.failure, good.body.len()), (0, 0));
        let bad = answer(&[1, 3, 2, 0, 0, 0, 0, 0, 1, 7]).unwrap();
        assert_eq!(reason(bad.failure), "the data's checksum is wrong");
        assert_eq!(answer(&[1, 3, 2, 0, 0, 0, 0, 0, 1, 0]).unwrap().failure, 1);
        for broken in [
            &[][..],
            &[1, 3, 2, 0, 0, 0, 0, 0, 0],
            &[1, 3, 1, 0, 0, 0, 0, 0, 0],
            &[0, 3, 2, 0, 0, 0, 0, 0, 0, 0],
            &[1, 3, 2, 0, 0, 0, 0, 0, 0, 0, 0],
        ] {
            assert_eq!(answer(broken), None, "{broken:?}");
        }
    }
}
