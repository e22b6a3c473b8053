//! What is said on the command line about listening to a board.

use clap::{Args, ValueEnum};
use regex::Regex;
use std::path::PathBuf;

/// What is listened to, and what is shown of it.
#[derive(Args, Clone, Debug)]
pub(crate) struct MonitorOrder {
    /// The serial port, one of `switchyard boards`
    #[arg(long = "port", short = 'p', value_name = "PATH")]
    pub(crate) serial_port: String,
    /// Listen at this rate and no other [default: what comes decides between 74880, the boot log's, and 115200, the
    /// application's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(300..=4_000_000))]
    pub(crate) baud: Option<u32>,
    /// Reset the board first, where the line has DTR and RTS
    #[arg(long)]
    pub(crate) reset: bool,
    /// What stands before each line
    #[arg(long, value_name = "WHICH", value_enum, default_value_t = Timestamps::Elapsed)]
    pub(crate) timestamps: Timestamps,
    /// Show bytes instead of lines
    #[arg(long, conflicts_with_all = ["only", "not"])]
    pub(crate) hex: bool,
    /// Show lines alone in which this is found, a regular expression; of several any
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    pub(crate) only: Vec<Regex>,
    /// Leave out lines in which this is found
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    pub(crate) not: Vec<Regex>,
    /// Append all that comes to this file, with the time, whatever is shown
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
    /// What is sent behind each line that is typed, or comes by a pipe
    #[arg(long, value_name = "WHICH", value_enum, default_value_t = EndOfLine::Crlf)]
    pub(crate) eol: EndOfLine,
    /// The ELF file that the firmware was made from: crashes are told by function and line
    #[arg(long, value_name = "FILE")]
    pub(crate) elf: Option<PathBuf>,
    /// End when the board is unplugged, instead of waiting for it
    #[arg(long)]
    pub(crate) once: bool,
    /// Print JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which time stands before a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Timestamps {
    /// None
    None,
    /// Seconds since the start
    Elapsed,
    /// The date and the time, UTC
    Utc,
    /// The date and the time here
    Local,
}

/// What ends a line that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EndOfLine {
    /// Carriage return and line feed
    Crlf,
    /// Line feed
    Lf,
    /// Nothing
    None,
}

impl EndOfLine {
    pub(crate) const fn bytes(self) -> &'static [u8] {
        match self {
            EndOfLine::Crlf => b"\r\n",
            EndOfLine::Lf => b"\n",
            EndOfLine::None => b"",
        }
    }
}

fn pattern(text: &str) -> Result<Regex, String> {
    // Its own message has several lines, the last of which says what is wrong.
    Regex::new(text).map_err(|error| {
        let error = error.to_string();
        let last = error.lines().last().unwrap_or_default();
        let last = last.trim_start_matches("error: ");
        format!("expected a regular expression: {last}")
    })
}

#[cfg(test)]
mod tests {
    use crate::cli::{Arguments, Verb};
    use clap::Parser;

    #[test]
    fn monitors_are_read_and_refused() {
        for (line, is_taken) in [
            ("monitor --port /dev/ttyUSB0", true),
            ("monitor", false),
            ("monitor -p X --baud 9600 --reset --once --json", true),
            ("monitor -p X --baud 10", false),
            ("monitor -p X --timestamps local --eol lf", true),
            ("monitor -p X --timestamps sometimes", false),
            (
                "monitor -p X --only a.c --only ^d --not e$ --log x.log",
                true,
            ),
            ("monitor -p X --only a(", false),
            ("monitor -p X --hex --log x", true),
            ("monitor -p X --hex --only a", false),
        ] {
            let words = std::iter::once("switchyard").chain(line.split_whitespace());
            let parsed = Arguments::try_parse_from(words);
            assert_eq!(parsed.is_ok(), is_taken, "{line}: {parsed:?}");
        }
        let parsed =
            Arguments::try_parse_from(["switchyard", "monitor", "-p", "X", "--only", "a("]);
        let said = parsed.unwrap_err().to_string();
        assert!(
            said.contains("expected a regular expression: unclosed group"),
            "{said}"
        );
    }

    #[test]
    fn what_is_not_said_follows_the_board() {
        let parsed = Arguments::try_parse_from(["switchyard", "monitor", "-p", "X"]).unwrap();
        let Some(Verb::Monitor { order }) = parsed.command else {
            panic!("{parsed:?}");
        };
        assert_eq!((order.baud, order.reset, order.once), (None, false, false));
        assert_eq!(order.timestamps, super::Timestamps::Elapsed);
        assert_eq!(order.eol.bytes(), b"\r\n");
    }
}
