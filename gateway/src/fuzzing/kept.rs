//! What is read from files: the journal, and dumps of the database.

use crate::store::SqlConfigStore;
use futures_util::FutureExt as _;

pub use crate::journal::fuzz::journal;

/// A dump as `restore` looks at it before anything is touched.
pub fn dump(data: &[u8]) {
    let mut input = data;
    let read = SqlConfigStore::check_dump(&mut input).now_or_never();
    let read = read.expect("bytes that are there are not waited for");
    if let Ok(summary) = read {
        // What follows the end is not looked at; all before it was.
        assert!(summary.rows as usize <= data.len());
    }
}
