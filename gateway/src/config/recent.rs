//! Where recent values are kept, and how many.

use super::{ConfigError, Span, taken};
use crate::store::RedisSettings;
use serde::Deserialize;
use std::time::Duration;

/// The shortest and the longest that recent values may be kept: less is no chart, and of more there are minutes.
const AGE: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(3_600);
/// The most points: what one Redis takes in beside its other work, at one value a second each, and 10 MB here.
const POINTS_MAX: usize = 65_536;

/// Where recent values are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum RecentPlace {
    /// Nowhere.
    Off,
    /// In this process, until it ends.
    Memory,
    /// In the Redis of `redis_url`.
    Redis,
}

/// What is kept of recent values, where any are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecentSettings {
    /// In Redis, and not in this process.
    pub is_in_redis: bool,
    /// How old they may be.
    pub age: Duration,
    /// Of how many points there are any.
    pub points_max: usize,
}

impl RecentSettings {
    /// None where they are off.
    ///
    /// # Errors
    /// Names the setting, what it wants and what it got.
    pub(super) fn resolve(
        place: Option<RecentPlace>,
        age: Option<Span>,
        points_max: Option<usize>,
        redis: Option<&RedisSettings>,
    ) -> Result<Option<Self>, ConfigError> {
        let (place, Span(age), points_max) = (taken(place), taken(age), taken(points_max));
        let refused = |key, expected, found| {
            Err(ConfigError::BadValue {
                key,
                expected,
                found,
            })
        };
        if !AGE.contains(&age) {
            return refused("recent_age", "1min to 1h", format!("{age:?}"));
        }
        if !(1..=POINTS_MAX).contains(&points_max) {
            let found = points_max.to_string();
            return refused("recent_points_max", "1 to 65536", found);
        }
        if place == RecentPlace::Redis && redis.is_none() {
            let expected = "memory or off, since redis_url is not set";
            return refused("recent_values", expected, "redis".into());
        }
        let settings = RecentSettings {
            is_in_redis: place == RecentPlace::Redis,
            age,
            points_max,
        };
        Ok((place != RecentPlace::Off).then_some(settings))
    }
}
