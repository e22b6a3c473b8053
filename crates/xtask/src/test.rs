//! `cargo xtask test`: every test there is, in parts that can be run alone.

use crate::{
    api, deb, firmware,
    run::{cargo, output, root, run, target_folder},
    setup, sources, vectors,
};
use anyhow::Result;
use clap::ValueEnum;
use std::{path::PathBuf, process::Command};

/// A part of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// The Rust rooms: units, properties, vectors, the simulation, the gateway's integration tests.
    Rust,
    /// The controller's C core, plain and under the address and undefined-behaviour sanitizers.
    C,
    /// The core on the chip's instruction set, under QEMU: its suites, its sizes, what lies in flash.
    Qemu,
    /// The page: types, units, vectors.
    Ui,
    /// The desktop app: units, and its real window under Xvfb.
    Desktop,
    /// Whole programs: the gateway, controllers, the console, a browser.
    E2e,
    /// The gateway's HTTP API beside its own OpenAPI document, by schemathesis.
    Api,
    /// The Debian packages: the README's commands on a clean Debian, and the units under systemd.
    Deb,
}

impl Part {
    /// What must be on the machine.
    const fn needs(self) -> &'static [&'static [setup::Need]] {
        use setup::{
            BROWSER, BUILD, CHIP, DEBIAN, DESKTOP, PACKAGE, PAGE, PROGRAMS, PYTHON, SERVICES,
            TELEPHONES,
        };
        match self {
            Part::Rust => &[BUILD, PAGE, PROGRAMS, SERVICES, TELEPHONES],
            Part::C => &[BUILD],
            Part::Qemu => &[BUILD, CHIP],
            Part::Ui => &[PAGE],
            Part::Desktop => &[BUILD, PAGE, PROGRAMS, DESKTOP, BROWSER],
            Part::E2e => &[
                BUILD, CHIP, PAGE, PROGRAMS, SERVICES, TELEPHONES, BROWSER, PYTHON,
            ],
            Part::Api => &[BUILD, PROGRAMS, PYTHON],
            Part::Deb => &[BUILD, PAGE, PROGRAMS, PACKAGE, DEBIAN],
        }
    }
}

/// The cheapest first, so that a fault is told early.
const ALL: [Part; 8] = [
    Part::C,
    Part::Qemu,
    Part::Ui,
    Part::Rust,
    Part::Api,
    Part::E2e,
    Part::Deb,
    Part::Desktop,
];

/// Runs the named parts, or all.
pub(crate) fn test(parts: &[Part]) -> Result<()> {
    let parts = if parts.is_empty() { &ALL[..] } else { parts };
    // All of it first: nobody waits an hour to be told of one package after the other.
    let needs: Vec<_> = parts
        .iter()
        .flat_map(|part| part.needs())
        .copied()
        .collect();
    setup::ready(&needs)?;
    let mut passed = Vec::new();
    for part in parts {
        match part {
            Part::Rust => rust()?,
            Part::C => c()?,
            Part::Qemu => qemu()?,
            Part::Ui => ui()?,
            Part::Desktop => desktop()?,
            Part::Api => http_api()?,
            Part::E2e => e2e()?,
            Part::Deb => debian_packages()?,
        }
        passed.push(format!("{part:?}").to_lowercase());
    }
    println!("test: ok, parts passed: {}", passed.join(", "));
    println!("{} passed, 0 failed", passed.len());
    Ok(())
}

/// `cargo nextest run` where it is installed, else `cargo test`.
fn tests(selection: &[&str]) -> Result<()> {
    tests_with(selection, "auto", 1, &[])
}

/// The same with gateways that read and write their sockets by this interface, on so many threads.
/// Besides, the tests find these programs by these variables.
fn tests_with(
    selection: &[&str],
    io: &str,
    shards: u32,
    programs: &[(&str, PathBuf)],
) -> Result<()> {
    let nextest = output(cargo().args(["nextest", "--version"])).is_some();
    let verb: &[&str] = if nextest {
        &["nextest", "run", "--no-fail-fast"]
    } else {
        &["test", "--no-fail-fast"]
    };
    // The stories start the page's programs: they must find the Node.js that built the page.
    run(cargo()
        .args(verb)
        .args(selection)
        .env("SWITCHYARD_IO", io)
        .env("SWITCHYARD_SHARDS", shards.to_string())
        .envs(programs.iter().map(|(name, path)| (name, path)))
        .env("PATH", setup::node()?))
}

fn rust() -> Result<()> {
    setup::page()?;
    let selection = [
        "--workspace",
        "--exclude",
        "switchyard-desktop",
        "--exclude",
        "switchyard-e2e",
    ];
    tests(&selection)?;
    // What has just run on one thread, by io_uring where this kernel has it, must run on several and
    // by epoll as well.
    let gateway = ["--package", "switchyard-gateway", "--test", "it"];
    tests_with(&gateway, "auto", 2, &[])?;
    tests_with(&gateway, "epoll", 4, &[])?;
    if output(cargo().args(["nextest", "--version"])).is_some() {
        // nextest does not run the examples in the documentation.
        run(cargo().args(["test", "--quiet", "--doc"]).args(selection))?;
    }
    Ok(())
}

/// The golden vectors as a header.
fn rendered_vectors() -> Result<PathBuf> {
    let folder = target_folder().join("firmware-c");
    std::fs::create_dir_all(&folder)?;
    let header = folder.join("vectors.h");
    let text = vectors::render_c_header(&root().join("tests/vectors"))?;
    std::fs::write(&header, text)?;
    Ok(header)
}

fn c() -> Result<()> {
    let header = rendered_vectors()?;
    let folder = target_folder().join("firmware-c");
    let monocypher = sources::monocypher()?;
    for (name, sanitize) in [("plain", false), ("sanitized", true)] {
        let mut make = Command::new("make");
        make.args(["--silent", "-C", "firmware/tests/c"])
            .arg(format!("MONOCYPHER={}", monocypher.display()))
            .arg(format!("VECTORS={}", header.display()))
            .arg(format!("OUT={}", folder.join(name).display()));
        if sanitize {
            make.arg("SANITIZE=1");
        }
        run(make.arg("test"))?;
    }
    Ok(())
}

/// The core's suites on the chip's instruction set, what its image takes, and the port to the chip as far as
/// that goes without the SDK.
fn qemu() -> Result<()> {
    firmware::qemu::test(&rendered_vectors()?)?;
    firmware::bench::costs()?;
    firmware::qemu::controller()?;
    firmware::check_esp8266()
}

fn ui() -> Result<()> {
    setup::npm_packages()?;
    run(setup::npm()?.args(["run", "check"]))?;
    run(setup::npm()?.args(["test"]))?;
    setup::page()
}

fn e2e() -> Result<()> {
    programs()?;
    firmware::qemu::program()?;
    // One that somebody has chosen is taken as it is.
    let esptool = match std::env::var_os("SWITCHYARD_ESPTOOL") {
        Some(chosen) => PathBuf::from(chosen),
        None => setup::esptool()?,
    };
    let programs = [("SWITCHYARD_ESPTOOL", esptool)];
    let selection = ["--package", "switchyard-e2e", "--test", "e2e"];
    tests_with(&selection, "auto", 1, &programs)
}

fn http_api() -> Result<()> {
    // Neither the console nor a page: nobody looks at one here.
    let packages = ["switchyard-gateway", "switchyard-firmware"];
    let packages = packages.map(|package| format!("--package={package}"));
    run(cargo().args(["build", "--bins"]).args(packages))?;
    api::test()
}

fn debian_packages() -> Result<()> {
    deb::ready()?;
    programs()?;
    deb::test()
}

fn desktop() -> Result<()> {
    programs()?;
    run(cargo().args(["build", "--package", "switchyard-desktop"]))?;
    tests(&["--package", "switchyard-desktop"])?;
    tests(&["--package", "switchyard-e2e", "--test", "screens"])
}

/// The programs that the stories start.
fn programs() -> Result<()> {
    setup::page()?;
    build_programs(&[])
}

/// Builds the gateway, the console and the virtual controller.
pub(crate) fn build_programs(flags: &[&str]) -> Result<()> {
    run(cargo()
        .args(["build", "--bins"])
        .args(
            [
                "switchyard-gateway",
                "switchyard-tui",
                "switchyard-firmware",
            ]
            .map(|package| format!("--package={package}")),
        )
        .args(flags))
}
