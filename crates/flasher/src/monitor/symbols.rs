//! Addresses of code brought back to functions and lines, by the ELF file that an image was made from.

use std::{borrow::Cow, fmt, sync::Arc};

use addr2line::Context;
use gimli::{Dwarf, EndianArcSlice, RunTimeEndian, SectionId};
use object::{
    Object as _, ObjectSection as _, ObjectSymbol as _, SectionFlags, SectionKind, SymbolKind,
};

use crate::{Error, Result};

/// The largest ELF file that is read. One of a whole firmware with all its debugging information has a few MiB.
pub const ELF_BYTES_MAX: u64 = 64 << 20;
/// Functions within functions that are told of one address.
const FRAMES_MAX: usize = 8;

/// What lies at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The function, and those that it was put into when it was compiled; the innermost first.
    pub functions: Vec<String>,
    /// The source file, as the compiler was given it.
    pub file: Option<String>,
    /// Its line.
    pub line: Option<u32>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.functions.split_first() {
            None => f.write_str("?")?,
            Some((function, outer)) => {
                f.write_str(function)?;
                for function in outer {
                    write!(f, " in {function}")?;
                }
            }
        }
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, " at {file}:{line}"),
            (Some(file), None) => write!(f, " at {file}"),
            _ => Ok(()),
        }
    }
}

struct Function {
    address: u64,
    bytes: u64,
    name: String,
}

/// What an ELF file says about code.
pub struct Symbols {
    /// By address.
    functions: Vec<Function>,
    /// Where there is code at all.
    code: Vec<(u64, u64)>,
    lines: Option<Context<EndianArcSlice<RunTimeEndian>>>,
}

impl fmt::Debug for Symbols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Symbols")
            .field("functions", &self.functions.len())
            .field("has_lines", &self.lines.is_some())
            .finish_non_exhaustive()
    }
}

impl Symbols {
    /// Reads an ELF file.
    ///
    /// # Errors
    /// [`Error::BadElf`]: it is none, it is too large, or there is nothing about code in it.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let bad = |expected| Error::BadElf { expected };
        if bytes.len() as u64 > ELF_BYTES_MAX {
            return Err(bad("at most 64 MiB"));
        }
        let file = object::File::parse(bytes).map_err(|_| bad("an ELF file"))?;
        let code: Vec<_> = file
            .sections()
            .filter(|it| is_code(it))
            .map(|it| (it.address(), it.address().saturating_add(it.size())))
            .collect();
        let is_in_code = |address: u64| {
            code.iter()
                .any(|&(start, end)| (start..end).contains(&address))
        };
        let mut functions: Vec<_> = file
            .symbols()
            .filter(|it| it.is_definition() && is_function(it.kind()) && is_in_code(it.address()))
            .filter_map(|it| {
                let name = it.name().ok().filter(|name| !name.is_empty())?;
                Some(Function {
                    address: it.address(),
                    bytes: it.size(),
                    name: name.to_owned(),
                })
            })
            .collect();
        // Of several names for one address the one with a size comes last, and is the one that is found.
        functions.sort_by_key(|it| (it.address, it.bytes));
        let endian = match file.is_little_endian() {
            true => RunTimeEndian::Little,
            false => RunTimeEndian::Big,
        };
        let load = |id: SectionId| -> std::result::Result<_, gimli::Error> {
            let section = file.section_by_name(id.name());
            // What is packed and cannot be unpacked here is as if it were not there.
            let data = section.and_then(|it| it.uncompressed_data().ok());
            let data: Arc<[u8]> = Arc::from(data.unwrap_or(Cow::Borrowed(&[])).as_ref());
            Ok(EndianArcSlice::new(data, endian))
        };
        let has_lines = file.section_by_name(SectionId::DebugLine.name()).is_some();
        let lines = match has_lines {
            true => Dwarf::load(load).and_then(Context::from_dwarf).ok(),
            false => None,
        };
        if functions.is_empty() && lines.is_none() {
            return Err(bad("an ELF file that still has its symbols"));
        }
        Ok(Symbols {
            functions,
            code,
            lines,
        })
    }

    /// What is at an address.
    pub fn place(&self, address: u64) -> Option<Place> {
        if !self
            .code
            .iter()
            .any(|&(start, end)| (start..end).contains(&address))
        {
            return None;
        }
        let mut place = self.place_by_lines(address).unwrap_or(Place {
            functions: Vec::new(),
            file: None,
            line: None,
        });
        if place.functions.is_empty() {
            place
                .functions
                .extend(self.function(address).map(|it| it.name.clone()));
        }
        let is_something = !place.functions.is_empty() || place.file.is_some();
        is_something.then_some(place)
    }

    /// What called, by the address that the call returns to: that is behind the call, perhaps on another line. A
    /// function's own beginning is no such address, but a pointer to it.
    pub fn caller(&self, address: u64) -> Option<Place> {
        let is_pointer = self
            .function(address)
            .is_some_and(|it| it.address == address);
        self.place(if is_pointer {
            address
        } else {
            address.saturating_sub(1)
        })
    }

    fn function(&self, address: u64) -> Option<&Function> {
        let behind = self.functions.partition_point(|it| it.address <= address);
        let function = self.functions.get(behind.checked_sub(1)?)?;
        // Those written in assembler have no size: they go on to the next one.
        let end = function.address.saturating_add(function.bytes);
        (function.bytes == 0 || address < end).then_some(function)
    }

    fn place_by_lines(&self, address: u64) -> Option<Place> {
        let frames = self.lines.as_ref()?.find_frames(address).skip_all_loads();
        let mut frames = frames.ok()?;
        let mut place = Place {
            functions: Vec::new(),
            file: None,
            line: None,
        };
        let mut is_first = true;
        while let Ok(Some(frame)) = frames.next() {
            let location = frame.location.filter(|_| std::mem::take(&mut is_first));
            if let Some(location) = location {
                place.file = location.file.map(str::to_owned);
                place.line = location.line.filter(|it| *it > 0);
            }
            if let Some(name) = frame.function.as_ref().and_then(|it| it.raw_name().ok()) {
                place.functions.push(name.into_owned());
            }
            if place.functions.len() == FRAMES_MAX {
                break;
            }
        }
        (!is_first).then_some(place)
    }
}

/// A linker script may put code into sections of any name: their flags tell.
fn is_code(section: &object::Section<'_, '_>) -> bool {
    let is_executable = match section.flags() {
        SectionFlags::Elf { sh_flags } => sh_flags & u64::from(object::elf::SHF_EXECINSTR) != 0,
        _ => false,
    };
    is_executable || section.kind() == SectionKind::Text
}

/// Labels in assembler have no type.
fn is_function(kind: SymbolKind) -> bool {
    matches!(
        kind,
        SymbolKind::Text | SymbolKind::Label | SymbolKind::Unknown
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::{
        Architecture, BinaryFormat, Endianness, SymbolFlags, SymbolScope,
        write::{self, SymbolSection},
    };

    /// An ELF file without lines: three functions in a section of their own.
    fn symbols_only() -> Vec<u8> {
        let mut file =
            write::Object::new(BinaryFormat::Elf, Architecture::I386, Endianness::Little);
        let section = file.add_section(Vec::new(), b".irom0.text".to_vec(), SectionKind::Text);
        file.append_section_data(section, &[0; 0x40], 4);
        for (name, value, size) in [
            ("first", 0x00, 0x10),
            ("label", 0x10, 0),
            ("alias", 0x20, 0),
            ("second", 0x20, 8),
        ] {
            file.add_symbol(write::Symbol {
                name: name.into(),
                value,
                size,
                kind: SymbolKind::Text,
                scope: SymbolScope::Linkage,
                weak: false,
                section: SymbolSection::Section(section),
                flags: SymbolFlags::None,
            });
        }
        file.write().unwrap()
    }

    #[test]
    fn symbols_alone_name_functions() {
        let symbols = Symbols::read(&symbols_only()).unwrap();
        let name = |place: Option<Place>| place.map(|it| it.to_string());
        for (address, function, caller) in [
            (0x00, Some("first"), Some("first")),
            (0x0F, Some("first"), Some("first")),
            // A call at a function's very end returns behind it.
            (0x10, Some("label"), Some("label")),
            (0x11, Some("label"), Some("label")),
            (0x27, Some("second"), Some("second")),
            (0x28, None, Some("second")),
            (0x40, None, None),
        ] {
            assert_eq!(
                name(symbols.place(address)).as_deref(),
                function,
                "{address:#x}"
            );
            assert_eq!(
                name(symbols.caller(address)).as_deref(),
                caller,
                "{address:#x}"
            );
        }
    }

    /// What the tests themselves are has functions, files and lines.
    #[cfg(target_os = "linux")]
    #[test]
    fn lines_are_found_by_debugging_information() {
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let file = object::File::parse(&*bytes).unwrap();
        let symbol = file
            .symbols()
            .find(|it| it.name() == Ok("switchyard_monitor_landmark"))
            .unwrap();
        let symbols = Symbols::read(&bytes).unwrap();
        let place = symbols.place(symbol.address()).unwrap();
        assert!(
            place.functions.iter().any(|it| it.contains("landmark")),
            "{place}"
        );
        assert!(
            place
                .file
                .as_deref()
                .is_some_and(|it| it.ends_with("symbols.rs")),
            "{place}"
        );
        assert!(
            place.line.is_some_and(|it| it.abs_diff(LANDMARK_LINE) < 8),
            "{place}"
        );
        assert!(switchyard_monitor_landmark(1) > 1);
    }

    const LANDMARK_LINE: u32 = line!();
    #[allow(
        unsafe_code,
        reason = "a name that is as long as it looks, for a test to find"
    )]
    #[unsafe(no_mangle)]
    #[inline(never)]
    extern "C" fn switchyard_monitor_landmark(number: u64) -> u64 {
        std::hint::black_box(number) * 3
    }

    #[test]
    fn what_is_no_elf_file_is_refused() {
        for bytes in [
            &b""[..],
            b"\x7fELF",
            b"\xe9\x01\x02\x20",
            &symbols_only()[..200],
        ] {
            assert!(
                matches!(Symbols::read(bytes), Err(Error::BadElf { .. })),
                "{bytes:?}"
            );
        }
    }
}
