//! Extractors for axum whose rejections look like all other errors: a status and `{"error": "…"}`.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{HeaderValue, StatusCode, header::CONTENT_ENCODING, request::Parts},
};
use serde::de::DeserializeOwned;

use crate::{ServeError, api::error_http::ApiError, transport::BodyRefusal};

/// The parameters of a path.
#[derive(Debug)]
pub(crate) struct PathParams<T>(pub(crate) T);

/// The parameters of a query.
#[derive(Debug)]
pub(crate) struct QueryParams<T>(pub(crate) T);

/// A complete, decompressed body of at most as many bytes as the route accepts.
#[derive(Debug)]
pub(crate) struct BodyBytes(pub(crate) Bytes);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for PathParams<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(parameters)| Self(parameters))
            .map_err(|error| ApiError::Http(error.status(), error.body_text()))
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for QueryParams<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = Query::from_request_parts(parts, state).await;
        query
            .map(|Query(parameters)| Self(parameters))
            .map_err(|error| ApiError::Http(error.status(), error.body_text()))
    }
}

impl<S: Send + Sync> FromRequest<S> for BodyBytes {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        // The decompression layer removes the header, so that a remaining one is an unsupported encoding.
        let encoding = request.headers().get(CONTENT_ENCODING).map_or(&[][..], HeaderValue::as_bytes);
        if !encoding.is_empty() && !encoding.eq_ignore_ascii_case(b"identity") {
            let reason = "the content encoding is not supported: send gzip, deflate or none".to_owned();
            return Err(ApiError::Http(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason));
        }
        read_body(request, state).await.map(Self)
    }
}

/// Reads a body of at most as many bytes as the route accepts.
pub(crate) async fn read_body<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, ApiError> {
    let body = Bytes::from_request(request, state).await;
    body.map_err(|error| match BodyRefusal::find_in(&error) {
        Some(refusal) => ServeError::from(refusal).into(),
        None => ApiError::Http(error.status(), error.body_text()),
    })
}
