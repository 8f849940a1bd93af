//! `GET /v1/frames/{id}/{head}`: decodes an archived frame with a head on request.
//!
//! The frame is handled like the frame of a decode request: the same admission, deadlines, costs and errors. Responses
//! are cached for a while; the cache key includes the version and the digest of the head, so that a newer version, and
//! a head that was replaced without a new version, take effect at once.

use axum::{
    body::{Bytes, to_bytes},
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use lopside_archive::Frame;
use lopside_decoder::{
    DecodeRequest, OutputFormat, OutputKind, OutputRequest, RequestOptions, offload::offload_if_large,
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{
    super::{ApiState, decode::requested_format, outputs},
    ArchiveExtractor,
};
use crate::{
    ServeError,
    api::{
        cost::RequestCost,
        error_http::ApiError,
        extract::{PathParams, QueryParams},
        openapi_errors, openapi_schemas,
    },
    archive::response_cache::{CachedResponse, ResponseKey},
};

/// Clients may keep a response, but ask each time whether it is still valid: the head may be replaced at any time, also
/// without a new version. The answer to that costs no run of the head.
const CACHE_CONTROL: &str = "private, no-cache";

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::api::rest) struct DecodedQuery {
    /// The version of the head; the newest by default.
    #[param(nullable = false)]
    version: Option<u32>,
    /// The bundle of the head; any bundle of the frame's latent space by default.
    #[serde(default)]
    bundle: String,
    /// The format of the response; as requested by the `Accept` header by default.
    #[param(value_type = FormatName, required = false, nullable = false)]
    format: Option<FormatName>,
}

/// A format of an output; `natural` is an image for heads that make images, and JSON for others.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = OutputFormat)]
pub(in crate::api::rest) enum FormatName {
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
        openapi_schemas::RequestHeaders,
    ),
    responses(
        (status = 200, description = "The output of the head", content(
            (outputs::SingleBody<'_> = "application/json"),
            (openapi_schemas::Octets = "image/png"),
        ), headers(("ETag" = String, description = "Identifies the frame, the head, its version and the format"))),
        (status = 304, description = "The response matches a tag in `If-None-Match`"),
        openapi_errors::ArchivedDecodeErrors,
    )
)]
pub(in crate::api::rest) async fn decode_frame(
    ArchiveExtractor(server_archive): ArchiveExtractor,
    State(api): State<ApiState>,
    PathParams((id, head)): PathParams<(i64, String)>,
    QueryParams(query): QueryParams<DecodedQuery>,
    headers: HeaderMap,
    cost: RequestCost,
) -> Result<Response, ApiError> {
    let options = api.default_options.read_headers(&headers)?;
    let frame = server_archive.archive.read_frame(id).await.map_err(ServeError::from)?;
    let frame = frame.ok_or(ServeError::UnknownFrame(id))?;
    let key = response_key(&api, &frame, &head, &query, &headers)?;
    let etag = key.etag();
    let response_headers = [
        (header::CACHE_CONTROL, HeaderValue::from_static(CACHE_CONTROL)),
        (
            header::ETAG,
            HeaderValue::from_str(&etag).map_err(|error| ServeError::Internal(error.to_string()))?,
        ),
        (header::VARY, HeaderValue::from_static("accept")),
    ];
    if matches_etag(&headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, response_headers).into_response());
    }
    let response = compute_response(&api, frame.bytes.into(), query.bundle, &key, (options, &cost));
    let CachedResponse { content_type, body } =
        server_archive.responses.get_or_compute(&key, options.deadline, response).await?;
    Ok((response_headers, [(header::CONTENT_TYPE, content_type)], body).into_response())
}

/// Returns the cache key of the response: the head that would decode the frame now, and the format.
fn response_key(
    api: &ApiState,
    frame: &Frame,
    head: &str,
    query: &DecodedQuery,
    headers: &HeaderMap,
) -> Result<ResponseKey, ApiError> {
    let served = api.decoder.find_bundle(&[&frame.bytes], &query.bundle)?;
    let (head, version) = served.find_head(head, query.version)?;
    let kind = served.output_kind(&head, Some(version))?;
    let format = match query.format {
        Some(FormatName::Natural) if kind == OutputKind::Images => OutputFormat::Png,
        Some(FormatName::Natural) => OutputFormat::Natural,
        Some(FormatName::Tensor) => OutputFormat::Tensor,
        Some(FormatName::Png) => OutputFormat::Png,
        Some(FormatName::ClassScores) => OutputFormat::ClassScores,
        Some(FormatName::Anomaly) => OutputFormat::Anomaly,
        None => requested_format(headers, kind)?,
    };
    let digest = served.head_digest(&head, version)?.as_str().to_owned();
    let (frame_id, bundle) = (frame.meta.id, served.name().to_owned());
    Ok(ResponseKey { frame_id, bundle, head, version, digest, format })
}

async fn compute_response(
    api: &ApiState,
    frame: Bytes,
    bundle: String,
    key: &ResponseKey,
    (options, cost): (RequestOptions, &RequestCost),
) -> Result<CachedResponse, ServeError> {
    let outputs = [OutputRequest { head: key.head.clone(), version: Some(key.version), format: key.format }];
    let request = DecodeRequest {
        bundle: &bundle,
        outputs: &outputs,
        options,
        ..DecodeRequest::new(std::slice::from_ref(&frame))
    };
    cost.charge_request(&api.decoder, &request)?;
    let output = api.decoder.decode(request).await?.into_iter().flatten().next();
    let output = output.ok_or_else(|| ServeError::Internal("the head produced no output".into()))?;
    let name = key.bundle.clone();
    let response =
        offload_if_large(outputs::count_values(&output), move || outputs::output_response(&name, output))
            .await?;
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.map_err(|error| ServeError::Internal(error.to_string()))?;
    let content_type = parts.headers.remove(header::CONTENT_TYPE);
    let content_type =
        content_type.ok_or_else(|| ServeError::Internal("a response has no content type".into()))?;
    Ok(CachedResponse { content_type, body })
}

/// Returns whether `If-None-Match` contains this tag.
fn matches_etag(headers: &HeaderMap, etag: &str) -> bool {
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
            assert!(matches_etag(&headers(text), "\"a\""), "{text}");
        }
        assert!(!matches_etag(&headers("\"b\", a"), "\"a\""));
        assert!(!matches_etag(&HeaderMap::new(), "\"a\""));
    }
}
