//! A client's socket that is given up when it takes nothing of an answer for too long.
//!
//! hyper bounds how long a request may take to come, and not how long an answer may take to leave:
//! a client that never reads would keep its place, and the files and buffers that go with it, for
//! ever.

use std::{
    io::{self, ErrorKind, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};

/// The socket and the time it has left.
pub(super) struct ImpatientStream {
    stream: TcpStream,
    patience: Duration,
    /// Runs while the socket takes nothing.
    give_up: Option<Pin<Box<Sleep>>>,
}

impl ImpatientStream {
    /// A socket that may take nothing for so long.
    pub(super) fn new(stream: TcpStream, patience: Duration) -> Self {
        ImpatientStream {
            stream,
            patience,
            give_up: None,
        }
    }

    /// The bare socket.
    pub(super) fn into_inner(self) -> TcpStream {
        self.stream
    }

    /// What the socket said, or a failure once it has blocked for too long.
    fn judge<T>(&mut self, cx: &mut Context<'_>, said: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if said.is_ready() {
            self.give_up = None;
            return said;
        }
        let patience = self.patience;
        let give_up = self
            .give_up
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + patience)));
        ready!(give_up.as_mut().poll(cx));
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for ImpatientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for ImpatientStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let said = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.judge(cx, said)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let said = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.judge(cx, said)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
