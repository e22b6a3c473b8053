//! `cargo xtask firmware`: the controller's core for the chip's instruction set, its sizes held to their
//! budgets, and the checks of what lies in flash.

pub(crate) mod bench;
mod budget;
mod objects;
pub(crate) mod qemu;
mod stack;
mod toolchain;

use crate::setup;
use anyhow::Result;
use clap::{Args, ValueEnum};

/// What the core is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Port {
    /// The instruction set under QEMU.
    Qemu,
}

/// `cargo xtask firmware`.
#[derive(Args)]
pub(crate) struct Firmware {
    /// What to build for.
    #[arg(long)]
    port: Port,
}

/// Builds, judges, and prints what the image holds.
pub(crate) fn firmware(options: &Firmware) -> Result<()> {
    setup::ready(&[setup::BUILD, setup::CHIP])?;
    match options.port {
        Port::Qemu => qemu::controller().map(|image| println!("image: {}", image.display())),
    }
}
