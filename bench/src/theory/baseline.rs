//! The classic methods on a row's samples.

use std::path::Path;

use training::{
    Dataset, Split,
    anomaly::{Baseline, BaselineRow, one_class_rows, series_rows},
    data::Series,
    definition::{Blueprint, Signal},
};

use super::record::Method;
use crate::BenchError;

/// On pictures.
const OF_PICTURES: [Baseline; 5] =
    [Baseline::Pca(16), Baseline::Pca(32), Baseline::Neighbours, Baseline::Forest, Baseline::Svm];
/// On windows and rows.
const OF_SERIES: [Baseline; 5] =
    [Baseline::Pca(4), Baseline::Pca(16), Baseline::Neighbours, Baseline::Forest, Baseline::Svm];
/// Decides the forest's cuts and the machine's samples.
const SEED: u64 = 1;

/// Every class in turn as the normal one.
pub(super) fn one_class(data: Option<&Path>) -> Result<Vec<Method>, BenchError> {
    let folder = data.unwrap_or_else(|| Path::new(training::DEFAULT_FOLDER));
    let [train, test] = [Split::Train, Split::Test].map(|split| Dataset::read(folder, split, None));
    let rows = one_class_rows("", (&train?, &test?), &OF_PICTURES, SEED)?;
    Ok(rows.into_iter().map(Method::from).collect())
}

/// Windows as long as the model's.
pub(super) fn series(data: Option<&Path>, blueprint: &Blueprint) -> Result<Vec<Method>, BenchError> {
    let (Some(folder), Signal::Series(input)) = (data, &blueprint.definition.input) else {
        return Ok(Vec::new());
    };
    let [train, test] = ["train.csv", "test.csv"].map(|name| Series::read(&folder.join(name)));
    let rows = series_rows("", (&train?, &test?), input.length, &OF_SERIES, SEED)?;
    Ok(rows.into_iter().map(Method::from).collect())
}

impl From<BaselineRow> for Method {
    fn from(row: BaselineRow) -> Self {
        Self { name: row.baseline, auroc: row.auroc, point_auroc: row.point_auroc }
    }
}
