//! Verbs, queries and configuration (§6). Commands, responses and events have files of their own.

use super::{Content, Key, LinkKey, MessageError, Name, Title, encoded};
use crate::{
    Address, Kind, SiteId,
    fields::{Fields, MapWriter},
    limits::{FORCE_MAX, SUBSCRIBE_ADDRESSES_MAX, TRANSFER_BYTES_MAX, TRANSFER_PIECE_BYTES_MAX},
};
use bytes::Bytes;
use std::time::Duration;

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
    /// What may be adjusted in your script?
    Parameters = 9, Query, "parameters";
    /// What is everything in your script worth now?
    Values = 10, Query, "values";
    /// What happened, and why?
    Log = 11, Query, "log";
    /// How are you?
    Health = 12, Query, "health";
    /// Give me a piece of what you keep.
    TransferRead = 13, Query, "transfer_read";
    /// Switch a manual output.
    Set = 32, Command, "set";
    /// Call a command of the script.
    Call = 33, Command, "call";
    /// Change a parameter of the script.
    Adjust = 34, Command, "adjust";
    /// Make an address and a key for a new controller.
    Enrol = 64, Configure, "enrol";
    /// Hold an output at a value, whatever is wanted of it.
    Force = 65, Configure, "force";
    /// Hold it no more.
    Release = 66, Configure, "release";
    /// Something is going to be written.
    TransferOpen = 67, Configure, "transfer_open";
    /// A piece of it.
    TransferWrite = 68, Configure, "transfer_write";
    /// That was all of it: use it.
    TransferCommit = 69, Configure, "transfer_commit";
    /// End the trial of a script.
    Trial = 70, Configure, "trial";
    /// Start anew.
    Restart = 71, Configure, "restart";
    /// Take another key beside this one, or keep this one alone.
    Rekey = 96, Admin, "rekey";
    /// A controller says who it is; the first frame of its session.
    Announce = 128, Event, "announce";
    /// A controller came or went.
    Presence = 129, Event, "presence";
    /// A line for another tool's person.
    Note = 130, Event, "note";
    /// Something happened at a controller, as its script says.
    Happened = 131, Event, "happened";
    /// A controller's script raised an alarm, or that is over.
    Alarm = 132, Event, "alarm";
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

/// A query, configuration or administration request.
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
        /// The site that it will be in; `None` is none.
        site: Option<SiteId>,
    },
    /// What may be adjusted in your script?
    Parameters,
    /// What is everything in your script worth now?
    Values {
        /// From which of them on, counted from 0; `None` is all.
        from: Option<u32>,
    },
    /// What happened, and why? Newest first.
    Log {
        /// Only what is older than the entry of this number.
        before: Option<u32>,
    },
    /// How are you?
    Health,
    /// Give me a piece of what you keep.
    TransferRead {
        /// Of what.
        content: Content,
        /// Where the piece begins.
        offset: u32,
    },
    /// Hold an output at a value, whatever is wanted of it.
    Force {
        /// The output.
        point: Name,
        /// 0 or 1 for a digital output, thousandths for an analogue one.
        value: i64,
        /// For how long: 1 ms to 24 h.
        duration: Duration,
    },
    /// Hold it no more.
    Release {
        /// The output.
        point: Name,
    },
    /// Something is going to be written.
    TransferOpen {
        /// What.
        content: Content,
        /// All its bytes: 1 to [`TRANSFER_BYTES_MAX`].
        size: u32,
        /// BLAKE2b-256 of all of it.
        digest: [u8; 32],
    },
    /// A piece of it.
    TransferWrite {
        /// Where the piece begins.
        offset: u32,
        /// 1 to [`TRANSFER_PIECE_BYTES_MAX`] of them.
        bytes: Bytes,
    },
    /// That was all of it: use it.
    TransferCommit {
        /// As when it was opened.
        digest: [u8; 32],
        /// A script is kept at once, instead of running on trial.
        keep: bool,
    },
    /// End the trial of a script.
    Trial {
        /// Keep it, or go back to the one before.
        keep: bool,
    },
    /// Start anew.
    Restart,
    /// Take another key beside that of this session, or keep that one alone. From the gateway only.
    Rekey {
        /// The next key, which is tried first from now on; `None`: the session's is the only one.
        key: Option<LinkKey>,
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
            Request::Parameters => Verb::Parameters,
            Request::Values { .. } => Verb::Values,
            Request::Log { .. } => Verb::Log,
            Request::Health => Verb::Health,
            Request::TransferRead { .. } => Verb::TransferRead,
            Request::Force { .. } => Verb::Force,
            Request::Release { .. } => Verb::Release,
            Request::TransferOpen { .. } => Verb::TransferOpen,
            Request::TransferWrite { .. } => Verb::TransferWrite,
            Request::TransferCommit { .. } => Verb::TransferCommit,
            Request::Trial { .. } => Verb::Trial,
            Request::Restart => Verb::Restart,
            Request::Rekey { .. } => Verb::Rekey,
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
            Request::Identify
            | Request::Describe
            | Request::Unsubscribe
            | Request::Parameters
            | Request::Health
            | Request::Restart => head,
            Request::Snapshot { controller } => head.put_some(3, controller),
            Request::Outcome { key } | Request::Receipt { key } => head.put(3, key),
            Request::Subscribe { controllers } => head.put_some(3, controllers),
            Request::Lookup { address } => head.put(3, address),
            Request::Enrol { title, site } => head.put(3, title).put_some(4, site),
            Request::Values { from } => head.put_some(3, from),
            Request::Log { before } => head.put_some(3, before),
            Request::TransferRead { content, offset } => head.put(3, content).put(4, offset),
            Request::Force {
                point,
                value,
                duration,
            } => head.put(3, point).put(4, value).put(5, duration),
            Request::Release { point } => head.put(3, point),
            Request::TransferOpen {
                content,
                size,
                digest,
            } => head.put(3, content).put(4, size).put(5, digest),
            Request::TransferWrite { offset, bytes } => head.put(3, offset).put(4, bytes),
            Request::TransferCommit { digest, keep } => head.put(3, digest).put(4, keep),
            Request::Trial { keep } => head.put(3, keep),
            Request::Rekey { key } => head.put_some(3, &key.map(|key| key.0)),
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
                site: fields.optional(4)?,
            },
            Verb::Parameters => Request::Parameters,
            Verb::Values => Request::Values {
                from: fields.optional(3)?,
            },
            Verb::Log => Request::Log {
                before: fields.optional(3)?,
            },
            Verb::Health => Request::Health,
            Verb::TransferRead => Request::TransferRead {
                content: fields.required_where(3, |it: &Content| it.is_read())?,
                offset: fields.required(4)?,
            },
            Verb::Force => Request::Force {
                point: fields.required(3)?,
                value: fields.required(4)?,
                duration: fields
                    .required_where(5, |it: &Duration| !it.is_zero() && *it <= FORCE_MAX)?,
            },
            Verb::Release => Request::Release {
                point: fields.required(3)?,
            },
            Verb::TransferOpen => Request::TransferOpen {
                content: fields.required_where(3, |it: &Content| it.is_written())?,
                size: fields.required_where(4, |it| (1..=TRANSFER_BYTES_MAX).contains(it))?,
                digest: fields.required(5)?,
            },
            Verb::TransferWrite => Request::TransferWrite {
                offset: fields.required(3)?,
                bytes: fields.required_where(4, |it: &Bytes| {
                    (1..=TRANSFER_PIECE_BYTES_MAX).contains(&it.len())
                })?,
            },
            Verb::TransferCommit => Request::TransferCommit {
                digest: fields.required(3)?,
                keep: fields.required(4)?,
            },
            Verb::Trial => Request::Trial {
                keep: fields.required(3)?,
            },
            Verb::Restart => Request::Restart,
            Verb::Rekey => Request::Rekey {
                key: fields.optional(3)?.map(LinkKey),
            },
            Verb::Set
            | Verb::Call
            | Verb::Adjust
            | Verb::Announce
            | Verb::Presence
            | Verb::Note
            | Verb::Happened
            | Verb::Alarm => return Err(MessageError::WrongKind(verb)),
        })
    }
}
