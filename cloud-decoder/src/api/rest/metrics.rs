//! `/metrics`, in the Prometheus text format.

use std::net::SocketAddr;

use axum::{http::header, response::IntoResponse};
use lopside_telemetry::metrics::{CONTENT_TYPE, exposition};
use tokio::net::TcpListener;
use utoipa::OpenApi;

use super::fallback::method_not_allowed;
use crate::{
    StartError,
    auth::{ApiRouter, Scope},
};

/// The OpenAPI description of the handler.
#[derive(OpenApi)]
#[openapi(paths(metrics))]
pub(crate) struct MetricsDocument;

/// Returns the route `/metrics`.
pub(crate) fn router() -> ApiRouter {
    ApiRouter::new()
        .get("/metrics", Scope::Metrics, metrics)
        .map_router(|router| router.method_not_allowed_fallback(method_not_allowed))
}

/// Serves `/metrics` on a separate address, without keys, until the process ends.
///
/// # Errors
/// [`StartError::Listen`] if the address cannot be bound.
pub(crate) async fn serve_metrics(address: SocketAddr) -> Result<(), StartError> {
    let listener =
        TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })?;
    let address = listener.local_addr().map_err(|source| StartError::Listen { address, source })?;
    tracing::info!(url = format!("http://{address}/metrics"), "serving metrics");
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router().into_parts().0).await {
            tracing::error!(%error, "metrics are no longer served");
        }
    });
    Ok(())
}

/// Returns all metrics in the Prometheus text format.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operation",
    responses((status = 200, description = "All metrics of the process", body = String, content_type = "text/plain"))
)]
async fn metrics() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], exposition())
}
