//! What can go wrong before there is a call, and with speech.

use std::{io, path::PathBuf};

/// Everything that this crate can fail with by itself. What becomes of a call that was begun is its
/// [`End`](crate::End).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A server that is neither a name nor an address.
    #[error("expected a server such as pbx.example or 192.0.2.1:5060 and found {0:?}")]
    Server(String),
    /// A server's name is not to be had.
    #[error("asking for the address of {server}")]
    Resolve {
        /// Its name.
        server: String,
        /// Why.
        source: io::Error,
    },
    /// Certificates of authorities that cannot be read.
    #[error("reading the certificates of authorities: {0}")]
    Roots(String),
    /// No socket is to be had.
    #[error("opening a socket for calls")]
    Socket(#[source] io::Error),
    /// As many calls are going on as may.
    #[error("expected at most {0} calls at a time")]
    TooManyCalls(usize),
    /// The trunk was closed.
    #[error("the trunk is closed")]
    Closed,
    /// Something else is to be said than can be.
    #[error("nothing says {phrase:?}: there is neither a clip of it nor a program that speaks")]
    Unspeakable {
        /// The phrase.
        phrase: String,
        /// Why the program does not, where there should be one.
        source: Option<io::Error>,
    },
    /// The program that speaks failed.
    #[error("speaking {program:?}: {message}")]
    Speaker {
        /// The program.
        program: PathBuf,
        /// What became of it.
        message: String,
    },
    /// A text is longer than anybody would listen to.
    #[error("expected a text of at most {max} characters and found {found}")]
    TextLength {
        /// Its length.
        found: usize,
        /// The longest that is spoken.
        max: usize,
    },
    /// A recorded clip is no sound that can be used.
    #[error("reading the clip {path}: {message}")]
    Clip {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
}
