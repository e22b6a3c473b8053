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

/// Taken from the store at once.
const TAKEN_AT_ONCE: u32 = 256;

impl Owner<'_> {
    /// Looks what the store has that was not taken yet. What fails is looked for again a second later.
    pub(super) async fn look(&mut self) {
        let tenure = self.tenure.clone();
        let looked = tenure.within(self.try_look()).await;
        if let Some(Err(error)) = looked {
            count(&self.context.telemetry.store_failures);
            count(&self.context.telemetry.alarms.store_failures);
            let error = &error as &dyn std::error::Error;
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
        let said = store.script_alarms(TAKEN_AT_ONCE).await?;
        let is_more = said.len() == TAKEN_AT_ONCE as usize;
        let mut is_blocked = false;
        for (place, said) in said {
            // What is over makes room, and may be said again later without harm.
            if is_blocked && said.is_raised {
                continue;
            }
            is_blocked |= !self.said(&said).await?;
            if !is_blocked {
                self.script_alarms_until = Some(place);
            }
        }
        for (place, wished) in store.alarm_wishes(TAKEN_AT_ONCE).await? {
            self.wished(&wished);
            self.wishes_until = Some(place);
        }
        self.look_at_rollouts().await?;
        if is_more && !is_blocked {
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
