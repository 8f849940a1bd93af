//! Duration and span of every call, for both protocols.
//!
//! The names follow the OpenTelemetry conventions: `rpc.server.call.duration` for gRPC,
//! `http.server.request.duration` for all other requests. The duration ends with the head of the response,
//! which follows the end of the work for all calls except streams. The instruments of a call are found by its
//! path and kept; unknown paths share one set.

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
    metrics::{BoundHistogram, Histogram, KeyValue, durations},
};
use pin_project_lite::pin_project;
use tonic::Code;
use tower::{Layer, Service};
use tracing::Span;

use crate::grpc::is_grpc;

/// The statuses with labels of their own; all others are counted as the last one.
const STATUSES: [u16; 20] =
    [200, 204, 304, 400, 401, 403, 404, 405, 406, 408, 412, 413, 415, 422, 429, 431, 500, 501, 503, 504];
/// Number of gRPC status codes, 0 to 16.
const CODES: usize = 17;
/// Maximum number of paths that are kept. There are about fifty; the bound guards against omissions.
const MOST: usize = 256;

/// The layer in front of all routes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Observe {
    calls: Arc<Calls>,
}

/// A service whose calls are recorded.
#[derive(Debug, Clone)]
pub(crate) struct Observed<S> {
    inner: S,
    calls: Arc<Calls>,
}

/// The instruments of the known calls, and one histogram per protocol.
#[derive(Debug)]
struct Calls {
    known: ArcSwap<HashMap<Key, Arc<Call>>>,
    /// The instruments of calls to unknown methods.
    other: Call,
    rpc: Histogram<f64>,
    http: Histogram<f64>,
}

/// The identity of a call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    /// A gRPC method, by its path.
    Rpc(Arc<str>),
    /// An HTTP method and a route; `None` for a path without a route.
    Http(Method, Option<Route>),
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

/// The instruments of one call, one per status, each created at first use.
#[derive(Debug, Default)]
struct Call([OnceLock<BoundHistogram<f64>>; STATUSES.len()]);

impl Default for Calls {
    fn default() -> Self {
        Self {
            known: ArcSwap::default(),
            other: Call::default(),
            rpc: durations("rpc.server.call.duration", "Duration of gRPC calls"),
            http: durations("http.server.request.duration", "Duration of HTTP requests other than gRPC"),
        }
    }
}

impl<S> Layer<S> for Observe {
    type Service = Observed<S>;

    fn layer(&self, inner: S) -> Observed<S> {
        Observed { inner, calls: Arc::clone(&self.calls) }
    }
}

impl<S: Service<Request, Response = Response>> Service<Request> for Observed<S> {
    type Response = Response;
    type Error = S::Error;
    type Future = Observing<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let started = Instant::now();
        let key = Key::of(&request);
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
        key: Option<Key>,
        calls: Arc<Calls>,
        started: Instant,
    }
}

impl<F: Future<Output = Result<Response, E>>, E> Future for Observing<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _entered = this.span.enter();
        let answer = ready!(this.inner.poll(context));
        if let (Some(key), Ok(response)) = (this.key.take(), &answer) {
            this.calls.ended(&key, response, this.started.elapsed().as_secs_f64());
        }
        Poll::Ready(answer)
    }
}

impl Calls {
    fn ended(&self, key: &Key, response: &Response, seconds: f64) {
        let place = key.place(response);
        let known = self.known.load();
        if let Some(call) = known.get(key) {
            return call.record(self, key, place, seconds);
        }
        if !key.is_there(place) || known.len() >= MOST {
            return self.other.record(self, &Key::Rpc("".into()), place, seconds);
        }
        let call = Arc::new(Call::default());
        call.record(self, key, place, seconds);
        self.known.rcu(|known| {
            let mut known = HashMap::clone(known);
            known.entry(key.clone()).or_insert_with(|| Arc::clone(&call));
            known
        });
    }
}

impl Call {
    fn record(&self, calls: &Calls, key: &Key, place: usize, seconds: f64) {
        let histogram = if matches!(key, Key::Rpc(_)) { &calls.rpc } else { &calls.http };
        self.0[place].get_or_init(|| histogram.bind(&key.labels(place))).record(seconds);
    }
}

impl Key {
    fn of(request: &Request) -> Self {
        if is_grpc(request.headers()) {
            return Self::Rpc(request.uri().path().trim_start_matches('/').into());
        }
        let method = match *request.method() {
            Method::GET | Method::HEAD | Method::POST => request.method().clone(),
            // Clients can send any word as a method.
            _ => Method::OPTIONS,
        };
        Self::Http(method, request.extensions().get::<MatchedPath>().cloned().map(Route))
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

    /// Returns whether this response shows that the method exists: the names that clients choose must not be
    /// kept.
    fn is_there(&self, place: usize) -> bool {
        const BEFORE: [Code; 4] =
            [Code::Unimplemented, Code::Unauthenticated, Code::PermissionDenied, Code::ResourceExhausted];
        matches!(self, Self::Http(..)) || BEFORE.iter().all(|&code| code as usize != place)
    }

    /// Returns the index of the instrument for a response.
    fn place(&self, response: &Response) -> usize {
        match self {
            Self::Rpc(_) if !is_grpc(response.headers()) => Code::Unimplemented as usize,
            // Only an error has the status in the head of the response; otherwise the trailer has status 0.
            Self::Rpc(_) => {
                let status = response.headers().get("grpc-status").map_or(&b"0"[..], HeaderValue::as_bytes);
                (Code::from_bytes(status) as usize).min(CODES - 1)
            }
            Self::Http(..) => {
                let status = response.status().as_u16();
                STATUSES.iter().position(|&known| known == status).unwrap_or(STATUSES.len() - 1)
            }
        }
    }

    fn labels(&self, place: usize) -> Vec<KeyValue> {
        match self {
            Self::Rpc(method) => {
                let method = if method.is_empty() { "_OTHER" } else { method };
                vec![
                    KeyValue::new("rpc.system.name", "grpc"),
                    KeyValue::new("rpc.method", method.to_owned()),
                    KeyValue::new("rpc.response.status_code", CODE_NAMES[place]),
                ]
            }
            Self::Http(method, route) => {
                let method = if method == Method::OPTIONS { "_OTHER" } else { method.as_str() };
                let mut labels = vec![
                    KeyValue::new("http.request.method", method.to_owned()),
                    KeyValue::new("http.response.status_code", i64::from(STATUSES[place])),
                ];
                labels.extend(
                    route.as_ref().map(|Route(route)| KeyValue::new("http.route", route.as_str().to_owned())),
                );
                labels
            }
        }
    }
}

/// The names of the gRPC status codes, as the conventions spell them.
const CODE_NAMES: [&str; CODES] = [
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
