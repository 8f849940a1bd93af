//! What is served, as JSON.

use axum::{
    Json,
    extract::{Path, State},
};
use lopside_bundle::{
    Dim, HeadKind, HeadSpec, InputSpec, LatentSpec, PartSpec,
    picture::{LayerSpec, PictureHeadSpec},
};
use serde::Serialize;

use super::Api;
use crate::{ServeError, served::Served};

pub(super) async fn all(State(api): State<Api>) -> Json<Bundles> {
    Json(Bundles {
        bundles: api
            .decoder
            .registry()
            .catalog()
            .all()
            .map(|served| BundleBody::from(served.as_ref()))
            .collect(),
    })
}

pub(super) async fn one(
    State(api): State<Api>,
    Path(name): Path<String>,
) -> Result<Json<BundleBody>, ServeError> {
    Ok(Json(BundleBody::from(api.decoder.registry().catalog().by_name(&name)?.as_ref())))
}

#[derive(Serialize)]
pub(super) struct Bundles {
    bundles: Vec<BundleBody>,
}

#[derive(Serialize)]
pub(super) struct BundleBody {
    name: String,
    description: String,
    latent_space: String,
    latent_shape: Vec<u32>,
    /// What the encoder takes; pictures of any size where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<InputSpec>,
    layers: Vec<LayerBody>,
    heads: Vec<HeadBody>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum LayerBody {
    Vector { tensor: String, shape: Vec<u32> },
    Picture(LayerSpec),
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
    Score { score: ScoreBody },
    Picture { picture: PictureBody },
}

/// A score without its quantiles, which are for the service alone.
#[derive(Serialize)]
struct ScoreBody {
    threshold: f32,
    parts: Vec<PartBody>,
}

#[derive(Serialize)]
struct PartBody {
    name: String,
    weight: f32,
    needs_input: bool,
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
                input: Some(service.manifest.input.clone()),
                layers: service.manifest.latent.iter().map(LayerBody::from).collect(),
                heads: service.heads().map(HeadBody::from).collect(),
            },
            Served::Picture(service) => Self {
                name: service.manifest.name.clone(),
                description: service.manifest.description.clone(),
                latent_space,
                latent_shape: Vec::new(),
                input: None,
                layers: service.manifest.layers.iter().cloned().map(LayerBody::Picture).collect(),
                heads: service.heads().map(HeadBody::from).collect(),
            },
        }
    }
}

impl From<&LatentSpec> for LayerBody {
    fn from(layer: &LatentSpec) -> Self {
        let shape = layer.tensor.item_dims().unwrap_or_default();
        Self::Vector { tensor: layer.tensor.name.clone(), shape }
    }
}

impl From<&HeadSpec> for HeadBody {
    fn from(head: &HeadSpec) -> Self {
        Self {
            name: head.name.clone(),
            version: head.version,
            kind: KindBody::from(&head.kind),
            output_shape: head.output.shape.clone(),
            parameters: head.cost.parameters,
            cost: CostBody::Item { macs: head.cost.macs },
        }
    }
}

impl From<&HeadKind> for KindBody {
    fn from(kind: &HeadKind) -> Self {
        let HeadKind::Score(spec) = kind else { return Self::Vector(kind.clone()) };
        let part = |part: &PartSpec| PartBody {
            name: part.name.clone(),
            weight: part.weight,
            needs_input: part.source.needs_input(),
        };
        let parts = spec.parts.iter().map(part).collect();
        Self::Score { score: ScoreBody { threshold: spec.threshold, parts } }
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
