//! A TCP stream that counts the bytes that it sends, for accurate figures of the cost of a request on the wire: including
//! HTTP/2 and gRPC framing, without TCP/IP headers.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// The bytes that one or more connections have sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct WireCounters {
    sent: Arc<AtomicU64>,
}

impl WireCounters {
    /// Returns the number of bytes sent so far.
    #[cfg(feature = "send")]
    pub(crate) fn sent_bytes(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

/// The counting stream.
#[derive(Debug)]
pub(crate) struct CountedStream {
    stream: TcpStream,
    counters: WireCounters,
}

impl CountedStream {
    pub(crate) fn new(stream: TcpStream, counters: WireCounters) -> Self {
        Self { stream, counters }
    }
}

impl AsyncRead for CountedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for CountedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(count)) = poll {
            self.counters.sent.fetch_add(count as u64, Ordering::Relaxed);
        }
        poll
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
