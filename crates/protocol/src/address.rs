//! The numbers by which peers are known and frames are routed.

use std::{fmt, str::FromStr};

/// A peer's unique number (`docs/protocol.md` §1). People see it as a plain decimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub u32);

/// Which of the four ranges an [`Address`] lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressKind {
    /// The gateway itself.
    Gateway,
    /// A device that executes.
    Controller,
    /// A tool installation, which keeps its number for life.
    Installed,
    /// A tool that got its number for one session.
    Leased,
}

impl Address {
    /// The gateway.
    pub const GATEWAY: Address = Address(0);
    /// The first number that a controller can have.
    pub const CONTROLLER_MIN: Address = Address(1);
    /// The last number that a controller can have.
    pub const CONTROLLER_MAX: Address = Address(0x7FFF_FFFF);
    /// The first number of an installed tool.
    pub const INSTALLED_MIN: Address = Address(0x8000_0000);
    /// The last number of an installed tool.
    pub const INSTALLED_MAX: Address = Address(0xBFFF_FFFF);
    /// The first number that is leased for a session.
    pub const LEASED_MIN: Address = Address(0xC000_0000);
    /// The last number that is leased for a session.
    pub const LEASED_MAX: Address = Address(0xFFFF_FFFF);

    /// The range that this address lies in.
    pub const fn kind(self) -> AddressKind {
        match self.0 {
            0 => AddressKind::Gateway,
            1..=0x7FFF_FFFF => AddressKind::Controller,
            0x8000_0000..=0xBFFF_FFFF => AddressKind::Installed,
            _ => AddressKind::Leased,
        }
    }

    /// Whether this is a controller's number.
    pub const fn is_controller(self) -> bool {
        matches!(self.kind(), AddressKind::Controller)
    }

    /// Whether this is a tool's number, installed or leased.
    pub const fn is_tool(self) -> bool {
        matches!(self.kind(), AddressKind::Installed | AddressKind::Leased)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "No. {}", self.0)
    }
}

/// Why a text is not an [`Address`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an address, a decimal number from 0 to 4294967295, and found {found:?}")]
pub struct AddressError {
    found: String,
}

impl FromStr for Address {
    type Err = AddressError;

    /// Reads a plain decimal; signs, spaces and prefixes are refused, since a misread number
    /// would switch somebody else's relay.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain =
            !text.is_empty() && text.len() <= 10 && text.bytes().all(|b| b.is_ascii_digit());
        plain
            .then(|| text.parse().ok())
            .flatten()
            .map(Address)
            .ok_or_else(|| AddressError {
                found: text.chars().take(32).collect(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_meet_without_a_gap() {
        for (number, kind) in [
            (0, AddressKind::Gateway),
            (1, AddressKind::Controller),
            (0x7FFF_FFFF, AddressKind::Controller),
            (0x8000_0000, AddressKind::Installed),
            (0xBFFF_FFFF, AddressKind::Installed),
            (0xC000_0000, AddressKind::Leased),
            (u32::MAX, AddressKind::Leased),
        ] {
            assert_eq!(Address(number).kind(), kind, "{number}");
        }
    }

    #[test]
    fn reads_plain_decimals_only() {
        assert_eq!("100042".parse(), Ok(Address(100_042)));
        for text in [
            "",
            "+1",
            "-1",
            " 1",
            "0x10",
            "4294967296",
            "99999999999",
            "1e3",
            "１",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text:?}");
        }
    }
}
