//! Addresses and keys that were made while there was a gateway, for boards that are made where there is none.
//!
//! The file only grows: each line is on the disk before anybody acts on it. So no two boards ever get the same, whenever
//! power goes away; and a board that is tried again gets its own again. Its format stands in `docs/batch.md`.

use super::{BatchError, journal::Journal, lock, read_mac};
use crate::{Enrolment, Registry, RegistryError, job, mac_text};
use std::{fmt, path::Path, sync::Mutex};
use switchyard_protocol::{Address, message::LinkKey};

/// The largest stock that is read: some ten thousand boards.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// How the file begins; the gateway's address follows.
const HEAD: &str = "switchyard stock 1 ";

/// A file of enrolments that wait for their boards. It has keys: its mode is 0600, and its `Debug` shows none.
pub struct Stock {
    gateway: String,
    kept: Mutex<Kept>,
}

struct Kept {
    journal: Journal,
    entries: Vec<Entry>,
}

/// One enrolment, and whose it is.
struct Entry {
    enrolment: Enrolment,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    Of([u8; 6]),
    Returned,
}

/// What a stock holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct StockCount {
    /// For boards to come.
    pub free: usize,
    /// Handed out, each to one board.
    pub handed_out: usize,
    /// Given back to the gateway.
    pub returned: usize,
}

impl fmt::Debug for Stock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stock")
            .field("gateway", &self.gateway)
            .field("count", &self.count())
            .finish_non_exhaustive()
    }
}

impl Stock {
    /// Opens a stock, for this program alone.
    ///
    /// # Errors
    /// It is none, or another program has it open.
    pub fn open(path: &Path) -> Result<Self, BatchError> {
        if !path.exists() {
            return Err(BatchError::File {
                what: "opening",
                path: path.to_owned(),
                source: std::io::ErrorKind::NotFound.into(),
            });
        }
        Self::read(path, None)
    }

    /// Opens the stock of a gateway, or begins one.
    ///
    /// # Errors
    /// As [`open`](Self::open); [`BatchError::OtherGateway`] where it is another gateway's.
    pub fn begin(path: &Path, gateway: &str) -> Result<Self, BatchError> {
        let stock = Self::read(path, Some(gateway))?;
        stock.expect_gateway(gateway)?;
        Ok(stock)
    }

    fn read(path: &Path, new_of: Option<&str>) -> Result<Self, BatchError> {
        let (mut journal, lines) = Journal::open(path, FILE_BYTES_MAX)?;
        let wrong = |at: usize| BatchError::Line {
            path: path.to_owned(),
            line: at + 1,
        };
        let gateway = match (lines.first(), new_of) {
            (None, Some(gateway)) => {
                journal.append(&format!("{HEAD}{gateway}"))?;
                gateway.to_owned()
            }
            (head, _) => head
                .and_then(|it| it.strip_prefix(HEAD))
                .ok_or_else(|| wrong(0))?
                .to_owned(),
        };
        let mut entries = Vec::new();
        for (at, line) in lines.iter().enumerate().skip(1) {
            take(&mut entries, line).ok_or_else(|| wrong(at))?;
        }
        let kept = Mutex::new(Kept { journal, entries });
        Ok(Stock { gateway, kept })
    }

    /// Where its enrolments were made.
    #[must_use]
    pub fn gateway(&self) -> &str {
        &self.gateway
    }

    /// Sees that it is the stock of that gateway.
    ///
    /// # Errors
    /// [`BatchError::OtherGateway`].
    pub fn expect_gateway(&self, gateway: &str) -> Result<(), BatchError> {
        if self.gateway == gateway {
            return Ok(());
        }
        Err(BatchError::OtherGateway {
            expected: self.gateway.clone(),
        })
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> StockCount {
        let mut count = StockCount::default();
        for entry in &lock(&self.kept).entries {
            match entry.state {
                State::Free => count.free += 1,
                State::Of(_) => count.handed_out += 1,
                State::Returned => count.returned += 1,
            }
        }
        count
    }

    /// Keeps an enrolment that the gateway has just made.
    ///
    /// # Errors
    /// It is not kept: the gateway is to be told.
    pub fn add(&self, enrolment: &Enrolment) -> Result<(), BatchError> {
        let mut kept = lock(&self.kept);
        let Enrolment { address, key } = enrolment;
        let line = format!("reserved {address} {}", job::hex(&key.0));
        kept.journal.append(&line)?;
        kept.entries.push(Entry {
            enrolment: enrolment.clone(),
            state: State::Free,
        });
        Ok(())
    }

    /// Hands one out, to this board for ever; a board that had one gets the same.
    ///
    /// # Errors
    /// [`BatchError::StockEmpty`]; or it cannot be marked, and then is nobody's.
    pub fn hand_out(&self, mac: [u8; 6]) -> Result<Enrolment, BatchError> {
        let mut kept = lock(&self.kept);
        let Kept { journal, entries } = &mut *kept;
        if let Some(own) = entries.iter().find(|it| it.state == State::Of(mac)) {
            return Ok(own.enrolment.clone());
        }
        let free = entries.iter_mut().find(|it| it.state == State::Free);
        let entry = free.ok_or(BatchError::StockEmpty)?;
        journal.append(&format!(
            "given {} {}",
            entry.enrolment.address,
            mac_text(mac)
        ))?;
        entry.state = State::Of(mac);
        Ok(entry.enrolment.clone())
    }

    /// Who a board is by this stock, if it was ever handed one.
    #[must_use]
    pub fn find(&self, mac: [u8; 6]) -> Option<Address> {
        let kept = lock(&self.kept);
        let own = kept.entries.iter().find(|it| it.state == State::Of(mac));
        own.map(|it| it.enrolment.address)
    }

    /// Gives back all that no board was handed, one by one; how many those were.
    ///
    /// # Errors
    /// `undo`'s, at the first that the gateway does not take; those before it are given back.
    pub fn give_back<E: From<BatchError>>(
        &self,
        mut undo: impl FnMut(&Enrolment) -> Result<(), E>,
    ) -> Result<usize, E> {
        let mut kept = lock(&self.kept);
        let Kept { journal, entries } = &mut *kept;
        let mut count = 0;
        for entry in entries.iter_mut().filter(|it| it.state == State::Free) {
            // The gateway first: taken back twice is taken back, and one that is marked alone would stay for ever.
            undo(&entry.enrolment)?;
            journal.append(&format!("returned {}", entry.enrolment.address))?;
            entry.state = State::Returned;
            count += 1;
        }
        Ok(count)
    }
}

/// Takes a line of the file; `None`: it is none.
fn take(entries: &mut Vec<Entry>, line: &str) -> Option<()> {
    let mut words = line.split(' ');
    let (what, address) = (words.next()?, words.next()?.parse().ok().map(Address)?);
    let known = entries
        .iter_mut()
        .find(|it| it.enrolment.address == address);
    match (what, known) {
        ("reserved", None) => {
            let key = LinkKey(job::unhex(words.next()?)?);
            entries.push(Entry {
                enrolment: Enrolment { address, key },
                state: State::Free,
            });
        }
        ("given", Some(entry)) if entry.state == State::Free => {
            entry.state = State::Of(read_mac(words.next()?)?);
        }
        ("returned", Some(entry)) if entry.state == State::Free => entry.state = State::Returned,
        _ => return None,
    }
    words.next().is_none().then_some(())
}

/// A stock as it serves one board.
pub(super) struct OfStock<'a> {
    pub(super) stock: &'a Stock,
    pub(super) mac: [u8; 6],
}

impl Registry for OfStock<'_> {
    fn enrol(&mut self, _: &str) -> Result<Enrolment, RegistryError> {
        Ok(self.stock.hand_out(self.mac)?)
    }

    fn is_online(&mut self, _: Address) -> Result<bool, RegistryError> {
        Err("a stock knows of nobody's being on line".into())
    }

    /// It stays this board's: its next try gets the same.
    fn undo(&mut self, _: &Enrolment) -> Result<(), RegistryError> {
        Ok(())
    }

    fn is_at_hand(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeSet, fs, path::PathBuf};
    use tempfile::TempDir;

    const GATEWAY: &str = "http://gateway.example:7480";

    fn mac(last: u8) -> [u8; 6] {
        [0x5C, 0xCF, 0x7F, 0, 0, last]
    }

    fn enrolment(number: u32) -> Enrolment {
        Enrolment {
            address: Address(100_000 + number),
            key: LinkKey([number as u8; 32]),
        }
    }

    fn stocked(count: u32) -> (TempDir, PathBuf, Stock) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stock");
        let stock = Stock::begin(&path, GATEWAY).unwrap();
        for number in 0..count {
            stock.add(&enrolment(number)).unwrap();
        }
        (folder, path, stock)
    }

    #[test]
    fn each_goes_to_one_board_and_a_board_gets_its_own_again() {
        let (_folder, path, stock) = stocked(2);
        let first = stock.hand_out(mac(1)).unwrap();
        assert_eq!(first, enrolment(0));
        assert_eq!(stock.hand_out(mac(1)).unwrap(), first);
        drop(stock);
        // Cut off in the midst of a line, as by a loss of power.
        let mut text = fs::read(&path).unwrap();
        text.extend_from_slice(b"given 100001 5c:");
        fs::write(&path, text).unwrap();
        let stock = Stock::open(&path).unwrap();
        assert_eq!(stock.find(mac(1)), Some(first.address));
        assert_eq!(stock.hand_out(mac(2)).unwrap(), enrolment(1));
        assert_eq!(stock.hand_out(mac(1)).unwrap(), first);
        let refused = stock.hand_out(mac(3)).unwrap_err();
        assert!(matches!(refused, BatchError::StockEmpty), "{refused}");
        assert_eq!(stock.count().handed_out, 2);
    }

    #[test]
    fn threads_never_get_the_same() {
        let (_folder, _, stock) = stocked(8);
        let addresses = std::thread::scope(|scope| {
            let stock = &stock;
            let handed: Vec<_> = (0..8)
                .map(|last| scope.spawn(move || stock.hand_out(mac(last)).unwrap().address.0))
                .collect();
            handed
                .into_iter()
                .map(|it| it.join().unwrap())
                .collect::<BTreeSet<_>>()
        });
        assert_eq!(addresses.len(), 8);
    }

    #[test]
    fn what_no_board_has_goes_back_and_is_never_handed_out() {
        let (_folder, path, stock) = stocked(3);
        stock.hand_out(mac(1)).unwrap();
        let mut undone = Vec::new();
        let refused = stock.give_back(|it| {
            undone.push(it.address.0);
            (undone.len() < 2)
                .then_some(())
                .ok_or(BatchError::StockEmpty)
        });
        assert!(refused.is_err());
        assert_eq!(undone, [100_001, 100_002]);
        drop(stock);
        let stock = Stock::open(&path).unwrap();
        let expected = StockCount {
            free: 1,
            handed_out: 1,
            returned: 1,
        };
        assert_eq!(stock.count(), expected);
        let count = stock.give_back(|it| {
            assert_eq!(it.address.0, 100_002);
            Ok::<_, BatchError>(())
        });
        assert_eq!(count.unwrap(), 1);
        assert!(stock.hand_out(mac(2)).is_err());
    }

    #[test]
    fn keys_are_for_one_person_and_no_log() {
        let (_folder, path, stock) = stocked(1);
        assert!(!format!("{stock:?}").contains("0000"), "{stock:?}");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let second = Stock::open(&path).unwrap_err();
        assert!(matches!(second, BatchError::InUse { .. }), "{second}");
        drop(stock);
        let other = Stock::begin(&path, "http://other.example:7480").unwrap_err();
        assert!(matches!(other, BatchError::OtherGateway { .. }), "{other}");
    }

    #[test]
    fn a_file_of_something_else_is_refused_and_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stock");
        let key = "7".repeat(64);
        for (text, wrong) in [
            ("something else\n".to_owned(), 1),
            (format!("{HEAD}{GATEWAY}\nreserved 5 77\n"), 2),
            (
                format!("{HEAD}{GATEWAY}\nreserved 5 {key}\nreserved 5 {key}\n"),
                3,
            ),
            (format!("{HEAD}{GATEWAY}\ngiven 5 5c:cf:7f:00:00:01\n"), 2),
            (format!("{HEAD}{GATEWAY}\nreserved 5 {key} more\n"), 2),
        ] {
            fs::write(&path, &text).unwrap();
            match Stock::begin(&path, GATEWAY) {
                Err(BatchError::Line { line, .. }) => assert_eq!(line, wrong, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        let absent = Stock::open(&folder.path().join("absent"));
        assert!(matches!(absent, Err(BatchError::File { .. })));
        assert!(!folder.path().join("absent").exists());
    }
}
