//! Crashes: the lines by which firmwares tell of them, read, explained, and brought back to functions and lines.
//!
//! Two forms are known: that of Espressif's SDK, and the one with a copy of the stack that Arduino's made common.

use super::symbols::{Place, Symbols};

/// How many lines may lie between an exception's number and its registers.
const LINES_BETWEEN_MAX: u8 = 4;
/// Rows of a stack; the chip's have 8 KiB at most, 16 bytes a row.
const STACK_ROWS_MAX: usize = 1_024;
/// Addresses of code that are kept of one stack.
const STACK_ADDRESSES_MAX: usize = 128;
/// Lines within a stack that are no row of it, before it is given up.
const STACK_OTHER_MAX: u8 = 16;

/// Where code lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CodeRegion {
    /// In the chip's own ROM.
    Rom,
    /// In RAM.
    Ram,
    /// In flash.
    Flash,
}

impl CodeRegion {
    /// The region of an address; `None`: no code lies there.
    pub const fn of(address: u32) -> Option<Self> {
        match address {
            0x4000_0000..=0x4000_FFFF => Some(CodeRegion::Rom),
            0x4010_0000..=0x4010_FFFF => Some(CodeRegion::Ram),
            0x4020_0000..=0x402F_FFFF => Some(CodeRegion::Flash),
            _ => None,
        }
    }
}

/// An address at which there may be code, and what an ELF file says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeAddress {
    /// The address.
    pub address: u32,
    /// What kind of memory it is in; `None`: none that code is in.
    pub region: Option<CodeRegion>,
    /// What is there.
    pub place: Option<Place>,
}

impl CodeAddress {
    /// In words.
    pub fn words(&self) -> String {
        let what = match (&self.place, self.region) {
            (Some(place), _) => place.to_string(),
            (None, Some(CodeRegion::Rom)) => "in the chip's ROM".to_owned(),
            (None, Some(_)) => return format!("{:#010x}", self.address),
            (None, None) => "where no code is".to_owned(),
        };
        format!("{:#010x} {what}", self.address)
    }
}

/// The registers of an exception.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// Where it happened.
    pub epc1: u32,
    /// Where an interrupt of level 2 came.
    pub epc2: Option<u32>,
    /// And one of level 3: a watchdog's.
    pub epc3: Option<u32>,
    /// The address that was to be read or written.
    pub excvaddr: Option<u32>,
    /// Where an exception within an exception happened.
    pub depc: Option<u32>,
}

/// An exception.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// Its number, where it was told.
    pub cause: Option<u8>,
    /// The registers, where they were told.
    pub registers: Option<Registers>,
    /// Where it happened.
    pub at: Option<CodeAddress>,
}

impl Exception {
    /// The architecture's name of its number.
    pub fn name(&self) -> Option<&'static str> {
        explained(self.cause?).map(|(name, _)| name)
    }

    /// All of it, in words.
    pub fn words(&self) -> String {
        let mut words = match self.cause {
            None => "it crashed".to_owned(),
            Some(cause) => match explained(cause) {
                Some((name, what)) => format!("exception {cause}, {name}: {what}"),
                None => format!("exception {cause}, which the architecture does not have"),
            },
        };
        let about = self.registers.and_then(|it| it.excvaddr);
        let is_about_memory = matches!(self.cause, Some(2 | 3 | 9 | 12..=29));
        if let Some(address) = about.filter(|_| is_about_memory) {
            let is_null = address < 0x1000 && matches!(self.cause, Some(28 | 29));
            let guess = if is_null { ", a null pointer" } else { "" };
            words.push_str(&format!(" ({address:#010x}{guess})"));
        }
        if let Some(at) = &self.at {
            words.push_str(&format!("; at {}", at.words()));
        }
        words
    }
}

/// A copy of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    /// What looks like an address of code in it, the innermost call first; old ones may be among them.
    pub addresses: Vec<CodeAddress>,
    /// There were more.
    pub is_cut: bool,
    /// Its end did not come.
    pub is_broken: bool,
}

/// What an exception's number means: its name in the architecture, and plain words.
fn explained(cause: u8) -> Option<(&'static str, &'static str)> {
    Some(match cause {
        0 => (
            "IllegalInstructionCause",
            "what was to be executed is no instruction: a jump through a bad pointer, an overwritten stack, or an abort",
        ),
        1 => (
            "SyscallCause",
            "a system call was executed, which nobody serves",
        ),
        2 => ("InstructionFetchErrorCause", "code could not be fetched"),
        3 => (
            "LoadStoreErrorCause",
            "memory could not be read or written so: flash and code memory take whole words only",
        ),
        4 => (
            "Level1InterruptCause",
            "an interrupt came; the software's own watchdog ends a program that hangs by it",
        ),
        5 => (
            "AllocaCause",
            "the stack was moved in a way that this chip does not have",
        ),
        6 => ("IntegerDivideByZeroCause", "a number was divided by zero"),
        8 => (
            "PrivilegedCause",
            "an instruction was executed that is not allowed there",
        ),
        9 => (
            "LoadStoreAlignmentCause",
            "a word was read or written at an address that is no multiple of its size",
        ),
        12 => (
            "InstrPIFDataErrorCause",
            "code could not be fetched: the bus brought an error",
        ),
        13 => (
            "LoadStorePIFDataErrorCause",
            "memory could not be read or written: the bus brought an error",
        ),
        14 => (
            "InstrPIFAddrErrorCause",
            "code was to be fetched from where nothing is",
        ),
        15 => (
            "LoadStorePIFAddrErrorCause",
            "something was to be read or written where nothing is",
        ),
        16 => (
            "InstTLBMissCause",
            "code was to be fetched from an address without a mapping",
        ),
        17 => (
            "InstTLBMultiHitCause",
            "code was to be fetched from an address with two mappings",
        ),
        18 => (
            "InstFetchPrivilegeCause",
            "code was to be fetched from where that is not allowed",
        ),
        20 => (
            "InstFetchProhibitedCause",
            "code was to be fetched from where no code may be: a call through a bad pointer",
        ),
        24 => (
            "LoadStoreTLBMissCause",
            "an address without a mapping was read or written",
        ),
        25 => (
            "LoadStoreTLBMultiHitCause",
            "an address with two mappings was read or written",
        ),
        26 => (
            "LoadStorePrivilegeCause",
            "an address was read or written where that is not allowed",
        ),
        28 => (
            "LoadProhibitedCause",
            "something was read where nothing may be read",
        ),
        29 => (
            "StoreProhibitedCause",
            "something was written where nothing may be written",
        ),
        32..=39 => (
            "CoprocessorDisabled",
            "a coprocessor was used that this chip does not have",
        ),
        _ => return None,
    })
}

/// What a line brought to light.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Crash {
    Exception(Exception),
    Stack(Stack),
}

/// Reads crashes line by line.
#[derive(Debug, Default)]
pub(super) struct Crashes {
    /// An exception's number whose registers are to come, and within how many lines.
    announced: Option<(u8, u8)>,
    stack: Option<Rows>,
}

#[derive(Debug, Default)]
struct Rows {
    addresses: Vec<u32>,
    rows: usize,
    others: u8,
    is_cut: bool,
}

impl Crashes {
    pub(super) fn line(&mut self, line: &str, symbols: Option<&Symbols>) -> Vec<Crash> {
        let mut found = Vec::new();
        if line.contains(">>>stack>>>") {
            found.extend(self.end_stack(true, symbols));
            self.stack = Some(Rows::default());
        } else if line.contains("<<<stack<<<") {
            found.extend(self.end_stack(false, symbols));
        } else if let Some(rows) = &mut self.stack
            && !rows.take(line)
        {
            found.extend(self.end_stack(true, symbols));
        }
        let registers = Registers::read(line);
        let number = registers
            .is_none()
            .then(|| exception_number(line))
            .flatten();
        if registers.is_some() || number.is_some() {
            let cause = self.announced.take().map(|(cause, _)| cause);
            // One of which the registers never came.
            if cause.is_some() || registers.is_some() {
                found.push(Crash::Exception(exception(cause, registers, symbols)));
            }
            self.announced = number.map(|number| (number, LINES_BETWEEN_MAX));
        } else if let Some((cause, lines_left)) = self.announced {
            self.announced = lines_left.checked_sub(1).map(|left| (cause, left));
            if self.announced.is_none() {
                found.push(Crash::Exception(exception(Some(cause), None, symbols)));
            }
        }
        found
    }

    /// Nothing more comes of what has begun: the board starts anew, or is gone.
    pub(super) fn end(&mut self, symbols: Option<&Symbols>) -> Vec<Crash> {
        let announced = self.announced.take();
        let exception = announced.map(|(cause, _)| exception(Some(cause), None, symbols));
        let stack = self.end_stack(true, symbols);
        exception
            .map(Crash::Exception)
            .into_iter()
            .chain(stack)
            .collect()
    }

    fn end_stack(&mut self, is_broken: bool, symbols: Option<&Symbols>) -> Option<Crash> {
        let rows = self.stack.take()?;
        let place = |address: &u32| CodeAddress {
            address: *address,
            region: CodeRegion::of(*address),
            place: symbols.and_then(|it| it.caller(u64::from(*address))),
        };
        Some(Crash::Stack(Stack {
            addresses: rows.addresses.iter().map(place).collect(),
            is_cut: rows.is_cut,
            is_broken,
        }))
    }
}

impl Rows {
    /// Takes a line of a stack. Says whether the stack goes on.
    fn take(&mut self, line: &str) -> bool {
        let row = line.trim().split_once(':');
        let Some((_, words)) = row.filter(|(address, _)| word(address).is_some()) else {
            self.others += 1;
            return self.others <= STACK_OTHER_MAX;
        };
        self.rows += 1;
        for address in words.split_whitespace().filter_map(word) {
            let is_code = matches!(
                CodeRegion::of(address),
                Some(CodeRegion::Ram | CodeRegion::Flash)
            );
            if !is_code {
                continue;
            }
            if self.addresses.len() < STACK_ADDRESSES_MAX {
                self.addresses.push(address);
            } else {
                self.is_cut = true;
            }
        }
        self.rows < STACK_ROWS_MAX
    }
}

impl Registers {
    fn read(line: &str) -> Option<Self> {
        let register = |name: &str| -> Option<u32> {
            let (_, rest) = line.split_once(name)?;
            word(rest.strip_prefix("=0x")?.get(..8)?)
        };
        Some(Registers {
            epc1: register("epc1")?,
            epc2: register("epc2"),
            epc3: register("epc3"),
            excvaddr: register("excvaddr"),
            depc: register("depc"),
        })
    }
}

fn exception(
    cause: Option<u8>,
    registers: Option<Registers>,
    symbols: Option<&Symbols>,
) -> Exception {
    let at = registers.map(|it| CodeAddress {
        address: it.epc1,
        region: CodeRegion::of(it.epc1),
        place: symbols.and_then(|symbols| symbols.place(u64::from(it.epc1))),
    });
    Exception {
        cause,
        registers,
        at,
    }
}

/// The number in `Exception (28):`, `Fatal exception 28(LoadProhibitedCause):` or `Fatal exception (28):`.
fn exception_number(line: &str) -> Option<u8> {
    let (before, rest) = line.split_once("xception ")?;
    if !(before.ends_with('E') || before.ends_with("atal e")) {
        return None;
    }
    let rest = rest.trim_start_matches('(');
    let end = rest.find(|it: char| !it.is_ascii_digit())?;
    let is_number = rest[end..].starts_with(['(', ')']);
    rest[..end].parse().ok().filter(|_| is_number)
}

/// Eight digits by sixteens.
fn word(text: &str) -> Option<u32> {
    let is_word = text.len() == 8 && text.bytes().all(|it| it.is_ascii_hexdigit());
    is_word
        .then(|| u32::from_str_radix(text, 16).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crashes(lines: &str) -> Vec<Crash> {
        let mut crashes = Crashes::default();
        let mut found: Vec<_> = lines
            .lines()
            .flat_map(|line| crashes.line(line, None))
            .collect();
        found.extend(crashes.end(None));
        found
    }

    #[test]
    fn all_forms_of_an_exception_are_read() {
        let commas = "epc1=0x4020105e, epc2=0x00000000, epc3=0x40000f68, excvaddr=0x00000018, depc=0x00000000";
        for (head, registers, cause) in [
            ("Exception (28):", commas.replace(',', ""), Some(28)),
            (
                "Fatal exception 28(LoadProhibitedCause):",
                commas.to_owned(),
                Some(28),
            ),
            ("Fatal exception (28): ", commas.to_owned(), Some(28)),
            ("Soft WDT reset", commas.to_owned(), None),
        ] {
            let found = crashes(&format!("{head}\n\n{registers}\nmore\n"));
            let [Crash::Exception(exception)] = found.as_slice() else {
                panic!("{head}: {found:?}");
            };
            assert_eq!(exception.cause, cause);
            let registers = exception.registers.unwrap();
            assert_eq!(
                (registers.epc1, registers.epc3, registers.excvaddr),
                (0x4020_105e, Some(0x4000_0f68), Some(0x18))
            );
            let words = exception.words();
            assert!(words.ends_with("; at 0x4020105e"), "{words}");
            assert_eq!(
                words.contains("LoadProhibitedCause") && words.contains("null pointer"),
                cause.is_some()
            );
        }
        for line in [
            "Exception handling is on (28)",
            "no exception (28)",
            "Exception (2x8):",
            "Exception (300):",
        ] {
            assert_eq!(crashes(&format!("{line}\n")), [], "{line}");
        }
    }

    #[test]
    fn an_exception_without_registers_is_told_all_the_same() {
        for tail in ["", "1\n2\n3\n4\n5\n6\n", "Exception (0):\nepc1=0x40100000"] {
            let found = crashes(&format!("Exception (9):\n{tail}"));
            let Some(Crash::Exception(first)) = found.first() else {
                panic!("{found:?}");
            };
            assert_eq!((first.cause, first.registers), (Some(9), None));
        }
    }

    #[test]
    fn code_is_found_on_a_stack() {
        let found = crashes(
            ">>>stack>>>\n\nctx: cont\nsp: 3ffffdd0 end: 3fffffc0 offset: 0190\n\
             3fffff60:  3fffdad0 00000000 3ffee4f0 40201f2c  \n\
             3fffff70:  40100a04 40000f68 4020105e  <\n<<<stack<<<\n3fffff80:  40201f2c\n",
        );
        let [Crash::Stack(stack)] = found.as_slice() else {
            panic!("{found:?}");
        };
        let addresses: Vec<_> = stack.addresses.iter().map(|it| it.address).collect();
        assert_eq!(addresses, [0x4020_1f2c, 0x4010_0a04, 0x4020_105e]);
        assert!(!stack.is_cut && !stack.is_broken);
    }

    #[test]
    fn a_stack_without_end_is_bounded() {
        let row = "3fffff60:  40201f2c 40201f2c 40201f2c 40201f2c\n";
        for lines in [
            row.repeat(STACK_ROWS_MAX + 7),
            format!("{}{}", row.repeat(40), "no row\n".repeat(20)),
        ] {
            let found = crashes(&format!(">>>stack>>>\n{lines}"));
            let [Crash::Stack(stack)] = found.as_slice() else {
                panic!("{found:?}");
            };
            assert_eq!(stack.addresses.len(), STACK_ADDRESSES_MAX);
            assert!(stack.is_cut && stack.is_broken);
        }
    }
}
