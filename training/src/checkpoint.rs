//! A training run on disk.
//!
//! ```text
//! run/metrics.json     the options, and one entry per point: an epoch, or a number of steps
//! run/NAME-POINT.bpk   weights or optimiser moments of the last point in metrics.json
//! ```
//! `metrics.json` is replaced atomically, after the files of its last point are written and before those of
//! the previous point are removed. A training that is killed at any moment therefore resumes from a complete
//! state.

use std::{
    fmt::{Debug, Display},
    fs,
    path::{Path, PathBuf},
};

use burn::{module::Module, optim::ModuleOptimizer};
use serde::{Serialize, de::DeserializeOwned};

use crate::{RunError, TrainingError, error::missing_or_io_error, files, json::to_json};

const METRICS_FILE: &str = "metrics.json";

/// The files of one point of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checkpoint<'a> {
    /// The run's folder.
    pub(crate) run: &'a Path,
    /// The epoch or step.
    pub(crate) point: usize,
}

impl Checkpoint<'_> {
    pub(crate) fn save_module<M: Module>(&self, name: &str, module: &M) -> Result<(), RunError> {
        let path = self.file_path(name);
        module.clone().save_file(&path).map_err(|error| unwritable_checkpoint(path, &error))
    }

    /// Loads a module into `fresh`, which must have the same shape.
    pub(crate) fn load_module<M: Module>(&self, name: &str, fresh: M) -> Result<M, RunError> {
        let path = self.file_path(name);
        fresh.try_load_file(&path).map_err(|error| unreadable_checkpoint(path, &error))
    }

    pub(crate) fn save_optimiser(&self, optimiser: &ModuleOptimizer) -> Result<(), RunError> {
        self.save_moments(OPTIMISER_NAME, optimiser)
    }

    /// Saves the moments of one of several optimisers.
    pub(crate) fn save_moments(&self, name: &str, optimiser: &ModuleOptimizer) -> Result<(), RunError> {
        let path = self.file_path(name);
        optimiser.save(&path).map_err(|error| unwritable_checkpoint(path, &error))
    }

    pub(crate) fn load_optimiser(&self, fresh: ModuleOptimizer) -> Result<ModuleOptimizer, RunError> {
        self.load_moments(OPTIMISER_NAME, fresh)
    }

    pub(crate) fn load_moments(
        &self,
        name: &str,
        fresh: ModuleOptimizer,
    ) -> Result<ModuleOptimizer, RunError> {
        let path = self.file_path(name);
        fresh.load(&path).map_err(|error| unreadable_checkpoint(path, &error))
    }

    /// Removes the files of this point and ignores errors. Files that a killed training left behind are
    /// overwritten when a resumed training reaches their point.
    pub(crate) fn remove(&self, names: &[&str]) {
        for name in names {
            let _ = fs::remove_file(self.file_path(name));
        }
    }

    fn file_path(&self, name: &str) -> PathBuf {
        self.run.join(format!("{name}-{}.bpk", self.point))
    }
}

/// File name of the optimiser of a run with only one.
pub(crate) const OPTIMISER_NAME: &str = "optimiser";

/// Reads the metrics of a run.
///
/// # Errors
/// [`RunError::NotFound`] when `metrics.json` does not exist, [`TrainingError::Io`] when it cannot be read,
/// [`TrainingError::InvalidJson`] when it cannot be parsed.
pub(crate) fn read_metrics<T: DeserializeOwned>(run: &Path) -> Result<T, TrainingError> {
    let path = run.join(METRICS_FILE);
    let missing = RunError::NotFound { run: run.to_owned() };
    let text = fs::read_to_string(&path).map_err(missing_or_io_error(&path, missing))?;
    serde_json::from_str(&text).map_err(|source| TrainingError::InvalidJson { path, source })
}

/// Writes the metrics of a run atomically: the old file stays until the new one is complete.
pub(crate) fn write_metrics(run: &Path, metrics: &impl Serialize) -> Result<(), TrainingError> {
    files::replace_file(&run.join(METRICS_FILE), to_json(metrics)?.as_bytes())
}

/// Checks that a resumed training has the options that it was started with.
///
/// # Errors
/// [`RunError::OptionsMismatch`] when they differ.
pub(crate) fn check_options<T: PartialEq + Debug>(
    run: &Path,
    found: &T,
    requested: &T,
) -> Result<(), RunError> {
    if found == requested {
        return Ok(());
    }
    Err(RunError::OptionsMismatch {
        run: run.to_owned(),
        found: format!("{found:?}"),
        asked: format!("{requested:?}"),
    })
}

fn unreadable_checkpoint(path: PathBuf, error: &dyn Display) -> RunError {
    RunError::UnreadableCheckpoint { path, reason: error.to_string() }
}

fn unwritable_checkpoint(path: PathBuf, error: &dyn Display) -> RunError {
    RunError::UnwritableCheckpoint { path, reason: error.to_string() }
}
