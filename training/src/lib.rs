//! Trains the models, exports them to ONNX, cuts them in two and measures them.
//!
//! ```text
//! train ─► model-*.bpk ─export─► whole.onnx ─split─► encoder.onnx + decoder.onnx ─calibrate─► bundle ─► evaluate
//! ```
//! Every step leaves its files in the run's folder, so that each can be run by itself; `training bundle` runs them
//! all.

mod agree;
mod bundle;
mod calibrate;
mod card;
mod checkpoint;
pub mod cli;
mod curve;
mod data;
mod engines;
mod error;
mod evaluate;
mod export;
mod files;
mod loss;
mod metrics;
mod model;
pub mod own;
mod pca;
pub mod photo;
pub mod photos;
mod preset;
mod progress;
mod schedule;
mod split;
mod steps;
mod train;

pub use calibrate::{Calibration, calibrate};
pub use data::{DEFAULT_FOLDER, Dataset, LABELS, Split};
pub use error::TrainingError;
pub use evaluate::{Evaluation, evaluate};
pub use loss::Loss;
pub use metrics::{EpochMetrics, Metrics, TrainOptions};
pub use model::{Autoencoder, Mlp};
pub use pca::Pca;
pub use preset::Preset;
pub use steps::run;
pub use train::train;
