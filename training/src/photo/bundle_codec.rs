//! Lopside's codec for the evaluation: the production path, with the edge's encoder and the cloud's decoder.

use image::DynamicImage;
use lopside_bundle::image_codec::{ImageCodecBundle, ImageCodecCost};
use lopside_decoder::{ImageCodecDecoder, Runtime};
use lopside_encoder::{ImageCodecEncoder, ImageCodecOptions};
use lopside_latent::image_codec::Quality;

use super::bundle::UPSCALE_HEAD;
use crate::TrainingError;

/// Both halves of a photo bundle.
pub(crate) struct BundleCodec {
    encoder: ImageCodecEncoder,
    fast_encoder: Option<ImageCodecEncoder>,
    decoder: ImageCodecDecoder,
    upscaler: Option<ImageCodecDecoder>,
    /// The cost of the encoder.
    pub(crate) encoder_cost: ImageCodecCost,
    /// The cost of the default head.
    pub(crate) decoder_cost: ImageCodecCost,
    /// The cost of the head that makes images of twice the size; `None` if the bundle does not have it.
    pub(crate) upscaler_cost: Option<ImageCodecCost>,
}

impl BundleCodec {
    /// Loads the bundle's encoder in tract and, in ONNX Runtime, its default head and the upscaling head if
    /// there is one.
    pub(crate) fn new(bundle: &ImageCodecBundle, runtime: &Runtime) -> Result<Self, TrainingError> {
        let manifest = &bundle.manifest;
        let upscaler = manifest.heads.iter().find(|head| head.name == UPSCALE_HEAD);
        Ok(Self {
            encoder: ImageCodecEncoder::new(bundle)?,
            fast_encoder: bundle
                .fast_encoder
                .is_some()
                .then(|| ImageCodecEncoder::new_fast(bundle))
                .transpose()?,
            decoder: ImageCodecDecoder::new(runtime, bundle, "")?,
            upscaler: upscaler.map(|_| ImageCodecDecoder::new(runtime, bundle, UPSCALE_HEAD)).transpose()?,
            upscaler_cost: upscaler.map(|head| head.cost),
            encoder_cost: manifest.encoder.cost,
            decoder_cost: manifest.heads[0].cost,
        })
    }

    /// Encodes an image to a frame with all layers, header and id included, on one thread.
    pub(crate) fn encode(&self, image: &DynamicImage, quality: Quality) -> Result<Vec<u8>, TrainingError> {
        Ok(self.encoder.encode(image, &ImageCodecOptions::new(quality))?.frame)
    }

    /// Returns whether the bundle has a fast encoder.
    pub(crate) fn has_fast(&self) -> bool {
        self.fast_encoder.is_some()
    }

    /// Encodes an image with the fast encoder, or with the normal one if the bundle does not have a fast one.
    pub(crate) fn encode_fast(
        &self,
        image: &DynamicImage,
        quality: Quality,
    ) -> Result<Vec<u8>, TrainingError> {
        let encoder = self.fast_encoder.as_ref().unwrap_or(&self.encoder);
        Ok(encoder.encode(image, &ImageCodecOptions::new(quality))?.frame)
    }

    /// Decodes a frame to an image.
    pub(crate) fn decode(&mut self, frame: &[u8]) -> Result<DynamicImage, TrainingError> {
        Ok(self.decoder.decode(frame)?)
    }

    /// Decodes a frame to an image of twice the size; `None` if the bundle does not have a head for it.
    pub(crate) fn upscale(&mut self, frame: &[u8]) -> Result<Option<DynamicImage>, TrainingError> {
        Ok(self.upscaler.as_mut().map(|upscaler| upscaler.decode(frame)).transpose()?)
    }
}
