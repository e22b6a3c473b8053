//! Verbs, queries and configuration (§6). Commands, responses and events have files of their own.

use super::{Key, MessageError, Title, encoded};
use crate::{
    Address, Kind,
    fields::{Fields, MapWriter},
    limits::SUBSCRIBE_ADDRESSES_MAX,
};

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
