//! The yard: the thread on which live sessions' bytes are read, routed and written. The settings may
//! want further ones, shards, that hold a part of the sockets; the relay is on this one alone.
//!
//! Without those a message stays on this thread from its read to its write; crossing to another would halve what
//! a core can do. So nothing here blocks: stores, passwords, HTTP and everything that strangers may
//! ask for live on the gateway's other threads, and talk to the yard through [`YardHandle`], a
//! bounded channel.
//!
//! - `driver`: sockets by epoll or io_uring.
//! - `lines`: the connections; gathers what goes out until the poll round ends.
//! - `intake`: from bytes that came to whole frames.
//! - `run`: the loop: frames to the relay, the relay's wishes to whom they concern.
//! - `shard`, `places`, `mailbox`: further threads that hold a part of the connections, where the
//!   settings want any.
//! - `events`: the log and the numbers of controllers' events.
//! - `statuses`: the fleet's status on its way to the status store.
//! - `watch`: withdrawn rights, new controllers.

mod driver;
mod events;
mod intake;
mod lines;
mod mailbox;
mod places;
mod run;
mod shard;
mod statuses;
#[cfg(test)]
mod tests;
mod watch;

use crate::{
    config::Settings,
    door::Permit,
    handshake::Proven,
    history,
    journal::{Change, Denials, Journal},
    keyring::Keyring,
    store::{
        Account, ConfigStore, ControllerEntry, Login, Revision, ScriptAlarm, StatusStore,
        StoreError, TokenHash,
    },
    telemetry::{Telemetry, count},
    wire::Wire,
};
use driver::Bell;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use socket2::Socket;
use std::{
    fmt,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use switchyard_protocol::message::{Body, Title};
use switchyard_protocol::{Address, Code};
use switchyard_relay::{
    ConnectionId, Counters, Gauges, Input, Rights, StoreRequest, StoreResult, Ticket,
};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
};

/// Arrivals and answers that may wait for the yard's turn.
const INBOX_MAX: usize = 1024;
/// Of those, the ones that a round takes: an arrival costs as much as several messages.
const INBOX_PER_ROUND: usize = 64;

/// What the yard is given at its start.
pub(crate) struct YardContext {
    pub(crate) settings: Arc<Settings>,
    pub(crate) config: Arc<dyn ConfigStore>,
    pub(crate) status: Option<Arc<dyn StatusStore>>,
    /// What values go to that become history or recent values, if any do.
    pub(crate) history: Option<history::Tap>,
    pub(crate) telemetry: Arc<Telemetry>,
    /// Is told of controllers that are enrolled later, once the yard has been.
    pub(crate) keyring: Arc<Keyring>,
    /// The same as long as no receipt is forgotten: tells clients when some may be. It names this node to
    /// the status store.
    pub(crate) gateway: [u8; 16],
    pub(crate) relay_settings: switchyard_relay::Settings,
    /// All controllers that are enrolled.
    pub(crate) controllers: Vec<ControllerEntry>,
    /// Every account and its rights.
    pub(crate) accounts: Vec<(Title, Rights)>,
    /// Where the changes begin that are not in there.
    pub(crate) revision: Revision,
    /// What is known of commands since before the gateway went down, in the relay's order.
    pub(crate) remembered: Vec<Input>,
    /// The number of the latest event that the gateway has of each controller.
    pub(crate) event_numbers: Vec<(Address, u32)>,
    /// Rung when the store has what a script said of alarms.
    pub(crate) alarms: crate::bell::Bell,
}

/// What accounts may do, and nothing else of them.
pub(crate) fn rights(accounts: Vec<Account>) -> Vec<(Title, Rights)> {
    let accounts = accounts.into_iter();
    accounts
        .map(|account| (account.name, account.rights))
        .collect()
}

/// What the relay runs on, but for what the yard has room for.
pub(crate) fn relay_settings(settings: &Settings) -> switchyard_relay::Settings {
    switchyard_relay::Settings {
        ping_interval: settings.ping_interval,
        tool_queue_bytes_max: settings.tool_queue_bytes_max,
        controller_queue_bytes_max: settings.controller_queue_bytes_max,
        ..switchyard_relay::Settings::new(crate::own_title(), crate::own_software(), rand::random())
    }
}

/// What arrives at the yard.
enum ToYard {
    Controller(Box<ControllerArrival>),
    Tool(Box<ToolArrival>),
    /// A store has done, or failed to do, what the relay asked.
    Stored(Ticket, StoreResult),
    /// A question is answered; a controller that was made for it is in there.
    Answered(Ticket, Box<Result<Body, Code>>),
    /// Controllers that were enrolled, changed or withdrawn, here or by another process.
    Changed(Vec<ControllerNews>),
    /// Time to look for log-ins that have ended; whether rights may have changed.
    Look(bool),
    LoginsChecked(watch::Checked),
    StatusesStored(statuses::Stored),
    /// Controllers whose status is to be put into the status store again; all of them with `None`.
    StatusesWanted(Option<Vec<Address>>),
    /// What the status store knew of controllers before the gateway started.
    Restored(Vec<statuses::Known>),
    /// Numbers of events were stored, or not.
    NumbersStored {
        numbers: Vec<(Address, u32)>,
        is_committed: bool,
        /// What was to go with them and did not.
        again: Vec<ScriptAlarm>,
    },
    Report(oneshot::Sender<Report>),
    /// Something is changed over HTTP, or (the second) has ended; whether it is written down is answered.
    Change(Box<Change>, bool, oneshot::Sender<bool>),
    ShutDown,
    /// A task that would have answered has panicked.
    Broken,
}

/// What is new of a controller, without its key: that is the door's.
pub(crate) enum ControllerNews {
    /// It is this now.
    Is(ControllerEntry),
    /// It is withdrawn.
    Withdrawn(Address),
    /// It is to dial again, for a step of its keys that is taken at the door.
    Recalled(Address),
}

/// A proven controller, its socket taken off the thread that proved it.
struct ControllerArrival {
    proven: Proven,
    stream: std::net::TcpStream,
    ip: IpAddr,
    permit: Permit,
}

/// A tool whose authority is known.
pub(crate) struct ToolArrival {
    pub(crate) stream: Socket,
    pub(crate) wire: Wire,
    pub(crate) origin: Origin,
    pub(crate) address: Address,
    pub(crate) authority: Authority,
    /// Of its hello: the welcome repeats it.
    pub(crate) correlation: u32,
    /// Whole frames that came in one message with its hello.
    pub(crate) frames: Vec<u8>,
    /// What came after that message.
    pub(crate) rest: Vec<u8>,
}

/// Where a tool comes from; shown as that in the log.
#[derive(Debug)]
pub(crate) enum Origin {
    /// From the network.
    Network {
        /// Where there.
        ip: IpAddr,
        /// Its place in the house.
        permit: Permit,
    },
    /// From inside this process. Takes no place that a stranger could have.
    Inside {
        /// Which part of it.
        part: &'static str,
        /// For whom: where a request came from that it acts on.
        caller: Option<IpAddr>,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Network { ip, .. } => write!(f, "{ip}"),
            Origin::Inside { part, caller: None } => write!(f, "inside {part}"),
            Origin::Inside {
                part,
                caller: Some(ip),
            } => write!(f, "inside {part} for {ip}"),
        }
    }
}

/// In whose name a tool acts.
#[derive(Clone, Debug)]
pub(crate) enum Authority {
    /// An account's, as long as the log-in holds: it is looked up again whenever rights may have changed.
    LogIn {
        /// By what it is looked up.
        token: TokenHash,
        /// What it was at the latest look.
        login: Login,
        /// [`YardHandle::looks`] from before that.
        looks: u64,
    },
    /// The gateway's own, which nobody withdraws.
    Gateway {
        /// What others see it act as; see [`own_account`](crate::inside::own_account).
        account: Title,
        /// What it may do.
        rights: Rights,
    },
}

/// What the relay has counted.
pub(crate) struct Report {
    pub(crate) counters: Counters,
    pub(crate) gauges: Gauges,
    /// Statuses that wait for the status store or are under way there.
    pub(crate) statuses_waiting: usize,
}

/// The yard as the other threads see it.
#[derive(Clone)]
pub(crate) struct YardHandle {
    inbox: mpsc::Sender<ToYard>,
    bell: Arc<Bell>,
    look: Arc<tokio::sync::Notify>,
    looks: Arc<AtomicU64>,
    denials: Arc<Denials>,
}

impl YardHandle {
    /// Hands over a proven controller.
    pub(crate) async fn controller(
        &self,
        stream: tokio::net::TcpStream,
        proven: Proven,
        ip: IpAddr,
        permit: Permit,
    ) {
        let Ok(stream) = stream.into_std() else {
            return;
        };
        let arrival = ControllerArrival {
            proven,
            stream,
            ip,
            permit,
        };
        // Dropping an arrival closes its socket: a yard that is gone needs no more.
        let _ = self.inbox.send(ToYard::Controller(Box::new(arrival))).await;
        // Those that are ready now come in by the same ring: each one wakes a thread.
        tokio::task::yield_now().await;
        self.bell.ring();
    }

    /// Hands over a tool that has said who it is.
    pub(crate) async fn tool(&self, arrival: ToolArrival) {
        self.tell(ToYard::Tool(Box::new(arrival))).await;
    }

    /// Says that a log-in ended, so that its sockets end now and not at the next look.
    pub(crate) fn access_changed(&self) {
        self.look.notify_one();
    }

    /// Moves before all log-ins are looked up again because rights may have been withdrawn. A log-in
    /// that was looked up since it last moved needs no second look when its tool arrives.
    pub(crate) fn looks(&self) -> u64 {
        self.looks.load(Ordering::Acquire)
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

    /// Writes down that something is about to be changed, or (`has_ended`) what became of it. False where that
    /// was not possible, `None` where the yard has ended.
    pub(crate) async fn record(&self, change: Change, has_ended: bool) -> Option<bool> {
        let (answer, answered) = oneshot::channel();
        self.tell(ToYard::Change(Box::new(change), has_ended, answer))
            .await;
        answered.await.ok()
    }

    /// Whether it goes on record that something was not allowed.
    pub(crate) fn may_record_denial(&self, account: &Title) -> bool {
        self.denials.pass(account, Instant::now())
    }

    /// Begins the end: peers are told, queues written out.
    pub(crate) async fn shut_down(&self) {
        self.tell(ToYard::ShutDown).await;
    }

    async fn tell(&self, what: ToYard) {
        // A yard that is gone needs no telling: dropping an arrival closes its socket.
        let _ = self.inbox.send(what).await;
        self.bell.ring();
    }
}

/// Starts the yard's thread. The second half tells of its end: by an error, where it panicked.
///
/// It is not a handle to join: whoever gives up waiting, as a runtime does that is dropped, must not
/// have to wait for a thread that nobody has told to end.
pub(crate) fn start(
    context: YardContext,
    journal: Journal,
) -> std::io::Result<(YardHandle, oneshot::Receiver<()>)> {
    let (inbox, arrivals) = mpsc::channel(INBOX_MAX);
    let handle = YardHandle {
        inbox,
        bell: Arc::new(Bell::new()?),
        look: Arc::default(),
        looks: Arc::default(),
        denials: journal.denials(),
    };
    let (writes, requests) = mpsc::unbounded_channel();
    let assistants = Assistants {
        runtime: Handle::current(),
        yard: handle.clone(),
        writes,
    };
    assistants.spawn(write_commands(
        Arc::clone(&context.config),
        Arc::clone(&context.telemetry),
        requests,
        handle.clone(),
    ));
    assistants.spawn(watch::keep_watch(
        Arc::clone(&context.config),
        Arc::clone(&context.telemetry),
        handle.clone(),
        Arc::clone(&context.keyring),
        context.revision,
    ));
    let (end, ended) = oneshot::channel();
    std::thread::Builder::new()
        .name("yard".into())
        .spawn(move || {
            run::run(context, journal, arrivals, assistants);
            // Nobody listens any more where the gateway was dropped.
            let _ = end.send(());
        })?;
    Ok((handle, ended))
}

/// The gateway's other threads, as the yard sees them.
struct Assistants {
    runtime: Handle,
    yard: YardHandle,
    /// Writes to the config store, in the relay's order. Unbounded in itself: the relay bounds how
    /// many it has open.
    writes: mpsc::UnboundedSender<(Ticket, StoreRequest)>,
}

impl Assistants {
    /// Runs something that answers the yard. Its panic is the end of the yard, and so of the program:
    /// a relay whose wishes are never answered is worse than peers that come back to a fresh gateway.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let alarm = Alarm(self.yard.clone());
        self.runtime.spawn(async move {
            let _alarm = alarm;
            task.await;
        });
    }

    /// Runs something whose outcome the yard is told.
    fn ask(&self, task: impl Future<Output = ToYard> + Send + 'static) {
        let yard = self.yard.clone();
        self.spawn(async move { yard.tell(task.await).await });
    }
}

/// Tells the yard when its task ends by a panic.
struct Alarm(YardHandle);

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let yard = self.0.clone();
            // This thread belongs to a runtime; the inbox may be full at this moment.
            tokio::spawn(async move { yard.tell(ToYard::Broken).await });
        }
    }
}

/// Does the relay's writes, and tells how each went.
async fn write_commands(
    config: Arc<dyn ConfigStore>,
    telemetry: Arc<Telemetry>,
    mut requests: mpsc::UnboundedReceiver<(Ticket, StoreRequest)>,
    yard: YardHandle,
) {
    let mut open = FuturesUnordered::new();
    loop {
        let (ticket, outcome) = tokio::select! {
            biased;
            Some((ticket, request)) = requests.recv() => {
                // The call itself takes its place in the store's queue; only the answer is awaited.
                let call = config.write_command(request);
                open.push(async move { (ticket, call.await) });
                continue;
            }
            Some(done) = open.next() => done,
            else => return,
        };
        let result = match outcome {
            Ok(()) => StoreResult::Committed,
            Err(error) => {
                count(&telemetry.store_failures);
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
        yard.tell(ToYard::Stored(ticket, result)).await;
    }
}

/// The log-in that a live tool rests on.
struct LoggedIn {
    login: Login,
    token: TokenHash,
}

/// A tool's connection and its log-in, as far as they are looked up again.
type LoginToCheck = (ConnectionId, TokenHash);
