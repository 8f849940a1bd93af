//! The figures of a row, as they lie in `training/theory/figures`.

use std::{
    collections::BTreeMap,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use training::{
    EpochMetrics,
    definition::{Blueprint, Definition},
    evaluate::Evaluation,
};

use super::row::Row;
use crate::{BenchError, error::io};

/// What a row's command gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    /// The row.
    pub(super) id: String,
    /// The command, as a user would give it.
    pub(super) command: String,
    /// What was trained.
    pub(super) definition: Definition,
    /// One; of classes in turn, as many as there are.
    pub(super) runs: Vec<Run>,
    /// The classic methods on the same samples.
    pub(super) baselines: Vec<Method>,
}

/// One training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Run {
    /// Its epochs.
    pub(super) epochs: Vec<EpochMetrics>,
    /// Its bundle through frames.
    pub(super) evaluation: Evaluation,
}

/// A classic method for anomalies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Method {
    /// Its name.
    pub(super) name: String,
    /// By samples; the mean over classes where there are several.
    pub(super) auroc: f64,
    /// By points of a series.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) point_auroc: Option<f64>,
}

/// The records that are there, by id.
pub(super) fn all(folder: &Path, rows: &[Row]) -> Result<BTreeMap<String, Record>, BenchError> {
    let mut records = BTreeMap::new();
    for row in rows {
        if let Some(record) = Record::read(folder, &row.id)? {
            records.insert(row.id.clone(), record);
        }
    }
    Ok(records)
}

impl Record {
    /// The record of a row; `None` when it was not measured yet.
    pub(super) fn read(folder: &Path, id: &str) -> Result<Option<Self>, BenchError> {
        let path = place(folder, id);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io(&path)(error)),
        }
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), BenchError> {
        let path = place(folder, &self.id);
        fs::create_dir_all(folder.join("figures")).map_err(io(folder))?;
        fs::write(&path, serde_json::to_string_pretty(self)? + "\n").map_err(io(&path))
    }

    /// Whether the row, in the workspace at `root`, still has the command and trains what was trained.
    pub(super) fn is_of(&self, row: &Row, root: &Path) -> bool {
        let same = |blueprint: Blueprint| blueprint.definition == self.definition;
        self.command == row.command() && row.blueprint(root).is_ok_and(same)
    }
}

fn place(folder: &Path, id: &str) -> PathBuf {
    folder.join("figures").join(id).with_extension("json")
}
