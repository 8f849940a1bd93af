//! A photo training on disk.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::{PhotoOptions, model::PhotoModel};
use crate::{
    RunError, TrainingError,
    checkpoint::{self, Checkpoint},
};

/// Checkpoint name of the weights of the last step.
pub(crate) const MODEL_NAME: &str = "model";
/// Checkpoint name of the running average of the weights.
pub(crate) const AVERAGE_NAME: &str = "average";

/// The content of `metrics.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PhotoMetrics {
    pub(crate) options: PhotoOptions,
    /// The training whose weights this one started from; `None` for fresh weights.
    #[serde(default)]
    pub(crate) from: Option<Box<TrainingOrigin>>,
    pub(crate) points: Vec<ValidationPoint>,
}

/// The options and progress of a training, and of the trainings that it started from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TrainingOrigin {
    /// The options of the training.
    pub(crate) options: PhotoOptions,
    /// Number of steps done.
    pub(crate) done: usize,
    /// The training whose weights it started from; `None` for fresh weights.
    #[serde(default)]
    pub(crate) from: Option<Box<TrainingOrigin>>,
}

/// One validation of the averaged weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ValidationPoint {
    /// Number of steps done.
    pub(crate) step: usize,
    /// The mean loss since the previous point.
    pub(crate) train_loss: f64,
    /// Mean estimated bits per pixel over the validation tiles, one value per measured quality.
    pub(crate) bpp: Vec<f64>,
    /// Mean PSNR over the validation tiles in dB, one value per measured quality.
    pub(crate) psnr: Vec<f64>,
}

impl PhotoMetrics {
    pub(crate) fn read(run: &Path) -> Result<Self, TrainingError> {
        checkpoint::read_metrics(run)
    }

    /// Returns the number of steps done.
    pub(crate) fn steps_done(&self) -> usize {
        self.points.last().map_or(0, |point| point.step)
    }
}

/// Returns whether the folder holds a photo run, judged by its `metrics.json`, in which other runs have a definition. A damaged photo run is one, too.
///
/// # Errors
/// [`TrainingError`] if `metrics.json` is missing or not JSON.
pub(crate) fn is_photo_run(run: &Path) -> Result<bool, TrainingError> {
    let metrics: serde_json::Value = checkpoint::read_metrics(run)?;
    Ok(metrics.get("definition").is_none())
}

/// A photo training in its folder.
pub(crate) struct PhotoRun {
    /// Options, progress and predecessors of the training.
    pub(crate) origin: TrainingOrigin,
    path: PathBuf,
}

impl PhotoRun {
    pub(crate) fn read(run: &Path) -> Result<Self, TrainingError> {
        let metrics = PhotoMetrics::read(run)?;
        let origin =
            TrainingOrigin { done: metrics.steps_done(), options: metrics.options, from: metrics.from };
        Ok(Self { origin, path: run.to_owned() })
    }

    /// Loads the model with its averaged weights.
    pub(crate) fn model(&self, device: &Device) -> Result<PhotoModel, RunError> {
        let checkpoint = Checkpoint { run: &self.path, point: self.origin.done };
        checkpoint.load_module(AVERAGE_NAME, PhotoModel::new(&self.origin.options.spec(), device))
    }
}
