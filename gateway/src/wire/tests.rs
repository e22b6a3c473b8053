//! Whatever the pieces in which bytes come, the same frames come out; and what goes out is what the
//! other side's library reads.

use super::*;
use crate::tls::Session;
use proptest::{collection::vec, prelude::*};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, SupportedProtocolVersion,
};
use std::{
    io::{self, Cursor, Read, Write},
    sync::{Arc, LazyLock},
};
use switchyard_protocol::{Address, Frame, Kind};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::{Role, WebSocket, frame::CloseFrame, frame::coding::CloseCode},
};

/// A tool's end of a WebSocket, without a socket: what it writes lies in `written`.
struct Pipe {
    unread: Cursor<Vec<u8>>,
    written: Vec<u8>,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.unread.read(buffer)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }
}

impl Write for Pipe {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.written.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn tool(unread: Vec<u8>) -> WebSocket<Pipe> {
    let pipe = Pipe {
        unread: Cursor::new(unread),
        written: Vec::new(),
    };
    WebSocket::from_raw_socket(pipe, Role::Client, None)
}

/// A tool that has said batches of frames, some with a ping behind them; and all the frames.
fn telling_tool(batches: &[(Vec<u8>, bool)]) -> (WebSocket<Pipe>, Vec<u8>) {
    let mut tool = tool(Vec::new());
    let mut plain = Vec::new();
    for (batch, with_ping) in batches {
        tool.send(Message::binary(batch.clone())).unwrap();
        plain.extend_from_slice(batch);
        if *with_ping {
            tool.send(Message::Ping(b"there?".as_slice().into()))
                .unwrap();
        }
    }
    (tool, plain)
}

fn frame(correlation: u32, payload_bytes: usize) -> Vec<u8> {
    let payload = vec![correlation as u8; payload_bytes];
    let frame = Frame::new(
        Kind::Query,
        correlation,
        Address(7),
        Address::GATEWAY,
        &payload,
    );
    frame.into_bytes().to_vec()
}

/// Some whole frames, one after the other.
fn batch() -> impl Strategy<Value = Vec<u8>> {
    vec((any::<u32>(), 0..300_usize), 1..5).prop_map(|frames| {
        let frames = frames.into_iter();
        frames.flat_map(|(it, bytes)| frame(it, bytes)).collect()
    })
}

/// Feeds bytes in pieces, as the yard does: what is left over comes again with what follows. Gives
/// the plain bytes, and the code of the first fault.
fn feed(wire: &mut Wire, bytes: &[u8], cuts: &[usize]) -> (Vec<u8>, Option<Code>) {
    let (mut plain, mut rest) = (Vec::new(), Vec::new());
    let mut pieces = Vec::new();
    let mut left = bytes;
    for cut in cuts {
        let (piece, after) = left.split_at(left.len().min(*cut));
        pieces.push(piece);
        left = after;
    }
    pieces.push(left);
    for piece in pieces {
        let (mut piece, mut scratch) = (piece.to_vec(), Vec::new());
        let (piece, outcome) = wire.decrypt(&mut piece, &mut scratch);
        rest.extend_from_slice(piece);
        let mut at = 0;
        loop {
            match wire.next(&mut rest, &mut at) {
                Ok(Step::Incomplete) => break,
                Ok(Step::Frames(range)) => plain.extend_from_slice(&rest[range]),
                Ok(Step::Message(bytes)) => plain.extend(bytes),
                Ok(Step::Stream(range)) => {
                    let mut stream = &rest[range.clone()];
                    while let Ok(Some((frame, after))) =
                        FrameRef::split(stream, wire.payload_bytes_max())
                    {
                        plain.extend_from_slice(frame.bytes());
                        stream = after;
                    }
                    at = range.end - stream.len();
                    break;
                }
                Err(code) => return (plain, Some(code)),
            }
        }
        rest.drain(..at);
        if let Err(code) = outcome {
            return (plain, Some(code));
        }
    }
    (plain, None)
}

/// Wraps a batch as a connection does.
fn wrap(wire: &mut Wire, frames: &[u8]) -> Vec<u8> {
    let mut batch = vec![0; wire.room_before()];
    batch.extend_from_slice(frames);
    let from = wire.wrap(&mut batch, &mut Vec::new()).unwrap();
    batch.split_off(from)
}

const NOISE: &str = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2b";

/// A controller by `snow`, and the gateway's side of its link.
fn link(record_bytes_max: u16) -> (snow::TransportState, Wire) {
    let builder = || {
        let builder = snow::Builder::new(NOISE.parse().unwrap());
        builder.psk(0, &[7; 32]).unwrap()
    };
    let mut initiator = builder().build_initiator().unwrap();
    let mut responder = builder().build_responder().unwrap();
    let (mut message, mut nothing) = ([0; 128], [0; 0]);
    let length = initiator.write_message(&[], &mut message).unwrap();
    responder
        .read_message(&message[..length], &mut nothing)
        .unwrap();
    let length = responder.write_message(&[], &mut message).unwrap();
    initiator
        .read_message(&message[..length], &mut nothing)
        .unwrap();
    let (receive, send) = responder.dangerously_get_raw_split();
    let wire = Wire::Noise(Box::new(NoiseWire::new(receive, send, record_bytes_max)));
    (initiator.into_transport_mode().unwrap(), wire)
}

fn seal(controller: &mut snow::TransportState, frames: &[u8]) -> Vec<u8> {
    let mut record = vec![0; 2 + frames.len() + limits::RECORD_TAG_BYTES];
    let length = controller.write_message(frames, &mut record[2..]).unwrap();
    record[..2].copy_from_slice(&(length as u16).to_be_bytes());
    record
}

/// Both versions of TLS that are spoken.
const TLS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];

/// What both ends of a TLS connection are made from, for either version.
struct Ends {
    server: Arc<ServerConfig>,
    clients: [Arc<ClientConfig>; 2],
}

static ENDS: LazyLock<Ends> = LazyLock::new(|| {
    let own = rcgen::generate_simple_self_signed(["yard.test".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = own.signing_key.serialize_der().try_into().unwrap();
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(own.cert.der().clone()).unwrap();
    let clients = TLS.map(|version| {
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        Arc::new(config)
    });
    Ends {
        server: Arc::new(server),
        clients,
    }
});

/// All that a client wants to write.
fn written(client: &mut ClientConnection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut bytes).unwrap();
    }
    bytes
}

/// Lets a client read everything; what was in it.
fn read(client: &mut ClientConnection, mut bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    while !bytes.is_empty() && client.read_tls(&mut bytes).unwrap() > 0 {
        client.process_new_packets().unwrap();
        // Nothing more may be there for now, or for ever.
        let _ = client.reader().read_to_end(&mut plain);
    }
    plain
}

/// Has a client say something; its records.
fn say(client: &mut ClientConnection, mut plain: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !plain.is_empty() {
        let count = client.writer().write(plain).unwrap();
        plain = &plain[count..];
        bytes.extend(written(client));
    }
    bytes
}

/// Both ends before the first word.
fn strangers(version: usize) -> (ClientConnection, Session) {
    let config = Arc::clone(&ENDS.clients[version]);
    let client = ClientConnection::new(config, "yard.test".try_into().unwrap()).unwrap();
    (client, Session::new(Arc::clone(&ENDS.server)).unwrap())
}

/// Takes a handshake to its end, in pieces of so many bytes.
fn shake_hands(client: &mut ClientConnection, session: &mut Session, piece_bytes: usize) {
    let mut plain = Vec::new();
    while client.is_handshaking() || session.is_handshaking() || client.wants_write() {
        for piece in written(client).chunks_mut(piece_bytes) {
            session.open(piece, &mut plain).unwrap();
        }
        let mut bytes = Vec::new();
        session.take_output(&mut bytes);
        assert!(read(client, &bytes).is_empty());
    }
    assert!(plain.is_empty());
}

/// A tool's TLS, and the gateway's side of its link.
fn tls(version: usize) -> (ClientConnection, Wire) {
    let (mut client, mut session) = strangers(version);
    shake_hands(&mut client, &mut session, usize::MAX);
    let wire = TlsWire::new(session, WebWire::default());
    (client, Wire::Tls(Box::new(wire)))
}

proptest! {
    #[test]
    fn tls_may_be_cut_anywhere(
        batches in vec((batch(), any::<bool>()), 1..4),
        cuts in vec(0..300_usize, 0..12),
        record_bytes in 1..700_usize,
        version in 0..2_usize,
    ) {
        let (mut client, mut wire) = tls(version);
        let (tool, plain) = telling_tool(&batches);
        let mut bytes = Vec::new();
        for (number, record) in tool.get_ref().written.chunks(record_bytes).enumerate() {
            bytes.extend(say(&mut client, record));
            if number == 1 && version == 0 {
                client.refresh_traffic_keys().unwrap();
            }
        }
        let fed = feed(&mut wire, &bytes, &cuts);
        prop_assert_eq!(fed, (plain, None));
        prop_assert_eq!(wire.has_control(), batches.iter().any(|(_, with_ping)| *with_ping));
        let answer = wrap(&mut wire, &batches[0].0);
        prop_assert!(read(&mut client, &answer).ends_with(&batches[0].0));
    }

    #[test]
    fn a_handshake_may_be_cut_anywhere(piece_bytes in 1..600_usize, version in 0..2_usize) {
        let (mut client, mut session) = strangers(version);
        shake_hands(&mut client, &mut session, piece_bytes);
        let mut plain = Vec::new();
        session.open(&mut say(&mut client, b"hello"), &mut plain).unwrap();
        prop_assert_eq!(plain, b"hello");
    }

    #[test]
    fn tools_read_what_is_sealed(batches in vec(batch(), 1..4), version in 0..2_usize) {
        let (mut client, mut wire) = tls(version);
        let mut bytes = Vec::new();
        for batch in &batches {
            bytes.extend(wrap(&mut wire, batch));
        }
        let mut tool = tool(read(&mut client, &bytes));
        for batch in batches {
            prop_assert_eq!(tool.read().unwrap(), Message::binary(batch));
        }
    }

    #[test]
    fn a_changed_tls_record_opens_nothing(
        frames in batch(),
        cuts in vec(0..300_usize, 0..4),
        at in any::<prop::sample::Index>(),
        bit in 0..8,
        version in 0..2_usize,
    ) {
        let (mut client, mut wire) = tls(version);
        let mut bytes = say(&mut client, &masked(0x82, &frames));
        // A head says nothing that its record has not to prove.
        let at = at.index(bytes.len() - 5) + 5;
        bytes[at] ^= 1u8 << bit;
        prop_assert_eq!(feed(&mut wire, &bytes, &cuts), (Vec::new(), Some(Code::BadRecord)));
        // It is told why, and nothing else is said to whoever that is.
        let farewell = wrap(&mut wire, &frames);
        prop_assert!((1..60).contains(&farewell.len()), "{}", farewell.len());
        prop_assert!(!wire.has_control() && !wire.say_goodbye());
        prop_assert!(wrap(&mut wire, &frames).is_empty());
    }

    #[test]
    fn no_bytes_make_tls_panic(
        bytes in vec(any::<u8>(), 0..400),
        head in prop::option::of((20..25_u8, 0..600_u16)),
        cuts in vec(0..60_usize, 0..6),
        version in 0..2_usize,
        is_live in any::<bool>(),
    ) {
        let mut all = Vec::new();
        if let Some((kind, length)) = head {
            all.extend([kind, 3, 3]);
            all.extend(length.to_be_bytes());
        }
        all.extend(bytes);
        let mut wire = match is_live {
            true => tls(version).1,
            false => Wire::Tls(Box::new(TlsWire::new(strangers(version).1, WebWire::default()))),
        };
        feed(&mut wire, &all, &cuts);
        wire.say_goodbye();
        let _ = wire.wrap(&mut vec![0; wire.room_before()], &mut Vec::new());
    }

    #[test]
    fn a_stream_may_be_cut_anywhere(frames in batch(), cuts in vec(0..200_usize, 0..12)) {
        let mut wire = Wire::Clear { record_bytes_max: 1_056 };
        prop_assert_eq!(feed(&mut wire, &frames, &cuts), (frames.clone(), None));
        prop_assert_eq!(wrap(&mut wire, &frames), frames);
    }

    #[test]
    fn records_may_be_cut_anywhere(batches in vec(batch(), 1..4), cuts in vec(0..400_usize, 0..12)) {
        let (mut controller, mut wire) = link(16_384);
        let mut bytes = Vec::new();
        for batch in &batches {
            bytes.extend(seal(&mut controller, batch));
        }
        prop_assert_eq!(feed(&mut wire, &bytes, &cuts), (batches.concat(), None));
    }

    #[test]
    fn records_are_full_of_whole_frames(frames in batch(), record_bytes_max in 400..2_000_u16) {
        let (mut controller, mut wire) = link(record_bytes_max);
        let wrapped = wrap(&mut wire, &frames);
        let (mut rest, mut plain, mut records) = (&wrapped[..], Vec::new(), 0);
        while let Some((head, after)) = rest.split_first_chunk() {
            let length = usize::from(u16::from_be_bytes(*head));
            prop_assert!(length <= usize::from(record_bytes_max));
            let mut opened = vec![0; length];
            let count = controller.read_message(&after[..length], &mut opened).unwrap();
            prop_assert_eq!(check_whole(&opened[..count], 65_535), Ok(()));
            plain.extend_from_slice(&opened[..count]);
            (rest, records) = (&after[length..], records + 1);
        }
        let most = frames.len() / (usize::from(record_bytes_max) - 16 - 316) + 1;
        prop_assert!(records <= most, "{} records for {} bytes", records, frames.len());
        prop_assert_eq!(plain, frames);
    }

    #[test]
    fn a_changed_record_opens_nothing(frames in batch(), at in any::<prop::sample::Index>(), bit in 0..8) {
        let (mut controller, mut wire) = link(16_384);
        let mut bytes = seal(&mut controller, &frames);
        let at = at.index(bytes.len() - 2) + 2;
        bytes[at] ^= 1u8 << bit;
        prop_assert_eq!(feed(&mut wire, &bytes, &[]), (Vec::new(), Some(Code::BadRecord)));
    }

    #[test]
    fn messages_may_be_cut_anywhere(
        batches in vec((batch(), any::<bool>()), 1..4),
        cuts in vec(0..300_usize, 0..12),
    ) {
        let (tool, plain) = telling_tool(&batches);
        let mut wire = Wire::Web(Box::default());
        let fed = feed(&mut wire, &tool.get_ref().written, &cuts);
        prop_assert_eq!(fed, (plain, None));
        prop_assert_eq!(wire.has_control(), batches.iter().any(|(_, with_ping)| *with_ping));
    }

    #[test]
    fn fragments_are_put_together(message in batch(), sizes in vec(0..200_usize, 1..5), cuts in vec(0..90_usize, 0..9)) {
        let mut bytes = Vec::new();
        let mut left = &message[..];
        for (index, size) in sizes.iter().enumerate() {
            let (piece, after) = left.split_at(left.len().min(*size));
            bytes.extend(masked(if index == 0 { 0x02 } else { 0x00 }, piece));
            // Control frames may stand between fragments (RFC 6455 §5.4).
            bytes.extend(masked(0x8A, b"pong"));
            left = after;
        }
        bytes.extend(masked(0x80, left));
        let mut wire = Wire::Web(Box::default());
        prop_assert_eq!(feed(&mut wire, &bytes, &cuts), (message, None));
    }

    #[test]
    fn tools_read_what_is_wrapped(batches in vec(batch(), 1..4), with_pong in any::<bool>()) {
        let mut wire = Wire::Web(Box::default());
        if with_pong {
            feed(&mut wire, &masked(0x89, b"there?"), &[]);
        }
        let mut bytes = Vec::new();
        for batch in &batches {
            bytes.extend(wrap(&mut wire, batch));
        }
        let mut tool = tool(bytes);
        if with_pong {
            prop_assert_eq!(tool.read().unwrap(), Message::Pong(b"there?".as_slice().into()));
        }
        for batch in batches {
            prop_assert_eq!(tool.read().unwrap(), Message::binary(batch));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..400), cuts in vec(0..60_usize, 0..6)) {
        for mut wire in [Wire::Clear { record_bytes_max: 264 }, link(264).1, Wire::Web(Box::default())] {
            feed(&mut wire, &bytes, &cuts);
        }
    }
}

/// A client's frame, with a mask that is not zero.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..=125 => bytes.push(0x80 | length as u8),
        length => {
            bytes.push(0x80 | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
    }
    let mask = [0x37, 0xFA, 0x21, 0x3D];
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(a, b)| a ^ b));
    bytes
}

#[test]
fn what_breaks_the_framing_is_named() {
    let fragment_flood = [masked(0x02, &[0; 60_000]), masked(0x00, &[0; 6_000])].concat();
    for (name, bytes, expected) in [
        ("text", masked(0x81, b"hello"), Code::Malformed),
        ("a reserved bit", masked(0xC2, b"hello"), Code::Malformed),
        ("an unknown opcode", masked(0x83, b""), Code::Malformed),
        ("no mask", vec![0x82, 0x01, 0x00], Code::Malformed),
        ("a fragmented ping", masked(0x09, b""), Code::Malformed),
        ("a long ping", masked(0x89, &[0; 126]), Code::Malformed),
        (
            "a continuation of nothing",
            masked(0x80, b""),
            Code::Malformed,
        ),
        (
            "a message within a message",
            [masked(0x02, b"a"), masked(0x82, b"b")].concat(),
            Code::Malformed,
        ),
        (
            "a length that is longer than it need be",
            vec![0x82, 0x80 | 126, 0, 125, 0, 0, 0, 0],
            Code::Malformed,
        ),
        (
            "a message that is too long, by its head alone",
            vec![0x82, 0x80 | 127, 0, 0, 0, 0, 0, 1, 0, 16],
            Code::TooLarge,
        ),
        (
            "fragments that are too long",
            fragment_flood,
            Code::TooLarge,
        ),
        (
            "the longest fragment that there is",
            [
                masked(0x02, b"a"),
                [&[0x80][..], &[0xFF; 9], &[0; 4]].concat(),
            ]
            .concat(),
            Code::TooLarge,
        ),
        ("a close", masked(0x88, &[0x03, 0xE8]), Code::LinkLost),
    ] {
        let mut wire = Wire::Web(Box::default());
        assert_eq!(feed(&mut wire, &bytes, &[]).1, Some(expected), "{name}");
    }
}

#[test]
fn the_largest_message_is_taken() {
    let largest = frame(1, limits::PAYLOAD_BYTES_MAX);
    let mut tool = tool(Vec::new());
    tool.send(Message::binary(largest.clone())).unwrap();
    let mut wire = Wire::Web(Box::default());
    let fed = feed(&mut wire, &tool.get_ref().written, &[10, 1_000]);
    assert!(fed == (largest, None));
}

#[test]
fn a_close_is_answered_once_and_said_once() {
    let mut wire = Wire::Web(Box::default());
    feed(
        &mut wire,
        &masked(0x88, &[0x03, 0xE8, b'b', b'y', b'e']),
        &[],
    );
    assert!(!wire.say_goodbye(), "the answer is the good-bye");
    let mut tool = tool(wrap(&mut wire, &[]));
    let Message::Close(Some(CloseFrame { code, .. })) = tool.read().unwrap() else {
        panic!("expected the status code back");
    };
    assert_eq!(code, CloseCode::Normal);

    let mut wire = Wire::Web(Box::default());
    assert!(wire.say_goodbye());
    assert!(!wire.say_goodbye());
    assert_eq!(wrap(&mut wire, &[]), [0x88, 0]);
}

#[test]
fn a_record_is_judged_by_its_length() {
    for (length, expected) in [
        (265_u16, Code::TooLarge),
        (16, Code::Malformed),
        (0, Code::Malformed),
    ] {
        let (_, mut wire) = link(264);
        let fed = feed(&mut wire, &length.to_be_bytes(), &[]);
        assert_eq!(fed, (Vec::new(), Some(expected)));
    }
}

#[test]
fn frames_that_no_record_carries_are_left_out() {
    let (mut controller, mut wire) = link(264);
    let frames = [frame(1, 10), frame(2, 400), frame(3, 10)].concat();
    let record = wrap(&mut wire, &frames);
    let (mut plain, mut at) = (Vec::new(), 0);
    while at < record.len() {
        let length = usize::from(u16::from_be_bytes([record[at], record[at + 1]]));
        let mut opened = [0; 264];
        let sealed = &record[at + 2..at + 2 + length];
        let count = controller.read_message(sealed, &mut opened).unwrap();
        plain.extend_from_slice(&opened[..count]);
        at += 2 + length;
    }
    assert_eq!(plain, [frame(1, 10), frame(3, 10)].concat());
}

#[test]
fn the_largest_message_is_taken_by_tls() {
    for version in 0..2 {
        let (mut client, mut wire) = tls(version);
        let largest = frame(1, limits::PAYLOAD_BYTES_MAX);
        let mut tool = tool(Vec::new());
        tool.send(Message::binary(largest.clone())).unwrap();
        let bytes = say(&mut client, &tool.get_ref().written);
        let fed = feed(&mut wire, &bytes, &[10, 1_000, 40_000]);
        assert!(fed == (largest.clone(), None));
        let wrapped = wrap(&mut wire, &largest);
        assert!(read(&mut client, &wrapped).ends_with(&largest));
    }
}

#[test]
fn tls_ends_in_its_own_words() {
    for version in 0..2 {
        // The gateway closes: a close frame, and then TLS's word for it; nothing follows.
        let (mut client, mut wire) = tls(version);
        assert!(wire.say_goodbye() && wire.has_control());
        assert_eq!(read(&mut client, &wrap(&mut wire, &[])), [0x88, 0]);
        assert!(client.process_new_packets().unwrap().peer_has_closed());
        assert!(!wire.say_goodbye() && !wire.has_control());
        assert!(wrap(&mut wire, &frame(1, 10)).is_empty());

        // The tool closes its WebSocket: the answer comes with the same word.
        let (mut client, mut wire) = tls(version);
        let close = say(&mut client, &masked(0x88, &[0x03, 0xE8]));
        assert_eq!(feed(&mut wire, &close, &[]).1, Some(Code::LinkLost));
        assert!(wire.has_control());
        assert_eq!(
            read(&mut client, &wrap(&mut wire, &[])),
            [0x88, 2, 0x03, 0xE8]
        );
        assert!(client.process_new_packets().unwrap().peer_has_closed());

        // The tool closes TLS alone: that is answered too, after what it has said before.
        let (mut client, mut wire) = tls(version);
        let mut bytes = say(&mut client, &masked(0x82, &frame(1, 10)));
        client.send_close_notify();
        bytes.extend(written(&mut client));
        assert_eq!(
            feed(&mut wire, &bytes, &[]),
            (frame(1, 10), Some(Code::LinkLost))
        );
        assert!(wire.has_control());
        assert!(read(&mut client, &wrap(&mut wire, &[])).is_empty());
        assert!(client.process_new_packets().unwrap().peer_has_closed());
        assert!(!wire.say_goodbye() && !wire.has_control());
    }
}

#[test]
fn a_flood_of_half_a_handshake_is_given_up() {
    // A message of 16 MB is begun and goes on in ever more records.
    let (_, mut session) = strangers(0);
    let mut record = vec![22, 3, 3, 0x10, 0];
    record.resize(5 + 0x1000, 0);
    let mut first = record.clone();
    first[5..9].copy_from_slice(&[1, 0xFF, 0xFF, 0xFF]);
    let mut taken = 0;
    let mut next = first;
    while session.open(&mut next, &mut Vec::new()).is_ok() {
        taken += next.len();
        assert!(taken < 100_000);
        next = record.clone();
    }
    assert!(session.is_closed());
}

#[test]
fn half_a_handshake_message_does_not_stop_what_goes_out() {
    // The message goes on in the next record; meanwhile the gateway may have something to say.
    for length in [3, 4, 5, 40] {
        let (_, mut session) = strangers(0);
        let mut record = vec![22, 3, 3, 0, length];
        record.extend([1, 0, 0, 200]);
        record.resize(5 + usize::from(length), 0);
        session
            .open(&mut record[..5 + usize::from(length)], &mut Vec::new())
            .unwrap();
        assert!(
            session.seal(b"hello", &mut Vec::new()).is_err(),
            "there are no keys yet"
        );
        session.close();
        assert!(session.is_closed());
    }
}
