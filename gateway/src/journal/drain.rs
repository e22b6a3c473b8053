//! Hands the journal's records to the audit log, each once, and deletes segments that nobody needs any
//! more.
//!
//! What the audit log has is noted beside the segments after each batch. A process that dies in between
//! hands a batch over again, and the log skips what it has. While the log is away the journal grows up
//! to its bound; past that its oldest goes, and a record in the log says how many are missing.

use super::{
    Shared,
    pins::Pins,
    reader::{Read, Reader},
    segments::{self, SEGMENT_BYTES},
    words,
};
use crate::{
    audit::{AuditLog, AuditRecord, AuditWhat},
    telemetry::{Telemetry, count},
};
use std::{
    collections::VecDeque,
    fs::File,
    io,
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// Records that go to the audit log by one call: one transaction.
const BATCH_MAX: usize = 512;
/// Records read in one go, whether they are for the audit log or not.
const READ_MAX: usize = 4 * BATCH_MAX;
/// How often it is looked whether there is more.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long an audit log that fails is left alone, at first and at most.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);
/// How often the audit log's oldest are looked at, and how many of them go at once.
const TRIM_EVERY: Duration = Duration::from_secs(3600);
const TRIMMED_AT_ONCE: u32 = 1_000;
/// How often commands are looked for whose end is missing.
const GIVE_UP_EVERY: Duration = Duration::from_secs(600);

/// What the journal may take, and what a restart needs of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) journal_bytes_max: u64,
    pub(super) receipts_kept_max: usize,
    pub(super) receipts_kept_for: Duration,
    /// How long the audit log keeps a record; for good without.
    pub(super) audit_kept_for: Option<Duration>,
}

/// The journal's reader, on its way to the audit log.
pub(crate) struct Drain {
    audit: Option<Arc<dyn AuditLog>>,
    telemetry: Arc<Telemetry>,
    kept_for: Option<Duration>,
    trim_at: Instant,
    /// `None` while a thread that may block has it.
    place: Option<Place>,
}

/// How far it has come, and what it knows of the segments.
struct Place {
    shared: Arc<Shared>,
    journal: [u8; 16],
    telemetry: Arc<Telemetry>,
    bounds: Bounds,
    reader: Reader,
    pins: Pins,
    has_log: bool,
    /// The audit log has every record below this position, as far as is noted.
    drained: u64,
    /// The position of the next record that is read.
    position: u64,
    /// Positions that are not there any more, from the first of them on.
    gap: Option<std::ops::Range<u64>>,
    /// Of each segment that was begun to be read: its number and its first position, oldest first.
    firsts: VecDeque<(u64, u64)>,
    give_up_at: Instant,
}

/// Records whose positions follow each other.
#[derive(Default)]
struct Batch {
    first_position: u64,
    records: Vec<AuditRecord>,
    /// There may be more.
    is_full: bool,
}

impl Drain {
    pub(super) fn new(
        shared: Arc<Shared>,
        journal: [u8; 16],
        audit: Option<Arc<dyn AuditLog>>,
        telemetry: Arc<Telemetry>,
        bounds: Bounds,
    ) -> Self {
        let drained = read_mark(&shared.folder);
        let place = Place {
            reader: Reader::new(&shared.folder),
            shared,
            journal,
            telemetry: Arc::clone(&telemetry),
            bounds,
            pins: Pins::default(),
            has_log: audit.is_some(),
            drained,
            position: drained,
            gap: None,
            firsts: VecDeque::new(),
            give_up_at: Instant::now() + GIVE_UP_EVERY,
        };
        Drain {
            audit,
            telemetry,
            kept_for: bounds.audit_kept_for,
            trim_at: Instant::now(),
            place: Some(place),
        }
    }

    /// Drains until told to stop; what is left then is for the next start.
    pub(crate) async fn run(mut self, stopping: CancellationToken) {
        loop {
            match stopping.run_until_cancelled(self.step()).await {
                None => return,
                Some(true) => {}
                Some(false) => {
                    let pause = tokio::time::sleep(LOOK_EVERY);
                    if stopping.run_until_cancelled(pause).await.is_none() {
                        return;
                    }
                }
            }
        }
    }

    /// Takes the next batch to the audit log and deletes what is done with. Whether there may be more.
    /// Not cancel-safe: whoever drops it half-way is done with all of it.
    pub(super) async fn step(&mut self) -> bool {
        let batch = self.blocking(Place::read).await;
        if !batch.records.is_empty() {
            let end = batch.first_position + batch.records.len() as u64;
            self.append(batch.first_position, batch.records).await;
            self.blocking(move |place| place.mark(end)).await;
        }
        self.blocking(Place::tidy).await;
        if self.trim_at <= Instant::now() {
            self.trim().await;
        }
        batch.is_full
    }

    /// Has the audit log forget the oldest that it need not keep, some at a time.
    async fn trim(&mut self) {
        self.trim_at = Instant::now() + TRIM_EVERY;
        let (Some(audit), Some(kept_for)) = (&self.audit, self.kept_for) else {
            return;
        };
        let before = crate::clock::time().minus(kept_for);
        match audit.trim_audit(before, TRIMMED_AT_ONCE).await {
            Ok(removed) if removed >= TRIMMED_AT_ONCE => self.trim_at = Instant::now(),
            Ok(_) => {}
            Err(error) => {
                count(&self.telemetry.store_failures);
                let error = &error as &(dyn std::error::Error + 'static);
                tracing::warn!(error, "the audit log's oldest could not be removed");
            }
        }
    }

    /// Has the audit log take records, however long that takes.
    async fn append(&mut self, first_position: u64, records: Vec<AuditRecord>) {
        let Some(audit) = self.audit.clone() else {
            return;
        };
        let journal = self.blocking(|place| place.journal).await;
        let (mut retry_after, mut has_failed) = (RETRY_AFTER, false);
        // The log must never be ahead of the journal: after a power cut its positions would be given to
        // other records, which it would then skip.
        while let Err(error) = self.blocking(|place| place.shared.sync()).await {
            count(&self.telemetry.journal_failures);
            tracing::debug!(%error, "the journal could not be synced for the audit log");
            tokio::time::sleep(RETRY_AFTER).await;
            self.blocking(Place::tidy).await;
        }
        while let Err(error) = audit
            .append_audit(journal, first_position, records.clone())
            .await
        {
            count(&self.telemetry.store_failures);
            // Said once, for such a state lasts.
            if !std::mem::replace(&mut has_failed, true) {
                let error = &error as &(dyn std::error::Error + 'static);
                tracing::error!(
                    error,
                    "the audit log takes no records; the journal keeps them"
                );
            }
            tokio::time::sleep(retry_after).await;
            retry_after = (2 * retry_after).min(RETRY_AFTER_MAX);
            // Meanwhile the journal has to keep its bound.
            self.blocking(Place::tidy).await;
        }
        if has_failed {
            tracing::info!("the audit log takes records again");
        }
    }

    /// Does something with files where it may block.
    async fn blocking<R: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Place) -> R + Send + 'static,
    ) -> R {
        let mut place = self.place.take().expect("nobody else has it");
        let working = tokio::task::spawn_blocking(move || {
            let outcome = work(&mut place);
            (place, outcome)
        });
        match working.await {
            Ok((place, outcome)) => {
                self.place = Some(place);
                outcome
            }
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime ends: nobody will ask any more.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

impl Place {
    /// The next records for the audit log.
    fn read(&mut self) -> Batch {
        let mut batch = Batch::default();
        if let Some(gap) = self.gap.take() {
            // At the last of the missing positions, so that those that follow can go along.
            batch.first_position = gap.end - 1;
            batch.records.push(AuditRecord {
                count: gap.end - gap.start,
                ..AuditRecord::new(crate::clock::time(), AuditWhat::Lost)
            });
        }
        for _ in 0..READ_MAX {
            if batch.records.len() >= BATCH_MAX {
                break;
            }
            match self.reader.next(self.shared.active()) {
                Ok(Read::End) => return batch,
                Ok(Read::Damage(segment)) => {
                    tracing::debug!(segment, "the journal has a torn end");
                }
                Ok(Read::Segment(segment, header)) => {
                    let first = header.first_position;
                    self.firsts.push_back((segment, first));
                    let missing = self.position..first;
                    self.position = first;
                    if self.has_log && !missing.is_empty() {
                        self.gap = Some(missing);
                        break;
                    }
                }
                Ok(Read::Record(record, position)) => {
                    // Words cost more than all the rest: only where somebody wants them.
                    let wanted =
                        position.filter(|&position| self.has_log && position >= self.drained);
                    if let Some(position) = wanted
                        && let Some(audit) = words::audit_of(&record, &self.pins)
                    {
                        if batch.records.is_empty() {
                            batch.first_position = position;
                        }
                        batch.records.push(audit);
                    }
                    self.position = position.map_or(self.position, |position| position + 1);
                    let segment = self.reader.segment();
                    self.pins.note(segment, &record, &self.bounds);
                }
                Err(error) => {
                    count(&self.telemetry.journal_failures);
                    tracing::debug!(%error, "the journal cannot be read");
                    return batch;
                }
            }
        }
        batch.is_full = true;
        batch
    }

    /// Notes that the audit log has all records below a position.
    fn mark(&mut self, end: u64) {
        self.drained = self.drained.max(end);
        if let Err(error) = write_mark(&self.shared.folder, self.drained) {
            // Then a restart hands over again what the log has.
            tracing::debug!(%error, "what is drained of the journal was not noted");
        }
    }

    /// Deletes the oldest segments: those that nobody needs, and those for which there is no room.
    fn tidy(&mut self) {
        let now = crate::clock::time();
        self.pins.trim(now);
        if self.give_up_at <= Instant::now() {
            self.give_up_at = Instant::now() + GIVE_UP_EVERY;
            self.pins.give_up_lost(now);
        }
        if let Err(error) = self.delete_oldest() {
            count(&self.telemetry.journal_failures);
            tracing::debug!(%error, "the journal cannot be tidied");
        }
    }

    fn delete_oldest(&mut self) -> io::Result<()> {
        let active = self.shared.active();
        let mut segments = VecDeque::from(segments::list(&self.shared.folder)?);
        while let Some(&oldest) = segments.front().filter(|&&oldest| oldest < active) {
            // The one that is made ahead is among them.
            let has_room = segments.len() as u64 * SEGMENT_BYTES <= self.bounds.journal_bytes_max;
            let is_needed = !self.is_drained(oldest) || self.pins.holds(oldest);
            if is_needed && has_room {
                break;
            }
            if is_needed {
                self.give_up(oldest, active);
            }
            segments::delete(&self.shared.folder, oldest)?;
            self.firsts.retain(|&(segment, _)| segment > oldest);
            segments.pop_front();
        }
        let bytes = segments.len() as u64 * SEGMENT_BYTES;
        self.telemetry.journal_bytes.store(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Whether the audit log has all of a segment.
    fn is_drained(&self, segment: u64) -> bool {
        // What follows it tells where it ends.
        let next = self.firsts.iter().find(|&&(number, _)| number > segment);
        self.has_log && next.is_some_and(|&(_, first)| first <= self.drained)
    }

    /// There is no room for a segment that is needed.
    fn give_up(&mut self, segment: u64, active: u64) {
        let holds = self.pins.holds(segment);
        let unended = self.pins.drop_segment(segment);
        self.reader.leave(segment);
        if self.has_log || holds {
            count(&self.telemetry.journal_segments_dropped);
        }
        if holds {
            // The next start must not think that it knows all, whichever segments it still finds.
            self.shared.is_broken.store(true, Ordering::Release);
            let _ = segments::mark_broken(&self.shared.folder, active);
            tracing::warn!(
                unended,
                "the journal is full: its oldest commands will not be known after a restart"
            );
        }
    }
}

const MARK: &str = "drained";

fn read_mark(folder: &Path) -> u64 {
    let text = std::fs::read_to_string(folder.join(MARK)).unwrap_or_default();
    // Without it, or with half of it, the log is handed all that there is and skips what it has.
    text.strip_suffix('\n')
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

fn write_mark(folder: &Path, drained: u64) -> io::Result<()> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join(MARK))?;
    segments::write_at(&file, format!("{drained:020}\n").as_bytes(), 0)
}
