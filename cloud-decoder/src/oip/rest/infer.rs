//! `POST /v2/models/{model}[/versions/{version}]/infer`.

use axum::{
    body::Bytes,
    extract::{Path, State, rejection::BytesRejection},
    http::HeaderMap,
    response::Response,
};

use super::{Named, request, response};
use crate::{error_http::Refusal, oip::Oip};

pub(super) async fn newest(
    state: State<Oip>,
    path: Path<Named>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    version(state, path, headers, body).await
}

pub(super) async fn version(
    State(oip): State<Oip>,
    Path(named): Path<Named>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let body = body.map_err(|error| Refusal::Http(error.status(), error.body_text()))?;
    let terms = oip.terms.of(&headers)?;
    let call = request::read((named.model, named.version), &headers, terms, &body)?;
    let made = oip.infer(call.request).await?;
    response::inference(call.id, made, |output| call.raw.get(output).copied().unwrap_or(call.raw_all))
}
