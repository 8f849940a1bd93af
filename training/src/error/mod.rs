//! The errors of training: one enum per concern, and [`TrainingError`], which contains them all.

mod bundle_update;
mod calibration;
mod data;
mod definition;
mod external_model;
mod model;
mod package;
mod photo;
mod run;

use std::{
    io as std_io,
    path::{Path, PathBuf},
};

pub use self::{
    bundle_update::BundleUpdateError, calibration::CalibrationError, data::DataError,
    definition::DefinitionError, external_model::ExternalModelError, model::ModelError,
    package::PackageError, photo::PhotoError, run::RunError,
};

/// An error of a training step.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainingError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std_io::Error,
    },
    /// A JSON file is damaged.
    #[error("{}: {source}", path.display())]
    InvalidJson {
        /// The file.
        path: PathBuf,
        /// The position and the reason.
        source: serde_json::Error,
    },
    /// A value cannot be represented as JSON.
    #[error("the figures cannot be written as JSON: {source}")]
    JsonEncoding {
        /// The reason.
        source: serde_json::Error,
    },
    /// An image could not be drawn.
    #[error("{}: {reason}", path.display())]
    Draw {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The runtime for asynchronous calls could not be started.
    #[error("the asynchronous runtime cannot be started: {source}")]
    AsyncRuntime {
        /// The operating system's error.
        source: std_io::Error,
    },
    /// A data set is missing, damaged or too small.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A package with a data set or photographs cannot be used.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// A definition is invalid or does not suit the data.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// A training run cannot be started, resumed or read.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The photographs or their tiles cannot be used.
    #[error(transparent)]
    Photo(#[from] PhotoError),
    /// A model cannot be run, or disagrees with another one.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// An external model cannot be cut or turned into a bundle.
    #[error(transparent)]
    ExternalModel(#[from] ExternalModelError),
    /// The search for quantisation steps failed.
    #[error(transparent)]
    Calibration(#[from] CalibrationError),
    /// Nothing can be added to an existing bundle.
    #[error(transparent)]
    BundleUpdate(#[from] BundleUpdateError),
    /// The weights do not match the graph.
    #[error(transparent)]
    Onnx(#[from] lopside_onnx::OnnxError),
    /// The bundle is invalid or cannot be written.
    #[error(transparent)]
    Bundle(#[from] lopside_bundle::BundleError),
    /// The latent coder failed.
    #[error(transparent)]
    Latent(#[from] lopside_latent::LatentError),
    /// A file of inputs cannot be used.
    #[error(transparent)]
    Input(#[from] lopside_encoder::InputError),
    /// An encoder was refused or failed.
    #[error(transparent)]
    Encode(#[from] lopside_encoder::EncodeError),
    /// ONNX Runtime or a bundle cannot be loaded.
    #[error(transparent)]
    Load(#[from] lopside_decoder::LoadError),
    /// Frames could not be decoded.
    #[error(transparent)]
    Decode(#[from] lopside_decoder::DecodeError),
    /// A quality measurement failed.
    #[error(transparent)]
    Quality(#[from] lopside_quality::QualityError),
}

/// Returns the error of a data file with unexpected content.
pub(crate) fn invalid_data(path: &Path, reason: String) -> TrainingError {
    DataError::InvalidFile { path: path.to_owned(), reason }.into()
}

/// Returns a function that turns an I/O error at `path` into a [`TrainingError::Io`].
pub(crate) fn io_error(path: &Path) -> impl FnOnce(std_io::Error) -> TrainingError {
    let path = path.to_owned();
    move |source| TrainingError::Io { path, source }
}

/// Returns a function that turns an I/O error at `path` into `missing` if the file does not exist, and into a
/// [`TrainingError::Io`] otherwise.
pub(crate) fn missing_or_io_error(
    path: &Path,
    missing: impl Into<TrainingError>,
) -> impl FnOnce(std_io::Error) -> TrainingError {
    move |source| match source.kind() {
        std_io::ErrorKind::NotFound => missing.into(),
        _ => io_error(path)(source),
    }
}
