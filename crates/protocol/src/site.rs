//! Groups of controllers, which people and rights are given by.

use std::{fmt, str::FromStr};

/// A site's number, 1 and up. A controller is in one site at most (`docs/protocol.md` §5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteId(pub u32);

impl fmt::Display for SiteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for SiteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "site {}", self.0)
    }
}

/// Why a text is not a [`SiteId`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a site, a decimal number from 1 to 4294967295, and found {found:?}")]
pub struct SiteIdError {
    found: String,
}

impl FromStr for SiteId {
    type Err = SiteIdError;

    /// Reads a plain decimal; signs, spaces and prefixes are refused, since a misread number would
    /// give rights over somebody else's controllers.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = text.len() <= 10 && text.bytes().all(|byte| byte.is_ascii_digit());
        plain
            .then(|| text.parse().ok())
            .flatten()
            .filter(|&number| number > 0)
            .map(SiteId)
            .ok_or_else(|| SiteIdError {
                found: text.chars().take(32).collect(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_plain_decimals_from_one_on() {
        for number in [1, 7, 4_294_967_295] {
            let site = SiteId(number);
            assert_eq!(site.to_string().parse(), Ok(site));
        }
        for text in ["", "0", "+1", "-1", " 1", "0x1", "4294967296", "1e3", "１"] {
            let error = text.parse::<SiteId>().unwrap_err().to_string();
            assert!(error.starts_with("expected a site, a decimal number from 1"));
        }
    }
}
