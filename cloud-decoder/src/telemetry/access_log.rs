//! The access log: one line per request, when its response has ended.
//!
//! The line has the target `access` and these fields. The query is left out, because it may contain secrets.
//!
//! | field | |
//! |---|---|
//! | `method`, `path` or `rpc` | the request |
//! | `status` | HTTP status; none if the request ended before its response began |
//! | `grpc_status` | status code of gRPC at the end of the response, 0 to 16 |
//! | `complete` | whether the whole response was sent |
//! | `duration_us` | microseconds from the head of the request to the end of the response |
//! | `received`, `sent` | bytes of the bodies |
//! | `peer`, `key`, `request_id` | who sent the request |

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Instant,
};

use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::{HeaderMap, HeaderValue},
    response::Response,
};
use http_body::{Body as _, Frame, SizeHint};
use pin_project_lite::pin_project;
use tonic::Code;
use tower::{Layer, Service};

use super::request_context::RequestContext;
use crate::transport::{ConnectionPeer, is_grpc};

/// Maximum length of a path in bytes; longer ones are cut off.
const MAX_PATH_BYTES: usize = 512;

/// The layer that writes the access log, if it is on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AccessLogLayer {
    is_on: bool,
}

/// A service whose requests are logged.
#[derive(Debug, Clone)]
pub(crate) struct LoggedService<S> {
    inner: S,
    is_on: bool,
}

/// The line of a request, which is written when it is dropped.
#[derive(Debug)]
struct AccessLine {
    method: String,
    path: String,
    is_grpc: bool,
    peer: Option<Arc<ConnectionPeer>>,
    request: Option<Arc<RequestContext>>,
    started: Instant,
    received: Arc<AtomicU64>,
    sent: u64,
    status: Option<u16>,
    grpc_status: Option<i32>,
    is_complete: bool,
}

/// The body of a request, whose bytes are counted.
struct CountedBody {
    body: Body,
    received: Arc<AtomicU64>,
}

/// The body of a response, whose end is the end of the request.
struct LoggedBody {
    body: Body,
    line: AccessLine,
}

impl AccessLogLayer {
    pub(crate) fn new(is_on: bool) -> Self {
        Self { is_on }
    }
}

impl<S> Layer<S> for AccessLogLayer {
    type Service = LoggedService<S>;

    fn layer(&self, inner: S) -> LoggedService<S> {
        LoggedService { inner, is_on: self.is_on }
    }
}

impl<S: Service<Request, Response = Response>> Service<Request> for LoggedService<S> {
    type Response = Response;
    type Error = S::Error;
    type Future = Logging<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if !self.is_on {
            return Logging { inner: self.inner.call(request), line: None };
        }
        let line = AccessLine::from_request(&request);
        let received = Arc::clone(&line.received);
        let request = request
            .map(|body| if body.is_end_stream() { body } else { Body::new(CountedBody { body, received }) });
        Logging { inner: self.inner.call(request), line: Some(line) }
    }
}

pin_project! {
    /// The response future of a logged request.
    pub(crate) struct Logging<F> {
        #[pin]
        inner: F,
        line: Option<AccessLine>,
    }
}

impl<F: Future<Output = Result<Response, E>>, E> Future for Logging<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(context))?;
        Poll::Ready(Ok(match this.line.take() {
            Some(line) => line.follow(response),
            None => response,
        }))
    }
}

impl AccessLine {
    fn from_request(request: &Request) -> Self {
        let path = request.uri().path();
        Self {
            method: request.method().as_str().to_owned(),
            path: path[..path.floor_char_boundary(MAX_PATH_BYTES)].to_owned(),
            is_grpc: is_grpc(request.headers()),
            peer: request.extensions().get().cloned(),
            request: RequestContext::of_request(request.extensions()).cloned(),
            started: Instant::now(),
            received: Arc::default(),
            sent: 0,
            status: None,
            grpc_status: None,
            is_complete: false,
        }
    }

    /// Writes the line at the end of a response.
    fn follow(mut self, response: Response) -> Response {
        self.status = Some(response.status().as_u16());
        self.grpc_status = grpc_status(response.headers());
        self.is_complete = response.body().is_end_stream();
        if self.is_complete {
            return response;
        }
        response.map(|body| Body::new(LoggedBody { body, line: self }))
    }

    fn write(&self) {
        let duration_us = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let peer = self.peer.as_ref().map(|peer| peer.address().to_string());
        let key = self.request.as_ref().and_then(|request| request.key());
        let request_id = self.request.as_ref().map(|request| request.id());
        let received = self.received.load(Ordering::Relaxed);
        let Self { status, grpc_status, is_complete: complete, sent, .. } = self;
        if self.is_grpc {
            let rpc = self.path.trim_start_matches('/');
            tracing::info!(
                target: "access", rpc, status, grpc_status, complete, duration_us, received, sent, peer, key,
                request_id, "call"
            );
        } else {
            let (method, path) = (&self.method, &self.path);
            tracing::info!(
                target: "access", method, path, status, complete, duration_us, received, sent, peer, key,
                request_id, "request"
            );
        }
    }
}

impl Drop for AccessLine {
    fn drop(&mut self) {
        self.write();
    }
}

/// Returns the status code of gRPC in the head or the trailers of a response.
fn grpc_status(headers: &HeaderMap) -> Option<i32> {
    let status = headers.get(tonic::Status::GRPC_STATUS).map(HeaderValue::as_bytes)?;
    Some(Code::from_bytes(status) as i32)
}

impl http_body::Body for CountedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.received.fetch_add(data.len() as u64, Ordering::Relaxed);
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

impl http_body::Body for LoggedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                this.line.sent += frame.data_ref().map_or(0, |data| data.len() as u64);
                if let Some(trailers) = frame.trailers_ref() {
                    this.line.grpc_status = grpc_status(trailers).or(this.line.grpc_status);
                }
                // The connection does not ask for more after trailers, or after the last byte of a known length.
                this.line.is_complete = frame.is_trailers() || this.body.is_end_stream();
            }
            Some(Err(_)) => this.line.is_complete = false,
            None => this.line.is_complete = true,
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
