//! Everything that reads what strangers send, as a function of bytes alone: what a fuzzer calls, and a test with its
//! seeds. It panics where a promise is broken, and never otherwise.
//!
//! Not a part of the library's interface: it is there with the feature `fuzzing` only.

use crate::{
    media::{events::KeyEvent, rtp::Packet, stream::Stream},
    sip::{
        agent::Agent,
        call::CallRequest,
        digest::{Asker, Challenge},
        message::{Framer, Message},
        requests::{Account, CallEvent, Output, Transport},
        sdp::{Description, OwnSound},
    },
};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

/// What ends one message and begins the next; before it, a byte says how many tenths of a second pass.
const BETWEEN: u8 = 0;
/// What an agent may be woken for between two messages: more is a wheel that spins.
const WAKES_MAX: usize = 2_000;

/// Any bytes as a message, a stream, a description, a packet, and as what comes to an agent that is calling.
///
/// In what comes to the agent, `@B` stands for the branch of its last INVITE, `@I` for its Call-ID and `@F` for its
/// From, so that a fuzzer need not guess them.
pub fn sip(data: &[u8]) {
    one_message(data);
    let mut framer = Framer::default();
    for piece in data.chunks(7) {
        framer.push(piece);
        while let Ok(Some(_)) = framer.next_message() {}
    }
    let address: SocketAddr = ([192, 0, 2, 7], 4_000).into();
    if let Ok(description) = Description::parse(data) {
        let own = OwnSound {
            address,
            session: 1,
            version: 1,
        };
        if let Some(answer) = own.answer(&description) {
            let again = Description::parse(&answer);
            assert!(again.is_ok_and(|it| it.media.len() == description.media.len()));
        }
    }
    let _ = KeyEvent::parse(data);
    if let Ok(packet) = Packet::parse(data) {
        assert_eq!(Packet::parse(&packet.to_bytes()), Ok(packet));
    }
    let mut stream = Stream::new(1, 2);
    stream.answered(Instant::now());
    for piece in data.split(|it| *it == BETWEEN) {
        stream.packet(address, piece, Instant::now());
    }
    let _ = Challenge::parse(Asker::Server, &String::from_utf8_lossy(data));
    conversation(data);
}

/// What is read is written so that it is read as the same.
fn one_message(data: &[u8]) {
    let Ok(message) = Message::parse(data) else {
        return;
    };
    let bytes = message.to_bytes();
    // Names that were not UTF-8 have grown.
    if let Ok(mut again) = Message::parse(&bytes) {
        let mut expected = message;
        for it in [&mut again, &mut expected] {
            it.headers.remove("Content-Length");
        }
        assert_eq!(again, expected);
    }
}

fn conversation(data: &[u8]) {
    let account = Account {
        domain: "pbx".into(),
        user: "alarms".into(),
        password: "a secret".into(),
        caller: None,
        display_name: None,
        transport: Transport::Udp,
        route: None,
        public_ip: None,
        silence_limit: Duration::from_secs(10),
        redirect_prefixes: Vec::new(),
    };
    let server: SocketAddr = ([192, 0, 2, 1], 5_060).into();
    let local: SocketAddr = ([192, 0, 2, 7], 5_070).into();
    let mut agent = Agent::new(account, [7; 32], local, server);
    let mut now = Instant::now();
    agent.call(
        &CallRequest {
            id: 1,
            number: "123".into(),
            sound: ([192, 0, 2, 7], 4_000).into(),
            ring_limit: Duration::from_secs(30),
            talk_limit: Duration::from_secs(300),
        },
        now,
    );
    let mut known = Known::default();
    let mut ends = 0;
    known.learn(&mut agent, &mut ends);
    for piece in data.split(|it| *it == BETWEEN) {
        let (tenths, text) = piece.split_first().unwrap_or((&0, &[]));
        now += Duration::from_millis(100) * u32::from(*tenths);
        agent.tick(now);
        if let Ok(message) = Message::parse(&known.filled_in(text)) {
            agent.message(&message, server, now);
        }
        known.learn(&mut agent, &mut ends);
    }
    // Whatever was said, it comes to an end, and the end is told once.
    agent.hang_up(1, now);
    for _ in 0..WAKES_MAX {
        known.learn(&mut agent, &mut ends);
        let Some(due) = agent.next_due() else {
            break;
        };
        now = now.max(due);
        agent.tick(now);
    }
    known.learn(&mut agent, &mut ends);
    assert_eq!(ends, 1, "a call ends once");
    assert_eq!(agent.live_calls(), 0);
    assert_eq!(agent.next_due(), None, "it wakes for nothing");
}

/// What the agent has said that its answers need.
#[derive(Default)]
struct Known {
    branch: String,
    call_id: String,
    from: String,
}

impl Known {
    fn learn(&mut self, agent: &mut Agent, ends: &mut usize) {
        while let Some(output) = agent.output() {
            match output {
                Output::Send { bytes, .. } => {
                    let Ok(message) = Message::parse(&bytes) else {
                        // Only what it has copied from a message near the bound is too long.
                        assert!(bytes.len() > 60_000, "what is sent can be read");
                        continue;
                    };
                    if message.method() == Some("INVITE") {
                        let field =
                            |name| message.headers.first(name).unwrap_or_default().to_owned();
                        self.branch = message.branch().unwrap_or_default().into();
                        self.call_id = field("Call-ID");
                        self.from = field("From");
                    }
                }
                Output::Call {
                    event: CallEvent::Ended(_),
                    ..
                } => *ends += 1,
                _ => {}
            }
        }
    }

    fn filled_in(&self, text: &[u8]) -> Vec<u8> {
        let mut filled = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some((first, behind)) = rest.split_first() {
            let word = match (first, behind.first()) {
                (b'@', Some(b'B')) => &self.branch,
                (b'@', Some(b'I')) => &self.call_id,
                (b'@', Some(b'F')) => &self.from,
                _ => {
                    filled.push(*first);
                    rest = behind;
                    continue;
                }
            };
            filled.extend_from_slice(word.as_bytes());
            rest = &behind[1..];
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fuzzer's seeds, cut and changed at one place of five: all of them are the fuzzer's own affair.
    #[test]
    fn no_seed_does_harm_however_it_is_spoilt() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../gateway/fuzz/seeds/sip");
        let mut count = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let seed = std::fs::read(entry.unwrap().path()).unwrap();
            sip(&seed);
            for place in (0..seed.len()).step_by(5) {
                sip(&seed[..place]);
                let mut spoilt = seed.clone();
                spoilt[place] = [b'\n', b';', b' ', 0xff][place % 4];
                sip(&spoilt);
            }
            count += 1;
        }
        assert!(count >= 4, "{count}");
    }
}
