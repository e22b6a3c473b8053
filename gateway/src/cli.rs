//! The program's commands: serve, accounts, enrolment, all that is kept, and a look at the settings.

mod accounts;
mod audit;
mod data;
mod firmwares;
mod fleet;
mod history;
mod moment;
mod rollouts;
mod scripts;
mod sites;

use crate::{
    bridge, compiler,
    config::{ConfigError, RawSettings, Secret, Settings},
    doctor, hex,
    server::{Listeners, Stores, serve_supervised},
    store::{ConfigStore, ControllerKey, NewController},
    supervisor::Supervisor,
    telemetry, tls, webhook,
};
use accounts::AccountTask;
use anyhow::{Context as _, bail};
use audit::AuditTask;
use clap::{
    CommandFactory as _, Parser, Subcommand,
    builder::{OsStringValueParser, TypedValueParser as _},
};
use data::DataTask;
use firmwares::FirmwareTask;
use fleet::FleetTask;
use history::HistoryTask;
use rollouts::RolloutTask;
use scripts::ScriptTask;
pub(crate) use sites::SITES_MAX;
use sites::{ControllerTask, SiteTask};
use std::{
    io::{BufRead as _, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};
use switchyard_protocol::{Address, Role, SiteId, message::Title};
use tokio_util::sync::CancellationToken;

/// Controllers made by one call of `enrol`.
const ENROL_COUNT_MAX: u32 = 100_000;
/// Of those, the ones that the store makes in one transaction.
const ENROLLED_AT_ONCE: usize = 500;
/// Controllers read from the store at once when listing.
const CONTROLLERS_PER_PAGE: u32 = 1_000;

/// What the package puts in place; read where no other file is named.
const CONFIG_FILE: &str = "/etc/switchyard/gateway.toml";
/// The manual's part for programs that keep a host running.
const MANUAL_SECTION: &str = "8";

/// Relays messages between controllers and the people and programs that operate them.
#[derive(Debug, Parser)]
#[command(name = "switchyard-gateway", version, arg_required_else_help = false)]
struct Arguments {
    /// The file with the settings; by default /etc/switchyard/gateway.toml, where there is one
    #[arg(
        long,
        env = "SWITCHYARD_GATEWAY_CONFIG",
        global = true,
        value_name = "FILE",
        // clap's own for paths takes no empty one.
        value_parser = OsStringValueParser::new().map(PathBuf::from)
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
    /// Groups of controllers, at which accounts have roles
    #[command(subcommand)]
    Site(SiteTask),
    /// One enrolled controller
    #[command(subcommand)]
    Controller(ControllerTask),
    /// Make controllers: prints one line `ADDRESS KEY` for each; the key is told this once
    Enrol {
        /// What people will call it
        title: Title,
        /// How many; with more than one they are numbered
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(ENROL_COUNT_MAX)))]
        count: u32,
        /// The site that they belong to, by its number
        #[arg(long)]
        site: Option<SiteId>,
    },
    /// List the enrolled controllers
    Controllers,
    /// The library of scripts
    #[command(subcommand)]
    Script(ScriptTask),
    /// The library of firmwares
    #[command(subcommand)]
    Firmware(FirmwareTask),
    /// The fleet as files, for keeping in git
    #[command(subcommand)]
    Fleet(FleetTask),
    /// Show who asked for what, from where, and what became of it; or check that nobody changed that
    Audit(AuditTask),
    /// Tell what a point was, or which points of a controller have a history
    History(HistoryTask),
    /// Bring a script, parameters or a firmware to many controllers: a few first, then in steps, and back again when it does no good
    #[command(subcommand)]
    Rollout(RolloutTask),
    /// Read the settings and say whether they are in order
    CheckConfig,
    /// Compile a script from standard input: what the gateway starts itself for
    #[command(hide = true)]
    CompileScript(compiler::Arguments),
    /// Look at all that a gateway stands on, and say what to do; exit code 1 when something does not work
    Doctor {
        /// Tell it as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Print a completion script
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual's pages
    #[command(hide = true)]
    Man {
        /// The folder that they go to
        folder: PathBuf,
    },
    #[command(flatten)]
    Data(DataTask),
}

fn parse_role(name: &str) -> Result<Role, String> {
    Role::from_name(name).ok_or_else(|| "expected viewer, operator, technician or admin".to_owned())
}

/// An end that is no failure, and that scripts tell by its number.
#[derive(Debug, thiserror::Error)]
#[error("{1}")]
struct ExitWith(u8, String);

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
            if let Some(ExitWith(status, said)) = error.downcast_ref() {
                let _ = writeln!(stderr, "{said}");
                return ExitCode::from(*status);
            }
            // Without a standard error the exit code alone has to tell.
            let _ = writeln!(stderr, "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    match &arguments.command {
        Some(Task::Completions { shell }) => {
            let (mut command, name) = (Arguments::command(), "switchyard-gateway");
            clap_complete::generate(*shell, &mut command, name, &mut std::io::stdout().lock());
            return Ok(());
        }
        Some(Task::Man { folder }) => return write_manual(folder),
        _ => {}
    }
    let settings = read_settings(arguments.settings, arguments.config);
    let settings = match (settings, &arguments.command) {
        (Ok(settings), _) => settings,
        (Err(fault), Some(Task::Doctor { json })) => {
            return tell(&doctor::Report::without_settings(&fault), *json);
        }
        (Err(fault), _) => return Err(fault.into()),
    };
    let log = match &arguments.command {
        // It speaks for itself; what it starts need not.
        Some(Task::Doctor { .. }) => "error",
        _ => &settings.log,
    };
    telemetry::start_log(log, settings.log_format)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the gateway's threads")?;
    runtime.block_on(run_task(arguments.command.unwrap_or(Task::Serve), settings))
}

/// The flags and the environment, over the file where there is one, over the defaults.
fn read_settings(flags: RawSettings, file: Option<PathBuf>) -> Result<Settings, ConfigError> {
    match config_file(file) {
        Some(path) => flags.or(RawSettings::from_file(&path)?).resolve(),
        None => flags.resolve(),
    }
}

/// The file that was named, or else the package's, where there is one. An empty name means none at all.
fn config_file(named: Option<PathBuf>) -> Option<PathBuf> {
    match named {
        Some(path) => (!path.as_os_str().is_empty()).then_some(path),
        None => Some(PathBuf::from(CONFIG_FILE)).filter(|path| path.exists()),
    }
}

/// One page for the program and one for each of its commands, as they are here.
fn write_manual(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let mut commands = vec![("switchyard-gateway".to_owned(), Arguments::command())];
    while let Some((name, command)) = commands.pop() {
        let usage = name.replacen("gateway-", "gateway ", 1);
        for task in command.get_subcommands().filter(|task| !task.is_hide_set()) {
            let name = format!("{name}-{}", task.get_name());
            let usage = format!("{usage} {}", task.get_name());
            let task = task.clone().display_name(&name).bin_name(usage);
            commands.push((name, task));
        }
        let path = folder.join(format!("{name}.{MANUAL_SECTION}"));
        let mut page = Vec::new();
        clap_mangen::Man::new(command)
            .section(MANUAL_SECTION)
            .render(&mut page)?;
        std::fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Prints what the doctor found.
fn tell(report: &doctor::Report, as_json: bool) -> anyhow::Result<()> {
    report.write(as_json, &mut std::io::stdout().lock())?;
    match report.errors() {
        0 => Ok(()),
        count => bail!("the doctor found {count} errors"),
    }
}

async fn run_task(task: Task, settings: Settings) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout();
    if let (Task::Serve | Task::CheckConfig, Some(files)) = (&task, &settings.tls) {
        tls::check(files)?;
    }
    if let Task::Serve | Task::CheckConfig = &task {
        settings.mqtt.as_ref().map_or(Ok(()), bridge::check)?;
        webhook::check(&settings.webhooks)?;
    }
    if matches!(task, Task::CheckConfig) {
        writeln!(stdout, "{settings:#?}")?;
        for warning in settings.warnings() {
            writeln!(stdout, "warning: {warning}")?;
        }
        writeln!(stdout, "the settings are in order")?;
        return Ok(());
    }
    if let Task::Doctor { json } = task {
        return tell(&doctor::examine(settings).await, json);
    }
    refuse_strangers(&settings.data)?;
    if let Task::Data(task) = task {
        return data::run(task, &settings).await;
    }
    let stores = Stores::open(&settings).await?;
    let config = &*stores.config;
    match task {
        Task::Serve => {
            for warning in settings.warnings() {
                tracing::warn!("{warning}");
            }
            let supervisor = Supervisor::from_environment()?;
            let listeners = Listeners::bind(&settings).await?;
            // Whoever reads that it listens may stop it from then on.
            let stop = stop_signal()?;
            listeners.announce(&mut stdout)?;
            serve_supervised(settings, stores, listeners, stop, supervisor).await?;
        }
        Task::Account(task) => accounts::run(task, config, &mut stdout).await?,
        Task::Site(task) => sites::run_site(task, config, &mut stdout).await?,
        Task::Controller(task) => sites::run_controller(task, config, &mut stdout).await?,
        Task::Enrol { title, count, site } => {
            let max = settings.controllers_max;
            enrol(config, &title, (count, site), max, &mut stdout).await?;
        }
        Task::Rollout(task) => rollouts::run(task, config, &mut stdout).await?,
        Task::History(task) => history::run(task, config, &mut stdout).await?,
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
        Task::Audit(task) => audit::run(task, config, &mut stdout).await?,
        Task::Script(task) => scripts::run(task, config, &mut stdout).await?,
        Task::Firmware(task) => firmwares::run(task, config, &mut stdout).await?,
        Task::Fleet(task) => fleet::run(task, config, &mut stdout).await?,
        // Done above.
        Task::CheckConfig
        | Task::CompileScript(_)
        | Task::Data(_)
        | Task::Doctor { .. }
        | Task::Completions { .. }
        | Task::Man { .. } => {}
    }
    Ok(())
}

async fn enrol(
    config: &dyn ConfigStore,
    title: &Title,
    (count, site): (u32, Option<SiteId>),
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
            Ok(NewController {
                title,
                key: ControllerKey(rand::random()),
                site,
            })
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    // In pieces that a store takes within its time limit; each is told once it is committed.
    for wanted in wanted.chunks(ENROLLED_AT_ONCE) {
        let now = crate::clock::time();
        let addresses = config.enrol(wanted.to_vec(), max, now).await?;
        for (address, new) in addresses.iter().zip(wanted) {
            writeln!(stdout, "{address} {}", hex::encode(&new.key.0))?;
        }
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

/// Refuses to work as root in another user's folder: what root makes there is closed to that user.
fn refuse_strangers(data: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(folder) = std::fs::metadata(data) else {
        return Ok(());
    };
    if rustix::process::geteuid().is_root() && folder.uid() != 0 {
        bail!(
            "the folder {} belongs to user {}, and what root makes in there would be closed to that user; \
             run this as the gateway's user, such as `runuser -u switchyard -- switchyard-gateway …`",
            data.display(),
            folder.uid()
        );
    }
    Ok(())
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

/// Whose doing it is what is done by command line, in what is kept of it: as with all that is the gateway's own,
/// nobody's account can be called that.
fn command_line() -> Title {
    crate::fixed_title(" command line")
}

#[cfg(test)]
mod tests {
    use super::*;

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
