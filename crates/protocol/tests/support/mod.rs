//! What the vector tests share: the files of `tests/vectors/`, and typed messages as plain tables.

#![allow(
    dead_code,
    reason = "every test binary takes the part of this module that it needs"
)]

use serde::{Deserialize, de::DeserializeOwned};
use switchyard_protocol::{
    Kind,
    message::{
        Action, Answer, Body, Cause, Command, ControllerHello, Delta, ErrorMessage, Event, Full,
        Health, HelloReply, LogEntry, MessageError, Ping, PingReply, Receipt, Request, ScriptFault,
        ToolHello, ToolWelcome,
    },
};
use toml::{Table, Value};

/// Reads a file by its path from the repository's root.
pub(crate) fn read(path: &str) -> String {
    let path = format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Reads one of the vector files.
pub(crate) fn vectors<T: DeserializeOwned>(file: &str) -> T {
    toml::from_str(&read(&format!("tests/vectors/{file}")))
        .unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Bytes, in a vector file written as hex.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Hex(pub(crate) Vec<u8>);

impl std::fmt::Debug for Hex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        bytes_of(&text)
            .map(Hex)
            .ok_or_else(|| serde::de::Error::custom("expected lowercase hex"))
    }
}

/// Lowercase hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of lowercase hex.
pub(crate) fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let digits = text
        .chars()
        .map(|digit| digit.to_digit(16).filter(|_| !digit.is_ascii_uppercase()))
        .collect::<Option<Vec<u32>>>()?;
    let pairs = digits.chunks_exact(2);
    pairs.remainder().is_empty().then(|| {
        pairs
            .map(|pair| (pair[0] << 4 | pair[1]) as u8)
            .collect::<Vec<u8>>()
    })
}

/// One of `messages.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MessageVector {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) message_type: String,
    pub(crate) kind: String,
    pub(crate) hex: Hex,
    pub(crate) fields: Option<Table>,
    pub(crate) encode: Option<bool>,
    pub(crate) error: Option<String>,
    pub(crate) key: Option<u8>,
    pub(crate) fault: Option<String>,
}

/// All of `messages.toml`.
pub(crate) fn message_vectors() -> Vec<MessageVector> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        message: Vec<MessageVector>,
    }
    vectors::<File>("messages.toml").message
}

/// A decoded message: the name of its type, its fields as a vector shows them, and what it is
/// encoded to again.
pub(crate) struct Shown {
    pub(crate) message_type: String,
    pub(crate) fields: Table,
    pub(crate) encoded: Vec<u8>,
}

/// Decodes a payload of a family (the part of a vector's type before the dot).
pub(crate) fn decode(family: &str, kind: Kind, payload: &[u8]) -> Result<Shown, MessageError> {
    let shown = |message_type: &str, fields: Shower, encoded: Vec<u8>| Shown {
        message_type: message_type.to_owned(),
        fields: fields.0,
        encoded,
    };
    let start = Shower(Table::new());
    Ok(match family {
        "controller_hello" => {
            let it = ControllerHello::decode(payload)?;
            let fields = start
                .number("version", it.version)
                .number("record_bytes_max", it.record_bytes_max);
            shown(family, fields, it.encode())
        }
        "hello_reply" => {
            let it = HelloReply::decode(payload)?;
            let fields = start
                .number("version", it.version)
                .number("record_bytes_max", it.record_bytes_max)
                .number("time", it.time.0)
                .number("ping_interval_ms", it.ping_interval.as_millis() as u64)
                .number("address", it.address.0);
            shown(family, fields, it.encode())
        }
        "tool_hello" => {
            let it = ToolHello::decode(payload)?;
            let fields = start
                .number("version", it.version)
                .some("token", it.token.clone())
                .some("installation", it.installation.map(|bytes| hex(&bytes)))
                .put("software", it.software.as_str());
            shown(family, fields, it.encode())
        }
        "tool_welcome" => {
            let it = ToolWelcome::decode(payload)?;
            let fields = start
                .number("version", it.version)
                .number("time", it.time.0)
                .number("ping_interval_ms", it.ping_interval.as_millis() as u64)
                .number("address", it.address.0)
                .put("account", it.account.as_str())
                .number("role", it.role as u8)
                .put("gateway", hex(&it.gateway));
            shown(family, fields, it.encode())
        }
        "ping" => shown(family, start, Ping::decode(payload)?.encode()),
        "ping_reply" => {
            let it = PingReply::decode(payload)?;
            let fields = start.some_number("time", it.time.map(|time| time.0));
            shown(family, fields, it.encode())
        }
        "error" => {
            let it = ErrorMessage::decode(payload)?;
            let fields = start
                .number("code", it.code.number())
                .some("detail", it.detail.as_ref().map(|text| text.as_str()));
            shown(family, fields, it.encode())
        }
        "request" => {
            let it = Request::decode(kind, payload)?;
            let name = format!("request.{}", it.verb().name());
            shown(&name, show_request(start, &it), it.encode())
        }
        "command" => {
            let it = Command::decode(payload)?;
            let name = format!("command.{}", it.action.verb().name());
            shown(&name, show_command(start, &it), it.encode())
        }
        "answer" => {
            let it = Answer::decode(payload)?;
            let (name, fields) = show_answer(start, &it);
            shown(&name, fields, it.encode())
        }
        "event" => {
            let it = Event::decode(payload)?;
            let name = format!("event.{}", it.verb().name());
            shown(&name, show_event(start, &it), it.encode())
        }
        "status" if kind == Kind::StatusFull => {
            let it = Full::decode(payload)?;
            shown("status.full", show_full(start, &it), it.encode())
        }
        "status" => {
            let it = Delta::decode(payload)?;
            shown("status.delta", show_delta(start, &it), it.encode())
        }
        "receipt" => {
            let it = Receipt::decode(payload)?;
            let fields = start
                .put("key", it.key.to_string())
                .number("stage", it.stage as u8)
                .some_number("at", it.at.map(|time| time.0))
                .some_number("reason", it.reason.map(|code| code.number()))
                .some("detail", it.detail.as_ref().map(|text| text.as_str()))
                .put("final", it.is_final);
            shown(family, fields, it.encode())
        }
        other => panic!("no message type begins with {other}"),
    })
}

/// Builds the table of a message's fields.
pub(crate) struct Shower(Table);

impl Shower {
    fn put(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    fn some(self, name: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.put(name, value),
            None => self,
        }
    }

    fn tables(self, name: &str, tables: impl Iterator<Item = Shower>) -> Self {
        let tables = tables.map(|it| Value::Table(it.0));
        self.put(name, tables.collect::<Vec<_>>())
    }

    fn number(self, name: &str, value: impl TryInto<i64>) -> Self {
        let value = value
            .try_into()
            .unwrap_or_else(|_| panic!("{name} is too large"));
        self.put(name, value)
    }

    fn some_number(self, name: &str, value: Option<impl TryInto<i64>>) -> Self {
        match value {
            Some(value) => self.number(name, value),
            None => self,
        }
    }
}

fn show_request(start: Shower, request: &Request) -> Shower {
    match request {
        Request::Identify
        | Request::Describe
        | Request::Unsubscribe
        | Request::Parameters
        | Request::Health
        | Request::Restart => start,
        Request::Snapshot { controller } => {
            start.some_number("controller", controller.map(|address| address.0))
        }
        Request::Outcome { key } | Request::Receipt { key } => start.put("key", key.to_string()),
        Request::Subscribe { controllers } => start.some(
            "controllers",
            controllers.as_ref().map(|all| {
                all.iter()
                    .map(|address| Value::from(i64::from(address.0)))
                    .collect::<Vec<_>>()
            }),
        ),
        Request::Lookup { address } => start.number("address", address.0),
        Request::Enrol { title, site } => start
            .put("title", title.as_str())
            .some_number("site", site.map(|site| site.0)),
        Request::Values { from } => start.some_number("from", *from),
        Request::Log { before } => start.some_number("before", *before),
        Request::TransferRead { content, offset } => start
            .number("content", *content as u8)
            .number("offset", *offset),
        Request::Force {
            point,
            value,
            duration,
        } => start
            .put("point", point.as_str())
            .put("value", *value)
            .number("duration_ms", duration.as_millis()),
        Request::Release { point } => start.put("point", point.as_str()),
        Request::TransferOpen {
            content,
            size,
            digest,
        } => start
            .number("content", *content as u8)
            .number("size", *size)
            .put("digest", hex(digest)),
        Request::TransferWrite { offset, bytes } => {
            start.number("offset", *offset).put("bytes", hex(bytes))
        }
        Request::TransferCommit { digest, keep } => {
            start.put("digest", hex(digest)).put("keep", *keep)
        }
        Request::Trial { keep } => start.put("keep", *keep),
        Request::Rekey { key } => start.some("key", key.map(|key| hex(&key.0))),
    }
}

fn show_command(start: Shower, command: &Command) -> Shower {
    let start = start
        .put("key", command.key.to_string())
        .number("expiry", command.expiry.0)
        .put("wait", command.wait);
    match &command.action {
        Action::Set { point, value } => start.put("point", point.as_str()).put("value", *value),
        Action::Call { command, arguments } => start
            .put("command", command.as_str())
            .put("arguments", arguments.clone()),
        Action::Adjust { parameter, value } => start
            .put("parameter", parameter.as_str())
            .put("value", *value),
    }
}

fn show_answer(start: Shower, answer: &Answer) -> (String, Shower) {
    let body = match answer {
        Answer::Refused { code, detail, verb } => {
            let fields = start
                .number("code", code.number())
                .some("detail", detail.as_ref().map(|text| text.as_str()))
                .number("verb", *verb);
            return ("answer.refused".to_owned(), fields);
        }
        Answer::Ok(body) => body,
    };
    let fields = match body {
        Body::Done(_) => start,
        Body::Identify {
            title,
            software,
            peer_kind,
        } => start
            .put("title", title.as_str())
            .put("software", software.as_str())
            .number("peer_kind", *peer_kind as u8),
        Body::Describe {
            behaviour,
            commands,
        } => start.put("behaviour", behaviour.as_str()).put(
            "commands",
            commands
                .iter()
                .map(|signature| Value::from(signature.as_str()))
                .collect::<Vec<_>>(),
        ),
        Body::Outcome {
            boot,
            stage,
            reason,
            is_final,
        } => start
            .number("boot", *boot)
            .some_number("stage", stage.map(|stage| stage as u8))
            .some_number("reason", reason.map(|code| code.number()))
            .some("final", *is_final),
        Body::Subscribe { count } => start.number("count", *count),
        Body::Lookup {
            address,
            online,
            since,
            title,
        } => start
            .number("address", address.0)
            .put("online", *online)
            .number("since", since.0)
            .put("title", title.as_str()),
        Body::Receipt {
            stage,
            at,
            reason,
            is_final,
        } => start
            .number("stage", *stage as u8)
            .some_number("at", at.map(|time| time.0))
            .some_number("reason", reason.map(|code| code.number()))
            .put("final", *is_final),
        Body::Enrol { controller, key } => start
            .number("controller", controller.0)
            .put("key", hex(key)),
        Body::Parameters { parameters } => {
            let shown = parameters.iter().map(|it| {
                Shower(Table::new())
                    .put("name", it.name.as_str())
                    .number("type", it.value_type as u8)
                    .put("value", it.value)
                    .put("min", it.min)
                    .put("max", it.max)
            });
            start.tables("parameters", shown)
        }
        Body::Values { values, total } => {
            let shown = values.iter().map(|it| {
                Shower(Table::new())
                    .put("name", it.name.as_str())
                    .number("type", it.value_type as u8)
                    .put("value", it.value)
            });
            start.tables("values", shown).number("total", *total)
        }
        Body::Log { entries } => start.tables("entries", entries.iter().map(show_log_entry)),
        Body::Health(health) => show_health(start, health),
        Body::TransferRead {
            size,
            bytes,
            digest,
        } => start
            .number("size", *size)
            .put("bytes", hex(bytes))
            .put("digest", hex(digest)),
        Body::TransferOpen { offset } | Body::TransferWrite { offset } => {
            start.number("offset", *offset)
        }
        Body::TransferCommit { fault } => start.some("fault", fault.as_ref().map(show_fault)),
        Body::Taken { last, .. } => start.number("last", *last),
    };
    (format!("answer.{}", body.verb().name()), fields)
}

fn show_log_entry(entry: &LogEntry) -> Shower {
    Shower(Table::new())
        .number("number", entry.number)
        .some_number("time", entry.time.map(|time| time.0))
        .number("uptime_ms", entry.uptime_ms)
        .put("about", entry.about.as_str())
        .some("value", entry.value)
        .put("cause", show_cause(&entry.cause))
}

fn show_health(start: Shower, health: &Health) -> Shower {
    let scan = Shower(Table::new())
        .number("late", health.scan.late)
        .number("longest_gap_ms", health.scan.longest_gap_ms)
        .number("gap_cause", health.scan.gap_cause.number())
        .number("cost_us", health.scan.cost_us);
    let script = &health.script;
    let script = Shower(Table::new())
        .number("state", script.state as u8)
        .some_number("trial_left_ms", script.trial_left_ms)
        .some("title", script.title.as_ref().map(|title| title.as_str()))
        .some("digest", script.digest.map(|digest| hex(&digest)))
        .number("faults", script.faults);
    let firmware = health.firmware.as_ref().map(|firmware| {
        Shower(Table::new())
            .number("state", firmware.state.number())
            .number("slot", firmware.slot)
            .number("version", firmware.version.0)
            .put("profile", firmware.profile.as_str())
            .0
    });
    start
        .number("uptime_ms", health.uptime_ms)
        .number("boot", health.boot)
        .number("reset", health.reset.number())
        .some_number("free_bytes", health.free_bytes)
        .put("scan", scan.0)
        .put("script", script.0)
        .some("firmware", firmware)
}

fn show_fault(fault: &ScriptFault) -> Value {
    let shown = Shower(Table::new())
        .number("line", fault.line)
        .number("column", fault.column)
        .put("expected", fault.expected.as_str())
        .some("fix", fault.fix.as_ref().map(|text| text.as_str()))
        .some_number("other_line", fault.other_line);
    Value::Table(shown.0)
}

fn show_event(start: Shower, event: &Event) -> Shower {
    match event {
        Event::Announce {
            boot,
            features,
            software,
            board,
            layout,
        } => start
            .number("boot", *boot)
            .number("features", *features)
            .put("software", software.as_str())
            .put("board", board.as_str())
            .number("layout", *layout),
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
        } => start
            .number("controller", controller.0)
            .put("online", *online)
            .number("since", since.0)
            .put("title", title.as_str())
            .some_number("boot", *boot)
            .some_number("features", *features)
            .some("software", software.as_ref().map(|title| title.as_str()))
            .some("board", board.as_ref().map(|title| title.as_str()))
            .some_number("reason", reason.map(|code| code.number())),
        Event::Note { text } => start.put("text", text.as_str()),
        Event::Happened {
            number,
            time,
            text,
            values,
        } => {
            let types = values.iter().map(|(value_type, _)| *value_type as i64);
            start
                .number("number", *number)
                .some_number("time", time.map(|time| time.0))
                .put("text", text.as_str())
                .put("types", types.map(Value::from).collect::<Vec<_>>())
                .put(
                    "values",
                    values
                        .iter()
                        .map(|(_, value)| Value::from(*value))
                        .collect::<Vec<_>>(),
                )
        }
        Event::Alarm {
            number,
            time,
            level,
            text,
            raised,
            alarm,
        } => start
            .number("number", *number)
            .some_number("time", time.map(|time| time.0))
            .number("level", *level as u8)
            .put("text", text.as_str())
            .put("raised", *raised)
            .number("alarm", *alarm),
    }
}

fn show_cause(cause: &Cause) -> Value {
    let shown = Shower(Table::new())
        .number("kind", cause.kind as u8)
        .some_number("by", cause.by.map(|address| address.0))
        .some_number("reference", cause.reference);
    Value::Table(shown.0)
}

fn show_full(start: Shower, full: &Full) -> Shower {
    let points = full.points.iter().map(|point| {
        let shown = Shower(Table::new())
            .number("index", point.index)
            .put("name", point.name.as_str())
            .number("type", point.point_type as u8)
            .put("value", point.value)
            .number("flags", point.flags.0)
            .put("cause", show_cause(&point.cause));
        Value::Table(shown.0)
    });
    start
        .number("boot", full.head.boot)
        .number("sequence", full.head.sequence)
        .number("page", full.page)
        .number("pages", full.pages)
        .number("uptime_ms", full.uptime_ms)
        .some_number("time", full.time.map(|time| time.0))
        .put("points", points.collect::<Vec<_>>())
        .number("layout", full.layout)
}

fn show_delta(start: Shower, delta: &Delta) -> Shower {
    let points = delta.changes.iter().map(|change| {
        let shown = Shower(Table::new())
            .number("index", change.index)
            .put("value", change.value)
            .number("flags", change.flags.0)
            .put("cause", show_cause(&change.cause));
        Value::Table(shown.0)
    });
    start
        .number("boot", delta.head.boot)
        .number("sequence", delta.head.sequence)
        .number("uptime_ms", delta.uptime_ms)
        .some_number("time", delta.time.map(|time| time.0))
        .put("points", points.collect::<Vec<_>>())
}

/// The kind of a name in the vectors.
pub(crate) fn kind_of(name: &str) -> Kind {
    *Kind::ALL
        .iter()
        .find(|kind| kind.name() == name)
        .unwrap_or_else(|| panic!("no kind is called {name}"))
}
