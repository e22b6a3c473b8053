//! Virtual subscribers: they mirror the fleet's status from what they are sent, and hold the relay
//! to its promise that no delta is ever missing between two that they get.

use crate::{
    rights::{self, OPERATORS},
    world::{Event, Invariant, PeerRef, World},
};
use std::collections::BTreeMap;
use switchyard_protocol::{
    Address, Code, Frame, Kind,
    message::{Answer, Body, Delta, Event as Message, Full, Request, StatusHead},
};
use switchyard_relay::Peer;

#[derive(Default)]
struct Mirror {
    online: bool,
    status: Option<(StatusHead, Vec<i64>)>,
}

pub(crate) struct Watcher {
    pub(crate) link: Option<u64>,
    index: usize,
    /// Its subscribe was answered: the snapshot is complete.
    has_snapshot: bool,
    /// How often it has subscribed, and when it last did.
    subscriptions: u32,
    subscribed_at: u64,
    mirrors: BTreeMap<Address, Mirror>,
}

impl Watcher {
    pub(crate) fn new(index: usize) -> Self {
        Watcher {
            link: None,
            index,
            has_snapshot: false,
            subscriptions: 0,
            subscribed_at: 0,
            mirrors: BTreeMap::new(),
        }
    }

    pub(crate) fn address(&self) -> Address {
        Address(0x9000_0000 + self.index as u32)
    }
}

impl World {
    pub(crate) fn watcher_peer(&self, index: usize) -> Peer {
        let account = OPERATORS + index;
        Peer::Tool {
            address: self.watchers[index].address(),
            account: rights::name(account),
            rights: self.rights_of(account),
        }
    }

    pub(crate) fn watches_all(&self, peer: PeerRef) -> bool {
        matches!(peer, PeerRef::Watcher(index) if index + 1 < self.watchers.len())
    }

    /// The last watcher wants every other controller, the rest want all.
    fn watched_by(&self, index: usize) -> Vec<usize> {
        let all = 0..self.controllers.len();
        match index + 1 == self.watchers.len() {
            true => all.step_by(2).collect(),
            false => all.collect(),
        }
    }

    pub(crate) fn watcher_up(&mut self, index: usize) {
        self.watchers[index].mirrors.clear();
        self.subscribe(index);
    }

    /// Subscribes, also once more: a watcher without any right is refused, and one that chose by name
    /// loses what it may not see, for good.
    pub(crate) fn subscribe(&mut self, index: usize) {
        let now = self.now;
        let watched = self.watched_by(index);
        let is_all = watched.len() == self.controllers.len();
        let addresses = watched.iter().map(|&it| self.address_of(it)).collect();
        let request = Request::Subscribe {
            controllers: (!is_all).then_some(addresses),
        };
        let watcher = &mut self.watchers[index];
        watcher.has_snapshot = false;
        watcher.subscriptions += 1;
        watcher.subscribed_at = now;
        let correlation = watcher.subscriptions;
        let (from, to) = (watcher.address(), Address::GATEWAY);
        let frame = Frame::new(Kind::Query, correlation, from, to, &request.encode());
        self.send(PeerRef::Watcher(index), frame);
    }

    pub(crate) fn watcher_gets(&mut self, index: usize, frame: &Frame) {
        let source = frame.header().source;
        let fault = match frame.header().kind {
            Kind::Event => self.presence_told(index, frame),
            Kind::StatusFull => self.full_told(index, source, frame),
            Kind::StatusDelta => self.delta_told(index, source, frame),
            Kind::Response => self.snapshot_ends(index, frame),
            _ => None,
        };
        if let Some(fault) = fault {
            let text = format!("watcher {index} {fault} of {source}");
            self.blame(Invariant::TruthMirrored, text);
        }
    }

    fn presence_told(&mut self, index: usize, frame: &Frame) -> Option<&'static str> {
        let Message::Presence {
            controller,
            online,
            reason,
            ..
        } = Message::decode(frame.payload()).unwrap()
        else {
            return Some("got an event that is no presence");
        };
        let mirrors = &mut self.watchers[index].mirrors;
        if reason == Some(Code::Forbidden) {
            mirrors.remove(&controller);
            if !self.watches_all(PeerRef::Watcher(index)) {
                self.within(4_000, Event::Subscribe(index));
            }
            return None;
        }
        mirrors.entry(controller).or_default().online = online;
        None
    }

    fn full_told(&mut self, index: usize, source: Address, frame: &Frame) -> Option<&'static str> {
        let full = Full::decode(frame.payload()).unwrap();
        let mirror = self.watchers[index].mirrors.entry(source).or_default();
        let goes_back = mirror.status.as_ref().is_some_and(|(held, _)| {
            held.boot == full.head.boot && !full.head.has_passed(held.sequence)
        });
        if full.pages != 1 {
            return Some("got half a full status");
        }
        let values = full.points.iter().map(|point| point.value).collect();
        mirror.status = Some((full.head, values));
        goes_back.then_some("was sent back in time")
    }

    fn delta_told(&mut self, index: usize, source: Address, frame: &Frame) -> Option<&'static str> {
        let delta = Delta::decode(frame.payload()).unwrap();
        let mirror = self.watchers[index].mirrors.entry(source).or_default();
        let Some((head, values)) = &mut mirror.status else {
            return Some("got a delta before the full status");
        };
        if head.boot != delta.head.boot || !head.is_followed_by(delta.head.sequence) {
            return Some("got a delta that does not follow");
        }
        *head = delta.head;
        for change in &delta.changes {
            values[usize::from(change.index)] = change.value;
        }
        None
    }

    fn snapshot_ends(&mut self, index: usize, frame: &Frame) -> Option<&'static str> {
        if frame.header().correlation != self.watchers[index].subscriptions {
            // It has subscribed once more since.
            return None;
        }
        let answer = Answer::decode(frame.payload()).unwrap();
        let watched = self.watched_by(index);
        let (account, since) = (OPERATORS + index, self.watchers[index].subscribed_at);
        if !matches!(answer, Answer::Ok(Body::Subscribe { .. })) {
            self.count("watcher refused its subscription");
            self.within(4_000, Event::Subscribe(index));
            let blind = watched.iter().any(|&it| self.was_blind(account, it, since));
            let hidden = [Some(Code::Forbidden), Some(Code::UnknownAddress)];
            let is_right = blind && hidden.contains(&rights::refusal(&answer));
            return (!is_right).then_some("was refused its subscription");
        }
        let all_told = watched.iter().all(|&it| {
            let mirrors = &self.watchers[index].mirrors;
            self.was_blind(account, it, since) || mirrors.contains_key(&self.address_of(it))
        });
        self.watchers[index].has_snapshot = true;
        (!all_told).then_some("was told the end of a snapshot before it was complete")
    }

    pub(crate) fn judge_watchers(&mut self) {
        let mut faults = Vec::new();
        for (index, watcher) in self.watchers.iter().enumerate() {
            if !watcher.has_snapshot {
                faults.push(format!("watcher {index} has no snapshot"));
                continue;
            }
            for at in self.watched_by(index) {
                let controller = &self.controllers[at];
                let mirror = &watcher.mirrors[&controller.address];
                if mirror.online == controller.is_gone {
                    faults.push(format!("watcher {index} holds a false presence of {at}"));
                } else if !controller.is_gone && mirror.status.as_ref() != Some(&controller.truth())
                {
                    let (held, truth) = (&mirror.status, controller.truth());
                    faults.push(format!("watcher {index} holds {held:?} for {truth:?}"));
                }
            }
        }
        for text in faults {
            self.blame(Invariant::TruthMirrored, text);
        }
    }
}
