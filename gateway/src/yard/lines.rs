//! One shard's connections: what came in pieces, what gathers to go out, and how each of them ends.
//!
//! A frame that is sent is copied into the batch of the connection that it goes to. Batches are
//! wrapped and written when the poll round ends, and a connection has one only while there is
//! something to write.

use super::{driver::Driver, places::Dealing};
use crate::{
    door::Permit,
    wire::{self, BATCH_BYTES_MAX, Wire},
};
use socket2::Socket;
use std::{collections::VecDeque, io, time::Duration};
use switchyard_protocol::Code;
use switchyard_relay::{ConnectionId, Haste};

/// How long a closed connection's queue may take to leave, and its peer to read it.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long a frame that needs no write of its own waits for one that does: far below what a person
/// notices, and longer than a controller nearby takes to execute a command.
pub(super) const ALONG_TIME: Duration = Duration::from_millis(5);
/// Sockets closed in one round. It costs the kernel as much as a message, and a whole network may go
/// at once while others want to be heard.
const CLOSES_PER_ROUND: usize = 64;
/// How often slow peers are looked for, and at most how late they are found.
const SLOW_PEERS_INTERVAL: Duration = Duration::from_secs(1);
/// Buffers kept for the next round, so that none is allocated a message.
const SPARE_BUFFERS_MAX: usize = 1024;
/// A buffer that grew beyond this is not kept.
const SPARE_BUFFER_BYTES_MAX: usize = 16 * 1024;

/// What the kernel may hold for a controller: little, so that one which stops reading is noticed by
/// its queue and not after a minute's worth of frames.
const CONTROLLER_SEND_BYTES: usize = 32 * 1024;
/// The same for a tool. What lies there can no longer be conflated, and grows old.
const TOOL_SEND_BYTES: usize = 128 * 1024;

/// A peer that is heard this often is talking: its acknowledgements may travel with answers, or for
/// several segments at once, instead of costing a packet each.
const TALK_TIME_MS: u32 = 20;
/// How many talking reads in a row go by before the kernel is told so; it forgets it by itself.
const TALK_READS: u8 = 8;

/// A proven connection.
pub(super) struct Opening {
    pub(super) stream: Socket,
    pub(super) wire: Wire,
    /// `None` for a peer inside this process: it takes nobody's place.
    pub(super) permit: Option<Permit>,
}

/// One socket's life on its shard.
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    stage: Stage,
    /// What came was the end of it: nothing that follows is looked at.
    is_deaf: bool,
    is_dirty: bool,
    /// It stands in `Lines::watched`.
    is_watched: bool,
    /// Reads of a peer that is talking, since it was last written to or the kernel was last told.
    talk_reads: u8,
    heard_ms: u32,
    wire: Wire,
    /// The beginning of a frame, record or message whose rest is still to come.
    rest: Vec<u8>,
    outbox: Option<Box<Outbox>>,
    _permit: Option<Permit>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Live,
    /// The relay has let go of it: what is queued is the last.
    Closing,
    /// All is written; the peer gets a moment to read it.
    Finished,
    /// The driver is at it.
    Closed,
}

/// What is on its way out of one connection.
#[derive(Default)]
struct Outbox {
    /// Whole frames, behind the room that the framing wants before them.
    batch: Vec<u8>,
    /// Bytes in `batch`, at its front, of which the relay does not know.
    uncounted: u32,
    /// Bytes of frames in the buffer that the driver has; `None` when it has none.
    flying: Option<usize>,
    /// When frames that wait for company go without.
    along_until: Option<Duration>,
    /// When the socket last took something.
    progress: Duration,
}

/// Something that the relay has to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// So many bytes of frames have left, or with 0, a part of a batch has.
    Written(ConnectionId, usize),
    /// The transport ends this connection.
    End(ConnectionId, Code),
}

/// Every connection of a shard.
pub(super) struct Lines {
    dealing: Dealing,
    slow_peer_timeout: Duration,
    /// When slow peers are looked for next.
    slow_peers_at: Duration,
    places: Vec<Option<Connection>>,
    /// Those with something to write at the end of the round.
    dirty: Vec<ConnectionId>,
    /// Those whose frames wait for company, by the moment at which they go without.
    along: VecDeque<(Duration, ConnectionId)>,
    /// Those that are closing, by the moment at which patience ends.
    closing: VecDeque<(Duration, ConnectionId)>,
    /// Those whose socket did not take its buffer at once.
    watched: Vec<ConnectionId>,
    /// Those whose socket is to be closed.
    dropping: VecDeque<ConnectionId>,
    /// Those whose acknowledgements may travel together.
    talking: Vec<ConnectionId>,
    /// What the relay is to be told at the end of the round.
    pub(super) news: Vec<News>,
    /// What was decrypted of one read; empty between them.
    scratch: Vec<u8>,
    #[expect(
        clippy::vec_box,
        reason = "a connection holds one by its box, which is what is kept"
    )]
    spare_outboxes: Vec<Box<Outbox>>,
    spare_buffers: Vec<Vec<u8>>,
    /// The moment of this round.
    pub(super) now: Duration,
}

impl Lines {
    /// None yet, in a shard of this dealing; a socket may take nothing for `slow_peer_timeout`.
    pub(super) fn new(dealing: Dealing, slow_peer_timeout: Duration) -> Self {
        Lines {
            dealing,
            slow_peer_timeout,
            slow_peers_at: SLOW_PEERS_INTERVAL,
            places: dealing.table(),
            dirty: Vec::new(),
            along: VecDeque::new(),
            closing: VecDeque::new(),
            watched: Vec::new(),
            dropping: VecDeque::new(),
            talking: Vec::new(),
            news: Vec::new(),
            scratch: Vec::new(),
            spare_outboxes: Vec::new(),
            spare_buffers: Vec::new(),
            now: Duration::ZERO,
        }
    }

    /// Takes a socket over.
    ///
    /// # Errors
    /// The system's; the socket is closed then, and so is the connection.
    pub(super) fn open(
        &mut self,
        driver: &mut dyn Driver,
        id: ConnectionId,
        opening: Opening,
    ) -> io::Result<()> {
        let Opening {
            stream,
            wire,
            permit,
        } = opening;
        // A receipt must not wait for its neighbours' acknowledgements; a socket that refuses any of
        // this is slower and still right.
        let _ = stream.set_tcp_nodelay(true);
        let send_bytes = match &wire {
            Wire::Clear { .. } | Wire::Noise(_) => CONTROLLER_SEND_BYTES,
            Wire::Web(_) | Wire::Tls(_) | Wire::Inside => TOOL_SEND_BYTES,
        };
        let _ = stream.set_send_buffer_size(send_bytes);
        driver.open(id, stream)?;
        let at = self.dealing.index(id);
        if self.places.len() <= at {
            self.places.resize_with(at + 1, || None);
        }
        self.places[at] = Some(Connection {
            id,
            stage: Stage::Live,
            is_deaf: false,
            is_dirty: false,
            is_watched: false,
            talk_reads: 0,
            heard_ms: 0,
            wire,
            rest: Vec::new(),
            outbox: None,
            _permit: permit,
        });
        Ok(())
    }

    /// A connection that is not wholly gone.
    pub(super) fn get(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        let connection = self.places.get_mut(self.dealing.index(id))?.as_mut()?;
        (connection.id == id).then_some(connection)
    }

    /// Queues a frame that the relay does not know of: a welcome.
    pub(super) fn greet(&mut self, id: ConnectionId, frame: &[u8]) {
        self.send(id, frame, Haste::Now);
        if let Some(outbox) = self.get(id).and_then(|it| it.outbox.as_mut()) {
            outbox.uncounted += frame.len() as u32;
        }
    }

    /// Has what is queued written out and the socket closed.
    pub(super) fn close(&mut self, id: ConnectionId) {
        let until = self.now + FAREWELL;
        let Some(connection) = self.get(id) else {
            return;
        };
        if connection.is_live() {
            connection.stage = Stage::Closing;
            self.closing.push_back((until, id));
            self.mark_dirty(id);
        }
    }

    /// The peer has gone, or never was any good; the relay knows. A last word is still written where
    /// the framing owes one.
    pub(super) fn ended(&mut self, id: ConnectionId) {
        match self.get(id) {
            Some(connection) if connection.is_live() && connection.wire.has_control() => {
                self.close(id);
            }
            Some(_) => self.dropping.push_back(id),
            None => {}
        }
    }

    /// The driver is done with a socket.
    pub(super) fn closed(&mut self, id: ConnectionId) {
        if self.get(id).is_some() {
            self.places[self.dealing.index(id)] = None;
        }
    }

    /// The socket took a part of a buffer.
    pub(super) fn progressed(&mut self, id: ConnectionId) {
        let now = self.now;
        if let Some(outbox) = self.get(id).and_then(|it| it.outbox.as_mut()) {
            outbox.progress = now;
            self.news.push(News::Written(id, 0));
        }
    }

    /// A buffer has left.
    pub(super) fn sent(&mut self, id: ConnectionId, buffer: Vec<u8>) {
        self.keep_buffer(buffer);
        let Some(connection) = self.get(id) else {
            return;
        };
        let stage = connection.stage;
        let Some(outbox) = &mut connection.outbox else {
            return;
        };
        let frame_bytes = outbox.flying.take().unwrap_or(0);
        let is_empty = outbox.batch.is_empty();
        if is_empty && let Some(outbox) = connection.outbox.take() {
            self.keep_outbox(outbox);
        }
        if frame_bytes > 0 && stage == Stage::Live {
            self.news.push(News::Written(id, frame_bytes));
        }
        if !is_empty || stage == Stage::Closing {
            self.mark_dirty(id);
        }
    }

    /// Notes that the peer was heard.
    pub(super) fn heard(&mut self, id: ConnectionId) {
        let now = self.now;
        if self.get(id).is_some_and(|it| it.is_talking(now)) {
            self.talking.push(id);
        }
    }

    /// Has a control frame written that is waiting.
    pub(super) fn nudge(&mut self, id: ConnectionId) {
        self.mark_dirty(id);
    }

    /// Ends the round: writes everything that it has gathered, and closes what is to be closed.
    pub(super) fn settle(&mut self, driver: &mut dyn Driver) {
        if self.slow_peers_at <= self.now {
            self.slow_peers_at = self.now + SLOW_PEERS_INTERVAL.min(self.slow_peer_timeout / 4);
            self.look_after_slow_peers();
        }
        while let Some(&(until, id)) = self.along.front()
            && until <= self.now
        {
            self.along.pop_front();
            let waits = self
                .get(id)
                .and_then(|it| it.outbox.as_ref())
                .is_some_and(|outbox| outbox.along_until == Some(until));
            if waits {
                self.mark_dirty(id);
            }
        }
        // Writing may leave more to write, which then is done in this same pass.
        let mut at = 0;
        while let Some(&id) = self.dirty.get(at) {
            at += 1;
            self.flush(driver, id);
        }
        self.dirty.clear();
        for id in self.talking.drain(..) {
            driver.defer_acknowledgements(id);
        }
        while let Some(&(until, id)) = self.closing.front()
            && until <= self.now
        {
            self.closing.pop_front();
            self.dropping.push_back(id);
        }
        for _ in 0..CLOSES_PER_ROUND {
            let Some(id) = self.dropping.pop_front() else {
                break;
            };
            if let Some(connection) = self.get(id)
                && connection.stage != Stage::Closed
            {
                connection.stage = Stage::Closed;
                driver.close(id);
            }
        }
    }

    /// Wraps and writes what one connection has gathered, unless something is on its way already.
    fn flush(&mut self, driver: &mut dyn Driver, id: ConnectionId) {
        let now = self.now;
        let spare = self.spare_buffers.pop().unwrap_or_default();
        let Some(connection) = self.get(id) else {
            return self.keep_buffer(spare);
        };
        connection.is_dirty = false;
        match connection.wrap(spare, now) {
            Wrapped::Nothing(spare) => {
                if connection.stage == Stage::Closing && connection.outbox.is_none() {
                    if connection.wire.say_goodbye() {
                        self.mark_dirty(id);
                    } else {
                        connection.stage = Stage::Finished;
                        driver.finish(id);
                    }
                }
                self.keep_buffer(spare);
            }
            Wrapped::Batch {
                buffer,
                from,
                spare,
            } => {
                self.keep_buffer(spare);
                if from == buffer.len() {
                    // TLS has said its last word: what was to follow it is as good as gone.
                    return self.sent(id, buffer);
                }
                match driver.send(id, buffer, from) {
                    Some(buffer) => self.sent(id, buffer),
                    None => self.note_blocked(id),
                }
            }
            Wrapped::Failed(code) => self.news.push(News::End(id, code)),
        }
    }

    /// Remembers a socket that has not taken its buffer yet, to see to it that it does in time.
    fn note_blocked(&mut self, id: ConnectionId) {
        if let Some(connection) = self.get(id)
            && !std::mem::replace(&mut connection.is_watched, true)
        {
            self.watched.push(id);
        }
    }

    /// Ends connections whose sockets have taken nothing for too long.
    fn look_after_slow_peers(&mut self) {
        let (now, slow_peer_timeout) = (self.now, self.slow_peer_timeout);
        let mut watched = std::mem::take(&mut self.watched);
        watched.retain(|&id| {
            let Some(connection) = self.get(id) else {
                return false;
            };
            let since = match &connection.outbox {
                Some(outbox) if outbox.flying.is_some() => outbox.progress,
                _ => {
                    connection.is_watched = false;
                    return false;
                }
            };
            if since + slow_peer_timeout <= now && connection.is_live() {
                self.news.push(News::End(id, Code::SlowPeer));
            }
            true
        });
        self.watched = watched;
    }

    /// When [`settle`](Self::settle) has something to do although nothing happens.
    pub(super) fn next_moment(&self) -> Option<Duration> {
        if !self.dirty.is_empty() || !self.dropping.is_empty() {
            return Some(self.now);
        }
        let along = self.along.front().map(|&(until, _)| until);
        let closing = self.closing.front().map(|&(until, _)| until);
        // While no socket is blocked there is nobody to look for.
        let slow_peers = (!self.watched.is_empty()).then_some(self.slow_peers_at);
        [along, closing, slow_peers].into_iter().flatten().min()
    }

    /// Has everything closed that is left, as the thread ends. Whether anything was.
    pub(super) fn drop_all(&mut self, driver: &mut dyn Driver) -> bool {
        let mut are_left = false;
        for connection in self.places.iter_mut().flatten() {
            if connection.stage != Stage::Closed {
                connection.stage = Stage::Closed;
                driver.close(connection.id);
                are_left = true;
            }
        }
        are_left
    }

    /// A buffer for a while; see [`keep_buffer`](Self::keep_buffer).
    pub(super) fn spare_buffer(&mut self) -> Vec<u8> {
        self.spare_buffers.pop().unwrap_or_default()
    }

    fn mark_dirty(&mut self, id: ConnectionId) {
        if let Some(connection) = self.get(id)
            && !std::mem::replace(&mut connection.is_dirty, true)
        {
            self.dirty.push(id);
        }
    }

    /// Keeps a buffer that is not needed any more for whoever needs one next.
    pub(super) fn keep_buffer(&mut self, mut buffer: Vec<u8>) {
        let is_worth_it = (1..=SPARE_BUFFER_BYTES_MAX).contains(&buffer.capacity());
        if is_worth_it && self.spare_buffers.len() < SPARE_BUFFERS_MAX {
            buffer.clear();
            self.spare_buffers.push(buffer);
        }
    }

    fn keep_outbox(&mut self, mut outbox: Box<Outbox>) {
        let batch = std::mem::take(&mut outbox.batch);
        self.keep_buffer(batch);
        if self.spare_outboxes.len() < SPARE_BUFFERS_MAX {
            *outbox = Outbox::default();
            self.spare_outboxes.push(outbox);
        }
    }

    /// Queues a frame.
    pub(super) fn send(&mut self, id: ConnectionId, frame: &[u8], haste: Haste) {
        let now = self.now;
        let Some(Some(connection)) = self.places.get_mut(self.dealing.index(id)) else {
            return;
        };
        if connection.id != id || connection.stage != Stage::Live {
            return;
        }
        let outbox = connection
            .outbox
            .get_or_insert_with(|| self.spare_outboxes.pop().unwrap_or_default());
        if outbox.batch.is_empty() {
            if outbox.batch.capacity() == 0 {
                outbox.batch = self.spare_buffers.pop().unwrap_or_default();
            }
            outbox.batch.resize(connection.wire.room_before(), 0);
        }
        outbox.batch.extend_from_slice(frame);
        match haste {
            Haste::Along if connection.is_dirty || outbox.along_until.is_some() => {}
            Haste::Along => {
                let until = now + ALONG_TIME;
                outbox.along_until = Some(until);
                self.along.push_back((until, id));
            }
            Haste::Now if connection.is_dirty => {}
            Haste::Now => {
                connection.is_dirty = true;
                self.dirty.push(id);
            }
        }
    }

    /// An empty buffer for what is decrypted of one read, to be given back.
    pub(super) fn take_scratch(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.scratch)
    }

    /// See [`take_scratch`](Self::take_scratch).
    pub(super) fn keep_scratch(&mut self, mut scratch: Vec<u8>) {
        scratch.clear();
        self.scratch = scratch;
    }
}

/// What a connection has to write.
enum Wrapped {
    /// Nothing now; the spare buffer back.
    Nothing(Vec<u8>),
    /// This, from `from` on.
    Batch {
        buffer: Vec<u8>,
        from: usize,
        spare: Vec<u8>,
    },
    /// It cannot go on.
    Failed(Code),
}

impl Connection {
    /// Whether the relay still has it.
    fn is_live(&self) -> bool {
        self.stage == Stage::Live
    }

    /// Whether what comes is still of use.
    pub(super) fn hears(&self) -> bool {
        self.is_live() && !self.is_deaf
    }

    /// Makes it hear nothing any more.
    pub(super) fn deafen(&mut self) {
        self.is_deaf = true;
    }

    /// The transform.
    pub(super) fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    /// Takes what came before and was not whole.
    pub(super) fn take_rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.rest)
    }

    /// Keeps what is not whole yet.
    pub(super) fn keep_rest(&mut self, rest: Vec<u8>) {
        self.rest = rest;
    }

    /// Notes a read; whether the kernel should be told that the peer is talking.
    fn is_talking(&mut self, now: Duration) -> bool {
        let now_ms = now.as_millis() as u32;
        let is_talk = now_ms.wrapping_sub(self.heard_ms) <= TALK_TIME_MS;
        self.heard_ms = now_ms;
        self.talk_reads = if is_talk { self.talk_reads + 1 } else { 0 };
        if self.talk_reads < TALK_READS {
            return false;
        }
        self.talk_reads = 0;
        true
    }

    /// Wraps the next batch, unless one is on its way.
    fn wrap(&mut self, mut spare: Vec<u8>, now: Duration) -> Wrapped {
        if !matches!(self.stage, Stage::Live | Stage::Closing) {
            return Wrapped::Nothing(spare);
        }
        if self.wire.has_control() && self.outbox.is_none() {
            self.outbox = Some(Box::default());
        }
        let Some(outbox) = &mut self.outbox else {
            return Wrapped::Nothing(spare);
        };
        if outbox.flying.is_some() {
            return Wrapped::Nothing(spare);
        }
        let room = self.wire.room_before();
        let frames = outbox.batch.len().saturating_sub(room);
        if frames == 0 && !self.wire.has_control() {
            return Wrapped::Nothing(spare);
        }
        // What is written takes the acknowledgements along in any case.
        self.talk_reads = 0;
        outbox.along_until = None;
        outbox.progress = now;
        outbox.batch.resize(outbox.batch.len().max(room), 0);
        let mut buffer = std::mem::take(&mut outbox.batch);
        if frames > BATCH_BYTES_MAX {
            let taken = room + wire::whole_frames_up_to(&buffer[room..], BATCH_BYTES_MAX);
            outbox.batch.resize(room, 0);
            outbox.batch.extend_from_slice(&buffer[taken..]);
            buffer.truncate(taken);
        }
        let frame_bytes = buffer.len() - room;
        let uncounted = frame_bytes.min(outbox.uncounted as usize);
        outbox.uncounted -= uncounted as u32;
        outbox.flying = Some(frame_bytes - uncounted);
        match self.wire.wrap(&mut buffer, &mut spare) {
            Ok(from) => Wrapped::Batch {
                buffer,
                from,
                spare,
            },
            Err(code) => Wrapped::Failed(code),
        }
    }
}
