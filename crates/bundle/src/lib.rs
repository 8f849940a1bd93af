//! The bundle: a folder that holds one encoder, its latent space and the heads that read it.
//!
//! ```text
//! bundle.json       the manifest: names, shapes, preprocessing, quantiser, heads, digests, cost
//! encoder.onnx      image or window [n, …] → latent [n, …], in one or more layers
//! tables.bin        the entropy tables of the latent space
//! heads/*.onnx      latent → image, window, class scores, anomaly scores, …
//! golden/           inputs and the frames they become, with which a device tests the encoder
//! README.md         the model card
//! ```
//! A host loads only files that the manifest names, and only if the file's length and SHA-256 match it.
//! Nothing outside the folder is ever opened. A device may ship without `heads/`, the cloud without
//! `encoder.onnx`: [`BundlePart`] selects the files that are needed.

mod any_manifest;
mod check;
mod edge;
mod error;
mod files;
mod golden;
mod identity;
mod input;
mod load;
mod manifest;
mod manifest_file;
mod part;
pub mod picture;
pub mod score;
mod version;
mod write;

pub use any_manifest::AnyManifest;
pub use edge::DevicePart;
pub use error::BundleError;
pub use files::{Digest, is_plain_path};
pub use golden::{GoldenInputDraft, GoldenInputSpec, MAX_GOLDEN_INPUTS, put_golden_inputs};
pub use identity::{LATENT_SPACE_KEY, fixed_latent_space_id};
pub use input::{Channels, ImageSpec, InputSpec, TimeSeriesSpec};
pub use load::{FixedLatentBundle, FixedLatentHead};
pub use manifest::{
    Dim, FIXED_LATENT_SCHEMA, FileRef, FixedLatentEncoderSpec, FixedLatentHeadSpec, FixedLatentLayerSpec,
    FixedLatentManifest, HeadKind, ModelCost, TensorSpec,
};
pub use part::BundlePart;
pub use score::{Quantiles, ScorePartSource, ScorePartSpec, ScoreSpec};
pub use version::add_version;
pub use write::{FixedLatentDraft, FixedLatentDraftHead};
