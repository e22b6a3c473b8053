//! What decides whom to tell: contacts, plans, and the channels with their limits, as they are known this moment.

use super::{
    model::{Channel, Medium, Severity},
    people::{Contact, ContactId},
    plan::Plan,
};
use std::collections::BTreeMap;
use switchyard_telephone::Number;

/// How many may be told by one channel, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChannelLimits {
    /// Attempts at the same time.
    pub(crate) at_once_max: usize,
    /// Attempts begun in an hour.
    pub(crate) per_hour_max: usize,
    /// Attempts begun in a day: what a fault may cost at most.
    pub(crate) per_day_max: usize,
    /// What numbers have to begin with; empty where any may be called.
    pub(crate) prefixes: Vec<String>,
}

/// A channel that is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChannelState {
    pub(crate) limits: ChannelLimits,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Desk {
    pub(crate) contacts: BTreeMap<ContactId, Contact>,
    /// By site; 0 is for all that have none of their own.
    pub(crate) plans: BTreeMap<u32, Plan>,
    pub(crate) channels: BTreeMap<Channel, ChannelState>,
}

/// Why nobody is told at a rung.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unreached {
    /// Nobody, or nothing, is there for it.
    Nobody(String),
    /// They are not to be woken before then.
    Quiet(u64),
    /// All lines are taken: later.
    Engaged,
}

/// Attempts begun lately: when, to whom, by what.
pub(crate) type Begun = [(u64, ContactId, Channel)];

/// Of each bound one part in so many is for alarms of high severity.
const RESERVED_PART: usize = 5;
const HOUR_MS: u64 = 60 * 60 * 1_000;

impl Desk {
    /// What a site has agreed on.
    pub(crate) fn plan_of(&self, site: Option<u32>) -> Option<&Plan> {
        let own = site.and_then(|site| self.plans.get(&site));
        own.or_else(|| self.plans.get(&0))
    }

    /// By which channel, and where, a contact is told by a medium, of something so severe or as a test. `taken` tells how
    /// many lines of a channel are, `begun` what was begun within a day, `failed` what is not to be tried.
    pub(crate) fn reach(
        &self,
        now_ms: u64,
        (contact, medium): (ContactId, Medium),
        (severity, is_test): (Severity, bool),
        (taken, begun, failed): (&dyn Fn(Channel) -> usize, &Begun, &[Channel]),
    ) -> Result<(Channel, String), Unreached> {
        let nobody = |reason: &str| Err(Unreached::Nobody(reason.into()));
        let Some(person) = self.contacts.get(&contact) else {
            return nobody("no such contact");
        };
        let Some(destination) = person.destination(medium) else {
            return nobody(&format!(
                "{} has no address for {}",
                person.name,
                medium.name()
            ));
        };
        let is_grave = severity == Severity::High && !is_test;
        // Whoever asks to be told is not asleep.
        let wakes = if is_test { Severity::High } else { severity };
        if let Some(until_ms) = person.quiet_until(now_ms, medium, wakes) {
            return Err(Unreached::Quiet(until_ms));
        }
        if medium == Medium::Call {
            let lately = begun.iter().filter(|(at_ms, to, channel)| {
                at_ms + HOUR_MS > now_ms && *to == contact && channel.medium() == Medium::Call
            });
            let max = usize::from(person.calls_per_hour_max);
            if lately.count() >= bound(max, is_grave) {
                return nobody(&format!(
                    "{} was called often enough this hour",
                    person.name
                ));
            }
        }
        let mut reason = format!("no way of telling by {} is set up", medium.name());
        let mut is_engaged = false;
        for &channel in medium.channels() {
            let Some(state) = self.channels.get(&channel) else {
                continue;
            };
            if failed.contains(&channel) {
                reason = format!("{} has just failed", channel.name());
                continue;
            }
            match state
                .limits
                .allow(now_ms, (channel, destination), begun, is_grave)
            {
                Err(why) => reason = why,
                Ok(()) if taken(channel) >= state.limits.at_once_max => is_engaged = true,
                Ok(()) => return Ok((channel, destination.to_owned())),
            }
        }
        match is_engaged {
            true => Err(Unreached::Engaged),
            false => Err(Unreached::Nobody(reason)),
        }
    }
}

/// Tests, and what is not grave, leave room for what is.
const fn bound(max: usize, is_grave: bool) -> usize {
    match is_grave {
        true => max,
        false => max - max / RESERVED_PART,
    }
}

impl ChannelLimits {
    fn allow(
        &self,
        now_ms: u64,
        (channel, destination): (Channel, &str),
        begun: &Begun,
        is_grave: bool,
    ) -> Result<(), String> {
        if matches!(channel.medium(), Medium::Call | Medium::Sms) {
            let number: Number = match destination.parse() {
                Ok(number) => number,
                Err(error) => return Err(format!("the number cannot be dialled: {error}")),
            };
            let is_allowed = |prefix: &String| number.as_str().starts_with(prefix.as_str());
            if !self.prefixes.is_empty() && !self.prefixes.iter().any(is_allowed) {
                return Err("the number begins with no prefix that is allowed".into());
            }
        }
        let within = |span_ms: u64| {
            let of_channel = begun
                .iter()
                .filter(|(at_ms, _, by)| *by == channel && at_ms.saturating_add(span_ms) > now_ms);
            of_channel.count()
        };
        if within(HOUR_MS) >= bound(self.per_hour_max, is_grave) {
            return Err(format!(
                "{} was used often enough this hour",
                channel.name()
            ));
        }
        if within(24 * HOUR_MS) >= bound(self.per_day_max, is_grave) {
            return Err(format!("{} was used often enough today", channel.name()));
        }
        Ok(())
    }
}
