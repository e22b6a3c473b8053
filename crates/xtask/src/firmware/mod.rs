//! `cargo xtask firmware`: the controller's core for the chip's instruction set, its sizes held to their
//! budgets, and the checks of what lies in flash.

pub(crate) mod bench;
mod budget;
pub(crate) mod esp8266;
mod image;
mod objects;
#[path = "../../../../firmware/page.rs"]
mod page;
mod parts;
pub(crate) mod qemu;
mod stack;
mod toolchain;

use crate::setup;
use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// What the core is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    /// The instruction set under QEMU.
    Qemu,
    /// The chip.
    Esp8266,
}

/// `cargo xtask firmware`.
#[derive(Args)]
pub(crate) struct Firmware {
    /// What to build for.
    #[arg(long)]
    port: Target,
    /// The folder of Espressif's NONOS SDK, version 3. Without it the chip's images are not made, and all is
    /// checked that needs no SDK.
    #[arg(long, value_name = "DIR")]
    sdk: Option<PathBuf>,
    /// The board that the chip's images are for, as `firmware/core/board.c` calls it.
    #[arg(long, value_name = "PROFILE", default_value = "nodemcu")]
    board: String,
    /// Where the chip's images go.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The public key of whoever may make updates, as 64 hexadecimal digits. Images without one take none.
    #[arg(long, value_name = "HEX")]
    update_key: Option<String>,
}

/// Builds, judges, and prints what the image holds.
pub(crate) fn firmware(options: &Firmware) -> Result<()> {
    setup::ready(&[setup::BUILD, setup::CHIP])?;
    match options.port {
        Target::Qemu => qemu::controller().map(|image| println!("image: {}", image.display())),
        Target::Esp8266 => {
            let for_chip = esp8266::Options {
                board: &options.board,
                out: options.out.as_deref(),
                update_key: options.update_key.as_deref().map(key).transpose()?,
            };
            match &options.sdk {
                Some(sdk) => esp8266::with_sdk(&for_chip, sdk),
                None => esp8266::without_sdk(&for_chip),
            }
        }
    }
}

/// What CI runs of the port to the chip.
pub(crate) fn check_esp8266() -> Result<()> {
    esp8266::without_sdk(&esp8266::Options {
        board: "nodemcu",
        out: None,
        update_key: None,
    })
}

fn key(digits: &str) -> Result<[u8; 32]> {
    let mut key = [0; 32];
    ensure!(
        digits.len() == 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()),
        "the update key: expected 64 hexadecimal digits"
    );
    for (at, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16)?;
    }
    Ok(key)
}
