//! A photo training that was left in a folder.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::{PhotoOptions, model::PhotoModel};
use crate::{
    TrainingError,
    checkpoint::{self, Checkpoint},
};

/// The weights of the last step.
pub(crate) const MODEL: &str = "model";
/// Their running average.
pub(crate) const AVERAGE: &str = "average";

/// `metrics.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PhotoMetrics {
    pub(crate) options: PhotoOptions,
    /// The training whose weights this one started from.
    #[serde(default)]
    pub(crate) from: Option<Box<Origin>>,
    pub(crate) points: Vec<PhotoPoint>,
}

/// A training that another one started from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// What it was started with.
    pub(crate) options: PhotoOptions,
    /// Steps done.
    pub(crate) done: usize,
    /// What it started from itself.
    #[serde(default)]
    pub(crate) from: Option<Box<Origin>>,
}

/// One validation, of the averaged weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PhotoPoint {
    /// Steps done.
    pub(crate) step: usize,
    /// The mean loss since the last point.
    pub(crate) train_loss: f64,
    /// Mean estimated bits a pixel over the validation tiles, one a quality measured.
    pub(crate) bpp: Vec<f64>,
    /// Mean PSNR over them in dB.
    pub(crate) psnr: Vec<f64>,
}

impl PhotoMetrics {
    pub(crate) fn read(run: &Path) -> Result<Self, TrainingError> {
        checkpoint::read_metrics(run)
    }

    /// Steps done.
    pub(crate) fn done(&self) -> usize {
        self.points.last().map_or(0, |point| point.step)
    }
}

/// A training that was left in a folder.
pub(crate) struct PhotoRun {
    /// What was done.
    pub(crate) origin: Origin,
    path: PathBuf,
}

impl PhotoRun {
    pub(crate) fn read(run: &Path) -> Result<Self, TrainingError> {
        let metrics = PhotoMetrics::read(run)?;
        let origin = Origin { done: metrics.done(), options: metrics.options, from: metrics.from };
        Ok(Self { origin, path: run.to_owned() })
    }

    /// The model with its averaged weights.
    pub(crate) fn model(&self, device: &Device) -> Result<PhotoModel, TrainingError> {
        let at = Checkpoint { run: &self.path, point: self.origin.done };
        at.load(AVERAGE, PhotoModel::new(&self.origin.options.spec(), device))
    }
}
