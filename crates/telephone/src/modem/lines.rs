//! Bytes of a modem made into lines (ITU-T V.250, 5.7), whatever noise there is between them. Pure.

/// The longest line that counts: a message of 176 octets in hexadecimal digits, and twice as much again.
const LINE_BYTES_MAX: usize = 1_024;

/// What has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Line(String),
    /// The modem waits for a message (3GPP TS 27.005, 3.5.1).
    Prompt,
}

/// A line that is not complete yet.
#[derive(Debug, Default)]
pub(super) struct Lines {
    begun: Vec<u8>,
    /// It is longer than any; what is left of it is passed over.
    is_overlong: bool,
}

impl Lines {
    /// Takes the next byte; says what is complete by it. A prompt has no end of line, and is one only where it is
    /// waited for.
    pub(super) fn push(&mut self, byte: u8, prompt_is_due: bool) -> Option<Heard> {
        match byte {
            b'\r' | b'\n' => {
                let line = std::mem::take(&mut self.begun);
                let is_overlong = std::mem::take(&mut self.is_overlong);
                let line = String::from_utf8_lossy(&line);
                let line = line.trim_matches(|it: char| it.is_whitespace() || it.is_control());
                (!is_overlong && !line.is_empty()).then(|| Heard::Line(line.to_owned()))
            }
            b'>' if prompt_is_due && self.begun.iter().all(|it| *it <= b' ') => {
                self.begun.clear();
                Some(Heard::Prompt)
            }
            byte => {
                match self.begun.len() < LINE_BYTES_MAX {
                    true => self.begun.push(byte),
                    false => self.is_overlong = true,
                }
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn heard(bytes: &[u8], prompt_is_due: bool) -> Vec<Heard> {
        let mut lines = Lines::default();
        bytes
            .iter()
            .filter_map(|byte| lines.push(*byte, prompt_is_due))
            .collect()
    }

    #[test]
    fn lines_end_by_either_sign_and_empty_ones_are_none() {
        let line = |text: &str| Heard::Line(text.into());
        assert_eq!(
            heard(b"AT\r\r\nOK\r\n\nBUSY\n", false),
            ["AT", "OK", "BUSY"].map(line)
        );
        assert_eq!(heard(b"\0\0OK\r", false), [line("OK")]);
        assert_eq!(heard(b"OK", false), []);
    }

    #[test]
    fn a_prompt_is_one_only_when_it_is_due() {
        assert_eq!(heard(b"\r\n> ", true), [Heard::Prompt]);
        assert_eq!(heard(b"\r\n> \r\n", false), [Heard::Line(">".into())]);
        assert_eq!(heard(b"a> b\r", true), [Heard::Line("a> b".into())]);
    }

    #[test]
    fn a_line_without_an_end_takes_no_room() {
        let mut bytes = vec![b'x'; LINE_BYTES_MAX * 3];
        bytes.extend(b"\rOK\r");
        assert_eq!(heard(&bytes, false), [Heard::Line("OK".into())]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..4_000), due in any::<bool>()) {
            for heard in heard(&bytes, due) {
                if let Heard::Line(line) = heard {
                    prop_assert!(!line.is_empty() && line.len() <= LINE_BYTES_MAX * 3);
                }
            }
        }
    }
}
