//! What must hold of objects and images, and how large they are: read off the files themselves.

use super::toolchain::{self, Made, REDIRECTED};
use anyhow::{Context, Result, bail};
use object::{Object, ObjectSection, ObjectSymbol, SectionKind, SymbolKind};
use std::{collections::BTreeSet, fs, path::Path};

/// Loads of less than a word: they fault where flash is read.
const BYTE_LOADS: &[&str] = &["l8ui", "l16ui", "l16si"];

/// Where data RAM lies on the chip.
const DATA_RAM: std::ops::Range<u64> = 0x3FFE_8000..0x4000_0000;

/// Judges the objects that end in flash.
///
/// # Errors
/// When one loads bytes or half words and may not ([`toolchain::FROM_RAM`]), or calls a function that does; all of
/// them are named.
pub(super) fn judge(archives: &[&Made]) -> Result<()> {
    let mut faults = Vec::new();
    for object in archives.iter().flat_map(|made| &made.objects) {
        let name = object.display();
        if !toolchain::is_from_ram(object) {
            for line in byte_loads(&toolchain::disassembly(object)?) {
                faults.push(format!("{name}: {line}"));
            }
        }
        let data = fs::read(object)?;
        for symbol in object::File::parse(&*data)?.symbols() {
            let called = symbol.name()?;
            if symbol.is_undefined() && REDIRECTED.iter().any(|(from, _)| *from == called) {
                faults.push(format!("{name}: calls {called}, which loads bytes"));
            }
        }
    }
    if !faults.is_empty() {
        bail!(
            "what lies in flash loads whole words only:\n  {}",
            faults.join("\n  ")
        );
    }
    Ok(())
}

/// The lines of a disassembly that load less than a word, each with its function.
fn byte_loads(text: &str) -> Vec<String> {
    let mut function = "";
    let mut found = Vec::new();
    for line in text.lines() {
        if line.ends_with(">:") {
            function = line.rsplit(' ').next().unwrap_or_default();
        } else if line
            .split_whitespace()
            .any(|word| BYTE_LOADS.contains(&word))
        {
            found.push(format!("{function} {}", line.trim()));
        }
    }
    found
}

/// The bytes of each section of an image, by name; those that take no memory are left out.
pub(super) fn sections(image: &Path) -> Result<Vec<(String, u64)>> {
    let data = fs::read(image).with_context(|| format!("reading {}", image.display()))?;
    let file = object::File::parse(&*data)?;
    let mut found = Vec::new();
    for section in file.sections() {
        let takes_memory = section.address() != 0
            && !matches!(section.kind(), SectionKind::Debug | SectionKind::Metadata);
        if takes_memory {
            found.push((section.name()?.into(), section.size()));
        }
    }
    Ok(found)
}

/// The functions that an archive offers.
pub(super) fn globals(made: &Made) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for path in &made.objects {
        let data = fs::read(path)?;
        for symbol in object::File::parse(&*data)?.symbols() {
            if symbol.is_global() && symbol.is_definition() && symbol.kind() == SymbolKind::Text {
                found.push(symbol.name()?.into());
            }
        }
    }
    Ok(found)
}

/// The bytes of a symbol.
pub(super) fn symbol_bytes(file: &Path, name: &str) -> Result<u64> {
    symbol(file, name).map(|(_, bytes)| bytes)
}

/// Where a symbol lies.
pub(super) fn symbol_address(file: &Path, name: &str) -> Result<u64> {
    symbol(file, name).map(|(address, _)| address)
}

/// A symbol's address and bytes.
fn symbol(file: &Path, name: &str) -> Result<(u64, u64)> {
    let data = fs::read(file)?;
    object::File::parse(&*data)?
        .symbols()
        .find(|symbol| symbol.name() == Ok(name))
        .map(|symbol| (symbol.address(), symbol.size()))
        .with_context(|| format!("expected {name} in {}", file.display()))
}

/// The data and zeroes of an archive's objects, whether an image will hold them or not.
pub(super) fn ram_bytes(made: &Made) -> Result<u64> {
    let mut bytes = 0;
    for path in &made.objects {
        let data = fs::read(path)?;
        for section in object::File::parse(&*data)?.sections() {
            let name = section.name()?;
            if name.starts_with(".data") || name.starts_with(".bss") {
                bytes += section.size();
            }
        }
    }
    Ok(bytes)
}

/// What the linker put somewhere, of one object.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) section: String,
    pub(super) address: u64,
    pub(super) bytes: u64,
    /// `libcore.a(vm.o)` with its folder.
    pub(super) from: String,
}

impl Placed {
    /// Whether it comes out of `libNAME.a`.
    pub(super) fn is_of(&self, archive: &str) -> bool {
        self.from.contains(&format!("/lib{archive}.a("))
    }
}

/// Reads the linker's map: every input section that got an address.
pub(super) fn placed(map: &Path) -> Result<Vec<Placed>> {
    let text = fs::read_to_string(map).with_context(|| format!("reading {}", map.display()))?;
    Ok(read_map(&text))
}

fn read_map(text: &str) -> Vec<Placed> {
    let (_, memory) = text
        .split_once("Linker script and memory map")
        .unwrap_or(("", text));
    let mut found = Vec::new();
    let mut name = "";
    for line in memory.lines() {
        let mut words = line.split_whitespace().peekable();
        // A long name has a line of its own; address, size and object follow on the next.
        if line.starts_with(" .") || line.starts_with(" COMMON") {
            name = words.next().unwrap_or_default();
        } else if !line.starts_with("        ") {
            continue;
        }
        let mut number = || {
            let digits = words.peek()?.strip_prefix("0x")?;
            let number = u64::from_str_radix(digits, 16).ok()?;
            words.next();
            Some(number)
        };
        let (Some(address), Some(bytes)) = (number(), number()) else {
            continue;
        };
        let Some(from) = words.next() else { continue };
        if bytes > 0 && address > 0 && from.contains('/') {
            found.push(Placed {
                section: name.into(),
                address,
                bytes,
                from: from.into(),
            });
        }
    }
    found
}

/// The functions that are in the image, each of which has a section of its own.
pub(super) fn functions(placed: &[Placed]) -> BTreeSet<&str> {
    placed
        .iter()
        .filter_map(|part| part.section.strip_prefix(".text."))
        .collect()
}

/// Judges where constants of ours went.
///
/// # Errors
/// When one of these archives' `.rodata` takes data RAM.
pub(super) fn judge_constants(placed: &[Placed], archives: &[&str]) -> Result<()> {
    let in_ram: Vec<_> = placed
        .iter()
        .filter(|part| archives.iter().any(|archive| part.is_of(archive)))
        .filter(|part| part.section.starts_with(".rodata") && DATA_RAM.contains(&part.address))
        .map(|part| format!("{:#x} {} {}", part.address, part.section, part.from))
        .collect();
    if !in_ram.is_empty() {
        bail!("constants in data RAM:\n  {}", in_ram.join("\n  "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = concat!(
        "Archive member included\n",
        " .rodata.gone  0x0000000000000000  0x4 /t/libcore.a(vm.o)\n",
        "Linker script and memory map\n",
        " .text.fw_scan  0x0000000040200000       0x10 /t/libcore.a(vm.o)\n",
        " .rodata.a_long_name\n",
        "                0x000000003ffe8010        0x8 /t/libcore.a(vm.o)\n",
        " .rodata.empty  0x000000003ffe8018        0x0 /t/libcore.a(vm.o)\n",
        " .rodata.other  0x000000003ffe8018        0x4 /t/libc.a(puts.o)\n",
        " *fill*         0x000000003ffe8014        0x4 \n",
    );

    #[test]
    fn finds_constants_in_data_ram_by_the_map() {
        let placed = read_map(MAP);
        assert_eq!(placed.len(), 3, "{placed:?}");
        let error = judge_constants(&placed, &["core"]).unwrap_err().to_string();
        assert!(error.contains("0x3ffe8010 .rodata.a_long_name"), "{error}");
        assert!(!error.contains("puts"), "{error}");
        assert!(judge_constants(&placed, &["monocypher"]).is_ok());
    }

    #[test]
    fn finds_loads_of_bytes_with_their_function() {
        let text = "00000000 <fw_scan>:\n   0:\tl8ui\ta2, a3, 0\n   3:\tl32i\ta2, a3, 0\n";
        assert_eq!(byte_loads(text), ["<fw_scan>: 0:\tl8ui\ta2, a3, 0"]);
    }
}
