//! Anomaly detection: scores, how well they rank, what they mean, and the classic methods that ours are printed beside.
//!
//! A score is a number that is higher the less a sample looks like what was learnt. [`auroc`] and
//! [`average_precision`] say how well it ranks; a [`QuantileTable`] of normal samples says how rare it is; a
//! [`Combination`] adds several.

mod baselines;
mod combination;
mod forest;
mod neighbours;
mod quantiles;
mod ranking;
mod svm;

pub use baselines::{Baseline, BaselineRow, Rows, one_class_rows, scores, series_rows};
pub use combination::Combination;
pub use forest::IsolationForest;
pub use neighbours::Neighbours;
pub use quantiles::QuantileTable;
pub use ranking::{auroc, average_precision};
pub use svm::OneClassSvm;
