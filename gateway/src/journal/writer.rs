//! The yard's end of the journal: what a poll round has to tell is gathered in one buffer and goes to
//! the file by one write, before anything of that round goes to anybody.
//!
//! From the write on it is the kernel's, and survives this process however that ends. That it also
//! survives the host is the business of `sync`.

use super::{
    Change, Denials, Shared,
    format::{self, BROKEN_AT, HEADER_BYTES, Header},
    segments::{self, SEGMENT_BYTES},
};
use crate::telemetry::{Telemetry, count};
use std::{
    fs::File,
    io,
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
    thread::JoinHandle,
    time::{Duration, Instant},
};
use switchyard_protocol::{Address, message::Time};
use switchyard_relay::{ConnectionId, Entry};

/// What is gathered before it is written although the round goes on.
const GATHERED_BYTES_MAX: usize = 256 << 10;
/// How long a file that cannot be had or written is left alone: the next try costs the yard a moment.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The journal as the yard's thread has it.
pub(crate) struct Journal {
    shared: Arc<Shared>,
    telemetry: Arc<Telemetry>,
    /// What the segments' headers begin with.
    identity: Header,
    segment: Option<Open>,
    next_segment: u64,
    gathered: Vec<u8>,
    /// Records and audit positions, those that are gathered counted too.
    next: (u64, u64),
    /// The same without them.
    written: (u64, u64),
    /// Records that could not be written, and that no record tells of yet.
    lost: u64,
    /// When it is tried again, if it could not be written.
    retry_at: Option<Instant>,
    /// Bounds the records of what was not allowed.
    denials: Arc<Denials>,
    /// Where connections come from, by their place.
    origins: Vec<Option<IpAddr>>,
    thread: Option<JoinHandle<()>>,
    /// The journal's folder is this process's for as long as it holds this.
    _lock: Option<File>,
}

/// The segment that is written.
struct Open {
    file: Arc<File>,
    offset: u64,
}

/// What a journal goes on from.
pub(super) struct Start {
    pub(super) identity: Header,
    pub(super) next_segment: u64,
    /// The latest segment and where it ends, where that can be written on.
    pub(super) latest: Option<(u64, u64)>,
    pub(super) lock: Option<File>,
    pub(super) thread: Option<JoinHandle<()>>,
}

impl Journal {
    /// One that goes on in the latest segment, so that a gateway which starts again and again does not
    /// fill the journal with segments of nothing; or begins a new one with its first record.
    pub(super) fn new(shared: Arc<Shared>, telemetry: Arc<Telemetry>, start: Start) -> Self {
        let identity = start.identity;
        let latest = start.latest.and_then(|(number, offset)| {
            let file = Arc::new(segments::reopen(&shared.folder, number).ok()?);
            shared.begun(number, Arc::clone(&file));
            Some(Open { file, offset })
        });
        Journal {
            shared,
            telemetry,
            identity,
            segment: latest,
            next_segment: start.next_segment,
            gathered: Vec::with_capacity(GATHERED_BYTES_MAX + (8 << 10)),
            next: (identity.first_record, identity.first_position),
            written: (identity.first_record, identity.first_position),
            lost: 0,
            retry_at: None,
            denials: Arc::default(),
            origins: Vec::new(),
            thread: start.thread,
            _lock: start.lock,
        }
    }

    /// Notes where a connection comes from.
    pub(crate) fn arrived(&mut self, connection: ConnectionId, ip: Option<IpAddr>) {
        let place = connection.place() as usize;
        if self.origins.len() <= place {
            self.origins.resize(place + 1, None);
        }
        self.origins[place] = ip;
    }

    /// Gathers what the relay tells.
    pub(crate) fn note(&mut self, time: Time, entry: &Entry<'_>) {
        if let Entry::Denied { origin, .. } = entry
            && !self.denials.pass(origin.account, Instant::now())
        {
            return count(&self.telemetry.journal_denials_skipped);
        }
        let origin = match entry {
            Entry::Command { origin, .. }
            | Entry::Denied { origin, .. }
            | Entry::Request { origin, .. } => origin.connection,
            Entry::Progress { .. } | Entry::Answer { .. } => None,
        };
        let place = origin.map(|connection| connection.place() as usize);
        let ip = place.and_then(|place| self.origins.get(place).copied().flatten());
        let (record, position) = &mut self.next;
        format::append_entry(&mut self.gathered, *record, time, entry, ip);
        *record += 1;
        *position += u64::from(format::is_for_audit(entry));
        if self.gathered.len() >= GATHERED_BYTES_MAX {
            self.flush();
        }
    }

    /// Notes a change that is about to be made or (`has_ended`) what became of it.
    pub(crate) fn note_change(&mut self, time: Time, change: &Change, has_ended: bool) {
        let (record, position) = &mut self.next;
        format::append_change(&mut self.gathered, *record, time, change, has_ended);
        *record += 1;
        *position += 1;
    }

    /// What bounds the records of what was not allowed, for those that come here as changes.
    pub(crate) fn denials(&self) -> Arc<Denials> {
        Arc::clone(&self.denials)
    }

    /// Notes how much of what was not allowed was left out of the minutes that are over, or (`is_end`) of all.
    pub(crate) fn note_left_out(&mut self, time: Time, is_end: bool) {
        let told = match is_end {
            true => self.denials.take_all(),
            false => self.denials.take_over(Instant::now()),
        };
        for (account, count) in told {
            let change = Change {
                account,
                ip: None,
                // The answer to no request of its own.
                number: 0,
                target: Address::GATEWAY,
                text: format!("{count} more not allowed within a minute, and left out here"),
            };
            self.note_change(time, &change, true);
        }
    }

    /// Notes the gateway's start.
    pub(super) fn note_start(&mut self, time: Time, is_unbroken: bool) {
        format::append_started(&mut self.gathered, self.next.0, time, is_unbroken);
        self.next.0 += 1;
        self.next.1 += 1;
    }

    /// Whether what is noted cannot be written.
    pub(crate) fn is_failing(&self) -> bool {
        self.retry_at.is_some()
    }

    /// Writes what is gathered. Afterwards it survives this process, unless [`is_failing`](Self::is_failing).
    pub(crate) fn flush(&mut self) {
        if self.gathered.is_empty() && self.retry_at.is_none() {
            return;
        }
        match self.retry_at {
            None => {
                if let Err(error) = self.write() {
                    self.fail(&error);
                }
            }
            Some(at) if Instant::now() < at => self.lose_gathered(),
            Some(_) => {
                self.lose_gathered();
                match self.recover() {
                    Ok(lost) => {
                        self.retry_at = None;
                        tracing::warn!(lost, "the journal can be written again");
                    }
                    Err(error) => self.fail(&error),
                }
            }
        }
        self.gathered.clear();
    }

    fn write(&mut self) -> io::Result<()> {
        let length = self.gathered.len() as u64;
        let is_full = self
            .segment
            .as_ref()
            .is_none_or(|open| open.offset + length > SEGMENT_BYTES);
        if is_full {
            self.begin_segment()?;
        }
        let Some(open) = &mut self.segment else {
            return Err(io::Error::other("no segment was begun"));
        };
        if let Err(error) = segments::write_at(&open.file, &self.gathered, open.offset) {
            // Some of it may stand there, and may have been read by now: its numbers are not given again, and
            // whoever reads on finds the gap.
            self.count_lost();
            self.written = self.next;
            return Err(error);
        }
        open.offset += length;
        self.written = self.next;
        self.shared.written.fetch_add(length, Ordering::Release);
        Ok(())
    }

    fn begin_segment(&mut self) -> io::Result<()> {
        let number = self.next_segment;
        let file = match self.shared.take_spare(number) {
            Some(file) => file,
            None => match segments::create(&self.shared.folder, number) {
                // It was made ahead in this very moment.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    self.shared.take_spare(number).ok_or(error)?
                }
                made => made?,
            },
        };
        // Whatever becomes of it, its number has been used.
        self.next_segment += 1;
        let (first_record, first_position) = self.written;
        let header = Header {
            first_record,
            first_position,
            is_broken: self.shared.is_broken.load(Ordering::Acquire),
            ..self.identity
        };
        segments::write_at(&file, &header.encode(), 0)?;
        let file = Arc::new(file);
        self.shared.begun(number, Arc::clone(&file));
        self.segment = Some(Open {
            file,
            offset: HEADER_BYTES as u64,
        });
        Ok(())
    }

    /// Begins anew with a record of what is missing.
    fn recover(&mut self) -> io::Result<u64> {
        let lost = self.lost;
        self.gathered.clear();
        format::append_lost(&mut self.gathered, self.next.0, crate::clock::time(), lost);
        self.next = (self.next.0 + 1, self.next.1 + 1);
        self.segment = None;
        if let Err(error) = self.write() {
            // The record of a gap is itself no loss.
            self.next = self.written;
            return Err(error);
        }
        self.lost = 0;
        Ok(lost)
    }

    fn fail(&mut self, error: &io::Error) {
        if self.retry_at.is_none() {
            // Said once, and again when it is over: such a state lasts.
            tracing::error!(%error, "the journal cannot be written; commands go on without");
            // So that a start knows that something is missing, even if this never ends: a byte where
            // there is room already. And once that segment is gone, those that follow tell it.
            self.shared.is_broken.store(true, Ordering::Release);
            match &self.segment {
                Some(open) => drop(segments::write_at(&open.file, &[1], BROKEN_AT)),
                None => drop(segments::mark_broken(
                    &self.shared.folder,
                    self.next_segment.wrapping_sub(1),
                )),
            }
        }
        count(&self.telemetry.journal_failures);
        self.retry_at = Some(Instant::now() + RETRY_AFTER);
        self.lose_gathered();
    }

    fn lose_gathered(&mut self) {
        self.lost += self.count_lost();
        self.next = self.written;
        self.gathered.clear();
    }

    fn count_lost(&self) -> u64 {
        let lost = self.next.0 - self.written.0;
        let counter = &self.telemetry.journal_records_lost;
        counter.fetch_add(lost, Ordering::Relaxed);
        lost
    }
}

/// What tests do to it.
#[cfg(test)]
impl Journal {
    /// As if the process had been killed before it wrote.
    pub(super) fn forget_gathered(&mut self) {
        self.next = self.written;
        self.gathered.clear();
    }

    /// Leaves no room in the present segment, nor one made ahead.
    pub(super) fn fill_segment(&mut self) {
        if let Some(open) = &mut self.segment {
            open.offset = SEGMENT_BYTES;
        }
        drop(self.shared.take_spare(self.next_segment));
        let _ = segments::delete(&self.shared.folder, self.next_segment);
    }

    /// Tries again whatever the time.
    pub(super) fn retry_now(&mut self) {
        if self.retry_at.is_some() {
            self.retry_at = Some(Instant::now());
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.flush();
        self.shared.is_over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It ends with one more sync; its panic has been told on standard error.
            let _ = thread.join();
        }
    }
}
