//! Commands and their receipts (§8).

use super::{Key, MessageError, Name, Text, Time, Verb, encoded};
use crate::{
    Code,
    cbor::{after_key, plain_boolean, plain_integer, plain_text, plain_unsigned},
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
    /// Changes a parameter of the script.
    Adjust {
        /// The parameter.
        parameter: Name,
        /// 0 or 1, a whole number, thousandths or milliseconds, by its type.
        value: i64,
    },
}

impl Action {
    /// The verb that carries it.
    pub const fn verb(&self) -> Verb {
        match self {
            Action::Set { .. } => Verb::Set,
            Action::Call { .. } => Verb::Call,
            Action::Adjust { .. } => Verb::Adjust,
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
            Action::Adjust { parameter, value } => head.put(3, parameter).put(4, value),
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
            Verb::Adjust => Action::Adjust {
                parameter: fields.required(3)?,
                value: fields.required(4)?,
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
        match Self::read_plain(payload) {
            Some(head) => Ok(head),
            None => Self::read_any(payload),
        }
    }

    /// The check and the fields in one go, for a command of just the keys known here. `None` when
    /// it is another, good or bad, for [`read_any`](Self::read_any) to say.
    fn read_plain(payload: &[u8]) -> Option<Self> {
        let [head @ 0xA5..=0xA6, 0, 0x50, rest @ ..] = payload else {
            return None;
        };
        let (&key, rest) = rest.split_first_chunk()?;
        let (expiry, rest) = plain_unsigned(after_key(1, rest)?)?;
        let (_verb, rest) = plain_unsigned(after_key(2, rest)?)?;
        let (_name, rest) = plain_text(after_key(3, rest)?)?;
        let mut rest = match *after_key(4, rest)? {
            [array @ 0x80..=0x97, ref arguments @ ..] => {
                let mut rest = arguments;
                for _ in 0..array & 0x1F {
                    (_, rest) = plain_integer(rest)?;
                }
                rest
            }
            ref value => plain_integer(value)?.1,
        };
        let mut wait = false;
        if *head == 0xA6 {
            (wait, rest) = plain_boolean(after_key(5, rest)?)?;
        }
        rest.is_empty().then_some(CommandHead {
            key: Key(key),
            expiry: Time(expiry),
            wait,
        })
    }

    fn read_any(payload: &[u8]) -> Result<Self, MessageError> {
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
        match Self::read_plain(payload) {
            Some(receipt) => Ok(receipt),
            None => Self::read_any(payload),
        }
    }

    /// The check and the fields in one go, for a receipt of just the keys known here. `None` when
    /// it is another, good or bad, for [`read_any`](Self::read_any) to say.
    fn read_plain(payload: &[u8]) -> Option<Self> {
        let [entries @ 0xA3..=0xA6, 0, 0x50, rest @ ..] = payload else {
            return None;
        };
        let (&key, rest) = rest.split_first_chunk()?;
        let (stage, mut rest) = plain_unsigned(after_key(1, rest)?)?;
        let mut left = entries - 0xA3;
        let (mut at, mut reason, mut detail) = (None, None, None);
        if let Some(after) = after_key(2, rest) {
            let (time, after) = plain_unsigned(after)?;
            (at, rest) = (Some(Time(time)), after);
            left = left.checked_sub(1)?;
        }
        if let Some(after) = after_key(3, rest) {
            let (code, after) = plain_unsigned(after)?;
            (reason, rest) = (Some(Code::from_number(code.try_into().ok()?)), after);
            left = left.checked_sub(1)?;
        }
        if let Some(after) = after_key(4, rest) {
            let (text, after) = plain_text(after)?;
            (detail, rest) = (Some(Text::new(text).ok()?), after);
            left = left.checked_sub(1)?;
        }
        let (is_final, rest) = plain_boolean(after_key(5, rest)?)?;
        (left == 0 && rest.is_empty()).then_some(())?;
        Some(Receipt {
            key: Key(key),
            stage: Stage::from_number(stage.try_into().ok()?)?,
            at,
            reason,
            detail,
            is_final,
        })
    }

    fn read_any(payload: &[u8]) -> Result<Self, MessageError> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, option, prelude::*, sample::Index};

    fn command() -> impl Strategy<Value = Command> {
        let name = "[A-Za-z_][A-Za-z0-9_]{0,23}".prop_map(|text| Name::new(&text).unwrap());
        let number = (any::<i64>(), 0..64_u32).prop_map(|(number, shift)| number >> shift);
        let action = prop_oneof![
            (name.clone(), number.clone()).prop_map(|(point, value)| Action::Set { point, value }),
            (name.clone(), number.clone())
                .prop_map(|(parameter, value)| Action::Adjust { parameter, value }),
            (name, vec(number, 0..=ARGUMENTS_MAX))
                .prop_map(|(command, arguments)| Action::Call { command, arguments }),
        ];
        let head = (any::<[u8; 16]>(), any::<u64>(), 0..64_u32, any::<bool>());
        (head, action).prop_map(|((key, expiry, shift, wait), action)| Command {
            key: Key(key),
            expiry: Time(expiry >> shift),
            wait,
            action,
        })
    }

    fn receipt() -> impl Strategy<Value = Receipt> {
        let stage = proptest::sample::select(Stage::ALL);
        let told = (
            option::of(any::<u64>()),
            any::<Option<u8>>(),
            option::of("[ -~é]{0,99}"),
        );
        (any::<[u8; 16]>(), stage, told, any::<bool>()).prop_map(
            |(key, stage, (at, reason, detail), is_final)| Receipt {
                key: Key(key),
                stage,
                at: at.map(Time),
                reason: reason.map(Code::from_number),
                detail: detail.map(|text| Text::cut(&text)),
                is_final,
            },
        )
    }

    /// The payload with a few bytes changed, and perhaps cut off.
    fn spoilt(
        mut payload: Vec<u8>,
        changes: Vec<(Index, u8, bool)>,
        cut: Option<Index>,
    ) -> Vec<u8> {
        for (at, byte, is_small) in changes {
            let at = at.index(payload.len());
            payload[at] = if is_small { byte % 24 } else { byte };
        }
        if let Some(cut) = cut {
            payload.truncate(cut.index(payload.len() + 1));
        }
        payload
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_096))]

        /// Whatever the short way takes, the long way takes, and finds the same in it.
        #[test]
        fn the_short_ways_find_what_the_long_ways_find(
            (command, receipt) in (command(), receipt()),
            changes in vec((any::<Index>(), any::<u8>(), any::<bool>()), 0..3),
            cut in option::of(any::<Index>()),
        ) {
            let payload = spoilt(command.encode(), changes.clone(), cut);
            if let Some(head) = CommandHead::read_plain(&payload) {
                prop_assert_eq!(Ok(head), CommandHead::read_any(&payload));
            }
            let payload = spoilt(receipt.encode(), changes, cut);
            if let Some(receipt) = Receipt::read_plain(&payload) {
                prop_assert_eq!(Ok(receipt), Receipt::read_any(&payload));
            }
        }

        #[test]
        fn plain_ones_go_the_short_way((command, receipt) in (command(), receipt())) {
            let head = CommandHead { key: command.key, expiry: command.expiry, wait: command.wait };
            let expiry = head.expiry.plus(std::time::Duration::ZERO);
            let found = CommandHead::read_plain(&command.encode());
            prop_assert_eq!(found, Some(CommandHead { expiry, ..head }));
            let at = receipt.at.map(|at| at.plus(std::time::Duration::ZERO));
            let found = Receipt::read_plain(&receipt.encode());
            prop_assert_eq!(found, Some(Receipt { at, ..receipt }));
        }
    }
}
