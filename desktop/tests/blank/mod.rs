//! A blank virtual board on a terminal, without a reset circuit, and the person who has its jumper in his hand.

use anyhow::{Context as _, Result};
use switchyard_firmware::Network;
use switchyard_testkit::board::{BoardOnTerminal, BoardOptions, ControllerOnBoard, Surroundings};

/// The network around it: its name and its password.
pub(crate) const WIFI: (&str, &str) = ("yard", "behind the gate");
/// A script whose relays are switched by commands.
pub(crate) const SCRIPT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../firmware/scripts/latch.script"
);
/// What its program takes of the flash.
const IMAGE_BYTES: u32 = 30_000;

pub(crate) struct Blank {
    pub(crate) board: BoardOnTerminal,
    pub(crate) controller: ControllerOnBoard,
}

impl Blank {
    /// Powered, its jumper out, and with a network around it that leads to gateways.
    pub(crate) fn new() -> Result<Self> {
        let controller = ControllerOnBoard::new(Surroundings {
            networks: vec![Network {
                name: WIFI.0.into(),
                password: WIFI.1.into(),
            }],
            have_uplink: true,
            ..Surroundings::default()
        });
        let board = BoardOnTerminal::start(BoardOptions {
            application: controller.application(),
            ..BoardOptions::default()
        })?;
        let blank = Blank { board, controller };
        std::fs::write(blank.image_path(), image(IMAGE_BYTES))?;
        Ok(blank)
    }

    /// The serial port's path.
    pub(crate) fn serial_port(&self) -> Result<String> {
        text(self.board.path())
    }

    /// The file of its program.
    pub(crate) fn image(&self) -> Result<String> {
        text(&self.image_path())
    }

    fn image_path(&self) -> std::path::PathBuf {
        self.board.folder().join("image.bin")
    }

    /// GPIO0 off ground, and power.
    pub(crate) fn start_program(&self) {
        self.board.jumper(false);
        self.board.press_reset();
    }
}

fn text(path: &std::path::Path) -> Result<String> {
    let text = path.to_str().context("expected a path in UTF-8")?;
    Ok(text.to_owned())
}

/// An image that boots, `length` bytes of it loaded.
fn image(length: u32) -> Vec<u8> {
    let loaded: Vec<u8> = (0..length).map(|at| ((at * 31) >> 3) as u8).collect();
    let sum = loaded.iter().fold(0xef, |sum, byte| sum ^ byte);
    let mut image = vec![0xe9, 1, 0, 0, 0, 0, 0x10, 0x40, 0, 0, 0x10, 0x40];
    image.extend(length.to_le_bytes());
    image.extend(loaded);
    image.resize(image.len() | 15, 0);
    image.push(sum);
    image
}
