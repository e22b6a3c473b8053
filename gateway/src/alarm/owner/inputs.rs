//! What raises alarms, and what people want of them, from the store and from rules.

use super::Owner;
use crate::{
    alarm::{
        book::Raising,
        model::{Deed, How, Severity, Source, Who},
        rule::Condition,
        watching::Found,
    },
    store::{AlarmWish, ScriptAlarm, StoreError, WishedAlarms},
    telemetry::count,
};
use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
};
use switchyard_protocol::Address;

/// So many looks in a row that fail, and no sign of life is given to anybody outside.
pub(super) const LOOKS_FAILED_MIN: u32 = 10;
/// Taken from the store at once.
const TAKEN_AT_ONCE: u32 = 256;
/// The same while some of it has to wait for room: what is grave has room behind what is not.
const TAKEN_WHILE_BLOCKED: u32 = 16 * TAKEN_AT_ONCE;

impl Owner<'_> {
    /// Looks what the store has that was not taken yet. What fails is looked for again a second later.
    pub(super) async fn look(&mut self) {
        let tenure = self.tenure.clone();
        let looked = tenure.within(self.try_look()).await;
        let Some(Err(error)) = looked else {
            self.looks_failed = 0;
            return;
        };
        count(&self.context.telemetry.store_failures);
        count(&self.context.telemetry.alarms.store_failures);
        self.looks_failed = self.looks_failed.saturating_add(1);
        let error = &error as &dyn std::error::Error;
        if self.looks_failed == LOOKS_FAILED_MIN {
            tracing::error!(
                error,
                "the store does not tell what scripts and people say of alarms"
            );
        } else {
            tracing::debug!(error, "the store does not tell of alarms");
        }
    }

    async fn try_look(&mut self) -> Result<(), StoreError> {
        let store = Arc::clone(&self.context.store);
        let pulse = store.alarm_pulse().await?;
        let controllers_at = store.controller_revision().await?;
        if controllers_at != self.controllers_at {
            self.read_changes().await?;
        }
        if pulse.settings != self.pulse.settings {
            self.read_settings().await?;
            self.pulse.settings = pulse.settings;
        }
        // What waits from before this owner came is read in any case.
        let at_once = match self.is_blocked {
            true => TAKEN_WHILE_BLOCKED,
            false => TAKEN_AT_ONCE,
        };
        let said = store.script_alarms(at_once).await?;
        let is_more = said.len() == at_once as usize;
        // Of each alarm what is said later waits behind what is said before.
        let mut waiting = BTreeSet::new();
        let mut full_below = 0;
        for (place, said) in said {
            let source = (said.controller, said.alarm);
            let has_room = !said.is_raised || said.level >= full_below;
            if has_room && !waiting.contains(&source) {
                if self.said(&said).await? {
                    self.script_alarms_taken.push(place);
                    continue;
                }
                full_below = said.level.saturating_add(1);
            }
            waiting.insert(source);
        }
        self.is_blocked = !waiting.is_empty();
        for (place, wished) in store.alarm_wishes(TAKEN_AT_ONCE).await? {
            self.wished(&wished);
            self.wishes_until = Some(place);
        }
        self.look_at_rollouts().await?;
        if is_more && !self.is_blocked {
            self.context.bell.ring();
        }
        Ok(())
    }

    /// A script has said something of an alarm. Whether there was room for it.
    async fn said(&mut self, said: &ScriptAlarm) -> Result<bool, StoreError> {
        let source = Source::Script {
            controller: said.controller,
            alarm: said.alarm,
        };
        let now_ms = self.now_ms();
        if !said.is_raised {
            self.book.over(now_ms, &source);
            return Ok(true);
        }
        if !self.homes.contains_key(&said.controller) {
            // It was enrolled a moment ago.
            let store = Arc::clone(&self.context.store);
            if let Some((entry, _)) = store.controller(Address(said.controller)).await? {
                self.homes
                    .insert(said.controller, super::settings::home(&entry));
            }
        }
        let home = self.homes.get(&said.controller);
        let title = home.map_or_else(|| format!("No. {}", said.controller), |it| it.title.clone());
        let raising = Raising {
            source,
            severity: match said.level {
                0 => Severity::Low,
                1 => Severity::Medium,
                _ => Severity::High,
            },
            text: said.text.clone(),
            controller: Some((said.controller, title)),
            site: home.and_then(|it| it.site),
            value: None,
            is_silence: false,
        };
        Ok(self.raise(raising))
    }

    /// Whether there was room for it.
    pub(super) fn raise(&mut self, raising: Raising) -> bool {
        match self.book.raise(self.now_ms(), raising) {
            Ok(_) => true,
            Err(error) => {
                count(&self.context.telemetry.alarms.refused);
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "an alarm was not raised"
                );
                false
            }
        }
    }

    /// Takes what rules have found.
    pub(super) fn take_found(&mut self) {
        let moment_ms = self.eye.now_ms();
        let (found, missed) = {
            let mut watching = self.eye.lock();
            watching.tick(moment_ms);
            (watching.take_found(), std::mem::take(&mut watching.missed))
        };
        if missed > 0 {
            let counter = &self.context.telemetry.alarms.found_missed;
            counter.fetch_add(missed, Ordering::Relaxed);
            tracing::error!(missed, "what rules found was lost for want of room");
        }
        let mut silent_sites = BTreeSet::new();
        for found in found {
            self.found(found, &mut silent_sites);
        }
        for site in silent_sites {
            self.regroup(site);
        }
    }

    fn found(&mut self, found: Found, silent_sites: &mut BTreeSet<u32>) {
        let Some(rule) = self.rules.get(&found.rule) else {
            return;
        };
        let home = self.homes.get(&found.controller);
        let site = home.and_then(|it| it.site);
        let is_silence = rule.condition == Condition::Silent;
        if is_silence {
            silent_sites.extend(site);
        }
        let source = Source::Rule {
            rule: found.rule,
            controller: found.controller,
        };
        if !found.is_raised {
            return self.book.over(self.now_ms(), &source);
        }
        let title = home.map_or_else(
            || format!("No. {}", found.controller),
            |it| it.title.clone(),
        );
        let raising = Raising {
            source,
            severity: rule.severity,
            text: rule.text.clone(),
            controller: Some((found.controller, title)),
            site,
            value: found.value,
            is_silence,
        };
        if !self.raise(raising) {
            let moment_ms = self.eye.now_ms();
            let mut watching = self.eye.lock();
            watching.not_raised(moment_ms, found.rule, found.controller);
        }
    }

    /// Somebody wants something.
    fn wished(&mut self, wished: &WishedAlarms) {
        let now_ms = self.now_ms();
        let by = Deed {
            who: Who::Account(wished.account.clone()),
            how: How::Api,
            at_ms: wished.at_ms,
        };
        let alarms = match &wished.wish {
            AlarmWish::Acknowledge { alarms } => {
                self.book.acknowledge(now_ms, alarms, &by);
                alarms
            }
            AlarmWish::Shelve { alarms, until_ms } => {
                self.book.shelve(now_ms, alarms, *until_ms, &by);
                alarms
            }
            AlarmWish::Unshelve { alarms } => {
                self.book.unshelve(now_ms, alarms, &by);
                alarms
            }
            AlarmWish::Comment { alarms } => alarms,
            AlarmWish::Test { contact, medium } => {
                let raising = Raising {
                    source: Source::Test {
                        contact: *contact,
                        medium: *medium,
                    },
                    severity: Severity::Low,
                    text: "test".into(),
                    controller: None,
                    site: None,
                    value: None,
                    is_silence: false,
                };
                self.raise(raising);
                return;
            }
        };
        if let Some(comment) = &wished.comment {
            self.book.comment(now_ms, alarms, comment, &by);
        }
    }

    /// A roll-out that has halted wants a person.
    async fn look_at_rollouts(&mut self) -> Result<(), StoreError> {
        use crate::fleet::rollout::Phase;
        let store = Arc::clone(&self.context.store);
        let now_ms = self.now_ms();
        let open = store.rollouts(true, None, TAKEN_AT_ONCE).await?;
        let halted: BTreeSet<_> = open
            .iter()
            .filter(|it| it.head.phase() == Phase::Halted)
            .map(|it| it.id.0)
            .collect();
        let standing: Vec<_> = self
            .book
            .alarms()
            .filter(|it| it.is_standing)
            .filter_map(|it| match it.source {
                Source::Rollout { rollout } => Some(rollout),
                _ => None,
            })
            .collect();
        for rollout in standing.iter().filter(|it| !halted.contains(it)) {
            self.book
                .over(now_ms, &Source::Rollout { rollout: *rollout });
        }
        for stored in open
            .iter()
            .filter(|it| it.head.phase() == Phase::Halted && !standing.contains(&it.id.0))
        {
            let sites = store.rollout_sites(stored.id).await?;
            // Where it is at one site only, it is that one's people who are told.
            let site = match &sites[..] {
                [Some(site)] => Some(site.0),
                _ => None,
            };
            self.raise(Raising {
                source: Source::Rollout {
                    rollout: stored.id.0,
                },
                severity: Severity::Medium,
                text: format!("roll-out {} has halted", stored.about.title.as_str()),
                controller: None,
                site,
                value: None,
                is_silence: false,
            });
        }
        Ok(())
    }
}
