//! What is written is read again, whatever was torn off or changed: properties of the journal's bytes.

use super::*;
use proptest::{collection::vec, prelude::*};

fn code() -> impl Strategy<Value = Code> {
    any::<u8>().prop_map(Code::from_number)
}

fn stage() -> impl Strategy<Value = Stage> {
    proptest::sample::select(Stage::ALL)
}

fn ip() -> impl Strategy<Value = Option<IpAddr>> {
    proptest::option::of(any::<IpAddr>())
}

fn account() -> impl Strategy<Value = Title> {
    "[a-z][a-z0-9 äß€]{0,20}".prop_map(|text| Title::new(&text).unwrap())
}

fn frame() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..COMMAND_FRAME_BYTES_MAX).prop_map(Bytes::from)
}

fn text() -> impl Strategy<Value = String> {
    "[a-z ß€]{0,100}"
}

fn change() -> impl Strategy<Value = Change> {
    let address = any::<u32>().prop_map(Address);
    (account(), ip(), any::<u32>(), address, text()).prop_map(
        |(account, ip, number, target, text)| Change {
            account,
            ip,
            number,
            target,
            text,
        },
    )
}

/// Of what is not allowed less is kept.
fn denied_frame() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..=DENIED_FRAME_BYTES_MAX).prop_map(Bytes::from)
}

fn what() -> impl Strategy<Value = What> {
    let address = || any::<u32>().prop_map(Address);
    let key = || any::<[u8; 16]>().prop_map(Key);
    let time = || any::<u64>().prop_map(Time);
    prop_oneof![
        (
            account(),
            ip(),
            key(),
            time(),
            frame(),
            proptest::option::of((stage(), code()))
        )
            .prop_map(|(account, ip, key, expiry, frame, refused)| What::Command {
                account,
                ip,
                key,
                expiry,
                frame,
                refused
            }),
        (account(), ip(), denied_frame(), code()).prop_map(|(account, ip, frame, code)| {
            What::Denied {
                account,
                ip,
                frame,
                code,
            }
        }),
        (
            key(),
            any::<u32>(),
            stage(),
            proptest::option::of(time()),
            proptest::option::of(code()),
            any::<[bool; 2]>()
        )
            .prop_map(
                |(key, boot, stage, at, reason, [by_controller, is_final])| {
                    What::Progress {
                        key,
                        boot,
                        receipt: KeptReceipt {
                            stage,
                            at,
                            reason,
                            by_controller,
                            is_final,
                        },
                    }
                }
            ),
        (account(), ip(), frame()).prop_map(|(account, ip, frame)| What::Request {
            account,
            ip,
            frame
        }),
        (address(), any::<u32>(), address(), any::<u16>(), code()).prop_map(
            |(asker, correlation, source, verb, code)| What::Answer {
                asker: (asker, correlation),
                source,
                verb,
                code,
            }
        ),
        change().prop_map(What::Change),
        change().prop_map(What::Changed),
        any::<u64>().prop_map(|count| What::Lost { count }),
        any::<bool>().prop_map(|is_unbroken| What::Started { is_unbroken }),
    ]
}

fn written(records: &[Record], first: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (record, number) in records.iter().zip(first..) {
        let Record { time, what } = record;
        let origin = |account| Origin {
            connection: None,
            account,
        };
        let (entry, ip) = match what {
            What::Lost { count } => {
                append_lost(&mut bytes, number, *time, *count);
                continue;
            }
            What::Change(change) | What::Changed(change) => {
                let has_ended = matches!(what, What::Changed(_));
                append_change(&mut bytes, number, *time, change, has_ended);
                continue;
            }
            What::Started { is_unbroken } => {
                append_started(&mut bytes, number, *time, *is_unbroken);
                continue;
            }
            What::Denied {
                account,
                ip,
                frame,
                code,
            } => (
                Entry::Denied {
                    origin: origin(account),
                    frame,
                    code: *code,
                },
                *ip,
            ),
            What::Request { account, ip, frame } => (
                Entry::Request {
                    origin: origin(account),
                    frame,
                },
                *ip,
            ),
            What::Answer {
                asker,
                source,
                verb,
                code,
            } => (
                Entry::Answer {
                    asker: *asker,
                    source: *source,
                    verb: *verb,
                    code: *code,
                },
                None,
            ),
            What::Command { ip, .. } => (what.entry().unwrap(), *ip),
            What::Progress { .. } => (what.entry().unwrap(), None),
        };
        append_entry(&mut bytes, number, *time, &entry, ip);
    }
    bytes
}

fn read(mut bytes: &[u8], mut number: u64) -> (Vec<Record>, bool) {
    let mut records = Vec::new();
    loop {
        match next(bytes, number) {
            Next::Record(record, length) => {
                records.push(record);
                bytes = &bytes[length..];
                number += 1;
            }
            Next::End => return (records, true),
            Next::Broken => return (records, false),
        }
    }
}

fn records() -> impl Strategy<Value = Vec<Record>> {
    let record = (any::<u64>(), what()).prop_map(|(time, what)| Record {
        time: Time(time),
        what,
    });
    vec(record, 1..8)
}

proptest! {
    #[test]
    fn what_is_written_is_read(records in records(), first: u64) {
        let first = first >> 1;
        let mut bytes = written(&records, first);
        bytes.extend([0; 100]);
        prop_assert_eq!(read(&bytes, first), (records, true));
    }

    /// Wherever the tail is cut off, and whether zeros or nothing stand in its place: what is left
    /// is a prefix.
    #[test]
    fn a_torn_tail_leaves_a_prefix(records in records(), cut: prop::sample::Index, zeros: bool) {
        let mut bytes = written(&records, 7);
        let cut = cut.index(bytes.len());
        match zeros {
            true => bytes[cut..].fill(0),
            false => bytes.truncate(cut),
        }
        let (found, _) = read(&bytes, 7);
        prop_assert!(found.len() < records.len() || bytes == written(&records, 7));
        prop_assert_eq!(&records[..found.len()], &found[..]);
    }

    /// A flipped bit ends the reading at its record, and nothing wrong is read.
    #[test]
    fn a_flipped_bit_is_found(records in records(), at: prop::sample::Index, bit in 0..8_u8) {
        let mut bytes = written(&records, 7);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let (found, _) = read(&bytes, 7);
        prop_assert!(found.len() < records.len());
        prop_assert_eq!(&records[..found.len()], &found[..]);
    }

    #[test]
    fn nothing_panics(bytes in vec(any::<u8>(), 0..300), number: u64) {
        let _ = next(&bytes, number);
        let _ = Header::decode(&bytes);
    }
}

#[test]
fn a_header_is_read_as_it_was_written() {
    let header = Header {
        journal: [1; 16],
        memory: [2; 16],
        host: [3; 16],
        first_record: 4,
        first_position: 5,
        is_broken: false,
    };
    let mut bytes = header.encode();
    assert_eq!(Header::decode(&bytes), Some(header));
    bytes[BROKEN_AT as usize] = 1;
    let broken = Header {
        is_broken: true,
        ..header
    };
    assert_eq!(Header::decode(&bytes), Some(broken));
    for at in (0..72).chain(76..80) {
        let mut bytes = bytes;
        bytes[at] ^= 0x10;
        assert_eq!(Header::decode(&bytes), None, "byte {at}");
    }
    assert_eq!(Header::decode(&[0; HEADER_BYTES]), None);
}

#[test]
fn a_record_in_another_place_is_none() {
    let record = Record {
        time: Time(1),
        what: What::Lost { count: 3 },
    };
    let bytes = written(std::slice::from_ref(&record), 9);
    assert_eq!(read(&bytes, 9), (vec![record], true));
    assert_eq!(read(&bytes, 10), (vec![], false));
}
