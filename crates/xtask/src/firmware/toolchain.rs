//! Debian's compiler for the LX106: from C to archives, and to an image.

use crate::run::{output, root};
use anyhow::{Context, Result, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const PREFIX: &str = "xtensa-lx106-elf-";

/// Where Debian's picolibc lies.
pub(super) const C_LIBRARY: &str = "/usr/lib/xtensa-lx106-elf";

/// Everything that is compiled for the chip. Long calls, for flash, IRAM and ROM lie too far apart for
/// short ones; the linker shortens what it can. A loop stays a loop: in `memory.c` it would become a
/// call of what it is the body of.
const COMPILE: &[&str] = &[
    "-std=c11",
    "-Os",
    "-mtext-section-literals",
    "-mlongcalls",
    "-ffunction-sections",
    "-fdata-sections",
    "-fno-common",
    "-fno-tree-loop-distribute-patterns",
];

/// What ends in flash: the call graph, for the stack; and no load of less than a word, of which each becomes seven
/// instructions, but for [`FROM_RAM`].
const FOR_FLASH: &[&str] = &["-fcallgraph-info=su"];
const BY_WORDS: &[&str] = &["-mforce-l32"];
/// Of [`FROM_RAM`]: the compiler makes no tables of bytes out of a `switch`.
const BY_BYTES: &[&str] = &["-fno-tree-switch-conversion"];

/// Files of the core that read bytes from RAM alone: text and constants out of flash they pass on, or read by
/// words. So they may load bytes as everybody does. No compiler holds them to it: QEMU does, in every suite
/// (`port/qemu/plugin`), and on a chip a load that strays is counted and carried out (`port/esp8266/exceptions.c`).
pub(super) const FROM_RAM: &[&str] = &[
    "answer",
    "backoff",
    "causes",
    "cbor",
    "clock",
    "commands",
    "compile",
    "compile_base",
    "controller",
    "declare",
    "device",
    "device_api",
    "device_kept",
    "device_shadow",
    "during",
    "events",
    "expression",
    "flash",
    "frame",
    "http",
    "journal",
    "keys",
    "link",
    "logbook",
    "noise",
    "points",
    "program",
    "recorder",
    "retain",
    "runner",
    "scripts",
    "send",
    "shadow",
    "slots",
    "status",
    "sun",
    "tell",
    "update",
    "vm",
    "window",
];

/// Whether an object, or its source, is one of those.
pub(super) fn is_from_ram(path: &Path) -> bool {
    let is_core = path.components().any(|part| part.as_os_str() == "core");
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    is_core && stem.is_some_and(|stem| FROM_RAM.contains(&stem))
}

/// What runs in every scan is optimised for speed: a tenth fewer instructions for 1 KB more.
const OF_EVERY_SCAN: &[&str] = &["points.c", "runner.c", "vm.c"];

/// How. The operations of the machine that end alike would else share their ends, and jump to them.
const FOR_SPEED: &[&str] = &["-O2", "-fno-crossjumping"];

/// Warnings that stop the build. Third-party C is compiled without them.
const STRICT: &[&str] = &[
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Wconversion",
    "-Wshadow",
    "-Wvla",
    "-Werror",
];

/// The C library's functions that load bytes, and ours in `port/lx106/memory.c` that do not.
pub(super) const REDIRECTED: &[(&str, &str)] = &[
    ("memcpy", "fw_memcpy"),
    ("memmove", "fw_memmove"),
    ("memset", "fw_memset"),
    ("memcmp", "fw_memcmp"),
    ("strlen", "fw_strlen"),
];

/// By whose rules sources are compiled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rules {
    /// Our own, for flash.
    Ours,
    /// Somebody else's, for flash.
    Foreign,
    /// Tests and benchmarks: the C library is at hand, and nothing lies in flash.
    Bench,
}

/// An archive to make.
pub(super) struct Archive<'a> {
    /// `libNAME.a`: linker scripts know it by that.
    pub(super) name: &'a str,
    pub(super) sources: Vec<PathBuf>,
    pub(super) includes: Vec<PathBuf>,
    /// Folders of headers that are not ours to judge.
    pub(super) foreign_includes: Vec<PathBuf>,
    pub(super) defines: Vec<String>,
    pub(super) rules: Rules,
}

/// What was made of an [`Archive`].
pub(super) struct Made {
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) objects: Vec<PathBuf>,
    /// The compiler's call graphs; none of assembly.
    pub(super) graphs: Vec<PathBuf>,
}

/// A tool of the compiler's.
pub(super) fn tool(name: &str) -> Command {
    Command::new(format!("{PREFIX}{name}"))
}

/// What the compiler calls itself.
pub(super) fn version() -> Result<String> {
    let text = output(tool("gcc").arg("--version")).context("asking the compiler its version")?;
    Ok(text.lines().next().unwrap_or_default().into())
}

/// Every `.c` file of a folder of the firmware's room, sorted.
pub(super) fn sources(folder: &str) -> Result<Vec<PathBuf>> {
    let folder = root().join("firmware").join(folder);
    let entries = fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|kind| kind == "c" || kind == "S")
        {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Compiles and archives, below `folder`.
pub(super) fn archive(folder: &Path, archive: &Archive) -> Result<Made> {
    let place = folder.join(archive.name);
    // What was there may be of a source that is gone.
    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    fs::create_dir_all(&place)?;
    let mut made = Made {
        name: archive.name.into(),
        path: folder.join(format!("lib{}.a", archive.name)),
        objects: Vec::new(),
        graphs: Vec::new(),
    };
    for source in &archive.sources {
        let stem = source
            .file_stem()
            .with_context(|| format!("expected a file and found {}", source.display()))?;
        let object = place.join(stem).with_extension("o");
        quietly(compile(archive, source).arg("-o").arg(&object))?;
        if archive.rules != Rules::Bench {
            let renamed = REDIRECTED
                .iter()
                .flat_map(|(from, to)| ["--redefine-sym".into(), format!("{from}={to}")]);
            quietly(tool("objcopy").args(renamed).arg(&object))?;
            let graph = object.with_extension("ci");
            if graph.exists() {
                made.graphs.push(graph);
            }
        }
        made.objects.push(object);
    }
    if made.path.exists() {
        fs::remove_file(&made.path)?;
    }
    quietly(tool("ar").arg("rcsD").arg(&made.path).args(&made.objects))?;
    Ok(made)
}

fn compile(archive: &Archive, source: &Path) -> Command {
    let mut gcc = tool("gcc");
    gcc.args(COMPILE);
    if OF_EVERY_SCAN.iter().any(|name| source.ends_with(name)) {
        gcc.args(FOR_SPEED);
    }
    if archive.rules != Rules::Bench {
        gcc.args(if is_from_ram(source) {
            BY_BYTES
        } else {
            BY_WORDS
        });
    }
    match archive.rules {
        Rules::Ours => gcc.args(FOR_FLASH).args(STRICT),
        Rules::Foreign => gcc.args(FOR_FLASH),
        Rules::Bench => gcc.arg("-g1"),
    };
    if archive.rules == Rules::Bench {
        gcc.arg("-isystem").arg(format!("{C_LIBRARY}/include"));
    }
    for include in &archive.includes {
        gcc.arg("-I").arg(include);
    }
    for include in &archive.foreign_includes {
        gcc.arg("-isystem").arg(include);
    }
    for define in &archive.defines {
        gcc.arg(format!("-D{define}"));
    }
    gcc.arg("-c").arg(source);
    gcc
}

/// Links archives, each of which may need any other, and writes `image` and a map beside it. What
/// nothing uses is left out, but for `kept`.
pub(super) fn link(image: &Path, script: &Path, archives: &[&Made], kept: &[String]) -> Result<()> {
    let mut gcc = tool("gcc");
    gcc.args(["-nostdlib", "-mlongcalls", "-Wl,--gc-sections"])
        .arg("-T")
        .arg(script)
        .arg(format!("-Wl,-Map,{}", map_of(image).display()))
        .args(kept.iter().map(|symbol| format!("-Wl,-u,{symbol}")))
        .arg("-o")
        .arg(image)
        .arg("-Wl,--start-group")
        .args(archives.iter().map(|made| &made.path))
        .arg(format!("-L{C_LIBRARY}/lib"))
        .args(["-lc", "-lgcc", "-Wl,--end-group"]);
    quietly(&mut gcc)
}

/// The map that is written beside an image.
pub(super) fn map_of(image: &Path) -> PathBuf {
    image.with_extension("map")
}

/// A command of many alike: shown only when it fails.
pub(super) fn quietly(command: &mut Command) -> Result<()> {
    let done = command
        .output()
        .with_context(|| format!("starting {:?}", command.get_program()))?;
    ensure!(
        done.status.success(),
        "{command:?} ended with {}:\n{}{}",
        done.status,
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    Ok(())
}

/// Shows the disassembly of an object.
pub(super) fn disassembly(object: &Path) -> Result<String> {
    output(
        tool("objdump")
            .args(["-d", "--no-show-raw-insn"])
            .arg(object),
    )
    .with_context(|| format!("disassembling {}", object.display()))
}
