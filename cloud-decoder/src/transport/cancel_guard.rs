//! Bounds what requests cost that their clients cancel, without harm to the other requests of the connection.
//!
//! The HTTP library reads everything that has arrived before it takes up the requests in it. A request that is
//! cancelled before it was taken up still occupies its header's memory, so the library ends a connection that has more
//! than a few of them: on a busy machine, a client that cancels 100 calls per second would lose all its other calls.
//! [`CancelGuard`] therefore follows the frames of a connection, as `strict_http1.rs` does for HTTP/1. After some
//! cancelled requests it lets no more input through in the same poll of the connection, so that the library takes up the
//! requests that it has first. The library's own limit is then never reached.
//!
//! A client that cancels nearly everything, and much of it, only wastes time here: after a number of cancelled requests
//! within [`WINDOW`], of which not even a tenth as many were answered, the input is replaced by frames that the library
//! answers with GOAWAY and the code `ENHANCE_YOUR_CALM`.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    FrontEvent, FrontStats,
    activity::Activity,
    cork::PollCounter,
    frame_scanner::{FRAME_HEADER_BYTES, FrameScanner},
};

/// Number of cancelled requests that are let through in one poll of a connection. With headers of 16 KiB, the
/// default limit, they occupy about 1 MiB.
const CANCELS_PER_POLL: usize = 64;
/// The period over which cancelled requests are counted.
const WINDOW: Duration = Duration::from_secs(10);
/// The share of answered requests, among cancelled ones, with which a connection is not ended.
const ANSWERED_SHARE: u64 = 10;
/// The beginning of a request's header, and a continuation of it, both empty and on the last possible stream. The
/// library takes a header that is continued again and again for an attack.
const REFUSED_BEGINNING: [u8; FRAME_HEADER_BYTES] = [0, 0, 0, 1, 0, 0x7f, 0xff, 0xff, 0xff];
const REFUSED_CONTINUATION: [u8; FRAME_HEADER_BYTES] = [0, 0, 0, 9, 0, 0x7f, 0xff, 0xff, 0xff];

/// A connection's stream whose cancelled requests are counted.
#[derive(Debug)]
pub(crate) struct CancelGuard<S> {
    stream: S,
    scanner: FrameScanner,
    polls: PollCounter,
    /// The number of a poll, and the cancelled requests that were let through in it.
    passed: (u64, usize),
    /// Input that waits for the next poll.
    held_back: Vec<u8>,
    rate: CancelRate,
    activity: Arc<Activity>,
    stats: Arc<FrontStats>,
    /// Number of bytes of the input's replacement that were read; `None` before the input is refused.
    refused: Option<usize>,
}

/// The cancelled requests of a connection in the current period.
#[derive(Debug)]
struct CancelRate {
    max: u64,
    start: Instant,
    cancelled: u64,
    /// The number of answered requests at the start.
    answered_before: u64,
}

impl<S> CancelGuard<S> {
    /// Wraps the stream of a connection whose polls are counted, and whose client may cancel `max` requests per
    /// [`WINDOW`].
    pub(crate) fn new(
        stream: S,
        max: u32,
        polls: PollCounter,
        activity: Arc<Activity>,
        stats: Arc<FrontStats>,
    ) -> Self {
        Self {
            stream,
            scanner: FrameScanner::default(),
            polls,
            passed: (0, 0),
            held_back: Vec::new(),
            rate: CancelRate::new(max, Instant::now()),
            activity,
            stats,
            refused: None,
        }
    }

    /// Returns the number of bytes of new input that may pass in this poll.
    fn scan(&mut self, input: &[u8]) -> usize {
        let (mut position, mut cancelled) = (0, 0);
        while self.passed.1 < CANCELS_PER_POLL {
            let Some(len) = self.scanner.find_cancel(&input[position..]) else {
                position = input.len();
                break;
            };
            position += len;
            cancelled += 1;
            self.passed.1 += 1;
        }
        if cancelled > 0 {
            self.stats.count_many(FrontEvent::Cancelled, cancelled);
            if self.rate.is_flood(cancelled, self.activity.answered_requests(), Instant::now()) {
                self.stats.count(FrontEvent::CancelFlood);
                self.refused = Some(0);
            }
        }
        position
    }
}

impl<S: AsyncRead + Unpin> CancelGuard<S> {
    /// Appends input to the buffer: what was held back, or else what the stream has.
    fn poll_input(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let filled_before = buffer.filled().len();
        let is_held_back = !self.held_back.is_empty();
        if is_held_back {
            let len = self.held_back.len().min(buffer.remaining());
            buffer.put_slice(&self.held_back[..len]);
        } else {
            ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        }
        let passed = self.scan(&buffer.filled()[filled_before..]);
        if is_held_back {
            self.held_back.drain(..passed);
        } else {
            self.held_back.extend_from_slice(&buffer.filled()[filled_before + passed..]);
        }
        buffer.set_filled(filled_before + passed);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for CancelGuard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.scanner.is_other_protocol() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        if let Some(position) = &mut self.refused {
            put_refused_input(position, buffer);
            return Poll::Ready(Ok(()));
        }
        let poll = self.polls.current();
        if self.passed.0 != poll {
            self.passed = (poll, 0);
        }
        if self.passed.1 >= CANCELS_PER_POLL {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.poll_input(context, buffer)
    }
}

/// Fills the buffer with the frames that replace a refused input, from a position on.
fn put_refused_input(position: &mut usize, buffer: &mut ReadBuf<'_>) {
    while buffer.remaining() > 0 {
        let (frame, offset) = (*position / FRAME_HEADER_BYTES, *position % FRAME_HEADER_BYTES);
        let frame = if frame == 0 { REFUSED_BEGINNING } else { REFUSED_CONTINUATION };
        let len = buffer.remaining().min(FRAME_HEADER_BYTES - offset);
        buffer.put_slice(&frame[offset..][..len]);
        *position += len;
    }
}

impl CancelRate {
    fn new(max: u32, start: Instant) -> Self {
        Self { max: max.into(), start, cancelled: 0, answered_before: 0 }
    }

    /// Counts cancelled requests, and returns whether there are too many. `answered` is the number of all requests of the
    /// connection that were answered.
    fn is_flood(&mut self, cancelled: u64, answered: u64, now: Instant) -> bool {
        if now.saturating_duration_since(self.start) > WINDOW {
            *self = Self { start: now, cancelled: 0, answered_before: answered, ..*self };
        }
        self.cancelled += cancelled;
        let answered = answered.saturating_sub(self.answered_before);
        self.cancelled > self.max && answered < self.cancelled / ANSWERED_SHARE
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for CancelGuard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    /// A frame that cancels a request.
    const CANCEL: [u8; 13] = [0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8];

    fn guard(input: &[u8], max: u32) -> CancelGuard<&[u8]> {
        CancelGuard::new(input, max, PollCounter::default(), Arc::default(), Arc::default())
    }

    /// Returns everything that a guard lets through in one poll of its connection, in reads of this length. The poll
    /// for which the guard then wakes the connection reads nothing here.
    async fn read_in_one_poll(guard: &mut CancelGuard<&[u8]>, read_len: usize) -> Vec<u8> {
        let polls = guard.polls.clone();
        let mut found = Vec::new();
        let mut is_first = true;
        let read = std::future::poll_fn(|context| {
            if !std::mem::take(&mut is_first) {
                return Poll::Ready(());
            }
            loop {
                let mut space = vec![0; read_len];
                let mut buffer = ReadBuf::new(&mut space);
                match Pin::new(&mut *guard).poll_read(context, &mut buffer) {
                    Poll::Ready(result) => result.unwrap(),
                    Poll::Pending => return Poll::Pending,
                }
                if buffer.filled().is_empty() {
                    return Poll::Ready(());
                }
                found.extend_from_slice(buffer.filled());
            }
        });
        polls.count_polls(read).await;
        found
    }

    #[tokio::test]
    async fn every_poll_lets_some_cancelled_requests_through_and_nothing_is_lost() {
        let after = b"\0\0\x01\0\0\0\0\0\x03x";
        let input = [PREFACE, &CANCEL.repeat(3 * CANCELS_PER_POLL + 1), after].concat();
        for read_len in [1, 10, 100, 10_000] {
            let mut guard = guard(&input, 1000);
            let mut found = Vec::new();
            let mut lengths = Vec::new();
            for _ in 0..4 {
                let part = read_in_one_poll(&mut guard, read_len).await;
                lengths.push(part.len());
                found.extend(part);
            }
            let batch = CANCELS_PER_POLL * CANCEL.len();
            assert_eq!(
                lengths,
                [PREFACE.len() + batch, batch, batch, CANCEL.len() + after.len()],
                "{read_len}"
            );
            assert_eq!(found, input);
            assert_eq!(
                guard.stats.snapshot().count_of(FrontEvent::Cancelled),
                3 * CANCELS_PER_POLL as u64 + 1
            );
        }
    }

    #[tokio::test]
    async fn a_flood_is_replaced_by_a_header_without_an_end() {
        let input = [PREFACE, &CANCEL.repeat(20)].concat();
        let mut guard = guard(&input, 10);
        let mut space = [0; 1000];
        let passed = guard.read(&mut space).await.unwrap();
        assert_eq!(passed, input.len());
        let refused = guard.read(&mut space).await.unwrap();
        assert_eq!(refused, space.len());
        assert_eq!(space[..9], REFUSED_BEGINNING);
        assert!(space[9..].chunks_exact(9).all(|frame| frame == REFUSED_CONTINUATION));
        // The next read continues where this one ended: 1000 is 111 frames and a byte.
        assert_eq!(guard.read(&mut space).await.unwrap(), space.len());
        assert_eq!(space[..8], REFUSED_CONTINUATION[1..]);
        assert_eq!(guard.stats.snapshot().count_of(FrontEvent::CancelFlood), 1);
    }

    #[tokio::test]
    async fn http1_is_not_examined() {
        let input = [&b"GET / HTTP/1.1\r\n\r\n"[..], &CANCEL.repeat(20)].concat();
        let mut guard = guard(&input, 10);
        let mut found = Vec::new();
        guard.read_to_end(&mut found).await.unwrap();
        assert_eq!((found, guard.stats.snapshot().count_of(FrontEvent::Cancelled)), (input, 0));
    }

    #[test]
    fn a_client_that_also_receives_answers_may_cancel_as_much_as_it_likes() {
        let start = Instant::now();
        let mut rate = CancelRate::new(1000, start);
        assert!(!rate.is_flood(1000, 0, start));
        assert!(rate.is_flood(1, 0, start));
        assert!(rate.is_flood(999, 199, start));
        assert!(!rate.is_flood(0, 200, start));
        // The answers of an earlier period do not count in the next one.
        let later = start + 2 * WINDOW;
        assert!(!rate.is_flood(1000, 200, later));
        assert!(rate.is_flood(1000, 399, later));
        assert!(!rate.is_flood(1000, 200, later + 2 * WINDOW));
    }
}
