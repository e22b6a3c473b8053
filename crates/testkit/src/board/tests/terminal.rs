//! The board as a program sees it that opens its terminal.

use super::{image, request, sync_data};
use crate::{
    PATIENCE,
    board::{
        BannerApplication, BoardOnTerminal, BoardOptions, BoardState, Fault, FaultKind, FaultPoint,
        loader::command, slip::encoded,
    },
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    termios::{OptionalActions, tcgetattr, tcsetattr},
};
use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    time::Instant,
};

/// A program that has the terminal open.
struct Program(File);

impl Program {
    fn open(board: &BoardOnTerminal) -> Self {
        let mut options = OpenOptions::new();
        Program(options.read(true).write(true).open(board.path()).unwrap())
    }

    fn set_baud(&self, baud: u32) {
        let mut settings = tcgetattr(&self.0).unwrap();
        settings.set_speed(baud).unwrap();
        tcsetattr(&self.0, OptionalActions::Now, &settings).unwrap();
    }

    /// What can be read within this time; nothing at the end of the line.
    fn read(&mut self, wait_ms: i64) -> Option<Vec<u8>> {
        let mut asked = [PollFd::new(&self.0, PollFlags::IN)];
        let wait = Timespec {
            tv_sec: wait_ms / 1_000,
            tv_nsec: wait_ms % 1_000 * 1_000_000,
        };
        if poll(&mut asked, Some(&wait)).unwrap() == 0 {
            return Some(Vec::new());
        }
        let mut bytes = [0; 4_096];
        match self.0.read(&mut bytes) {
            Ok(0) | Err(_) => None,
            Ok(count) => Some(bytes[..count].to_vec()),
        }
    }

    /// Reads until it has read this.
    fn read_until(&mut self, expected: &[u8]) {
        let begin = Instant::now();
        let mut read = Vec::new();
        while !read.windows(expected.len()).any(|it| it == expected) {
            read.extend(self.read(100).expect("the line has ended"));
            assert!(begin.elapsed() < PATIENCE, "read only {read:x?}");
        }
    }

    /// Sends SYNC until it is answered.
    fn sync(&mut self) {
        let begin = Instant::now();
        let sync = encoded(&request(command::SYNC, 0, &sync_data()));
        loop {
            self.0.write_all(&sync).unwrap();
            let read = self.read(50).expect("the line has ended");
            if read.starts_with(&[0xc0, 1, 8]) {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "no reply to SYNC");
        }
    }
}

#[test]
fn follows_the_terminals_rate() {
    for baud in [74_880, 115_200, 250_000, 921_600] {
        let board = BoardOnTerminal::start(BoardOptions::default()).unwrap();
        board.enter_download().unwrap();
        let mut program = Program::open(&board);
        program.set_baud(baud);
        program.sync();
        assert_eq!(board.with(|board, _| board.baud()), baud);
    }
}

#[test]
fn boots_to_whoever_listens() {
    let board = BoardOnTerminal::start(BoardOptions::default()).unwrap();
    board.change_flash(|flash| flash.place(0, &image()));
    let mut program = Program::open(&board);
    board.press_reset();
    program.read_until(BannerApplication::BANNER.as_bytes());
    program.0.write_all(b"hello\n").unwrap();
    program.read_until(b"hello\n");
}

#[test]
fn a_pulled_cable_ends_the_line_and_the_path_stays() {
    let board = BoardOnTerminal::start(BoardOptions::default()).unwrap();
    board.enter_download().unwrap();
    for _ in 0..2 {
        let mut program = Program::open(&board);
        program.sync();
        board.unplug();
        assert_eq!(board.state(), BoardState::Unpowered);
        let begin = Instant::now();
        while program.read(100).is_some() {
            assert!(begin.elapsed() < PATIENCE, "the line has no end");
        }
        assert!(program.0.write_all(b"into nothing").is_err());
        board.plug().unwrap();
        let in_download = |board: &crate::board::Board| board.state() == BoardState::Download;
        board.wait_for("download mode", in_download).unwrap();
    }
}

#[test]
fn a_cable_that_a_fault_pulls_ends_the_line_as_well() {
    let options = BoardOptions {
        faults: vec![Fault {
            at: FaultPoint::PacketToHost(3),
            kind: FaultKind::Unplug,
        }],
        ..BoardOptions::default()
    };
    let board = BoardOnTerminal::start(options).unwrap();
    board.enter_download().unwrap();
    let mut program = Program::open(&board);
    let sync = encoded(&request(command::SYNC, 0, &sync_data()));
    let begin = Instant::now();
    while program.0.write_all(&sync).is_ok() && program.read(50).is_some() {
        assert!(begin.elapsed() < PATIENCE, "the line has no end");
    }
}
