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
mod release;
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
    /// Also make signed updates of the images. The file has the secret key, 64 hexadecimal digits; the images
    /// take updates that are signed by it.
    #[arg(long, value_name = "FILE", conflicts_with = "update_key")]
    sign: Option<PathBuf>,
    /// The lowest version that these updates may be followed by, such as 0.3.0: no way back below it.
    #[arg(long, value_name = "VERSION", requires = "sign")]
    lowest: Option<String>,
}

/// Builds, judges, and prints what the image holds.
pub(crate) fn firmware(options: &Firmware) -> Result<()> {
    setup::ready(&[setup::BUILD, setup::CHIP])?;
    match options.port {
        Target::Qemu => qemu::controller().map(|image| println!("image: {}", image.display())),
        Target::Esp8266 => {
            let maker = options
                .sign
                .as_deref()
                .map(release::Maker::read)
                .transpose()?;
            let update_key = match &maker {
                Some(maker) => Some(maker.public_key()?),
                None => options.update_key.as_deref().map(key).transpose()?,
            };
            let for_chip = esp8266::Options {
                board: &options.board,
                out: options.out.as_deref(),
                update_key,
                maker: maker.as_ref(),
                lowest: options
                    .lowest
                    .as_deref()
                    .map_or(Ok(0), esp8266::version_of)?,
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
        maker: None,
        lowest: 0,
    })
}

fn key(digits: &str) -> Result<[u8; 32]> {
    let mut key = [0; 32];
    ensure!(
        digits.len() == 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()),
        "a key: expected 64 hexadecimal digits"
    );
    for (at, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16)?;
    }
    Ok(key)
}
