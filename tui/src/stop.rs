//! An interrupt that is heeded by work which must not just end: a board that is half written, an enrolment that is to be
//! taken back.

use std::sync::atomic::{AtomicU8, Ordering};

/// Nobody heeds an interrupt.
const IDLE: u8 = 0;
/// Somebody does.
const WORKING: u8 = 1;
/// And has been asked to stop.
const ASKED: u8 = 2;

static STATE: AtomicU8 = AtomicU8::new(IDLE);

/// Work that heeds an interrupt, as long as this lives.
pub(crate) struct Heeding(());

impl Heeding {
    /// From now on an interrupt asks instead of ending the program.
    pub(crate) fn begin() -> Self {
        STATE.store(WORKING, Ordering::Release);
        Heeding(())
    }
}

impl Drop for Heeding {
    fn drop(&mut self) {
        STATE.store(IDLE, Ordering::Release);
    }
}

/// Whether the work has been asked to stop.
pub(crate) fn is_asked() -> bool {
    STATE.load(Ordering::Acquire) == ASKED
}

/// Asks the work to stop. False: nobody heeds it, or it was asked before, and the program is to end at once.
pub(crate) fn ask() -> bool {
    let asked = STATE.compare_exchange(WORKING, ASKED, Ordering::AcqRel, Ordering::Acquire);
    asked.is_ok()
}
