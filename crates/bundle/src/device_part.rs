//! The device's part of a bundle, as files to be distributed: `bundle.json`, and the files in it that a
//! device needs.

use std::path::{Path, PathBuf};

use lopside_latent::LatentSpaceId;

use crate::{AnyManifest, BundleError, FileRef, files, manifest_file::ManifestFile};

/// The part of a bundle, of either kind, that a device needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevicePart {
    /// The name of the bundle.
    pub name: String,
    /// The id of the latent space, which was checked against the digests in the manifest.
    pub latent_space: LatentSpaceId,
    /// `bundle.json` as it was read, then the files that it names, without the heads.
    pub files: Vec<FileRef>,
}

impl DevicePart {
    /// Reads the manifest in `folder`. The other files are not opened.
    ///
    /// # Errors
    /// Returns [`BundleError`] naming the field that is wrong.
    pub fn read(folder: &Path) -> Result<Self, BundleError> {
        let file = ManifestFile::read(folder)?;
        let manifest = AnyManifest::from_file(&file)?;
        manifest.check_identity()?;
        let named = manifest.device_files().into_iter().cloned();
        Ok(Self {
            name: manifest.name().to_owned(),
            latent_space: manifest.latent_space(),
            files: [file.to_file_ref()].into_iter().chain(named).collect(),
        })
    }

    /// Reads one of the files in pieces, and checks its length and digest. Returns its resolved path, which
    /// is inside `folder`.
    ///
    /// # Errors
    /// Returns [`BundleError::Missing`], or another error of the file.
    pub fn verify_file(folder: &Path, file: &FileRef) -> Result<PathBuf, BundleError> {
        files::verify_file(folder, file)
    }

    /// Returns the bytes of all files together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}
