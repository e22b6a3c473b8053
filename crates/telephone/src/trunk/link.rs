//! How messages get to the trunk and back: datagrams, or one connection that is made when it is needed.

use crate::{
    error::Error,
    sip::{
        message::{Framer, MESSAGE_BYTES_MAX, Message},
        requests::Transport,
    },
    trunk::unspecified,
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    sync::mpsc,
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// How long a connection may take to be made, encryption and all.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(8);
/// How long the server may take to accept what is sent.
const WRITE_TIME_MAX: Duration = Duration::from_secs(8);
/// Messages that may wait for the connection.
const WAITING_MAX: usize = 64;
/// How much is read at once.
const READ_BYTES: usize = 4_096;

/// The way to the trunk.
pub(super) enum Link {
    Datagrams(UdpSocket),
    Connection(Box<Connection>),
}

/// One connection at a time, to the server.
pub(super) struct Connection {
    /// For an encrypted one: by which certificates, and whom we want to find there.
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// Where to send what is to be written; none while there is no connection.
    writer: Option<mpsc::Sender<Vec<u8>>>,
    events: mpsc::Sender<LinkEvent>,
    received: mpsc::Receiver<LinkEvent>,
    /// Whether it has been made.
    is_up: bool,
    /// Which connection is meant, as events of an earlier one may still wait.
    generation: u64,
}

/// What the way brings.
pub(super) enum LinkEvent {
    /// The connection of this generation is there, from this address of ours.
    Up { generation: u64, local: SocketAddr },
    /// A message.
    Message(Box<Message>, SocketAddr),
    /// The connection of this generation is gone, and why.
    Down { generation: u64, why: String },
}

impl Link {
    pub(super) async fn open(
        transport: Transport,
        host: &str,
        server: SocketAddr,
        roots: Option<&[u8]>,
    ) -> Result<Self, Error> {
        if transport == Transport::Udp {
            let socket = UdpSocket::bind(unspecified(server))
                .await
                .map_err(Error::Socket)?;
            return Ok(Link::Datagrams(socket));
        }
        let tls = match transport {
            Transport::Tls => {
                let name = ServerName::try_from(host.to_owned())
                    .map_err(|_| Error::Server(host.into()))?;
                Some((tls_connector(roots)?, name))
            }
            _ => None,
        };
        let (events, received) = mpsc::channel(WAITING_MAX);
        Ok(Link::Connection(Box::new(Connection {
            tls,
            writer: None,
            events,
            received,
            is_up: false,
            generation: 0,
        })))
    }

    /// The number that we listen at, where that is known before anything is sent.
    pub(super) fn udp_port(&self) -> io::Result<u16> {
        match self {
            Link::Datagrams(socket) => Ok(socket.local_addr()?.port()),
            Link::Connection(_) => Ok(0),
        }
    }

    /// Whether something can be sent at once. A connection that is not there is begun, and tells when it is.
    pub(super) fn ready(&mut self, server: SocketAddr) -> bool {
        match self {
            Link::Datagrams(_) => true,
            Link::Connection(connection) => {
                if connection.writer.is_none() {
                    connection.connect(server);
                }
                connection.is_up
            }
        }
    }

    /// Lets a connection go that nothing comes back by: it may have died without a word, and another is made when
    /// something is to be sent. Says whether there was one; nothing tells of its end then.
    pub(super) fn renew(&mut self) -> bool {
        match self {
            Link::Connection(connection) => {
                connection.is_up = false;
                connection.generation += 1;
                connection.writer.take().is_some()
            }
            Link::Datagrams(_) => false,
        }
    }

    /// Sends bytes. An error says that they cannot be sent, and not that they were lost, which may always happen. A
    /// connection that breaks is told of by [`Link::next`].
    pub(super) async fn send(
        &mut self,
        to: SocketAddr,
        server: SocketAddr,
        bytes: &[u8],
    ) -> Result<(), String> {
        if to.ip().is_unspecified() {
            // To the kernel, that would be this very machine.
            return Err("the address of the server is not known".into());
        }
        match self {
            Link::Datagrams(socket) => match socket.send_to(bytes, to).await {
                Err(error) if is_lasting(&error) => Err(error.to_string()),
                _ => Ok(()),
            },
            Link::Connection(connection) => {
                if connection.writer.is_none() {
                    connection.connect(server);
                }
                let writer = connection.writer.as_ref();
                match writer.map(|it| it.try_send(bytes.to_vec())) {
                    Some(Err(mpsc::error::TrySendError::Full(_))) => {
                        Err("the server takes nothing any more".into())
                    }
                    // Where it is closed, the break is still to be told of.
                    _ => Ok(()),
                }
            }
        }
    }

    /// What comes next. Cancel-safe.
    pub(super) async fn next(&mut self, buffer: &mut [u8]) -> LinkEvent {
        match self {
            Link::Datagrams(socket) => loop {
                // An error tells of what was sent before, which has its own time to be given up.
                if let Ok((count, source)) = socket.recv_from(buffer).await
                    && let Ok(message) = Message::parse(&buffer[..count])
                {
                    return LinkEvent::Message(Box::new(message), source);
                }
            },
            Link::Connection(connection) => loop {
                let event = match connection.received.recv().await {
                    Some(event) => event,
                    // We hold a sender ourselves.
                    None => std::future::pending().await,
                };
                match &event {
                    LinkEvent::Down { generation, .. } | LinkEvent::Up { generation, .. }
                        if *generation != connection.generation => {}
                    LinkEvent::Down { .. } => {
                        connection.writer = None;
                        connection.is_up = false;
                        return event;
                    }
                    LinkEvent::Up { .. } => {
                        connection.is_up = true;
                        return event;
                    }
                    LinkEvent::Message(..) => return event,
                }
            },
        }
    }
}

/// Whether trying again at once is of no use.
fn is_lasting(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::AddrNotAvailable
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::InvalidInput
    )
}

impl Connection {
    fn connect(&mut self, server: SocketAddr) {
        self.generation += 1;
        let (writer, to_write) = mpsc::channel(WAITING_MAX);
        self.writer = Some(writer);
        let (tls, events, generation) = (self.tls.clone(), self.events.clone(), self.generation);
        tokio::spawn(async move {
            let why = match carry(server, tls, to_write, &events, generation).await {
                Ok(()) => "the server closed the connection".into(),
                Err(error) => error.to_string(),
            };
            let _ = events.send(LinkEvent::Down { generation, why }).await;
        });
    }
}

/// A stream of bytes, encrypted or not.
trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytes for T {}

/// A connection's whole life.
async fn carry(
    server: SocketAddr,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    to_write: mpsc::Receiver<Vec<u8>>,
    events: &mpsc::Sender<LinkEvent>,
    generation: u64,
) -> io::Result<()> {
    let connected = timeout(CONNECT_TIME_MAX, connect(server, tls)).await;
    let (stream, local) = connected.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let up = LinkEvent::Up { generation, local };
    if events.send(up).await.is_err() {
        return Ok(());
    }
    exchange(stream, server, to_write, events).await
}

async fn connect(
    server: SocketAddr,
    tls: Option<(TlsConnector, ServerName<'static>)>,
) -> io::Result<(Box<dyn Bytes>, SocketAddr)> {
    let stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    let local = stream.local_addr()?;
    Ok(match tls {
        None => (Box::new(stream), local),
        Some((connector, name)) => (Box::new(connector.connect(name, stream).await?), local),
    })
}

/// Reads messages and writes what is to be, until either side has had enough.
async fn exchange(
    stream: Box<dyn Bytes>,
    server: SocketAddr,
    mut to_write: mpsc::Receiver<Vec<u8>>,
    events: &mpsc::Sender<LinkEvent>,
) -> io::Result<()> {
    let (mut reading, mut writing) = tokio::io::split(stream);
    let write = async {
        while let Some(bytes) = to_write.recv().await {
            timeout(WRITE_TIME_MAX, writing.write_all(&bytes))
                .await
                .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            writing.flush().await?;
        }
        Ok(())
    };
    let read = async {
        let mut framer = Framer::default();
        let mut buffer = [0; READ_BYTES];
        loop {
            let count = reading.read(&mut buffer).await?;
            if count == 0 {
                return Ok(());
            }
            framer.push(&buffer[..count]);
            let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
            while let Some(message) = framer.next_message().map_err(invalid)? {
                let event = LinkEvent::Message(Box::new(message), server);
                if events.send(event).await.is_err() {
                    return Ok(());
                }
            }
        }
    };
    tokio::select! {
        outcome = write => outcome,
        outcome = read => outcome,
    }
}

fn tls_connector(roots: Option<&[u8]>) -> Result<TlsConnector, Error> {
    let mut store = RootCertStore::empty();
    match roots {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|error| Error::Roots(error.to_string()))?;
                let added = store.add(certificate);
                added.map_err(|error| Error::Roots(error.to_string()))?;
            }
        }
        None => {
            // One that cannot be read does not spoil the others.
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if store.is_empty() {
        return Err(Error::Roots("there are none".into()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Roots(error.to_string()))?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Room for the longest message.
pub(super) fn buffer() -> Vec<u8> {
    vec![0; MESSAGE_BYTES_MAX]
}
