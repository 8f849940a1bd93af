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
//! `encoder.onnx`: [`Part`] selects the files that are needed.

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
pub use edge::EdgePart;
pub use error::BundleError;
pub use files::{Digest, is_plain};
pub use golden::{GoldenDraft, GoldenSpec, MAX_GOLDEN, put_golden};
pub use identity::{LATENT_SPACE_KEY, latent_space_id};
pub use input::{Channels, InputSpec, PictureSpec, SeriesSpec};
pub use load::{Bundle, Head};
pub use manifest::{
    Cost, Dim, EncoderSpec, FileRef, HeadKind, HeadSpec, LatentSpec, Manifest, SCHEMA_VERSION, TensorSpec,
};
pub use part::Part;
pub use score::{PartSource, PartSpec, Quantiles, ScoreSpec};
pub use version::add_version;
pub use write::{Draft, DraftHead};
