use std::path::PathBuf;

use lopside_latent::{LatentError, LatentSpaceId};

/// Why a bundle was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The folder has no manifest.
    #[error("{} is no bundle: it has no bundle.json", path.display())]
    NoManifest {
        /// The folder.
        path: PathBuf,
    },
    /// The manifest is not the JSON that this version reads.
    #[error("{}: {source}", path.display())]
    Json {
        /// The manifest.
        path: PathBuf,
        /// Where and what.
        source: serde_json::Error,
    },
    /// The manifest was written by another version.
    #[error("bundle.json has schema {found}, this build reads {expected}: make the bundle again or update")]
    Schema {
        /// The version found.
        found: u32,
        /// The version read.
        expected: u32,
    },
    /// A field of the manifest has a value that cannot be right.
    #[error("bundle.json, {field}: {reason}")]
    Field {
        /// The field's path, as in `heads[0].model.path`.
        field: String,
        /// What is wrong.
        reason: String,
    },
    /// A path leaves the bundle's folder.
    #[error("bundle.json names {path:?}, which is not a plain relative path inside the bundle")]
    Outside {
        /// The path as written.
        path: String,
    },
    /// A file of the manifest is not there.
    #[error("{path} is missing: bundle.json names it, so copy the whole bundle into its folder")]
    Missing {
        /// The path as written.
        path: String,
    },
    /// A file is larger or smaller than the manifest says.
    #[error("{path} has {found} bytes, bundle.json says {expected}: the file was changed or cut off")]
    Length {
        /// The path as written.
        path: String,
        /// The length found; when over the expected one, only that it is over is known.
        found: u64,
        /// The length expected.
        expected: u64,
    },
    /// A file's digest is not the manifest's.
    #[error("{path} has SHA-256 {found}, bundle.json says {expected}: the file was changed")]
    DigestMismatch {
        /// The path as written.
        path: String,
        /// The digest of the file.
        found: String,
        /// The digest in the manifest.
        expected: String,
    },
    /// The latent-space id does not follow from what the manifest names.
    #[error(
        "bundle.json says latent space {found}, but its encoder, preprocessing and tables give {computed}"
    )]
    Identity {
        /// The id in the manifest.
        found: LatentSpaceId,
        /// The id computed.
        computed: LatentSpaceId,
    },
    /// The tables or gains do not make a latent space.
    #[error("latent space: {0}")]
    Latent(#[from] LatentError),
    /// A manifest or file over the limit.
    #[error("{path} has over {limit} bytes, the most that is read")]
    TooLarge {
        /// The path as written.
        path: String,
        /// The limit.
        limit: u64,
    },
}
