//! A whole yard on this machine: a gateway with its own folder, accounts, enrolled controllers.

use crate::{Program, Programs, wait_until};
use anyhow::{Context, Result, bail};
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The password of every account that a [`Yard`] makes.
pub const PASSWORD: &str = "a yard on loopback only";

/// An enrolled controller: its number, and the key that it was given.
#[derive(Clone)]
pub struct Controller {
    /// Its address.
    pub address: u32,
    /// Its 32-byte key in hex.
    pub key: String,
}

/// What differs from the sample settings.
#[derive(Clone, Debug, Default)]
pub struct YardOptions {
    /// Whether the clear link is offered.
    pub clear: bool,
    /// Further flags of the gateway.
    pub flags: Vec<String>,
    /// What is in the environment of the gateway and its commands: settings that bear passwords.
    pub environment: Vec<(String, String)>,
}

/// A running gateway. It keeps its ports over a restart, so that peers find it again.
pub struct Yard {
    programs: Programs,
    options: YardOptions,
    // Before the folder, since fields are dropped in this order: a gateway that still runs writes
    // there, and what it wrote last would stay behind.
    gateway: Option<Program>,
    folder: tempfile::TempDir,
    listen_tcp: String,
    listen_http: String,
    listen_clear: String,
}

impl Yard {
    /// Makes a folder, the accounts `viewer`, `operator`, `technician` and `admin`, and starts the
    /// gateway on free ports.
    ///
    /// # Errors
    /// What any of the programs complained of.
    pub fn start(programs: &Programs, options: YardOptions) -> Result<Self> {
        let mut yard = Self::prepare(programs, options)?;
        for role in ["viewer", "operator", "technician", "admin"] {
            yard.add_account(role, role)?;
        }
        yard.start_gateway()?;
        Ok(yard)
    }

    /// The same as it is just after it was installed: without any account.
    ///
    /// # Errors
    /// What the gateway complained of.
    pub fn start_new(programs: &Programs) -> Result<Self> {
        let mut yard = Self::prepare(programs, YardOptions::default())?;
        yard.start_gateway()?;
        Ok(yard)
    }

    /// A gateway on another host: its database is filled from a backup of another yard, whose master key it has.
    ///
    /// # Errors
    /// What the gateway complained of.
    pub fn start_restored(
        programs: &Programs,
        options: YardOptions,
        from: &Yard,
        backup: &Path,
    ) -> Result<Self> {
        let mut yard = Self::prepared(programs, options, from)?;
        let backup = backup.to_str().context("the backup's name is no text")?;
        yard.manage(&["restore", backup])?;
        yard.start_gateway()?;
        Ok(yard)
    }

    /// An empty host with the master key of another yard, whose gateway is still to be started.
    ///
    /// # Errors
    /// When the key is not to be copied.
    pub fn prepared(programs: &Programs, options: YardOptions, from: &Yard) -> Result<Self> {
        let yard = Self::prepare(programs, options)?;
        let data = yard.folder().join("data");
        std::fs::create_dir(&data)?;
        let master_key = from.folder().join("data/master.key");
        std::fs::copy(master_key, data.join("master.key"))?;
        Ok(yard)
    }

    fn prepare(programs: &Programs, options: YardOptions) -> Result<Self> {
        Ok(Yard {
            programs: programs.clone(),
            folder: tempfile::Builder::new().prefix("switchyard-").tempdir()?,
            options,
            gateway: None,
            listen_tcp: "127.0.0.1:0".into(),
            listen_http: "127.0.0.1:0".into(),
            listen_clear: "127.0.0.1:0".into(),
        })
    }

    /// The folder that goes with the yard; tests put their files there too.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where the programs are.
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// `HOST:PORT` of the controllers' listener.
    pub fn tcp(&self) -> &str {
        &self.listen_tcp
    }

    /// `HOST:PORT` of the clear listener.
    pub fn clear(&self) -> &str {
        &self.listen_clear
    }

    /// `HOST:PORT` of the HTTP listener.
    pub fn http(&self) -> &str {
        &self.listen_http
    }

    /// The page's address.
    pub fn url(&self) -> String {
        format!("http://{}", self.listen_http)
    }

    /// The running gateway.
    ///
    /// # Errors
    /// When it has been killed.
    pub fn gateway(&mut self) -> Result<&mut Program> {
        self.gateway.as_mut().context("the gateway is not running")
    }

    /// Makes an account with the role and [`PASSWORD`].
    ///
    /// # Errors
    /// What the gateway's command complained of.
    pub fn add_account(&self, name: &str, role: &str) -> Result<()> {
        let mut command = self.gateway_command()?;
        command.args(["account", "add", name, "--role", role, "--password-stdin"]);
        run(&mut command, PASSWORD).map(|_| ())
    }

    /// The code by which the first account is made, out of the data folder. The gateway writes it
    /// shortly after it has named its listeners.
    ///
    /// # Errors
    /// When there is none, as where there is an account.
    pub fn setup_code(&self) -> Result<String> {
        let file = self.folder().join("data/setup-code");
        wait_until("a set-up code", || {
            let text = std::fs::read_to_string(&file).ok()?;
            // Its end says that it is there whole.
            text.strip_suffix('\n').map(str::to_owned)
        })
    }

    /// Gives an account a second factor, and its secret in base 32, as the account's app is told it.
    ///
    /// # Errors
    /// What the gateway's command complained of.
    pub fn give_second_factor(&self, account: &str) -> Result<String> {
        let mut command = self.gateway_command()?;
        command.args(["account", "totp", account]);
        let told = run(&mut command, "")?;
        let (_, secret) = told
            .split_once("secret=")
            .with_context(|| format!("expected a secret in {told:?}"))?;
        let is_letter = |it: char| it.is_ascii_alphanumeric();
        let end = secret.find(|it| !is_letter(it)).unwrap_or(secret.len());
        Ok(secret[..end].to_owned())
    }

    /// What another of the gateway's own commands prints, on its data.
    ///
    /// # Errors
    /// What it complained of.
    pub fn manage(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.gateway_command()?;
        command.args(arguments);
        run(&mut command, "")
    }

    /// The same with something on its standard input.
    ///
    /// # Errors
    /// What it complained of.
    pub fn manage_with(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut command = self.gateway_command()?;
        command.args(arguments);
        run(&mut command, input)
    }

    /// Enrols controllers by the gateway's own command.
    ///
    /// # Errors
    /// What the gateway's command complained of.
    pub fn enrol(&self, title: &str, count: usize) -> Result<Vec<Controller>> {
        let mut command = self.gateway_command()?;
        command.args(["enrol", title, "--count", &count.to_string()]);
        run(&mut command, "")?
            .lines()
            .map(|line| {
                let (address, key) = line
                    .split_once(' ')
                    .with_context(|| format!("expected `ADDRESS KEY` and found {line:?}"))?;
                Ok(Controller {
                    address: address.parse()?,
                    key: key.trim().into(),
                })
            })
            .collect()
    }

    /// Starts a virtual controller and waits until the gateway has it.
    ///
    /// # Errors
    /// What it complained of.
    pub fn start_controller(&self, controller: &Controller, flags: &[&str]) -> Result<Program> {
        let address = controller.address;
        let mut program = self.dial_controller(controller, flags)?;
        let expected = format!("No. {address} is on line");
        program.wait_for_line(&expected, |line| (line == expected).then_some(()))?;
        Ok(program)
    }

    /// Starts a virtual controller and waits for nothing.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn dial_controller(&self, controller: &Controller, flags: &[&str]) -> Result<Program> {
        let address = controller.address.to_string();
        let key_file = self.folder().join(format!("{address}.key"));
        std::fs::write(&key_file, &controller.key)?;
        let mut command = self.programs.command("virtual-controller")?;
        command
            .args([
                "--gateway",
                &self.listen_tcp,
                "--address",
                &address,
                "--key-file",
            ])
            .arg(key_file)
            .args(flags);
        Program::start(&format!("controller {address}"), &mut command)
    }

    /// A console command with a configuration folder of its own, under which `account` is logged
    /// in.
    ///
    /// # Errors
    /// What the log-in complained of.
    pub fn console(&self, account: &str) -> Result<Console> {
        let console = Console {
            program: self.programs.path("switchyard")?,
            folder: self.folder().join(format!("console-{account}")),
        };
        let mut login = console.command(&[
            "login",
            &self.url(),
            "--account",
            account,
            "--password-stdin",
        ]);
        run(&mut login, PASSWORD)?;
        Ok(console)
    }

    /// Ends the gateway as a power cut would.
    ///
    /// # Errors
    /// When it is not running.
    pub fn kill_gateway(&mut self) -> Result<()> {
        self.gateway()?.kill()?;
        self.gateway = None;
        Ok(())
    }

    /// Starts the gateway again, on the ports that it had.
    ///
    /// # Errors
    /// What it complained of.
    pub fn start_gateway(&mut self) -> Result<()> {
        let mut command = self.gateway_command()?;
        command.args([
            "--listen-tcp",
            &self.listen_tcp,
            "--listen-http",
            &self.listen_http,
        ]);
        if self.options.clear {
            command.args(["--listen-clear", &self.listen_clear]);
        }
        command.args(&self.options.flags);
        let mut gateway = Program::start("gateway", &mut command)?;
        let mut listening = |what: &str| {
            let prefix = format!("listening {what} ");
            gateway.wait_for_line(&prefix, |line| line.strip_prefix(&prefix).map(String::from))
        };
        self.listen_tcp = listening("tcp")?;
        self.listen_http = listening("http")?;
        if self.options.clear {
            self.listen_clear = listening("clear")?;
        }
        self.gateway = Some(gateway);
        Ok(())
    }

    fn gateway_command(&self) -> Result<Command> {
        let mut command = self.programs.command("switchyard-gateway")?;
        command.arg("--data").arg(self.folder().join("data"));
        // Whatever this host has under /etc.
        command.env("SWITCHYARD_GATEWAY_CONFIG", "");
        command.envs(self.options.environment.iter().cloned());
        Ok(command)
    }
}

/// A console with somebody logged in.
#[derive(Clone, Debug)]
pub struct Console {
    program: PathBuf,
    folder: PathBuf,
}

impl Console {
    /// A command of this console.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env("SWITCHYARD_CONFIG", &self.folder)
            .args(arguments);
        command
    }

    /// Where its log-in is kept.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs a command to its end: exit code, standard output, standard error.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn run(&self, arguments: &[&str]) -> Result<(i32, String, String)> {
        let output = self.command(arguments).stdin(Stdio::null()).output()?;
        Ok((
            output.status.code().unwrap_or(-1),
            String::from_utf8(output.stdout)?,
            String::from_utf8(output.stderr)?,
        ))
    }

    /// Runs a command with `--json` and reads its lines.
    ///
    /// # Errors
    /// When it fails or prints something else.
    pub fn json(&self, arguments: &[&str]) -> Result<Vec<serde_json::Value>> {
        let (code, stdout, stderr) = self.run(&[arguments, &["--json"]].concat())?;
        if code != 0 {
            bail!("{arguments:?} ended with {code}: {stdout}{stderr}");
        }
        stdout
            .lines()
            .map(|line| serde_json::from_str(line).with_context(|| format!("reading {line:?}")))
            .collect()
    }
}

/// Runs a command to its end with something on its standard input, and gives what it printed.
fn run(command: &mut Command, input: &str) -> Result<String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {command:?}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        match writeln!(stdin, "{input}") {
            // It has ended without reading, and says itself why.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            written => written?,
        }
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!(
            "{command:?} ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}
