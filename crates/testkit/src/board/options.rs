//! What kind of board it is.

use super::{
    application::{Application, BannerApplication},
    fault::Fault,
    flash::{FlashSize, FlashTiming, SecondProgram},
};

/// How fast everything goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speed {
    /// As on a real board: bytes take their time on the line, erasing and programming theirs.
    Real,
    /// Everything is done the moment that it begins.
    Immediate,
}

/// How the host's modem lines are wired to the chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wiring {
    /// By the usual two transistors: RTS alone holds the chip in reset, DTR alone pulls GPIO0 down, and both
    /// together do neither.
    Auto,
    /// Not at all: somebody sets a jumper and presses reset.
    Manual,
}

/// Makes the application that flash holds, each time the chip boots; none when the boot loader of the image
/// would find nothing to run.
pub type ApplicationFactory = Box<dyn Fn(&[u8]) -> Option<Box<dyn Application>> + Send>;

/// What kind of board it is. [`Default`] is a relay board with an ESP8266EX and 1 MiB, wired by hand, on
/// which everything is immediate.
pub struct BoardOptions {
    /// How fast everything goes.
    pub speed: Speed,
    /// How the modem lines are wired.
    pub wiring: Wiring,
    /// The station's hardware address.
    pub mac: [u8; 6],
    /// Whether the chip is an ESP8285, with its flash inside.
    pub is_esp8285: bool,
    /// How large the flash is.
    pub flash_size: FlashSize,
    /// Whether the flash is wired so that only the mode DOUT works, as on many relay boards: an image whose header
    /// names another one is written and read well, and does not boot.
    pub is_dout_only: bool,
    /// The first byte of the flash's identification.
    pub flash_maker: u8,
    /// How long the flash takes, where the speed is real.
    pub flash_timing: FlashTiming,
    /// What a second program of a word does.
    pub second_program: SecondProgram,
    /// What runs after a good image was loaded.
    pub application: ApplicationFactory,
    /// What goes wrong.
    pub faults: Vec<Fault>,
}

impl Default for BoardOptions {
    fn default() -> Self {
        BoardOptions {
            speed: Speed::Immediate,
            wiring: Wiring::Manual,
            mac: [0x5c, 0xcf, 0x7f, 0x12, 0x34, 0x56],
            is_esp8285: false,
            flash_size: FlashSize::Mib1,
            is_dout_only: false,
            flash_maker: 0xef,
            flash_timing: FlashTiming::TYPICAL,
            second_program: SecondProgram::Counted,
            application: Box::new(|_| Some(Box::new(BannerApplication::default()))),
            faults: Vec::new(),
        }
    }
}

impl BoardOptions {
    /// The times that hold at this speed.
    pub(super) fn flash_timing(&self) -> FlashTiming {
        match self.speed {
            Speed::Real => self.flash_timing,
            Speed::Immediate => FlashTiming::NONE,
        }
    }
}
