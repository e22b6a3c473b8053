//! Listening and stopping: what accepts connections, and the order in which all of it ends.

use crate::{
    alarm::Alarms,
    audit::AuditLog,
    bell::Bell,
    bridge,
    clock::Clock,
    config::{ConfigError, ProxiedListeners, Settings, TrustedNetwork},
    door::{Door, Pending, Permit},
    fleet::executor::Executor,
    handshake::{Prover, Replays},
    hello::{Greeter, Leases},
    history,
    http::{self, Api},
    inside::Insides,
    journal,
    keyring::Keyring,
    keys::Keys,
    priority::{DOOR_NICENESS, give_way},
    proxy::{self, ProxyFault},
    setup::Setup,
    store::{
        AuditIn, ConfigStore, ControllerEntry, Guarded, MemoryStatusStore, RedisStatusStore,
        SqlConfigStore, StatusStore, TimeLimit,
    },
    supervisor::{Passed, Supervisor},
    telemetry::Telemetry,
    throttle::Throttle,
    tls::Tls,
    webhook,
    yard::{self, YardContext, YardHandle},
};
use anyhow::Context as _;
use std::{
    fmt,
    io::Write,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};
use switchyard_protocol::{Address, Code, Frame, Kind, message::ErrorMessage};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::oneshot,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument as _;

/// Connections that may wait to be taken; the system has a bound of its own besides. Who finds no room
/// tries again after one second, three, seven: a fleet that comes back at once should find it.
const BACKLOG: u32 = 4096;
/// How long to wait when no connection can be taken, as when files run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Lines about that in a minute.
const COMPLAINTS_PER_MINUTE_MAX: u32 = 3;
/// Lines in a minute about connections that were refused.
const REFUSALS_PER_MINUTE_MAX: u32 = 60;
/// Connections taken before others on the same thread have their turn.
const ACCEPTS_IN_A_ROW: usize = 64;
/// From the end of the sessions to that of the program.
const ENDING: Duration = Duration::from_secs(2);
/// Controllers read from the store at once when starting.
const CONTROLLERS_PER_PAGE: u32 = 10_000;

/// Bound sockets; a test binds them to number 0.
#[derive(Debug)]
pub struct Listeners {
    /// Controllers, by Noise.
    pub tcp: TcpListener,
    /// Page, log-in, tools.
    pub http: TcpListener,
    /// Controllers, in the clear.
    pub clear: Option<TcpListener>,
}

impl Listeners {
    /// Binds what the settings say, but for what a service manager has bound already and passed on under
    /// the names `tcp`, `http` and `clear`. Async, for listeners belong to the runtime that they are made on.
    ///
    /// # Errors
    /// Names the address that is not free, or says what is wrong with a listener that was passed.
    pub async fn bind(settings: &Settings) -> anyhow::Result<Self> {
        let mut passed = Passed::take()?;
        let mut bind = |name, addr: Option<SocketAddr>| {
            if let Some(listener) = passed.listener(name) {
                return Ok(Some(TcpListener::from_std(listener)?));
            }
            addr.map(|addr| listen(addr).with_context(|| format!("cannot listen on {addr}")))
                .transpose()
        };
        let mut always = |name, addr| {
            let bound: anyhow::Result<Option<_>> = bind(name, Some(addr));
            bound?.with_context(|| format!("cannot listen on {addr}"))
        };
        let tcp = always("tcp", settings.listen_tcp)?;
        let http = always("http", settings.listen_http)?;
        let clear = bind("clear", settings.listen_clear)?;
        passed.all_taken()?;
        // A socket that was passed lies where whoever passed it wanted, not where the settings say.
        if let Some(addr) = clear.as_ref().map(TcpListener::local_addr).transpose()?
            && !settings.insecure
            && !addr.ip().is_loopback()
        {
            return Err(ConfigError::ClearInTheOpen(addr).into());
        }
        Ok(Listeners { tcp, http, clear })
    }

    /// Writes one line for each, for scripts that asked for number 0.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn announce(&self, output: &mut impl Write) -> std::io::Result<()> {
        writeln!(output, "listening tcp {}", self.tcp.local_addr()?)?;
        writeln!(output, "listening http {}", self.http.local_addr()?)?;
        if let Some(clear) = &self.clear {
            writeln!(output, "listening clear {}", clear.local_addr()?)?;
        }
        output.flush()
    }
}

fn listen(addr: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match addr {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A gateway that restarts takes the address over from connections that have yet to time out. What
    // the option means elsewhere is another thing.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

/// The stores that a gateway works on.
#[derive(Clone)]
pub struct Stores {
    /// What survives a restart.
    pub config: Arc<dyn ConfigStore>,
    /// Where the latest of every controller is copied to, for others and for the gateway's next start to read.
    /// `None` copies nothing: the relay's own table is then the only one, and the cheapest.
    pub status: Option<Arc<dyn StatusStore>>,
    /// Where what points were in the last minutes is kept: the same store, or one in memory. `None` keeps nothing.
    pub recent: Option<Arc<dyn StatusStore>>,
    /// Where the journal's records go. Without it they stay in the journal, within its bound.
    pub audit: Option<Arc<dyn AuditLog>>,
}

impl fmt::Debug for Stores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stores")
    }
}

impl Stores {
    /// Opens the embedded stores, making the data folder when there is none.
    ///
    /// # Errors
    /// When the folder or the database cannot be opened.
    pub async fn open(settings: &Settings) -> anyhow::Result<Self> {
        make_private_folder(&settings.data)?;
        let (database, sealer) = (&settings.database, settings.master_key.sealer()?);
        let limit = TimeLimit(settings.store_timeout);
        let config =
            SqlConfigStore::open(database, sealer, settings.store_queue_calls_max, limit.0)
                .await
                .with_context(|| format!("cannot open the database {database}"))?;
        let status = settings.redis.as_ref().map(|redis| {
            let store = RedisStatusStore::new(redis, settings.store_queue_calls_max)?;
            let store: Arc<dyn StatusStore> = Arc::new(Guarded::new(store, limit));
            anyhow::Ok(store)
        });
        let config: Arc<dyn ConfigStore> = Arc::new(Guarded::new(config, limit));
        let status = status.transpose()?;
        let recent = settings.recent.and_then(|recent| {
            let in_memory = || Arc::new(MemoryStatusStore::default()) as Arc<dyn StatusStore>;
            match recent.is_in_redis {
                true => status.clone(),
                false => Some(in_memory()),
            }
        });
        Ok(Stores {
            audit: Some(Arc::new(AuditIn(Arc::clone(&config)))),
            config,
            status,
            recent,
        })
    }
}

/// Keys lie in here: for the owner alone.
pub(crate) fn make_private_folder(path: &std::path::Path) -> anyhow::Result<()> {
    crate::private::create_folder(path)
        .with_context(|| format!("cannot make the folder {}", path.display()))
}

/// What the accept loops share.
struct House {
    door: Arc<Door>,
    telemetry: Arc<Telemetry>,
    prover: Prover,
    yard: YardHandle,
    tasks: TaskTracker,
    stopping: CancellationToken,
    /// Bounds the lines about connections that cannot be taken: such a state lasts.
    complaints: Throttle<()>,
    /// Bounds the lines about connections that were refused.
    refusals: Throttle<()>,
    /// Which connections begin with a proxy's word, and whose is believed.
    proxied: ProxiedListeners,
    proxies: Vec<TrustedNetwork>,
}

/// What [`House::accept_controllers`] and its like go on with: a connection, whose it is, and its places.
type Admitted = (TcpStream, SocketAddr, (Permit, Pending));

/// Runs a gateway on bound sockets until `shutdown` is cancelled; then, after `drain_delay`, peers are
/// told, queues are written out, and everything ends within `shutdown_timeout`.
///
/// # Errors
/// When the stores do not give what the start needs, or a thread dies without which nobody is served.
pub async fn serve(
    settings: Settings,
    stores: Stores,
    listeners: Listeners,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    serve_supervised(settings, stores, listeners, shutdown, Supervisor::none()).await
}

/// The same, with somebody who is told of ready, alive and stopping.
///
/// # Errors
/// As [`serve`].
pub async fn serve_supervised(
    settings: Settings,
    stores: Stores,
    listeners: Listeners,
    shutdown: CancellationToken,
    supervisor: Supervisor,
) -> anyhow::Result<()> {
    let settings = Arc::new(settings);
    let tls = settings
        .tls
        .as_ref()
        .map(Tls::new)
        .transpose()?
        .map(Arc::new);
    let telemetry = Telemetry::new();
    let door = Door::new(&settings, Arc::clone(&telemetry));
    // Before the controllers: what changes in between is told twice rather than never.
    let revision = stores.config.controller_revision().await;
    let revision = revision.context("cannot read the controllers")?;
    let controllers = all_controllers(&*stores.config).await?;
    let keyring = Arc::new(Keyring::default());
    keyring.learn(&controllers);
    let controllers: Vec<_> = controllers.into_iter().map(|(entry, _)| entry).collect();
    let commands = stores
        .config
        .stored_commands()
        .await
        .context("cannot read waiting commands")?;
    let relay_settings = yard::relay_settings(&settings);
    let opened = tokio::task::spawn_blocking({
        let (settings, telemetry) = (Arc::clone(&settings), Arc::clone(&telemetry));
        let (relay_settings, audit) = (relay_settings.clone(), stores.audit);
        move || journal::open(&settings, &relay_settings, &telemetry, audit)
    });
    let opened = opened.await.context("opening the journal panicked")??;
    let waiting = commands.len();
    let remembered = opened.recollection.into_inputs(commands);
    let event_numbers = stores
        .config
        .event_numbers()
        .await
        .context("cannot read the numbers of events")?;
    let accounts = stores
        .config
        .accounts()
        .await
        .context("cannot read the accounts")?;
    tracing::info!(
        controllers = controllers.len(),
        waiting,
        remembered = remembered.len(),
        "starting"
    );
    // All that can fail comes before the yard, which would have to be told that it is for nothing.
    let nobodys_hash = crate::access::nobodys_hash()?;
    let setup = Setup::new(&settings.data, accounts.is_empty())?;
    let integrations = Integrations::open(&settings, opened.memory).await?;
    if listeners.clear.is_some() {
        tracing::warn!("offering the unencrypted controller link");
    }
    let (door_keeper, door_ends) = start_door(listeners.tcp, listeners.clear)
        .await
        .context("cannot start the door's thread")?;
    let clock = Clock::start();
    let (tasks, stopping) = (TaskTracker::new(), CancellationToken::new());
    let alarms = Alarms::open(&settings, &tasks, &stopping).await?;
    let recent = settings.recent.zip(stores.recent.clone());
    let recent = recent.map(|(settings, store)| {
        let (recent, samples) =
            history::Recent::new(settings, Arc::clone(&telemetry), clock.now().time);
        // It ends by itself once whoever makes them has.
        tasks.spawn(history::keep_samples(
            store,
            settings,
            Arc::clone(&telemetry),
            samples,
        ));
        recent
    });
    let (config, counts) = (Arc::clone(&stores.config), Arc::clone(&telemetry));
    let history = history::Keeper::new(&settings, config, counts, recent, move || clock.now());
    let (history_tap, history_keeper) = history.unzip();
    let alarm_status = stores.status.clone();
    let context = YardContext {
        settings: Arc::clone(&settings),
        config: Arc::clone(&stores.config),
        status: stores.status,
        history: history_tap,
        telemetry: Arc::clone(&telemetry),
        keyring: Arc::clone(&keyring),
        gateway: opened.memory,
        controllers,
        accounts: yard::rights(accounts),
        revision,
        relay_settings,
        remembered,
        event_numbers,
        alarms: alarms.bell(),
    };
    let (yard, mut yard_ends) =
        yard::start(context, opened.journal).context("cannot start the yard")?;

    tasks.spawn(opened.drain.run(stopping.clone()));
    let leases = Leases::new(Arc::clone(&stores.config));
    let insides = Arc::new(Insides::new(
        yard.clone(),
        Arc::clone(&leases),
        Arc::clone(&telemetry),
        tasks.clone(),
        settings.ping_interval,
    ));
    integrations.start(&insides, &telemetry, &tasks, &stopping);
    let bell = Bell::default();
    let executor = Executor::new(
        Arc::clone(&stores.config),
        Arc::clone(&insides),
        Arc::clone(&telemetry),
        bell.clone(),
        stopping.clone(),
    );
    tasks.spawn(executor.run());
    let alarm_desk = alarms.desk(alarm_status.clone());
    alarms.start(
        (Arc::clone(&stores.config), alarm_status),
        Arc::clone(&insides),
        Arc::clone(&telemetry),
        opened.memory,
        (&tasks, &stopping),
    );
    if let Some(keeper) = history_keeper {
        // It ends by itself once the yard has.
        tasks.spawn(keeper.keep());
    }
    tasks.spawn(history::sweep(
        Arc::clone(&stores.config),
        Arc::clone(&telemetry),
        (opened.memory, settings.history_days),
        stopping.clone(),
    ));
    let greeter = Greeter {
        settings: Arc::clone(&settings),
        config: Arc::clone(&stores.config),
        door: Arc::clone(&door),
        yard: yard.clone(),
        leases,
    };
    let api = Api::new(
        Arc::clone(&telemetry),
        (insides, bell, alarm_desk),
        (greeter, stores.recent),
        tasks.clone(),
        stopping.clone(),
        nobodys_hash,
        setup,
    );
    let house = Arc::new(House {
        door: Arc::clone(&door),
        prover: Prover {
            settings: Arc::clone(&settings),
            config: stores.config,
            keyring,
            door,
            replays: Replays::default(),
            sent_back: Replays::default(),
            telemetry: Arc::clone(&telemetry),
        },
        telemetry,
        yard: yard.clone(),
        tasks: tasks.clone(),
        stopping: stopping.clone(),
        complaints: Throttle::new(COMPLAINTS_PER_MINUTE_MAX),
        refusals: Throttle::new(REFUSALS_PER_MINUTE_MAX),
        proxied: settings.proxy_protocol,
        proxies: settings.proxy_protocol_from.clone(),
    });
    // It waits for that, unless it has died, which is noticed below.
    let _ = door_keeper.send(Arc::clone(&house));
    if let Some(tls) = &tls {
        tasks.spawn(Arc::clone(tls).keep_up(stopping.clone()));
    }
    tasks.spawn(tell_of_life(
        supervisor.clone(),
        yard.clone(),
        stopping.clone(),
    ));
    let (drain_delay, shutdown_timeout) = (settings.drain_delay, settings.shutdown_timeout);
    let serving = http::Serving {
        router: http::router(Arc::clone(&api)),
        tls,
        settings,
        stopping: stopping.clone(),
    };
    let http_ends = tasks.spawn(Arc::clone(&house).accept_http(listeners.http, serving));
    drop(house);
    supervisor.ready();

    let ordered = async {
        shutdown.cancelled().await;
        supervisor.stopping(drain_delay + shutdown_timeout + ENDING);
        // Who asks learns it from now on, and everybody is served until they have had the time to ask.
        api.readiness.stop();
        if !drain_delay.is_zero() {
            tracing::info!(?drain_delay, "draining");
            tokio::time::sleep(drain_delay).await;
        }
    };
    let failure = tokio::select! {
        biased;
        () = ordered => None,
        ended = &mut yard_ends => Some(yard_failed(ended)),
        _ = door_ends => Some(anyhow::anyhow!("the door's thread panicked")),
        _ = http_ends => Some(anyhow::anyhow!("accepting HTTP connections panicked")),
    };
    stopping.cancel();
    if let Some(failure) = failure {
        return Err(failure);
    }
    tracing::info!("stopping");
    yard.shut_down().await;
    tasks.close();
    // The yard keeps its own time limit; this one is for what still hangs about outside it.
    let ended = yard_ends.await;
    if tokio::time::timeout(Duration::from_secs(1), tasks.wait())
        .await
        .is_err()
    {
        tracing::warn!(left = tasks.len(), "some requests did not end in time");
    }
    match ended {
        Ok(()) => {
            tracing::info!("stopped");
            Ok(())
        }
        panicked => Err(yard_failed(panicked)),
    }
}

/// What speaks with others than peers, ready to begin.
struct Integrations {
    bridge: Option<bridge::Bridge>,
    webhooks: webhook::Webhooks,
}

impl Integrations {
    /// Reads the files that they need.
    ///
    /// # Errors
    /// When one is not what it should be.
    async fn open(settings: &Arc<Settings>, identity: [u8; 16]) -> anyhow::Result<Self> {
        let settings = Arc::clone(settings);
        let opening = move || {
            let bridge = settings.mqtt.as_ref();
            let bridge = bridge.map(|mqtt| bridge::Bridge::open(mqtt, &identity));
            anyhow::Ok(Integrations {
                bridge: bridge.transpose()?,
                webhooks: webhook::Webhooks::open(&settings.webhooks)?,
            })
        };
        tokio::task::spawn_blocking(opening)
            .await
            .context("reading files of authorities panicked")?
    }

    fn start(
        self,
        insides: &Arc<Insides>,
        telemetry: &Telemetry,
        tasks: &TaskTracker,
        stopping: &CancellationToken,
    ) {
        if let Some(bridge) = self.bridge {
            bridge.start(Arc::clone(insides), &telemetry.mqtt, tasks, stopping);
        }
        self.webhooks
            .start(insides, &telemetry.webhooks, tasks, stopping);
    }
}

/// Tells the service manager that live sessions are served, as long as they are: one that waits in vain for
/// these words restarts the program.
async fn tell_of_life(supervisor: Supervisor, yard: YardHandle, stopping: CancellationToken) {
    let Some(interval) = supervisor.interval() else {
        return;
    };
    loop {
        let mut pause = interval;
        // A yard that hangs must not be spoken for. One that was only busy is asked again at once: by the
        // next interval the supervisor's patience would be over.
        let asked = tokio::time::timeout(interval, yard.report()).await;
        if !matches!(asked, Ok(Some(_))) {
            pause = interval.min(Duration::from_secs(1));
        }
        if let Ok(Some(report)) = asked {
            let gauges = &report.gauges;
            supervisor.alive(&format!(
                "serving {} of {} controllers, {} tools",
                gauges.controllers_online, gauges.controllers_known, gauges.tools_online
            ));
        }
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Starts the thread on which controllers come in. It waits for the house, and ends with it; the
/// second half tells when it has ended, by an error.
async fn start_door(
    noise: TcpListener,
    clear: Option<TcpListener>,
) -> std::io::Result<(oneshot::Sender<Arc<House>>, oneshot::Receiver<()>)> {
    let noise = noise.into_std()?;
    let clear = clear.map(TcpListener::into_std).transpose()?;
    // Here and not before, since a listener belongs to the runtime that it is made on.
    let open = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let entered = runtime.enter();
        let noise = TcpListener::from_std(noise)?;
        let clear = clear.map(TcpListener::from_std).transpose()?;
        drop(entered);
        std::io::Result::Ok((runtime, noise, clear))
    };
    let (house, moved_in) = oneshot::channel::<Arc<House>>();
    let (opened, is_open) = oneshot::channel();
    let (lives, ends) = oneshot::channel::<()>();
    std::thread::Builder::new()
        .name("door".into())
        .spawn(move || {
            // Dropped at the thread's end, however that comes.
            let _lives = lives;
            give_way(DOOR_NICENESS);
            let (runtime, noise, clear) = match open() {
                Ok(open) => open,
                Err(error) => return drop(opened.send(Err(error))),
            };
            // Whoever started this waits for it, or is gone with the house.
            let _ = opened.send(Ok(()));
            runtime.block_on(async {
                if let Ok(house) = moved_in.await {
                    let tasks = house.tasks.clone();
                    tasks.track_future(house.keep_door(noise, clear)).await;
                }
            });
        })?;
    let gone = |_| Err(std::io::Error::other("its thread ended at once"));
    is_open.await.unwrap_or_else(gone)?;
    Ok((house, ends))
}

fn yard_failed(ended: Result<(), oneshot::error::RecvError>) -> anyhow::Error {
    match ended {
        Ok(()) => anyhow::anyhow!("the yard ended by itself"),
        Err(_) => anyhow::anyhow!("the yard's thread panicked"),
    }
}

async fn all_controllers(config: &dyn ConfigStore) -> anyhow::Result<Vec<(ControllerEntry, Keys)>> {
    let mut all: Vec<(ControllerEntry, Keys)> = Vec::new();
    loop {
        let after = all
            .last()
            .map_or(Address::GATEWAY, |(last, _)| last.address);
        let page = config.controllers(after, CONTROLLERS_PER_PAGE).await;
        let page = page.context("cannot read the controllers")?;
        let is_last = page.len() < CONTROLLERS_PER_PAGE as usize;
        all.extend(page);
        if is_last {
            return Ok(all);
        }
    }
}

/// Lets the others have their turn now and then, however many come: accepting does not by itself.
async fn accepted(count: &mut usize) {
    *count += 1;
    if count.is_multiple_of(ACCEPTS_IN_A_ROW) {
        tokio::task::yield_now().await;
    }
}

impl House {
    /// The next connection; `None` when the gateway stops. Cancel-safe as accepting is.
    async fn accept(&self, listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
        loop {
            let accepted = tokio::select! {
                // First: who dials from now on is the next gateway's, where the listener outlives this one.
                biased;
                () = self.stopping.cancelled() => return None,
                // However many come: taking them is quick, and the queue that they wait in is short.
                accepted = tokio::task::unconstrained(listener.accept()) => accepted,
            };
            match accepted {
                Ok(accepted) => return Some(accepted),
                Err(error) => {
                    if self.complaints.pass((), Instant::now()) {
                        tracing::warn!(%error, "cannot accept a connection");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Says why somebody was refused, as often as that helps.
    fn tell_refusal(&self, peer: IpAddr, code: Code) {
        self.telemetry.count_refusal(code);
        if self.refusals.pass((), Instant::now()) {
            let reason = code.name();
            tracing::info!(%peer, reason, "connection refused; refusals are counted in the metrics");
        }
    }

    /// Accepts controllers by both links until the gateway stops.
    async fn keep_door(self: Arc<Self>, noise: TcpListener, clear: Option<TcpListener>) {
        let accept_clear = async {
            if let Some(clear) = clear {
                Arc::clone(&self).accept_controllers(clear, true).await;
            }
        };
        let accept_noise = Arc::clone(&self).accept_controllers(noise, false);
        tokio::join!(accept_noise, accept_clear);
    }

    async fn accept_controllers(self: Arc<Self>, listener: TcpListener, clear: bool) {
        let proxied = self.proxied.tcp() && !clear;
        let mut count = 0;
        while let Some((stream, peer)) = self.accept(&listener).await {
            accepted(&mut count).await;
            match self.door.admit(peer.ip()) {
                Ok(places) if proxied => {
                    let house = Arc::clone(&self);
                    self.hear_proxy((stream, peer, places), move |admitted| {
                        house.take_controller(admitted, false);
                    });
                }
                Ok(places) => self.take_controller((stream, peer, places), clear),
                Err(code) => self.turn_away(stream, peer.ip(), code),
            }
        }
    }

    /// Lets a controller prove itself, and hands it to the yard.
    fn take_controller(self: &Arc<Self>, (stream, peer, places): Admitted, clear: bool) {
        let house = Arc::clone(self);
        let (permit, pending) = places;
        let ip = peer.ip();
        let span = tracing::info_span!("handshake", %peer);
        let mut stream = stream;
        let proving = async move {
            let proven = tokio::select! {
                () = house.stopping.cancelled() => return,
                proven = house.prover.prove(&mut stream, ip, clear) => proven,
            };
            drop(pending);
            match proven {
                Ok(proven) => {
                    let (address, by_key) = (proven.address, proven.by_key);
                    tracing::debug!(%address, ?by_key, "controller proven");
                    house.yard.controller(stream, proven, ip, permit).await;
                }
                Err(refusal) => {
                    house.telemetry.count_refusal(refusal.code);
                    let (reason, address) = (refusal.code.name(), refusal.address);
                    tracing::info!(reason, %address, "controller refused");
                }
            }
        };
        self.tasks.spawn(proving.instrument(span));
    }

    async fn accept_http(self: Arc<Self>, listener: TcpListener, serving: http::Serving) {
        let mut count = 0;
        while let Some((stream, peer)) = self.accept(&listener).await {
            accepted(&mut count).await;
            match self.door.admit(peer.ip()) {
                Ok(places) if self.proxied.http() => {
                    let (house, serving) = (Arc::clone(&self), serving.clone());
                    self.hear_proxy((stream, peer, places), move |admitted| {
                        house.take_http(admitted, serving);
                    });
                }
                Ok(places) => self.take_http((stream, peer, places), serving.clone()),
                Err(code) => self.tell_refusal(peer.ip(), code),
            }
        }
    }

    fn take_http(&self, (stream, peer, places): Admitted, serving: http::Serving) {
        // A response is written whole; waiting for acknowledgements only slows it.
        let _ = stream.set_nodelay(true);
        self.tasks
            .spawn(http::serve_connection(serving, stream, peer, places));
    }

    /// Hears from a proxy whose connection this is, and goes on as if that client had dialled in. What is
    /// not a trusted proxy's gets no answer: whoever it is, it does not speak to us.
    fn hear_proxy(
        self: &Arc<Self>,
        (stream, proxy, (permit, pending)): Admitted,
        go_on: impl FnOnce(Admitted) + Send + 'static,
    ) {
        if !self.proxies.iter().any(|it| it.contains(proxy.ip())) {
            return self.tell_proxy_fault(proxy.ip(), ProxyFault::Untrusted);
        }
        let house = Arc::clone(self);
        self.tasks.spawn(async move {
            let told = tokio::select! {
                () = http::grace_ends(&house.stopping) => return,
                told = proxy::client_of(&stream, proxy) => told,
            };
            // It counts for the client from here on, and no longer for the proxy.
            drop(pending);
            match told.map(|client| (client, house.door.pend(client.ip()))) {
                Ok((client, Ok(pending))) => go_on((stream, client, (permit, pending))),
                Ok((client, Err(code))) => house.tell_refusal(client.ip(), code),
                Err(fault) => house.tell_proxy_fault(proxy.ip(), fault),
            }
        });
    }

    fn tell_proxy_fault(&self, peer: IpAddr, fault: ProxyFault) {
        self.telemetry.count_proxy_fault(fault);
        if self.refusals.pass((), Instant::now()) {
            let reason = fault.name();
            tracing::info!(%peer, reason, "no word of a trusted proxy; such are counted in the metrics");
        }
    }

    /// Refuses a connection without spending a task on it: one try to say why.
    fn turn_away(&self, stream: TcpStream, ip: IpAddr, code: Code) {
        self.tell_refusal(ip, code);
        let message = ErrorMessage { code, detail: None }.encode();
        let (gateway, nobody) = (Address::GATEWAY, Address::GATEWAY);
        let frame = Frame::new(Kind::Error, 0, gateway, nobody, &message);
        if let Ok(mut stream) = stream.into_std() {
            // A fresh socket has room for it; if not, the peer learns it by the close.
            let _ = stream.write(frame.bytes());
        }
    }
}
