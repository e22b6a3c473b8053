//! One controller of a roll-out: where it stands, why, and what it had before.

use crate::digest::Digest;
use serde::{Deserialize, Serialize};

/// Where a controller stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Stage {
    /// Its turn has not come, it is away, or it is tried again.
    Pending,
    /// It is asked what it runs.
    Inspecting,
    /// It is sent the release.
    Sending,
    /// It runs the release on trial.
    OnTrial,
    /// It is told to keep it.
    Keeping,
    /// It has it for good, and is watched on.
    Soaking,
    /// It is brought back to what it had.
    Returning,
    /// The end: it has the release and was well.
    Kept,
    /// The end: it had the release before, or the release is not for its board.
    Skipped,
    /// The end: it has again what it had before.
    Reverted,
    /// The end of a way back: what it runs is not the release and not what it had before, or there is
    /// nothing to go back to. It is left as it is.
    Left,
    /// The end: it did not come to the release.
    Failed,
    /// The end: it was away until the deadline, or its turn had not come by then.
    Absent,
}

impl Stage {
    /// Every one, in order.
    pub const ALL: [Self; 13] = [
        Self::Pending,
        Self::Inspecting,
        Self::Sending,
        Self::OnTrial,
        Self::Keeping,
        Self::Soaking,
        Self::Returning,
        Self::Kept,
        Self::Skipped,
        Self::Reverted,
        Self::Left,
        Self::Failed,
        Self::Absent,
    ];

    /// The stable lowercase name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Inspecting => "inspecting",
            Self::Sending => "sending",
            Self::OnTrial => "on_trial",
            Self::Keeping => "keeping",
            Self::Soaking => "soaking",
            Self::Returning => "returning",
            Self::Kept => "kept",
            Self::Skipped => "skipped",
            Self::Reverted => "reverted",
            Self::Left => "left",
            Self::Failed => "failed",
            Self::Absent => "absent",
        }
    }

    /// Whether nothing more happens there, but for a roll-back.
    pub const fn is_end(self) -> bool {
        matches!(
            self,
            Self::Kept | Self::Skipped | Self::Reverted | Self::Left | Self::Failed | Self::Absent
        )
    }

    /// Whether it is watched there.
    pub(super) const fn is_watched(self) -> bool {
        matches!(self, Self::OnTrial | Self::Soaking)
    }
}

/// Why a controller stands where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It ran the release before it was sent.
    Matches,
    /// The release is for another board.
    OtherBoard,
    /// There is nothing that it could be brought back to.
    NothingToGoBackTo,
    /// It runs what neither this roll-out nor anything before it brought.
    ChangedElsewhere,
    /// Somebody else tries something on it.
    OtherTrial,
    /// It does not take the release: its own words or the gateway's.
    Refused(String),
    /// It could not be reached, or did not answer in time.
    Unreached(String),
    /// It ended its trial by itself.
    TrialFailed,
    /// It had more faults than it may.
    Faulty,
    /// Its link was lost and did not come back in time.
    LinkLost,
    /// The deadline has passed.
    Deadline,
    /// The roll-out was halted or broken off, and with it the trial.
    TrialBrokenOff,
    /// The roll-out was rolled back.
    RolledBack,
}

impl Reason {
    /// The stable lowercase name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Matches => "matches",
            Self::OtherBoard => "other_board",
            Self::NothingToGoBackTo => "nothing_to_go_back_to",
            Self::ChangedElsewhere => "changed_elsewhere",
            Self::OtherTrial => "other_trial",
            Self::Refused(_) => "refused",
            Self::Unreached(_) => "unreached",
            Self::TrialFailed => "trial_failed",
            Self::Faulty => "faulty",
            Self::LinkLost => "link_lost",
            Self::Deadline => "deadline",
            Self::TrialBrokenOff => "trial_broken_off",
            Self::RolledBack => "rolled_back",
        }
    }

    /// What was said about it, where something was.
    pub fn words(&self) -> Option<&str> {
        match self {
            Self::Refused(words) | Self::Unreached(words) => Some(words),
            _ => None,
        }
    }
}

/// What a controller had before it was sent anything. Told before the first send, and never again
/// while it may have the release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Previous {
    /// This content, which lies in the library.
    Saved(Digest),
    /// This one, which could not be saved.
    Unsaved(Digest),
    /// It had none.
    Nothing,
}

impl Previous {
    /// As a digest; none if there was nothing.
    pub fn digest(self) -> Option<Digest> {
        match self {
            Self::Saved(digest) | Self::Unsaved(digest) => Some(digest),
            Self::Nothing => None,
        }
    }

    /// What can be sent in order to bring it back.
    pub(super) fn saved(self) -> Option<Digest> {
        match self {
            Self::Saved(digest) => Some(digest),
            Self::Unsaved(_) | Self::Nothing => None,
        }
    }
}

/// What a controller has been asked and has not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Outstanding {
    /// The action's number.
    pub(super) action: u64,
    /// What it is.
    pub(super) asked: Asked,
    /// When it counts as unanswered.
    pub(super) until: u64,
}

/// The kinds of actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Asked {
    Inspect,
    Send,
    Keep,
    Revert,
}

/// The steps of a way back. Each begins with a look, and ends with one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Way {
    #[default]
    Look,
    EndTrial,
    SendPrevious,
}

/// One controller of a roll-out. What is as it was at the beginning is not written: a long list is stored whole when it
/// begins, and whenever somebody takes it over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place in the list.
    pub(super) position: u32,
    /// Its address.
    pub(super) address: u32,
    pub(super) stage: Stage,
    /// Why it is there; none where nothing is to be said.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) reason: Option<Reason>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) previous: Option<Previous>,
    /// A send of the release was given out: it has been touched.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) begun: bool,
    /// It may have the release at this moment.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) holds: bool,
    /// Counted as lost, once for all.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) lost: bool,
    /// On its way back for another try, in place of an end.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) again: bool,
    /// What comes next on its way back.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) way: Way,
    /// Whether its link is up. Told anew after a restart.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) online: bool,
    /// Since when it has not been.
    pub(super) offline_since: u64,
    /// Attempts in a row that led nowhere.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) attempts: u8,
    /// When it runs the release since.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) since: u64,
    /// Faults that it had before.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) faults_before: u32,
    /// It had fallen back from some firmware before it was sent this one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) fell_before: bool,
    /// Nothing is asked of it before that.
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) due: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) outstanding: Option<Outstanding>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Entry {
    pub(super) fn new(position: u32, address: u32, now: u64) -> Self {
        Self {
            position,
            address,
            stage: Stage::Pending,
            reason: None,
            previous: None,
            begun: false,
            holds: false,
            lost: false,
            again: false,
            way: Way::Look,
            online: false,
            offline_since: now,
            attempts: 0,
            since: 0,
            faults_before: 0,
            fell_before: false,
            due: 0,
            outstanding: None,
        }
    }

    /// The controller's address, as a number.
    pub fn address(&self) -> u32 {
        self.address
    }

    /// Its place in the list, from 0.
    pub fn position(&self) -> u32 {
        self.position
    }

    /// Where it stands.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Why it stands there, where something is to be said.
    pub fn reason(&self) -> Option<&Reason> {
        self.reason.as_ref()
    }

    /// What it had before, once that is known.
    pub fn previous(&self) -> Option<Previous> {
        self.previous
    }

    /// Whether the release was sent to it, whatever then became of it.
    pub fn was_touched(&self) -> bool {
        self.begun
    }

    /// What is to be done about it and from when on; none while that is nothing.
    pub(super) fn work(&self) -> Option<(Work, u64)> {
        if !self.online || self.outstanding.is_some() {
            return None;
        }
        let work = match self.stage {
            Stage::Returning => Work::Return,
            Stage::Keeping => Work::Keep,
            Stage::Sending => Work::Send,
            Stage::Pending if self.begun => Work::Again,
            Stage::Pending => Work::Admit,
            Stage::OnTrial | Stage::Soaking => Work::Watch,
            _ => return None,
        };
        Some((work, self.due))
    }

    /// When something happens by the clock alone: an answer that is overdue, a link that is lost.
    pub(super) fn alarm(&self, waits: Waits) -> Option<u64> {
        if let Some(outstanding) = self.outstanding {
            return Some(outstanding.until);
        }
        let is_missed = self.begun && !self.stage.is_end() && !self.online;
        let counts = !self.lost || waits.are_over;
        (is_missed && counts).then(|| self.offline_since.saturating_add(waits.grace_ms))
    }

    /// Whether it takes one of the places of `in_flight_max`.
    pub(super) fn is_in_flight(&self) -> bool {
        match self.stage {
            Stage::Inspecting | Stage::Sending => true,
            Stage::Keeping | Stage::Returning => self.outstanding.is_some(),
            _ => false,
        }
    }
}

/// How long absent controllers are waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    /// Before a link counts as lost.
    pub(super) grace_ms: u64,
    /// The deadline has passed: what is lost then is waited for no longer.
    pub(super) are_over: bool,
}

/// What is to be done, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Work {
    Return,
    Keep,
    Send,
    Again,
    Admit,
    Watch,
}

impl Work {
    /// In this order.
    pub(super) const ALL: [Self; 6] = [
        Self::Return,
        Self::Keep,
        Self::Send,
        Self::Again,
        Self::Admit,
        Self::Watch,
    ];
}

/// How many controllers are what, kept along as they change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) stages: [u32; Stage::ALL.len()],
    /// The release was sent to them.
    pub(super) begun: u32,
    /// Of those, the ones that have come to an end or are lost.
    pub(super) settled: u32,
    /// They are under way, and a step does not end before they are not.
    pub(super) busy: u32,
    /// They take a place of `in_flight_max`.
    pub(super) in_flight: u32,
    /// They are looked at while they are watched.
    pub(super) looks: u32,
    /// They are watched, on their way back, have not answered, or may have the release unseen: nothing is
    /// broken off or rolled back before they are done.
    pub(super) active: u32,
    /// Their turn has come.
    pub(super) admitted: u32,
}

impl Tally {
    /// Counts one in or out.
    pub(super) fn count(&mut self, entry: &Entry, is_in: bool) {
        let stage = entry.stage;
        let is_under_way = !stage.is_end() && stage != Stage::Pending;
        let is_to_go_on = stage == Stage::Pending && entry.begun;
        let is_unsure = stage == Stage::Pending && entry.holds;
        let is_admitted = entry.begun || matches!(stage, Stage::Inspecting | Stage::Sending);
        let add = |to: &mut u32, counts: bool| match (counts, is_in) {
            (true, true) => *to += 1,
            (true, false) => *to -= 1,
            (false, _) => {}
        };
        add(&mut self.stages[stage as usize], true);
        add(&mut self.begun, entry.begun);
        add(
            &mut self.settled,
            entry.begun && (stage.is_end() || entry.lost),
        );
        add(&mut self.busy, (is_under_way || is_to_go_on) && !entry.lost);
        add(&mut self.in_flight, entry.is_in_flight());
        add(
            &mut self.looks,
            stage.is_watched() && entry.outstanding.is_some(),
        );
        add(&mut self.active, is_under_way || is_unsure);
        add(&mut self.admitted, is_admitted);
    }

    pub(super) fn of(&self, stage: Stage) -> u32 {
        self.stages[stage as usize]
    }
}
