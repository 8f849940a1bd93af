//! Classic anomaly detectors as baselines: the scores that a trained model has to beat.
//!
//! [`scores`] fits the detectors to normal rows and scores other rows; [`one_class_rows`] and [`series_rows`]
//! turn the scores into table rows.

use std::{fmt, time::Instant};

use serde::Serialize;

use super::{IsolationForest, NearestNeighbours, OneClassSvm, auroc, average_precision};
use crate::{
    DataError, ImageDataset, Pca, TrainingError,
    data::{OneClassView, TimeSeries},
};

/// An anomaly detection method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Baseline {
    /// Squared error of the projection onto this many principal components.
    Pca(usize),
    /// Mahalanobis distance in the space of this many principal components.
    Mahalanobis(usize),
    /// Mean distance to the 5 nearest training rows, in the space of at most 64 principal components.
    Neighbours,
    /// Isolation forest on the raw rows.
    Forest,
    /// One-class SVM on at most 3,000 of the raw rows.
    Svm,
}

impl Baseline {
    /// The default set of methods.
    pub const ALL: [Self; 9] = [
        Self::Pca(4),
        Self::Pca(16),
        Self::Pca(32),
        Self::Pca(64),
        Self::Mahalanobis(32),
        Self::Mahalanobis(64),
        Self::Neighbours,
        Self::Forest,
        Self::Svm,
    ];
}

impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pca(count) => write!(f, "PCA, {count} components"),
            Self::Mahalanobis(count) => write!(f, "Mahalanobis, {count} components"),
            Self::Neighbours => write!(f, "{NEAREST_NEIGHBOURS} nearest neighbours"),
            Self::Forest => f.write_str("isolation forest"),
            Self::Svm => f.write_str("one-class SVM"),
        }
    }
}

/// The results of one method on one data set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BaselineResult {
    /// The name of the data set.
    pub data: String,
    /// The name of the method.
    pub baseline: String,
    /// AUROC per sample (image or window); with several classes, the mean over the classes.
    pub auroc: f64,
    /// Average precision per sample; with several classes, the mean over the classes.
    pub average_precision: f64,
    /// AUROC per point of a time series, where a point has the mean score of the windows that cover it.
    /// `None` for images.
    pub point_auroc: Option<f64>,
    /// One AUROC per class, with that class as the normal one. Empty for data without classes.
    pub classes: Vec<f64>,
    /// Wall time of fitting and scoring in seconds, without the shared principal component analysis.
    pub seconds: f64,
}

/// Normal rows to fit and rows to score, row-major with `dims` values per row.
#[derive(Debug, Clone, Copy)]
pub struct DetectorRows<'a> {
    /// The normal rows to fit.
    pub train: &'a [f32],
    /// The rows to score.
    pub test: &'a [f32],
    /// Number of values per row.
    pub dims: usize,
}

/// The scores of one method, one per row, and the seconds that fitting and scoring took.
type TimedScores = (Vec<f64>, f64);

const NEAREST_NEIGHBOURS: usize = 5;
const SHARED_COMPONENTS: usize = 64;

/// Fits every method to the training rows and scores the test rows.
///
/// # Errors
/// [`DataError::TooFewNormalRows`] when there are fewer than two training rows or `dims` is 0.
pub fn scores(
    rows: DetectorRows<'_>,
    baselines: &[Baseline],
    seed: u64,
) -> Result<Vec<TimedScores>, TrainingError> {
    if rows.dims == 0 || rows.train.len() < 2 * rows.dims {
        return Err(DataError::TooFewNormalRows.into());
    }
    let fitted = FittedBaselines::new(rows, baselines);
    Ok(baselines
        .iter()
        .map(|&baseline| {
            let start = Instant::now();
            let scores = fitted.scores(baseline, seed);
            (scores, start.elapsed().as_secs_f64())
        })
        .collect())
}

/// Evaluates every method with each class in turn as the normal one. Returns one row per method, with the
/// means over the classes.
///
/// # Errors
/// As [`scores`].
pub fn one_class_rows(
    data: &str,
    (train, test): (&ImageDataset, &ImageDataset),
    baselines: &[Baseline],
    seed: u64,
) -> Result<Vec<BaselineResult>, TrainingError> {
    let all_indices: Vec<usize> = (0..test.len()).collect();
    let test_rows = test.float_samples(&all_indices);
    let mut table: Vec<BaselineResult> =
        baselines.iter().map(|baseline| empty_result(data, *baseline)).collect();
    for class in 0..=train.labels.iter().copied().max().unwrap_or(0) {
        let view = OneClassView::new(train, test, class);
        let rows = DetectorRows {
            train: &train.float_samples(&view.train),
            test: &test_rows,
            dims: train.image_len,
        };
        for (row, (scores, seconds)) in table.iter_mut().zip(scores(rows, baselines, seed)?) {
            row.classes.push(auroc(&scores, &view.anomalies).unwrap_or(f64::NAN));
            row.average_precision += average_precision(&scores, &view.anomalies).unwrap_or(f64::NAN);
            row.seconds += seconds;
        }
    }
    for row in &mut table {
        let classes = row.classes.len() as f64;
        row.auroc = row.classes.iter().sum::<f64>() / classes;
        row.average_precision /= classes;
    }
    Ok(table)
}

/// Evaluates every method on a time series, in windows of `length` points at a stride of 1. A `length` of 1
/// treats the rows as unordered. Training windows with a flagged point are left out.
///
/// # Errors
/// As [`scores`], and [`DataError::InvalidWindow`] when a part is shorter than a window.
pub fn series_rows(
    data: &str,
    (train, test): (&TimeSeries, &TimeSeries),
    length: usize,
    baselines: &[Baseline],
    seed: u64,
) -> Result<Vec<BaselineResult>, TrainingError> {
    let scaling = train.scaling();
    let (train_windows, test_windows) =
        (train.windows(length, 1, &scaling)?, test.windows(length, 1, &scaling)?);
    let normal: Vec<f32> = train_windows
        .values
        .chunks_exact(train_windows.window_len())
        .zip(train_windows.flag_windows(&train.anomalies))
        .filter(|(_, flagged)| !flagged)
        .flat_map(|(window, _)| window.iter().copied())
        .collect();
    let rows = DetectorRows { train: &normal, test: &test_windows.values, dims: test_windows.window_len() };
    let flags = test_windows.flag_windows(&test.anomalies);
    let point_flags = test_windows.flag_points(&test.anomalies);
    let timed_scores = scores(rows, baselines, seed)?;
    Ok(baselines
        .iter()
        .zip(timed_scores)
        .map(|(baseline, (scores, seconds))| BaselineResult {
            auroc: auroc(&scores, &flags).unwrap_or(f64::NAN),
            average_precision: average_precision(&scores, &flags).unwrap_or(f64::NAN),
            point_auroc: auroc(&test_windows.point_scores(&scores), &point_flags),
            seconds,
            ..empty_result(data, *baseline)
        })
        .collect())
}

fn empty_result(data: &str, baseline: Baseline) -> BaselineResult {
    BaselineResult {
        data: data.to_owned(),
        baseline: baseline.to_string(),
        auroc: 0.0,
        average_precision: 0.0,
        point_auroc: None,
        classes: Vec::new(),
        seconds: 0.0,
    }
}

/// The state that the methods share.
struct FittedBaselines<'a> {
    rows: DetectorRows<'a>,
    pca: Pca,
    /// Training and test rows projected onto the first principal components, `dims` values per row.
    train: Vec<f32>,
    test: Vec<f32>,
    dims: usize,
}

impl<'a> FittedBaselines<'a> {
    fn new(rows: DetectorRows<'a>, baselines: &[Baseline]) -> Self {
        let component_counts = baselines.iter().map(|baseline| match baseline {
            Baseline::Pca(count) | Baseline::Mahalanobis(count) => *count,
            _ => SHARED_COMPONENTS,
        });
        let pca = Pca::fit(
            rows.train,
            rows.dims,
            component_counts.max().unwrap_or(SHARED_COMPONENTS).max(SHARED_COMPONENTS),
        );
        let shared = pca.first(SHARED_COMPONENTS);
        let (train, test) = (shared.latents(rows.train), shared.latents(rows.test));
        Self { rows, pca, train, test, dims: shared.count() }
    }

    fn scores(&self, baseline: Baseline, seed: u64) -> Vec<f64> {
        let DetectorRows { train, test, dims } = self.rows;
        match baseline {
            Baseline::Pca(count) => self.pca.first(count).residuals(test),
            Baseline::Mahalanobis(count) => self.pca.first(count).mahalanobis(test),
            Baseline::Neighbours => {
                NearestNeighbours::fit(&self.train, self.dims, NEAREST_NEIGHBOURS).scores(&self.test)
            }
            Baseline::Forest => IsolationForest::fit(train, dims, seed).scores(test),
            Baseline::Svm => OneClassSvm::fit(train, dims, seed).scores(test),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes images in which class c is a bright pixel of varying brightness at position c.
    fn spots(count: usize) -> ImageDataset {
        let labels: Vec<u8> = (0..count).map(|index| (index % 4) as u8).collect();
        let samples = (0..count)
            .flat_map(|index| {
                (0..9).map(move |pixel| if pixel == index % 4 { 100 + (index * 37 % 100) as u8 } else { 0 })
            })
            .collect();
        ImageDataset { samples, labels, image_len: 9 }
    }

    const TEST_BASELINES: [Baseline; 5] =
        [Baseline::Pca(1), Baseline::Mahalanobis(1), Baseline::Neighbours, Baseline::Forest, Baseline::Svm];

    #[test]
    fn each_class_is_the_normal_class_once() {
        let table = one_class_rows("spots", (&spots(400), &spots(80)), &TEST_BASELINES, 1).unwrap();
        assert_eq!(table.len(), TEST_BASELINES.len());
        for row in &table {
            assert_eq!(row.classes.len(), 4);
            assert!(row.auroc > 0.9 || row.baseline.starts_with("Mahalanobis"), "{row:?}");
        }
    }

    #[test]
    fn a_pulse_in_a_wave_is_found_by_windows_and_by_points() {
        let wave = |pulse: bool| {
            let value =
                |i: usize| (i as f32 * 0.4).sin() + if pulse && (200..206).contains(&i) { 2.0 } else { 0.0 };
            TimeSeries {
                channels: vec!["a".into()],
                values: (0..400).map(value).collect(),
                anomalies: (0..400).map(|i| pulse && (200..206).contains(&i)).collect(),
                gaps: Vec::new(),
            }
        };
        let table = series_rows("wave", (&wave(false), &wave(true)), 16, &[Baseline::Pca(2)], 1).unwrap();
        assert!(table[0].auroc > 0.99 && table[0].point_auroc.unwrap() > 0.99, "{table:?}");
    }

    #[test]
    fn too_few_rows_are_refused() {
        let rows = DetectorRows { train: &[1.0, 2.0], test: &[], dims: 2 };
        let error = scores(rows, &TEST_BASELINES, 1).unwrap_err();
        assert!(matches!(error, TrainingError::Data(DataError::TooFewNormalRows)), "{error}");
    }
}
