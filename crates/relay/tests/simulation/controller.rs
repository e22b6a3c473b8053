//! Virtual controllers: a command queue, a ring of 32 outcomes that ends with the boot, points
//! with causes, and a clock that drifts.

use crate::world::{Event, Invariant, PeerRef, World};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::collections::VecDeque;
use switchyard_protocol::{
    Address, Code, Flags, Frame, Kind, limits,
    message::{
        Action, Answer, Body, Cause, CauseKind, Change, Command, Delta, Event as Message, Full,
        Key, Name, PingReply, Point, PointFlags, PointType, Receipt, Request, Stage, StatusHead,
        Time, Title, Verb,
    },
};

const POINTS: usize = 8;
/// How much later than its expiry a command may be sent or executed: the latest a clock can be, from
/// delays of seconds on the link and steps of the gateway's clock that it has yet to hear of.
pub(crate) const LATE_MS: u64 = 15_000;

struct Outcome {
    key: Key,
    stage: Stage,
    reason: Option<Code>,
    is_final: bool,
    asker: (Address, u32),
}

pub(crate) struct Controller {
    pub(crate) address: Address,
    pub(crate) link: Option<u64>,
    /// It stays away for good.
    pub(crate) is_gone: bool,
    boot: u32,
    sequence: u32,
    values: [i64; POINTS],
    outcomes: VecDeque<Outcome>,
    queue: VecDeque<Command>,
    is_executing: bool,
    /// Gateway time, when it was learned, and the crystal's error in millionths.
    clock: Option<(Time, u64)>,
    drift: i64,
    /// The turn of the last command that it executed, whatever its boot.
    last_turn: Option<u64>,
}

impl Controller {
    pub(crate) fn new(index: usize, rng: &mut ChaCha8Rng) -> Self {
        Controller {
            address: Address(1_000 + index as u32),
            link: None,
            is_gone: false,
            boot: rng.random(),
            sequence: rng.random(),
            values: [0; POINTS],
            outcomes: VecDeque::new(),
            queue: VecDeque::new(),
            is_executing: false,
            clock: None,
            drift: rng.random_range(-200..=200),
            last_turn: None,
        }
    }

    pub(crate) fn reboot(&mut self, rng: &mut ChaCha8Rng) {
        self.boot = rng.random();
        self.sequence = rng.random();
        self.outcomes.clear();
        self.queue.clear();
        self.is_executing = false;
        self.clock = None;
    }

    /// What a subscriber must hold once everything has come to rest.
    pub(crate) fn truth(&self) -> (StatusHead, Vec<i64>) {
        (self.head(), self.values.to_vec())
    }

    fn head(&self) -> StatusHead {
        StatusHead {
            boot: self.boot,
            sequence: self.sequence,
        }
    }

    fn estimate(&self, now: u64) -> Option<Time> {
        let (time, learned_at) = self.clock?;
        let passed = (now - learned_at) as i64;
        let is_stale = passed > limits::CLOCK_STALE_AFTER.as_millis() as i64;
        let passed = passed + passed * self.drift / 1_000_000;
        (!is_stale).then_some(Time(time.0 + passed as u64))
    }

    fn outcome_mut(&mut self, key: Key) -> Option<&mut Outcome> {
        self.outcomes.iter_mut().find(|it| it.key == key)
    }
}

impl World {
    pub(crate) fn controller_up(&mut self, index: usize) {
        let time = self.time();
        let learned_late_ms = self.rng.random_range(0..100);
        let now = self.now;
        let controller = &mut self.controllers[index];
        controller.clock = Some((Time(time.0 - learned_late_ms), now));
        let announce = Message::Announce {
            boot: controller.boot,
            features: 1,
            software: Title::new("virtual").unwrap(),
            board: Title::new("none").unwrap(),
            layout: 1,
        };
        self.say(index, Kind::Event, 0, Address::GATEWAY, &announce.encode());
        self.send_full(index);
        // Some tell again what they told on the link before.
        if self.chance(100) {
            let ended = self.controllers[index].outcomes.iter();
            let keys: Vec<Key> = ended.rev().take(3).map(|it| it.key).collect();
            for key in keys {
                self.count("fault: receipt told again on a new link");
                self.tell(index, key);
            }
        }
    }

    fn say(&mut self, index: usize, kind: Kind, correlation: u32, to: Address, payload: &[u8]) {
        let from = self.controllers[index].address;
        let frame = Frame::new(kind, correlation, from, to, payload);
        self.send(PeerRef::Controller(index), frame);
    }

    fn send_full(&mut self, index: usize) {
        let controller = &self.controllers[index];
        let points: Vec<Point> = (0..POINTS)
            .map(|at| Point {
                index: at as u8,
                name: Name::new(&format!("P{at}")).unwrap(),
                point_type: PointType::AnalogueOutput,
                value: controller.values[at],
                flags: PointFlags::MANUAL,
                cause: Cause::plain(CauseKind::Boot),
            })
            .collect();
        let pages = if index.is_multiple_of(3) { 2 } else { 1 };
        let (head, address) = (controller.head(), controller.address);
        for (page, points) in points.chunks(POINTS / pages).enumerate() {
            let full = Full {
                head,
                page: page as u8,
                pages: pages as u8,
                uptime_ms: self.now,
                time: None,
                points: points.to_vec(),
                layout: 1,
            };
            let flags = match page + 1 < pages {
                true => Flags::MORE,
                false => Flags::NONE,
            };
            let (kind, gateway) = (Kind::StatusFull, Address::GATEWAY);
            let frame = Frame::with_flags(kind, flags, 0, address, gateway, &full.encode());
            self.send(PeerRef::Controller(index), frame);
        }
    }

    /// The world outside moves a point.
    pub(crate) fn change(&mut self, index: usize) {
        let point = self.rng.random_range(0..POINTS);
        let value = self.rng.random_range(0..100_000);
        self.set_point(index, point, value, Cause::plain(CauseKind::Input));
        // The first change at rest is the last: it brings to light a delta lost right before.
        if !self.is_resting {
            self.within(6_000, Event::Change(index));
        }
    }

    fn set_point(&mut self, index: usize, point: usize, value: i64, cause: Cause) {
        let is_lost = self.chance(20);
        let controller = &mut self.controllers[index];
        controller.values[point] = value;
        controller.sequence = controller.sequence.wrapping_add(1);
        let delta = Delta {
            head: controller.head(),
            uptime_ms: self.now,
            time: None,
            changes: vec![Change {
                index: point as u8,
                value,
                flags: PointFlags::MANUAL,
                cause,
            }],
        };
        if is_lost && !self.is_resting {
            return self.count("fault: delta lost in the controller");
        }
        self.say(
            index,
            Kind::StatusDelta,
            0,
            Address::GATEWAY,
            &delta.encode(),
        );
    }

    pub(crate) fn controller_gets(&mut self, index: usize, frame: &Frame) {
        match frame.header().kind {
            Kind::Command => self.controller_commanded(index, frame),
            Kind::Query => self.controller_asked(index, frame),
            Kind::Ping => {
                let time = PingReply::decode(frame.payload()).unwrap().time.unwrap();
                let now = self.now;
                let controller = &mut self.controllers[index];
                // Never backwards.
                let time = controller.estimate(now).map_or(time, |it| it.max(time));
                controller.clock = Some((time, now));
            }
            _ => {}
        }
    }

    fn controller_asked(&mut self, index: usize, frame: &Frame) {
        let correlation = frame.header().correlation;
        let answer = match Request::decode(Kind::Query, frame.payload()).unwrap() {
            Request::Snapshot { .. } => {
                self.send_full(index);
                Body::Done(Verb::Snapshot)
            }
            Request::Outcome { key } => {
                self.count("controller asked for an outcome");
                if self.chance(80) && !self.is_resting {
                    return self.count("fault: outcome not answered");
                }
                let controller = &mut self.controllers[index];
                let boot = controller.boot;
                let known = controller.outcome_mut(key);
                let known = known.map(|it| (it.stage, it.reason, it.is_final));
                Body::Outcome {
                    boot,
                    stage: known.map(|it| it.0),
                    reason: known.and_then(|it| it.1),
                    is_final: known.map(|it| it.2),
                }
            }
            Request::Describe => {
                // An operator's: by the time it is answered, much may have changed.
                let late_ms = if self.chance(200) { 20_000 } else { 50 };
                let asker = frame.header().source;
                return self.within(late_ms, Event::Describe(index, asker, correlation));
            }
            other => unreachable!("nobody asks {other:?}"),
        };
        let payload = Answer::Ok(answer).encode();
        let to = frame.header().source;
        self.say(index, Kind::Response, correlation, to, &payload);
    }

    pub(crate) fn describe(&mut self, index: usize, asker: Address, correlation: u32) {
        let answer = Answer::Ok(Body::Describe {
            behaviour: Title::new("virtual").unwrap(),
            commands: vec![],
        });
        let payload = answer.encode();
        self.say(index, Kind::Response, correlation, asker, &payload);
    }

    fn controller_commanded(&mut self, index: usize, frame: &Frame) {
        let command = Command::decode(frame.payload()).unwrap();
        let key = command.key;
        let asker = (frame.header().source, frame.header().correlation);
        if let Some(outcome) = self.controllers[index].outcome_mut(key) {
            outcome.asker = asker;
            self.count("controller knew the key");
            return self.tell(index, key);
        }
        let refuses = self.chance(30);
        let controller = &mut self.controllers[index];
        if controller.outcomes.len() == limits::OUTCOMES_KEPT {
            controller.outcomes.pop_front();
        }
        let is_full = controller.queue.len() >= limits::IN_FLIGHT_MAX;
        let (stage, reason) = match (refuses, is_full) {
            (true, _) => (Stage::Refused, Some(Code::UnknownPoint)),
            (_, true) => (Stage::Refused, Some(Code::Busy)),
            _ => (Stage::Delivered, None),
        };
        controller.outcomes.push_back(Outcome {
            key,
            stage,
            reason,
            is_final: stage == Stage::Refused,
            asker,
        });
        if stage == Stage::Delivered {
            controller.queue.push_back(command);
        }
        self.tell(index, key);
        self.execute_next(index);
    }

    fn execute_next(&mut self, index: usize) {
        let controller = &mut self.controllers[index];
        if controller.is_executing || controller.queue.is_empty() {
            return;
        }
        controller.is_executing = true;
        let boot = controller.boot;
        let takes_ms = match self.chance(30) {
            true => self.rng.random_range(1_000..6_000),
            false => self.rng.random_range(2..60),
        };
        self.after(takes_ms, Event::Execute(index, boot));
    }

    pub(crate) fn execute(&mut self, index: usize, boot: u32) {
        let (now, time) = (self.now, self.time());
        let controller = &mut self.controllers[index];
        if controller.boot != boot {
            return;
        }
        controller.is_executing = false;
        let Some(command) = controller.queue.pop_front() else {
            return;
        };
        let key = command.key;
        let refusal = match controller.estimate(now) {
            None => Some(Code::StaleClock),
            Some(estimate) if estimate > command.expiry => Some(Code::Expired),
            Some(_) => None,
        };
        if let Some(code) = refusal {
            self.note_outcome(index, key, Stage::Expired, Some(code), true);
            return self.execute_next(index);
        }
        let times = self.executions.entry(key).or_default();
        *times += 1;
        if *times > 1 {
            let text = format!("{key} was executed {times} times");
            self.blame(Invariant::ExecutedOnce, text);
        }
        let turn = self.arrivals.get(&key).copied();
        let last_turn = self.controllers[index].last_turn;
        if turn <= last_turn {
            let text = format!("{key} of turn {turn:?} was executed after turn {last_turn:?}");
            self.blame(Invariant::OrderKept, text);
        }
        self.controllers[index].last_turn = turn;
        if time.0 > command.expiry.0 + LATE_MS {
            let late_ms = time.0 - command.expiry.0;
            let text = format!("{key} was executed {late_ms} ms after its expiry");
            self.blame(Invariant::NotAfterExpiry, text);
        }
        let Action::Set { value, .. } = command.action else {
            unreachable!("operators only set");
        };
        let point = self.rng.random_range(0..POINTS);
        let awaits_feedback = value % 3 == 0;
        self.note_outcome(index, key, Stage::Executed, None, !awaits_feedback);
        let cause = Cause {
            kind: CauseKind::Command,
            by: None,
            reference: Some(key.reference()),
        };
        self.set_point(index, point, value, cause);
        if awaits_feedback {
            let takes_ms = match self.chance(10) {
                true => self.rng.random_range(60_000..240_000),
                false => self.rng.random_range(20..3_000),
            };
            self.after(takes_ms, Event::Confirm(index, boot, key));
        }
        self.execute_next(index);
    }

    pub(crate) fn confirm(&mut self, index: usize, boot: u32, key: Key) {
        if self.controllers[index].boot == boot {
            match self.chance(750) {
                true => self.note_outcome(index, key, Stage::Confirmed, None, true),
                false => {
                    let reason = Some(Code::NotConfirmed);
                    self.note_outcome(index, key, Stage::Failed, reason, true);
                }
            }
        }
    }

    fn note_outcome(
        &mut self,
        index: usize,
        key: Key,
        stage: Stage,
        reason: Option<Code>,
        is_final: bool,
    ) {
        let Some(outcome) = self.controllers[index].outcome_mut(key) else {
            return;
        };
        outcome.stage = stage;
        outcome.reason = reason;
        outcome.is_final = is_final;
        self.tell(index, key);
        if self.chance(50) {
            self.count("fault: receipt sent twice");
            self.tell(index, key);
        }
    }

    fn tell(&mut self, index: usize, key: Key) {
        let now = self.now;
        let controller = &mut self.controllers[index];
        let at = controller.estimate(now);
        let Some(outcome) = controller.outcome_mut(key) else {
            return;
        };
        let (to, correlation) = outcome.asker;
        let receipt = Receipt {
            key,
            stage: outcome.stage,
            at,
            reason: outcome.reason,
            detail: None,
            is_final: outcome.is_final,
        };
        self.say(index, Kind::Receipt, correlation, to, &receipt.encode());
    }
}
