//! The port to the chip: with Espressif's SDK two images, one for each slot; without it, all of the port
//! that needs no header of the SDK, and the checks that need no image.

use super::{
    budget::{FLASH_BYTES_MAX, IRAM_BYTES_MAX, RAM_BYTES_MAX, Report},
    image::{self, Headers},
    objects::{self, Placed},
    page,
    parts::{Parts, Port, room},
    release::{About, Maker},
    stack,
    toolchain::{self, C_LIBRARY, quietly, tool},
};
use crate::{
    run::{cache_folder, output, root, run, target_folder},
    sources,
};
use anyhow::{Context, Result, bail, ensure};
use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What a build is told.
pub(crate) struct Options<'a> {
    /// The board's name in `core/board.c`.
    pub(crate) board: &'a str,
    /// Where images go; by default below cargo's target folder.
    pub(crate) out: Option<&'a Path>,
    /// The public key of whoever may make updates; an image without it takes none.
    pub(crate) update_key: Option<[u8; 32]>,
    /// Who signs updates of the images; none are made without.
    pub(super) maker: Option<&'a Maker>,
    /// The lowest version that may follow them.
    pub(super) lowest: u32,
}

/// Sizes of the core for this chip (`core/config.h`, `core/controller.h`): no board has more than ten pins.
const CHIP_SIZES: &[&str] = &["FW_SCRIPT_POINTS_MAX=10u", "FW_ANSWERS_OF_TOOLS_MAX=16u"];

/// The SDK's libraries that an image is made of.
const LIBRARIES: &[&str] = &[
    "main", "net80211", "phy", "pp", "lwip", "wpa", "crypto", "hal",
];

/// What the chip's ROM has and the compiler's libraries have as well. The ROM's names yield to those of
/// any library, so these must not: an image would carry both.
fn is_shadowed(name: &str) -> bool {
    const OF_LIBC: &[&str] = &[
        "bzero", "memcmp", "memcpy", "memmove", "memset", "rand", "srand", "strcmp", "strcpy",
        "strlen", "strncmp", "strncpy", "strstr",
    ];
    OF_LIBC.contains(&name) || name.starts_with("__")
}

/// Where things lie in the chip's memory.
const DATA_RAM: std::ops::Range<u64> = 0x3FFE_8000..0x3FFF_C000;
const IRAM: std::ops::Range<u64> = 0x4010_0000..0x4010_8000;
const FLASH: std::ops::Range<u64> = 0x4020_0000..0x4030_0000;
/// What a slot holds (`core/layout.h`).
const IMAGE_BYTES_MAX: u64 = 0x6A000;

/// The vectors of exceptions and their places, which the chip fixes.
const VECTORS: &[(&str, u64)] = &[
    ("_DebugExceptionVector", 0x4010_0010),
    ("_NMIExceptionVector", 0x4010_0020),
    ("_KernelExceptionVector", 0x4010_0030),
    ("_UserExceptionVector", 0x4010_0050),
    ("_DoubleExceptionVector", 0x4010_0070),
];

/// Structs whose sizes are told, and the headers that have them.
const STRUCTS: &[(&str, &str)] = &[
    ("fw_device_t", "device.h"),
    ("fw_controller_t", "controller.h"),
    ("fw_compiler_t", "compile.h"),
    ("fw_retain_t", "retain.h"),
    ("fw_http_server_t", "http_server.h"),
    ("fw_api_t", "api.h"),
    ("fw_serial_t", "serial.h"),
];

/// Those that a port holds one of.
const HELD: &[&str] = &["fw_device_t", "fw_http_server_t", "fw_api_t"];

/// What the files that need the SDK hold besides: 932 bytes were seen, with it.
const RAM_BYTES_OF_SKIPPED: u64 = 960;

/// esptool's version: its output is read.
const ESPTOOL_VERSION: &str = "5.1.0";

fn made_folder(name: &str) -> Result<PathBuf> {
    let folder = target_folder().join("firmware-esp8266").join(name);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Whether a source of the port includes the SDK's headers.
fn needs_sdk(source: &Path) -> Result<bool> {
    Ok(fs::read_to_string(source)?.contains("#include \"sdk.h\""))
}

fn port_of(options: &Options, sources: Vec<PathBuf>) -> Port {
    let mut defines = vec![
        format!("FW_PROFILE=\"{}\"", options.board),
        format!("FW_SOFTWARE=\"{}\"", env!("CARGO_PKG_VERSION")),
        format!("FW_VERSION={}u", version()),
    ];
    defines.extend(CHIP_SIZES.iter().map(ToString::to_string));
    if let Some(key) = options.update_key {
        let bytes: Vec<_> = key.iter().map(u8::to_string).collect();
        defines.push(format!("FW_UPDATE_KEY={}", bytes.join(",")));
    }
    Port {
        sources,
        includes: vec![room("port/esp8266")],
        defines,
        ..Port::default()
    }
}

/// The workspace's version as one number: newer is larger.
fn version() -> u32 {
    version_of(env!("CARGO_PKG_VERSION")).unwrap_or_default()
}

/// A version such as 0.3.0 as one number.
pub(super) fn version_of(text: &str) -> Result<u32> {
    let parts: Vec<&str> = text.split(['.', '-', '+']).take(3).collect();
    ensure!(parts.len() == 3, "{text}: expected a version such as 0.3.0");
    parts.iter().try_fold(0, |number, part| {
        let part: u8 = part
            .parse()
            .with_context(|| format!("{text}: expected numbers of at most 255"))?;
        Ok(number << 8 | u32::from(part))
    })
}

// ---- without the SDK ----

/// Compiles and checks what needs no SDK, and says what that leaves out.
///
/// # Errors
/// When something does not hold, or is over its budget.
pub(crate) fn without_sdk(options: &Options) -> Result<()> {
    let folder = made_folder("without-sdk")?;
    let mut skipped = Vec::new();
    let mut sources = Vec::new();
    for source in toolchain::sources("port/esp8266")? {
        if needs_sdk(&source)? {
            let name = source.file_name().unwrap_or_default();
            skipped.push(name.to_string_lossy().into_owned());
        } else {
            sources.push(source);
        }
    }
    let parts = Parts::make(&folder, port_of(options, sources))?;
    objects::judge(&parts.all())?;
    let mut report = Report::default();
    let mut ram = 0;
    for made in parts.all() {
        let bytes = objects::ram_bytes(made)?;
        report.note(&format!("ram: {}", made.name), bytes);
        ram += bytes;
    }
    for (name, bytes) in sizes(&folder)? {
        report.note(&format!("sizeof({name})"), bytes);
        ram += if HELD.contains(&name) { bytes } else { 0 };
    }
    report.hold(
        "ram: all of these",
        ram,
        RAM_BYTES_MAX - RAM_BYTES_OF_SKIPPED,
    );
    print!("{}", report.table());
    println!(
        "esp8266: compiled without the SDK. Skipped: {}, linking, IRAM, stack, the images (--sdk DIR does it all)",
        skipped.join(", ")
    );
    report.judge()
}

/// `sizeof` of each, from an object that holds one of each.
fn sizes(folder: &Path) -> Result<Vec<(&'static str, u64)>> {
    let source = folder.join("sizes.c");
    let mut text = String::new();
    for (name, header) in STRUCTS {
        writeln!(text, "#include \"{header}\"\n{name} one_{name};")?;
    }
    fs::write(&source, text)?;
    let object = source.with_extension("o");
    quietly(
        tool("gcc")
            .args(["-std=c11", "-c"])
            .args(CHIP_SIZES.iter().map(|size| format!("-D{size}")))
            .args(["core", "port"].map(|path| format!("-I{}", room(path).display())))
            .arg(format!("-I{}", sources::monocypher()?.display()))
            .arg(&source)
            .arg("-o")
            .arg(&object),
    )?;
    STRUCTS
        .iter()
        .map(|(name, _)| {
            Ok((
                *name,
                objects::symbol_bytes(&object, &format!("one_{name}"))?,
            ))
        })
        .collect()
}

// ---- with the SDK ----

/// Builds both images, checks them, prints what they take, and writes them.
///
/// # Errors
/// When something does not hold, or is over its budget.
pub(crate) fn with_sdk(options: &Options, sdk: &Path) -> Result<()> {
    let sdk = sdk
        .canonicalize()
        .with_context(|| format!("finding the SDK in {}", sdk.display()))?;
    let folder = made_folder(options.board)?;
    let out = options.out.map_or_else(|| folder.clone(), Path::to_owned);
    fs::create_dir_all(&out)?;
    let page_source = folder.join("page.c");
    fs::write(&page_source, page::render(&root().join("ui"))?)?;
    let mut sources = toolchain::sources("port/esp8266")?;
    sources.push(page_source);
    let mut port = port_of(options, sources);
    port.foreign_includes = vec![sdk.join("include"), Path::new(C_LIBRARY).join("include")];
    let parts = Parts::make(&folder, port)?;
    objects::judge(&parts.all())?;
    let rom = rom_symbols(&folder, &sdk)?;
    println!("{}", toolchain::version()?);
    let mut over = Vec::new();
    let mut images = Vec::new();
    for slot in [1, 2] {
        let elf = folder.join(format!("user{slot}.elf"));
        link(&parts, &sdk, &rom, slot, &elf)?;
        let made = image::of_elf(
            &fs::read(&elf)?,
            &Headers {
                slot,
                mode: mode_of(options.board)?,
                size: 2,
            },
        )?;
        image::judge(&made)?;
        let path = out.join(format!("user{slot}.bin"));
        fs::write(&path, &made)?;
        if let Some(maker) = options.maker {
            let about = About {
                profile: options.board,
                slot,
                version: version(),
                lowest: options.lowest,
            };
            let update = path.with_extension("update");
            fs::write(&update, maker.release(&about, &made)?)?;
            println!("user{slot}: {}", update.display());
        }
        let report = judge(&parts, &elf, made.len() as u64)?;
        println!("user{slot}: {}", path.display());
        print!("{}", report.table());
        if let Err(error) = report.judge() {
            over.push(format!("user{slot}: {error}"));
        }
        images.push(path);
    }
    largest(&parts, &folder.join("user1.elf"))?;
    chain(&parts, &folder.join("user1.elf"), &mut over)?;
    verify(&images)?;
    ensure!(over.is_empty(), "{}", over.join("\n"));
    Ok(())
}

/// How the board's flash chip is wired, by its row in `core/board.c`.
fn mode_of(board: &str) -> Result<u8> {
    let text = fs::read_to_string(room("core/board.c"))?;
    let (_, row) = text
        .split_once(&format!(".name = \"{board}\""))
        .with_context(|| format!("no board is called {board}; they are in core/board.c"))?;
    let row = row.split("},").next().unwrap_or_default();
    let named = row.split("FW_FLASH_").nth(1).unwrap_or_default();
    let mode = ["QIO", "QOUT", "DIO", "DOUT"]
        .iter()
        .position(|mode| named.starts_with(mode))
        .with_context(|| format!("{board}: no flash mode that is known"))?;
    Ok(mode as u8)
}

/// An object that says where the ROM has what the compiler's libraries have too.
fn rom_symbols(folder: &Path, sdk: &Path) -> Result<PathBuf> {
    let script = sdk.join("ld/eagle.rom.addr.v6.ld");
    let text =
        fs::read_to_string(&script).with_context(|| format!("reading {}", script.display()))?;
    let mut assembly = String::new();
    for line in text.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        if let ["PROVIDE", "(", name, "=", address, ..] = words[..]
            && is_shadowed(name)
        {
            writeln!(assembly, ".global {name}\n{name} = {address}")?;
        }
    }
    ensure!(
        !assembly.is_empty(),
        "no symbol of the ROM in {}",
        script.display()
    );
    let source = folder.join("rom.S");
    fs::write(&source, assembly)?;
    let object = source.with_extension("o");
    quietly(tool("gcc").arg("-c").arg(&source).arg("-o").arg(&object))?;
    Ok(object)
}

fn link(parts: &Parts, sdk: &Path, rom: &Path, slot: u8, elf: &Path) -> Result<()> {
    let scripts = room("port/esp8266");
    let mut gcc = tool("gcc");
    gcc.args([
        "-nostdlib",
        "-mlongcalls",
        "-Wl,--gc-sections",
        "-Wl,-static",
    ])
    .arg("-T")
    .arg(scripts.join(format!("user{slot}.ld")))
    .arg(format!("-Wl,-L,{}", scripts.display()))
    .arg(format!("-Wl,-L,{}", sdk.join("ld").display()))
    .arg(format!("-Wl,-Map,{}", toolchain::map_of(elf).display()))
    .arg("-o")
    .arg(elf)
    .arg(rom)
    .arg("-Wl,--start-group")
    .args(parts.all().map(|made| made.path.clone()))
    .args(
        LIBRARIES
            .iter()
            .map(|name| sdk.join(format!("lib/lib{name}.a"))),
    )
    .arg(format!("-L{C_LIBRARY}/lib"))
    .args(["-lc", "-lgcc", "-Wl,--end-group"]);
    quietly(&mut gcc)
}

/// Checks one image's map and vectors, and counts what it takes.
fn judge(parts: &Parts, elf: &Path, image_bytes: u64) -> Result<Report> {
    let placed = objects::placed(&toolchain::map_of(elf))?;
    objects::judge_constants(&placed, &parts.names())?;
    for (name, place) in VECTORS {
        let found = objects::symbol_address(elf, name)?;
        ensure!(found == *place, "{name}: at {found:#x}, not {place:#x}");
    }
    let is_ours = |part: &Placed| parts.names().iter().any(|name| part.is_of(name));
    let bytes = |range: &std::ops::Range<u64>, ours: bool| -> u64 {
        let within = placed
            .iter()
            .filter(|part| range.contains(&part.address) && is_ours(part) == ours);
        within.map(|part| part.bytes).sum()
    };
    let mut report = Report::default();
    report.hold("image", image_bytes, IMAGE_BYTES_MAX);
    report.hold("flash: ours", bytes(&FLASH, true), FLASH_BYTES_MAX);
    for made in parts.all() {
        let of_archive = placed
            .iter()
            .filter(|part| part.is_of(&made.name) && FLASH.contains(&part.address));
        report.note(
            &format!("flash: {}", made.name),
            of_archive.map(|part| part.bytes).sum(),
        );
    }
    let page = placed.iter().filter(|part| part.from.contains("(page.o)"));
    report.note(
        "flash: the page, of the port's",
        page.map(|part| part.bytes).sum(),
    );
    report.note("flash: the SDK's", bytes(&FLASH, false));
    report.hold("iram: ours", bytes(&IRAM, true), IRAM_BYTES_MAX);
    let sections = objects::sections(elf)?;
    let text = sections.iter().find(|(name, _)| name == ".text");
    let (_, iram) = text.context("expected .text in the image")?;
    report.hold("iram: all", *iram, IRAM.end - IRAM.start);
    report.hold(
        "ram: ours, data and bss",
        bytes(&DATA_RAM, true),
        RAM_BYTES_MAX,
    );
    report.note(
        "ram: the SDK's, with its constants",
        bytes(&DATA_RAM, false),
    );
    let heap = objects::symbol_address(elf, "_heap_start")?;
    report.note("ram: left for the heap", DATA_RAM.end - heap);
    Ok(report)
}

/// What of ours takes most of the RAM.
fn largest(parts: &Parts, elf: &Path) -> Result<()> {
    let mut found = objects::placed(&toolchain::map_of(elf))?;
    found.retain(|part| {
        DATA_RAM.contains(&part.address) && parts.names().iter().any(|name| part.is_of(name))
    });
    found.sort_by_key(|part| std::cmp::Reverse(part.bytes));
    println!("most of our RAM:");
    for part in found.iter().take(8) {
        println!("  {:>5}  {}", part.bytes, part.section);
    }
    Ok(())
}

/// The deepest chain of calls; what is below a call of the SDK is not known.
fn chain(parts: &Parts, elf: &Path, over: &mut Vec<String>) -> Result<()> {
    let placed = objects::placed(&toolchain::map_of(elf))?;
    let chain = stack::deepest(&parts.graphs(), &objects::functions(&placed))?;
    let mut report = Report::default();
    report.hold_stack(&chain);
    print!("{}", report.table());
    for (function, bytes) in &chain.functions {
        println!("  {bytes:>5}  {function}");
    }
    if let Err(error) = report.judge() {
        over.push(error.to_string());
    }
    Ok(())
}

// ---- a second opinion ----

/// Has Espressif's own tool read the images, where it can be had.
fn verify(images: &[PathBuf]) -> Result<()> {
    let Some(esptool) = esptool() else {
        println!("esptool: skipped, for pip does not bring version {ESPTOOL_VERSION}");
        return Ok(());
    };
    for image in images {
        let told = output(Command::new(&esptool).arg("image-info").arg(image))
            .with_context(|| format!("esptool does not read {}", image.display()))?;
        let sums = told.lines().filter(|line| line.contains("(valid)")).count();
        if sums == 0 || told.contains("(invalid") {
            bail!("esptool of {}:\n{told}", image.display());
        }
    }
    println!("esptool {ESPTOOL_VERSION}: reads both images, and finds their checksums valid");
    Ok(())
}

/// esptool in an environment of its own outside the clone.
fn esptool() -> Option<PathBuf> {
    let folder = cache_folder().ok()?.join("esptool");
    let program = folder.join("bin/esptool");
    let is_there = |program: &Path| {
        output(Command::new(program).arg("version"))
            .is_some_and(|told| told.contains(ESPTOOL_VERSION))
    };
    if !is_there(&program) {
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder)).ok()?;
        run(Command::new(folder.join("bin/pip")).args([
            "install",
            "--quiet",
            &format!("esptool=={ESPTOOL_VERSION}"),
        ]))
        .ok()?;
    }
    is_there(&program).then_some(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_how_a_board_is_wired() {
        assert_eq!(mode_of("nodemcu").unwrap(), 3);
        assert_eq!(mode_of("serial-relay-4").unwrap(), 3);
        let error = mode_of("toaster").unwrap_err().to_string();
        assert!(error.contains("toaster"), "{error}");
    }

    #[test]
    fn numbers_versions_in_their_order() {
        assert_eq!(version() >> 24, 0);
        assert!(version() < 1 << 24);
    }
}
