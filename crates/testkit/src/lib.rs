//! For tests and the demo only: real programs started, waited for and stopped.
//!
//! - [`Programs`]: where the built binaries are.
//! - [`Program`]: one running process, its output read, stopped on drop.
//! - [`services`]: servers that a gateway may work with. `smtp`, a feature: a mail server by script.
//! - [`Yard`]: a gateway with its own folder, accounts and enrolled controllers.
//! - [`board`]: an ESP8266 board on its serial line.
//! - `callee`, with the feature `telephone`: a telephone that is called.
//! - [`modem`]: a GSM modem with its network, by script.
//! - `provider`, a feature: a service for calls and texts over HTTP.
//! - [`lx106_command`]: a program for the chip's instruction set, run by QEMU.
//! - [`wait_until`]: the one way to wait.

pub mod board;
#[cfg(feature = "telephone")]
pub mod callee;
mod lx106;
pub mod modem;
mod program;
#[cfg(feature = "provider")]
pub mod provider;
mod pseudo_terminal;
mod seeded;
pub mod services;
#[cfg(feature = "smtp")]
pub mod smtp;
mod yard;

pub use lx106::{LX106_CONTROLLER, lx106_command};
pub use program::{Program, Programs};
pub use yard::{Console, Controller, PASSWORD, Yard, YardOptions};

use anyhow::{Result, bail};
use std::time::{Duration, Instant};

/// How long anything may take before a test says that it never happened: generous, since machines
/// are slow and noisy, and only ever waited out by a failure.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Polls `condition` until it gives a value.
///
/// # Errors
/// After [`PATIENCE`], naming `what` was waited for.
pub fn wait_until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return Ok(value);
        }
        if start.elapsed() > PATIENCE {
            bail!("waited {} s in vain for {what}", PATIENCE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
