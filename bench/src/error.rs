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
}
