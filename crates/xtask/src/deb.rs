//! `cargo xtask test deb`: the README's way from a package to the first controller, on a Debian that has nothing.
//!
//! The commands are taken out of the README and run as they stand there, in a root of its own without a network. The
//! same root is then booted with systemd, where the package's units are started, restarted on passed listeners, and
//! removed.

use crate::{
    package::{self, Build},
    run::{cache_folder, output, root, run, target_folder},
};
use anyhow::{Context, Result, bail, ensure};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

/// What stands before the commands in the README.
const MARK: &str = "<!-- install: `cargo xtask test deb` runs these lines -->";
/// As many as a host's owner is asked to type.
const COMMANDS_MAX: usize = 5;
/// From the first command to a controller on line: seconds, of which most are dpkg's.
const STORY_TIMEOUT: Duration = Duration::from_secs(120);
/// From boot to power off.
const BOOT_TIMEOUT: Duration = Duration::from_secs(180);
/// What the last command prints when all is well.
const ON_LINE: &str = "No. 1 is on line";
/// What the check in the booted root writes at its end.
const ALL_WELL: &str = "all is well";

/// Builds the packages and walks through both stories.
pub(crate) fn test() -> Result<()> {
    let commands = commands(&fs::read_to_string(root().join("README.md"))?)?;
    let packages = package::packages(Build::Test)?;
    let debian = Debian::unpack()?;
    let gateway = packages.first().context("expected the gateway's package")?;
    for package in &packages {
        debian.put(package, "root")?;
    }
    let start = Instant::now();
    tell_story(&debian, &commands)?;
    println!(
        "deb: {} commands from {} to a controller on line, {} s",
        commands.len(),
        gateway.display(),
        start.elapsed().as_secs()
    );
    let start = Instant::now();
    boot(&debian)?;
    println!(
        "deb: booted, served, restarted, removed in {} s",
        start.elapsed().as_secs()
    );
    Ok(())
}

/// The commands in the README, without their remarks' lines.
fn commands(readme: &str) -> Result<Vec<String>> {
    let block = readme
        .split_once(MARK)
        .and_then(|(_, rest)| rest.trim_start().strip_prefix("```sh\n"))
        .and_then(|rest| rest.split_once("```"))
        .context("expected the commands in README.md, in a block after their mark")?
        .0;
    let commands: Vec<_> = block.lines().map(String::from).collect();
    ensure!(
        (1..=COMMANDS_MAX).contains(&commands.len()),
        "expected 1 to {COMMANDS_MAX} commands in README.md and found {}",
        commands.len()
    );
    Ok(commands)
}

/// A Debian in a folder, gone with this.
struct Debian {
    folder: PathBuf,
}

impl Drop for Debian {
    fn drop(&mut self) {
        // Nothing is mounted in here but in name spaces that are gone with their programs.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Debian {
    /// A fresh one. What debootstrap makes is kept outside the clone, for it takes a minute; the tests pass
    /// without.
    fn unpack() -> Result<Self> {
        let release = fs::read_to_string("/etc/os-release").context("reading /etc/os-release")?;
        let suite = release
            .lines()
            .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
            .context("expected a Debian that names its release")?;
        let cache = cache_folder()?;
        let base = cache.join(format!("debian-{suite}.tar"));
        let folder = target_folder().join(format!("dist/debian-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)?;
        let debian = Debian { folder };
        if !base.exists() {
            fs::create_dir_all(&cache)?;
            // The smallest there is, and what boots it.
            run(Command::new("debootstrap")
                .args(["--variant=minbase", "--include=systemd-sysv,dbus", suite])
                .arg(&debian.folder))?;
            // Whole or not at all, also when this is interrupted.
            let part = base.with_extension("part");
            run(Command::new("tar")
                .arg("-cf")
                .arg(&part)
                .arg("-C")
                .arg(&debian.folder)
                .arg("."))?;
            fs::rename(part, base)?;
            return Ok(debian);
        }
        run(Command::new("tar")
            .arg("-xf")
            .arg(&base)
            .arg("-C")
            .arg(&debian.folder))?;
        Ok(debian)
    }

    fn put(&self, file: &Path, folder: &str) -> Result<()> {
        let name = file.file_name().context("expected a file")?;
        fs::copy(file, self.folder.join(folder).join(name))
            .with_context(|| format!("copying {}", file.display()))?;
        Ok(())
    }

    /// Runs a script in it: with processes and a network of its own, which knows loopback only, and no way to leave
    /// anything running.
    fn script(&self, script: &str) -> Result<Command> {
        fs::write(self.folder.join("root/script"), script)?;
        let inside = "ip link set lo up && mount -t proc proc \"$0/proc\" && exec chroot \"$0\" \
                      /bin/bash -c 'cd /root && exec bash script'";
        let mut command = Command::new("unshare");
        command
            .args([
                "--mount",
                "--net",
                "--pid",
                "--fork",
                "--kill-child",
                "sh",
                "-c",
                inside,
            ])
            .arg(&self.folder)
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .env("HOME", "/root")
            .env("DEBIAN_FRONTEND", "noninteractive")
            // The README's command asks for it at a prompt.
            .env("SWITCHYARD_PASSWORD", "a yard on loopback only")
            .stdin(Stdio::null());
        Ok(command)
    }
}

/// The README's commands, until the last of them says that its controller is on line.
fn tell_story(debian: &Debian, commands: &[String]) -> Result<()> {
    let script = format!("set -ex\n{}\n", commands.join("\n"));
    let mut running = Running::start(&mut debian.script(&script)?)?;
    running.wait_for(ON_LINE, STORY_TIMEOUT)
}

/// Boots the root with systemd, and lets a service of its own look at everything.
fn boot(debian: &Debian) -> Result<()> {
    let system = debian.folder.join("etc/systemd/system");
    fs::write(debian.folder.join("root/check"), CHECK)?;
    fs::write(system.join("check.service"), CHECK_UNIT)?;
    let wants = system.join("multi-user.target.wants");
    fs::create_dir_all(&wants)?;
    std::os::unix::fs::symlink("../check.service", wants.join("check.service"))?;
    let mut nspawn = Command::new("systemd-nspawn");
    nspawn
        .args([
            "--boot",
            "--register=no",
            "--keep-unit",
            "--private-network",
            "--console=pipe",
        ])
        .arg("--directory")
        .arg(&debian.folder)
        .stdin(Stdio::null());
    // The check powers it off, well or not.
    let said = Running::start(&mut nspawn)?.wait(BOOT_TIMEOUT);
    let log = fs::read_to_string(debian.folder.join("root/check.log")).unwrap_or_default();
    ensure!(
        log.lines().last() == Some(ALL_WELL),
        "the booted Debian is not well:\n{}\n--- the check's log\n{log}",
        said.join("\n")
    );
    Ok(())
}

const CHECK_UNIT: &str = "[Unit]
After=switchyard-gateway.service
Wants=switchyard-gateway.service
[Service]
Type=oneshot
ExecStart=/bin/bash /root/check
ExecStopPost=/bin/systemctl --no-block poweroff
[Install]
WantedBy=multi-user.target
";

/// What is looked at in the booted root. The package has been installed before systemd ran, so that what it enabled is
/// what starts.
const CHECK: &str = include_str!("deb_check.sh");

/// A program whose lines are read as they come.
struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    fn start(command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        let (sender, lines) = mpsc::channel();
        let outputs: [Option<Box<dyn std::io::Read + Send>>; 2] = [
            child.stdout.take().map(|it| Box::new(it) as _),
            child.stderr.take().map(|it| Box::new(it) as _),
        ];
        for stream in outputs.into_iter().flatten() {
            let sender = sender.clone();
            std::thread::spawn(move || {
                let lines = BufReader::new(stream).split(b'\n').map_while(Result::ok);
                lines
                    .map(|line| String::from_utf8_lossy(&line).trim_end().to_owned())
                    .all(|line| sender.send(line).is_ok())
            });
        }
        Ok(Running { child, lines })
    }

    /// Waits for its end and gives what it said; whatever has no end by then gets one.
    fn wait(self, limit: Duration) -> Vec<String> {
        let deadline = Instant::now() + limit;
        let left = || deadline.saturating_duration_since(Instant::now());
        std::iter::from_fn(|| self.lines.recv_timeout(left()).ok()).collect()
    }

    /// Waits for a line that holds these words; shows all that came when they do not.
    fn wait_for(&mut self, words: &str, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        let mut seen = Vec::new();
        while let Ok(line) = self
            .lines
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            let is_it = line.contains(words);
            seen.push(line);
            if is_it {
                return Ok(());
            }
        }
        bail!("waited in vain for {words:?}:\n{}", seen.join("\n"))
    }
}

/// Whether this machine lets us: roots and name spaces are root's business.
pub(crate) fn ready() -> Result<()> {
    let id = output(Command::new("id").arg("-u"));
    ensure!(
        id.as_deref() == Some("0"),
        "the test of the packages makes a root of its own and boots it: run it as root, or name the other parts"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_has_its_commands() {
        let readme = fs::read_to_string(root().join("README.md")).unwrap();
        let commands = commands(&readme).unwrap();
        assert!(
            commands[0].starts_with("apt install ./switchyard-gateway_*.deb"),
            "{commands:?}"
        );
    }

    #[test]
    fn too_many_commands_are_refused() {
        let block = |lines: usize| format!("{MARK}\n```sh\n{}```\n", "true\n".repeat(lines));
        assert_eq!(commands(&block(5)).unwrap().len(), 5);
        assert!(commands(&block(6)).is_err());
        assert!(commands(&block(0)).is_err());
        assert!(commands("```sh\ntrue\n```").is_err());
    }
}
