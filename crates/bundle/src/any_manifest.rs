use std::path::Path;

use lopside_latent::LatentSpaceId;

use crate::{
    BundleError, FileRef, GoldenSpec, Manifest,
    manifest_file::ManifestFile,
    picture::{PICTURE_SCHEMA, PictureManifest},
};

/// A manifest of either kind, after all checks that do not need another file.
#[derive(Debug, Clone, PartialEq)]
pub enum AnyManifest {
    /// Schema 1: latents of one fixed shape.
    Vector(Manifest),
    /// Schema 2: images of any size.
    Picture(PictureManifest),
}

impl AnyManifest {
    /// Reads and checks the manifest of the bundle in `folder`.
    ///
    /// # Errors
    /// Returns [`BundleError`] naming the field that is wrong.
    pub fn read(folder: &Path) -> Result<Self, BundleError> {
        Self::of(&ManifestFile::read(folder)?)
    }

    /// Parses and checks the contents of a `bundle.json`.
    ///
    /// # Errors
    /// Returns [`BundleError`] naming the field that is wrong.
    pub fn parse(text: Vec<u8>) -> Result<Self, BundleError> {
        Self::of(&ManifestFile::given(text)?)
    }

    pub(crate) fn of(file: &ManifestFile) -> Result<Self, BundleError> {
        let manifest = if file.schema()? == PICTURE_SCHEMA {
            Self::Picture(file.parse()?)
        } else {
            Self::Vector(file.parse()?)
        };
        manifest.check()?;
        Ok(manifest)
    }

    pub(crate) fn check(&self) -> Result<(), BundleError> {
        match self {
            Self::Vector(manifest) => manifest.check(),
            Self::Picture(manifest) => manifest.check(),
        }
    }

    pub(crate) fn check_identity(&self) -> Result<(), BundleError> {
        match self {
            Self::Vector(manifest) => manifest.check_identity(),
            Self::Picture(manifest) => manifest.check_identity(),
        }
    }

    /// Returns the name of the bundle.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Vector(manifest) => &manifest.name,
            Self::Picture(manifest) => &manifest.name,
        }
    }

    /// Returns the id of the latent space in the manifest.
    #[must_use]
    pub fn latent_space(&self) -> LatentSpaceId {
        match self {
            Self::Vector(manifest) => manifest.latent_space,
            Self::Picture(manifest) => manifest.latent_space,
        }
    }

    /// Returns the golden inputs, with which the encoder can be tested.
    #[must_use]
    pub fn golden(&self) -> &[GoldenSpec] {
        match self {
            Self::Vector(manifest) => &manifest.golden,
            Self::Picture(manifest) => &manifest.golden,
        }
    }

    pub(crate) fn golden_mut(&mut self) -> &mut Vec<GoldenSpec> {
        match self {
            Self::Vector(manifest) => &mut manifest.golden,
            Self::Picture(manifest) => &mut manifest.golden,
        }
    }

    /// Returns the files that a device needs in addition to `bundle.json`: all except the heads and the model
    /// card.
    #[must_use]
    pub fn edge_files(&self) -> Vec<&FileRef> {
        match self {
            Self::Vector(manifest) => manifest.edge_files(),
            Self::Picture(manifest) => manifest.edge_files(),
        }
    }
}
