//! A script with what goes on around it, as the C core runs it on a controller: inputs that are
//! debounced and scaled, the clock, forcing, interlocks, feedbacks, and why each output changed.
//!
//! ```
//! use switchyard_firmware::runner::{Outcome, Runner, Scan, Zone};
//! use switchyard_firmware::script::{Board, Pin, PinKind, compile};
//!
//! let board = Board::new([
//!     Pin::new("DI1", PinKind::DigitalInput, 0),
//!     Pin::new("RL1", PinKind::DigitalOutput, 2),
//! ]);
//! let source = "in door = DI1 debounce 30ms\nout lamp = RL1 safe off\nlamp := door\n";
//! let zone = Zone::parse("CET-1CEST,M3.5.0,M10.5.0/3").expect("a zone");
//! let mut runner = Runner::start(compile(source, &board)?, zone, 0);
//! for (door, now_ms, lamp) in [(0, 10, 0), (1, 20, 0), (1, 49, 0), (1, 50, 1)] {
//!     runner.put_input("door", door);
//!     let scan = Scan { now_ms, ..Scan::default() };
//!     assert_eq!(runner.scan(&scan), Outcome::Executed);
//!     assert_eq!(runner.value("lamp"), Some(lamp));
//! }
//! # Ok::<(), switchyard_firmware::script::ScriptError>(())
//! ```

#![expect(unsafe_code, reason = "the C core is called through raw pointers")]

use std::{fmt, ptr};

use crate::{
    ffi::{self, FwHostCommand, FwHostPoint, FwHostScan, FwRecorder, FwRunner, FwZone},
    replay::script_crc,
    script::{Name, NameKind, Program, Room},
};
use switchyard_protocol::message::{CauseKind, PointFlags};

/// `FW_POINTS_MAX`: the compiler takes no more.
const POINTS_MAX: usize = 32;

/// A recording is no longer: a slot of the flash.
const RECORDING_BYTES_MAX: usize = 4096;

/// Local time, by a POSIX TZ string.
pub struct Zone(Room<FwZone>);

// SAFETY: the room is owned by this value alone, and nobody writes to it once it is made.
unsafe impl Send for Zone {}

impl Zone {
    /// Reads a string such as `CET-1CEST,M3.5.0,M10.5.0/3`; `None` if it is no zone.
    pub fn parse(text: &str) -> Option<Self> {
        // SAFETY: both functions only tell a constant.
        let layout = unsafe { (ffi::fw_host_zone_bytes(), ffi::fw_host_zone_align()) };
        let room = Room::<FwZone>::new(layout);
        // SAFETY: the room has the size and alignment that C asks for; the text is only read.
        let is_zone =
            unsafe { ffi::fw_host_zone_parse(room.at.as_ptr(), text.as_ptr(), text.len()) };
        is_zone.then_some(Self(room))
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Zone").finish_non_exhaustive()
    }
}

/// What a command of the yard asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// A call of one of the script's commands, by its number from 0. Arguments are within their
    /// ranges; those that the command does not have are ignored.
    Call(u8, [i32; 4]),
    /// A value for a `manual` output, by the number of the point.
    Set(u8, i32),
    /// A value for a parameter, within its range, by its cell.
    Adjust(u8, i32),
}

/// A command of the yard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// What it asks for.
    pub request: Request,
    /// The address of who commands it.
    pub by: u32,
    /// A number by which they know it again.
    pub reference: u32,
}

/// What the world brings to a scan, besides the inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// A clock that counts on from scan to scan, and may wrap.
    pub now_ms: u32,
    /// Whether the gateway is there.
    pub online: bool,
    /// Seconds since 1970, while the time of day is known.
    pub utc: Option<i64>,
    /// The one command that a scan may take.
    pub command: Option<Command>,
}

/// What became of a scan's command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was executed; or there was none.
    Executed,
    /// It was executed and changed outputs that have a feedback: [`Runner::await_feedback`].
    Confirming,
    /// The script refused it, no script runs, or the script has nothing that it could be meant for.
    Refused,
}

/// An input or output, as the yard sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PointView {
    /// 0 and 1, or thousandths.
    pub value: i32,
    /// What is to be said of it besides.
    pub flags: PointFlags,
    /// Why it has its value.
    pub cause: CauseKind,
    /// Of a command: who commanded it.
    pub by: u32,
    /// Of a command: its reference. Of a script or schedule: the line.
    pub reference: u32,
}

impl PointView {
    /// # Safety
    /// The runner was begun.
    pub(crate) unsafe fn of(runner: *const FwRunner, number: u8) -> Option<Self> {
        let mut point = FwHostPoint::default();
        // SAFETY: by the promise; the place is written during the call.
        let is_point = unsafe { ffi::fw_host_runner_point(runner, number, &raw mut point) };
        is_point.then(|| Self {
            value: point.value,
            flags: PointFlags(u32::from(point.flags)),
            // The core and the protocol give out the same numbers.
            cause: CauseKind::from_number(point.kind).unwrap_or(CauseKind::Boot),
            by: point.by,
            reference: point.reference,
        })
    }
}

/// A script that runs.
pub struct Runner {
    room: Room<FwRunner>,
    program: Program,
    zone: Zone,
    raw: [i32; POINTS_MAX],
    late_scans: bool,
    recorder: Option<Room<FwRecorder>>,
}

// SAFETY: the room, the program's words and the zone are owned by this value alone and hold no tie
// to a thread.
unsafe impl Send for Runner {}

impl Runner {
    /// Everything as `safe` says; inputs are 0 until they are put.
    pub fn start(program: Program, zone: Zone, now_ms: u32) -> Self {
        compare_sizes();
        // SAFETY: both functions only tell a constant.
        let layout = unsafe { (ffi::fw_host_runner_bytes(), ffi::fw_host_runner_align()) };
        let room = Room::<FwRunner>::new(layout);
        let core_program = program.in_core();
        // SAFETY: the room has the size and alignment that C asks for; the words lie on the heap,
        // are never changed and go with this value, so the pointers stay good when it moves.
        unsafe { ffi::fw_runner_start(room.at.as_ptr(), &raw const core_program, now_ms) }
        Self {
            room,
            program,
            zone,
            raw: [0; POINTS_MAX],
            late_scans: false,
            recorder: None,
        }
    }

    /// From the next scan on the last ones are recorded, as a controller does.
    pub fn start_recording(&mut self) {
        // SAFETY: both functions only tell a constant.
        let layout = unsafe { (ffi::fw_host_recorder_bytes(), ffi::fw_host_recorder_align()) };
        let room = Room::<FwRecorder>::new(layout);
        // SAFETY: the room has the size and alignment that C asks for; `start` began the runner.
        unsafe { ffi::fw_recorder_begin(room.at.as_ptr(), self.room.at.as_ptr()) }
        self.recorder = Some(room);
    }

    /// What is recorded so far, as a controller would keep it; `source` is the script's text. `None`
    /// before the first scan that is recorded.
    pub fn recording(&self, source: &str) -> Option<Vec<u8>> {
        let recorder = self.recorder.as_ref()?;
        let mut bytes = vec![0; RECORDING_BYTES_MAX];
        // SAFETY: both were begun; C writes no more than there is room for.
        let length = unsafe {
            ffi::fw_host_recording(
                recorder.at.as_ptr(),
                self.room.at.as_ptr(),
                script_crc(source, &self.program),
                bytes.as_mut_ptr(),
                bytes.len(),
            )
        };
        bytes.truncate(length);
        (length > 0).then_some(bytes)
    }

    fn recorder(&self) -> *mut FwRecorder {
        let room = self.recorder.as_ref();
        room.map_or(ptr::null_mut(), |room| room.at.as_ptr())
    }

    /// From now on a scan that comes late is late, as on a chip: its inputs came with it. Before, it
    /// stood for all those that were left out since nothing could happen in them: see
    /// [`Runner::due_ms`].
    pub fn scan_every_time(&mut self) {
        self.late_scans = true;
    }

    /// How long no scan can change anything by itself, from the last one on; inputs, commands, the
    /// link and the clock may.
    pub fn due_ms(&self) -> u32 {
        // SAFETY: `start` began the runner.
        unsafe { ffi::fw_host_runner_due_ms(self.room.at.as_ptr()) }
    }

    /// What the pin of an input gives from now on: 0 and 1, or thousandths. False if the script has
    /// no such input.
    pub fn put_input(&mut self, name: &str, raw: i32) -> bool {
        match self.point_number(name) {
            Some((number, NameKind::Input)) => {
                self.raw[usize::from(number)] = raw;
                true
            }
            _ => false,
        }
    }

    /// Gives a parameter a value within its range. False if the script has no such parameter, or the
    /// value lies outside.
    pub fn put_parameter(&mut self, name: &str, value: i32) -> bool {
        let is_parameter = |known: &&Name| known.kind == NameKind::Parameter && known.name == name;
        let Some(known) = self.program.names().find(is_parameter) else {
            return false;
        };
        if value < known.value_min || value > known.value_max {
            return false;
        }
        // SAFETY: `start` began the runner; its machine has a cell for every byte.
        unsafe {
            ffi::fw_host_vm_put(
                ffi::fw_host_runner_vm(self.room.at.as_ptr()),
                known.cell,
                value,
            );
            ffi::fw_recorder_set(self.recorder(), known.cell, value);
        }
        true
    }

    /// One scan.
    pub fn scan(&mut self, scan: &Scan) -> Outcome {
        let command = scan.command.map(|command| self.in_core(&command));
        let is_for_nobody = command.as_ref().is_some_and(Option::is_none);
        let command = command.flatten();
        let core_scan = FwHostScan {
            raw: self.raw.as_ptr(),
            command: command.as_ref().map_or(ptr::null(), ptr::from_ref),
            utc: scan.utc.unwrap_or(0),
            now_ms: scan.now_ms,
            online: scan.online,
            synced: scan.utc.is_some(),
            leaves_nothing_out: self.late_scans,
        };
        // SAFETY: `start` began the runner; inputs, command and zone live through this call.
        let outcome = unsafe {
            ffi::fw_host_runner_scan(
                self.room.at.as_ptr(),
                self.recorder(),
                self.zone.0.at.as_ptr(),
                &raw const core_scan,
            )
        };
        match outcome {
            _ if is_for_nobody => Outcome::Refused,
            1 => Outcome::Confirming,
            2 => Outcome::Refused,
            _ => Outcome::Executed,
        }
    }

    /// As C knows a command; `None` if it is for nothing that this script has.
    fn in_core(&self, command: &Command) -> Option<FwHostCommand> {
        let (kind, index, arguments) = match command.request {
            Request::Call(number, arguments) => {
                let commands = self.program.names();
                let count = commands.filter(|it| it.kind == NameKind::Command).count();
                if usize::from(number) >= count {
                    return None;
                }
                (0, number, arguments)
            }
            Request::Set(number, value) => {
                let point = self.point(number)?;
                if !point.flags.contains(PointFlags::MANUAL) {
                    return None;
                }
                (1, number, [value, 0, 0, 0])
            }
            Request::Adjust(cell, value) => {
                let mut names = self.program.names();
                let parameter =
                    names.find(|it| it.kind == NameKind::Parameter && it.cell == cell)?;
                if value < parameter.value_min || value > parameter.value_max {
                    return None;
                }
                (2, cell, [value, 0, 0, 0])
            }
        };
        Some(FwHostCommand {
            arguments,
            by: command.by,
            reference: command.reference,
            index,
            kind,
        })
    }

    /// If the last scan's command is [`Outcome::Confirming`], it is awaited under this tag, below
    /// 255 and of no other that is awaited. Call [`Runner::settled`] first.
    pub fn await_feedback(&mut self, tag: u8) {
        // SAFETY: `start` began the runner.
        unsafe { ffi::fw_runner_await(self.room.at.as_ptr(), tag) }
    }

    /// After each scan, until it gives `None`: the tag of a command that was awaited, and whether
    /// all its outputs were followed by their feedback in time.
    pub fn settled(&mut self) -> Option<(u8, bool)> {
        let (mut tag, mut confirmed) = (0, false);
        // SAFETY: `start` began the runner; both places are written during the call.
        let is_settled = unsafe {
            ffi::fw_runner_settled(self.room.at.as_ptr(), &raw mut tag, &raw mut confirmed)
        };
        is_settled.then_some((tag, confirmed))
    }

    /// Holds an output at a value for a time, 1 ms to 24 h. False if it is no output, the value none
    /// of its type, eight others are forced, or no script runs.
    pub fn force(&mut self, name: &str, value: i32, length_ms: u32, now_ms: u32) -> bool {
        let Some((number, NameKind::Output)) = self.point_number(name) else {
            return false;
        };
        // SAFETY: `start` began the runner.
        unsafe { ffi::fw_runner_force(self.room.at.as_ptr(), number, value, length_ms, now_ms) }
    }

    /// Ends that; false if it was not forced.
    pub fn release(&mut self, name: &str) -> bool {
        let number = self.point_number(name);
        // SAFETY: `start` began the runner.
        number.is_some_and(|(number, _)| unsafe {
            ffi::fw_runner_release(self.room.at.as_ptr(), number)
        })
    }

    /// The script runs no more: outputs go to their safe values in the next scan.
    pub fn stop(&mut self) {
        // SAFETY: `start` began the runner.
        unsafe { ffi::fw_runner_stop(self.room.at.as_ptr()) }
    }

    /// The value that a name has for the script, in the unit of its type; `None` if there is no such
    /// name. Of an output that is what is wanted of it.
    pub fn value(&self, name: &str) -> Option<i32> {
        let cell = self.program.cell(name)?;
        // SAFETY: `start` began the runner; its machine has a cell for every byte.
        Some(unsafe { ffi::fw_host_vm_value(ffi::fw_host_runner_vm(self.room.at.as_ptr()), cell) })
    }

    /// A point by its number, or `None` past the last: inputs and outputs in the order of the script.
    pub fn point(&self, number: u8) -> Option<PointView> {
        // SAFETY: `start` began the runner.
        unsafe { PointView::of(self.room.at.as_ptr(), number) }
    }

    /// The number of an input or output of that name, and which of the two it is.
    pub fn point_number(&self, name: &str) -> Option<(u8, NameKind)> {
        let is_point = |it: &&Name| matches!(it.kind, NameKind::Input | NameKind::Output);
        let mut points = (0..).zip(self.program.names().filter(is_point));
        points
            .find(|(_, point)| point.name == name)
            .map(|(number, point)| (number, point.kind))
    }

    /// A bit for each event that happened in the last scan, the script's first being the lowest.
    pub fn events(&self) -> u32 {
        // SAFETY: `start` began the runner.
        unsafe { ffi::fw_host_vm_events(ffi::fw_host_runner_vm(self.room.at.as_ptr())) }
    }

    /// A bit for each alarm that stands.
    pub fn alarms(&self) -> u32 {
        // SAFETY: `start` began the runner.
        unsafe { ffi::fw_host_vm_alarms(ffi::fw_host_runner_vm(self.room.at.as_ptr())) }
    }

    /// Divisions by zero since the start.
    pub fn divisions_by_zero(&self) -> u32 {
        // SAFETY: `start` began the runner.
        unsafe { ffi::fw_host_vm_divisions_by_zero(ffi::fw_host_runner_vm(self.room.at.as_ptr())) }
    }

    /// What it runs.
    pub fn program(&self) -> &Program {
        &self.program
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Runner")
            .field("program", &self.program)
            .finish_non_exhaustive()
    }
}

/// Structs that are written down twice, in C and in `ffi`, are of one size.
fn compare_sizes() {
    let mut sizes = [0; 3];
    // SAFETY: C writes three sizes.
    unsafe { ffi::fw_host_runner_structs_bytes(&raw mut sizes) }
    assert_eq!(
        sizes,
        [
            size_of::<FwHostCommand>(),
            size_of::<FwHostScan>(),
            size_of::<FwHostPoint>(),
        ]
    );
}
