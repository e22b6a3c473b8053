//! The board as a host sees it, under a time of the test's own.

mod boot;
#[cfg(feature = "controller")]
mod controller;
mod faults;
mod rom;
mod stub;
mod terminal;

use super::{
    Board, BoardOptions, BoardState,
    loader::command,
    slip::{Decoder, encoded},
};
use std::time::Duration;

/// How long a host waits for a reply.
const REPLY_WAIT: Duration = Duration::from_secs(5);
/// Where a stub of the tests' own lies, and where it is entered.
const STUB_PLACE: u32 = 0x4010_8000;

/// A host on the board's line.
struct Host {
    board: Board,
    now: Duration,
    decoder: Decoder,
    unread: Vec<u8>,
}

/// What a loader replied.
#[derive(Debug, PartialEq, Eq)]
struct Reply {
    value: u32,
    data: Vec<u8>,
    status: [u8; 2],
}

const OK: [u8; 2] = [0, 0];

impl Host {
    /// A board with power.
    fn new(options: BoardOptions) -> Self {
        let mut board = Board::new(options);
        board.power(Duration::ZERO, true);
        Host {
            board,
            now: Duration::ZERO,
            decoder: Decoder::new(0x1_0000),
            unread: Vec::new(),
        }
    }

    /// In download mode, its loader synced.
    fn synced(options: BoardOptions) -> Self {
        let mut host = Host::new(options);
        host.download();
        assert_eq!(host.sync(), 8);
        host
    }

    /// With a stub that runs.
    fn with_stub(options: BoardOptions) -> Self {
        let mut host = Host::synced(options);
        assert_eq!(
            host.run_program(b"a program that says OHAI", STUB_PLACE),
            Some(b"OHAI".to_vec())
        );
        assert_eq!(host.board.state(), BoardState::Stub);
        host
    }

    fn download(&mut self) {
        self.board.jumper(self.now, true);
        self.press_reset();
    }

    fn press_reset(&mut self) {
        self.board.reset(self.now, true);
        self.pass(10);
        self.board.reset(self.now, false);
        self.pass(10);
    }

    fn pass(&mut self, time_ms: u64) {
        self.now += Duration::from_millis(time_ms);
        self.board.advance(self.now);
    }

    /// Everything that has come, as it is.
    fn read(&mut self) -> Vec<u8> {
        let mut read = std::mem::take(&mut self.unread);
        read.extend(self.board.transmit(self.now));
        read
    }

    fn read_text(&mut self) -> String {
        String::from_utf8_lossy(&self.read()).into_owned()
    }

    /// The next packet, if one comes in time. Time passes only as far as the board says that it must.
    fn packet(&mut self) -> Option<Vec<u8>> {
        let deadline = self.now + REPLY_WAIT;
        loop {
            self.unread.extend(self.board.transmit(self.now));
            let unread = std::mem::take(&mut self.unread);
            let (taken, packet) = self.decoder.feed(&unread);
            self.unread = unread[taken..].to_vec();
            if packet.is_some() {
                return packet;
            }
            match self.board.next_due() {
                Some(due) if due <= deadline => self.now = due.max(self.now),
                _ => {
                    self.now = deadline;
                    return None;
                }
            }
        }
    }

    fn write(&mut self, packet: &[u8]) {
        self.board.receive(self.now, &encoded(packet));
    }

    /// Sends a command and gives the reply to it.
    fn ask(&mut self, command: u8, data: &[u8]) -> Option<Reply> {
        self.write(&request(command, 0, data));
        self.reply(command)
    }

    fn reply(&mut self, command: u8) -> Option<Reply> {
        loop {
            let packet = self.packet()?;
            if packet.len() < 10 || packet[..2] != [1, command] {
                continue;
            }
            let status = packet.len() - 2;
            return Some(Reply {
                value: u32::from_le_bytes(packet[4..8].try_into().unwrap()),
                data: packet[8..status].to_vec(),
                status: packet[status..].try_into().unwrap(),
            });
        }
    }

    fn status(&mut self, command: u8, data: &[u8]) -> Option<[u8; 2]> {
        self.ask(command, data).map(|reply| reply.status)
    }

    /// Sends a block with the right sum.
    fn block(&mut self, command: u8, sequence: u32, content: &[u8]) -> Option<[u8; 2]> {
        let data = block(sequence, content);
        self.write(&request(command, sum(content), &data));
        self.reply(command).map(|reply| reply.status)
    }

    /// Sends SYNC, twice: the ROM may need the first to know the rate. Gives how many replies came.
    fn sync(&mut self) -> usize {
        for _ in 0..2 {
            self.write(&request(command::SYNC, 0, &sync_data()));
            let mut replies = 0;
            while self.reply(command::SYNC).is_some() {
                replies += 1;
            }
            if replies > 0 {
                return replies;
            }
        }
        0
    }

    /// Loads a program into RAM and runs it. Gives what it says.
    fn run_program(&mut self, program: &[u8], place: u32) -> Option<Vec<u8>> {
        let length = program.len() as u32;
        let begun = self.status(command::MEMORY_BEGIN, &words(&[length, 1, length, place]));
        assert_eq!(begun, Some(OK));
        assert_eq!(self.block(command::MEMORY_DATA, 0, program), Some(OK));
        assert_eq!(
            self.status(command::MEMORY_END, &words(&[0, place])),
            Some(OK)
        );
        self.packet()
    }

    fn read_register(&mut self, address: u32) -> u32 {
        let reply = self
            .ask(command::READ_REGISTER, &words(&[address]))
            .unwrap();
        assert_eq!(reply.status, OK);
        reply.value
    }

    fn write_register(&mut self, address: u32, value: u32) {
        let data = words(&[address, value, u32::MAX, 0]);
        assert_eq!(self.status(command::WRITE_REGISTER, &data), Some(OK));
    }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn sum(content: &[u8]) -> u32 {
    content.iter().fold(0xef, |sum, byte| sum ^ byte).into()
}

fn sync_data() -> Vec<u8> {
    [vec![7, 7, 0x12, 0x20], vec![0x55; 32]].concat()
}

fn request(command: u8, checksum: u32, data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u16).to_le_bytes();
    [&[0, command], &length[..], &checksum.to_le_bytes(), data].concat()
}

fn block(sequence: u32, content: &[u8]) -> Vec<u8> {
    [
        words(&[content.len() as u32, sequence, 0, 0]),
        content.to_vec(),
    ]
    .concat()
}

/// An image that the ROM takes.
fn image() -> Vec<u8> {
    let mut image = vec![0xe9, 1, 3, 0x20, 0, 0, 0x10, 0x40];
    image.extend(words(&[0x4010_0000, 8]));
    image.extend([1, 2, 3, 4, 5, 6, 7, 8]);
    image.resize(31, 0);
    image.push(0xef ^ 8);
    image
}
