//! The handle that programs hold: every call becomes an order to the one task that owns the link.

use crate::{Error, Fleet, FleetChange, GatewayClock, Interest, Options, link};
use std::{
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};
use switchyard_protocol::{
    Address, Code, Role, SiteId,
    limits::{EXPIRY_MAX, REQUEST_TIMEOUT},
    message::{self, Action, Body, Key, PeerKind, Receipt, Request, Text, Time, Title},
};
use tokio::{
    sync::{broadcast, mpsc, oneshot, watch},
    time::Instant,
};

/// Orders that wait for the link's task; further callers wait for room.
const ORDERS_MAX: usize = 64;
/// Events that a slow listener may be behind before it hears [`Event::Missed`].
const EVENTS_MAX: usize = 1024;
/// How long an answer may take beyond what the gateway allows: its own refusal should win.
const REQUEST_SLACK: Duration = Duration::from_secs(2);

/// What the gateway said in its welcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// This tool's address.
    pub address: Address,
    /// The account that it acts for.
    pub account: Title,
    /// What that account may do.
    pub role: Role,
    /// Random per start of the gateway.
    pub gateway: [u8; 16],
}

/// How the link stands.
#[derive(Clone, Debug)]
pub enum LinkState {
    /// Dialling, or waiting for the welcome.
    Connecting,
    /// Up.
    Live(Session),
    /// Between two attempts.
    Waiting {
        /// When the next one begins.
        retry_at: Instant,
        /// Why the last one ended.
        why: Arc<Error>,
    },
    /// For good: dialling again cannot help (see [`Error::is_lasting`]), or the client was closed.
    Closed {
        /// Why.
        why: Arc<Error>,
    },
}

impl LinkState {
    /// The session, while the link is up.
    pub fn session(&self) -> Option<&Session> {
        match self {
            LinkState::Live(session) => Some(session),
            _ => None,
        }
    }
}

/// What happens without being asked.
#[derive(Clone, Debug)]
pub enum Event {
    /// The link changed its state.
    Link(LinkState),
    /// The fleet changed. Every batch has a number, one more than its predecessor's; one that is not
    /// above [`Fleet::revision`] is already in that fleet.
    Fleet {
        /// The batch's number.
        revision: u64,
        /// In the order in which they happened.
        changes: Arc<[FleetChange]>,
    },
    /// A line from another tool's person.
    Note {
        /// Whose.
        from: Address,
        /// The line.
        text: Text,
    },
    /// Something happened at a controller that this client is told of, or its script raised an
    /// alarm, or that is over. Told once.
    Happened {
        /// The controller.
        from: Address,
        /// A [`message::Event::Happened`] or [`message::Event::Alarm`].
        event: Arc<message::Event>,
    },
    /// This listener was too slow and some events are lost to it: take [`Client::fleet`] and
    /// [`Client::link_state`] anew.
    Missed,
}

/// A listener's end of the events.
#[derive(Debug)]
pub struct Events {
    receiver: broadcast::Receiver<Event>,
}

impl Events {
    /// The next event; `None` once the client is closed. Cancel safe.
    pub async fn next(&mut self) -> Option<Event> {
        match self.receiver.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(Event::Missed),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// A command to be sent.
#[derive(Clone, Debug)]
pub struct Order {
    /// Its idempotency key.
    pub key: Key,
    /// The controller.
    pub address: Address,
    /// What to do.
    pub action: Action,
    /// How long it is good for, from now; at most 24 hours.
    pub expires_in: Duration,
    /// Whether it may wait in the gateway for a controller that is away.
    pub wait: bool,
}

impl Order {
    /// With a random key, not waiting for a controller that is away.
    pub fn new(address: Address, action: Action, expires_in: Duration) -> Self {
        Order {
            key: Key(rand::random()),
            address,
            action,
            expires_in,
            wait: false,
        }
    }
}

/// What becomes of one command: its stages as they come, ending with exactly one final receipt.
#[derive(Debug)]
pub struct Receipts {
    key: Key,
    receiver: mpsc::Receiver<Receipt>,
}

impl Receipts {
    /// The command's key.
    pub fn key(&self) -> Key {
        self.key
    }

    /// The next stage; `None` after the final one. Cancel safe.
    pub async fn next(&mut self) -> Option<Receipt> {
        self.receiver.recv().await
    }
}

/// What the handle asks of the link's task.
pub(crate) enum Task {
    Request {
        destination: Address,
        request: Request,
        deadline: Instant,
        reply: oneshot::Sender<Result<Body, Error>>,
    },
    Command {
        order: Order,
        reply: oneshot::Sender<Result<mpsc::Receiver<Receipt>, Error>>,
    },
    Note {
        destination: Address,
        text: Text,
        reply: oneshot::Sender<Result<(), Error>>,
    },
    Interest(Interest),
    Close(oneshot::Sender<()>),
}

/// What the link's task shows to the handles.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) fleet: RwLock<Fleet>,
    pub(crate) clock: Mutex<Option<GatewayClock>>,
    pub(crate) link: watch::Sender<LinkState>,
    pub(crate) events: broadcast::Sender<Event>,
}

/// A connection to a gateway that mends itself. Clones share it; it ends with
/// [`close`](Client::close), or when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Client {
    tasks: mpsc::Sender<Task>,
    shared: Arc<Shared>,
}

impl Client {
    /// Starts dialling and returns at once; [`live`](Self::live) waits for the outcome.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn connect(options: Options) -> Self {
        let (tasks, orders) = mpsc::channel(ORDERS_MAX);
        let shared = Arc::new(Shared {
            fleet: RwLock::default(),
            clock: Mutex::default(),
            link: watch::Sender::new(LinkState::Connecting),
            events: broadcast::Sender::new(EVENTS_MAX),
        });
        tokio::spawn(link::run(options, orders, shared.clone()));
        Client { tasks, shared }
    }

    /// Waits until the link is up, or the attempt under way has failed.
    ///
    /// # Errors
    /// What ended the attempt. The client goes on dialling unless [`Error::is_lasting`].
    pub async fn live(&self) -> Result<Session, Error> {
        let mut link = self.shared.link.subscribe();
        let state = link
            .wait_for(|state| !matches!(state, LinkState::Connecting))
            .await
            .map_err(|_| Error::Closed)?;
        match &*state {
            LinkState::Live(session) => Ok(session.clone()),
            LinkState::Waiting { why, .. } | LinkState::Closed { why } => {
                Err(Error::Shared(why.clone()))
            }
            LinkState::Connecting => Err(Error::NotConnected),
        }
    }

    /// Waits until the fleet's snapshot is whole.
    ///
    /// # Errors
    /// [`Error::TimedOut`], or what ended the link meanwhile.
    pub async fn synced(&self, within: Duration) -> Result<Arc<Fleet>, Error> {
        let mut events = self.events();
        let whole = async {
            loop {
                let fleet = self.fleet();
                if fleet.is_synced() {
                    return Ok(fleet);
                }
                let event = events.next().await.ok_or(Error::Closed)?;
                if let Event::Link(LinkState::Waiting { why, .. } | LinkState::Closed { why }) =
                    event
                {
                    return Err(Error::Shared(why));
                }
            }
        };
        tokio::time::timeout(within, whole)
            .await
            .map_err(|_| Error::TimedOut { after: within })?
    }

    /// The fleet at this moment.
    pub fn fleet(&self) -> Arc<Fleet> {
        let fleet = self.shared.fleet.read();
        Arc::new(fleet.unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Everything that happens from now on.
    pub fn events(&self) -> Events {
        Events {
            receiver: self.shared.events.subscribe(),
        }
    }

    /// How the link stands.
    pub fn link_state(&self) -> LinkState {
        self.shared.link.borrow().clone()
    }

    /// The gateway's time now, by its own word; `None` before the first welcome.
    pub fn gateway_time(&self) -> Option<Time> {
        let clock = self.shared.clock.lock();
        let clock = clock.unwrap_or_else(PoisonError::into_inner);
        clock.map(|clock| clock.now(Instant::now()))
    }

    /// Sends a command. It is sent once; what became of it, even across a lost link, is told by the
    /// receipts.
    ///
    /// # Errors
    /// [`Error::NotConnected`] without a link: nothing was sent then, and nothing will be.
    pub async fn send(&self, order: Order) -> Result<Receipts, Error> {
        if order.expires_in.is_zero() || order.expires_in > EXPIRY_MAX {
            return Err(Error::ExpiryOutOfRange);
        }
        let key = order.key;
        let receiver = self.ask(|reply| Task::Command { order, reply }).await?;
        Ok(Receipts { key, receiver })
    }

    /// Asks any peer; the gateway is [`Address::GATEWAY`].
    ///
    /// # Errors
    /// [`Error::Refused`] with the other side's code; [`Error::TimedOut`] after a little more than
    /// the 30 s for which the gateway waits itself.
    pub async fn request(&self, destination: Address, request: Request) -> Result<Body, Error> {
        self.request_within(destination, request, REQUEST_TIMEOUT + REQUEST_SLACK)
            .await
    }

    /// The same with another time-out.
    ///
    /// # Errors
    /// As [`request`](Self::request).
    pub async fn request_within(
        &self,
        destination: Address,
        request: Request,
        within: Duration,
    ) -> Result<Body, Error> {
        self.ask(|reply| Task::Request {
            destination,
            request,
            deadline: Instant::now() + within,
            reply,
        })
        .await
        .map_err(|error| match error {
            Error::TimedOut { .. } => Error::TimedOut { after: within },
            other => other,
        })
    }

    /// Who is at this address: title, software, kind.
    ///
    /// # Errors
    /// As [`request`](Self::request).
    pub async fn identify(&self, address: Address) -> Result<(Title, Title, PeerKind), Error> {
        match self.request(address, Request::Identify).await? {
            Body::Identify {
                title,
                software,
                peer_kind,
            } => Ok((title, software, peer_kind)),
            _ => Err(unexpected("identify")),
        }
    }

    /// A controller's behaviour and the signatures of its commands; see [`crate::signature`].
    ///
    /// # Errors
    /// As [`request`](Self::request).
    pub async fn describe(&self, address: Address) -> Result<(Title, Vec<Text>), Error> {
        match self.request(address, Request::Describe).await? {
            Body::Describe {
                behaviour,
                commands,
            } => Ok((behaviour, commands)),
            _ => Err(unexpected("describe")),
        }
    }

    /// Whether a peer is there, since when, and what it is called, as the gateway knows it.
    ///
    /// # Errors
    /// As [`request`](Self::request); `unknown_address` for a number nobody was ever given.
    pub async fn lookup(&self, address: Address) -> Result<(bool, Time, Title), Error> {
        let asked = Request::Lookup { address };
        match self.request(Address::GATEWAY, asked).await? {
            Body::Lookup {
                online,
                since,
                title,
                ..
            } => Ok((online, since, title)),
            _ => Err(unexpected("lookup")),
        }
    }

    /// Makes an address and a key for a new controller, at a site or at none. The key is secret and told this once.
    ///
    /// # Errors
    /// As [`request`](Self::request); `forbidden` below technician there.
    pub async fn enrol(
        &self,
        title: Title,
        site: Option<SiteId>,
    ) -> Result<(Address, [u8; 32]), Error> {
        let asked = Request::Enrol { title, site };
        match self.request(Address::GATEWAY, asked).await? {
            Body::Enrol { controller, key } => Ok((controller, key)),
            _ => Err(unexpected("enrol")),
        }
    }

    /// Sends a line to another tool's person. Nothing answers it.
    ///
    /// # Errors
    /// [`Error::NotConnected`] without a link; [`Error::Refused`] with `bad_field` for an empty line.
    pub async fn note(&self, destination: Address, text: Text) -> Result<(), Error> {
        if text.as_str().is_empty() {
            return Err(Error::Refused {
                code: Code::BadField,
                detail: Some("expected a note of 1 to 200 bytes".into()),
            });
        }
        self.ask(|reply| Task::Note {
            destination,
            text,
            reply,
        })
        .await
    }

    /// Changes what this client is told of.
    ///
    /// # Errors
    /// [`Error::Busy`] above [`INTEREST_MAX`](crate::INTEREST_MAX) addresses; [`Error::Closed`].
    pub async fn set_interest(&self, interest: Interest) -> Result<(), Error> {
        if let Interest::Only(addresses) = &interest
            && addresses.len() > crate::INTEREST_MAX
        {
            return Err(Error::Busy {
                what: "subscriptions",
                max: crate::INTEREST_MAX,
            });
        }
        let task = Task::Interest(interest);
        self.tasks.send(task).await.map_err(|_| Error::Closed)
    }

    /// Closes the link and ends the client, clones included. Open commands end as `unknown`.
    pub async fn close(self) {
        let (done, is_done) = oneshot::channel();
        if self.tasks.send(Task::Close(done)).await.is_ok() {
            let _ = is_done.await;
        }
    }

    async fn ask<T>(
        &self,
        task: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Task,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.tasks
            .send(task(reply))
            .await
            .map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }
}

pub(crate) fn unexpected(asked: &'static str) -> Error {
    Error::UnexpectedAnswer { asked }
}
