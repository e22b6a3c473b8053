//! Packets of the serial line in one line of words. What is secret in them is left out.

use switchyard_protocol::{
    Code,
    serial::{
        Answer, Body, Command, CommandError, Description, ImprovError, ImprovState, Packet,
        PacketType, Request, Verb, WifiState, read_result,
    },
};

use super::lines::plain;

/// A packet in words.
pub(super) fn words(packet: &Packet) -> String {
    let data = packet.data.as_slice();
    let number = || data.first().copied().unwrap_or_default();
    match packet.packet_type {
        PacketType::State => format!("state: {}", state(ImprovState::from_number(number()))),
        PacketType::Error => format!("error: {}", error(ImprovError::from_number(number()))),
        // Its fields may be a password.
        PacketType::Command => match Command::decode(data) {
            Ok(command) => format!("command: {}", command_name(command.number())),
            Err(CommandError::Unknown(number)) => format!("command: {}", command_name(number)),
            Err(_) => "command: unreadable".to_owned(),
        },
        PacketType::Result => match read_result(data) {
            Some((command, texts)) if texts.is_empty() => {
                format!("result: {}, nothing", command_name(command))
            }
            Some((command, texts)) => {
                let texts: Vec<_> = texts.iter().map(|it| plain(it.as_bytes())).collect();
                format!("result: {}: {}", command_name(command), texts.join(", "))
            }
            None => "result: unreadable".to_owned(),
        },
        PacketType::Request => match Request::decode(data) {
            Ok((id, request)) => format!("request: {}, No. {id}", request.verb().name()),
            Err(_) => "request: unreadable".to_owned(),
        },
        PacketType::Answer => answer(data),
        _ => format!(
            "packet of type {}, {} bytes",
            packet.packet_type.number(),
            data.len()
        ),
    }
}

/// An answer says not what was asked for. Some can be told by what is in them.
fn answer(data: &[u8]) -> String {
    for verb in [Verb::Describe, Verb::ScriptEnd, Verb::Unlock, Verb::Set] {
        let Ok(answer) = Answer::decode(data, verb) else {
            continue;
        };
        let id = answer.id;
        let told = match &answer.body {
            Body::Description(description) => described(description),
            Body::Compiled(it) => format!("{} operations, {} µs a scan", it.operations, it.scan_us),
            Body::Fault(_) => "it does not compile".to_owned(),
            Body::Wait(wait) => format!("{}, {} s to wait", answer.code, wait.as_secs_f64().ceil()),
            Body::WrongSetting(setting) => {
                let setting = setting.map_or("a setting", |it| it.name());
                format!("{}, {setting} cannot be that", answer.code)
            }
            _ => continue,
        };
        let result = if answer.code == Code::Ok { "ok, " } else { "" };
        return format!("answer: {} {result}{told}, No. {id}", verb.name());
    }
    match Answer::decode(data, Verb::Restart) {
        Ok(answer) => format!("answer: {}, No. {}", answer.code, answer.id),
        Err(_) => "answer: unreadable".to_owned(),
    }
}

fn described(description: &Description) -> String {
    let wifi = match description.wifi {
        WifiState::Down => "Wi-Fi down",
        WifiState::Joining => "joining Wi-Fi",
        WifiState::Joined => "Wi-Fi joined",
        WifiState::WrongPassword => "wrong Wi-Fi password",
        WifiState::NotFound => "Wi-Fi network not found",
        _ => "Wi-Fi unknown",
    };
    let who = description
        .address
        .map_or("not enrolled".to_owned(), |it| format!("address {}", it.0));
    let plain = |text: &str| plain(text.as_bytes());
    format!(
        "{} {}, {who}, {wifi}",
        plain(&description.profile),
        plain(&description.software)
    )
}

fn state(state: ImprovState) -> String {
    match state {
        ImprovState::Ready => "ready".to_owned(),
        ImprovState::Provisioning => "joining".to_owned(),
        ImprovState::Provisioned => "joined".to_owned(),
        other => format!("unknown ({})", other.number()),
    }
}

fn error(error: ImprovError) -> String {
    match error {
        ImprovError::None => "none".to_owned(),
        ImprovError::InvalidCommand => "invalid command".to_owned(),
        ImprovError::UnknownCommand => "unknown command".to_owned(),
        ImprovError::UnableToConnect => "unable to join the network".to_owned(),
        ImprovError::NotAuthorized => "locked".to_owned(),
        ImprovError::BadHostName => "bad host name".to_owned(),
        other => format!("other ({})", other.number()),
    }
}

fn command_name(number: u8) -> String {
    let name = match number {
        1 => "wifi",
        2 => "state",
        3 => "information",
        4 => "networks",
        5 => "host name",
        6 => "device name",
        7 => "network state",
        other => return format!("No. {other}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchyard_protocol::serial::{Password, Setting, SettingValue, improv_result};

    #[test]
    fn packets_are_told_in_a_line() {
        let packet = |packet_type, data: &[u8]| Packet {
            packet_type,
            data: data.to_vec(),
        };
        for (packet, told) in [
            (packet(PacketType::State, &[4]), "state: joined"),
            (packet(PacketType::State, &[]), "state: unknown (0)"),
            (
                packet(PacketType::Error, &[3]),
                "error: unable to join the network",
            ),
            (
                packet(PacketType::Result, &improv_result(1, &["http://10.0.0.7/"])),
                "result: wifi: http://10.0.0.7/",
            ),
            (
                packet(PacketType::Result, &improv_result(4, &[])),
                "result: networks, nothing",
            ),
            (
                packet(PacketType::Result, &improv_result(4, &["a\x1b[2J", "-60"])),
                "result: networks: a\\x1b[2J, -60",
            ),
            (packet(PacketType::Result, &[1, 9]), "result: unreadable"),
            (
                Packet::answer(&Answer::plain(7, Code::Ok)),
                "answer: ok, No. 7",
            ),
            (
                Packet::answer(&Answer::plain(7, Code::Busy)),
                "answer: busy, No. 7",
            ),
            (packet(PacketType::Answer, &[1, 2, 3]), "answer: unreadable"),
            (
                packet(PacketType::Other(9), &[1, 2, 3]),
                "packet of type 9, 3 bytes",
            ),
        ] {
            assert_eq!(words(&packet), told);
        }
    }

    #[test]
    fn answers_are_known_by_what_is_in_them() {
        let body = |code, body| Packet::answer(&Answer { id: 3, code, body });
        let compiled = switchyard_protocol::serial::Compiled {
            operations: 40,
            scan_us: 700,
        };
        for (packet, told) in [
            (
                body(Code::Ok, Body::Compiled(compiled)),
                "answer: script_end ok, 40 operations, 700 µs a scan, No. 3",
            ),
            (
                body(
                    Code::RateLimited,
                    Body::Wait(std::time::Duration::from_millis(3_500)),
                ),
                "answer: unlock rate_limited, 4 s to wait, No. 3",
            ),
            (
                body(Code::OutOfRange, Body::WrongSetting(Some(Setting::Zone))),
                "answer: set out_of_range, zone cannot be that, No. 3",
            ),
        ] {
            assert_eq!(words(&packet), told);
        }
    }

    #[test]
    fn no_secret_is_told() {
        let secret = "correct horse";
        let wifi = Command::SendWifi {
            network: b"yard".to_vec(),
            password: secret.into(),
        };
        let command = Packet {
            packet_type: PacketType::Command,
            data: wifi.encode(),
        };
        let unlock = Packet::request(1, &Request::Unlock(Password(secret.into())));
        let set = Packet::request(
            2,
            &Request::Set(vec![SettingValue {
                setting: Setting::WifiPassword,
                text: secret.into(),
            }]),
        );
        let told = [command, unlock, set].map(|it| words(&it));
        assert_eq!(
            told,
            [
                "command: wifi",
                "request: unlock, No. 1",
                "request: set, No. 2"
            ]
        );
    }
}
