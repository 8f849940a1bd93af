//! `metrics.json` of a training run: its definition and the metrics of every epoch.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{
    TrainingError, checkpoint,
    definition::{Blueprint, Definition},
};

/// The metrics of one epoch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EpochMetrics {
    /// Number of the epoch, counted from 1.
    pub epoch: usize,
    /// Mean loss over the epoch's steps.
    pub train_loss: f64,
    /// Mean norm of the loss gradient with respect to the encoder's parameters θ.
    pub encoder_gradient: f64,
    /// Mean norm of the loss gradient with respect to the decoder's and the classifier's parameters φ.
    pub decoder_gradient: f64,
    /// Mean squared error on the validation samples, with unquantised latents, in the value range of the
    /// decoder's output.
    pub validation_mse: f64,
}

/// The contents of `metrics.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// Definition of the trained model.
    pub definition: Definition,
    /// Metrics of the completed epochs.
    pub epochs: Vec<EpochMetrics>,
}

impl Metrics {
    /// Reads the metrics of a run.
    ///
    /// # Errors
    /// [`RunError::NotFound`](crate::RunError::NotFound) when the file is missing, [`TrainingError::InvalidJson`]
    /// when it is invalid.
    pub fn read(run: &Path) -> Result<Self, TrainingError> {
        checkpoint::read_metrics(run)
    }

    /// Returns the blueprint of the trained model.
    ///
    /// # Errors
    /// [`DefinitionError::RuleViolation`](crate::DefinitionError::RuleViolation) for a definition that breaks a
    /// rule.
    pub fn blueprint(&self) -> Result<Blueprint, TrainingError> {
        self.definition.clone().check("metrics.json")
    }
}
