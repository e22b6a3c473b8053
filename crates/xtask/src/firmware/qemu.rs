//! The port to QEMU: images, and how they are run.

use super::{
    budget::{FLASH_BYTES_MAX, IRAM_BYTES_MAX, RAM_BYTES_MAX, Report},
    objects, page,
    parts::{Parts, Port, room},
    stack,
    toolchain::{self, Archive, Made, Rules},
};
use crate::{
    run::{output, run, target_folder},
    sources,
};
use anyhow::{Context, Result, ensure};
use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
    process::Command,
};
use switchyard_testkit::{LX106_CONTROLLER, lx106_command};

/// The suites that run here as well as on the host. The others pass too (`noise`, `storage`, `update`, `power`, `rekey_power`,
/// `wear`), and take minutes of an emulated core; `x25519` would take hours.
const SUITES: &[&str] = &[
    "api",
    "shadow",
    "kept",
    "rekey",
    "recorder",
    "recording",
    "http",
    "server",
    "json",
    "device",
    "serial",
    "frame",
    "cbor",
    "records",
    "vectors",
    "link",
    "commands",
    "robust",
    "storm",
    "script",
    "runner",
    "zone",
    "sun",
    "flash",
    "stores",
    "events",
    "board",
    "esp8266",
];

/// Where the linker script has flash, and the core's code in it (`port/qemu/link.ld`).
const FLASH: Range<u64> = 0x4020_0000..0x4024_0000;
/// What a test calls a flash chip, and its bytes (`port/host/nor.h`).
const NOR: (&str, u64) = ("whole_nor", 0x10_0000);
/// Where tests keep what the core works on: bytes are loaded from there.
const MEMORY_OF_TESTS: Range<u64> = 0x6000_0000..0x6200_0000;
/// How QEMU ends when the plugin has seen what it watches for.
const SEEN: i32 = 3;

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

pub(super) fn made_folder(name: &str) -> Result<PathBuf> {
    let folder = target_folder().join("firmware-qemu").join(name);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Core and port, without those sources of the port that only a test needs, or only a controller.
pub(super) fn parts(folder: &Path, without: &[&str], defines: &[&str]) -> Result<Parts> {
    let mut sources = toolchain::sources("port/qemu")?;
    sources.retain(|path| !without.iter().any(|name| path.ends_with(name)));
    let port = Port {
        sources,
        includes: vec![room("port/qemu")],
        defines: defines.iter().map(ToString::to_string).collect(),
        ..Port::default()
    };
    Parts::make(folder, port)
}

pub(super) fn link(parts: &Parts, image: &Path, others: &[&Made], kept: &[String]) -> Result<()> {
    let archives = [&parts.all()[..], others].concat();
    toolchain::link(image, &room("port/qemu/link.ld"), &archives, kept)
}

/// Builds the controller, judges it, prints the table, and gives the image's path.
///
/// # Errors
/// When something does not hold, or is over its budget.
pub(crate) fn controller() -> Result<PathBuf> {
    let folder = made_folder("controller")?;
    let parts = parts(&folder, &["stdio.c"], &[])?;
    let image = folder.join("controller.elf");
    // All of the core, also what nothing calls yet: its flash and its stack are to be known.
    let kept = objects::globals(&parts.core)?;
    link(&parts, &image, &[], &kept)?;
    objects::judge(&parts.all())?;
    let map = toolchain::map_of(&image);
    let placed = objects::placed(&map)?;
    let names = parts.names();
    objects::judge_constants(&placed, &names)?;

    let chain = stack::deepest(&parts.graphs(), &objects::functions(&placed))?;
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
    let beside_page = FLASH_BYTES_MAX - page::PAGE_BYTES_MAX as u64;
    report.hold(
        "flash, without the page",
        bytes_of(".fw.flash"),
        beside_page,
    );
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
            foreign_includes: Vec::new(),
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
    let parts = parts(&folder, &["main.c", "stdio.c"], &as_host)?;
    let mut sources = toolchain::sources("tests/c")?;
    sources.extend(toolchain::sources("port/host")?);
    sources.push(room("port/qemu/stdio.c"));
    // What of the port to the chip knows neither the SDK nor the device.
    for name in ["access", "crashes", "dialler", "median", "peers", "relays"] {
        sources.push(room(&format!("port/esp8266/{name}.c")));
    }
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
                room("port/esp8266"),
                room("tests/c"),
                sources::monocypher()?,
                sources::monocypher()?.join("optional"),
            ],
            foreign_includes: Vec::new(),
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
    link(&parts, &image, &[&tests], &[])?;
    let plugin = byte_loads(&folder)?;
    let watched = |suites: &[&str], flash: &[Range<u64>]| {
        let mut settings = format!("{},code={}", plugin.display(), hex(&FLASH));
        for range in flash {
            settings.push_str(&format!(",flash={}", hex(range)));
        }
        let mut qemu = lx106_command(&image, &[&["20260101"], suites].concat());
        qemu.arg("-plugin").arg(settings);
        qemu
    };
    let nor = objects::symbol_address(&image, NOR.0)?;
    run(&mut watched(SUITES, &[FLASH, nor..nor + NOR.1]))?;
    // It has seen nothing, and would have.
    let ended = watched(&["frame"], &[MEMORY_OF_TESTS])
        .output()?
        .status
        .code();
    ensure!(
        ended == Some(SEEN),
        "expected the plugin to see bytes that are loaded from RAM; QEMU ended with {ended:?}"
    );
    println!("no load of less than a word out of flash");
    Ok(())
}

fn hex(range: &Range<u64>) -> String {
    format!("{:x}-{:x}", range.start, range.end)
}

/// Builds the plugin that watches for loads which a chip faults on; for this machine.
fn byte_loads(folder: &Path) -> Result<PathBuf> {
    let plugin = folder.join("libbyte_loads.so");
    run(Command::new("cc")
        .args([
            "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC",
        ])
        .arg(room("port/qemu/plugin/byte_loads.c"))
        .arg("-o")
        .arg(&plugin))?;
    Ok(plugin)
}
