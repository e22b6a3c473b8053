//! The yard: the one thread on which every live session's bytes are read, routed and written.
//!
//! A message stays on this thread from its read to its write; crossing to another would halve what
//! a core can do. So nothing here blocks: stores, passwords and HTTP live on the gateway's other
//! threads, and talk to the yard through [`YardHandle`], a bounded channel. Whoever replaces the
//! loop in here keeps that handle.

mod connection;
mod tool;
mod watch;

use crate::{
    clock::Clock,
    config::Settings,
    door::{Door, Pending, Place},
    handshake::Proven,
    store::{ConfigStore, ControllerEntry, StatusStore, StoreError, TokenHash},
    telemetry::{Telemetry, count},
    wire::{LinkWire, Wire},
};
use connection::Connection;
use futures_util::FutureExt as _;
use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, VecDeque},
    net::IpAddr,
    rc::Rc,
    sync::Arc,
    time::Duration,
};
use switchyard_protocol::{
    Address, Code, Frame,
    message::{Body, Title},
};
use switchyard_relay::{
    ConnectionId, Counters, Gauges, Input, Notice, Now, Output, Peer, Question, Relay,
    StoreRequest, StoreResult, StoredCommand, Ticket,
};
use tokio::{
    net::TcpStream,
    sync::{Notify, mpsc, oneshot},
    task::{LocalSet, spawn_local},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument as _;

/// Arrivals and questions that may wait for the yard's turn.
const INBOX_MAX: usize = 1024;
/// One read of any connection; shared, so that an idle one holds no buffer.
const SCRATCH_BYTES: usize = 64 * 1024;
/// Leased addresses taken from the store at once.
const LEASE_BLOCK: u32 = 64;

/// What the yard is given at its start.
pub(crate) struct YardContext {
    pub(crate) settings: Arc<Settings>,
    pub(crate) config: Arc<dyn ConfigStore>,
    pub(crate) status: Arc<dyn StatusStore>,
    pub(crate) door: Arc<Door>,
    pub(crate) telemetry: Arc<Telemetry>,
    /// Random per start: tells clients that receipts held in memory are gone.
    pub(crate) gateway: [u8; 16],
    /// All controllers that are enrolled.
    pub(crate) controllers: Vec<ControllerEntry>,
    /// The commands that waited when the gateway went down, by their order.
    pub(crate) commands: Vec<StoredCommand>,
}

/// What arrives at the yard.
enum ToYard {
    Controller(Box<Arrival>),
    Tool(ToolArrival),
    AccessChanged,
    Report(oneshot::Sender<Report>),
    ShutDown,
}

/// A proven controller, its socket taken off the thread that proved it.
struct Arrival {
    stream: std::net::TcpStream,
    ip: IpAddr,
    place: Place,
    address: Address,
    title: Title,
    cipher: crate::wire::Cipher,
    frames: Vec<Frame>,
    rest: bytes::BytesMut,
}

/// An upgraded WebSocket that has yet to say who it is.
pub(crate) struct ToolArrival {
    pub(crate) stream: std::net::TcpStream,
    pub(crate) ip: IpAddr,
    pub(crate) place: Place,
    pub(crate) pending: Pending,
    /// What HTTP had read too much.
    pub(crate) rest: Vec<u8>,
    /// The cookie's token, where it counts.
    pub(crate) cookie: Option<TokenHash>,
}

/// What the relay has counted.
pub(crate) struct Report {
    pub(crate) counters: Counters,
    pub(crate) gauges: Gauges,
}

/// The yard as the other threads see it.
#[derive(Clone)]
pub(crate) struct YardHandle {
    inbox: mpsc::Sender<ToYard>,
}

impl YardHandle {
    /// Hands over a proven controller.
    pub(crate) async fn controller(&self, proven: Proven, ip: IpAddr, place: Place) {
        let Proven {
            stream,
            address,
            title,
            cipher,
            frames,
            rest,
        } = proven;
        let Ok(stream) = stream.into_std() else {
            return;
        };
        let arrival = Arrival {
            stream,
            ip,
            place,
            address,
            title,
            cipher,
            frames,
            rest,
        };
        self.tell(ToYard::Controller(Box::new(arrival))).await;
    }

    /// Hands over an upgraded WebSocket.
    pub(crate) async fn tool(&self, arrival: ToolArrival) {
        self.tell(ToYard::Tool(arrival)).await;
    }

    /// Says that a log-in ended, so that its sockets end now and not at the next look.
    pub(crate) async fn access_changed(&self) {
        self.tell(ToYard::AccessChanged).await;
    }

    /// What the relay has counted; `None` when the yard is gone or does not answer in a second.
    pub(crate) async fn report(&self) -> Option<Report> {
        let (answer, answered) = oneshot::channel();
        self.tell(ToYard::Report(answer)).await;
        tokio::time::timeout(Duration::from_secs(1), answered)
            .await
            .ok()?
            .ok()
    }

    /// Begins the end: peers are told, queues written out.
    pub(crate) async fn shut_down(&self) {
        self.tell(ToYard::ShutDown).await;
    }

    async fn tell(&self, what: ToYard) {
        // A yard that is gone needs no telling: dropping an arrival closes its socket.
        let _ = self.inbox.send(what).await;
    }
}

/// Starts the yard's thread.
pub(crate) fn start(
    context: YardContext,
) -> std::io::Result<(YardHandle, std::thread::JoinHandle<()>)> {
    let (inbox, arrivals) = mpsc::channel(INBOX_MAX);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let thread = std::thread::Builder::new()
        .name("yard".into())
        .spawn(move || {
            LocalSet::new().block_on(&runtime, run(context, arrivals));
        })?;
    Ok((YardHandle { inbox }, thread))
}

async fn run(mut context: YardContext, mut arrivals: mpsc::Receiver<ToYard>) {
    let controllers = std::mem::take(&mut context.controllers);
    let commands = std::mem::take(&mut context.commands);
    let yard = Yard::new(context);
    for entry in controllers {
        yard.introduce(entry);
    }
    for command in commands {
        yard.input(Input::Restored(command));
    }
    spawn_local(yard.watched(Rc::clone(&yard).keep_time()));
    spawn_local(yard.watched(Rc::clone(&yard).keep_watch()));
    spawn_local(yard.watched(Rc::clone(&yard).keep_statuses()));
    loop {
        let arrival = tokio::select! {
            () = yard.broken.cancelled() => {
                std::panic::resume_unwind(Box::new("a task of the yard panicked"))
            }
            arrival = arrivals.recv() => arrival,
        };
        let Some(arrival) = arrival else {
            break;
        };
        match arrival {
            ToYard::Controller(arrival) => yard.controller_arrives(*arrival),
            ToYard::Tool(arrival) => yard.tool_arrives(arrival),
            ToYard::AccessChanged => yard.look.notify_one(),
            ToYard::Report(answer) => {
                let relay = yard.relay.borrow();
                let (counters, gauges) = (relay.counters().clone(), relay.gauges());
                // Whoever asked may have given up.
                let _ = answer.send(Report { counters, gauges });
            }
            ToYard::ShutDown => break,
        }
    }
    yard.ending.cancel();
    yard.input(Input::ShutDown);
    yard.tasks.close();
    let time_limit = yard.context.settings.shutdown_timeout;
    if tokio::time::timeout(time_limit, yard.tasks.wait())
        .await
        .is_err()
    {
        tracing::warn!(left = yard.tasks.len(), "some peers did not go in time");
    }
}

/// Everything on the yard's thread.
struct Yard {
    context: YardContext,
    clock: Clock,
    relay: RefCell<Relay>,
    /// Kept between inputs, so that none allocates.
    outputs: RefCell<Vec<Output>>,
    connections: RefCell<HashMap<ConnectionId, Rc<Connection>>>,
    tools: RefCell<HashMap<ConnectionId, tool::LoggedIn>>,
    /// The newest session of each controller.
    controllers: RefCell<HashMap<Address, ConnectionId>>,
    last_connection: Cell<u32>,
    /// The highest controller address that the relay was told of.
    known_up_to: Cell<Address>,
    leases: RefCell<VecDeque<Address>>,
    scratch: RefCell<Box<[u8]>>,
    /// When the relay wants its next tick, and the bell for when that comes nearer.
    tick_due: Cell<Option<Duration>>,
    tick_moved: Notify,
    /// Rung when log-ins should be looked at now.
    look: Notify,
    statuses: watch::Statuses,
    tasks: TaskTracker,
    ending: CancellationToken,
    /// Cancelled when a task panicked.
    broken: CancellationToken,
}

/// Raises the alarm when its task ends by a panic.
struct Alarm(CancellationToken);

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.cancel();
        }
    }
}

impl Yard {
    fn new(context: YardContext) -> Rc<Self> {
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
        Rc::new(Yard {
            relay: RefCell::new(Relay::new(relay_settings)),
            clock: Clock::start(),
            outputs: RefCell::default(),
            connections: RefCell::default(),
            tools: RefCell::default(),
            controllers: RefCell::default(),
            last_connection: Cell::new(0),
            known_up_to: Cell::new(Address::GATEWAY),
            leases: RefCell::default(),
            scratch: RefCell::new(vec![0; SCRATCH_BYTES].into()),
            tick_due: Cell::new(None),
            tick_moved: Notify::new(),
            look: Notify::new(),
            statuses: watch::Statuses::default(),
            tasks: TaskTracker::new(),
            ending: CancellationToken::new(),
            broken: CancellationToken::new(),
            context,
        })
    }

    /// Starts a task that the end waits for.
    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.tasks.spawn_local(self.watched(task));
    }

    /// A task whose panic is the end of the yard, and so of the program. tokio would end the one
    /// task and go on, without its timers, or with a relay whose outputs were never performed:
    /// peers that come back to a fresh gateway are better off.
    fn watched(
        &self,
        task: impl Future<Output = ()> + 'static,
    ) -> impl Future<Output = ()> + 'static {
        let alarm = Alarm(self.broken.clone());
        // Not an async block: that would hold the task twice, in every idle connection.
        task.map(move |()| drop(alarm))
    }

    fn next_connection(&self) -> ConnectionId {
        self.last_connection.set(self.last_connection.get() + 1);
        ConnectionId::new(self.last_connection.get(), 0)
    }

    /// Tells the relay something and does what it says.
    fn input(self: &Rc<Self>, input: Input) {
        self.relay(|relay, now, sink| relay.handle(now, input, sink));
    }

    /// Has the relay do something and does what it says.
    fn relay(self: &Rc<Self>, tell: impl FnOnce(&mut Relay, Now, &mut Vec<Output>)) {
        let mut outputs = self.outputs.take();
        {
            let mut relay = self.relay.borrow_mut();
            tell(&mut relay, self.clock.now(), &mut outputs);
            let due = relay.next_timer();
            if due.is_some_and(|due| self.tick_due.get().is_none_or(|armed| due < armed)) {
                self.tick_moved.notify_one();
            }
            self.tick_due.set(due);
        }
        for output in outputs.drain(..) {
            self.perform(output);
        }
        *self.outputs.borrow_mut() = outputs;
    }

    /// Does one thing; never tells the relay anything before the current outputs are done.
    fn perform(self: &Rc<Self>, output: Output) {
        match output {
            Output::Send { connection, frame } => {
                if let Some(connection) = self.connections.borrow().get(&connection) {
                    connection.send(frame);
                }
            }
            Output::Close { connection, code } => {
                self.tools.borrow_mut().remove(&connection);
                let removed = self.connections.borrow_mut().remove(&connection);
                if let Some(connection) = removed {
                    connection.close(code);
                    self.departed(&connection);
                }
            }
            // Tasks are polled in the order in which they were spawned, so writes reach the
            // store's queue in the relay's order.
            Output::Store { ticket, request } => {
                self.spawn(Rc::clone(self).store(ticket, request));
            }
            Output::Ask {
                ticket,
                asker,
                question,
            } => match question {
                Question::Enrol { title } => {
                    tracing::info!(account = %asker.account, tool = %asker.address, "enrols a controller");
                    self.spawn(Rc::clone(self).enrol(ticket, title));
                }
                _ => {
                    let yard = Rc::clone(self);
                    self.spawn(async move {
                        yard.input(Input::Answered {
                            ticket,
                            answer: Err(Code::Unsupported),
                        });
                    });
                }
            },
            Output::Notice(Notice::DuplicateAddress { address }) => {
                tracing::warn!(%address, "duplicate address: sessions keep replacing each other");
            }
            Output::Notice(_) => {}
        }
    }

    async fn store(self: Rc<Self>, ticket: Ticket, request: StoreRequest) {
        let outcome = self.context.config.write_command(request).await;
        let result = match outcome {
            Ok(()) => StoreResult::Committed,
            Err(error) => {
                count(&self.context.telemetry.store_failures);
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a waiting command was not stored"
                );
                match error {
                    StoreError::TimedOut { .. } | StoreError::Gone(_) => StoreResult::Unclear,
                    _ => StoreResult::Failed,
                }
            }
        };
        self.input(Input::Stored { ticket, result });
    }

    async fn enrol(self: Rc<Self>, ticket: Ticket, title: Title) {
        let key: [u8; 32] = rand::random();
        let now = crate::clock::time();
        let max = self.context.settings.controllers_max;
        let wanted = vec![(title.clone(), crate::store::ControllerKey(key))];
        let answer = match self.context.config.enrol(wanted, max, now).await.as_deref() {
            Ok(&[address]) => {
                self.input(Input::ControllerKnown { address, title });
                Ok(Body::Enrol {
                    controller: address,
                    key,
                })
            }
            Ok(_) => Err(Code::Internal),
            Err(StoreError::Full { .. }) => Err(Code::Busy),
            Err(error) => {
                count(&self.context.telemetry.store_failures);
                tracing::error!(
                    error = error as &dyn std::error::Error,
                    "a controller was not enrolled"
                );
                Err(Code::StoreUnavailable)
            }
        };
        self.input(Input::Answered { ticket, answer });
    }

    /// Makes a controller known to the relay.
    fn introduce(self: &Rc<Self>, entry: ControllerEntry) {
        let ControllerEntry { address, title, .. } = entry;
        self.known_up_to.set(self.known_up_to.get().max(address));
        self.input(Input::ControllerKnown { address, title });
    }

    /// Gives the relay its ticks.
    async fn keep_time(self: Rc<Self>) {
        loop {
            let moved = self.tick_moved.notified();
            match self.tick_due.get() {
                None => moved.await,
                Some(due) => tokio::select! {
                    () = moved => {}
                    () = tokio::time::sleep_until(self.clock.instant(due)) => {
                        self.input(Input::Tick);
                        // A relay that asks for a tick right away must not starve its peers.
                        tokio::task::yield_now().await;
                    }
                },
            }
        }
    }

    fn controller_arrives(self: &Rc<Self>, arrival: Arrival) {
        let Arrival {
            stream,
            ip,
            place,
            address,
            title,
            cipher,
            frames,
            rest,
        } = arrival;
        let Ok(stream) = TcpStream::from_std(stream) else {
            tracing::error!("a socket could not be moved to the yard");
            return;
        };
        let stream = Rc::new(stream);
        let id = self.next_connection();
        let span = tracing::info_span!("connection", peer = %ip, %address, session = id.0);
        let _entered = span.clone().entered();
        tracing::info!("controller connected");
        let peer = Peer::Controller {
            address,
            frame_bytes_max: cipher.plain_bytes_max(),
        };
        let wire = Wire::Link(LinkWire::new(Rc::clone(&stream), cipher, rest));
        let connection = Connection::new(id, stream, wire, place, Some(address));
        self.connections
            .borrow_mut()
            .insert(id, Rc::clone(&connection));
        self.controllers.borrow_mut().insert(address, id);
        self.statuses.presence(address, true);
        // It may have been enrolled a moment ago, by another process.
        self.input(Input::ControllerKnown { address, title });
        self.input(Input::Connected {
            connection: id,
            peer,
        });
        for frame in frames {
            self.received(&connection, frame);
        }
        self.spawn(
            Rc::clone(self)
                .write_out(Rc::clone(&connection))
                .instrument(span.clone()),
        );
        self.spawn(Rc::clone(self).read_in(connection).instrument(span));
    }
}
