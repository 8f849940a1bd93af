//! The classic methods on the samples of a row.

use std::path::Path;

use training::{
    ImageDataset, Split,
    anomaly::{Baseline, BaselineResult, one_class_rows, series_rows},
    data::TimeSeries,
    definition::{Blueprint, Signal},
};

use super::record::MethodFigures;
use crate::BenchError;

/// Methods for images.
const IMAGE_BASELINES: [Baseline; 5] =
    [Baseline::Pca(16), Baseline::Pca(32), Baseline::Neighbours, Baseline::Forest, Baseline::Svm];
/// Methods for windows and rows of time series.
const SERIES_BASELINES: [Baseline; 5] =
    [Baseline::Pca(4), Baseline::Pca(16), Baseline::Neighbours, Baseline::Forest, Baseline::Svm];
/// Seed for the splits of the isolation forest and the samples of the support vector machine.
const SEED: u64 = 1;

/// Measures the methods with each class in turn as the normal one.
pub(super) fn one_class_baselines(data: Option<&Path>) -> Result<Vec<MethodFigures>, BenchError> {
    let folder = data.unwrap_or_else(|| Path::new(training::FASHION_MNIST_FOLDER));
    let [train, test] = [Split::Train, Split::Test].map(|split| ImageDataset::read(folder, split, None));
    let rows = one_class_rows("", (&train?, &test?), &IMAGE_BASELINES, SEED)?;
    Ok(rows.into_iter().map(MethodFigures::from).collect())
}

/// Measures the methods on windows as long as the model's. The result is empty if the row does not use a
/// folder of time series.
pub(super) fn series_baselines(
    data: Option<&Path>,
    blueprint: &Blueprint,
) -> Result<Vec<MethodFigures>, BenchError> {
    let (Some(folder), Signal::Series(input)) = (data, &blueprint.definition.input) else {
        return Ok(Vec::new());
    };
    let table = blueprint.definition.data.table.as_ref();
    let [train, test] =
        ["train.csv", "test.csv"].map(|name| TimeSeries::read_declared(&folder.join(name), table));
    let rows = series_rows("", (&train?, &test?), input.length, &SERIES_BASELINES, SEED)?;
    Ok(rows.into_iter().map(MethodFigures::from).collect())
}

impl From<BaselineResult> for MethodFigures {
    fn from(row: BaselineResult) -> Self {
        Self { name: row.baseline, auroc: row.auroc, point_auroc: row.point_auroc }
    }
}
