//! What is said on the command line about making a controller of a board.

use super::{Attached, boards::region};
use clap::{Args, Subcommand};
use std::path::PathBuf;
use switchyard_protocol::SiteId;

/// What a board is to become.
#[derive(Args, Clone, Debug)]
pub(crate) struct ProvisionOrder {
    /// What people will call it
    pub(crate) title: String,
    #[command(flatten)]
    pub(crate) attached: Attached,
    /// Write this first: an address, which is a multiple of 0x1000, and a file. May be given several times
    #[arg(long = "write", value_name = "ADDRESS=FILE", value_parser = region)]
    pub(crate) regions: Vec<(u32, PathBuf)>,
    /// Which board it must be, such as esp12f-relay-4
    #[arg(long, value_name = "PROFILE")]
    pub(crate) board: Option<String>,
    /// Which version its program must have, as its manifest numbers it
    #[arg(long, value_name = "N")]
    pub(crate) version: Option<u32>,
    /// The network that it is to join. Its password is asked for, or is in SWITCHYARD_WIFI_PASSWORD
    #[arg(long, value_name = "NAME")]
    pub(crate) wifi: Option<String>,
    /// The network asks for no password
    #[arg(long, requires = "wifi")]
    pub(crate) open_wifi: bool,
    /// Where its gateway is, as seen from that network; a second one is dialled in turn with the first
    #[arg(long = "gateway", value_name = "HOST:PORT", num_args = 1)]
    pub(crate) gateways: Vec<String>,
    /// As what it announces itself on its network: letters, digits and hyphens
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Option<String>,
    /// Its local time, as POSIX writes it, such as CET-1CEST,M3.5.0,M10.5.0/3
    #[arg(long, value_name = "TZ")]
    pub(crate) zone: Option<String>,
    /// The script that it is to run
    #[arg(long, value_name = "FILE")]
    pub(crate) script: Option<PathBuf>,
    /// Protect it: its page and this cable ask for a password from then on, which is asked for, or is in
    /// SWITCHYARD_NEW_PAGE_PASSWORD
    #[arg(long)]
    pub(crate) protect: bool,
    /// It is protected already: its page's password is asked for, or is in SWITCHYARD_PAGE_PASSWORD
    #[arg(long)]
    pub(crate) page_password: bool,
    /// Give its own Wi-Fi another password, which is shown this once, for its label
    #[arg(long)]
    pub(crate) new_label: bool,
    /// The site that it belongs to, by its number
    #[arg(long, value_name = "N", conflicts_with = "no_enrol")]
    pub(crate) site: Option<SiteId>,
    /// Though it is a controller already, make another one of it
    #[arg(long, conflicts_with = "no_enrol")]
    pub(crate) replace: bool,
    /// Enrol it nowhere: settings and script alone
    #[arg(long)]
    pub(crate) no_enrol: bool,
    /// Say that the board is off mains, where nobody can be asked
    #[arg(long)]
    pub(crate) off_mains: bool,
    /// Keep no copy of what --write overwrites
    #[arg(long)]
    pub(crate) no_backup: bool,
    /// Print JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
}

/// What to do about a board's Wi-Fi, of whatever maker, if it speaks the Improv Serial standard.
#[derive(Debug, Subcommand)]
pub(crate) enum WifiVerb {
    /// List the networks that the board finds where it is
    Scan {
        #[command(flatten)]
        on: WifiLine,
    },
    /// Have it join a network; the password is asked for, or is in SWITCHYARD_WIFI_PASSWORD
    Join {
        /// The network's name
        network: String,
        /// It asks for no password
        #[arg(long)]
        open_wifi: bool,
        #[command(flatten)]
        on: WifiLine,
    },
    /// Say what it is, and whether it has joined a network
    State {
        #[command(flatten)]
        on: WifiLine,
    },
}

/// Where the board hangs.
#[derive(Args, Clone, Debug)]
pub(crate) struct WifiLine {
    /// The serial port, one of `switchyard boards`
    #[arg(long = "port", short = 'p', value_name = "PATH")]
    pub(crate) serial_port: String,
    /// Print JSON, one object a line
    #[arg(long)]
    pub(crate) json: bool,
}
