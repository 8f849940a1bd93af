use std::path::PathBuf;

use lopside_latent::{LatentError, LatentSpaceId};

/// Errors of reading, checking and writing bundles.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The path of the file.
        path: PathBuf,
        /// The I/O error of the operating system.
        source: std::io::Error,
    },
    /// The folder does not contain a manifest.
    #[error("{} is not a bundle: it has no bundle.json", path.display())]
    NoManifest {
        /// The path of the folder.
        path: PathBuf,
    },
    /// The manifest is not the JSON that this version reads.
    #[error("{}: {source}", path.display())]
    Json {
        /// The path of the manifest.
        path: PathBuf,
        /// The parser's error, with its position.
        source: serde_json::Error,
    },
    /// The manifest was written by another version.
    #[error(
        "bundle.json has schema {found}, but this build reads {expected}: create the bundle again or update"
    )]
    UnsupportedSchema {
        /// The schema version found.
        found: u32,
        /// The schema version that this build reads.
        expected: u32,
    },
    /// A field of the manifest has an invalid value.
    #[error("bundle.json, {field}: {reason}")]
    InvalidField {
        /// The path of the field, as in `heads[0].model.path`.
        field: String,
        /// The reason why it is invalid.
        reason: String,
    },
    /// A path leaves the bundle's folder.
    #[error("bundle.json names {path:?}, which is not a plain relative path inside the bundle")]
    PathOutside {
        /// The path as written in the manifest.
        path: String,
    },
    /// A file of the manifest does not exist.
    #[error("{path} is missing: bundle.json names it, so copy the whole bundle into its folder")]
    Missing {
        /// The path as written in the manifest.
        path: String,
    },
    /// The length of a file does not match the manifest.
    #[error("{path} has {found} bytes, but bundle.json says {expected}: the file was changed or truncated")]
    LengthMismatch {
        /// The path as written in the manifest.
        path: String,
        /// The length found, in bytes. If it exceeds the expected length, the exact value is unknown.
        found: u64,
        /// The expected length, in bytes.
        expected: u64,
    },
    /// The digest of a file does not match the manifest.
    #[error("{path} has SHA-256 {found}, but bundle.json says {expected}: the file was changed")]
    DigestMismatch {
        /// The path as written in the manifest.
        path: String,
        /// The digest of the file.
        found: String,
        /// The digest in the manifest.
        expected: String,
    },
    /// A model is not an ONNX file.
    #[error("{path} is not a readable ONNX model: {reason}. Create the bundle again")]
    UnreadableModel {
        /// The path as written in the manifest.
        path: String,
        /// The reason.
        reason: &'static str,
    },
    /// A model keeps values in another file, which a runtime would open wherever it is.
    #[error(
        "{path} keeps the values of tensor {tensor:?} in another file, but a model of a bundle must contain all of its \
         values: save it as one file and create the bundle again"
    )]
    ExternalData {
        /// The path as written in the manifest.
        path: String,
        /// The name of the tensor, as it is in the model.
        tensor: String,
    },
    /// The latent-space id in the manifest does not match the one computed from its contents.
    #[error(
        "bundle.json says latent space {found}, but its encoder, preprocessing and tables give {computed}: create \
         the bundle again"
    )]
    LatentSpaceMismatch {
        /// The id in the manifest.
        found: LatentSpaceId,
        /// The computed id.
        computed: LatentSpaceId,
    },
    /// The tables or gains do not form a valid latent space.
    #[error("latent space: {0}")]
    Latent(#[from] LatentError),
    /// The manifest or a file exceeds the size limit.
    #[error("{path} exceeds the size limit of {limit} bytes")]
    TooLarge {
        /// The path as written in the manifest.
        path: String,
        /// The limit in bytes.
        limit: u64,
    },
}
