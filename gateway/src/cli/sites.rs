//! The commands about sites and single controllers.

use crate::store::{ConfigStore, ControllerEdit};
use clap::Subcommand;
use std::io::Write;
use switchyard_protocol::{Address, SiteId, message::Title};

/// Sites that there may be: a list of them is read as a whole.
pub(crate) const SITES_MAX: u32 = 10_000;

#[derive(Debug, Subcommand)]
pub(super) enum SiteTask {
    /// Make a site, and print its number
    Add {
        /// What people call it
        name: Title,
    },
    /// List the sites: number and name
    List,
    /// Give a site another name
    Rename {
        /// Its number
        site: SiteId,
        /// What people will call it
        name: Title,
    },
    /// Remove a site that no controller belongs to, and all roles there
    Remove {
        /// Its number
        site: SiteId,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum ControllerTask {
    /// Change what a controller is called, where it belongs, or its tags
    Edit {
        /// Its address
        address: Address,
        /// What people will call it
        #[arg(long)]
        title: Option<Title>,
        /// The site that it belongs to, by its number, or none
        #[arg(long, value_parser = parse_site)]
        site: Option<Place>,
        /// All its tags, with commas between; none takes them away
        #[arg(long, value_parser = parse_tags)]
        tags: Option<Tags>,
    },
    /// Withdraw a controller for ever: its link ends within a second, its address is never given again
    Remove {
        /// Its address
        address: Address,
    },
}

/// Words by which people find a controller.
#[derive(Clone, Debug)]
pub(super) struct Tags(Vec<Title>);

fn parse_tags(text: &str) -> Result<Tags, String> {
    if text == "none" {
        return Ok(Tags(Vec::new()));
    }
    let tags = text.split(',').map(|tag| Title::new(tag.trim()));
    let tags = tags.collect::<Result<_, _>>().map(Tags);
    tags.map_err(|_| "expected words of 1 to 64 bytes with commas between, or none".to_owned())
}

/// A site, or that there is to be none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place(Option<SiteId>);

fn parse_site(text: &str) -> Result<Place, String> {
    match text {
        "none" => Ok(Place(None)),
        number => number
            .parse()
            .map(|site| Place(Some(site)))
            .map_err(|_| "expected a site's number, or none".to_owned()),
    }
}

/// Does something about sites, and says what came of it.
pub(super) async fn run_site(
    task: SiteTask,
    config: &dyn ConfigStore,
    stdout: &mut impl Write,
) -> anyhow::Result<()> {
    let known = |found: bool, site: SiteId| {
        anyhow::ensure!(found, "there is no site {site}");
        Ok(())
    };
    match task {
        SiteTask::Add { name } => {
            let site = config
                .add_site(name, SITES_MAX, crate::clock::time())
                .await?;
            writeln!(stdout, "{site}")?;
        }
        SiteTask::List => {
            for site in config.sites().await? {
                writeln!(stdout, "{} {}", site.id, site.name)?;
            }
        }
        SiteTask::Rename { site, name } => {
            known(config.rename_site(site, name.clone()).await?, site)?;
            writeln!(stdout, "site {site} is now {name}")?;
        }
        SiteTask::Remove { site } => {
            known(config.remove_site(site).await?, site)?;
            writeln!(stdout, "removed site {site}")?;
        }
    }
    Ok(())
}

/// Does something about a controller, and says what came of it.
pub(super) async fn run_controller(
    task: ControllerTask,
    config: &dyn ConfigStore,
    stdout: &mut impl Write,
) -> anyhow::Result<()> {
    let known = |found: bool, address: Address| {
        anyhow::ensure!(found, "there is no controller {address}");
        Ok(())
    };
    match task {
        ControllerTask::Edit {
            address,
            title,
            site,
            tags,
        } => {
            let edit = ControllerEdit {
                title,
                site: site.map(|place| place.0),
                tags: tags.map(|tags| tags.0),
            };
            known(config.edit_controller(address, edit).await?, address)?;
            writeln!(stdout, "changed {address}")?;
        }
        ControllerTask::Remove { address } => {
            let removed = config
                .revoke_controller(address, crate::clock::time())
                .await?;
            known(removed, address)?;
            writeln!(stdout, "removed {address}")?;
        }
    }
    Ok(())
}
