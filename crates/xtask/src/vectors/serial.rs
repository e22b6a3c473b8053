//! The vectors of a board's serial line, as tables in C.

use super::{Page, flatten, literal, literal_or_null};
use anyhow::{Context, Result, ensure};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Serial {
    line: Vec<Line>,
    request: Vec<Request>,
    answer: Vec<Answer>,
    command: Vec<Command>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    name: String,
    hex: String,
    packets: Vec<Packet>,
    #[serde(default)]
    exact: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Packet {
    #[serde(rename = "type")]
    number: u8,
    data: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    name: String,
    hex: String,
    id: Option<u8>,
    verb: Option<String>,
    #[serde(rename = "fields")]
    _fields: Option<toml::Table>,
    #[serde(rename = "encode")]
    _encode: Option<bool>,
    error: Option<String>,
    #[serde(rename = "key")]
    _key: Option<u32>,
    #[serde(rename = "fault")]
    _fault: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    name: String,
    verb: String,
    hex: String,
    id: u8,
    code: u8,
    fields: toml::Table,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Command {
    name: String,
    hex: String,
    #[serde(rename = "number")]
    _number: Option<u8>,
    #[serde(rename = "fields")]
    _fields: Option<toml::Table>,
    error: Option<String>,
}

/// # Errors
/// When a vector does not keep to the format.
pub(super) fn render(page: &mut Page, serial: &Serial) -> Result<()> {
    let mut rows = Vec::new();
    for (index, line) in serial.line.iter().enumerate() {
        let mut packets = Vec::new();
        for packet in &line.packets {
            packets.push(format!("{}, {}", packet.number, page.bytes(&packet.data)?));
        }
        let table = format!("golden_packets_{index}");
        page.table("golden_packet_t", &table, &packets);
        let bytes = page.bytes(&line.hex)?;
        rows.push(format!(
            "{}, {bytes}, {table}, {}, {}",
            literal(&line.name),
            packets.len(),
            line.exact
        ));
    }
    page.counted_table("golden_line_t", "golden_lines", &rows);
    let mut rows = Vec::new();
    for request in &serial.request {
        ensure!(
            request.error.is_some() != request.verb.is_some(),
            "expected request {} to have either an error or a verb",
            request.name
        );
        let bytes = page.bytes(&request.hex)?;
        rows.push(format!(
            "{}, {bytes}, {}, {}, {}",
            literal(&request.name),
            request.id.unwrap_or(0),
            literal_or_null(request.verb.as_ref()),
            literal_or_null(request.error.as_ref()),
        ));
    }
    page.counted_table("golden_request_t", "golden_requests", &rows);
    let mut rows = Vec::new();
    for (index, answer) in serial.answer.iter().enumerate() {
        let mut fields = Vec::new();
        for (key, value) in &answer.fields {
            flatten(key, value, &mut fields)
                .with_context(|| format!("in answer {}", answer.name))?;
        }
        let table = format!("golden_answer_fields_{index}");
        page.table("golden_field_t", &table, &fields);
        let bytes = page.bytes(&answer.hex)?;
        rows.push(format!(
            "{}, {}, {bytes}, {}, {}, {table}, {}",
            literal(&answer.name),
            literal(&answer.verb),
            answer.id,
            answer.code,
            fields.len()
        ));
    }
    page.counted_table("golden_answer_t", "golden_answers", &rows);
    let mut rows = Vec::new();
    for command in &serial.command {
        let bytes = page.bytes(&command.hex)?;
        rows.push(format!(
            "{}, {bytes}, {}",
            literal(&command.name),
            literal_or_null(command.error.as_ref())
        ));
    }
    page.counted_table("golden_command_t", "golden_commands", &rows);
    Ok(())
}
