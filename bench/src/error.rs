use std::path::{Path, PathBuf};

/// Why a bench could not be run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    /// The bundle was refused.
    #[error(transparent)]
    Bundle(#[from] lopside_bundle::BundleError),
    /// The bundle is of another kind.
    #[error("{folder} is no photo bundle")]
    NotPhoto {
        /// The bundle's folder.
        folder: String,
    },
    /// The picture could not be read.
    #[error("{path}: {source}")]
    Picture {
        /// The file.
        path: String,
        /// Why.
        source: image::ImageError,
    },
    /// The edge path failed.
    #[error(transparent)]
    Edge(#[from] edge_encoder::EdgeError),
    /// The latent coder failed.
    #[error(transparent)]
    Latent(#[from] lopside_latent::LatentError),
    /// A peer or the clock failed.
    #[error(transparent)]
    Quality(#[from] lopside_quality::QualityError),
    /// The figures could not be printed.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// The rows of the theory could not be read.
    #[error("{path}: {reason}", path = path.display())]
    Rows {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A row that is not there was asked for.
    #[error("there is no row {id:?}; training/theory/rows.toml has them")]
    NoRow {
        /// Its name.
        id: String,
    },
    /// A row's model has no definition.
    #[error("row {row}: {model} is no preset with a definition and no file")]
    NoModel {
        /// The row.
        row: String,
        /// What it names.
        model: String,
    },
    /// The table has no place to go.
    #[error("{path} has no lines <!-- theory --> and <!-- /theory -->")]
    NoMarks {
        /// The file.
        path: &'static str,
    },
    /// The options of a row's command were refused.
    #[error(transparent)]
    Options(#[from] clap::Error),
    /// A training failed.
    #[error(transparent)]
    Training(#[from] training::TrainingError),
    /// A model could not be made.
    #[error(transparent)]
    Onnx(#[from] lopside_onnx::OnnxError),
    /// What servers or their clients need could not be installed.
    #[error("{what} could not be installed: {reason}")]
    Install {
        /// Which of them.
        what: String,
        /// Why.
        reason: String,
    },
    /// A server did not do what it should.
    #[error("{name}: {reason}")]
    Server {
        /// The server.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// A server answers, but not to the Open Inference Protocol.
    #[error("it does not speak the Open Inference Protocol over gRPC")]
    NoProtocol,
    /// Requests could not be sent or answers not be read.
    #[error("load: {0}")]
    Load(String),
    /// ONNX Runtime itself could not be measured.
    #[error("ONNX Runtime: {0}; `cargo xtask bench` sets ORT_DYLIB_PATH")]
    Floor(String),
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// For `map_err`: what went wrong while something was measured.
pub(crate) fn failed(error: impl std::fmt::Display) -> BenchError {
    BenchError::Load(error.to_string())
}

/// For `map_err`: an error at this path.
pub(crate) fn io(path: &Path) -> impl Fn(std::io::Error) -> BenchError + '_ {
    move |source| BenchError::Io { path: path.to_owned(), source }
}
