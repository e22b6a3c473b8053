//! What moves bytes between sockets and the yard: epoll or io_uring, behind one interface.
//!
//! The yard hands over sockets and whole buffers, and gets bytes that came and buffers that have
//! left. Which of the two system interfaces is at work shows in nothing but the cost.

mod bell;
mod epoll;
#[cfg(target_os = "linux")]
mod uring;

pub(super) use bell::Bell;
pub(super) use epoll::Epoll;
#[cfg(target_os = "linux")]
pub(super) use uring::Uring;

use super::places::Dealing;
use crate::config::IoInterface;
use socket2::Socket;
use std::{io, sync::Arc, time::Duration};
use switchyard_relay::ConnectionId;

/// Something that happened to a socket.
#[derive(Debug)]
pub(super) enum Event<'a> {
    /// Bytes came. They lie in the driver's own buffer and may be changed there.
    Received(ConnectionId, &'a mut [u8]),
    /// Nothing will come any more: the peer has closed its side, or the socket broke. Told once.
    Ended(ConnectionId),
    /// The socket took a part of the buffer that is on its way.
    Progress(ConnectionId),
    /// The socket took the rest; here is the buffer back.
    Sent(ConnectionId, Vec<u8>),
    /// A closed socket is done with: its place may be given to another.
    Closed(ConnectionId),
}

/// Sockets of one shard, by the place in their [`ConnectionId`].
///
/// Nothing here blocks but [`wait`](Self::wait), and no socket holds a buffer of its own but the one
/// that is on its way out.
pub(super) trait Driver {
    /// Takes a socket over and begins to receive.
    ///
    /// # Errors
    /// The system's; the socket is closed then, and no event follows.
    fn open(&mut self, id: ConnectionId, stream: Socket) -> io::Result<()>;

    /// Begins to send `buffer` from `from` on. There must be no other on its way. `Some` when all of
    /// it has left, or never will, since the socket broke, which an event tells (it counts as left); else
    /// [`Event::Sent`] follows.
    fn send(&mut self, id: ConnectionId, buffer: Vec<u8>, from: usize) -> Option<Vec<u8>>;

    /// Has the kernel acknowledge what comes together with answers, or several segments at once. It
    /// does so for a while, and of its own accord whenever that seems better.
    fn defer_acknowledgements(&mut self, id: ConnectionId);

    /// Says to the peer that nothing more will come.
    fn finish(&mut self, id: ConnectionId);

    /// Closes the socket at once, whatever is on its way; [`Event::Closed`] follows.
    fn close(&mut self, id: ConnectionId);

    /// Waits for something to happen, at most for `timeout`, and tells all that has happened.
    ///
    /// # Errors
    /// When the system interface itself fails: nothing can go on then.
    fn wait(
        &mut self,
        timeout: Option<Duration>,
        tell: &mut dyn FnMut(Event<'_>),
    ) -> io::Result<()>;
}

/// A thread's work that waits for its sockets.
pub(super) trait Waiting {
    /// How long there is nothing to do if nothing happens; `None` is for ever.
    fn timeout(&self) -> Option<Duration>;

    /// Reads the clock: the waiting is over.
    fn tell_time(&mut self);

    /// Deals with what has happened.
    fn happened(&mut self, event: Event<'_>);
}

/// Waits once, until something happens, the time is over, or the bell rings.
///
/// # Errors
/// When the system interface itself fails: nothing can go on then.
pub(super) fn wait(
    work: &mut impl Waiting,
    driver: &mut dyn Driver,
    bell: &Bell,
) -> io::Result<()> {
    // Whoever rings from here on is heard; what was put down before shows in the time-out.
    bell.hush();
    let timeout = work.timeout();
    let mut has_woken = false;
    let waited = driver.wait(timeout, &mut |event| {
        // The clock is read once a round.
        if !std::mem::replace(&mut has_woken, true) {
            work.tell_time();
        }
        work.happened(event);
    });
    bell.woke();
    if !has_woken {
        work.tell_time();
    }
    waited
}

/// The best driver that this system has for these sockets, unless another is wanted. To be called on
/// the thread that uses it.
///
/// # Errors
/// The system's.
pub(super) fn best(
    wanted: IoInterface,
    bell: &Arc<Bell>,
    dealing: Dealing,
) -> io::Result<Box<dyn Driver>> {
    #[cfg(target_os = "linux")]
    if wanted != IoInterface::Epoll {
        match Uring::new(bell, dealing) {
            Ok(driver) => {
                tracing::info!("sockets by io_uring");
                return Ok(Box::new(driver));
            }
            Err(error) if wanted == IoInterface::IoUring => {
                tracing::warn!(%error, "this kernel refuses io_uring; sockets by epoll");
            }
            Err(error) => tracing::debug!(%error, "this kernel refuses io_uring"),
        }
    }
    Ok(Box::new(Epoll::new(bell, dealing)?))
}

/// See [`Driver::defer_acknowledgements`].
fn defer_acknowledgements(socket: &impl std::os::fd::AsFd) {
    // A kernel that does not know it acknowledges as it always did.
    #[cfg(target_os = "linux")]
    let _ = rustix::net::sockopt::set_tcp_quickack(socket, false);
    #[cfg(not(target_os = "linux"))]
    let _ = socket;
}
