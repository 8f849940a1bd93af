//! The authentication layer before all routes: which paths need a key, and how a refusal is sent over REST and
//! over gRPC.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, Method, StatusCode,
        header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tokio::sync::watch;
use tonic::Status;

use super::{ApiKeys, CurrentTime, Denial, Scope};
use crate::{
    error_grpc::resource_exhausted,
    error_http::{ApiError, retry_seconds},
    front::{FrontEvent, FrontStats},
    grpc::is_grpc,
};

/// State of the layer.
#[derive(Debug, Clone)]
pub(crate) struct AuthState {
    pub(crate) keys: watch::Receiver<Arc<ApiKeys>>,
    pub(crate) stats: Arc<FrontStats>,
}

/// Passes requests to open paths, and requests with a key that has the required scope. The name of the key is
/// added to the request's extensions. Other requests are refused and counted.
pub(crate) async fn check_key(State(guard): State<AuthState>, mut request: Request, next: Next) -> Response {
    let Some(scope) = required_scope(request.method(), request.uri().path()) else {
        return next.run(request).await;
    };
    let keys = Arc::clone(&guard.keys.borrow());
    match keys.admit(presented_key(request.headers()), scope, CurrentTime::read()) {
        Ok(name) => {
            request.extensions_mut().insert(name);
            next.run(request).await
        }
        Err(denied) => {
            guard.stats.count(denial_event(&denied));
            if is_grpc(request.headers()) { grpc_refusal(&denied) } else { http_refusal(&denied) }
        }
    }
}

/// Returns the scope that a request needs; `None` for liveness and readiness probes. Unknown paths also need a
/// scope, so that a new route is not open by accident.
fn required_scope(method: &Method, path: &str) -> Option<Scope> {
    const OPEN: [&str; 6] = [
        "/healthz",
        "/readyz",
        "/v2/health/live",
        "/v2/health/ready",
        "/inference.GRPCInferenceService/ServerLive",
        "/inference.GRPCInferenceService/ServerReady",
    ];
    const INDEX: [&str; 2] = ["/v2/repository/index", "/inference.GRPCInferenceService/RepositoryIndex"];
    const ADMIN: [&str; 2] = ["/v2/repository", "/inference.GRPCInferenceService/Repository"];
    const ARCHIVE: [&str; 4] = ["/v1/devices", "/v1/frames", "/v1/live", "/v1/export"];
    const DEVICES: [&str; 2] = ["/lopside.v1.IngestService/", "/lopside.v1.BundleService/"];
    if OPEN.contains(&path) || path.starts_with("/grpc.health.v1.Health/") {
        return None;
    }
    let is_admin = ADMIN.iter().any(|prefix| path.starts_with(prefix)) && !INDEX.contains(&path);
    let is_archive = ARCHIVE.iter().any(|prefix| path.starts_with(prefix));
    Some(match path {
        "/metrics" => Scope::Metrics,
        _ if DEVICES.iter().any(|prefix| path.starts_with(prefix)) => Scope::Ingest,
        _ if is_archive && method != Method::DELETE => Scope::Archive,
        _ if is_archive => Scope::Admin,
        _ if is_admin => Scope::Admin,
        _ => Scope::Infer,
    })
}

fn presented_key(headers: &HeaderMap) -> Option<&[u8]> {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| {
        let (scheme, key) = value.as_bytes().split_at_checked(b"Bearer ".len())?;
        scheme.eq_ignore_ascii_case(b"Bearer ").then(|| key.trim_ascii())
    });
    bearer.or_else(|| headers.get("x-api-key").map(HeaderValue::as_bytes))
}

fn denial_event(denied: &Denial) -> FrontEvent {
    match denied {
        Denial::Missing | Denial::Unknown | Denial::Inactive => FrontEvent::Unauthenticated,
        Denial::MissingScope(_) => FrontEvent::Forbidden,
        Denial::RateLimited(_) => FrontEvent::RateLimited,
        Denial::QuotaExceeded(_) => FrontEvent::QuotaExceeded,
    }
}

fn http_refusal(denied: &Denial) -> Response {
    let (status, header) = match denied {
        Denial::Missing => {
            (StatusCode::UNAUTHORIZED, (WWW_AUTHENTICATE, "Bearer realm=\"cloud-decoder\"".into()))
        }
        Denial::Unknown | Denial::Inactive => {
            let challenge = "Bearer realm=\"cloud-decoder\", error=\"invalid_token\"";
            (StatusCode::UNAUTHORIZED, (WWW_AUTHENTICATE, challenge.to_owned()))
        }
        Denial::MissingScope(scope) => {
            let challenge =
                format!("Bearer error=\"insufficient_scope\", scope=\"{}\"", super::scope_name(*scope));
            (StatusCode::FORBIDDEN, (WWW_AUTHENTICATE, challenge))
        }
        Denial::RateLimited(wait) | Denial::QuotaExceeded(wait) => {
            (StatusCode::TOO_MANY_REQUESTS, (RETRY_AFTER, retry_seconds(*wait).to_string()))
        }
    };
    ([header], ApiError::Http(status, denied.to_string())).into_response()
}

fn grpc_refusal(denied: &Denial) -> Response {
    let message = denied.to_string();
    let status = match denied {
        Denial::Missing | Denial::Unknown | Denial::Inactive => Status::unauthenticated(message),
        Denial::MissingScope(_) => Status::permission_denied(message),
        Denial::RateLimited(wait) | Denial::QuotaExceeded(wait) => resource_exhausted(message, *wait),
    };
    status.into_http()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_whether_the_server_lives_is_open_and_nothing_else() {
        for path in ["/healthz", "/v2/health/ready", "/grpc.health.v1.Health/Watch"] {
            assert_eq!(required_scope(&Method::GET, path), None, "{path}");
        }
        for path in ["/", "/healthz/", "/v1/bundles", "/v2/repository/index", "/v2/health", "//healthz"] {
            assert!(required_scope(&Method::GET, path).is_some(), "{path}");
        }
        for path in [
            "/v2/repository/models/m/load",
            "/v2/repository/index/",
            "/inference.GRPCInferenceService/RepositoryModelUnload",
        ] {
            assert_eq!(required_scope(&Method::GET, path), Some(Scope::Admin), "{path}");
        }
        assert_eq!(required_scope(&Method::GET, "/metrics"), Some(Scope::Metrics));
        for path in ["/lopside.v1.IngestService/Upload", "/lopside.v1.BundleService/Download"] {
            assert_eq!(required_scope(&Method::POST, path), Some(Scope::Ingest), "{path}");
        }
        assert_eq!(required_scope(&Method::GET, "/v1/channels"), Some(Scope::Infer));
        for path in ["/v1/devices", "/v1/frames/7", "/v1/live", "/v1/export"] {
            assert_eq!(required_scope(&Method::GET, path), Some(Scope::Archive), "{path}");
        }
        assert_eq!(required_scope(&Method::DELETE, "/v1/frames/7"), Some(Scope::Admin));
    }

    #[test]
    fn a_key_may_come_in_two_headers_and_bearer_is_first() {
        let headers = |pairs: &[(&'static str, &'static str)]| {
            pairs
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect::<HeaderMap>()
        };
        for (pairs, expected) in [
            (&[("authorization", "Bearer one")][..], Some(&b"one"[..])),
            (&[("authorization", "bearer  one"), ("x-api-key", "two")], Some(b"one")),
            (&[("authorization", "Basic one"), ("x-api-key", "two")], Some(b"two")),
            (&[("authorization", "Basic one")], None),
            (&[], None),
        ] {
            assert_eq!(presented_key(&headers(pairs)), expected, "{pairs:?}");
        }
    }
}
