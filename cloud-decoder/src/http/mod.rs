//! The REST API.

mod body;
mod bundles;
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

use crate::{Decoder, ServeError, error_http::Refusal, grpc::is_grpc, openapi, terms::DefaultTerms};

/// What the API's handlers say of themselves.
#[derive(OpenApi)]
#[openapi(paths(bundles::all, bundles::one, decode::decode, healthz, readyz))]
pub(crate) struct Document;

#[derive(Clone)]
struct Api {
    decoder: Decoder,
    ready: watch::Receiver<bool>,
    terms: DefaultTerms,
}

/// The routes. `ready` turns false when the server begins to stop; a body has at most `max_body` bytes.
pub(crate) fn router(
    decoder: Decoder,
    terms: DefaultTerms,
    ready: watch::Receiver<bool>,
    max_body: usize,
) -> Router {
    Router::new()
        .route("/v1/bundles", get(bundles::all))
        .route("/v1/bundles/{name}", get(bundles::one))
        .route("/v1/bundles/{name}/decode", post(decode::decode))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(max_body))
        .with_state(Api { decoder, ready, terms })
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
