//! A training on disk.
//!
//! ```text
//! run/metrics.json          the options and one entry an epoch
//! run/model-EPOCH.bpk       weights after the last epoch in metrics.json
//! run/optimiser-EPOCH.bpk   Adam's moments, by parameter
//! run/loss.svg              the curve
//! ```
//! `metrics.json` is replaced in one step, after the files of its last epoch are written and before those of the
//! epoch before are removed: a training that is killed at any moment resumes from a state that was whole.

use std::{
    fs,
    path::{Path, PathBuf},
};

use burn::{module::Module as _, optim::ModuleOptimizer};

use crate::{
    TrainingError,
    error::io,
    metrics::{Metrics, TrainOptions},
    model::Autoencoder,
};

/// The trained model of a run, loaded into `fresh`, a model of the same widths.
pub(crate) fn model(run: &Path, metrics: &Metrics, fresh: Autoencoder) -> Result<Autoencoder, TrainingError> {
    let path = file(run, "model", metrics.epochs.len());
    fresh.try_load_file(&path).map_err(|error| record(&path, &error))
}

/// Saves the state after the last epoch of `metrics`.
pub(crate) fn save(
    run: &Path,
    model: &Autoencoder,
    optimiser: &ModuleOptimizer,
    metrics: &Metrics,
) -> Result<(), TrainingError> {
    fs::create_dir_all(run).map_err(io(run))?;
    let epoch = metrics.epochs.len();
    let path = file(run, "model", epoch);
    model.clone().save_file(&path).map_err(|error| record(&path, &error))?;
    let path = file(run, "optimiser", epoch);
    optimiser.save(&path).map_err(|error| record(&path, &error))?;
    metrics.write(run)?;
    // What a killed training left behind is overwritten when that epoch comes again.
    for name in ["model", "optimiser"] {
        let _ = fs::remove_file(file(run, name, epoch - 1));
    }
    Ok(())
}

/// Loads what [`save`] saved into a fresh model and optimiser; the options must be those it was started with.
pub(crate) fn load(
    run: &Path,
    options: &TrainOptions,
    fresh: Autoencoder,
    optimiser: ModuleOptimizer,
) -> Result<(Autoencoder, ModuleOptimizer, Metrics), TrainingError> {
    let metrics = Metrics::read(run)?;
    if &metrics.options != options {
        return Err(TrainingError::OtherOptions {
            run: run.to_owned(),
            found: format!("{:?}", metrics.options),
            asked: format!("{options:?}"),
        });
    }
    let model = model(run, &metrics, fresh)?;
    let path = file(run, "optimiser", metrics.epochs.len());
    let optimiser = optimiser.load(&path).map_err(|error| record(&path, &error))?;
    Ok((model, optimiser, metrics))
}

fn file(run: &Path, name: &str, epoch: usize) -> PathBuf {
    run.join(format!("{name}-{epoch}.bpk"))
}

fn record(path: &Path, error: &dyn std::fmt::Display) -> TrainingError {
    TrainingError::Record { path: path.to_owned(), reason: error.to_string() }
}
