//! The served bundles, as JSON.

use axum::{Json, extract::State};
use lopside_bundle::{Dim, HeadKind, InputSpec, ScorePartSpec};
use lopside_decoder::{
    BundleDescription, HeadCost, HeadDescription, HeadKindDescription, LayerDescription, LayerShape,
    ServedBundle,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::ApiState;
use crate::{
    ServeError,
    api::{extract::PathParams, openapi_errors},
};

/// Lists the served bundles.
#[utoipa::path(
    get,
    path = "/v1/bundles",
    tag = "bundles",
    responses((status = 200, description = "The newest version of each bundle, by name", body = Bundles))
)]
pub(super) async fn all(State(api): State<ApiState>) -> Json<Bundles> {
    let catalog = api.decoder.registry().catalog();
    Json(Bundles { bundles: catalog.newest_bundles().map(|served| describe_bundle(served)).collect() })
}

/// Returns a served bundle.
#[utoipa::path(
    get,
    path = "/v1/bundles/{name}",
    tag = "bundles",
    params(("name" = String, Path, description = "The bundle's name", example = "fashion")),
    responses((status = 200, description = "The bundle's newest version", body = BundleBody), openapi_errors::LookupErrors)
)]
pub(super) async fn one(
    State(api): State<ApiState>,
    PathParams(name): PathParams<String>,
) -> Result<Json<BundleBody>, ServeError> {
    Ok(Json(describe_bundle(api.decoder.registry().catalog().by_name(&name)?)))
}

fn describe_bundle(served: &ServedBundle) -> BundleBody {
    BundleDescription::from(served).into()
}

#[derive(Serialize, ToSchema)]
pub(super) struct Bundles {
    bundles: Vec<BundleBody>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Bundle)]
pub(super) struct BundleBody {
    name: String,
    description: String,
    /// The latent space, as 16 hexadecimal digits. Bundles of the same latent space can decode each other's
    /// frames.
    latent_space: String,
    /// The shape of one latent with all its layers; empty for images of any size.
    latent_shape: Vec<u32>,
    /// The input of the encoder; absent for images of any size.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    input: Option<InputSpec>,
    layers: Vec<LayerBody>,
    heads: Vec<HeadBody>,
}

#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Layer)]
enum LayerBody {
    /// A layer of one fixed shape.
    Vector { tensor: String, shape: Vec<u32> },
    /// A layer for images of any size: `channels` feature maps with one coefficient per `stride` pixels in each
    /// direction.
    Picture { tensor: String, channels: u32, stride: u32 },
}

#[derive(Serialize, ToSchema)]
#[schema(as = Head)]
struct HeadBody {
    name: String,
    version: u32,
    kind: KindBody,
    /// The output shape; each dimension is a number, or the name of a dimension that the caller chooses.
    #[schema(value_type = Vec<DimBody>)]
    output_shape: Vec<Dim>,
    parameters: u64,
    #[serde(flatten)]
    cost: CostBody,
}

/// A dimension as in the manifest: a number or a name.
#[derive(ToSchema)]
#[schema(as = Dim)]
#[serde(untagged)]
#[allow(dead_code, reason = "the schema of a type of the manifest")]
enum DimBody {
    Fixed(u32),
    Symbol(String),
}

#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = HeadKind)]
enum KindBody {
    /// `reconstruct`, `series`, `classify` or `tensor`, with the properties of the output.
    #[schema(value_type = Object)]
    Vector(HeadKind),
    /// An anomaly score of the input.
    Score { score: ScoreBody },
    /// An image, `scale` times as wide and high as the encoded one.
    Picture { picture: PictureBody },
}

/// An anomaly score without its quantile tables, which only the server needs.
#[derive(Serialize, ToSchema)]
#[schema(as = Score)]
struct ScoreBody {
    /// The quantile from which on the verdict is "anomalous".
    threshold: f32,
    parts: Vec<PartBody>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ScorePart)]
struct PartBody {
    name: String,
    weight: f32,
    /// Whether the part counts only if the reference input is sent along.
    needs_input: bool,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PictureKind)]
struct PictureBody {
    scale: u32,
}

/// The number of multiply-accumulate operations.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Cost)]
enum CostBody {
    /// Operations per item.
    Item { macs: u64 },
    /// Operations per pixel.
    Pixel { macs_per_pixel: f64 },
}

impl From<BundleDescription<'_>> for BundleBody {
    fn from(bundle: BundleDescription<'_>) -> Self {
        Self {
            name: bundle.name.to_owned(),
            description: bundle.description.to_owned(),
            latent_space: bundle.latent_space.to_string(),
            latent_shape: bundle.latent_shape,
            input: bundle.input.map(|input| input.spec.clone()),
            layers: bundle.layers.into_iter().map(LayerBody::from).collect(),
            heads: bundle.heads.into_iter().map(HeadBody::from).collect(),
        }
    }
}

impl From<LayerDescription<'_>> for LayerBody {
    fn from(layer: LayerDescription<'_>) -> Self {
        let tensor = layer.tensor.to_owned();
        match layer.shape {
            LayerShape::Fixed(shape) => Self::Vector { tensor, shape },
            LayerShape::FeatureMaps { channels, stride } => Self::Picture { tensor, channels, stride },
        }
    }
}

impl From<HeadDescription<'_>> for HeadBody {
    fn from(head: HeadDescription<'_>) -> Self {
        Self {
            name: head.name.to_owned(),
            version: head.version,
            kind: KindBody::from(head.kind),
            output_shape: head.output.map(|tensor| tensor.shape.clone()).unwrap_or_default(),
            parameters: head.parameters,
            cost: CostBody::from(head.cost),
        }
    }
}

impl From<HeadKindDescription<'_>> for KindBody {
    fn from(kind: HeadKindDescription<'_>) -> Self {
        match kind {
            HeadKindDescription::Image { scale } => Self::Picture { picture: PictureBody { scale } },
            HeadKindDescription::FixedLatent(HeadKind::Score(score)) => {
                let parts = score.parts.iter().map(PartBody::from).collect();
                Self::Score { score: ScoreBody { threshold: score.threshold, parts } }
            }
            HeadKindDescription::FixedLatent(kind) => Self::Vector(kind.clone()),
        }
    }
}

impl From<&ScorePartSpec> for PartBody {
    fn from(part: &ScorePartSpec) -> Self {
        Self { name: part.name.clone(), weight: part.weight, needs_input: part.source.needs_input() }
    }
}

impl From<HeadCost> for CostBody {
    fn from(cost: HeadCost) -> Self {
        match cost {
            HeadCost::MacsPerItem(macs) => Self::Item { macs },
            HeadCost::MacsPerPixel(macs_per_pixel) => Self::Pixel { macs_per_pixel },
        }
    }
}
