//! What one thread leaves for another: gathered over a poll round, handed over by swapping buffers.

use super::driver::Bell;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Bytes that wait in a mailbox before whoever is patient waits with more: what the reader works off in
/// a few milliseconds, for that long everybody's messages stand in this queue.
pub(super) const WAITING_BYTES_MAX: usize = 256 << 10;
/// A buffer that grew beyond this is not kept.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// Letters in their order, and behind each other the bytes that belong to them.
#[derive(Debug)]
pub(super) struct Mail<T> {
    pub(super) letters: Vec<T>,
    pub(super) bytes: Vec<u8>,
}

impl<T> Default for Mail<T> {
    fn default() -> Self {
        Mail {
            letters: Vec::new(),
            bytes: Vec::new(),
        }
    }
}

impl<T> Mail<T> {
    fn clear(&mut self) {
        self.letters.clear();
        self.bytes.clear();
        let letter_bytes = self.letters.capacity() * size_of::<T>();
        if self.bytes.capacity().max(letter_bytes) > KEPT_BYTES_MAX {
            *self = Mail::default();
        }
    }
}

/// Where mail waits for its one reader.
#[derive(Debug)]
pub(super) struct Mailbox<T> {
    waiting: Mutex<Waiting<T>>,
    collected: Condvar,
    /// Wakes the reader.
    bell: Arc<Bell>,
}

#[derive(Debug)]
struct Waiting<T> {
    mail: Mail<T>,
    /// The reader is gone: nobody need wait for it.
    is_abandoned: bool,
}

impl<T> Mailbox<T> {
    /// An empty one, whose reader is woken by `bell`.
    pub(super) fn new(bell: &Arc<Bell>) -> Arc<Self> {
        Arc::new(Mailbox {
            waiting: Mutex::new(Waiting {
                mail: Mail::default(),
                is_abandoned: false,
            }),
            collected: Condvar::new(),
            bell: Arc::clone(bell),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<T>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves mail, which is empty afterwards.
    pub(super) fn post(&self, mail: &mut Mail<T>) {
        self.leave(self.lock(), mail);
    }

    /// Leaves mail once there is room, so that a writer who is faster than the reader slows down.
    ///
    /// Letters without bytes count for nothing: a connection has few of them at a time.
    pub(super) fn post_patiently(&self, mail: &mut Mail<T>) {
        if mail.letters.is_empty() {
            return;
        }
        let mut waiting = self.lock();
        while waiting.mail.bytes.len() > WAITING_BYTES_MAX && !waiting.is_abandoned {
            let again = self.collected.wait(waiting);
            waiting = again.unwrap_or_else(PoisonError::into_inner);
        }
        self.leave(waiting, mail);
    }

    fn leave(&self, mut waiting: MutexGuard<'_, Waiting<T>>, mail: &mut Mail<T>) {
        if mail.letters.is_empty() {
            return;
        }
        if waiting.mail.letters.is_empty() {
            std::mem::swap(&mut waiting.mail, mail);
        } else {
            waiting.mail.letters.append(&mut mail.letters);
            waiting.mail.bytes.extend_from_slice(&mail.bytes);
            mail.clear();
        }
        drop(waiting);
        self.bell.ring();
    }

    /// Whether something waits.
    pub(super) fn has_mail(&self) -> bool {
        !self.lock().mail.letters.is_empty()
    }

    /// Takes what waits in exchange for what was read.
    pub(super) fn collect(&self, mail: &mut Mail<T>) {
        mail.clear();
        let mut waiting = self.lock();
        if !waiting.mail.letters.is_empty() {
            std::mem::swap(&mut waiting.mail, mail);
            drop(waiting);
            self.collected.notify_one();
        }
    }

    /// Says that nobody will collect any more.
    pub(super) fn abandon(&self) {
        self.lock().is_abandoned = true;
        self.collected.notify_one();
    }
}
