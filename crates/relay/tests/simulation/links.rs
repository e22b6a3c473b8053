//! The links between peers and gateway: they keep their order, delay, lose what is on them when
//! they break, and tell each end of it in its own time.

use crate::world::{Event, PING_EVERY_MS, PeerRef, World};
use bytes::Bytes;
use rand::Rng;
use std::collections::VecDeque;
use switchyard_protocol::{
    Address, Frame, Kind, limits,
    message::{CommandHead, Ping},
};
use switchyard_relay::{ConnectionId, Input, Peer};

/// One connection, as the network sees it.
pub(crate) struct Link {
    pub(crate) peer: PeerRef,
    pub(crate) to_relay: VecDeque<Bytes>,
    /// `None` is the close.
    pub(crate) to_peer: VecDeque<Option<Bytes>>,
    pub(crate) to_relay_at: u64,
    pub(crate) to_peer_at: u64,
    pub(crate) stalled_until: u64,
    /// Nothing passes any more; its peer has yet to notice.
    pub(crate) is_dead: bool,
}

impl World {
    pub(crate) fn dial(&mut self, peer: PeerRef) {
        if self.link_of(peer).is_some() || self.stays_away(peer) {
            return;
        }
        if self.gateway.is_none() || self.is_withdrawn(peer) {
            let again_ms = self.rng.random_range(200..3_000);
            return self.after(again_ms, Event::Dial(peer));
        }
        self.last_link += 1;
        let link = self.last_link;
        self.links.insert(
            link,
            Link {
                peer,
                to_relay: VecDeque::new(),
                to_peer: VecDeque::new(),
                to_relay_at: 0,
                to_peer_at: 0,
                stalled_until: 0,
                is_dead: false,
            },
        );
        let who = match peer {
            PeerRef::Controller(index) => Peer::Controller {
                address: self.controllers[index].address,
                frame_bytes_max: limits::RECORD_BYTES_MAX_DEFAULT - limits::RECORD_TAG_BYTES,
            },
            PeerRef::Operator(index) => self.operator_peer(index),
            PeerRef::Watcher(index) => self.watcher_peer(index),
        };
        self.set_link(peer, Some(link));
        self.feed(Input::Connected {
            connection: ConnectionId(link),
            peer: who,
        });
        match peer {
            PeerRef::Controller(index) => self.controller_up(index),
            PeerRef::Operator(index) => self.operator_up(index),
            PeerRef::Watcher(index) => self.watcher_up(index),
        }
    }

    pub(crate) fn stays_away(&self, peer: PeerRef) -> bool {
        matches!(peer, PeerRef::Controller(index) if self.controllers[index].is_gone)
    }

    pub(crate) fn link_of(&self, peer: PeerRef) -> Option<u64> {
        match peer {
            PeerRef::Controller(index) => self.controllers[index].link,
            PeerRef::Operator(index) => self.operators[index].link,
            PeerRef::Watcher(index) => self.watchers[index].link,
        }
    }

    pub(crate) fn set_link(&mut self, peer: PeerRef, link: Option<u64>) {
        match peer {
            PeerRef::Controller(index) => self.controllers[index].link = link,
            PeerRef::Operator(index) => self.operators[index].link = link,
            PeerRef::Watcher(index) => self.watchers[index].link = link,
        }
    }

    /// Sends a frame of a peer, if it has a link; a dead link swallows it.
    pub(crate) fn send(&mut self, peer: PeerRef, frame: Frame) {
        let Some(link) = self.link_of(peer) else {
            return;
        };
        let delay_ms = self.delay();
        let Some(it) = self.links.get_mut(&link).filter(|it| !it.is_dead) else {
            return;
        };
        it.to_relay.push_back(frame.into_bytes());
        it.to_relay_at = it.to_relay_at.max(self.now + delay_ms);
        let wait = it.to_relay_at - self.now;
        self.after(wait, Event::ToRelay(link));
    }

    pub(crate) fn ping(&mut self, peer: PeerRef) {
        let from = match peer {
            PeerRef::Controller(index) => self.controllers[index].address,
            PeerRef::Operator(index) => self.operators[index].address,
            PeerRef::Watcher(index) => self.watchers[index].address(),
        };
        let payload = Ping.encode();
        self.send(
            peer,
            Frame::new(Kind::Ping, 1, from, Address::GATEWAY, &payload),
        );
        self.after(PING_EVERY_MS, Event::Ping(peer));
    }

    pub(crate) fn queue_to_peer(&mut self, link: u64, frame: Option<Bytes>) {
        let delay_ms = self.delay();
        let Some(it) = self.links.get_mut(&link).filter(|it| !it.is_dead) else {
            return;
        };
        it.to_peer.push_back(frame);
        it.to_peer_at = it.to_peer_at.max(self.now + delay_ms);
        let wait = it.to_peer_at - self.now;
        self.after(wait, Event::ToPeer(link));
    }

    /// Mostly a few milliseconds, now and then seconds: links reorder among each other.
    pub(crate) fn delay(&mut self) -> u64 {
        if self.chance(4) && !self.is_resting {
            self.count("fault: frame delayed for seconds");
            return self.rng.random_range(500..4_000);
        }
        self.rng.random_range(1..40)
    }

    pub(crate) fn frame_arrives(&mut self, link: u64) {
        let frame = self
            .links
            .get_mut(&link)
            .and_then(|it| it.to_relay.pop_front());
        let Some(mut bytes) = frame else {
            return;
        };
        self.trace_frame("in from", link, &bytes);
        let frame = Frame::decode_shared(&mut bytes, limits::PAYLOAD_BYTES_MAX);
        let frame = frame.unwrap().unwrap();
        // One that the relay has cut off is not heard any more.
        if frame.header().kind == Kind::Command && self.is_heard(ConnectionId(link)) {
            let key = CommandHead::decode(frame.payload()).unwrap().key;
            let turn = self.next_turn();
            self.arrivals.entry(key).or_insert(turn);
        }
        let connection = ConnectionId(link);
        self.frame(connection, &frame);
    }

    pub(crate) fn peer_reads(&mut self, link: u64) {
        let Some(it) = self.links.get_mut(&link) else {
            return;
        };
        if it.stalled_until > self.now {
            let wait = it.stalled_until - self.now;
            return self.after(wait, Event::ToPeer(link));
        }
        let peer = it.peer;
        match it.to_peer.pop_front() {
            None => {}
            Some(None) => self.peer_notices(link),
            Some(Some(mut bytes)) => {
                let sent_bytes = bytes.len();
                let frame = Frame::decode_shared(&mut bytes, limits::PAYLOAD_BYTES_MAX);
                let frame = frame.unwrap().unwrap();
                match peer {
                    PeerRef::Controller(index) => self.controller_gets(index, &frame),
                    PeerRef::Operator(index) => self.operator_gets(index, &frame),
                    PeerRef::Watcher(index) => self.watcher_gets(index, &frame),
                }
                self.written(ConnectionId(link), sent_bytes);
            }
        }
    }

    /// The peer finds its link gone, and dials again after a while.
    pub(crate) fn peer_notices(&mut self, link: u64) {
        let Some(it) = self.links.remove(&link) else {
            return;
        };
        let peer = it.peer;
        if self.link_of(peer) != Some(link) {
            return;
        }
        self.set_link(peer, None);
        let is_long = matches!(peer, PeerRef::Controller(_)) && self.chance(120);
        let away_ms = match is_long && !self.is_resting {
            true => {
                self.count("fault: controller away for minutes");
                self.rng.random_range(40_000..200_000)
            }
            false => self.rng.random_range(100..5_000),
        };
        self.after(away_ms, Event::Dial(peer));
    }

    pub(crate) fn cut_some(&mut self) {
        if self.is_resting {
            return;
        }
        let peer = self.some_peer();
        if let Some(link) = self.link_of(peer) {
            self.count(match peer {
                PeerRef::Controller(_) => "fault: controller's link cut",
                PeerRef::Operator(_) => "fault: operator's link cut",
                PeerRef::Watcher(_) => "fault: subscriber's link cut",
            });
            self.cut(link);
        }
        let next = self.rng.random_range(1..2 * self.profile.cut_every_ms);
        self.after(next, Event::Cut);
    }

    /// Breaks a link: what is on it is lost, and each end learns of it in its own time.
    pub(crate) fn cut(&mut self, link: u64) {
        let Some(it) = self.links.get_mut(&link).filter(|it| !it.is_dead) else {
            return;
        };
        let lost = it.to_relay.len() + it.to_peer.len();
        it.to_relay.clear();
        it.to_peer.clear();
        it.is_dead = true;
        *self
            .tally
            .entry("fault: frames lost on a link")
            .or_default() += lost as u64;
        // A half-open link: the gateway finds out by silence, or when the peer is back.
        if !self.chance(250) {
            self.within(3_000, Event::GatewayNotices(link));
        }
        self.within(6_000, Event::PeerNotices(link));
    }

    pub(crate) fn some_peer(&mut self) -> PeerRef {
        match self.rng.random_range(0..10) {
            0..=5 => PeerRef::Controller(self.rng.random_range(0..self.controllers.len())),
            6..=8 => PeerRef::Operator(self.rng.random_range(0..self.operators.len())),
            _ => PeerRef::Watcher(self.rng.random_range(0..self.watchers.len())),
        }
    }

    pub(crate) fn reboot_some(&mut self) {
        if self.is_resting {
            return;
        }
        let index = self.rng.random_range(0..self.controllers.len());
        self.count("fault: controller restarted");
        self.controllers[index].reboot(&mut self.rng);
        if let Some(link) = self.controllers[index].link {
            self.cut(link);
        }
        let next = self.rng.random_range(1..2 * self.profile.reboot_every_ms);
        self.after(next, Event::Reboot);
    }

    pub(crate) fn store_down(&mut self) {
        if self.is_resting {
            return;
        }
        self.count("fault: store down for seconds");
        self.store.down_until = self.now + self.rng.random_range(1_000..10_000);
        let next = self
            .rng
            .random_range(1..2 * self.profile.store_down_every_ms);
        self.after(next, Event::StoreDown);
    }

    pub(crate) fn stall_some(&mut self) {
        if self.is_resting {
            return;
        }
        let index = self.rng.random_range(0..self.watchers.len());
        let stall_ms = match self.chance(500) {
            true => 45_000,
            false => self.rng.random_range(2_000..15_000),
        };
        let link = self.watchers[index].link;
        if let Some(it) = link.and_then(|link| self.links.get_mut(&link))
            && it.stalled_until <= self.now
        {
            it.stalled_until = self.now + stall_ms;
            self.count("fault: subscriber stalled");
        }
        let next = self.rng.random_range(1..2 * self.profile.stall_every_ms);
        self.after(next, Event::Stall);
    }

    pub(crate) fn step_clock(&mut self) {
        if self.is_resting {
            return;
        }
        self.count("fault: gateway clock stepped");
        self.clock_steps_ms += self.rng.random_range(-2_000..2_000);
        let next = self.rng.random_range(30_000..170_000);
        self.after(next, Event::ClockStep);
    }
}
