//! What is said on the command line about boards on serial ports.

use clap::{Args, ValueEnum};
use std::path::PathBuf;
use switchyard_flasher::{FlashMode, FlashRate, FlashSize};

/// Where a board hangs, and how it is come by.
#[derive(Args, Clone, Debug)]
pub(crate) struct Attached {
    /// The serial port, one of `switchyard boards`
    #[arg(long = "port", short = 'p', value_name = "PATH")]
    pub(crate) serial_port: String,
    #[command(flatten)]
    pub(crate) how: How,
}

/// How a board is come by, on whichever serial port.
#[derive(Args, Clone, Debug)]
pub(crate) struct How {
    /// The rate; where the line drops bytes, lower ones are gone down to
    #[arg(long, default_value_t = 460_800, value_parser = clap::value_parser!(u32).range(9_600..=4_000_000))]
    pub(crate) baud: u32,
    /// How the board gets into its loader
    #[arg(long, value_enum, default_value_t = BeforeFlash::Reset)]
    pub(crate) before: BeforeFlash,
    /// How it gets out again
    #[arg(long, value_enum, default_value_t = AfterFlash::Reset)]
    pub(crate) after: AfterFlash,
    /// Use the chip's own loader alone: slower, and it cannot compare
    #[arg(long)]
    pub(crate) no_stub: bool,
}

/// How a board gets into its loader.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum BeforeFlash {
    /// By DTR and RTS, as most boards with a USB socket are wired
    Reset,
    /// The same through an adapter that inverts them
    InvertedReset,
    /// By a person, who holds GPIO0 to ground and powers it
    NoReset,
}

/// How a board gets out of its loader.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum AfterFlash {
    /// By RTS
    Reset,
    /// The same through an adapter that inverts it
    InvertedReset,
    /// By a person, who powers it anew
    NoReset,
}

/// What is to be written.
#[derive(Args, Clone, Debug)]
pub(crate) struct FlashOrder {
    #[command(flatten)]
    pub(crate) attached: Attached,
    /// What goes where: an address, which is a multiple of 0x1000, and a file
    #[arg(required = true, value_name = "ADDRESS=FILE", value_parser = region)]
    pub(crate) regions: Vec<(u32, PathBuf)>,
    /// How the flash is wired: keep, qio, qout, dio, dout
    #[arg(long, value_name = "MODE", default_value = "keep", value_parser = flash_mode)]
    pub(crate) flash_mode: Keepable<FlashMode>,
    /// How large the flash is said to be: keep, detect, 512KB, 1MB …
    #[arg(long, value_name = "SIZE", default_value = "keep", value_parser = flash_size)]
    pub(crate) flash_size: SizeWish,
    /// How fast it is read: keep, 20m, 26m, 40m, 80m
    #[arg(long, value_name = "RATE", default_value = "keep", value_parser = flash_rate)]
    pub(crate) flash_freq: Keepable<FlashRate>,
    /// Write files as they are, though one begins like an image and is none: a copy that was kept before
    #[arg(long, conflicts_with_all = ["flash_mode", "flash_size", "flash_freq"])]
    pub(crate) raw: bool,
    /// Keep no copy of what is overwritten
    #[arg(long)]
    pub(crate) no_backup: bool,
    /// The folder for copies of what is overwritten [default: $XDG_STATE_HOME/switchyard/backups]
    #[arg(long, value_name = "DIR", conflicts_with = "no_backup")]
    pub(crate) backup: Option<PathBuf>,
    /// Which board it is, such as sonoff-basic: its program must say the same once it has started
    #[arg(long, value_name = "PROFILE")]
    pub(crate) board: Option<String>,
    /// Which version its program must have, as its manifest numbers it
    #[arg(long, value_name = "N")]
    pub(crate) version: Option<u32>,
    /// Wait for its program, and for its network and gateway where it has them
    #[arg(long)]
    pub(crate) check: bool,
    /// Say that the board is off mains, where nobody can be asked
    #[arg(long)]
    pub(crate) off_mains: bool,
    /// With --no-stub, read every byte back at the end: minutes
    #[arg(long, requires = "no_stub")]
    pub(crate) read_back: bool,
    /// Print JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Something that is set, or stays as the image has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keepable<T>(pub(crate) Option<T>);

/// What becomes of the size in an image's head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SizeWish {
    pub(crate) size: Option<FlashSize>,
    pub(crate) detects: bool,
}

fn flash_mode(text: &str) -> Result<Keepable<FlashMode>, String> {
    one_of(text, &FlashMode::ALL)
}

fn flash_rate(text: &str) -> Result<Keepable<FlashRate>, String> {
    one_of(text, &FlashRate::ALL)
}

fn flash_size(text: &str) -> Result<SizeWish, String> {
    if text == "detect" {
        return Ok(SizeWish {
            size: None,
            detects: true,
        });
    }
    let size =
        one_of(text, &FlashSize::ALL).map_err(|error| error.replace("keep", "keep, detect"))?;
    Ok(SizeWish {
        size: size.0,
        detects: false,
    })
}

fn one_of<T: Copy>(text: &str, all: &[(T, &str)]) -> Result<Keepable<T>, String> {
    if text == "keep" {
        return Ok(Keepable(None));
    }
    match all.iter().find(|(_, name)| name.eq_ignore_ascii_case(text)) {
        Some((it, _)) => Ok(Keepable(Some(*it))),
        None => {
            let names: Vec<_> = all.iter().map(|(_, name)| *name).collect();
            Err(format!("expected keep, {}", names.join(", ")))
        }
    }
}

/// An image and its place.
pub(crate) fn region(text: &str) -> Result<(u32, PathBuf), String> {
    let (offset, path) = text
        .split_once('=')
        .ok_or("expected ADDRESS=FILE, such as 0x1000=user1.bin")?;
    Ok((number(offset)?, path.into()))
}

/// A number, by tens or, after 0x, by sixteens.
pub(crate) fn number(text: &str) -> Result<u32, String> {
    let read = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    read.map_err(|_| format!("expected a number such as 4096 or 0x1000 and found {text}"))
}

/// A part of the flash: where it begins, and how many bytes it has.
pub(crate) fn part(text: &str) -> Result<(u32, u32), String> {
    let (offset, bytes) = text
        .split_once('+')
        .ok_or("expected ADDRESS+BYTES, such as 0x7d000+0x2000")?;
    Ok((number(offset)?, number(bytes)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_parts_are_read() {
        assert_eq!(number("0x1000"), Ok(4096));
        assert_eq!(number("4096"), Ok(4096));
        assert_eq!(part("0x1000+8192"), Ok((4096, 8192)));
        assert_eq!(region("0=a=b"), Ok((0, "a=b".into())));
        for wrong in ["", "x", "-1", "0x1ffffffff"] {
            assert!(number(wrong).is_err(), "{wrong}");
        }
        assert!(region("a").is_err() && part("1").is_err());
    }

    #[test]
    fn heads_stay_or_take_a_name_that_is_known() {
        assert_eq!(flash_mode("keep").unwrap().0, None);
        assert_eq!(flash_mode("DOUT").unwrap().0, Some(FlashMode::Dout));
        assert_eq!(flash_rate("80m").unwrap().0, Some(FlashRate::Mhz80));
        assert_eq!(
            flash_size("4MB-c1").unwrap().size,
            Some(FlashSize::Mb4Halves)
        );
        assert!(flash_size("detect").unwrap().detects);
        let error = flash_size("3MB").unwrap_err();
        assert!(error.starts_with("expected keep, detect, 512KB"), "{error}");
    }
}
