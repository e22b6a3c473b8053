//! The port to QEMU: images, and how they are run.

use super::{
    budget::{FLASH_BYTES_MAX, IRAM_BYTES_MAX, RAM_BYTES_MAX, Report},
    objects, stack,
    toolchain::{self, Archive, Made, Rules},
};
use crate::{
    run::{output, root, run, target_folder},
    sources,
};
use anyhow::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use switchyard_testkit::{LX106_CONTROLLER, lx106_command};

/// The suites that run here as well as on the host. The others pass too (`noise`, `robust`, `storm` and
/// `storage`), and take minutes of an emulated core.
const SUITES: &[&str] = &[
    "frame", "cbor", "records", "vectors", "link", "commands", "script", "runner", "zone", "board",
];

/// Structs whose sizes are told.
const STRUCTS: &[&str] = &["fw_controller_t", "fw_runner_t", "fw_vm_t", "fw_compiler_t"];

/// The same, of those that the image does not hold yet and will.
const STRUCTS_TO_COME: &[&str] = &[
    "fw_flash_t",
    "fw_slots_t",
    "fw_retain_t",
    "fw_logbook_t",
    "fw_update_t",
];

fn room(path: &str) -> PathBuf {
    root().join("firmware").join(path)
}

/// Core, Monocypher and the port, as they stand in flash.
pub(super) struct Parts {
    core: Made,
    monocypher: Made,
    port: Made,
}

impl Parts {
    pub(super) fn make(folder: &Path, port: Vec<PathBuf>, defines: &[&str]) -> Result<Self> {
        let monocypher = sources::monocypher()?;
        let includes = [
            room("core"),
            room("port"),
            room("port/qemu"),
            monocypher.clone(),
            monocypher.join("optional"),
        ];
        let archive = |name, sources, rules| {
            toolchain::archive(
                folder,
                &Archive {
                    name,
                    sources,
                    includes: includes.to_vec(),
                    // Twelve rounds of BLAKE2b written out are 19 KB of flash.
                    defines: ["BLAKE2_NO_UNROLLING"]
                        .iter()
                        .chain(defines)
                        .map(ToString::to_string)
                        .collect(),
                    rules,
                },
            )
        };
        let foreign = vec![
            monocypher.join("monocypher.c"),
            monocypher.join("optional/monocypher-ed25519.c"),
        ];
        let mut core = toolchain::sources("core")?;
        core.extend(toolchain::sources("port/lx106")?);
        Ok(Parts {
            core: archive("core", core, Rules::Ours)?,
            monocypher: archive("monocypher", foreign, Rules::Foreign)?,
            port: archive("port", port, Rules::Ours)?,
        })
    }

    fn all(&self) -> [&Made; 3] {
        [&self.core, &self.monocypher, &self.port]
    }

    pub(super) fn link(&self, image: &Path, others: &[&Made], kept: &[String]) -> Result<()> {
        let archives = [&self.all()[..], others].concat();
        toolchain::link(image, &room("port/qemu/link.ld"), &archives, kept)
    }
}

pub(super) fn made_folder(name: &str) -> Result<PathBuf> {
    let folder = target_folder().join("firmware-qemu").join(name);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// The port's sources, without those that only a test needs, or only a controller.
pub(super) fn port_sources(without: &[&str]) -> Result<Vec<PathBuf>> {
    let mut found = toolchain::sources("port/qemu")?;
    found.retain(|path| !without.iter().any(|name| path.ends_with(name)));
    Ok(found)
}

/// Builds the controller, judges it, prints the table, and gives the image's path.
///
/// # Errors
/// When something does not hold, or is over its budget.
pub(crate) fn controller() -> Result<PathBuf> {
    let folder = made_folder("controller")?;
    let parts = Parts::make(&folder, port_sources(&["stdio.c"])?, &[])?;
    let image = folder.join("controller.elf");
    // All of the core, also what nothing calls yet: its flash and its stack are to be known.
    let kept = objects::globals(&parts.core)?;
    parts.link(&image, &[], &kept)?;
    objects::judge(&parts.all())?;
    let map = toolchain::map_of(&image);
    let placed = objects::placed(&map)?;
    let names = parts.all().map(|made| made.name.as_str());
    objects::judge_constants(&placed, &names)?;

    let graphs: Vec<_> = parts
        .all()
        .iter()
        .flat_map(|made| made.graphs.clone())
        .collect();
    let chain = stack::deepest(&graphs, &objects::functions(&placed))?;
    let mut report = Report::default();
    measure(&mut report, &image, &placed, &names)?;
    report.hold_stack(&chain);
    let mut to_come = 0;
    for (name, bytes) in sizes(&folder)? {
        report.note(&format!("sizeof({name})"), bytes);
        if STRUCTS_TO_COME.contains(&name) {
            to_come += bytes;
        }
    }
    let ram = ram_bytes(&image)?;
    report.hold("ram: with what is to come", ram + to_come, RAM_BYTES_MAX);
    println!("{}", toolchain::version()?);
    println!("{}", version()?);
    print!("{}", report.table());
    println!("deepest own call chain:");
    for (function, bytes) in &chain.functions {
        println!("  {bytes:>5}  {function}");
    }
    report.judge()?;
    Ok(image)
}

/// Builds the controller and puts it where tests look for programs.
///
/// # Errors
/// As [`controller`].
pub(crate) fn program() -> Result<()> {
    let programs = target_folder().join("debug");
    fs::create_dir_all(&programs)?;
    fs::copy(controller()?, programs.join(LX106_CONTROLLER))?;
    Ok(())
}

/// What the image's sections take; they are named by owner in the linker script.
fn measure(
    report: &mut Report,
    image: &Path,
    placed: &[objects::Placed],
    archives: &[&str],
) -> Result<()> {
    let sections = objects::sections(image)?;
    let bytes_of = |name: &str| {
        let found = sections.iter().find(|(section, _)| section == name);
        found.map_or(0, |(_, bytes)| *bytes)
    };
    report.hold("flash", bytes_of(".fw.flash"), FLASH_BYTES_MAX);
    for archive in archives {
        let of_archive = placed.iter().filter(|part| part.is_of(archive));
        let in_flash = of_archive.filter(|part| (0x4020_0000..0x4030_0000).contains(&part.address));
        report.note(
            &format!("flash: {archive}"),
            in_flash.map(|part| part.bytes).sum(),
        );
    }
    report.hold("iram", bytes_of(".fw.iram"), IRAM_BYTES_MAX);
    report.note("ram: data", bytes_of(".fw.data"));
    report.note("ram: bss", bytes_of(".fw.bss"));
    report.hold("ram: data and bss", ram_bytes(image)?, RAM_BYTES_MAX);
    Ok(())
}

fn ram_bytes(image: &Path) -> Result<u64> {
    let sections = objects::sections(image)?;
    let ours = [".fw.data", ".fw.bss"];
    let ram = sections
        .iter()
        .filter(|(name, _)| ours.contains(&name.as_str()));
    Ok(ram.map(|(_, bytes)| bytes).sum())
}

/// `sizeof` of each, from an object that holds one of each.
fn sizes(folder: &Path) -> Result<Vec<(&'static str, u64)>> {
    let source = folder.join("sizes.c");
    let mut text = String::new();
    for header in [
        "compile.h",
        "controller.h",
        "logbook.h",
        "retain.h",
        "slots.h",
        "update.h",
    ] {
        text.push_str(&format!("#include \"{header}\"\n"));
    }
    let structs = [STRUCTS, STRUCTS_TO_COME].concat();
    for name in &structs {
        text.push_str(&format!("{name} one_{name};\n"));
    }
    fs::write(&source, text)?;
    let made = toolchain::archive(
        folder,
        &Archive {
            name: "sizes",
            sources: vec![source],
            includes: vec![room("core"), room("port"), sources::monocypher()?],
            defines: Vec::new(),
            rules: Rules::Ours,
        },
    )?;
    let object = made.objects.first().context("expected one object")?;
    let size = |name| objects::symbol_bytes(object, &format!("one_{name}"));
    structs
        .into_iter()
        .map(|name| Ok((name, size(name)?)))
        .collect()
}

/// What QEMU calls itself.
fn version() -> Result<String> {
    let text = output(Command::new("qemu-system-xtensa").arg("--version"))
        .context("asking QEMU its version")?;
    Ok(text.lines().next().unwrap_or_default().into())
}

/// The core's own suites in C, on the LX106.
///
/// # Errors
/// When one of them fails.
pub(crate) fn test(vectors: &Path) -> Result<()> {
    let folder = made_folder("tests")?;
    // As on the host; an image has neither.
    let as_host = ["FW_CLEAR_LINK=1", "FW_SKIPS_SCANS=1"];
    let parts = Parts::make(&folder, port_sources(&["main.c", "stdio.c"])?, &as_host)?;
    let mut sources = toolchain::sources("tests/c")?;
    sources.extend(toolchain::sources("port/host")?);
    sources.push(room("port/qemu/stdio.c"));
    let tests = toolchain::archive(
        &folder,
        &Archive {
            name: "tests",
            sources,
            includes: vec![
                room("core"),
                room("port"),
                room("port/host"),
                room("port/qemu"),
                room("tests/c"),
                sources::monocypher()?,
                sources::monocypher()?.join("optional"),
            ],
            defines: as_host
                .iter()
                .map(ToString::to_string)
                .chain([
                    format!("FW_VECTORS=\"{}\"", vectors.display()),
                    format!("FW_SCRIPTS=\"{}\"", room("scripts").display()),
                ])
                .collect(),
            rules: Rules::Bench,
        },
    )?;
    let image = folder.join("tests.elf");
    parts.link(&image, &[&tests], &[])?;
    run(&mut lx106_command(
        &image,
        &[&["20260101"], SUITES].concat(),
    ))
}
