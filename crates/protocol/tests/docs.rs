//! Holds the tables and the worked example of `docs/protocol.md` to the code.

mod support;

use bytes::BytesMut;
use std::time::Duration;
use support::{bytes_of, read};
use switchyard_protocol::{
    Code, Flags, Frame, Kind, Role, limits,
    message::{
        AlarmLevel, CauseKind, Command, Content, GapCause, PeerKind, PointType, ResetReason,
        ScriptState, Stage, ValueType, Verb,
    },
};

/// The part of the text under a heading, up to the next one of any level.
fn section(heading: &str) -> String {
    let text = read("docs/protocol.md");
    let start = text
        .find(&format!("\n{heading}"))
        .unwrap_or_else(|| panic!("no heading {heading}"));
    let body = text[start + 1..].split_once('\n').expect("a body").1;
    let end = body.find("\n#").unwrap_or(body.len());
    body[..end].to_owned()
}

/// The rows of a section's table whose header's first cell is `first`, as trimmed cells.
fn table(heading: &str, first: &str) -> Vec<Vec<String>> {
    let body = section(heading);
    let mut lines = body
        .lines()
        .skip_while(|line| !line.starts_with(&format!("| {first} |")));
    assert!(lines.next().is_some(), "no table {first} in {heading}");
    let rows: Vec<Vec<String>> = lines
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            line.trim_matches('|')
                .split('|')
                .map(|cell| cell.trim().to_owned())
                .collect()
        })
        .collect();
    assert!(!rows.is_empty(), "an empty table {first} in {heading}");
    rows
}

fn number(text: &str) -> u64 {
    let text = text.trim_matches('`').replace(',', "");
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    }
    .unwrap_or_else(|_| panic!("{text} is not a number"))
}

#[test]
fn kinds() {
    let told: Vec<_> = table("### 2.1 Kinds", "kind")
        .into_iter()
        .map(|row| {
            let role = Role::from_name(&row[2]);
            assert_eq!(role.is_none(), row[2] == "–", "{}", row[2]);
            (number(&row[0]), row[1].replace(' ', "_"), role)
        })
        .collect();
    let known: Vec<_> = Kind::ALL
        .iter()
        .map(|kind| (*kind as u64, kind.name().to_owned(), kind.role()))
        .collect();
    assert_eq!(told, known);
}

#[test]
fn which_kinds_carry_a_verb() {
    for row in table("### 2.1 Kinds", "kind") {
        let kind = Kind::from_number(number(&row[0]) as u8).unwrap();
        let carries = Verb::ALL.iter().any(|verb| verb.kind() == kind);
        // Admin has no verb yet, and a response bears that of its request.
        let expected = carries || matches!(kind, Kind::Admin | Kind::Response);
        assert_eq!(row[4].starts_with("yes"), expected, "{}", row[1]);
    }
}

#[test]
fn flags() {
    let rows = table("### 2.2 Flags", "bit");
    let known = [("MORE", Flags::MORE), ("REPLY", Flags::REPLY)];
    assert_eq!(rows.len(), known.len());
    for (row, (name, flag)) in rows.iter().zip(known) {
        assert_eq!(row[1], name);
        assert_eq!(number(&row[0]), u64::from(flag.bits()));
        let allowed: Vec<String> = row[2]
            .split(", ")
            .map(|name| name.replace(' ', "_"))
            .collect();
        for &kind in Kind::ALL {
            let mut header = [0; limits::HEADER_BYTES];
            (header[0], header[1]) = (kind as u8, flag.bits());
            let is_taken = switchyard_protocol::Header::decode(&header, 0).is_ok();
            let is_told = allowed.iter().any(|name| name == kind.name());
            assert_eq!(is_taken, is_told, "{name} on {}", kind.name());
        }
    }
}

#[test]
fn faults() {
    let told: Vec<String> = table("## 3. Payloads", "name")
        .into_iter()
        .map(|row| row[0].trim_matches('`').to_owned())
        .collect();
    let known = switchyard_protocol::cbor::Fault::ALL.map(|fault| fault.name());
    assert_eq!(told, known);
}

#[test]
fn verbs() {
    let told: Vec<_> = table("## 6. Requests", "verb")
        .into_iter()
        .map(|row| (number(&row[0]), row[1].clone(), row[2].clone()))
        .collect();
    let known: Vec<_> = Verb::ALL
        .iter()
        .map(|verb| {
            (
                u64::from(verb.number()),
                verb.name().to_owned(),
                verb.kind().name().to_owned(),
            )
        })
        .collect();
    assert_eq!(told, known);
}

/// The `0 this, 1 that` of a parenthesis that opens with `start`.
fn listed(text: &str, start: &str) -> Vec<(u64, String)> {
    let text = text.replace('\n', " ");
    let from = text.find(start).unwrap_or_else(|| panic!("no {start}"));
    let list = &text[from + 1..];
    let list = &list[..list.find([')', ';']).expect("an end")];
    list.split(", ")
        .map(|entry| {
            let (digits, name) = entry.split_once(' ').expect("a number and a name");
            (number(digits), name.to_owned())
        })
        .collect()
}

#[test]
fn peer_kinds_point_types_causes_and_roles() {
    let peers: Vec<_> = (0..=5)
        .map(|it| (it.into(), PeerKind::from_number(it).name().to_owned()))
        .collect();
    assert_eq!(listed(&section("## 6. Requests"), "(0 gateway"), peers);
    let status = section("## 7. Status");
    let causes: Vec<_> = CauseKind::ALL
        .iter()
        .map(|&it| (it as u64, it.name().replace('_', " ")))
        .collect();
    assert_eq!(listed(&status, "(0 boot"), causes);
    for (it, name) in listed(&status, "(0 digital input") {
        let point_type = PointType::from_number(it as u8).unwrap();
        assert_eq!(name.starts_with("digital"), point_type.is_digital());
        assert_eq!(name.ends_with("output"), point_type.is_output());
    }
    assert_eq!(listed(&status, "(0 digital input").len(), 4);
    let requests = section("## 6. Requests") + &section("### 6.1");
    macro_rules! told {
        ($($start:literal => $all:expr, $number:expr;)*) => {$(
            let known: Vec<_> = $all
                .iter()
                .map(|&it| ($number(it), it.name().replace('_', " ")))
                .collect();
            assert_eq!(listed(&requests, $start), known);
        )*};
    }
    told! {
        "(0 bool" => ValueType::ALL, |it| it as u64;
        "(1 script" => Content::ALL, |it| it as u64;
        "(0 low" => AlarmLevel::ALL, |it| it as u64;
        "(0 none" => ScriptState::ALL, |it| it as u64;
        "(0 power" => ResetReason::ALL, |it: ResetReason| it.number().into();
        "(0 unknown" => GapCause::ALL, |it: GapCause| it.number().into();
    }
    let roles: Vec<_> = Role::ALL
        .iter()
        .map(|&it| (it as u64, it.name().to_owned()))
        .collect();
    assert_eq!(listed(&section("### 4.2 Tool link"), "(1 viewer"), roles);
}

#[test]
fn stages() {
    let told: Vec<_> = table("## 8. Commands", "stage")
        .into_iter()
        .map(|row| (number(&row[1]), row[0].clone()))
        .collect();
    let known: Vec<_> = Stage::ALL
        .iter()
        .map(|stage| (*stage as u64, stage.name().to_owned()))
        .collect();
    assert_eq!(told, known);
}

#[test]
fn codes() {
    let told: Vec<_> = table("## 9. Codes", "code")
        .into_iter()
        .map(|row| (number(&row[0]), row[1].clone()))
        .collect();
    let known: Vec<_> = Code::ALL
        .iter()
        .map(|code| (u64::from(code.number()), code.name().to_owned()))
        .collect();
    assert_eq!(told, known);
}

/// A limit as the table writes it.
enum Limit {
    Count(u64),
    Time(Duration),
}

/// Reads `32`, `65,535`, `2^53 − 1`, `30 s`, `15 min` or `24 h`.
fn limit(text: &str) -> Limit {
    if let Some((power, _)) = text.split_once(" − 1") {
        let exponent = number(power.strip_prefix("2^").expect("a power of two"));
        return Limit::Count((1 << exponent) - 1);
    }
    match text.split_once(' ') {
        None => Limit::Count(number(text)),
        Some((count, unit)) => Limit::Time(Duration::from_secs(
            number(count)
                * match unit {
                    "s" => 1,
                    "min" => 60,
                    "h" => 3600,
                    _ => panic!("{unit} is not a unit"),
                },
        )),
    }
}

#[test]
fn limits_table() {
    let mut told = Vec::new();
    for row in table("## 10. Limits", "name") {
        let values: Vec<&str> = match row[0].contains("`, `") {
            true => row[1].split(", ").collect(),
            false => vec![&row[1]],
        };
        let names: Vec<&str> = row[0]
            .split(", ")
            .map(|name| name.trim_matches('`'))
            .collect();
        assert_eq!(names.len(), values.len(), "{}", row[0]);
        for (name, value) in names.into_iter().zip(values) {
            told.push((name.to_owned(), limit(value)));
        }
    }
    let source = read("crates/protocol/src/limits.rs");
    macro_rules! compare {
        (counts: $($count:ident)*; times: $($time:ident)*) => {
            for (name, limit) in &told {
                assert!(source.contains(&format!("pub const {name}:")), "{name} is not in the code");
                match (name.as_str(), limit) {
                    $((stringify!($count), Limit::Count(told)) =>
                        assert_eq!(*told, limits::$count as u64, "{name}"),)*
                    $((stringify!($time), Limit::Time(told)) =>
                        assert_eq!(*told, limits::$time, "{name}"),)*
                    _ => panic!("{name} is compared with nothing: add it to this test"),
                }
            }
            for name in [$(stringify!($count),)* $(stringify!($time)),*] {
                assert!(told.iter().any(|(it, _)| it == name), "{name} is not in the text");
            }
        };
    }
    compare! {
        counts: HEADER_BYTES PAYLOAD_BYTES_MAX RECORD_BYTES_MAX_DEFAULT RECORD_BYTES_MIN
            CBOR_DEPTH_MAX INTEGER_MAX NAME_BYTES_MAX TITLE_BYTES_MAX TEXT_BYTES_MAX POINTS_MAX
            STATUS_PAGES_MAX ARGUMENTS_MAX SIGNATURES_MAX SUBSCRIBE_ADDRESSES_MAX OUTCOMES_KEPT
            IN_FLIGHT_MAX WAITING_MAX OPEN_REQUESTS_MAX NAMES_MAX LOG_ENTRIES_MAX ANSWER_PAGES_MAX
            TRANSFER_BYTES_MAX TRANSFER_PIECE_BYTES_MAX EVENT_VALUES_MAX EVENTS_PER_SECOND_MAX
            SITES_PER_ACCOUNT_MAX;
        times: FORCE_MAX REQUEST_TIMEOUT EXPIRY_MAX CLOCK_STALE_AFTER PING_INTERVAL_DEFAULT
            PING_REPLY_TIMEOUT HANDSHAKE_TIMEOUT SLOW_PEER_TIMEOUT BACKOFF_MIN BACKOFF_MAX
    }
}

#[test]
fn worked_example() {
    let body = section("## 12. A worked example");
    let block = body.split("```").nth(1).expect("a block of bytes");
    let digits: String = block
        .lines()
        .flat_map(|line| {
            // Bytes stand first; what explains them follows after two spaces and some words.
            line.split_whitespace()
                .take_while(|word| word.len() % 2 == 0 && bytes_of(&word.to_lowercase()).is_some())
        })
        .collect();
    let wire = bytes_of(&digits.to_lowercase()).unwrap();
    let frame = Frame::decode(&mut BytesMut::from(wire.as_slice()), 1024)
        .unwrap()
        .expect("a whole frame");
    assert_eq!(frame.bytes().len(), wire.len(), "nothing follows the frame");
    let header = frame.header();
    let command = Command::decode(frame.payload()).unwrap();
    let text = body.replace('\n', " ");
    for told in [
        format!("Tool {} switches relay", header.source),
        format!("of controller {} on", header.destination),
        format!("key `{}`", command.key),
        format!("correlation id {}:", header.correlation),
    ] {
        assert!(text.contains(&told), "the text does not say: {told}");
    }
    let expiry = text
        .split_once("expiry ")
        .and_then(|(_, rest)| rest.split_once(" ("))
        .map(|(digits, _)| number(digits));
    assert_eq!(expiry, Some(command.expiry.0));
    assert!(text.contains("2027-01-15 08:00:00 UTC"));
    // Days from 1970 to 15 January 2027: 57 years, 14 of them leap years, and 14 days.
    assert_eq!(
        command.expiry.0 / 1000,
        (57 * 365 + 14 + 14) * 86_400 + 8 * 3600
    );
    let again = Frame::new(
        header.kind,
        header.correlation,
        header.source,
        header.destination,
        &command.encode(),
    );
    assert_eq!(again, frame);
    let vectors = read("tests/vectors/messages.toml");
    assert!(vectors.contains(&support::hex(frame.payload())));
}
