use lopside_bundle::BundleError;
use lopside_latent::LatentError;

use crate::InputError;

/// An error of an encoder or of one of its inputs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// A file of inputs cannot be used.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The bundle was refused.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The latent or frame was refused.
    #[error(transparent)]
    Latent(#[from] LatentError),
    /// The image is empty, or larger than a frame can represent.
    #[error(
        "an image of {width}×{height} pixels does not fit into a frame: each side must be 1 to {limit} pixels"
    )]
    ImageSize {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// The longest side that is allowed, in pixels.
        limit: u32,
    },
    /// The requested number of layers is zero or larger than that of the model.
    #[error("cannot encode a frame of {found} layers: the bundle's model has {layers}; give 1 to {layers}")]
    LayerCount {
        /// The requested number.
        found: usize,
        /// The number of layers of the model.
        layers: usize,
    },
    /// An image was given to a bundle that takes numbers, or numbers to one that takes images.
    #[error(
        "the bundle {bundle:?} takes {takes}: give it such inputs, or select another bundle with --bundle"
    )]
    WrongInputKind {
        /// The name of the bundle.
        bundle: String,
        /// The kind of inputs that it takes.
        takes: &'static str,
    },
    /// The bundle does not have a fast encoder.
    #[error(
        "the bundle {bundle:?} does not have a fast encoder: omit --fast, or use a bundle with an encoder-fast.onnx"
    )]
    NoFastEncoder {
        /// The name of the bundle.
        bundle: String,
    },
    /// A model cannot be run.
    #[error("the model cannot be used: {0}")]
    Model(String),
    /// The bundle does not have golden inputs to try its encoder on.
    #[error(
        "the bundle {bundle:?} does not have golden inputs, so its encoder cannot be tested on this device: add some \
         with `training golden --bundle DIR INPUT…`, and offer the bundle again"
    )]
    NoGoldenInputs {
        /// The name of the bundle.
        bundle: String,
    },
    /// An encoder produces another latent here than where it was trained.
    #[error(
        "the encoder produces another latent for {input} on this device: {differing} of {values} values differ, by up \
         to {largest} steps; at most {allowed} values may differ, by 1 step"
    )]
    GoldenMismatch {
        /// The golden input.
        input: String,
        /// Number of values that differ.
        differing: usize,
        /// Number of all values.
        values: usize,
        /// The largest difference, in quantisation steps.
        largest: u32,
        /// Number of values that may differ.
        allowed: usize,
    },
}
