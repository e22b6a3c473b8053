//! Resets, pins, and what boots.

use super::{Host, image};
use crate::board::{
    Application, BannerApplication, BoardOptions, BoardState, ChipAccess, Lines, Restart, Speed,
    Wiring,
};
use std::time::Duration;

const ROM_BAUD: u32 = 74_880;

#[test]
fn the_log_is_read_at_its_own_rate_only() {
    for speed in [Speed::Immediate, Speed::Real] {
        for (baud, is_readable) in [
            (ROM_BAUD, true),
            (76_800, true),
            (115_200, false),
            (9_600, false),
        ] {
            let options = BoardOptions {
                speed,
                ..BoardOptions::default()
            };
            let mut host = Host::new(options);
            host.board.host_baud(baud);
            host.pass(1_000);
            let log = host.read_text();
            let expected = " ets Jan  8 2013,rst cause:1, boot mode:(3,6)";
            assert_eq!(log.contains(expected), is_readable, "{baud}: {log:?}");
            assert!(!log.is_empty());
        }
    }
}

#[test]
fn a_good_image_runs_and_a_bad_one_starts_over() {
    let mut torn = image();
    torn[20] ^= 1;
    for (name, content, state, log) in [
        ("good", image(), BoardState::Application, "csum 0xe7\r\n"),
        (
            "torn",
            torn,
            BoardState::BadImage,
            "csum err\r\nets_main.c \r\n",
        ),
        ("blank", Vec::new(), BoardState::BadImage, "ets_main.c \r\n"),
    ] {
        let mut host = Host::new(BoardOptions::default());
        host.board.flash_mut().place(0, &content);
        host.board.host_baud(ROM_BAUD);
        host.pass(10);
        assert_eq!(host.board.state(), state, "{name}");
        let text = host.read_text();
        assert!(text.contains(log), "{name}: {text:?}");
        let starts = host.board.counts().starts;
        host.pass(2_100);
        let text = host.read_text();
        if state == BoardState::BadImage {
            assert!(
                text.contains("rst cause:4, boot mode:(3,6)\r\n\r\nwdt reset"),
                "{name}"
            );
            assert_eq!(host.board.counts().starts, starts + 1);
        } else {
            assert_eq!(host.board.counts().starts, starts);
        }
    }
}

#[test]
fn an_application_says_that_it_is_there() {
    for speed in [Speed::Immediate, Speed::Real] {
        let options = BoardOptions {
            speed,
            ..BoardOptions::default()
        };
        let mut host = Host::new(options);
        host.board.flash_mut().place(0, &image());
        host.pass(500);
        let text = host.read_text();
        assert!(text.ends_with(BannerApplication::BANNER), "{text:?}");
        host.board.receive(host.now, b"hello\n");
        host.pass(10);
        assert_eq!(host.read(), b"hello\n");
    }
}

/// A way to reset: its name, the wiring, lines and for how long, and where it ends.
type Reset<'a> = (&'a str, Wiring, &'a [(Lines, Duration)], BoardState);

#[test]
fn the_pins_are_looked_at_when_reset_is_let_go() {
    let none = Lines::default();
    let (rts, dtr, both) = (
        Lines { rts: true, ..none },
        Lines { dtr: true, ..none },
        Lines {
            rts: true,
            dtr: true,
        },
    );
    let apart = Duration::from_micros(300);
    let long = Duration::from_millis(100);
    let table: &[Reset<'_>] = &[
        (
            "hard",
            Wiring::Auto,
            &[(rts, long), (none, long)],
            BoardState::Application,
        ),
        (
            "classic, lines one after the other",
            Wiring::Auto,
            &[(rts, long), (both, apart), (dtr, long), (none, long)],
            BoardState::Download,
        ),
        (
            "tight",
            Wiring::Auto,
            &[(rts, long), (dtr, long), (none, long)],
            BoardState::Download,
        ),
        (
            "both lines for too long",
            Wiring::Auto,
            &[(rts, long), (both, long), (dtr, long), (none, long)],
            BoardState::Application,
        ),
        ("held", Wiring::Auto, &[(rts, long)], BoardState::Reset),
        (
            "both",
            Wiring::Auto,
            &[(both, long)],
            BoardState::Application,
        ),
        (
            "no wires",
            Wiring::Manual,
            &[(rts, long), (dtr, long)],
            BoardState::Application,
        ),
    ];
    for (name, wiring, steps, expected) in table {
        let options = BoardOptions {
            wiring: *wiring,
            ..BoardOptions::default()
        };
        let mut host = Host::new(options);
        host.board.flash_mut().place(0, &image());
        host.pass(10);
        for (lines, time) in *steps {
            host.board.lines(host.now, *lines);
            host.now += *time;
            host.board.advance(host.now);
        }
        assert_eq!(host.board.state(), *expected, "{name}");
    }
}

#[test]
fn power_and_cable() {
    let mut host = Host::new(BoardOptions::default());
    host.board.flash_mut().place(0, &image());
    host.pass(10);
    assert_eq!(host.board.state(), BoardState::Application);
    host.board.power(host.now, false);
    assert_eq!(host.board.state(), BoardState::Unpowered);
    host.read();
    host.pass(100);
    assert_eq!(host.read(), b"");
    host.board.jumper(host.now, true);
    host.board.power(host.now, true);
    host.pass(10);
    assert_eq!(host.board.state(), BoardState::Download);
    host.board.unplug(host.now);
    assert_eq!(host.board.state(), BoardState::Unpowered);
    host.board.receive(host.now, b"into nothing");
    assert_eq!(host.board.backlog(), 0);
    host.board.jumper(host.now, false);
    host.board.plug(host.now);
    host.pass(10);
    assert_eq!(host.board.state(), BoardState::Application);
}

/// Does as it is told by single letters, and ticks.
struct Obedient {
    due: Duration,
}

impl Application for Obedient {
    fn run(&mut self, chip: &mut ChipAccess<'_>, received: &[u8]) {
        if chip.now() >= self.due {
            self.due = chip.now() + Duration::from_millis(100);
            chip.send(b".");
        }
        for byte in received {
            match byte {
                b'e' => chip.erase_sector(0x1000),
                b'p' => chip.program(0x1000, b"kept"),
                b'r' => chip.restart(Restart::Commanded),
                b'h' => chip.restart(Restart::Hang),
                b'b' => chip.set_baud(9_600),
                other => chip.send(&[*other]),
            }
        }
    }

    fn next_due(&self) -> Option<Duration> {
        Some(self.due)
    }
}

fn obedient(speed: Speed) -> Host {
    let options = BoardOptions {
        speed,
        application: Box::new(|_| {
            Some(Box::new(Obedient {
                due: Duration::ZERO,
            }))
        }),
        ..BoardOptions::default()
    };
    let mut host = Host::new(options);
    host.board.flash_mut().place(0, &image());
    host.pass(90);
    assert_eq!(host.board.state(), BoardState::Application);
    host.read();
    host
}

#[test]
fn an_application_has_time_flash_and_a_rate() {
    let mut host = obedient(Speed::Immediate);
    host.pass(1_000);
    assert_eq!(host.read(), b"..........");
    host.board.receive(host.now, b"epb");
    assert_eq!(host.board.flash().read(0x1000, 5), b"kept\xff");
    host.read();
    host.board.receive(host.now, b"xyz");
    assert_ne!(host.read(), b"xyz");
    host.board.host_baud(9_600);
    host.board.receive(host.now, b"xyz");
    assert_eq!(host.read(), b"xyz");
}

#[test]
fn an_application_that_erases_overruns_its_receiver() {
    let mut host = obedient(Speed::Real);
    let sent = [&b"e"[..], &[b'x'; 300]].concat();
    host.board.receive(host.now, &sent);
    host.pass(200);
    let echoed = host.read().iter().filter(|byte| **byte == b'x').count();
    assert_eq!(echoed, 128);
    assert_eq!(host.board.counts().overruns, 172);
}

#[test]
fn a_restart_does_not_look_at_the_pins_again() {
    let mut host = obedient(Speed::Immediate);
    host.board.jumper(host.now, true);
    host.board.receive(host.now, b"r");
    host.pass(10);
    assert_eq!(host.board.state(), BoardState::Application);
    // The jumper was in when reset was let go, and is out again by now.
    host.press_reset();
    host.board.jumper(host.now, false);
    assert_eq!(host.sync(), 8);
    assert_eq!(host.status(4, &[1, 0, 0, 0]), Some([0, 0]));
    host.pass(10);
    assert_eq!(host.board.state(), BoardState::Application);
    host.board.receive(host.now, b"r");
    host.pass(10);
    assert_eq!(host.board.state(), BoardState::Download);
}

#[test]
fn a_watchdog_ends_what_hangs() {
    let mut host = obedient(Speed::Immediate);
    host.board.receive(host.now, b"h");
    assert_eq!(host.board.state(), BoardState::Hung);
    host.pass(2_100);
    assert_eq!(host.board.state(), BoardState::Application);
}
