//! The whole of it: one account at one trunk, its registration, its probes, its calls. Messages and the time come in,
//! [`Output`]s go out; whoever drives it asks [`Agent::next_due`] when to come back.

use crate::{
    outcome::Trouble,
    sip::{
        call::{Call, CallRequest, reason},
        header::{address, parameter, tag},
        message::Message,
        requests::{Account, Core, Output, retry_after},
        timers::{REFRESH_PART, REGISTER_PAUSE_MAX, REGISTER_PAUSE_MIN},
        transaction::{Due, Owner, Verdict},
    },
};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

/// For how long we ask to be known.
const REGISTER_SECONDS: u32 = 3_600;
/// The shortest and the longest registration that is believed.
const REGISTER_SECONDS_MIN: u32 = 20;
const REGISTER_SECONDS_MAX: u32 = 86_400;

/// One account at one trunk.
pub(crate) struct Agent {
    core: Core,
    calls: BTreeMap<u64, Call>,
    registration: Option<Registration>,
    probe: Option<()>,
    probe_call_id: String,
    probe_sequence: u32,
}

struct Registration {
    call_id: String,
    tag: String,
    sequence: u32,
    seconds: u32,
    due: Option<Instant>,
    pause: Duration,
}

impl Agent {
    pub(crate) fn new(
        account: Account,
        secret: [u8; 32],
        local: SocketAddr,
        server: SocketAddr,
    ) -> Self {
        let mut core = Core::new(account, secret, local, server);
        let probe_call_id = core.tokens.token();
        Agent {
            core,
            calls: BTreeMap::new(),
            registration: None,
            probe: None,
            probe_call_id,
            probe_sequence: 0,
        }
    }

    /// Where we listen and where the trunk is, if either has changed.
    pub(crate) fn moved(&mut self, local: SocketAddr, server: SocketAddr) {
        self.core.moved(local);
        self.core.server = server;
    }

    /// What is to be done next.
    pub(crate) fn output(&mut self) -> Option<Output> {
        self.core.outputs.pop_front()
    }

    /// Calls that somebody waits for.
    pub(crate) fn live_calls(&self) -> usize {
        self.calls.values().filter(|it| it.is_live()).count()
    }

    /// Whether anything is still to be said or waited for.
    pub(crate) fn is_busy(&self) -> bool {
        self.live_calls() > 0
            || self
                .core
                .transactions
                .values()
                .any(|it| it.is_open() && matches!(it.owner, Owner::Within(_) | Owner::Nobody))
    }

    /// Calls somebody.
    pub(crate) fn call(&mut self, request: &CallRequest, now: Instant) {
        let call = Call::begin(&mut self.core, request, now);
        self.calls.insert(request.id, call);
    }

    /// Ends a call, however far it is.
    pub(crate) fn hang_up(&mut self, id: u64, now: Instant) {
        if let Some(call) = self.calls.get_mut(&id) {
            call.hang_up(&mut self.core, now);
        }
    }

    /// Asks the trunk whether it is there. Several who ask at once get one answer.
    pub(crate) fn probe(&mut self, now: Instant) {
        if self.probe.replace(()).is_some() {
            return;
        }
        self.probe_sequence += 1;
        let uri = format!("sip:{}", self.core.account.domain);
        let own_tag = self.core.tokens.token();
        let account = &self.core.account;
        let from = account.own_field(&account.user, &own_tag);
        let to = format!("<{uri}>");
        let call_id = &self.probe_call_id;
        let mut request =
            self.core
                .request("OPTIONS", &uri, &from, &to, call_id, self.probe_sequence);
        self.core.introduce(&mut request);
        request.headers.add("Accept", "application/sdp");
        let server = self.core.server;
        self.core.start(Owner::Probe, request, server, now);
    }

    /// Lets the trunk know where we are, from now on.
    pub(crate) fn register(&mut self, now: Instant) {
        let (call_id, own_tag) = (self.core.tokens.token(), self.core.tokens.token());
        let registration = self.registration.get_or_insert(Registration {
            call_id,
            tag: own_tag,
            sequence: 0,
            seconds: REGISTER_SECONDS,
            due: None,
            pause: REGISTER_PAUSE_MIN,
        });
        registration.sequence += 1;
        registration.due = None;
        let account = &self.core.account;
        let own = format!("<{}>", account.address_of(&account.user));
        let from = account.own_field(&account.user, &registration.tag);
        let uri = format!("sip:{}", account.domain);
        let (call_id, sequence) = (&registration.call_id, registration.sequence);
        let mut request = self
            .core
            .request("REGISTER", &uri, &from, &own, call_id, sequence);
        self.core.introduce(&mut request);
        request
            .headers
            .add("Expires", &registration.seconds.to_string());
        let server = self.core.server;
        self.core.start(Owner::Registration, request, server, now);
    }

    /// A message has come.
    pub(crate) fn message(&mut self, message: &Message, source: SocketAddr, now: Instant) {
        match message.method() {
            None => self.response(message, source, now),
            Some(_) => self.request(message, source, now),
        }
    }

    fn response(&mut self, response: &Message, source: SocketAddr, now: Instant) {
        let (Some(branch), Some((_, method))) = (response.branch(), response.sequence()) else {
            return;
        };
        let key = (branch.to_owned(), method.to_owned());
        if self.core.transactions.contains_key(&key) {
            // Only whoever was asked knows the branch: nobody else is to say where we are.
            self.core.learn(response);
        }
        let Some(transaction) = self.core.transactions.get_mut(&key) else {
            return self.stray(response, source, now);
        };
        let verdict = transaction.response(response, now);
        let (owner, tries, to) = (transaction.owner, transaction.tries, transaction.to);
        let request = transaction.request.clone();
        match verdict {
            Verdict::Nothing => return,
            Verdict::Again(ack) => return self.core.send(to, ack),
            Verdict::Acknowledge(ack) => self.core.send(to, ack),
            Verdict::News => {}
            Verdict::Last => {
                self.core.transactions.remove(&key);
            }
        }
        match owner {
            Owner::Call(id) => {
                if let Some(call) = self.calls.get_mut(&id) {
                    call.response(&mut self.core, response, source, tries, now);
                }
            }
            Owner::Within(id) => {
                if response.code() >= Some(200)
                    && let Some(call) = self.calls.get_mut(&id)
                {
                    call.response_within(&mut self.core, &request, response, tries, now);
                }
            }
            Owner::Probe => self.probed(&request, response, tries, now),
            Owner::Registration => self.registered(&request, response, tries, now),
            Owner::Nobody => self.cleared_away(&request, response, to, tries, now),
        }
    }

    /// A farewell that wants proof is said again with it, or somebody stays in a call with nobody. A CANCEL cannot be
    /// said again under another number (RFC 3261 section 22.1).
    fn cleared_away(
        &mut self,
        request: &Message,
        response: &Message,
        to: SocketAddr,
        tries: u8,
        now: Instant,
    ) {
        if request.method() == Some("BYE")
            && let Some(again) = self.core.proved(request, response, tries)
        {
            self.once_more(Owner::Nobody, again, to, tries, now);
        }
    }

    /// A 2xx that no transaction waits for is still to be acknowledged (RFC 3261 section 13.2.2.4).
    fn stray(&mut self, response: &Message, source: SocketAddr, now: Instant) {
        let is_success = response.code().is_some_and(|it| (200..300).contains(&it));
        let is_invite = response
            .sequence()
            .is_some_and(|(_, method)| method == "INVITE");
        let call_id = response.headers.first("Call-ID").unwrap_or_default();
        if is_success
            && is_invite
            && let Some(call) = self.calls.values_mut().find(|it| it.call_id() == call_id)
        {
            call.late_success(&mut self.core, response, source, now);
        }
    }

    fn probed(&mut self, request: &Message, response: &Message, tries: u8, now: Instant) {
        let code = response.code().unwrap_or_default();
        let outcome = match code {
            401 | 407 => match self.core.proved(request, response, tries) {
                Some(again) => {
                    self.probe_sequence += 1;
                    return self.once_more(Owner::Probe, again, self.core.server, tries, now);
                }
                None => Err(Trouble::Unauthorised),
            },
            // It is there, but whoever is behind it is not.
            408 | 502..=504 => Err(Trouble::Failed {
                code,
                reason: reason(response).into(),
            }),
            // Whatever else it says to OPTIONS, it says something.
            _ => Ok(()),
        };
        self.probe = None;
        self.core.outputs.push_back(Output::Probed(outcome));
    }

    fn once_more(
        &mut self,
        owner: Owner,
        request: Message,
        to: SocketAddr,
        tries: u8,
        now: Instant,
    ) {
        let method = request.method().unwrap_or_default().to_owned();
        let branch = self.core.start(owner, request, to, now);
        if let Some(transaction) = self.core.transactions.get_mut(&(branch, method)) {
            transaction.tries = tries + 1;
        }
    }

    fn registered(&mut self, request: &Message, response: &Message, tries: u8, now: Instant) {
        let code = response.code().unwrap_or_default();
        let Some(registration) = &mut self.registration else {
            return;
        };
        match code {
            200..300 => {
                let seconds = granted_seconds(response, registration.seconds);
                let life = Duration::from_secs(seconds.into()).mul_f64(REFRESH_PART);
                registration.due = Some(now + life);
                registration.pause = REGISTER_PAUSE_MIN;
                self.core.outputs.push_back(Output::Registered(Ok(())));
            }
            401 | 407 => match self.core.proved(request, response, tries) {
                Some(again) => {
                    registration.sequence += 1;
                    self.once_more(Owner::Registration, again, self.core.server, tries, now);
                }
                None => self.not_registered(Trouble::Unauthorised, None, now),
            },
            // It wants to be bothered less often (RFC 3261 section 10.2.8).
            423 => {
                let wanted = response
                    .headers
                    .first("Min-Expires")
                    .and_then(|it| it.parse().ok());
                match wanted {
                    Some(seconds)
                        if seconds > registration.seconds && seconds <= REGISTER_SECONDS_MAX =>
                    {
                        registration.seconds = seconds;
                        self.register(now);
                    }
                    _ => self.not_registered(refusal(response), None, now),
                }
            }
            _ => self.not_registered(refusal(response), retry_after(response), now),
        }
    }

    /// The trunk could not be asked at all: it is after a while.
    pub(crate) fn not_registered_yet(&mut self, trouble: Trouble, now: Instant) {
        let pause = REGISTER_PAUSE_MIN;
        self.registration.get_or_insert_with(|| Registration {
            call_id: self.core.tokens.token(),
            tag: self.core.tokens.token(),
            sequence: 0,
            seconds: REGISTER_SECONDS,
            due: None,
            pause,
        });
        self.not_registered(trouble, None, now);
    }

    fn not_registered(&mut self, trouble: Trouble, wanted: Option<Duration>, now: Instant) {
        if let Some(registration) = &mut self.registration {
            let pause = registration
                .pause
                .max(wanted.unwrap_or_default())
                .min(REGISTER_PAUSE_MAX);
            registration.due = Some(now + pause);
            registration.pause = (registration.pause * 2).min(REGISTER_PAUSE_MAX);
        }
        self.core
            .outputs
            .push_back(Output::Registered(Err(trouble)));
    }

    fn request(&mut self, request: &Message, source: SocketAddr, now: Instant) {
        let method = request.method().unwrap_or_default();
        if method != "ACK" && self.core.was_answered(request) {
            return;
        }
        if let Some(call) = self.calls.values_mut().find(|it| it.has(request)) {
            return call.request(&mut self.core, request, source, now);
        }
        let is_of_a_call = request.headers.first("To").and_then(tag).is_some();
        let (code, reason) = match method {
            "ACK" => return,
            "OPTIONS" => (200, "OK"),
            _ if is_of_a_call => (481, "Call Does Not Exist"),
            "CANCEL" => (481, "Transaction Does Not Exist"),
            // This telephone only calls.
            "INVITE" => (486, "Busy Here"),
            "BYE" | "UPDATE" | "INFO" => (481, "Call Does Not Exist"),
            _ => (405, "Method Not Allowed"),
        };
        self.core.answer_with(request, code, reason, source, now);
    }

    /// The connection to the trunk broke: nothing that was sent over it is answered any more. Calls that talk go on,
    /// those that ring are given up and withdrawn, and what ends calls is sent again over the next connection.
    pub(crate) fn connection_lost(&mut self, why: &str, now: Instant) {
        let keys: Vec<_> = self.core.transactions.keys().cloned().collect();
        for key in keys {
            self.not_sent(&key, why, now);
        }
    }

    /// A message could not be sent at all: that is the trouble of whatever it was for, and of nothing else.
    pub(crate) fn undeliverable(&mut self, bytes: &[u8], why: &str, now: Instant) {
        let Ok(message) = Message::parse(bytes) else {
            return;
        };
        if let (Some(method), Some(branch)) = (message.method(), message.branch()) {
            self.not_sent(&(branch.to_owned(), method.to_owned()), why, now);
        }
    }

    fn not_sent(&mut self, key: &(String, String), why: &str, now: Instant) {
        let Some(transaction) = self.core.transactions.get_mut(key) else {
            return;
        };
        if !transaction.is_open() {
            return;
        }
        match transaction.owner {
            // Whoever is still in a call is not to be left in it: these go on trying until their time is over.
            Owner::Within(_) | Owner::Nobody => transaction.send_again(now),
            Owner::Call(id) => {
                self.give_up(key, &Trouble::Unreachable(why.into()), now);
                if let Some(call) = self.calls.get_mut(&id) {
                    // Another number is tried now: this one is not to ring on.
                    call.cancel_if_possible(&mut self.core, now);
                }
            }
            Owner::Probe | Owner::Registration => {
                self.give_up(key, &Trouble::Unreachable(why.into()), now);
            }
        }
    }

    fn give_up(&mut self, key: &(String, String), trouble: &Trouble, now: Instant) {
        if let Some(transaction) = self.core.transactions.get_mut(key)
            && let Owner::Call(id) = transaction.owner
            && !transaction.has_lingered()
        {
            transaction.linger(now);
            if let Some(call) = self.calls.get_mut(&id) {
                call.unanswered(&mut self.core, trouble.clone(), now);
            }
            return;
        }
        let Some(transaction) = self.core.transactions.remove(key) else {
            return;
        };
        match transaction.owner {
            Owner::Call(id) => {
                if let Some(call) = self.calls.get_mut(&id) {
                    call.unanswered(&mut self.core, trouble.clone(), now);
                }
            }
            Owner::Within(id) => {
                if let Some(call) = self.calls.get_mut(&id) {
                    call.unanswered_within(&mut self.core, &transaction.request, now);
                }
            }
            Owner::Probe => {
                self.probe = None;
                self.core
                    .outputs
                    .push_back(Output::Probed(Err(trouble.clone())));
            }
            Owner::Registration => self.not_registered(trouble.clone(), None, now),
            Owner::Nobody => {}
        }
    }

    /// What the time brings.
    pub(crate) fn tick(&mut self, now: Instant) {
        let keys: Vec<_> = self.core.transactions.keys().cloned().collect();
        for key in keys {
            let Some(transaction) = self.core.transactions.get_mut(&key) else {
                continue;
            };
            let to = transaction.to;
            match transaction.tick(now) {
                Due::Nothing => {}
                Due::Resend(bytes) => self.core.send(to, bytes),
                Due::Over => {
                    self.core.transactions.remove(&key);
                }
                Due::GivenUp => self.give_up(&key, &Trouble::Silent, now),
            }
        }
        for call in self.calls.values_mut() {
            call.tick(&mut self.core, now);
        }
        self.calls.retain(|_, call| !call.is_forgotten(now));
        self.core.forget_answers(now);
        if self
            .registration
            .as_ref()
            .and_then(|it| it.due)
            .is_some_and(|at| at <= now)
        {
            self.register(now);
        }
    }

    /// When to come back at the latest.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let transactions = self
            .core
            .transactions
            .values()
            .filter_map(|it| it.next_due());
        let calls = self.calls.values().filter_map(Call::next_due);
        let registration = self.registration.as_ref().and_then(|it| it.due);
        transactions.chain(calls).chain(registration).min()
    }
}

/// How long the trunk will know us: it says so in our own Contact, or for all of them.
fn granted_seconds(response: &Message, asked: u32) -> u32 {
    let contact = response
        .headers
        .list("Contact")
        .filter(|it| address(it).starts_with("sip"))
        .find_map(|it| parameter(it, "expires"));
    contact
        .or_else(|| response.headers.first("Expires"))
        .and_then(|it| it.parse().ok())
        .unwrap_or(asked)
        .clamp(REGISTER_SECONDS_MIN, REGISTER_SECONDS_MAX)
}

fn refusal(response: &Message) -> Trouble {
    let code = response.code().unwrap_or_default();
    let reason = reason(response).to_owned();
    match code {
        500.. => Trouble::Failed { code, reason },
        _ => Trouble::Refused { code, reason },
    }
}
