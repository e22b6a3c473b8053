//! What comes before and around frames: the PROXY header, hellos, WebSocket messages, Noise records, TLS.

use super::{Choices, pieces};
use crate::{
    handshake::{HELLO_BYTES_MAX, check_message_1, hello_source, wishes_of},
    hello::read_hello,
    keys::Keys,
    proxy::parse_header,
    store::ControllerKey,
    tls::Session,
    wire::{NoiseWire, Step, WebWire, Wire, check_whole},
};
use bytes::{Bytes, BytesMut};
use rustls::ServerConfig;
use std::sync::Arc;
use switchyard_protocol::{
    Code, Frame, FrameRef, limits,
    message::{ControllerHello, ToolHello},
};

/// The header of a proxy: however much of it is there, what is said of it is said of more as well.
pub fn proxy(data: &[u8]) {
    let whole = parse_header(data);
    match whole {
        Ok(Some((_, length))) => {
            assert!(length <= data.len());
            assert_eq!(parse_header(&data[..length]), whole, "what follows counts");
            for cut in [length / 2, length.saturating_sub(1)] {
                assert_eq!(parse_header(&data[..cut]), Ok(None), "cut at {cut}");
            }
        }
        Ok(None) => {
            for cut in [0, data.len() / 2] {
                assert_eq!(parse_header(&data[..cut]), Ok(None), "cut at {cut}");
            }
        }
        // It may be seen before all of it is there, and then it stays.
        Err(_) => {
            for cut in [data.len() / 2, data.len().saturating_sub(1)] {
                let part = parse_header(&data[..cut]);
                assert!(part == Ok(None) || part == whole, "{part:?}, {whole:?}");
            }
        }
    }
}

/// Everything that a wire makes of bytes that come in pieces, as the yard reads it, and why it ended.
fn unwrap<'a>(
    wire: &mut Wire,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> (Vec<Vec<u8>>, Result<(), Code>) {
    let (mut messages, mut buffer) = (Vec::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        let mut at = 0;
        loop {
            match wire.next(&mut buffer, &mut at) {
                Ok(Step::Frames(range) | Step::Stream(range)) => {
                    messages.push(buffer[range].to_vec());
                }
                Ok(Step::Message(bytes)) => messages.push(bytes),
                Ok(Step::Incomplete) => break,
                Err(code) => return (messages, Err(code)),
            }
        }
        assert!(at <= buffer.len());
        buffer.drain(..at);
    }
    (messages, Ok(()))
}

/// Goes through frames that were found whole.
fn walk(message: &[u8], payload_bytes_max: usize) {
    if check_whole(message, payload_bytes_max).is_err() {
        return;
    }
    let mut rest = message;
    while !rest.is_empty() {
        let split = FrameRef::split(rest, payload_bytes_max);
        let (frame, after) = split.expect("good headers").expect("whole frames");
        assert!(frame.payload().len() <= payload_bytes_max);
        rest = after;
    }
}

/// A tool's WebSocket, from its first byte on: in whatever pieces it comes, the same messages come out.
pub fn web(data: &[u8]) {
    let mut choices = Choices(data);
    let count = choices.below(8);
    let lengths = choices.bytes(count);
    let bytes = choices.0;
    let wire = || Wire::Web(Box::<WebWire>::default());
    let whole = unwrap(&mut wire(), std::iter::once(bytes));
    let in_pieces = unwrap(&mut wire(), pieces(bytes, lengths));
    assert_eq!(whole, in_pieces);
    for message in whole.0 {
        assert!(message.len() <= limits::TOOL_MESSAGE_BYTES_MAX);
        walk(&message, limits::PAYLOAD_BYTES_MAX);
    }
}

/// Records that a controller with the right keys sends, whatever is in them, and one byte of them changed on
/// the way: nothing but what was sent is ever read.
pub fn noise(data: &[u8]) {
    let mut choices = Choices(data);
    let (flip, at) = (choices.byte(), choices.byte());
    let record_bytes_max = limits::RECORD_BYTES_MIN as u16 + u16::from(choices.byte()) * 8;
    let (up, down) = ([1; 32], [2; 32]);
    let mut controller = NoiseWire::new(down, up, record_bytes_max);
    let (mut plain, mut stream) = (Vec::new(), Vec::new());
    while !choices.is_over() {
        let length = usize::from(choices.byte()) * 5;
        let piece = choices.bytes(length);
        controller.seal(piece, &mut stream);
        plain.push(piece.to_vec());
    }
    let lengths = [at, 0, flip];
    let wire = || Wire::Noise(Box::new(NoiseWire::new(up, down, record_bytes_max)));
    let (read, outcome) = unwrap(&mut wire(), pieces(&stream, &lengths));
    assert!(plain.starts_with(&read));
    assert!(outcome.is_err() || read == plain);
    for message in &read {
        assert!(message.len() + limits::RECORD_TAG_BYTES <= usize::from(record_bytes_max));
        walk(message, wire().payload_bytes_max());
    }
    if flip != 0
        && let Some(place) = usize::from(at).checked_rem(stream.len())
    {
        stream[place] ^= flip;
        let (changed, outcome) = unwrap(&mut wire(), pieces(&stream, &lengths));
        assert!(plain.starts_with(&changed));
        assert!(
            outcome.is_err() || changed.len() < plain.len(),
            "it was not noticed"
        );
    }
    // And whatever a stranger sends.
    let (read, _) = unwrap(&mut wire(), std::iter::once(data));
    assert!(read.is_empty(), "a stranger has made a record");
}

/// What is said before anybody is known: a tool's first message, a controller's first two frames.
pub fn hello(data: &[u8]) {
    let mut choices = Choices(data);
    if choices.byte() & 1 == 0 {
        if let Ok((_, hello, frames)) = read_hello(choices.0) {
            assert_eq!(ToolHello::decode(&hello.encode()), Ok(hello));
            if !frames.is_empty() {
                assert_eq!(check_whole(frames, limits::PAYLOAD_BYTES_MAX), Ok(()));
            }
        }
        return;
    }
    let mut buffer = BytesMut::from(choices.0);
    let Ok(Some(first)) = Frame::decode(&mut buffer, HELLO_BYTES_MAX) else {
        return;
    };
    let Ok(address) = hello_source(first.header()) else {
        return;
    };
    assert!(address.is_controller());
    let Ok(wishes) = wishes_of(first.payload()) else {
        return;
    };
    assert_eq!(ControllerHello::decode(&wishes.encode()), Ok(wishes));
    let Ok(Some(second)) = Frame::decode(&mut buffer, HELLO_BYTES_MAX) else {
        return;
    };
    if check_message_1(&second, address).is_err() {
        return;
    }
    let prologue: &Bytes = first.bytes();
    let keys = Keys::from(ControllerKey([9; 32]));
    for known in [None, Some(&keys)] {
        let read = Keys::read_message_1(known, prologue, second.payload());
        let Err(code) = read else {
            panic!("somebody has guessed a key");
        };
        assert!(matches!(code, Code::HandshakeFailed | Code::Malformed));
    }
}

/// A client's TLS records in pieces, to a gateway of this configuration.
pub fn tls(config: &Arc<ServerConfig>, data: &[u8]) {
    let mut choices = Choices(data);
    let count = choices.below(8);
    let lengths = choices.bytes(count);
    let bytes = choices.0;
    let read = |lengths: &[u8]| {
        let mut session = Session::new(Arc::clone(config)).expect("a configuration that works");
        let (mut plain, mut output) = (Vec::new(), Vec::new());
        for piece in pieces(bytes, lengths) {
            let outcome = session.open(&mut piece.to_vec(), &mut plain);
            session.take_output(&mut output);
            if let Err(fault) = outcome {
                let ended = session.open(&mut piece.to_vec(), &mut Vec::new());
                assert!(ended.is_err(), "it goes on after its end");
                return Err(fault.code());
            }
        }
        assert!(plain.is_empty(), "nothing was agreed with anybody");
        Ok(session.is_handshaking())
    };
    assert_eq!(read(&[]), read(lengths));
}
