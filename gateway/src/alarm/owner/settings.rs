//! Contacts, plans, rules, sites, and where controllers belong, as the store has them.

use super::{Owner, PAGE};
use crate::{
    alarm::{
        model::Source,
        watching::{Home, is_about},
    },
    store::{ControllerEntry, StoreError},
};
use std::{collections::BTreeSet, sync::Arc};
use switchyard_protocol::Address;

/// Changes of controllers read at once.
const CHANGES_PER_PAGE: u32 = 1_000;

impl Owner<'_> {
    /// Reads where every controller belongs.
    pub(super) async fn read_homes(&mut self) -> Result<(), StoreError> {
        let store = Arc::clone(&self.context.store);
        let mut after = Address::GATEWAY;
        loop {
            let page = store.controllers(after, PAGE).await?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after = last.address;
            let homes = page.iter().map(|(entry, _)| (entry.address.0, home(entry)));
            self.homes.extend(homes);
        }
    }

    /// Reads what people have set, and looks again at all that it concerns.
    pub(super) async fn read_settings(&mut self) -> Result<(), StoreError> {
        let store = Arc::clone(&self.context.store);
        let contacts = store.contacts().await?;
        let plans = store.alarm_plans().await?;
        let rules = store.alarm_rules().await?;
        let sites = store.sites().await?;
        self.pins = contacts
            .iter()
            .filter_map(|it| Some((it.id, it.pin.clone()?)))
            .collect();
        let desk = &mut self.book.desk;
        desk.contacts = contacts.into_iter().map(|it| (it.id, it.contact)).collect();
        desk.plans = plans.into_iter().map(|it| (it.site, it.plan)).collect();
        self.rules = rules.into_iter().map(|it| (it.id, it.rule)).collect();
        self.sites = sites
            .into_iter()
            .map(|it| (it.id.0, it.name.as_str().to_owned()))
            .collect();
        let now_ms = self.now_ms();
        self.book.look_again(now_ms);
        self.apply_rules();
        Ok(())
    }

    /// Reads which controllers have changed; whether any has.
    pub(super) async fn read_changes(&mut self) -> Result<bool, StoreError> {
        let store = Arc::clone(&self.context.store);
        let mut has_changed = false;
        loop {
            let changes = store
                .controller_changes(self.controllers_at, CHANGES_PER_PAGE)
                .await?;
            let is_last = changes.len() < CHANGES_PER_PAGE as usize;
            for change in changes {
                has_changed = true;
                self.controllers_at = change.revision;
                match change.now {
                    Some((entry, _)) => {
                        self.homes.insert(entry.address.0, home(&entry));
                    }
                    None => {
                        self.homes.remove(&change.address.0);
                        self.withdrawn(change.address.0);
                    }
                }
            }
            if is_last {
                break;
            }
        }
        if has_changed {
            let store = Arc::clone(&self.context.store);
            let sites = store.sites().await?;
            self.sites = sites
                .into_iter()
                .map(|it| (it.id.0, it.name.as_str().to_owned()))
                .collect();
            self.apply_rules();
        }
        Ok(has_changed)
    }

    /// A controller that is no more has no alarms.
    fn withdrawn(&mut self, controller: u32) {
        let now_ms = self.now_ms();
        let its: Vec<_> = self
            .book
            .alarms()
            .filter(|it| it.is_standing && it.controller == Some(controller))
            .map(|it| it.source.clone())
            .collect();
        for source in its {
            self.book.over(now_ms, &source);
        }
    }

    /// Hands the rules to their judges. What stands by a rule that is not about it any more is over.
    fn apply_rules(&mut self) {
        let now_ms = self.now_ms();
        let mut standing = BTreeSet::new();
        let mut over = Vec::new();
        for alarm in self.book.alarms().filter(|it| it.is_standing) {
            let Source::Rule { rule, controller } = alarm.source else {
                continue;
            };
            let home = self.homes.get(&controller);
            let is_his = self.rules.get(&rule).is_some_and(|it| {
                it.is_enabled && home.is_some() && is_about(it, controller, home)
            });
            match is_his {
                true => {
                    standing.insert((rule, controller));
                }
                false => over.push(alarm.source.clone()),
            }
        }
        for source in over {
            self.book.over(now_ms, &source);
        }
        self.end_what_nothing_ends(now_ms);
        let (rules, homes) = (self.rules.clone(), self.homes.clone());
        let moment_ms = self.eye.now_ms();
        self.eye.lock().set(moment_ms, rules, homes, standing);
        self.watch_if_needed();
    }
}

impl Owner<'_> {
    /// Alarms of what is not there any more are over: nothing else would tell.
    fn end_what_nothing_ends(&mut self, now_ms: u64) {
        let mut over = Vec::new();
        let mut sites = BTreeSet::new();
        for alarm in self.book.alarms().filter(|it| it.is_standing) {
            let is_gone = match &alarm.source {
                Source::Script { controller, .. } => !self.homes.contains_key(controller),
                Source::Channel { channel } => !self.context.tellers.0.contains_key(channel),
                Source::Test { contact, .. } | Source::TestUnanswered { contact } => {
                    !self.book.desk.contacts.contains_key(contact)
                }
                Source::SiteSilent { site } => {
                    sites.insert(*site);
                    false
                }
                _ => false,
            };
            if is_gone {
                over.push(alarm.source.clone());
            }
        }
        for source in over {
            self.book.over(now_ms, &source);
        }
        for site in sites {
            self.regroup(site);
        }
    }

    /// Makes one alarm of the silent controllers of a site, or many of one.
    pub(super) fn regroup(&mut self, site: u32) {
        let at_site = |it: &&Home| it.site == Some(site);
        let of = self.homes.values().filter(at_site).count();
        let name = self.sites.get(&site).cloned().unwrap_or_default();
        self.book.regroup(self.now_ms(), site, &name, of);
    }
}

pub(super) fn home(entry: &ControllerEntry) -> Home {
    Home {
        title: entry.title.as_str().to_owned(),
        site: entry.site.map(|it| it.0),
        tags: entry.tags.iter().map(|it| it.as_str().to_owned()).collect(),
    }
}
