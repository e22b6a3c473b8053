//! The serial side of Switchyard's tools: which serial ports this machine has, and the ESP8266 boards behind them: found,
//! written, compared, read, erased, made controllers. Nothing in this crate prints, and all of it works on any [`Line`], so that a simulated
//! board takes a real one's place in tests.
//!
//! - [`serial_ports`] lists [`SerialPort`]s, those that a board is most likely behind first; [`SerialLine`] opens one.
//! - [`flash`] writes an [`Order`] of [`Region`]s to a board, whatever the cable does meanwhile, and verifies it.
//! - [`Board`] is the same step by step; [`Loader`] speaks the protocol of the chip's loader, or of Espressif's [`Stub`].
//! - [`RunningBoard`] speaks with the firmware that was written, and makes a controller of the board: its settings, its
//!   network, its script, and who it is, in one act with a [`Registry`], as a [`Gateway`] is one.
//! - [`monitor`] reads what a board says, at whichever rate it does, and explains it.
//! - [`Image`] looks at images before a byte is written.
//! - [`Label`] is what is stuck on a board: as a picture, by [`Paper::pdf`] a document, or for a label printer.
//! - [`Job`] is what a batch of boards is to become, signed; [`Report`] keeps what became of each.
//! - [`Batch`] does a job to several boards at once, on a [`Bench`], online or with addresses from a [`Stock`].
//! - [`Error::advice`] says in plain words what to do when something fails.
//!
//! ```no_run
//! for serial_port in switchyard_flasher::serial_ports()? {
//!     if let Some(usb) = serial_port.usb() {
//!         assert_ne!(usb.vendor_id, 0, "{} has no vendor", serial_port.path);
//!     }
//! }
//! # Ok::<(), switchyard_flasher::Error>(())
//! ```

mod backups;
mod batch;
mod digest;
mod error;
mod event;
mod gateway;
mod image;
mod install;
mod job;
mod label;
mod line;
mod loader;
mod mains;
pub mod monitor;
mod natural;
mod provision;
mod report;
mod reset;
mod running;
mod serial_ports;
mod session;
mod slip;
mod stub;
mod write;

use std::ops::Range;

pub use backups::Backups;
pub use batch::{
    Batch, BatchError, BatchOptions, Bench, Plugged, SlotChange, SlotEvent, Stock, StockCount,
};
pub use error::Error;
pub use event::{Event, Stage, Watch};
pub use gateway::Gateway;
pub use image::{FlashMode, FlashRate, FlashSize, HeadPatch, Image};
pub use install::{Installation, Installed, start};
pub use job::{
    Check, EnrolmentTime, Job, JobError, JobKey, LabelWish, Naming, NamingError, TrustedKey,
};
pub use label::{Density, Fonts, Label, LabelError, LabelForm, LabelSize, Paper, Sheet};
pub use line::{Line, SerialLine, Signals};
pub use loader::{Chip, Connect, FlashId, Left, Level, Loader};
pub use mains::is_live_on_mains;
pub use provision::{Enrolment, Expected, Plan, Provisioned, Registry, RegistryError, Remains};
pub use report::{BatchStage, Record, Report, ReportError, Yield};
pub use reset::{After, Before};
pub use running::{FoundNetwork, Heard, Information, RunningBoard};
pub use serial_ports::{Attachment, SerialPort, UsbDevice, holds_dtr, serial_ports};
pub use session::{Approach, BAUD_SAFE, Board, Order, Written, flash};
pub use stub::Stub;
pub use write::Backup;

/// A MAC address as people write it: `5c:cf:7f:12:34:56`.
#[must_use]
pub fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// What this crate's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Bytes, and where in the flash they belong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// The first byte's place, on a sector's border.
    pub offset: u32,
    /// The content.
    pub bytes: Vec<u8>,
}

impl Region {
    fn part(&self, part: &Range<u32>) -> &[u8] {
        &self.bytes[part.start as usize..part.end as usize]
    }

    /// Where a sector of it lies within it.
    fn sector(&self, number: u32) -> Range<u32> {
        let start = number * loader::SECTOR_BYTES;
        start..(self.bytes.len() as u32).min(start + loader::SECTOR_BYTES)
    }
}
