//! The one seam between a socket's bytes and whole frames: the clear link, Noise records, WebSocket
//! messages, and those within TLS. Pure: bytes in, bytes out, no socket.
//!
//! What comes in is unwrapped where it lies in the read buffer, and what goes out is gathered as
//! plain frames and wrapped when a poll round ends, so that a record or message carries all that has
//! gathered. Nothing is held while idle but the keys.

mod noise;
mod tls;
mod web;

pub(crate) use noise::NoiseWire;
pub(crate) use tls::TlsWire;
pub(crate) use web::WebWire;

use std::ops::Range;
use switchyard_protocol::{Code, FrameRef, limits};

/// Plain bytes that are wrapped at once. More would make a slow peer's progress too coarse to see, and
/// less would leave the largest frame no way out.
pub(crate) const BATCH_BYTES_MAX: usize = limits::TOOL_MESSAGE_BYTES_MAX;

/// What unwrapping came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// One or more frames, all whole, lie at this range.
    Frames(Range<usize>),
    /// The same, outside the buffer: it came in pieces.
    Message(Vec<u8>),
    /// A stretch of a stream of frames; the last may be cut, and then comes again with what follows.
    Stream(Range<usize>),
    /// The rest has to come first.
    Incomplete,
}

/// How one connection's frames are wrapped.
#[derive(Debug)]
pub(crate) enum Wire {
    /// One plain frame after the other, on the controller's clear link.
    Clear {
        /// What records would be bound to.
        record_bytes_max: u16,
    },
    /// One plain frame after the other, to a peer inside this process.
    Inside,
    /// A controller's Noise records.
    Noise(Box<NoiseWire>),
    /// A tool's WebSocket messages.
    Web(Box<WebWire>),
    /// A tool's WebSocket messages within TLS.
    Tls(Box<TlsWire>),
}

impl Wire {
    /// Takes TLS off, where there is any: what came on the socket in, what the rest of this type
    /// works on out. That lies in `bytes` or in `scratch`, which is an empty buffer. All of `bytes`
    /// is taken; with the fault that ends the link comes what was good before it.
    pub(crate) fn decrypt<'a>(
        &mut self,
        bytes: &'a mut [u8],
        scratch: &'a mut Vec<u8>,
    ) -> (&'a mut [u8], Result<(), Code>) {
        match self {
            Wire::Tls(wire) => {
                let outcome = wire.open(bytes, scratch);
                (scratch, outcome)
            }
            Wire::Clear { .. } | Wire::Inside | Wire::Noise(_) | Wire::Web(_) => (bytes, Ok(())),
        }
    }

    /// The next stretch of plain frames in `data` from `at` on, and moves `at` past what it took.
    /// Bytes from `at` on are to be given again, unchanged, with what follows them.
    ///
    /// # Errors
    /// The code under which the link ends; stretches before the fault have been given.
    pub(crate) fn next(&mut self, data: &mut [u8], at: &mut usize) -> Result<Step, Code> {
        match self {
            Wire::Clear { .. } | Wire::Inside if *at == data.len() => Ok(Step::Incomplete),
            Wire::Clear { .. } | Wire::Inside => {
                let start = std::mem::replace(at, data.len());
                Ok(Step::Stream(start..data.len()))
            }
            Wire::Noise(wire) => wire.next(data, at),
            Wire::Web(wire) => wire.next(data, at),
            Wire::Tls(wire) => wire.web.next(data, at),
        }
    }

    /// The largest payload of a frame on this link.
    pub(crate) fn payload_bytes_max(&self) -> usize {
        match self {
            Wire::Web(_) | Wire::Tls(_) | Wire::Inside => limits::PAYLOAD_BYTES_MAX,
            Wire::Clear { .. } | Wire::Noise(_) => self.frame_bytes_max() - limits::HEADER_BYTES,
        }
    }

    /// The largest frame that this link carries to its peer.
    pub(crate) fn frame_bytes_max(&self) -> usize {
        match self {
            Wire::Clear { record_bytes_max } => {
                usize::from(*record_bytes_max) - limits::RECORD_TAG_BYTES
            }
            Wire::Noise(wire) => wire.frame_bytes_max(),
            Wire::Web(_) | Wire::Tls(_) | Wire::Inside => {
                limits::HEADER_BYTES + limits::PAYLOAD_BYTES_MAX
            }
        }
    }

    /// Room to leave before the first frame of a batch that goes out.
    pub(crate) fn room_before(&self) -> usize {
        match self {
            Wire::Web(_) | Wire::Tls(_) => web::HEAD_BYTES_MAX,
            Wire::Clear { .. } | Wire::Inside | Wire::Noise(_) => 0,
        }
    }

    /// Wraps a batch of whole frames, which begins after [`room_before`](Self::room_before) bytes.
    /// What goes out replaces it, from the place that is returned, and is nothing where TLS has said its
    /// last word before; `spare` is an empty buffer, and is one afterwards.
    ///
    /// # Errors
    /// The code under which the link ends.
    pub(crate) fn wrap(&mut self, batch: &mut Vec<u8>, spare: &mut Vec<u8>) -> Result<usize, Code> {
        match self {
            Wire::Clear { .. } | Wire::Inside => Ok(0),
            Wire::Web(wire) => Ok(wire.wrap(batch)),
            Wire::Noise(wire) => {
                wire.wrap(batch, spare)?;
                std::mem::swap(batch, spare);
                spare.clear();
                Ok(0)
            }
            Wire::Tls(wire) => {
                wire.wrap(batch, spare)?;
                std::mem::swap(batch, spare);
                spare.clear();
                Ok(0)
            }
        }
    }

    /// Whether something has to go out although there is no frame.
    pub(crate) fn has_control(&self) -> bool {
        match self {
            Wire::Web(wire) => wire.has_control(),
            Wire::Tls(wire) => wire.has_control(),
            Wire::Clear { .. } | Wire::Inside | Wire::Noise(_) => false,
        }
    }

    /// Says good-bye with the next batch, where the framing has a word for it that has not been said.
    /// Whether it has to be written.
    pub(crate) fn say_goodbye(&mut self) -> bool {
        match self {
            Wire::Web(wire) => wire.say_goodbye(),
            Wire::Tls(wire) => wire.say_goodbye(),
            Wire::Clear { .. } | Wire::Inside | Wire::Noise(_) => false,
        }
    }
}

/// The bytes of the whole frame at the front of `frames`.
fn frame_bytes(frames: &[u8]) -> usize {
    let payload_bytes = frames
        .get(2..4)
        .map_or(0, |bytes| u16::from_be_bytes([bytes[0], bytes[1]]));
    limits::HEADER_BYTES + usize::from(payload_bytes)
}

/// How many bytes of `frames`, all whole, are whole frames within `bytes_max`.
pub(crate) fn whole_frames_up_to(frames: &[u8], bytes_max: usize) -> usize {
    if frames.len() <= bytes_max {
        return frames.len();
    }
    let mut end = 0;
    loop {
        let next = end + frame_bytes(&frames[end..]);
        if next > bytes_max || next > frames.len() {
            return end;
        }
        end = next;
    }
}

/// Checks that `bytes` are whole frames and nothing else, before any of them is acted upon.
///
/// # Errors
/// [`Code::Malformed`], or what is wrong with a header.
pub(crate) fn check_whole(bytes: &[u8], payload_bytes_max: usize) -> Result<(), Code> {
    let mut rest = bytes;
    loop {
        match FrameRef::split(rest, payload_bytes_max) {
            Ok(Some((_, []))) => return Ok(()),
            Ok(Some((_, after))) => rest = after,
            Ok(None) => return Err(Code::Malformed),
            Err(error) => return Err(error.code()),
        }
    }
}

#[cfg(test)]
mod tests;
