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
    Decoder, ServeError, archive::Kept, channels::Channels, error_http::Refusal, grpc::is_grpc, openapi,
    terms::DefaultTerms,
};

/// The OpenAPI description of the handlers.
#[derive(OpenApi)]
#[openapi(paths(
    bundles::all,
    bundles::one,
    channels::all,
    decode::decode,
    archive::devices::all,
    archive::frames::list,
    archive::frames::one,
    archive::frames::delete,
    archive::decoded::decoded,
    archive::live::live,
    archive::export::export,
    healthz,
    readyz
))]
pub(crate) struct Document;

/// The state of the handlers.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    pub(crate) decoder: Decoder,
    /// The archive; `None` if none is configured.
    pub(crate) kept: Option<Kept>,
    pub(crate) channels: Channels,
    pub(crate) terms: DefaultTerms,
    /// Whether the server accepts requests; turns false when it begins to stop.
    pub(crate) ready: watch::Receiver<bool>,
}

/// Returns the routes. Request bodies are limited to `max_body` bytes.
pub(crate) fn router(api: Api, max_body: usize) -> Router {
    Router::new()
        .route("/v1/bundles", get(bundles::all))
        .route("/v1/bundles/{name}", get(bundles::one))
        .route("/v1/bundles/{name}/decode", post(decode::decode))
        .route("/v1/channels", get(channels::all))
        .merge(archive::router())
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(max_body))
        .with_state(api)
}

/// Responds to requests for unknown paths: UNIMPLEMENTED for gRPC clients, 404 for others.
pub(crate) async fn unknown(request: Request) -> Response {
    if is_grpc(request.headers()) {
        return tonic::Status::unimplemented(format!(
            "this server does not have the method {}",
            request.uri().path()
        ))
        .into_http();
    }
    Refusal::Http(StatusCode::NOT_FOUND, format!("nothing is served at {}", request.uri().path()))
        .into_response()
}

/// Responds to a method that the path does not support with 405; axum adds the supported ones.
pub(crate) async fn wrong_method(method: Method, uri: Uri) -> Refusal {
    Refusal::Http(StatusCode::METHOD_NOT_ALLOWED, format!("{} does not support {method}", uri.path()))
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
        openapi::Probe,
    )
)]
async fn readyz(State(api): State<Api>) -> Response {
    if *api.ready.borrow() { "ready".into_response() } else { ServeError::Stopping.into_response() }
}
