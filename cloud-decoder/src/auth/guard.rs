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

use super::{
    Access, Denial,
    api_router::AccessTable,
    failed_attempts::FailedAttempts,
    identity::ClientIdentity,
    keys::{ApiKeys, KeyName},
    lease::KeyLease,
    leased_body::{CutOff, LeasedBody},
    usage::{CostBudget, CurrentTime},
};
use crate::{
    api::{
        error_grpc::resource_exhausted,
        error_http::{ApiError, retry_seconds},
    },
    telemetry::request_context::RequestContext,
    transport::{BodyPermit, ConnectionPeer, FrontEvent, FrontStats, is_grpc},
};

/// State of the layer.
#[derive(Debug, Clone)]
pub(crate) struct GuardState {
    pub(super) keys: watch::Receiver<Arc<ApiKeys>>,
    pub(super) failures: Arc<FailedAttempts>,
    pub(super) stats: Arc<FrontStats>,
    pub(super) access: Arc<AccessTable>,
}

/// Passes requests to open routes, and requests with a key that has the required scope. The name of the key, the
/// identity of the client and the budget of the key are added to the request's extensions. The memory of the request's body is counted for the
/// key. Both bodies end together with the validity of the key. Other requests are refused and counted.
pub(super) async fn check_key(State(guard): State<GuardState>, mut request: Request, next: Next) -> Response {
    let matched = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let access = guard.access.required(request.method(), request.uri().path(), matched);
    let Access::Needs(scope) = access else { return next.run(request).await };
    let (is_grpc, peer) = (is_grpc(request.headers()), connection_peer(&request));
    let mut keys = guard.keys.clone();
    let current = Arc::clone(&keys.borrow_and_update());
    let key = match current.admit(presented_key(request.headers()), scope, CurrentTime::read()) {
        Ok(key) => key,
        Err(denied) => return refuse(&guard.count_denial(denied, peer.as_deref()), is_grpc),
    };
    if let Some(permit) = request.extensions().get::<Arc<BodyPermit>>() {
        permit.assign_key(&key.name);
    }
    if let Some(request_context) = RequestContext::of_request(request.extensions()) {
        request_context.set_key(&key.name);
    }
    let lease = KeyLease::new(key, scope, keys, Arc::clone(&guard.stats));
    let identity = ClientIdentity::new(Some(lease.clone()), peer, guard.stats);
    request.extensions_mut().insert(KeyName(Arc::clone(&key.name)));
    request.extensions_mut().insert(identity);
    if key.gmacs_per_minute.is_some() {
        request.extensions_mut().insert(CostBudget::new(key.gmacs_per_minute, &key.usage));
    }
    let cut_off = if is_grpc { CutOff::GrpcError } else { CutOff::Error };
    let response = next.run(request.map(|body| LeasedBody::wrap(body, &lease, cut_off))).await;
    if lease.has_ended() {
        lease.record_end();
        return refuse(&Denial::Revoked, is_grpc);
    }
    let cut_off = if is_grpc { CutOff::GrpcTrailers } else { CutOff::Error };
    response.map(|body| LeasedBody::wrap(body, &lease, cut_off))
}

/// Adds the identity of the client to the request's extensions, for a server without keys.
pub(super) async fn add_identity(State(stats): State<Arc<FrontStats>>, mut request: Request) -> Request {
    let identity = ClientIdentity::new(None, connection_peer(&request), stats);
    request.extensions_mut().insert(identity);
    request
}

impl GuardState {
    /// Counts a refusal. After too many invalid keys of a peer, the peer is told to wait instead.
    fn count_denial(&self, denied: Denial, peer: Option<&ConnectionPeer>) -> Denial {
        let denied = match denied {
            Denial::Unknown | Denial::Inactive => {
                let recorded =
                    self.failures.record(peer.map(ConnectionPeer::address), CurrentTime::read().instant);
                recorded.map_or_else(Denial::TooManyFailures, |()| denied)
            }
            denied => denied,
        };
        self.stats.count(denial_event(&denied));
        denied
    }
}

fn connection_peer(request: &Request) -> Option<Arc<ConnectionPeer>> {
    request.extensions().get::<Arc<ConnectionPeer>>().cloned()
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
        Denial::Revoked => FrontEvent::Revoked,
        Denial::TooManyFailures(_) => FrontEvent::FailuresLimited,
        Denial::RateLimited(_) => FrontEvent::RateLimited,
        Denial::QuotaExceeded(_) => FrontEvent::QuotaExceeded,
    }
}

fn refuse(denied: &Denial, is_grpc: bool) -> Response {
    if is_grpc { grpc_refusal(denied) } else { http_refusal(denied) }
}

fn http_refusal(denied: &Denial) -> Response {
    let (status, header) = match denied {
        Denial::Missing => {
            (StatusCode::UNAUTHORIZED, (WWW_AUTHENTICATE, "Bearer realm=\"cloud-decoder\"".into()))
        }
        Denial::Unknown | Denial::Inactive | Denial::Revoked => {
            let challenge = "Bearer realm=\"cloud-decoder\", error=\"invalid_token\"";
            (StatusCode::UNAUTHORIZED, (WWW_AUTHENTICATE, challenge.to_owned()))
        }
        Denial::MissingScope(scope) => {
            let challenge =
                format!("Bearer error=\"insufficient_scope\", scope=\"{}\"", super::scope_name(*scope));
            (StatusCode::FORBIDDEN, (WWW_AUTHENTICATE, challenge))
        }
        Denial::RateLimited(wait) | Denial::QuotaExceeded(wait) | Denial::TooManyFailures(wait) => {
            (StatusCode::TOO_MANY_REQUESTS, (RETRY_AFTER, retry_seconds(*wait).to_string()))
        }
    };
    ([header], ApiError::Http(status, denied.to_string())).into_response()
}

fn grpc_refusal(denied: &Denial) -> Response {
    let message = denied.to_string();
    let status = match denied {
        Denial::Missing | Denial::Unknown | Denial::Inactive | Denial::Revoked => {
            Status::unauthenticated(message)
        }
        Denial::MissingScope(_) => Status::permission_denied(message),
        Denial::RateLimited(wait) | Denial::QuotaExceeded(wait) | Denial::TooManyFailures(wait) => {
            resource_exhausted(message, *wait)
        }
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
