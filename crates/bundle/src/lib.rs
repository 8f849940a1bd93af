//! The bundle: a folder that holds one encoder, its latent space and the heads that read it.
//!
//! ```text
//! bundle.json       the manifest: names, shapes, preprocessing, quantiser, heads, digests, cost
//! encoder.onnx      picture [n, …] → latent [n, …]
//! tables.bin        the entropy tables of the latent space
//! heads/*.onnx      latent → picture, class scores, …
//! README.md         the model card
//! ```
//! A side loads only what the manifest names, and only after the file's length and SHA-256 agree with it.
//! Nothing outside the folder is ever opened. The edge may ship without `heads/`, the cloud without
//! `encoder.onnx`: [`Part`] says what is needed.

mod check;
mod error;
mod files;
mod identity;
mod load;
mod manifest;
mod manifest_file;
mod part;
pub mod picture;
mod write;

pub use error::BundleError;
pub use files::Digest;
pub use identity::{LATENT_SPACE_KEY, latent_space_id};
pub use load::{Bundle, Head};
pub use manifest::{
    Channels, Cost, Dim, EncoderSpec, FileRef, HeadKind, HeadSpec, Manifest, Preprocess, QuantiserSpec,
    SCHEMA_VERSION, TensorSpec,
};
pub use part::Part;
pub use write::{Draft, DraftHead};
