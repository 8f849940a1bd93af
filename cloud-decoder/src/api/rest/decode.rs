//! `POST /v1/bundles/{name}/decode`: decodes a frame with one or several heads.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use lopside_decoder::{
    DecodeRequest, Output, OutputFormat, OutputKind, OutputRequest, offload::offload_if_large,
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{ApiState, body::DecodeBody, outputs};
use crate::{
    ServeError,
    api::{
        cost::RequestCost,
        error_http::ApiError,
        extract::{PathParams, QueryParams},
        openapi_errors, openapi_schemas,
    },
};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DecodeQuery {
    /// The head, as `NAME` for its newest version or `NAME@VERSION`; the bundle's first head by default.
    #[serde(default)]
    head: String,
    /// Several heads, separated by commas; the response is then JSON.
    #[param(nullable = false)]
    heads: Option<String>,
}

/// A frame and its reference input, for score heads.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "the schema of the form that `DecodeBody` parses")]
struct DecodeForm {
    frame: openapi_schemas::Octets,
    /// The reference input: a PNG or JPEG file, or 32-bit little-endian floats of the type
    /// application/octet-stream.
    #[schema(nullable = false)]
    input: Option<openapi_schemas::Octets>,
}

/// Decodes a frame with one or several heads.
///
/// One head responds with PNG or JSON, according to the `Accept` header; without the header, an image is sent as
/// PNG. Several heads respond with JSON.
#[utoipa::path(
    post,
    path = "/v1/bundles/{name}/decode",
    operation_id = "decode",
    tag = "bundles",
    params(
        ("name" = String, Path, description = "The bundle's name", example = "fashion"),
        DecodeQuery,
        openapi_schemas::RequestHeaders,
    ),
    request_body(content(
        (openapi_schemas::Octets = "application/octet-stream"),
        (DecodeForm = "multipart/form-data"),
    ), description = "A frame, or a form with a frame and its reference input"),
    responses(
        (status = 200, description = "The outputs of the heads", content(
            (outputs::DecodedBody<'_> = "application/json"),
            (openapi_schemas::Octets = "image/png"),
        )),
        openapi_errors::InferenceErrors,
    )
)]
pub(super) async fn decode(
    State(api): State<ApiState>,
    PathParams(name): PathParams<String>,
    QueryParams(query): QueryParams<DecodeQuery>,
    headers: HeaderMap,
    cost: RequestCost,
    body: DecodeBody,
) -> Result<Response, ApiError> {
    // The name in the path is checked before the frame, so that an unknown bundle is "not found".
    let served = Arc::clone(api.decoder.registry().catalog().by_name(&name)?);
    let requested = if let Some(heads) = &query.heads {
        parse_heads(&query.head, heads)?
    } else {
        let OutputRequest { head, version, .. } = parse_head(&query.head)?;
        let format = requested_format(&headers, served.output_kind(&head, version)?)?;
        vec![OutputRequest { head, version, format }]
    };
    let (frames, inputs) = ([body.frame], body.reference_input.map_or_else(Vec::new, |input| vec![input]));
    let options = api.default_options.read_headers(&headers)?;
    let request =
        DecodeRequest { frames: &frames, bundle: &name, inputs: &inputs, outputs: &requested, options };
    cost.charge_request(&api.decoder, &request)?;
    let mut outputs: Vec<Output> = api.decoder.decode(request).await?.into_iter().flatten().collect();
    let values = outputs.iter().map(outputs::count_values).sum();
    if query.heads.is_some() {
        return Ok(offload_if_large(values, move || outputs::outputs_response(&name, outputs)).await?);
    }
    let output = outputs.pop().ok_or_else(|| ServeError::Internal("the head produced no output".into()))?;
    Ok(offload_if_large(values, move || outputs::output_response(&name, output)).await?)
}

fn parse_heads(head: &str, heads: &str) -> Result<Vec<OutputRequest>, ApiError> {
    if !head.is_empty() {
        let reason = "both head and heads are given: give only one of them".to_owned();
        return Err(ApiError::Http(StatusCode::BAD_REQUEST, reason));
    }
    heads.split(',').map(parse_named_head).collect()
}

/// Parses `NAME` or `NAME@VERSION` of a list, in which an empty name does not stand for the bundle's first head.
fn parse_named_head(head: &str) -> Result<OutputRequest, ApiError> {
    let request = parse_head(head)?;
    if request.head.is_empty() {
        let reason =
            "a name in heads is empty: give the names of heads, separated by single commas".to_owned();
        return Err(ApiError::Http(StatusCode::BAD_REQUEST, reason));
    }
    Ok(request)
}

/// Parses `NAME` or `NAME@VERSION`.
fn parse_head(head: &str) -> Result<OutputRequest, ApiError> {
    let (name, version) = match head.split_once('@') {
        Some((name, version)) => (name, Some(version)),
        None => (head, None),
    };
    let version = version.map(str::parse).transpose().map_err(|_| {
        let reason = format!("{head:?} is not a head: give NAME or NAME@VERSION, where VERSION is a number");
        ApiError::Http(StatusCode::BAD_REQUEST, reason)
    })?;
    Ok(OutputRequest { head: name.to_owned(), version, format: OutputFormat::Natural })
}

/// Returns the format that the `Accept` header requests.
///
/// # Errors
/// 406 if the head cannot respond in such a format.
pub(super) fn requested_format(headers: &HeaderMap, kind: OutputKind) -> Result<OutputFormat, ApiError> {
    let accept = headers.get(header::ACCEPT).map_or(Ok("*/*"), |value| value.to_str()).unwrap_or("*/*");
    let accepts_json = is_accepted(accept, "application/json");
    match kind {
        OutputKind::Images if is_accepted(accept, "image/png") => Ok(OutputFormat::Png),
        OutputKind::Images if accepts_json => Ok(OutputFormat::Tensor),
        OutputKind::ClassScores | OutputKind::Anomalies | OutputKind::Tensors if accepts_json => {
            Ok(OutputFormat::Natural)
        }
        _ => {
            let reason =
                format!("this head cannot respond with {accept:?}: accept image/png or application/json");
            Err(ApiError::Http(StatusCode::NOT_ACCEPTABLE, reason))
        }
    }
}

/// Returns whether the value of an `Accept` header allows a media type.
fn is_accepted(accept: &str, media_type: &str) -> bool {
    let range = media_type.split_once('/').map_or("", |(kind, _)| kind);
    accept.split(',').map(|part| part.split(';').next().unwrap_or_default().trim()).any(|part| {
        part == media_type || part == "*/*" || part.strip_suffix("/*").is_some_and(|part| part == range)
    })
}
