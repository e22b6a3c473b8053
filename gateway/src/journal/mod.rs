//! The command journal: what the relay has to remember across a restart, and what the audit log is
//! to have, in append-only files that are written before anything is sent.
//!
//! A commit to the config store before each command would cost a hundred times what a command costs.
//! Instead the yard's thread hands what a poll round has to tell to the kernel by one write, before
//! that round's frames go to anybody. So whatever ends this process, nothing that went out on a wire is
//! missing here. What a power cut may take is bounded by a thread that syncs.
//!
//! - `Record`: one thing that was written down; `format` has its bytes, `segments` the files.
//! - `writer`: the yard's end; `reader`: the other.
//! - `drain`: hands records to the audit log, and deletes what nobody needs any more.

mod denials;
mod drain;
mod format;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod pins;
mod reader;
mod segments;
#[cfg(test)]
mod tests;
mod words;
mod writer;

pub(crate) use denials::Denials;
pub(crate) use drain::Drain;
pub(crate) use writer::Journal;

use crate::{
    audit::AuditLog,
    config::Settings,
    telemetry::{Telemetry, count},
};
use anyhow::Context as _;
use format::{Header, What};
use reader::{Read, Reader};
use std::{
    fs::{File, TryLockError},
    io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use switchyard_protocol::{Address, message::Title};
use switchyard_relay::Recollection;

/// Something that the gateway keeps and that somebody changes over HTTP: an account, a site, a
/// controller's title.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// Who.
    pub(crate) account: Title,
    /// From where.
    pub(crate) ip: Option<IpAddr>,
    /// By which its end is found; of this process.
    pub(crate) number: u32,
    /// The controller that it is about, or [`Address::GATEWAY`].
    pub(crate) target: Address,
    /// What, in words, no secret; of what became of it, the code of the problem or nothing.
    pub(crate) text: String,
}

/// How long a start waits for a gateway on the same folder that is about to end.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
const LOCK_POLL: Duration = Duration::from_millis(20);

/// The folder of the journal, below the gateway's data.
fn folder_of(data: &Path) -> PathBuf {
    data.join("journal")
}

/// What the journal's threads share.
pub(super) struct Shared {
    folder: PathBuf,
    /// The segment that is written; the journal has none before the first record.
    active: AtomicU64,
    /// Bytes written since the start: moves with every write.
    written: AtomicU64,
    /// Files whose latest bytes may not be on the disk, oldest first, the active one last.
    unsynced: Mutex<Vec<Arc<File>>>,
    /// One at a time syncs: what is done with is taken off that list.
    syncing: Mutex<()>,
    /// This memory misses something, now and in every segment that is still to come.
    is_broken: AtomicBool,
    /// The next segment's file, made ahead so that the yard need not wait for it.
    spare: Mutex<Option<(u64, File)>>,
    is_over: AtomicBool,
}

impl Shared {
    fn new(folder: &Path, active: u64) -> Self {
        Shared {
            folder: folder.into(),
            active: AtomicU64::new(active),
            written: AtomicU64::new(0),
            unsynced: Mutex::default(),
            syncing: Mutex::default(),
            is_broken: AtomicBool::new(false),
            spare: Mutex::default(),
            is_over: AtomicBool::new(false),
        }
    }

    fn take_spare(&self, number: u64) -> Option<File> {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        spare
            .take_if(|(spare, _)| *spare == number)
            .map(|(_, file)| file)
    }

    /// A segment is written from now on.
    fn begun(&self, number: u64, file: Arc<File>) {
        self.unsynced().push(file);
        self.active.store(number, Ordering::Release);
    }

    fn active(&self) -> u64 {
        self.active.load(Ordering::Acquire)
    }

    fn unsynced(&self) -> MutexGuard<'_, Vec<Arc<File>>> {
        self.unsynced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings what is written to the disk.
    fn sync(&self) -> io::Result<()> {
        let _alone = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let files = self.unsynced().clone();
        for file in &files {
            file.sync_data()?;
        }
        // The last of those may be written still.
        let is_done = files.len().saturating_sub(1);
        self.unsynced().drain(..is_done);
        Ok(())
    }

    fn prepare_spare(&self) -> io::Result<()> {
        let number = self.active() + 1;
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.as_ref().is_some_and(|(spare, _)| *spare >= number) {
            return Ok(());
        }
        // The yard may have made it by itself meanwhile; then the next one is for the next look.
        match segments::create(&self.folder, number) {
            Ok(file) => *spare = Some((number, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            Err(error) => return Err(error),
        }
        drop(spare);
        sync_folder(&self.folder)
    }
}

/// Makes new names in a folder outlive the host.
fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

/// Syncs until the journal is over, every `interval` in which something was written.
fn keep_synced(shared: &Shared, telemetry: &Telemetry, interval: Duration) {
    let (mut synced, mut is_failing) = (0, false);
    loop {
        let is_over = shared.is_over.load(Ordering::Acquire);
        let written = shared.written.load(Ordering::Acquire);
        if written != synced {
            let outcome = shared.sync().and_then(|()| match is_over {
                true => Ok(()),
                false => shared.prepare_spare(),
            });
            match outcome {
                Ok(()) => (synced, is_failing) = (written, false),
                Err(error) => {
                    count(&telemetry.journal_failures);
                    if !std::mem::replace(&mut is_failing, true) {
                        tracing::error!(%error, "the journal cannot be synced");
                    }
                }
            }
        }
        if is_over {
            return;
        }
        std::thread::park_timeout(interval);
    }
}

/// A journal that was opened, and what was in it.
pub(crate) struct Opened {
    pub(crate) journal: Journal,
    pub(crate) recollection: Recollection,
    pub(crate) drain: Drain,
    /// The same as long as nothing is missing: what tools are told the gateway is.
    pub(crate) memory: [u8; 16],
}

/// Opens the journal of a data folder, making it where there is none, and reads all of it.
///
/// # Errors
/// When it cannot be read, or another gateway has it.
pub(crate) fn open(
    settings: &Settings,
    relay: &switchyard_relay::Settings,
    telemetry: &Arc<Telemetry>,
    audit: Option<Arc<dyn AuditLog>>,
) -> anyhow::Result<Opened> {
    let folder = folder_of(&settings.data);
    crate::server::make_private_folder(&folder)?;
    let lock = lock(&folder, LOCK_TIMEOUT)?;
    let past = read_past(&folder, relay)
        .with_context(|| format!("cannot read the journal in {}", folder.display()))?;
    let Past {
        recollection,
        identity,
        next_segment,
        latest,
        is_unbroken,
    } = past;
    let shared = Arc::new(Shared::new(&folder, next_segment.saturating_sub(1)));
    let thread = std::thread::Builder::new().name("journal".into()).spawn({
        let (shared, telemetry) = (Arc::clone(&shared), Arc::clone(telemetry));
        let interval = settings.journal_sync_interval;
        move || keep_synced(&shared, &telemetry, interval)
    });
    let start = writer::Start {
        identity,
        next_segment,
        latest,
        lock: Some(lock),
        thread: Some(thread.context("cannot start the journal's thread")?),
    };
    let mut journal = Journal::new(Arc::clone(&shared), Arc::clone(telemetry), start);
    journal.note_start(crate::clock::time(), is_unbroken);
    journal.flush();
    let drain = Drain::new(
        shared,
        identity.journal,
        audit,
        Arc::clone(telemetry),
        drain::Bounds {
            journal_bytes_max: settings.journal_bytes_max,
            receipts_kept_max: relay.receipts_kept_max,
            receipts_kept_for: relay.receipts_kept_for,
            audit_kept_for: settings.audit_kept_for,
        },
    );
    Ok(Opened {
        journal,
        recollection,
        drain,
        memory: identity.memory,
    })
}

/// Keeps gateways off a data folder for as long as this is held.
///
/// # Errors
/// When a gateway runs on it.
pub(crate) fn keep_gateways_off(data: &Path) -> anyhow::Result<File> {
    let folder = folder_of(data);
    crate::server::make_private_folder(&folder)?;
    lock(&folder, Duration::ZERO).context("stop it first")
}

/// Makes the folder this process's alone: two that write to one journal would spoil it. Waits so long for
/// another that is about to end.
fn lock(folder: &Path, patience: Duration) -> anyhow::Result<File> {
    let path = folder.join("lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    let until = Instant::now() + patience;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < until => {
                std::thread::sleep(LOCK_POLL);
            }
            Err(TryLockError::WouldBlock) => anyhow::bail!(
                "expected to be the only gateway on {}; another one runs there",
                folder.display()
            ),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
    }
}

/// What a journal said, and how it is to go on.
struct Past {
    recollection: Recollection,
    identity: Header,
    next_segment: u64,
    /// Where the latest segment ends, if it is to be written on.
    latest: Option<(u64, u64)>,
    is_unbroken: bool,
}

fn read_past(folder: &Path, relay: &switchyard_relay::Settings) -> io::Result<Past> {
    let host = host_id();
    let (mut latest, mut last_begun, mut last_used) = (None, 0, None);
    for number in segments::list(folder)? {
        match segments::header(folder, number)? {
            Some(header) => (latest, last_begun) = (Some(header), number),
            // Made ahead, and never begun.
            None => segments::delete(folder, number)?,
        }
        last_used = Some(number);
    }
    // Whether the latest memory is whole, is known only once it is all read.
    let mut recollection = Recollection::new(relay);
    let mut next = (0, 0);
    let mut is_unbroken = latest.is_some_and(|latest| latest.host == host);
    let mut is_latest = false;
    let mut reader = Reader::new(folder);
    loop {
        match reader.next(last_begun)? {
            Read::Segment(_, header) => {
                is_latest = latest.is_some_and(|latest| latest.memory == header.memory);
                if !is_latest {
                    recollection.miss();
                }
                recollection.set_certain(is_latest);
                is_unbroken &= !(is_latest && header.is_broken);
                next = (
                    next.0.max(header.first_record),
                    next.1.max(header.first_position),
                );
            }
            Read::Record(record, position) => {
                next.0 += 1;
                next.1 = position.map_or(next.1, |position| position + 1);
                if let What::Lost { .. } = record.what {
                    is_unbroken &= !is_latest;
                }
                if let Some(entry) = record.what.entry() {
                    recollection.read(record.time, entry);
                }
            }
            Read::Damage(segment) => {
                // Of a process that was killed within its write this is the end, and the frames of
                // that round went to nobody; another has gone on in a new segment.
                tracing::debug!(segment, "the journal has a torn end");
            }
            Read::End => break,
        }
    }
    if !is_unbroken {
        recollection.miss();
    }
    let end = reader.clean_end()?.filter(|_| is_unbroken);
    let memory = latest.filter(|_| is_unbroken).map(|latest| latest.memory);
    Ok(Past {
        recollection,
        identity: Header {
            journal: latest.map_or_else(rand::random, |latest| latest.journal),
            memory: memory.unwrap_or_else(rand::random),
            host,
            first_record: next.0,
            first_position: next.1,
            is_broken: false,
        },
        next_segment: last_used.map_or(0, |last| last + 1),
        latest: end,
        is_unbroken,
    })
}

/// Names this run of the host: what was written to a file in it is there as long as it runs. A host
/// that has no such name is never the same again.
fn host_id() -> [u8; 16] {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    match u128::from_str_radix(&digits, 16) {
        Ok(id) => id.to_be_bytes(),
        Err(_) => rand::random(),
    }
}
