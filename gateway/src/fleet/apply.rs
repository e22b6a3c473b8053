//! What a plan changes that can be changed at once: sites, the library, titles, places and tags of controllers.
//! What they run and by which parameters is a roll-out's work.

use super::plan::{Change, Label};
use crate::{
    cli::SITES_MAX,
    digest::Digest,
    store::{ConfigStore, ControllerEdit, NewScript, StoreError},
};
use futures_util::{StreamExt as _, stream};
use std::{
    collections::BTreeMap,
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
