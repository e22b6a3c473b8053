//! The connections over a socket that takes what it likes and goes when it likes; and both drivers
//! over real sockets.

use super::{
    driver::{Bell, Driver, Epoll, Event},
    lines::{ALONG_TIME, Lines, News, Opening},
    mailbox::{Mail, Mailbox, WAITING_BYTES_MAX},
    places::Dealing,
};
use crate::{config::Settings, door::Door, telemetry::Telemetry, wire::Wire};
use proptest::{collection::vec, prelude::*};
use std::{
    collections::HashMap,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};
use switchyard_protocol::{Address, Code};
use switchyard_relay::{ConnectionId, Haste};

/// How long anything may take before a test says that it never happened.
const PATIENCE: Duration = Duration::from_secs(30);

/// Two ends of a real socket: ours, and the peer's.
fn socket() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (ours, _) = listener.accept().unwrap();
    ours.set_nonblocking(true).unwrap();
    (ours, peer)
}

pub(super) fn door() -> Arc<Door> {
    Door::new(&Settings::defaults(), Telemetry::new())
}

fn permit(door: &Arc<Door>) -> crate::door::Permit {
    door.admit("127.0.0.1".parse().unwrap()).unwrap().0
}

/// Our end of a socket whose link is clear.
pub(super) fn opening(door: &Arc<Door>) -> Opening {
    Opening {
        stream: socket().0.into(),
        wire: Wire::Clear {
            record_bytes_max: 16_384,
        },
        permit: Some(permit(door)),
    }
}

/// A driver whose sockets take so many bytes of a buffer at a time, by a script.
#[derive(Default)]
struct Scripted {
    takes: HashMap<ConnectionId, Vec<usize>>,
    flying: HashMap<ConnectionId, (Vec<u8>, usize)>,
    taken: HashMap<ConnectionId, Vec<u8>>,
    writes: usize,
    finished: Vec<ConnectionId>,
    closed: Vec<ConnectionId>,
}

impl Scripted {
    /// The socket takes its next portion; `None` when nothing is on its way.
    fn advance(&mut self, id: ConnectionId, lines: &mut Lines) -> Option<()> {
        let (mut buffer, mut from) = self.flying.remove(&id)?;
        let portion = self
            .takes
            .get_mut(&id)
            .and_then(Vec::pop)
            .unwrap_or(usize::MAX);
        let end = buffer.len().min(from.saturating_add(portion.max(1)));
        self.taken
            .entry(id)
            .or_default()
            .extend_from_slice(&buffer[from..end]);
        from = end;
        if from == buffer.len() {
            buffer.clear();
            lines.sent(id, buffer);
        } else {
            self.flying.insert(id, (buffer, from));
            lines.progressed(id);
        }
        Some(())
    }
}

impl Driver for Scripted {
    fn open(&mut self, _: ConnectionId, _: socket2::Socket) -> io::Result<()> {
        Ok(())
    }

    fn send(&mut self, id: ConnectionId, buffer: Vec<u8>, from: usize) -> Option<Vec<u8>> {
        self.writes += 1;
        if !self.takes.contains_key(&id) {
            self.taken
                .entry(id)
                .or_default()
                .extend_from_slice(&buffer[from..]);
            return Some(buffer);
        }
        assert!(
            self.flying.insert(id, (buffer, from)).is_none(),
            "one at a time"
        );
        None
    }

    fn defer_acknowledgements(&mut self, _: ConnectionId) {}

    fn finish(&mut self, id: ConnectionId) {
        assert!(
            !self.flying.contains_key(&id),
            "the last word is still on its way"
        );
        self.finished.push(id);
    }

    fn close(&mut self, id: ConnectionId) {
        self.flying.remove(&id);
        self.closed.push(id);
    }

    fn wait(&mut self, _: Option<Duration>, _: &mut dyn FnMut(Event<'_>)) -> io::Result<()> {
        Ok(())
    }
}

pub(super) fn frame(number: u32, payload_bytes: usize) -> Vec<u8> {
    let payload = vec![number as u8; payload_bytes];
    let (kind, to) = (switchyard_protocol::Kind::Event, Address(9));
    let frame = switchyard_protocol::Frame::new(kind, number, Address::GATEWAY, to, &payload);
    frame.into_bytes().to_vec()
}

/// How long the sockets of these tests may take nothing.
const SLOW_PEER_TIMEOUT: Duration = Duration::from_secs(4);

/// Lines, a scripted driver and one open connection.
fn yard(takes: Option<Vec<usize>>) -> (Lines, Scripted, ConnectionId) {
    let mut lines = Lines::new(Dealing::among(1, 8), SLOW_PEER_TIMEOUT);
    let mut driver = Scripted::default();
    let id = ConnectionId::new(0, 1);
    lines.open(&mut driver, id, opening(&door())).unwrap();
    if let Some(takes) = takes {
        driver.takes.insert(id, takes);
    }
    (lines, driver, id)
}

fn written(lines: &mut Lines) -> usize {
    let news = std::mem::take(&mut lines.news);
    let counts = news.iter().map(|news| match news {
        News::Written(_, bytes) => *bytes,
        News::End(..) => panic!("{news:?}"),
    });
    counts.sum()
}

/// A batch is never empty: the largest frame goes, alone, behind a small one and before one.
#[test]
fn the_largest_frames_leave() {
    for sizes in [&[65_535][..], &[7, 65_535], &[65_521, 65_520, 65_535, 0]] {
        let (mut lines, mut driver, id) = yard(None);
        let frames: Vec<_> = sizes.iter().map(|&bytes| frame(1, bytes)).collect();
        for frame in &frames {
            lines.send(id, frame, Haste::Now);
        }
        lines.settle(&mut driver);
        assert_eq!(driver.taken[&id], frames.concat());
        assert_eq!(written(&mut lines), frames.concat().len());
    }
}

proptest! {
    /// Frames arrive whole and in order, and every byte is accounted for once it has left, however
    /// little the socket takes at a time.
    #[test]
    fn partial_writes_lose_nothing(
        rounds in vec((vec(0..3_000_usize, 0..6), 0..4_usize), 1..12),
        takes in vec(1..2_000_usize, 0..60),
    ) {
        let (mut lines, mut driver, id) = yard(Some(takes));
        let (mut sent, mut counted) = (Vec::new(), 0);
        for (number, (payloads, turns)) in rounds.into_iter().enumerate() {
            for bytes in payloads {
                let frame = frame(number as u32, bytes);
                lines.send(id, &frame, Haste::Now);
                sent.extend(frame);
            }
            lines.settle(&mut driver);
            for _ in 0..turns {
                driver.advance(id, &mut lines);
                lines.settle(&mut driver);
            }
            counted += written(&mut lines);
            prop_assert!(counted <= driver.taken.get(&id).map_or(0, Vec::len));
        }
        while driver.advance(id, &mut lines).is_some() {
            lines.settle(&mut driver);
        }
        counted += written(&mut lines);
        prop_assert_eq!(counted, sent.len());
        prop_assert_eq!(driver.taken.remove(&id).unwrap_or_default(), sent);
    }

    /// Wherever the peer vanishes, its place is free afterwards and nothing of it reaches whoever
    /// has the place next.
    #[test]
    fn a_peer_may_vanish_at_any_byte(
        payloads in vec(0..2_000_usize, 1..8),
        takes in vec(1..700_usize, 0..30),
        turns in 0..20_usize,
        by_us in any::<bool>(),
    ) {
        let (mut lines, mut driver, id) = yard(Some(takes));
        for bytes in payloads {
            lines.send(id, &frame(1, bytes), Haste::Now);
        }
        lines.settle(&mut driver);
        for _ in 0..turns {
            driver.advance(id, &mut lines);
            lines.settle(&mut driver);
        }
        if by_us {
            lines.close(id);
            lines.settle(&mut driver);
        }
        lines.ended(id);
        lines.settle(&mut driver);
        prop_assert_eq!(&driver.closed, &[id]);
        lines.closed(id);
        prop_assert!(lines.get(id).is_none());
        let next = ConnectionId::new(id.place(), 2);
        lines.open(&mut driver, next, opening(&door())).unwrap();
        lines.send(id, &frame(2, 10), Haste::Now);
        lines.send(next, &frame(3, 10), Haste::Now);
        lines.settle(&mut driver);
        prop_assert_eq!(driver.taken.get(&next), Some(&frame(3, 10)));
    }
}

#[test]
fn a_round_costs_one_write_for_each_connection() {
    let (mut lines, mut driver, id) = yard(None);
    for number in 0..100 {
        lines.send(id, &frame(number, 50), Haste::Now);
    }
    lines.settle(&mut driver);
    assert_eq!(driver.writes, 1);
    // Nothing is held by whoever has nothing to write: all that was used is spare again.
    lines.settle(&mut driver);
    assert_eq!(driver.writes, 1);
    assert_eq!(written(&mut lines), 100 * 66);
}

#[test]
fn what_may_wait_goes_along_or_after_a_while() {
    let (mut lines, mut driver, id) = yard(None);
    lines.send(id, &frame(1, 10), Haste::Along);
    lines.settle(&mut driver);
    assert_eq!(driver.writes, 0);
    assert_eq!(lines.next_moment(), Some(ALONG_TIME));
    lines.send(id, &frame(2, 10), Haste::Now);
    lines.settle(&mut driver);
    assert_eq!(driver.taken[&id], [frame(1, 10), frame(2, 10)].concat());
    // The moment that was noted for the first must not hurry another.
    lines.now = ALONG_TIME / 2;
    lines.send(id, &frame(3, 10), Haste::Along);
    lines.now = ALONG_TIME;
    lines.settle(&mut driver);
    assert_eq!(driver.writes, 1);
    lines.now = ALONG_TIME / 2 + ALONG_TIME;
    lines.settle(&mut driver);
    assert_eq!(driver.writes, 2);
    assert!(driver.taken[&id].ends_with(&frame(3, 10)));
}

#[test]
fn a_socket_that_takes_nothing_is_given_up() {
    let (mut lines, mut driver, id) = yard(Some(vec![5, 5]));
    lines.send(id, &frame(1, 100), Haste::Now);
    lines.settle(&mut driver);
    lines.now = Duration::from_secs(3);
    driver.advance(id, &mut lines);
    assert_eq!(lines.news, [News::Written(id, 0)], "a part is progress");
    lines.news.clear();
    // New frames do not make it look any better.
    lines.now = Duration::from_secs(6);
    lines.send(id, &frame(2, 100), Haste::Now);
    lines.settle(&mut driver);
    assert_eq!(lines.news, []);
    lines.now = Duration::from_secs(3) + SLOW_PEER_TIMEOUT;
    assert_eq!(lines.next_moment(), Some(lines.now));
    lines.settle(&mut driver);
    assert_eq!(lines.news, [News::End(id, Code::SlowPeer)]);
}

#[test]
fn a_closed_connection_writes_its_last_and_has_a_second() {
    let (mut lines, mut driver, id) = yard(Some(vec![10]));
    lines.send(id, &frame(1, 100), Haste::Now);
    lines.close(id);
    lines.send(id, &frame(2, 100), Haste::Now);
    lines.settle(&mut driver);
    assert!(driver.finished.is_empty());
    while driver.advance(id, &mut lines).is_some() {
        lines.settle(&mut driver);
    }
    assert_eq!(
        driver.taken[&id],
        frame(1, 100),
        "nothing follows the last word"
    );
    assert_eq!(driver.finished, [id]);
    assert!(driver.closed.is_empty(), "the peer may still read");
    lines.now = Duration::from_secs(1);
    lines.settle(&mut driver);
    assert_eq!(driver.closed, [id]);
}

/// Runs a driver until a condition holds.
fn drive<D: Driver>(
    what: &str,
    driver: &mut D,
    mut event: impl FnMut(Event<'_>),
    mut is_done: impl FnMut() -> bool,
) {
    let start = Instant::now();
    while !is_done() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        driver
            .wait(Some(Duration::from_millis(50)), &mut event)
            .unwrap();
    }
}

/// What both drivers must do, over real sockets.
fn contract<D: Driver>(new: impl Fn(&Arc<Bell>, Dealing) -> io::Result<D>) {
    let bell = Arc::new(Bell::new().unwrap());
    let mut driver = new(&bell, Dealing::among(2, 8)).unwrap();
    let id = |index: u32, life| ConnectionId::new(index << 1 | 1, life);

    // Everything that the peer writes is told, in order, and then its end, once.
    let (ours, mut peer) = socket();
    let first = id(0, 1);
    driver.open(first, ours.into()).unwrap();
    let expected: Vec<u8> = (0..1_000_000_u32).map(|it| (it % 251) as u8).collect();
    let writer = std::thread::spawn({
        let expected = expected.clone();
        move || {
            peer.write_all(&expected).unwrap();
            peer.shutdown(std::net::Shutdown::Write).unwrap();
            peer
        }
    });
    let (received, ends) = (std::cell::RefCell::new(Vec::new()), std::cell::Cell::new(0));
    drive(
        "the peer's bytes and its end",
        &mut driver,
        |event| match event {
            Event::Received(id, bytes) => {
                assert_eq!(id, first);
                received.borrow_mut().extend_from_slice(bytes);
            }
            Event::Ended(_) => ends.set(ends.get() + 1),
            other => panic!("{other:?}"),
        },
        || ends.get() > 0,
    );
    assert!(*received.borrow() == expected);
    let mut peer = writer.join().unwrap();

    // A buffer that is larger than what the socket holds comes back when all of it has left.
    let large = expected.repeat(20);
    let early = driver.send(first, large.clone(), 3);
    assert!(early.is_none(), "no socket holds twenty megabytes");
    let reader = std::thread::spawn(move || {
        let mut read = Vec::new();
        peer.read_to_end(&mut read).unwrap();
        read
    });
    let (back, steps) = (std::cell::Cell::new(None), std::cell::Cell::new(0));
    drive(
        "the large buffer to leave",
        &mut driver,
        |event| match event {
            Event::Sent(_, buffer) => back.set(Some(buffer)),
            Event::Progress(_) => steps.set(steps.get() + 1),
            other => panic!("{other:?}"),
        },
        || {
            let buffer = back.take();
            let is_back = buffer.is_some();
            back.set(buffer);
            is_back
        },
    );
    assert!(back.take().unwrap() == large);
    driver.finish(first);
    assert!(reader.join().unwrap() == large[3..]);
    driver.close(first);
    let closed = std::cell::Cell::new(false);
    drive(
        "the close",
        &mut driver,
        |event| match event {
            Event::Closed(id) => closed.set(id == first),
            other => panic!("{other:?}"),
        },
        || closed.get(),
    );

    // The place is given again; nobody hears of the old life any more.
    let (ours, mut peer) = socket();
    let second = id(0, 2);
    driver.open(second, ours.into()).unwrap();
    assert!(driver.send(first, b"to nobody".to_vec(), 0).is_some());
    let sent = driver.send(second, b"hello".to_vec(), 0);
    let sent = std::cell::Cell::new(sent.is_some());
    drive(
        "the small buffer to leave",
        &mut driver,
        |event| match event {
            Event::Sent(..) => sent.set(true),
            other => panic!("{other:?}"),
        },
        || sent.get(),
    );
    let mut hello = [0; 5];
    peer.read_exact(&mut hello).unwrap();
    assert_eq!(&hello, b"hello");

    // Closed while the peer takes nothing: the buffer is let go of, and the place too.
    assert!(driver.send(second, large.clone(), 0).is_none());
    driver.close(second);
    let closed = std::cell::Cell::new(false);
    drive(
        "the close of a blocked socket",
        &mut driver,
        |event| match event {
            Event::Closed(_) => closed.set(true),
            Event::Sent(..) | Event::Progress(_) => {}
            other => panic!("{other:?}"),
        },
        || closed.get(),
    );

    // A peer that resets in the middle of what is written to it has ended.
    let (ours, peer) = socket();
    let third = id(0, 3);
    driver.open(third, ours.into()).unwrap();
    assert!(driver.send(third, large, 0).is_none());
    drop(peer);
    let ended = std::cell::Cell::new(false);
    drive(
        "the end by a reset",
        &mut driver,
        |event| match event {
            Event::Ended(id) => ended.set(id == third),
            Event::Sent(..) | Event::Progress(_) => {}
            other => panic!("{other:?}"),
        },
        || ended.get(),
    );

    // A ring ends the waiting, from another thread too, and only one is told of several.
    let ringer = Arc::clone(&bell);
    let ringing = std::thread::spawn(move || {
        ringer.ring();
        ringer.ring();
    });
    driver
        .wait(Some(PATIENCE), &mut |event| panic!("{event:?}"))
        .unwrap();
    ringing.join().unwrap();
    bell.hush();
    let start = Instant::now();
    bell.ring();
    driver
        .wait(Some(PATIENCE), &mut |event| panic!("{event:?}"))
        .unwrap();
    assert!(start.elapsed() < PATIENCE);

    // And is over then: a bell that goes on ringing would keep a core busy.
    bell.hush();
    let start = Instant::now();
    let pause = Duration::from_millis(60);
    driver
        .wait(Some(pause), &mut |event| panic!("{event:?}"))
        .unwrap();
    driver
        .wait(Some(pause), &mut |event| panic!("{event:?}"))
        .unwrap();
    assert!(start.elapsed() >= pause, "{:?}", start.elapsed());
}

/// Echoes what many peers on other threads write, each time at once. Every wait has to come to its
/// end, whatever the peers do meanwhile.
fn echo<D: Driver>(new: impl Fn(&Arc<Bell>, Dealing) -> io::Result<D>) {
    const PEERS: u32 = 16;
    const ECHOES: usize = 3_000;
    let bell = Arc::new(Bell::new().unwrap());
    let mut driver = new(&bell, Dealing::among(1, 8)).unwrap();
    let mut peers = Vec::new();
    for index in 0..PEERS {
        let (ours, mut peer) = socket();
        driver
            .open(ConnectionId::new(index, 1), ours.into())
            .unwrap();
        peers.push(std::thread::spawn(move || {
            peer.set_nodelay(true).unwrap();
            for number in 0..ECHOES {
                let mut back = [0; 8];
                peer.write_all(&number.to_be_bytes()).unwrap();
                peer.read_exact(&mut back).unwrap();
                assert_eq!(back, number.to_be_bytes());
            }
        }));
    }
    let (received, ends) = (std::cell::RefCell::new(Vec::new()), std::cell::Cell::new(0));
    let start = Instant::now();
    while ends.get() < PEERS {
        assert!(start.elapsed() < PATIENCE, "waited in vain for the echoes");
        driver
            .wait(Some(PATIENCE), &mut |event| match event {
                Event::Received(id, bytes) => received.borrow_mut().push((id, bytes.to_vec())),
                Event::Ended(_) => ends.set(ends.get() + 1),
                Event::Sent(..) => {}
                other => panic!("{other:?}"),
            })
            .unwrap();
        for (id, bytes) in received.borrow_mut().drain(..) {
            driver.send(id, bytes, 0);
        }
    }
    for peer in peers {
        peer.join().unwrap();
    }
}

#[test]
fn epoll_keeps_the_contract() {
    contract(Epoll::new);
    echo(Epoll::new);
}

#[cfg(target_os = "linux")]
#[test]
fn io_uring_keeps_the_contract() {
    let bell = Arc::new(Bell::new().unwrap());
    match super::driver::Uring::new(&bell, Dealing::among(1, 8)) {
        Ok(_) => {
            contract(super::driver::Uring::new);
            echo(super::driver::Uring::new);
        }
        // Where the kernel refuses it the gateway takes epoll, and there is nothing to test.
        Err(error) => eprintln!("this kernel refuses io_uring: {error}"),
    }
}

#[test]
fn mail_comes_in_order_and_a_patient_writer_waits_for_room() {
    let bell = Arc::new(Bell::new().unwrap());
    let mailbox = Mailbox::new(&bell);
    let writer = std::thread::spawn({
        let mailbox = Arc::clone(&mailbox);
        move || {
            for number in 0..100_u32 {
                let bytes = vec![number as u8; 200_000];
                let letters = vec![number];
                mailbox.post_patiently(&mut Mail { letters, bytes });
            }
        }
    });
    let (mut mail, mut next, start) = (Mail::default(), 0, Instant::now());
    while next < 100 {
        assert!(start.elapsed() < PATIENCE, "waited in vain for mail");
        // Full up to its bound and one more, at most.
        mailbox.collect(&mut mail);
        assert!(mail.bytes.len() <= WAITING_BYTES_MAX + 200_000);
        for (letter, bytes) in mail.letters.iter().zip(mail.bytes.chunks(200_000)) {
            assert_eq!(*letter, next);
            assert!(bytes.iter().all(|&byte| byte == next as u8));
            next += 1;
        }
        std::thread::yield_now();
    }
    writer.join().unwrap();
    assert!(!mailbox.has_mail());

    // Nobody waits for a reader that is gone.
    mailbox.abandon();
    for _ in 0..100 {
        let (letters, bytes) = (vec![1], vec![0; 200_000]);
        mailbox.post_patiently(&mut Mail { letters, bytes });
    }
}
