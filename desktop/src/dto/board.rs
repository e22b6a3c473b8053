//! What crosses the bridge about a board on the bench: what is ordered, and how far it is.

use std::fmt;

use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// What a board is to become, as the page's form has it. It bears passwords: its `Debug` shows none.
#[derive(Clone, PartialEq, Eq, Deserialize, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BoardOrder {
    /// The serial port's path.
    pub serial_port: String,
    /// How the board gets into its loader, and out of it.
    pub reset: BoardReset,
    /// What is written; none where its program is there already.
    pub images: Vec<BoardImage>,
    /// The board's profile. Also what tells whether mains are a danger.
    pub profile: String,
    /// The network that it joins.
    pub wifi: Option<String>,
    /// The network's password; empty for an open one.
    pub wifi_password: String,
    /// Where its gateways are, as the board sees them: HOST:PORT, at most two.
    pub gateways: Vec<String>,
    /// What people are to call it.
    pub title: String,
    /// The site that it belongs to.
    pub site: Option<u32>,
    /// The script that it runs: a file.
    pub script: Option<String>,
    /// Of the board's own page, where it has one already.
    pub page_password: Option<String>,
    /// A board that is enrolled already becomes another controller.
    pub replace: bool,
    /// Somebody says that the board is not on mains.
    pub off_mains: bool,
}

impl fmt::Debug for BoardOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoardOrder")
            .field("serial_port", &self.serial_port)
            .field("profile", &self.profile)
            .field("title", &self.title)
            .finish_non_exhaustive()
    }
}

/// How a board gets into its loader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub enum BoardReset {
    /// The adapter's lines do it.
    Lines,
    /// A person does it, by GPIO0 and power.
    Person,
}

/// A file, and where in the flash it belongs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BoardImage {
    /// The first byte's place.
    pub offset: u32,
    /// The file's path.
    pub path: String,
}

/// How far a board is. Each says all of it, so that those between may be left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct BoardState {
    /// Which serial port.
    pub serial_port: String,
    /// What it is to be called.
    pub title: String,
    /// What is being done.
    pub step: BoardStep,
    /// What somebody is asked to do.
    pub prompt: Option<BoardPrompt>,
    /// Of this step, in bytes.
    pub bytes: u32,
    /// Of those.
    pub bytes_done: u32,
    /// The chip and its MAC address.
    pub chip: Option<String>,
    /// What the board calls itself: profile and software.
    pub board: Option<String>,
    /// How often something was lost on the line and done again.
    pub retries: u32,
    /// The last lines of its log, the youngest last.
    pub lines: Vec<String>,
    /// Asked to stop, and not yet ended.
    pub is_stopping: bool,
    /// How it ended; until then the work goes on.
    pub end: Option<BoardEnd>,
}

/// What is being done with a board, in the order in which it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub enum BoardStep {
    /// Files are read, the serial port is opened, the board is looked for.
    Finding,
    /// What is there is compared with what is wanted.
    Comparing,
    /// What will be overwritten is read.
    BackingUp,
    /// It is written.
    Writing,
    /// It is read back.
    Verifying,
    /// Its program is waited for.
    Starting,
    /// Its page's password is given.
    Unlocking,
    /// It takes its settings.
    Setting,
    /// It joins its network.
    Joining,
    /// It takes its script.
    Script,
    /// The gateway makes its number and key.
    Enrolling,
    /// It starts as who it is.
    Restarting,
    /// It dials its gateway.
    Reaching,
    /// What was enrolled is taken back.
    RollingBack,
}

/// What a person at the board is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub enum BoardPrompt {
    /// Hold GPIO0 to ground, and power it.
    EnterLoader,
    /// Take GPIO0 off ground, and power it anew.
    StartProgram,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, TS)]
#[serde(
    tag = "kind",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum BoardEnd {
    /// It is a controller.
    Done {
        /// Its number.
        address: Option<u32>,
        /// Where its own page is.
        page: Option<String>,
        /// Who it was before; the gateway still knows of that one.
        before: Option<u32>,
    },
    /// It is not.
    Failed {
        /// What went wrong.
        message: String,
        /// What can be done about it.
        advice: Option<String>,
        /// Somebody has stopped it.
        is_stopped: bool,
        /// The number that was made and taken back, where that was so.
        address: Option<u32>,
        /// The board may still have that number.
        left_on_board: bool,
        /// The gateway may still know it.
        left_at_gateway: bool,
    },
}
