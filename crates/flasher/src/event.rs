//! What a long piece of work tells while it goes on.

use switchyard_protocol::{Address, serial::Description};

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
    /// A person is to take GPIO0 off ground and to power the board anew.
    WaitingForStart,
    /// A board whose program runs says what it is.
    Described {
        /// What it says.
        description: Box<Description>,
    },
    /// Something is begun with it.
    Stage(Stage),
    /// The gateway has made an address for it.
    Enrolled {
        /// Which.
        address: Address,
    },
    /// A script is brought.
    Scripting {
        /// So many bytes.
        bytes: u32,
        /// Of which it has.
        done: u32,
    },
    /// The script compiles.
    Compiled {
        /// Operations of one scan.
        operations: u32,
        /// What a scan takes at most on the chip, in microseconds.
        scan_us: u32,
    },
    /// A line of its log.
    Log {
        /// Without its end.
        line: String,
    },
    /// All of it is there, and was seen to be.
    Verified {
        /// From here on.
        offset: u32,
        /// So many bytes.
        bytes: u32,
    },
}

/// What is being done with a running board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// Its program is waited for.
    Starting,
    /// Its page's password opens it to this line.
    Unlocking,
    /// It takes its settings.
    Setting,
    /// It joins its network.
    Joining,
    /// It takes its script.
    Script,
    /// The script runs, and is kept if it does well.
    Trial,
    /// The gateway makes an address and a key.
    Enrolling,
    /// It starts anew, as who it is.
    Restarting,
    /// It dials its gateway.
    Reaching,
    /// What was enrolled is taken back on both sides.
    RollingBack,
}

impl Stage {
    /// The name in `--json` and in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Starting => "starting",
            Stage::Unlocking => "unlocking",
            Stage::Setting => "setting",
            Stage::Joining => "joining",
            Stage::Script => "script",
            Stage::Trial => "trial",
            Stage::Enrolling => "enrolling",
            Stage::Restarting => "restarting",
            Stage::Reaching => "reaching",
            Stage::RollingBack => "rolling_back",
        }
    }
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
