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
//! Nothing outside the folder is ever opened: a model that keeps values in another file is refused as well, because
//! a runtime would open that file. A device may ship without `heads/`, the cloud without
//! `encoder.onnx`: [`BundlePart`] selects the files that are needed.

mod any_manifest;
mod bundle_part;
mod check;
mod device_part;
mod digest;
mod error;
mod file_ref;
mod files;
mod golden;
mod golden_draft;
pub mod id_text;
mod identity;
pub mod image_codec;
mod input;
mod load;
mod manifest;
mod manifest_file;
mod model_file;
pub mod score;
mod table;
mod table_update;
mod tensor_spec;
mod time_zone;
mod version;
mod wire_format;
mod write;

pub use any_manifest::AnyManifest;
pub use bundle_part::BundlePart;
pub use device_part::DevicePart;
pub use digest::Digest;
pub use error::BundleError;
pub use file_ref::FileRef;
pub use files::is_plain_path;
pub use golden::{GoldenInputSpec, MAX_GOLDEN_INPUTS};
pub use golden_draft::{GoldenInputDraft, put_golden_inputs};
pub use identity::{LATENT_SPACE_KEY, fixed_latent_space_id};
pub use input::{Channels, ImageSpec, InputSpec, TimeSeriesSpec};
pub use load::{FixedLatentBundle, FixedLatentHead};
pub use manifest::{
    FIXED_LATENT_SCHEMA, FixedLatentEncoderSpec, FixedLatentHeadSpec, FixedLatentLayerSpec,
    FixedLatentManifest, HeadKind, ModelCost,
};
pub use score::{Quantiles, ScorePartSource, ScorePartSpec, ScoreSpec};
pub use table::{ColumnRef, DecimalMark, Separator, TableSpec, TimeFormat};
pub use table_update::put_table;
pub use tensor_spec::{Dim, TensorSpec};
pub use time_zone::TimeZone;
pub use version::add_version;
pub use write::{FixedLatentDraft, FixedLatentDraftHead};

/// Entry points of the fuzz targets.
#[cfg(fuzzing)]
pub mod fuzzing {
    pub use crate::model_file::is_self_contained_model;
}
