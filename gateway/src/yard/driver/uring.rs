//! The driver on io_uring: receiving stays armed and takes buffers from a ring that all sockets
//! share, sends of a whole poll round go out with one system call.
//!
//! Needs Linux 6.1: multishot receive, provided buffer rings, deferred task work. Where the kernel
//! refuses any of it, [`Uring::new`] says so and the yard takes epoll.
#![expect(
    unsafe_code,
    reason = "io_uring shares memory with the kernel; this file is where that is kept in order"
)]

use super::{Bell, Dealing, Driver, Event};
use io_uring::{
    IoUring, cqueue, opcode, squeue,
    types::{BufRingEntry, Fd, Timespec},
};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use socket2::Socket as Stream;
use std::{
    io,
    net::Shutdown,
    os::fd::{AsFd, AsRawFd},
    ptr::NonNull,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
    time::{Duration, Instant},
};
use switchyard_relay::ConnectionId;

/// Requests that are handed over at once.
const SUBMISSIONS: u32 = 1024;
/// Completions that the shared queue holds; the kernel keeps further ones for later.
const COMPLETIONS: u32 = 8192;
/// Receive buffers. More than sockets are ready at once; a receive that finds none is armed again.
const BUFFERS: u16 = 512;
/// One receive buffer.
const BUFFER_BYTES: usize = 8 * 1024;
/// Events told in one round before the yard writes: enough that writes gather, few enough that
/// nobody waits long.
const ROUND_EVENTS_MAX: usize = 1024;

/// What a completion belongs to: the two highest bits of its user data. A connection's life count
/// never comes so far.
const RECEIVE: u64 = 0 << 62;
const SEND: u64 = 1 << 62;
const BELL: u64 = 2 << 62;
const ALARM: u64 = 3 << 62;
const OP_MASK: u64 = 3 << 62;

/// One socket.
struct Socket {
    id: ConnectionId,
    stream: Stream,
    /// What the kernel is reading from, and how far it has come. Neither moved nor freed while
    /// `is_sending`.
    sending: Vec<u8>,
    gone: usize,
    is_sending: bool,
    is_receiving: bool,
    has_ended: bool,
    is_closing: bool,
}

/// See the module.
pub(in crate::yard) struct Uring {
    // Before the memory that it points to, since fields are dropped in this order.
    ring: IoUring,
    buffers: Buffers,
    bell: Arc<Bell>,
    dealing: Dealing,
    bell_is_armed: bool,
    /// When the kernel ends a wait, the next moment last.
    alarms: Vec<Instant>,
    /// The latest alarm's time, for the kernel to read when it is handed over.
    alarm_after: Box<Timespec>,
    sockets: Vec<Option<Socket>>,
    /// Sockets whose receive is to be armed.
    arming: Vec<ConnectionId>,
    /// Sockets that broke while they were written to, and those that are done with.
    broken: Vec<ConnectionId>,
    closed: Vec<ConnectionId>,
    completions: Vec<(u64, i32, u32)>,
}

impl Uring {
    /// A driver without sockets, woken by `bell`. To be used on the thread that makes it.
    ///
    /// # Errors
    /// When this kernel does not do all that is needed, or does not allow it.
    pub(in crate::yard) fn new(bell: &Arc<Bell>, dealing: Dealing) -> io::Result<Self> {
        let ring: IoUring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_cqsize(COMPLETIONS)
            .build(SUBMISSIONS)?;
        if !ring.params().is_feature_nodrop() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let buffers = Buffers::new(&ring)?;
        Ok(Uring {
            ring,
            buffers,
            bell: Arc::clone(bell),
            dealing,
            bell_is_armed: false,
            alarms: Vec::new(),
            alarm_after: Box::default(),
            sockets: dealing.table(),
            arming: Vec::new(),
            broken: Vec::new(),
            closed: Vec::new(),
            completions: Vec::new(),
        })
    }

    fn socket(&mut self, id: ConnectionId) -> Option<&mut Socket> {
        let socket = self.sockets.get_mut(self.dealing.index(id))?.as_mut()?;
        (socket.id == id).then_some(socket)
    }

    /// Puts a request into the queue, handing over what is in it when it is full.
    fn submit(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        loop {
            // SAFETY: every entry refers to memory that outlives it: receives to `buffers`, sends to
            // a socket's `sending`, which is kept until the completion, alarms to `alarm_after`; files
            // are kept as long.
            let pushed = unsafe { self.ring.submission().push(entry) };
            if pushed.is_ok() {
                return Ok(());
            }
            match self.ring.submit() {
                Err(error) if !is_passing(&error) => return Err(error),
                _ => {}
            }
            // A kernel whose completion queue is full takes no more; what lies there waits for the
            // next round here.
            self.take_completions();
        }
    }

    fn take_completions(&mut self) {
        let queue = self.ring.completion();
        let completions = queue.map(|it| (it.user_data(), it.result(), it.flags()));
        self.completions.extend(completions);
    }

    fn submit_send(&mut self, id: ConnectionId) -> io::Result<()> {
        let Some(socket) = self.socket(id) else {
            return Ok(());
        };
        socket.is_sending = true;
        let rest = &socket.sending[socket.gone..];
        let length = u32::try_from(rest.len()).unwrap_or(u32::MAX);
        let entry = opcode::Send::new(Fd(socket.stream.as_raw_fd()), rest.as_ptr(), length)
            .flags(rustix::net::SendFlags::NOSIGNAL.bits().cast_signed())
            .build()
            .user_data(SEND | id.0);
        self.submit(&entry)
    }

    fn arm(&mut self) -> io::Result<()> {
        if !std::mem::replace(&mut self.bell_is_armed, true) {
            let file = Fd(self.bell.as_fd().as_raw_fd());
            let readable = u32::from(rustix::event::PollFlags::IN.bits());
            let entry = opcode::PollAdd::new(file, readable).build();
            self.submit(&entry.user_data(BELL))?;
        }
        for id in std::mem::take(&mut self.arming) {
            let Some(socket) = self.socket(id) else {
                continue;
            };
            if socket.is_closing || socket.has_ended || socket.is_receiving {
                continue;
            }
            socket.is_receiving = true;
            let file = Fd(socket.stream.as_raw_fd());
            let entry = opcode::RecvMulti::new(file, BUFFER_GROUP).build();
            self.submit(&entry.user_data(RECEIVE | id.0))?;
        }
        Ok(())
    }

    /// Hands over what is in the queue, and waits for this many completions.
    fn enter(&self, completions: usize) -> io::Result<()> {
        match self.ring.submitter().submit_and_wait(completions) {
            Err(error) if !is_passing(&error) => Err(error),
            _ => Ok(()),
        }
    }

    /// Has the kernel end a wait after `timeout`, unless it will by then in any case: setting a timer
    /// for each wait costs more than being woken in vain a few times a second.
    fn set_alarm(&mut self, timeout: Duration) -> io::Result<()> {
        let at = Instant::now() + timeout;
        if self.alarms.last().is_some_and(|&next| next <= at) {
            return Ok(());
        }
        self.alarms.push(at);
        // One that is still in the queue then rings early too, which does no harm.
        *self.alarm_after = Timespec::from(timeout);
        let entry = opcode::Timeout::new(&raw const *self.alarm_after).build();
        self.submit(&entry.user_data(ALARM))
    }

    fn completed(
        &mut self,
        (user_data, result, flags): (u64, i32, u32),
        tell: &mut dyn FnMut(Event<'_>),
    ) -> io::Result<()> {
        let id = ConnectionId(user_data & !OP_MASK);
        match user_data & OP_MASK {
            BELL => {
                self.bell.answer();
                self.bell_is_armed = false;
            }
            ALARM => {
                self.alarms.pop();
            }
            RECEIVE => self.received(id, result, flags, tell),
            _ => self.sent(id, result, tell)?,
        }
        Ok(())
    }

    fn received(
        &mut self,
        id: ConnectionId,
        result: i32,
        flags: u32,
        tell: &mut dyn FnMut(Event<'_>),
    ) {
        let is_armed = cqueue::more(flags);
        let Some(socket) = self
            .sockets
            .get_mut(self.dealing.index(id))
            .and_then(Option::as_mut)
        else {
            return;
        };
        socket.is_receiving = is_armed;
        if let Some(buffer) = cqueue::buffer_select(flags) {
            if let Ok(count @ 1..) = usize::try_from(result)
                && !socket.is_closing
            {
                tell(Event::Received(id, self.buffers.bytes(buffer, count)));
            }
            self.buffers.give_back(buffer);
        }
        let starved = result == -rustix::io::Errno::NOBUFS.raw_os_error();
        if result > 0 || starved {
            if !is_armed {
                self.arming.push(id);
            }
        } else if !is_armed && !socket.is_closing && !socket.has_ended {
            socket.has_ended = true;
            tell(Event::Ended(id));
        }
        self.close_if_idle(id);
    }

    fn sent(
        &mut self,
        id: ConnectionId,
        result: i32,
        tell: &mut dyn FnMut(Event<'_>),
    ) -> io::Result<()> {
        let Some(socket) = self.socket(id) else {
            return Ok(());
        };
        socket.is_sending = false;
        match usize::try_from(result) {
            Ok(count) => {
                socket.gone += count;
                if socket.gone == socket.sending.len() {
                    let buffer = std::mem::take(&mut socket.sending);
                    tell(Event::Sent(id, buffer));
                } else if !socket.is_closing {
                    self.submit_send(id)?;
                    tell(Event::Progress(id));
                }
            }
            Err(_) => {
                socket.sending = Vec::new();
                if !socket.is_closing && !std::mem::replace(&mut socket.has_ended, true) {
                    tell(Event::Ended(id));
                }
            }
        }
        self.close_if_idle(id);
        Ok(())
    }

    /// Lets go of a socket that is closing once the kernel has let go of it.
    fn close_if_idle(&mut self, id: ConnectionId) {
        let is_done = self
            .socket(id)
            .is_some_and(|it| it.is_closing && !it.is_sending && !it.is_receiving);
        if is_done {
            self.sockets[self.dealing.index(id)] = None;
            self.closed.push(id);
        }
    }

    fn tell_own(&mut self, tell: &mut dyn FnMut(Event<'_>)) {
        for id in std::mem::take(&mut self.closed) {
            tell(Event::Closed(id));
        }
        for id in std::mem::take(&mut self.broken) {
            if let Some(socket) = self.socket(id)
                && !std::mem::replace(&mut socket.has_ended, true)
            {
                tell(Event::Ended(id));
            }
        }
    }
}

impl Driver for Uring {
    fn open(&mut self, id: ConnectionId, stream: Stream) -> io::Result<()> {
        let at = self.dealing.index(id);
        if self.sockets.len() <= at {
            self.sockets.resize_with(at + 1, || None);
        }
        self.sockets[at] = Some(Socket {
            id,
            stream,
            sending: Vec::new(),
            gone: 0,
            is_sending: false,
            is_receiving: false,
            has_ended: false,
            is_closing: false,
        });
        self.arming.push(id);
        Ok(())
    }

    fn send(&mut self, id: ConnectionId, buffer: Vec<u8>, from: usize) -> Option<Vec<u8>> {
        let Some(socket) = self.socket(id) else {
            return Some(buffer);
        };
        socket.sending = buffer;
        socket.gone = from;
        if self.submit_send(id).is_err() {
            // Not in the queue, so the kernel knows nothing of the buffer.
            let socket = self.socket(id)?;
            socket.is_sending = false;
            let buffer = std::mem::take(&mut socket.sending);
            self.broken.push(id);
            return Some(buffer);
        }
        None
    }

    fn defer_acknowledgements(&mut self, id: ConnectionId) {
        if let Some(socket) = self.socket(id) {
            super::defer_acknowledgements(&socket.stream);
        }
    }

    fn finish(&mut self, id: ConnectionId) {
        if let Some(socket) = self.socket(id) {
            // Whoever has gone needs no telling.
            let _ = socket.stream.shutdown(Shutdown::Write);
        }
    }

    fn close(&mut self, id: ConnectionId) {
        if let Some(socket) = self.socket(id) {
            socket.is_closing = true;
            if socket.is_sending || socket.is_receiving {
                // Ends what is under way, whose completions then let the socket go.
                let _ = socket.stream.shutdown(Shutdown::Both);
            }
            self.close_if_idle(id);
        }
    }

    fn wait(
        &mut self,
        timeout: Option<Duration>,
        tell: &mut dyn FnMut(Event<'_>),
    ) -> io::Result<()> {
        self.arm()?;
        let has_work =
            !self.closed.is_empty() || !self.broken.is_empty() || !self.completions.is_empty();
        let is_idle = !has_work && timeout != Some(Duration::ZERO);
        if is_idle && let Some(timeout) = timeout {
            self.set_alarm(timeout)?;
        }
        // Setting it may have made room by taking completions, which are enough to go on.
        self.enter(usize::from(is_idle && self.completions.is_empty()))?;
        self.tell_own(tell);
        // All that has come belongs to this round, so that its writes gather. The kernel hands it over
        // in portions of about twenty, and says whether there is another; sometimes it goes on saying
        // so when all is handed over, until the next comes.
        let mut told = 0;
        loop {
            self.take_completions();
            let mut completions = std::mem::take(&mut self.completions);
            let count = completions.len();
            for completion in completions.drain(..) {
                self.completed(completion, tell)?;
            }
            // Dealing with these may have made room for others, which come next.
            completions.append(&mut self.completions);
            self.completions = completions;
            self.buffers.publish();
            told += count;
            let is_more = count > 0 && self.ring.submission().taskrun();
            if !is_more || told >= ROUND_EVENTS_MAX {
                return Ok(());
            }
            self.enter(0)?;
        }
    }
}

/// Whether entering the kernel failed for a reason that passes: time is up, a signal came, its
/// completion queue is full, or it is short of memory at this moment.
fn is_passing(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let code = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(
        code,
        Some(Errno::TIME | Errno::INTR | Errno::BUSY | Errno::AGAIN)
    )
}

impl Drop for Uring {
    fn drop(&mut self) {
        for socket in self.sockets.iter_mut().flatten() {
            if socket.is_sending {
                // The kernel may still read from it for a moment; the program is about to end.
                std::mem::forget(std::mem::take(&mut socket.sending));
            }
        }
    }
}

/// The one group of provided buffers.
const BUFFER_GROUP: u16 = 0;

/// Receive buffers, and the ring by which the kernel is given them.
struct Buffers {
    /// `BUFFERS` entries, then `BUFFERS` buffers: one mapping, since the ring must lie on a page.
    memory: NonNull<u8>,
    /// Buffers given so far, wrapping; the kernel sees it when it is published.
    given: u16,
}

const RING_BYTES: usize = BUFFERS as usize * size_of::<BufRingEntry>();
const MEMORY_BYTES: usize = RING_BYTES + BUFFERS as usize * BUFFER_BYTES;

impl Buffers {
    fn new(ring: &IoUring) -> io::Result<Self> {
        // Populated, so that buffers are never counted as what a connection costs.
        let flags = MapFlags::PRIVATE | MapFlags::POPULATE;
        // SAFETY: a fresh anonymous mapping, placed by the kernel.
        let memory = unsafe {
            mmap_anonymous(
                std::ptr::null_mut(),
                MEMORY_BYTES,
                ProtFlags::READ | ProtFlags::WRITE,
                flags,
            )
        }?;
        let memory = NonNull::new(memory.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let mut buffers = Buffers { memory, given: 0 };
        // SAFETY: the mapping is page-aligned, as large as that many entries, and outlives the ring,
        // which is dropped first.
        unsafe {
            ring.submitter().register_buf_ring_with_flags(
                memory.as_ptr() as u64,
                BUFFERS,
                BUFFER_GROUP,
                0,
            )
        }?;
        for buffer in 0..BUFFERS {
            buffers.give_back(buffer);
        }
        buffers.publish();
        Ok(buffers)
    }

    fn start(&self, buffer: u16) -> *mut u8 {
        debug_assert!(buffer < BUFFERS);
        let offset = RING_BYTES + usize::from(buffer % BUFFERS) * BUFFER_BYTES;
        // SAFETY: within the mapping, since the number is below `BUFFERS`.
        unsafe { self.memory.as_ptr().add(offset) }
    }

    /// What the kernel has put into a buffer that it has given away by a completion.
    fn bytes(&mut self, buffer: u16, count: usize) -> &mut [u8] {
        // SAFETY: within the mapping; the kernel has let go of it, and gets it back only after this
        // borrow, by `give_back`.
        unsafe { std::slice::from_raw_parts_mut(self.start(buffer), count.min(BUFFER_BYTES)) }
    }

    /// Gives a buffer back, to be seen at the next [`publish`](Self::publish).
    fn give_back(&mut self, buffer: u16) {
        let at = usize::from(self.given % BUFFERS);
        let start = self.start(buffer);
        // SAFETY: the entry lies within the ring; entries behind the published tail are ours alone.
        // The tail itself overlaps the first entry's last field, which is not written here.
        let entry = unsafe { &mut *self.memory.as_ptr().cast::<BufRingEntry>().add(at) };
        entry.set_addr(start as u64);
        entry.set_len(BUFFER_BYTES as u32);
        entry.set_bid(buffer);
        self.given = self.given.wrapping_add(1);
    }

    fn publish(&mut self) {
        let first = self.memory.as_ptr().cast::<BufRingEntry>();
        // SAFETY: the first entry of a registered ring holds the tail, which the kernel reads at any
        // time, hence the atomic.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(first).cast_mut()) };
        tail.store(self.given, Ordering::Release);
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        // SAFETY: mapped in `new`, and nothing borrows from it any more; the ring is gone.
        let _ = unsafe { munmap(self.memory.as_ptr().cast(), MEMORY_BYTES) };
    }
}
