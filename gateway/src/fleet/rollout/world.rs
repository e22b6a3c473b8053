//! A yard for tests of the machine: controllers with natures of their own, a process that may die at any
//! moment, a store that keeps what it was given, and a person. A seed makes the same world again.

use super::{
    Action, Answer, Ask, Changes, Control, Entry, Head, Inspected, Observation, Phase, Previous,
    Reason, Release, ReleaseKind, Rollout, Stage, Terms,
};
use crate::digest::Digest;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use switchyard_protocol::Address;

/// Of the world's clock. Everything that devices and people do takes at least that.
const TICK_MS: u64 = 5_000;
/// A process that dies for ever gets nothing done.
const DEATHS_MAX: u64 = 50;
/// As the firmware has them.
const TRIAL_MS: u64 = 600_000;
const TRIAL_AWAY_MS: u64 = 180_000;
const FIRMWARE_TRIAL_MS: u64 = 60_000;

/// What becomes of a controller that gets the release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    /// All is well.
    Good,
    /// It has the release.
    Has,
    /// It had nothing.
    Empty,
    /// What it had cannot be saved.
    Unsaved,
    /// It does not take the release.
    Refuses,
    /// It goes back by itself, after a while on trial.
    FailsTrial,
    /// It shows faults after a while.
    Faulty,
    /// It is off line for some minutes, after a while.
    LosesLink,
    /// It is never there.
    Away,
    /// It comes and goes.
    Flaps,
    /// Somebody tries something on it, and keeps that.
    OthersTrial,
    /// The release is not for it.
    OtherBoard,
    /// On line, and yet its trial of a firmware does not end: a link that never holds.
    NeverConfirms,
}

/// A controller.
#[derive(Clone, Debug)]
pub(super) struct Device {
    pub(super) address: Address,
    pub(super) nature: Nature,
    pub(super) running: Option<Digest>,
    pub(super) before_all: Option<Digest>,
    before_trial: Option<Digest>,
    pub(super) on_trial: bool,
    /// A firmware that it tries at its next restart.
    waiting: Option<Digest>,
    fell_back: bool,
    since: u64,
    faults: u32,
    pub(super) online: bool,
    changed_at: u64,
}

impl Device {
    fn runs(&mut self, content: Option<Digest>, on_trial: bool, now: u64) {
        if on_trial {
            self.before_trial = self.running;
        }
        self.running = content;
        self.waiting = None;
        self.fell_back = false;
        self.on_trial = on_trial;
        self.since = now;
        self.faults = 0;
    }

    fn goes_back(&mut self, now: u64) {
        let before = self.before_trial;
        self.runs(before, false, now);
        self.fell_back = true;
    }
}

/// An action in somebody's hands.
#[derive(Clone, Copy, Debug)]
struct InHand {
    action: Action,
    at: u64,
    is_done: bool,
    is_answered: bool,
    /// At one that is watched: takes no place of `in_flight_max`.
    is_look: bool,
}

/// How rough the world is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weather {
    /// Answers get lost, one in so many; 0 is never.
    pub(super) loses_one_in: u32,
    /// The process dies, in one of so many ticks; 0 is never.
    pub(super) dies_one_in: u32,
    /// A person meddles, in one of so many ticks; 0 is never, but that a halt is looked at.
    pub(super) meddles_one_in: u32,
}

/// Everything.
pub(super) struct World {
    random: StdRng,
    weather: Weather,
    pub(super) now: u64,
    pub(super) machine: Rollout,
    pub(super) devices: Vec<Device>,
    store: (Head, BTreeMap<u32, Entry>),
    in_hand: Vec<InHand>,
    token: u64,
    /// When the machine wanted to be asked next.
    wake: Option<u64>,
    /// Whether it has been told anything since.
    was_told: bool,
    /// Whether a person has let it go on after a halt.
    pub(super) was_forgiven: bool,
    sent_to: BTreeSet<Address>,
    sends: VecDeque<u64>,
}

pub(super) fn target() -> Digest {
    Digest([1; 32])
}

impl World {
    pub(super) fn new(terms: Terms, natures: &[Nature], weather: Weather, seed: u64) -> Self {
        let devices: Vec<Device> = (1..)
            .zip(natures)
            .map(|(number, nature)| {
                let running = match nature {
                    Nature::Has => Some(target()),
                    Nature::Empty => None,
                    // Each had something of its own.
                    _ => Some(Digest::of(&u32::to_be_bytes(number))),
                };
                Device {
                    address: Address(number),
                    nature: *nature,
                    running,
                    before_all: running,
                    before_trial: None,
                    on_trial: false,
                    waiting: None,
                    fell_back: false,
                    since: 0,
                    faults: 0,
                    online: false,
                    changed_at: 0,
                }
            })
            .collect();
        let addresses: Vec<Address> = devices.iter().map(|device| device.address).collect();
        let mut machine = Rollout::new(terms, &addresses, 1, 0).unwrap();
        let Changes { head, entries, .. } = machine.take_changes();
        assert_eq!(entries.len(), devices.len());
        let entries = entries.into_iter().map(|entry| (entry.position, entry));
        Self {
            random: StdRng::seed_from_u64(seed),
            weather,
            now: 0,
            machine,
            devices,
            store: (head, entries.collect()),
            in_hand: Vec::new(),
            token: 1,
            wake: None,
            was_told: true,
            was_forgiven: false,
            sent_to: BTreeSet::new(),
            sends: VecDeque::new(),
        }
    }

    fn one_in(&mut self, many: u32) -> bool {
        many > 0 && self.random.random_range(0..many) == 0
    }

    pub(super) fn control(&mut self, control: Control) {
        self.was_told = true;
        self.machine.control(control, self.now).unwrap();
    }

    /// Until the roll-out has come to an end, or nobody goes on with it.
    pub(super) fn run(&mut self) {
        let latest = self.now + 4 * self.machine.terms().deadline_ms + 4 * 3_600_000;
        while !self.machine.phase().is_end() {
            assert!(self.now < latest, "it does not end: {:?}", self.machine);
            self.tick();
        }
        self.is_as_it_says();
    }

    /// Until it has come to that phase.
    pub(super) fn run_to(&mut self, phase: Phase) {
        let latest = self.now + self.machine.terms().deadline_ms + 3_600_000;
        while self.machine.phase() != phase {
            assert!(self.now < latest, "never {phase}: {:?}", self.machine);
            self.tick();
        }
    }

    pub(super) fn tick(&mut self) {
        self.now += TICK_MS;
        self.devices_live();
        self.actions_end();
        if self.token <= DEATHS_MAX && self.one_in(self.weather.dies_one_in) {
            self.die();
        }
        self.person();
        let before = self.machine.summary();
        let actions = self.machine.poll(self.now);
        self.save();
        // What it does by the clock alone it had said that it would.
        let is_idle = actions.is_empty() && before == self.machine.summary();
        let had_said = self.was_told || self.wake.is_some_and(|at| at <= self.now);
        assert!(is_idle || had_said, "{:?}, and {actions:?}", self.wake);
        self.wake = self.machine.next_wake();
        self.was_told = false;
        for action in actions {
            self.begin(action);
        }
        self.keeps_its_bounds();
    }

    fn devices_live(&mut self) {
        let now = self.now;
        let is_firmware = self.machine.terms().release.kind == ReleaseKind::Firmware;
        for at in 0..self.devices.len() {
            let may_flap = self.one_in(20);
            let device = &mut self.devices[at];
            let elapsed = now - device.since;
            let has_release =
                device.running == Some(target()) && device.before_all != Some(target());
            let trial_ms = if is_firmware {
                FIRMWARE_TRIAL_MS
            } else {
                TRIAL_MS
            };
            let never = is_firmware && device.nature == Nature::NeverConfirms && has_release;
            if never && device.on_trial && elapsed >= 60 * FIRMWARE_TRIAL_MS {
                device.goes_back(now);
            }
            if device.on_trial && device.online && elapsed >= trial_ms && !never {
                device.on_trial = false;
            }
            let is_away = !device.online && now - device.changed_at >= TRIAL_AWAY_MS;
            if device.on_trial && is_away && !is_firmware {
                device.goes_back(now);
            }
            match device.nature {
                Nature::FailsTrial if device.on_trial && elapsed >= 20_000 => device.goes_back(now),
                Nature::Faulty if has_release && elapsed >= 30_000 => device.faults = 3,
                Nature::OthersTrial if now == TICK_MS => {
                    device.runs(Some(Digest([9; 32])), true, now);
                }
                _ => {}
            }
            let online = match device.nature {
                Nature::Away => false,
                Nature::Flaps => device.online != may_flap,
                Nature::LosesLink if device.online => !(has_release && elapsed >= 20_000),
                Nature::LosesLink => now == TICK_MS || now - device.changed_at >= 300_000,
                _ => true,
            };
            if online != device.online {
                device.online = online;
                device.changed_at = now;
                let controller = device.address;
                self.was_told = true;
                self.machine
                    .observe(Observation::Presence { controller, online }, now);
            }
        }
    }

    /// What is in somebody's hands comes to its end.
    fn actions_end(&mut self) {
        let now = self.now;
        let (ended, rest): (Vec<_>, _) = self.in_hand.drain(..).partition(|hand| hand.at <= now);
        self.in_hand = rest;
        for mut hand in ended {
            let answer = if hand.is_done {
                self.perform(hand.action)
            } else {
                self.half_way(hand.action);
                Answer::Unreached("the link was lost".into())
            };
            if hand.is_answered {
                self.was_told = true;
                let action = hand.action.number;
                self.machine
                    .observe(Observation::Answer { action, answer }, now);
            } else {
                // Given up when its time is over: until then it takes its place.
                hand.at = hand.action.until;
                if hand.at > now {
                    hand.is_done = false;
                    hand.is_answered = true;
                    self.in_hand.push(hand);
                }
            }
        }
    }

    /// Of a firmware some come to the controller whole, and are not tried.
    fn half_way(&mut self, action: Action) {
        let is_firmware = self.machine.terms().release.kind == ReleaseKind::Firmware;
        let is_whole = is_firmware && self.one_in(3);
        let number = usize::try_from(action.controller.0).unwrap();
        let device = &mut self.devices[number - 1];
        let takes = !matches!(device.nature, Nature::Refuses | Nature::OtherBoard);
        if let Ask::Send { digest, .. } = action.ask
            && is_whole
            && takes
            && device.online
            && !device.on_trial
        {
            device.waiting = Some(digest);
            device.fell_back = false;
        }
    }

    fn perform(&mut self, action: Action) -> Answer {
        let now = self.now;
        let kind = self.machine.terms().release.kind;
        let number = usize::try_from(action.controller.0).unwrap();
        let device = &mut self.devices[number - 1];
        let refusal = || Answer::Refused("wrong_state".into());
        if !device.online {
            return Answer::Unreached("not there".into());
        }
        match action.ask {
            Ask::Inspect { .. } if device.nature == Nature::OtherBoard => Answer::OtherBoard,
            Ask::Revert if kind == ReleaseKind::Firmware && !device.on_trial => {
                device.waiting = None;
                Answer::Done
            }
            Ask::Keep | Ask::Revert if kind == ReleaseKind::Firmware => {
                Answer::Unreached("it ends by itself".into())
            }
            Ask::Inspect { .. } => Answer::Inspected(Inspected {
                running: device.running,
                on_trial: device.on_trial,
                waiting: device.waiting.is_some(),
                fell_back: device.fell_back,
                faults: device.faults,
                saved: device.nature != Nature::Unsaved,
            }),
            Ask::Send { .. } if device.on_trial => Answer::Unreached("wrong_state".into()),
            Ask::Send { digest, .. } if device.nature == Nature::Refuses && digest == target() => {
                Answer::Refused("line 1: expected an end".into())
            }
            Ask::Send { digest, trial } => {
                // Sometimes that is over before anybody comes to look.
                let falls = device.nature == Nature::FailsTrial && digest == target();
                if kind == ReleaseKind::Firmware && falls && number.is_multiple_of(2) {
                    device.runs(device.running, false, now);
                    device.fell_back = true;
                    return Answer::WentBack;
                }
                let on_trial = match kind {
                    ReleaseKind::Script => trial,
                    ReleaseKind::Parameters => false,
                    ReleaseKind::Firmware => true,
                };
                device.runs(Some(digest), on_trial, now);
                Answer::Sent { on_trial }
            }
            Ask::Keep if device.on_trial => {
                device.on_trial = false;
                Answer::Done
            }
            Ask::Revert if device.on_trial => {
                device.goes_back(now);
                Answer::Done
            }
            Ask::Keep | Ask::Revert => refusal(),
        }
    }

    /// The process dies, and another one goes on from what was stored.
    fn die(&mut self) {
        for hand in std::mem::take(&mut self.in_hand) {
            if hand.is_done && self.random.random() {
                self.perform(hand.action);
            }
        }
        self.token += 1;
        self.was_told = true;
        let (head, entries) = self.store.clone();
        let entries: Vec<Entry> = entries.into_values().collect();
        let old = Rollout::resume(head.clone(), entries.clone(), head.token() - 1, self.now);
        assert!(old.is_err(), "a token that is an older one");
        self.machine = Rollout::resume(head, entries, self.token, self.now).unwrap();
        for device in &self.devices {
            let (controller, online) = (device.address, device.online);
            self.machine
                .observe(Observation::Presence { controller, online }, self.now);
        }
    }

    fn person(&mut self) {
        let phase = self.machine.phase();
        let is_stuck = matches!(phase, Phase::Halted | Phase::Paused) && self.one_in(60);
        if !is_stuck && !self.one_in(self.weather.meddles_one_in) {
            return;
        }
        let controls = [
            Control::Pause,
            Control::Resume,
            Control::Resume,
            Control::Abort,
            Control::RollBack,
        ];
        let control = controls[self.random.random_range(0..controls.len())];
        self.was_told = true;
        if self.machine.control(control, self.now).is_ok() && control == Control::Resume {
            self.was_forgiven |= phase == Phase::Halted;
        }
    }

    /// As a store does: it takes text, and refuses an older owner's.
    fn save(&mut self) {
        let Changes { head, entries, .. } = self.machine.take_changes();
        let clock = self.store.0.clock;
        if entries.is_empty()
            && (Head {
                clock,
                ..head.clone()
            }) == self.store.0
        {
            return;
        }
        let head: Head = serde_json::from_str(&serde_json::to_string(&head).unwrap()).unwrap();
        assert!(head.token() >= self.store.0.token());
        self.store.0 = head;
        for entry in entries {
            let text = serde_json::to_string(&entry).unwrap();
            let entry: Entry = serde_json::from_str(&text).unwrap();
            self.store.1.insert(entry.position, entry);
        }
        // What was stored is all that there is, and what is worked out of it is right.
        let entries: Vec<Entry> = self.store.1.values().cloned().collect();
        let again = Rollout::of_parts(self.store.0.clone(), entries);
        assert_eq!(again.head, self.machine.head);
        assert_eq!(again.entries, self.machine.entries);
        assert_eq!(again.index, self.machine.index);
    }

    fn begin(&mut self, action: Action) {
        assert_eq!(action.token, self.token);
        if action.ask.is_release() {
            assert_eq!(
                self.machine.phase(),
                Phase::Running,
                "nobody new: {action:?}"
            );
            let position = action.controller.0 - 1;
            let previous = self.store.1[&position].previous;
            assert!(previous.is_some(), "stored before it is changed");
            self.sent_to.insert(action.controller);
            self.sends.push_back(self.now);
        }
        let within = [5_000, 10_000, 20_000, 40_000];
        let takes = within[self.random.random_range(0..within.len())];
        let is_lost = self.one_in(self.weather.loses_one_in);
        let hand = InHand {
            action,
            at: self.now + takes,
            // Of those that are lost half get there, and nobody hears of it.
            is_done: !is_lost || self.random.random(),
            is_answered: !is_lost,
            is_look: self.machine.entries[action.controller.0 as usize - 1]
                .stage
                .is_watched(),
        };
        self.in_hand.push(hand);
    }

    fn keeps_its_bounds(&mut self) {
        let terms = self.machine.terms();
        let (in_flight_max, per_minute_max) = (terms.in_flight_max, terms.per_minute_max);
        let changes = self.in_hand.iter().filter(|hand| !hand.is_look);
        let busy: BTreeSet<_> = changes.map(|hand| hand.action.controller).collect();
        assert!(busy.len() <= in_flight_max as usize, "{busy:?}");
        while self.sends.front().is_some_and(|at| at + 60_000 <= self.now) {
            self.sends.pop_front();
        }
        assert!(self.sends.len() <= per_minute_max as usize);
        if self.machine.summary().step == 0 && !self.was_forgiven {
            let canary = self.machine.terms().canary as usize;
            assert!(self.sent_to.len() <= canary, "beyond the canary");
        }
        let stages = self.machine.summary().stages;
        let all: u32 = stages.iter().map(|(_, count)| count).sum();
        assert_eq!(all as usize, self.devices.len());
    }

    /// At its end each controller is what the roll-out says of it.
    fn is_as_it_says(&self) {
        for (device, entry) in self.devices.iter().zip(self.machine.entries()) {
            // Whatever waited would run after the next restart.
            let is_back = matches!(
                entry.stage,
                Stage::Reverted | Stage::Kept | Stage::Pending | Stage::Skipped
            );
            assert!(
                !is_back || device.waiting.is_none(),
                "{device:?} is no {entry:?}"
            );
            let fits = match entry.stage {
                Stage::Kept => device.running == Some(target()) && !device.on_trial,
                Stage::Skipped if device.nature == Nature::OtherBoard => {
                    device.running == device.before_all
                }
                Stage::Skipped => device.before_all == Some(target()),
                Stage::Reverted | Stage::Absent | Stage::Pending => {
                    device.running != Some(target()) || device.before_all == Some(target())
                }
                _ => true,
            };
            assert!(fits, "{device:?} is no {entry:?}");
            // Back where it was, if it could be reached and there was a way.
            let could_be = entry.previous.and_then(Previous::saved).is_some()
                && device.online
                && !matches!(entry.stage, Stage::Failed);
            if self.machine.phase() == Phase::RolledBack && could_be {
                let other =
                    entry.stage == Stage::Left && entry.reason == Some(Reason::ChangedElsewhere);
                let own = device.running == device.before_all && !device.on_trial;
                let is_own = own || other || device.nature == Nature::OthersTrial;
                assert!(is_own, "{device:?} is not back: {entry:?}");
            }
            if self.machine.phase() == Phase::Done {
                assert!(entry.stage.is_end(), "{entry:?}");
            }
        }
    }

    /// What has become of each controller.
    pub(super) fn ends(&self) -> Vec<(Stage, Option<Digest>)> {
        let entries = self.machine.entries();
        let each = self.devices.iter().zip(entries);
        each.map(|(device, entry)| (entry.stage, device.running))
            .collect()
    }

    pub(super) fn stage(&self, number: usize) -> Stage {
        self.machine.entries[number - 1].stage
    }

    pub(super) fn reason(&self, number: usize) -> Option<Reason> {
        self.machine.entries[number - 1].reason.clone()
    }
}

impl Ask {
    fn is_release(self) -> bool {
        matches!(self, Self::Send { digest, .. } if digest == target())
    }
}

pub(super) fn terms(kind: ReleaseKind) -> Terms {
    let release = Release {
        kind,
        digest: target(),
    };
    Terms {
        soak_ms: 120_000,
        deadline_ms: 3_600_000,
        ..Terms::new(release)
    }
}
