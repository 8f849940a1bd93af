//! `metrics.json` of a run: what it was started with and how it went.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{
    TrainingError, checkpoint,
    definition::{Blueprint, Definition},
};

/// One epoch's figures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EpochMetrics {
    /// From 1.
    pub epoch: usize,
    /// The mean loss over the epoch's steps.
    pub train_loss: f64,
    /// The mean norm of the loss's gradient by the encoder's parameters θ.
    pub encoder_gradient: f64,
    /// The mean norm of the loss's gradient by the decoder's and the classifier's parameters φ.
    pub decoder_gradient: f64,
    /// Mean squared error on the validation pictures, samples 0 to 1, latents not quantised.
    pub validation_mse: f64,
}

/// The file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// What is trained, and how.
    pub definition: Definition,
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

    /// The blueprint of what is trained.
    ///
    /// # Errors
    /// [`TrainingError::Definition`] for a definition that breaks a rule.
    pub fn blueprint(&self) -> Result<Blueprint, TrainingError> {
        self.definition.clone().check("metrics.json")
    }
}
