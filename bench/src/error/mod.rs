//! The errors of the benches: one enum per concern, and [`BenchError`], which contains them all.

mod network;
mod program;
mod serving;
mod theory;

use std::{
    fmt::Display,
    io,
    path::{Path, PathBuf},
};

pub(crate) use self::{
    network::NetworkError, program::ProgramError, serving::ServingError, theory::TheoryError,
};

/// The reason why a bench failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The bundle is of another kind.
    #[error("{folder} is not the bundle of an image codec; name one with --bundle, such as bundles/photo")]
    NotPhotoBundle {
        /// The folder of the bundle.
        folder: String,
    },
    /// The image could not be read.
    #[error("{path}: {source}")]
    Image {
        /// The file.
        path: String,
        /// The reason.
        source: lopside_input::ImageFileError,
    },
    /// An image of the camera could not be written as JPEG.
    #[error("an image cannot be encoded as JPEG: {source}")]
    EncodeJpeg {
        /// The reason.
        source: image::ImageError,
    },
    /// The runtime for asynchronous calls could not be started.
    #[error("the asynchronous runtime cannot be started: {source}")]
    AsyncRuntime {
        /// The reason.
        source: io::Error,
    },
    /// The CPU time of this process could not be read.
    #[error("the CPU time of the bench cannot be read: {source}")]
    CpuClock {
        /// The reason.
        source: io::Error,
    },
    /// A queue or a database that is measured failed.
    #[error("{store}: {reason}")]
    Store {
        /// The queue or the database.
        store: &'static str,
        /// The reason.
        reason: String,
    },
    /// A measurement does not have a result with these options.
    #[error("{reason}")]
    NoResult {
        /// The reason and the fix.
        reason: &'static str,
    },
    /// A program of the bench failed.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// A connection failed.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The comparison of model servers failed.
    #[error(transparent)]
    Serving(#[from] ServingError),
    /// The theory table could not be made.
    #[error(transparent)]
    Theory(#[from] TheoryError),
    /// The bundle was refused.
    #[error(transparent)]
    Bundle(#[from] lopside_bundle::BundleError),
    /// The agent failed or does not answer.
    #[error(transparent)]
    Edge(#[from] edge_encoder::EdgeError),
    /// An encoder or one of its inputs was refused.
    #[error(transparent)]
    Encode(#[from] lopside_encoder::EncodeError),
    /// The latent coder failed.
    #[error(transparent)]
    Latent(#[from] lopside_latent::LatentError),
    /// A baseline codec or the clock failed.
    #[error(transparent)]
    Quality(#[from] lopside_quality::QualityError),
    /// The figures could not be printed.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// A training run failed.
    #[error(transparent)]
    Training(#[from] training::TrainingError),
    /// A model could not be built.
    #[error(transparent)]
    Onnx(#[from] lopside_onnx::OnnxError),
}

/// Adds the path to an I/O error, for `map_err`.
pub(crate) fn io_error(path: &Path) -> impl Fn(io::Error) -> BenchError + '_ {
    move |source| BenchError::Io { path: path.to_owned(), source }
}

/// Converts the error of a request, for `map_err`.
pub(crate) fn request_error(error: impl Display) -> BenchError {
    NetworkError::Request { reason: error.to_string() }.into()
}

/// Adds the name of a queue or a database to its error, for `map_err`.
pub(crate) fn store_error<E: Display>(store: &'static str) -> impl Fn(E) -> BenchError {
    move |error| BenchError::Store { store, reason: error.to_string() }
}
