//! Virtual operators: they command, lose their link, come back under another address, ask what
//! became of their commands, and send a key again where that is safe.

use crate::{
    rights::{self, OPERATORS},
    world::{Event, Invariant, PeerRef, World},
};
use bytes::Bytes;
use rand::Rng;
use std::collections::{BTreeMap, BTreeSet};
use switchyard_protocol::{
    Address, Code, Frame, Kind,
    message::{Action, Answer, Body, Command, Key, Name, Receipt, Request, Stage, Time},
};
use switchyard_relay::Peer;

/// How a command ended in its operator's eyes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// By its last receipt, or by what the gateway answered when asked.
    Stage(Stage),
    /// The same gateway never heard of it, and its time is over.
    NeverArrived,
    /// The gateway was restarted and knows nothing: a person decides.
    GatewayRestarted,
}

struct View {
    controller: usize,
    expiry: Time,
    payload: Bytes,
    /// Under which gateway, and on which link, it was sent last.
    sent_under: u64,
    sent_on: u64,
    /// Under which gateway something was heard of it last, and what.
    heard_under: u64,
    latest: Option<Stage>,
    was_queued: bool,
    end: Option<End>,
    /// Last receipts under the present gateway, and how many there may be.
    finals: u32,
    finals_max: u32,
    is_asking: Option<u32>,
    asked_at: u64,
}

pub(crate) struct Operator {
    pub(crate) link: Option<u64>,
    pub(crate) address: Address,
    is_installed: bool,
    pub(crate) account: usize,
    /// The id of the gateway that it is connected to.
    gateway: u64,
    correlation: u32,
    views: BTreeMap<Key, View>,
    open: BTreeSet<Key>,
}

impl Operator {
    pub(crate) fn new(index: usize) -> Self {
        Operator {
            link: None,
            address: Address(0x8000_0001 + index as u32),
            is_installed: index.is_multiple_of(2),
            account: index % OPERATORS,
            gateway: 0,
            correlation: 0,
            views: BTreeMap::new(),
            open: BTreeSet::new(),
        }
    }

    fn next_correlation(&mut self) -> u32 {
        self.correlation += 1;
        self.correlation
    }
}

impl World {
    pub(crate) fn operator_peer(&mut self, index: usize) -> Peer {
        let lease = Address(0xC000_0000 + self.rng.random_range(0..0x3FFF_FFFF));
        let operator = &mut self.operators[index];
        if !operator.is_installed {
            operator.address = lease;
        }
        let (address, account) = (operator.address, operator.account);
        Peer::Tool {
            address,
            account: rights::name(account),
            rights: self.rights_of(account),
        }
    }

    pub(crate) fn operator_up(&mut self, index: usize) {
        let gateway = self.memory_id;
        let operator = &mut self.operators[index];
        operator.gateway = gateway;
        for key in &operator.open {
            if let Some(view) = operator.views.get_mut(key) {
                view.is_asking = None;
            }
        }
        self.ask_after_orphans(index);
    }

    pub(crate) fn poll(&mut self, index: usize) {
        self.ask_after_orphans(index);
        self.after(5_000, Event::Poll(index));
    }

    /// Asks after every open command that was not sent on this link, or is long past its expiry.
    fn ask_after_orphans(&mut self, index: usize) {
        let time = self.time();
        let operator = &self.operators[index];
        let Some(link) = operator.link else {
            return;
        };
        let open = operator.open.iter().copied();
        let orphans: Vec<Key> = open
            .filter(|key| {
                let view = &operator.views[key];
                let is_late = time.0 > view.expiry.0 + 60_000;
                (view.sent_on != link || is_late) && view.is_asking.is_none()
            })
            .collect();
        for key in orphans {
            self.count("operator asked after a command");
            let now = self.now;
            let operator = &mut self.operators[index];
            let correlation = operator.next_correlation();
            if let Some(view) = operator.views.get_mut(&key) {
                view.is_asking = Some(correlation);
                view.asked_at = now;
            }
            let payload = Request::Receipt { key }.encode();
            let (from, to) = (operator.address, Address::GATEWAY);
            let frame = Frame::new(Kind::Query, correlation, from, to, &payload);
            self.send(PeerRef::Operator(index), frame);
        }
    }

    pub(crate) fn operate(&mut self, index: usize) {
        if self.issued >= self.profile.commands {
            if !self.is_resting {
                self.after(0, Event::Rest);
            }
            return;
        }
        if self.operators[index].link.is_some() {
            let controller = self.rng.random_range(0..self.controllers.len());
            let count = match self.chance(20) {
                true => {
                    self.count("fault: burst of commands");
                    24
                }
                false => 1,
            };
            for _ in 0..count {
                self.command(index, controller);
            }
            if self.chance(300) {
                self.ask(index, controller);
            }
        }
        self.within(2 * self.profile.command_every_ms, Event::Operate(index));
    }

    /// Asks a controller what it is; the answer is judged where it is sent.
    fn ask(&mut self, index: usize, controller: usize) {
        let to = self.address_of(controller);
        let operator = &mut self.operators[index];
        let correlation = operator.next_correlation();
        let payload = Request::Describe.encode();
        let frame = Frame::new(Kind::Query, correlation, operator.address, to, &payload);
        self.send(PeerRef::Operator(index), frame);
    }

    fn command(&mut self, index: usize, controller: usize) {
        self.issued += 1;
        let ahead_ms: i64 = match self.rng.random_range(0..1_000) {
            0..10 => -1_000,
            10..13 => 25 * 60 * 60 * 1_000,
            13..300 => self.rng.random_range(500..4_000),
            300..700 => self.rng.random_range(2_000..20_000),
            _ => self.rng.random_range(20_000..120_000),
        };
        let expiry = Time(self.time().0.saturating_add_signed(ahead_ms));
        let command = Command {
            key: Key(self.rng.random()),
            expiry,
            wait: self.rng.random_bool(0.6),
            action: Action::Set {
                point: Name::new("P0").unwrap(),
                value: self.rng.random_range(0..100_000),
            },
        };
        let key = command.key;
        let operator = &mut self.operators[index];
        let view = View {
            controller,
            expiry,
            payload: command.encode().into(),
            sent_under: operator.gateway,
            sent_on: operator.link.unwrap_or_default(),
            heard_under: 0,
            latest: None,
            was_queued: false,
            end: None,
            finals: 0,
            finals_max: 0,
            is_asking: None,
            asked_at: 0,
        };
        self.commands.insert(key, (operator.account, controller));
        operator.views.insert(key, view);
        operator.open.insert(key);
        self.send_command(index, key);
        if self.chance(60) {
            self.within(60_000, Event::Repeat(index, key));
        }
    }

    fn send_command(&mut self, index: usize, key: Key) {
        let operator = &mut self.operators[index];
        let correlation = operator.next_correlation();
        let (gateway, from) = (operator.gateway, operator.address);
        let (Some(link), Some(view)) = (operator.link, operator.views.get_mut(&key)) else {
            return;
        };
        view.sent_under = gateway;
        view.sent_on = link;
        view.finals_max += 1;
        let (payload, controller) = (view.payload.clone(), view.controller);
        let to = self.address_of(controller);
        let frame = Frame::new(Kind::Command, correlation, from, to, &payload);
        self.send(PeerRef::Operator(index), frame);
    }

    /// Sends a key again, as an impatient program does; under the same gateway that is safe.
    pub(crate) fn repeat(&mut self, index: usize, key: Key) {
        let operator = &self.operators[index];
        let view = &operator.views[&key];
        let gave_up = matches!(view.end, Some(End::NeverArrived | End::GatewayRestarted));
        if operator.link.is_some() && view.sent_under == operator.gateway && !gave_up {
            self.count("fault: command sent twice");
            self.send_command(index, key);
        }
    }

    pub(crate) fn operator_gets(&mut self, index: usize, frame: &Frame) {
        match frame.header().kind {
            Kind::Receipt => {
                let receipt = Receipt::decode(frame.payload()).unwrap();
                self.operator_told(index, &receipt);
            }
            Kind::Response => {
                let correlation = frame.header().correlation;
                let operator = &mut self.operators[index];
                let open = operator.open.iter().copied();
                let asked = open
                    .into_iter()
                    .find(|key| operator.views[key].is_asking == Some(correlation));
                if let Some(key) = asked {
                    if let Some(view) = operator.views.get_mut(&key) {
                        view.is_asking = None;
                    }
                    let answer = Answer::decode(frame.payload()).unwrap();
                    self.operator_answered(index, key, answer);
                }
            }
            _ => {}
        }
    }

    fn operator_told(&mut self, index: usize, receipt: &Receipt) {
        let key = receipt.key;
        let operator = &mut self.operators[index];
        let gateway = operator.gateway;
        let Some(view) = operator.views.get_mut(&key) else {
            let text = format!("operator {index} was told of {key}, which is none of its own");
            return self.blame(Invariant::OneLastReceipt, text);
        };
        if view.heard_under != gateway {
            view.heard_under = gateway;
            view.latest = None;
            view.finals = 0;
        }
        view.was_queued |= receipt.stage == Stage::Queued;
        let before = view.latest.replace(receipt.stage);
        let ended_as = match view.end {
            Some(End::Stage(stage)) if view.finals > 0 => Some(stage),
            _ => None,
        };
        view.finals += u32::from(receipt.is_final);
        let fault = if before > Some(receipt.stage) {
            Some("after a later one")
        } else if ended_as.is_some_and(|stage| stage != receipt.stage || !receipt.is_final) {
            Some("after the last one")
        } else if view.finals > view.finals_max {
            Some("once more than it was asked for")
        } else {
            None
        };
        if let Some(fault) = fault {
            let (stage, end) = (receipt.stage, view.end);
            let text = format!("{key} had {stage:?} {fault} ({before:?}, {end:?})");
            return self.blame(Invariant::OneLastReceipt, text);
        }
        if receipt.is_final {
            self.view_ends(index, key, End::Stage(receipt.stage), receipt.reason);
        }
    }

    /// Which controller's command an operator asked after.
    pub(crate) fn asked_about(&self, peer: PeerRef, correlation: u32) -> Option<usize> {
        let PeerRef::Operator(index) = peer else {
            return None;
        };
        let mut views = self.operators[index].views.values();
        let view = views.find(|view| view.is_asking == Some(correlation))?;
        Some(view.controller)
    }

    fn operator_answered(&mut self, index: usize, key: Key, answer: Answer) {
        let time = self.time();
        let operator = &self.operators[index];
        let (account, view) = (operator.account, &operator.views[&key]);
        // Without any right at all nothing is answered.
        let hidden = [Some(Code::UnknownAddress), Some(Code::Forbidden)];
        if hidden.contains(&rights::refusal(&answer))
            && self.was_blind(account, view.controller, view.asked_at)
        {
            return self.count("operator asked after what it may not see");
        }
        let operator = &mut self.operators[index];
        let gateway = operator.gateway;
        let Some(view) = operator
            .views
            .get_mut(&key)
            .filter(|view| view.end.is_none())
        else {
            return;
        };
        match answer {
            Answer::Ok(Body::Receipt {
                stage,
                reason,
                is_final,
                ..
            }) => {
                view.heard_under = gateway;
                view.latest = Some(stage);
                if is_final {
                    self.view_ends(index, key, End::Stage(stage), reason);
                }
            }
            Answer::Refused {
                code: Code::UnknownCommand,
                ..
            } => {
                if view.sent_under != gateway {
                    if view.was_queued && !self.forgotten.contains(&key) {
                        let text = format!("{key} was queued, and the restart lost it");
                        return self.blame(Invariant::NothingLost, text);
                    }
                    return self.view_ends(index, key, End::GatewayRestarted, None);
                }
                if view.heard_under == gateway {
                    let text = format!("{key} had receipts, and the gateway denies it");
                    return self.blame(Invariant::NothingLost, text);
                }
                if time >= view.expiry {
                    return self.view_ends(index, key, End::NeverArrived, None);
                }
                self.count("operator sent again what never arrived");
                self.send_command(index, key);
            }
            Answer::Refused {
                code: Code::Busy, ..
            } => {}
            other => {
                let text = format!("asked after {key}, the gateway answered {other:?}");
                self.blame(Invariant::EveryReceiptEnds, text);
            }
        }
    }

    fn view_ends(&mut self, index: usize, key: Key, end: End, reason: Option<Code>) {
        let operator = &mut self.operators[index];
        operator.open.remove(&key);
        let Some(view) = operator.views.get_mut(&key) else {
            return;
        };
        let was_queued = view.was_queued;
        let had_ended = matches!(view.end, Some(End::Stage(_) | End::GatewayRestarted));
        if matches!(view.end, Some(End::GatewayRestarted)) {
            return;
        }
        view.end = Some(end);
        if had_ended {
            return;
        }
        self.count(match end {
            End::Stage(Stage::Executed) => "end: executed",
            End::Stage(Stage::Confirmed) => "end: confirmed",
            End::Stage(Stage::Expired) => "end: expired",
            End::Stage(Stage::Refused) => "end: refused",
            End::Stage(Stage::Failed) => "end: failed",
            End::Stage(_) => "end: unknown",
            End::NeverArrived => "end: never arrived",
            End::GatewayRestarted => "end: unknown after a gateway restart",
        });
        let why = match (end, reason) {
            (End::Stage(Stage::Refused), Some(Code::Offline)) => "refused: offline",
            (End::Stage(Stage::Refused), Some(Code::Busy)) => "refused: busy",
            (End::Stage(Stage::Refused), Some(Code::StoreUnavailable)) => {
                "refused: store unavailable"
            }
            (End::Stage(Stage::Refused), Some(Code::Forbidden)) if was_queued => {
                "refused: forbidden after it was queued"
            }
            (End::Stage(Stage::Refused), Some(Code::Forbidden)) => "refused: forbidden",
            (End::Stage(Stage::Refused), Some(Code::UnknownAddress)) => "refused: unknown address",
            (End::Stage(Stage::Refused), Some(Code::OutOfRange)) => "refused: out of range",
            (End::Stage(Stage::Refused), Some(Code::UnknownPoint)) => "refused: by the controller",
            (End::Stage(Stage::Unknown), Some(Code::Rebooted)) => "unknown: rebooted",
            (End::Stage(Stage::Unknown), Some(Code::LinkLost)) => "unknown: link lost",
            _ => return,
        };
        self.count(why);
    }

    pub(crate) fn judge_operators(&mut self) {
        let mut faults = Vec::new();
        for operator in &self.operators {
            for (key, view) in &operator.views {
                let times = self.executions.get(key).copied().unwrap_or(0);
                let (invariant, fault) = match view.end {
                    None => (Invariant::EveryReceiptEnds, "never ended"),
                    Some(End::Stage(Stage::Executed | Stage::Confirmed | Stage::Failed))
                        if times == 0 =>
                    {
                        (Invariant::NothingLost, "was never executed")
                    }
                    Some(End::Stage(Stage::Refused | Stage::Expired) | End::NeverArrived)
                        if times > 0 =>
                    {
                        (Invariant::ExecutedOnce, "was executed all the same")
                    }
                    _ => continue,
                };
                let (end, latest) = (view.end, view.latest);
                let text = format!("{key} {fault}: {end:?}, last told {latest:?}");
                faults.push((invariant, text));
            }
        }
        for (invariant, text) in faults {
            self.blame(invariant, text);
        }
    }
}
