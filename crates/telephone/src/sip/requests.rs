//! What all requests and answers of one account have in common: how they are begun, proved, sent and kept account of.

use crate::{
    number::Number,
    outcome::{End, Progress, Trouble},
    sip::{
        call::SoundChange,
        digest::{Challenge, Proof},
        header::{escaped_user, quoted, split_host},
        message::{Message, Start},
        timers::{GONE, TRIES_MAX},
        tokens::Tokens,
        transaction::{ClientTransaction, Owner},
    },
};
use std::{
    collections::{HashMap, VecDeque},
    fmt,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

/// What we understand of others (RFC 3261 section 20.5).
pub(crate) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE";
/// What we say we are.
const USER_AGENT: &str = concat!("Switchyard/", env!("CARGO_PKG_VERSION"));
/// Answers that are kept for whoever asks the same again. A call has a handful.
const ANSWERS_MAX: usize = 256;
/// What is sent at one time at most; beyond that somebody floods us.
const TRANSACTIONS_MAX: usize = 1_024;

/// How messages are carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Datagrams, sent again when they get lost.
    Udp,
    /// A connection.
    Tcp,
    /// An encrypted connection to a server that proves who it is.
    Tls,
}

impl Transport {
    pub(crate) fn is_reliable(self) -> bool {
        self != Transport::Udp
    }

    fn via_name(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
        }
    }

    fn uri_parameter(self) -> &'static str {
        match self {
            Transport::Udp => "",
            Transport::Tcp => ";transport=tcp",
            Transport::Tls => ";transport=tls",
        }
    }
}

/// Who we are to the trunk.
#[derive(Clone)]
pub(crate) struct Account {
    /// What stands behind the `@`: the server's name, with its number where that is not the usual one.
    pub(crate) domain: String,
    pub(crate) user: String,
    pub(crate) password: String,
    /// Who is said to call, where that is not the user.
    pub(crate) caller: Option<String>,
    pub(crate) display_name: Option<String>,
    pub(crate) transport: Transport,
    /// A Route that every request outside of a dialog takes first: the outbound proxy's.
    pub(crate) route: Option<String>,
    /// Where we are seen from outside, for what is behind a router that changes addresses.
    pub(crate) public_ip: Option<IpAddr>,
    pub(crate) silence_limit: Duration,
    /// What numbers have to begin with that a call is redirected to; empty where any may be.
    pub(crate) redirect_prefixes: Vec<String>,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("domain", &self.domain)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl Account {
    /// Whether a call may go on to whatever stands before the `@`.
    pub(crate) fn allows_redirect_to(&self, user: &str) -> bool {
        let number: Option<Number> = user.parse().ok();
        let is_allowed = |number: Number| {
            let mut prefixes = self.redirect_prefixes.iter();
            prefixes.any(|prefix| number.as_str().starts_with(prefix.as_str()))
        };
        self.redirect_prefixes.is_empty() || number.is_some_and(is_allowed)
    }

    pub(crate) fn address_of(&self, user: &str) -> String {
        format!("sip:{}@{}", escaped_user(user), self.domain)
    }

    /// The From of all that we send: with a tag, whoever we call knows us by it.
    pub(crate) fn own_field(&self, user: &str, tag: &str) -> String {
        let name = match &self.display_name {
            Some(name) => format!("{} ", quoted(name)),
            None => String::new(),
        };
        format!("{name}<{}>;tag={tag}", self.address_of(user))
    }
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Send these bytes.
    Send { to: SocketAddr, bytes: Vec<u8> },
    /// A call tells something.
    Call { call: u64, event: CallEvent },
    /// The trunk has answered a probe, or has not.
    Probed(Result<(), Trouble>),
    /// The trunk knows where we are, or will not.
    Registered(Result<(), Trouble>),
}

/// What a call tells the one who carries its sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CallEvent {
    Progress(Progress),
    /// Sound goes another way from now on.
    Sound(SoundChange),
    /// A key came by INFO.
    Key(char),
    Ended(End),
}

/// An answer that we gave.
struct Given {
    key: (String, String),
    to: SocketAddr,
    bytes: Vec<u8>,
    until: Instant,
}

/// What requests and answers go through.
pub(crate) struct Core {
    pub(crate) account: Account,
    pub(crate) tokens: Tokens,
    /// Where we listen.
    pub(crate) local: SocketAddr,
    /// Where requests outside of a dialog go.
    pub(crate) server: SocketAddr,
    /// Where we were last seen from the trunk (RFC 3581).
    seen_as: Option<SocketAddr>,
    pub(crate) transactions: HashMap<(String, String), ClientTransaction>,
    given: VecDeque<Given>,
    pub(crate) outputs: VecDeque<Output>,
    /// How often the last nonce was used.
    nonce: (String, u32),
}

impl Core {
    pub(crate) fn new(
        account: Account,
        secret: [u8; 32],
        local: SocketAddr,
        server: SocketAddr,
    ) -> Self {
        Core {
            account,
            tokens: Tokens::new(secret),
            local,
            server,
            seen_as: None,
            transactions: HashMap::new(),
            given: VecDeque::new(),
            outputs: VecDeque::new(),
            nonce: (String::new(), 0),
        }
    }

    /// Our own address, as others can reach us.
    pub(crate) fn contact(&self) -> String {
        let seen = self.seen_as.unwrap_or(self.local);
        let at = SocketAddr::new(self.account.public_ip.unwrap_or(seen.ip()), seen.port());
        format!(
            "<sip:{}@{at}{}>",
            escaped_user(&self.account.user),
            self.account.transport.uri_parameter()
        )
    }

    /// A request outside of a dialog.
    pub(crate) fn request(
        &self,
        method: &str,
        uri: &str,
        from: &str,
        to: &str,
        call_id: &str,
        number: u32,
    ) -> Message {
        let mut message = Message::request(method, uri);
        if let Some(route) = &self.account.route {
            message.headers.add("Route", route);
        }
        message.headers.add("Max-Forwards", "70");
        message.headers.add("From", from);
        message.headers.add("To", to);
        message.headers.add("Call-ID", call_id);
        message.headers.add("CSeq", &format!("{number} {method}"));
        message
    }

    /// Adds what we are and can.
    pub(crate) fn introduce(&self, message: &mut Message) {
        message.headers.set("Contact", &self.contact());
        message.headers.set("Allow", ALLOW);
        message.headers.set("Supported", "timer");
        message.headers.set("User-Agent", USER_AGENT);
    }

    fn via(&self, branch: &str) -> String {
        format!(
            "SIP/2.0/{} {};rport;branch={branch}",
            self.account.transport.via_name(),
            self.local
        )
    }

    /// Sends a request and waits for its answer. Gives its branch.
    pub(crate) fn start(
        &mut self,
        owner: Owner,
        mut request: Message,
        to: SocketAddr,
        now: Instant,
    ) -> String {
        let branch = self.tokens.branch();
        request.headers.add_first("Via", &self.via(&branch));
        let method = request.method().unwrap_or_default().to_owned();
        let transaction = ClientTransaction::new(
            owner,
            request,
            to,
            self.account.transport.is_reliable(),
            match owner {
                Owner::Call(_) | Owner::Probe | Owner::Registration => self.account.silence_limit,
                Owner::Within(_) | Owner::Nobody => GONE,
            },
            now,
        );
        self.send(to, transaction.bytes().to_vec());
        if self.transactions.len() < TRANSACTIONS_MAX {
            self.transactions
                .insert((branch.clone(), method), transaction);
        }
        branch
    }

    /// Sends a request that has no answer: the ACK of a 2xx. Gives its bytes.
    pub(crate) fn start_ack(&mut self, mut ack: Message, to: SocketAddr) -> Vec<u8> {
        let branch = self.tokens.branch();
        ack.headers.add_first("Via", &self.via(&branch));
        let bytes = ack.to_bytes();
        self.send(to, bytes.clone());
        bytes
    }

    /// Withdraws an INVITE that somebody has begun to answer.
    pub(crate) fn cancel(&mut self, branch: &str, now: Instant) {
        let key = (branch.to_owned(), "INVITE".to_owned());
        let Some(invite) = self.transactions.get_mut(&key) else {
            return;
        };
        invite.end_by(now + GONE);
        let (request, to) = (invite.sibling("CANCEL"), invite.to);
        let is_reliable = self.account.transport.is_reliable();
        let cancel = ClientTransaction::new(Owner::Nobody, request, to, is_reliable, GONE, now);
        self.send(to, cancel.bytes().to_vec());
        self.transactions
            .insert((branch.to_owned(), "CANCEL".to_owned()), cancel);
    }

    pub(crate) fn send(&mut self, to: SocketAddr, bytes: Vec<u8>) {
        self.outputs.push_back(Output::Send { to, bytes });
    }

    pub(crate) fn tell(&mut self, call: u64, event: CallEvent) {
        self.outputs.push_back(Output::Call { call, event });
    }

    /// The same request once more, with the proof that was asked for and the next number. `None` where no proof
    /// helps: there is no challenge that we can answer, or the last proof was wrong.
    pub(crate) fn proved(
        &mut self,
        request: &Message,
        response: &Message,
        tries: u8,
    ) -> Option<Message> {
        let challenge = Challenge::of(response)?;
        let field = challenge.asker.answer_field();
        if tries >= TRIES_MAX || self.account.password.is_empty() {
            return None;
        }
        // A second challenge to the same proof says that it was wrong, unless it says that it was late.
        if request.headers.first(field).is_some() && !challenge.is_stale {
            return None;
        }
        match self.nonce.0 == challenge.nonce {
            true => self.nonce.1 += 1,
            false => self.nonce = (challenge.nonce.clone(), 1),
        }
        let Start::Request { method, uri } = &request.start else {
            return None;
        };
        let cnonce = self.tokens.token();
        let answer = challenge.answer(&Proof {
            user: &self.account.user,
            password: &self.account.password,
            method,
            uri,
            cnonce: &cnonce,
            count: self.nonce.1,
        });
        let mut again = request.clone();
        let (number, method) = request.sequence()?;
        again.headers.remove("Via");
        again
            .headers
            .set("CSeq", &format!("{} {method}", number.wrapping_add(1)));
        again.headers.set(field, &answer);
        Some(again)
    }

    /// Learns from an answer where we are seen (RFC 3581 section 4).
    pub(crate) fn learn(&mut self, response: &Message) {
        let Some(via) = response.headers.list("Via").next() else {
            return;
        };
        let value = |name| crate::sip::header::parameter(via, name);
        let ip: Option<IpAddr> = value("received").and_then(|it| it.parse().ok());
        let number: Option<u16> = value("rport").and_then(|it| it.parse().ok());
        if ip.is_some() || number.is_some() {
            let ip = ip.unwrap_or(self.local.ip());
            self.seen_as = Some(SocketAddr::new(ip, number.unwrap_or(self.local.port())));
        }
    }

    /// Forgets where we are seen: we have moved.
    pub(crate) fn moved(&mut self, local: SocketAddr) {
        if self.local != local {
            self.local = local;
            self.seen_as = None;
        }
    }

    /// Answers a request, and keeps the answer for when it comes again. Answers go where the request came from:
    /// that is where its sender is (RFC 3581, and RFC 3261 section 18.2.2 for connections).
    pub(crate) fn answer(
        &mut self,
        request: &Message,
        response: &Message,
        source: SocketAddr,
        now: Instant,
    ) {
        let mut response = response.clone();
        if let Some(via) = response
            .headers
            .first("Via")
            .and_then(|it| stamped(it, source))
        {
            response.headers.set_first("Via", &via);
        }
        let bytes = response.to_bytes();
        self.send(source, bytes.clone());
        if let Some(key) = answer_key(request) {
            if self.given.len() == ANSWERS_MAX {
                self.given.pop_front();
            }
            self.given.push_back(Given {
                key,
                to: source,
                bytes,
                until: now + GONE,
            });
        }
    }

    /// A bare answer.
    pub(crate) fn answer_with(
        &mut self,
        request: &Message,
        code: u16,
        reason: &str,
        source: SocketAddr,
        now: Instant,
    ) {
        let tag = self.tokens.token();
        let mut response = Message::response(request, code, reason, &tag);
        response.headers.add("User-Agent", USER_AGENT);
        if matches!(code, 200 | 405) {
            response.headers.add("Allow", ALLOW);
        }
        self.answer(request, &response, source, now);
    }

    /// Whether it was answered before; if so, it is again.
    pub(crate) fn was_answered(&mut self, request: &Message) -> bool {
        let Some(key) = answer_key(request) else {
            return false;
        };
        let Some(given) = self.given.iter().find(|it| it.key == key) else {
            return false;
        };
        let (to, bytes) = (given.to, given.bytes.clone());
        self.send(to, bytes);
        true
    }

    pub(crate) fn forget_answers(&mut self, now: Instant) {
        while self.given.front().is_some_and(|it| it.until <= now) {
            self.given.pop_front();
        }
    }
}

/// A Via with where its request came from, where that was asked for (RFC 3581 section 4).
fn stamped(via: &str, source: SocketAddr) -> Option<String> {
    let mut parts: Vec<String> = via.split(';').map(|it| it.trim().to_owned()).collect();
    // In a list, the first alone is meant, and nobody who asks for this writes lists.
    let rport = parts
        .iter_mut()
        .find(|it| it.eq_ignore_ascii_case("rport"))?;
    *rport = format!("rport={}", source.port());
    parts.push(format!("received={}", source.ip()));
    (!via.contains(',')).then(|| parts.join(";"))
}

/// How a request is known when it comes again: its branch, who made that, and its method (RFC 3261 section 17.2.3).
fn answer_key(request: &Message) -> Option<(String, String)> {
    let via = request.headers.list("Via").next()?;
    let sent_by = via.split(';').next()?.split_whitespace().nth(1)?;
    let branch = request.branch()?;
    Some((format!("{sent_by} {branch}"), request.method()?.to_owned()))
}

/// What stands behind the `@` of our addresses.
pub(crate) fn domain(server: &str) -> Option<String> {
    let (host, number) = split_host(server)?;
    let host = match host.contains(':') {
        true => format!("[{host}]"),
        false => host.to_owned(),
    };
    Some(match number {
        None | Some(5060) => host,
        Some(number) => format!("{host}:{number}"),
    })
}

/// How long somebody asks us to wait (RFC 3261 section 20.33).
pub(crate) fn retry_after(response: &Message) -> Option<Duration> {
    let text = response.headers.first("Retry-After")?;
    let digits = text.split(|it: char| !it.is_ascii_digit()).next()?;
    digits.parse().ok().map(Duration::from_secs)
}
