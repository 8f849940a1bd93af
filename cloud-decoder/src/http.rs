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
use lopside_bundle::{
    Dim, HeadKind, HeadSpec,
    picture::{LayerSpec, PictureHeadSpec},
};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{
    Decoder, Format, Output, ServeError, Value, Wanted, error_http::Refusal, output::Makes, registry::Served,
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
    #[serde(skip_serializing_if = "Vec::is_empty")]
    layers: Vec<LayerSpec>,
    heads: Vec<HeadBody>,
}

#[derive(Serialize)]
struct HeadBody {
    name: String,
    version: u32,
    kind: KindBody,
    output_shape: Vec<Dim>,
    parameters: u64,
    #[serde(flatten)]
    cost: CostBody,
}

#[derive(Serialize)]
#[serde(untagged)]
enum KindBody {
    Vector(HeadKind),
    Picture { picture: PictureBody },
}

#[derive(Serialize)]
struct PictureBody {
    scale: u32,
}

#[derive(Serialize)]
#[serde(untagged)]
enum CostBody {
    Item { macs: u64 },
    Pixel { macs_per_pixel: f64 },
}

impl From<&Served> for BundleBody {
    fn from(served: &Served) -> Self {
        let latent_space = served.latent_space().to_string();
        match served {
            Served::Vector(service) => Self {
                name: service.manifest.name.clone(),
                description: service.manifest.description.clone(),
                latent_space,
                latent_shape: service.space.shape().dims().to_vec(),
                layers: Vec::new(),
                heads: service.heads().map(HeadBody::from).collect(),
            },
            Served::Picture(service) => Self {
                name: service.manifest.name.clone(),
                description: service.manifest.description.clone(),
                latent_space,
                latent_shape: Vec::new(),
                layers: service.manifest.layers.clone(),
                heads: service.heads().map(HeadBody::from).collect(),
            },
        }
    }
}

impl From<&HeadSpec> for HeadBody {
    fn from(head: &HeadSpec) -> Self {
        Self {
            name: head.name.clone(),
            version: head.version,
            kind: KindBody::Vector(head.kind.clone()),
            output_shape: head.output.shape.clone(),
            parameters: head.cost.parameters,
            cost: CostBody::Item { macs: head.cost.macs },
        }
    }
}

impl From<&PictureHeadSpec> for HeadBody {
    fn from(head: &PictureHeadSpec) -> Self {
        Self {
            name: head.name.clone(),
            version: head.version,
            kind: KindBody::Picture { picture: PictureBody { scale: head.scale } },
            output_shape: Vec::new(),
            parameters: head.cost.parameters,
            cost: CostBody::Pixel { macs_per_pixel: head.cost.macs_per_pixel },
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

/// A frame in the body; PNG or JSON out, as the `Accept` header says. Without one, a picture is a PNG.
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
    let makes = api.decoder.registry().by_name(&name)?.makes(&query.head)?;
    let format = format_of(&headers, makes)?;
    let wanted = [Wanted { head: query.head, format }];
    let answers = api.decoder.decode(&[frame], &name, &wanted, None).await?;
    let output = answers.into_iter().flatten().next();
    let output = output.ok_or_else(|| ServeError::Internal("the head made no output".into()))?;
    Ok(body_of(&name, output))
}

fn format_of(headers: &HeaderMap, makes: Makes) -> Result<Format, Refusal> {
    let accept = headers.get(header::ACCEPT).map_or(Ok("*/*"), |value| value.to_str()).unwrap_or("*/*");
    let takes = |wanted: &str| {
        let range = wanted.split_once('/').map_or("", |(kind, _)| kind);
        accept.split(',').map(|part| part.split(';').next().unwrap_or_default().trim()).any(|part| {
            part == wanted || part == "*/*" || part.strip_suffix("/*").is_some_and(|part| part == range)
        })
    };
    let json = takes("application/json");
    match makes {
        Makes::Pictures if takes("image/png") => Ok(Format::Png),
        Makes::Pictures if json => Ok(Format::Tensor),
        Makes::ClassScores if json => Ok(Format::ClassScores),
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
