use std::path::Path;

use lopside_latent::{FixedLatentSpace, LatentLayer, Quantiser, Shape, Tables};

use crate::{
    BundleError, BundlePart, FixedLatentHeadSpec, FixedLatentLayerSpec, FixedLatentManifest, files,
    fixed_latent_space_id, manifest_file::ManifestFile, model_file::read_model,
};

/// A bundle whose loaded files have all been checked.
#[derive(Debug, Clone)]
pub struct FixedLatentBundle {
    /// The manifest.
    pub manifest: FixedLatentManifest,
    /// The latent space.
    pub space: FixedLatentSpace,
    /// The contents of `encoder.onnx`; empty if only the heads were requested.
    pub encoder: Vec<u8>,
    /// The heads, in the manifest's order; empty if only the encoder was requested.
    pub heads: Vec<FixedLatentHead>,
}

/// A head and its model.
#[derive(Debug, Clone)]
pub struct FixedLatentHead {
    /// The head's entry in the manifest.
    pub spec: FixedLatentHeadSpec,
    /// The contents of the ONNX file.
    pub model: Vec<u8>,
}

impl FixedLatentBundle {
    /// Loads the part of the bundle in `folder` that a host needs, and checks the manifest, the latent-space
    /// id, the length and digest of every file that it reads, and that models contain all of their values.
    ///
    /// # Errors
    /// Returns [`BundleError`] naming the file or field that is wrong.
    pub fn load(folder: &Path, part: BundlePart) -> Result<Self, BundleError> {
        Self::read(folder, &ManifestFile::read(folder)?, part)
    }

    pub(crate) fn read(folder: &Path, file: &ManifestFile, part: BundlePart) -> Result<Self, BundleError> {
        let manifest: FixedLatentManifest = file.parse()?;
        manifest.check()?;
        let space = read_space(folder, &manifest)?;
        let encoder = part.read_encoder(folder, &manifest.encoder.model)?;
        let heads = part.read_heads(&manifest.heads, |spec| {
            Ok(FixedLatentHead { spec: spec.clone(), model: read_model(folder, &spec.model)? })
        })?;
        part.check_rest(folder, &manifest.model_card, &manifest.golden)?;
        Ok(Self { manifest, space, encoder, heads })
    }
}

impl FixedLatentManifest {
    /// Checks the latent-space id against the one computed from the manifest.
    pub(crate) fn check_identity(&self) -> Result<(), BundleError> {
        let Self { encoder, tables, input, latent, latent_space: found, .. } = self;
        let computed =
            fixed_latent_space_id(&encoder.model.sha256, &tables.sha256, input, &encoder.input, latent);
        if computed == *found {
            Ok(())
        } else {
            Err(BundleError::LatentSpaceMismatch { found: *found, computed })
        }
    }
}

fn read_space(folder: &Path, manifest: &FixedLatentManifest) -> Result<FixedLatentSpace, BundleError> {
    manifest.check_identity()?;
    let tables = Tables::from_bytes(&files::read(folder, &manifest.tables)?)?;
    Ok(FixedLatentSpace::new(manifest.latent_space, latent_layers(&manifest.latent)?, tables)?)
}

/// Converts the layers to the types of the latent coder.
pub(crate) fn latent_layers(latent: &[FixedLatentLayerSpec]) -> Result<Vec<LatentLayer>, BundleError> {
    let layers = latent.iter().map(|layer| {
        Ok(LatentLayer {
            shape: Shape::new(&layer.tensor.item_dims().unwrap_or_default())?,
            quantiser: Quantiser::new(layer.gains.clone())?,
        })
    });
    layers.collect()
}
