//! An ESP8266 board on its serial line: the ROM's loader, the stub, the flash, what boots from it, and what
//! goes wrong.
//!
//! - [`Board`]: the whole of it without I/O and without a clock; time comes in as an argument.
//! - [`BoardOptions`]: what kind of board it is.
//! - [`Fault`]: what goes wrong, and when.
//! - [`Application`]: what runs once a good image has been loaded.
//! - `ControllerOnBoard`, with the feature `controller`: the controller's own core as such an application.
//! - [`BoardOnTerminal`]: the same board on a pseudo-terminal, for programs that open one.

mod application;
mod boot;
mod chip;
#[cfg(feature = "controller")]
mod controller;
mod fault;
mod flash;
mod line;
mod loader;
mod machine;
mod options;
mod rom;
mod slip;
mod spi;
mod stub;
mod terminal;
#[cfg(test)]
mod tests;
#[cfg(feature = "controller")]
mod uplink;

pub use application::{Application, BannerApplication, ChipAccess, Restart};
pub use boot::StartCause;
#[cfg(feature = "controller")]
pub use controller::{ControllerOnBoard, ControllerView, Surroundings};
pub use fault::{Fault, FaultKind, FaultPoint};
pub use flash::{
    BLOCK_BYTES, Flash, FlashSize, FlashTiming, PAGE_BYTES, SECTOR_BYTES, SecondProgram,
};
pub use machine::{Board, BoardState, Counts, Lines};
pub use options::{ApplicationFactory, BoardOptions, Speed, Wiring};
pub use terminal::BoardOnTerminal;
