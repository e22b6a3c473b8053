//! Which sound goes where: descriptions of a session (RFC 8866), offered and answered (RFC 3264).
//!
//! A telephone needs one stream of sound: G.711 by either law, in packets of 20 ms, and keys as events (RFC 4733).

use crate::media::g711::Law;
use std::{
    fmt::Write as _,
    net::{IpAddr, SocketAddr},
};

/// The longest description that is read. Those of telephone systems have a twentieth of it.
const DESCRIPTION_BYTES_MAX: usize = 16 * 1024;
/// The payload type for events that we offer: what most systems expect, as the static ones end below 96.
pub const EVENTS_OFFERED: u8 = 101;

/// Which way sound goes, said from the side of whoever says it (RFC 8866 section 6.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Both ways.
    SendReceive,
    /// The speaker sends alone.
    SendOnly,
    /// The speaker listens alone.
    ReceiveOnly,
    /// Neither way.
    Inactive,
}

/// A description, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Where the speaker wants its sound. A host that is not an address, as in `c=IN IP4 a.name`, is not asked for.
    pub sound_address: Option<SocketAddr>,
    /// The laws of G.711 that it takes, the one it likes best first.
    pub laws: Vec<Law>,
    /// The payload type of its keys (RFC 4733).
    pub events: Option<u8>,
    /// Which way sound goes.
    pub direction: Direction,
    /// Its media lines in their order, each with its protocol and formats: an answer must have as many.
    pub media: Vec<Media>,
    /// The media line that the sound is in.
    pub sound_line: Option<usize>,
}

/// One media line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// `audio`, `video` and so on.
    pub kind: String,
    /// `RTP/AVP` and so on.
    pub protocol: String,
    /// Its payload types, as written.
    pub formats: String,
}

/// A text that is no description.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DescriptionError {
    /// It is longer than any that is taken.
    #[error("expected a session description of at most {max} bytes", max = DESCRIPTION_BYTES_MAX)]
    TooLong,
    /// It does not begin with `v=0`.
    #[error("expected a session description to begin with v=0")]
    Version,
    /// A media line cannot be read.
    #[error("expected a media line with a number, a protocol and formats")]
    Media,
}

impl Direction {
    fn of(attribute: &str) -> Option<Self> {
        Some(match attribute {
            "sendrecv" => Direction::SendReceive,
            "sendonly" => Direction::SendOnly,
            "recvonly" => Direction::ReceiveOnly,
            "inactive" => Direction::Inactive,
            _ => return None,
        })
    }

    fn attribute(self) -> &'static str {
        match self {
            Direction::SendReceive => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::ReceiveOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }

    /// The same, said from the other side: what an offer is answered by when we want both ways.
    #[must_use]
    pub fn reversed(self) -> Self {
        match self {
            Direction::SendOnly => Direction::ReceiveOnly,
            Direction::ReceiveOnly => Direction::SendOnly,
            other => other,
        }
    }

    /// Whether the speaker listens.
    #[must_use]
    pub fn listens(self) -> bool {
        matches!(self, Direction::SendReceive | Direction::ReceiveOnly)
    }
}

/// What is read of one media line while its attributes follow.
struct Section {
    media: Media,
    number: u16,
    address: Option<IpAddr>,
    direction: Option<Direction>,
    /// Payload types with their names and rates.
    maps: Vec<(u8, String)>,
}

impl Description {
    /// Reads one.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, DescriptionError> {
        if bytes.len() > DESCRIPTION_BYTES_MAX {
            return Err(DescriptionError::TooLong);
        }
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.lines().map(str::trim_end).filter(|it| !it.is_empty());
        if lines.next() != Some("v=0") {
            return Err(DescriptionError::Version);
        }
        let mut address = None;
        let mut direction = Direction::SendReceive;
        let mut sections: Vec<Section> = Vec::new();
        for line in lines {
            let Some((kind, value)) = line.split_once('=') else {
                continue;
            };
            match (kind, sections.last_mut()) {
                ("m", _) => sections.push(section(value)?),
                ("c", None) => address = connection(value),
                ("c", Some(section)) => section.address = connection(value),
                ("a", None) => direction = Direction::of(value).unwrap_or(direction),
                ("a", Some(section)) => section.attribute(value),
                _ => {}
            }
        }
        let sound_line = sections.iter().position(Section::is_sound);
        let sound = sound_line.map(|line| &sections[line]);
        Ok(Description {
            sound_address: sound
                .and_then(|it| Some(SocketAddr::new(it.address.or(address)?, it.number))),
            laws: sound.map(Section::laws).unwrap_or_default(),
            events: sound.and_then(Section::events),
            direction: sound.and_then(|it| it.direction).unwrap_or(direction),
            sound_line,
            media: sections.into_iter().map(|it| it.media).collect(),
        })
    }

    /// Whether sound may go to the speaker: it has said where, and listens. An address of zeros is how a call was
    /// held before there were directions (RFC 3264 section 8.4).
    #[must_use]
    pub fn hears(&self) -> bool {
        self.direction.listens()
            && self
                .sound_address
                .is_some_and(|it| !it.ip().is_unspecified())
    }
}

impl Section {
    fn attribute(&mut self, value: &str) {
        if let Some(direction) = Direction::of(value) {
            self.direction = Some(direction);
        } else if let Some((payload_type, name)) = value
            .strip_prefix("rtpmap:")
            .and_then(|it| it.trim().split_once(' '))
            && let Ok(payload_type) = payload_type.parse()
        {
            self.maps
                .push((payload_type, name.trim().to_ascii_lowercase()));
        }
    }

    /// A stream that plain RTP carries and that is wanted: number 0 says that it is not.
    fn is_sound(&self) -> bool {
        self.media.kind == "audio"
            && self.number != 0
            && matches!(self.media.protocol.as_str(), "RTP/AVP" | "RTP/AVPF")
    }

    fn payload_types(&self) -> impl Iterator<Item = u8> {
        self.media
            .formats
            .split(' ')
            .filter_map(|it| it.parse().ok())
    }

    fn name(&self, payload_type: u8) -> Option<&str> {
        self.maps
            .iter()
            .find(|(it, _)| *it == payload_type)
            .map(|(_, name)| name.as_str())
    }

    fn laws(&self) -> Vec<Law> {
        let mut laws = Vec::new();
        for payload_type in self.payload_types() {
            let law = match (payload_type, self.name(payload_type)) {
                (0, None) => Law::Mu,
                (8, None) => Law::A,
                (0, Some(name)) if name.starts_with("pcmu/8000") => Law::Mu,
                (8, Some(name)) if name.starts_with("pcma/8000") => Law::A,
                _ => continue,
            };
            if !laws.contains(&law) {
                laws.push(law);
            }
        }
        laws
    }

    fn events(&self) -> Option<u8> {
        self.payload_types().find(|it| {
            (96..=127).contains(it)
                && self
                    .name(*it)
                    .is_some_and(|name| name.starts_with("telephone-event/8000"))
        })
    }
}

fn section(value: &str) -> Result<Section, DescriptionError> {
    let mut words = value.splitn(4, ' ');
    let (Some(kind), Some(number), Some(protocol)) = (words.next(), words.next(), words.next())
    else {
        return Err(DescriptionError::Media);
    };
    // Two numbers, as in 5004/2, are for layered codings.
    let number = number.split('/').next().unwrap_or_default();
    Ok(Section {
        media: Media {
            kind: kind.into(),
            protocol: protocol.into(),
            formats: words.next().unwrap_or_default().trim().into(),
        },
        number: number.parse().map_err(|_| DescriptionError::Media)?,
        address: None,
        direction: None,
        maps: Vec::new(),
    })
}

fn connection(value: &str) -> Option<IpAddr> {
    let mut words = value.split(' ');
    match (words.next(), words.next(), words.next()) {
        (Some("IN"), Some("IP4" | "IP6"), Some(address)) => address.split('/').next()?.parse().ok(),
        _ => None,
    }
}

/// Our own side of the sound.
#[derive(Clone, Debug)]
pub struct OwnSound {
    /// Where we want it.
    pub address: SocketAddr,
    /// A number of the session that no other of ours has.
    pub session: u32,
    /// Counts up when the description changes.
    pub version: u32,
}

impl OwnSound {
    fn head(&self) -> String {
        let kind = if self.address.is_ipv4() { "IP4" } else { "IP6" };
        let ip = self.address.ip();
        format!(
            "v=0\r\no=- {} {} IN {kind} {ip}\r\ns=-\r\nc=IN {kind} {ip}\r\nt=0 0\r\n",
            self.session, self.version
        )
    }

    /// What we offer: either law, and events.
    #[must_use]
    pub fn offer(&self) -> Vec<u8> {
        let mut text = self.head();
        text += &self.line(
            &[Law::Mu, Law::A],
            Some(EVENTS_OFFERED),
            Direction::SendReceive,
        );
        text.into_bytes()
    }

    /// What we answer: one law, its events, its direction as seen from here, and every other stream refused
    /// (RFC 3264 section 6). `None` where there is no sound that we can do.
    #[must_use]
    pub fn answer(&self, offer: &Description) -> Option<Vec<u8>> {
        let law = offer.laws.first()?;
        let mut text = self.head();
        for (place, media) in offer.media.iter().enumerate() {
            if Some(place) == offer.sound_line {
                text += &self.line(&[*law], offer.events, offer.direction.reversed());
            } else {
                // Writing to a string cannot fail.
                let _ = write!(
                    text,
                    "m={} 0 {} {}\r\n",
                    media.kind, media.protocol, media.formats
                );
            }
        }
        Some(text.into_bytes())
    }

    fn line(&self, laws: &[Law], events: Option<u8>, direction: Direction) -> String {
        let mut formats = String::new();
        let mut maps = String::new();
        for law in laws {
            let (payload_type, name) = (law.payload_type(), law.name());
            let _ = write!(formats, " {payload_type}");
            let _ = write!(maps, "a=rtpmap:{payload_type} {name}/8000\r\n");
        }
        if let Some(events) = events {
            let _ = write!(formats, " {events}");
            let _ = write!(
                maps,
                "a=rtpmap:{events} telephone-event/8000\r\na=fmtp:{events} 0-15\r\n"
            );
        }
        format!(
            "m=audio {} RTP/AVP{formats}\r\n{maps}a=ptime:20\r\na={}\r\n",
            self.address.port(),
            direction.attribute()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ANSWER: &str = "v=0\r\no=x 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\na=sendonly\r\n\
        m=video 4000 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
        m=audio 5004 RTP/AVP 9 8 0 96 127\r\nc=IN IP4 10.0.0.2\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:96 opus/48000/2\r\n\
        a=rtpmap:127 Telephone-Event/8000\r\na=recvonly\r\n";

    fn own() -> OwnSound {
        OwnSound {
            address: "192.0.2.7:4002".parse().unwrap(),
            session: 7,
            version: 1,
        }
    }

    #[test]
    fn a_description_is_read() {
        let read = Description::parse(ANSWER.as_bytes()).unwrap();
        assert_eq!(read.sound_address, Some("10.0.0.2:5004".parse().unwrap()));
        assert_eq!(read.laws, [Law::A, Law::Mu]);
        assert_eq!(read.events, Some(127));
        assert_eq!(read.direction, Direction::ReceiveOnly);
        assert_eq!(read.sound_line, Some(1));
        assert!(read.hears());
    }

    #[test]
    fn what_cannot_be_done_is_not_found_in_it() {
        for (text, laws, hears) in [
            (
                "v=0\r\nc=IN IP4 10.0.0.1\r\nm=audio 0 RTP/AVP 0\r\n",
                0,
                false,
            ),
            (
                "v=0\r\nc=IN IP4 10.0.0.1\r\nm=audio 4 RTP/SAVP 0\r\n",
                0,
                false,
            ),
            (
                "v=0\r\nc=IN IP4 10.0.0.1\r\nm=audio 4 RTP/AVP 9 18\r\n",
                0,
                true,
            ),
            (
                "v=0\r\nc=IN IP4 0.0.0.0\r\nm=audio 4 RTP/AVP 0\r\n",
                1,
                false,
            ),
            (
                "v=0\r\nc=IN IP4 a.name\r\nm=audio 4 RTP/AVP 0\r\n",
                1,
                false,
            ),
            (
                "v=0\r\nc=IN IP4 10.0.0.1\r\nm=audio 4 RTP/AVP 0\r\na=inactive\r\n",
                1,
                false,
            ),
            ("v=0\nc=IN IP6 ::1\nm=audio 4 RTP/AVP 0\n", 1, true),
        ] {
            let read = Description::parse(text.as_bytes()).unwrap();
            assert_eq!((read.laws.len(), read.hears()), (laws, hears), "{text}");
        }
        for (text, error) in [
            ("", DescriptionError::Version),
            ("v=1\r\n", DescriptionError::Version),
            ("v=0\r\nm=audio\r\n", DescriptionError::Media),
            ("v=0\r\nm=audio x RTP/AVP 0\r\n", DescriptionError::Media),
        ] {
            assert_eq!(Description::parse(text.as_bytes()), Err(error), "{text}");
        }
        let long = vec![b'v'; DESCRIPTION_BYTES_MAX + 1];
        assert_eq!(Description::parse(&long), Err(DescriptionError::TooLong));
    }

    #[test]
    fn our_offer_is_understood() {
        let offer = Description::parse(&own().offer()).unwrap();
        assert_eq!(offer.laws, [Law::Mu, Law::A]);
        assert_eq!(offer.events, Some(EVENTS_OFFERED));
        assert_eq!(offer.sound_address, Some(own().address));
        assert_eq!(offer.direction, Direction::SendReceive);
    }

    #[test]
    fn an_offer_is_answered_line_by_line() {
        let offer = Description::parse(ANSWER.as_bytes()).unwrap();
        let text = String::from_utf8(own().answer(&offer).unwrap()).unwrap();
        assert!(
            text.contains("m=video 0 RTP/AVP 96\r\nm=audio 4002 RTP/AVP 8 127\r\n"),
            "{text}"
        );
        assert!(text.contains("a=sendonly\r\n"), "{text}");
        let none = Description::parse(b"v=0\r\nm=audio 4 RTP/AVP 9\r\n").unwrap();
        assert_eq!(own().answer(&none), None);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "v=0\r\n([mca]=(audio [0-9]{1,6} RTP/AVP( [0-9]{1,3}){0,3}|IN IP4 [0-9.]{1,9}|rtpmap:[0-9]{1,3} [ -~]{0,9}|[ -~é]{0,20})\r\n){0,9}") {
            if let Ok(read) = Description::parse(text.as_bytes())
                && let Some(answer) = own().answer(&read)
            {
                // What is answered is understood, line by line.
                let again = Description::parse(&answer).unwrap();
                prop_assert_eq!(again.media.len(), read.media.len());
                prop_assert_eq!(again.sound_line, read.sound_line);
                prop_assert_eq!(&again.laws[..], &read.laws[..1]);
                prop_assert_eq!(again.events, read.events);
                prop_assert_eq!(again.direction, read.direction.reversed());
            }
        }
    }
}
