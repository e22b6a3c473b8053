//! The monitor on the virtual board: its boot log at one rate, its application at another.

#![expect(clippy::unwrap_used, reason = "a panic is a test's report")]

use std::time::Duration;

use switchyard_flasher::{
    Line as _,
    monitor::{Finding, Heard, Listener, Monitor, MonitorOptions, Start, What},
};
use switchyard_testkit::board::{BannerApplication, BoardOptions, Speed, Wiring};

use crate::line::SimulatedLine;

const TURN: Duration = Duration::from_millis(20);

/// A board that has booted an image of that size, and a listener that has heard it out.
fn bench(wiring: Wiring, image_bytes: u32) -> (SimulatedLine, Listener) {
    let mut line = SimulatedLine::new(
        BoardOptions {
            speed: Speed::Real,
            wiring,
            ..BoardOptions::default()
        },
        false,
    );
    line.board.flash_mut().place(0, &image(image_bytes));
    line.power_cycle();
    line.wait(Duration::from_secs(5));
    line.discard().unwrap();
    (line, Listener::new(Monitor::new(MonitorOptions::default())))
}

/// An image that boots.
fn image(bytes: u32) -> Vec<u8> {
    let mut image = vec![0xe9, 1, 3, 0x20, 0, 0, 0x10, 0x40, 0, 0, 0x10, 0x40];
    image.extend(bytes.to_le_bytes());
    let loaded: Vec<u8> = (0..bytes).map(|it| (it % 251) as u8).collect();
    let sum = loaded.iter().fold(0xef, |sum, byte| sum ^ byte);
    image.extend(loaded);
    image.resize(image.len() | 15, 0);
    image.push(sum);
    image
}

/// Listens for so much of the line's time.
fn listen(listener: &mut Listener, line: &mut SimulatedLine, time: Duration) -> Vec<Heard> {
    let end = line.now() + time;
    let mut heard = Vec::new();
    while line.now() < end {
        heard.extend(listener.listen(line, TURN).unwrap());
    }
    heard
}

fn lines(heard: &[Heard]) -> Vec<&str> {
    let lines = heard.iter().filter_map(|it| match &it.what {
        What::Line { text, .. } => Some(text.as_str()),
        _ => None,
    });
    lines.filter(|it| !it.is_empty()).collect()
}

fn starts(heard: &[Heard]) -> Vec<Start> {
    let starts = heard.iter().filter_map(|it| match &it.what {
        What::Finding(Finding::Start(start)) => Some(*start),
        _ => None,
    });
    starts.collect()
}

fn unreadable(heard: &[Heard]) -> u64 {
    let bytes = heard.iter().map(|it| match it.what {
        What::Unreadable { bytes, .. } => bytes,
        _ => 0,
    });
    bytes.sum()
}

fn banner() -> &'static str {
    BannerApplication::BANNER.trim_end()
}

/// Nothing is lost when the reset is ours.
#[test]
fn a_board_that_we_reset_is_read_whole() {
    let (mut line, mut listener) = bench(Wiring::Auto, 60_000);
    let mut heard = listener.reset(&mut line).unwrap();
    heard.extend(listen(&mut listener, &mut line, Duration::from_secs(2)));
    let lines = lines(&heard);
    assert_eq!(lines[0], " ets Jan  8 2013,rst cause:2, boot mode:(3,6)");
    assert!(
        lines[1].starts_with("load 0x40100000, len 60000"),
        "{lines:?}"
    );
    assert_eq!(lines.last(), Some(&banner()), "{lines:?}");
    assert_eq!(unreadable(&heard), 0);
    let start = Start {
        cause: Some(2),
        straps: Some(3),
        is_reconstructed: false,
    };
    assert_eq!(starts(&heard), [start]);
}

/// A reset that comes unasked costs the ROM's first line, which is recognised all the same.
#[test]
fn a_button_is_noticed_and_its_log_read() {
    let (mut line, mut listener) = bench(Wiring::Manual, 60_000);
    line.board.reset(line.now(), true);
    assert_eq!(listen(&mut listener, &mut line, TURN), []);
    line.board.reset(line.now(), false);
    let heard = listen(&mut listener, &mut line, Duration::from_secs(2));
    let lines = lines(&heard);
    assert!(
        lines[0].starts_with("load 0x40100000, len 60000"),
        "{lines:?}"
    );
    assert_eq!(lines.last(), Some(&banner()), "{lines:?}");
    let start = Start {
        cause: Some(2),
        straps: Some(3),
        is_reconstructed: true,
    };
    assert_eq!(starts(&heard), [start]);
    assert!((40..80).contains(&unreadable(&heard)), "{heard:?}");
}

/// A board without an image says so again and again, and each time is read: the rate stays.
#[test]
fn a_blank_board_is_read_round_after_round() {
    let (mut line, mut listener) = bench(Wiring::Auto, 60_000);
    line.board.flash_mut().place(0, &[0xFF; 64]);
    let mut heard = listener.reset(&mut line).unwrap();
    heard.extend(listen(&mut listener, &mut line, Duration::from_secs(5)));
    let causes: Vec<_> = starts(&heard).iter().map(|it| it.cause).collect();
    assert_eq!(causes, [Some(2), Some(4), Some(4)]);
    let blank = heard
        .iter()
        .filter(|it| it.what == What::Finding(Finding::NoImage));
    assert_eq!(blank.count(), 3);
    assert_eq!(unreadable(&heard), 0);
}

/// A hand's line has no outputs: the rate does not change for a reset that never comes.
#[test]
fn an_application_answers_and_an_unplugged_line_is_told() {
    let (mut line, mut listener) = bench(Wiring::Manual, 60_000);
    line.write(b"hello board\n").unwrap();
    let heard = listen(&mut listener, &mut line, Duration::from_millis(100));
    assert_eq!(lines(&heard), ["hello board"]);
    line.board.unplug(line.now());
    assert!(listener.listen(&mut line, TURN).is_err());
    assert_eq!(listener.gone(), []);
}
