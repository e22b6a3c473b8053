//! The yard's loop: a round waits for sockets, takes what has come to the relay frame by frame, and
//! ends with one write for each connection that the round has given something to.

mod arrivals;

use super::{
    Assistants, ControllerNews, INBOX_PER_ROUND, LoggedIn, Report, ToYard, YardContext,
    driver::{self, Driver, Event, Waiting},
    events::{self, Numbers},
    intake::{self, Intake},
    lines::{Lines, News},
    mailbox::Mail,
    shard::{Shards, Told},
    statuses::{Keeper, Statuses},
    watch,
};
use crate::{
    clock::Clock,
    journal::Journal,
    store::{ControllerEntry, ControllerKey, NewController, NodeId, StoreError},
    telemetry::count,
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};
use switchyard_protocol::{
    Address, Code, FrameRef, Kind, SiteId, limits,
    message::{Body, Title},
};
use switchyard_relay::{
    ConnectionId, Haste, Input, Notice, Now, Output, Question, Relay, Rights, Sink as _, Ticket,
};
use tokio::sync::mpsc;

/// How long the yard lets go of its core for a sender that was interrupted half-way.
const STUCK_PAUSE: Duration = Duration::from_millis(1);

/// Runs the yard until it is told to stop and has, or its time for that is over.
pub(super) fn run(
    context: YardContext,
    journal: Journal,
    inbox: mpsc::Receiver<ToYard>,
    assistants: Assistants,
) {
    let (clock, bell) = (Clock::start(), Arc::clone(&assistants.yard.bell));
    let settings = &context.settings;
    let started = Shards::start(settings, clock, &bell, journal).and_then(|shards| {
        let driver = driver::best(settings.io, &bell, shards.dealing())?;
        Ok((shards, driver))
    });
    match started {
        Ok((shards, mut driver)) => {
            Yard::new(context, clock, shards, inbox, assistants).run(&mut *driver);
        }
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
    shards: Shards,
    /// What a shard has told, while it is read.
    told: Mail<Told>,
    inbox: mpsc::Receiver<ToYard>,
    /// There was more in it that could not be taken yet.
    is_inbox_stuck: bool,
    assistants: Assistants,
    tools: HashMap<ConnectionId, LoggedIn>,
    /// What the relay was told of accounts.
    rights: HashMap<Title, Rights>,
    /// Accounts whose tools came while accounts were being read: what was read of them may be older
    /// than what the tools brought.
    came_meanwhile: HashSet<Title>,
    /// What the status store is to be told, where there is one.
    statuses: Option<Statuses>,
    /// What the config store is to be told of controllers' events.
    numbers: Numbers,
    /// The store did not answer for all log-ins: they are looked at again at the next look.
    look_again: bool,
    /// Log-ins are being looked up.
    is_checking: bool,
    /// Answers of assistants that are still to come.
    open: usize,
    /// When patience with the end is over, once it has begun.
    ends_at: Option<Duration>,
    /// The relay knows that what is asked for cannot be written down.
    is_record_missing: bool,
}

impl Waiting for Yard {
    fn timeout(&self) -> Option<Duration> {
        if self.shards.have_told() {
            return Some(Duration::ZERO);
        }
        if !self.inbox.is_empty() {
            // Before what could not be taken is a sender half-way, who needs this core.
            return Some(if self.is_inbox_stuck {
                STUCK_PAUSE
            } else {
                Duration::ZERO
            });
        }
        let moments = [
            self.relay.next_timer(),
            self.shards.own.next_moment(),
            self.next_history(),
            self.ends_at,
            self.next_status(),
        ];
        let next = moments.into_iter().flatten().min();
        next.map(|next| next.saturating_sub(self.now.since_start))
    }

    fn tell_time(&mut self) {
        self.now = self.clock.now();
        self.shards.own.now = self.now.since_start;
    }

    fn happened(&mut self, event: Event<'_>) {
        match event {
            Event::Received(id, bytes) => intake::received(self, id, bytes),
            Event::Sent(id, buffer) => self.shards.own.sent(id, buffer),
            Event::Progress(id) => self.shards.own.progressed(id),
            Event::Closed(id) => self.shards.closed(id),
            Event::Ended(id) => {
                self.gone(id);
                self.shards.own.ended(id);
            }
        }
    }
}

impl Yard {
    fn new(
        mut context: YardContext,
        clock: Clock,
        mut shards: Shards,
        inbox: mpsc::Receiver<ToYard>,
        assistants: Assistants,
    ) -> Self {
        let settings = &context.settings;
        let relay_settings = switchyard_relay::Settings {
            connections_expected: shards.dealing().room(),
            follows_changes: context.status.is_some(),
            // What was enrolled under a larger bound stays known.
            controllers_max: (settings.controllers_max as usize).max(context.controllers.len()),
            ..context.relay_settings.clone()
        };
        let controllers = std::mem::take(&mut context.controllers);
        let accounts = std::mem::take(&mut context.accounts);
        let remembered = std::mem::take(&mut context.remembered);
        let event_numbers = std::mem::take(&mut context.event_numbers);
        let telemetry = &context.telemetry;
        let statuses = context.status.clone().map(|store| {
            let (batches, keeper_takes) = mpsc::channel(1);
            let (node, yard) = (NodeId(context.gateway), assistants.yard.clone());
            let keeper = Keeper::new(store, node, Arc::clone(telemetry), yard);
            assistants.spawn(keeper.keep(keeper_takes));
            Statuses::new(batches)
        });
        shards.history = context.history.take();
        let mut yard = Yard {
            relay: Relay::new(relay_settings),
            now: clock.now(),
            clock,
            shards,
            told: Mail::default(),
            inbox,
            is_inbox_stuck: false,
            assistants,
            tools: HashMap::new(),
            rights: HashMap::new(),
            came_meanwhile: HashSet::new(),
            statuses,
            numbers: Numbers::new(Arc::clone(&context.config), context.alarms.clone()),
            look_again: false,
            is_checking: false,
            open: 0,
            ends_at: None,
            is_record_missing: false,
            context,
        };
        yard.introduce(controllers);
        // Before the commands: what an account may not give any more is not sent.
        yard.accounts_read(accounts);
        for account in remembered.iter().filter_map(account_of) {
            // What the gateway itself gave is nobody's to withdraw.
            let is_own = crate::inside::is_own(account);
            if !is_own && !yard.rights.contains_key(account) {
                yard.account_gone(account.clone());
            }
        }
        for (address, number) in event_numbers {
            yard.input(Input::NumberRestored { address, number });
        }
        for input in remembered {
            yard.input(input);
        }
        yard
    }

    fn run(mut self, driver: &mut dyn Driver) {
        let bell = Arc::clone(&self.assistants.yard.bell);
        while !self.is_over() {
            if let Err(error) = driver::wait(&mut self, driver, &bell) {
                tracing::error!(%error, "cannot wait for sockets any more");
                return;
            }
            self.round(driver);
        }
        self.shards.journal.note_left_out(self.now.time, true);
        self.write_journal();
        if let Some(history) = &mut self.shards.history {
            history.end(self.now);
        }
        let left = self.shards.connections();
        if left > 0 {
            tracing::warn!(left, "some peers did not go in time");
        }
        self.shards.end(driver);
    }

    fn is_over(&self) -> bool {
        self.ends_at.is_some_and(|ends_at| {
            self.now.since_start >= ends_at || self.shards.connections() == 0 && self.open == 0
        })
    }

    /// What is done once in a round.
    fn round(&mut self, driver: &mut dyn Driver) {
        self.read_inbox(driver);
        self.hear_shards();
        let now = self.now.since_start;
        if self.relay.next_timer().is_some_and(|due| due <= now) {
            self.input(Input::Tick);
        }
        self.store_statuses();
        if let Some(history) = &mut self.shards.history {
            history.hand_over(self.now);
        }
        if let Some(storing) = self.numbers.store(&self.context.telemetry) {
            self.ask(storing);
        }
        self.write_journal();
        self.shards.own.settle(driver);
        let mut news = std::mem::take(&mut self.shards.own.news);
        for news in news.drain(..) {
            self.learn(news);
        }
        // Whatever these have caused is told in the next round, which does not wait.
        news.append(&mut self.shards.own.news);
        self.shards.own.news = news;
        self.write_journal();
        self.shards.post();
    }

    /// When there is status to be stored.
    fn next_status(&self) -> Option<Duration> {
        self.statuses.as_ref()?.next_moment(&self.relay)
    }

    /// When there is something to hand over that becomes history.
    fn next_history(&self) -> Option<Duration> {
        self.shards.history.as_ref()?.next_moment()
    }

    fn statuses_waiting(&self) -> usize {
        let statuses = self.statuses.as_ref();
        statuses.map_or(0, |statuses| self.relay.changed() + statuses.under_way())
    }

    fn store_statuses(&mut self) {
        let (now, is_ending) = (self.now.since_start, self.ends_at.is_some());
        if let Some(statuses) = &mut self.statuses
            && statuses.store(now, &mut self.relay, is_ending)
        {
            self.open += 1;
        }
    }

    /// Writes down what is to outlive this process. It comes before anything goes to a socket or to
    /// another shard that this has to do with.
    fn write_journal(&mut self) {
        self.shards.journal.flush();
        let is_record_missing = self.shards.journal.is_failing();
        if self.context.settings.audit_required && is_record_missing != self.is_record_missing {
            self.is_record_missing = is_record_missing;
            let is_possible = !is_record_missing;
            self.input(Input::Recording { is_possible });
        }
    }

    fn learn(&mut self, news: News) {
        match news {
            News::Written(id, bytes) => {
                self.relay.written(self.now, id, bytes, &mut self.shards);
                self.perform_all();
            }
            News::End(id, code) => self.end(id, code),
        }
    }

    /// Takes what the other shards have told.
    fn hear_shards(&mut self) {
        for other in 0..self.shards.others() {
            let mut told = std::mem::take(&mut self.told);
            self.shards.collect(other, &mut told);
            let mut bytes = &told.bytes[..];
            for letter in told.letters.drain(..) {
                match letter {
                    Told::Frames(id, length) => {
                        let (frames, rest) = bytes.split_at(length);
                        bytes = rest;
                        let judged = self.frames(id, frames, limits::PAYLOAD_BYTES_MAX);
                        debug_assert_eq!(judged, Ok(length), "expected whole frames of a shard");
                    }
                    Told::Gone(id) => self.gone(id),
                    Told::News(news) => self.learn(news),
                    Told::Closed(id) => self.shards.closed(id),
                    Told::Broken => std::panic::resume_unwind(Box::new("a shard is out of order")),
                }
            }
            self.told = told;
            // What it has caused goes out before the next one's is read.
            self.write_journal();
            self.shards.post();
        }
    }

    /// Tells the relay something and does what it says.
    fn input(&mut self, input: Input) {
        self.relay.handle(self.now, input, &mut self.shards);
        self.perform_all();
    }

    fn end(&mut self, connection: ConnectionId, code: Code) {
        self.input(Input::End { connection, code });
    }

    /// The peer has gone.
    fn gone(&mut self, id: ConnectionId) {
        if let Some(address) = self.relay.peer(id) {
            tracing::info!(%address, session = id.0, "the peer has gone");
            self.departed(id, address);
            self.input(Input::Disconnected {
                connection: id,
                reason: Code::LinkLost,
            });
        }
    }

    /// Notes that a connection is no session any more.
    fn departed(&mut self, id: ConnectionId, address: Address) {
        if !address.is_controller() {
            self.tools.remove(&id);
        } else if let Some(history) = &mut self.shards.history {
            history.away(self.now.since_start, address);
        }
    }

    /// Does what the relay wants besides frames sent.
    fn perform_all(&mut self) {
        if self.shards.outputs.is_empty() {
            return;
        }
        let mut outputs = std::mem::take(&mut self.shards.outputs);
        for output in outputs.drain(..) {
            self.perform(output);
        }
        self.shards.outputs = outputs;
    }

    /// Does one thing; never tells the relay anything before the current outputs are done.
    fn perform(&mut self, output: Output) {
        match output {
            Output::Send { connection, frame } => {
                // Frames take the short way, by `Sink::send`; this one lost its way and is right too.
                self.shards.send(connection, &frame, Haste::Now);
            }
            Output::Close {
                connection,
                address,
                code,
            } => {
                let reason = code.name();
                tracing::info!(%address, session = connection.0, reason, "connection closed");
                self.departed(connection, address);
                self.shards.close(connection);
            }
            Output::Store { ticket, request } => {
                // The store must not know of a command of which the journal does not.
                self.shards.journal.flush();
                self.open += 1;
                // Its task lives as long as this sender, unless it panicked, which is told.
                let _ = self.assistants.writes.send((ticket, request));
            }
            Output::Ask {
                ticket,
                asker,
                question,
            } => match question {
                Question::Enrol { title, site } => {
                    self.shards.journal.flush();
                    tracing::info!(account = %asker.account, tool = %asker.address, "enrols a controller");
                    self.enrol(ticket, title, site);
                }
                _ => self
                    .ask(async move { ToYard::Answered(ticket, Box::new(Err(Code::Unsupported))) }),
            },
            Output::Happened { address, event } => {
                events::log(address, &event);
                self.numbers.note(address, &event, self.now.time);
            }
            Output::StoreNumber { address, number } => self.numbers.add(address, number),
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

    fn enrol(&mut self, ticket: Ticket, title: Title, site: Option<SiteId>) {
        let config = Arc::clone(&self.context.config);
        let telemetry = Arc::clone(&self.context.telemetry);
        let yard = self.assistants.yard.clone();
        let max = self.context.settings.controllers_max;
        self.ask(async move {
            let key: [u8; 32] = rand::random();
            let enrolled = crate::clock::time();
            let wanted = vec![NewController {
                title: title.clone(),
                key: ControllerKey(key),
                site,
            }];
            let answer = match config.enrol(wanted, max, enrolled).await.as_deref() {
                Ok(&[address]) => {
                    let entry = ControllerEntry {
                        address,
                        title,
                        site,
                        tags: Vec::new(),
                        enrolled,
                    };
                    // Before the answer, so that whoever gets it may use it.
                    yard.tell(ToYard::Changed(vec![ControllerNews::Is(entry)]))
                        .await;
                    Ok(Body::Enrol {
                        controller: address,
                        key,
                    })
                }
                Ok(_) => Err(Code::Internal),
                Err(StoreError::Full { .. }) => Err(Code::Busy),
                // The site was removed a moment ago.
                Err(StoreError::Missing { .. }) => Err(Code::OutOfRange),
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
            self.known(entry.address, entry.title, entry.site);
        }
    }

    fn controllers_changed(&mut self, news: Vec<ControllerNews>) {
        for news in news {
            match news {
                ControllerNews::Is(entry) => self.introduce(vec![entry]),
                ControllerNews::Withdrawn(address) => {
                    tracing::info!(%address, "a controller is withdrawn");
                    self.input(Input::ControllerForgotten { address });
                }
                ControllerNews::Recalled(address) => self.input(Input::Recall { address }),
            }
        }
    }

    /// Makes a controller known to the relay.
    fn known(&mut self, address: Address, title: Title, site: Option<SiteId>) {
        self.input(Input::ControllerKnown {
            address,
            title,
            site,
        });
    }

    fn read_inbox(&mut self, driver: &mut dyn Driver) {
        // Unlike `try_recv` this does not sleep until a sender that was interrupted half-way is done,
        // which may be the door's thread, that gives way to this one. Its bell follows.
        let mut nobody = Context::from_waker(Waker::noop());
        self.is_inbox_stuck = false;
        // If there is more than that, the next round does not wait.
        for _ in 0..INBOX_PER_ROUND {
            let Poll::Ready(Some(what)) = self.inbox.poll_recv(&mut nobody) else {
                self.is_inbox_stuck = !self.inbox.is_empty();
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
                ToYard::Changed(news) => self.controllers_changed(news),
                ToYard::Look(rights_moved) => self.look(rights_moved),
                ToYard::LoginsChecked(checked) => {
                    self.open -= 1;
                    self.logins_checked(checked);
                }
                ToYard::StatusesStored(stored) => {
                    self.open -= 1;
                    if let Some(statuses) = &mut self.statuses {
                        statuses.stored(self.now.since_start, &mut self.relay, stored);
                    }
                }
                ToYard::StatusesWanted(None) => self.relay.change_all(),
                ToYard::StatusesWanted(Some(controllers)) => {
                    for controller in controllers {
                        self.relay.change_again(controller);
                    }
                }
                ToYard::Restored(known) => {
                    for (address, since, frame) in known {
                        if !self.relay.knows(address) {
                            // It was withdrawn while nobody could tell the store, which forgets it now.
                            self.relay.change_again(address);
                        }
                        self.input(Input::StatusRestored {
                            address,
                            since,
                            frame,
                        });
                    }
                }
                ToYard::NumbersStored {
                    numbers,
                    is_committed,
                    again,
                } => {
                    self.open -= 1;
                    self.numbers.stored(again);
                    for (address, number) in numbers {
                        self.input(Input::NumberStored {
                            address,
                            number,
                            is_committed,
                        });
                    }
                }
                ToYard::Report(answer) => {
                    let (counters, gauges) = (self.relay.counters().clone(), self.relay.gauges());
                    let statuses_waiting = self.statuses_waiting();
                    // Whoever asked may have given up.
                    let _ = answer.send(Report {
                        counters,
                        gauges,
                        statuses_waiting,
                    });
                }
                ToYard::Change(change, has_ended, answer) => {
                    let journal = &mut self.shards.journal;
                    journal.note_change(self.now.time, &change, has_ended);
                    journal.flush();
                    // Whoever asked may have given up.
                    let _ = answer.send(!journal.is_failing());
                }
                ToYard::ShutDown => self.shut_down(),
                ToYard::Broken => {
                    std::panic::resume_unwind(Box::new("a task of the yard panicked"))
                }
            }
        }
    }

    fn shut_down(&mut self) {
        if self.ends_at.is_none() {
            self.ends_at = Some(self.now.since_start + self.context.settings.shutdown_timeout);
            self.input(Input::ShutDown);
        }
    }

    fn look(&mut self, rights_moved: bool) {
        self.shards.journal.note_left_out(self.now.time, false);
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

    /// Has log-ins looked up. One such look at a time, so that none brings older news than another:
    /// what is asked for meanwhile comes with the next.
    fn check_logins(&mut self, logins: Vec<super::LoginToCheck>) {
        if self.is_checking {
            self.look_again = true;
        } else {
            self.is_checking = true;
            self.ask(watch::check_logins(
                Arc::clone(&self.context.config),
                Arc::clone(&self.context.telemetry),
                logins,
            ));
        }
    }

    fn logins_checked(&mut self, checked: watch::Checked) {
        self.is_checking = false;
        self.look_again |= checked.is_incomplete;
        // First: the tools of an account that is no more still learn what became of their commands.
        if let Some(accounts) = checked.accounts {
            self.accounts_read(accounts);
        }
        for (id, login) in checked.logins {
            if login.is_none() {
                self.end(id, Code::Revoked);
            }
        }
    }

    /// Tells the relay which accounts' rights have changed, and which accounts are no more.
    fn accounts_read(&mut self, accounts: Vec<(Title, Rights)>) {
        let mut gone = std::mem::take(&mut self.rights);
        for account in std::mem::take(&mut self.came_meanwhile) {
            if let Some(rights) = gone.remove(&account) {
                self.rights.insert(account, rights);
                self.look_again = true;
            }
        }
        for (account, rights) in accounts {
            if self.rights.contains_key(&account) {
                continue;
            }
            let before = gone.remove(&account);
            self.rights.insert(account.clone(), rights.clone());
            if before.as_ref() != Some(&rights) {
                if before.is_some() {
                    tracing::info!(%account, "an account's rights changed");
                }
                let rights = Some(rights);
                self.input(Input::AccountChanged { account, rights });
            }
        }
        for account in gone.into_keys() {
            tracing::info!(%account, "an account was removed");
            self.account_gone(account);
        }
    }

    fn account_gone(&mut self, account: Title) {
        let rights = None;
        self.input(Input::AccountChanged { account, rights });
    }
}

/// Whose command it is that is remembered.
fn account_of(input: &Input) -> Option<&Title> {
    match input {
        Input::Restored(command) => Some(&command.account),
        Input::Resumed(resumed) => Some(&resumed.command.account),
        _ => None,
    }
}

impl Intake for Yard {
    fn lines(&mut self) -> &mut Lines {
        &mut self.shards.own
    }

    fn frames(
        &mut self,
        id: ConnectionId,
        frames: &[u8],
        payload_bytes_max: usize,
    ) -> Result<usize, Code> {
        let mut rest = frames;
        while let Some((frame, after)) =
            FrameRef::split(rest, payload_bytes_max).map_err(|error| error.code())?
        {
            rest = after;
            if let Some(history) = &mut self.shards.history
                && frame.header().kind == Kind::StatusFull
                && let Some(address) = self.relay.peer(id)
            {
                history.frame(self.now.since_start, address, &frame);
            }
            self.relay.frame(self.now, id, frame, &mut self.shards);
            self.perform_all();
        }
        Ok(frames.len() - rest.len())
    }

    fn failed(&mut self, id: ConnectionId, code: Code) {
        match code {
            Code::LinkLost => {
                self.gone(id);
                self.shards.own.ended(id);
            }
            code => self.end(id, code),
        }
    }
}
