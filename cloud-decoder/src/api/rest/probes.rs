//! Liveness and readiness.

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};

use super::ApiState;
use crate::{ServeError, api::openapi_errors};

/// Returns whether the process is alive.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "operation",
    responses((status = 200, description = "The process is alive", body = String, content_type = "text/plain", example = "ok"))
)]
pub(super) async fn healthz() -> &'static str {
    "ok"
}

/// Returns whether the server accepts requests.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operation",
    responses(
        (status = 200, description = "The server accepts requests", body = String, content_type = "text/plain", example = "ready"),
        openapi_errors::ProbeErrors,
    )
)]
pub(super) async fn readyz(State(api): State<ApiState>) -> Response {
    if *api.ready.borrow() { "ready".into_response() } else { ServeError::Stopping.into_response() }
}
