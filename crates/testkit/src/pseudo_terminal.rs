//! Pseudo-terminals for what a program opens as a serial port.

use anyhow::{Context, Result};
use rustix::{
    event::Timespec,
    fs::{Mode, OFlags, fcntl_setfl, open},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{OptionalActions, tcgetattr, tcsetattr},
};
use std::{os::fd::OwnedFd, path::Path, time::Duration};

/// A wait as the kernel takes it.
pub(crate) fn timeout(wait: Duration) -> Timespec {
    Timespec {
        tv_sec: wait.as_secs() as i64,
        tv_nsec: wait.subsec_nanos().into(),
    }
}

/// Opens a terminal that changes no byte, and makes `path` lead to it.
pub(crate) fn open_terminal(path: &Path) -> Result<OwnedFd> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let terminal = openpt(flags).context("opening a pseudo-terminal")?;
    grantpt(&terminal).context("granting the pseudo-terminal")?;
    unlockpt(&terminal).context("unlocking the pseudo-terminal")?;
    fcntl_setfl(&terminal, OFlags::RDWR | OFlags::NONBLOCK)
        .context("making the pseudo-terminal wait for nobody")?;
    let name = ptsname(&terminal, Vec::new()).context("asking for the pseudo-terminal's name")?;
    // Opened and closed once, it is known as a terminal that nobody has open.
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let other = open(name.as_c_str(), flags, Mode::empty())
        .context("opening the pseudo-terminal's other side")?;
    let mut settings = tcgetattr(&other).context("asking how the pseudo-terminal is set")?;
    settings.make_raw();
    settings
        .set_speed(115_200)
        .context("setting the pseudo-terminal's rate")?;
    tcsetattr(&other, OptionalActions::Now, &settings).context("setting the pseudo-terminal")?;
    drop(other);
    let _ = std::fs::remove_file(path);
    let name = name.into_string().context("reading the terminal's name")?;
    std::os::unix::fs::symlink(name, path).context("naming the pseudo-terminal")?;
    Ok(terminal)
}
