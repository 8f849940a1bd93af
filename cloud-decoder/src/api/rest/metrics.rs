//! `/metrics`, in the Prometheus text format.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::{ConnectInfo, Request},
    http::header,
    middleware,
    response::IntoResponse,
};
use lopside_telemetry::metrics::{CONTENT_TYPE, exposition};
use tokio::net::TcpListener;
use utoipa::OpenApi;

use super::fallback::method_not_allowed;
use crate::{
    StartError,
    api::openapi_errors,
    auth::{ApiRouter, Scope},
    transport::ConnectionPeer,
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

/// Serves the routes of a router, protected or not, on a separate address until the process ends.
///
/// # Errors
/// [`StartError::Listen`] if the address cannot be bound.
pub(crate) async fn serve_metrics(address: SocketAddr, router: Router) -> Result<(), StartError> {
    let listener =
        TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })?;
    let address = listener.local_addr().map_err(|source| StartError::Listen { address, source })?;
    tracing::info!(url = format!("http://{address}/metrics"), "serving metrics");
    let service = router.layer(middleware::map_request(add_peer));
    let service = service.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, service).await {
            tracing::error!(%error, "metrics are no longer served");
        }
    });
    Ok(())
}

/// Adds the peer of the connection to the request's extensions, where the authentication layer reads it.
async fn add_peer(ConnectInfo(address): ConnectInfo<SocketAddr>, mut request: Request) -> Request {
    request.extensions_mut().insert(Arc::new(ConnectionPeer::new(address.ip(), None)));
    request
}

/// Returns all metrics in the Prometheus text format.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "get_metrics",
    tag = "operation",
    responses(
        (status = 200, description = "All metrics of the process", body = String, content_type = "text/plain"),
        openapi_errors::KeyErrors,
    )
)]
async fn metrics() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], exposition())
}
