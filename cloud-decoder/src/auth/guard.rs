//! The authentication layer before all routes: admits requests by their key and the access that their route
//! declares, and refuses others over REST and over gRPC.

use std::sync::Arc;

use axum::{
    extract::{MatchedPath, Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tokio::sync::watch;
use tonic::Status;

use super::{Access, ApiKeys, CurrentTime, Denial, api_router::AccessTable};
use crate::{
    api::{
        error_grpc::resource_exhausted,
        error_http::{ApiError, retry_seconds},
    },
    transport::{FrontEvent, FrontStats, is_grpc},
};

/// State of the layer.
#[derive(Debug, Clone)]
pub(crate) struct AuthState {
    pub(crate) keys: watch::Receiver<Arc<ApiKeys>>,
    pub(crate) stats: Arc<FrontStats>,
    pub(crate) access: Arc<AccessTable>,
}

/// Passes requests to open routes, and requests with a key that has the required scope. The name of the key is
/// added to the request's extensions. Other requests are refused and counted.
pub(crate) async fn check_key(State(guard): State<AuthState>, mut request: Request, next: Next) -> Response {
    let matched = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let access = guard.access.required(request.method(), request.uri().path(), matched);
    let Access::Needs(scope) = access else { return next.run(request).await };
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
    fn a_key_is_read_from_two_headers_and_bearer_takes_precedence() {
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
