//! Why a batch cannot go on, whichever board is plugged in.

use std::{io, path::PathBuf};

/// Why a batch cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// A file cannot be read or written.
    #[error("{what} {}", path.display())]
    File {
        /// What was attempted.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another program has it.
    #[error("another program has {} open", path.display())]
    InUse {
        /// Which.
        path: PathBuf,
    },
    /// It has grown beyond what is read.
    #[error("{} is larger than any file of its kind", path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
    },
    /// A line is none of its kind.
    #[error("line {line} of {}: expected a line of a batch's own file", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which, from 1 on.
        line: usize,
    },
    /// There is no number above the highest one.
    #[error("numbering a board: all numbers are given")]
    NumbersExhausted,
    /// The stock is of another gateway.
    #[error("expected the gateway that the stock is of, {expected}")]
    OtherGateway {
        /// Whose it is.
        expected: String,
    },
    /// The stock has no address left.
    #[error("taking an address from the stock: all are handed out")]
    StockEmpty,
    /// The job wants one.
    #[error("expected a stock: the job's boards get their addresses from one")]
    NoStock,
    /// The job wants one.
    #[error("expected a log-in at a gateway: the job's boards are enrolled there")]
    NoRegistry,
    /// The job wants some.
    #[error("expected a folder for the labels that the job prints")]
    NoLabels,
}

impl BatchError {
    /// What a person can do about it, in plain words; `None` where the error says all there is.
    #[must_use]
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            Self::StockEmpty => Some(
                "`switchyard batch reserve` makes more, where the gateway can be reached. Then plug the board in again.",
            ),
            Self::NoStock => Some("`switchyard batch reserve` makes one; name it by --stock FILE."),
            Self::NoRegistry => Some("`switchyard login` logs in."),
            Self::NoLabels => Some("Name it by --labels DIR."),
            Self::OtherGateway { .. } => Some("Log in there, or take the stock of this one."),
            _ => None,
        }
    }
}
