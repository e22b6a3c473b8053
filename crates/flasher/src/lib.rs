//! The serial side of Switchyard's tools: which serial ports this machine has. The ESP8266 loader, images and provisioning
//! come here later. Nothing in this crate prints.
//!
//! [`serial_ports`] lists [`SerialPort`]s, those that a board is most likely behind first:
//!
//! ```no_run
//! for serial_port in switchyard_flasher::serial_ports()? {
//!     if let Some(usb) = serial_port.usb() {
//!         assert_ne!(usb.vendor_id, 0, "{} has no vendor", serial_port.path);
//!     }
//! }
//! # Ok::<(), switchyard_flasher::Error>(())
//! ```

mod error;
mod natural;
mod serial_ports;

pub use error::Error;
pub use serial_ports::{Attachment, SerialPort, UsbDevice, serial_ports};

/// What this crate's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;
