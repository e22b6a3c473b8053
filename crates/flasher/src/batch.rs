//! A job done to several boards at once, as they are plugged in: each new serial port gets a slot and starts by itself,
//! and one board's failure touches no other. What people have to know of it stands in `docs/batch.md`.
//!
//! A slot's work is a thread. What has to hold between them is held by the disk: a board's number, its address from a
//! [`Stock`], and what became of it are each written down before anybody acts on them, so that a tool that is killed at any
//! moment and started again gives nothing twice.

mod error;
mod journal;
mod numbers;
mod progress;
mod slots;
mod stock;
#[cfg(test)]
mod tests;
mod work;

pub use error::BatchError;
pub use slots::Plugged;
pub use stock::{Stock, StockCount};

use crate::{
    After, Approach, BatchStage, Chip, Error, Fonts, Job, Record, Registry, Report, Result,
    RunningBoard, Yield, line::Line,
};
use numbers::Numbers;
use progress::SlotWatch;
use slots::Slots;
use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use work::Ended;

/// How often it is looked for ports that come and go.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// How long a running board may take to say that it is still there.
const PRESENT_WITHIN: Duration = Duration::from_secs(1);
/// How often in a row it may miss that before it is gone.
const MISSES_MAX: u32 = 3;

/// The bench that a batch is made on: its serial ports, its gateway, and who watches. Used by all slots at once.
pub trait Bench: Sync {
    /// A line to a board.
    type Line: Line;

    /// The serial ports that boards may be on, in the order in which they get slots. What the system cannot say just now
    /// is what it said last.
    fn plugged(&self) -> Vec<Plugged>;

    /// Opens one.
    ///
    /// # Errors
    /// [`Error::Open`].
    fn open(&self, path: &str) -> Result<Self::Line>;

    /// How a board on it is spoken to. The patience is the batch's own matter.
    fn approach(&self, path: &str) -> Approach;

    /// How a board is left.
    fn after(&self) -> After;

    /// How long a person may take to start a board whose jumper was just asked to be taken out.
    fn start_patience(&self) -> Duration;

    /// Takes what is about to be overwritten; it must be safe when this returns.
    ///
    /// # Errors
    /// It is not; then nothing is overwritten.
    fn keep(&self, chip: &Chip, offset: u32, bytes: &[u8]) -> io::Result<()>;

    /// Where boards are enrolled, for one of them; `None`: nobody is logged in.
    fn registry(&self) -> Option<Box<dyn Registry>>;

    /// Something happened in a slot. The slot waits meanwhile.
    fn event(&self, event: SlotEvent);

    /// Whether all is to end at the next place where that does no harm.
    fn is_stopped(&self) -> bool;
}

/// Something that happened in a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotEvent {
    /// Which, from 1 on.
    pub slot: usize,
    /// What.
    pub change: SlotChange,
}

/// What happens in a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlotChange {
    /// A serial port has it from now on.
    Plugged {
        /// Which.
        path: String,
    },
    /// A person is to bring the board into its loader: GPIO0 to ground, then power.
    WaitingForBoard,
    /// A part of the work is begun.
    Begun {
        /// Which.
        stage: BatchStage,
    },
    /// So much of it is done.
    Progress {
        /// In percent.
        percent: u8,
    },
    /// It is known which board it is, and what it will be called.
    Identified {
        /// The chip's own number.
        mac: [u8; 6],
        /// Its number in the batch.
        number: u32,
        /// What it is called.
        title: String,
    },
    /// It passed before: nothing is done with it.
    DoneBefore {
        /// What became of it then.
        record: Box<Record>,
    },
    /// Something was lost on the line; it is done again.
    Again {
        /// What went wrong.
        why: String,
    },
    /// A person is to take GPIO0 off ground and to power the board anew.
    WaitingForStart,
    /// It failed after it was enrolled: that is taken back.
    RollingBack,
    /// It passed, and the report says so.
    Passed {
        /// The report's line.
        record: Box<Record>,
    },
    /// It did not, and the report says so.
    Failed {
        /// The report's line.
        record: Box<Record>,
        /// What a person can do about it.
        advice: Option<String>,
    },
    /// The slot is free again.
    Freed,
}

/// What a batch is done like, besides what its job says.
#[derive(Debug)]
pub struct BatchOptions {
    /// How many boards at once.
    pub slots: usize,
    /// Ports that are there when it begins are taken as well: somebody has named them. Else only those that come.
    pub takes_present: bool,
    /// Boards that passed before are done again.
    pub again: bool,
    /// Boards that are enrolled already become other controllers.
    pub replaces: bool,
    /// It ends once so many boards have passed.
    pub count: Option<usize>,
    /// The folder for labels.
    pub labels: Option<PathBuf>,
    /// What labels are written in.
    pub fonts: Fonts,
}

/// A job, and what it has to be done with.
#[derive(Debug)]
pub struct Batch<'a> {
    job: &'a Job,
    report: &'a Report,
    numbers: Numbers,
    stock: Option<&'a Stock>,
    options: BatchOptions,
    passed: AtomicUsize,
    /// Boards that are worked on just now.
    claimed: Mutex<HashSet<[u8; 6]>>,
    /// Why all has to end: what must be written down cannot be.
    broken: Mutex<Option<Error>>,
}

/// Writers that panicked have left what they hold whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read_mac(text: &str) -> Option<[u8; 6]> {
    let byte = |part: &str| {
        let is_byte = part.len() == 2 && part.bytes().all(|it| it.is_ascii_hexdigit());
        is_byte.then(|| u8::from_str_radix(part, 16).ok()).flatten()
    };
    let bytes: Option<Vec<u8>> = text.split(':').map(byte).collect();
    bytes?.try_into().ok()
}

impl<'a> Batch<'a> {
    /// Gets a batch ready. The numbers that it gives lie beside the report, in `numbers`.
    ///
    /// # Errors
    /// [`BatchError`]: the numbers cannot be read, or something is missing that the job wants.
    pub fn new(
        job: &'a Job,
        report: &'a Report,
        numbers: &Path,
        stock: Option<&'a Stock>,
        options: BatchOptions,
    ) -> Result<Self, BatchError> {
        if job.enrolment == crate::EnrolmentTime::Stock && stock.is_none() {
            return Err(BatchError::NoStock);
        }
        if !job.labels.is_empty() && options.labels.is_none() {
            return Err(BatchError::NoLabels);
        }
        Ok(Batch {
            job,
            report,
            numbers: Numbers::open(numbers, job.first_number, &report.records())?,
            stock,
            options,
            passed: AtomicUsize::new(0),
            claimed: Mutex::default(),
            broken: Mutex::default(),
        })
    }

    /// Does boards as they come, until it is stopped or as many have passed as were wanted. Blocks as long as that takes.
    ///
    /// # Errors
    /// The report cannot be written. Boards that fail are no errors.
    pub fn run<B: Bench>(&self, bench: &B) -> Result<Yield> {
        let present = bench.plugged();
        let ignored = if self.options.takes_present {
            Vec::new()
        } else {
            present
        };
        let slots = Mutex::new(Slots::new(self.options.slots, ignored));
        std::thread::scope(|scope| {
            while !self.is_over(bench) {
                let given = lock(&slots).look(&bench.plugged());
                for (slot, plugged) in given {
                    let slots = &slots;
                    scope.spawn(move || {
                        self.attend(bench, slot, &plugged);
                        // Before the slot is another's, so that nobody hears of the two in the wrong order.
                        let change = SlotChange::Freed;
                        bench.event(SlotEvent { slot, change });
                        lock(slots).free(slot);
                    });
                }
                std::thread::sleep(LOOK_INTERVAL);
            }
        });
        match lock(&self.broken).take() {
            Some(error) => Err(error),
            None => Ok(self.report.batch_yield()),
        }
    }

    /// Whether no further board is to be begun.
    fn is_over<B: Bench>(&self, bench: &B) -> bool {
        let wanted = self.options.count.unwrap_or(usize::MAX);
        self.is_stopped(bench) || self.passed.load(Ordering::Acquire) >= wanted
    }

    /// Whether boards that are begun are to be left as well.
    fn is_stopped<B: Bench>(&self, bench: &B) -> bool {
        bench.is_stopped() || lock(&self.broken).is_some()
    }

    /// Does the boards that come to one port, until it is gone.
    fn attend<B: Bench>(&self, bench: &B, slot: usize, plugged: &Plugged) {
        let path = &plugged.path;
        let tell = |event| bench.event(event);
        let say = |change| tell(SlotEvent { slot, change });
        say(SlotChange::Plugged { path: path.clone() });
        let is_gone = || !bench.plugged().contains(plugged);
        let is_by_hand = bench.approach(path).before == crate::Before::NoReset;
        // Whoever brings boards into their loaders by hand begins them by that, and so does who swaps them on one adapter.
        let mut is_awaited = is_by_hand;
        let mut was_told = false;
        let is_stopped = || self.is_stopped(bench);
        while !self.is_over(bench) && !is_gone() {
            if is_by_hand && !std::mem::replace(&mut was_told, true) {
                say(SlotChange::WaitingForBoard);
            }
            let mut watch = SlotWatch::new(slot, &tell, &is_stopped);
            let ended = self.work_alone(bench, path, is_awaited, &mut watch);
            let is_passed = match ended {
                Ok(Ended::Nobody) => continue,
                Ok(Ended::Stopped) => return,
                Ok(Ended::Recorded { is_lost: true, .. }) => {
                    // The cable is out, or will be: one cannot be had twice in one plugging.
                    self.await_gone(bench, is_gone);
                    return;
                }
                Ok(Ended::Recorded { is_passed, .. }) => {
                    self.passed.fetch_add(is_passed.into(), Ordering::AcqRel);
                    is_passed
                }
                // It may still be in its loader.
                Ok(Ended::DoneBefore) => false,
                Err(error) => {
                    lock(&self.broken).get_or_insert(error);
                    return;
                }
            };
            if !self.await_departure(bench, path, is_passed, is_gone) {
                return;
            }
            is_awaited = true;
            was_told = false;
        }
    }

    /// A board's work, during which no other slot may have the same one.
    fn work_alone<B: Bench>(
        &self,
        bench: &B,
        path: &str,
        is_awaited: bool,
        watch: &mut SlotWatch<'_>,
    ) -> Result<Ended> {
        let mut claim = None;
        let ended = self.work(bench, path, is_awaited, &mut claim, watch);
        if let Some(mac) = claim {
            lock(&self.claimed).remove(&mac);
        }
        ended
    }

    fn await_gone<B: Bench>(&self, bench: &B, is_gone: impl Fn() -> bool) {
        while !self.is_over(bench) && !is_gone() {
            std::thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Waits until a board has left. True: it has, and its port is still there, so another may come; false: the port is
    /// gone, or no further board is wanted.
    fn await_departure<B: Bench>(
        &self,
        bench: &B,
        path: &str,
        is_running: bool,
        is_gone: impl Fn() -> bool,
    ) -> bool {
        let mut misses = 0;
        loop {
            if self.is_over(bench) || is_gone() {
                return false;
            }
            if misses >= MISSES_MAX {
                return true;
            }
            match self.is_present(bench, path, is_running) {
                true => misses = 0,
                false => misses += 1,
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Whether a board still answers: one that passed by its program, another by its loader.
    fn is_present<B: Bench>(&self, bench: &B, path: &str, is_running: bool) -> bool {
        let Ok(mut line) = bench.open(path) else {
            // It is about to go, or another program has it: that is no sign of a new board.
            return true;
        };
        let mut deaf = |_: crate::Event| {};
        if RunningBoard::find(&mut line, PRESENT_WITHIN, &mut deaf).is_ok() {
            return true;
        }
        if is_running {
            return false;
        }
        let approach = Approach {
            patience: PRESENT_WITHIN,
            ..bench.approach(path)
        };
        // Nobody has to be asked for anything here.
        crate::Board::approach(&mut line, &approach, &mut deaf).is_ok()
    }
}
