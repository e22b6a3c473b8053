//! What a modem's procedures share with the outside: the command under way, what came unasked, what is to be done,
//! what is to be told, and the time. Pure; it makes asking a modem something that can be awaited.
//!
//! Procedures are written as they run, one question after the other, and are polled whenever bytes, orders or time
//! have come. They hold no borrow of the desk while they wait.

use super::{
    lines::{Heard, Lines},
    report::{Behind, CallEnd, CallEvent, ModemState, ReceivedText, TextEvent, TextFault},
    words::{Outcome, Told, outcome},
};
use crate::Number;
use std::{
    cell::{RefCell, RefMut},
    collections::VecDeque,
    future::poll_fn,
    rc::Rc,
    task::Poll,
    time::Duration,
};

/// Texts and calls that wait. Each takes seconds to minutes; more than these come too late to be of use.
pub(super) const JOBS_MAX: usize = 16;
/// Lines of one answer: two for each text of a large SIM, and room to spare.
const LINES_MAX: usize = 1_200;
/// What came unasked and is not looked at yet. Keys are pressed one after the other, and looked at at once.
const TOLD_MAX: usize = 64;
/// Things to say and to stop that wait for the call under way.
const CALL_ORDERS_MAX: usize = 16;

const ESCAPE: u8 = 0x1B;
const END_OF_MESSAGE: u8 = 0x1A;

/// Tells texts and calls apart.
pub(super) type JobId = u64;

/// How long a call may ring and last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLimits {
    /// From dialling until it is given up.
    pub ring_max: Duration,
    /// From the answer until it is ended.
    pub length_max: Duration,
}

/// Something to do from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Text {
        id: JobId,
        to: Number,
        text: String,
    },
    Call {
        id: JobId,
        to: Number,
        limits: CallLimits,
    },
    Say {
        id: JobId,
        text: String,
    },
    HangUp {
        id: JobId,
    },
    /// Texts from the SIM are given out only while there is room for them.
    Room(usize),
    Stop,
}

/// A text or a call that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) id: JobId,
    pub(super) to: Number,
    pub(super) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    Text(String),
    Call(CallLimits),
}

/// What the call under way is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CallOrder {
    Say(String),
    HangUp,
}

/// Something to tell outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    State(ModemState),
    Received(ReceivedText),
    Text(JobId, TextEvent),
    Call(JobId, CallEvent),
}

/// Why a procedure cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("no answer to {0}")]
    Silent(String),
    #[error("it started anew")]
    Restarted,
}

/// How a command's answer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    /// A prompt is an answer as well.
    Prompting,
    /// Goes after a prompt.
    Message,
    /// Its answer may be how a call ends, and may take as long as it rings.
    Dialling,
}

/// A command and how long its answer may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Command {
    text: String,
    kind: Kind,
    time_out: Duration,
}

impl Command {
    /// Most are answered at once.
    const USUAL: Duration = Duration::from_secs(5);

    pub(super) fn new(text: impl Into<String>) -> Self {
        Command {
            text: text.into(),
            kind: Kind::Plain,
            time_out: Command::USUAL,
        }
    }

    pub(super) fn within(self, time_out: Duration) -> Self {
        Command { time_out, ..self }
    }

    pub(super) fn prompting(self) -> Self {
        let kind = Kind::Prompting;
        Command { kind, ..self }
    }

    pub(super) fn message(text: String) -> Self {
        let kind = Kind::Message;
        Command {
            kind,
            ..Command::new(text)
        }
    }

    pub(super) fn dialling(self) -> Self {
        let kind = Kind::Dialling;
        Command { kind, ..self }
    }

    /// What may be told of it: neither PIN nor number nor text.
    fn name(&self) -> &str {
        match self.kind {
            Kind::Message => "a message",
            Kind::Dialling => "ATD",
            _ => self.text.split(['=', '?']).next().unwrap_or_default(),
        }
    }

    /// Whether a line bears the name of what is asked for, such as `+CREG` by `AT+CREG?`.
    fn asks_for(&self, line: &str) -> bool {
        let name = self.name().trim_start_matches("AT");
        name.len() > 1
            && line
                .strip_prefix(name)
                .is_some_and(|it| it.starts_with(':'))
    }
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Answer {
        lines: Vec<String>,
        outcome: Outcome,
    },
    Prompt,
    /// It was to be waited for no longer, since the call is to end.
    Abandoned,
}

impl Reply {
    pub(super) fn is_ok(&self) -> bool {
        matches!(
            self,
            Reply::Answer {
                outcome: Outcome::Ok,
                ..
            }
        )
    }

    pub(super) fn lines(&self) -> &[String] {
        match self {
            Reply::Answer { lines, .. } => lines,
            _ => &[],
        }
    }
}

/// What happened while nothing was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Occurrence {
    Told(Told),
    Ordered(CallOrder),
    Job(Job),
    TextsStored,
    Due,
}

struct Asked {
    command: Command,
    lines: Vec<String>,
    deadline: Duration,
}

/// See the module.
pub(super) struct Desk {
    now: Duration,
    lines: Lines,
    output: Vec<u8>,
    asked: Option<Asked>,
    answer: Option<Reply>,
    told: VecDeque<Told>,
    are_texts_stored: bool,
    has_restarted: bool,
    jobs: VecDeque<Job>,
    current: Option<Job>,
    /// Of the call under way, and of those that wait.
    call_orders: VecDeque<(JobId, CallOrder)>,
    room: usize,
    is_stopping: bool,
    events: VecDeque<Event>,
    state: ModemState,
    due: Option<Duration>,
    /// A PIN was entered and not found to be right.
    pub(super) is_pin_spent: bool,
    /// What the modem can is known, and one job after the other is done.
    pub(super) is_serving: bool,
    /// That was so since it was opened.
    pub(super) has_served: bool,
}

impl Desk {
    pub(super) fn new(now: Duration, is_pin_spent: bool) -> Self {
        Desk {
            now,
            lines: Lines::default(),
            output: Vec::new(),
            asked: None,
            answer: None,
            told: VecDeque::new(),
            // Some may have come while nobody asked.
            are_texts_stored: true,
            has_restarted: false,
            jobs: VecDeque::new(),
            current: None,
            call_orders: VecDeque::new(),
            room: 0,
            is_stopping: false,
            events: VecDeque::from([Event::State(ModemState::default())]),
            state: ModemState::default(),
            due: None,
            is_pin_spent,
            is_serving: false,
            has_served: false,
        }
    }

    pub(super) fn pass_to(&mut self, now: Duration) {
        self.now = self.now.max(now);
        self.due = None;
    }

    #[cfg(test)]
    pub(super) fn due(&self) -> Option<Duration> {
        self.due
    }

    pub(super) fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    pub(super) fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.current.is_none() && self.jobs.is_empty()
    }

    /// Takes bytes of the modem.
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let kind = self.asked.as_ref().map(|asked| asked.command.kind);
            match self.lines.push(*byte, kind == Some(Kind::Prompting)) {
                Some(Heard::Line(line)) => self.heard(line),
                Some(Heard::Prompt) => {
                    self.asked = None;
                    self.answer = Some(Reply::Prompt);
                }
                None => {}
            }
        }
    }

    fn heard(&mut self, line: String) {
        let told = Told::of(&line);
        let Some(asked) = &mut self.asked else {
            return self.tell(told);
        };
        if line == asked.command.text {
            return;
        }
        let is_dialling = asked.command.kind == Kind::Dialling;
        if let Some(outcome) = outcome(&line, is_dialling) {
            let lines = std::mem::take(&mut asked.lines);
            self.asked = None;
            self.answer = Some(Reply::Answer { lines, outcome });
            return;
        }
        match told {
            None => {}
            Some(Told::Other) if asked.command.asks_for(&line) => {}
            told => return self.tell(told),
        }
        if asked.lines.len() < LINES_MAX {
            asked.lines.push(line);
        }
    }

    fn tell(&mut self, told: Option<Told>) {
        match told {
            None | Some(Told::Other) => {}
            Some(Told::TextStored) => self.are_texts_stored = true,
            Some(Told::Restarted) => self.has_restarted = true,
            Some(told) if self.told.len() < TOLD_MAX => self.told.push_back(told),
            Some(_) => {}
        }
    }

    /// Takes something to do.
    pub(super) fn order(&mut self, order: Order) {
        match order {
            Order::Text { id, to, text } => self.queue(Job {
                id,
                to,
                what: What::Text(text),
            }),
            Order::Call { id, to, limits } => self.queue(Job {
                id,
                to,
                what: What::Call(limits),
            }),
            Order::Say { id, text } => self.order_call(id, CallOrder::Say(text)),
            Order::HangUp { id } => match self.jobs.iter().position(|job| job.id == id) {
                Some(place) => {
                    let waiting = self.jobs.remove(place);
                    self.call_orders.retain(|(of, _)| *of != id);
                    waiting
                        .iter()
                        .for_each(|job| self.give_up(job, TextFault::Unknown, CallEnd::HungUp));
                }
                None => self.order_call(id, CallOrder::HangUp),
            },
            Order::Room(room) => self.room = room,
            Order::Stop => {
                self.is_stopping = true;
                let waiting = std::mem::take(&mut self.jobs);
                waiting
                    .iter()
                    .for_each(|job| self.give_up(job, TextFault::Closing, CallEnd::Closing));
                if let Some(job) = &self.current {
                    self.call_orders.push_back((job.id, CallOrder::HangUp));
                }
            }
        }
    }

    fn order_call(&mut self, id: JobId, order: CallOrder) {
        let mut known = self.jobs.iter().chain(&self.current);
        let is_known = known.any(|job| job.id == id);
        // Hanging up is never too much.
        let has_room = self.call_orders.len() < CALL_ORDERS_MAX || order == CallOrder::HangUp;
        if is_known && has_room {
            self.call_orders.push_back((id, order));
        }
    }

    fn queue(&mut self, job: Job) {
        let crowded = self.jobs.len() >= JOBS_MAX;
        if crowded || self.is_stopping {
            let (text, call) = match crowded {
                true => (TextFault::Crowded, CallEnd::Crowded),
                false => (TextFault::Closing, CallEnd::Closing),
            };
            return self.give_up(&job, text, call);
        }
        let before = self.jobs.back().or(self.current.as_ref());
        let behind = match before.map(|job| &job.what) {
            Some(What::Call(_)) => Some(Behind::Call),
            Some(What::Text(_)) => Some(Behind::Text),
            None if self.asked.is_some() || !self.is_serving => Some(Behind::Start),
            None => None,
        };
        if let Some(behind) = behind {
            self.events.push_back(match job.what {
                What::Text(_) => Event::Text(job.id, TextEvent::Waiting(behind)),
                What::Call(_) => Event::Call(job.id, CallEvent::Waiting(behind)),
            });
        }
        self.jobs.push_back(job);
    }

    /// Tells that a job came to nothing.
    fn give_up(&mut self, job: &Job, text: TextFault, call: CallEnd) {
        self.events.push_back(match job.what {
            What::Text(_) => Event::Text(job.id, TextEvent::Failed(text)),
            What::Call(_) => Event::Call(job.id, CallEvent::Ended(call)),
        });
    }

    /// The modem is of use from now on.
    pub(super) fn serve(&mut self) {
        self.is_serving = true;
        self.has_served = true;
    }

    /// Gives up what is under way: the modem has forgotten it.
    pub(super) fn abandon_current(&mut self) {
        if let Some(job) = self.end_current() {
            self.give_up(&job, TextFault::Unknown, CallEnd::ModemLost);
        }
    }

    /// The job that was under way, and what was asked of it goes with it.
    fn end_current(&mut self) -> Option<Job> {
        let job = self.current.take()?;
        self.call_orders.retain(|(id, _)| *id != job.id);
        Some(job)
    }

    /// What the call under way is asked for next.
    fn next_call_order(&mut self) -> Option<CallOrder> {
        let current = self.current.as_ref()?.id;
        let place = self.call_orders.iter().position(|(id, _)| *id == current)?;
        self.call_orders.remove(place).map(|(_, order)| order)
    }

    /// Gives up all that waits or is under way: the modem is lost.
    pub(super) fn abandon(&mut self, text: &TextFault, call: &CallEnd) {
        self.abandon_current();
        self.call_orders.clear();
        for job in std::mem::take(&mut self.jobs) {
            self.give_up(&job, text.clone(), call.clone());
        }
    }

    fn until(&mut self, moment: Duration) {
        self.due = Some(self.due.map_or(moment, |due| due.min(moment)));
    }
}

/// A procedure's way to the desk.
#[derive(Clone)]
pub(super) struct Line(Rc<RefCell<Desk>>);

impl Line {
    pub(super) fn new(desk: &Rc<RefCell<Desk>>) -> Self {
        Line(Rc::clone(desk))
    }

    pub(super) fn desk(&self) -> RefMut<'_, Desk> {
        self.0.borrow_mut()
    }

    pub(super) fn now(&self) -> Duration {
        self.desk().now
    }

    pub(super) fn tell(&self, event: Event) {
        self.desk().events.push_back(event);
    }

    /// Changes what is known of the modem, and tells it if that is news.
    pub(super) fn change(&self, change: impl FnOnce(&mut ModemState)) {
        let mut desk = self.desk();
        let before = desk.state.clone();
        change(&mut desk.state);
        if desk.state != before {
            let state = desk.state.clone();
            desk.events.push_back(Event::State(state));
        }
    }

    pub(super) fn state(&self) -> ModemState {
        self.desk().state.clone()
    }

    /// Texts that may be given out now.
    pub(super) fn room(&self) -> usize {
        self.desk().room
    }

    pub(super) fn use_room(&self) {
        let mut desk = self.desk();
        desk.room = desk.room.saturating_sub(1);
    }

    /// Begins with a job. What was told before is none of its.
    pub(super) fn begin(&self, job: &Job) {
        let mut desk = self.desk();
        desk.current = Some(job.clone());
        desk.told.clear();
    }

    /// A job is done, and this is how it came out.
    pub(super) fn end(&self, event: Event) {
        let mut desk = self.desk();
        desk.end_current();
        desk.events.push_back(event);
    }

    /// Tells that a job came to nothing before it began.
    pub(super) fn refuse(&self, job: &Job, text: TextFault, call: CallEnd) {
        self.desk().give_up(job, text, call);
    }

    /// That texts have come is to be looked into later.
    pub(super) fn remember_texts(&self) {
        self.desk().are_texts_stored = true;
    }

    /// Leaves what the modem may be in the middle of: a message after its prompt.
    pub(super) fn escape(&self) {
        self.desk().output.push(ESCAPE);
    }

    /// Sends a command and waits for its answer.
    pub(super) async fn ask(&self, command: Command) -> Result<Reply, Fault> {
        {
            let mut desk = self.desk();
            desk.answer = None;
            desk.output.extend(command.text.as_bytes());
            desk.output.push(match command.kind {
                Kind::Message => END_OF_MESSAGE,
                _ => b'\r',
            });
            let deadline = desk.now + command.time_out;
            desk.asked = Some(Asked {
                command,
                lines: Vec::new(),
                deadline,
            });
        }
        poll_fn(|_| self.desk().poll_answer()).await
    }

    /// Sends a command; says whether the answer was that it is done.
    pub(super) async fn ask_ok(&self, text: impl Into<String>) -> Result<bool, Fault> {
        Ok(self.ask(Command::new(text)).await?.is_ok())
    }

    /// Waits for what comes next. `for_job`: whether a new job is to be begun with.
    pub(super) async fn occurrence(
        &self,
        until: Duration,
        for_job: bool,
    ) -> Result<Occurrence, Fault> {
        poll_fn(|_| self.desk().poll_occurrence(until, for_job)).await
    }

    /// Lets time pass, whatever happens; only a restart ends it.
    pub(super) async fn pause(&self, time: Duration) -> Result<(), Fault> {
        let until = self.now() + time;
        poll_fn(|_| {
            let mut desk = self.desk();
            match () {
                () if std::mem::take(&mut desk.has_restarted) => Poll::Ready(Err(Fault::Restarted)),
                () if desk.now >= until => Poll::Ready(Ok(())),
                () => {
                    desk.until(until);
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl Desk {
    fn poll_answer(&mut self) -> Poll<Result<Reply, Fault>> {
        if std::mem::take(&mut self.has_restarted) {
            self.asked = None;
            return Poll::Ready(Err(Fault::Restarted));
        }
        if let Some(answer) = self.answer.take() {
            return Poll::Ready(Ok(answer));
        }
        let Some(asked) = &self.asked else {
            return Poll::Ready(Err(Fault::Silent("nothing".into())));
        };
        let is_dialling = asked.command.kind == Kind::Dialling;
        let current = self.current.as_ref().map(|job| job.id);
        let is_to_end =
            |(id, order): &(JobId, CallOrder)| Some(*id) == current && *order == CallOrder::HangUp;
        if is_dialling && self.call_orders.iter().any(is_to_end) {
            // Any sign ends dialling (V.250, 5.6.1).
            self.output.push(b'\r');
            self.asked = None;
            return Poll::Ready(Ok(Reply::Abandoned));
        }
        if self.now >= asked.deadline {
            let name = asked.command.name().to_owned();
            self.asked = None;
            return Poll::Ready(Err(Fault::Silent(name)));
        }
        let deadline = asked.deadline;
        self.until(deadline);
        Poll::Pending
    }

    fn poll_occurrence(
        &mut self,
        until: Duration,
        for_job: bool,
    ) -> Poll<Result<Occurrence, Fault>> {
        if std::mem::take(&mut self.has_restarted) {
            return Poll::Ready(Err(Fault::Restarted));
        }
        let occurrence = if let Some(told) = self.told.pop_front() {
            Occurrence::Told(told)
        } else if let Some(order) = self.next_call_order() {
            Occurrence::Ordered(order)
        } else if let Some(job) = for_job.then(|| self.jobs.pop_front()).flatten() {
            Occurrence::Job(job)
        } else if for_job && self.are_texts_stored && self.room > 0 {
            self.are_texts_stored = false;
            Occurrence::TextsStored
        } else if self.now >= until {
            Occurrence::Due
        } else {
            self.until(until);
            return Poll::Pending;
        };
        Poll::Ready(Ok(occurrence))
    }
}
