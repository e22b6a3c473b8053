//! How other threads wake one that waits for its sockets.

use rustix::{
    event::{EventfdFlags, eventfd},
    fd::{AsFd, BorrowedFd, OwnedFd},
};
use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
};

/// Rung by whoever has put something where this thread looks. Ringing costs nothing while the thread
/// is awake, for it looks before it goes to sleep.
#[derive(Debug)]
pub(in crate::yard) struct Bell {
    file: OwnedFd,
    rung: AtomicBool,
}

impl Bell {
    /// A bell that is silent.
    ///
    /// # Errors
    /// When the system has no file left.
    pub(in crate::yard) fn new() -> io::Result<Self> {
        Ok(Bell {
            file: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            rung: AtomicBool::new(false),
        })
    }

    /// Wakes the thread, if it sleeps.
    pub(in crate::yard) fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            // A counter that cannot take one more is rung already.
            let _ = rustix::io::write(&self.file, &1u64.to_ne_bytes());
        }
    }

    /// Makes the next [`ring`](Self::ring) count. To be called before the thread looks for the last
    /// time and goes to sleep: what is put there afterwards then wakes it.
    pub(in crate::yard) fn hush(&self) {
        self.rung.swap(false, Ordering::AcqRel);
    }

    /// Makes ringing cost nothing: the thread is awake.
    pub(in crate::yard) fn woke(&self) {
        self.rung.swap(true, Ordering::AcqRel);
    }

    /// Takes note of a ring, once it has woken the thread. Apart from [`woke`](Self::woke), since a
    /// ring may come in two parts with others between them.
    pub(super) fn answer(&self) {
        // Nothing to read means that it was read already.
        let _ = rustix::io::read(&self.file, &mut [0u8; 8]);
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
