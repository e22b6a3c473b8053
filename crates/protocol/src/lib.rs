//! Addresses, frames, messages, codec and limits of Switchyard.
//!
//! Pure: bytes go in and values come out; no socket, no clock. The normative text is
//! `docs/protocol.md`; the golden vectors in `tests/vectors/` hold this crate, the C core and the
//! page to the same bytes.
//!
//! - [`Address`]: a peer's unique number; [`SiteId`]: that of a group of controllers.
//! - [`Frame`], [`FrameRef`], [`Header`]: the delimited wire unit, zero-copy over [`bytes`] or over
//!   a borrowed buffer.
//! - [`cbor::check`]: the one gate that every payload passes before a field is read.
//! - [`message`]: typed payloads.
//! - [`serial`]: what goes over a board's serial line.
//! - [`firmware`]: versions, and what stands before an image.
//! - [`Code`]: the registry of reasons.
//! - [`limits`]: every bound, with its reason.
//!
//! ```
//! use switchyard_protocol::{Address, Frame, Kind, message::{Action, Command, Key, Name, Time}};
//!
//! let command = Command {
//!     key: Key([7; 16]),
//!     expiry: Time(1_800_000_000_000),
//!     wait: false,
//!     action: Action::Set { point: Name::new("RL1").unwrap(), value: 1 },
//! };
//! let (console, pump) = (Address(0xC000_0001), Address(100_042));
//! let frame = Frame::new(Kind::Command, 7, console, pump, &command.encode());
//! let mut wire = bytes::BytesMut::from(frame.bytes().as_ref());
//! let back = Frame::decode(&mut wire, 1024).unwrap().unwrap();
//! assert_eq!(Command::decode(back.payload()).unwrap(), command);
//! ```

mod address;
pub mod cbor;
mod code;
mod fields;
pub mod firmware;
mod frame;
pub mod limits;
pub mod message;
pub mod serial;
mod site;

pub use address::{Address, AddressError, AddressKind};
pub use code::Code;
pub use frame::{Flags, Frame, FrameError, FrameRef, Header, Kind, Role};
pub use site::{SiteId, SiteIdError};
