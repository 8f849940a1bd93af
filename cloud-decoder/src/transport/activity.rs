//! The activity of a connection, recorded by the wrappers of its socket and its requests.
//!
//! It consists of flags and counters that are read when a timer fires: a busy connection pays two atomic
//! additions per request.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use axum::body::{Body, Bytes};
use http_body::{Body as _, Frame, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Notify,
};

/// The recorded activity of one connection.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    has_received: AtomicBool,
    first_byte: Notify,
    is_http1: AtomicBool,
    writes: AtomicU64,
    begun: AtomicU64,
    ended: AtomicU64,
    answered: AtomicU64,
    long_lived: AtomicU64,
}

impl Activity {
    /// Waits until a byte was received. Only one task may wait.
    pub(crate) async fn wait_first_byte(&self) {
        if !self.has_received.load(Ordering::Relaxed) {
            self.first_byte.notified().await;
        }
    }

    /// Records that a byte was received.
    fn record_received(&self) {
        if !self.has_received.load(Ordering::Relaxed) {
            self.has_received.store(true, Ordering::Relaxed);
            // Also if nobody waits yet.
            self.first_byte.notify_one();
        }
    }

    /// Returns whether the protocol is known: a request was received, or the server has written.
    pub(crate) fn is_protocol_known(&self) -> bool {
        self.write_count() > 0 || self.begun_requests() > 0
    }

    /// Returns whether the connection can use HTTP/1: a request has shown it, or the protocol is not known yet.
    pub(crate) fn may_be_http1(&self) -> bool {
        self.is_http1.load(Ordering::Relaxed) || !self.is_protocol_known()
    }

    /// Records that a request uses HTTP/1.
    pub(crate) fn record_http1(&self) {
        self.is_http1.store(true, Ordering::Relaxed);
    }

    /// Returns the number of writes by the server.
    pub(crate) fn write_count(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    /// Returns the number of requests begun.
    pub(crate) fn begun_requests(&self) -> u64 {
        self.begun.load(Ordering::Acquire)
    }

    /// Returns the number of requests whose whole response was passed on.
    pub(crate) fn answered_requests(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Returns whether all requests have ended.
    pub(crate) fn is_idle(&self) -> bool {
        self.ended.load(Ordering::Acquire) == self.begun_requests()
    }

    /// Returns whether all open requests are streams that end only with their connection.
    pub(crate) fn can_close(&self) -> bool {
        self.ended.load(Ordering::Acquire) + self.long_lived.load(Ordering::Acquire) >= self.begun_requests()
    }

    /// Records the start of a request. A long-lived request ends only with its connection, and a shutdown does
    /// not wait for it.
    pub(crate) fn begin_request(self: &Arc<Self>, is_long_lived: bool) -> OpenRequest {
        self.begun.fetch_add(1, Ordering::AcqRel);
        if is_long_lived {
            self.long_lived.fetch_add(1, Ordering::AcqRel);
        }
        OpenRequest { activity: Arc::clone(self), is_long_lived }
    }
}

/// An open request, until the last byte of its response.
#[derive(Debug)]
pub(crate) struct OpenRequest {
    activity: Arc<Activity>,
    is_long_lived: bool,
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        if self.is_long_lived {
            self.activity.long_lived.fetch_sub(1, Ordering::AcqRel);
        }
        self.activity.ended.fetch_add(1, Ordering::AcqRel);
    }
}

/// The body of a response; its drop ends the request.
#[derive(Debug)]
pub(crate) struct TrackedBody {
    body: Body,
    request: OpenRequest,
    is_complete: bool,
}

impl TrackedBody {
    pub(crate) fn new(body: Body, request: OpenRequest) -> Self {
        let mut tracked = Self { body, request, is_complete: false };
        if tracked.body.is_end_stream() {
            tracked.complete();
        }
        tracked
    }

    /// Records once that nothing of the response is left.
    fn complete(&mut self) {
        if !self.is_complete {
            self.is_complete = true;
            self.request.activity.answered.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl http_body::Body for TrackedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let is_last = match &frame {
            Some(Ok(frame)) => frame.is_trailers() || self.body.is_end_stream(),
            Some(Err(_)) => false,
            None => true,
        };
        if is_last {
            self.complete();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A socket that records reads and writes.
#[derive(Debug)]
pub(crate) struct TrackedSocket<S> {
    socket: S,
    activity: Arc<Activity>,
}

impl<S> TrackedSocket<S> {
    pub(crate) fn new(socket: S, activity: Arc<Activity>) -> Self {
        Self { socket, activity }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TrackedSocket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let filled_before = buffer.filled().len();
        let result = Pin::new(&mut self.socket).poll_read(context, buffer);
        if buffer.filled().len() > filled_before {
            self.activity.record_received();
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TrackedSocket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.activity.writes.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.activity.writes.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.socket).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[test]
    fn a_stop_waits_for_requests_and_not_for_streams_that_never_end() {
        let activity = Arc::new(Activity::default());
        assert!(activity.is_idle() && activity.can_close() && !activity.is_protocol_known());
        let watch = activity.begin_request(true);
        assert!(!activity.is_idle() && activity.can_close() && activity.is_protocol_known());
        let request = activity.begin_request(false);
        assert!(!activity.can_close());
        drop(request);
        assert!(activity.can_close() && !activity.is_idle());
        drop(watch);
        assert!(activity.is_idle());
    }

    #[test]
    fn a_connection_may_be_http1_until_http2_has_written_or_a_request_says_so() {
        let activity = Arc::new(Activity::default());
        assert!(activity.may_be_http1());
        let request = activity.begin_request(false);
        assert!(!activity.may_be_http1());
        activity.record_http1();
        assert!(activity.may_be_http1());
        drop(request);
    }

    #[tokio::test]
    async fn a_response_counts_as_answered_when_nothing_of_it_is_left() {
        let activity = Arc::new(Activity::default());
        let mut response = TrackedBody::new(Body::from("hello"), activity.begin_request(false));
        assert_eq!(activity.answered_requests(), 0);
        assert_eq!(response.frame().await.unwrap().unwrap().into_data().unwrap(), "hello");
        assert!(response.frame().await.is_none());
        assert_eq!(activity.answered_requests(), 1);
        let empty = TrackedBody::new(Body::empty(), activity.begin_request(false));
        let cancelled = TrackedBody::new(Body::from("hello"), activity.begin_request(false));
        drop((response, empty, cancelled));
        assert_eq!((activity.answered_requests(), activity.is_idle()), (2, true));
    }

    #[tokio::test]
    async fn the_first_byte_is_noticed_before_and_while_it_is_awaited() {
        let activity = Activity::default();
        tokio::join!(activity.wait_first_byte(), async { activity.record_received() });
        activity.wait_first_byte().await;
        let activity = Activity::default();
        activity.record_received();
        activity.wait_first_byte().await;
    }
}
