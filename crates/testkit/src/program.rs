//! One running process: its output read by threads, its end certain.

use crate::PATIENCE;
use anyhow::{Context, Result, anyhow, bail};
use std::{
    collections::VecDeque,
    ffi::OsStr,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, mpsc},
    time::{Duration, Instant},
};

/// Lines of a program's log that are kept for the report of a failure.
const LOG_LINES_KEPT: usize = 2_000;

/// The folder with the built binaries.
#[derive(Clone, Debug)]
pub struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// The binaries of the build that the calling test or tool belongs to; another folder by
    /// `SWITCHYARD_PROGRAMS`.
    ///
    /// # Errors
    /// When the caller's own path is not to be had.
    pub fn find() -> Result<Self> {
        if let Some(folder) = std::env::var_os("SWITCHYARD_PROGRAMS") {
            return Ok(Programs {
                folder: folder.into(),
            });
        }
        let caller = std::env::current_exe().context("finding the build folder")?;
        // Tests lie one level deeper, in `deps`.
        let folder = caller
            .ancestors()
            .skip(1)
            .find(|folder| folder.file_name() != Some(OsStr::new("deps")))
            .ok_or_else(|| anyhow!("expected a build folder above {}", caller.display()))?;
        Ok(Programs {
            folder: folder.into(),
        })
    }

    /// The binaries in `folder`.
    pub fn in_folder(folder: &Path) -> Self {
        Programs {
            folder: folder.into(),
        }
    }

    /// A binary by its name.
    ///
    /// # Errors
    /// When it has not been built, saying how to.
    pub fn path(&self, name: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        if !path.exists() {
            bail!(
                "expected {} to be built: run `cargo xtask test e2e`",
                path.display()
            );
        }
        Ok(path)
    }

    /// A command that runs a binary.
    ///
    /// # Errors
    /// As [`path`](Self::path).
    pub fn command(&self, name: &str) -> Result<Command> {
        Ok(Command::new(self.path(name)?))
    }
}

/// A running process. Dropping it ends it.
pub struct Program {
    name: String,
    child: Child,
    lines: mpsc::Receiver<String>,
    /// Lines read while another was waited for.
    seen: Vec<String>,
    log: Arc<Mutex<VecDeque<String>>>,
}

impl Program {
    /// Starts a process; its standard output is read line by line, its log kept for reports.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(name: &str, command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {name} as {command:?}"))?;
        let (sender, lines) = mpsc::channel();
        let log = Arc::new(Mutex::new(VecDeque::new()));
        let stdout = child
            .stdout
            .take()
            .ok_or_else(|| anyhow!("no standard output"))?;
        let stderr = child
            .stderr
            .take()
            .ok_or_else(|| anyhow!("no standard error"))?;
        read_lines(stdout, move |line| sender.send(line).is_ok());
        let kept = Arc::clone(&log);
        read_lines(stderr, move |line| {
            let mut kept = lock(&kept);
            if kept.len() == LOG_LINES_KEPT {
                kept.pop_front();
            }
            kept.push_back(line);
            true
        });
        Ok(Program {
            name: name.into(),
            child,
            lines,
            seen: Vec::new(),
            log,
        })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line of standard output of which `pick` makes something. Lines that came before
    /// and were not picked are looked at again.
    ///
    /// # Errors
    /// When the process ends or [`PATIENCE`] runs out first; the log's last lines are told.
    pub fn wait_for_line<T>(
        &mut self,
        what: &str,
        mut pick: impl FnMut(&str) -> Option<T>,
    ) -> Result<T> {
        if let Some(found) = self.seen.iter().find_map(|line| pick(line)) {
            return Ok(found);
        }
        let deadline = Instant::now() + PATIENCE;
        while let Ok(line) = self
            .lines
            .recv_timeout(deadline - Instant::now().min(deadline))
        {
            let found = pick(&line);
            self.seen.push(line);
            if let Some(found) = found {
                return Ok(found);
            }
        }
        Err(self.failure(&format!("waited in vain for {what}")))
    }

    /// Writes a line to the process's standard input.
    ///
    /// # Errors
    /// When it has been closed.
    pub fn say(&mut self, line: &str) -> Result<()> {
        let stdin = self
            .child
            .stdin
            .as_mut()
            .ok_or_else(|| anyhow!("standard input is closed"))?;
        writeln!(stdin, "{line}").with_context(|| format!("telling {} {line:?}", self.name))
    }

    /// Closes the process's standard input.
    pub fn end_input(&mut self) {
        self.child.stdin = None;
    }

    /// Forgets the lines of standard output that have come so far.
    pub fn forget_lines(&mut self) {
        self.seen.clear();
        while self.lines.try_recv().is_ok() {}
    }

    /// What the process has logged so far.
    pub fn log(&self) -> String {
        lock(&self.log)
            .iter()
            .map(|line| format!("{line}\n"))
            .collect()
    }

    /// An error that carries the end of the log.
    pub fn failure(&self, message: &str) -> anyhow::Error {
        let log = lock(&self.log);
        let tail: String = log
            .iter()
            .skip(log.len().saturating_sub(30))
            .map(|line| format!("\n  {line}"))
            .collect();
        anyhow!(
            "{}: {message}; printed {:?}; the log ends:{tail}",
            self.name,
            self.seen
        )
    }

    /// Asks the process to end, as a service manager would, and waits for it.
    ///
    /// # Errors
    /// When it does not end within [`PATIENCE`]; it is killed then.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.signal("TERM")?;
        self.wait()
    }

    /// Ends the process at once, as a power cut would.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn kill(&mut self) -> Result<()> {
        self.child
            .kill()
            .with_context(|| format!("killing {}", self.name))?;
        self.child
            .wait()
            .with_context(|| format!("waiting for {}", self.name))?;
        Ok(())
    }

    /// Sends a signal by its name, such as `STOP` or `CONT`.
    ///
    /// # Errors
    /// When `kill` refuses.
    pub fn signal(&self, signal: &str) -> Result<()> {
        let sent = Command::new("kill")
            .args([format!("-{signal}"), self.id().to_string()])
            .status()?;
        if !sent.success() {
            bail!(
                "expected to send {signal} to {} ({}) and could not",
                self.name,
                self.id()
            );
        }
        Ok(())
    }

    /// Holds the process still, and waits until each of its threads has stopped: on another core one may
    /// go on for a moment after the signal was sent.
    ///
    /// # Errors
    /// When `kill` refuses, or a thread does not stop.
    pub fn freeze(&self) -> Result<()> {
        self.signal("STOP")?;
        let tasks = format!("/proc/{}/task", self.id());
        let has_stopped = |task: std::fs::DirEntry| {
            let stat = std::fs::read_to_string(task.path().join("stat")).ok()?;
            // The state follows the name, which stands in parentheses and may hold some itself.
            let (_, state) = stat.rsplit_once(") ")?;
            state.starts_with('T').then_some(())
        };
        crate::wait_until(&format!("{} to stand still", self.name), || {
            let mut tasks = std::fs::read_dir(&tasks).ok()?;
            tasks
                .all(|task| task.is_ok_and(|it| has_stopped(it).is_some()))
                .then_some(())
        })
    }

    /// Lets a process that was held still go on.
    ///
    /// # Errors
    /// When `kill` refuses.
    pub fn thaw(&self) -> Result<()> {
        self.signal("CONT")
    }

    /// How the process has ended, if it has.
    ///
    /// # Errors
    /// When that is not to be told.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        let ended = self.child.try_wait();
        ended.with_context(|| format!("looking after {}", self.name))
    }

    /// Waits for the process to end by itself.
    ///
    /// # Errors
    /// When it does not within [`PATIENCE`]; it is killed then.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        self.wait_for_end(PATIENCE)
    }

    /// Waits until it ends by itself, for as long as that.
    ///
    /// # Errors
    /// When it does not; it is killed then.
    pub fn wait_for_end(&mut self, patience: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                let failure = self.failure("did not end");
                self.kill()?;
                return Err(failure);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            let _ = writeln!(
                std::io::stderr(),
                "--- log of {}\n{}---",
                self.name,
                self.log()
            );
        }
    }
}

fn lock(log: &Mutex<VecDeque<String>>) -> MutexGuard<'_, VecDeque<String>> {
    log.lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Reads lines on a thread of their own until the stream ends or nobody wants more.
fn read_lines(
    stream: impl Read + Send + 'static,
    mut wanted: impl FnMut(String) -> bool + Send + 'static,
) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if !wanted(line) {
                break;
            }
        }
    });
}
