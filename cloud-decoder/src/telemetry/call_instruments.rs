//! The instruments of calls: a duration by method or route and by status.
//!
//! The instruments of a call are found by its path and cached; unknown paths share one set.

use std::{
    collections::HashMap,
    hash::{Hash, Hasher},
    sync::{Arc, OnceLock},
};

use arc_swap::ArcSwap;
use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderMap, HeaderValue, Method},
    response::Response,
};
use lopside_telemetry::metrics::{BoundHistogram, Histogram, KeyValue, duration_histogram};
use tonic::Code;
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

/// The instruments of the known calls, and one histogram per protocol.
#[derive(Debug)]
pub(super) struct CallInstruments {
    known: ArcSwap<HashMap<CallKey, Arc<StatusHistograms>>>,
    rpc: Histogram<f64>,
    http: Histogram<f64>,
}

/// The identity of a call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum CallKey {
    /// A gRPC method, by its path.
    Rpc(Arc<str>),
    /// An HTTP method, or [`OTHER`] for one that the conventions do not know, and a route; `None` for a path without a route.
    Http(&'static str, Option<Route>),
}

/// A route, compared by its text.
#[derive(Debug, Clone)]
pub(super) struct Route(MatchedPath);

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
pub(super) enum Status {
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

impl CallInstruments {
    /// Records the duration of a call. `has_begun` tells that its method has begun to respond, which shows that it
    /// exists.
    pub(super) fn record(&self, key: &CallKey, status: Status, has_begun: bool, seconds: f64) {
        let known = self.known.load();
        if let Some(call) = known.get(key) {
            return call.record(self, key, status, seconds);
        }
        if !(has_begun || status.proves_method()) || known.len() >= MAX_PATHS {
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

    /// Returns the status codes that were recorded for a known gRPC method.
    #[cfg(test)]
    pub(super) fn recorded_codes(&self, method: &str) -> Vec<usize> {
        let known = self.known.load();
        let Some(call) = known.get(&CallKey::Rpc(method.into())) else { return Vec::new() };
        (0..CODE_COUNT).filter(|code| call.0[*code].get().is_some()).collect()
    }

    fn histogram(&self, key: &CallKey) -> &Histogram<f64> {
        if key.is_grpc() { &self.rpc } else { &self.http }
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
    /// A call whose client has cancelled it, or has disconnected.
    pub(super) const CANCELLED: Self = Self::Rpc(Code::Cancelled as usize);
    /// A gRPC response that ends without a status.
    pub(super) const UNKNOWN: Self = Self::Rpc(Code::Unknown as usize);

    /// Returns the status of a gRPC call from the head or the trailers of its response.
    pub(super) fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let code = Code::from_bytes(headers.get(tonic::Status::GRPC_STATUS).map(HeaderValue::as_bytes)?);
        Some(Self::Rpc((code as usize).min(CODE_COUNT - 1)))
    }

    /// Returns whether a response with this status shows that the method exists: the names that clients choose must
    /// not be cached.
    fn proves_method(self) -> bool {
        const UNPROVEN_CODES: [Code; 5] = [
            Code::Cancelled,
            Code::Unimplemented,
            Code::Unauthenticated,
            Code::PermissionDenied,
            Code::ResourceExhausted,
        ];
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
    pub(super) fn from_request(request: &Request) -> Self {
        if is_grpc(request.headers()) {
            return Self::Rpc(request.uri().path().trim_start_matches('/').into());
        }
        Self::Http(
            method_name(request.method()),
            request.extensions().get::<MatchedPath>().cloned().map(Route),
        )
    }

    /// Returns the span of a request with this id.
    pub(super) fn span(&self, request_id: Option<&str>) -> Span {
        match self {
            Self::Rpc(method) => tracing::info_span!(
                "request",
                otel.name = %method,
                otel.kind = "server",
                rpc.system.name = "grpc",
                rpc.method = %method,
                request_id,
            ),
            Self::Http(method, route) => {
                let route = route.as_ref().map_or("", |Route(route)| route.as_str());
                tracing::info_span!(
                    "request",
                    otel.name = format_args!("{method} {route}"),
                    otel.kind = "server",
                    http.request.method = %method,
                    http.route = route,
                    request_id,
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

    /// Returns whether this is a gRPC call.
    pub(super) fn is_grpc(&self) -> bool {
        matches!(self, Self::Rpc(_))
    }

    /// Returns the status in the head of a response; `None` for a gRPC call whose status follows in the trailers.
    pub(super) fn status(&self, response: &Response) -> Option<Status> {
        match self {
            Self::Rpc(_) if !is_grpc(response.headers()) => Some(Status::Rpc(Code::Unimplemented as usize)),
            Self::Rpc(_) => Status::from_headers(response.headers()),
            Self::Http(..) => Some(Status::Http(response.status().as_u16())),
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
            let found = label(&key, key.status(&response).unwrap(), "http.response.status_code");
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
            calls.record(&CallKey::Rpc(format!("service/{number}").into()), Status::Rpc(0), false, 0.1);
        }
        assert_eq!(calls.known.load().len(), MAX_PATHS);
        calls.record(&CallKey::Http("GET", None), Status::Http(504), false, 0.1);
        assert_eq!(calls.known.load().len(), MAX_PATHS);
        let other = CallKey::Rpc("service/invented".into()).anonymous();
        assert_eq!(label(&other, Status::Rpc(12), "rpc.method"), OTHER);
        assert_eq!(label(&other, Status::Rpc(12), "rpc.response.status_code"), "UNIMPLEMENTED");
    }

    #[test]
    fn a_cancelled_call_is_recorded_by_name_only_if_its_method_exists() {
        let calls = CallInstruments::default();
        calls.record(&CallKey::Rpc("service/invented".into()), Status::CANCELLED, false, 0.1);
        assert!(calls.known.load().is_empty());
        calls.record(&CallKey::Rpc("service/Upload".into()), Status::CANCELLED, true, 0.1);
        assert_eq!(calls.recorded_codes("service/Upload"), [1]);
    }
}
