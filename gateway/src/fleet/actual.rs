//! What the store knows a fleet to be, as a plan compares it with the files, and as files.

use super::{
    plan::{Actual, ActualController, Controller, Fleet, Label, Running, Value},
    rollout::ReleaseKind,
    values::{KeptValues, Values},
};
use crate::{
    digest::Digest,
    store::{ConfigStore, Seen, Site, StoreError},
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use switchyard_protocol::{
    Address, SiteId,
    message::{Name, Time},
};

/// Rows that are read from the store at once.
const PER_PAGE: u32 = 1_000;
/// Scripts that are read at once: each comes with its source.
const SCRIPTS_PER_PAGE: u32 = 200;

/// What a site is called in files.
pub(crate) fn label_of(site: &Site) -> Label {
    let label = site.label.clone();
    label.unwrap_or_else(|| Label::of_site(site.id))
}

/// All of it.
///
/// # Errors
/// [`StoreError`].
pub(crate) async fn read(store: &dyn ConfigStore) -> Result<Known, StoreError> {
    let sites = store.sites().await?;
    let labels: HashMap<SiteId, Label> = sites.iter().map(|it| (it.id, label_of(it))).collect();
    let running = seen(store, ReleaseKind::Script).await?;
    let values = seen(store, ReleaseKind::Parameters).await?;
    let mut kept = KeptValues::default();
    let mut known = Known {
        actual: Actual {
            sites: sites
                .into_iter()
                .map(|site| (labels[&site.id].clone(), site.name))
                .collect(),
            scripts: scripts(store).await?,
            controllers: BTreeMap::new(),
        },
        site_numbers: labels
            .iter()
            .map(|(id, label)| (label.clone(), *id))
            .collect(),
        oldest: None,
    };
    let mut after = Address::GATEWAY;
    loop {
        let page = store.controllers(after, PER_PAGE).await?;
        let Some((last, _)) = page.last() else {
            return Ok(known);
        };
        after = last.address;
        for (entry, _) in page {
            let (script, values) = (running.get(&entry.address), values.get(&entry.address));
            for seen in [script, values].into_iter().flatten() {
                known.oldest = Some(known.oldest.unwrap_or(seen.at).min(seen.at));
            }
            let running = match script.map(|seen| seen.running) {
                None => Running::Unknown,
                Some(None) => Running::Nothing,
                Some(Some(digest)) => Running::Script(digest),
            };
            let parameters = match values.and_then(|seen| seen.running) {
                Some(digest) => kept.find(store, digest).await?.map(in_files),
                None => None,
            };
            let controller = ActualController {
                title: entry.title,
                site: entry.site.and_then(|site| labels.get(&site).cloned()),
                tags: entry.tags.into_iter().collect(),
                running,
                parameters: parameters.unwrap_or_default(),
            };
            known.actual.controllers.insert(entry.address, controller);
        }
    }
}

/// What the store knows of a fleet.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) actual: Actual,
    /// The sites' numbers.
    pub(crate) site_numbers: BTreeMap<Label, SiteId>,
    /// When the controller said so of which that is longest ago, if any has said what it runs.
    pub(crate) oldest: Option<Time>,
}

/// Values as files have them.
fn in_files(values: &Values) -> BTreeMap<Name, Value> {
    let values = values.iter();
    values
        .filter_map(|(name, kind, value)| Some((name.clone(), Value::of_typed(kind, value)?)))
        .collect()
}

async fn seen(
    store: &dyn ConfigStore,
    kind: ReleaseKind,
) -> Result<HashMap<Address, Seen>, StoreError> {
    let (mut all, mut after) = (HashMap::new(), Address::GATEWAY);
    loop {
        let page = store.seen(kind, after, PER_PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(all);
        };
        after = last.controller;
        all.extend(page.iter().map(|seen| (seen.controller, *seen)));
    }
}

/// The newest version of each script.
async fn scripts(store: &dyn ConfigStore) -> Result<BTreeMap<Label, String>, StoreError> {
    let (mut all, mut after) = (BTreeMap::new(), None);
    loop {
        let page = store.scripts(after, SCRIPTS_PER_PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(all);
        };
        after = Some(last.label.clone());
        for version in page {
            // Gone since, if it is not there.
            if let Some((_, source)) = store.script(version.label.clone(), None).await? {
                all.insert(version.label, source);
            }
        }
    }
}

impl Known {
    /// As files; beside them the controllers of which the files cannot say what they run, since that is no newest
    /// version of the library's, with the digest.
    pub(crate) fn to_fleet(&self) -> (Fleet, Vec<(Address, Digest)>) {
        let newest: HashMap<Digest, &Label> = self
            .actual
            .scripts
            .iter()
            // Of several that are the same the first counts.
            .rev()
            .map(|(label, source)| (Digest::of(source.as_bytes()), label))
            .collect();
        let mut elsewhere = Vec::new();
        let mut controllers = BTreeMap::new();
        for (address, actual) in &self.actual.controllers {
            let script = match actual.running {
                Running::Script(digest) => {
                    let label = newest.get(&digest);
                    if label.is_none() {
                        elsewhere.push((*address, digest));
                    }
                    label.map(|label| (*label).clone())
                }
                Running::Unknown | Running::Nothing => None,
            };
            let controller = Controller {
                title: Some(actual.title.clone()),
                site: actual.site.clone(),
                tags: Some(actual.tags.clone()).filter(|tags: &BTreeSet<_>| !tags.is_empty()),
                script,
                parameters: actual.parameters.clone(),
            };
            controllers.insert(*address, controller);
        }
        let fleet = Fleet {
            sites: self.actual.sites.clone(),
            scripts: self.actual.scripts.clone(),
            controllers,
        };
        (fleet, elsewhere)
    }
}
