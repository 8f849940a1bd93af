use std::path::Path;

use lopside_latent::LatentSpaceId;

use crate::{
    BundleError, FileRef, FixedLatentManifest, GoldenInputSpec,
    image_codec::{IMAGE_CODEC_SCHEMA, ImageCodecManifest},
    manifest_file::ManifestFile,
};

/// A manifest of either kind, after all checks that do not need another file.
#[derive(Debug, Clone, PartialEq)]
pub enum AnyManifest {
    /// Schema 1: latents of one fixed shape.
    FixedLatent(FixedLatentManifest),
    /// Schema 2: images of any size.
    ImageCodec(ImageCodecManifest),
}

impl AnyManifest {
    /// Reads and checks the manifest of the bundle in `folder`.
    ///
    /// # Errors
    /// Returns [`BundleError`] naming the field that is wrong.
    pub fn read(folder: &Path) -> Result<Self, BundleError> {
        Self::from_file(&ManifestFile::read(folder)?)
    }

    /// Parses and checks the contents of a `bundle.json`.
    ///
    /// # Errors
    /// Returns [`BundleError`] naming the field that is wrong.
    pub fn parse(text: Vec<u8>) -> Result<Self, BundleError> {
        Self::from_file(&ManifestFile::from_text(text)?)
    }

    pub(crate) fn from_file(file: &ManifestFile) -> Result<Self, BundleError> {
        let manifest = if file.schema_version()? == IMAGE_CODEC_SCHEMA {
            Self::ImageCodec(file.parse()?)
        } else {
            Self::FixedLatent(file.parse()?)
        };
        manifest.check()?;
        Ok(manifest)
    }

    pub(crate) fn check(&self) -> Result<(), BundleError> {
        match self {
            Self::FixedLatent(manifest) => manifest.check(),
            Self::ImageCodec(manifest) => manifest.check(),
        }
    }

    pub(crate) fn check_identity(&self) -> Result<(), BundleError> {
        match self {
            Self::FixedLatent(manifest) => manifest.check_identity(),
            Self::ImageCodec(manifest) => manifest.check_identity(),
        }
    }

    /// Returns the name of the bundle.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::FixedLatent(manifest) => &manifest.name,
            Self::ImageCodec(manifest) => &manifest.name,
        }
    }

    /// Returns the id of the latent space in the manifest.
    #[must_use]
    pub fn latent_space(&self) -> LatentSpaceId {
        match self {
            Self::FixedLatent(manifest) => manifest.latent_space,
            Self::ImageCodec(manifest) => manifest.latent_space,
        }
    }

    /// Returns the golden inputs, with which the encoder can be tested.
    #[must_use]
    pub fn golden(&self) -> &[GoldenInputSpec] {
        match self {
            Self::FixedLatent(manifest) => &manifest.golden,
            Self::ImageCodec(manifest) => &manifest.golden,
        }
    }

    pub(crate) fn golden_mut(&mut self) -> &mut Vec<GoldenInputSpec> {
        match self {
            Self::FixedLatent(manifest) => &mut manifest.golden,
            Self::ImageCodec(manifest) => &mut manifest.golden,
        }
    }

    /// Returns all files that the manifest names.
    pub(crate) fn all_files(&self) -> Vec<&FileRef> {
        match self {
            Self::FixedLatent(manifest) => manifest.all_files(),
            Self::ImageCodec(manifest) => manifest.all_files(),
        }
    }

    /// Returns the files that a device needs in addition to `bundle.json`: all except the heads and the model
    /// card.
    #[must_use]
    pub fn device_files(&self) -> Vec<&FileRef> {
        match self {
            Self::FixedLatent(manifest) => manifest.device_files(),
            Self::ImageCodec(manifest) => manifest.device_files(),
        }
    }
}
