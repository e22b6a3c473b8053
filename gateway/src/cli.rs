//! The program's commands: serve, accounts, enrolment, and a look at the settings.

use crate::{
    access, compiler,
    config::{RawSettings, Secret, Settings},
    server::{Listeners, Stores, serve},
    store::{Account, ConfigStore, ControllerKey},
    telemetry, tls,
};
use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand};
use std::{
    io::{BufRead as _, IsTerminal as _, Write as _},
    path::PathBuf,
    process::ExitCode,
};
use switchyard_protocol::{Address, Role, message::Title};
use tokio_util::sync::CancellationToken;

/// Controllers made by one call of `enrol`.
const ENROL_COUNT_MAX: u32 = 100_000;
/// Controllers read from the store at once when listing.
const CONTROLLERS_PER_PAGE: u32 = 1_000;

/// Relays messages between controllers and the people and programs that operate them.
#[derive(Debug, Parser)]
#[command(name = "switchyard-gateway", version, arg_required_else_help = false)]
struct Arguments {
    /// The file with the settings
    #[arg(
        long,
        env = "SWITCHYARD_GATEWAY_CONFIG",
        global = true,
        value_name = "FILE"
    )]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: RawSettings,
    #[command(subcommand)]
    command: Option<Task>,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run the gateway (what happens without a command)
    Serve,
    /// Who may log in
    #[command(subcommand)]
    Account(AccountTask),
    /// Make controllers: prints one line `ADDRESS KEY` for each; the key is told this once
    Enrol {
        /// What people will call it
        title: Title,
        /// How many; with more than one they are numbered
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(ENROL_COUNT_MAX)))]
        count: u32,
    },
    /// List the enrolled controllers
    Controllers,
    /// Read the settings and say whether they are in order
    CheckConfig,
    /// Compile a script from standard input: what the gateway starts itself for
    #[command(hide = true)]
    CompileScript(compiler::Arguments),
}

#[derive(Debug, Subcommand)]
enum AccountTask {
    /// Add an account; the password comes from SWITCHYARD_PASSWORD, standard input or a prompt
    Add {
        /// Its name
        name: Title,
        /// viewer, operator, technician or admin
        #[arg(long, value_parser = parse_role)]
        role: Role,
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
        /// viewer, operator, technician or admin
        #[arg(value_parser = parse_role)]
        role: Role,
    },
    /// Change an account's password; all its log-ins end
    Password {
        /// Its name
        name: Title,
        /// Read the password from the first line of standard input
        #[arg(long)]
        password_stdin: bool,
    },
}

fn parse_role(name: &str) -> Result<Role, String> {
    Role::from_name(name).ok_or_else(|| "expected viewer, operator, technician or admin".to_owned())
}

/// Runs the program; every failure is one line on standard error.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Before there are threads, settings or files: it locks itself in.
    if let Some(Task::CompileScript(script)) = &arguments.command {
        return compiler::run(script);
    }
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut stderr = std::io::stderr().lock();
            // Without a standard error the exit code alone has to tell.
            let _ = writeln!(stderr, "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    let mut raw = arguments.settings;
    if let Some(path) = &arguments.config {
        raw = raw.or(RawSettings::from_file(path)?);
    }
    let settings = raw.resolve()?;
    telemetry::start_log(&settings.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the gateway's threads")?;
    runtime.block_on(run_task(arguments.command.unwrap_or(Task::Serve), settings))
}

async fn run_task(task: Task, settings: Settings) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout();
    if let (Task::Serve | Task::CheckConfig, Some(files)) = (&task, &settings.tls) {
        tls::check(files)?;
    }
    if matches!(task, Task::CheckConfig) {
        writeln!(stdout, "{settings:#?}")?;
        for warning in settings.warnings() {
            writeln!(stdout, "warning: {warning}")?;
        }
        writeln!(stdout, "the settings are in order")?;
        return Ok(());
    }
    let stores = Stores::open(&settings)?;
    let config = &*stores.config;
    match task {
        Task::Serve => {
            for warning in settings.warnings() {
                tracing::warn!("{warning}");
            }
            let listeners = Listeners::bind(&settings).await?;
            // Whoever reads that it listens may stop it from then on.
            let stop = stop_signal()?;
            listeners.announce(&mut stdout)?;
            serve(settings, stores, listeners, stop).await?;
        }
        Task::Account(task) => run_account(task, config, &mut stdout).await?,
        Task::Enrol { title, count } => {
            let max = settings.controllers_max;
            enrol(config, &title, count, max, &mut stdout).await?;
        }
        Task::Controllers => {
            let mut after = Address::GATEWAY;
            loop {
                let page = config.controllers(after, CONTROLLERS_PER_PAGE).await?;
                let Some((last, _)) = page.last() else {
                    break;
                };
                after = last.address;
                for (entry, _) in page {
                    writeln!(stdout, "{} {}", entry.address, entry.title)?;
                }
            }
        }
        Task::CheckConfig | Task::CompileScript(_) => {}
    }
    Ok(())
}

async fn run_account(
    task: AccountTask,
    config: &dyn ConfigStore,
    stdout: &mut impl std::io::Write,
) -> anyhow::Result<()> {
    let known = |found: bool, name: &Title| {
        anyhow::ensure!(found, "there is no account named {name}");
        Ok(())
    };
    match task {
        AccountTask::Add {
            name,
            role,
            password_stdin,
        } => {
            let password = read_password(password_stdin)?;
            let password_hash = access::hash_password(&password.0)?;
            let created = crate::clock::time();
            config
                .add_account(Account {
                    name: name.clone(),
                    role,
                    password_hash,
                    created,
                })
                .await?;
            writeln!(stdout, "added {name}, {}", role.name())?;
        }
        AccountTask::List => {
            for account in config.accounts().await? {
                writeln!(stdout, "{:<10} {}", account.role.name(), account.name)?;
            }
        }
        AccountTask::Remove { name } => {
            known(config.remove_account(name.clone()).await?, &name)?;
            writeln!(stdout, "removed {name}")?;
        }
        AccountTask::Role { name, role } => {
            known(config.set_role(name.clone(), role).await?, &name)?;
            writeln!(stdout, "{name} is now {}", role.name())?;
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
    }
    Ok(())
}

async fn enrol(
    config: &dyn ConfigStore,
    title: &Title,
    count: u32,
    max: u32,
    stdout: &mut impl std::io::Write,
) -> anyhow::Result<()> {
    let wanted = (1..=count)
        .map(|number| {
            let title = if count == 1 {
                title.clone()
            } else {
                Title::new(&format!("{title} {number}"))
                    .context("the title is too long to number")?
            };
            Ok((title, ControllerKey(rand::random())))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let keys: Vec<_> = wanted.iter().map(|(_, key)| *key).collect();
    let addresses = config.enrol(wanted, max, crate::clock::time()).await?;
    for (address, key) in addresses.iter().zip(keys) {
        write!(stdout, "{address} ")?;
        key.0
            .iter()
            .try_for_each(|byte| write!(stdout, "{byte:02x}"))?;
        writeln!(stdout)?;
    }
    Ok(())
}

/// A password from the environment, standard input, or a prompt that does not echo.
fn read_password(from_stdin: bool) -> anyhow::Result<Secret> {
    if let Ok(password) = std::env::var("SWITCHYARD_PASSWORD")
        && !from_stdin
    {
        return Ok(Secret(password));
    }
    let stdin = std::io::stdin();
    if !from_stdin && stdin.is_terminal() {
        let password =
            rpassword::prompt_password("password: ").context("cannot read a password")?;
        let again = rpassword::prompt_password("again: ").context("cannot read a password")?;
        if password != again {
            bail!("the two passwords differ");
        }
        return Ok(Secret(password));
    }
    let mut line = String::new();
    stdin
        .lock()
        .read_line(&mut line)
        .context("cannot read a password from standard input")?;
    Ok(Secret(line.trim_end_matches(['\r', '\n']).to_owned()))
}

/// Cancelled by the first SIGTERM or SIGINT.
fn stop_signal() -> anyhow::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        token.cancel();
    });
    Ok(stop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn settings_may_stand_before_or_after_the_command() {
        for line in [
            "x --data d enrol Pump --count 2",
            "x enrol Pump --count 2 --data d",
        ] {
            let arguments = Arguments::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(arguments.settings.data, Some("d".into()));
            assert!(matches!(
                arguments.command,
                Some(Task::Enrol { count: 2, .. })
            ));
        }
        assert!(Arguments::try_parse_from(["x", "enrol", "Pump", "--count", "0"]).is_err());
        for line in ["x --insecure", "x --insecure true", "x --insecure --data d"] {
            let arguments = Arguments::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(arguments.settings.insecure, Some(true), "{line}");
        }
    }
}
