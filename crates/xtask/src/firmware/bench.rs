//! `cargo xtask bench script`: instructions of a scan on the LX106, ours beside Lua's, and of what goes on
//! between scans while a link is made.

use super::{
    parts::{Parts, room},
    qemu,
    toolchain::{self, Archive, Rules},
};
use crate::{run::root, setup, sources};
use anyhow::{Context, Result, bail, ensure};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use switchyard_testkit::lx106_command;

/// The script whose dearest scan is held to a millisecond.
const HELD: &str = "hundred_lines";

/// A millisecond of the chip: 80 MHz, and 1.5 cycles for an instruction, since much comes from flash.
const INSTRUCTIONS_EACH_MS: u64 = 80_000 * 2 / 3;

/// What the slices of an X25519 may take: 2 ms, with a little to spare. Those of `ephemeral` do nothing else.
const SLICES: &str = "ephemeral";
const SLICE_INSTRUCTIONS_MAX: u64 = 100_000;

/// One script's scans, in instructions.
struct Scan {
    average: u64,
    /// Of ours with its recording.
    dearest: u64,
    /// What it costs on average to record one, besides.
    recording: u64,
    /// The compiler's operations; of Lua, the most heap in bytes; of a handshake's part, its calls.
    further: u64,
    stated: u64,
    /// Each change of its outputs, and how many events there were.
    trace: String,
}

/// Builds both, runs both, and prints the table.
///
/// # Errors
/// When something cannot be built, an example has no twin in Lua or one that does something else, or the held
/// script takes too long.
pub(crate) fn script() -> Result<()> {
    setup::ready(&[setup::BUILD, setup::CHIP])?;
    let ours = ours()?;
    let lua = lua()?;
    for (name, scan) in ours.iter().filter(|(name, _)| *name != HELD) {
        let twin = lua
            .get(name)
            .with_context(|| format!("expected firmware/bench/{name}.lua"))?;
        same(name, &scan.trace, &twin.trace)?;
    }
    println!("instructions of a scan on the LX106, average and dearest of 2,000");
    println!(
        "{:16} {:>10} {:>8} {:>9} {:>8} {:>8} {:>8} {:>6}",
        "script", "operations", "average", "recording", "dearest", "Lua 5.4", "dearest", "times"
    );
    for (name, scan) in &ours {
        let beside = lua.get(name).map_or_else(String::new, |lua| {
            let tenths = lua.average * 10 / scan.average.max(1);
            format!(
                "{:>8} {:>8} {:>4}.{}",
                lua.average,
                lua.dearest,
                tenths / 10,
                tenths % 10
            )
        });
        println!(
            "{name:16} {:>10} {:>8} {:>9} {:>8} {beside}",
            scan.further, scan.average, scan.recording, scan.dearest
        );
    }
    for (name, scan) in &lua {
        println!("Lua's heap: {name} {} bytes", scan.further);
    }
    let held = ours.get(HELD).with_context(|| format!("expected {HELD}"))?;
    ensure!(
        held.dearest <= INSTRUCTIONS_EACH_MS,
        "{HELD}: {} instructions of {INSTRUCTIONS_EACH_MS} in a millisecond",
        held.dearest
    );
    handshake()
}

/// Prints what the parts of a handshake cost.
fn handshake() -> Result<()> {
    let folder = qemu::made_folder("handshake")?;
    let parts = qemu::parts(&folder, &["main.c", "stdio.c"], &[])?;
    let image = image(&folder, &parts, "handshake", &[], Vec::new(), Vec::new())?;
    println!("a handshake: calls, and instructions of the average and the dearest");
    for (name, part) in measure(&image)? {
        let Scan {
            average,
            dearest,
            further: calls,
            ..
        } = part;
        println!("{name:16} {calls:>10} {average:>8} {dearest:>8}");
        ensure!(
            name != SLICES || dearest <= SLICE_INSTRUCTIONS_MAX,
            "{name}: {dearest} instructions of {SLICE_INSTRUCTIONS_MAX} in a slice"
        );
    }
    Ok(())
}

/// Programs that do different things are not to be compared.
fn same(name: &str, ours: &str, lua: &str) -> Result<()> {
    let mut changes = ours.split(',').zip(lua.split(','));
    if let Some((our_change, lua_change)) = changes.find(|(ours, lua)| ours != lua) {
        bail!(
            "{name}: ours has {our_change} (scan and outputs) where its twin in Lua has {lua_change}"
        );
    }
    // Each ends with its events, so that neither is only the beginning of the other.
    Ok(())
}

/// Holds the costs that `core/cost.h` states to what is counted.
///
/// # Errors
/// When an operation costs more, or a scan of an example than the compiler said.
pub(crate) fn costs() -> Result<()> {
    let folder = qemu::made_folder("costs")?;
    let parts = qemu::parts(&folder, &["main.c", "stdio.c"], &[])?;
    let image = image(&folder, &parts, "costs", &[], Vec::new(), Vec::new())?;
    print!("{}", counted(&mut lx106_command(&image, &[]))?);
    for (name, scan) in ours()? {
        println!("{name}: {} of {} instructions", scan.dearest, scan.stated);
    }
    Ok(())
}

fn ours() -> Result<BTreeMap<String, Scan>> {
    let folder = qemu::made_folder("bench")?;
    let parts = qemu::parts(&folder, &["main.c", "stdio.c"], &[])?;
    let mut scripts = files("examples", "script")?;
    scripts.extend(files("bench", "script")?);
    let image = image(&folder, &parts, "scan", &scripts, Vec::new(), Vec::new())?;
    measure(&image)
}

fn lua() -> Result<BTreeMap<String, Scan>> {
    let folder = qemu::made_folder("bench-lua")?;
    let parts = qemu::parts(&folder, &["main.c", "stdio.c"], &[])?;
    let lua = sources::lua()?;
    let mut chunks = fs::read_dir(&lua)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    // The language alone and what loads a chunk: no program of its own, and no library.
    chunks.retain(|path| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let is_library = name.ends_with("lib") && name != "lauxlib";
        let is_apart = ["lua", "luac", "onelua", "ltests", "linit"].contains(&name.as_ref());
        path.extension().is_some_and(|kind| kind == "c") && !is_library && !is_apart
    });
    chunks.sort();
    // 32-bit numbers, as its users on such chips build it, and no clock to seed from.
    let defines = ["LUA_32BITS=1", "luai_makeseed(lua)=1u"].map(String::from);
    chunks.push(root().join("firmware/bench/no_double.c"));
    let image = image(
        &folder,
        &parts,
        "lua",
        &files("bench", "lua")?,
        chunks,
        [vec![lua.display().to_string()], defines.to_vec()].concat(),
    )?;
    measure(&image)
}

/// Builds `firmware/bench/NAME.c` with its examples; of `settings` the first is a folder of headers.
fn image(
    folder: &Path,
    parts: &Parts,
    name: &str,
    examples: &[PathBuf],
    further_sources: Vec<PathBuf>,
    settings: Vec<String>,
) -> Result<PathBuf> {
    let header = folder.join("examples.h");
    fs::write(&header, rendered(examples)?)?;
    let mut sources = vec![room(&format!("bench/{name}.c")), room("port/qemu/stdio.c")];
    sources.extend(further_sources);
    let mut includes = vec![room("core"), room("port"), room("port/qemu"), room("bench")];
    includes.extend(settings.first().map(PathBuf::from));
    let mut defines: Vec<_> = settings.into_iter().skip(1).collect();
    defines.push(format!("FW_EXAMPLES=\"{}\"", header.display()));
    let made = toolchain::archive(
        folder,
        &Archive {
            name: "bench",
            sources,
            includes,
            foreign_includes: Vec::new(),
            defines,
            rules: Rules::Bench,
        },
    )?;
    let image = folder.join(name).with_extension("elf");
    qemu::link(parts, &image, &[&made], &[])?;
    Ok(image)
}

/// The files as a table of names and texts in C.
fn rendered(files: &[PathBuf]) -> Result<String> {
    let mut header = String::from("static const example_t examples[] = {\n");
    for file in files {
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        let text = fs::read_to_string(file)?;
        ensure!(text.is_ascii(), "{}: expected ASCII", file.display());
        let text = text
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n");
        writeln!(header, "{{\"{name}\", \"{text}\"}},")?;
    }
    header.push_str("};\n");
    Ok(header)
}

fn files(folder: &str, extension: &str) -> Result<Vec<PathBuf>> {
    let folder = root().join("firmware").join(folder);
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|kind| kind == extension) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Runs an image that counts, and reads its lines: name, average, dearest, one number more, of ours what the
/// compiler says and what recording costs, and last the changes of outputs.
fn measure(image: &Path) -> Result<BTreeMap<String, Scan>> {
    let text = counted(&mut lx106_command(image, &[]))?;
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let number = |at: usize| words.get(at)?.parse::<u64>().ok();
        let stated = number(4).unwrap_or(0);
        let recording = number(5).unwrap_or(0);
        let (Some(average), Some(dearest), Some(further), Some(trace)) =
            (number(1), number(2), number(3), words.last())
        else {
            bail!("expected a name, three numbers and changes, and found: {line}");
        };
        let scan = Scan {
            average,
            dearest,
            recording,
            further,
            stated,
            trace: (*trace).to_owned(),
        };
        found.insert(words[0].into(), scan);
    }
    Ok(found)
}

/// Runs an image with an instruction a nanosecond, and gives what it prints.
pub(super) fn counted(command: &mut Command) -> Result<String> {
    let done = command
        .args(["-icount", "shift=0"])
        .output()
        .context("starting QEMU")?;
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    ensure!(
        done.status.success(),
        "the measurement ended with {}: {text}{}",
        done.status,
        String::from_utf8_lossy(&done.stderr)
    );
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_first_change_that_differs() {
        assert!(same("it", "0=0,7=1,events=2", "0=0,7=1,events=2").is_ok());
        for other in [
            "0=0,8=1,events=2",
            "0=0,events=2",
            "0=0,7=1,9=0,events=2",
            "0=0,7=1,events=1",
        ] {
            assert!(same("it", "0=0,7=1,events=2", other).is_err(), "{other}");
        }
        let told = same("it", "0=0,7=1,events=2", "0=0,8=1,events=2")
            .unwrap_err()
            .to_string();
        assert!(told.contains("7=1") && told.contains("8=1"), "{told}");
    }
}
