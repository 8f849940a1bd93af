//! The steps between a frame and a head: entropy decoding, dequantisation, names and shapes.

use std::sync::Arc;

use lopside_bundle::image_codec::{ImageCodecHeadSpec, ImageCodecManifest};
use lopside_latent::{
    LatentError, Limits,
    image_codec::{ImageCodecFrame, ImageCodecHeader, ImageCodecSpace, Quality},
};

use crate::{
    Runtime,
    model::{BatchSlice, HeadModel, InferenceInput, ModelIo, NamedTensor},
};

use super::raster::Raster;

/// The memory budget, as a multiple of the pixels that a frame may have, because images are padded and heads
/// upscale them.
const BUDGET_FACTOR: u64 = 2;
/// The quality of the warm-up run of a head.
const WARM_UP_QUALITY: u8 = 50;

/// The latent space of an image codec, with the names of its layers in the heads' graphs.
#[derive(Debug)]
pub struct ImageCodec {
    space: ImageCodecSpace,
    tensors: Vec<String>,
    low: f32,
    high: f32,
}

/// The feature maps of a frame, as inputs of a head.
#[derive(Debug)]
pub struct FeatureMaps {
    /// The frame's header, which describes its image.
    pub header: ImageCodecHeader,
    layers: Vec<NamedTensor>,
}

/// Returns the number of pixels that all images in memory may have together, padded and upscaled.
pub(crate) fn pixels_in_memory(limits: &Limits) -> u64 {
    BUDGET_FACTOR.saturating_mul(limits.max_pixels)
}

impl ImageCodec {
    /// Creates the codec of a bundle.
    pub(crate) fn new(manifest: &ImageCodecManifest, space: ImageCodecSpace) -> Self {
        let tensors = manifest.layers.iter().map(|layer| layer.tensor.clone()).collect();
        Self { space, tensors, low: manifest.input.low, high: manifest.input.high }
    }

    /// Checks a frame as far as possible without decoding it, and returns the number of pixels of a head's
    /// output, padded.
    ///
    /// # Errors
    /// The error of [`ImageCodecFrame::parse`], or [`LatentError::Limit`] if the padded image, upscaled `scale`
    /// times in each direction, exceeds the memory budget of images.
    pub fn check_frame(&self, frame: &[u8], scale: u32, limits: &Limits) -> Result<u64, LatentError> {
        let header = ImageCodecFrame::parse(frame, limits, Some(self.space.id()))?.header;
        self.output_pixels(header, scale, limits)
    }

    /// Returns the number of pixels of a head's output for an image, padded.
    ///
    /// # Errors
    /// [`LatentError::Limit`], as for [`check_frame`](Self::check_frame).
    pub fn output_pixels(
        &self,
        header: ImageCodecHeader,
        scale: u32,
        limits: &Limits,
    ) -> Result<u64, LatentError> {
        let [height, width] = self.padded(header).map(|side| side as u64 * u64::from(scale));
        let (found, limit) = (width.saturating_mul(height), pixels_in_memory(limits));
        if found <= limit {
            return Ok(found);
        }
        Err(LatentError::Limit { what: "number of pixels of the padded and upscaled image", found, limit })
    }

    /// Returns the header of the largest image, in colour, whose coarsest layer has these rows and columns;
    /// `None` if the image is too large for a frame.
    #[must_use]
    pub fn header(&self, layer: [usize; 2], quality: Quality) -> Option<ImageCodecHeader> {
        let alignment = self.space.layout().alignment();
        let [height, width] =
            layer.map(|extent| u32::try_from(extent).ok().and_then(|extent| extent.checked_mul(alignment)));
        let header = ImageCodecHeader { width: width?, height: height?, is_grey: false, quality };
        header.check_sides().ok().map(|()| header)
    }

    /// Returns the layers of an image, coarsest first: names and shapes, `[channels, rows, columns]`.
    pub fn shapes(&self, header: ImageCodecHeader) -> impl Iterator<Item = (&str, [usize; 3])> {
        let layout = self.space.layout();
        self.tensors.iter().zip(layout.layers()).enumerate().map(move |(number, (tensor, layer))| {
            let [rows, columns] = layout.dims(number, header.width, header.height);
            (tensor.as_str(), [layer.channels as usize, rows, columns])
        })
    }

    /// Decodes and dequantises a frame; missing layers are zeros.
    ///
    /// # Errors
    /// The error of [`ImageCodecSpace::decode`].
    pub fn maps(&self, frame: &[u8], limits: &Limits) -> Result<FeatureMaps, LatentError> {
        let latent = self.space.decode(frame, limits)?;
        let maps = self.space.dequantise(&latent)?;
        Ok(self.named_maps(latent.header, maps))
    }

    /// Returns the inference input of a head for these feature maps.
    pub(crate) fn to_input(&self, maps: &FeatureMaps, head: &ImageCodecHeadSpec) -> InferenceInput {
        let quality = NamedTensor {
            name: head.quality.clone(),
            shape: vec![1, 1],
            values: Arc::new(vec![f32::from(maps.header.quality.get())]),
        };
        let [height, width] = self.padded(maps.header).map(|side| side * head.scale as usize);
        InferenceInput {
            tensors: maps.layers.iter().cloned().chain([quality]).collect(),
            output_lens: vec![3 * height * width],
        }
    }

    /// Returns the image in a head's output.
    pub(crate) fn raster<'a>(
        &self,
        header: ImageCodecHeader,
        head: &ImageCodecHeadSpec,
        slice: &'a BatchSlice,
    ) -> Raster<'a> {
        let scale = head.scale as usize;
        Raster {
            values: slice.first_output(),
            pitch: self.padded(header)[1] * scale,
            width: header.width as usize * scale,
            height: header.height as usize * scale,
            low: self.low,
            high: self.high,
        }
    }

    /// Loads a head's model; the smallest image verifies its shapes. On a GPU, batches of up to `max_items` images
    /// are tried.
    ///
    /// # Errors
    /// The reason why the model does not match its manifest.
    pub(crate) fn load(
        &self,
        runtime: &Runtime,
        head: &ImageCodecHeadSpec,
        model: &[u8],
        max_items: usize,
    ) -> Result<HeadModel, String> {
        let io = ModelIo {
            inputs: self.tensors.iter().chain([&head.quality]).cloned().collect(),
            outputs: vec![head.output.clone()],
            latent_space: self.space.id().to_string(),
        };
        let quality = Quality::new(WARM_UP_QUALITY).ok_or("the quality of the warm-up image is invalid")?;
        let header = ImageCodecHeader { width: 1, height: 1, is_grey: false, quality };
        let layers = 0..self.tensors.len();
        let zeros = layers.map(|layer| vec![0.0; self.space.layout().elements(layer, 1, 1)]).collect();
        let maps = self.named_maps(header, zeros);
        // One image occupies a whole CPU; a small image does not occupy a whole GPU.
        let max_items = if runtime.has_cuda() { max_items } else { 1 };
        HeadModel::load(runtime, model, &io, (&self.to_input(&maps, head), max_items))
    }

    /// Returns rows and columns of the padded image.
    fn padded(&self, header: ImageCodecHeader) -> [usize; 2] {
        let alignment = self.space.layout().alignment();
        [header.height, header.width].map(|side| side.next_multiple_of(alignment) as usize)
    }

    /// Adds names and shapes to feature maps.
    #[must_use]
    pub fn named_maps(&self, header: ImageCodecHeader, maps: Vec<Vec<f32>>) -> FeatureMaps {
        let layers = maps.into_iter().zip(self.shapes(header)).map(|(values, (tensor, shape))| {
            let shape = std::iter::once(1).chain(shape).collect();
            NamedTensor { name: tensor.to_owned(), shape, values: Arc::new(values) }
        });
        FeatureMaps { header, layers: layers.collect() }
    }
}
