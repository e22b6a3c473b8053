//! Runs the golden vectors of a board's serial line, and finds packets in all that is done to them.

mod support;

use proptest::prelude::*;
use serde::Deserialize;
use std::collections::HashSet;
use support::{Hex, hex, vectors};
use switchyard_protocol::{
    message::MessageError,
    serial::{
        Answer, Body, Command, CommandError, DATA_BYTES_MAX, Packet, PacketType, Parser, Received,
        Request, SerialError, Setting, TrialStep, Verb, improv_result, read_result,
    },
};
use toml::{Table, Value};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    line: Vec<Line>,
    request: Vec<RequestVector>,
    answer: Vec<AnswerVector>,
    command: Vec<CommandVector>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    name: String,
    hex: Hex,
    packets: Vec<Found>,
    #[serde(default)]
    exact: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Found {
    #[serde(rename = "type")]
    packet_type: u8,
    data: Hex,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestVector {
    name: String,
    hex: Hex,
    id: Option<u8>,
    verb: Option<String>,
    fields: Option<Table>,
    encode: Option<bool>,
    error: Option<String>,
    key: Option<u8>,
    fault: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerVector {
    name: String,
    verb: String,
    hex: Hex,
    id: u8,
    code: u8,
    fields: Table,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CommandVector {
    name: String,
    hex: Hex,
    number: Option<u8>,
    fields: Option<Table>,
    error: Option<String>,
}

fn file() -> File {
    vectors("serial.toml")
}

fn text(value: &str) -> Value {
    Value::String(value.to_owned())
}

fn number(value: impl Into<i64>) -> Value {
    Value::Integer(value.into())
}

fn packets(received: Vec<Received>) -> Vec<Packet> {
    let packet = |it| match it {
        Received::Packet(packet) => Some(packet),
        Received::Text(_) => None,
    };
    received.into_iter().filter_map(packet).collect()
}

#[test]
fn lines() {
    let mut names = HashSet::new();
    for vector in file().line {
        let name = &vector.name;
        assert!(names.insert(name.clone()), "{name} stands twice");
        let wanted: Vec<_> = vector
            .packets
            .iter()
            .map(|it| Packet {
                packet_type: PacketType::from_number(it.packet_type),
                data: it.data.0.clone(),
            })
            .collect();
        let mut parser = Parser::default();
        let mut whole = parser.receive(&vector.hex.0);
        whole.extend(parser.give_up());
        let whole = packets(whole);
        assert_eq!(whole, wanted, "{name}");
        let mut parser = Parser::default();
        let bytes = vector.hex.0.iter();
        let mut single: Vec<_> = bytes.flat_map(|it| parser.receive(&[*it])).collect();
        single.extend(parser.give_up());
        assert_eq!(packets(single), wanted, "{name}, byte by byte");
        assert!(!parser.is_waiting(), "{name}");
        if vector.exact {
            assert_eq!(hex(&wanted[0].encode()), hex(&vector.hex.0), "{name}");
        }
    }
}

fn told(request: &Request) -> Table {
    let mut table = Table::new();
    let mut put = |key: &str, value: Value| drop(table.insert(key.to_owned(), value));
    match request {
        Request::Unlock(password) => put("password", text(&password.0)),
        Request::Set(values) => {
            for value in values {
                put(value.setting.name(), text(&value.text));
            }
        }
        Request::Enrol { address, key } => {
            put("address", number(address.0));
            put("key", text(&hex(&key.0)));
        }
        Request::ScriptBegin { bytes } => put("bytes", number(*bytes)),
        Request::ScriptWrite { at, piece } => {
            put("at", number(*at));
            put("piece", text(&hex(piece)));
        }
        Request::Trial(step) => put("step", text(step.name())),
        _ => {}
    }
    table
}

#[test]
fn requests() {
    let mut names = HashSet::new();
    for vector in file().request {
        let name = &vector.name;
        assert!(names.insert(name.clone()), "{name} stands twice");
        let found = Request::decode(&vector.hex.0);
        if let Some(error) = &vector.error {
            let (told, key, fault) = match found.expect_err(name) {
                SerialError::Damaged => ("damaged", None, None),
                SerialError::Message(MessageError::Cbor(fault)) => {
                    ("cbor", None, Some(fault.name()))
                }
                SerialError::Message(MessageError::BadField { key }) => {
                    ("bad_field", Some(key), None)
                }
                SerialError::Message(MessageError::UnknownVerb(_)) => ("unsupported", None, None),
                other => panic!("{name}: {other}"),
            };
            assert_eq!(told, error, "{name}");
            assert_eq!(key, vector.key, "{name}");
            assert_eq!(fault, vector.fault.as_deref(), "{name}");
            continue;
        }
        let (id, request) = found.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(Some(id), vector.id, "{name}");
        assert_eq!(Some(request.verb().name()), vector.verb.as_deref());
        assert_eq!(Some(told(&request)), vector.fields, "{name}");
        let encoded = request.encode(id);
        let is_same = encoded == vector.hex.0;
        assert_eq!(is_same, vector.encode.unwrap_or(true), "{name}");
        assert!(encoded.len() <= DATA_BYTES_MAX, "{name}");
        if let Request::Set(values) = &request {
            for value in values.iter().filter(|it| it.setting.is_secret()) {
                let shown = format!("{request:?}");
                assert!(!shown.contains(&value.text), "{name}: {shown}");
            }
        }
    }
}

fn told_by(body: &Body) -> Table {
    let mut table = Table::new();
    let mut put = |key: &str, value: Value| drop(table.insert(key.to_owned(), value));
    match body {
        Body::Description(it) => {
            put("profile", text(&it.profile));
            put("software", text(&it.software));
            put("version", number(it.version));
            put("slot", number(it.slot));
            put("reset", number(it.reset.number()));
            put("address", number(it.address.map_or(0, |it| it.0)));
            put("protected", Value::Boolean(it.is_protected));
            put("unlocked", Value::Boolean(it.is_unlocked));
            put("wifi", number(it.wifi.number()));
            let ip = it.ip.unwrap_or(std::net::Ipv4Addr::UNSPECIFIED);
            put("ip", text(&ip.to_string()));
            put("link", number(it.link));
            put("boot_id", number(it.boot_id));
            put("script", number(it.script));
            put("script_hash", number(it.script_hash));
            if let Some(hardware) = &it.hardware {
                put("hardware", text(&hex(hardware)));
            }
            put("name", text(&it.name));
        }
        Body::Wait(wait) => put("wait_ms", number(wait.as_millis() as i64)),
        Body::WrongSetting(Some(setting)) => put("setting", text(setting.name())),
        Body::Compiled(compiled) => {
            put("operations", number(compiled.operations));
            put("scan_us", number(compiled.scan_us));
        }
        Body::Fault(fault) => {
            put("line", number(fault.line));
            put("column", number(fault.column));
            put("expected", text(fault.expected.as_str()));
            if let Some(fix) = &fault.fix {
                put("fix", text(fix.as_str()));
            }
            if let Some(other_line) = fault.other_line {
                put("other_line", number(other_line));
            }
        }
        _ => {}
    }
    table
}

fn verb_of(name: &str) -> Verb {
    let verb = Verb::ALL.iter().find(|verb| verb.name() == name);
    *verb.unwrap_or_else(|| panic!("no verb {name}"))
}

#[test]
fn answers() {
    let mut names = HashSet::new();
    for vector in file().answer {
        let name = &vector.name;
        assert!(names.insert(name.clone()), "{name} stands twice");
        let answer = Answer::decode(&vector.hex.0, verb_of(&vector.verb));
        let answer = answer.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(answer.id, vector.id, "{name}");
        assert_eq!(answer.code.number(), vector.code, "{name}");
        assert_eq!(told_by(&answer.body), vector.fields, "{name}");
        assert_eq!(hex(&answer.encode()), hex(&vector.hex.0), "{name}");
    }
}

#[test]
fn commands_of_the_standard() {
    for vector in file().command {
        let name = &vector.name;
        let found = Command::decode(&vector.hex.0);
        if let Some(error) = &vector.error {
            let told = match found.expect_err(name) {
                CommandError::Invalid => "invalid",
                CommandError::Unknown(_) => "unknown",
                other => panic!("{name}: {other}"),
            };
            assert_eq!(told, error, "{name}");
            continue;
        }
        let command = found.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(Some(command.number()), vector.number, "{name}");
        let mut fields = Table::new();
        match &command {
            Command::SendWifi { network, password } => {
                fields.insert("network".to_owned(), text(&hex(network)));
                fields.insert("password".to_owned(), text(&hex(password)));
            }
            Command::HostName(Some(name)) | Command::DeviceName(Some(name)) => {
                fields.insert("text".to_owned(), text(name));
            }
            _ => {}
        }
        assert_eq!(Some(fields), vector.fields, "{name}");
        assert_eq!(hex(&command.encode()), hex(&vector.hex.0), "{name}");
    }
}

#[test]
fn every_verb_setting_and_step_has_a_vector() {
    let file = file();
    for verb in Verb::ALL {
        let name = Some(verb.name());
        assert!(file.request.iter().any(|it| it.verb.as_deref() == name));
        assert!(file.answer.iter().any(|it| Some(it.verb.as_str()) == name));
        assert_eq!(Verb::from_number(verb.number()), Some(*verb));
    }
    let told = |verb: &str, field: &str| {
        file.request.iter().any(|it| {
            it.verb.as_deref() == Some(verb)
                && it.fields.as_ref().is_some_and(|it| {
                    it.contains_key(field) || it.values().any(|it| it.as_str() == Some(field))
                })
        })
    };
    for setting in Setting::ALL {
        assert!(told("set", setting.name()), "{}", setting.name());
    }
    for step in TrialStep::ALL {
        assert!(told("trial", step.name()), "{}", step.name());
    }
}

#[test]
fn results_of_the_standard() {
    let data = improv_result(3, &["Switchyard", "0.1.0", "", "Pump"]);
    let read = read_result(&data).unwrap();
    assert_eq!(
        read,
        (
            3,
            ["Switchyard", "0.1.0", "", "Pump"]
                .map(String::from)
                .to_vec()
        )
    );
    assert_eq!(improv_result(4, &[]), [4, 0]);
    assert_eq!(read_result(&[4, 0]), Some((4, Vec::new())));
    assert_eq!(read_result(&[4, 2, 5, 0]), None);
    assert_eq!(read_result(&[]), None);
    let long = "x".repeat(300);
    assert_eq!(improv_result(4, &["a", &long]), [4, 2, 1, b'a']);
}

proptest! {
    #[test]
    fn packets_are_found_however_they_are_split_and_whatever_lies_between(
        datas in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..=255), 1..4),
        noise in "[a-z \r\n]{0,40}",
        cut in 1usize..80,
    ) {
        let sent: Vec<_> = datas
            .into_iter()
            .map(|data| Packet { packet_type: PacketType::Answer, data })
            .collect();
        let mut line = Vec::new();
        for packet in &sent {
            line.extend_from_slice(noise.as_bytes());
            line.extend_from_slice(&packet.encode());
        }
        let mut parser = Parser::default();
        let found = line.chunks(cut).flat_map(|piece| parser.receive(piece)).collect();
        prop_assert_eq!(packets(found), sent);
    }

    #[test]
    fn no_byte_is_lost_or_made_up(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let mut parser = Parser::default();
        let mut found = parser.receive(&bytes);
        found.extend(parser.give_up());
        let length: usize = found.iter().map(|it| match it {
            Received::Text(text) => text.len(),
            Received::Packet(packet) => packet.data.len() + 10,
        }).sum();
        prop_assert!(length <= bytes.len());
        let has_packet = found.iter().any(|it| matches!(it, Received::Packet(_)));
        prop_assert!(has_packet || length == bytes.len());
    }

    #[test]
    fn anything_is_read_without_a_panic(data in prop::collection::vec(any::<u8>(), 0..260)) {
        let _ = Request::decode(&data);
        let _ = Command::decode(&data);
        let _ = read_result(&data);
        for verb in Verb::ALL {
            let _ = Answer::decode(&data, *verb);
        }
    }

    #[test]
    fn a_request_of_which_bits_were_flipped_is_damaged(
        first in 0usize..400, second in 0usize..400,
    ) {
        let request = Request::ScriptWrite { at: 176, piece: bytes::Bytes::from_static(&[b'x'; 60]) };
        let sent = request.encode(9);
        let mut data = sent.clone();
        for bit in [first, second] {
            let at = bit / 8 % data.len();
            data[at] ^= 1 << (bit % 8);
        }
        if data != sent {
            prop_assert_eq!(Request::decode(&data), Err(SerialError::Damaged));
        }
    }
}
