//! What is written is there afterwards, whatever was there before.

use std::time::Duration;

use switchyard_flasher::{
    After, Approach, Before, Board, Chip, Error, Event, FlashMode, FlashSize, HeadPatch, Level,
    Order, Region, Result, Stub, Written, flash,
};
use switchyard_testkit::board::{self, BoardOptions, Wiring};

use crate::line::SimulatedLine;

/// Some kilobytes of an image for the ROM, which packs neither well nor not at all.
pub(crate) fn image(content_bytes: usize) -> Vec<u8> {
    let content: Vec<u8> = (0..content_bytes)
        .map(|at| ((at * at) >> 7) as u8 ^ at as u8)
        .collect();
    let mut bytes = vec![0xE9, 1, 2, 0x20, 0x04, 0x00, 0x10, 0x40];
    bytes.extend(0x4010_0000_u32.to_le_bytes());
    bytes.extend((content.len() as u32).to_le_bytes());
    bytes.extend(&content);
    while bytes.len() % 16 != 15 {
        bytes.push(0);
    }
    bytes.push(content.iter().fold(0xEF, |sum, byte| sum ^ byte));
    bytes
}

/// Stands for Espressif's in tests that do not need its own bytes.
pub(crate) fn stub() -> Stub {
    Stub::built_in().expect("the page's packages: run `npm ci` in ui, or `cargo xtask test`")
}

pub(crate) fn approach(has_stub: bool) -> Approach {
    Approach {
        before: Before::Reset,
        baud: 460_800,
        patience: Duration::from_secs(10),
        stub: has_stub.then(stub),
        holds_dtr: false,
    }
}

pub(crate) fn order(regions: &[(u32, &[u8])]) -> Order {
    let regions = regions.iter().map(|&(offset, bytes)| Region {
        offset,
        bytes: bytes.to_vec(),
    });
    Order {
        regions: regions.collect(),
        patch: HeadPatch::default(),
        detects_size: false,
        reads_back: false,
        is_raw: false,
    }
}

/// Writes an order, keeps no copy, and resets the board.
pub(crate) fn put(line: &mut SimulatedLine, has_stub: bool, order: &Order) -> Result<Written> {
    let watch = &mut |_: Event| {};
    flash(line, &approach(has_stub), order, After::Reset, None, watch).map(|(written, _)| written)
}

pub(crate) fn automatic() -> BoardOptions {
    BoardOptions {
        wiring: Wiring::Auto,
        ..BoardOptions::default()
    }
}

#[test]
fn a_blank_board_has_it_all() {
    let first = image(20_000);
    let second: Vec<u8> = (0..9_001_u32).map(|it| it as u8).collect();
    for has_stub in [true, false] {
        let mut line = SimulatedLine::new(automatic(), false);
        let mut events = Vec::new();
        let (written, was_reset) = flash(
            &mut line,
            &approach(has_stub),
            &order(&[(0x1_0000, &second), (0, &first)]),
            After::Reset,
            None,
            &mut |event: Event| events.push(event),
        )
        .unwrap();
        assert!(was_reset);
        let level = if has_stub { Level::Stub } else { Level::Rom };
        assert_eq!((written.level, written.line_errors), (level, 0));
        assert_eq!(written.chip.name, "ESP8266EX");
        assert_eq!(written.chip.mac, [0x5c, 0xcf, 0x7f, 0x12, 0x34, 0x56]);
        assert_eq!(written.flash.bytes(), Some(1 << 20));
        let found = line.board.flash().bytes();
        assert_eq!(found[..first.len()], first);
        assert_eq!(found[0x1_0000..][..second.len()], second);
        let counts = line.board.flash().second_programs();
        assert_eq!(counts, 0, "no word is programmed twice");
    }
}

#[test]
fn what_is_there_is_not_written_again() {
    let mut bytes = image(60_000);
    let mut line = SimulatedLine::new(automatic(), false);
    let mut write = |bytes: &[u8]| {
        let erases = line.board.flash().erases();
        let order = order(&[(0, bytes)]);
        let written = put(&mut line, true, &order).unwrap();
        assert_eq!(line.board.flash().bytes()[..bytes.len()], *bytes);
        (written.bytes_written, line.board.flash().erases() - erases)
    };
    let whole = bytes.len() as u32;
    assert_eq!(write(&bytes).0, whole);
    assert_eq!(write(&bytes), (0, 0));
    // Behind the image's own content, so that its sum stays right.
    bytes.resize(0x1_0000, 0x11);
    let (appended, _) = write(&bytes);
    assert!(appended <= 2 * 0x1000, "{appended}");
    bytes[0xF800] = 0x12;
    assert_eq!(write(&bytes).0, 0x1000);
}

#[test]
fn what_is_overwritten_is_kept_unless_it_is_blank() {
    for has_stub in [true, false] {
        is_kept_unless_it_is_blank(has_stub);
    }
}

fn is_kept_unless_it_is_blank(has_stub: bool) {
    let old: Vec<u8> = (0..0x3000_u32).map(|it| (it / 7) as u8).collect();
    let mut line = SimulatedLine::new(automatic(), false);
    line.board.flash_mut().place(0x2000, &old);
    let new = image(0x6000);
    let mut kept = Vec::new();
    flash(
        &mut line,
        &approach(has_stub),
        &order(&[(0, &new)]),
        After::Reset,
        Some(&mut |chip: &Chip, offset, bytes: &[u8]| {
            assert_eq!(chip.mac[0], 0x5c);
            kept.push((offset, bytes.to_vec()));
            Ok(())
        }),
        &mut |_: Event| {},
    )
    .expect("a write with a copy");
    assert_eq!(kept.len(), 1);
    let (offset, bytes) = &kept[0];
    let at = 0x2000 - *offset as usize;
    assert_eq!(bytes[at..at + old.len()], old);
}

#[test]
fn a_head_is_changed_as_was_asked() {
    let bytes = image(5_000);
    let mut line = SimulatedLine::new(automatic(), false);
    let mut order = order(&[(0, &bytes)]);
    order.detects_size = true;
    order.patch.mode = Some(FlashMode::Dout);
    put(&mut line, true, &order).unwrap();
    let found = line.board.flash().bytes();
    assert_eq!(found[..4], [0xE9, 1, 3, (FlashSize::Mb1 as u8) << 4]);
    assert_eq!(found[4..bytes.len()], bytes[4..]);
}

#[test]
fn nothing_is_written_of_what_is_wrong() {
    let good = image(5_000);
    let mut damaged = good.clone();
    damaged[100] ^= 1;
    let wrong = |regions: &[(u32, &[u8])]| {
        let mut line = SimulatedLine::new(automatic(), false);
        let outcome = put(&mut line, true, &order(regions));
        assert_eq!(
            line.board.flash().programs() + line.board.flash().erases(),
            0
        );
        outcome.unwrap_err()
    };
    assert!(matches!(wrong(&[(0, &damaged)]), Error::BadImage { .. }));
    assert!(matches!(
        wrong(&[(0x10, &good)]),
        Error::Unaligned { offset: 0x10 }
    ));
    let overlap = wrong(&[(0x1000, &good), (0x2000, &good)]);
    assert!(matches!(
        overlap,
        Error::Overlap {
            first: 0x1000,
            second: 0x2000
        }
    ));
    // Its head says 4 MB.
    let mut large = good.clone();
    large[3] = 0x40;
    let large = wrong(&[(0, &large)]);
    assert!(matches!(large, Error::FlashTooSmall { end: 0x40_0000, .. }));
    let small = wrong(&[(0xF_F000, &good)]);
    assert!(matches!(
        small,
        Error::FlashTooSmall {
            flash_bytes: 0x10_0000,
            ..
        }
    ));
}

#[test]
fn a_board_that_runs_its_program_is_told_from_none() {
    let manual = || BoardOptions {
        flash_size: board::FlashSize::Mib1,
        ..BoardOptions::default()
    };
    let attempt = |mut line: SimulatedLine| {
        let approach = Approach {
            before: Before::NoReset,
            patience: Duration::from_secs(2),
            baud: 115_200,
            ..approach(true)
        };
        let outcome = flash(
            &mut line,
            &approach,
            &order(&[(0, &image(100))]),
            After::NoReset,
            None,
            &mut |_: Event| {},
        );
        (outcome, line)
    };
    let mut line = SimulatedLine::new(manual(), false);
    line.board.unplug(Duration::ZERO);
    assert!(matches!(attempt(line).0, Err(Error::Line(_))));
    // Blank: it says so in its boot log, at its own rate.
    let (outcome, _) = attempt(SimulatedLine::new(manual(), false));
    let error = outcome.unwrap_err();
    assert!(
        matches!(error, Error::NotInLoader { .. } | Error::Silent { .. }),
        "{error:?}"
    );
    assert!(error.advice().unwrap().contains("GPIO0"));
    // And with its jumper in it is written.
    let (outcome, line) = attempt(SimulatedLine::new(manual(), true));
    let (_, was_reset) = outcome.unwrap();
    assert!(!was_reset);
    assert_eq!(line.board.flash().bytes()[0], 0xE9);
}

#[test]
fn a_stub_that_still_runs_is_found_again() {
    let mut line = SimulatedLine::new(BoardOptions::default(), true);
    let approach = Approach {
        before: Before::NoReset,
        ..approach(true)
    };
    for _ in 0..2 {
        let mut levels = Vec::new();
        let mut tell = |event: Event| {
            if let Event::Speaking { level, .. } = event {
                levels.push(level);
            }
        };
        let board = Board::approach(&mut line, &approach, &mut tell).unwrap();
        board.leave(After::NoReset).unwrap();
        assert_eq!(levels, [Level::Stub]);
    }
    let counts = line.board.counts();
    assert_eq!(counts.starts, 1, "nothing has reset it in between");
}

#[test]
fn the_sectors_beside_a_region_stay() {
    for has_stub in [true, false] {
        for sectors in 1..=5 {
            let mut line = SimulatedLine::new(automatic(), false);
            line.board.flash_mut().place(0, &[0x5A; 0x2_0000]);
            let content = vec![7; sectors * 0x1000];
            put(&mut line, has_stub, &order(&[(0xE000, &content)])).unwrap();
            let found = line.board.flash().bytes();
            let end = 0xE000 + content.len();
            assert_eq!(found[0xE000..end], content);
            let before = found[..0xE000].iter().all(|&byte| byte == 0x5A);
            let behind = found[end..0x2_0000].iter().all(|&byte| byte == 0x5A);
            assert!(before && behind, "stub {has_stub}, {sectors} sectors");
        }
    }
}

#[test]
fn nothing_is_erased_behind_the_end() {
    let mut line = SimulatedLine::new(automatic(), false);
    let mut board = Board::approach(&mut line, &approach(true), &mut |_: Event| {}).unwrap();
    let error = board.erase(Some((0xF_F000, 0x2000))).unwrap_err();
    assert!(matches!(error, Error::FlashTooSmall { .. }), "{error:?}");
    board.erase(Some((0xF_F000, 0x1000))).unwrap();
}

#[test]
fn what_was_kept_is_put_back_as_it_was() {
    let before = image(20_000);
    let mut line = SimulatedLine::new(automatic(), false);
    put(&mut line, true, &order(&[(0, &before)])).unwrap();
    let mut kept = Vec::new();
    let mut keep = |_: &Chip, offset: u32, bytes: &[u8]| {
        kept.push((offset, bytes.to_vec()));
        Ok(())
    };
    // Its first sector alone is another one: what is kept of it is no whole image.
    let mut after = before.clone();
    after[100] ^= 1;
    let last = after.len() - 1;
    after[last] ^= 1;
    let watch = &mut |_: Event| {};
    let changed = order(&[(0, &after)]);
    let backup: switchyard_flasher::Backup<'_> = &mut keep;
    let outcome = flash(
        &mut line,
        &approach(true),
        &changed,
        After::Reset,
        Some(backup),
        watch,
    );
    outcome.unwrap();
    let parts: Vec<_> = kept
        .iter()
        .map(|(offset, bytes)| (*offset, &**bytes))
        .collect();
    assert_eq!(parts[0].0, 0);
    let mut back = order(&parts);
    let error = put(&mut line, true, &back).unwrap_err();
    assert!(matches!(error, Error::BadImage { .. }), "{error:?}");
    back.is_raw = true;
    put(&mut line, true, &back).unwrap();
    assert_eq!(line.board.flash().bytes()[..before.len()], before);
}
