//! Measures how long a board takes to be written: by the console, and beside it by the real esptool, on a virtual board that
//! runs in real time.
//!
//! Run through `cargo xtask bench flash`, which builds the programs with optimisation first.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use anyhow::{Context, Result, ensure};
use clap::Parser;
use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};
use switchyard_e2e::content;
use switchyard_testkit::{
    Programs,
    board::{BoardOnTerminal, BoardOptions, SECTOR_BYTES, Speed},
};

/// What is written: as much as fits into half of a 1 MB board.
const IMAGE_BYTES: usize = 512 << 10;
const PLACE: usize = 0;
const BAUDS: [u32; 2] = [460_800, 921_600];

#[derive(Parser)]
#[command(about = "Measures writing a board, beside esptool")]
struct Cli {
    /// Rounds, of which the quickest counts
    #[arg(long, default_value_t = 3)]
    rounds: u32,
}

/// Who writes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Writer {
    Console,
    Esptool,
}

fn main() -> Result<()> {
    let rounds = Cli::parse().rounds.max(1);
    let image = content(IMAGE_BYTES);
    let mut changed = image.clone();
    for byte in &mut changed[37 * SECTOR_BYTES as usize..][..SECTOR_BYTES as usize] {
        *byte = !*byte;
    }
    println!("A 512 KiB image, seconds, the quickest of {rounds} rounds:\n");
    println!("| baud | what | console | esptool | console / esptool |");
    println!("|---|---|--:|--:|--:|");
    for baud in BAUDS {
        let mut quickest = [[Duration::MAX; 2]; 2];
        for _ in 0..rounds {
            for (at, writer) in [Writer::Console, Writer::Esptool].into_iter().enumerate() {
                let bench = Bench::start()?;
                let took = bench.write(writer, baud, &image)?;
                quickest[0][at] = quickest[0][at].min(took);
                let took = bench.write(writer, baud, &changed)?;
                quickest[1][at] = quickest[1][at].min(took);
            }
        }
        let what = ["onto a blank board", "again, one sector changed"];
        for (what, [ours, theirs]) in what.into_iter().zip(quickest) {
            let (ours, theirs) = (ours.as_secs_f64(), theirs.as_secs_f64());
            let ratio = ours / theirs;
            println!("| {baud} | {what} | {ours:.2} | {theirs:.2} | {ratio:.2} |");
        }
    }
    Ok(())
}

/// A board, blank at first.
struct Bench {
    board: BoardOnTerminal,
}

impl Bench {
    fn start() -> Result<Self> {
        let options = BoardOptions {
            speed: Speed::Real,
            ..BoardOptions::default()
        };
        let board = BoardOnTerminal::start(options)?;
        Ok(Bench { board })
    }

    /// From the start of the program to its end, everything verified.
    fn write(&self, writer: Writer, baud: u32, image: &[u8]) -> Result<Duration> {
        let file = self.board.folder().join("image");
        std::fs::write(&file, image)?;
        self.board.enter_download()?;
        let mut command = match writer {
            Writer::Console => self.console(baud, &file)?,
            Writer::Esptool => self.esptool(baud, &file)?,
        };
        let begun = Instant::now();
        let output = command.output()?;
        let took = begun.elapsed();
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "writing ended with {}: {said}",
            output.status
        );
        let flash = self.board.flash();
        ensure!(flash[PLACE..][..image.len()] == *image, "it is not there");
        Ok(took)
    }

    fn console(&self, baud: u32, file: &Path) -> Result<Command> {
        let mut command = Programs::find()?.command("switchyard")?;
        command
            .args([
                "flash", "--before", "no-reset", "--after", "no-reset", "--port",
            ])
            .arg(self.board.path())
            .args(["--baud", &baud.to_string()])
            .arg(format!("{PLACE:#x}={}", file.display()))
            .env("XDG_STATE_HOME", self.board.folder());
        Ok(command)
    }

    fn esptool(&self, baud: u32, file: &Path) -> Result<Command> {
        let program = std::env::var_os("SWITCHYARD_ESPTOOL");
        let program = program.context("SWITCHYARD_ESPTOOL: run `cargo xtask bench flash`")?;
        let mut command = Command::new(program);
        command
            .args([
                "--chip", "esp8266", "--before", "no-reset", "--after", "no-reset", "--port",
            ])
            .arg(self.board.path())
            .args(["--baud", &baud.to_string()])
            .args(["write-flash", &format!("{PLACE:#x}")])
            .arg(file);
        Ok(command)
    }
}
