//! The REST API.

mod archive;
mod body;
mod bundles;
mod channels;
mod decode;
mod outputs;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{Method, StatusCode, Uri},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use tokio::sync::watch;
use utoipa::OpenApi;

use crate::{
    Decoder, ServeError, archive::ServerArchive, channels::Channels, error_http::ApiError, grpc::is_grpc,
    openapi, terms::DefaultOptions,
};

/// The OpenAPI description of the handlers.
#[derive(OpenApi)]
#[openapi(paths(
    bundles::all,
    bundles::one,
    channels::list_channels,
    decode::decode,
    archive::devices::list_devices,
    archive::frames::list_frames,
    archive::frames::get_frame,
    archive::frames::delete_frame,
    archive::decoded::decode_frame,
    archive::live::stream_frames,
    archive::export::export_frames,
    healthz,
    readyz
))]
pub(crate) struct HttpDocument;

/// The state of the handlers.
#[derive(Debug, Clone)]
pub(crate) struct ApiState {
    pub(crate) decoder: Decoder,
    /// The archive; `None` if none is configured.
    pub(crate) archive: Option<ServerArchive>,
    pub(crate) channels: Channels,
    pub(crate) default_options: DefaultOptions,
    /// Whether the server accepts requests; turns false when it begins to stop.
    pub(crate) ready: watch::Receiver<bool>,
}

/// Returns the routes. Request bodies are limited to `max_body` bytes.
pub(crate) fn router(api: ApiState, max_body: usize) -> Router {
    Router::new()
        .route("/v1/bundles", get(bundles::all))
        .route("/v1/bundles/{name}", get(bundles::one))
        .route("/v1/bundles/{name}/decode", post(decode::decode))
        .route("/v1/channels", get(channels::list_channels))
        .merge(archive::router())
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(max_body))
        .with_state(api)
}

/// Responds to requests for unknown paths: UNIMPLEMENTED for gRPC clients, 404 for others.
pub(crate) async fn unknown_path(request: Request) -> Response {
    if is_grpc(request.headers()) {
        return tonic::Status::unimplemented(format!(
            "this server does not have the method {}",
            request.uri().path()
        ))
        .into_http();
    }
    ApiError::Http(StatusCode::NOT_FOUND, format!("nothing is served at {}", request.uri().path()))
        .into_response()
}

/// Responds to a method that the path does not support with 405; axum adds the supported ones.
pub(crate) async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    ApiError::Http(StatusCode::METHOD_NOT_ALLOWED, format!("{} does not support {method}", uri.path()))
}

/// Returns whether the process is alive.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "operation",
    responses((status = 200, description = "The process is alive", body = String, content_type = "text/plain", example = "ok"))
)]
async fn healthz() -> &'static str {
    "ok"
}

/// Returns whether the server accepts requests.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operation",
    responses(
        (status = 200, description = "The server accepts requests", body = String, content_type = "text/plain", example = "ready"),
        openapi::ProbeErrors,
    )
)]
async fn readyz(State(api): State<ApiState>) -> Response {
    if *api.ready.borrow() { "ready".into_response() } else { ServeError::Stopping.into_response() }
}
