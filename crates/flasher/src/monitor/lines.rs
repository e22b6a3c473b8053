//! Lines out of bytes: of bounded length, and safe to be shown.

use std::{fmt::Write as _, time::Duration};

/// The longest line that is shown as one.
pub const LINE_BYTES_MAX: usize = 1_024;
/// A line that goes on no more is shown as it is: whoever asks for something ends no line.
const PAUSE: Duration = Duration::from_millis(250);

/// How a line ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LineEnd {
    /// As lines do.
    Feed,
    /// It became too long: what follows is shown as the next one.
    Cut,
    /// It paused: what follows is shown as the next one.
    Pause,
    /// The line was unplugged, or its rate changed.
    Gone,
}

/// A line, or a part of one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// When its first byte came.
    pub(super) at: Duration,
    pub(super) bytes: Vec<u8>,
    pub(super) end: LineEnd,
}

/// Splits bytes into lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    held: Vec<u8>,
    begun: Duration,
    last: Duration,
}

impl Lines {
    pub(super) fn byte(&mut self, now: Duration, byte: u8) -> Option<Piece> {
        if self.held.is_empty() {
            self.begun = now;
        }
        self.last = now;
        if byte == b'\n' {
            if self.held.last() == Some(&b'\r') {
                self.held.pop();
            }
            return Some(self.piece(LineEnd::Feed));
        }
        self.held.push(byte);
        (self.held.len() >= LINE_BYTES_MAX).then(|| self.piece(LineEnd::Cut))
    }

    /// When what is held is to be shown as it is.
    pub(super) fn due(&self) -> Option<Duration> {
        // A return alone is the first half of an end.
        let is_something = self.held.iter().any(|byte| *byte != b'\r');
        is_something.then(|| self.last + PAUSE)
    }

    pub(super) fn pass(&mut self, now: Duration) -> Option<Piece> {
        self.due()
            .is_some_and(|due| due <= now)
            .then(|| self.piece(LineEnd::Pause))
    }

    /// What is held, which ends here.
    pub(super) fn end(&mut self) -> Option<Piece> {
        (!self.held.is_empty()).then(|| self.piece(LineEnd::Gone))
    }

    fn piece(&mut self, end: LineEnd) -> Piece {
        Piece {
            at: if self.held.is_empty() {
                self.last
            } else {
                self.begun
            },
            bytes: std::mem::take(&mut self.held),
            end,
        }
    }
}

/// The bytes as text. What is no UTF-8, and what would move a terminal's cursor or change its colours, is written as
/// `\xNN`.
pub(super) fn plain(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() && character != '\t' {
                let mut bytes = [0; 4];
                escape(&mut text, character.encode_utf8(&mut bytes).as_bytes());
            } else {
                text.push(character);
            }
        }
        escape(&mut text, chunk.invalid());
    }
    text
}

fn escape(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let _ = write!(text, "\\x{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_move_a_cursor_is_written_out() {
        for (bytes, text) in [
            (&b"plain\ttext"[..], "plain\ttext"),
            ("21 °C".as_bytes(), "21 °C"),
            (b"\x1b[2J\x07", "\\x1b[2J\\x07"),
            (b"a\xff\xc3(b\xe2\x82", "a\\xff\\xc3(b\\xe2\\x82"),
            ("\u{9b}2J".as_bytes(), "\\xc2\\x9b2J"),
        ] {
            assert_eq!(plain(bytes), text);
        }
    }

    #[test]
    fn lines_are_bounded_and_do_not_wait_for_ever() {
        let at = Duration::from_millis;
        let mut lines = Lines::default();
        let mut pieces = Vec::new();
        let flood = [&[b'x'; 2 * LINE_BYTES_MAX + 3][..], b"\r\n\nprompt> "].concat();
        for byte in flood {
            pieces.extend(lines.byte(at(7), byte));
        }
        let told: Vec<_> = pieces.iter().map(|it| (it.bytes.len(), it.end)).collect();
        assert_eq!(
            told,
            [
                (LINE_BYTES_MAX, LineEnd::Cut),
                (LINE_BYTES_MAX, LineEnd::Cut),
                (3, LineEnd::Feed),
                (0, LineEnd::Feed),
            ]
        );
        assert_eq!(lines.due(), Some(at(257)));
        assert_eq!(lines.pass(at(256)), None);
        let piece = lines.pass(at(257)).unwrap();
        assert_eq!(
            (piece.at, piece.bytes.as_slice(), piece.end),
            (at(7), &b"prompt> "[..], LineEnd::Pause)
        );
        assert_eq!((lines.due(), lines.end()), (None, None));
    }
}
