//! A training on disk.
//!
//! ```text
//! run/model.bpk       weights
//! run/optimiser.bpk   Adam's moments, by parameter
//! run/metrics.json    the options and one entry an epoch
//! run/loss.svg        the curve
//! ```
//! Files are written beside their place and renamed; `metrics.json` comes last and says how many epochs count.

use std::{fs, path::Path};

use burn::{module::Module as _, tensor::Device};
use serde::{Deserialize, Serialize};

use crate::{
    TrainingError, curve,
    error::io,
    model::Autoencoder,
    train::{EpochMetrics, TrainOptions, Trainer},
};

const MODEL: &str = "model.bpk";
const OPTIMISER: &str = "optimiser.bpk";
const METRICS: &str = "metrics.json";

/// `metrics.json`.
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
        let path = run.join(METRICS);
        let text = fs::read_to_string(&path).map_err(|_| TrainingError::NoRun { run: run.to_owned() })?;
        serde_json::from_str(&text).map_err(|source| TrainingError::Json { path, source })
    }
}

/// The trained model of a run.
pub(crate) fn model(run: &Path, options: &TrainOptions) -> Result<Autoencoder, TrainingError> {
    let path = run.join(MODEL);
    let fresh = Trainer::new(options, &Device::flex()).model.valid();
    fresh.try_load_file(&path).map_err(|error| record(&path, &error))
}

/// Saves a trainer.
pub(crate) fn save(run: &Path, trainer: &Trainer, options: &TrainOptions) -> Result<(), TrainingError> {
    fs::create_dir_all(run).map_err(io(run))?;
    let model = trainer.model.clone().into_record();
    replace(run, MODEL, |path| model.save(path).map_err(|error| record(path, &error)))?;
    replace(run, OPTIMISER, |path| trainer.optimiser.save(path).map_err(|error| record(path, &error)))?;
    let metrics = Metrics { options: options.clone(), epochs: trainer.history.clone() };
    let json = serde_json::to_string_pretty(&metrics)
        .map_err(|source| TrainingError::Json { path: run.join(METRICS), source })?;
    curve::draw(&trainer.history, &run.join("loss.svg"))?;
    replace(run, METRICS, |path| fs::write(path, json + "\n").map_err(io(path)))
}

/// Loads what [`save`] saved into a fresh trainer.
pub(crate) fn load(run: &Path, trainer: Trainer, options: &TrainOptions) -> Result<Trainer, TrainingError> {
    let metrics = Metrics::read(run)?;
    if &metrics.options != options {
        return Err(TrainingError::OtherOptions {
            run: run.to_owned(),
            found: format!("{:?}", metrics.options),
            asked: format!("{options:?}"),
        });
    }
    let path = run.join(MODEL);
    let model = trainer.model.clone().try_load_file(&path).map_err(|error| record(&path, &error))?;
    let path = run.join(OPTIMISER);
    let optimiser = trainer.optimiser.clone().load(&path).map_err(|error| record(&path, &error))?;
    Ok(trainer.resumed(model, optimiser, metrics.epochs))
}

fn replace(
    run: &Path,
    name: &str,
    write: impl FnOnce(&Path) -> Result<(), TrainingError>,
) -> Result<(), TrainingError> {
    // The ending stays, because the record's format is told by it.
    let fresh = run.join(format!("new-{name}"));
    write(&fresh)?;
    let place = run.join(name);
    fs::rename(&fresh, &place).map_err(io(&place))
}

fn record(path: &Path, error: &dyn std::fmt::Display) -> TrainingError {
    TrainingError::Record { path: path.to_owned(), reason: error.to_string() }
}
