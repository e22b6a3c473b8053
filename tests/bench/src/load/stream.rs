//! One socket, with or without TLS.

use anyhow::{Context, Result};
use bytes::BytesMut;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

/// Opens connections to one listener.
pub(crate) struct Dialler {
    server: SocketAddr,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Dialler {
    /// To `server`, over TLS where there is a certificate to trust.
    ///
    /// # Errors
    /// When the certificate is not to be read.
    pub(crate) fn new(server: SocketAddr, certificate: Option<&Path>) -> Result<Self> {
        let tls = certificate.map(|path| {
            let certificate = CertificateDer::from_pem_file(path)
                .with_context(|| format!("reading the certificate in {}", path.display()))?;
            let mut roots = RootCertStore::empty();
            roots.add(certificate)?;
            let config = ClientConfig::builder()
                .with_root_certificates(roots)
                .with_no_client_auth();
            anyhow::Ok((
                TlsConnector::from(Arc::new(config)),
                ServerName::from(server.ip()),
            ))
        });
        Ok(Dialler {
            server,
            tls: tls.transpose()?,
        })
    }

    /// Connects, from a local address if one is given.
    ///
    /// # Errors
    /// When nobody listens, or proves to be who was expected.
    pub(crate) async fn dial(&self, from: Option<Ipv4Addr>) -> Result<Stream> {
        let socket = TcpSocket::new_v4()?;
        if let Some(from) = from {
            socket.set_reuseaddr(true)?;
            socket.bind(SocketAddr::new(IpAddr::V4(from), 0))?;
        }
        let stream = socket
            .connect(self.server)
            .await
            .with_context(|| format!("connecting to {}", self.server))?;
        stream.set_nodelay(true)?;
        Ok(match &self.tls {
            None => Stream::Tcp(stream),
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await;
                Stream::Tls(Box::new(stream.context("shaking hands over TLS")?))
            }
        })
    }
}

/// A connected socket.
pub(crate) enum Stream {
    /// Bare.
    Tcp(TcpStream),
    /// Inside TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Reads once, at the buffer's end; cancelling it loses nothing.
    ///
    /// # Errors
    /// When the server has closed.
    pub(crate) async fn read(&mut self, buffer: &mut BytesMut) -> Result<()> {
        let count = match self {
            Stream::Tcp(stream) => stream.read_buf(buffer).await,
            Stream::Tls(stream) => stream.read_buf(buffer).await,
        };
        let count = count.context("reading")?;
        anyhow::ensure!(count > 0, "the server closed the connection");
        Ok(())
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// When the server has closed.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Stream::Tcp(stream) => stream.write_all(bytes).await,
            Stream::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
        }
        .context("writing")
    }

    /// Whether the server has closed the connection; what it sent is thrown away.
    pub(crate) fn is_gone(&self) -> bool {
        let tcp = match self {
            Stream::Tcp(stream) => stream,
            Stream::Tls(stream) => stream.get_ref().0,
        };
        let mut thrown_away = [0; 4096];
        loop {
            match tcp.try_read(&mut thrown_away) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
            }
        }
    }
}
