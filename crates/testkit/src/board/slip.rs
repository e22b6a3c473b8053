//! SLIP: packets between two marks, marks inside of them escaped.

/// Opens and closes a packet.
pub(super) const MARK: u8 = 0xc0;
const ESCAPE: u8 = 0xdb;
const ESCAPED_MARK: u8 = 0xdc;
const ESCAPED_ESCAPE: u8 = 0xdd;

/// A packet as it goes over the line.
pub(super) fn encoded(packet: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(packet.len() + packet.len() / 64 + 2);
    line.push(MARK);
    for byte in packet {
        match *byte {
            MARK => line.extend([ESCAPE, ESCAPED_MARK]),
            ESCAPE => line.extend([ESCAPE, ESCAPED_ESCAPE]),
            byte => line.push(byte),
        }
    }
    line.push(MARK);
    line
}

/// Takes packets out of a stream of bytes.
pub(super) struct Decoder {
    packet: Vec<u8>,
    bytes_max: usize,
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Outside,
    Inside,
    AfterEscape,
    /// In a packet that is no packet any more: too long, or badly escaped.
    Spoilt,
}

impl Decoder {
    /// Packets of up to so many bytes; longer ones are passed over.
    pub(super) fn new(bytes_max: usize) -> Self {
        Decoder {
            packet: Vec::new(),
            bytes_max,
            place: Place::Outside,
        }
    }

    /// Reads on. Gives how many bytes it took, and the packet which the last of them closed.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> (usize, Option<Vec<u8>>) {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match (self.place, byte) {
                (Place::Inside, MARK) if !self.packet.is_empty() => {
                    self.place = Place::Outside;
                    return (at + 1, Some(std::mem::take(&mut self.packet)));
                }
                (Place::Spoilt, MARK) => self.place = Place::Outside,
                // Two marks in a row open one packet.
                (Place::Outside | Place::Inside | Place::AfterEscape, MARK) => {
                    let opens = self.place != Place::AfterEscape;
                    self.place = if opens { Place::Inside } else { Place::Outside };
                    self.packet.clear();
                }
                (Place::Outside | Place::Spoilt, _) => {}
                (Place::Inside, ESCAPE) => self.place = Place::AfterEscape,
                (Place::Inside, _) => {
                    // Most of a packet is plain: it is taken by the run.
                    let rest = bytes.get(at..).unwrap_or_default();
                    let plain = |byte: &u8| *byte != MARK && *byte != ESCAPE;
                    let run = rest.iter().position(|byte| !plain(byte));
                    let run = rest.get(..run.unwrap_or(rest.len())).unwrap_or_default();
                    self.push(run);
                    at += run.len();
                    continue;
                }
                (Place::AfterEscape, ESCAPED_MARK) => self.unescaped(MARK),
                (Place::AfterEscape, ESCAPED_ESCAPE) => self.unescaped(ESCAPE),
                (Place::AfterEscape, _) => self.place = Place::Spoilt,
            }
            at += 1;
        }
        (at, None)
    }

    fn unescaped(&mut self, byte: u8) {
        self.place = Place::Inside;
        self.push(&[byte]);
    }

    fn push(&mut self, bytes: &[u8]) {
        if self.packet.len() + bytes.len() > self.bytes_max {
            self.place = Place::Spoilt;
            self.packet.clear();
        } else {
            self.packet.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(stream: &[u8], step: usize) -> Vec<Vec<u8>> {
        let mut decoder = Decoder::new(8);
        let mut found = Vec::new();
        for mut part in stream.chunks(step) {
            while !part.is_empty() {
                let (taken, packet) = decoder.feed(part);
                found.extend(packet);
                part = &part[taken..];
            }
        }
        found
    }

    #[test]
    fn takes_packets_out_of_any_stream() {
        let table: &[(&[u8], &[&[u8]])] = &[
            (b"\xc0ab\xc0", &[b"ab"]),
            (b"noise\xc0ab\xc0noise\xc0cd\xc0", &[b"ab", b"cd"]),
            (b"\xc0\xc0\xc0ab\xc0\xc0cd\xc0", &[b"ab", b"cd"]),
            (b"\xc0\xdb\xdc\xdb\xdd\xc0", &[b"\xc0\xdb"]),
            (b"\xc0a\xdbb\xc0\xc0cd\xc0", &[b"cd"]),
            (b"\xc0a\xdb\xc0\xc0cd\xc0", &[b"cd"]),
            (b"\xc0123456789\xc0\xc0cd\xc0", &[b"cd"]),
            (b"\xc012345678\xc0", &[b"12345678"]),
        ];
        for (stream, expected) in table {
            for step in [1, 2, 3, stream.len()] {
                assert_eq!(packets(stream, step), *expected, "{stream:x?} by {step}");
            }
        }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let all: Vec<u8> = (0..=255).collect();
        let mut decoder = Decoder::new(256);
        let line = encoded(&all);
        assert_eq!(decoder.feed(&line), (line.len(), Some(all)));
    }
}
