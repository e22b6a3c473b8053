//! What became of each board of a batch: a line in a file that only ever grows. The format stands in `docs/batch.md`.
//!
//! A line is on the disk before the board is taken off. Many threads may write one [`Report`]; other processes are kept
//! out while it is open, so that no two lines ever mix.

mod csv;
mod record;
#[cfg(test)]
mod tests;

pub use record::{BatchStage, Record};

use std::{
    collections::{BTreeMap, HashMap},
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use switchyard_protocol::Address;

/// The largest report that is read: some hundred thousand boards.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Why a report cannot be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// Its name says neither of the two formats.
    #[error("expected a report's file to end in .csv or .jsonl")]
    Format,
    /// The file cannot be read or written.
    #[error("{what} the report")]
    File {
        /// What was attempted.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// Another program writes it.
    #[error("another program has the report open")]
    InUse,
    /// It has grown beyond what is read.
    #[error("expected a report of at most 64 MiB; begin another one")]
    TooLarge,
    /// A line is none of a report.
    #[error("line {line} of the report: expected {expected}")]
    Line {
        /// Which, from 1 on.
        line: usize,
        /// What it should have.
        expected: &'static str,
    },
}

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Csv,
    JsonLines,
}

/// A report that is open.
#[derive(Debug)]
pub struct Report {
    format: Format,
    inside: Mutex<Inside>,
}

#[derive(Debug)]
struct Inside {
    file: File,
    /// Where the next line belongs.
    end: u64,
    records: Vec<Record>,
}

impl Report {
    /// Opens a report, or begins one: `.csv` or `.jsonl`. A last line that was not written to its end, since power went
    /// away, is taken off.
    ///
    /// # Errors
    /// It is no report, or another program has it open.
    pub fn open(path: &Path) -> Result<Self, ReportError> {
        let ending = path
            .extension()
            .and_then(|it| it.to_str())
            .map(str::to_ascii_lowercase);
        let format = match ending.as_deref() {
            Some("csv") => Format::Csv,
            Some("jsonl") => Format::JsonLines,
            _ => return Err(ReportError::Format),
        };
        let failed = |what| move |source| ReportError::File { what, source };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(path).map_err(failed("opening"))?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => ReportError::InUse,
            TryLockError::Error(source) => ReportError::File {
                what: "locking",
                source,
            },
        })?;
        let mut bytes = Vec::new();
        let read = (&mut file).take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
        read.map_err(failed("reading"))?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(ReportError::TooLarge);
        }
        let (records, end) = format.read(&bytes)?;
        let report = Self {
            format,
            inside: Mutex::new(Inside {
                file,
                end: end as u64,
                records,
            }),
        };
        report.begin(&bytes[..end]).map_err(failed("writing"))?;
        // The name of a file that is new has to outlive a loss of power too; only Unix has a way to ask for that.
        #[cfg(unix)]
        if let Some(folder) = path.parent() {
            let folder = if folder.as_os_str().is_empty() {
                Path::new(".")
            } else {
                folder
            };
            File::open(folder)
                .and_then(|it| it.sync_all())
                .map_err(failed("writing"))?;
        }
        Ok(report)
    }

    /// Makes the file end where a line ends, and gives it a head if it is new.
    fn begin(&self, kept: &[u8]) -> io::Result<()> {
        let mut inside = self.lock();
        let missing = match self.format {
            _ if !kept.is_empty() && !kept.ends_with(b"\n") => "\r\n".to_owned(),
            Format::Csv if kept.is_empty() => csv::line(&Record::COLUMNS.map(str::to_owned)),
            _ => String::new(),
        };
        inside.write(&missing)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inside> {
        // A writer that panicked has either counted its line or not: both are whole.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line. When this returns, it is on the disk.
    ///
    /// # Errors
    /// The line could not be written; then the report is as before.
    pub fn append(&self, record: &Record) -> Result<(), ReportError> {
        let record = record.clone().tidy();
        let line = self.format.write(&record);
        let mut inside = self.lock();
        let written = inside.write(&line);
        written.map_err(|source| ReportError::File {
            what: "writing",
            source,
        })?;
        inside.records.push(record);
        Ok(())
    }

    /// What became of a board the last time, if it was here before.
    #[must_use]
    pub fn find(&self, mac: [u8; 6]) -> Option<Record> {
        let inside = self.lock();
        inside
            .records
            .iter()
            .rfind(|it| it.mac == Some(mac))
            .cloned()
    }

    /// Whether a board was given this address, however that try ended.
    #[must_use]
    pub fn has(&self, mac: [u8; 6], address: Address) -> bool {
        let inside = self.lock();
        let mut records = inside.records.iter();
        records.any(|it| it.mac == Some(mac) && it.address == Some(address.0))
    }

    /// The highest number that a board of the batch has.
    #[must_use]
    pub fn highest_number(&self) -> Option<u32> {
        self.lock().records.iter().filter_map(|it| it.number).max()
    }

    /// All lines, oldest first.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.lock().records.clone()
    }

    /// How well the batch goes.
    #[must_use]
    pub fn batch_yield(&self) -> Yield {
        Yield::of(&self.lock().records)
    }
}

impl Inside {
    /// One write at the end, and whatever a write that failed has left is overwritten or cut off.
    fn write(&mut self, text: &str) -> io::Result<()> {
        let end = self.end;
        self.file.set_len(end)?;
        self.file.seek(SeekFrom::Start(end))?;
        self.file.write_all(text.as_bytes())?;
        self.file.sync_data()?;
        self.end = end + text.len() as u64;
        Ok(())
    }
}

impl Format {
    fn write(self, record: &Record) -> String {
        match self {
            Format::Csv => csv::line(&record.fields()),
            Format::JsonLines => record.json() + "\n",
        }
    }

    /// The lines of a file, and where the last whole one of them ends.
    fn read(self, bytes: &[u8]) -> Result<(Vec<Record>, usize), ReportError> {
        let whole = bytes
            .iter()
            .rposition(|it| *it == b'\n')
            .map_or(0, |at| at + 1);
        // What has no end of a line is kept if somebody's editor has left it away, and cut if it is a piece.
        match self.read_all(bytes) {
            Ok(records) if whole < bytes.len() => Ok((records, bytes.len())),
            Err(_) if whole < bytes.len() => Ok((self.read_all(&bytes[..whole])?, whole)),
            other => Ok((other?, whole)),
        }
    }

    fn read_all(self, bytes: &[u8]) -> Result<Vec<Record>, ReportError> {
        let text = |bytes| {
            let expected = "UTF-8";
            std::str::from_utf8(bytes).map_err(|error: std::str::Utf8Error| {
                let before = &bytes[..error.valid_up_to()];
                let line = before.iter().filter(|it| **it == b'\n').count() + 1;
                ReportError::Line { line, expected }
            })
        };
        // Spreadsheets put a mark before it.
        let text = text(bytes)?;
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
        let wrong = |line| move |expected| ReportError::Line { line, expected };
        match self {
            Format::Csv => {
                let mut rows = csv::rows(text).map_err(|line| wrong(line)("quotes in pairs"))?;
                if rows.is_empty() {
                    return Ok(Vec::new());
                }
                let (line, head) = rows.remove(0);
                if head != Record::COLUMNS {
                    return Err(wrong(line)("the names of a report's columns"));
                }
                let record = |(line, row): (usize, Vec<String>)| {
                    Record::of_fields(&row).map_err(wrong(line))
                };
                rows.into_iter().map(record).collect()
            }
            Format::JsonLines => {
                let lines = text
                    .lines()
                    .enumerate()
                    .filter(|(_, line)| !line.trim().is_empty());
                let record =
                    |(at, line): (usize, &str)| Record::of_json(line).map_err(wrong(at + 1));
                lines.map(record).collect()
            }
        }
    }
}

/// How well a batch goes. A board that was tried several times is one board: what counts is what became of it in the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Yield {
    /// Boards.
    pub done: usize,
    /// Those that passed in the end.
    pub passed: usize,
    /// Those that did not, by where they failed.
    pub failed: BTreeMap<BatchStage, usize>,
    /// Those that passed at their first try.
    pub passed_first: usize,
    /// How long a board that passes takes: half of them take less.
    pub median: Option<Duration>,
}

impl Yield {
    /// Counts the boards of some records, oldest first.
    #[must_use]
    pub fn of(records: &[Record]) -> Self {
        let mut boards: HashMap<[u8; 6], (&Record, &Record)> = HashMap::new();
        let mut nameless = Vec::new();
        for record in records {
            match record.mac {
                Some(mac) => boards.entry(mac).or_insert((record, record)).1 = record,
                // A board that did not even say its number is one by itself.
                None => nameless.push((record, record)),
            }
        }
        let mut result = Yield::default();
        for (first, last) in boards.into_values().chain(nameless) {
            result.done += 1;
            result.passed_first += usize::from(first.failure.is_none());
            match &last.failure {
                None => result.passed += 1,
                Some((stage, _)) => *result.failed.entry(*stage).or_default() += 1,
            }
        }
        let passed = records.iter().filter(|it| it.failure.is_none());
        let mut times: Vec<Duration> = passed.map(Record::duration).collect();
        times.sort();
        let middle = times.len() / 2;
        result.median = match times.len() {
            0 => None,
            count if count % 2 == 1 => Some(times[middle]),
            _ => Some((times[middle - 1] + times[middle]) / 2),
        };
        result
    }

    /// The part of boards that passed at their first try, from 0 to 1; `None` before the first board.
    #[must_use]
    pub fn first_pass(&self) -> Option<f64> {
        (self.done > 0).then(|| self.passed_first as f64 / self.done as f64)
    }
}
