//! Responses to queries and configuration (§6).

use super::{
    Health, LogEntry, MessageError, NamedValue, Parameter, PeerKind, ScriptFault, Stage, Text,
    Time, Title, Verb, encoded,
};
use crate::{
    Address, Code,
    fields::{Fields, MapWriter},
    limits::{
        LOG_ENTRIES_MAX, NAMES_MAX, SIGNATURES_MAX, TRANSFER_BYTES_MAX, TRANSFER_PIECE_BYTES_MAX,
    },
};
use bytes::Bytes;
use std::fmt;

/// What a response says when its code is ok; by verb.
#[derive(Clone, PartialEq, Eq)]
pub enum Body {
    /// Nothing but ok: snapshot, unsubscribe, force, release, trial, restart, rekey.
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
    /// What may be adjusted; on further pages, too, where the response bears MORE.
    Parameters {
        /// At most 128.
        parameters: Vec<Parameter>,
    },
    /// What everything is worth.
    Values {
        /// As many as fit, from the one on that was asked for.
        values: Vec<NamedValue>,
        /// How many there are in all.
        total: u32,
    },
    /// What happened.
    Log {
        /// As many as fit, newest first.
        entries: Vec<LogEntry>,
    },
    /// How the controller is.
    Health(Box<Health>),
    /// A piece of what it keeps.
    TransferRead {
        /// All its bytes; 0 when it keeps none.
        size: u32,
        /// As many as fit, at most [`TRANSFER_PIECE_BYTES_MAX`]; none at its end.
        bytes: Bytes,
        /// BLAKE2b-256 of all of it: another one than before says that it has changed.
        digest: [u8; 32],
    },
    /// Where to go on writing.
    TransferOpen {
        /// The next byte: what came before is there already, of the same digest.
        offset: u32,
    },
    /// Where to go on writing.
    TransferWrite {
        /// The next byte. A piece that does not begin there is not taken.
        offset: u32,
    },
    /// It is whole, and used; or it is a script that the compiler does not take.
    TransferCommit {
        /// Why the script is not taken.
        fault: Option<ScriptFault>,
    },
    /// The gateway has an event or alarm for good; by its verb.
    Taken {
        /// [`Verb::Happened`] or [`Verb::Alarm`].
        verb: Verb,
        /// The latest number that it has of this controller.
        last: u32,
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
            Body::Parameters { .. } => Verb::Parameters,
            Body::Values { .. } => Verb::Values,
            Body::Log { .. } => Verb::Log,
            Body::Health(_) => Verb::Health,
            Body::TransferRead { .. } => Verb::TransferRead,
            Body::TransferOpen { .. } => Verb::TransferOpen,
            Body::TransferWrite { .. } => Verb::TransferWrite,
            Body::TransferCommit { .. } => Verb::TransferCommit,
            Body::Taken { verb, .. } => *verb,
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
            Body::Parameters { parameters } => head.put(3, parameters),
            Body::Values { values, total } => head.put(3, values).put(4, total),
            Body::Log { entries } => head.put(3, entries),
            Body::Health(health) => health.write(head),
            Body::TransferRead {
                size,
                bytes,
                digest,
            } => head.put(3, size).put(4, bytes).put(5, digest),
            Body::TransferOpen { offset } | Body::TransferWrite { offset } => head.put(3, offset),
            Body::TransferCommit { fault } => head.put_some(3, fault),
            Body::Taken { last, .. } => head.put(3, last),
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
            verb @ (Verb::Snapshot
            | Verb::Unsubscribe
            | Verb::Force
            | Verb::Release
            | Verb::Trial
            | Verb::Restart
            | Verb::Rekey) => Body::Done(verb),
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
            Verb::Parameters => Body::Parameters {
                parameters: fields.maps(3, NAMES_MAX, Parameter::read)?,
            },
            Verb::Values => Body::Values {
                values: fields.maps(3, NAMES_MAX, NamedValue::read)?,
                total: fields.required(4)?,
            },
            Verb::Log => Body::Log {
                entries: fields.maps(3, LOG_ENTRIES_MAX, LogEntry::read)?,
            },
            Verb::Health => Body::Health(Box::new(Health::read(&mut fields)?)),
            Verb::TransferRead => Body::TransferRead {
                size: fields.required_where(3, |it| *it <= TRANSFER_BYTES_MAX)?,
                bytes: fields
                    .required_where(4, |it: &Bytes| it.len() <= TRANSFER_PIECE_BYTES_MAX)?,
                digest: fields.required(5)?,
            },
            Verb::TransferOpen => Body::TransferOpen {
                offset: fields.required(3)?,
            },
            Verb::TransferWrite => Body::TransferWrite {
                offset: fields.required(3)?,
            },
            Verb::TransferCommit => Body::TransferCommit {
                fault: fields
                    .optional_map(3)?
                    .map(|mut fault| ScriptFault::read(&mut fault))
                    .transpose()?,
            },
            verb @ (Verb::Happened | Verb::Alarm) => Body::Taken {
                verb,
                last: fields.required(3)?,
            },
            verb => return Err(MessageError::WrongKind(verb)),
        }))
    }
}
