//! A roll-out's terms as JSON has them: what is left out is as usual.

use crate::fleet::rollout::{Bound, Halts, Release, RollBackOn, STEPS_MAX, Terms};
use serde::{Deserialize, Serialize};
use utoipa::{
    ToSchema,
    openapi::schema::{Array, ArrayBuilder, ObjectBuilder, Type},
};

/// When a halt rolls back by itself.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = RollBackOn)]
pub(super) enum RollBackName {
    /// Never.
    Never,
    /// When it was the canary that halted it.
    Canary,
    /// Always.
    Always,
}

/// How many may go wrong before it halts; without both, any number.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Bound)]
pub(super) struct BoundView {
    /// So many controllers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0, maximum = 4_294_967_295u32)]
    count: Option<u32>,
    /// So many in a hundred of those that it was sent to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0, maximum = 100)]
    percent: Option<u8>,
}

impl From<BoundView> for Bound {
    fn from(it: BoundView) -> Self {
        Bound {
            count: it.count,
            percent: it.percent,
        }
    }
}

impl From<Bound> for BoundView {
    fn from(it: Bound) -> Self {
        BoundView {
            count: it.count,
            percent: it.percent,
        }
    }
}

/// What halts a roll-out behind its canary; in the canary any of these does. What is left out is as usual.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = Halts)]
pub(super) struct HaltsView {
    /// Controllers with more faults than `faults_max`; none unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    faulty: Option<BoundView>,
    /// Controllers whose link was lost and did not come back in time; 10 percent unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    lost: Option<BoundView>,
    /// Trials that controllers ended by themselves; none unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    failed_trials: Option<BoundView>,
    /// Controllers that refused it; none unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    refused: Option<BoundView>,
}

/// A roll-out's terms, which never change. What is left out is as usual.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = Terms)]
pub(super) struct TermsView {
    /// How many controllers come first; 1 unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1, maximum = 100)]
    canary: Option<u32>,
    /// What part of the outdated ones has had it at the end of each step, in percent, rising to 100; 10, 50
    /// and 100 unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = steps, required = false)]
    steps: Option<Vec<u8>>,
    /// How long a controller is watched before it counts as kept; five minutes unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 10_000, maximum = 604_800_000u64)]
    soak_ms: Option<u64>,
    /// How many faults a controller may show in that time; none unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0, maximum = 4_294_967_295u32)]
    faults_max: Option<u32>,
    /// How many are changed at the same time; 8 unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1, maximum = 64)]
    in_flight_max: Option<u32>,
    /// How many sends begin in a minute; 60 unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1, maximum = 600)]
    per_minute_max: Option<u32>,
    /// How long absent controllers are waited for, no shorter than `soak_ms`; a week unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 10_000, maximum = 2_678_400_000u64)]
    deadline_ms: Option<u64>,
    /// What halts it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    halts: Option<HaltsView>,
    /// Whether a halt rolls back by itself; in the canary unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    roll_back_on: Option<RollBackName>,
    /// Whether controllers are changed that have nothing to go back to; not unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    without_previous: Option<bool>,
}

/// What the macros cannot say: how large the items of a list are.
fn steps() -> Array {
    let percent = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(1))
        .maximum(Some(100));
    let description = "What part of the outdated ones has had it at the end of each step, in percent, rising to \
                       100; 10, 50 and 100 unless given.";
    ArrayBuilder::new()
        .items(percent)
        .min_items(Some(1))
        .max_items(Some(STEPS_MAX))
        .description(Some(description))
        .build()
}

impl TermsView {
    /// The same with all that was left out.
    pub(super) fn terms(self, release: Release) -> Terms {
        let usual = Terms::new(release);
        let halts = self.halts.unwrap_or_default();
        let bound = |given: Option<BoundView>, usual| given.map_or(usual, Bound::from);
        Terms {
            release,
            canary: self.canary.unwrap_or(usual.canary),
            steps: self.steps.unwrap_or(usual.steps),
            soak_ms: self.soak_ms.unwrap_or(usual.soak_ms),
            faults_max: self.faults_max.unwrap_or(usual.faults_max),
            in_flight_max: self.in_flight_max.unwrap_or(usual.in_flight_max),
            per_minute_max: self.per_minute_max.unwrap_or(usual.per_minute_max),
            deadline_ms: self.deadline_ms.unwrap_or(usual.deadline_ms),
            halts: Halts {
                faulty: bound(halts.faulty, usual.halts.faulty),
                lost: bound(halts.lost, usual.halts.lost),
                failed_trials: bound(halts.failed_trials, usual.halts.failed_trials),
                refused: bound(halts.refused, usual.halts.refused),
            },
            roll_back_on: match self.roll_back_on {
                None => usual.roll_back_on,
                Some(RollBackName::Never) => RollBackOn::Never,
                Some(RollBackName::Canary) => RollBackOn::Canary,
                Some(RollBackName::Always) => RollBackOn::Always,
            },
            without_previous: self.without_previous.unwrap_or(usual.without_previous),
        }
    }
}

impl From<&Terms> for TermsView {
    fn from(it: &Terms) -> Self {
        TermsView {
            canary: Some(it.canary),
            steps: Some(it.steps.clone()),
            soak_ms: Some(it.soak_ms),
            faults_max: Some(it.faults_max),
            in_flight_max: Some(it.in_flight_max),
            per_minute_max: Some(it.per_minute_max),
            deadline_ms: Some(it.deadline_ms),
            halts: Some(HaltsView {
                faulty: Some(it.halts.faulty.into()),
                lost: Some(it.halts.lost.into()),
                failed_trials: Some(it.halts.failed_trials.into()),
                refused: Some(it.halts.refused.into()),
            }),
            roll_back_on: Some(match it.roll_back_on {
                RollBackOn::Never => RollBackName::Never,
                RollBackOn::Canary => RollBackName::Canary,
                RollBackOn::Always => RollBackName::Always,
            }),
            without_previous: Some(it.without_previous),
        }
    }
}
