use std::path::{Path, PathBuf};

/// The reason why a bench failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// The bundle was refused.
    #[error(transparent)]
    Bundle(#[from] lopside_bundle::BundleError),
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
        source: image::ImageError,
    },
    /// The edge path failed.
    #[error(transparent)]
    Edge(#[from] edge_encoder::EdgeError),
    /// The latent coder failed.
    #[error(transparent)]
    Latent(#[from] lopside_latent::LatentError),
    /// A baseline codec or the clock failed.
    #[error(transparent)]
    Quality(#[from] lopside_quality::QualityError),
    /// The figures could not be printed.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// The rows of the theory table could not be read.
    #[error("{path}: {reason}", path = path.display())]
    InvalidRows {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The requested row does not exist.
    #[error("--rows: there is no row {id:?}; training/theory/rows.toml lists all rows")]
    UnknownRow {
        /// The id of the row.
        id: String,
    },
    /// A row's model does not have a definition.
    #[error(
        "training/theory/rows.toml, row {row}: model = {model:?} is neither a preset with a definition nor a file"
    )]
    UnknownModel {
        /// The row.
        row: String,
        /// The model that the row names.
        model: String,
    },
    /// The file does not contain the marks between which the table belongs.
    #[error(
        "{path} does not contain the lines <!-- theory --> and <!-- /theory -->: add them where the table belongs"
    )]
    MissingMarks {
        /// The file.
        path: &'static str,
    },
    /// The options of a row's command were refused.
    #[error(transparent)]
    Options(#[from] clap::Error),
    /// A training run failed.
    #[error(transparent)]
    Training(#[from] training::TrainingError),
    /// A model could not be built.
    #[error(transparent)]
    Onnx(#[from] lopside_onnx::OnnxError),
    /// A dependency of the servers or of their clients could not be installed.
    #[error("{what} could not be installed: {reason}")]
    Install {
        /// The dependency.
        what: String,
        /// The reason.
        reason: String,
    },
    /// A server did not behave as expected.
    #[error("{name}: {reason}")]
    Server {
        /// The server.
        name: String,
        /// The reason.
        reason: String,
    },
    /// A server responds, but not with the Open Inference Protocol.
    #[error("the server does not implement the Open Inference Protocol over gRPC")]
    UnsupportedProtocol,
    /// A request could not be sent, or a response could not be read.
    #[error("the measurement failed: {0}")]
    MeasurementFailed(String),
    /// ONNX Runtime itself could not be measured.
    #[error("ONNX Runtime: {0}; start the bench with `cargo xtask bench`, which sets ORT_DYLIB_PATH")]
    OnnxRuntime(String),
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
}

/// Converts an error of a measurement, for `map_err`.
pub(crate) fn measurement_error(error: impl std::fmt::Display) -> BenchError {
    BenchError::MeasurementFailed(error.to_string())
}

/// Adds the path to an I/O error, for `map_err`.
pub(crate) fn io_error(path: &Path) -> impl Fn(std::io::Error) -> BenchError + '_ {
    move |source| BenchError::Io { path: path.to_owned(), source }
}
