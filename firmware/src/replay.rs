//! The scans that a controller recorded, run again by the same core: what `docs/recorder.md` defines.
//!
//! ```
//! use switchyard_firmware::{
//!     replay::{Recording, Replay},
//!     runner::{Runner, Scan, Zone},
//!     script::{Board, Pin, PinKind, compile},
//! };
//!
//! let board = Board::new([
//!     Pin::new("DI1", PinKind::DigitalInput, 0),
//!     Pin::new("RL1", PinKind::DigitalOutput, 2),
//! ]);
//! let source = "in door = DI1\nout lamp = RL1 safe off\nlamp := door\n";
//! let zone = Zone::parse("UTC0").expect("a zone");
//! let program = compile(source, &board)?;
//! let mut runner = Runner::start(program.clone(), zone, 0);
//! runner.start_recording();
//! for (door, now_ms) in [(0, 10), (1, 20), (0, 30)] {
//!     runner.put_input("door", door);
//!     runner.scan(&Scan { now_ms, ..Scan::default() });
//! }
//! let bytes = runner.recording(source).expect("three scans");
//!
//! let mut replay = Replay::start(Recording::read(bytes)?, program, source)?;
//! let mut lamp = vec![replay.point(1).map(|point| point.value)];
//! while replay.next_scan()?.is_some() {
//!     lamp.push(replay.point(1).map(|point| point.value));
//! }
//! assert_eq!(lamp, [Some(0), Some(1), Some(0)]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![expect(unsafe_code, reason = "the C core is called through raw pointers")]

use crate::{
    ffi::{self, FwReplay, FwReplayScan, FwRunner},
    runner::{Command, Outcome, PointView, Request},
    script::{Name, Program, Room},
};
use std::{fmt, time::Duration};
use thiserror::Error;

/// Why a recording cannot be replayed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordingError {
    /// These are no recording's bytes.
    #[error("expected a controller's recording")]
    NotOne,
    /// Another format.
    #[error("expected a recording of format {FORMAT} and found format {0}")]
    Format(u8),
    /// It says what cannot be, or is not whole.
    #[error("the recording is damaged")]
    Damaged,
    /// Another script was recorded, or the same one compiled for another board or by another compiler.
    #[error(
        "expected the script that was recorded, whose sum is {expected:08x}, and found {found:08x}"
    )]
    OtherScript {
        /// What the recording says.
        expected: u32,
        /// What this script has.
        found: u32,
    },
    /// The scans have led to another state than the recorded one.
    #[error("the scans have led to another state than the recorded one")]
    Elsewhere,
}

/// `FW_RECORDER_FORMAT`.
const FORMAT: u8 = 1;
/// `FW_RECORDER_HEAD_BYTES`.
const HEAD_BYTES: usize = 56;

/// Why a recording was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Somebody asked for it.
    Request,
    /// A division by zero.
    Division,
    /// The feedback of an output did not follow; its number among the points, if that is known.
    Feedback(Option<u8>),
}

/// A recording, its head read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    bytes: Vec<u8>,
    /// Why it was kept.
    pub reason: Reason,
    /// The line of the statement that is at fault.
    pub line: Option<u16>,
    /// Whether the script was on trial.
    pub on_trial: bool,
    /// The number of the script's version on its controller.
    pub generation: u32,
    /// The sum of the script: see [`script_crc`].
    pub script_crc: u32,
    /// Which start of the controller it was.
    pub boot_id: u32,
    /// Since that start, at the last scan.
    pub uptime: Duration,
    /// Seconds since 1970 at the last scan, if they were known.
    pub time_s: Option<u32>,
    /// The controller's milliseconds at the last scan.
    pub now_ms: u32,
    /// How many scans can be run again.
    pub scans: u32,
}

impl Recording {
    /// Reads the head.
    ///
    /// # Errors
    /// When it is no recording of this format, or not whole.
    pub fn read(bytes: Vec<u8>) -> Result<Self, RecordingError> {
        if !bytes.starts_with(b"SWRC") {
            return Err(RecordingError::NotOne);
        }
        match bytes.get(4) {
            Some(&FORMAT) => {}
            Some(&format) => return Err(RecordingError::Format(format)),
            None => return Err(RecordingError::NotOne),
        }
        let head: &[u8; HEAD_BYTES] = bytes.first_chunk().ok_or(RecordingError::Damaged)?;
        let u16_at = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
        let u32_at = |at: usize| u32::from(u16_at(at)) | u32::from(u16_at(at + 2)) << 16;
        let lengths = [u16_at(10), u16_at(44), u16_at(48)];
        let length: usize = lengths.into_iter().map(usize::from).sum();
        if usize::from(u16_at(10)) != HEAD_BYTES || length != bytes.len() {
            return Err(RecordingError::Damaged);
        }
        let reason = match head[5] {
            1 => Reason::Request,
            2 => Reason::Division,
            3 => Reason::Feedback((head[7] != NO_POINT).then_some(head[7])),
            _ => return Err(RecordingError::Damaged),
        };
        Ok(Self {
            reason,
            line: (u16_at(8) != 0).then(|| u16_at(8)),
            on_trial: head[6] & 1 != 0,
            generation: u32_at(12),
            script_crc: u32_at(16),
            boot_id: u32_at(20),
            uptime: Duration::from_millis(u64::from(u32_at(28)) | u64::from(u32_at(32)) << 32),
            time_s: (u32_at(24) != 0).then(|| u32_at(24)),
            now_ms: u32_at(36),
            scans: u32::from(u16_at(46)) + u32::from(u16_at(50)),
            bytes,
        })
    }
}

/// `FW_POINT_NONE`.
const NO_POINT: u8 = 0xFF;

/// The sum by which a controller knows a script: CRC-32 of its text, its code and its table, each filled up
/// to whole words with 0xFF.
pub fn script_crc(source: &str, program: &Program) -> u32 {
    let text: Vec<u32> = source
        .as_bytes()
        .chunks(4)
        .map(|bytes| {
            let mut word = [0xFF; 4];
            word[..bytes.len()].copy_from_slice(bytes);
            u32::from_le_bytes(word)
        })
        .collect();
    [text.as_slice(), program.code(), program.table()]
        .iter()
        // SAFETY: C reads so many words.
        .fold(0, |crc, words| unsafe {
            ffi::fw_crc32(crc, words.as_ptr(), words.len())
        })
}

/// A scan that was run again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplayedScan {
    /// The controller's milliseconds.
    pub now_ms: u32,
    /// Since the scan before.
    pub elapsed_ms: u32,
    /// Whether the gateway was there.
    pub online: bool,
    /// Whether the time of day was known.
    pub synced: bool,
    /// The command that the scan took, and what became of it.
    pub command: Option<(Command, Outcome)>,
    /// Outputs that are held by hand: a bit each.
    pub forced: u32,
    /// Parameters that were set since the scan before: their cells.
    pub set_cells: Vec<u8>,
}

/// A recording whose scans are run again, one by one.
pub struct Replay {
    room: Room<FwReplay>,
    recording: Recording,
    program: Program,
}

// SAFETY: the room, the recording's bytes and the program's words are owned by this value alone and hold no
// tie to a thread.
unsafe impl Send for Replay {}

impl Replay {
    /// Begins: points and names then have the values from before the first scan.
    ///
    /// # Errors
    /// When it is not this script that was recorded, or the recording is damaged.
    pub fn start(
        recording: Recording,
        program: Program,
        source: &str,
    ) -> Result<Self, RecordingError> {
        // SAFETY: C only tells a constant.
        let scan_bytes = unsafe { ffi::fw_replay_scan_bytes() };
        assert_eq!(scan_bytes, size_of::<FwReplayScan>());
        let found = script_crc(source, &program);
        if found != recording.script_crc {
            let expected = recording.script_crc;
            return Err(RecordingError::OtherScript { expected, found });
        }
        // SAFETY: both functions only tell a constant.
        let layout = unsafe { (ffi::fw_replay_bytes(), ffi::fw_replay_align()) };
        let room = Room::<FwReplay>::new(layout);
        let core_program = program.in_core();
        // SAFETY: the room has the size and alignment that C asks for; bytes and words lie on the heap,
        // are never changed and go with this value, so the pointers stay good when it moves.
        let result = unsafe {
            ffi::fw_replay_begin(
                room.at.as_ptr(),
                recording.bytes.as_ptr(),
                recording.bytes.len(),
                &raw const core_program,
            )
        };
        match result {
            END => Ok(Self {
                room,
                recording,
                program,
            }),
            other => Err(error_of(other)),
        }
    }

    /// Runs the next scan; `None` behind the last one.
    ///
    /// # Errors
    /// When the recording is damaged, or the scans have led to another state than the recorded one.
    pub fn next_scan(&mut self) -> Result<Option<ReplayedScan>, RecordingError> {
        // SAFETY: `start` began the replay.
        match unsafe { ffi::fw_replay_next(self.room.at.as_ptr()) } {
            SCAN => {}
            END => return Ok(None),
            other => return Err(error_of(other)),
        }
        let mut scan = FwReplayScan::default();
        // SAFETY: as above; the place is written during the call.
        unsafe { ffi::fw_replay_scan(self.room.at.as_ptr(), &raw mut scan) }
        Ok(Some(ReplayedScan {
            now_ms: scan.now_ms,
            elapsed_ms: scan.elapsed_ms,
            online: scan.online,
            synced: scan.synced,
            command: command_of(&scan),
            forced: scan.forced,
            set_cells: scan.set_cells[..usize::from(scan.set_count)].to_vec(),
        }))
    }

    /// The value that a name of the program has for the script, in the unit of its type.
    pub fn value(&self, name: &Name) -> i32 {
        // SAFETY: `start` began the replay; its machine has a cell for every byte.
        unsafe { ffi::fw_host_vm_value(ffi::fw_host_runner_vm(self.runner()), name.cell) }
    }

    /// A point by its number, or `None` past the last: inputs and outputs in the order of the script.
    pub fn point(&self, number: u8) -> Option<PointView> {
        // SAFETY: `start` began the runner inside.
        unsafe { PointView::of(self.runner(), number) }
    }

    /// A bit for each event that happened in the last scan, the script's first being the lowest.
    pub fn events(&self) -> u32 {
        // SAFETY: `start` began the replay.
        unsafe { ffi::fw_host_vm_events(ffi::fw_host_runner_vm(self.runner())) }
    }

    /// A bit for each alarm that stands.
    pub fn alarms(&self) -> u32 {
        // SAFETY: `start` began the replay.
        unsafe { ffi::fw_host_vm_alarms(ffi::fw_host_runner_vm(self.runner())) }
    }

    /// Divisions by zero since the script was started.
    pub fn divisions_by_zero(&self) -> u32 {
        // SAFETY: `start` began the replay.
        unsafe { ffi::fw_host_vm_divisions_by_zero(ffi::fw_host_runner_vm(self.runner())) }
    }

    /// The line that divided by zero last, once one has in this replay.
    pub fn divided_line(&self) -> u16 {
        // SAFETY: `start` began the replay.
        unsafe { ffi::fw_replay_divided_line(self.room.at.as_ptr()) }
    }

    /// What it runs.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// What it is run from.
    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    fn runner(&self) -> *mut FwRunner {
        // SAFETY: `start` began the replay. C gives a place inside of it.
        unsafe { ffi::fw_replay_runner(self.room.at.as_ptr()) }
    }
}

impl fmt::Debug for Replay {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Replay")
            .field("recording", &self.recording)
            .field("program", &self.program)
            .finish_non_exhaustive()
    }
}

/// `fw_replay_result_t`.
const SCAN: u32 = 0;
const END: u32 = 1;
const ELSEWHERE: u32 = 5;

fn error_of(result: u32) -> RecordingError {
    match result {
        ELSEWHERE => RecordingError::Elsewhere,
        _ => RecordingError::Damaged,
    }
}

fn command_of(scan: &FwReplayScan) -> Option<(Command, Outcome)> {
    let request = match scan.command {
        0 => Request::Call(scan.index, scan.arguments),
        1 => Request::Set(scan.index, scan.arguments[0]),
        2 => Request::Adjust(scan.index, scan.arguments[0]),
        _ => return None,
    };
    let outcome = match scan.result {
        1 => Outcome::Confirming,
        2 => Outcome::Refused,
        _ => Outcome::Executed,
    };
    let command = Command {
        request,
        by: scan.by,
        reference: scan.reference,
    };
    Some((command, outcome))
}
