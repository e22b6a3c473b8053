//! SIP messages as they are written (RFC 3261 section 7): a start line, header fields, a body.

use std::fmt::Write as _;

/// The longest message that is read or written: what fits into a datagram. Those of a call are a fiftieth of it.
pub const MESSAGE_BYTES_MAX: usize = 65_535;
/// Header fields of one message. A call through ten proxies has about sixty.
const FIELDS_MAX: usize = 200;

/// A message of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What is asked for, or what is answered.
    pub start: Start,
    /// The header fields, in their order.
    pub headers: Headers,
    /// What comes behind them.
    pub body: Vec<u8>,
}

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Somebody asks.
    Request {
        /// `INVITE`, `BYE` and so on; methods differ by case.
        method: String,
        /// Whom it is for.
        uri: String,
    },
    /// Somebody answers.
    Response {
        /// 100 to 699.
        code: u16,
        /// The same for people.
        reason: String,
    },
}

/// Header fields, in their order, by their full names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

/// Bytes that are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// No empty line ends the header fields.
    #[error("expected an empty line behind the header fields")]
    Unfinished,
    /// It is longer than any that is taken.
    #[error("expected a message of at most {max} bytes", max = MESSAGE_BYTES_MAX)]
    TooLong,
    /// The first line is neither a request's nor a response's.
    #[error("expected a request line or a status line")]
    StartLine,
    /// A line is no header field.
    #[error("expected a header field: a name, a colon, a value")]
    Field,
    /// There are too many of them.
    #[error("expected at most {max} header fields", max = FIELDS_MAX)]
    Fields,
    /// The body is shorter than it says, or does not say how long it is where it must.
    #[error("expected a body as long as Content-Length says")]
    Length,
}

/// One-letter names of header fields, and their full ones (RFC 3261 section 7.3.3, RFC 4028, RFC 6665).
const COMPACT: [(&str, &str); 13] = [
    ("c", "Content-Type"),
    ("e", "Content-Encoding"),
    ("f", "From"),
    ("i", "Call-ID"),
    ("k", "Supported"),
    ("l", "Content-Length"),
    ("m", "Contact"),
    ("o", "Event"),
    ("s", "Subject"),
    ("t", "To"),
    ("u", "Allow-Events"),
    ("v", "Via"),
    ("x", "Session-Expires"),
];

impl Message {
    /// A request with nothing in it yet.
    #[must_use]
    pub fn request(method: &str, uri: &str) -> Self {
        Message {
            start: Start::Request {
                method: method.into(),
                uri: uri.into(),
            },
            headers: Headers::default(),
            body: Vec::new(),
        }
    }

    /// An answer to a request, with what every answer takes over from it (RFC 3261 section 8.2.6.2): Via, From,
    /// To with our tag where it has none, Call-ID, CSeq, and Record-Route.
    #[must_use]
    pub fn response(request: &Message, code: u16, reason: &str, tag: &str) -> Self {
        let mut headers = Headers::default();
        for (name, value) in &request.headers.0 {
            let is_copied = ["Via", "From", "Call-ID", "CSeq", "Record-Route"]
                .iter()
                .any(|it| it.eq_ignore_ascii_case(name));
            if is_copied {
                headers.add(name, value);
            } else if name.eq_ignore_ascii_case("To") {
                match crate::sip::header::tag(value) {
                    None if code > 100 && !tag.is_empty() => {
                        headers.add("To", &format!("{value};tag={tag}"));
                    }
                    _ => headers.add("To", value),
                }
            }
        }
        Message {
            start: Start::Response {
                code,
                reason: reason.into(),
            },
            headers,
            body: Vec::new(),
        }
    }

    /// Reads a datagram. Its body ends where Content-Length says, or where the datagram ends (RFC 3261 section
    /// 18.3).
    ///
    /// # Errors
    /// When it is no message.
    pub fn parse(bytes: &[u8]) -> Result<Self, MessageError> {
        if bytes.len() > MESSAGE_BYTES_MAX {
            return Err(MessageError::TooLong);
        }
        // Some send an empty line ahead (RFC 3261 section 7.5).
        let ahead = bytes
            .iter()
            .take_while(|it| matches!(it, b'\r' | b'\n'))
            .count();
        let bytes = &bytes[ahead..];
        let (head_bytes, body_start) = head_of(bytes).ok_or(MessageError::Unfinished)?;
        let mut message = parse_head(&bytes[..head_bytes])?;
        let rest = &bytes[body_start..];
        let body_bytes = message.content_length()?.unwrap_or(rest.len());
        message.body = rest.get(..body_bytes).ok_or(MessageError::Length)?.to_vec();
        Ok(message)
    }

    /// The message as bytes. Content-Length is that of the body, whatever the header fields say.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = String::with_capacity(1024);
        // Writing to a string cannot fail.
        let _ = match &self.start {
            Start::Request { method, uri } => write!(text, "{method} {uri} SIP/2.0\r\n"),
            Start::Response { code, reason } => write!(text, "SIP/2.0 {code:03} {reason}\r\n"),
        };
        for (name, value) in &self.headers.0 {
            if !name.eq_ignore_ascii_case("Content-Length") {
                let _ = write!(text, "{name}: {value}\r\n");
            }
        }
        let _ = write!(text, "Content-Length: {}\r\n\r\n", self.body.len());
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// The method of a request.
    #[must_use]
    pub fn method(&self) -> Option<&str> {
        match &self.start {
            Start::Request { method, .. } => Some(method),
            Start::Response { .. } => None,
        }
    }

    /// The code of a response.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match &self.start {
            Start::Request { .. } => None,
            Start::Response { code, .. } => Some(*code),
        }
    }

    /// Number and method of the request that this is, or that this answers.
    #[must_use]
    pub fn sequence(&self) -> Option<(u32, &str)> {
        let (number, method) = self
            .headers
            .first("CSeq")?
            .split_once(|it: char| it.is_ascii_whitespace())?;
        Some((number.parse().ok()?, method.trim()))
    }

    /// The branch of the topmost Via: which transaction this belongs to.
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        crate::sip::header::parameter(
            crate::sip::header::items(self.headers.first("Via")?).next()?,
            "branch",
        )
    }

    fn content_length(&self) -> Result<Option<usize>, MessageError> {
        match self.headers.first("Content-Length") {
            None => Ok(None),
            Some(text) => match text.parse() {
                Ok(length) if length <= MESSAGE_BYTES_MAX => Ok(Some(length)),
                _ => Err(MessageError::Length),
            },
        }
    }
}

impl Headers {
    /// Adds a field behind the others.
    pub fn add(&mut self, name: &str, value: &str) {
        self.0.push((name.into(), value.into()));
    }

    /// Adds a field ahead of the others.
    pub fn add_first(&mut self, name: &str, value: &str) {
        self.0.insert(0, (name.into(), value.into()));
    }

    /// Puts a field in the place of all of its name.
    pub fn set(&mut self, name: &str, value: &str) {
        match self
            .0
            .iter()
            .position(|(it, _)| it.eq_ignore_ascii_case(name))
        {
            None => self.add(name, value),
            Some(place) => {
                self.0[place].1 = value.into();
                let mut index = 0;
                self.0.retain(|(it, _)| {
                    index += 1;
                    index - 1 <= place || !it.eq_ignore_ascii_case(name)
                });
            }
        }
    }

    /// Puts a field in the place of the first of its name.
    pub(crate) fn set_first(&mut self, name: &str, value: &str) {
        if let Some((_, it)) = self
            .0
            .iter_mut()
            .find(|(it, _)| it.eq_ignore_ascii_case(name))
        {
            *it = value.into();
        }
    }

    /// Takes all fields of a name away.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(it, _)| !it.eq_ignore_ascii_case(name));
    }

    /// The first field of a name.
    #[must_use]
    pub fn first(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(it, _)| it.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// All fields of a name, in their order, not taken apart at commas.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(it, _)| it.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Everything in the fields of a name, taken apart at commas (RFC 3261 section 7.3.1).
    pub fn list<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.all(name).flat_map(crate::sip::header::items)
    }

    /// Whether a list of words has this one, whatever its case.
    #[must_use]
    pub fn has(&self, name: &str, word: &str) -> bool {
        self.list(name).any(|it| it.eq_ignore_ascii_case(word))
    }
}

/// How many bytes the head has, and where the body begins.
fn head_of(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut line_start = 0;
    while let Some(line_bytes) = bytes[line_start..].iter().position(|it| *it == b'\n') {
        let line = &bytes[line_start..line_start + line_bytes];
        if line.is_empty() || line == b"\r" {
            return Some((line_start, line_start + line_bytes + 1));
        }
        line_start += line_bytes + 1;
    }
    None
}

fn parse_head(head: &[u8]) -> Result<Message, MessageError> {
    // Names of people come in other encodings too; what is not UTF-8 in them is not needed.
    let text = String::from_utf8_lossy(head);
    let mut lines = text.lines();
    let start = parse_start(lines.next().unwrap_or_default())?;
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in lines {
        // A carriage return in a value, passed on, would be a line of its own to somebody.
        if line.chars().any(|it| it.is_control() && it != '\t') {
            return Err(MessageError::Field);
        }
        if line.starts_with([' ', '\t']) {
            let (_, value) = fields.last_mut().ok_or(MessageError::Field)?;
            let more = line.trim();
            if !value.is_empty() && !more.is_empty() {
                value.push(' ');
            }
            value.push_str(more);
            continue;
        }
        let (name, value) = line.split_once(':').ok_or(MessageError::Field)?;
        let name = name.trim_end();
        if name.is_empty() || !name.bytes().all(is_token_byte) {
            return Err(MessageError::Field);
        }
        let full = COMPACT
            .iter()
            .find(|(compact, _)| compact.eq_ignore_ascii_case(name))
            .map_or(name, |(_, full)| full);
        if fields.len() == FIELDS_MAX {
            return Err(MessageError::Fields);
        }
        fields.push((full.into(), value.trim().into()));
    }
    Ok(Message {
        start,
        headers: Headers(fields),
        body: Vec::new(),
    })
}

fn parse_start(line: &str) -> Result<Start, MessageError> {
    if line.chars().any(char::is_control) {
        return Err(MessageError::StartLine);
    }
    if let Some(rest) = line.strip_prefix("SIP/2.0 ") {
        let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        return match code.parse::<u16>() {
            Ok(code @ 100..=699) => Ok(Start::Response {
                code,
                reason: reason.trim().into(),
            }),
            _ => Err(MessageError::StartLine),
        };
    }
    let mut words = line.split(' ').filter(|it| !it.is_empty());
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some(method), Some(uri), Some("SIP/2.0"), None) if method.bytes().all(is_token_byte) => {
            Ok(Start::Request {
                method: method.into(),
                uri: uri.into(),
            })
        }
        _ => Err(MessageError::StartLine),
    }
}

/// What a name may be made of (RFC 3261 section 25.1).
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte)
}

/// Messages out of a stream of bytes (RFC 3261 section 18.3): there every one says how long its body is.
#[derive(Debug, Default)]
pub struct Framer {
    bytes: Vec<u8>,
}

impl Framer {
    /// Takes in what has come. Never holds more than [`MESSAGE_BYTES_MAX`] and one such piece.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next message, if all of it is there.
    ///
    /// # Errors
    /// When no message can be made out any more: the stream is of no use from then on.
    pub fn next_message(&mut self) -> Result<Option<Message>, MessageError> {
        // Empty lines between messages keep a connection alive (RFC 5626 section 3.5.1).
        let ahead = self
            .bytes
            .iter()
            .take_while(|it| matches!(it, b'\r' | b'\n'))
            .count();
        self.bytes.drain(..ahead);
        let Some((head_bytes, body_start)) = head_of(&self.bytes) else {
            return match self.bytes.len() > MESSAGE_BYTES_MAX {
                true => Err(MessageError::TooLong),
                false => Ok(None),
            };
        };
        let mut message = parse_head(&self.bytes[..head_bytes])?;
        // Some leave it out where there is no body.
        let end = body_start + message.content_length()?.unwrap_or(0);
        if end > MESSAGE_BYTES_MAX {
            return Err(MessageError::TooLong);
        }
        if self.bytes.len() < end {
            return Ok(None);
        }
        message.body = self.bytes[body_start..end].to_vec();
        self.bytes.drain(..end);
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const INVITE: &str = "INVITE sip:7@pbx SIP/2.0\r\nv: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKa\r\n\
        f: <sip:a@b>;tag=1\r\nTo : <sip:7@pbx>\r\ni: x\r\nCSeq: 1  INVITE\r\nSubject: two\r\n  lines\r\n\
        l: 4\r\n\r\nbodyrest";

    #[test]
    fn a_message_is_read_with_short_names_and_folded_lines() {
        let message = Message::parse(INVITE.as_bytes()).unwrap();
        assert_eq!(message.method(), Some("INVITE"));
        assert_eq!(message.branch(), Some("z9hG4bKa"));
        assert_eq!(message.sequence(), Some((1, "INVITE")));
        assert_eq!(message.headers.first("subject"), Some("two lines"));
        assert_eq!(message.headers.first("TO"), Some("<sip:7@pbx>"));
        assert_eq!(message.body, b"body");
    }

    #[test]
    fn what_is_no_message_is_told() {
        for (text, error) in [
            ("", MessageError::Unfinished),
            ("INVITE sip:7 SIP/2.0\r\n", MessageError::Unfinished),
            ("INVITE sip:7 SIP/3.0\r\n\r\n", MessageError::StartLine),
            ("IN VITE sip:7 SIP/2.0\r\n\r\n", MessageError::StartLine),
            ("SIP/2.0 99 Low\r\n\r\n", MessageError::StartLine),
            ("SIP/2.0 abc\r\n\r\n", MessageError::StartLine),
            ("SIP/2.0 200 OK\r\nnothing\r\n\r\n", MessageError::Field),
            ("SIP/2.0 200 OK\r\n folded\r\n\r\n", MessageError::Field),
            (
                "SIP/2.0 200 OK\r\nTo: a\rVia: b\r\n\r\n",
                MessageError::Field,
            ),
            ("SIP/2.0 200 OK\r\nl: 5\r\n\r\nfour", MessageError::Length),
            ("SIP/2.0 200 OK\r\nl: -1\r\n\r\n", MessageError::Length),
            (
                "SIP/2.0 200 OK\r\nl: 99999999\r\n\r\n",
                MessageError::Length,
            ),
        ] {
            assert_eq!(Message::parse(text.as_bytes()), Err(error), "{text:?}");
        }
        let long = "x".repeat(MESSAGE_BYTES_MAX + 1);
        assert_eq!(Message::parse(long.as_bytes()), Err(MessageError::TooLong));
        let many = format!(
            "SIP/2.0 200 OK\r\n{}\r\n",
            "A: b\r\n".repeat(FIELDS_MAX + 1)
        );
        assert_eq!(Message::parse(many.as_bytes()), Err(MessageError::Fields));
    }

    #[test]
    fn an_answer_takes_over_what_it_must() {
        let request = Message::parse(INVITE.as_bytes()).unwrap();
        let response = Message::response(&request, 486, "Busy Here", "ours");
        let text = String::from_utf8(response.to_bytes()).unwrap();
        assert_eq!(
            text,
            "SIP/2.0 486 Busy Here\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKa\r\nFrom: <sip:a@b>;tag=1\r\n\
             To: <sip:7@pbx>;tag=ours\r\nCall-ID: x\r\nCSeq: 1  INVITE\r\nContent-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn a_field_is_put_in_the_place_of_all_others() {
        let mut headers = Headers::default();
        for (name, value) in [("A", "1"), ("B", "2"), ("a", "3"), ("C", "4")] {
            headers.add(name, value);
        }
        headers.set("A", "5");
        headers.set("D", "6");
        let expected = [("A", "5"), ("B", "2"), ("C", "4"), ("D", "6")];
        assert_eq!(
            headers.0,
            expected.map(|(name, value)| (name.into(), value.into()))
        );
    }

    #[test]
    fn a_stream_is_cut_into_messages() {
        let one = Message::parse(INVITE.as_bytes()).unwrap();
        let mut two = one.clone();
        two.body.clear();
        let stream = [
            b"\r\n\r\n",
            &one.to_bytes()[..],
            b"\r\n\r\n",
            &two.to_bytes(),
        ]
        .concat();
        for step in [1, 7, stream.len()] {
            let mut framer = Framer::default();
            let mut found = Vec::new();
            for piece in stream.chunks(step) {
                framer.push(piece);
                while let Some(message) = framer.next_message().unwrap() {
                    found.push(message.body);
                }
            }
            assert_eq!(found, [b"body".to_vec(), Vec::new()], "{step}");
        }
        let mut framer = Framer::default();
        framer.push(&vec![b'x'; MESSAGE_BYTES_MAX + 1]);
        assert_eq!(framer.next_message(), Err(MessageError::TooLong));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Message::parse(&bytes);
        }

        #[test]
        fn what_is_read_is_written_again(
            text in "(INVITE sip:7|SIP/2.0 [1-6][0-9]{2})( SIP/2.0| [a-zA-Z ]{0,9})\r?\n([vVfFtT]|[A-Za-z-]{2,9}): ?[ -~é]{0,30}\r?\n(\t[ -~]{0,9}\r\n)?\r?\n[ -~]{0,9}"
        ) {
            if let Ok(message) = Message::parse(text.as_bytes()) {
                let again = Message::parse(&message.to_bytes()).unwrap();
                prop_assert_eq!(&again.start, &message.start);
                prop_assert_eq!(&again.body, &message.body);
                let mut headers = again.headers.clone();
                headers.remove("Content-Length");
                let mut expected = message.headers.clone();
                expected.remove("Content-Length");
                prop_assert_eq!(headers, expected);
            }
        }
    }
}
