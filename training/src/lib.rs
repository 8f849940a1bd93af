//! Trains the models, exports them to ONNX, cuts them in two and measures them.
//!
//! ```text
//! train ─► model-*.bpk ─export─► whole.onnx ─split─► encoder.onnx + decoder.onnx ─calibrate─► bundle ─► evaluate
//! ```
//! Each step writes its files to the run's folder, so that every step can also be run on its own;
//! `training bundle` runs all of them.

mod agree;
pub mod anomaly;
mod bundle;
mod calibrate;
mod card;
mod checkpoint;
pub mod cli;
mod corpus;
mod curve;
pub mod data;
pub mod definition;
mod density;
pub mod describe;
mod device;
mod dispatch;
mod engines;
mod error;
pub mod evaluate;
pub mod external_model;
mod files;
mod fp16;
mod golden;
mod gradients;
mod json;
mod latent_space;
mod metrics;
pub mod net;
mod objective;
mod pca;
pub mod photo;
pub mod photos;
mod progress;
mod samples;
mod schedule;
mod score;
mod split;
mod split_service;
mod steps;
mod train;

pub use calibrate::{Calibration, LayerLatents, calibrate_bits, calibrate_bytes, run_count};
pub use data::{FASHION_MNIST_FOLDER, FASHION_MNIST_LABELS, ImageDataset, Split};
pub use device::TrainingDevice;
pub use dispatch::run;
pub use error::{
    BundleUpdateError, CalibrationError, DataError, DefinitionError, ExternalModelError, ModelError,
    PackageError, PhotoError, RunError, TrainingError,
};
pub use metrics::{EpochMetrics, Metrics};
pub use objective::ReconstructionLoss;
pub use pca::Pca;
pub use train::train;
