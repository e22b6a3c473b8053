//! The core's HTTP server on this machine's sockets, under the rules of a chip's stack: four
//! connections, pushed input, one outstanding send for each.

#![expect(unsafe_code, reason = "the C core is called through raw pointers")]

use std::{
    alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error},
    ffi::c_void,
    fmt, io,
    ptr::NonNull,
    task::{Context, Poll},
    time::Duration,
};

use tokio::net::{TcpListener, TcpStream};

use crate::ffi::{self, FwHostApi, FwHttpHost, FwHttpPort};

const CONNECTIONS_MAX: usize = 4;
/// What the chip's stack pushes at most in one go.
const PUSH_BYTES_MAX: usize = 5744;

/// What one connection has under way. Reached by C through a raw pointer, and by us only between
/// calls into C.
#[derive(Default)]
struct Wire {
    stream: Option<TcpStream>,
    /// Taken from the server, not yet by the socket.
    pending: Vec<u8>,
    written: usize,
    held: bool,
    /// The server wants its end.
    closing: bool,
}

type Wires = [Wire; CONNECTIONS_MAX];

/// The built-in page and the API on a listener. Driven like the controller itself: wait for
/// [`ready`](Self::ready) or for as long as [`advance`](Self::advance) said, then advance.
pub struct HttpSockets {
    listener: TcpListener,
    host: NonNull<FwHttpHost>,
    wires: NonNull<Wires>,
    /// As of the last advance.
    now_ms: u32,
}

// SAFETY: both pointers are to memory that only this value uses; what the controller's functions
// use is promised by whoever called `new`.
unsafe impl Send for HttpSockets {}

impl HttpSockets {
    /// Serves what this controller tells.
    ///
    /// # Safety
    ///
    /// `controller` must point to an `fw_api_controller_t` that outlives this value, and its functions
    /// must be callable from whatever thread advances it.
    pub unsafe fn new(listener: TcpListener, controller: *const FwHostApi) -> Self {
        let wires = NonNull::from(Box::leak(Box::<Wires>::default()));
        // SAFETY: the layout is not empty. The memory is C's until `drop`; zeroed memory is what its
        // initialisation begins with, and the port's context lives as long.
        let host = unsafe {
            let memory = alloc_zeroed(host_layout());
            let Some(host) = NonNull::new(memory.cast::<FwHttpHost>()) else {
                handle_alloc_error(host_layout())
            };
            let port = FwHttpPort {
                ctx: wires.as_ptr().cast(),
                send,
                close,
                hold,
            };
            ffi::fw_http_host_init(host.as_ptr(), controller, port);
            host
        };
        Self {
            listener,
            host,
            wires,
            now_ms: 0,
        }
    }

    /// Ends every connection and every session, and serves from the beginning.
    ///
    /// # Safety
    ///
    /// As for [`new`](Self::new).
    pub unsafe fn restart(&mut self, controller: *const FwHostApi) {
        for wire in self.wires() {
            *wire = Wire::default();
        }
        let port = FwHttpPort {
            ctx: self.wires.as_ptr().cast(),
            send,
            close,
            hold,
        };
        // SAFETY: as in `new`; what C had of the connections before is gone with its state.
        unsafe { ffi::fw_http_host_init(self.host.as_ptr(), controller, port) };
    }

    /// Waits until there is something for [`advance`](Self::advance) to do. Cancel-safe: nothing is
    /// consumed.
    pub async fn ready(&mut self) {
        std::future::poll_fn(|context| self.poll_ready(context)).await;
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut accepted = None;
        if let Poll::Ready(result) = self.listener.poll_accept(context) {
            accepted = result.ok();
        }
        if let Some((stream, _)) = accepted {
            self.open(stream);
            return Poll::Ready(());
        }
        for wire in self.wires() {
            let Some(stream) = &wire.stream else { continue };
            let reads = !wire.held && stream.poll_read_ready(context).is_ready();
            let writes = !wire.pending.is_empty() && stream.poll_write_ready(context).is_ready();
            if reads || writes {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }

    /// Moves bytes and lets the server work. Returns when to do so again, unless
    /// [`ready`](Self::ready) comes first. `now` never runs backwards.
    pub fn advance(&mut self, now: Duration) -> Duration {
        // The count that the core sees wraps, as a chip's does.
        let now_ms = now.as_millis() as u32;
        self.now_ms = now_ms;
        loop {
            for index in 0..CONNECTIONS_MAX {
                self.read(index, now_ms);
                self.write(index, now_ms);
            }
            // SAFETY: the host is initialised, and no reference to the wires is held.
            let wait_ms = unsafe { ffi::fw_http_host_poll(self.host.as_ptr(), now_ms) };
            for index in 0..CONNECTIONS_MAX {
                if self.wires()[index].closing {
                    self.close(index);
                } else {
                    self.write(index, now_ms);
                }
            }
            if wait_ms > 0 {
                return now + Duration::from_millis(u64::from(wait_ms));
            }
        }
    }

    fn wires(&mut self) -> &mut Wires {
        // SAFETY: C reaches them only during calls, while no such reference lives.
        unsafe { self.wires.as_mut() }
    }

    /// Whoever finds no place is refused, as the chip does.
    fn open(&mut self, stream: TcpStream) {
        // SAFETY: as in `advance`. The time of a connection's beginning may be a poll old.
        let index = unsafe { ffi::fw_http_host_opened(self.host.as_ptr(), self.now_ms) };
        if let Some(wire) = self.wires().get_mut(usize::from(index)) {
            // Failing that, small answers are late.
            let _ = stream.set_nodelay(true);
            *wire = Wire {
                stream: Some(stream),
                ..Wire::default()
            };
        }
    }

    fn close(&mut self, index: usize) {
        self.wires()[index] = Wire::default();
        // SAFETY: as in `advance`.
        unsafe { ffi::fw_http_host_closed(self.host.as_ptr(), index as u8) };
    }

    fn read(&mut self, index: usize, now_ms: u32) {
        let mut buffer = [0; PUSH_BYTES_MAX];
        let wire = &mut self.wires()[index];
        let Some(stream) = &wire.stream else { return };
        if wire.held {
            return;
        }
        match stream.try_read(&mut buffer) {
            Ok(0) => self.close(index),
            Ok(length) => {
                let host = self.host.as_ptr();
                // SAFETY: as in `advance`; the server keeps no pointer into the buffer.
                unsafe {
                    ffi::fw_http_host_receive(host, index as u8, buffer.as_ptr(), length, now_ms);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.close(index),
        }
    }

    fn write(&mut self, index: usize, now_ms: u32) {
        let wire = &mut self.wires()[index];
        let Some(stream) = &wire.stream else { return };
        if wire.pending.is_empty() {
            return;
        }
        match stream.try_write(&wire.pending[wire.written..]) {
            Ok(length) => wire.written += length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(_) => return self.close(index),
        }
        if wire.written == wire.pending.len() {
            wire.pending = Vec::new();
            wire.written = 0;
            // SAFETY: as in `advance`.
            unsafe { ffi::fw_http_host_sent(self.host.as_ptr(), index as u8, now_ms) };
        }
    }
}

impl Drop for HttpSockets {
    fn drop(&mut self) {
        // SAFETY: both were made by `new`, and nobody else has them.
        unsafe {
            dealloc(self.host.as_ptr().cast(), host_layout());
            drop(Box::from_raw(self.wires.as_ptr()));
        }
    }
}

impl fmt::Debug for HttpSockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSockets")
            .field("listener", &self.listener)
            .finish_non_exhaustive()
    }
}

fn host_layout() -> Layout {
    // SAFETY: the two functions have no preconditions.
    let (bytes, align) = unsafe { (ffi::fw_http_host_bytes(), ffi::fw_http_host_align()) };
    Layout::from_size_align(bytes, align).expect("C's sizes and alignments are valid")
}

/// # Safety
///
/// `ctx` is what `new` gave, and no other reference to it lives.
unsafe fn wire<'a>(ctx: *mut c_void, connection: u8) -> &'a mut Wire {
    // SAFETY: promised by the caller; the server numbers connections as it was told.
    unsafe { &mut (*ctx.cast::<Wires>())[usize::from(connection)] }
}

extern "C" fn send(ctx: *mut c_void, connection: u8, bytes: *const u8, length: usize) -> bool {
    // SAFETY: only C calls this, from a poll; the bytes are readable for that long.
    let (wire, bytes) = unsafe {
        (
            wire(ctx, connection),
            std::slice::from_raw_parts(bytes, length),
        )
    };
    wire.pending = bytes.to_vec();
    wire.written = 0;
    true
}

extern "C" fn close(ctx: *mut c_void, connection: u8, _at_once: bool) {
    // SAFETY: only C calls this, from a poll.
    unsafe { wire(ctx, connection) }.closing = true;
}

extern "C" fn hold(ctx: *mut c_void, connection: u8, held: bool) {
    // SAFETY: only C calls this, during a call of ours.
    unsafe { wire(ctx, connection) }.held = held;
}
