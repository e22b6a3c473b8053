//! What the commands print: text for people, and one JSON object a line for programs. Keys are only
//! ever added.

use crate::words;
use serde_json::{Value, json};
use std::io::{self, Write};
use switchyard_client::{Controller, signature::ArgumentType};
use switchyard_protocol::{
    Address,
    message::{Cause, Change, Event, Point, PointFlags, Receipt},
};

/// Prints a line and lets it go at once: a reader of `watch` waits for it.
pub(crate) fn line(text: impl std::fmt::Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// Says something beside the output proper.
pub(crate) fn aside(text: impl std::fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "switchyard: {text}");
}

/// What a gateway told, in the form in which it tells it.
pub(crate) fn json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value)
        .unwrap_or_else(|_| unreachable!("numbers, texts, and maps under texts have a JSON form"))
}

/// A controller, whole.
pub(crate) fn controller(controller: &Controller) -> Value {
    let status = controller.status.as_ref();
    json!({
        "address": controller.address.0,
        "title": controller.title.as_str(),
        "state": words::Standing::of(controller).name(),
        "online": controller.online,
        "since": controller.since.0,
        "offline_reason": controller.offline_reason.map(|code| code.to_string()),
        "software": controller.software.as_ref().map(|title| title.as_str()),
        "board": controller.board.as_ref().map(|title| title.as_str()),
        "boot": status.map(|status| status.head.boot),
        "sequence": status.map(|status| status.head.sequence),
        "uptime_ms": status.map(|status| status.uptime_ms),
        "heard_at": status.map(|status| status.heard_at.0),
        "points": controller.points().iter().map(point).collect::<Vec<_>>(),
    })
}

/// A point, whole.
pub(crate) fn point(point: &Point) -> Value {
    json!({
        "index": point.index,
        "name": point.name.as_str(),
        "type": point.point_type.name(),
        "value": point.value,
        "flags": flags(point.flags),
        "cause": cause(&point.cause),
    })
}

/// A change of a point that bears this name.
pub(crate) fn change(name: &str, change: &Change) -> Value {
    json!({
        "index": change.index,
        "name": name,
        "value": change.value,
        "flags": flags(change.flags),
        "cause": cause(&change.cause),
    })
}

fn flags(flags: PointFlags) -> Vec<&'static str> {
    words::qualities(flags)
}

pub(crate) fn cause(cause: &Cause) -> Value {
    json!({
        "kind": cause.kind.name(),
        "by": cause.by.map(|by| by.0),
        "reference": cause.reference,
    })
}

/// A stage of a command; `elapsed_ms` counts from its sending here.
pub(crate) fn receipt(receipt: &Receipt, elapsed_ms: u64) -> Value {
    json!({
        "key": receipt.key.to_string(),
        "stage": receipt.stage.name(),
        "at": receipt.at.map(|at| at.0),
        "reason": receipt.reason.map(|code| code.to_string()),
        "detail": receipt.detail.as_ref().map(|text| text.as_str()),
        "final": receipt.is_final,
        "elapsed_ms": elapsed_ms,
    })
}

/// A controller's event or alarm.
pub(crate) fn happened(from: Address, event: &Event, json: bool) -> io::Result<()> {
    match event {
        Event::Happened {
            number,
            time,
            text,
            values,
        } => {
            if json {
                let values = values.iter().map(
                    |&(value_type, value)| json!({ "type": value_type.name(), "value": value }),
                );
                return line(json!({
                    "event": "happened",
                    "address": from.0,
                    "number": number,
                    "time": time.map(|time| time.0),
                    "text": text.as_str(),
                    "values": values.collect::<Vec<_>>(),
                }));
            }
            let values = values
                .iter()
                .map(|&(it, value)| ArgumentType::from(it).show(value));
            let values: Vec<_> = values.collect();
            let text = words::plain(text.as_str());
            let told = format!(
                "{}  event  {text}  {}",
                words::clock_of(*time),
                values.join(" ")
            );
            line(told.trim_end())
        }
        Event::Alarm {
            number,
            time,
            level,
            text,
            raised,
            alarm,
        } => {
            if json {
                return line(json!({
                    "event": "alarm",
                    "address": from.0,
                    "number": number,
                    "time": time.map(|time| time.0),
                    "level": level.name(),
                    "text": text.as_str(),
                    "raised": raised,
                    "alarm": alarm,
                }));
            }
            let end = if *raised { "" } else { "  over" };
            let text = words::plain(text.as_str());
            let at = words::clock_of(*time);
            line(format!("{at}  alarm  {}  {text}{end}", level.name()))
        }
        Event::Announce { .. } | Event::Presence { .. } | Event::Note { .. } => Ok(()),
    }
}
