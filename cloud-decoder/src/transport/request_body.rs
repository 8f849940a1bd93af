//! The body of a request, within the memory for requests and at the pace that it has to arrive at.
//!
//! ```text
//! frame of the connection ─► part of one message ─► memory? ─► handler
//!    awaited too long: refused                      none: refused
//! ```
//! A body that is not a gRPC call holds the memory of everything that has arrived until the request is answered. A
//! gRPC body is passed on in parts of single messages, and holds the memory of one message: the handler of a stream asks
//! for the next message when it has taken the last one over. Between two messages, a stream may be idle. A call that is
//! not answered before its end is no stream: its end must arrive in time as well.

use std::{
    error::Error,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{
    FrontEvent, FrontStats, body_pace::BodyPace, body_refusal::BodyRefusal, message_scanner::MessageScanner,
    request_memory::BodyPermit,
};

/// An error of the connection, or a [`BodyRefusal`].
type BodyError = Box<dyn Error + Send + Sync>;

/// A request's body within its limits.
#[derive(Debug)]
pub(crate) struct RequestBody<B> {
    body: B,
    permit: Arc<BodyPermit>,
    stats: Arc<FrontStats>,
    pace: BodyPace,
    timer: Option<Pin<Box<Sleep>>>,
    /// The position among the messages of a gRPC call; `None` for other requests.
    messages: Option<MessageScanner>,
    /// What has arrived together with the end of the last message.
    rest: Bytes,
    refusal: Option<BodyRefusal>,
}

impl<B: Body<Data = Bytes, Error: Into<BodyError>> + Unpin> RequestBody<B> {
    /// Wraps the body of a request that must make progress within `timeout`.
    pub(crate) fn new(
        body: B,
        permit: Arc<BodyPermit>,
        stats: Arc<FrontStats>,
        timeout: Duration,
        is_grpc: bool,
    ) -> Self {
        let messages = is_grpc.then(MessageScanner::default);
        let (pace, rest) = (BodyPace::new(timeout), Bytes::new());
        Self { body, permit, stats, pace, timer: None, messages, rest, refusal: None }
    }

    /// Passes on data for which there is memory.
    fn admit(&mut self, mut data: Bytes) -> Result<Bytes, BodyRefusal> {
        if let Some(messages) = self.messages.as_mut().filter(|_| !data.is_empty()) {
            if messages.is_between() {
                self.permit.release_all();
            }
            let part = messages.next_part(&data);
            self.rest = data.split_off(part.len);
            if part.is_last {
                messages.finish_message();
                self.pace.restart();
            } else {
                self.pace.record(data.len(), Instant::now());
            }
        } else {
            self.pace.record(data.len(), Instant::now());
        }
        self.permit.reserve(data.len())?;
        Ok(data)
    }

    /// Returns whether this is a stream of messages, whose handler has taken over the last one.
    fn is_idle_stream(&self) -> bool {
        self.permit.is_answered() && self.messages.as_ref().is_some_and(MessageScanner::is_between)
    }

    /// Waits for more data, for as long as they may be awaited.
    fn poll_too_slow(&mut self, context: &mut Context<'_>) -> Poll<BodyRefusal> {
        if self.is_idle_stream() {
            return Poll::Pending;
        }
        let deadline = self.pace.deadline(Instant::now());
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(context).map(|()| {
            self.stats.count(FrontEvent::BodyTimeout);
            BodyRefusal::TooSlow(self.pace.limit())
        })
    }

    /// Ends the body, and returns its memory.
    fn refuse(&mut self, refusal: BodyRefusal) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.permit.release_all();
        self.rest = Bytes::new();
        self.refusal = Some(refusal);
        Poll::Ready(Some(Err(refusal.into())))
    }
}

impl<B: Body<Data = Bytes, Error: Into<BodyError>> + Unpin> Body for RequestBody<B> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if let Some(refusal) = this.refusal {
            return Poll::Ready(Some(Err(refusal.into())));
        }
        if this.is_idle_stream() {
            this.permit.release_all();
        }
        let data = if this.rest.is_empty() {
            match Pin::new(&mut this.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error.into()))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => {
                    return match this.poll_too_slow(context) {
                        Poll::Ready(refusal) => this.refuse(refusal),
                        Poll::Pending => Poll::Pending,
                    };
                }
            }
        } else {
            mem::take(&mut this.rest)
        };
        match this.admit(data) {
            Ok(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
            Err(refusal) => this.refuse(refusal),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.refusal.is_none() && self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut with_rest = SizeHint::new();
        with_rest.set_lower(hint.lower().saturating_add(rest));
        if let Some(upper) = hint.upper() {
            with_rest.set_upper(upper.saturating_add(rest));
        }
        with_rest
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, net::Ipv4Addr, task::Waker};

    use http_body_util::BodyExt as _;

    use super::*;
    use crate::transport::request_memory::RequestMemory;

    /// A body whose pieces have arrived, and after which the end, or nothing, follows.
    #[derive(Debug)]
    struct Pieces {
        pieces: VecDeque<Bytes>,
        is_complete: bool,
    }

    impl Body for Pieces {
        type Data = Bytes;
        type Error = BodyError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
            match self.pieces.pop_front() {
                Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
                None if self.is_complete => Poll::Ready(None),
                None => Poll::Pending,
            }
        }
    }

    /// A server with memory for requests, and one peer.
    struct Server {
        memory: Arc<RequestMemory>,
        stats: Arc<FrontStats>,
    }

    impl Server {
        fn new(limit: usize) -> Self {
            let stats = Arc::new(FrontStats::default());
            Self { memory: RequestMemory::new(limit, Arc::clone(&stats)), stats }
        }

        fn permit(&self) -> Arc<BodyPermit> {
            Arc::new(self.memory.of_peer(Ipv4Addr::LOCALHOST.into()).new_permit())
        }

        fn body(
            &self,
            permit: &Arc<BodyPermit>,
            pieces: &[Vec<u8>],
            is_complete: bool,
            is_grpc: bool,
        ) -> RequestBody<Pieces> {
            let pieces = pieces.iter().cloned().map(Bytes::from).collect();
            let pieces = Pieces { pieces, is_complete };
            let timeout = Duration::from_millis(20);
            RequestBody::new(pieces, Arc::clone(permit), Arc::clone(&self.stats), timeout, is_grpc)
        }

        /// Returns whether the peer can reserve this many bytes at the moment.
        fn has_memory(&self, bytes: usize) -> bool {
            self.permit().reserve(bytes).is_ok()
        }
    }

    fn message(len: usize) -> Vec<u8> {
        [&[0_u8][..], &(len as u32).to_be_bytes(), &vec![7; len]].concat()
    }

    async fn next(body: &mut RequestBody<Pieces>) -> Result<usize, BodyRefusal> {
        match body.frame().await.unwrap() {
            Ok(frame) => Ok(frame.into_data().unwrap().len()),
            Err(error) => Err(BodyRefusal::find_in(&*error).unwrap()),
        }
    }

    fn is_pending(body: &mut RequestBody<Pieces>) -> bool {
        Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    #[tokio::test]
    async fn a_body_holds_its_memory_until_the_request_ends_and_returns_it_when_refused() {
        // Each peer has half of it, and each byte counts twice.
        let server = Server::new(40_000);
        let first = server.permit();
        let mut body = server.body(&first, &[vec![0; 4000], vec![0; 4000]], true, false);
        assert_eq!((next(&mut body).await, next(&mut body).await), (Ok(4000), Ok(4000)));
        assert!(body.frame().await.is_none());
        drop(body);
        let second = server.permit();
        let mut refused = server.body(&second, &[vec![0; 1000], vec![0; 2000]], true, false);
        assert_eq!(next(&mut refused).await, Ok(1000));
        assert_eq!(next(&mut refused).await, Err(BodyRefusal::PeerMemoryInUse));
        assert!(server.has_memory(2000), "the refused body has returned its part");
        assert_eq!(next(&mut refused).await, Err(BodyRefusal::PeerMemoryInUse), "it never seems complete");
        assert_eq!(server.stats.snapshot().count_of(FrontEvent::MemoryRefused), 1);
        drop(first);
        assert!(server.has_memory(10_000));
    }

    #[tokio::test]
    async fn a_stream_holds_one_message_at_a_time() {
        let server = Server::new(40_000);
        let permit = server.permit();
        // Pieces that do not end with messages.
        let stream: Vec<u8> = [message(6000), message(6000), message(0), message(10)].concat();
        let pieces: Vec<Vec<u8>> = stream.chunks(5000).map(<[u8]>::to_vec).collect();
        let mut body = server.body(&permit, &pieces, false, true);
        let mut lengths = Vec::new();
        for _ in 0..6 {
            lengths.push(next(&mut body).await.unwrap());
        }
        assert_eq!(lengths, [5000, 1005, 3995, 2010, 5, 15]);
        permit.set_answered();
        assert!(!server.has_memory(10_000));
        assert!(is_pending(&mut body));
        assert!(server.has_memory(10_000), "the last message was taken over");
    }

    #[tokio::test]
    async fn a_single_message_is_held_while_its_handler_runs() {
        let server = Server::new(40_000);
        let permit = server.permit();
        let mut body = server.body(&permit, &[message(6000)], true, true);
        assert_eq!(next(&mut body).await, Ok(6005));
        assert!(body.frame().await.is_none(), "the library looks for trailers before it calls the handler");
        drop(body);
        assert!(!server.has_memory(6000));
        drop(permit);
        assert!(server.has_memory(6000));
    }

    #[tokio::test]
    async fn what_has_begun_must_arrive_in_time_and_a_stream_may_be_idle() {
        let server = Server::new(40_000);
        let cut_off = message(10)[..12].to_vec();
        for (pieces, is_grpc) in [
            (vec![vec![1; 10]], false),
            (vec![cut_off], true),
            (vec![vec![0; 3]], true),
            (vec![message(4), vec![0]], true),
            // Only the end of the call is missing.
            (vec![message(4)], true),
            (vec![], true),
        ] {
            let permit = server.permit();
            let mut body = server.body(&permit, &pieces, false, is_grpc);
            for piece in &pieces {
                assert_eq!(next(&mut body).await, Ok(piece.len()));
            }
            assert!(matches!(next(&mut body).await, Err(BodyRefusal::TooSlow(_))), "{pieces:?}");
            assert!(server.has_memory(10_000));
        }
        assert_eq!(server.stats.snapshot().count_of(FrontEvent::BodyTimeout), 6);

        let permit = server.permit();
        permit.set_answered();
        let mut idle = server.body(&permit, &[message(4)], false, true);
        assert_eq!(next(&mut idle).await, Ok(9));
        assert!(
            is_pending(&mut idle) && idle.timer.is_none(),
            "nothing limits the time until the next message"
        );
    }

    #[test]
    fn the_hints_include_what_is_left_of_a_piece() {
        let server = Server::new(40_000);
        let mut body = server.body(&server.permit(), &[[message(4), message(5)].concat()], true, true);
        let mut context = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut body).poll_frame(&mut context).is_ready());
        assert_eq!((body.size_hint().lower(), body.is_end_stream()), (10, false));
    }
}
