//! The REST API.

use axum::{
    Json, Router,
    body::Bytes,
    extract::{
        DefaultBodyLimit, Path, Query, Request, State,
        rejection::{BytesRejection, QueryRejection},
    },
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use lopside_bundle::{Dim, HeadKind};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{
    Decoder, Format, Output, ServeError, Value, Wanted,
    error_http::Refusal,
    registry::{Served, ServedHead},
};

#[derive(Clone)]
struct Api {
    decoder: Decoder,
    ready: watch::Receiver<bool>,
}

/// The routes. `ready` turns false when the server begins to stop; a body has at most `max_body` bytes.
pub(crate) fn router(decoder: Decoder, ready: watch::Receiver<bool>, max_body: usize) -> Router {
    Router::new()
        .route("/v1/bundles", get(bundles))
        .route("/v1/bundles/{name}", get(bundle))
        .route("/v1/bundles/{name}/decode", post(decode))
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(readyz))
        .layer(DefaultBodyLimit::max(max_body))
        .with_state(Api { decoder, ready })
}

/// What answers a path that nobody serves: gRPC callers get UNIMPLEMENTED, others 404.
pub(crate) async fn unknown(request: Request) -> Response {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    if content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc")) {
        return tonic::Status::unimplemented(format!("no method {}", request.uri().path())).into_http();
    }
    Refusal::Http(StatusCode::NOT_FOUND, format!("nothing is served at {}", request.uri().path()))
        .into_response()
}

async fn readyz(State(api): State<Api>) -> Response {
    if *api.ready.borrow() { "ready".into_response() } else { ServeError::Stopping.into_response() }
}

#[derive(Serialize)]
struct Bundles {
    bundles: Vec<BundleBody>,
}

#[derive(Serialize)]
struct BundleBody {
    name: String,
    description: String,
    latent_space: String,
    latent_shape: Vec<u32>,
    heads: Vec<HeadBody>,
}

#[derive(Serialize)]
struct HeadBody {
    name: String,
    version: u32,
    kind: HeadKind,
    output_shape: Vec<Dim>,
    parameters: u64,
    macs: u64,
}

impl From<&Served> for BundleBody {
    fn from(served: &Served) -> Self {
        Self {
            name: served.manifest.name.clone(),
            description: served.manifest.description.clone(),
            latent_space: served.space.id().to_string(),
            latent_shape: served.space.shape().dims().to_vec(),
            heads: served.heads().map(HeadBody::from).collect(),
        }
    }
}

impl From<&ServedHead> for HeadBody {
    fn from(head: &ServedHead) -> Self {
        Self {
            name: head.spec.name.clone(),
            version: head.spec.version,
            kind: head.spec.kind.clone(),
            output_shape: head.spec.output.shape.clone(),
            parameters: head.spec.cost.parameters,
            macs: head.spec.cost.macs,
        }
    }
}

async fn bundles(State(api): State<Api>) -> Json<Bundles> {
    Json(Bundles { bundles: api.decoder.registry().all().map(BundleBody::from).collect() })
}

async fn bundle(State(api): State<Api>, Path(name): Path<String>) -> Result<Json<BundleBody>, ServeError> {
    Ok(Json(BundleBody::from(api.decoder.registry().by_name(&name)?.as_ref())))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DecodeQuery {
    /// The head; the bundle's first when it is not given.
    #[serde(default)]
    head: String,
}

/// A frame in the body; PNG or JSON out, as the `Accept` header says. Without one, a reconstruction is a PNG.
async fn decode(
    State(api): State<Api>,
    Path(name): Path<String>,
    query: Result<Query<DecodeQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    let Query(query) = query.map_err(|error| Refusal::Http(error.status(), error.body_text()))?;
    let frame = body.map_err(|error| Refusal::Http(error.status(), error.body_text()))?;
    // The name in the path is checked first: a frame for a bundle that is not here is "not found".
    let head = api.decoder.registry().by_name(&name)?.head(&query.head)?;
    let format = format_of(&headers, &head.spec.kind)?;
    let wanted = [Wanted { head: query.head, format }];
    let answers = api.decoder.decode(&[frame], &name, &wanted, None).await?;
    let output = answers.into_iter().flatten().next();
    let output = output.ok_or_else(|| ServeError::Internal("the head made no output".into()))?;
    Ok(body_of(&name, output))
}

fn format_of(headers: &HeaderMap, kind: &HeadKind) -> Result<Format, Refusal> {
    let accept = headers.get(header::ACCEPT).map_or(Ok("*/*"), |value| value.to_str()).unwrap_or("*/*");
    let takes = |wanted: &str| {
        let range = wanted.split_once('/').map_or("", |(kind, _)| kind);
        accept.split(',').map(|part| part.split(';').next().unwrap_or_default().trim()).any(|part| {
            part == wanted || part == "*/*" || part.strip_suffix("/*").is_some_and(|part| part == range)
        })
    };
    let json = takes("application/json");
    match kind {
        HeadKind::Reconstruct { .. } if takes("image/png") => Ok(Format::Png),
        HeadKind::Reconstruct { .. } if json => Ok(Format::Tensor),
        HeadKind::Classify { .. } if json => Ok(Format::ClassScores),
        _ => {
            let reason =
                format!("this head cannot answer as {accept:?}: ask for image/png or application/json");
            Err(Refusal::Http(StatusCode::NOT_ACCEPTABLE, reason))
        }
    }
}

#[derive(Serialize)]
struct OutputBody<'a> {
    bundle: &'a str,
    head: &'a str,
    head_version: u32,
    #[serde(flatten)]
    value: ValueBody,
}

#[derive(Serialize)]
#[serde(untagged)]
enum ValueBody {
    Tensor { shape: Vec<u32>, values: Vec<f32> },
    Scores { class_scores: Vec<ScoreBody> },
}

#[derive(Serialize)]
struct ScoreBody {
    label: String,
    probability: f32,
}

fn body_of(bundle: &str, output: Output) -> Response {
    let value = match output.value {
        Value::Png(png) => return ([(header::CONTENT_TYPE, "image/png")], png).into_response(),
        Value::Tensor { shape, values } => ValueBody::Tensor { shape, values },
        Value::ClassScores(scores) => ValueBody::Scores {
            class_scores: scores
                .into_iter()
                .map(|(label, probability)| ScoreBody { label, probability })
                .collect(),
        },
    };
    Json(OutputBody { bundle, head: &output.head, head_version: output.version, value }).into_response()
}
