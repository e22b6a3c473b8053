//! The journal's bytes: a segment's header, then records, each with its length and a checksum.
//! Pure.
//!
//! ```text
//! header, 80 bytes                          record
//!  0  magic "SWYJRNL1"                       0  length of what follows the checksum, u32, not 0
//!  8  the journal's id, 16 bytes             4  CRC-32 of number, length and content, u32
//! 24  the memory's id, 16 bytes              8  kind, u8
//! 40  the host's boot id, 16 bytes           9  time, u64
//! 56  number of the first record, u64       17  what the kind has
//! 64  audit position of the first, u64
//! 72  1 once something could not be written
//! 76  CRC-32 of bytes 0 to 71, u32
//! ```
//!
//! Big-endian. A segment is zero behind its last record, so a length of 0 is the end. A record's number
//! is in its checksum and not in its bytes: one that stands elsewhere is none.

use super::Change;
use bytes::Bytes;
use std::net::IpAddr;
use switchyard_protocol::{
    Address, Code,
    message::{Key, Stage, Time, Title},
};
use switchyard_relay::{COMMAND_FRAME_BYTES_MAX, Entry, KeptReceipt, Origin};

/// Bytes before a segment's first record.
pub(super) const HEADER_BYTES: usize = 80;
/// Bytes before a record's kind.
const RECORD_HEAD_BYTES: usize = 8;
/// Where a header tells that something could not be written.
pub(super) const BROKEN_AT: u64 = 72;
/// The longest content of a record: a command with its frame, an account of 64 bytes and an IP.
const CONTENT_BYTES_MAX: usize = COMMAND_FRAME_BYTES_MAX + 256;

/// Of the frame of something that was not allowed: all that is useful of most. What is longer is told by its kind
/// alone.
const DENIED_FRAME_BYTES_MAX: usize = 256;
/// Of words about a change; what is longer is cut.
const TEXT_BYTES_MAX: usize = 512;

const MAGIC: [u8; 8] = *b"SWYJRNL1";

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The journal's own: audit positions are counted within it.
    pub(super) journal: [u8; 16],
    /// Stays the same while nothing is missing.
    pub(super) memory: [u8; 16],
    /// Of the host that wrote it: while that runs, what was written is there.
    pub(super) host: [u8; 16],
    /// The number of its first record.
    pub(super) first_record: u64,
    /// The audit position of its first record that has one.
    pub(super) first_position: u64,
    /// Something that was to follow could not be written.
    pub(super) is_broken: bool,
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..24].copy_from_slice(&self.journal);
        bytes[24..40].copy_from_slice(&self.memory);
        bytes[40..56].copy_from_slice(&self.host);
        bytes[56..64].copy_from_slice(&self.first_record.to_be_bytes());
        bytes[64..72].copy_from_slice(&self.first_position.to_be_bytes());
        bytes[72] = u8::from(self.is_broken);
        let crc = crc32fast::hash(&bytes[..72]);
        bytes[76..].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    /// `None` when it is none: the segment was never begun, or is not ours.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
        let mut fields = Fields(bytes);
        let magic: [u8; 8] = fields.take()?;
        let header = Header {
            journal: fields.take()?,
            memory: fields.take()?,
            host: fields.take()?,
            first_record: u64::from_be_bytes(fields.take()?),
            first_position: u64::from_be_bytes(fields.take()?),
            is_broken: fields.byte()? != 0,
        };
        let _: [u8; 3] = fields.take()?;
        let crc = u32::from_be_bytes(fields.take()?);
        (magic == MAGIC && crc == crc32fast::hash(&bytes[..72])).then_some(header)
    }
}

/// One record of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// When the gateway wrote it down.
    pub(super) time: Time,
    /// What.
    pub(super) what: What,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A command came whose key was new.
    Command {
        /// The account.
        account: Title,
        /// From where.
        ip: Option<IpAddr>,
        /// Its key.
        key: Key,
        /// Past this it must not be executed.
        expiry: Time,
        /// Header and payload; of one that was refused as too large, the beginning.
        frame: Bytes,
        /// How it ended at once.
        refused: Option<(Stage, Code)>,
    },
    /// A command or change was refused without a trace.
    Denied {
        /// The account.
        account: Title,
        /// From where.
        ip: Option<IpAddr>,
        /// Header and payload, or their beginning.
        frame: Bytes,
        /// Why.
        code: Code,
    },
    /// A command came to another stage.
    Progress {
        /// Its key.
        key: Key,
        /// The boot that it was sent to; 0 before.
        boot: u32,
        /// Its latest receipt.
        receipt: KeptReceipt,
    },
    /// A change was asked for.
    Request {
        /// The account.
        account: Title,
        /// From where.
        ip: Option<IpAddr>,
        /// Header and payload, or their beginning.
        frame: Bytes,
    },
    /// The answer to a request.
    Answer {
        /// Who asked, and under which correlation id.
        asker: (Address, u32),
        /// Who answers.
        source: Address,
        /// The verb.
        verb: u16,
        /// Ok, or why not.
        code: Code,
    },
    /// Something that the gateway keeps is about to be changed, over HTTP.
    Change(Change),
    /// What became of that: its text is the code of the problem where it was refused, else empty.
    Changed(Change),
    /// So many records before this one could not be written.
    Lost {
        /// How many.
        count: u64,
    },
    /// The gateway started.
    Started {
        /// It goes on with all that the one before knew.
        is_unbroken: bool,
    },
}

impl What {
    /// Whether it belongs in the audit log: all but the controllers' steps on the way.
    pub(super) fn is_for_audit(&self) -> bool {
        match self {
            What::Progress { receipt, .. } => is_audited(receipt.stage, receipt.is_final),
            _ => true,
        }
    }

    /// The relay's entry that it was, if it was one.
    pub(super) fn entry(&self) -> Option<Entry<'_>> {
        let origin = |account| Origin {
            connection: None,
            account,
        };
        Some(match self {
            What::Command {
                account,
                key,
                expiry,
                frame,
                refused,
                ..
            } => Entry::Command {
                origin: origin(account),
                key: *key,
                expiry: *expiry,
                frame,
                refused: *refused,
            },
            What::Progress { key, boot, receipt } => Entry::Progress {
                key: *key,
                boot: *boot,
                receipt: *receipt,
            },
            _ => return None,
        })
    }
}

const fn is_audited(stage: Stage, is_final: bool) -> bool {
    is_final || matches!(stage, Stage::Queued | Stage::Sent)
}

/// Whether an entry belongs in the audit log.
pub(super) fn is_for_audit(entry: &Entry<'_>) -> bool {
    match entry {
        Entry::Progress { receipt, .. } => is_audited(receipt.stage, receipt.is_final),
        _ => true,
    }
}

const COMMAND: u8 = 1;
const DENIED: u8 = 2;
const PROGRESS: u8 = 3;
const REQUEST: u8 = 4;
const ANSWER: u8 = 5;
const LOST: u8 = 6;
const STARTED: u8 = 7;
const CHANGE: u8 = 8;
const CHANGED: u8 = 9;

const FINAL: u8 = 1;
const BY_CONTROLLER: u8 = 2;
const WITH_TIME: u8 = 4;
const WITH_REASON: u8 = 8;

/// Appends a record of what the relay tells, by its number; `ip` is where its origin's connection
/// comes from.
pub(super) fn append_entry(
    bytes: &mut Vec<u8>,
    number: u64,
    time: Time,
    entry: &Entry<'_>,
    ip: Option<IpAddr>,
) {
    append(bytes, number, |bytes| match entry {
        Entry::Command {
            origin,
            key,
            expiry,
            frame,
            refused,
        } => {
            begin(bytes, COMMAND, time);
            bytes.extend_from_slice(&key.0);
            bytes.extend_from_slice(&expiry.0.to_be_bytes());
            let (stage, code) = match refused {
                Some((stage, code)) => (*stage as u8, code.number()),
                None => (0, 0),
            };
            bytes.extend_from_slice(&[stage, code]);
            put_origin(bytes, origin, ip);
            put_frame(bytes, frame);
        }
        Entry::Denied {
            origin,
            frame,
            code,
        } => {
            begin(bytes, DENIED, time);
            bytes.push(code.number());
            put_origin(bytes, origin, ip);
            put_frame(bytes, &frame[..frame.len().min(DENIED_FRAME_BYTES_MAX)]);
        }
        Entry::Progress { key, boot, receipt } => {
            begin(bytes, PROGRESS, time);
            bytes.extend_from_slice(&key.0);
            bytes.extend_from_slice(&boot.to_be_bytes());
            bytes.push(receipt.stage as u8);
            let flag = |is_set, flag| if is_set { flag } else { 0 };
            bytes.push(
                flag(receipt.is_final, FINAL)
                    | flag(receipt.by_controller, BY_CONTROLLER)
                    | flag(receipt.at.is_some(), WITH_TIME)
                    | flag(receipt.reason.is_some(), WITH_REASON),
            );
            bytes.extend_from_slice(&receipt.at.unwrap_or_default().0.to_be_bytes());
            bytes.push(receipt.reason.map_or(0, Code::number));
        }
        Entry::Request { origin, frame } => {
            begin(bytes, REQUEST, time);
            put_origin(bytes, origin, ip);
            put_frame(bytes, frame);
        }
        Entry::Answer {
            asker,
            source,
            verb,
            code,
        } => {
            begin(bytes, ANSWER, time);
            bytes.extend_from_slice(&asker.0.0.to_be_bytes());
            bytes.extend_from_slice(&asker.1.to_be_bytes());
            bytes.extend_from_slice(&source.0.to_be_bytes());
            bytes.extend_from_slice(&verb.to_be_bytes());
            bytes.push(code.number());
        }
    });
}

/// Appends the record of a change that is about to be made, or (`has_ended`) of what became of it.
pub(super) fn append_change(
    bytes: &mut Vec<u8>,
    number: u64,
    time: Time,
    change: &Change,
    has_ended: bool,
) {
    append(bytes, number, |bytes| {
        begin(bytes, if has_ended { CHANGED } else { CHANGE }, time);
        let account = &change.account;
        let connection = None;
        put_origin(
            bytes,
            &Origin {
                connection,
                account,
            },
            change.ip,
        );
        bytes.extend_from_slice(&change.number.to_be_bytes());
        bytes.extend_from_slice(&change.target.0.to_be_bytes());
        put_text(bytes, &change.text);
    });
}

/// Appends the record of a gap.
pub(super) fn append_lost(bytes: &mut Vec<u8>, number: u64, time: Time, count: u64) {
    append(bytes, number, |bytes| {
        begin(bytes, LOST, time);
        bytes.extend_from_slice(&count.to_be_bytes());
    });
}

/// Appends the record of a start.
pub(super) fn append_started(bytes: &mut Vec<u8>, number: u64, time: Time, is_unbroken: bool) {
    append(bytes, number, |bytes| {
        begin(bytes, STARTED, time);
        bytes.push(u8::from(is_unbroken));
    });
}

/// Appends a record of any content, with its length and checksum.
pub(super) fn append(bytes: &mut Vec<u8>, number: u64, write: impl FnOnce(&mut Vec<u8>)) {
    let at = bytes.len();
    bytes.extend_from_slice(&[0; RECORD_HEAD_BYTES]);
    write(bytes);
    let content = &bytes[at + RECORD_HEAD_BYTES..];
    let length = content.len() as u32;
    let crc = checksum(number, length, content);
    bytes[at..at + 4].copy_from_slice(&length.to_be_bytes());
    bytes[at + 4..at + 8].copy_from_slice(&crc.to_be_bytes());
}

fn checksum(number: u64, length: u32, content: &[u8]) -> u32 {
    let mut head = [0; 12];
    head[..8].copy_from_slice(&number.to_be_bytes());
    head[8..].copy_from_slice(&length.to_be_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&head);
    hasher.update(content);
    hasher.finalize()
}

fn begin(bytes: &mut Vec<u8>, kind: u8, time: Time) {
    bytes.push(kind);
    bytes.extend_from_slice(&time.0.to_be_bytes());
}

fn put_origin(bytes: &mut Vec<u8>, origin: &Origin<'_>, ip: Option<IpAddr>) {
    match ip {
        None => bytes.push(0),
        Some(IpAddr::V4(ip)) => {
            bytes.push(4);
            bytes.extend_from_slice(&ip.octets());
        }
        Some(IpAddr::V6(ip)) => {
            bytes.push(16);
            bytes.extend_from_slice(&ip.octets());
        }
    }
    let account = origin.account.as_str().as_bytes();
    // A title has 64 bytes at most.
    bytes.push(account.len() as u8);
    bytes.extend_from_slice(account);
}

fn put_frame(bytes: &mut Vec<u8>, frame: &[u8]) {
    let frame = &frame[..frame.len().min(COMMAND_FRAME_BYTES_MAX)];
    bytes.extend_from_slice(&(frame.len() as u16).to_be_bytes());
    bytes.extend_from_slice(frame);
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    let text = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
    bytes.extend_from_slice(&(text.len() as u16).to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

/// What stands at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A whole record and the bytes that it takes.
    Record(Record, usize),
    /// Nothing: zeros, or no room for a record.
    End,
    /// Something that is no record: written in part, or damaged.
    Broken,
}

/// Reads the record of this number.
pub(super) fn next(bytes: &[u8], number: u64) -> Next {
    let Some((head, rest)) = bytes.split_first_chunk::<RECORD_HEAD_BYTES>() else {
        return match bytes.iter().all(|&byte| byte == 0) {
            true => Next::End,
            false => Next::Broken,
        };
    };
    let [a, b, c, d, crc @ ..] = *head;
    let length = u32::from_be_bytes([a, b, c, d]);
    if length == 0 {
        return match crc == [0; 4] {
            true => Next::End,
            false => Next::Broken,
        };
    }
    let content = usize::try_from(length)
        .ok()
        .filter(|&length| length <= CONTENT_BYTES_MAX)
        .and_then(|length| rest.get(..length));
    let Some(content) = content else {
        return Next::Broken;
    };
    if u32::from_be_bytes(crc) != checksum(number, length, content) {
        return Next::Broken;
    }
    match decode(content) {
        Some(record) => Next::Record(record, RECORD_HEAD_BYTES + content.len()),
        None => Next::Broken,
    }
}

struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take().map(|[byte]| byte)
    }

    fn number(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn address(&mut self) -> Option<Address> {
        self.take().map(u32::from_be_bytes).map(Address)
    }

    fn origin(&mut self) -> Option<(Option<IpAddr>, Title)> {
        let ip = match self.byte()? {
            0 => None,
            4 => Some(IpAddr::from(self.take::<4>()?)),
            16 => Some(IpAddr::from(self.take::<16>()?)),
            _ => return None,
        };
        let length = self.byte()?;
        let account = std::str::from_utf8(self.slice(usize::from(length))?).ok()?;
        Some((ip, Title::new(account).ok()?))
    }

    fn text(&mut self) -> Option<String> {
        let length = u16::from_be_bytes(self.take()?);
        let text = std::str::from_utf8(self.slice(usize::from(length))?);
        text.ok().map(str::to_owned)
    }

    fn change(&mut self) -> Option<Change> {
        let (ip, account) = self.origin()?;
        Some(Change {
            account,
            ip,
            number: u32::from_be_bytes(self.take()?),
            target: self.address()?,
            text: self.text()?,
        })
    }

    fn frame(&mut self) -> Option<Bytes> {
        let length = u16::from_be_bytes(self.take()?);
        Some(Bytes::copy_from_slice(self.slice(usize::from(length))?))
    }
}

fn decode(content: &[u8]) -> Option<Record> {
    let mut fields = Fields(content);
    let kind = fields.byte()?;
    let time = Time(fields.number()?);
    let what = match kind {
        COMMAND => {
            let key = Key(fields.take()?);
            let expiry = Time(fields.number()?);
            let [stage, code] = fields.take()?;
            let refused = match stage {
                0 => None,
                stage => Some((Stage::from_number(stage)?, Code::from_number(code))),
            };
            let (ip, account) = fields.origin()?;
            What::Command {
                account,
                ip,
                key,
                expiry,
                frame: fields.frame()?,
                refused,
            }
        }
        DENIED => {
            let code = Code::from_number(fields.byte()?);
            let (ip, account) = fields.origin()?;
            What::Denied {
                account,
                ip,
                frame: fields.frame()?,
                code,
            }
        }
        PROGRESS => {
            let key = Key(fields.take()?);
            let boot = u32::from_be_bytes(fields.take()?);
            let [stage, flags] = fields.take()?;
            let at = Time(fields.number()?);
            let reason = Code::from_number(fields.byte()?);
            let has = |flag| flags & flag != 0;
            What::Progress {
                key,
                boot,
                receipt: KeptReceipt {
                    stage: Stage::from_number(stage)?,
                    at: has(WITH_TIME).then_some(at),
                    reason: has(WITH_REASON).then_some(reason),
                    by_controller: has(BY_CONTROLLER),
                    is_final: has(FINAL),
                },
            }
        }
        REQUEST => {
            let (ip, account) = fields.origin()?;
            What::Request {
                account,
                ip,
                frame: fields.frame()?,
            }
        }
        ANSWER => What::Answer {
            asker: (fields.address()?, u32::from_be_bytes(fields.take()?)),
            source: fields.address()?,
            verb: u16::from_be_bytes(fields.take()?),
            code: Code::from_number(fields.byte()?),
        },
        CHANGE => What::Change(fields.change()?),
        CHANGED => What::Changed(fields.change()?),
        LOST => What::Lost {
            count: fields.number()?,
        },
        STARTED => What::Started {
            is_unbroken: fields.byte()? != 0,
        },
        _ => return None,
    };
    fields.0.is_empty().then_some(Record { time, what })
}

#[cfg(test)]
mod tests;
