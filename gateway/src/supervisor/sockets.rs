//! Listeners that were open before us: a restart closes none of them, so whoever dials meanwhile waits in
//! the queue instead of being refused.

use anyhow::{Context as _, bail, ensure};
use rustix::{
    io::{FdFlags, fcntl_getfd, fcntl_setfd},
    net::sockopt::{socket_acceptconn, socket_domain, socket_type},
    net::{AddressFamily, SocketType},
};
use std::{
    net::TcpListener,
    os::fd::{BorrowedFd, FromRawFd as _, OwnedFd, RawFd},
    sync::atomic::{AtomicBool, Ordering},
};

/// The first open file that is passed on, after standard input, output and error.
const FIRST: RawFd = 3;
/// More than there are listeners of ours; anything beyond is somebody's mistake.
const COUNT_MAX: usize = 16;

/// Listeners by the names that the environment gives them.
#[derive(Debug, Default)]
pub(crate) struct Passed(Vec<(String, TcpListener)>);

/// What the environment says of passed sockets.
#[derive(Debug, Default)]
struct Said {
    process: Option<String>,
    count: Option<String>,
    names: Option<String>,
}

impl Passed {
    /// Takes what was passed to this process; nothing the second time.
    ///
    /// # Errors
    /// When the environment contradicts itself or the files are no listeners.
    pub(crate) fn take() -> anyhow::Result<Self> {
        static TAKEN: AtomicBool = AtomicBool::new(false);
        let variable = |name| std::env::var(name).ok();
        let said = Said {
            process: variable("LISTEN_PID"),
            count: variable("LISTEN_FDS"),
            names: variable("LISTEN_FDNAMES"),
        };
        let names = said.names_for(std::process::id())?;
        if names.is_empty() || TAKEN.swap(true, Ordering::Relaxed) {
            return Ok(Passed::default());
        }
        let listeners = (FIRST..)
            .zip(names)
            .map(|(number, name)| {
                let listener = listener(number)
                    .with_context(|| format!("file {number}, passed as {name:?}, is of no use"))?;
                Ok((name, listener))
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(Passed(listeners))
    }

    /// The listener of a name, once.
    pub(crate) fn listener(&mut self, name: &str) -> Option<TcpListener> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(at).1)
    }

    /// Ends the choice.
    ///
    /// # Errors
    /// Names a listener that nobody wanted: connections to it would never be answered.
    pub(crate) fn all_taken(self) -> anyhow::Result<()> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => bail!(
                "expected listeners named tcp, http or clear, each once (FileDescriptorName=), and was \
                 passed {name:?}"
            ),
        }
    }
}

impl Said {
    /// The name of each passed file; none when they are meant for another process.
    fn names_for(self, process: u32) -> anyhow::Result<Vec<String>> {
        let is_ours = self.process.is_some_and(|id| id.parse() == Ok(process));
        let Some(count) = self.count.filter(|_| is_ours) else {
            return Ok(Vec::new());
        };
        let known = count
            .parse::<usize>()
            .ok()
            .filter(|count| *count <= COUNT_MAX);
        let Some(count) = known else {
            bail!("LISTEN_FDS: expected 0 to {COUNT_MAX} and found {count:?}");
        };
        let names = self.names.unwrap_or_default();
        let names: Vec<_> = names
            .split(':')
            .filter(|name| !name.is_empty())
            .map(String::from)
            .collect();
        ensure!(
            names.len() == count,
            "LISTEN_FDNAMES: expected a name for each of {count} listeners and found {names:?}"
        );
        Ok(names)
    }
}

/// Takes an open file as a listener.
fn listener(number: RawFd) -> anyhow::Result<TcpListener> {
    // SAFETY: the file is only looked at, and when it is not open, that is what is found.
    #[expect(unsafe_code, reason = "files that were passed have numbers only")]
    fcntl_getfd(unsafe { BorrowedFd::borrow_raw(number) }).context("it is not open")?;
    // SAFETY: the environment says that this file was opened for this process to have; it is open, and
    // whoever got here is the first to take it.
    #[expect(unsafe_code, reason = "files that were passed have numbers only")]
    let file = unsafe { OwnedFd::from_raw_fd(number) };
    // Programs that this one starts are not meant.
    fcntl_setfd(&file, FdFlags::CLOEXEC)?;
    let is_tcp = socket_type(&file)? == SocketType::STREAM
        && [AddressFamily::INET, AddressFamily::INET6].contains(&socket_domain(&file)?);
    ensure!(
        is_tcp && socket_acceptconn(&file)?,
        "expected a listening TCP socket (ListenStream=, Accept=no)"
    );
    let listener = TcpListener::from(file);
    listener.set_nonblocking(true)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_for_this_process_and_all_there() {
        let said = |process: &str, count: &str, names: &str| Said {
            process: Some(process.into()),
            count: Some(count.into()),
            names: Some(names.into()),
        };
        assert!(Said::default().names_for(7).unwrap().is_empty());
        assert!(said("8", "2", "tcp:http").names_for(7).unwrap().is_empty());
        let names = said("7", "2", "tcp:http").names_for(7).unwrap();
        assert_eq!(names, ["tcp", "http"]);
        for (count, names, complaint) in [
            ("two", "tcp:http", "LISTEN_FDS: expected 0 to 16"),
            ("17", "tcp", "LISTEN_FDS: expected 0 to 16"),
            ("2", "tcp", "LISTEN_FDNAMES: expected a name for each of 2"),
            ("1", "", "LISTEN_FDNAMES: expected a name for each of 1"),
        ] {
            let error = said("7", count, names).names_for(7).unwrap_err();
            assert!(error.to_string().starts_with(complaint), "{error}");
        }
    }

    #[test]
    fn each_listener_is_taken_once_and_none_is_left() {
        let bind = || TcpListener::bind("127.0.0.1:0").unwrap();
        let mut passed = Passed(vec![("tcp".into(), bind()), ("tpc".into(), bind())]);
        assert!(passed.listener("tcp").is_some());
        assert!(passed.listener("tcp").is_none());
        let error = passed.all_taken().unwrap_err().to_string();
        assert!(error.ends_with("passed \"tpc\""), "{error}");
    }
}
