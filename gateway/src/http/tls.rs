//! TLS around a client's socket while HTTP is spoken on it.

use super::stream::ImpatientStream;
use crate::tls::{Fault, Session, Tls};
use std::{
    io::{self, ErrorKind},
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::TcpStream,
};

/// One read of the socket.
const READ_BYTES: usize = 8 * 1024;
/// Plain bytes that are sealed at once.
const SEAL_BYTES_MAX: usize = 16 * 1024;
/// To a client that speaks HTTP without TLS.
const PLAIN_HTTP_ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    content-type: text/plain; charset=utf-8\r\ncontent-length: 40\r\nconnection: close\r\n\r\n\
    This is an HTTPS port: say https or wss\n";

/// A client's socket, and TLS on it.
pub(super) struct TlsStream {
    socket: ImpatientStream,
    session: Session,
    /// What was decrypted and not read yet: `plain[plain_at..]`.
    plain: Vec<u8>,
    plain_at: usize,
    /// What was sealed and not written yet: `sealed[sealed_at..]`.
    sealed: Vec<u8>,
    sealed_at: usize,
    /// Why nothing more comes, once what was decrypted has been read.
    ending: Option<io::Result<()>>,
}

impl TlsStream {
    /// Agrees with the client how to go on.
    ///
    /// # Errors
    /// Why that came to nothing; the client has been told as far as it would listen.
    pub(super) async fn accept(socket: ImpatientStream, tls: &Tls) -> io::Result<Self> {
        let session = tls.session().map_err(io::Error::other)?;
        let mut stream = TlsStream {
            socket,
            session,
            plain: Vec::new(),
            plain_at: 0,
            sealed: Vec::new(),
            sealed_at: 0,
            ending: None,
        };
        // On the heap: the task that awaits here lives as long as the connection.
        let mut bytes = vec![0; READ_BYTES];
        let mut is_first = true;
        while stream.session.is_handshaking() {
            let count = stream.socket.read(&mut bytes).await?;
            if count == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let speaks_http = is_first && bytes[0].is_ascii_uppercase();
            is_first = false;
            if speaks_http {
                stream.socket.write_all(PLAIN_HTTP_ANSWER).await?;
                stream.socket.shutdown().await?;
                // Closing with unread bytes in hand would reset the connection under these words.
                while stream.socket.read(&mut bytes).await? > 0 {}
                return Err(io::Error::new(ErrorKind::InvalidData, "HTTP without TLS"));
            }
            let outcome = stream.session.open(&mut bytes[..count], &mut stream.plain);
            let flushed = stream.flush().await;
            outcome.map_err(|fault| io::Error::new(ErrorKind::InvalidData, fault))?;
            flushed?;
        }
        Ok(stream)
    }

    /// The bare socket, its session, and what was decrypted and not read yet.
    pub(super) fn into_parts(mut self) -> (TcpStream, Session, Vec<u8>) {
        self.session.put_back(&self.sealed[self.sealed_at..]);
        self.plain.drain(..self.plain_at);
        (self.socket.into_inner(), self.session, self.plain)
    }

    /// Writes what is sealed.
    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.session.take_output(&mut self.sealed);
        while self.sealed_at < self.sealed.len() {
            let sealed = &self.sealed[self.sealed_at..];
            match ready!(Pin::new(&mut self.socket).poll_write(cx, sealed))? {
                0 => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                count => self.sealed_at += count,
            }
        }
        self.sealed = Vec::new();
        self.sealed_at = 0;
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            let plain = &this.plain[this.plain_at..];
            if !plain.is_empty() {
                let count = plain.len().min(buffer.remaining());
                buffer.put_slice(&plain[..count]);
                this.plain_at += count;
                if this.plain_at == this.plain.len() {
                    this.plain = Vec::new();
                    this.plain_at = 0;
                }
                return Poll::Ready(Ok(()));
            }
            match &this.ending {
                None => {}
                Some(Ok(())) => return Poll::Ready(Ok(())),
                Some(Err(error)) => return Poll::Ready(Err(error.kind().into())),
            }
            let mut bytes = [0; READ_BYTES];
            let mut read = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut this.socket).poll_read(cx, &mut read))?;
            let bytes = read.filled_mut();
            this.ending = match bytes.len() {
                // Cut off, as far as TLS can tell; what that means is HTTP's to judge.
                0 => Some(Ok(())),
                _ => match this.session.open(bytes, &mut this.plain) {
                    Ok(()) => None,
                    Err(Fault::Closed) => Some(Ok(())),
                    Err(fault) => Some(Err(io::Error::new(ErrorKind::InvalidData, fault))),
                },
            };
            // What cannot leave now goes before the next thing that is written.
            if let Poll::Ready(Err(error)) = this.poll_write_out(cx) {
                return Poll::Ready(Err(error));
            }
        }
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_write_out(cx))?;
        if self.session.is_closed() {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        let this = &mut *self;
        let count = bytes.len().min(SEAL_BYTES_MAX);
        this.session
            .seal(&bytes[..count], &mut this.sealed)
            .map_err(|_| ErrorKind::BrokenPipe)?;
        match this.poll_write_out(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            // What is sealed is taken: it goes out with the next write or flush.
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(count)),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_write_out(cx))?;
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.session.close();
        ready!(self.poll_write_out(cx))?;
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// A client's socket, with or without TLS on it.
pub(super) enum Socket {
    Plain(ImpatientStream),
    Tls(Box<TlsStream>),
}

impl Socket {
    /// The bare socket, the TLS session on it, and what was decrypted and not read yet.
    pub(super) fn into_parts(self) -> (TcpStream, Option<Session>, Vec<u8>) {
        match self {
            Socket::Plain(stream) => (stream.into_inner(), None, Vec::new()),
            Socket::Tls(stream) => {
                let (socket, session, plain) = stream.into_parts();
                (socket, Some(session), plain)
            }
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Socket::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Socket::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Socket::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        matches!(self, Socket::Plain(stream) if stream.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Socket::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
