//! The command line, as clap reads it.

mod alarms;
mod batch;
mod boards;
mod job;
mod label;
mod monitor;
mod provision;

pub(crate) use alarms::{
    AlarmsLine, AlarmsList, AlarmsVerb, ContactOrder, ContactsVerb, OnCallLine, OnCallVerb,
    PlanVerb, RuleOrder, RuleVerb,
};
pub(crate) use batch::{BatchOrder, BatchVerb};
pub(crate) use boards::{AfterFlash, Attached, BeforeFlash, FlashOrder, How, region};
pub(crate) use job::JobVerb;
pub(crate) use label::LabelOrder;
pub(crate) use monitor::{MonitorOrder, Timestamps};
pub(crate) use provision::{ProvisionOrder, WifiLine, WifiVerb};

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::{path::PathBuf, time::Duration};
use switchyard_client::{GatewayUrl, signature::ArgumentType};
use switchyard_protocol::{
    Address, SiteId,
    limits::EXPIRY_MAX,
    message::{Name, Text, Title},
};

/// Told by `--help`; the README says the same.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
   0  done
   1  something that has no number of its own
   2  the command line makes no sense
   3  unknown address: nobody was ever given it
   4  off line: known, but not there now
   5  refused or forbidden
   6  expired before it was executed
   7  log in first, or again
   8  gateway gone: it cannot be reached
   9  executed, but the feedback did not follow (not confirmed)
  10  unknown: nobody can tell what became of the command
  11  no answer in time
 130  interrupted

With --json every line of output is one JSON object.";

/// The Switchyard console: controllers near and far, from a terminal.
///
/// Without a command it opens the screen.
#[derive(Debug, Parser)]
#[command(name = "switchyard", version, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Arguments {
    /// Folder with the log-in and this installation's identity [default:
    /// $XDG_CONFIG_HOME/switchyard]
    #[arg(long, value_name = "DIR", env = "SWITCHYARD_CONFIG", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// Whether the screen rings the terminal's bell for a new alarm of high severity
    #[arg(long, value_name = "WHEN", env = "SWITCHYARD_BELL", value_enum, default_value_t = Bell::On)]
    pub(crate) bell: Bell,
    #[command(subcommand)]
    pub(crate) command: Option<Verb>,
}

/// Whether the bell rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Bell {
    /// Once for each new one.
    On,
    /// Never.
    Off,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Log in to a gateway and remember it
    Login {
        /// The gateway, such as http://gateway.example:7480
        url: GatewayUrl,
        /// The account; asked for when left out
        #[arg(long, short)]
        account: Option<String>,
        /// Read the password's line from standard input instead of asking for it
        #[arg(long)]
        password_stdin: bool,
        /// The code of the account's second factor, as its app shows it now; where the account has
        /// one and this is left out, it is asked for
        #[arg(long, value_name = "DIGITS", value_parser = one_time_code)]
        code: Option<String>,
    },
    /// Revoke the log-in and forget it
    Logout,
    /// List the controllers
    Ls {
        #[command(flatten)]
        output: Output,
    },
    /// Print a controller's status and its changes until interrupted
    Watch {
        /// The controller's number
        #[arg(value_parser = controller)]
        address: Address,
        /// End after so many changes
        #[arg(long, value_name = "K")]
        count: Option<u64>,
        #[command(flatten)]
        output: Output,
    },
    /// Switch a manual output, or call a command of the script, and print the receipt's stages
    Send {
        /// The controller's number
        #[arg(value_parser = controller)]
        address: Address,
        /// An output such as RL1, or a command of `switchyard describe`
        name: Name,
        /// For an output: on, off, 0, 1 or a number; for a command: what its signature says
        #[arg(allow_negative_numbers = true)]
        arguments: Vec<String>,
        /// How long the command is good for; executed later it never is
        #[arg(long, default_value = "10s", value_parser = expiry)]
        timeout: Duration,
        /// Let it wait at the gateway for a controller that is off line
        #[arg(long)]
        wait: bool,
        #[command(flatten)]
        output: Output,
    },
    /// Show a controller's behaviour and its commands
    Describe {
        /// The controller's number
        #[arg(value_parser = controller)]
        address: Address,
        #[command(flatten)]
        output: Output,
    },
    /// Ask any peer who it is and time the answer; 0 is the gateway
    Ping {
        /// The peer's number
        address: Address,
        #[command(flatten)]
        output: Output,
    },
    /// Send a line to the person at another tool
    Note {
        /// The tool's number
        #[arg(value_parser = tool)]
        address: Address,
        /// The line, up to 200 bytes
        #[arg(value_parser = line)]
        text: Text,
    },
    /// Make an address and a key for a new controller; the key is shown this once
    Enrol {
        /// What people will call it
        title: Title,
        /// The site that it belongs to, by its number [default: none]
        #[arg(long, value_name = "N")]
        site: Option<SiteId>,
        #[command(flatten)]
        output: Output,
    },
    /// Hold an output at a value for a time, whatever is wanted of it
    Force {
        /// The controller's number
        #[arg(value_parser = controller)]
        address: Address,
        /// The output, such as RL1
        name: Name,
        /// on, off, 0, 1, or a number for an analogue one
        #[arg(allow_negative_numbers = true)]
        value: String,
        /// For how long, such as 10m; up to 24h
        #[arg(value_parser = expiry)]
        duration: Duration,
        #[command(flatten)]
        output: Output,
    },
    /// Hold an output no more
    Release {
        /// The controller's number
        #[arg(value_parser = controller)]
        address: Address,
        /// The output
        name: Name,
        #[command(flatten)]
        output: Output,
    },
    /// Change a parameter of the script, and print the receipt's stages
    Adjust {
        /// The controller's number
        #[arg(value_parser = controller)]
        address: Address,
        /// The parameter, one of `switchyard params`
        name: Name,
        /// Its value, as its type wants it: on, 42, 0.5 or 30s
        #[arg(allow_negative_numbers = true)]
        value: String,
        /// How long the command is good for; executed later it never is
        #[arg(long, default_value = "10s", value_parser = expiry)]
        timeout: Duration,
        #[command(flatten)]
        output: Output,
    },
    /// Show the parameters of a controller's script
    Params {
        /// The controller's number
        #[arg(value_parser = controller)]
        address: Address,
        #[command(flatten)]
        output: Output,
    },
    /// Show what everything in a controller's script is worth now
    Values {
        /// The controller's number
        #[arg(value_parser = controller)]
        address: Address,
        #[command(flatten)]
        output: Output,
    },
    /// Show a controller's own log, newest first
    Log {
        /// The controller's number
        #[arg(value_parser = controller)]
        address: Address,
        /// At most so many entries
        #[arg(long, value_name = "K", default_value_t = 50)]
        count: usize,
        #[command(flatten)]
        output: Output,
    },
    /// Show how a controller is: restarts, memory, scans, script
    Health {
        /// The controller's number
        #[arg(value_parser = controller)]
        address: Address,
        #[command(flatten)]
        output: Output,
    },
    /// Read and write a controller's script
    Script {
        #[command(subcommand)]
        verb: ScriptVerb,
    },
    /// Send a controller new firmware, which it tries once it restarts
    Firmware {
        #[command(subcommand)]
        verb: FirmwareVerb,
    },
    /// Get a controller's recording of the scans before its last fault
    Recording {
        /// The controller's number
        #[arg(value_parser = controller)]
        address: Address,
        /// The file to put it into
        file: PathBuf,
        #[command(flatten)]
        output: Output,
    },
    /// Have a controller start anew
    Restart {
        /// The controller's number
        #[arg(value_parser = controller)]
        address: Address,
        #[command(flatten)]
        output: Output,
    },
    /// Run a controller's last scans again, from the recording that it kept, and show what each did
    Replay {
        /// The recording, as `recording` and the controller's `GET /api/recording` give it
        recording: PathBuf,
        /// The script that was recorded
        script: PathBuf,
        /// The board [default: the one for which the script is the recorded one]
        #[arg(long, value_name = "NAME")]
        board: Option<String>,
        #[command(flatten)]
        output: Output,
    },
    /// List what is wrong, and say that you heard
    Alarms {
        #[command(flatten)]
        line: AlarmsLine,
    },
    /// Who may be told of alarms, and how
    Contacts {
        #[command(subcommand)]
        verb: ContactsVerb,
    },
    /// Print who is on call, now and next, and who is told after whom
    OnCall {
        #[command(flatten)]
        line: OnCallLine,
    },
    /// Read and write who is told after whom
    AlarmPlan {
        #[command(subcommand)]
        verb: PlanVerb,
    },
    /// What raises an alarm without a script
    AlarmRule {
        #[command(subcommand)]
        verb: RuleVerb,
    },
    /// List this machine's serial ports, on which boards hang
    Boards {
        #[command(flatten)]
        output: Output,
    },
    /// Say which chip and how much flash a board has
    Identify {
        #[command(flatten)]
        attached: Attached,
        #[command(flatten)]
        output: Output,
    },
    /// Write files into a board's flash over serial, and verify them. What is there already is left as it is, what is
    /// overwritten is kept in a file, and an interrupted write goes on where it was
    Flash {
        #[command(flatten)]
        order: Box<FlashOrder>,
    },
    /// Make a controller of a board on a cable, in one go: write its program, tell it its settings and its network, enrol
    /// it at the gateway, and wait until it is there. What fails is taken back on both sides
    Provision {
        #[command(flatten)]
        order: Box<ProvisionOrder>,
    },
    /// Look at the Wi-Fi of a board on a cable, and set it
    Wifi {
        #[command(subcommand)]
        verb: WifiVerb,
    },
    /// Read a board's flash into a file, which may have keys in it
    Dump {
        #[command(flatten)]
        attached: Attached,
        /// The file
        file: PathBuf,
        /// Where to begin
        #[arg(long, value_name = "ADDRESS", default_value = "0", value_parser = boards::number)]
        offset: u32,
        /// How many bytes [default: to the end]
        #[arg(long, value_name = "N", value_parser = boards::number)]
        bytes: Option<u32>,
        #[command(flatten)]
        output: Output,
    },
    /// Erase a part of a board's flash, or all of it
    Erase {
        #[command(flatten)]
        attached: Attached,
        /// From an address on, so many bytes; both are multiples of 0x1000
        #[arg(value_name = "ADDRESS+BYTES", value_parser = boards::part, required_unless_present = "all")]
        part: Option<(u32, u32)>,
        /// Everything, settings and radio calibration too
        #[arg(long, conflicts_with = "part")]
        all: bool,
        #[command(flatten)]
        output: Output,
    },
    /// Show what a board says on its serial line until interrupted: its boot log, its application, why it restarted, and
    /// where it crashed. What is typed is sent
    Monitor {
        #[command(flatten)]
        order: Box<MonitorOrder>,
    },
    /// Sign and show the jobs by which batches of boards are made
    Job {
        #[command(subcommand)]
        verb: JobVerb,
    },
    /// Make controllers of a batch of boards by a job, several at once
    Batch {
        #[command(subcommand)]
        verb: BatchVerb,
    },
    /// Make a board's label: a picture, a document, or what a label printer takes
    Label {
        #[command(flatten)]
        order: Box<LabelOrder>,
    },
    /// Print a completion script
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual's pages
    #[command(hide = true)]
    Man {
        /// The folder that they go to
        folder: PathBuf,
    },
}

/// What to do with a controller's script.
#[derive(Debug, Subcommand)]
pub(crate) enum ScriptVerb {
    /// Print the script that runs, or put it into a file
    Get {
        /// The controller's number
        #[arg(value_parser = controller)]
        address: Address,
        /// The file
        file: Option<PathBuf>,
        #[command(flatten)]
        output: Output,
    },
    /// Have a controller run the script in a file: on trial, until `keep` or `revert`
    Put {
        /// The controller's number
        #[arg(value_parser = controller)]
        address: Address,
        /// The file
        file: PathBuf,
        /// Keep it at once, without a trial
        #[arg(long)]
        keep: bool,
        #[command(flatten)]
        output: Output,
    },
    /// End the trial and keep the script
    Keep {
        /// The controller's number
        #[arg(value_parser = controller)]
        address: Address,
        #[command(flatten)]
        output: Output,
    },
    /// End the trial and go back to the script before
    Revert {
        /// The controller's number
        #[arg(value_parser = controller)]
        address: Address,
        #[command(flatten)]
        output: Output,
    },
}

/// What to do about a controller's firmware.
#[derive(Debug, Subcommand)]
pub(crate) enum FirmwareVerb {
    /// Send an update and restart into it. Of several files the one for the slot that does not run
    Put {
        /// The controller's number
        #[arg(value_parser = controller)]
        address: Address,
        /// Signed images, as `cargo xtask firmware --sign` makes them: one for each slot
        #[arg(required = true, num_args = 1..=2)]
        files: Vec<PathBuf>,
        /// Leave the restart to somebody else
        #[arg(long)]
        no_restart: bool,
        #[command(flatten)]
        output: Output,
    },
}

/// How to print.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Output {
    /// Print JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// The code of a second factor, which people write in two groups.
pub(crate) fn one_time_code(text: &str) -> Result<String, String> {
    let code: String = text.chars().filter(|it| !it.is_whitespace()).collect();
    let is_code = code.len() == 6 && code.bytes().all(|it| it.is_ascii_digit());
    is_code
        .then_some(code)
        .ok_or_else(|| "expected the six digits that the account's app shows".to_owned())
}

fn controller(text: &str) -> Result<Address, String> {
    let address: Address = number(text)?;
    address
        .is_controller()
        .then_some(address)
        .ok_or_else(|| "expected a controller's number, from 1 to 2147483647".to_owned())
}

fn tool(text: &str) -> Result<Address, String> {
    let address: Address = number(text)?;
    address
        .is_tool()
        .then_some(address)
        .ok_or_else(|| "expected a tool's number, from 2147483648 up".to_owned())
}

fn number(text: &str) -> Result<Address, String> {
    text.parse()
        .map_err(|error: switchyard_protocol::AddressError| error.to_string())
}

fn line(text: &str) -> Result<Text, String> {
    if text.is_empty() {
        return Err("expected a line of 1 to 200 bytes".to_owned());
    }
    Text::new(text).map_err(|error| error.to_string())
}

/// A time-out such as 10s, up to a day.
pub(crate) fn expiry(text: &str) -> Result<Duration, String> {
    let milliseconds = ArgumentType::Time
        .read(text)
        .map_err(|error| error.to_string())?;
    let expiry = Duration::from_millis(milliseconds.unsigned_abs());
    if expiry.is_zero() || expiry > EXPIRY_MAX {
        return Err("expected a time from 1ms to 24h".to_owned());
    }
    Ok(expiry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn reads_and_refuses() {
        for (line, is_taken) in [
            ("send 100042 RL1 on", true),
            ("send 100042 level -5 --json", true),
            ("send 100042 pulse 5s --timeout 1m --wait", true),
            ("send 100042 RL1 on --timeout 25h", false),
            ("send 100042 RL1 on --timeout 10", false),
            ("send 3221225473 RL1 on", false),
            ("send pump RL1 on", false),
            ("send 100042 9lives on", false),
            ("watch 100042 --count 3 --json", true),
            ("watch 0", false),
            ("ping 0", true),
            ("note 3221225473 tea?", true),
            ("note 100042 tea?", false),
            ("force 100042 RL1 on 10m", true),
            ("force 100042 level -0.5 24h --json", true),
            ("force 100042 RL1 on", false),
            ("force 100042 RL1 on 25h", false),
            ("release 100042 RL1", true),
            ("adjust 100042 delay 30s", true),
            ("log 100042 --count 3", true),
            ("script put 100042 tank.script --keep", true),
            ("script get 100042", true),
            ("script 100042", false),
            ("login http://yard:8080 --account li --password-stdin", true),
            ("login http://yard --code 123456", true),
            ("login http://yard --code 12345", false),
            ("login http://yard --code 12345x", false),
            ("login https://yard", false),
            ("", true),
        ] {
            let words = std::iter::once("switchyard").chain(line.split_whitespace());
            let parsed = Arguments::try_parse_from(words);
            assert_eq!(parsed.is_ok(), is_taken, "{line}: {parsed:?}");
        }
    }
}
