//! Combines small writes into fewer, larger ones.
//!
//! An HTTP/2 response consists of a header, data and trailers. The protocol library writes them one by one as
//! they become available, and a system call for each would cost more than everything else in a small response.
//! Writes are therefore buffered. The first flush only schedules the task's next poll, in which the output that
//! other tasks have produced by then is also written; the flush in that poll sends everything. Timers are not
//! involved. A large response consists of many frames, between which the library also flushes, all in one poll;
//! therefore [`PollCounter`] counts polls.

use std::{
    future::{Future, poll_fn},
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Maximum number of bytes that are buffered without a flush.
const BUFFER_LIMIT_BYTES: usize = 256 << 10;
/// Capacity to which the buffer shrinks after it was larger.
const RETAINED_BYTES: usize = 64 << 10;

/// The number of polls of a connection's task.
#[derive(Debug, Clone, Default)]
pub(crate) struct PollCounter(Arc<AtomicU64>);

impl PollCounter {
    /// Returns the number of the current poll.
    pub(crate) fn current(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Counts the polls of a future.
    pub(crate) async fn count_polls<F: Future>(&self, future: F) -> F::Output {
        let mut future = std::pin::pin!(future);
        poll_fn(|context| {
            self.0.fetch_add(1, Relaxed);
            future.as_mut().poll(context)
        })
        .await
    }
}

/// A stream with buffered writes.
#[derive(Debug)]
pub(crate) struct CorkedStream<S> {
    stream: S,
    buffer: Vec<u8>,
    /// Bytes of the buffer that have been written.
    written: usize,
    polls: PollCounter,
    /// The poll in which the flush was deferred.
    deferred_in: Option<u64>,
}

impl<S: AsyncWrite + Unpin> CorkedStream<S> {
    /// Wraps the stream of a connection whose polls are counted.
    pub(crate) fn new(stream: S, polls: PollCounter) -> Self {
        Self { stream, buffer: Vec::new(), written: 0, polls, deferred_in: None }
    }

    /// Writes the whole buffer to the stream.
    fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.buffer.len() {
            let rest = &self.buffer[self.written..];
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written;
        }
        self.buffer.clear();
        self.buffer.shrink_to(RETAINED_BYTES);
        self.written = 0;
        self.deferred_in = None;
        Poll::Ready(Ok(()))
    }

    /// Returns whether the buffer cannot take `bytes` more bytes.
    fn would_overflow(&self, bytes: usize) -> bool {
        self.buffer.len() + bytes > BUFFER_LIMIT_BYTES
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for CorkedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.would_overflow(bytes.len()) {
            ready!(self.poll_drain(context))?;
            return Pin::new(&mut self.stream).poll_write(context, bytes);
        }
        self.buffer.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let len = parts.iter().map(|part| part.len()).sum();
        if self.would_overflow(len) {
            ready!(self.poll_drain(context))?;
            return Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        }
        for part in parts {
            self.buffer.extend_from_slice(part);
        }
        Poll::Ready(Ok(len))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = self.polls.current();
        if !self.buffer.is_empty() && self.deferred_in.is_none_or(|deferred_in| deferred_in == poll) {
            if self.deferred_in.replace(poll).is_none() {
                context.waker().wake_by_ref();
            }
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_drain(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for CorkedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// A stream that records the sizes of the writes.
    #[derive(Debug, Default)]
    struct Writes(Vec<usize>);

    impl AsyncWrite for Writes {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            // Accepts only part of a large write, like a full socket.
            let accepted = bytes.len().min(40_000);
            self.0.push(accepted);
            Poll::Ready(Ok(accepted))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Simulates a poll of a connection, in which each part is written and flushed.
    async fn poll_once(cork: &mut CorkedStream<Writes>, parts: &[usize]) {
        let polls = cork.polls.clone();
        let write = async {
            for &part in parts {
                cork.write_all(&vec![1; part]).await.unwrap();
                cork.flush().await.unwrap();
            }
        };
        polls.count_polls(write).await;
    }

    #[tokio::test]
    async fn writes_of_one_poll_are_sent_in_the_next_one() {
        let mut cork = CorkedStream::new(Writes::default(), PollCounter::default());
        poll_once(&mut cork, &[10, 16_384, 5]).await;
        assert!(cork.stream.0.is_empty());
        poll_once(&mut cork, &[1]).await;
        assert_eq!(cork.stream.0, [16_400]);
        poll_once(&mut cork, &[3]).await;
        cork.shutdown().await.unwrap();
        assert_eq!(cork.stream.0, [16_400, 3]);
    }

    #[tokio::test]
    async fn writes_beyond_the_buffer_are_sent_at_once_and_in_order() {
        let mut cork = CorkedStream::new(Writes::default(), PollCounter::default());
        poll_once(&mut cork, &[10, BUFFER_LIMIT_BYTES]).await;
        assert_eq!(cork.stream.0, [10, 40_000]);
        poll_once(&mut cork, &[1]).await;
        assert_eq!(cork.stream.0.iter().sum::<usize>(), 10 + BUFFER_LIMIT_BYTES + 1);
    }

    #[tokio::test]
    async fn every_byte_arrives_in_order_through_a_narrow_pipe() {
        let (local, mut remote) = tokio::io::duplex(1000);
        let sent: Vec<u8> = (0..200_000_u32).map(|number| (number % 251) as u8).collect();
        let expected = sent.clone();
        let writer = tokio::spawn(async move {
            let mut cork = CorkedStream::new(local, PollCounter::default());
            for part in sent.chunks(7_777) {
                cork.write_all(part).await.unwrap();
                cork.flush().await.unwrap();
            }
            cork.shutdown().await.unwrap();
        });
        let mut received = Vec::new();
        remote.read_to_end(&mut received).await.unwrap();
        writer.await.unwrap();
        assert_eq!(received, expected);
    }
}
