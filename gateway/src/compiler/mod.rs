//! Scripts are compiled in a child process, never in the gateway itself.
//!
//! What people send in as a script is read by a compiler written in C. A child does that: this very
//! program, started anew with the hidden command `compile-script`, which closes what it inherited,
//! bounds its time and memory, reads the script, gives up all system calls but those for its own
//! memory and its report, and only then compiles (`confine`). Whatever a script can do to it, it does
//! to a process that has nothing, lives for moments, and tells one JSON object of bounded size.
//!
//! [`Compiler`] is the parent's side.

mod child;
mod confine;
mod report;

pub use child::{Arguments, run};
pub use report::{Declared, DeclaredAlarm, Fault, Kind, Level, Summary, Type};

use crate::digest::Digest;
use report::Report;
use std::{
    ffi::OsString,
    io,
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};
use switchyard_firmware::script::Board;
use thiserror::Error;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, Command},
    sync::Semaphore,
    time::timeout,
};

/// The language's bound on a source, `FW_SCRIPT_SOURCE_MAX` of the firmware.
pub const SOURCE_BYTES_MAX: usize = switchyard_protocol::limits::SCRIPT_SOURCE_BYTES_MAX;
/// A report's bound. All that is in one stands in the source, where a byte makes six of JSON at most,
/// and in 128 names with what is around them.
const REPORT_BYTES_MAX: usize = 128 * 1024;
/// Children at once. One is done within milliseconds; a second keeps a slow one from holding up all.
const CHILDREN_MAX: usize = 2;
/// Who may wait for a child: 16 is a fraction of a second's work. Whoever else comes is told to come again.
const WAITING_MAX: usize = 16;

/// How long is waited for what.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For one's turn.
    pub turn: Duration,
    /// For a child, from its start to its end.
    pub child: Duration,
}

impl Default for Limits {
    /// A child may use a second of CPU, and gives way to everything: five seconds are for a host that is
    /// busy. A turn comes after two of those in the worst case.
    fn default() -> Self {
        Self {
            turn: Duration::from_secs(10),
            child: Duration::from_secs(5),
        }
    }
}

/// What became of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is one.
    Compiled {
        /// Of its source.
        digest: Digest,
        /// What it declares and costs.
        summary: Summary,
    },
    /// It is none.
    Refused(Fault),
}

/// Why nothing is known of a script.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CompilerError {
    /// It is longer than any controller takes.
    #[error("expected a script of at most {SOURCE_BYTES_MAX} bytes, got {bytes}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// No firmware has a profile of that board.
    #[error("expected a board among {known}, got {board:?}")]
    UnknownBoard {
        /// What was asked for.
        board: String,
        /// Those that there are, with commas.
        known: String,
    },
    /// Too many scripts are compiled at this moment.
    #[error("too many scripts are compiled at this moment; try again")]
    Busy,
    /// There was no child.
    #[error("cannot start the compiler")]
    NotStarted(#[source] io::Error),
    /// The system does not let the child lock itself in, and so nothing is compiled.
    #[error("the compiler cannot be locked in: {why}")]
    Unconfined {
        /// What was refused.
        why: String,
    },
    /// It took longer than any script does.
    #[error("the compiler was stopped: it took too long")]
    TookTooLong,
    /// It asked the system for what it has no use for: the script is an attack, or the filter has a gap.
    #[error("the compiler was stopped: it asked for a forbidden system call")]
    Forbidden,
    /// It ended without a report, or with one that makes no sense.
    #[error("the compiler failed: {how}")]
    Failed {
        /// Its status, or what is wrong with its report.
        how: String,
    },
}

/// Compiles scripts in children. Cloning it gives the same one.
#[derive(Clone, Debug)]
pub struct Compiler {
    program: PathBuf,
    arguments: Vec<OsString>,
    limits: Limits,
    /// Children that run.
    children: Arc<Semaphore>,
    /// Children that run or are waited for.
    places: Arc<Semaphore>,
}

impl Default for Compiler {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Compiler {
    /// One whose children are this program.
    pub fn new(limits: Limits) -> Self {
        // This very file, even where an upgrade has meanwhile put another in its place.
        Self::of_program("/proc/self/exe".into(), Vec::new(), limits)
    }

    /// One whose children are the gateway's program at that path, told something more: for tests, which
    /// are no gateway themselves.
    #[doc(hidden)]
    pub fn of_program(program: PathBuf, arguments: Vec<OsString>, limits: Limits) -> Self {
        Self {
            program,
            arguments,
            limits,
            children: Arc::new(Semaphore::new(CHILDREN_MAX)),
            places: Arc::new(Semaphore::new(CHILDREN_MAX + WAITING_MAX)),
        }
    }

    /// Compiles a script for a board of the firmware's profiles, or for `virtual`. Whoever stops waiting
    /// for this stops nothing: the child goes on to its own end, which is near.
    pub async fn compile(&self, board: &str, source: &str) -> Result<Verdict, CompilerError> {
        // Judged before anything is started.
        if source.len() > SOURCE_BYTES_MAX {
            let bytes = source.len();
            return Err(CompilerError::TooLong { bytes });
        }
        check_board(board)?;
        let places = Arc::clone(&self.places);
        let place = places
            .try_acquire_owned()
            .map_err(|_| CompilerError::Busy)?;
        let turn = Arc::clone(&self.children).acquire_owned();
        let Ok(Ok(turn)) = timeout(self.limits.turn, turn).await else {
            return Err(CompilerError::Busy);
        };
        let digest = Digest::of(source.as_bytes());
        let limit = self.limits.child;
        let mut command = self.command(board);
        let source = source.to_owned();
        // A task of its own holds child and places: were the caller's future dropped with them, a child
        // could outlive its place.
        let work = tokio::spawn(async move {
            let report = run_child(&mut command, &source, limit).await;
            drop((place, turn));
            report
        });
        let report = work.await.map_err(|error| CompilerError::Failed {
            how: error.to_string(),
        })??;
        match report {
            Report::Compiled(summary) => Ok(Verdict::Compiled { digest, summary }),
            Report::Refused(fault) => Ok(Verdict::Refused(fault)),
            Report::Unconfined { why } => Err(CompilerError::Unconfined { why }),
        }
    }

    fn command(&self, board: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg0("switchyard-gateway")
            .arg("compile-script")
            .arg("--board")
            .arg(board)
            .args(&self.arguments)
            // Settings come by the environment, and secrets with them.
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        command
    }
}

fn check_board(board: &str) -> Result<(), CompilerError> {
    let known = Board::known();
    if known.iter().any(|(name, _)| name == board) {
        return Ok(());
    }
    let names: Vec<_> = known.into_iter().map(|(name, _)| name).collect();
    Err(CompilerError::UnknownBoard {
        board: board.chars().take(64).collect(),
        known: names.join(", "),
    })
}

/// Starts a child and sees it to its end: when this returns it is no more, and nothing of it is left.
async fn run_child(
    command: &mut Command,
    source: &str,
    limit: Duration,
) -> Result<Report, CompilerError> {
    let mut child = command.spawn().map_err(CompilerError::NotStarted)?;
    let output = match timeout(limit, talk(&mut child, source)).await {
        Ok(output) => output.map_err(|error| CompilerError::Failed {
            how: error.to_string(),
        }),
        Err(_) => Err(CompilerError::TookTooLong),
    };
    // One that has ended by itself is not there to be killed, and one that has not has nothing to say
    // any more.
    if output
        .as_ref()
        .map_or(true, |text| text.len() > REPORT_BYTES_MAX)
    {
        let _ = child.start_kill();
    }
    let status = match timeout(limit, child.wait()).await {
        Ok(Ok(status)) => status,
        Ok(Err(error)) => {
            let how = error.to_string();
            return Err(CompilerError::Failed { how });
        }
        // It has closed its output and goes on.
        Err(_) => {
            let _ = child.start_kill();
            let _ = child.wait().await;
            return Err(CompilerError::TookTooLong);
        }
    };
    judge(&output?, status)
}

/// Hands a child its script and takes what it says, one byte past the bound at most.
async fn talk(child: &mut Child, source: &str) -> io::Result<Vec<u8>> {
    if let Some(mut stdin) = child.stdin.take() {
        // One that is gone before it has read tells by its status why.
        let _ = stdin.write_all(source.as_bytes()).await;
    }
    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        let most = REPORT_BYTES_MAX + 1;
        stdout.take(most as u64).read_to_end(&mut output).await?;
    }
    Ok(output)
}

fn judge(output: &[u8], status: ExitStatus) -> Result<Report, CompilerError> {
    if output.len() > REPORT_BYTES_MAX {
        let how = format!("it said more than {REPORT_BYTES_MAX} bytes");
        return Err(CompilerError::Failed { how });
    }
    match status.signal() {
        Some(libc::SIGSYS) => return Err(CompilerError::Forbidden),
        Some(libc::SIGXCPU | libc::SIGKILL) => return Err(CompilerError::TookTooLong),
        _ => {}
    }
    if !status.success() {
        let how = status.to_string();
        return Err(CompilerError::Failed { how });
    }
    serde_json::from_slice(output).map_err(|error| CompilerError::Failed {
        how: format!("its report is none: {error}"),
    })
}
