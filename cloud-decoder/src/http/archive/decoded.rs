//! `GET /v1/frames/{id}/{head}`: decodes an archived frame with a head on request.
//!
//! The frame is handled like the frame of a decode request: the same admission, deadlines and errors. Responses
//! are cached for a while; the cache key includes the version of the head, so that a newer version takes effect
//! at once.

use axum::{
    body::{Bytes, to_bytes},
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use lopside_archive::Frame;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{
    super::{Api, decode::format_of, outputs},
    InArchive,
};
use crate::{
    Format, Request, ServeError, Terms, Wanted,
    archive::answers::{Answer, Key},
    error_http::Refusal,
    extract::{InPath, InQuery},
    offload::offload,
    openapi,
    output::Makes,
};

/// Caching of a response that names the bundle and the version, and therefore never changes.
const PINNED: &str = "private, max-age=86400, immutable";
/// Caching of a response that a newer head may change.
const NEWEST: &str = "private, no-cache";

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct DecodedQuery {
    /// The version of the head; the newest by default.
    #[param(nullable = false)]
    version: Option<u32>,
    /// The bundle of the head; any bundle of the frame's latent space by default.
    #[serde(default)]
    bundle: String,
    /// The format of the response; as requested by the `Accept` header by default.
    #[param(inline, nullable = false)]
    format: Option<FormatName>,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum FormatName {
    Natural,
    Tensor,
    Png,
    ClassScores,
    Anomaly,
}

/// Decodes an archived frame with a head.
///
/// The responses are those of `/v1/bundles/{name}/decode` for one head.
#[utoipa::path(
    get,
    path = "/v1/frames/{id}/{head}",
    operation_id = "decode_frame",
    tag = "archive",
    params(
        ("id" = i64, Path, description = "The frame's id"),
        ("head" = String, Path, description = "The head's name", example = "reconstruct"),
        DecodedQuery,
        openapi::Terms,
    ),
    responses(
        (status = 200, description = "The output of the head", content(
            (outputs::SingleBody<'_> = "application/json"),
            (openapi::Octets = "image/png"),
        ), headers(("ETag" = String, description = "Identifies the frame, the head, its version and the format"))),
        (status = 304, description = "The response matches a tag in `If-None-Match`"),
        openapi::Decoded,
    )
)]
pub(in crate::http) async fn decoded(
    InArchive(kept): InArchive,
    State(api): State<Api>,
    InPath((id, head)): InPath<(i64, String)>,
    InQuery(query): InQuery<DecodedQuery>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let terms = api.terms.of(&headers)?;
    let frame =
        kept.archive.frame(id).await.map_err(ServeError::from)?.ok_or(ServeError::UnknownFrame(id))?;
    let key = key_of(&api, &frame, &head, &query, &headers)?;
    let etag = key.etag();
    let fresh = matches(&headers, &etag);
    let pinned = query.version.is_some() && !query.bundle.is_empty();
    let cache = if pinned { PINNED } else { NEWEST };
    let about = [
        (header::CACHE_CONTROL, HeaderValue::from_static(cache)),
        (
            header::ETAG,
            HeaderValue::from_str(&etag).map_err(|error| ServeError::Internal(error.to_string()))?,
        ),
        (header::VARY, HeaderValue::from_static("accept")),
    ];
    if fresh {
        return Ok((StatusCode::NOT_MODIFIED, about).into_response());
    }
    let make = make(&api, frame.bytes.into(), query.bundle, &key, terms);
    let Answer { content_type, body } = kept.answers.get_or_make(&key, terms.deadline, make).await?;
    Ok((about, [(header::CONTENT_TYPE, content_type)], body).into_response())
}

/// Returns the cache key of the response: the head that would decode the frame now, and the format.
fn key_of(
    api: &Api,
    frame: &Frame,
    head: &str,
    query: &DecodedQuery,
    headers: &HeaderMap,
) -> Result<Key, Refusal> {
    let served = api.decoder.resolve(&[&frame.bytes], &query.bundle)?;
    let (head, version) = served.find(head, query.version)?;
    let makes = served.makes(&head, Some(version))?;
    let format = match query.format {
        Some(FormatName::Natural) if makes == Makes::Pictures => Format::Png,
        Some(FormatName::Natural) => Format::Natural,
        Some(FormatName::Tensor) => Format::Tensor,
        Some(FormatName::Png) => Format::Png,
        Some(FormatName::ClassScores) => Format::ClassScores,
        Some(FormatName::Anomaly) => Format::Anomaly,
        None => format_of(headers, makes)?,
    };
    Ok(Key { frame: frame.meta.id, bundle: served.name().to_owned(), head, version, format })
}

async fn make(
    api: &Api,
    frame: Bytes,
    bundle: String,
    key: &Key,
    terms: Terms,
) -> Result<Answer, ServeError> {
    let wanted = [Wanted { head: key.head.clone(), version: Some(key.version), format: key.format }];
    let request =
        Request { bundle: &bundle, wanted: &wanted, terms, ..Request::new(std::slice::from_ref(&frame)) };
    let output = api.decoder.decode(request).await?.into_iter().flatten().next();
    let output = output.ok_or_else(|| ServeError::Internal("the head produced no output".into()))?;
    let name = key.bundle.clone();
    let response = offload(outputs::values(&output), move || outputs::one(&name, output)).await?;
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.map_err(|error| ServeError::Internal(error.to_string()))?;
    let content_type = parts.headers.remove(header::CONTENT_TYPE);
    let content_type =
        content_type.ok_or_else(|| ServeError::Internal("a response has no content type".into()))?;
    Ok(Answer { content_type, body })
}

/// Returns whether `If-None-Match` contains this tag.
fn matches(headers: &HeaderMap, etag: &str) -> bool {
    let named = headers.get_all(header::IF_NONE_MATCH).into_iter().filter_map(|value| value.to_str().ok());
    let mut tags = named.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_in_a_list_strong_or_weak() {
        let headers = |text: &str| {
            HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_str(text).unwrap())])
        };
        for text in ["\"a\"", "W/\"a\"", "\"b\", \"a\"", "*"] {
            assert!(matches(&headers(text), "\"a\""), "{text}");
        }
        assert!(!matches(&headers("\"b\", a"), "\"a\""));
        assert!(!matches(&HeaderMap::new(), "\"a\""));
    }
}
