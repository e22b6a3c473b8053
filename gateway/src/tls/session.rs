//! One TLS connection without a socket: bytes in, bytes out.
//!
//! rustls is used in its unbuffered form, which keeps no buffers of its own: what is not a whole
//! record yet lies in [`Session`] while it is incomplete, and an idle connection holds nothing but
//! its keys. The same session serves HTTP at first and the yard after a WebSocket's upgrade, so
//! moving from one to the other moves a value and cannot lose a byte.

use rustls::{
    Error, InvalidMessage, ServerConfig,
    server::UnbufferedServerConnection,
    unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus},
};
use std::sync::Arc;
use switchyard_protocol::Code;

/// What may wait for the rest of a record, or of a handshake message in several records. One record
/// has at most 18 KiB, and a client's longest message without a certificate two or three.
const HELD_BYTES_MAX: usize = 32 * 1024;
/// More than a record's head, explicit nonce, padding and tag come to.
const RECORD_OVERHEAD_MAX: usize = 64;
/// Plain bytes in one record.
const RECORD_PLAIN_BYTES_MAX: usize = 16 * 1024;

/// Why a TLS connection ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The peer said that it closes; a clean end.
    #[error("the peer has closed")]
    Closed,
    /// It broke the protocol, or no common ground was found. What is to be said about that lies
    /// ready as output.
    #[error(transparent)]
    Broken(#[from] Error),
    /// It sent a handshake message beyond all measure.
    #[error("expected a handshake message of at most 32 KiB")]
    TooLong,
}

impl Fault {
    /// The code under which a live link ends by this.
    pub(crate) fn code(&self) -> Code {
        match self {
            Fault::Closed | Fault::Broken(Error::AlertReceived(_)) => Code::LinkLost,
            Fault::Broken(Error::DecryptError) => Code::BadRecord,
            Fault::Broken(_) | Fault::TooLong => Code::Malformed,
        }
    }
}

/// The gateway's end of one TLS connection.
pub(crate) struct Session {
    tls: UnbufferedServerConnection,
    /// What came and is not whole yet.
    held: Vec<u8>,
    /// Records that TLS itself has made: its handshake, alerts, tickets.
    output: Vec<u8>,
    /// The last word is said, or nothing that we could say would be understood.
    is_closed: bool,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Session(***)")
    }
}

impl Session {
    /// A connection that waits for its client's first word.
    ///
    /// # Errors
    /// When the configuration contradicts itself.
    pub(crate) fn new(config: Arc<ServerConfig>) -> Result<Self, Error> {
        Ok(Session {
            tls: UnbufferedServerConnection::new(config)?,
            held: Vec::new(),
            output: Vec::new(),
            is_closed: false,
        })
    }

    /// Whether it is not agreed yet how to go on.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// Takes all of `bytes`, which are decrypted where they lie, and appends what they say to `plain`.
    ///
    /// # Errors
    /// Why nothing more will come; what came before stands in `plain` all the same.
    pub(crate) fn open(&mut self, bytes: &mut [u8], plain: &mut Vec<u8>) -> Result<(), Fault> {
        if self.is_closed {
            return Err(Fault::Closed);
        }
        let outcome = if self.held.is_empty() {
            let (used, outcome) = process(&mut self.tls, bytes, plain, &mut self.output);
            self.held.extend_from_slice(&bytes[used..]);
            outcome
        } else {
            self.held.extend_from_slice(bytes);
            let (used, outcome) = process(&mut self.tls, &mut self.held, plain, &mut self.output);
            self.held.drain(..used);
            outcome
        };
        if self.held.is_empty() {
            self.held = Vec::new();
        }
        let fault = match outcome {
            Ok(false) if self.held.len() > HELD_BYTES_MAX => Fault::TooLong,
            Ok(false) => return Ok(()),
            Ok(true) => {
                self.close();
                return Err(Fault::Closed);
            }
            Err(error) => {
                self.take_farewell();
                Fault::Broken(error)
            }
        };
        self.is_closed = true;
        self.held = Vec::new();
        Err(fault)
    }

    /// Takes over what rustls has to say about a fault. It must not see what caused it again.
    fn take_farewell(&mut self) {
        while self.tls.wants_write() {
            let status = self.tls.process_tls_records(&mut []);
            let Ok(ConnectionState::EncodeTlsData(mut data)) = status.state else {
                return;
            };
            if append(&mut data, &mut self.output).is_err() {
                return;
            }
        }
    }

    /// Whether TLS itself has something to say.
    pub(crate) fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// Appends what TLS itself has to say to `wire`.
    pub(crate) fn take_output(&mut self, wire: &mut Vec<u8>) {
        if !self.output.is_empty() {
            wire.extend_from_slice(&self.output);
            self.output = Vec::new();
        }
    }

    /// Gives back sealed bytes that have not left: they go out before anything else.
    pub(crate) fn put_back(&mut self, sealed: &[u8]) {
        self.output.splice(..0, sealed.iter().copied());
    }

    /// Appends what TLS itself has to say, and then `plain` in records, to `wire`. Once the session
    /// is closed, what would come after the last word is left out.
    ///
    /// # Errors
    /// When the keys have carried all that they may, or the handshake is not over.
    pub(crate) fn seal(&mut self, plain: &[u8], wire: &mut Vec<u8>) -> Result<(), Code> {
        self.take_output(wire);
        if plain.is_empty() || self.is_closed {
            return Ok(());
        }
        let records = plain.len() / RECORD_PLAIN_BYTES_MAX + 1;
        let mut room = plain.len() + records * RECORD_OVERHEAD_MAX;
        self.write(wire, |traffic, wire| {
            let start = wire.len();
            loop {
                wire.resize(start + room, 0);
                match traffic.encrypt(plain, &mut wire[start..]) {
                    Ok(bytes) => {
                        wire.truncate(start + bytes);
                        return Ok(());
                    }
                    // A change of keys goes out in the same breath.
                    Err(EncryptError::InsufficientSize(wanted)) if wanted.required_size > room => {
                        room = wanted.required_size;
                    }
                    Err(_) => {
                        wire.truncate(start);
                        return Err(Code::LinkLost);
                    }
                }
            }
        })
    }

    /// Says the last word, unless that has been done: it lies ready as output.
    pub(crate) fn close(&mut self) {
        if std::mem::replace(&mut self.is_closed, true) {
            return;
        }
        let mut output = std::mem::take(&mut self.output);
        let _ = self.write(&mut output, |traffic, output| {
            let start = output.len();
            output.resize(start + 2 * RECORD_OVERHEAD_MAX, 0);
            let bytes = traffic.queue_close_notify(&mut output[start..]);
            output.truncate(start + bytes.as_ref().map_or(0, |bytes| *bytes));
            bytes.map(|_| ()).map_err(|_| Code::LinkLost)
        });
        self.output = output;
        self.held = Vec::new();
    }

    /// Whether the last word has been said, or there is nobody to say it to.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Does something in the state in which rustls lets one write.
    fn write(
        &mut self,
        wire: &mut Vec<u8>,
        mut work: impl FnMut(&mut WriteTraffic<'_>, &mut Vec<u8>) -> Result<(), Code>,
    ) -> Result<(), Code> {
        loop {
            // What is held goes in again, since rustls may have begun to work on it; nothing of it
            // is whole, or it would have been used when it came.
            let UnbufferedStatus { discard, state } = self.tls.process_tls_records(&mut self.held);
            match state.map_err(|_| Code::LinkLost)? {
                ConnectionState::WriteTraffic(mut traffic) => return work(&mut traffic, wire),
                ConnectionState::EncodeTlsData(mut data) => append(&mut data, wire)?,
                ConnectionState::TransmitTlsData(sent) => sent.done(),
                ConnectionState::PeerClosed => {}
                _ => return Err(Code::LinkLost),
            }
            self.held.drain(..discard);
        }
    }
}

type Data = rustls::server::ServerConnectionData;
type WriteTraffic<'c> = rustls::unbuffered::WriteTraffic<'c, Data>;

/// Appends a record that rustls has made to `wire`.
fn append(
    data: &mut rustls::unbuffered::EncodeTlsData<'_, Data>,
    wire: &mut Vec<u8>,
) -> Result<(), Code> {
    let start = wire.len();
    let Err(EncodeError::InsufficientSize(wanted)) = data.encode(&mut []) else {
        return Err(Code::Internal);
    };
    wire.resize(start + wanted.required_size, 0);
    data.encode(&mut wire[start..])
        .map_err(|_| Code::Internal)?;
    Ok(())
}

/// Has rustls work through `bytes` as far as they are whole. Gives how many are done with, and
/// whether the peer has closed.
fn process(
    tls: &mut UnbufferedServerConnection,
    bytes: &mut [u8],
    plain: &mut Vec<u8>,
    output: &mut Vec<u8>,
) -> (usize, Result<bool, Error>) {
    let (mut at, mut has_closed) = (0, false);
    loop {
        let status = tls.process_tls_records(&mut bytes[at..]);
        let mut discard = status.discard;
        let (is_done, outcome) = match status.state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
                match traffic.next_record() {
                    Some(Ok(record)) => {
                        discard += record.discard;
                        plain.extend_from_slice(record.payload);
                    }
                    Some(Err(error)) => break (true, Err(error)),
                    None => break (false, Ok(())),
                }
            },
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                let appended = append(&mut data, output);
                (
                    false,
                    appended.map_err(|_| InvalidMessage::InvalidEmptyPayload.into()),
                )
            }
            // It is kept until it has been written.
            Ok(ConnectionState::TransmitTlsData(sent)) => {
                sent.done();
                (false, Ok(()))
            }
            Ok(ConnectionState::PeerClosed) => {
                has_closed = true;
                (false, Ok(()))
            }
            Ok(_) => (true, Ok(())),
            Err(error) => (true, Err(error)),
        };
        at += discard;
        if let Err(error) = outcome {
            return (at, Err(error));
        }
        if is_done {
            return (at, Ok(has_closed));
        }
    }
}
