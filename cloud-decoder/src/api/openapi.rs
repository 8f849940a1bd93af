//! The REST interfaces as an OpenAPI document, and a page that displays it.
//!
//! The document is generated from the annotations of the handlers. The page is a single file without external
//! resources, whose script sends requests to this server only.

use axum::{Json, response::Html};
use utoipa::{
    OpenApi,
    openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
};

use super::{
    error_http::ErrorBody,
    oip, openapi_errors,
    openapi_schemas::{Time, Urgency},
    rest,
};
use crate::auth::{ApiRouter, Scope};

const PAGE: &str = include_str!("page.html");

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Lopside cloud-decoder",
        description = "Decodes latent frames with the heads of bundles. Every error response has a status and the body \
                       `{\"error\": \"…\"}`. If the server requires API keys, send yours as \
                       `Authorization: Bearer KEY` or `x-api-key`.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    paths(document, page),
    components(schemas(ErrorBody, Time, Urgency)),
    tags(
        (name = "bundles", description = "Bundles, and decoding of frames with their heads"),
        (name = "archive", description = "Frames that devices have sent; only if the server has an archive"),
        (name = "inference", description = "The Open Inference Protocol, version 2; heads are models named BUNDLE.HEAD"),
        (name = "repository", description = "Loading and unloading bundles while they are served"),
        (name = "operation", description = "Health probes, metrics and this description"),
    )
)]
struct RestDocument;

/// Returns the REST interfaces as an OpenAPI 3.1 document.
#[must_use]
pub fn openapi_document() -> utoipa::openapi::OpenApi {
    let mut document = RestDocument::openapi();
    document.merge(rest::HttpDocument::openapi());
    document.merge(oip::OipDocument::openapi());
    document.merge(rest::metrics::MetricsDocument::openapi());
    declare_keys(&mut document);
    document
}

/// Declares both ways to send an API key. A server without keys accepts requests without one, so a key is optional.
fn declare_keys(document: &mut utoipa::openapi::OpenApi) {
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    let header = ApiKey::Header(ApiKeyValue::new("x-api-key"));
    components.add_security_scheme("api_key", SecurityScheme::ApiKey(header));
    let keys = ["bearer", "api_key"].map(|scheme| SecurityRequirement::new(scheme, Vec::<String>::new()));
    document.security = Some(std::iter::once(SecurityRequirement::default()).chain(keys).collect());
}

/// Returns the routes `/openapi.json` and `/docs`.
pub(crate) fn router() -> ApiRouter {
    ApiRouter::new()
        .get("/openapi.json", Scope::Infer, document)
        .get("/docs", Scope::Infer, page)
        .map_router(|router| router.method_not_allowed_fallback(rest::method_not_allowed))
}

/// Returns this description as an OpenAPI document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "get_openapi",
    tag = "operation",
    responses(
        (status = 200, description = "An OpenAPI 3.1 document", body = Object),
        openapi_errors::KeyErrors,
    )
)]
async fn document() -> Json<utoipa::openapi::OpenApi> {
    Json(openapi_document())
}

/// Returns this description as an HTML page.
#[utoipa::path(
    get,
    path = "/docs",
    operation_id = "get_docs",
    tag = "operation",
    responses(
        (status = 200, description = "An HTML page", body = String, content_type = "text/html"),
        openapi_errors::KeyErrors,
    )
)]
async fn page() -> Html<&'static str> {
    Html(PAGE)
}
