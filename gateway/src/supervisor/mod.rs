//! Whoever runs the program as a service: sockets that it holds for us, and what it is told.
//!
//! This is systemd's way, and that of others who took it over: the environment names a datagram socket for
//! words such as `READY=1`, and says which open files are listeners. Nothing here needs systemd; without
//! those variables there is nobody to tell.

mod sockets;

pub(crate) use sockets::Passed;

use anyhow::Context as _;
use std::{
    os::unix::net::{SocketAddr, UnixDatagram},
    sync::Arc,
    time::Duration,
};

/// How often the status line is told anew where no watchdog asks for more.
const STATUS_INTERVAL: Duration = Duration::from_secs(15);

/// The service manager, or nobody.
#[derive(Clone, Debug, Default)]
pub struct Supervisor {
    socket: Option<Arc<UnixDatagram>>,
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// Nobody.
    #[must_use]
    pub fn none() -> Self {
        Supervisor::default()
    }

    /// Whom the environment names.
    ///
    /// # Errors
    /// When it names somebody who is not to be reached: a service that cannot say that it is ready would be
    /// killed for that later on, and nobody would see why.
    pub fn from_environment() -> anyhow::Result<Self> {
        let variable = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
        let socket = variable("NOTIFY_SOCKET")
            .map(|name| {
                connect(&name)
                    .with_context(|| format!("cannot reach the service manager at {name}"))
            })
            .transpose()?;
        let is_ours =
            variable("WATCHDOG_PID").is_none_or(|id| id.parse() == Ok(std::process::id()));
        let watchdog = variable("WATCHDOG_USEC")
            .filter(|_| is_ours)
            .map(|text| {
                let expected =
                    || format!("WATCHDOG_USEC: expected microseconds and found {text:?}");
                text.parse()
                    .map(Duration::from_micros)
                    .with_context(expected)
            })
            .transpose()?
            .filter(|limit| !limit.is_zero());
        Ok(Supervisor {
            socket: socket.map(Arc::new),
            watchdog,
        })
    }

    /// Says that everybody is served.
    pub(crate) fn ready(&self) {
        self.tell("READY=1\nSTATUS=serving");
    }

    /// Says that the end has begun, and how long it may take.
    pub(crate) fn stopping(&self, within: Duration) {
        let within = within.as_micros();
        self.tell(&format!(
            "STOPPING=1\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC={within}"
        ));
    }

    /// Says that the program is alive, and what it does in one line.
    pub(crate) fn alive(&self, status: &str) {
        self.tell(&format!("WATCHDOG=1\nSTATUS={status}"));
    }

    /// How often [`alive`](Self::alive) is to be said: twice in the time after which the service manager
    /// takes us for dead. `None` when nobody listens.
    pub(crate) fn interval(&self) -> Option<Duration> {
        self.socket.as_ref()?;
        Some(self.watchdog.map_or(STATUS_INTERVAL, |limit| limit / 2))
    }

    /// A manager that does not take it is none that one could wait for.
    fn tell(&self, words: &str) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.send(words.as_bytes())
        {
            tracing::debug!(%error, "the service manager was not told");
        }
    }
}

/// A datagram socket to a path, or to an abstract name, which begins with `@`.
fn connect(name: &str) -> std::io::Result<UnixDatagram> {
    let addr = match name.strip_prefix('@') {
        #[cfg(target_os = "linux")]
        Some(name) => <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect_addr(&addr)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_managers_understand() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let supervisor = Supervisor {
            socket: Some(Arc::new(connect(path.to_str().unwrap()).unwrap())),
            watchdog: Some(Duration::from_secs(30)),
        };
        let heard = || {
            let mut bytes = [0; 256];
            let length = manager.recv(&mut bytes).unwrap();
            String::from_utf8_lossy(&bytes[..length]).into_owned()
        };
        supervisor.ready();
        assert_eq!(heard(), "READY=1\nSTATUS=serving");
        supervisor.alive("2 controllers");
        assert_eq!(heard(), "WATCHDOG=1\nSTATUS=2 controllers");
        supervisor.stopping(Duration::from_millis(1500));
        let words = "STOPPING=1\nSTATUS=stopping\nEXTEND_TIMEOUT_USEC=1500000";
        assert_eq!(heard(), words);
        assert_eq!(supervisor.interval(), Some(Duration::from_secs(15)));
        // Nobody is told nothing, and a manager that is gone is no harm.
        Supervisor::none().ready();
        assert_eq!(Supervisor::none().interval(), None);
        drop(manager);
        supervisor.ready();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn finds_abstract_names() {
        use std::os::linux::net::SocketAddrExt as _;
        let name = format!("switchyard-test-{}", std::process::id());
        let addr = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&addr).unwrap();
        connect(&format!("@{name}")).unwrap().send(b"x").unwrap();
        assert_eq!(manager.recv(&mut [0; 8]).unwrap(), 1);
    }
}
