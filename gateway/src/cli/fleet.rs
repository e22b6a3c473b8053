//! The commands about the fleet as files: export, plan, apply, drift.

use super::{ExitWith, command_line, moment::Utc, scripts::check};
use crate::{
    compiler::Compiler,
    digest::Digest,
    fleet::{
        actual::{self, Known},
        apply,
        folder::Folder,
        order::{self, Chosen, OrderError},
        plan::{Change, Fleet, Label, Report, plan},
        rollout::Terms,
    },
    store::{ConfigStore, StoreError},
};
use anyhow::bail;
use clap::Subcommand;
use std::{io::Write, path::PathBuf};
use switchyard_protocol::{Address, message::Time};

/// What `drift` ends with where the fleet is not as the files say.
const DRIFTED: u8 = 2;
/// What it ends with where nothing is known to differ, and not everything is known.
const NOT_KNOWN: u8 = 3;
/// Addresses that are printed of one roll-out.
const ADDRESSES_TOLD: usize = 20;

#[derive(Debug, Subcommand)]
pub(super) enum FleetTask {
    /// Write the fleet to a folder: fleet.toml, and its scripts beside it
    Export {
        /// The folder
        folder: PathBuf,
        /// Write over a fleet.toml that is there
        #[arg(long)]
        replace: bool,
    },
    /// Tell what would have to be changed for the fleet to be as a folder's files say; scripts that are new are compiled
    Plan {
        /// The folder
        folder: PathBuf,
    },
    /// Change what can be changed at once: sites, the library, titles, places, tags. Scripts and parameters of controllers want roll-outs
    Apply {
        /// The folder
        folder: PathBuf,
        /// Begin the roll-outs, one for each script and for each set of parameters, on their default terms; without it they are only told
        #[arg(long)]
        roll_out: bool,
        /// What is noted beside new versions of scripts
        #[arg(long, default_value = "by fleet apply")]
        note: String,
    },
    /// Tell what is not as a folder's files say, and change nothing. Exit status 0: all is; 2: something is not; 3: of
    /// something it is not known; 1: there is no telling
    Drift {
        /// The folder
        folder: PathBuf,
    },
}

/// Does it, and says what came of it.
pub(super) async fn run(
    task: FleetTask,
    config: &dyn ConfigStore,
    stdout: &mut impl Write,
) -> anyhow::Result<()> {
    match task {
        FleetTask::Export { folder, replace } => {
            export(&Folder::new(&folder), replace, config, stdout).await?;
        }
        FleetTask::Plan { folder } => {
            let (_, known, changes) = compare(&Folder::new(&folder), config).await?;
            write!(stdout, "{}", Report(&changes))?;
            tell_age(&known, stdout)?;
            compile(&Folder::new(&folder), &changes).await?;
        }
        FleetTask::Apply {
            folder,
            roll_out,
            note,
        } => {
            let how = How { roll_out, note };
            apply(&Folder::new(&folder), &how, config, stdout).await?;
        }
        FleetTask::Drift { folder } => {
            let (_, known, changes) = compare(&Folder::new(&folder), config).await?;
            write!(stdout, "{}", Report(&changes))?;
            tell_age(&known, stdout)?;
            let is_known = changes.iter().any(Change::is_known);
            let told = match (changes.is_empty(), is_known) {
                (true, _) => return Ok(()),
                (false, true) => (DRIFTED, "the fleet is not as the files say"),
                (false, false) => (NOT_KNOWN, "not everything is known of the fleet"),
            };
            return Err(ExitWith(told.0, told.1.to_owned()).into());
        }
    }
    Ok(())
}

/// The files, what there is, and how that differs.
async fn compare(
    folder: &Folder,
    config: &dyn ConfigStore,
) -> anyhow::Result<(Fleet, Known, Vec<Change>)> {
    // First the files: what is wrong there needs no store.
    let desired = folder.read()?;
    let known = actual::read(config).await?;
    let changes = plan(&desired, &known.actual);
    Ok((desired, known, changes))
}

/// How old the knowledge is of what controllers run.
fn tell_age(known: &Known, stdout: &mut impl Write) -> anyhow::Result<()> {
    if let Some(oldest) = known.oldest {
        let oldest = Utc(oldest);
        writeln!(
            stdout,
            "what controllers run is what they last told, since {oldest}"
        )?;
    }
    Ok(())
}

/// Compiles what is new to the library.
async fn compile(folder: &Folder, changes: &[Change]) -> anyhow::Result<()> {
    let compiler = Compiler::default();
    for change in changes {
        if let Change::Library { script, to, .. } = change {
            let place = folder.script(script).display().to_string();
            check(&compiler, &[], to, &place).await?;
        }
    }
    Ok(())
}

async fn export(
    folder: &Folder,
    replace: bool,
    config: &dyn ConfigStore,
    stdout: &mut impl Write,
) -> anyhow::Result<()> {
    let known = actual::read(config).await?;
    let (fleet, elsewhere) = known.to_fleet();
    let left = folder.write(&fleet, replace)?;
    let (sites, scripts) = (fleet.sites.len(), fleet.scripts.len());
    let controllers = fleet.controllers.len();
    writeln!(
        stdout,
        "wrote {sites} sites, {scripts} scripts and {controllers} controllers"
    )?;
    let digests: Vec<Digest> = elsewhere.iter().map(|(_, digest)| *digest).collect();
    let versions = config.scripts_of(digests).await?;
    for (controller, digest) in elsewhere {
        let version = versions.iter().find(|version| version.digest == digest);
        let runs = match version {
            Some(version) => format!("{} version {}", version.label, version.number),
            None => format!("{digest}, which is not in the library"),
        };
        writeln!(
            stdout,
            "without its script: controller {controller} runs {runs}, and files name newest versions"
        )?;
    }
    for path in left {
        writeln!(
            stdout,
            "left as it is: {}, which is in no library",
            path.display()
        )?;
    }
    Ok(())
}

/// How a plan is applied.
struct How {
    roll_out: bool,
    note: String,
}

async fn apply(
    folder: &Folder,
    how: &How,
    config: &dyn ConfigStore,
    stdout: &mut impl Write,
) -> anyhow::Result<()> {
    let (desired, known, changes) = compare(folder, config).await?;
    write!(stdout, "{}", Report(&changes))?;
    // Before anything is changed.
    compile(folder, &changes).await?;
    let now = crate::clock::time();
    let mut count = 0_u32;
    let mut done = |change: &Change| {
        count += 1;
        writeln!(stdout, "done: {}", FirstLine(change))
    };
    let mut sites = known.site_numbers.clone();
    sites.extend(apply::apply_sites(config, &changes, now, &mut done).await?);
    let by = command_line();
    apply::apply_library(config, &changes, (&by, &how.note), now, &mut done).await?;
    apply::apply_controllers(config, &changes, &sites, &mut done).await?;
    let (values, later) = apply::value_releases(&desired, &changes);
    let scripts = apply::releases(&changes).into_iter();
    let scripts = scripts.map(|((label, digest), controllers)| Wanted {
        label: Some(label),
        chosen: Chosen::Digest(digest),
        controllers,
    });
    let values = values.into_values().map(|(values, controllers)| Wanted {
        label: None,
        chosen: Chosen::Values(values),
        controllers,
    });
    let cannot = changes.iter().filter(|it| !it.is_applicable()).count();
    writeln!(stdout, "changed: {count}")?;
    let refused = roll_out(scripts.chain(values), how.roll_out, config, now, stdout).await?;
    if later > 0 {
        writeln!(
            stdout,
            "later: parameters of {later} controllers, whose script changes first; apply once more when it has"
        )?;
    }
    match (cannot, refused) {
        (0, 0) => Ok(()),
        (0, refused) => bail!("{refused} roll-outs were refused; the lines above say why"),
        (cannot, 0) => bail!("{cannot} changes cannot be applied; the plan above says why"),
        (cannot, refused) => bail!(
            "{cannot} changes cannot be applied, and {refused} roll-outs were refused; the lines above say why"
        ),
    }
}

/// A change without what follows on further lines.
struct FirstLine<'a>(&'a Change);

impl std::fmt::Display for FirstLine<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = self.0.to_string();
        f.write_str(text.lines().next().unwrap_or_default())
    }
}

/// A roll-out that a plan wants.
struct Wanted {
    /// Of a script: what that is called.
    label: Option<Label>,
    chosen: Chosen,
    controllers: Vec<Address>,
}

/// Begins roll-outs, or tells which there would be; how many were refused. One that is does not keep the others.
///
/// # Errors
/// The store's failure, behind which nothing more is tried.
async fn roll_out(
    all: impl Iterator<Item = Wanted>,
    begin: bool,
    config: &dyn ConfigStore,
    now: Time,
    stdout: &mut impl Write,
) -> anyhow::Result<usize> {
    let mut refused = 0;
    for Wanted {
        label,
        chosen,
        controllers,
    } in all
    {
        let goods = order::find(config, &chosen).await?;
        let (what, title) = match label {
            // A label is as long as a title may be.
            Some(label) => (label.to_string(), crate::fixed_title(label.as_str())),
            None => (format!("parameters {}", goods.name), goods.title()?),
        };
        let count = controllers.len();
        if !begin {
            let told = controllers.iter().take(ADDRESSES_TOLD);
            let told: Vec<_> = told.map(Address::to_string).collect();
            let more = if count > ADDRESSES_TOLD { ", …" } else { "" };
            writeln!(
                stdout,
                "to roll out: {what} to {count} controllers: {}{more}",
                told.join(", ")
            )?;
            continue;
        }
        let (about, terms) = ((title, command_line()), Terms::new(goods.release));
        match order::place(config, goods, about, (terms, &controllers), now).await {
            Ok(id) => writeln!(
                stdout,
                "begun: roll-out {id} of {what} to {count} controllers"
            )?,
            Err(error) if is_refusal(&error) => {
                refused += 1;
                writeln!(
                    stdout,
                    "refused: the roll-out of {what} to {count} controllers: {error}"
                )?;
            }
            Err(error) => {
                let what = format!("cannot begin the roll-out of {what}");
                return Err(anyhow::Error::new(error).context(what));
            }
        }
    }
    Ok(refused)
}

/// Whether it is this one roll-out that is not to be had; else the store is in trouble.
fn is_refusal(error: &OrderError) -> bool {
    match error {
        OrderError::Store(error) => matches!(
            error,
            StoreError::Overlaps { .. } | StoreError::Full { .. } | StoreError::Missing { .. }
        ),
        _ => true,
    }
}
