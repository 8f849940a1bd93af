use std::path::Path;

use lopside_latent::image_codec::{ContextModel, ImageCodecSpace};

use crate::{
    BundleError, BundlePart, FixedLatentBundle, GoldenInputSpec, files, manifest_file::ManifestFile,
    model_file::read_model,
};

use super::{IMAGE_CODEC_SCHEMA, ImageCodecHeadSpec, ImageCodecManifest, image_codec_space_id};

/// A bundle of either kind.
#[derive(Debug, Clone)]
pub enum AnyBundle {
    /// Schema 1: latents of one fixed shape.
    FixedLatent(FixedLatentBundle),
    /// Schema 2: images of any size.
    ImageCodec(ImageCodecBundle),
}

/// An image codec's bundle whose loaded files have all been checked.
#[derive(Debug, Clone)]
pub struct ImageCodecBundle {
    /// The manifest.
    pub manifest: ImageCodecManifest,
    /// The latent space.
    pub space: ImageCodecSpace,
    /// The contents of `encoder.onnx`; empty if only the heads were requested.
    pub encoder: Vec<u8>,
    /// The contents of `encoder-fast.onnx`; `None` if the bundle does not contain one or only the heads were
    /// requested.
    pub fast_encoder: Option<Vec<u8>>,
    /// The heads, in the manifest's order; empty if only the encoder was requested.
    pub heads: Vec<ImageCodecHead>,
}

/// A head and its model.
#[derive(Debug, Clone)]
pub struct ImageCodecHead {
    /// The head's entry in the manifest.
    pub spec: ImageCodecHeadSpec,
    /// The contents of the ONNX file.
    pub model: Vec<u8>,
}

impl AnyBundle {
    /// Loads the part of the bundle in `folder`, of either kind, that a host needs.
    ///
    /// # Errors
    /// Returns [`BundleError`] naming the file or field that is wrong.
    pub fn load(folder: &Path, part: BundlePart) -> Result<Self, BundleError> {
        let file = ManifestFile::read(folder)?;
        if file.schema_version()? == IMAGE_CODEC_SCHEMA {
            Ok(Self::ImageCodec(ImageCodecBundle::read(folder, &file, part)?))
        } else {
            Ok(Self::FixedLatent(FixedLatentBundle::read(folder, &file, part)?))
        }
    }

    /// Returns the golden inputs, with which the encoder can be tested.
    #[must_use]
    pub fn golden(&self) -> &[GoldenInputSpec] {
        match self {
            Self::FixedLatent(bundle) => &bundle.manifest.golden,
            Self::ImageCodec(bundle) => &bundle.manifest.golden,
        }
    }
}

impl ImageCodecBundle {
    fn read(folder: &Path, file: &ManifestFile, part: BundlePart) -> Result<Self, BundleError> {
        let manifest: ImageCodecManifest = file.parse()?;
        manifest.check()?;
        let space = read_space(folder, &manifest)?;
        let encoder = part.read_encoder(folder, &manifest.encoder.model)?;
        let fast = manifest.encoder.fast.as_ref().filter(|_| part != BundlePart::Heads);
        let fast_encoder = fast.map(|fast| read_model(folder, &fast.model)).transpose()?;
        let heads = part.read_heads(&manifest.heads, |spec| {
            Ok(ImageCodecHead { spec: spec.clone(), model: read_model(folder, &spec.model)? })
        })?;
        part.check_rest(folder, &manifest.model_card, &manifest.golden)?;
        Ok(Self { manifest, space, encoder, fast_encoder, heads })
    }
}

impl ImageCodecManifest {
    /// Checks the latent-space id against the one computed from the manifest.
    pub(crate) fn check_identity(&self) -> Result<(), BundleError> {
        let (encoder, contexts) = (&self.encoder.model.sha256, &self.contexts.sha256);
        let computed = image_codec_space_id(encoder, contexts, &self.input, &self.layers, &self.quantiser);
        let found = self.latent_space;
        if computed == found { Ok(()) } else { Err(BundleError::LatentSpaceMismatch { found, computed }) }
    }
}

fn read_space(folder: &Path, manifest: &ImageCodecManifest) -> Result<ImageCodecSpace, BundleError> {
    manifest.check_identity()?;
    let contexts = ContextModel::from_bytes(&files::read(folder, &manifest.contexts)?)?;
    let (layout, quantiser) = (manifest.build_layout()?, manifest.build_quantiser()?);
    Ok(ImageCodecSpace::new(manifest.latent_space, layout, quantiser, contexts)?)
}
