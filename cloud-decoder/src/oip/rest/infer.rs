//! `POST /v2/models/{model}[/versions/{version}]/infer`: runs a model.

use axum::{extract::State, http::HeaderMap, response::Response};
use utoipa::IntoParams;

use super::{Newest, Versioned, bodies, request, response};
use crate::{
    error_http::Refusal,
    extract::{InPath, WholeBody},
    offload::offload,
    oip::Oip,
    openapi,
};

/// The header of bodies in which tensors follow the JSON.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "the schema of a header that `request::read` parses")]
struct Binary {
    /// Length of the JSON in bytes, if tensors follow it.
    #[param(rename = "Inference-Header-Content-Length", nullable = false)]
    json_length: Option<u64>,
}

/// Runs the newest version of a model.
#[utoipa::path(
    post,
    path = "/v2/models/{model}/infer",
    tag = "inference",
    params(Newest, Binary, openapi::Terms),
    request_body(content = request::Body, description = "JSON; with the binary extension, tensors follow it"),
    responses((status = 200, description = "The outputs of the model", body = bodies::Inference<'_>), openapi::Work)
)]
pub(super) async fn newest(
    State(oip): State<Oip>,
    InPath(named): InPath<Newest>,
    headers: HeaderMap,
    WholeBody(body): WholeBody,
) -> Result<Response, Refusal> {
    infer(&oip, (named.model, String::new()), &headers, &body).await
}

/// Runs one version of a model.
#[utoipa::path(
    post,
    path = "/v2/models/{model}/versions/{version}/infer",
    tag = "inference",
    params(Versioned, Binary, openapi::Terms),
    request_body(content = request::Body, description = "JSON; with the binary extension, tensors follow it"),
    responses((status = 200, description = "The outputs of the model", body = bodies::Inference<'_>), openapi::Work)
)]
pub(super) async fn version(
    State(oip): State<Oip>,
    InPath(named): InPath<Versioned>,
    headers: HeaderMap,
    WholeBody(body): WholeBody,
) -> Result<Response, Refusal> {
    infer(&oip, (named.model, named.version), &headers, &body).await
}

/// Approximate number of JSON bytes per value.
const BYTES_A_VALUE: usize = 4;

async fn infer(
    oip: &Oip,
    model: (String, String),
    headers: &HeaderMap,
    body: &axum::body::Bytes,
) -> Result<Response, Refusal> {
    let terms = oip.terms.of(headers)?;
    let values = body.len() / BYTES_A_VALUE;
    let (headers, body) = (headers.clone(), body.clone());
    let call = offload(values, move || request::read(model, &headers, terms, &body)).await??;
    let made = oip.infer(call.request).await?;
    let values = made.outputs.iter().map(|output| output.values.len()).sum();
    let raw = move |output: usize| call.raw.get(output).copied().unwrap_or(call.raw_all);
    offload(values, move || response::inference(call.id, &made, raw)).await?
}
