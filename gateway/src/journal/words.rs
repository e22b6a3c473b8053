//! From a record of the journal to one of the audit log: what was asked for, in words.

use super::{
    Change,
    format::{Record, What},
    pins::Pins,
};
use crate::audit::{AuditRecord, AuditWhat};
use bytes::Bytes;
use switchyard_protocol::{
    Code, Frame, Header, Kind, limits,
    message::{Action, Command, Request, Verb, verb_of},
};

/// The longest words of a record; a longer text is cut.
const WORDS_BYTES_MAX: usize = 256;

/// The audit record of a journal's, if it makes one; `pins` know whose command it was.
pub(super) fn audit_of(record: &Record, pins: &Pins) -> Option<AuditRecord> {
    if !record.what.is_for_audit() {
        return None;
    }
    let new = |what| AuditRecord::new(record.time, what);
    Some(match &record.what {
        What::Command {
            account,
            ip,
            key,
            frame,
            refused,
            ..
        } => {
            let what = match refused {
                None => AuditWhat::Accepted,
                Some(_) => AuditWhat::Refused,
            };
            AuditRecord {
                account: Some(account.clone()),
                ip: *ip,
                key: Some(*key),
                stage: refused.map(|(stage, _)| stage),
                is_final: refused.is_some(),
                code: refused.map(|(_, code)| code),
                ..with_frame(new(what), frame)
            }
        }
        What::Denied {
            account,
            ip,
            frame,
            code,
        } => AuditRecord {
            account: Some(account.clone()),
            ip: *ip,
            code: Some(*code),
            is_final: true,
            ..with_frame(new(AuditWhat::Refused), frame)
        },
        What::Progress { key, receipt, .. } => {
            let pin = pins.get(*key);
            AuditRecord {
                account: pin.map(|pin| pin.account.clone()),
                tool: pin.and_then(|pin| pin.tool),
                target: pin.and_then(|pin| pin.controller),
                key: Some(*key),
                stage: Some(receipt.stage),
                is_final: receipt.is_final,
                code: receipt.reason,
                ..new(AuditWhat::Reached)
            }
        }
        What::Request { account, ip, frame } => AuditRecord {
            account: Some(account.clone()),
            ip: *ip,
            ..with_frame(new(AuditWhat::Asked), frame)
        },
        What::Answer {
            asker: (tool, correlation),
            source,
            verb,
            code,
        } => AuditRecord {
            tool: Some(*tool),
            target: Some(*source),
            correlation: Some(*correlation),
            code: Some(*code),
            text: verb_name(*verb),
            ..new(AuditWhat::Answered)
        },
        What::Change(change) => with_change(new(AuditWhat::Asked), change),
        What::Changed(change) => AuditRecord {
            code: change.text.is_empty().then_some(Code::Ok),
            ..with_change(new(AuditWhat::Answered), change)
        },
        What::Lost { count } => AuditRecord {
            count: *count,
            ..new(AuditWhat::Lost)
        },
        What::Started { is_unbroken } => {
            let text = match is_unbroken {
                true => "with all that was known before",
                false => "anew",
            };
            AuditRecord {
                text: text.into(),
                ..new(AuditWhat::Started)
            }
        }
    })
}

fn with_change(record: AuditRecord, change: &Change) -> AuditRecord {
    AuditRecord {
        account: Some(change.account.clone()),
        ip: change.ip,
        target: Some(change.target),
        correlation: Some(change.number),
        text: cut(change.text.clone()),
        ..record
    }
}

fn with_frame(record: AuditRecord, frame: &Bytes) -> AuditRecord {
    let Some(header) = frame
        .first_chunk()
        .and_then(|bytes| Header::decode(bytes, limits::PAYLOAD_BYTES_MAX).ok())
    else {
        return record;
    };
    let mut rest = frame.clone();
    let whole = Frame::decode_shared(&mut rest, limits::PAYLOAD_BYTES_MAX);
    let payload = whole.ok().flatten().map(|frame| frame.payload().to_vec());
    let text = match payload {
        Some(payload) => words(header.kind, &payload),
        None => format!("a {} too long to be kept", header.kind.name()),
    };
    AuditRecord {
        tool: Some(header.source),
        target: Some(header.destination),
        correlation: Some(header.correlation),
        text: cut(text),
        ..record
    }
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(WORDS_BYTES_MAX));
    text
}

fn verb_name(verb: u16) -> String {
    match Verb::from_number(verb) {
        Some(verb) => verb.name().into(),
        None => format!("verb {verb}"),
    }
}

/// What a request or command asks for.
fn words(kind: Kind, payload: &[u8]) -> String {
    let known = match kind {
        Kind::Command => Command::decode(payload).ok().map(|it| of_command(&it)),
        kind => Request::decode(kind, payload)
            .ok()
            .map(|it| of_request(&it)),
    };
    known.unwrap_or_else(|| match verb_of(payload) {
        Ok(verb) => verb_name(verb),
        Err(_) => Code::Malformed.name().into(),
    })
}

fn of_command(command: &Command) -> String {
    let wait = match command.wait {
        true => ", may wait",
        false => "",
    };
    match &command.action {
        Action::Set { point, value } => format!("set {point} = {value}{wait}"),
        Action::Adjust { parameter, value } => format!("adjust {parameter} = {value}{wait}"),
        Action::Call { command, arguments } => {
            let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
            format!("call {command}({}){wait}", arguments.join(", "))
        }
    }
}

fn of_request(request: &Request) -> String {
    let verb = request.verb().name();
    match request {
        Request::Enrol { title, site: None } => format!("{verb} {title}"),
        Request::Enrol {
            title,
            site: Some(site),
        } => format!("{verb} {title} at site {site}"),
        Request::Force {
            point,
            value,
            duration,
        } => format!("{verb} {point} = {value} for {} ms", duration.as_millis()),
        Request::Release { point } => format!("{verb} {point}"),
        Request::TransferOpen {
            content,
            size,
            digest,
        } => {
            let content = content.name();
            format!("{verb} {content}, {size} bytes, {}", hex(digest))
        }
        Request::TransferCommit { digest, keep } => {
            let how = match keep {
                true => "kept at once",
                false => "as it goes",
            };
            format!("{verb} {}, {how}", hex(digest))
        }
        Request::Trial { keep } => match keep {
            true => format!("{verb} kept"),
            false => format!("{verb} reverted"),
        },
        _ => verb.into(),
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use switchyard_protocol::message::{Key, Name, Time, Title};

    #[test]
    fn what_was_asked_is_told_in_words() {
        let name = |text| Name::new(text).unwrap();
        let command = |action| Command {
            key: Key([1; 16]),
            expiry: Time(1),
            wait: false,
            action,
        };
        let set = command(Action::Set {
            point: name("RL1"),
            value: 1,
        });
        let call = Command {
            wait: true,
            ..command(Action::Call {
                command: name("open"),
                arguments: vec![1, -2],
            })
        };
        let force = Request::Force {
            point: name("RL1"),
            value: 1,
            duration: Duration::from_secs(60),
        };
        let enrol = Request::Enrol {
            title: Title::new("Pump house").unwrap(),
            site: None,
        };
        for (kind, payload, expected) in [
            (Kind::Command, set.encode(), "set RL1 = 1"),
            (Kind::Command, call.encode(), "call open(1, -2), may wait"),
            (
                Kind::Configure,
                force.encode(),
                "force RL1 = 1 for 60000 ms",
            ),
            (Kind::Configure, enrol.encode(), "enrol Pump house"),
            (
                Kind::Configure,
                Request::Trial { keep: false }.encode(),
                "trial reverted",
            ),
            (Kind::Configure, Request::Restart.encode(), "restart"),
            (Kind::Command, vec![0xA1, 2, 0x18, 32], "set"),
            (Kind::Command, vec![0xA1, 2, 0x18, 0x33], "verb 51"),
            (Kind::Command, vec![0xFF], "malformed"),
        ] {
            assert_eq!(words(kind, &payload), expected);
        }
    }
}
