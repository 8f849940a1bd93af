//! The protocol over REST, with the binary tensor extension.

mod elements;
mod infer;
mod request;
mod response;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Path, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tower_http::{compression::CompressionLayer, decompression::RequestDecompressionLayer};

use super::{EXTENSIONS, Oip, PLATFORM, model::TensorInfo};
use crate::{ServeError, error_http::Refusal};

/// The routes. An unpacked body has at most `max_body` bytes.
pub(crate) fn router(oip: Oip, max_body: usize) -> Router {
    // Tensors come packed when a client likes, and go so when it asks.
    let inferences = Router::new()
        .route("/v2/models/{model}/infer", post(infer::newest))
        .route("/v2/models/{model}/versions/{version}/infer", post(infer::version))
        .layer(RequestDecompressionLayer::new())
        .layer(CompressionLayer::new());
    Router::new()
        .route("/v2", get(server))
        .route("/v2/health/live", get(|| async { "" }))
        .route("/v2/health/ready", get(ready))
        .route("/v2/models/stats", get(all_statistics))
        .route("/v2/repository/index", post(index))
        .route("/v2/repository/models/{model}/load", post(load))
        .route("/v2/repository/models/{model}/unload", post(unload))
        .merge(of_model("/v2/models/{model}"))
        .merge(of_model("/v2/models/{model}/versions/{version}"))
        .merge(inferences)
        .layer(DefaultBodyLimit::max(max_body))
        .with_state(oip)
}

fn of_model(path: &str) -> Router<Oip> {
    Router::new()
        .route(path, get(metadata))
        .route(&format!("{path}/ready"), get(model_ready))
        .route(&format!("{path}/config"), get(config))
        .route(&format!("{path}/stats"), get(statistics))
}

/// A model in a path; without a version, the newest.
#[derive(Debug, Deserialize)]
struct Named {
    model: String,
    #[serde(default)]
    version: String,
}

async fn server() -> Json<Value> {
    Json(json!({
        "name": env!("CARGO_PKG_NAME"),
        "version": env!("CARGO_PKG_VERSION"),
        "extensions": EXTENSIONS,
    }))
}

async fn ready(State(oip): State<Oip>) -> Response {
    if oip.ready() { StatusCode::OK.into_response() } else { ServeError::Stopping.into_response() }
}

async fn model_ready(State(oip): State<Oip>, Path(named): Path<Named>) -> Result<StatusCode, ServeError> {
    oip.model(&named.model, &named.version)?;
    if oip.ready() { Ok(StatusCode::OK) } else { Err(ServeError::Stopping) }
}

async fn metadata(State(oip): State<Oip>, Path(named): Path<Named>) -> Result<Json<Value>, ServeError> {
    let model = oip.model(&named.model, &named.version)?;
    let tensor = |info: TensorInfo| json!({ "name": info.name, "datatype": info.datatype.name(), "shape": info.shape });
    Ok(Json(json!({
        "name": model.name,
        "versions": model.versions().iter().map(ToString::to_string).collect::<Vec<_>>(),
        "platform": PLATFORM,
        "inputs": model.inputs().into_iter().map(tensor).collect::<Vec<_>>(),
        "outputs": model.outputs().into_iter().map(tensor).collect::<Vec<_>>(),
    })))
}

async fn config(State(oip): State<Oip>, Path(named): Path<Named>) -> Result<Json<Value>, ServeError> {
    let model = oip.model(&named.model, &named.version)?;
    Ok(Json(response::config(oip.config(&model))))
}

async fn statistics(State(oip): State<Oip>, Path(named): Path<Named>) -> Result<Json<Value>, ServeError> {
    let stats = oip.statistics(&named.model, &named.version)?;
    Ok(Json(json!({ "model_stats": stats })))
}

async fn all_statistics(State(oip): State<Oip>) -> Result<Json<Value>, ServeError> {
    Ok(Json(json!({ "model_stats": oip.statistics("", "")? })))
}

#[derive(Debug, Default, Deserialize)]
struct IndexBody {
    #[serde(default)]
    ready: bool,
}

async fn index(State(oip): State<Oip>, body: axum::body::Bytes) -> Result<Json<Value>, Refusal> {
    // The body may be missing.
    let body: IndexBody = if body.is_empty() { IndexBody::default() } else { request::json(&body)? };
    let row = |row: crate::registry::Indexed| {
        let state = row.state();
        json!({
            "name": row.name,
            "version": row.version.to_string(),
            "state": state,
            "reason": row.reason,
        })
    };
    Ok(Json(oip.index(body.ready).await?.into_iter().map(row).collect()))
}

async fn load(State(oip): State<Oip>, Path(named): Path<Named>) -> Result<StatusCode, ServeError> {
    oip.load(&named.model).await.map(|()| StatusCode::OK)
}

async fn unload(State(oip): State<Oip>, Path(named): Path<Named>) -> Result<StatusCode, ServeError> {
    oip.unload(&named.model).await.map(|()| StatusCode::OK)
}
