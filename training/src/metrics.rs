//! `metrics.json` of a run: what it was started with and how it went.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Loss, Preset, TrainingError, checkpoint};

/// What a training is started with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainOptions {
    /// What is trained.
    pub preset: Preset,
    /// What is minimised.
    pub loss: Loss,
    /// Passes over the data.
    pub epochs: usize,
    /// Pictures a step.
    pub batch: usize,
    /// The first learning rate.
    pub learning_rate: f64,
    /// Decides the initial weights and the order of the pictures.
    pub seed: u64,
}

/// One epoch's figures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EpochMetrics {
    /// From 1.
    pub epoch: usize,
    /// The mean loss over the epoch's steps.
    pub train_loss: f64,
    /// Mean squared error on the validation pictures, samples 0 to 1, latents not quantised.
    pub validation_mse: f64,
}

/// The file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// What the training was started with.
    pub options: TrainOptions,
    /// The epochs done.
    pub epochs: Vec<EpochMetrics>,
}

impl Metrics {
    /// Reads the metrics of a run.
    ///
    /// # Errors
    /// [`TrainingError::NoRun`] when there are none, [`TrainingError::Json`] when they cannot be read.
    pub fn read(run: &Path) -> Result<Self, TrainingError> {
        checkpoint::read_metrics(run)
    }
}
