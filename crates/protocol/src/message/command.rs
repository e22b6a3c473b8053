//! Commands and their receipts (§8).

use super::{Key, MessageError, Name, Text, Time, Verb, encoded};
use crate::{
    Code,
    fields::{Fields, MapWriter},
    limits::ARGUMENTS_MAX,
};

/// What a command does. Values are absolute: nothing here toggles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Switches a manual output.
    Set {
        /// The output.
        point: Name,
        /// 0 or 1 for a digital output, thousandths for an analogue one.
        value: i64,
    },
    /// Calls a command of the script.
    Call {
        /// The command.
        command: Name,
        /// Its arguments, at most four; fractional ones in thousandths.
        arguments: Vec<i64>,
    },
}

impl Action {
    /// The verb that carries it.
    pub const fn verb(&self) -> Verb {
        match self {
            Action::Set { .. } => Verb::Set,
            Action::Call { .. } => Verb::Call,
        }
    }
}

/// The payload of a command frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The idempotency key.
    pub key: Key,
    /// Past this it must not be executed.
    pub expiry: Time,
    /// Whether it may wait for a controller that is away.
    pub wait: bool,
    /// What to do.
    pub action: Action,
}

impl Command {
    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        encoded(|bytes| self.encode_into(bytes))
    }

    /// Appends the payload.
    pub fn encode_into(&self, bytes: &mut Vec<u8>) {
        let head = MapWriter::new(bytes)
            .put(0, &self.key)
            .put(1, &self.expiry)
            .put(2, &self.action.verb().number());
        let body = match &self.action {
            Action::Set { point, value } => head.put(3, point).put(4, value),
            Action::Call { command, arguments } => head.put(3, command).put(4, arguments),
        };
        body.put_some(5, &self.wait.then_some(true)).end()
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// [`MessageError`]; of another kind's verb, [`MessageError::WrongKind`].
    pub fn decode(payload: &[u8]) -> Result<Self, MessageError> {
        let mut fields = Fields::open(payload)?;
        let action = match Verb::read(&mut fields)? {
            Verb::Set => Action::Set {
                point: fields.required(3)?,
                value: fields.required(4)?,
            },
            Verb::Call => Action::Call {
                command: fields.required(3)?,
                arguments: fields
                    .array(4, ARGUMENTS_MAX)?
                    .ok_or(MessageError::BadField { key: 4 })?,
            },
            other => return Err(MessageError::WrongKind(other)),
        };
        let head = CommandHead::read(&mut fields)?;
        Ok(Command {
            key: head.key,
            expiry: head.expiry,
            wait: head.wait,
            action,
        })
    }
}

/// The keys of a command that the gateway reads; the rest it forwards unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandHead {
    /// The idempotency key.
    pub key: Key,
    /// Past this it must not be executed.
    pub expiry: Time,
    /// Whether it may wait for a controller that is away.
    pub wait: bool,
}

impl CommandHead {
    /// Reads the head out of a command's payload.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn decode(payload: &[u8]) -> Result<Self, MessageError> {
        Self::read(&mut Fields::open(payload)?)
    }

    fn read(fields: &mut Fields<'_>) -> Result<Self, MessageError> {
        Ok(CommandHead {
            key: fields.required(0)?,
            expiry: fields.required(1)?,
            wait: fields.optional(5)?.unwrap_or(false),
        })
    }
}

macro_rules! stages {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal;)*) => {
        /// How far a command has come.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Stage { $($(#[$doc])* $variant = $number,)* }

        impl Stage {
            /// Every stage.
            pub const ALL: &'static [Stage] = &[$(Stage::$variant),*];

            /// The stage of a number on the wire.
            pub const fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Stage::$variant),)* _ => None }
            }

            /// The stable lowercase name.
            pub const fn name(self) -> &'static str {
                match self { $(Stage::$variant => $name,)* }
            }
        }
    };
}

stages! {
    /// Committed to the config store; waits for the controller.
    Queued = 1, "queued";
    /// Handed to the controller's link.
    Sent = 2, "sent";
    /// Taken into the controller's command queue.
    Delivered = 3, "delivered";
    /// The outputs are written.
    Executed = 4, "executed";
    /// The feedback followed.
    Confirmed = 5, "confirmed";
    /// Its time passed before it was executed.
    Expired = 16, "expired";
    /// Not accepted.
    Refused = 17, "refused";
    /// Executed, but the feedback did not follow.
    Failed = 18, "failed";
    /// Nobody can tell any more.
    Unknown = 19, "unknown";
}

/// The payload of a receipt frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The command's key.
    pub key: Key,
    /// How far it has come.
    pub stage: Stage,
    /// When, where the issuer knows the time.
    pub at: Option<Time>,
    /// Why, for expired, refused, failed and unknown.
    pub reason: Option<Code>,
    /// The same for people.
    pub detail: Option<Text>,
    /// Whether this is the last receipt of its command.
    pub is_final: bool,
}

impl Receipt {
    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        encoded(|bytes| self.encode_into(bytes))
    }

    /// Appends the payload.
    pub fn encode_into(&self, bytes: &mut Vec<u8>) {
        MapWriter::new(bytes)
            .put(0, &self.key)
            .put(1, &(self.stage as u8))
            .put_some(2, &self.at)
            .put_some(3, &self.reason)
            .put_some(4, &self.detail)
            .put(5, &self.is_final)
            .end()
    }

    /// Reads the payload.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn decode(payload: &[u8]) -> Result<Self, MessageError> {
        let mut fields = Fields::open(payload)?;
        let head = ReceiptHead::read(&mut fields)?;
        Ok(Receipt {
            key: head.key,
            stage: head.stage,
            at: fields.optional(2)?,
            reason: head.reason,
            detail: fields.optional(4)?,
            is_final: head.is_final,
        })
    }
}

/// The keys of a receipt that the gateway reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiptHead {
    /// The command's key.
    pub key: Key,
    /// How far it has come.
    pub stage: Stage,
    /// Why.
    pub reason: Option<Code>,
    /// Whether this is the last receipt of its command.
    pub is_final: bool,
}

impl ReceiptHead {
    /// Reads the head out of a receipt's payload.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn decode(payload: &[u8]) -> Result<Self, MessageError> {
        Self::read(&mut Fields::open(payload)?)
    }

    fn read(fields: &mut Fields<'_>) -> Result<Self, MessageError> {
        Ok(ReceiptHead {
            key: fields.required(0)?,
            stage: Stage::from_number(fields.required(1)?)
                .ok_or(MessageError::BadField { key: 1 })?,
            reason: fields.optional(3)?,
            is_final: fields.required(5)?,
        })
    }
}
