//! A roll-out: one release brought to a list of controllers, a few first, the others in steps, back
//! again when it does them no good. A pure machine: time and what happened come in, actions go out.
//!
//! ```text
//!             ┌──────────────────────── tried again ───────────────────────┐
//!             ▼                                                            │
//!  pending ──▶ inspecting ──▶ sending ──▶ on trial ──▶ keeping ──▶ soaking ──▶ kept
//!     │           │   └─▶ skipped  │          │                       │
//!     ▼           ▼                ▼          ▼                       ▼
//!   absent      failed          failed    reverted ◀── returning ◀────┘   (or left)
//! ```
//!
//! Parameters have no trial: from sending it goes to soaking. A firmware's is the controller's own, which nobody ends by
//! a word: from on trial it goes to soaking, or back.
//!
//! # What whoever drives it does
//!
//! 1. Tell it of every controller's presence, then call [`Rollout::poll`]; again after each
//!    [`Rollout::observe`] and [`Rollout::control`], and at [`Rollout::next_wake`].
//! 2. *Store [`Rollout::take_changes`] before any action is begun*, refused by the store if the token in
//!    the head is not the newest. What was stored is what happened, whenever the process dies.
//! 3. Begin the actions, each under its token, and answer each by its number before its `until`. An
//!    action that was answered, or whose time has passed, must have no effect any more.
//!
//! After a restart, or when another gateway has taken over, [`Rollout::resume`] begins from what was
//! stored. What was under way may have been done or not: nothing is assumed, everything begins with a look
//! at what the controller runs. `docs/adr/0021` tells why that is enough.

mod entry;
mod machine;
mod moves;
mod terms;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod world;

pub use entry::{Entry, Previous, Reason, Stage};
pub use machine::{Changes, Head, Rollout};
pub use terms::{
    Bound, CANARY_MAX, CONTROLLERS_MAX, DEADLINE_MS_MAX, Halts, IN_FLIGHT_MAX, PER_MINUTE_MAX,
    Release, ReleaseKind, RollBackOn, SOAK_MS_MAX, SOAK_MS_MIN, STEPS_MAX, Terms, TermsError,
};

use crate::digest::Digest;
use serde::{Deserialize, Serialize};
use switchyard_protocol::Address;
use thiserror::Error;

/// Something to be done at a controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    /// The owner's: whoever takes it over has a higher one, and this one is then refused.
    pub token: u64,
    /// By which it is answered.
    pub number: u64,
    /// Where.
    pub controller: Address,
    /// What.
    pub ask: Ask,
    /// When it is given up, in gateway time: by then it has been answered, or is taken as unanswered.
    pub until: u64,
}

/// What is asked of a controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Look at what it runs; answered by [`Answer::Inspected`].
    Inspect {
        /// See to it as well that what it runs lies in the library, so that it can be brought back.
        save: bool,
        /// What it had before, where it may have come half-way from that to the release, as parameters
        /// can. On the way there (`save`) half-way counts as that; on the way back as the release. Without
        /// it half-way is something else. A firmware that was in no library then is still known by it.
        before: Option<Digest>,
    },
    /// Bring it this content from the library and run it; answered by [`Answer::Sent`]. The transfer goes
    /// on where an earlier one of the same digest was cut off.
    Send {
        /// What.
        digest: Digest,
        /// On trial, where there is such; else for good.
        trial: bool,
    },
    /// End its trial and keep what is tried; answered by [`Answer::Done`].
    Keep,
    /// End its trial and go back; answered by [`Answer::Done`].
    Revert,
}

/// What became of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// What it runs.
    Inspected(Inspected),
    /// It runs what it was sent.
    Sent {
        /// On trial: unless it is kept it may go back by itself.
        on_trial: bool,
    },
    /// The release is not for its board; in place of what it runs.
    OtherBoard,
    /// It did as it was told.
    Done,
    /// It ran what it was sent, and has gone back by itself; how a firmware's trial fails.
    WentBack,
    /// It does not take that, nor will it: it does not compile, it is of another board, too old.
    Refused(String),
    /// No word from it, or that it is busy: another time.
    Unreached(String),
}

/// What a controller runs. Where it cannot tell at this moment the answer is
/// [`Answer::Unreached`], for nothing is a statement here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inspected {
    /// Of the release's kind; none if it has none.
    pub running: Option<Digest>,
    /// It runs that on trial.
    pub on_trial: bool,
    /// A firmware waits in it to be tried at its next restart, whenever that is.
    pub waiting: bool,
    /// It has fallen back from the firmware that it tried last.
    pub fell_back: bool,
    /// Faults since it runs it.
    pub faults: u32,
    /// What it runs lies in the library.
    pub saved: bool,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// A controller came or went. Those that are not in the list are ignored.
    Presence {
        /// Which.
        controller: Address,
        /// Whether its link is up.
        online: bool,
    },
    /// An action's end. Of one that is not awaited nothing is taken.
    Answer {
        /// Its number.
        action: u64,
        /// How it ended.
        answer: Answer,
    },
    /// A controller told by itself what it runs. Only of those that are watched something is taken.
    Health {
        /// Which.
        controller: Address,
        /// What it runs.
        inspected: Inspected,
    },
}

/// What a person wants of a roll-out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Nobody new; those that have begun go on.
    Pause,
    /// Go on, also after a halt: what has gone wrong so far is then forgiven.
    Resume,
    /// Nobody new, trials back, and what is kept stays: for good.
    Abort,
    /// Everybody back to what they had.
    RollBack,
}

impl Control {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Pause, Self::Resume, Self::Abort, Self::RollBack];

    /// The stable lowercase name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Abort => "abort",
            Self::RollBack => "roll_back",
        }
    }
}

/// Not possible in the phase that the roll-out is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the roll-out is {phase}: expected one that is {expected}")]
pub struct ControlError {
    /// In which it is.
    pub phase: Phase,
    /// In which it would be possible.
    pub expected: &'static str,
}

/// Where a roll-out stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It goes on by itself.
    Running,
    /// A person has paused it.
    Paused,
    /// A rule has halted it.
    Halted,
    /// A person breaks it off: trials are ended.
    Aborting,
    /// Everybody is brought back.
    RollingBack,
    /// The end: it has come through the list.
    Done,
    /// The end: broken off.
    Aborted,
    /// The end: everybody who could be reached is back.
    RolledBack,
}

impl Phase {
    /// The stable lowercase name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Halted => "halted",
            Self::Aborting => "aborting",
            Self::RollingBack => "rolling back",
            Self::Done => "done",
            Self::Aborted => "aborted",
            Self::RolledBack => "rolled back",
        }
    }

    /// Whether a person may want that in this phase.
    ///
    /// # Errors
    /// In which phases they may.
    pub const fn allows(self, control: Control) -> Result<(), ControlError> {
        let (is_possible, expected) = match control {
            Control::Pause => (matches!(self, Self::Running), "running"),
            Control::Resume => (
                matches!(self, Self::Paused | Self::Halted),
                "paused or halted",
            ),
            Control::Abort => (
                matches!(self, Self::Running | Self::Paused | Self::Halted),
                "running, paused or halted",
            ),
            Control::RollBack => (
                !matches!(self, Self::RollingBack | Self::RolledBack),
                "not yet rolled back",
            ),
        };
        if is_possible {
            return Ok(());
        }
        let phase = self;
        Err(ControlError { phase, expected })
    }

    /// Whether nothing more happens but by a roll-back.
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Done | Self::Aborted | Self::RolledBack)
    }
}

impl std::fmt::Display for Phase {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.name())
    }
}

/// Which rule has halted a roll-out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Too many faults.
    Faulty,
    /// Too many links lost.
    Lost,
    /// Too many trials that ended by themselves.
    FailedTrials,
    /// Too many refusals.
    Refused,
}

impl Rule {
    /// The stable lowercase name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Faulty => "faulty",
            Self::Lost => "lost",
            Self::FailedTrials => "failed_trials",
            Self::Refused => "refused",
        }
    }
}

/// Why a roll-out was halted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halt {
    /// By which rule.
    pub rule: Rule,
    /// While the canary was on.
    pub in_canary: bool,
    /// So many controllers.
    pub bad: u32,
    /// Of so many that the release was sent to.
    pub of: u32,
}

/// A roll-out in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Where it stands.
    pub phase: Phase,
    /// Why it was halted last, if ever.
    pub halt: Option<Halt>,
    /// 0 is the canary, then come the steps of the terms.
    pub step: u32,
    /// The controllers of the list.
    pub controllers: u32,
    /// Those that the release was sent to, whatever then became of it.
    pub touched: u32,
    /// How many are at each stage, in the order of [`Stage`]; stages without any are left out.
    pub stages: Vec<(Stage, u32)>,
}

/// What was stored is no roll-out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ResumeError {
    /// A later version wrote it.
    #[error("expected a roll-out of format {expected}, got {got}")]
    Format {
        /// What this version knows.
        expected: u8,
        /// What is there.
        got: u8,
    },
    /// Its terms are none.
    #[error("the stored terms are none")]
    Terms(#[from] TermsError),
    /// Controllers are missing or there twice.
    #[error(
        "expected the controllers of the list in its order, each once; number {0} is not there"
    )]
    Entries(u32),
    /// Somebody has taken it over already.
    #[error("expected a token of {stored} or above, got {token}")]
    Token {
        /// The newest that was stored.
        stored: u64,
        /// What was given.
        token: u64,
    },
}
