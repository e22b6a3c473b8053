//! The machine's state and its way in and out: what is stored, what is told, what is to be done next.

use super::{
    Action, Control, ControlError, Entry, Halt, Observation, Phase, Release, ReleaseKind,
    ResumeError, Stage, Summary, Terms, TermsError,
    entry::{Tally, Waits, Way, Work},
    terms::CONTROLLERS_MAX,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use switchyard_protocol::{Address, message::Time};

/// Of what is stored.
const FORMAT: u8 = 1;
/// Looks at the same time. Each is one query, answered at once.
const LOOKS_MAX: u32 = 64;
/// How much of a soak is spent on trial, where there is one. A controller keeps a script by itself after
/// ten minutes: it has to hear from us well before that.
const TRIAL_SOAK_MS_MAX: u64 = 5 * 60_000;
/// When a link counts as lost. Controllers dial again within a minute.
const GRACE_MS: u64 = 120_000;
/// The same where the controller restarts into what it was sent, three times perhaps, each for ten minutes.
const GRACE_RESTART_MS: u64 = 40 * 60_000;
/// The time that `per_minute_max` is about.
pub(super) const MINUTE_MS: u64 = 60_000;

/// What has gone wrong so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bad {
    pub(super) faulty: u32,
    pub(super) lost: u32,
    pub(super) failed_trials: u32,
    pub(super) refused: u32,
    /// Of so many.
    pub(super) begun: u32,
}

/// What is stored of a roll-out beside its controllers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub(super) format: u8,
    pub(super) terms: Terms,
    pub(super) controllers: u32,
    pub(super) token: u64,
    pub(super) phase: Phase,
    pub(super) halt: Option<Halt>,
    pub(super) step: u32,
    pub(super) deadline: u64,
    pub(super) past_deadline: bool,
    /// The latest time that it has heard of: it never goes back.
    pub(super) clock: u64,
    pub(super) next_action: u64,
    /// When sends began, of the last minute.
    pub(super) sends: VecDeque<u64>,
    pub(super) bad: Bad,
    pub(super) forgiven: Bad,
}

impl Head {
    /// The owner's token, by which the store tells an old owner's writes from the newest one's.
    pub fn token(&self) -> u64 {
        self.token
    }

    /// Where the roll-out stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// What it was asked to do.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Why it was halted last, if ever.
    pub fn halt(&self) -> Option<Halt> {
        self.halt
    }

    /// 0 is the canary, then come the steps of the terms.
    pub fn step(&self) -> u32 {
        self.step
    }

    /// The controllers of the list.
    pub fn controllers(&self) -> u32 {
        self.controllers
    }

    /// When absent controllers are waited for no longer, in gateway time.
    pub fn deadline(&self) -> Time {
        Time(self.deadline)
    }

    /// Whether it tells more than the one that was stored: what the clock alone brings does not count, and
    /// sends that are forgotten are so after a restart too.
    pub(crate) fn is_news_after(&self, stored: &Self) -> bool {
        let mut same = stored.clone();
        same.clock = self.clock;
        same.sends.clone_from(&self.sends);
        same != *self
    }
}

/// What has changed since it was last asked for, to be stored in one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// Always.
    pub head: Head,
    /// The controllers that have changed.
    pub entries: Vec<Entry>,
    /// How many controllers are at each stage, as [`Summary`] has it: told by whoever lists roll-outs without
    /// looking at their controllers.
    pub stages: Vec<(Stage, u32)>,
}

/// A roll-out that runs.
#[derive(Clone, Debug)]
pub struct Rollout {
    pub(super) head: Head,
    pub(super) entries: Vec<Entry>,
    /// Worked out of the above.
    pub(super) index: Index,
    /// Not stored yet.
    pub(super) changed: BTreeSet<u32>,
}

/// What would otherwise be looked for in a hundred thousand controllers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    pub(super) addresses: BTreeMap<u32, u32>,
    /// By what is to be done, from when on, and the place in the list.
    work: BTreeSet<(Work, u64, u32)>,
    pub(super) alarms: BTreeSet<(u64, u32)>,
    pub(super) actions: BTreeMap<u64, u32>,
    pub(super) tally: Tally,
}

impl Index {
    pub(super) fn count(&mut self, entry: &Entry, waits: Waits, is_in: bool) {
        let position = entry.position;
        self.tally.count(entry, is_in);
        if let Some((work, due)) = entry.work() {
            change(&mut self.work, (work, due, position), is_in);
        }
        if let Some(at) = entry.alarm(waits) {
            change(&mut self.alarms, (at, position), is_in);
        }
        if let Some(outstanding) = entry.outstanding {
            if is_in {
                self.actions.insert(outstanding.action, position);
            } else {
                self.actions.remove(&outstanding.action);
            }
        }
    }

    /// The first of a kind that is due.
    fn due(&self, work: Work, now: u64) -> Option<u32> {
        let (_, _, position) = self
            .work
            .range((work, 0, 0)..=(work, now, u32::MAX))
            .next()?;
        Some(*position)
    }
}

fn change<T: Ord>(set: &mut BTreeSet<T>, item: T, is_in: bool) {
    if is_in {
        set.insert(item);
    } else {
        set.remove(&item);
    }
}

impl Rollout {
    /// A roll-out to these controllers, in this order, of which nothing is known yet.
    pub fn new(
        terms: Terms,
        controllers: &[Address],
        token: u64,
        now: u64,
    ) -> Result<Self, TermsError> {
        terms.check()?;
        let count = controllers.len();
        if count == 0 || count > CONTROLLERS_MAX {
            return Err(TermsError::Controllers(count));
        }
        let mut known = BTreeSet::new();
        for address in controllers {
            if !address.is_controller() || !known.insert(address.0) {
                return Err(TermsError::Address(address.0));
            }
        }
        let entries: Vec<Entry> = (0..)
            .zip(controllers)
            .map(|(position, address)| Entry::new(position, address.0, now))
            .collect();
        let head = Head {
            format: FORMAT,
            deadline: now.saturating_add(terms.deadline_ms),
            terms,
            // `CONTROLLERS_MAX` fits.
            controllers: u32::try_from(count).unwrap_or(u32::MAX),
            token,
            phase: Phase::Running,
            halt: None,
            step: 0,
            past_deadline: false,
            clock: now,
            next_action: 1,
            sends: VecDeque::new(),
            bad: Bad::default(),
            forgiven: Bad::default(),
        };
        let mut rollout = Self::of_parts(head, entries);
        rollout.changed = (0..rollout.head.controllers).collect();
        Ok(rollout)
    }

    /// Goes on from what was stored, under a new token, or under the same one by whoever bears it and has
    /// let go of all that was under way. Nothing is assumed of that: it may have been done or not.
    /// Presence is told anew.
    pub fn resume(
        head: Head,
        mut entries: Vec<Entry>,
        token: u64,
        now: u64,
    ) -> Result<Self, ResumeError> {
        if head.format != FORMAT {
            return Err(ResumeError::Format {
                expected: FORMAT,
                got: head.format,
            });
        }
        head.terms.check()?;
        if token < head.token {
            let stored = head.token;
            return Err(ResumeError::Token { stored, token });
        }
        entries.sort_by_key(|entry| entry.position);
        let mut addresses = BTreeSet::new();
        for position in 0..head.controllers {
            let entry = entries.get(position as usize);
            let is_there = entry
                .is_some_and(|entry| entry.position == position && addresses.insert(entry.address));
            if !is_there {
                return Err(ResumeError::Entries(position));
            }
        }
        entries.truncate(head.controllers as usize);
        let mut rollout = Self::of_parts(head, entries);
        rollout.advance_clock(now);
        rollout.head.token = token;
        let now = rollout.head.clock;
        for position in 0..rollout.head.controllers {
            rollout.change(position, |entry| {
                // Whoever was away when this gateway stopped may have been so because it did: nobody can
                // tell how long a link was lost while there was nobody to dial.
                entry.online = false;
                entry.offline_since = now;
                let was_asked = entry.outstanding.take().is_some();
                if was_asked || entry.stage != Stage::Pending {
                    // At once, and nobody comes before it who came behind it in the list.
                    entry.due = 0;
                }
                entry.way = Way::Look;
                entry.stage = match entry.stage {
                    Stage::Inspecting | Stage::Sending => Stage::Pending,
                    Stage::Keeping => Stage::OnTrial,
                    other => other,
                };
            });
        }
        // Those of whom nothing is known any more go where all go.
        match rollout.head.phase {
            phase @ (Phase::Halted | Phase::Aborting) => rollout.stop(phase),
            Phase::RollingBack => rollout.send_back(),
            _ => {}
        }
        Ok(rollout)
    }

    pub(super) fn of_parts(head: Head, entries: Vec<Entry>) -> Self {
        let mut rollout = Self {
            head,
            entries,
            index: Index::default(),
            changed: BTreeSet::new(),
        };
        rollout.rebuild();
        rollout
    }

    /// What it was asked to do.
    pub fn terms(&self) -> &Terms {
        &self.head.terms
    }

    /// Where it stands.
    pub fn phase(&self) -> Phase {
        self.head.phase
    }

    /// Whether nothing happens until a person, or the deadline, wants something: nobody comes up, and
    /// nobody is watched, brought back or waited for.
    pub(crate) fn is_resting(&self) -> bool {
        let waits = matches!(self.head.phase, Phase::Paused | Phase::Halted);
        waits && self.index.tally.active == 0 && self.index.actions.is_empty()
    }

    /// Its controllers, in the order of the list.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// It in numbers.
    pub fn summary(&self) -> Summary {
        let tally = &self.index.tally;
        Summary {
            phase: self.head.phase,
            halt: self.head.halt,
            step: self.head.step,
            controllers: self.head.controllers,
            touched: tally.begun,
            stages: self.stages(),
        }
    }

    fn stages(&self) -> Vec<(Stage, u32)> {
        let tally = &self.index.tally;
        let stages = Stage::ALL.iter().map(|stage| (*stage, tally.of(*stage)));
        stages.filter(|(_, count)| *count > 0).collect()
    }

    /// What has to be stored before the next action is begun.
    pub fn take_changes(&mut self) -> Changes {
        let changed = std::mem::take(&mut self.changed);
        let entry = |position: u32| self.entries[position as usize].clone();
        Changes {
            head: self.head.clone(),
            entries: changed.into_iter().map(entry).collect(),
            stages: self.stages(),
        }
    }

    /// Takes in what happened. `now` is gateway time; where it goes back, it is taken to stand still.
    pub fn observe(&mut self, observation: Observation, now: u64) {
        self.advance_clock(now);
        match observation {
            Observation::Presence { controller, online } => self.presence(controller, online),
            Observation::Answer { action, answer } => self.answer(action, answer),
            Observation::Health {
                controller,
                inspected,
            } => {
                let known = self.index.addresses.get(&controller.0);
                if let Some(position) = known.copied()
                    && self.entry(position).stage.is_watched()
                {
                    self.watched(position, inspected);
                }
            }
        }
        self.judge();
    }

    /// What a person wants.
    pub fn control(&mut self, control: Control, now: u64) -> Result<(), ControlError> {
        self.advance_clock(now);
        self.head.phase.allows(control)?;
        match control {
            Control::Pause => {
                self.head.phase = Phase::Paused;
                self.give_up_turns();
            }
            Control::Resume => {
                self.head.phase = Phase::Running;
                self.head.forgiven = self.bad();
            }
            Control::Abort => self.stop(Phase::Aborting),
            Control::RollBack => self.roll_back(),
        }
        Ok(())
    }

    /// What is to be done now. Store the changes before any of it is begun.
    pub fn poll(&mut self, now: u64) -> Vec<Action> {
        self.advance_clock(now);
        self.ring();
        self.judge();
        self.advance();
        let mut actions = Vec::new();
        for work in Work::ALL {
            while let Some(position) = self.index.due(work, self.head.clock)
                && self.may(work)
            {
                actions.push(self.ask(position));
            }
        }
        actions
    }

    /// When it wants to be polled although nothing happens; none if that is never.
    pub fn next_wake(&self) -> Option<u64> {
        if self.head.phase.is_end() {
            return None;
        }
        let now = self.head.clock;
        let mut wakes: Vec<u64> = Vec::new();
        wakes.extend(self.index.alarms.first().map(|(at, _)| *at));
        for work in Work::ALL {
            let behind = (work, now + 1, 0)..=(work, u64::MAX, u32::MAX);
            let next = self.index.work.range(behind).next();
            wakes.extend(next.map(|(_, due, _)| *due));
        }
        if self.index.due(Work::Send, now).is_some() {
            // It may wait for the minute's end.
            wakes.extend(self.head.sends.front().map(|begun| begun + MINUTE_MS));
        }
        if !self.head.past_deadline {
            wakes.push(self.head.deadline);
        }
        wakes.into_iter().min()
    }
}

/// What is known of the whole.
impl Rollout {
    pub(super) fn release(&self) -> Release {
        self.head.terms.release
    }

    pub(super) fn entry(&self, position: u32) -> &Entry {
        &self.entries[position as usize]
    }

    pub(super) fn waits(&self) -> Waits {
        let grace_ms = match self.release().kind {
            ReleaseKind::Script | ReleaseKind::Parameters => GRACE_MS,
            ReleaseKind::Firmware => GRACE_RESTART_MS,
        };
        Waits {
            grace_ms,
            are_over: self.head.past_deadline,
        }
    }

    /// Trials are to end, and nobody is to be sent anything.
    pub(super) fn is_stopped(&self) -> bool {
        matches!(self.head.phase, Phase::Halted | Phase::Aborting)
    }

    /// How long the trial lasts of what is watched for `soak_ms`.
    pub(super) fn trial_soak_ms(&self) -> u64 {
        self.head.terms.soak_ms.min(TRIAL_SOAK_MS_MAX)
    }

    pub(super) fn bad(&self) -> Bad {
        Bad {
            begun: self.index.tally.begun,
            ..self.head.bad
        }
    }

    /// How many may have had their turn in this step.
    fn allowed(&self) -> u32 {
        let Terms { canary, steps, .. } = &self.head.terms;
        let tally = &self.index.tally;
        let Some(step) = self.head.step.checked_sub(1) else {
            // In place of one that has failed, and that a person has forgiven, another one comes.
            return canary.saturating_add(tally.settled - tally.of(Stage::Kept));
        };
        let outdated = self.head.controllers - tally.of(Stage::Skipped);
        let percent = steps.get(step as usize).copied().unwrap_or(100);
        // At most `outdated`.
        let part = (u64::from(outdated) * u64::from(percent)).div_ceil(100);
        u32::try_from(part).unwrap_or(outdated).max(*canary)
    }

    /// Whether the next step may begin: all of this one's have come to an end.
    pub(super) fn is_step_over(&self) -> bool {
        let tally = &self.index.tally;
        if tally.busy > 0 || self.head.step as usize >= self.head.terms.steps.len() {
            return false;
        }
        if self.head.step == 0 {
            tally.of(Stage::Kept) >= self.head.terms.canary
        } else {
            tally.settled >= self.allowed()
        }
    }

    /// Whether that may be done now, the first of its kind being due.
    fn may(&self, work: Work) -> bool {
        let Terms {
            in_flight_max,
            per_minute_max,
            ..
        } = self.head.terms;
        let tally = &self.index.tally;
        let is_running = self.head.phase == Phase::Running;
        let has_place = tally.in_flight < in_flight_max;
        match work {
            Work::Return | Work::Keep => has_place,
            // It has its place since it was looked at.
            Work::Send => is_running && self.head.sends.len() < per_minute_max as usize,
            Work::Again => is_running && has_place,
            Work::Admit => is_running && has_place && tally.admitted < self.allowed(),
            Work::Watch => tally.looks < LOOKS_MAX,
        }
    }
}
