//! `cargo xtask dist`: the Debian packages, by cargo-deb.
//!
//! What goes into them is listed beside each program, in the `Cargo.toml` of `gateway` and `tui`. Here is made what
//! is not in the repository: programs without their debug information, manual pages and completions by the programs
//! themselves, the settings' file out of the sample.

use crate::{
    run::{output, root, run, target_folder},
    setup::{self, BUILD, PACKAGE, PAGE, PROGRAMS},
    test,
};
use anyhow::{Context, Result, bail, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The packages: the room, its program, and the others that go into it.
const PACKAGES: [(&str, &str, &[&str]); 2] = [
    ("gateway", "switchyard-gateway", &["virtual-controller"]),
    ("tui", "switchyard", &[]),
];
/// Where the gateway keeps what it keeps, on a host with the package.
const DATA: &str = "data = \"/var/lib/switchyard\"";
/// The shells for which completions go in, and what their files are called.
const SHELLS: [(&str, &str, &str); 3] = [
    ("bash", "", ".bash"),
    ("zsh", "_", ""),
    ("fish", "", ".fish"),
];

/// How the packages are built.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// For hosts.
    Release,
    /// For tests: of the programs that the other tests use, and packed in less time.
    Test,
}

impl Build {
    /// Cargo's folder for it.
    const fn folder(self) -> &'static str {
        match self {
            Build::Release => "release",
            Build::Test => "debug",
        }
    }
}

/// Builds the packages for hosts and says where they are.
pub(crate) fn dist() -> Result<()> {
    setup::ready(&[BUILD, PAGE, PROGRAMS, PACKAGE])?;
    setup::page()?;
    test::build_programs(&["--release"])?;
    for package in packages(Build::Release)? {
        println!("{}", package.display());
    }
    Ok(())
}

/// Packs programs that have been built; the gateway's package is the first.
pub(crate) fn packages(build: Build) -> Result<Vec<PathBuf>> {
    let cargo_deb = setup::cargo_deb()?;
    let dist = target_folder().join("dist").join(build.folder());
    // cargo-deb takes built things out of `release` of cargo's target folder and nowhere else: it is given one that
    // holds nothing but them.
    let stage = dist.join("stage");
    let mut packages = Vec::new();
    for (room, program, others) in PACKAGES {
        let release = stage.join("release");
        for name in [&[program], others].concat() {
            strip(
                &target_folder().join(build.folder()).join(name),
                &release.join(name),
            )?;
        }
        extras(room, program, &release)?;
        let package = dist.join(format!("{program}.deb"));
        let mut deb = Command::new(&cargo_deb);
        deb.env("CARGO_TARGET_DIR", &stage)
            .args(["--no-build", "--no-strip", "--package"])
            .arg(format!("switchyard-{room}"));
        if build == Build::Test {
            deb.arg("--fast");
        }
        // Under its full name, in a folder without older ones.
        let folder = dist.join(room);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)?;
        run(deb.arg("--output").arg(&folder))?;
        let found = fs::read_dir(&folder)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.extension().is_some_and(|extension| extension == "deb"));
        packages.push(found.with_context(|| format!("expected {} to be made", package.display()))?);
    }
    Ok(packages)
}

/// A program without what only a debugger reads.
fn strip(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    run(Command::new("strip")
        .args(["--strip-unneeded", "-o"])
        .args([to, from]))
}

/// Manual, completions, change log and settings, in the folder `package` beside the programs.
fn extras(room: &str, program: &str, release: &Path) -> Result<()> {
    let folder = release.join("package");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    run(Command::new(release.join(program))
        .arg("man")
        .arg(folder.join("man")))?;
    for (shell, before, after) in SHELLS {
        let script = output(Command::new(release.join(program)).args(["completions", shell]));
        let script = script.with_context(|| format!("expected completions for {shell}"))?;
        fs::write(
            folder.join(format!("{before}{program}{after}")),
            script + "\n",
        )?;
    }
    let log = folder.join("changelog.Debian");
    fs::write(&log, changelog(program)?)?;
    // As Debian wants them; without a name and a time, so that the same is made of the same.
    run(Command::new("gzip")
        .args(["-9n", "--recursive"])
        .arg(folder.join("man"))
        .arg(&log))?;
    if room == "gateway" {
        let sample = fs::read_to_string(root().join("gateway/switchyard.sample.toml"))?;
        fs::write(folder.join("gateway.toml"), host_settings(&sample)?)?;
    }
    Ok(())
}

/// Debian's change log names this version; what changed stands in ours, which goes along.
fn changelog(program: &str) -> Result<String> {
    let date = output(Command::new("date").args(["--rfc-email"])).context("asking for the date")?;
    Ok(format!(
        "{program} ({}-1) stable; urgency=medium\n\n  * See CHANGELOG.md beside this file.\n\n -- The Switchyard developers <switchyard@localhost>  {date}\n",
        env!("CARGO_PKG_VERSION")
    ))
}

/// The sample as a host's own settings: every key is there with its words and switched off, so that the program's
/// default holds until somebody wants another; only the folder is a host's.
fn host_settings(sample: &str) -> Result<String> {
    let mut text = String::new();
    let mut has_data = false;
    for line in sample.lines() {
        let is_setting = line
            .split_once(" = ")
            .is_some_and(|(key, _)| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
        if line.starts_with("data = ") {
            has_data = true;
            text.push_str(DATA);
        } else {
            text.push_str(if is_setting { "# " } else { "" });
            text.push_str(line);
        }
        text.push('\n');
    }
    ensure!(has_data, "expected the setting data in the sample");
    if text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .count()
        != 1
    {
        bail!("expected one line in the host's settings that is not a comment");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hosts_settings_are_the_sample_switched_off() {
        let sample = "# Words.\nlisten = \"x\"\n\n# The folder.\ndata = \"here\"\n# path = \"y\"\n";
        let expected =
            format!("# Words.\n# listen = \"x\"\n\n# The folder.\n{DATA}\n# path = \"y\"\n");
        assert_eq!(host_settings(sample).unwrap(), expected);
        assert!(host_settings("# Words.\n").is_err());
        let sample = fs::read_to_string(root().join("gateway/switchyard.sample.toml")).unwrap();
        host_settings(&sample).unwrap();
    }
}
