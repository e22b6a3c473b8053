//! Events (§6).

use super::{AlarmLevel, MessageError, Text, Time, Title, ValueType, Verb, encoded};
use crate::{
    Address, Code,
    fields::{Fields, MapWriter},
    limits::EVENT_VALUES_MAX,
};

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
    /// Something happened at a controller, as its script says.
    Happened {
        /// From 1, rising by event and alarm, also across the controller's restarts.
        number: u32,
        /// When, where the controller knew the time.
        time: Option<Time>,
        /// What.
        text: Text,
        /// What the script tells with it: at most four.
        values: Vec<(ValueType, i64)>,
    },
    /// A controller's script raised an alarm, or that is over.
    Alarm {
        /// Of the same sequence as events.
        number: u32,
        /// When, where the controller knew the time.
        time: Option<Time>,
        /// How it ranks.
        level: AlarmLevel,
        /// What it is about.
        text: Text,
        /// Whether it is raised, or over.
        raised: bool,
        /// Which of the script's it is.
        alarm: u8,
    },
}

impl Event {
    /// The verb that carries it.
    pub const fn verb(&self) -> Verb {
        match self {
            Event::Announce { .. } => Verb::Announce,
            Event::Presence { .. } => Verb::Presence,
            Event::Note { .. } => Verb::Note,
            Event::Happened { .. } => Verb::Happened,
            Event::Alarm { .. } => Verb::Alarm,
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
            Event::Happened {
                number,
                time,
                text,
                values,
            } => {
                let (types, values): (Vec<_>, Vec<_>) = values.iter().copied().unzip();
                head.put(3, number)
                    .put_some(4, time)
                    .put(5, text)
                    .put(6, &values)
                    .put(7, &types)
            }
            Event::Alarm {
                number,
                time,
                level,
                text,
                raised,
                alarm,
            } => head
                .put(3, number)
                .put_some(4, time)
                .put(5, level)
                .put(6, text)
                .put(7, raised)
                .put(8, alarm),
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
            Verb::Happened => Event::Happened {
                number: fields.required_where(3, |it| *it > 0)?,
                time: fields.optional(4)?,
                text: fields.required(5)?,
                values: read_values(&mut fields)?,
            },
            Verb::Alarm => Event::Alarm {
                number: fields.required_where(3, |it| *it > 0)?,
                time: fields.optional(4)?,
                level: fields.required(5)?,
                text: fields.required(6)?,
                raised: fields.required(7)?,
                alarm: fields.required(8)?,
            },
            verb => return Err(MessageError::WrongKind(verb)),
        })
    }
}

/// What an event takes along: values, and as many types.
fn read_values(fields: &mut Fields<'_>) -> Result<Vec<(ValueType, i64)>, MessageError> {
    let bad = |key| MessageError::BadField { key };
    let values: Vec<i64> = fields.array(6, EVENT_VALUES_MAX)?.ok_or(bad(6))?;
    let types: Vec<ValueType> = fields.array(7, EVENT_VALUES_MAX)?.ok_or(bad(7))?;
    if values.len() != types.len() {
        return Err(bad(7));
    }
    Ok(types.into_iter().zip(values).collect())
}
