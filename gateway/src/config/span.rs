//! Durations as people write them.

use serde::Deserialize;
use std::{str::FromStr, time::Duration};

/// A duration as people write it: `250ms`, `15s`, `5min`, `24h`, `30d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted =
            || format!("expected a duration such as 250ms, 15s, 5min, 24h, found {text:?}");
        let split = text
            .find(|c: char| !c.is_ascii_digit())
            .ok_or_else(wanted)?;
        let count: u64 = text[..split].parse().map_err(|_| wanted())?;
        let unit_ms: u64 = match text[split..].trim() {
            "ms" => 1,
            "s" => 1_000,
            "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wanted()),
        };
        let total = count.checked_mul(unit_ms).ok_or_else(wanted)?;
        Ok(Span(Duration::from_millis(total)))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}
