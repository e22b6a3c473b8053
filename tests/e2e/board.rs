//! The virtual board before a judge that is not ours: the real esptool flashes, verifies, reads and erases it,
//! by the chip's own loader and by the stub that it brings along.

use std::{
    path::{Path, PathBuf},
    process::Command,
};
use switchyard_e2e::content;
use switchyard_testkit::board::{
    BoardOnTerminal, BoardOptions, BoardState, Fault, FaultKind, FaultPoint, FlashSize,
    SECTOR_BYTES, SecondProgram,
};

/// The rates that boards are flashed at.
const BAUDS: [u32; 3] = [115_200, 460_800, 921_600];

/// A board with the jumper in, and esptool beside it.
pub(crate) struct Bench {
    pub(crate) board: BoardOnTerminal,
    esptool: PathBuf,
}

/// How an esptool ended, and what it said.
struct Outcome {
    is_success: bool,
    text: String,
}

impl Bench {
    pub(crate) fn new(options: BoardOptions) -> Self {
        let esptool = std::env::var_os("SWITCHYARD_ESPTOOL");
        let esptool = esptool.expect("SWITCHYARD_ESPTOOL: run `cargo xtask test e2e`");
        Bench {
            board: BoardOnTerminal::start(options).unwrap(),
            esptool: esptool.into(),
        }
    }

    /// Runs esptool on a board that has just entered download mode.
    fn run(&self, flags: &[&str], command: &[&str]) -> Outcome {
        self.board.enter_download().unwrap();
        self.go_on(flags, command)
    }

    /// Runs esptool on the board as it is.
    fn go_on(&self, flags: &[&str], command: &[&str]) -> Outcome {
        let output = Command::new(&self.esptool)
            .args(["--chip", "esp8266", "--before", "no-reset"])
            .args(["--after", "no-reset", "--connect-attempts", "3", "--port"])
            .arg(self.board.path())
            .args(flags)
            .args(command)
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        Outcome {
            is_success: output.status.success(),
            text: String::from_utf8_lossy(&said).into_owned(),
        }
    }

    /// The same, which must not fail.
    pub(crate) fn succeed(&self, flags: &[&str], command: &[&str]) -> String {
        let outcome = self.run(flags, command);
        assert!(
            outcome.is_success,
            "{flags:?} {command:?}: {}",
            outcome.text
        );
        outcome.text
    }

    /// A file beside the board.
    pub(crate) fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn path(&self, name: &str) -> String {
        let path: &Path = &self.board.folder().join(name);
        path.to_str().unwrap().into()
    }
}

/// A board whose flash takes no word twice, and holds something everywhere.
fn used_board() -> BoardOptions {
    BoardOptions {
        second_program: SecondProgram::Refused,
        ..BoardOptions::default()
    }
}

fn used(bench: &Bench) {
    bench.board.change_flash(|flash| {
        let size = flash.size() as usize;
        flash.place(0, &vec![0x5a; size]);
    });
}

/// An image that boots, `length` bytes of it loaded.
pub(crate) fn image(length: u32) -> Vec<u8> {
    let loaded = content(length as usize);
    let sum = loaded.iter().fold(0xef, |sum, byte| sum ^ byte);
    let mut image = vec![0xe9, 1, 0, 0, 0, 0, 0x10, 0x40, 0, 0, 0x10, 0x40];
    image.extend(length.to_le_bytes());
    image.extend(loaded);
    image.resize(image.len() | 15, 0);
    image.push(sum);
    image
}

#[test]
fn tells_who_it_is() {
    for (size, megabytes) in [(FlashSize::Mib1, "1MB"), (FlashSize::Mib4, "4MB")] {
        let bench = Bench::new(BoardOptions {
            flash_size: size,
            ..BoardOptions::default()
        });
        for flags in [&[][..], &["--no-stub"]] {
            let text = bench.succeed(flags, &["chip-id"]);
            assert!(
                text.contains("ESP8266EX") && text.contains("0x00123456"),
                "{text}"
            );
            let text = bench.succeed(flags, &["read-mac"]);
            assert!(text.contains("5c:cf:7f:12:34:56"), "{text}");
            let text = bench.succeed(flags, &["flash-id"]);
            assert!(text.contains(megabytes), "{text}");
        }
    }
    let bench = Bench::new(BoardOptions {
        is_esp8285: true,
        ..BoardOptions::default()
    });
    let text = bench.succeed(&[], &["chip-id"]);
    assert!(text.contains("ESP8285"), "{text}");
}

#[test]
fn is_written_verified_read_and_erased_by_the_stub() {
    let content = content(0x1_8765);
    for baud in BAUDS {
        let bench = Bench::new(used_board());
        used(&bench);
        let (file, copy) = (bench.file("content", &content), bench.path("copy"));
        let flags = ["--baud", &baud.to_string()];
        bench.succeed(&flags, &["write-flash", "0x3000", &file]);
        assert_eq!(bench.board.with(|board, _| board.baud()), baud);
        let flash = bench.board.flash();
        assert!(flash[0x3000..].starts_with(&content), "{baud}");
        assert!(flash[..0x3000].iter().all(|byte| *byte == 0x5a), "{baud}");
        // The rest of the last sector is erased, and no other.
        let end = (0x3000 + content.len()).next_multiple_of(SECTOR_BYTES as usize);
        assert_eq!(flash[end], 0x5a, "{baud}");

        bench.succeed(&flags, &["verify-flash", "0x3000", &file]);
        let length = content.len().to_string();
        bench.succeed(&flags, &["read-flash", "0x3000", &length, &copy]);
        assert!(std::fs::read(&copy).unwrap() == content, "{baud}");

        bench.succeed(&flags, &["erase-region", "0x10000", "0x3000"]);
        let flash = bench.board.flash();
        assert!(flash[0x1_0000..0x1_3000].iter().all(|byte| *byte == 0xff));
        assert!(flash[0x3000..0x1_0000] == content[..0xd000], "{baud}");
        let outcome = bench.run(&flags, &["verify-flash", "0x3000", &file]);
        assert!(!outcome.is_success, "{}", outcome.text);

        bench.succeed(&flags, &["write-flash", "--no-compress", "0x20000", &file]);
        assert!(
            bench.board.flash()[0x2_0000..].starts_with(&content),
            "{baud}"
        );
        bench.succeed(&flags, &["erase-flash"]);
        assert!(
            bench.board.flash().iter().all(|byte| *byte == 0xff),
            "{baud}"
        );
    }
}

#[test]
fn is_written_by_the_rom_alone() {
    let bench = Bench::new(used_board());
    let content = content(0x1_2345);
    let file = bench.file("content", &content);
    // Inside of one block of 64 KiB, over the border of one, and from its beginning: esptool asks the ROM for
    // what makes it erase the right number of sectors.
    for offset in [0x1_1000, 0xe000, 0] {
        used(&bench);
        let flags = ["--no-stub"];
        bench.succeed(&flags, &["write-flash", &offset.to_string(), &file]);
        let flash = bench.board.flash();
        assert!(flash[offset..].starts_with(&content), "{offset:x}");
        assert!(
            flash[..offset].iter().all(|byte| *byte == 0x5a),
            "{offset:x}"
        );
    }
}

#[test]
fn boots_what_esptool_has_written() {
    let bench = Bench::new(used_board());
    used(&bench);
    let file = bench.file("image", &image(0x2345));
    let text = bench.succeed(&[], &["image-info", &file]);
    assert!(text.contains("(valid)"), "{text}");
    let settings = [
        "--flash-mode",
        "dout",
        "--flash-size",
        "1MB",
        "--flash-freq",
        "40m",
    ];
    for flags in [&[][..], &["--no-stub"]] {
        used(&bench);
        bench.board.jumper(false);
        bench.board.press_reset();
        let is_bad =
            |board: &switchyard_testkit::board::Board| board.state() == BoardState::BadImage;
        bench.board.wait_for("a bad image", is_bad).unwrap();
        let command = [&["write-flash"][..], &settings, &["0", &file]].concat();
        bench.succeed(flags, &command);
        assert_eq!(bench.board.flash()[2..4], [3, 0x20]);
        bench.board.jumper(false);
        bench.board.press_reset();
        bench
            .board
            .wait_for("the application", |board| {
                board.state() == BoardState::Application
            })
            .unwrap();
    }
}

/// A board with something on its flash already, whose line fails in the midst of a write.
fn failing_bench(kind: FaultKind, at: u64) -> Bench {
    let at = FaultPoint::ByteFromHost(at);
    Bench::new(BoardOptions {
        faults: vec![Fault { at, kind }],
        ..used_board()
    })
}

#[test]
fn what_goes_wrong_is_noticed_and_can_be_mended() {
    let content = content(0x8000);
    let write = |kind: FaultKind, fails: bool| {
        let bench = failing_bench(kind, 30_000);
        let file = bench.file("content", &content);
        let outcome = bench.run(&[], &["write-flash", "0", &file]);
        assert_eq!(outcome.is_success, !fails, "{kind:?}: {}", outcome.text);
        if fails {
            bench.board.plug().unwrap();
            bench.succeed(&[], &["write-flash", "0", &file]);
        }
        assert!(bench.board.flash().starts_with(&content), "{kind:?}");
    };
    // Side by side, since most of it is esptool's patience.
    std::thread::scope(|threads| {
        for (kind, fails) in [
            (FaultKind::Unplug, true),
            (FaultKind::Silence, true),
            (FaultKind::RefusedProgram, true),
            // What is refused, esptool sends again.
            (FaultKind::Nak { code: 0xc4 }, false),
            (FaultKind::Lose { bytes: 2 }, false),
            (FaultKind::Noise { bytes: 9, seed: 5 }, false),
        ] {
            let write = &write;
            threads.spawn(move || write(kind, fails));
        }
    });
}

#[test]
fn a_stub_that_was_spoilt_on_its_way_does_not_run() {
    let bench = failing_bench(FaultKind::Double { bytes: 1 }, 10_000);
    let outcome = bench.run(&[], &["flash-id"]);
    assert!(!outcome.is_success, "{}", outcome.text);
    bench.succeed(&[], &["flash-id"]);
}
