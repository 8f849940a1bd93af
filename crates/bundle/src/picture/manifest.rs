//! `bundle.json` of a photo model, schema 2: what it says, and the checks that need no other file.

use std::collections::HashSet;

use lopside_latent::{
    LatentSpaceId,
    picture::{LayerQuantiser, LayerShape, Layout},
};
use serde::{Deserialize, Serialize};

use crate::{
    BundleError, FileRef, GoldenSpec,
    check::{check_any_head, check_file, check_head, check_name, check_range, head_field, require},
    golden,
    manifest::id_text,
};

/// The version of the manifest of photo models.
pub const PICTURE_SCHEMA: u32 = 2;

/// The manifest of a photo model's bundle. Unknown fields are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PictureManifest {
    /// [`PICTURE_SCHEMA`].
    pub schema: u32,
    /// The bundle's name: 1 to 64 of `a–z 0–9 -`.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// The name of the latent space, 16 hexadecimal digits.
    #[serde(with = "id_text")]
    pub latent_space: LatentSpaceId,
    /// How a picture becomes the encoder's input.
    pub input: PictureInput,
    /// The encoder half.
    pub encoder: PictureEncoderSpec,
    /// The layers, coarsest first.
    pub layers: Vec<LayerSpec>,
    /// The quantiser.
    pub quantiser: PictureQuantiserSpec,
    /// The context file.
    pub contexts: FileRef,
    /// The heads, at least one; the first is the default.
    pub heads: Vec<PictureHeadSpec>,
    /// The model card.
    pub model_card: FileRef,
    /// What an edge tries the encoder on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub golden: Vec<GoldenSpec>,
}

/// How a picture becomes the encoder's input: RGB (grey three times), each 8-bit sample mapped linearly from 0…255
/// to `low…high`, continued by its mirror image.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PictureInput {
    /// The value of sample 0.
    pub low: f32,
    /// The value of sample 255.
    pub high: f32,
    /// Mirrored samples on every side.
    pub reach: u32,
}

/// The encoder half.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PictureEncoderSpec {
    /// The ONNX file.
    pub model: FileRef,
    /// The picture tensor, `[n, 3, h + 2·reach, w + 2·reach]`.
    pub input: String,
    /// The tensor up to which rows of the picture do not know of each other but for `reach`: `[n, c, h/stride,
    /// w/stride]` of the finest layer's stride. Up to here a picture may be worked on in strips.
    pub bands: String,
    /// A fast encoder of the same bands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fast: Option<Box<FastEncoderSpec>>,
    /// What it costs.
    pub cost: PictureCost,
}

/// An encoder that sees the picture at half its size, the mean of every 2×2 samples, and makes the first of the
/// [bands](PictureEncoderSpec::bands), near enough; the others count as 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FastEncoderSpec {
    /// The ONNX file.
    pub model: FileRef,
    /// The picture tensor, `[n, 3, h/2 + reach, w/2 + reach]`.
    pub input: String,
    /// The tensor of the first bands.
    pub bands: String,
    /// What it costs, the rest of the encoder not counted.
    pub cost: PictureCost,
}

/// One layer of the latent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerSpec {
    /// The name of its tensor: an output of the encoder, an input of every head, `[n, channels, h/stride,
    /// w/stride]`.
    pub tensor: String,
    /// Feature maps.
    pub channels: u32,
    /// Pixels a coefficient stands for in each direction.
    pub stride: u32,
}

/// Steps, gains and roundings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PictureQuantiserSpec {
    /// The steps of the qualities 1 to 100, in units of the layers.
    pub steps: Vec<f32>,
    /// A gain a channel, a list a layer.
    pub gains: Vec<Vec<f32>>,
    /// What is added to a magnitude before its fraction is cut off, one a layer.
    pub rounding: Vec<f32>,
}

/// A head that makes a picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PictureHeadSpec {
    /// The head's name: 1 to 64 of `a–z 0–9 -`.
    pub name: String,
    /// Counts up when a head is trained anew; the highest one serves.
    pub version: u32,
    /// The ONNX file. Its inputs are the layers by their tensors' names, dequantised, and `quality`.
    pub model: FileRef,
    /// The quality tensor, `[n, 1]`, 1 to 100.
    pub quality: String,
    /// The picture tensor, `[n, 3, scale·h, scale·w]`, samples in the input's `low…high`.
    pub output: String,
    /// How many times larger the output is, in each direction.
    pub scale: u32,
    /// What it costs.
    pub cost: PictureCost,
}

/// What a model costs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PictureCost {
    /// Trained numbers.
    pub parameters: u64,
    /// Multiply-accumulates a pixel of the encoder's input picture.
    pub macs_per_pixel: f64,
}

impl PictureManifest {
    /// The version that a new head of this name gets: 1, or the next after those that there are.
    #[must_use]
    pub fn next_version(&self, name: &str) -> u32 {
        let versions = self.heads.iter().filter(|head| head.name == name).map(|head| head.version);
        versions.max().unwrap_or(0).saturating_add(1)
    }

    /// Checks all that can be checked without another file.
    ///
    /// # Errors
    /// [`BundleError`] naming the first field that cannot be right.
    pub fn check(&self) -> Result<(), BundleError> {
        if self.schema != PICTURE_SCHEMA {
            return Err(BundleError::Schema { found: self.schema, expected: PICTURE_SCHEMA });
        }
        check_name("name", &self.name)?;
        check_range("input", self.input.low, self.input.high)?;
        require(self.input.reach <= 64, "input.reach", || "it is over 64".into())?;
        check_file("encoder.model", &self.encoder.model)?;
        if let Some(fast) = &self.encoder.fast {
            check_file("encoder.fast.model", &fast.model)?;
            require(self.input.reach.is_multiple_of(2), "input.reach", || {
                "it is odd, and a fast encoder sees half of it".into()
            })?;
        }
        check_file("contexts", &self.contexts)?;
        check_file("model_card", &self.model_card)?;
        golden::check(&self.golden)?;
        self.layout()?;
        self.layer_quantiser()?;
        self.check_heads()
    }

    /// The layers as a layout.
    ///
    /// # Errors
    /// [`BundleError::Latent`] when no picture can have them.
    pub fn layout(&self) -> Result<Layout, BundleError> {
        let shape = |layer: &LayerSpec| LayerShape { channels: layer.channels, stride: layer.stride };
        Ok(Layout::new(self.layers.iter().map(shape).collect())?)
    }

    /// The quantiser.
    ///
    /// # Errors
    /// [`BundleError::Latent`] when a number in it is impossible.
    pub fn layer_quantiser(&self) -> Result<LayerQuantiser, BundleError> {
        let spec = &self.quantiser;
        Ok(LayerQuantiser::new(spec.steps.clone(), spec.gains.clone(), spec.rounding.clone())?)
    }

    /// The files that an edge needs, beside `bundle.json`: all but the heads and the model card.
    #[must_use]
    pub fn edge_files(&self) -> Vec<&FileRef> {
        let fast = self.encoder.fast.iter().map(|fast| &fast.model);
        let golden = self.golden.iter().flat_map(GoldenSpec::files);
        [&self.encoder.model].into_iter().chain(fast).chain([&self.contexts]).chain(golden).collect()
    }

    fn check_heads(&self) -> Result<(), BundleError> {
        check_any_head(&self.heads)?;
        let mut seen = HashSet::new();
        for (i, head) in self.heads.iter().enumerate() {
            check_head(&mut seen, i, &head.name, head.version, &head.model)?;
            require((1..=8).contains(&head.scale), &head_field(i, "scale"), || "it must be 1 to 8".into())?;
        }
        Ok(())
    }
}
