//! Who may send what to whom: judged by the header and the sender's rights alone (`docs/protocol.md`
//! §5).

use crate::Rights;
use switchyard_protocol::{Address, AddressKind, Code, Header, Kind, Role, SiteId};

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
    /// A command to a controller that is refused with this code, unless its key is known already.
    NoCommand(Code),
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

/// The role that counts for a tool's frame. `place` is where the controller is that it goes to; `None`
/// where it goes to no controller, or to one that nobody knows.
#[inline]
pub(crate) fn role_for(
    header: &Header,
    rights: &Rights,
    place: Option<Option<SiteId>>,
) -> Option<Role> {
    match (header.destination.kind(), header.kind) {
        (AddressKind::Controller, _) => rights.role_at(place?),
        // What is the whole yard's.
        (AddressKind::Gateway, Kind::Admin) => rights.role_at(None),
        // What is one site's is judged once more when it has been read, by its role there.
        _ => rights.highest(),
    }
}

/// Judges a tool's frame by the role that counts for it. A controller that one has no role at is
/// refused as an address that nobody holds: that it exists is none of the asker's business.
pub(crate) fn of_tool(role: Option<Role>, header: &Header) -> Verdict {
    let destination = header.destination.kind();
    match header.kind {
        Kind::Hello | Kind::Handshake | Kind::StatusFull | Kind::StatusDelta | Kind::Receipt => {
            Verdict::Violation
        }
        Kind::Ping => ping(header.destination),
        Kind::Error => Verdict::Farewell,
        Kind::Query | Kind::Command | Kind::Configure | Kind::Admin => {
            let may = role >= header.kind.role();
            match (destination, header.kind) {
                (AddressKind::Controller, kind) => {
                    let refusal = match role {
                        None => Some(Code::UnknownAddress),
                        Some(_) => (!may).then_some(Code::Forbidden),
                    };
                    match (kind, refusal) {
                        (Kind::Command, None) => Verdict::Command,
                        (Kind::Command, Some(code)) => Verdict::NoCommand(code),
                        (_, None) => Verdict::Ask,
                        (_, Some(code)) => Verdict::Refuse(code),
                    }
                }
                // Which tools a tool reaches is no matter of roles, but of sites that they share.
                (AddressKind::Installed | AddressKind::Leased, Kind::Query) => Verdict::Tool,
                _ if !may => Verdict::Refuse(Code::Forbidden),
                (AddressKind::Gateway, Kind::Command) => Verdict::Refuse(Code::Unsupported),
                (AddressKind::Gateway, _) => Verdict::Gateway,
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
                let found = of_tool(Some(Role::Admin), &header(kind, DESK, destination));
                assert_eq!(found, expected, "{} to {destination}", kind.name());
            }
        }
    }

    #[test]
    fn a_tool_needs_the_role_of_the_kind() {
        let all = Role::ALL.into_iter().map(Some).chain([None]);
        for (role, &kind) in all.flat_map(|role| Kind::ALL.iter().map(move |kind| (role, kind))) {
            for destination in [GATEWAY, PUMP, PAGE] {
                let found = of_tool(role, &header(kind, DESK, destination));
                let is_hidden = destination == PUMP && kind.is_request() && role.is_none();
                let needed = kind
                    .role()
                    .filter(|_| (kind, destination) != (Kind::Query, PAGE));
                let expected = match (needed > role, kind) {
                    _ if is_hidden => Some(Code::UnknownAddress),
                    (true, _) => Some(Code::Forbidden),
                    (false, _) => None,
                };
                let refused = match found {
                    Verdict::Refuse(code @ (Code::Forbidden | Code::UnknownAddress))
                    | Verdict::NoCommand(code) => Some(code),
                    _ => None,
                };
                assert_eq!(
                    refused,
                    expected,
                    "{} as {role:?} to {destination}",
                    kind.name()
                );
            }
        }
    }

    #[test]
    fn the_role_that_counts_is_that_of_the_place() {
        let site = SiteId(7);
        let rights = Rights::new(Some(Role::Viewer), [(site, Role::Technician)]);
        for (kind, destination, place, expected) in [
            (Kind::Query, GATEWAY, None, Some(Role::Technician)),
            (Kind::Configure, GATEWAY, None, Some(Role::Technician)),
            (Kind::Admin, GATEWAY, None, Some(Role::Viewer)),
            (
                Kind::Command,
                PUMP,
                Some(Some(site)),
                Some(Role::Technician),
            ),
            (
                Kind::Command,
                PUMP,
                Some(Some(SiteId(8))),
                Some(Role::Viewer),
            ),
            (Kind::Command, PUMP, Some(None), Some(Role::Viewer)),
            (Kind::Command, PUMP, None, None),
        ] {
            let header = header(kind, DESK, destination);
            let found = role_for(&header, &rights, place);
            assert_eq!(found, expected, "{} to {destination}", kind.name());
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
