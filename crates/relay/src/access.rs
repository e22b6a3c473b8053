//! Who may send what to whom: judged by the header alone (`docs/protocol.md` §5).

use switchyard_protocol::{Address, AddressKind, Code, Header, Kind, Role};

/// What is to become of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The link's own ping.
    Ping,
    /// The peer's last word.
    Farewell,
    /// A request to the gateway.
    Gateway,
    /// A request to a controller that wants an answer.
    Ask,
    /// A command to a controller.
    Command,
    /// A tool's frame for another tool.
    Tool,
    /// A controller's announce, event or alarm.
    Event,
    /// A controller's status.
    Status,
    /// A controller's answer to the gateway itself.
    Own,
    /// A controller's answer to a tool.
    Answer,
    /// A controller's receipt to a tool.
    Receipt,
    /// A request that is answered with this code.
    Refuse(Code),
    /// Nobody waits for an answer: dropped, and counted under this code.
    Drop(Code),
    /// The link ends.
    Violation,
}

/// Judges a tool's frame.
pub(crate) fn of_tool(role: Role, header: &Header) -> Verdict {
    let destination = header.destination.kind();
    match header.kind {
        Kind::Hello | Kind::Handshake | Kind::StatusFull | Kind::StatusDelta | Kind::Receipt => {
            Verdict::Violation
        }
        Kind::Ping => ping(header.destination),
        Kind::Error => Verdict::Farewell,
        Kind::Query | Kind::Command | Kind::Configure | Kind::Admin => {
            if header.kind.role() > Some(role) {
                return Verdict::Refuse(Code::Forbidden);
            }
            match (destination, header.kind) {
                (AddressKind::Gateway, Kind::Command) => Verdict::Refuse(Code::Unsupported),
                (AddressKind::Gateway, _) => Verdict::Gateway,
                (AddressKind::Controller, Kind::Command) => Verdict::Command,
                (AddressKind::Controller, _) => Verdict::Ask,
                (_, Kind::Query) => Verdict::Tool,
                _ => Verdict::Refuse(Code::NotGranted),
            }
        }
        Kind::Response | Kind::Event => match destination {
            AddressKind::Installed | AddressKind::Leased => Verdict::Tool,
            _ => Verdict::Drop(Code::NotGranted),
        },
    }
}

/// Judges a controller's frame.
pub(crate) fn of_controller(header: &Header) -> Verdict {
    let to_gateway = header.destination == Address::GATEWAY;
    let to_tool = header.destination.is_tool();
    match header.kind {
        Kind::Hello | Kind::Handshake => Verdict::Violation,
        Kind::Ping => ping(header.destination),
        Kind::Error => Verdict::Farewell,
        Kind::Query if to_gateway => Verdict::Gateway,
        Kind::Command | Kind::Configure | Kind::Admin if to_gateway => {
            Verdict::Refuse(Code::Forbidden)
        }
        Kind::Event if to_gateway => Verdict::Event,
        Kind::StatusFull | Kind::StatusDelta if to_gateway => Verdict::Status,
        Kind::Response if to_gateway => Verdict::Own,
        Kind::Response if to_tool => Verdict::Answer,
        Kind::Receipt if to_tool => Verdict::Receipt,
        _ => Verdict::Drop(Code::NotGranted),
    }
}

fn ping(destination: Address) -> Verdict {
    // A ping belongs to one link; it is never forwarded.
    match destination {
        Address::GATEWAY => Verdict::Ping,
        _ => Verdict::Drop(Code::NotGranted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use switchyard_protocol::Flags;

    const GATEWAY: Address = Address::GATEWAY;
    const PUMP: Address = Address(100_042);
    const DESK: Address = Address(0x8000_0001);
    const PAGE: Address = Address(0xC000_0001);

    fn header(kind: Kind, source: Address, destination: Address) -> Header {
        Header {
            kind,
            flags: Flags::NONE,
            payload_bytes: 0,
            correlation: 1,
            source,
            destination,
        }
    }

    #[test]
    fn a_tool_is_judged_by_kind_and_destination() {
        use Verdict::*;
        let not_granted = Drop(Code::NotGranted);
        let closed = Refuse(Code::NotGranted);
        // Columns: the gateway, a controller, a tool; for an admin, whom no role holds back.
        for (kind, expected) in [
            (Kind::Hello, [Violation, Violation, Violation]),
            (Kind::Ping, [Ping, not_granted, not_granted]),
            (Kind::Error, [Farewell, Farewell, Farewell]),
            (Kind::Handshake, [Violation, Violation, Violation]),
            (Kind::Query, [Gateway, Ask, Tool]),
            (Kind::Command, [Refuse(Code::Unsupported), Command, closed]),
            (Kind::Configure, [Gateway, Ask, closed]),
            (Kind::Admin, [Gateway, Ask, closed]),
            (Kind::Response, [not_granted, not_granted, Tool]),
            (Kind::Event, [not_granted, not_granted, Tool]),
            (Kind::StatusFull, [Violation, Violation, Violation]),
            (Kind::StatusDelta, [Violation, Violation, Violation]),
            (Kind::Receipt, [Violation, Violation, Violation]),
        ] {
            for (destination, expected) in [GATEWAY, PUMP, PAGE].into_iter().zip(expected) {
                let found = of_tool(Role::Admin, &header(kind, DESK, destination));
                assert_eq!(found, expected, "{} to {destination}", kind.name());
            }
        }
    }

    #[test]
    fn a_tool_needs_the_role_of_the_kind() {
        for role in Role::ALL {
            for &kind in Kind::ALL {
                for destination in [GATEWAY, PUMP, PAGE] {
                    let found = of_tool(role, &header(kind, DESK, destination));
                    let held_back = found == Verdict::Refuse(Code::Forbidden);
                    let expected = kind.role().is_some_and(|needed| needed > role);
                    assert_eq!(held_back, expected, "{} as {}", kind.name(), role.name());
                }
            }
        }
    }

    #[test]
    fn a_controller_is_judged_by_kind_and_destination() {
        use Verdict::*;
        let not_granted = Drop(Code::NotGranted);
        let forbidden = Refuse(Code::Forbidden);
        for (kind, expected) in [
            (Kind::Hello, [Violation, Violation, Violation]),
            (Kind::Ping, [Ping, not_granted, not_granted]),
            (Kind::Error, [Farewell, Farewell, Farewell]),
            (Kind::Handshake, [Violation, Violation, Violation]),
            (Kind::Query, [Gateway, not_granted, not_granted]),
            (Kind::Command, [forbidden, not_granted, not_granted]),
            (Kind::Configure, [forbidden, not_granted, not_granted]),
            (Kind::Admin, [forbidden, not_granted, not_granted]),
            (Kind::Response, [Own, not_granted, Answer]),
            (Kind::Event, [Event, not_granted, not_granted]),
            (Kind::StatusFull, [Status, not_granted, not_granted]),
            (Kind::StatusDelta, [Status, not_granted, not_granted]),
            (Kind::Receipt, [not_granted, not_granted, Receipt]),
        ] {
            for (destination, expected) in [GATEWAY, Address(7), DESK].into_iter().zip(expected) {
                let found = of_controller(&header(kind, PUMP, destination));
                assert_eq!(found, expected, "{} to {destination}", kind.name());
            }
        }
    }
}
