//! The edge's part of a bundle as files, for who hands them on: `bundle.json`, and what it names for an edge.

use std::path::{Path, PathBuf};

use lopside_latent::LatentSpaceId;

use crate::{AnyManifest, BundleError, FileRef, files, manifest_file::ManifestFile};

/// What an edge needs of a bundle, of either kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgePart {
    /// The bundle's name.
    pub name: String,
    /// The name of the latent space; it follows from what the manifest names.
    pub latent_space: LatentSpaceId,
    /// `bundle.json` as it was read, then the files that it names, without the heads.
    pub files: Vec<FileRef>,
}

impl EdgePart {
    /// What the manifest in `folder` says. The other files are not looked at.
    ///
    /// # Errors
    /// [`BundleError`] naming the field that is wrong.
    pub fn read(folder: &Path) -> Result<Self, BundleError> {
        let file = ManifestFile::read(folder)?;
        let manifest = AnyManifest::of(&file)?;
        manifest.check_identity()?;
        let named = manifest.edge_files().into_iter().cloned();
        Ok(Self {
            name: manifest.name().to_owned(),
            latent_space: manifest.latent_space(),
            files: [file.as_file()].into_iter().chain(named).collect(),
        })
    }

    /// Reads one of the files piece by piece, and checks its length and digest. Its real place, which is inside
    /// `folder`.
    ///
    /// # Errors
    /// [`BundleError::Missing`], or what else is wrong with it.
    pub fn check(folder: &Path, file: &FileRef) -> Result<PathBuf, BundleError> {
        files::check(folder, file)
    }

    /// Bytes of all files together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}
