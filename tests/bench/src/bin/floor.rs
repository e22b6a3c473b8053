//! The floor: what a relay costs when nearly nothing but the system calls is left.
//!
//! One thread, level-triggered epoll, routing by array index, hand-written framing, one write for
//! each dirty connection in an epoll round, no buffer held while idle. Not a server to use: no
//! limits, no checks, no back pressure, dense addresses only. Usage: `floor TCP_ADDRESS WS_ADDRESS`.

use anyhow::{Context, Result};
use rustix::event::epoll;
use std::{
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    os::fd::{AsRawFd, OwnedFd},
};
use switchyard_bench::bare;
use switchyard_protocol::limits::HEADER_BYTES;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

const BACKLOG: i32 = 4096;
const EVENTS_PER_ROUND: usize = 1024;
const READ_BYTES: usize = 256 * 1024;
/// Arrays grow by this many places at once.
const GROWTH: usize = 1024;
const BINARY_MESSAGE: u8 = 0x82;
const NO_CONNECTION: usize = usize::MAX;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Tcp,
    Upgrading,
    WebSocket,
}

struct Connection {
    stream: TcpStream,
    kind: Kind,
    rest: Vec<u8>,
    out: Vec<u8>,
    dirty: bool,
    blocked: bool,
}

struct Relay {
    epoll: OwnedFd,
    /// By file descriptor.
    connections: Vec<Option<Box<Connection>>>,
    /// File descriptors of controllers and of tools, by address.
    routes: [Vec<usize>; 2],
    /// Who wants a controller's status, by its address.
    watchers: Vec<Vec<u32>>,
    dirty: Vec<usize>,
}

/// The table and the place in it of an address: tools have the top bit set.
fn place(address: u32) -> (usize, usize) {
    ((address >> 31) as usize, (address & 0x7FFF_FFFF) as usize)
}

/// The item at a place, which is made where the array is too short.
fn at_grown<T>(array: &mut Vec<T>, at: usize, empty: impl FnMut() -> T) -> &mut T {
    if array.len() <= at {
        array.resize_with(at + GROWTH, empty);
    }
    &mut array[at]
}

impl Relay {
    fn accept(&mut self, listener: &TcpListener, kind: Kind) -> Result<()> {
        while let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let fd = stream.as_raw_fd() as usize;
            let data = epoll::EventData::new_u64(fd as u64);
            epoll::add(&self.epoll, &stream, data, epoll::EventFlags::IN)?;
            *at_grown(&mut self.connections, fd, || None) = Some(Box::new(Connection {
                stream,
                kind,
                rest: Vec::new(),
                out: Vec::new(),
                dirty: false,
                blocked: false,
            }));
        }
        Ok(())
    }

    fn deliver(&mut self, destination: u32, frame: &[u8]) {
        let (table, at) = place(destination);
        let Some(&fd) = self.routes[table].get(at) else {
            return;
        };
        let Some(Some(connection)) = self.connections.get_mut(fd) else {
            return;
        };
        let out = &mut connection.out;
        if connection.kind == Kind::WebSocket {
            out.push(BINARY_MESSAGE);
            if frame.len() < 126 {
                out.push(frame.len() as u8);
            } else {
                out.push(126);
                out.extend_from_slice(&(frame.len() as u16).to_be_bytes());
            }
        }
        out.extend_from_slice(frame);
        if !connection.dirty {
            connection.dirty = true;
            self.dirty.push(fd);
        }
    }

    fn route(&mut self, fd: usize, frame: &[u8]) {
        let destination = bare::u32_at(frame, bare::DESTINATION_AT);
        if destination != 0 {
            return self.deliver(destination, frame);
        }
        let source = bare::u32_at(frame, bare::SOURCE_AT);
        match frame[0] {
            bare::STATUS => {
                let Some(watchers) = self.watchers.get_mut(source as usize) else {
                    return;
                };
                let watchers = std::mem::take(watchers);
                for &watcher in &watchers {
                    self.deliver(watcher, frame);
                }
                self.watchers[source as usize] = watchers;
            }
            bare::HELLO => {
                let (table, at) = place(source);
                *at_grown(&mut self.routes[table], at, || NO_CONNECTION) = fd;
            }
            bare::WATCH => {
                let watched = bare::u32_at(frame, HEADER_BYTES) as usize;
                at_grown(&mut self.watchers, watched, Vec::new).push(source);
            }
            _ => {}
        }
    }

    /// Routes all whole frames in `data`; gives how much it used.
    fn frames(&mut self, fd: usize, data: &mut [u8], is_websocket: bool) -> usize {
        let mut at = 0;
        loop {
            let rest = &mut data[at..];
            if !is_websocket {
                match bare::frame_bytes(rest) {
                    Some(length) if rest.len() >= length => {
                        self.route(fd, &rest[..length]);
                        at += length;
                        continue;
                    }
                    _ => return at,
                }
            }
            if rest.len() < 2 {
                return at;
            }
            let (head, length) = match rest[1] & 0x7F {
                126 if rest.len() >= 4 => (8, u16::from_be_bytes([rest[2], rest[3]]).into()),
                126 | 127 => return at,
                length => (6, usize::from(length)),
            };
            if rest.len() < head + length {
                return at;
            }
            let (opening, body) = rest.split_at_mut(head);
            let mask = &opening[head - 4..];
            for (number, byte) in body[..length].iter_mut().enumerate() {
                *byte ^= mask[number & 3];
            }
            if opening[0] & 0x0F == 2 {
                self.route(fd, &body[..length]);
            }
            at += head + length;
        }
    }

    /// Reads once and routes; false when the connection is gone.
    fn readable(&mut self, fd: usize, buffer: &mut [u8]) -> bool {
        let Some(connection) = self.connections[fd].as_mut() else {
            return true;
        };
        let kept = connection.rest.len();
        buffer[..kept].copy_from_slice(&connection.rest);
        connection.rest = Vec::new();
        let length = match connection.stream.read(&mut buffer[kept..]) {
            Ok(0) => return false,
            Ok(count) => kept + count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => kept,
            Err(_) => return false,
        };
        let mut at = 0;
        if connection.kind == Kind::Upgrading {
            at = upgrade(connection, &buffer[..length]);
        }
        let kind = connection.kind;
        if kind != Kind::Upgrading {
            at += self.frames(fd, &mut buffer[at..length], kind == Kind::WebSocket);
        }
        if let (true, Some(connection)) = (at < length, self.connections[fd].as_mut()) {
            connection.rest = buffer[at..length].to_vec();
        }
        true
    }

    fn flush(&mut self, fd: usize) -> Result<()> {
        let Some(connection) = self.connections[fd].as_mut() else {
            return Ok(());
        };
        let count = connection.stream.write(&connection.out).unwrap_or(0);
        let was_blocked = connection.blocked;
        let is_blocked = count < connection.out.len();
        connection.dirty = is_blocked;
        connection.blocked = is_blocked;
        if is_blocked {
            connection.out.drain(..count);
        } else {
            connection.out.clear();
        }
        if was_blocked != is_blocked {
            let mut flags = epoll::EventFlags::IN;
            flags.set(epoll::EventFlags::OUT, is_blocked);
            let data = epoll::EventData::new_u64(fd as u64);
            epoll::modify(&self.epoll, &connection.stream, data, flags)?;
        }
        Ok(())
    }
}

/// Answers an upgrade once all of it is there; gives how much it used.
fn upgrade(connection: &mut Connection, received: &[u8]) -> usize {
    let Some(end) = received.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        return 0;
    };
    let head = String::from_utf8_lossy(&received[..end]);
    let key = head
        .lines()
        .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
        .unwrap_or_default();
    let accept = derive_accept_key(key.as_bytes());
    connection.kind = Kind::WebSocket;
    // A peer that does not take these few bytes is gone, and the next read says so.
    let _ = write!(
        connection.stream,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    end + 4
}

fn main() -> Result<()> {
    let mut addresses = std::env::args().skip(1);
    let mut listen = |what: &str| -> Result<TcpListener> {
        let address = addresses
            .next()
            .with_context(|| format!("expected the address of the {what} listener"))?;
        let listener =
            TcpListener::bind(&address).with_context(|| format!("listening on {address}"))?;
        rustix::net::listen(&listener, BACKLOG)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    let listeners = [
        (listen("TCP")?, Kind::Tcp),
        (listen("WebSocket")?, Kind::Upgrading),
    ];
    switchyard_bench::process::raise_open_files()?;
    let mut relay = Relay {
        epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
        connections: Vec::new(),
        routes: [Vec::new(), Vec::new()],
        watchers: Vec::new(),
        dirty: Vec::new(),
    };
    for (listener, _) in &listeners {
        let data = epoll::EventData::new_u64(listener.as_raw_fd() as u64);
        epoll::add(&relay.epoll, listener, data, epoll::EventFlags::IN)?;
    }
    let mut buffer = vec![0; READ_BYTES];
    let mut events = Vec::with_capacity(EVENTS_PER_ROUND);
    loop {
        events.clear();
        match epoll::wait(
            &relay.epoll,
            rustix::buffer::spare_capacity(&mut events),
            None,
        ) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error).context("waiting for events"),
        }
        for event in &events {
            let (flags, fd) = (event.flags, event.data.u64() as usize);
            let listener = listeners
                .iter()
                .find(|(listener, _)| listener.as_raw_fd() as usize == fd);
            if let Some((listener, kind)) = listener {
                relay.accept(listener, *kind)?;
                continue;
            }
            if flags.contains(epoll::EventFlags::OUT) {
                relay.flush(fd)?;
            }
            let has_more = flags != epoll::EventFlags::OUT;
            if has_more && !relay.readable(fd, &mut buffer) {
                relay.connections[fd] = None;
            }
        }
        let mut dirty = std::mem::take(&mut relay.dirty);
        for fd in dirty.drain(..) {
            relay.flush(fd)?;
        }
        relay.dirty = dirty;
    }
}
