//! What can go wrong on the serial side, and what a person can do about it.

use std::{io, time::Duration};

use switchyard_protocol::{
    Address, Code,
    message::ScriptFault,
    serial::{ImprovError, Setting, WifiState},
};

use crate::{Heard, RegistryError, Remains, mac_text};

/// Why a serial operation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system's device registry (udev, the Windows registry, IOKit) did not answer.
    #[error("listing serial ports: expected an answer from the system's device registry")]
    List(#[source] serialport::Error),
    /// A serial port could not be opened.
    #[error("opening {path}")]
    Open {
        /// Which.
        path: String,
        /// What the system says.
        source: serialport::Error,
    },
    /// The line is gone: the adapter was unplugged, or its driver gave up.
    #[error("the serial line is gone")]
    Line(#[source] io::Error),
    /// Nothing at all came.
    #[error("looking for the board's loader: nothing answers")]
    Silent {
        /// Whether the line has DTR and RTS.
        has_signals: bool,
    },
    /// Something came, and it is no loader.
    #[error("looking for the board's loader: the board is talking, but not as its loader does")]
    NotInLoader {
        /// It is text at the line's rate: a program's log.
        is_text: bool,
    },
    /// Another chip.
    #[error("expected an ESP8266 and found a chip that calls itself {magic:#010x}")]
    OtherChip {
        /// What it calls itself.
        magic: u32,
    },
    /// The loader said no.
    #[error("{what}: {reason} (code {failure:#04x})")]
    Refused {
        /// What was asked for.
        what: &'static str,
        /// The loader's code.
        failure: u8,
        /// The same in words.
        reason: &'static str,
    },
    /// An answer did not come, or came broken.
    #[error("{what}: no whole answer came in time")]
    NoAnswer {
        /// What was asked for.
        what: &'static str,
    },
    /// The loader does not answer any more.
    #[error("the board's loader does not answer any more")]
    Lost,
    /// The stub did not come to life.
    #[error("starting the stub: it does not say that it runs")]
    StubSilent,
    /// The flash chip does not say what it is.
    #[error("asking the flash chip what it is: it does not answer")]
    FlashSilent,
    /// What is to be written does not fit.
    #[error(
        "expected what is written to end before {flash_bytes:#x}, where the flash does, and it ends at {end:#x}"
    )]
    FlashTooSmall {
        /// Where the flash ends.
        flash_bytes: u32,
        /// Where the content would.
        end: u64,
    },
    /// An image that is none.
    #[error("reading an image: expected {expected}")]
    BadImage {
        /// What was expected.
        expected: &'static str,
    },
    /// A file that says nothing about code.
    #[error("reading what addresses of code mean: expected {expected}")]
    BadElf {
        /// What was expected.
        expected: &'static str,
    },
    /// Regions that cannot be written together.
    #[error(
        "expected regions that do not touch the same sector, and {first:#x} and {second:#x} do"
    )]
    Overlap {
        /// Where the one begins.
        first: u32,
        /// And the other.
        second: u32,
    },
    /// A region that does not begin on a sector's border.
    #[error(
        "expected a region to begin on the border of a sector, a multiple of 0x1000, and found {offset:#x}"
    )]
    Unaligned {
        /// Where it begins.
        offset: u32,
    },
    /// What was written is not what is there, however often it was tried.
    #[error("verifying: {bytes} bytes from {offset:#x} on are not what was written")]
    Differs {
        /// Where the first difference is.
        offset: u32,
        /// How many bytes are concerned, in whole sectors.
        bytes: u32,
    },
    /// What was to be overwritten could not be kept.
    #[error("keeping a copy of what is in the flash")]
    Backup(#[source] io::Error),
    /// A person has asked to stop.
    #[error("stopped, as was asked")]
    Stopped,
    /// No firmware of ours answers.
    #[error("looking for the board's program: it does not answer")]
    NoFirmware {
        /// What came instead.
        heard: Heard,
    },
    /// A firmware answers, and it is somebody else's.
    #[error("expected Switchyard's program on the board and found {name:?}")]
    OtherFirmware {
        /// What it calls itself.
        name: String,
    },
    /// The board was started anew, and does not come back.
    #[error("starting the board anew: it does not come back")]
    NotBack,
    /// The firmware said no.
    #[error("{what}: the board says {}", code.name())]
    Declined {
        /// What was asked for.
        what: &'static str,
        /// Why not.
        code: Code,
    },
    /// The firmware said no to a command of the Improv standard.
    #[error("the board says {0:?}")]
    Improv(ImprovError),
    /// The board has a page password, and this line has not given it.
    #[error("the board is protected by its page's password")]
    Locked,
    /// It is another password.
    #[error("it is not the password of the board's page")]
    WrongPassword,
    /// Too many wrong ones.
    #[error("the board takes no password for another {} s", wait.as_secs().max(1))]
    Guessed {
        /// For how long.
        wait: Duration,
    },
    /// A setting cannot be that.
    #[error("expected a {} that a board can have", setting.name().replace('_', " "))]
    WrongSetting {
        /// Which.
        setting: Setting,
    },
    /// It is another board.
    #[error("expected a board {expected} and found {found}")]
    OtherProfile {
        /// The profile that was expected.
        expected: String,
        /// And the one that is there.
        found: String,
    },
    /// It runs another version.
    #[error("expected version {expected} on the board and found {found}")]
    OtherVersion {
        /// The one that was expected.
        expected: u32,
        /// And the one that is there.
        found: u32,
    },
    /// It is another one of the same kind.
    #[error(
        "expected the board {} that was written and found {}",
        mac_text(*expected),
        mac_text(*found)
    )]
    OtherBoard {
        /// The MAC address that was expected.
        expected: [u8; 6],
        /// And the one that is there.
        found: [u8; 6],
    },
    /// It may be on mains, with its pins live.
    #[error("{profile}: on mains its pins and the cable are live, and touching them can kill")]
    Mains {
        /// The board.
        profile: String,
    },
    /// It has no network to join.
    #[error("the board has no network set")]
    NoNetwork,
    /// It is somebody already.
    #[error("the board is enrolled as No. {address} already")]
    Enrolled {
        /// Who it is.
        address: Address,
    },
    /// It is on no network.
    #[error("joining the network: {}", not_joined(*state))]
    NotJoined {
        /// How its Wi-Fi does, where it tells.
        state: Option<WifiState>,
    },
    /// No gateway is set on it.
    #[error("the board has no gateway set")]
    NoGateway,
    /// It does not reach its gateway.
    #[error("the board does not reach its gateway")]
    NotReached {
        /// How its Wi-Fi does.
        wifi: WifiState,
    },
    /// What it answered to have kept is not there after a restart.
    #[error("expected the board to have kept its address, No. {address}, and it has not")]
    NotKept {
        /// Who it should be.
        address: Address,
    },
    /// The script does not compile.
    #[error("line {}, column {}: expected {}", .0.line, .0.column, .0.expected.as_str())]
    Script(Box<ScriptFault>),
    /// The script stopped as soon as it ran.
    #[error("the script stopped while it was on trial; the board's log says why")]
    ScriptStopped,
    /// The gateway could not do its part.
    #[error("the gateway")]
    Registry(#[source] RegistryError),
    /// The enrolment failed, and was taken back.
    #[error("the enrolment as No. {address} failed and {}{}", taken_back(left), was(*lost))]
    RolledBack {
        /// Why it failed.
        #[source]
        cause: Box<Error>,
        /// Who the board was to be.
        address: Address,
        /// What could not be taken back.
        left: Remains,
        /// Who the board was before, and is no more: its key cannot be had back.
        lost: Option<Address>,
    },
    /// A board that passed before; nothing was done.
    #[error("{} passed before", mac_text(*.mac))]
    DoneBefore {
        /// Which.
        mac: [u8; 6],
    },
    /// Another slot has a board of the same number just now.
    #[error("{} is being worked on in another slot", mac_text(*.mac))]
    Twice {
        /// Which.
        mac: [u8; 6],
    },
    /// What a board said first is not what its job expects.
    #[error("expected its first line to name {expected}{}", instead(found))]
    OtherBanner {
        /// Version and profile.
        expected: String,
        /// What it named; `None`: no such line was heard.
        found: Option<String>,
    },
    /// A script is too slow for what its job allows.
    #[error("expected scans of at most {scan_us_max} µs, and the script takes {scan_us} µs")]
    SlowScan {
        /// What it takes at most, in microseconds.
        scan_us: u32,
        /// What it may.
        scan_us_max: u32,
    },
    /// A batch cannot go on.
    #[error(transparent)]
    Batch(#[from] crate::BatchError),
    /// A job is not begun.
    #[error(transparent)]
    Job(#[from] crate::JobError),
    /// A label cannot be made.
    #[error(transparent)]
    Label(#[from] crate::LabelError),
    /// A report cannot be kept.
    #[error(transparent)]
    Report(#[from] crate::ReportError),
}

fn was(lost: Option<Address>) -> String {
    lost.map_or(String::new(), |it| {
        format!("; it was No. {it}, and is that no more")
    })
}

fn instead(found: &Option<String>) -> String {
    match found {
        Some(found) => format!(", and found {found}"),
        None => ", and heard no such line".to_owned(),
    }
}

fn not_joined(state: Option<WifiState>) -> &'static str {
    match state {
        Some(WifiState::WrongPassword) => "the password is wrong",
        Some(WifiState::NotFound) => "there is no such network where the board is",
        _ => "the board does not get into it",
    }
}

fn taken_back(left: &Remains) -> &'static str {
    match (left.on_board, left.at_gateway) {
        (false, false) => "was taken back on both sides",
        (true, false) => "was taken back at the gateway, but the board may still have it",
        (false, true) => "was taken back on the board, but the gateway still knows it",
        (true, true) => "could not be taken back: board and gateway may still have it",
    }
}

impl Error {
    /// What a person can do about it, in plain words; `None` where the error says all there is.
    #[must_use]
    pub fn advice(&self) -> Option<String> {
        let words = match self {
            Self::List(_) | Self::Stopped | Self::Report(_) => return None,
            Self::Batch(error) => return error.advice().map(str::to_owned),
            Self::DoneBefore { .. } | Self::SlowScan { .. } => return None,
            Self::Twice { .. } => {
                "Two boards cannot have the same number, and no board two cables: take one of them off."
            }
            Self::OtherBanner { .. } => {
                "The board runs another program than the job says. Have the job's images and its software looked at."
            }
            Self::Job(error) => return error.advice().map(str::to_owned),
            Self::Label(error) => return error.advice().map(str::to_owned),
            Self::Open { path, source } => return Some(how_to_open(path, source)),
            Self::Line(_) => {
                "Is the cable plugged in? Plug the board in again and start once more: what is already written is \
                 recognised and not written again."
            }
            Self::Silent { has_signals: false } => {
                "This line has no DTR and RTS to bring the board into its loader. Hold GPIO0 to ground, power the board, \
                 and use --before no-reset."
            }
            Self::Silent { has_signals: true } => {
                "Is the board powered, is its ground joined to the adapter's, and are RX and TX crossed? A board \
                 without a reset circuit starts its loader only if GPIO0 is held to ground while power comes."
            }
            Self::NotInLoader { is_text: true } => {
                "The board runs its program: GPIO0 was high when it started. Hold GPIO0 to ground, power the board \
                 anew, and try again."
            }
            Self::NotInLoader { is_text: false } => {
                "What comes is unreadable at this rate: a boot log at 74880 baud, another program's, or a bad cable. \
                 Hold GPIO0 to ground, power the board anew, and try again; if that does not help, try --baud 115200."
            }
            Self::OtherChip { .. } => "This tool writes ESP8266 and ESP8285 boards alone.",
            Self::Refused { .. } | Self::NoAnswer { .. } | Self::Lost => {
                "The cable drops or changes bytes, or the board's supply is too weak for the radio's chip. Use a \
                 shorter cable, a supply of at least 300 mA at 3.3 V, or a lower rate: --baud 115200."
            }
            Self::NoFirmware {
                heard: Heard::Nothing,
            } => {
                "Is the program on it (switchyard flash), is GPIO0 off ground, and was the board powered anew since? \
                 Check that RX and TX are crossed."
            }
            Self::NoFirmware { heard: Heard::Text } => {
                "Something talks on this line, but it is no program of ours: write it first, with switchyard flash."
            }
            Self::NoFirmware {
                heard: Heard::Noise,
            } => {
                "What comes is unreadable at 115200 baud: a boot log that begins again and again, another program, or a \
                 bad cable. switchyard monitor shows it."
            }
            Self::OtherFirmware { .. } => {
                "Its Wi-Fi can be set with switchyard wifi join; for the rest write our program first, with switchyard \
                 flash."
            }
            Self::NotBack => {
                "Is GPIO0 still held to ground? Then it starts its loader: take it off ground, power the board anew, and \
                 try again."
            }
            Self::Locked | Self::WrongPassword => {
                "Give the password of its page with --page-password, or hold the board's button for ten seconds, which \
                 opens the line as well."
            }
            Self::Guessed { .. } => "Wait for so long, or hold the board's button for ten seconds.",
            Self::OtherProfile { .. } => {
                "Write the images for this board, or say which board it is with --board."
            }
            Self::OtherVersion { .. } => {
                "The board went back to an older version, or the wrong files were written: write them again, and look at \
                 its log with switchyard monitor."
            }
            Self::Enrolled { .. } => {
                "If it is to become another controller, say so with --replace: the old one stays at the gateway, off \
                 line, until an admin withdraws it."
            }
            Self::NotJoined {
                state: Some(WifiState::WrongPassword),
            } => {
                "Passwords of networks tell capitals from small letters; the network's router shows the right one."
            }
            Self::NotJoined { .. } => {
                "Is the network on 2.4 GHz, and near enough? switchyard wifi scan lists what the board finds where it is."
            }
            Self::OtherBoard { .. } => {
                "Put the board back that was written, or begin anew with this one."
            }
            Self::Mains { .. } => {
                "Unplug the board from mains, supply it by the adapter's 3.3 V, and say so with --off-mains."
            }
            Self::NoNetwork => "Say which network it is to join: --wifi NAME.",
            Self::NoGateway => {
                "Say where the gateway is, as the board sees it: --gateway HOST:PORT."
            }
            Self::NotReached { wifi } if *wifi != WifiState::Joined => {
                "It lost its network again: is it near enough? switchyard wifi scan shows how strong each one is."
            }
            Self::NotReached { .. } => {
                "Is the gateway's address right as seen from the board's network, is its port for controllers open, and \
                 does the network let the board out?"
            }
            Self::NotKept { .. } | Self::Declined { .. } | Self::Improv(_) => {
                "The board's log says more: switchyard monitor."
            }
            Self::Script(fault) => return fault.fix.as_ref().map(|fix| fix.as_str().to_owned()),
            Self::ScriptStopped => {
                "A fault stopped it: the lines of the board's log above say which, or those of its page."
            }
            Self::WrongSetting { .. } => return None,
            Self::Registry(_) => "Is the gateway there, and the log-in good? See switchyard ls.",
            Self::RolledBack {
                cause,
                address,
                left,
                ..
            } => {
                let mut words = cause.advice().unwrap_or_default();
                if left.on_board {
                    words += " The board may dial with an address that the gateway refuses; provisioning it again with \
                              --replace puts that right.";
                }
                if left.at_gateway {
                    words += &format!(
                        " No. {address} stays at the gateway, off line, until an admin withdraws it."
                    );
                }
                return Some(words.trim().to_owned()).filter(|it| !it.is_empty());
            }
            Self::StubSilent => {
                "Reset the board and try with --no-stub: the chip's own loader does it all, only slower."
            }
            Self::FlashSilent => {
                "The flash chip is missing, broken, or its pins are in use by something else on the board."
            }
            Self::FlashTooSmall { .. } => {
                "This board has less flash than the image is made for. Take an image for a smaller flash, or another \
                 board."
            }
            Self::BadImage { .. } => {
                "The file is damaged or is no image for this chip: build or download it again. A copy that was kept of a board's \
                 flash is put back with --raw. Nothing was written."
            }
            Self::BadElf { .. } => {
                "Take the file that the image was made from, which the compiler's linker wrote; the image itself has \
                 no names in it."
            }
            Self::Backup(_) => {
                "What it is a copy of was not overwritten. Make room for the copy, or go without: --no-backup."
            }
            Self::Overlap { .. } | Self::Unaligned { .. } => "Nothing was written.",
            Self::Differs { .. } => {
                "The flash does not keep what is written: it is worn out or of bad make. Do not hand this board out."
            }
        };
        Some(words.to_owned())
    }
}

/// What keeps a serial port from being opened.
fn how_to_open(path: &str, source: &serialport::Error) -> String {
    match source.kind() {
        serialport::ErrorKind::Io(io::ErrorKind::PermissionDenied) if cfg!(target_os = "linux") => {
            "You may not use serial ports. Join the group that may, then log out and in again: sudo usermod -aG \
             dialout $USER"
                .to_owned()
        }
        _ if !cfg!(windows) && !std::path::Path::new(path).exists() => {
            format!("There is no {path}. Is the board plugged in? `switchyard boards` lists those that are.")
        }
        _ => match holder(path) {
            Some(holder) => format!("It is in use by {holder}. Close that and try again."),
            None => "Another program has it open, or its driver does not answer. Close serial monitors, or plug \
                     the board in again."
                .to_owned(),
        },
    }
}

/// Which process has a file open, as far as this person may see.
#[cfg(target_os = "linux")]
fn holder(path: &str) -> Option<String> {
    let wanted = std::fs::canonicalize(path).ok()?;
    let processes = std::fs::read_dir("/proc").ok()?;
    for process in processes.flatten() {
        let name = process.file_name();
        let Some(number) = name.to_str().and_then(|it| it.parse::<u32>().ok()) else {
            continue;
        };
        if number == std::process::id() {
            continue;
        }
        let Ok(files) = std::fs::read_dir(process.path().join("fd")) else {
            continue;
        };
        let mut files = files.flatten();
        if files.any(|file| std::fs::read_link(file.path()).is_ok_and(|it| it == wanted)) {
            let command = std::fs::read_to_string(process.path().join("comm"));
            let command = command.unwrap_or_default();
            return Some(format!("{} (process {number})", command.trim()));
        }
    }
    None
}

#[cfg(not(target_os = "linux"))]
fn holder(_: &str) -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_was_expected_and_keeps_the_cause() {
        let cause = serialport::Error::new(serialport::ErrorKind::Unknown, "udev is gone");
        let error = Error::List(cause);
        assert_eq!(
            error.to_string(),
            "listing serial ports: expected an answer from the system's device registry"
        );
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        assert_eq!(cause.as_deref(), Some("udev is gone"));
    }

    #[test]
    fn what_cannot_be_opened_is_explained() {
        let open = |path: &str, kind| Error::Open {
            path: path.to_owned(),
            source: serialport::Error::new(kind, "no"),
        };
        let denied = serialport::ErrorKind::Io(io::ErrorKind::PermissionDenied);
        let advice = open("/dev/null", denied).advice().unwrap();
        assert!(
            !cfg!(target_os = "linux") || advice.contains("dialout"),
            "{advice}"
        );
        let advice = open("/dev/no-such-board", serialport::ErrorKind::NoDevice).advice();
        assert!(cfg!(windows) || advice.unwrap().contains("switchyard boards"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn whoever_has_it_open_is_named() {
        use std::process::{Command, Stdio};
        let file = std::env::current_exe().unwrap();
        let input = std::fs::File::open(&file).unwrap();
        let mut child = Command::new("cat")
            .stdin(Stdio::from(input))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let found = holder(file.to_str().unwrap());
        child.kill().unwrap();
        child.wait().unwrap();
        let number = child.id();
        assert_eq!(found, Some(format!("cat (process {number})")));
    }
}
