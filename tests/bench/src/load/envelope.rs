//! What messages are wrapped in on their way.

use super::{noise::Records, websocket};
use anyhow::Result;
use bytes::BytesMut;

/// How messages are wrapped.
pub(crate) enum Wrapping {
    /// Not at all: they follow each other.
    None,
    /// Each in a WebSocket message.
    WebSocket,
    /// As many as fit in a Noise record.
    Records(Records),
}

/// What goes out on a connection, and the key to what comes in.
pub(crate) struct Envelope {
    wrapping: Wrapping,
    /// The message being written, or the frames of the next record.
    clear: Vec<u8>,
    /// What the next write sends.
    out: Vec<u8>,
}

impl Envelope {
    /// An empty one.
    pub(crate) fn new(wrapping: Wrapping) -> Self {
        Envelope {
            wrapping,
            clear: Vec::new(),
            out: Vec::new(),
        }
    }

    /// Whether what comes in is wrapped.
    pub(crate) fn is_wrapped(&self) -> bool {
        !matches!(self.wrapping, Wrapping::None)
    }

    /// Appends one message, which `write` puts at the end of what it is given.
    ///
    /// # Errors
    /// When it does not fit.
    pub(crate) fn put(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        match &mut self.wrapping {
            Wrapping::None => write(&mut self.out),
            Wrapping::WebSocket => {
                self.clear.clear();
                write(&mut self.clear);
                websocket::encode(&self.clear, &mut self.out);
            }
            Wrapping::Records(records) => {
                let start = self.clear.len();
                write(&mut self.clear);
                if start > 0 && self.clear.len() > records.clear_bytes_max {
                    records.seal(&self.clear[..start], &mut self.out)?;
                    self.clear.drain(..start);
                }
            }
        }
        Ok(())
    }

    /// All that is to be sent now; it is for the caller to clear.
    ///
    /// # Errors
    /// When it does not fit.
    pub(crate) fn sealed(&mut self) -> Result<&mut Vec<u8>> {
        if let Wrapping::Records(records) = &mut self.wrapping
            && !self.clear.is_empty()
        {
            records.seal(&self.clear, &mut self.out)?;
            self.clear.clear();
        }
        Ok(&mut self.out)
    }

    /// Moves what is whole from `raw` to `plain`.
    ///
    /// # Errors
    /// When the server breaks a rule or closes.
    pub(crate) fn open(&mut self, raw: &mut BytesMut, plain: &mut BytesMut) -> Result<()> {
        match &mut self.wrapping {
            Wrapping::None => Ok(()),
            Wrapping::WebSocket => websocket::decode(raw, plain, &mut self.out),
            Wrapping::Records(records) => records.open(raw, plain),
        }
    }
}
