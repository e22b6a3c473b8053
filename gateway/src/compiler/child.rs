//! The compiler's child: the hidden command `compile-script`. It locks itself in, reads a script from
//! standard input, and writes one report to standard output.

use super::{
    SOURCE_BYTES_MAX, confine,
    report::{Fault, Report, Summary},
};
use std::{
    io::{self, Read as _, Write as _},
    process::ExitCode,
};
use switchyard_firmware::script::{self, Board};

/// What `compile-script` is told.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The board whose pins the script may use, as the firmware's profiles call it
    #[arg(long)]
    board: String,
    /// What it does in place of compiling, for tests of what then becomes of it. A release has none.
    #[cfg(debug_assertions)]
    #[arg(long)]
    misbehave: Option<Misbehaviour>,
}

/// What a compiler that somebody has taken over might try.
#[cfg(debug_assertions)]
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Misbehaviour {
    /// Never ends.
    Spin,
    /// Takes all memory that there is.
    Allocate,
    /// Opens a file.
    Open,
    /// Opens a connection.
    Connect,
    /// Starts a program.
    Start,
    /// Writes without end.
    Flood,
    /// Ends without a word.
    Vanish,
    /// Says what no child says.
    Babble,
    /// Tells which descriptors it was left.
    Inventory,
}

/// Runs the child. Only a script that cannot be read makes it fail; everything else is in the report.
pub fn run(arguments: &Arguments) -> ExitCode {
    match report(arguments).and_then(|report| write(&report)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn report(arguments: &Arguments) -> io::Result<Report> {
    let unconfined = |why: confine::Unconfined| Report::Unconfined {
        why: why.to_string(),
    };
    #[cfg(debug_assertions)]
    let inventory = matches!(arguments.misbehave, Some(Misbehaviour::Inventory));
    #[cfg(not(debug_assertions))]
    let inventory = false;
    if let Err(why) = confine::bound_resources() {
        return Ok(unconfined(why));
    }
    if inventory {
        return inventory_report();
    }
    let mut source = String::new();
    let most = SOURCE_BYTES_MAX + 1;
    io::stdin().take(most as u64).read_to_string(&mut source)?;
    let known = Board::known();
    let board = known.into_iter().find(|(name, _)| *name == arguments.board);
    let (_, board) = board.ok_or(io::ErrorKind::InvalidInput)?;
    if let Err(why) = confine::forbid_system_calls() {
        return Ok(unconfined(why));
    }
    #[cfg(debug_assertions)]
    if let Some(misbehaviour) = arguments.misbehave {
        misbehave(misbehaviour);
    }
    Ok(match script::compile(&source, &board) {
        Ok(program) => Report::Compiled(Summary::from(&program)),
        Err(error) => Report::Refused(Fault::from(error)),
    })
}

fn write(report: &Report) -> io::Result<()> {
    let text = serde_json::to_vec(report)?;
    let mut stdout = io::stdout().lock();
    stdout.write_all(&text)?;
    stdout.flush()
}

#[cfg(debug_assertions)]
fn inventory_report() -> io::Result<Report> {
    // Looking takes a descriptor, and none may be opened any more: so it asks for each by its number.
    let is_open = |number: &u32| std::fs::metadata(format!("/proc/self/fd/{number}")).is_ok();
    let open: Vec<String> = (0..64)
        .filter(is_open)
        .map(|number| number.to_string())
        .collect();
    Ok(Report::Unconfined {
        why: open.join(" "),
    })
}

#[cfg(not(debug_assertions))]
fn inventory_report() -> io::Result<Report> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(debug_assertions)]
fn misbehave(misbehaviour: Misbehaviour) {
    match misbehaviour {
        Misbehaviour::Spin => loop {
            std::hint::spin_loop();
        },
        Misbehaviour::Allocate => {
            let mut taken = Vec::new();
            loop {
                taken.push(std::hint::black_box(vec![1_u8; 1 << 20]));
            }
        }
        Misbehaviour::Open => drop(std::fs::File::open("/dev/null")),
        Misbehaviour::Connect => drop(std::net::TcpStream::connect(("127.0.0.1", 1))),
        Misbehaviour::Start => drop(std::process::Command::new("/bin/true").spawn()),
        Misbehaviour::Flood => {
            let mut stdout = io::stdout().lock();
            while stdout.write_all(&[b'x'; 4096]).is_ok() {}
        }
        Misbehaviour::Vanish => std::process::exit(0),
        Misbehaviour::Babble => {
            // Whether it was read is the test's to see.
            let _ = io::stdout().write_all(b"{\"outcome\":\"well\"}");
            std::process::exit(0);
        }
        Misbehaviour::Inventory => {}
    }
}
