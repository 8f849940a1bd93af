use axum::http::{HeaderMap, header::CONTENT_TYPE};

/// Returns whether a request or response with these headers belongs to a gRPC call.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}
