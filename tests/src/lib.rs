//! What the end-to-end tests share: peers that speak the protocol by hand, and so can also lie.
//!
//! - [`Device`]: a controller over TCP and Noise, made of `snow` and a socket.
//! - [`Keeper`]: what such a controller keeps, and how it answers.
//! - [`Maker`]: who makes updates for the virtual board.
//! - [`Tool`]: a tool over WebSocket.
//! - [`http`]: just enough of HTTP/1.1 to log in and to read the counters.

mod device;
pub mod http;
mod keeper;
mod maker;
mod tool;

pub use device::{Device, hello};
pub use keeper::Keeper;
pub use maker::Maker;
pub use tool::{Tool, value_in};

use std::time::Duration;

/// The index of `RL1` in the status of a controller that latches.
pub const LATCH_RL1: u8 = 1;

/// How long a socket waits for bytes that must come: generous, waited out by failures only.
const SOCKET_TIMEOUT: Duration = Duration::from_secs(30);
