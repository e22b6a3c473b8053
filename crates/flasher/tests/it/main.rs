//! The flasher against the virtual board, in one process and in simulated time.

mod faults;
mod line;
mod monitor;
mod provision;
mod write;
