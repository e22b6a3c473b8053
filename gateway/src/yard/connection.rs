//! One live connection: a task that reads and a task that writes, and the queue between the relay
//! and the writer.

use super::Yard;
use crate::{
    door::Place,
    wire::{Turn, Wire},
};
use bytes::Bytes;
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    time::Duration,
};
use switchyard_protocol::{Address, Code, Frame};
use switchyard_relay::{ConnectionId, Input};
use tokio::{net::TcpStream, sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

/// How long a closed connection's queue may take to leave, and its peer to read it.
const FAREWELL: Duration = Duration::from_secs(1);

/// What the kernel may hold for a controller: little, so that one which stops reading is noticed by
/// its queue and not after a minute's worth of frames.
const CONTROLLER_SEND_BYTES: usize = 32 * 1024;
/// The same for a tool. What lies there can no longer be conflated, and grows old.
const TOOL_SEND_BYTES: usize = 128 * 1024;

/// One socket's life on the yard.
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    stream: Rc<TcpStream>,
    wire: RefCell<Wire>,
    /// Frames on their way out; the relay keeps its bound.
    queue: RefCell<VecDeque<Bytes>>,
    /// Bytes at the head of the queue that the relay never counted.
    unreported: Cell<usize>,
    /// The controller at the other end; `None` for a tool.
    controller: Option<Address>,
    /// Rung when there is something to write, or the end has come.
    bell: Notify,
    /// Set when the relay has closed it: what is queued is the last.
    closing: Cell<Option<Code>>,
    /// Cancelled when the socket is done with.
    over: CancellationToken,
    _place: Place,
}

impl Connection {
    pub(super) fn new(
        id: ConnectionId,
        stream: Rc<TcpStream>,
        wire: Wire,
        place: Place,
        controller: Option<Address>,
    ) -> Rc<Self> {
        // A receipt must not wait for its neighbours' acknowledgements; a socket that refuses is
        // slower and still right.
        let _ = stream.set_nodelay(true);
        let send_bytes = if controller.is_some() {
            CONTROLLER_SEND_BYTES
        } else {
            TOOL_SEND_BYTES
        };
        let _ = socket2::SockRef::from(&*stream).set_send_buffer_size(send_bytes);
        Rc::new(Connection {
            id,
            stream,
            wire: RefCell::new(wire),
            queue: RefCell::default(),
            unreported: Cell::new(0),
            controller,
            bell: Notify::new(),
            closing: Cell::new(None),
            over: CancellationToken::new(),
            _place: place,
        })
    }

    /// Queues a frame that the relay does not know of: a welcome, or the error instead of one.
    pub(super) fn greet(&self, frame: Bytes) {
        self.unreported.set(self.unreported.get() + frame.len());
        self.send(frame);
    }

    /// Queues a frame.
    pub(super) fn send(&self, frame: Bytes) {
        self.queue.borrow_mut().push_back(frame);
        self.bell.notify_one();
    }

    /// Has the queue written out and the socket closed.
    pub(super) fn close(&self, code: Code) {
        self.closing.set(Some(code));
        self.bell.notify_one();
    }

    /// Reads what is there, waiting for at least something. Cancel-safe: nothing is taken off the
    /// socket before it is returned.
    pub(super) async fn read(&self, yard: &Yard, frames: &mut Vec<Frame>) -> Result<(), Code> {
        loop {
            let turn = {
                let mut scratch = yard.scratch.borrow_mut();
                self.wire.borrow_mut().read(&mut scratch, frames)
            };
            match turn? {
                _ if !frames.is_empty() => return Ok(()),
                Turn::More | Turn::Done => tokio::task::yield_now().await,
                Turn::Blocked => self.stream.readable().await.map_err(|_| Code::LinkLost)?,
            }
        }
    }

    /// Writes the queue out as far as the socket takes it now.
    fn write(&self, written: &mut usize) -> Result<Turn, Code> {
        self.wire
            .borrow_mut()
            .write(&mut self.queue.borrow_mut(), written)
    }

    /// Writes the queue out to its end, says good-bye, and gives the peer a moment to read it.
    pub(super) async fn finish(&self) {
        let farewell = async {
            while self.write(&mut 0).ok()? == Turn::Blocked {
                self.stream.writable().await.ok()?;
            }
            self.wire.borrow_mut().say_goodbye();
            socket2::SockRef::from(&*self.stream)
                .shutdown(std::net::Shutdown::Write)
                .ok()?;
            // Closing with unread bytes in hand would reset the connection under the last words.
            let mut rest = [0; 4096];
            loop {
                match self.stream.try_read(&mut rest) {
                    Ok(0) => return Some(()),
                    Ok(_) => tokio::task::yield_now().await,
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                        self.stream.readable().await.ok()?;
                    }
                    Err(_) => return None,
                }
            }
        };
        // Whoever does not listen to the end misses it.
        let _ = tokio::time::timeout(FAREWELL, farewell).await;
        self.over.cancel();
    }
}

impl Yard {
    /// Reads until the connection ends, and tells the relay why.
    pub(super) async fn read_in(self: Rc<Self>, connection: Rc<Connection>) {
        let id = connection.id;
        let mut frames = Vec::new();
        loop {
            let outcome = tokio::select! {
                () = connection.over.cancelled() => return,
                outcome = connection.read(&self, &mut frames) => outcome,
            };
            if connection.closing.get().is_some() {
                // The writer reads the rest itself, to no purpose but a clean end.
                return;
            }
            for frame in frames.drain(..) {
                self.received(&connection, frame);
            }
            match outcome {
                Ok(()) => tokio::task::yield_now().await,
                Err(Code::LinkLost) => {
                    tracing::info!("the peer has gone");
                    self.disconnected(&connection);
                    return;
                }
                Err(code) => {
                    self.input(Input::End {
                        connection: id,
                        code,
                    });
                    return;
                }
            }
        }
    }

    /// Writes whatever is queued until the connection ends.
    pub(super) async fn write_out(self: Rc<Self>, connection: Rc<Connection>) {
        let id = connection.id;
        let slow_peer_timeout = self.context.settings.slow_peer_timeout;
        // When a socket that takes nothing is given up. Frames that come meanwhile do not move it.
        let mut give_up = None;
        loop {
            tokio::select! {
                () = connection.over.cancelled() => return,
                () = connection.bell.notified() => {}
            }
            // Whoever was just woken runs next: without this turn for the others, every message
            // would be written alone.
            tokio::task::yield_now().await;
            loop {
                if let Some(code) = connection.closing.get() {
                    tracing::info!(reason = code.name(), "connection closed");
                    connection.finish().await;
                    return;
                }
                let mut written = 0;
                let turn = connection.write(&mut written);
                let unreported = connection.unreported.get().min(written);
                connection
                    .unreported
                    .set(connection.unreported.get() - unreported);
                written -= unreported;
                if written > 0 {
                    self.relay(|relay, now, sink| relay.written(now, id, written, sink));
                }
                match turn {
                    Ok(Turn::Done) => {
                        give_up = None;
                        break;
                    }
                    Ok(Turn::Blocked | Turn::More) => {}
                    Err(_) => {
                        tracing::info!("the peer has gone");
                        self.disconnected(&connection);
                        return;
                    }
                }
                let at = *give_up.get_or_insert_with(|| Instant::now() + slow_peer_timeout);
                tokio::select! {
                    () = connection.over.cancelled() => return,
                    () = connection.bell.notified() => {}
                    ready = tokio::time::timeout_at(at, connection.stream.writable()) => {
                        give_up = None;
                        if ready.is_err() {
                            self.input(Input::End { connection: id, code: Code::SlowPeer });
                        }
                    }
                }
            }
        }
    }

    /// Hands one frame to the relay.
    pub(super) fn received(self: &Rc<Self>, connection: &Connection, frame: Frame) {
        if let Some(controller) = connection.controller
            && frame.header().source == controller
        {
            self.statuses.saw(controller, &frame);
        }
        let frame = frame.as_frame_ref();
        self.relay(|relay, now, sink| relay.frame(now, connection.id, frame, sink));
    }

    /// Notes that a controller went, unless a newer session of it is there.
    pub(super) fn departed(&self, connection: &Connection) {
        let Some(controller) = connection.controller else {
            return;
        };
        let mut controllers = self.controllers.borrow_mut();
        if controllers.get(&controller) == Some(&connection.id) {
            controllers.remove(&controller);
            self.statuses.presence(controller, false);
        }
    }

    fn disconnected(self: &Rc<Self>, connection: &Connection) {
        connection.over.cancel();
        self.connections.borrow_mut().remove(&connection.id);
        self.tools.borrow_mut().remove(&connection.id);
        self.departed(connection);
        self.input(Input::Disconnected {
            connection: connection.id,
            reason: Code::LinkLost,
        });
    }
}
