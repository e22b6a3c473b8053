//! A virtual controller's serial line, between the core and whatever bytes come from and go to: a
//! pseudo-terminal's end, standard input and output.

#![expect(unsafe_code, reason = "the C core is called through raw pointers")]

use std::{
    alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error},
    ffi::CString,
    fmt, io,
    ptr::NonNull,
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
};

use crate::{
    Controller, SettingsError,
    ffi::{self, FwHostApi, FwSerialHost},
};

/// The two directions of a serial line.
pub struct SerialPort {
    /// What comes in. Its end is the end of the power.
    pub input: Box<dyn AsyncRead + Send + Unpin>,
    /// What goes out.
    pub output: Box<dyn AsyncWrite + Send + Unpin>,
}

impl fmt::Debug for SerialPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SerialPort").finish_non_exhaustive()
    }
}

/// A board on a cable, with a radio of its own.
#[derive(Debug)]
pub struct Serial {
    /// The cable.
    pub serial_port: SerialPort,
    /// What it finds around it. Without being on one of these it dials nobody.
    pub networks: Vec<Network>,
}

/// A network.
#[derive(Clone, PartialEq, Eq)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// Empty: it asks for none.
    pub password: String,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A virtual controller's cable, where it has one.
pub(crate) struct Cable(Option<Plugged>);

struct Plugged {
    line: SerialLine,
    /// Gateways were given at the start, and a key with them: it need not be enrolled.
    has_gateway: bool,
    was_joined: bool,
    is_pressed: bool,
}

impl Cable {
    /// # Errors
    /// When the networks cannot be, or the controller has no board around it.
    ///
    /// # Safety
    ///
    /// The controller must outlive the cable, and be used on the same thread, or never at the same time.
    pub(crate) unsafe fn of(
        serial: Option<Serial>,
        controller: &mut Controller,
        has_gateway: bool,
    ) -> Result<Self, SettingsError> {
        let Some(Serial {
            serial_port,
            networks,
        }) = serial
        else {
            return Ok(Self(None));
        };
        let networks: Vec<_> = networks
            .into_iter()
            .map(|network| (network.name, network.password))
            .collect();
        controller.add_radio(&networks, Duration::ZERO)?;
        controller.keep_lines();
        let api = controller.api().ok_or(SettingsError)?;
        Ok(Self(Some(Plugged {
            // SAFETY: by the caller's promise.
            line: unsafe { SerialLine::new(serial_port, api, Duration::ZERO) },
            has_gateway,
            was_joined: false,
            is_pressed: false,
        })))
    }

    /// Bytes that came; `None`: the cable was pulled. Cancel-safe.
    pub(crate) async fn ready(&mut self) -> Option<Vec<u8>> {
        match &mut self.0 {
            Some(plugged) => plugged.line.ready().await,
            None => std::future::pending().await,
        }
    }

    pub(crate) fn receive(&mut self, bytes: &[u8], now: Duration) {
        if let Some(plugged) = &mut self.0 {
            plugged.line.receive(bytes, now);
        }
    }

    pub(crate) fn press_button(&mut self, is_pressed: bool) {
        if let Some(plugged) = &mut self.0 {
            plugged.is_pressed = is_pressed;
        }
    }

    /// Goes on, and tells when to do so again.
    pub(crate) fn advance(
        &mut self,
        controller: &mut Controller,
        now: Duration,
    ) -> Option<Duration> {
        let plugged = self.0.as_mut()?;
        while let Some(line) = controller.next_line() {
            plugged.line.log(&line);
        }
        plugged.line.press_button(plugged.is_pressed, now);
        Some(plugged.line.advance(now))
    }

    /// Whether the network was joined since this was asked last, or was left; `None`: neither.
    pub(crate) fn news(&mut self, controller: &Controller) -> Option<bool> {
        let plugged = self.0.as_mut()?;
        let is_joined = controller.is_joined();
        let differs = is_joined != plugged.was_joined;
        plugged.was_joined = is_joined;
        differs.then_some(is_joined)
    }

    /// Whether it is on a network, and is somebody.
    pub(crate) fn may_dial(&self, controller: &Controller) -> bool {
        self.0.as_ref().is_none_or(|plugged| {
            controller.is_joined() && (plugged.has_gateway || controller.enrolled().is_some())
        })
    }

    /// The controller has begun anew, and greets again.
    ///
    /// # Safety
    ///
    /// As for [`of`](Self::of); it is the same controller.
    pub(crate) unsafe fn restart(&mut self, controller: &Controller, now: Duration) {
        if let (Some(plugged), Some(api)) = (&mut self.0, controller.api()) {
            // SAFETY: by the caller's promise.
            unsafe { plugged.line.restart(api, now) };
            plugged.was_joined = false;
        }
    }
}

/// Pieces that wait in either direction; then the reader waits, and the core finds no room.
const PIECES_MAX: usize = 8;
const PIECE_BYTES: usize = 512;

/// The line while it is served. Driven like the controller itself: wait for [`ready`](Self::ready) or for as
/// long as [`advance`](Self::advance) said, then advance.
pub(crate) struct SerialLine {
    host: NonNull<FwSerialHost>,
    input: mpsc::Receiver<Vec<u8>>,
    output: mpsc::Sender<Vec<u8>>,
}

// SAFETY: the memory is this value's alone; what the controller's functions use is promised by whoever called `new`.
unsafe impl Send for SerialLine {}

impl SerialLine {
    /// Serves what this controller tells, on the current tokio runtime.
    ///
    /// # Safety
    ///
    /// `api` must point to an `FwHostApi` that outlives this value, and its functions must be callable from
    /// whatever thread advances it.
    pub(crate) unsafe fn new(
        serial_port: SerialPort,
        api: *const FwHostApi,
        now: Duration,
    ) -> Self {
        // SAFETY: the layout is not empty.
        let memory = unsafe { alloc_zeroed(layout()) };
        let Some(host) = NonNull::new(memory.cast::<FwSerialHost>()) else {
            handle_alloc_error(layout())
        };
        // SAFETY: the memory has C's size and alignment; `api` is the caller's promise.
        unsafe { ffi::fw_serial_host_init(host.as_ptr(), api, wrapped_ms(now)) };
        let (to_core, input) = mpsc::channel(PIECES_MAX);
        let (output, from_core) = mpsc::channel(PIECES_MAX);
        tokio::spawn(read(serial_port.input, to_core));
        tokio::spawn(write(serial_port.output, from_core));
        Self {
            host,
            input,
            output,
        }
    }

    /// The controller has begun anew, and greets again.
    ///
    /// # Safety
    ///
    /// As for [`new`](Self::new).
    pub(crate) unsafe fn restart(&mut self, api: *const FwHostApi, now: Duration) {
        // SAFETY: as in `new`.
        unsafe { ffi::fw_serial_host_init(self.host.as_ptr(), api, wrapped_ms(now)) };
    }

    /// Bytes that came; `None`: no more will. Cancel-safe.
    pub(crate) async fn ready(&mut self) -> Option<Vec<u8>> {
        self.input.recv().await
    }

    pub(crate) fn receive(&mut self, bytes: &[u8], now: Duration) {
        // SAFETY: `host` was initialised by `new`, and C keeps no pointer into the bytes.
        unsafe {
            let host = self.host.as_ptr();
            ffi::fw_serial_host_receive(host, bytes.as_ptr(), bytes.len(), wrapped_ms(now));
        }
    }

    /// A line of the log.
    pub(crate) fn log(&mut self, line: &str) {
        if let Ok(line) = CString::new(line) {
            // SAFETY: as in `receive`.
            unsafe { ffi::fw_serial_host_log(self.host.as_ptr(), line.as_ptr()) };
        }
    }

    pub(crate) fn press_button(&mut self, is_pressed: bool, now: Duration) {
        // SAFETY: as in `receive`.
        unsafe {
            ffi::fw_serial_host_button(self.host.as_ptr(), is_pressed, wrapped_ms(now));
        }
    }

    /// Goes on, and tells when to do so again.
    pub(crate) fn advance(&mut self, now: Duration) -> Duration {
        // SAFETY: as in `receive`.
        let wait_ms = unsafe { ffi::fw_serial_host_poll(self.host.as_ptr(), wrapped_ms(now)) };
        while let Ok(place) = self.output.try_reserve() {
            let mut piece = [0; PIECE_BYTES];
            // SAFETY: as in `receive`; C writes no more than there is room for.
            let length = unsafe {
                ffi::fw_serial_host_take(self.host.as_ptr(), piece.as_mut_ptr(), piece.len())
            };
            if length == 0 {
                break;
            }
            place.send(piece[..length].to_vec());
        }
        now + Duration::from_millis(wait_ms.into())
    }
}

impl Drop for SerialLine {
    fn drop(&mut self) {
        // SAFETY: made by `new` with this layout, and nobody else has it.
        unsafe { dealloc(self.host.as_ptr().cast(), layout()) }
    }
}

async fn read(mut input: Box<dyn AsyncRead + Send + Unpin>, to_core: mpsc::Sender<Vec<u8>>) {
    let mut piece = [0; PIECE_BYTES];
    loop {
        match input.read(&mut piece).await {
            Ok(0) => return,
            Ok(length) => {
                if to_core.send(piece[..length].to_vec()).await.is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return tracing::debug!(%error, "reading the serial line failed"),
        }
    }
}

async fn write(
    mut output: Box<dyn AsyncWrite + Send + Unpin>,
    mut from_core: mpsc::Receiver<Vec<u8>>,
) {
    while let Some(piece) = from_core.recv().await {
        let written = async {
            output.write_all(&piece).await?;
            output.flush().await
        };
        if let Err(error) = written.await {
            return tracing::debug!(%error, "writing to the serial line failed");
        }
    }
}

/// The core's count wraps.
fn wrapped_ms(now: Duration) -> u32 {
    now.as_millis() as u32
}

fn layout() -> Layout {
    // SAFETY: the two functions have no preconditions.
    let (bytes, align) = unsafe { (ffi::fw_serial_host_bytes(), ffi::fw_serial_host_align()) };
    Layout::from_size_align(bytes, align).unwrap_or_else(|_| unreachable!("C gave a real layout"))
}
