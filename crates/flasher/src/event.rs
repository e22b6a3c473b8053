//! What a long piece of work tells while it goes on.

use crate::{Chip, FlashId, Level};

/// Something that whoever watches may want to show.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The line has no DTR and RTS: somebody else must bring the board into its loader.
    NoSignals,
    /// The board is waited for: GPIO0 to ground, then power.
    WaitingForBoard,
    /// A chip answers.
    Found {
        /// What it says of itself.
        chip: Chip,
    },
    /// Its flash is known.
    Flash {
        /// What the flash chip says of itself.
        id: FlashId,
        /// Its size, where the id tells one.
        bytes: Option<u32>,
    },
    /// From now on this loader is spoken to, at this rate.
    Speaking {
        /// Which.
        level: Level,
        /// At which rate.
        baud: u32,
    },
    /// The stub does not run: the ROM does the work, which takes longer and cannot compare.
    WithoutStub,
    /// What is there is compared with what is wanted.
    Comparing {
        /// From here on.
        offset: u32,
        /// So many bytes.
        bytes: u32,
    },
    /// So much of what was wanted is there already.
    Unchanged {
        /// In bytes.
        bytes: u32,
    },
    /// What will be overwritten is read first.
    BackingUp {
        /// From here on.
        offset: u32,
        /// So many bytes.
        bytes: u32,
        /// Of which are read.
        done: u32,
    },
    /// It is written.
    Writing {
        /// From here on.
        offset: u32,
        /// So many bytes.
        bytes: u32,
        /// Of which are written.
        done: u32,
    },
    /// It is read back and compared.
    Verifying {
        /// From here on.
        offset: u32,
        /// So many bytes.
        bytes: u32,
        /// Of which are compared.
        done: u32,
    },
    /// Something was lost on the line; what is missing is done again.
    Again {
        /// What went wrong.
        why: String,
        /// The rate from now on.
        baud: u32,
    },
    /// All of it is there, and was seen to be.
    Verified {
        /// From here on.
        offset: u32,
        /// So many bytes.
        bytes: u32,
    },
}

/// Who watches a piece of work.
pub trait Watch {
    /// Something happened. Called on the thread that works: it waits meanwhile.
    fn event(&mut self, event: Event);

    /// Whether the work is to stop at the next place where that does no harm.
    fn is_stopped(&self) -> bool {
        false
    }
}

impl<F: FnMut(Event)> Watch for F {
    fn event(&mut self, event: Event) {
        self(event);
    }
}
