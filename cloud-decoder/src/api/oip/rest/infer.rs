//! `POST /v2/models/{model}[/versions/{version}]/infer`: runs a model.

use axum::{extract::State, http::HeaderMap, response::Response};
use lopside_decoder::offload::offload_if_large;
use utoipa::IntoParams;

use super::{
    bodies,
    paths::{NewestPath, VersionedPath},
    request, response,
};
use crate::api::{
    cost::RequestCost,
    error_http::ApiError,
    extract::{BodyBytes, PathParams},
    oip::OipService,
    openapi_errors, openapi_schemas,
};

/// The header of bodies in which tensors follow the JSON.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "the schema of a header that `request::parse_body` parses")]
struct BinaryHeaders {
    /// Length of the JSON in bytes, if tensors follow it.
    #[param(rename = "Inference-Header-Content-Length", nullable = false)]
    json_length: Option<u64>,
}

/// Runs the newest version of a model.
#[utoipa::path(
    post,
    path = "/v2/models/{model}/infer",
    operation_id = "infer",
    tag = "inference",
    params(NewestPath, BinaryHeaders, openapi_schemas::RequestHeaders),
    request_body(content(
        (request::Body = "application/json"),
        (openapi_schemas::Octets = "application/octet-stream"),
    ), description = "JSON; with the binary extension, JSON that is followed by tensors"),
    responses(
        (status = 200, description = "The outputs of the model; JSON that is followed by tensors if the request asks for it", content(
            (bodies::Inference<'_> = "application/json"),
            (openapi_schemas::Octets = "application/octet-stream"),
        ), headers(("Inference-Header-Content-Length" = u64, description = "Length of the JSON in bytes, if tensors follow it"))),
        openapi_errors::InferenceErrors,
    )
)]
pub(super) async fn newest(
    State(oip): State<OipService>,
    PathParams(named): PathParams<NewestPath>,
    headers: HeaderMap,
    cost: RequestCost,
    BodyBytes(body): BodyBytes,
) -> Result<Response, ApiError> {
    run_inference(&oip, (named.model, String::new()), &headers, &body, &cost).await
}

/// Runs one version of a model.
#[utoipa::path(
    post,
    path = "/v2/models/{model}/versions/{version}/infer",
    operation_id = "infer_version",
    tag = "inference",
    params(VersionedPath, BinaryHeaders, openapi_schemas::RequestHeaders),
    request_body(content(
        (request::Body = "application/json"),
        (openapi_schemas::Octets = "application/octet-stream"),
    ), description = "JSON; with the binary extension, JSON that is followed by tensors"),
    responses(
        (status = 200, description = "The outputs of the model; JSON that is followed by tensors if the request asks for it", content(
            (bodies::Inference<'_> = "application/json"),
            (openapi_schemas::Octets = "application/octet-stream"),
        ), headers(("Inference-Header-Content-Length" = u64, description = "Length of the JSON in bytes, if tensors follow it"))),
        openapi_errors::InferenceErrors,
    )
)]
pub(super) async fn version(
    State(oip): State<OipService>,
    PathParams(named): PathParams<VersionedPath>,
    headers: HeaderMap,
    cost: RequestCost,
    BodyBytes(body): BodyBytes,
) -> Result<Response, ApiError> {
    run_inference(&oip, (named.model, named.version), &headers, &body, &cost).await
}

/// Approximate number of JSON bytes per value.
const BYTES_PER_VALUE: usize = 4;

async fn run_inference(
    oip: &OipService,
    model: (String, String),
    headers: &HeaderMap,
    body: &axum::body::Bytes,
    cost: &RequestCost,
) -> Result<Response, ApiError> {
    let options = oip.default_options.read_headers(headers)?;
    let values = body.len() / BYTES_PER_VALUE;
    let (headers, body) = (headers.clone(), body.clone());
    let parsed =
        offload_if_large(values, move || request::parse_body(model, &headers, options, &body)).await??;
    let response = oip.infer(parsed.request, cost).await?;
    let values = response.outputs.iter().map(|output| output.values.len()).sum();
    offload_if_large(values, move || {
        response::inference_response(parsed.id, &response, |output| {
            parsed.raw_outputs.get(output).copied().unwrap_or(parsed.all_raw)
        })
    })
    .await?
}
