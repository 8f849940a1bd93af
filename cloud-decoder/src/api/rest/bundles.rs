//! The served bundles, as JSON.

use axum::{Json, extract::State};
use lopside_bundle::{Dim, InputSpec};
use lopside_decoder::{
    BundleDescription, HeadCost, HeadDescription, LayerDescription, LayerShape, ServedBundle,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    ApiState,
    head_kind::KindBody,
    manifest_schemas::{DimSchema, InputSchema},
};
use crate::{
    ServeError,
    api::{extract::PathParams, openapi_errors},
};

/// Lists the served bundles.
#[utoipa::path(
    get,
    path = "/v1/bundles",
    operation_id = "list_bundles",
    tag = "bundles",
    responses(
        (status = 200, description = "The newest version of each bundle, by name", body = Bundles),
        openapi_errors::KeyErrors,
    )
)]
pub(super) async fn list_bundles(State(api): State<ApiState>) -> Json<Bundles> {
    let catalog = api.decoder.registry().catalog();
    let max_pixels = api.decoder.limits().max_pixels;
    let bundles = catalog.newest_bundles().map(|served| describe_bundle(served, max_pixels));
    Json(Bundles { bundles: bundles.collect() })
}

/// Returns a served bundle.
#[utoipa::path(
    get,
    path = "/v1/bundles/{name}",
    operation_id = "get_bundle",
    tag = "bundles",
    params(("name" = String, Path, description = "The bundle's name", example = "fashion")),
    responses((status = 200, description = "The bundle's newest version", body = BundleBody), openapi_errors::LookupErrors)
)]
pub(super) async fn get_bundle(
    State(api): State<ApiState>,
    PathParams(name): PathParams<String>,
) -> Result<Json<BundleBody>, ServeError> {
    let max_pixels = api.decoder.limits().max_pixels;
    Ok(Json(describe_bundle(api.decoder.registry().catalog().by_name(&name)?, max_pixels)))
}

/// Describes a bundle. `max_pixels` is the largest image that the server decodes.
fn describe_bundle(served: &ServedBundle, max_pixels: u64) -> BundleBody {
    let description = BundleDescription::from(served);
    let max_pixels = description.has_images_of_any_size().then_some(max_pixels);
    BundleBody { max_pixels, ..description.into() }
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
    #[schema(value_type = Option<InputSchema>, nullable = false)]
    input: Option<InputSpec>,
    layers: Vec<LayerBody>,
    heads: Vec<HeadBody>,
    /// The largest image that this server decodes, in pixels; only for images of any size.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    max_pixels: Option<u64>,
}

/// A layer of a latent.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Layer)]
enum LayerBody {
    Fixed(FixedLayerBody),
    FeatureMaps(FeatureMapLayerBody),
}

/// A layer of one fixed shape.
#[derive(Serialize, ToSchema)]
#[schema(as = FixedLayer)]
struct FixedLayerBody {
    tensor: String,
    shape: Vec<u32>,
}

/// A layer for images of any size: `channels` feature maps with one coefficient per `stride` pixels in each
/// direction.
#[derive(Serialize, ToSchema)]
#[schema(as = FeatureMapLayer)]
struct FeatureMapLayerBody {
    tensor: String,
    channels: u32,
    stride: u32,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Head)]
struct HeadBody {
    name: String,
    version: u32,
    kind: KindBody,
    /// The output shape; each dimension is a number, or the name of a dimension that the caller chooses.
    #[schema(value_type = Vec<DimSchema>)]
    output_shape: Vec<Dim>,
    parameters: u64,
    /// Multiply-accumulate operations per item; absent for images of any size.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    macs: Option<u64>,
    /// Multiply-accumulate operations per pixel of the encoded image; only for images of any size.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    macs_per_pixel: Option<f64>,
    /// Time per megapixel of the encoded image in seconds, as measured in the last runs of this server; only for images of
    /// any size.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    seconds_per_megapixel: Option<f64>,
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
            max_pixels: None,
        }
    }
}

impl From<LayerDescription<'_>> for LayerBody {
    fn from(layer: LayerDescription<'_>) -> Self {
        let tensor = layer.tensor.to_owned();
        match layer.shape {
            LayerShape::Fixed(shape) => Self::Fixed(FixedLayerBody { tensor, shape }),
            LayerShape::FeatureMaps { channels, stride } => {
                Self::FeatureMaps(FeatureMapLayerBody { tensor, channels, stride })
            }
        }
    }
}

impl From<HeadDescription<'_>> for HeadBody {
    fn from(head: HeadDescription<'_>) -> Self {
        let (macs, macs_per_pixel) = match head.cost {
            HeadCost::MacsPerItem(macs) => (Some(macs), None),
            HeadCost::MacsPerPixel(macs) => (None, Some(macs)),
        };
        Self {
            name: head.name.to_owned(),
            version: head.version,
            kind: head.kind.into(),
            output_shape: head.output.map(|tensor| tensor.shape.clone()).unwrap_or_default(),
            parameters: head.parameters,
            macs,
            macs_per_pixel,
            seconds_per_megapixel: head.seconds_per_megapixel,
        }
    }
}
