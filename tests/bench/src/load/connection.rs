//! One peer's connection: a socket with a driver on it; reads and writes are batched.

use super::{
    Link, OPENING_PATIENCE,
    driver::{Driver, Event},
    envelope::{Envelope, Wrapping},
    http,
    noise::{Opening, Records},
    roster::{Peer, Role, Roster},
    stream::Stream,
};
use anyhow::{Context, Result};
use bytes::BytesMut;
use std::{net::Ipv4Addr, sync::Arc};
use switchyard_protocol::{Frame, limits, message::HelloReply};

const READ_BYTES: usize = 16 * 1024;

/// A connected and registered peer.
pub(crate) struct Connection<D> {
    stream: Stream,
    driver: D,
    peer: Peer,
    /// As it came, where it is wrapped; else it goes straight into `plain`.
    raw: BytesMut,
    plain: BytesMut,
    envelope: Envelope,
}

impl<D: Driver> Connection<D> {
    /// Connects (from a local address, if one is given), registers the peer, and waits until the
    /// server says that it is there. It will be told the status of the `watched` controllers.
    ///
    /// # Errors
    /// When that fails or takes too long.
    pub(crate) async fn open(
        roster: &Arc<Roster>,
        peer: Peer,
        from: Option<Ipv4Addr>,
        watched: &[usize],
    ) -> Result<Self> {
        let opening = Self::open_without_end(roster, peer, from, watched);
        tokio::time::timeout(OPENING_PATIENCE, opening)
            .await
            .unwrap_or_else(|_| {
                let seconds = OPENING_PATIENCE.as_secs();
                Err(anyhow::anyhow!("not registered within {seconds} s"))
            })
            .with_context(|| format!("opening {peer:?}"))
    }

    async fn open_without_end(
        roster: &Arc<Roster>,
        peer: Peer,
        from: Option<Ipv4Addr>,
        watched: &[usize],
    ) -> Result<Self> {
        let mut raw = BytesMut::new();
        let (stream, wrapping, reply) = match peer.role {
            Role::Operator => {
                let mut stream = roster.to_operators.dial(from).await?;
                let (path, subprotocol) = (D::WEBSOCKET_PATH, D::SUBPROTOCOL);
                http::upgrade(&mut stream, &roster.authority, path, subprotocol, &mut raw).await?;
                (stream, Wrapping::WebSocket, None)
            }
            Role::Controller if D::IS_ENROLLED && roster.link == Link::Noise => {
                let opening = Opening::new(roster.address(peer), roster.key(peer.index)?)?;
                let mut stream = roster.to_controllers.dial(from).await?;
                let (records, reply) = shake_hands(&mut stream, opening, &mut raw).await?;
                (stream, Wrapping::Records(records), Some(reply))
            }
            Role::Controller => {
                let stream = roster.to_controllers.dial(from).await?;
                (stream, Wrapping::None, None)
            }
        };
        let mut connection = Connection {
            stream,
            driver: D::new(roster, peer),
            peer,
            raw,
            plain: BytesMut::new(),
            envelope: Envelope::new(wrapping),
        };
        let Connection {
            driver, envelope, ..
        } = &mut connection;
        driver.greet(reply.as_ref(), watched, envelope)?;
        connection.flush().await?;
        connection.unwrap()?;
        loop {
            while let Some(event) = connection.next()? {
                if event == Event::Ready {
                    connection.flush().await?;
                    return Ok(connection);
                }
            }
            connection.flush().await?;
            connection.fill().await?;
        }
    }

    /// Who this is.
    pub(crate) fn peer(&self) -> Peer {
        self.peer
    }

    /// Writes a controller's next status; [`flush`](Self::flush) sends it.
    ///
    /// # Errors
    /// When it does not fit.
    pub(crate) fn status(&mut self, sequence: u32) -> Result<()> {
        self.driver.status(sequence, &mut self.envelope)
    }

    /// Writes an operator's command to a controller; [`flush`](Self::flush) sends it.
    ///
    /// # Errors
    /// When it does not fit.
    pub(crate) fn command(&mut self, controller: usize, slot: u32) -> Result<()> {
        self.driver.command(controller, slot, &mut self.envelope)
    }

    /// Sends all that is written, with one write.
    ///
    /// # Errors
    /// When the server is gone.
    pub(crate) async fn flush(&mut self) -> Result<()> {
        let out = self.envelope.sealed()?;
        if !out.is_empty() {
            self.stream.write(out).await?;
            out.clear();
        }
        Ok(())
    }

    /// Reads once; cancelling it loses nothing.
    ///
    /// # Errors
    /// When the server is gone.
    pub(crate) async fn fill(&mut self) -> Result<()> {
        let buffer = if self.envelope.is_wrapped() {
            &mut self.raw
        } else {
            &mut self.plain
        };
        buffer.reserve(READ_BYTES);
        self.stream.read(buffer).await?;
        self.unwrap()
    }

    /// The next event of what has been read. What the server asks is answered by itself, with the
    /// next [`flush`](Self::flush).
    ///
    /// # Errors
    /// When the server says what it should not.
    pub(crate) fn next(&mut self) -> Result<Option<Event>> {
        self.driver.read(&mut self.plain, &mut self.envelope)
    }

    fn unwrap(&mut self) -> Result<()> {
        if self.envelope.is_wrapped() {
            self.envelope.open(&mut self.raw, &mut self.plain)
        } else {
            self.plain.unsplit(self.raw.split());
            Ok(())
        }
    }

    /// Keeps nothing but the socket.
    pub(crate) fn into_stream(self) -> Stream {
        self.stream
    }
}

async fn shake_hands(
    stream: &mut Stream,
    opening: Opening,
    raw: &mut BytesMut,
) -> Result<(Records, HelloReply)> {
    stream.write(&opening.bytes).await?;
    loop {
        stream.read(raw).await?;
        if let Some(answer) = Frame::decode(raw, limits::PAYLOAD_BYTES_MAX)? {
            return opening.finish(&answer);
        }
    }
}
