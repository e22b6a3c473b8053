//! The journal's parsers for fuzzers: see `crate::fuzzing`.

use super::{
    format::{self, HEADER_BYTES, Header, Next, Record, What},
    pins::Pins,
    words::audit_of,
};
use crate::audit::AuditRecord;

/// A segment's bytes as they are, and a record's content with its length and checksum put right.
pub fn journal(data: &[u8]) {
    if let Some(header) = Header::decode(data) {
        assert_eq!(Header::decode(&header.encode()), Some(header));
    }
    let mut rest = data.get(HEADER_BYTES..).unwrap_or(data);
    let mut number = 0;
    while let Next::Record(record, length) = format::next(rest, number) {
        assert!(length > 0 && length <= rest.len());
        read(&record, number);
        number += 1;
        rest = &rest[length..];
    }
    let mut sealed = Vec::new();
    format::append(&mut sealed, 7, |bytes| bytes.extend_from_slice(data));
    if let Next::Record(record, length) = format::next(&sealed, 7) {
        assert_eq!(length, sealed.len());
        read(&record, 7);
        assert!(
            !matches!(format::next(&sealed, 8), Next::Record(..)),
            "one that stands elsewhere is none"
        );
    }
}

/// What is made of a record: the audit log's words, and the relay's entry, which is written as it was read.
fn read(record: &Record, number: u64) {
    if let Some(audit) = audit_of(record, &Pins::default()) {
        assert!(record.what.is_for_audit());
        let read = AuditRecord::decode(&audit.encode());
        assert_eq!(read.expect("what was just written"), audit);
    }
    let ip = match &record.what {
        What::Command { ip, .. } => *ip,
        _ => None,
    };
    if let Some(entry) = record.what.entry() {
        let mut bytes = Vec::new();
        format::append_entry(&mut bytes, number, record.time, &entry, ip);
        match format::next(&bytes, number) {
            Next::Record(again, _) => assert_eq!(&again, record),
            other => panic!("{record:?} was written and read as {other:?}"),
        }
    }
}
