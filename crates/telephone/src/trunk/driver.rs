//! The task of a trunk: it alone speaks for the account, with the [`Agent`] to say what.

use crate::{
    error::Error,
    outcome::{End, Trouble},
    sip::{
        agent::Agent,
        call::CallRequest,
        requests::{Account, CallEvent, Output},
    },
    trunk::{
        Registration,
        link::{self, Link, LinkEvent},
    },
};
use ring::rand::{SecureRandom, SystemRandom};
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant as TokioInstant, sleep_until},
};

/// Empty lines keep the way open through routers while a call goes on (RFC 5626 section 3.5.1): the other side may
/// have nothing to say before it hangs up. Routers forget after 30 seconds.
const KEEP_ALIVE: Duration = Duration::from_secs(25);
/// How long the task stays for farewells when nobody holds the trunk any more.
const LINGER_MAX: Duration = Duration::from_secs(6);
/// Who may wait for one probe.
const PROBES_MAX: usize = 64;

/// What the trunk is told.
pub(super) enum Command {
    Probe {
        server: SocketAddr,
        local_ip: IpAddr,
        answer: oneshot::Sender<Result<(), Trouble>>,
    },
    Call {
        server: SocketAddr,
        local_ip: IpAddr,
        request: CallRequest,
        events: mpsc::Sender<CallEvent>,
    },
    HangUp(u64),
}

pub(super) struct Driver {
    agent: Agent,
    link: Link,
    server: SocketAddr,
    local: SocketAddr,
    commands: mpsc::Receiver<Command>,
    registration: watch::Sender<Registration>,
    probes: Vec<oneshot::Sender<Result<(), Trouble>>>,
    calls: HashMap<u64, mpsc::Sender<CallEvent>>,
    /// What waits for the connection.
    waiting: Vec<Command>,
    wants_registration: bool,
    /// Whether a registration waits for the connection.
    registration_waits: bool,
}

impl Driver {
    pub(super) fn new(
        account: Account,
        link: Link,
        server: SocketAddr,
        local_ip: IpAddr,
        commands: mpsc::Receiver<Command>,
        registration: watch::Sender<Registration>,
    ) -> Result<Self, Error> {
        let mut secret = [0; 32];
        SystemRandom::new()
            .fill(&mut secret)
            .map_err(|_| Error::Socket(std::io::Error::other("no random numbers are to be had")))?;
        let local = SocketAddr::new(local_ip, link.udp_port().map_err(Error::Socket)?);
        Ok(Driver {
            agent: Agent::new(account, secret, local, server),
            link,
            server,
            local,
            commands,
            registration,
            probes: Vec::new(),
            calls: HashMap::new(),
            waiting: Vec::new(),
            wants_registration: false,
            registration_waits: false,
        })
    }

    /// Runs until nobody holds the trunk or a call of it, and all farewells are said.
    pub(super) async fn run(mut self, registers: bool) {
        if registers {
            self.wants_registration = true;
            self.register();
        }
        let mut buffer = link::buffer();
        let mut keep_alive_at = TokioInstant::now() + KEEP_ALIVE;
        let mut is_open = true;
        let mut linger_until = None;
        loop {
            self.send_all().await;
            if !is_open {
                let until = *linger_until.get_or_insert(TokioInstant::now() + LINGER_MAX);
                if !self.agent.is_busy() || TokioInstant::now() >= until {
                    return;
                }
            }
            let due = self.agent.next_due().map(TokioInstant::from_std);
            let wake_at = [due, Some(keep_alive_at), linger_until]
                .into_iter()
                .flatten()
                .min();
            tokio::select! {
                command = self.commands.recv(), if is_open => match command {
                    Some(command) => self.command(command),
                    None => is_open = false,
                },
                event = self.link.next(&mut buffer) => self.link_event(event),
                () = sleep_until(wake_at.unwrap_or(keep_alive_at)) => {}
            }
            self.agent.tick(now());
            if TokioInstant::now() >= keep_alive_at {
                keep_alive_at = TokioInstant::now() + KEEP_ALIVE;
                if self.agent.live_calls() > 0 {
                    let _ = self.link.send(self.server, self.server, b"\r\n\r\n").await;
                }
            }
        }
    }

    fn command(&mut self, command: Command) {
        let place = match &command {
            Command::Probe {
                server, local_ip, ..
            }
            | Command::Call {
                server, local_ip, ..
            } => Some((*server, *local_ip)),
            Command::HangUp(id) => {
                // One that waits for the connection has not begun.
                let waits =
                    |it: &Command| matches!(it, Command::Call { request, .. } if request.id == *id);
                if let Some(place) = self.waiting.iter().position(waits)
                    && let Command::Call { events, .. } = self.waiting.remove(place)
                {
                    let _ = events.try_send(CallEvent::Ended(End::Withdrawn));
                }
                None
            }
        };
        if let Some((server, local_ip)) = place {
            self.server = server;
            if matches!(self.link, Link::Datagrams(_)) {
                self.local.set_ip(local_ip);
            }
            self.agent.moved(self.local, server);
            if !self.link.ready(server) {
                return self.waiting.push(command);
            }
        }
        self.begin(command);
    }

    fn begin(&mut self, command: Command) {
        match command {
            Command::Probe { answer, .. } => {
                self.probes.retain(|it| !it.is_closed());
                if self.probes.len() < PROBES_MAX {
                    self.probes.push(answer);
                    self.agent.probe(now());
                }
            }
            Command::Call {
                request, events, ..
            } => {
                self.calls.insert(request.id, events);
                self.agent.call(&request, now());
            }
            Command::HangUp(id) => self.agent.hang_up(id, now()),
        }
    }

    fn register(&mut self) {
        match self.link.ready(self.server) {
            true => self.agent.register(now()),
            false => self.registration_waits = true,
        }
    }

    fn link_event(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Message(message, source) => {
                tracing::trace!(%source, method = message.method(), code = message.code(), "message");
                self.agent.message(&message, source, now());
            }
            LinkEvent::Up { local, .. } => {
                tracing::debug!(%local, server = %self.server, "connected to the trunk");
                self.local = local;
                self.agent.moved(local, self.server);
                for command in std::mem::take(&mut self.waiting) {
                    self.begin(command);
                }
                // Behind a new connection we are somewhere else.
                if std::mem::take(&mut self.registration_waits) || self.wants_registration {
                    self.agent.register(now());
                }
            }
            LinkEvent::Down { why, .. } => self.lost(&why),
        }
    }

    /// The way to the trunk is broken.
    fn lost(&mut self, why: &str) {
        tracing::debug!(server = %self.server, why, "the connection to the trunk is gone");
        self.agent.connection_lost(why, now());
        let trouble = Trouble::Unreachable(why.into());
        for command in std::mem::take(&mut self.waiting) {
            match command {
                Command::Probe { answer, .. } => {
                    let _ = answer.send(Err(trouble.clone()));
                }
                Command::Call { events, .. } => {
                    let end = End::Trouble {
                        trouble: trouble.clone(),
                        retry_after: None,
                    };
                    let _ = events.try_send(CallEvent::Ended(end));
                }
                Command::HangUp(_) => {}
            }
        }
        if std::mem::take(&mut self.registration_waits) {
            self.agent.not_registered_yet(trouble, now());
        }
    }

    /// Does everything that the agent wants done.
    async fn send_all(&mut self) {
        while let Some(output) = self.agent.output() {
            if is_silence(&output) && self.link.renew() {
                self.lost("it says nothing any more");
            }
            match output {
                Output::Send { to, bytes } => {
                    if let Err(why) = self.link.send(to, self.server, &bytes).await {
                        tracing::debug!(%to, why, "a message cannot be sent");
                        self.agent.undeliverable(&bytes, &why, now());
                    }
                }
                Output::Call { call, event } => {
                    let is_end = matches!(event, CallEvent::Ended(_));
                    if let Some(events) = self.calls.get(&call) {
                        // Whoever does not listen misses keys; the end is told by the sender going too.
                        let _ = events.try_send(event);
                    }
                    if is_end {
                        self.calls.remove(&call);
                    }
                }
                Output::Probed(outcome) => {
                    for answer in self.probes.drain(..) {
                        let _ = answer.send(outcome.clone());
                    }
                }
                Output::Registered(outcome) => {
                    let state = match outcome {
                        Ok(()) => Registration::Registered,
                        Err(trouble) => Registration::Failed(trouble),
                    };
                    self.registration.send_if_modified(|it| {
                        let is_news = *it != state;
                        if is_news {
                            tracing::info!(server = %self.server, ?state, "registration");
                            *it = state;
                        }
                        is_news
                    });
                }
            }
        }
    }
}

/// Whether the trunk has not said a word to something.
fn is_silence(output: &Output) -> bool {
    let trouble = match output {
        Output::Probed(Err(trouble)) | Output::Registered(Err(trouble)) => trouble,
        Output::Call {
            event: CallEvent::Ended(End::Trouble { trouble, .. }),
            ..
        } => trouble,
        _ => return false,
    };
    *trouble == Trouble::Silent
}

/// By the runtime's clock, which a test may hold.
pub(super) fn now() -> Instant {
    TokioInstant::now().into_std()
}
