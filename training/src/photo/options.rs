//! Options of a photo training.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::spec::PhotoSpec;

/// The options that determine the result of a photo training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhotoOptions {
    /// Channels of the residual network.
    pub width: usize,
    /// Blocks of the residual network.
    pub blocks: usize,
    /// Total number of training steps.
    pub steps: usize,
    /// Images per step.
    pub batch: usize,
    /// Side of the images in pixels: a multiple of 32 · `scale`, at most 256.
    pub crop: usize,
    /// The highest learning rate of the residual network.
    pub learning_rate: f64,
    /// Seed of the weights and of the random choice of images and qualities.
    pub seed: u64,
    /// Distortion measure of the loss.
    pub distortion: DistortionMeasure,
    /// The parts of the model that are trained.
    pub trained: TrainedParts,
    /// Size of the decoder's image relative to the encoder's, per dimension: 1 or 2.
    #[serde(default = "unit_scale")]
    pub scale: usize,
}

fn unit_scale() -> usize {
    1
}

/// Distortion measure of the loss
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum DistortionMeasure {
    /// Mean squared error, as in PSNR
    Mse,
    /// 1 − MS-SSIM, which is closer to human perception
    MsSsim,
}

/// The parts of the model that are trained
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum TrainedParts {
    /// Encoder and decoder together, with bit rate and distortion in the loss
    Both,
    /// The decoder alone, with only distortion in the loss; the latent space stays the same
    Decoder,
}

/// The options of a training of the decoder alone that do not determine its shape.
#[derive(Debug, Clone)]
pub(crate) struct DecoderSchedule {
    /// Total number of training steps.
    pub(crate) steps: usize,
    /// Images per step.
    pub(crate) batch: usize,
    /// Side of the images in pixels.
    pub(crate) crop: usize,
    /// The highest learning rate of the residual network.
    pub(crate) learning_rate: f64,
    /// Seed of the weights and of the random choice of images and qualities.
    pub(crate) seed: u64,
    /// Distortion measure of the loss.
    pub(crate) distortion: DistortionMeasure,
}

impl DecoderSchedule {
    /// Returns the options for a decoder of this shape.
    pub(crate) fn for_shape(&self, width: usize, blocks: usize, scale: usize) -> PhotoOptions {
        let Self { steps, batch, crop, learning_rate, seed, distortion } = *self;
        let trained = TrainedParts::Decoder;
        PhotoOptions { width, blocks, steps, batch, crop, learning_rate, seed, distortion, trained, scale }
    }
}

impl PhotoOptions {
    /// Returns the shape of the model.
    #[must_use]
    pub fn spec(&self) -> PhotoSpec {
        let Self { width, blocks, scale, .. } = *self;
        PhotoSpec { luma: 64, chroma: 16, merges: vec![6, 4], width, blocks, scale }
    }
}
