//! Renders the golden vectors (`tests/vectors/*.toml`) as a C header, for the core's tests in C.
//!
//! Pure: reads the vectors and gives text. The structs that the header fills are declared in
//! `firmware/tests/c/golden.h`, the vectors' format is told in `tests/vectors/README.md`.

mod serial;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, de::DeserializeOwned};
use std::{fmt::Write, fs, path::Path};

/// The whole header: `golden_headers`, `golden_payloads`, `golden_messages`, `golden_sessions`,
/// `golden_refusals`, and those of the serial line: `golden_lines`, `golden_requests`, `golden_answers` and
/// `golden_commands`.
///
/// # Errors
/// When a file is missing, or does not keep to the vectors' format.
pub(crate) fn render_c_header(folder: &Path) -> Result<String> {
    let mut page = Page::default();
    page.line("/* Rendered from the golden vectors: change those, not this. */");
    page.line("#include \"golden.h\"");
    let headers: Headers = load(folder, "headers.toml")?;
    render_headers(&mut page, &headers.header)?;
    let payloads: Payloads = load(folder, "cbor.toml")?;
    render_payloads(&mut page, &payloads.payload)?;
    let messages: Messages = load(folder, "messages.toml")?;
    render_messages(&mut page, &messages.message)?;
    let noise: Noise = load(folder, "noise.toml")?;
    render_sessions(&mut page, &noise.session)?;
    render_refusals(&mut page, &noise.refusal)?;
    serial::render(&mut page, &load(folder, "serial.toml")?)?;
    Ok(page.text)
}

fn load<T: DeserializeOwned>(folder: &Path, name: &str) -> Result<T> {
    let path = folder.join(name);
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("reading the vectors of {}", path.display()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Headers {
    header: Vec<Header>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    name: String,
    hex: String,
    payload_bytes_max: Option<u32>,
    error: Option<String>,
    kind: Option<String>,
    flags: Option<u8>,
    payload_bytes: Option<u16>,
    correlation: Option<u32>,
    source: Option<u32>,
    destination: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Payloads {
    payload: Vec<Payload>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    name: String,
    hex: String,
    ok: Option<bool>,
    fault: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Messages {
    message: Vec<Message>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    name: String,
    #[serde(rename = "type")]
    family: String,
    kind: String,
    hex: String,
    fields: Option<toml::Table>,
    encode: Option<bool>,
    error: Option<String>,
    fault: Option<String>,
    #[serde(rename = "key")]
    _key: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Noise {
    session: Vec<Session>,
    refusal: Vec<Refusal>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Session {
    name: String,
    psk: String,
    initiator_ephemeral: String,
    initiator_ephemeral_public: String,
    responder_ephemeral: String,
    responder_ephemeral_public: String,
    prologue: String,
    message_1: String,
    message_2: String,
    message_2_payload: String,
    handshake_hash: String,
    records: Vec<Record>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    from: String,
    counter: u32,
    plaintext: String,
    ciphertext: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refusal {
    name: String,
    psk: String,
    prologue: String,
    responder_ephemeral: String,
    message_1: String,
}

/// The header while it is written. Bytes become arrays of their own, ahead of what names them: a
/// string literal of hex would be longer than C promises to take.
#[derive(Default)]
struct Page {
    text: String,
    arrays: usize,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// Declares an array of the bytes and gives the `golden_bytes_t` for it.
    fn bytes(&mut self, hex: &str) -> Result<String> {
        let bytes = bytes_of_hex(hex)?;
        let name = format!("golden_bytes_{}", self.arrays);
        self.arrays += 1;
        let mut line = format!("static const uint8_t {name}[] = {{");
        for byte in &bytes {
            write!(line, "{byte},")?;
        }
        // C has no empty array.
        line.push_str(if bytes.is_empty() { "0};" } else { "};" });
        self.line(&line);
        Ok(format!("{{{name}, {}}}", bytes.len()))
    }

    /// A table of rows, and how many there are for the test to go by.
    fn counted_table(&mut self, kind: &str, name: &str, rows: &[String]) {
        self.table(kind, name, rows);
        self.line(&format!(
            "static const size_t {name}_count = {};",
            rows.len()
        ));
    }

    /// A table of rows; an empty one keeps a row that is not counted.
    fn table(&mut self, kind: &str, name: &str, rows: &[String]) {
        self.line(&format!("static const {kind} {name}[] = {{"));
        for row in rows {
            self.line(&format!("    {{{row}}},"));
        }
        if rows.is_empty() {
            self.line("    {0},");
        }
        self.line("};");
    }
}

fn bytes_of_hex(hex: &str) -> Result<Vec<u8>> {
    ensure!(
        hex.len().is_multiple_of(2)
            && hex
                .bytes()
                .all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c)),
        "expected lowercase hex and found {hex:?}"
    );
    (0..hex.len())
        .step_by(2)
        .map(|at| Ok(u8::from_str_radix(&hex[at..at + 2], 16)?))
        .collect()
}

/// A C string literal. Octal escapes, since hex ones have no end.
fn literal(text: &str) -> String {
    let mut out = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' | b'?' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            0x20..=0x7E => out.push(char::from(byte)),
            _ => out.push_str(&format!("\\{byte:03o}")),
        }
    }
    out.push('"');
    out
}

fn literal_or_null(text: Option<&String>) -> String {
    text.map_or_else(|| "NULL".into(), |text| literal(text))
}

fn render_headers(page: &mut Page, headers: &[Header]) -> Result<()> {
    let mut rows = Vec::new();
    for header in headers {
        ensure!(
            header.error.is_some() != header.kind.is_some(),
            "expected header {} to have either an error or fields",
            header.name
        );
        ensure!(
            header.hex.len() == 32,
            "expected 16 bytes in header {}",
            header.name
        );
        let bytes = page.bytes(&header.hex)?;
        rows.push(format!(
            "{}, {bytes}, {}, {}, {}, {}, {}, {}u, {}u, {}u",
            literal(&header.name),
            literal_or_null(header.error.as_ref()),
            header.payload_bytes_max.unwrap_or(65_535),
            literal_or_null(header.kind.as_ref()),
            header.flags.unwrap_or(0),
            header.payload_bytes.unwrap_or(0),
            header.correlation.unwrap_or(0),
            header.source.unwrap_or(0),
            header.destination.unwrap_or(0),
        ));
    }
    page.counted_table("golden_header_t", "golden_headers", &rows);
    Ok(())
}

fn render_payloads(page: &mut Page, payloads: &[Payload]) -> Result<()> {
    let mut rows = Vec::new();
    for payload in payloads {
        let fault = match (payload.ok, &payload.fault) {
            (Some(true), None) => "ok",
            (None, Some(fault)) => fault,
            _ => bail!("expected payload {} to be ok or a fault", payload.name),
        };
        let bytes = page.bytes(&payload.hex)?;
        rows.push(format!(
            "{}, {bytes}, {}",
            literal(&payload.name),
            literal(fault)
        ));
    }
    page.counted_table("golden_payload_t", "golden_payloads", &rows);
    Ok(())
}

fn render_messages(page: &mut Page, messages: &[Message]) -> Result<()> {
    let mut rows = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let name = &message.name;
        ensure!(
            message.error.is_some() != message.fields.is_some(),
            "expected message {name} to have either an error or fields"
        );
        let mut fields = Vec::new();
        for (key, value) in message.fields.iter().flatten() {
            flatten(key, value, &mut fields).with_context(|| format!("in message {name}"))?;
        }
        let table = format!("golden_fields_{index}");
        page.table("golden_field_t", &table, &fields);
        let bytes = page.bytes(&message.hex)?;
        rows.push(format!(
            "{}, {}, {}, {bytes}, {}, {}, {}, {table}, {}",
            literal(name),
            literal(&message.family),
            literal(&message.kind),
            literal_or_null(message.error.as_ref()),
            literal_or_null(message.fault.as_ref()),
            message.encode.unwrap_or(true),
            fields.len(),
        ));
    }
    page.counted_table("golden_message_t", "golden_messages", &rows);
    Ok(())
}

/// One row for each leaf, and one for each array with the number of its items.
fn flatten(path: &str, value: &toml::Value, rows: &mut Vec<String>) -> Result<()> {
    let literal_path = literal(path);
    match value {
        toml::Value::Integer(number) => {
            rows.push(format!("{literal_path}, GOLDEN_INTEGER, {number}, NULL"));
        }
        toml::Value::Boolean(truth) => rows.push(format!(
            "{literal_path}, GOLDEN_BOOLEAN, {}, NULL",
            u8::from(*truth)
        )),
        toml::Value::String(text) => {
            rows.push(format!("{literal_path}, GOLDEN_TEXT, 0, {}", literal(text)));
        }
        toml::Value::Array(items) => {
            rows.push(format!(
                "{literal_path}, GOLDEN_COUNT, {}, NULL",
                items.len()
            ));
            for (index, item) in items.iter().enumerate() {
                flatten(&format!("{path}.{index}"), item, rows)?;
            }
        }
        toml::Value::Table(table) => {
            for (key, item) in table {
                flatten(&format!("{path}.{key}"), item, rows)?;
            }
        }
        _ => bail!("expected no floats and no dates, and found one at {path}"),
    }
    Ok(())
}

fn render_sessions(page: &mut Page, sessions: &[Session]) -> Result<()> {
    let mut rows = Vec::new();
    for (index, session) in sessions.iter().enumerate() {
        let mut records = Vec::new();
        for record in &session.records {
            let from_controller = match record.from.as_str() {
                "controller" => true,
                "gateway" => false,
                other => bail!("expected a record from controller or gateway, not {other}"),
            };
            let plaintext = page.bytes(&record.plaintext)?;
            let ciphertext = page.bytes(&record.ciphertext)?;
            records.push(format!(
                "{from_controller}, {}u, {plaintext}, {ciphertext}",
                record.counter
            ));
        }
        let table = format!("golden_records_{index}");
        page.table("golden_record_t", &table, &records);
        let mut row = literal(&session.name);
        for hex in [
            &session.psk,
            &session.initiator_ephemeral,
            &session.initiator_ephemeral_public,
            &session.responder_ephemeral,
            &session.responder_ephemeral_public,
            &session.prologue,
            &session.message_1,
            &session.message_2,
            &session.message_2_payload,
            &session.handshake_hash,
        ] {
            write!(row, ", {}", page.bytes(hex)?)?;
        }
        write!(row, ", {table}, {}", records.len())?;
        rows.push(row);
    }
    page.counted_table("golden_session_t", "golden_sessions", &rows);
    Ok(())
}

fn render_refusals(page: &mut Page, refusals: &[Refusal]) -> Result<()> {
    let mut rows = Vec::new();
    for refusal in refusals {
        let mut row = literal(&refusal.name);
        for hex in [
            &refusal.psk,
            &refusal.prologue,
            &refusal.responder_ephemeral,
            &refusal.message_1,
        ] {
            write!(row, ", {}", page.bytes(hex)?)?;
        }
        rows.push(row);
    }
    page.counted_table("golden_refusal_t", "golden_refusals", &rows);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_survive_as_c_literals() {
        assert_eq!(literal("a\"b\\c"), r#""a\"b\\c""#);
        assert_eq!(literal("ü1\n"), r#""\303\2741\012""#);
        assert_eq!(literal("??="), r#""\?\?=""#);
    }

    #[test]
    fn bytes_become_arrays_and_bad_hex_is_refused() {
        let mut page = Page::default();
        assert_eq!(page.bytes("00ff").unwrap(), "{golden_bytes_0, 2}");
        assert_eq!(page.bytes("").unwrap(), "{golden_bytes_1, 0}");
        assert!(page.text.contains("golden_bytes_0[] = {0,255,};"));
        assert!(page.text.contains("golden_bytes_1[] = {0};"));
        assert!(page.bytes("0").is_err());
        assert!(page.bytes("FF").is_err());
        assert!(page.bytes("zz").is_err());
    }

    #[test]
    fn fields_are_flattened_by_path() {
        let table: toml::Table =
            toml::from_str("points = [{ index = 1, cause = { by = 7 } }]\nfinal = true").unwrap();
        let mut rows = Vec::new();
        for (key, value) in &table {
            flatten(key, value, &mut rows).unwrap();
        }
        rows.sort();
        assert_eq!(
            rows,
            [
                r#""final", GOLDEN_BOOLEAN, 1, NULL"#,
                r#""points", GOLDEN_COUNT, 1, NULL"#,
                r#""points.0.cause.by", GOLDEN_INTEGER, 7, NULL"#,
                r#""points.0.index", GOLDEN_INTEGER, 1, NULL"#,
            ]
        );
    }
}
