//! Our codec as the evaluation sees it: the path that ships, from the edge's encoder to the cloud's decoder.

use cloud_decoder::{PictureDecoder, Runtime};
use edge_encoder::{PictureEncoder, PictureOptions};
use image::DynamicImage;
use lopside_bundle::picture::{PictureBundle, PictureCost};
use lopside_latent::picture::Quality;

use super::bundle::UPSCALE;
use crate::TrainingError;

/// Both halves of a photo bundle.
pub(crate) struct OwnCodec {
    encoder: PictureEncoder,
    fast: Option<PictureEncoder>,
    decoder: PictureDecoder,
    upscaler: Option<PictureDecoder>,
    /// What the encoder costs.
    pub(crate) encoder_cost: PictureCost,
    /// What the default head costs.
    pub(crate) decoder_cost: PictureCost,
    /// What the head that makes pictures twice as large costs, where there is one.
    pub(crate) upscaler_cost: Option<PictureCost>,
}

impl OwnCodec {
    /// The bundle's encoder in tract, its default head in ONNX Runtime and, where it has one, that which upscales.
    pub(crate) fn new(bundle: &PictureBundle, runtime: &Runtime) -> Result<Self, TrainingError> {
        let manifest = &bundle.manifest;
        let upscaler = manifest.heads.iter().find(|head| head.name == UPSCALE);
        Ok(Self {
            encoder: PictureEncoder::new(bundle)?,
            fast: bundle.fast_encoder.is_some().then(|| PictureEncoder::fast(bundle)).transpose()?,
            decoder: PictureDecoder::new(runtime, bundle, "")?,
            upscaler: upscaler.map(|_| PictureDecoder::new(runtime, bundle, UPSCALE)).transpose()?,
            upscaler_cost: upscaler.map(|head| head.cost),
            encoder_cost: manifest.encoder.cost,
            decoder_cost: manifest.heads[0].cost,
        })
    }

    /// The frame of a picture, header and id included, all layers, on one thread.
    pub(crate) fn encode(&self, picture: &DynamicImage, quality: Quality) -> Result<Vec<u8>, TrainingError> {
        Ok(self.encoder.encode(picture, &PictureOptions::new(quality))?.frame)
    }

    /// Whether there is a fast encoder.
    pub(crate) fn has_fast(&self) -> bool {
        self.fast.is_some()
    }

    /// The frame that the fast encoder makes, or the other one where there is none.
    pub(crate) fn encode_fast(
        &self,
        picture: &DynamicImage,
        quality: Quality,
    ) -> Result<Vec<u8>, TrainingError> {
        let encoder = self.fast.as_ref().unwrap_or(&self.encoder);
        Ok(encoder.encode(picture, &PictureOptions::new(quality))?.frame)
    }

    /// The picture of a frame.
    pub(crate) fn decode(&mut self, frame: &[u8]) -> Result<DynamicImage, TrainingError> {
        Ok(self.decoder.decode(frame)?)
    }

    /// The picture of a frame at twice the size, where the bundle has a head for it.
    pub(crate) fn upscale(&mut self, frame: &[u8]) -> Result<Option<DynamicImage>, TrainingError> {
        Ok(self.upscaler.as_mut().map(|upscaler| upscaler.decode(frame)).transpose()?)
    }
}
