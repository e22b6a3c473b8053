//! The driver on epoll (by `mio`, and so on whatever else `mio` knows), edge-triggered.
//!
//! A socket is registered once, for both directions, and never again: a read that came back short
//! has emptied it, so the next edge tells of the next bytes.

use super::{Bell, Dealing, Driver, Event};
use mio::{Events, Interest, Poll, Token, unix::SourceFd};
use socket2::Socket as Stream;
use std::{
    io::{self, ErrorKind, Read, Write},
    os::fd::{AsFd, AsRawFd},
    sync::Arc,
    time::Duration,
};
use switchyard_relay::ConnectionId;

/// Events taken at once.
const EVENTS_MAX: usize = 1024;
/// One read of any connection: the one buffer that all of them share.
const READ_BYTES: usize = 64 * 1024;
/// The bell's token; no connection has it, for no place is that large.
const BELL: Token = Token(usize::MAX);

// A connection's whole number is its token.
const _: () = assert!(usize::BITS == 64, "expected a machine of 64 bits");

/// One socket.
struct Socket {
    id: ConnectionId,
    stream: Stream,
    /// What is on its way out, and how far it has come.
    sending: Option<(Vec<u8>, usize)>,
    /// The peer's side is closed: what is still to be read, and the end behind it, have no edge of
    /// their own any more.
    is_read_closed: bool,
    has_ended: bool,
}

/// See the module.
pub(in crate::yard) struct Epoll {
    poll: Poll,
    bell: Arc<Bell>,
    dealing: Dealing,
    events: Events,
    sockets: Vec<Option<Socket>>,
    buffer: Box<[u8]>,
    /// Sockets that filled the buffer and may hold more.
    unread: Vec<ConnectionId>,
    /// Sockets that broke while they were written to.
    broken: Vec<ConnectionId>,
    closed: Vec<ConnectionId>,
}

impl Epoll {
    /// A driver without sockets, woken by `bell`.
    ///
    /// # Errors
    /// The system's.
    pub(in crate::yard) fn new(bell: &Arc<Bell>, dealing: Dealing) -> io::Result<Self> {
        let poll = Poll::new()?;
        let file = bell.as_fd().as_raw_fd();
        poll.registry()
            .register(&mut SourceFd(&file), BELL, Interest::READABLE)?;
        Ok(Epoll {
            poll,
            bell: Arc::clone(bell),
            dealing,
            events: Events::with_capacity(EVENTS_MAX),
            sockets: dealing.table(),
            buffer: vec![0; READ_BYTES].into(),
            unread: Vec::new(),
            broken: Vec::new(),
            closed: Vec::new(),
        })
    }

    fn socket(&mut self, id: ConnectionId) -> Option<&mut Socket> {
        let socket = self.sockets.get_mut(self.dealing.index(id))?.as_mut()?;
        (socket.id == id).then_some(socket)
    }
}

impl Socket {
    /// Reads once. Whether there may be more.
    fn receive(&mut self, buffer: &mut [u8], tell: &mut dyn FnMut(Event<'_>)) -> bool {
        match self.stream.read(buffer) {
            Ok(0) => self.end(tell),
            Ok(count) => {
                tell(Event::Received(self.id, &mut buffer[..count]));
                return count == buffer.len() || self.is_read_closed;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => return true,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.end(tell),
        }
        false
    }

    fn end(&mut self, tell: &mut dyn FnMut(Event<'_>)) {
        if !std::mem::replace(&mut self.has_ended, true) {
            tell(Event::Ended(self.id));
        }
    }

    /// Writes on, as far as the socket takes it. False when it broke.
    fn send_on(&mut self) -> bool {
        while let Some((buffer, gone)) = &mut self.sending
            && *gone < buffer.len()
        {
            match self.stream.write(&buffer[*gone..]) {
                Ok(count) => *gone += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            }
        }
        true
    }

    fn take_sent(&mut self) -> Option<Vec<u8>> {
        let (buffer, _) = self
            .sending
            .take_if(|(buffer, gone)| *gone == buffer.len())?;
        Some(buffer)
    }

    fn writable(&mut self, tell: &mut dyn FnMut(Event<'_>)) {
        let before = match &self.sending {
            Some((_, gone)) => *gone,
            None => return,
        };
        if !self.send_on() {
            return self.end(tell);
        }
        match self.take_sent() {
            Some(buffer) => tell(Event::Sent(self.id, buffer)),
            None if self
                .sending
                .as_ref()
                .is_some_and(|(_, gone)| *gone > before) =>
            {
                tell(Event::Progress(self.id));
            }
            None => {}
        }
    }
}

impl Driver for Epoll {
    fn open(&mut self, id: ConnectionId, stream: Stream) -> io::Result<()> {
        let file = stream.as_raw_fd();
        let interest = Interest::READABLE | Interest::WRITABLE;
        let token = Token(id.0 as usize);
        self.poll
            .registry()
            .register(&mut SourceFd(&file), token, interest)?;
        let at = self.dealing.index(id);
        if self.sockets.len() <= at {
            self.sockets.resize_with(at + 1, || None);
        }
        self.sockets[at] = Some(Socket {
            id,
            stream,
            sending: None,
            is_read_closed: false,
            has_ended: false,
        });
        Ok(())
    }

    fn send(&mut self, id: ConnectionId, buffer: Vec<u8>, from: usize) -> Option<Vec<u8>> {
        let Some(socket) = self.socket(id) else {
            return Some(buffer);
        };
        socket.sending = Some((buffer, from));
        if socket.send_on() {
            return socket.take_sent();
        }
        let buffer = socket.sending.take().map(|(buffer, _)| buffer);
        self.broken.push(id);
        buffer
    }

    fn defer_acknowledgements(&mut self, id: ConnectionId) {
        if let Some(socket) = self.socket(id) {
            super::defer_acknowledgements(&socket.stream);
        }
    }

    fn finish(&mut self, id: ConnectionId) {
        if let Some(socket) = self.socket(id) {
            // Whoever has gone needs no telling.
            let _ = socket.stream.shutdown(std::net::Shutdown::Write);
        }
    }

    fn close(&mut self, id: ConnectionId) {
        if self.socket(id).is_some() {
            // Closing a file takes it out of epoll too.
            self.sockets[self.dealing.index(id)] = None;
            self.closed.push(id);
        }
    }

    fn wait(
        &mut self,
        timeout: Option<Duration>,
        tell: &mut dyn FnMut(Event<'_>),
    ) -> io::Result<()> {
        let has_work =
            !self.unread.is_empty() || !self.broken.is_empty() || !self.closed.is_empty();
        let timeout = if has_work {
            Some(Duration::ZERO)
        } else {
            timeout
        };
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for id in std::mem::take(&mut self.closed) {
            tell(Event::Closed(id));
        }
        for id in std::mem::take(&mut self.broken) {
            if let Some(socket) = self.sockets[self.dealing.index(id)].as_mut()
                && socket.id == id
            {
                socket.end(tell);
            }
        }
        // Those that were not done go first now, and behind their neighbours next time.
        let mut unread = std::mem::take(&mut self.unread);
        unread.retain(|&id| match self.sockets[self.dealing.index(id)].as_mut() {
            Some(socket) if socket.id == id => socket.receive(&mut self.buffer, tell),
            _ => false,
        });
        let still_unread = unread.len();
        for event in &self.events {
            if event.token() == BELL {
                self.bell.answer();
                continue;
            }
            let id = ConnectionId(event.token().0 as u64);
            let Some(Some(socket)) = self.sockets.get_mut(self.dealing.index(id)) else {
                continue;
            };
            if socket.id != id {
                continue;
            }
            if event.is_writable() {
                socket.writable(tell);
            }
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                socket.is_read_closed |= event.is_read_closed();
                let may_hold_more = socket.receive(&mut self.buffer, tell);
                if may_hold_more && !unread[..still_unread].contains(&id) {
                    unread.push(id);
                }
            }
        }
        self.unread = unread;
        Ok(())
    }
}
