//! The C codec against `switchyard_protocol`: the same bytes, cut anywhere, come to the same.

use crate::ffi::{self, FrameReader, Pushed};
use bytes::BytesMut;
use proptest::{collection::vec, prelude::*, sample::Index};
use std::{path::Path, sync::LazyLock};
use switchyard_protocol::{Address, Code, Flags, Frame, FrameError, Kind, cbor, message};

/// Every byte string of the golden vectors: where mutations begin, near what is right.
static CORPUS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors");
    ["cbor.toml", "messages.toml"]
        .iter()
        .flat_map(|name| {
            let text = std::fs::read_to_string(folder.join(name)).expect("the vectors are there");
            text.lines()
                .filter_map(|line| line.strip_prefix("hex = \"")?.strip_suffix('"'))
                .map(bytes_of_hex)
                .collect::<Vec<_>>()
        })
        .collect()
});

fn bytes_of_hex(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex"))
        .collect()
}

fn rust_check(payload: &[u8]) -> &'static str {
    cbor::check(payload).map_or_else(cbor::Fault::name, |()| "ok")
}

/// A byte that is likelier than others to lead on in CBOR.
fn head() -> impl Strategy<Value = u8> {
    prop_oneof![
        3 => proptest::sample::select(
            &[
                0x00, 0x01, 0x02, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1f, 0x20, 0x38, 0x3b, 0x40,
                0x41, 0x58, 0x5b, 0x5f, 0x60, 0x61, 0x62, 0x78, 0x80, 0x81, 0x82, 0x98, 0x9b, 0x9f,
                0xa0, 0xa1, 0xa2, 0xb8, 0xbb, 0xbf, 0xc0, 0xd8, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9,
                0xfb, 0xff,
            ][..]
        ),
        1 => any::<u8>(),
    ]
}

/// A vector with some of its bytes changed, and perhaps cut.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    (
        any::<Index>(),
        vec((any::<Index>(), head()), 0..4),
        proptest::option::of(any::<Index>()),
    )
        .prop_map(|(which, changes, cut)| {
            let mut bytes = which.get(&CORPUS).clone();
            for (at, byte) in changes {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                }
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len() + 1));
            }
            bytes
        })
}

#[test]
fn names_agree() {
    for number in 0..=255u8 {
        let code = Code::from_number(number);
        let expected = match code {
            Code::Other(_) => "unknown",
            known => known.name(),
        };
        assert_eq!(ffi::code_name(number.into()), expected);
        let kind = Kind::from_number(number).map_or("unknown", Kind::name);
        assert_eq!(ffi::kind_name(number), kind);
    }
}

#[test]
fn vectors_and_all_their_cuts_agree() {
    assert!(CORPUS.len() > 100);
    for bytes in CORPUS.iter() {
        for end in 0..=bytes.len() {
            let cut = &bytes[..end];
            assert_eq!(ffi::cbor_check(cut), rust_check(cut), "{cut:02x?}");
        }
    }
}

/// Every map's head with every two bytes behind it, as a payload and where a value is due.
#[test]
fn short_payloads_agree() {
    for first in 0xA0..=0xBFu8 {
        for second in 0..=255u8 {
            for third in 0..=255u8 {
                for bytes in [
                    vec![first, second, third],
                    vec![0xA1, 0, first, second, third],
                ] {
                    assert_eq!(ffi::cbor_check(&bytes), rust_check(&bytes), "{bytes:02x?}");
                }
            }
        }
    }
}

/// What a decoder made of a stream, in the same terms for both.
#[derive(Debug, PartialEq, Eq)]
struct Decoded {
    frames: Vec<(ffi::Header, Vec<u8>)>,
    refused: Option<(&'static str, &'static str)>,
}

fn header_of(frame: &Frame) -> ffi::Header {
    let header = frame.header();
    ffi::Header {
        kind: header.kind as u8,
        flags: header.flags.bits(),
        payload_bytes: header.payload_bytes,
        correlation: header.correlation,
        source: header.source.0,
        destination: header.destination.0,
    }
}

fn decode_in_rust(pieces: &[&[u8]], payload_bytes_max: usize) -> Decoded {
    let mut buffer = BytesMut::new();
    let mut frames = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match Frame::decode(&mut buffer, payload_bytes_max) {
                Ok(Some(frame)) => frames.push((header_of(&frame), frame.payload().to_vec())),
                Ok(None) => break,
                Err(error) => {
                    let fault = match error {
                        FrameError::UnknownKind(_) => "unknown_kind",
                        FrameError::BadFlags { .. } => "bad_flags",
                        FrameError::TooLarge { .. } => "too_large",
                        _ => "a fault that C does not have",
                    };
                    return Decoded {
                        frames,
                        refused: Some((fault, error.code().name())),
                    };
                }
            }
        }
    }
    Decoded {
        frames,
        refused: None,
    }
}

fn decode_in_c(pieces: &[&[u8]], payload_bytes_max: usize) -> Decoded {
    let mut reader = FrameReader::new(16 + payload_bytes_max);
    let mut frames = Vec::new();
    for piece in pieces {
        let mut rest = *piece;
        loop {
            let (pushed, used) = reader.push(rest);
            rest = &rest[used..];
            match pushed {
                Pushed::Frame(header, payload) => frames.push((header, payload)),
                Pushed::Incomplete => {
                    assert!(rest.is_empty(), "an incomplete push consumes everything");
                    break;
                }
                Pushed::Refused { fault, code } => {
                    return Decoded {
                        frames,
                        refused: Some((fault, code)),
                    };
                }
            }
        }
    }
    Decoded {
        frames,
        refused: None,
    }
}

/// A frame that is mostly right.
fn wire_frame() -> impl Strategy<Value = Vec<u8>> {
    let kinds = prop_oneof![
        9 => proptest::sample::select(Kind::ALL).prop_map(|kind| kind as u8),
        1 => any::<u8>(),
    ];
    let flags = prop_oneof![8 => Just(0), 1 => 0..4u8, 1 => any::<u8>()];
    (kinds, flags, any::<[u8; 12]>(), vec(any::<u8>(), 0..80)).prop_map(
        |(kind, flags, ids, payload)| {
            let mut bytes = vec![kind, flags, 0, payload.len() as u8];
            bytes.extend(ids);
            bytes.extend(payload);
            bytes
        },
    )
}

/// Frames one after another, now and then with noise behind.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    (vec(wire_frame(), 0..6), vec(any::<u8>(), 0..40)).prop_map(|(frames, noise)| {
        let mut bytes = frames.concat();
        bytes.extend(noise);
        bytes
    })
}

/// Cuts a stream at the given places, which may coincide.
fn pieces<'a>(stream: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
    ends.push(stream.len());
    ends.sort_unstable();
    let mut begin = 0;
    ends.into_iter()
        .map(|end| {
            let piece = &stream[begin..end];
            begin = end;
            piece
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn checks_agree_on_bytes_that_lead_on(
        begin in 0xA0..=0xA4u8,
        rest in vec(head(), 0..48),
        whole in any::<bool>(),
    ) {
        let bytes: Vec<u8> = whole.then_some(begin).into_iter().chain(rest).collect();
        prop_assert_eq!(ffi::cbor_check(&bytes), rust_check(&bytes));
    }

    #[test]
    fn checks_agree_on_any_bytes(bytes in vec(any::<u8>(), 0..400)) {
        prop_assert_eq!(ffi::cbor_check(&bytes), rust_check(&bytes));
    }

    #[test]
    fn checks_agree_near_the_vectors(bytes in mutated()) {
        prop_assert_eq!(ffi::cbor_check(&bytes), rust_check(&bytes));
    }

    #[test]
    fn checks_agree_on_text(text in vec(any::<u8>(), 0..24)) {
        let mut bytes = vec![0xA1, 0x00, 0x60 | text.len().min(23) as u8];
        bytes.extend(text.iter().take(23));
        prop_assert_eq!(ffi::cbor_check(&bytes), rust_check(&bytes));
    }

    #[test]
    fn names_and_titles_agree(text in "[a-zA-Z_0-9 äö\u{80}\u{9f}\u{a0}\n€-]{0,40}") {
        prop_assert_eq!(ffi::name_valid(&text), message::Name::new(&text).is_ok());
        prop_assert_eq!(ffi::title_valid(&text), message::Title::new(&text).is_ok());
    }

    #[test]
    fn streams_agree_cut_anywhere(
        stream in stream(),
        cuts in vec(any::<Index>(), 0..8),
        payload_bytes_max in 0..100usize,
    ) {
        let pieces = pieces(&stream, &cuts);
        let expected = decode_in_rust(&pieces, payload_bytes_max);
        prop_assert_eq!(decode_in_c(&pieces, payload_bytes_max), expected);
    }

    #[test]
    fn streams_agree_on_any_bytes(
        stream in vec(any::<u8>(), 0..120),
        cuts in vec(any::<Index>(), 0..8),
    ) {
        let pieces = pieces(&stream, &cuts);
        prop_assert_eq!(decode_in_c(&pieces, 65_535), decode_in_rust(&pieces, 65_535));
    }

    #[test]
    fn headers_are_written_alike(
        kind in proptest::sample::select(Kind::ALL),
        correlation in any::<u32>(),
        source in any::<u32>(),
        destination in any::<u32>(),
        payload in vec(any::<u8>(), 0..40),
        flagged in any::<bool>(),
    ) {
        let flags = match kind {
            Kind::Response | Kind::StatusFull if flagged => Flags::MORE,
            Kind::Hello | Kind::Ping if flagged => Flags::REPLY,
            _ => Flags::NONE,
        };
        let frame = Frame::with_flags(
            kind,
            flags,
            correlation,
            Address(source),
            Address(destination),
            &payload,
        );
        prop_assert_eq!(&ffi::header_encode(&header_of(&frame))[..], &frame.bytes()[..16]);
    }
}
