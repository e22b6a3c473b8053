//! SLIP framing (RFC 1055), in which the loader's requests and answers travel.

const END: u8 = 0xC0;
const ESCAPE: u8 = 0xDB;
const ESCAPED_END: u8 = 0xDC;
const ESCAPED_ESCAPE: u8 = 0xDD;

/// The longest frame that is taken: a whole sector that is read back, its head and its digest, with room to spare. What
/// is longer is noise.
pub(crate) const FRAME_BYTES_MAX: usize = 0x4000 + 64;

/// Appends one frame.
pub(crate) fn encode(payload: &[u8], into: &mut Vec<u8>) {
    into.reserve(payload.len() + 2);
    into.push(END);
    for &byte in payload {
        match byte {
            END => into.extend([ESCAPE, ESCAPED_END]),
            ESCAPE => into.extend([ESCAPE, ESCAPED_ESCAPE]),
            _ => into.push(byte),
        }
    }
    into.push(END);
}

/// What the bytes so far have made.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decoded {
    /// A whole frame.
    Frame(Vec<u8>),
    /// A frame that cannot be: an escape of nothing, or too long. Everything up to the next end is skipped.
    Broken,
}

/// Takes a frame apart that comes in any pieces. What stands between frames, as a boot log does, is passed over.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    frame: Vec<u8>,
    state: State,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing has begun.
    #[default]
    Outside,
    Inside,
    Escaped,
}

impl Decoder {
    /// Takes one byte.
    pub(crate) fn take(&mut self, byte: u8) -> Option<Decoded> {
        match (self.state, byte) {
            (State::Outside, END) => self.begin(),
            // Text of a log between frames.
            (State::Outside, _) => {}
            // Two ends in a row: the first one closed a frame that was not seen to begin.
            (State::Inside, END) if self.frame.is_empty() => {}
            (State::Inside, END) => {
                self.state = State::Outside;
                return Some(Decoded::Frame(std::mem::take(&mut self.frame)));
            }
            (State::Inside, ESCAPE) => self.state = State::Escaped,
            (State::Inside, _) => return self.push(byte),
            (State::Escaped, ESCAPED_END) => {
                self.state = State::Inside;
                return self.push(END);
            }
            (State::Escaped, ESCAPED_ESCAPE) => {
                self.state = State::Inside;
                return self.push(ESCAPE);
            }
            // The frame is lost; its end may as well be the next one's beginning.
            (State::Escaped, END) => {
                self.begin();
                return Some(Decoded::Broken);
            }
            (State::Escaped, _) => return Some(self.give_up()),
        }
        None
    }

    /// Forgets what has begun.
    pub(crate) fn clear(&mut self) {
        self.frame.clear();
        self.state = State::Outside;
    }

    fn begin(&mut self) {
        self.frame.clear();
        self.state = State::Inside;
    }

    fn push(&mut self, byte: u8) -> Option<Decoded> {
        if self.frame.len() == FRAME_BYTES_MAX {
            return Some(self.give_up());
        }
        self.frame.push(byte);
        None
    }

    fn give_up(&mut self) -> Decoded {
        self.clear();
        Decoded::Broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8]) -> Vec<Decoded> {
        let mut decoder = Decoder::default();
        bytes.iter().filter_map(|&it| decoder.take(it)).collect()
    }

    #[test]
    fn frames_come_back_as_they_were() {
        let all: Vec<u8> = (0..=255).collect();
        for payload in [&[0xC0][..], &[0xDB, 0xDC, 0xDD], b"x", &all] {
            let mut bytes = b"ets Jan 8 2013\r\n".to_vec();
            encode(payload, &mut bytes);
            encode(payload, &mut bytes);
            let frame = || Decoded::Frame(payload.to_vec());
            assert_eq!(decode(&bytes), [frame(), frame()]);
        }
    }

    #[test]
    fn a_broken_frame_costs_itself_alone() {
        assert_eq!(
            decode(&[0xC0, 1, 0xDB, 2, 3, 0xC0, 0xC0, 4, 0xC0]),
            [Decoded::Broken, Decoded::Frame(vec![4])]
        );
        assert_eq!(
            decode(&[0xC0, 1, 0xDB, 0xC0, 4, 0xC0]),
            [Decoded::Broken, Decoded::Frame(vec![4])]
        );
        let mut long = vec![0xC0];
        long.resize(FRAME_BYTES_MAX + 2, 7);
        long.extend([0xC0, 4, 0xC0]);
        assert_eq!(decode(&long), [Decoded::Broken, Decoded::Frame(vec![4])]);
    }
}
