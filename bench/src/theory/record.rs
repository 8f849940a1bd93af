//! The figures of a row, as stored in `training/theory/figures`.

use std::{
    collections::BTreeMap,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use training::{EpochMetrics, definition::Definition, evaluate::Evaluation};

use super::row::TheoryRow;
use crate::{BenchError, error::io_error};

/// The results of a row's command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RowRecord {
    /// The id of the row.
    pub(super) id: String,
    /// The command, as a user would enter it.
    pub(super) command: String,
    /// The definition of the model that was trained.
    pub(super) definition: Definition,
    /// One run, or one run per class if each class in turn is the normal one.
    pub(super) runs: Vec<TrainingRun>,
    /// The classic methods on the same samples.
    pub(super) baselines: Vec<MethodFigures>,
}

/// One training run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrainingRun {
    /// The metrics of its epochs.
    pub(super) epochs: Vec<EpochMetrics>,
    /// The evaluation of its bundle through frames.
    pub(super) evaluation: Evaluation,
}

/// A classic method of anomaly detection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MethodFigures {
    /// The name of the method.
    pub(super) name: String,
    /// AUROC by samples; the mean over the classes if there are several.
    pub(super) auroc: f64,
    /// AUROC by points of a time series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) point_auroc: Option<f64>,
}

/// Returns the records that exist, by id.
pub(super) fn read_all(folder: &Path, rows: &[TheoryRow]) -> Result<BTreeMap<String, RowRecord>, BenchError> {
    let mut records = BTreeMap::new();
    for row in rows {
        if let Some(record) = RowRecord::read(folder, &row.id)? {
            records.insert(row.id.clone(), record);
        }
    }
    Ok(records)
}

impl RowRecord {
    /// Reads the record of a row; `None` if the row has not been measured yet.
    pub(super) fn read(folder: &Path, id: &str) -> Result<Option<Self>, BenchError> {
        let path = record_path(folder, id);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error(&path)(error)),
        }
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), BenchError> {
        let path = record_path(folder, &self.id);
        fs::create_dir_all(folder.join("figures")).map_err(io_error(folder))?;
        fs::write(&path, serde_json::to_string_pretty(self)? + "\n").map_err(io_error(&path))
    }

    /// Returns whether the row, in the workspace at `root`, still has the same command and the same model
    /// definition.
    pub(super) fn is_current(&self, row: &TheoryRow, root: &Path) -> bool {
        self.command == row.command()
            && row.blueprint(root).is_ok_and(|blueprint| blueprint.definition == self.definition)
    }
}

fn record_path(folder: &Path, id: &str) -> PathBuf {
    folder.join("figures").join(id).with_extension("json")
}
