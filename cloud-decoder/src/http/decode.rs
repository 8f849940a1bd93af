//! `POST /v1/bundles/{name}/decode`: decodes a frame with one or several heads.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{Api, body::Body, outputs};
use crate::{
    Format, Output, Request, ServeError, Wanted,
    error_http::Refusal,
    extract::{InPath, InQuery},
    offload::offload,
    openapi,
    output::Makes,
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
#[allow(dead_code, reason = "the schema of the form that `Body` parses")]
struct DecodeForm {
    frame: openapi::Octets,
    /// The reference input: a PNG or JPEG file, or 32-bit little-endian floats of the type
    /// application/octet-stream.
    #[schema(nullable = false)]
    input: Option<openapi::Octets>,
}

/// Decodes a frame with one or several heads.
///
/// One head responds with PNG or JSON, according to the `Accept` header; without the header, an image is sent as
/// PNG. Several heads respond with JSON.
#[utoipa::path(
    post,
    path = "/v1/bundles/{name}/decode",
    tag = "bundles",
    params(
        ("name" = String, Path, description = "The bundle's name", example = "fashion"),
        DecodeQuery,
        openapi::Terms,
    ),
    request_body(content(
        (openapi::Octets = "application/octet-stream"),
        (DecodeForm = "multipart/form-data"),
    ), description = "A frame, or a form with a frame and its reference input"),
    responses(
        (status = 200, description = "The outputs of the heads", content(
            (outputs::DecodedBody<'_> = "application/json"),
            (openapi::Octets = "image/png"),
        )),
        openapi::Work,
    )
)]
pub(super) async fn decode(
    State(api): State<Api>,
    InPath(name): InPath<String>,
    InQuery(query): InQuery<DecodeQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    // The name in the path is checked before the frame, so that an unknown bundle is "not found".
    let served = Arc::clone(api.decoder.registry().catalog().by_name(&name)?);
    let wanted = if let Some(heads) = &query.heads {
        several(&query.head, heads)?
    } else {
        let Wanted { head, version, .. } = wanted_of(&query.head)?;
        let format = format_of(&headers, served.makes(&head, version)?)?;
        vec![Wanted { head, version, format }]
    };
    let (frames, inputs) = ([body.frame], body.input.map_or_else(Vec::new, |input| vec![input]));
    let terms = api.terms.of(&headers)?;
    let request = Request { frames: &frames, bundle: &name, inputs: &inputs, wanted: &wanted, terms };
    let mut made: Vec<Output> = api.decoder.decode(request).await?.into_iter().flatten().collect();
    let values = made.iter().map(outputs::values).sum();
    if query.heads.is_some() {
        return Ok(offload(values, move || outputs::all(&name, made)).await?);
    }
    let output = made.pop().ok_or_else(|| ServeError::Internal("the head produced no output".into()))?;
    Ok(offload(values, move || outputs::one(&name, output)).await?)
}

fn several(head: &str, heads: &str) -> Result<Vec<Wanted>, Refusal> {
    if !head.is_empty() {
        let reason = "both head and heads are given: give only one of them".to_owned();
        return Err(Refusal::Http(StatusCode::BAD_REQUEST, reason));
    }
    heads.split(',').map(wanted_of).collect()
}

/// Parses `NAME` or `NAME@VERSION`.
fn wanted_of(head: &str) -> Result<Wanted, Refusal> {
    let (name, version) = match head.split_once('@') {
        Some((name, version)) => (name, Some(version)),
        None => (head, None),
    };
    let version = version.map(str::parse).transpose().map_err(|_| {
        let reason = format!("{head:?} is not a head: give NAME or NAME@VERSION, where VERSION is a number");
        Refusal::Http(StatusCode::BAD_REQUEST, reason)
    })?;
    Ok(Wanted { head: name.to_owned(), version, format: Format::Natural })
}

/// Returns the format that the `Accept` header requests.
///
/// # Errors
/// 406 if the head cannot respond in such a format.
pub(super) fn format_of(headers: &HeaderMap, makes: Makes) -> Result<Format, Refusal> {
    let accept = headers.get(header::ACCEPT).map_or(Ok("*/*"), |value| value.to_str()).unwrap_or("*/*");
    let takes = |wanted: &str| {
        let range = wanted.split_once('/').map_or("", |(kind, _)| kind);
        accept.split(',').map(|part| part.split(';').next().unwrap_or_default().trim()).any(|part| {
            part == wanted || part == "*/*" || part.strip_suffix("/*").is_some_and(|part| part == range)
        })
    };
    let json = takes("application/json");
    match makes {
        Makes::Pictures if takes("image/png") => Ok(Format::Png),
        Makes::Pictures if json => Ok(Format::Tensor),
        Makes::ClassScores | Makes::Anomalies | Makes::Numbers if json => Ok(Format::Natural),
        _ => {
            let reason =
                format!("this head cannot respond with {accept:?}: accept image/png or application/json");
            Err(Refusal::Http(StatusCode::NOT_ACCEPTABLE, reason))
        }
    }
}
