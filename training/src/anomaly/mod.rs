//! Anomaly detection: scores, their ranking, their calibration, and classic methods as baselines.
//!
//! A higher score means that a sample is less like the training data. [`auroc`] and [`average_precision`]
//! measure how well a score ranks; a [`QuantileTable`] of normal samples gives its rank among normal samples;
//! a [`Combination`] adds several scores.

mod baselines;
mod combination;
mod forest;
mod neighbours;
mod quantiles;
mod ranking;
mod svm;

pub use baselines::{Baseline, BaselineResult, DetectorRows, one_class_rows, scores, series_rows};
pub use combination::Combination;
pub use forest::IsolationForest;
pub use neighbours::NearestNeighbours;
pub use quantiles::QuantileTable;
pub use ranking::{auroc, average_precision};
pub use svm::OneClassSvm;
