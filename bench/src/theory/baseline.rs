//! The classic methods on the samples of a row.

use std::path::Path;

use training::{
    Dataset, Split,
    anomaly::{Baseline, BaselineRow, one_class_rows, series_rows},
    data::Series,
    definition::{Blueprint, Signal},
};

use super::record::Method;
use crate::BenchError;

/// Methods for images.
const OF_PICTURES: [Baseline; 5] =
    [Baseline::Pca(16), Baseline::Pca(32), Baseline::Neighbours, Baseline::Forest, Baseline::Svm];
/// Methods for windows and rows of time series.
const OF_SERIES: [Baseline; 5] =
    [Baseline::Pca(4), Baseline::Pca(16), Baseline::Neighbours, Baseline::Forest, Baseline::Svm];
/// Seed for the splits of the isolation forest and the samples of the support vector machine.
const SEED: u64 = 1;

/// Measures the methods with each class in turn as the normal one.
pub(super) fn one_class(data: Option<&Path>) -> Result<Vec<Method>, BenchError> {
    let folder = data.unwrap_or_else(|| Path::new(training::DEFAULT_FOLDER));
    let [train, test] = [Split::Train, Split::Test].map(|split| Dataset::read(folder, split, None));
    let rows = one_class_rows("", (&train?, &test?), &OF_PICTURES, SEED)?;
    Ok(rows.into_iter().map(Method::from).collect())
}

/// Measures the methods on windows as long as the model's. The result is empty if the row does not use a
/// folder of time series.
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
