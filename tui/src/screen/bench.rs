//! The bench: a blank board on a serial port becomes a controller of the fleet. [`Form`] says what it is to become,
//! [`Work`] how far that is; both are plain values. `update` decides and `view` draws, both pure; `workbench` alone
//! touches files and boards.

mod form;
#[cfg(test)]
mod tests;
mod update;
pub(super) mod view;
mod work;
mod workbench;

pub(super) use form::{Form, Order, Way};
pub(super) use update::{back, heard, open, refresh, step, take, typed};
pub(super) use work::{Act, Outcome, Step, Work};
pub(super) use workbench::Workbench;

use switchyard_flasher::SerialPort;

/// Characters of a serial port's path, as of any text of the form.
pub(crate) const TEXT_CHARS_MAX: usize = 1024;

/// What the bench shows.
#[derive(Debug, Default)]
pub(crate) struct Bench {
    pub(crate) pane: Pane,
    pub(crate) serial_ports: SerialPorts,
    /// The row under the cursor; the one behind the last serial port takes a path by hand.
    pub(crate) row: usize,
    /// A path that is typed, since not everything that is one can be listed.
    pub(crate) path: String,
    /// Kept for the next board, but for what is secret in it.
    pub(crate) form: Form,
    /// The board that is worked on, or was last.
    pub(crate) work: Option<Work>,
}

/// One at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Pane {
    /// Which serial port the board is behind.
    #[default]
    SerialPorts,
    /// Its path, typed by hand.
    Path,
    /// What the board is to become.
    Form,
    /// Whether a board that kills on mains is off it: what is typed by whoever says so.
    Mains(String),
    /// How it goes.
    Work,
}

/// The serial ports of this machine, once they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum SerialPorts {
    #[default]
    Asking,
    Found(Vec<SerialPort>),
    Failed(String),
}

impl SerialPorts {
    pub(crate) fn list(&self) -> &[SerialPort] {
        match self {
            SerialPorts::Found(list) => list,
            _ => &[],
        }
    }
}

/// What the bench wants of the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// The serial ports that there are now.
    List,
    /// A controller made of a board.
    Start(Box<Order>),
    /// The work ended where that does no harm.
    Stop,
}

/// What the world has for the bench.
#[derive(Debug)]
pub(crate) enum News {
    Listed(Result<Vec<SerialPort>, String>),
    Worked(switchyard_flasher::Event),
    Ended(Outcome),
}

impl Bench {
    /// Whether a board is being worked on.
    pub(crate) fn is_working(&self) -> bool {
        self.work.as_ref().is_some_and(|work| work.end.is_none())
    }

    /// Whether keys are text here, and not commands.
    pub(crate) fn takes_text(&self) -> bool {
        matches!(self.pane, Pane::Path | Pane::Form | Pane::Mains(_))
    }
}
