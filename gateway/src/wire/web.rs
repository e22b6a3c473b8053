//! WebSocket framing of the server's side (RFC 6455): pure, in place, nothing held while idle.
//!
//! A message's payload is unmasked where it lies in the read buffer, and what goes out gets its head
//! written into room that was left before it. Extensions are not offered, so reserved bits are
//! always zero.

use super::Step;
use std::ops::Range;
use switchyard_protocol::{Code, limits};

/// Room left before the first frame of an outgoing batch: the longest head of an unmasked message.
pub(crate) const HEAD_BYTES_MAX: usize = 10;
/// Payload of a control frame (§5.5).
const CONTROL_BYTES_MAX: usize = 125;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;

const CONTINUATION: u8 = 0x0;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

/// One tool's WebSocket.
#[derive(Debug, Default)]
pub(crate) struct WebWire {
    /// A message that comes in fragments, as far as it is here.
    fragments: Option<Vec<u8>>,
    /// Control frames that are to go out before the next message: at most one of them.
    control: Option<Box<[u8]>>,
    /// A close frame has been made: it is the last.
    has_closed: bool,
}

/// A frame's head, and where its payload lies.
struct Head {
    is_last: bool,
    opcode: u8,
    mask: [u8; 4],
    payload: Range<usize>,
}

impl Head {
    /// Reads the head at the front of `data`; `None` while it is incomplete. Judged as early as
    /// possible, so that no length makes anybody wait for what will be refused.
    fn read(data: &[u8], fragments_bytes: usize) -> Result<Option<Self>, Code> {
        let &[first, second, ..] = data else {
            return Ok(None);
        };
        let (is_last, opcode) = (first & FIN != 0, first & 0x0F);
        if first & RESERVED != 0 || second & MASKED == 0 {
            return Err(Code::Malformed);
        }
        let (length, length_bytes) = match second & 0x7F {
            126 => match data.get(2..4) {
                Some(bytes) => (u64::from(u16::from_be_bytes([bytes[0], bytes[1]])), 2),
                None => return Ok(None),
            },
            127 => match data.get(2..10).and_then(|bytes| bytes.first_chunk()) {
                Some(&bytes) => (u64::from_be_bytes(bytes), 8),
                None => return Ok(None),
            },
            length => (u64::from(length), 0),
        };
        let is_shortest = match length_bytes {
            2 => length > 125,
            8 => length > 0xFFFF,
            _ => true,
        };
        if !is_shortest {
            return Err(Code::Malformed);
        }
        let is_control = opcode >= CLOSE;
        if is_control && (!is_last || length > CONTROL_BYTES_MAX as u64) {
            return Err(Code::Malformed);
        }
        // The length is the peer's own word, up to the largest that there is.
        let message_bytes = length.saturating_add(fragments_bytes as u64);
        if !is_control && message_bytes > limits::TOOL_MESSAGE_BYTES_MAX as u64 {
            return Err(Code::TooLarge);
        }
        let start = 2 + length_bytes + 4;
        let Some(&mask) = data.get(start - 4..).and_then(|bytes| bytes.first_chunk()) else {
            return Ok(None);
        };
        let payload = start..start + length as usize;
        Ok((payload.end <= data.len()).then_some(Head {
            is_last,
            opcode,
            mask,
            payload,
        }))
    }
}

impl WebWire {
    /// The next message in `data` from `at` on; see [`Wire::next`](super::Wire::next).
    ///
    /// # Errors
    /// [`Code::LinkLost`] when the peer closes; the answer to that lies ready for [`wrap`](Self::wrap).
    pub(crate) fn next(&mut self, data: &mut [u8], at: &mut usize) -> Result<Step, Code> {
        loop {
            let fragments_bytes = self.fragments.as_ref().map_or(0, Vec::len);
            let Some(head) = Head::read(&data[*at..], fragments_bytes)? else {
                return Ok(Step::Incomplete);
            };
            let payload = *at + head.payload.start..*at + head.payload.end;
            *at = payload.end;
            unmask(&mut data[payload.clone()], head.mask);
            match head.opcode {
                BINARY if self.fragments.is_some() => return Err(Code::Malformed),
                BINARY if head.is_last => return Ok(Step::Frames(payload)),
                BINARY => self.fragments = Some(data[payload].to_vec()),
                CONTINUATION => {
                    let Some(fragments) = &mut self.fragments else {
                        return Err(Code::Malformed);
                    };
                    fragments.extend_from_slice(&data[payload]);
                    if head.is_last {
                        return Ok(Step::Message(self.fragments.take().unwrap_or_default()));
                    }
                }
                // Only the latest ping need be answered (§5.5.3), so a flood of them costs no room.
                PING if self.has_closed => {}
                PING => self.control = Some(control(PONG, &data[payload])),
                PONG => {}
                CLOSE => {
                    // The status code goes back as it came, or nothing where there was none.
                    let status = &data[payload];
                    self.control = Some(control(CLOSE, &status[..status.len().min(2)]));
                    self.has_closed = true;
                    return Err(Code::LinkLost);
                }
                // Text, and what there is no such thing as.
                _ => return Err(Code::Malformed),
            }
        }
    }

    /// Whether something has to go out although there is no message.
    pub(crate) fn has_control(&self) -> bool {
        self.control.is_some()
    }

    /// Whether the close frame has been made: nothing follows it.
    pub(super) fn has_closed(&self) -> bool {
        self.has_closed
    }

    /// Says good-bye with the next batch, unless that has been done.
    pub(crate) fn say_goodbye(&mut self) -> bool {
        let is_first = !std::mem::replace(&mut self.has_closed, true);
        if is_first {
            self.control = Some(control(CLOSE, &[]));
        }
        is_first
    }

    /// Makes one message of `batch`, whose first [`HEAD_BYTES_MAX`] bytes are room for the head, and
    /// gives the place at which it begins. An empty batch makes none.
    pub(crate) fn wrap(&mut self, batch: &mut Vec<u8>) -> usize {
        let length = batch.len() - HEAD_BYTES_MAX;
        let start = write_head(batch, length);
        match self.control.take() {
            None => start,
            Some(control) => {
                batch.splice(..start, control);
                0
            }
        }
    }
}

/// Writes the head of a binary message of `length` bytes to the end of the room before it.
fn write_head(batch: &mut [u8], length: usize) -> usize {
    let room = &mut batch[..HEAD_BYTES_MAX];
    match length {
        0 => HEAD_BYTES_MAX,
        1..=125 => {
            room[8..].copy_from_slice(&[FIN | BINARY, length as u8]);
            8
        }
        126..=0xFFFF => {
            room[6..8].copy_from_slice(&[FIN | BINARY, 126]);
            room[8..].copy_from_slice(&(length as u16).to_be_bytes());
            6
        }
        _ => {
            room[..2].copy_from_slice(&[FIN | BINARY, 127]);
            room[2..].copy_from_slice(&(length as u64).to_be_bytes());
            0
        }
    }
}

fn control(opcode: u8, payload: &[u8]) -> Box<[u8]> {
    let mut frame = Vec::with_capacity(2 + payload.len());
    frame.extend_from_slice(&[FIN | opcode, payload.len() as u8]);
    frame.extend_from_slice(payload);
    frame.into_boxed_slice()
}

/// Takes the mask off, eight bytes at a time.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut words = payload.chunks_exact_mut(8);
    for word in &mut words {
        let mut value = [0; 8];
        value.copy_from_slice(word);
        word.copy_from_slice(&(u64::from_ne_bytes(value) ^ wide).to_ne_bytes());
    }
    for (byte, mask) in words.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}
