//! The description of a served bundle and of its heads, for both model kinds.
//!
//! Every interface that describes a bundle converts these types to its own form. A property is read from the
//! manifests here and nowhere else.

use lopside_bundle::{
    FixedLatentHeadSpec, FixedLatentManifest, HeadKind, InputSpec, TensorSpec,
    image_codec::ImageCodecManifest,
};
use lopside_latent::LatentSpaceId;

use crate::{
    DecodeError,
    fixed_latent::{FixedLatentService, head_outputs},
    image_codec::{ImageCodecService, ImageHead},
    served_bundle::ServedBundle,
};

/// Number of channels of an image codec's output.
const IMAGE_CHANNELS: u32 = 3;

/// The description of a served bundle.
#[derive(Debug, Clone)]
pub struct BundleDescription<'a> {
    /// The name of the bundle.
    pub name: &'a str,
    /// A description for people, in one line.
    pub description: &'a str,
    /// The latent space whose frames the heads read.
    pub latent_space: LatentSpaceId,
    /// The shape of one latent with all its layers; empty for images of any size.
    pub latent_shape: Vec<u32>,
    /// The input of the encoder; `None` for images of any size.
    pub input: Option<InputDescription<'a>>,
    /// The layers, base layer first.
    pub layers: Vec<LayerDescription<'a>>,
    /// The newest version of each head.
    pub heads: Vec<HeadDescription<'a>>,
}

/// The description of the input of an encoder.
#[derive(Debug, Clone)]
pub struct InputDescription<'a> {
    /// The kind of input and its preprocessing.
    pub spec: &'a InputSpec,
    /// The dimensions of the encoder's input tensor, without the batch dimension.
    pub dims: Vec<u32>,
}

/// The description of a layer.
#[derive(Debug, Clone)]
pub struct LayerDescription<'a> {
    /// The name of the layer's tensor.
    pub tensor: &'a str,
    /// The shape of the layer.
    pub shape: LayerShape,
}

/// The shape of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerShape {
    /// One fixed shape, without the batch dimension.
    Fixed(Vec<u32>),
    /// Feature maps of an image of any size.
    FeatureMaps {
        /// Number of feature maps.
        channels: u32,
        /// Pixels per coefficient in each direction.
        stride: u32,
    },
}

/// The description of one version of a head.
#[derive(Debug, Clone)]
pub struct HeadDescription<'a> {
    /// The name of the head.
    pub name: &'a str,
    /// The version of the head.
    pub version: u32,
    /// The meaning of the output.
    pub kind: HeadKindDescription<'a>,
    /// The main output of the model as in the manifest; `None` for images of any size.
    pub output: Option<&'a TensorSpec>,
    /// The input tensors of the model.
    pub inputs: Vec<TensorDescription<'a>>,
    /// The output tensors of the model, the main output first.
    pub outputs: Vec<TensorDescription<'a>>,
    /// Number of trained parameters.
    pub parameters: u64,
    /// The cost of a run.
    pub cost: HeadCost,
    /// The time per megapixel of the encoded image, in seconds, as measured in the last runs; `None` for heads of fixed
    /// latents.
    pub seconds_per_megapixel: Option<f64>,
}

/// The meaning of a head's output, for both model kinds.
#[derive(Debug, Clone, Copy)]
pub enum HeadKindDescription<'a> {
    /// The output of a head of fixed latents.
    FixedLatent(&'a HeadKind),
    /// An image, `scale` times as wide and high as the encoded one.
    Image {
        /// Magnification of the output relative to the encoded image, in each direction.
        scale: u32,
    },
}

/// The number of multiply-accumulate operations of a head.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum HeadCost {
    /// Operations per item.
    MacsPerItem(u64),
    /// Operations per pixel of the encoded image.
    MacsPerPixel(f64),
}

/// The description of a tensor of 32-bit floats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorDescription<'a> {
    /// The name of the tensor in the graph.
    pub name: &'a str,
    /// The dimensions of one item; `None` for a dimension that depends on the size of the image.
    pub dims: Vec<Option<u32>>,
}

impl<'a> From<&'a ServedBundle> for BundleDescription<'a> {
    fn from(served: &'a ServedBundle) -> Self {
        match served {
            ServedBundle::FixedLatent(service) => Self::from_fixed_latent(service),
            ServedBundle::ImageCodec(service) => Self::from_image_codec(service),
        }
    }
}

impl<'a> BundleDescription<'a> {
    /// Returns whether frames contain images of any size, up to the server's limit.
    #[must_use]
    pub fn has_images_of_any_size(&self) -> bool {
        self.heads.iter().any(|head| matches!(head.kind, HeadKindDescription::Image { .. }))
    }

    fn from_fixed_latent(service: &'a FixedLatentService) -> Self {
        let manifest = &*service.manifest;
        let layers = manifest.latent.iter().map(|layer| LayerDescription {
            tensor: &layer.tensor.name,
            shape: LayerShape::Fixed(layer.tensor.item_dims().unwrap_or_default()),
        });
        let dims = manifest.encoder.input.item_dims().unwrap_or_default();
        let heads = service.heads.newest_versions();
        Self {
            name: &manifest.name,
            description: &manifest.description,
            latent_space: manifest.latent_space,
            latent_shape: service.space.shape().dims().to_vec(),
            input: Some(InputDescription { spec: &manifest.input, dims }),
            layers: layers.collect(),
            heads: heads.map(|spec| HeadDescription::from_fixed_latent(manifest, spec)).collect(),
        }
    }

    fn from_image_codec(service: &'a ImageCodecService) -> Self {
        let manifest = &*service.manifest;
        let layers = manifest.layers.iter().map(|layer| LayerDescription {
            tensor: &layer.tensor,
            shape: LayerShape::FeatureMaps { channels: layer.channels, stride: layer.stride },
        });
        let heads = service.heads.newest_versions();
        Self {
            name: &manifest.name,
            description: &manifest.description,
            latent_space: manifest.latent_space,
            latent_shape: Vec::new(),
            input: None,
            layers: layers.collect(),
            heads: heads.map(|head| HeadDescription::from_image_codec(manifest, head)).collect(),
        }
    }
}

impl<'a> HeadDescription<'a> {
    /// Returns the description of one version of a head. `None` selects the newest version, an empty name the
    /// first head.
    ///
    /// # Errors
    /// [`DecodeError::UnknownHead`] with the names of the existing heads.
    pub fn find(served: &'a ServedBundle, name: &str, version: Option<u32>) -> Result<Self, DecodeError> {
        Ok(match served {
            ServedBundle::FixedLatent(service) => {
                Self::from_fixed_latent(&service.manifest, &service.heads.version(name, version)?.spec)
            }
            ServedBundle::ImageCodec(service) => {
                Self::from_image_codec(&service.manifest, &service.heads.version(name, version)?.spec)
            }
        })
    }

    fn from_fixed_latent(manifest: &'a FixedLatentManifest, spec: &'a FixedLatentHeadSpec) -> Self {
        let layers = manifest.latent.iter().map(|layer| &layer.tensor);
        let inputs = layers.filter(|tensor| spec.inputs.contains(&tensor.name));
        Self {
            name: &spec.name,
            version: spec.version,
            kind: HeadKindDescription::FixedLatent(&spec.kind),
            output: Some(&spec.output),
            inputs: inputs.map(TensorDescription::from_spec).collect(),
            outputs: head_outputs(spec).map(TensorDescription::from_spec).collect(),
            parameters: spec.cost.parameters,
            cost: HeadCost::MacsPerItem(spec.cost.macs),
            seconds_per_megapixel: None,
        }
    }

    fn from_image_codec(manifest: &'a ImageCodecManifest, head: &'a ImageHead) -> Self {
        let spec = &head.entry;
        let layers = manifest.layers.iter();
        let inputs = layers.map(|layer| TensorDescription::feature_maps(&layer.tensor, layer.channels));
        let quality = TensorDescription { name: &spec.quality, dims: vec![Some(1)] };
        Self {
            name: &spec.name,
            version: spec.version,
            kind: HeadKindDescription::Image { scale: spec.scale },
            output: None,
            inputs: inputs.chain([quality]).collect(),
            outputs: vec![TensorDescription::feature_maps(&spec.output, IMAGE_CHANNELS)],
            parameters: spec.cost.parameters,
            cost: HeadCost::MacsPerPixel(spec.cost.macs_per_pixel),
            seconds_per_megapixel: head.seconds_per_megapixel(),
        }
    }
}

impl<'a> TensorDescription<'a> {
    /// Describes a tensor of one shape.
    fn from_spec(tensor: &'a TensorSpec) -> Self {
        let dims = tensor.item_dims().unwrap_or_default();
        Self { name: &tensor.name, dims: dims.into_iter().map(Some).collect() }
    }

    /// Describes feature maps, or an image, of any size.
    fn feature_maps(name: &'a str, channels: u32) -> Self {
        Self { name, dims: vec![Some(channels), None, None] }
    }
}
