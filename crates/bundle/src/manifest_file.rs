//! `bundle.json` as a file, for any schema.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{BundleError, FileRef, files};

const MANIFEST_NAME: &str = "bundle.json";
const MAX_MANIFEST_BYTES: u64 = 16 << 20;

/// The text of a manifest, and the path that it was read from.
pub(crate) struct ManifestFile {
    path: PathBuf,
    text: Vec<u8>,
}

#[derive(Deserialize)]
struct Schema {
    schema: u32,
}

impl ManifestFile {
    pub(crate) fn read(folder: &Path) -> Result<Self, BundleError> {
        let path = folder.join(MANIFEST_NAME);
        if !path.is_file() {
            return Err(BundleError::NoManifest { path: folder.to_owned() });
        }
        let text = files::read_at_most(&path, MAX_MANIFEST_BYTES)?;
        if text.len() as u64 > MAX_MANIFEST_BYTES {
            return Err(BundleError::TooLarge { path: MANIFEST_NAME.to_owned(), limit: MAX_MANIFEST_BYTES });
        }
        Ok(Self { path, text })
    }

    /// Creates a manifest file from text that was received, not read from a folder.
    pub(crate) fn from_text(text: Vec<u8>) -> Result<Self, BundleError> {
        if text.len() as u64 > MAX_MANIFEST_BYTES {
            return Err(BundleError::TooLarge { path: MANIFEST_NAME.to_owned(), limit: MAX_MANIFEST_BYTES });
        }
        Ok(Self { path: MANIFEST_NAME.into(), text })
    }

    /// Returns the schema version, which determines the kind of manifest.
    pub(crate) fn schema_version(&self) -> Result<u32, BundleError> {
        let Schema { schema } = self.parse()?;
        Ok(schema)
    }

    /// Returns the entry that another manifest would have for this file.
    pub(crate) fn to_file_ref(&self) -> FileRef {
        FileRef::of(MANIFEST_NAME.to_owned(), &self.text)
    }

    pub(crate) fn parse<M: DeserializeOwned>(&self) -> Result<M, BundleError> {
        serde_json::from_slice(&self.text)
            .map_err(|source| BundleError::Json { path: self.path.clone(), source })
    }
}

pub(crate) fn write_manifest(folder: &Path, manifest: &impl Serialize) -> Result<(), BundleError> {
    let json = serde_json::to_string_pretty(manifest)
        .map_err(|source| BundleError::Json { path: folder.join(MANIFEST_NAME), source })?;
    files::write_file(folder, MANIFEST_NAME, (json + "\n").as_bytes())
}
