//! What a plan changes that can be changed at once: sites, the library, titles, places and tags of controllers.
//! What they run and by which parameters is a roll-out's work.

use super::{
    plan::{Change, Fleet, Label},
    values::Values,
};
use crate::{
    cli::SITES_MAX,
    digest::Digest,
    store::{ConfigStore, ControllerEdit, NewScript, StoreError},
};
use futures_util::{StreamExt as _, stream};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicBool, Ordering},
};
use switchyard_protocol::{
    Address, SiteId,
    message::{Time, Title},
};

/// Controllers that are changed at once; the store makes few transactions of them.
const AT_ONCE: usize = 64;

/// Scripts that controllers are to run: a roll-out each.
pub(crate) type Releases = BTreeMap<(Label, Digest), Vec<Address>>;

/// What a plan wants of roll-outs.
pub(crate) fn releases(changes: &[Change]) -> Releases {
    let mut releases = Releases::new();
    for change in changes {
        if let Change::Script {
            controller,
            script,
            to,
            ..
        } = change
        {
            let release = releases.entry((script.clone(), *to)).or_default();
            release.push(*controller);
        }
    }
    releases
}

/// Values of parameters that controllers are to have: a roll-out for each set of them, by what it is known by, with
/// where that goes.
pub(crate) type ValueReleases = BTreeMap<Digest, (Values, Vec<Address>)>;

/// What a plan wants of roll-outs of parameters, and of how many controllers that comes later: their script changes
/// first, and may not even have them yet. All that the files say of a controller goes together, so that what it was
/// last seen to have is all of that.
pub(crate) fn value_releases(desired: &Fleet, changes: &[Change]) -> (ValueReleases, usize) {
    let (mut wanted, mut scripts) = (BTreeSet::new(), BTreeSet::new());
    for change in changes {
        match change {
            Change::Parameter { controller, .. } => _ = wanted.insert(*controller),
            Change::Script { controller, .. } => _ = scripts.insert(*controller),
            _ => {}
        }
    }
    let mut releases = ValueReleases::new();
    for controller in wanted.difference(&scripts) {
        let Some(told) = desired.controllers.get(controller) else {
            continue;
        };
        let values = Values::new(told.parameters.iter().map(|(name, value)| {
            let (kind, value) = value.typed();
            (name.clone(), kind, value)
        }));
        let place = releases.entry(values.digest());
        place
            .or_insert_with(|| (values, Vec::new()))
            .1
            .push(*controller);
    }
    (releases, wanted.intersection(&scripts).count())
}

/// Makes sites and gives them their titles; the number of each.
///
/// # Errors
/// [`StoreError`]; what `done` was told has been done.
pub(crate) async fn apply_sites(
    store: &dyn ConfigStore,
    changes: &[Change],
    now: Time,
    done: &mut impl FnMut(&Change) -> std::io::Result<()>,
) -> anyhow::Result<BTreeMap<Label, SiteId>> {
    let mut made = BTreeMap::new();
    for change in changes.iter().filter(|change| change.is_applicable()) {
        if let Change::Site { site, to, .. } = change {
            let id = store.put_site(site.clone(), to.clone(), SITES_MAX, now);
            made.insert(site.clone(), id.await?);
            done(change)?;
        }
    }
    Ok(made)
}

/// Adds versions of scripts to the library. They have been compiled.
///
/// # Errors
/// As above.
pub(crate) async fn apply_library(
    store: &dyn ConfigStore,
    changes: &[Change],
    (by, note): (&Title, &str),
    now: Time,
    done: &mut impl FnMut(&Change) -> std::io::Result<()>,
) -> anyhow::Result<()> {
    for change in changes {
        if let Change::Library { script, to, .. } = change {
            let script = NewScript {
                label: script.clone(),
                source: to.clone(),
                by: by.clone(),
                note: note.to_owned(),
            };
            store.add_script(script, now).await?;
            done(change)?;
        }
    }
    Ok(())
}

/// Changes controllers: each as a whole or not at all.
///
/// # Errors
/// As above; also for one that was withdrawn meanwhile.
pub(crate) async fn apply_controllers(
    store: &dyn ConfigStore,
    changes: &[Change],
    sites: &BTreeMap<Label, SiteId>,
    done: &mut impl FnMut(&Change) -> std::io::Result<()>,
) -> anyhow::Result<()> {
    let mut edits: BTreeMap<Address, (ControllerEdit, Vec<&Change>)> = BTreeMap::new();
    for change in changes {
        let (controller, edit) = match change {
            Change::Title { controller, to, .. } => {
                let title = Some(to.clone());
                let edit = ControllerEdit {
                    title,
                    ..ControllerEdit::default()
                };
                (*controller, edit)
            }
            Change::Belongs { controller, to, .. } => {
                let site = sites.get(to).copied().ok_or_else(|| StoreError::Missing {
                    what: "site",
                    name: to.to_string(),
                })?;
                let edit = ControllerEdit {
                    site: Some(Some(site)),
                    ..ControllerEdit::default()
                };
                (*controller, edit)
            }
            Change::Tags { controller, to, .. } => {
                let tags = Some(to.iter().cloned().collect());
                let edit = ControllerEdit {
                    tags,
                    ..ControllerEdit::default()
                };
                (*controller, edit)
            }
            _ => continue,
        };
        let (whole, of) = edits.entry(controller).or_default();
        whole.title = edit.title.or(whole.title.take());
        whole.site = edit.site.or(whole.site.take());
        whole.tags = edit.tags.or(whole.tags.take());
        of.push(change);
    }
    // Many at once share a transaction; in their order, so that what is told is what was done. Behind a failure
    // nothing is begun any more, and what has been begun is seen to its end.
    let has_failed = AtomicBool::new(false);
    let mut edited = stream::iter(edits)
        .take_while(|_| std::future::ready(!has_failed.load(Ordering::Relaxed)))
        .map(|(controller, (edit, of))| async move {
            let is_there = store.edit_controller(controller, edit).await?;
            is_there.then_some(of).ok_or_else(|| StoreError::Missing {
                what: "controller",
                name: controller.to_string(),
            })
        })
        .buffered(AT_ONCE);
    let mut failed = None;
    while let Some(edited) = edited.next().await {
        match edited {
            Ok(of) => of.into_iter().try_for_each(&mut *done)?,
            Err(error) => {
                has_failed.store(true, Ordering::Relaxed);
                failed = failed.or(Some(error));
            }
        }
    }
    failed.map_or(Ok(()), |error| Err(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::plan::{self, Actual, ActualController, Running, Value};
    use switchyard_protocol::message::Name;

    #[test]
    fn equal_values_go_together_and_a_script_goes_first() {
        let text = "\
            [controllers.1]\nparameters = { most = 1, quiet = true }\n\
            [controllers.2]\nparameters = { quiet = true, most = 1 }\n\
            [controllers.3]\nparameters = { most = 2 }\n\
            [controllers.4]\nscript = \"tank\"\nparameters = { most = 1 }\n\
            [controllers.5]\nparameters = { most = 1 }\n";
        let tank: Label = "tank".parse().unwrap();
        let scripts = [(tank.clone(), "# A tank.\n".to_owned())];
        let desired = Fleet::parse(text, scripts.clone().into()).unwrap();
        let most = |value| [(Name::new("most").unwrap(), Value::Int(value))].into();
        let controllers = (1..=5).map(|number| {
            let found = ActualController {
                title: Title::new("it").unwrap(),
                site: None,
                tags: BTreeSet::new(),
                running: Running::Unknown,
                // The fifth is as it is to be; of the first a part is known.
                parameters: most(if number == 5 { 1 } else { 7 }),
            };
            (Address(number), found)
        });
        let actual = Actual {
            controllers: controllers.collect(),
            scripts: scripts.into(),
            ..Actual::default()
        };
        let (found, later) = value_releases(&desired, &plan::plan(&desired, &actual));
        let mut found: Vec<_> = found
            .into_values()
            .map(|(values, controllers)| (values.encode(), controllers))
            .collect();
        found.sort_by(|one, other| one.1.cmp(&other.1));
        let expected = [
            (
                "most int 1\nquiet bool 1\n".to_owned(),
                vec![Address(1), Address(2)],
            ),
            ("most int 2\n".to_owned(), vec![Address(3)]),
        ];
        assert_eq!((found, later), (expected.to_vec(), 1));
    }
}
