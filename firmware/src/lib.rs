//! The controller's C core, compiled for this machine, and the virtual controller built on it.
//!
//! - [`Controller`]: one controller as a pure machine. Time and bytes are passed in, bytes and
//!   [`Action`]s come out; simulations and tests drive it under a clock of their own.
//! - [`VirtualController`]: the same on tokio and a real socket, with a simulated [`Plant`] at its
//!   inputs and outputs. Thousands fit in one process.
//! - [`HttpSockets`]: the controller's own page and API, served on this machine.
//! - [`script`]: the script language's compiler, and the machine that runs what it makes.
//! - [`runner`]: the same with what goes on around a scan: inputs, the clock, outputs and why.
//! - [`replay`]: the scans that a controller recorded, run again.
//!
//! ```
//! use std::time::Duration;
//! use switchyard_firmware::{Action, Behaviour, Controller, ControllerKey, Settings};
//! use switchyard_protocol::Address;
//!
//! let settings = Settings::new(Address(100_042), ControllerKey::new([7; 32]), Behaviour::Latch);
//! let mut controller = Controller::new(settings, Duration::ZERO)?;
//! let mut now = Duration::ZERO;
//! while controller.next_action() != Some(Action::Dial(0)) {
//!     now += controller.poll(now);
//! }
//! controller.connected(now);
//! assert!(controller.take_outbound(now).is_some(), "hello and the first Noise message");
//! # Ok::<(), switchyard_firmware::SettingsError>(())
//! ```

mod board;
mod controller;
mod device;
#[doc(hidden)]
pub mod ffi;
mod http;
mod key;
mod plant;
pub mod replay;
pub mod runner;
pub mod script;
mod serial;
mod serial_host;
mod virtual_controller;

pub use board::{Behaviour, Channel, Script};
pub use controller::{Action, Controller, LinkState, Settings, SettingsError, state_bytes};
pub use device::{Flash, FlashChip};
pub use http::HttpSockets;
pub use key::{ControllerKey, KeyError, parse_keys};
pub use plant::{Plant, PlantSettings};
pub use serial::{Network, Serial, SerialPort};
pub use virtual_controller::{Executions, Options, View, VirtualController};
