//! Reads a journal's records in their order, from segment to segment, also behind a writer that is at
//! it.

use super::{
    format::{self, HEADER_BYTES, Header, Next, Record},
    segments,
};
use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

/// Bytes read from a file at once.
const CHUNK_BYTES: usize = 256 << 10;
/// More than the longest record has.
const RECORD_BYTES_MAX: usize = 4 << 10;

/// What comes next in a journal.
#[derive(Debug)]
pub(super) enum Read {
    /// A segment begins; what follows is in it.
    Segment(u64, Header),
    /// A record, and its audit position if it has one.
    Record(Record, Option<u64>),
    /// Bytes that are no record, before the end of a segment that others follow: some may be missing.
    Damage(u64),
    /// Nothing more, so far.
    End,
}

/// A place in a journal.
#[derive(Debug)]
pub(super) struct Reader {
    folder: PathBuf,
    /// The segment that is read, once there is one.
    at: Option<At>,
    /// No segment below this is begun.
    next_segment: u64,
    chunk: Vec<u8>,
}

#[derive(Debug)]
struct At {
    segment: u64,
    file: File,
    offset: u64,
    record: u64,
    position: u64,
    /// What of the chunk is read already, and how much of it there is.
    read: usize,
    filled: usize,
}

impl Reader {
    /// At the beginning of the oldest segment of a folder.
    pub(super) fn new(folder: &Path) -> Self {
        Reader {
            folder: folder.into(),
            at: None,
            next_segment: 0,
            chunk: Vec::new(),
        }
    }

    /// The segment that is read; all before it are behind.
    pub(super) fn segment(&self) -> u64 {
        match &self.at {
            Some(at) => at.segment,
            None => self.next_segment,
        }
    }

    /// Leaves a segment that is to go, wherever it is in there.
    pub(super) fn leave(&mut self, segment: u64) {
        if self.segment() <= segment {
            self.at = None;
            self.next_segment = segment + 1;
        }
    }

    /// Reads on. `active` is the segment that is being written: there the end may move on.
    pub(super) fn next(&mut self, active: u64) -> io::Result<Read> {
        if self.at.is_none() {
            return self.begin(active);
        }
        if let Some(read) = self.record()? {
            return Ok(read);
        }
        let Some(at) = &self.at else {
            return Ok(Read::End);
        };
        if at.segment >= active {
            return Ok(Read::End);
        }
        // It is written no more: what it has not now it never will. Once more, for what came between
        // the look into the file and the word that another is active.
        let (segment, is_damaged) = (at.segment, self.is_at_garbage()?);
        if let Some(read) = self.record()? {
            return Ok(read);
        }
        self.leave(segment);
        match is_damaged {
            true => Ok(Read::Damage(segment)),
            false => self.begin(active),
        }
    }

    fn begin(&mut self, active: u64) -> io::Result<Read> {
        for segment in segments::list(&self.folder)? {
            if segment < self.next_segment || segment > active {
                continue;
            }
            let Some(header) = segments::header(&self.folder, segment)? else {
                continue;
            };
            self.at = Some(At {
                segment,
                file: File::open(segments::path_of(&self.folder, segment))?,
                offset: HEADER_BYTES as u64,
                record: header.first_record,
                position: header.first_position,
                read: 0,
                filled: 0,
            });
            return Ok(Read::Segment(segment, header));
        }
        Ok(Read::End)
    }

    /// The next record of the segment, if it is there in whole.
    fn record(&mut self) -> io::Result<Option<Read>> {
        let Some(at) = &mut self.at else {
            return Ok(None);
        };
        for is_fresh in [false, true] {
            if is_fresh {
                self.chunk.resize(CHUNK_BYTES, 0);
                at.filled = segments::read_at(&at.file, &mut self.chunk, at.offset)?;
                at.read = 0;
            }
            let rest = &self.chunk[at.read..at.filled];
            if rest.len() < RECORD_BYTES_MAX && !is_fresh {
                continue;
            }
            if let Next::Record(record, length) = format::next(rest, at.record) {
                at.record += 1;
                at.read += length;
                at.offset += length as u64;
                let position = record.what.is_for_audit().then_some(at.position);
                at.position += u64::from(position.is_some());
                return Ok(Some(Read::Record(record, position)));
            }
        }
        Ok(None)
    }

    /// Where the last segment could be written on: its number and the offset; `None` where something
    /// stands there that is no record.
    pub(super) fn clean_end(&mut self) -> io::Result<Option<(u64, u64)>> {
        let is_damaged = self.is_at_garbage()?;
        let end = self.at.as_ref().map(|at| (at.segment, at.offset));
        Ok(end.filter(|_| !is_damaged))
    }

    fn is_at_garbage(&mut self) -> io::Result<bool> {
        let Some(at) = &mut self.at else {
            return Ok(false);
        };
        self.chunk.resize(CHUNK_BYTES, 0);
        at.filled = segments::read_at(&at.file, &mut self.chunk, at.offset)?;
        at.read = 0;
        let next = format::next(&self.chunk[..at.filled], at.record);
        Ok(matches!(next, Next::Broken))
    }
}
