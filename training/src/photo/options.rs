//! What a photo training is started with.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::spec::Spec;

/// What decides the result of a photo training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhotoOptions {
    /// Channels of the residual network.
    pub width: usize,
    /// Its blocks.
    pub blocks: usize,
    /// Steps in all.
    pub steps: usize,
    /// Pictures a step.
    pub batch: usize,
    /// Their side, in pixels: a multiple of 32.
    pub crop: usize,
    /// The highest learning rate of the residual network.
    pub learning_rate: f64,
    /// Decides weights, pictures and qualities.
    pub seed: u64,
    /// What counts as distortion.
    pub distortion: Distortion,
    /// What learns.
    pub trained: Trained,
    /// How many times larger than what the encoder sees the decoder's picture is, in each direction: 1 or 2.
    #[serde(default = "as_large")]
    pub scale: usize,
}

fn as_large() -> usize {
    1
}

/// What counts as distortion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Distortion {
    /// The mean squared error, that is PSNR
    Mse,
    /// 1 − MS-SSIM, nearer to what people see
    MsSsim,
}

/// What learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Trained {
    /// Encoder and decoder together, by bit rate and distortion
    Both,
    /// The decoder alone, by distortion; the latent space stays what it was
    Decoder,
}

impl PhotoOptions {
    /// The model's shape.
    #[must_use]
    pub fn spec(&self) -> Spec {
        let Self { width, blocks, scale, .. } = *self;
        Spec { luma: 64, chroma: 16, merges: vec![6, 4], width, blocks, scale }
    }
}
