//! Sound and keys, packet by packet: no sockets and no clock.
//!
//! - [`g711`]: samples as bytes on telephone lines.
//! - [`rtp`]: packets (RFC 3550).
//! - [`events`]: keys as packets (RFC 4733).
//! - [`tones`]: keys as tones in the sound, heard and made.

pub mod events;
pub mod g711;
pub(crate) mod keys;
pub mod rtp;
pub(crate) mod stream;
pub mod tones;

/// Samples each second on telephone lines.
pub const SAMPLES_EACH_SECOND: u32 = 8_000;
/// Samples in one packet: 20 ms.
pub const SAMPLES_EACH_PACKET: usize = 160;
