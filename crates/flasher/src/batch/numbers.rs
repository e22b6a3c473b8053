//! Which number each board of a batch has: once one is given it is that board's, whatever becomes of it.

use super::{BatchError, journal::Journal, read_mac};
use crate::{Record, mac_text};
use std::{collections::HashMap, path::Path, sync::Mutex};

/// The largest file of numbers that is read: some hundred thousand boards.
const FILE_BYTES_MAX: u64 = 8 << 20;

/// The numbers of a batch, kept beside its report. A number is on the disk before its board is told of it, so that a tool
/// that is killed in between never gives it to another board. Who holds the report's lock is the only one to write here.
#[derive(Debug)]
pub(super) struct Numbers(Mutex<Kept>);

#[derive(Debug)]
struct Kept {
    journal: Journal,
    given: Given,
}

impl Numbers {
    /// Reads the file, or begins one; what the report knows counts as well.
    pub(super) fn open(path: &Path, first: u32, records: &[Record]) -> Result<Self, BatchError> {
        let (journal, lines) = Journal::open(path, FILE_BYTES_MAX)?;
        let mut given = Given::new(first);
        for record in records {
            given.note(record.number, record.mac);
        }
        for (at, line) in lines.iter().enumerate() {
            let read = line
                .split_once(' ')
                .and_then(|(number, mac)| Some((number.parse::<u32>().ok()?, read_mac(mac)?)));
            let (number, mac) = read.ok_or_else(|| BatchError::Line {
                path: path.to_owned(),
                line: at + 1,
            })?;
            given.note(Some(number), Some(mac));
        }
        Ok(Numbers(Mutex::new(Kept { journal, given })))
    }

    /// The board's number, which is its own from now on.
    pub(super) fn of(&self, mac: [u8; 6]) -> Result<u32, BatchError> {
        let mut kept = super::lock(&self.0);
        if let Some(number) = kept.given.find(mac) {
            return Ok(number);
        }
        let number = kept.given.next()?;
        kept.journal
            .append(&format!("{number} {}", mac_text(mac)))?;
        kept.given.note(Some(number), Some(mac));
        Ok(number)
    }
}

/// The same without a file.
#[derive(Debug)]
struct Given {
    first: u32,
    highest: Option<u32>,
    by_mac: HashMap<[u8; 6], u32>,
}

impl Given {
    fn new(first: u32) -> Self {
        Given {
            first,
            highest: None,
            by_mac: HashMap::new(),
        }
    }

    fn note(&mut self, number: Option<u32>, mac: Option<[u8; 6]>) {
        self.highest = self.highest.max(number);
        if let (Some(number), Some(mac)) = (number, mac) {
            self.by_mac.insert(mac, number);
        }
    }

    fn find(&self, mac: [u8; 6]) -> Option<u32> {
        self.by_mac.get(&mac).copied()
    }

    /// Never one that was given, also where the job begins lower than the one before.
    fn next(&self) -> Result<u32, BatchError> {
        match self.highest {
            None => Ok(self.first),
            Some(highest) => {
                let next = highest.checked_add(1).ok_or(BatchError::NumbersExhausted)?;
                Ok(next.max(self.first))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeSet, fs};

    fn mac(last: u8) -> [u8; 6] {
        [0x5C, 0xCF, 0x7F, 0, 0, last]
    }

    #[test]
    fn each_board_has_one_number_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("numbers");
        let numbers = Numbers::open(&path, 7, &[]).unwrap();
        assert_eq!(numbers.of(mac(1)).unwrap(), 7);
        assert_eq!(numbers.of(mac(2)).unwrap(), 8);
        assert_eq!(numbers.of(mac(1)).unwrap(), 7);
        drop(numbers);
        // Power went away in the midst of a line.
        let mut text = fs::read(&path).unwrap();
        text.extend_from_slice(b"9 5c:cf");
        fs::write(&path, text).unwrap();
        // Somebody begins lower in another edition of the job: what was given is not given again.
        let numbers = Numbers::open(&path, 1, &[]).unwrap();
        assert_eq!(numbers.of(mac(2)).unwrap(), 8);
        assert_eq!(numbers.of(mac(3)).unwrap(), 9);
        drop(numbers);
        assert_eq!(
            Numbers::open(&path, 20, &[]).unwrap().of(mac(4)).unwrap(),
            20
        );
    }

    #[test]
    fn what_the_report_knows_counts() {
        let folder = tempfile::tempdir().unwrap();
        let mut record = crate::batch::tests::record(mac(5), Some(31), None);
        let of = |record: &Record, mac| {
            let path = folder.path().join("numbers");
            let _ = fs::remove_file(&path);
            Numbers::open(&path, 1, std::slice::from_ref(record))
                .unwrap()
                .of(mac)
                .unwrap()
        };
        assert_eq!(of(&record, mac(5)), 31);
        assert_eq!(of(&record, mac(6)), 32);
        record.mac = None;
        assert_eq!(of(&record, mac(5)), 32);
    }

    #[test]
    fn threads_never_share_one() {
        let folder = tempfile::tempdir().unwrap();
        let numbers = Numbers::open(&folder.path().join("numbers"), 1, &[]).unwrap();
        let given = std::thread::scope(|scope| {
            let given: Vec<_> = (0..16)
                .map(|last| {
                    scope.spawn({
                        let numbers = &numbers;
                        move || numbers.of(mac(last / 2)).unwrap()
                    })
                })
                .collect();
            given
                .into_iter()
                .map(|it| it.join().unwrap())
                .collect::<BTreeSet<_>>()
        });
        assert_eq!(given, (1..=8).collect());
    }

    #[test]
    fn the_last_number_is_followed_by_none() {
        let folder = tempfile::tempdir().unwrap();
        let numbers = Numbers::open(&folder.path().join("numbers"), u32::MAX, &[]).unwrap();
        assert_eq!(numbers.of(mac(1)).unwrap(), u32::MAX);
        assert!(matches!(
            numbers.of(mac(2)),
            Err(BatchError::NumbersExhausted)
        ));
    }

    #[test]
    fn a_file_of_something_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("numbers");
        fs::write(&path, "1 5c:cf:7f:00:00:01\nsomething else\n").unwrap();
        let refused = Numbers::open(&path, 1, &[]).unwrap_err();
        assert!(
            matches!(refused, BatchError::Line { line: 2, .. }),
            "{refused}"
        );
    }
}
