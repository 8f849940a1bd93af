//! Duration and span of every call, for both protocols.
//!
//! The names follow the OpenTelemetry conventions: `rpc.server.call.duration` for gRPC,
//! `http.server.request.duration` for all other requests. The duration ends with the head of the response,
//! which follows the end of the work for all calls except streams. The instruments of a call are found by its
//! path and cached; unknown paths share one set.

use std::{
    collections::HashMap,
    future::Future,
    hash::{Hash, Hasher},
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
    time::Instant,
};

use arc_swap::ArcSwap;
use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderValue, Method},
    response::Response,
};
use lopside_telemetry::{
    context,
    metrics::{BoundHistogram, Histogram, KeyValue, duration_histogram},
};
use pin_project_lite::pin_project;
use tonic::Code;
use tower::{Layer, Service};
use tracing::Span;

use crate::transport::is_grpc;

/// The HTTP statuses whose instruments are cached per route; any other status is recorded with its own number as
/// well, but its labels are looked up each time.
const STATUSES: [u16; 22] = [
    200, 204, 304, 400, 401, 403, 404, 405, 406, 408, 409, 412, 413, 415, 416, 422, 429, 431, 500, 501, 503,
    504,
];
/// The label of a method or a gRPC call that is not known, as the conventions spell it.
const OTHER: &str = "_OTHER";
/// Number of gRPC status codes, 0 to 16.
const CODE_COUNT: usize = 17;
/// Maximum number of cached paths. There are about fifty; the limit guards against omissions.
const MAX_PATHS: usize = 256;

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

/// The instruments of the known calls, and one histogram per protocol.
#[derive(Debug)]
struct CallInstruments {
    known: ArcSwap<HashMap<CallKey, Arc<StatusHistograms>>>,
    rpc: Histogram<f64>,
    http: Histogram<f64>,
}

/// The identity of a call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum CallKey {
    /// A gRPC method, by its path.
    Rpc(Arc<str>),
    /// An HTTP method, or [`OTHER`] for one that the conventions do not know, and a route; `None` for a path without a route.
    Http(&'static str, Option<Route>),
}

/// A route, compared by its text.
#[derive(Debug, Clone)]
struct Route(MatchedPath);

impl PartialEq for Route {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Route {}

impl Hash for Route {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.0.as_str().hash(hasher);
    }
}

/// The status of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    /// A gRPC status code, 0 to 16.
    Rpc(usize),
    /// An HTTP status.
    Http(u16),
}

/// The instruments of one call, one per cached status, each created at first use.
#[derive(Debug, Default)]
struct StatusHistograms([OnceLock<BoundHistogram<f64>>; STATUSES.len()]);

impl Default for CallInstruments {
    fn default() -> Self {
        Self {
            known: ArcSwap::default(),
            rpc: duration_histogram("rpc.server.call.duration", "Duration of gRPC calls"),
            http: duration_histogram(
                "http.server.request.duration",
                "Duration of HTTP requests other than gRPC",
            ),
        }
    }
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
        let span = key.span();
        context::incoming(&span, |name| request.headers().get(name)?.to_str().ok());
        let inner = span.in_scope(|| self.inner.call(request));
        Observing { inner, span, key: Some(key), calls: Arc::clone(&self.calls), started }
    }
}

pin_project! {
    /// The response future of a recorded call.
    pub(crate) struct Observing<F> {
        #[pin]
        inner: F,
        span: Span,
        key: Option<CallKey>,
        calls: Arc<CallInstruments>,
        started: Instant,
    }
}

impl<F: Future<Output = Result<Response, E>>, E> Future for Observing<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _entered = this.span.enter();
        let result = ready!(this.inner.poll(context));
        if let (Some(key), Ok(response)) = (this.key.take(), &result) {
            this.calls.record(&key, response, this.started.elapsed().as_secs_f64());
        }
        Poll::Ready(result)
    }
}

impl CallInstruments {
    /// Records the duration of a call.
    fn record(&self, key: &CallKey, response: &Response, seconds: f64) {
        let status = key.status(response);
        let known = self.known.load();
        if let Some(call) = known.get(key) {
            return call.record(self, key, status, seconds);
        }
        if !status.proves_method() || known.len() >= MAX_PATHS {
            let key = key.anonymous();
            return self.histogram(&key).record(seconds, &key.labels(status));
        }
        let call = Arc::new(StatusHistograms::default());
        call.record(self, key, status, seconds);
        self.known.rcu(|known| {
            let mut known = HashMap::clone(known);
            known.entry(key.clone()).or_insert_with(|| Arc::clone(&call));
            known
        });
    }

    fn histogram(&self, key: &CallKey) -> &Histogram<f64> {
        if matches!(key, CallKey::Rpc(_)) { &self.rpc } else { &self.http }
    }
}

impl StatusHistograms {
    fn record(&self, calls: &CallInstruments, key: &CallKey, status: Status, seconds: f64) {
        let histogram = calls.histogram(key);
        match status.slot().and_then(|slot| self.0.get(slot)) {
            Some(cached) => cached.get_or_init(|| histogram.bind(&key.labels(status))).record(seconds),
            None => histogram.record(seconds, &key.labels(status)),
        }
    }
}

impl Status {
    /// Returns whether a response with this status shows that the method exists: the names that clients choose must
    /// not be cached.
    fn proves_method(self) -> bool {
        const UNPROVEN_CODES: [Code; 4] =
            [Code::Unimplemented, Code::Unauthenticated, Code::PermissionDenied, Code::ResourceExhausted];
        UNPROVEN_CODES.iter().all(|&code| self != Self::Rpc(code as usize))
    }

    /// Returns the index of the cached instrument of this status; `None` for a rare HTTP status.
    fn slot(self) -> Option<usize> {
        match self {
            Self::Rpc(code) => Some(code),
            Self::Http(status) => STATUSES.iter().position(|&cached| cached == status),
        }
    }
}

impl CallKey {
    fn from_request(request: &Request) -> Self {
        if is_grpc(request.headers()) {
            return Self::Rpc(request.uri().path().trim_start_matches('/').into());
        }
        Self::Http(
            method_name(request.method()),
            request.extensions().get::<MatchedPath>().cloned().map(Route),
        )
    }

    fn span(&self) -> Span {
        match self {
            Self::Rpc(method) => tracing::info_span!(
                "request", otel.name = %method, otel.kind = "server", rpc.system.name = "grpc", rpc.method = %method
            ),
            Self::Http(method, route) => {
                let route = route.as_ref().map_or("", |Route(route)| route.as_str());
                tracing::info_span!(
                    "request",
                    otel.name = format_args!("{method} {route}"),
                    otel.kind = "server",
                    http.request.method = %method,
                    http.route = route,
                )
            }
        }
    }

    /// Returns the key under which a call is recorded without the name that its client chose.
    fn anonymous(&self) -> Self {
        match self {
            Self::Rpc(_) => Self::Rpc(OTHER.into()),
            Self::Http(method, _) => Self::Http(method, None),
        }
    }

    fn status(&self, response: &Response) -> Status {
        match self {
            Self::Rpc(_) if !is_grpc(response.headers()) => Status::Rpc(Code::Unimplemented as usize),
            // Only an error has the status in the head of the response; otherwise the trailer has status 0.
            Self::Rpc(_) => {
                let status = response.headers().get("grpc-status").map_or(&b"0"[..], HeaderValue::as_bytes);
                Status::Rpc((Code::from_bytes(status) as usize).min(CODE_COUNT - 1))
            }
            Self::Http(..) => Status::Http(response.status().as_u16()),
        }
    }

    fn labels(&self, status: Status) -> Vec<KeyValue> {
        let mut labels = match self {
            Self::Rpc(method) => {
                vec![
                    KeyValue::new("rpc.system.name", "grpc"),
                    KeyValue::new("rpc.method", method.to_string()),
                ]
            }
            Self::Http(method, route) => {
                let route =
                    route.as_ref().map(|Route(route)| KeyValue::new("http.route", route.as_str().to_owned()));
                [KeyValue::new("http.request.method", *method)].into_iter().chain(route).collect()
            }
        };
        labels.push(match status {
            Status::Rpc(code) => KeyValue::new("rpc.response.status_code", CODE_NAMES[code]),
            Status::Http(status) => KeyValue::new("http.response.status_code", i64::from(status)),
        });
        labels
    }
}

/// Returns the name of a method of RFC 9110 or RFC 5789; clients can send any other word, which becomes [`OTHER`].
fn method_name(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or(OTHER)
}

/// The names of the gRPC status codes, as the conventions spell them.
const CODE_NAMES: [&str; CODE_COUNT] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    fn label(key: &CallKey, status: Status, name: &str) -> String {
        let labels = key.labels(status);
        let label = labels.iter().find(|label| label.key.as_str() == name);
        label.map(|label| label.value.to_string()).unwrap_or_default()
    }

    #[test]
    fn every_http_status_is_recorded_with_its_own_number() {
        let key = CallKey::Http("GET", None);
        for status in (100..600).filter_map(|status| StatusCode::from_u16(status).ok()) {
            let mut response = Response::default();
            *response.status_mut() = status;
            let found = label(&key, key.status(&response), "http.response.status_code");
            assert_eq!(found, status.as_str());
        }
    }

    #[test]
    fn known_methods_keep_their_names_and_other_words_share_one() {
        for method in [Method::OPTIONS, Method::PUT, Method::PATCH, Method::TRACE] {
            assert_eq!(method_name(&method), method.as_str());
        }
        assert_eq!(method_name(&Method::from_bytes(b"BREW").unwrap()), OTHER);
    }

    #[test]
    fn calls_beyond_the_cached_paths_are_recorded_without_their_names() {
        let calls = CallInstruments::default();
        for number in 0..MAX_PATHS + 10 {
            calls.record(&CallKey::Rpc(format!("service/{number}").into()), &grpc_response(), 0.1);
        }
        assert_eq!(calls.known.load().len(), MAX_PATHS);
        let mut response = Response::default();
        *response.status_mut() = StatusCode::GATEWAY_TIMEOUT;
        calls.record(&CallKey::Http("GET", None), &response, 0.1);
        assert_eq!(calls.known.load().len(), MAX_PATHS);
        let other = CallKey::Rpc("service/invented".into()).anonymous();
        assert_eq!(label(&other, Status::Rpc(12), "rpc.method"), OTHER);
        assert_eq!(label(&other, Status::Rpc(12), "rpc.response.status_code"), "UNIMPLEMENTED");
    }

    fn grpc_response() -> Response {
        let mut response = Response::default();
        response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
        response
    }
}
