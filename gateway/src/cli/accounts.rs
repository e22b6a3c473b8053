//! The commands about accounts: who may log in, what each may do, and where.

use super::{parse_role, read_password};
use crate::{
    access,
    config::Span,
    ssh_key::{fingerprint, parse_fingerprint, parse_public_key},
    store::{Account, ConfigStore, NewToken, TokenId, TokenKind},
    totp,
};
use clap::Subcommand;
use std::io::Write;
use switchyard_protocol::{Role, SiteId, limits, message::Title};
use switchyard_relay::Rights;

#[derive(Debug, Subcommand)]
pub(super) enum AccountTask {
    /// Add an account; the password comes from SWITCHYARD_PASSWORD, standard input or a prompt
    Add {
        /// Its name
        name: Title,
        /// viewer, operator, technician or admin
        #[arg(long, value_parser = parse_role)]
        role: Role,
        /// Only at this site, by its number; everywhere without
        #[arg(long)]
        site: Option<SiteId>,
        /// Read the password from the first line of standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// List the accounts
    List,
    /// Remove an account; its open sockets end within a second
    Remove {
        /// Its name
        name: Title,
    },
    /// Change what an account may do; its open sockets follow within a second
    Role {
        /// Its name
        name: Title,
        /// viewer, operator, technician, admin, or none
        #[arg(value_parser = parse_role_or_none)]
        role: RoleOrNone,
        /// At this site, by its number; everywhere without
        #[arg(long)]
        site: Option<SiteId>,
    },
    /// Change an account's password; all its log-ins end
    Password {
        /// Its name
        name: Title,
        /// Read the password from the first line of standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// Ask an account for a code by time at each log-in: prints what its app reads, once
    Totp {
        /// Its name
        name: Title,
        /// Ask for none any more
        #[arg(long)]
        off: bool,
    },
    /// Tokens of an account: log-ins, and those for programs
    #[command(subcommand)]
    Token(TokenTask),
    /// Keys by which an account comes in over SSH
    #[command(subcommand)]
    SshKey(SshKeyTask),
}

#[derive(Debug, Subcommand)]
pub(super) enum TokenTask {
    /// Make a token for a program, and print it; it is told this once
    Add {
        /// The account
        name: Title,
        /// What the token is for
        title: Title,
        /// How long it holds
        #[arg(long, default_value = "365d")]
        lifetime: Span,
    },
    /// List an account's tokens: number, kind, title
    List {
        /// The account
        name: Title,
    },
    /// End a token; its open sockets end within a second
    Revoke {
        /// The account
        name: Title,
        /// The token's number, as it is listed
        #[arg(value_parser = parse_token_id)]
        id: TokenId,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum SshKeyTask {
    /// Add a public key, as it stands in `id_ed25519.pub`
    Add {
        /// The account
        name: Title,
        /// Type, key and comment
        key: String,
    },
    /// List an account's keys: fingerprint and comment
    List {
        /// The account
        name: Title,
    },
    /// Remove a key
    Remove {
        /// The account
        name: Title,
        /// Its fingerprint, as it is listed
        #[arg(value_parser = parse_fingerprint)]
        fingerprint: [u8; 32],
    },
}

/// A role, or that there is to be none.
#[derive(Clone, Copy, Debug)]
pub(super) struct RoleOrNone(Option<Role>);

fn parse_role_or_none(name: &str) -> Result<RoleOrNone, String> {
    match name {
        "none" => Ok(RoleOrNone(None)),
        name => parse_role(name)
            .map(|role| RoleOrNone(Some(role)))
            .map_err(|wanted| format!("{wanted}, or none")),
    }
}

fn parse_token_id(text: &str) -> Result<TokenId, String> {
    let id = u64::from_str_radix(text, 16).map(TokenId);
    id.map_err(|_| "expected a number such as 00c0ffee00c0ffee".to_owned())
}

/// Rights with another role in one place.
fn with_role(rights: &Rights, site: Option<SiteId>, role: Option<Role>) -> Rights {
    let Some(site) = site else {
        return Rights::new(role, rights.roles());
    };
    let others = rights.roles().filter(|(other, _)| *other != site);
    let there = role.map(|role| (site, role));
    Rights::new(rights.role_at(None), others.chain(there))
}

fn known(found: bool, name: &Title) -> anyhow::Result<()> {
    anyhow::ensure!(found, "there is no account named {name}");
    Ok(())
}

/// Does it, and says what came of it.
pub(super) async fn run(
    task: AccountTask,
    config: &dyn ConfigStore,
    stdout: &mut impl Write,
) -> anyhow::Result<()> {
    match task {
        AccountTask::Add {
            name,
            role,
            site,
            password_stdin,
        } => {
            let password = read_password(password_stdin)?;
            let rights = with_role(&Rights::default(), site, Some(role));
            let account = Account {
                name: name.clone(),
                rights: rights.clone(),
                password_hash: access::hash_password(&password.0)?,
                totp: None,
                created: crate::clock::time(),
            };
            config.add_account(account).await?;
            writeln!(stdout, "added {name}, {rights}")?;
        }
        AccountTask::List => {
            for account in config.accounts().await? {
                let (role, name) = (account.rights.to_string(), &account.name);
                writeln!(stdout, "{role:<10} {name}")?;
            }
        }
        AccountTask::Remove { name } => {
            known(config.remove_account(name.clone()).await?, &name)?;
            writeln!(stdout, "removed {name}")?;
        }
        AccountTask::Role { name, role, site } => {
            let account = config.account(name.clone()).await?;
            known(account.is_some(), &name)?;
            let rights = account.map(|account| account.rights).unwrap_or_default();
            let rights = with_role(&rights, site, role.0);
            let (max, sites) = (limits::SITES_PER_ACCOUNT_MAX, rights.roles().count());
            anyhow::ensure!(
                sites < max || role.0.is_none(),
                "an account has roles at {max} sites at most: give it one everywhere"
            );
            known(
                config.set_rights(name.clone(), rights.clone()).await?,
                &name,
            )?;
            writeln!(stdout, "{name} is now {rights}")?;
        }
        AccountTask::Password {
            name,
            password_stdin,
        } => {
            let password = read_password(password_stdin)?;
            let hash = access::hash_password(&password.0)?;
            known(config.set_password(name.clone(), hash).await?, &name)?;
            writeln!(stdout, "changed the password of {name}")?;
        }
        AccountTask::Totp { name, off: true } => {
            known(config.set_totp(name.clone(), None).await?, &name)?;
            writeln!(stdout, "{name} needs no code any more")?;
        }
        AccountTask::Totp { name, off: false } => {
            let secret = totp::new_secret();
            let url = totp::url(&name, &secret);
            known(config.set_totp(name.clone(), Some(secret)).await?, &name)?;
            writeln!(stdout, "{url}")?;
        }
        AccountTask::Token(task) => run_token(task, config, stdout).await?,
        AccountTask::SshKey(task) => run_ssh_key(task, config, stdout).await?,
    }
    Ok(())
}

async fn run_token(
    task: TokenTask,
    config: &dyn ConfigStore,
    stdout: &mut impl Write,
) -> anyhow::Result<()> {
    match task {
        TokenTask::Add {
            name,
            title,
            lifetime,
        } => {
            let (token, now) = (access::new_token(), crate::clock::time());
            let new = NewToken {
                hash: access::token_hash(&token),
                account: name,
                kind: TokenKind::Access,
                title: title.to_string(),
                expires: now.plus(lifetime.0),
            };
            config.add_token(new, now).await?;
            writeln!(stdout, "{token}")?;
        }
        TokenTask::List { name } => {
            for token in config.tokens(name).await? {
                let kind = match token.kind {
                    TokenKind::Session => "log-in",
                    TokenKind::Access => "program",
                };
                writeln!(stdout, "{:016x} {kind:<7} {}", token.id.0, token.title)?;
            }
        }
        TokenTask::Revoke { name, id } => {
            let revoked = config.revoke_token_by_id(name.clone(), id).await?;
            anyhow::ensure!(revoked, "{name} has no such token");
            writeln!(stdout, "revoked a token of {name}")?;
        }
    }
    Ok(())
}

async fn run_ssh_key(
    task: SshKeyTask,
    config: &dyn ConfigStore,
    stdout: &mut impl Write,
) -> anyhow::Result<()> {
    match task {
        SshKeyTask::Add { name, key } => {
            let key = parse_public_key(&key, name)?;
            let shown = fingerprint(&key.fingerprint);
            config.add_ssh_key(key).await?;
            writeln!(stdout, "added {shown}")?;
        }
        SshKeyTask::List { name } => {
            for key in config.ssh_keys(name).await? {
                writeln!(stdout, "{} {}", fingerprint(&key.fingerprint), key.title)?;
            }
        }
        SshKeyTask::Remove { name, fingerprint } => {
            let removed = config.remove_ssh_key(name.clone(), fingerprint).await?;
            anyhow::ensure!(removed, "{name} has no such key");
            writeln!(stdout, "removed a key of {name}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_changes_in_one_place_alone() {
        let (north, south) = (SiteId(1), SiteId(2));
        let rights = Rights::new(Some(Role::Viewer), [(north, Role::Admin)]);
        let more = with_role(&rights, Some(south), Some(Role::Operator));
        assert_eq!(more.to_string(), "viewer, admin at 1, operator at 2");
        assert_eq!(
            with_role(&more, Some(north), None).to_string(),
            "viewer, operator at 2"
        );
        assert_eq!(
            with_role(&more, None, None).to_string(),
            "admin at 1, operator at 2"
        );
        assert_eq!(Rights::default().to_string(), "none");
    }
}
