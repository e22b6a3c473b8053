//! The commands about sites and single controllers.

use super::moment::Utc;
use crate::{
    config::Span,
    keys::{KEEP_OLD_MAX, NextKey},
    store::{ConfigStore, ControllerEdit, ControllerKey},
};
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
    /// Replace controllers' keys over their links: each takes the new one when it dials next, for which its
    /// link is ended within seconds
    Rekey {
        /// Their addresses
        #[arg(required = true)]
        addresses: Vec<Address>,
        /// How long the old key is good for as well: until then any backup of today still serves. 0s is for
        /// a key in wrong hands
        #[arg(long, default_value = "30d", value_name = "TIME", value_parser = parse_keep_old)]
        keep_old: Span,
    },
    /// Withdraw a controller for ever: its link ends within a second, its address is never given again
    Remove {
        /// Its address
        address: Address,
    },
}

fn parse_keep_old(text: &str) -> Result<Span, String> {
    let span: Span = text.parse()?;
    match span.0 <= KEEP_OLD_MAX {
        true => Ok(span),
        false => Err(format!("expected at most 366d, found {text:?}")),
    }
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
        ControllerTask::Rekey {
            addresses,
            keep_old,
        } => {
            for address in addresses {
                let now = crate::clock::time();
                let wanted = NextKey {
                    key: ControllerKey(rand::random()),
                    forget_from: now.plus(keep_old.0),
                };
                let next = config.replace_controller_key(address, wanted).await?;
                known(next.is_some(), address)?;
                let is_new = next.is_some_and(|next| next.key == wanted.key);
                let since = match is_new {
                    true => "gets another key",
                    false => "is getting another key already",
                };
                let until = next.map_or(wanted.forget_from, |next| next.forget_from);
                match until <= now {
                    true => writeln!(stdout, "{address} {since}, and forgets the old one at once")?,
                    false => writeln!(
                        stdout,
                        "{address} {since}; the old one is good until {}",
                        Utc(until)
                    )?,
                }
                if !is_new {
                    writeln!(
                        stdout,
                        "{address}: if the key on its way may be known too, do this again once it is there"
                    )?;
                }
            }
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
