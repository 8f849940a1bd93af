use std::{borrow::Cow, time::Instant};

use image::DynamicImage;
use lopside_bundle::image_codec::{ImageCodecBundle, ImageCodecInput};
use lopside_latent::{
    IdOnWire,
    image_codec::{ImageCodecHeader, ImageCodecSpace, Quality},
};

use super::{
    fast_quality::{is_always_useful, useful_quality},
    halving::{halve_image, halving_error},
    samples::MirroredSamples,
    split_model::SplitModel,
    strips::{BlockGrid, ImageBands, StripRunner},
    to_eight_bit,
};
use crate::{EncodeError, EncodeTiming, EncodedFrame};

/// The longest side of an image that a frame can represent, in pixels.
const MAX_SIDE: u32 = 1 << 24;

/// The encoder of an image codec's bundle, ready to run on images of any size: mirrored samples, tract strip
/// by strip with one plan of fixed shape per image width, latent coder.
///
/// Working memory is about 4 bytes per pixel at 96 bands, in addition to the image itself. Plans of the
/// latest sizes are cached, so the first image of a size takes a few milliseconds longer.
#[derive(Debug)]
pub struct ImageCodecEncoder {
    name: String,
    model: SplitModel,
    input: ImageCodecInput,
    space: ImageCodecSpace,
}

/// Options for the encoding of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageCodecOptions {
    /// The quality. A frame of the fast encoder has a lower one if a finer step would only cost bytes.
    pub quality: Quality,
    /// Number of layers in the frame, coarsest first; `None` for all.
    pub layers: Option<usize>,
    /// Number of threads that run the model; 0 counts as 1.
    pub threads: usize,
    /// Whether the frame carries the identifier of its latent space.
    pub id: IdOnWire,
}

impl ImageCodecOptions {
    /// Creates options with all layers, one thread, and the latent-space identifier in the frame.
    #[must_use]
    pub fn new(quality: Quality) -> Self {
        Self { quality, layers: None, threads: 1, id: IdOnWire::Present }
    }
}

/// The outputs of the model for an image.
struct AnalysedImage<T> {
    /// Layers `[channels, rows, columns]`, coarsest first; without the finest layer if that consists of
    /// bands.
    layers: Vec<Vec<f32>>,
    /// The converted finest layer, if it consists of bands and was requested.
    finest: Option<Vec<T>>,
    timing: EncodeTiming,
}

impl ImageCodecEncoder {
    /// Loads the encoder of a bundle.
    ///
    /// # Errors
    /// [`EncodeError::Model`] if tract cannot run it or its tensors do not match the manifest.
    pub fn new(bundle: &ImageCodecBundle) -> Result<Self, EncodeError> {
        Ok(Self::with_model(bundle, SplitModel::new(bundle)?))
    }

    /// Loads the fast encoder of a bundle, which halves an image first and computes only its lowest bands: a
    /// fraction of the work, for low qualities. Above quality 50, frames of images with much fine detail have a lower
    /// quality than requested, because finer steps would cost bytes without a better image.
    ///
    /// # Errors
    /// [`EncodeError::NoFastEncoder`] if the bundle does not have one, otherwise as [`ImageCodecEncoder::new`].
    pub fn new_fast(bundle: &ImageCodecBundle) -> Result<Self, EncodeError> {
        Ok(Self::with_model(bundle, SplitModel::new_fast(bundle)?))
    }

    fn with_model(bundle: &ImageCodecBundle, model: SplitModel) -> Self {
        Self {
            name: bundle.manifest.name.clone(),
            model,
            input: bundle.manifest.input,
            space: bundle.space.clone(),
        }
    }

    /// Returns the name of the bundle.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the latent space of the encoder's frames.
    #[must_use]
    pub fn space(&self) -> &ImageCodecSpace {
        &self.space
    }

    /// Encodes an image of any size. Images without colour are marked as grey, whatever their colour type.
    ///
    /// # Errors
    /// [`EncodeError::ImageSize`] if a frame cannot represent the size of the image, [`EncodeError::LayerCount`]
    /// if the model does not have that many layers, [`EncodeError::Model`] or [`EncodeError::Latent`] if it does
    /// not yield a latent of its latent space.
    pub fn encode(
        &self,
        image: &DynamicImage,
        options: &ImageCodecOptions,
    ) -> Result<EncodedFrame, EncodeError> {
        let layer_count = self.space.layout().layers().len();
        let requested = options.layers.unwrap_or(layer_count);
        if !(1..=layer_count).contains(&requested) {
            return Err(EncodeError::LayerCount { found: requested, layers: layer_count });
        }
        let finest_layer = layer_count - 1;
        let start = Instant::now();
        let image = to_eight_bit(image);
        let header = ImageCodecHeader {
            width: image.width(),
            height: image.height(),
            is_grey: !image.color().has_color(),
            quality: self.useful_quality(options.quality, &image),
        };
        let conversion_time = start.elapsed();
        let quality = header.quality.index();
        let high_bands = self.model.band_count - self.model.low_bands;
        let finest = (requested == layer_count).then_some(|maps: &[f32]| {
            Ok(self.space.quantise_coefficients(finest_layer, high_bands, quality, maps)?.into_values())
        });
        let AnalysedImage { layers, finest, mut timing } = self.analyse(&image, options.threads, finest)?;
        let start = Instant::now();
        let coarser = layers.iter().take(requested).enumerate().map(|(layer, maps)| {
            let channels = self.space.layout().layers()[layer].channels as usize;
            self.space.quantise_coefficients(layer, channels, quality, maps)
        });
        let mut coefficients = coarser.collect::<Result<Vec<_>, _>>()?;
        drop(layers);
        coefficients.extend(finest.map(|values| self.space.to_coefficients(finest_layer, values)));
        let frame = self.space.encode(header, &coefficients, options.id)?;
        timing.preprocess += conversion_time;
        timing.coding += start.elapsed();
        Ok(EncodedFrame { frame, quality: Some(header.quality), timing })
    }

    /// Computes the layers of an image before quantisation, coarsest first, each `[channels, rows, columns]`
    /// with the [layout's dimensions](lopside_latent::image_codec::Layout::dims); the finest layer has only the
    /// channels that are computed.
    ///
    /// # Errors
    /// [`EncodeError::ImageSize`] or [`EncodeError::Model`], as [`ImageCodecEncoder::encode`].
    pub fn layers(&self, image: &DynamicImage) -> Result<Vec<Vec<f32>>, EncodeError> {
        let AnalysedImage { mut layers, finest, .. } =
            self.analyse(&to_eight_bit(image), 1, Some(|maps: &[f32]| Ok(maps.to_vec())))?;
        layers.extend(finest);
        Ok(layers)
    }

    /// Returns the requested quality or, for the fast encoder, the finest useful one if that is coarser.
    fn useful_quality(&self, requested: Quality, image: &DynamicImage) -> Quality {
        if self.model.shrink == 1 || is_always_useful(requested) {
            return requested;
        }
        let level = (self.input.high - self.input.low) / 255.0;
        useful_quality(requested, self.space.quantiser().steps(), halving_error(image).sqrt() * level)
    }

    /// Runs the model on an image from [`to_eight_bit`].
    fn analyse<T, F>(
        &self,
        image: &DynamicImage,
        threads: usize,
        finest: Option<F>,
    ) -> Result<AnalysedImage<T>, EncodeError>
    where
        T: Copy + Default + Send,
        F: Fn(&[f32]) -> Result<Vec<T>, EncodeError> + Sync,
    {
        let grid = self.grid(image.width(), image.height())?;
        let start = Instant::now();
        let shrink = self.model.shrink;
        let shrunk = if shrink == 1 { Cow::Borrowed(image) } else { Cow::Owned(halve_image(image)) };
        let input = ImageCodecInput { reach: self.input.reach / shrink as u32, ..self.input };
        let samples =
            MirroredSamples::new(&shrunk, &input, self.space.layout().alignment() as usize / shrink);
        let plan = self.model.first_plan(grid.strip_input())?;
        let preparation_time = start.elapsed();
        let low = self.model.low_bands;
        let high = finest.filter(|_| self.model.finest_is_bands());
        let high = high.map(|convert| (self.model.band_count - low, convert));
        let strips = StripRunner { samples: &samples, plan: &plan, grid, low, high };
        let ImageBands { low, high, mut timing } = strips.run(threads)?;
        let start = Instant::now();
        let layers = self.model.layers(low, [grid.rows, grid.columns])?;
        timing.preprocess += preparation_time;
        timing.model += start.elapsed();
        Ok(AnalysedImage { layers, finest: high, timing })
    }

    fn grid(&self, width: u32, height: u32) -> Result<BlockGrid, EncodeError> {
        if ![width, height].iter().all(|side| (1..=MAX_SIDE).contains(side)) {
            return Err(EncodeError::ImageSize { width, height, limit: MAX_SIDE });
        }
        let layout = self.space.layout();
        let finest = layout.layers().len() - 1;
        let [rows, columns] = layout.dims(finest, width, height);
        let stride = layout.layers()[finest].stride as usize / self.model.shrink;
        Ok(BlockGrid { rows, columns, stride, reach: self.input.reach as usize / self.model.shrink })
    }
}
