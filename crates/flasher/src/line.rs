//! The serial line to a board: what the loader asks of it, and the one over this machine's serial ports.

use std::{
    io::{self, ErrorKind, Read as _, Write as _},
    time::{Duration, Instant},
};

use serialport::SerialPort as _;

use crate::{Error, Result};

/// The two outputs of a serial adapter besides its data, which most boards wire to reset and to GPIO0. An asserted one
/// pulls its pin low.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Signals {
    /// Data terminal ready: GPIO0.
    pub dtr: bool,
    /// Request to send: reset.
    pub rts: bool,
}

/// A serial line with a board at its end. Time is the line's as well, so that a simulated board brings its own.
pub trait Line {
    /// Waits at most that long for bytes, and takes what is there; 0: none came.
    ///
    /// # Errors
    /// When the line is gone: the adapter was unplugged.
    fn read(&mut self, into: &mut [u8], patience: Duration) -> io::Result<usize>;

    /// Sends all of it; returns once it is on its way.
    ///
    /// # Errors
    /// When the line is gone, or takes nothing for seconds.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Once all that was written has left, goes on at another rate.
    ///
    /// # Errors
    /// When the adapter cannot do that rate.
    fn set_baud(&mut self, baud: u32) -> io::Result<()>;

    /// Sets both outputs, at once where the system can.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where the line has none, as a pseudo-terminal.
    fn set_signals(&mut self, signals: Signals) -> io::Result<()>;

    /// Drops what has come and was not read.
    ///
    /// # Errors
    /// When the line is gone.
    fn discard(&mut self) -> io::Result<()>;

    /// Lets time pass.
    fn wait(&mut self, time: Duration);

    /// Time since some moment; never runs backwards.
    fn now(&self) -> Duration;
}

impl<L: Line + ?Sized> Line for &mut L {
    fn read(&mut self, into: &mut [u8], patience: Duration) -> io::Result<usize> {
        (**self).read(into, patience)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        (**self).write(bytes)
    }

    fn set_baud(&mut self, baud: u32) -> io::Result<()> {
        (**self).set_baud(baud)
    }

    fn set_signals(&mut self, signals: Signals) -> io::Result<()> {
        (**self).set_signals(signals)
    }

    fn discard(&mut self) -> io::Result<()> {
        (**self).discard()
    }

    fn wait(&mut self, time: Duration) {
        (**self).wait(time);
    }

    fn now(&self) -> Duration {
        (**self).now()
    }
}

/// What a single write may wait for an adapter that takes nothing.
const WRITE_PATIENCE: Duration = Duration::from_secs(3);

#[cfg(unix)]
type Opened = serialport::TTYPort;
#[cfg(windows)]
type Opened = serialport::COMPort;

/// A serial port of this machine, opened for one program alone.
#[derive(Debug)]
pub struct SerialLine {
    serial_port: Opened,
    begun: Instant,
}

impl SerialLine {
    /// Opens it at that rate, 8 bits without parity.
    ///
    /// # Errors
    /// [`Error::Open`], with what keeps it: not there, no permission, in use.
    pub fn open(path: &str, baud: u32) -> Result<Self> {
        let builder = serialport::new(path, baud).timeout(WRITE_PATIENCE);
        // Windows opens with both lines let go, once it is told so.
        #[cfg(windows)]
        let builder = builder.dtr_on_open(false);
        let mut serial_port = builder.open_native().map_err(|source| Error::Open {
            path: path.to_owned(),
            source,
        })?;
        // Linux asserts both lines when it opens, which is neither reset nor GPIO0 low; let go one after the other they
        // would reset the board, and hold it so. A line that has none cannot be helped.
        match set_signals(&mut serial_port, Signals::default()) {
            Err(error) if error.kind() != ErrorKind::Unsupported => return Err(Error::Line(error)),
            _ => {}
        }
        Ok(SerialLine {
            serial_port,
            begun: Instant::now(),
        })
    }
}

impl Line for SerialLine {
    fn read(&mut self, into: &mut [u8], patience: Duration) -> io::Result<usize> {
        // No system waits for less; none at all would be "for ever" on Windows.
        let patience = patience.max(Duration::from_millis(1));
        self.serial_port.set_timeout(patience)?;
        match self.serial_port.read(into) {
            // A terminal that has hung up says so by reading nothing.
            Ok(0) => Err(ErrorKind::BrokenPipe.into()),
            Ok(count) => Ok(count),
            Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::Interrupted) => {
                Ok(0)
            }
            Err(error) => Err(error),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.serial_port.set_timeout(WRITE_PATIENCE)?;
        self.serial_port.write_all(bytes)
    }

    fn set_baud(&mut self, baud: u32) -> io::Result<()> {
        self.serial_port.flush()?;
        Ok(self.serial_port.set_baud_rate(baud)?)
    }

    fn set_signals(&mut self, signals: Signals) -> io::Result<()> {
        set_signals(&mut self.serial_port, signals)
    }

    fn discard(&mut self) -> io::Result<()> {
        Ok(self.serial_port.clear(serialport::ClearBuffer::Input)?)
    }

    fn wait(&mut self, time: Duration) {
        std::thread::sleep(time);
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }
}

/// Both outputs in one call, the others left as they are.
#[cfg(unix)]
#[allow(unsafe_code, reason = "no library sets both lines in one call")]
fn set_signals(serial_port: &mut Opened, signals: Signals) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;
    let mut bits: libc::c_int = 0;
    let file = serial_port.as_raw_fd();
    // SAFETY: the descriptor is open as long as `serial_port` lives, and the call writes one integer.
    if unsafe { libc::ioctl(file, libc::TIOCMGET, &raw mut bits) } == -1 {
        return Err(no_signals(io::Error::last_os_error()));
    }
    for (bit, is_asserted) in [
        (libc::TIOCM_DTR, signals.dtr),
        (libc::TIOCM_RTS, signals.rts),
    ] {
        bits = if is_asserted { bits | bit } else { bits & !bit };
    }
    // SAFETY: as above; the call reads one integer.
    if unsafe { libc::ioctl(file, libc::TIOCMSET, &raw const bits) } == -1 {
        return Err(no_signals(io::Error::last_os_error()));
    }
    Ok(())
}

/// A pseudo-terminal answers that it is no terminal of that sort, or that the call is none of its own.
#[cfg(unix)]
fn no_signals(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::ENOTTY | libc::EINVAL) => io::Error::new(ErrorKind::Unsupported, error),
        _ => error,
    }
}

/// One after the other. The system's own driver for such adapters passes a change of RTS on only when DTR is written
/// after it.
#[cfg(windows)]
fn set_signals(serial_port: &mut Opened, signals: Signals) -> io::Result<()> {
    serial_port.write_data_terminal_ready(signals.dtr)?;
    serial_port.write_request_to_send(signals.rts)?;
    Ok(serial_port.write_data_terminal_ready(signals.dtr)?)
}
