use std::path::Path;

use lopside_latent::picture::{ContextModel, PictureSpace};

use crate::{Bundle, BundleError, GoldenSpec, Part, files, manifest_file::ManifestFile};

use super::{PICTURE_SCHEMA, PictureHeadSpec, PictureManifest, picture_space_id};

/// A bundle of either kind.
#[derive(Debug, Clone)]
pub enum AnyBundle {
    /// Schema 1: latents of one fixed shape.
    Vector(Bundle),
    /// Schema 2: images of any size.
    Picture(PictureBundle),
}

/// An image codec's bundle whose loaded files have all been checked.
#[derive(Debug, Clone)]
pub struct PictureBundle {
    /// The manifest.
    pub manifest: PictureManifest,
    /// The latent space.
    pub space: PictureSpace,
    /// The contents of `encoder.onnx`; empty if only the heads were requested.
    pub encoder: Vec<u8>,
    /// The contents of `encoder-fast.onnx`; `None` if the bundle does not contain one or only the heads were
    /// requested.
    pub fast_encoder: Option<Vec<u8>>,
    /// The heads, in the manifest's order; empty if only the encoder was requested.
    pub heads: Vec<PictureHead>,
}

/// A head and its model.
#[derive(Debug, Clone)]
pub struct PictureHead {
    /// The head's entry in the manifest.
    pub spec: PictureHeadSpec,
    /// The contents of the ONNX file.
    pub model: Vec<u8>,
}

impl AnyBundle {
    /// Loads the part of the bundle in `folder`, of either kind, that a host needs.
    ///
    /// # Errors
    /// Returns [`BundleError`] naming the file or field that is wrong.
    pub fn load(folder: &Path, part: Part) -> Result<Self, BundleError> {
        let file = ManifestFile::read(folder)?;
        if file.schema()? == PICTURE_SCHEMA {
            Ok(Self::Picture(PictureBundle::read(folder, &file, part)?))
        } else {
            Ok(Self::Vector(Bundle::read(folder, &file, part)?))
        }
    }

    /// Returns the golden inputs, with which the encoder can be tested.
    #[must_use]
    pub fn golden(&self) -> &[GoldenSpec] {
        match self {
            Self::Vector(bundle) => &bundle.manifest.golden,
            Self::Picture(bundle) => &bundle.manifest.golden,
        }
    }
}

impl PictureBundle {
    fn read(folder: &Path, file: &ManifestFile, part: Part) -> Result<Self, BundleError> {
        let manifest: PictureManifest = file.parse()?;
        manifest.check()?;
        let space = read_space(folder, &manifest)?;
        let encoder = part.read_encoder(folder, &manifest.encoder.model)?;
        let fast = manifest.encoder.fast.as_ref().filter(|_| part != Part::Heads);
        let fast_encoder = fast.map(|fast| files::read(folder, &fast.model)).transpose()?;
        let read = |spec: &PictureHeadSpec| {
            Ok(PictureHead { spec: spec.clone(), model: files::read(folder, &spec.model)? })
        };
        let heads = part.read_heads(&manifest.heads, read)?;
        part.check_rest(folder, &manifest.model_card, &manifest.golden)?;
        Ok(Self { manifest, space, encoder, fast_encoder, heads })
    }
}

impl PictureManifest {
    /// Checks the latent-space id against the one computed from the manifest.
    pub(crate) fn check_identity(&self) -> Result<(), BundleError> {
        let (encoder, contexts) = (&self.encoder.model.sha256, &self.contexts.sha256);
        let computed = picture_space_id(encoder, contexts, &self.input, &self.layers, &self.quantiser);
        let found = self.latent_space;
        if computed == found { Ok(()) } else { Err(BundleError::Identity { found, computed }) }
    }
}

fn read_space(folder: &Path, manifest: &PictureManifest) -> Result<PictureSpace, BundleError> {
    manifest.check_identity()?;
    let contexts = ContextModel::from_bytes(&files::read(folder, &manifest.contexts)?)?;
    let (layout, quantiser) = (manifest.layout()?, manifest.layer_quantiser()?);
    Ok(PictureSpace::new(manifest.latent_space, layout, quantiser, contexts)?)
}
