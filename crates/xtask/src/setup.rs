//! What a machine with nothing but Debian and Rust still lacks, and how it is got.

use crate::run::{cache_folder, cargo, output, root, run, target_folder};
use anyhow::{Context, Result, bail};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

/// Something that must be on the machine.
#[derive(Debug)]
pub(crate) struct Need {
    /// Debian's package.
    package: &'static str,
    /// How to see that it is there.
    probe: Probe,
}

#[derive(Debug)]
enum Probe {
    /// A program on the path.
    Program(&'static str),
    /// A C library that `pkg-config` knows.
    Library(&'static str),
    /// A file in its place.
    File(&'static str),
}

const fn need(package: &'static str, probe: Probe) -> Need {
    Need { package, probe }
}

/// What builds the Rust and C rooms. Debian's `gcc` only recommends the C library's headers.
pub(crate) const BUILD: &[Need] = &[
    need("gcc", Probe::Program("cc")),
    need("libc6-dev", Probe::File("/usr/include/stdio.h")),
    need("make", Probe::Program("make")),
];

/// What builds for the chip's instruction set, and runs it.
pub(crate) const CHIP: &[Need] = &[
    need("gcc-xtensa-lx106", Probe::Program("xtensa-lx106-elf-gcc")),
    need(
        "binutils-xtensa-lx106",
        Probe::Program("xtensa-lx106-elf-ld"),
    ),
    need(
        "picolibc-xtensa-lx106-elf",
        Probe::File("/usr/lib/xtensa-lx106-elf/lib/libc.a"),
    ),
    need("qemu-system-misc", Probe::Program("qemu-system-xtensa")),
];

/// What builds the fuzz targets; their C by the compiler whose fuzzer it is.
pub(crate) const FUZZ: &[Need] = &[need("clang", Probe::Program("clang"))];

/// What builds the page.
pub(crate) const PAGE: &[Need] = &[
    need("nodejs", Probe::Program("node")),
    need("npm", Probe::Program("npm")),
];

/// What starts and stops the programs: `kill` is no program of its own without it.
pub(crate) const PROGRAMS: &[Need] = &[need("procps", Probe::Program("kill"))];

/// The servers that the tests start by themselves, and that a gateway may work with.
pub(crate) const SERVICES: &[Need] = &[
    need("redis-server", Probe::Program("redis-server")),
    need("mariadb-server", Probe::File("/usr/sbin/mariadbd")),
    need("mosquitto", Probe::File("/usr/sbin/mosquitto")),
];

/// What the tests call, and what speaks to it.
pub(crate) const TELEPHONES: &[Need] = &[
    need("sip-tester", Probe::Program("sipp")),
    need("baresip", Probe::Program("baresip")),
    need("espeak-ng", Probe::Program("espeak-ng")),
];

/// What the stories in a browser need.
pub(crate) const BROWSER: &[Need] = &[need("chromium", Probe::Program("chromium"))];

/// What the programs from PyPI are kept in.
pub(crate) const PYTHON: &[Need] = &[
    need("python3", Probe::Program("python3")),
    need("python3-venv", Probe::File("/usr/share/doc/python3-venv")),
];

/// What packs a Debian package: cargo-deb asks dpkg which libraries a program wants.
pub(crate) const PACKAGE: &[Need] = &[
    need("binutils", Probe::Program("strip")),
    need("dpkg-dev", Probe::Program("dpkg-shlibdeps")),
];

/// What makes a Debian in a folder, and boots it.
pub(crate) const DEBIAN: &[Need] = &[
    need("debootstrap", Probe::File("/usr/sbin/debootstrap")),
    need("iproute2", Probe::Program("ip")),
    need("mount", Probe::Program("mount")),
    need("systemd-container", Probe::Program("systemd-nspawn")),
    need("util-linux", Probe::Program("unshare")),
];

/// What judges the service's unit.
pub(crate) const UNITS: &[Need] = &[need("systemd", Probe::Program("systemd-analyze"))];

/// The relays that Debian has and ours is measured beside.
pub(crate) const PEERS: &[Need] = &[
    need("mosquitto", Probe::File("/usr/sbin/mosquitto")),
    need("nats-server", Probe::File("/usr/sbin/nats-server")),
];

/// What builds the desktop app and shows its window.
pub(crate) const DESKTOP: &[Need] = &[
    need("pkg-config", Probe::Program("pkg-config")),
    need("libwebkit2gtk-4.1-dev", Probe::Library("webkit2gtk-4.1")),
    need("librsvg2-dev", Probe::Library("librsvg-2.0")),
    need("webkit2gtk-driver", Probe::Program("WebKitWebDriver")),
    need("xvfb", Probe::Program("Xvfb")),
    need("xauth", Probe::Program("xauth")),
    need("dbus-daemon", Probe::Program("dbus-daemon")),
];

/// The oldest Node.js that Vite 8 takes, and what is fetched from npm where Debian's is older.
const NODE_MIN: (u32, u32) = (20, 19);
const NODE_PACKAGE: &str = "node@20";

/// rumqttd's version: figures of another one are others.
const RUMQTTD_VERSION: &str = "0.20.0";

/// schemathesis' version: a newer one may find new faults, so it moves only by a commit.
const SCHEMATHESIS_VERSION: &str = "4.32.5";

/// esptool's version: what it sends is what the virtual board was proven against, so it moves only by a
/// commit.
const ESPTOOL_VERSION: &str = "5.6.0";

/// cargo-deb's version: what it makes of the maintainers' scripts is part of the package.
const DEB_VERSION: &str = "3.8.0";

/// cargo-deny's version: a newer one may find new faults, so it moves only by a commit.
const DENY_VERSION: &str = "0.20.2";

impl Need {
    fn is_met(&self) -> bool {
        match self.probe {
            Probe::Program(name) => on_path(name),
            Probe::Library(name) => {
                output(Command::new("pkg-config").args(["--exists", name])).is_some()
            }
            Probe::File(path) => Path::new(path).exists(),
        }
    }
}

fn on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).exists())
    })
}

/// Sees to it that everything of these groups is there: installs what is missing where we may, and
/// names all of it at once where we may not.
pub(crate) fn ready(groups: &[&[Need]]) -> Result<()> {
    let packages = missing(groups, Need::is_met);
    if !packages.is_empty() {
        install(&packages)?;
        let left = missing(groups, Need::is_met);
        if !left.is_empty() {
            bail!(
                "installed {}, and still do not find {}",
                packages.join(", "),
                left.join(", ")
            );
        }
    }
    Ok(())
}

/// Sees to it that `cargo fuzz` is there. It is not built for whoever wants it once a year: that takes longer
/// than to say so.
pub(crate) fn cargo_fuzz() -> Result<()> {
    if !on_path("cargo-fuzz") {
        bail!("this machine lacks cargo-fuzz; cargo install cargo-fuzz, and have it on the PATH");
    }
    Ok(())
}

/// Installs the peers that are missing, and stops the services as which Debian starts them: the bench
/// runs them by itself, with settings of its own.
pub(crate) fn peers() -> Result<()> {
    let installed = missing(&[PEERS], Need::is_met);
    ready(&[PEERS])?;
    for service in installed {
        // Where nothing runs services there is nothing to stop.
        let _ = output(Command::new("service").args([service, "stop"]));
    }
    Ok(())
}

/// rumqttd, built once from crates.io and kept beside what we build, or why it is not to be had.
pub(crate) fn rumqttd() -> Result<()> {
    let peers = target_folder().join("peers");
    if peers.join("bin/rumqttd").exists() {
        return Ok(());
    }
    run(cargo()
        .args(["install", "rumqttd", "--version", RUMQTTD_VERSION, "--root"])
        .arg(&peers)
        .env_remove("CARGO_TARGET_DIR"))
}

/// The packages of what is not there, each once.
fn missing(groups: &[&[Need]], is_met: impl Fn(&Need) -> bool) -> Vec<&'static str> {
    let mut packages: Vec<&str> = Vec::new();
    for need in groups.iter().copied().flatten() {
        if !packages.contains(&need.package) && !is_met(need) {
            packages.push(need.package);
        }
    }
    packages
}

/// Installs Debian packages.
fn install(packages: &[&str]) -> Result<()> {
    let is_root = output(Command::new("id").arg("-u")).as_deref() == Some("0");
    if !on_path("apt-get") || !is_root {
        bail!(
            "this machine lacks {}; as root: apt-get install {}",
            packages.join(", "),
            packages.join(" ")
        );
    }
    let apt = || {
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive");
        apt
    };
    run(apt().args(["update", "-qq"]))?;
    run(apt()
        .args(["install", "-y", "-qq", "--no-install-recommends"])
        .args(packages))
}

/// `PATH` with a Node.js that is new enough in front.
pub(crate) fn node() -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if node_is_new_enough("node") {
        return Ok(path);
    }
    let folder = cache_folder()?.join("node");
    let bin = folder.join("node_modules/node/bin");
    if !node_is_new_enough(bin.join("node")) {
        std::fs::create_dir_all(&folder)?;
        run(Command::new("npm")
            .arg("install")
            .arg("--prefix")
            .arg(&folder)
            .arg(NODE_PACKAGE))?;
    }
    if !node_is_new_enough(bin.join("node")) {
        bail!(
            "expected Node.js {}.{} or newer from Debian or npm and found none",
            NODE_MIN.0,
            NODE_MIN.1
        );
    }
    Ok(std::env::join_paths(
        std::iter::once(bin).chain(std::env::split_paths(&path)),
    )?)
}

fn node_is_new_enough(program: impl AsRef<std::ffi::OsStr>) -> bool {
    let version = output(Command::new(program).arg("--version")).unwrap_or_default();
    let mut numbers = version
        .trim_start_matches('v')
        .split('.')
        .map_while(|part| part.parse().ok());
    numbers
        .next()
        .zip(numbers.next())
        .is_some_and(|found: (u32, u32)| found >= NODE_MIN)
}

/// An npm command in `ui/`.
pub(crate) fn npm() -> Result<Command> {
    let mut npm = Command::new("npm");
    npm.current_dir(root().join("ui")).env("PATH", node()?);
    Ok(npm)
}

/// Installs the page's packages when the lock file is not the one that was installed last.
pub(crate) fn npm_packages() -> Result<()> {
    let ui = root().join("ui");
    let lock =
        std::fs::read(ui.join("package-lock.json")).context("reading ui/package-lock.json")?;
    let stamp = ui.join("node_modules/.switchyard-lock");
    if std::fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    run(npm()?.args(["ci", "--no-audit", "--no-fund"]))?;
    Ok(std::fs::write(stamp, lock)?)
}

/// What building the pages makes, and what takes them in: the gateway and the desktop, the firmware.
const PAGES: &[&str] = &["dist/index.html", "controller/dist/policy.txt"];

/// Builds the operators' page and the controller's own, where one is missing or older than a source.
pub(crate) fn page() -> Result<()> {
    npm_packages()?;
    let ui = root().join("ui");
    // What is missing is older than everything.
    let oldest = PAGES.iter().map(|page| modified(&ui.join(page))).min();
    if newest(&ui)? > oldest.flatten() {
        run(npm()?.args(["run", "build"]))?;
    }
    Ok(())
}

/// When a file was last written; none is older than everything.
fn modified(path: &Path) -> Option<std::time::SystemTime> {
    std::fs::metadata(path)
        .and_then(|found| found.modified())
        .ok()
}

/// When the newest source below a folder was written.
fn newest(folder: &Path) -> Result<Option<std::time::SystemTime>> {
    let mut latest = None;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let of_path = match path.file_name().and_then(|name| name.to_str()) {
            Some("node_modules" | "dist" | "tests") => None,
            _ if path.is_dir() => newest(&path)?,
            _ => modified(&path),
        };
        latest = latest.max(of_path);
    }
    Ok(latest)
}

/// cargo-deny, built once from crates.io and kept outside the clone.
pub(crate) fn cargo_deny() -> Result<PathBuf> {
    cargo_tool("cargo-deny", DENY_VERSION)
}

/// cargo-deb, in the same way.
pub(crate) fn cargo_deb() -> Result<PathBuf> {
    cargo_tool("cargo-deb", DEB_VERSION)
}

fn cargo_tool(name: &str, version: &str) -> Result<PathBuf> {
    let tools = cache_folder()?.join("tools");
    let program = tools.join("bin").join(name);
    let found = output(Command::new(&program).arg("--version")).unwrap_or_default();
    if !found.ends_with(version) {
        run(cargo()
            .args(["install", name, "--locked", "--version", version, "--root"])
            .arg(&tools)
            .env_remove("CARGO_TARGET_DIR"))?;
    }
    Ok(program)
}

/// schemathesis, installed once from PyPI into a folder of its own outside the clone.
pub(crate) fn schemathesis() -> Result<PathBuf> {
    from_pypi("schemathesis", SCHEMATHESIS_VERSION, &["--version"])
}

/// esptool, in the same way.
pub(crate) fn esptool() -> Result<PathBuf> {
    from_pypi("esptool", ESPTOOL_VERSION, &["version"])
}

/// A program from PyPI, asked for its version by these words.
fn from_pypi(name: &str, version: &str, ask: &[&str]) -> Result<PathBuf> {
    let folder = cache_folder()?.join(format!("{name}-{version}"));
    let program = folder.join("bin").join(name);
    let found = output(Command::new(&program).args(ask)).unwrap_or_default();
    if !found.ends_with(version) {
        run(Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&folder))?;
        run(Command::new(folder.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check"])
            .arg(format!("{name}=={version}")))?;
    }
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_every_missing_package_once() {
        let groups = [BUILD, DESKTOP, DESKTOP];
        assert_eq!(
            missing(&groups, |need| need.package.starts_with("lib")),
            [
                "gcc",
                "make",
                "pkg-config",
                "webkit2gtk-driver",
                "xvfb",
                "xauth",
                "dbus-daemon"
            ]
        );
        assert!(missing(&groups, |_| true).is_empty());
    }

    #[test]
    fn sees_what_is_there_by_its_own_sign() {
        for (probe, is_there) in [
            (Probe::Program("sh"), true),
            (Probe::Program("no-such-program"), false),
            (Probe::File("/etc/passwd"), true),
            (Probe::File("/etc/no-such-file"), false),
            (Probe::Library("no-such-library"), false),
        ] {
            let need = need("it", probe);
            assert_eq!(need.is_met(), is_there, "{need:?}");
        }
    }
}
