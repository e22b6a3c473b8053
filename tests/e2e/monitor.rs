//! The console listens to the virtual board: its log at the ROM's rate, its application at another, and what is sent to it.

use serde_json::Value;
use switchyard_e2e::content;
use switchyard_testkit::{
    Program, Programs,
    board::{BannerApplication, BoardOnTerminal, BoardOptions, BoardState, Speed},
};

/// The ROM says two lines and more of each, 0.15 s in all, and loads them for 0.4 s: a machine that has much else to do
/// notices in time that a log has begun, and that it is over.
const SEGMENTS: u8 = 16;
const SEGMENT_BYTES: u32 = 25_000;

/// An image that boots.
fn image() -> Vec<u8> {
    let segment = content(SEGMENT_BYTES as usize);
    // An even number of the same segments takes each other's sum away.
    let sum = 0xef;
    let mut image = vec![0xe9, SEGMENTS, 0, 0, 0, 0, 0x10, 0x40];
    for _ in 0..SEGMENTS {
        image.extend([0, 0, 0x10, 0x40]);
        image.extend(SEGMENT_BYTES.to_le_bytes());
        image.extend(&segment);
    }
    image.resize(image.len() | 15, 0);
    image.push(sum);
    image
}

/// A board that has booted, in real time.
fn board() -> BoardOnTerminal {
    let board = BoardOnTerminal::start(BoardOptions {
        speed: Speed::Real,
        ..BoardOptions::default()
    })
    .unwrap();
    board.change_flash(|flash| flash.place(0, &image()));
    board.press_reset();
    runs(&board);
    board
}

fn runs(board: &BoardOnTerminal) {
    let is_running =
        |board: &switchyard_testkit::board::Board| board.state() == BoardState::Application;
    board.wait_for("the application", is_running).unwrap();
}

fn monitor(board: &BoardOnTerminal, arguments: &[&str]) -> Program {
    let mut command = Programs::find().unwrap().command("switchyard").unwrap();
    command
        .args(["monitor", "--json", "--port"])
        .arg(board.path())
        .args(arguments);
    Program::start("monitor", &mut command).unwrap()
}

/// Waits for an event that is so.
fn wait_for(monitor: &mut Program, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let pick = |line: &str| serde_json::from_str(line).ok().filter(|event| is_so(event));
    monitor.wait_for_line(what, pick).unwrap()
}

fn is_line(text: &str) -> impl Fn(&Value) -> bool {
    move |event| event["event"] == "line" && event["text"] == text
}

fn is_event(name: &str) -> impl Fn(&Value) -> bool {
    move |event| event["event"] == name
}

#[test]
fn a_board_is_heard_at_both_rates_and_after_it_was_unplugged() {
    let board = board();
    let log = board.folder().join("heard.log");
    let arguments = ["--not", "load", "--log", log.to_str().unwrap()];
    let mut monitor = monitor(&board, &arguments);
    wait_for(&mut monitor, "the line", is_event("listening"));
    // What is sent comes back: whatever the board said before is heard.
    monitor.say("hello board").unwrap();
    wait_for(&mut monitor, "the board's echo", is_line("hello board"));
    monitor.forget_lines();

    board.press_reset();
    let start = wait_for(&mut monitor, "a reset", |event| event["finding"] == "start");
    assert_eq!(
        (&start["cause"], &start["reconstructed"]),
        (&2.into(), &true.into())
    );
    wait_for(&mut monitor, "the boot log's end", |event| {
        event["text"]
            .as_str()
            .is_some_and(|text| text.starts_with("csum 0x"))
    });
    let over = wait_for(&mut monitor, "the application's rate", |event| {
        event["event"] == "rate" && event["baud"] == 115_200
    });
    assert_eq!(over["reason"], "log_over");
    let banner = BannerApplication::BANNER.trim_end();
    wait_for(&mut monitor, "the banner", is_line(banner));
    monitor.forget_lines();

    board.unplug();
    wait_for(&mut monitor, "the end of the line", is_event("unplugged"));
    board.plug().unwrap();
    wait_for(&mut monitor, "the line again", is_event("back"));
    runs(&board);
    monitor.say("hello again").unwrap();
    wait_for(&mut monitor, "the board's echo", is_line("hello again"));
    // The log has what was not shown.
    let log = std::fs::read_to_string(log).unwrap();
    for kept in [
        "load 0x40100000",
        "hello board",
        banner,
        "is unplugged",
        "hello again",
    ] {
        assert!(log.contains(kept), "{kept}: {log}");
    }
}

#[test]
fn once_ends_with_the_line() {
    let board = board();
    let mut monitor = monitor(&board, &["--once", "--hex", "--baud", "115200"]);
    wait_for(&mut monitor, "the line", is_event("listening"));
    monitor.say("0123456789abcdef").unwrap();
    let row = wait_for(&mut monitor, "a row", is_event("bytes"));
    assert_eq!(row["hex"], "30313233343536373839616263646566");
    board.unplug();
    assert!(monitor.wait().unwrap().success());
}
