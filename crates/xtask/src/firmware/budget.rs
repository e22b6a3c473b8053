//! What an image may take, and the table of what it takes.

use super::stack::Chain;
use anyhow::{Result, bail};
use std::fmt::Write;

/// What ours may take, in bytes; FLASH: core, Monocypher, the built-in page and the port together. Why: a slot
/// of half of 1 MB is 424 KB, of which the SDK was seen to take 224, and 5 are left to it to grow. IRAM: what
/// the SDK leaves of 32 KB; RAM: what its heap needs least, of which the serial line took the last KB (ADR 0031); and its stack is 4 KB, of which we must not take all.
/// (The aim for flash is 160 KB; docs/firmware.md tells what is above it.)
pub(super) const FLASH_BYTES_MAX: u64 = 194 * 1024;
pub(super) const IRAM_BYTES_MAX: u64 = 4 * 1024;
pub(super) const RAM_BYTES_MAX: u64 = 21 * 1024;
pub(super) const STACK_BYTES_MAX: u64 = 2560;

/// What an image holds.
#[derive(Default)]
pub(super) struct Report {
    rows: Vec<Row>,
}

struct Row {
    what: String,
    bytes: u64,
    most: Option<u64>,
}

impl Report {
    /// A figure without a budget.
    pub(super) fn note(&mut self, what: &str, bytes: u64) {
        self.row(what, bytes, None);
    }

    /// A figure with its budget.
    pub(super) fn hold(&mut self, what: &str, bytes: u64, most: u64) {
        self.row(what, bytes, Some(most));
    }

    /// The deepest chain of calls.
    pub(super) fn hold_stack(&mut self, chain: &Chain) {
        let bytes = u64::from(chain.bytes);
        self.hold("stack, deepest own call chain", bytes, STACK_BYTES_MAX);
    }

    fn row(&mut self, what: &str, bytes: u64, most: Option<u64>) {
        self.rows.push(Row {
            what: what.into(),
            bytes,
            most,
        });
    }

    /// The table for a person's eyes.
    pub(super) fn table(&self) -> String {
        let width = self.rows.iter().map(|row| row.what.len()).max();
        let width = width.unwrap_or_default();
        let mut text = format!("{:width$}  {:>8}  {:>8}\n", "bytes", "found", "at most");
        for Row { what, bytes, most } in &self.rows {
            let most = most.map(|most| most.to_string()).unwrap_or_default();
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{what:width$}  {bytes:>8}  {most:>8}");
        }
        text
    }

    /// # Errors
    /// When something takes more than it may; all of it is named.
    pub(super) fn judge(&self) -> Result<()> {
        let over: Vec<_> = self
            .rows
            .iter()
            .filter_map(|row| Some((row, row.most.filter(|most| row.bytes > *most)?)))
            .map(|(row, most)| format!("{}: {} bytes of {most}", row.what, row.bytes))
            .collect();
        if !over.is_empty() {
            bail!("over budget: {}", over.join("; "));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_all_that_is_over_its_budget() {
        let mut report = Report::default();
        report.note("whole", 1_000_000);
        report.hold("flash", 100, 100);
        report.judge().unwrap();
        report.hold("ram", 11, 10);
        report.hold_stack(&Chain {
            bytes: 4096,
            functions: Vec::new(),
        });
        let error = report.judge().unwrap_err().to_string();
        assert!(error.contains("ram: 11 bytes of 10"), "{error}");
        assert!(error.contains("chain: 4096 bytes of 2560"), "{error}");
        assert!(!error.contains("flash"), "{error}");
        assert!(report.table().contains("ram"), "{}", report.table());
    }
}
