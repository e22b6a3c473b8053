//! The machine: its clock, its disk, its files.

use super::{Said, error, ok, warning};
use crate::config::Settings;
use rustix::process::{Resource, getrlimit};
use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// 2026-01-01: no clock that is right shows an earlier time to this program.
const EARLIEST: Duration = Duration::from_secs(1_767_225_600);
/// 2100-01-01: expiries of any kind beyond that are nonsense.
const LATEST: Duration = Duration::from_secs(4_102_444_800);
/// Looks at the clock: each takes some 50 ns, so this sees a few hundred microseconds.
const CLOCK_LOOKS: u32 = 10_000;
/// Below this a busy gateway may not get over a night.
const DISK_BYTES_WANTED: u64 = 512 * 1024 * 1024;
/// Below this the database's next growth may fail.
const DISK_BYTES_MIN: u64 = 32 * 1024 * 1024;
/// What the program opens besides connections: database, listeners, bells of threads, the log.
const FILES_BESIDES: u64 = 64;

/// Expiries, log-ins and receipts go by the clock.
pub(super) fn clock() -> Vec<Said> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let mut said = vec![sane(now)];
    let mut before = SystemTime::now();
    let goes_back = (0..CLOCK_LOOKS).any(|_| {
        let earlier = std::mem::replace(&mut before, SystemTime::now());
        before < earlier
    });
    if goes_back {
        said.push(
            error("the clock runs backwards")
                .expected("a clock that is slewed, not stepped")
                .remedy("let chrony or systemd-timesyncd keep the time, and nothing else"),
        );
    }
    said.push(match is_synchronized() {
        Some(true) => ok("the clock is synchronised"),
        Some(false) => warning("the kernel says that the clock is not synchronised")
            .expected("time by NTP")
            .remedy(
                "apt install systemd-timesyncd, or chrony; in a container it is the host's matter",
            ),
        None => ok("whether the clock is synchronised cannot be told here"),
    });
    said
}

fn sane(now: Duration) -> Said {
    let seconds = now.as_secs();
    if (EARLIEST..LATEST).contains(&now) {
        return ok(format!("the time is {seconds} s after 1970"));
    }
    error(format!("the time is {seconds} s after 1970"))
        .expected("a year from 2026 to 2099")
        .remedy("set the clock: commands would expire at once, or never")
}

/// What the kernel says of its clock.
#[cfg(target_os = "linux")]
fn is_synchronized() -> Option<bool> {
    // SAFETY: a structure of numbers, all of which may be zero; and `modes` of zero asks without setting.
    #[expect(unsafe_code, reason = "no safe crate asks the kernel this")]
    let state = unsafe {
        let mut asked: libc::timex = std::mem::zeroed();
        libc::adjtimex(&raw mut asked)
    };
    match state {
        ..0 => None,
        state => Some(state != libc::TIME_ERROR),
    }
}

#[cfg(not(target_os = "linux"))]
fn is_synchronized() -> Option<bool> {
    None
}

/// Room for what is kept.
pub(super) fn disk(settings: &Settings) -> Vec<Said> {
    let existing = nearest(&settings.data);
    let shown = existing.display();
    match rustix::fs::statvfs(existing) {
        Ok(found) => {
            let free = found.f_bavail.saturating_mul(found.f_frsize);
            let mut said = vec![room(free, &shown.to_string())];
            if found.f_files > 0 && found.f_favail < 1_000 {
                said.push(
                    warning(format!("{} inodes are free at {shown}", found.f_favail))
                        .expected("1000 at least")
                        .remedy("remove files that nobody needs"),
                );
            }
            said
        }
        Err(fault) => vec![
            error(format!("cannot look at the disk of {shown}: {fault}"))
                .remedy("see that the folder can be reached"),
        ],
    }
}

fn room(free: u64, place: &str) -> Said {
    let found = format!("{} MiB are free at {place}", free / (1024 * 1024));
    let wanted = format!("{} MiB at least", DISK_BYTES_WANTED / (1024 * 1024));
    let remedy = "make room, or move `data` to a larger disk";
    match free {
        0..DISK_BYTES_MIN => error(found).expected(wanted).remedy(remedy),
        DISK_BYTES_MIN..DISK_BYTES_WANTED => warning(found).expected(wanted).remedy(remedy),
        _ => ok(found),
    }
}

/// The folder itself, or the one in which it would be made.
fn nearest(path: &Path) -> &Path {
    path.ancestors()
        .find(|it| it.exists() && !it.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Each connection costs one.
pub(super) fn open_files(settings: &Settings) -> Vec<Said> {
    let wanted = settings.connections_max as u64 + FILES_BESIDES;
    let limit = getrlimit(Resource::Nofile).current;
    vec![limit_for(limit, wanted)]
}

fn limit_for(limit: Option<u64>, wanted: u64) -> Said {
    match limit {
        Some(limit) if limit < wanted => {
            warning(format!("{limit} files may be open here"))
                .expected(format!("{wanted} for connections_max and {FILES_BESIDES} besides"))
                .remedy(format!(
                    "run it with `ulimit -n {wanted}` or lower connections_max; a systemd unit has its own \
                     limit (LimitNOFILE=), and ours has enough for the default"
                ))
        }
        Some(limit) => ok(format!("{limit} files may be open, {wanted} are wanted")),
        None => ok("any number of files may be open"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn judges_by_the_bounds() {
        let years = |years: u64| Duration::from_secs(years * 31_556_952);
        assert_eq!(sane(years(57)).level, Level::Ok);
        assert_eq!(sane(Duration::ZERO).level, Level::Error);
        assert_eq!(sane(years(140)).level, Level::Error);
        assert_eq!(room(0, "/").level, Level::Error);
        assert_eq!(room(DISK_BYTES_MIN, "/").level, Level::Warning);
        assert_eq!(room(DISK_BYTES_WANTED, "/").level, Level::Ok);
        assert_eq!(limit_for(Some(1024), 1025).level, Level::Warning);
        assert_eq!(limit_for(Some(1025), 1025).level, Level::Ok);
        assert_eq!(limit_for(None, 1025).level, Level::Ok);
    }

    #[test]
    fn looks_where_the_folder_would_be() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(nearest(&folder.path().join("a/b")), folder.path());
        assert_eq!(nearest(Path::new("no-such-folder")), Path::new("."));
    }
}
