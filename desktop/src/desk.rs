//! One person at one gateway: logging in and out, the client that keeps the link, and the pump that turns what the
//! client says into news for the window. Knows nothing of Tauri, so a test runs it without a window.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use switchyard_client::{
    ApiCall as ClientCall, Client, Credentials, Error as ClientError, Event, Events, FirstAccount,
    GatewayUrl, Interest, LinkState as ClientLink, LogIn, Options, Order, Receipts, Token,
    call_api, is_setup_needed, log_in, log_out, set_up,
};
use switchyard_flasher::Gateway;
use switchyard_protocol::{
    Address, Code, SiteId,
    message::{self, Key, Name, PeerKind, Text, Title},
};
use tokio::{task::JoinHandle, time::Instant};

use crate::{
    AlarmCount, Fault,
    board::Bench,
    dto::{
        Action, ApiAnswer, ApiCall, BoardOrder, BoardState, Command, Description, FleetChange,
        FleetSnapshot, Identity, LinkState, LinkStatus, Note, Session, sixteen_bytes,
    },
    events::{BATCH_INTERVAL, Batch, News, Window},
    settings::{KeptLogIn, Settings},
};

/// What this program says of itself in its hello.
const SOFTWARE: &str = concat!("Switchyard desktop ", env!("CARGO_PKG_VERSION"));
/// How long a start waits for the link, so that the first screen shows it live; a gateway that is slower than this is
/// dialled on in the background.
const FIRST_LINK_PATIENCE: Duration = Duration::from_secs(1);
/// How long logging out waits for the gateway to revoke the token.
const LOG_OUT_PATIENCE: Duration = Duration::from_secs(3);

/// All that the page's commands act on.
pub struct Desk {
    shared: Arc<Shared>,
    /// Held while somebody logs in or out, so that two of these never mix.
    changing: tokio::sync::Mutex<()>,
    bench: Bench,
}

struct Shared {
    window: Arc<dyn Window>,
    heading: Mutex<Heading>,
    settings: Mutex<Settings>,
    dialled: Mutex<Option<Dialled>>,
}

/// What stands in the window's title bar.
#[derive(Default)]
struct Heading {
    title: String,
    /// Alarms that nobody has acknowledged, as the page counts them.
    alarms: AlarmCount,
}

impl Heading {
    fn text(&self) -> String {
        match self.alarms.count {
            0 => self.title.clone(),
            count => format!("({count}) {}", self.title),
        }
    }
}

/// A gateway with somebody logged in.
struct Dialled {
    client: Client,
    gateway: GatewayUrl,
    log_in: KeptLogIn,
    pump: JoinHandle<()>,
}

impl Desk {
    /// With nobody logged in yet; [`session`](Self::session) brings back who was.
    pub fn new(settings: Settings, window: Box<dyn Window>) -> Self {
        let settings = Mutex::new(settings);
        let shared = Shared {
            window: window.into(),
            heading: Mutex::default(),
            settings,
            dialled: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
            changing: tokio::sync::Mutex::default(),
            bench: Bench::default(),
        }
    }

    /// Who is logged in. The first call dials for whoever was when the program ended.
    pub async fn session(&self) -> Option<Session> {
        let _changing = self.changing.lock().await;
        if self.shared.session().is_none() {
            let kept = lock(&self.shared.settings).log_in()?;
            let gateway = kept.gateway.parse().ok()?;
            let client = self.dial(gateway, kept);
            // How it turned out is told by the link's own news.
            let _ = tokio::time::timeout(FIRST_LINK_PATIENCE, client.live()).await;
        }
        self.shared.session()
    }

    /// Logs in, and keeps the token for the next start.
    ///
    /// # Errors
    /// What the gateway answered (`bad_credentials`, `code_needed`, `rate_limited`), `gateway_gone`, `bad_url`, or what
    /// ended the first link for good. Whoever was logged in before is logged out only once the new log-in has succeeded.
    pub async fn log_in(
        &self,
        gateway: &str,
        credentials: &Credentials<'_>,
    ) -> Result<Session, Fault> {
        let gateway: GatewayUrl = gateway.trim().parse()?;
        let _changing = self.changing.lock().await;
        let answer = log_in(&gateway, credentials).await?;
        self.take_up(gateway, answer).await
    }

    /// Whether a gateway has no account yet.
    ///
    /// # Errors
    /// As [`log_in`](Self::log_in).
    pub async fn is_setup_needed(&self, gateway: &str) -> Result<bool, Fault> {
        Ok(is_setup_needed(&gateway.trim().parse()?).await?)
    }

    /// Makes a gateway's first account, and is logged in as it like by [`log_in`](Self::log_in).
    ///
    /// # Errors
    /// What the gateway answered (`bad_setup_code`, `already_set_up`, `bad_request`), or as [`log_in`](Self::log_in).
    pub async fn set_up(&self, gateway: &str, first: &FirstAccount<'_>) -> Result<Session, Fault> {
        let gateway: GatewayUrl = gateway.trim().parse()?;
        let _changing = self.changing.lock().await;
        let answer = set_up(&gateway, first).await?;
        self.take_up(gateway, answer).await
    }

    /// Goes on as whoever the gateway has just let in.
    async fn take_up(&self, gateway: GatewayUrl, answer: LogIn) -> Result<Session, Fault> {
        let kept = KeptLogIn {
            gateway: gateway.to_string(),
            account: answer.account,
            role: answer.role.map_or(1, |role| role as u8),
            token: answer.token,
        };
        // A board that is worked on needs the log-in that it was begun with, to take back what was enrolled for it.
        self.bench.finish().await;
        self.shared.hang_up().await;
        self.shared.keep(Some(&kept));
        let client = self.dial(gateway, kept);
        match client.live().await {
            Err(error) if error.is_lasting() => Err(error.into()),
            // Anything else is dialled on, and told as it goes.
            _ => self.shared.session().ok_or_else(Fault::not_logged_in),
        }
    }

    /// Forgets the log-in here at once, and asks the gateway to revoke its token.
    ///
    /// # Errors
    /// `settings_unavailable` when the token could not be taken off the disk. A gateway that cannot be reached is no
    /// failure: the person is logged out here all the same, and the token ends with its own time.
    pub async fn log_out(&self) -> Result<(), Fault> {
        let _changing = self.changing.lock().await;
        self.bench.finish().await;
        let forgotten = lock(&self.shared.settings).keep_log_in(None);
        if let Some((gateway, token)) = self.shared.hang_up().await {
            let revoked = tokio::time::timeout(LOG_OUT_PATIENCE, log_out(&gateway, &token)).await;
            match revoked {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "could not revoke the token"),
                Err(_) => tracing::warn!("the gateway did not revoke the token in time"),
            }
        }
        Ok(forgotten?)
    }

    /// How the link stands.
    pub fn link(&self) -> LinkStatus {
        let client = self.shared.client();
        client.map_or(LinkStatus::CLOSED, |client| {
            link_status(&client.link_state())
        })
    }

    /// The fleet as it is now; empty with nobody logged in.
    pub fn fleet(&self) -> FleetSnapshot {
        let client = self.shared.client();
        client
            .map(|client| (&*client.fleet()).into())
            .unwrap_or_default()
    }

    /// Sends a command. What becomes of it is told by receipts.
    ///
    /// # Errors
    /// `bad_field` for what no frame can hold, `gateway_gone` without a link, `busy` with too many commands open.
    pub async fn send_command(&self, command: Command) -> Result<(), Fault> {
        let order = order(command)?;
        let receipts = self.dialled()?.send(order).await?;
        tokio::spawn(pass_receipts(receipts, self.shared.clone()));
        Ok(())
    }

    /// A controller's behaviour and commands.
    ///
    /// # Errors
    /// What the other side answered, or `timed_out`.
    pub async fn describe(&self, address: u32) -> Result<Description, Fault> {
        let (behaviour, commands) = self.dialled()?.describe(Address(address)).await?;
        let commands = commands.iter().map(ToString::to_string).collect();
        Ok(Description {
            behaviour: behaviour.to_string(),
            commands,
        })
    }

    /// Who is at an address.
    ///
    /// # Errors
    /// What the other side answered, or `timed_out`.
    pub async fn identify(&self, address: u32) -> Result<Identity, Fault> {
        let (title, software, kind) = self.dialled()?.identify(Address(address)).await?;
        let (title, software) = (title.to_string(), software.to_string());
        Ok(Identity {
            title,
            software,
            peer_kind: kind as u8,
        })
    }

    /// Whose an address is by the gateway's word: a controller's name, or the account of a tool.
    ///
    /// # Errors
    /// What the gateway answered, or `timed_out`.
    pub async fn holder(&self, address: u32) -> Result<String, Fault> {
        let (.., title) = self.dialled()?.lookup(Address(address)).await?;
        Ok(title.to_string())
    }

    /// Sends a word to another tool.
    ///
    /// # Errors
    /// `bad_field` for an empty or too long one, `gateway_gone` without a link.
    pub async fn send_note(&self, address: u32, text: &str) -> Result<(), Fault> {
        let text = Text::new(text).map_err(Fault::bad_field)?;
        Ok(self.dialled()?.note(Address(address), text).await?)
    }

    /// Asks the gateway's HTTP API, as whoever is logged in.
    ///
    /// # Errors
    /// `not_logged_in`, what the gateway answered, `gateway_gone`, `timed_out`, or `bad_path` for what is not of the API.
    pub async fn api(&self, call: ApiCall) -> Result<ApiAnswer, Fault> {
        let (gateway, token) = {
            let dialled = lock(&self.shared.dialled);
            let dialled = dialled.as_ref().ok_or_else(Fault::not_logged_in)?;
            (dialled.gateway.clone(), dialled.log_in.token.clone())
        };
        let path = format!("/{}", call.path);
        let asked = ClientCall {
            method: call.method.into(),
            path: &path,
            body: (!call.body.is_null()).then(|| call.body.to_string()),
            wait: Duration::from_millis(call.wait_ms.into()),
        };
        let answer = call_api(&gateway, &token, asked).await?;
        let body = match answer.body.is_empty() {
            true => serde_json::Value::Null,
            false => serde_json::from_slice(&answer.body)
                .map_err(|error| Fault::new("not_a_gateway", error.to_string()))?,
        };
        let status = answer.status;
        Ok(ApiAnswer { status, body })
    }

    /// Shows how many alarms nobody has acknowledged: in the window's title, and on its icon and in the tray where the
    /// desktop has them.
    pub fn count_alarms(&self, alarms: AlarmCount) {
        let text = {
            let mut heading = lock(&self.shared.heading);
            if heading.alarms == alarms {
                return;
            }
            heading.alarms = alarms;
            heading.text()
        };
        self.shared.window.entitle(&text);
        self.shared.window.badge(alarms);
    }

    /// Begins to make a controller of a board. How far it is comes as news.
    ///
    /// # Errors
    /// `not_logged_in`, `board_busy` while another one is worked on, `off_mains_needed` where mains could kill and nobody
    /// has said that the board is not on them, `bad_field` for what cannot be right.
    pub async fn install_board(&self, order: BoardOrder) -> Result<(), Fault> {
        // Nobody logs out between the log-in's being lent and the work's beginning.
        let _changing = self.changing.lock().await;
        let gateway = {
            let dialled = lock(&self.shared.dialled);
            let dialled = dialled.as_ref().ok_or_else(Fault::not_logged_in)?;
            Gateway::new(
                dialled.client.clone(),
                (dialled.gateway.clone(), dialled.log_in.token.clone()),
                order.site.map(SiteId),
                tokio::runtime::Handle::current(),
            )
        };
        let window = Arc::clone(&self.shared.window);
        self.bench.begin(order, gateway, window)
    }

    /// How far the board on the bench is, or how the last one ended.
    pub fn board(&self) -> Option<BoardState> {
        self.bench.state()
    }

    /// Stops the work on a board where that does no harm; what was enrolled for it is taken back.
    pub fn stop_board(&self) {
        self.bench.stop();
    }

    /// The same, and waits until it has stopped.
    pub async fn finish_board(&self) {
        self.bench.finish().await;
    }

    fn dialled(&self) -> Result<Client, Fault> {
        self.shared.client().ok_or_else(Fault::not_logged_in)
    }

    /// Dials, and sets the pump going before the first event can be missed.
    fn dial(&self, gateway: GatewayUrl, log_in: KeptLogIn) -> Client {
        let installation = lock(&self.shared.settings).installation(&gateway.authority());
        let client = Client::connect(Options {
            gateway: gateway.clone(),
            token: log_in.token.clone(),
            installation: installation
                .inspect_err(|error| tracing::warn!(%error, "goes by a leased address"))
                .ok(),
            software: title(SOFTWARE),
            title: title(&log_in.account),
            peer_kind: PeerKind::Desktop,
            interest: Interest::Everything,
        });
        let events = client.events();
        let pump = Pump::new(self.shared.clone(), client.clone(), gateway.clone());
        let mut dialled = lock(&self.shared.dialled);
        let pump = tokio::spawn(pump.run(events));
        *dialled = Some(Dialled {
            client: client.clone(),
            gateway,
            log_in,
            pump,
        });
        client
    }
}

impl Drop for Desk {
    /// The pump would go on without it, and keep the settings locked.
    fn drop(&mut self) {
        if let Some(dialled) = lock(&self.shared.dialled).take() {
            dialled.pump.abort();
        }
    }
}

impl Shared {
    fn entitle(&self, title: String) {
        let text = {
            let mut heading = lock(&self.heading);
            heading.title = title;
            heading.text()
        };
        self.window.entitle(&text);
    }

    fn client(&self) -> Option<Client> {
        lock(&self.dialled)
            .as_ref()
            .map(|dialled| dialled.client.clone())
    }

    fn session(&self) -> Option<Session> {
        let dialled = lock(&self.dialled);
        let Dialled {
            client,
            gateway,
            log_in,
            ..
        } = dialled.as_ref()?;
        let gateway = gateway.authority();
        Some(match client.link_state().session() {
            Some(live) => Session {
                account: live.account.to_string(),
                role: live.role as u8,
                address: Some(live.address.0),
                gateway,
            },
            None => Session {
                account: log_in.account.clone(),
                role: log_in.role,
                address: None,
                gateway,
            },
        })
    }

    /// Ends the link in order, and gives what the gateway should revoke.
    async fn hang_up(&self) -> Option<(GatewayUrl, Token)> {
        let Dialled {
            client,
            gateway,
            log_in,
            pump,
        } = lock(&self.dialled).take()?;
        client.close().await;
        // It ends with the client; its last news are out before anything new begins.
        let _ = pump.await;
        Some((gateway, log_in.token))
    }

    /// A log-in that cannot be kept is good until the program ends: not worth refusing it.
    fn keep(&self, log_in: Option<&KeptLogIn>) {
        if let Err(error) = lock(&self.settings).keep_log_in(log_in) {
            tracing::warn!(%error, "could not keep the log-in for the next start");
        }
    }
}

/// Turns a client's events into news, until the client is closed.
struct Pump {
    shared: Arc<Shared>,
    client: Client,
    gateway: GatewayUrl,
    batch: Batch,
    next_batch: Instant,
    /// Whom the page was told of, for what happens after [`Event::Missed`].
    told: BTreeSet<u32>,
    /// What the page was told of the link last, since the same may be heard twice.
    link_told: Option<(LinkStatus, Option<Session>)>,
}

impl Pump {
    fn new(shared: Arc<Shared>, client: Client, gateway: GatewayUrl) -> Self {
        Self {
            shared,
            client,
            gateway,
            batch: Batch::default(),
            next_batch: Instant::now(),
            told: BTreeSet::new(),
            link_told: None,
        }
    }

    async fn run(mut self, mut events: Events) {
        self.link_changed(&ClientLink::Connecting);
        // What happened before there was a listener.
        let mut state = self.client.link_state();
        loop {
            if self.link_changed(&state) {
                return;
            }
            state = loop {
                let due = tokio::time::sleep_until(self.next_batch);
                tokio::select! {
                    biased;
                    () = due, if !self.batch.is_empty() => self.flush(),
                    event = events.next() => match event {
                        None => break ClientLink::Closed { why: Arc::new(ClientError::Closed) },
                        Some(Event::Link(state)) => break state,
                        Some(Event::Fleet { changes, .. }) => self.fleet_changed(&changes),
                        Some(Event::Note { from, text }) => self.note(from, &text),
                        // The page shows none of them yet.
                        Some(Event::Happened { .. }) => {}
                        Some(Event::Missed) => {
                            self.begin_anew();
                            break self.client.link_state();
                        }
                    },
                }
            };
        }
    }

    fn flush(&mut self) {
        self.shared.window.tell(News::Fleet(self.batch.take()));
        self.next_batch = Instant::now() + BATCH_INTERVAL;
    }

    fn fleet_changed(&mut self, changes: &[switchyard_client::FleetChange]) {
        for change in changes {
            let change = FleetChange::from(change);
            match &change {
                FleetChange::Controller { controller } => _ = self.told.insert(controller.address),
                FleetChange::Gone { address } => _ = self.told.remove(address),
                FleetChange::Points { .. } | FleetChange::Synced { .. } => {}
            }
            self.batch.add(change);
        }
    }

    /// Events were lost because this machine was too slow: the fleet's mirror has them all.
    fn begin_anew(&mut self) {
        tracing::warn!("events were missed; telling the page of the whole fleet");
        self.batch.clear();
        let FleetSnapshot {
            synced,
            controllers,
        } = (&*self.client.fleet()).into();
        let present: BTreeSet<u32> = controllers.iter().map(|it| it.address).collect();
        for &address in self.told.difference(&present) {
            self.batch.add(FleetChange::Gone { address });
        }
        let count = u32::try_from(controllers.len()).unwrap_or(u32::MAX);
        for controller in controllers {
            self.batch.add(FleetChange::Controller { controller });
        }
        if synced {
            self.batch.add(FleetChange::Synced { count });
        }
        self.told = present;
    }

    fn note(&self, from: Address, text: &Text) {
        let note = Note {
            from: from.0,
            text: text.to_string(),
            at: now_ms(),
        };
        self.shared.window.tell(News::Note(note));
    }

    /// Tells of the link; whether that was its end.
    fn link_changed(&mut self, state: &ClientLink) -> bool {
        if !self.batch.is_empty() {
            // What was seen before the link changed is told before it.
            self.flush();
        }
        let window = &self.shared.window;
        let link = link_status(state);
        let session = self
            .shared
            .session()
            .filter(|_| link.state == LinkState::Live);
        let news = (link, session);
        if self.link_told.as_ref() != Some(&news) {
            let (link, session) = news.clone();
            self.link_told = Some(news);
            self.shared.entitle(window_title(&self.gateway, state));
            // Before the link, so that a page that sees it live knows its own address.
            if session.is_some() {
                window.tell(News::Session(session));
            }
            window.tell(News::Link(link));
        }
        let ClientLink::Closed { why } = state else {
            return false;
        };
        if !matches!(**why, ClientError::Closed) {
            self.ended_by_the_gateway(why);
        }
        true
    }

    /// The gateway wants no more of this log-in. One that is worthless now is forgotten.
    fn ended_by_the_gateway(&self, why: &ClientError) {
        tracing::info!(%why, "logged out by the gateway");
        *lock(&self.shared.dialled) = None;
        let is_worthless = matches!(why.protocol_code(), Some(Code::BadToken | Code::Revoked))
            || matches!(why.code(), "not_logged_in" | "bad_credentials");
        if is_worthless {
            self.shared.keep(None);
        }
        self.shared.window.tell(News::Session(None));
    }
}

async fn pass_receipts(mut receipts: Receipts, shared: Arc<Shared>) {
    while let Some(receipt) = receipts.next().await {
        shared.window.tell(News::Receipt(receipt.into()));
    }
}

fn order(command: Command) -> Result<Order, Fault> {
    let expected = "expected a key of 32 hex digits";
    let key = sixteen_bytes(&command.key).ok_or_else(|| Fault::bad_field(expected))?;
    let name = |name: &str| Name::new(name).map_err(Fault::bad_field);
    let action = match command.action {
        Action::Set { point, value } => message::Action::Set {
            point: name(&point)?,
            value,
        },
        Action::Call { command, arguments } => message::Action::Call {
            command: name(&command)?,
            arguments,
        },
    };
    Ok(Order {
        key: Key(key),
        address: Address(command.address),
        action,
        expires_in: Duration::from_millis(command.expires_in_ms),
        wait: command.wait,
    })
}

fn link_status(link: &ClientLink) -> LinkStatus {
    let (state, retry_at, why) = match link {
        ClientLink::Connecting => (LinkState::Connecting, None, None),
        ClientLink::Live(_) => (LinkState::Live, None, None),
        ClientLink::Waiting { retry_at, why } => (LinkState::Waiting, Some(*retry_at), Some(why)),
        ClientLink::Closed { why } => (LinkState::Closed, None, Some(why)),
    };
    let wait = retry_at.map(|at| at.saturating_duration_since(Instant::now()).as_millis());
    LinkStatus {
        state,
        retry_in_ms: wait.map(|ms| u64::try_from(ms).unwrap_or(u64::MAX)),
        code: why.and_then(|why| why.protocol_code()).map(Code::number),
    }
}

/// What stands in the title bar and in the task list: where one is, and whether what is shown is so.
fn window_title(gateway: &GatewayUrl, state: &ClientLink) -> String {
    let gateway = gateway.authority();
    match state {
        ClientLink::Connecting => format!("{gateway} – connecting – {NAME}"),
        ClientLink::Live(session) => format!("{gateway} – {} – {NAME}", session.account),
        ClientLink::Waiting { .. } => format!("{gateway} – not connected – {NAME}"),
        ClientLink::Closed { .. } => NAME.to_owned(),
    }
}

const NAME: &str = "Switchyard";

/// As much of a text as a title may hold; an account's name is one in all likelihood.
fn title(text: &str) -> Title {
    let clean: String = text
        .chars()
        .filter(|character| !character.is_control())
        .collect();
    let mut end = clean
        .len()
        .min(switchyard_protocol::limits::TITLE_BYTES_MAX);
    while !clean.is_char_boundary(end) {
        end -= 1;
    }
    // Only an empty one is left to be refused.
    Title::new(&clean[..end]).unwrap_or_else(|_| desktop_title())
}

#[expect(clippy::expect_used, reason = "a constant that a test reads")]
fn desktop_title() -> Title {
    Title::new("desktop").expect("a title")
}

fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// These are held for a few assignments, or one small file's writing, and never across an await. One poisoned by a
/// panic still holds what it held: each assignment leaves it whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
