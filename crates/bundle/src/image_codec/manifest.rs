//! The contents of an image codec's `bundle.json`, schema 2, and the checks that do not need another file.

use std::collections::HashSet;

use lopside_latent::{
    LatentSpaceId,
    image_codec::{ImageCodecQuantiser, LayerShape, Layout},
};
use serde::{Deserialize, Serialize};

use crate::{
    BundleError, FileRef, GoldenInputSpec,
    check::{
        check_file, check_files_agree, check_has_heads, check_head, check_name, check_range, head_field,
        require,
    },
    golden, id_text,
};

/// The schema version of image codecs' manifests.
pub const IMAGE_CODEC_SCHEMA: u32 = 2;

/// The manifest of an image codec's bundle. Unknown fields are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageCodecManifest {
    /// The schema version, [`IMAGE_CODEC_SCHEMA`].
    pub schema: u32,
    /// The name of the bundle: 1 to 64 of `a–z 0–9 -`.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// The id of the latent space, 16 hexadecimal digits.
    #[serde(with = "id_text")]
    pub latent_space: LatentSpaceId,
    /// The preprocessing that turns an image into the encoder's input.
    pub input: ImageCodecInput,
    /// The encoder.
    pub encoder: ImageCodecEncoderSpec,
    /// The layers, coarsest first.
    pub layers: Vec<ImageCodecLayerSpec>,
    /// The quantiser.
    pub quantiser: ImageCodecQuantiserSpec,
    /// The context file.
    pub contexts: FileRef,
    /// The heads, at least one; the first is the default.
    pub heads: Vec<ImageCodecHeadSpec>,
    /// The model card.
    pub model_card: FileRef,
    /// The golden inputs, with which a device tests the encoder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub golden: Vec<GoldenInputSpec>,
}

/// The preprocessing that turns an image into the encoder's input: RGB (grey three times), each 8-bit sample
/// mapped linearly from 0…255 to `low…high`, extended by its mirror image.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageCodecInput {
    /// The value of sample 0.
    pub low: f32,
    /// The value of sample 255.
    pub high: f32,
    /// Number of mirrored samples on every side.
    pub reach: u32,
}

/// The encoder of an image codec.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageCodecEncoderSpec {
    /// The ONNX file.
    pub model: FileRef,
    /// The name of the image tensor, `[n, 3, h + 2·reach, w + 2·reach]`.
    pub input: String,
    /// The name of the tensor up to which rows of the image are independent of each other beyond `reach`:
    /// `[n, c, h/stride, w/stride]` with the stride of the finest layer. Up to this tensor an image can be
    /// processed in strips.
    pub bands: String,
    /// A fast encoder of the same bands; `None` for a bundle without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fast: Option<Box<FastEncoderSpec>>,
    /// The cost of the encoder.
    pub cost: ImageCodecCost,
}

/// An encoder that reads the image at half its size, as the mean of every 2×2 samples, and approximates the
/// first of the [bands](ImageCodecEncoderSpec::bands). The other bands count as 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FastEncoderSpec {
    /// The ONNX file.
    pub model: FileRef,
    /// The name of the image tensor, `[n, 3, h/2 + reach, w/2 + reach]`.
    pub input: String,
    /// The name of the tensor of the first bands.
    pub bands: String,
    /// The cost of this model, without the rest of the encoder.
    pub cost: ImageCodecCost,
}

/// One layer of the latent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageCodecLayerSpec {
    /// The name of its tensor: an output of the encoder and an input of every head, `[n, channels, h/stride,
    /// w/stride]`.
    pub tensor: String,
    /// Number of feature maps.
    pub channels: u32,
    /// Pixels per coefficient in each direction.
    pub stride: u32,
}

/// The quantiser: steps, gains and roundings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageCodecQuantiserSpec {
    /// The quantisation steps of the qualities 1 to 100, in units of the layers.
    pub steps: Vec<f32>,
    /// The gains: one list per layer, with one gain per channel.
    pub gains: Vec<Vec<f32>>,
    /// The value added to a magnitude before its fraction is cut off, one per layer.
    pub rounding: Vec<f32>,
}

/// A head that reconstructs an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageCodecHeadSpec {
    /// The name of the head: 1 to 64 of `a–z 0–9 -`.
    pub name: String,
    /// The version, which increases when a head is retrained; the highest one is served.
    pub version: u32,
    /// The ONNX file. Its inputs are the dequantised layers, by the names of their tensors, and `quality`.
    pub model: FileRef,
    /// The name of the quality tensor, `[n, 1]`, 1 to 100.
    pub quality: String,
    /// The name of the image tensor, `[n, 3, scale·h, scale·w]`, samples in the input's `low…high`.
    pub output: String,
    /// Magnification of the output relative to the input, in each direction.
    pub scale: u32,
    /// The cost of the head.
    pub cost: ImageCodecCost,
}

/// The cost of a model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageCodecCost {
    /// Number of trained parameters.
    pub parameters: u64,
    /// Multiply-accumulates per pixel of the encoder's input image.
    pub macs_per_pixel: f64,
}

impl ImageCodecManifest {
    /// Returns the version of the next head with this name: 1, or one more than the highest existing version.
    #[must_use]
    pub fn next_version(&self, name: &str) -> u32 {
        let versions = self.heads.iter().filter(|head| head.name == name).map(|head| head.version);
        versions.max().unwrap_or(0).saturating_add(1)
    }

    /// Checks everything that can be checked without another file.
    ///
    /// # Errors
    /// Returns [`BundleError`] naming the first field that is invalid.
    pub fn check(&self) -> Result<(), BundleError> {
        if self.schema != IMAGE_CODEC_SCHEMA {
            return Err(BundleError::UnsupportedSchema { found: self.schema, expected: IMAGE_CODEC_SCHEMA });
        }
        check_name("name", &self.name)?;
        check_range("input", self.input.low, self.input.high)?;
        require(self.input.reach <= 64, "input.reach", || "it must be at most 64".into())?;
        check_file("encoder.model", &self.encoder.model)?;
        if let Some(fast) = &self.encoder.fast {
            check_file("encoder.fast.model", &fast.model)?;
            require(self.input.reach.is_multiple_of(2), "input.reach", || {
                "it must be even, because the fast encoder reads the image at half its size".into()
            })?;
        }
        check_file("contexts", &self.contexts)?;
        check_file("model_card", &self.model_card)?;
        golden::check_golden(&self.golden)?;
        self.build_layout()?;
        self.build_quantiser()?;
        self.check_heads()?;
        check_files_agree(self.all_files())
    }

    /// Returns the layers as a layout.
    ///
    /// # Errors
    /// Returns [`BundleError::Latent`] if the layers are not valid for any image.
    pub fn build_layout(&self) -> Result<Layout, BundleError> {
        let shapes =
            self.layers.iter().map(|layer| LayerShape { channels: layer.channels, stride: layer.stride });
        Ok(Layout::new(shapes.collect())?)
    }

    /// Returns the quantiser.
    ///
    /// # Errors
    /// Returns [`BundleError::Latent`] if a number in it is invalid.
    pub fn build_quantiser(&self) -> Result<ImageCodecQuantiser, BundleError> {
        let spec = &self.quantiser;
        Ok(ImageCodecQuantiser::new(spec.steps.clone(), spec.gains.clone(), spec.rounding.clone())?)
    }

    /// Returns the files that a device needs in addition to `bundle.json`: all except the heads and the model
    /// card.
    #[must_use]
    pub fn device_files(&self) -> Vec<&FileRef> {
        let fast = self.encoder.fast.iter().map(|fast| &fast.model);
        let golden = self.golden.iter().flat_map(GoldenInputSpec::file_refs);
        [&self.encoder.model].into_iter().chain(fast).chain([&self.contexts]).chain(golden).collect()
    }

    /// Returns all files that the manifest names.
    pub(crate) fn all_files(&self) -> Vec<&FileRef> {
        let heads = self.heads.iter().map(|head| &head.model);
        self.device_files().into_iter().chain([&self.model_card]).chain(heads).collect()
    }

    fn check_heads(&self) -> Result<(), BundleError> {
        check_has_heads(&self.heads)?;
        let mut seen = HashSet::new();
        for (i, head) in self.heads.iter().enumerate() {
            check_head(&mut seen, i, &head.name, head.version, &head.model)?;
            require((1..=8).contains(&head.scale), &head_field(i, "scale"), || {
                "it must be between 1 and 8".into()
            })?;
        }
        Ok(())
    }
}
