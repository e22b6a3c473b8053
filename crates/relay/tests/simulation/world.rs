//! The world around the relay: a clock, links that keep their order and lose what is on them when
//! they break, a gateway that is killed and started again, and the chance that moves them all.

use crate::{controller::Controller, operator::Operator, store::Store, watcher::Watcher};
use bytes::Bytes;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap, HashSet, VecDeque},
    time::Duration,
};
use switchyard_protocol::{
    Address, Code, Frame, Kind, limits,
    message::{CommandHead, Key, Time, Title},
};
use switchyard_relay::{
    ConnectionId, Counters, Input, Now, Output, Peer, Relay, Sabotage, Settings, StoreRequest,
    StoreResult,
};

/// Gateway time when the world begins.
const TIME_AT_START: u64 = 1_800_000_000_000;
/// How long the world is left alone in the end, so that everything can come to rest.
const REST_MS: u64 = 420_000;

/// How rough a world is.
#[derive(Clone, Copy)]
pub(crate) struct Profile {
    pub(crate) controllers: usize,
    pub(crate) operators: usize,
    pub(crate) commands: usize,
    /// Milliseconds between two commands of one operator, on average.
    pub(crate) command_every_ms: u64,
    /// The same for lost links, all peers together; and so on.
    pub(crate) cut_every_ms: u64,
    pub(crate) reboot_every_ms: u64,
    pub(crate) kill_every_ms: u64,
    pub(crate) store_down_every_ms: u64,
    pub(crate) stall_every_ms: u64,
}

/// The invariants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Invariant {
    ExecutedOnce,
    NothingLost,
    EveryReceiptEnds,
    OneLastReceipt,
    OrderKept,
    TruthMirrored,
    NotAfterExpiry,
}

/// An invariant that did not hold.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) invariant: Invariant,
    pub(crate) text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PeerRef {
    Controller(usize),
    Operator(usize),
    Watcher(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    ToRelay(u64),
    ToPeer(u64),
    GatewayNotices(u64),
    PeerNotices(u64),
    Tick(u64),
    StoreApplies(u64),
    StoreReplies(u64, u64, u8),
    Dial(PeerRef),
    Execute(usize, u32),
    Confirm(usize, u32, Key),
    Change(usize),
    Ping(usize),
    Operate(usize),
    Repeat(usize, Key),
    Poll(usize),
    Cut,
    Reboot,
    Kill,
    Start,
    StoreDown,
    Stall,
    ClockStep,
    Rest,
}

struct Link {
    peer: PeerRef,
    to_relay: VecDeque<Bytes>,
    /// `None` is the close.
    to_peer: VecDeque<Option<Bytes>>,
    to_relay_at: u64,
    to_peer_at: u64,
    stalled_until: u64,
    /// Nothing passes any more; its peer has yet to notice.
    is_dead: bool,
}

struct Gateway {
    relay: Relay,
    started_at: u64,
    tick_at: Option<u64>,
}

pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) rng: ChaCha8Rng,
    pub(crate) profile: Profile,
    heap: BinaryHeap<Reverse<(u64, u64, Event)>>,
    events: u64,
    trace: bool,
    gateway: Option<Gateway>,
    /// Counts the starts: what the welcome calls the gateway's id.
    pub(crate) gateway_id: u64,
    clock_steps_ms: u64,
    links: HashMap<u64, Link>,
    last_link: u64,
    outputs: Vec<Output>,
    pub(crate) controllers: Vec<Controller>,
    pub(crate) operators: Vec<Operator>,
    pub(crate) watchers: Vec<Watcher>,
    store: Store,
    sabotage: Option<Sabotage>,
    /// The turn in which the gateway first saw each command.
    pub(crate) arrivals: HashMap<Key, u64>,
    pub(crate) executions: HashMap<Key, u32>,
    /// Commands that the relay had the store forget: they ended.
    pub(crate) forgotten: HashSet<Key>,
    pub(crate) issued: usize,
    pub(crate) is_resting: bool,
    pub(crate) tally: BTreeMap<&'static str, u64>,
    pub(crate) violation: Option<Violation>,
}

impl World {
    pub(crate) fn new(
        seed: u64,
        profile: Profile,
        sabotage: Option<Sabotage>,
        trace: bool,
    ) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let controllers = (0..profile.controllers)
            .map(|index| Controller::new(index, &mut rng))
            .collect();
        let operators = (0..profile.operators).map(Operator::new).collect();
        let watchers = (0..3).map(Watcher::new).collect();
        let mut world = World {
            now: 0,
            rng,
            profile,
            heap: BinaryHeap::new(),
            events: 0,
            trace,
            gateway: None,
            gateway_id: 0,
            clock_steps_ms: 0,
            links: HashMap::new(),
            last_link: 0,
            outputs: Vec::new(),
            controllers,
            operators,
            watchers,
            store: Store::default(),
            sabotage,
            arrivals: HashMap::new(),
            executions: HashMap::new(),
            forgotten: HashSet::new(),
            issued: 0,
            is_resting: false,
            tally: BTreeMap::new(),
            violation: None,
        };
        world.populate();
        world
    }

    fn populate(&mut self) {
        self.after(0, Event::Start);
        for index in 0..self.profile.controllers {
            let peer = PeerRef::Controller(index);
            self.within(3_000, Event::Dial(peer));
            self.within(5_000, Event::Change(index));
            self.within(20_000, Event::Ping(index));
        }
        for index in 0..self.profile.operators {
            self.within(2_000, Event::Dial(PeerRef::Operator(index)));
            self.within(4_000, Event::Operate(index));
            self.within(5_000, Event::Poll(index));
        }
        for index in 0..self.watchers.len() {
            self.within(4_000, Event::Dial(PeerRef::Watcher(index)));
        }
        self.within(2 * self.profile.cut_every_ms, Event::Cut);
        self.within(2 * self.profile.reboot_every_ms, Event::Reboot);
        self.within(2 * self.profile.kill_every_ms, Event::Kill);
        self.within(2 * self.profile.store_down_every_ms, Event::StoreDown);
        self.within(2 * self.profile.stall_every_ms, Event::Stall);
        self.within(100_000, Event::ClockStep);
    }

    /// Runs to rest, or to the first violation.
    pub(crate) fn run(&mut self) -> Result<(), Violation> {
        let mut ends_at = u64::MAX;
        while let Some(Reverse((at, _, event))) = self.heap.pop() {
            if at > ends_at {
                break;
            }
            self.now = at;
            if self.trace {
                println!("{at} {event:?}");
            }
            self.happen(event);
            if let Some(violation) = self.violation.take() {
                return Err(violation);
            }
            if self.is_resting && ends_at == u64::MAX {
                ends_at = self.now + REST_MS;
            }
        }
        self.judge();
        match self.violation.take() {
            Some(violation) => Err(violation),
            None => Ok(()),
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::ToRelay(link) => self.frame_arrives(link),
            Event::ToPeer(link) => self.peer_reads(link),
            Event::GatewayNotices(link) => self.feed(Input::Disconnected {
                connection: ConnectionId(link),
                reason: Code::LinkLost,
            }),
            Event::PeerNotices(link) => self.peer_notices(link),
            Event::Tick(id) if id == self.gateway_id => {
                if let Some(gateway) = &mut self.gateway {
                    gateway.tick_at = None;
                }
                self.feed(Input::Tick);
            }
            Event::StoreApplies(id) if id == self.gateway_id => self.store.apply(),
            Event::StoreReplies(id, ticket, result) if id == self.gateway_id => {
                let result = match result {
                    0 => StoreResult::Committed,
                    1 => StoreResult::Failed,
                    _ => StoreResult::Unclear,
                };
                let ticket = switchyard_relay::Ticket(ticket);
                self.feed(Input::Stored { ticket, result });
            }
            Event::Tick(_) | Event::StoreApplies(_) | Event::StoreReplies(..) => {}
            Event::Dial(peer) => self.dial(peer),
            Event::Execute(index, boot) => self.execute(index, boot),
            Event::Confirm(index, boot, key) => self.confirm(index, boot, key),
            Event::Change(index) => self.change(index),
            Event::Ping(index) => self.ping(index),
            Event::Operate(index) => self.operate(index),
            Event::Repeat(index, key) => self.repeat(index, key),
            Event::Poll(index) => self.poll(index),
            Event::Cut => self.cut_some(),
            Event::Reboot => self.reboot_some(),
            Event::Kill => self.kill(),
            Event::Start => self.start(),
            Event::StoreDown => self.store_down(),
            Event::Stall => self.stall_some(),
            Event::ClockStep => self.step_clock(),
            Event::Rest => self.rest(),
        }
    }

    // --- chance and time -------------------------------------------------------------------------

    pub(crate) fn after(&mut self, delay_ms: u64, event: Event) {
        self.events += 1;
        let at = self.now + delay_ms;
        self.heap.push(Reverse((at, self.events, event)));
    }

    pub(crate) fn within(&mut self, delay_ms_max: u64, event: Event) {
        let delay_ms = self.rng.random_range(0..=delay_ms_max);
        self.after(delay_ms, event);
    }

    pub(crate) fn chance(&mut self, per_mille: u32) -> bool {
        self.rng.random_range(0..1_000) < per_mille
    }

    pub(crate) fn count(&mut self, what: &'static str) {
        *self.tally.entry(what).or_default() += 1;
    }

    pub(crate) fn blame(&mut self, invariant: Invariant, text: String) {
        let at = self.now;
        self.violation.get_or_insert(Violation {
            invariant,
            text: format!("{text}, at {at} ms"),
        });
    }

    pub(crate) fn time(&self) -> Time {
        Time(TIME_AT_START + self.now + self.clock_steps_ms)
    }

    // --- the gateway -----------------------------------------------------------------------------

    fn feed(&mut self, input: Input) {
        let time = self.time();
        let Some(gateway) = &mut self.gateway else {
            return;
        };
        let now = Now {
            since_start: Duration::from_millis(self.now - gateway.started_at),
            time,
        };
        let mut outputs = std::mem::take(&mut self.outputs);
        gateway.relay.handle(now, input, &mut outputs);
        let next = gateway.relay.next_timer();
        let tick_at = next.map(|at| gateway.started_at + at.as_nanos().div_ceil(1_000_000) as u64);
        if let Some(at) = tick_at
            && gateway.tick_at.is_none_or(|armed| at < armed)
        {
            gateway.tick_at = Some(at);
            self.after(at.saturating_sub(self.now), Event::Tick(self.gateway_id));
        }
        for output in outputs.drain(..) {
            self.perform(output);
        }
        self.outputs = outputs;
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Send { connection, frame } => self.queue_to_peer(connection.0, Some(frame)),
            Output::Close { connection, code } => {
                match code {
                    Code::SlowPeer => self.count("fault: subscriber cut off as slow"),
                    Code::Replaced => self.count("fault: session replaced"),
                    Code::Silent => self.count("fault: half-open link found silent"),
                    Code::LinkLost | Code::ShuttingDown => {}
                    other => self.blame(
                        Invariant::NothingLost,
                        format!("a peer that keeps the rules was cut off as {other}"),
                    ),
                }
                self.queue_to_peer(connection.0, None);
            }
            Output::Store { ticket, request } => self.write(ticket.0, request),
            Output::Ask { .. } | Output::Notice(_) => {}
        }
    }

    fn write(&mut self, ticket: u64, request: StoreRequest) {
        if let StoreRequest::Forget { key } = request {
            self.forgotten.insert(key);
        }
        let id = self.gateway_id;
        let is_down = self.now < self.store.down_until;
        let late_ms = if self.chance(60) { 4_000 } else { 30 };
        let takes_ms = self.rng.random_range(1..=late_ms);
        if late_ms > 30 {
            self.count("fault: store late");
        }
        let applies_at = self.store.busy_until.max(self.now + takes_ms);
        self.store.busy_until = applies_at;
        let luck = self.rng.random_range(0..100);
        let (succeeds, result) = match luck {
            0..=2 => (true, 2),
            3..=5 => (false, 2),
            6..=8 => (false, 1),
            _ if is_down => (false, 1),
            _ => (true, 0),
        };
        match result {
            1 => self.count("fault: store failed"),
            2 => self.count("fault: store left unclear"),
            _ => {}
        }
        self.store.begin(request, succeeds);
        self.after(applies_at - self.now, Event::StoreApplies(id));
        // Only what nobody can be sure of may be answered before it is done.
        let replies_at = match result {
            2 => self.rng.random_range(self.now + 1..=applies_at + 50),
            _ => applies_at,
        };
        self.after(
            replies_at - self.now,
            Event::StoreReplies(id, ticket, result),
        );
    }

    fn start(&mut self) {
        self.gateway_id += 1;
        let title = |text| Title::new(text).unwrap();
        let mut settings = Settings::new(title("yard"), title("simulated"), self.rng.random());
        settings.tool_queue_bytes_max = 12 * 1024;
        let mut relay = Relay::new(settings);
        if let Some(sabotage) = self.sabotage {
            relay.sabotage(sabotage);
        }
        self.gateway = Some(Gateway {
            relay,
            started_at: self.now,
            tick_at: None,
        });
        for index in 0..self.controllers.len() {
            let address = self.controllers[index].address;
            let title = Title::new(&format!("controller {index}")).unwrap();
            self.feed(Input::ControllerKnown { address, title });
        }
        for command in self.store.commands() {
            self.count("fault: command restored by a restart");
            self.feed(Input::Restored(command));
        }
    }

    fn kill(&mut self) {
        if self.is_resting {
            return;
        }
        if let Some(gateway) = self.gateway.take() {
            self.add_counters(gateway.relay.counters());
            self.count("fault: gateway killed");
            let rng = &mut self.rng;
            self.store.gateway_died(|| rng.random_bool(0.7));
            let mut links: Vec<u64> = self.links.keys().copied().collect();
            links.sort_unstable();
            for link in links {
                self.links.entry(link).and_modify(|it| {
                    it.to_relay.clear();
                    it.to_peer.clear();
                    it.is_dead = true;
                });
                self.within(2_000, Event::PeerNotices(link));
            }
            let down_ms = self.rng.random_range(50..8_000);
            self.after(down_ms, Event::Start);
        }
        let next = self.rng.random_range(8_000..2 * self.profile.kill_every_ms);
        self.after(next, Event::Kill);
    }

    /// What the relay itself says it did.
    fn add_counters(&mut self, counters: &Counters) {
        for (name, value) in [
            ("relay: commands resent", counters.commands_resent),
            ("relay: keys repeated", counters.keys_repeated),
            ("relay: receipts repeated", counters.receipts_repeated),
            ("relay: snapshots asked", counters.snapshots_asked),
            ("relay: status conflated", counters.status_conflated),
            (
                "relay: receipts nobody asked for",
                counters.dropped.of(Code::NotGranted),
            ),
            (
                "relay: frames",
                counters.frames_received + counters.frames_sent,
            ),
        ] {
            *self.tally.entry(name).or_default() += value;
        }
    }

    // --- links -----------------------------------------------------------------------------------

    fn dial(&mut self, peer: PeerRef) {
        if self.link_of(peer).is_some() || self.stays_away(peer) {
            return;
        }
        if self.gateway.is_none() {
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
            PeerRef::Watcher(index) => self.watchers[index].peer(),
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

    fn stays_away(&self, peer: PeerRef) -> bool {
        matches!(peer, PeerRef::Controller(index) if self.controllers[index].is_gone)
    }

    pub(crate) fn link_of(&self, peer: PeerRef) -> Option<u64> {
        match peer {
            PeerRef::Controller(index) => self.controllers[index].link,
            PeerRef::Operator(index) => self.operators[index].link,
            PeerRef::Watcher(index) => self.watchers[index].link,
        }
    }

    fn set_link(&mut self, peer: PeerRef, link: Option<u64>) {
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

    fn queue_to_peer(&mut self, link: u64, frame: Option<Bytes>) {
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
    fn delay(&mut self) -> u64 {
        if self.chance(4) && !self.is_resting {
            self.count("fault: frame delayed for seconds");
            return self.rng.random_range(500..4_000);
        }
        self.rng.random_range(1..40)
    }

    fn frame_arrives(&mut self, link: u64) {
        let frame = self
            .links
            .get_mut(&link)
            .and_then(|it| it.to_relay.pop_front());
        let Some(mut bytes) = frame else {
            return;
        };
        let frame = Frame::decode_shared(&mut bytes, limits::PAYLOAD_BYTES_MAX);
        let frame = frame.unwrap().unwrap();
        if frame.header().kind == Kind::Command && self.gateway.is_some() {
            let key = CommandHead::decode(frame.payload()).unwrap().key;
            let turn = self.arrivals.len() as u64;
            self.arrivals.entry(key).or_insert(turn);
        }
        let connection = ConnectionId(link);
        self.feed(Input::Frame { connection, frame });
    }

    fn peer_reads(&mut self, link: u64) {
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
                self.feed(Input::Written {
                    connection: ConnectionId(link),
                    bytes: sent_bytes,
                });
            }
        }
    }

    /// The peer finds its link gone, and dials again after a while.
    fn peer_notices(&mut self, link: u64) {
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

    fn cut_some(&mut self) {
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
        if !self.chance(150) {
            self.within(3_000, Event::GatewayNotices(link));
        }
        self.within(6_000, Event::PeerNotices(link));
    }

    fn some_peer(&mut self) -> PeerRef {
        match self.rng.random_range(0..10) {
            0..=5 => PeerRef::Controller(self.rng.random_range(0..self.controllers.len())),
            6..=8 => PeerRef::Operator(self.rng.random_range(0..self.operators.len())),
            _ => PeerRef::Watcher(self.rng.random_range(0..self.watchers.len())),
        }
    }

    fn reboot_some(&mut self) {
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

    fn store_down(&mut self) {
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

    fn stall_some(&mut self) {
        if self.is_resting {
            return;
        }
        let index = self.rng.random_range(0..self.watchers.len());
        let stall_ms = match self.chance(300) {
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

    fn step_clock(&mut self) {
        if self.is_resting {
            return;
        }
        self.count("fault: gateway clock stepped");
        self.clock_steps_ms += self.rng.random_range(1..2_000);
        let next = self.rng.random_range(30_000..170_000);
        self.after(next, Event::ClockStep);
    }

    // --- the end ---------------------------------------------------------------------------------

    fn rest(&mut self) {
        self.is_resting = true;
        self.store.down_until = 0;
        if self.gateway.is_none() {
            // Its start is on its way.
            self.count("rested while the gateway was away");
        }
        for index in 0..self.controllers.len() {
            if index % 6 == 5 {
                self.controllers[index].is_gone = true;
                if let Some(link) = self.controllers[index].link {
                    self.cut(link);
                }
            }
        }
    }

    fn judge(&mut self) {
        self.judge_operators();
        self.judge_watchers();
        let Some(gateway) = self.gateway.take() else {
            return self.blame(Invariant::NothingLost, "the gateway is not back".into());
        };
        self.add_counters(gateway.relay.counters());
        let gauges = gateway.relay.gauges();
        if gauges.commands_in_flight + gauges.commands_waiting > 0 {
            let text = format!("the relay still holds commands: {gauges:?}");
            self.blame(Invariant::EveryReceiptEnds, text);
        }
        if self.store.len() > 0 {
            let text = format!("the store still holds {} commands", self.store.len());
            self.blame(Invariant::EveryReceiptEnds, text);
        }
        if gauges.requests_open > 0 {
            self.blame(
                Invariant::EveryReceiptEnds,
                "a request is still open".into(),
            );
        }
    }

    /// How many events there were.
    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    pub(crate) fn address_of(&self, controller: usize) -> Address {
        self.controllers[controller].address
    }
}
