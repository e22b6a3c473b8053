//! Commands out of messages: what a payload asks for, and whether it came before. Pure.
//!
//! A payload is a value (`1`, `ON`, `21.5`; for a call a list of whole numbers), or an object that has it and
//! more: `{"value": 1, "key": "32 hexadecimal digits", "expires": milliseconds since 1970}`. With a key of
//! its own, a command that is published twice is one command.
//!
//! Without one, the key belongs to the *message*: the broker's number for it and its content. A broker that
//! delivers a message once more (MQTT marks that) so delivers the same command once more, which the relay
//! answers with its receipt.

use super::topics::{Aim, Verb};
use blake2::{Blake2b, Digest as _, digest::consts::U32};
use serde::Deserialize;
use serde_json::{Number, Value};
use std::{collections::VecDeque, time::Duration};
use switchyard_protocol::{
    Code,
    limits::{ARGUMENTS_MAX, INTEGER_MAX},
    message::{Action, Command, Key, PointType, Time},
};

/// Bytes of a command's payload: the longest that makes sense has a tenth.
const PAYLOAD_BYTES_MAX: usize = 1_024;
/// How long a command without an expiry of its own may take, from the latest moment before which it cannot have been
/// published: who flips a switch does not wait longer, and whatever held it up by then has made it a surprise.
pub(super) const EXPIRES_IN: Duration = Duration::from_secs(10);
/// Messages that are remembered for the case that they come once more. The broker has at most some twenty
/// of ours under way.
const HEARD_MAX: usize = 256;

/// Why a message does not become a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: Code,
    pub(super) detail: Option<String>,
}

impl Refusal {
    /// With words for people.
    pub(super) fn new(code: Code, detail: impl Into<String>) -> Self {
        Refusal {
            code,
            detail: Some(detail.into()),
        }
    }
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Refusal { code, detail: None }
    }
}

/// A payload with more than a value.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole {
    value: Option<Value>,
    arguments: Option<Vec<Value>>,
    key: Option<String>,
    expires: Option<u64>,
}

/// A command as a message asks for it, at a moment of gateway time; the message may be as old as `age`. `point_type` is
/// that of the point that is to be set.
///
/// # Errors
/// What was expected.
pub(super) fn read(
    aim: &Aim,
    point_type: Option<PointType>,
    payload: &[u8],
    (now, age): (Time, Duration),
) -> Result<Command, Refusal> {
    let value = value(payload)?;
    let whole = match value {
        Value::Object(_) => {
            serde_json::from_value(value).map_err(|error| bad(&error.to_string()))?
        }
        Value::Array(arguments) => Whole::of(None, Some(arguments)),
        value => Whole::of(Some(value), None),
    };
    let key = match (&whole.key, whole.expires) {
        (None, _) => Key(rand::random()),
        // Else the same command, sent again, would expire later and be another one.
        (Some(_), None) => {
            return Err(bad(
                "expected expires beside a key: milliseconds since 1970",
            ));
        }
        (Some(key), Some(_)) => {
            hex_key(key).ok_or_else(|| bad("key: expected 32 hexadecimal digits"))?
        }
    };
    let expiry = match whole.expires {
        Some(expires) => Time(expires),
        None if age >= EXPIRES_IN => {
            let words =
                "the broker did not answer for a while, and this may have lain there; send it anew";
            return Err(Refusal::new(Code::Expired, words));
        }
        None => now.plus(EXPIRES_IN - age),
    };
    if expiry.0 > INTEGER_MAX as u64 {
        return Err(bad("expires: expected milliseconds since 1970"));
    }
    let name = aim.name.clone();
    let action = match aim.verb {
        Verb::Set => {
            let point_type = point_type.ok_or(Code::UnknownPoint)?;
            let value = whole.only_value()?;
            let value = match point_type.is_digital() {
                true => digital(&value).ok_or_else(|| bad("expected 1 or 0, ON or OFF"))?,
                false => thousandths(&value).ok_or_else(|| bad("expected a number"))?,
            };
            Action::Set { point: name, value }
        }
        Verb::Adjust => {
            let value = integer(&whole.only_value()?);
            let value = value.ok_or_else(|| bad("expected a whole number, true or false"))?;
            Action::Adjust {
                parameter: name,
                value,
            }
        }
        Verb::Call => Action::Call {
            command: name,
            arguments: whole.arguments()?,
        },
    };
    Ok(Command {
        key,
        expiry,
        // Whoever publishes hears nothing of a queue, and finds a pump running hours later.
        wait: false,
        action,
    })
}

/// What a payload says, whatever that is.
fn value(payload: &[u8]) -> Result<Value, Refusal> {
    if payload.len() > PAYLOAD_BYTES_MAX {
        let detail = format!("expected at most {PAYLOAD_BYTES_MAX} bytes");
        return Err(Refusal::new(Code::TooLarge, detail));
    }
    let text = str::from_utf8(payload).map_err(|_| bad("expected text in UTF-8"))?;
    // Words such as ON are no JSON.
    Ok(serde_json::from_str(text).unwrap_or_else(|_| Value::from(text.trim())))
}

/// The key by which a message's publisher knows it, also where the rest of it makes no sense.
pub(super) fn own_key(payload: &[u8]) -> Option<Key> {
    hex_key(value(payload).ok()?.get("key")?.as_str()?)
}

impl Whole {
    fn of(value: Option<Value>, arguments: Option<Vec<Value>>) -> Self {
        Whole {
            value,
            arguments,
            key: None,
            expires: None,
        }
    }

    fn only_value(self) -> Result<Value, Refusal> {
        match (self.value, self.arguments) {
            (Some(value), None) => Ok(value),
            _ => Err(bad("expected one value")),
        }
    }

    fn arguments(self) -> Result<Vec<i64>, Refusal> {
        let wanted = "expected a list of at most 4 whole numbers, such as [] or [5000]";
        let (None, Some(arguments)) = (self.value, self.arguments) else {
            return Err(bad(wanted));
        };
        let numbers: Option<Vec<i64>> = arguments.iter().map(integer).collect();
        let numbers = numbers.filter(|numbers| numbers.len() <= ARGUMENTS_MAX);
        numbers.ok_or_else(|| bad(wanted))
    }
}

fn hex_key(text: &str) -> Option<Key> {
    let bytes = crate::hex::decode(text)?;
    bytes.try_into().ok().map(Key)
}

fn bad(detail: &str) -> Refusal {
    Refusal::new(Code::BadField, detail)
}

fn digital(value: &Value) -> Option<i64> {
    match value {
        Value::Bool(on) => Some((*on).into()),
        Value::Number(number) => whole(number).filter(|it| (0..=1).contains(it)),
        Value::String(word) => match &*word.to_ascii_lowercase() {
            "on" | "true" | "1" => Some(1),
            "off" | "false" | "0" => Some(0),
            _ => None,
        },
        _ => None,
    }
}

fn thousandths(value: &Value) -> Option<i64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let thousandths = (number? * 1_000.0).round();
    // Also false for what is no number.
    (thousandths.abs() <= INTEGER_MAX as f64).then_some(thousandths as i64)
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Bool(on) => Some((*on).into()),
        Value::Number(number) => whole(number),
        _ => None,
    }
}

/// A whole number that the protocol can carry, also one that is written as `13.0`.
fn whole(number: &Number) -> Option<i64> {
    let fraction = || {
        let float = number.as_f64().filter(|it| it.fract() == 0.0)?;
        (float.abs() <= INTEGER_MAX as f64).then_some(float as i64)
    };
    let whole = number.as_i64().or_else(fraction)?;
    (whole.unsigned_abs() <= INTEGER_MAX as u64).then_some(whole)
}

/// What a broker's delivery of a message is known by, if it may come once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    packet_id: u16,
    digest: [u8; 32],
}

impl Mark {
    /// Of a message with QoS 1; those with QoS 0 have no number and never come again.
    pub(super) fn of(packet_id: u16, topic: &str, payload: &[u8]) -> Option<Self> {
        let mut digest = Blake2b::<U32>::new();
        digest.update(topic.as_bytes());
        // No topic holds it.
        digest.update([0]);
        digest.update(payload);
        (packet_id != 0).then(|| Mark {
            packet_id,
            digest: digest.finalize().into(),
        })
    }
}

/// Messages of late, and what they became.
#[derive(Debug, Default)]
pub(super) struct Heard {
    latest: VecDeque<(Mark, Command)>,
}

impl Heard {
    /// Remembers one.
    pub(super) fn note(&mut self, mark: Option<Mark>, command: &Command) {
        let Some(mark) = mark else {
            return;
        };
        if self.latest.len() == HEARD_MAX {
            self.latest.pop_front();
        }
        self.latest.push_back((mark, command.clone()));
    }

    /// What a message became that comes once more: the same command, to the bit.
    pub(super) fn find(&self, mark: Option<Mark>) -> Option<&Command> {
        let mark = mark?;
        let mut latest = self.latest.iter().rev();
        latest
            .find(|(it, _)| *it == mark)
            .map(|(_, command)| command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchyard_protocol::{Address, message::Name};

    const NOW: Time = Time(1_000_000);

    fn aim(verb: Verb) -> Aim {
        Aim {
            controller: Address(7),
            verb,
            name: Name::new("it").unwrap(),
        }
    }

    fn action(verb: Verb, point_type: Option<PointType>, payload: &str) -> Result<Action, Code> {
        let command = read(
            &aim(verb),
            point_type,
            payload.as_bytes(),
            (NOW, Duration::ZERO),
        );
        let command = command.map_err(|refusal| refusal.code)?;
        assert_eq!(
            (command.expiry, command.wait),
            (NOW.plus(EXPIRES_IN), false)
        );
        Ok(command.action)
    }

    #[test]
    fn values_are_read_by_the_type_of_their_point() {
        let (digital, analogue) = (PointType::DigitalOutput, PointType::AnalogueOutput);
        for (point_type, payload, expected) in [
            (digital, "1", Some(1)),
            (digital, "ON", Some(1)),
            (digital, " off\n", Some(0)),
            (digital, "true", Some(1)),
            (digital, "\"OFF\"", Some(0)),
            (digital, "{\"value\": 1.0}", Some(1)),
            (digital, "2", None),
            (digital, "0.5", None),
            (digital, "TOGGLE", None),
            (digital, "[1]", None),
            (analogue, "21.5", Some(21_500)),
            (analogue, "-0.0004", Some(0)),
            (analogue, "\"7\"", Some(7_000)),
            (analogue, "1e300", None),
            (analogue, "NaN", None),
            (analogue, "ON", None),
            (analogue, "null", None),
            (analogue, "{\"value\": 1, \"unit\": \"bar\"}", None),
        ] {
            let expected = expected.ok_or(Code::BadField).map(|value| Action::Set {
                point: Name::new("it").unwrap(),
                value,
            });
            let found = action(Verb::Set, Some(point_type), payload);
            assert_eq!(found, expected, "{payload}");
        }
        assert_eq!(action(Verb::Set, None, "1"), Err(Code::UnknownPoint));
        let long = format!("\"{}\"", "x".repeat(PAYLOAD_BYTES_MAX));
        assert_eq!(action(Verb::Set, Some(digital), &long), Err(Code::TooLarge));
    }

    #[test]
    fn calls_take_lists_and_adjustments_whole_numbers() {
        for (payload, expected) in [
            ("[]", Some(vec![])),
            ("[5000, true]", Some(vec![5_000, 1])),
            ("{\"arguments\": [1]}", Some(vec![1])),
            ("5000", None),
            ("[0.5]", None),
            ("[1,2,3,4,5]", None),
            ("{\"value\": 1}", None),
            ("[9007199254740992]", None),
        ] {
            let expected = expected
                .ok_or(Code::BadField)
                .map(|arguments| Action::Call {
                    command: Name::new("it").unwrap(),
                    arguments,
                });
            assert_eq!(action(Verb::Call, None, payload), expected, "{payload}");
        }
        for (payload, expected) in [
            ("-3", Some(-3)),
            ("false", Some(0)),
            ("1.5", None),
            ("[]", None),
        ] {
            let expected = expected.ok_or(Code::BadField).map(|value| Action::Adjust {
                parameter: Name::new("it").unwrap(),
                value,
            });
            assert_eq!(action(Verb::Adjust, None, payload), expected, "{payload}");
        }
    }

    #[test]
    fn a_key_of_its_own_comes_with_a_moment() {
        let digits = "000102030405060708090a0b0c0d0e0f";
        let point_type = Some(PointType::DigitalOutput);
        let payload = format!("{{\"value\": 1, \"key\": \"{digits}\", \"expires\": 1000500}}");
        let now = (NOW, Duration::ZERO);
        let read = |payload: &str| read(&aim(Verb::Set), point_type, payload.as_bytes(), now);
        let command = read(&payload).unwrap();
        assert_eq!(command.key, Key(std::array::from_fn(|index| index as u8)));
        assert_eq!(command.expiry, Time(1_000_500));
        assert_eq!(read(&payload).unwrap(), command, "the same to the bit");
        for bad in [
            format!("{{\"value\": 1, \"key\": \"{digits}\"}}"),
            "{\"value\": 1, \"key\": \"00\", \"expires\": 1}".to_owned(),
            "{\"value\": 1, \"expires\": 9007199254740993}".to_owned(),
        ] {
            assert_eq!(read(&bad).unwrap_err().code, Code::BadField, "{bad}");
        }
    }

    #[test]
    fn the_time_that_a_message_may_have_lain_at_the_broker_counts() {
        let point_type = Some(PointType::DigitalOutput);
        let read = |payload: &str, age| {
            let read = read(&aim(Verb::Set), point_type, payload.as_bytes(), (NOW, age));
            read.map(|command| command.expiry).map_err(|it| it.code)
        };
        let second = Duration::from_secs(1);
        for (age, expected) in [
            (Duration::ZERO, Ok(NOW.plus(EXPIRES_IN))),
            (3 * second, Ok(NOW.plus(7 * second))),
            (EXPIRES_IN, Err(Code::Expired)),
            (3_600 * second, Err(Code::Expired)),
        ] {
            assert_eq!(read("1", age), expected, "{age:?}");
        }
        // Who says by when it has to be done means that.
        let payload = "{\"value\": 1, \"expires\": 1000500}";
        assert_eq!(read(payload, EXPIRES_IN), Ok(Time(1_000_500)));
    }

    #[test]
    fn a_key_is_found_whatever_stands_beside_it() {
        let digits = "000102030405060708090a0b0c0d0e0f";
        let key = Some(Key(std::array::from_fn(|index| index as u8)));
        for (payload, expected) in [
            (format!("{{\"value\": [], \"key\": \"{digits}\"}}"), key),
            (format!("{{\"key\": \"{digits}\", \"what\": 1}}"), key),
            (format!("\"{digits}\""), None),
            ("{\"key\": \"00\"}".to_owned(), None),
            ("{\"key\": 7}".to_owned(), None),
            ("ON".to_owned(), None),
            (
                format!(
                    "{{\"key\": \"{digits}\", \"value\": \"{}\"}}",
                    "x".repeat(1_024)
                ),
                None,
            ),
        ] {
            assert_eq!(own_key(payload.as_bytes()), expected, "{payload}");
        }
    }

    #[test]
    fn a_message_that_comes_once_more_is_the_same_command() {
        let mut heard = Heard::default();
        let mark =
            |id, payload: &str| Mark::of(id, "switchyard/7/command/set/it", payload.as_bytes());
        let command = || {
            let point_type = Some(PointType::DigitalOutput);
            read(&aim(Verb::Set), point_type, b"1", (NOW, Duration::ZERO)).unwrap()
        };
        let (first, second) = (command(), command());
        heard.note(mark(1, "1"), &first);
        assert_eq!(heard.find(mark(1, "1")), Some(&first));
        assert_eq!(heard.find(mark(2, "1")), None);
        assert_eq!(heard.find(mark(1, "0")), None);
        assert_eq!(mark(0, "1"), None, "a message without a number");
        // The broker gives its numbers again: the later one counts.
        heard.note(mark(1, "1"), &second);
        assert_eq!(heard.find(mark(1, "1")), Some(&second));
        for id in 2..=HEARD_MAX as u16 + 1 {
            heard.note(mark(id, "1"), &first);
        }
        assert_eq!(
            (heard.latest.len(), heard.find(mark(1, "1"))),
            (HEARD_MAX, None)
        );
    }
}
