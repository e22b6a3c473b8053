//! What a machine with nothing but Debian and Rust still lacks, and how it is got.

use crate::run::{cache_folder, cargo, output, root, run};
use anyhow::{Context, Result, bail};
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

/// Something that must be on the machine.
struct Need {
    /// Debian's package.
    package: &'static str,
    /// How to see that it is there.
    probe: Probe,
}

enum Probe {
    /// A program on the path.
    Program(&'static str),
    /// A C library that `pkg-config` knows.
    Library(&'static str),
}

const BUILD: &[Need] = &[
    Need {
        package: "gcc",
        probe: Probe::Program("cc"),
    },
    Need {
        package: "make",
        probe: Probe::Program("make"),
    },
    Need {
        package: "libc6-dev",
        probe: Probe::Program("cc"),
    },
    Need {
        package: "procps",
        probe: Probe::Program("kill"),
    },
];

const PAGE: &[Need] = &[
    Need {
        package: "nodejs",
        probe: Probe::Program("node"),
    },
    Need {
        package: "npm",
        probe: Probe::Program("npm"),
    },
];

const BROWSER: &[Need] = &[Need {
    package: "chromium",
    probe: Probe::Program("chromium"),
}];

const DESKTOP: &[Need] = &[
    Need {
        package: "pkg-config",
        probe: Probe::Program("pkg-config"),
    },
    Need {
        package: "libwebkit2gtk-4.1-dev",
        probe: Probe::Library("webkit2gtk-4.1"),
    },
    Need {
        package: "librsvg2-dev",
        probe: Probe::Library("librsvg-2.0"),
    },
    Need {
        package: "webkit2gtk-driver",
        probe: Probe::Program("WebKitWebDriver"),
    },
    Need {
        package: "xvfb",
        probe: Probe::Program("Xvfb"),
    },
    Need {
        package: "xauth",
        probe: Probe::Program("xauth"),
    },
];

/// The oldest Node.js that Vite 8 takes, and what is fetched from npm where Debian's is older.
const NODE_MIN: (u32, u32) = (20, 19);
const NODE_PACKAGE: &str = "node@20";

/// cargo-deny's version: a newer one may find new faults, so it moves only by a commit.
const DENY_VERSION: &str = "0.20.2";

/// What builds and runs the gateway, the console, the controllers and the page.
pub(crate) fn base() -> Result<()> {
    install(&[BUILD, PAGE])?;
    node().map(|_| ())
}

/// What the browser's story needs.
pub(crate) fn browser() -> Result<()> {
    install(&[BROWSER])
}

/// What builds the desktop app and shows its window.
pub(crate) fn desktop() -> Result<()> {
    install(&[DESKTOP])
}

impl Need {
    fn is_met(&self) -> bool {
        match self.probe {
            Probe::Program(name) => on_path(name),
            Probe::Library(name) => {
                output(Command::new("pkg-config").args(["--exists", name])).is_some()
            }
        }
    }
}

fn on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).exists())
    })
}

/// Installs Debian packages where we may, and names them where we may not.
fn install(needs: &[&[Need]]) -> Result<()> {
    let missing = || -> Vec<&str> {
        needs
            .iter()
            .flat_map(|group| group.iter())
            .filter(|need| !need.is_met())
            .map(|need| need.package)
            .collect()
    };
    let packages = missing();
    if packages.is_empty() {
        return Ok(());
    }
    let by_hand = format!("apt-get install {}", packages.join(" "));
    let is_root = output(Command::new("id").arg("-u")).as_deref() == Some("0");
    if !on_path("apt-get") || !is_root {
        bail!(
            "this machine lacks {}; as root: {by_hand}",
            packages.join(", ")
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
        .args(&packages))?;
    let left = missing();
    if !left.is_empty() {
        bail!(
            "installed {}, and still do not find {}",
            packages.join(", "),
            left.join(", ")
        );
    }
    Ok(())
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

/// Builds the page, so that the gateway and the desktop can take it in.
pub(crate) fn page() -> Result<()> {
    npm_packages()?;
    if newest(&root().join("ui"))? > modified(&root().join("ui/dist/index.html")) {
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
    let tools = cache_folder()?.join("tools");
    let program = tools.join("bin/cargo-deny");
    let found = output(Command::new(&program).arg("--version")).unwrap_or_default();
    if !found.ends_with(DENY_VERSION) {
        run(cargo()
            .args([
                "install",
                "cargo-deny",
                "--locked",
                "--version",
                DENY_VERSION,
                "--root",
            ])
            .arg(&tools)
            .env_remove("CARGO_TARGET_DIR"))?;
    }
    Ok(program)
}
