//! The yard's loop: a round waits for sockets, takes what has come to the relay frame by frame, and
//! ends with one write for each connection that the round has given something to.

use super::{
    Assistants, ControllerArrival, INBOX_MAX, LoggedIn, Report, ToYard, ToolArrival, YardContext,
    driver::{Driver, Epoll, Event},
    lines::{Lines, News},
    watch::{self, Statuses},
};
use crate::{
    clock::Clock,
    config::IoInterface,
    store::{ControllerEntry, StoreError},
    telemetry::count,
    wire::{self, Step, TlsWire, Wire},
};
use std::{collections::HashMap, sync::Arc, time::Duration};
use switchyard_protocol::{
    Address, Code, Flags, Frame, FrameRef, Kind, limits,
    message::{Body, Title, ToolWelcome},
};
use switchyard_relay::{ConnectionId, Input, Notice, Now, Output, Peer, Question, Relay, Ticket};
use tokio::sync::mpsc;

/// How often slow peers are looked for, and at most how late they are found.
const SLOW_PEERS_INTERVAL: Duration = Duration::from_secs(1);

/// Runs the yard until it is told to stop and has, or its time for that is over.
pub(super) fn run(context: YardContext, inbox: mpsc::Receiver<ToYard>, assistants: Assistants) {
    let wanted = context.settings.io;
    let bell = Arc::clone(&assistants.yard.bell);
    let yard = Yard::new(context, inbox, assistants);
    #[cfg(target_os = "linux")]
    if wanted != IoInterface::Epoll {
        match super::driver::Uring::new(&bell) {
            Ok(driver) => {
                tracing::info!("sockets by io_uring");
                return yard.run(driver);
            }
            Err(error) if wanted == IoInterface::IoUring => {
                tracing::warn!(%error, "this kernel refuses io_uring; sockets by epoll");
            }
            Err(error) => tracing::debug!(%error, "this kernel refuses io_uring"),
        }
    }
    match Epoll::new(&bell) {
        Ok(driver) => yard.run(driver),
        // The thread's end is the program's, which says so.
        Err(error) => tracing::error!(%error, "cannot wait for sockets"),
    }
}

/// Everything on the yard's thread but the sockets themselves.
struct Yard {
    context: YardContext,
    clock: Clock,
    now: Now,
    relay: Relay,
    lines: Lines,
    inbox: mpsc::Receiver<ToYard>,
    assistants: Assistants,
    tools: HashMap<ConnectionId, LoggedIn>,
    /// What the status store is to be told, where there is one.
    statuses: Option<Statuses>,
    /// The store did not answer for all log-ins: they are looked at again at the next look.
    look_again: bool,
    slow_peers_at: Duration,
    /// What was decrypted of one read; empty between them.
    scratch: Vec<u8>,
    /// Answers of assistants that are still to come.
    open: usize,
    /// When patience with the end is over, once it has begun.
    ends_at: Option<Duration>,
}

impl Yard {
    fn new(
        mut context: YardContext,
        inbox: mpsc::Receiver<ToYard>,
        assistants: Assistants,
    ) -> Self {
        let settings = &context.settings;
        let relay_settings = switchyard_relay::Settings {
            ping_interval: settings.ping_interval,
            tool_queue_bytes_max: settings.tool_queue_bytes_max,
            controller_queue_bytes_max: settings.controller_queue_bytes_max,
            // What was enrolled under a larger bound stays known.
            controllers_max: (settings.controllers_max as usize).max(context.controllers.len()),
            ..switchyard_relay::Settings::new(
                crate::own_title(),
                crate::own_software(),
                rand::random(),
            )
        };
        let clock = Clock::start();
        let controllers = std::mem::take(&mut context.controllers);
        let commands = std::mem::take(&mut context.commands);
        let mut yard = Yard {
            relay: Relay::new(relay_settings),
            now: clock.now(),
            clock,
            lines: Lines::new(),
            inbox,
            assistants,
            tools: HashMap::new(),
            statuses: context.status.clone().map(Statuses::new),
            look_again: false,
            slow_peers_at: SLOW_PEERS_INTERVAL,
            scratch: Vec::new(),
            open: 0,
            ends_at: None,
            context,
        };
        yard.introduce(controllers);
        for command in commands {
            yard.input(Input::Restored(command));
        }
        yard
    }

    fn run(mut self, mut driver: impl Driver) {
        while !self.is_over() {
            let timeout = self.timeout();
            let mut woke = false;
            let waited = driver.wait(timeout, &mut |event| {
                // The clock is read once a round, when the waiting is over.
                if !std::mem::replace(&mut woke, true) {
                    self.tell_time();
                }
                self.happened(event);
            });
            if let Err(error) = waited {
                tracing::error!(%error, "cannot wait for sockets any more");
                return;
            }
            if !woke {
                self.tell_time();
            }
            self.round(&mut driver);
        }
        let left = self.lines.len();
        if left > 0 {
            tracing::warn!(left, "some peers did not go in time");
        }
        self.lines.drop_all();
        self.lines.settle(&mut driver);
        // Closing is quick; what is not told by then goes with the process.
        let _ = driver.wait(Some(Duration::from_millis(100)), &mut |_| {});
    }

    fn is_over(&self) -> bool {
        self.ends_at.is_some_and(|ends_at| {
            self.now.since_start >= ends_at || self.lines.len() == 0 && self.open == 0
        })
    }

    fn tell_time(&mut self) {
        self.now = self.clock.now();
        self.lines.now = self.now.since_start;
    }

    /// How long there is nothing to do if nothing happens.
    fn timeout(&self) -> Option<Duration> {
        let moments = [
            self.relay.next_timer(),
            self.lines.next_moment(),
            Some(self.slow_peers_at),
            self.ends_at,
        ];
        let next = moments.into_iter().flatten().min();
        next.map(|next| next.saturating_sub(self.now.since_start))
    }

    /// What is done once in a round.
    fn round(&mut self, driver: &mut impl Driver) {
        self.read_inbox(driver);
        let now = self.now.since_start;
        if self.relay.next_timer().is_some_and(|due| due <= now) {
            self.input(Input::Tick);
        }
        if self.slow_peers_at <= now {
            self.slow_peers_at =
                now + SLOW_PEERS_INTERVAL.min(self.context.settings.slow_peer_timeout / 4);
            self.lines
                .look_after_slow_peers(self.context.settings.slow_peer_timeout);
        }
        let telemetry = &self.context.telemetry;
        let statuses = self.statuses.as_mut();
        if let Some(storing) = statuses.and_then(|statuses| statuses.store(telemetry)) {
            self.ask(storing);
        }
        self.lines.settle(driver);
        let mut news = std::mem::take(&mut self.lines.news);
        for news in news.drain(..) {
            match news {
                News::Written(id, bytes) => {
                    self.relay.written(self.now, id, bytes, &mut self.lines);
                    self.perform_all();
                }
                News::End(id, code) => self.end(id, code),
            }
        }
        // Whatever these have caused is told in the next round, which does not wait.
        news.append(&mut self.lines.news);
        self.lines.news = news;
    }

    fn happened(&mut self, event: Event<'_>) {
        match event {
            Event::Received(id, bytes) => self.received(id, bytes),
            Event::Sent(id, buffer) => self.lines.sent(id, buffer),
            Event::Progress(id) => self.lines.progressed(id),
            Event::Closed(id) => self.lines.closed(id),
            Event::Ended(id) => self.gone(id),
        }
    }

    /// Bytes came on a connection.
    fn received(&mut self, id: ConnectionId, bytes: &mut [u8]) {
        let Some(connection) = self.lines.get(id).filter(|it| it.is_live()) else {
            // The farewell is read to its end, to no purpose but a clean one.
            return;
        };
        let mut scratch = std::mem::take(&mut self.scratch);
        let (bytes, outcome) = connection.wire().decrypt(bytes, &mut scratch);
        self.lines.heard(id);
        self.decrypted(id, bytes);
        if let Err(code) = outcome {
            self.failed(id, code);
        }
        scratch.clear();
        self.scratch = scratch;
    }

    /// Bytes came on a connection, and TLS is off them.
    fn decrypted(&mut self, id: ConnectionId, bytes: &mut [u8]) {
        let Some(connection) = self.lines.get(id) else {
            return;
        };
        let mut rest = connection.take_rest();
        if rest.is_empty() {
            let used = self.unwrap(id, bytes);
            if used < bytes.len() {
                let mut rest = self.lines.spare_buffer();
                rest.extend_from_slice(&bytes[used..]);
                self.keep_rest(id, rest);
            }
            return;
        }
        rest.extend_from_slice(bytes);
        let used = self.unwrap(id, &mut rest);
        rest.drain(..used);
        self.keep_rest(id, rest);
    }

    fn keep_rest(&mut self, id: ConnectionId, rest: Vec<u8>) {
        match self.lines.get(id) {
            Some(connection) if !rest.is_empty() => connection.keep_rest(rest),
            _ => self.lines.keep_buffer(rest),
        }
    }

    /// Takes what is whole of `data` to the relay; how many bytes that was.
    fn unwrap(&mut self, id: ConnectionId, data: &mut [u8]) -> usize {
        let mut at = 0;
        loop {
            let Some(connection) = self.lines.get(id).filter(|it| it.is_live()) else {
                return data.len();
            };
            let controller = connection.controller();
            let wire = connection.wire();
            let payload_bytes_max = wire.payload_bytes_max();
            let outcome = match wire.next(data, &mut at) {
                Ok(Step::Incomplete) => {
                    if wire.has_control() {
                        self.lines.nudge(id);
                    }
                    return at;
                }
                Ok(Step::Frames(range)) => {
                    self.whole_frames(id, controller, &data[range], payload_bytes_max)
                }
                Ok(Step::Message(frames)) => {
                    self.whole_frames(id, controller, &frames, payload_bytes_max)
                }
                Ok(Step::Stream(range)) => {
                    match self.frames(id, controller, &data[range.clone()], payload_bytes_max) {
                        Ok(used) => return range.start + used,
                        Err(code) => Err(code),
                    }
                }
                Err(code) => Err(code),
            };
            match outcome {
                Ok(()) => {}
                Err(code) => {
                    self.failed(id, code);
                    return data.len();
                }
            }
        }
    }

    /// What came on a connection ends it.
    fn failed(&mut self, id: ConnectionId, code: Code) {
        if !self.lines.get(id).is_some_and(|it| it.is_live()) {
            return;
        }
        match code {
            Code::LinkLost => self.gone(id),
            code => self.end(id, code),
        }
    }

    /// A record's or message's frames: none is acted upon unless all are whole.
    fn whole_frames(
        &mut self,
        id: ConnectionId,
        controller: Option<Address>,
        frames: &[u8],
        payload_bytes_max: usize,
    ) -> Result<(), Code> {
        wire::check_whole(frames, payload_bytes_max)?;
        self.frames(id, controller, frames, payload_bytes_max)
            .map(|_| ())
    }

    /// Gives frames to the relay as far as they are whole; how many bytes that was.
    fn frames(
        &mut self,
        id: ConnectionId,
        controller: Option<Address>,
        frames: &[u8],
        payload_bytes_max: usize,
    ) -> Result<usize, Code> {
        let mut rest = frames;
        while let Some((frame, after)) =
            FrameRef::split(rest, payload_bytes_max).map_err(|error| error.code())?
        {
            rest = after;
            if let Some(statuses) = &mut self.statuses
                && let Some(controller) = controller
                && frame.header().source == controller
            {
                statuses.saw(controller, frame);
            }
            self.relay.frame(self.now, id, frame, &mut self.lines);
            self.perform_all();
        }
        Ok(frames.len() - rest.len())
    }

    /// Tells the relay something and does what it says.
    fn input(&mut self, input: Input) {
        self.relay.handle(self.now, input, &mut self.lines);
        self.perform_all();
    }

    fn end(&mut self, connection: ConnectionId, code: Code) {
        self.input(Input::End { connection, code });
    }

    /// The peer has gone.
    fn gone(&mut self, id: ConnectionId) {
        if let Some(connection) = self.lines.get(id).filter(|it| it.is_live()) {
            let address = connection.peer();
            tracing::info!(%address, session = id.0, "the peer has gone");
            self.departed(id);
            self.input(Input::Disconnected {
                connection: id,
                reason: Code::LinkLost,
            });
        }
        self.lines.ended(id);
    }

    /// Notes that a connection is no session any more.
    fn departed(&mut self, id: ConnectionId) {
        let controller = self.lines.get(id).and_then(|it| it.controller());
        match controller {
            None => {
                self.tools.remove(&id);
            }
            Some(controller) => {
                if let Some(statuses) = &mut self.statuses {
                    statuses.departed(controller, id);
                }
            }
        }
    }

    /// Does what the relay wants besides frames sent.
    fn perform_all(&mut self) {
        if self.lines.outputs.is_empty() {
            return;
        }
        let mut outputs = std::mem::take(&mut self.lines.outputs);
        for output in outputs.drain(..) {
            self.perform(output);
        }
        self.lines.outputs = outputs;
    }

    /// Does one thing; never tells the relay anything before the current outputs are done.
    fn perform(&mut self, output: Output) {
        match output {
            Output::Send { connection, frame } => {
                // Frames take the short way, through `Lines`; this one lost its way and is right too.
                switchyard_relay::Sink::send(
                    &mut self.lines,
                    connection,
                    &frame,
                    switchyard_relay::Haste::Now,
                );
            }
            Output::Close { connection, code } => {
                if let Some(line) = self.lines.get(connection) {
                    let (address, reason) = (line.peer(), code.name());
                    tracing::info!(%address, session = connection.0, reason, "connection closed");
                }
                self.departed(connection);
                self.lines.close(connection);
            }
            Output::Store { ticket, request } => {
                self.open += 1;
                // Its task lives as long as this sender, unless it panicked, which is told.
                let _ = self.assistants.writes.send((ticket, request));
            }
            Output::Ask {
                ticket,
                asker,
                question,
            } => match question {
                Question::Enrol { title } => {
                    tracing::info!(account = %asker.account, tool = %asker.address, "enrols a controller");
                    self.enrol(ticket, title);
                }
                _ => self
                    .ask(async move { ToYard::Answered(ticket, Box::new(Err(Code::Unsupported))) }),
            },
            Output::Notice(Notice::DuplicateAddress { address }) => {
                tracing::warn!(%address, "duplicate address: sessions keep replacing each other");
            }
            Output::Notice(_) => {}
        }
    }

    /// Has something done elsewhere that will be answered.
    fn ask(&mut self, task: impl Future<Output = ToYard> + Send + 'static) {
        self.open += 1;
        self.assistants.ask(task);
    }

    fn enrol(&mut self, ticket: Ticket, title: Title) {
        let config = Arc::clone(&self.context.config);
        let telemetry = Arc::clone(&self.context.telemetry);
        let yard = self.assistants.yard.clone();
        let max = self.context.settings.controllers_max;
        self.ask(async move {
            let key: [u8; 32] = rand::random();
            let enrolled = crate::clock::time();
            let wanted = vec![(title.clone(), crate::store::ControllerKey(key))];
            let answer = match config.enrol(wanted, max, enrolled).await.as_deref() {
                Ok(&[address]) => {
                    let entry = ControllerEntry {
                        address,
                        title,
                        enrolled,
                    };
                    // Before the answer, so that whoever gets it may use it.
                    yard.tell(ToYard::Known(vec![entry])).await;
                    Ok(Body::Enrol {
                        controller: address,
                        key,
                    })
                }
                Ok(_) => Err(Code::Internal),
                Err(StoreError::Full { .. }) => Err(Code::Busy),
                Err(error) => {
                    count(&telemetry.store_failures);
                    tracing::error!(
                        error = error as &dyn std::error::Error,
                        "a controller was not enrolled"
                    );
                    Err(Code::StoreUnavailable)
                }
            };
            ToYard::Answered(ticket, Box::new(answer))
        });
    }

    /// Makes controllers known to the relay.
    fn introduce(&mut self, entries: Vec<ControllerEntry>) {
        for entry in entries {
            let ControllerEntry { address, title, .. } = entry;
            self.input(Input::ControllerKnown { address, title });
        }
    }

    fn read_inbox(&mut self, driver: &mut impl Driver) {
        self.assistants.yard.bell.hush();
        for _ in 0..INBOX_MAX {
            let Ok(what) = self.inbox.try_recv() else {
                return;
            };
            match what {
                ToYard::Controller(arrival) => self.controller_arrives(driver, *arrival),
                ToYard::Tool(arrival) => self.tool_arrives(driver, *arrival),
                ToYard::Stored(ticket, result) => {
                    self.open -= 1;
                    self.input(Input::Stored { ticket, result });
                }
                ToYard::Answered(ticket, answer) => {
                    self.open -= 1;
                    self.input(Input::Answered {
                        ticket,
                        answer: *answer,
                    });
                }
                ToYard::Known(entries) => self.introduce(entries),
                ToYard::Look(rights_moved) => self.look(rights_moved),
                ToYard::LoginsChecked(checked) => {
                    self.open -= 1;
                    self.logins_checked(checked);
                }
                ToYard::StatusesStored => {
                    self.open -= 1;
                    if let Some(statuses) = &mut self.statuses {
                        statuses.stored();
                    }
                }
                ToYard::Report(answer) => {
                    let (counters, gauges) = (self.relay.counters().clone(), self.relay.gauges());
                    // Whoever asked may have given up.
                    let _ = answer.send(Report { counters, gauges });
                }
                ToYard::ShutDown => self.shut_down(),
                ToYard::Broken => {
                    std::panic::resume_unwind(Box::new("a task of the yard panicked"))
                }
            }
        }
        // There may be more; the next round shall not wait for another ring.
        self.assistants.yard.bell.ring();
    }

    fn shut_down(&mut self) {
        if self.ends_at.is_none() {
            self.ends_at = Some(self.now.since_start + self.context.settings.shutdown_timeout);
            self.input(Input::ShutDown);
        }
    }

    fn look(&mut self, rights_moved: bool) {
        let now = crate::clock::time();
        let expired: Vec<_> = self
            .tools
            .iter()
            .filter(|(_, tool)| tool.login.expires <= now)
            .map(|(id, _)| *id)
            .collect();
        for id in expired {
            self.end(id, Code::Revoked);
        }
        if rights_moved || std::mem::take(&mut self.look_again) {
            let tools = self.tools.iter().map(|(id, tool)| (*id, tool.token));
            let tools = tools.collect();
            self.check_logins(tools);
        }
    }

    fn check_logins(&mut self, logins: Vec<super::LoginToCheck>) {
        if !logins.is_empty() {
            self.ask(watch::check_logins(
                Arc::clone(&self.context.config),
                Arc::clone(&self.context.telemetry),
                logins,
            ));
        }
    }

    fn logins_checked(&mut self, checked: watch::Checked) {
        self.look_again |= checked.is_incomplete;
        let mut changed = HashMap::new();
        for (id, login) in checked.logins {
            let Some(login) = login else {
                self.end(id, Code::Revoked);
                continue;
            };
            if let Some(tool) = self.tools.get_mut(&id)
                && tool.login.role != login.role
            {
                tool.login.role = login.role;
                changed.insert(login.account, login.role);
            }
        }
        for (account, role) in changed {
            tracing::info!(%account, role = role.name(), "an account's role changed");
            self.input(Input::AccountChanged {
                account,
                role: Some(role),
            });
        }
    }

    fn controller_arrives(&mut self, driver: &mut impl Driver, arrival: ControllerArrival) {
        let ControllerArrival {
            proven,
            stream,
            ip,
            place,
        } = arrival;
        let address = proven.address;
        let frame_bytes_max = proven.wire.frame_bytes_max();
        let opened = self.lines.open(driver, stream, proven.wire, place, address);
        let id = match opened {
            Ok(id) => id,
            Err(error) => return tracing::error!(%error, "a socket could not be moved to the yard"),
        };
        tracing::info!(peer = %ip, %address, session = id.0, "controller connected");
        if let Some(statuses) = &mut self.statuses {
            statuses.arrived(address, id);
        }
        if let Some(title) = proven.title {
            // It may have been enrolled a moment ago, by another process.
            self.input(Input::ControllerKnown { address, title });
        }
        let peer = Peer::Controller {
            address,
            frame_bytes_max,
        };
        self.enter(id, peer, &proven.frames, proven.rest);
    }

    fn tool_arrives(&mut self, driver: &mut impl Driver, arrival: ToolArrival) {
        let ToolArrival {
            stream,
            tls,
            ip,
            place,
            welcomed,
        } = arrival;
        let wire = match tls {
            None => Wire::Web(Box::new(welcomed.wire)),
            Some(session) => Wire::Tls(Box::new(TlsWire::new(session, welcomed.wire))),
        };
        let id = match self
            .lines
            .open(driver, stream, wire, place, welcomed.address)
        {
            Ok(id) => id,
            Err(error) => return tracing::error!(%error, "a socket could not be moved to the yard"),
        };
        let (address, login) = (welcomed.address, welcomed.login);
        let (account, role) = (login.account.clone(), login.role);
        tracing::info!(
            peer = %ip, %address, session = id.0, %account, role = role.name(), "tool connected"
        );
        let message = ToolWelcome {
            version: limits::LINK_VERSION,
            time: self.now.time,
            ping_interval: self.context.settings.ping_interval,
            address,
            account: account.clone(),
            role,
            gateway: self.context.gateway,
        };
        let welcome = Frame::with_flags(
            Kind::Hello,
            Flags::REPLY,
            welcomed.correlation,
            Address::GATEWAY,
            address,
            &message.encode(),
        );
        self.lines.greet(id, welcome.bytes());
        let token = welcomed.token;
        self.tools.insert(id, LoggedIn { login, token });
        let peer = Peer::Tool {
            address,
            account,
            role,
        };
        self.enter(id, peer, &welcomed.frames, welcomed.rest);
        if welcomed.looks != self.assistants.yard.looks() {
            // The log-in may have been withdrawn after it was looked up and before it stood in the
            // table that withdrawals go through.
            self.check_logins(vec![(id, token)]);
        }
    }

    /// A peer is live, with the frames that came together with its proof and what came after them.
    fn enter(&mut self, connection: ConnectionId, peer: Peer, frames: &[u8], mut rest: Vec<u8>) {
        let controller = match &peer {
            Peer::Controller { address, .. } => Some(*address),
            Peer::Tool { .. } => None,
        };
        self.input(Input::Connected { connection, peer });
        let payload_bytes_max = limits::PAYLOAD_BYTES_MAX;
        // They were checked to be whole by whoever proved the peer.
        if let Err(code) = self.frames(connection, controller, frames, payload_bytes_max) {
            return self.end(connection, code);
        }
        if self.ends_at.is_some() {
            // It came too late to be told with the others.
            return self.end(connection, Code::ShuttingDown);
        }
        if !rest.is_empty() {
            self.decrypted(connection, &mut rest);
        }
    }
}
