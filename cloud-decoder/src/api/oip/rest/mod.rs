//! The protocol over REST, with the binary tensor extension.

mod bodies;
mod body_encoding;
mod config_body;
mod elements;
mod first_key;
mod infer;
mod list;
mod object;
mod parameters;
mod paths;
mod request;
mod response;
mod statistics_body;

use axum::{
    Json,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    middleware,
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use serde_json::json;
use utoipa::{OpenApi, ToSchema};

use super::{OipService, repository::refuse_overrides};
use crate::{
    ServeError,
    api::{
        error_http::ApiError,
        extract::{BodyBytes, PathParams},
        openapi_errors,
        rest::method_not_allowed,
    },
    audit::Actor,
    auth::{Access, ApiRouter, Scope},
};
use bodies::{IndexRow, ModelMetadata, ModelReady, ServerLive, ServerMetadata, ServerReady};
use config_body::ConfigBody;
use first_key::FirstKey;
use object::Object;
use paths::{NewestPath, VersionedPath};
#[cfg(fuzzing)]
pub(super) use request::parse_body;
use statistics_body::StatisticsBody;

/// The OpenAPI description of the handlers.
#[derive(OpenApi)]
#[openapi(paths(
    server,
    live,
    ready,
    metadata,
    metadata_of_version,
    model_ready,
    version_ready,
    config,
    config_of_version,
    statistics,
    statistics_of_version,
    all_statistics,
    infer::newest,
    infer::version,
    index,
    load,
    unload
))]
pub(crate) struct OipDocument;

/// Returns the routes. A decompressed body may have at most `max_body` bytes.
pub(crate) fn router(oip: OipService, max_body: usize) -> ApiRouter {
    let encode_bodies = middleware::from_fn_with_state(max_body, body_encoding::encode_bodies);
    let inferences = ApiRouter::new()
        .post("/v2/models/{model}/infer", Scope::Infer, infer::newest)
        .post("/v2/models/{model}/versions/{version}/infer", Scope::Infer, infer::version)
        .map_router(|router| router.layer(encode_bodies));
    ApiRouter::new()
        .get("/v2", Scope::Infer, server)
        .get("/v2/health/live", Access::Open, live)
        .get("/v2/health/ready", Access::Open, ready)
        .get("/v2/models/stats", Scope::Infer, all_statistics)
        .get("/v2/models/{model}", Scope::Infer, metadata)
        .get("/v2/models/{model}/ready", Scope::Infer, model_ready)
        .get("/v2/models/{model}/config", Scope::Infer, config)
        .get("/v2/models/{model}/stats", Scope::Infer, statistics)
        .get("/v2/models/{model}/versions/{version}", Scope::Infer, metadata_of_version)
        .get("/v2/models/{model}/versions/{version}/ready", Scope::Infer, version_ready)
        .get("/v2/models/{model}/versions/{version}/config", Scope::Infer, config_of_version)
        .get("/v2/models/{model}/versions/{version}/stats", Scope::Infer, statistics_of_version)
        .post("/v2/repository/index", Scope::Infer, index)
        .post("/v2/repository/models/{model}/load", Scope::Admin, load)
        .post("/v2/repository/models/{model}/unload", Scope::Admin, unload)
        .merge(inferences)
        .map_router(|router| {
            router
                .method_not_allowed_fallback(method_not_allowed)
                .layer(DefaultBodyLimit::max(max_body))
                .with_state(oip)
        })
}

/// Returns the name, version and extensions of the server.
#[utoipa::path(
    get,
    path = "/v2",
    operation_id = "server_metadata",
    tag = "inference",
    responses(
        (status = 200, description = "The name, version and extensions of the server", body = ServerMetadata),
        openapi_errors::KeyErrors,
    )
)]
async fn server() -> Json<ServerMetadata> {
    Json(ServerMetadata::own())
}

/// Returns 200 while the process is alive.
#[utoipa::path(
    get,
    path = "/v2/health/live",
    operation_id = "server_live",
    tag = "inference",
    responses((status = 200, description = "The process is alive", body = ServerLive))
)]
async fn live() -> Json<ServerLive> {
    Json(ServerLive { live: true })
}

/// Returns whether the server accepts requests.
#[utoipa::path(
    get,
    path = "/v2/health/ready",
    operation_id = "server_ready",
    tag = "inference",
    responses((status = 200, description = "The server accepts requests", body = ServerReady), openapi_errors::ProbeErrors)
)]
async fn ready(State(oip): State<OipService>) -> Response {
    match oip.health.check_ready() {
        Ok(()) => Json(ServerReady { ready: true }).into_response(),
        Err(error) => not_ready(error),
    }
}

/// Returns whether the newest version of a model is ready.
#[utoipa::path(
    get,
    path = "/v2/models/{model}/ready",
    operation_id = "model_ready",
    tag = "inference",
    params(NewestPath),
    responses((status = 200, description = "The model is ready", body = ModelReady), openapi_errors::LookupErrors)
)]
async fn model_ready(
    State(oip): State<OipService>,
    PathParams(named): PathParams<NewestPath>,
) -> Result<Response, ServeError> {
    oip.ready_model(&named.model, "")
}

/// Returns whether one version of a model is ready.
#[utoipa::path(
    get,
    path = "/v2/models/{model}/versions/{version}/ready",
    operation_id = "model_version_ready",
    tag = "inference",
    params(VersionedPath),
    responses((status = 200, description = "The model is ready", body = ModelReady), openapi_errors::LookupErrors)
)]
async fn version_ready(
    State(oip): State<OipService>,
    PathParams(named): PathParams<VersionedPath>,
) -> Result<Response, ServeError> {
    oip.ready_model(&named.model, &named.version)
}

/// Returns the tensors of a model's newest version.
#[utoipa::path(
    get,
    path = "/v2/models/{model}",
    operation_id = "model_metadata",
    tag = "inference",
    params(NewestPath),
    responses((status = 200, description = "The tensors of the model", body = ModelMetadata), openapi_errors::LookupErrors)
)]
async fn metadata(
    State(oip): State<OipService>,
    PathParams(named): PathParams<NewestPath>,
) -> Result<Json<ModelMetadata>, ServeError> {
    oip.metadata_body(&named.model, "")
}

/// Returns the tensors of one version of a model.
#[utoipa::path(
    get,
    path = "/v2/models/{model}/versions/{version}",
    operation_id = "model_version_metadata",
    tag = "inference",
    params(VersionedPath),
    responses((status = 200, description = "The tensors of the model", body = ModelMetadata), openapi_errors::LookupErrors)
)]
async fn metadata_of_version(
    State(oip): State<OipService>,
    PathParams(named): PathParams<VersionedPath>,
) -> Result<Json<ModelMetadata>, ServeError> {
    oip.metadata_body(&named.model, &named.version)
}

/// Returns the configuration of a model's newest version.
#[utoipa::path(
    get,
    path = "/v2/models/{model}/config",
    operation_id = "model_config",
    tag = "inference",
    params(NewestPath),
    responses((status = 200, description = "The configuration of the model", body = ConfigBody), openapi_errors::LookupErrors)
)]
async fn config(
    State(oip): State<OipService>,
    PathParams(named): PathParams<NewestPath>,
) -> Result<Json<ConfigBody>, ServeError> {
    oip.config_body(&named.model, "")
}

/// Returns the configuration of one version of a model.
#[utoipa::path(
    get,
    path = "/v2/models/{model}/versions/{version}/config",
    operation_id = "model_version_config",
    tag = "inference",
    params(VersionedPath),
    responses((status = 200, description = "The configuration of the model", body = ConfigBody), openapi_errors::LookupErrors)
)]
async fn config_of_version(
    State(oip): State<OipService>,
    PathParams(named): PathParams<VersionedPath>,
) -> Result<Json<ConfigBody>, ServeError> {
    oip.config_body(&named.model, &named.version)
}

/// Returns the statistics of all versions of a model.
#[utoipa::path(
    get,
    path = "/v2/models/{model}/stats",
    operation_id = "model_statistics",
    tag = "inference",
    params(NewestPath),
    responses((status = 200, description = "The statistics of the model's versions", body = StatisticsBody), openapi_errors::LookupErrors)
)]
async fn statistics(
    State(oip): State<OipService>,
    PathParams(named): PathParams<NewestPath>,
) -> Result<Json<StatisticsBody>, ServeError> {
    oip.stats_body(&named.model, "")
}

/// Returns the statistics of one version of a model.
#[utoipa::path(
    get,
    path = "/v2/models/{model}/versions/{version}/stats",
    operation_id = "model_version_statistics",
    tag = "inference",
    params(VersionedPath),
    responses((status = 200, description = "The statistics of the model's versions", body = StatisticsBody), openapi_errors::LookupErrors)
)]
async fn statistics_of_version(
    State(oip): State<OipService>,
    PathParams(named): PathParams<VersionedPath>,
) -> Result<Json<StatisticsBody>, ServeError> {
    oip.stats_body(&named.model, &named.version)
}

/// Returns the statistics of all models.
#[utoipa::path(
    get,
    path = "/v2/models/stats",
    operation_id = "all_model_statistics",
    tag = "inference",
    responses(
        (status = 200, description = "The statistics of all versions of all models", body = StatisticsBody),
        openapi_errors::KeyErrors,
    )
)]
async fn all_statistics(State(oip): State<OipService>) -> Result<Json<StatisticsBody>, ServeError> {
    oip.stats_body("", "")
}

/// A filter for the repository index.
#[derive(Debug, Deserialize, ToSchema)]
struct IndexRequest {
    /// Whether to list only entries that are ready.
    #[serde(default)]
    ready: bool,
}

/// Lists the heads that are served and the bundles that are not.
#[utoipa::path(
    post,
    path = "/v2/repository/index",
    operation_id = "repository_index",
    tag = "repository",
    request_body(content = Option<IndexRequest>, description = "An optional filter"),
    responses((status = 200, description = "The heads that are served, and the bundles that are not", body = Vec<IndexRow>), openapi_errors::RepositoryErrors)
)]
async fn index(
    State(oip): State<OipService>,
    BodyBytes(body): BodyBytes,
) -> Result<Json<Vec<IndexRow>>, ApiError> {
    let body: Option<Object<IndexRequest>> = if body.is_empty() { None } else { request::parse_json(&body)? };
    let only_ready = body.is_some_and(|Object(body)| body.ready);
    Ok(Json(oip.list_repository(only_ready).await?.into_iter().map(IndexRow::from).collect()))
}

/// The parameters of a load. The OpenAPI document does not mention them, because all of them are refused.
#[derive(Debug, Deserialize)]
struct LoadRequest {
    parameters: Option<FirstKey>,
}

/// Loads or reloads a bundle.
#[utoipa::path(
    post,
    path = "/v2/repository/models/{model}/load",
    operation_id = "repository_load",
    tag = "repository",
    params(("model" = String, Path, description = "The bundle, or one of its heads")),
    responses((status = 200, description = "The bundle is served"), openapi_errors::RepositoryErrors)
)]
async fn load(
    State(oip): State<OipService>,
    actor: Actor,
    PathParams(named): PathParams<NewestPath>,
    BodyBytes(body): BodyBytes,
) -> Result<StatusCode, ApiError> {
    if !body.is_empty() {
        let Object(LoadRequest { parameters }) = request::parse_json(&body)?;
        refuse_overrides(parameters.unwrap_or_default().0.iter())?;
    }
    oip.load_bundle(&named.model, actor).await?;
    Ok(StatusCode::OK)
}

/// Stops serving a bundle.
#[utoipa::path(
    post,
    path = "/v2/repository/models/{model}/unload",
    operation_id = "repository_unload",
    tag = "repository",
    params(("model" = String, Path, description = "The bundle, or one of its heads")),
    responses((status = 200, description = "The bundle is no longer served"), openapi_errors::RepositoryErrors)
)]
async fn unload(
    State(oip): State<OipService>,
    actor: Actor,
    PathParams(named): PathParams<NewestPath>,
) -> Result<StatusCode, ServeError> {
    oip.unload_bundle(&named.model, actor).await.map(|()| StatusCode::OK)
}

/// Returns the error of a server that is not ready, with the answer that the protocol defines for probes.
fn not_ready(error: ServeError) -> Response {
    let body = json!({ "ready": false, "error": error.to_string() });
    let (head, _) = error.into_response().into_parts();
    (head, Json(body)).into_response()
}

impl OipService {
    fn ready_model(&self, name: &str, version: &str) -> Result<Response, ServeError> {
        let name = self.find_model(name, version)?.name;
        Ok(match self.health.check_ready() {
            Ok(()) => Json(ModelReady { name, ready: true }).into_response(),
            Err(error) => not_ready(error),
        })
    }

    fn metadata_body(&self, name: &str, version: &str) -> Result<Json<ModelMetadata>, ServeError> {
        Ok(Json(self.find_model(name, version)?.into()))
    }

    fn config_body(&self, name: &str, version: &str) -> Result<Json<ConfigBody>, ServeError> {
        Ok(Json(self.describe_config(&self.find_model(name, version)?).into()))
    }

    fn stats_body(&self, name: &str, version: &str) -> Result<Json<StatisticsBody>, ServeError> {
        Ok(Json(StatisticsBody { model_stats: self.statistics(name, version)? }))
    }
}
