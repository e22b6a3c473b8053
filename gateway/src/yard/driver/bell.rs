//! How other threads wake the yard.

use rustix::{
    event::{EventfdFlags, eventfd},
    fd::{AsFd, BorrowedFd, OwnedFd},
};
use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
};

/// Rung by whoever put something into the yard's inbox. Ringing it twice costs nothing until the
/// yard has looked.
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

    /// Wakes the yard.
    pub(in crate::yard) fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            // A counter that cannot take one more is rung already.
            let _ = rustix::io::write(&self.file, &1u64.to_ne_bytes());
        }
    }

    /// Makes the next [`ring`](Self::ring) count. To be called before the inbox is looked at: what
    /// is put in afterwards then wakes the yard again.
    pub(in crate::yard) fn hush(&self) {
        self.rung.swap(false, Ordering::AcqRel);
    }

    /// Takes note of a ring, once it has woken the yard. Apart from [`hush`](Self::hush), since a ring
    /// may come in two parts with a hush between them.
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
