//! The fleet as files: what controllers are called, where they belong, which script they run and by
//! which parameters, as a TOML file with scripts beside it, for keeping in git. Pure: texts in, a plan
//! and its report out.
//!
//! ```toml
//! [sites.river]
//! title = "Pumping stations at the river"
//!
//! [controllers.100042]
//! title = "Pump house"
//! site = "river"
//! tags = ["pumps", "new-boards"]
//! script = "tank"                       # scripts/tank.script
//! parameters = { most = 80.5, stay = "1m30s", tries = 3, quiet = true }
//! ```
//!
//! What a file does not say it does not manage: a controller, a site, a field or a parameter that is not
//! in it stays as it is, and nothing is ever removed. A site that was given no name for files is `site-N`, N its
//! number; no other site is called so. There is no place in it for keys or passwords. A
//! parameter's type shows in how it is written: `true`, `3`, `80.5` (a `num`, to the thousandth),
//! `"1m30s"` (a `time`).

mod files;
#[cfg(test)]
mod tests;
mod value;

pub use files::FilesError;
pub use value::{Label, Value};

use crate::digest::Digest;
use similar::TextDiff;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};
use switchyard_protocol::{
    Address,
    message::{Name, Title},
};

/// A fleet of 100,000 controllers with five parameters each takes 20 MB.
pub const FILE_BYTES_MAX: usize = 32 << 20;
/// As many as a roll-out takes.
pub const CONTROLLERS_MAX: usize = super::rollout::CONTROLLERS_MAX;
/// Sites and scripts, each: more than anybody keeps in one head, or one folder.
pub const GROUPS_MAX: usize = 10_000;
/// Tags of one controller: they are for finding it, not for describing it.
pub const TAGS_MAX: usize = 32;
/// Parameters of one controller, as the protocol's `parameters` has them.
pub const PARAMETERS_MAX: usize = 128;

/// Lines around a change of a script that a report shows.
const CONTEXT_LINES: usize = 3;

/// What a fleet is to be. What is absent is not managed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fleet {
    /// The sites' titles.
    pub sites: BTreeMap<Label, Title>,
    /// The scripts' sources.
    pub scripts: BTreeMap<Label, String>,
    /// The controllers.
    pub controllers: BTreeMap<Address, Controller>,
}

/// What a controller is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Controller {
    /// What people call it.
    pub title: Option<Title>,
    /// Where it belongs.
    pub site: Option<Label>,
    /// What it is found by.
    pub tags: Option<BTreeSet<Title>>,
    /// What it runs.
    pub script: Option<Label>,
    /// By which values.
    pub parameters: BTreeMap<Name, Value>,
}

/// What a fleet is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actual {
    /// The sites' titles.
    pub sites: BTreeMap<Label, Title>,
    /// The newest version of each script of the library.
    pub scripts: BTreeMap<Label, String>,
    /// The controllers that are enrolled.
    pub controllers: BTreeMap<Address, ActualController>,
}

/// What a controller is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActualController {
    /// What people call it.
    pub title: Title,
    /// Where it belongs.
    pub site: Option<Label>,
    /// What it is found by.
    pub tags: BTreeSet<Title>,
    /// What it runs, as far as is known.
    pub running: Running,
    /// Its parameters, as far as they are known.
    pub parameters: BTreeMap<Name, Value>,
}

/// What a controller runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Running {
    /// It has not said so.
    #[default]
    Unknown,
    /// No script.
    Nothing,
    /// This one.
    Script(Digest),
}

/// One difference between what a fleet is and what it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A site is made, or gets another title.
    Site {
        /// Which.
        site: Label,
        /// Its title, if it is there.
        from: Option<Title>,
        /// What it is to be.
        to: Title,
    },
    /// The library gets a script, or another version of one.
    Library {
        /// Which.
        script: Label,
        /// Its newest version, if there is one.
        from: Option<String>,
        /// What it is to be.
        to: String,
    },
    /// Cannot be applied: addresses are given by the gateway, when a controller is enrolled.
    NotEnrolled {
        /// Which.
        controller: Address,
    },
    /// A controller gets another title.
    Title {
        /// Which.
        controller: Address,
        /// Its title.
        from: Title,
        /// What it is to be.
        to: Title,
    },
    /// A controller belongs elsewhere.
    Belongs {
        /// Which.
        controller: Address,
        /// Where it belongs.
        from: Option<Label>,
        /// Where it is to belong.
        to: Label,
    },
    /// A controller has other tags.
    Tags {
        /// Which.
        controller: Address,
        /// Its tags.
        from: BTreeSet<Title>,
        /// What they are to be.
        to: BTreeSet<Title>,
    },
    /// A controller runs another script: a roll-out's work.
    Script {
        /// Which.
        controller: Address,
        /// What it runs, as far as is known.
        from: Running,
        /// What it is to run.
        script: Label,
        /// Of that.
        to: Digest,
    },
    /// A parameter has another value.
    Parameter {
        /// Of which controller.
        controller: Address,
        /// Which.
        name: Name,
        /// Its value, as far as it is known.
        from: Option<Value>,
        /// What it is to be.
        to: Value,
    },
}

/// What has to be done so that the fleet is as the files say; nothing, if it is. In an order that hangs on
/// the names alone: sites, scripts, then each controller, its script before its parameters.
pub fn plan(desired: &Fleet, actual: &Actual) -> Vec<Change> {
    let mut changes = Vec::new();
    for (site, title) in &desired.sites {
        let from = actual.sites.get(site);
        if from != Some(title) {
            changes.push(Change::Site {
                site: site.clone(),
                from: from.cloned(),
                to: title.clone(),
            });
        }
    }
    for (script, source) in &desired.scripts {
        let from = actual.scripts.get(script);
        if from != Some(source) {
            changes.push(Change::Library {
                script: script.clone(),
                from: from.cloned(),
                to: source.clone(),
            });
        }
    }
    for (address, wanted) in &desired.controllers {
        match actual.controllers.get(address) {
            Some(found) => plan_controller(*address, wanted, found, &desired.scripts, &mut changes),
            None => changes.push(Change::NotEnrolled {
                controller: *address,
            }),
        }
    }
    changes
}

fn plan_controller(
    controller: Address,
    wanted: &Controller,
    found: &ActualController,
    scripts: &BTreeMap<Label, String>,
    changes: &mut Vec<Change>,
) {
    if let Some(to) = wanted.title.clone().filter(|to| *to != found.title) {
        let from = found.title.clone();
        changes.push(Change::Title {
            controller,
            from,
            to,
        });
    }
    if let Some(to) = wanted.site.clone()
        && found.site.as_ref() != Some(&to)
    {
        let from = found.site.clone();
        changes.push(Change::Belongs {
            controller,
            from,
            to,
        });
    }
    if let Some(to) = wanted.tags.clone().filter(|to| *to != found.tags) {
        let from = found.tags.clone();
        changes.push(Change::Tags {
            controller,
            from,
            to,
        });
    }
    if let Some(script) = &wanted.script
        && let Some(source) = scripts.get(script)
    {
        let to = Digest::of(source.as_bytes());
        if found.running != Running::Script(to) {
            changes.push(Change::Script {
                controller,
                from: found.running,
                script: script.clone(),
                to,
            });
        }
    }
    for (name, to) in &wanted.parameters {
        let from = found.parameters.get(name).copied();
        if from != Some(*to) {
            changes.push(Change::Parameter {
                controller,
                name: name.clone(),
                from,
                to: *to,
            });
        }
    }
}

impl Change {
    /// Whether it can be applied; what cannot wants a person.
    pub fn is_applicable(&self) -> bool {
        match self {
            Self::NotEnrolled { .. } => false,
            // The gateway gives sites their numbers.
            Self::Site { site, from, .. } => from.is_some() || site.site_number().is_none(),
            _ => true,
        }
    }

    /// Whether there is a difference for sure. Of what is not known there may be none.
    pub fn is_known(&self) -> bool {
        !matches!(
            self,
            Self::Script {
                from: Running::Unknown,
                ..
            } | Self::Parameter { from: None, .. }
        )
    }
}

/// A plan as people read it: `+` what is made, `~` what is changed, `?` what may have to be, since what there is is
/// not known, `!` what cannot be. The drift of a fleet is the same report, with nothing applied.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a>(pub &'a [Change]);

impl fmt::Display for Report<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for change in self.0 {
            writeln!(out, "{change}")?;
        }
        let count = |is: &dyn Fn(&Change) -> bool| self.0.iter().filter(|it| is(it)).count();
        let counts = [
            (
                "to change",
                count(&|it| it.is_applicable() && it.is_known()),
            ),
            ("not known", count(&|it| !it.is_known())),
            ("cannot be applied", count(&|it| !it.is_applicable())),
        ];
        let mut said = counts.iter().filter(|(_, count)| *count > 0);
        let Some((what, count)) = said.next() else {
            return writeln!(out, "the fleet is as the files say");
        };
        write!(out, "{what}: {count}")?;
        said.try_for_each(|(what, count)| write!(out, "; {what}: {count}"))?;
        writeln!(out)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Site { site, from, to } => match from {
                None if !self.is_applicable() => write!(
                    out,
                    "! site {site}: expected one that there is: the gateway gives sites their numbers"
                ),
                None => write!(out, "+ site {site}: {:?}", to.as_str()),
                Some(from) => write!(
                    out,
                    "~ site {site}: {:?} -> {:?}",
                    from.as_str(),
                    to.as_str()
                ),
            },
            Self::Library { script, from, to } => {
                let sign = if from.is_some() { "~" } else { "+" };
                writeln!(out, "{sign} script {script}")?;
                let (old, new) = (format!("{script} (library)"), format!("{script} (files)"));
                let from = from.as_deref().unwrap_or_default();
                let diff = script_diff((&old, from), (&new, to));
                out.write_str(diff.trim_end_matches('\n'))
            }
            Self::NotEnrolled { controller } => {
                write!(
                    out,
                    "! controller {}: expected one that is enrolled",
                    controller.0
                )
            }
            Self::Title {
                controller,
                from,
                to,
            } => write!(
                out,
                "~ controller {}: title {:?} -> {:?}",
                controller.0,
                from.as_str(),
                to.as_str()
            ),
            Self::Belongs {
                controller,
                from,
                to,
            } => {
                let from = from.as_ref().map_or("none", Label::as_str);
                write!(out, "~ controller {}: site {from} -> {to}", controller.0)
            }
            Self::Tags {
                controller,
                from,
                to,
            } => {
                write!(out, "~ controller {}: tags", controller.0)?;
                from.difference(to)
                    .try_for_each(|tag| write!(out, " -{:?}", tag.as_str()))?;
                to.difference(from)
                    .try_for_each(|tag| write!(out, " +{:?}", tag.as_str()))
            }
            Self::Script {
                controller,
                from,
                script,
                to,
            } => {
                let short = |digest: &Digest| digest.to_string()[..12].to_owned();
                let (sign, from) = match from {
                    Running::Unknown => ('?', "not known".to_owned()),
                    Running::Nothing => ('~', "none".to_owned()),
                    Running::Script(digest) => ('~', short(digest)),
                };
                let (controller, to) = (controller.0, short(to));
                write!(
                    out,
                    "{sign} controller {controller}: script {from} -> {script} {to}"
                )
            }
            Self::Parameter {
                controller,
                name,
                from,
                to,
            } => {
                let (sign, from) = match from {
                    None => ('?', "not known".to_owned()),
                    Some(from) => ('~', from.to_string()),
                };
                let (controller, name) = (controller.0, name.as_str());
                write!(
                    out,
                    "{sign} controller {controller}: parameter {name} {from} -> {to}"
                )
            }
        }
    }
}

/// What changes from one version of a script to another, as a unified diff with these names in its head; empty if
/// nothing does. Both are as long as a script may be, so this takes no time that matters.
pub fn script_diff((old, from): (&str, &str), (new, to): (&str, &str)) -> String {
    TextDiff::from_lines(from, to)
        .unified_diff()
        .context_radius(CONTEXT_LINES)
        .header(old, new)
        .to_string()
}
