//! A tool's WebSocket within TLS.

use super::WebWire;
use crate::tls::Session;
use switchyard_protocol::Code;

/// One tool's WebSocket, and the TLS session around it.
#[derive(Debug)]
pub(crate) struct TlsWire {
    session: Session,
    pub(super) web: WebWire,
}

impl TlsWire {
    /// A WebSocket on a session whose handshake is over.
    pub(crate) fn new(session: Session, web: WebWire) -> Self {
        TlsWire { session, web }
    }

    /// See [`Wire::decrypt`](super::Wire::decrypt).
    ///
    /// # Errors
    /// The code under which the link ends.
    pub(super) fn open(&mut self, bytes: &mut [u8], plain: &mut Vec<u8>) -> Result<(), Code> {
        self.session.open(bytes, plain).map_err(|fault| {
            tracing::debug!(%fault, "a TLS connection ends");
            fault.code()
        })
    }

    /// Seals one message, made of `batch` as [`WebWire::wrap`] does, to the end of `wire`.
    ///
    /// # Errors
    /// The code under which the link ends.
    pub(super) fn wrap(&mut self, batch: &mut Vec<u8>, wire: &mut Vec<u8>) -> Result<(), Code> {
        let from = self.web.wrap(batch);
        self.session.seal(&batch[from..], wire)?;
        if self.web.has_closed() {
            // After a close frame nothing follows, and TLS says the same in its words.
            self.session.close();
            self.session.take_output(wire);
        }
        Ok(())
    }

    /// Whether something has to go out although there is no frame.
    pub(super) fn has_control(&self) -> bool {
        self.session.has_output() || self.web.has_control() && !self.session.is_closed()
    }

    /// See [`Wire::say_goodbye`](super::Wire::say_goodbye).
    pub(super) fn say_goodbye(&mut self) -> bool {
        !self.session.is_closed() && self.web.say_goodbye()
    }
}
