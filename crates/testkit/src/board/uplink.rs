//! A controller's way from its board to its gateway: TCP from this machine.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    sync::mpsc::{Receiver, TryRecvError, sync_channel},
    time::Duration,
};

use switchyard_firmware::{Action, Controller};

/// How long a gateway has to take a connection.
const DIAL_TIME_MAX: Duration = Duration::from_secs(5);
/// What is read at a time, and how often before others get their turn.
const READ_BYTES: usize = 4_096;
const READS_MAX: usize = 8;

/// One connection, or none. Dropping it closes it.
#[derive(Default)]
pub(super) struct Uplink {
    link: Link,
    /// Taken from the core, not yet by the socket.
    pending: Vec<u8>,
}

#[derive(Default)]
enum Link {
    #[default]
    Down,
    /// A thread dials, since names are looked up and connections made in nobody's time but its own. It ends by itself;
    /// when nobody waits any more, its connection ends with it.
    Dialling(Receiver<io::Result<TcpStream>>),
    Up(TcpStream),
}

impl Uplink {
    /// Whether there may be news of it at any time.
    pub(super) fn is_active(&self) -> bool {
        !matches!(self.link, Link::Down)
    }

    /// Closes it and tells the core.
    pub(super) fn lose(&mut self, controller: &mut Controller, now: Duration) {
        *self = Uplink::default();
        controller.disconnected(now);
    }

    /// Takes what has come since it was asked last.
    pub(super) fn receive(&mut self, controller: &mut Controller, now: Duration) {
        if let Link::Dialling(dialled) = &self.link {
            match dialled.try_recv() {
                Ok(Ok(stream)) => {
                    self.link = Link::Up(stream);
                    controller.connected(now);
                }
                Ok(Err(_)) | Err(TryRecvError::Disconnected) => self.lose(controller, now),
                Err(TryRecvError::Empty) => {}
            }
        }
        let mut buffer = [0; READ_BYTES];
        for _ in 0..READS_MAX {
            let Link::Up(stream) = &mut self.link else {
                return;
            };
            match stream.read(&mut buffer) {
                Ok(0) => return self.lose(controller, now),
                Ok(count) => controller.receive(buffer.get(..count).unwrap_or_default(), now),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.lose(controller, now),
            }
        }
    }

    /// Sends what the core has to say, as far as the socket takes it, and does what it asks for. `gateway` tells where
    /// one is, or that it cannot be reached. Says whether there was anything to do.
    pub(super) fn send(
        &mut self,
        controller: &mut Controller,
        now: Duration,
        gateway: impl Fn(&Controller, u8) -> Option<String>,
    ) -> bool {
        self.write(controller, now);
        let mut has_acted = false;
        while let Some(action) = controller.next_action() {
            has_acted = true;
            *self = Uplink::default();
            match action {
                Action::HangUp => {}
                Action::Dial(index) => match gateway(controller, index) {
                    Some(gateway) => self.link = dial(gateway),
                    None => controller.disconnected(now),
                },
            }
        }
        has_acted
    }

    fn write(&mut self, controller: &mut Controller, now: Duration) {
        loop {
            let Link::Up(stream) = &mut self.link else {
                return;
            };
            if self.pending.is_empty() {
                match controller.take_outbound(now) {
                    Some(bytes) => self.pending = bytes,
                    None => return,
                }
            }
            match stream.write(&self.pending) {
                Ok(count) => drop(self.pending.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.lose(controller, now),
            }
        }
    }
}

fn dial(gateway: String) -> Link {
    let (teller, dialled) = sync_channel(1);
    let thread = std::thread::Builder::new().name("dial".into());
    let spawned = thread.spawn(move || {
        // Nobody may want to know any more.
        let _ = teller.send(connected(&gateway));
    });
    // Without a thread nobody tells, which is a dial that failed.
    drop(spawned);
    Link::Dialling(dialled)
}

fn connected(gateway: &str) -> io::Result<TcpStream> {
    let mut failure = io::Error::from(ErrorKind::NotFound);
    for place in gateway.to_socket_addrs()? {
        match TcpStream::connect_timeout(&place, DIAL_TIME_MAX) {
            Ok(stream) => {
                stream.set_nonblocking(true)?;
                // Small records must not wait for each other.
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}
