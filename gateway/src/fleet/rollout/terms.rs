//! What a roll-out is asked to do, and within which bounds.

use crate::digest::Digest;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Controllers of one roll-out: as many as one call of `enrol` makes.
pub const CONTROLLERS_MAX: usize = 100_000;
/// Canaries: more are a step of their own.
pub const CANARY_MAX: u32 = 100;
/// Steps in percent. Ten are one for each tenth.
pub const STEPS_MAX: usize = 10;
/// Controllers changed at the same time. Each takes a queue of the relay, and its own flash is slow.
pub const IN_FLIGHT_MAX: u32 = 64;
/// Sends begun in a minute.
pub const PER_MINUTE_MAX: u32 = 600;
/// The shortest watch over a controller: a scan or two are seen in it.
pub const SOAK_MS_MIN: u64 = 10_000;
/// The longest watch over one controller. Whoever wants more pauses between steps.
pub const SOAK_MS_MAX: u64 = 7 * 24 * 3_600_000;
/// How long absent controllers may be waited for: a month.
pub const DEADLINE_MS_MAX: u64 = 31 * 24 * 3_600_000;

/// What kind of thing is rolled out. It decides how a controller takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseKind {
    /// A script: runs on trial first, and then is kept.
    Script,
    /// Values of parameters: hold at once; there is no trial.
    Parameters,
    /// A firmware: the controller restarts into it and judges its trial itself.
    Firmware,
}

impl ReleaseKind {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Script, Self::Parameters, Self::Firmware];
}

/// What is rolled out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// How it is brought.
    pub kind: ReleaseKind,
    /// What it is known by. Of parameters it is that of their values, in an order of their own.
    pub digest: Digest,
}

/// How many may go wrong. Either bound that is given halts the roll-out once it is exceeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bound {
    /// So many controllers.
    pub count: Option<u32>,
    /// So many in a hundred of those that the release was sent to.
    pub percent: Option<u8>,
}

impl Bound {
    /// Not one.
    pub const NONE: Self = Self {
        count: Some(0),
        percent: None,
    };

    /// Whether so many of so many are too many.
    pub fn is_exceeded(self, bad: u32, of: u32) -> bool {
        let over_count = self.count.is_some_and(|most| bad > most);
        let over_percent = self
            .percent
            .is_some_and(|most| u64::from(bad) * 100 > u64::from(most) * u64::from(of));
        over_count || over_percent
    }
}

/// What halts a roll-out behind its canary. In the canary any of these does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Halts {
    /// Controllers with more faults in their soak than `faults_max`.
    pub faulty: Bound,
    /// Controllers whose link was lost and did not come back in time, and those that could not be
    /// reached again.
    pub lost: Bound,
    /// Trials that the controllers ended by themselves.
    pub failed_trials: Bound,
    /// Controllers that refused the release.
    pub refused: Bound,
}

impl Default for Halts {
    /// One in ten that is lost may be the network's doing; everything else is the release's.
    fn default() -> Self {
        Self {
            faulty: Bound::NONE,
            lost: Bound {
                count: None,
                percent: Some(10),
            },
            failed_trials: Bound::NONE,
            refused: Bound::NONE,
        }
    }
}

/// When a halt rolls back by itself, in place of waiting for a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RollBackOn {
    /// Never.
    Never,
    /// When it was the canary that halted it.
    #[default]
    Canary,
    /// Always.
    Always,
}

/// A roll-out's terms. They never change while it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// What is rolled out.
    pub release: Release,
    /// How many controllers come first. Those are the first of the list that are outdated and there.
    pub canary: u32,
    /// What part of the outdated controllers has had it at the end of each step, in percent, rising to
    /// 100.
    pub steps: Vec<u8>,
    /// How long a controller is watched after it runs the release, before it counts as kept.
    pub soak_ms: u64,
    /// How many faults a controller may show in its soak.
    pub faults_max: u32,
    /// Controllers that are looked at, sent to, kept or brought back at the same time.
    pub in_flight_max: u32,
    /// Sends begun within any minute. Bringing back is not paced: it is what is urgent.
    pub per_minute_max: u32,
    /// How long controllers that are absent are waited for, from the start on; and anew from the
    /// beginning of a roll-back.
    pub deadline_ms: u64,
    /// What halts it.
    pub halts: Halts,
    /// Whether a halt rolls back.
    pub roll_back_on: RollBackOn,
    /// Whether controllers are changed that have nothing to go back to: no script yet, or one that could
    /// not be read.
    pub without_previous: bool,
}

impl Terms {
    /// Careful ones, for a release.
    pub fn new(release: Release) -> Self {
        Self {
            release,
            canary: 1,
            steps: vec![10, 50, 100],
            soak_ms: 5 * 60_000,
            faults_max: 0,
            in_flight_max: 8,
            per_minute_max: 60,
            deadline_ms: 7 * 24 * 3_600_000,
            halts: Halts::default(),
            roll_back_on: RollBackOn::default(),
            without_previous: false,
        }
    }

    /// Whether they are within their bounds.
    pub fn check(&self) -> Result<(), TermsError> {
        let within = |what, value: u64, least: u64, most: u64| {
            let is_within = (least..=most).contains(&value);
            is_within.then_some(()).ok_or(TermsError::Bound {
                what,
                value,
                least,
                most,
            })
        };
        within("canary", self.canary.into(), 1, CANARY_MAX.into())?;
        within("soak_ms", self.soak_ms, SOAK_MS_MIN, SOAK_MS_MAX)?;
        within(
            "in_flight_max",
            self.in_flight_max.into(),
            1,
            IN_FLIGHT_MAX.into(),
        )?;
        within(
            "per_minute_max",
            self.per_minute_max.into(),
            1,
            PER_MINUTE_MAX.into(),
        )?;
        within(
            "deadline_ms",
            self.deadline_ms,
            self.soak_ms,
            DEADLINE_MS_MAX,
        )?;
        let rises = self.steps.windows(2).all(|pair| pair[0] < pair[1]);
        let ends = self.steps.last() == Some(&100);
        if !rises || !ends || self.steps[0] == 0 || self.steps.len() > STEPS_MAX {
            return Err(TermsError::Steps);
        }
        let Halts {
            faulty,
            lost,
            failed_trials,
            refused,
        } = self.halts;
        for bound in [faulty, lost, failed_trials, refused] {
            within("percent", bound.percent.unwrap_or(0).into(), 0, 100)?;
        }
        Ok(())
    }
}

/// What is wrong with a roll-out's terms or its list.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TermsError {
    /// A number is out of its bounds.
    #[error("expected {what} within {least} and {most}, got {value}")]
    Bound {
        /// Which.
        what: &'static str,
        /// What it is.
        value: u64,
        /// The least that it may be.
        least: u64,
        /// The most that it may be.
        most: u64,
    },
    /// The steps are none.
    #[error("expected 1 to {STEPS_MAX} steps in percent, each above the one before, the last 100")]
    Steps,
    /// The list is empty or too long.
    #[error("expected 1 to {CONTROLLERS_MAX} controllers, got {0}")]
    Controllers(usize),
    /// It is no controller's address, or stands in the list twice.
    #[error("expected each controller's address once, got {0}")]
    Address(u32),
}
