//! Packets as they lie on the line, and how they are told from all else on it.

use super::{Answer, Request};
use std::time::Duration;

/// What every packet begins with, the standard's version included.
const HEAD: &[u8] = b"IMPROV\x01";
/// Head, type and length.
const HEAD_BYTES: usize = HEAD.len() + 2;
/// Bytes of data that a controller takes and gives in one packet. Other boards may give up to 255.
pub const DATA_BYTES_MAX: usize = 200;
/// How long a packet may pause before its rest is no longer awaited. A whole one takes 20 ms.
pub const QUIET_MAX: Duration = Duration::from_millis(250);

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PacketType {
    /// How far a board's Wi-Fi is set up.
    State,
    /// What is wrong, or that nothing is.
    Error,
    /// One of the standard's commands.
    Command,
    /// What came of one.
    Result,
    /// A request of ours.
    Request,
    /// And its answer.
    Answer,
    /// Neither the standard's nor ours.
    Other(u8),
}

impl PacketType {
    /// The number on the wire.
    pub const fn number(self) -> u8 {
        match self {
            PacketType::State => 1,
            PacketType::Error => 2,
            PacketType::Command => 3,
            PacketType::Result => 4,
            PacketType::Request => 0x80,
            PacketType::Answer => 0x81,
            PacketType::Other(number) => number,
        }
    }

    /// The type of a number on the wire.
    pub const fn from_number(number: u8) -> Self {
        match number {
            1 => PacketType::State,
            2 => PacketType::Error,
            3 => PacketType::Command,
            4 => PacketType::Result,
            0x80 => PacketType::Request,
            0x81 => PacketType::Answer,
            other => PacketType::Other(other),
        }
    }

    /// The name in the golden vectors.
    pub const fn name(self) -> &'static str {
        match self {
            PacketType::State => "state",
            PacketType::Error => "error",
            PacketType::Command => "command",
            PacketType::Result => "result",
            PacketType::Request => "request",
            PacketType::Answer => "answer",
            PacketType::Other(_) => "other",
        }
    }
}

/// One packet, whose checksum was right.
#[derive(Clone, PartialEq, Eq)]
pub struct Packet {
    /// What it is.
    pub packet_type: PacketType,
    /// 255 bytes at most.
    pub data: Vec<u8>,
}

/// Data may hold passwords.
impl std::fmt::Debug for Packet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packet")
            .field("packet_type", &self.packet_type)
            .field("bytes", &self.data.len())
            .finish_non_exhaustive()
    }
}

impl Packet {
    /// A request of ours.
    pub fn request(id: u8, request: &Request) -> Self {
        Packet {
            packet_type: PacketType::Request,
            data: request.encode(id),
        }
    }

    /// An answer, which a virtual board gives.
    pub fn answer(answer: &Answer) -> Self {
        Packet {
            packet_type: PacketType::Answer,
            data: answer.encode(),
        }
    }

    /// The bytes on the line, with the line feed behind them. Data beyond 255 bytes is left out; what is made
    /// by this crate never has so many.
    pub fn encode(&self) -> Vec<u8> {
        let length = self.data.len().min(usize::from(u8::MAX));
        let mut line = HEAD.to_vec();
        line.push(self.packet_type.number());
        line.push(length as u8);
        line.extend_from_slice(&self.data[..length]);
        line.push(sum(&line));
        line.push(b'\n');
        line
    }
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

/// What a parser has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A whole packet.
    Packet(Packet),
    /// Bytes that belong to none: lines of a log, noise.
    Text(Vec<u8>),
}

/// Finds packets in what comes in, however it is split. A packet that turns out to be none is text, but for
/// what may begin within it.
#[derive(Debug, Default)]
pub struct Parser {
    held: Vec<u8>,
    /// The line feed behind a packet belongs to it.
    passes_line_feed: bool,
}

enum Judged {
    /// It may yet become a packet.
    Open,
    Whole(usize),
    No,
}

impl Parser {
    /// Takes all bytes, and gives what is known now, in order.
    pub fn receive(&mut self, bytes: &[u8]) -> Vec<Received> {
        self.held.extend_from_slice(bytes);
        let mut found = Vec::new();
        let mut at = 0;
        while at < self.held.len() {
            let rest = &self.held[at..];
            if std::mem::take(&mut self.passes_line_feed) && rest[0] == b'\n' {
                at += 1;
                continue;
            }
            match judge(rest) {
                Judged::Open => break,
                Judged::No => {
                    add_text(&mut found, rest[0]);
                    at += 1;
                }
                Judged::Whole(length) => {
                    found.push(Received::Packet(Packet {
                        packet_type: PacketType::from_number(rest[HEAD.len()]),
                        data: rest[HEAD_BYTES..length - 1].to_vec(),
                    }));
                    self.passes_line_feed = true;
                    at += length;
                }
            }
        }
        self.held.drain(..at);
        found
    }

    /// Whether the beginning of a packet waits for its rest. Once nothing came for [`QUIET_MAX`] it does so in
    /// vain: [`give_up`](Self::give_up).
    pub fn is_waiting(&self) -> bool {
        !self.held.is_empty()
    }

    /// What waited for more is text after all, but for packets within it.
    pub fn give_up(&mut self) -> Vec<Received> {
        let mut found = Vec::new();
        while !self.held.is_empty() {
            add_text(&mut found, self.held.remove(0));
            for received in self.receive(&[]) {
                match received {
                    Received::Text(bytes) => {
                        bytes.into_iter().for_each(|it| add_text(&mut found, it));
                    }
                    packet @ Received::Packet(_) => found.push(packet),
                }
            }
        }
        found
    }
}

fn judge(bytes: &[u8]) -> Judged {
    let length = bytes.len().min(HEAD.len());
    if bytes[..length] != HEAD[..length] {
        return Judged::No;
    }
    let Some(&data_bytes) = bytes.get(HEAD_BYTES - 1) else {
        return Judged::Open;
    };
    let length = HEAD_BYTES + usize::from(data_bytes) + 1;
    match bytes.get(length - 1) {
        None => Judged::Open,
        Some(&told) if told == sum(&bytes[..length - 1]) => Judged::Whole(length),
        Some(_) => Judged::No,
    }
}

fn add_text(found: &mut Vec<Received>, byte: u8) {
    match found.last_mut() {
        Some(Received::Text(text)) => text.push(byte),
        _ => found.push(Received::Text(vec![byte])),
    }
}
