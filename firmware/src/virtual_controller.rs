//! A controller on tokio: the core, a socket and a simulated plant, in one task.

use std::{
    fmt,
    fs::File,
    future::Future,
    io::{self, Write as _},
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use switchyard_protocol::{Address, message::Key};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    Action, Channel, Controller, Flash, HttpSockets, LinkState, Plant, PlantSettings, Settings,
    SettingsError,
    serial::{Cable, Serial},
};

/// What a virtual controller is started with.
#[derive(Debug)]
pub struct Options {
    /// Who it is. `gateways` is set from the list below.
    pub settings: Settings,
    /// `HOST:PORT`, two at most; none: it lives by itself until its page names one.
    pub gateways: Vec<String>,
    /// What is wired to it.
    pub plant: PlantSettings,
    /// What a real board would have in its flash; `None`: it keeps nothing, and is smaller.
    pub flash: Option<Flash>,
    /// Where its own page and API are served; needs flash.
    pub http: Option<TcpListener>,
    /// Its serial line, and the networks around it; needs flash.
    pub serial: Option<Serial>,
    /// Told the address at each start of a live session. Never waited for: give it room.
    pub live: Option<mpsc::Sender<Address>>,
    /// Where every executed command is written down; `None` writes nothing.
    pub executions: Option<Executions>,
    /// How long it waits at most before it dials again; `None`: as a board does.
    pub redial_within: Option<Duration>,
}

/// A file that takes a line `ADDRESS KEY TIME` for every command that a controller has executed, in
/// milliseconds since 1970. Many controllers may share one.
#[derive(Clone, Debug)]
pub struct Executions(Arc<Mutex<File>>);

impl Executions {
    /// Writes at the end of a file, made where there is none.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn append_to(path: &Path) -> io::Result<Self> {
        let file = File::options().create(true).append(true).open(path)?;
        Ok(Executions(Arc::new(Mutex::new(file))))
    }

    fn note(&self, address: Address, key: Key) -> io::Result<()> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let time = since.unwrap_or_default().as_millis();
        let line = format!("{address} {key} {time}\n");
        // A line is one write: nobody reads half of it.
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(line.as_bytes())
    }
}

/// What can be seen of a virtual controller from outside its link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// How the link stands.
    pub link: LinkState,
    /// Sessions that have been live, the present one included.
    pub sessions: u32,
    /// Commands executed since the start.
    pub executed: u32,
    /// This start's boot id.
    pub boot_id: u32,
    /// Sequence of the last status delta.
    pub sequence: u32,
    values: [i32; Channel::ALL.len()],
}

impl View {
    /// The value of an input or output: 0 or 1, or thousandths.
    pub fn value(&self, channel: Channel) -> i32 {
        self.values[channel as usize]
    }
}

/// What the handle asks of the task.
#[derive(Debug)]
enum Hook {
    Input(Channel, i32),
    Sensor(Option<i32>),
    StickFeedback(bool),
    Reading(bool),
    Forge(Address),
    Cut,
    Button(bool),
}

/// A few hooks wait while the task is busy; a test that sends more waits too.
const HOOKS_MAX: usize = 8;

/// A running virtual controller. Dropping it stops it, as a power cut would.
pub struct VirtualController {
    address: Address,
    hooks: mpsc::Sender<Hook>,
    view: watch::Receiver<View>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl VirtualController {
    /// Starts one on the current tokio runtime.
    pub fn spawn(options: Options) -> Result<Self, SettingsError> {
        let mut settings = options.settings;
        settings.gateways = u8::try_from(options.gateways.len()).map_err(|_| SettingsError)?;
        let address = settings.address;
        let has_gateway = !options.gateways.is_empty();
        let mut controller = match options.flash {
            Some(flash) => Controller::with_flash(settings, flash, Duration::ZERO)?,
            None => Controller::new(settings, Duration::ZERO)?,
        };
        let serial = Cable::of(options.serial, &mut controller, has_gateway)?;
        // What was set up before holds, and not what it is started with.
        let address = controller.enrolled().unwrap_or(address);
        let plant = Plant::new(options.plant, Duration::ZERO);
        let (view_sender, view) = watch::channel(view_of(&controller, 0));
        let (hooks, hook_receiver) = mpsc::channel(HOOKS_MAX);
        let stop = CancellationToken::new();
        let driver = Driver {
            address,
            plant,
            started: Instant::now(),
            gateways: options.gateways,
            link: Link::Down,
            pending: Vec::new(),
            written: 0,
            reading: true,
            sessions: 0,
            live: false,
            http: Http::of(options.http, &controller),
            serial,
            tell_live: options.live,
            executions: options.executions,
            redial_within: options.redial_within,
            noted: Noted::default(),
            view: view_sender,
            controller,
        };
        let task = tokio::spawn(driver.run(hook_receiver, stop.clone()));
        Ok(Self {
            address,
            hooks,
            view,
            stop,
            task,
        })
    }

    /// Its number.
    pub fn address(&self) -> Address {
        self.address
    }

    /// What is to be seen now.
    pub fn view(&self) -> View {
        *self.view.borrow()
    }

    /// Waits until the view is as wanted, and returns it; `None` if the controller stopped first.
    /// Cancel-safe.
    pub async fn wait_for(&self, wanted: impl FnMut(&View) -> bool) -> Option<View> {
        self.view
            .clone()
            .wait_for(wanted)
            .await
            .ok()
            .map(|view| *view)
    }

    /// Waits until the link is live.
    pub async fn wait_live(&self) -> Option<View> {
        self.wait_for(|view| view.link == LinkState::Live).await
    }

    /// Puts a value on an input; the plant's own wiring may move DI2 and AI0 again.
    pub async fn set_input(&self, channel: Channel, value: i32) {
        self.hook(Hook::Input(channel, value)).await;
    }

    /// Puts a value on AI0 in place of AO1's, such as one no sensor can give; `None` ends that.
    pub async fn set_sensor(&self, value: Option<i32>) {
        self.hook(Hook::Sensor(value)).await;
    }

    /// Blocks RL1's feedback DI2, or frees it.
    pub async fn stick_feedback(&self, stuck: bool) {
        self.hook(Hook::StickFeedback(stuck)).await;
    }

    /// Fault: stops reading from the socket, or reads again.
    pub async fn set_reading(&self, reading: bool) {
        self.hook(Hook::Reading(reading)).await;
    }

    /// Fault: frames bear this source until the link ends.
    pub async fn forge_source(&self, source: Address) {
        self.hook(Hook::Forge(source)).await;
    }

    /// Fault: the socket is cut; the controller notices and dials again after its back-off.
    pub async fn cut(&self) {
        self.hook(Hook::Cut).await;
    }

    /// Presses the board's button, or lets it go.
    pub async fn press_button(&self, is_pressed: bool) {
        self.hook(Hook::Button(is_pressed)).await;
    }

    /// Stops it and waits until its socket is closed.
    pub async fn stop(mut self) {
        self.stop.cancel();
        // It only ends in an error if it panicked, which has been reported by then.
        let _ = (&mut self.task).await;
    }

    async fn hook(&self, hook: Hook) {
        // Nobody to ask any more: it has stopped, and so is as asked.
        let _ = self.hooks.send(hook).await;
    }
}

impl Drop for VirtualController {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl fmt::Debug for VirtualController {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VirtualController")
            .field("address", &self.address)
            .field("view", &self.view())
            .finish_non_exhaustive()
    }
}

fn view_of(controller: &Controller, sessions: u32) -> View {
    View {
        link: controller.link_state(),
        sessions,
        executed: controller.executed(),
        boot_id: controller.boot_id(),
        sequence: controller.sequence(),
        values: Channel::ALL.map(|channel| {
            if channel.is_output() {
                controller.output(channel)
            } else {
                controller.input(channel)
            }
        }),
    }
}

/// The earlier of two moments, where there is one.
fn earliest(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    a.into_iter().chain(b).min()
}

type Dial = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

enum Link {
    Down,
    Dialling(Dial),
    Up(TcpStream),
}

/// What woke the task.
enum Wake {
    Stop,
    Hook(Hook),
    Dialled(io::Result<TcpStream>),
    Ready,
    Http,
    Serial(Option<Vec<u8>>),
    Time,
}

/// Bytes read from the socket in one go; on the stack of a plain function, so that idle
/// controllers hold none.
const READ_BYTES: usize = 4096;
/// Reads before others get their turn.
const READS_MAX: usize = 8;

/// What of a controller's commands is written down.
#[derive(Debug, Default)]
struct Noted {
    /// How many the core had executed then.
    executed: u32,
    /// The serials of those that are still among its outcomes.
    serials: Vec<u32>,
}

struct Driver {
    address: Address,
    /// Before the controller, whose functions it calls: fields are dropped in this order.
    http: Http,
    serial: Cable,
    controller: Controller,
    plant: Plant,
    started: Instant,
    gateways: Vec<String>,
    link: Link,
    /// Taken from the core, not yet by the socket.
    pending: Vec<u8>,
    written: usize,
    reading: bool,
    sessions: u32,
    live: bool,
    tell_live: Option<mpsc::Sender<Address>>,
    executions: Option<Executions>,
    redial_within: Option<Duration>,
    noted: Noted,
    view: watch::Sender<View>,
}

impl Driver {
    async fn run(mut self, mut hooks: mpsc::Receiver<Hook>, stop: CancellationToken) {
        loop {
            let wake_at = self.started + self.advance();
            let wake = tokio::select! {
                biased;
                () = stop.cancelled() => Wake::Stop,
                hook = hooks.recv() => hook.map_or(Wake::Stop, Wake::Hook),
                wake = self.link.wait(self.reading, !self.pending.is_empty()) => wake,
                () = self.http.ready() => Wake::Http,
                bytes = self.serial.ready() => Wake::Serial(bytes),
                () = tokio::time::sleep_until(wake_at) => Wake::Time,
            };
            match wake {
                Wake::Stop => break,
                Wake::Hook(hook) => self.take_hook(hook),
                Wake::Dialled(Ok(stream)) => {
                    // Small records must not wait for each other; failing that, they are late.
                    let _ = stream.set_nodelay(true);
                    self.link = Link::Up(stream);
                    self.controller.connected(self.now());
                }
                Wake::Dialled(Err(error)) => {
                    tracing::debug!(address = self.address.0, %error, "dialling failed");
                    self.lose();
                }
                Wake::Ready => self.read(),
                Wake::Serial(Some(bytes)) => {
                    self.controller
                        .receive_serial(&bytes, self.started.elapsed());
                }
                // The cable was its power.
                Wake::Serial(None) => break,
                Wake::Http | Wake::Time => {}
            }
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Brings plant, core, socket and view up to now. Returns when to do so again.
    fn advance(&mut self) -> Duration {
        self.tell_time();
        loop {
            let now = self.now();
            self.plant.advance(&mut self.controller, now);
            self.controller.poll(now);
            // Before anybody is told of it.
            self.note_executions();
            self.write();
            if self.act() {
                continue;
            }
            // The scan may have moved the plant, and the plant an input.
            let plant_at = self.plant.advance(&mut self.controller, now);
            let wake_at = now + self.controller.poll(now);
            self.note_executions();
            self.write();
            if self.act() {
                continue;
            }
            // What is answered to be kept is in the file by then.
            self.save();
            // Answering somebody may have made work for the core.
            let served_at = earliest(self.http.advance(now), self.advance_serial(now));
            let wake_at = served_at.map_or(wake_at, |at| at.min(now + self.controller.poll(now)));
            self.note_executions();
            self.write();
            self.keep();
            if self.act() {
                continue;
            }
            self.publish();
            return plant_at.map_or(wake_at, |at| at.min(wake_at));
        }
    }

    /// A controller without a gateway has the time from elsewhere: a chip by SNTP, this one of its host.
    fn tell_time(&mut self) {
        if self.gateways.is_empty() && self.controller.gateway(0).is_none() {
            self.controller.tell_time(SystemTime::now(), self.now());
        }
    }

    /// Writes down the commands that have been executed since it last looked.
    fn note_executions(&mut self) {
        let executed = self.controller.executed();
        let Some(executions) = &self.executions else {
            return;
        };
        if executed == self.noted.executed {
            return;
        }
        let mut latest: Vec<_> = self.controller.executed_keys().collect();
        latest.sort_unstable();
        for (serial, key) in &latest {
            if !self.noted.serials.contains(serial)
                && let Err(error) = executions.note(self.address, *key)
            {
                tracing::error!(address = self.address.0, %error, "could not write down a command");
            }
        }
        self.noted = Noted {
            executed,
            serials: latest.into_iter().map(|(serial, _)| serial).collect(),
        };
    }

    /// Writes down what the flash has taken.
    fn save(&mut self) {
        if let Err(error) = self.controller.save_flash() {
            tracing::error!(address = self.address.0, %error, "could not write the flash's file");
        }
    }

    /// The same, and restarts if that was asked for.
    fn keep(&mut self) {
        self.save();
        if self.controller.wants_restart() {
            tracing::info!(address = self.address.0, "restarting");
            self.link = Link::Down;
            self.pending = Vec::new();
            self.written = 0;
            let now = self.started.elapsed();
            self.controller.restart(now);
            self.address = self.controller.enrolled().unwrap_or(self.address);
            self.noted = Noted::default();
            self.http.restart(&self.controller);
            self.serial.restart(&self.controller);
        }
    }

    fn publish(&mut self) {
        let live = self.controller.link_state() == LinkState::Live;
        if live && !self.live {
            self.sessions += 1;
            if let Some(tell) = &self.tell_live
                && tell.try_send(self.address).is_err()
            {
                tracing::warn!(
                    address = self.address.0,
                    "nobody takes the news of a session"
                );
            }
        }
        self.live = live;
        let view = view_of(&self.controller, self.sessions);
        self.view.send_if_modified(|old| {
            let differs = *old != view;
            *old = view;
            differs
        });
    }

    /// What the cable brings is done; a network that was left takes the link along, and one that was joined is
    /// not waited for.
    fn advance_serial(&mut self, now: Duration) -> Option<Duration> {
        let at = self.serial.advance(&mut self.controller, now)?;
        match self.serial.news(&self.controller) {
            Some(false) if !matches!(self.link, Link::Down) => self.lose(),
            Some(true) if matches!(self.link, Link::Down) => {
                self.controller.redial_within(Duration::ZERO);
            }
            _ => {}
        }
        Some(at)
    }

    /// Does what the core asks of the connection; true if there was anything.
    fn act(&mut self) -> bool {
        let mut acted = false;
        while let Some(action) = self.controller.next_action() {
            acted = true;
            self.pending = Vec::new();
            self.written = 0;
            self.link = match action {
                Action::HangUp => Link::Down,
                Action::Dial(gateway) => {
                    if !self.serial.may_dial(&self.controller) {
                        let away = io::Error::from(io::ErrorKind::NetworkUnreachable);
                        self.link = Link::Dialling(Box::pin(async { Err(away) }));
                        continue;
                    }
                    let index = usize::from(gateway);
                    let configured = self.controller.gateway(gateway);
                    let known = self.gateways.get(index).or(self.gateways.first());
                    let gateway = configured.or(known.cloned()).unwrap_or_default();
                    Link::Dialling(Box::pin(async move { TcpStream::connect(gateway).await }))
                }
            };
        }
        acted
    }

    fn take_hook(&mut self, hook: Hook) {
        let now = self.now();
        match hook {
            Hook::Input(channel, value) => self.controller.set_input(channel, value),
            Hook::Sensor(value) => self.plant.set_sensor(value),
            Hook::StickFeedback(stuck) => self.plant.stick_feedback(stuck, now),
            Hook::Reading(reading) => self.reading = reading,
            Hook::Forge(source) => self.controller.forge_source(source),
            Hook::Cut => self.lose(),
            Hook::Button(is_pressed) => self.controller.press_button(is_pressed),
        }
    }

    fn lose(&mut self) {
        self.link = Link::Down;
        self.pending = Vec::new();
        self.written = 0;
        self.controller.disconnected(self.now());
        if let Some(wait_max) = self.redial_within {
            self.controller.redial_within(wait_max);
        }
    }

    fn read(&mut self) {
        let mut buffer = [0; READ_BYTES];
        for _ in 0..READS_MAX {
            let Link::Up(stream) = &self.link else { return };
            if !self.reading {
                return;
            }
            match stream.try_read(&mut buffer) {
                Ok(0) => return self.lose(),
                Ok(length) => self.controller.receive(&buffer[..length], self.now()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    tracing::debug!(address = self.address.0, %error, "reading failed");
                    return self.lose();
                }
            }
        }
    }

    /// Hands the socket what it takes. The core gets its buffer back once the socket has all of it.
    fn write(&mut self) {
        loop {
            let Link::Up(stream) = &self.link else { return };
            if self.pending.is_empty() {
                match self.controller.take_outbound(self.started.elapsed()) {
                    Some(bytes) => self.pending = bytes,
                    None => return,
                }
            }
            match stream.try_write(&self.pending[self.written..]) {
                Ok(length) => self.written += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    tracing::debug!(address = self.address.0, %error, "writing failed");
                    return self.lose();
                }
            }
            if self.written == self.pending.len() {
                self.pending = Vec::new();
                self.written = 0;
            }
        }
    }
}

/// The controller's own page, where it is served.
enum Http {
    Closed,
    Open(HttpSockets),
}

impl Http {
    fn of(listener: Option<TcpListener>, controller: &Controller) -> Self {
        match (listener, controller.api()) {
            // SAFETY: the driver holds both, drops this first, and uses both on one task.
            #[expect(unsafe_code, reason = "the sockets call into the controller")]
            (Some(listener), Some(api)) => Self::Open(unsafe { HttpSockets::new(listener, api) }),
            _ => Self::Closed,
        }
    }

    /// Cancel-safe.
    async fn ready(&mut self) {
        match self {
            Self::Open(sockets) => sockets.ready().await,
            Self::Closed => std::future::pending().await,
        }
    }

    fn advance(&mut self, now: Duration) -> Option<Duration> {
        match self {
            Self::Open(sockets) => Some(sockets.advance(now)),
            Self::Closed => None,
        }
    }

    /// The controller has begun anew: connections and sessions end.
    fn restart(&mut self, controller: &Controller) {
        if let (Self::Open(sockets), Some(api)) = (self, controller.api()) {
            // SAFETY: as in `of`; it is the same controller.
            #[expect(unsafe_code, reason = "the sockets call into the controller")]
            unsafe {
                sockets.restart(api);
            }
        }
    }
}

impl Link {
    /// Waits for the connection: made, or with something to read, or ready for more. Cancel-safe:
    /// a dial goes on where it was, and readiness is not consumed.
    async fn wait(&mut self, reading: bool, writing: bool) -> Wake {
        match self {
            Link::Dialling(dial) => Wake::Dialled(dial.await),
            Link::Up(stream) if reading || writing => {
                let interest = match (reading, writing) {
                    (true, true) => {
                        tokio::io::Interest::READABLE.add(tokio::io::Interest::WRITABLE)
                    }
                    (false, true) => tokio::io::Interest::WRITABLE,
                    _ => tokio::io::Interest::READABLE,
                };
                // An error here shows again, with its cause, when the socket is used.
                let _ = stream.ready(interest).await;
                Wake::Ready
            }
            _ => std::future::pending().await,
        }
    }
}
