use serde::{Deserialize, Serialize};

use crate::Digest;

/// A file of the bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRef {
    /// The path relative to the folder, with `/` between names.
    pub path: String,
    /// The length in bytes.
    pub bytes: u64,
    /// The SHA-256 digest.
    pub sha256: Digest,
}

impl FileRef {
    /// Returns the manifest entry of a file with these bytes.
    pub(crate) fn of(path: String, bytes: &[u8]) -> Self {
        Self { path, bytes: bytes.len() as u64, sha256: Digest::of(bytes) }
    }
}
