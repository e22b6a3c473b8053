//! The client's side of WebSocket framing, cut down to what a generator needs.
//!
//! Done here and not with a `WebSocketStream`, so that a batch of messages costs one read or one
//! write and no allocation; a test holds it against tungstenite.

use anyhow::{Result, bail, ensure};
use bytes::{Buf, BytesMut};

const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;
/// Always the same: the server unmasks all the same, and the generator saves the random numbers.
const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// Appends `payload` as one masked binary message.
pub(crate) fn encode(payload: &[u8], out: &mut Vec<u8>) {
    encode_as(BINARY, payload, out);
}

fn encode_as(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(0x80 | opcode);
    match payload.len() {
        length @ 0..=125 => out.push(0x80 | length as u8),
        length @ 126..=65_535 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    let start = out.len();
    out.extend_from_slice(payload);
    let mask = u32::from_ne_bytes(MASK);
    let (words, rest) = out[start..].as_chunks_mut::<4>();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ mask).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(MASK) {
        *byte ^= mask;
    }
}

/// Moves the payloads of all whole frames from `raw` to `plain`; pongs go to `out`.
///
/// # Errors
/// When the server closes, or masks.
pub(crate) fn decode(raw: &mut BytesMut, plain: &mut BytesMut, out: &mut Vec<u8>) -> Result<()> {
    while let &[opening, length, ..] = &raw[..] {
        ensure!(length & 0x80 == 0, "expected an unmasked frame of a server");
        let (head, length) = match (length, &raw[2..]) {
            (126, &[a, b, ..]) => (4, u16::from_be_bytes([a, b]).into()),
            (127, &[a, b, c, d, e, f, g, h, ..]) => {
                (10, u64::from_be_bytes([a, b, c, d, e, f, g, h]) as usize)
            }
            (126 | 127, _) => return Ok(()),
            (length, _) => (2, usize::from(length)),
        };
        if raw.len() < head + length {
            return Ok(());
        }
        let body = &raw[head..head + length];
        match opening & 0x0F {
            0..=2 => plain.extend_from_slice(body),
            CLOSE => bail!("the server closed the WebSocket: {body:?}"),
            PING => encode_as(PONG, body, out),
            _ => {}
        }
        raw.advance(head + length);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{self, Cursor};
    use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocket};

    /// Reads from one buffer and writes into another.
    struct Pipe(Cursor<Vec<u8>>, Vec<u8>);

    impl io::Read for Pipe {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl io::Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn agrees_with_tungstenite() {
        for length in [0, 1, 3, 4, 125, 126, 200, 65_535, 65_536, 100_000] {
            let data: Vec<u8> = (0..length).map(|byte: u32| byte as u8).collect();
            let mut out = Vec::new();
            encode(&data, &mut out);
            let pipe = Pipe(Cursor::new(out), Vec::new());
            let mut server = WebSocket::from_raw_socket(pipe, Role::Server, None);
            assert_eq!(server.read().unwrap(), Message::binary(data.clone()));

            server.send(Message::Ping(vec![9].into())).unwrap();
            server.send(Message::binary(data.clone())).unwrap();
            let sent = server.get_ref().1.clone();
            let (mut raw, mut plain, mut pong) = Default::default();
            for byte in sent {
                BytesMut::extend_from_slice(&mut raw, &[byte]);
                decode(&mut raw, &mut plain, &mut pong).unwrap();
            }
            assert_eq!((&plain[..], raw.len()), (&data[..], 0));
            assert_eq!(pong[0], 0x80 | PONG);
        }
    }

    #[test]
    fn a_close_is_an_error() {
        let mut raw = BytesMut::from(&[0x88, 0][..]);
        assert!(decode(&mut raw, &mut BytesMut::new(), &mut Vec::new()).is_err());
    }
}
