//! What the end-to-end tests share: peers that speak the protocol by hand, and so can also lie.
//!
//! - [`CallingYard`]: a gateway that calls telephones.
//! - [`Device`]: a controller over TCP and Noise, made of `snow` and a socket.
//! - [`Keeper`]: what such a controller keeps, and how it answers.
//! - [`Maker`]: who makes updates for the virtual board.
//! - [`Tool`]: a tool over WebSocket.
//! - [`http`]: just enough of HTTP/1.1 to log in and to read the counters.

mod device;
pub mod http;
mod keeper;
mod maker;
mod telephone;
mod tool;

pub use device::{Device, hello};
pub use keeper::Keeper;
pub use maker::Maker;
pub use telephone::CallingYard;
pub use tool::{Tool, value_in};

use std::time::Duration;

/// The index of `RL1` in the status of a controller that latches.
pub const LATCH_RL1: u8 = 1;

/// How long a socket waits for bytes that must come: generous, waited out by failures only.
const SOCKET_TIMEOUT: Duration = Duration::from_secs(30);

/// Content for a flash: it deflates to something like what firmware does, with all that SLIP must escape.
pub fn content(length: usize) -> Vec<u8> {
    let mut state = 7_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        match state >> 30 {
            0 => 0xc0,
            1 => 0xdb,
            _ => (state >> 16) as u8,
        }
    };
    (0..length).map(|_| next()).collect()
}
