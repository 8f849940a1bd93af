//! The encodings of bodies: clients may send compressed tensors and may request compressed ones.
//!
//! HTTP libraries list several encodings in every request, whether or not the client wants to spend time on them. Binary
//! tensors hardly become smaller, so that they are compressed only if the client asks for it: if it names a single
//! encoding, or sends its own tensors compressed. JSON becomes much smaller, and is compressed for all who list an encoding.

use std::sync::Arc;

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, VARY},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use http_body::Body as _;

use crate::{
    ServeError,
    api::{
        compression::{Encoding, InflateError, MIN_COMPRESSED_BYTES, compress, inflate},
        error_http::ApiError,
        extract::read_body,
    },
    transport::BodyPermit,
};

/// Decompresses the body of a request to at most `max_bytes`, and compresses the body of the response if the client
/// accepts that.
pub(super) async fn encode_bodies(State(max_bytes): State<usize>, request: Request, next: Next) -> Response {
    let listed = listed_encodings(request.headers());
    let accepted = accepted_encoding(&listed);
    let is_wanted = request.headers().contains_key(CONTENT_ENCODING) || names_one_encoding(&listed);
    let request = match inflate_body(request, max_bytes).await {
        Ok(request) => request,
        Err(error) => return error.into_response(),
    };
    let response = next.run(request).await;
    let Some(encoding) = accepted.filter(|_| is_wanted || !has_binary_tensors(&response)) else {
        return response;
    };
    compress_body(response, encoding).await.unwrap_or_else(IntoResponse::into_response)
}

async fn inflate_body(request: Request, max_bytes: usize) -> Result<Request, ApiError> {
    let encoding = request.headers().get(CONTENT_ENCODING);
    // A body with another encoding is refused when it is read.
    let Some(encoding) = encoding.and_then(|name| Encoding::from_name(name.as_bytes())) else {
        return Ok(request);
    };
    let (mut head, body) = request.into_parts();
    let data = read_body(Request::from_parts(head.clone(), body), &()).await?;
    let permit = head.extensions.get::<Arc<BodyPermit>>().cloned();
    let data = inflate(encoding, data, max_bytes, permit).await.map_err(inflate_error)?;
    head.headers.remove(CONTENT_ENCODING);
    head.headers.remove(CONTENT_LENGTH);
    Ok(Request::from_parts(head, Body::from(data)))
}

async fn compress_body(response: Response, encoding: Encoding) -> Result<Response, ServeError> {
    let is_large = response.body().size_hint().lower() >= MIN_COMPRESSED_BYTES as u64;
    if !is_large || response.headers().contains_key(CONTENT_ENCODING) {
        return Ok(response);
    }
    let (mut head, body) = response.into_parts();
    let data = to_bytes(body, usize::MAX).await.map_err(|error| ServeError::Internal(error.to_string()))?;
    head.headers.append(VARY, HeaderValue::from_static("accept-encoding"));
    let Some(compressed) = compress(encoding, data.clone()).await? else {
        return Ok(Response::from_parts(head, Body::from(data)));
    };
    head.headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding.name()));
    head.headers.remove(CONTENT_LENGTH);
    Ok(Response::from_parts(head, Body::from(compressed)))
}

fn has_binary_tensors(response: &Response) -> bool {
    response.headers().get(CONTENT_TYPE).is_some_and(|name| name == "application/octet-stream")
}

fn inflate_error(error: InflateError) -> ApiError {
    let message = error.to_string();
    match error {
        InflateError::Invalid(_) => ApiError::Http(StatusCode::BAD_REQUEST, message),
        InflateError::TooLarge(_) => ApiError::Http(StatusCode::PAYLOAD_TOO_LARGE, message),
        InflateError::Refused(refusal) => ServeError::from(refusal).into(),
        InflateError::Failed(error) => error.into(),
    }
}

/// Returns the encodings that the client lists, with their weights.
fn listed_encodings(headers: &HeaderMap) -> Vec<(&[u8], f32)> {
    let lists = headers.get_all(ACCEPT_ENCODING).iter();
    lists.flat_map(|list| list.as_bytes().split(|&byte| byte == b',')).filter_map(parse_item).collect()
}

/// Returns whether the client accepts a single encoding by its name, as a caller does who asks for compression.
fn names_one_encoding(listed: &[(&[u8], f32)]) -> bool {
    let mut accepted = listed.iter().filter(|(name, weight)| *weight > 0.0 && *name != b"identity");
    let only = accepted.next().filter(|_| accepted.next().is_none());
    only.is_some_and(|(name, _)| Encoding::from_name(name).is_some())
}

/// Returns the encoding that the client accepts with the highest weight; `None` if it accepts neither.
fn accepted_encoding(listed: &[(&[u8], f32)]) -> Option<Encoding> {
    let weight_of = |encoding: Encoding| {
        let named = listed.iter().find(|(name, _)| Encoding::from_name(name) == Some(encoding));
        let any = || listed.iter().find(|(name, _)| *name == b"*");
        named.or_else(any).map_or(0.0, |(_, weight)| *weight)
    };
    let (gzip, deflate) = (weight_of(Encoding::Gzip), weight_of(Encoding::Deflate));
    if gzip > 0.0 && gzip >= deflate {
        Some(Encoding::Gzip)
    } else {
        (deflate > 0.0).then_some(Encoding::Deflate)
    }
}

/// Parses an item such as `gzip;q=0.5`.
fn parse_item(item: &[u8]) -> Option<(&[u8], f32)> {
    let mut parts = item.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
    let name = parts.next()?;
    let weight = parts.find_map(|part| part.strip_prefix(b"q=").or_else(|| part.strip_prefix(b"Q=")));
    let weight = weight.map_or(Some(1.0), |weight| str::from_utf8(weight).ok()?.parse().ok());
    Some((name, weight?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns what a function finds for this `Accept-Encoding`.
    fn found<T>(accepted: &'static str, find: impl Fn(&[(&[u8], f32)]) -> T) -> T {
        let headers = [(ACCEPT_ENCODING, HeaderValue::from_static(accepted))].into_iter().collect();
        find(&listed_encodings(&headers))
    }

    #[test]
    fn the_encoding_with_the_highest_weight_is_chosen() {
        for (accepted, expected) in [
            ("gzip, deflate", Some(Encoding::Gzip)),
            ("deflate, gzip, br", Some(Encoding::Gzip)),
            ("deflate;q=1, GZIP;q=0.5", Some(Encoding::Deflate)),
            ("gzip;q=0, deflate;q=0.1", Some(Encoding::Deflate)),
            ("x-gzip", Some(Encoding::Gzip)),
            ("*", Some(Encoding::Gzip)),
            ("gzip;q=0, *;q=0.2", Some(Encoding::Deflate)),
            ("gzip ; Q=0.3", Some(Encoding::Gzip)),
            ("identity", None),
            ("gzip;q=0", None),
            ("gzip;q=much", None),
            ("br", None),
            ("", None),
        ] {
            assert_eq!(found(accepted, accepted_encoding), expected, "{accepted:?}");
        }
        assert_eq!(accepted_encoding(&listed_encodings(&HeaderMap::new())), None);
    }

    #[test]
    fn a_client_that_names_one_encoding_asks_for_it() {
        for (accepted, expected) in [
            ("gzip", true),
            ("identity, deflate;q=0.5", true),
            ("gzip, br;q=0", true),
            ("gzip, deflate", false),
            ("gzip, br", false),
            ("br", false),
            ("*", false),
            ("gzip;q=0", false),
            ("", false),
        ] {
            assert_eq!(found(accepted, names_one_encoding), expected, "{accepted:?}");
        }
    }
}
