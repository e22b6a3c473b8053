//! The bridge to a broker of MQTT 3.1.1 that people have already: what controllers are and say goes there,
//! and commands come from there where that is allowed.
//!
//! - [`MqttSettings`]: how people set it up.
//! - `topics`: where in the broker things are. `picture`: what is told of a controller, also to Home Assistant.
//! - `outbox`: what the broker is still to be told.
//! - `command`: commands out of messages. `orders`: commands under way, and their receipts.
//! - `line`: a connection to the broker.
//!
//! Two tasks of the general threads share one [`State`] that neither holds for long: one reads what the yard
//! tells a peer inside, the other talks to the broker. So nothing in the yard ever waits for a broker, and a
//! broker that is away costs a mark for each controller and so many letters.

mod command;
mod line;
mod orders;
mod outbox;
mod picture;
mod settings;
mod topics;

pub(crate) use line::Fault;
pub use settings::MqttSettings;

use crate::{
    backoff::Backoff,
    clock, hex,
    inside::{
        Insides, Observer, Peer, Watch,
        fleet::{Fleet, News},
    },
    telemetry::count,
    tls,
};
use anyhow::Context as _;
use line::{Dialler, Incident, Line};
use orders::Orders;
use outbox::{Due, Outbox, Sent, letter};
use rumqttc::{LastWill, Packet, Publish, QoS, SubscribeReasonCode};
use serde_json::json;
use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use switchyard_protocol::{Address, Frame, Role};
use switchyard_relay::Rights;
use tokio::{sync::Notify, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use topics::{Subject, Topics};

/// Its name among the parts of the gateway.
const PART: &str = "mqtt";
/// The waits before the broker is dialled again.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// See [`PAUSE_MIN`]: how late a broker that is back is noticed at most.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// A connection that lasted so long was a good one, and the next pause is a short one.
const GOOD_AFTER: Duration = Duration::from_secs(60);
/// How long the last words may take when the gateway stops.
const FAREWELL_TIMEOUT: Duration = Duration::from_millis(500);
/// Controllers of an earlier life that are remembered until it is known which there are now, or until the broker has
/// been told that they are no more. Those past it are found at the next connection.
const STRANGERS_MAX: usize = 4_096;

/// What the bridge counts.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// 1 while the broker is there.
    pub(crate) connected: AtomicU64,
    /// Connections that were made.
    pub(crate) connections: AtomicU64,
    /// Messages that were sent.
    pub(crate) published: AtomicU64,
    /// Changes that were told together with later ones.
    pub(crate) conflated: AtomicU64,
    /// Events and receipts for which there was no room.
    pub(crate) dropped: AtomicU64,
    /// Commands that were given to the yard.
    pub(crate) commands_given: AtomicU64,
    /// Commands that came once more.
    pub(crate) commands_repeated: AtomicU64,
    /// Commands that were turned away before the yard saw them.
    pub(crate) commands_refused: AtomicU64,
}

/// What both tasks know.
struct State {
    fleet: Fleet,
    outbox: Outbox,
    /// By whom commands are given; `None` while there is none.
    peer: Option<Peer>,
    /// Controllers that the broker has something of, and of which it is not known yet whether they are there.
    strangers: BTreeSet<Address>,
}

/// What the bridge's tasks share.
struct Shared {
    state: Mutex<State>,
    topics: Topics,
    counters: Arc<Counters>,
    /// There is something new for the broker.
    due: Notify,
}

impl Shared {
    /// The state; nobody waits for anything while holding it.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something happened to a controller.
    fn post(&self, controller: Address, what: &str, content: &serde_json::Value) {
        let letter = letter(self.topics.of(controller, what), content);
        if self.state().outbox.post(letter) {
            count(&self.counters.dropped);
        }
        self.due.notify_one();
    }
}

/// A bridge that is ready to begin.
pub(crate) struct Bridge {
    settings: MqttSettings,
    topics: Topics,
    dialler: Dialler,
}

impl Bridge {
    /// Of these settings; `identity` is the data folder's own number. Blocks for a moment, as it reads files.
    ///
    /// # Errors
    /// When the file with the authorities is not what it should be.
    pub(crate) fn open(settings: &MqttSettings, identity: &[u8]) -> anyhow::Result<Self> {
        let topics = Topics::new(&settings.prefix, settings.discovery.as_deref());
        let lost = topics.availability();
        let will = LastWill::new(lost, picture::OFFLINE, QoS::AtLeastOnce, true);
        Ok(Bridge {
            settings: settings.clone(),
            topics,
            dialler: dialler(settings, identity, Some(will))?,
        })
    }

    /// Begins, by a peer inside. It ends with `stopping`, after its last words.
    pub(crate) fn start(
        self,
        insides: Arc<Insides>,
        counters: &Arc<Counters>,
        tasks: &TaskTracker,
        stopping: &CancellationToken,
    ) {
        let settings = &self.settings;
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                fleet: Fleet::new(&settings.controllers),
                outbox: Outbox::new(self.topics.clone(), settings.commands),
                peer: None,
                strangers: BTreeSet::new(),
            }),
            topics: self.topics,
            counters: Arc::clone(counters),
            due: Notify::new(),
        });
        let watch = Watch::new(insides, PART, rights(settings));
        let orders = || Orders::new(Arc::clone(&shared), tasks.clone());
        let link = Link {
            orders: settings.commands.then(orders),
            shared: Arc::clone(&shared),
            dialler: self.dialler,
            stopping: stopping.clone(),
        };
        tasks.spawn(link.keep());
        let stopping = stopping.clone();
        tasks.spawn(async move { watch.run(&mut Watcher(shared), stopping).await });
    }
}

/// What the bridge may do: see what it is to tell of, and command only where that was decided.
fn rights(settings: &MqttSettings) -> Rights {
    let role = match settings.commands {
        true => Role::Operator,
        false => Role::Viewer,
    };
    match settings.sites.is_empty() {
        true => Rights::everywhere(role),
        false => Rights::new(None, settings.sites.iter().map(|&site| (site, role))),
    }
}

fn dialler(
    settings: &MqttSettings,
    identity: &[u8],
    will: Option<LastWill>,
) -> anyhow::Result<Dialler> {
    let tls = settings
        .tls
        .then(|| tls::client_config(settings.ca_file.as_deref()).context("mqtt_ca_file"))
        .transpose()?;
    // Two gateways with one name would throw each other out again and again.
    let own = || {
        format!(
            "switchyard{}",
            hex::encode(&identity[..identity.len().min(4)])
        )
    };
    Ok(Dialler {
        settings: settings.clone(),
        client_id: settings.client_id.clone().unwrap_or_else(own),
        will,
        tls,
    })
}

/// Looks whether the files that a bridge needs are what they should be.
///
/// # Errors
/// When they are not.
pub(crate) fn check(settings: &MqttSettings) -> anyhow::Result<()> {
    dialler(settings, &[], None).map(|_| ())
}

/// Logs in to the broker and leaves, under a name of its own so that nobody is thrown out.
///
/// # Errors
/// Why that does not work.
pub(crate) async fn probe(settings: &MqttSettings) -> anyhow::Result<()> {
    let settings = settings.clone();
    let reading = move || dialler(&settings, &[], None);
    let mut dialler = tokio::task::spawn_blocking(reading).await??;
    dialler.client_id = format!("switchyarddoctor{:08x}", rand::random::<u32>());
    let mut line = dialler.dial().await?;
    line.say(Packet::Disconnect)?;
    let _ = tokio::time::timeout(FAREWELL_TIMEOUT, line.close()).await;
    Ok(())
}

/// Takes in what the yard tells.
struct Watcher(Arc<Shared>);

impl Observer for Watcher {
    fn begin(&mut self, peer: &Peer) {
        let mut state = self.0.state();
        state.peer = Some(peer.clone());
        state.fleet.begin();
    }

    fn frame(&mut self, frame: &Frame) -> Option<Address> {
        let shared = &self.0;
        let mut state = shared.state();
        let (due, controller) = match state.fleet.take(frame, clock::time()) {
            News::Nothing => return None,
            News::Missed(controller) => return Some(controller),
            News::Presence(controller) | News::Points(controller) => (Due::ALL, controller),
            News::Values(controller) => (Due::STATUS, controller),
            News::Gone(controller) => (Due::REMOVAL, controller),
            News::Happened(controller, happening) => {
                drop(state);
                shared.post(controller, "event", &json!(happening));
                return None;
            }
        };
        if state.outbox.mark(controller, due) {
            count(&shared.counters.conflated);
        }
        drop(state);
        shared.due.notify_one();
        None
    }

    fn synced(&mut self) {
        let mut state = self.0.state();
        let state = &mut *state;
        let strangers = std::mem::take(&mut state.strangers).into_iter();
        let strangers = strangers.filter(|it| state.fleet.controller(*it).is_none());
        let strangers: Vec<_> = strangers.collect();
        for controller in strangers.into_iter().chain(state.fleet.synced()) {
            state.outbox.mark(controller, Due::REMOVAL);
        }
        state.outbox.sees();
        self.0.due.notify_one();
    }

    fn lost(&mut self) {
        let mut state = self.0.state();
        state.peer = None;
        state.outbox.blinded();
        drop(state);
        self.0.due.notify_one();
    }
}

/// Talks to the broker.
struct Link {
    shared: Arc<Shared>,
    dialler: Dialler,
    /// Where commands are taken.
    orders: Option<Orders>,
    stopping: CancellationToken,
}

impl Link {
    /// Until the gateway stops.
    async fn keep(mut self) {
        let mut backoff = Backoff::new(PAUSE_MIN, PAUSE_MAX);
        let mut is_told = false;
        loop {
            let dialled = tokio::select! {
                biased;
                () = self.stopping.cancelled() => return,
                dialled = self.dialler.dial() => dialled,
            };
            let since = Instant::now();
            let fault = match dialled {
                Ok(line) => {
                    if std::mem::take(&mut is_told) {
                        tracing::info!("the MQTT broker is there again");
                    } else {
                        tracing::info!("the MQTT broker is there");
                    }
                    let counters = &self.shared.counters;
                    count(&counters.connections);
                    counters.connected.store(1, Ordering::Relaxed);
                    let ended = self.talk(line).await;
                    self.shared.counters.connected.store(0, Ordering::Relaxed);
                    match ended {
                        Ok(()) => return,
                        Err(fault) => fault,
                    }
                }
                Err(fault) => fault,
            };
            if since.elapsed() >= GOOD_AFTER {
                backoff.reset();
            }
            let broker = &self.dialler.settings.host;
            match std::mem::replace(&mut is_told, true) {
                false => {
                    tracing::warn!(broker, %fault, "the MQTT broker is not there; what is new waits")
                }
                true => tracing::debug!(broker, %fault, "the MQTT broker is still not there"),
            }
            tokio::select! {
                () = self.stopping.cancelled() => return,
                () = tokio::time::sleep(backoff.next_wait(rand::random())) => {}
            }
        }
    }

    /// As long as the connection lasts; without a fault, the gateway stops.
    async fn talk(&mut self, mut line: Line) -> Result<(), Fault> {
        let (stopping, shared) = (self.stopping.clone(), Arc::clone(&self.shared));
        let subscribe = {
            let mut state = shared.state();
            let State { fleet, outbox, .. } = &mut *state;
            outbox.connected(fleet)
        };
        line.say(subscribe)?;
        loop {
            let wake_at = self.fill(&mut line);
            let incident = tokio::select! {
                biased;
                () = stopping.cancelled() => {
                    self.leave(line).await;
                    return Ok(());
                }
                incident = line.next(wake_at) => incident?,
                () = shared.due.notified() => Incident::Room,
            };
            if let Incident::Came(packet) = incident {
                self.take(&mut line, packet)?;
            }
        }
    }

    /// Gives the line what there is, as far as there is room.
    fn fill(&self, line: &mut Line) -> Option<Instant> {
        let mut state = self.shared.state();
        let State { fleet, outbox, .. } = &mut *state;
        let mut sent = Sent::default();
        let wake_at = outbox.fill(fleet, Instant::now(), &mut line.outgoing, &mut sent);
        let published = &self.shared.counters.published;
        published.fetch_add(sent.messages, Ordering::Relaxed);
        wake_at
    }

    fn take(&mut self, line: &mut Line, packet: Packet) -> Result<(), Fault> {
        match packet {
            Packet::Publish(publish) => {
                let packet_id = publish.pkid;
                self.take_message(&publish, line.age());
                // Taken is taken, whatever becomes of it: its receipt tells.
                if publish.qos == QoS::AtLeastOnce {
                    line.say(Packet::PubAck(rumqttc::PubAck::new(packet_id)))?;
                }
                Ok(())
            }
            Packet::PubAck(confirmed) => {
                self.shared.state().outbox.confirmed(confirmed.pkid);
                Ok(())
            }
            Packet::SubAck(answer) => {
                if answer.return_codes.contains(&SubscribeReasonCode::Failure) {
                    tracing::warn!(
                        "the MQTT broker does not let this gateway hear all that it wants to: look at its access \
                         list"
                    );
                }
                Ok(())
            }
            Packet::ConnAck(_) => Err(Fault::OutOfTurn("a second welcome")),
            _ => Err(Fault::OutOfTurn("a packet that clients do not get")),
        }
    }

    /// Takes a message that is no older than `age`.
    fn take_message(&mut self, publish: &Publish, age: Duration) {
        match self.shared.topics.subject(&publish.topic) {
            Some(Subject::Birth) if *publish.payload == *picture::ONLINE.as_bytes() => {
                let mut state = self.shared.state();
                let State { fleet, outbox, .. } = &mut *state;
                outbox.describe_anew(fleet);
            }
            Some(Subject::Availability(controller)) if !publish.payload.is_empty() => {
                self.found(controller);
            }
            Some(Subject::Command(aim)) => {
                if let Some(orders) = &mut self.orders {
                    orders.take(&aim, publish, age);
                }
            }
            Some(Subject::NoCommand(controller)) => {
                if let Some(orders) = &mut self.orders {
                    orders.take_nonsense(controller, publish);
                }
            }
            Some(Subject::Birth | Subject::Availability(_)) | None => {}
        }
    }

    /// The broker has something of a controller: if there is none of that number to be told of, it has it from
    /// an earlier life, and it is taken away.
    fn found(&self, controller: Address) {
        let mut state = self.shared.state();
        if state.fleet.controller(controller).is_some() {
            return;
        }
        if state.fleet.is_synced() {
            // Whoever publishes there may name any number there is.
            if state.outbox.marks() < state.fleet.len() + STRANGERS_MAX {
                state.outbox.mark(controller, Due::REMOVAL);
            }
        } else if state.strangers.len() < STRANGERS_MAX {
            state.strangers.insert(controller);
        }
    }

    /// The gateway stops: the broker is told, and does not have to find out.
    async fn leave(&self, mut line: Line) {
        let farewell = self.shared.state().outbox.farewell();
        for packet in farewell {
            if line.say(packet).is_err() {
                return;
            }
        }
        let _ = tokio::time::timeout(FAREWELL_TIMEOUT, line.close()).await;
    }
}
