//! Duration and span of every call, for both protocols.
//!
//! The names follow the OpenTelemetry conventions: `rpc.server.call.duration` for gRPC,
//! `http.server.request.duration` for all other requests. The duration ends with the head of the response,
//! which follows the end of the work for all calls except streams. The status of a gRPC call is in the trailers of its
//! response, unless the call fails before it responds, so the call is recorded when they pass. A call that its client
//! cancels, before or after that, is recorded as `CANCELLED`.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes},
    extract::Request,
    response::Response,
};
use http_body::{Body as _, Frame, SizeHint};
use lopside_telemetry::context;
use pin_project_lite::pin_project;
use tower::{Layer, Service};
use tracing::Span;

use super::{
    call_instruments::{CallInstruments, CallKey, Status},
    request_context::RequestContext,
};

/// The layer in front of all routes.
#[derive(Debug, Clone, Default)]
pub(crate) struct ObserveLayer {
    calls: Arc<CallInstruments>,
}

/// A service whose calls are recorded.
#[derive(Debug, Clone)]
pub(crate) struct ObservedService<S> {
    inner: S,
    calls: Arc<CallInstruments>,
}

/// The record of one call, made when its status is known, or when it is dropped.
#[derive(Debug)]
struct CallRecord {
    key: CallKey,
    calls: Arc<CallInstruments>,
    started: Instant,
    /// The time until the head of a response without a status.
    begun_after: Option<Duration>,
    is_recorded: bool,
}

/// The body of a gRPC response, whose trailers have the status of the call.
#[derive(Debug)]
struct ObservedBody {
    body: Body,
    record: CallRecord,
}

impl<S> Layer<S> for ObserveLayer {
    type Service = ObservedService<S>;

    fn layer(&self, inner: S) -> ObservedService<S> {
        ObservedService { inner, calls: Arc::clone(&self.calls) }
    }
}

impl<S: Service<Request, Response = Response>> Service<Request> for ObservedService<S> {
    type Response = Response;
    type Error = S::Error;
    type Future = Observing<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let started = Instant::now();
        let key = CallKey::from_request(&request);
        let request_context = RequestContext::of_request(request.extensions());
        let span = key.span(request_context.map(|request_context| request_context.id()));
        context::incoming(&span, |name| request.headers().get(name)?.to_str().ok());
        let inner = span.in_scope(|| self.inner.call(request));
        let calls = Arc::clone(&self.calls);
        let record = CallRecord { key, calls, started, begun_after: None, is_recorded: false };
        Observing { inner, span, record: Some(record) }
    }
}

pin_project! {
    /// The response future of a recorded call.
    pub(crate) struct Observing<F> {
        #[pin]
        inner: F,
        span: Span,
        record: Option<CallRecord>,
    }
}

impl<F: Future<Output = Result<Response, E>>, E> Future for Observing<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _entered = this.span.enter();
        let response = ready!(this.inner.poll(context))?;
        Poll::Ready(Ok(match this.record.take() {
            Some(record) => record.observe(response),
            None => response,
        }))
    }
}

impl CallRecord {
    /// Records the call if the head of its response has the status, or else when the status follows.
    fn observe(mut self, response: Response) -> Response {
        if let Some(status) = self.key.status(&response) {
            self.finish(status);
            return response;
        }
        self.begun_after = Some(self.started.elapsed());
        if response.body().is_end_stream() {
            self.finish(Status::UNKNOWN);
            return response;
        }
        response.map(|body| Body::new(ObservedBody { body, record: self }))
    }

    /// Records the call with this status, unless it was recorded before.
    fn finish(&mut self, status: Status) {
        if !self.is_recorded {
            self.is_recorded = true;
            let duration = self.begun_after.unwrap_or_else(|| self.started.elapsed());
            self.calls.record(&self.key, status, self.begun_after.is_some(), duration.as_secs_f64());
        }
    }
}

impl Drop for CallRecord {
    fn drop(&mut self) {
        // A request that is not gRPC has no status that tells this.
        if self.key.is_grpc() {
            self.finish(Status::CANCELLED);
        }
    }
}

impl http_body::Body for ObservedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref() {
                    self.record.finish(Status::from_headers(trailers).unwrap_or(Status::UNKNOWN));
                }
            }
            Some(Err(_)) | None => self.record.finish(Status::UNKNOWN),
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

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, future::pending, task::Waker};

    use axum::http::HeaderMap;
    use futures_util::stream;
    use http_body_util::{BodyExt as _, StreamBody};
    use tonic::Code;
    use tower::{ServiceExt as _, service_fn};

    use super::*;

    const METHOD: &str = "service/Upload";

    fn request() -> Request {
        let request = Request::post(format!("/{METHOD}")).header("content-type", "application/grpc");
        request.body(Body::empty()).unwrap()
    }

    /// Returns a response with a message, and the trailers of this status.
    fn response(code: Code) -> Response {
        let mut trailers = HeaderMap::new();
        tonic::Status::new(code, "").add_header(&mut trailers).unwrap();
        let frames = [Frame::data(Bytes::from_static(b"message")), Frame::trailers(trailers)];
        let body = Body::new(StreamBody::new(stream::iter(frames.map(Ok::<_, axum::Error>))));
        Response::builder().header("content-type", "application/grpc").body(body).unwrap()
    }

    /// Calls a method that responds with this status at its end, and returns the response with what was recorded before
    /// it was read.
    async fn call(layer: &ObserveLayer, code: Code) -> (Response, Vec<usize>) {
        let service = service_fn(move |_: Request| async move { Ok::<_, Infallible>(response(code)) });
        let response = layer.layer(service).oneshot(request()).await.unwrap();
        (response, layer.calls.recorded_codes(METHOD))
    }

    #[tokio::test]
    async fn a_stream_has_the_status_of_its_end() {
        for code in [Code::Ok, Code::InvalidArgument, Code::Internal] {
            let layer = ObserveLayer::default();
            let (response, before) = call(&layer, code).await;
            assert_eq!(before, [0; 0]);
            assert!(response.into_body().collect().await.is_ok());
            assert_eq!(layer.calls.recorded_codes(METHOD), [code as usize]);
        }
    }

    #[tokio::test]
    async fn a_call_that_its_client_abandons_is_cancelled() {
        let layer = ObserveLayer::default();
        let (response, _) = call(&layer, Code::Ok).await;
        drop(response);
        assert_eq!(layer.calls.recorded_codes(METHOD), [Code::Cancelled as usize]);

        // Also before it responds, once the method is known.
        let layer = ObserveLayer::default();
        let (response, _) = call(&layer, Code::Ok).await;
        response.into_body().collect().await.unwrap();
        let waiting = layer.layer(service_fn(|_: Request| pending::<Result<Response, Infallible>>()));
        let mut waiting = Box::pin(waiting.oneshot(request()));
        assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(waiting);
        assert_eq!(layer.calls.recorded_codes(METHOD), [0, Code::Cancelled as usize]);
    }
}
