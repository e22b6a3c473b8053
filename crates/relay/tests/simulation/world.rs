//! The world around the relay: a clock, links that keep their order and lose what is on them when
//! they break, a gateway that is killed and started again, and the chance that moves them all.

use crate::{
    controller::{Controller, LATE_MS},
    journal::{Journal, Paper},
    links::Link,
    operator::Operator,
    rights::{self, Account},
    store::Store,
    watcher::Watcher,
};
use bytes::Bytes;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap, HashSet},
    time::Duration,
};
use switchyard_protocol::{
    Address, Code, Frame, Kind, Role, SiteId, limits,
    message::{CommandHead, Key, ReceiptHead, Request, Time, Title},
};
use switchyard_relay::{
    ConnectionId, Counters, Input, Now, Output, Recollection, Relay, Sabotage, Settings,
    StoreRequest, StoreResult, StoredCommand,
};

/// Gateway time when the world begins.
const TIME_AT_START: u64 = 1_800_000_000_000;
/// So often that a half-open link is found between two restarts of the gateway.
pub(crate) const PING_EVERY_MS: u64 = 8_000;
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
    /// How often a kill takes the host along.
    pub(crate) power_cuts_per_mille: u32,
    pub(crate) store_down_every_ms: u64,
    pub(crate) stall_every_ms: u64,
    pub(crate) regrant_every_ms: u64,
    pub(crate) move_every_ms: u64,
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
    RightsKept,
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
    Describe(usize, Address, u32),
    Change(usize),
    Ping(PeerRef),
    Operate(usize),
    Repeat(usize, Key),
    Poll(usize),
    Subscribe(usize),
    Cut,
    Reboot,
    Kill,
    Start,
    StoreDown,
    Stall,
    ClockStep,
    Regrant,
    Move,
    Rest,
}

pub(crate) struct Gateway {
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
    pub(crate) gateway: Option<Gateway>,
    /// Counts the starts.
    pub(crate) gateway_id: u64,
    /// Counts the starts that may have forgotten something: what the welcome calls the gateway's id.
    pub(crate) memory_id: u64,
    pub(crate) clock_steps_ms: i64,
    pub(crate) links: HashMap<u64, Link>,
    pub(crate) last_link: u64,
    paper: Paper,
    journal: Journal,
    pub(crate) controllers: Vec<Controller>,
    pub(crate) operators: Vec<Operator>,
    pub(crate) watchers: Vec<Watcher>,
    pub(crate) accounts: Vec<Account>,
    /// Where each controller is.
    pub(crate) sites: Vec<Option<SiteId>>,
    /// Whose each command is, and for which controller.
    pub(crate) commands: HashMap<Key, (usize, usize)>,
    pub(crate) store: Store,
    sabotage: Option<Sabotage>,
    /// The turn in which the gateway first saw each command.
    pub(crate) arrivals: HashMap<Key, u64>,
    turns: u64,
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
        let watchers: Vec<_> = (0..3).map(Watcher::new).collect();
        let operators_may = [Role::Operator; rights::OPERATORS];
        let watchers_may = watchers.iter().map(|_| Role::Viewer);
        let roles = operators_may.into_iter().chain(watchers_may);
        let accounts = roles.map(Account::new).collect();
        let mut world = World {
            now: 0,
            rng,
            profile,
            heap: BinaryHeap::new(),
            events: 0,
            trace,
            gateway: None,
            gateway_id: 0,
            memory_id: 1,
            clock_steps_ms: 0,
            links: HashMap::new(),
            last_link: 0,
            paper: Paper::default(),
            journal: Journal::default(),
            controllers,
            operators,
            watchers,
            accounts,
            sites: (0..profile.controllers).map(rights::first_site).collect(),
            commands: HashMap::new(),
            store: Store::default(),
            sabotage,
            arrivals: HashMap::new(),
            turns: 0,
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
            self.within(20_000, Event::Ping(peer));
        }
        for index in 0..self.profile.operators {
            let peer = PeerRef::Operator(index);
            self.within(2_000, Event::Dial(peer));
            self.within(20_000, Event::Ping(peer));
            self.within(4_000, Event::Operate(index));
            self.within(5_000, Event::Poll(index));
        }
        for index in 0..self.watchers.len() {
            let peer = PeerRef::Watcher(index);
            self.within(4_000, Event::Dial(peer));
            self.within(20_000, Event::Ping(peer));
        }
        self.within(2 * self.profile.cut_every_ms, Event::Cut);
        self.within(2 * self.profile.reboot_every_ms, Event::Reboot);
        self.within(2 * self.profile.kill_every_ms, Event::Kill);
        self.within(2 * self.profile.store_down_every_ms, Event::StoreDown);
        self.within(2 * self.profile.stall_every_ms, Event::Stall);
        self.within(100_000, Event::ClockStep);
        self.within(2 * self.profile.regrant_every_ms, Event::Regrant);
        self.within(2 * self.profile.move_every_ms, Event::Move);
    }

    /// Runs to rest, or to the first violation.
    pub(crate) fn run(&mut self) -> Result<(), Violation> {
        let mut ends_at = u64::MAX;
        while let Some(Reverse((at, _, event))) = self.heap.pop() {
            if at > ends_at {
                break;
            }
            self.now = at;
            self.trace(|| format!("{event:?}"));
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
            Event::Describe(index, asker, correlation) => self.describe(index, asker, correlation),
            Event::Change(index) => self.change(index),
            Event::Ping(peer) => self.ping(peer),
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
            Event::Subscribe(index) => self.subscribe(index),
            Event::Regrant => self.regrant_some(),
            Event::Move => self.move_some(),
            Event::Rest => self.rest(),
        }
    }

    fn trace(&self, text: impl FnOnce() -> String) {
        if self.trace {
            println!("{} {}", self.now, text());
        }
    }

    /// A frame in short: its header, and the key that it is about.
    pub(crate) fn trace_frame(&self, how: &str, link: u64, bytes: &Bytes) {
        self.trace(|| {
            let mut bytes = bytes.clone();
            let frame = Frame::decode_shared(&mut bytes, limits::PAYLOAD_BYTES_MAX);
            let frame = frame.unwrap().unwrap();
            let header = frame.header();
            let about = match header.kind {
                Kind::Command => format!("{:?}", CommandHead::decode(frame.payload())),
                Kind::Receipt => format!("{:?}", ReceiptHead::decode(frame.payload())),
                Kind::Query => format!("{:?}", Request::decode(header.kind, frame.payload())),
                _ => String::new(),
            };
            let (from, to, kind) = (header.source, header.destination, header.kind.name());
            format!("  {how} link {link}: {kind} {from} -> {to} {about}")
        });
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
        Time((TIME_AT_START + self.now).saturating_add_signed(self.clock_steps_ms))
    }

    // --- the gateway -----------------------------------------------------------------------------

    pub(crate) fn feed(&mut self, input: Input) {
        self.relay(|relay, now, paper| relay.handle(now, input, paper));
    }

    /// A frame reaches the relay.
    pub(crate) fn frame(&mut self, connection: ConnectionId, frame: &Frame) {
        let frame = frame.as_frame_ref();
        self.relay(|relay, now, paper| relay.frame(now, connection, frame, paper));
    }

    /// Whether the relay still has a session for a connection.
    pub(crate) fn is_heard(&self, connection: ConnectionId) -> bool {
        let gateway = self.gateway.as_ref();
        gateway.is_some_and(|it| it.relay.peer(connection).is_some())
    }

    /// A peer has taken what was sent to it.
    pub(crate) fn written(&mut self, connection: ConnectionId, bytes: usize) {
        self.relay(|relay, now, paper| relay.written(now, connection, bytes, paper));
    }

    fn relay(&mut self, tell: impl FnOnce(&mut Relay, Now, &mut Paper)) {
        let time = self.time();
        let Some(gateway) = &mut self.gateway else {
            return;
        };
        let now = Now {
            since_start: Duration::from_millis(self.now - gateway.started_at),
            time,
        };
        let mut paper = std::mem::take(&mut self.paper);
        tell(&mut gateway.relay, now, &mut paper);
        let next = gateway.relay.next_timer();
        let tick_at = next.map(|at| gateway.started_at + at.as_nanos().div_ceil(1_000_000) as u64);
        if let Some(at) = tick_at
            && gateway.tick_at.is_none_or(|armed| at < armed)
        {
            gateway.tick_at = Some(at);
            self.after(at.saturating_sub(self.now), Event::Tick(self.gateway_id));
        }
        // Before anything leaves.
        self.journal.append(self.now, &mut paper.lines);
        for output in paper.outputs.drain(..) {
            self.perform(output);
        }
        self.paper = paper;
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Send { connection, frame } => {
                self.trace_frame("out on", connection.0, &frame);
                self.is_sent_in_time(connection.0, &frame);
                self.may_pass(connection.0, &frame);
                self.queue_to_peer(connection.0, Some(frame));
            }
            Output::Close {
                connection, code, ..
            } => {
                match code {
                    Code::SlowPeer => self.count("fault: subscriber cut off as slow"),
                    Code::Replaced => self.count("fault: session replaced"),
                    Code::Silent => self.count("fault: half-open link found silent"),
                    Code::LinkLost | Code::ShuttingDown => {}
                    Code::Revoked => self.count("fault: tool of a withdrawn account"),
                    other => self.blame(
                        Invariant::NothingLost,
                        format!("a peer that keeps the rules was cut off as {other}"),
                    ),
                }
                self.queue_to_peer(connection.0, None);
            }
            Output::Store { ticket, request } => self.write(ticket.0, request),
            Output::Ask { .. }
            | Output::Notice(_)
            | Output::Happened { .. }
            | Output::StoreNumber { .. } => {}
        }
    }

    /// The controller looks at the expiry too; but nothing shall rest on that alone.
    fn is_sent_in_time(&mut self, link: u64, bytes: &Bytes) {
        let is_controllers = |it: &Link| matches!(it.peer, PeerRef::Controller(_));
        if !self.links.get(&link).is_some_and(is_controllers) {
            return;
        }
        let mut bytes = bytes.clone();
        let frame = Frame::decode_shared(&mut bytes, limits::PAYLOAD_BYTES_MAX);
        let frame = frame.unwrap().unwrap();
        if frame.header().kind != Kind::Command {
            return;
        }
        let head = CommandHead::decode(frame.payload()).unwrap();
        if self.time().0 > head.expiry.0 + LATE_MS {
            let text = format!("{} was sent after its expiry", head.key);
            self.blame(Invariant::NotAfterExpiry, text);
        }
    }

    fn write(&mut self, ticket: u64, request: StoreRequest) {
        if let StoreRequest::Forget { key } = request {
            self.forgotten.insert(key);
        }
        self.trace(|| format!("  write {ticket}: {request:?}"));
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
        settings.ping_interval = Duration::from_millis(PING_EVERY_MS);
        let mut recollection = Recollection::new(&settings);
        let mut relay = Relay::new(settings);
        if let Some(sabotage) = self.sabotage {
            relay.sabotage(sabotage);
        }
        self.gateway = Some(Gateway {
            relay,
            started_at: self.now,
            tick_at: None,
        });
        self.introduce();
        let mut turns = HashMap::new();
        self.journal.recollect(&mut recollection);
        for input in recollection.into_inputs(self.store.commands()) {
            match &input {
                Input::Restored(command) => {
                    self.count("fault: command restored by a restart");
                    let command = command.clone();
                    self.takes_its_turn_again(&command, &mut turns);
                }
                Input::Resumed(resumed) => {
                    self.count(match (resumed.command.sent, resumed.is_stored) {
                        (Some(_), _) => "fault: command resumed in flight",
                        (None, true) => "fault: command restored by a restart",
                        (None, false) => "fault: command resumed that was never sent",
                    });
                    let command = resumed.command.clone();
                    self.takes_its_turn_again(&command, &mut turns);
                }
                Input::ReceiptRestored(_) => self.count("fault: receipt restored by a restart"),
                _ => {}
            }
            self.feed(input);
        }
    }

    /// A restored command is accepted by the restart, in the order of the store; and that must be
    /// the old order. The one exception: a command that the gateway was about to refuse, because
    /// the store had left open whether it has it, was in no lane any more when it died. What was
    /// marked as sent has had its turn, and is not sent again.
    fn takes_its_turn_again(&mut self, command: &StoredCommand, turns: &mut HashMap<Address, u64>) {
        if command.sent.is_some() {
            return;
        }
        let mut bytes = command.frame.clone();
        let frame = Frame::decode_shared(&mut bytes, limits::PAYLOAD_BYTES_MAX);
        let controller = frame.unwrap().unwrap().header().destination;
        let turn = self.next_turn();
        let Some(before) = self.arrivals.insert(command.key, turn) else {
            let text = format!("{} was restored and never came", command.key);
            return self.blame(Invariant::OrderKept, text);
        };
        if self.forgotten.contains(&command.key) {
            return;
        }
        if turns
            .insert(controller, before)
            .is_some_and(|it| it > before)
        {
            let text = format!("{} is restored before its turn", command.key);
            self.blame(Invariant::OrderKept, text);
        }
    }

    pub(crate) fn next_turn(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }

    fn kill(&mut self) {
        if self.is_resting {
            return;
        }
        if let Some(gateway) = self.gateway.take() {
            self.add_counters(gateway.relay.counters());
            self.count("fault: gateway killed");
            if self.chance(self.profile.power_cuts_per_mille) {
                // The host goes with it, and the journal's last moments with the host.
                self.count("fault: power cut");
                let unsynced_ms = self.rng.random_range(0..200);
                let lost = self.journal.power_cut(self.now.saturating_sub(unsynced_ms));
                *self.tally.entry("lines lost by power cuts").or_default() += lost as u64;
                self.memory_id += 1;
            }
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
                "relay: answers too late for their askers",
                counters.dropped.of(Code::Offline),
            ),
            (
                "relay: frames",
                counters.frames_received + counters.frames_sent,
            ),
        ] {
            *self.tally.entry(name).or_default() += value;
        }
    }

    // --- the end ---------------------------------------------------------------------------------

    fn rest(&mut self) {
        self.is_resting = true;
        self.store.down_until = 0;
        self.restore_rights();
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
