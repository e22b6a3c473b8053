//! The script language: its compiler and its machine, both the C core's.
//!
//! `docs/script.md` says what scripts mean. Here a text becomes a [`Program`] or a
//! [`ScriptError`], and a [`Machine`] runs the program, one call a scan.
//!
//! ```
//! use switchyard_firmware::script::{Answer, Board, Machine, Pin, PinKind, compile};
//!
//! let board = Board::new([
//!     Pin::new("DI1", PinKind::DigitalInput, 0),
//!     Pin::new("RL1", PinKind::DigitalOutput, 2),
//! ]);
//! let source = "in door = DI1\nout lamp = RL1 safe off\nlamp := door\n";
//! let mut machine = Machine::start(compile(source, &board)?);
//! machine.set("door", 1);
//! assert_eq!(machine.scan(10, None), Answer::NoCall);
//! assert_eq!(machine.value("lamp"), Some(1));
//! # Ok::<(), switchyard_firmware::script::ScriptError>(())
//! ```

#![expect(unsafe_code, reason = "the C core is called through raw pointers")]

use std::{
    alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error},
    ffi::{CStr, CString, c_char, c_void},
    fmt,
    marker::PhantomData,
    ptr::{self, NonNull},
};

use crate::ffi::{
    self, FwBoard, FwCompiler, FwPin, FwProgram, FwProgramSink, FwScriptError, FwVm, FwVmCall,
};

/// What a pin of a board is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinKind {
    /// `in`, of type `bool`.
    DigitalInput = 0,
    /// `out`, of type `bool`.
    DigitalOutput = 1,
    /// `in`, of type `num`.
    AnalogueInput = 2,
    /// `out`, of type `num`.
    AnalogueOutput = 3,
}

impl PinKind {
    /// `fw_point_type_t`.
    pub(crate) fn of_core(number: u8) -> Option<Self> {
        let kinds = [
            Self::DigitalInput,
            Self::DigitalOutput,
            Self::AnalogueInput,
            Self::AnalogueOutput,
        ];
        kinds.get(usize::from(number)).copied()
    }
}

/// A pin, as scripts name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    name: CString,
    kind: PinKind,
    channel: u8,
}

impl Pin {
    /// A pin of that name; `channel` is what the port knows it by. A name ends at its first zero
    /// byte, since no script could say what is behind it.
    pub fn new(name: &str, kind: PinKind, channel: u8) -> Self {
        let until_zero = name.split('\0').next().unwrap_or_default();
        Self {
            name: CString::new(until_zero).unwrap_or_default(),
            kind,
            channel,
        }
    }
}

/// The pins that a script may use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Board {
    pins: Vec<Pin>,
}

impl Board {
    /// A board with these pins. The compiler counts them in a byte: those past the 255th are not
    /// taken.
    pub fn new(pins: impl IntoIterator<Item = Pin>) -> Self {
        Self {
            pins: pins.into_iter().take(usize::from(u8::MAX)).collect(),
        }
    }

    /// The pins as C knows them. They point into `self`.
    pub(crate) fn in_core(&self) -> Vec<FwPin> {
        let pin = |pin: &Pin| FwPin {
            name: pin.name.as_ptr(),
            kind: pin.kind as u8,
            channel: pin.channel,
        };
        self.pins.iter().map(pin).collect()
    }
}

/// What is wrong with a script: the first thing found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScriptError {
    /// The line, from 1.
    pub line: u16,
    /// The column in bytes, from 1.
    pub column: u16,
    /// The words that are there; `None` is the end of a line or of the script.
    pub found: Option<String>,
    /// What should stand there.
    pub expected: String,
    /// What to do about it, where that can be said.
    pub fix: Option<String>,
    /// Of two things that exclude each other, the other one's line.
    pub other_line: Option<u16>,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            line,
            column,
            expected,
            ..
        } = self;
        write!(
            out,
            "line {line}, column {column}: expected {expected}, found "
        )?;
        match &self.found {
            Some(found) => write!(out, "{found:?}")?,
            None => out.write_str("the end of the line")?,
        }
        if let Some(other) = self.other_line {
            write!(out, " (the other is in line {other})")?;
        }
        if let Some(fix) = &self.fix {
            write!(out, "; {fix}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ScriptError {}

/// The type of a value. All are 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// 0 or 1.
    Bool,
    /// A whole number.
    Int,
    /// Thousandths.
    Num,
    /// Milliseconds.
    Time,
}

impl ValueType {
    fn from_table(byte: u8) -> Option<Self> {
        [Self::Bool, Self::Int, Self::Num, Self::Time]
            .get(usize::from(byte))
            .copied()
    }
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    /// `in`: whoever scans puts its value.
    Input,
    /// `out`.
    Output,
    /// `var`.
    Variable,
    /// `retain`.
    Retained,
    /// `param`: whoever changes it keeps within its range.
    Parameter,
    /// `command`: a `bool`, true in the scan that takes a call.
    Command,
    /// A state machine; its value is the number of its state, from 0.
    Machine,
    /// A command's argument, named `command.argument`.
    Argument,
    /// `boot`, `online`, `synced` and `input.bad`, of those the ones that the script asks for.
    Flag,
}

/// A name that a script declares, or a flag that it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Name {
    /// As a script says it.
    pub name: String,
    /// What it stands for.
    pub kind: NameKind,
    /// The type of its value.
    pub value_type: ValueType,
    /// Where its value lies in the machine.
    pub cell: u8,
    /// The least value that it may be given; of parameters and arguments.
    pub value_min: i32,
    /// The greatest such value.
    pub value_max: i32,
}

/// How an alarm ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlarmLevel {
    /// To be looked at some time.
    Low,
    /// To be looked at today.
    Medium,
    /// To be looked at now.
    High,
}

/// An alarm that a script declares.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Alarm {
    /// How it ranks.
    pub level: AlarmLevel,
    /// What people are told.
    pub text: String,
    /// Where it stands in the script, from 1.
    pub line: u32,
}

/// A compiled script.
#[derive(Clone, PartialEq, Eq)]
pub struct Program {
    code: Vec<u32>,
    table: Vec<u32>,
    names: Vec<Name>,
    operations: u16,
}

impl Program {
    /// The words that the machine works through.
    pub fn code(&self) -> &[u32] {
        &self.code
    }

    /// Constants, and what is declared.
    pub fn table(&self) -> &[u32] {
        &self.table
    }

    /// What is declared, in the order of the script; an argument comes behind its command.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.names.iter()
    }

    /// The alarms that it may raise, in the order of the script.
    pub fn alarms(&self) -> Vec<Alarm> {
        read_alarms(&self.table)
    }

    /// The operations of a scan: the same in every one.
    pub fn operations(&self) -> u16 {
        self.operations
    }

    /// What a scan takes at most on the chip, in microseconds: at 80 MHz, and one and a half cycles an
    /// instruction.
    pub fn scan_micros(&self) -> u32 {
        let program = self.in_core();
        // SAFETY: the program points to words of `self`, and C only reads them.
        let instructions = unsafe { ffi::fw_program_cost(&raw const program) };
        instructions.saturating_mul(3).div_ceil(160)
    }

    /// As C knows it. It points into `self`.
    pub(crate) fn in_core(&self) -> FwProgram {
        FwProgram {
            code: self.code.as_ptr(),
            table: self.table.as_ptr(),
            // The compiler writes 1,024 words of each at most.
            code_words: u16::try_from(self.code.len()).unwrap_or(0),
            table_words: u16::try_from(self.table.len()).unwrap_or(0),
        }
    }

    pub(crate) fn cell(&self, name: &str) -> Option<u8> {
        let found = self.names.iter().find(|known| known.name == name)?;
        Some(found.cell)
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Program")
            .field("code_words", &self.code.len())
            .field("table_words", &self.table.len())
            .field("names", &self.names)
            .field("operations", &self.operations)
            .finish()
    }
}

/// Compiles a script for a board.
pub fn compile(source: &str, board: &Board) -> Result<Program, ScriptError> {
    let pins = board.in_core();
    let core_board = FwBoard {
        pins: pins.as_ptr(),
        // `Board::new` takes no more than a byte counts.
        count: u8::try_from(pins.len()).unwrap_or(u8::MAX),
    };
    let mut words = Words::default();
    let sink = FwProgramSink {
        ctx: ptr::from_mut(&mut words).cast(),
        code: put_code,
        table: put_table,
    };
    compare_sizes();
    // SAFETY: both functions only tell a constant.
    let layout = unsafe { (ffi::fw_host_compiler_bytes(), ffi::fw_host_compiler_align()) };
    let compiler = Room::<FwCompiler>::new(layout);
    // SAFETY: the room has the size and alignment that C asks for; source, board, its names and the
    // sink's words outlive the compiler, which is done with them before this function returns.
    let (done, error, operations) = unsafe {
        let at = compiler.at.as_ptr();
        let begun = ffi::fw_compile_begin(
            at,
            source.as_ptr(),
            source.len(),
            &raw const core_board,
            sink,
        );
        let mut state = if begun { MORE } else { FAILED };
        while state == MORE {
            state = ffi::fw_compile_step(at);
        }
        let operations = ffi::fw_host_compiler_operations(at);
        (state == DONE, &*ffi::fw_host_compiler_error(at), operations)
    };
    if !done {
        return Err(tell(error, source));
    }
    let Words { code, table } = words;
    let names = read_names(&table);
    Ok(Program {
        code,
        table,
        names,
        operations,
    })
}

/// `fw_compile_state_t`.
const MORE: u32 = 0;
const DONE: u32 = 1;
const FAILED: u32 = 2;

/// A command that is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The command's number, in the order of the script, from 0. A call of none is not taken.
    pub command: u8,
    /// Its arguments, which whoever calls keeps within their ranges; those it does not have are
    /// ignored.
    pub arguments: [i32; 4],
}

/// What became of a scan's call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// There was none, or none of a command of this script.
    NoCall,
    /// It was taken.
    Taken,
    /// The script refused it.
    Refused,
}

/// A machine that runs one program.
pub struct Machine {
    vm: Room<FwVm>,
    program: Program,
}

// SAFETY: the room and the program's words are owned by this value alone and hold no tie to a
// thread.
unsafe impl Send for Machine {}

impl Machine {
    /// A machine before its first scan: every name has its constant or initial value.
    pub fn start(program: Program) -> Self {
        compare_sizes();
        // SAFETY: both functions only tell a constant.
        let layout = unsafe { (ffi::fw_host_vm_bytes(), ffi::fw_host_vm_align()) };
        let vm = Room::<FwVm>::new(layout);
        let core_program = program.in_core();
        // SAFETY: the room has the size and alignment that C asks for; the words lie on the heap,
        // are never changed and go with this value, so the pointers stay good when it moves.
        unsafe { ffi::fw_vm_start(vm.at.as_ptr(), &raw const core_program) }
        Self { vm, program }
    }

    /// One scan. `now_ms` counts on from scan to scan and may wrap.
    pub fn scan(&mut self, now_ms: u32, call: Option<Call>) -> Answer {
        let call = call.map(|call| FwVmCall {
            command: call.command,
            arguments: call.arguments,
        });
        let call = call.as_ref().map_or(ptr::null(), ptr::from_ref);
        // SAFETY: `start` began the machine; the call lives through this one.
        match unsafe { ffi::fw_vm_scan(self.vm.at.as_ptr(), now_ms, call) } {
            1 => Answer::Taken,
            2 => Answer::Refused,
            _ => Answer::NoCall,
        }
    }

    /// The value of a name, in the unit of its type; `None` if the program has no such name.
    pub fn value(&self, name: &str) -> Option<i32> {
        let cell = self.program.cell(name)?;
        // SAFETY: `start` began the machine, and it has a cell for every byte.
        Some(unsafe { ffi::fw_host_vm_value(self.vm.at.as_ptr(), cell) })
    }

    /// Gives a name a value, which stands until the script gives it another: how inputs,
    /// parameters, flags, and what was retained get into the machine. False if the program has no
    /// such name.
    pub fn set(&mut self, name: &str, value: i32) -> bool {
        let Some(cell) = self.program.cell(name) else {
            return false;
        };
        // SAFETY: as in `value`.
        unsafe { ffi::fw_host_vm_put(self.vm.at.as_ptr(), cell, value) }
        true
    }

    /// A bit for each event that happened in the last scan, the script's first being the lowest.
    pub fn events(&self) -> u32 {
        // SAFETY: `start` began the machine.
        unsafe { ffi::fw_host_vm_events(self.vm.at.as_ptr()) }
    }

    /// A bit for each alarm that stands.
    pub fn alarms(&self) -> u32 {
        // SAFETY: `start` began the machine.
        unsafe { ffi::fw_host_vm_alarms(self.vm.at.as_ptr()) }
    }

    /// Divisions by zero since the start.
    pub fn divisions_by_zero(&self) -> u32 {
        // SAFETY: `start` began the machine.
        unsafe { ffi::fw_host_vm_divisions_by_zero(self.vm.at.as_ptr()) }
    }

    /// What it runs.
    pub fn program(&self) -> &Program {
        &self.program
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Machine")
            .field("program", &self.program)
            .finish_non_exhaustive()
    }
}

/// Where the compiler's words go.
#[derive(Default)]
struct Words {
    code: Vec<u32>,
    table: Vec<u32>,
}

extern "C" fn put_code(ctx: *mut c_void, word: u32) -> bool {
    // SAFETY: `ctx` is the `Words` of `compile`, which touches it only when the compiler is done.
    unsafe { &mut *ctx.cast::<Words>() }.code.push(word);
    true
}

extern "C" fn put_table(ctx: *mut c_void, word: u32) -> bool {
    // SAFETY: as in `put_code`.
    unsafe { &mut *ctx.cast::<Words>() }.table.push(word);
    true
}

/// Zeroed memory for a struct that only C knows.
pub(crate) struct Room<T> {
    pub(crate) at: NonNull<T>,
    layout: Layout,
    _owned: PhantomData<T>,
}

impl<T> Room<T> {
    /// Of a size, which is not 0, and an alignment.
    pub(crate) fn new((bytes, align): (usize, usize)) -> Self {
        let layout =
            Layout::from_size_align(bytes, align).expect("C tells sizes and alignments of structs");
        // SAFETY: the layout is not empty: C has no empty structs.
        let at = unsafe { alloc_zeroed(layout) };
        match NonNull::new(at.cast()) {
            Some(at) => Self {
                at,
                layout,
                _owned: PhantomData,
            },
            None => handle_alloc_error(layout),
        }
    }
}

impl<T> Drop for Room<T> {
    fn drop(&mut self) {
        // SAFETY: allocated by `new` with this layout.
        unsafe { dealloc(self.at.as_ptr().cast(), self.layout) }
    }
}

/// Structs that are written down twice, in C and in `ffi`, are of one size.
fn compare_sizes() {
    let mut sizes = [0; 6];
    // SAFETY: C writes six sizes.
    unsafe { ffi::fw_host_script_bytes(&raw mut sizes) }
    assert_eq!(
        sizes,
        [
            size_of::<FwPin>(),
            size_of::<FwBoard>(),
            size_of::<FwProgramSink>(),
            size_of::<FwScriptError>(),
            size_of::<FwProgram>(),
            size_of::<FwVmCall>(),
        ]
    );
}

/// The compiler's error, with the words that it points at.
fn tell(error: &FwScriptError, source: &str) -> ScriptError {
    let text = |at: *const c_char| {
        // SAFETY: NULL or a constant string of the compiler's.
        (!at.is_null()).then(|| unsafe { CStr::from_ptr(at) }.to_string_lossy().into_owned())
    };
    let from = usize::from(error.at);
    let found = source
        .as_bytes()
        .get(from..from + usize::from(error.length))
        .filter(|bytes| !bytes.is_empty())
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    ScriptError {
        line: error.line,
        column: error.column,
        found,
        expected: text(error.expected).unwrap_or_default(),
        fix: text(error.fix),
        other_line: (error.other_line != 0).then_some(error.other_line),
    }
}

/// `fw_record_tag_t`, of the records that names and alarms come from.
mod tag {
    pub(super) const INPUT: u8 = 2;
    pub(super) const OUTPUT: u8 = 3;
    pub(super) const VARIABLE: u8 = 4;
    pub(super) const RETAINED: u8 = 5;
    pub(super) const PARAMETER: u8 = 6;
    pub(super) const COMMAND: u8 = 7;
    pub(super) const ARGUMENT: u8 = 8;
    pub(super) const ALARM: u8 = 11;
    pub(super) const MACHINE: u8 = 12;
    pub(super) const FLAG: u8 = 16;
}

/// What the table declares. Its format is in `core/script.h`.
fn read_names(table: &[u32]) -> Vec<Name> {
    let mut names: Vec<Name> = Vec::new();
    let mut command = String::new();
    let mut rest = table;
    while let Some((head, behind)) = rest.split_first() {
        let [record_tag, cell, b, following] = head.to_le_bytes();
        let Some((words, next)) = behind.split_at_checked(usize::from(following)) else {
            break;
        };
        rest = next;
        let mut name = Name {
            name: String::new(),
            kind: NameKind::Flag,
            value_type: ValueType::from_table(b).unwrap_or(ValueType::Bool),
            cell,
            value_min: i32::MIN,
            value_max: i32::MAX,
        };
        let (kind, before_name) = match record_tag {
            tag::INPUT => (NameKind::Input, 9),
            tag::OUTPUT => (NameKind::Output, 7),
            tag::VARIABLE => (NameKind::Variable, 2),
            tag::RETAINED => (NameKind::Retained, 2),
            tag::PARAMETER => (NameKind::Parameter, 4),
            tag::COMMAND => (NameKind::Command, 1),
            tag::ARGUMENT => (NameKind::Argument, 2),
            tag::MACHINE => (NameKind::Machine, 1),
            tag::FLAG => (NameKind::Flag, 1),
            _ => continue,
        };
        name.kind = kind;
        let text = read_text(words.get(before_name..).unwrap_or_default());
        name.name = match (kind, b) {
            (NameKind::Flag, 0) => "boot".into(),
            (NameKind::Flag, 1) => "online".into(),
            (NameKind::Flag, 2) => "synced".into(),
            (NameKind::Flag, _) => {
                let point = names
                    .iter()
                    .find(|name| words.first() == Some(&u32::from(name.cell)));
                let part = if b == 3 { "bad" } else { "fault" };
                format!("{}.{part}", point.map_or("", |point| &point.name))
            }
            (NameKind::Argument, _) => format!("{command}.{text}"),
            _ => text,
        };
        if kind == NameKind::Command {
            command.clone_from(&name.name);
        }
        match kind {
            // `b` is no type there.
            NameKind::Command | NameKind::Flag => name.value_type = ValueType::Bool,
            NameKind::Machine => name.value_type = ValueType::Int,
            _ => {}
        }
        let range = match kind {
            NameKind::Parameter => words.get(2..4),
            NameKind::Argument => words.get(..2),
            _ => None,
        };
        if let Some([min, max]) = range {
            name.value_min = min.cast_signed();
            name.value_max = max.cast_signed();
        }
        names.push(name);
    }
    names
}

/// The alarms of the table.
fn read_alarms(table: &[u32]) -> Vec<Alarm> {
    let mut alarms = Vec::new();
    let mut rest = table;
    while let Some((head, behind)) = rest.split_first() {
        let [record_tag, _, level, following] = head.to_le_bytes();
        let Some((words, next)) = behind.split_at_checked(usize::from(following)) else {
            break;
        };
        rest = next;
        if let (tag::ALARM, Some((line, text))) = (record_tag, words.split_first()) {
            alarms.push(Alarm {
                level: match level {
                    0 => AlarmLevel::Low,
                    1 => AlarmLevel::Medium,
                    _ => AlarmLevel::High,
                },
                text: read_text(text),
                line: *line,
            });
        }
    }
    alarms
}

/// A length, and bytes four to a word.
fn read_text(words: &[u32]) -> String {
    let Some((length, words)) = words.split_first() else {
        return String::new();
    };
    let bytes: Vec<u8> = words
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .take(usize::try_from(*length).unwrap_or(usize::MAX))
        .collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
