//! Extractors for axum whose rejections look like all other errors: a status and `{"error": "…"}`.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{HeaderValue, StatusCode, header::CONTENT_ENCODING, request::Parts},
};
use serde::de::DeserializeOwned;

use crate::error_http::Refusal;

/// The parameters of a path.
#[derive(Debug)]
pub(crate) struct InPath<T>(pub(crate) T);

/// The parameters of a query.
#[derive(Debug)]
pub(crate) struct InQuery<T>(pub(crate) T);

/// A complete, decompressed body of at most as many bytes as the route accepts.
#[derive(Debug)]
pub(crate) struct WholeBody(pub(crate) Bytes);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for InPath<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(named)| Self(named)).map_err(|error| Refusal::Http(error.status(), error.body_text()))
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for InQuery<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let query = Query::from_request_parts(parts, state).await;
        query
            .map(|Query(asked)| Self(asked))
            .map_err(|error| Refusal::Http(error.status(), error.body_text()))
    }
}

impl<S: Send + Sync> FromRequest<S> for WholeBody {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        // The decompression layer removes the header, so that a remaining one is an unsupported encoding.
        let packed = request.headers().get(CONTENT_ENCODING).map_or(&[][..], HeaderValue::as_bytes);
        if !packed.is_empty() && !packed.eq_ignore_ascii_case(b"identity") {
            let reason = "the content encoding is not supported: send gzip, deflate or none".to_owned();
            return Err(Refusal::Http(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason));
        }
        let body = Bytes::from_request(request, state).await;
        body.map(Self).map_err(|error| Refusal::Http(error.status(), error.body_text()))
    }
}
