use std::path::Path;

use lopside_latent::LatentSpaceId;

use crate::{
    BundleError, FileRef, GoldenSpec, Manifest,
    manifest_file::ManifestFile,
    picture::{PICTURE_SCHEMA, PictureManifest},
};

/// A manifest of either kind, checked as far as no other file is needed.
#[derive(Debug, Clone, PartialEq)]
pub enum AnyManifest {
    /// Schema 1: latents of one fixed shape.
    Vector(Manifest),
    /// Schema 2: pictures of any size.
    Picture(PictureManifest),
}

impl AnyManifest {
    /// The manifest of the bundle in `folder`.
    ///
    /// # Errors
    /// [`BundleError`] naming the field that is wrong.
    pub fn read(folder: &Path) -> Result<Self, BundleError> {
        Self::of(&ManifestFile::read(folder)?)
    }

    /// The manifest in the bytes of a `bundle.json`.
    ///
    /// # Errors
    /// [`BundleError`] naming the field that is wrong.
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

    /// The bundle's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Vector(manifest) => &manifest.name,
            Self::Picture(manifest) => &manifest.name,
        }
    }

    /// The latent space that it names.
    #[must_use]
    pub fn latent_space(&self) -> LatentSpaceId {
        match self {
            Self::Vector(manifest) => manifest.latent_space,
            Self::Picture(manifest) => manifest.latent_space,
        }
    }

    /// What its encoder can be tried on.
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

    /// The files that an edge needs, beside `bundle.json`: all but the heads and the model card.
    #[must_use]
    pub fn edge_files(&self) -> Vec<&FileRef> {
        match self {
            Self::Vector(manifest) => manifest.edge_files(),
            Self::Picture(manifest) => manifest.edge_files(),
        }
    }
}
