//! A service for calls and texts over HTTP, in the form of Twilio: it takes requests in, makes calls of a script, and tells
//! by signed requests of its own how they go.
//!
//! It is as strict as the service that it stands for: what that would refuse is refused, and what it would not do is
//! written down ([`Provider::faults`]). What takes time there takes none here: nobody waits for a key that does not come.

mod http;
pub mod twiml;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use http::{Answered, Request};
use ring::hmac;
use std::{
    collections::HashMap,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};
use twiml::Verb;

/// Documents that a call follows; a call that goes on has lost its way.
const DOCUMENTS_MAX: usize = 100;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Taking {
    /// It is taken.
    #[default]
    Taken,
    /// It rings until it is ended.
    Rings,
    /// They are busy.
    Busy,
    /// Nobody takes it.
    NoAnswer,
    /// The service cannot make it.
    Failed,
}

/// What becomes of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Delivery {
    /// The telephone has it.
    #[default]
    Delivered,
    /// It is lost, for the reason of this number.
    Lost(u32),
    /// Nothing more is told of it.
    Unknown,
}

/// How a telephone, and the service's side of it, behave.
#[derive(Clone, Debug, Default)]
pub struct Telephone {
    /// What becomes of a call to it.
    pub taking: Taking,
    /// What is pressed at each question, in their order; an empty one is silence, and so are all behind them.
    pub keys: Vec<String>,
    /// It hangs up before so many questions were asked of it.
    pub hangs_up_at: Option<usize>,
    /// At this question it waits until [`Provider::release`].
    pub holds_at: Option<usize>,
    /// Everything is told twice.
    pub repeats: bool,
    /// Nothing is told at all.
    pub is_mute: bool,
    /// The service cannot end calls that were made to it.
    pub is_endless: bool,
    /// With which token what is told is signed, in place of the right one.
    pub token: Option<String>,
    /// What becomes of a text to it.
    pub delivery: Delivery,
}

impl Telephone {
    /// One that is taken, and where this is pressed at each question.
    #[must_use]
    pub fn pressing(keys: &[&str]) -> Self {
        Telephone {
            keys: keys.iter().map(|it| (*it).to_owned()).collect(),
            ..Telephone::default()
        }
    }
}

/// A call that was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlacedCall {
    /// What the service calls it.
    pub name: String,
    /// To whom.
    pub to: String,
    /// Where the service asks what is to be said.
    pub url: String,
    /// Where it tells how the call stands.
    pub status_url: String,
    /// Seconds that it may ring.
    pub ring_seconds: u32,
    /// Seconds that it may last.
    pub talk_seconds: u32,
    /// What was spoken.
    pub said: Vec<String>,
    /// How many keys were asked for, question by question.
    pub asked: Vec<usize>,
    /// In which word of the service it ended.
    pub end: Option<String>,
    /// It was asked to end.
    pub was_ended: bool,
    /// How what was told of it was answered, as `PATH STATUS`; the token in it is left out.
    pub answers: Vec<String>,
}

/// A text that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentText {
    /// What the service calls it.
    pub name: String,
    /// To whom.
    pub to: String,
    /// What it says.
    pub body: String,
    /// Where it is told how it comes out.
    pub status_url: Option<String>,
}

/// See the module. Dropping it ends it.
pub struct Provider {
    addr: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    account: String,
    token: String,
    state: Mutex<State>,
    has_ended: AtomicBool,
}

#[derive(Default)]
struct State {
    /// Where URLs that begin so lead.
    routes: Vec<(String, SocketAddr)>,
    telephones: HashMap<String, Telephone>,
    released: Vec<String>,
    /// Calls that cannot be ended at present.
    endless: Vec<String>,
    calls: Vec<PlacedCall>,
    texts: Vec<SentText>,
    faults: Vec<String>,
}

/// What a callback was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The type of its body.
    pub content_type: String,
    /// Its body.
    pub body: String,
}

impl Provider {
    /// Begins to listen, for an account with a token.
    ///
    /// # Errors
    /// When there is no port.
    pub fn start(account: &str, token: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("listening")?;
        let addr = listener.local_addr().context("asking for the address")?;
        let shared = Arc::new(Shared {
            account: account.to_owned(),
            token: token.to_owned(),
            state: Mutex::default(),
            has_ended: AtomicBool::new(false),
        });
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("provider".into())
            .spawn(move || of_thread.listen(&listener))
            .context("starting the server's thread")?;
        Ok(Provider {
            addr,
            shared,
            thread: Some(thread),
        })
    }

    /// Where it takes requests.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Where URLs lead that begin so, as a proxy in front of a gateway does it: the rest of the URL is the path there. It
    /// replaces what was there before.
    pub fn reach(&self, prefix: &str, addr: SocketAddr) {
        let mut state = self.shared.state();
        state.routes.retain(|(it, _)| it != prefix);
        state.routes.push((prefix.to_owned(), addr));
    }

    /// How the telephone of a number behaves from now on.
    pub fn behave(&self, number: &str, telephone: Telephone) {
        let mut state = self.shared.state();
        state.telephones.insert(number.to_owned(), telephone);
    }

    /// Lets the calls to a number go on that are held.
    pub fn release(&self, number: &str) {
        self.shared.state().released.push(number.to_owned());
    }

    /// The calls that were asked for.
    #[must_use]
    pub fn calls(&self) -> Vec<PlacedCall> {
        self.shared.state().calls.clone()
    }

    /// The texts that were asked for.
    #[must_use]
    pub fn texts(&self) -> Vec<SentText> {
        self.shared.state().texts.clone()
    }

    /// What the service would complain of.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        self.shared.state().faults.clone()
    }

    /// Tells of a text that has come, to a URL that begins as one of [`reach`](Self::reach).
    ///
    /// # Errors
    /// When nobody is there.
    pub fn receive(&self, url: &str, name: &str, from: &str, body: &str) -> Result<Answer> {
        let form = [
            ("MessageSid", name),
            ("AccountSid", &self.shared.account),
            ("From", from),
            ("To", "+18005551212"),
            ("NumMedia", "0"),
            ("SmsStatus", "received"),
            ("Body", body),
        ];
        self.shared.post(url, &form, &self.shared.token)
    }

    /// Tells something, signed with whatever token.
    ///
    /// # Errors
    /// When nobody is there.
    pub fn post(&self, url: &str, form: &[(&str, &str)], token: &str) -> Result<Answer> {
        self.shared.post(url, form, token)
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.shared.has_ended.store(true, Ordering::Relaxed);
        // It waits for somebody: that is somebody.
        let _ = TcpStream::connect(self.addr);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// As the service signs: HMAC-SHA1 of the URL, followed by names and values in the order of the names.
fn signature(token: &str, url: &str, form: &[(&str, &str)]) -> String {
    let mut pairs = form.to_vec();
    pairs.sort_unstable();
    let mut signed = url.to_owned();
    for (name, value) in pairs {
        signed.push_str(name);
        signed.push_str(value);
    }
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, token.as_bytes());
    let tag = hmac::sign(&key, signed.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(tag)
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fault(&self, fault: String) {
        self.state().faults.push(fault);
    }

    fn listen(self: &Arc<Self>, listener: &TcpListener) {
        while let Ok((stream, _)) = listener.accept() {
            if self.has_ended.load(Ordering::Relaxed) {
                return;
            }
            let shared = Arc::clone(self);
            // It ends with its client, or by its patience.
            std::thread::spawn(move || {
                if let Err(error) = http::serve(stream, |request| shared.answer(request)) {
                    shared.fault(format!("{error:#}"));
                }
            });
        }
    }

    /// Posts a form to a URL, signed.
    fn post(&self, url: &str, form: &[(&str, &str)], token: &str) -> Result<Answer> {
        let route = {
            let state = self.state();
            let mut routes = state.routes.iter();
            routes
                .find(|(prefix, _)| url.starts_with(prefix.as_str()))
                .cloned()
        };
        let (prefix, addr) = route.with_context(|| format!("nothing is known of {url}"))?;
        let path = url.get(prefix.len()..).unwrap_or_default();
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        let signature = signature(token, url, form);
        http::post(addr, path, &signature, &body)
    }

    fn answer(self: &Arc<Self>, request: &Request) -> Answered {
        let pair = format!("{}:{}", self.account, self.token);
        let pair = base64::engine::general_purpose::STANDARD.encode(pair);
        let authorization = format!("Basic {pair}");
        if request.header("authorization") != Some(authorization.as_str()) {
            return refused(401, 20_003, "Authenticate");
        }
        let base = format!("/2010-04-01/Accounts/{}", self.account);
        let path = request.path.strip_prefix(&base).unwrap_or_default();
        match (request.method.as_str(), path) {
            ("POST", "/Calls.json") => self.place(request),
            ("POST", "/Messages.json") => self.send(request),
            ("POST", path) => match path
                .strip_prefix("/Calls/")
                .and_then(|it| it.strip_suffix(".json"))
            {
                Some(name) => self.end(name, request),
                None => refused(404, 20_404, "The requested resource was not found"),
            },
            _ => refused(405, 20_004, "Method not allowed"),
        }
    }

    fn is_known(&self, url: &str) -> bool {
        let state = self.state();
        state
            .routes
            .iter()
            .any(|(it, _)| url.starts_with(it.as_str()))
    }

    fn place(self: &Arc<Self>, request: &Request) -> Answered {
        let (to, url) = (request.value("To"), request.value("Url"));
        let status_url = request.value("StatusCallback");
        if !is_number(to) {
            return refused(400, 21_211, "Invalid 'To' Phone Number");
        }
        if !is_number(request.value("From")) {
            return refused(400, 21_212, "Invalid 'From' Number");
        }
        if !self.is_known(url) || !self.is_known(status_url) {
            return refused(400, 21_205, "Url is not a valid URL");
        }
        let known = ["initiated", "ringing", "answered", "completed"];
        let mut events = request.values("StatusCallbackEvent");
        let (ring, talk) = (request.number("Timeout"), request.number("TimeLimit"));
        let (Some(ring_seconds @ 1..=600), Some(talk_seconds @ 1..=14_400)) = (ring, talk) else {
            return refused(400, 21_000, "Invalid Timeout or TimeLimit");
        };
        if !events.all(|it| known.contains(&it)) {
            return refused(400, 21_626, "Invalid StatusCallbackEvents");
        }
        let (index, name, telephone) = {
            let mut state = self.state();
            let index = state.calls.len();
            let name = format!("CA{index:032x}");
            state.calls.push(PlacedCall {
                name: name.clone(),
                to: to.to_owned(),
                url: url.to_owned(),
                status_url: status_url.to_owned(),
                ring_seconds,
                talk_seconds,
                ..PlacedCall::default()
            });
            let telephone = state.telephones.get(to).cloned().unwrap_or_default();
            if telephone.is_endless {
                state.endless.push(name.clone());
            }
            (index, name, telephone)
        };
        let call = Call {
            shared: Arc::clone(self),
            index,
            from: request.value("From").to_owned(),
            to: to.to_owned(),
            name: name.clone(),
            url: url.to_owned(),
            status_url: status_url.to_owned(),
            telephone,
        };
        std::thread::spawn(move || call.run());
        created(&name)
    }

    fn end(&self, name: &str, request: &Request) -> Answered {
        if request.value("Status") != "completed" {
            return refused(400, 21_218, "Invalid Status");
        }
        let mut state = self.state();
        let State { calls, endless, .. } = &mut *state;
        let call = calls.iter_mut().find(|it| it.name == name);
        match call {
            Some(_) if endless.iter().any(|it| it == name) => {
                refused(503, 20_503, "Service unavailable")
            }
            None => refused(404, 20_404, "The requested resource was not found"),
            Some(call) if call.end.is_some() => {
                refused(400, 21_220, "Call is not in-progress. Cannot redirect.")
            }
            Some(call) => {
                call.was_ended = true;
                Answered {
                    status: 200,
                    body: format!("{{\"sid\":\"{name}\",\"status\":\"in-progress\"}}"),
                }
            }
        }
    }

    fn send(self: &Arc<Self>, request: &Request) -> Answered {
        let (to, body) = (request.value("To"), request.value("Body"));
        if !is_number(to) {
            return refused(400, 21_211, "Invalid 'To' Phone Number");
        }
        if !(1..=1_600).contains(&body.chars().count()) {
            return refused(
                400,
                21_617,
                "The concatenated message body exceeds the 1600 limit",
            );
        }
        let status_url = Some(request.value("StatusCallback").to_owned());
        let status_url = status_url.filter(|it| !it.is_empty());
        if status_url.as_deref().is_some_and(|it| !self.is_known(it)) {
            return refused(400, 21_609, "Invalid StatusCallback");
        }
        let (text, telephone) = {
            let mut state = self.state();
            let name = format!("SM{:032x}", state.texts.len());
            let text = SentText {
                name,
                to: to.to_owned(),
                body: body.to_owned(),
                status_url,
            };
            state.texts.push(text.clone());
            let telephone = state.telephones.get(to).cloned().unwrap_or_default();
            (text, telephone)
        };
        let name = text.name.clone();
        let shared = Arc::clone(self);
        std::thread::spawn(move || {
            if let Err(error) = shared.deliver(&text, &telephone) {
                shared.fault(format!("{error:#}"));
            }
        });
        created(&name)
    }

    fn deliver(&self, text: &SentText, telephone: &Telephone) -> Result<()> {
        let Some(url) = text.status_url.as_deref().filter(|_| !telephone.is_mute) else {
            return Ok(());
        };
        let code;
        let last = match telephone.delivery {
            Delivery::Unknown => None,
            Delivery::Delivered => Some(("delivered", None)),
            Delivery::Lost(number) => {
                code = number.to_string();
                Some(("undelivered", Some(code.as_str())))
            }
        };
        let token = telephone.token.as_ref().unwrap_or(&self.token);
        for (status, error) in [("sent", None)].into_iter().chain(last) {
            let mut form = vec![
                ("MessageSid", text.name.as_str()),
                ("MessageStatus", status),
                ("To", &text.to),
                ("AccountSid", &self.account),
            ];
            form.extend(error.map(|error| ("ErrorCode", error)));
            self.post(url, &form, token)?;
            if telephone.repeats {
                self.post(url, &form, token)?;
            }
        }
        Ok(())
    }
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or_default();
    (1..=15).contains(&digits.len()) && digits.bytes().all(|it| it.is_ascii_digit())
}

fn created(name: &str) -> Answered {
    Answered {
        status: 201,
        body: format!("{{\"sid\":\"{name}\",\"status\":\"queued\"}}"),
    }
}

fn refused(status: u16, code: u32, message: &str) -> Answered {
    Answered {
        status,
        body: format!("{{\"code\":{code},\"message\":\"{message}\",\"status\":{status}}}"),
    }
}

/// A call under way.
struct Call {
    shared: Arc<Shared>,
    index: usize,
    name: String,
    from: String,
    to: String,
    url: String,
    status_url: String,
    telephone: Telephone,
}

impl Call {
    fn run(&self) {
        if self.telephone.is_mute {
            return;
        }
        let end = match self.go_on() {
            Ok(end) => end,
            Err(error) => {
                // Whoever has taken it hears that an application error has occurred.
                self.shared.fault(format!("{error:#}"));
                "completed"
            }
        };
        self.with(|it| it.end = Some(end.to_owned()));
        if let Err(error) = self.status(end) {
            self.shared.fault(format!("{error:#}"));
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut PlacedCall) -> T) -> Option<T> {
        self.shared.state().calls.get_mut(self.index).map(change)
    }

    fn was_ended(&self) -> bool {
        let has_ended = self.shared.has_ended.load(Ordering::Relaxed);
        has_ended || self.with(|it| it.was_ended).unwrap_or(true)
    }

    fn go_on(&self) -> Result<&'static str> {
        self.status("initiated")?;
        match self.telephone.taking {
            Taking::Failed => return Ok("failed"),
            Taking::Busy => return Ok("busy"),
            _ => self.status("ringing")?,
        }
        match self.telephone.taking {
            Taking::NoAnswer => return Ok("no-answer"),
            Taking::Rings => {
                crate::wait_until("a call to be ended", || self.was_ended().then_some(()))?;
                return Ok("canceled");
            }
            _ => {}
        }
        self.status("in-progress")?;
        self.talk()?;
        Ok("completed")
    }

    fn talk(&self) -> Result<()> {
        let mut verbs = self.document(&self.url, None)?;
        let mut questions = 0;
        for _ in 0..DOCUMENTS_MAX {
            if self.was_ended() {
                return Ok(());
            }
            match self.follow(&verbs, &mut questions)? {
                Some(next) => verbs = next,
                None => return Ok(()),
            }
        }
        anyhow::bail!("the call has lost its way")
    }

    /// Does what a document says; the one that follows it.
    fn follow(&self, verbs: &[Verb], questions: &mut usize) -> Result<Option<Vec<Verb>>> {
        for verb in verbs {
            match verb {
                Verb::Say { text, .. } => self.hear(text),
                Verb::Pause(_) => {}
                Verb::Gather {
                    digits,
                    last,
                    action,
                    inside,
                    ..
                } => {
                    for verb in inside {
                        if let Verb::Say { text, .. } = verb {
                            self.hear(text);
                        }
                    }
                    self.with(|it| it.asked.push(*digits));
                    let question = std::mem::replace(questions, *questions + 1);
                    if self.telephone.hangs_up_at == Some(question) {
                        return Ok(None);
                    }
                    if self.telephone.holds_at == Some(question) {
                        let is_free = || {
                            let is_released = self.shared.state().released.contains(&self.to);
                            (is_released || self.was_ended()).then_some(())
                        };
                        crate::wait_until("a call to be released", is_free)?;
                        if self.was_ended() {
                            return Ok(None);
                        }
                    }
                    let pressed = self.telephone.keys.get(question);
                    let pressed = pressed.map(String::as_str).unwrap_or_default();
                    let keys: String = pressed
                        .chars()
                        .take_while(|it| Some(*it) != *last)
                        .take(*digits)
                        .collect();
                    if !keys.is_empty() {
                        return self.document(action, Some(&keys)).map(Some);
                    }
                }
                Verb::Redirect(url) => return self.document(url, None).map(Some),
                Verb::Hangup => return Ok(None),
            }
        }
        Ok(None)
    }

    fn hear(&self, text: &str) {
        self.with(|it| it.said.push(text.to_owned()));
    }

    /// Asks what is to be done.
    fn document(&self, url: &str, keys: Option<&str>) -> Result<Vec<Verb>> {
        let mut more = vec![("CallStatus", "in-progress")];
        more.extend(keys.map(|keys| ("Digits", keys)));
        let answer = self.tell(url, &more)?;
        ensure!(
            answer.status == 200,
            "expected 200 and found {} with {}",
            answer.status,
            answer.body
        );
        ensure!(
            answer.content_type.starts_with("text/xml"),
            "expected text/xml and found {}",
            answer.content_type
        );
        twiml::read(&answer.body).with_context(|| answer.body.clone())
    }

    fn status(&self, status: &str) -> Result<()> {
        self.tell(&self.status_url, &[("CallStatus", status)])
            .map(drop)
    }

    fn tell(&self, url: &str, more: &[(&str, &str)]) -> Result<Answer> {
        let mut form = vec![
            ("CallSid", self.name.as_str()),
            ("AccountSid", self.shared.account.as_str()),
            ("From", &self.from),
            ("To", &self.to),
            ("Direction", "outbound-api"),
        ];
        form.extend_from_slice(more);
        let token = self.telephone.token.as_ref().unwrap_or(&self.shared.token);
        let answer = self.shared.post(url, &form, token)?;
        if self.telephone.repeats {
            let again = self.shared.post(url, &form, token)?;
            if again.status == 200 {
                twiml::read(&again.body).with_context(|| again.body.clone())?;
            }
        }
        let place = url.rsplit('/').take(2).collect::<Vec<_>>();
        let place = match place[..] {
            [turn, "turns"] => format!("turns/{turn}"),
            [last, ..] => last.to_owned(),
            [] => String::new(),
        };
        self.with(|it| it.answers.push(format!("{place} {}", answer.status)));
        Ok(answer)
    }
}
