//! The parameters of paths.

use serde::Deserialize;
use utoipa::IntoParams;

/// The newest version of a model, in a path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct NewestPath {
    /// `BUNDLE.HEAD`, or `BUNDLE` for the bundle's first head.
    #[param(example = "fashion")]
    pub(super) model: String,
}

/// One version of a model, in a path.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct VersionedPath {
    /// `BUNDLE.HEAD`, or `BUNDLE` for the bundle's first head.
    #[param(example = "fashion")]
    pub(super) model: String,
    /// The version, a number.
    #[param(example = "1", pattern = "^[0-9]{1,9}$")]
    pub(super) version: String,
}
