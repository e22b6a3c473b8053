//! Queries, configuration, their responses, and events (§6). Commands have a file of their own.

use super::{Key, MessageError, Stage, Text, Time, Title, encoded};
use crate::{
    Address, Code, Kind,
    fields::{Fields, MapWriter},
    limits::{SIGNATURES_MAX, SUBSCRIBE_ADDRESSES_MAX},
};
use std::fmt;

macro_rules! verbs {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $kind:ident, $name:literal;)*) => {
        /// What a request or event is about; each goes with one kind.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum Verb { $($(#[$doc])* $variant = $number,)* }

        impl Verb {
            /// Every verb.
            pub const ALL: &'static [Verb] = &[$(Verb::$variant),*];

            /// The number on the wire.
            pub const fn number(self) -> u16 {
                self as u16
            }

            /// The verb of a number on the wire.
            pub const fn from_number(number: u16) -> Option<Self> {
                match number { $($number => Some(Verb::$variant),)* _ => None }
            }

            /// The one kind under which it may come.
            pub const fn kind(self) -> Kind {
                match self { $(Verb::$variant => Kind::$kind,)* }
            }

            /// The stable lowercase name.
            pub const fn name(self) -> &'static str {
                match self { $(Verb::$variant => $name,)* }
            }
        }
    };
}

verbs! {
    /// Who are you?
    Identify = 1, Query, "identify";
    /// What can your script do?
    Describe = 2, Query, "describe";
    /// Send the full status.
    Snapshot = 3, Query, "snapshot";
    /// What became of this command? Asked of the controller.
    Outcome = 4, Query, "outcome";
    /// Send status from now on.
    Subscribe = 5, Query, "subscribe";
    /// Send no more status.
    Unsubscribe = 6, Query, "unsubscribe";
    /// Who holds this address?
    Lookup = 7, Query, "lookup";
    /// What became of this command? Asked of the gateway.
    Receipt = 8, Query, "receipt";
    /// Switch a manual output.
    Set = 32, Command, "set";
    /// Call a command of the script.
    Call = 33, Command, "call";
    /// Make an address and a key for a new controller.
    Enrol = 64, Configure, "enrol";
    /// A controller says who it is; the first frame of its session.
    Announce = 128, Event, "announce";
    /// A controller came or went.
    Presence = 129, Event, "presence";
    /// A line for another tool's person.
    Note = 130, Event, "note";
}

impl Verb {
    pub(super) fn read(fields: &mut Fields<'_>) -> Result<Self, MessageError> {
        let number = fields.required(2)?;
        Verb::from_number(number).ok_or(MessageError::UnknownVerb(number))
    }
}

/// The verb's number in a request's, event's or response's payload, known or not.
///
/// # Errors
/// [`MessageError`] when the payload is not in the profile or bears no verb.
pub fn verb_of(payload: &[u8]) -> Result<u16, MessageError> {
    Fields::open(payload)?.required(2)
}

/// Bits of a controller's features.
pub mod features {
    /// It speaks the Noise link.
    pub const NOISE: u32 = 1;
    /// It has built-in behaviours and no script engine.
    pub const BUILT_IN_BEHAVIOURS: u32 = 2;
    /// It runs scripts.
    pub const SCRIPTS: u32 = 4;
}

/// What sort of peer answers an identify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PeerKind {
    /// The gateway.
    Gateway = 0,
    /// A controller.
    Controller = 1,
    /// The console.
    Console = 2,
    /// A web page.
    Page = 3,
    /// The desktop app.
    Desktop = 4,
    /// Any other program.
    Program = 5,
}

impl PeerKind {
    const ALL: [PeerKind; 6] = [
        PeerKind::Gateway,
        PeerKind::Controller,
        PeerKind::Console,
        PeerKind::Page,
        PeerKind::Desktop,
        PeerKind::Program,
    ];

    /// The kind of a number on the wire; one of a later version is a program.
    pub fn from_number(number: u8) -> Self {
        Self::ALL
            .get(usize::from(number))
            .copied()
            .unwrap_or(PeerKind::Program)
    }

    /// The stable lowercase name.
    pub const fn name(self) -> &'static str {
        match self {
            PeerKind::Gateway => "gateway",
            PeerKind::Controller => "controller",
            PeerKind::Console => "console",
            PeerKind::Page => "page",
            PeerKind::Desktop => "desktop",
            PeerKind::Program => "program",
        }
    }
}

/// A query or configuration request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Who are you?
    Identify,
    /// What can your script do?
    Describe,
    /// Send the full status; the gateway wants to know whose.
    Snapshot {
        /// The controller meant, when asked of the gateway.
        controller: Option<Address>,
    },
    /// What became of this command? Asked of the controller.
    Outcome {
        /// The command's key.
        key: Key,
    },
    /// Send status from now on.
    Subscribe {
        /// At most 256 controllers; `None` is everything that one may see.
        controllers: Option<Vec<Address>>,
    },
    /// Send no more status.
    Unsubscribe,
    /// Who holds this address?
    Lookup {
        /// The address.
        address: Address,
    },
    /// What became of this command? Asked of the gateway.
    Receipt {
        /// The command's key.
        key: Key,
    },
    /// Make an address and a key for a new controller.
    Enrol {
        /// What people will call it.
        title: Title,
    },
}

impl Request {
    /// The verb that carries it.
    pub const fn verb(&self) -> Verb {
        match self {
            Request::Identify => Verb::Identify,
            Request::Describe => Verb::Describe,
            Request::Snapshot { .. } => Verb::Snapshot,
            Request::Outcome { .. } => Verb::Outcome,
            Request::Subscribe { .. } => Verb::Subscribe,
            Request::Unsubscribe => Verb::Unsubscribe,
            Request::Lookup { .. } => Verb::Lookup,
            Request::Receipt { .. } => Verb::Receipt,
            Request::Enrol { .. } => Verb::Enrol,
        }
    }

    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        encoded(|bytes| self.encode_into(bytes))
    }

    /// Appends the payload.
    pub fn encode_into(&self, bytes: &mut Vec<u8>) {
        let head = MapWriter::new(bytes).put(2, &self.verb().number());
        match self {
            Request::Identify | Request::Describe | Request::Unsubscribe => head,
            Request::Snapshot { controller } => head.put_some(3, controller),
            Request::Outcome { key } | Request::Receipt { key } => head.put(3, key),
            Request::Subscribe { controllers } => head.put_some(3, controllers),
            Request::Lookup { address } => head.put(3, address),
            Request::Enrol { title } => head.put(3, title),
        }
        .end()
    }

    /// Reads the payload of a frame of `kind`.
    ///
    /// # Errors
    /// [`MessageError`]; its [`code`](MessageError::code) is what the asker is answered.
    pub fn decode(kind: Kind, payload: &[u8]) -> Result<Self, MessageError> {
        let mut fields = Fields::open(payload)?;
        let verb = Verb::read(&mut fields)?;
        if verb.kind() != kind {
            return Err(MessageError::WrongKind(verb));
        }
        Ok(match verb {
            Verb::Identify => Request::Identify,
            Verb::Describe => Request::Describe,
            Verb::Snapshot => Request::Snapshot {
                controller: fields.optional(3)?,
            },
            Verb::Outcome => Request::Outcome {
                key: fields.required(3)?,
            },
            Verb::Subscribe => {
                let controllers = fields.array(3, SUBSCRIBE_ADDRESSES_MAX)?;
                if controllers.as_ref().is_some_and(Vec::is_empty) {
                    return Err(MessageError::BadField { key: 3 });
                }
                Request::Subscribe { controllers }
            }
            Verb::Unsubscribe => Request::Unsubscribe,
            Verb::Lookup => Request::Lookup {
                address: fields.required(3)?,
            },
            Verb::Receipt => Request::Receipt {
                key: fields.required(3)?,
            },
            Verb::Enrol => Request::Enrol {
                title: fields.required(3)?,
            },
            Verb::Set | Verb::Call | Verb::Announce | Verb::Presence | Verb::Note => {
                return Err(MessageError::WrongKind(verb));
            }
        })
    }
}

/// What a response says when its code is ok; by verb.
#[derive(Clone, PartialEq, Eq)]
pub enum Body {
    /// Nothing but ok: snapshot, unsubscribe.
    Done(Verb),
    /// Who answers.
    Identify {
        /// What people call it.
        title: Title,
        /// Program and version.
        software: Title,
        /// What sort of peer it is.
        peer_kind: PeerKind,
    },
    /// What the script can do.
    Describe {
        /// The script's or behaviour's name.
        behaviour: Title,
        /// At most 16 signatures, such as `pulse(t: time in 100ms..60s)`.
        commands: Vec<Text>,
    },
    /// What became of a command, as the controller remembers it.
    Outcome {
        /// The boot that remembers.
        boot: u32,
        /// The stage; `None` when it never heard of the key.
        stage: Option<Stage>,
        /// Why.
        reason: Option<Code>,
        /// Whether that was the last.
        is_final: Option<bool>,
    },
    /// The end of the snapshot.
    Subscribe {
        /// How many controllers are subscribed now.
        count: u32,
    },
    /// Who holds an address.
    Lookup {
        /// The address.
        address: Address,
        /// Whether it is there now.
        online: bool,
        /// Since when it is there or away.
        since: Time,
        /// What people call it.
        title: Title,
    },
    /// What became of a command, as the gateway knows it.
    Receipt {
        /// The stage.
        stage: Stage,
        /// When.
        at: Option<Time>,
        /// Why.
        reason: Option<Code>,
        /// Whether that was the last.
        is_final: bool,
    },
    /// A new controller.
    Enrol {
        /// Its address.
        controller: Address,
        /// Its key: told this once. Secret.
        key: [u8; 32],
    },
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Body::Enrol { controller, .. } => f
                .debug_struct("Enrol")
                .field("controller", controller)
                .field("key", &"***")
                .finish(),
            other => write!(f, "{}", other.verb().name()),
        }
    }
}

impl Body {
    /// The verb of the request that this answers.
    pub const fn verb(&self) -> Verb {
        match self {
            Body::Done(verb) => *verb,
            Body::Identify { .. } => Verb::Identify,
            Body::Describe { .. } => Verb::Describe,
            Body::Outcome { .. } => Verb::Outcome,
            Body::Subscribe { .. } => Verb::Subscribe,
            Body::Lookup { .. } => Verb::Lookup,
            Body::Receipt { .. } => Verb::Receipt,
            Body::Enrol { .. } => Verb::Enrol,
        }
    }
}

/// The payload of a response frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Code 0.
    Ok(Body),
    /// Any other code.
    Refused {
        /// Why.
        code: Code,
        /// The same for people.
        detail: Option<Text>,
        /// The verb of the request, as a number: it may be one that the answerer does not know.
        verb: u16,
    },
}

impl Answer {
    /// Refuses without a detail.
    pub const fn refused(code: Code, verb: u16) -> Self {
        Answer::Refused {
            code,
            detail: None,
            verb,
        }
    }

    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        encoded(|bytes| self.encode_into(bytes))
    }

    /// Appends the payload.
    pub fn encode_into(&self, bytes: &mut Vec<u8>) {
        let body = match self {
            Answer::Refused { code, detail, verb } => {
                return MapWriter::new(bytes)
                    .put(0, code)
                    .put_some(1, detail)
                    .put(2, verb)
                    .end();
            }
            Answer::Ok(body) => body,
        };
        let head = MapWriter::new(bytes)
            .put(0, &Code::Ok)
            .put(2, &body.verb().number());
        match body {
            Body::Done(_) => head,
            Body::Identify {
                title,
                software,
                peer_kind,
            } => head
                .put(3, title)
                .put(4, software)
                .put(5, &(*peer_kind as u8)),
            Body::Describe {
                behaviour,
                commands,
            } => head.put(3, behaviour).put(4, commands),
            Body::Outcome {
                boot,
                stage,
                reason,
                is_final,
            } => head
                .put(3, boot)
                .put_some(4, &stage.map(|stage| stage as u8))
                .put_some(5, reason)
                .put_some(6, is_final),
            Body::Subscribe { count } => head.put(3, count),
            Body::Lookup {
                address,
                online,
                since,
                title,
            } => head
                .put(3, address)
                .put(4, online)
                .put(5, since)
                .put(6, title),
            Body::Receipt {
                stage,
                at,
                reason,
                is_final,
            } => head
                .put(3, &(*stage as u8))
                .put_some(4, at)
                .put_some(5, reason)
                .put(6, is_final),
            Body::Enrol { controller, key } => head.put(3, controller).put(4, key),
        }
        .end()
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// [`MessageError`]; an ok answer to a verb unknown here is
    /// [`MessageError::UnknownVerb`].
    pub fn decode(payload: &[u8]) -> Result<Self, MessageError> {
        let mut fields = Fields::open(payload)?;
        let code: Code = fields.required(0)?;
        if code != Code::Ok {
            return Ok(Answer::Refused {
                code,
                detail: fields.optional(1)?,
                verb: fields.required(2)?,
            });
        }
        let stage = |number| Stage::from_number(number);
        Ok(Answer::Ok(match Verb::read(&mut fields)? {
            verb @ (Verb::Snapshot | Verb::Unsubscribe) => Body::Done(verb),
            Verb::Identify => Body::Identify {
                title: fields.required(3)?,
                software: fields.required(4)?,
                peer_kind: PeerKind::from_number(fields.required(5)?),
            },
            Verb::Describe => Body::Describe {
                behaviour: fields.required(3)?,
                commands: fields
                    .array(4, SIGNATURES_MAX)?
                    .ok_or(MessageError::BadField { key: 4 })?,
            },
            Verb::Outcome => Body::Outcome {
                boot: fields.required(3)?,
                stage: fields
                    .optional(4)?
                    .map(|number| stage(number).ok_or(MessageError::BadField { key: 4 }))
                    .transpose()?,
                reason: fields.optional(5)?,
                is_final: fields.optional(6)?,
            },
            Verb::Subscribe => Body::Subscribe {
                count: fields.required(3)?,
            },
            Verb::Lookup => Body::Lookup {
                address: fields.required(3)?,
                online: fields.required(4)?,
                since: fields.required(5)?,
                title: fields.required(6)?,
            },
            Verb::Receipt => Body::Receipt {
                stage: stage(fields.required(3)?).ok_or(MessageError::BadField { key: 3 })?,
                at: fields.optional(4)?,
                reason: fields.optional(5)?,
                is_final: fields.required(6)?,
            },
            Verb::Enrol => Body::Enrol {
                controller: fields.required(3)?,
                key: fields.required(4)?,
            },
            verb => return Err(MessageError::WrongKind(verb)),
        }))
    }
}

/// The payload of an event frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A controller says who it is.
    Announce {
        /// Random per boot.
        boot: u32,
        /// [`features`].
        features: u32,
        /// Firmware and version.
        software: Title,
        /// The board profile.
        board: Title,
        /// Changes when points or commands change.
        layout: u32,
    },
    /// A controller came or went, or is told of in a snapshot.
    Presence {
        /// The controller.
        controller: Address,
        /// Whether it is there.
        online: bool,
        /// Since when; 0 while it has not been seen since the gateway started.
        since: Time,
        /// What people call it.
        title: Title,
        /// Of its latest announce.
        boot: Option<u32>,
        /// Of its latest announce.
        features: Option<u32>,
        /// Of its latest announce.
        software: Option<Title>,
        /// Of its latest announce.
        board: Option<Title>,
        /// Why it went.
        reason: Option<Code>,
    },
    /// A line for another tool's person.
    Note {
        /// 1–200 bytes.
        text: Text,
    },
}

impl Event {
    /// The verb that carries it.
    pub const fn verb(&self) -> Verb {
        match self {
            Event::Announce { .. } => Verb::Announce,
            Event::Presence { .. } => Verb::Presence,
            Event::Note { .. } => Verb::Note,
        }
    }

    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        encoded(|bytes| self.encode_into(bytes))
    }

    /// Appends the payload.
    pub fn encode_into(&self, bytes: &mut Vec<u8>) {
        let head = MapWriter::new(bytes).put(2, &self.verb().number());
        match self {
            Event::Announce {
                boot,
                features,
                software,
                board,
                layout,
            } => head
                .put(3, boot)
                .put(4, features)
                .put(5, software)
                .put(6, board)
                .put(7, layout),
            Event::Presence {
                controller,
                online,
                since,
                title,
                boot,
                features,
                software,
                board,
                reason,
            } => head
                .put(3, controller)
                .put(4, online)
                .put(5, since)
                .put(6, title)
                .put_some(7, boot)
                .put_some(8, features)
                .put_some(9, software)
                .put_some(10, board)
                .put_some(11, reason),
            Event::Note { text } => head.put(3, text),
        }
        .end()
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// [`MessageError`]; an event that is unknown here is to be ignored.
    pub fn decode(payload: &[u8]) -> Result<Self, MessageError> {
        let mut fields = Fields::open(payload)?;
        Ok(match Verb::read(&mut fields)? {
            Verb::Announce => Event::Announce {
                boot: fields.required(3)?,
                features: fields.required(4)?,
                software: fields.required(5)?,
                board: fields.required(6)?,
                layout: fields.required(7)?,
            },
            Verb::Presence => Event::Presence {
                controller: fields.required(3)?,
                online: fields.required(4)?,
                since: fields.required(5)?,
                title: fields.required(6)?,
                boot: fields.optional(7)?,
                features: fields.optional(8)?,
                software: fields.optional(9)?,
                board: fields.optional(10)?,
                reason: fields.optional(11)?,
            },
            Verb::Note => {
                let text: Text = fields.required(3)?;
                if text.as_str().is_empty() {
                    return Err(MessageError::BadField { key: 3 });
                }
                Event::Note { text }
            }
            verb => return Err(MessageError::WrongKind(verb)),
        })
    }
}
