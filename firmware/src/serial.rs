//! A virtual controller's serial line, between the core and whatever bytes come from and go to: a
//! pseudo-terminal's end, standard input and output.

use std::{fmt, io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
};

use crate::{Controller, SettingsError};

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

/// A virtual controller's cable, where it has one. Driven like the controller itself: wait for
/// [`ready`](Self::ready) or for as long as [`advance`](Self::advance) said, then advance.
pub(crate) struct Cable(Option<Plugged>);

struct Plugged {
    input: mpsc::Receiver<Vec<u8>>,
    output: mpsc::Sender<Vec<u8>>,
    /// Gateways were given at the start, and a key with them: it need not be enrolled.
    has_gateway: bool,
    /// Whether it was enrolled at its start: until the next one it is nobody else.
    is_enrolled: bool,
    was_joined: bool,
}

/// Pieces that wait in either direction; then the reader waits, and the core finds no room.
const PIECES_MAX: usize = 8;
const PIECE_BYTES: usize = 512;

impl Cable {
    /// Serves the controller's line, on the current tokio runtime.
    ///
    /// # Errors
    /// When the networks cannot be, or the controller has no board around it.
    pub(crate) fn of(
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
        controller.add_radio(&networks, Duration::ZERO)?;
        controller.add_serial(Duration::ZERO)?;
        let (to_core, input) = mpsc::channel(PIECES_MAX);
        let (output, from_core) = mpsc::channel(PIECES_MAX);
        tokio::spawn(read(serial_port.input, to_core));
        tokio::spawn(write(serial_port.output, from_core));
        Ok(Self(Some(Plugged {
            input,
            output,
            has_gateway,
            is_enrolled: controller.enrolled().is_some(),
            was_joined: false,
        })))
    }

    /// Bytes that came; `None`: the cable was pulled. Cancel-safe.
    pub(crate) async fn ready(&mut self) -> Option<Vec<u8>> {
        match &mut self.0 {
            Some(plugged) => plugged.input.recv().await,
            None => std::future::pending().await,
        }
    }

    /// Goes on, and tells when to do so again.
    pub(crate) fn advance(
        &mut self,
        controller: &mut Controller,
        now: Duration,
    ) -> Option<Duration> {
        let plugged = self.0.as_mut()?;
        let wait = controller.poll_serial(now)?;
        while let Ok(place) = plugged.output.try_reserve() {
            let piece = controller.take_serial(PIECE_BYTES);
            if piece.is_empty() {
                break;
            }
            place.send(piece);
        }
        Some(now + wait)
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
            controller.is_joined() && (plugged.has_gateway || plugged.is_enrolled)
        })
    }

    /// The controller has begun anew.
    pub(crate) fn restart(&mut self, controller: &Controller) {
        if let Some(plugged) = &mut self.0 {
            plugged.is_enrolled = controller.enrolled().is_some();
            plugged.was_joined = false;
        }
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
