//! What the telephone system does with messages: proof, probes, registrations; calls are handed to [`Ongoing`].

use super::{CalleeOptions, Shared, Step, What, Wish, call::Ongoing, lock};
use crate::seeded::Seeded;
use anyhow::Result;
use std::{
    collections::HashMap,
    io,
    net::{SocketAddr, UdpSocket},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use switchyard_telephone::sip::{
    digest::{Challenge, Proof, parameter},
    header::{Uri, address},
    message::{Message, Start},
};

/// How long a message is waited for before the calls have their turn.
const TURN: Duration = Duration::from_millis(2);

/// What all parts need.
pub(super) struct Place {
    pub(super) socket: UdpSocket,
    pub(super) address: SocketAddr,
    pub(super) shared: Arc<Mutex<Shared>>,
    pub(super) chance: Seeded,
    lost_in_thousand: u64,
    tokens: u64,
}

impl Place {
    /// Whether the next packet gets lost.
    pub(super) fn loses(&mut self) -> bool {
        self.lost_in_thousand > 0 && self.chance.below(1_000) < self.lost_in_thousand
    }

    pub(super) fn send(&mut self, to: SocketAddr, bytes: &[u8]) {
        if !self.loses() {
            // Whoever is gone does not hear it.
            let _ = self.socket.send_to(bytes, to);
        }
    }

    /// A text that no other is like.
    pub(super) fn token(&mut self) -> String {
        self.tokens += 1;
        format!("callee{}x{}", self.address.port(), self.tokens)
    }

    pub(super) fn tell(&self, call: usize, number: &str, what: What) {
        lock(&self.shared).steps.push(Step {
            call,
            number: number.into(),
            what,
            at: Instant::now(),
        });
    }
}

pub(super) struct System {
    place: Place,
    options: CalleeOptions,
    calls: Vec<Ongoing>,
    calls_seen: usize,
    /// The last answer to each request, by its branch and method, for when it comes again.
    answers: HashMap<(String, String), Vec<u8>>,
    nonce: String,
    buffer: Vec<u8>,
}

impl System {
    pub(super) fn new(
        socket: UdpSocket,
        options: CalleeOptions,
        shared: Arc<Mutex<Shared>>,
    ) -> Result<Self> {
        socket.set_read_timeout(Some(TURN))?;
        Ok(System {
            place: Place {
                address: socket.local_addr()?,
                socket,
                shared,
                chance: Seeded::new(options.seed),
                lost_in_thousand: options.lost_in_thousand,
                tokens: 0,
            },
            options,
            calls: Vec::new(),
            calls_seen: 0,
            answers: HashMap::new(),
            nonce: String::new(),
            buffer: vec![0; 65_535],
        })
    }

    /// Reads a message if there is one, and lets every call do what is due.
    pub(super) fn turn(&mut self) {
        match self.place.socket.recv_from(&mut self.buffer) {
            Ok((count, source)) => {
                let message = Message::parse(&self.buffer[..count]);
                if !self.place.loses()
                    && let Ok(message) = message
                {
                    self.message(&message, source);
                }
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) => {}
            // A caller that was killed: its socket refuses what was sent to it.
            Err(_) => {}
        }
        let wishes = std::mem::take(&mut lock(&self.place.shared).wishes);
        for call in &mut self.calls {
            for wish in &wishes {
                match wish {
                    Wish::Press(key, way) => call.press(&mut self.place, *key, *way),
                    Wish::HangUp => call.hang_up(&mut self.place),
                }
            }
            call.turn(&mut self.place);
        }
        self.calls.retain(|it| !it.is_over());
    }

    fn message(&mut self, message: &Message, source: SocketAddr) {
        let call_id = message.headers.first("Call-ID").unwrap_or_default();
        let call = self.calls.iter_mut().find(|it| it.call_id() == call_id);
        let Some(method) = message.method() else {
            if let Some(call) = call {
                call.answered(message);
            }
            return;
        };
        if method == "ACK" {
            if let Some(call) = call {
                call.acknowledged(&mut self.place);
            }
            return;
        }
        let key = (
            message.branch().unwrap_or_default().to_owned(),
            method.to_owned(),
        );
        if let Some(answer) = self.answers.get(&key) {
            let answer = answer.clone();
            return self.place.send(source, &answer);
        }
        let answer = match (method, call) {
            ("INVITE", Some(call)) => call.invited_again(&mut self.place, message),
            ("INVITE", None) => self.invited(message, source),
            ("BYE" | "CANCEL", Some(call)) => call.ended(&mut self.place, message),
            ("UPDATE", Some(_)) => Some(Message::response(message, 200, "OK", "")),
            ("OPTIONS" | "REGISTER", _) => self.asked(message),
            ("BYE" | "CANCEL" | "UPDATE", None) => Some(Message::response(
                message,
                481,
                "Call Does Not Exist",
                "none",
            )),
            _ => Some(Message::response(
                message,
                405,
                "Method Not Allowed",
                "none",
            )),
        };
        if let Some(answer) = answer {
            let bytes = answer.to_bytes();
            self.place.send(source, &bytes);
            self.answers.insert(key, bytes);
        }
    }

    fn asked(&mut self, message: &Message) -> Option<Message> {
        if let Some(challenge) = self.challenge(message) {
            self.place.tell(0, "", What::Challenged);
            return Some(challenge);
        }
        let tag = self.place.token();
        let mut answer = Message::response(message, 200, "OK", &tag);
        let what = match message.method() {
            Some("REGISTER") => {
                for contact in message.headers.list("Contact") {
                    answer
                        .headers
                        .add("Contact", &format!("{contact};expires=60"));
                }
                What::Registered
            }
            _ => What::Probed,
        };
        self.place.tell(0, "", what);
        Some(answer)
    }

    fn invited(&mut self, invite: &Message, source: SocketAddr) -> Option<Message> {
        if let Some(challenge) = self.challenge(invite) {
            self.place.tell(0, "", What::Challenged);
            return Some(challenge);
        }
        let Start::Request { uri, .. } = &invite.start else {
            return None;
        };
        let number = uri
            .parse::<Uri>()
            .ok()
            .and_then(|it| it.user)
            .unwrap_or_else(|| address(uri).to_owned());
        let behaviour = {
            let shared = lock(&self.place.shared);
            shared
                .by_number
                .get(&number)
                .unwrap_or(&shared.behaviour)
                .clone()
        };
        self.calls_seen += 1;
        self.place.tell(self.calls_seen, &number, What::Invited);
        match Ongoing::new(
            &mut self.place,
            self.calls_seen,
            number,
            behaviour,
            invite,
            source,
        ) {
            Ok(call) => {
                self.calls.push(call);
                None
            }
            Err(_) => Some(Message::response(invite, 500, "No Socket", "none")),
        }
    }

    /// What proof is still wanted for a request, if any.
    fn challenge(&mut self, request: &Message) -> Option<Message> {
        let account = self.options.account.as_ref()?;
        let field = account.asker.answer_field();
        let given = request
            .headers
            .first(field)
            .and_then(|it| it.strip_prefix("Digest "));
        let was_right = given.is_some_and(|given| {
            let value = |name| parameter(given, name).unwrap_or_default();
            let challenge = Challenge {
                asker: account.asker,
                realm: "callee".into(),
                nonce: value("nonce"),
                opaque: None,
                algorithm: account.algorithm,
                is_session: false,
                has_quality: true,
                is_stale: false,
            };
            let (method, uri) = (request.method().unwrap_or_default(), value("uri"));
            let proof = Proof {
                user: &account.user,
                password: &account.password,
                method,
                uri: &uri,
                cnonce: &value("cnonce"),
                count: u32::from_str_radix(&value("nc"), 16).unwrap_or_default(),
            };
            value("username") == account.user
                && value("qop") == "auth"
                && value("response") == challenge.response(&proof)
        });
        let is_fresh = given.and_then(|it| parameter(it, "nonce")).as_deref() == Some(&self.nonce);
        // A stale nonce is stale once: the second proof finds it good.
        let is_stale = was_right && !is_fresh;
        if was_right && (is_fresh || !account.has_stale_nonces) {
            if account.has_stale_nonces {
                self.nonce.clear();
            }
            return None;
        }
        let (code, reason, question) = match account.asker {
            switchyard_telephone::sip::digest::Asker::Server => {
                (401, "Unauthorized", "WWW-Authenticate")
            }
            switchyard_telephone::sip::digest::Asker::Proxy => {
                (407, "Proxy Authentication Required", "Proxy-Authenticate")
            }
        };
        let algorithm = match account.algorithm {
            switchyard_telephone::sip::digest::Algorithm::Md5 => "MD5",
            switchyard_telephone::sip::digest::Algorithm::Sha256 => "SHA-256",
        };
        let nonce = self.place.token();
        // The first of those that go stale is one that nobody remembers giving.
        self.nonce = match account.has_stale_nonces && given.is_none() {
            true => String::new(),
            false => nonce.clone(),
        };
        let mut answer = Message::response(request, code, reason, "challenge");
        answer.headers.add(
            question,
            &format!(
                "Digest realm=\"callee\", nonce=\"{nonce}\", qop=\"auth\", algorithm={algorithm}{}",
                if is_stale { ", stale=true" } else { "" }
            ),
        );
        Some(answer)
    }
}
