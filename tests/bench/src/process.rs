//! What a server uses, read from `/proc`, and where and how far programs may run.

use anyhow::{Context, Result};
use rustix::process::{Resource, Rlimit};
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, fs, time::Duration};

/// The memory of a process and its descendants.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Memory {
    /// Resident bytes.
    pub resident_bytes: u64,
    /// The same, what processes share counted once.
    pub proportional_bytes: u64,
}

/// A process and its descendants, as they were when it was looked at.
#[derive(Clone, Debug)]
pub struct Processes {
    ids: Vec<u32>,
}

/// CPU time at one moment, thread by thread: one that ends in between takes its own with it, and
/// must not be taken for less work of the others.
#[derive(Clone, Debug, Default)]
pub struct CpuMark {
    threads: HashMap<u64, Duration>,
}

/// How often threads gave up the processor.
#[derive(Clone, Copy, Debug, Default)]
pub struct Switches {
    /// Since they waited, or since others were due.
    pub total: u64,
}

impl Processes {
    /// The process and everything that descends from it.
    pub fn of(root: u32) -> Self {
        let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let id = entry.file_name().to_str().and_then(|id| id.parse().ok());
            if let Some((id, parent)) = id.and_then(|id| Some((id, parent_of(id)?))) {
                children.entry(parent).or_default().push(id);
            }
        }
        let mut ids = vec![root];
        let mut at = 0;
        while at < ids.len() {
            ids.extend(children.get(&ids[at]).into_iter().flatten().copied());
            at += 1;
        }
        Processes { ids }
    }

    /// How many threads there are.
    pub fn threads(&self) -> usize {
        self.tasks().count()
    }

    /// CPU time so far, to the nanosecond: `stat` counts in hundredths of a second.
    pub fn cpu(&self) -> CpuMark {
        let threads = self
            .tasks()
            .filter_map(|(thread, folder)| {
                let text = fs::read_to_string(folder.join("schedstat")).ok()?;
                let nanoseconds = text.split(' ').next()?.parse().ok()?;
                Some((thread, Duration::from_nanos(nanoseconds)))
            })
            .collect();
        CpuMark { threads }
    }

    /// Memory now.
    pub fn memory(&self) -> Memory {
        let mut memory = Memory::default();
        for id in &self.ids {
            let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
            memory.resident_bytes += kilobytes(&status, "VmRSS") * 1024;
            let rollup = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).unwrap_or_default();
            memory.proportional_bytes += kilobytes(&rollup, "Pss") * 1024;
        }
        memory
    }

    /// Context switches so far.
    pub fn switches(&self) -> Switches {
        let total = self
            .tasks()
            .filter_map(|(_, folder)| fs::read_to_string(folder.join("status")).ok())
            .map(|status| {
                kilobytes(&status, "voluntary_ctxt_switches")
                    + kilobytes(&status, "nonvoluntary_ctxt_switches")
            })
            .sum();
        Switches { total }
    }

    fn tasks(&self) -> impl Iterator<Item = (u64, std::path::PathBuf)> {
        self.ids
            .iter()
            .filter_map(|id| fs::read_dir(format!("/proc/{id}/task")).ok())
            .flatten()
            .flatten()
            .filter_map(|task| Some((task.file_name().to_str()?.parse().ok()?, task.path())))
    }
}

impl CpuMark {
    /// What was used since an earlier mark.
    pub fn since(&self, earlier: &CpuMark) -> Duration {
        self.threads
            .iter()
            .map(|(thread, now)| {
                let before = earlier.threads.get(thread).copied().unwrap_or_default();
                now.saturating_sub(before)
            })
            .sum()
    }
}

fn parent_of(id: u32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name may hold anything, so what counts comes after its last bracket: state, parent.
    text[text.rfind(')')?..].split(' ').nth(2)?.parse().ok()
}

/// The number in a line `key:  123 kB`.
fn kilobytes(text: &str, key: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
        .and_then(|value| value.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// CPU time of the calling process so far.
///
/// # Errors
/// When `/proc` is not to be read.
pub fn own_cpu() -> Result<CpuMark> {
    Ok(Processes {
        ids: vec![std::process::id()],
    }
    .cpu())
}

/// Keeps the calling thread, and what it starts from here on, on one core.
///
/// # Errors
/// When there is no such core.
pub fn stay_on_core(core: usize) -> Result<()> {
    let mut cores = rustix::thread::CpuSet::new();
    cores.set(core);
    rustix::thread::sched_setaffinity(None, &cores)
        .with_context(|| format!("expected a core {core} to run on"))
}

/// Lets this process, and what it starts, open as many files as the system allows.
///
/// # Errors
/// When not even the limit that it has can be used up.
pub fn raise_open_files() -> Result<u64> {
    let system = fs::read_to_string("/proc/sys/fs/nr_open")
        .ok()
        .and_then(|text| text.trim().parse().ok());
    let hard = rustix::process::getrlimit(Resource::Nofile).maximum;
    let raised = |files| {
        let limit = Rlimit {
            current: files,
            maximum: files,
        };
        rustix::process::setrlimit(Resource::Nofile, limit).map(|()| files.unwrap_or(u64::MAX))
    };
    // Only root goes beyond the hard limit.
    raised(system)
        .or_else(|_| raised(hard))
        .context("raising the limit of open files")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_its_own_work() {
        let me = Processes::of(std::process::id());
        let before = me.cpu();
        let mut number = 0u64;
        while me.cpu().since(&before) < Duration::from_millis(5) {
            number = std::hint::black_box(number.wrapping_add(1));
        }
        assert!(me.threads() >= 1);
        assert!(me.memory().resident_bytes > 0);
        assert_eq!(before.since(&me.cpu()), Duration::ZERO);
    }

    #[test]
    fn a_thread_that_has_ended_takes_nothing_from_the_others() {
        let mark = |threads: &[(u64, u64)]| CpuMark {
            threads: threads
                .iter()
                .map(|&(thread, ms)| (thread, Duration::from_millis(ms)))
                .collect(),
        };
        let used = mark(&[(1, 15), (3, 4)]).since(&mark(&[(1, 10), (2, 900)]));
        assert_eq!(used, Duration::from_millis(9));
    }
}
