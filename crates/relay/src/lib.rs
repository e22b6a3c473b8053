//! The brain of the gateway: routing, presence, receipts, access.
//!
//! Pure: the gateway hands in frames, progress and [`Input`]s with the two clocks as [`Now`], and
//! its [`Sink`] does what comes out, in its order. No socket, no clock, no chance in here, so a
//! simulation can own all three. What it does is written in `docs/protocol.md` §5–§8.
//!
//! ```
//! use std::time::Duration;
//! use switchyard_protocol::{Address, Frame, Kind, Role, message::{Request, Time, Title}};
//! use switchyard_relay::{ConnectionId, Input, Now, Output, Peer, Relay, Rights, Settings};
//!
//! let title = |text| Title::new(text).unwrap();
//! let mut relay = Relay::new(Settings::new(title("yard"), title("gateway 0.1"), 42));
//! let now = Now { since_start: Duration::ZERO, time: Time(1_800_000_000_000) };
//! let mut outputs = Vec::new();
//!
//! let (connection, page) = (ConnectionId(1), Address(0xC000_0001));
//! let rights = Rights::everywhere(Role::Viewer);
//! let peer = Peer::Tool { address: page, account: title("li"), rights };
//! relay.handle(now, Input::Connected { connection, peer }, &mut outputs);
//!
//! let payload = Request::Identify.encode();
//! let frame = Frame::new(Kind::Query, 7, page, Address::GATEWAY, &payload);
//! relay.frame(now, connection, frame.as_frame_ref(), &mut outputs);
//! assert!(matches!(&outputs[..], [Output::Send { connection: ConnectionId(1), .. }]));
//! ```

mod access;
mod counters;
mod events;
mod input;
mod journal;
mod kept;
mod live;
mod outcome;
mod output;
mod presence;
mod queue;
mod receipts;
mod requests;
mod rights;
mod routing;
mod sabotage;
mod session;
mod settings;
mod shared;
mod status;
mod subscriptions;
mod timers;
mod withdrawal;

pub use counters::{CodeCounts, Counters, Gauges};
pub use input::{ConnectionId, Input, Now, Peer};
pub use journal::{COMMAND_FRAME_BYTES_MAX, Entry, Origin, Recollection};
pub use live::Live;
pub use output::{
    Asker, EndedCommand, Haste, KeptReceipt, Notice, Output, Question, ResumedCommand, Sink,
    StoreRequest, StoreResult, StoredCommand, Ticket,
};
pub use rights::Rights;
#[cfg(feature = "sabotage")]
pub use sabotage::Sabotage;
#[cfg(not(feature = "sabotage"))]
use sabotage::Sabotage;
pub use settings::Settings;

use events::Happenings;
use foldhash::fast::FixedState;
use queue::Write;
use receipts::Ledger;
use requests::Pending;
use session::Sessions;
use std::{collections::HashMap, time::Duration};
use switchyard_protocol::{
    Address, FrameRef,
    message::{Delta, Time},
};
use timers::{Timer, Timers};

/// A map with a fast hash, seeded so that nobody outside can choose keys that collide.
type Map<K, V> = HashMap<K, V, FixedState>;

/// What every step of one input works with.
struct Work<'a> {
    now: Now,
    sink: &'a mut dyn Sink,
}

impl Work<'_> {
    fn output(&mut self, output: Output) {
        self.sink.output(output);
    }
}

/// The relay itself: everything that the gateway knows while it runs.
#[derive(Debug)]
pub struct Relay {
    settings: Settings,
    hash: FixedState,
    counters: Counters,
    sessions: Sessions,
    fleet: presence::Fleet,
    /// Of the controllers that ever had an event: few have.
    happenings: Map<Address, Happenings>,
    ledger: Ledger,
    timers: Timers,
    /// Writes that the store has yet to answer.
    writes: Map<Ticket, Write>,
    /// Questions that the gateway has yet to answer.
    questions: Map<Ticket, Pending>,
    last_ticket: u64,
    /// Of the latest stored command.
    order: u64,
    forgets_open: usize,
    /// What is asked for cannot be written down, and nothing is to be done without.
    is_record_missing: bool,
    correlation: u32,
    subscribers: usize,
    started: Option<Time>,
    /// Connections whose queue is past its bound, to be cut off at the end of this input.
    doomed: Vec<ConnectionId>,
    /// Controllers whose lane is to be looked at, at the end of this input.
    stirred: Vec<u32>,
    /// The delta that came last, for its memory.
    delta: Delta,
    /// The frame of our own that went out last, for its memory.
    own_frame: Vec<u8>,
    #[cfg(feature = "sabotage")]
    sabotage: Option<Sabotage>,
}

impl Relay {
    /// An empty yard. Controllers follow by [`Input::ControllerKnown`], then stored commands by
    /// [`Input::Restored`], then peers.
    pub fn new(settings: Settings) -> Self {
        let hash = FixedState::with_seed(settings.seed);
        Relay {
            hash: hash.clone(),
            counters: Counters::default(),
            sessions: Sessions::new(&hash, settings.connections_expected),
            fleet: presence::Fleet::new(&hash, settings.follows_changes),
            happenings: Map::with_hasher(hash.clone()),
            ledger: Ledger::new(&hash),
            timers: Timers::default(),
            writes: Map::with_hasher(hash.clone()),
            questions: Map::with_hasher(hash.clone()),
            last_ticket: 0,
            order: 0,
            forgets_open: 0,
            is_record_missing: false,
            correlation: settings.seed as u32,
            subscribers: 0,
            started: None,
            doomed: Vec::new(),
            stirred: Vec::new(),
            delta: Delta::default(),
            own_frame: Vec::new(),
            #[cfg(feature = "sabotage")]
            sabotage: None,
            settings,
        }
    }

    /// Takes one input; what is to be done about it goes to `sink` before this returns.
    pub fn handle(&mut self, now: Now, input: Input, sink: &mut dyn Sink) {
        let work = &mut Work { now, sink };
        self.started.get_or_insert(now.time);
        match input {
            Input::Connected { connection, peer } => self.connected(work, connection, peer),
            Input::Disconnected { connection, reason } => {
                self.disconnected(work, connection, reason);
            }
            Input::End { connection, code } => {
                if let Some(slot) = self.sessions.slot_of(connection) {
                    self.end(work, slot, code);
                }
            }
            Input::ControllerKnown {
                address,
                title,
                site,
            } => self.controller_known(work, address, title, site),
            Input::ControllerForgotten { address } => self.controller_forgotten(work, address),
            Input::Recall { address } => self.recall(work, address),
            Input::AccountChanged { account, rights } => {
                self.account_changed(work, &account, rights);
            }
            Input::Stored { ticket, result } => self.stored(work, ticket, result),
            Input::Answered { ticket, answer } => self.answered(work, ticket, answer),
            Input::Restored(command) => self.restored(work, command),
            Input::Resumed(command) => self.resumed(work, *command),
            Input::ReceiptRestored(ended) => self.receipt_restored(work, &ended),
            Input::Outlived { key } => self.forget(work, key),
            Input::Recording { is_possible } => self.is_record_missing = !is_possible,
            Input::NumberRestored { address, number } => self.number_restored(address, number),
            Input::StatusRestored {
                address,
                since,
                frame,
            } => self.status_restored(work, address, since, &frame),
            Input::NumberStored {
                address,
                number,
                is_committed,
            } => self.number_stored(work, address, number, is_committed),
            Input::Tick => self.tick(work),
            Input::ShutDown => self.shut_down(work),
        }
        self.settle(work);
    }

    /// Takes a whole frame that came from `connection`: its header is judged
    /// ([`FrameRef::split`]), its payload is not.
    pub fn frame(
        &mut self,
        now: Now,
        connection: ConnectionId,
        frame: FrameRef<'_>,
        sink: &mut dyn Sink,
    ) {
        let work = &mut Work { now, sink };
        self.frame_came(work, connection, frame);
        self.settle(work);
    }

    /// Learns that `bytes` of frames sent to `connection` were taken by the socket. This is how the
    /// relay knows a queue's depth and a peer's progress: it counts the bytes of every
    /// [`Sink::send`] and takes these off.
    ///
    /// Count whole frames as the relay made them (header and payload, no record or WebSocket
    /// overhead), once their last byte has left; report once a poll round. 0 says that the socket
    /// took a part of a batch: progress, though no frame has wholly left.
    pub fn written(
        &mut self,
        now: Now,
        connection: ConnectionId,
        bytes: usize,
        sink: &mut dyn Sink,
    ) {
        let work = &mut Work { now, sink };
        self.bytes_left(work, connection, bytes);
        self.settle(work);
    }

    fn tick(&mut self, work: &mut Work<'_>) {
        while let Some((second, slots)) = self.timers.looks_due(work.now.since_start) {
            for slot in slots {
                self.look_at_connection(work, slot, second);
            }
        }
        while let Some(timer) = self.timers.due(work.now.since_start) {
            match timer {
                Timer::Requests(controller) => self.requests_due(work, controller),
                Timer::Lane(controller) => self.lane_due(work, controller),
                Timer::Command(key) => self.command_due(work, key),
                Timer::Forget(key) => self.store_forget(work, key),
                Timer::Mark(controller) => self.mark_again(controller),
                Timer::Outcomes(controller) => self.outcomes_due(work, controller),
            }
        }
    }

    /// Does what was put off while an input was dealt with: each of the two can cause the other.
    fn settle(&mut self, work: &mut Work<'_>) {
        loop {
            if let Some(connection) = self.doomed.pop() {
                if let Some(slot) = self.sessions.slot_of(connection) {
                    self.end(work, slot, switchyard_protocol::Code::SlowPeer);
                }
            } else if let Some(index) = self.stirred.pop() {
                if self.fleet.is_known(index) {
                    self.drain(work, index);
                }
            } else {
                return;
            }
        }
    }

    /// The gateway's own next correlation id.
    fn next_correlation(&mut self) -> u32 {
        self.correlation = self.correlation.wrapping_add(1).max(1);
        self.correlation
    }

    /// Who is at the other end of a connection; `None` when it has no session, or none any more.
    pub fn peer(&self, connection: ConnectionId) -> Option<Address> {
        let slot = self.sessions.slot_of(connection)?;
        Some(self.sessions.at(slot).address)
    }

    /// Whether it was told of a controller.
    pub fn knows(&self, controller: Address) -> bool {
        self.fleet.index_of(controller).is_some()
    }

    /// When the next [`Input::Tick`] is due, on the monotonic clock.
    pub fn next_timer(&self) -> Option<Duration> {
        self.timers.next()
    }

    /// What has happened since the start.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How much there is at this moment.
    pub fn gauges(&self) -> Gauges {
        Gauges {
            controllers_known: self.fleet.len(),
            controllers_online: self.fleet.online,
            tools_online: self.sessions.tools,
            subscribers: self.subscribers,
            commands_in_flight: self.ledger.in_flight,
            commands_waiting: self.ledger.waiting,
            receipts_kept: self.ledger.kept(),
            requests_open: self.fleet.requests_open,
            queued_bytes: self.sessions.queued_bytes,
        }
    }
}
