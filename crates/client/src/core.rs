//! What the link's task knows: open requests, open commands, the fleet and what is still to be
//! asked. No socket in here: frames go in, frames to be sent come out.

use crate::{
    CONTROLLERS_MAX, Error, Event, FleetChange, Interest, Options, Order,
    client::Shared,
    commands::{COMMANDS_MAX, Commands, GatewayWord, Question, RECEIPTS_MAX},
};
use std::{
    collections::HashMap,
    mem,
    sync::{Arc, PoisonError},
    time::Duration,
};
use switchyard_protocol::{
    Address, Code, Flags, Frame, Kind,
    limits::{ANSWER_PAGES_MAX, NAMES_MAX, REQUEST_TIMEOUT, SUBSCRIBE_ADDRESSES_MAX},
    message::{
        self, Answer, Body, Command, Delta, ErrorMessage, Full, Key, MessageError, PingReply,
        Receipt, Request, Text, Time, ToolWelcome, Verb, verb_of,
    },
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

/// Requests that one client keeps open at most.
pub const REQUESTS_MAX: usize = 256;
/// Addresses that one client subscribes to by number at most; beyond that it wants everything.
pub const INTEREST_MAX: usize = 16 * SUBSCRIBE_ADDRESSES_MAX;
/// Snapshots asked for at one time: a burst of gaps must not become a burst of questions.
const SNAPSHOTS_MAX: usize = 16;
/// How soon the same controller's snapshot, or a refused subscription, is asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Who waits for an answer.
enum Waiter {
    Caller(oneshot::Sender<Result<Body, Error>>),
    /// A part of a subscription; `is_last` marks the end of the whole snapshot.
    Subscription {
        is_last: bool,
    },
    Snapshot(Address),
    Receipt(Key),
    Outcome(Key),
    Unsubscription,
}

struct Waiting {
    waiter: Waiter,
    /// What the answer's pages have told so far, and how many those are.
    earlier: Option<Body>,
    pages: usize,
    asked: Address,
    verb: Verb,
    deadline: Instant,
}

/// Why the link has to end.
pub(crate) type Ending = Error;

pub(crate) struct Core {
    options: Options,
    shared: Arc<Shared>,
    address: Option<Address>,
    requests: HashMap<u32, Waiting>,
    commands: Commands,
    correlation: u32,
    /// Snapshots asked for, and when they may be asked for again.
    snapshots: HashMap<Address, Instant>,
    subscribe_at: Option<Instant>,
    changes: Vec<FleetChange>,
    /// The number of each controller's latest event.
    happened: HashMap<Address, u32>,
    out: Vec<Frame>,
}

impl Core {
    pub(crate) fn new(options: Options, shared: Arc<Shared>) -> Self {
        Core {
            options,
            shared,
            address: None,
            requests: HashMap::new(),
            commands: Commands::default(),
            correlation: rand::random(),
            snapshots: HashMap::new(),
            subscribe_at: None,
            changes: Vec::new(),
            happened: HashMap::new(),
            out: Vec::new(),
        }
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    /// Frames to be sent, in order.
    pub(crate) fn take_out(&mut self) -> Vec<Frame> {
        mem::take(&mut self.out)
    }

    /// A number for a question, never 0.
    pub(crate) fn next_correlation(&mut self) -> u32 {
        self.correlation = self.correlation.wrapping_add(1).max(1);
        self.correlation
    }

    /// The welcome came: subscribe, and ask what became of open commands.
    pub(crate) fn link_made(&mut self, welcome: &ToolWelcome, now: Instant) {
        self.address = Some(welcome.address);
        self.subscribe(now);
        self.tick(now);
    }

    /// The link is gone: requests fail, commands will be asked after, the fleet is stale.
    pub(crate) fn link_lost(&mut self, now: Instant) {
        self.address = None;
        self.out.clear();
        self.snapshots.clear();
        self.subscribe_at = None;
        for (_, waiting) in self.requests.drain() {
            if let Waiter::Caller(reply) = waiting.waiter {
                let _ = reply.send(Err(Error::LinkLost));
            }
        }
        self.commands.link_lost(now);
        let changes = self.fleet(|fleet| fleet.link_lost());
        self.changes.extend(changes);
        self.publish();
    }

    /// The client is being closed.
    pub(crate) fn close(&mut self, now: Instant) {
        self.link_lost(now);
        self.commands.close();
    }

    /// Tells listeners of everything that has changed since the last time.
    pub(crate) fn publish(&mut self) {
        if self.changes.is_empty() {
            return;
        }
        let changes = mem::take(&mut self.changes).into();
        let revision = self.fleet(|fleet| fleet.end_batch());
        // Nobody listening is no fault.
        let _ = self.shared.events.send(Event::Fleet { revision, changes });
    }

    /// When [`tick`](Self::tick) has something to do next.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let is_live = self.address.is_some();
        let requests = self.requests.values().map(|waiting| waiting.deadline);
        let snapshots = self.snapshots.values().copied();
        requests
            .chain(snapshots)
            .chain(self.subscribe_at)
            .chain(self.commands.next_due(is_live))
            .min()
    }

    /// Does whatever its time has come for.
    pub(crate) fn tick(&mut self, now: Instant) {
        let late: Vec<u32> = self
            .requests
            .iter()
            .filter(|(_, waiting)| waiting.deadline <= now)
            .map(|(&correlation, _)| correlation)
            .collect();
        for correlation in late {
            if let Some(waiting) = self.requests.remove(&correlation) {
                let after = REQUEST_TIMEOUT;
                self.answered(waiting, Err(Error::TimedOut { after }), now);
            }
        }
        self.commands.expire(now);
        if self.address.is_none() {
            return;
        }
        if self.subscribe_at.is_some_and(|at| at <= now) {
            self.subscribe(now);
        }
        for question in self.commands.questions(now) {
            self.ask(question, now);
        }
        self.fill_gaps(now);
    }

    /// Changes what to be told of.
    pub(crate) fn set_interest(&mut self, interest: Interest, now: Instant) {
        let changes = match &interest {
            Interest::Everything => Vec::new(),
            Interest::Only(wanted) => self.fleet(|fleet| fleet.keep_only(wanted)),
            Interest::Nothing => self.fleet(|fleet| fleet.keep_only(&[])),
        };
        self.changes.extend(changes);
        self.options.interest = interest;
        if self.address.is_some() {
            self.open(
                Waiter::Unsubscription,
                Address::GATEWAY,
                Request::Unsubscribe,
                now + REQUEST_TIMEOUT,
            );
            self.subscribe(now);
        }
        self.publish();
    }

    /// A request of the program's.
    pub(crate) fn request(
        &mut self,
        destination: Address,
        request: Request,
        deadline: Instant,
        reply: oneshot::Sender<Result<Body, Error>>,
    ) {
        if let Err(error) = self.may_ask() {
            let _ = reply.send(Err(error));
            return;
        }
        self.open(Waiter::Caller(reply), destination, request, deadline);
    }

    /// A command of the program's.
    pub(crate) fn command(
        &mut self,
        order: Order,
        now: Instant,
    ) -> Result<mpsc::Receiver<Receipt>, Error> {
        let address = self.address.ok_or(Error::NotConnected)?;
        if self.commands.len() >= COMMANDS_MAX || self.commands.contains(order.key) {
            return Err(Error::Busy {
                what: "commands",
                max: COMMANDS_MAX,
            });
        }
        let time = self.time(now).ok_or(Error::NotConnected)?;
        let (sender, receiver) = mpsc::channel(RECEIPTS_MAX);
        let boot = self.fleet(|fleet| {
            let status = fleet.controller(order.address)?.status.as_ref()?;
            Some(status.head.boot)
        });
        let expires_at = now + order.expires_in;
        self.commands
            .opened(order.key, order.address, boot, expires_at, sender);
        let command = Command {
            key: order.key,
            expiry: time.plus(order.expires_in),
            wait: order.wait,
            action: order.action,
        };
        let correlation = self.next_correlation();
        self.out.push(Frame::new(
            Kind::Command,
            correlation,
            address,
            order.address,
            &command.encode(),
        ));
        Ok(receiver)
    }

    /// A line for another tool.
    pub(crate) fn note(&mut self, destination: Address, text: Text) -> Result<(), Error> {
        let address = self.address.ok_or(Error::NotConnected)?;
        let event = message::Event::Note { text };
        self.out.push(Frame::new(
            Kind::Event,
            0,
            address,
            destination,
            &event.encode(),
        ));
        Ok(())
    }

    /// A frame from the gateway.
    ///
    /// # Errors
    /// What ends the link: the gateway's last word, or a frame that breaks the protocol.
    pub(crate) fn frame(&mut self, frame: &Frame, now: Instant) -> Result<(), Ending> {
        let header = *frame.header();
        let source = header.source;
        match header.kind {
            Kind::Error => {
                let last_word = ErrorMessage::decode(frame.payload()).map_err(broken)?;
                return Err(Error::Refused {
                    code: last_word.code,
                    detail: last_word.detail.map(|detail| detail.as_str().to_owned()),
                });
            }
            // The link handles the replies to its own pings before it comes here.
            Kind::Ping if header.flags == Flags::NONE => self.reply_to_ping(&header),
            Kind::Ping | Kind::Hello | Kind::Handshake => {}
            Kind::StatusFull if is_status(&header) => {
                let page = Full::decode(frame.payload()).map_err(broken)?;
                let time = self.time(now).unwrap_or_default();
                let change = self.fleet(|fleet| fleet.full(source, page, time));
                self.changes.extend(change);
            }
            Kind::StatusDelta if is_status(&header) => {
                let delta = Delta::decode(frame.payload()).map_err(broken)?;
                let time = self.time(now).unwrap_or_default();
                let change = self.fleet(|fleet| fleet.delta(source, delta, time));
                self.changes.extend(change);
                self.fill_gaps(now);
            }
            // Status that claims another way is not status (§5.5).
            Kind::StatusFull | Kind::StatusDelta => {}
            Kind::Receipt => match Receipt::decode(frame.payload()) {
                Ok(receipt) => self.commands.receipt(source, receipt),
                // A stage of a later version is not final (§11): the next one will be known.
                Err(MessageError::BadField { key: 1 }) => {}
                Err(error) => return Err(broken(error)),
            },
            Kind::Response => self.response(frame, now),
            Kind::Event => self.event(frame),
            Kind::Query => self.query(frame),
            Kind::Command | Kind::Configure | Kind::Admin => {
                let verb = verb_of(frame.payload()).unwrap_or_default();
                self.respond(&header, &Answer::refused(Code::Unsupported, verb));
            }
        }
        Ok(())
    }

    fn response(&mut self, frame: &Frame, now: Instant) {
        let header = frame.header();
        let Some(waiting) = self.requests.get_mut(&header.correlation) else {
            return;
        };
        // The gateway may answer for anybody (unknown, offline); nobody else may.
        if header.source != waiting.asked && header.source != Address::GATEWAY {
            return;
        }
        let asked = waiting.verb.name();
        let answer = match Answer::decode(frame.payload()) {
            Ok(Answer::Ok(body)) if body.verb() == waiting.verb => {
                let has_more = header.flags.contains(Flags::MORE);
                waiting.pages += 1;
                match joined(waiting.earlier.take(), body, has_more) {
                    Some(body) if !has_more => Ok(body),
                    Some(body) if waiting.pages < ANSWER_PAGES_MAX => {
                        waiting.earlier = Some(body);
                        return;
                    }
                    _ => Err(Error::UnexpectedAnswer { asked }),
                }
            }
            Ok(Answer::Refused { code, detail, .. }) => Err(Error::Refused {
                code,
                detail: detail.map(|detail| detail.as_str().to_owned()),
            }),
            Ok(_) | Err(_) => Err(Error::UnexpectedAnswer { asked }),
        };
        if let Some(waiting) = self.requests.remove(&header.correlation) {
            self.answered(waiting, answer, now);
        }
    }

    fn answered(&mut self, waiting: Waiting, answer: Result<Body, Error>, now: Instant) {
        match waiting.waiter {
            Waiter::Caller(reply) => _ = reply.send(answer),
            Waiter::Unsubscription => {}
            Waiter::Subscription { is_last } => match answer {
                Ok(Body::Subscribe { count }) if is_last => {
                    let everything = self.options.interest == Interest::Everything;
                    let changes = self.fleet(|fleet| fleet.snapshot_ends(count, everything));
                    self.changes.extend(changes);
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "the subscription was refused; asking again");
                    self.subscribe_at = Some(now + ASK_AGAIN);
                }
            },
            Waiter::Snapshot(address) => {
                if let Err(error) = answer {
                    tracing::debug!(%address, %error, "no snapshot");
                }
                self.snapshots.insert(address, now + ASK_AGAIN);
            }
            Waiter::Receipt(key) => {
                let said = match answer {
                    Ok(Body::Receipt {
                        stage,
                        at,
                        reason,
                        is_final,
                    }) => GatewayWord::Stage(stage, at, reason, is_final),
                    Err(Error::Refused {
                        code: Code::UnknownCommand,
                        ..
                    }) => GatewayWord::NeverHeard,
                    _ => GatewayWord::CannotSay,
                };
                if let Some(question) = self.commands.gateway_said(key, said, now) {
                    self.ask(question, now);
                }
            }
            Waiter::Outcome(key) => {
                let said = match answer {
                    Ok(Body::Outcome {
                        boot,
                        stage,
                        reason,
                        is_final,
                    }) => Some((boot, stage, reason, is_final.unwrap_or(false))),
                    _ => None,
                };
                self.commands.controller_said(key, said, now);
            }
        }
    }

    fn event(&mut self, frame: &Frame) {
        let source = frame.header().source;
        match message::Event::decode(frame.payload()) {
            Ok(event @ message::Event::Presence { .. }) if source == Address::GATEWAY => {
                let change = self.fleet(|fleet| fleet.presence(event));
                self.changes.extend(change);
            }
            Ok(message::Event::Note { text }) if source.is_tool() => {
                // A note and the changes before it keep their order.
                self.publish();
                let _ = self.shared.events.send(Event::Note { from: source, text });
            }
            Ok(
                event @ (message::Event::Happened { number, .. }
                | message::Event::Alarm { number, .. }),
            ) if is_status(frame.header()) => {
                // A gateway that died in between may pass the last one on again.
                if self.happened.insert(source, number) != Some(number) {
                    self.publish();
                    let event = Arc::new(event);
                    let happened = Event::Happened {
                        from: source,
                        event,
                    };
                    let _ = self.shared.events.send(happened);
                }
                if self.happened.len() > CONTROLLERS_MAX {
                    self.happened.clear();
                }
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%source, %error, "an event that is not understood"),
        }
    }

    /// Another tool asks.
    fn query(&mut self, frame: &Frame) {
        let header = frame.header();
        let verb = verb_of(frame.payload()).unwrap_or_default();
        let answer = match Request::decode(header.kind, frame.payload()) {
            Ok(Request::Identify) => Answer::Ok(Body::Identify {
                title: self.options.title.clone(),
                software: self.options.software.clone(),
                peer_kind: self.options.peer_kind,
            }),
            Ok(_) => Answer::refused(Code::Unsupported, verb),
            Err(error) => Answer::refused(error.code(), verb),
        };
        self.respond(header, &answer);
    }

    fn respond(&mut self, asked: &switchyard_protocol::Header, answer: &Answer) {
        if let Some(address) = self.address
            && asked.correlation != 0
            && asked.source != address
        {
            self.out.push(Frame::new(
                Kind::Response,
                asked.correlation,
                address,
                asked.source,
                &answer.encode(),
            ));
        }
    }

    fn reply_to_ping(&mut self, asked: &switchyard_protocol::Header) {
        if let Some(address) = self.address {
            let payload = PingReply { time: None }.encode();
            self.out.push(Frame::with_flags(
                Kind::Ping,
                Flags::REPLY,
                asked.correlation,
                address,
                asked.source,
                &payload,
            ));
        }
    }

    fn subscribe(&mut self, now: Instant) {
        self.subscribe_at = None;
        self.fleet(|fleet| fleet.snapshot_begins());
        let deadline = now + REQUEST_TIMEOUT;
        match self.options.interest.clone() {
            Interest::Nothing => {}
            Interest::Everything => self.open(
                Waiter::Subscription { is_last: true },
                Address::GATEWAY,
                Request::Subscribe { controllers: None },
                deadline,
            ),
            Interest::Only(addresses) => {
                let mut parts = addresses.chunks(SUBSCRIBE_ADDRESSES_MAX).peekable();
                while let Some(part) = parts.next() {
                    let is_last = parts.peek().is_none();
                    self.open(
                        Waiter::Subscription { is_last },
                        Address::GATEWAY,
                        Request::Subscribe {
                            controllers: Some(part.to_vec()),
                        },
                        deadline,
                    );
                }
            }
        }
    }

    fn fill_gaps(&mut self, now: Instant) {
        if self.address.is_none() {
            return;
        }
        let gaps: Vec<Address> = self.fleet(|fleet| fleet.gaps().collect());
        self.snapshots
            .retain(|address, at| *at > now || gaps.contains(address));
        for address in gaps {
            let may_ask = self.snapshots.get(&address).is_none_or(|at| *at <= now);
            let is_known = self.snapshots.contains_key(&address);
            if may_ask && (is_known || self.snapshots.len() < SNAPSHOTS_MAX) {
                // Until it is answered, or the request's time is up, it is not asked for again.
                self.snapshots.insert(address, now + REQUEST_TIMEOUT);
                self.open(
                    Waiter::Snapshot(address),
                    Address::GATEWAY,
                    Request::Snapshot {
                        controller: Some(address),
                    },
                    now + REQUEST_TIMEOUT,
                );
            }
        }
    }

    fn ask(&mut self, question: Question, now: Instant) {
        let deadline = now + REQUEST_TIMEOUT;
        match question {
            Question::Gateway(key) => self.open(
                Waiter::Receipt(key),
                Address::GATEWAY,
                Request::Receipt { key },
                deadline,
            ),
            Question::Controller(address, key) => self.open(
                Waiter::Outcome(key),
                address,
                Request::Outcome { key },
                deadline,
            ),
        }
    }

    fn may_ask(&self) -> Result<(), Error> {
        if self.address.is_none() {
            return Err(Error::NotConnected);
        }
        if self.requests.len() >= REQUESTS_MAX {
            return Err(Error::Busy {
                what: "requests",
                max: REQUESTS_MAX,
            });
        }
        Ok(())
    }

    /// Sends a request. Our own questions are few by their own bounds, and are not counted again.
    fn open(&mut self, waiter: Waiter, asked: Address, request: Request, deadline: Instant) {
        let Some(address) = self.address else {
            return;
        };
        let correlation = self.next_correlation();
        let verb = request.verb();
        self.out.push(Frame::new(
            verb.kind(),
            correlation,
            address,
            asked,
            &request.encode(),
        ));
        self.requests.insert(
            correlation,
            Waiting {
                waiter,
                earlier: None,
                pages: 0,
                asked,
                verb,
                deadline,
            },
        );
    }

    fn time(&self, now: Instant) -> Option<Time> {
        let clock = self.shared.clock.lock();
        let clock = clock.unwrap_or_else(PoisonError::into_inner);
        clock.map(|clock| clock.now(now))
    }

    fn fleet<T>(&self, act: impl FnOnce(&mut crate::Fleet) -> T) -> T {
        let fleet = self.shared.fleet.write();
        act(&mut fleet.unwrap_or_else(PoisonError::into_inner))
    }
}

/// An answer's page behind those before it; `None` when it cannot follow them, or have others.
fn joined(earlier: Option<Body>, page: Body, has_more: bool) -> Option<Body> {
    match (earlier, page) {
        (None, page @ Body::Parameters { .. }) => Some(page),
        (None, page) => (!has_more).then_some(page),
        (Some(Body::Parameters { mut parameters }), Body::Parameters { parameters: more }) => {
            parameters.extend(more);
            (parameters.len() <= NAMES_MAX).then_some(Body::Parameters { parameters })
        }
        (Some(_), _) => None,
    }
}

/// Whether a frame claims to be what a controller tells everyone.
fn is_status(header: &switchyard_protocol::Header) -> bool {
    header.destination == Address::GATEWAY && header.source.is_controller()
}

fn broken(error: MessageError) -> Ending {
    Error::Refused {
        code: error.code(),
        detail: Some(format!("from the gateway: {error}")),
    }
}
