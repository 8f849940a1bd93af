//! `bundle.json` as a file, of whichever schema.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{BundleError, FileRef, files};

const NAME: &str = "bundle.json";
const MAX_BYTES: u64 = 16 << 20;

/// The text of a manifest, and where it was read.
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
        let path = folder.join(NAME);
        if !path.is_file() {
            return Err(BundleError::NoManifest { path: folder.to_owned() });
        }
        let text = files::read_at_most(&path, MAX_BYTES)?;
        if text.len() as u64 > MAX_BYTES {
            return Err(BundleError::TooLarge { path: NAME.to_owned(), limit: MAX_BYTES });
        }
        Ok(Self { path, text })
    }

    /// A manifest that came from elsewhere.
    pub(crate) fn given(text: Vec<u8>) -> Result<Self, BundleError> {
        if text.len() as u64 > MAX_BYTES {
            return Err(BundleError::TooLarge { path: NAME.to_owned(), limit: MAX_BYTES });
        }
        Ok(Self { path: NAME.into(), text })
    }

    /// Which kind of manifest it is.
    pub(crate) fn schema(&self) -> Result<u32, BundleError> {
        let Schema { schema } = self.parse()?;
        Ok(schema)
    }

    /// What another manifest would say of it.
    pub(crate) fn as_file(&self) -> FileRef {
        files::file_ref(NAME.to_owned(), &self.text)
    }

    pub(crate) fn parse<M: DeserializeOwned>(&self) -> Result<M, BundleError> {
        serde_json::from_slice(&self.text)
            .map_err(|source| BundleError::Json { path: self.path.clone(), source })
    }
}

pub(crate) fn write(folder: &Path, manifest: &impl Serialize) -> Result<(), BundleError> {
    let json = serde_json::to_string_pretty(manifest)
        .map_err(|source| BundleError::Json { path: folder.join(NAME), source })?;
    files::put(folder, NAME, (json + "\n").as_bytes())
}
