//! Shards: threads that hold a part of the connections and nothing else.
//!
//! A shard reads its sockets, takes the transforms off, finds whole frames and leaves them for the
//! yard's thread, where the one relay is; it writes what comes back. Seven eighths of what a message
//! costs are the kernel's work on sockets, so that is what other cores take over, and the relay's
//! rules stay those of one thread. Frames go over by the batch, once a poll round; with one shard,
//! which is the yard itself, none goes over at all.

use super::{
    driver::{self, Bell, Driver, Event, Waiting},
    intake::{self, Intake},
    lines::{Lines, News, Opening},
    mailbox::{Mail, Mailbox},
    places::{Dealing, Places},
};
use crate::{clock::Clock, config::Settings, history, journal::Journal};
use std::{
    io,
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::Duration,
};
use switchyard_protocol::{
    Address, Code, FrameRef,
    message::{PointFlags, Time},
};
use switchyard_relay::{ConnectionId, Entry, Haste, Output, Sink};

/// How long a thread that ends goes on to see its sockets closed.
const CLOSING_TIME: Duration = Duration::from_millis(100);

/// What the yard has a shard do.
enum Order {
    /// Take a connection over.
    Open(ConnectionId, Box<Opening>),
    /// So many bytes came on a connection before it was taken over.
    Came(ConnectionId, usize),
    /// Queue the frame in the next so many bytes, of which the relay does not know.
    Greet(ConnectionId, usize),
    /// Queue the frame in the next so many bytes.
    Send(ConnectionId, usize, Haste),
    /// Write out what is queued, then close.
    Close(ConnectionId),
    /// There is nothing more to do.
    End,
}

/// What a shard tells the yard.
pub(super) enum Told {
    /// Frames came, all whole: the next so many bytes.
    Frames(ConnectionId, usize),
    /// The peer has gone.
    Gone(ConnectionId),
    /// What the connections tell by themselves.
    News(News),
    /// The place is free.
    Closed(ConnectionId),
    /// The thread panicked or its sockets are out of order.
    Broken,
}

/// All shards, as the yard's thread sees them; the first is its own.
pub(super) struct Shards {
    dealing: Dealing,
    places: Places,
    pub(super) own: Lines,
    others: Vec<Remote>,
    /// What the relay wants written down.
    pub(super) journal: Journal,
    /// What the relay wants besides frames sent.
    pub(super) outputs: Vec<Output>,
    /// Where what controllers tell becomes history and recent values, if it is to.
    pub(super) history: Option<history::Tap>,
}

/// A shard on another thread.
struct Remote {
    orders: Arc<Mailbox<Order>>,
    out: Mail<Order>,
    told: Arc<Mailbox<Told>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.dismiss();
        if let Some(thread) = self.thread.take() {
            // A panic of its has been told, and heard by whoever was still there.
            let _ = thread.join();
        }
    }
}

impl Shards {
    /// The yard's own and as many more as the settings want, whose threads tell the yard by `bell`.
    ///
    /// # Errors
    /// When a thread or its driver cannot be had.
    pub(super) fn start(
        settings: &Arc<Settings>,
        clock: Clock,
        bell: &Arc<Bell>,
        journal: Journal,
    ) -> io::Result<Self> {
        let dealing = Dealing::among(settings.shards, settings.connections_max);
        let others = (1..settings.shards).map(|number| start_remote(settings, clock, bell, number));
        Ok(Shards {
            dealing,
            places: Places::new(dealing),
            own: Lines::new(dealing, settings.slow_peer_timeout),
            others: others.collect::<io::Result<_>>()?,
            journal,
            outputs: Vec::new(),
            history: None,
        })
    }

    /// How places are dealt out.
    pub(super) fn dealing(&self) -> Dealing {
        self.dealing
    }

    /// Connections that are not wholly gone.
    pub(super) fn connections(&self) -> usize {
        self.places.taken()
    }

    fn remote(&mut self, id: ConnectionId) -> Option<&mut Remote> {
        let at = self.dealing.shard(id).checked_sub(1)?;
        self.others.get_mut(at)
    }

    /// Has a proven connection taken over.
    ///
    /// # Errors
    /// The system's; the socket is closed then.
    pub(super) fn open(
        &mut self,
        driver: &mut dyn Driver,
        opening: Opening,
    ) -> io::Result<ConnectionId> {
        let id = self.places.take();
        match self.remote(id) {
            Some(remote) => {
                let order = Order::Open(id, Box::new(opening));
                remote.out.letters.push(order);
            }
            None => {
                let opened = self.own.open(driver, id, opening);
                opened.inspect_err(|_| self.places.give_back(id))?;
            }
        }
        Ok(id)
    }

    /// Queues a frame that the relay does not know of: a welcome.
    pub(super) fn greet(&mut self, id: ConnectionId, frame: &[u8]) {
        match self.remote(id) {
            Some(remote) => remote.order(Order::Greet(id, frame.len()), frame),
            None => self.own.greet(id, frame),
        }
    }

    /// Hands on bytes that came before a connection was taken over. True when they are the caller's
    /// own to unwrap.
    pub(super) fn came(&mut self, id: ConnectionId, bytes: &[u8]) -> bool {
        match self.remote(id) {
            Some(remote) => {
                remote.order(Order::Came(id, bytes.len()), bytes);
                false
            }
            None => true,
        }
    }

    /// Has what is queued written out and the connection closed.
    pub(super) fn close(&mut self, id: ConnectionId) {
        match self.remote(id) {
            Some(remote) => remote.out.letters.push(Order::Close(id)),
            None => self.own.close(id),
        }
    }

    /// A socket is closed: its place may be given to another.
    pub(super) fn closed(&mut self, id: ConnectionId) {
        if self.dealing.shard(id) == 0 {
            self.own.closed(id);
        }
        self.places.give_back(id);
    }

    /// Whether a shard has told something that was not collected yet.
    pub(super) fn have_told(&self) -> bool {
        self.others.iter().any(|remote| remote.told.has_mail())
    }

    /// How many tell by mail.
    pub(super) fn others(&self) -> usize {
        self.others.len()
    }

    /// Collects what one of the others has told.
    pub(super) fn collect(&self, other: usize, mail: &mut Mail<Told>) {
        self.others[other].told.collect(mail);
    }

    /// Hands over what the others are to do.
    pub(super) fn post(&mut self) {
        for remote in &mut self.others {
            remote.orders.post(&mut remote.out);
        }
    }

    /// Has everything closed that is left, and ends the other threads.
    pub(super) fn end(&mut self, driver: &mut dyn Driver) {
        // All of them first, so that they end side by side.
        self.others.iter_mut().for_each(Remote::dismiss);
        self.others.clear();
        close_all(&mut self.own, driver);
    }
}

impl Remote {
    /// Has the thread end.
    fn dismiss(&mut self) {
        // It must not wait for room where nobody makes any.
        self.told.abandon();
        self.out.letters.push(Order::End);
        self.orders.post(&mut self.out);
    }

    fn order(&mut self, order: Order, bytes: &[u8]) {
        self.out.letters.push(order);
        self.out.bytes.extend_from_slice(bytes);
    }
}

impl Sink for Shards {
    fn send(&mut self, id: ConnectionId, frame: &[u8], haste: Haste) {
        match self.remote(id) {
            Some(remote) => remote.order(Order::Send(id, frame.len(), haste), frame),
            None => self.own.send(id, frame, haste),
        }
    }

    fn wants_values(&self) -> bool {
        self.history.is_some()
    }

    fn value(&mut self, controller: Address, point: u8, value: i64, flags: PointFlags) {
        if let Some(history) = &mut self.history {
            history.value(self.own.now, (controller, point), value, flags);
        }
    }

    fn output(&mut self, output: Output) {
        self.outputs.push(output);
    }

    fn journal(&mut self, time: Time, entry: Entry<'_>) {
        self.journal.note(time, &entry);
    }
}

fn close_all(lines: &mut Lines, driver: &mut dyn Driver) {
    lines.settle(driver);
    if lines.drop_all(driver) {
        // Closing is quick; what is not told by then goes with the process.
        let _ = driver.wait(Some(CLOSING_TIME), &mut |_| {});
    }
}

fn start_remote(
    settings: &Arc<Settings>,
    clock: Clock,
    yard_bell: &Arc<Bell>,
    number: u32,
) -> io::Result<Remote> {
    let bell = Arc::new(Bell::new()?);
    let (orders, told) = (Mailbox::new(&bell), Mailbox::new(yard_bell));
    let dealing = Dealing::among(settings.shards, settings.connections_max);
    let shard = Shard {
        lines: Lines::new(dealing, settings.slow_peer_timeout),
        clock,
        bell,
        orders: Arc::clone(&orders),
        out: Mail::default(),
        told: Arc::clone(&told),
    };
    let (started, has_started) = mpsc::channel();
    let wanted = settings.io;
    let thread = std::thread::Builder::new()
        .name(format!("shard {number}"))
        .spawn(move || match driver::best(wanted, &shard.bell, dealing) {
            Ok(mut driver) => {
                // Whoever waits for it is the one that is told.
                let _ = started.send(Ok(()));
                shard.run(&mut *driver);
            }
            Err(error) => {
                let _ = started.send(Err(error));
            }
        })?;
    let gone = |_| Err(io::Error::other("its thread ended at once"));
    has_started.recv().unwrap_or_else(gone)?;
    Ok(Remote {
        orders,
        out: Mail::default(),
        told,
        thread: Some(thread),
    })
}

/// One shard on its own thread.
struct Shard {
    lines: Lines,
    clock: Clock,
    bell: Arc<Bell>,
    orders: Arc<Mailbox<Order>>,
    out: Mail<Told>,
    told: Arc<Mailbox<Told>>,
}

impl Drop for Shard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.out.letters.push(Told::Broken);
            self.told.post(&mut self.out);
        }
    }
}

impl Waiting for Shard {
    fn timeout(&self) -> Option<Duration> {
        match self.lines.next_moment() {
            _ if self.orders.has_mail() => Some(Duration::ZERO),
            next => next.map(|next| next.saturating_sub(self.lines.now)),
        }
    }

    fn tell_time(&mut self) {
        self.lines.now = self.clock.now().since_start;
    }

    fn happened(&mut self, event: Event<'_>) {
        match event {
            Event::Received(id, bytes) => intake::received(self, id, bytes),
            Event::Sent(id, buffer) => self.lines.sent(id, buffer),
            Event::Progress(id) => self.lines.progressed(id),
            Event::Closed(id) => self.closed(id),
            Event::Ended(id) => self.gone(id),
        }
    }
}

impl Shard {
    fn run(mut self, driver: &mut dyn Driver) {
        let (bell, mut orders) = (Arc::clone(&self.bell), Mail::default());
        loop {
            if let Err(error) = driver::wait(&mut self, driver, &bell) {
                tracing::error!(%error, "a shard cannot wait for sockets any more");
                self.out.letters.push(Told::Broken);
                return self.told.post(&mut self.out);
            }
            self.orders.collect(&mut orders);
            if !self.obey(driver, &mut orders) {
                return close_all(&mut self.lines, driver);
            }
            self.lines.settle(driver);
            let news = self.lines.news.drain(..).map(Told::News);
            self.out.letters.extend(news);
            self.told.post_patiently(&mut self.out);
        }
    }

    fn closed(&mut self, id: ConnectionId) {
        self.lines.closed(id);
        self.out.letters.push(Told::Closed(id));
    }

    fn gone(&mut self, id: ConnectionId) {
        self.out.letters.push(Told::Gone(id));
        self.lines.ended(id);
    }

    /// Does what the yard wants; false when that is to end.
    fn obey(&mut self, driver: &mut dyn Driver, orders: &mut Mail<Order>) -> bool {
        let mut bytes = &mut orders.bytes[..];
        for order in orders.letters.drain(..) {
            let length = match &order {
                Order::Came(_, length) | Order::Greet(_, length) | Order::Send(_, length, _) => {
                    *length
                }
                Order::Open(..) | Order::Close(_) | Order::End => 0,
            };
            let (first, rest) = bytes.split_at_mut(length);
            bytes = rest;
            match order {
                Order::Open(id, opening) => {
                    if let Err(error) = self.lines.open(driver, id, *opening) {
                        tracing::error!(%error, "a socket could not be moved to its shard");
                        self.gone(id);
                        self.closed(id);
                    }
                }
                Order::Came(id, _) => intake::decrypted(self, id, first),
                Order::Greet(id, _) => self.lines.greet(id, first),
                Order::Send(id, _, haste) => self.lines.send(id, first, haste),
                Order::Close(id) => self.lines.close(id),
                Order::End => return false,
            }
        }
        true
    }
}

impl Intake for Shard {
    fn lines(&mut self) -> &mut Lines {
        &mut self.lines
    }

    fn frames(
        &mut self,
        id: ConnectionId,
        frames: &[u8],
        payload_bytes_max: usize,
    ) -> Result<usize, Code> {
        let mut rest = frames;
        let outcome = loop {
            match FrameRef::split(rest, payload_bytes_max) {
                Ok(Some((_, after))) => rest = after,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error.code()),
            }
        };
        let whole = frames.len() - rest.len();
        if whole > 0 {
            self.out.bytes.extend_from_slice(&frames[..whole]);
            match self.out.letters.last_mut() {
                Some(Told::Frames(last, length)) if *last == id => *length += whole,
                _ => self.out.letters.push(Told::Frames(id, whole)),
            }
        }
        outcome.map(|()| whole)
    }

    fn failed(&mut self, id: ConnectionId, code: Code) {
        match code {
            Code::LinkLost => self.gone(id),
            code => self.out.letters.push(Told::News(News::End(id, code))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{door, frame, opening},
        *,
    };
    use crate::wire::check_whole;
    use proptest::{collection::vec, prelude::*};
    use socket2::Socket;
    use switchyard_protocol::limits;

    /// Sockets that take everything, or cannot be had.
    struct Willing {
        refuses: bool,
    }

    impl Driver for Willing {
        fn open(&mut self, _: ConnectionId, _: Socket) -> io::Result<()> {
            match self.refuses {
                true => Err(io::ErrorKind::OutOfMemory.into()),
                false => Ok(()),
            }
        }

        fn send(&mut self, _: ConnectionId, buffer: Vec<u8>, _: usize) -> Option<Vec<u8>> {
            Some(buffer)
        }

        fn defer_acknowledgements(&mut self, _: ConnectionId) {}

        fn finish(&mut self, _: ConnectionId) {}

        fn close(&mut self, _: ConnectionId) {}

        fn wait(&mut self, _: Option<Duration>, _: &mut dyn FnMut(Event<'_>)) -> io::Result<()> {
            Ok(())
        }
    }

    const ID: ConnectionId = ConnectionId::new(1, 1);

    /// A shard that is told to take a connection over, and what came on it before.
    fn shard(refuses: bool, came: &[u8]) -> Shard {
        let bell = Arc::new(Bell::new().unwrap());
        let mut shard = Shard {
            lines: Lines::new(Dealing::among(2, 8), Duration::from_secs(30)),
            clock: Clock::start(),
            orders: Mailbox::new(&bell),
            out: Mail::default(),
            told: Mailbox::new(&bell),
            bell,
        };
        let open = Order::Open(ID, Box::new(opening(&door())));
        let mut orders = Mail {
            letters: vec![open, Order::Came(ID, came.len())],
            bytes: came.to_vec(),
        };
        assert!(shard.obey(&mut Willing { refuses }, &mut orders));
        shard
    }

    /// What a shard has told: all frames, each letter's whole, and the rest in a word each.
    fn told(shard: &mut Shard) -> (Vec<u8>, Vec<String>) {
        let (mut rest, mut words) = (&shard.out.bytes[..], Vec::new());
        for letter in shard.out.letters.drain(..) {
            match letter {
                Told::Frames(id, length) => {
                    let (frames, after) = rest.split_at(length);
                    check_whole(frames, limits::PAYLOAD_BYTES_MAX).unwrap();
                    assert_eq!(id, ID);
                    rest = after;
                }
                Told::Gone(_) => words.push("gone".into()),
                Told::Closed(_) => words.push("closed".into()),
                Told::News(news) => words.push(format!("{news:?}")),
                Told::Broken => words.push("broken".into()),
            }
        }
        assert!(rest.is_empty());
        (std::mem::take(&mut shard.out.bytes), words)
    }

    proptest! {
        /// However the bytes are cut, also between those that came before and after the shard had the
        /// connection, all frames are told whole and in order; and nothing after the peer has vanished.
        #[test]
        fn frames_are_told_whole_however_they_come(
            payloads in vec(0..600_usize, 1..20),
            cuts in vec(1..700_usize, 0..40),
        ) {
            let frames: Vec<_> = payloads.iter().zip(0..).map(|(&bytes, at)| frame(at, bytes)).collect();
            let all = frames.concat();
            let mut rest = &all[..];
            let mut pieces = Vec::new();
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            let mut shard = shard(false, pieces.first().copied().unwrap_or_default());
            for piece in pieces.iter().skip(1) {
                shard.happened(Event::Received(ID, &mut piece.to_vec()));
            }
            // The peer vanishes here, at any byte.
            shard.happened(Event::Ended(ID));
            let came = all.len() - rest.len();
            let mut whole = 0;
            for frame in &frames {
                if whole + frame.len() > came {
                    break;
                }
                whole += frame.len();
            }
            let (bytes, words) = told(&mut shard);
            prop_assert_eq!(bytes, &all[..whole]);
            prop_assert_eq!(words, ["gone"]);
        }
    }

    #[test]
    fn a_connection_that_is_wrong_is_told_once_and_heard_no_more() {
        let good = frame(1, 10);
        let mut shard = shard(false, &good);
        shard.happened(Event::Received(ID, &mut [0xFF; 40]));
        shard.happened(Event::Received(ID, &mut good.clone()));
        let (bytes, words) = told(&mut shard);
        assert_eq!(bytes, good);
        assert_eq!(words.len(), 1, "{words:?}");
        assert!(words[0].starts_with("End("), "{words:?}");
    }

    #[test]
    fn a_socket_that_cannot_be_had_gives_its_place_back_once() {
        let (bytes, words) = told(&mut shard(true, &frame(1, 10)));
        assert!(bytes.is_empty());
        assert_eq!(words, ["gone", "closed"]);
    }
}
