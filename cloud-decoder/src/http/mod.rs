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

/// What the API's handlers say of themselves.
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

/// What the handlers need.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    pub(crate) decoder: Decoder,
    /// The archive, where one is kept.
    pub(crate) kept: Option<Kept>,
    pub(crate) channels: Channels,
    pub(crate) terms: DefaultTerms,
    /// Turns false when the server begins to stop.
    pub(crate) ready: watch::Receiver<bool>,
}

/// The routes. A body has at most `max_body` bytes.
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

/// What answers a path that nobody serves: gRPC callers get UNIMPLEMENTED, others 404.
pub(crate) async fn unknown(request: Request) -> Response {
    if is_grpc(request.headers()) {
        return tonic::Status::unimplemented(format!("no method {}", request.uri().path())).into_http();
    }
    Refusal::Http(StatusCode::NOT_FOUND, format!("nothing is served at {}", request.uri().path()))
        .into_response()
}

/// What answers a method that a path does not have; axum adds the ones it has.
pub(crate) async fn wrong_method(method: Method, uri: Uri) -> Refusal {
    Refusal::Http(StatusCode::METHOD_NOT_ALLOWED, format!("{} takes no {method}", uri.path()))
}

/// Whether the process lives.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "operation",
    responses((status = 200, description = "It does", body = String, content_type = "text/plain", example = "ok"))
)]
async fn healthz() -> &'static str {
    "ok"
}

/// Whether requests are welcome.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operation",
    responses(
        (status = 200, description = "They are", body = String, content_type = "text/plain", example = "ready"),
        openapi::Probe,
    )
)]
async fn readyz(State(api): State<Api>) -> Response {
    if *api.ready.borrow() { "ready".into_response() } else { ServeError::Stopping.into_response() }
}
