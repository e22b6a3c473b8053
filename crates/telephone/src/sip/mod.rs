//! The part of SIP that a telephone needs which only ever calls out. No sockets and no clock: messages and the
//! time come in, messages and events go out.
//!
//! - [`message`]: messages as text on the wire (RFC 3261 section 7), and as a stream.
//! - [`header`]: addresses and parameters inside of header fields.
//! - [`digest`]: proof of the password (RFC 7616, RFC 8760).
//! - [`sdp`]: which sound goes where (RFC 8866, RFC 3264).

pub(crate) mod agent;
pub(crate) mod call;
pub(crate) mod dialog;
pub mod digest;
pub mod header;
pub mod message;
pub(crate) mod requests;
pub mod sdp;
#[cfg(test)]
mod tests;
pub(crate) mod timers;
pub(crate) mod tokens;
pub(crate) mod transaction;
mod within;
