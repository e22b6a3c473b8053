//! How a roll-out changes: what each answer, each lost link and each rule makes of a controller and of
//! the whole.

use super::{
    Action, Answer, Ask, Entry, Halt, Inspected, Phase, Previous, Reason, ReleaseKind, RollBackOn,
    Rollout, Rule, Stage,
    entry::{Asked, Outstanding, Way},
    machine::{Index, MINUTE_MS},
};
use switchyard_protocol::Address;

/// How often a controller is looked at while it is watched.
const LOOK_EVERY_MS: u64 = 15_000;
/// How long a look, a keep or a revert may take. Flash is erased for some of them.
const ASK_MS: u64 = 60_000;
/// How long a script or its parameters may take: 8 KB in ten pieces, behind what else is queued.
const SEND_MS: u64 = 180_000;
/// How long a firmware may take, over a poor link and with its restart.
const SEND_FIRMWARE_MS: u64 = 75 * 60_000;
/// How long a firmware may be on trial, which it is for a minute on line: three boots of ten minutes that do not come
/// to that take it back.
const FIRMWARE_TRIAL_MS_MAX: u64 = 40 * 60_000;
/// Attempts that lead nowhere until a controller has failed. By then a trial of somebody else's is over.
const ATTEMPTS_MAX: u8 = 8;
/// The first wait between two of them, doubled each time …
const AGAIN_MS: u64 = 10_000;
/// … to this at most.
const AGAIN_MS_MAX: u64 = 300_000;
/// What is kept of somebody's words: a receipt's `detail` has no more.
const WORDS_BYTES_MAX: usize = 200;

/// How it changes.
impl Rollout {
    /// The one way in which an entry changes: what is worked out of it follows.
    pub(super) fn change<T>(&mut self, position: u32, with: impl FnOnce(&mut Entry) -> T) -> T {
        let waits = self.waits();
        let entry = &mut self.entries[position as usize];
        self.index.count(entry, waits, false);
        let answer = with(entry);
        self.index.count(entry, waits, true);
        self.changed.insert(position);
        answer
    }

    pub(super) fn rebuild(&mut self) {
        let waits = self.waits();
        self.index = Index::default();
        for entry in &self.entries {
            self.index.addresses.insert(entry.address, entry.position);
            self.index.count(entry, waits, true);
        }
    }

    pub(super) fn advance_clock(&mut self, now: u64) {
        self.head.clock = self.head.clock.max(now);
        let minute = self.head.clock.saturating_sub(MINUTE_MS);
        while self
            .head
            .sends
            .front()
            .is_some_and(|begun| *begun <= minute)
        {
            self.head.sends.pop_front();
        }
    }

    fn to(&mut self, position: u32, stage: Stage, reason: Option<Reason>) {
        self.change(position, |entry| {
            entry.stage = stage;
            entry.reason = reason;
            if stage.is_end() {
                // What is still to be answered tells of before.
                entry.outstanding = None;
            }
        });
    }

    pub(super) fn presence(&mut self, controller: Address, online: bool) {
        let Some(position) = self.index.addresses.get(&controller.0).copied() else {
            return;
        };
        if self.entry(position).online == online {
            return;
        }
        let now = self.head.clock;
        self.change(position, |entry| {
            entry.online = online;
            if !online {
                entry.offline_since = now;
            } else if entry.stage.is_watched() || entry.stage == Stage::Returning {
                entry.due = now;
            }
        });
        let entry = self.entry(position);
        if !online && entry.stage == Stage::Sending && entry.outstanding.is_none() {
            self.give_up_turn(position);
        }
    }

    pub(super) fn answer(&mut self, action: u64, answer: Answer) {
        let Some(position) = self.index.actions.get(&action).copied() else {
            return;
        };
        let Some(outstanding) = self.change(position, |entry| entry.outstanding.take()) else {
            return;
        };
        let stage = self.entry(position).stage;
        match (outstanding.asked, answer) {
            (Asked::Inspect, Answer::Inspected(seen)) => match stage {
                Stage::Inspecting => self.inspected(position, seen),
                Stage::Returning => self.seen_on_the_way(position, seen),
                Stage::OnTrial | Stage::Soaking => self.watched(position, seen),
                // It told by itself what was asked, and has gone on.
                _ => {}
            },
            (Asked::Inspect, Answer::OtherBoard) if stage == Stage::Inspecting => {
                self.to(position, Stage::Skipped, Some(Reason::OtherBoard));
            }
            (Asked::Send, Answer::Sent { on_trial }) if stage == Stage::Sending => {
                self.sent(position, on_trial);
            }
            (Asked::Send, Answer::WentBack) if stage == Stage::Sending => {
                self.trial_failed(position);
            }
            // On its way back it is told once and for all, too.
            (Asked::Send, Answer::WentBack) => {
                self.to(position, Stage::Left, Some(Reason::TrialFailed));
            }
            (Asked::Send, Answer::Refused(words))
                if stage == Stage::Returning && self.release().kind == ReleaseKind::Firmware =>
            {
                let reason = Reason::Refused(bounded(words));
                self.to(position, Stage::Left, Some(reason));
            }
            (Asked::Inspect, Answer::Refused(words))
                if stage == Stage::Inspecting && self.tells_no_firmware(position) =>
            {
                let reason = Reason::Refused(bounded(words));
                self.to(position, Stage::Failed, Some(reason));
            }
            (Asked::Send, Answer::Refused(words)) if stage == Stage::Sending => {
                self.change(position, |entry| entry.holds = false);
                self.head.bad.refused += 1;
                self.to(
                    position,
                    Stage::Failed,
                    Some(Reason::Refused(bounded(words))),
                );
            }
            (Asked::Keep, Answer::Done) => self.kept(position),
            // A firmware that waits is given up. One that does not know how says so as well, and it waits on.
            (Asked::Revert, Answer::Done) if self.release().kind == ReleaseKind::Firmware => {
                self.again(position, Reason::OtherTrial);
            }
            // Whether it came back the next look tells.
            (Asked::Revert, Answer::Done) | (Asked::Send, Answer::Sent { .. }) => {
                let now = self.head.clock;
                self.change(position, |entry| {
                    entry.way = Way::Look;
                    entry.due = now;
                });
            }
            (_, Answer::Refused(words) | Answer::Unreached(words)) => {
                self.again(position, Reason::Unreached(bounded(words)));
            }
            _ => self.again(
                position,
                Reason::Unreached("an answer of another kind".into()),
            ),
        }
    }

    /// Whether a look that is refused for good is to end it: it has not been sent anything, and says nothing of what it
    /// is to be compared by.
    fn tells_no_firmware(&self, position: u32) -> bool {
        self.release().kind == ReleaseKind::Firmware && !self.entry(position).holds
    }

    /// What it runs, before it is sent anything.
    fn inspected(&mut self, position: u32, seen: Inspected) {
        let release = self.release();
        let Entry {
            previous,
            holds,
            fell_before,
            ..
        } = *self.entry(position);
        let is_there = seen.running == Some(release.digest);
        let is_back = seen.running == previous.and_then(Previous::digest);
        if (seen.on_trial && !(is_there && holds)) || (seen.waiting && !holds) {
            self.again(position, Reason::OtherTrial);
        } else if is_there && holds {
            // It was sent before, and nobody here has heard the end of it.
            self.sent(position, seen.on_trial);
        } else if is_there {
            self.to(position, Stage::Skipped, Some(Reason::Matches));
        } else if holds && !is_back {
            self.change(position, |entry| entry.holds = false);
            self.to(position, Stage::Failed, Some(Reason::ChangedElsewhere));
        } else if holds && seen.fell_back && !fell_before {
            // It was tried while nobody listened.
            self.trial_failed(position);
        } else if holds && seen.waiting && self.head.phase == Phase::RollingBack {
            self.bring_back(position, Reason::RolledBack, false);
        } else if holds && seen.waiting && self.is_stopped() {
            self.break_off(position);
        } else if self.head.past_deadline {
            self.too_late(position);
        } else {
            self.record(position, seen);
        }
    }

    /// Keeps what it had, and has it sent the release next.
    fn record(&mut self, position: u32, seen: Inspected) {
        let previous = match seen.running {
            Some(digest) if seen.saved => Previous::Saved(digest),
            Some(digest) => Previous::Unsaved(digest),
            None => Previous::Nothing,
        };
        // A script begins to count anew. So does the one that is there after a restart into a firmware, and
        // may do as badly as before.
        let faults_before = match self.release().kind {
            ReleaseKind::Parameters | ReleaseKind::Firmware => seen.faults,
            ReleaseKind::Script => 0,
        };
        let may_go = previous.saved().is_some() || self.head.terms.without_previous;
        let stage = match self.head.phase {
            _ if !may_go => Stage::Failed,
            Phase::Running => Stage::Sending,
            _ => Stage::Pending,
        };
        let now = self.head.clock;
        self.change(position, |entry| {
            // What waits there is the release, of an earlier attempt.
            entry.holds = seen.waiting;
            entry.previous = Some(previous);
            entry.faults_before = faults_before;
            // What waits has been sent since, and the manifest of that has made an earlier fall forgotten.
            entry.fell_before = seen.fell_back;
            entry.stage = stage;
            entry.reason = (!may_go).then_some(Reason::NothingToGoBackTo);
            entry.due = now;
        });
    }

    /// It runs the release.
    fn sent(&mut self, position: u32, on_trial: bool) {
        let now = self.head.clock;
        let stage = if on_trial {
            Stage::OnTrial
        } else {
            Stage::Soaking
        };
        self.change(position, |entry| {
            entry.stage = stage;
            entry.reason = None;
            entry.since = now;
            entry.attempts = 0;
            entry.due = now;
        });
        self.look_later(position);
        if self.head.phase == Phase::RollingBack {
            self.bring_back(position, Reason::RolledBack, false);
        } else if on_trial && self.is_stopped() {
            self.break_off(position);
        }
    }

    /// The next look, no later than the soak's next end.
    fn look_later(&mut self, position: u32) {
        let now = self.head.clock;
        let soak = match self.entry(position).stage {
            // Its end is the controller's to find.
            Stage::OnTrial if self.release().kind == ReleaseKind::Firmware => u64::MAX,
            Stage::OnTrial => self.trial_soak_ms(),
            _ => self.head.terms.soak_ms,
        };
        self.change(position, |entry| {
            let end = entry.since.saturating_add(soak).max(now);
            entry.due = now.saturating_add(LOOK_EVERY_MS).min(end);
        });
    }

    /// What it runs, while it is watched.
    pub(super) fn watched(&mut self, position: u32, seen: Inspected) {
        let release = self.release();
        let now = self.head.clock;
        let entry = self.entry(position);
        let (stage, elapsed) = (entry.stage, now - entry.since.min(now));
        if seen.running != Some(release.digest) {
            let is_back = seen.running == entry.previous.and_then(Previous::digest);
            if is_back && stage == Stage::OnTrial {
                self.trial_failed(position);
            } else {
                self.change(position, |entry| entry.holds = false);
                self.to(position, Stage::Failed, Some(Reason::ChangedElsewhere));
            }
            return;
        }
        // Fewer than before: it has restarted and counts anew.
        let before = entry.faults_before;
        let has_restarted = seen.faults < before && release.kind != ReleaseKind::Firmware;
        let before = if has_restarted { 0 } else { before };
        self.change(position, |entry| entry.faults_before = before);
        if seen.faults.saturating_sub(before) > self.head.terms.faults_max {
            self.faulty(position, seen.on_trial);
            return;
        }
        match stage {
            Stage::OnTrial if !seen.on_trial => self.kept(position),
            // A firmware's trial is the controller's: it ends it, one way or the other. Where it does not come to that
            // the new one is no good.
            Stage::OnTrial
                if release.kind == ReleaseKind::Firmware && elapsed >= FIRMWARE_TRIAL_MS_MAX =>
            {
                if !self.entry(position).lost {
                    self.head.bad.failed_trials += 1;
                }
                self.bring_back(position, Reason::TrialFailed, false);
            }
            Stage::OnTrial
                if release.kind != ReleaseKind::Firmware && elapsed >= self.trial_soak_ms() =>
            {
                self.change(position, |entry| {
                    entry.stage = Stage::Keeping;
                    entry.due = now;
                });
            }
            Stage::Soaking if elapsed >= self.head.terms.soak_ms => {
                self.to(position, Stage::Kept, None);
            }
            _ => {
                self.change(position, |entry| entry.attempts = 0);
                self.look_later(position);
            }
        }
    }

    /// Its trial has ended well.
    fn kept(&mut self, position: u32) {
        self.change(position, |entry| {
            entry.stage = Stage::Soaking;
            entry.attempts = 0;
        });
        self.look_later(position);
        if self.head.phase == Phase::RollingBack {
            self.bring_back(position, Reason::RolledBack, false);
        }
    }

    fn trial_failed(&mut self, position: u32) {
        self.change(position, |entry| entry.holds = false);
        let reason = if self.entry(position).lost {
            Reason::LinkLost
        } else {
            self.head.bad.failed_trials += 1;
            Reason::TrialFailed
        };
        self.to(position, Stage::Reverted, Some(reason));
    }

    fn faulty(&mut self, position: u32, on_trial: bool) {
        self.head.bad.faulty += 1;
        let previous = self.entry(position).previous;
        if on_trial || previous.and_then(Previous::saved).is_some() {
            self.bring_back(position, Reason::Faulty, false);
        } else {
            self.to(position, Stage::Failed, Some(Reason::Faulty));
        }
    }

    /// Its trial ends because nothing goes on.
    fn break_off(&mut self, position: u32) {
        let again = self.head.phase == Phase::Halted;
        self.bring_back(position, Reason::TrialBrokenOff, again);
    }

    /// Sets it on its way back: for good, or until it is tried again.
    fn bring_back(&mut self, position: u32, reason: Reason, again: bool) {
        let now = self.head.clock;
        self.change(position, |entry| {
            // A look that is still to be answered tells of before.
            entry.outstanding = None;
            entry.stage = Stage::Returning;
            entry.reason = Some(reason);
            entry.again = again;
            entry.way = Way::Look;
            entry.attempts = 0;
            entry.due = now;
        });
    }

    /// What it runs, on its way back.
    fn seen_on_the_way(&mut self, position: u32, seen: Inspected) {
        let now = self.head.clock;
        let previous = self.entry(position).previous;
        if seen.waiting {
            // Whatever runs now: at the next restart it would be that.
            self.change(position, |entry| {
                entry.way = Way::EndTrial;
                entry.due = now;
            });
        } else if seen.running == Some(self.release().digest) {
            let way = if seen.on_trial {
                Way::EndTrial
            } else if previous.and_then(Previous::saved).is_some() {
                Way::SendPrevious
            } else {
                self.to(position, Stage::Left, Some(Reason::NothingToGoBackTo));
                return;
            };
            self.change(position, |entry| {
                entry.way = way;
                entry.due = now;
            });
        } else if seen.running == previous.and_then(Previous::digest) {
            if seen.on_trial && self.release().kind == ReleaseKind::Firmware {
                // It may yet fall back, to the release.
                self.again(position, Reason::OtherTrial);
                return;
            }
            self.change(position, |entry| {
                entry.holds = false;
                entry.attempts = 0;
                entry.stage = if entry.again {
                    Stage::Pending
                } else {
                    Stage::Reverted
                };
            });
            if self.entry(position).stage == Stage::Pending && self.head.past_deadline {
                self.too_late(position);
            }
        } else if seen.on_trial {
            self.again(position, Reason::OtherTrial);
        } else {
            self.change(position, |entry| entry.holds = false);
            self.to(position, Stage::Left, Some(Reason::ChangedElsewhere));
        }
    }

    /// An attempt has led nowhere: another one, or none.
    fn again(&mut self, position: u32, reason: Reason) {
        let now = self.head.clock;
        let entry = self.entry(position);
        let Entry {
            stage,
            holds,
            begun,
            ..
        } = *entry;
        let attempts = entry.attempts.saturating_add(1);
        let wait = AGAIN_MS << (attempts - 1).min(16);
        self.change(position, |entry| {
            entry.attempts = attempts;
            entry.due = now.saturating_add(wait.min(AGAIN_MS_MAX));
            entry.way = Way::Look;
        });
        let is_forward = matches!(stage, Stage::Inspecting | Stage::Sending);
        // Also what was to be kept: whether it was is not known, and its trial must not go on to its end.
        let may_stay = is_forward || stage == Stage::Keeping;
        if may_stay && self.head.phase == Phase::RollingBack && holds {
            self.bring_back(position, Reason::RolledBack, false);
        } else if may_stay && holds && self.is_stopped() {
            self.break_off(position);
        } else if is_forward && self.head.past_deadline {
            self.too_late(position);
        } else if attempts >= ATTEMPTS_MAX {
            if begun {
                self.count_lost(position);
            }
            self.to(position, Stage::Failed, Some(reason));
        } else if is_forward {
            self.to(position, Stage::Pending, Some(reason));
        } else if stage == Stage::Keeping {
            self.to(position, Stage::OnTrial, None);
        }
    }

    /// The deadline has passed, and it has not what it was to have.
    fn too_late(&mut self, position: u32) {
        let Entry {
            begun,
            holds,
            online,
            ..
        } = *self.entry(position);
        if begun {
            self.count_lost(position);
        }
        if holds && online && self.release().kind == ReleaseKind::Firmware {
            // It may wait there for the next restart.
            self.bring_back(position, Reason::Deadline, false);
        } else if begun {
            self.to(position, Stage::Failed, Some(Reason::Deadline));
        } else {
            self.to(position, Stage::Absent, Some(Reason::Deadline));
        }
    }

    fn count_lost(&mut self, position: u32) {
        if !self.change(position, |entry| std::mem::replace(&mut entry.lost, true)) {
            self.head.bad.lost += 1;
        }
    }

    /// What the clock alone brings.
    pub(super) fn ring(&mut self) {
        let now = self.head.clock;
        while let Some((at, position)) = self.index.alarms.first().copied()
            && at <= now
        {
            let overdue = self.change(position, |entry| entry.outstanding.take());
            if overdue.is_some() {
                self.again(position, Reason::Unreached("no answer".into()));
                continue;
            }
            self.count_lost(position);
            if self.head.past_deadline {
                self.to(position, Stage::Failed, Some(Reason::LinkLost));
            }
        }
        if now >= self.head.deadline && !self.head.past_deadline && !self.head.phase.is_end() {
            self.pass_deadline();
        }
    }

    fn pass_deadline(&mut self) {
        self.head.past_deadline = true;
        self.rebuild();
        let is_forward = self.head.phase != Phase::RollingBack;
        for position in 0..self.head.controllers {
            let entry = self.entry(position);
            let is_asked = entry.outstanding.is_some();
            match entry.stage {
                Stage::Pending if is_forward => self.too_late(position),
                Stage::Sending if is_forward && !is_asked => self.too_late(position),
                Stage::OnTrial | Stage::Keeping | Stage::Soaking | Stage::Returning
                    if !entry.online && !is_asked =>
                {
                    self.count_lost(position);
                    self.to(position, Stage::Failed, Some(Reason::LinkLost));
                }
                _ => {}
            }
        }
    }

    /// Whether a rule halts it.
    pub(super) fn judge(&mut self) {
        if !matches!(self.head.phase, Phase::Running | Phase::Paused) {
            return;
        }
        let (bad, forgiven) = (self.bad(), self.head.forgiven);
        // Of all that it was sent to: those of before a resumption may still turn out bad.
        let of = bad.begun;
        let halts = self.head.terms.halts;
        let in_canary = self.head.step == 0;
        for (rule, bad, bound) in [
            (Rule::Refused, bad.refused - forgiven.refused, halts.refused),
            (
                Rule::FailedTrials,
                bad.failed_trials - forgiven.failed_trials,
                halts.failed_trials,
            ),
            (Rule::Faulty, bad.faulty - forgiven.faulty, halts.faulty),
            (Rule::Lost, bad.lost - forgiven.lost, halts.lost),
        ] {
            if (in_canary && bad > 0) || bound.is_exceeded(bad, of) {
                self.head.halt = Some(Halt {
                    rule,
                    in_canary,
                    bad,
                    of,
                });
                match self.head.terms.roll_back_on {
                    RollBackOn::Canary if in_canary => self.roll_back(),
                    RollBackOn::Always => self.roll_back(),
                    _ => self.stop(Phase::Halted),
                }
                return;
            }
        }
    }

    /// Steps and ends.
    pub(super) fn advance(&mut self) {
        let tally = &self.index.tally;
        match self.head.phase {
            Phase::Running => {
                while self.is_step_over() {
                    self.head.step += 1;
                }
                let ended: u32 = Stage::ALL
                    .into_iter()
                    .filter(|stage| stage.is_end())
                    .map(|stage| self.index.tally.of(stage))
                    .sum();
                if ended == self.head.controllers {
                    self.head.phase = Phase::Done;
                }
            }
            Phase::Aborting if tally.active == 0 => self.head.phase = Phase::Aborted,
            Phase::RollingBack if tally.active == 0 => self.head.phase = Phase::RolledBack,
            _ => {}
        }
    }

    /// Takes back the turn of those that were looked at and not sent to.
    pub(super) fn give_up_turns(&mut self) {
        for position in 0..self.head.controllers {
            let entry = self.entry(position);
            if entry.stage == Stage::Sending && entry.outstanding.is_none() {
                self.give_up_turn(position);
            }
        }
    }

    /// It was looked at, and waited for its send. It comes first when it goes on.
    fn give_up_turn(&mut self, position: u32) {
        self.change(position, |entry| entry.due = 0);
        self.to(position, Stage::Pending, None);
    }

    /// Nobody new, and trials back: to be tried again after a halt, and for good where it is broken off.
    pub(super) fn stop(&mut self, phase: Phase) {
        self.head.phase = phase;
        self.give_up_turns();
        let again = phase == Phase::Halted;
        for position in 0..self.head.controllers {
            let entry = self.entry(position);
            let is_asked = entry.outstanding.is_some();
            match entry.stage {
                Stage::OnTrial => self.break_off(position),
                Stage::Keeping if !is_asked => self.break_off(position),
                Stage::Pending if entry.holds => self.break_off(position),
                _ if !again => self.come_back_for_good(position),
                _ => {}
            }
        }
    }

    /// Everybody back, and those who are away get the time for it that they had for the release.
    pub(super) fn roll_back(&mut self) {
        self.head.phase = Phase::RollingBack;
        self.head.deadline = self.head.clock.saturating_add(self.head.terms.deadline_ms);
        self.head.past_deadline = false;
        self.rebuild();
        self.send_back();
    }

    pub(super) fn send_back(&mut self) {
        self.give_up_turns();
        for position in 0..self.head.controllers {
            let entry = self.entry(position);
            // What is being sent, kept or looked at before a send is waited for: it must not land behind a
            // look.
            let is_asked = entry.outstanding.is_some()
                && matches!(
                    entry.stage,
                    Stage::Inspecting | Stage::Sending | Stage::Keeping
                );
            if !entry.holds || entry.stage == Stage::Returning {
                self.come_back_for_good(position);
            } else if !is_asked {
                let reason = match &entry.reason {
                    Some(Reason::Faulty) => Reason::Faulty,
                    _ => Reason::RolledBack,
                };
                self.bring_back(position, reason, false);
            }
        }
    }

    /// It is back, or will be, to be tried again: that is not to come.
    fn come_back_for_good(&mut self, position: u32) {
        self.change(position, |entry| {
            entry.again = false;
            if entry.stage == Stage::Pending && entry.begun && !entry.holds {
                entry.stage = Stage::Reverted;
            }
        });
    }

    /// Asks a controller what its stage wants next.
    pub(super) fn ask(&mut self, position: u32) -> Action {
        let now = self.head.clock;
        let release = self.release();
        let Entry {
            stage,
            way,
            previous,
            address,
            holds,
            ..
        } = *self.entry(position);
        let had = previous.and_then(Previous::digest);
        let look = Ask::Inspect {
            save: false,
            before: had.filter(|_| release.kind == ReleaseKind::Firmware),
        };
        let ask = match (stage, way) {
            (Stage::Pending, _) => Ask::Inspect {
                save: true,
                before: had.filter(|_| holds),
            },
            (Stage::Sending, _) => Ask::Send {
                digest: release.digest,
                trial: true,
            },
            (Stage::Keeping, _) => Ask::Keep,
            (Stage::Returning, Way::EndTrial) => Ask::Revert,
            (Stage::Returning, Way::SendPrevious) => match previous.and_then(Previous::saved) {
                Some(digest) => Ask::Send {
                    digest,
                    trial: false,
                },
                None => look,
            },
            (Stage::Returning, _) => Ask::Inspect {
                save: false,
                before: had,
            },
            _ => look,
        };
        let (asked, within_ms) = match ask {
            Ask::Inspect { .. } => (Asked::Inspect, ASK_MS),
            Ask::Keep => (Asked::Keep, ASK_MS),
            Ask::Revert => (Asked::Revert, ASK_MS),
            Ask::Send { .. } if release.kind == ReleaseKind::Firmware => {
                (Asked::Send, SEND_FIRMWARE_MS)
            }
            Ask::Send { .. } => (Asked::Send, SEND_MS),
        };
        let number = self.head.next_action;
        self.head.next_action += 1;
        let until = now.saturating_add(within_ms);
        let is_release = stage == Stage::Sending;
        if is_release {
            self.head.sends.push_back(now);
        }
        self.change(position, |entry| {
            if stage == Stage::Pending {
                entry.stage = Stage::Inspecting;
            }
            entry.begun |= is_release;
            entry.holds |= is_release;
            entry.outstanding = Some(Outstanding {
                action: number,
                asked,
                until,
            });
        });
        Action {
            token: self.head.token,
            number,
            controller: Address(address),
            ask,
            until,
        }
    }
}

fn bounded(mut words: String) -> String {
    if words.len() > WORDS_BYTES_MAX {
        words.truncate(words.floor_char_boundary(WORDS_BYTES_MAX));
    }
    words
}
