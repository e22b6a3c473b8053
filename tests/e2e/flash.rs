//! The console writes the virtual board, and the real esptool says whether that is what it would have written itself.

use crate::board::{Bench, image};
use serde_json::Value;
use std::process::{Command, Output};
use switchyard_e2e::content;
use switchyard_testkit::{
    Programs,
    board::{BoardOptions, FlashSize},
};

/// Runs the console on the bench's board, which has just entered its loader.
fn console(bench: &Bench, arguments: &[&str]) -> Output {
    bench.board.enter_download().unwrap();
    let mut command: Command = Programs::find().unwrap().command("switchyard").unwrap();
    command
        .arg(arguments[0])
        .arg("--port")
        .arg(bench.board.path())
        .args(["--before", "no-reset", "--after", "no-reset"])
        .args(&arguments[1..])
        .env("XDG_STATE_HOME", bench.board.folder())
        .output()
        .unwrap()
}

/// The same, which must go well: its lines of JSON.
fn told(bench: &Bench, arguments: &[&str]) -> Vec<Value> {
    let output = console(bench, &[arguments, &["--json"]].concat());
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {complaint}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

/// Writes by the console, then by esptool onto a board of the same sort, and both flashes are the same.
#[test]
fn a_board_has_what_esptool_would_have_written() {
    let sizes = || BoardOptions {
        flash_size: FlashSize::Mib4,
        ..BoardOptions::default()
    };
    let (ours, theirs) = (Bench::new(sizes()), Bench::new(sizes()));
    let boot = image(3_001);
    let rest = content(40_003);
    let heads = [
        "--flash-mode",
        "dout",
        "--flash-freq",
        "80m",
        "--flash-size",
    ];
    for (size, extra) in [
        ("keep", &[][..]),
        ("detect", &[]),
        ("4MB-c1", &["--no-stub"]),
    ] {
        let heads = [&heads[..], &[size]].concat();
        for bench in [&ours, &theirs] {
            bench.board.change_flash(|flash| {
                let bytes = flash.size() as usize;
                flash.place(0, &vec![0x5a; bytes]);
            });
        }
        let (boot, rest) = (ours.file("boot", &boot), ours.file("rest", &rest));
        let places = [format!("0x0={boot}"), format!("0x10000={rest}")];
        let places: Vec<&str> = places.iter().map(String::as_str).collect();
        let flash = [&["flash"], &heads[..], extra, &places].concat();
        // What it would keep here a ROM alone takes its time to tell.
        let flash = [&flash[..], &["--no-backup"]].concat();
        let lines = told(&ours, &flash);
        let done = lines.last().unwrap();
        assert_eq!(
            (&done["event"], &done["was_reset"]),
            (&"done".into(), &false.into())
        );
        assert_eq!(done["stub"], extra.is_empty());
        let places = ["0x0", &boot, "0x10000", &rest];
        theirs.succeed(extra, &[&["write-flash"], &heads[..], &places].concat());
        let (ours, theirs) = (ours.board.flash(), theirs.board.flash());
        // For an odd number of sectors esptool has the ROM erase one more, and ours leaves that as it was.
        let is_beyond = |at: &usize| !extra.is_empty() && *at / 0x1000 == 1;
        let differs = (0..ours.len()).find(|at| ours[*at] != theirs[*at] && !is_beyond(at));
        assert_eq!(differs, None, "{size} {extra:?}");
    }
}

#[test]
fn a_board_is_told_read_changed_and_erased() {
    let bench = Bench::new(BoardOptions::default());
    let image = image(60_000);
    let file = bench.file("image", &image);
    let found = told(&bench, &["identify"]);
    let board = found.last().unwrap();
    assert_eq!(board["mac"], "5c:cf:7f:12:34:56");
    assert_eq!(board["flash"]["bytes"], 1 << 20);
    let written = told(&bench, &["flash", &format!("0x1000={file}")]);
    let done = written.last().unwrap();
    let whole = image.len().next_multiple_of(4);
    assert_eq!(done["bytes_written"], whole);
    assert_eq!(done["backup"].as_array().unwrap().len(), 0, "it was blank");
    let again = told(&bench, &["flash", &format!("0x1000={file}")]);
    assert_eq!(again.last().unwrap()["bytes_written"], 0);
    bench.succeed(&[], &["verify-flash", "0x1000", &file]);
    // One sector is spoilt, mended, and what was in it kept.
    bench
        .board
        .change_flash(|flash| flash.place(0x5000, &[0; 0x1000]));
    let mended = told(&bench, &["flash", &format!("0x1000={file}")]);
    let done = mended.last().unwrap();
    assert_eq!(done["bytes_written"], 0x1000);
    let kept = std::fs::read(done["backup"][0].as_str().unwrap()).unwrap();
    assert_eq!(kept, [0; 0x1000]);
    let copy = bench.path("copy");
    told(
        &bench,
        &["dump", &copy, "--offset", "0x1000", "--bytes", "60000"],
    );
    assert_eq!(std::fs::read(&copy).unwrap(), image[..60_000]);
    told(&bench, &["erase", "0x2000+0x1000"]);
    assert_eq!(bench.board.flash()[0x2000..0x3000], [0xFF; 0x1000]);
    told(&bench, &["erase", "--all"]);
    assert!(bench.board.flash().iter().all(|&byte| byte == 0xFF));
}

#[test]
fn a_failure_says_what_to_do() {
    let bench = Bench::new(BoardOptions::default());
    let damaged = {
        let mut image = image(5_000);
        image[99] ^= 1;
        bench.file("damaged", &image)
    };
    let output = console(&bench, &["flash", &format!("0={damaged}")]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("it is damaged") && said.contains("Nothing was written"),
        "{said}"
    );
    assert!(bench.board.flash().iter().all(|&byte| byte == 0xFF));
    let output = Command::new(Programs::find().unwrap().path("switchyard").unwrap())
        .args(["identify", "--port", "/dev/no-such-board"])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("Is the board plugged in?"), "{said}");
}
