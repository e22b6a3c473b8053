//! Runs every golden vector of `tests/vectors/`, and sees that nothing of the protocol lacks one.

mod support;

use serde::Deserialize;
use std::collections::{BTreeSet, HashMap, HashSet};
use support::{Hex, MessageVector, decode, hex, kind_of, message_vectors, vectors};
use switchyard_protocol::{
    Address, Code, Frame, Header, Kind, Role,
    cbor::{self, Fault},
    limits,
    message::{
        AlarmLevel, CauseKind, Content, FirmwareState, GapCause, MessageError, PointType,
        ResetReason, ScriptState, Stage, ValueType, Verb,
    },
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderVector {
    name: String,
    hex: Hex,
    payload_bytes_max: Option<usize>,
    kind: Option<String>,
    flags: Option<u8>,
    payload_bytes: Option<u16>,
    correlation: Option<u32>,
    source: Option<u32>,
    destination: Option<u32>,
    error: Option<String>,
}

fn header_vectors() -> Vec<HeaderVector> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        header: Vec<HeaderVector>,
    }
    vectors::<File>("headers.toml").header
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PayloadVector {
    name: String,
    hex: Hex,
    ok: Option<bool>,
    fault: Option<String>,
}

fn payload_vectors() -> Vec<PayloadVector> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        payload: Vec<PayloadVector>,
    }
    vectors::<File>("cbor.toml").payload
}

fn assert_unique<'a>(names: impl Iterator<Item = &'a String>) {
    let mut seen = HashSet::new();
    for name in names {
        assert!(seen.insert(name), "{name} stands twice");
        assert!(
            name.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'),
            "{name} is not in snake case"
        );
    }
}

#[test]
fn headers() {
    let all = header_vectors();
    assert_unique(all.iter().map(|vector| &vector.name));
    for vector in &all {
        let name = &vector.name;
        let bytes: [u8; limits::HEADER_BYTES] = vector.hex.0.as_slice().try_into().unwrap();
        let max = vector
            .payload_bytes_max
            .unwrap_or(limits::PAYLOAD_BYTES_MAX);
        let found = Header::decode(&bytes, max);
        if let Some(error) = &vector.error {
            let code = found.expect_err(name).code();
            assert_eq!(code.name(), error, "{name}");
            continue;
        }
        let header = found.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(Some(header.kind.name()), vector.kind.as_deref(), "{name}");
        assert_eq!(Some(header.flags.bits()), vector.flags, "{name}");
        assert_eq!(Some(header.payload_bytes), vector.payload_bytes, "{name}");
        assert_eq!(Some(header.correlation), vector.correlation, "{name}");
        assert_eq!(Some(header.source.0), vector.source, "{name}");
        assert_eq!(Some(header.destination.0), vector.destination, "{name}");
        assert_eq!(header.encode(), bytes, "{name}");
        let payload = vec![0; usize::from(header.payload_bytes)];
        let frame = Frame::with_flags(
            header.kind,
            header.flags,
            header.correlation,
            Address(header.source.0),
            Address(header.destination.0),
            &payload,
        );
        assert_eq!(frame.bytes()[..limits::HEADER_BYTES], bytes, "{name}");
    }
}

#[test]
fn payload_checks() {
    let all = payload_vectors();
    assert_unique(all.iter().map(|vector| &vector.name));
    for vector in &all {
        let name = &vector.name;
        assert_ne!(vector.ok.is_some(), vector.fault.is_some(), "{name}");
        let found = cbor::check(&vector.hex.0).err().map(Fault::name);
        assert_eq!(found, vector.fault.as_deref(), "{name} {:?}", vector.hex);
    }
}

fn run(vector: &MessageVector) {
    let name = &vector.name;
    let (family, _) = vector
        .message_type
        .split_once('.')
        .unwrap_or((&vector.message_type, ""));
    let found = decode(family, kind_of(&vector.kind), &vector.hex.0);
    let Some(error) = &vector.error else {
        let shown = found.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(shown.message_type, vector.message_type, "{name}");
        assert_eq!(Some(&shown.fields), vector.fields.as_ref(), "{name}");
        let is_canonical = shown.encoded == vector.hex.0;
        if vector.encode.unwrap_or(true) {
            assert!(
                is_canonical,
                "{name}: {} for {:?}",
                hex(&shown.encoded),
                vector.hex
            );
        } else {
            assert!(!is_canonical, "{name} is encoded like this after all");
        }
        return;
    };
    assert!(vector.fields.is_none(), "{name}");
    let found = found.err().unwrap_or_else(|| panic!("{name} was taken"));
    let (told, key, fault) = match &found {
        MessageError::Cbor(fault) => ("cbor", None, Some(fault.name())),
        MessageError::BadField { key } => ("bad_field", Some(*key), None),
        MessageError::UnknownVerb(_) => ("unsupported", None, None),
        MessageError::WrongKind(_) => ("wrong_kind", None, None),
        other => panic!("{name}: {other} has no name in the vectors"),
    };
    assert_eq!(told, error, "{name}");
    assert_eq!(key, vector.key, "{name}");
    assert_eq!(fault, vector.fault.as_deref(), "{name}");
}

#[test]
fn messages() {
    let all = message_vectors();
    assert_unique(all.iter().map(|vector| &vector.name));
    all.iter().for_each(run);
}

/// Fails when one of `wanted` is not among `found`.
fn assert_covered<T: std::fmt::Display + PartialEq>(
    what: &str,
    wanted: impl IntoIterator<Item = T>,
    found: &[T],
) {
    for one in wanted {
        assert!(found.contains(&one), "no vector has the {what} {one}");
    }
}

#[test]
fn every_kind_fault_and_error_has_a_vector() {
    let headers = header_vectors();
    let kinds: Vec<&str> = headers.iter().filter_map(|it| it.kind.as_deref()).collect();
    assert_covered("kind", Kind::ALL.iter().map(|kind| kind.name()), &kinds);
    let errors: Vec<&str> = headers
        .iter()
        .filter_map(|it| it.error.as_deref())
        .collect();
    assert_covered("error", ["malformed", "too_large"], &errors);
    let payloads = payload_vectors();
    let faults: Vec<&str> = payloads
        .iter()
        .filter_map(|it| it.fault.as_deref())
        .collect();
    assert_covered("fault", Fault::ALL.map(Fault::name), &faults);
    let messages = message_vectors();
    let faults: Vec<&str> = messages
        .iter()
        .filter_map(|it| it.fault.as_deref())
        .collect();
    assert_covered("fault", Fault::ALL.map(Fault::name), &faults);
}

#[test]
fn every_message_type_is_taken_and_refused_by_a_vector() {
    let mut wanted: BTreeSet<String> = [
        "controller_hello",
        "hello_reply",
        "tool_hello",
        "tool_welcome",
        "ping",
        "ping_reply",
        "error",
        "answer.refused",
        "status.full",
        "status.delta",
        "receipt",
    ]
    .map(String::from)
    .into();
    for verb in Verb::ALL {
        let name = verb.name();
        match verb.kind() {
            Kind::Query | Kind::Configure | Kind::Admin => {
                wanted.insert(format!("request.{name}"));
                wanted.insert(format!("answer.{name}"));
            }
            Kind::Command => drop(wanted.insert(format!("command.{name}"))),
            Kind::Event => {
                wanted.insert(format!("event.{name}"));
                // The gateway's word that it has one.
                if matches!(verb, Verb::Happened | Verb::Alarm) {
                    wanted.insert(format!("answer.{name}"));
                }
            }
            other => panic!("{name} is carried by {}", other.name()),
        }
    }
    let all = message_vectors();
    for (what, accepted) in [("accepted", true), ("refused", false)] {
        let types: Vec<String> = all
            .iter()
            .filter(|vector| vector.error.is_none() == accepted)
            .map(|vector| vector.message_type.clone())
            .collect();
        assert_covered(what, wanted.iter().cloned(), &types);
    }
}

#[test]
fn every_number_of_a_registry_has_a_vector() {
    let all = message_vectors();
    let accepted = |wanted: &str| -> Vec<&toml::Table> {
        all.iter()
            .filter(|vector| vector.message_type == wanted)
            .filter_map(|vector| vector.fields.as_ref())
            .collect()
    };
    let numbers = |message_type: &str, field: &str| -> Vec<i64> {
        accepted(message_type)
            .iter()
            .filter_map(|fields| fields.get(field)?.as_integer())
            .collect()
    };
    let codes = || Code::ALL.iter().map(|code| i64::from(code.number()));
    assert_covered("code", codes(), &numbers("error", "code"));
    assert_covered("code", codes().skip(1), &numbers("answer.refused", "code"));
    assert_covered("code", codes(), &numbers("receipt", "reason"));
    let stages = || Stage::ALL.iter().map(|stage| *stage as i64);
    assert_covered("stage", stages(), &numbers("receipt", "stage"));
    assert_covered("stage", stages(), &numbers("answer.receipt", "stage"));
    assert_covered("stage", stages(), &numbers("answer.outcome", "stage"));
    let roles = Role::ALL.map(|role| role as i64);
    assert_covered("role", roles, &numbers("tool_welcome", "role"));
    assert_covered("peer kind", 0..=5, &numbers("answer.identify", "peer_kind"));

    let numbers_in = |message_type: &str, map: &str, field: &str| -> Vec<i64> {
        accepted(message_type)
            .iter()
            .filter_map(|fields| fields.get(map)?.get(field)?.as_integer())
            .collect()
    };
    let resets = ResetReason::ALL.iter().map(|it| i64::from(it.number()));
    assert_covered("reset", resets, &numbers("answer.health", "reset"));
    let causes = GapCause::ALL.iter().map(|it| i64::from(it.number()));
    let found = numbers_in("answer.health", "scan", "gap_cause");
    assert_covered("gap cause", causes, &found);
    let states = ScriptState::ALL.iter().map(|it| *it as i64);
    let found = numbers_in("answer.health", "script", "state");
    assert_covered("script state", states, &found);
    let states = FirmwareState::ALL.iter().map(|it| i64::from(it.number()));
    let found = numbers_in("answer.health", "firmware", "state");
    assert_covered("firmware state", states, &found);
    let levels = AlarmLevel::ALL.iter().map(|it| *it as i64);
    assert_covered("level", levels, &numbers("event.alarm", "level"));
    let contents = |of: fn(Content) -> bool| {
        let all = Content::ALL.iter().filter(move |it| of(**it));
        all.map(|it| *it as i64)
    };
    let found = numbers("request.transfer_open", "content");
    assert_covered("content", contents(Content::is_written), &found);
    let found = numbers("request.transfer_read", "content");
    assert_covered("content", contents(Content::is_read), &found);

    let of_points = |message_type: &str, read: fn(&toml::Value) -> Option<i64>| -> Vec<i64> {
        accepted(message_type)
            .iter()
            .filter_map(|fields| fields.get("points")?.as_array())
            .flatten()
            .filter_map(read)
            .collect()
    };
    let types_in = |message_type: &str, array: &str| -> Vec<i64> {
        accepted(message_type)
            .iter()
            .filter_map(|fields| fields.get(array)?.as_array())
            .flatten()
            .filter_map(|it| it.get("type").unwrap_or(it).as_integer())
            .collect()
    };
    let value_types = || ValueType::ALL.iter().map(|it| *it as i64);
    for (message_type, array) in [
        ("answer.parameters", "parameters"),
        ("answer.values", "values"),
        ("event.happened", "types"),
    ] {
        assert_covered("value type", value_types(), &types_in(message_type, array));
    }
    let cause = |point: &toml::Value| point.get("cause")?.get("kind")?.as_integer();
    let causes = || CauseKind::ALL.map(|kind| kind as i64);
    assert_covered("cause", causes(), &of_points("status.full", cause));
    assert_covered("cause", causes(), &of_points("status.delta", cause));
    let types = (0..=u8::MAX).filter_map(PointType::from_number);
    let found = of_points("status.full", |point| point.get("type")?.as_integer());
    assert_covered("point type", types.map(|it| it as i64), &found);
}

#[test]
fn every_verb_is_refused_under_every_other_kind() {
    let all = message_vectors();
    let refused: HashMap<(Kind, u64), &str> = all
        .iter()
        .filter(|vector| vector.error.as_deref() == Some("wrong_kind"))
        .map(|vector| {
            let mut decoder = minicbor::Decoder::new(&vector.hex.0);
            decoder.map().unwrap();
            let mut verb = None;
            while let Ok(key) = decoder.u64() {
                let value = decoder.u64().unwrap();
                if key == 2 {
                    verb = Some(value);
                }
            }
            ((kind_of(&vector.kind), verb.unwrap()), vector.name.as_str())
        })
        .collect();
    for kind in [
        Kind::Query,
        Kind::Command,
        Kind::Configure,
        Kind::Admin,
        Kind::Event,
    ] {
        for verb in Verb::ALL.iter().filter(|verb| verb.kind() != kind) {
            assert!(
                refused.contains_key(&(kind, verb.number().into())),
                "no vector has {} under {}",
                verb.name(),
                kind.name()
            );
        }
    }
}
